/* The pools and the lookaside lists, through the public routines. The rules are those of "ExAllocatePool2 (wdm.h)". */
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

        block = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizes[i], TAG);
        ck_assert(all(block, 0, sizes[i]));
        memset(block, 1, sizes[i]);
        ExFreePool(block);

        block = ExAllocatePoolZero(PagedPool, sizes[i], TAG);
        ck_assert(all(block, 0, sizes[i]));
        ExFreePool(block);

        block = ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED, sizes[i], TAG);
        ck_assert(!all(block, 0, sizes[i]));
        ExFreePoolWithTag(block, TAG);
    }
}

START_TEST(contents_are_zero_or_a_pattern)
{
    guest_run(contents, NULL);
}
END_TEST

static void flags(void *argument)
{
    (void)argument;
    ck_assert_ptr_null(ExAllocatePool2(0, 16, TAG));
    ck_assert_ptr_null(ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_NON_PAGED, 16, TAG));
    ck_assert_ptr_null(ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_RESERVED1, 16, TAG));
    ck_assert_ptr_null(ExAllocatePool2(POOL_FLAG_PAGED | 0x1000, 16, TAG));
    ck_assert_ptr_null(ExAllocatePool2(POOL_FLAG_PAGED, 16, 0));
    void *block = ExAllocatePool2(POOL_FLAG_PAGED | POOL_FLAG_CACHE_ALIGNED | 0x4000000000000000ULL, 16, TAG);
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq((ULONG_PTR)block % 64, 0);
    ExFreePoolWithTag(block, TAG);
}

START_TEST(flags_are_checked)
{
    guest_run(flags, NULL);
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

static void zero_tag(void *argument)
{
    (void)argument;
    ExAllocatePoolWithTag(NonPagedPoolNx, 16, 0);
}

static void zero_size(void *argument)
{
    (void)argument;
    ExAllocatePoolWithTag(NonPagedPoolNx, 0, TAG);
}

static void must_succeed(void *argument)
{
    (void)argument;
    ExAllocatePoolWithTag(NonPagedPoolMustSucceed, 16, TAG);
}

static void paged_at_dispatch(void *argument)
{
    (void)argument;
    KeRaiseIrqlToDpcLevel();
    ExAllocatePoolWithTag(PagedPool, 16, TAG);
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

static void raises(void *argument)
{
    (void)argument;
    ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_RAISE_ON_FAILURE, (SIZE_T)1 << 40, TAG);
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

static SIZE_T small = 100, big = 5000;

static const struct {
    void (*function)(void *);
    void *argument;
    const char *rule;
    uint32_t code;
    uint64_t parameter;
} broken[] = {
    {double_free, &small, "pool-double-free", BAD_POOL_CALLER, 0x07},
    {double_free, &big, "pool-double-free", BAD_POOL_CALLER, 0x07},
    {free_inside, &small, "pool-bad-free", BAD_POOL_CALLER, 0x46},
    {free_inside, &big, "pool-bad-free", BAD_POOL_CALLER, 0x46},
    {free_stack, &small, "pool-bad-free", BAD_POOL_CALLER, 0x42},
    {free_stack, NULL, "pool-bad-free", BAD_POOL_CALLER, 0x42},
    {free_contiguous, NULL, "pool-bad-free", BAD_POOL_CALLER, 0x42},
    {wrong_tag, &small, "pool-tag-mismatch", BAD_POOL_CALLER, 0x0A},
    {wrong_tag, &big, "pool-tag-mismatch", BAD_POOL_CALLER, 0x0A},
    {zero_tag, NULL, "pool-zero-tag", BAD_POOL_CALLER, 0x9B},
    {zero_size, NULL, "pool-zero-size", DRIVER_VERIFIER_DETECTED_VIOLATION, 0},
    {must_succeed, NULL, "pool-must-succeed", BAD_POOL_CALLER, 0x9A},
    {paged_at_dispatch, NULL, "pool-irql", BAD_POOL_CALLER, 0x08},
    {paged_freed_at_dispatch, &small, "pool-irql", BAD_POOL_CALLER, 0x09},
    {paged_freed_at_dispatch, &big, "pool-irql", BAD_POOL_CALLER, 0x09},
    {above_dispatch, NULL, "irql", DRIVER_VERIFIER_DETECTED_VIOLATION, 0},
    {raises, NULL, "exception", KMODE_EXCEPTION_NOT_HANDLED, (uint32_t)STATUS_INSUFFICIENT_RESOURCES},
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

static unsigned custom_allocations, custom_frees;

static PVOID NTAPI custom_allocate(POOL_TYPE type, SIZE_T size, ULONG tag)
{
    custom_allocations++;
    return ExAllocatePoolWithTag(type, size, tag);
}

static VOID NTAPI custom_free(PVOID block)
{
    custom_frees++;
    ExFreePoolWithTag(block, TAG);
}

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

    ExInitializeNPagedLookasideList(&list, custom_allocate, custom_free, 0, 64, TAG, 0);
    for (size_t i = 0; i < 10; i++)
        entries[i] = ExAllocateFromNPagedLookasideList(&list);
    for (size_t i = 0; i < 10; i++)
        ExFreeToNPagedLookasideList(&list, entries[i]);
    ck_assert_uint_eq(custom_allocations, 10);
    ExDeleteNPagedLookasideList(&list);
    ck_assert_uint_eq(custom_frees, 10);
}

START_TEST(lookaside_lists_keep_entries)
{
    guest_run(lookaside, NULL);
}
END_TEST

static PLOOKASIDE_LIST_EX seen_list;
static POOL_TYPE seen_type;

static PVOID NTAPI allocate_ex(POOL_TYPE type, SIZE_T size, ULONG tag, PLOOKASIDE_LIST_EX list)
{
    seen_list = list;
    seen_type = type;
    return ExAllocatePoolWithTag(PagedPool, size, tag);
}

static void lookaside_ex(void *argument)
{
    static LOOKASIDE_LIST_EX list __attribute__((aligned(16)));

    (void)argument;
    ck_assert_int_eq(ExInitializeLookasideListEx(&list, NULL, NULL, 0x4000, 0, 32, TAG, 0), STATUS_INVALID_PARAMETER_4);
    ck_assert_int_eq(ExInitializeLookasideListEx(&list, NULL, NULL, PagedPool, 3, 32, TAG, 0),
                     STATUS_INVALID_PARAMETER_5);
    ck_assert_int_eq(ExInitializeLookasideListEx(&list, allocate_ex, NULL, PagedPool,
                                                 EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL, 32, TAG, 0),
                     STATUS_SUCCESS);
    void *entry = ExAllocateFromLookasideListEx(&list);
    ck_assert_ptr_eq(seen_list, &list);
    ck_assert_int_eq(seen_type, PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE);
    ExFreeToLookasideListEx(&list, entry);
    ck_assert_uint_eq(pool_tag_bytes(TAG), 32);
    ExFlushLookasideListEx(&list);
    ck_assert_uint_eq(pool_tag_bytes(TAG), 0);
    ExDeleteLookasideListEx(&list);
}

START_TEST(lookaside_lists_ex)
{
    guest_run(lookaside_ex, NULL);
}
END_TEST

static void lookaside_double_free(void *argument)
{
    static NPAGED_LOOKASIDE_LIST list;

    (void)argument;
    ExInitializeNPagedLookasideList(&list, NULL, NULL, 0, 100, TAG, 0);
    void *entry = ExAllocateFromNPagedLookasideList(&list);
    ExFreeToNPagedLookasideList(&list, entry);
    ExFreeToNPagedLookasideList(&list, entry);
}

START_TEST(lookaside_double_free_is_reported)
{
    struct machine_config config = guest_config(1);

    guest_must_fail(&config, lookaside_double_free, NULL, "lookaside-double-free");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tcase = tcase_create("pool");

    tcase_add_test(tcase, blocks_are_aligned_and_in_a_page);
    tcase_add_test(tcase, contents_are_zero_or_a_pattern);
    tcase_add_test(tcase, flags_are_checked);
    tcase_add_test(tcase, exhausted_memory_comes_back);
    tcase_add_test(tcase, a_leak_is_named);
    tcase_add_loop_test(tcase, a_broken_rule_is_reported, 0, (int)(sizeof broken / sizeof broken[0]));
#ifndef IMAGE_SANITIZED
    tcase_add_loop_test(tcase, damage_is_found, 0, (int)(sizeof damage / sizeof damage[0]));
#endif
    suite_add_tcase(suite, tcase);

    tcase = tcase_create("lookaside");
    tcase_add_test(tcase, lookaside_lists_keep_entries);
    tcase_add_test(tcase, lookaside_lists_ex);
    tcase_add_test(tcase, lookaside_double_free_is_reported);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
