/* MmProtectMdlSystemAddress; MmAddPhysicalMemory and MmRemovePhysicalMemory, of which the pages say next to nothing. */
#include "nttest.h"

#if defined(__MINGW32__) /* its driver headers (version 10) lack most of these */
TEST_TABLE(mm_hotplug){TEST_END};
#else

/* ---- protection ---- */

#define PAGES 2

static PMDL MakeSomePages(ULONG Count)
{
    PHYSICAL_ADDRESS Low = {.QuadPart = 0}, High = {.QuadPart = -1}, Skip = {.QuadPart = 0};
    PMDL Mdl = MmAllocatePagesForMdlEx(Low, High, Skip, Count * PAGE_SIZE, MmCached, MM_ALLOCATE_FULLY_REQUIRED);

    CHECK(Mdl != NULL);
    return Mdl;
}

static PMDL MakePages(VOID)
{
    return MakeSomePages(PAGES);
}

static VOID FreePages(PMDL Mdl)
{
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl);
}

static VOID ProtectionOfAMapping(VOID)
{
    static const ULONG Protections[] = {PAGE_EXECUTE,  PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE,
                                        PAGE_NOACCESS, PAGE_READONLY,     PAGE_READWRITE};
    PMDL Mdl = MakePages();
    volatile UCHAR *View;

    REQUIRE(Mdl != NULL);
    View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    REQUIRE(View != NULL);
    View[0] = 7;
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Protections); Index++)
        CHECK(MmProtectMdlSystemAddress(Mdl, Protections[Index]) == STATUS_SUCCESS);
    EXPECT_STATUS(MmProtectMdlSystemAddress(Mdl, PAGE_READONLY), STATUS_SUCCESS);
    EXPECT_EQUAL(View[0], 7);
    EXPECT_STATUS(MmProtectMdlSystemAddress(Mdl, PAGE_READWRITE), STATUS_SUCCESS);
    View[PAGE_SIZE] = 8;
    EXPECT_EQUAL(View[PAGE_SIZE], 8);
    EXPECT_STATUS(MmProtectMdlSystemAddress(Mdl, 0), STATUS_INVALID_PAGE_PROTECTION);
    EXPECT_STATUS(MmProtectMdlSystemAddress(Mdl, PAGE_READONLY | PAGE_READWRITE), STATUS_INVALID_PAGE_PROTECTION);
    MmUnmapLockedPages((PVOID)(ULONG_PTR)View, Mdl);
    EXPECT_STATUS(MmProtectMdlSystemAddress(Mdl, PAGE_READONLY), STATUS_NOT_MAPPED_VIEW);
    FreePages(Mdl);
}

static VOID ProtectionOfOnePage(VOID)
{
    PMDL Mdl = MakeSomePages(1);
    volatile UCHAR *View;

    REQUIRE(Mdl != NULL);
    View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    REQUIRE(View != NULL);
    View[5] = 9;
    EXPECT_STATUS(MmProtectMdlSystemAddress(Mdl, PAGE_READONLY), STATUS_SUCCESS);
    EXPECT_EQUAL(View[5], 9);
    MmUnmapLockedPages((PVOID)(ULONG_PTR)View, Mdl);
    View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    REQUIRE(View != NULL);
    View[5] = 10; /* the protection went with the mapping */
    EXPECT_EQUAL(View[5], 10);
    MmUnmapLockedPages((PVOID)(ULONG_PTR)View, Mdl);
    FreePages(Mdl);
}

static VOID WriteToAReadOnlyPage(VOID)
{
    PMDL Mdl = MakeSomePages(1);
    volatile UCHAR *View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);

    (VOID) MmProtectMdlSystemAddress(Mdl, PAGE_READONLY);
    View[0] = 1;
}

static VOID ProtectionAtDispatchLevel(VOID)
{
    PMDL Mdl = MakePages();
    NTSTATUS Status;
    KIRQL Irql;

    REQUIRE(Mdl != NULL);
    REQUIRE(MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority) != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Status = MmProtectMdlSystemAddress(Mdl, PAGE_READONLY);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status, STATUS_SUCCESS);
    MmUnmapLockedPages(Mdl->MappedSystemVa, Mdl);
    FreePages(Mdl);
}

static volatile UCHAR *Protected(ULONG Protection)
{
    PMDL Mdl = MakePages();
    volatile UCHAR *View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);

    (VOID) MmProtectMdlSystemAddress(Mdl, Protection);
    return View;
}

static VOID WriteToAReadOnlyMapping(VOID)
{
    Protected(PAGE_READONLY)[PAGE_SIZE] = 1;
}

static VOID ReadOfAHiddenMapping(VOID)
{
    volatile UCHAR Byte = Protected(PAGE_NOACCESS)[0];

    UNREFERENCED_PARAMETER(Byte);
}

/* ---- memory that comes and goes ---- */

static ULONG64 MemoryBytes(VOID)
{
    PPHYSICAL_MEMORY_RANGE Ranges = MmGetPhysicalMemoryRanges();
    ULONG64 Bytes = 0;

    CHECK(Ranges != NULL);
    for (ULONG Index = 0; Ranges != NULL && Ranges[Index].NumberOfBytes.QuadPart != 0; Index++)
        Bytes += (ULONG64)Ranges[Index].NumberOfBytes.QuadPart;
    if (Ranges != NULL)
        ExFreePool(Ranges);
    return Bytes;
}

/* A frame that nobody uses: where a contiguous allocation was. */
static PHYSICAL_ADDRESS FreeFrame(VOID)
{
    PHYSICAL_ADDRESS Highest = {.QuadPart = -1}, Address = {.QuadPart = 0};
    PVOID Page = MmAllocateContiguousMemory(PAGE_SIZE, Highest);

    CHECK(Page != NULL);
    if (Page != NULL) {
        Address = MmGetPhysicalAddress(Page);
        MmFreeContiguousMemory(Page);
    }
    return Address;
}

static VOID MemoryTakenAwayAndBroughtBack(VOID)
{
    LARGE_INTEGER Bytes = {.QuadPart = PAGE_SIZE};
    PHYSICAL_ADDRESS Frame = FreeFrame();
    ULONG64 Before = MemoryBytes();

    EXPECT_STATUS(MmAddPhysicalMemory(&Frame, &Bytes), STATUS_CONFLICTING_ADDRESSES);
    EXPECT_STATUS(MmRemovePhysicalMemory(&Frame, &Bytes), STATUS_SUCCESS);
    EXPECT_EQUAL(Before - MemoryBytes(), PAGE_SIZE);
    EXPECT_STATUS(MmAddPhysicalMemory(&Frame, &Bytes), STATUS_SUCCESS);
    EXPECT_EQUAL(Before - MemoryBytes(), 0);
}

/* The pages have no statuses; these are the ones that Windows' other routines give for such arguments. */
static VOID MemoryOfBadRanges(VOID)
{
    LARGE_INTEGER Bytes = {.QuadPart = PAGE_SIZE}, Odd = {.QuadPart = 17}, None = {.QuadPart = 0};
    PHYSICAL_ADDRESS Frame = FreeFrame(), Nowhere = {.QuadPart = 0};

    EXPECT_STATUS(MmRemovePhysicalMemory(&Frame, &Odd), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(MmAddPhysicalMemory(&Frame, &Odd), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(MmRemovePhysicalMemory(&Frame, &None), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(MmAddPhysicalMemory(&Frame, &None), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(MmRemovePhysicalMemory(&Nowhere, &Bytes), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(MmAddPhysicalMemory(&Nowhere, &Bytes), STATUS_INVALID_PARAMETER);
}

static VOID MemoryInUseStays(VOID)
{
    LARGE_INTEGER Bytes = {.QuadPart = PAGE_SIZE};
    PHYSICAL_ADDRESS Highest = {.QuadPart = -1}, Frame;
    PVOID Page = MmAllocateContiguousMemory(PAGE_SIZE, Highest);
    ULONG64 Before = MemoryBytes();

    REQUIRE(Page != NULL);
    Frame = MmGetPhysicalAddress(Page);
    EXPECT_STATUS(MmRemovePhysicalMemory(&Frame, &Bytes), STATUS_NO_MEMORY);
    EXPECT_EQUAL(Before - MemoryBytes(), 0);
    MmFreeContiguousMemory(Page);
}

static VOID MemoryAtApcLevel(VOID)
{
    LARGE_INTEGER Bytes = {.QuadPart = PAGE_SIZE};
    PHYSICAL_ADDRESS Frame = FreeFrame();
    NTSTATUS Removed, Added;
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    Removed = MmRemovePhysicalMemory(&Frame, &Bytes);
    Added = MmAddPhysicalMemory(&Frame, &Bytes);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Removed, STATUS_SUCCESS);
    EXPECT_STATUS(Added, STATUS_SUCCESS);
}

TEST_TABLE(mm_hotplug){TEST(ProtectionOfAMapping, 0),
                       TEST(ProtectionAtDispatchLevel, 0),
                       TEST(ProtectionOfOnePage, 0),
                       TEST_VIOLATION(WriteToAReadOnlyMapping, "fault", 0x50),
                       TEST_VIOLATION(WriteToAReadOnlyPage, "fault", 0x50),
                       TEST_VIOLATION(ReadOfAHiddenMapping, "fault", 0x50),
                       TEST(MemoryTakenAwayAndBroughtBack, 0),
                       TEST(MemoryOfBadRanges, 0),
                       TEST(MemoryInUseStays, 0),
                       TEST(MemoryAtApcLevel, 0),
                       TEST_END};
#endif
