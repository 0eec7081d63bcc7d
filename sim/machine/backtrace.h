/* Backtraces with function names and source lines, for failures and reports. */
#ifndef MACHINE_BACKTRACE_H
#define MACHINE_BACKTRACE_H

#include <stddef.h>
#include <ucontext.h>

/*
 * Collect the return addresses of the caller's stack, or of an interrupted context (signal handler). Little stack is
 * needed; returns how many there are.
 */
int backtrace_collect(void **frames, int limit);
int backtrace_collect_context(void **frames, int limit, const ucontext_t *context);
/*
 * The same by following frame pointers, cheap enough for stacks that are kept for later: from the caller of the
 * function whose frame address is given, as far as the current fiber's stack goes (nothing on the host's stack).
 */
int backtrace_walk(void **frames, int limit, const void *frame);
/* Names and source lines for them, a frame a line, in the caller's ownership (free). Call on the host's stack. */
char *backtrace_text(void *const *frames, int count);
/* "xenvif.so!ReceiverPoll+0x12 (receiver.c:120)" */
void backtrace_describe(char *buffer, size_t size, const void *address);

#endif
