/*
 * A backend of one VIF that the test itself plays, slot by slot: what the frontend puts on the ring is looked at as it
 * is, and what a test wants on the ring is put there. It takes the place of netback for VIF 1. Of several queues it
 * plays the first.
 *
 * All routines are for the scenario's guest thread; what touches the rings runs in dom0 tasks.
 */
#ifndef TESTS_COMMON_VIF_BACKEND_H
#define TESTS_COMMON_VIF_BACKEND_H

#include "common/stack.h"

#include <xen/io/netif.h>

#define VIF_BACKEND_NUMBER 1u
#define VIF_BACKEND_SLOTS 32u

/* For stack_options.before_boot. */
void vif_backend_make(void *unused);

/* Say so, before the frontend connects: nodes of the backend's directory, "name=value,name=value"; the list stays. */
void vif_backend_features(const char *list);

/* Wait until the frontend is Connected, and connect; close; and: close, and be at InitWait again. */
void vif_backend_connect(void);
void vif_backend_close(void);
void vif_backend_disconnect(void);
void vif_backend_end(void);

/* The same in steps: map what the frontend has published; let go of it; say so. */
void vif_backend_map(void);
void vif_backend_let_go(void);
void vif_backend_state(const char *state);

/* Let go, and have no directory any more; have it again, with the same features, and be at InitWait. */
void vif_backend_vanish(void);
void vif_backend_return(void);

/*
 * For stack_resumer.meanwhile: the domain is suspended, and this backend's time is over. And for
 * stack_options.restored: there is another one, with the same features, for the domain that goes
 * on.
 */
void vif_backend_suspended(void *unused);
void vif_backend_restored(void *unused);

/* A number that the frontend has written; a node that is not there is an error. */
unsigned vif_backend_front_number(const char *node);

/* A packet that the frontend has sent. */
struct vif_backend_packet {
    uint8_t data[65536];
    size_t length;
    size_t first;   /* bytes in the first slot */
    unsigned slots; /* of data */
    uint16_t flags; /* of the first request */
    uint8_t gso_type;
    uint16_t gso_size;
    bool hashed;
    uint8_t hash_type, hash_algorithm;
    uint32_t hash;
    uint8_t multicast; /* no packet, but an address for the filter: the extra info's type */
};

/*
 * Take the next packet off the ring and answer all of its requests with `status`. False: there is none. What is in its
 * pages beside it has to be zero (FB19).
 */
bool vif_backend_take(struct vif_backend_packet *packet, int16_t status);
/* The same, but wait for it; none within a second is an error. */
void vif_backend_await(struct vif_backend_packet *packet, int16_t status);

/* A packet to put on the ring. */
struct vif_backend_frame {
    const uint8_t *data;
    size_t length;
    uint16_t flags;  /* NETRXF_* of the first slot beside more_data and extra_info */
    unsigned slot;   /* bytes a slot; 0: as many as go into a page */
    unsigned first;  /* bytes of the first slot; 0: likewise */
    unsigned offset; /* of each slot's data in its page */
    unsigned extras;
    netif_extra_info_t extra[4]; /* their flags are put in here */
};

/* Give it, and an event. There must be requests enough. */
void vif_backend_give(const struct vif_backend_frame *frame);
/* Requests that the frontend has out for reception. */
unsigned vif_backend_room(void);
/* Responses that it says its client has had, by the event that it asks for. Also at DISPATCH_LEVEL. */
uint32_t vif_backend_rx_taken(void);
/* Nothing may be in their pages but what was given in them before, nor in the rings' beside the entries. */
void vif_backend_check_pages(void);

/* Keep the pages of the packets that are taken from now on mapped, each once; and let go of them, and keep no more. */
#define VIF_BACKEND_KEPT 2048u
void vif_backend_keep(void);
void vif_backend_release(void);
/* A sum over all that is in the pages that are kept. */
uint64_t vif_backend_sum_kept(void);

/*
 * What no backend does that is well: answer the next request with an ID that is wrong in these bits, or with any
 * response or extra info; move the producer's index by so much, with no response there.
 */
void vif_backend_odd_tx(uint16_t wrong, int16_t status);
void vif_backend_same_tx(void); /* the last answer once more, in the place of the next */
void vif_backend_odd_rx(uint16_t wrong, netif_rx_response_t response);
void vif_backend_odd_extra(netif_extra_info_t extra);
void vif_backend_odd_producer(bool tx, uint32_t by);

static inline netif_extra_info_t vif_backend_gso(uint8_t type, uint16_t size)
{
    return (netif_extra_info_t){.type = XEN_NETIF_EXTRA_TYPE_GSO, .u.gso = {.size = size, .type = type}};
}

#endif
