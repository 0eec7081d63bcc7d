/*
 * The life of one VIF: what the keys of both sides mean for it (io/xenbus.h), connecting and disconnecting its rings.
 *
 * A VIF is judged as a whole whenever one of its keys has changed: what the other side's state asks for is compared
 * with the state that it is in. Nothing flows before both sides are Connected; Closed is never written before Closing;
 * the directory is the toolstack's, and only the toolstack removes it.
 */
#include "vif.h"

#include "keys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const char *state_name(enum xenbus_state state)
{
    static const char *const name[] = {"Unknown", "Initialising", "InitWait",      "Initialised", "Connected",
                                       "Closing", "Closed",       "Reconfiguring", "Reconfigured"};

    return (unsigned)state < sizeof(name) / sizeof(name[0]) ? name[state] : "out of range";
}

static void set_state(struct vif *vif, enum xenbus_state state)
{
    if (vif->state == state)
        return;
    vif_log(vif, BACKEND_LOG_INFO, "%s to %s", state_name(vif->state), state_name(state));
    vif->state = state;
    if (!key_write_number(vif->netback->xs, XBT_NULL, state, "%s/state", vif->backend_path) && errno != ENOENT)
        vif_log(vif, BACKEND_LOG_ERROR, "%s/state can't be written: %s", vif->backend_path, strerror(errno));
}

/* ---- rings ---- */

static void *map_ring(struct vif *vif, uint32_t reference)
{
    return xengnttab_map_grant_ref(vif->netback->xgt, vif->domid, reference, PROT_READ | PROT_WRITE);
}

static void disconnect(struct vif *vif)
{
    struct netback *netback = vif->netback;

    if (vif->flowing) {
        vif->flowing = false;
        vif->port->ops->stop(vif->port);
    }
    vif->statistics->connected = false;
    vif->work = false;
    if (vif->rx.port && vif->rx.port != vif->tx.port)
        xenevtchn_unbind(netback->xce, vif->rx.port);
    if (vif->tx.port)
        xenevtchn_unbind(netback->xce, vif->tx.port);
    if (vif->tx.ring)
        xengnttab_unmap(netback->xgt, vif->tx.ring, 1);
    if (vif->rx.ring)
        xengnttab_unmap(netback->xgt, vif->rx.ring, 1);
    vif->tx = (struct tx_queue){0};
    /* A frame that the guest has not got stays for its next connection. */
    vif->rx = (struct rx_queue){.held = vif->rx.held, .frame = vif->rx.frame};
}

void vif_fatal(struct vif *vif, const char *format, ...)
{
    char reason[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    vif_log(vif, BACKEND_LOG_ERROR, "%s", reason);
    key_write(vif->netback->xs, XBT_NULL, reason, "/local/domain/%u/error/backend/vif/%u/%u/error",
              vif->netback->options.domid, vif->domid, vif->handle);
    disconnect(vif);
    vif->failed = true;
    set_state(vif, XenbusStateClosing);
}

static evtchn_port_t bind_port(struct vif *vif, uint32_t remote)
{
    xenevtchn_port_or_error_t port = xenevtchn_bind_interdomain(vif->netback->xce, vif->domid, remote);

    return port < 0 ? 0 : (evtchn_port_t)port;
}

/* What the frontend says of its rings. */
struct frontend_keys {
    uint32_t tx_reference, rx_reference;
    uint32_t tx_port, rx_port; /* remote ends, equal for one channel */
    uint32_t sg, notify;
};

static bool read_event_channels(struct vif *vif, struct frontend_keys *keys)
{
    struct xs_handle *xs = vif->netback->xs;
    const char *path = vif->frontend_path;

    if (vif->netback->options.split_event_channels &&
        key_read_number(xs, XBT_NULL, UINT32_MAX, &keys->tx_port, "%s/event-channel-tx", path) &&
        key_read_number(xs, XBT_NULL, UINT32_MAX, &keys->rx_port, "%s/event-channel-rx", path))
        return true;
    if (!key_read_number(xs, XBT_NULL, UINT32_MAX, &keys->tx_port, "%s/event-channel", path)) {
        vif_fatal(vif, "%s/event-channel: %s", path, strerror(errno));
        return false;
    }
    keys->rx_port = keys->tx_port;
    return true;
}

/* Keys of features are optional: absent means the default that io/netif.h gives. False after a fatal error. */
static bool read_feature(struct vif *vif, const char *name, uint32_t missing, uint32_t *value)
{
    *value = missing;
    if (key_read_number(vif->netback->xs, XBT_NULL, UINT32_MAX, value, "%s/%s", vif->frontend_path, name) ||
        errno == ENOENT)
        return true;
    vif_fatal(vif, "%s/%s: %s", vif->frontend_path, name, strerror(errno));
    return false;
}

static bool read_frontend(struct vif *vif, struct frontend_keys *keys)
{
    struct xs_handle *xs = vif->netback->xs;
    const char *path = vif->frontend_path;
    uint32_t copy, queues;

    if (!read_feature(vif, "request-rx-copy", 0, &copy) || !read_feature(vif, "multi-queue-num-queues", 1, &queues) ||
        !read_feature(vif, "feature-sg", 0, &keys->sg) || !read_feature(vif, "feature-rx-notify", 0, &keys->notify))
        return false;
    if (!copy) {
        vif_fatal(vif, "the frontend does not ask for copies (request-rx-copy): flipping pages is not served");
        return false;
    }
    if (queues != 1) {
        vif_fatal(vif, "the frontend asks for %u queues; 1 is offered", queues);
        return false;
    }
    if (!key_read_number(xs, XBT_NULL, UINT32_MAX, &keys->tx_reference, "%s/tx-ring-ref", path)) {
        vif_fatal(vif, "%s/tx-ring-ref: %s", path, strerror(errno));
        return false;
    }
    if (!key_read_number(xs, XBT_NULL, UINT32_MAX, &keys->rx_reference, "%s/rx-ring-ref", path)) {
        vif_fatal(vif, "%s/rx-ring-ref: %s", path, strerror(errno));
        return false;
    }
    return read_event_channels(vif, keys);
}

/* Go on where the ring was left, as a backend that comes back does. False when the indices can't be. */
static bool attach(const RING_IDX *req_prod, const RING_IDX *rsp_prod, RING_IDX *req_cons, RING_IDX *own_rsp_prod)
{
    RING_IDX responses = ring_load(rsp_prod), requests = ring_load(req_prod);

    *req_cons = *own_rsp_prod = responses;
    return requests - responses <= RING_SLOTS;
}

/* Map the frontend's rings and bind its event channels. False after a fatal error. */
static bool connect_rings(struct vif *vif)
{
    struct frontend_keys keys = {0};

    if (!read_frontend(vif, &keys))
        return false;
    vif->tx.ring = map_ring(vif, keys.tx_reference);
    vif->rx.ring = map_ring(vif, keys.rx_reference);
    if (!vif->tx.ring || !vif->rx.ring) {
        vif_fatal(vif, "ring of grant reference %u can't be mapped: %s",
                  vif->tx.ring ? keys.rx_reference : keys.tx_reference, strerror(errno));
        return false;
    }
    vif->rx.sg = keys.sg != 0 && !vif->netback->options.no_sg;
    vif->rx.notify = keys.notify != 0;
    if (!attach(&vif->tx.ring->req_prod, &vif->tx.ring->rsp_prod, &vif->tx.req_cons, &vif->tx.rsp_prod) ||
        !attach(&vif->rx.ring->req_prod, &vif->rx.ring->rsp_prod, &vif->rx.req_cons, &vif->rx.rsp_prod)) {
        vif_fatal(vif, "a ring with more requests than it has slots");
        return false;
    }
    vif->tx.port = bind_port(vif, keys.tx_port);
    vif->rx.port = keys.rx_port == keys.tx_port ? vif->tx.port : bind_port(vif, keys.rx_port);
    if (!vif->tx.port || !vif->rx.port) {
        vif_fatal(vif, "event channel %u can't be bound: %s", vif->tx.port ? keys.rx_port : keys.tx_port,
                  strerror(errno));
        return false;
    }
    return true;
}

/* ---- states ---- */

static bool publish_features(struct vif *vif, xs_transaction_t transaction)
{
    struct xs_handle *xs = vif->netback->xs;
    const struct netback_options *options = &vif->netback->options;
    const char *path = vif->backend_path;

    return key_write_number(xs, transaction, !options->no_sg, "%s/feature-sg", path) &&
           key_write_number(xs, transaction, 1, "%s/feature-rx-copy", path) &&
           key_write_number(xs, transaction, 0, "%s/feature-rx-flip", path) &&
           key_write_number(xs, transaction, 1, "%s/feature-no-csum-offload", path) &&
           key_write_number(xs, transaction, 0, "%s/feature-ipv6-csum-offload", path) &&
           key_write_number(xs, transaction, options->split_event_channels, "%s/feature-split-event-channels", path) &&
           key_write_number(xs, transaction, 1, "%s/multi-queue-max-queues", path) &&
           key_write_number(xs, transaction, XenbusStateInitWait, "%s/state", path);
}

/* Offer what there is, and wait for the frontend. */
static void enter_init_wait(struct vif *vif)
{
    struct xs_handle *xs = vif->netback->xs;
    bool done, again;

    do {
        xs_transaction_t transaction = xs_transaction_start(xs);

        done = transaction != XBT_NULL && publish_features(vif, transaction);
        if (transaction != XBT_NULL && !xs_transaction_end(xs, transaction, !done))
            done = false;
        again = !done && errno == EAGAIN;
    } while (again);
    if (!done) {
        vif_log(vif, BACKEND_LOG_ERROR, "features can't be written to %s: %s", vif->backend_path, strerror(errno));
        return;
    }
    vif_log(vif, BACKEND_LOG_INFO, "%s to %s", state_name(vif->state), state_name(XenbusStateInitWait));
    vif->state = XenbusStateInitWait;
    vif->failed = false;
}

/* Closing comes before Closed on every way. */
static void close_vif(struct vif *vif)
{
    disconnect(vif);
    if (vif->state != XenbusStateClosed)
        set_state(vif, XenbusStateClosing);
    set_state(vif, XenbusStateClosed);
}

static void flow(struct vif *vif)
{
    set_state(vif, XenbusStateConnected);
    vif->flowing = true;
    vif->work = true;
    vif->statistics->connected = true;
    vif->statistics->connections++;
    vif->port->ops->start(vif->port);
}

static void frontend_connected(struct vif *vif, bool online, bool hotplugged)
{
    if (vif->failed || vif->state == XenbusStateClosing)
        return;
    if ((vif->state == XenbusStateClosed || vif->state == XenbusStateInitialising) && online)
        enter_init_wait(vif);
    if (vif->state != XenbusStateInitWait || !hotplugged)
        return;
    if (connect_rings(vif))
        flow(vif);
}

static void frontend_initialising(struct vif *vif, bool online)
{
    if (vif->state == XenbusStateInitWait && !vif->failed)
        return;
    if (vif->state == XenbusStateConnected || vif->state == XenbusStateClosing)
        close_vif(vif);
    if (online)
        enter_init_wait(vif);
    else
        close_vif(vif);
}

void vif_evaluate(struct vif *vif)
{
    struct xs_handle *xs = vif->netback->xs;
    uint32_t own, front = XenbusStateUnknown, online = 0;
    char *hotplug;
    bool hotplugged;

    vif->changed = false;
    if (!key_read_number(xs, XBT_NULL, XenbusStateReconfigured, &own, "%s/state", vif->backend_path)) {
        vif->gone = errno == ENOENT;
        if (!vif->gone)
            vif_log(vif, BACKEND_LOG_ERROR, "%s/state: %s", vif->backend_path, strerror(errno));
        return;
    }
    key_read_number(xs, XBT_NULL, UINT32_MAX, &online, "%s/online", vif->backend_path);
    key_read_number(xs, XBT_NULL, XenbusStateReconfigured, &front, "%s/state", vif->frontend_path);
    hotplug = key_read(xs, XBT_NULL, "%s/hotplug-status", vif->backend_path);
    hotplugged = hotplug && strcmp(hotplug, "connected") == 0;
    free(hotplug);

    if (own == XenbusStateClosing && vif->state != XenbusStateClosing && vif->state != XenbusStateClosed) {
        /* The toolstack wants it closed, and the frontend has been told so: it answers while there are rings. */
        vif_log(vif, BACKEND_LOG_INFO, "%s to Closing, by the toolstack", state_name(vif->state));
        vif->state = XenbusStateClosing;
        if (!vif->tx.ring) {
            close_vif(vif);
            return;
        }
    }
    switch (front) {
    case XenbusStateInitialising:
        if (vif->state != XenbusStateClosing || online || vif->failed)
            frontend_initialising(vif, online != 0);
        else if (!vif->tx.ring)
            close_vif(vif);
        break;
    case XenbusStateConnected:
        frontend_connected(vif, online != 0, hotplugged);
        break;
    case XenbusStateClosing:
        disconnect(vif);
        if (vif->state != XenbusStateClosed)
            set_state(vif, XenbusStateClosing);
        break;
    case XenbusStateClosed:
    case XenbusStateUnknown:
        close_vif(vif);
        break;
    default: /* InitWait, Initialised, Reconfiguring, Reconfigured: it is on its way */
        if (vif->state == XenbusStateInitialising && online)
            enter_init_wait(vif);
        break;
    }
}

/* ---- coming and going ---- */

static bool watch_frontend(struct vif *vif, bool on)
{
    char path[KEY_PATH_MAX], token[32];

    snprintf(path, sizeof(path), "%s/state", vif->frontend_path);
    snprintf(token, sizeof(token), "f %u %u", vif->domid, vif->handle);
    return on ? xs_watch(vif->netback->xs, path, token) : xs_unwatch(vif->netback->xs, path, token);
}

struct vif *vif_create(struct netback *netback, unsigned domid, unsigned handle)
{
    struct xs_handle *xs = netback->xs;
    struct vif *vif = calloc(1, sizeof(*vif));
    uint32_t own, frontend_domid;

    vif->netback = netback;
    vif->domid = domid;
    vif->handle = handle;
    if (asprintf(&vif->backend_path, "%s/%u/%u", netback->home, domid, handle) < 0)
        abort();
    vif->frontend_path = key_read(xs, XBT_NULL, "%s/frontend", vif->backend_path);
    if (!vif->frontend_path || strlen(vif->frontend_path) > KEY_PATH_MAX - 64 ||
        !key_read_number(xs, XBT_NULL, UINT16_MAX, &frontend_domid, "%s/frontend-id", vif->backend_path) ||
        !key_read_number(xs, XBT_NULL, XenbusStateReconfigured, &own, "%s/state", vif->backend_path))
        goto fail; /* not complete: its other keys will be heard of */
    if (frontend_domid != domid) {
        vif_log(vif, BACKEND_LOG_ERROR, "frontend-id is %u: refused", frontend_domid);
        goto fail;
    }
    vif->port = netback->options.open_port(netback->options.context, domid, handle);
    if (!vif->port) {
        vif_log(vif, BACKEND_LOG_DEBUG, "no network end for it");
        goto fail;
    }
    if (!watch_frontend(vif, true)) {
        vif_log(vif, BACKEND_LOG_ERROR, "%s can't be watched: %s", vif->frontend_path, strerror(errno));
        goto fail;
    }
    /* Connected as another backend left it, which is no more: the frontend has to close and connect again. */
    vif->state = own;
    if (own == XenbusStateConnected || own == XenbusStateInitialised) {
        vif->failed = true;
        set_state(vif, XenbusStateClosing);
    } else if (own == XenbusStateInitWait) {
        vif->state = XenbusStateInitialising;
    }
    return vif;

fail:
    port_destroy(vif->port);
    free(vif->frontend_path);
    free(vif->backend_path);
    free(vif);
    return NULL;
}

void vif_destroy(struct vif *vif)
{
    if (vif->gone)
        disconnect(vif);
    else
        close_vif(vif);
    watch_frontend(vif, false);
    port_destroy(vif->port);
    free(vif->frontend_path);
    free(vif->backend_path);
    free(vif);
}

void vif_notify(struct vif *vif, evtchn_port_t port, bool wanted, struct netback_ring_statistics *statistics)
{
    if (!wanted) {
        statistics->notifications_suppressed++;
        return;
    }
    statistics->notifications_sent++;
    if (xenevtchn_notify(vif->netback->xce, port) != 0)
        vif_log(vif, BACKEND_LOG_WARNING, "the frontend can't be notified: %s", strerror(errno));
}
