/* libxengnttab on the simulated Xen, the producing side: xengnttab.h of the distribution says what each call does. */
#include "dom0/heap.h"

#include "dom0/shares.h"
#include "dom0/xengnttab_handle.h"

#include "machine/kernel_lock.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <errno.h>
#include <sys/mman.h>
#include <xengnttab.h>

xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    (void)logger;
    return grant_handle_open(open_flags);
}

int xengntshr_fd(xengntshr_handle *xgs)
{
    return xgs->fd.number;
}

static void end_share(struct xengntdev_handle *handle, struct grant_pages *pages)
{
    grant_pages_leave(handle, pages);
    for (uint32_t i = 0; i < pages->count; i++)
        share_revoke(handle->domid, pages->item[i]);
    free(pages);
}

int xengntshr_close(xengntshr_handle *xgs)
{
    return grant_handle_close(xgs, end_share);
}

/* The pages, each granted; an errno, with none of them left. */
static int grant_all(const struct xengntdev_handle *handle, struct grant_pages *pages, uint32_t domid, bool writable,
                     void **page)
{
    for (uint32_t i = 0; i < pages->count; i++) {
        int64_t reference = xen_grant_share(handle->domid, domid, !writable, &page[i]);

        if (reference < 0) {
            while (i-- > 0)
                share_revoke(handle->domid, pages->item[i]);
            return (int)-reference;
        }
        pages->item[i] = (uint32_t)reference;
    }
    return 0;
}

static void *share(struct xengntdev_handle *handle, uint32_t domid, uint32_t count, uint32_t *refs, bool writable,
                   uint32_t notify_offset, uint32_t notify_port)
{
    struct grant_pages *pages;
    uint32_t granted = 0;
    void **page;
    int error;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (!count || grant_notify_check(handle, count, notify_offset, notify_port) != 0) {
        errno = EINVAL;
        return NULL;
    }
    shares_revoke_left();
    pages = calloc(1, sizeof(*pages) + count * sizeof(pages->item[0]));
    page = calloc(count, sizeof(*page));
    pages->count = count;
    error = grant_all(handle, pages, domid, writable, page);
    if (!error) {
        granted = count;
        pages->address = dom0_window_map(page, count, PROT_READ | PROT_WRITE);
        error = errno;
    }
    free(page);
    if (!pages->address) {
        for (uint32_t i = 0; i < granted; i++)
            share_revoke(handle->domid, pages->item[i]);
        free(pages);
        errno = error;
        return NULL;
    }
    memcpy(refs, pages->item, count * sizeof(*refs));
    pages->notify_offset = notify_offset;
    pages->notify_port = notify_port;
    pages->next = handle->pages;
    handle->pages = pages;
    return pages->address;
}

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs, int writable)
{
    return share(xgs, domid, count > 0 ? (uint32_t)count : 0, refs, writable, NO_NOTIFY, NO_NOTIFY);
}

void *xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid, uint32_t *ref, int writable,
                                  uint32_t notify_offset, evtchn_port_t notify_port)
{
    return share(xgs, domid, 1, ref, writable, notify_offset, notify_port);
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
    struct grant_pages *pages;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    pages = grant_pages_take(xgs, start_address, count);
    if (!pages)
        return -1;
    end_share(xgs, pages);
    return 0;
}
