/* Watches: docs/misc/xenstore.txt, "Watches". */
#include "store/store_internal.h"

#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"

#include <string.h>

/* Queue an event unless the very same one still waits for a client that does not read. */
static void event_send(struct store_connection *connection, const struct store_watch *watch, const char *path)
{
    const char *shown = path + watch->relative_to;
    size_t path_size = strlen(shown) + 1, token_size = strlen(watch->token) + 1;
    uint32_t length = (uint32_t)(path_size + token_size);
    const struct store_message *queued;
    char *payload;

    if (length > XENSTORE_PAYLOAD_MAX) {
        log_line(LOG_WARNING, "store", "event of %s for domain %u dropped: path and token are %u bytes", path,
                 connection->domid, length);
        return;
    }
    payload = image_alloc(length);
    memcpy(payload, shown, path_size);
    memcpy(payload + path_size, watch->token, token_size);
    for (queued = store_path_is_special(path) ? NULL : connection->out; queued; queued = queued->next) {
        if (queued->header.type == XS_WATCH_EVENT && queued->header.len == length &&
            memcmp(queued->payload, payload, length) == 0)
            break;
    }
    if (!queued && !store_memory_refused(connection->domid, (int)(sizeof(struct xsd_sockmsg) + length)))
        store_connection_send(connection, XS_WATCH_EVENT, 0, 0, payload, length);
    image_free(payload);
}

static const struct store_node *parent_of(const char *path)
{
    char *parent;
    const struct store_node *node;

    if (store_path_is_special(path) || strcmp(path, "/") == 0)
        return NULL;
    parent = store_path_parent(path);
    node = store_table_find(&machine->store->tree, parent);
    image_free(parent);
    return node;
}

/* May the connection hear of the node: by the permissions that it had, has, or its parent has. */
static bool event_permitted(const struct store_connection *connection, const char *path,
                            const struct store_permission *before, unsigned before_count, bool removed)
{
    const struct store_node *node = store_table_find(&machine->store->tree, path);
    const struct store_node *parent;

    if (before && (store_permissions_of(connection, before, before_count) & XS_PERM_READ))
        return true;
    if (!node && !removed)
        return false;
    if (node && (store_permissions_of(connection, node->permission, node->permission_count) & XS_PERM_READ))
        return true;
    parent = parent_of(path);
    return parent && (store_permissions_of(connection, parent->permission, parent->permission_count) & XS_PERM_READ);
}

void store_watches_fire_special(const char *name)
{
    const struct store_special *special = store_special_find(name);
    struct store_connection *connection;

    for (connection = machine->store->connections; connection; connection = connection->next) {
        const struct store_watch *watch;

        if (connection->broken || connection->closed ||
            !(store_permissions_of(connection, special->permission, special->permission_count) & XS_PERM_READ))
            continue;
        for (watch = connection->watch; watch; watch = watch->next) {
            if (strcmp(watch->path, name) == 0)
                event_send(connection, watch, name);
        }
    }
}

void store_watches_fire(const char *path, bool exact, const struct store_permission *before, unsigned before_count,
                        bool removed)
{
    struct store_connection *connection;

    for (connection = machine->store->connections; connection; connection = connection->next) {
        const struct store_watch *watch;

        if (!connection->watch || connection->broken || connection->closed ||
            !event_permitted(connection, path, before, before_count, removed))
            continue;
        for (watch = connection->watch; watch; watch = watch->next) {
            if (exact ? strcmp(path, watch->path) == 0 : store_path_is_below(path, watch->path))
                event_send(connection, watch, path);
        }
    }
}

static size_t watch_memory(const struct store_watch *watch)
{
    return strlen(watch->path) + strlen(watch->token);
}

int store_watch_add(struct store_connection *connection, const char *path, const char *token)
{
    struct store_watch *watch;
    char *full;

    if (store_path_is_special(path) && strlen(path) > XENSTORE_REL_PATH_MAX)
        return EINVAL;
    full = store_path_resolve(connection, path);
    if (!full)
        return EINVAL;
    for (watch = connection->watch; watch; watch = watch->next) {
        if (strcmp(watch->path, full) == 0 && strcmp(watch->token, token) == 0) {
            image_free(full);
            return EEXIST;
        }
    }
    if (!store_connection_privileged(connection) && connection->watch_count > machine->store->quota.watches) {
        image_free(full);
        return E2BIG;
    }
    if (store_memory_refused(connection->domid, (int)(strlen(full) + strlen(token)))) {
        image_free(full);
        return ENOMEM;
    }
    watch = image_alloc(sizeof(*watch));
    watch->path = full;
    watch->token = image_strdup(token);
    if (path[0] != '/' && !store_path_is_special(path))
        watch->relative_to = strlen(full) - strlen(path);
    *connection->watch_tail = watch;
    connection->watch_tail = &watch->next;
    connection->watch_count++;
    store_memory_add(connection->domid, (int)watch_memory(watch));
    return 0;
}

void store_watch_fire_first(struct store_connection *connection)
{
    const struct store_watch *watch = connection->watch;

    while (watch->next)
        watch = watch->next;
    event_send(connection, watch, watch->path);
}

static void watch_free(struct store_connection *connection, struct store_watch *watch)
{
    store_memory_add(connection->domid, -(int)watch_memory(watch));
    image_free(watch->path);
    image_free(watch->token);
    image_free(watch);
}

int store_watch_remove(struct store_connection *connection, const char *path, const char *token)
{
    struct store_watch **link;
    char *full = store_path_absolute(connection, path);

    for (link = &connection->watch; *link; link = &(*link)->next) {
        struct store_watch *watch = *link;

        if (strcmp(watch->path, full) != 0 || strcmp(watch->token, token) != 0)
            continue;
        *link = watch->next;
        if (connection->watch_tail == &watch->next)
            connection->watch_tail = link;
        connection->watch_count--;
        watch_free(connection, watch);
        image_free(full);
        return 0;
    }
    image_free(full);
    return ENOENT;
}

void store_watches_drop(struct store_connection *connection)
{
    while (connection->watch) {
        struct store_watch *watch = connection->watch;

        connection->watch = watch->next;
        watch_free(connection, watch);
    }
    connection->watch_tail = &connection->watch;
    connection->watch_count = 0;
}
