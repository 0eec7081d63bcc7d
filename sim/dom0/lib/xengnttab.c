/* libxengnttab over the gate of a running machine: grants of others that are mapped or copied, pages that are shared.
 */
#include "dropin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xengnttab.h>

#define DEFAULT_MAX_GRANTS (1024u * 1024)
#define ALL UINT32_MAX /* xengnttab.h's -1 */

_Static_assert(ALL == GATE_NONE, "a notification that is not asked for looks the same on both sides");

/* Both the consuming and the producing side have this type in the header. */
struct xengntdev_handle {
    struct dropin dropin;
    int ram;
    struct dropin_arena arena; /* for copies */
    pthread_mutex_t copying;
    struct dropin_mapping *mappings;
    uint32_t max_grants;
    uint32_t mapped;
};

static struct xengntdev_handle *open_handle(struct xentoollog_logger *logger, unsigned flags, const char *library,
                                            enum gate_kind kind)
{
    struct xengntdev_handle *handle;

    if (flags != 0) {
        errno = EINVAL;
        return NULL;
    }
    handle = calloc(1, sizeof(*handle));
    if (handle == NULL)
        return NULL;
    handle->arena.bytes = (size_t)GATE_COPIES_MAX * DROPIN_PAGE;
    handle->max_grants = DEFAULT_MAX_GRANTS;
    handle->ram = -1;
    pthread_mutex_init(&handle->copying, NULL);
    if (dropin_open(&handle->dropin, library, logger, dropin_retire, kind, kind == GATE_GNTTAB ? &handle->arena : NULL,
                    &handle->ram))
        return handle;
    free(handle);
    return NULL;
}

/* The end of the connection is what gives the grants back. */
static int close_handle(struct xengntdev_handle *handle)
{
    if (handle == NULL)
        return 0;
    while (handle->mappings != NULL) {
        struct dropin_mapping *mapping = handle->mappings;

        handle->mappings = mapping->next;
        dropin_unreserve(mapping);
    }
    dropin_close(&handle->dropin);
    dropin_arena_close(&handle->arena);
    pthread_mutex_destroy(&handle->copying);
    if (handle->ram >= 0)
        close(handle->ram);
    free(handle);
    return 0;
}

static bool take_room(struct xengntdev_handle *handle, uint32_t count)
{
    bool room;

    pthread_mutex_lock(&handle->dropin.lock);
    room = count <= handle->max_grants - handle->mapped;
    if (room)
        handle->mapped += count;
    pthread_mutex_unlock(&handle->dropin.lock);
    if (!room)
        errno = ENOMEM;
    return room;
}

static void give_room(struct xengntdev_handle *handle, uint32_t count)
{
    pthread_mutex_lock(&handle->dropin.lock);
    handle->mapped -= count;
    pthread_mutex_unlock(&handle->dropin.lock);
}

static int unmap(struct xengntdev_handle *handle, void *address, uint32_t count, enum gate_type type)
{
    struct dropin_mapping *mapping = dropin_take(&handle->dropin, &handle->mappings, address, count);

    return mapping == NULL ? -1 : dropin_give_up(&handle->dropin, mapping, type);
}

/* ---- mapping ---- */

struct wanted {
    const uint32_t *domids;
    uint32_t step; /* 1: a domain each, 0: one for all */
    const uint32_t *references;
    int prot;
    uint32_t notify_offset;
    uint32_t notify_port;
};

/* Grants from `first` on, as many as a request can have. */
static bool map_part(struct xengntdev_handle *handle, struct dropin_mapping *mapping, const struct wanted *wanted,
                     uint32_t first, uint32_t count)
{
    size_t bytes = sizeof(struct gate_map_grants) + count * sizeof(struct gate_reference);
    struct gate_map_grants *request = calloc(1, bytes);
    uint32_t *pages = calloc(count, sizeof(*pages));
    bool good = false;
    int64_t number;

    if (request != NULL && pages != NULL) {
        request->type = GATE_MAP_GRANTS;
        request->count = count;
        request->writable = (wanted->prot & PROT_WRITE) != 0;
        request->notify_offset = wanted->notify_offset;
        request->notify_port = wanted->notify_port;
        for (uint32_t index = 0; index < count; index++)
            request->grant[index] = (struct gate_reference){wanted->domids[(first + index) * wanted->step],
                                                            wanted->references[first + index]};
        if (dropin_ask(&handle->dropin, request, bytes, &number, pages, count * sizeof(*pages)) == 0) {
            mapping->number[mapping->count++] = (uint32_t)number;
            good = true;
        }
        for (uint32_t index = 0; index < count && good; index++)
            good = dropin_show(mapping, first + index, handle->ram, pages[index], wanted->prot);
    }
    free(request);
    free(pages);
    return good;
}

static void *map(struct xengntdev_handle *handle, uint32_t count, const struct wanted *wanted)
{
    struct dropin_mapping *mapping;
    bool good = true;

    if (count == 0 ||
        (wanted->notify_offset != ALL && (wanted->notify_offset >= DROPIN_PAGE || (wanted->prot & PROT_WRITE) == 0))) {
        errno = EINVAL;
        return NULL;
    }
    if (!take_room(handle, count))
        return NULL;
    mapping = dropin_reserve(NULL, 0, count);
    for (uint32_t first = 0; first < count && mapping != NULL && good; first += GATE_PAGES_MAX)
        good =
            map_part(handle, mapping, wanted, first, count - first < GATE_PAGES_MAX ? count - first : GATE_PAGES_MAX);
    if (mapping != NULL && good) {
        dropin_link(&handle->dropin, &handle->mappings, mapping, GATE_UNMAP_GRANTS);
        return mapping->address;
    }
    dropin_error(&handle->dropin, "mapping grant %u of domain %u (of %u)", wanted->references[0], wanted->domids[0],
                 count);
    if (mapping != NULL)
        (void)dropin_give_up(&handle->dropin, mapping, GATE_UNMAP_GRANTS);
    give_room(handle, count);
    return NULL;
}

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    return open_handle(logger, open_flags, "xengnttab", GATE_GNTTAB);
}

int xengnttab_close(xengnttab_handle *xgt)
{
    return close_handle(xgt);
}

int xengnttab_fd(xengnttab_handle *xgt)
{
    return xgt->dropin.fd;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
    if (xgt->mapped != 0) {
        errno = EBUSY;
        return -1;
    }
    xgt->max_grants = nr_grants;
    return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
    return map(xgt, 1, &(struct wanted){&domid, 0, &ref, prot, ALL, ALL});
}

void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t *domids, uint32_t *refs, int prot)
{
    return map(xgt, count, &(struct wanted){domids, 1, refs, prot, ALL, ALL});
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid, uint32_t *refs, int prot)
{
    return map(xgt, count, &(struct wanted){&domid, 0, refs, prot, ALL, ALL});
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot,
                                     uint32_t notify_offset, evtchn_port_t notify_port)
{
    return map(xgt, 1, &(struct wanted){&domid, 0, &ref, prot, notify_offset, notify_port});
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
    int result = unmap(xgt, start_address, count, GATE_UNMAP_GRANTS);

    if (result == 0)
        give_room(xgt, count);
    return result;
}

/* ---- copying: a page of the arena for the local end of each segment ---- */

static bool end_fits(const union xengnttab_copy_ptr *end, uint16_t length, bool by_reference)
{
    return !by_reference || (uint32_t)end->foreign.offset + length <= DROPIN_PAGE;
}

static bool segment_valid(const xengnttab_grant_copy_segment_t *segment)
{
    return (segment->flags & (GNTCOPY_source_gref | GNTCOPY_dest_gref)) != 0 && segment->len <= DROPIN_PAGE &&
           end_fits(&segment->source, segment->len, (segment->flags & GNTCOPY_source_gref) != 0) &&
           end_fits(&segment->dest, segment->len, (segment->flags & GNTCOPY_dest_gref) != 0);
}

static void prepare_segment(struct xengntdev_handle *handle, struct gate_copy *copy, uint32_t index,
                            const xengnttab_grant_copy_segment_t *segment)
{
    uint32_t local = index * DROPIN_PAGE;

    *copy = (struct gate_copy){
        .flags = segment->flags, .length = segment->len, .source_offset = local, .dest_offset = local};
    if ((segment->flags & GNTCOPY_source_gref) != 0) {
        copy->source_domid = segment->source.foreign.domid;
        copy->source_reference = segment->source.foreign.ref;
        copy->source_offset = segment->source.foreign.offset;
    } else {
        memcpy(handle->arena.start + local, segment->source.virt, segment->len);
    }
    if ((segment->flags & GNTCOPY_dest_gref) != 0) {
        copy->dest_domid = segment->dest.foreign.domid;
        copy->dest_reference = segment->dest.foreign.ref;
        copy->dest_offset = segment->dest.foreign.offset;
    }
}

static int copy_part(struct xengntdev_handle *handle, struct gate_copy_grants *request, int16_t *status,
                     xengnttab_grant_copy_segment_t *segments, uint32_t count)
{
    request->type = GATE_COPY_GRANTS;
    request->count = count;
    for (uint32_t index = 0; index < count; index++)
        prepare_segment(handle, &request->segment[index], index, &segments[index]);
    if (dropin_ask(&handle->dropin, request, sizeof(*request) + count * sizeof(request->segment[0]), NULL, status,
                   count * sizeof(*status)) != 0)
        return -1;
    for (uint32_t index = 0; index < count; index++) {
        segments[index].status = status[index];
        if (status[index] == GNTST_okay && (segments[index].flags & GNTCOPY_dest_gref) == 0)
            memcpy(segments[index].dest.virt, handle->arena.start + (size_t)index * DROPIN_PAGE, segments[index].len);
    }
    return 0;
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count, xengnttab_grant_copy_segment_t *segs)
{
    uint32_t batch = count < GATE_COPIES_MAX ? count : GATE_COPIES_MAX;
    struct gate_copy_grants *request;
    int16_t *status;
    int result = 0;

    for (uint32_t index = 0; index < count; index++) {
        if (!segment_valid(&segs[index])) {
            errno = EINVAL;
            return -1;
        }
    }
    if (count == 0)
        return 0;
    request = malloc(sizeof(*request) + batch * sizeof(request->segment[0]));
    status = malloc(batch * sizeof(*status));
    if (request == NULL || status == NULL)
        result = -1;
    pthread_mutex_lock(&xgt->copying);
    for (uint32_t first = 0; first < count && result == 0; first += batch)
        result = copy_part(xgt, request, status, segs + first, count - first < batch ? count - first : batch);
    pthread_mutex_unlock(&xgt->copying);
    free(request);
    free(status);
    return result;
}

/* ---- dma-bufs are the graphics memory of Linux' kernel: none here ---- */

static int no_dmabuf(xengnttab_handle *xgt, const char *call)
{
    errno = ENOSYS;
    dropin_error(&xgt->dropin, "%s: the simulated dom0 has no dma-bufs", call);
    return -1;
}

int xengnttab_dmabuf_exp_from_refs(xengnttab_handle *xgt, uint32_t domid, uint32_t flags, uint32_t count,
                                   const uint32_t *refs, uint32_t *fd)
{
    (void)domid, (void)flags, (void)count, (void)refs, (void)fd;
    return no_dmabuf(xgt, __func__);
}

int xengnttab_dmabuf_exp_wait_released(xengnttab_handle *xgt, uint32_t fd, uint32_t wait_to_ms)
{
    (void)fd, (void)wait_to_ms;
    return no_dmabuf(xgt, __func__);
}

int xengnttab_dmabuf_imp_to_refs(xengnttab_handle *xgt, uint32_t domid, uint32_t fd, uint32_t count, uint32_t *refs)
{
    (void)domid, (void)fd, (void)count, (void)refs;
    return no_dmabuf(xgt, __func__);
}

int xengnttab_dmabuf_imp_release(xengnttab_handle *xgt, uint32_t fd)
{
    (void)fd;
    return no_dmabuf(xgt, __func__);
}

/* ---- sharing ---- */

static void *share(struct xengntdev_handle *handle, uint32_t domid, int count, uint32_t *references, int writable,
                   uint32_t notify_offset, uint32_t notify_port)
{
    const struct gate_share request = {.type = GATE_SHARE,
                                       .domid = domid,
                                       .count = (uint32_t)count,
                                       .writable = writable != 0,
                                       .notify_offset = notify_offset,
                                       .notify_port = notify_port};
    struct gate_shared *shared;
    struct dropin_mapping *mapping;
    int64_t number;
    bool good;

    if (count <= 0 || (uint32_t)count > GATE_PAGES_MAX || (notify_offset != ALL && notify_offset >= DROPIN_PAGE)) {
        errno = EINVAL;
        return NULL;
    }
    shared = calloc((size_t)count, sizeof(*shared));
    mapping = shared == NULL ? NULL : dropin_reserve(NULL, 0, (size_t)count);
    good = mapping != NULL && dropin_ask(&handle->dropin, &request, sizeof(request), &number, shared,
                                         (size_t)count * sizeof(*shared)) == 0;
    if (good)
        mapping->number[mapping->count++] = (uint32_t)number;
    for (int index = 0; index < count && good; index++) {
        references[index] = shared[index].reference;
        good = dropin_show(mapping, (size_t)index, handle->ram, shared[index].page, PROT_READ | PROT_WRITE);
    }
    free(shared);
    if (good) {
        dropin_link(&handle->dropin, &handle->mappings, mapping, GATE_UNSHARE);
        return mapping->address;
    }
    dropin_error(&handle->dropin, "sharing %d pages with domain %u", count, domid);
    if (mapping != NULL)
        (void)dropin_give_up(&handle->dropin, mapping, GATE_UNSHARE);
    return NULL;
}

xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    return open_handle(logger, open_flags, "xengntshr", GATE_GNTSHR);
}

int xengntshr_close(xengntshr_handle *xgs)
{
    return close_handle(xgs);
}

int xengntshr_fd(xengntshr_handle *xgs)
{
    return xgs->dropin.fd;
}

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs, int writable)
{
    return share(xgs, domid, count, refs, writable, ALL, ALL);
}

void *xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid, uint32_t *ref, int writable,
                                  uint32_t notify_offset, evtchn_port_t notify_port)
{
    return share(xgs, domid, 1, ref, writable, notify_offset, notify_port);
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
    return unmap(xgs, start_address, count, GATE_UNSHARE);
}
