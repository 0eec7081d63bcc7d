/* The backend's one blocking wait (backend-stub/wait.h), on descriptors that exist in the machine only. */
#include "../../backend-stub/wait.h"

#include "dom0/dom0.h"
#include "dom0/dom0_state.h"

#include "machine/clock.h"
#include "machine/kernel_lock.h"
#include "machine/sched.h"
#include "machine/vcpu.h"
#include "store/store.h"

#include <errno.h>
#include <poll.h>

#define WAIT_MAX_FDS 64u

static struct dom0_fd *descriptor(const struct pollfd *entry)
{
    return entry->fd >= 0 ? dom0_fd_find(entry->fd) : NULL;
}

static int look(struct pollfd *fds, unsigned count)
{
    int ready = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct dom0_fd *fd = descriptor(&fds[i]);

        fds[i].revents = 0;
        if (fds[i].fd < 0)
            continue;
        if (!fd)
            fds[i].revents = POLLNVAL;
        else if (fd->readable)
            fds[i].revents = fds[i].events & POLLIN;
        ready += fds[i].revents != 0;
    }
    return ready;
}

/* Sleep until a descriptor becomes readable, an interruption, or the deadline; false on the deadline. */
static bool sleep_on(const struct pollfd *fds, unsigned count, uint64_t deadline)
{
    struct dom0_state *state = dom0_state();
    struct dom0_waiter waiter[WAIT_MAX_FDS], interruption;
    bool woken;

    for (unsigned i = 0; i < count; i++) {
        struct dom0_fd *fd = descriptor(&fds[i]);

        if (fd)
            dom0_waiter_enter(&fd->waiters, &waiter[i]);
    }
    dom0_waiter_enter(&state->interruptible, &interruption);
    woken = task_park(deadline, "backend work");
    dom0_waiter_leave(&state->interruptible, &interruption);
    for (unsigned i = 0; i < count; i++) {
        struct dom0_fd *fd = descriptor(&fds[i]);

        if (fd)
            dom0_waiter_leave(&fd->waiters, &waiter[i]);
    }
    return woken;
}

/*
 * Let others run for a moment, in a context that can't sleep: a guest thread of a test spins; on the host's stack
 * nothing but the store's daemon can run, and waiting is of no use.
 */
static bool spin(uint64_t deadline)
{
    store_pump();
    if (vcpu_current_index() < 0)
        return false;
    sched_point(POINT_PAUSE);
    return clock_now() < deadline;
}

/*
 * An interruption since the last wait for the same descriptors ends this one at once, as with a pipe (wait_poll.c):
 * what it tells of may have come when the caller had looked already and was still at work.
 */
int backend_wait(struct pollfd *fds, unsigned count, int timeout_ms)
{
    const struct dom0_state *state = dom0_state();
    struct dom0_fd *first = count > 0 ? descriptor(&fds[0]) : NULL;
    unsigned seen = first ? first->interrupts : state->interrupts;
    uint64_t deadline = timeout_ms < 0 ? CLOCK_NEVER : clock_now() + (uint64_t)timeout_ms * 1000000u;
    bool going = true;
    int ready;

    if (count > WAIT_MAX_FDS) {
        errno = EINVAL;
        return -1;
    }
    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (!task_current())
        store_pump();
    ready = look(fds, count);
    while (!ready && timeout_ms && going && state->interrupts == seen) {
        going = task_current() ? sleep_on(fds, count, deadline) : spin(deadline);
        ready = look(fds, count);
    }
    if (first && timeout_ms)
        first->interrupts = state->interrupts;
    return ready;
}

void backend_interrupt(void)
{
    struct dom0_state *state = dom0_state();
    KERNEL_SCOPE();

    state->interrupts++;
    dom0_wake(state->interruptible);
}

unsigned long long backend_clock(void)
{
    return clock_now();
}
