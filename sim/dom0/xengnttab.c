/*
 * libxengnttab on the simulated Xen, the consuming side: xengnttab.h of the distribution says what each call does.
 * Mapped pages are windows (dom0.h), so that a mapping of several grants is contiguous and a stale pointer faults.
 */
#include "dom0/heap.h"

#include "dom0/xengnttab_handle.h"

#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <xengnttab.h>

#define COPY_BATCH 64u

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    KERNEL_SCOPE();

    (void)logger;
    return grant_handle_open(open_flags);
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

static void unmap_grants(struct xengntdev_handle *handle, const struct grant_pages *mapping, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int result = xen_grant_unmap(handle->domid, mapping->item[i]);

        if (result < 0)
            log_line(LOG_ERROR, "xengnttab", "unmapping grant handle %u: error %d", mapping->item[i], -result);
    }
}

static void *map(xengnttab_handle *xgt, uint32_t count, const uint32_t *domids, unsigned domid_stride,
                 const uint32_t *refs, int prot, uint32_t notify_offset, uint32_t notify_port)
{
    struct grant_pages *mapping;
    void **page;
    uint32_t done;
    int result = 0;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    if (!count || (notify_offset != NO_NOTIFY && !(prot & PROT_WRITE)) ||
        grant_notify_check(xgt, count, notify_offset, notify_port) != 0) {
        errno = EINVAL;
        return NULL;
    }
    if (count > xgt->max_grants - xgt->mapped) {
        errno = ENOMEM;
        return NULL;
    }
    mapping = calloc(1, sizeof(*mapping) + count * sizeof(mapping->item[0]));
    page = calloc(count, sizeof(*page));
    for (done = 0; done < count; done++) {
        result = xen_grant_map(xgt->domid, domids[done * domid_stride], refs[done], !(prot & PROT_WRITE), &page[done],
                               &mapping->item[done]);
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
    mapping->next = xgt->pages;
    xgt->pages = mapping;
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

static void end_mapping(struct xengntdev_handle *handle, struct grant_pages *mapping)
{
    grant_pages_leave(handle, mapping);
    unmap_grants(handle, mapping, mapping->count);
    handle->mapped -= mapping->count;
    free(mapping);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
    struct grant_pages *mapping;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    mapping = grant_pages_take(xgt, start_address, count);
    if (!mapping)
        return -1;
    end_mapping(xgt, mapping);
    return 0;
}

int xengnttab_close(xengnttab_handle *xgt)
{
    KERNEL_SCOPE();

    return grant_handle_close(xgt, end_mapping);
}

/* A local end of a copy, `done` bytes behind virt; returns the bytes from there to the end of the page. */
static inline uint32_t set_local(uint64_t *gmfn, uint16_t *offset, domid_t *domid, const void *virt, uint32_t done)
{
    uintptr_t address = (uintptr_t)virt + done;

    *gmfn = address / GRANT_PAGE_SIZE;
    *offset = (uint16_t)(address % GRANT_PAGE_SIZE);
    *domid = DOMID_SELF;
    return GRANT_PAGE_SIZE - (uint32_t)(address % GRANT_PAGE_SIZE);
}

/* The part of a segment from `done` bytes on that touches one local page; returns its length. */
static inline uint32_t copy_part(const xengnttab_grant_copy_segment_t *segment, uint32_t done, struct gnttab_copy *copy)
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

static inline bool segment_valid(const xengnttab_grant_copy_segment_t *segment)
{
    if (!(segment->flags & (GNTCOPY_source_gref | GNTCOPY_dest_gref)))
        return false;
    if ((segment->flags & GNTCOPY_source_gref) &&
        (uint32_t)segment->source.foreign.offset + segment->len > GRANT_PAGE_SIZE)
        return false;
    return !(segment->flags & GNTCOPY_dest_gref) ||
           (uint32_t)segment->dest.foreign.offset + segment->len <= GRANT_PAGE_SIZE;
}

/* The next copies of the segments from *segment on, of which *done bytes are in copies already: how many. */
static uint32_t next_copies(const xengnttab_grant_copy_segment_t *segs, uint32_t count, uint32_t *segment,
                            uint32_t *done, struct gnttab_copy *copy, uint32_t *owner)
{
    uint32_t batch = 0, at = *segment, part = *done;

    while (at < count && batch < COPY_BATCH) {
        const xengnttab_grant_copy_segment_t *from = &segs[at];

        if (from->len) {
            owner[batch] = at;
            part += copy_part(from, part, &copy[batch++]);
        }
        if (part == from->len) {
            at++;
            part = 0;
        }
    }
    *segment = at;
    *done = part;
    return batch;
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count, xengnttab_grant_copy_segment_t *segs)
{
    struct gnttab_copy copy[COPY_BATCH];
    uint32_t owner[COPY_BATCH];
    uint32_t segment = 0, done = 0;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    for (uint32_t i = 0; i < count; i++) {
        if (!segment_valid(&segs[i])) {
            errno = EINVAL;
            return -1;
        }
        segs[i].status = GNTST_okay;
    }
    while (segment < count) {
        uint32_t batch = next_copies(segs, count, &segment, &done, copy, owner);

        xen_grant_copy(xgt->domid, copy, batch);
        for (uint32_t i = 0; i < batch; i++) {
            if (copy[i].status != GNTST_okay && segs[owner[i]].status == GNTST_okay)
                segs[owner[i]].status = copy[i].status;
        }
    }
    return 0;
}
