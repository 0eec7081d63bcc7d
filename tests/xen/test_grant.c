/* Grant tables of version 1: the guest grants, domain 0 maps and copies; and the other way (public/grant_table.h). */
#include "xen/xen_guest.h"

#include <stdio.h>

#include "machine/eventlog.h"

#define REFERENCE 40u /* any one that is not reserved */

static volatile grant_entry_v1_t *table;
static uint8_t *page; /* granted by REFERENCE */

/* The documented order: domid and frame, a barrier, flags. */
static void grant(unsigned reference, domid_t domid, uint64_t frame, uint16_t flags)
{
    table[reference].domid = domid;
    table[reference].frame = (uint32_t)frame;
    __asm__ volatile("" : : : "memory"); /* stores of this processor are seen in order */
    table[reference].flags = flags;
}

static void begin(uint16_t flags)
{
    table = map_grant_table();
    page = pages_take(1, 0x42);
    grant(REFERENCE, 0, frame_of(page), flags);
}

/* As a driver does: not while it is in use. */
static bool revoke(unsigned reference)
{
    uint16_t flags = table[reference].flags;

    if ((flags & (GTF_reading | GTF_writing)) != 0)
        return false;
    return __atomic_compare_exchange_n(&table[reference].flags, &flags, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static uint16_t in_use(unsigned reference)
{
    return table[reference].flags & (GTF_reading | GTF_writing);
}

static int map(unsigned reference, bool readonly, void **address, uint32_t *handle)
{
    return xen_grant_map(XEN_DOM0, 1, reference, readonly, address, handle);
}

/* ---- size and version ---- */

XEN_TEST(query_size)
{
    struct gnttab_query_size query = {.dom = DOMID_SELF, .status = 1};
    struct gnttab_query_size bad[2];

    ck_assert_int_eq(call_grant(GNTTABOP_query_size, &query, 1), 0);
    ck_assert_int_eq(query.status, GNTST_okay);
    ck_assert_uint_eq(query.nr_frames, 1);
    ck_assert_uint_eq(query.max_nr_frames, 64);
    query.dom = NO_DOMAIN;
    ck_assert_int_eq(call_grant(GNTTABOP_query_size, &query, 1), 0);
    ck_assert_int_eq(query.status, GNTST_bad_domain);
    query.dom = 0;
    ck_assert_int_eq(call_grant(GNTTABOP_query_size, &query, 1), 0);
    ck_assert_int_eq(query.status, GNTST_permission_denied);
    memset(bad, 0, sizeof(bad));
    ck_assert_xen_error(call_grant(GNTTABOP_query_size, bad, 2), XEN_EINVAL);
    ck_assert_xen_error(call_grant(GNTTABOP_query_size, NULL, 1), XEN_EFAULT);
}

XEN_TEST(version)
{
    struct gnttab_get_version get = {.dom = DOMID_SELF};
    struct gnttab_set_version set = {.version = 3};

    ck_assert_int_eq(call_grant(GNTTABOP_get_version, &get, 1), 0);
    ck_assert_uint_eq(get.version, 1);
    ck_assert_xen_error(call_grant(GNTTABOP_set_version, &set, 1), XEN_EINVAL);
    set.version = 1;
    ck_assert_int_eq(call_grant(GNTTABOP_set_version, &set, 1), 0);
    ck_assert_uint_eq(set.version, 1);
    get.dom = 0;
    ck_assert_xen_error(call_grant(GNTTABOP_get_version, &get, 1), XEN_EPERM);
    get.dom = NO_DOMAIN;
    ck_assert_xen_error(call_grant(GNTTABOP_get_version, &get, 1), XEN_ESRCH);
}

XEN_TEST(setup_table)
{
    xen_pfn_t frames[4] = {1, 1, 1, 1};
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 2};
    struct gnttab_query_size query = {.dom = DOMID_SELF};

    table = map_grant_table();
    set_xen_guest_handle(setup.frame_list, frames);
    ck_assert_int_eq(call_grant(GNTTABOP_setup_table, &setup, 1), 0);
    ck_assert_int_eq(setup.status, GNTST_okay);
    ck_assert_uint_eq(frames[0], HOLE + 1); /* where the guest has mapped it */
    ck_assert_uint_eq(frames[2], 1);
    ck_assert_int_eq(call_grant(GNTTABOP_query_size, &query, 1), 0);
    ck_assert_uint_eq(query.nr_frames, 2);
    setup.nr_frames = 65;
    ck_assert_xen_error(call_grant(GNTTABOP_setup_table, &setup, 1), XEN_EINVAL);
    ck_assert_int_eq(call_grant(GNTTABOP_query_size, &query, 1), 0);
    ck_assert_uint_eq(query.nr_frames, 2);
}

XEN_TEST(not_for_guests)
{
    uint8_t argument[256];

    memset(argument, 0, sizeof(argument));
    ck_assert_xen_error(call_grant(GNTTABOP_transfer, argument, 1), XEN_ENOSYS);
    ck_assert_xen_error(call_grant(GNTTABOP_get_status_frames, argument, 1), XEN_ENOSYS);
    ck_assert_xen_error(call_grant(99, argument, 1), XEN_ENOSYS);
    ck_assert_xen_error(call_grant(GNTTABOP_copy, argument, UINT32_MAX), XEN_EINVAL);
    ck_assert_xen_error(call_grant(GNTTABOP_copy, (void *)(uintptr_t)BAD_POINTER, 1), XEN_EFAULT);
    ck_assert_xen_error(call_grant(GNTTABOP_map_grant_ref, (void *)(uintptr_t)BAD_POINTER, 1), XEN_EFAULT);
    ck_assert_xen_error(call_grant(GNTTABOP_unmap_grant_ref, (void *)(uintptr_t)BAD_POINTER, 1), XEN_EFAULT);
}

/* ---- domain 0 maps ---- */

XEN_TEST(map_writable)
{
    uint8_t *seen;
    uint32_t handle;

    begin(GTF_permit_access);
    ck_assert_int_eq(in_use(REFERENCE), 0);
    ck_assert_int_eq(map(REFERENCE, false, (void **)&seen, &handle), 0);
    ck_assert_uint_eq(in_use(REFERENCE), GTF_reading | GTF_writing);
    ck_assert_uint_eq(seen[77], 0x42);
    seen[77] = 0x43;
    ck_assert_uint_eq(page[77], 0x43);
    page[78] = 0x44;
    ck_assert_uint_eq(seen[78], 0x44);
    ck_assert(!revoke(REFERENCE));
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_uint_eq(in_use(REFERENCE), 0);
    ck_assert_uint_eq(table[REFERENCE].flags, GTF_permit_access);
    ck_assert(revoke(REFERENCE));
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), -XEN_EINVAL);
}

XEN_TEST(map_readonly)
{
    uint8_t *seen;
    uint32_t handle;
    uint32_t second;

    begin(GTF_permit_access | GTF_readonly);
    ck_assert_int_eq(map(REFERENCE, false, (void **)&seen, &handle), -XEN_EINVAL); /* wants to write */
    ck_assert_uint_eq(in_use(REFERENCE), 0);
    ck_assert_int_eq(map(REFERENCE, true, (void **)&seen, &handle), 0);
    ck_assert_uint_eq(in_use(REFERENCE), GTF_reading);
    ck_assert_uint_eq(seen[0], 0x42);
    /* While it is mapped, too. */
    ck_assert_int_eq(map(REFERENCE, false, (void **)&seen, &second), -XEN_EINVAL);
    ck_assert_uint_eq(in_use(REFERENCE), GTF_reading);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_uint_eq(in_use(REFERENCE), 0);
}

/* The flags go when the last mapping of the kind does. */
XEN_TEST(map_twice)
{
    uint8_t *seen[3];
    uint32_t handle[3];

    begin(GTF_permit_access);
    ck_assert_int_eq(map(REFERENCE, true, (void **)&seen[0], &handle[0]), 0);
    ck_assert_uint_eq(in_use(REFERENCE), GTF_reading);
    ck_assert_int_eq(map(REFERENCE, false, (void **)&seen[1], &handle[1]), 0);
    ck_assert_int_eq(map(REFERENCE, false, (void **)&seen[2], &handle[2]), 0);
    ck_assert_uint_ne(handle[1], handle[2]);
    ck_assert_uint_eq(in_use(REFERENCE), GTF_reading | GTF_writing);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle[1]), 0);
    ck_assert_uint_eq(in_use(REFERENCE), GTF_reading | GTF_writing);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle[2]), 0);
    ck_assert_uint_eq(in_use(REFERENCE), GTF_reading);
    ck_assert_uint_eq(seen[0][9], 0x42);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle[0]), 0);
    ck_assert_uint_eq(in_use(REFERENCE), 0);
}

XEN_TEST(map_refused)
{
    void *seen;
    uint32_t handle;

    begin(GTF_permit_access);
    ck_assert_int_eq(map(REFERENCE + 1, true, &seen, &handle), -XEN_EINVAL); /* invalid entry */
    ck_assert_int_eq(map(1u << 20, true, &seen, &handle), -XEN_EINVAL);      /* beyond the table */
    ck_assert_int_eq(map(UINT32_MAX, true, &seen, &handle), -XEN_EINVAL);
    grant(REFERENCE, 7, frame_of(page), GTF_permit_access); /* for another domain */
    ck_assert_int_eq(map(REFERENCE, true, &seen, &handle), -XEN_EINVAL);
    grant(REFERENCE, 0, frame_of(page), GTF_accept_transfer);
    ck_assert_int_eq(map(REFERENCE, true, &seen, &handle), -XEN_EINVAL);
    grant(REFERENCE, 0, HOLE + 9, GTF_permit_access); /* no page there */
    ck_assert_int_eq(map(REFERENCE, true, &seen, &handle), -XEN_EINVAL);
    ck_assert_uint_eq(in_use(REFERENCE), 0);
    grant(REFERENCE, 0, UINT32_MAX, GTF_permit_access);
    ck_assert_int_eq(map(REFERENCE, true, &seen, &handle), -XEN_EINVAL);
    ck_assert_uint_eq(in_use(REFERENCE), 0);
    grant(REFERENCE, 0, frame_of(page), 0); /* revoked */
    ck_assert_int_eq(map(REFERENCE, true, &seen, &handle), -XEN_EINVAL);
    ck_assert_int_eq(xen_grant_map(XEN_DOM0, NO_DOMAIN, REFERENCE, true, &seen, &handle), -XEN_ESRCH);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, 12345), -XEN_EINVAL);
    grant(REFERENCE, 0, frame_of(page), GTF_permit_access); /* and the entry is as good as before */
    ck_assert_int_eq(map(REFERENCE, true, &seen, &handle), 0);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
}

/*
 * A guest that takes a grant away while it is mapped does no harm to who maps it: the page stays until it is unmapped,
 * even if the guest gives it back to Xen.
 */
XEN_TEST(page_outlives_frame)
{
    uint8_t *seen;
    uint32_t handle;
    uint64_t gfn;
    struct xen_memory_reservation op = {.nr_extents = 1, .domid = DOMID_SELF};

    begin(GTF_permit_access);
    gfn = frame_of(page);
    set_xen_guest_handle(op.extent_start, &gfn);
    ck_assert_int_eq(map(REFERENCE, false, (void **)&seen, &handle), 0);
    table[REFERENCE].flags = 0;
    ck_assert_int_eq(call_memory(XENMEM_decrease_reservation, &op), 1);
    ck_assert_int_eq(call_memory(XENMEM_populate_physmap, &op), 1);
    ck_assert_uint_eq(page[0], 0); /* another page */
    ck_assert_uint_eq(seen[0], 0x42);
    memset(seen, 0xEE, GUEST_PAGE_SIZE);
    ck_assert_uint_eq(page[0], 0);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_uint_eq(page[0], 0);
}

XEN_TEST(reserved_entries)
{
    uint8_t *seen;
    uint32_t handle;
    uint8_t *store = map_frames(param(HVM_PARAM_STORE_PFN), 1);

    store[100] = 0x21;
    ck_assert_int_eq(map(GNTTAB_RESERVED_XENSTORE, false, (void **)&seen, &handle), 0);
    ck_assert_uint_eq(seen[100], 0x21);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_int_eq(map(GNTTAB_RESERVED_CONSOLE, false, (void **)&seen, &handle), 0);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
}

/* ---- domain 0 copies ---- */

static uint8_t *own; /* memory of domain 0 */

static struct gnttab_copy to_guest(unsigned reference, unsigned source, unsigned dest, unsigned length)
{
    struct gnttab_copy op = {.len = (uint16_t)length, .flags = GNTCOPY_dest_gref, .status = 99};

    op.source.domid = DOMID_SELF;
    op.source.u.gmfn = at(own) >> GUEST_PAGE_SHIFT;
    op.source.offset = (uint16_t)source;
    op.dest.domid = 1;
    op.dest.u.ref = reference;
    op.dest.offset = (uint16_t)dest;
    return op;
}

static struct gnttab_copy from_guest(unsigned reference, unsigned source, unsigned dest, unsigned length)
{
    struct gnttab_copy op = {.len = (uint16_t)length, .flags = GNTCOPY_source_gref, .status = 99};

    op.source.domid = 1;
    op.source.u.ref = reference;
    op.source.offset = (uint16_t)source;
    op.dest.domid = DOMID_SELF;
    op.dest.u.gmfn = at(own) >> GUEST_PAGE_SHIFT;
    op.dest.offset = (uint16_t)dest;
    return op;
}

static int16_t copied(struct gnttab_copy op)
{
    xen_grant_copy(XEN_DOM0, &op, 1);
    return op.status;
}

static void begin_copy(uint16_t flags)
{
    int64_t reference = xen_grant_share(XEN_DOM0, 1, false, (void **)&own);

    ck_assert_int_ge(reference, GNTTAB_NR_RESERVED_ENTRIES);
    begin(flags);
}

XEN_TEST(copy_both_ways)
{
    begin_copy(GTF_permit_access);
    for (unsigned i = 0; i < GUEST_PAGE_SIZE; i++)
        own[i] = (uint8_t)(i * 3);
    ck_assert_int_eq(copied(to_guest(REFERENCE, 10, 100, 50)), GNTST_okay);
    ck_assert_uint_eq(page[99], 0x42);
    ck_assert_mem_eq(page + 100, own + 10, 50);
    ck_assert_uint_eq(page[150], 0x42);
    ck_assert_int_eq(copied(from_guest(REFERENCE, 95, 2000, 10)), GNTST_okay);
    ck_assert_uint_eq(own[1999], (uint8_t)(1999 * 3));
    ck_assert_mem_eq(own + 2000, page + 95, 10);
    ck_assert_uint_eq(own[2010], (uint8_t)(2010 * 3));
    ck_assert_uint_eq(in_use(REFERENCE), 0); /* only while it copies */
    ck_assert_int_eq(copied(to_guest(REFERENCE, 0, 0, GUEST_PAGE_SIZE)), GNTST_okay);
    ck_assert_mem_eq(page, own, GUEST_PAGE_SIZE);
    ck_assert_int_eq(copied(to_guest(REFERENCE, 4096, 4096, 0)), GNTST_okay);
}

XEN_TEST(copy_between_pages_of_the_guest)
{
    struct gnttab_copy op = {.len = 16, .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref};
    uint8_t *second;

    begin_copy(GTF_permit_access | GTF_readonly);
    second = pages_take(1, 0);
    grant(REFERENCE + 1, 0, frame_of(second), GTF_permit_access);
    op.source.domid = op.dest.domid = 1;
    op.source.u.ref = REFERENCE;
    op.dest.u.ref = REFERENCE + 1;
    op.dest.offset = 32;
    ck_assert_int_eq(copied(op), GNTST_okay);
    ck_assert_uint_eq(second[31], 0);
    ck_assert_uint_eq(second[32], 0x42);
    ck_assert_uint_eq(second[47], 0x42);
    ck_assert_uint_eq(second[48], 0);
}

XEN_TEST(copy_bounds)
{
    begin_copy(GTF_permit_access);
    own[4095] = 0x99;
    ck_assert_int_eq(copied(to_guest(REFERENCE, 4095, 4095, 1)), GNTST_okay);
    ck_assert_uint_eq(page[4095], 0x99);
    /* Neither side may cross its page. */
    ck_assert_int_eq(copied(to_guest(REFERENCE, 0, 4095, 2)), GNTST_bad_copy_arg);
    ck_assert_int_eq(copied(to_guest(REFERENCE, 4095, 0, 2)), GNTST_bad_copy_arg);
    ck_assert_int_eq(copied(from_guest(REFERENCE, 4090, 0, 7)), GNTST_bad_copy_arg);
    ck_assert_int_eq(copied(from_guest(REFERENCE, 0, 4090, 7)), GNTST_bad_copy_arg);
    ck_assert_int_eq(copied(to_guest(REFERENCE, 65535, 0, 65535)), GNTST_bad_copy_arg);
    ck_assert_int_eq(copied(to_guest(REFERENCE, 1, 65535, 1)), GNTST_bad_copy_arg);
    ck_assert_uint_eq(page[0], 0x42);
    ck_assert_uint_eq(in_use(REFERENCE), 0);
}

XEN_TEST(copy_refused)
{
    struct gnttab_copy op;

    begin_copy(GTF_permit_access | GTF_readonly);
    memset(own, 0x11, GUEST_PAGE_SIZE);
    ck_assert_int_eq(copied(to_guest(REFERENCE, 0, 0, 8)), GNTST_general_error); /* read-only */
    ck_assert_uint_eq(page[0], 0x42);
    ck_assert_int_eq(copied(from_guest(REFERENCE, 0, 0, 8)), GNTST_okay);
    ck_assert_uint_eq(own[0], 0x42);
    ck_assert_int_eq(copied(from_guest(1u << 20, 0, 0, 8)), GNTST_bad_gntref);
    ck_assert_int_eq(copied(from_guest(REFERENCE + 1, 0, 0, 8)), GNTST_general_error);
    op = from_guest(REFERENCE, 0, 0, 8);
    op.source.domid = NO_DOMAIN;
    ck_assert_int_eq(copied(op), GNTST_bad_domain);
    op = from_guest(REFERENCE, 0, 8, 8);
    op.dest.domid = 1; /* by frame, only one's own */
    ck_assert_int_eq(copied(op), GNTST_permission_denied);
    grant(REFERENCE, 0, HOLE + 9, GTF_permit_access);
    ck_assert_int_eq(copied(from_guest(REFERENCE, 0, 0, 8)), GNTST_bad_page);
    grant(REFERENCE, 3, frame_of(page), GTF_permit_access);
    ck_assert_int_eq(copied(from_guest(REFERENCE, 0, 0, 8)), GNTST_general_error);
    ck_assert_uint_eq(in_use(REFERENCE), 0);
}

/* Each segment has its own status; one that fails does not stop the others. */
XEN_TEST(copy_segments)
{
    struct gnttab_copy ops[3];

    begin_copy(GTF_permit_access);
    memset(own, 0x11, GUEST_PAGE_SIZE);
    ops[0] = to_guest(REFERENCE, 0, 0, 4);
    ops[1] = to_guest(REFERENCE + 1, 0, 0, 4);
    ops[2] = to_guest(REFERENCE, 0, 8, 4);
    xen_grant_copy(XEN_DOM0, ops, 3);
    ck_assert_int_eq(ops[0].status, GNTST_okay);
    ck_assert_int_eq(ops[1].status, GNTST_general_error);
    ck_assert_int_eq(ops[2].status, GNTST_okay);
    ck_assert_uint_eq(page[8], 0x11);
    ck_assert_uint_eq(page[4], 0x42);
}

#define ROW 4u

/* Copies that go on where the one before ends, a few bytes short of the last page. */
static void make_row(struct gnttab_copy ops[ROW], bool from, uint8_t *local)
{
    for (unsigned i = 0; i < ROW; i++) {
        unsigned length = i < ROW - 1 ? GUEST_PAGE_SIZE : 100;

        own = local + i * GUEST_PAGE_SIZE;
        ops[i] = from ? from_guest(REFERENCE + i, 0, 0, length) : to_guest(REFERENCE + i, 0, 0, length);
    }
}

XEN_TEST(copy_rows)
{
    enum { BYTES = (ROW - 1) * GUEST_PAGE_SIZE + 100 };
    struct gnttab_copy ops[ROW];
    uint8_t *local, *pages;

    begin_copy(GTF_permit_access);
    local = image_alloc((ROW + 1) * GUEST_PAGE_SIZE);
    local += -(uintptr_t)local & (GUEST_PAGE_SIZE - 1);
    pages = pages_take(ROW, 0);
    for (unsigned i = 0; i < ROW; i++)
        grant(REFERENCE + i, 0, frame_of(pages + i * GUEST_PAGE_SIZE), GTF_permit_access);
    for (unsigned i = 0; i < ROW * GUEST_PAGE_SIZE; i++)
        pages[i] = (uint8_t)(i * 7 + i / GUEST_PAGE_SIZE);
    make_row(ops, true, local);
    xen_grant_copy(XEN_DOM0, ops, ROW);
    ck_assert_mem_eq(local, pages, BYTES);
    ck_assert_uint_eq(local[BYTES], 0);
    memset(pages, 0, ROW * GUEST_PAGE_SIZE);
    make_row(ops, false, local);
    ops[1].dest.u.ref = 1u << 20; /* all but this one */
    xen_grant_copy(XEN_DOM0, ops, ROW);
    ck_assert_mem_eq(pages, local, GUEST_PAGE_SIZE);
    ck_assert_uint_eq(pages[GUEST_PAGE_SIZE], 0);
    ck_assert_uint_eq(pages[2 * GUEST_PAGE_SIZE - 1], 0);
    ck_assert_mem_eq(pages + 2 * GUEST_PAGE_SIZE, local + 2 * GUEST_PAGE_SIZE, BYTES - 2 * GUEST_PAGE_SIZE);
    ck_assert_uint_eq(pages[BYTES], 0);
    for (unsigned i = 0; i < ROW; i++)
        ck_assert_int_eq(ops[i].status, i == 1 ? GNTST_bad_gntref : GNTST_okay);
}

/* Each reads what the one before has written, whether the pages are named by grants or are mapped by domain 0. */
XEN_TEST(copy_rows_over_themselves)
{
    struct gnttab_copy ops[ROW - 1];
    uint8_t *pages;

    begin_copy(GTF_permit_access);
    pages = pages_take(ROW, 0);
    for (unsigned i = 0; i < ROW; i++)
        grant(REFERENCE + i, 0, frame_of(pages + i * GUEST_PAGE_SIZE), GTF_permit_access);
    for (unsigned mapped = 0; mapped < 2; mapped++) {
        for (unsigned i = 0; i < ROW * GUEST_PAGE_SIZE; i++)
            pages[i] = (uint8_t)(i / GUEST_PAGE_SIZE + 1);
        for (unsigned i = 0; i < ROW - 1; i++) {
            own = pages + (i + 1) * GUEST_PAGE_SIZE;
            ops[i] = from_guest(REFERENCE + i, 0, 0, GUEST_PAGE_SIZE);
            if (mapped)
                continue;
            ops[i].flags |= GNTCOPY_dest_gref;
            ops[i].dest.domid = 1;
            ops[i].dest.u.ref = REFERENCE + i + 1;
        }
        xen_grant_copy(XEN_DOM0, ops, ROW - 1);
        for (unsigned i = 0; i < ROW * GUEST_PAGE_SIZE; i += 64)
            ck_assert_uint_eq(pages[i], 1);
    }
}

/* And when all of them are so short that a copy of the row would have read the last before it wrote the first. */
XEN_TEST(copy_rows_of_a_few_bytes_over_themselves)
{
    enum { LENGTH = 16 };
    struct gnttab_copy ops[ROW - 1];

    for (unsigned mapped = 0; mapped < 2; mapped++) {
        if (mapped == 0)
            begin_copy(GTF_permit_access);
        for (unsigned i = 0; i < ROW * LENGTH; i++)
            page[i] = (uint8_t)(i / LENGTH + 1);
        own = page;
        for (unsigned i = 0; i < ROW - 1; i++) {
            ops[i] = from_guest(REFERENCE, i * LENGTH, (i + 1) * LENGTH, LENGTH);
            if (mapped)
                continue;
            ops[i].flags |= GNTCOPY_dest_gref;
            ops[i].dest.domid = 1;
            ops[i].dest.u.ref = REFERENCE;
        }
        xen_grant_copy(XEN_DOM0, ops, ROW - 1);
        for (unsigned i = 0; i < ROW * LENGTH; i++)
            ck_assert_uint_eq(page[i], 1);
    }
}

#define MANY 200u /* more than are claimed at a time */

/* What the event log says of grants since number `from`, but for when: under the parallel engine others write too. */
static void events_since(uint64_t from, char list[MANY * 64])
{
    static char tail[MANY * 128];
    unsigned length = 0;
    char *line, *rest = tail;

    ck_assert_uint_gt(eventlog_tail(tail, sizeof(tail), (unsigned)(eventlog_count() - from)), 0);
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        int skipped = 0;

        (void)sscanf(line, "%*u %*u.%*u %n", &skipped);
        if (strncmp(line + skipped, "grant ", 6) == 0)
            length += (unsigned)sprintf(list + length, "%s\n", line + skipped);
    }
}

/* References of any number are among them, and two tables: all is as if each were copied by itself. */
XEN_TEST(copy_many_segments)
{
    static const uint32_t none[] = {512, 1u << 20, UINT32_MAX, UINT32_MAX / 2, REFERENCE + 1};
    static struct gnttab_copy ops[MANY];
    static char each[MANY * 64], together[MANY * 64];
    int16_t status[MANY];
    int64_t shared;
    uint64_t from;

    begin_copy(GTF_permit_access);
    shared = xen_grant_share(XEN_DOM0, XEN_DOM0, false, (void **)&own);
    ck_assert_int_ge(shared, GNTTAB_NR_RESERVED_ENTRIES);
    for (unsigned i = 0; i < MANY; i++) {
        ops[i] = i % 2 == 0 ? to_guest(REFERENCE, i, 2 * i, 2) : from_guest(REFERENCE, 3 * i, i, 2);
        if (i % 7 == 0) {
            ops[i] = to_guest(REFERENCE, i, 2 * i, 2);
            ops[i].flags |= GNTCOPY_source_gref;
            ops[i].source.domid = XEN_DOM0;
            ops[i].source.u.ref = (grant_ref_t)shared;
        } else if (i % 5 == 0) {
            *(i % 2 == 0 ? &ops[i].dest.u.ref : &ops[i].source.u.ref) = none[i / 5 % 5];
        } else if (i % 11 == 0) {
            *(i % 2 == 0 ? &ops[i].dest.domid : &ops[i].source.domid) = NO_DOMAIN;
        }
    }
    from = eventlog_count();
    for (unsigned i = 0; i < MANY; i++) {
        status[i] = copied(ops[i]);
        ck_assert_int_eq(status[i] == GNTST_okay, i % 7 == 0 || (i % 5 != 0 && i % 11 != 0));
    }
    events_since(from, each);
    ck_assert_str_ne(each, "");
    from = eventlog_count();
    xen_grant_copy(XEN_DOM0, ops, MANY);
    events_since(from, together);
    for (unsigned i = 0; i < MANY; i++)
        ck_assert_int_eq(ops[i].status, status[i]);
    ck_assert_msg(strcmp(together, each) == 0, "the events are others, or in another order");
    ck_assert_uint_eq(in_use(REFERENCE), 0);
}

/* ---- the guest maps and copies ---- */

static int64_t guest_map(unsigned reference, uint64_t gfn, uint32_t flags, struct gnttab_map_grant_ref *op)
{
    *op = (struct gnttab_map_grant_ref){
        .host_addr = gfn << GUEST_PAGE_SHIFT, .flags = flags, .ref = reference, .dom = 0, .status = 99};
    return call_grant(GNTTABOP_map_grant_ref, op, 1);
}

XEN_TEST(guest_maps)
{
    int64_t reference = xen_grant_share(XEN_DOM0, 1, false, (void **)&own);
    struct gnttab_map_grant_ref op;
    struct gnttab_unmap_grant_ref unmap = {.host_addr = 0};
    uint8_t *seen = map_frames(HOLE + 30, 1);

    ck_assert_int_gt(reference, 0);
    own[5] = 0x66;
    ck_assert_int_eq(guest_map((unsigned)reference, HOLE + 30, GNTMAP_host_map, &op), 0);
    ck_assert_int_eq(op.status, GNTST_okay);
    ck_assert_uint_eq(seen[5], 0x66);
    seen[6] = 0x67;
    ck_assert_uint_eq(own[6], 0x67);
    ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, (uint32_t)reference), -XEN_EBUSY);
    ck_assert_int_lt(physmap_take(HOLE + 30), 0); /* only unmapping takes it away */

    unmap.handle = op.handle + 1000;
    unmap.host_addr = (HOLE + 30) << GUEST_PAGE_SHIFT;
    ck_assert_int_eq(call_grant(GNTTABOP_unmap_grant_ref, &unmap, 1), 0);
    ck_assert_int_eq(unmap.status, GNTST_bad_handle);
    unmap.handle = op.handle;
    ck_assert_int_eq(call_grant(GNTTABOP_unmap_grant_ref, &unmap, 1), 0);
    ck_assert_int_eq(unmap.status, GNTST_okay);
    ck_assert_xen_error(call_evtchn(EVTCHNOP_close, seen), XEN_EFAULT); /* nothing there any more */
    ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, (uint32_t)reference), 0);
    ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, (uint32_t)reference), -XEN_EINVAL);
}

XEN_TEST(guest_map_refused)
{
    int64_t reference = xen_grant_share(XEN_DOM0, 1, true, (void **)&own);
    int64_t other = xen_grant_share(XEN_DOM0, 9, false, (void **)&own);
    struct gnttab_map_grant_ref op;

    ck_assert_int_eq(guest_map((unsigned)reference, HOLE + 30, GNTMAP_host_map, &op), 0);
    ck_assert_int_eq(op.status, GNTST_general_error); /* to write, and it is read-only */
    ck_assert_int_eq(guest_map((unsigned)other, HOLE + 30, GNTMAP_host_map, &op), 0);
    ck_assert_int_eq(op.status, GNTST_general_error); /* not for us */
    ck_assert_int_eq(guest_map(1u << 20, HOLE + 30, GNTMAP_host_map, &op), 0);
    ck_assert_int_eq(op.status, GNTST_bad_gntref);
    ck_assert_int_eq(guest_map((unsigned)reference, HOLE + 30, 0, &op), 0);
    ck_assert_int_ne(op.status, GNTST_okay);
    ck_assert_int_eq(guest_map((unsigned)reference, UINT64_C(1) << 40, GNTMAP_host_map | GNTMAP_readonly, &op), 0);
    ck_assert_int_ne(op.status, GNTST_okay);
    op = (struct gnttab_map_grant_ref){
        .host_addr = HOLE << GUEST_PAGE_SHIFT, .flags = GNTMAP_host_map, .ref = 8, .dom = NO_DOMAIN};
    ck_assert_int_eq(call_grant(GNTTABOP_map_grant_ref, &op, 1), 0);
    ck_assert_int_eq(op.status, GNTST_bad_domain);
    /* None of that has left a pin. */
    ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, (uint32_t)reference), 0);
    ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, (uint32_t)other), 0);
}

XEN_TEST(guest_copies)
{
    int64_t reference = xen_grant_share(XEN_DOM0, 1, false, (void **)&own);
    struct gnttab_copy ops[2];

    page = pages_take(1, 0x21);
    memset(ops, 0, sizeof(ops));
    own[0] = 0x31;
    ops[0].len = 4;
    ops[0].flags = GNTCOPY_dest_gref;
    ops[0].source.domid = DOMID_SELF;
    ops[0].source.u.gmfn = frame_of(page);
    ops[0].dest.domid = 0;
    ops[0].dest.u.ref = (grant_ref_t)reference;
    ops[0].dest.offset = 16;
    ops[1].len = 1;
    ops[1].flags = GNTCOPY_source_gref;
    ops[1].source.domid = 0;
    ops[1].source.u.ref = (grant_ref_t)reference;
    ops[1].dest.domid = DOMID_SELF;
    ops[1].dest.u.gmfn = frame_of(page);
    ops[1].dest.offset = 200;
    ck_assert_int_eq(call_grant(GNTTABOP_copy, ops, 2), 0);
    ck_assert_int_eq(ops[0].status, GNTST_okay);
    ck_assert_int_eq(ops[1].status, GNTST_okay);
    ck_assert_uint_eq(own[16], 0x21);
    ck_assert_uint_eq(own[20], 0);
    ck_assert_uint_eq(page[200], 0x31);
    ops[0].source.u.gmfn = HOLE + 50;
    ops[1].dest.domid = 0;
    ck_assert_int_eq(call_grant(GNTTABOP_copy, ops, 2), 0);
    ck_assert_int_eq(ops[0].status, GNTST_bad_page);
    ck_assert_int_eq(ops[1].status, GNTST_permission_denied);
    ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, (uint32_t)reference), 0);
}

XEN_TEST(swap)
{
    struct gnttab_swap_grant_ref op = {.ref_a = REFERENCE, .ref_b = REFERENCE + 1};
    void *seen;
    uint32_t handle;

    begin(GTF_permit_access);
    ck_assert_int_eq(call_grant(GNTTABOP_swap_grant_ref, &op, 1), 0);
    ck_assert_int_eq(op.status, GNTST_okay);
    ck_assert_uint_eq(table[REFERENCE].flags, 0);
    ck_assert_uint_eq(table[REFERENCE + 1].frame, frame_of(page));
    ck_assert_int_eq(map(REFERENCE + 1, true, &seen, &handle), 0);
    ck_assert_int_eq(call_grant(GNTTABOP_swap_grant_ref, &op, 1), 0);
    ck_assert_int_eq(op.status, GNTST_eagain); /* in use */
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    op.ref_b = 1u << 20;
    ck_assert_int_eq(call_grant(GNTTABOP_swap_grant_ref, &op, 1), 0);
    ck_assert_int_eq(op.status, GNTST_bad_gntref);
}

int main(void)
{
    Suite *suite = suite_create("grants");
    TCase *tcase = tcase_create("table");

    tcase_add_test(tcase, query_size);
    tcase_add_test(tcase, version);
    tcase_add_test(tcase, setup_table);
    tcase_add_test(tcase, swap);
    tcase_add_test(tcase, not_for_guests);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("maps of domain 0");
    tcase_add_test(tcase, map_writable);
    tcase_add_test(tcase, map_readonly);
    tcase_add_test(tcase, map_twice);
    tcase_add_test(tcase, map_refused);
    tcase_add_test(tcase, page_outlives_frame);
    tcase_add_test(tcase, reserved_entries);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("copies of domain 0");
    tcase_add_test(tcase, copy_both_ways);
    tcase_add_test(tcase, copy_between_pages_of_the_guest);
    tcase_add_test(tcase, copy_bounds);
    tcase_add_test(tcase, copy_refused);
    tcase_add_test(tcase, copy_segments);
    tcase_add_test(tcase, copy_rows);
    tcase_add_test(tcase, copy_rows_over_themselves);
    tcase_add_test(tcase, copy_rows_of_a_few_bytes_over_themselves);
    tcase_add_test(tcase, copy_many_segments);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("the guest's");
    tcase_add_test(tcase, guest_maps);
    tcase_add_test(tcase, guest_map_refused);
    tcase_add_test(tcase, guest_copies);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
