/*
 * What no public routine shows of the pools and the lookaside lists: what is counted by tag, how much memory can be
 * had, patterns, where damage is found. The routines' documented behaviour is in tests/nt/ex (pool.c, lookaside.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "machine/guest_ram.h"
#include "nt/ex/pool.h"
#include "nt/nt.h"

#define TAG POOL_TAG('T', 'e', 's', 't')
#define OTHER_TAG POOL_TAG('O', 't', 'h', 'r')

static const SIZE_T sizes[] = {1,    7,    15,   16,   17,   100,  128,  500,  512,  513,  1000,  2000,
                               2008, 2009, 2048, 4000, 4080, 4081, 4095, 4096, 4097, 8192, 65536, 1000001};
#define SIZES (sizeof sizes / sizeof sizes[0])

static bool all(const UCHAR *bytes, UCHAR value, SIZE_T size)
{
    for (SIZE_T i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

/* ---- allocation ---- */

static void alignment_and_pages(void *argument)
{
    static const POOL_TYPE types[] = {NonPagedPool, NonPagedPoolNx, PagedPool, NonPagedPoolCacheAligned,
                                      PagedPoolCacheAligned};

    (void)argument;
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        UCHAR *blocks[SIZES];

        for (size_t i = 0; i < SIZES; i++) {
            ULONG_PTR address = (ULONG_PTR)(blocks[i] = ExAllocatePoolWithTag(types[t], sizes[i], TAG));

            ck_assert_ptr_nonnull(blocks[i]);
            ck_assert_uint_eq(address % ((types[t] & NonPagedPoolCacheAligned) != 0 ? 64 : 16), 0);
            if (sizes[i] >= PAGE_SIZE)
                ck_assert_uint_eq(address % PAGE_SIZE, 0);
            else
                ck_assert_uint_eq(address / PAGE_SIZE, (address + sizes[i] - 1) / PAGE_SIZE);
            ck_assert(guest_ram_address(blocks[i]));
            memset(blocks[i], 0x5A, sizes[i]);
        }
        for (size_t i = 0; i < SIZES; i++) {
            ck_assert(all(blocks[i], 0x5A, sizes[i]));
            ExFreePoolWithTag(blocks[i], TAG);
        }
    }
    ck_assert_uint_eq(pool_tag_bytes(TAG), 0);
    pool_check_all();
}

START_TEST(blocks_are_aligned_and_in_a_page)
{
    guest_run(alignment_and_pages, NULL);
}
END_TEST

static void contents(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < SIZES; i++) {
        UCHAR *block = ExAllocatePoolUninitialized(NonPagedPoolNx, sizes[i], TAG);
        ck_assert(all(block, POOL_FILL, sizes[i]));
        memset(block, 1, sizes[i]);
        ExFreePool(block);

        block = ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED, sizes[i], TAG);
        ck_assert(all(block, POOL_FILL, sizes[i]));
        ExFreePoolWithTag(block, TAG);
    }
}

START_TEST(what_is_not_zeroed_has_a_pattern)
{
    guest_run(contents, NULL);
}
END_TEST

/* Take all of memory in blocks of one size, give it back, and take it in blocks of another. */
static void exhaustion(void *argument)
{
    static const SIZE_T turns[] = {3000, 40, 3000, 100000, 600};

    (void)argument;
    for (size_t t = 0; t < sizeof turns / sizeof turns[0]; t++) {
        SIZE_T taken = 0;
        void *last = NULL;

        for (;;) {
            void **block = ExAllocatePoolWithTag(NonPagedPoolNx, turns[t], TAG);
            if (block == NULL)
                break;
            *block = last;
            last = block;
            taken += turns[t];
        }
        ck_assert_uint_ge(taken, (SIZE_T)guest_ram_pages() * PAGE_SIZE / 3);
        while (last != NULL) {
            void *next = *(void **)last;
            ExFreePoolWithTag(last, TAG);
            last = next;
        }
        pool_check_all();
    }
    ck_assert_ptr_null(ExAllocatePoolWithTag(NonPagedPoolNx, (SIZE_T)1 << 40, TAG));
    ck_assert_ptr_null(ExAllocatePoolWithTag(NonPagedPoolNx, ~(SIZE_T)0, TAG));
}

START_TEST(exhausted_memory_comes_back)
{
    struct machine_config config = guest_config(1);

    config.ram_bytes = 4 << 20;
    guest_run_with(&config, exhaustion, NULL);
}
END_TEST

/* ---- the census ---- */

struct leak {
    char kind[32];
    char name[64];
    uint64_t count;
};

static void note_leak(void *context, const char *kind, const char *name, uint64_t count, const void *caller)
{
    struct leak *leak = context;

    ck_assert_ptr_nonnull(caller);
    snprintf(leak->kind, sizeof leak->kind, "%s", kind);
    snprintf(leak->name, sizeof leak->name, "%s", name);
    leak->count = count;
}

static void leak_main(void *argument)
{
    struct leak leak;

    (void)argument;
    void *kept = ExAllocatePoolWithTag(PagedPool, 10, TAG);
    struct census *before = census_take();
    void *small = ExAllocatePoolWithTag(PagedPool, 50, TAG);
    struct census *after = census_take();
    ck_assert_uint_eq(census_compare(before, after, note_leak, &leak), 1);
    ck_assert_str_eq(leak.kind, "pool");
    ck_assert_str_eq(leak.name, "Test paged");
    ck_assert_uint_eq(leak.count, 50);
    census_free(after);
    ExFreePoolWithTag(small, TAG);

    void *big = ExAllocatePoolWithTag(NonPagedPool, 10000, TAG);
    after = census_take();
    ck_assert_uint_eq(census_compare(before, after, note_leak, &leak), 1);
    ck_assert_str_eq(leak.name, "Test nonpaged");
    ck_assert_uint_eq(leak.count, 10000);
    census_free(after);
    ExFreePoolWithTag(big, TAG);

    after = census_take();
    ck_assert_uint_eq(census_compare(before, after, NULL, NULL), 0);
    census_free(after);
    census_free(before);
    ExFreePoolWithTag(kept, TAG);
}

START_TEST(a_leak_is_named)
{
    guest_run(leak_main, NULL);
}
END_TEST

/* ---- broken rules ---- */

static void double_free(void *argument)
{
    void *block = ExAllocatePoolWithTag(NonPagedPoolNx, *(SIZE_T *)argument, TAG);

    ExFreePoolWithTag(block, TAG);
    ExFreePoolWithTag(block, TAG);
}

static void free_inside(void *argument)
{
    UCHAR *block = ExAllocatePoolWithTag(NonPagedPoolNx, *(SIZE_T *)argument, TAG);

    ExFreePoolWithTag(block + 16, TAG);
}

static void free_stack(void *argument)
{
    ExFreePool(argument);
}

static void free_contiguous(void *argument)
{
    PHYSICAL_ADDRESS highest = {.QuadPart = -1};

    (void)argument;
    ExFreePool(MmAllocateContiguousMemory(PAGE_SIZE, highest));
}

static void wrong_tag(void *argument)
{
    ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPoolNx, *(SIZE_T *)argument, TAG), OTHER_TAG);
}

static void must_succeed(void *argument)
{
    (void)argument;
    ExAllocatePoolWithTag(NonPagedPoolMustSucceed, 16, TAG);
}

static void paged_freed_at_dispatch(void *argument)
{
    void *block = ExAllocatePoolWithTag(PagedPool, *(SIZE_T *)argument, TAG);

    KeRaiseIrqlToDpcLevel();
    ExFreePoolWithTag(block, TAG);
}

static void above_dispatch(void *argument)
{
    KIRQL irql;

    (void)argument;
    KeRaiseIrql(HIGH_LEVEL, &irql);
    ExAllocatePoolWithTag(NonPagedPoolNx, 16, TAG);
}

static void timer_inside(void *argument)
{
    PKTIMER timer = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *timer, TAG);
    LARGE_INTEGER due = {.QuadPart = -10000000};

    (void)argument;
    KeInitializeTimer(timer);
    KeSetTimer(timer, due, NULL);
    ExFreePoolWithTag(timer, TAG);
}

static void resource_inside(void *argument)
{
    PERESOURCE resource = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *resource, TAG);

    (void)argument;
    ExInitializeResourceLite(resource);
    ExFreePoolWithTag(resource, TAG);
}

static SIZE_T small = 100, big = 5000; /* of blocks that share a page, and that have pages of their own */

static const struct {
    void (*function)(void *);
    void *argument;
    const char *rule;
    uint32_t code;
    uint64_t parameter;
} broken[] = {
    {double_free, &big, "pool-double-free", BAD_POOL_CALLER, 0x07},
    {free_inside, &big, "pool-bad-free", BAD_POOL_CALLER, 0x46},
    {free_stack, &small, "pool-bad-free", BAD_POOL_CALLER, 0x42},
    {free_stack, NULL, "pool-bad-free", BAD_POOL_CALLER, 0x42},
    {free_contiguous, NULL, "pool-bad-free", BAD_POOL_CALLER, 0x42},
    {wrong_tag, &big, "pool-tag-mismatch", BAD_POOL_CALLER, 0x0A},
    {must_succeed, NULL, "pool-must-succeed", BAD_POOL_CALLER, 0x9A},
    {paged_freed_at_dispatch, &big, "pool-irql", BAD_POOL_CALLER, 0x09},
    {above_dispatch, NULL, "irql", DRIVER_VERIFIER_DETECTED_VIOLATION, 0},
    {timer_inside, NULL, "freed-in-use", 0, 0},
    {resource_inside, NULL, "freed-in-use", DRIVER_VERIFIER_DETECTED_VIOLATION, 0xD2},
};

START_TEST(a_broken_rule_is_reported)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, broken[_i].function, broken[_i].argument, broken[_i].rule);

    if (broken[_i].code != 0)
        ck_assert_uint_eq(failure->code, broken[_i].code);
    if (broken[_i].parameter != 0)
        ck_assert_uint_eq(failure->parameter[0], broken[_i].parameter);
}
END_TEST

/*
 * Writes outside a block. AddressSanitizer stops at the write itself, so that these are for the other builds: there the
 * damage is found when the block is freed, used again, or by the sweep.
 */
#ifndef IMAGE_SANITIZED
static void overrun(void *argument)
{
    SIZE_T size = *(SIZE_T *)argument;
    UCHAR *block = ExAllocatePoolWithTag(NonPagedPoolNx, size, TAG);

    block[size] = 0;
    ExFreePoolWithTag(block, TAG);
}

static void overrun_swept(void *argument)
{
    SIZE_T size = *(SIZE_T *)argument;
    UCHAR *block = ExAllocatePoolWithTag(NonPagedPoolNx, size, TAG);

    block[size] = 0;
    pool_check_all();
}

static void underrun(void *argument)
{
    UCHAR *block = ExAllocatePoolWithTag(NonPagedPoolNx, *(SIZE_T *)argument, TAG);

    block[-1] = 0;
    ExFreePoolWithTag(block, TAG);
}

static void write_after_free(void *argument)
{
    UCHAR *block = ExAllocatePoolWithTag(NonPagedPoolNx, *(SIZE_T *)argument, TAG);

    ExFreePoolWithTag(block, TAG);
    block[*(SIZE_T *)argument - 1] = 1;
    ExAllocatePoolWithTag(NonPagedPoolNx, *(SIZE_T *)argument, TAG);
}

static void write_after_free_swept(void *argument)
{
    UCHAR *block = ExAllocatePoolWithTag(NonPagedPoolNx, *(SIZE_T *)argument, TAG);

    ExFreePoolWithTag(block, TAG);
    block[0] = 1;
    pool_check_all();
}

static SIZE_T odd = 77, page = PAGE_SIZE, almost_page = PAGE_SIZE - 1;

static const struct {
    void (*function)(void *);
    SIZE_T *size;
    const char *rule;
} damage[] = {
    {overrun, &small, "pool-overrun"},
    {overrun, &odd, "pool-overrun"},
    {overrun, &almost_page, "pool-overrun"},
    {overrun, &page, "pool-overrun"},
    {overrun, &big, "pool-overrun"},
    {overrun_swept, &small, "pool-overrun"},
    {overrun_swept, &page, "pool-overrun"},
    {underrun, &small, "pool-underrun"},
    {write_after_free, &small, "pool-write-after-free"},
    {write_after_free_swept, &odd, "pool-write-after-free"},
};

START_TEST(damage_is_found)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, damage[_i].function, damage[_i].size, damage[_i].rule);

    ck_assert_uint_eq(failure->code, BAD_POOL_HEADER);
}
END_TEST
#endif

/* ---- lookaside lists ---- */

static void lookaside(void *argument)
{
    static NPAGED_LOOKASIDE_LIST list;
    void *entries[600];

    (void)argument;
    ExInitializeNPagedLookasideList(&list, NULL, NULL, 0, 100, TAG, 0);
    void *first = ExAllocateFromNPagedLookasideList(&list);
    ExFreeToNPagedLookasideList(&list, first);
    ck_assert_ptr_eq(ExAllocateFromNPagedLookasideList(&list), first);
    ck_assert_uint_eq(list.L.AllocateMisses, 1);
    ck_assert_uint_eq(pool_tag_bytes(TAG), 100);
    ExFreeToNPagedLookasideList(&list, first);

    /* The depth follows the misses, up to the maximum, and no more than that is kept. */
    for (size_t i = 0; i < 600; i++)
        entries[i] = ExAllocateFromNPagedLookasideList(&list);
    ck_assert_uint_eq(list.L.Depth, list.L.MaximumDepth);
    for (size_t i = 0; i < 600; i++)
        ExFreeToNPagedLookasideList(&list, entries[i]);
    ck_assert_uint_eq(pool_tag_bytes(TAG), 100u * list.L.MaximumDepth);
    ck_assert_uint_eq(list.L.FreeMisses, 600u - list.L.MaximumDepth);
    ExDeleteNPagedLookasideList(&list);
    ck_assert_uint_eq(pool_tag_bytes(TAG), 0);
}

START_TEST(lookaside_lists_keep_entries)
{
    guest_run(lookaside, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tcase = tcase_create("pool");

    tcase_add_test(tcase, blocks_are_aligned_and_in_a_page);
    tcase_add_test(tcase, what_is_not_zeroed_has_a_pattern);
    tcase_add_test(tcase, exhausted_memory_comes_back);
    tcase_add_test(tcase, a_leak_is_named);
    tcase_add_loop_test(tcase, a_broken_rule_is_reported, 0, (int)(sizeof broken / sizeof broken[0]));
#ifndef IMAGE_SANITIZED
    tcase_add_loop_test(tcase, damage_is_found, 0, (int)(sizeof damage / sizeof damage[0]));
#endif
    suite_add_tcase(suite, tcase);

    tcase = tcase_create("lookaside");
    tcase_add_test(tcase, lookaside_lists_keep_entries);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
