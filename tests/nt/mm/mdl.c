/*
 * MDLs: "Using MDLs", MmInitializeMdl, MmSizeOfMdl, MmBuildMdlForNonPagedPool, MmProbeAndLockPages, MmUnlockPages,
 * MmMapLockedPagesSpecifyCache, MmUnmapLockedPages, MmGetSystemAddressForMdlSafe, MmPrepareMdlForReuse.
 */
#include "nttest.h"

#define PAGES 3

static PFN_NUMBER FrameOf(PVOID Address)
{
    return (PFN_NUMBER)(MmGetPhysicalAddress(Address).QuadPart >> PAGE_SHIFT);
}

/* ---- what an MDL says ---- */

static VOID MdlSize(VOID)
{
    PUCHAR Base = (PUCHAR)(ULONG_PTR)0x10000;

    EXPECT_EQUAL(MmSizeOfMdl(Base, 1) - sizeof(MDL), sizeof(PFN_NUMBER));
    EXPECT_EQUAL(MmSizeOfMdl(Base, PAGE_SIZE) - sizeof(MDL), sizeof(PFN_NUMBER));
    EXPECT_EQUAL(MmSizeOfMdl(Base, PAGE_SIZE + 1) - sizeof(MDL), 2 * sizeof(PFN_NUMBER));
    EXPECT_EQUAL(MmSizeOfMdl(Base + PAGE_SIZE - 1, 2) - sizeof(MDL), 2 * sizeof(PFN_NUMBER)); /* spans two pages */
}

static VOID MdlSizeAtHighLevel(VOID)
{
    SIZE_T Size;
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Size = MmSizeOfMdl(NULL, PAGE_SIZE);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Size - sizeof(MDL), sizeof(PFN_NUMBER));
}

/* The macros are stores and loads: any IRQL. */
static VOID MdlInitialized(VOID)
{
    union {
        MDL Mdl;
        UCHAR Space[sizeof(MDL) + 2 * sizeof(PFN_NUMBER)];
    } Block;
    PUCHAR Address = (PUCHAR)(ULONG_PTR)0x10064;
    PMDL Mdl = &Block.Mdl;
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    MmInitializeMdl(Mdl, Address, PAGE_SIZE);
    KeLowerIrql(Irql);
    EXPECT_TRUE(Mdl->Next == NULL);
    EXPECT_EQUAL(Mdl->MdlFlags, 0);
    EXPECT_EQUAL(Mdl->Size, sizeof(MDL) + 2 * sizeof(PFN_NUMBER));
    EXPECT_TRUE(MmGetMdlVirtualAddress(Mdl) == Address);
    EXPECT_TRUE(MmGetMdlBaseVa(Mdl) == Address - 0x64);
    EXPECT_EQUAL(MmGetMdlByteCount(Mdl), PAGE_SIZE);
    EXPECT_EQUAL(MmGetMdlByteOffset(Mdl), 0x64);
    EXPECT_TRUE((PUCHAR)MmGetMdlPfnArray(Mdl) == Block.Space + sizeof(MDL));
}

/* ---- nonpaged pool ---- */

static VOID MdlOfNonPagedPool(VOID)
{
    PUCHAR Block = TestAllocate(PAGES * PAGE_SIZE);
    PMDL Mdl = IoAllocateMdl(Block + 100, (PAGES - 1) * PAGE_SIZE, FALSE, FALSE, NULL);
    KIRQL Irql;

    REQUIRE(Mdl != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    MmBuildMdlForNonPagedPool(Mdl);
    /* It is mapped where it is: nothing new is made, and nothing to unmap. */
    EXPECT_TRUE(MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority) == Block + 100);
    KeLowerIrql(Irql);
    for (ULONG Index = 0; Index < PAGES; Index++)
        CHECK(MmGetMdlPfnArray(Mdl)[Index] == FrameOf(Block + Index * PAGE_SIZE));
    EXPECT_TRUE((Mdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL) != 0);
    EXPECT_EQUAL(MmGetMdlByteCount(Mdl), (PAGES - 1) * PAGE_SIZE);
    IoFreeMdl(Mdl);
    TestFree(Block);
}

static VOID MdlOfPagedPoolAsNonPaged(VOID)
{
    PVOID Block = ExAllocatePoolWithTag(PagedPool, PAGE_SIZE, TEST_TAG);

    MmBuildMdlForNonPagedPool(IoAllocateMdl(Block, PAGE_SIZE, FALSE, FALSE, NULL));
}

/* ---- locking ---- */

static VOID MdlLocked(VOID)
{
    PUCHAR Block = TestAllocate(PAGES * PAGE_SIZE);
    PMDL Mdl = IoAllocateMdl(Block, PAGES * PAGE_SIZE, FALSE, FALSE, NULL);
    PUCHAR View;

    REQUIRE(Mdl != NULL);
    MmProbeAndLockPages(Mdl, KernelMode, IoModifyAccess);
    EXPECT_TRUE((Mdl->MdlFlags & MDL_PAGES_LOCKED) != 0);
    for (ULONG Index = 0; Index < PAGES; Index++)
        CHECK(MmGetMdlPfnArray(Mdl)[Index] == FrameOf(Block + Index * PAGE_SIZE));
    View = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
    REQUIRE(View != NULL);
    EXPECT_TRUE((Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA) != 0);
    EXPECT_TRUE(MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority) == View); /* the mapping that is there */
    Block[PAGE_SIZE + 5] = 0x11;
    EXPECT_EQUAL(View[PAGE_SIZE + 5], 0x11); /* one memory, two addresses */
    View[7] = 0x22;
    EXPECT_EQUAL(Block[7], 0x22);
    MmUnlockPages(Mdl); /* takes the mapping down as well */
    EXPECT_EQUAL(Mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA), 0);
    IoFreeMdl(Mdl);
    TestFree(Block);
}

/* Nonpageable memory may be locked, mapped, unmapped and unlocked at DISPATCH_LEVEL. */
static VOID MdlLockedAtDispatchLevel(VOID)
{
    PUCHAR Block = TestAllocate(2 * PAGE_SIZE);
    PMDL Mdl = IoAllocateMdl(Block + 8, PAGE_SIZE, FALSE, FALSE, NULL);
    PUCHAR View;
    KIRQL Irql;

    REQUIRE(Mdl != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, HighPagePriority);
    if (View != NULL) {
        View[0] = 0x33;
        MmUnmapLockedPages(View, Mdl);
    }
    MmUnlockPages(Mdl);
    KeLowerIrql(Irql);
    EXPECT_TRUE(View != NULL);
    EXPECT_EQUAL(BYTE_OFFSET(View), 8); /* the address is that of the buffer, not of its page */
    EXPECT_EQUAL(Block[8], 0x33);
    EXPECT_EQUAL(Mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA), 0);
    IoFreeMdl(Mdl);
    TestFree(Block);
}

/* The older routine is MmMapLockedPagesSpecifyCache with MmCached, and never returns NULL. */
static VOID MdlMappedByTheOldRoutine(VOID)
{
    PUCHAR Block = TestAllocate(PAGE_SIZE);
    PMDL Mdl = IoAllocateMdl(Block, PAGE_SIZE, FALSE, FALSE, NULL);
    PUCHAR View;

    REQUIRE(Mdl != NULL);
    MmProbeAndLockPages(Mdl, KernelMode, IoModifyAccess);
    View = MmMapLockedPages(Mdl, KernelMode);
    View[1] = 0x44;
    EXPECT_EQUAL(Block[1], 0x44);
    MmUnmapLockedPages(View, Mdl);
    EXPECT_EQUAL(Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA, 0);
    MmUnlockPages(Mdl);
    IoFreeMdl(Mdl);
    TestFree(Block);
}

/* An address that is nobody's raises STATUS_ACCESS_VIOLATION, and there is no handler for it here. */
static VOID MdlProbeOfNoMemory(VOID)
{
    MmProbeAndLockPages(IoAllocateMdl((PVOID)(ULONG_PTR)0x1000, PAGE_SIZE, FALSE, FALSE, NULL), UserMode, IoReadAccess);
}

static VOID MdlUnlockedNeverLocked(VOID)
{
    MmUnlockPages(IoAllocateMdl(TestAllocate(PAGE_SIZE), PAGE_SIZE, FALSE, FALSE, NULL));
}

static VOID MdlFreedLocked(VOID)
{
    PMDL Mdl = IoAllocateMdl(TestAllocate(PAGE_SIZE), PAGE_SIZE, FALSE, FALSE, NULL);

    MmProbeAndLockPages(Mdl, KernelMode, IoReadAccess);
    IoFreeMdl(Mdl);
}

static PMDL LockedMdl(VOID)
{
    PMDL Mdl = IoAllocateMdl(TestAllocate(2 * PAGE_SIZE), 2 * PAGE_SIZE, FALSE, FALSE, NULL);

    MmProbeAndLockPages(Mdl, KernelMode, IoModifyAccess);
    return Mdl;
}

static VOID MdlMappedTwice(VOID)
{
    PMDL Mdl = LockedMdl();

    (VOID) MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    (VOID) MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
}

static VOID MdlUnmappedTwice(VOID)
{
    PMDL Mdl = LockedMdl();
    PVOID View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);

    MmUnmapLockedPages(View, Mdl);
    MmUnmapLockedPages(View, Mdl);
}

static VOID MdlMappedWithoutPages(VOID)
{
    PMDL Mdl = IoAllocateMdl(TestAllocate(PAGE_SIZE), PAGE_SIZE, FALSE, FALSE, NULL);

    (VOID) MmMapLockedPages(Mdl, KernelMode);
}

/* ---- MDLs by themselves, and on an IRP ---- */

static VOID MdlAllocatedForTwoPages(VOID)
{
    PMDL Mdl = IoAllocateMdl((PVOID)(ULONG_PTR)0x10FFF, 2, FALSE, FALSE, NULL);

    REQUIRE(Mdl != NULL);
    EXPECT_EQUAL(Mdl->Size, sizeof(MDL) + 2 * sizeof(PFN_NUMBER));
    EXPECT_TRUE(Mdl->Next == NULL);
    EXPECT_EQUAL(MmGetMdlByteOffset(Mdl), 0xFFF);
    IoFreeMdl(Mdl);
}

static VOID MdlsAtDispatchLevel(VOID)
{
    PMDL Mdl;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Mdl = IoAllocateMdl((PVOID)(ULONG_PTR)0x10000, 1, FALSE, FALSE, NULL);
    if (Mdl != NULL)
        IoFreeMdl(Mdl);
    KeLowerIrql(Irql);
    EXPECT_TRUE(Mdl != NULL);
}

/* The first is the IRP's MDL, a secondary one follows at the end of the chain. */
static VOID MdlsOfAnIrp(VOID)
{
    PIRP Irp = IoAllocateIrp(1, FALSE);
    PMDL First;
    PMDL Second;
    PMDL Third;

    REQUIRE(Irp != NULL);
    First = IoAllocateMdl((PVOID)(ULONG_PTR)0x10000, 1, FALSE, FALSE, Irp);
    Second = IoAllocateMdl((PVOID)(ULONG_PTR)0x20000, 1, TRUE, FALSE, Irp);
    Third = IoAllocateMdl((PVOID)(ULONG_PTR)0x30000, 1, TRUE, FALSE, Irp);
    REQUIRE(First != NULL && Second != NULL && Third != NULL);
    EXPECT_TRUE(Irp->MdlAddress == First);
    EXPECT_TRUE(First->Next == Second);
    EXPECT_TRUE(Second->Next == Third);
    EXPECT_TRUE(Third->Next == NULL);
    Irp->MdlAddress = NULL;
    IoFreeMdl(First);
    IoFreeMdl(Second);
    IoFreeMdl(Third);
    IoFreeIrp(Irp);
}

/* ---- partial MDLs ---- */

static VOID MdlPartial(VOID)
{
    PUCHAR Block = TestAllocate(4 * PAGE_SIZE);
    PMDL Source = IoAllocateMdl(Block, 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL Target = IoAllocateMdl(Block, 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    KIRQL Irql;

    REQUIRE(Source != NULL && Target != NULL);
    Block[PAGE_SIZE + 10] = 0x77;
    MmBuildMdlForNonPagedPool(Source);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoBuildPartialMdl(Source, Target, Block + PAGE_SIZE + 10, PAGE_SIZE);
    KeLowerIrql(Irql);
    EXPECT_TRUE(MmGetMdlVirtualAddress(Target) == Block + PAGE_SIZE + 10);
    EXPECT_EQUAL(MmGetMdlByteCount(Target), PAGE_SIZE);
    EXPECT_TRUE((Target->MdlFlags & MDL_PARTIAL) != 0);
    EXPECT_TRUE(MmGetMdlPfnArray(Target)[0] == MmGetMdlPfnArray(Source)[1]);
    EXPECT_TRUE(MmGetMdlPfnArray(Target)[1] == MmGetMdlPfnArray(Source)[2]);
    EXPECT_EQUAL(*(PUCHAR)MmGetSystemAddressForMdlSafe(Target, NormalPagePriority), 0x77);

    MmPrepareMdlForReuse(Target);
    IoBuildPartialMdl(Source, Target, Block + 3 * PAGE_SIZE, 0); /* 0: all that follows */
    EXPECT_EQUAL(MmGetMdlByteCount(Target), PAGE_SIZE);
    MmPrepareMdlForReuse(Target);
    IoFreeMdl(Target);
    IoFreeMdl(Source);
    TestFree(Block);
}

/* A partial MDL that was mapped by itself: MmPrepareMdlForReuse takes that mapping down. */
static VOID MdlPartialMappedAndReused(VOID)
{
    PUCHAR Block = TestAllocate(4 * PAGE_SIZE);
    PMDL Source = IoAllocateMdl(Block, 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL Target = IoAllocateMdl(Block, 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    PUCHAR View;
    KIRQL Irql;

    REQUIRE(Source != NULL && Target != NULL);
    MmProbeAndLockPages(Source, KernelMode, IoModifyAccess);
    IoBuildPartialMdl(Source, Target, Block + PAGE_SIZE, 2 * PAGE_SIZE);
    View = MmGetSystemAddressForMdlSafe(Target, NormalPagePriority);
    REQUIRE(View != NULL);
    EXPECT_TRUE((Target->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED) != 0);
    View[PAGE_SIZE] = 0x55;
    EXPECT_EQUAL(Block[2 * PAGE_SIZE], 0x55);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    MmPrepareMdlForReuse(Target);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Target->MdlFlags & (MDL_PARTIAL_HAS_BEEN_MAPPED | MDL_MAPPED_TO_SYSTEM_VA), 0);
    IoFreeMdl(Target);
    MmUnlockPages(Source);
    IoFreeMdl(Source);
    TestFree(Block);
}

/* IoFreeMdl of a partial MDL that was mapped by itself takes the mapping down. */
static VOID MdlPartialFreedMapped(VOID)
{
    PUCHAR Block = TestAllocate(2 * PAGE_SIZE);
    PMDL Source = IoAllocateMdl(Block, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL Target = IoAllocateMdl(Block, 2 * PAGE_SIZE, FALSE, FALSE, NULL);

    REQUIRE(Source != NULL && Target != NULL);
    MmProbeAndLockPages(Source, KernelMode, IoModifyAccess);
    IoBuildPartialMdl(Source, Target, Block, 2 * PAGE_SIZE);
    EXPECT_TRUE(MmGetSystemAddressForMdlSafe(Target, NormalPagePriority) != NULL);
    IoFreeMdl(Target);
    MmUnlockPages(Source);
    IoFreeMdl(Source);
    TestFree(Block);
}

static VOID MdlPartialOutOfRange(VOID)
{
    PUCHAR Block = TestAllocate(4 * PAGE_SIZE);
    PMDL Source = IoAllocateMdl(Block, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL Target = IoAllocateMdl(Block, 4 * PAGE_SIZE, FALSE, FALSE, NULL);

    MmBuildMdlForNonPagedPool(Source);
    IoBuildPartialMdl(Source, Target, Block + PAGE_SIZE, 2 * PAGE_SIZE);
}

/* ---- stale pointers ---- */

static VOID MdlUsedAfterUnmap(VOID)
{
    PMDL Mdl = LockedMdl();
    volatile UCHAR *View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);

    View[0] = 1;
    MmUnmapLockedPages((PVOID)View, Mdl);
    View[0] = 2;
}

static VOID MdlWrittenThroughReadOnly(VOID)
{
    PMDL Mdl = LockedMdl();
    volatile UCHAR *View = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE,
                                                        NormalPagePriority | 0x80000000u /* MdlMappingNoWrite */);

    View[0] = 2;
}

TEST_TABLE(mm_mdl){TEST(MdlSize, 0),
                   TEST(MdlSizeAtHighLevel, 0),
                   TEST(MdlInitialized, 0),
                   TEST(MdlOfNonPagedPool, 0),
                   TEST_VIOLATION(MdlOfPagedPoolAsNonPaged, "mdl-build", 0xC4),
                   TEST(MdlLocked, 0),
                   TEST(MdlLockedAtDispatchLevel, 0),
                   TEST(MdlMappedByTheOldRoutine, 0),
                   TEST_VIOLATION(MdlProbeOfNoMemory, "exception", 0x1E),
                   TEST_VIOLATION(MdlUnlockedNeverLocked, "mdl-unlock", 0xC4),
                   TEST_VIOLATION(MdlFreedLocked, "mdl-freed-locked", 0xC4),
                   TEST_VIOLATION(MdlMappedTwice, "mdl-map", 0xC4),
                   TEST_VIOLATION(MdlUnmappedTwice, "mdl-unmap", 0xC4),
                   TEST_VIOLATION(MdlMappedWithoutPages, "mdl-map", 0xC4),
                   TEST(MdlAllocatedForTwoPages, 0),
                   TEST(MdlsAtDispatchLevel, 0),
                   TEST(MdlsOfAnIrp, 0),
                   TEST(MdlPartial, 0),
                   TEST(MdlPartialFreedMapped, 0),
                   TEST(MdlPartialMappedAndReused, 0),
                   TEST_VIOLATION(MdlPartialOutOfRange, "mdl-partial", 0xC4),
                   TEST_VIOLATION(MdlUsedAfterUnmap, "fault", 0x50),
                   TEST_VIOLATION(MdlWrittenThroughReadOnly, "fault", 0x50),
                   TEST_END};
