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
/* Names and source lines for them, a frame a line. Wants a large stack: call on the host's, or in a dom0 task. */
void backtrace_print(char *buffer, size_t size, void *const *frames, int count);
/* "xenvif.so!ReceiverPoll+0x12 (receiver.c:120)" */
void backtrace_describe(char *buffer, size_t size, const void *address);

#endif
