/* The daemon: its start, its loop over the connections, and what a census and a check say of its tree. */
#include "store/store_internal.h"

#include "machine/census.h"
#include "machine/clock.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <stdio.h>
#include <string.h>

#include <xen/event_channel.h> /* VIRQ_DOM_EXC, by way of the public xen.h */

bool store_is_elsewhere(void)
{
    return machine->store->moved_out;
}

void store_wake(void)
{
    struct store_state *store = machine->store;

    store->work = true;
    if (store->task)
        task_unpark(store->task);
}

static void on_domain_event(void *argument, uint32_t port)
{
    struct store_state *store = argument;

    (void)port;
    store->domain_event = true;
    store_wake();
}

void store_free_closed(void)
{
    struct store_state *store = machine->store;
    struct store_connection **link = &store->connections;

    while (*link) {
        struct store_connection *connection = *link;

        if (!connection->closed) {
            link = &connection->next;
            continue;
        }
        *link = connection->next;
        if (store->connections_tail == &connection->next)
            store->connections_tail = link;
        store_connection_drop_messages(connection);
        image_free(connection);
    }
}

/* One request of an in-process client. */
static bool local_serve(struct store_connection *connection)
{
    struct store_message *request = connection->in;

    if (!request)
        return false;
    connection->in = request->next;
    if (!connection->in)
        connection->in_tail = &connection->in;
    store_wire_handle(connection, &request->header, request->payload);
    image_free(request);
    return true;
}

void store_serve(struct store_connection *connection, const struct xsd_sockmsg *header, const uint8_t *payload)
{
    struct store_state *store = machine->store;

    if (store->pumping || connection->in) {
        store_submit(connection, header->type, header->req_id, header->tx_id, payload, header->len);
        return;
    }
    store->pumping = true;
    store_wire_handle(connection, header, payload);
    store->pumping = false;
}

/* One turn: what domains do, then at most one request of each connection. */
static bool serve_once(void)
{
    struct store_state *store = machine->store;
    struct store_connection *connection;
    bool progress = false;

    if (store->domain_event) {
        store->domain_event = false;
        xen_evtchn_unmask(XEN_DOM0, (uint32_t)store->virq_port);
        store_domains_check();
        progress = true;
    }
    for (connection = store->connections; connection; connection = connection->next) {
        if (connection->closed)
            continue;
        if (connection->domain) {
            if (connection->domain->event) {
                connection->domain->event = false;
                xen_evtchn_unmask(XEN_DOM0, connection->domain->port);
            }
            progress |= store_ring_serve(connection);
        } else {
            progress |= local_serve(connection);
        }
    }
    store_free_closed();
    return progress;
}

static void daemon_task(void *argument)
{
    struct store_state *store = argument;

    for (;;) {
        store->work = false;
        store->pumping = true;
        while (serve_once())
            sched_point(POINT_DOM0);
        store->pumping = false;
        if (!store->work)
            task_park(CLOCK_NEVER, "store requests");
    }
}

void store_pump(void)
{
    struct store_state *store = machine->store;

    if (store_is_elsewhere())
        return;
    if (store->pumping) {
        sched_point(POINT_PAUSE); /* the daemon is in the middle of a turn: let it go on */
        return;
    }
    store->pumping = true;
    while (serve_once())
        ;
    store->pumping = false;
}

static void add_first_node(const char *path, const char *child)
{
    static const struct store_permission owner = {.domid = 0, .access = XS_PERM_NONE};
    struct store_state *store = machine->store;
    struct store_node *node = store_table_add(&store->tree, path);

    node->generation = store_next_generation(store);
    store_node_set_permissions(node, &owner, 1);
    if (child)
        store_node_add_child(node, child);
    store_view_charge(NULL, 0, 1);
}

void store_init(void)
{
    struct store_state *store = image_alloc(sizeof(*store));

    machine->store = store;
    store->connections_tail = &store->connections;
    store->tree.accounted = true;
    store->generation = 1;
    store_quota_init(&store->quota);
    store_domain_get(0);
    add_first_node("/", "tool");
    add_first_node("/tool", "xenstored");
    add_first_node("/tool/xenstored", NULL);
    store_specials_init();
    store->virq_port = xen_evtchn_bind_virq(XEN_DOM0, VIRQ_DOM_EXC, on_domain_event, store);
    if (store->virq_port < 0)
        log_line(LOG_ERROR, "store", "VIRQ_DOM_EXC can't be bound (%d): the end of domains goes unnoticed",
                 store->virq_port);
    store->task = task_create("xenstored", daemon_task, store);
}

void store_move_out(void)
{
    struct store_state *store = machine->store;

    (void)xen_evtchn_close(XEN_DOM0, (uint32_t)store->virq_port);
    store->moved_out = true;
}

static void census_nodes(struct census *census, const char *path)
{
    const struct store_node *node = store_table_find(&machine->store->tree, path);

    if (store_node_owner(node) != XEN_DOM0)
        census_item(census, "store node", 1, NULL, "%s", path);
    for (uint32_t at = 0; at < node->children_length; at += (uint32_t)strlen(node->children + at) + 1) {
        char child[XENSTORE_ABS_PATH_MAX + 1];

        snprintf(child, sizeof(child), "%s/%s", strcmp(path, "/") ? path : "", node->children + at);
        census_nodes(census, child);
    }
}

void store_census(struct census *census)
{
    const struct store_connection *connection;

    if (store_is_elsewhere())
        return;
    for (connection = machine->store->connections; connection; connection = connection->next) {
        const struct store_watch *watch;

        if (connection->domid == 0)
            continue;
        for (watch = connection->watch; watch; watch = watch->next)
            census_item(census, "watch", 1, NULL, "domain %u: %s", connection->domid, watch->path);
        if (connection->transaction_count)
            census_item(census, "transaction", connection->transaction_count, NULL, "domain %u", connection->domid);
    }
    census_nodes(census, "/");
}

/* Count what is below `path` (itself included); a description of the first breach, or NULL. */
static char *check_below(const char *path, unsigned *nodes, struct store_domain *counts, unsigned count)
{
    const struct store_node *node = store_table_find(&machine->store->tree, path);
    char *breach = NULL;

    if (!node)
        return image_printf("%s is a child without a node", path);
    if (!node->permission_count)
        return image_printf("%s has no owner", path);
    (*nodes)++;
    for (unsigned i = 0; i < count; i++) {
        if (counts[i].domid == store_node_owner(node))
            counts[i].nodes--;
    }
    for (uint32_t at = 0; at < node->children_length && !breach; at += (uint32_t)strlen(node->children + at) + 1) {
        char *child = image_printf("%s/%s", strcmp(path, "/") ? path : "", node->children + at);

        breach = check_below(child, nodes, counts, count);
        image_free(child);
    }
    return breach;
}

char *store_check(void)
{
    struct store_state *store = machine->store;
    struct store_domain *domain, *counts;
    unsigned nodes = 0, count = 0, i = 0;
    char *breach;

    for (domain = store->domains; domain; domain = domain->next)
        count++;
    counts = image_alloc((count + 1) * sizeof(*counts));
    for (domain = store->domains; domain; domain = domain->next)
        counts[i++] = *domain;
    breach = check_below("/", &nodes, counts, count);
    if (!breach && nodes != store->tree.node_count)
        breach = image_printf("%u nodes hang in the tree, %u are kept", nodes, store->tree.node_count);
    for (i = 0; i < count && !breach; i++) {
        if (counts[i].nodes)
            breach = image_printf("domain %u owns %d nodes fewer than it is charged for", counts[i].domid,
                                  (int)counts[i].nodes);
    }
    image_free(counts);
    return breach;
}
