/*
 * MDLs, physical addresses and contiguous memory, after "Using MDLs", MmBuildMdlForNonPagedPool, IoBuildPartialMdl,
 * MmMapLockedPagesSpecifyCache, MmAllocatePagesForMdlEx and MmAllocateContiguousMemorySpecifyCache.
 */
#include <stdio.h>

#include "guest_threads.h"
#include "machine/guest_ram.h"

#define PAGES 16

static const PHYSICAL_ADDRESS zero = {.QuadPart = 0};
static const PHYSICAL_ADDRESS highest = {.QuadPart = -1};

static PFN_NUMBER frame_of(const void *address)
{
    return (PFN_NUMBER)(MmGetPhysicalAddress((PVOID)(ULONG_PTR)address).QuadPart >> PAGE_SHIFT);
}

static bool all(const UCHAR *bytes, UCHAR value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

/* ---- physical addresses ---- */

static void physical(void *argument)
{
    UCHAR *block = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGES * PAGE_SIZE, TEST_TAG);
    unsigned in_a_row = 0;

    (void)argument;
    for (unsigned i = 0; i < PAGES; i++) {
        PHYSICAL_ADDRESS address = MmGetPhysicalAddress(block + i * PAGE_SIZE + 123);

        ck_assert_uint_eq(address.QuadPart & (PAGE_SIZE - 1), 123); /* the offset in the page is the same */
        ck_assert_ptr_eq(MmGetVirtualForPhysical(address), block + i * PAGE_SIZE + 123);
        for (unsigned j = 0; j < i; j++)
            ck_assert_uint_ne(frame_of(block + j * PAGE_SIZE), frame_of(block + i * PAGE_SIZE));
        in_a_row += i > 0 && frame_of(block + i * PAGE_SIZE) == frame_of(block + (i - 1) * PAGE_SIZE) + 1;
    }
    ck_assert_uint_lt(in_a_row, PAGES / 2); /* virtually contiguous, and physically not */
    ExFreePoolWithTag(block, TEST_TAG);
}

START_TEST(test_physical)
{
    over_schedules(1, 5, physical, NULL);
}
END_TEST

static void memory_ranges(void *argument)
{
    PPHYSICAL_MEMORY_RANGE ranges = MmGetPhysicalMemoryRanges();
    UCHAR *block = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, TEST_TAG);
    LONGLONG address = MmGetPhysicalAddress(block).QuadPart;
    LONGLONG total = 0;
    bool inside = false;

    (void)argument;
    for (unsigned i = 0; ranges[i].NumberOfBytes.QuadPart != 0; i++) {
        ck_assert_int_eq(ranges[i].BaseAddress.QuadPart % PAGE_SIZE, 0);
        total += ranges[i].NumberOfBytes.QuadPart;
        inside |= address >= ranges[i].BaseAddress.QuadPart &&
                  address < ranges[i].BaseAddress.QuadPart + ranges[i].NumberOfBytes.QuadPart;
    }
    ck_assert(inside);
    ck_assert_int_eq(total, (LONGLONG)guest_ram_pages() * PAGE_SIZE);
    ExFreePool(ranges);
    ExFreePoolWithTag(block, TEST_TAG);
}

START_TEST(test_memory_ranges)
{
    guest_run(memory_ranges, NULL);
}
END_TEST

/* ---- building ---- */

static void build(void *argument)
{
    UCHAR *block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE, TEST_TAG);
    PMDL mdl = IoAllocateMdl(block + 100, 2 * PAGE_SIZE, FALSE, FALSE, NULL);

    (void)argument;
    ck_assert_ptr_nonnull(mdl);
    ck_assert_ptr_eq(MmGetMdlVirtualAddress(mdl), block + 100);
    ck_assert_uint_eq(MmGetMdlByteCount(mdl), 2 * PAGE_SIZE);
    ck_assert_uint_eq(MmGetMdlByteOffset(mdl), 100);
    ck_assert_ptr_null(mdl->Next);
    ck_assert_uint_eq(ADDRESS_AND_SIZE_TO_SPAN_PAGES(MmGetMdlVirtualAddress(mdl), MmGetMdlByteCount(mdl)), 3);
    MmBuildMdlForNonPagedPool(mdl);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_eq(MmGetMdlPfnArray(mdl)[i], frame_of(block + i * PAGE_SIZE));
    ck_assert_uint_ne(mdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL, 0);
    ck_assert_ptr_eq(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority), block + 100); /* mapped already */
    IoFreeMdl(mdl);

    ck_assert_uint_eq(MmSizeOfMdl(block, 1), sizeof(MDL) + sizeof(PFN_NUMBER));
    ck_assert_uint_eq(MmSizeOfMdl(block + PAGE_SIZE - 1, 2), sizeof(MDL) + 2 * sizeof(PFN_NUMBER));
    ExFreePoolWithTag(block, TEST_TAG);
}

START_TEST(test_build)
{
    guest_run(build, NULL);
}
END_TEST

static void partial(void *argument)
{
    UCHAR *block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 4 * PAGE_SIZE, TEST_TAG);
    PMDL source = IoAllocateMdl(block, 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL target = IoAllocateMdl(block, 4 * PAGE_SIZE, FALSE, FALSE, NULL);

    (void)argument;
    MmBuildMdlForNonPagedPool(source);
    IoBuildPartialMdl(source, target, block + PAGE_SIZE + 10, PAGE_SIZE);
    ck_assert_ptr_eq(MmGetMdlVirtualAddress(target), block + PAGE_SIZE + 10);
    ck_assert_uint_eq(MmGetMdlByteCount(target), PAGE_SIZE);
    ck_assert_uint_ne(target->MdlFlags & MDL_PARTIAL, 0);
    ck_assert_uint_eq(MmGetMdlPfnArray(target)[0], MmGetMdlPfnArray(source)[1]);
    ck_assert_uint_eq(MmGetMdlPfnArray(target)[1], MmGetMdlPfnArray(source)[2]);
    memset(block, 0x77, 4 * PAGE_SIZE);
    ck_assert_uint_eq(*(UCHAR *)MmGetSystemAddressForMdlSafe(target, NormalPagePriority), 0x77);

    MmPrepareMdlForReuse(target);
    IoBuildPartialMdl(source, target, block + 3 * PAGE_SIZE, 0); /* 0: to the end of the source */
    ck_assert_uint_eq(MmGetMdlByteCount(target), PAGE_SIZE);
    IoFreeMdl(target);
    IoFreeMdl(source);
    ExFreePoolWithTag(block, TEST_TAG);
}

START_TEST(test_partial)
{
    guest_run(partial, NULL);
}
END_TEST

/* ---- pages without an address, and mappings of them ---- */

static void pages(void *argument)
{
    PHYSICAL_ADDRESS limit = {.QuadPart = (LONGLONG)(GUEST_RAM_FIRST_GFN + guest_ram_pages() / 2) * PAGE_SIZE - 1};
    PMDL mdl = MmAllocatePagesForMdlEx(zero, highest, zero, PAGES * PAGE_SIZE, MmCached, MM_ALLOCATE_FULLY_REQUIRED);
    UCHAR *mapping;
    UCHAR *again;

    (void)argument;
    ck_assert_ptr_nonnull(mdl);
    ck_assert_uint_eq(MmGetMdlByteCount(mdl), PAGES * PAGE_SIZE);
    ck_assert_uint_eq(MmGetMdlByteOffset(mdl), 0);
    mapping = MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    ck_assert_ptr_nonnull(mapping);
    for (unsigned i = 0; i < PAGES; i++)
        ck_assert_uint_eq(frame_of(mapping + i * PAGE_SIZE), MmGetMdlPfnArray(mdl)[i]);
    ck_assert(all(mapping, 0, PAGES * PAGE_SIZE)); /* zeroed unless MM_DONT_ZERO_ALLOCATION */
    memset(mapping, 0x5A, PAGES * PAGE_SIZE);
    MmUnmapLockedPages(mapping, mdl);
    again = MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    ck_assert(all(again, 0x5A, PAGES * PAGE_SIZE)); /* the pages keep their contents, whatever maps them */
    MmUnmapLockedPages(again, mdl);
    MmFreePagesFromMdl(mdl);
    ExFreePool(mdl);

    mdl = MmAllocatePagesForMdlEx(zero, limit, zero, PAGES * PAGE_SIZE, MmCached, MM_ALLOCATE_FULLY_REQUIRED);
    ck_assert_ptr_nonnull(mdl);
    for (unsigned i = 0; i < PAGES; i++)
        ck_assert_uint_le(MmGetMdlPfnArray(mdl)[i] << PAGE_SHIFT, (uint64_t)limit.QuadPart);
    MmFreePagesFromMdl(mdl);
    ExFreePool(mdl);
}

START_TEST(test_pages)
{
    over_schedules(1, 3, pages, NULL);
}
END_TEST

static void two_views(void *argument)
{
    UCHAR *block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 2 * PAGE_SIZE, TEST_TAG);
    PMDL mdl = IoAllocateMdl(block, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    UCHAR *view;

    (void)argument;
    MmProbeAndLockPages(mdl, KernelMode, IoModifyAccess);
    ck_assert_uint_ne(mdl->MdlFlags & MDL_PAGES_LOCKED, 0);
    view = MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    block[PAGE_SIZE + 5] = 0x11;
    ck_assert_uint_eq(view[PAGE_SIZE + 5], 0x11); /* one memory, two addresses */
    view[7] = 0x22;
    ck_assert_uint_eq(block[7], 0x22);
    MmUnmapLockedPages(view, mdl);
    MmUnlockPages(mdl);
    ck_assert_uint_eq(mdl->MdlFlags & MDL_PAGES_LOCKED, 0);
    IoFreeMdl(mdl);
    ExFreePoolWithTag(block, TEST_TAG);
}

START_TEST(test_two_views)
{
    guest_run(two_views, NULL);
}
END_TEST

/* ---- contiguous memory ---- */

static void contiguous(void *argument)
{
    PHYSICAL_ADDRESS boundary = {.QuadPart = 8 * PAGE_SIZE};
    UCHAR *block = MmAllocateContiguousMemory(PAGES * PAGE_SIZE, highest);
    PFN_NUMBER first;

    (void)argument;
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq((ULONG_PTR)block % PAGE_SIZE, 0);
    for (unsigned i = 0; i < PAGES; i++)
        ck_assert_uint_eq(frame_of(block + i * PAGE_SIZE), frame_of(block) + i);
    memset(block, 1, PAGES * PAGE_SIZE);
    MmFreeContiguousMemory(block);

    for (unsigned round = 0; round < 8; round++) {
        block = MmAllocateContiguousMemorySpecifyCache(3 * PAGE_SIZE, zero, highest, boundary, MmCached);
        ck_assert_ptr_nonnull(block);
        first = frame_of(block);
        ck_assert_uint_eq(first / 8, (first + 2) / 8); /* does not cross a multiple of the boundary */
        ck_assert_uint_eq(frame_of(block + 2 * PAGE_SIZE), first + 2);
    }
    ck_assert_ptr_null(MmAllocateContiguousMemory((SIZE_T)1 << 40, highest));
    ck_assert_ptr_null(MmAllocateContiguousMemory(PAGE_SIZE, zero)); /* nothing lies below address 0 */
}

START_TEST(test_contiguous)
{
    over_schedules(1, 3, contiguous, NULL);
}
END_TEST

/* ---- broken rules ---- */

static PMDL locked_pages(void)
{
    return MmAllocatePagesForMdlEx(zero, highest, zero, 2 * PAGE_SIZE, MmCached, MM_ALLOCATE_FULLY_REQUIRED);
}

static void use_after_unmap(void *argument)
{
    PMDL mdl = locked_pages();
    volatile UCHAR *mapping = MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);

    (void)argument;
    mapping[0] = 1;
    MmUnmapLockedPages((PVOID)mapping, mdl);
    mapping[0] = 2;
}

static void write_to_read_only(void *argument)
{
    PMDL mdl = locked_pages();
    volatile UCHAR *mapping =
        MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority | MdlMappingNoWrite);

    (void)argument;
    ck_assert_uint_eq(mapping[0], 0);
    mapping[0] = 2;
}

static void mapped_twice(void *argument)
{
    PMDL mdl = locked_pages();

    (void)argument;
    (void)MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    (void)MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
}

static void unmapped_twice(void *argument)
{
    PMDL mdl = locked_pages();
    PVOID mapping = MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);

    (void)argument;
    MmUnmapLockedPages(mapping, mdl);
    MmUnmapLockedPages(mapping, mdl);
}

static void pages_freed_mapped(void *argument)
{
    PMDL mdl = locked_pages();

    (void)argument;
    (void)MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    MmFreePagesFromMdl(mdl);
}

static void pages_freed_twice(void *argument)
{
    PMDL mdl = locked_pages();

    (void)argument;
    MmFreePagesFromMdl(mdl);
    MmFreePagesFromMdl(mdl);
}

static void paged_pool_as_nonpaged(void *argument)
{
    PVOID block = ExAllocatePool2(POOL_FLAG_PAGED, PAGE_SIZE, TEST_TAG);

    (void)argument;
    MmBuildMdlForNonPagedPool(IoAllocateMdl(block, PAGE_SIZE, FALSE, FALSE, NULL));
}

static void unlocked_never_locked(void *argument)
{
    PVOID block = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, TEST_TAG);

    (void)argument;
    MmUnlockPages(IoAllocateMdl(block, PAGE_SIZE, FALSE, FALSE, NULL));
}

static void freed_while_locked(void *argument)
{
    PVOID block = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, TEST_TAG);
    PMDL mdl = IoAllocateMdl(block, PAGE_SIZE, FALSE, FALSE, NULL);

    (void)argument;
    MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
    IoFreeMdl(mdl);
}

static void partial_out_of_range(void *argument)
{
    UCHAR *block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 4 * PAGE_SIZE, TEST_TAG);
    PMDL source = IoAllocateMdl(block, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL target = IoAllocateMdl(block, 4 * PAGE_SIZE, FALSE, FALSE, NULL);

    (void)argument;
    MmBuildMdlForNonPagedPool(source);
    IoBuildPartialMdl(source, target, block + PAGE_SIZE, 2 * PAGE_SIZE);
}

static void contiguous_freed_inside(void *argument)
{
    UCHAR *block = MmAllocateContiguousMemory(2 * PAGE_SIZE, highest);

    (void)argument;
    MmFreeContiguousMemory(block + PAGE_SIZE);
}

static void pool_freed_as_contiguous(void *argument)
{
    (void)argument;
    MmFreeContiguousMemory(ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, TEST_TAG));
}

static const struct {
    void (*function)(void *);
    const char *text; /* of the report, about the address */
} faults[] = {
    {use_after_unmap, "system PTE window with no mapping"},
    {write_to_read_only, "system PTE window page of guest frame"},
};

static const struct {
    void (*function)(void *);
    const char *rule;
} broken[] = {
    {mapped_twice, "mdl-map"},
    {unmapped_twice, "mdl-unmap"},
    {pages_freed_mapped, "mdl-freed-mapped"},
    {pages_freed_twice, "mdl-pages-bad-free"},
    {paged_pool_as_nonpaged, "mdl-build"},
    {unlocked_never_locked, "mdl-unlock"},
    {freed_while_locked, "mdl-freed-locked"},
    {partial_out_of_range, "mdl-partial"},
    {contiguous_freed_inside, "contiguous-bad-free"},
    {pool_freed_as_contiguous, "contiguous-bad-free"},
};

START_TEST(test_fault)
{
    const struct failure *failure = must_break(1, faults[_i].function, "fault");

    ck_assert_msg(strstr(failure->text, faults[_i].text) != NULL, "%s", failure->text);
}
END_TEST

START_TEST(test_broken_rule)
{
    must_break(1, broken[_i].function, broken[_i].rule);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/mdl");
    TCase *tcase = tcase_create("mdl");

    tcase_add_test(tcase, test_physical);
    tcase_add_test(tcase, test_memory_ranges);
    tcase_add_test(tcase, test_build);
    tcase_add_test(tcase, test_partial);
    tcase_add_test(tcase, test_pages);
    tcase_add_test(tcase, test_two_views);
    tcase_add_test(tcase, test_contiguous);
    if (IS_SANITIZED)
        printf("nt/mdl: accesses that fault are left out: the sanitizer reports them itself\n");
    else
        tcase_add_loop_test(tcase, test_fault, 0, (int)RTL_NUMBER_OF(faults));
    tcase_add_loop_test(tcase, test_broken_rule, 0, (int)RTL_NUMBER_OF(broken));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
