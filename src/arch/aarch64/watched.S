// gort_call_watched on arm64: see src/arch/unwind.hpp. The watcher is in x19 while f runs.

        .text
        .hidden gort_see_exception
        .globl  gort_call_watched
        .hidden gort_call_watched
        .type   gort_call_watched, %function
        .p2align 4
gort_call_watched:
        .cfi_startproc
        .cfi_personality 0x1b, gort_see_exception  // pc-relative, 4 bytes
        stp     x29, x30, [sp, #-32]!
        .cfi_def_cfa_offset 32
        .cfi_offset x29, -32
        .cfi_offset x30, -24
        mov     x29, sp
        str     x19, [sp, #16]
        .cfi_offset x19, -16
        mov     x19, x2
        mov     x3, x0
        mov     x0, x1
        blr     x3
        ldr     x19, [sp, #16]
        ldp     x29, x30, [sp], #32
        .cfi_restore x19
        .cfi_restore x29
        .cfi_restore x30
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size   gort_call_watched, .-gort_call_watched

        .section .note.GNU-stack, "", %progbits
