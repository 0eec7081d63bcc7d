/*
 * Network to guest: io/netif.h, "Guest receive". The state of a frame under way is one small structure, and each kind
 * of slot is produced by a function of its name. Frames are held back, in order, while the frontend has posted too few
 * requests.
 */
#include "vif.h"

#include <stdlib.h>

/* A frame that is being put into slots. */
struct rx_packet {
    const uint8_t *data;
    uint32_t left;  /* bytes that are in no slot yet */
    unsigned frame; /* its number in the batch */
    uint16_t flags; /* NETRXF_* of the first slot */
};

struct rx_slot {
    netif_rx_response_t response;
    unsigned frame;
};

struct rx_batch {
    struct rx_slot slot[RING_SLOTS];
    xengnttab_grant_copy_segment_t segment[RING_SLOTS]; /* one a slot */
    unsigned slots;
    uint32_t bytes[VIF_BUDGET]; /* of each frame */
    bool faulty[VIF_BUDGET];
    unsigned frames;
};

struct rx_batch *rx_batch_create(void)
{
    return calloc(1, sizeof(struct rx_batch));
}

void rx_batch_destroy(struct rx_batch *batch)
{
    free(batch);
}

static unsigned slots_needed(const struct port_frame *frame)
{
    return (frame->length + RING_PAGE_SIZE - 1) / RING_PAGE_SIZE;
}

/* Consume a request and fill its page with the packet's next bytes. */
static struct rx_slot *produce_slot(struct vif *vif, struct rx_batch *batch, struct rx_packet *packet)
{
    struct rx_queue *rx = &vif->rx;
    xengnttab_grant_copy_segment_t *segment = &batch->segment[batch->slots];
    struct rx_slot *slot = &batch->slot[batch->slots++];
    uint32_t length = packet->left < RING_PAGE_SIZE ? packet->left : RING_PAGE_SIZE;
    netif_rx_request_t request;

    ring_copy_slot(&request, &rx->ring->ring[rx->req_cons++ % RING_SLOTS], sizeof(request));
    memset(segment, 0, sizeof(*segment));
    segment->flags = GNTCOPY_dest_gref;
    segment->source.virt = (void *)(uintptr_t)packet->data; /* a source: only read */
    segment->dest.foreign.ref = request.gref;
    segment->dest.foreign.domid = (uint16_t)vif->domid;
    segment->len = (uint16_t)length;
    packet->data += length;
    packet->left -= length;
    slot->frame = packet->frame;
    slot->response = (netif_rx_response_t){.id = request.id, .status = (int16_t)length};
    if (packet->left)
        slot->response.flags |= NETRXF_more_data;
    vif->statistics->rx.ring.requests++;
    return slot;
}

static void produce_first_slot(struct vif *vif, struct rx_batch *batch, struct rx_packet *packet)
{
    struct rx_slot *slot = produce_slot(vif, batch, packet);

    slot->response.flags |= packet->flags;
}

static void produce_data_slots(struct vif *vif, struct rx_batch *batch, struct rx_packet *packet)
{
    while (packet->left)
        produce_slot(vif, batch, packet);
}

static void produce_frame(struct vif *vif, struct rx_batch *batch, const struct port_frame *frame)
{
    struct rx_packet packet = {.data = frame->data, .left = frame->length, .frame = batch->frames};

    batch->bytes[batch->frames] = frame->length;
    batch->faulty[batch->frames] = false;
    batch->frames++;
    produce_first_slot(vif, batch, &packet);
    produce_data_slots(vif, batch, &packet);
}

/* The frame that is next for the guest, or NULL when there is none. */
static const struct port_frame *next_frame(struct vif *vif)
{
    struct rx_queue *rx = &vif->rx;

    if (!rx->held)
        rx->held = vif->port->ops->receive(vif->port, &rx->frame);
    return rx->held ? &rx->frame : NULL;
}

static void drop_frame(struct vif *vif, const char *why)
{
    enum backend_log_level level = vif->statistics->rx.drops++ ? BACKEND_LOG_DEBUG : BACKEND_LOG_WARNING;

    vif_log(vif, level, "frame of %u bytes for the guest dropped: %s", vif->rx.frame.length, why);
    vif->rx.held = false;
}

/*
 * Are there requests for `needed` slots? If not the frontend will say when there are. Sets *broken when it has produced
 * more requests than a ring has, or fewer than were taken: neither must be for what is gathered to fit in the batch.
 */
static bool requests_available(struct vif *vif, unsigned needed, bool *broken)
{
    struct rx_queue *rx = &vif->rx;
    RING_IDX produced = ring_load(&rx->ring->req_prod);

    if (produced - rx->req_cons < needed && rx->notify)
        produced = ring_sleep(&rx->ring->req_prod, &rx->ring->req_event, rx->req_cons + needed);
    *broken = produced - rx->rsp_prod > RING_SLOTS || produced - rx->rsp_prod < rx->req_cons - rx->rsp_prod;
    if (*broken)
        vif_fatal(vif, "receive ring: %u requests produced ahead of the responses, %u of them taken",
                  produced - rx->rsp_prod, rx->req_cons - rx->rsp_prod);
    return !*broken && produced - rx->req_cons >= needed;
}

/* Put frames into slots until budget, frames or requests are at their end. True: it was the budget. */
static bool gather(struct vif *vif, struct rx_batch *batch, bool *broken)
{
    const struct port_frame *frame;

    batch->slots = batch->frames = 0;
    while (batch->frames < VIF_BUDGET) {
        unsigned needed;

        /* A frame that is taken off the end and finds no room is lost with the VIF. */
        if (!vif->rx.held && vif->rx.notify && !requests_available(vif, 1, broken))
            return false;
        frame = next_frame(vif);
        if (!frame)
            return false;
        needed = slots_needed(frame);
        if (needed > 1 && !vif->rx.sg) {
            drop_frame(vif, "the frontend takes one slot a frame");
            continue;
        }
        if (!requests_available(vif, needed, broken)) {
            if (*broken || vif->rx.notify)
                return false;
            drop_frame(vif, "no requests, and the frontend does not tell of new ones");
            continue;
        }
        produce_frame(vif, batch, frame);
        vif->rx.held = false;
    }
    return true;
}

static void respond(struct vif *vif, struct rx_batch *batch)
{
    struct rx_queue *rx = &vif->rx;
    bool reached = xengnttab_grant_copy(vif->netback->xgt, batch->slots, batch->segment) == 0;

    for (unsigned i = 0; i < batch->slots; i++) {
        struct rx_slot *slot = &batch->slot[i];

        if (!reached || batch->segment[i].status != GNTST_okay) {
            slot->response.status = NETIF_RSP_ERROR;
            batch->faulty[slot->frame] = true;
        }
        rx->ring->ring[rx->rsp_prod++ % RING_SLOTS].rsp = slot->response;
    }
    vif->statistics->rx.ring.responses += batch->slots;
}

static void count(struct vif *vif, const struct rx_batch *batch)
{
    struct netback_direction_statistics *statistics = &vif->statistics->rx;

    for (unsigned i = 0; i < batch->frames; i++) {
        if (batch->faulty[i]) {
            enum backend_log_level level = statistics->errors++ ? BACKEND_LOG_DEBUG : BACKEND_LOG_WARNING;

            vif_log(vif, level, "frame of %u bytes for the guest: its pages can't be written through their grants",
                    batch->bytes[i]);
            continue;
        }
        statistics->frames++;
        statistics->bytes += batch->bytes[i];
    }
}

bool rx_poll(struct vif *vif)
{
    struct rx_batch *batch = vif->netback->rx_batch;
    struct rx_queue *rx = &vif->rx;
    RING_IDX published = rx->rsp_prod;
    bool broken = false, more, wanted;

    more = gather(vif, batch, &broken);
    if (broken || !batch->frames)
        return false;
    respond(vif, batch);
    count(vif, batch);
    wanted = ring_publish(&rx->ring->rsp_prod, &rx->ring->rsp_event, published, rx->rsp_prod);
    vif_notify(vif, rx->port, wanted, &vif->statistics->rx.ring);
    return more;
}
