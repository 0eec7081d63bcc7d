/* The limits that the store's administrator sets: their names, and what they are when he sets none. */
#include "store/store_internal.h"

#include "machine/machine.h"

#include <string.h>

/* C xenstored's when it is started without options. */
static const struct store_quota default_quota = {
    .nodes = 1000,
    .watches = 128,
    .transactions = 10,
    .node_size = 2048,
    .permissions = 5,
    .path_length = XENSTORE_REL_PATH_MAX,
    .outstanding = 20,
    .transaction_nodes = 1024,
    .memory = 2621440,
    .memory_soft = 2097152,
    .watch_event = 20,
};

#define LIMIT(field) offsetof(struct store_quota, field)

const struct store_limit store_limits[] = {
    {"nodes", "nodes", false, LIMIT(nodes), "Nodes per domain"},
    {"watches", "watches", false, LIMIT(watches), "Watches per domain"},
    {"transactions", "transactions", false, LIMIT(transactions), "Transactions per domain"},
    {"outstanding", "outstanding", false, LIMIT(outstanding), "Outstanding requests per domain"},
    {"transaction-nodes", "transaction-nodes", false, LIMIT(transaction_nodes),
     "Max. number of accessed nodes per transaction"},
    {"memory", "memory", false, LIMIT(memory), "Total Xenstore memory per domain (error level)"},
    {"memory-soft", "memory", true, LIMIT(memory_soft), "Total Xenstore memory per domain (warning level)"},
    {"node-size", "node-size", false, LIMIT(node_size), "Max. size of a node"},
    {"path-max", "path-max", false, LIMIT(path_length), "Max. length of a node path"},
    {"permissions", "permissions", false, LIMIT(permissions), "Max. number of permissions per node"},
    {"watch-event", NULL, false, LIMIT(watch_event), "Seconds that a watch event waits for a domain to take it"},
    {0},
};
_Static_assert(sizeof(store_limits) / sizeof(store_limits[0]) - 1 == MACHINE_MAX_STORE_LIMITS, "");

unsigned *store_limit_value(struct store_quota *quota, const struct store_limit *limit)
{
    return (unsigned *)((char *)quota + limit->offset);
}

static const struct store_limit *limit_find(const char *name, size_t length)
{
    for (const struct store_limit *limit = store_limits; limit->name; limit++) {
        if (strlen(limit->name) == length && memcmp(limit->name, name, length) == 0)
            return limit;
    }
    return NULL;
}

const char *store_limit_name(const char *name, size_t length)
{
    const struct store_limit *limit = limit_find(name, length);

    return limit ? limit->name : NULL;
}

void store_limits_list(FILE *file)
{
    struct store_quota quota = default_quota;

    for (const struct store_limit *limit = store_limits; limit->name; limit++)
        fprintf(file, "%-17s: %8u %s\n", limit->name, *store_limit_value(&quota, limit), limit->meaning);
}

void store_quota_init(struct store_quota *quota)
{
    *quota = default_quota;
    for (unsigned i = 0; i < machine->config.store_limit_count; i++) {
        const struct machine_store_limit *wish = &machine->config.store_limit[i];

        *store_limit_value(quota, limit_find(wish->name, strlen(wish->name))) = wish->value;
    }
}

struct store_quota *store_quota(void)
{
    return &machine->store->quota;
}

bool store_watches_are_used_up(unsigned domid)
{
    const struct store_domain *domain = store_domain_find(domid);

    return domain && domain->connection && domain->connection->watch_count >= machine->store->quota.watches;
}
