/*
 * libxenforeignmemory on the simulated Xen: xenforeignmemory.h of the distribution says what each call does. As with
 * privcmd, a page stays while it is mapped even if its domain gives it up, mappings outlive their handle, and munmap()
 * ends them, too.
 */
#include "dom0/heap.h"

#include "dom0/dom0.h"
#include "dom0/dom0_state.h"

#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <errno.h>
#include <sys/mman.h>
#include <xen/event_channel.h> /* for Xen's own xen.h: <xen/xen.h> is the simulator's in this build */
#include <xenforeignmemory.h>

#define FOREIGN_PAGE_SIZE 4096u
#define NOT_RESTRICTED UINT32_MAX
#define NOT_HELD (-1)

struct dom0_foreign {
    struct dom0_foreign *next;
    void *address;
    size_t pages;
    int64_t held[]; /* of each page, NOT_HELD: nothing is there */
};

struct xenforeignmemory_handle {
    unsigned domid;
    uint32_t restricted;
};

struct xenforeignmemory_resource_handle {
    void *address;
    size_t pages;
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
    handle->domid = dom0_domid();
    handle->restricted = NOT_RESTRICTED;
    return handle;
}

int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
    free(fmem);
    return 0;
}

int xenforeignmemory_restrict(xenforeignmemory_handle *fmem, domid_t domid)
{
    if (fmem->restricted != NOT_RESTRICTED && fmem->restricted != domid) {
        errno = EINVAL;
        return -1;
    }
    fmem->restricted = domid;
    return 0;
}

/* ---- mapping ---- */

static bool may(const struct xenforeignmemory_handle *handle, uint32_t domid)
{
    if (handle->restricted == NOT_RESTRICTED || handle->restricted == domid)
        return true;
    errno = EPERM;
    return false;
}

static bool place_possible(int flags)
{
    if (!(flags & MAP_FIXED))
        return true;
    log_line(LOG_ERROR, "xenforeignmemory",
             "MAP_FIXED is not there inside the machine, whose windows have places of their own: EOPNOTSUPP");
    errno = EOPNOTSUPP;
    return false;
}

static void release(struct dom0_foreign *mapping)
{
    for (size_t i = 0; i < mapping->pages; i++) {
        if (mapping->held[i] != NOT_HELD)
            xen_foreign_unmap(mapping->held[i]);
    }
    free(mapping);
}

static struct dom0_foreign *mapping_create(size_t pages)
{
    struct dom0_foreign *mapping = calloc(1, sizeof(*mapping) + pages * sizeof(mapping->held[0]));

    mapping->pages = pages;
    for (size_t i = 0; i < pages; i++)
        mapping->held[i] = NOT_HELD;
    return mapping;
}

/* Show what the mapping holds; NULL with errno, and the mapping is gone. */
static void *show(struct dom0_foreign *mapping, void *const *page, int prot)
{
    struct dom0_state *state = dom0_state();

    mapping->address = dom0_window_map(page, mapping->pages, prot);
    if (!mapping->address) {
        int error = errno;

        release(mapping);
        errno = error;
        return NULL;
    }
    mapping->next = state->foreign;
    state->foreign = mapping;
    return mapping->address;
}

void *xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom, void *addr, int prot, int flags, size_t pages,
                            const xen_pfn_t arr[], int err[])
{
    struct dom0_foreign *mapping;
    void **page;
    void *address;
    int error = 0;

    (void)addr; /* a wish, as for mmap() */
    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (!may(fmem, dom) || !place_possible(flags))
        return NULL;
    if (!xen_domain_exists(dom)) {
        errno = ESRCH;
        return NULL;
    }
    mapping = mapping_create(pages);
    page = calloc(pages, sizeof(*page));
    for (size_t i = 0; i < pages; i++) {
        int64_t held = xen_foreign_map(fmem->domid, dom, arr[i], &page[i]);

        if (held >= 0)
            mapping->held[i] = held;
        else
            error = (int)-held;
        if (err)
            err[i] = held < 0 ? (int)held : 0; /* negative, as Linux' privcmd has them */
    }
    if (error && !err) {
        release(mapping);
        errno = error;
        address = NULL;
    } else {
        address = show(mapping, page, prot);
    }
    free(page);
    return address;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages, const xen_pfn_t arr[],
                           int err[])
{
    return xenforeignmemory_map2(fmem, dom, NULL, prot, 0, pages, arr, err);
}

static int unmap(const void *address, size_t pages)
{
    for (struct dom0_foreign **link = &dom0_state()->foreign; *link; link = &(*link)->next) {
        struct dom0_foreign *mapping = *link;

        if (mapping->address != address || mapping->pages != pages)
            continue;
        *link = mapping->next;
        dom0_window_unmap(mapping->address, pages);
        release(mapping);
        return 0;
    }
    errno = EINVAL;
    return -1;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
    (void)fmem;
    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    return unmap(addr, pages);
}

#undef munmap

int dom0_munmap(void *address, size_t bytes)
{
    if (!dom0_window_contains(address))
        return munmap(address, bytes);
    return unmap(address, (bytes + FOREIGN_PAGE_SIZE - 1) / FOREIGN_PAGE_SIZE);
}

/* ---- resources ---- */

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(xenforeignmemory_handle *fmem, domid_t domid,
                                                                unsigned int type, unsigned int id, unsigned long frame,
                                                                unsigned long nr_frames, void **paddr, int prot,
                                                                int flags)
{
    struct xenforeignmemory_resource_handle *resource;
    struct dom0_foreign *mapping;
    int64_t held = 0;
    void **page;
    void *address = NULL;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (!may(fmem, domid) || !place_possible(flags))
        return NULL;
    mapping = mapping_create(nr_frames);
    page = calloc(nr_frames, sizeof(*page));
    for (size_t i = 0; i < nr_frames && held >= 0; i++) {
        held = xen_resource_map(fmem->domid, domid, type, id, frame + i, &page[i]);
        if (held >= 0)
            mapping->held[i] = held;
    }
    if (held < 0) {
        release(mapping);
        errno = (int)-held;
    } else {
        address = show(mapping, page, prot);
    }
    free(page);
    if (!address)
        return NULL;
    resource = calloc(1, sizeof(*resource));
    *paddr = resource->address = address;
    resource->pages = nr_frames;
    return resource;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *fmem, xenforeignmemory_resource_handle *fres)
{
    int result = xenforeignmemory_unmap(fmem, fres->address, fres->pages);

    free(fres);
    return result;
}

int xenforeignmemory_resource_size(xenforeignmemory_handle *fmem, domid_t domid, unsigned int type, unsigned int id,
                                   size_t *size)
{
    int64_t frames;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (!may(fmem, domid))
        return -1;
    frames = xen_resource_size(fmem->domid, domid, type, id);
    if (frames < 0)
        return dom0_result((int)frames);
    *size = (size_t)frames * FOREIGN_PAGE_SIZE;
    return 0;
}
