/*
 * A driver whose threads run on a processor each and contend, to see that they do so at the same time under the
 * parallel engine. What they do is the service key's value Scenario.
 */
#include <ntddk.h>

#define ROUNDS 5000
#define THREADS_MAX 8
#define CONTENDER_BUG 0x434f4e54u /* bugcheck code */
#define RACES 32                  /* whoever looks for races may miss one, not all of them */

enum {
    SCENARIO_LOCKED,   /* a counter under a spin lock, another one interlocked: nothing is lost */
    SCENARIO_RACE,     /* flags that are plain memory: each sets its own and spins until the other one has too */
    SCENARIO_BUGCHECK, /* the last processor breaks off while the others compute without a call */
    SCENARIO_WAIT,     /* everybody waits for an event that nobody sets */
    SCENARIO_SPIN,     /* everybody spins on a flag that nobody sets */
    SCENARIO_DPC       /* DPCs of every processor, queued by every processor, count under a spin lock */
};

typedef struct _CONTENDER_CONTEXT {
    ULONG Scenario;
    ULONG Count;
    KSPIN_LOCK Lock;
    ULONG Locked;
    LONG Interlocked;
    volatile ULONG64 Plain[2][RACES];
    LONG Arrived;
    KEVENT Never;
    volatile LONG Flag;
    KDPC Dpc[THREADS_MAX];
    LONG Queued;
    LONG Ran;
} CONTENDER_CONTEXT;

static CONTENDER_CONTEXT Context;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD DriverUnload;
static KSTART_ROUTINE Thread;
static KDEFERRED_ROUTINE CountDpc;

static VOID CountLocked(VOID)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Context.Lock, &Irql);
    Context.Locked++;
    KeReleaseSpinLock(&Context.Lock, Irql);
    (VOID) InterlockedIncrement(&Context.Interlocked);
}

static VOID NTAPI CountDpc(PKDPC Dpc, PVOID Argument, PVOID SystemArgument1, PVOID SystemArgument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    KeAcquireSpinLockAtDpcLevel(&Context.Lock);
    Context.Locked++;
    KeReleaseSpinLockFromDpcLevel(&Context.Lock);
    (VOID) InterlockedIncrement(&Context.Ran);
}

/* Everybody is there, each on a processor of its own. */
static VOID Meet(VOID)
{
    (VOID) InterlockedIncrement(&Context.Arrived);
    while ((ULONG)ReadAcquire(&Context.Arrived) < Context.Count)
        YieldProcessor();
}

static VOID Contend(ULONG Index)
{
    ULONG Round;

    switch (Context.Scenario) {
    case SCENARIO_LOCKED:
        for (Round = 0; Round < ROUNDS; Round++)
            CountLocked();
        break;
    case SCENARIO_RACE:
        for (Round = 0; Round < RACES; Round++) {
            Context.Plain[Index & 1][Round] = 1;
            while (Context.Plain[~Index & 1][Round] == 0)
                ;
        }
        break;
    case SCENARIO_BUGCHECK:
        if (Index == Context.Count - 1)
            KeBugCheckEx(CONTENDER_BUG, Index, 0, 0, 0);
        for (;;)
            *(volatile ULONG *)&Context.Dpc[Index].SystemArgument1 += 1;
    case SCENARIO_WAIT:
        (VOID) KeWaitForSingleObject(&Context.Never, Executive, KernelMode, FALSE, NULL);
        break;
    case SCENARIO_SPIN:
        while (ReadAcquire(&Context.Flag) == 0)
            YieldProcessor();
        break;
    case SCENARIO_DPC:
        for (Round = 0; Round < ROUNDS; Round++)
            if (KeInsertQueueDpc(&Context.Dpc[(Index + Round) % Context.Count], NULL, NULL))
                (VOID) InterlockedIncrement(&Context.Queued);
        break;
    default:
        break;
    }
}

static VOID NTAPI Thread(PVOID Argument)
{
    ULONG Index = (ULONG)(ULONG_PTR)Argument;

    (VOID) KeSetSystemAffinityThreadEx((KAFFINITY)1 << Index);
    Meet();
    Contend(Index);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS RunThreads(VOID)
{
    PVOID Threads[THREADS_MAX];
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Count;

    for (Count = 0; Count < Context.Count; Count++) {
        HANDLE Handle;

        Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Thread, (PVOID)(ULONG_PTR)Count);
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
    KeFlushQueuedDpcs();
    return Status;
}

static NTSTATUS Judge(VOID)
{
    if (Context.Scenario == SCENARIO_LOCKED &&
        (Context.Locked != ROUNDS * Context.Count || (ULONG)Context.Interlocked != ROUNDS * Context.Count))
        return STATUS_DATA_ERROR;
    if (Context.Scenario == SCENARIO_DPC && (Context.Queued != Context.Ran || (LONG)Context.Locked != Context.Ran))
        return STATUS_DATA_ERROR;
    return STATUS_SUCCESS;
}

static NTSTATUS ReadScenario(PUNICODE_STRING RegistryPath)
{
    RTL_QUERY_REGISTRY_TABLE Table[] = {
        {.Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_REQUIRED | RTL_QUERY_REGISTRY_TYPECHECK,
         .Name = L"Scenario",
         .EntryContext = &Context.Scenario,
         .DefaultType = (REG_DWORD << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT) | REG_NONE},
        {.Name = NULL},
    };

    return RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, RegistryPath->Buffer, Table, NULL, NULL);
}

static VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS Status = ReadScenario(RegistryPath);
    ULONG Index;

    if (!NT_SUCCESS(Status))
        return Status;
    DriverObject->DriverUnload = DriverUnload;
    Context.Count = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    if (Context.Count > THREADS_MAX)
        Context.Count = THREADS_MAX;
    KeInitializeSpinLock(&Context.Lock);
    KeInitializeEvent(&Context.Never, NotificationEvent, FALSE);
    for (Index = 0; Index < Context.Count; Index++) {
        KeInitializeDpc(&Context.Dpc[Index], CountDpc, NULL);
        KeSetTargetProcessorDpc(&Context.Dpc[Index], (CCHAR)Index);
    }
    Status = RunThreads();
    return NT_SUCCESS(Status) ? Judge() : Status;
}
