// gort_unwind_from on arm64: see src/arch/unwind.hpp; switch.S has the layout of a saved context.
// While f runs, the call frame information says that our caller is the saved context.

        .text
        .globl  gort_unwind_from
        .type   gort_unwind_from, %function
        .p2align 4
gort_unwind_from:
        .cfi_startproc
        stp     x19, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset x19, -16
        .cfi_offset x30, -8
        mov     x19, x0
        mov     x0, x2
        .cfi_remember_state
        .cfi_def_cfa x19, 176
        .cfi_offset x19, -176
        .cfi_offset x20, -168
        .cfi_offset x21, -160
        .cfi_offset x22, -152
        .cfi_offset x23, -144
        .cfi_offset x24, -136
        .cfi_offset x25, -128
        .cfi_offset x26, -120
        .cfi_offset x27, -112
        .cfi_offset x28, -104
        .cfi_offset x29, -96
        .cfi_offset x30, -88
        blr     x1
        nop
        .cfi_restore_state
        ldp     x19, x30, [sp], #16
        .cfi_def_cfa_offset 0
        .cfi_restore x19
        .cfi_restore x30
        ret
        .cfi_endproc
        .size   gort_unwind_from, .-gort_unwind_from
        .globl  gort_unwind_from_end
gort_unwind_from_end:
        nop

        .section .note.GNU-stack, "", %progbits
