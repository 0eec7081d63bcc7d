/*
 * The one place where a backend blocks. backend-stub/wait_poll.c is poll(2); a backend that runs inside another
 * program's event loop gets its own.
 */
#ifndef BACKEND_WAIT_H
#define BACKEND_WAIT_H

#include <poll.h>

/*
 * As poll(2) with POLLIN: wait until a descriptor is readable or timeout_ms milliseconds have passed (negative: no
 * limit, 0: only look). Returns how many are ready, 0 on time-out or when interrupted, -1 with errno.
 */
int backend_wait(struct pollfd *fds, unsigned count, int timeout_ms);

/*
 * Make waits return: those that are going on, and the next of who has waited before and is at work now. Safe in a
 * signal handler where those exist.
 */
void backend_interrupt(void);

/* Nanoseconds on a clock that only goes forward. */
unsigned long long backend_clock(void);

#endif
