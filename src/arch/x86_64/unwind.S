// gort_unwind_from on x86-64: see src/arch/unwind.hpp; context.hpp has the layout of a saved
// context. While f runs, the call frame information says that our caller is the saved context.

        .text
        .globl  gort_unwind_from
        .type   gort_unwind_from, @function
        .p2align 4
gort_unwind_from:
        .cfi_startproc
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        movq    %rdi, %rbx
        movq    %rdx, %rdi
        .cfi_remember_state
        .cfi_def_cfa %rbx, 24
        .cfi_offset %rbp, -8
        .cfi_offset %rip, -16
        .cfi_undefined %rbx             // who left it has saved those that it was to keep
        .cfi_undefined %r12
        .cfi_undefined %r13
        .cfi_undefined %r14
        .cfi_undefined %r15
        callq   *%rsi
        nop
        .cfi_restore_state
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        ret
        .cfi_endproc
        .size   gort_unwind_from, .-gort_unwind_from
        .globl  gort_unwind_from_end
gort_unwind_from_end:
        nop

        .section .note.GNU-stack, "", @progbits
