/*
 * One VIF of netback, between its state machine (interface.c), what the frontend's keys say (connect.c), its two
 * directions (tx.c, rx.c), its control ring (control.c) and the loop (netback.c).
 */
#ifndef BACKEND_VIF_H
#define BACKEND_VIF_H

#include "netback.h"
#include "packet.h"
#include "ring.h"
#include "toeplitz.h"

#include <xen/io/xenbus.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

/* Frames that a queue may send, and those that a VIF may receive, in one turn of the loop. */
#define VIF_BUDGET 64u

/* Slots that a frame may take, each way, extra infos not counted (io/netif.h). */
#define FRAME_SLOTS_MAX XEN_NETIF_NR_SLOTS_MIN

/* Less data than this is not a segment's: cutting a frame into it would be work without measure. */
#define GSO_SIZE_MIN 48u

/* How long frames wait, at most, for those that were steered in another way before. */
#define SETTLE_MS 1000u

#define HASH_MAPPING_MAX 128u
#define MULTICAST_MAX 64u

struct tx_batch;
struct rx_batch;
struct netback;
struct vif;

struct tx_queue {
    netif_tx_sring_t *ring; /* NULL: not connected */
    RING_IDX req_cons;
    RING_IDX rsp_prod;
    RING_IDX seen;      /* of req_prod: what lies in front of it has been looked at */
    RING_IDX told;      /* rsp_prod at the last event */
    unsigned waited;    /* turns for which an event that the frontend wants has been put off */
    unsigned at_once;   /* so many events are not put off, ... */
    unsigned vain;      /* ... having been put off once, when nothing more came: twice as many each time */
    evtchn_port_t port; /* local end */
};

struct rx_queue {
    netif_rx_sring_t *ring;
    RING_IDX req_cons;
    RING_IDX rsp_prod;
    RING_IDX published; /* of rsp_prod */
    RING_IDX lacking;   /* in rx_lacks: req_prod of what it needs */
    evtchn_port_t port;
};

struct vif_queue {
    struct vif *vif;
    unsigned index;
    bool work; /* look at the transmit ring in the next turn */
    struct tx_queue tx;
    struct rx_queue rx;
};

/* The next frame for the guest; it stays, in whole or in part, while there is no room for it. */
struct rx_next {
    bool held;         /* `frame` waits for requests */
    bool judged;       /* what follows is known, for this connection */
    unsigned queue;    /* that it goes to */
    bool whole;        /* it goes as it is, to be cut by the guest; else segment by segment, if it has a gso */
    bool complete;     /* its checksum is completed here */
    uint32_t done;     /* bytes of TCP data that are in segments already */
    unsigned segments; /* so far */
    struct packet packet;
    struct port_frame frame; /* with the hash for the guest */
};

/* What the control ring has set. */
struct vif_hash {
    uint32_t algorithm; /* XEN_NETIF_CTRL_HASH_ALGORITHM_* */
    uint32_t flags;     /* XEN_NETIF_CTRL_HASH_TYPE_* */
    uint8_t key[TOEPLITZ_KEY_SIZE];
    uint32_t mapping_size;
    uint32_t mapping[HASH_MAPPING_MAX];
};

struct vif_control {
    xen_netif_ctrl_sring_t *ring; /* NULL: there is none */
    RING_IDX req_cons;
    RING_IDX rsp_prod;
    evtchn_port_t port;
    bool work;
};

/* What the frontend takes, of what is offered. */
struct vif_takes {
    bool sg;                   /* frames of several slots */
    bool rx_notify;            /* it tells of new requests, so that frames can wait for them */
    bool gso_tcpv4, gso_tcpv6; /* frames that it cuts itself */
    bool csum, csum_ipv6;      /* blank checksums */
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
    bool link_down;          /* as `carrier` says */
    bool rx_work;            /* look for frames for the guest in the next turn */
    uint32_t rx_lacks;       /* queues whose requests the last turn wanted, and asked for no event; by bits */
    struct port *port;
    struct vif_takes takes;
    unsigned queues; /* that are connected, or being connected */
    struct vif_queue queue[FEATURES_QUEUES_MAX];
    struct rx_next next_frame;
    struct vif_control control;
    struct vif_hash hash;
    unsigned long long settle_by; /* 0: no frame is in another's way; else so long, by backend_clock(), some may be */
    unsigned overtaken;           /* changes that frames of before were not taken for in time */
    bool multicast_filter;        /* only the addresses below are for the guest */
    unsigned multicast_count;
    uint8_t multicast[MULTICAST_MAX][6];
    struct netback_statistics *statistics;
};

/* Whom an event is for. */
struct channel {
    struct vif *vif; /* NULL: nobody */
    unsigned queue;
    bool tx, rx, control;
};

/* What the loop lends to all VIFs. */
struct netback {
    struct netback_options options;
    struct netback_features features;
    struct xs_handle *xs;
    xenevtchn_handle *xce;
    xengnttab_handle *xgt;
    char home[64]; /* path of this domain's backend/vif */
    struct vif *vifs;
    struct channel *channel; /* by local port */
    unsigned channels;
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

/* ---- connect.c ---- */

/* The keys of what is offered. */
bool vif_publish_features(struct vif *vif, xs_transaction_t transaction);
/* Write `carrier` if the port's link is no longer what it says. */
void vif_publish_link(struct vif *vif);
/* Read the frontend's keys, map its rings and bind its event channels. False after a fatal error. */
bool vif_connect_rings(struct vif *vif);
void vif_disconnect_rings(struct vif *vif);
bool vif_is_connected(const struct vif *vif);
/* request-multicast-control, as it is now. False after a fatal error. */
bool vif_sample_multicast(struct vif *vif);

/* ---- tx.c: guest to network ---- */

struct tx_batch *tx_batch_create(void);
void tx_batch_destroy(struct tx_batch *batch);
/* Move up to VIF_BUDGET frames. True when there is more to do. */
bool tx_poll(struct vif_queue *queue);

/* ---- rx.c: network to guest ---- */

struct rx_batch *rx_batch_create(void);
void rx_batch_destroy(struct rx_batch *batch);
bool rx_poll(struct vif *vif);
/* Of a VIF with rx_lacks: have they come? */
bool rx_has_requests(const struct vif *vif);
/* Frames are steered in another way from now on. */
void rx_settle(struct vif *vif);

/* ---- control.c ---- */

/* Nothing is hashed and no queue mapped, as a connection begins. */
void control_reset(struct vif *vif);
/* Answer what the control ring asks for. True when there is more to do. */
bool control_poll(struct vif *vif);

/* ---- netback.c ---- */

/* Tell the frontend of published responses, or count that it did not want to hear of them. */
void vif_notify(struct vif *vif, evtchn_port_t port, bool wanted, struct netback_ring_statistics *statistics);
/* Events of this port are for this VIF from now on. A channel without `vif`: for nobody. */
void netback_set_channel(struct netback *netback, evtchn_port_t port, const struct channel *channel);

#endif
