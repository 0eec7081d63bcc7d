/* Foreign pages of programs: as /dev/xen/privcmd maps them. */
#include "dom0/gate_internal.h"

#include <errno.h>
#include <string.h>

#include "machine/guest_ram.h"
#include "machine/image.h"
#include "xen/xen.h"

static bool map_foreign(struct gate_handle *handle, const struct gate_map_foreign *request, size_t bytes)
{
    struct gate_mapping *mapping;
    struct gate_foreign *answer;

    if (bytes < sizeof(*request) || request->count == 0 || request->count > GATE_PAGES_MAX ||
        bytes != sizeof(*request) + request->count * sizeof(request->frame[0]))
        return false;
    if (!gate_may(handle, request->domid) || !xen_domain_exists(request->domid)) {
        gate_reply(handle, gate_may(handle, request->domid) ? ESRCH : EPERM, 0, NULL, 0);
        return true;
    }
    mapping = gate_mapping_new(handle, GATE_OF_FRAMES, request->writable != 0, request->count);
    answer = image_alloc(request->count * sizeof(*answer));
    for (uint32_t index = 0; index < request->count; index++) {
        void *page;
        int64_t held = xen_foreign_map(handle->domid, request->domid, request->frame[index], &page);

        if (held < 0) {
            answer[index].error = (int32_t)-held;
        } else {
            gate_mapping_set(handle, mapping, index, held, page);
            answer[index].page = gate_page_number(page);
        }
    }
    gate_reply(handle, 0, mapping->number, answer, request->count * sizeof(*answer));
    image_free(answer);
    return true;
}

static int hold_resource(struct gate_handle *handle, const struct gate_resource *request, struct gate_mapping *mapping,
                         struct gate_foreign *answer)
{
    for (uint32_t index = 0; index < request->count; index++) {
        void *page;
        int64_t held = xen_resource_map(handle->domid, request->domid, request->resource, request->id,
                                        request->frame + index, &page);

        if (held < 0)
            return (int)-held;
        gate_mapping_set(handle, mapping, index, held, page);
        answer[index].page = gate_page_number(page);
    }
    return 0;
}

static void map_resource(struct gate_handle *handle, const struct gate_resource *request)
{
    struct gate_mapping *mapping = gate_mapping_new(handle, GATE_OF_FRAMES, true, request->count);
    struct gate_foreign *answer = image_alloc(request->count * sizeof(*answer));
    int error = hold_resource(handle, request, mapping, answer);

    if (error == 0) {
        gate_reply(handle, 0, mapping->number, answer, request->count * sizeof(*answer));
    } else {
        gate_mapping_undo(handle, mapping);
        gate_reply(handle, error, 0, NULL, 0);
    }
    image_free(answer);
}

static bool resource(struct gate_handle *handle, uint32_t type, const void *packet, size_t bytes)
{
    struct gate_resource request;
    int64_t frames;

    if (bytes != sizeof(request))
        return false;
    memcpy(&request, packet, sizeof(request));
    if (!gate_may(handle, request.domid)) {
        gate_reply(handle, EPERM, 0, NULL, 0);
        return true;
    }
    if (type == GATE_MAP_RESOURCE) {
        if (request.count == 0 || request.count > GATE_PAGES_MAX)
            return false;
        map_resource(handle, &request);
        return true;
    }
    frames = xen_resource_size(handle->domid, request.domid, request.resource, request.id);
    if (frames < 0)
        gate_reply(handle, (int)frames, 0, NULL, 0);
    else
        gate_reply(handle, 0, frames * GUEST_PAGE_SIZE, NULL, 0);
    return true;
}

bool gate_foreign_request(struct gate_handle *handle, uint32_t type, const void *packet, size_t bytes)
{
    switch (type) {
    case GATE_MAP_FOREIGN:
        return map_foreign(handle, packet, bytes);
    case GATE_UNMAP_FOREIGN:
        return gate_unmap(handle, GATE_OF_FRAMES, packet, bytes);
    case GATE_MAP_RESOURCE:
    case GATE_RESOURCE_SIZE:
        return resource(handle, type, packet, bytes);
    default:
        return false;
    }
}
