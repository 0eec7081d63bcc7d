/* One VIF of netback, between its state machine (interface.c), its two directions (tx.c, rx.c) and the loop
 * (netback.c). */
#ifndef BACKEND_VIF_H
#define BACKEND_VIF_H

#include "netback.h"
#include "ring.h"

#include <xen/io/xenbus.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

/* Frames that a VIF may move in one turn of the loop, in each direction. */
#define VIF_BUDGET 64u

/* Slots that a frame may take, each way (io/netif.h). */
#define FRAME_SLOTS_MAX XEN_NETIF_NR_SLOTS_MIN

struct tx_batch;
struct rx_batch;
struct netback;

struct tx_queue {
    netif_tx_sring_t *ring; /* NULL: not connected */
    RING_IDX req_cons;
    RING_IDX rsp_prod;
    evtchn_port_t port; /* local end */
};

struct rx_queue {
    netif_rx_sring_t *ring;
    RING_IDX req_cons;
    RING_IDX rsp_prod;
    evtchn_port_t port;
    bool sg;     /* the frontend takes frames of several slots */
    bool notify; /* it tells of new requests, so that frames can wait for them */
    bool held;   /* `frame` waits for requests */
    struct port_frame frame;
};

struct vif {
    struct vif *next; /* by domid, then handle */
    struct netback *netback;
    unsigned domid;
    unsigned handle;
    char *backend_path;
    char *frontend_path;
    enum xenbus_state state; /* as this side wrote it last, or adopted it from the toolstack */
    bool failed;             /* a fatal error: nothing before the frontend starts anew */
    bool changed;            /* a key of it changed: evaluate */
    bool gone;               /* its directory is no more */
    bool flowing;            /* both sides are Connected: frames may move */
    bool work;               /* look at the rings in the next turn */
    struct port *port;
    struct tx_queue tx;
    struct rx_queue rx;
    struct netback_statistics *statistics;
};

/* What the loop lends to all VIFs. */
struct netback {
    struct netback_options options;
    struct xs_handle *xs;
    xenevtchn_handle *xce;
    xengnttab_handle *xgt;
    char home[64]; /* path of this domain's backend/vif */
    struct vif *vifs;
    struct netback_statistics **statistics;
    unsigned statistics_count;
    struct tx_batch *tx_batch;
    struct rx_batch *rx_batch;
    bool stop;
};

/* ---- interface.c ---- */

/* A VIF whose directory has appeared. NULL when it can't be served (now): logged. */
struct vif *vif_create(struct netback *netback, unsigned domid, unsigned handle);
void vif_destroy(struct vif *vif);
/* Compare the keys in the store with the VIF's state, and do what follows. Sets `gone` when the directory has vanished.
 */
void vif_evaluate(struct vif *vif);
/* The frontend broke the protocol beyond repair: the VIF is closed with a reason. */
void vif_fatal(struct vif *vif, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define vif_log(vif, level, format, ...)                                                                               \
    backend_log((vif)->netback->options.logger, level, "vif%u.%u: " format, (vif)->domid, (vif)->handle, ##__VA_ARGS__)

/* ---- tx.c: guest to network ---- */

struct tx_batch *tx_batch_create(void);
void tx_batch_destroy(struct tx_batch *batch);
/* Move up to VIF_BUDGET frames. True when there is more to do. */
bool tx_poll(struct vif *vif);

/* ---- rx.c: network to guest ---- */

struct rx_batch *rx_batch_create(void);
void rx_batch_destroy(struct rx_batch *batch);
bool rx_poll(struct vif *vif);

/* Tell the frontend of published responses, or count that it did not want to hear of them. */
void vif_notify(struct vif *vif, evtchn_port_t port, bool wanted, struct netback_ring_statistics *statistics);

#endif
