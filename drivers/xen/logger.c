/*
 * Where messages go: the emulator's log port, Xen's debug port, and whoever has added a disposition.
 */
#include "driver.h"
#include "log.h"
#include "text.h"

#define EMULATOR_LOG_PORT ((PUCHAR)(ULONG_PTR)0x12)
#define XEN_DEBUG_PORT ((PUCHAR)(ULONG_PTR)0xE9)

/* What is printed where the registry does not say. */
#define DEFAULT_LEVELS (XEN_LOG_WARNING | XEN_LOG_ERROR | XEN_LOG_CRITICAL)

/* How often the lock is tried. Its holder may have been stopped for good, and then a mixed line is better than none. */
#define LOCK_ATTEMPTS (1u << 20)

static VOID WritePort(_In_ PUCHAR Port, _In_reads_(Length) PCSTR Text, _In_ ULONG Length)
{
    while (Length-- != 0)
        WRITE_PORT_UCHAR(Port, (UCHAR)*Text++);
}

static VOID NTAPI WriteToEmulator(_In_opt_ PVOID Argument, _In_reads_(Length) PCSTR Text, _In_ ULONG Length)
{
    UNREFERENCED_PARAMETER(Argument);

    WritePort(EMULATOR_LOG_PORT, Text, Length);
}

static VOID NTAPI WriteToHypervisor(_In_opt_ PVOID Argument, _In_reads_(Length) PCSTR Text, _In_ ULONG Length)
{
    UNREFERENCED_PARAMETER(Argument);

    WritePort(XEN_DEBUG_PORT, Text, Length);
}

/* Raises to HIGH_LEVEL and takes the lock; FALSE if it could not be had. */
static BOOLEAN LoggerLock(_Inout_ PXEN_LOGGER Logger, _Out_ PKIRQL Irql)
{
    ULONG Attempt;

    KeRaiseIrql(HIGH_LEVEL, Irql);

    if (Logger->Crashing)
        return FALSE;

    for (Attempt = 0; Attempt < LOCK_ATTEMPTS; Attempt++) {
        if (KeTryToAcquireSpinLockAtDpcLevel(&Logger->Lock))
            return TRUE;
        YieldProcessor();
    }

    return FALSE;
}

static VOID LoggerUnlock(_Inout_ PXEN_LOGGER Logger, _In_ BOOLEAN Locked, _In_ KIRQL Irql)
{
    if (Locked)
        KeReleaseSpinLockFromDpcLevel(&Logger->Lock);

    KeLowerIrql(Irql);
}

/* Called with the lock held. */
static VOID LoggerUpdateEnabled(_Inout_ PXEN_LOGGER Logger)
{
    ULONG Enabled = 0;
    ULONG Index;

    for (Index = 0; Index < XEN_LOG_MAXIMUM_DISPOSITIONS; Index++)
        if (Logger->Disposition[Index].Function != NULL)
            Enabled |= Logger->Disposition[Index].Mask;

    WriteULongRelease(&Logger->Enabled, Enabled);
}

NTSTATUS NTAPI XenLogAddDisposition(_In_ ULONG Mask, _In_ XEN_LOG_FUNCTION Function, _In_opt_ PVOID Argument,
                                    _Outptr_ PXEN_LOG_DISPOSITION *Disposition)
{
    PXEN_LOGGER Logger = &XenGetContext()->Logger;
    PXEN_LOG_DISPOSITION Found = NULL;
    BOOLEAN Locked;
    KIRQL Irql;
    ULONG Index;

    Locked = LoggerLock(Logger, &Irql);

    for (Index = 0; Index < XEN_LOG_MAXIMUM_DISPOSITIONS && Found == NULL; Index++)
        if (Logger->Disposition[Index].Function == NULL)
            Found = &Logger->Disposition[Index];

    if (Found != NULL) {
        Found->Mask = Mask;
        Found->Function = Function;
        Found->Argument = Argument;
        LoggerUpdateEnabled(Logger);
    }

    LoggerUnlock(Logger, Locked, Irql);

    if (Found == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    *Disposition = Found;

    return STATUS_SUCCESS;
}

VOID NTAPI XenLogRemoveDisposition(_In_ PXEN_LOG_DISPOSITION Disposition)
{
    PXEN_LOGGER Logger = &XenGetContext()->Logger;
    BOOLEAN Locked;
    KIRQL Irql;

    Locked = LoggerLock(Logger, &Irql);

    RtlZeroMemory(Disposition, sizeof(XEN_LOG_DISPOSITION));
    LoggerUpdateEnabled(Logger);

    LoggerUnlock(Logger, Locked, Irql);
}

/* Takes a disposition's levels from a registry value, if there is one. */
PAGED_FUNCTION static VOID LoggerConfigure(_Inout_ PXEN_LOGGER Logger, _Inout_ PXEN_LOG_DISPOSITION Disposition,
                                           _In_opt_ HANDLE Parameters, _In_ PCWSTR Name)
{
    BOOLEAN Locked;
    ULONG Levels;
    KIRQL Irql;

    if (Parameters == NULL || !NT_SUCCESS(LogQueryLevels(Parameters, Name, &Levels)))
        return;

    Locked = LoggerLock(Logger, &Irql);

    Disposition->Mask = Levels;
    LoggerUpdateEnabled(Logger);

    LoggerUnlock(Logger, Locked, Irql);
}

PAGED_FUNCTION NTSTATUS LoggerInitialize(_Out_ PXEN_LOGGER Logger, _In_opt_ HANDLE Parameters)
{
    NTSTATUS Status;

    PAGED_CODE();

    RtlZeroMemory(Logger, sizeof(XEN_LOGGER));
    KeInitializeSpinLock(&Logger->Lock);

    Status = XenLogAddDisposition(DEFAULT_LEVELS, WriteToEmulator, NULL, &Logger->Emulator);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XenLogAddDisposition(DEFAULT_LEVELS, WriteToHypervisor, NULL, &Logger->Hypervisor);
    if (!NT_SUCCESS(Status))
        goto fail2;

    LoggerConfigure(Logger, Logger->Emulator, Parameters, L"QemuLogLevel");
    LoggerConfigure(Logger, Logger->Hypervisor, Parameters, L"XenLogLevel");

    return STATUS_SUCCESS;

fail2:
    XenLogRemoveDisposition(Logger->Emulator);

fail1:
    return Status;
}

PAGED_FUNCTION VOID LoggerTeardown(_Inout_ PXEN_LOGGER Logger)
{
    PAGED_CODE();

    XenLogRemoveDisposition(Logger->Hypervisor);
    XenLogRemoveDisposition(Logger->Emulator);
}

BOOLEAN NTAPI XenLogIsEnabled(_In_ ULONG Level)
{
    return (ReadULongAcquire(&XenGetContext()->Logger.Enabled) & Level) != 0;
}

/*
 * Makes one line of the text: what comes from the store or the registry may hold anything, and must not look like
 * further messages. Returns its length, the line feed included; there is room for it.
 */
static ULONG MakeLine(_Inout_ PSTR Text)
{
    ULONG Length = 0;

    for (; Text[Length] != '\0'; Length++)
        if ((UCHAR)Text[Length] < 0x20 || (UCHAR)Text[Length] > 0x7E)
            Text[Length] = '.';

    Text[Length++] = '\n';

    return Length;
}

VOID LoggerCrash(_Inout_ PXEN_LOGGER Logger)
{
    Logger->Crashing = TRUE;
    RtlZeroMemory((PVOID)(ULONG_PTR)Logger->Writing, sizeof(Logger->Writing));
}

static VOID WriteLine(_Inout_ PXEN_LOGGER Logger, _In_ ULONG Level, _In_reads_(Length) PCSTR Text, _In_ ULONG Length)
{
    ULONG Index;

    for (Index = 0; Index < XEN_LOG_MAXIMUM_DISPOSITIONS; Index++) {
        PXEN_LOG_DISPOSITION Disposition = &Logger->Disposition[Index];

        if (Disposition->Function != NULL && (Disposition->Mask & Level) != 0)
            Disposition->Function(Disposition->Argument, Text, Length);
    }
}

VOID NTAPI XenLogVPrintf(_In_ ULONG Level, _In_ PCSTR Format, _In_ va_list Arguments)
{
    PXEN_LOGGER Logger = &XenGetContext()->Logger;
    CHAR Text[XEN_LOG_LINE_SIZE];
    BOOLEAN Locked;
    KIRQL Irql;
    KIRQL HighIrql;
    ULONG Length;
    ULONG Processor;

    if (!XenLogIsEnabled(Level))
        return;

    (VOID) TextVPrint(Text, sizeof(Text), Format, Arguments);
    Length = MakeLine(Text);

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Processor = KeGetCurrentProcessorNumberEx(NULL);

    /* From within a disposition (what it calls may print for a debugger), the message goes nowhere: it would not end.
     */
    if (Processor < XEN_LOG_MAXIMUM_PROCESSORS && !Logger->Writing[Processor]) {
        Logger->Writing[Processor] = TRUE;
        Locked = LoggerLock(Logger, &HighIrql);
        WriteLine(Logger, Level, Text, Length);
        LoggerUnlock(Logger, Locked, HighIrql);
        Logger->Writing[Processor] = FALSE;
    }

    KeLowerIrql(Irql);
}

VOID NTAPI XenLogPrintf(_In_ ULONG Level, _In_ PCSTR Format, ...)
{
    va_list Arguments;

    va_start(Arguments, Format);
    XenLogVPrintf(Level, Format, Arguments);
    va_end(Arguments);
}
