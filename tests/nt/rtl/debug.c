/*
 * Debug output and breakpoints, after their wdm.h pages. What reaches a debugger, no driver can see; a callback of
 * DbgSetDebugPrintCallback sees what is printed (it is declared in wdm.h and has no page).
 */
#include "nttest.h"

#include <stdarg.h>

#define MESSAGE_LIMIT 512 /* bytes that one call transmits */
#define HIGHEST_DEVICE_LEVEL 12

static CHAR Seen[MESSAGE_LIMIT + 1];
static ULONG SeenLength, SeenComponent, SeenLevel, SeenCalls;

/* Of all that is printed meanwhile, what begins as the cases' messages do. */
static VOID NTAPI Watch(PSTRING Output, ULONG ComponentId, ULONG Level)
{
    if (Output->Length < 6 || RtlCompareMemory(Output->Buffer, "debug ", 6) != 6)
        return;
    SeenLength = Output->Length;
    SeenComponent = ComponentId;
    SeenLevel = Level;
    SeenCalls++;
    RtlZeroMemory(Seen, sizeof(Seen));
    RtlCopyMemory(Seen, Output->Buffer, Output->Length < MESSAGE_LIMIT ? Output->Length : MESSAGE_LIMIT);
}

static ULONG PrintList(ULONG Level, PCSTR Format, ...)
{
    va_list Arguments;
    ULONG Status;

    va_start(Arguments, Format);
    Status = vDbgPrintEx(DPFLTR_IHVDRIVER_ID, Level, Format, Arguments);
    va_end(Arguments);
    return Status;
}

static ULONG PrintPrefixed(PCSTR Prefix, PCSTR Format, ...)
{
    va_list Arguments;
    ULONG Status;

    va_start(Arguments, Format);
    Status = vDbgPrintExWithPrefix(Prefix, DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, Format, Arguments);
    va_end(Arguments);
    return Status;
}

static VOID DebugPrint(VOID)
{
    SeenCalls = 0;
    EXPECT_STATUS(DbgSetDebugPrintCallback(Watch, TRUE), STATUS_SUCCESS);
    EXPECT_STATUS((NTSTATUS)DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "debug %s=%u\n", "a", 1),
                  STATUS_SUCCESS);
    EXPECT_TEXT(Seen, "debug a=1\n");
    EXPECT_EQUAL(SeenComponent, DPFLTR_IHVDRIVER_ID);
    EXPECT_EQUAL(SeenLevel, DPFLTR_ERROR_LEVEL);
    EXPECT_STATUS((NTSTATUS)PrintList(DPFLTR_ERROR_LEVEL, "debug %s=%u\n", "b", 2), STATUS_SUCCESS);
    EXPECT_TEXT(Seen, "debug b=2\n");
    EXPECT_STATUS((NTSTATUS)PrintPrefixed("debug ", "%s=%u\n", "c", 3), STATUS_SUCCESS); /* the prefix comes first */
    EXPECT_TEXT(Seen, "debug c=3\n");
    EXPECT_EQUAL(SeenCalls, 3);
    EXPECT_STATUS(DbgSetDebugPrintCallback(Watch, FALSE), STATUS_SUCCESS);
    EXPECT_STATUS((NTSTATUS)DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "debug unseen\n"), STATUS_SUCCESS);
    EXPECT_EQUAL(SeenCalls, 3);
}

/* DbgPrint is DbgPrintEx with the component DEFAULT at the level INFO; the filter decides whether it is shown. */
static VOID DebugPrintIsOfTheDefaultComponent(VOID)
{
    EXPECT_STATUS((NTSTATUS)DbgPrint("debug %d\n", 4), STATUS_SUCCESS);
    SeenCalls = 0;
    EXPECT_STATUS(DbgSetDebugPrintCallback(Watch, TRUE), STATUS_SUCCESS);
    (VOID) DbgPrint("debug %d\n", 4);
    OBSERVE("messages that the callback was called for", SeenCalls);
    EXPECT_TRUE(SeenCalls == 0 || (SeenComponent == DPFLTR_DEFAULT_ID && SeenLevel == DPFLTR_INFO_LEVEL));
    EXPECT_STATUS(DbgSetDebugPrintCallback(Watch, FALSE), STATUS_SUCCESS);
}

static VOID DebugPrintLimit(VOID)
{
    PCHAR Text = TestAllocate(2 * MESSAGE_LIMIT);

    REQUIRE(Text != NULL);
    RtlFillMemory(Text, 2 * MESSAGE_LIMIT - 1, 'x');
    SeenCalls = SeenLength = 0;
    EXPECT_STATUS(DbgSetDebugPrintCallback(Watch, TRUE), STATUS_SUCCESS);
    (VOID) DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "debug %s\n", Text);
    EXPECT_STATUS(DbgSetDebugPrintCallback(Watch, FALSE), STATUS_SUCCESS);
    EXPECT_EQUAL(SeenCalls, 1);
    EXPECT_TRUE(SeenLength <= MESSAGE_LIMIT);
    OBSERVE("bytes of 1030", SeenLength);
    TestFree(Text);
}

static VOID DebugCallbackStates(VOID)
{
    EXPECT_STATUS(DbgSetDebugPrintCallback(Watch, TRUE), STATUS_SUCCESS);
    OBSERVE("set twice", DbgSetDebugPrintCallback(Watch, TRUE));
    EXPECT_STATUS(DbgSetDebugPrintCallback(Watch, FALSE), STATUS_SUCCESS);
    OBSERVE("taken away twice", DbgSetDebugPrintCallback(Watch, FALSE));
}

/* A level below 32 is a bit of the component's mask, a greater one is a mask itself. */
static VOID DebugFilter(VOID)
{
    BOOLEAN Before = DbgQueryDebugFilterState(DPFLTR_IHVBUS_ID, 7) == TRUE;

    EXPECT_STATUS(DbgSetDebugFilterState(DPFLTR_IHVBUS_ID, 7, TRUE), STATUS_SUCCESS);
    EXPECT_EQUAL(DbgQueryDebugFilterState(DPFLTR_IHVBUS_ID, 7), TRUE);
    EXPECT_EQUAL(DbgQueryDebugFilterState(DPFLTR_IHVBUS_ID, DPFLTR_MASK | 1U << 7), TRUE);
    EXPECT_STATUS(DbgSetDebugFilterState(DPFLTR_IHVBUS_ID, 7, FALSE), STATUS_SUCCESS);
    EXPECT_EQUAL(DbgQueryDebugFilterState(DPFLTR_IHVBUS_ID, 7), FALSE);
    (VOID) DbgSetDebugFilterState(DPFLTR_IHVBUS_ID, 7, Before);
}

static VOID DebugPrintAtDeviceLevel(VOID)
{
    NTSTATUS Status[4];
    KIRQL Irql;

    KeRaiseIrql(HIGHEST_DEVICE_LEVEL, &Irql);
    Status[0] = (NTSTATUS)DbgPrint("debug %u\n", 1);
    Status[1] = (NTSTATUS)DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "debug %s\n", "2");
    Status[2] = (NTSTATUS)PrintList(DPFLTR_ERROR_LEVEL, "debug %u\n", 3);
    Status[3] = (NTSTATUS)PrintPrefixed("debug ", "%u\n", 4);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status[0], STATUS_SUCCESS);
    EXPECT_STATUS(Status[1], STATUS_SUCCESS);
    EXPECT_STATUS(Status[2], STATUS_SUCCESS);
    EXPECT_STATUS(Status[3], STATUS_SUCCESS);
}

/* "Unicode format codes can be used only at IRQL = PASSIVE_LEVEL." */
static VOID DebugPrintUnicodeAtDispatchLevel(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) DbgPrint("debug %ws\n", L"text");
}

/* Whether one is there is the machine's affair: said twice, it is the same. */
static VOID DebuggerPresence(VOID)
{
    BOOLEAN NotPresent = KdRefreshDebuggerNotPresent();

    EXPECT_EQUAL(KdRefreshDebuggerNotPresent(), NotPresent);
    OBSERVE("no debugger", NotPresent);
}

/* "A break exception that is not handled will cause a bug check." */
static VOID DebugBreakpoint(VOID)
{
    DbgBreakPoint();
}

static VOID DebugBreakpointWithStatus(VOID)
{
    DbgBreakPointWithStatus(1 /* DBG_STATUS_CONTROL_C */);
}

/* What ASSERT calls in a checked build: prints, then breaks. */
static VOID DebugAssertionFails(VOID)
{
    CHAR Message[] = "why";

    RtlAssert((PVOID)(ULONG_PTR) "1 == 2", (PVOID)(ULONG_PTR)__FILE__, __LINE__, Message);
}

TEST_TABLE(rtl_debug){
    TEST(DebugPrint, 0),
    TEST(DebugPrintIsOfTheDefaultComponent, 0),
    TEST(DebugPrintLimit, 0),
    TEST(DebugCallbackStates, 0),
    TEST(DebugFilter, 0),
    TEST(DebugPrintAtDeviceLevel, 0),
    TEST_VIOLATION(DebugPrintUnicodeAtDispatchLevel, "format-irql", 0),
    TEST(DebuggerPresence, 0),
    TEST_VIOLATION(DebugBreakpoint, "breakpoint", 0x1E),
    TEST_VIOLATION(DebugBreakpointWithStatus, "breakpoint", 0x1E),
    TEST_VIOLATION(DebugAssertionFails, "assertion", 0),
    TEST_END,
};
