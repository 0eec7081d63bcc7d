#include "dom0/heap.h"

#include "dom0/xengnttab_handle.h"

#include "xen/xen.h"

#include <errno.h>
#include <xen/event_channel.h> /* for Xen's own xen.h: <xen/xen.h> is the simulator's in this build */

#define DEFAULT_MAX_GRANTS (1024u * 1024)

struct xengntdev_handle *grant_handle_open(unsigned flags)
{
    struct xengntdev_handle *handle;

    if (flags) {
        errno = EINVAL;
        return NULL;
    }
    handle = calloc(1, sizeof(*handle));
    handle->domid = dom0_domid();
    handle->max_grants = DEFAULT_MAX_GRANTS;
    dom0_fd_open(&handle->fd);
    return handle;
}

int grant_handle_close(struct xengntdev_handle *handle,
                       void (*end)(struct xengntdev_handle *handle, struct grant_pages *pages))
{
    if (!handle)
        return 0;
    while (handle->pages) {
        struct grant_pages *pages = handle->pages;

        handle->pages = pages->next;
        end(handle, pages);
    }
    dom0_fd_close(&handle->fd);
    free(handle);
    return 0;
}

static bool port_is_bound(unsigned domid, uint32_t port)
{
    struct evtchn_status status = {.dom = DOMID_SELF, .port = port};
    const struct xen_memory memory = {.base = (uintptr_t)&status, .bytes = sizeof(status), .host = &status};
    const uint64_t argument[5] = {EVTCHNOP_status, (uintptr_t)&status};

    return xen_host_hypercall(domid, __HYPERVISOR_event_channel_op, argument, &memory) == 0 &&
           status.status != EVTCHNSTAT_closed;
}

int grant_notify_check(const struct xengntdev_handle *handle, uint32_t count, uint32_t offset, uint32_t port)
{
    if (offset != NO_NOTIFY && offset / GRANT_PAGE_SIZE >= count)
        return EINVAL;
    return port == NO_NOTIFY || port_is_bound(handle->domid, port) ? 0 : EINVAL;
}

struct grant_pages *grant_pages_take(struct xengntdev_handle *handle, const void *address, uint32_t count)
{
    for (struct grant_pages **link = &handle->pages; *link; link = &(*link)->next) {
        struct grant_pages *pages = *link;

        if (pages->address != address || pages->count != count)
            continue;
        *link = pages->next;
        return pages;
    }
    errno = EINVAL;
    return NULL;
}

void grant_pages_leave(const struct xengntdev_handle *handle, const struct grant_pages *pages)
{
    if (pages->notify_offset != NO_NOTIFY)
        __atomic_store_n(pages->address + pages->notify_offset, (uint8_t)0, __ATOMIC_RELEASE);
    if (pages->notify_port != NO_NOTIFY)
        (void)xen_evtchn_send(handle->domid, pages->notify_port);
    dom0_window_unmap(pages->address, pages->count);
}
