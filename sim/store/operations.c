/* The operations on nodes: docs/misc/xenstore.txt, "Database read, write and permissions operations". */
#include "store/store_internal.h"

#include "machine/image.h"
#include "machine/machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Why a node that is not there can't be had: ENOENT to those who could have read (written) it as far as its closest
 * ancestor tells, EACCES to the others, so that names stay secret.
 */
static int absent_error(const struct store_request *request, const char *path, unsigned wanted)
{
    char *at = image_strdup(path);
    int error = ENOENT;

    for (;;) {
        char *parent;
        const struct store_node *node;

        if (store_path_is_special(at) || strcmp(at, "/") == 0)
            break;
        parent = store_path_parent(at);
        image_free(at);
        at = parent;
        node = store_view_read(request->connection, request->transaction, at, &error);
        if (node) {
            bool may = store_permissions_of(request->connection, node->permission, node->permission_count) & wanted;

            error = may ? ENOENT : EACCES;
            break;
        }
        if (error != ENOENT)
            break;
    }
    image_free(at);
    return error;
}

/*
 * Find the node that a request names and check the caller's right to it. *path is its absolute path in machine heap
 * (NULL when the name is invalid: EINVAL); freed by the caller whatever the result.
 */
static int lookup(const struct store_request *request, const char *name, unsigned wanted, char **path,
                  struct store_node **node)
{
    int error = 0;

    *node = NULL;
    *path = store_path_resolve(request->connection, name);
    if (!*path)
        return EINVAL;
    *node = store_view_read(request->connection, request->transaction, *path, &error);
    if (!*node)
        return error == ENOENT ? absent_error(request, *path, wanted) : error;
    if ((store_permissions_of(request->connection, (*node)->permission, (*node)->permission_count) & wanted) != wanted)
        return EACCES;
    return 0;
}

/* Special names are no nodes, but for their permissions. */
static int lookup_node(const struct store_request *request, const char *name, unsigned wanted, char **path,
                       struct store_node **node)
{
    if (store_path_is_special(name)) {
        *path = NULL;
        return EINVAL;
    }
    return lookup(request, name, wanted, path, node);
}

int store_operation_read(const struct store_request *request)
{
    const char *name = store_wire_one_string(request);
    struct store_node *node;
    char *path;
    int error;

    if (!name)
        return EINVAL;
    error = lookup_node(request, name, XS_PERM_READ, &path, &node);
    if (!error)
        store_wire_reply(request, node->value, node->value_length);
    image_free(path);
    return error;
}

int store_operation_directory(const struct store_request *request)
{
    const char *name = store_wire_one_string(request);
    struct store_node *node;
    char *path;
    int error;

    if (!name)
        return EINVAL;
    error = lookup_node(request, name, XS_PERM_READ, &path, &node);
    if (!error)
        store_wire_reply(request, node->children, node->children_length);
    image_free(path);
    return error;
}

/* Generation and as many whole names from the offset as fit; an empty name marks the end of the list. */
static void reply_directory_part(const struct store_request *request, const struct store_node *node, uint32_t offset)
{
    char *payload = image_alloc(XENSTORE_PAYLOAD_MAX);
    size_t length = (size_t)snprintf(payload, XENSTORE_PAYLOAD_MAX, "%" PRIu64, node->generation) + 1;

    while (offset < node->children_length) {
        size_t size = strlen(node->children + offset) + 1;

        if (length + size >= XENSTORE_PAYLOAD_MAX)
            break;
        memcpy(payload + length, node->children + offset, size);
        length += size;
        offset += (uint32_t)size;
    }
    if (offset >= node->children_length)
        payload[length++] = '\0';
    store_wire_reply(request, payload, length);
    image_free(payload);
}

int store_operation_directory_part(const struct store_request *request)
{
    const char *string[2];
    struct store_node *node;
    char *path;
    int error;

    if (store_wire_strings(request, string, 2) != 2)
        return EINVAL;
    error = lookup_node(request, string[0], XS_PERM_READ, &path, &node);
    if (!error)
        reply_directory_part(request, node, (uint32_t)strtoul(string[1], NULL, 10));
    image_free(path);
    return error;
}

/*
 * Create the node, empty but about to get a value of `length` bytes, and the ancestors that are missing. They get the
 * permissions of the closest ancestor that is there; what an unprivileged domain creates it owns.
 */
static int create_node(const struct store_request *request, const char *path, uint32_t length)
{
    struct store_connection *connection = request->connection;
    struct store_transaction *transaction = request->transaction;
    struct store_permission *permission = NULL;
    struct store_node *node;
    unsigned missing = 0, count = 0;
    char *at = image_strdup(path);
    size_t from;
    int error = 0;

    while (!(node = store_view_read(connection, transaction, at, &error))) {
        char *parent;

        if (error != ENOENT)
            goto out;
        parent = store_path_parent(at); /* "/" always is there */
        image_free(at);
        at = parent;
        missing++;
    }
    error = 0;
    count = node->permission_count;
    permission = image_alloc(count * sizeof(*permission));
    memcpy(permission, node->permission, count * sizeof(*permission));
    if (!store_connection_privileged(connection)) {
        permission[0].domid = connection->domid;
        if (store_view_nodes(transaction, connection->domid) + missing > machine->store->quota.nodes ||
            store_node_record_size(count, length, 0) >= machine->store->quota.node_size) {
            error = ENOSPC;
            goto out;
        }
    }
    from = strlen(at);
    while (from < strlen(path)) {
        size_t start = from == 1 ? 1 : from + 1;
        size_t end = start + strcspn(path + start, "/");
        char *child = image_alloc(end + 1);

        memcpy(child, path, end);
        node = store_view_change(connection, transaction, at, &error);
        if (node) {
            store_node_add_child(node, child + start);
            if (!store_connection_privileged(connection) && store_node_size(node) >= machine->store->quota.node_size) {
                store_node_remove_child(node, child + start);
                error = ENOSPC;
                node = NULL;
            } else {
                node = store_view_change(connection, transaction, child, &error);
            }
        }
        if (!node) {
            image_free(child);
            goto out;
        }
        store_node_set_permissions(node, permission, count);
        store_view_charge(transaction, permission[0].domid, 1);
        image_free(at);
        at = child;
        from = end;
    }
out:
    image_free(permission);
    image_free(at);
    return error;
}

int store_operation_write(const struct store_request *request)
{
    struct store_connection *connection = request->connection;
    const uint8_t *end = request->length ? memchr(request->payload, '\0', request->length) : NULL;
    struct store_node *node;
    uint32_t length;
    char *path;
    int error;

    if (!end)
        return EINVAL;
    end++;
    length = (uint32_t)(request->payload + request->length - end);
    error = lookup_node(request, (const char *)request->payload, XS_PERM_WRITE, &path, &node);
    if (error && error != ENOENT)
        goto out;
    if (error) {
        error = create_node(request, path, length);
    } else if (!store_connection_privileged(connection) &&
               store_node_record_size(node->permission_count, length, node->children_length) >=
                   machine->store->quota.node_size) {
        error = ENOSPC;
    }
    if (error)
        goto out;
    node = store_view_change(connection, request->transaction, path, &error);
    if (!node)
        goto out;
    store_node_set_value(node, end, length);
    store_view_fire(connection, request->transaction, path, false, NULL);
    store_wire_reply_ok(request);
out:
    image_free(path);
    return error;
}

int store_operation_mkdir(const struct store_request *request)
{
    const char *name = store_wire_one_string(request);
    struct store_node *node;
    char *path;
    int error;

    if (!name)
        return EINVAL;
    error = lookup_node(request, name, XS_PERM_WRITE, &path, &node);
    if (error == ENOENT) {
        error = create_node(request, path, 0);
        if (!error)
            store_view_fire(request->connection, request->transaction, path, false, NULL);
    }
    if (!error)
        store_wire_reply_ok(request);
    image_free(path);
    return error;
}

/* Remove a node with all below it; `top`: the node that was asked for, whose removal watchers above it hear of. */
static void remove_tree(struct store_connection *connection, struct store_transaction *transaction, const char *path,
                        bool top)
{
    int error = 0;
    struct store_node *node = store_view_read(connection, transaction, path, &error);
    char *children;
    uint32_t length;

    if (!node)
        return;
    if (top)
        store_view_fire(connection, transaction, path, false, node);
    length = node->children_length;
    children = image_alloc(length + 1);
    if (length)
        memcpy(children, node->children, length);
    for (uint32_t at = 0; at < length; at += (uint32_t)strlen(children + at) + 1) {
        char *child = image_printf("%s/%s", path, children + at);

        remove_tree(connection, transaction, child, false);
        image_free(child);
    }
    image_free(children);
    node = store_view_read(connection, transaction, path, &error);
    if (!node)
        return;
    if (!top)
        store_view_fire(connection, transaction, path, true, node);
    store_view_charge(transaction, store_node_owner(node), -1);
    store_view_delete(connection, transaction, path);
}

int store_operation_rm(const struct store_request *request)
{
    const char *name = store_wire_one_string(request);
    struct store_node *node, *parent_node;
    char *path, *parent = NULL;
    int error;

    if (!name)
        return EINVAL;
    error = lookup_node(request, name, XS_PERM_WRITE, &path, &node);
    if (path && strcmp(path, "/") == 0)
        error = EINVAL;
    if (error && error != ENOENT)
        goto out;
    parent = store_path_parent(path);
    if (error) {
        /* What is not there is removed already, provided that it could be there. */
        if (store_view_read(request->connection, request->transaction, parent, &error)) {
            error = 0;
            store_wire_reply_ok(request);
        }
        goto out;
    }
    parent_node = store_view_change(request->connection, request->transaction, parent, &error);
    if (!parent_node)
        goto out;
    store_node_remove_child(parent_node, store_path_leaf(path));
    remove_tree(request->connection, request->transaction, path, true);
    store_wire_reply_ok(request);
out:
    image_free(parent);
    image_free(path);
    return error;
}

int store_operation_get_permissions(const struct store_request *request)
{
    const char *name = store_wire_one_string(request);
    struct store_node *node;
    char *path, *payload;
    size_t length = 0;
    int error;

    if (!name)
        return EINVAL;
    error = lookup(request, name, XS_PERM_READ, &path, &node);
    if (!error) {
        payload = image_alloc((size_t)node->permission_count * 16);
        for (unsigned i = 0; i < node->permission_count; i++)
            length += store_permission_format(&node->permission[i], payload + length);
        store_wire_reply(request, payload, length);
        image_free(payload);
    }
    image_free(path);
    return error;
}

/* The permissions in the payload after the node's name; NULL when one is malformed. */
static struct store_permission *parse_permissions(const struct store_request *request, unsigned count)
{
    struct store_permission *permission = image_alloc(count * sizeof(*permission));
    const char *string = (const char *)request->payload;

    for (unsigned i = 0; i < count; i++) {
        string += strlen(string) + 1;
        if (!store_permission_parse(string, &permission[i])) {
            image_free(permission);
            return NULL;
        }
    }
    return permission;
}

int store_operation_set_permissions(const struct store_request *request)
{
    struct store_connection *connection = request->connection;
    struct store_permission *permission = NULL;
    struct store_node *node, *before = NULL;
    struct store_table old = {0};
    unsigned count;
    char *path = NULL;
    const char *name;
    int error;

    count = store_wire_strings(request, &name, 1);
    if (count < 2)
        return EINVAL;
    count--;
    if (!store_connection_privileged(connection) && count > machine->store->quota.permissions)
        return ENOSPC;
    permission = parse_permissions(request, count);
    if (!permission)
        return EINVAL;
    error = lookup(request, name, XS_PERM_WRITE | XS_PERM_OWNER, &path, &node);
    if (error)
        goto out;
    if (!store_connection_privileged(connection)) {
        size_t size = store_node_record_size(count, node->value_length, node->children_length);

        error = permission[0].domid != store_node_owner(node) ? EPERM
                : size >= machine->store->quota.node_size     ? ENOSPC
                                                              : 0;
        if (error)
            goto out;
    }
    before = store_table_add(&old, path);
    store_node_assign(before, node);
    node = store_view_change(connection, request->transaction, path, &error);
    if (!node)
        goto out;
    store_node_set_permissions(node, permission, count);
    if (store_node_owner(before) != permission[0].domid && !store_path_is_special(path)) {
        store_view_charge(request->transaction, store_node_owner(before), -1);
        store_view_charge(request->transaction, permission[0].domid, 1);
    }
    store_view_fire(connection, request->transaction, path, false, before);
    store_wire_reply_ok(request);
out:
    store_table_clear(&old);
    image_free(permission);
    image_free(path);
    return error;
}

/* Drop a dead domain's entries: a domain that gets its number later must not inherit them. */
static void forget_entries(struct store_node *node, unsigned domid)
{
    unsigned kept = 1;

    for (unsigned i = 1; i < node->permission_count; i++) {
        if (node->permission[i].domid != domid)
            node->permission[kept++] = node->permission[i];
    }
    node->permission_count = kept;
}

static void forget_below(struct store_connection *daemon, const char *path, unsigned domid)
{
    struct store_node *node = store_table_find(&machine->store->tree, path);
    uint32_t length = node->children_length;
    char *children = image_alloc(length + 1);

    forget_entries(node, domid);
    if (length)
        memcpy(children, node->children, length);
    for (uint32_t at = 0; at < length; at += (uint32_t)strlen(children + at) + 1) {
        char *child = image_printf("%s/%s", strcmp(path, "/") ? path : "", children + at);
        const struct store_node *below = store_table_find(&machine->store->tree, child);

        if (below && store_node_owner(below) == domid) {
            int error = 0;
            struct store_node *parent = store_view_change(daemon, NULL, path, &error);

            store_node_remove_child(parent, children + at);
            remove_tree(daemon, NULL, child, true);
        } else if (below) {
            forget_below(daemon, child, domid);
        }
        image_free(child);
    }
    image_free(children);
}

void store_operation_forget_domain(unsigned domid)
{
    struct store_connection daemon = {.domid = 0, .target = STORE_NO_DOMAIN};

    forget_below(&daemon, "/", domid);
}
