// gort_unwind_from on x86-64: see src/arch/unwind.hpp; switch.S has the layout of a saved context.
// While f runs, the call frame information says that our caller is the saved context.

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
        .cfi_def_cfa %rbx, 64
        .cfi_offset %rip, -8
        .cfi_offset %rbp, -16
        .cfi_offset %rbx, -24
        .cfi_offset %r12, -32
        .cfi_offset %r13, -40
        .cfi_offset %r14, -48
        .cfi_offset %r15, -56
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
