/*
 * A boot driver with one planted bug, chosen by the value Bug of its service key, to see that each way of exploring
 * finds what it is there for, and that a sweep takes runs that die or never end for what they are.
 */
#include "planted.h"

#define ROUNDS 4

typedef struct _PLANTED_CONTEXT {
    volatile ULONG Ready;
    volatile ULONG Value;
    KDPC Dpc;
    volatile LONG DpcRan;
} PLANTED_CONTEXT;

static PLANTED_CONTEXT Context;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD DriverUnload;
static KSTART_ROUTINE Producer;
static KSTART_ROUTINE Consumer;
static KDEFERRED_ROUTINE PlantedDpc;

static VOID NTAPI Producer(PVOID Argument)
{
    ULONG Round;

    UNREFERENCED_PARAMETER(Argument);
    for (Round = 1; Round <= ROUNDS; Round++) {
        while (Context.Ready != 0)
            YieldProcessor();
        Context.Ready = 1; /* the bug: this belongs behind the next line */
        Context.Value = Round;
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI Consumer(PVOID Argument)
{
    ULONG Round;

    UNREFERENCED_PARAMETER(Argument);
    for (Round = 1; Round <= ROUNDS; Round++) {
        while (Context.Ready == 0)
            YieldProcessor();
        if (Context.Value != Round)
            KeBugCheckEx(PLANTED_BUG, BugMemory, Round, Context.Value, 0);
        Context.Ready = 0;
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

VOID PlantedRunThreads(PKSTART_ROUTINE const *Routines, ULONG Count)
{
    PVOID Threads[PLANTED_THREADS_MAX];
    ULONG Started;

    for (Started = 0; Started < Count; Started++) {
        HANDLE Handle;

        if (!NT_SUCCESS(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Routines[Started], NULL)))
            break;
        (VOID) ObReferenceObjectByHandle(Handle, SYNCHRONIZE, *PsThreadType, KernelMode, &Threads[Started], NULL);
        (VOID) ZwClose(Handle);
    }
    while (Started-- > 0) {
        (VOID) KeWaitForSingleObject(Threads[Started], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(Threads[Started]);
    }
}

static VOID StoreInWrongOrder(VOID)
{
    static PKSTART_ROUTINE const Routines[] = {Consumer, Producer};

    PlantedRunThreads(Routines, ARRAYSIZE(Routines));
}

static VOID TrustMemory(VOID)
{
    PHYSICAL_ADDRESS Highest;
    PVOID Memory;

    Highest.QuadPart = MAXLONGLONG;
    Memory = MmAllocateContiguousMemory(PAGE_SIZE, Highest);
    if (Memory == NULL)
        KeBugCheckEx(PLANTED_BUG, BugMemoryFails, 0, 0, 0);
    MmFreeContiguousMemory(Memory);
}

static VOID NTAPI PlantedDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    (VOID) InterlockedExchange(&Context.DpcRan, 1);
}

static VOID TrustDelay(VOID)
{
    LARGE_INTEGER Millisecond;

    Millisecond.QuadPart = -10000;
    KeInitializeDpc(&Context.Dpc, PlantedDpc, NULL);
    KeSetImportanceDpc(&Context.Dpc, LowImportance);
    (VOID) KeInsertQueueDpc(&Context.Dpc, NULL, NULL);
    (VOID) KeDelayExecutionThread(KernelMode, FALSE, &Millisecond);
    if (InterlockedExchange(&Context.DpcRan, 0) == 0) /* the bug: KeFlushQueuedDpcs() would wait for it */
        KeBugCheckEx(PLANTED_BUG, BugDelay, 0, 0, 0);
}

static ULONG ReadBug(PUNICODE_STRING RegistryPath)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"Bug");
    union {
        KEY_VALUE_PARTIAL_INFORMATION Information;
        UCHAR Bytes[64];
    } Value;
    OBJECT_ATTRIBUTES Attributes;
    ULONG Bug = BugNone;
    ULONG Size;
    HANDLE Key;

    InitializeObjectAttributes(&Attributes, RegistryPath, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    if (!NT_SUCCESS(ZwOpenKey(&Key, KEY_READ, &Attributes)))
        return BugNone;
    if (NT_SUCCESS(ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, &Value, sizeof(Value), &Size)) &&
        Value.Information.Type == REG_DWORD)
        RtlCopyMemory(&Bug, Value.Information.Data, sizeof(Bug));
    (VOID) ZwClose(Key);
    return Bug;
}

static VOID WaitForNothing(VOID)
{
    KEVENT Never;

    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    (VOID) KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
}

static VOID FreeTwice(VOID)
{
    PVOID Block = ExAllocatePoolZero(NonPagedPoolNx, 100, PLANTED_TAG);

    if (Block == NULL)
        return;
    ExFreePoolWithTag(Block, PLANTED_TAG);
    ExFreePoolWithTag(Block, PLANTED_TAG);
}

static VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

DECLSPEC_EXPORT NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    volatile ULONG Forever = 1;

    DriverObject->DriverUnload = DriverUnload;
    switch (ReadBug(RegistryPath)) {
    case BugMemory:
        StoreInWrongOrder();
        break;
    case BugDelay:
        TrustDelay();
        break;
    case BugHang:
        while (Forever)
            ;
        break;
    case BugDie:
        __asm__ volatile("int3");
        break;
    case BugScene:
        PlantedScene(DriverObject);
        break;
    case BugDouble:
        FreeTwice();
        break;
    case BugLeak:
        (VOID) ExAllocatePoolZero(NonPagedPoolNx, 100, PLANTED_TAG);
        break;
    case BugPinned:
        PlantedPinned();
        break;
    case BugMemoryFails:
        TrustMemory();
        break;
    case BugScramble:
        PlantedScramble(DriverObject);
        break;
    case BugPair:
        PlantedPair(DriverObject);
        break;
    case BugLoad:
        PlantedLoad(DriverObject);
        break;
    case BugFallible:
        PlantedFallible(DriverObject);
        break;
    case BugWait:
        WaitForNothing();
        break;
    default:
        break;
    }
    return STATUS_SUCCESS;
}
