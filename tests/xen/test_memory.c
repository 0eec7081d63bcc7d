/* MEMORY_OP: what lies at the guest's frames, and its reservation (public/memory.h). */
#include "xen/xen_guest.h"

#include "machine/clock.h"
#include "machine/sched.h"

#define XENMEM_CLAIM_PAGES 24 /* the header shows it to toolstacks only */

static int64_t reservation(unsigned operation, domid_t domid, uint64_t *gfns, unsigned count, unsigned order)
{
    struct xen_memory_reservation op = {.nr_extents = count, .extent_order = order, .domid = domid};

    set_xen_guest_handle(op.extent_start, gfns);
    return call_memory(operation, &op);
}

static int64_t populate(uint64_t gfn)
{
    return reservation(XENMEM_populate_physmap, DOMID_SELF, &gfn, 1, 0);
}

static int64_t decrease(uint64_t gfn)
{
    return reservation(XENMEM_decrease_reservation, DOMID_SELF, &gfn, 1, 0);
}

static int64_t query(unsigned operation)
{
    domid_t domid = DOMID_SELF;

    return call_memory(operation, &domid);
}

/* Whether Xen finds memory at a guest virtual address: it copies an argument from there, which is nonsense. */
static bool xen_can_read(void *address)
{
    return call_evtchn(EVTCHNOP_close, address) != -XEN_EFAULT;
}

static int mem_type(uint64_t gfn)
{
    struct xen_hvm_get_mem_type op = {.domid = DOMID_SELF, .pfn = gfn};

    ck_assert_int_eq(call_hvm(HVMOP_get_mem_type, &op), 0);
    return op.mem_type;
}

/* ---- shared info and grant table in the hole ---- */

XEN_TEST(shared_info_in_hole)
{
    volatile struct shared_info *shared;
    evtchn_port_t port = port_for(DOMID_SELF);
    struct evtchn_bind_interdomain bind = {.remote_dom = DOMID_SELF, .remote_port = port};

    ck_assert_int_eq(mem_type(HOLE), HVMMEM_mmio_dm);
    shared = map_shared_info();
    ck_assert_int_ne(mem_type(HOLE), HVMMEM_mmio_dm);
    ck_assert_uint_eq(shared->wc_version & 1, 0);
    ck_assert_uint_gt(shared->wc_sec, 1000000000); /* since 1970 */
    ck_assert_uint_lt(shared->wc_nsec, 1000000000);
    /* It is the page that Xen sets event bits in. */
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_interdomain, &bind), 0);
    ck_assert_uint_eq(shared->evtchn_pending[0], UINT64_C(1) << bind.local_port);
    /* Mapped again at the same place, it is the same. */
    ck_assert_int_eq(physmap_add(XENMAPSPACE_shared_info, 0, HOLE), 0);
    ck_assert_uint_eq(shared->evtchn_pending[0], UINT64_C(1) << bind.local_port);
}

/* A page of Xen's lies at one frame at a time. */
XEN_TEST(shared_info_moves)
{
    volatile struct shared_info *first = map_shared_info();
    volatile struct shared_info *second = map_frames(HOLE + 7, 1);

    first->evtchn_mask[9] = 0x123456789ABCDEF0;
    ck_assert(xen_can_read((void *)(uintptr_t)first));
    ck_assert_int_eq(physmap_add(XENMAPSPACE_shared_info, 0, HOLE + 7), 0);
    ck_assert_uint_eq(second->evtchn_mask[9], 0x123456789ABCDEF0);
    ck_assert(!xen_can_read((void *)(uintptr_t)first));
    ck_assert_int_eq(mem_type(HOLE), HVMMEM_mmio_dm);
    ck_assert_int_eq(physmap_take(HOLE + 7), 0);
    ck_assert(!xen_can_read((void *)(uintptr_t)second));
    ck_assert_xen_error(physmap_take(HOLE + 7), XEN_ENOENT);
    /* The contents stay with Xen. */
    ck_assert_int_eq(physmap_add(XENMAPSPACE_shared_info, 0, HOLE), 0);
    ck_assert_uint_eq(first->evtchn_mask[9], 0x123456789ABCDEF0);
}

#ifndef PVSIM_SANITIZE /* where a wild access ends the program instead */
static void touch_moved(void *argument)
{
    volatile struct shared_info *first;

    (void)argument;
    ck_assert_int_eq(domain_make(2), 1);
    first = map_shared_info();
    first->evtchn_mask[0] = 1;
    ck_assert_int_eq(physmap_add(XENMAPSPACE_shared_info, 0, HOLE + 1), 0);
    first->evtchn_mask[0] = 2;
}

START_TEST(old_place_faults)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure;

    config.log_level = LOG_NONE;
    failure = guest_run_may_fail(&config, touch_moved, NULL);
    ck_assert_msg(failure != NULL, "a write to a frame that has nothing behind it went through");
}
END_TEST
#endif

XEN_TEST(grant_frames)
{
    volatile grant_entry_v1_t *table = map_frames(HOLE, 3);
    struct gnttab_query_size query = {.dom = DOMID_SELF};
    const unsigned entries = GUEST_PAGE_SIZE / sizeof(grant_entry_v1_t);

    /* Mapping a frame beyond the table's end grows the table; up to the limit. */
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, i, HOLE + i), 0);
    ck_assert_int_eq(call_grant(GNTTABOP_query_size, &query, 1), 0);
    ck_assert_uint_eq(query.nr_frames, 3);
    ck_assert_uint_eq(query.max_nr_frames, 64);
    ck_assert_uint_eq(table[GNTTAB_RESERVED_XENSTORE].flags, GTF_permit_access);
    ck_assert_uint_eq(table[GNTTAB_RESERVED_XENSTORE].frame, param(HVM_PARAM_STORE_PFN));
    ck_assert_uint_eq(table[GNTTAB_RESERVED_CONSOLE].frame, param(HVM_PARAM_CONSOLE_PFN));
    for (unsigned i = GNTTAB_NR_RESERVED_ENTRIES; i < 3 * entries; i++)
        ck_assert_uint_eq(table[i].flags, 0);
    table[2 * entries].frame = 0xABCD;
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, 2, HOLE + 0), 0); /* over another one */
    ck_assert_uint_eq(table[0].frame, 0xABCD);
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, 0, HOLE + 1), 0);
    ck_assert_uint_eq(table[entries + GNTTAB_RESERVED_XENSTORE].frame, param(HVM_PARAM_STORE_PFN));
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, 63, HOLE + 2), 0);
    ck_assert_xen_error(physmap_add(XENMAPSPACE_grant_table, 64, HOLE + 3), XEN_EINVAL);
    ck_assert_xen_error(physmap_add(XENMAPSPACE_grant_table, UINT64_C(1) << 32, HOLE + 3), XEN_EINVAL);
    /* Status frames are of version 2 tables. */
    ck_assert_xen_error(physmap_add(XENMAPSPACE_grant_table, XENMAPIDX_grant_table_status, HOLE + 3), XEN_EINVAL);
}

/* ---- over RAM ---- */

/* The RAM under a page of Xen's is freed; removing that page leaves a hole, which populate_physmap fills again. */
XEN_TEST(shared_info_over_ram)
{
    uint8_t *page = pages_take(1, 0x5A);
    uint64_t gfn = frame_of(page);
    int64_t before = query(XENMEM_current_reservation);
    volatile struct shared_info *shared = (volatile struct shared_info *)(uintptr_t)page;

    ck_assert(xen_frame_is_memory(gfn));
    ck_assert_int_eq(physmap_add(XENMAPSPACE_shared_info, 0, gfn), 0);
    ck_assert(!xen_frame_is_memory(gfn));
    ck_assert_uint_gt(shared->wc_sec, 1000000000);
    ck_assert_uint_eq(shared->evtchn_pending[0], 0);
    ck_assert_int_eq(query(XENMEM_current_reservation), before - 1);

    ck_assert_int_eq(physmap_take(gfn), 0);
    ck_assert(!xen_can_read(page)); /* the RAM does not come back by itself */
    ck_assert_int_eq(query(XENMEM_current_reservation), before - 1);
    ck_assert_int_eq(populate(gfn), 1);
    ck_assert(xen_frame_is_memory(gfn));
    ck_assert_int_eq(query(XENMEM_current_reservation), before);
    for (unsigned i = 0; i < GUEST_PAGE_SIZE; i++)
        ck_assert_uint_eq(page[i], 0); /* a new page, not what was there */
    page[5] = 1;
    MmFreeContiguousMemory(page);
}

/* Moved from RAM into the hole: the frame that it leaves is empty. */
XEN_TEST(grant_table_over_ram)
{
    uint8_t *page = pages_take(1, 0x5A);
    uint64_t gfn = frame_of(page);
    volatile grant_entry_v1_t *table = (volatile grant_entry_v1_t *)(uintptr_t)page;

    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, 0, gfn), 0);
    ck_assert_uint_eq(table[GNTTAB_RESERVED_XENSTORE].frame, param(HVM_PARAM_STORE_PFN));
    table = map_grant_table();
    ck_assert_uint_eq(table[GNTTAB_RESERVED_XENSTORE].frame, param(HVM_PARAM_STORE_PFN));
    ck_assert(!xen_can_read(page));
    ck_assert_int_eq(populate(gfn), 1);
    ck_assert_uint_eq(page[0], 0);
    MmFreeContiguousMemory(page);
}

/* ---- the guest's own pages ---- */

XEN_TEST(own_page_moves)
{
    uint8_t *page = pages_take(1, 0x77);
    uint64_t gfn = frame_of(page);
    int64_t before = query(XENMEM_current_reservation);
    uint8_t *elsewhere = map_frames(HOLE + 20, 1);

    ck_assert_int_eq(physmap_add(XENMAPSPACE_gmfn, gfn, HOLE + 20), 0);
    ck_assert_uint_eq(elsewhere[100], 0x77);
    ck_assert(!xen_can_read(page));
    ck_assert_int_eq(query(XENMEM_current_reservation), before);
    elsewhere[100] = 0x78;
    ck_assert_int_eq(physmap_add(XENMAPSPACE_gmfn, HOLE + 20, gfn), 0);
    ck_assert_uint_eq(page[100], 0x78);
    ck_assert(!xen_can_read(elsewhere));
    ck_assert_xen_error(physmap_add(XENMAPSPACE_gmfn, HOLE + 20, gfn), XEN_EINVAL);
    ck_assert_uint_eq(page[100], 0x78);
    MmFreeContiguousMemory(page);
}

XEN_TEST(range_moves)
{
    uint8_t *pages = pages_take(4, 0);
    uint64_t gfn = frame_of(pages);
    uint8_t *elsewhere = map_frames(HOLE + 20, 4);
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .size = 4, .space = XENMAPSPACE_gmfn_range, .idx = gfn, .gpfn = HOLE + 20};

    for (unsigned i = 0; i < 4; i++)
        pages[i * GUEST_PAGE_SIZE] = (uint8_t)(i + 1);
    ck_assert_int_eq(call_memory(XENMEM_add_to_physmap, &add), 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(elsewhere[i * GUEST_PAGE_SIZE], i + 1);
    add = (struct xen_add_to_physmap){
        .domid = DOMID_SELF, .size = 4, .space = XENMAPSPACE_gmfn_range, .idx = HOLE + 20, .gpfn = gfn};
    ck_assert_int_eq(call_memory(XENMEM_add_to_physmap, &add), 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(pages[i * GUEST_PAGE_SIZE], i + 1);
    MmFreeContiguousMemory(pages);
}

XEN_TEST(batch)
{
    xen_ulong_t indices[3] = {0, 1, 1000};
    xen_pfn_t gfns[3] = {HOLE, HOLE + 1, HOLE + 2};
    int errors[3] = {99, 99, 99};
    struct xen_add_to_physmap_batch op = {.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .size = 3};
    volatile grant_entry_v1_t *table = map_frames(HOLE, 1);

    set_xen_guest_handle(op.idxs, indices);
    set_xen_guest_handle(op.gpfns, gfns);
    set_xen_guest_handle(op.errs, errors);
    ck_assert_int_eq(call_memory(XENMEM_add_to_physmap_batch, &op), 0);
    ck_assert_int_eq(errors[0], 0);
    ck_assert_int_eq(errors[1], 0);
    ck_assert_int_eq(errors[2], -XEN_EINVAL);
    ck_assert_uint_eq(table[GNTTAB_RESERVED_XENSTORE].flags, GTF_permit_access);
    ck_assert_int_eq(mem_type(HOLE + 2), HVMMEM_mmio_dm);
    op.space = XENMAPSPACE_gmfn_range; /* "not applicable" */
    ck_assert_xen_error(call_memory(XENMEM_add_to_physmap_batch, &op), XEN_EOPNOTSUPP);
    op.space = XENMAPSPACE_grant_table;
    op.errs.p = (int *)(uintptr_t)BAD_POINTER;
    ck_assert_xen_error(call_memory(XENMEM_add_to_physmap_batch, &op), XEN_EFAULT);
    /* Domain 0's memory is not for the guest to map. */
    set_xen_guest_handle(op.errs, errors);
    op.space = XENMAPSPACE_gmfn_foreign;
    op.size = 1;
    op.u.foreign_domid = 0;
    ck_assert_int_eq(call_memory(XENMEM_add_to_physmap_batch, &op), 0);
    ck_assert_int_eq(errors[0], -XEN_EPERM);
    op.u.foreign_domid = NO_DOMAIN;
    ck_assert_int_eq(call_memory(XENMEM_add_to_physmap_batch, &op), 0);
    ck_assert_int_eq(errors[0], -XEN_ESRCH);
}

/* Xen goes on with a long list in another call, which says how far it was. Anybody may say so. */
XEN_TEST(lists_gone_on_with)
{
    uint8_t *pages = pages_take(4, 0x44);
    xen_ulong_t indices[2] = {0, 0};
    xen_pfn_t gfns[2] = {HOLE, HOLE + 1};
    int errors[2] = {99, 99};
    struct xen_add_to_physmap_batch batch = {.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table, .size = 2};
    struct xen_add_to_physmap add = {
        .domid = DOMID_SELF, .size = 4, .space = XENMAPSPACE_gmfn_range, .idx = frame_of(pages), .gpfn = HOLE + 20};

    ck_assert_int_eq(call_memory(memory_from(XENMEM_add_to_physmap, 3), &add), 0);
    ck_assert_int_eq(mem_type(HOLE + 22), HVMMEM_mmio_dm);
    ck_assert_int_eq(mem_type(HOLE + 23), HVMMEM_ram_rw);
    ck_assert_xen_error(call_memory(memory_from(XENMEM_add_to_physmap, 5), &add), XEN_EILSEQ);
    ck_assert_xen_error(call_memory(memory_from(XENMEM_add_to_physmap, 0x10000), &add), XEN_EDOM);
    add = (struct xen_add_to_physmap){
        .domid = DOMID_SELF, .space = XENMAPSPACE_gmfn, .idx = HOLE + 23, .gpfn = frame_of(pages) + 3};
    ck_assert_int_eq(call_memory(memory_from(XENMEM_add_to_physmap, 3), &add), 0); /* no list: it counts for nothing */
    ck_assert_uint_eq(pages[3 * GUEST_PAGE_SIZE], 0x44);

    set_xen_guest_handle(batch.idxs, indices);
    set_xen_guest_handle(batch.gpfns, gfns);
    set_xen_guest_handle(batch.errs, errors);
    ck_assert_int_eq(call_memory(memory_from(XENMEM_add_to_physmap_batch, 1), &batch), 0);
    ck_assert_int_eq(errors[0], 99);
    ck_assert_int_eq(errors[1], 0);
    ck_assert_int_eq(mem_type(HOLE), HVMMEM_mmio_dm);
    ck_assert_int_eq(mem_type(HOLE + 1), HVMMEM_ram_rw);
    ck_assert_xen_error(call_memory(memory_from(XENMEM_add_to_physmap_batch, 3), &batch), XEN_EILSEQ);
    ck_assert_xen_error(call_memory(memory_from(XENMEM_add_to_physmap_batch, 0x10000), &batch), XEN_EDOM);

    ck_assert_int_eq(physmap_take(HOLE + 1), 0);
    MmFreeContiguousMemory(pages);
    ck_assert_xen_error(call_memory(memory_from(XENMEM_remove_from_physmap, 1), &add), XEN_EINVAL);
    ck_assert_xen_error(call_memory(memory_from(XENMEM_exchange, 1), &add), XEN_EINVAL);
    ck_assert_xen_error(call_memory(memory_from(XENMEM_maximum_gpfn, 1), &add.domid), XEN_EINVAL);
    ck_assert_xen_error(call_memory(memory_from(XENMEM_maximum_ram_page, 1), NULL), XEN_EINVAL);
    ck_assert_xen_error(call_memory(memory_from(XENMEM_get_vnumainfo, 1), &add), XEN_EINVAL);
}

/* ---- reservation ---- */

XEN_TEST(balloon)
{
    uint8_t *pages = pages_take(4, 0x33);
    int64_t before = query(XENMEM_current_reservation);
    uint64_t gfns[5];

    ck_assert_int_gt(before, 0);
    ck_assert_int_ge(query(XENMEM_maximum_reservation), before);
    for (unsigned i = 0; i < 4; i++)
        gfns[i] = frame_of(pages + i * GUEST_PAGE_SIZE);
    gfns[4] = gfns[1]; /* given back already: the operation stops there, and says how far it came */
    ck_assert_int_eq(reservation(XENMEM_decrease_reservation, DOMID_SELF, gfns, 5, 0), 4);
    ck_assert_int_eq(query(XENMEM_current_reservation), before - 4);
    for (unsigned i = 0; i < 4; i++)
        ck_assert(!xen_can_read(pages + i * GUEST_PAGE_SIZE));
    ck_assert_int_eq(decrease(gfns[0]), 0);
    ck_assert_int_eq(reservation(XENMEM_populate_physmap, DOMID_SELF, gfns, 4, 0), 4);
    ck_assert_int_eq(query(XENMEM_current_reservation), before);
    for (unsigned i = 0; i < 4 * GUEST_PAGE_SIZE; i++)
        ck_assert_uint_eq(pages[i], 0);
    MmFreeContiguousMemory(pages);
}

/* The toolstack's part, in a task of domain 0: the guest that has turned itself off is turned on. */
static void wake_from_disk(void *argument)
{
    volatile bool *ended = argument;

    while (xen_domain_shutdown_reason(1) != SHUTDOWN_poweroff)
        (void)task_park(clock_now() + 100000, "the guest's end");
    ck_assert_int_eq(xen_domain_wake_from_disk(1), 2);
    xen_domain_destroy(1);
    ck_assert_int_eq(xen_domain_unpause(2), 0);
    *ended = true;
}

/* What is on disk is what was in memory, whichever pages it lay in; and what was given away is there again, and empty.
 */
XEN_TEST(hibernation)
{
    enum { PAGES = 4 };
    struct sched_shutdown op = {.reason = SHUTDOWN_poweroff};
    uint8_t *pages = pages_take(PAGES, 0x33);
    volatile bool ended = false;
    uint64_t gfns[PAGES];
    int64_t before = query(XENMEM_current_reservation), held;
    void *seen;

    for (unsigned i = 0; i < PAGES; i++)
        gfns[i] = frame_of(pages + i * GUEST_PAGE_SIZE);
    held = xen_foreign_map(XEN_DOM0, 1, gfns[1], &seen); /* this page stays domain 0's: the guest gets another one */
    ck_assert_int_ge(held, 0);
    ck_assert_int_eq(reservation(XENMEM_decrease_reservation, DOMID_SELF, gfns, PAGES, 0), PAGES);
    ck_assert_int_eq(populate(gfns[1]), 1);
    ck_assert_int_eq(populate(gfns[2]), 1);
    memset(pages + GUEST_PAGE_SIZE, 0x44, 2 * GUEST_PAGE_SIZE);
    (void)task_create("toolstack", wake_from_disk, (void *)&ended);
    ck_assert_int_eq(call_sched(SCHEDOP_shutdown, &op), 0);
    while (!ended)
        sleep_us(100);
    xen_foreign_unmap(held);
    for (unsigned i = 0; i < PAGES * GUEST_PAGE_SIZE; i++)
        ck_assert_uint_eq(pages[i], i / GUEST_PAGE_SIZE == 1 || i / GUEST_PAGE_SIZE == 2 ? 0x44 : 0);
    ck_assert_int_eq(query(XENMEM_current_reservation), before);
    MmFreeContiguousMemory(pages);
}

XEN_TEST(reservation_limits)
{
    uint64_t gfn = HOLE + 1;
    uint64_t list[2] = {HOLE + 1, HOLE + 2};
    int64_t room = query(XENMEM_maximum_reservation) - query(XENMEM_current_reservation);
    struct xen_memory_reservation op = {.nr_extents = 2, .domid = DOMID_SELF};

    ck_assert_int_gt(room, 0);
    for (int64_t i = 0; i < room; i++)
        ck_assert_int_eq(populate(HOLE + 100 + (uint64_t)i), 1);
    ck_assert_int_eq(populate(HOLE + 99), 0); /* no more than the maximum */
    ck_assert_int_eq(query(XENMEM_current_reservation), query(XENMEM_maximum_reservation));
    for (int64_t i = 0; i < room; i++)
        ck_assert_int_eq(decrease(HOLE + 100 + (uint64_t)i), 1);

    ck_assert_int_eq(reservation(XENMEM_populate_physmap, DOMID_SELF, &gfn, 1, 3), 0); /* the frame is not aligned */
    ck_assert_int_eq(reservation(XENMEM_populate_physmap, DOMID_SELF, &gfn, 1, 30), 0);
    gfn = UINT64_MAX;
    ck_assert_int_eq(reservation(XENMEM_populate_physmap, DOMID_SELF, &gfn, 1, 0), 0);
    ck_assert_int_eq(reservation(XENMEM_decrease_reservation, DOMID_SELF, &gfn, 1, 0), 0);
    ck_assert_int_eq(reservation(XENMEM_decrease_reservation, DOMID_SELF, list, 2, 0), 0); /* nothing there */
    ck_assert_int_le(reservation(XENMEM_decrease_reservation, 0, list, 2, 0), 0);          /* not ours */
    op.extent_start.p = (xen_pfn_t *)(uintptr_t)BAD_POINTER;
    ck_assert_int_eq(call_memory(XENMEM_populate_physmap, &op), 0);
    /* Memory without a frame counts, too. */
    room = query(XENMEM_current_reservation);
    op.extent_order = 0;
    ck_assert_int_eq(call_memory(XENMEM_increase_reservation, &op), 2);
    ck_assert_int_eq(query(XENMEM_current_reservation), room + 2);
}

/* An order-3 extent is eight frames. */
XEN_TEST(extent_order)
{
    uint64_t gfn = HOLE + 64;
    uint8_t *mapped = map_frames(HOLE + 64, 8);
    int64_t before = query(XENMEM_current_reservation);

    ck_assert_int_eq(reservation(XENMEM_populate_physmap, DOMID_SELF, &gfn, 1, 3), 1);
    ck_assert_int_eq(query(XENMEM_current_reservation), before + 8);
    memset(mapped, 0x11, 8 * GUEST_PAGE_SIZE);
    ck_assert_int_eq(reservation(XENMEM_decrease_reservation, DOMID_SELF, &gfn, 1, 3), 1);
    ck_assert_int_eq(query(XENMEM_current_reservation), before);
    ck_assert(!xen_can_read(mapped));
    ck_assert(!xen_can_read(mapped + 7 * GUEST_PAGE_SIZE));
}

/* ---- bad arguments ---- */

XEN_TEST(bad_arguments)
{
    struct xen_add_to_physmap add = {.domid = 0, .space = XENMAPSPACE_shared_info, .gpfn = HOLE};
    struct xen_remove_from_physmap remove = {.domid = 0, .gpfn = HOLE};
    domid_t other = 0;

    ck_assert_xen_error(call_memory(XENMEM_add_to_physmap, &add), XEN_EPERM);
    add.domid = NO_DOMAIN;
    ck_assert_xen_error(call_memory(XENMEM_add_to_physmap, &add), XEN_ESRCH);
    ck_assert_xen_error(call_memory(XENMEM_remove_from_physmap, &remove), XEN_EPERM);
    remove.domid = NO_DOMAIN;
    ck_assert_xen_error(call_memory(XENMEM_remove_from_physmap, &remove), XEN_ESRCH);
    ck_assert_xen_error(call_memory(XENMEM_current_reservation, &other), XEN_EPERM);
    other = NO_DOMAIN;
    ck_assert_xen_error(call_memory(XENMEM_maximum_reservation, &other), XEN_ESRCH);

    ck_assert_xen_error(physmap_add(XENMAPSPACE_shared_info, 1, HOLE), XEN_EINVAL);
    ck_assert_xen_error(physmap_add(99, 0, HOLE), XEN_EINVAL);
    ck_assert_xen_error(physmap_add(XENMAPSPACE_gmfn, HOLE + 5, HOLE), XEN_EINVAL);
    ck_assert_xen_error(physmap_add(XENMAPSPACE_gmfn, UINT64_MAX, HOLE), XEN_EINVAL);
    ck_assert_xen_error(physmap_add(XENMAPSPACE_gmfn_foreign, 0, HOLE), XEN_ENOSYS); /* by the batch only */
    ck_assert_int_lt(physmap_add(XENMAPSPACE_shared_info, 0, UINT64_MAX), 0);
    ck_assert_int_eq(mem_type(HOLE), HVMMEM_mmio_dm);
    ck_assert_xen_error(physmap_take(UINT64_MAX), XEN_ENOENT);
    ck_assert_xen_error(physmap_take(HOLE), XEN_ENOENT);

    ck_assert_xen_error(call_memory(XENMEM_add_to_physmap, (void *)(uintptr_t)BAD_POINTER), XEN_EFAULT);
    ck_assert_xen_error(call_memory(XENMEM_remove_from_physmap, NULL), XEN_EFAULT);
    ck_assert_xen_error(call_memory(XENMEM_current_reservation, (void *)(uintptr_t)-8), XEN_EFAULT);
    ck_assert_xen_error(call_memory(63, NULL), XEN_ENOSYS);
}

/* What is a toolstack's or a PV guest's, or of hosts with virtual NUMA. */
XEN_TEST(not_for_guests)
{
    struct xen_vnuma_topology_info topology = {.domid = DOMID_SELF};
    uint8_t argument[256];

    memset(argument, 0, sizeof(argument));
    ck_assert_xen_error(call_memory(XENMEM_CLAIM_PAGES, argument), XEN_EPERM);
    ck_assert_xen_error(call_memory(XENMEM_set_memory_map, argument), XEN_EPERM);
    ck_assert_xen_error(call_memory(XENMEM_machphys_mapping, argument), XEN_ENOSYS);
    ck_assert_xen_error(call_memory(XENMEM_get_vnumainfo, &topology), XEN_EOPNOTSUPP);
    topology.domid = 0;
    ck_assert_xen_error(call_memory(XENMEM_get_vnumainfo, &topology), XEN_EPERM);
    topology.domid = NO_DOMAIN;
    ck_assert_xen_error(call_memory(XENMEM_get_vnumainfo, &topology), XEN_ESRCH);
    topology.pad = 1;
    ck_assert_xen_error(call_memory(XENMEM_get_vnumainfo, &topology), XEN_EINVAL);
    ck_assert_xen_error(call_memory(XENMEM_get_vnumainfo, NULL), XEN_EFAULT);
}

/* Pages of an HVM domain are not exchanged: its device model may have them mapped. */
XEN_TEST(exchange)
{
    uint64_t own = frame_of(pages_take(1, 0));
    xen_pfn_t in[2] = {own, HOLE + 9};
    xen_pfn_t out[2] = {own, own};
    struct xen_memory_exchange op = {.in = {.domid = DOMID_SELF, .nr_extents = 1},
                                     .out = {.domid = DOMID_SELF, .nr_extents = 1}};
    struct xen_memory_exchange again;

    set_xen_guest_handle_raw(op.in.extent_start, in);
    set_xen_guest_handle_raw(op.out.extent_start, out);
    again = op;
    ck_assert_xen_error(call_memory(XENMEM_exchange, &again), XEN_EOPNOTSUPP);
    ck_assert_uint_eq(again.nr_exchanged, 0);
    set_xen_guest_handle_raw(again.in.extent_start, in + 1); /* nothing there */
    ck_assert_xen_error(call_memory(XENMEM_exchange, &again), XEN_EINVAL);
    set_xen_guest_handle_raw(again.in.extent_start, (xen_pfn_t *)(uintptr_t)BAD_POINTER);
    ck_assert_xen_error(call_memory(XENMEM_exchange, &again), XEN_EFAULT);
    again = op;
    again.in.nr_extents = again.out.nr_extents = 0;
    ck_assert_int_eq(call_memory(XENMEM_exchange, &again), 0);
    again = op;
    again.nr_exchanged = 2;
    ck_assert_xen_error(call_memory(XENMEM_exchange, &again), XEN_EINVAL);
    again.nr_exchanged = 1; /* all done before */
    ck_assert_int_eq(call_memory(XENMEM_exchange, &again), 0);
    again = op;
    again.out.nr_extents = 2; /* not as many out as in */
    ck_assert_xen_error(call_memory(XENMEM_exchange, &again), XEN_EINVAL);
    again = op;
    again.in.extent_order = 64;
    ck_assert_xen_error(call_memory(XENMEM_exchange, &again), XEN_EINVAL);
    again = op;
    again.in.extent_order = again.out.extent_order = 10;
    ck_assert_xen_error(call_memory(XENMEM_exchange, &again), XEN_EPERM);
    again = op;
    again.in.domid = again.out.domid = NO_DOMAIN;
    ck_assert_xen_error(call_memory(XENMEM_exchange, &again), XEN_ESRCH);
    again.in.domid = 0; /* two domains */
    ck_assert_xen_error(call_memory(XENMEM_exchange, &again), XEN_EINVAL);
    again.out.domid = 0;
    ck_assert_xen_error(call_memory(XENMEM_exchange, &again), XEN_EPERM);
    ck_assert_xen_error(call_memory(XENMEM_exchange, NULL), XEN_EFAULT);
    ck_assert_xen_error(call_memory(XENMEM_exchange | 1 << 6, &op), XEN_EINVAL);
}

struct e820 {
    uint64_t address;
    uint64_t size;
    uint32_t type;
} __attribute__((packed));

/* The memory map covers the pages that the guest has, and where none are it says nothing of RAM. */
XEN_TEST(memory_map)
{
    struct e820 entries[8];
    struct xen_memory_map map = {.nr_entries = 8};
    uint8_t *page = pages_take(1, 0);
    uint64_t address = frame_of(page) << GUEST_PAGE_SHIFT;
    uint64_t bytes = 0;
    bool found = false;

    map.buffer.p = entries;
    ck_assert_int_eq(call_memory(XENMEM_memory_map, &map), 0);
    ck_assert_uint_ge(map.nr_entries, 1);
    ck_assert_uint_le(map.nr_entries, 8);
    for (unsigned i = 0; i < map.nr_entries; i++) {
        if (entries[i].type != 1)
            continue;
        bytes += entries[i].size;
        found |= address >= entries[i].address && address - entries[i].address < entries[i].size;
        ck_assert(HOLE << GUEST_PAGE_SHIFT < entries[i].address ||
                  HOLE << GUEST_PAGE_SHIFT >= entries[i].address + entries[i].size);
    }
    ck_assert(found);
    ck_assert_uint_eq(bytes, (uint64_t)guest_ram_pages() << GUEST_PAGE_SHIFT);
    ck_assert_int_ge(query(XENMEM_maximum_gpfn), (int64_t)(address >> GUEST_PAGE_SHIFT));
    map.buffer.p = (void *)(uintptr_t)BAD_POINTER;
    ck_assert_xen_error(call_memory(XENMEM_memory_map, &map), XEN_EFAULT);
    MmFreeContiguousMemory(page);
}

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tcase = tcase_create("physical map");

    tcase_add_test(tcase, shared_info_in_hole);
    tcase_add_test(tcase, shared_info_moves);
#ifndef PVSIM_SANITIZE
    tcase_add_test(tcase, old_place_faults);
#endif
    tcase_add_test(tcase, grant_frames);
    tcase_add_test(tcase, shared_info_over_ram);
    tcase_add_test(tcase, grant_table_over_ram);
    tcase_add_test(tcase, own_page_moves);
    tcase_add_test(tcase, range_moves);
    tcase_add_test(tcase, batch);
    tcase_add_test(tcase, lists_gone_on_with);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("reservation");
    tcase_add_test(tcase, balloon);
    tcase_add_test(tcase, hibernation);
    tcase_add_test(tcase, reservation_limits);
    tcase_add_test(tcase, extent_order);
    tcase_add_test(tcase, memory_map);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("refusals");
    tcase_add_test(tcase, bad_arguments);
    tcase_add_test(tcase, not_for_guests);
    tcase_add_test(tcase, exchange);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
