/*
 * Physical addresses, contiguous and noncached memory, mappings of physical memory, and what is where:
 * MmGetPhysicalAddress, MmGetVirtualForPhysical, MmGetPhysicalMemoryRanges, MmIsAddressValid,
 * MmAllocateContiguousMemory and its variants, MmAllocateNonCachedMemory, MmMapIoSpace, MmMapIoSpaceEx,
 * MmGetSystemRoutineAddress, MmLockPagableDataSection, MmQuerySystemSize.
 */
#include "nttest.h"

#define PAGES 8

static const PHYSICAL_ADDRESS Zero = {.QuadPart = 0};
static const PHYSICAL_ADDRESS Highest = {.QuadPart = -1};

static LONGLONG PhysicalOf(PVOID Address)
{
    return MmGetPhysicalAddress(Address).QuadPart;
}

/* ---- physical addresses ---- */

static VOID PhysicalAddressOfPool(VOID)
{
    PUCHAR Block = TestAllocate(PAGES * PAGE_SIZE);
    LONGLONG Physical;
    KIRQL Irql;

    REQUIRE(Block != NULL);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Physical = PhysicalOf(Block + 123);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Physical % PAGE_SIZE, 123); /* the offset in the page is the same */
    for (ULONG Index = 0; Index < PAGES; Index++) {
        PHYSICAL_ADDRESS Address = MmGetPhysicalAddress(Block + Index * PAGE_SIZE + 5);

        CHECK(MmGetVirtualForPhysical(Address) == Block + Index * PAGE_SIZE + 5);
        for (ULONG Other = 0; Other < Index; Other++)
            CHECK(PhysicalOf(Block + Other * PAGE_SIZE + 5) != Address.QuadPart);
    }
    TestFree(Block);
}

static VOID VirtualForPhysicalAtDispatchLevel(VOID)
{
    PUCHAR Block = TestAllocate(PAGE_SIZE);
    BOOLEAN Same;
    KIRQL Irql;

    REQUIRE(Block != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Same = MmGetVirtualForPhysical(MmGetPhysicalAddress(Block)) == Block;
    KeLowerIrql(Irql);
    EXPECT_TRUE(Same);
    TestFree(Block);
}

static VOID PhysicalMemoryRanges(VOID)
{
    PPHYSICAL_MEMORY_RANGE Ranges = MmGetPhysicalMemoryRanges();
    PUCHAR Block = TestAllocate(PAGE_SIZE);
    LONGLONG Physical = PhysicalOf(Block);
    BOOLEAN Inside = FALSE;

    REQUIRE(Ranges != NULL);
    EXPECT_TRUE(Ranges[0].NumberOfBytes.QuadPart != 0);
    for (ULONG Index = 0; Ranges[Index].NumberOfBytes.QuadPart != 0; Index++) { /* an entry of zeros ends the list */
        LONGLONG Base = Ranges[Index].BaseAddress.QuadPart;

        CHECK(Base % PAGE_SIZE == 0 && Ranges[Index].NumberOfBytes.QuadPart % PAGE_SIZE == 0);
        if (Physical >= Base && Physical < Base + Ranges[Index].NumberOfBytes.QuadPart)
            Inside = TRUE;
    }
    EXPECT_TRUE(Inside);
    ExFreePool(Ranges);
    TestFree(Block);
}

static VOID AddressValid(VOID)
{
    PUCHAR Block = TestAllocate(PAGE_SIZE);
    BOOLEAN OfBlock;
    BOOLEAN OfNothing;
    KIRQL Irql;

    REQUIRE(Block != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    OfBlock = MmIsAddressValid(Block);
    OfNothing = MmIsAddressValid((PVOID)(ULONG_PTR)0x10);
    KeLowerIrql(Irql);
    EXPECT_TRUE(OfBlock);
    EXPECT_FALSE(OfNothing);
    EXPECT_TRUE(MmIsAddressValid((PVOID)(ULONG_PTR)AddressValid));
    TestFree(Block);
}

/* ---- contiguous memory ---- */

static VOID CheckContiguous(PUCHAR Block, ULONG Pages)
{
    for (ULONG Index = 0; Index < Pages; Index++)
        CHECK(PhysicalOf(Block + Index * PAGE_SIZE) == PhysicalOf(Block) + (LONGLONG)Index * PAGE_SIZE);
    RtlFillMemory(Block, Pages * PAGE_SIZE, 1);
}

static VOID ContiguousMemory(VOID)
{
    PUCHAR Block = MmAllocateContiguousMemory(PAGES * PAGE_SIZE, Highest);

    REQUIRE(Block != NULL);
    EXPECT_EQUAL(BYTE_OFFSET(Block), 0);
    CheckContiguous(Block, PAGES);
    MmFreeContiguousMemory(Block);
    EXPECT_TRUE(MmAllocateContiguousMemory((SIZE_T)1 << 50, Highest) == NULL);
    EXPECT_TRUE(MmAllocateContiguousMemory(PAGE_SIZE, Zero) == NULL); /* no page ends below address 0 */
}

static VOID ContiguousMemoryInItsBoundary(VOID)
{
    PHYSICAL_ADDRESS Boundary = {.QuadPart = 8 * PAGE_SIZE};
    PUCHAR Block[PAGES];

    for (ULONG Index = 0; Index < PAGES; Index++) {
        Block[Index] = MmAllocateContiguousMemorySpecifyCache(3 * PAGE_SIZE, Zero, Highest, Boundary, MmCached);
        REQUIRE(Block[Index] != NULL);
        CheckContiguous(Block[Index], 3);
        CHECK(PhysicalOf(Block[Index]) / Boundary.QuadPart ==
              (PhysicalOf(Block[Index]) + 3 * PAGE_SIZE - 1) / Boundary.QuadPart);
    }
    for (ULONG Index = 0; Index < PAGES; Index++)
        MmFreeContiguousMemorySpecifyCache(Block[Index], 3 * PAGE_SIZE, MmCached);
    EXPECT_TRUE(MmAllocateContiguousMemorySpecifyCache((SIZE_T)1 << 50, Zero, Highest, Zero, MmCached) == NULL);
    EXPECT_TRUE(MmAllocateContiguousMemorySpecifyCache(PAGE_SIZE, Highest, Highest, Zero, MmCached) == NULL);
}

/* The pages on the allocating and freeing routines allow DISPATCH_LEVEL. */
static VOID ContiguousMemoryAtDispatchLevel(VOID)
{
    PVOID First;
    PVOID Second;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    First = MmAllocateContiguousMemory(PAGE_SIZE, Highest);
    Second = MmAllocateContiguousMemorySpecifyCache(PAGE_SIZE, Zero, Highest, Zero, MmNonCached);
    if (First != NULL)
        MmFreeContiguousMemory(First);
    if (Second != NULL)
        MmFreeContiguousMemorySpecifyCache(Second, PAGE_SIZE, MmNonCached);
    KeLowerIrql(Irql);
    EXPECT_TRUE(First != NULL);
    EXPECT_TRUE(Second != NULL);
}

/* mov eax, 42; ret. (With memory integrity Windows executes no memory of this kind.) */
static const UCHAR Code[] = {0xB8, 42, 0, 0, 0, 0xC3};
typedef ULONG NTAPI CODE(VOID);

typedef PVOID NTAPI CACHE_NODE(SIZE_T, PHYSICAL_ADDRESS, PHYSICAL_ADDRESS, PHYSICAL_ADDRESS, MEMORY_CACHING_TYPE,
                               ULONG);
typedef PVOID NTAPI CONTIGUOUS_NODE(SIZE_T, PHYSICAL_ADDRESS, PHYSICAL_ADDRESS, PHYSICAL_ADDRESS, ULONG, ULONG);

/*
 * By name: MmAllocateContiguousMemorySpecifyCacheNode, MmAllocateContiguousNodeMemory. MM_ANY_NODE_OK prefers nothing.
 */
static VOID ContiguousMemoryOfANode(VOID)
{
    UNICODE_STRING CacheName = RTL_CONSTANT_STRING(L"MmAllocateContiguousMemorySpecifyCacheNode");
    UNICODE_STRING NodeName = RTL_CONSTANT_STRING(L"MmAllocateContiguousNodeMemory");
    CACHE_NODE *OfCache = (CACHE_NODE *)(ULONG_PTR)MmGetSystemRoutineAddress(&CacheName);
    CONTIGUOUS_NODE *OfNode = (CONTIGUOUS_NODE *)(ULONG_PTR)MmGetSystemRoutineAddress(&NodeName);
    ULONG AnyNode = 0x80000000u;
    PUCHAR First;
    PUCHAR Second;
    KIRQL Irql;

    REQUIRE(OfCache != NULL && OfNode != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    First = OfCache(2 * PAGE_SIZE, Zero, Highest, Zero, MmCached, AnyNode);
    Second = OfNode(2 * PAGE_SIZE, Zero, Highest, Zero, PAGE_READWRITE, 0);
    KeLowerIrql(Irql);
    REQUIRE(First != NULL && Second != NULL);
    CheckContiguous(First, 2);
    CheckContiguous(Second, 2);
    MmFreeContiguousMemory(First);
    MmFreeContiguousMemory(Second);
    EXPECT_TRUE(OfCache((SIZE_T)1 << 50, Zero, Highest, Zero, MmCached, AnyNode) == NULL);
    EXPECT_TRUE(OfNode((SIZE_T)1 << 50, Zero, Highest, Zero, PAGE_READWRITE, 0) == NULL);
}

static VOID ContiguousMemoryExecuted(VOID)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"MmAllocateContiguousNodeMemory");
    CONTIGUOUS_NODE *OfNode = (CONTIGUOUS_NODE *)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
    PUCHAR Memory;

    REQUIRE(OfNode != NULL);
    Memory = OfNode(2 * PAGE_SIZE, Zero, Highest, Zero, PAGE_EXECUTE_READWRITE, 0);
    REQUIRE(Memory != NULL);
    RtlCopyMemory(Memory + PAGE_SIZE, Code, sizeof(Code));
    EXPECT_EQUAL(((CODE *)(ULONG_PTR)(Memory + PAGE_SIZE))(), 42);
    MmFreeContiguousMemory(Memory);
}

static VOID ContiguousFreedInside(VOID)
{
    MmFreeContiguousMemory((PUCHAR)MmAllocateContiguousMemory(2 * PAGE_SIZE, Highest) + PAGE_SIZE);
}

static VOID ContiguousFreedPool(VOID)
{
    MmFreeContiguousMemory(TestAllocate(PAGE_SIZE));
}

static VOID ContiguousFreedAsAnotherSize(VOID)
{
    MmFreeContiguousMemorySpecifyCache(
        MmAllocateContiguousMemorySpecifyCache(2 * PAGE_SIZE, Zero, Highest, Zero, MmCached), PAGE_SIZE, MmCached);
}

/* ---- noncached memory ---- */

static VOID NonCachedMemory(VOID)
{
    PUCHAR Block;
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    Block = MmAllocateNonCachedMemory(2 * PAGE_SIZE);
    if (Block != NULL) {
        Block[2 * PAGE_SIZE - 1] = 7;
        MmFreeNonCachedMemory(Block, 2 * PAGE_SIZE);
    }
    KeLowerIrql(Irql);
    EXPECT_TRUE(Block != NULL);
    EXPECT_EQUAL(BYTE_OFFSET(Block), 0);
    EXPECT_TRUE(MmAllocateNonCachedMemory((SIZE_T)1 << 50) == NULL);
}

static VOID NonCachedFreedAsAnotherSize(VOID)
{
    MmFreeNonCachedMemory(MmAllocateNonCachedMemory(2 * PAGE_SIZE), PAGE_SIZE);
}

/* ---- mappings of physical memory ---- */

static VOID IoSpaceMapped(VOID)
{
    PUCHAR Block = MmAllocateContiguousMemory(PAGE_SIZE, Highest);
    PHYSICAL_ADDRESS Physical;
    PUCHAR View;
    UCHAR Seen = 0;
    KIRQL Irql;

    REQUIRE(Block != NULL);
    Physical.QuadPart = PhysicalOf(Block) + 16;
    Block[16] = 0x66;
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    View = MmMapIoSpace(Physical, 32, MmCached);
    if (View != NULL) {
        Seen = View[0];
        View[1] = 0x67;
        MmUnmapIoSpace(View, 32);
    }
    KeLowerIrql(Irql);
    REQUIRE(View != NULL);
    EXPECT_EQUAL(BYTE_OFFSET(View), 16); /* the address that was asked for, not its page's */
    EXPECT_EQUAL(Seen, 0x66);
    EXPECT_EQUAL(Block[17], 0x67);
    MmFreeContiguousMemory(Block);
    /* What a processor cannot address cannot be mapped. */
    EXPECT_TRUE(MmMapIoSpace(Highest, PAGE_SIZE, MmNonCached) == NULL);
}

typedef PVOID NTAPI MAP_IO_SPACE_EX(PHYSICAL_ADDRESS, SIZE_T, ULONG);

/* MmMapIoSpaceEx, by name: since Windows 10. */
static VOID IoSpaceMappedByProtection(VOID)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"MmMapIoSpaceEx");
    MAP_IO_SPACE_EX *Map = (MAP_IO_SPACE_EX *)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
    PUCHAR Block = MmAllocateContiguousMemory(PAGE_SIZE, Highest);
    PHYSICAL_ADDRESS Physical;
    PUCHAR View;
    UCHAR Seen = 0;
    KIRQL Irql;

    REQUIRE(Map != NULL && Block != NULL);
    Physical.QuadPart = PhysicalOf(Block);
    Block[3] = 0x68;
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    View = Map(Physical, PAGE_SIZE, PAGE_READONLY);
    if (View != NULL) {
        Seen = View[3];
        MmUnmapIoSpace(View, PAGE_SIZE);
    }
    KeLowerIrql(Irql);
    EXPECT_TRUE(View != NULL);
    EXPECT_EQUAL(Seen, 0x68);
    EXPECT_TRUE(Map(Physical, PAGE_SIZE, PAGE_READWRITE | PAGE_NOCACHE | PAGE_WRITECOMBINE) == NULL); /* not both */
    MmFreeContiguousMemory(Block);
}

/* Device memory is data: the executable protections are there for it all the same. */
static VOID IoSpaceExecuted(VOID)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"MmMapIoSpaceEx");
    MAP_IO_SPACE_EX *Map = (MAP_IO_SPACE_EX *)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
    PUCHAR Block = MmAllocateContiguousMemory(PAGE_SIZE, Highest);
    PHYSICAL_ADDRESS Physical;
    PUCHAR View;

    REQUIRE(Map != NULL && Block != NULL);
    RtlCopyMemory(Block + 0x20, Code, sizeof(Code));
    Physical.QuadPart = PhysicalOf(Block) + 0x20;
    View = Map(Physical, sizeof(Code), PAGE_EXECUTE_READ);
    EXPECT_TRUE(View != NULL);
    if (View != NULL) {
        EXPECT_EQUAL(((CODE *)(ULONG_PTR)View)(), 42);
        MmUnmapIoSpace(View, sizeof(Code));
    }
    View = Map(Physical, sizeof(Code), PAGE_EXECUTE_READWRITE);
    EXPECT_TRUE(View != NULL);
    if (View != NULL) {
        View[1] = 43;
        EXPECT_EQUAL(((CODE *)(ULONG_PTR)View)(), 43);
        MmUnmapIoSpace(View, sizeof(Code));
    }
    MmFreeContiguousMemory(Block);
}

static VOID IoSpaceUnmappedTwice(VOID)
{
    PHYSICAL_ADDRESS Physical = MmGetPhysicalAddress(MmAllocateContiguousMemory(PAGE_SIZE, Highest));
    PVOID View = MmMapIoSpace(Physical, PAGE_SIZE, MmCached);

    MmUnmapIoSpace(View, PAGE_SIZE);
    MmUnmapIoSpace(View, PAGE_SIZE);
}

/* ---- the kernel and images ---- */

static VOID SystemRoutineByName(VOID)
{
    UNICODE_STRING Known = RTL_CONSTANT_STRING(L"KeSetEvent");
    UNICODE_STRING Unknown = RTL_CONSTANT_STRING(L"KeSetNoSuchEvent");
    LONG(NTAPI * Set)(PRKEVENT, KPRIORITY, BOOLEAN);
    KEVENT Event;

    Set = (LONG(NTAPI *)(PRKEVENT, KPRIORITY, BOOLEAN))(ULONG_PTR)MmGetSystemRoutineAddress(&Known);
    REQUIRE(Set != NULL);
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    EXPECT_EQUAL(Set(&Event, IO_NO_INCREMENT, FALSE), 0); /* it is that routine */
    EXPECT_TRUE(KeReadStateEvent(&Event) != 0);
    EXPECT_TRUE(MmGetSystemRoutineAddress(&Unknown) == NULL);
}

static VOID Pageable(VOID)
{
}

/* Each lock has its unlock; the handle of a section is the same every time. */
static VOID SectionsLocked(VOID)
{
    PVOID First;
    PVOID Second;
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    First = MmLockPagableDataSection((PVOID)(ULONG_PTR)Pageable);
    Second = MmLockPagableCodeSection((PVOID)(ULONG_PTR)Pageable);
    KeLowerIrql(Irql);
    EXPECT_TRUE(First != NULL);
    EXPECT_TRUE(First == Second);
    Pageable();
    KeRaiseIrql(APC_LEVEL, &Irql);
    MmUnlockPagableImageSection(Second);
    MmUnlockPagableImageSection(First);
    KeLowerIrql(Irql);
}

static VOID SectionUnlockedTwice(VOID)
{
    PVOID Section = MmLockPagableDataSection((PVOID)(ULONG_PTR)Pageable);

    MmUnlockPagableImageSection(Section);
    MmUnlockPagableImageSection(Section);
}

/* The base of the image comes back, and the driver goes on running whatever it says of its paging. */
static VOID DriverPagedAndReset(VOID)
{
    PVOID Base = MmPageEntireDriver((PVOID)(ULONG_PTR)DriverPagedAndReset);

    EXPECT_TRUE(Base != NULL);
    EXPECT_TRUE((ULONG_PTR)Base < (ULONG_PTR)DriverPagedAndReset);
    MmResetDriverPaging((PVOID)(ULONG_PTR)DriverPagedAndReset);
}

static VOID SystemSize(VOID)
{
    MM_SYSTEMSIZE Size;
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Size = MmQuerySystemSize();
    KeLowerIrql(Irql);
    EXPECT_TRUE(Size == MmSmallSystem || Size == MmMediumSystem || Size == MmLargeSystem);
}

TEST_TABLE(mm_memory){TEST(PhysicalAddressOfPool, TEST_SCHEDULES),
                      TEST(VirtualForPhysicalAtDispatchLevel, 0),
                      TEST(PhysicalMemoryRanges, 0),
                      TEST(AddressValid, 0),
                      TEST(ContiguousMemory, TEST_SCHEDULES),
                      TEST(ContiguousMemoryInItsBoundary, 0),
                      TEST(ContiguousMemoryAtDispatchLevel, 0),
                      TEST(ContiguousMemoryOfANode, 0),
                      TEST(ContiguousMemoryExecuted, 0),
                      TEST(IoSpaceExecuted, 0),
                      TEST_VIOLATION(ContiguousFreedInside, "contiguous-bad-free", 0xC2),
                      TEST_VIOLATION(ContiguousFreedPool, "contiguous-bad-free", 0xC2),
                      TEST_VIOLATION(ContiguousFreedAsAnotherSize, "contiguous-bad-free", 0xC4),
                      TEST(NonCachedMemory, 0),
                      TEST_VIOLATION(NonCachedFreedAsAnotherSize, "contiguous-bad-free", 0xC4),
                      TEST(IoSpaceMapped, 0),
                      TEST(IoSpaceMappedByProtection, 0),
                      TEST_VIOLATION(IoSpaceUnmappedTwice, "iospace-unmap", 0xC4),
                      TEST(SystemRoutineByName, 0),
                      TEST(SectionsLocked, 0),
                      TEST_VIOLATION(SectionUnlockedTwice, "section-unlock", 0xC4),
                      TEST(DriverPagedAndReset, 0),
                      TEST(SystemSize, 0),
                      TEST_END};
