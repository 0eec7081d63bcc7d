/* The pools: what is wrong with a block, the sweep over all of them, and the census. */
#include <stdio.h>

#include "image/loader.h"
#include "nt/ex/pool_internal.h"

const char *pool_kind_name(unsigned kind)
{
    static const char *const names[POOL_KINDS] = {"nonpaged", "nonpaged-nx", "paged"};
    return names[kind];
}

void pool_tag_text(char text[5], uint32_t tag)
{
    for (int i = 0; i < 4; i++) {
        char byte = (char)(tag >> (8 * i));
        text[i] = byte >= 0x20 && byte <= 0x7E ? byte : '.';
    }
    text[4] = '\0';
}

size_t pool_big_behind(const struct pool_big *big)
{
    size_t room = (size_t)big->pages * PAGE_SIZE - big->size;
    return room < 64 ? room : 64;
}

/* ---- origins ---- */

/* The number of the stack that was kept, 0: the origin is the caller's address. */
static uint32_t stack_of(const void *origin)
{
    return stacks_wanted() ? (uint32_t)(uintptr_t)origin : 0;
}

const void *pool_caller(const void *origin)
{
    void *const *frames;

    return stacks_frames(stack_of(origin), &frames) == 0 ? origin : frames[0];
}

static void note_origin(const void *origin, const char *title)
{
    lock_note_stack(pool_caller(origin), stack_of(origin), title);
}

/* ---- what an address is ---- */

static void describe_block(char *buffer, size_t size, const uint8_t *address, const uint8_t *block, uint64_t block_size,
                           uint32_t tag, unsigned kind, const void *origin, bool freed)
{
    char tag_text[5], who[256], where[64];

    pool_tag_text(tag_text, tag);
    loader_describe(who, sizeof who, pool_caller(origin));
    if (address == block)
        snprintf(where, sizeof where, "the block %p", (const void *)block);
    else
        snprintf(where, sizeof where, "%+lld bytes from the start of the block %p", (long long)(address - block),
                 (const void *)block);
    snprintf(buffer, size, "%s of %llu bytes of %s pool, tag \"%s\", %s by %s", where, (unsigned long long)block_size,
             pool_kind_name(kind), tag_text, freed ? "freed" : "allocated", who);
}

static bool describe_small(const uint8_t *address, uint32_t page, char *buffer, size_t size)
{
    const struct mm_page *info = page_info(page);
    unsigned index = (unsigned)((uintptr_t)address % PAGE_SIZE) / pool_class_bytes[pool_page_class(info)];

    if (index >= pool_blocks_per_page(info))
        index = pool_blocks_per_page(info) - 1; /* what is left over at the page's end */
    const uint8_t *block = pool_block(page, index);
    const struct pool_header *header = pool_header(block);
    ASAN_UNPOISON_MEMORY_REGION(header, sizeof *header);
    struct pool_header copy = *header;
    ASAN_POISON_MEMORY_REGION(header, sizeof *header);
    if (copy.state == POOL_FREED && copy.origin == NULL)
        snprintf(buffer, size, "pool that was never allocated");
    else
        describe_block(buffer, size, address, block, copy.size, copy.tag, pool_slab_kind(pool_page_slab(info)),
                       copy.origin, copy.state == POOL_FREED);
    return true;
}

bool pool_address_describe(const void *address, char *buffer, size_t size)
{
    if (!guest_ram_address(address))
        return false;
    uint32_t page = page_of(address);
    const struct mm_page *info = page_info(page);
    if (info->use == PAGE_POOL_SLAB)
        return describe_small(address, page, buffer, size);
    if (info->use == PAGE_POOL_BIG) {
        const struct pool_big *big = page_info(page_run_first(page))->owner;
        describe_block(buffer, size, address, big->address, big->size, big->tag, big->kind, big->origin, false);
        return true;
    }
    if (info->use == PAGE_FREE && (info->last_use == PAGE_POOL_SLAB || info->last_use == PAGE_POOL_BIG)) {
        snprintf(buffer, size, "a page that was pool and is free now");
        return true;
    }
    return false;
}

/* ---- reports ---- */

_Noreturn void pool_report_bad_free(const void *block, const char *routine, const void *caller)
{
    char what[512], who[256];
    uint64_t parameter[4] = {0x42, (uintptr_t)block, 0, 0};

    loader_describe(who, sizeof who, caller);
    if (!guest_ram_address(block) || !pool_address_describe(block, what, sizeof what))
        nt_violation_code(BAD_POOL_CALLER, parameter, "pool-bad-free", "%s(%p) by %s: the address is in no pool",
                          routine, block, who);

    uint32_t page = page_of(block);
    const struct mm_page *info = page_info(page);
    if (info->use == PAGE_FREE && (uintptr_t)block % PAGE_SIZE == 0 && info->last_use == PAGE_POOL_BIG) {
        parameter[0] = 0x07;
        nt_violation_code(BAD_POOL_CALLER, parameter, "pool-double-free", "%s(%p) by %s: %s", routine, block, who,
                          what);
    }
    if (info->use == PAGE_POOL_SLAB) {
        unsigned offset = (unsigned)((uintptr_t)block % PAGE_SIZE);
        unsigned lead = pool_lead(pool_page_slab(info));
        bool starts = offset >= lead && (offset - lead) % pool_class_bytes[pool_page_class(info)] == 0;
        const struct pool_header *header = pool_header(block);

        if (starts) {
            ASAN_UNPOISON_MEMORY_REGION(header, sizeof *header);
            if (header->state == POOL_FREED && header->guard == pool_guard(header)) {
                parameter[0] = 0x07;
                parameter[2] = header->tag;
                parameter[3] = (uintptr_t)block;
                nt_violation_code(BAD_POOL_CALLER, parameter, "pool-double-free", "%s(%p) by %s: freed twice: %s",
                                  routine, block, who, what);
            }
            pool_report_corrupt(block, "is freed");
        }
    }
    parameter[0] = 0x46;
    nt_violation_code(BAD_POOL_CALLER, parameter, "pool-bad-free",
                      "%s(%p) by %s: no block in use starts there, it is %s", routine, block, who, what);
}

/* Up to 16 bytes as they are, for a report. */
static void dump(char *text, size_t size, const uint8_t *bytes, size_t count)
{
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < count && i < 16 && length + 4 < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%02x", i == 0 ? "" : " ", bytes[i]);
}

static size_t first_unfilled(const uint8_t *bytes, size_t count)
{
    size_t i = 0;

    while (i < count && bytes[i] == POOL_FILL)
        i++;
    return i;
}

_Noreturn void pool_report_corrupt(const uint8_t *block, const char *when)
{
    const struct mm_page *info = page_info(page_of(block));
    struct pool_header *header = pool_header(block);
    unsigned room = pool_room(info);
    char what[512], bytes[64];
    const uint64_t parameter[4] = {0x20, (uintptr_t)header, (uintptr_t)block + room, room};

    ASAN_UNPOISON_MEMORY_REGION(header, sizeof *header + room);
    if (header->guard != pool_guard(header) || header->size + POOL_MIN_BEHIND > room) {
        dump(bytes, sizeof bytes, (const uint8_t *)&header->guard, sizeof header->guard);
        nt_violation_code(
            BAD_POOL_HEADER, parameter, "pool-underrun",
            "the bytes before the block %p were overwritten (found when it %s): the 8 bytes before it are %s",
            (const void *)block, when, bytes);
    }
    size_t size = header->size;
    size_t at = size + first_unfilled(block + size, room - size);
    pool_address_describe(block, what, sizeof what);
    ASAN_UNPOISON_MEMORY_REGION(block, room);
    dump(bytes, sizeof bytes, block + at, room - at);
    nt_violation_code(BAD_POOL_HEADER, parameter, "pool-overrun",
                      "bytes behind the end were overwritten (found when it %s): %s; from offset %zu on: %s", when,
                      what, at, bytes);
}

_Noreturn void pool_report_write_after_free(const uint8_t *block, const char *when)
{
    const struct mm_page *info = page_info(page_of(block));
    struct pool_header *header = pool_header(block);
    unsigned room = pool_room(info);
    char what[512], bytes[64];
    const uint64_t parameter[4] = {0x03, (uintptr_t)header, (uintptr_t)block, room};

    ASAN_UNPOISON_MEMORY_REGION(header, sizeof *header + room);
    if (header->state != POOL_FREED || header->guard != pool_guard(header))
        pool_report_corrupt(block, when);
    size_t at = first_unfilled(block, room);
    dump(bytes, sizeof bytes, block + at, room - at);
    pool_address_describe(block, what, sizeof what);
    nt_violation_code(BAD_POOL_HEADER, parameter, "pool-write-after-free",
                      "free memory was written to (found when it %s): %s; from offset %zu on: %s", when, what, at,
                      bytes);
}

_Noreturn void pool_report_big_overrun(const struct pool_big *big, const char *when)
{
    size_t behind = pool_big_behind(big);
    size_t at = first_unfilled(big->address + big->size, behind);
    char what[512], bytes[64];
    const uint64_t parameter[4] = {0x20, (uintptr_t)big->address, (uintptr_t)big->address + big->size, big->size};

    pool_address_describe(big->address, what, sizeof what);
    dump(bytes, sizeof bytes, big->address + big->size + at, behind - at);
    nt_violation_code(BAD_POOL_HEADER, parameter, "pool-overrun",
                      "bytes behind the end were overwritten (found when it %s): %s; from offset %zu on: %s", when,
                      what, (size_t)big->size + at, bytes);
}

/* ---- the sweep ---- */

static void check_small(uint8_t *block, unsigned room)
{
    struct pool_header *header = pool_header(block);

    ASAN_UNPOISON_MEMORY_REGION(header, sizeof *header + room);
    if (header->state == POOL_IN_USE) {
        if (header->guard != pool_guard(header) || header->size + POOL_MIN_BEHIND > room ||
            !pool_is_filled(block + header->size, room - header->size))
            pool_report_corrupt(block, "was looked at");
        ASAN_POISON_MEMORY_REGION(block + header->size, room - header->size);
        ASAN_POISON_MEMORY_REGION(header, sizeof *header);
    } else {
        if (header->state != POOL_FREED || header->guard != pool_guard(header) || !pool_is_filled(block, room))
            pool_report_write_after_free(block, "was looked at");
        ASAN_POISON_MEMORY_REGION(header, sizeof *header + room);
    }
}

void pool_check_all(void)
{
    for (uint32_t page = 0; page < guest_ram_pages(); page += page_info(page)->run) {
        const struct mm_page *info = page_info(page);
        if (info->use != PAGE_POOL_SLAB)
            continue;
        for (unsigned i = 0; i < pool_blocks_per_page(info); i++)
            check_small(pool_block(page, i), pool_room(info));
    }
    for (LIST_ENTRY *entry = pool()->big.Flink; entry != &pool()->big; entry = entry->Flink) {
        const struct pool_big *big = CONTAINING_RECORD(entry, struct pool_big, entry);
        size_t behind = pool_big_behind(big);

        ASAN_UNPOISON_MEMORY_REGION(big->address + big->size, behind);
        if (!pool_is_filled(big->address + big->size, behind))
            pool_report_big_overrun(big, "was looked at");
        ASAN_POISON_MEMORY_REGION(big->address + big->size, behind);
    }
}

/* ---- blocks in use ---- */

void pool_walk(void (*visit)(void *context, const struct pool_use *use), void *context)
{
    for (uint32_t page = 0; page < guest_ram_pages(); page += page_info(page)->run) {
        const struct mm_page *info = page_info(page);
        if (info->use != PAGE_POOL_SLAB)
            continue;
        for (unsigned i = 0; i < pool_blocks_per_page(info); i++) {
            struct pool_header *header = pool_header(pool_block(page, i));
            ASAN_UNPOISON_MEMORY_REGION(header, sizeof *header);
            struct pool_use use = {header->origin, header->size, header->tag, header->sequence, header->statistic};
            bool used = header->state == POOL_IN_USE;
            ASAN_POISON_MEMORY_REGION(header, sizeof *header);
            if (used)
                visit(context, &use);
        }
    }
    for (LIST_ENTRY *entry = pool()->big.Flink; entry != &pool()->big; entry = entry->Flink) {
        const struct pool_big *big = CONTAINING_RECORD(entry, struct pool_big, entry);
        struct pool_use use = {big->origin, big->size, big->tag, big->sequence, big->statistic};
        visit(context, &use);
    }
}

/* ---- what a driver leaves ---- */

#define LEAKS_LISTED 6u

struct leak {
    const void *origin;
    uint32_t tag;
    uint32_t count;
    uint64_t bytes;
};

struct leaks {
    const char *start;
    size_t size;
    uint64_t count, bytes;
    unsigned kinds; /* different tags and callers, of which LEAKS_LISTED are kept */
    struct leak leak[LEAKS_LISTED];
};

static void note_leak(void *context, const struct pool_use *use)
{
    struct leaks *leaks = context;
    const void *caller = pool_caller(use->origin);
    unsigned index = 0;

    if ((uintptr_t)caller - (uintptr_t)leaks->start >= leaks->size)
        return;
    leaks->count++;
    leaks->bytes += use->bytes;
    while (index < leaks->kinds && index < LEAKS_LISTED &&
           (pool_caller(leaks->leak[index].origin) != caller || leaks->leak[index].tag != use->tag))
        index++;
    if (index == LEAKS_LISTED)
        return;
    if (index == leaks->kinds)
        leaks->kinds++;
    leaks->leak[index].origin = use->origin;
    leaks->leak[index].tag = use->tag;
    leaks->leak[index].count++;
    leaks->leak[index].bytes += use->bytes;
}

void pool_check_unloaded(const char *driver, const void *start, size_t size)
{
    struct leaks leaks = {.start = start, .size = size};
    char text[1024], title[192], tag[5], who[LOADER_DESCRIPTION_MAX];
    size_t length = 0;

    pool_walk(note_leak, &leaks);
    if (leaks.count == 0)
        return;
    for (unsigned index = 0; index < leaks.kinds && length < sizeof text; index++) {
        const struct leak *leak = &leaks.leak[index];

        pool_tag_text(tag, leak->tag);
        loader_name(pool_caller(leak->origin), who, sizeof who);
        snprintf(title, sizeof title, "%u blocks, %llu bytes with tag \"%s\" were allocated here:", leak->count,
                 (unsigned long long)leak->bytes, tag);
        note_origin(leak->origin, title);
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%u with tag \"%s\" (%llu bytes) by %s",
                                   index == 0 ? "" : ", ", leak->count, tag, (unsigned long long)leak->bytes, who);
    }
    nt_violation_sub("pool-leak-at-unload", (uintptr_t)driver, 0, leaks.count,
                     "driver %s is unloaded and leaves %llu blocks of pool, %llu bytes: %s%s", driver,
                     (unsigned long long)leaks.count, (unsigned long long)leaks.bytes, text,
                     leaks.kinds == LEAKS_LISTED ? ", ..." : "");
}

/* ---- the census ---- */

static void note_latest(void *context, const struct pool_use *use)
{
    struct pool_use *latest = (struct pool_use *)context + use->statistic;

    if (use->sequence > latest->sequence)
        *latest = *use;
}

void pool_latest(struct pool_use *latest)
{
    memset(latest, 0, pool()->tags * sizeof *latest);
    pool_walk(note_latest, latest);
}

/* By tag and pool type, in the order in which the tags were first used, each with who allocated its latest block. */
void pool_census(struct census *census)
{
    struct pool_use *latest = image_alloc((pool()->tags + 1) * sizeof *latest);

    pool_latest(latest);
    for (uint32_t i = 0; i < pool()->tags; i++) {
        const struct pool_statistic *statistic = &pool()->statistics[i];
        char tag[5];

        pool_tag_text(tag, statistic->tag);
        census_item(census, "pool", statistic->bytes, pool_caller(latest[i].origin), "%s %s", tag,
                    pool_kind_name(statistic->kind));
    }
    image_free(latest);
}
