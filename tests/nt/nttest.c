/*
 * The conformance driver. Its DriverEntry starts a thread that runs the cases that Parameters\Select names, and leaves
 * the counts in Parameters: Passed, Failed, Skipped and, last, Done. Unloading waits for the thread's end.
 *
 * Select (REG_SZ): names of cases and of suites (ke_event), with blanks between; "?" lists all cases instead of running
 * any; empty or missing: all. Cases that must end in a bug check run only if Select names the case itself.
 */
#include "nttest.h"

#define SELECT_MAX 1024 /* in characters */

typedef struct _NTTEST_CONTEXT {
    HANDLE Parameters;
    PVOID Thread;
    CHAR Select[SELECT_MAX];
    ULONG Passed;
    ULONG Failed;
    ULONG Skipped;
} NTTEST_CONTEXT;

static NTTEST_CONTEXT Context;

static DRIVER_UNLOAD DriverUnload;
static KSTART_ROUTINE Runner;

/* ---- selection ---- */

static BOOLEAN IsSelected(PCSTR Name)
{
    PCSTR Word = Context.Select;

    while (*Word != '\0') {
        ULONG Length = 0;

        while (*Word == ' ')
            Word++;
        while (Word[Length] != '\0' && Word[Length] != ' ' && Word[Length] == Name[Length])
            Length++;
        if (Length > 0 && Name[Length] == '\0' && (Word[Length] == '\0' || Word[Length] == ' '))
            return TRUE;
        while (*Word != '\0' && *Word != ' ')
            Word++;
    }
    return FALSE;
}

static BOOLEAN IsWanted(const TEST_SUITE *Suite, const TEST_CASE *Case)
{
    if (IsSelected(Case->Name))
        return TRUE;
    return Case->Rule == NULL && (Context.Select[0] == '\0' || IsSelected(Suite->Name));
}

/* A line of text from its parts; the result is good until the next call. */
static PCSTR Compose(PCSTR First, PCSTR Second, PCSTR Third)
{
    static CHAR Text[256];
    PCSTR Part[3];
    ULONG Length = 0;
    ULONG Index;

    Part[0] = First;
    Part[1] = Second;
    Part[2] = Third;
    for (Index = 0; Index < ARRAYSIZE(Part); Index++) {
        while (*Part[Index] != '\0' && Length < sizeof(Text) - 1)
            Text[Length++] = *Part[Index]++;
    }
    Text[Length] = '\0';
    return Text;
}

static VOID List(const TEST_SUITE *Suite, const TEST_CASE *Case)
{
    (VOID) DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "%s %s 0x%x %s 0x%08x\n", Suite->Name, Case->Name,
                      Case->Flags, Case->Rule != NULL ? Case->Rule : "-", Case->BugCheck);
}

/* ---- running ---- */

static VOID Run(const TEST_CASE *Case)
{
    KIRQL Irql;
    BOOLEAN Passed;

    if (KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) < TEST_CPUS_OF(Case->Flags)) {
        Context.Skipped++;
        TestTranscriptLine(Compose("skipped ", Case->Name, ": not enough processors"));
        return;
    }
    if ((Case->Flags & TEST_DEVICE) != 0 && !TestDeviceWait()) {
        Context.Skipped++;
        TestTranscriptLine(Compose("skipped ", Case->Name, ": no device"));
        return;
    }
    TestRecordBegin(Case);
    Case->Function();
    Irql = KeGetCurrentIrql();
    if (Irql != PASSIVE_LEVEL)
        KeLowerIrql(PASSIVE_LEVEL);
    EXPECT_EQUAL(Irql, PASSIVE_LEVEL);
    if (Case->Rule != NULL)
        TestFail(__FILE__, __LINE__, "bug check", "none: the case came back");
    Passed = TestRecordEnd(TestTranscriptLine);
    if (Passed)
        Context.Passed++;
    else
        Context.Failed++;
    TestTranscriptLine(Compose(Passed ? "passed " : "FAILED ", Case->Name, ""));
}

static VOID SetValue(PCWSTR Name, ULONG Value)
{
    UNICODE_STRING String;

    RtlInitUnicodeString(&String, Name);
    (VOID) ZwSetValueKey(Context.Parameters, &String, 0, REG_DWORD, &Value, sizeof(Value));
}

static VOID NTAPI Runner(PVOID Argument)
{
    const TEST_SUITE *Suite;
    const TEST_CASE *Case;
    BOOLEAN Listing = Context.Select[0] == '?';

    UNREFERENCED_PARAMETER(Argument);
    TestTranscriptOpen(Context.Parameters);
    for (Suite = TestSuites; Suite->Name != NULL; Suite++) {
        for (Case = Suite->Cases; Case->Name != NULL; Case++) {
            if (Listing)
                List(Suite, Case);
            else if (IsWanted(Suite, Case))
                Run(Case);
        }
    }
    TestTranscriptClose();
    SetValue(L"Passed", Context.Passed);
    SetValue(L"Failed", Context.Failed);
    SetValue(L"Skipped", Context.Skipped);
    SetValue(L"Done", 1);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* ---- start and end ---- */

static NTSTATUS OpenParameters(PUNICODE_STRING RegistryPath)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;
    HANDLE Service;
    NTSTATUS Status;

    InitializeObjectAttributes(&Attributes, RegistryPath, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    Status = ZwOpenKey(&Service, KEY_READ, &Attributes);
    if (!NT_SUCCESS(Status))
        return Status;
    RtlInitUnicodeString(&Name, L"Parameters");
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, Service, NULL);
    Status = ZwCreateKey(&Context.Parameters, KEY_ALL_ACCESS, &Attributes, 0, NULL, REG_OPTION_NON_VOLATILE, NULL);
    (VOID) ZwClose(Service);
    return Status;
}

static NTSTATUS ReadSelect(VOID)
{
    struct {
        KEY_VALUE_PARTIAL_INFORMATION Information;
        WCHAR Space[SELECT_MAX];
    } * Value;
    UNICODE_STRING Name;
    ULONG Length;
    ULONG Index;
    NTSTATUS Status;

    Value = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Value), TEST_TAG);
    if (Value == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlInitUnicodeString(&Name, L"Select");
    Status = ZwQueryValueKey(Context.Parameters, &Name, KeyValuePartialInformation, Value, sizeof(*Value), &Length);
    Context.Select[0] = '\0';
    if (NT_SUCCESS(Status) && Value->Information.Type == REG_SZ) {
        for (Index = 0; Index < Value->Information.DataLength / sizeof(WCHAR) && Index < SELECT_MAX - 1; Index++)
            Context.Select[Index] = (CHAR)((PWCHAR)Value->Information.Data)[Index];
        Context.Select[Index] = '\0';
    }
    ExFreePoolWithTag(Value, TEST_TAG);
    return Status == STATUS_OBJECT_NAME_NOT_FOUND ? STATUS_SUCCESS : Status;
}

static VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    (VOID) KeWaitForSingleObject(Context.Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Context.Thread);
    TestRecordTeardown();
    (VOID) ZwClose(Context.Parameters);
}

static NTSTATUS StartRunner(VOID)
{
    OBJECT_ATTRIBUTES Attributes;
    HANDLE Handle;
    NTSTATUS Status;

    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, &Attributes, NULL, NULL, Runner, NULL);
    if (!NT_SUCCESS(Status))
        return Status;
    Status = ObReferenceObjectByHandle(Handle, SYNCHRONIZE, *PsThreadType, KernelMode, &Context.Thread, NULL);
    (VOID) ZwClose(Handle);
    return Status;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS Status;

    DriverObject->DriverUnload = DriverUnload;
    TestStackInitialize(DriverObject);
    TestDeviceInitialize(DriverObject);
    TestReinitializeInitialize(DriverObject);
    Status = OpenParameters(RegistryPath);
    if (!NT_SUCCESS(Status))
        return Status;
    Status = ReadSelect();
    if (NT_SUCCESS(Status))
        Status = TestRecordInitialize();
    if (!NT_SUCCESS(Status))
        goto Close;
    Status = StartRunner();
    if (NT_SUCCESS(Status)) {
        TestReinitializeRegister();
        return STATUS_SUCCESS;
    }
    TestRecordTeardown();
Close:
    (VOID) ZwClose(Context.Parameters);
    return Status;
}
