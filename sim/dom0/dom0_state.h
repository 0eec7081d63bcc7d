/* The state of sim/dom0 in the machine. */
#ifndef DOM0_DOM0_STATE_H
#define DOM0_DOM0_STATE_H

#include <stdbool.h>
#include <stddef.h>

struct dom0_fd;
struct dom0_foreign;
struct dom0_share;
struct dom0_waiter;
struct task;

#define DOM0_WINDOW_PAGES ((size_t)65536)

/* A task that is a program of a driver domain. */
struct dom0_program {
    struct dom0_program *next;
    struct task *task;
    unsigned domid;
};

struct dom0_state {
    unsigned domid;
    struct dom0_program *programs;
    int next_fd;
    struct dom0_fd *fds;
    struct dom0_foreign *foreign;      /* what is mapped of other domains' memory */
    struct dom0_share *shares;         /* that could not be taken back yet */
    unsigned interrupts;               /* calls of backend_interrupt() */
    struct dom0_waiter *interruptible; /* tasks in backend_wait() */
    size_t window_next;
    bool window_used[DOM0_WINDOW_PAGES];
};

/* Made on first use. */
struct dom0_state *dom0_state(void);

#endif
