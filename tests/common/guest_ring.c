#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <xen/event_channel.h>
#include <xen/hvm/params.h>

#include "dom0/heap.h"
#include "machine/guest_ram.h"
#include "machine/machine.h"
#include "store/store.h"
#include "common/guest_ring.h"
#include "xen/xen.h"

#include <xenstore.h>

struct guest_ring guest_ring_create(void)
{
    struct guest_ring ring;
    struct xs_handle *xs = xs_open(0);
    uint64_t pfn, port;
    struct xen_domain_config config = xen_domain_default_config(1);
    int domid = xen_domain_create(&config);

    ck_assert_int_gt(domid, 0);
    ring.domid = (unsigned)domid;
    ck_assert_int_eq(xen_hvm_param_get(ring.domid, HVM_PARAM_STORE_PFN, &pfn), 0);
    ck_assert_int_eq(xen_hvm_param_get(ring.domid, HVM_PARAM_STORE_EVTCHN, &port), 0);
    ring.interface = xen_foreign_frame(ring.domid, pfn);
    ck_assert_ptr_nonnull(ring.interface);
    ck_assert(xs_introduce_domain(xs, ring.domid, pfn, (unsigned)port));
    xs_close(xs);
    return ring;
}

uint32_t guest_ring_put(struct guest_ring *ring, const void *bytes, uint32_t length)
{
    struct xenstore_domain_interface *interface = ring->interface;
    uint32_t room = XENSTORE_RING_SIZE - (interface->req_prod - interface->req_cons);

    if (length > room)
        length = room;
    for (uint32_t i = 0; i < length; i++)
        interface->req[MASK_XENSTORE_IDX(interface->req_prod + i)] = ((const char *)bytes)[i];
    interface->req_prod += length;
    return length;
}

uint32_t guest_ring_get(struct guest_ring *ring, void *bytes, uint32_t length)
{
    struct xenstore_domain_interface *interface = ring->interface;
    uint32_t available = interface->rsp_prod - interface->rsp_cons;

    ck_assert_uint_le(available, XENSTORE_RING_SIZE);
    if (length > available)
        length = available;
    for (uint32_t i = 0; i < length; i++)
        ((char *)bytes)[i] = interface->rsp[MASK_XENSTORE_IDX(interface->rsp_cons + i)];
    interface->rsp_cons += length;
    return length;
}

static void put_all(struct guest_ring *ring, const void *bytes, uint32_t length)
{
    uint32_t done = 0;

    while (done < length) {
        uint32_t put = guest_ring_put(ring, (const char *)bytes + done, length - done);

        done += put;
        if (!put)
            store_pump();
    }
}

void guest_send(struct guest_ring *ring, uint32_t type, uint32_t transaction, const void *payload, uint32_t length)
{
    struct xsd_sockmsg header = {.type = type, .req_id = 7, .tx_id = transaction, .len = length};

    put_all(ring, &header, sizeof(header));
    put_all(ring, payload, length);
    store_pump();
}

int guest_has_message(struct guest_ring *ring)
{
    store_pump();
    return ring->interface->rsp_prod != ring->interface->rsp_cons;
}

static void get_all(struct guest_ring *ring, void *bytes, uint32_t length)
{
    uint32_t done = 0;

    for (unsigned tries = 0; done < length; tries++) {
        done += guest_ring_get(ring, (char *)bytes + done, length - done);
        store_pump();
        ck_assert_msg(tries < 100, "the daemon sent %u of %u bytes", done, length);
    }
}

struct guest_reply *guest_receive(struct guest_ring *ring)
{
    struct guest_reply *reply = calloc(1, sizeof(*reply));

    get_all(ring, &reply->header, sizeof(reply->header));
    ck_assert_uint_le(reply->header.len, XENSTORE_PAYLOAD_MAX);
    get_all(ring, reply->payload, reply->header.len);
    return reply;
}

#define MAX_EVENTS 256

/* Events that came while a reply was awaited. */
static char *events[MAX_EVENTS];
static unsigned event_first, event_count;

static void keep_event(const struct guest_reply *event)
{
    const char *token = event->payload + strlen(event->payload) + 1;

    ck_assert_uint_lt(event_count, MAX_EVENTS);
    ck_assert_int_gt(asprintf(&events[event_count++], "%s %s", event->payload, token), 0);
}

int guest_request(struct guest_ring *ring, uint32_t type, uint32_t transaction, const void *payload, uint32_t length,
                  struct guest_reply *copy)
{
    guest_send(ring, type, transaction, payload, length);
    for (;;) {
        struct guest_reply *reply = guest_receive(ring);
        int error = 0;

        if (reply->header.type == XS_WATCH_EVENT) {
            keep_event(reply);
            free(reply);
            continue;
        }
        ck_assert_uint_eq(reply->header.req_id, 7);
        ck_assert_uint_eq(reply->header.tx_id, transaction);
        if (reply->header.type == XS_ERROR) {
            error = -1;
            for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
                if (strcmp(reply->payload, xsd_errors[i].errstring) == 0)
                    error = xsd_errors[i].errnum;
        } else {
            ck_assert_uint_eq(reply->header.type, type);
        }
        if (copy)
            *copy = *reply;
        free(reply);
        return error;
    }
}

const char *guest_event(struct guest_ring *ring)
{
    while (guest_has_message(ring)) {
        struct guest_reply *reply = guest_receive(ring);

        ck_assert_uint_eq(reply->header.type, XS_WATCH_EVENT);
        ck_assert_uint_eq(reply->header.req_id, 0);
        keep_event(reply);
        free(reply);
    }
    return event_first < event_count ? events[event_first++] : NULL;
}
