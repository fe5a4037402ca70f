// tools/gdb/gort.py in the section where gdb looks for scripts: it reads them when it opens the
// program, if the user has allowed it to (add-auto-load-safe-path). The section is not loaded.

        .section .debug_gdb_scripts, "MS", %progbits, 1
        .byte   4                       // Python, the text itself
        .ascii  "gort.py\n"
        .incbin GORT_GDB_SCRIPT
        .byte   0

        .section .rodata
        .globl  gort_gdb_script_is_linked
        .type   gort_gdb_script_is_linked, %object
gort_gdb_script_is_linked:
        .byte   0
        .size   gort_gdb_script_is_linked, 1

        .section .note.GNU-stack, "", %progbits
