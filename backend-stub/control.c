/*
 * The control ring: io/netif.h, "Control requests". A request is copied once and answered at once, in order; what it
 * asks for holds from the next frame on, and until the connection ends.
 */
#include "vif.h"

#define CONTROL_BUDGET 16u

#define HASH_TYPES                                                                                                     \
    (XEN_NETIF_CTRL_HASH_TYPE_IPV4 | XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP | XEN_NETIF_CTRL_HASH_TYPE_IPV6 |               \
     XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP)

/* A table from the guest; it lies in one page, wherever the stack is. */
union table {
    _Alignas(HASH_MAPPING_MAX * sizeof(uint32_t)) uint8_t byte[HASH_MAPPING_MAX * sizeof(uint32_t)];
    uint32_t entry[HASH_MAPPING_MAX];
};

void control_reset(struct vif *vif)
{
    vif->hash = (struct vif_hash){.algorithm = XEN_NETIF_CTRL_HASH_ALGORITHM_NONE};
    vif->settle_by = 0;
}

/* Copy the first bytes of a page that the guest has granted. */
static bool fetch(struct vif *vif, uint32_t reference, union table *table, uint32_t length)
{
    xengnttab_grant_copy_segment_t segment;

    memset(table, 0, sizeof(*table));
    if (!length)
        return true;
    memset(&segment, 0, sizeof(segment));
    segment.flags = GNTCOPY_source_gref;
    segment.source.foreign.ref = reference;
    segment.source.foreign.domid = (uint16_t)vif->domid;
    segment.dest.virt = table;
    segment.len = (uint16_t)length;
    return xengnttab_grant_copy(vif->netback->xgt, 1, &segment) == 0 && segment.status == GNTST_okay;
}

static uint32_t set_algorithm(struct vif_hash *hash, uint32_t algorithm)
{
    if (algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_NONE && algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ)
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    hash->algorithm = algorithm;
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

/* Without an algorithm there are no types of hash. */
static uint32_t get_flags(const struct vif_hash *hash, uint32_t *data)
{
    if (hash->algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE)
        return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
    *data = HASH_TYPES;
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_flags(struct vif_hash *hash, uint32_t flags)
{
    if (flags & ~(uint32_t)HASH_TYPES)
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    if (hash->algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE)
        return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
    hash->flags = flags;
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_key(struct vif *vif, uint32_t reference, uint32_t size)
{
    union table table;

    if (size > TOEPLITZ_KEY_SIZE)
        return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
    if (!fetch(vif, reference, &table, size))
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    memcpy(vif->hash.key, table.byte, sizeof(vif->hash.key)); /* zeroes behind what was set */
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_mapping_size(struct vif_hash *hash, uint32_t size)
{
    if (size > HASH_MAPPING_MAX)
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    hash->mapping_size = size;
    memset(hash->mapping, 0, sizeof(hash->mapping));
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

/* All of the sub-table or nothing of it. */
static uint32_t set_mapping(struct vif *vif, uint32_t reference, uint32_t count, uint32_t offset)
{
    struct vif_hash *hash = &vif->hash;
    union table table;

    if (count > HASH_MAPPING_MAX || offset > HASH_MAPPING_MAX || offset + count > HASH_MAPPING_MAX)
        return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
    if (offset + count > hash->mapping_size || !fetch(vif, reference, &table, count * (uint32_t)sizeof(uint32_t)))
        return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    for (uint32_t i = 0; i < count; i++) {
        if (table.entry[i] >= vif->queues)
            return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
    }
    memcpy(hash->mapping + offset, table.entry, count * sizeof(uint32_t));
    return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

/* Static grants are not served: their three types are answered as those that nobody knows. */
static uint32_t act(struct vif *vif, const struct xen_netif_ctrl_request *request, uint32_t *data)
{
    switch (request->type) {
    case XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS:
        return get_flags(&vif->hash, data);
    case XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS:
        return set_flags(&vif->hash, request->data[0]);
    case XEN_NETIF_CTRL_TYPE_SET_HASH_KEY:
        return set_key(vif, request->data[0], request->data[1]);
    case XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE:
        *data = HASH_MAPPING_MAX;
        return XEN_NETIF_CTRL_STATUS_SUCCESS;
    case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE:
        return set_mapping_size(&vif->hash, request->data[0]);
    case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING:
        return set_mapping(vif, request->data[0], request->data[1], request->data[2]);
    case XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM:
        return set_algorithm(&vif->hash, request->data[0]);
    default:
        return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
    }
}

static void answer(struct vif *vif)
{
    struct vif_control *control = &vif->control;
    struct xen_netif_ctrl_request request;
    struct xen_netif_ctrl_response response = {0};
    const struct vif_hash before = vif->hash;
    uint32_t data = 0;

    ring_copy_slot(&request, &control->ring->ring[control->req_cons++ % CONTROL_SLOTS], sizeof(request));
    response.id = request.id;
    response.type = request.type;
    response.status = act(vif, &request, &data);
    response.data = data;
    if (response.status != XEN_NETIF_CTRL_STATUS_SUCCESS)
        vif_log(vif, BACKEND_LOG_DEBUG, "control request of type %u (%u, %u, %u) answered by status %u", request.type,
                request.data[0], request.data[1], request.data[2], response.status);
    control->ring->ring[control->rsp_prod++ % CONTROL_SLOTS].rsp = response;
    vif->statistics->control++;
    if (memcmp(&before, &vif->hash, sizeof(before)) != 0)
        rx_settle(vif);
}

bool control_poll(struct vif *vif)
{
    struct vif_control *control = &vif->control;
    RING_IDX produced, published = control->rsp_prod;
    unsigned answered = 0;

    if (!control->ring)
        return false;
    produced = ring_load(&control->ring->req_prod);
    if (produced - control->rsp_prod > CONTROL_SLOTS) {
        vif_fatal(vif, "control ring: %u requests produced ahead of the responses", produced - control->rsp_prod);
        return false;
    }
    if (control->req_cons == produced)
        return ring_sleep(&control->ring->req_prod, &control->ring->req_event, produced + 1) != produced;
    for (; control->req_cons != produced && answered < CONTROL_BUDGET; answered++)
        answer(vif);
    if (ring_publish(&control->ring->rsp_prod, &control->ring->rsp_event, published, control->rsp_prod) &&
        xenevtchn_notify(vif->netback->xce, control->port) != 0)
        vif_log(vif, BACKEND_LOG_WARNING, "the frontend can't be notified of its control ring");
    return true; /* the look that finds nothing asks for the event */
}
