/* Grants of programs: mapping and copying as /dev/xen/gntdev has it, sharing as /dev/xen/gntalloc. */
#include "dom0/gate_internal.h"

#include <errno.h>
#include <string.h>

#include <xen/event_channel.h> /* for Xen's own xen.h: <xen/xen.h> is the simulator's in this build */
#include <xen/grant_table.h>

#include "dom0/shares.h"
#include "machine/guest_ram.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "xen/xen.h"

/* ---- mapping ---- */

static void reply_pages(struct gate_handle *handle, const struct gate_mapping *mapping)
{
    uint32_t *pages = image_alloc(mapping->count * sizeof(*pages));

    for (uint32_t index = 0; index < mapping->count; index++)
        pages[index] = gate_page_number(mapping->item[index].page);
    gate_reply(handle, 0, mapping->number, pages, mapping->count * sizeof(*pages));
    image_free(pages);
}

static int map_all(struct gate_handle *handle, struct gate_mapping *mapping, const struct gate_map_grants *request)
{
    for (uint32_t index = 0; index < mapping->count; index++) {
        const struct gate_reference *grant = &request->grant[index];
        uint32_t map;
        void *page;
        int error = xen_grant_map(handle->domid, grant->domid, grant->reference, request->writable == 0, &page, &map);

        if (error < 0)
            return -error;
        gate_mapping_set(handle, mapping, index, map, page);
    }
    return 0;
}

static bool map_grants(struct gate_handle *handle, const struct gate_map_grants *request, size_t bytes)
{
    struct gate_mapping *mapping;
    int error;

    if (bytes < sizeof(*request) || request->count == 0 || request->count > GATE_PAGES_MAX ||
        bytes != sizeof(*request) + request->count * sizeof(request->grant[0]))
        return false;
    if (request->notify_offset != GATE_NONE && request->writable == 0) {
        gate_reply(handle, EINVAL, 0, NULL, 0);
        return true;
    }
    mapping = gate_mapping_new(handle, GATE_OF_GRANTS, request->writable != 0, request->count);
    error = map_all(handle, mapping, request);
    if (error == 0)
        error = gate_mapping_notify(handle, mapping, request->notify_offset, request->notify_port);
    if (error == 0) {
        reply_pages(handle, mapping);
    } else {
        gate_mapping_undo(handle, mapping);
        gate_reply(handle, error, 0, NULL, 0);
    }
    return true;
}

/* ---- copying ---- */

/* An end of a segment: a grant, or a place in the arena. False: not within one page of either. */
static bool set_end(const struct gate_handle *handle, struct gnttab_copy_ptr *end, bool by_reference, uint32_t domid,
                    uint32_t reference, uint32_t offset, uint16_t length)
{
    uintptr_t address;

    if (offset % GUEST_PAGE_SIZE + length > GUEST_PAGE_SIZE)
        return false;
    end->offset = (uint16_t)(offset % GUEST_PAGE_SIZE);
    if (by_reference) {
        end->domid = (domid_t)domid;
        end->u.ref = reference;
        return offset < GUEST_PAGE_SIZE;
    }
    if (handle->arena == NULL || (uint64_t)offset + length > handle->arena_bytes)
        return false;
    address = (uintptr_t)(handle->arena + offset);
    end->domid = DOMID_SELF;
    end->u.gmfn = address >> GUEST_PAGE_SHIFT;
    return true;
}

static bool copy_grants(struct gate_handle *handle, const struct gate_copy_grants *request, size_t bytes)
{
    struct gnttab_copy *segments;
    int16_t *status;
    bool good = true;

    if (bytes < sizeof(*request) || request->count == 0 || request->count > GATE_COPIES_MAX ||
        bytes != sizeof(*request) + request->count * sizeof(request->segment[0]))
        return false;
    segments = image_alloc(request->count * sizeof(*segments));
    status = image_alloc(request->count * sizeof(*status));
    for (uint32_t index = 0; index < request->count && good; index++) {
        const struct gate_copy *from = &request->segment[index];

        segments[index].flags = from->flags;
        segments[index].len = from->length;
        good = set_end(handle, &segments[index].source, (from->flags & GNTCOPY_source_gref) != 0, from->source_domid,
                       from->source_reference, from->source_offset, from->length) &&
               set_end(handle, &segments[index].dest, (from->flags & GNTCOPY_dest_gref) != 0, from->dest_domid,
                       from->dest_reference, from->dest_offset, from->length);
    }
    for (uint32_t index = 0; index < request->count && good; index++)
        if ((segments[index].flags & GNTCOPY_source_gref) == 0)
            peers_read_memory(handle->arena + request->segment[index].source_offset, segments[index].len);
    if (good) {
        xen_grant_copy(handle->domid, segments, request->count);
        for (uint32_t index = 0; index < request->count; index++)
            status[index] = segments[index].status;
        gate_reply(handle, 0, 0, status, request->count * sizeof(*status));
    } else {
        gate_reply(handle, EINVAL, 0, NULL, 0);
    }
    image_free(segments);
    image_free(status);
    return true;
}

bool gate_gnttab_request(struct gate_handle *handle, uint32_t type, const void *packet, size_t bytes)
{
    switch (type) {
    case GATE_MAP_GRANTS:
        return map_grants(handle, packet, bytes);
    case GATE_UNMAP_GRANTS:
        return gate_unmap(handle, GATE_OF_GRANTS, packet, bytes);
    case GATE_COPY_GRANTS:
        return copy_grants(handle, packet, bytes);
    default:
        return false;
    }
}

/* ---- sharing ---- */

static void reply_shared(struct gate_handle *handle, const struct gate_mapping *mapping)
{
    struct gate_shared *shared = image_alloc(mapping->count * sizeof(*shared));

    for (uint32_t index = 0; index < mapping->count; index++)
        shared[index] =
            (struct gate_shared){(uint32_t)mapping->item[index].handle, gate_page_number(mapping->item[index].page)};
    gate_reply(handle, 0, mapping->number, shared, mapping->count * sizeof(*shared));
    image_free(shared);
}

static bool share(struct gate_handle *handle, const void *packet, size_t bytes)
{
    struct gate_share request;
    struct gate_mapping *mapping;
    int error = 0;

    if (bytes != sizeof(request))
        return false;
    memcpy(&request, packet, sizeof(request));
    if (request.count == 0 || request.count > GATE_PAGES_MAX)
        return false;
    shares_revoke_left();
    mapping = gate_mapping_new(handle, GATE_OF_SHARES, true, request.count);
    for (uint32_t index = 0; index < request.count && error == 0; index++) {
        void *page;
        int64_t reference = xen_grant_share(handle->domid, request.domid, request.writable == 0, &page);

        if (reference < 0)
            error = (int)-reference;
        else
            gate_mapping_set(handle, mapping, index, reference, page);
    }
    if (error == 0)
        error = gate_mapping_notify(handle, mapping, request.notify_offset, request.notify_port);
    if (error == 0) {
        reply_shared(handle, mapping);
    } else {
        gate_mapping_undo(handle, mapping);
        gate_reply(handle, error, 0, NULL, 0);
    }
    return true;
}

bool gate_gntshr_request(struct gate_handle *handle, uint32_t type, const void *packet, size_t bytes)
{
    switch (type) {
    case GATE_SHARE:
        return share(handle, packet, bytes);
    case GATE_UNSHARE:
        return gate_unmap(handle, GATE_OF_SHARES, packet, bytes);
    default:
        return false;
    }
}
