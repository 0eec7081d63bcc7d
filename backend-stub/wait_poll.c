/* Waiting for a program of its own: poll(2), with a pipe to interrupt it. */
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MAX_FDS 64u

static int interrupt_pipe[2];

/* Before main(), so that signal handlers find it. */
__attribute__((constructor)) static void open_interrupt_pipe(void)
{
    if (pipe2(interrupt_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        abort(); /* no descriptors at the program's start */
}

void backend_interrupt(void)
{
    const char byte = 0;
    int saved = errno;
    ssize_t written = write(interrupt_pipe[1], &byte, 1); /* a full pipe interrupts as well */

    (void)written;
    errno = saved;
}

int backend_wait(struct pollfd *fds, unsigned count, int timeout_ms)
{
    struct pollfd all[MAX_FDS + 1];
    int ready;

    if (count > MAX_FDS) {
        errno = EINVAL;
        return -1;
    }
    for (unsigned i = 0; i < count; i++)
        all[i] = fds[i];
    all[count] = (struct pollfd){.fd = interrupt_pipe[0], .events = POLLIN};
    ready = poll(all, count + 1, timeout_ms);
    if (ready < 0)
        return errno == EINTR ? 0 : -1;
    for (unsigned i = 0; i < count; i++)
        fds[i].revents = all[i].revents;
    if (all[count].revents) {
        char bytes[64];

        while (read(interrupt_pipe[0], bytes, sizeof(bytes)) > 0)
            ;
        ready--;
    }
    return ready;
}

unsigned long long backend_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec;
}
