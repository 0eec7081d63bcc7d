/* libxenforeignmemory on the simulated Xen: xenforeignmemory.h of the distribution says what each call does. */
#include "dom0/heap.h"

#include "dom0/dom0.h"

#include "machine/sched.h"
#include "xen/xen.h"

#include <errno.h>
#include <sys/mman.h>
#include <xen/event_channel.h> /* for Xen's own xen.h: <xen/xen.h> is the simulator's in this build */
#include <xenforeignmemory.h>

#define NOT_RESTRICTED UINT32_MAX

struct mapping {
    struct mapping *next;
    void *address;
    size_t pages;
};

struct xenforeignmemory_handle {
    uint32_t restricted;
    struct mapping *mappings;
};

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    struct xenforeignmemory_handle *handle;

    (void)logger;
    if (open_flags) {
        errno = EINVAL;
        return NULL;
    }
    handle = calloc(1, sizeof(*handle));
    handle->restricted = NOT_RESTRICTED;
    return handle;
}

int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
    if (!fmem)
        return 0;
    while (fmem->mappings)
        xenforeignmemory_unmap(fmem, fmem->mappings->address, fmem->mappings->pages);
    free(fmem);
    return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages, const xen_pfn_t arr[],
                           int err[])
{
    struct mapping *mapping;
    void **page;
    void *address;
    size_t good = 0;

    sched_point(POINT_DOM0);
    if (fmem->restricted != NOT_RESTRICTED && fmem->restricted != dom) {
        errno = EPERM;
        return NULL;
    }
    if (!xen_domain_exists(dom)) {
        errno = ESRCH;
        return NULL;
    }
    page = calloc(pages, sizeof(*page));
    for (size_t i = 0; i < pages; i++) {
        page[i] = xen_foreign_frame(dom, arr[i]);
        good += page[i] != NULL;
        if (err)
            err[i] = page[i] ? 0 : EINVAL;
    }
    if (good != pages && !err) {
        free(page);
        errno = EINVAL;
        return NULL;
    }
    address = dom0_window_map(page, pages, prot);
    free(page);
    if (!address)
        return NULL;
    mapping = calloc(1, sizeof(*mapping));
    mapping->address = address;
    mapping->pages = pages;
    mapping->next = fmem->mappings;
    fmem->mappings = mapping;
    return address;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
    struct mapping **link;

    sched_point(POINT_DOM0);
    for (link = &fmem->mappings; *link; link = &(*link)->next) {
        struct mapping *mapping = *link;

        if (mapping->address != addr || mapping->pages != pages)
            continue;
        *link = mapping->next;
        free(mapping);
        dom0_window_unmap(addr, pages);
        return 0;
    }
    errno = EINVAL;
    return -1;
}

int xenforeignmemory_restrict(xenforeignmemory_handle *fmem, domid_t domid)
{
    fmem->restricted = domid;
    return 0;
}
