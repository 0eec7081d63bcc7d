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

        if (strcmp(at, "/") == 0)
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
    *path = store_path_is_special(name) ? NULL : store_path_resolve(request->connection, name);
    if (!*path)
        return EINVAL;
    *node = store_view_read(request->connection, request->transaction, *path, &error);
    if (!*node)
        return error == ENOENT ? absent_error(request, *path, wanted) : error;
    if ((store_permissions_of(request->connection, (*node)->permission, (*node)->permission_count) & wanted) != wanted)
        return EACCES;
    return 0;
}

int store_operation_read(const struct store_request *request)
{
    const char *name = store_wire_one_string(request);
    struct store_node *node;
    char *path;
    int error;

    if (!name)
        return EINVAL;
    error = lookup(request, name, XS_PERM_READ, &path, &node);
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
    error = lookup(request, name, XS_PERM_READ, &path, &node);
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
    error = lookup(request, string[0], XS_PERM_READ, &path, &node);
    if (!error)
        reply_directory_part(request, node, (uint32_t)strtoul(string[1], NULL, 10));
    image_free(path);
    return error;
}

/*
 * Whether a limit forbids that the connection creates the `missing` last nodes of `path`, the deepest with a value of
 * `length` bytes. The deepest comes first; a limit that is hit after it fails the transaction, as there is no way back.
 */
static int creation_refused(const struct store_request *request, const char *path, uint32_t length, unsigned missing,
                            const struct store_node *parent)
{
    const struct store_quota *quota = &machine->store->quota;
    const struct store_domain *domain = store_domain_find(request->connection->domid);
    unsigned owned = domain ? domain->nodes : 0;
    uint32_t child = 0; /* bytes of the name of the node below */

    if (store_connection_privileged(request->connection))
        return 0;
    for (unsigned i = 0; i < missing; i++) {
        size_t end = strlen(path);

        /* What a transaction has created or removed counts when it is committed. */
        if (owned + (request->transaction ? 0 : i) >= quota->nodes) {
            if (i)
                store_view_fail(request->transaction);
            return ENOSPC;
        }
        if (store_node_record_size(parent->permission_count, i ? 0 : length, child) >= quota->node_size) {
            store_view_fail(request->transaction);
            return ENOSPC;
        }
        for (unsigned level = 0; level < i; level++) {
            while (path[end - 1] != '/')
                end--;
            end--;
        }
        for (child = 1; path[end - child] != '/'; child++)
            ;
    }
    if (store_node_size(parent) + child >= quota->node_size) {
        store_view_fail(request->transaction);
        return ENOSPC;
    }
    return 0;
}

/*
 * Nor may the new nodes take more memory than the connection's domain may have. They are stored one after the other,
 * the deepest first, and the first that does not fit is refused.
 */
static int creation_exceeds_memory(const struct store_request *request, const char *path, uint32_t length,
                                   unsigned missing, const struct store_node *parent)
{
    const struct store_transaction *transaction = request->transaction;
    size_t end = strlen(path), bytes = 0, child = 0;

    for (unsigned i = 0; i < missing; i++) {
        size_t start = end;

        while (path[start - 1] != '/')
            start--;
        bytes += (transaction ? transaction->changed.account_prefix : 0) + end +
                 store_node_record_size(parent->permission_count, i ? 0 : length, (uint32_t)child);
        child = end - start + 1;
        end = start - 1;
    }
    if (!store_memory_refused(request->connection->domid, (int)bytes))
        return 0;
    store_view_fail(request->transaction);
    return EIO;
}

/* The closest ancestor of `path` that is there; its path to *ancestor, in machine heap. *missing: nodes below it. */
static struct store_node *closest_ancestor(const struct store_request *request, const char *path, char **ancestor,
                                           unsigned *missing, int *error)
{
    struct store_node *node;

    *ancestor = image_strdup(path);
    *missing = 0;
    *error = 0;
    while (!(node = store_view_read(request->connection, request->transaction, *ancestor, error))) {
        char *parent;

        if (*error != ENOENT)
            return NULL;
        parent = store_path_parent(*ancestor); /* "/" always is there */
        image_free(*ancestor);
        *ancestor = parent;
        ++*missing;
    }
    *error = 0;
    return node;
}

/*
 * Create the node with its value, and the ancestors that are missing. They get the permissions of the closest ancestor
 * that is there; what an unprivileged domain creates it owns.
 */
static int create_node(const struct store_request *request, const char *path, const void *value, uint32_t length)
{
    struct store_connection *connection = request->connection;
    struct store_transaction *transaction = request->transaction;
    struct store_permission *permission = NULL;
    unsigned missing, count;
    char *ancestor, *at = image_strdup(path), *child = NULL;
    int error;
    struct store_node *node = closest_ancestor(request, path, &ancestor, &missing, &error);

    if (!error)
        error = creation_refused(request, path, length, missing, node);
    if (!error)
        error = creation_exceeds_memory(request, path, length, missing, node);
    if (error)
        goto out;
    count = node->permission_count;
    permission = image_alloc(count * sizeof(*permission));
    memcpy(permission, node->permission, count * sizeof(*permission));
    if (!store_connection_privileged(connection))
        permission[0].domid = connection->domid;
    for (unsigned i = 0; i < missing; i++) { /* the deepest first */
        char *parent = store_path_parent(at);

        node = store_view_change(connection, transaction, at, &error);
        if (node) {
            store_node_set_permissions(node, permission, count);
            store_view_charge(transaction, permission[0].domid, 1);
            if (child)
                store_node_add_child(node, store_path_leaf(child));
            else
                store_node_set_value(node, value, length);
        }
        image_free(child);
        child = at;
        at = parent;
        if (!node)
            goto out;
    }
    node = store_view_change(connection, transaction, at, &error);
    if (node)
        store_node_add_child(node, store_path_leaf(child));
out:
    image_free(permission);
    image_free(ancestor);
    image_free(child);
    image_free(at);
    return error;
}

/* A new value for a node that is there. */
static int change_value(const struct store_request *request, const char *path, const struct store_node *old,
                        const void *value, uint32_t length)
{
    struct store_connection *connection = request->connection;
    struct store_node *node;
    int error = 0;

    if (!store_connection_privileged(connection) &&
        store_node_record_size(old->permission_count, length, old->children_length) >= machine->store->quota.node_size)
        error = ENOSPC;
    else if (length > old->value_length &&
             store_memory_refused(store_node_owner(old), (int)(length - old->value_length)))
        error = EIO;
    if (error) {
        store_view_fail(request->transaction);
        return error;
    }
    node = store_view_change(connection, request->transaction, path, &error);
    if (node)
        store_node_set_value(node, value, length);
    return error;
}

int store_operation_write(const struct store_request *request)
{
    const uint8_t *end = request->length ? memchr(request->payload, '\0', request->length) : NULL;
    struct store_node *node;
    uint32_t length;
    char *path;
    int error;

    if (!end)
        return EINVAL;
    end++;
    length = (uint32_t)(request->payload + request->length - end);
    error = lookup(request, (const char *)request->payload, XS_PERM_WRITE, &path, &node);
    if (!error)
        error = change_value(request, path, node, end, length);
    else if (error == ENOENT)
        error = create_node(request, path, end, length);
    if (!error) {
        store_view_fire(request->connection, request->transaction, path, false, NULL);
        store_wire_reply_ok(request);
    }
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
    error = lookup(request, name, XS_PERM_WRITE, &path, &node);
    if (error == ENOENT) {
        error = create_node(request, path, NULL, 0);
        if (!error)
            store_view_fire(request->connection, request->transaction, path, false, NULL);
    }
    if (!error)
        store_wire_reply_ok(request);
    image_free(path);
    return error;
}

/*
 * Remove a node with all below it, the deepest first. `top`: the node that was asked for, whose removal watchers above
 * it hear of; of the others hear those who watch just them.
 */
static void remove_tree(struct store_connection *connection, struct store_transaction *transaction, const char *path,
                        bool top)
{
    int error = 0;
    struct store_node *node = store_view_read(connection, transaction, path, &error);
    struct store_table gone = {0};
    char *children;
    uint32_t length;

    if (!node)
        return;
    length = node->children_length;
    children = image_alloc(length + 1);
    if (length)
        memcpy(children, node->children, length);
    for (uint32_t at = 0; at < length; at += (uint32_t)strlen(children + at) + 1) {
        char *child = image_printf("%s/%s", path, children + at);

        remove_tree(connection, transaction, child, false);
        node = store_view_change(connection, transaction, path, &error);
        if (node)
            store_node_remove_child(node, children + at);
        image_free(child);
    }
    image_free(children);
    node = store_view_read(connection, transaction, path, &error);
    if (!node)
        return;
    store_view_charge(transaction, store_node_owner(node), -1);
    store_node_assign(store_table_add(&gone, path), node);
    store_view_delete(connection, transaction, path);
    store_view_fire(connection, transaction, path, !top, store_table_find(&gone, path));
    store_table_clear(&gone);
}

int store_operation_rm(const struct store_request *request)
{
    const char *name = store_wire_one_string(request);
    struct store_node *node, *parent_node;
    char *path, *parent = NULL;
    int error;

    if (!name)
        return EINVAL;
    error = lookup(request, name, XS_PERM_WRITE, &path, &node);
    if (!error && strcmp(path, "/") == 0)
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
    /* Another may have removed it since the transaction looked at the node. */
    if (!store_view_read(request->connection, request->transaction, parent, &error)) {
        error = error == ENOENT ? EINVAL : error;
        goto out;
    }
    remove_tree(request->connection, request->transaction, path, true);
    parent_node = store_view_change(request->connection, request->transaction, parent, &error);
    if (!parent_node)
        goto out;
    store_node_remove_child(parent_node, store_path_leaf(path));
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

/* The permissions of an event that is no node; whoever may write them may also give them away. */
static int set_special_permissions(const struct store_request *request, const char *name,
                                   struct store_permission **permission, unsigned count)
{
    const unsigned wanted = XS_PERM_WRITE | XS_PERM_OWNER;
    struct store_special *special = store_special_find(name);

    if (!special)
        return EINVAL;
    if ((store_permissions_of(request->connection, special->permission, special->permission_count) & wanted) != wanted)
        return EACCES;
    image_free(special->permission);
    special->permission = *permission;
    special->permission_count = count;
    *permission = NULL;
    return 0;
}

static int set_node_permissions(const struct store_request *request, const char *name,
                                const struct store_permission *permission, unsigned count)
{
    struct store_connection *connection = request->connection;
    struct store_node *node, *before;
    struct store_table old = {0};
    char *path;
    int error = lookup(request, name, XS_PERM_WRITE | XS_PERM_OWNER, &path, &node);

    if (!error && !store_connection_privileged(connection)) {
        if (permission[0].domid != store_node_owner(node)) {
            error = EPERM;
        } else if (store_node_record_size(count, node->value_length, node->children_length) >=
                   machine->store->quota.node_size) {
            store_view_fail(request->transaction);
            error = ENOSPC;
        }
    }
    if (error)
        goto out;
    before = store_table_add(&old, path);
    store_node_assign(before, node);
    node = store_view_change(connection, request->transaction, path, &error);
    if (!node)
        goto out;
    store_node_set_permissions(node, permission, count);
    if (store_node_owner(before) != permission[0].domid) {
        store_view_charge(request->transaction, store_node_owner(before), -1);
        store_view_charge(request->transaction, permission[0].domid, 1);
    }
    store_view_fire(connection, request->transaction, path, false, before);
out:
    store_table_clear(&old);
    image_free(path);
    return error;
}

int store_operation_set_permissions(const struct store_request *request)
{
    struct store_permission *permission;
    unsigned count;
    const char *name;
    int error;

    count = store_wire_strings(request, &name, 1);
    if (count < 2)
        return EINVAL;
    count--;
    if (!store_connection_privileged(request->connection) && count > machine->store->quota.permissions)
        return ENOSPC;
    permission = parse_permissions(request, count);
    if (!permission)
        return EINVAL;
    store_permissions_settle(permission, count);
    if (permission[0].ignored) /* a node has an owner that is there */
        error = ENOENT;
    else if (store_path_is_special(name))
        error = set_special_permissions(request, name, &permission, count);
    else
        error = set_node_permissions(request, name, permission, count);
    image_free(permission);
    if (!error)
        store_wire_reply_ok(request);
    return error;
}

/* A domain goes: one that gets its number later must not inherit its entries. */
static void ignore_entries(struct store_permission *permission, unsigned count, unsigned domid)
{
    for (unsigned i = 1; i < count; i++) {
        if (permission[i].domid == domid)
            permission[i].ignored = true;
    }
}

static void forget_below(struct store_connection *daemon, const char *path, unsigned domid)
{
    struct store_node *node = store_table_find(&machine->store->tree, path);
    uint32_t length = node->children_length;
    char *children = image_alloc(length + 1);

    ignore_entries(node->permission, node->permission_count, domid);
    if (length)
        memcpy(children, node->children, length);
    for (uint32_t at = 0; at < length; at += (uint32_t)strlen(children + at) + 1) {
        char *child = image_printf("%s/%s", strcmp(path, "/") ? path : "", children + at);
        const struct store_node *below = store_table_find(&machine->store->tree, child);

        if (below && store_node_owner(below) == domid) {
            int error = 0;
            struct store_node *parent;

            remove_tree(daemon, NULL, child, true);
            parent = store_view_change(daemon, NULL, path, &error);
            store_node_remove_child(parent, children + at);
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

    for (unsigned i = 0; i < sizeof(machine->store->special) / sizeof(machine->store->special[0]); i++) {
        struct store_special *special = &machine->store->special[i];

        ignore_entries(special->permission, special->permission_count, domid);
    }
    forget_below(&daemon, "/", domid);
}
