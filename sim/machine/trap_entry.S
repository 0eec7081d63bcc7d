/*
 * trap_entry: where guest code goes on that the host has refused (fail.c). The stack pointer is at a struct trap_frame,
 * and the unwind rules say that the caller is the code at fault: the frame's address is its stack pointer.
 */
        .text
        .globl  trap_entry
        .hidden trap_entry
        .type   trap_entry, @function
trap_entry:
        .cfi_startproc
        .cfi_signal_frame
        .cfi_escape 0x0f, 3, 0x77, 8, 0x06      /* DW_CFA_def_cfa_expression: DW_OP_breg7 8, DW_OP_deref */
        .cfi_escape 0x10, 16, 2, 0x77, 0        /* DW_CFA_expression, register, length, DW_OP_breg7 offset */
        .cfi_escape 0x10, 6, 2, 0x77, 16
        .cfi_escape 0x10, 3, 2, 0x77, 24
        .cfi_escape 0x10, 12, 2, 0x77, 32
        .cfi_escape 0x10, 13, 2, 0x77, 40
        .cfi_escape 0x10, 14, 2, 0x77, 48
        .cfi_escape 0x10, 15, 2, 0x77, 56
        call    trap_continue
        ud2
        .cfi_endproc
        .size   trap_entry, . - trap_entry

        .section .note.GNU-stack, "", @progbits
