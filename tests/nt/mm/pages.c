/*
 * Pages without an address: MmAllocatePagesForMdl, MmAllocatePagesForMdlEx, MmAllocateNodePagesForMdlEx,
 * MmFreePagesFromMdl.
 */
#include "nttest.h"

#define PAGES 16

#ifdef __MINGW32__
#define MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS 0x00000020
#endif

static const PHYSICAL_ADDRESS Zero = {.QuadPart = 0};
static const PHYSICAL_ADDRESS Highest = {.QuadPart = -1};

static BOOLEAN AllAre(const UCHAR *Bytes, UCHAR Value, SIZE_T Size)
{
    for (SIZE_T Index = 0; Index < Size; Index++)
        if (Bytes[Index] != Value)
            return FALSE;
    return TRUE;
}

static VOID Free(PMDL Mdl)
{
    MmFreePagesFromMdl(Mdl);
    ExFreePool(Mdl); /* the MDL itself is pool */
}

static VOID PagesZeroedAndKept(VOID)
{
    PMDL Mdl = MmAllocatePagesForMdlEx(Zero, Highest, Zero, PAGES * PAGE_SIZE, MmCached, MM_ALLOCATE_FULLY_REQUIRED);
    PUCHAR View;

    REQUIRE(Mdl != NULL);
    EXPECT_EQUAL(MmGetMdlByteCount(Mdl), PAGES * PAGE_SIZE);
    EXPECT_EQUAL(MmGetMdlByteOffset(Mdl), 0);
    View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    REQUIRE(View != NULL);
    for (ULONG Index = 0; Index < PAGES; Index++)
        CHECK((PFN_NUMBER)(MmGetPhysicalAddress(View + Index * PAGE_SIZE).QuadPart >> PAGE_SHIFT) ==
              MmGetMdlPfnArray(Mdl)[Index]);
    EXPECT_TRUE(AllAre(View, 0, PAGES * PAGE_SIZE));
    RtlFillMemory(View, PAGES * PAGE_SIZE, 0x5A);
    MmUnmapLockedPages(View, Mdl);
    View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    REQUIRE(View != NULL);
    EXPECT_TRUE(AllAre(View, 0x5A, PAGES * PAGE_SIZE)); /* the pages keep what they hold, whatever maps them */
    MmUnmapLockedPages(View, Mdl);
    Free(Mdl);
}

static VOID PagesOfTheShortForm(VOID)
{
    PMDL Mdl = MmAllocatePagesForMdl(Zero, Highest, Zero, 2 * PAGE_SIZE);
    PUCHAR View;

    REQUIRE(Mdl != NULL);
    EXPECT_EQUAL(MmGetMdlByteCount(Mdl), 2 * PAGE_SIZE);
    View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    REQUIRE(View != NULL);
    EXPECT_TRUE(AllAre(View, 0, 2 * PAGE_SIZE));
    MmUnmapLockedPages(View, Mdl);
    Free(Mdl);
}

/* Under the highest address that the caller can use. */
static VOID PagesInARange(VOID)
{
    PPHYSICAL_MEMORY_RANGE Ranges = MmGetPhysicalMemoryRanges();
    PHYSICAL_ADDRESS Limit;
    PMDL Mdl;

    REQUIRE(Ranges != NULL);
    Limit.QuadPart = Ranges[0].BaseAddress.QuadPart + Ranges[0].NumberOfBytes.QuadPart - 1;
    ExFreePool(Ranges);
    Mdl = MmAllocatePagesForMdlEx(Zero, Limit, Zero, PAGES * PAGE_SIZE, MmCached, 0);
    if (Mdl == NULL)
        return; /* that range may be in use to the last page on Windows */
    for (ULONG Index = 0; Index < MmGetMdlByteCount(Mdl) / PAGE_SIZE; Index++)
        CHECK((LONGLONG)(MmGetMdlPfnArray(Mdl)[Index] << PAGE_SHIFT) <= Limit.QuadPart);
    Free(Mdl);
}

/* MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS: SkipBytes is the size of a chunk. */
static VOID PagesInChunks(VOID)
{
    PHYSICAL_ADDRESS Chunk = {.QuadPart = 4 * PAGE_SIZE};
    PMDL Mdl = MmAllocatePagesForMdlEx(Zero, Highest, Chunk, PAGES * PAGE_SIZE, MmCached,
                                       MM_ALLOCATE_FULLY_REQUIRED | MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS);

    REQUIRE(Mdl != NULL);
    for (ULONG Index = 0; Index < PAGES; Index++)
        CHECK(Index % 4 == 0 || MmGetMdlPfnArray(Mdl)[Index] == MmGetMdlPfnArray(Mdl)[Index - 1] + 1);
    EXPECT_EQUAL(MmGetMdlByteCount(Mdl), PAGES * PAGE_SIZE);
    Free(Mdl);
}

/* More than there is: NULL if all of it is required, else what there is (and that would be all of memory: not tried).
 */
static VOID PagesMoreThanThereAre(VOID)
{
    EXPECT_TRUE(MmAllocatePagesForMdlEx(Zero, Highest, Zero, (SIZE_T)1 << 50, MmCached, MM_ALLOCATE_FULLY_REQUIRED) ==
                NULL);
    EXPECT_TRUE(MmAllocatePagesForMdl(Highest, Highest, Zero, PAGE_SIZE) == NULL); /* nothing is up there */
}

static VOID PagesAtDispatchLevel(VOID)
{
    PMDL First;
    PMDL Second;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    First = MmAllocatePagesForMdl(Zero, Highest, Zero, PAGE_SIZE);
    Second = MmAllocatePagesForMdlEx(Zero, Highest, Zero, PAGE_SIZE, MmCached, MM_ALLOCATE_NO_WAIT);
    if (First != NULL)
        Free(First);
    if (Second != NULL)
        Free(Second);
    KeLowerIrql(Irql);
    EXPECT_TRUE(First != NULL);
    EXPECT_TRUE(Second != NULL);
}

typedef PMDL NTAPI NODE_PAGES(PHYSICAL_ADDRESS, PHYSICAL_ADDRESS, PHYSICAL_ADDRESS, SIZE_T, MEMORY_CACHING_TYPE, ULONG,
                              ULONG);

/* MmAllocateNodePagesForMdlEx, by name: Windows has had it since Windows 8, mingw-w64 does not. */
static VOID PagesOfANode(VOID)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"MmAllocateNodePagesForMdlEx");
    NODE_PAGES *Allocate = (NODE_PAGES *)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
    PMDL Mdl;
    KIRQL Irql;

    REQUIRE(Allocate != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Mdl = Allocate(Zero, Highest, Zero, 2 * PAGE_SIZE, MmCached, 0, MM_ALLOCATE_FULLY_REQUIRED);
    if (Mdl != NULL)
        Free(Mdl);
    KeLowerIrql(Irql);
    EXPECT_TRUE(Mdl != NULL);
    EXPECT_TRUE(Allocate(Zero, Highest, Zero, (SIZE_T)1 << 50, MmCached, 0, MM_ALLOCATE_FULLY_REQUIRED) == NULL);
}

static PMDL TwoPages(VOID)
{
    return MmAllocatePagesForMdlEx(Zero, Highest, Zero, 2 * PAGE_SIZE, MmCached, MM_ALLOCATE_FULLY_REQUIRED);
}

static VOID PagesFreedMapped(VOID)
{
    PMDL Mdl = TwoPages();

    (VOID) MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    MmFreePagesFromMdl(Mdl);
}

static VOID PagesFreedTwice(VOID)
{
    PMDL Mdl = TwoPages();

    MmFreePagesFromMdl(Mdl);
    MmFreePagesFromMdl(Mdl);
}

TEST_TABLE(mm_pages){TEST(PagesZeroedAndKept, TEST_SCHEDULES),
                     TEST(PagesOfTheShortForm, 0),
                     TEST(PagesInARange, 0),
                     TEST(PagesInChunks, 0),
                     TEST(PagesMoreThanThereAre, 0),
                     TEST(PagesAtDispatchLevel, 0),
                     TEST(PagesOfANode, 0),
                     TEST_VIOLATION(PagesFreedMapped, "mdl-freed-mapped", 0xC4),
                     TEST_VIOLATION(PagesFreedTwice, "mdl-pages-bad-free", 0xC4),
                     TEST_END};
