/* Guest frames behind virtual addresses: a seeded permutation, so that virtual contiguity is not taken for physical. */
#include "../nt-host/guest_threads.h"

#include "machine/guest_ram.h"

#define PAGES 16

static PFN_NUMBER frame_of(void *address)
{
    return (PFN_NUMBER)(MmGetPhysicalAddress(address).QuadPart >> PAGE_SHIFT);
}

static void permuted(void *argument)
{
    UCHAR *block = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGES * PAGE_SIZE, TEST_TAG);
    unsigned in_a_row = 0;

    (void)argument;
    for (unsigned i = 1; i < PAGES; i++)
        in_a_row += frame_of(block + i * PAGE_SIZE) == frame_of(block + (i - 1) * PAGE_SIZE) + 1;
    ck_assert_uint_lt(in_a_row, PAGES / 2);
    ExFreePoolWithTag(block, TEST_TAG);
}

START_TEST(test_permuted)
{
    over_schedules(1, 5, permuted, NULL);
}
END_TEST

static void ranges_are_the_ram(void *argument)
{
    PPHYSICAL_MEMORY_RANGE ranges = MmGetPhysicalMemoryRanges();
    LONGLONG total = 0;

    (void)argument;
    for (unsigned i = 0; ranges[i].NumberOfBytes.QuadPart != 0; i++)
        total += ranges[i].NumberOfBytes.QuadPart;
    ck_assert_int_eq(total, (LONGLONG)guest_ram_pages() * PAGE_SIZE);
    ExFreePool(ranges);
}

START_TEST(test_ranges_are_the_ram)
{
    guest_run(ranges_are_the_ram, NULL);
}
END_TEST

/* What a fault report says of an address: a mapping that is gone, and one that may not be written. */
static void after_unmap(void *argument)
{
    static const PHYSICAL_ADDRESS zero = {.QuadPart = 0};
    static const PHYSICAL_ADDRESS highest = {.QuadPart = -1};
    bool read_only = argument != NULL;
    PMDL mdl = MmAllocatePagesForMdlEx(zero, highest, zero, 2 * PAGE_SIZE, MmCached, MM_ALLOCATE_FULLY_REQUIRED);
    volatile UCHAR *view = MmMapLockedPagesSpecifyCache(mdl, KernelMode, MmCached, NULL, FALSE,
                                                        NormalPagePriority | (read_only ? MdlMappingNoWrite : 0));

    if (!read_only)
        MmUnmapLockedPages((PVOID)view, mdl);
    view[0] = 1;
}

START_TEST(test_fault_report)
{
    static const char *const texts[] = {"system PTE window with no mapping", "system PTE window page of guest frame"};
    struct machine_config config = guest_config(1);
    const struct failure *failure;

    config.log_level = LOG_NONE;
    failure = guest_must_fail(&config, after_unmap, _i == 0 ? NULL : "read-only", "fault");
    ck_assert_msg(strstr(failure->text, texts[_i]) != NULL, "%s", failure->text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("machine/frames");
    TCase *tcase = tcase_create("frames");

    tcase_add_test(tcase, test_permuted);
    tcase_add_test(tcase, test_ranges_are_the_ram);
    if (!IS_SANITIZED)
        tcase_add_loop_test(tcase, test_fault_report, 0, 2);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
