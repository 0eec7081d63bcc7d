/*
 * Guest to network: io/netif.h, "Guest transmit". Requests are copied from the ring, a frame's worth at a time, and
 * judged by the copies; the frames' bytes are fetched by one grant copy for a whole batch. What a frame leaves to
 * others, checksums and cutting it into segments, is done here where its port does not take that.
 */
#include "vif.h"

#include <stdlib.h>

#define AT_ONCE_MIN 2u           /* events that are not put off after one that was put off in vain, ... */
#define AT_ONCE_MAX 1024u        /* ... and at most */
#define BUFFER_SIZE (4u * 65536) /* bytes that one grant copy fetches: it is to stay in a processor's cache */

struct tx_frame {
    unsigned first;    /* in tx_batch.request, where its requests begin */
    unsigned requests; /* the extra infos lie behind the first, on the ring */
    unsigned extras;
    unsigned first_segment;
    unsigned segments;
    uint32_t offset; /* in the buffer */
    uint32_t size;
    uint16_t flags;                                            /* NETTXF_* of its first request */
    const netif_extra_info_t *extra[XEN_NETIF_EXTRA_TYPE_MAX]; /* those it has */
    const char *fault;                                         /* why it is refused; NULL: it is good */
};

struct tx_batch {
    netif_tx_request_t request[RING_SLOTS];
    unsigned requests;
    netif_extra_info_t info[RING_SLOTS];
    unsigned infos;
    struct tx_frame frame[VIF_BUDGET];
    unsigned frames;
    xengnttab_grant_copy_segment_t segment[RING_SLOTS];
    unsigned segments;
    uint32_t used;   /* bytes of the buffer */
    uint8_t *buffer; /* in storage, at the start of a page */
    uint8_t headers[PACKET_HEADERS_MAX];
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

/*
 * Copy the slots of the frame that begins at `index` to the end of the batch. Returns how many there are, 0 when not
 * all of them have been produced yet.
 */
static unsigned take_frame(const struct tx_queue *tx, struct tx_batch *batch, struct tx_frame *frame, RING_IDX index,
                           RING_IDX produced)
{
    const union netif_tx_sring_entry *ring = tx->ring->ring;
    netif_tx_request_t *request = &batch->request[frame->first];
    netif_extra_info_t *info = &batch->info[batch->infos];
    const RING_IDX start = index;
    bool extra, more;

    ring_copy_slot(request, &ring[index++ % RING_SLOTS], sizeof(*request));
    extra = request->flags & NETTXF_extra_info;
    more = request->flags & NETTXF_more_data;
    for (; extra; info++) {
        if (index == produced)
            return 0;
        ring_copy_slot(info, &ring[index++ % RING_SLOTS], sizeof(*info));
        extra = info->flags & XEN_NETIF_EXTRA_FLAG_MORE;
    }
    while (more) {
        if (index == produced)
            return 0;
        ring_copy_slot(++request, &ring[index++ % RING_SLOTS], sizeof(*request));
        more = request->flags & NETTXF_more_data;
    }
    frame->extras = (unsigned)(info - &batch->info[batch->infos]);
    frame->requests = index - start - frame->extras;
    return index - start;
}

static bool is_multicast_request(const struct tx_frame *frame)
{
    return frame->extra[XEN_NETIF_EXTRA_TYPE_MCAST_ADD] || frame->extra[XEN_NETIF_EXTRA_TYPE_MCAST_DEL];
}

static const char *judge_gso(const struct netback_features *features, const netif_extra_info_t *extra)
{
    bool offered;

    if (extra->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV4 && extra->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV6)
        return "segments of an unknown type";
    offered = extra->u.gso.type == XEN_NETIF_GSO_TYPE_TCPV4 ? features->gso_tcpv4 : features->gso_tcpv6;
    if (!offered)
        return "segments left to the backend, which was not offered";
    return extra->u.gso.size < GSO_SIZE_MIN ? "segments with next to no data" : NULL;
}

static const char *judge_hash(const struct netback_features *features, const netif_extra_info_t *extra)
{
    if (!features->ctrl_ring)
        return "a hash, which was not offered";
    if (extra->u.hash.algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ)
        return "a hash of an unknown algorithm";
    return extra->u.hash.type > _XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP ? "a hash of an unknown type" : NULL;
}

/* Each kind of extra info may be there once. NULL, or why the frame is refused. */
static const char *judge_extras(const struct vif *vif, struct tx_frame *frame, const netif_extra_info_t *info)
{
    const struct netback_features *features = &vif->netback->features;
    const char *fault = NULL;

    for (unsigned i = 0; i < frame->extras && !fault; i++) {
        const netif_extra_info_t *extra = &info[i];

        if (extra->type == XEN_NETIF_EXTRA_TYPE_NONE || extra->type >= XEN_NETIF_EXTRA_TYPE_MAX)
            return "extra info of an unknown type";
        if (frame->extra[extra->type])
            return "the same extra info twice";
        frame->extra[extra->type] = extra;
        if (extra->type == XEN_NETIF_EXTRA_TYPE_GSO)
            fault = judge_gso(features, extra);
        else if (extra->type == XEN_NETIF_EXTRA_TYPE_HASH)
            fault = judge_hash(features, extra);
        else if (!features->multicast_control)
            fault = "a multicast address, for which no filter was offered";
    }
    if (!fault && is_multicast_request(frame) && (frame->extras > 1 || frame->requests > 1))
        fault = "a multicast address in a frame with other contents";
    return fault;
}

/*
 * The first request carries the size of the whole frame: turn it into that of its own part. NULL, or why the frame is
 * refused.
 */
static const char *judge_parts(const struct vif *vif, const struct tx_frame *frame, netif_tx_request_t *request)
{
    uint32_t rest = 0;

    for (unsigned i = 1; i < frame->requests; i++)
        rest += request[i].size;
    if (frame->requests > 1 && !vif->netback->features.sg)
        return "several slots, which were not offered";
    if (frame->requests > FRAME_SLOTS_MAX)
        return "more slots than a frame may take";
    if (frame->size < PORT_FRAME_MIN)
        return "shorter than an Ethernet header";
    if (rest >= frame->size)
        return "its parts are larger than the whole";
    request[0].size = (uint16_t)(frame->size - rest);
    for (unsigned i = 0; i < frame->requests; i++) {
        if (!request[i].size)
            return "a slot without bytes";
        if ((uint32_t)request[i].offset + request[i].size > RING_PAGE_SIZE)
            return "a slot that passes the end of its page";
    }
    return NULL;
}

static const char *judge(const struct vif *vif, struct tx_batch *batch, struct tx_frame *frame)
{
    netif_tx_request_t *request = &batch->request[frame->first];
    const char *fault;

    frame->size = request->size;
    frame->flags = request->flags;
    fault = judge_extras(vif, frame, &batch->info[batch->infos]);
    if (fault || is_multicast_request(frame))
        return fault;
    return judge_parts(vif, frame, request);
}

/*
 * Where the frame goes in the buffer: one that may be of whole pages to the start of a page, or each of them were two
 * copies for Xen.
 */
static uint32_t place_frame(const struct tx_batch *batch, const struct tx_frame *frame)
{
    return frame->size > RING_PAGE_SIZE ? (batch->used + RING_PAGE_SIZE - 1) / RING_PAGE_SIZE * RING_PAGE_SIZE
                                        : batch->used;
}

/* A grant-copy segment for each request of a good frame. */
static void add_segments(const struct vif *vif, struct tx_batch *batch, struct tx_frame *frame)
{
    const netif_tx_request_t *request = &batch->request[frame->first];
    xengnttab_grant_copy_segment_t *segment = &batch->segment[batch->segments];
    uint8_t *to = batch->buffer + frame->offset;

    frame->first_segment = batch->segments;
    frame->segments = frame->requests;
    for (unsigned i = 0; i < frame->segments; i++) {
        memset(&segment[i], 0, sizeof(segment[i]));
        segment[i].flags = GNTCOPY_source_gref;
        segment[i].source.foreign.ref = request[i].gref;
        segment[i].source.foreign.domid = (uint16_t)vif->domid;
        segment[i].source.foreign.offset = request[i].offset;
        segment[i].dest.virt = to;
        segment[i].len = request[i].size;
        to += request[i].size;
    }
    batch->segments += frame->segments;
    batch->used = frame->offset + frame->size;
}

static bool leaves_offloaded(const struct vif *vif)
{
    return vif->port->offload && !vif->netback->features.wire;
}

/* Frames that this one counts for in the budget: as many as it may have to be cut into. */
static unsigned weight(const struct vif *vif, const struct tx_frame *frame)
{
    const netif_extra_info_t *gso = frame->extra[XEN_NETIF_EXTRA_TYPE_GSO];

    return frame->fault || !gso || leaves_offloaded(vif) ? 1 : frame->size / gso->u.gso.size + 1;
}

/* Take whole frames off the ring until the batch or the ring is at its end. False: the frontend broke the ring. */
static bool gather(struct vif_queue *queue, struct tx_batch *batch, RING_IDX produced)
{
    struct vif *vif = queue->vif;
    struct tx_queue *tx = &queue->tx;
    unsigned spent = 0;

    batch->requests = batch->infos = batch->frames = batch->segments = 0;
    batch->used = 0;
    while (tx->req_cons != produced && spent < VIF_BUDGET) {
        struct tx_frame *frame = &batch->frame[batch->frames];
        unsigned slots;

        *frame = (struct tx_frame){.first = batch->requests};
        slots = take_frame(tx, batch, frame, tx->req_cons, produced);
        if (!slots) {
            if (produced - tx->rsp_prod == RING_SLOTS && tx->req_cons == tx->rsp_prod) {
                vif_fatal(vif, "a frame that takes the whole transmit ring and goes on");
                return false;
            }
            break; /* its rest is still to come */
        }
        frame->fault = judge(vif, batch, frame);
        if (!frame->fault && !is_multicast_request(frame)) {
            frame->offset = place_frame(batch, frame);
            if (frame->size > BUFFER_SIZE - frame->offset)
                break; /* it is for the next batch */
            add_segments(vif, batch, frame);
        }
        batch->requests += frame->requests;
        batch->infos += frame->extras;
        tx->req_cons += slots;
        vif->statistics->tx.ring.requests += slots;
        batch->frames++;
        spent += weight(vif, frame);
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

static void respond(struct vif_queue *queue, const struct tx_batch *batch, const struct tx_frame *frame)
{
    struct tx_queue *tx = &queue->tx;
    union netif_tx_sring_entry *ring = tx->ring->ring;
    const netif_tx_request_t *request = &batch->request[frame->first];
    netif_tx_response_t response = {.status = frame->fault ? NETIF_RSP_ERROR : NETIF_RSP_OKAY};
    RING_IDX index = tx->rsp_prod;

    response.id = request[0].id;
    ring[index++ % RING_SLOTS].rsp = response;
    for (unsigned i = 0; i < frame->extras; i++)
        ring[index++ % RING_SLOTS].rsp = (netif_tx_response_t){.status = NETIF_RSP_NULL};
    for (unsigned i = 1; i < frame->requests; i++) {
        response.id = request[i].id;
        ring[index++ % RING_SLOTS].rsp = response;
    }
    queue->vif->statistics->tx.ring.responses += index - tx->rsp_prod;
    tx->rsp_prod = index;
}

/* ---- multicast addresses ---- */

static unsigned find_address(const struct vif *vif, const uint8_t *address)
{
    unsigned i = 0;

    while (i < vif->multicast_count && memcmp(vif->multicast[i], address, sizeof(vif->multicast[i])) != 0)
        i++;
    return i;
}

static const char *change_filter(struct vif *vif, const struct tx_frame *frame)
{
    const netif_extra_info_t *add = frame->extra[XEN_NETIF_EXTRA_TYPE_MCAST_ADD];
    const uint8_t *address = (add ? add : frame->extra[XEN_NETIF_EXTRA_TYPE_MCAST_DEL])->u.mcast.addr;
    unsigned at = find_address(vif, address);

    if (!add) {
        if (at < vif->multicast_count)
            memmove(vif->multicast[at], vif->multicast[vif->multicast_count-- - 1], sizeof(vif->multicast[at]));
    } else if (at == MULTICAST_MAX) {
        return "a multicast address too many";
    } else if (at == vif->multicast_count) {
        memcpy(vif->multicast[vif->multicast_count++], address, sizeof(vif->multicast[at]));
    }
    return NULL;
}

/* ---- what a frame leaves to others ---- */

/* What the guest says of its frame, held against the frame. NULL, or why it is refused. */
static const char *describe(const struct vif *vif, const struct tx_frame *frame, uint8_t *data, struct packet *packet,
                            struct port_frame *carried)
{
    const struct netback_features *features = &vif->netback->features;
    const netif_extra_info_t *gso = frame->extra[XEN_NETIF_EXTRA_TYPE_GSO];
    const netif_extra_info_t *hash = frame->extra[XEN_NETIF_EXTRA_TYPE_HASH];
    bool blank = frame->flags & NETTXF_csum_blank;

    *carried = (struct port_frame){.data = data, .length = frame->size};
    if (hash) {
        carried->hash_algorithm = hash->u.hash.algorithm;
        carried->hash_type = hash->u.hash.type;
        memcpy(&carried->hash, hash->u.hash.value, sizeof(carried->hash)); /* its low byte first, as here */
    }
    if (!blank && !gso) {
        carried->checksum = frame->flags & NETTXF_data_validated ? PORT_CHECKSUM_VALIDATED : PORT_CHECKSUM_NONE;
        return NULL;
    }
    packet_parse(data, frame->size, packet);
    if (!packet->checksum)
        return "a checksum left to the backend in a frame that has none";
    if (blank && !gso && !(packet->version == 4 ? features->csum_offload : features->ipv6_csum_offload))
        return "a checksum left to the backend, which was not offered";
    carried->checksum = PORT_CHECKSUM_BLANK;
    if (!gso)
        return NULL;
    if (packet->protocol != PACKET_TCP || packet->version != (gso->u.gso.type == XEN_NETIF_GSO_TYPE_TCPV4 ? 4 : 6))
        return "segments of another protocol than the frame's";
    if (!blank)
        packet_set_partial(data, packet); /* some forget the flag: segments have checksums anyway */
    if (packet->end - packet->payload > gso->u.gso.size) {
        carried->gso = packet->version == 4 ? PORT_GSO_TCPV4 : PORT_GSO_TCPV6;
        carried->gso_size = gso->u.gso.size;
    }
    return NULL;
}

/* Each segment takes its place over the end of the one before, which is gone by then. */
static void transmit_segments(struct vif *vif, struct tx_batch *batch, const struct packet *packet,
                              const struct port_frame *carried, uint8_t *data)
{
    uint32_t left = packet->end - packet->payload, offset = 0;
    struct port_frame segment = *carried;

    memcpy(batch->headers, data, packet->payload);
    segment.gso = PORT_GSO_NONE;
    segment.gso_size = 0;
    segment.checksum = PORT_CHECKSUM_NONE;
    for (unsigned number = 0; left; number++) {
        uint32_t length = left < carried->gso_size ? left : carried->gso_size;
        uint8_t *at = data + offset;

        packet_segment(at, batch->headers, packet, offset, length, number);
        packet_complete(at, packet, at + packet->payload, length);
        segment.data = at;
        segment.length = packet->payload + length;
        vif->port->ops->transmit(vif->port, &segment);
        vif->statistics->tx.summed++;
        offset += length;
        left -= length;
    }
}

static const char *transmit(struct vif *vif, struct tx_batch *batch, const struct tx_frame *frame)
{
    struct netback_direction_statistics *statistics = &vif->statistics->tx;
    uint8_t *data = batch->buffer + frame->offset;
    struct port_frame carried;
    struct packet packet;
    const char *fault = describe(vif, frame, data, &packet, &carried);

    if (fault)
        return fault;
    statistics->large += carried.gso != PORT_GSO_NONE;
    statistics->blank += carried.checksum == PORT_CHECKSUM_BLANK;
    if (carried.gso != PORT_GSO_NONE && !leaves_offloaded(vif)) {
        statistics->cut++;
        transmit_segments(vif, batch, &packet, &carried, data);
        return NULL;
    }
    if (carried.checksum == PORT_CHECKSUM_BLANK && !leaves_offloaded(vif)) {
        packet_complete(data, &packet, data + packet.payload, packet.end - packet.payload);
        carried.checksum = PORT_CHECKSUM_NONE;
        statistics->summed++;
    }
    vif->port->ops->transmit(vif->port, &carried);
    return NULL;
}

static void deliver(struct vif_queue *queue, struct tx_batch *batch, struct tx_frame *frame)
{
    struct vif *vif = queue->vif;
    struct netback_direction_statistics *statistics = &vif->statistics->tx;

    if (!frame->fault && is_multicast_request(frame)) {
        frame->fault = change_filter(vif, frame);
        if (!frame->fault)
            return;
    } else if (!frame->fault) {
        frame->fault = transmit(vif, batch, frame);
    }
    if (frame->fault) {
        enum backend_log_level level = statistics->errors++ ? BACKEND_LOG_DEBUG : BACKEND_LOG_WARNING;

        vif_log(vif, level, "frame of %u bytes in %u slots from the guest refused: %s", frame->size,
                frame->requests + frame->extras, frame->fault);
        return;
    }
    statistics->frames++;
    statistics->bytes += frame->size;
    vif->statistics->queue[queue->index].tx_frames++;
}

/* ---- the ring ---- */

/*
 * May the event for what has been published wait? With busy polling, while the frontend is slower than netback: it has
 * nothing on the ring, so it is busy putting more there, and an event would keep it from that. Not for more than half a
 * ring, and not again soon where nothing came: a frontend that waits for answers is to have them at once.
 */
static bool event_may_wait(struct vif_queue *queue)
{
    struct tx_queue *tx = &queue->tx;

    if (!queue->vif->netback->options.busy_poll_us || tx->rsp_prod - tx->told >= RING_SLOTS / 2 ||
        ring_load(&tx->ring->req_prod) != tx->req_cons)
        return false;
    if (!tx->at_once)
        return true;
    tx->at_once--;
    return false;
}

/* What has been published is told of, if that is wanted. */
static void tell(struct vif_queue *queue, bool wanted)
{
    struct tx_queue *tx = &queue->tx;

    vif_notify(queue->vif, tx->port, wanted, &queue->vif->statistics->tx.ring);
    if (!wanted)
        return;
    tx->waited = 0;
    tx->told = tx->rsp_prod;
}

/*
 * Nothing more can be taken now: an event that has been put off is due. Ask for one, and look whether something came
 * too late for that.
 */
static bool sleep_on_ring(struct vif_queue *queue, RING_IDX seen)
{
    struct tx_queue *tx = &queue->tx;

    if (tx->waited == 1)
        tx->at_once = tx->vain = !tx->vain ? AT_ONCE_MIN : tx->vain < AT_ONCE_MAX ? 2 * tx->vain : AT_ONCE_MAX;
    if (tx->waited)
        tell(queue, true);
    return ring_sleep(&tx->ring->req_prod, &tx->ring->req_event, seen + 1) != seen;
}

bool tx_poll(struct vif_queue *queue)
{
    struct vif *vif = queue->vif;
    struct tx_batch *batch = vif->netback->tx_batch;
    struct tx_queue *tx = &queue->tx;
    RING_IDX produced = ring_load(&tx->ring->req_prod), published = tx->rsp_prod;
    bool wanted;

    if (produced - tx->rsp_prod > RING_SLOTS) {
        vif_fatal(vif, "transmit ring: %u requests produced ahead of the responses", produced - tx->rsp_prod);
        return false;
    }
    if (!gather(queue, batch, produced))
        return false;
    tx->seen = batch->frames ? tx->req_cons : produced; /* what is there of a frame that is not complete, too */
    if (!batch->frames)
        return sleep_on_ring(queue, produced);
    fetch(vif, batch);
    for (unsigned i = 0; i < batch->frames; i++) {
        deliver(queue, batch, &batch->frame[i]);
        respond(queue, batch, &batch->frame[i]);
    }
    wanted = ring_publish(&tx->ring->rsp_prod, &tx->ring->rsp_event, published, tx->rsp_prod);
    if (tx->waited) {
        tx->vain = 0;
        wanted = true;
    }
    if (wanted && event_may_wait(queue))
        tx->waited++;
    else
        tell(queue, wanted);
    return true; /* the look that finds nothing asks for the event */
}
