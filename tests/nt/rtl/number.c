/* Numbers, GUIDs and times, and the text they are written as; after their wdm.h and ntddk.h pages. */
#include "nttest.h"

/* Not in the import library of mingw-w64, and its page is of Windows 10: looked up. */
typedef NTSTATUS(NTAPI *UNICODE_STRING_TO_INT64)(PCUNICODE_STRING String, ULONG Base, PLONG64 Number,
                                                 PWSTR *EndPointer);

static UNICODE_STRING_TO_INT64 FindToInt64(VOID)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, L"RtlUnicodeStringToInt64");
    return (UNICODE_STRING_TO_INT64)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
}

/* ---- text to numbers ---- */

/* The examples of RtlUnicodeStringToInteger's page, then its rules. */
static const struct {
    PCWSTR Text;
    ULONG Base;
    LONG Value;
} Numbers[] = {
    {L"123", 10, 123},
    {L"  -345", 10, -345},
    {L"xyz", 10, 0},
    {L"   +678abc", 10, 678},
    {L"   +678abc", 16, 6785724},
    {L"007", 10, 7},
    {L"789", 8, 7},
    {L"FGH", 16, 15},
    {L"      ", 10, 0},
    {L" \t-1", 10, -1}, /* any white space */
    {L"*42", 10, 0},    /* something else before the first digit */
    {L"102", 2, 2},     /* ended by what is no digit of the base */
    {L"7fFg", 16, 0x7FF},
    {L"2147483647", 10, MAXLONG},
};

static const struct {
    PCWSTR Text;
    ULONG Value;
} Prefixes[] = {
    {L"0x1F", 31},          {L"0o17", 15}, {L"0b101", 5}, {L"42", 42}, {L"017", 17} /* no prefix: decimal */,
    {L"-0x10", (ULONG)-16},
};

static VOID NumberFromUnicode(VOID)
{
    UNICODE_STRING String;
    ULONG Value, Index;

    for (Index = 0; Index < ARRAYSIZE(Numbers); Index++) {
        Value = 99;
        RtlInitUnicodeString(&String, Numbers[Index].Text);
        EXPECT_STATUS(RtlUnicodeStringToInteger(&String, Numbers[Index].Base, &Value), STATUS_SUCCESS);
        EXPECT_EQUAL((LONG)Value, Numbers[Index].Value);
    }
    RtlInitUnicodeString(&String, L"4294967295");
    EXPECT_STATUS(RtlUnicodeStringToInteger(&String, 10, &Value), STATUS_SUCCESS);
    EXPECT_EQUAL(Value, 0xFFFFFFFFU);
    RtlInitUnicodeString(&String, L"1234");
    String.Length = 2 * sizeof(WCHAR); /* counted: what is behind the length is none of it */
    EXPECT_STATUS(RtlUnicodeStringToInteger(&String, 10, &Value), STATUS_SUCCESS);
    EXPECT_EQUAL(Value, 12);
}

static VOID NumberFromUnicodePrefix(VOID)
{
    UNICODE_STRING String;
    ULONG Value, Index;

    for (Index = 0; Index < ARRAYSIZE(Prefixes); Index++) {
        Value = 99;
        RtlInitUnicodeString(&String, Prefixes[Index].Text);
        EXPECT_STATUS(RtlUnicodeStringToInteger(&String, 0, &Value), STATUS_SUCCESS);
        EXPECT_EQUAL(Value, Prefixes[Index].Value);
    }
}

static VOID NumberFromUnicodeRefused(VOID)
{
    UNICODE_STRING String;
    ULONG Value = 99;

    RtlInitUnicodeString(&String, L"");
    EXPECT_STATUS(RtlUnicodeStringToInteger(&String, 10, &Value), STATUS_INVALID_PARAMETER);
    RtlInitUnicodeString(&String, L"12");
    EXPECT_STATUS(RtlUnicodeStringToInteger(&String, 7, &Value), STATUS_INVALID_PARAMETER);
}

/*
 * RtlUnicodeStringToInt64: the declaration is in the driver kit, a page is not. What it reads follows the 32-bit
 * routine; the end pointer is behind what was read.
 */
static VOID NumberFromUnicodeInt64(VOID)
{
    UNICODE_STRING_TO_INT64 ToInt64 = FindToInt64();
    UNICODE_STRING String;
    LONG64 Value;
    PWSTR End;
    ULONG Index;

    REQUIRE(ToInt64 != NULL);
    for (Index = 0; Index < ARRAYSIZE(Numbers); Index++) {
        Value = 99;
        RtlInitUnicodeString(&String, Numbers[Index].Text);
        EXPECT_STATUS(ToInt64(&String, Numbers[Index].Base, &Value, NULL), STATUS_SUCCESS);
        EXPECT_EQUAL(Value, Numbers[Index].Value);
    }
    RtlInitUnicodeString(&String, L"  0x123456789A tail");
    EXPECT_STATUS(ToInt64(&String, 0, &Value, &End), STATUS_SUCCESS);
    EXPECT_EQUAL(Value, 0x123456789ALL);
    EXPECT_EQUAL(End - String.Buffer, 14);
}

static VOID NumberFromUnicodeInt64Refused(VOID)
{
    UNICODE_STRING_TO_INT64 ToInt64 = FindToInt64();
    UNICODE_STRING String;
    LONG64 Value;

    REQUIRE(ToInt64 != NULL);
    RtlInitUnicodeString(&String, L"12");
    EXPECT_STATUS(ToInt64(&String, 3, &Value, NULL), STATUS_INVALID_PARAMETER);
}

static VOID NumberFromChars(VOID)
{
    static const struct {
        PCSTR Text;
        ULONG Base, Value;
    } Texts[] = {{"ff", 16, 255}, {"1010", 2, 10}, {"17", 8, 15},   {"99", 10, 99},  {"-5", 10, (ULONG)-5},
                 {"0x1F", 0, 31}, {"0o17", 0, 15}, {"0b101", 0, 5}, {"123", 0, 123}, {" 12 ", 10, 12}};
    ULONG Value, Index;

    for (Index = 0; Index < ARRAYSIZE(Texts); Index++) {
        Value = 99;
        EXPECT_STATUS(RtlCharToInteger(Texts[Index].Text, Texts[Index].Base, &Value), STATUS_SUCCESS);
        EXPECT_EQUAL(Value, Texts[Index].Value);
    }
    EXPECT_STATUS(RtlCharToInteger("1", 3, &Value), STATUS_INVALID_PARAMETER);
}

/* ---- numbers to text ---- */

static const struct {
    ULONGLONG Value;
    ULONG Base;
    PCWSTR Text;
} Texts[] = {
    {0, 10, L"0"},
    {0, 0, L"0"},
    {4294967295U, 10, L"4294967295"},
    {4294967295U, 0, L"4294967295"},
    {0xC0FFEE, 16, L"C0FFEE"},
    {8, 8, L"10"},
    {5, 2, L"101"},
};

static VOID NumberToUnicode(VOID)
{
    WCHAR Buffer[72];
    UNICODE_STRING String = {0, sizeof(Buffer), Buffer};
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Texts); Index++) {
        EXPECT_STATUS(RtlIntegerToUnicodeString((ULONG)Texts[Index].Value, Texts[Index].Base, &String), STATUS_SUCCESS);
        EXPECT_UNICODE(&String, Texts[Index].Text);
        EXPECT_STATUS(RtlInt64ToUnicodeString(Texts[Index].Value, Texts[Index].Base, &String), STATUS_SUCCESS);
        EXPECT_UNICODE(&String, Texts[Index].Text);
    }
    EXPECT_STATUS(RtlInt64ToUnicodeString(18446744073709551615ULL, 10, &String), STATUS_SUCCESS);
    EXPECT_UNICODE(&String, L"18446744073709551615");
    EXPECT_STATUS(RtlInt64ToUnicodeString(0xFEDCBA9876543210ULL, 16, &String), STATUS_SUCCESS);
    EXPECT_UNICODE(&String, L"FEDCBA9876543210");
    EXPECT_STATUS(RtlInt64ToUnicodeString(18446744073709551615ULL, 2, &String), STATUS_SUCCESS);
    EXPECT_EQUAL(String.Length, 64 * sizeof(WCHAR));
}

static VOID NumberToUnicodeTooLong(VOID)
{
    WCHAR Buffer[3];
    UNICODE_STRING String = {0, sizeof(Buffer), Buffer};

    EXPECT_STATUS(RtlIntegerToUnicodeString(100, 10, &String), STATUS_SUCCESS); /* fills it, with no zero behind it */
    EXPECT_UNICODE(&String, L"100");
    EXPECT_STATUS(RtlIntegerToUnicodeString(1000, 10, &String), STATUS_BUFFER_OVERFLOW);
    EXPECT_STATUS(RtlInt64ToUnicodeString(1000, 10, &String), STATUS_BUFFER_OVERFLOW);
}

static VOID NumberToUnicodeUnknownBase(VOID)
{
    WCHAR Buffer[8];
    UNICODE_STRING String = {0, sizeof(Buffer), Buffer};
    ULONG Base;

    for (Base = 1; Base < 20; Base++) {
        BOOLEAN Known = Base == 2 || Base == 8 || Base == 10 || Base == 16;

        CHECK((RtlIntegerToUnicodeString(1, Base, &String) == STATUS_SUCCESS) == Known);
        CHECK((RtlInt64ToUnicodeString(1, Base, &String) == STATUS_SUCCESS) == Known);
    }
    EXPECT_STATUS(RtlIntegerToUnicodeString(1, 7, &String), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(RtlInt64ToUnicodeString(1, 7, &String), STATUS_INVALID_PARAMETER);
}

/* ---- GUIDs ---- */

static const GUID SomeGuid = {0x86824C3B, 0xD34E, 0x4753, {0xB2, 0x81, 0x2F, 0x1E, 0x3A, 0xD2, 0x14, 0xD7}};

static VOID GuidToText(VOID)
{
    UNICODE_STRING Text = {0, 0, NULL};

    EXPECT_STATUS(RtlStringFromGUID(&SomeGuid, &Text), STATUS_SUCCESS);
    EXPECT_UNICODE(&Text, L"{86824C3B-D34E-4753-B281-2F1E3AD214D7}");
    RtlFreeUnicodeString(&Text);
}

static VOID GuidFromText(VOID)
{
    UNICODE_STRING Text;
    GUID Guid;

    RtlZeroMemory(&Guid, sizeof(Guid));
    RtlInitUnicodeString(&Text, L"{86824c3b-D34E-4753-b281-2f1e3ad214d7}"); /* digits of either case */
    EXPECT_STATUS(RtlGUIDFromString(&Text, &Guid), STATUS_SUCCESS);
    EXPECT_EQUAL(RtlCompareMemory(&Guid, &SomeGuid, sizeof(Guid)), sizeof(Guid));
}

/* The page names no status; and "no conversion was done" says nothing of a GUID that is half right. */
static VOID GuidFromWrongText(VOID)
{
    static const PCWSTR Wrong[] = {
        L"",
        L"86824C3B-D34E-4753-B281-2F1E3AD214D7",
        L"{86824C3B-D34E-4753-B281-2F1E3AD214D7",
        L"{86824C3B_D34E-4753-B281-2F1E3AD214D7}",
        L"{86824C3G-D34E-4753-B281-2F1E3AD214D7}",
        L"{86824C3B-D34E-4753-B281-2F1E3AD214D}",
        L"{86824C3BD-34E-4753-B281-2F1E3AD214D7}",
    };
    UNICODE_STRING Text;
    NTSTATUS Status;
    ULONG Index;
    GUID Guid;

    for (Index = 0; Index < ARRAYSIZE(Wrong); Index++) {
        RtlInitUnicodeString(&Text, Wrong[Index]);
        Status = RtlGUIDFromString(&Text, &Guid);
        EXPECT_FALSE(NT_SUCCESS(Status));
    }
    OBSERVE("status of the last", Status);
}

/* ---- time ---- */

static const struct {
    LONGLONG Time;
    TIME_FIELDS Fields; /* year, month, day, hour, minute, second, millisecond, weekday from Sunday on */
} Times[] = {
    {0, {1601, 1, 1, 0, 0, 0, 0, 1}},
    {116444736000000000LL, {1970, 1, 1, 0, 0, 0, 0, 4}},
    {125962560000000000LL, {2000, 2, 29, 0, 0, 0, 0, 2}}, /* a leap year, though divisible by 100 */
    {125963423999990000LL, {2000, 2, 29, 23, 59, 59, 999, 2}},
    {125963424000000000LL, {2000, 3, 1, 0, 0, 0, 0, 3}},
    {133801632000000000LL, {2025, 1, 1, 0, 0, 0, 0, 3}},
};

static VOID TimeToFields(VOID)
{
    LARGE_INTEGER Time;
    TIME_FIELDS Fields;
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Times); Index++) {
        Time.QuadPart = Times[Index].Time;
        RtlTimeToTimeFields(&Time, &Fields);
        EXPECT_EQUAL(Fields.Year, Times[Index].Fields.Year);
        EXPECT_EQUAL(Fields.Month, Times[Index].Fields.Month);
        EXPECT_EQUAL(Fields.Day, Times[Index].Fields.Day);
        EXPECT_EQUAL(Fields.Hour, Times[Index].Fields.Hour);
        EXPECT_EQUAL(Fields.Minute, Times[Index].Fields.Minute);
        EXPECT_EQUAL(Fields.Second, Times[Index].Fields.Second);
        EXPECT_EQUAL(Fields.Milliseconds, Times[Index].Fields.Milliseconds);
        EXPECT_EQUAL(Fields.Weekday, Times[Index].Fields.Weekday);
    }
}

static VOID TimeFromFields(VOID)
{
    LARGE_INTEGER Time;
    TIME_FIELDS Fields;
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Times); Index++) {
        Fields = Times[Index].Fields;
        Time.QuadPart = -1;
        EXPECT_TRUE(RtlTimeFieldsToTime(&Fields, &Time));
        EXPECT_EQUAL(Time.QuadPart, Times[Index].Time);
    }
}

static VOID TimeWeekdayIsIgnored(VOID)
{
    TIME_FIELDS Fields = Times[1].Fields;
    LARGE_INTEGER Time;

    Fields.Weekday = 6;
    EXPECT_TRUE(RtlTimeFieldsToTime(&Fields, &Time));
    EXPECT_EQUAL(Time.QuadPart, Times[1].Time);
}

static VOID TimeFieldsOutOfRange(VOID)
{
    static const TIME_FIELDS Wrong[] = {
        {1600, 12, 31, 0, 0, 0, 0, 0}, {2024, 0, 1, 0, 0, 0, 0, 0},  {2024, 13, 1, 0, 0, 0, 0, 0},
        {2024, 1, 0, 0, 0, 0, 0, 0},   {2024, 1, 32, 0, 0, 0, 0, 0}, {2023, 2, 29, 0, 0, 0, 0, 0},
        {1900, 2, 29, 0, 0, 0, 0, 0},  {2024, 4, 31, 0, 0, 0, 0, 0}, {2024, 1, 1, 24, 0, 0, 0, 0},
        {2024, 1, 1, 0, 60, 0, 0, 0},  {2024, 1, 1, 0, 0, 60, 0, 0}, {2024, 1, 1, 0, 0, 0, 1000, 0},
        {2024, 1, 1, -1, 0, 0, 0, 0},
    };
    LARGE_INTEGER Time;
    TIME_FIELDS Fields;
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Wrong); Index++) {
        Fields = Wrong[Index];
        EXPECT_FALSE(RtlTimeFieldsToTime(&Fields, &Time));
    }
}

/* 400 years, day by day with gaps: there and back. */
static VOID TimeThereAndBack(VOID)
{
    LARGE_INTEGER Time, Back;
    TIME_FIELDS Fields;
    LONGLONG Day;

    for (Day = 0; Day < 146097 * 2; Day += 97) {
        Time.QuadPart = Day * 864000000000LL + 123450000;
        RtlTimeToTimeFields(&Time, &Fields);
        CHECK(Fields.Weekday == (Day + 1) % 7);
        CHECK(RtlTimeFieldsToTime(&Fields, &Back) && Back.QuadPart == Time.QuadPart);
    }
}

static VOID TimeAtHighLevel(VOID)
{
    LARGE_INTEGER Time, Back;
    TIME_FIELDS Fields;
    BOOLEAN Converted;
    KIRQL Irql;

    Time.QuadPart = Times[3].Time;
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    RtlTimeToTimeFields(&Time, &Fields);
    Converted = RtlTimeFieldsToTime(&Fields, &Back);
    KeLowerIrql(Irql);
    EXPECT_TRUE(Converted);
    EXPECT_EQUAL(Back.QuadPart, Times[3].Time);
    EXPECT_EQUAL(Fields.Milliseconds, 999);
}

TEST_TABLE(rtl_number){
    TEST(NumberFromUnicode, 0),
    TEST(NumberFromUnicodePrefix, 0),
    TEST(NumberFromUnicodeRefused, 0),
    TEST(NumberFromUnicodeInt64, 0),
    TEST(NumberFromUnicodeInt64Refused, 0),
    TEST(NumberFromChars, 0),
    TEST(NumberToUnicode, 0),
    TEST(NumberToUnicodeTooLong, 0),
    TEST(NumberToUnicodeUnknownBase, 0),
    TEST(GuidToText, 0),
    TEST(GuidFromText, 0),
    TEST(GuidFromWrongText, 0),
    TEST(TimeToFields, 0),
    TEST(TimeFromFields, 0),
    TEST(TimeWeekdayIsIgnored, 0),
    TEST(TimeFieldsOutOfRange, 0),
    TEST(TimeThereAndBack, 0),
    TEST(TimeAtHighLevel, 0),
    TEST_END,
};
