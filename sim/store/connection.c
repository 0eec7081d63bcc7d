/* Connections and the messages that wait on them. */
#include "store/store_internal.h"

#include "machine/clock.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "machine/sched.h"

#include <string.h>

struct store_connection *store_connection_create(unsigned domid)
{
    struct store_state *store = machine->store;
    struct store_connection *connection = image_alloc(sizeof(*connection));

    connection->number = ++store->connection_number;
    connection->domid = domid;
    connection->target = STORE_NO_DOMAIN;
    connection->watch_tail = &connection->watch;
    connection->transaction_tail = &connection->transaction;
    connection->out_tail = &connection->out;
    connection->in_tail = &connection->in;
    *store->connections_tail = connection;
    store->connections_tail = &connection->next;
    return connection;
}

static struct store_message *message_create(uint32_t type, uint32_t request, uint32_t transaction, const void *payload,
                                            uint32_t length)
{
    struct store_message *message = image_alloc(sizeof(*message) + length);

    message->header.type = type;
    message->header.req_id = request;
    message->header.tx_id = transaction;
    message->header.len = length;
    if (length)
        memcpy(message->payload, payload, length);
    return message;
}

/* What a message to a client counts as while it waits. */
static size_t message_memory(const struct store_message *message)
{
    return sizeof(message->header) + message->header.len;
}

void store_connection_send(struct store_connection *connection, uint32_t type, uint32_t request, uint32_t transaction,
                           const void *payload, uint32_t length)
{
    struct store_message *message;

    if (connection->broken || connection->closed)
        return;
    message = message_create(type, request, transaction, payload, length);
    if (type == XS_WATCH_EVENT && connection->domain && machine->store->quota.watch_event)
        message->deadline = clock_now() + machine->store->quota.watch_event * UINT64_C(1000000000);
    *connection->out_tail = message;
    connection->out_tail = &message->next;
    connection->out_count++;
    store_memory_add(connection->domid, (int)message_memory(message));
    if (connection->wakeup)
        connection->wakeup(connection->argument);
    else
        store_wake(); /* the ring may have room for it */
}

static void message_leaves(struct store_connection *connection, const struct store_message *message)
{
    connection->out_count--;
    store_memory_add(connection->domid, -(int)message_memory(message));
}

static void connection_expire(struct store_connection *connection)
{
    struct store_message **link = &connection->out;

    while (*link) {
        struct store_message *message = *link;

        if (!message->deadline || message->done || message->deadline > clock_now()) {
            link = &message->next;
            continue;
        }
        log_line(LOG_INFO, "store", "domain %u does not read: the event of %s is dropped", connection->domid,
                 (const char *)message->payload);
        *link = message->next;
        if (connection->out_tail == &message->next)
            connection->out_tail = link;
        message_leaves(connection, message);
        image_free(message);
    }
}

/* Nobody can tell whether an event goes when its time is over or when the daemon next has something to do. */
void store_connections_expire(void)
{
    struct store_domain *domain;

    for (domain = machine->store->domains; domain; domain = domain->next) {
        if (domain->connection && domain->connection->out)
            connection_expire(domain->connection);
    }
}

void store_connection_drop_messages(struct store_connection *connection)
{
    struct store_message *message;

    while ((message = store_receive(connection)))
        image_free(message);
    while ((message = connection->in)) {
        connection->in = message->next;
        image_free(message);
    }
    connection->in_tail = &connection->in;
    image_free(connection->partial);
    connection->partial = NULL;
    connection->partial_done = 0;
}

void store_connection_break(struct store_connection *connection, uint32_t ring_error)
{
    if (connection->broken)
        return;
    log_line(LOG_WARNING, "store", "connection %u of domain %u ignored from now on: %s", connection->number,
             connection->domid,
             ring_error == XENSTORE_ERROR_RINGIDX ? "ring index out of range"
             : ring_error == XENSTORE_ERROR_PROTO ? "payload longer than the protocol allows"
                                                  : "communication problem");
    connection->broken = true;
    store_watches_drop(connection);
    store_transactions_drop(connection);
    store_connection_drop_messages(connection);
    if (connection->domain)
        __atomic_store_n(&connection->domain->interface->error, ring_error, __ATOMIC_RELEASE);
    if (connection->wakeup)
        connection->wakeup(connection->argument);
}

struct store_connection *store_connect(unsigned domid, void (*wakeup)(void *argument), void *argument)
{
    struct store_connection *connection = store_connection_create(domid);

    connection->wakeup = wakeup;
    connection->argument = argument;
    if (store_is_elsewhere())
        store_elsewhere_connect(connection);
    return connection;
}

void store_disconnect(struct store_connection *connection)
{
    store_watches_drop(connection);
    store_transactions_drop(connection);
    store_connection_drop_messages(connection);
    connection->wakeup = NULL;
    connection->closed = true;
    if (!store_is_elsewhere()) {
        store_wake();
        return;
    }
    store_elsewhere_disconnect(connection);
    store_free_closed();
}

void store_submit(struct store_connection *connection, uint32_t type, uint32_t request, uint32_t transaction,
                  const void *payload, uint32_t length)
{
    struct store_message *message;

    if (connection->broken)
        return;
    if (length > XENSTORE_PAYLOAD_MAX) {
        store_connection_break(connection, XENSTORE_ERROR_PROTO);
        return;
    }
    if (store_is_elsewhere()) {
        const struct xsd_sockmsg header = {.type = type, .req_id = request, .tx_id = transaction, .len = length};

        store_elsewhere_submit(connection, &header, payload);
        return;
    }
    message = message_create(type, request, transaction, payload, length);
    *connection->in_tail = message;
    connection->in_tail = &message->next;
    store_wake();
}

struct store_message *store_receive(struct store_connection *connection)
{
    struct store_message *message = connection->out;

    if (!message)
        return NULL;
    connection->out = message->next;
    if (!connection->out)
        connection->out_tail = &connection->out;
    message_leaves(connection, message);
    message->next = NULL;
    return message;
}

bool store_connection_broken(const struct store_connection *connection)
{
    return connection->broken;
}
