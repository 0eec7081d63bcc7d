/* Counted strings of 16-bit characters, after their wdm.h, ntddk.h and ntifs.h pages. */
#include "nttest.h"

/* Not in the import library of mingw-w64: looked up. */
typedef BOOLEAN(NTAPI *SUFFIX_UNICODE_STRING)(PCUNICODE_STRING String1, PCUNICODE_STRING String2,
                                              BOOLEAN CaseInSensitive);

#define LONGEST 65532 /* bytes: MAXUSHORT - 1 is even, and the zero must fit too */

static UNICODE_STRING Wide(PCWSTR Text)
{
    UNICODE_STRING String;

    RtlInitUnicodeString(&String, Text);
    return String;
}

static BOOLEAN Same(PCUNICODE_STRING String, PCWSTR Text)
{
    UNICODE_STRING Other = Wide(Text);

    return String->Length == Other.Length &&
           RtlCompareMemory(String->Buffer, Other.Buffer, Other.Length) == Other.Length;
}

/* ---- initialisation ---- */

static VOID UnicodeInitialize(VOID)
{
    static const WCHAR Text[] = L"four";
    UNICODE_STRING String;

    RtlInitUnicodeString(&String, Text);
    EXPECT_EQUAL(String.Length, 8); /* bytes, without the zero */
    EXPECT_EQUAL(String.MaximumLength, 10);
    EXPECT_TRUE(String.Buffer == Text);
    String.Length = 0;
    EXPECT_STATUS(RtlInitUnicodeStringEx(&String, Text), STATUS_SUCCESS);
    EXPECT_EQUAL(String.Length, 8);
    EXPECT_EQUAL(String.MaximumLength, 10);
    EXPECT_TRUE(String.Buffer == Text);
}

static VOID UnicodeInitializeFromNothing(VOID)
{
    UNICODE_STRING String = {2, 2, (PWSTR)&String};

    RtlInitUnicodeString(&String, NULL);
    EXPECT_EQUAL(String.Length, 0);
    EXPECT_EQUAL(String.MaximumLength, 0);
    EXPECT_TRUE(String.Buffer == NULL);
    String.Length = String.MaximumLength = 2;
    EXPECT_STATUS(RtlInitUnicodeStringEx(&String, NULL), STATUS_SUCCESS);
    EXPECT_EQUAL(String.Length, 0);
    EXPECT_EQUAL(String.MaximumLength, 0);
}

static VOID UnicodeInitializeTooLong(VOID)
{
    PWSTR Text = TestAllocate(LONGEST + 2 * sizeof(WCHAR));
    UNICODE_STRING String;
    ULONG Index;

    REQUIRE(Text != NULL);
    for (Index = 0; Index < LONGEST / sizeof(WCHAR); Index++)
        Text[Index] = L'a';
    EXPECT_STATUS(RtlInitUnicodeStringEx(&String, Text), STATUS_SUCCESS);
    EXPECT_EQUAL(String.Length, LONGEST);
    EXPECT_EQUAL(String.MaximumLength, LONGEST + 2);
    Text[Index] = L'a';
    EXPECT_STATUS(RtlInitUnicodeStringEx(&String, Text), STATUS_NAME_TOO_LONG);
    TestFree(Text);
}

static VOID UnicodeInitializeAtDispatchLevel(VOID)
{
    UNICODE_STRING String;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    RtlInitUnicodeString(&String, L"ab");
    KeLowerIrql(Irql);
    EXPECT_EQUAL(String.Length, 4);
}

/* ---- copy and append ---- */

static VOID UnicodeCopy(VOID)
{
    WCHAR Buffer[6] = L"......";
    UNICODE_STRING Source = Wide(L"abcdefgh"), Destination = {0, 5 * sizeof(WCHAR), Buffer};

    RtlCopyUnicodeString(&Destination, &Source); /* as much as fits */
    EXPECT_UNICODE(&Destination, L"abcde");
    EXPECT_EQUAL(Buffer[5], L'.');
    Source = Wide(L"xy");
    RtlCopyUnicodeString(&Destination, &Source);
    EXPECT_UNICODE(&Destination, L"xy");
    EXPECT_EQUAL(Destination.MaximumLength, 5 * sizeof(WCHAR));
    EXPECT_TRUE(Destination.Buffer == Buffer);
}

static VOID UnicodeCopyNothing(VOID)
{
    WCHAR Buffer[2] = L"x";
    UNICODE_STRING Destination = {2, 4, Buffer};

    RtlCopyUnicodeString(&Destination, NULL);
    EXPECT_EQUAL(Destination.Length, 0);
    EXPECT_EQUAL(Destination.MaximumLength, 4);
    EXPECT_TRUE(Destination.Buffer == Buffer);
}

static VOID UnicodeAppend(VOID)
{
    WCHAR Buffer[6] = L"......";
    UNICODE_STRING Destination = {0, 5 * sizeof(WCHAR), Buffer}, Source = Wide(L"cde"), Empty = Wide(NULL);

    EXPECT_STATUS(RtlAppendUnicodeToString(&Destination, L"ab"), STATUS_SUCCESS);
    EXPECT_UNICODE(&Destination, L"ab");
    EXPECT_STATUS(RtlAppendUnicodeStringToString(&Destination, &Empty), STATUS_SUCCESS);
    EXPECT_STATUS(RtlAppendUnicodeStringToString(&Destination, &Source), STATUS_SUCCESS); /* no zero is needed */
    EXPECT_UNICODE(&Destination, L"abcde");
    EXPECT_STATUS(RtlAppendUnicodeToString(&Destination, L""), STATUS_SUCCESS);
    EXPECT_STATUS(RtlAppendUnicodeToString(&Destination, NULL), STATUS_SUCCESS);
    EXPECT_UNICODE(&Destination, L"abcde");
    EXPECT_EQUAL(Buffer[5], L'.');
}

static VOID UnicodeAppendTooLong(VOID)
{
    WCHAR Buffer[6] = L"ab....";
    UNICODE_STRING Destination = {4, 5 * sizeof(WCHAR), Buffer}, Source = Wide(L"cdef");

    EXPECT_STATUS(RtlAppendUnicodeToString(&Destination, L"cdef"), STATUS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(RtlAppendUnicodeStringToString(&Destination, &Source), STATUS_BUFFER_TOO_SMALL);
    EXPECT_UNICODE(&Destination, L"ab");
    EXPECT_EQUAL(Buffer[2], L'.'); /* nor is the buffer changed */
}

static VOID UnicodeAtHighLevel(VOID)
{
    WCHAR Buffer[8];
    UNICODE_STRING Source = Wide(L"ab"), Destination = {0, sizeof(Buffer), Buffer};
    NTSTATUS Status[2];
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    RtlCopyUnicodeString(&Destination, &Source);
    Status[0] = RtlAppendUnicodeStringToString(&Destination, &Source);
    Status[1] = RtlAppendUnicodeToString(&Destination, L"c");
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status[0], STATUS_SUCCESS);
    EXPECT_STATUS(Status[1], STATUS_SUCCESS);
    EXPECT_UNICODE(&Destination, L"ababc");
}

/* ---- comparison ---- */

static VOID UnicodeCompare(VOID)
{
    UNICODE_STRING Lower = Wide(L"device\x00E9"), Upper = Wide(L"DEVICE\x00C9"), Longer = Wide(L"device\x00E9s");

    EXPECT_EQUAL(RtlCompareUnicodeString(&Lower, &Lower, FALSE), 0);
    EXPECT_EQUAL(RtlCompareUnicodeString(&Lower, &Upper, TRUE), 0);
    EXPECT_TRUE(RtlCompareUnicodeString(&Lower, &Upper, FALSE) > 0); /* d is behind D */
    EXPECT_TRUE(RtlCompareUnicodeString(&Upper, &Lower, FALSE) < 0);
    EXPECT_TRUE(RtlCompareUnicodeString(&Lower, &Longer, TRUE) < 0);
    EXPECT_TRUE(RtlCompareUnicodeString(&Longer, &Upper, TRUE) > 0);
    EXPECT_TRUE(RtlCompareUnicodeStrings(L"abc", 3, L"abd", 2, FALSE) > 0); /* counts of characters, not bytes */
    EXPECT_EQUAL(RtlCompareUnicodeStrings(L"abX", 2, L"aby", 2, FALSE), 0);
    EXPECT_EQUAL(RtlCompareUnicodeStrings(L"ABX", 2, L"aby", 2, TRUE), 0);
    EXPECT_TRUE(RtlCompareUnicodeStrings(L"ABX", 2, L"aby", 2, FALSE) < 0);
}

static VOID UnicodeEqual(VOID)
{
    UNICODE_STRING Lower = Wide(L"device\x00E9"), Upper = Wide(L"DEVICE\x00C9"), Longer = Wide(L"device\x00E9s");
    UNICODE_STRING Empty = Wide(NULL), None = Wide(L"");

    EXPECT_TRUE(RtlEqualUnicodeString(&Lower, &Upper, TRUE));
    EXPECT_FALSE(RtlEqualUnicodeString(&Lower, &Upper, FALSE));
    EXPECT_TRUE(RtlEqualUnicodeString(&Lower, &Lower, FALSE));
    EXPECT_FALSE(RtlEqualUnicodeString(&Lower, &Longer, TRUE));
    EXPECT_TRUE(RtlEqualUnicodeString(&Empty, &None, FALSE));
}

static VOID UnicodeParts(VOID)
{
    UNICODE_STRING Name, Whole = Wide(L"Device\\Xen"), Begin = Wide(L"dev"), End = Wide(L"\\xen"),
                         Exact = Wide(L"\\Xen");
    SUFFIX_UNICODE_STRING Suffix;

    EXPECT_TRUE(RtlPrefixUnicodeString(&Begin, &Whole, TRUE));
    EXPECT_FALSE(RtlPrefixUnicodeString(&Begin, &Whole, FALSE));
    EXPECT_TRUE(RtlPrefixUnicodeString(&Whole, &Whole, FALSE));
    EXPECT_FALSE(RtlPrefixUnicodeString(&Whole, &Begin, TRUE)); /* longer than what it would begin */
    RtlInitUnicodeString(&Name, L"RtlSuffixUnicodeString");
    Suffix = (SUFFIX_UNICODE_STRING)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
    REQUIRE(Suffix != NULL);
    EXPECT_TRUE(Suffix(&End, &Whole, TRUE));
    EXPECT_FALSE(Suffix(&End, &Whole, FALSE));
    EXPECT_TRUE(Suffix(&Exact, &Whole, FALSE));
    EXPECT_FALSE(Suffix(&Begin, &Whole, TRUE));
    EXPECT_FALSE(Suffix(&Whole, &End, TRUE));
}

static VOID UnicodeHash(VOID)
{
    UNICODE_STRING Lower = Wide(L"xen"), Upper = Wide(L"XEN"), Other = Wide(L"vif");
    ULONG Hash[5] = {0};

    EXPECT_STATUS(RtlHashUnicodeString(&Lower, FALSE, HASH_STRING_ALGORITHM_X65599, &Hash[0]), STATUS_SUCCESS);
    EXPECT_EQUAL(Hash[0], ((ULONG)L'x' * 65599 + L'e') * 65599 + L'n');
    EXPECT_STATUS(RtlHashUnicodeString(&Lower, FALSE, HASH_STRING_ALGORITHM_DEFAULT, &Hash[1]), STATUS_SUCCESS);
    EXPECT_EQUAL(Hash[1], Hash[0]); /* the default is x65599 */
    EXPECT_STATUS(RtlHashUnicodeString(&Upper, FALSE, HASH_STRING_ALGORITHM_DEFAULT, &Hash[2]), STATUS_SUCCESS);
    EXPECT_TRUE(Hash[2] != Hash[0]);
    EXPECT_STATUS(RtlHashUnicodeString(&Upper, TRUE, HASH_STRING_ALGORITHM_DEFAULT, &Hash[3]), STATUS_SUCCESS);
    EXPECT_STATUS(RtlHashUnicodeString(&Lower, TRUE, HASH_STRING_ALGORITHM_DEFAULT, &Hash[4]), STATUS_SUCCESS);
    EXPECT_EQUAL(Hash[3], Hash[4]); /* either case, the same hash */
    EXPECT_STATUS(RtlHashUnicodeString(&Other, TRUE, HASH_STRING_ALGORITHM_DEFAULT, &Hash[4]), STATUS_SUCCESS);
    EXPECT_TRUE(Hash[3] != Hash[4]);
}

static VOID UnicodeHashRefused(VOID)
{
    UNICODE_STRING String = Wide(L"xen");
    ULONG Hash;

    EXPECT_STATUS(RtlHashUnicodeString(NULL, FALSE, HASH_STRING_ALGORITHM_DEFAULT, &Hash), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(RtlHashUnicodeString(&String, FALSE, HASH_STRING_ALGORITHM_DEFAULT, NULL), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(RtlHashUnicodeString(&String, FALSE, 2, &Hash), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(RtlHashUnicodeString(&String, FALSE, 0xFFFFFFFF, &Hash), STATUS_INVALID_PARAMETER);
}

/* ---- case ---- */

static VOID UnicodeCharCase(VOID)
{
    static const struct {
        WCHAR Lower, Upper;
    } Pairs[] = {{L'a', L'A'},     {L'z', L'Z'},     {0x00E9, 0x00C9}, {0x00FF, 0x0178},
                 {0x03B1, 0x0391}, {0x0444, 0x0424}, {0x0101, 0x0100}};
    ULONG Index;

    for (Index = 0; Index < ARRAYSIZE(Pairs); Index++) {
        EXPECT_EQUAL(RtlUpcaseUnicodeChar(Pairs[Index].Lower), Pairs[Index].Upper);
        EXPECT_EQUAL(RtlUpcaseUnicodeChar(Pairs[Index].Upper), Pairs[Index].Upper);
        EXPECT_EQUAL(RtlDowncaseUnicodeChar(Pairs[Index].Upper), Pairs[Index].Lower);
        EXPECT_EQUAL(RtlDowncaseUnicodeChar(Pairs[Index].Lower), Pairs[Index].Lower);
    }
    EXPECT_EQUAL(RtlUpcaseUnicodeChar(L'1'), L'1');
    EXPECT_EQUAL(RtlDowncaseUnicodeChar(L'['), L'[');
    EXPECT_EQUAL(RtlUpcaseUnicodeChar(0x4E00), 0x4E00); /* a character that has no case */
}

static VOID UnicodeStringCase(VOID)
{
    UNICODE_STRING Source = Wide(L"aBc-\x00E9\x03B1\x0424"), Result = {0, 0, NULL};
    WCHAR Buffer[8];
    UNICODE_STRING Own = {0, sizeof(Buffer), Buffer};

    EXPECT_STATUS(RtlUpcaseUnicodeString(&Own, &Source, FALSE), STATUS_SUCCESS);
    EXPECT_TRUE(Same(&Own, L"ABC-\x00C9\x0391\x0424"));
    EXPECT_STATUS(RtlDowncaseUnicodeString(&Own, &Source, FALSE), STATUS_SUCCESS);
    EXPECT_TRUE(Same(&Own, L"abc-\x00E9\x03B1\x0444"));
    EXPECT_TRUE(Own.Buffer == Buffer);
    EXPECT_STATUS(RtlUpcaseUnicodeString(&Own, &Own, FALSE), STATUS_SUCCESS); /* in place */
    EXPECT_TRUE(Same(&Own, L"ABC-\x00C9\x0391\x0424"));
    EXPECT_TRUE(Same(&Source, L"aBc-\x00E9\x03B1\x0424")); /* the source stays */
    EXPECT_STATUS(RtlUpcaseUnicodeString(&Result, &Source, TRUE), STATUS_SUCCESS);
    EXPECT_TRUE(Same(&Result, L"ABC-\x00C9\x0391\x0424"));
    EXPECT_TRUE(Result.Buffer != Source.Buffer && Result.MaximumLength >= Result.Length);
    RtlFreeUnicodeString(&Result);
    EXPECT_STATUS(RtlDowncaseUnicodeString(&Result, &Source, TRUE), STATUS_SUCCESS);
    EXPECT_TRUE(Same(&Result, L"abc-\x00E9\x03B1\x0444"));
    RtlFreeUnicodeString(&Result);
}

/* The pages name no status, but "no conversion was done". */
static VOID UnicodeStringCaseTooLong(VOID)
{
    WCHAR Buffer[3] = L"...";
    UNICODE_STRING Source = Wide(L"abC"), Small = {2, 4, Buffer};

    EXPECT_STATUS(RtlUpcaseUnicodeString(&Small, &Source, FALSE), STATUS_BUFFER_OVERFLOW);
    EXPECT_STATUS(RtlDowncaseUnicodeString(&Small, &Source, FALSE), STATUS_BUFFER_OVERFLOW);
    EXPECT_EQUAL(Buffer[0], L'.');
    EXPECT_EQUAL(Small.Length, 2);
}

static VOID UnicodeAtApcLevel(VOID)
{
    UNICODE_STRING Source = Wide(L"ab"), Upper = {0, 0, NULL}, Lower = {0, 0, NULL};
    NTSTATUS Status[3];
    ULONG Hash = 0;
    WCHAR Char;
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    Char = RtlUpcaseUnicodeChar(L'q');
    Status[0] = RtlUpcaseUnicodeString(&Upper, &Source, TRUE);
    Status[1] = RtlDowncaseUnicodeString(&Lower, &Source, TRUE);
    Status[2] = RtlHashUnicodeString(&Source, TRUE, HASH_STRING_ALGORITHM_DEFAULT, &Hash);
    if (NT_SUCCESS(Status[0]))
        RtlFreeUnicodeString(&Upper);
    if (NT_SUCCESS(Status[1]))
        RtlFreeUnicodeString(&Lower);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Char, L'Q');
    EXPECT_STATUS(Status[0], STATUS_SUCCESS);
    EXPECT_STATUS(Status[1], STATUS_SUCCESS);
    EXPECT_STATUS(Status[2], STATUS_SUCCESS);
}

/* ---- copies from pool ---- */

static VOID UnicodeCreate(VOID)
{
    static const WCHAR Text[] = L"copied";
    UNICODE_STRING String = {0, 0, NULL};

    EXPECT_TRUE(RtlCreateUnicodeString(&String, Text));
    EXPECT_UNICODE(&String, L"copied");
    EXPECT_TRUE(String.Buffer != Text && String.MaximumLength >= String.Length);
    RtlFreeUnicodeString(&String);
}

static VOID UnicodeCreateTooLong(VOID)
{
    PWSTR Text = TestAllocate(LONGEST + 3 * sizeof(WCHAR));
    UNICODE_STRING String;
    ULONG Index;

    REQUIRE(Text != NULL);
    for (Index = 0; Index <= LONGEST / sizeof(WCHAR); Index++)
        Text[Index] = L'a';
    EXPECT_FALSE(RtlCreateUnicodeString(&String, Text)); /* no count can say its length */
    TestFree(Text);
}

/* RtlDuplicateUnicodeString and RtlValidateUnicodeString are declared by ntifs.h; no page tells what they do. */
static VOID UnicodeDuplicate(VOID)
{
    UNICODE_STRING Source = Wide(L"copied"), Empty = Wide(L""), Copy = {0, 0, NULL};

    EXPECT_STATUS(RtlDuplicateUnicodeString(0, &Source, &Copy), STATUS_SUCCESS);
    EXPECT_UNICODE(&Copy, L"copied");
    EXPECT_TRUE(Copy.Buffer != Source.Buffer);
    RtlFreeUnicodeString(&Copy);
    EXPECT_STATUS(RtlDuplicateUnicodeString(RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE, &Source, &Copy),
                  STATUS_SUCCESS);
    EXPECT_WIDE(Copy.Buffer, L"copied");
    EXPECT_EQUAL(Copy.MaximumLength, Copy.Length + sizeof(WCHAR));
    RtlFreeUnicodeString(&Copy);
    EXPECT_STATUS(RtlDuplicateUnicodeString(RTL_DUPLICATE_UNICODE_STRING_NULL_TERMINATE |
                                                RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING,
                                            &Empty, &Copy),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Copy.Length, 0);
    EXPECT_WIDE(Copy.Buffer, L"");
    RtlFreeUnicodeString(&Copy);
}

static VOID UnicodeDuplicateRefused(VOID)
{
    WCHAR Buffer[2] = L"a";
    UNICODE_STRING Source = Wide(L"a"), Wrong = {4, 2, Buffer}, Copy;

    EXPECT_STATUS(RtlDuplicateUnicodeString(4, &Source, &Copy), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(RtlDuplicateUnicodeString(RTL_DUPLICATE_UNICODE_STRING_ALLOCATE_NULL_STRING, &Source, &Copy),
                  STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(RtlDuplicateUnicodeString(0, &Wrong, &Copy), STATUS_INVALID_PARAMETER);
}

static VOID UnicodeValidate(VOID)
{
    WCHAR Buffer[2] = L"a";
    UNICODE_STRING String = {2, 4, Buffer}, Empty = Wide(NULL);

    EXPECT_STATUS(RtlValidateUnicodeString(0, &String), STATUS_SUCCESS);
    EXPECT_STATUS(RtlValidateUnicodeString(0, &Empty), STATUS_SUCCESS);
    EXPECT_STATUS(RtlValidateUnicodeString(1, &String), STATUS_INVALID_PARAMETER);
    String.Length = 6; /* more than there is room for */
    EXPECT_STATUS(RtlValidateUnicodeString(0, &String), STATUS_INVALID_PARAMETER);
    String.Length = 1; /* no whole character */
    EXPECT_STATUS(RtlValidateUnicodeString(0, &String), STATUS_INVALID_PARAMETER);
    String.Length = 2;
    String.MaximumLength = 3;
    EXPECT_STATUS(RtlValidateUnicodeString(0, &String), STATUS_INVALID_PARAMETER);
    String.MaximumLength = 4;
    String.Buffer = NULL;
    EXPECT_STATUS(RtlValidateUnicodeString(0, &String), STATUS_INVALID_PARAMETER);
}

/* What the caller's own string held, freeing does not touch. */
static VOID UnicodeFree(VOID)
{
    ANSI_STRING Ansi, Back = {0, 0, NULL};
    UNICODE_STRING String = {0, 0, NULL};

    RtlInitAnsiString(&Ansi, "kept");
    EXPECT_STATUS(RtlAnsiStringToUnicodeString(&String, &Ansi, TRUE), STATUS_SUCCESS);
    EXPECT_STATUS(RtlUnicodeStringToAnsiString(&Back, &String, TRUE), STATUS_SUCCESS);
    RtlFreeAnsiString(&Back);
    EXPECT_UNICODE(&String, L"kept");
    RtlFreeUnicodeString(&String);
    EXPECT_TEXT(Ansi.Buffer, "kept");
}

static VOID UnicodeFreeAtApcLevel(VOID)
{
    UNICODE_STRING String = {0, 0, NULL};
    ANSI_STRING Ansi = {0, 0, NULL};
    KIRQL Irql;

    REQUIRE(RtlCreateUnicodeString(&String, L"text"));
    EXPECT_STATUS(RtlUnicodeStringToAnsiString(&Ansi, &String, TRUE), STATUS_SUCCESS);
    KeRaiseIrql(APC_LEVEL, &Irql);
    RtlFreeAnsiString(&Ansi);
    RtlFreeUnicodeString(&String);
    KeLowerIrql(Irql);
}

TEST_TABLE(rtl_unicode){
    TEST(UnicodeInitialize, 0),
    TEST(UnicodeInitializeFromNothing, 0),
    TEST(UnicodeInitializeTooLong, 0),
    TEST(UnicodeInitializeAtDispatchLevel, 0),
    TEST(UnicodeCopy, 0),
    TEST(UnicodeCopyNothing, 0),
    TEST(UnicodeAppend, 0),
    TEST(UnicodeAppendTooLong, 0),
    TEST(UnicodeAtHighLevel, 0),
    TEST(UnicodeCompare, 0),
    TEST(UnicodeEqual, 0),
    TEST(UnicodeParts, 0),
    TEST(UnicodeHash, 0),
    TEST(UnicodeHashRefused, 0),
    TEST(UnicodeCharCase, 0),
    TEST(UnicodeStringCase, 0),
    TEST(UnicodeStringCaseTooLong, 0),
    TEST(UnicodeAtApcLevel, 0),
    TEST(UnicodeCreate, 0),
    TEST(UnicodeCreateTooLong, 0),
    TEST(UnicodeDuplicate, 0),
    TEST(UnicodeDuplicateRefused, 0),
    TEST(UnicodeValidate, 0),
    TEST(UnicodeFree, 0),
    TEST(UnicodeFreeAtApcLevel, 0),
    TEST_END,
};
