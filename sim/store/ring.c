/*
 * A domain's ring page: docs/misc/xenstore-ring.txt and struct xenstore_domain_interface. The other side may write
 * anything there at any time: each index is read once, checked, and the bytes are copied out before they are looked at.
 */
#include "store/store_internal.h"

#include "machine/image.h"
#include "machine/machine.h"
#include "xen/xen.h"

#include <string.h>

static uint32_t index_read(const uint32_t *index)
{
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void index_write(uint32_t *index, uint32_t value)
{
    __atomic_store_n(index, value, __ATOMIC_RELEASE);
}

/* Take up to `length` bytes of the request stream; -1: the indices are inconsistent. */
static int ring_read(struct xenstore_domain_interface *interface, void *buffer, uint32_t length)
{
    uint32_t consumer = index_read(&interface->req_cons);
    uint32_t available = index_read(&interface->req_prod) - consumer;
    uint32_t start = MASK_XENSTORE_IDX(consumer), first;

    if (available > XENSTORE_RING_SIZE)
        return -1;
    if (length > available)
        length = available;
    if (!length)
        return 0;
    first = XENSTORE_RING_SIZE - start;
    if (first > length)
        first = length;
    memcpy(buffer, interface->req + start, first);
    memcpy((uint8_t *)buffer + first, interface->req, length - first);
    index_write(&interface->req_cons, consumer + length);
    return (int)length;
}

static int ring_write(struct xenstore_domain_interface *interface, const void *buffer, uint32_t length)
{
    uint32_t producer = index_read(&interface->rsp_prod);
    uint32_t used = producer - index_read(&interface->rsp_cons);
    uint32_t start = MASK_XENSTORE_IDX(producer), first;

    if (used > XENSTORE_RING_SIZE)
        return -1;
    if (length > XENSTORE_RING_SIZE - used)
        length = XENSTORE_RING_SIZE - used;
    if (!length)
        return 0;
    first = XENSTORE_RING_SIZE - start;
    if (first > length)
        first = length;
    memcpy(interface->rsp + start, buffer, first);
    memcpy(interface->rsp, (const uint8_t *)buffer + first, length - first);
    index_write(&interface->rsp_prod, producer + length);
    return (int)length;
}

/* The part of a message of header and payload that begins `done` bytes in, in one piece. */
static uint32_t message_part(struct store_message *message, uint32_t done, uint8_t **part)
{
    const uint32_t header = sizeof(message->header);

    if (done < header) {
        *part = (uint8_t *)&message->header + done;
        return header - done;
    }
    *part = message->payload + (done - header);
    return header + message->header.len - done;
}

/* Put waiting messages on the ring as far as it has room. Bytes moved, or -1. */
static int ring_flush(struct store_connection *connection)
{
    int moved = 0;

    while (connection->out) {
        struct store_message *message = connection->out;
        uint8_t *part;
        uint32_t length = message_part(message, message->done, &part);
        int written = length ? ring_write(connection->domain->interface, part, length) : 0;

        if (written < 0)
            return -1;
        message->done += (uint32_t)written;
        moved += written;
        if (message->done == sizeof(message->header) + message->header.len)
            image_free(store_receive(connection));
        else if ((uint32_t)written < length)
            break;
    }
    return moved;
}

/*
 * Read on in the request that is coming in. Returns the bytes moved or -1; *complete when the request is whole. The
 * header is checked before a byte of the payload is taken.
 */
static int ring_assemble(struct store_connection *connection, bool *complete)
{
    struct xenstore_domain_interface *interface = connection->domain->interface;
    const uint32_t header = sizeof(connection->partial_header);
    int moved = 0, read;

    *complete = false;
    if (connection->partial_done < header) {
        read = ring_read(interface, (uint8_t *)&connection->partial_header + connection->partial_done,
                         header - connection->partial_done);
        if (read < 0)
            return -1;
        moved = read;
        connection->partial_done += (uint32_t)read;
        if (connection->partial_done < header)
            return moved;
        if (connection->partial_header.len > XENSTORE_PAYLOAD_MAX) {
            store_connection_break(connection, XENSTORE_ERROR_PROTO);
            return moved;
        }
        connection->partial = image_alloc(sizeof(*connection->partial) + connection->partial_header.len);
        connection->partial->header = connection->partial_header;
    }
    if (connection->partial_done < header + connection->partial_header.len) {
        uint8_t *part;
        uint32_t length = message_part(connection->partial, connection->partial_done, &part);

        read = ring_read(interface, part, length);
        if (read < 0)
            return -1;
        moved += read;
        connection->partial_done += (uint32_t)read;
    }
    *complete = connection->partial_done == header + connection->partial_header.len;
    return moved;
}

bool store_ring_serve(struct store_connection *connection)
{
    struct store_domain *domain = connection->domain;
    bool complete = false;
    int written, read = 0;
    unsigned before;

    if (__atomic_load_n(&domain->interface->connection, __ATOMIC_ACQUIRE) == XENSTORE_RECONNECT) {
        store_ring_reset(domain);
        xen_evtchn_send(XEN_DOM0, domain->port);
        return true;
    }
    if (connection->broken)
        return false;
    store_connections_expire();
    written = ring_flush(connection);
    if (written >= 0 && connection->out_count < machine->store->quota.outstanding &&
        !store_memory_exhausted(connection->domid))
        read = ring_assemble(connection, &complete);
    if (written < 0 || read < 0) {
        store_connection_break(connection, XENSTORE_ERROR_RINGIDX);
        xen_evtchn_send(XEN_DOM0, domain->port);
        return true;
    }
    before = connection->out_count;
    if (complete) {
        struct store_message *request = connection->partial;

        connection->partial = NULL;
        connection->partial_done = 0;
        store_wire_handle(connection, &request->header, request->payload);
        image_free(request);
        if (connection->out_count > before && !connection->broken) {
            int more = ring_flush(connection);

            if (more < 0)
                store_connection_break(connection, XENSTORE_ERROR_RINGIDX);
            else
                written += more;
        }
    }
    if (written || read)
        xen_evtchn_send(XEN_DOM0, domain->port);
    return written || read;
}

void store_ring_reset(struct store_domain *domain)
{
    struct xenstore_domain_interface *interface = domain->interface;

    store_watches_drop(domain->connection);
    store_transactions_drop(domain->connection);
    store_connection_drop_messages(domain->connection);
    domain->connection->broken = false;
    index_write(&interface->req_cons, 0);
    index_write(&interface->req_prod, 0);
    index_write(&interface->rsp_cons, 0);
    index_write(&interface->rsp_prod, 0);
    interface->server_features = XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR;
    interface->error = XENSTORE_ERROR_NONE;
    __atomic_store_n(&interface->connection, (uint32_t)XENSTORE_CONNECTED, __ATOMIC_RELEASE);
}
