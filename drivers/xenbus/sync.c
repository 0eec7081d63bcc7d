#include "sync.h"

#include "log.h"
#include "pool.h"

#define SYNC_TAG POOL_TAG('S', 'Y', 'N', 'C')

typedef enum _SYNC_COMMAND { SYNC_RAISE, SYNC_RUN, SYNC_LOWER, SYNC_RELEASE } SYNC_COMMAND;

/*
 * The capturing processor posts a command and steps Sequence; each held one obeys and steps Arrived. A command is
 * posted only when all have obeyed the one before.
 */
struct _XENBUS_SYNC {
    ULONG volatile Sequence;
    LONG volatile Arrived;
    SYNC_COMMAND Command;
    XENBUS_SYNC_FUNCTION Function;
    PVOID Argument;
    KIRQL Irql;
    ULONG Count;
    KDPC Dpc[1];
};

static VOID SyncArrive(_In_ PXENBUS_SYNC Sync)
{
    InterlockedIncrement(&Sync->Arrived);
}

/* Waits until every held processor has stepped Arrived. */
static VOID SyncAwait(_In_ PXENBUS_SYNC Sync)
{
    while (ReadULongAcquire((ULONG volatile *)&Sync->Arrived) != Sync->Count - 1)
        YieldProcessor();
}

static VOID SyncPost(_In_ PXENBUS_SYNC Sync, _In_ SYNC_COMMAND Command)
{
    InterlockedExchange(&Sync->Arrived, 0);
    Sync->Command = Command;
    WriteULongRelease(&Sync->Sequence, Sync->Sequence + 1);
}

/* A held processor: at DISPATCH_LEVEL, in a DPC, until it is released. */
_Function_class_(KDEFERRED_ROUTINE)
static VOID NTAPI SyncHold(_In_ PKDPC Dpc, _In_opt_ PVOID Context, _In_opt_ PVOID Argument1, _In_opt_ PVOID Argument2)
{
    PXENBUS_SYNC Sync = Context;
    ULONG Index = KeGetCurrentProcessorNumberEx(NULL);
    ULONG Sequence = 0;
    BOOLEAN Held = TRUE;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    SyncArrive(Sync);

    while (Held) {
        KIRQL Irql;

        if (ReadULongAcquire(&Sync->Sequence) == Sequence) {
            YieldProcessor();
            continue;
        }
        Sequence++;

        switch (Sync->Command) {
        case SYNC_RAISE:
            KeRaiseIrql(HIGH_LEVEL, &Irql);
            break;

        case SYNC_RUN:
            Sync->Function(Sync->Argument, Index);
            break;

        case SYNC_LOWER:
            KeLowerIrql(DISPATCH_LEVEL);
            break;

        case SYNC_RELEASE:
            Held = FALSE;
            break;
        }

        /* The last touch of Sync when released. */
        SyncArrive(Sync);
    }
}

NTSTATUS SyncCreate(_Outptr_ PXENBUS_SYNC *Sync)
{
    ULONG Count = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    ULONG Index;
    NTSTATUS Status;

    *Sync = PoolAllocate(FIELD_OFFSET(XENBUS_SYNC, Dpc) + Count * sizeof(KDPC), SYNC_TAG);
    if (*Sync == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    (*Sync)->Count = Count;

    for (Index = 0; Index < Count; Index++) {
        PKDPC Dpc = &(*Sync)->Dpc[Index];
        PROCESSOR_NUMBER Number;

        KeInitializeDpc(Dpc, SyncHold, *Sync);
        KeSetImportanceDpc(Dpc, HighImportance);

        Status = KeGetProcessorNumberFromIndex(Index, &Number);
        if (NT_SUCCESS(Status))
            Status = KeSetTargetProcessorDpcEx(Dpc, &Number);
        if (!NT_SUCCESS(Status))
            goto fail1;
    }

    return STATUS_SUCCESS;

fail1:
    Error("processor %u cannot be targeted (%08x)", Index, Status);

    SyncDestroy(*Sync);
    *Sync = NULL;
    return Status;
}

VOID SyncDestroy(_In_ PXENBUS_SYNC Sync)
{
    PoolFree(Sync, SYNC_TAG);
}

VOID SyncCapture(_In_ PXENBUS_SYNC Sync)
{
    ULONG Self;
    ULONG Index;

    KeRaiseIrql(DISPATCH_LEVEL, &Sync->Irql);
    Self = KeGetCurrentProcessorNumberEx(NULL);

    for (Index = 0; Index < Sync->Count; Index++) {
        if (Index != Self)
            KeInsertQueueDpc(&Sync->Dpc[Index], NULL, NULL);
    }

    SyncAwait(Sync);
}

BOOLEAN SyncHasAll(_In_ PXENBUS_SYNC Sync)
{
    return Sync->Count == KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
}

VOID SyncRaise(_In_ PXENBUS_SYNC Sync)
{
    KIRQL Irql;

    SyncPost(Sync, SYNC_RAISE);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    SyncAwait(Sync);
}

VOID SyncRun(_In_ PXENBUS_SYNC Sync, _In_ XENBUS_SYNC_FUNCTION Function, _In_opt_ PVOID Argument)
{
    Sync->Function = Function;
    Sync->Argument = Argument;
    SyncPost(Sync, SYNC_RUN);
    Function(Argument, KeGetCurrentProcessorNumberEx(NULL));
    SyncAwait(Sync);
}

VOID SyncLower(_In_ PXENBUS_SYNC Sync)
{
    SyncPost(Sync, SYNC_LOWER);
    KeLowerIrql(DISPATCH_LEVEL);
    SyncAwait(Sync);
}

VOID SyncRelease(_In_ PXENBUS_SYNC Sync)
{
    SyncPost(Sync, SYNC_RELEASE);
    SyncAwait(Sync);
    KeLowerIrql(Sync->Irql);
}
