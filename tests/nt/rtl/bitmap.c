/*
 * Bitmaps, after the RtlXxxBits pages of wdm.h. They hold for bitmaps in nonpaged memory at any level; a bitmap in
 * paged memory is usable up to APC_LEVEL like all paged memory.
 */
#include "nttest.h"

#define NOT_FOUND 0xFFFFFFFFU
#define GUARD 0xA5A5A5A5U

/* 100 bits, no multiple of a word, and a word that is none of the bitmap's. */
static ULONG Words[5];
static RTL_BITMAP Map;

static VOID Begin(VOID)
{
    RtlZeroMemory(Words, sizeof(Words));
    Words[4] = GUARD;
    RtlInitializeBitMap(&Map, Words, 100);
}

static VOID BitmapInitialize(VOID)
{
    RTL_BITMAP Header = {0, NULL};
    ULONG Buffer[2] = {0x12345678, 0x9ABCDEF0};

    RtlInitializeBitMap(&Header, Buffer, 50);
    EXPECT_EQUAL(Header.SizeOfBitMap, 50);
    EXPECT_TRUE(Header.Buffer == Buffer);
    EXPECT_EQUAL(Buffer[0], 0x12345678); /* the contents stay */
    EXPECT_EQUAL(Buffer[1], 0x9ABCDEF0);
}

static VOID BitmapSetAndClear(VOID)
{
    Begin();
    RtlSetBits(&Map, 30, 40); /* 30 to 69: over two words' borders */
    EXPECT_EQUAL(Words[0], 0xC0000000);
    EXPECT_EQUAL(Words[1], 0xFFFFFFFF);
    EXPECT_EQUAL(Words[2], 0x0000003F);
    EXPECT_EQUAL(Words[3], 0);
    RtlClearBits(&Map, 31, 2);
    EXPECT_EQUAL(Words[0], 0x40000000);
    EXPECT_EQUAL(Words[1], 0xFFFFFFFE);
    RtlSetBit(&Map, 99);
    EXPECT_EQUAL(Words[3], 0x8);
    RtlSetBit(&Map, 99); /* set already */
    EXPECT_EQUAL(Words[3], 0x8);
    RtlClearBit(&Map, 30);
    RtlClearBit(&Map, 30);
    EXPECT_EQUAL(Words[0], 0);
    EXPECT_EQUAL(Words[4], GUARD);
}

static VOID BitmapNothingToDo(VOID)
{
    Begin();
    RtlSetBits(&Map, 7, 0);
    RtlSetBits(&Map, 100, 0);
    EXPECT_EQUAL(RtlNumberOfSetBits(&Map), 0);
    RtlSetAllBits(&Map);
    RtlClearBits(&Map, 7, 0);
    RtlClearBits(&Map, 100, 0);
    EXPECT_EQUAL(RtlNumberOfSetBits(&Map), 100);
}

static VOID BitmapWhole(VOID)
{
    Begin();
    RtlSetAllBits(&Map);
    EXPECT_EQUAL(RtlNumberOfSetBits(&Map), 100);
    EXPECT_EQUAL(RtlNumberOfClearBits(&Map), 0);
    EXPECT_EQUAL(Words[4], GUARD);
    RtlClearAllBits(&Map);
    EXPECT_EQUAL(RtlNumberOfSetBits(&Map), 0);
    EXPECT_EQUAL(RtlNumberOfClearBits(&Map), 100);
    EXPECT_EQUAL(Words[4], GUARD);
}

static VOID BitmapCounts(VOID)
{
    static const struct {
        ULONG_PTR Value;
        ULONG Bits;
    } Values[] = {{0, 0}, {1, 1}, {0x8000000000000000ULL, 1}, {0xF0F0, 8}, {0xFFFFFFFFFFFFFFFFULL, 64}};
    ULONG Index;

    Begin();
    for (Index = 0; Index < 100; Index++) {
        CHECK(RtlNumberOfSetBits(&Map) == Index);
        CHECK(RtlNumberOfClearBits(&Map) == 100 - Index);
        RtlSetBit(&Map, Index * 37 % 100); /* each bit once, in another order */
    }
    Words[3] |= 0xFFFFFFF0U; /* behind the last bit: these do not count */
    EXPECT_EQUAL(RtlNumberOfSetBits(&Map), 100);
    RtlClearBits(&Map, 0, 100);
    EXPECT_EQUAL(RtlNumberOfClearBits(&Map), 100);
    for (Index = 0; Index < ARRAYSIZE(Values); Index++)
        EXPECT_EQUAL(RtlNumberOfSetBitsUlongPtr(Values[Index].Value), Values[Index].Bits);
}

static VOID BitmapTests(VOID)
{
    Begin();
    RtlSetBits(&Map, 30, 40);
    EXPECT_TRUE(RtlTestBit(&Map, 30));
    EXPECT_TRUE(RtlTestBit(&Map, 69));
    EXPECT_FALSE(RtlTestBit(&Map, 29));
    EXPECT_FALSE(RtlTestBit(&Map, 70));
    EXPECT_EQUAL(RtlCheckBit(&Map, 30), 1);
    EXPECT_EQUAL(RtlCheckBit(&Map, 63), 1);
    EXPECT_EQUAL(RtlCheckBit(&Map, 29), 0);
    EXPECT_EQUAL(RtlCheckBit(&Map, 70), 0);
    EXPECT_TRUE(RtlAreBitsSet(&Map, 30, 40));
    EXPECT_TRUE(RtlAreBitsSet(&Map, 50, 1));
    EXPECT_FALSE(RtlAreBitsSet(&Map, 29, 2));
    EXPECT_FALSE(RtlAreBitsSet(&Map, 69, 2));
    EXPECT_TRUE(RtlAreBitsClear(&Map, 0, 30));
    EXPECT_TRUE(RtlAreBitsClear(&Map, 70, 30));
    EXPECT_FALSE(RtlAreBitsClear(&Map, 25, 6));
    EXPECT_FALSE(RtlAreBitsClear(&Map, 69, 2));
}

/* FALSE for no bits at all and for a range that is not inside the bitmap. */
static VOID BitmapImproperRanges(VOID)
{
    static const struct {
        ULONG Start, Length;
    } Ranges[] = {{0, 0}, {50, 0}, {99, 2}, {100, 1}, {0, 101}, {1, 0xFFFFFFFF}, {0xFFFFFFFF, 2}};
    ULONG Index;

    Begin();
    Words[3] = 0;
    for (Index = 0; Index < ARRAYSIZE(Ranges); Index++)
        EXPECT_FALSE(RtlAreBitsClear(&Map, Ranges[Index].Start, Ranges[Index].Length));
    RtlFillMemory(Words, 16, 0xFF);
    for (Index = 0; Index < ARRAYSIZE(Ranges); Index++)
        EXPECT_FALSE(RtlAreBitsSet(&Map, Ranges[Index].Start, Ranges[Index].Length));
}

static VOID BitmapFind(VOID)
{
    Begin();
    RtlSetBits(&Map, 30, 40);
    EXPECT_EQUAL(RtlFindClearBits(&Map, 30, 0), 0);
    EXPECT_EQUAL(RtlFindSetBits(&Map, 40, 0), 30);
    EXPECT_EQUAL(RtlFindSetBits(&Map, 1, 0), 30);
    EXPECT_EQUAL(RtlFindClearBitsAndSet(&Map, 5, 0), 0);
    EXPECT_TRUE(RtlAreBitsSet(&Map, 0, 5));
    EXPECT_EQUAL(RtlNumberOfSetBits(&Map), 45);
    EXPECT_EQUAL(RtlFindSetBitsAndClear(&Map, 40, 0), 30);
    EXPECT_TRUE(RtlAreBitsClear(&Map, 5, 95));
    EXPECT_EQUAL(RtlNumberOfSetBits(&Map), 5);
}

static VOID BitmapFindsNothing(VOID)
{
    Begin();
    RtlSetBits(&Map, 30, 40); /* two clear runs of 30, one set run of 40 */
    EXPECT_EQUAL(RtlFindClearBits(&Map, 31, 0), NOT_FOUND);
    EXPECT_EQUAL(RtlFindSetBits(&Map, 41, 0), NOT_FOUND);
    EXPECT_EQUAL(RtlFindClearBitsAndSet(&Map, 31, 50), NOT_FOUND);
    EXPECT_EQUAL(RtlFindSetBitsAndClear(&Map, 41, 50), NOT_FOUND);
    EXPECT_EQUAL(RtlNumberOfSetBits(&Map), 40); /* and nothing was changed */
    EXPECT_TRUE(RtlAreBitsSet(&Map, 30, 40));
}

/* The search begins at the hint, and goes on from the beginning of the bitmap if there is nothing from there on. */
static VOID BitmapFindHint(VOID)
{
    Begin();
    RtlSetBits(&Map, 30, 40);
    EXPECT_EQUAL(RtlFindClearBits(&Map, 10, 25), 70); /* five before the run, the next ten behind it */
    EXPECT_EQUAL(RtlFindClearBits(&Map, 10, 72), 72);
    EXPECT_EQUAL(RtlFindClearBits(&Map, 30, 80), 0);
    RtlSetAllBits(&Map);
    RtlClearBits(&Map, 30, 40);
    EXPECT_EQUAL(RtlFindSetBits(&Map, 30, 80), 0);
    EXPECT_EQUAL(RtlFindSetBitsAndClear(&Map, 30, 80), 0);
    RtlSetBits(&Map, 0, 30);
    RtlClearBits(&Map, 95, 5);
    EXPECT_EQUAL(RtlFindClearBitsAndSet(&Map, 5, 90), 95);
    EXPECT_EQUAL(RtlFindClearBitsAndSet(&Map, 5, 90), 30);
}

static VOID BitmapRuns(VOID)
{
    ULONG Start = 0;

    Begin();
    RtlSetAllBits(&Map);
    RtlClearBits(&Map, 10, 3);
    RtlClearBits(&Map, 50, 20);
    RtlClearBits(&Map, 99, 1);
    EXPECT_EQUAL(RtlFindFirstRunClear(&Map, &Start), 3);
    EXPECT_EQUAL(Start, 10);
    EXPECT_EQUAL(RtlFindLongestRunClear(&Map, &Start), 20);
    EXPECT_EQUAL(Start, 50);
    EXPECT_EQUAL(RtlFindNextForwardRunClear(&Map, 13, &Start), 20);
    EXPECT_EQUAL(Start, 50);
    EXPECT_EQUAL(RtlFindNextForwardRunClear(&Map, 55, &Start), 15); /* from the middle of a run */
    EXPECT_EQUAL(Start, 55);
    EXPECT_EQUAL(RtlFindNextForwardRunClear(&Map, 70, &Start), 1); /* a single bit, the last */
    EXPECT_EQUAL(Start, 99);
}

/* Where the run would begin is meaningless then. */
static VOID BitmapNoRuns(VOID)
{
    RTL_BITMAP_RUN Runs[2];
    ULONG Start = 0;

    Begin();
    RtlSetAllBits(&Map);
    EXPECT_EQUAL(RtlFindFirstRunClear(&Map, &Start), 0);
    EXPECT_EQUAL(RtlFindLongestRunClear(&Map, &Start), 0);
    EXPECT_EQUAL(RtlFindClearRuns(&Map, Runs, 2, FALSE), 0);
    EXPECT_EQUAL(RtlFindClearRuns(&Map, Runs, 2, TRUE), 0);
    RtlClearBits(&Map, 0, 20);
    EXPECT_EQUAL(RtlFindNextForwardRunClear(&Map, 20, &Start), 0);
}

static VOID BitmapRunLists(VOID)
{
    RTL_BITMAP_RUN Runs[4];

    Begin();
    RtlSetAllBits(&Map);
    RtlClearBits(&Map, 28, 2);
    RtlClearBits(&Map, 70, 20);
    RtlClearBits(&Map, 95, 5);
    EXPECT_EQUAL(RtlFindClearRuns(&Map, Runs, 2, FALSE), 2); /* the first two */
    EXPECT_EQUAL(Runs[0].StartingIndex, 28);
    EXPECT_EQUAL(Runs[0].NumberOfBits, 2);
    EXPECT_EQUAL(Runs[1].StartingIndex, 70);
    EXPECT_EQUAL(Runs[1].NumberOfBits, 20);
    EXPECT_EQUAL(RtlFindClearRuns(&Map, Runs, 2, TRUE), 2); /* the longest two, the longer one first */
    EXPECT_EQUAL(Runs[0].StartingIndex, 70);
    EXPECT_EQUAL(Runs[0].NumberOfBits, 20);
    EXPECT_EQUAL(Runs[1].StartingIndex, 95);
    EXPECT_EQUAL(Runs[1].NumberOfBits, 5);
    EXPECT_EQUAL(RtlFindClearRuns(&Map, Runs, 4, TRUE), 3);
    EXPECT_EQUAL(Runs[2].StartingIndex, 28);
    EXPECT_EQUAL(RtlFindClearRuns(&Map, Runs, 4, FALSE), 3);
    EXPECT_EQUAL(Runs[2].StartingIndex, 95);
}

static VOID BitmapSignificantBits(VOID)
{
    static const struct {
        ULONGLONG Set;
        LONG Least, Most;
    } Sets[] = {{0, -1, -1}, {1, 0, 0}, {0x50, 4, 6}, {0x8000000000000001ULL, 0, 63}, {0x100000000ULL, 32, 32}};
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Sets); Index++) {
        EXPECT_EQUAL(RtlFindLeastSignificantBit(Sets[Index].Set), Sets[Index].Least);
        EXPECT_EQUAL(RtlFindMostSignificantBit(Sets[Index].Set), Sets[Index].Most);
    }
}

static VOID BitmapAtHighLevel(VOID)
{
    RTL_BITMAP_RUN Run = {0, 0};
    ULONG Found[4], Runs[4], Start = 0;
    BOOLEAN Tests[3];
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Begin();
    RtlSetAllBits(&Map);
    RtlClearAllBits(&Map);
    RtlSetBits(&Map, 10, 10);
    RtlClearBits(&Map, 12, 2);
    RtlSetBit(&Map, 12);
    RtlClearBit(&Map, 10);
    Tests[0] = RtlTestBit(&Map, 12) && RtlCheckBit(&Map, 12) == 1;
    Tests[1] = RtlAreBitsSet(&Map, 11, 2);
    Tests[2] = RtlAreBitsClear(&Map, 0, 11);
    Found[0] = RtlFindClearBits(&Map, 20, 0);
    Found[1] = RtlFindSetBits(&Map, 6, 0);
    Found[2] = RtlFindSetBitsAndClear(&Map, 6, 0);
    Found[3] = RtlFindClearBitsAndSet(&Map, 6, 14);
    Runs[0] = RtlFindFirstRunClear(&Map, &Start);
    Runs[1] = RtlFindLongestRunClear(&Map, &Start);
    Runs[2] = RtlFindNextForwardRunClear(&Map, 12, &Start);
    Runs[3] = RtlFindClearRuns(&Map, &Run, 1, TRUE);
    KeLowerIrql(Irql);
    EXPECT_TRUE(Tests[0]);
    EXPECT_TRUE(Tests[1]);
    EXPECT_TRUE(Tests[2]);
    EXPECT_EQUAL(Found[0], 20);
    EXPECT_EQUAL(Found[1], 14);
    EXPECT_EQUAL(Found[2], 14);
    EXPECT_EQUAL(Found[3], 14);
    EXPECT_EQUAL(Runs[0], 11);
    EXPECT_EQUAL(Runs[1], 80);
    EXPECT_EQUAL(Runs[2], 1);
    EXPECT_EQUAL(Runs[3], 1);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Found[0] = RtlNumberOfSetBits(&Map);
    Found[1] = RtlNumberOfClearBits(&Map);
    Found[2] = RtlNumberOfSetBitsUlongPtr(0xFF);
    Tests[0] = RtlFindLeastSignificantBit(8) == 3 && RtlFindMostSignificantBit(9) == 3;
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Found[0], 8);
    EXPECT_EQUAL(Found[1], 92);
    EXPECT_EQUAL(Found[2], 8);
    EXPECT_TRUE(Tests[0]);
}

/* "StartingIndex plus NumberToSet must be less than or equal to SizeOfBitMap." Nothing documented watches over it. */
static VOID BitmapSetBeyondTheEnd(VOID)
{
    Begin();
    RtlSetBits(&Map, 90, 11);
}

static VOID BitmapClearBeyondTheEnd(VOID)
{
    Begin();
    RtlClearBits(&Map, 100, 1);
}

TEST_TABLE(rtl_bitmap){
    TEST(BitmapInitialize, 0),
    TEST(BitmapSetAndClear, 0),
    TEST(BitmapNothingToDo, 0),
    TEST(BitmapWhole, 0),
    TEST(BitmapCounts, 0),
    TEST(BitmapTests, 0),
    TEST(BitmapImproperRanges, 0),
    TEST(BitmapFind, 0),
    TEST(BitmapFindsNothing, 0),
    TEST(BitmapFindHint, 0),
    TEST(BitmapRuns, 0),
    TEST(BitmapNoRuns, 0),
    TEST(BitmapRunLists, 0),
    TEST(BitmapSignificantBits, 0),
    TEST(BitmapAtHighLevel, 0),
    TEST_VIOLATION(BitmapSetBeyondTheEnd, "bitmap-range", 0),
    TEST_VIOLATION(BitmapClearBeyondTheEnd, "bitmap-range", 0),
    TEST_END,
};
