/*
 * What the in-process libxen* libraries share: file descriptors that exist in the machine only, waiting on them, and
 * windows through which foreign pages are seen.
 */
#ifndef DOM0_DOM0_H
#define DOM0_DOM0_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task;

/* Tasks that wait for something; an entry lies on the stack of the task that waits. */
struct dom0_waiter {
    struct dom0_waiter *next;
    struct task *task;
};

void dom0_waiter_enter(struct dom0_waiter **list, struct dom0_waiter *waiter);
void dom0_waiter_leave(struct dom0_waiter **list, struct dom0_waiter *waiter);
void dom0_wake(struct dom0_waiter *list);

/*
 * Let others work until something may have changed for the caller, which has looked and found nothing: a dom0 task
 * sleeps in the list until it is woken; any other context lets the store's daemon run, and gives up (false) when that
 * did not help for long.
 */
bool dom0_wait(struct dom0_waiter **list, const char *why, unsigned *tries);

/* A virtual file descriptor, embedded in the handle that it belongs to. */
struct dom0_fd {
    struct dom0_fd *next;
    int number; /* from DOM0_FIRST_FD up; no descriptor of the host */
    bool readable;
    struct dom0_waiter *waiters;
    unsigned interrupts; /* those of dom0_state() that a wait with this one first has seen */
};

#define DOM0_FIRST_FD 0x10000

void dom0_fd_open(struct dom0_fd *fd);
void dom0_fd_close(struct dom0_fd *fd);
struct dom0_fd *dom0_fd_find(int number);
void dom0_fd_set_readable(struct dom0_fd *fd, bool readable);

/* The domain that handles opened from now on act for: domain 0, or another one. */
void dom0_set_domid(unsigned domid);
/* The same for those that the current task opens: it is a program of a driver domain until its end, which it tells. */
void dom0_enter_domain(unsigned domid);
void dom0_leave_domain(void);
unsigned dom0_domid(void);

/* errno from a result of xen.h; returns -1 when it is an error, else the result. */
int dom0_result(int result);

/*
 * Windows: virtual pages in a row that show pages of the directmap. Unlike a directmap address, one that is no longer
 * mapped faults, and a read-only one can't be written. A page given as NULL is a hole, which faults. NULL with errno
 * when the host refuses or no window is left.
 */
void *dom0_window_map(void *const *pages, size_t count, int prot);
void dom0_window_unmap(void *address, size_t count);
bool dom0_window_contains(const void *address);

#endif
