/* A guest's end of the store's ring, played by the test: raw bytes, so that it can also be wrong. */
#ifndef TESTS_COMMON_GUEST_RING_H
#define TESTS_COMMON_GUEST_RING_H

#include <stdint.h>

#include <xen/io/xs_wire.h>

struct guest_ring {
    unsigned domid;
    struct xenstore_domain_interface *interface;
};

struct guest_reply {
    struct xsd_sockmsg header;
    char payload[XENSTORE_PAYLOAD_MAX + 1]; /* a NUL behind it */
};

/* Create the guest domain and introduce it to the store. */
struct guest_ring guest_ring_create(void);
/* Put bytes on the ring as far as it has room, without letting the daemon run; returns how many. */
uint32_t guest_ring_put(struct guest_ring *ring, const void *bytes, uint32_t length);
uint32_t guest_ring_get(struct guest_ring *ring, void *bytes, uint32_t length);
/* Send a request, in as many pieces as the ring needs. The payload is length bytes. */
void guest_send(struct guest_ring *ring, uint32_t type, uint32_t transaction, const void *payload, uint32_t length);
/* The next message from the daemon; fails the test when none comes. */
struct guest_reply *guest_receive(struct guest_ring *ring);
int guest_has_message(struct guest_ring *ring);
/*
 * Request and reply, watch events put aside. Returns 0 or the errno of an XS_ERROR reply; the payload goes to *reply
 * when it is not NULL.
 */
int guest_request(struct guest_ring *ring, uint32_t type, uint32_t transaction, const void *payload, uint32_t length,
                  struct guest_reply *reply);
/* The next watch event: "path token"; NULL when there is none. */
const char *guest_event(struct guest_ring *ring);

#endif
