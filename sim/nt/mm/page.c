/*
 * The pages of guest RAM. Free pages are kept as runs, merged with their neighbours when freed; a run's length stands
 * at its first and last page. Outside the contiguous zone the runs hang in bins by length, last freed first; the zone,
 * whose frames are in a row, is searched from its start so that long runs stay whole, and lends to everyone else from
 * its end when the rest of RAM is used up.
 */
#include "nt/mm/mm.h"

#include <string.h>

#include "xen/platform.h"

#ifdef __SANITIZE_ADDRESS__
#define POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#endif

#ifdef POISONING
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

static bool in_zone(uint32_t page)
{
    return page >= guest_ram_contiguous_first();
}

/* ---- free runs ---- */

static uint32_t *bin_of(uint32_t count)
{
    return &machine->mm->bins[31 - __builtin_clz(count)];
}

static void run_insert(uint32_t first, uint32_t count)
{
    struct mm_page *run = page_info(first);

    run->run = count;
    page_info(first + count - 1)->run = count;
    machine->mm->free_pages += count;
    if (in_zone(first))
        return;
    uint32_t *bin = bin_of(count);
    run->previous = 0;
    run->next = *bin;
    if (*bin != 0)
        page_info(*bin - 1)->previous = first + 1;
    *bin = first + 1;
}

static void run_remove(uint32_t first)
{
    struct mm_page *run = page_info(first);

    machine->mm->free_pages -= run->run;
    if (in_zone(first))
        return;
    if (run->previous != 0)
        page_info(run->previous - 1)->next = run->next;
    else
        *bin_of(run->run) = run->next;
    if (run->next != 0)
        page_info(run->next - 1)->previous = run->previous;
}

/* Take `count` pages from `start` on out of the free run that begins at `first`. */
static uint32_t run_take(uint32_t first, uint32_t start, uint32_t count, enum page_use use, const void *owner)
{
    uint32_t length = page_info(first)->run;

    run_remove(first);
    if (start + count < first + length)
        run_insert(start + count, first + length - (start + count));
    if (start > first)
        run_insert(first, start - first);
    for (uint32_t i = 0; i < count; i++) {
        page_info(start + i)->use = (uint8_t)use;
        page_info(start + i)->run = 0;
        page_info(start + i)->attribute = 0;
    }
    page_info(start)->run = count;
    page_info(start)->owner = owner;
    ASAN_UNPOISON_MEMORY_REGION(page_address(start), (size_t)count * GUEST_PAGE_SIZE);
    mm_conditions_look();
    return start;
}

/* ---- allocation ---- */

static uint32_t find_in_bins(uint32_t count)
{
    for (uint32_t *bin = bin_of(count); bin < machine->mm->bins + 32; bin++)
        for (uint32_t run = *bin; run != 0; run = page_info(run - 1)->next)
            if (page_info(run - 1)->run >= count)
                return run - 1;
    return PAGE_NOT_FOUND;
}

/* The last free run of the contiguous zone that is long enough. */
static uint32_t find_last_in_zone(uint32_t count)
{
    uint32_t found = PAGE_NOT_FOUND;

    for (uint32_t run = guest_ram_contiguous_first(); run < guest_ram_pages(); run += page_info(run)->run)
        if (page_info(run)->use == PAGE_FREE && page_info(run)->run >= count)
            found = run;
    return found;
}

static uint32_t alloc_once(uint32_t count, enum page_use use, const void *owner)
{
    uint32_t first = find_in_bins(count);
    if (first != PAGE_NOT_FOUND)
        return run_take(first, first, count, use, owner);
    first = find_last_in_zone(count);
    if (first != PAGE_NOT_FOUND)
        return run_take(first, first + page_info(first)->run - count, count, use, owner);
    return PAGE_NOT_FOUND;
}

static uint32_t refuse(uint32_t count)
{
    if (machine->mm->free_pages < count)
        machine->mm->refused = count;
    return PAGE_NOT_FOUND;
}

uint32_t page_alloc(uint32_t count, enum page_use use, const void *owner)
{
    uint32_t page = count == 0 ? PAGE_NOT_FOUND : alloc_once(count, use, owner);
    if (page == PAGE_NOT_FOUND && count != 0 && pool_trim())
        page = alloc_once(count, use, owner);
    if (page == PAGE_NOT_FOUND && count != 0)
        machine->mm->refused = count; /* anywhere would have done: those that are left are too few, or lie apart */
    return page;
}

uint32_t page_alloc_in_range(uint64_t first_gfn, uint64_t last_gfn, enum page_use use, const void *owner)
{
    for (uint32_t run = 0; run < guest_ram_pages(); run += page_info(run)->run) {
        if (page_info(run)->use != PAGE_FREE)
            continue;
        for (uint32_t page = run; page < run + page_info(run)->run; page++) {
            uint64_t gfn = guest_ram_gfn(page);
            if (gfn >= first_gfn && gfn <= last_gfn)
                return run_take(run, page, 1, use, owner);
        }
    }
    return refuse(1);
}

/* The first place in the free run [run, run + length) of the zone that meets the conditions. */
static uint32_t fit_contiguous(uint32_t run, uint32_t count, uint64_t first_gfn, uint64_t last_gfn, uint64_t boundary,
                               uint64_t alignment)
{
    uint32_t end = run + page_info(run)->run;

    for (uint32_t start = run; start + count <= end; start++) {
        uint64_t gfn = guest_ram_gfn(start);
        uint64_t last = gfn + count - 1;

        if (gfn < first_gfn || gfn % alignment != 0 || (boundary != 0 && gfn / boundary != last / boundary))
            continue;
        if (last > last_gfn)
            break;
        if (guest_ram_gfn(start + count - 1) == last) /* the device hole below 4 GiB may lie between */
            return start;
    }
    return PAGE_NOT_FOUND;
}

uint32_t page_alloc_contiguous(uint32_t count, uint64_t first_gfn, uint64_t last_gfn, uint64_t boundary,
                               uint64_t alignment, enum page_use use, const void *owner)
{
    if (count == 0 || (boundary != 0 && count > boundary))
        return PAGE_NOT_FOUND;
    for (uint32_t run = guest_ram_contiguous_first(); run < guest_ram_pages(); run += page_info(run)->run) {
        if (page_info(run)->use != PAGE_FREE || page_info(run)->run < count)
            continue;
        uint32_t start = fit_contiguous(run, count, first_gfn, last_gfn, boundary, alignment);
        if (start != PAGE_NOT_FOUND)
            return run_take(run, start, count, use, owner);
    }
    return count == 1 && alignment == 1 ? page_alloc_in_range(first_gfn, last_gfn, use, owner) : refuse(count);
}

bool page_take(uint32_t page, enum page_use use, const void *owner)
{
    uint32_t run = page;

    if (page_info(page)->use != PAGE_FREE)
        return false;
    /* Between the ends of a free run its length is stale: walk the runs up to the page. */
    for (run = 0; run + page_info(run)->run <= page; run += page_info(run)->run)
        ;
    run_take(run, page, 1, use, owner);
    return true;
}

void page_split(uint32_t first)
{
    uint32_t count = page_info(first)->run;

    for (uint32_t i = 0; i < count; i++) {
        page_info(first + i)->run = 1;
        page_info(first + i)->owner = page_info(first)->owner;
        page_info(first + i)->attribute = page_info(first)->attribute;
    }
}

void page_set_access(uint32_t first, enum guest_access access)
{
    for (uint32_t i = first; i < first + page_info(first)->run; i++) {
        guest_ram_protect(i, access);
        page_info(i)->protected = access != (GUEST_ACCESS_READ | GUEST_ACCESS_WRITE);
    }
}

void page_free(uint32_t first, const char *routine)
{
    uint32_t count = page_info(first)->run;

    mm_paged_pool(first, count, false);
    if (page_info(first)->protected)
        page_set_access(first, GUEST_ACCESS_READ | GUEST_ACCESS_WRITE);
    for (uint32_t i = 0; i < count; i++) {
        struct mm_page *page = page_info(first + i);
        uint64_t gfn = guest_ram_gfn(first + i);

        if (!xen_frame_is_memory(gfn))
            nt_violation("page-freed-without-ram",
                         "%s frees the page at %p, but its guest frame %#llx is not backed by its RAM (it was given to "
                         "Xen, or one of Xen's pages lies over it)",
                         routine, page_address(first + i), (unsigned long long)gfn);
        page->last_use = page->use;
        page->use = PAGE_FREE;
        page->run = 0;
    }
    ASAN_POISON_MEMORY_REGION(page_address(first), (size_t)count * GUEST_PAGE_SIZE);

    uint32_t next = first + count;
    if (next < guest_ram_pages() && page_info(next)->use == PAGE_FREE && in_zone(next) == in_zone(first)) {
        run_remove(next);
        count += page_info(next)->run;
        page_info(next)->run = 0;
    }
    if (first > 0 && page_info(first - 1)->use == PAGE_FREE && in_zone(first - 1) == in_zone(first)) {
        uint32_t before = page_info(first - 1)->run;
        run_remove(first - before);
        page_info(first - 1)->run = 0;
        first -= before;
        count += before;
    }
    run_insert(first, count);
    mm_conditions_look();
}

uint32_t page_run_first(uint32_t page)
{
    while (page_info(page)->run == 0)
        page--;
    return page;
}

uint32_t page_free_count(void)
{
    return machine->mm->free_pages;
}

bool page_ran_out(void)
{
    return machine->mm->refused != 0;
}

bool page_is_short(void)
{
    uint32_t count = machine->mm->refused;

    return count != 0 && find_in_bins(count) == PAGE_NOT_FOUND && find_last_in_zone(count) == PAGE_NOT_FOUND;
}

void mm_init(void)
{
    struct mm_state *state = image_alloc(sizeof *state);

    machine->mm = state;
    state->pages = image_alloc(guest_ram_pages() * sizeof(struct mm_page));
    InitializeListHead(&state->records);
    run_insert(0, guest_ram_contiguous_first());
    run_insert(guest_ram_contiguous_first(), guest_ram_pages() - guest_ram_contiguous_first());
    mm_conditions_init();
    mm_paged_init();
}
