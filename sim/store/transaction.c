/*
 * Transactions, and the view of the tree that operations work on.
 *
 * A transaction notes every node that it touches, with the generation that the node had then, and works on copies of
 * its own. At the end the generations are compared with the tree's: a node that has changed since means EAGAIN.
 * Otherwise the changed copies go into the tree in the order in which they were first touched, and watches fire. What a
 * transaction has not touched yet it sees as it is now, not as it was at the start: that is what C xenstored does.
 */
#include "store/store_internal.h"

#include "machine/image.h"
#include "machine/machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ACCESS_FIRST_BUCKETS 16u

/* A node that a transaction has touched. */
struct store_access {
    struct store_access *next;
    struct store_access *below; /* in the bucket */
    uint32_t hash;
    char *path;
    uint64_t generation; /* in the tree at the first touch; STORE_NO_GENERATION: it was absent */
    bool modified;
    bool fire; /* watchers are to hear of it */
    bool exact;
    struct store_permission *before; /* permissions before a change of them, or before removal */
    unsigned before_count;
};

static struct store_access *access_find(const struct store_transaction *transaction, const char *path, uint32_t hash)
{
    struct store_access *access;

    if (!transaction->bucket_count)
        return NULL;
    for (access = transaction->bucket[hash & (transaction->bucket_count - 1)]; access; access = access->below) {
        if (access->hash == hash && strcmp(access->path, path) == 0)
            return access;
    }
    return NULL;
}

/* Into its bucket, and with it all others when there are more of them than buckets. */
static void access_put(struct store_transaction *transaction, struct store_access *access)
{
    struct store_access *first = access;

    if (transaction->access_count > transaction->bucket_count) {
        transaction->bucket_count = transaction->bucket_count ? transaction->bucket_count * 2 : ACCESS_FIRST_BUCKETS;
        image_free(transaction->bucket);
        transaction->bucket = image_alloc(transaction->bucket_count * sizeof(*transaction->bucket));
        first = transaction->access;
    }
    for (access = first; access; access = access->next) {
        struct store_access **head = &transaction->bucket[access->hash & (transaction->bucket_count - 1)];

        access->below = *head;
        *head = access;
    }
}

/* Note the node, and take a copy if it exists. NULL when the transaction may not touch more nodes. */
static struct store_access *access_note(struct store_connection *connection, struct store_transaction *transaction,
                                        const char *path)
{
    struct store_state *store = machine->store;
    uint32_t hash = store_hash(path);
    struct store_access *access = access_find(transaction, path, hash);
    const struct store_node *node;

    if (access)
        return access;
    if (!store_connection_privileged(connection) && transaction->access_count >= store->quota.transaction_nodes) {
        transaction->failed = true;
        return NULL;
    }
    access = image_alloc(sizeof(*access));
    access->path = image_strdup(path);
    access->hash = hash;
    node = store_table_find(&store->tree, path);
    access->generation = node ? node->generation : STORE_NO_GENERATION;
    if (node)
        store_node_assign(store_table_add(&transaction->changed, path), node);
    *transaction->access_tail = access;
    transaction->access_tail = &access->next;
    transaction->access_count++;
    access_put(transaction, access);
    return access;
}

struct store_node *store_view_read(struct store_connection *connection, struct store_transaction *transaction,
                                   const char *path, int *error)
{
    struct store_node *node;

    if (!transaction) {
        node = store_table_find(&machine->store->tree, path);
    } else if (access_note(connection, transaction, path)) {
        node = store_table_find(&transaction->changed, path);
    } else {
        *error = ENOSPC;
        return NULL;
    }
    if (!node)
        *error = ENOENT;
    return node;
}

struct store_node *store_view_change(struct store_connection *connection, struct store_transaction *transaction,
                                     const char *path, int *error)
{
    struct store_table *table = &machine->store->tree;
    struct store_node *node;

    if (transaction) {
        struct store_access *access = access_note(connection, transaction, path);

        if (!access) {
            *error = ENOSPC;
            return NULL;
        }
        access->modified = true;
        table = &transaction->changed;
    }
    node = store_table_find(table, path);
    if (!node)
        node = store_table_add(table, path);
    node->generation = store_next_generation(machine->store);
    return node;
}

void store_view_delete(struct store_connection *connection, struct store_transaction *transaction, const char *path)
{
    struct store_table *table = &machine->store->tree;
    struct store_node *node;

    if (transaction) {
        struct store_access *access = access_note(connection, transaction, path);

        if (!access) /* the transaction has failed: what it holds no longer matters */
            return;
        access->modified = true;
        table = &transaction->changed;
    }
    (void)store_next_generation(machine->store); /* a removal is a change too */
    node = store_table_find(table, path);
    if (node)
        store_table_remove(table, node);
}

static struct store_charge *charge_find(struct store_transaction *transaction, unsigned domid)
{
    struct store_charge *charge;

    for (charge = transaction->charge; charge; charge = charge->next) {
        if (charge->domid == domid)
            return charge;
    }
    return NULL;
}

void store_view_fail(struct store_transaction *transaction)
{
    if (transaction)
        transaction->failed = true;
}

void store_view_charge(struct store_transaction *transaction, unsigned domid, int nodes)
{
    struct store_charge *charge;

    if (!transaction) {
        struct store_domain *domain = store_domain_get(domid);

        domain->nodes = (unsigned)((int)domain->nodes + nodes);
        return;
    }
    charge = charge_find(transaction, domid);
    if (!charge) {
        charge = image_alloc(sizeof(*charge));
        charge->domid = domid;
        charge->next = transaction->charge;
        transaction->charge = charge;
    }
    charge->nodes += nodes;
}

void store_view_fire(struct store_connection *connection, struct store_transaction *transaction, const char *path,
                     bool exact, const struct store_node *before)
{
    struct store_access *access;

    if (!transaction) {
        store_watches_fire(path, exact, before ? before->permission : NULL, before ? before->permission_count : 0,
                           before && !store_table_find(&machine->store->tree, path));
        return;
    }
    access = access_note(connection, transaction, path);
    if (!access)
        return;
    access->fire = true;
    access->exact = exact;
    if (before) {
        image_free(access->before);
        access->before = image_alloc(before->permission_count * sizeof(*access->before));
        memcpy(access->before, before->permission, before->permission_count * sizeof(*access->before));
        access->before_count = before->permission_count;
    }
}

int store_transaction_start(struct store_connection *connection, uint32_t *id)
{
    struct store_transaction *transaction;

    if (!store_connection_privileged(connection) && connection->transaction_count > machine->store->quota.transactions)
        return ENOSPC;
    do {
        if (++connection->next_transaction == 0)
            connection->next_transaction = 1;
    } while (store_transaction_find(connection, connection->next_transaction));
    transaction = image_alloc(sizeof(*transaction));
    transaction->id = connection->next_transaction;
    transaction->generation = store_next_generation(machine->store);
    transaction->changed.accounted = true;
    transaction->changed.account_prefix =
        (unsigned)snprintf(NULL, 0, "%" PRIu64 "/", transaction->generation); /* of a copy's name */
    transaction->access_tail = &transaction->access;
    *connection->transaction_tail = transaction;
    connection->transaction_tail = &transaction->next;
    connection->transaction_count++;
    *id = transaction->id;
    return 0;
}

struct store_transaction *store_transaction_find(struct store_connection *connection, uint32_t id)
{
    struct store_transaction *transaction;

    for (transaction = connection->transaction; transaction; transaction = transaction->next) {
        if (transaction->id == id)
            return transaction;
    }
    return NULL;
}

static void transaction_free(struct store_transaction *transaction)
{
    struct store_access *access;
    struct store_charge *charge;

    while ((access = transaction->access)) {
        transaction->access = access->next;
        image_free(access->path);
        image_free(access->before);
        image_free(access);
    }
    image_free(transaction->bucket);
    while ((charge = transaction->charge)) {
        transaction->charge = charge->next;
        image_free(charge);
    }
    store_table_clear(&transaction->changed);
    image_free(transaction);
}

static void transaction_unlink(struct store_connection *connection, struct store_transaction *transaction)
{
    struct store_transaction **link = &connection->transaction;

    while (*link != transaction)
        link = &(*link)->next;
    *link = transaction->next;
    if (connection->transaction_tail == &transaction->next)
        connection->transaction_tail = link;
    connection->transaction_count--;
}

void store_transactions_drop(struct store_connection *connection)
{
    while (connection->transaction) {
        struct store_transaction *transaction = connection->transaction;

        transaction_unlink(connection, transaction);
        transaction_free(transaction);
    }
}

static int commit_check(struct store_connection *connection, const struct store_transaction *transaction)
{
    struct store_state *store = machine->store;
    const struct store_access *access;
    const struct store_charge *charge;

    if (transaction->failed)
        return ENOMEM;
    if (!store_connection_privileged(connection)) {
        for (charge = transaction->charge; charge; charge = charge->next) {
            const struct store_domain *domain = store_domain_find(charge->domid);

            if (charge->nodes > 0 && domain && (int)domain->nodes + charge->nodes >= (int)store->quota.nodes)
                return ENOSPC;
        }
    }
    for (access = transaction->access; access; access = access->next) {
        const struct store_node *node = store_table_find(&store->tree, access->path);

        if ((node ? node->generation : STORE_NO_GENERATION) != access->generation)
            return EAGAIN;
    }
    return 0;
}

static void commit(struct store_transaction *transaction)
{
    struct store_state *store = machine->store;
    const struct store_access *access;
    const struct store_charge *charge;

    for (charge = transaction->charge; charge; charge = charge->next)
        store_view_charge(NULL, charge->domid, charge->nodes);
    for (access = transaction->access; access; access = access->next) {
        const struct store_node *copy = store_table_find(&transaction->changed, access->path);
        struct store_node *node = store_table_find(&store->tree, access->path);

        if (!access->modified)
            continue;
        if (copy) {
            if (!node)
                node = store_table_add(&store->tree, access->path);
            store_node_assign(node, copy);
            node->generation = store_next_generation(store);
            store_permissions_settle(node->permission, node->permission_count);
        } else if (node) {
            store_table_remove(&store->tree, node);
        }
    }
    for (access = transaction->access; access; access = access->next) {
        bool came_and_went = access->generation == STORE_NO_GENERATION && !store_table_find(&store->tree, access->path);

        if (access->fire && !came_and_went)
            store_watches_fire(access->path, access->exact, access->before, access->before_count, false);
    }
}

int store_transaction_end(struct store_connection *connection, struct store_transaction *transaction, bool wanted)
{
    int error = wanted ? commit_check(connection, transaction) : 0;

    transaction_unlink(connection, transaction);
    if (wanted && !error)
        commit(transaction);
    transaction_free(transaction);
    return error;
}
