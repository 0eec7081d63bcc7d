/*
 * Conversions between character sets, after their wdm.h and ntifs.h pages. The ANSI code page is the system's: of text
 * beyond ASCII only what goes there and comes back is expected.
 */
#include "nttest.h"

/* One to four bytes in UTF-8, the last a surrogate pair in UTF-16. */
static const WCHAR Utf16[] = {L'a', 0x00E9, 0x20AC, 0xD83D, 0xDE00};
static const CHAR Utf8[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";

#define UTF8_BYTES (sizeof(Utf8) - 1)

/* ---- ANSI ---- */

static VOID ConvertToAnsi(VOID)
{
    CHAR Buffer[9];
    UNICODE_STRING Source;
    ANSI_STRING Own = {0, sizeof(Buffer), Buffer}, Result = {0, 0, NULL};

    RtlInitUnicodeString(&Source, L"eth0/mac");
    EXPECT_STATUS(RtlUnicodeStringToAnsiString(&Own, &Source, FALSE), STATUS_SUCCESS); /* fits to the byte */
    EXPECT_EQUAL(Own.Length, 8);
    EXPECT_TEXT(Own.Buffer, "eth0/mac");
    EXPECT_TRUE(Own.Buffer == Buffer);
    EXPECT_STATUS(RtlUnicodeStringToAnsiString(&Result, &Source, TRUE), STATUS_SUCCESS);
    EXPECT_EQUAL(Result.Length, 8);
    EXPECT_TRUE(Result.MaximumLength >= 9);
    EXPECT_TEXT(Result.Buffer, "eth0/mac");
    RtlFreeAnsiString(&Result);
}

/* The page: "no conversion was done". Windows is known to convert what fits all the same: observed. */
static VOID ConvertToAnsiTooLong(VOID)
{
    CHAR Buffer[5] = "....";
    UNICODE_STRING Source;
    ANSI_STRING Small = {0, 4, Buffer};

    RtlInitUnicodeString(&Source, L"eth0");
    EXPECT_STATUS(RtlUnicodeStringToAnsiString(&Small, &Source, FALSE), STATUS_BUFFER_OVERFLOW);
    EXPECT_EQUAL(Buffer[4], 0);
    OBSERVE("length of what was converted", Small.Length);
}

static VOID ConvertToUnicode(VOID)
{
    WCHAR Buffer[5];
    ANSI_STRING Source;
    UNICODE_STRING Own = {0, sizeof(Buffer), Buffer}, Result = {0, 0, NULL};

    RtlInitAnsiString(&Source, "eth0");
    EXPECT_STATUS(RtlAnsiStringToUnicodeString(&Own, &Source, FALSE), STATUS_SUCCESS);
    EXPECT_UNICODE(&Own, L"eth0");
    EXPECT_TRUE(Own.Buffer == Buffer);
    EXPECT_STATUS(RtlAnsiStringToUnicodeString(&Result, &Source, TRUE), STATUS_SUCCESS);
    EXPECT_UNICODE(&Result, L"eth0");
    EXPECT_TRUE(Result.MaximumLength >= 8);
    RtlFreeUnicodeString(&Result);
}

static VOID ConvertToUnicodeTooLong(VOID)
{
    WCHAR Buffer[4] = L"...";
    ANSI_STRING Source;
    UNICODE_STRING Small = {0, 6, Buffer};

    RtlInitAnsiString(&Source, "eth0");
    EXPECT_STATUS(RtlAnsiStringToUnicodeString(&Small, &Source, FALSE), STATUS_BUFFER_OVERFLOW);
    EXPECT_EQUAL(Buffer[0], L'.');
    EXPECT_EQUAL(Small.Length, 0);
}

/* With the zero that would end it; the macros and the routines they stand for. */
static VOID ConvertSizes(VOID)
{
    UNICODE_STRING Wide;
    ANSI_STRING Ansi;

    RtlInitUnicodeString(&Wide, L"eth0/mac");
    RtlInitAnsiString(&Ansi, "eth0/mac");
    EXPECT_EQUAL(RtlxUnicodeStringToAnsiSize(&Wide), 9);
    EXPECT_EQUAL(RtlUnicodeStringToAnsiSize(&Wide), 9);
    EXPECT_EQUAL(RtlxAnsiStringToUnicodeSize(&Ansi), 18);
    EXPECT_EQUAL(RtlAnsiStringToUnicodeSize(&Ansi), 18);
    RtlInitUnicodeString(&Wide, NULL);
    RtlInitAnsiString(&Ansi, NULL);
    EXPECT_EQUAL(RtlxUnicodeStringToAnsiSize(&Wide), 1);
    EXPECT_EQUAL(RtlxAnsiStringToUnicodeSize(&Ansi), 2);
}

/* Neither needs nor makes a zero at the end. */
static VOID ConvertMultiByte(VOID)
{
    WCHAR Wide[6] = {9, 9, 9, 9, 9, 9};
    CHAR Narrow[6] = "......";
    ULONG Length = 0;

    EXPECT_STATUS(RtlMultiByteToUnicodeN(Wide, sizeof(Wide), &Length, "eth0", 4), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, 8);
    EXPECT_EQUAL(RtlCompareMemory(Wide, L"eth0", 8), 8);
    EXPECT_EQUAL(Wide[4], 9);
    EXPECT_STATUS(RtlUnicodeToMultiByteN(Narrow, sizeof(Narrow), &Length, L"eth0", 8), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, 4);
    EXPECT_EQUAL(RtlCompareMemory(Narrow, "eth0..", 6), 6);
    EXPECT_STATUS(RtlUnicodeToMultiByteN(Narrow, sizeof(Narrow), NULL, L"ab", 6), STATUS_SUCCESS); /* with its zero */
    EXPECT_TEXT(Narrow, "ab");
    EXPECT_STATUS(RtlMultiByteToUnicodeN(Wide, sizeof(Wide), NULL, "x", 1), STATUS_SUCCESS);
    EXPECT_EQUAL(Wide[0], L'x');
}

/* "If this value causes the translated string to be truncated, ... does not return an error status": the length tells.
 */
static VOID ConvertMultiByteTruncated(VOID)
{
    WCHAR Wide[3] = {9, 9, 9};
    CHAR Narrow[3] = "..";
    ULONG Length = 0;

    EXPECT_STATUS(RtlMultiByteToUnicodeN(Wide, 4, &Length, "eth0", 4), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, 4);
    EXPECT_EQUAL(Wide[1], L't');
    EXPECT_EQUAL(Wide[2], 9);
    EXPECT_STATUS(RtlUnicodeToMultiByteN(Narrow, 2, &Length, L"eth0", 8), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, 2);
    EXPECT_TEXT(Narrow, "et");
}

static VOID ConvertMultiByteAtApcLevel(VOID)
{
    WCHAR Wide[2] = {0, 0};
    CHAR Narrow[2] = "";
    NTSTATUS Status[2];
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    Status[0] = RtlMultiByteToUnicodeN(Wide, 2, NULL, "a", 1);
    Status[1] = RtlUnicodeToMultiByteN(Narrow, 1, NULL, L"b", 2);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status[0], STATUS_SUCCESS);
    EXPECT_STATUS(Status[1], STATUS_SUCCESS);
    EXPECT_EQUAL(Wide[0], L'a');
    EXPECT_TEXT(Narrow, "b");
}

/* ---- UTF-8 ---- */

static VOID ConvertUtf8(VOID)
{
    WCHAR Wide[8];
    CHAR Narrow[16];
    ULONG Length = 0;

    EXPECT_STATUS(RtlUnicodeToUTF8N(Narrow, sizeof(Narrow), &Length, Utf16, sizeof(Utf16)), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, UTF8_BYTES);
    EXPECT_EQUAL(RtlCompareMemory(Narrow, Utf8, UTF8_BYTES), UTF8_BYTES);
    EXPECT_STATUS(RtlUTF8ToUnicodeN(Wide, sizeof(Wide), &Length, Utf8, UTF8_BYTES), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, sizeof(Utf16));
    EXPECT_EQUAL(RtlCompareMemory(Wide, Utf16, sizeof(Utf16)), sizeof(Utf16));
}

/* A zero is a character like others; and there is one at the end only if there is one in the source. */
static VOID ConvertUtf8Zeros(VOID)
{
    WCHAR Wide[4] = {9, 9, 9, 9};
    CHAR Narrow[5] = "....";
    ULONG Length = 0;

    EXPECT_STATUS(RtlUTF8ToUnicodeN(Wide, sizeof(Wide), &Length, "a\0b", 3), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, 6);
    EXPECT_EQUAL(Wide[1], 0);
    EXPECT_EQUAL(Wide[2], L'b');
    EXPECT_EQUAL(Wide[3], 9);
    EXPECT_STATUS(RtlUnicodeToUTF8N(Narrow, sizeof(Narrow), &Length, L"a\0b", 6), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, 3);
    EXPECT_EQUAL(Narrow[1], 0);
    EXPECT_EQUAL(Narrow[2], 'b');
    EXPECT_EQUAL(Narrow[3], '.');
}

static VOID ConvertUtf8Sizes(VOID)
{
    ULONG Length = 0;

    EXPECT_STATUS(RtlUnicodeToUTF8N(NULL, 0, &Length, Utf16, sizeof(Utf16)), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, UTF8_BYTES);
    EXPECT_STATUS(RtlUTF8ToUnicodeN(NULL, 0, &Length, Utf8, UTF8_BYTES), STATUS_SUCCESS);
    EXPECT_EQUAL(Length, sizeof(Utf16));
}

static VOID ConvertUtf8Invalid(VOID)
{
    static const WCHAR Lead[] = {L'a', 0xD83D, L'b'}, Trail[] = {L'a', 0xDE00, L'b'};
    static const PCSTR Wrong[] = {"a\xFFz", "a\x80z", "a\xC3z", "a\xC0z"}; /* the last begins an overlong form */
    WCHAR Wide[8];
    CHAR Narrow[16];
    ULONG Length, Index;

    for (Index = 0; Index < ARRAYSIZE(Wrong); Index++) {
        EXPECT_STATUS(RtlUTF8ToUnicodeN(Wide, sizeof(Wide), &Length, Wrong[Index], 3), STATUS_SOME_NOT_MAPPED);
        EXPECT_EQUAL(Length, 6);
        EXPECT_EQUAL(Wide[0], L'a');
        EXPECT_EQUAL(Wide[1], 0xFFFD);
        EXPECT_EQUAL(Wide[2], L'z');
    }
    EXPECT_STATUS(RtlUnicodeToUTF8N(Narrow, sizeof(Narrow), &Length, Lead, sizeof(Lead)), STATUS_SOME_NOT_MAPPED);
    EXPECT_EQUAL(Length, 5);
    EXPECT_EQUAL(RtlCompareMemory(Narrow,
                                  "a\xEF\xBF\xBD"
                                  "b",
                                  5),
                 5);
    EXPECT_STATUS(RtlUnicodeToUTF8N(Narrow, sizeof(Narrow), &Length, Trail, sizeof(Trail)), STATUS_SOME_NOT_MAPPED);
    EXPECT_EQUAL(RtlCompareMemory(Narrow,
                                  "a\xEF\xBF\xBD"
                                  "b",
                                  5),
                 5);
}

/* As many whole characters as fit are written, and counted. */
static VOID ConvertUtf8TooLong(VOID)
{
    WCHAR Wide[8] = {9, 9, 9, 9, 9, 9, 9, 9};
    CHAR Narrow[16] = "...............";
    ULONG Length = 0;

    EXPECT_STATUS(RtlUnicodeToUTF8N(Narrow, 5, &Length, Utf16, sizeof(Utf16)), STATUS_BUFFER_TOO_SMALL);
    EXPECT_EQUAL(Length, 3);
    EXPECT_EQUAL(RtlCompareMemory(Narrow, Utf8, 3), 3);
    EXPECT_EQUAL(Narrow[5], '.');
    EXPECT_STATUS(RtlUTF8ToUnicodeN(Wide, 4 * sizeof(WCHAR), &Length, Utf8, UTF8_BYTES), STATUS_BUFFER_TOO_SMALL);
    EXPECT_EQUAL(Length, 6);
    EXPECT_EQUAL(RtlCompareMemory(Wide, Utf16, 6), 6);
    EXPECT_EQUAL(Wide[4], 9);
}

static VOID ConvertUtf8Refused(VOID)
{
    WCHAR Wide[4];
    CHAR Narrow[4];
    ULONG Length;

    EXPECT_STATUS(RtlUTF8ToUnicodeN(NULL, 0, NULL, "a", 1), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(RtlUTF8ToUnicodeN(Wide, sizeof(Wide), &Length, NULL, 0), STATUS_INVALID_PARAMETER_4);
    EXPECT_STATUS(RtlUnicodeToUTF8N(NULL, 0, NULL, L"a", 2), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(RtlUnicodeToUTF8N(Narrow, sizeof(Narrow), &Length, NULL, 0), STATUS_INVALID_PARAMETER_4);
    EXPECT_STATUS(RtlUnicodeToUTF8N(Narrow, sizeof(Narrow), &Length, L"ab", 3), STATUS_INVALID_PARAMETER_5);
}

TEST_TABLE(rtl_convert){
    TEST(ConvertToAnsi, 0),
    TEST(ConvertToAnsiTooLong, 0),
    TEST(ConvertToUnicode, 0),
    TEST(ConvertToUnicodeTooLong, 0),
    TEST(ConvertSizes, 0),
    TEST(ConvertMultiByte, 0),
    TEST(ConvertMultiByteTruncated, 0),
    TEST(ConvertMultiByteAtApcLevel, 0),
    TEST(ConvertUtf8, 0),
    TEST(ConvertUtf8Zeros, 0),
    TEST(ConvertUtf8Sizes, 0),
    TEST(ConvertUtf8Invalid, 0),
    TEST(ConvertUtf8TooLong, 0),
    TEST(ConvertUtf8Refused, 0),
    TEST_END,
};
