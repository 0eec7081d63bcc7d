/*
 * Nodes by path: the store's tree, and a transaction's copies. The structure of the tree is in each node's list of
 * children; the table is only ever looked up by path, so that its layout shows nowhere.
 */
#include "store/store_internal.h"

#include "machine/image.h"
#include "machine/machine.h"

#include <stdio.h>
#include <string.h>

#define TABLE_FIRST_BUCKETS 64u

/* Header of a node's record in xenstored's data base: generation, number of permissions, lengths of value and children.
 */
#define RECORD_HEADER_SIZE 24u
#define RECORD_PERMISSION_SIZE 8u

uint32_t store_hash(const char *path)
{
    uint32_t hash = STORE_HASH_START;

    for (; *path; path++)
        hash = store_hash_put(hash, *path);
    return hash;
}

struct store_node *store_table_find(const struct store_table *table, const char *path)
{
    uint32_t hash = store_hash(path);
    struct store_node *node;

    if (!table->bucket_count)
        return NULL;
    for (node = table->bucket[hash & (table->bucket_count - 1)]; node; node = node->next) {
        if (node->hash == hash && strcmp(node->path, path) == 0)
            return node;
    }
    return NULL;
}

static void table_grow(struct store_table *table)
{
    unsigned count = table->bucket_count ? table->bucket_count * 2 : TABLE_FIRST_BUCKETS;
    struct store_node **bucket = image_alloc(count * sizeof(*bucket));

    for (unsigned i = 0; i < table->bucket_count; i++) {
        struct store_node *node, *next;

        for (node = table->bucket[i]; node; node = next) {
            next = node->next;
            node->next = bucket[node->hash & (count - 1)];
            bucket[node->hash & (count - 1)] = node;
        }
    }
    image_free(table->bucket);
    table->bucket = bucket;
    table->bucket_count = count;
}

struct store_node *store_table_add(struct store_table *table, const char *path)
{
    struct store_node *node = image_alloc(sizeof(*node));
    struct store_node **head;

    if (table->node_count >= table->bucket_count)
        table_grow(table);
    node->path = image_strdup(path);
    node->hash = store_hash(path);
    node->generation = STORE_NO_GENERATION;
    node->accounted = table->accounted;
    node->account_prefix = table->account_prefix;
    head = &table->bucket[node->hash & (table->bucket_count - 1)];
    node->next = *head;
    *head = node;
    table->node_count++;
    return node;
}

static void node_free(struct store_node *node)
{
    node->permission_count = 0;
    store_memory_account(node);
    image_free(node->path);
    image_free(node->permission);
    image_free(node->value);
    image_free(node->children);
    image_free(node);
}

void store_table_remove(struct store_table *table, struct store_node *node)
{
    struct store_node **link = &table->bucket[node->hash & (table->bucket_count - 1)];

    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    table->node_count--;
    node_free(node);
}

void store_table_clear(struct store_table *table)
{
    for (unsigned i = 0; i < table->bucket_count; i++) {
        struct store_node *node, *next;

        for (node = table->bucket[i]; node; node = next) {
            next = node->next;
            node_free(node);
        }
    }
    image_free(table->bucket);
    memset(table, 0, sizeof(*table));
}

void store_node_set_value(struct store_node *node, const void *value, uint32_t length)
{
    uint8_t *copy = NULL;

    if (length) {
        copy = image_alloc(length);
        memcpy(copy, value, length);
    }
    image_free(node->value);
    node->value = copy;
    node->value_length = length;
    store_memory_account(node);
}

void store_node_set_permissions(struct store_node *node, const struct store_permission *permission, unsigned count)
{
    struct store_permission *copy = image_alloc(count * sizeof(*copy));

    memcpy(copy, permission, count * sizeof(*copy));
    image_free(node->permission);
    node->permission = copy;
    node->permission_count = count;
    store_memory_account(node);
}

void store_node_add_child(struct store_node *node, const char *leaf)
{
    uint32_t size = (uint32_t)strlen(leaf) + 1;

    node->children = image_realloc(node->children, node->children_length + size);
    memcpy(node->children + node->children_length, leaf, size);
    node->children_length += size;
    store_memory_account(node);
}

void store_node_remove_child(struct store_node *node, const char *leaf)
{
    uint32_t size = (uint32_t)strlen(leaf) + 1;

    for (uint32_t at = 0; at < node->children_length; at += (uint32_t)strlen(node->children + at) + 1) {
        if (strcmp(node->children + at, leaf) != 0)
            continue;
        memmove(node->children + at, node->children + at + size, node->children_length - at - size);
        node->children_length -= size;
        store_memory_account(node);
        return;
    }
}

void store_node_assign(struct store_node *node, const struct store_node *from)
{
    char *children = NULL;

    store_node_set_value(node, from->value, from->value_length);
    store_node_set_permissions(node, from->permission, from->permission_count);
    if (from->children_length) {
        children = image_alloc(from->children_length);
        memcpy(children, from->children, from->children_length);
    }
    image_free(node->children);
    node->children = children;
    node->children_length = from->children_length;
    node->generation = from->generation;
    store_memory_account(node);
}

size_t store_node_record_size(unsigned permissions, uint32_t value_length, uint32_t children_length)
{
    return RECORD_HEADER_SIZE + (size_t)permissions * RECORD_PERMISSION_SIZE + value_length + children_length;
}

size_t store_node_size(const struct store_node *node)
{
    return store_node_record_size(node->permission_count, node->value_length, node->children_length);
}

const char *store_path_leaf(const char *path)
{
    return strrchr(path, '/') + 1;
}

char *store_path_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    char *parent = image_alloc(length + 1);

    memcpy(parent, path, length);
    return parent;
}

/* Bytes of "/local/domain/<n>/" at the start of the path, 0 if it does not start so. */
static size_t domain_prefix(const char *path)
{
    static const char prefix[] = "/local/domain/";
    size_t at = sizeof(prefix) - 1;
    size_t digits;

    if (strncmp(path, prefix, at) != 0)
        return 0;
    digits = strspn(path + at, "0123456789");
    if (!digits || digits > 5 || path[at + digits] != '/')
        return 0;
    return at + digits + 1;
}

static bool path_valid(const char *path)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/_@";
    size_t length = strlen(path);

    if (path[0] != '/')
        return false;
    if (length > XENSTORE_ABS_PATH_MAX || length - domain_prefix(path) > machine->store->quota.path_length)
        return false;
    if (length > 1 && path[length - 1] == '/')
        return false;
    return !strstr(path, "//") && strspn(path, allowed) == length;
}

char *store_path_absolute(const struct store_connection *connection, const char *path)
{
    if (path[0] == '/' || store_path_is_special(path))
        return image_strdup(path);
    return image_printf("/local/domain/%u/%s", connection->domid, path);
}

char *store_path_resolve(const struct store_connection *connection, const char *path)
{
    char *full = store_path_absolute(connection, path);

    if (store_path_is_special(full) || path_valid(full))
        return full;
    image_free(full);
    return NULL;
}
