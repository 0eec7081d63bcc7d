/*
 * The pools: allocation and freeing. Free blocks of a size hang in a list, last freed first; under AddressSanitizer the
 * first freed comes first, and not before some others, so that a late use is seen.
 */
#include "nt/ex/pool_small.h"

const uint16_t pool_class_bytes[POOL_CLASSES] = {
    0,   16,  32,  48,  64,  80,  96,  112, 128, 144, 160, 176, 192, 208, 224, 240, 256,  272,  288,  304,
    320, 336, 352, 368, 384, 400, 416, 432, 448, 464, 480, 496, 512, 576, 672, 816, 1024, 1360, 2048,
};

void pool_init(void)
{
    struct pool_state *state = image_alloc(sizeof(*state));

    machine->ex->pool = state;
    state->window = (uint64_t)guest_ram_pages() * PAGE_SIZE;
    InitializeListHead(&state->big);
    for (unsigned slab = 0; slab < POOL_SLABS; slab++)
        for (unsigned class = 0; class < POOL_CLASSES; class ++)
            if (pool_class_bytes[class] > pool_lead(slab))
                state->room[pool_attribute(slab, class)] = (uint16_t)(pool_class_bytes[class] - pool_lead(slab));
}

/* The smallest class for blocks of `total` bytes; those of cache-aligned slabs keep every block on a cache line. */
static unsigned class_for(size_t total, unsigned slab)
{
    unsigned step = slab % 2 != 0 ? 64 : POOL_STEP;
    unsigned class = (unsigned)((total + step - 1) & ~(size_t)(step - 1)) / POOL_STEP;

    if (class < POOL_SMALL_CLASSES)
        return class;
    class = POOL_SMALL_CLASSES;
    while (pool_class_bytes[class] < total || pool_class_bytes[class] % step != 0)
        class ++;
    return class;
}

/* ---- statistics ---- */

static uint16_t statistic_for(uint32_t tag, unsigned kind)
{
    struct pool_state *state = pool();
    uint32_t slot = ((tag + kind) * UINT32_C(0x9E3779B1)) >> 20;

    for (; state->tag_hash[slot] != 0; slot = (slot + 1) % POOL_TAG_HASH) {
        const struct pool_statistic *statistic = &state->statistics[state->tag_hash[slot] - 1];
        if (statistic->tag == tag && statistic->kind == kind)
            return (uint16_t)(state->tag_hash[slot] - 1);
    }
    if (state->tags == POOL_TAGS)
        nt_violation("pool-tags", "more than %u pool tags are in use; is a tag made up at run time?", POOL_TAGS);
    state->statistics[state->tags] = (struct pool_statistic){.tag = tag, .kind = kind};
    state->tag_hash[slot] = (uint16_t)++state->tags;
    return (uint16_t)(state->tags - 1);
}

static void count_allocation(uint16_t index, uint64_t size)
{
    struct pool_statistic *statistic = &pool()->statistics[index];

    statistic->allocations++;
    statistic->bytes += size;
    if (statistic->bytes > statistic->peak_bytes)
        statistic->peak_bytes = statistic->bytes;
}

static void count_free(uint16_t index, uint64_t size)
{
    struct pool_statistic *statistic = &pool()->statistics[index];

    statistic->frees++;
    statistic->bytes -= size;
}

uint64_t pool_tag_bytes(ULONG tag)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < pool()->tags; i++)
        if (pool()->statistics[i].tag == tag)
            bytes += pool()->statistics[i].bytes;
    return bytes;
}

uint64_t pool_tag_allocations(ULONG tag)
{
    uint64_t allocations = 0;

    for (uint32_t i = 0; i < pool()->tags; i++)
        if (pool()->statistics[i].tag == tag)
            allocations += pool()->statistics[i].allocations;
    return allocations;
}

uint64_t pool_allocations(void)
{
    uint64_t allocations = 0;

    for (unsigned i = 0; i < pool()->tags; i++)
        allocations += pool()->statistics[i].allocations;
    return allocations;
}

/* What holds for every block that is freed, of both layouts. */
static void check_free(void *block, uint64_t size, uint32_t tag, uint32_t given, unsigned kind, bool inside,
                       const char *routine)
{
    if (given != 0 && given != tag) {
        char theirs[5], ours[5];
        const uint64_t parameter[4] = {0x0A, (uintptr_t)block, tag, given};

        pool_tag_text(theirs, given);
        pool_tag_text(ours, tag);
        nt_violation_code(BAD_POOL_CALLER, parameter, "pool-tag-mismatch",
                          "%s(%p): freed with the tag \"%s\", allocated with \"%s\"", routine, block, theirs, ours);
    }
    if (kind == POOL_PAGED && ke_irql() > APC_LEVEL) {
        const uint64_t parameter[4] = {0x09, ke_irql(), kind, (uintptr_t)block};

        nt_violation_code(BAD_POOL_CALLER, parameter, "pool-irql",
                          "%s(%p): paged pool is freed at IRQL %u, above APC_LEVEL", routine, block, ke_irql());
    }
    if (tag == MM_TAG_MDL || tag == MM_TAG_PAGES_MDL)
        mm_check_mdl_freed(block, routine);
    if (lock_anything_held())
        lock_check_freed(block, size);
    if (inside)
        ex_memory_goes(block, size);
}

void pool_note_inside(const void *address)
{
    if (!guest_ram_address(address))
        return;
    uint32_t page = page_of(address);
    const struct mm_page *info = page_info(page);
    if (info->use == PAGE_POOL_SLAB) {
        unsigned index = (unsigned)((uintptr_t)address % PAGE_SIZE) / pool_class_bytes[pool_page_class(info)];
        struct pool_header *header = pool_header(pool_block(page, index));

        ASAN_UNPOISON_MEMORY_REGION(header, sizeof *header);
        header->watched |= POOL_INSIDE;
        ASAN_POISON_MEMORY_REGION(header, sizeof *header);
    } else if (info->use == PAGE_POOL_BIG) {
        struct pool_big *big = (struct pool_big *)page_info(page_run_first(page))->owner;

        big->inside = true;
    }
}

/* ---- blocks that share pages ---- */

/* A page cut into blocks, all of them free; the first is returned, its header open, and the others are listed. */
static uint8_t *new_page(unsigned slab, unsigned class)
{
    uint32_t page = page_alloc(1, PAGE_POOL_SLAB, NULL);

    if (page == PAGE_NOT_FOUND)
        return NULL;
    page_info(page)->attribute = pool_attribute(slab, class);
    mm_paged_pool(page, 1, pool_slab_kind(slab) == POOL_PAGED);
    memset(page_address(page), POOL_FILL, PAGE_SIZE);
    for (unsigned i = pool_blocks_per_page(page_info(page)); i-- > 0;) {
        uint8_t *block = pool_block(page, i);
        struct pool_header *header = pool_header(block);

        *header = (struct pool_header){.state = POOL_FREED, .guard = pool_guard(header)};
        if (i != 0)
            pool_list_push(&pool()->free[pool_attribute(slab, class)], block);
    }
    ASAN_POISON_MEMORY_REGION(page_address(page), PAGE_SIZE);
    uint8_t *first = pool_block(page, 0);
    ASAN_UNPOISON_MEMORY_REGION(pool_header(first), sizeof(struct pool_header));
    return first;
}

/* A shape of these arguments, kept in the place of another. */
static const struct pool_shape *shape_for(unsigned slab, unsigned type, size_t size, uint32_t tag)
{
    struct pool_shape *shape = pool_shape_slot(pool(), type, size, tag);
    unsigned class;

    if (pool_shape_is(shape, type, size, tag) && shape->room != 0)
        return shape;
    class = class_for(pool_lead(slab) + size + POOL_MIN_BEHIND, slab);
    *shape = (struct pool_shape){
        .size = size,
        .tag = tag,
        .type = type,
        .attribute = pool_attribute(slab, class),
        .watched = tag == MM_TAG_MDL || tag == MM_TAG_PAGES_MDL ? POOL_MDL : 0,
        .statistic = statistic_for(tag, pool_slab_kind(slab)),
        .room = pool()->room[pool_attribute(slab, class)],
    };
    return shape;
}

static void *allocate_small(unsigned slab, unsigned type, size_t size, uint32_t tag, const void *caller)
{
    struct pool_state *state = pool();
    const struct pool_shape *shape = shape_for(slab, type, size, tag);
    struct pool_list *list = &state->free[shape->attribute];
    uint8_t *block = pool_list_pop(list, POOL_HELD_BACK);

    if (block == NULL)
        block = new_page(slab, shape->attribute % POOL_CLASSES);
    if (block == NULL)
        block = pool_list_pop(list, 0);
    return block != NULL ? pool_take(state, shape, block, caller) : NULL;
}

void pool_shape_checked(POOL_TYPE type, SIZE_T size, ULONG tag)
{
    struct pool_shape *shape = pool_shape_slot(pool(), (unsigned)type, size, tag);

    if (pool_shape_is(shape, (unsigned)type, size, tag) && shape->room != 0)
        shape->checked = true;
}

static void free_small(uint8_t *block, uint32_t page, ULONG tag, const char *routine, const void *caller)
{
    const struct mm_page *info = page_info(page);
    struct pool_header *header = pool_header(block);

    if ((uintptr_t)block % PAGE_SIZE < sizeof *header)
        pool_report_bad_free(block, routine, caller);
    ASAN_UNPOISON_MEMORY_REGION(header, sizeof *header);
    if (!pool_is_in_use(header))
        pool_report_bad_free(block, routine, caller);
    ASAN_UNPOISON_MEMORY_REGION(block, pool_room(info));
    if (!pool_is_whole(block, header, pool_room(info)))
        pool_report_corrupt(block, "is freed");
    check_free(block, header->size, header->tag, tag, pool_slab_kind(pool_page_slab(info)),
               (header->watched & POOL_INSIDE) != 0, routine);
    pool_give(pool(), block, info->attribute, caller);
}

/* ---- blocks of whole pages ---- */

/* Behind the caller's part there are always some bytes to check, if need be a page for them. */
static void *allocate_big(unsigned kind, size_t size, uint32_t tag, const void *caller)
{
    if (size / PAGE_SIZE >= guest_ram_pages())
        return NULL;
    uint64_t pages = (size + 2 * POOL_MIN_BEHIND + PAGE_SIZE - 1) / PAGE_SIZE;
    struct pool_big *big = image_alloc(sizeof *big);
    uint32_t page = page_alloc((uint32_t)pages, PAGE_POOL_BIG, big);
    if (page == PAGE_NOT_FOUND) {
        image_free(big);
        return NULL;
    }

    *big = (struct pool_big){
        .address = page_address(page),
        .size = size,
        .origin = pool_origin(caller),
        .tag = tag,
        .sequence = ++pool()->sequence,
        .pages = (uint32_t)pages,
        .statistic = statistic_for(tag, kind),
        .kind = (uint8_t)kind,
    };
    InsertTailList(&pool()->big, &big->entry);
    mm_paged_pool(page, (uint32_t)pages, kind == POOL_PAGED);
    count_allocation(big->statistic, size);
    size_t behind = pool_big_behind(big);
    memset(big->address, POOL_FILL, size + behind);
    ASAN_POISON_MEMORY_REGION(big->address + size, pages * PAGE_SIZE - size);
    return big->address;
}

static void free_big(uint8_t *block, uint32_t page, ULONG tag, const char *routine, const void *caller)
{
    struct pool_big *big = (struct pool_big *)page_info(page)->owner;

    if (page_info(page)->run == 0 || big->address != block)
        pool_report_bad_free(block, routine, caller);
    size_t behind = pool_big_behind(big);
    ASAN_UNPOISON_MEMORY_REGION(block + big->size, behind);
    if (!pool_is_filled(block + big->size, behind))
        pool_report_big_overrun(big, "is freed");
    check_free(block, big->size, big->tag, tag, big->kind, big->inside, routine);

    count_free(big->statistic, big->size);
    memset(block, POOL_FILL, big->size);
    RemoveEntryList(&big->entry);
    image_free(big);
    page_free(page, routine);
}

/* ---- both ---- */

void *pool_allocate(POOL_TYPE type, SIZE_T size, ULONG tag, const void *caller)
{
    unsigned kind = (type & PagedPool) != 0        ? POOL_PAGED
                    : (type & NonPagedPoolNx) != 0 ? POOL_NONPAGED_NX
                                                   : POOL_NONPAGED;
    unsigned slab = kind * 2 + ((type & NonPagedPoolCacheAligned) != 0 ? 1 : 0);
    void *block;

    if (size <= POOL_LARGEST - POOL_MIN_BEHIND - pool_lead(slab))
        block = allocate_small(slab, (unsigned)type, size, tag, caller);
    else
        block = allocate_big(kind, size, tag, caller);
    if (block != NULL && (type & POOL_ZERO_ALLOCATION) != 0)
        memset(block, 0, size);
    return block;
}

void pool_free(void *block, ULONG tag, const char *routine, const void *caller)
{
    if (!guest_ram_address(block))
        pool_report_bad_free(block, routine, caller);
    uint32_t page = page_of(block);
    switch (page_info(page)->use) {
    case PAGE_POOL_SLAB:
        free_small(block, page, tag, routine, caller);
        break;
    case PAGE_POOL_BIG:
        free_big(block, page, tag, routine, caller);
        break;
    default:
        pool_report_bad_free(block, routine, caller);
    }
}

bool pool_is_paged(const void *address)
{
    if (!guest_ram_address(address))
        return false;
    const struct mm_page *page = page_info(page_of(address));
    if (page->use == PAGE_POOL_SLAB)
        return pool_slab_kind(pool_page_slab(page)) == POOL_PAGED;
    if (page->use != PAGE_POOL_BIG)
        return false;
    const struct pool_big *big = page_info(page_run_first(page_of(address)))->owner;
    return big->kind == POOL_PAGED;
}

/* ---- giving pages back ---- */

static bool page_is_unused(uint32_t page)
{
    for (unsigned i = 0; i < pool_blocks_per_page(page_info(page)); i++) {
        struct pool_header *header = pool_header(pool_block(page, i));
        ASAN_UNPOISON_MEMORY_REGION(header, sizeof *header);
        bool in_use = header->state == POOL_IN_USE;
        ASAN_POISON_MEMORY_REGION(header, sizeof *header);
        if (in_use)
            return false;
    }
    return true;
}

/* Pages on their way back, by mm_page.next; page + 1. A page that is not among them has 0 there. */
#define TRIM_END UINT32_MAX

/* The block that follows a free one in its list. */
static void free_link(struct pool_header *header, uint32_t next)
{
    ASAN_UNPOISON_MEMORY_REGION(header, sizeof *header);
    header->sequence = next;
    ASAN_POISON_MEMORY_REGION(header, sizeof *header);
}

/* Take the blocks of unused pages out of a list, and note those pages; the others keep their order. */
static void trim_list(struct pool_list *list, uint32_t *unused)
{
    struct pool_list kept = {0};
    struct pool_header *last = NULL;

    for (uint32_t index = list->first, next; index != 0; index = next) {
        uint8_t *block = pool_block_at(index);
        struct pool_header *header = pool_header(block);

        ASAN_UNPOISON_MEMORY_REGION(header, sizeof *header);
        next = header->sequence;
        ASAN_POISON_MEMORY_REGION(header, sizeof *header);
        if (page_is_unused(page_of(block))) {
            struct mm_page *page = page_info(page_of(block));

            if (page->next == 0) {
                page->next = *unused;
                *unused = page_of(block) + 1;
            }
            continue;
        }
        if (last != NULL)
            free_link(last, index);
        else
            kept.first = index;
        kept.last = index;
        kept.count++;
        last = header;
    }
    if (last != NULL)
        free_link(last, 0);
    *list = kept;
}

bool pool_trim(void)
{
    uint32_t unused = TRIM_END;
    bool found;

    mm_paged_show();
    for (unsigned attribute = 0; attribute < POOL_SLABS * POOL_CLASSES; attribute++)
        trim_list(&pool()->free[attribute], &unused);
    found = unused != TRIM_END;
    while (unused != TRIM_END) {
        uint32_t page = unused - 1;

        unused = page_info(page)->next;
        page_free(page, "pool_trim");
    }
    vcpu_running();
    return found;
}
