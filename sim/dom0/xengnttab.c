/*
 * libxengnttab on the simulated Xen, the consuming side: xengnttab.h of the distribution says what each call does.
 * Mapped pages are windows (dom0.h), so that a mapping of several grants is contiguous and a stale pointer faults.
 */
#include "dom0/heap.h"

#include "dom0/dom0.h"

#include "machine/log.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <xengnttab.h>

#define GRANT_PAGE_SIZE 4096u
#define DEFAULT_MAX_GRANTS (1024u * 1024)
#define COPY_BATCH 64u
#define NO_NOTIFY UINT32_MAX

struct mapping {
    struct mapping *next;
    uint8_t *address;
    uint32_t count;
    uint32_t notify_offset; /* byte to clear at unmap, or NO_NOTIFY */
    uint32_t notify_port;   /* port to signal at unmap, or NO_NOTIFY */
    uint32_t handle[];
};

struct xengntdev_handle {
    unsigned domid;
    uint32_t max_grants;
    uint32_t mapped;
    struct mapping *mappings;
    struct dom0_fd fd;
};

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    struct xengntdev_handle *handle;

    (void)logger;
    if (open_flags) {
        errno = EINVAL;
        return NULL;
    }
    handle = calloc(1, sizeof(*handle));
    handle->domid = dom0_domid();
    handle->max_grants = DEFAULT_MAX_GRANTS;
    dom0_fd_open(&handle->fd);
    return handle;
}

int xengnttab_fd(xengnttab_handle *xgt)
{
    return xgt->fd.number;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
    if (xgt->mapped) {
        errno = EBUSY;
        return -1;
    }
    xgt->max_grants = nr_grants;
    return 0;
}

static void unmap_grants(struct xengntdev_handle *handle, const struct mapping *mapping, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int result = xen_grant_unmap(handle->domid, mapping->handle[i]);

        if (result < 0)
            log_line(LOG_ERROR, "xengnttab", "unmapping grant handle %u: error %d", mapping->handle[i], -result);
    }
}

static void *map(xengnttab_handle *xgt, uint32_t count, const uint32_t *domids, unsigned domid_stride,
                 const uint32_t *refs, int prot, uint32_t notify_offset, uint32_t notify_port)
{
    struct mapping *mapping;
    void **page;
    uint32_t done;
    int result = 0;

    sched_point(POINT_DOM0);
    if (!count || (notify_offset != NO_NOTIFY && (notify_offset >= GRANT_PAGE_SIZE || !(prot & PROT_WRITE)))) {
        errno = EINVAL;
        return NULL;
    }
    if (count > xgt->max_grants - xgt->mapped) {
        errno = ENOMEM;
        return NULL;
    }
    mapping = calloc(1, sizeof(*mapping) + count * sizeof(mapping->handle[0]));
    page = calloc(count, sizeof(*page));
    for (done = 0; done < count; done++) {
        result = xen_grant_map(xgt->domid, domids[done * domid_stride], refs[done], !(prot & PROT_WRITE), &page[done],
                               &mapping->handle[done]);
        if (result < 0)
            break;
    }
    if (done == count)
        mapping->address = dom0_window_map(page, count, prot);
    else
        errno = -result;
    free(page);
    if (!mapping->address) {
        int error = errno;

        unmap_grants(xgt, mapping, done);
        if (done < count)
            log_line(LOG_WARNING, "xengnttab", "mapping grant %u of domain %u: error %d", refs[done],
                     domids[done * domid_stride], error);
        free(mapping);
        errno = error;
        return NULL;
    }
    mapping->count = count;
    mapping->notify_offset = notify_offset;
    mapping->notify_port = notify_port;
    mapping->next = xgt->mappings;
    xgt->mappings = mapping;
    xgt->mapped += count;
    return mapping->address;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
    return map(xgt, 1, &domid, 0, &ref, prot, NO_NOTIFY, NO_NOTIFY);
}

void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t *domids, uint32_t *refs, int prot)
{
    return map(xgt, count, domids, 1, refs, prot, NO_NOTIFY, NO_NOTIFY);
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid, uint32_t *refs, int prot)
{
    return map(xgt, count, &domid, 0, refs, prot, NO_NOTIFY, NO_NOTIFY);
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot,
                                     uint32_t notify_offset, evtchn_port_t notify_port)
{
    return map(xgt, 1, &domid, 0, &ref, prot, notify_offset, notify_port);
}

static void mapping_close(struct xengntdev_handle *handle, struct mapping *mapping)
{
    if (mapping->notify_offset != NO_NOTIFY)
        __atomic_store_n(mapping->address + mapping->notify_offset, (uint8_t)0, __ATOMIC_RELEASE);
    if (mapping->notify_port != NO_NOTIFY)
        xen_evtchn_send(handle->domid, mapping->notify_port);
    dom0_window_unmap(mapping->address, mapping->count);
    unmap_grants(handle, mapping, mapping->count);
    handle->mapped -= mapping->count;
    free(mapping);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
    struct mapping **link;

    sched_point(POINT_DOM0);
    for (link = &xgt->mappings; *link; link = &(*link)->next) {
        struct mapping *mapping = *link;

        if (mapping->address != start_address || mapping->count != count)
            continue;
        *link = mapping->next;
        mapping_close(xgt, mapping);
        return 0;
    }
    errno = EINVAL;
    return -1;
}

int xengnttab_close(xengnttab_handle *xgt)
{
    if (!xgt)
        return 0;
    while (xgt->mappings) {
        struct mapping *mapping = xgt->mappings;

        xgt->mappings = mapping->next;
        mapping_close(xgt, mapping);
    }
    dom0_fd_close(&xgt->fd);
    free(xgt);
    return 0;
}

/* A local end of a copy, `done` bytes behind virt; returns the bytes from there to the end of the page. */
static uint32_t set_local(uint64_t *gmfn, uint16_t *offset, domid_t *domid, const void *virt, uint32_t done)
{
    uintptr_t address = (uintptr_t)virt + done;

    *gmfn = address / GRANT_PAGE_SIZE;
    *offset = (uint16_t)(address % GRANT_PAGE_SIZE);
    *domid = DOMID_SELF;
    return GRANT_PAGE_SIZE - (uint32_t)(address % GRANT_PAGE_SIZE);
}

/* The part of a segment from `done` bytes on that touches one local page; returns its length. */
static uint32_t copy_part(const xengnttab_grant_copy_segment_t *segment, uint32_t done, struct gnttab_copy *copy)
{
    uint32_t length = segment->len - done, room;
    uint64_t gmfn;

    memset(copy, 0, sizeof(*copy));
    copy->flags = segment->flags;
    if (segment->flags & GNTCOPY_source_gref) {
        copy->source.u.ref = segment->source.foreign.ref;
        copy->source.domid = segment->source.foreign.domid;
        copy->source.offset = (uint16_t)(segment->source.foreign.offset + done);
    } else {
        room = set_local(&gmfn, &copy->source.offset, &copy->source.domid, segment->source.virt, done);
        copy->source.u.gmfn = gmfn;
        length = length < room ? length : room;
    }
    if (segment->flags & GNTCOPY_dest_gref) {
        copy->dest.u.ref = segment->dest.foreign.ref;
        copy->dest.domid = segment->dest.foreign.domid;
        copy->dest.offset = (uint16_t)(segment->dest.foreign.offset + done);
    } else {
        room = set_local(&gmfn, &copy->dest.offset, &copy->dest.domid, segment->dest.virt, done);
        copy->dest.u.gmfn = gmfn;
        length = length < room ? length : room;
    }
    copy->len = (uint16_t)length;
    return length;
}

static bool segment_valid(const xengnttab_grant_copy_segment_t *segment)
{
    if (!(segment->flags & (GNTCOPY_source_gref | GNTCOPY_dest_gref)))
        return false;
    if ((segment->flags & GNTCOPY_source_gref) &&
        (uint32_t)segment->source.foreign.offset + segment->len > GRANT_PAGE_SIZE)
        return false;
    return !(segment->flags & GNTCOPY_dest_gref) ||
           (uint32_t)segment->dest.foreign.offset + segment->len <= GRANT_PAGE_SIZE;
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count, xengnttab_grant_copy_segment_t *segs)
{
    struct gnttab_copy copy[COPY_BATCH];
    uint32_t owner[COPY_BATCH];
    uint32_t segment = 0, done = 0;

    sched_point(POINT_DOM0);
    for (uint32_t i = 0; i < count; i++) {
        if (!segment_valid(&segs[i])) {
            errno = EINVAL;
            return -1;
        }
        segs[i].status = GNTST_okay;
    }
    while (segment < count) {
        uint32_t batch = 0;

        while (segment < count && batch < COPY_BATCH) {
            if (segs[segment].len) {
                owner[batch] = segment;
                done += copy_part(&segs[segment], done, &copy[batch++]);
            }
            if (done == segs[segment].len) {
                segment++;
                done = 0;
            }
        }
        xen_grant_copy(xgt->domid, copy, batch);
        for (uint32_t i = 0; i < batch; i++) {
            if (copy[i].status != GNTST_okay && segs[owner[i]].status == GNTST_okay)
                segs[owner[i]].status = copy[i].status;
        }
    }
    return 0;
}
