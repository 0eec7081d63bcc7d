/*
 * What drivers print for a debugger (DbgPrint and its kin), taken into the log, where somebody may read it. To keep out
 * the noise, only messages that begin with XEN. The start option XEN:DBG_PRINT=OFF leaves them all alone.
 *
 * What is printed in this way from within the log itself (a disposition that uses DbgPrint) goes nowhere: the log takes
 * no message on a processor that is writing one.
 */
#include "driver.h"
#include "log.h"
#include "text.h"

/* How long the end waits for a routine that is running: it was called before the kernel took it off its list. */
#define DEBUGGER_WAIT_100NS (-10 * 1000)

static ULONG LogLevelOf(_In_ ULONG Level)
{
    switch (Level) {
    case DPFLTR_ERROR_LEVEL:
        return XEN_LOG_ERROR;

    case DPFLTR_WARNING_LEVEL:
        return XEN_LOG_WARNING;

    case DPFLTR_INFO_LEVEL:
        return XEN_LOG_INFO;

    default: /* DPFLTR_TRACE_LEVEL, and what a component makes of the others */
        return XEN_LOG_TRACE;
    }
}

/* A message may have several lines; one that is longer than the log's is cut. */
static VOID LogLines(_In_ ULONG Level, _In_reads_(Length) PCSTR Text, _In_ SIZE_T Length)
{
    CHAR Line[XEN_LOG_LINE_SIZE];
    SIZE_T Used = 0;
    SIZE_T Index;

    for (Index = 0; Index <= Length; Index++) {
        if (Index < Length && Text[Index] != '\n') {
            if (Text[Index] != '\r' && Used < sizeof(Line) - 1)
                Line[Used++] = Text[Index];
            continue;
        }
        Line[Used] = '\0';
        if (Used != 0)
            XenLogPrintf(Level, "%s", Line);
        Used = 0;
    }
}

/* Any IRQL. */
static VOID NTAPI DebuggerPrinted(_In_ PSTRING Output, _In_ ULONG ComponentId, _In_ ULONG Level)
{
    static const CHAR Prefix[] = {'X', 'E', 'N'};
    PXEN_DEBUGGER Debugger = &XenGetContext()->Debugger;

    UNREFERENCED_PARAMETER(ComponentId);

    (VOID) InterlockedIncrement(&Debugger->Running);

    if (Output->Length >= sizeof(Prefix) && RtlEqualMemory(Output->Buffer, Prefix, sizeof(Prefix)) &&
        XenLogIsEnabled(LogLevelOf(Level)))
        LogLines(LogLevelOf(Level), Output->Buffer, Output->Length);

    (VOID) InterlockedDecrement(&Debugger->Running);
}

PAGED_FUNCTION static BOOLEAN DebuggerIsWanted(VOID)
{
    CHAR Value[8];
    NTSTATUS Status;

    Status = XenQueryStartOption("DBG_PRINT", Value, sizeof(Value));
    if (!NT_SUCCESS(Status) && Status != STATUS_BUFFER_OVERFLOW)
        return TRUE;

    if (NT_SUCCESS(Status) && TextEqual(Value, "OFF", TRUE))
        return FALSE;

    if (!NT_SUCCESS(Status) || !TextEqual(Value, "ON", TRUE))
        Warning("XEN:DBG_PRINT is ON or OFF, not '%s': taken as ON", Value);

    return TRUE;
}

PAGED_FUNCTION VOID DebuggerInitialize(_Out_ PXEN_DEBUGGER Debugger)
{
    NTSTATUS Status;

    PAGED_CODE();

    RtlZeroMemory(Debugger, sizeof(XEN_DEBUGGER));
    if (!DebuggerIsWanted())
        return;

    Status = DbgSetDebugPrintCallback(DebuggerPrinted, TRUE);
    Debugger->Registered = NT_SUCCESS(Status);
    if (!Debugger->Registered)
        Warning("what is printed for a debugger is not in the log (%08x)", Status);
}

PAGED_FUNCTION VOID DebuggerTeardown(_Inout_ PXEN_DEBUGGER Debugger)
{
    LARGE_INTEGER Interval;

    PAGED_CODE();

    if (!Debugger->Registered)
        return;

    (VOID) DbgSetDebugPrintCallback(DebuggerPrinted, FALSE);
    Debugger->Registered = FALSE;

    Interval.QuadPart = DEBUGGER_WAIT_100NS;
    while (ReadAcquire(&Debugger->Running) != 0)
        (VOID) KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}
