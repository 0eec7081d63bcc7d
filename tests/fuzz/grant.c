/*
 * Fuzz target: grants of either version. The guest writes entries, changes versions, maps and copies what domain 0
 * grants; domain 0 maps, copies, shares. At the end everything is given back, and no entry may be marked as in use.
 */
#include "fuzz/input.h"

#include "machine/image.h"

#define ENTRIES 24u /* of the guest's that are toyed with, after the reserved ones */
#define BLOCK_PAGES 8u
#define MAPS 16u
#define TABLE HOLE
#define STATUS (HOLE + 1)
#define MAPPED (HOLE + 16) /* where the guest maps */

static uint8_t buffer[GUEST_PAGE_SIZE] __attribute__((aligned(4096)));

struct handle {
    bool in_use;
    uint32_t value;
    uint64_t gfn; /* of the guest's */
};

static struct {
    uint8_t *table; /* of the guest, version by version */
    volatile uint16_t *status;
    unsigned version;
    uint64_t block;
    struct handle domain0[MAPS];
    struct handle guest[MAPS];
    int64_t shared[MAPS]; /* references of domain 0; 0: none */
} grants;

static uint64_t frame(void)
{
    uint64_t choice = input_take(1);

    switch (choice % 8) {
    case 0:
        return MAPPED + choice % 64; /* the guest's maps, or nothing */
    case 1:
        return input_take(8) | UINT64_C(1) << 40; /* none that exists */
    default:
        return grants.block + choice % BLOCK_PAGES;
    }
}

static uint16_t domid(void)
{
    static const uint16_t domids[] = {0, 0, 0, 1, NO_DOMAIN, DOMID_SELF, DOMID_IO, 3};

    return domids[input_take(1) % 8];
}

static uint32_t reference(void)
{
    uint64_t choice = input_take(1);

    return choice < 240 ? (uint32_t)(GNTTAB_NR_RESERVED_ENTRIES + choice % ENTRIES)
                        : (uint32_t)input_take(4); /* any at all */
}

/* Flags last, as the documents say; or first, as a careless guest has it. */
static void write_entry(void)
{
    unsigned index = GNTTAB_NR_RESERVED_ENTRIES + (unsigned)input_take(1) % ENTRIES;
    uint16_t flags = (uint16_t)input_take(2) & ~(GTF_reading | GTF_writing);

    if (grants.version == 1) {
        volatile grant_entry_v1_t *entry = (volatile grant_entry_v1_t *)grants.table + index;

        entry->domid = domid();
        entry->frame = (uint32_t)frame();
        entry->flags = flags | (entry->flags & (GTF_reading | GTF_writing));
        return;
    }
    volatile grant_entry_v2_t *entry = (volatile grant_entry_v2_t *)grants.table + index;

    entry->hdr.domid = domid();
    entry->full_page.frame = frame();
    entry->sub_page.page_off = (uint16_t)input_take(2);
    entry->sub_page.length = (uint16_t)input_take(2);
    if ((flags & GTF_type_mask) == GTF_transitive) {
        entry->transitive.trans_domid = domid();
        entry->transitive.gref = (flags & 0x100) != 0 ? (grant_ref_t)grants.shared[flags % MAPS] : reference();
    }
    entry->hdr.flags = flags;
}

static void change_version(void)
{
    struct gnttab_set_version op = {.version = (uint32_t)input_take(1) % 4};

    (void)call_grant(GNTTABOP_set_version, &op, 1); /* refused while something is in use */
    ck_assert(op.version == 1 || op.version == 2);
    grants.version = op.version;
    if (op.version == 2)
        ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, XENMAPIDX_grant_table_status, STATUS), 0);
}

/* ---- domain 0 ---- */

static void domain0_map(void)
{
    struct handle *slot = &grants.domain0[input_take(1) % MAPS];
    bool readonly = input_take(1) % 2 != 0;
    void *address;

    if (slot->in_use) {
        ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, slot->value), 0);
        slot->in_use = false;
    } else if (xen_grant_map(XEN_DOM0, 1, reference(), readonly, &address, &slot->value) == 0) {
        slot->in_use = true;
        if (!readonly)
            *(volatile uint8_t *)address = 1;
        ck_assert_uint_le(*(volatile uint8_t *)address, 255);
    }
}

static void domain0_share(void)
{
    int64_t *slot = &grants.shared[input_take(1) % MAPS];
    void *address;

    if (*slot == 0)
        *slot = xen_grant_share(XEN_DOM0, 1, input_take(1) % 2 != 0, &address);
    else if (xen_grant_unshare(XEN_DOM0, (uint32_t)*slot) == 0)
        *slot = 0;
}

static void side(struct gnttab_copy_ptr *pointer, bool by_reference, bool guest)
{
    pointer->offset = (uint16_t)input_take(2);
    if (by_reference) {
        pointer->domid = domid();
        pointer->u.ref = input_take(1) % 4 != 0 ? reference() : (grant_ref_t)grants.shared[input_take(1) % MAPS];
        return;
    }
    pointer->domid = input_take(1) % 8 != 0 ? DOMID_SELF : domid();
    pointer->u.gmfn = guest ? frame() : at(buffer) >> GUEST_PAGE_SHIFT;
}

static void copy(bool guest)
{
    struct gnttab_copy segment = {.flags = (uint16_t)input_take(1) & (GNTCOPY_source_gref | GNTCOPY_dest_gref),
                                  .len = (uint16_t)input_take(2),
                                  .status = 99};

    side(&segment.source, (segment.flags & GNTCOPY_source_gref) != 0, guest);
    side(&segment.dest, (segment.flags & GNTCOPY_dest_gref) != 0, guest);
    if (guest)
        ck_assert_int_eq(call_grant(GNTTABOP_copy, &segment, 1), 0);
    else
        xen_grant_copy(XEN_DOM0, &segment, 1);
    ck_assert_int_le(segment.status, 0);
}

/* ---- the guest ---- */

static void guest_unmap(struct handle *slot)
{
    struct gnttab_unmap_grant_ref op = {.host_addr = slot->gfn << GUEST_PAGE_SHIFT, .handle = slot->value};

    ck_assert_int_eq(call_grant(GNTTABOP_unmap_grant_ref, &op, 1), 0);
    ck_assert_int_eq(op.status, GNTST_okay);
    slot->in_use = false;
}

static void guest_map(void)
{
    unsigned index = (unsigned)input_take(1) % MAPS;
    struct handle *slot = &grants.guest[index];
    struct gnttab_map_grant_ref op = {.dom = domid(), .flags = (uint32_t)input_take(1)};

    if (slot->in_use) {
        guest_unmap(slot);
        return;
    }
    slot->gfn = MAPPED + index;
    op.host_addr = slot->gfn << GUEST_PAGE_SHIFT;
    op.ref = input_take(1) % 4 != 0 ? (grant_ref_t)grants.shared[input_take(1) % MAPS] : reference();
    ck_assert_int_eq(call_grant(GNTTABOP_map_grant_ref, &op, 1), 0);
    slot->in_use = op.status == GNTST_okay;
    slot->value = op.handle;
}

static void guest_swaps(void)
{
    struct gnttab_swap_grant_ref op = {.ref_a = reference(), .ref_b = reference(), .status = 99};

    if (op.ref_a < GNTTAB_NR_RESERVED_ENTRIES || op.ref_b < GNTTAB_NR_RESERVED_ENTRIES)
        return; /* the toolstack's stay where they are */
    ck_assert_int_eq(call_grant(GNTTABOP_swap_grant_ref, &op, 1), 0);
    ck_assert_int_le(op.status, 0);
}

static void grow(void)
{
    uint64_t index = input_take(1) % 80;

    (void)physmap_add(XENMAPSPACE_grant_table, index, HOLE + 100 + index); /* beyond the limit, or not */
    if (index == 0)
        ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, 0, TABLE), 0);
}

/* ---- all of it ---- */

static void step(void)
{
    switch (input_take(1) % 12) {
    case 0:
        change_version();
        break;
    case 1:
    case 2:
        domain0_map();
        break;
    case 3:
        domain0_share();
        break;
    case 4:
        copy(false);
        break;
    case 5:
        copy(true);
        break;
    case 6:
        guest_map();
        break;
    case 7:
        guest_swaps();
        break;
    case 8:
        grow();
        break;
    default:
        write_entry();
        break;
    }
}

static void give_back(void)
{
    for (unsigned i = 0; i < MAPS; i++) {
        if (grants.domain0[i].in_use)
            ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, grants.domain0[i].value), 0);
        if (grants.guest[i].in_use)
            guest_unmap(&grants.guest[i]);
    }
    for (unsigned i = 0; i < MAPS; i++)
        if (grants.shared[i] != 0)
            ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, (uint32_t)grants.shared[i]), 0);
}

static void nothing_is_marked(void)
{
    for (unsigned i = 0; i < GNTTAB_NR_RESERVED_ENTRIES + ENTRIES; i++) {
        uint16_t marks = grants.version == 1 ? ((volatile grant_entry_v1_t *)grants.table)[i].flags : grants.status[i];

        ck_assert_msg((marks & (GTF_reading | GTF_writing)) == 0, "entry %u is marked %#x", i, marks);
    }
}

static void steps(void)
{
    memset(&grants, 0, sizeof(grants));
    grants.version = 1;
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, 0, TABLE), 0);
    grants.table = map_frames(TABLE, 1);
    grants.status = map_frames(STATUS, 1);
    grants.block = frame_of(pages_take(BLOCK_PAGES, 0x42));
    while (!input_ended())
        step();
    give_back();
    nothing_is_marked();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_run(data, size, steps);
    return 0;
}
