/* Watches: docs/misc/xenstore.txt, "Watches". */
#include "store/store_internal.h"

#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"

#include <string.h>

#define INDEX_FIRST_BUCKETS 64u

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

/* ---- by path ---- */

static void index_grow(struct store_watches *watches)
{
    unsigned count = watches->bucket_count ? watches->bucket_count * 2 : INDEX_FIRST_BUCKETS;
    struct store_watch **bucket = image_alloc(count * sizeof(*bucket));

    for (unsigned i = 0; i < watches->bucket_count; i++) {
        struct store_watch *watch, *next;

        for (watch = watches->bucket[i]; watch; watch = next) {
            next = watch->below;
            watch->below = bucket[watch->hash & (count - 1)];
            bucket[watch->hash & (count - 1)] = watch;
        }
    }
    image_free(watches->bucket);
    watches->bucket = bucket;
    watches->bucket_count = count;
}

static struct store_watch **index_bucket(uint32_t hash)
{
    struct store_watches *watches = &machine->store->watches;

    return &watches->bucket[hash & (watches->bucket_count - 1)];
}

static void index_add(struct store_watch *watch)
{
    struct store_watches *watches = &machine->store->watches;
    struct store_watch **head;

    if (watches->count >= watches->bucket_count)
        index_grow(watches);
    watches->count++;
    watch->number = ++watches->number;
    watch->hash = store_hash(watch->path);
    head = index_bucket(watch->hash);
    watch->below = *head;
    *head = watch;
}

static void index_remove(const struct store_watch *watch)
{
    struct store_watch **link = index_bucket(watch->hash);

    while (*link != watch)
        link = &(*link)->below;
    *link = watch->below;
    machine->store->watches.count--;
}

/* Put the watches of a path, the first `length` bytes of `path`, among the matches: by connection, then by arrival. */
static void match_watches(struct store_watch **matches, const char *path, size_t length, uint32_t hash)
{
    struct store_watch *watch;

    if (!machine->store->watches.count)
        return;
    for (watch = *index_bucket(hash); watch; watch = watch->below) {
        const struct store_connection *connection = watch->connection;
        struct store_watch **link = matches;

        if (watch->hash != hash || strncmp(watch->path, path, length) != 0 || watch->path[length] != '\0' ||
            connection->broken || connection->closed)
            continue;
        while (*link && ((*link)->connection->number < connection->number ||
                         ((*link)->connection == connection && (*link)->number < watch->number)))
            link = &(*link)->match;
        watch->match = *link;
        *link = watch;
    }
}

/* The watches of `path` and, unless `exact`, of all above it. */
static struct store_watch *match_path(const char *path, bool exact)
{
    struct store_watch *matches = NULL;
    uint32_t hash = STORE_HASH_START;
    size_t length = 0;

    while (path[length]) {
        hash = store_hash_put(hash, path[length++]);
        if (!path[length] || (!exact && (length == 1 || path[length] == '/')))
            match_watches(&matches, path, length, hash);
    }
    return matches;
}

void store_watches_fire_special(const char *name)
{
    const struct store_special *special = store_special_find(name);
    const struct store_watch *watch;

    for (watch = match_path(name, true); watch; watch = watch->match) {
        if (store_permissions_of(watch->connection, special->permission, special->permission_count) & XS_PERM_READ)
            event_send(watch->connection, watch, name);
    }
}

void store_watches_fire(const char *path, bool exact, const struct store_permission *before, unsigned before_count,
                        bool removed)
{
    const struct store_connection *last = NULL;
    const struct store_watch *watch;
    bool permitted = false;

    for (watch = match_path(path, exact); watch; watch = watch->match) {
        if (watch->connection != last)
            permitted = event_permitted(watch->connection, path, before, before_count, removed);
        last = watch->connection;
        if (permitted)
            event_send(watch->connection, watch, path);
    }
}

/* ---- of a connection ---- */

static size_t watch_memory(const struct store_watch *watch)
{
    return strlen(watch->path) + strlen(watch->token);
}

static struct store_watch *watch_find(const struct store_connection *connection, const char *path, const char *token)
{
    struct store_watch *watch;

    if (!connection->watch_count)
        return NULL;
    for (watch = *index_bucket(store_hash(path)); watch; watch = watch->below) {
        if (watch->connection == connection && strcmp(watch->path, path) == 0 && strcmp(watch->token, token) == 0)
            return watch;
    }
    return NULL;
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
    if (watch_find(connection, full, token)) {
        image_free(full);
        return EEXIST;
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
    watch->connection = connection;
    watch->path = full;
    watch->token = image_strdup(token);
    if (path[0] != '/' && !store_path_is_special(path))
        watch->relative_to = strlen(full) - strlen(path);
    watch->link = connection->watch_tail;
    *watch->link = watch;
    connection->watch_tail = &watch->next;
    connection->watch_count++;
    index_add(watch);
    store_memory_add(connection->domid, (int)watch_memory(watch));
    return 0;
}

void store_watch_fire_first(struct store_connection *connection)
{
    const struct store_watch *watch =
        (const struct store_watch *)((const char *)connection->watch_tail - offsetof(struct store_watch, next));

    event_send(connection, watch, watch->path);
}

static void watch_drop(struct store_watch *watch)
{
    struct store_connection *connection = watch->connection;

    *watch->link = watch->next;
    if (watch->next)
        watch->next->link = watch->link;
    else
        connection->watch_tail = watch->link;
    connection->watch_count--;
    index_remove(watch);
    store_memory_add(connection->domid, -(int)watch_memory(watch));
    image_free(watch->path);
    image_free(watch->token);
    image_free(watch);
}

int store_watch_remove(struct store_connection *connection, const char *path, const char *token)
{
    char *full = store_path_absolute(connection, path);
    struct store_watch *watch = watch_find(connection, full, token);

    image_free(full);
    if (!watch)
        return ENOENT;
    watch_drop(watch);
    return 0;
}

void store_watches_drop(struct store_connection *connection)
{
    while (connection->watch)
        watch_drop(connection->watch);
}
