/* Virtual file descriptors, waiting, and windows on foreign pages. */
#include "dom0/dom0.h"

#include "dom0/dom0_state.h"

#include "machine/clock.h"
#include "machine/guest_ram.h"
#include "machine/image.h"
#include "machine/machine.h"
#include "machine/sched.h"
#include "machine/vcpu.h"
#include "store/store.h"
#include "xen/xen.h"

#include <errno.h>
#include <sys/mman.h>

/* The windows lie in the part of the image's address map that neither stacks nor RAM use. */
#define WINDOW_BASE (IMAGE_STACKS_BASE + IMAGE_STACKS_SIZE)
#define WINDOW_PAGES DOM0_WINDOW_PAGES
#define PAGE_SIZE ((size_t)4096)

_Static_assert(WINDOW_BASE + WINDOW_PAGES * PAGE_SIZE <= IMAGE_RAM_BASE, "windows end below the guest's RAM");

/* How often a context that is no task lets the daemon run before it gives up on an answer. */
#define TRIES_OUTSIDE_TASKS 100000u

struct dom0_state *dom0_state(void)
{
    if (!machine->dom0) {
        machine->dom0 = image_alloc(sizeof(*machine->dom0));
        machine->dom0->next_fd = DOM0_FIRST_FD;
    }
    return machine->dom0;
}

void dom0_waiter_enter(struct dom0_waiter **list, struct dom0_waiter *waiter)
{
    waiter->task = task_current();
    waiter->next = NULL;
    while (*list)
        list = &(*list)->next;
    *list = waiter;
}

void dom0_waiter_leave(struct dom0_waiter **list, struct dom0_waiter *waiter)
{
    while (*list != waiter)
        list = &(*list)->next;
    *list = waiter->next;
}

void dom0_wake(struct dom0_waiter *list)
{
    for (; list; list = list->next)
        task_unpark(list->task);
}

bool dom0_wait(struct dom0_waiter **list, const char *why, unsigned *tries)
{
    struct dom0_waiter waiter;

    if (!task_current()) {
        store_pump();
        if (vcpu_current_index() >= 0)
            sched_point(POINT_PAUSE); /* a guest thread of a test: others run too */
        return ++*tries < TRIES_OUTSIDE_TASKS;
    }
    dom0_waiter_enter(list, &waiter);
    task_park(CLOCK_NEVER, why);
    dom0_waiter_leave(list, &waiter);
    return true;
}

void dom0_fd_open(struct dom0_fd *fd)
{
    struct dom0_state *state = dom0_state();

    fd->number = state->next_fd++;
    fd->readable = false;
    fd->waiters = NULL;
    fd->interrupts = state->interrupts;
    fd->next = state->fds;
    state->fds = fd;
}

void dom0_fd_close(struct dom0_fd *fd)
{
    struct dom0_fd **link = &dom0_state()->fds;

    while (*link != fd)
        link = &(*link)->next;
    *link = fd->next;
    fd->number = -1;
}

struct dom0_fd *dom0_fd_find(int number)
{
    struct dom0_fd *fd;

    for (fd = dom0_state()->fds; fd; fd = fd->next) {
        if (fd->number == number)
            return fd;
    }
    return NULL;
}

void dom0_fd_set_readable(struct dom0_fd *fd, bool readable)
{
    fd->readable = readable;
    if (readable)
        dom0_wake(fd->waiters);
}

void dom0_set_domid(unsigned domid)
{
    dom0_state()->domid = domid;
}

static struct dom0_program **program_place(void)
{
    struct dom0_program **link = &dom0_state()->programs;
    const struct task *task = task_current();

    while (*link && (*link)->task != task)
        link = &(*link)->next;
    return link;
}

void dom0_enter_domain(unsigned domid)
{
    struct dom0_program **link = program_place();

    *link = image_alloc(sizeof(**link));
    (*link)->task = task_current();
    (*link)->domid = domid;
}

void dom0_leave_domain(void)
{
    struct dom0_program **link = program_place(), *program = *link;

    *link = program->next;
    image_free(program);
}

unsigned dom0_domid(void)
{
    const struct dom0_program *program = *program_place();

    return program ? program->domid : dom0_state()->domid;
}

int dom0_result(int result)
{
    if (result >= 0)
        return result;
    errno = -result; /* Xen's numbers of these errors are the host's (public/errno.h) */
    return -1;
}

/* First page of `count` free window pages in a row, searched from where the last search ended, so that reuse is late.
 */
static size_t window_find(struct dom0_state *state, size_t count)
{
    size_t run = 0;

    for (size_t step = 0; step < WINDOW_PAGES + count; step++) {
        size_t page = (state->window_next + step) % WINDOW_PAGES;

        if (page == 0)
            run = 0;
        run = state->window_used[page] ? 0 : run + 1;
        if (run == count)
            return page + 1 - count;
    }
    return WINDOW_PAGES;
}

void *dom0_window_map(void *const *pages, size_t count, int prot)
{
    struct dom0_state *state = dom0_state();
    size_t first = count && count <= WINDOW_PAGES ? window_find(state, count) : WINDOW_PAGES;
    uint8_t *base = (uint8_t *)(WINDOW_BASE + first * PAGE_SIZE);

    if (first == WINDOW_PAGES) {
        errno = count ? ENOSPC : EINVAL;
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t *at = base + i * PAGE_SIZE;

        state->window_used[first + i] = true;
        if (!pages[i])
            continue;
        if (!backing_show(at, pages[i], (prot & PROT_WRITE) != 0)) {
            int error = errno;

            dom0_window_unmap(base, i + 1);
            errno = error;
            return NULL;
        }
    }
    state->window_next = (first + count) % WINDOW_PAGES;
    return base;
}

void dom0_window_unmap(void *address, size_t count)
{
    struct dom0_state *state = dom0_state();
    size_t first = ((uintptr_t)address - WINDOW_BASE) / PAGE_SIZE;

    mmap(address, count * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    for (size_t i = 0; i < count; i++)
        state->window_used[first + i] = false;
}

bool dom0_window_contains(const void *address)
{
    return (uintptr_t)address >= WINDOW_BASE && (uintptr_t)address < WINDOW_BASE + WINDOW_PAGES * PAGE_SIZE;
}
