/*
 * A driver with a planted ordering bug, to see that the schedule policies find such bugs: the publisher announces a
 * record before the record points anywhere. It is found only when the consumer runs between the two stores.
 */
#include <ntddk.h>

#define RACER_BUG 0x52414345u /* bugcheck code: the consumer saw the announcement without the record */
#define ROUNDS 4

struct _RACER_RECORD {
    LONG Value;
};

typedef struct _RACER_CONTEXT {
    LONG Announced;
    struct _RACER_RECORD *Record;
    KEVENT Work;
    KEVENT Consumed;
    struct _RACER_RECORD Storage;
} RACER_CONTEXT;

static RACER_CONTEXT Context;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD DriverUnload;
static KSTART_ROUTINE Publisher;
static KSTART_ROUTINE Consumer;

static VOID NTAPI Publisher(PVOID Argument)
{
    ULONG Round;

    UNREFERENCED_PARAMETER(Argument);
    for (Round = 0; Round < ROUNDS; Round++) {
        (VOID) KeSetEvent(&Context.Work, IO_NO_INCREMENT, FALSE);
        (VOID) InterlockedExchange(&Context.Announced, 1); /* the bug: this belongs behind the next line */
        (VOID) InterlockedExchangePointer((PVOID *)&Context.Record, &Context.Storage);
        (VOID) KeWaitForSingleObject(&Context.Consumed, Executive, KernelMode, FALSE, NULL);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI Consumer(PVOID Argument)
{
    ULONG Round;

    UNREFERENCED_PARAMETER(Argument);
    for (Round = 0; Round < ROUNDS; Round++) {
        (VOID) KeWaitForSingleObject(&Context.Work, Executive, KernelMode, FALSE, NULL);
        while (InterlockedCompareExchange(&Context.Announced, 0, 1) != 1)
            YieldProcessor();
        if (InterlockedExchangePointer((PVOID *)&Context.Record, NULL) == NULL)
            KeBugCheckEx(RACER_BUG, Round, 0, 0, 0);
        (VOID) KeSetEvent(&Context.Consumed, IO_NO_INCREMENT, FALSE);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS RunThreads(VOID)
{
    static PKSTART_ROUTINE const Routines[] = {Consumer, Publisher};
    PVOID Threads[ARRAYSIZE(Routines)];
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Count;

    for (Count = 0; Count < ARRAYSIZE(Routines); Count++) {
        HANDLE Handle;

        Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Routines[Count], NULL);
        if (!NT_SUCCESS(Status))
            break;
        Status = ObReferenceObjectByHandle(Handle, SYNCHRONIZE, *PsThreadType, KernelMode, &Threads[Count], NULL);
        (VOID) ZwClose(Handle);
        if (!NT_SUCCESS(Status))
            break;
    }
    while (Count-- > 0) {
        (VOID) KeWaitForSingleObject(Threads[Count], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Threads[Count]);
    }
    return Status;
}

static VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    KeInitializeEvent(&Context.Work, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Context.Consumed, SynchronizationEvent, FALSE);
    return RunThreads();
}
