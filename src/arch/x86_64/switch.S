// The context switch on x86-64 (System V ABI).
//
// Layout at the saved stack pointer, low to high:
//   0 mxcsr (4 bytes), 4 x87 control word (2), 6 unused
//   8 r15, 16 r14, 24 r13, 32 r12, 40 rbx, 48 rbp, 56 return address
//
// The control words are reloaded only where they differ: a load of them serializes.
// It leaves by `ret`, although that returns to another context's caller: nearly all contexts were
// left at the same call, so the return-address predictor is right about this return and stays in
// step for those that follow. An indirect jump leaves one entry too many there, and each return up
// to the user's code is then mispredicted (measured: 20 ns a yield instead of 14).

        .text
        .globl  gort_switch
        .type   gort_switch, @function
        .p2align 4
gort_switch:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movq    %rsp, (%rdi)
        movl    (%rsp), %eax
        movzwl  4(%rsp), %ecx
        // From here the frame is the other context's; it has the same shape.
        movq    %rsi, %rsp
        cmpl    (%rsp), %eax
        jne     2f
1:      cmpw    4(%rsp), %cx
        jne     3f
4:      addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        ret
2:      .cfi_def_cfa %rsp, 64
        .cfi_rel_offset %r15, 8
        .cfi_rel_offset %r14, 16
        .cfi_rel_offset %r13, 24
        .cfi_rel_offset %r12, 32
        .cfi_rel_offset %rbx, 40
        .cfi_rel_offset %rbp, 48
        .cfi_rel_offset %rip, 56
        ldmxcsr (%rsp)
        jmp     1b
3:      fldcw   4(%rsp)
        jmp     4b
        .cfi_endproc
        .size   gort_switch, .-gort_switch

        .globl  gort_call_saved
        .type   gort_call_saved, @function
        .p2align 4
gort_call_saved:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movq    %rsp, (%rdi)
        movq    %rdx, %rdi
        callq   *%rsi
        addq    $40, %rsp
        .cfi_adjust_cfa_offset -40
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        popq    %rbp
        .cfi_adjust_cfa_offset -8
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
        xorl    %ebp, %ebp
        movq    %rbx, %rdi
        callq   *%r12
        ud2
        .cfi_endproc
        .size   gort_context_entry, .-gort_context_entry

        .section .note.GNU-stack, "", @progbits
