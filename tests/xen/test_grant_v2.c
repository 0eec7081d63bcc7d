/*
 * Grant tables of version 2 (public/grant_table.h): the change of version, status words and the frames that they are
 * in, parts of pages, and grants that pass on what another domain has granted.
 */
#include "xen/xen_guest.h"

#include "machine/image.h"

#define REFERENCE 40u /* any one that is not reserved */
#define OTHER 41u
#define STATUS(index) (XENMAPIDX_grant_table_status | (index))

static volatile grant_entry_v2_t *table;
static volatile grant_status_t *status;
static uint8_t *page; /* granted by REFERENCE */
static uint8_t buffer[GUEST_PAGE_SIZE] __attribute__((aligned(4096)));

static int64_t set_version(uint32_t version, uint32_t *now)
{
    struct gnttab_set_version op = {.version = version};
    int64_t result = call_grant(GNTTABOP_set_version, &op, 1);

    *now = op.version;
    return result;
}

static int64_t change_to(uint32_t version)
{
    uint32_t now;
    int64_t result = set_version(version, &now);

    if (result == 0)
        ck_assert_uint_eq(now, version);
    return result;
}

static uint32_t version_now(void)
{
    struct gnttab_get_version op = {.dom = DOMID_SELF};

    ck_assert_int_eq(call_grant(GNTTABOP_get_version, &op, 1), 0);
    return op.version;
}

/* The documented order: all but the flags, a barrier, the flags. */
static void grant(unsigned reference, domid_t domid, uint64_t frame, uint16_t flags)
{
    table[reference].hdr.domid = domid;
    table[reference].full_page.frame = frame;
    __asm__ volatile("" : : : "memory"); /* stores of this processor are seen in order */
    table[reference].hdr.flags = flags;
}

static void begin(void)
{
    table = (volatile grant_entry_v2_t *)map_grant_table();
    ck_assert_int_eq(change_to(2), 0);
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, STATUS(0), HOLE + 2), 0);
    status = map_frames(HOLE + 2, 1);
    page = pages_take(1, 0x42);
    grant(REFERENCE, XEN_DOM0, frame_of(page), GTF_permit_access);
}

static int map(unsigned reference, bool readonly, void **address, uint32_t *handle)
{
    return xen_grant_map(XEN_DOM0, 1, reference, readonly, address, handle);
}

/* Domain 0 copies `bytes` from the guest's grant at that offset to its buffer: GNTST_*. */
static int16_t copy_from(unsigned reference, unsigned offset, unsigned bytes)
{
    struct gnttab_copy segment = {.flags = GNTCOPY_source_gref, .len = (uint16_t)bytes};

    segment.source.domid = 1;
    segment.source.u.ref = reference;
    segment.source.offset = (uint16_t)offset;
    segment.dest.domid = DOMID_SELF;
    segment.dest.u.gmfn = at(buffer) >> GUEST_PAGE_SHIFT;
    xen_grant_copy(XEN_DOM0, &segment, 1);
    return segment.status;
}

static int16_t copy_to(unsigned reference, unsigned offset, unsigned bytes)
{
    struct gnttab_copy segment = {.flags = GNTCOPY_dest_gref, .len = (uint16_t)bytes};

    segment.source.domid = DOMID_SELF;
    segment.source.u.gmfn = at(buffer) >> GUEST_PAGE_SHIFT;
    segment.dest.domid = 1;
    segment.dest.u.ref = reference;
    segment.dest.offset = (uint16_t)offset;
    xen_grant_copy(XEN_DOM0, &segment, 1);
    return segment.status;
}

/* ---- the version ---- */

XEN_TEST(versions)
{
    uint32_t now = 0;

    ck_assert_uint_eq(version_now(), 1);
    ck_assert_xen_error(set_version(0, &now), XEN_EINVAL);
    ck_assert_uint_eq(now, 1);
    ck_assert_xen_error(set_version(3, &now), XEN_EINVAL);
    ck_assert_int_eq(change_to(1), 0);
    ck_assert_int_eq(change_to(2), 0);
    ck_assert_uint_eq(version_now(), 2);
    ck_assert_int_eq(change_to(2), 0);
    ck_assert_int_eq(change_to(1), 0);
    ck_assert_uint_eq(version_now(), 1);
    ck_assert_xen_error(call_grant(GNTTABOP_set_version, NULL, 1), XEN_EFAULT);
}

static void version_1_only(void *argument)
{
    struct xen_domain_config config = xen_domain_default_config(GUEST_VCPUS);
    uint32_t now = 0;

    (void)argument;
    config.max_grant_version = 1;
    ck_assert_int_eq(xen_domain_create(&config), 1);
    ck_assert_xen_error(set_version(2, &now), XEN_ENOSYS);
    ck_assert_uint_eq(now, 1);
    ck_assert_int_eq(change_to(1), 0);
    ck_assert_xen_error(physmap_add(XENMAPSPACE_grant_table, STATUS(0), HOLE), XEN_EINVAL);
}

START_TEST(a_domain_of_version_1)
{
    struct machine_config config = guest_config(GUEST_VCPUS);

    guest_run_with(&config, version_1_only, NULL);
}
END_TEST

/* The toolstack's entries go over; nothing else does. */
XEN_TEST(reserved_entries_are_kept)
{
    volatile grant_entry_v1_t *first = map_grant_table();
    uint32_t console = first[GNTTAB_RESERVED_CONSOLE].frame;
    uint32_t store = first[GNTTAB_RESERVED_XENSTORE].frame;
    void *address;
    uint32_t handle;

    ck_assert_int_eq(map(GNTTAB_RESERVED_XENSTORE, false, &address, &handle), 0); /* may stay in use */
    first[REFERENCE].domid = 0;
    first[REFERENCE].frame = 77;
    first[REFERENCE].flags = GTF_permit_access;
    begin();
    ck_assert_uint_eq(table[GNTTAB_RESERVED_CONSOLE].full_page.frame, console);
    ck_assert_uint_eq(table[GNTTAB_RESERVED_XENSTORE].full_page.frame, store);
    ck_assert_uint_eq(table[GNTTAB_RESERVED_XENSTORE].hdr.flags, GTF_permit_access);
    ck_assert_uint_eq(table[GNTTAB_RESERVED_XENSTORE].hdr.domid, XEN_DOM0);
    ck_assert_uint_eq(status[GNTTAB_RESERVED_XENSTORE], GTF_reading | GTF_writing);
    ck_assert_uint_eq(status[GNTTAB_RESERVED_CONSOLE], 0);
    ck_assert_uint_eq(table[OTHER].hdr.flags, 0);
    ck_assert_int_eq(change_to(1), 0);
    ck_assert_uint_eq(first[GNTTAB_RESERVED_XENSTORE].frame, store);
    ck_assert_uint_eq(first[GNTTAB_RESERVED_XENSTORE].flags, GTF_permit_access | GTF_reading | GTF_writing);
    ck_assert_uint_eq(first[GNTTAB_RESERVED_CONSOLE].flags, GTF_permit_access);
    ck_assert_uint_eq(first[REFERENCE].flags, 0);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_uint_eq(first[GNTTAB_RESERVED_XENSTORE].flags, GTF_permit_access);
}

XEN_TEST(not_while_in_use)
{
    uint32_t now = 0;
    uint32_t handle;
    void *address;

    begin();
    ck_assert_int_eq(map(REFERENCE, true, &address, &handle), 0);
    ck_assert_xen_error(set_version(1, &now), XEN_EBUSY);
    ck_assert_uint_eq(now, 2);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_int_eq(change_to(1), 0);
}

XEN_TEST(no_word_for_it_in_version_1)
{
    uint32_t now = 0;

    begin();
    grant(2, XEN_DOM0, UINT64_C(1) << 32, GTF_permit_access);
    ck_assert_xen_error(set_version(1, &now), XEN_ERANGE);
    grant(2, XEN_DOM0, 1, GTF_transitive);
    ck_assert_xen_error(set_version(1, &now), XEN_ERANGE);
    ck_assert_uint_eq(now, 2);
    grant(2, XEN_DOM0, 1, 0);
    ck_assert_int_eq(change_to(1), 0);
}

/* ---- frames ---- */

XEN_TEST(status_frames)
{
    struct gnttab_query_size query = {.dom = DOMID_SELF};

    ck_assert_xen_error(physmap_add(XENMAPSPACE_grant_table, STATUS(0), HOLE + 2), XEN_EINVAL); /* of version 1 */
    ck_assert_int_eq(change_to(2), 0);
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, STATUS(0), HOLE + 2), 0);
    ck_assert_int_eq(call_grant(GNTTABOP_query_size, &query, 1), 0);
    ck_assert_uint_eq(query.nr_frames, 1);
    /* A frame of status words serves eight of the table, which comes with it. */
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, STATUS(1), HOLE + 3), 0);
    ck_assert_int_eq(call_grant(GNTTABOP_query_size, &query, 1), 0);
    ck_assert_uint_eq(query.nr_frames, 16);
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, STATUS(7), HOLE + 4), 0);
    ck_assert_xen_error(physmap_add(XENMAPSPACE_grant_table, STATUS(8), HOLE + 5), XEN_EINVAL);
    ck_assert_xen_error(physmap_add(XENMAPSPACE_grant_table, 64, HOLE + 5), XEN_EINVAL);
    ck_assert_xen_error(physmap_add(XENMAPSPACE_grant_table, UINT64_MAX, HOLE + 5), XEN_EINVAL);
    /* Moved like any other; gone from where it was with version 1. */
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, STATUS(1), HOLE + 5), 0);
    ck_assert(!xen_frame_is_memory(HOLE + 3) && xen_foreign_frame(1, HOLE + 3) == NULL);
    ck_assert_ptr_nonnull(xen_foreign_frame(1, HOLE + 5));
    ck_assert_int_eq(change_to(1), 0);
    ck_assert_ptr_null(xen_foreign_frame(1, HOLE + 5));
    ck_assert_ptr_null(xen_foreign_frame(1, HOLE + 2));
}

XEN_TEST(half_as_many_entries)
{
    void *address;
    uint32_t handle;

    begin();
    ck_assert_int_lt(map(256, true, &address, &handle), 0); /* one frame: 256 entries */
    grant(255, XEN_DOM0, frame_of(page), GTF_permit_access);
    ck_assert_int_eq(map(255, true, &address, &handle), 0);
    ck_assert_uint_eq(status[255], GTF_reading);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
}

/* ---- status words ---- */

XEN_TEST(marks_are_in_the_status_word)
{
    void *address;
    uint32_t reader;
    uint32_t writer;

    begin();
    ck_assert_int_eq(map(REFERENCE, true, &address, &reader), 0);
    ck_assert_uint_eq(*(uint8_t *)address, 0x42);
    ck_assert_uint_eq(status[REFERENCE], GTF_reading);
    ck_assert_uint_eq(table[REFERENCE].hdr.flags, GTF_permit_access);
    ck_assert_int_eq(map(REFERENCE, false, &address, &writer), 0);
    ck_assert_uint_eq(status[REFERENCE], GTF_reading | GTF_writing);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, writer), 0);
    ck_assert_uint_eq(status[REFERENCE], GTF_reading);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, reader), 0);
    ck_assert_uint_eq(status[REFERENCE], 0);
}

XEN_TEST(refused)
{
    void *address;
    uint32_t handle;

    begin();
    grant(REFERENCE, 5, frame_of(page), GTF_permit_access);
    ck_assert_int_lt(map(REFERENCE, true, &address, &handle), 0);
    grant(REFERENCE, XEN_DOM0, frame_of(page), GTF_permit_access | GTF_readonly);
    ck_assert_int_lt(map(REFERENCE, false, &address, &handle), 0);
    ck_assert_uint_eq(status[REFERENCE], 0);
    ck_assert_int_eq(copy_to(REFERENCE, 0, 1), GNTST_general_error);
    ck_assert_int_eq(copy_from(REFERENCE, 0, 1), GNTST_okay);
    grant(REFERENCE, XEN_DOM0, HOLE + 100, GTF_permit_access);
    ck_assert_int_eq(copy_from(REFERENCE, 0, 1), GNTST_bad_page);
    grant(REFERENCE, XEN_DOM0, UINT64_MAX, GTF_permit_access);
    ck_assert_int_eq(copy_from(REFERENCE, 0, 1), GNTST_bad_page);
    grant(REFERENCE, XEN_DOM0, frame_of(page), 0);
    ck_assert_int_eq(copy_from(REFERENCE, 0, 1), GNTST_general_error);
    ck_assert_int_eq(copy_from(256, 0, 1), GNTST_bad_gntref);
    ck_assert_uint_eq(status[REFERENCE], 0);
}

/* Whatever references are among them, and however large the table is. */
XEN_TEST(copy_many_segments)
{
    static const uint32_t none[] = {256, 512, 2047, 2048, 1u << 20, UINT32_MAX, UINT32_MAX / 2, OTHER};
    struct gnttab_copy segments[200];

    begin();
    for (unsigned frames = 1; frames <= 9; frames += 8) {
        ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, frames - 1, HOLE + 3), 0);
        for (unsigned i = 0; i < 200; i++) {
            segments[i] = (struct gnttab_copy){.flags = GNTCOPY_source_gref, .len = 4};
            segments[i].source.domid = 1;
            segments[i].source.u.ref = i % 3 == 0 ? none[i / 3 % 8] : REFERENCE;
            segments[i].dest.domid = DOMID_SELF;
            segments[i].dest.u.gmfn = at(buffer) >> GUEST_PAGE_SHIFT;
            segments[i].dest.offset = (uint16_t)(4 * i);
        }
        memset(buffer, 0, sizeof(buffer));
        xen_grant_copy(XEN_DOM0, segments, 200);
        for (unsigned i = 0; i < 200; i++) {
            int16_t beyond = segments[i].source.u.ref < frames * 256 ? GNTST_general_error : GNTST_bad_gntref;

            ck_assert_int_eq(segments[i].status, i % 3 == 0 ? beyond : GNTST_okay);
            ck_assert_uint_eq(buffer[4 * i], i % 3 == 0 ? 0 : 0x42);
        }
    }
    ck_assert_uint_eq(status[REFERENCE], 0);
}

/* What an owner does to take a grant back while it is read. */
XEN_TEST(revoked_while_mapped)
{
    void *address;
    uint32_t handle;

    begin();
    ck_assert_int_eq(map(REFERENCE, true, &address, &handle), 0);
    table[REFERENCE].hdr.flags = 0;
    ck_assert_uint_eq(status[REFERENCE], GTF_reading); /* so the owner has to wait */
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_uint_eq(status[REFERENCE], 0);
    ck_assert_int_lt(map(REFERENCE, true, &address, &handle), 0);
}

XEN_TEST(swap)
{
    struct gnttab_swap_grant_ref op = {.ref_a = REFERENCE, .ref_b = OTHER};
    void *address;
    uint32_t handle;

    begin();
    status[REFERENCE] = 0x100; /* whatever is in it goes along */
    ck_assert_int_eq(call_grant(GNTTABOP_swap_grant_ref, &op, 1), 0);
    ck_assert_int_eq(op.status, GNTST_okay);
    ck_assert_uint_eq(table[OTHER].full_page.frame, frame_of(page));
    ck_assert_uint_eq(table[REFERENCE].hdr.flags, 0);
    ck_assert_uint_eq(status[OTHER], 0x100);
    ck_assert_uint_eq(status[REFERENCE], 0);
    ck_assert_int_eq(map(OTHER, true, &address, &handle), 0);
    ck_assert_int_eq(call_grant(GNTTABOP_swap_grant_ref, &op, 1), 0);
    ck_assert_int_eq(op.status, GNTST_eagain);
    op.ref_b = 256;
    ck_assert_int_eq(call_grant(GNTTABOP_swap_grant_ref, &op, 1), 0);
    ck_assert_int_eq(op.status, GNTST_bad_gntref);
}

/* ---- parts of pages ---- */

static void grant_part(unsigned reference, uint16_t offset, uint16_t length)
{
    table[reference].hdr.domid = XEN_DOM0;
    table[reference].sub_page.page_off = offset;
    table[reference].sub_page.length = length;
    table[reference].sub_page.frame = frame_of(page);
    __asm__ volatile("" : : : "memory"); /* stores of this processor are seen in order */
    table[reference].hdr.flags = GTF_permit_access | GTF_sub_page;
}

XEN_TEST(sub_page)
{
    void *address;
    uint32_t handle;

    begin();
    grant_part(REFERENCE, 100, 50);
    page[100] = 1;
    page[149] = 2;
    memset(buffer, 0, sizeof(buffer));
    ck_assert_int_eq(copy_from(REFERENCE, 100, 50), GNTST_okay);
    ck_assert_uint_eq(buffer[0], 1);
    ck_assert_uint_eq(buffer[49], 2);
    ck_assert_uint_eq(buffer[50], 0);
    ck_assert_int_eq(copy_from(REFERENCE, 99, 10), GNTST_general_error);
    ck_assert_int_eq(copy_from(REFERENCE, 100, 51), GNTST_general_error);
    ck_assert_int_eq(copy_from(REFERENCE, 0, 1), GNTST_general_error);
    ck_assert_int_eq(copy_from(REFERENCE, 4095, 2), GNTST_bad_copy_arg);
    ck_assert_int_eq(copy_to(REFERENCE, 149, 1), GNTST_okay);
    ck_assert_int_eq(copy_to(REFERENCE, 149, 2), GNTST_general_error);
    ck_assert_uint_eq(page[150], 0x42);
    ck_assert_uint_eq(status[REFERENCE], 0);
    /* Parts are for copies: a mapping would show the rest. */
    ck_assert_int_lt(map(REFERENCE, true, &address, &handle), 0);
    ck_assert_uint_eq(status[REFERENCE], 0);
    /* A part that reaches beyond its page gives nothing beyond it. */
    grant_part(REFERENCE, 4000, 60000);
    ck_assert_int_eq(copy_from(REFERENCE, 4000, 96), GNTST_okay);
    ck_assert_int_eq(copy_from(REFERENCE, 4000, 97), GNTST_bad_copy_arg);
}

/* A part is no more than that when the copy before it ends where its page begins. */
XEN_TEST(sub_page_in_a_row)
{
    struct gnttab_copy segments[2];
    uint8_t *local, *pages;

    begin();
    local = image_alloc(3 * GUEST_PAGE_SIZE);
    local += -(uintptr_t)local & (GUEST_PAGE_SIZE - 1);
    pages = pages_take(2, 0x42);
    page = pages + GUEST_PAGE_SIZE;
    grant_part(REFERENCE, 0, 50);
    grant(OTHER, XEN_DOM0, frame_of(pages), GTF_permit_access);
    for (unsigned i = 0; i < 2; i++) {
        segments[i] = (struct gnttab_copy){.flags = GNTCOPY_source_gref, .len = GUEST_PAGE_SIZE};
        segments[i].source.domid = 1;
        segments[i].source.u.ref = i == 0 ? OTHER : REFERENCE;
        segments[i].dest.domid = DOMID_SELF;
        segments[i].dest.u.gmfn = (at(local) >> GUEST_PAGE_SHIFT) + i;
    }
    xen_grant_copy(XEN_DOM0, segments, 2);
    ck_assert_int_eq(segments[0].status, GNTST_okay);
    ck_assert_mem_eq(local, pages, GUEST_PAGE_SIZE);
    ck_assert_int_eq(segments[1].status, GNTST_general_error);
    ck_assert_uint_eq(local[GUEST_PAGE_SIZE], 0);
}

/* ---- grants passed on ---- */

/* Domain 0 grants a page to the guest; the guest passes it on to domain 0 by REFERENCE. */
static grant_ref_t pass_on(bool readonly, uint8_t **shared)
{
    void *address;
    int64_t below = xen_grant_share(XEN_DOM0, 1, readonly, &address);

    ck_assert_int_ge(below, 0);
    *shared = address;
    table[REFERENCE].hdr.flags = 0;
    table[REFERENCE].hdr.domid = XEN_DOM0;
    table[REFERENCE].transitive.trans_domid = XEN_DOM0;
    table[REFERENCE].transitive.gref = (grant_ref_t)below;
    __asm__ volatile("" : : : "memory"); /* stores of this processor are seen in order */
    table[REFERENCE].hdr.flags = GTF_transitive;
    return (grant_ref_t)below;
}

XEN_TEST(transitive)
{
    uint8_t *shared;
    grant_ref_t below;
    void *address;
    uint32_t handle;

    begin();
    below = pass_on(false, &shared);
    shared[10] = 0x77;
    memset(buffer, 0, sizeof(buffer));
    ck_assert_int_eq(copy_from(REFERENCE, 10, 4), GNTST_okay);
    ck_assert_uint_eq(buffer[0], 0x77);
    buffer[0] = 0x78;
    ck_assert_int_eq(copy_to(REFERENCE, 11, 1), GNTST_okay);
    ck_assert_uint_eq(shared[11], 0x78);
    ck_assert_uint_eq(status[REFERENCE], 0);
    ck_assert_int_lt(map(REFERENCE, true, &address, &handle), 0); /* copies only */
    ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, below), 0);      /* no pin was left there */
    ck_assert_int_eq(copy_from(REFERENCE, 10, 4), GNTST_general_error);
    ck_assert_uint_eq(status[REFERENCE], 0);
}

/* Source and destination of one copy by one entry: two pins on it, and two below. */
XEN_TEST(transitive_twice)
{
    struct gnttab_copy segment = {.flags = GNTCOPY_source_gref | GNTCOPY_dest_gref, .len = 8};
    uint8_t *shared;
    grant_ref_t below;

    begin();
    below = pass_on(false, &shared);
    memset(shared, 0x33, 8);
    segment.source.domid = segment.dest.domid = 1;
    segment.source.u.ref = segment.dest.u.ref = REFERENCE;
    segment.dest.offset = 100;
    xen_grant_copy(XEN_DOM0, &segment, 1);
    ck_assert_int_eq(segment.status, GNTST_okay);
    ck_assert_uint_eq(shared[107], 0x33);
    ck_assert_uint_eq(status[REFERENCE], 0);
    ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, below), 0);
}

XEN_TEST(transitive_refused)
{
    uint8_t *shared;
    grant_ref_t below;

    begin();
    below = pass_on(true, &shared);
    ck_assert_int_eq(copy_from(REFERENCE, 0, 1), GNTST_okay);
    ck_assert_int_eq(copy_to(REFERENCE, 0, 1), GNTST_general_error); /* the one below is read-only */
    table[REFERENCE].transitive.trans_domid = 1;                     /* the guest's own */
    ck_assert_int_eq(copy_from(REFERENCE, 0, 1), GNTST_general_error);
    table[REFERENCE].transitive.trans_domid = NO_DOMAIN;
    ck_assert_int_eq(copy_from(REFERENCE, 0, 1), GNTST_general_error);
    table[REFERENCE].transitive.trans_domid = XEN_DOM0;
    table[REFERENCE].transitive.gref = 100000;
    ck_assert_int_eq(copy_from(REFERENCE, 0, 1), GNTST_bad_gntref);
    table[REFERENCE].transitive.gref = below;
    table[REFERENCE].hdr.domid = 5;
    ck_assert_int_eq(copy_from(REFERENCE, 0, 1), GNTST_general_error);
    ck_assert_uint_eq(status[REFERENCE], 0);
    ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, below), 0);
}

/* ---- a new Xen ---- */

static void end_suspend(void *argument)
{
    (void)argument;
    while (xen_domain_shutdown_reason(1) < 0)
        (void)task_park(clock_now() + 10000000, "the suspend");
    ck_assert_int_eq(xen_domain_restore(1), 2);
    ck_assert_int_eq(xen_domain_unpause(2), 0);
}

XEN_TEST(version_1_again_after_a_resume)
{
    struct sched_shutdown shutdown = {.reason = SHUTDOWN_suspend};

    begin();
    (void)task_create("toolstack", end_suspend, NULL);
    ck_assert_int_eq(call_sched(SCHEDOP_shutdown, &shutdown), 0);
    ck_assert_uint_eq(version_now(), 1);
    ck_assert_ptr_null(xen_foreign_frame(2, HOLE + 2));
    ck_assert_xen_error(physmap_add(XENMAPSPACE_grant_table, STATUS(0), HOLE + 2), XEN_EINVAL);
}

int main(void)
{
    Suite *suite = suite_create("grant-v2");
    TCase *tcase = tcase_create("grant-v2");

    tcase_add_test(tcase, versions);
    tcase_add_test(tcase, a_domain_of_version_1);
    tcase_add_test(tcase, reserved_entries_are_kept);
    tcase_add_test(tcase, not_while_in_use);
    tcase_add_test(tcase, no_word_for_it_in_version_1);
    tcase_add_test(tcase, status_frames);
    tcase_add_test(tcase, half_as_many_entries);
    tcase_add_test(tcase, marks_are_in_the_status_word);
    tcase_add_test(tcase, refused);
    tcase_add_test(tcase, copy_many_segments);
    tcase_add_test(tcase, revoked_while_mapped);
    tcase_add_test(tcase, swap);
    tcase_add_test(tcase, sub_page);
    tcase_add_test(tcase, sub_page_in_a_row);
    tcase_add_test(tcase, transitive);
    tcase_add_test(tcase, transitive_twice);
    tcase_add_test(tcase, transitive_refused);
    tcase_add_test(tcase, version_1_again_after_a_resume);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
