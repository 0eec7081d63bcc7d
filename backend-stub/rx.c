/*
 * Network to guest: io/netif.h, "Guest receive". The state of a frame under way is one small structure, and each kind
 * of slot is produced by a function of its name. Frames are held back, in order, while the frontend has posted too few
 * requests on the queue that they are steered to.
 */
#include "vif.h"
#include "wait.h"

#include <stdlib.h>

/* A frame, or a segment of one, that is being put into slots: headers of our making, if any, then bytes of the end's.
 */
struct rx_packet {
    const uint8_t *headers;
    uint32_t headers_left;
    const uint8_t *data;
    uint32_t left;
    unsigned frame; /* its number in the batch */
};

struct rx_slot {
    union {
        netif_rx_response_t response;
        netif_extra_info_t extra;
    } u;
    bool extra;
    unsigned first_segment, segments;
    struct vif_queue *queue;
    unsigned frame;
};

struct rx_frame {
    uint32_t bytes;
    bool faulty;
    bool large, blank;
    struct vif_queue *queue;
};

struct rx_batch {
    struct rx_slot slot[RING_SLOTS];
    unsigned slots;
    xengnttab_grant_copy_segment_t segment[2 * RING_SLOTS];
    unsigned segments;
    struct rx_frame frame[VIF_BUDGET];
    unsigned frames;
    unsigned spent;                         /* of the budget, with frames that do not reach the guest */
    uint8_t (*headers)[PACKET_HEADERS_MAX]; /* of each frame; in storage, at the start of a page */
    uint8_t storage[VIF_BUDGET * PACKET_HEADERS_MAX + RING_PAGE_SIZE];
};

struct rx_batch *rx_batch_create(void)
{
    struct rx_batch *batch = calloc(1, sizeof(*batch));

    /* As in tx.c: none of the headers crosses a page, wherever the heap put us. */
    if (batch)
        batch->headers = (void *)(batch->storage + (-(uintptr_t)batch->storage & (RING_PAGE_SIZE - 1)));
    return batch;
}

void rx_batch_destroy(struct rx_batch *batch)
{
    free(batch);
}

/* ---- which frame, where to, in which form ---- */

/* Does the guest want to hear of this address? Broadcasts are for everybody. */
static bool wanted(const struct vif *vif, const struct port_frame *frame)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    if (!vif->multicast_filter || !(frame->data[0] & 1) || memcmp(frame->data, broadcast, sizeof(broadcast)) == 0)
        return true;
    for (unsigned i = 0; i < vif->multicast_count; i++) {
        if (memcmp(frame->data, vif->multicast[i], sizeof(vif->multicast[i])) == 0)
            return true;
    }
    return false;
}

static void drop_frame(struct vif *vif, const char *why)
{
    enum backend_log_level level = vif->statistics->rx.drops++ ? BACKEND_LOG_DEBUG : BACKEND_LOG_WARNING;

    vif_log(vif, level, "frame of %u bytes for the guest dropped: %s", vif->next_frame.frame.length, why);
    vif->next_frame.held = false;
}

/* The queue by the mapping that the guest has set, else one for all frames of a flow. The guest learns of the hash. */
static void steer(struct vif *vif, struct rx_next *next)
{
    struct port_frame *frame = &next->frame;
    const struct vif_hash *hash = &vif->hash;

    frame->hash_algorithm = XEN_NETIF_CTRL_HASH_ALGORITHM_NONE;
    frame->hash = 0;
    next->queue = 0;
    if (hash->algorithm == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE || !hash->flags) {
        if (vif->queues > 1)
            next->queue = packet_flow(frame->data, &next->packet) % vif->queues;
        return;
    }
    if (toeplitz_packet(hash->key, hash->flags, frame->data, &next->packet, &frame->hash, &frame->hash_type))
        frame->hash_algorithm = (uint8_t)hash->algorithm;
    if (hash->mapping_size)
        next->queue = hash->mapping[frame->hash % hash->mapping_size];
    else
        next->queue = frame->hash % vif->queues;
}

/* In which form the guest can have the frame, and on which queue. False: in none, and it is gone. */
static bool judge(struct vif *vif, struct rx_next *next)
{
    const struct vif_takes *takes = &vif->takes;
    const struct port_frame *frame = &next->frame;
    bool blank = frame->checksum == PORT_CHECKSUM_BLANK;

    next->whole = next->complete = false;
    next->packet = (struct packet){0};
    if (blank || vif->queues > 1 || vif->hash.algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_NONE)
        packet_parse(frame->data, frame->length, &next->packet);
    if (blank && !next->packet.checksum) {
        drop_frame(vif, "its checksum is to be completed, and it has none");
        return false;
    }
    if (frame->gso != PORT_GSO_NONE && (!blank || !frame->gso_size || next->packet.protocol != PACKET_TCP ||
                                        next->packet.version != (frame->gso == PORT_GSO_TCPV4 ? 4 : 6))) {
        drop_frame(vif, "it is to be cut into segments, and can't be");
        return false;
    }
    if (frame->gso != PORT_GSO_NONE) {
        next->whole =
            !next->done && next->packet.common && (frame->gso == PORT_GSO_TCPV4 ? takes->gso_tcpv4 : takes->gso_tcpv6);
        next->complete = !next->whole;
    } else if (blank) {
        next->complete = !next->packet.common || !(next->packet.version == 4 ? takes->csum : takes->csum_ipv6);
    }
    steer(vif, next);
    next->judged = true;
    return true;
}

/*
 * Are there requests for `needed` slots? If not the frontend will say when there are, or, with busy polling, after a
 * turn that carries frames, they are looked for first. Sets *broken when it has produced more requests than a ring has,
 * or fewer than were taken: neither must be for what is gathered to fit in the batch.
 */
static bool requests_available(struct vif_queue *queue, unsigned needed, bool *broken)
{
    struct vif *vif = queue->vif;
    struct netback *netback = vif->netback;
    struct rx_queue *rx = &queue->rx;
    RING_IDX produced = ring_load(&rx->ring->req_prod);

    if (produced - rx->req_cons < needed && vif->takes.rx_notify) {
        rx->lacking = rx->req_cons + needed;
        if (netback->options.busy_poll_us && netback->rx_batch->frames)
            vif->rx_lacks |= 1u << queue->index;
        else
            produced = ring_sleep(&rx->ring->req_prod, &rx->ring->req_event, rx->lacking);
    }
    *broken = produced - rx->rsp_prod > RING_SLOTS || produced - rx->rsp_prod < rx->req_cons - rx->rsp_prod;
    if (*broken)
        vif_fatal(vif, "receive ring: %u requests produced ahead of the responses, %u of them taken",
                  produced - rx->rsp_prod, rx->req_cons - rx->rsp_prod);
    return !*broken && produced - rx->req_cons >= needed;
}

/* Has any queue a request? A frame that is taken off the end and finds no room is lost with the VIF. */
static bool any_request(struct vif *vif, bool *broken)
{
    for (unsigned i = 0; i < vif->queues && !*broken; i++) {
        if (requests_available(&vif->queue[i], 1, broken))
            return true;
    }
    return false;
}

/* The frame that is next for the guest, or NULL when there is none (now). */
static struct rx_next *next_frame(struct vif *vif, bool *broken)
{
    struct rx_next *next = &vif->next_frame;

    if (!next->held) {
        if (vif->takes.rx_notify && !any_request(vif, broken))
            return NULL;
        *next = (struct rx_next){0};
        next->held = vif->port->ops->receive(vif->port, &next->frame);
    }
    return next->held ? next : NULL;
}

/* Can it go, now or later? False: it is gone. */
static bool is_for_guest(struct vif *vif, struct rx_next *next)
{
    if (next->judged)
        return true;
    if (wanted(vif, &next->frame))
        return judge(vif, next);
    vif->statistics->filtered++;
    next->held = false;
    return false;
}

/* ---- slots ---- */

static void add_segment(const struct vif *vif, struct rx_batch *batch, const uint8_t *from, uint32_t length,
                        const netif_rx_request_t *request, uint32_t offset)
{
    xengnttab_grant_copy_segment_t *segment = &batch->segment[batch->segments++];

    memset(segment, 0, sizeof(*segment));
    segment->flags = GNTCOPY_dest_gref;
    segment->source.virt = (void *)(uintptr_t)from; /* a source: only read */
    segment->dest.foreign.ref = request->gref;
    segment->dest.foreign.domid = (uint16_t)vif->domid;
    segment->dest.foreign.offset = (uint16_t)offset;
    segment->len = (uint16_t)length;
}

/* Consume a request. */
static struct rx_slot *take_request(struct vif_queue *queue, struct rx_batch *batch, unsigned frame,
                                    netif_rx_request_t *request)
{
    struct rx_queue *rx = &queue->rx;
    struct rx_slot *slot = &batch->slot[batch->slots++];

    ring_copy_slot(request, &rx->ring->ring[rx->req_cons++ % RING_SLOTS], sizeof(*request));
    memset(slot, 0, sizeof(*slot));
    slot->queue = queue;
    slot->frame = frame;
    slot->first_segment = batch->segments;
    queue->vif->statistics->rx.ring.requests++;
    return slot;
}

/* Fill a request's page with the packet's next bytes. */
static struct rx_slot *produce_slot(struct vif_queue *queue, struct rx_batch *batch, struct rx_packet *packet)
{
    netif_rx_request_t request;
    struct rx_slot *slot = take_request(queue, batch, packet->frame, &request);
    uint32_t own = packet->headers_left, length;

    if (own) {
        add_segment(queue->vif, batch, packet->headers, own, &request, 0);
        packet->headers_left = 0;
    }
    length = packet->left < RING_PAGE_SIZE - own ? packet->left : RING_PAGE_SIZE - own;
    if (length)
        add_segment(queue->vif, batch, packet->data, length, &request, own);
    packet->data += length;
    packet->left -= length;
    slot->segments = batch->segments - slot->first_segment;
    slot->u.response = (netif_rx_response_t){.id = request.id, .status = (int16_t)(own + length)};
    if (packet->left)
        slot->u.response.flags |= NETRXF_more_data;
    return slot;
}

/* An extra info takes the place of a response; which request it was is told by its place alone. */
static void produce_extra_slot(struct vif_queue *queue, struct rx_batch *batch, unsigned frame,
                               const netif_extra_info_t *extra)
{
    netif_rx_request_t request;
    struct rx_slot *slot = take_request(queue, batch, frame, &request);

    slot->extra = true;
    slot->u.extra = *extra;
}

static void produce_extra_slots(struct vif_queue *queue, struct rx_batch *batch, const struct rx_next *next,
                                unsigned frame)
{
    const struct port_frame *from = &next->frame;
    netif_extra_info_t gso = {.type = XEN_NETIF_EXTRA_TYPE_GSO}, hash = {.type = XEN_NETIF_EXTRA_TYPE_HASH};

    if (next->whole) {
        gso.u.gso.size = from->gso_size;
        gso.u.gso.type = from->gso == PORT_GSO_TCPV4 ? XEN_NETIF_GSO_TYPE_TCPV4 : XEN_NETIF_GSO_TYPE_TCPV6;
        gso.flags = from->hash_algorithm ? XEN_NETIF_EXTRA_FLAG_MORE : 0;
        produce_extra_slot(queue, batch, frame, &gso);
    }
    if (from->hash_algorithm) {
        hash.u.hash.algorithm = from->hash_algorithm;
        hash.u.hash.type = from->hash_type;
        memcpy(hash.u.hash.value, &from->hash, sizeof(from->hash)); /* its low byte first, as here */
        produce_extra_slot(queue, batch, frame, &hash);
    }
}

static unsigned extras_needed(const struct rx_next *next)
{
    return next->whole + (next->frame.hash_algorithm != 0);
}

/* Bytes of what goes next: the frame, or a segment of it. */
static uint32_t next_length(const struct rx_next *next)
{
    const struct packet *packet = &next->packet;
    uint32_t left;

    if (next->frame.gso == PORT_GSO_NONE || next->whole)
        return next->frame.length;
    left = packet->end - packet->payload - next->done;
    return packet->payload + (left < next->frame.gso_size ? left : next->frame.gso_size);
}

static unsigned slots_needed(const struct rx_next *next)
{
    return (next_length(next) + RING_PAGE_SIZE - 1) / RING_PAGE_SIZE;
}

/* The flags of the first slot. */
static uint16_t first_flags(const struct rx_next *next)
{
    const struct port_frame *frame = &next->frame;
    uint16_t flags = extras_needed(next) ? NETRXF_extra_info : 0;

    if (frame->checksum == PORT_CHECKSUM_BLANK && !next->complete)
        flags |= NETRXF_csum_blank | NETRXF_data_validated;
    else if (frame->checksum == PORT_CHECKSUM_VALIDATED || next->complete)
        flags |= NETRXF_data_validated;
    return flags;
}

/* Headers of our own for a frame whose checksum is completed here, and for each segment. */
static void make_headers(struct vif *vif, struct rx_batch *batch, struct rx_next *next, struct rx_packet *packet)
{
    const struct port_frame *frame = &next->frame;
    uint32_t headers = next->packet.payload, data;

    packet->headers = batch->headers[packet->frame];
    packet->headers_left = headers;
    packet->data += headers + next->done;
    packet->left = next_length(next) - headers;
    data = packet->left;
    if (frame->gso == PORT_GSO_NONE) {
        memcpy(batch->headers[packet->frame], frame->data, headers);
        data = next->packet.end - headers;
    } else {
        packet_segment(batch->headers[packet->frame], frame->data, &next->packet, next->done, data, next->segments++);
        next->done += data;
    }
    packet_complete(batch->headers[packet->frame], &next->packet, packet->data, data);
    vif->statistics->rx.summed++;
}

/* Put the next frame, or its next segment, into slots. */
static void produce_frame(struct vif_queue *queue, struct rx_batch *batch, struct rx_next *next)
{
    struct rx_packet packet = {.data = next->frame.data, .left = next->frame.length, .frame = batch->frames};
    struct rx_frame *frame = &batch->frame[batch->frames++];
    struct rx_slot *first;

    *frame = (struct rx_frame){.bytes = next_length(next), .queue = queue, .large = next->whole};
    frame->blank = next->frame.checksum == PORT_CHECKSUM_BLANK && !next->complete;
    if (next->complete)
        make_headers(queue->vif, batch, next, &packet);
    first = produce_slot(queue, batch, &packet);
    first->u.response.flags |= first_flags(next);
    produce_extra_slots(queue, batch, next, packet.frame);
    while (packet.left)
        produce_slot(queue, batch, &packet);
    if (next->done && next->done == next->packet.end - next->packet.payload)
        queue->vif->statistics->rx.cut++;
    next->held = next->done && next->done < next->packet.end - next->packet.payload;
}

/* Put frames into slots until budget, frames or requests are at their end. True: it was the budget. */
static bool gather(struct vif *vif, struct rx_batch *batch, bool *broken)
{
    struct rx_next *next;

    batch->slots = batch->segments = batch->frames = 0;
    for (batch->spent = 0; batch->spent < VIF_BUDGET; batch->spent++) {
        struct vif_queue *queue;
        unsigned needed;

        if (!(next = next_frame(vif, broken)))
            return false;
        if (!is_for_guest(vif, next))
            continue;
        queue = &vif->queue[next->queue];
        needed = slots_needed(next);
        if (needed > 1 && !vif->takes.sg) {
            drop_frame(vif, "the frontend takes one slot a frame");
            continue;
        }
        needed += extras_needed(next);
        if (batch->slots + needed > RING_SLOTS)
            return true;
        if (requests_available(queue, needed, broken))
            produce_frame(queue, batch, next);
        else if (*broken || vif->takes.rx_notify)
            return false;
        else
            drop_frame(vif, "no requests, and the frontend does not tell of new ones");
    }
    return true;
}

/* ---- responses ---- */

static void respond(struct vif *vif, struct rx_batch *batch)
{
    bool reached = xengnttab_grant_copy(vif->netback->xgt, batch->segments, batch->segment) == 0;

    for (unsigned i = 0; i < batch->slots; i++) {
        struct rx_slot *slot = &batch->slot[i];
        struct rx_queue *rx = &slot->queue->rx;
        bool written = reached;

        for (unsigned s = slot->first_segment; s < slot->first_segment + slot->segments; s++)
            written = written && batch->segment[s].status == GNTST_okay;
        if (!written && !slot->extra) {
            slot->u.response.status = NETIF_RSP_ERROR;
            batch->frame[slot->frame].faulty = true;
        }
        rx->ring->ring[rx->rsp_prod++ % RING_SLOTS].rsp = slot->u.response; /* or the extra that lies there */
    }
    vif->statistics->rx.ring.responses += batch->slots;
}

static void count(struct vif *vif, const struct rx_batch *batch)
{
    struct netback_direction_statistics *statistics = &vif->statistics->rx;

    for (unsigned i = 0; i < batch->frames; i++) {
        const struct rx_frame *frame = &batch->frame[i];

        if (frame->faulty) {
            enum backend_log_level level = statistics->errors++ ? BACKEND_LOG_DEBUG : BACKEND_LOG_WARNING;

            vif_log(vif, level, "frame of %u bytes for the guest: its pages can't be written through their grants",
                    frame->bytes);
            continue;
        }
        statistics->frames++;
        statistics->bytes += frame->bytes;
        statistics->large += frame->large;
        statistics->blank += frame->blank;
        vif->statistics->queue[frame->queue->index].rx_frames++;
    }
}

static void publish(struct vif *vif)
{
    for (unsigned i = 0; i < vif->queues; i++) {
        struct rx_queue *rx = &vif->queue[i].rx;
        bool notify;

        if (rx->published == rx->rsp_prod)
            continue;
        notify = ring_publish(&rx->ring->rsp_prod, &rx->ring->rsp_event, rx->published, rx->rsp_prod);
        rx->published = rx->rsp_prod;
        vif_notify(vif, rx->port, notify, &vif->statistics->rx.ring);
    }
}

/* ---- when flows change their queues ---- */

void rx_settle(struct vif *vif)
{
    vif->next_frame.judged = false; /* a frame that waits is steered anew */
    /* Nothing has been put since an earlier change that is waited for: its time is the later one's too. */
    if (vif->queues > 1 && !vif->settle_by)
        vif->settle_by = backend_clock() + SETTLE_MS * 1000000ull;
}

/* Has the frontend taken all responses? It has when it asks for the event of one that is to come. */
static bool all_taken(const struct rx_queue *rx)
{
    return ring_load(&rx->ring->rsp_event) - (rx->rsp_prod + 1) < RING_SLOTS;
}

/*
 * A frame must not overtake those of its flow that are on the queue that the flow had: nothing is put on any queue
 * before the frontend has taken what is on all. One that does not say so is waited for so long, and no longer.
 */
static bool is_settled(struct vif *vif)
{
    if (!vif->settle_by)
        return true;
    for (unsigned i = 0; i < vif->queues; i++) {
        if (all_taken(&vif->queue[i].rx))
            continue;
        if (backend_clock() < vif->settle_by)
            return false;
        vif_log(vif, vif->overtaken++ ? BACKEND_LOG_DEBUG : BACKEND_LOG_WARNING,
                "queue %u: its frames are not taken in %u ms; those that are steered anew may overtake them", i,
                SETTLE_MS);
        break;
    }
    vif->settle_by = 0;
    return true;
}

bool rx_poll(struct vif *vif)
{
    struct rx_batch *batch = vif->netback->rx_batch;
    bool broken = false, more;

    vif->rx_lacks = 0;
    if (!is_settled(vif))
        return false;
    more = gather(vif, batch, &broken);
    if (more)
        vif->rx_lacks = 0; /* it is not for want of requests that the turn is over */
    if (broken || !batch->frames)
        return more && !broken;
    respond(vif, batch);
    count(vif, batch);
    publish(vif);
    return more || vif->rx_lacks;
}

bool rx_has_requests(const struct vif *vif)
{
    for (unsigned i = 0; i < vif->queues; i++) {
        const struct rx_queue *rx = &vif->queue[i].rx;

        if ((vif->rx_lacks & 1u << i) && ring_load(&rx->ring->req_prod) - rx->lacking < RING_SLOTS)
            return true;
    }
    return false;
}
