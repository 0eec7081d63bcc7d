/*
 * RtlCaptureContext: the caller's registers into a CONTEXT (wdm/context.h gives the offsets). What the call itself
 * changes, the register of its argument, is as the caller passed it. Any IRQL; nothing of the kernel is entered.
 */
	.text
	.globl	RtlCaptureContext
	.type	RtlCaptureContext, @function
RtlCaptureContext:
	.cfi_startproc
	pushfq
	.cfi_adjust_cfa_offset 8
	movq	%rax, 0x78(%rdi)
	movq	%rcx, 0x80(%rdi)
	movq	%rdx, 0x88(%rdi)
	movq	%rbx, 0x90(%rdi)
	leaq	16(%rsp), %rax
	movq	%rax, 0x98(%rdi)
	movq	%rbp, 0xa0(%rdi)
	movq	%rsi, 0xa8(%rdi)
	movq	%rdi, 0xb0(%rdi)
	movq	%r8, 0xb8(%rdi)
	movq	%r9, 0xc0(%rdi)
	movq	%r10, 0xc8(%rdi)
	movq	%r11, 0xd0(%rdi)
	movq	%r12, 0xd8(%rdi)
	movq	%r13, 0xe0(%rdi)
	movq	%r14, 0xe8(%rdi)
	movq	%r15, 0xf0(%rdi)
	movq	8(%rsp), %rax
	movq	%rax, 0xf8(%rdi)
	fxsave64	0x100(%rdi)
	stmxcsr	0x34(%rdi)
	movw	%cs, 0x38(%rdi)
	movw	%ds, 0x3a(%rdi)
	movw	%es, 0x3c(%rdi)
	movw	%fs, 0x3e(%rdi)
	movw	%gs, 0x40(%rdi)
	movw	%ss, 0x42(%rdi)
	movl	(%rsp), %eax
	movl	%eax, 0x44(%rdi)
	movl	$0x10000f, 0x30(%rdi)	/* CONTEXT_FULL | CONTEXT_SEGMENTS */
	movq	0x78(%rdi), %rax
	popfq
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size	RtlCaptureContext, .-RtlCaptureContext
	.section	.note.GNU-stack,"",@progbits
