/*
 * The life of one VIF: what the states of both sides mean for it (io/xenbus.h).
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

static const char *state_name(enum xenbus_state state)
{
    static const char *const name[] = {"Unknown", "Initialising", "InitWait",      "Initialised", "Connected",
                                       "Closing", "Closed",       "Reconfiguring", "Reconfigured"};

    return (unsigned)state < sizeof(name) / sizeof(name[0]) ? name[state] : "out of range";
}

/*
 * A write would make the directory anew that the toolstack has removed, and nobody would take it away again; and where
 * the toolstack has asked for the end since the states were looked at, InitWait or Connected would take that back.
 */
static bool may_write(const struct vif *vif, xs_transaction_t transaction, enum xenbus_state state)
{
    uint32_t now;

    if (!key_read_number(vif->netback->xs, transaction, UINT32_MAX, &now, "%s/state", vif->backend_path)) {
        if (errno != EINVAL)
            return false;
        now = XenbusStateUnknown; /* it is there, and no state */
    }
    if (now != XenbusStateClosing || state == XenbusStateClosing || state == XenbusStateClosed)
        return true;
    errno = EBUSY;
    return false;
}

/* The state, and with it what is offered. errno ENOENT: there is no directory; EBUSY: the toolstack wants it closed. */
static bool write_state(struct vif *vif, enum xenbus_state state, bool features)
{
    struct xs_handle *xs = vif->netback->xs;

    for (;;) {
        xs_transaction_t transaction = xs_transaction_start(xs);
        bool good;
        int error;

        if (transaction == XBT_NULL)
            return false;
        good = may_write(vif, transaction, state) && (!features || vif_publish_features(vif, transaction)) &&
               key_write_number(xs, transaction, state, "%s/state", vif->backend_path);
        error = errno;
        if (xs_transaction_end(xs, transaction, !good)) {
            errno = error;
            return good;
        }
        if (errno != EAGAIN)
            return false;
    }
}

/* False: the toolstack wants it closed, and the state is as it was. */
static bool set_state(struct vif *vif, enum xenbus_state state)
{
    if (vif->state == state)
        return true;
    if (!write_state(vif, state, false)) {
        if (errno == EBUSY)
            return false;
        if (errno != ENOENT)
            vif_log(vif, BACKEND_LOG_ERROR, "%s/state can't be written: %s", vif->backend_path, strerror(errno));
    }
    vif_log(vif, BACKEND_LOG_INFO, "%s to %s", state_name(vif->state), state_name(state));
    vif->state = state;
    return true;
}

static void disconnect(struct vif *vif)
{
    if (vif->flowing) {
        vif->flowing = false;
        vif->port->ops->stop(vif->port);
    }
    vif->statistics->connected = false;
    vif_disconnect_rings(vif);
    /* A frame that the guest has not got stays for its next connection, which may take it in another way. */
    vif->next_frame.judged = false;
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
    (void)set_state(vif, XenbusStateClosing);
}

/* ---- states ---- */

/* Offer what there is, and wait for the frontend. */
static void enter_init_wait(struct vif *vif)
{
    if (!write_state(vif, XenbusStateInitWait, true)) {
        if (errno != ENOENT && errno != EBUSY)
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
        (void)set_state(vif, XenbusStateClosing);
    (void)set_state(vif, XenbusStateClosed);
}

static void flow(struct vif *vif)
{
    if (!set_state(vif, XenbusStateConnected))
        return; /* the rings stay until the frontend has answered */
    vif->flowing = true;
    for (unsigned i = 0; i < vif->queues; i++)
        vif->queue[i].work = true;
    vif->rx_work = vif->control.work = true;
    vif->statistics->connected = true;
    vif->statistics->connections++;
    vif->statistics->queues = vif->queues;
    vif->port->ops->start(vif->port);
}

static void frontend_connected(struct vif *vif, bool online, bool hotplugged)
{
    if (vif->failed || vif->state == XenbusStateClosing)
        return;
    if (vif->flowing && vif->netback->features.dynamic_multicast_control && !vif_sample_multicast(vif))
        return;
    if ((vif->state == XenbusStateClosed || vif->state == XenbusStateInitialising) && online)
        enter_init_wait(vif);
    if (vif->state != XenbusStateInitWait || !hotplugged)
        return;
    if (vif_connect_rings(vif))
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

    if (own == XenbusStateClosing && vif->state != XenbusStateClosing) {
        /* The toolstack wants it closed, and the frontend has been told so: it answers while there are rings. */
        vif_log(vif, BACKEND_LOG_INFO, "%s to Closing, by the toolstack", state_name(vif->state));
        vif->state = XenbusStateClosing;
        if (!vif_is_connected(vif)) {
            close_vif(vif);
            return;
        }
    }
    if (vif->state == XenbusStateInitWait && !online) {
        /* The toolstack found it Closed while it was made ready once more: nobody is to connect to it. */
        close_vif(vif);
        return;
    }
    switch (front) {
    case XenbusStateInitialising:
        if (vif->state != XenbusStateClosing || online || vif->failed)
            frontend_initialising(vif, online != 0);
        else if (!vif_is_connected(vif))
            close_vif(vif);
        break;
    case XenbusStateConnected:
        frontend_connected(vif, online != 0, hotplugged);
        break;
    case XenbusStateClosing:
        disconnect(vif);
        if (vif->state != XenbusStateClosed)
            (void)set_state(vif, XenbusStateClosing);
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

/* Keys of the frontend that change while it lives. One that can't change does not need to be watched. */
static bool watch_frontend(struct vif *vif, bool on)
{
    static const char *const key[] = {"state", "request-multicast-control"};
    const struct netback_features *features = &vif->netback->features;
    unsigned keys = features->multicast_control && features->dynamic_multicast_control ? 2 : 1;
    char path[KEY_PATH_MAX], token[32];
    bool good = true;

    snprintf(token, sizeof(token), "f %u %u", vif->domid, vif->handle);
    for (unsigned i = 0; i < keys && good; i++) {
        snprintf(path, sizeof(path), "%s/%s", vif->frontend_path, key[i]);
        good = on ? xs_watch(vif->netback->xs, path, token) : xs_unwatch(vif->netback->xs, path, token);
    }
    return good;
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
        (void)set_state(vif, XenbusStateClosing);
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
