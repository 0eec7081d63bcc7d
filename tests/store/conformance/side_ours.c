#include "store/conformance/side.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "machine/image.h"
#include "machine/machine.h"
#include "store/store.h"
#include "xen/hypervisor.h"

#define PUMPS 1000u /* turns after which what has not come won't come */

/* A socket client's end: in process the store takes whole messages. */
struct stream {
    struct store_connection *connection;
    uint8_t *bytes; /* the message that is coming together */
    uint32_t length;
};

struct ours {
    struct stream stream[SIDE_LETTERS];
    struct xenstore_domain_interface *ring;
};

static bool is_domain(char client)
{
    return client >= '0' && client <= '9';
}

static void woken(void *argument)
{
    (void)argument;
}

static struct stream *stream_of(struct ours *ours, char client)
{
    struct stream *stream = &ours->stream[client - 'A'];

    if (!stream->connection)
        stream->connection = store_connect(0, woken, NULL);
    return stream;
}

/* Hand over the message that has come together, and what follows it. */
static void submit_whole(struct stream *stream)
{
    struct xsd_sockmsg header;

    while (stream->length >= sizeof(header)) {
        uint32_t size;

        memcpy(&header, stream->bytes, sizeof(header));
        size = sizeof(header) + header.len;
        if (header.len <= XENSTORE_PAYLOAD_MAX && stream->length < size)
            return;
        store_submit(stream->connection, header.type, header.req_id, header.tx_id, stream->bytes + sizeof(header),
                     header.len);
        if (header.len > XENSTORE_PAYLOAD_MAX)
            size = stream->length; /* the connection is cut */
        stream->length -= size;
        memmove(stream->bytes, stream->bytes + size, stream->length);
    }
}

static void ours_put(void *state, char client, const void *bytes, uint32_t length)
{
    struct ours *ours = state;

    if (!is_domain(client)) {
        struct stream *stream = stream_of(ours, client);

        stream->bytes = realloc(stream->bytes, stream->length + length + XENSTORE_PAYLOAD_MAX);
        memcpy(stream->bytes + stream->length, bytes, length);
        stream->length += length;
        submit_whole(stream);
        store_pump();
        return;
    }
    for (unsigned i = 0; length && i < PUMPS && !ours->ring->error; i++) {
        uint32_t put = side_ring_put(ours->ring, bytes, length);

        bytes = (const char *)bytes + put;
        length -= put;
        store_pump();
    }
}

static bool get_stream(struct stream *stream, struct side_message *message)
{
    struct store_message *next;

    store_pump();
    if (store_connection_broken(stream->connection))
        return false;
    next = store_receive(stream->connection);
    ck_assert_msg(next != NULL, "the store owes an answer");
    message->header = next->header;
    memcpy(message->payload, next->payload, next->header.len);
    image_free(next);
    return true;
}

static bool get_ring(struct ours *ours, void *bytes, uint32_t length)
{
    for (unsigned i = 0; length; i++) {
        uint32_t got = side_ring_get(ours->ring, bytes, length);

        if (!got && ours->ring->error)
            return false;
        bytes = (char *)bytes + got;
        length -= got;
        store_pump();
        ck_assert_msg(i < PUMPS, "the store owes the ring an answer");
    }
    return true;
}

static bool ours_get(void *state, char client, struct side_message *message)
{
    struct ours *ours = state;

    if (!is_domain(client))
        return get_stream(stream_of(ours, client), message);
    if (!get_ring(ours, &message->header, sizeof(message->header)))
        return false;
    ck_assert_uint_le(message->header.len, sizeof(message->payload));
    return get_ring(ours, message->payload, message->header.len);
}

static void ours_settle(void *state, char client)
{
    (void)state;
    (void)client;
    store_pump();
}

static void ours_close(void *state, char client)
{
    struct stream *stream = &((struct ours *)state)->stream[client - 'A'];

    if (stream->connection)
        store_disconnect(stream->connection);
    free(stream->bytes);
    memset(stream, 0, sizeof(*stream));
    store_pump();
}

static struct xenstore_domain_interface *ours_ring(void *state, unsigned domid)
{
    (void)domid;
    return ((struct ours *)state)->ring;
}

static void ours_domain_create(void *state, unsigned domid)
{
    struct ours *ours = state;
    struct xen_domain_config config = xen_domain_default_config(1);
    uint64_t pfn;

    if (domid != 1) { /* there is one guest; others are domains without a ring */
        ck_assert_int_eq(xen_domain_create_host(domid), 0);
        return;
    }
    ck_assert_int_eq(xen_domain_create(&config), (int)domid);
    ck_assert_int_eq(xen_hvm_param_get(domid, HVM_PARAM_STORE_PFN, &pfn), 0);
    ours->ring = xen_foreign_frame(domid, pfn);
    ck_assert_ptr_nonnull(ours->ring);
}

static void ours_domain_shutdown(void *state, unsigned domid)
{
    (void)state;
    domain_shutdown(domain_find(domid), SHUTDOWN_poweroff);
    store_pump();
}

static void ours_domain_destroy(void *state, unsigned domid)
{
    (void)state;
    xen_domain_destroy(domid);
    store_pump();
}

static uint32_t ours_port(void *state, unsigned domid)
{
    uint64_t port;

    (void)state;
    ck_assert_int_eq(xen_hvm_param_get(domid, HVM_PARAM_STORE_EVTCHN, &port), 0);
    return (uint32_t)port;
}

static void ours_stop(void *state)
{
    for (char client = 'A'; client <= 'Z'; client++)
        ours_close(state, client);
    machine_destroy();
    free(state);
}

static const struct side_functions ours_functions = {
    .name = "pvsim",
    .put = ours_put,
    .get = ours_get,
    .settle = ours_settle,
    .close = ours_close,
    .ring = ours_ring,
    .domain_create = ours_domain_create,
    .domain_shutdown = ours_domain_shutdown,
    .domain_destroy = ours_domain_destroy,
    .port = ours_port,
    .stop = ours_stop,
};

struct side side_ours(void)
{
    struct machine_config config = machine_default_config();

    machine_create(&config);
    return (struct side){&ours_functions, calloc(1, sizeof(struct ours))};
}
