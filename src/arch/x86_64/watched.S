// gort_call_watched on x86-64: see src/arch/unwind.hpp. The watcher is in rbx while f runs.

        .text
        .hidden gort_see_exception
        .globl  gort_call_watched
        .hidden gort_call_watched
        .type   gort_call_watched, @function
        .p2align 4
gort_call_watched:
        .cfi_startproc
        .cfi_personality 0x1b, gort_see_exception  // pc-relative, 4 bytes
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rbx
        .cfi_offset %rbx, -24
        subq    $8, %rsp
        movq    %rdx, %rbx
        movq    %rdi, %rax
        movq    %rsi, %rdi
        callq   *%rax
        movq    -8(%rbp), %rbx
        leave
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size   gort_call_watched, .-gort_call_watched

        .section .note.GNU-stack, "", @progbits
