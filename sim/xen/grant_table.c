/*
 * Grant tables: the table itself, its size, and GRANT_TABLE_OP (public/grant_table.h).
 */
#include <string.h>

#include "xen/grant.h"

/* ---- the table ---- */

struct grant_frame grant_new_frame(void)
{
    struct grant_frame frame = {.backing = backing_alloc(), .gfn = GFN_INVALID};

    frame.page = backing_page(frame.backing);
    return frame;
}

void grant_free_frame(struct domain *domain, struct grant_frame *frame)
{
    if (frame->gfn != GFN_INVALID)
        physmap_forget(domain, frame->gfn);
    xen_page_give_up_xen(frame->backing);
    image_free(frame->active);
    *frame = (struct grant_frame){0};
}

static void add_frame(struct domain *domain)
{
    struct grant_table *table = domain->grants;
    struct grant_frame *frame = &table->frame[table->frames++];

    *frame = grant_new_frame();
    frame->active = image_alloc(GRANT_V1_PER_FRAME * sizeof(struct grant_active));
}

bool grant_grow(struct domain *domain, uint32_t frames)
{
    if (frames > domain->config.max_grant_frames)
        return false;
    while (domain->grants->frames < frames)
        add_frame(domain);
    if (domain->grants->version == 2)
        grant_grow_status(domain);
    return true;
}

void grant_init(struct domain *domain)
{
    uint32_t frames = domain->config.max_grant_frames;

    domain->grants = image_alloc(sizeof(struct grant_table));
    domain->grants->version = 1;
    domain->grants->frame = image_alloc(frames * sizeof(struct grant_frame));
    domain->grants->status = image_alloc(frames * sizeof(struct grant_frame));
    add_frame(domain); /* a new domain has one frame, in which the toolstack seeds the reserved entries */
}

static void free_frames(struct domain *domain)
{
    struct grant_table *table = domain->grants;

    for (grant_ref_t reference = 0; reference < grant_entries(domain); reference++)
        if (grant_is_pinned(domain, reference))
            xen_page_drop(grant_active(domain, reference)->backing);
    for (uint32_t i = 0; i < table->frames; i++)
        grant_free_frame(domain, &table->frame[i]);
    table->frames = 0;
    grant_free_status(domain);
    table->version = 1;
}

void grant_destroy(struct domain *domain)
{
    grant_unmap_all(domain);
    grant_abandon_maps(domain);
    free_frames(domain);
    image_free(domain->grants->frame);
    image_free(domain->grants->status);
    image_free(domain->grants->map);
    while (domain->grants->shares != NULL) {
        struct grant_share *share = domain->grants->shares;

        domain->grants->shares = share->next;
        xen_page_give_up_xen(share->backing);
        image_free(share);
    }
    image_free(domain->grants);
    domain->grants = NULL;
}

void grant_reset(struct domain *domain)
{
    grant_unmap_all(domain);
    grant_abandon_maps(domain);
    free_frames(domain);
    add_frame(domain);
}

void grant_seed(struct domain *domain, grant_ref_t reference, domid_t grantee, uint64_t gfn)
{
    grant_entry_v1_t *entry = grant_entry_v1(domain, reference); /* the toolstack comes before any version 2 */

    entry->domid = grantee;
    entry->frame = (uint32_t)gfn;
    __atomic_store_n(&entry->flags, GTF_permit_access, __ATOMIC_RELEASE);
}

static struct grant_frame *find_frame(const struct domain *domain, uint64_t index)
{
    if (domain->grants->version == 2 && (index & XENMAPIDX_grant_table_status) != 0)
        return &domain->grants->status[index & ~(uint64_t)XENMAPIDX_grant_table_status];
    return &domain->grants->frame[index];
}

/* The table is made as large as it takes for that many frames of status words. */
static uint32_t status_frame(struct domain *domain, uint64_t index)
{
    uint64_t limit = domain->config.max_grant_frames / GRANT_FRAMES_PER_STATUS;

    if (index >= domain->grants->status_frames &&
        (index >= limit || !grant_grow(domain, (uint32_t)(index + 1) * GRANT_FRAMES_PER_STATUS)))
        return BACKING_NONE;
    return domain->grants->status[index].backing;
}

uint32_t grant_frame(struct domain *domain, uint64_t index)
{
    if (domain->grants->version == 2 && (index & XENMAPIDX_grant_table_status) != 0)
        return status_frame(domain, index & ~(uint64_t)XENMAPIDX_grant_table_status);
    if (index >= domain->config.max_grant_frames || !grant_grow(domain, (uint32_t)index + 1))
        return BACKING_NONE;
    return domain->grants->frame[index].backing;
}

uint64_t grant_frame_gfn(const struct domain *domain, uint64_t index)
{
    return find_frame(domain, index)->gfn;
}

void grant_frame_set_gfn(struct domain *domain, uint64_t index, uint64_t gfn)
{
    find_frame(domain, index)->gfn = gfn;
}

/* ---- size ---- */

static int64_t op_setup_table(struct domain *caller, uint64_t arg, uint32_t count)
{
    struct gnttab_setup_table op;
    struct domain *domain;

    if (count != 1)
        return -XEN_EINVAL;
    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    domain = domain_find_any(caller, op.dom);
    if (domain == NULL) {
        op.status = GNTST_bad_domain;
    } else if (!domain_may_control(caller, domain)) {
        op.status = GNTST_permission_denied;
    } else if (op.nr_frames > domain->config.max_grant_frames) {
        return -XEN_EINVAL;
    } else if (!grant_grow(domain, op.nr_frames)) {
        op.status = GNTST_general_error;
    } else {
        op.status = GNTST_okay;
        /* A translated domain gets the frames where it has mapped them; all ones where it has not. */
        for (uint32_t i = 0; i < op.nr_frames; i++) {
            xen_pfn_t gfn = domain->grants->frame[i].gfn;
            uint64_t at = (uint64_t)(uintptr_t)op.frame_list.p + i * sizeof(gfn);

            if (!xen_copy_out(at, &gfn, sizeof(gfn))) {
                op.status = GNTST_bad_virt_addr;
                break;
            }
        }
    }
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t op_query_size(struct domain *caller, uint64_t arg, uint32_t count)
{
    struct gnttab_query_size op;
    struct domain *domain;

    if (count != 1)
        return -XEN_EINVAL;
    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    domain = domain_find_any(caller, op.dom);
    if (domain == NULL) {
        op.status = GNTST_bad_domain;
    } else if (!domain_may_control(caller, domain)) {
        op.status = GNTST_permission_denied;
    } else {
        op.nr_frames = domain->grants->frames;
        op.max_nr_frames = domain->config.max_grant_frames;
        op.status = GNTST_okay;
    }
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

/* ---- swapping entries ---- */

static int16_t swap_entries(struct domain *domain, grant_ref_t a, grant_ref_t b)
{
    if (a >= grant_entries(domain) || b >= grant_entries(domain))
        return GNTST_bad_gntref;
    if (a == b)
        return GNTST_okay;
    if (grant_is_pinned(domain, a) || grant_is_pinned(domain, b))
        return GNTST_eagain;
    if (domain->grants->version == 1) {
        grant_entry_v1_t held = *grant_entry_v1(domain, a);

        *grant_entry_v1(domain, a) = *grant_entry_v1(domain, b);
        *grant_entry_v1(domain, b) = held;
    } else {
        grant_entry_v2_t held = *grant_entry_v2(domain, a);
        uint16_t status = *grant_status(domain, a);

        *grant_entry_v2(domain, a) = *grant_entry_v2(domain, b);
        *grant_entry_v2(domain, b) = held;
        *grant_status(domain, a) = *grant_status(domain, b);
        *grant_status(domain, b) = status;
    }
    return GNTST_okay;
}

static int64_t op_swap(struct domain *domain, uint64_t arg, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct gnttab_swap_grant_ref op;
        uint64_t at = arg + (uint64_t)i * sizeof(op);

        hypercall_preempt(i);
        if (!xen_copy_in(&op, at, sizeof(op)))
            return -XEN_EFAULT;
        op.status = swap_entries(domain, op.ref_a, op.ref_b);
        if (!xen_copy_out(at, &op, sizeof(op)))
            return -XEN_EFAULT;
    }
    return 0;
}

int64_t grant_table_op(struct domain *domain, uint64_t cmd, uint64_t arg, uint64_t count)
{
    if ((int32_t)count < 0)
        return -XEN_EINVAL;
    if (!domain->guest && ((uint32_t)cmd == GNTTABOP_map_grant_ref || (uint32_t)cmd == GNTTABOP_unmap_grant_ref))
        return hypercall_missing(__HYPERVISOR_grant_table_op, cmd,
                                 "mapping by hypercall, for a domain whose code is the host's (xen_grant_map()),");
    switch ((uint32_t)cmd) {
    case GNTTABOP_map_grant_ref:
        return grant_op_map(domain, arg, (uint32_t)count);
    case GNTTABOP_unmap_grant_ref:
        return grant_op_unmap(domain, arg, (uint32_t)count);
    case GNTTABOP_setup_table:
        return op_setup_table(domain, arg, (uint32_t)count);
    case GNTTABOP_copy:
        return grant_op_copy(domain, arg, (uint32_t)count);
    case GNTTABOP_query_size:
        return op_query_size(domain, arg, (uint32_t)count);
    case GNTTABOP_set_version:
        return grant_op_set_version(domain, arg);
    case GNTTABOP_get_version:
        return grant_op_get_version(domain, arg);
    case GNTTABOP_swap_grant_ref:
        return op_swap(domain, arg, (uint32_t)count);
    default:
        /* transfer, dump_table, unmap_and_replace, get_status_frames, cache_flush: not for HVM guests */
        return -XEN_ENOSYS;
    }
}

/* ---- census ---- */

static void census_maps(struct census *census, const struct domain *domain)
{
    for (uint32_t i = 0; i < domain->grants->maps; i++) {
        const struct grant_map *map = &domain->grants->map[i];

        if (map->in_use)
            census_item(census, "grant", 1, NULL, "domain %u maps reference %u of domain %u", domain->domid,
                        map->reference, map->granter);
    }
}

void grant_census(struct census *census)
{
    const struct domain *guest = xen_state()->guest;

    for (struct domain *domain = xen_state()->domains; domain != NULL; domain = domain->next)
        census_maps(census, domain);
    if (guest == NULL)
        return;
    /* 0 and 1 are the toolstack's, for the console and the store. */
    for (grant_ref_t reference = GNTTAB_RESERVED_XENSTORE + 1; reference < grant_entries(guest); reference++) {
        grant_word_t word = __atomic_load_n(grant_word(guest, reference), __ATOMIC_ACQUIRE);

        if ((uint16_t)word != 0)
            census_item(census, "grant", 1, NULL, "reference %u, to domain %u", reference, word >> 16);
    }
}

/* ---- as a resource ---- */

static int find_resource(unsigned caller_domid, unsigned domid, uint32_t resource, uint32_t id, struct domain **domain)
{
    const struct domain *caller = domain_find_host(caller_domid);

    *domain = domain_find(domid);
    if (caller == NULL || *domain == NULL)
        return -XEN_ESRCH;
    if (*domain == caller || !caller->privileged)
        return -XEN_EPERM;
    if (resource != XENMEM_resource_grant_table) {
        log_line(LOG_WARNING, "xen", "resource %u of domain %u: only grant tables are there", resource, domid);
        return -XEN_EOPNOTSUPP;
    }
    /* Status frames are of version 2. */
    return id == XENMEM_resource_grant_table_id_shared ? 0 : -XEN_EINVAL;
}

int64_t xen_resource_size(unsigned caller, unsigned domid, uint32_t resource, uint32_t id)
{
    struct domain *domain;
    int error = find_resource(caller, domid, resource, id, &domain);

    return error != 0 ? error : (int64_t)domain->config.max_grant_frames;
}

int64_t xen_resource_map(unsigned caller, unsigned domid, uint32_t resource, uint32_t id, uint64_t frame,
                         void **address)
{
    struct domain *domain;
    int error = find_resource(caller, domid, resource, id, &domain);
    uint32_t backing;

    if (error != 0)
        return error;
    backing = grant_frame(domain, frame);
    if (backing == BACKING_NONE)
        return -XEN_EINVAL;
    xen_page_hold(backing);
    *address = backing_page(backing);
    return backing;
}
