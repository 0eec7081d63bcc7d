/* Pool memory: ExAllocatePool2, ExAllocatePoolWithTag, ExAllocatePoolWithTagPriority, ExFreePoolWithTag, ... */
#include "nttest.h"

/* ExAllocatePool2 and ExFreePool2 are those of Windows 10 version 2004: looked up. */
typedef PVOID NTAPI ALLOCATE_POOL_2(ULONG64 Flags, SIZE_T NumberOfBytes, ULONG Tag);
typedef VOID NTAPI FREE_POOL_2(PVOID P, ULONG Tag, PVOID ExtendedParameters, ULONG ExtendedParametersCount);

#define FLAG_UNINITIALIZED 0x02ull
#define FLAG_CACHE_ALIGNED 0x08ull
#define FLAG_RAISE_ON_FAILURE 0x20ull
#define FLAG_NON_PAGED 0x40ull
#define FLAG_PAGED 0x100ull
#define FLAG_REQUIRED_UNKNOWN 0x1000ull
#define FLAG_OPTIONAL_UNKNOWN 0x4000000000000000ull

/* Inline there: they set a flag of ExAllocatePoolWithTag or do not. */
#if defined(__MINGW32__)
#ifndef POOL_ZERO_ALLOCATION
#define POOL_ZERO_ALLOCATION 1024
#endif
#define ExAllocatePoolZero(_Type, _Bytes, _Tag)                                                                        \
    ExAllocatePoolWithTag((POOL_TYPE)((_Type) | POOL_ZERO_ALLOCATION), (_Bytes), (_Tag))
#define ExAllocatePoolUninitialized(_Type, _Bytes, _Tag) ExAllocatePoolWithTag((_Type), (_Bytes), (_Tag))
#endif

#define TOO_MUCH ((SIZE_T)1 << 40)

static const SIZE_T Sizes[] = {1,    7,    15,   16,   17,   100,  128,  500,  512,  513,  1000,  2000,
                               2008, 2009, 2048, 4000, 4080, 4081, 4095, 4096, 4097, 8192, 65536, 1000001};

static PVOID Routine(PCWSTR RoutineName)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, RoutineName);
    return MmGetSystemRoutineAddress(&Name);
}

static BOOLEAN Holds(const UCHAR *Bytes, UCHAR Value, SIZE_T Count)
{
    SIZE_T Index;

    for (Index = 0; Index < Count; Index++)
        if (Bytes[Index] != Value)
            return FALSE;
    return TRUE;
}

/* ---- where blocks lie ---- */

static VOID CheckPlace(const VOID *Block, SIZE_T Size, ULONG Alignment)
{
    ULONG_PTR Address = (ULONG_PTR)Block;

    CHECK(Address % Alignment == 0);
    if (Size >= PAGE_SIZE)
        CHECK(Address % PAGE_SIZE == 0);
    else
        CHECK(Address / PAGE_SIZE == (Address + Size - 1) / PAGE_SIZE);
}

/* Aligned to 16 bytes; whole pages from a page's start, less within a page. No two overlap. */
static VOID PoolPlaces(VOID)
{
    static const POOL_TYPE Types[] = {NonPagedPool, NonPagedPoolNx, PagedPool};
    static PVOID Blocks[RTL_NUMBER_OF(Sizes)];
    ULONG Type;
    ULONG Index;

    for (Type = 0; Type < RTL_NUMBER_OF(Types); Type++) {
        for (Index = 0; Index < RTL_NUMBER_OF(Sizes); Index++) {
            Blocks[Index] = ExAllocatePoolWithTag(Types[Type], Sizes[Index], TEST_TAG);
            REQUIRE(Blocks[Index] != NULL);
            CheckPlace(Blocks[Index], Sizes[Index], 16);
            RtlFillMemory(Blocks[Index], Sizes[Index], (UCHAR)(Index + 1));
        }
        for (Index = 0; Index < RTL_NUMBER_OF(Sizes); Index++) {
            CHECK(Holds(Blocks[Index], (UCHAR)(Index + 1), Sizes[Index]));
            ExFreePoolWithTag(Blocks[Index], TEST_TAG);
        }
    }
}

static VOID PoolPlacesOfPool2(VOID)
{
    ALLOCATE_POOL_2 *Allocate = (ALLOCATE_POOL_2 *)(ULONG_PTR)Routine(L"ExAllocatePool2");
    ULONG Index;
    PVOID Block;

    REQUIRE(Allocate != NULL);
    for (Index = 0; Index < RTL_NUMBER_OF(Sizes); Index++) {
        Block = Allocate(FLAG_NON_PAGED, Sizes[Index], TEST_TAG);
        REQUIRE(Block != NULL);
        CheckPlace(Block, Sizes[Index], 16);
        ExFreePoolWithTag(Block, TEST_TAG);
        Block = Allocate(FLAG_PAGED | FLAG_CACHE_ALIGNED, Sizes[Index], TEST_TAG);
        REQUIRE(Block != NULL);
        CheckPlace(Block, Sizes[Index], 64);
        ExFreePoolWithTag(Block, TEST_TAG);
    }
}

/* ---- what is in them ---- */

/* Zeros from ExAllocatePool2 and ExAllocatePoolZero, in memory that was used before too. */
static VOID PoolZeroed(VOID)
{
    ALLOCATE_POOL_2 *Allocate = (ALLOCATE_POOL_2 *)(ULONG_PTR)Routine(L"ExAllocatePool2");
    ULONG Index;
    PVOID Block;

    REQUIRE(Allocate != NULL);
    for (Index = 0; Index < RTL_NUMBER_OF(Sizes); Index++) {
        Block = ExAllocatePoolUninitialized(NonPagedPoolNx, Sizes[Index], TEST_TAG);
        REQUIRE(Block != NULL);
        RtlFillMemory(Block, Sizes[Index], 0x5A);
        ExFreePool(Block);
        Block = Allocate(FLAG_NON_PAGED, Sizes[Index], TEST_TAG);
        REQUIRE(Block != NULL);
        CHECK(Holds(Block, 0, Sizes[Index]));
        RtlFillMemory(Block, Sizes[Index], 0x5A);
        ExFreePool(Block);
        Block = ExAllocatePoolZero(NonPagedPoolNx, Sizes[Index], TEST_TAG);
        REQUIRE(Block != NULL);
        CHECK(Holds(Block, 0, Sizes[Index]));
        ExFreePoolWithTag(Block, TEST_TAG);
        Block = Allocate(FLAG_PAGED | FLAG_UNINITIALIZED, Sizes[Index], TEST_TAG);
        REQUIRE(Block != NULL);
        ExFreePoolWithTag(Block, TEST_TAG);
    }
}

/* ---- how they go ---- */

static VOID PoolFreed(VOID)
{
    ALLOCATE_POOL_2 *Allocate = (ALLOCATE_POOL_2 *)(ULONG_PTR)Routine(L"ExAllocatePool2");
    FREE_POOL_2 *Free = (FREE_POOL_2 *)(ULONG_PTR)Routine(L"ExFreePool2");
    LONG Turn;
    PVOID Block;

    REQUIRE(Allocate != NULL);
    for (Turn = 0; Turn < 5000; Turn++) { /* more than there is, if it did not come back */
        Block = ExAllocatePoolWithTag(NonPagedPoolNx, 100000, TEST_TAG);
        REQUIRE(Block != NULL);
        ExFreePoolWithTag(Block, TEST_TAG);
        Block = ExAllocatePoolWithTag(NonPagedPoolNx, 100000, TEST_TAG);
        REQUIRE(Block != NULL);
        ExFreePool(Block);
        if (Free != NULL) {
            Block = Allocate(FLAG_NON_PAGED | FLAG_UNINITIALIZED, 100000, TEST_TAG);
            REQUIRE(Block != NULL);
            Free(Block, TEST_TAG, NULL, 0);
        }
    }
    EXPECT_EQUAL(Turn, 5000);
}

/* ExAllocatePool is the same without a tag of the driver's. */
static VOID PoolWithoutTag(VOID)
{
    UCHAR *Block = ExAllocatePool(NonPagedPoolNx, 100);

    REQUIRE(Block != NULL);
    RtlFillMemory(Block, 100, 1);
    EXPECT_EQUAL((ULONG_PTR)Block % 16, 0);
    ExFreePool(Block);
    EXPECT_TRUE(ExAllocatePool(NonPagedPoolNx, TOO_MUCH) == NULL);
}

/* ---- failures ---- */

static VOID PoolTooMuch(VOID)
{
    ALLOCATE_POOL_2 *Allocate = (ALLOCATE_POOL_2 *)(ULONG_PTR)Routine(L"ExAllocatePool2");

    REQUIRE(Allocate != NULL);
    EXPECT_TRUE(Allocate(FLAG_NON_PAGED, TOO_MUCH, TEST_TAG) == NULL);
    EXPECT_TRUE(ExAllocatePoolWithTag(NonPagedPoolNx, TOO_MUCH, TEST_TAG) == NULL);
    EXPECT_TRUE(ExAllocatePoolZero(NonPagedPoolNx, TOO_MUCH, TEST_TAG) == NULL);
    EXPECT_TRUE(ExAllocatePoolUninitialized(PagedPool, TOO_MUCH, TEST_TAG) == NULL);
    EXPECT_TRUE(ExAllocatePoolWithTagPriority(NonPagedPoolNx, TOO_MUCH, TEST_TAG, HighPoolPriority) == NULL);
}

/* No tag, no kind, two kinds, a required flag that is unknown: NULL. Unknown flags among the optional do not matter. */
static VOID PoolFlags(VOID)
{
    ALLOCATE_POOL_2 *Allocate = (ALLOCATE_POOL_2 *)(ULONG_PTR)Routine(L"ExAllocatePool2");
    PVOID Block;

    REQUIRE(Allocate != NULL);
    EXPECT_TRUE(Allocate(FLAG_PAGED, 16, 0) == NULL);
    EXPECT_TRUE(Allocate(0, 16, TEST_TAG) == NULL);
    EXPECT_TRUE(Allocate(FLAG_PAGED | FLAG_NON_PAGED, 16, TEST_TAG) == NULL);
    EXPECT_TRUE(Allocate(FLAG_PAGED | FLAG_REQUIRED_UNKNOWN, 16, TEST_TAG) == NULL);
    Block = Allocate(FLAG_PAGED | FLAG_OPTIONAL_UNKNOWN, 16, TEST_TAG);
    EXPECT_TRUE(Block != NULL);
    if (Block != NULL)
        ExFreePoolWithTag(Block, TEST_TAG);
}

/* With memory to spare, priorities make no difference. */
static VOID PoolPriorities(VOID)
{
    static const EX_POOL_PRIORITY Priorities[] = {LowPoolPriority, NormalPoolPriority, HighPoolPriority};
    ULONG Index;
    PVOID Block;

    for (Index = 0; Index < RTL_NUMBER_OF(Priorities); Index++) {
        Block = ExAllocatePoolWithTagPriority(NonPagedPoolNx, 200, TEST_TAG, Priorities[Index]);
        EXPECT_TRUE(Block != NULL);
        if (Block == NULL)
            continue;
        CheckPlace(Block, 200, 16);
        RtlFillMemory(Block, 200, 1);
        ExFreePoolWithTag(Block, TEST_TAG);
    }
}

/* ---- levels ---- */

static VOID PoolAtDispatchLevel(VOID)
{
    ALLOCATE_POOL_2 *Allocate = (ALLOCATE_POOL_2 *)(ULONG_PTR)Routine(L"ExAllocatePool2");
    FREE_POOL_2 *Free = (FREE_POOL_2 *)(ULONG_PTR)Routine(L"ExFreePool2");
    PVOID Block[6];
    ULONG Index;
    KIRQL Irql;

    REQUIRE(Allocate != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Block[0] = Allocate(FLAG_NON_PAGED, 100, TEST_TAG);
    Block[1] = ExAllocatePoolWithTag(NonPagedPoolNx, 100, TEST_TAG);
    Block[2] = ExAllocatePoolZero(NonPagedPoolNx, 100, TEST_TAG);
    Block[3] = ExAllocatePoolUninitialized(NonPagedPoolNx, 100, TEST_TAG);
    Block[4] = ExAllocatePoolWithTagPriority(NonPagedPoolNx, 100, TEST_TAG, NormalPoolPriority);
    Block[5] = ExAllocatePool(NonPagedPoolNx, 100);
    for (Index = 0; Index < RTL_NUMBER_OF(Block); Index++)
        EXPECT_TRUE(Block[Index] != NULL);
    if (Free != NULL)
        Free(Block[0], TEST_TAG, NULL, 0);
    else
        ExFreePool(Block[0]);
    for (Index = 1; Index < 5; Index++)
        ExFreePoolWithTag(Block[Index], TEST_TAG);
    ExFreePool(Block[5]);
    KeLowerIrql(Irql);
}

/* ---- broken rules ---- */

static VOID PoolZeroTag(VOID)
{
    (VOID) ExAllocatePoolWithTag(NonPagedPoolNx, 16, 0);
}

static VOID PoolZeroBytes(VOID)
{
    (VOID) ExAllocatePoolWithTagPriority(NonPagedPoolNx, 0, TEST_TAG, NormalPoolPriority);
}

static VOID PoolOtherTag(VOID)
{
    ExFreePoolWithTag(ExAllocatePoolWithTag(NonPagedPoolNx, 16, TEST_TAG), POOL_TAG('O', 't', 'h', 'r'));
}

static VOID PoolOtherTag2(VOID)
{
    FREE_POOL_2 *Free = (FREE_POOL_2 *)(ULONG_PTR)Routine(L"ExFreePool2");

    REQUIRE(Free != NULL);
    Free(ExAllocatePoolWithTag(NonPagedPoolNx, 16, TEST_TAG), POOL_TAG('O', 't', 'h', 'r'), NULL, 0);
}

static VOID PoolFreedTwice(VOID)
{
    PVOID Block = ExAllocatePoolUninitialized(NonPagedPoolNx, 100, TEST_TAG);

    ExFreePool(Block);
    ExFreePool(Block);
}

static VOID PoolFreedInside(VOID)
{
    ExFreePool((PUCHAR)ExAllocatePoolZero(NonPagedPoolNx, 100, TEST_TAG) + 16);
}

static VOID PoolPagedAtDispatchLevel(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) ExAllocatePoolWithTag(PagedPool, 16, TEST_TAG);
}

static VOID PoolPagedFreedAtDispatchLevel(VOID)
{
    PVOID Block = ExAllocatePoolWithTag(PagedPool, 16, TEST_TAG);
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    ExFreePoolWithTag(Block, TEST_TAG);
}

static VOID PoolRaises(VOID)
{
    ALLOCATE_POOL_2 *Allocate = (ALLOCATE_POOL_2 *)(ULONG_PTR)Routine(L"ExAllocatePool2");

    REQUIRE(Allocate != NULL);
    (VOID) Allocate(FLAG_NON_PAGED | FLAG_RAISE_ON_FAILURE, TOO_MUCH, TEST_TAG);
}

TEST_TABLE(ex_pool){
    TEST(PoolPlaces, 0),
    TEST(PoolPlacesOfPool2, 0),
    TEST(PoolZeroed, 0),
    TEST(PoolFreed, 0),
    TEST(PoolWithoutTag, 0),
    TEST(PoolTooMuch, 0),
    TEST(PoolFlags, 0),
    TEST(PoolPriorities, 0),
    TEST(PoolAtDispatchLevel, 0),
    TEST_VIOLATION(PoolZeroTag, "pool-zero-tag", 0xC2),
    TEST_VIOLATION(PoolZeroBytes, "pool-zero-size", 0xC4),
    TEST_VIOLATION(PoolOtherTag, "pool-tag-mismatch", 0xC2),
    TEST_VIOLATION(PoolOtherTag2, "pool-tag-mismatch", 0xC2),
    TEST_VIOLATION(PoolFreedTwice, "pool-double-free", 0xC2),
    TEST_VIOLATION(PoolFreedInside, "pool-bad-free", 0xC2),
    TEST_VIOLATION(PoolPagedAtDispatchLevel, "pool-irql", 0xC2),
    TEST_VIOLATION(PoolPagedFreedAtDispatchLevel, "pool-irql", 0xC2),
    TEST_VIOLATION(PoolRaises, "exception", 0x1E),
    TEST_END,
};
