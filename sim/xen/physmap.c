/*
 * Ownership of pages and what lies at the guest's frames, above the machine's physical map.
 *
 * A page of a domain stays allocated while its domain has it or anybody holds it (a grant map, a foreign map, a
 * vcpu_info placed in it), as Xen's reference counts do. Frames at which something else than the domain's own RAM lies
 * (shared info, grant frames, granted pages of others) have a record; plain memory has none.
 */
#include <string.h>

#include "machine/fail.h"
#include "xen/hypervisor.h"
#include "xen/platform.h"

#define CHUNK_SHIFT 10
#define CHUNK_PAGES (1u << CHUNK_SHIFT)

enum page_use { PAGE_IN_USE, PAGE_GIVEN_UP, PAGE_FREE }; /* GIVEN_UP: freed when the last hold goes */

struct page_state {
    uint32_t holds;
    uint16_t owner; /* domain that counts it as its memory, while GIVEN_UP */
    uint8_t use;    /* PAGE_FREE is of RAM pages only; others go back to the machine */
    bool counted;   /* in the owner's tot_pages until freed */
};

struct page_table {
    struct page_state **chunk;
    uint32_t chunks;
    uint32_t *free; /* RAM pages that were freed; entries reused meanwhile are stale and skipped */
    uint32_t free_count;
    uint32_t free_capacity;
};

void xen_pages_init(void)
{
    xen_state()->pages = image_alloc(sizeof(struct page_table));
}

static __attribute__((noinline)) struct page_state *new_page_state(struct page_table *table, uint32_t backing)
{
    uint32_t chunk = backing >> CHUNK_SHIFT;

    if (chunk >= table->chunks) {
        table->chunk = image_realloc(table->chunk, (chunk + 1) * sizeof(*table->chunk));
        table->chunks = chunk + 1;
    }
    if (table->chunk[chunk] == NULL)
        table->chunk[chunk] = image_alloc(CHUNK_PAGES * sizeof(struct page_state));
    return &table->chunk[chunk][backing % CHUNK_PAGES];
}

static inline struct page_state *page_state(uint32_t backing)
{
    struct page_table *table = xen_state()->pages;
    uint32_t chunk = backing >> CHUNK_SHIFT;

    if (chunk < table->chunks && table->chunk[chunk] != NULL)
        return &table->chunk[chunk][backing % CHUNK_PAGES];
    return new_page_state(table, backing);
}

void xen_page_hold(uint32_t backing)
{
    page_state(backing)->holds++;
}

static void free_now(uint32_t backing, struct page_state *page)
{
    struct page_table *table = xen_state()->pages;

    if (page->counted) {
        struct domain *owner = domain_find(page->owner);

        if (owner != NULL)
            owner->tot_pages--;
    }
    page->counted = false;
    if (backing >= guest_ram_pages()) {
        page->use = PAGE_IN_USE; /* for whoever the machine gives it to next */
        backing_free(backing);
        return;
    }
    page->use = PAGE_FREE;
    memset(backing_page(backing), 0, GUEST_PAGE_SIZE);
    if (table->free_count == table->free_capacity) {
        table->free_capacity = table->free_capacity == 0 ? 64 : table->free_capacity * 2;
        table->free = image_realloc(table->free, table->free_capacity * sizeof(*table->free));
    }
    table->free[table->free_count++] = backing;
}

void xen_page_drop(uint32_t backing)
{
    struct page_state *page = page_state(backing);

    if (page->holds == 0)
        fail("xen-page", "page %u is dropped more often than held", backing);
    if (--page->holds == 0 && page->use == PAGE_GIVEN_UP)
        free_now(backing, page);
}

static void give_up(uint32_t backing, struct domain *owner)
{
    struct page_state *page = page_state(backing);

    if (page->use != PAGE_IN_USE)
        fail("xen-page", "page %u is given up twice", backing);
    page->counted = owner != NULL;
    page->owner = owner != NULL ? owner->domid : 0;
    page->use = PAGE_GIVEN_UP;
    if (page->holds == 0)
        free_now(backing, page);
}

uint64_t xen_pages_given_up_by(const struct domain *domain)
{
    const struct page_table *table = xen_state()->pages;
    uint64_t count = 0;

    for (uint32_t chunk = 0; chunk < table->chunks; chunk++)
        for (uint32_t i = 0; table->chunk[chunk] != NULL && i < CHUNK_PAGES; i++) {
            const struct page_state *page = &table->chunk[chunk][i];

            count += page->use == PAGE_GIVEN_UP && page->counted && page->owner == domain->domid;
        }
    return count;
}

void xen_page_give_up(struct domain *domain, uint32_t backing)
{
    give_up(backing, domain);
}

void xen_page_give_up_xen(uint32_t backing)
{
    give_up(backing, NULL);
}

uint32_t xen_page_allocate(struct domain *domain, uint64_t gfn)
{
    struct page_table *table = xen_state()->pages;
    uint32_t backing = p2m_original(gfn);

    if (domain->tot_pages >= domain->max_pages)
        return BACKING_NONE;
    domain->tot_pages++;
    /* A frame's own RAM first, so that a guest that gives memory up and takes it back is as at power-on. */
    if (backing != BACKING_NONE && page_state(backing)->use == PAGE_FREE) {
        page_state(backing)->use = PAGE_IN_USE;
        return backing;
    }
    while (table->free_count > 0) {
        backing = table->free[--table->free_count];
        if (page_state(backing)->use == PAGE_FREE) {
            page_state(backing)->use = PAGE_IN_USE;
            return backing;
        }
    }
    return backing_alloc();
}

/* ---- records ---- */

/* Index of the first record at or above the frame. */
static uint32_t record_position(const struct domain *domain, uint64_t gfn)
{
    uint32_t low = 0;
    uint32_t high = domain->frames;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (domain->frame[middle].gfn < gfn)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct frame_record *physmap_find(const struct domain *domain, uint64_t gfn)
{
    uint32_t at = record_position(domain, gfn);

    return at < domain->frames && domain->frame[at].gfn == gfn ? &domain->frame[at] : NULL;
}

static void record_add(struct domain *domain, uint64_t gfn, enum frame_kind kind, uint32_t index)
{
    uint32_t at = record_position(domain, gfn);

    if (domain->frames == domain->frame_capacity) {
        domain->frame_capacity = domain->frame_capacity == 0 ? 16 : domain->frame_capacity * 2;
        domain->frame = image_realloc(domain->frame, domain->frame_capacity * sizeof(*domain->frame));
    }
    memmove(&domain->frame[at + 1], &domain->frame[at], (domain->frames - at) * sizeof(*domain->frame));
    domain->frame[at] = (struct frame_record){.gfn = gfn, .kind = kind, .index = index};
    domain->frames++;
    domain->granted_frames += kind == FRAME_GRANT_MAP;
}

static void record_remove(struct domain *domain, uint64_t gfn)
{
    uint32_t at = record_position(domain, gfn);

    if (at == domain->frames || domain->frame[at].gfn != gfn)
        return;
    domain->granted_frames -= domain->frame[at].kind == FRAME_GRANT_MAP;
    domain->frames--;
    memmove(&domain->frame[at], &domain->frame[at + 1], (domain->frames - at) * sizeof(*domain->frame));
}

/* ---- changes ---- */

void physmap_place(struct domain *domain, uint64_t gfn, uint32_t backing, enum frame_kind kind, uint32_t index)
{
    if (kind != 0)
        record_add(domain, gfn, kind, index);
    if (gfn > domain->max_gfn)
        domain->max_gfn = gfn;
    p2m_set(gfn, backing);
}

void physmap_forget(struct domain *domain, uint64_t gfn)
{
    record_remove(domain, gfn);
    p2m_set(gfn, BACKING_NONE);
}

int physmap_remove(struct domain *domain, uint64_t gfn, bool free_page)
{
    const struct frame_record *record = physmap_find(domain, gfn);
    uint32_t backing = p2m_lookup(gfn);

    if (backing == BACKING_NONE)
        return -XEN_ENOENT;
    if (record != NULL && record->kind == FRAME_GRANT_MAP)
        return -XEN_ENXIO; /* not the domain's page; only unmapping the grant takes it away */
    if (record != NULL && record->kind == FRAME_SHARED_INFO) {
        domain->shared_gfn = GFN_INVALID;
    } else if (record != NULL && record->kind == FRAME_GRANT_TABLE) {
        grant_frame_set_gfn(domain, record->index, GFN_INVALID);
    } else if (free_page) {
        physmap_forget(domain, gfn);
        xen_page_give_up(domain, backing);
        return 0;
    } else {
        domain->detached_pages++;
    }
    physmap_forget(domain, gfn);
    return 0;
}

uint32_t physmap_own_page(const struct domain *domain, uint64_t gfn)
{
    if (!domain->guest || gfn >= GUEST_GFN_LIMIT)
        return BACKING_NONE;
    if (domain->granted_frames > 0) {
        const struct frame_record *record = physmap_find(domain, gfn);

        if (record != NULL && record->kind == FRAME_GRANT_MAP)
            return BACKING_NONE;
    }
    return p2m_lookup(gfn);
}

bool xen_frame_is_memory(uint64_t gfn)
{
    const struct domain *guest = xen_state()->guest;

    if (guest == NULL)
        return p2m_lookup(gfn) == p2m_original(gfn);
    return p2m_lookup(gfn) != BACKING_NONE && physmap_find(guest, gfn) == NULL;
}

void physmap_rebuild(struct domain *domain)
{
    for (uint64_t gfn = p2m_next_changed(0); gfn != GFN_INVALID; gfn = p2m_next_changed(gfn + 1)) {
        const struct frame_record *record = physmap_find(domain, gfn);

        if (xen_frame_is_memory(gfn) && p2m_original(gfn) != BACKING_NONE)
            continue; /* another page than at power-on, with what the guest has in it */
        if (record != NULL && record->kind == FRAME_GRANT_MAP)
            physmap_forget(domain, gfn); /* of another's page */
        else
            (void)physmap_remove(domain, gfn, true);
        if (p2m_original(gfn) != BACKING_NONE)
            physmap_place(domain, gfn, xen_page_allocate(domain, gfn), 0, 0);
    }
}

/* ---- the next guest ---- */

/* Nothing lies elsewhere than at power-on; what did goes back to the machine. */
static void take_away_changes(void)
{
    for (uint64_t gfn = p2m_next_changed(0); gfn != GFN_INVALID; gfn = p2m_next_changed(gfn + 1)) {
        uint32_t backing = p2m_lookup(gfn);

        if (backing != BACKING_NONE && page_state(backing)->use == PAGE_IN_USE)
            give_up(backing, NULL);
        p2m_set(gfn, p2m_original(gfn));
    }
}

/* A RAM page that somebody still maps stays with him: another one lies at its frame. */
static bool stays_away(uint32_t backing)
{
    struct page_state *page = page_state(backing);

    if (page->holds == 0) {
        page->use = PAGE_IN_USE;
        return false;
    }
    if (page->use == PAGE_IN_USE)
        give_up(backing, NULL);
    p2m_set(guest_ram_gfn(backing), backing_alloc());
    return true;
}

void xen_memory_power_cycle(void)
{
    uint32_t first = 0; /* of the pages in a row that the next guest gets */

    take_away_changes();
    for (uint32_t backing = 0; backing < guest_ram_pages(); backing++) {
        if (!stays_away(backing))
            continue;
        if (first < backing)
            guest_ram_clear(first, backing - first);
        first = backing + 1;
    }
    if (first < guest_ram_pages())
        guest_ram_clear(first, guest_ram_pages() - first);
    xen_state()->pages->free_count = 0; /* every RAM page that was free is in use again */
}

/* ---- foreign mappings ---- */

void *xen_foreign_frame(unsigned domid, uint64_t gfn)
{
    struct domain *domain = domain_find(domid);

    if (domain == NULL || !domain->guest || gfn >= GUEST_GFN_LIMIT)
        return NULL;
    return guest_frame(gfn);
}

int64_t xen_foreign_map(unsigned caller, unsigned domid, uint64_t gfn, void **address)
{
    const struct domain *mapper = domain_find(caller);
    struct domain *domain = domain_find(domid);
    uint32_t backing;

    if (domain == NULL)
        return -XEN_ESRCH;
    if (mapper == NULL || !mapper->privileged)
        return -XEN_EPERM;
    backing = domain->guest ? physmap_own_page(domain, gfn) : BACKING_NONE;
    if (backing == BACKING_NONE)
        return -XEN_EINVAL;
    xen_page_hold(backing);
    *address = backing_page(backing);
    return backing;
}

void xen_foreign_unmap(int64_t handle)
{
    xen_page_drop((uint32_t)handle);
}

/* ---- census ---- */

void xen_census(struct census *census)
{
    const struct domain *domain = xen_state()->guest;

    if (domain == NULL)
        return;
    for (uint32_t i = 0; i < domain->frames; i++) {
        switch (domain->frame[i].kind) {
        case FRAME_SHARED_INFO:
            census_item(census, "physmap", 1, NULL, "shared info");
            break;
        case FRAME_GRANT_TABLE:
            census_item(census, "physmap", 1, NULL, "grant table frame %u", domain->frame[i].index);
            break;
        case FRAME_GRANT_MAP:
            census_item(census, "physmap", 1, NULL, "granted page, handle %u", domain->frame[i].index);
            break;
        case FRAME_MOVED:
            census_item(census, "physmap", 1, NULL, "moved page");
            break;
        }
    }
    if (domain->tot_pages < domain->start_pages)
        census_item(census, "physmap", domain->start_pages - domain->tot_pages, NULL, "memory given up");
    if (domain->detached_pages != 0)
        census_item(census, "physmap", domain->detached_pages, NULL, "memory without a frame");
}
