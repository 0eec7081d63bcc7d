/*
 * Mapping granted pages: map and unmap for guests and for domains whose code is the host's, and pages that the latter
 * grant.
 */
#include <string.h>

#include "xen/grant.h"

/* ---- handles ---- */

static bool grow_maps(struct domain *domain)
{
    struct grant_table *table = domain->grants;
    uint32_t limit = domain->config.max_maptrack_frames * GRANT_MAPS_PER_FRAME;
    uint32_t grown = table->maps == 0 ? 64 : table->maps * 2;

    if (table->maps == limit)
        return false;
    if (grown > limit)
        grown = limit;
    table->map = image_realloc(table->map, grown * sizeof(*table->map));
    for (uint32_t handle = grown; handle-- > table->maps;) {
        table->map[handle].next_free = table->free_map;
        table->free_map = handle + 1;
    }
    table->maps = grown;
    return true;
}

static int64_t alloc_handle(struct domain *domain)
{
    struct grant_table *table = domain->grants;
    uint32_t handle;

    if (table->free_map == 0 && !grow_maps(domain))
        return -1;
    handle = table->free_map - 1;
    table->free_map = table->map[handle].next_free;
    table->map[handle] = (struct grant_map){.in_use = true};
    return handle;
}

static struct grant_map *find_map(struct domain *domain, grant_handle_t handle)
{
    struct grant_table *table = domain->grants;

    return handle < table->maps && table->map[handle].in_use ? &table->map[handle] : NULL;
}

static void free_map(struct domain *domain, struct grant_map *map)
{
    struct grant_table *table = domain->grants;

    map->in_use = false;
    map->next_free = table->free_map;
    table->free_map = (uint32_t)(map - table->map) + 1;
}

/* ---- map and unmap ---- */

static int16_t map_grant(struct domain *domain, struct domain *granter, grant_ref_t reference, bool readonly,
                         grant_handle_t *handle)
{
    int64_t index = alloc_handle(domain);
    struct grant_map *map;
    int16_t status;

    if (index < 0)
        return GNTST_no_space;
    map = &domain->grants->map[index];
    status = grant_pin(granter, reference, domain, readonly, GRANT_MAP);
    if (status != GNTST_okay) {
        free_map(domain, map);
        return status;
    }
    map->backing = grant_active(granter, reference)->backing;
    map->readonly = readonly;
    map->granter = granter->domid;
    map->reference = reference;
    map->gfn = GFN_INVALID;
    xen_page_hold(map->backing);
    eventlog_add(EVENT_GRANT, granter->domid, reference, GRANT_CHANGE_MAPPED);
    *handle = (grant_handle_t)index;
    return GNTST_okay;
}

static void unmap_grant(struct domain *domain, struct grant_map *map)
{
    if (!map->stale)
        grant_unpin(domain_find(map->granter), map->reference, map->readonly);
    xen_page_drop(map->backing);
    eventlog_add(EVENT_GRANT, map->granter, map->reference, GRANT_CHANGE_UNMAPPED);
    free_map(domain, map);
}

void grant_unmap_all(struct domain *domain)
{
    for (uint32_t handle = 0; handle < domain->grants->maps; handle++) {
        struct grant_map *map = find_map(domain, handle);

        if (map == NULL)
            continue;
        if (map->gfn != GFN_INVALID)
            physmap_forget(domain, map->gfn);
        unmap_grant(domain, map);
    }
}

/*
 * The guest goes on with a copy of each page that others still map: they share the old one with a domain that is gone.
 * The copy takes the old page's place in the domain's count. What lies elsewhere meanwhile, or is Xen's own, needs no
 * copy.
 */
static void leave_page_behind(struct domain *granter, uint64_t gfn, uint32_t backing)
{
    uint32_t copy;

    if (physmap_own_page(granter, gfn) != backing || physmap_find(granter, gfn) != NULL)
        return;
    copy = backing_alloc();
    memcpy(backing_page(copy), backing_page(backing), GUEST_PAGE_SIZE);
    xen_page_give_up_xen(backing);
    physmap_place(granter, gfn, copy, 0, 0);
}

void grant_abandon_maps(struct domain *granter)
{
    for (struct domain *domain = xen_state()->domains; domain != NULL; domain = domain->next) {
        if (domain->grants == NULL)
            continue;
        for (uint32_t handle = 0; handle < domain->grants->maps; handle++) {
            struct grant_map *map = find_map(domain, handle);

            if (map == NULL || map->stale || map->granter != granter->domid)
                continue;
            map->stale = true;
            if (granter->guest && !granter->dying)
                leave_page_behind(granter, grant_active(granter, map->reference)->frame, map->backing);
        }
    }
}

/* Where a guest wants the page: an HVM guest names a guest-physical address. */
static int16_t place_in_guest(struct domain *domain, grant_handle_t handle, uint64_t address)
{
    struct grant_map *map = find_map(domain, handle);
    uint64_t gfn = address >> GUEST_PAGE_SHIFT;
    const struct frame_record *record;

    if (gfn >= GUEST_GFN_LIMIT)
        return GNTST_general_error;
    record = physmap_find(domain, gfn);
    if (record != NULL && record->kind == FRAME_GRANT_MAP) {
        log_line(LOG_WARNING, "xen", "domain %u maps a grant over one that it maps already", domain->domid);
        return GNTST_general_error;
    }
    /* A page of the domain's own that lies there stays its property, without a frame: guests balloon it out first. */
    (void)physmap_remove(domain, gfn, false);
    physmap_place(domain, gfn, map->backing, FRAME_GRANT_MAP, handle);
    map->gfn = gfn;
    return GNTST_okay;
}

static int16_t map_for_guest(struct domain *domain, struct gnttab_map_grant_ref *op)
{
    struct domain *granter;
    grant_handle_t handle;
    int16_t status;

    if ((op->flags & (GNTMAP_device_map | GNTMAP_host_map)) == 0)
        return GNTST_bad_gntref;
    if ((op->flags & (GNTMAP_device_map | GNTMAP_application_map | GNTMAP_contains_pte)) != 0)
        return GNTST_general_error; /* of PV guests */
    if ((op->flags & ~(uint32_t)GNTMAP_readonly) != GNTMAP_host_map)
        return GNTST_general_error;
    granter = domain_find(op->dom);
    if (granter == NULL)
        return GNTST_bad_domain;
    status = map_grant(domain, granter, op->ref, (op->flags & GNTMAP_readonly) != 0, &handle);
    if (status != GNTST_okay)
        return status;
    status = place_in_guest(domain, handle, op->host_addr);
    if (status != GNTST_okay) {
        unmap_grant(domain, find_map(domain, handle));
        return status;
    }
    op->handle = handle;
    op->dev_bus_addr = 0;
    return GNTST_okay;
}

static int16_t unmap_for_guest(struct domain *domain, const struct gnttab_unmap_grant_ref *op)
{
    struct grant_map *map = find_map(domain, op->handle);

    if (map == NULL)
        return GNTST_bad_handle;
    if (op->dev_bus_addr != 0)
        return GNTST_general_error; /* no mapping of an HVM guest has one */
    if (op->host_addr == 0)
        return GNTST_okay; /* nothing asked for */
    if (op->host_addr >> GUEST_PAGE_SHIFT != map->gfn)
        return GNTST_general_error;
    physmap_forget(domain, map->gfn);
    unmap_grant(domain, map);
    return GNTST_okay;
}

int64_t grant_op_map(struct domain *domain, uint64_t arg, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct gnttab_map_grant_ref op;
        uint64_t at = arg + (uint64_t)i * sizeof(op);

        hypercall_preempt(i);
        if (!xen_copy_in(&op, at, sizeof(op)))
            return -XEN_EFAULT;
        op.status = map_for_guest(domain, &op);
        if (!xen_copy_out(at, &op, sizeof(op)))
            return -XEN_EFAULT;
    }
    return 0;
}

int64_t grant_op_unmap(struct domain *domain, uint64_t arg, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct gnttab_unmap_grant_ref op;
        uint64_t at = arg + (uint64_t)i * sizeof(op);

        hypercall_preempt(i);
        if (!xen_copy_in(&op, at, sizeof(op)))
            return -XEN_EFAULT;
        op.status = unmap_for_guest(domain, &op);
        if (!xen_copy_out(at, &op, sizeof(op)))
            return -XEN_EFAULT;
    }
    return 0;
}

/* ---- on behalf of domains whose code is the host's ---- */

/* For libraries that report errno; the log has said what exactly was wrong. */
static int status_to_errno(int16_t status)
{
    switch (status) {
    case GNTST_okay:
        return 0;
    case GNTST_bad_domain:
        return -XEN_ESRCH;
    case GNTST_no_space:
        return -XEN_ENOMEM;
    default:
        return -XEN_EINVAL;
    }
}

int xen_grant_map(unsigned domid, unsigned granter_domid, uint32_t reference, bool readonly, void **address,
                  uint32_t *handle)
{
    struct domain *domain = domain_find_host(domid);
    struct domain *granter = domain_find(granter_domid);
    int16_t status;

    if (domain == NULL || granter == NULL)
        return -XEN_ESRCH;
    status = map_grant(domain, granter, reference, readonly, handle);
    if (status == GNTST_okay)
        *address = backing_page(find_map(domain, *handle)->backing);
    return status_to_errno(status);
}

int xen_grant_unmap(unsigned domid, uint32_t handle)
{
    struct domain *domain = domain_find_host(domid);
    struct grant_map *map = domain != NULL ? find_map(domain, handle) : NULL;

    if (domain == NULL)
        return -XEN_ESRCH;
    if (map == NULL)
        return -XEN_EINVAL;
    unmap_grant(domain, map);
    return 0;
}

int64_t xen_grant_share(unsigned domid, unsigned grantee, bool readonly, void **address)
{
    struct domain *domain = domain_find_host(domid);
    struct grant_share *share;
    grant_ref_t reference;

    if (domain == NULL)
        return -XEN_ESRCH;
    for (reference = GNTTAB_NR_RESERVED_ENTRIES; reference < grant_entries(domain); reference++)
        if (__atomic_load_n(&grant_entry_v1(domain, reference)->flags, __ATOMIC_ACQUIRE) == 0)
            break;
    if (reference == grant_entries(domain) && !grant_grow(domain, domain->grants->frames + 1))
        return -XEN_ENOSPC;

    grant_entry_v1_t *entry = grant_entry_v1(domain, reference);

    share = image_alloc(sizeof(*share));
    *share = (struct grant_share){domain->grants->shares, reference, backing_alloc()};
    domain->grants->shares = share;
    *address = backing_page(share->backing);
    entry->domid = (domid_t)grantee;
    entry->frame = share->backing;
    __atomic_store_n(&entry->flags, GTF_permit_access | (readonly ? GTF_readonly : 0), __ATOMIC_RELEASE);
    return reference;
}

int xen_grant_unshare(unsigned domid, uint32_t reference)
{
    struct domain *domain = domain_find_host(domid);
    struct grant_share **link;
    struct grant_share *share;
    grant_entry_v1_t *entry;
    uint16_t flags;

    if (domain == NULL)
        return -XEN_ESRCH;
    link = &domain->grants->shares;
    while (*link != NULL && (*link)->reference != reference)
        link = &(*link)->next;
    share = *link;
    if (share == NULL)
        return -XEN_EINVAL;
    entry = grant_entry_v1(domain, reference);
    flags = __atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE);
    if ((flags & (GTF_reading | GTF_writing)) != 0 ||
        !__atomic_compare_exchange_n(&entry->flags, &flags, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
        return -XEN_EBUSY;
    *link = share->next;
    xen_page_give_up_xen(share->backing);
    image_free(share);
    return 0;
}
