/*
 * Guest to network: io/netif.h, "Guest transmit". Requests are copied from the ring, a frame's worth at a time, and
 * judged by the copies; the frames' bytes are fetched by one grant copy for a whole batch.
 */
#include "vif.h"

#include <stdlib.h>

#define BUFFER_SIZE (2u * 65536)

/* One slot of the ring: a request, or an extra info behind the first request of a frame. */
struct tx_slot {
    bool extra;
    union {
        netif_tx_request_t request;
        netif_extra_info_t info;
    } u;
};

struct tx_frame {
    unsigned first; /* in tx_batch.slot, where its slots begin */
    unsigned slots; /* extras included */
    unsigned first_segment;
    unsigned segments;
    uint32_t offset; /* in the buffer */
    uint32_t size;
    const char *fault; /* why it is refused; NULL: it is good */
};

struct tx_batch {
    struct tx_slot slot[RING_SLOTS];
    unsigned slots;
    struct tx_frame frame[VIF_BUDGET];
    unsigned frames;
    xengnttab_grant_copy_segment_t segment[RING_SLOTS];
    unsigned segments;
    uint32_t used;   /* bytes of the buffer */
    uint8_t *buffer; /* in storage, at the start of a page */
    uint8_t storage[BUFFER_SIZE + RING_PAGE_SIZE];
};

struct tx_batch *tx_batch_create(void)
{
    struct tx_batch *batch = calloc(1, sizeof(*batch));

    /* A copy that crosses a page of ours is two for Xen: how many there are must not depend on where the heap put us.
     */
    batch->buffer = batch->storage + (-(uintptr_t)batch->storage & (RING_PAGE_SIZE - 1));
    return batch;
}

void tx_batch_destroy(struct tx_batch *batch)
{
    free(batch);
}

/* Copy the slot at `index` to the end of the batch. */
static struct tx_slot *take_slot(const struct tx_queue *tx, struct tx_batch *batch, RING_IDX index, bool extra)
{
    const union netif_tx_sring_entry *entry = &tx->ring->ring[index % RING_SLOTS];
    struct tx_slot *slot = &batch->slot[batch->slots++];

    slot->extra = extra;
    if (extra)
        ring_copy_slot(&slot->u.info, entry, sizeof(slot->u.info));
    else
        ring_copy_slot(&slot->u.request, entry, sizeof(slot->u.request));
    return slot;
}

/* Copy a frame's slots. Returns how many there are, 0 when not all of them have been produced yet. */
static unsigned take_frame(const struct tx_queue *tx, struct tx_batch *batch, RING_IDX index, RING_IDX produced)
{
    const RING_IDX start = index;
    const unsigned first = batch->slots;
    const struct tx_slot *slot = take_slot(tx, batch, index++, false);
    bool extra = slot->u.request.flags & NETTXF_extra_info;
    bool more = slot->u.request.flags & NETTXF_more_data;

    while (extra || more) {
        if (index == produced) {
            batch->slots = first;
            return 0;
        }
        slot = take_slot(tx, batch, index++, extra);
        if (extra)
            extra = slot->u.info.flags & XEN_NETIF_EXTRA_FLAG_MORE;
        else
            more = slot->u.request.flags & NETTXF_more_data;
    }
    return index - start;
}

/*
 * The first request carries the size of the whole frame: turn it into that of its own part. NULL, or why the frame is
 * refused.
 */
static const char *judge(struct tx_slot *slot, unsigned slots, uint32_t *size)
{
    netif_tx_request_t *first = &slot[0].u.request;
    uint32_t rest = 0;
    unsigned requests = 0;

    *size = first->size;
    for (unsigned i = 0; i < slots; i++) {
        if (slot[i].extra)
            return "extra info of a kind that was not offered";
        requests++;
        if (i)
            rest += slot[i].u.request.size;
    }
    if (requests > FRAME_SLOTS_MAX)
        return "more slots than a frame may take";
    if (first->flags & NETTXF_csum_blank)
        return "checksum left to the backend, which was not offered";
    if (*size < PORT_FRAME_MIN)
        return "shorter than an Ethernet header";
    if (rest >= *size)
        return "its parts are larger than the whole";
    first->size = (uint16_t)(*size - rest);
    for (unsigned i = 0; i < slots; i++) {
        const netif_tx_request_t *request = &slot[i].u.request;

        if (!request->size)
            return "a slot without bytes";
        if ((uint32_t)request->offset + request->size > RING_PAGE_SIZE)
            return "a slot that passes the end of its page";
    }
    return NULL;
}

/* A grant-copy segment for each slot of a good frame. */
static void add_segments(const struct vif *vif, struct tx_batch *batch, struct tx_frame *frame)
{
    uint8_t *to = batch->buffer + batch->used;

    frame->offset = batch->used;
    frame->first_segment = batch->segments;
    frame->segments = frame->slots;
    for (unsigned i = 0; i < frame->slots; i++) {
        const netif_tx_request_t *request = &batch->slot[frame->first + i].u.request;
        xengnttab_grant_copy_segment_t *segment = &batch->segment[batch->segments++];

        memset(segment, 0, sizeof(*segment));
        segment->flags = GNTCOPY_source_gref;
        segment->source.foreign.ref = request->gref;
        segment->source.foreign.domid = (uint16_t)vif->domid;
        segment->source.foreign.offset = request->offset;
        segment->dest.virt = to;
        segment->len = request->size;
        to += request->size;
    }
    batch->used += frame->size;
}

/* Take whole frames off the ring until the batch or the ring is at its end. False: the frontend broke the ring. */
static bool gather(struct vif *vif, struct tx_batch *batch, RING_IDX produced)
{
    struct tx_queue *tx = &vif->tx;

    batch->slots = batch->frames = batch->segments = 0;
    batch->used = 0;
    while (tx->req_cons != produced && batch->frames < VIF_BUDGET) {
        struct tx_frame *frame = &batch->frame[batch->frames];
        unsigned first = batch->slots;

        *frame = (struct tx_frame){.first = first};
        frame->slots = take_frame(tx, batch, tx->req_cons, produced);
        if (!frame->slots) {
            if (produced - tx->rsp_prod == RING_SLOTS && tx->req_cons == tx->rsp_prod) {
                vif_fatal(vif, "a frame that takes the whole transmit ring and goes on");
                return false;
            }
            break; /* its rest is still to come */
        }
        frame->fault = judge(&batch->slot[first], frame->slots, &frame->size);
        if (!frame->fault && frame->size > BUFFER_SIZE - batch->used) {
            batch->slots = first; /* for the next batch */
            break;
        }
        if (!frame->fault)
            add_segments(vif, batch, frame);
        tx->req_cons += frame->slots;
        vif->statistics->tx.ring.requests += frame->slots;
        batch->frames++;
    }
    return true;
}

static void fetch(struct vif *vif, struct tx_batch *batch)
{
    bool reached = !batch->segments || xengnttab_grant_copy(vif->netback->xgt, batch->segments, batch->segment) == 0;

    for (unsigned i = 0; i < batch->frames; i++) {
        struct tx_frame *frame = &batch->frame[i];

        for (unsigned s = frame->first_segment; s < frame->first_segment + frame->segments && !frame->fault; s++) {
            if (!reached || batch->segment[s].status != GNTST_okay)
                frame->fault = "its memory can't be read through its grants";
        }
    }
}

static void respond(struct vif *vif, const struct tx_batch *batch, const struct tx_frame *frame)
{
    struct tx_queue *tx = &vif->tx;

    for (unsigned i = 0; i < frame->slots; i++) {
        const struct tx_slot *slot = &batch->slot[frame->first + i];
        netif_tx_response_t response = {.status = NETIF_RSP_NULL};

        if (!slot->extra) {
            response.id = slot->u.request.id;
            response.status = frame->fault ? NETIF_RSP_ERROR : NETIF_RSP_OKAY;
        }
        tx->ring->ring[tx->rsp_prod++ % RING_SLOTS].rsp = response;
    }
    vif->statistics->tx.ring.responses += frame->slots;
}

static void deliver(struct vif *vif, const struct tx_batch *batch, const struct tx_frame *frame)
{
    struct netback_direction_statistics *statistics = &vif->statistics->tx;
    struct port_frame carried = {batch->buffer + frame->offset, frame->size};

    if (frame->fault) {
        enum backend_log_level level = statistics->errors++ ? BACKEND_LOG_DEBUG : BACKEND_LOG_WARNING;

        vif_log(vif, level, "frame of %u bytes in %u slots from the guest refused: %s", frame->size, frame->slots,
                frame->fault);
        return;
    }
    statistics->frames++;
    statistics->bytes += frame->size;
    vif->port->ops->transmit(vif->port, &carried);
}

/* Nothing more can be taken now: ask for an event, and look whether it came too late for that. */
static bool sleep_on_ring(struct vif *vif, RING_IDX seen)
{
    struct tx_queue *tx = &vif->tx;

    return ring_sleep(&tx->ring->req_prod, &tx->ring->req_event, seen + 1) != seen;
}

bool tx_poll(struct vif *vif)
{
    struct tx_batch *batch = vif->netback->tx_batch;
    struct tx_queue *tx = &vif->tx;
    RING_IDX produced = ring_load(&tx->ring->req_prod), published = tx->rsp_prod;
    bool wanted;

    if (produced - tx->rsp_prod > RING_SLOTS) {
        vif_fatal(vif, "transmit ring: %u requests produced ahead of the responses", produced - tx->rsp_prod);
        return false;
    }
    if (!gather(vif, batch, produced))
        return false;
    if (!batch->frames)
        return sleep_on_ring(vif, produced);
    fetch(vif, batch);
    for (unsigned i = 0; i < batch->frames; i++) {
        deliver(vif, batch, &batch->frame[i]);
        respond(vif, batch, &batch->frame[i]);
    }
    wanted = ring_publish(&tx->ring->rsp_prod, &tx->ring->rsp_event, published, tx->rsp_prod);
    vif_notify(vif, tx->port, wanted, &vif->statistics->tx.ring);
    return true; /* the look that finds nothing asks for the event */
}
