/*
 * What libxl 4.17 does in the store when it creates and destroys domains and attaches and detaches network interfaces:
 * the same nodes with the same permissions, in the same transactions, with the same waits. Over libxenstore only;
 * creating the domain itself is the caller's.
 *
 * Calls block in backend_wait(). Each returns false when it fails, with a line in the log and in toolstack_error().
 */
#ifndef BACKEND_TOOLSTACK_H
#define BACKEND_TOOLSTACK_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"

struct toolstack;
struct toolstack_vifs;

/* libxl's time limits, in milliseconds. */
#define TOOLSTACK_ATTACH_TIMEOUT_MS 10000
#define TOOLSTACK_DETACH_TIMEOUT_MS 10000
#define TOOLSTACK_CONTROL_TIMEOUT_MS 60000
#define TOOLSTACK_NO_TIMEOUT (-1) /* for any of them */

struct toolstack_domain {
    unsigned domid;
    const char *name;
    const char *uuid; /* "01234567-89ab-cdef-0123-456789abcdef" */
    uint32_t memory_kib;
    uint32_t target_kib; /* what the guest is to have of its memory; 0: all of it */
    unsigned vcpus;
    unsigned max_vcpus;   /* those beyond `vcpus` are offline; 0: there are none */
    uint64_t store_frame; /* the ring's frame and event channel */
    uint32_t store_port;
    uint64_t console_frame;
    uint32_t console_port;
};

struct toolstack_vif {
    unsigned domid;
    unsigned backend_domid;
    unsigned handle;
    uint8_t mac[6];
    unsigned mtu;       /* 0: not written */
    const char *bridge; /* NULL: xenbr0 */
    const char *script; /* NULL: /etc/xen/scripts/vif-bridge */
    const char *ip;     /* NULL: not written; likewise those below */
    const char *ifname;
    const char *gatewaydev;
    const char *rate;    /* "BYTES,MICROSECONDS" */
    const char *trusted; /* "0" or "1" */
    bool emulated;       /* a card of the device model's stands for it, too */
};

/* Connects to the store and sees to it that domain 0 has its nodes. */
struct toolstack *toolstack_open(const struct backend_logger *logger);
void toolstack_close(struct toolstack *toolstack);
/* The host has started anew: of what the store has, domain 0's nodes and the store's own are left. */
bool toolstack_host_started(struct toolstack *toolstack);
/* What the last call that failed could not do. */
const char *toolstack_error(const struct toolstack *toolstack);

/* The domain's nodes, then its introduction to the store. */
bool toolstack_domain_create(struct toolstack *toolstack, const struct toolstack_domain *domain);
/* The nodes of a driver domain, whose backends may be given devices from then on. */
bool toolstack_driver_domain_create(struct toolstack *toolstack, unsigned domid, const char *name);
/* After a suspension whose guest goes on where it was. */
bool toolstack_domain_resumed(struct toolstack *toolstack, unsigned domid);
/*
 * The guest of domain `old` goes on as another one: everything of the old domain is removed, the new one is created,
 * and gets the same interfaces. `without`: so many of them have got no backend within the time limit, which is for the
 * caller to judge (toolstack_error() has the last of them).
 */
bool toolstack_domain_restore(struct toolstack *toolstack, unsigned old, const struct toolstack_domain *domain,
                              int timeout_ms, unsigned *without);
/* Everything of the domain, its devices too, whatever their state; then its release by the store. */
bool toolstack_domain_destroy(struct toolstack *toolstack, unsigned domid);
/* What the guest is to have of its memory; more than its maximum is an error. The hypervisor's limit is the caller's.
 */
bool toolstack_memory_set(struct toolstack *toolstack, unsigned domid, uint32_t target_kib);
/* The same as it is; 0: the store does not say. */
uint32_t toolstack_memory_target(struct toolstack *toolstack, unsigned domid);
/* Of a domain's vCPUs, which are `max`, the first `online` are to be there. The hypervisor's part is the caller's. */
bool toolstack_vcpus_set(struct toolstack *toolstack, unsigned domid, unsigned online, unsigned max);
/* Ask the guest by control/shutdown: "poweroff", "reboot", "suspend". */
bool toolstack_domain_shutdown(struct toolstack *toolstack, unsigned domid, const char *reason);
/* The same, and wait until the guest has taken the request; if it does not, the request is taken back. */
bool toolstack_domain_request(struct toolstack *toolstack, unsigned domid, const char *reason, int timeout_ms);

/*
 * Write the VIF's nodes, wait until the backend is at InitWait, and do what the hotplug script does. A VIF that exists
 * is an error.
 */
bool toolstack_network_attach(struct toolstack *toolstack, const struct toolstack_vif *vif, int timeout_ms);
/* Did the last one fail for that? */
bool toolstack_network_exists(const struct toolstack *toolstack);
/*
 * Ask both sides to close, wait until the backend has, and remove the nodes. As libxl_device_nic_remove(): after the
 * time limit the guest's nodes go, so that the backend need not wait for it (`forced`, NULL: of no interest), for the
 * same time again; if the backend does not close then either all nodes go, and that is a failure.
 */
bool toolstack_network_detach(struct toolstack *toolstack, unsigned domid, unsigned backend_domid, unsigned handle,
                              int timeout_ms, bool *forced);

/* The domain of this name; false: there is none. */
bool toolstack_domain_find(struct toolstack *toolstack, const char *name, unsigned *domid);
/* Its name, to be freed; NULL: it has none. */
char *toolstack_domain_name(struct toolstack *toolstack, unsigned domid);

/* The number that libxl would give to the domain's next VIF. */
unsigned toolstack_network_next(struct toolstack *toolstack, unsigned domid);
/* The domain's VIF with this number, or with this address when `mac` is given; false: there is none. */
bool toolstack_network_find(struct toolstack *toolstack, unsigned domid, const uint8_t *mac, unsigned *handle,
                            unsigned *backend_domid);

/*
 * The domain's interfaces as the store describes them, to be attached to the domain that takes its place; NULL:
 * toolstack_error(). An item, NULL behind the last, is of the old domain; its strings live as long as all of them.
 */
struct toolstack_vifs *toolstack_vifs_read(struct toolstack *toolstack, unsigned domid);
const struct toolstack_vif *toolstack_vifs_item(const struct toolstack_vifs *vifs, unsigned index);
void toolstack_vifs_free(struct toolstack_vifs *vifs);

/* Wait until the number at the path is `wanted`. Not reaching it is for the caller to judge: no line in the log. */
bool toolstack_wait_number(struct toolstack *toolstack, const char *path, uint32_t wanted, int timeout_ms);

#endif
