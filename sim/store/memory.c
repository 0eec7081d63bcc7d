/*
 * What a domain's nodes, watches and unread messages take of the store, as xenstored counts it, and the two limits on
 * the sum: above the soft one there is a warning, at the hard one requests that need more fail and the ring is not
 * read.
 */
#include "store/store_internal.h"

#include "machine/log.h"
#include "machine/machine.h"

#include <string.h>

static bool exceeds(unsigned limit, int64_t bytes)
{
    return limit && bytes >= (int64_t)limit;
}

/* The limits' crossings are told once each way. */
static void tell(struct store_domain *domain)
{
    const struct store_quota *quota = &machine->store->quota;
    bool hard = exceeds(quota->memory, domain->memory), soft = exceeds(quota->memory_soft, domain->memory);

    if (domain->domid == 0)
        return;
    if (hard && !domain->hard_told)
        log_line(LOG_ERROR, "store", "domain %u exceeds its memory quota of %u bytes: its ring is not read any more",
                 domain->domid, quota->memory);
    else if (!hard && domain->hard_told)
        log_line(LOG_INFO, "store", "domain %u is below its memory quota again", domain->domid);
    if (soft && !domain->soft_told)
        log_line(LOG_WARNING, "store", "domain %u exceeds its soft memory quota of %u bytes", domain->domid,
                 quota->memory_soft);
    domain->hard_told = hard;
    domain->soft_told = soft;
}

void store_memory_add(unsigned domid, int bytes)
{
    struct store_domain *domain = store_domain_find(domid);

    if (!domain)
        return; /* it has gone, and with it its account */
    domain->memory += bytes;
    tell(domain);
}

bool store_memory_refused(unsigned domid, int bytes)
{
    const struct store_domain *domain = store_domain_find(domid);

    return domid != 0 && domain && exceeds(machine->store->quota.memory, domain->memory + bytes);
}

bool store_memory_exhausted(unsigned domid)
{
    return store_memory_refused(domid, 0);
}

size_t store_memory_of_node(const struct store_node *node)
{
    return node->account_prefix + strlen(node->path) + store_node_size(node);
}

void store_memory_account(struct store_node *node)
{
    struct store_domain *domain;
    size_t bytes;

    if (!node->accounted)
        return;
    if (node->account_bytes) {
        domain = store_domain_find(node->account_domid);
        if (domain && domain->serial == node->account_serial)
            store_memory_add(node->account_domid, -(int)node->account_bytes);
        node->account_bytes = 0;
    }
    if (!node->permission_count)
        return;
    domain = store_domain_find(store_node_owner(node));
    if (!domain)
        return;
    bytes = store_memory_of_node(node);
    node->account_domid = domain->domid;
    node->account_serial = domain->serial;
    node->account_bytes = (uint32_t)bytes;
    store_memory_add(domain->domid, (int)bytes);
}
