/* Network interfaces in the store, as libxl attaches and detaches them. */
#include "toolstack_internal.h"

#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/event_channel.h>
#include <xen/io/xenbus.h>

/* Where a VIF's nodes are. */
struct vif_paths {
    char frontend[TOOLSTACK_PATH_MAX];
    char backend[TOOLSTACK_PATH_MAX];
    char record[TOOLSTACK_PATH_MAX]; /* the toolstack's own */
};

static struct vif_paths paths_of(unsigned domid, unsigned backend_domid, unsigned handle)
{
    struct vif_paths paths;

    snprintf(paths.frontend, sizeof(paths.frontend), "/local/domain/%u/device/vif/%u", domid, handle);
    snprintf(paths.backend, sizeof(paths.backend), "/local/domain/%u/backend/vif/%u/%u", backend_domid, domid, handle);
    snprintf(paths.record, sizeof(paths.record), "/libxl/%u/device/vif/%u", domid, handle);
    return paths;
}

static bool write_frontend(struct toolstack *toolstack, xs_transaction_t transaction, const struct toolstack_vif *vif,
                           const struct vif_paths *paths, const char *mac)
{
    struct xs_permissions read_only[2] = {{vif->backend_domid, XS_PERM_NONE}, {vif->domid, XS_PERM_READ}};
    struct xs_handle *xs = toolstack->xs;
    const char *front = paths->frontend;
    char path[TOOLSTACK_PATH_MAX + 8];

    if (!toolstack_make_node(toolstack, transaction, front, vif->domid, vif->backend_domid, XS_PERM_READ) ||
        !key_write(xs, transaction, paths->backend, "%s/backend", front) ||
        !key_write_number(xs, transaction, vif->backend_domid, "%s/backend-id", front) ||
        !key_write_number(xs, transaction, XenbusStateInitialising, "%s/state", front) ||
        !key_write_number(xs, transaction, vif->handle, "%s/handle", front) ||
        !key_write(xs, transaction, mac, "%s/mac", front) ||
        (vif->trusted && !key_write(xs, transaction, vif->trusted, "%s/trusted", front)))
        return false;
    if (!vif->mtu)
        return true;
    snprintf(path, sizeof(path), "%s/mtu", front);
    return key_write_number(xs, transaction, vif->mtu, "%s", path) &&
           xs_set_permissions(xs, transaction, path, read_only, 2);
}

static bool write_backend(struct toolstack *toolstack, xs_transaction_t transaction, const struct toolstack_vif *vif,
                          const struct vif_paths *paths, const char *mac)
{
    struct xs_handle *xs = toolstack->xs;
    const char *back = paths->backend;

    return toolstack_make_node(toolstack, transaction, back, vif->backend_domid, vif->domid, XS_PERM_READ) &&
           key_write(xs, transaction, paths->frontend, "%s/frontend", back) &&
           key_write_number(xs, transaction, vif->domid, "%s/frontend-id", back) &&
           key_write(xs, transaction, "1", "%s/online", back) &&
           key_write_number(xs, transaction, XenbusStateInitialising, "%s/state", back) &&
           key_write(xs, transaction, vif->script ? vif->script : "/etc/xen/scripts/vif-bridge", "%s/script", back) &&
           (!vif->ifname || key_write(xs, transaction, vif->ifname, "%s/vifname", back)) &&
           key_write(xs, transaction, mac, "%s/mac", back) &&
           (!vif->ip || key_write(xs, transaction, vif->ip, "%s/ip", back)) &&
           (!vif->gatewaydev || key_write(xs, transaction, vif->gatewaydev, "%s/gatewaydev", back)) &&
           (!vif->rate || key_write(xs, transaction, vif->rate, "%s/rate", back)) &&
           key_write(xs, transaction, vif->bridge ? vif->bridge : "xenbr0", "%s/bridge", back) &&
           key_write_number(xs, transaction, vif->handle, "%s/handle", back) &&
           key_write(xs, transaction, vif->emulated ? "vif_ioemu" : "vif", "%s/type", back);
}

static bool make_vif(struct toolstack *toolstack, xs_transaction_t transaction, const void *argument)
{
    const struct toolstack_vif *vif = argument;
    struct vif_paths paths = paths_of(vif->domid, vif->backend_domid, vif->handle);
    char mac[18], *there;

    there = key_read(toolstack->xs, transaction, "%s", paths.record);
    if (there || errno != ENOENT) {
        if (there)
            errno = EEXIST;
        free(there);
        return false;
    }
    snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", vif->mac[0], vif->mac[1], vif->mac[2], vif->mac[3],
             vif->mac[4], vif->mac[5]);
    return toolstack_make_node(toolstack, transaction, paths.record, 0, 0, XS_PERM_NONE) &&
           key_write(toolstack->xs, transaction, paths.frontend, "%s/frontend", paths.record) &&
           key_write(toolstack->xs, transaction, paths.backend, "%s/backend", paths.record) &&
           write_frontend(toolstack, transaction, vif, &paths, mac) &&
           write_backend(toolstack, transaction, vif, &paths, mac);
}

enum backend_is { BACKEND_STARTING, BACKEND_READY, BACKEND_REMOVED };

static bool is_decided(struct toolstack *toolstack, const char *path, void *argument)
{
    char *value = key_read(toolstack->xs, XBT_NULL, "%s", path);
    enum backend_is *backend = argument;

    if (!value && errno == ENOENT)
        *backend = BACKEND_REMOVED;
    else if (value && strtoul(value, NULL, 10) == XenbusStateInitWait)
        *backend = BACKEND_READY;
    free(value);
    return *backend != BACKEND_STARTING;
}

bool toolstack_network_attach(struct toolstack *toolstack, const struct toolstack_vif *vif, int timeout_ms)
{
    struct vif_paths paths = paths_of(vif->domid, vif->backend_domid, vif->handle);
    char state[TOOLSTACK_PATH_MAX + 8];
    enum backend_is backend = BACKEND_STARTING;

    if (!toolstack_transaction(toolstack, make_vif, vif)) {
        toolstack->exists = errno == EEXIST;
        return toolstack_fail(toolstack, "VIF %u of domain %u can't be written to the store: %s", vif->handle,
                              vif->domid, strerror(errno));
    }
    toolstack->exists = false;
    snprintf(state, sizeof(state), "%s/state", paths.backend);
    (void)toolstack_wait_node(toolstack, state, is_decided, &backend, timeout_ms);
    if (backend == BACKEND_REMOVED)
        return toolstack_fail(toolstack, "VIF %u of domain %u was removed before it had a backend", vif->handle,
                              vif->domid);
    if (backend != BACKEND_READY)
        return toolstack_fail(toolstack, "the backend of VIF %u of domain %u is not at InitWait after %d ms",
                              vif->handle, vif->domid, timeout_ms);
    /* The script has put the backend's interface on its bridge. */
    if (!key_write(toolstack->xs, XBT_NULL, "connected", "%s/hotplug-status", paths.backend))
        return toolstack_fail(toolstack, "%s/hotplug-status can't be written: %s", paths.backend, strerror(errno));
    backend_log(toolstack->logger, BACKEND_LOG_INFO, "VIF %u of domain %u attached", vif->handle, vif->domid);
    return true;
}

struct closing {
    struct vif_paths paths;
    bool forced; /* whatever the guest does */
};

static bool ask_to_close(struct toolstack *toolstack, xs_transaction_t transaction, const void *argument)
{
    const struct closing *closing = argument;
    const struct vif_paths *paths = &closing->paths;
    uint32_t state;

    if (closing->forced && !toolstack_remove(toolstack, transaction, paths->frontend))
        return false;

    if (!key_read_number(toolstack->xs, transaction, UINT32_MAX, &state, "%s/state", paths->backend))
        return false;
    if (!key_write(toolstack->xs, transaction, "0", "%s/online", paths->backend))
        return false;
    return state == XenbusStateClosed ||
           key_write_number(toolstack->xs, transaction, XenbusStateClosing, "%s/state", paths->backend);
}

static bool remove_vif(struct toolstack *toolstack, xs_transaction_t transaction, const void *argument)
{
    const struct vif_paths *paths = argument;

    return toolstack_remove(toolstack, transaction, paths->frontend) &&
           toolstack_remove(toolstack, transaction, paths->backend) &&
           toolstack_remove(toolstack, transaction, paths->record);
}

static bool close_and_wait(struct toolstack *toolstack, const struct closing *closing, bool *closed, int timeout_ms)
{
    char state[TOOLSTACK_PATH_MAX + 8];

    if (!toolstack_transaction(toolstack, ask_to_close, closing))
        return false;
    snprintf(state, sizeof(state), "%s/state", closing->paths.backend);
    *closed = toolstack_wait_number(toolstack, state, XenbusStateClosed, timeout_ms);
    return true;
}

bool toolstack_network_detach(struct toolstack *toolstack, unsigned domid, unsigned backend_domid, unsigned handle,
                              int timeout_ms, bool *forced)
{
    struct closing closing = {.paths = paths_of(domid, backend_domid, handle)};
    bool closed = false, asked = close_and_wait(toolstack, &closing, &closed, timeout_ms);

    if (asked && !closed) {
        backend_log(toolstack->logger, BACKEND_LOG_WARNING,
                    "VIF %u of domain %u did not close within %d ms: it is removed without its guest", handle, domid,
                    timeout_ms);
        closing.forced = true;
        asked = close_and_wait(toolstack, &closing, &closed, timeout_ms);
    }
    if (forced)
        *forced = closing.forced;
    if (!asked)
        return toolstack_fail(toolstack, "VIF %u of domain %u can't be asked to close: %s", handle, domid,
                              errno == ENOENT ? "there is none" : strerror(errno));
    if (!toolstack_transaction(toolstack, remove_vif, &closing.paths))
        return toolstack_fail(toolstack, "VIF %u of domain %u can't be removed from the store: %s", handle, domid,
                              strerror(errno));
    if (!closed)
        return toolstack_fail(toolstack,
                              "VIF %u of domain %u was removed, and its backend, which had not closed it within twice "
                              "%d ms, may have it open still",
                              handle, domid, timeout_ms);
    backend_log(toolstack->logger, BACKEND_LOG_INFO, "VIF %u of domain %u detached", handle, domid);
    return true;
}

bool toolstack_network_exists(const struct toolstack *toolstack)
{
    return toolstack->exists;
}

/* ---- what there is ---- */

/* Is the VIF's address this one? */
static bool has_mac(struct toolstack *toolstack, const char *backend, const uint8_t *mac)
{
    char *text = key_read(toolstack->xs, XBT_NULL, "%s/mac", backend);
    uint8_t its[6];
    bool same = text &&
                sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &its[0], &its[1], &its[2], &its[3], &its[4],
                       &its[5]) == 6 &&
                memcmp(its, mac, sizeof(its)) == 0;

    free(text);
    return same;
}

bool toolstack_network_find(struct toolstack *toolstack, unsigned domid, const uint8_t *mac, unsigned *handle,
                            unsigned *backend_domid)
{
    char path[TOOLSTACK_PATH_MAX], **device;
    unsigned count = 0;
    bool found = false;

    snprintf(path, sizeof(path), "/libxl/%u/device/vif", domid);
    device = xs_directory(toolstack->xs, XBT_NULL, path, &count);
    for (unsigned i = 0; device && i < count && !found; i++) {
        unsigned number = (unsigned)strtoul(device[i], NULL, 10);
        char *backend = key_read(toolstack->xs, XBT_NULL, "%s/%s/backend", path, device[i]);

        found = backend && sscanf(backend, "/local/domain/%u/", backend_domid) == 1 &&
                (mac ? has_mac(toolstack, backend, mac) : number == *handle);
        if (found)
            *handle = number;
        free(backend);
    }
    free(device);
    return found;
}

unsigned toolstack_network_next(struct toolstack *toolstack, unsigned domid)
{
    char path[TOOLSTACK_PATH_MAX], **device;
    unsigned count = 0, next = 0;

    snprintf(path, sizeof(path), "/libxl/%u/device/vif", domid);
    device = xs_directory(toolstack->xs, XBT_NULL, path, &count);
    for (unsigned i = 0; device && i < count; i++) {
        unsigned number = (unsigned)strtoul(device[i], NULL, 10);

        if (number >= next)
            next = number + 1;
    }
    free(device);
    return next;
}
