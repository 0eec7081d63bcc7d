/* Another domain takes the place of one, with the same interfaces. */
#include "toolstack_internal.h"

#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an interface is made from; the strings are owned. */
struct saved_vif {
    struct toolstack_vif vif;
    char *bridge;
    char *script;
    char *ip;
    char *ifname;
    char *gatewaydev;
    char *rate;
    char *trusted;
};

struct toolstack_vifs {
    unsigned count;
    struct saved_vif *vif;
};

void toolstack_vifs_free(struct toolstack_vifs *saved)
{
    for (unsigned i = 0; i < saved->count; i++) {
        free(saved->vif[i].bridge);
        free(saved->vif[i].script);
        free(saved->vif[i].ip);
        free(saved->vif[i].ifname);
        free(saved->vif[i].gatewaydev);
        free(saved->vif[i].rate);
        free(saved->vif[i].trusted);
    }
    free(saved->vif);
    free(saved);
}

/*
 * From the backend's nodes, which no guest can write; of the frontend's only the MTU, which it cannot write either, and
 * what the guest itself is told of its backend.
 */
static bool read_vif(struct toolstack *toolstack, unsigned domid, struct saved_vif *saved)
{
    struct xs_handle *xs = toolstack->xs;
    struct toolstack_vif *vif = &saved->vif;
    char at[TOOLSTACK_PATH_MAX], *mac, *type;
    uint32_t mtu;
    bool good;

    snprintf(at, sizeof(at), "/local/domain/%u/backend/vif/%u/%u", vif->backend_domid, domid, vif->handle);
    mac = key_read(xs, XBT_NULL, "%s/mac", at);
    good = mac && sscanf(mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &vif->mac[0], &vif->mac[1], &vif->mac[2],
                         &vif->mac[3], &vif->mac[4], &vif->mac[5]) == 6;
    free(mac);
    if (!good)
        return false;
    vif->bridge = saved->bridge = key_read(xs, XBT_NULL, "%s/bridge", at);
    vif->script = saved->script = key_read(xs, XBT_NULL, "%s/script", at);
    vif->ip = saved->ip = key_read(xs, XBT_NULL, "%s/ip", at);
    vif->ifname = saved->ifname = key_read(xs, XBT_NULL, "%s/vifname", at);
    vif->gatewaydev = saved->gatewaydev = key_read(xs, XBT_NULL, "%s/gatewaydev", at);
    vif->rate = saved->rate = key_read(xs, XBT_NULL, "%s/rate", at);
    vif->trusted = saved->trusted =
        key_read(xs, XBT_NULL, "/local/domain/%u/device/vif/%u/trusted", domid, vif->handle);
    type = key_read(xs, XBT_NULL, "%s/type", at);
    vif->emulated = type && strcmp(type, "vif_ioemu") == 0;
    free(type);
    if (key_read_number(xs, XBT_NULL, UINT32_MAX, &mtu, "/local/domain/%u/device/vif/%u/mtu", domid, vif->handle))
        vif->mtu = mtu;
    return true;
}

struct toolstack_vifs *toolstack_vifs_read(struct toolstack *toolstack, unsigned domid)
{
    struct toolstack_vifs *saved = calloc(1, sizeof(*saved));
    char path[TOOLSTACK_PATH_MAX], **device;
    unsigned count = 0;
    bool good = true;

    snprintf(path, sizeof(path), "/libxl/%u/device/vif", domid);
    device = xs_directory(toolstack->xs, XBT_NULL, path, &count);
    saved->vif = calloc(count + 1, sizeof(*saved->vif));
    for (unsigned i = 0; device && i < count && good; i++) {
        struct saved_vif *vif = &saved->vif[saved->count++];

        vif->vif.handle = (unsigned)strtoul(device[i], NULL, 10);
        good = toolstack_network_find(toolstack, domid, NULL, &vif->vif.handle, &vif->vif.backend_domid) &&
               read_vif(toolstack, domid, vif);
        if (!good)
            toolstack_fail(toolstack, "VIF %s of domain %u can't be read from the store", device[i], domid);
    }
    free(device);
    if (good)
        return saved;
    toolstack_vifs_free(saved);
    return NULL;
}

const struct toolstack_vif *toolstack_vifs_item(const struct toolstack_vifs *vifs, unsigned index)
{
    return index < vifs->count ? &vifs->vif[index].vif : NULL;
}

bool toolstack_domain_restore(struct toolstack *toolstack, unsigned old, const struct toolstack_domain *domain,
                              int timeout_ms, unsigned *without)
{
    struct toolstack_vifs *vifs = toolstack_vifs_read(toolstack, old);
    bool good = vifs && toolstack_domain_destroy(toolstack, old) && toolstack_domain_create(toolstack, domain);

    *without = 0;
    for (unsigned i = 0; good && i < vifs->count; i++) {
        struct toolstack_vif vif = vifs->vif[i].vif;

        vif.domid = domain->domid;
        if (!toolstack_network_attach(toolstack, &vif, timeout_ms))
            ++*without;
    }
    if (vifs)
        toolstack_vifs_free(vifs);
    return good;
}
