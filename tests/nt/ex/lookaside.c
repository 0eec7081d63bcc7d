/* Lookaside lists: "Using Lookaside Lists", ExInitializeNPagedLookasideList, ExInitializeLookasideListEx, ... */
#include "nttest.h"

#ifndef POOL_NX_ALLOCATION
#define POOL_NX_ALLOCATION 512
#endif

#define ENTRY_BYTES 100
#define ENTRIES 600 /* more than any list keeps */

typedef struct _LISTS {
    NPAGED_LOOKASIDE_LIST NonPaged; /* 16-byte aligned, as the pool's blocks are */
    PAGED_LOOKASIDE_LIST Paged;
    LOOKASIDE_LIST_EX Either;
    PVOID Entry[ENTRIES];
} LISTS;

static BOOLEAN Holds(const UCHAR *Bytes, UCHAR Value, SIZE_T Count)
{
    SIZE_T Index;

    for (Index = 0; Index < Count; Index++)
        if (Bytes[Index] != Value)
            return FALSE;
    return TRUE;
}

/* ---- entries ---- */

/* Entries are different memory of the size asked for; freed ones come back from the next allocations, or others do. */
static VOID LookasideNonPagedEntries(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));
    LONG Turn;
    LONG Index;

    REQUIRE(Lists != NULL);
    ExInitializeNPagedLookasideList(&Lists->NonPaged, NULL, NULL, POOL_NX_ALLOCATION, ENTRY_BYTES, TEST_TAG, 0);
    for (Turn = 0; Turn < 2; Turn++) {
        for (Index = 0; Index < ENTRIES; Index++) {
            Lists->Entry[Index] = ExAllocateFromNPagedLookasideList(&Lists->NonPaged);
            REQUIRE(Lists->Entry[Index] != NULL);
            RtlFillMemory(Lists->Entry[Index], ENTRY_BYTES, (UCHAR)Index);
        }
        for (Index = 0; Index < ENTRIES; Index++) {
            CHECK(Holds(Lists->Entry[Index], (UCHAR)Index, ENTRY_BYTES));
            ExFreeToNPagedLookasideList(&Lists->NonPaged, Lists->Entry[Index]);
        }
    }
    ExDeleteNPagedLookasideList(&Lists->NonPaged);
    TestFree(Lists);
}

static VOID LookasidePagedEntries(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));
    LONG Turn;
    LONG Index;

    REQUIRE(Lists != NULL);
    ExInitializePagedLookasideList(&Lists->Paged, NULL, NULL, 0, ENTRY_BYTES, TEST_TAG, 0);
    for (Turn = 0; Turn < 2; Turn++) {
        for (Index = 0; Index < ENTRIES; Index++) {
            Lists->Entry[Index] = ExAllocateFromPagedLookasideList(&Lists->Paged);
            REQUIRE(Lists->Entry[Index] != NULL);
            RtlFillMemory(Lists->Entry[Index], ENTRY_BYTES, (UCHAR)Index);
        }
        for (Index = 0; Index < ENTRIES; Index++) {
            CHECK(Holds(Lists->Entry[Index], (UCHAR)Index, ENTRY_BYTES));
            ExFreeToPagedLookasideList(&Lists->Paged, Lists->Entry[Index]);
        }
    }
    ExDeletePagedLookasideList(&Lists->Paged);
    TestFree(Lists);
}

static VOID LookasideExEntries(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));
    LONG Turn;
    LONG Index;

    REQUIRE(Lists != NULL);
    EXPECT_STATUS(ExInitializeLookasideListEx(&Lists->Either, NULL, NULL, NonPagedPoolNx, 0, ENTRY_BYTES, TEST_TAG, 0),
                  STATUS_SUCCESS);
    for (Turn = 0; Turn < 2; Turn++) {
        for (Index = 0; Index < ENTRIES; Index++) {
            Lists->Entry[Index] = ExAllocateFromLookasideListEx(&Lists->Either);
            REQUIRE(Lists->Entry[Index] != NULL);
            RtlFillMemory(Lists->Entry[Index], ENTRY_BYTES, (UCHAR)Index);
        }
        for (Index = 0; Index < ENTRIES; Index++) {
            CHECK(Holds(Lists->Entry[Index], (UCHAR)Index, ENTRY_BYTES));
            ExFreeToLookasideListEx(&Lists->Either, Lists->Entry[Index]);
        }
    }
    ExDeleteLookasideListEx(&Lists->Either);
    TestFree(Lists);
}

/* ---- routines of the driver's ---- */

static LONG volatile Allocations;
static LONG volatile Frees;
static BOOLEAN Refuse;
static POOL_TYPE SeenType;
static SIZE_T SeenBytes;
static ULONG SeenTag;
static PLOOKASIDE_LIST_EX SeenList;

static PVOID NTAPI AllocateEntry(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    SeenType = PoolType;
    SeenBytes = NumberOfBytes;
    SeenTag = Tag;
    if (Refuse)
        return NULL;
    (VOID) InterlockedIncrement(&Allocations);
    return ExAllocatePoolWithTag(NonPagedPoolNx, NumberOfBytes, Tag);
}

static VOID NTAPI FreeEntry(PVOID Buffer)
{
    (VOID) InterlockedIncrement(&Frees);
    ExFreePoolWithTag(Buffer, TEST_TAG);
}

static PVOID NTAPI AllocateEntryEx(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, PLOOKASIDE_LIST_EX Lookaside)
{
    SeenList = Lookaside;
    return AllocateEntry(PoolType, NumberOfBytes, Tag);
}

static VOID NTAPI FreeEntryEx(PVOID Buffer, PLOOKASIDE_LIST_EX Lookaside)
{
    SeenList = Lookaside;
    FreeEntry(Buffer);
}

static VOID Forget(VOID)
{
    Allocations = 0;
    Frees = 0;
    Refuse = FALSE;
    SeenTag = 0;
    SeenBytes = 0;
    SeenList = NULL;
}

/* The driver's routine is called when the list is empty, and the other for each entry that the list does not keep. */
static VOID LookasideNonPagedRoutines(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));
    LONG Index;

    REQUIRE(Lists != NULL);
    Forget();
    ExInitializeNPagedLookasideList(&Lists->NonPaged, AllocateEntry, FreeEntry, 0, ENTRY_BYTES, TEST_TAG, 0);
    for (Index = 0; Index < 10; Index++)
        Lists->Entry[Index] = ExAllocateFromNPagedLookasideList(&Lists->NonPaged);
    EXPECT_EQUAL(Allocations, 10);
    EXPECT_EQUAL(SeenBytes, ENTRY_BYTES);
    EXPECT_TRUE(SeenTag == TEST_TAG);
    for (Index = 0; Index < 10; Index++)
        ExFreeToNPagedLookasideList(&Lists->NonPaged, Lists->Entry[Index]);
    OBSERVE("entries that are not kept of ten", Frees);
    ExDeleteNPagedLookasideList(&Lists->NonPaged);
    EXPECT_EQUAL(Frees, 10);
    TestFree(Lists);
}

static VOID LookasidePagedRoutines(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));
    LONG Index;

    REQUIRE(Lists != NULL);
    Forget();
    ExInitializePagedLookasideList(&Lists->Paged, AllocateEntry, FreeEntry, 0, ENTRY_BYTES, TEST_TAG, 0);
    for (Index = 0; Index < 10; Index++)
        Lists->Entry[Index] = ExAllocateFromPagedLookasideList(&Lists->Paged);
    EXPECT_EQUAL(Allocations, 10);
    EXPECT_TRUE(SeenTag == TEST_TAG);
    for (Index = 0; Index < 10; Index++)
        ExFreeToPagedLookasideList(&Lists->Paged, Lists->Entry[Index]);
    ExDeletePagedLookasideList(&Lists->Paged);
    EXPECT_EQUAL(Frees, 10);
    TestFree(Lists);
}

/* Those of a LOOKASIDE_LIST_EX get the list too, and the pool type with what the flags add to it. */
static VOID LookasideExRoutines(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));

    REQUIRE(Lists != NULL);
    Forget();
    EXPECT_STATUS(ExInitializeLookasideListEx(&Lists->Either, AllocateEntryEx, FreeEntryEx, PagedPool,
                                              EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL, ENTRY_BYTES, TEST_TAG, 0),
                  STATUS_SUCCESS);
    Lists->Entry[0] = ExAllocateFromLookasideListEx(&Lists->Either);
    EXPECT_TRUE(Lists->Entry[0] != NULL);
    EXPECT_TRUE(SeenList == &Lists->Either);
    EXPECT_EQUAL(SeenType, PagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE);
    EXPECT_EQUAL(SeenBytes, ENTRY_BYTES);
    EXPECT_TRUE(SeenTag == TEST_TAG);
    SeenList = NULL;
    ExFreeToLookasideListEx(&Lists->Either, Lists->Entry[0]);
    ExDeleteLookasideListEx(&Lists->Either);
    EXPECT_EQUAL(Frees, 1);
    EXPECT_TRUE(SeenList == &Lists->Either);

    Forget();
    EXPECT_STATUS(ExInitializeLookasideListEx(&Lists->Either, AllocateEntryEx, FreeEntryEx, PagedPool,
                                              EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE, ENTRY_BYTES, TEST_TAG, 0),
                  STATUS_SUCCESS);
    Lists->Entry[0] = ExAllocateFromLookasideListEx(&Lists->Either);
    EXPECT_EQUAL(SeenType, PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE);
    ExFreeToLookasideListEx(&Lists->Either, Lists->Entry[0]);
    ExDeleteLookasideListEx(&Lists->Either);
    TestFree(Lists);
}

/* Flushing frees every entry that the list keeps; the list stays in use. */
static VOID LookasideExFlushed(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));

    REQUIRE(Lists != NULL);
    Forget();
    (VOID) ExInitializeLookasideListEx(&Lists->Either, AllocateEntryEx, FreeEntryEx, NonPagedPoolNx, 0, ENTRY_BYTES,
                                       TEST_TAG, 0);
    ExFlushLookasideListEx(&Lists->Either); /* nothing is in it */
    EXPECT_EQUAL(Frees, 0);
    Lists->Entry[0] = ExAllocateFromLookasideListEx(&Lists->Either);
    Lists->Entry[1] = ExAllocateFromLookasideListEx(&Lists->Either);
    ExFreeToLookasideListEx(&Lists->Either, Lists->Entry[0]);
    ExFreeToLookasideListEx(&Lists->Either, Lists->Entry[1]);
    ExFlushLookasideListEx(&Lists->Either);
    EXPECT_EQUAL(Frees, 2);
    Lists->Entry[0] = ExAllocateFromLookasideListEx(&Lists->Either);
    EXPECT_EQUAL(Allocations, 3);
    ExFreeToLookasideListEx(&Lists->Either, Lists->Entry[0]);
    ExDeleteLookasideListEx(&Lists->Either);
    EXPECT_EQUAL(Frees, 3);
    TestFree(Lists);
}

/* ---- failures ---- */

static VOID LookasideExParameters(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));

    REQUIRE(Lists != NULL);
    EXPECT_STATUS(
        ExInitializeLookasideListEx(&Lists->Either, NULL, NULL, (POOL_TYPE)0x4000, 0, ENTRY_BYTES, TEST_TAG, 0),
        STATUS_INVALID_PARAMETER_4);
    EXPECT_STATUS(
        ExInitializeLookasideListEx(&Lists->Either, NULL, NULL, PagedPool,
                                    EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL | EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE,
                                    ENTRY_BYTES, TEST_TAG, 0),
        STATUS_INVALID_PARAMETER_5);
    EXPECT_STATUS(ExInitializeLookasideListEx(&Lists->Either, NULL, NULL, PagedPool, 0x80, ENTRY_BYTES, TEST_TAG, 0),
                  STATUS_INVALID_PARAMETER_5);
    TestFree(Lists);
}

/* No memory: NULL, which is what a routine of the driver's says of it too. */
static VOID LookasideNoMemory(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));

    REQUIRE(Lists != NULL);
    Forget();
    Refuse = TRUE;
    ExInitializeNPagedLookasideList(&Lists->NonPaged, AllocateEntry, FreeEntry, 0, ENTRY_BYTES, TEST_TAG, 0);
    EXPECT_TRUE(ExAllocateFromNPagedLookasideList(&Lists->NonPaged) == NULL);
    ExDeleteNPagedLookasideList(&Lists->NonPaged);
    ExInitializePagedLookasideList(&Lists->Paged, AllocateEntry, FreeEntry, 0, ENTRY_BYTES, TEST_TAG, 0);
    EXPECT_TRUE(ExAllocateFromPagedLookasideList(&Lists->Paged) == NULL);
    ExDeletePagedLookasideList(&Lists->Paged);
    (VOID) ExInitializeLookasideListEx(&Lists->Either, AllocateEntryEx, FreeEntryEx, NonPagedPoolNx, 0, ENTRY_BYTES,
                                       TEST_TAG, 0);
    EXPECT_TRUE(ExAllocateFromLookasideListEx(&Lists->Either) == NULL);
    ExDeleteLookasideListEx(&Lists->Either);
    EXPECT_EQUAL(Frees, 0);
    TestFree(Lists);
}

/* ---- levels ---- */

static VOID LookasideAtDispatchLevel(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));
    KIRQL Irql;

    REQUIRE(Lists != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    ExInitializeNPagedLookasideList(&Lists->NonPaged, NULL, NULL, POOL_NX_ALLOCATION, ENTRY_BYTES, TEST_TAG, 0);
    Lists->Entry[0] = ExAllocateFromNPagedLookasideList(&Lists->NonPaged);
    EXPECT_TRUE(Lists->Entry[0] != NULL);
    ExFreeToNPagedLookasideList(&Lists->NonPaged, Lists->Entry[0]);
    ExDeleteNPagedLookasideList(&Lists->NonPaged);
    EXPECT_STATUS(ExInitializeLookasideListEx(&Lists->Either, NULL, NULL, NonPagedPoolNx, 0, ENTRY_BYTES, TEST_TAG, 0),
                  STATUS_SUCCESS);
    Lists->Entry[0] = ExAllocateFromLookasideListEx(&Lists->Either);
    EXPECT_TRUE(Lists->Entry[0] != NULL);
    ExFreeToLookasideListEx(&Lists->Either, Lists->Entry[0]);
    ExFlushLookasideListEx(&Lists->Either);
    ExDeleteLookasideListEx(&Lists->Either);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Irql);
    TestFree(Lists);
}

static VOID LookasideAtApcLevel(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));
    KIRQL Irql;

    REQUIRE(Lists != NULL);
    KeRaiseIrql(APC_LEVEL, &Irql);
    ExInitializePagedLookasideList(&Lists->Paged, NULL, NULL, 0, ENTRY_BYTES, TEST_TAG, 0);
    Lists->Entry[0] = ExAllocateFromPagedLookasideList(&Lists->Paged);
    EXPECT_TRUE(Lists->Entry[0] != NULL);
    ExFreeToPagedLookasideList(&Lists->Paged, Lists->Entry[0]);
    ExDeletePagedLookasideList(&Lists->Paged);
    KeLowerIrql(Irql);
    TestFree(Lists);
}

/* ---- broken rules ---- */

static VOID LookasideFreedTwice(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));
    PVOID Entry;

    REQUIRE(Lists != NULL);
    ExInitializeNPagedLookasideList(&Lists->NonPaged, NULL, NULL, 0, ENTRY_BYTES, TEST_TAG, 0);
    Entry = ExAllocateFromNPagedLookasideList(&Lists->NonPaged);
    ExFreeToNPagedLookasideList(&Lists->NonPaged, Entry);
    ExFreeToNPagedLookasideList(&Lists->NonPaged, Entry);
}

/* Depth is reserved. */
static VOID LookasidePagedDepth(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));

    REQUIRE(Lists != NULL);
    ExInitializePagedLookasideList(&Lists->Paged, NULL, NULL, 0, ENTRY_BYTES, TEST_TAG, 7);
}

static VOID LookasideFreedUndeleted(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));

    REQUIRE(Lists != NULL);
    ExInitializeNPagedLookasideList(&Lists->NonPaged, NULL, NULL, 0, ENTRY_BYTES, TEST_TAG, 0);
    TestFree(Lists);
}

/* A list of paged memory, above APC_LEVEL. */
static VOID LookasideExPagedAtDispatchLevel(VOID)
{
    LISTS *Lists = TestAllocate(sizeof(*Lists));
    KIRQL Irql;

    REQUIRE(Lists != NULL);
    (VOID) ExInitializeLookasideListEx(&Lists->Either, NULL, NULL, PagedPool, 0, ENTRY_BYTES, TEST_TAG, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) ExAllocateFromLookasideListEx(&Lists->Either);
}

TEST_TABLE(ex_lookaside){
    TEST(LookasideNonPagedEntries, 0),
    TEST(LookasidePagedEntries, 0),
    TEST(LookasideExEntries, 0),
    TEST(LookasideNonPagedRoutines, 0),
    TEST(LookasidePagedRoutines, 0),
    TEST(LookasideExRoutines, 0),
    TEST(LookasideExFlushed, 0),
    TEST(LookasideExParameters, 0),
    TEST(LookasideNoMemory, 0),
    TEST(LookasideAtDispatchLevel, 0),
    TEST(LookasideAtApcLevel, 0),
    TEST_VIOLATION(LookasideFreedTwice, "lookaside-double-free", 0),
    TEST_VIOLATION(LookasidePagedDepth, "lookaside-depth", 0),
    TEST_VIOLATION(LookasideFreedUndeleted, "freed-in-use", 0xC4),
    TEST_VIOLATION(LookasideExPagedAtDispatchLevel, "irql", 0),
    TEST_END,
};
