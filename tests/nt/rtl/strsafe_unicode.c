/*
 * ntstrsafe.h: the functions for UNICODE_STRING, after their pages. mingw-w64's header (version 10) has none of them,
 * and defines the others in each file that includes it: built with it, the table is empty. The pages disagree with
 * themselves on a zero behind the result: it is not looked for, and the character behind what was written is observed.
 */
#include "nttest.h"

#if !defined(__MINGW32__)
#include <ntstrsafe.h>

#define FILLED L'~'

static WCHAR Room[8];
static UNICODE_STRING To;

/* An empty destination of that many characters. */
static VOID Begin(USHORT Characters)
{
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Room); Index++)
        Room[Index] = FILLED;
    To.Length = 0;
    To.MaximumLength = (USHORT)(Characters * sizeof(WCHAR));
    To.Buffer = Room;
}

static NTSTATUS PrintList(PUNICODE_STRING Destination, PCWSTR Format, ...)
{
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Format);
    Status = RtlUnicodeStringVPrintf(Destination, Format, Arguments);
    va_end(Arguments);
    return Status;
}

static VOID SafeUnicodeInit(VOID)
{
    static const WCHAR Text[] = L"four";

    EXPECT_STATUS(RtlUnicodeStringInit(&To, Text), STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"four");
    EXPECT_EQUAL(To.MaximumLength, sizeof(Text));
    EXPECT_TRUE(To.Buffer == Text);
    EXPECT_STATUS(RtlUnicodeStringInit(&To, NULL), STATUS_SUCCESS);
    EXPECT_EQUAL(To.Length, 0);
    EXPECT_EQUAL(To.MaximumLength, 0);
    EXPECT_TRUE(To.Buffer == NULL);
}

static VOID SafeUnicodeInitRefuses(VOID)
{
    PWSTR Long = TestAllocate((NTSTRSAFE_UNICODE_STRING_MAX_CCH + 2) * sizeof(WCHAR));
    ULONG Index;

    REQUIRE(Long != NULL);
    for (Index = 0; Index <= NTSTRSAFE_UNICODE_STRING_MAX_CCH; Index++)
        Long[Index] = L'a';
    EXPECT_STATUS(RtlUnicodeStringInit(&To, Long), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(RtlUnicodeStringInit(NULL, L"a"), STATUS_INVALID_PARAMETER);
    TestFree(Long);
}

static VOID SafeUnicodeCopy(VOID)
{
    UNICODE_STRING Source;

    RtlInitUnicodeString(&Source, L"abc");
    Begin(5);
    EXPECT_STATUS(RtlUnicodeStringCopy(&To, &Source), STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"abc");
    EXPECT_EQUAL(Room[5], FILLED);
    Begin(3); /* fits: no zero is counted */
    EXPECT_STATUS(RtlUnicodeStringCopy(&To, &Source), STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"abc");
    Begin(5);
    EXPECT_STATUS(RtlUnicodeStringCopyString(&To, L"xyz"), STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"xyz");
    EXPECT_EQUAL(To.MaximumLength, 10);
    Begin(5);
    EXPECT_STATUS(RtlUnicodeStringCbCopyStringN(&To, L"xyz", 8), STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"xyz");
    OBSERVE("behind the copy", Room[3]);
}

static VOID SafeUnicodeCopyCount(VOID)
{
    Begin(5);
    EXPECT_STATUS(RtlUnicodeStringCbCopyStringN(&To, L"xyz", 4), STATUS_SUCCESS); /* bytes */
    EXPECT_UNICODE(&To, L"xy");
    EXPECT_STATUS(RtlUnicodeStringCbCopyStringN(&To, L"xyz", 0), STATUS_SUCCESS);
    EXPECT_EQUAL(To.Length, 0);
}

static VOID SafeUnicodeCopyTruncates(VOID)
{
    UNICODE_STRING Source;

    RtlInitUnicodeString(&Source, L"abcdef");
    Begin(4);
    EXPECT_STATUS(RtlUnicodeStringCopy(&To, &Source), STATUS_BUFFER_OVERFLOW);
    EXPECT_UNICODE(&To, L"abcd");
    EXPECT_EQUAL(Room[4], FILLED);
    Begin(4);
    EXPECT_STATUS(RtlUnicodeStringCopyString(&To, L"abcdef"), STATUS_BUFFER_OVERFLOW);
    EXPECT_UNICODE(&To, L"abcd");
    EXPECT_EQUAL(Room[4], FILLED);
    Begin(4);
    EXPECT_STATUS(RtlUnicodeStringCbCopyStringN(&To, L"abcdef", 10), STATUS_BUFFER_OVERFLOW);
    EXPECT_UNICODE(&To, L"abcd");
    EXPECT_EQUAL(Room[4], FILLED);
}

static VOID SafeUnicodeCat(VOID)
{
    UNICODE_STRING Source;

    RtlInitUnicodeString(&Source, L"cd");
    Begin(6);
    EXPECT_STATUS(RtlUnicodeStringCatString(&To, L"ab"), STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"ab");
    EXPECT_STATUS(RtlUnicodeStringCat(&To, &Source), STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"abcd");
    EXPECT_STATUS(RtlUnicodeStringCatString(&To, L""), STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"abcd");
    EXPECT_EQUAL(Room[6], FILLED);
    OBSERVE("behind the result", Room[4]);
}

static VOID SafeUnicodeCatTruncates(VOID)
{
    UNICODE_STRING Source;

    RtlInitUnicodeString(&Source, L"cdef");
    Begin(4);
    EXPECT_STATUS(RtlUnicodeStringCatString(&To, L"ab"), STATUS_SUCCESS);
    EXPECT_STATUS(RtlUnicodeStringCat(&To, &Source), STATUS_BUFFER_OVERFLOW);
    EXPECT_UNICODE(&To, L"abcd");
    EXPECT_EQUAL(Room[4], FILLED);
    Begin(4);
    EXPECT_STATUS(RtlUnicodeStringCatString(&To, L"abcdef"), STATUS_BUFFER_OVERFLOW);
    EXPECT_UNICODE(&To, L"abcd");
    EXPECT_EQUAL(Room[4], FILLED);
}

/* The pages: STATUS_INVALID_PARAMETER; the driver kit's code: a result that is cut. It fails either way. */
static VOID SafeUnicodeCatToFull(VOID)
{
    UNICODE_STRING Source;

    RtlInitUnicodeString(&Source, L"x");
    Begin(2);
    EXPECT_STATUS(RtlUnicodeStringCatString(&To, L"ab"), STATUS_SUCCESS);
    EXPECT_FALSE(NT_SUCCESS(RtlUnicodeStringCat(&To, &Source)));
    EXPECT_FALSE(NT_SUCCESS(RtlUnicodeStringCatString(&To, L"x")));
    EXPECT_UNICODE(&To, L"ab");
    EXPECT_EQUAL(Room[2], FILLED);
    OBSERVE("status", RtlUnicodeStringCat(&To, &Source));
}

static VOID SafeUnicodePrint(VOID)
{
    Begin(7);
    EXPECT_STATUS(RtlUnicodeStringPrintf(&To, L"%ws=%u", L"key", 42), STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"key=42");
    EXPECT_EQUAL(To.MaximumLength, 14);
    Begin(7);
    EXPECT_STATUS(PrintList(&To, L"%ws=%x", L"key", 255), STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"key=ff");
    EXPECT_EQUAL(Room[7], FILLED);
}

static VOID SafeUnicodePrintTruncates(VOID)
{
    Begin(5);
    EXPECT_STATUS(RtlUnicodeStringPrintf(&To, L"%ws=%u", L"key", 42), STATUS_BUFFER_OVERFLOW);
    EXPECT_UNICODE(&To, L"key=4");
    EXPECT_EQUAL(Room[5], FILLED);
    Begin(5);
    EXPECT_STATUS(PrintList(&To, L"%ws=%u", L"key", 42), STATUS_BUFFER_OVERFLOW);
    EXPECT_UNICODE(&To, L"key=4");
    EXPECT_EQUAL(Room[5], FILLED);
}

#define REFUSED(_Call) EXPECT_STATUS(_Call, STATUS_INVALID_PARAMETER)

static VOID RefuseAll(PUNICODE_STRING Destination)
{
    UNICODE_STRING Source;

    RtlInitUnicodeString(&Source, L"a");
    REFUSED(RtlUnicodeStringCopy(Destination, &Source));
    REFUSED(RtlUnicodeStringCopyString(Destination, L"a"));
    REFUSED(RtlUnicodeStringCbCopyStringN(Destination, L"a", 2));
    REFUSED(RtlUnicodeStringCat(Destination, &Source));
    REFUSED(RtlUnicodeStringCatString(Destination, L"a"));
    REFUSED(RtlUnicodeStringPrintf(Destination, L"a"));
    REFUSED(PrintList(Destination, L"a"));
}

/* A structure whose contents are invalid, a NULL pointer, no destination for a source that is not empty. */
static VOID SafeUnicodeRefuses(VOID)
{
    UNICODE_STRING Wrong = {4, 2, Room}, Odd = {1, 4, Room}, Nowhere = {0, 8, NULL}, Empty = {0, 0, NULL};

    RefuseAll(&Wrong);
    RefuseAll(&Odd);
    RefuseAll(&Nowhere);
    RefuseAll(&Empty);
    Begin(4);
    REFUSED(RtlUnicodeStringCopy(&To, &Wrong));
    REFUSED(RtlUnicodeStringCopyString(&To, NULL));
    REFUSED(RtlUnicodeStringCbCopyStringN(&To, NULL, 2));
    REFUSED(RtlUnicodeStringCbCopyStringN(&To, L"a", NTSTRSAFE_UNICODE_STRING_MAX_CCH * sizeof(WCHAR) + 2));
    REFUSED(RtlUnicodeStringCat(&To, &Wrong));
    REFUSED(RtlUnicodeStringCatString(&To, NULL));
    REFUSED(RtlUnicodeStringPrintf(&To, NULL));
    REFUSED(PrintList(&To, NULL));
    EXPECT_EQUAL(To.Length, 0);
    EXPECT_EQUAL(Room[0], FILLED);
}

static VOID SafeUnicodeAtHighLevel(VOID)
{
    UNICODE_STRING Source;
    NTSTATUS Status[5];
    KIRQL Irql;

    Begin(8);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Status[0] = RtlUnicodeStringInit(&Source, L"ab");
    Status[1] = RtlUnicodeStringCopy(&To, &Source);
    Status[2] = RtlUnicodeStringCat(&To, &Source);
    Status[3] = RtlUnicodeStringCatString(&To, L"c");
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status[0], STATUS_SUCCESS);
    EXPECT_STATUS(Status[1], STATUS_SUCCESS);
    EXPECT_STATUS(Status[2], STATUS_SUCCESS);
    EXPECT_STATUS(Status[3], STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"ababc");
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Status[4] = RtlUnicodeStringCopyString(&To, L"z");
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status[4], STATUS_SUCCESS);
    EXPECT_UNICODE(&To, L"z");
}

#endif

TEST_TABLE(rtl_strsafe_unicode)
{
#if !defined(__MINGW32__)
    TEST(SafeUnicodeInit, 0), TEST(SafeUnicodeInitRefuses, 0), TEST(SafeUnicodeCopy, 0), TEST(SafeUnicodeCopyCount, 0),
        TEST(SafeUnicodeCopyTruncates, 0), TEST(SafeUnicodeCat, 0), TEST(SafeUnicodeCatTruncates, 0),
        TEST(SafeUnicodeCatToFull, 0), TEST(SafeUnicodePrint, 0), TEST(SafeUnicodePrintTruncates, 0),
        TEST(SafeUnicodeRefuses, 0), TEST(SafeUnicodeAtHighLevel, 0),
#endif
        TEST_END,
};
