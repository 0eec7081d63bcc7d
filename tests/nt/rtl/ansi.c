/* Counted strings of 8-bit characters, after their wdm.h, ntddk.h and ntifs.h pages. */
#include "nttest.h"

/* Exported, but not declared by mingw-w64's headers. */
#if defined(__MINGW32__)
NTSYSAPI BOOLEAN NTAPI RtlPrefixString(const STRING *String1, const STRING *String2, BOOLEAN CaseInSensitive);
NTSYSAPI NTSTATUS NTAPI RtlAppendAsciizToString(PSTRING Destination, PCSZ Source);
#endif

#define LONGEST 65534 /* MAXUSHORT - 1 */

static STRING Ansi(PCSTR Text)
{
    STRING String;

    RtlInitString(&String, Text);
    return String;
}

static VOID AnsiInitialize(VOID)
{
    static const CHAR Text[] = "four";
    ANSI_STRING String;

    RtlInitString(&String, Text);
    EXPECT_EQUAL(String.Length, 4);
    EXPECT_EQUAL(String.MaximumLength, 5);
    EXPECT_TRUE(String.Buffer == Text);
    RtlInitAnsiString(&String, "");
    EXPECT_EQUAL(String.Length, 0);
    EXPECT_EQUAL(String.MaximumLength, 1);
    RtlInitAnsiString(&String, Text);
    EXPECT_EQUAL(String.Length, 4);
    EXPECT_EQUAL(String.MaximumLength, 5);
    EXPECT_STATUS(RtlInitAnsiStringEx(&String, Text), STATUS_SUCCESS);
    EXPECT_EQUAL(String.Length, 4);
    EXPECT_EQUAL(String.MaximumLength, 5);
    EXPECT_TRUE(String.Buffer == Text);
}

static VOID AnsiInitializeFromNothing(VOID)
{
    ANSI_STRING String = {1, 1, (PCHAR)&String};

    RtlInitString(&String, NULL);
    EXPECT_EQUAL(String.Length, 0);
    EXPECT_EQUAL(String.MaximumLength, 0);
    EXPECT_TRUE(String.Buffer == NULL);
    String.Length = String.MaximumLength = 1;
    RtlInitAnsiString(&String, NULL);
    EXPECT_EQUAL(String.Length, 0);
    EXPECT_EQUAL(String.MaximumLength, 0);
    String.Length = String.MaximumLength = 1;
    EXPECT_STATUS(RtlInitAnsiStringEx(&String, NULL), STATUS_SUCCESS);
    EXPECT_EQUAL(String.Length, 0);
    EXPECT_EQUAL(String.MaximumLength, 0);
}

/* Longer than a count can say: Length and MaximumLength are the greatest there are, or it is refused. */
static VOID AnsiInitializeTooLong(VOID)
{
    PCHAR Text = TestAllocate(LONGEST + 3);
    ANSI_STRING String;

    REQUIRE(Text != NULL);
    RtlFillMemory(Text, LONGEST, 'a');
    EXPECT_STATUS(RtlInitAnsiStringEx(&String, Text), STATUS_SUCCESS);
    EXPECT_EQUAL(String.Length, LONGEST);
    EXPECT_EQUAL(String.MaximumLength, LONGEST + 1);
    Text[LONGEST] = Text[LONGEST + 1] = 'a';
    RtlInitString(&String, Text);
    EXPECT_EQUAL(String.Length, LONGEST);
    EXPECT_EQUAL(String.MaximumLength, LONGEST + 1);
    RtlInitAnsiString(&String, Text);
    EXPECT_EQUAL(String.Length, LONGEST);
    EXPECT_EQUAL(String.MaximumLength, LONGEST + 1);
    EXPECT_STATUS(RtlInitAnsiStringEx(&String, Text), STATUS_NAME_TOO_LONG);
    TestFree(Text);
}

static VOID AnsiCopy(VOID)
{
    CHAR Buffer[6] = "......";
    STRING Source = Ansi("abcdefgh"), Destination = {0, 5, Buffer};

    RtlCopyString(&Destination, &Source); /* as much as fits */
    EXPECT_EQUAL(Destination.Length, 5);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "abcde.", 6), 6);
    Source = Ansi("xy");
    RtlCopyString(&Destination, &Source);
    EXPECT_EQUAL(Destination.Length, 2);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "xycde.", 6), 6);
    EXPECT_EQUAL(Destination.MaximumLength, 5);
    EXPECT_TRUE(Destination.Buffer == Buffer);
}

static VOID AnsiCopyNothing(VOID)
{
    CHAR Buffer[2] = "x";
    STRING Destination = {1, 2, Buffer};

    RtlCopyString(&Destination, NULL);
    EXPECT_EQUAL(Destination.Length, 0);
    EXPECT_EQUAL(Destination.MaximumLength, 2);
    EXPECT_TRUE(Destination.Buffer == Buffer);
}

static VOID AnsiCompare(VOID)
{
    STRING Lower = Ansi("vif"), Upper = Ansi("VIF"), Longer = Ansi("vifs"), Other = Ansi("vig");

    EXPECT_EQUAL(RtlCompareString(&Lower, &Lower, FALSE), 0);
    EXPECT_EQUAL(RtlCompareString(&Lower, &Upper, TRUE), 0);
    EXPECT_TRUE(RtlCompareString(&Lower, &Upper, FALSE) > 0);
    EXPECT_TRUE(RtlCompareString(&Upper, &Lower, FALSE) < 0);
    EXPECT_TRUE(RtlCompareString(&Lower, &Longer, TRUE) < 0);
    EXPECT_TRUE(RtlCompareString(&Other, &Longer, FALSE) > 0);
    EXPECT_TRUE(RtlEqualString(&Lower, &Upper, TRUE));
    EXPECT_FALSE(RtlEqualString(&Lower, &Upper, FALSE));
    EXPECT_FALSE(RtlEqualString(&Lower, &Longer, TRUE));
    EXPECT_TRUE(RtlEqualString(&Lower, &Lower, FALSE));
    EXPECT_TRUE(RtlPrefixString(&Lower, &Longer, FALSE));
    EXPECT_TRUE(RtlPrefixString(&Lower, &Lower, FALSE));
    EXPECT_FALSE(RtlPrefixString(&Upper, &Longer, FALSE));
    EXPECT_TRUE(RtlPrefixString(&Upper, &Longer, TRUE));
    EXPECT_FALSE(RtlPrefixString(&Longer, &Lower, TRUE)); /* longer than what it would begin */
}

static VOID AnsiAppend(VOID)
{
    CHAR Buffer[6] = "......";
    STRING Destination = {0, 5, Buffer}, Source = Ansi("ab"), Empty = Ansi(NULL);

    EXPECT_STATUS(RtlAppendStringToString(&Destination, &Source), STATUS_SUCCESS);
    EXPECT_STATUS(RtlAppendStringToString(&Destination, &Empty), STATUS_SUCCESS);
    EXPECT_EQUAL(Destination.Length, 2);
    EXPECT_STATUS(RtlAppendAsciizToString(&Destination, "cde"), STATUS_SUCCESS); /* fills it: no zero is needed */
    EXPECT_EQUAL(Destination.Length, 5);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "abcde.", 6), 6);
    EXPECT_STATUS(RtlAppendAsciizToString(&Destination, NULL), STATUS_SUCCESS);
    EXPECT_EQUAL(Destination.Length, 5);
}

static VOID AnsiAppendTooLong(VOID)
{
    CHAR Buffer[6] = "ab....";
    STRING Destination = {2, 5, Buffer}, Source = Ansi("cdef");

    EXPECT_STATUS(RtlAppendStringToString(&Destination, &Source), STATUS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(RtlAppendAsciizToString(&Destination, "cdef"), STATUS_BUFFER_TOO_SMALL);
    EXPECT_EQUAL(Destination.Length, 2);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "ab....", 6), 6);
}

static VOID AnsiUpper(VOID)
{
    CHAR Buffer[6] = "......";
    STRING Source = Ansi("a1-zQ!"), Destination = {0, 5, Buffer};

    EXPECT_EQUAL(RtlUpperChar('q'), 'Q');
    EXPECT_EQUAL(RtlUpperChar('z'), 'Z');
    EXPECT_EQUAL(RtlUpperChar('Q'), 'Q');
    EXPECT_EQUAL(RtlUpperChar('1'), '1');
    EXPECT_EQUAL(RtlUpperChar('{'), '{');
    RtlUpperString(&Destination, &Source); /* as much as fits */
    EXPECT_EQUAL(Destination.Length, 5);
    EXPECT_EQUAL(Destination.MaximumLength, 5);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "A1-ZQ.", 6), 6);
}

static VOID AnsiAtApcLevel(VOID)
{
    CHAR Buffer[6] = "......";
    STRING Source = Ansi("ab"), Destination = {0, 5, Buffer};
    NTSTATUS Status;
    CHAR Upper;
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    Upper = RtlUpperChar('c');
    RtlUpperString(&Destination, &Source);
    Status = RtlAppendStringToString(&Destination, &Source);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Upper, 'C');
    EXPECT_STATUS(Status, STATUS_SUCCESS);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "ABab..", 6), 6);
}

static VOID AnsiAtHighLevel(VOID)
{
    CHAR Buffer[4] = "....";
    STRING Source, Destination = {0, 4, Buffer};
    KIRQL Irql;

    Source = Ansi("ab");
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    RtlCopyString(&Destination, &Source);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Destination.Length, 2);
    EXPECT_EQUAL(RtlCompareMemory(Buffer, "ab..", 4), 4);
}

static VOID AnsiInitializeAtDispatchLevel(VOID)
{
    ANSI_STRING String, Other;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    RtlInitString(&String, "ab");
    RtlInitAnsiString(&Other, "abc");
    KeLowerIrql(Irql);
    EXPECT_EQUAL(String.Length, 2);
    EXPECT_EQUAL(Other.Length, 3);
}

TEST_TABLE(rtl_ansi){
    TEST(AnsiInitialize, 0),
    TEST(AnsiInitializeFromNothing, 0),
    TEST(AnsiInitializeTooLong, 0),
    TEST(AnsiCopy, 0),
    TEST(AnsiCopyNothing, 0),
    TEST(AnsiCompare, 0),
    TEST(AnsiAppend, 0),
    TEST(AnsiAppendTooLong, 0),
    TEST(AnsiUpper, 0),
    TEST(AnsiAtApcLevel, 0),
    TEST(AnsiAtHighLevel, 0),
    TEST(AnsiInitializeAtDispatchLevel, 0),
    TEST_END,
};
