// What the context switch on x86-64 (System V ABI) needs besides switch_context() of
// src/arch/context.hpp, which has the layout of a saved context.

        .text
        .globl  gort_call_saved
        .type   gort_call_saved, @function
        .p2align 4
gort_call_saved:
        .cfi_startproc
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rbp
        leaq    1f(%rip), %rax
        pushq   %rax
        subq    $16, %rsp               // the stack is aligned at the call
        stmxcsr 8(%rsp)
        fnstcw  12(%rsp)
        leaq    8(%rsp), %rax
        movq    %rax, (%rdi)
        movq    %rdx, %rdi
        callq   *%rsi
1:      leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        ret
        .cfi_endproc
        .size   gort_call_saved, .-gort_call_saved

        .globl  gort_context_entry
        .type   gort_context_entry, @function
        .p2align 4
gort_context_entry:
        .cfi_startproc
        .cfi_undefined %rip
        .cfi_undefined %rbp
        movq    (%rsp), %rdi
        callq   *8(%rsp)
        ud2
        .cfi_endproc
        .size   gort_context_entry, .-gort_context_entry

        .section .note.GNU-stack, "", @progbits
