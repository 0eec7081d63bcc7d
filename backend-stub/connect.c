/*
 * What is offered to a frontend and what it asks for (io/netif.h's keys); its rings and event channels. Keys that a
 * frontend leaves out mean the default that io/netif.h gives; what it asks for without having been offered it, it does
 * not get, or, where that can't be, the VIF is closed with a reason.
 */
#include "vif.h"

#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

bool vif_publish_features(struct vif *vif, xs_transaction_t transaction)
{
    const struct netback_features *features = &vif->netback->features;
    const struct {
        const char *key;
        unsigned value;
    } keys[] = {
        {"feature-rx-copy", features->rx_copy},
        {"feature-rx-flip", 0},
        {"feature-sg", features->sg},
        {"feature-gso-tcpv4", features->gso_tcpv4},
        {"feature-gso-tcpv6", features->gso_tcpv6},
        {"feature-no-csum-offload", !features->csum_offload},
        {"feature-ipv6-csum-offload", features->ipv6_csum_offload},
        {"feature-split-event-channels", features->split_event_channels},
        {"feature-multicast-control", features->multicast_control},
        {"feature-dynamic-multicast-control", features->multicast_control && features->dynamic_multicast_control},
        {"feature-ctrl-ring", features->ctrl_ring},
        {"multi-queue-max-queues", features->max_queues},
    };
    bool good = true;

    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]) && good; i++)
        good = key_write_number(vif->netback->xs, transaction, keys[i].value, "%s/%s", vif->backend_path, keys[i].key);
    if (!good || !features->carrier)
        return good;
    vif->link_down = __atomic_load_n(&vif->port->link_down, __ATOMIC_ACQUIRE);
    return key_write_number(vif->netback->xs, transaction, !vif->link_down, "%s/carrier", vif->backend_path);
}

void vif_publish_link(struct vif *vif)
{
    bool down = __atomic_load_n(&vif->port->link_down, __ATOMIC_ACQUIRE);

    if (!vif->netback->features.carrier || down == vif->link_down)
        return;
    vif->link_down = down;
    if (!key_write_number(vif->netback->xs, XBT_NULL, !down, "%s/carrier", vif->backend_path))
        vif_log(vif, BACKEND_LOG_ERROR, "%s/carrier can't be written: %s", vif->backend_path, strerror(errno));
}

/* ---- the frontend's keys ---- */

/* An optional key, with the value that stands for its absence. False after a fatal error. */
static bool read_feature(struct vif *vif, const char *name, uint32_t missing, uint32_t *value)
{
    *value = missing;
    if (key_read_number(vif->netback->xs, XBT_NULL, UINT32_MAX, value, "%s/%s", vif->frontend_path, name) ||
        errno == ENOENT)
        return true;
    vif_fatal(vif, "%s/%s: %s", vif->frontend_path, name, strerror(errno));
    return false;
}

static bool read_needed(struct vif *vif, const char *directory, const char *name, uint32_t *value)
{
    if (key_read_number(vif->netback->xs, XBT_NULL, UINT32_MAX, value, "%s%s/%s", vif->frontend_path, directory, name))
        return true;
    vif_fatal(vif, "%s%s/%s: %s", vif->frontend_path, directory, name, strerror(errno));
    return false;
}

static bool is_there(const struct vif *vif, const char *name)
{
    uint32_t value;

    return key_read_number(vif->netback->xs, XBT_NULL, UINT32_MAX, &value, "%s/%s", vif->frontend_path, name) ||
           errno != ENOENT;
}

/* How many queues it has; flat keys beside those of several queues are left over, or a mistake. */
static bool read_queues(struct vif *vif)
{
    uint32_t queues;

    if (!read_feature(vif, "multi-queue-num-queues", 1, &queues))
        return false;
    if (queues < 1 || queues > vif->netback->features.max_queues) {
        vif_fatal(vif, "the frontend asks for %u queues; %u are offered", queues, vif->netback->features.max_queues);
        return false;
    }
    if (queues > 1 && is_there(vif, "tx-ring-ref"))
        vif_log(vif, BACKEND_LOG_WARNING, "tx-ring-ref beside the keys of %u queues is not looked at", queues);
    vif->queues = queues;
    return true;
}

static bool read_takes(struct vif *vif)
{
    const struct netback_features *features = &vif->netback->features;
    struct vif_takes *takes = &vif->takes;
    uint32_t copy, sg, notify, gso_tcpv4, gso_tcpv6, no_csum, csum_ipv6;

    if (!read_feature(vif, "request-rx-copy", 0, &copy) || !read_feature(vif, "feature-sg", 0, &sg) ||
        !read_feature(vif, "feature-rx-notify", 0, &notify) || !read_feature(vif, "feature-gso-tcpv4", 0, &gso_tcpv4) ||
        !read_feature(vif, "feature-gso-tcpv6", 0, &gso_tcpv6) ||
        !read_feature(vif, "feature-no-csum-offload", 0, &no_csum) ||
        !read_feature(vif, "feature-ipv6-csum-offload", 0, &csum_ipv6))
        return false;
    if (!copy || !features->rx_copy) {
        vif_fatal(vif, !copy ? "the frontend does not ask for copies (request-rx-copy): flipping pages is not served"
                             : "neither copying nor flipping pages is offered");
        return false;
    }
    takes->rx_notify = notify;
    takes->sg = sg && features->sg;
    takes->csum = !no_csum && features->csum_offload;
    takes->csum_ipv6 = csum_ipv6 && features->ipv6_csum_offload;
    /* A frame that is to be cut has a blank checksum, and takes more than a page. */
    takes->gso_tcpv4 = gso_tcpv4 && features->gso_tcpv4 && takes->sg && takes->csum;
    takes->gso_tcpv6 = gso_tcpv6 && features->gso_tcpv6 && takes->sg && takes->csum_ipv6;
    return true;
}

bool vif_sample_multicast(struct vif *vif)
{
    uint32_t wanted;

    if (!read_feature(vif, "request-multicast-control", 0, &wanted))
        return false;
    wanted = wanted && vif->netback->features.multicast_control;
    vif->statistics->filters += wanted && !vif->multicast_filter;
    vif->multicast_filter = wanted;
    return true;
}

/* ---- rings ---- */

static void *map_ring(struct vif *vif, uint32_t reference)
{
    void *ring = xengnttab_map_grant_ref(vif->netback->xgt, vif->domid, reference, PROT_READ | PROT_WRITE);

    if (!ring)
        vif_fatal(vif, "ring of grant reference %u can't be mapped: %s", reference, strerror(errno));
    return ring;
}

static bool bind_port(struct vif *vif, uint32_t remote, evtchn_port_t *port)
{
    xenevtchn_port_or_error_t local = xenevtchn_bind_interdomain(vif->netback->xce, vif->domid, remote);

    if (local < 0) {
        vif_fatal(vif, "event channel %u can't be bound: %s", remote, strerror(errno));
        return false;
    }
    *port = (evtchn_port_t)local;
    return true;
}

static void unbind_port(struct vif *vif, evtchn_port_t port)
{
    if (!port)
        return;
    netback_set_channel(vif->netback, port, &(struct channel){0});
    xenevtchn_unbind(vif->netback->xce, port);
}

/* Go on where the ring was left, as a backend that comes back does. False when the indices can't be. */
static bool attach(const RING_IDX *req_prod, const RING_IDX *rsp_prod, RING_IDX *req_cons, RING_IDX *own_rsp_prod,
                   unsigned slots)
{
    RING_IDX responses = ring_load(rsp_prod), requests = ring_load(req_prod);

    *req_cons = *own_rsp_prod = responses;
    return requests - responses <= slots;
}

static bool read_event_channels(struct vif *vif, const char *directory, uint32_t *tx, uint32_t *rx)
{
    struct xs_handle *xs = vif->netback->xs;
    const char *path = vif->frontend_path;

    if (vif->netback->features.split_event_channels &&
        key_read_number(xs, XBT_NULL, UINT32_MAX, tx, "%s%s/event-channel-tx", path, directory) &&
        key_read_number(xs, XBT_NULL, UINT32_MAX, rx, "%s%s/event-channel-rx", path, directory))
        return true;
    if (!read_needed(vif, directory, "event-channel", tx))
        return false;
    *rx = *tx;
    return true;
}

static bool bind_queue(struct vif *vif, struct vif_queue *queue, uint32_t remote_tx, uint32_t remote_rx)
{
    struct channel channel = {.vif = vif, .queue = queue->index, .tx = true, .rx = remote_tx == remote_rx};

    if (!bind_port(vif, remote_tx, &queue->tx.port))
        return false;
    netback_set_channel(vif->netback, queue->tx.port, &channel);
    queue->rx.port = queue->tx.port;
    if (channel.rx)
        return true;
    if (!bind_port(vif, remote_rx, &queue->rx.port)) {
        queue->rx.port = 0;
        return false;
    }
    channel.tx = false;
    channel.rx = true;
    netback_set_channel(vif->netback, queue->rx.port, &channel);
    return true;
}

/* `directory`: below the frontend's, where the queue's keys are; "" or "/queue-N". */
static bool connect_queue(struct vif *vif, struct vif_queue *queue, const char *directory)
{
    uint32_t tx_reference, rx_reference, remote_tx, remote_rx;
    struct tx_queue *tx = &queue->tx;
    struct rx_queue *rx = &queue->rx;

    if (!read_needed(vif, directory, "tx-ring-ref", &tx_reference) ||
        !read_needed(vif, directory, "rx-ring-ref", &rx_reference) ||
        !read_event_channels(vif, directory, &remote_tx, &remote_rx))
        return false;
    if (!(tx->ring = map_ring(vif, tx_reference)) || !(rx->ring = map_ring(vif, rx_reference)))
        return false;
    if (!attach(&tx->ring->req_prod, &tx->ring->rsp_prod, &tx->req_cons, &tx->rsp_prod, RING_SLOTS) ||
        !attach(&rx->ring->req_prod, &rx->ring->rsp_prod, &rx->req_cons, &rx->rsp_prod, RING_SLOTS)) {
        vif_fatal(vif, "a ring with more requests than it has slots");
        return false;
    }
    tx->told = tx->rsp_prod;
    rx->published = rx->rsp_prod;
    return bind_queue(vif, queue, remote_tx, remote_rx);
}

static bool connect_control(struct vif *vif)
{
    struct vif_control *control = &vif->control;
    uint32_t reference, remote;

    if (!is_there(vif, "ctrl-ring-ref"))
        return true;
    if (!vif->netback->features.ctrl_ring) {
        vif_log(vif, BACKEND_LOG_WARNING, "ctrl-ring-ref is not looked at: no control ring is offered");
        return true;
    }
    if (!read_needed(vif, "", "ctrl-ring-ref", &reference) || !read_needed(vif, "", "event-channel-ctrl", &remote) ||
        !(control->ring = map_ring(vif, reference)))
        return false;
    if (!attach(&control->ring->req_prod, &control->ring->rsp_prod, &control->req_cons, &control->rsp_prod,
                CONTROL_SLOTS)) {
        vif_fatal(vif, "a control ring with more requests than it has slots");
        return false;
    }
    if (!bind_port(vif, remote, &control->port))
        return false;
    netback_set_channel(vif->netback, control->port, &(struct channel){.vif = vif, .control = true});
    return true;
}

bool vif_connect_rings(struct vif *vif)
{
    char directory[24] = "";

    if (!read_queues(vif) || !read_takes(vif) || !vif_sample_multicast(vif))
        return false;
    vif->multicast_count = 0;
    control_reset(vif);
    for (unsigned i = 0; i < vif->queues; i++) {
        struct vif_queue *queue = &vif->queue[i];

        *queue = (struct vif_queue){.vif = vif, .index = i};
        if (vif->queues > 1)
            snprintf(directory, sizeof(directory), "/queue-%u", i);
        if (!connect_queue(vif, queue, directory))
            return false;
    }
    return connect_control(vif);
}

bool vif_is_connected(const struct vif *vif)
{
    return vif->queues != 0;
}

static void disconnect_queue(struct vif *vif, struct vif_queue *queue)
{
    xengnttab_handle *xgt = vif->netback->xgt;

    if (queue->rx.port != queue->tx.port)
        unbind_port(vif, queue->rx.port);
    unbind_port(vif, queue->tx.port);
    if (queue->tx.ring)
        xengnttab_unmap(xgt, queue->tx.ring, 1);
    if (queue->rx.ring)
        xengnttab_unmap(xgt, queue->rx.ring, 1);
    *queue = (struct vif_queue){0};
}

void vif_disconnect_rings(struct vif *vif)
{
    for (unsigned i = 0; i < vif->queues; i++)
        disconnect_queue(vif, &vif->queue[i]);
    vif->queues = 0;
    unbind_port(vif, vif->control.port);
    if (vif->control.ring)
        xengnttab_unmap(vif->netback->xgt, vif->control.ring, 1);
    vif->control = (struct vif_control){0};
}
