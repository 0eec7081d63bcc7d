/*
 * The record of one case: lines of text in nonpaged memory, so that expectations can be written down at any IRQL. A
 * line's place is taken with one interlocked operation and its text made without a library.
 */
#include "nttest.h"

#define LINES 2048
#define LINE_LENGTH 224

typedef struct _RECORD {
    const TEST_CASE *Case;
    LONG volatile Count;
    LONG volatile Failed;
    CHAR Line[LINES][LINE_LENGTH];
} RECORD;

static RECORD *Record;

/* A line in the making. */
typedef struct _WRITER {
    CHAR *Text;
    ULONG Length;
} WRITER;

static VOID WriteCharacter(WRITER *Writer, CHAR Character)
{
    if (Writer->Length < LINE_LENGTH - 1)
        Writer->Text[Writer->Length++] = Character;
    Writer->Text[Writer->Length] = '\0';
}

static VOID WriteText(WRITER *Writer, PCSTR Text)
{
    while (*Text != '\0')
        WriteCharacter(Writer, *Text++);
}

static VOID WriteNumber(WRITER *Writer, LONGLONG Number)
{
    ULONGLONG Rest = Number < 0 ? 0 - (ULONGLONG)Number : (ULONGLONG)Number;
    CHAR Digits[20];
    ULONG Count = 0;

    if (Number < 0)
        WriteCharacter(Writer, '-');
    do
        Digits[Count++] = (CHAR)('0' + Rest % 10);
    while ((Rest /= 10) != 0);
    while (Count > 0)
        WriteCharacter(Writer, Digits[--Count]);
}

static VOID WriteHexadecimal(WRITER *Writer, ULONG Number)
{
    LONG Shift;

    WriteText(Writer, "0x");
    for (Shift = 28; Shift >= 0; Shift -= 4)
        WriteCharacter(Writer, "0123456789abcdef"[(Number >> Shift) & 0xF]);
}

/* What is not printable ASCII becomes \xxxx. */
static VOID WriteWide(WRITER *Writer, PCWSTR Text, ULONG Length)
{
    ULONG Index;
    LONG Shift;

    WriteCharacter(Writer, '"');
    for (Index = 0; Index < Length; Index++) {
        if (Text[Index] >= ' ' && Text[Index] < 0x7F) {
            WriteCharacter(Writer, (CHAR)Text[Index]);
            continue;
        }
        WriteCharacter(Writer, '\\');
        for (Shift = 12; Shift >= 0; Shift -= 4)
            WriteCharacter(Writer, "0123456789abcdef"[(Text[Index] >> Shift) & 0xF]);
    }
    WriteCharacter(Writer, '"');
}

static WRITER NewLine(VOID)
{
    static CHAR Spilled[LINE_LENGTH];
    LONG Index = InterlockedIncrement(&Record->Count) - 1;
    WRITER Writer = {Spilled, 0};

    if (Index < LINES)
        Writer.Text = Record->Line[Index];
    Writer.Text[0] = '\0';
    return Writer;
}

static WRITER BeginLine(PCSTR What)
{
    WRITER Writer = NewLine();

    WriteText(&Writer, Record->Case->Name);
    WriteText(&Writer, ": ");
    WriteText(&Writer, What);
    WriteText(&Writer, ": ");
    return Writer;
}

/* The failure is told at once, for the case may end the system before its transcript is written. */
static VOID Failed(PCSTR File, ULONG Line, PCSTR Text)
{
    PCSTR Name = File;

    for (; *File != '\0'; File++) {
        if (*File == '/' || *File == '\\')
            Name = File + 1;
    }
    (VOID) InterlockedIncrement(&Record->Failed);
    (VOID) DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "nttest: failed at %s:%u: %s\n", Name, Line, Text);
}

static BOOLEAN SameWide(PCWSTR First, ULONG Length, PCWSTR Second)
{
    ULONG Index;

    for (Index = 0; Index < Length; Index++) {
        if (Second[Index] == L'\0' || First[Index] != Second[Index])
            return FALSE;
    }
    return Second[Length] == L'\0';
}

static ULONG WideLength(PCWSTR Text)
{
    ULONG Length = 0;

    while (Text[Length] != L'\0')
        Length++;
    return Length;
}

VOID TestExpectStatus(PCSTR File, ULONG Line, PCSTR What, NTSTATUS Actual, PCSTR Name, NTSTATUS Expected)
{
    WRITER Writer = BeginLine(What);

    if (Actual == Expected) {
        WriteText(&Writer, Name);
        return;
    }
    WriteHexadecimal(&Writer, (ULONG)Actual);
    WriteText(&Writer, ", expected ");
    WriteText(&Writer, Name);
    Failed(File, Line, Writer.Text);
}

VOID TestExpectNumber(PCSTR File, ULONG Line, PCSTR What, LONGLONG Actual, LONGLONG Expected)
{
    WRITER Writer = BeginLine(What);

    WriteNumber(&Writer, Actual);
    if (Actual == Expected)
        return;
    WriteText(&Writer, ", expected ");
    WriteNumber(&Writer, Expected);
    Failed(File, Line, Writer.Text);
}

VOID TestExpectTruth(PCSTR File, ULONG Line, PCSTR What, BOOLEAN Actual, BOOLEAN Expected)
{
    WRITER Writer = BeginLine(What);

    WriteText(&Writer, Actual ? "true" : "false");
    if (Actual == Expected)
        return;
    WriteText(&Writer, Expected ? ", expected true" : ", expected false");
    Failed(File, Line, Writer.Text);
}

VOID TestExpectText(PCSTR File, ULONG Line, PCSTR What, PCSTR Actual, PCSTR Expected)
{
    WRITER Writer = BeginLine(What);
    ULONG Index = 0;

    WriteCharacter(&Writer, '"');
    WriteText(&Writer, Actual);
    WriteCharacter(&Writer, '"');
    while (Actual[Index] != '\0' && Actual[Index] == Expected[Index])
        Index++;
    if (Actual[Index] == Expected[Index])
        return;
    WriteText(&Writer, ", expected \"");
    WriteText(&Writer, Expected);
    WriteCharacter(&Writer, '"');
    Failed(File, Line, Writer.Text);
}

static VOID ExpectWide(PCSTR File, ULONG Line, PCSTR What, PCWSTR Actual, ULONG Length, PCWSTR Expected)
{
    WRITER Writer = BeginLine(What);

    WriteWide(&Writer, Actual, Length);
    if (SameWide(Actual, Length, Expected))
        return;
    WriteText(&Writer, ", expected ");
    WriteWide(&Writer, Expected, WideLength(Expected));
    Failed(File, Line, Writer.Text);
}

VOID TestExpectWide(PCSTR File, ULONG Line, PCSTR What, PCWSTR Actual, PCWSTR Expected)
{
    ExpectWide(File, Line, What, Actual, WideLength(Actual), Expected);
}

VOID TestExpectUnicode(PCSTR File, ULONG Line, PCSTR What, PCUNICODE_STRING Actual, PCWSTR Expected)
{
    ExpectWide(File, Line, What, Actual->Buffer, Actual->Length / sizeof(WCHAR), Expected);
}

VOID TestObserve(PCSTR What, LONGLONG Actual)
{
    WRITER Writer = BeginLine(What);

    WriteText(&Writer, "observed ");
    WriteNumber(&Writer, Actual);
}

VOID TestFail(PCSTR File, ULONG Line, PCSTR What, PCSTR Why)
{
    WRITER Writer = BeginLine(What);

    WriteText(&Writer, Why);
    Failed(File, Line, Writer.Text);
}

NTSTATUS TestRecordInitialize(VOID)
{
    Record = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Record), TEST_TAG);
    return Record != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

VOID TestRecordTeardown(VOID)
{
    ExFreePoolWithTag(Record, TEST_TAG);
    Record = NULL;
}

const TEST_CASE *TestCurrent(VOID)
{
    return Record->Case;
}

VOID TestRecordBegin(const TEST_CASE *Case)
{
    Record->Case = Case;
    Record->Count = 0;
    Record->Failed = 0;
}

BOOLEAN TestRecordEnd(VOID (*Line)(PCSTR Text))
{
    LONG Index;

    if (Record->Count > LINES)
        TestFail(__FILE__, __LINE__, "number of lines in the transcript",
                 "more than a case may have; use CHECK in loops");
    else if (Record->Count == 0)
        TestFail(__FILE__, __LINE__, "number of lines in the transcript", "none: the case expected nothing");
    for (Index = 0; Index < Record->Count && Index < LINES; Index++)
        Line(Record->Line[Index]);
    return Record->Failed == 0;
}
