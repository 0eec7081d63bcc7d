/*
 * A network frontend in a few lines, by raw hypercalls and store requests of the guest, to be legal or not as a test
 * wants it. Runs in a guest thread. It never sleeps on an event: it looks at its rings.
 */
#ifndef TESTS_COMMON_NETFRONT_H
#define TESTS_COMMON_NETFRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "ring.h" /* of backend-stub: layout of io/netif.h */

#include <xenstore.h>

#define NETFRONT_SLOTS 256u

struct netfront {
    struct xs_handle *xs; /* as the guest */
    unsigned domid;
    unsigned handle;
    char path[64]; /* of its directory */
    char backend[128];
    /* What it will say when it connects; set them between netfront_create() and netfront_connect(). */
    bool sg, rx_notify, split, rx_copy;
    bool gso_tcpv4, gso_tcpv6, csum, csum_ipv6, multicast; /* what it takes; the filter is asked for */
    unsigned queues;                                       /* 0: no key */
    bool control;                                          /* it has a control ring */
    /* The other queues, see netfront_add_queues(); each is a frontend as far as its rings go. */
    unsigned index;
    unsigned rings;
    struct netfront *other[16];
    netif_tx_sring_t *tx;
    netif_rx_sring_t *rx;
    uint8_t *tx_page[NETFRONT_SLOTS]; /* buffers of a page, granted read-only and writable */
    uint8_t *rx_page[NETFRONT_SLOTS];
    uint32_t tx_ref[NETFRONT_SLOTS], rx_ref[NETFRONT_SLOTS], tx_ring_ref, rx_ring_ref;
    uint32_t tx_port, rx_port;
    RING_IDX tx_prod, tx_cons, rx_prod, rx_cons; /* of requests that are made, of responses that were taken */
    unsigned tx_okay, tx_error, tx_null;         /* responses by status */
    uint8_t frame[65536];                        /* the last frame received */
    uint32_t frame_length;
    bool frame_bad;                    /* a slot of it had an error status */
    uint16_t frame_flags;              /* NETRXF_* of its first slot */
    unsigned frame_slots;              /* extras included */
    netif_extra_info_t frame_extra[5]; /* by type; those that it has not are of type 0 */
    xen_netif_ctrl_sring_t *ctrl;      /* its control ring and ... */
    uint8_t *ctrl_page;                /* ... a page for tables */
    uint32_t ctrl_ring_ref, ctrl_page_ref, ctrl_port;
    RING_IDX ctrl_prod, ctrl_cons;
};

/* The guest domain with its grant table; once a machine. Returns its domain ID. */
unsigned netfront_domain(void);

/* The VIF's keys must be there. */
struct netfront *netfront_create(unsigned domid, unsigned handle);
/* With so many queues from its next connection on. The others have buffers for 32 requests each way. */
void netfront_add_queues(struct netfront *front, unsigned count);
struct netfront *netfront_queue(struct netfront *front, unsigned index);
void netfront_write(struct netfront *front, const char *key, const char *value);
void netfront_set_state(struct netfront *front, unsigned state);
/* The backend's state comes to be this, or the test fails; false is returned when `may` and it does not within 100 ms.
 */
bool netfront_wait_backend(struct netfront *front, unsigned state, bool may);
/* New rings and keys, then Connected; with `wait` until the backend is too. */
void netfront_connect(struct netfront *front, bool wait);
/* Closing, Closed, with the backend following. */
void netfront_close(struct netfront *front);

/* Put a request (or an extra info) on the transmit ring without showing it; returns its number, which is its buffer's
 * too. */
unsigned netfront_tx_request(struct netfront *front, uint16_t offset, uint16_t size, uint16_t flags);
unsigned netfront_tx_raw(struct netfront *front, const netif_tx_request_t *request);
void netfront_tx_extra(struct netfront *front, uint8_t type, uint8_t flags);
/* Show what was put on the ring; true when the backend wanted to be notified, and was. */
bool netfront_tx_push(struct netfront *front);
/* A frame in slots of these sizes (which add up to its length), at offsets that differ. */
void netfront_tx_frame(struct netfront *front, const void *data, const uint16_t *size, unsigned slots);
/* The same with flags for its first slot and extra infos, whose flag for more is set here. */
void netfront_tx_offloaded(struct netfront *front, const void *data, const uint16_t *size, unsigned slots,
                           uint16_t flags, const netif_extra_info_t *extras, unsigned count);
/* Take responses until all requests are answered. */
void netfront_tx_drain(struct netfront *front);

/* Post this many requests. */
void netfront_rx_post(struct netfront *front, unsigned count);
/* How long what has to come may take (ms): by the wall clock machines are slow at times. */
#define NETFRONT_PATIENCE 20000u

/* The next frame into front->frame; false when there is none within the time (ms). */
bool netfront_rx_frame(struct netfront *front, unsigned timeout_ms);

/* Send a request by the control ring, wait for its response, and return its status. */
uint32_t netfront_control(struct netfront *front, uint16_t type, uint32_t data0, uint32_t data1, uint32_t data2,
                          uint32_t *data);

/* Notify the backend on both channels, wanted or not. */
void netfront_kick(struct netfront *front);

/* Let time pass and others run. */
void netfront_pause(unsigned milliseconds);

#endif
