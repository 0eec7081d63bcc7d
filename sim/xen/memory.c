/*
 * MEMORY_OP (public/memory.h): the guest's reservation, what lies at its frames, its memory map. Where Xen counts what
 * it did instead of failing (the reservation operations), so does this.
 */
#include "xen/hypervisor.h"

#define EXTENT_ORDER_MAX 9u /* of a domain without devices of its own */
#define E820_RAM 1u

struct e820_entry {
    uint64_t address;
    uint64_t size;
    uint32_t type;
} __attribute__((packed));

/* ---- reservation ---- */

static bool decrease_extent(struct domain *domain, uint64_t gfn, unsigned order)
{
    for (uint64_t i = 0; i < UINT64_C(1) << order; i++)
        if (gfn + i >= GUEST_GFN_LIMIT || physmap_remove(domain, gfn + i, true) != 0)
            return false;
    return true;
}

static bool populate_extent(struct domain *domain, uint64_t gfn, unsigned order)
{
    uint64_t pages = UINT64_C(1) << order;

    if (gfn % pages != 0 || gfn >= GUEST_GFN_LIMIT || pages > GUEST_GFN_LIMIT - gfn)
        return false;
    if (domain->tot_pages + pages > domain->max_pages)
        return false;
    for (uint64_t i = 0; i < pages; i++) {
        const struct frame_record *record = physmap_find(domain, gfn + i);

        if (record != NULL && record->kind == FRAME_GRANT_MAP)
            return false;
        /* A page that lies there is not freed: the domain has lost its frame. */
        (void)physmap_remove(domain, gfn + i, false);
        physmap_place(domain, gfn + i, xen_page_allocate(domain, gfn + i), 0, 0);
    }
    return true;
}

/* Memory that the domain owns from now on, but at no frame: all that this operation gives a translated domain. */
static bool increase_extent(struct domain *domain, unsigned order)
{
    uint64_t pages = UINT64_C(1) << order;

    if (domain->tot_pages + pages > domain->max_pages)
        return false;
    domain->tot_pages += pages;
    domain->detached_pages += pages;
    return true;
}

static int64_t reservation_op(struct domain *caller, unsigned cmd, uint64_t start, uint64_t arg)
{
    struct xen_memory_reservation op;
    struct domain *domain;
    unsigned address_bits;
    uint64_t done;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return (int64_t)start;
    if (op.nr_extents > UINT32_MAX >> MEMOP_EXTENT_SHIFT || start >= op.nr_extents)
        return (int64_t)start;
    address_bits = XENMEMF_get_address_bits(op.mem_flags);
    if ((address_bits != 0 && address_bits <= GUEST_PAGE_SHIFT) ||
        domain_find_controlled(caller, op.domid, &domain) != 0 || !domain->guest || op.extent_order > EXTENT_ORDER_MAX)
        return (int64_t)start;

    for (done = start; done < op.nr_extents; done++) {
        uint64_t at = (uint64_t)(uintptr_t)op.extent_start.p + done * sizeof(xen_pfn_t);
        xen_pfn_t gfn = 0;
        bool ok;

        hypercall_preempt(done - start);
        if (cmd != XENMEM_increase_reservation && !xen_copy_in(&gfn, at, sizeof(gfn)))
            break;
        if (cmd == XENMEM_decrease_reservation)
            ok = decrease_extent(domain, gfn, op.extent_order);
        else if (cmd == XENMEM_increase_reservation)
            ok = increase_extent(domain, op.extent_order);
        else if ((op.mem_flags & XENMEMF_populate_on_demand) != 0)
            ok = false; /* the toolstack's alone */
        else
            ok = populate_extent(domain, gfn, op.extent_order);
        if (!ok) {
            log_line(LOG_INFO, "xen", "domain %u: memory operation %u stops after %llu of %llu extents", domain->domid,
                     cmd, (unsigned long long)done, (unsigned long long)op.nr_extents);
            break;
        }
    }
    return (int64_t)done;
}

/* ---- exchange ---- */

static bool exchange_is_sane(const struct xen_memory_exchange *op)
{
    return op->nr_exchanged <= op->in.nr_extents && op->in.domid == op->out.domid && op->in.extent_order < 64 &&
           op->out.extent_order < 64 && UINT64_MAX >> op->in.extent_order >= op->in.nr_extents &&
           UINT64_MAX >> op->out.extent_order >= op->out.nr_extents &&
           op->in.nr_extents << op->in.extent_order == op->out.nr_extents << op->out.extent_order;
}

/*
 * No page of an HVM domain is ever taken from it for another, since its device model may have it mapped: the call gets
 * as far as the first page that exists.
 */
static int64_t exchange_pages(const struct domain *domain, struct xen_memory_exchange *op)
{
    uint64_t pages = UINT64_C(1) << op->in.extent_order;
    xen_pfn_t gfn;

    if (op->nr_exchanged >= op->in.nr_extents) {
        op->nr_exchanged = op->in.nr_extents;
        return 0;
    }
    if (!xen_copy_in(&gfn, (uint64_t)(uintptr_t)op->in.extent_start.p + op->nr_exchanged * sizeof(gfn), sizeof(gfn)))
        return -XEN_EFAULT;
    if (gfn > UINT64_MAX - pages || physmap_own_page(domain, gfn) == BACKING_NONE)
        return -XEN_EINVAL;
    return -XEN_EOPNOTSUPP;
}

static int64_t exchange(struct domain *caller, uint64_t arg)
{
    struct xen_memory_exchange op;
    struct domain *domain;
    int64_t result;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (!exchange_is_sane(&op))
        return -XEN_EINVAL;
    if (op.in.extent_order > EXTENT_ORDER_MAX || op.out.extent_order > EXTENT_ORDER_MAX)
        return -XEN_EPERM;
    result = domain_find_controlled(caller, op.in.domid, &domain);
    if (result != 0)
        return result;
    if (!domain->guest)
        return hypercall_missing(__HYPERVISOR_memory_op, XENMEM_exchange,
                                 "exchange by a domain whose code is the host's");
    result = exchange_pages(domain, &op);
    if (!xen_copy_out(arg + offsetof(struct xen_memory_exchange, nr_exchanged), &op.nr_exchanged,
                      sizeof(op.nr_exchanged)))
        return -XEN_EFAULT;
    return result;
}

/* ---- physical map ---- */

/* The page that (space, idx) names and the frame where it lies now. 0 or an error. */
static int64_t find_source(struct domain *domain, unsigned space, uint64_t idx, uint32_t *backing, uint64_t *old_gfn)
{
    *backing = BACKING_NONE;
    *old_gfn = GFN_INVALID;
    switch (space) {
    case XENMAPSPACE_shared_info:
        if (idx != 0)
            break;
        *backing = domain->shared_backing;
        *old_gfn = domain->shared_gfn;
        break;
    case XENMAPSPACE_grant_table:
        /* XENMAPIDX_grant_table_status needs a version 2 table: of version 1 it is an index out of range. */
        *backing = grant_frame(domain, idx);
        if (*backing != BACKING_NONE)
            *old_gfn = grant_frame_gfn(domain, idx);
        break;
    case XENMAPSPACE_gmfn:
        *backing = physmap_own_page(domain, idx);
        *old_gfn = idx;
        break;
    default:
        break;
    }
    return *backing != BACKING_NONE ? 0 : -XEN_EINVAL;
}

/* The record of a page that moves with it: what it was known as. */
static void place_as(struct domain *domain, unsigned space, uint64_t idx, uint64_t gfn, uint32_t backing)
{
    switch (space) {
    case XENMAPSPACE_shared_info:
        physmap_place(domain, gfn, backing, FRAME_SHARED_INFO, 0);
        domain->shared_gfn = gfn;
        break;
    case XENMAPSPACE_grant_table:
        physmap_place(domain, gfn, backing, FRAME_GRANT_TABLE, (uint32_t)idx);
        grant_frame_set_gfn(domain, idx, gfn);
        break;
    default:
        physmap_place(domain, gfn, backing, p2m_original(gfn) == backing ? 0 : FRAME_MOVED, 0);
        break;
    }
}

static int64_t add_one(struct domain *domain, unsigned space, uint64_t idx, uint64_t gpfn)
{
    const struct frame_record *moved;
    uint32_t backing;
    uint64_t old_gfn;
    int64_t result = find_source(domain, space, idx, &backing, &old_gfn);

    if (result != 0)
        return result;
    if (gpfn >= GUEST_GFN_LIMIT)
        return -XEN_EINVAL;
    if (old_gfn == gpfn)
        return 0;
    /* Xen's own frames keep what they are, wherever the guest moves them by frame number. */
    moved = space == XENMAPSPACE_gmfn ? physmap_find(domain, idx) : NULL;
    if (moved != NULL && moved->kind == FRAME_SHARED_INFO) {
        space = XENMAPSPACE_shared_info;
    } else if (moved != NULL && moved->kind == FRAME_GRANT_TABLE) {
        space = XENMAPSPACE_grant_table;
        idx = moved->index;
    }
    if (p2m_lookup(gpfn) != BACKING_NONE) {
        result = physmap_remove(domain, gpfn, true); /* what lay there is freed, or unmapped if it is Xen's */
        if (result != 0)
            return result;
    }
    if (old_gfn != GFN_INVALID)
        physmap_forget(domain, old_gfn);
    place_as(domain, space, idx, gpfn, backing);
    return 0;
}

/* `start`: frames of a range that were done, as Xen has it in a call that it goes on with. Anybody may say so. */
static int64_t add_to_physmap(struct domain *caller, uint64_t start, uint64_t arg)
{
    struct xen_add_to_physmap op;
    struct domain *domain;
    int64_t result;

    if (start > UINT16_MAX) /* more than the size can be */
        return -XEN_EDOM;
    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.space == XENMAPSPACE_gmfn_foreign) /* by the batched form only */
        return -XEN_ENOSYS;
    result = domain_find_controlled(caller, op.domid, &domain);
    if (result != 0)
        return result;
    if (!domain->guest) /* not translated */
        return -XEN_EACCES;
    if (op.space != XENMAPSPACE_gmfn_range)
        return add_one(domain, op.space, op.idx, op.gpfn);
    if (op.size < start)
        return -XEN_EILSEQ;
    if (op.idx > UINT64_MAX - op.size || op.gpfn > UINT64_MAX - op.size)
        return -XEN_EOVERFLOW;
    for (unsigned i = (unsigned)start; i < op.size; i++) {
        hypercall_preempt(i);
        result = add_one(domain, XENMAPSPACE_gmfn, op.idx + i, op.gpfn + i);
        if (result != 0)
            return result;
    }
    return 0;
}

/* A page of another domain, mapped as it is, not by a grant: only for who may map that domain's memory. */
static int64_t add_foreign(struct domain *domain, domid_t foreign)
{
    struct domain *owner = domain_find_any(domain, foreign);

    if (owner == NULL)
        return -XEN_ESRCH;
    return owner == domain ? -XEN_EINVAL : -XEN_EPERM;
}

static int64_t add_to_physmap_batch(struct domain *caller, uint64_t start, uint64_t arg)
{
    struct xen_add_to_physmap_batch op;
    struct domain *domain;
    int64_t result;

    if (start > UINT16_MAX)
        return -XEN_EDOM;
    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.space == XENMAPSPACE_gmfn_range)
        return -XEN_EOPNOTSUPP;
    result = domain_find_controlled(caller, op.domid, &domain);
    if (result != 0)
        return result;
    if (!domain->guest)
        return -XEN_EACCES;
    if (op.size < start)
        return -XEN_EILSEQ;
    for (unsigned i = (unsigned)start; i < op.size; i++) {
        xen_ulong_t idx;
        xen_pfn_t gpfn;
        int error;

        hypercall_preempt(i);
        if (!xen_copy_in(&idx, (uint64_t)(uintptr_t)op.idxs.p + i * sizeof(idx), sizeof(idx)) ||
            !xen_copy_in(&gpfn, (uint64_t)(uintptr_t)op.gpfns.p + i * sizeof(gpfn), sizeof(gpfn)))
            return -XEN_EFAULT;
        error = (int)(op.space == XENMAPSPACE_gmfn_foreign ? add_foreign(domain, op.u.foreign_domid)
                                                           : add_one(domain, op.space, idx, gpfn));
        if (!xen_copy_out((uint64_t)(uintptr_t)op.errs.p + i * sizeof(error), &error, sizeof(error)))
            return -XEN_EFAULT;
    }
    return 0;
}

static int64_t remove_from_physmap(struct domain *caller, uint64_t arg)
{
    struct xen_remove_from_physmap op;
    struct domain *domain;
    int64_t result;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    result = domain_find_controlled(caller, op.domid, &domain);
    if (result != 0)
        return result;
    if (!domain->guest || physmap_own_page(domain, op.gpfn) == BACKING_NONE)
        return -XEN_ENOENT;
    return physmap_remove(domain, op.gpfn, false);
}

/* ---- queries ---- */

static int64_t domain_query(struct domain *caller, unsigned cmd, uint64_t arg)
{
    struct xen_memory_domain op;
    struct domain *domain;
    int64_t result;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    result = domain_find_controlled(caller, op.domid, &domain);
    if (result != 0)
        return result;
    switch (cmd) {
    case XENMEM_current_reservation:
        return (int64_t)domain->tot_pages;
    case XENMEM_maximum_reservation:
        return (int64_t)domain->max_pages;
    default:
        return (int64_t)domain->max_gfn;
    }
}

static int64_t memory_map(const struct domain *domain, uint64_t arg)
{
    struct xen_memory_map op;
    struct e820_entry entry[2];
    unsigned entries = 1;
    uint64_t low = GUEST_LOW_RAM_END_GFN - GUEST_RAM_FIRST_GFN;
    uint64_t pages = guest_ram_pages();

    if (!domain->guest)
        return -XEN_ENOSYS; /* nobody has made it a map */
    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    entry[0] = (struct e820_entry){.address = GUEST_RAM_FIRST_GFN << GUEST_PAGE_SHIFT,
                                   .size = (pages < low ? pages : low) << GUEST_PAGE_SHIFT,
                                   .type = E820_RAM};
    if (pages > low)
        entry[entries++] = (struct e820_entry){.address = GUEST_HIGH_RAM_GFN << GUEST_PAGE_SHIFT,
                                               .size = (pages - low) << GUEST_PAGE_SHIFT,
                                               .type = E820_RAM};
    if (op.nr_entries > entries)
        op.nr_entries = entries;
    if (!xen_copy_out((uint64_t)(uintptr_t)op.buffer.p, entry, op.nr_entries * sizeof(entry[0])))
        return -XEN_EFAULT;
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t get_vnumainfo(struct domain *caller, uint64_t arg)
{
    struct xen_vnuma_topology_info op;
    struct domain *domain;
    int error;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    if (op.pad != 0)
        return -XEN_EINVAL;
    error = domain_find_controlled(caller, op.domid, &domain);
    return error != 0 ? error : -XEN_EOPNOTSUPP; /* no domain has virtual NUMA */
}

int64_t memory_op(struct domain *domain, uint64_t cmd_word, uint64_t arg)
{
    unsigned cmd = (unsigned)cmd_word & MEMOP_CMD_MASK;
    uint64_t start = cmd_word >> MEMOP_EXTENT_SHIFT;

    switch (cmd) {
    case XENMEM_increase_reservation:
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return reservation_op(domain, cmd, start, arg);
    case XENMEM_exchange:
        return start != 0 ? -XEN_EINVAL : exchange(domain, arg);
    case XENMEM_maximum_ram_page: /* the host's RAM is what the direct map can show */
        return start != 0 ? -XEN_EINVAL : (int64_t)(IMAGE_DIRECTMAP_SIZE / GUEST_PAGE_SIZE) - 1;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return start != 0 ? -XEN_EINVAL : domain_query(domain, cmd, arg);
    case XENMEM_add_to_physmap:
        return add_to_physmap(domain, start, arg);
    case XENMEM_add_to_physmap_batch:
        return add_to_physmap_batch(domain, start, arg);
    case XENMEM_remove_from_physmap:
        return start != 0 ? -XEN_EINVAL : remove_from_physmap(domain, arg);
    case XENMEM_memory_map:
        return memory_map(domain, arg);
    case XENMEM_machine_memory_map:
    case XENMEM_machphys_mapping:
        return -XEN_ENOSYS; /* not for HVM guests */
    case XENMEM_claim_pages:
    case XENMEM_set_pod_target:
    case XENMEM_get_pod_target:
    case XENMEM_set_memory_map:
    case XENMEM_acquire_resource: /* a toolstack's */
        return domain->privileged ? hypercall_missing(__HYPERVISOR_memory_op, cmd, "this memory operation")
                                  : -XEN_EPERM;
    case XENMEM_get_vnumainfo:
        return start != 0 ? -XEN_EINVAL : get_vnumainfo(domain, arg);
    default:
        if (cmd == 8 || cmd > XENMEM_acquire_resource) /* one that was retired; none yet */
            return -XEN_ENOSYS;
        return hypercall_missing(__HYPERVISOR_memory_op, cmd, "this memory operation");
    }
}
