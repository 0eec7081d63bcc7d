/*
 * libxencall over the gate of a running machine. Everything that a hypercall's arguments point to lies in buffers of
 * this library (xencall.h demands it), and those in an arena that the machine sees as well.
 */
#include "dropin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xencall.h>

#define ARENA_PAGES (16u * 1024)

struct xencall_handle {
    struct dropin dropin;
    struct dropin_arena arena;
    uint16_t run[ARENA_PAGES + 1]; /* of a buffer's first page: its pages; of a page that is not: 0 */
    uint8_t used[ARENA_PAGES];
    size_t next; /* where to look first */
};

/* Others than the handle's opener can't use it then, so the connection may close. */
static int restrict_call(struct toolcore_handle *handle, domid_t domid)
{
    (void)domid;
    return xentoolcore__restrict_by_dup2_null(((struct dropin *)handle)->fd);
}

xencall_handle *xencall_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    struct xencall_handle *handle;

    (void)open_flags; /* NON_REENTRANT spares locks; there are locks all the same */
    handle = calloc(1, sizeof(*handle));
    if (handle == NULL)
        return NULL;
    handle->arena.bytes = (size_t)ARENA_PAGES * DROPIN_PAGE;
    if (dropin_open(&handle->dropin, "xencall", logger, restrict_call, GATE_CALL, &handle->arena, NULL))
        return handle;
    free(handle);
    return NULL;
}

int xencall_close(xencall_handle *xcall)
{
    if (xcall == NULL)
        return 0;
    dropin_close(&xcall->dropin);
    dropin_arena_close(&xcall->arena);
    free(xcall);
    return 0;
}

int xencall_fd(xencall_handle *xcall)
{
    return xcall->dropin.fd;
}

/* ---- hypercalls ---- */

static int64_t call(xencall_handle *xcall, unsigned op, uint64_t arg1, uint64_t arg2, uint64_t arg3, uint64_t arg4,
                    uint64_t arg5)
{
    const struct gate_hypercall request = {
        .type = GATE_HYPERCALL, .op = op, .argument = {arg1, arg2, arg3, arg4, arg5}};
    int64_t result;

    if (dropin_ask(&xcall->dropin, &request, sizeof(request), &result, NULL, 0) != 0)
        return -1;
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

int xencall0(xencall_handle *xcall, unsigned int op)
{
    return (int)call(xcall, op, 0, 0, 0, 0, 0);
}

int xencall1(xencall_handle *xcall, unsigned int op, uint64_t arg1)
{
    return (int)call(xcall, op, arg1, 0, 0, 0, 0);
}

int xencall2(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2)
{
    return (int)call(xcall, op, arg1, arg2, 0, 0, 0);
}

long xencall2L(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2)
{
    return (long)call(xcall, op, arg1, arg2, 0, 0, 0);
}

int xencall3(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2, uint64_t arg3)
{
    return (int)call(xcall, op, arg1, arg2, arg3, 0, 0);
}

int xencall4(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2, uint64_t arg3, uint64_t arg4)
{
    return (int)call(xcall, op, arg1, arg2, arg3, arg4, 0);
}

int xencall5(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2, uint64_t arg3, uint64_t arg4,
             uint64_t arg5)
{
    return (int)call(xcall, op, arg1, arg2, arg3, arg4, arg5);
}

/* ---- buffers ---- */

/* The first page of so many free ones in [from, to); ARENA_PAGES: there are none. */
static size_t find_free(const xencall_handle *xcall, size_t from, size_t to, size_t pages)
{
    size_t length = 0;

    for (size_t page = from; page < to; page++) {
        length = xcall->used[page] ? 0 : length + 1;
        if (length == pages)
            return page + 1 - pages;
    }
    return ARENA_PAGES;
}

void *xencall_alloc_buffer_pages(xencall_handle *xcall, size_t nr_pages)
{
    size_t first = ARENA_PAGES;
    uint8_t *buffer;

    if (nr_pages == 0 || nr_pages > ARENA_PAGES) {
        errno = nr_pages == 0 ? EINVAL : ENOMEM;
        return NULL;
    }
    pthread_mutex_lock(&xcall->dropin.lock);
    first = find_free(xcall, xcall->next, ARENA_PAGES, nr_pages);
    if (first == ARENA_PAGES)
        first = find_free(xcall, 0, ARENA_PAGES, nr_pages);
    if (first != ARENA_PAGES) {
        memset(xcall->used + first, 1, nr_pages);
        xcall->run[first] = (uint16_t)nr_pages;
        xcall->next = first + nr_pages;
    }
    pthread_mutex_unlock(&xcall->dropin.lock);
    if (first == ARENA_PAGES) {
        errno = ENOMEM;
        dropin_error(&xcall->dropin, "%zu pages for a hypercall's buffer: the arena has no more room", nr_pages);
        return NULL;
    }
    buffer = xcall->arena.start + first * DROPIN_PAGE;
    memset(buffer, 0, nr_pages * DROPIN_PAGE);
    return buffer;
}

void *xencall_alloc_buffer(xencall_handle *xcall, size_t size)
{
    return xencall_alloc_buffer_pages(xcall, size == 0 ? 1 : (size - 1) / DROPIN_PAGE + 1);
}

void xencall_free_buffer(xencall_handle *xcall, void *p)
{
    size_t first;

    if (p == NULL)
        return;
    first = (size_t)((uint8_t *)p - xcall->arena.start) / DROPIN_PAGE;
    pthread_mutex_lock(&xcall->dropin.lock);
    memset(xcall->used + first, 0, xcall->run[first]);
    xcall->run[first] = 0;
    xcall->next = first < xcall->next ? first : xcall->next;
    pthread_mutex_unlock(&xcall->dropin.lock);
}

void xencall_free_buffer_pages(xencall_handle *xcall, void *p, size_t nr_pages)
{
    (void)nr_pages; /* the handle knows */
    xencall_free_buffer(xcall, p);
}

int xencall_buffers_never_fault(xencall_handle *xcall)
{
    (void)xcall;
    return 1; /* the machine reads the same memory */
}
