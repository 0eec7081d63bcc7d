#include "suspend.h"

#include "bug.h"
#include "interface.h"
#include "pool.h"
#include "users.h"
#include "xen.h"

#include <xen/xen.h>
#include <xen/sched.h>

#define SUSPEND_TAG POOL_TAG('S', 'U', 'S', 'P')

struct _XENBUS_SUSPEND_CALLBACK {
    LIST_ENTRY ListEntry;
    XENBUS_SUSPEND_FUNCTION Function;
    PVOID Argument;
};

struct _XENBUS_SUSPEND_CONTEXT {
    INTERFACE_USERS Users;
    XENBUS_SUSPEND_OPERATIONS Operations;
    KEVENT Gate; /* one suspend at a time */
    ULONG volatile Count;

    /* Guards the lists. Callbacks run without it: then every processor that could hold it is held. */
    KSPIN_LOCK Lock;
    LIST_ENTRY Early;
    LIST_ENTRY Late;
};

static NTSTATUS NTAPI SuspendRegister(_In_ PINTERFACE Interface, _In_ XENBUS_SUSPEND_CALLBACK_TYPE Type,
                                      _In_ XENBUS_SUSPEND_FUNCTION Function, _In_opt_ PVOID Argument,
                                      _Outptr_ PXENBUS_SUSPEND_CALLBACK *Callback)
{
    PXENBUS_SUSPEND_CONTEXT Context = Interface->Context;
    PLIST_ENTRY List;
    KIRQL Irql;

    *Callback = NULL;

    switch (Type) {
    case SUSPEND_CALLBACK_EARLY:
        List = &Context->Early;
        break;

    case SUSPEND_CALLBACK_LATE:
        List = &Context->Late;
        break;

    default:
        return STATUS_INVALID_PARAMETER;
    }

    *Callback = PoolAllocate(sizeof(XENBUS_SUSPEND_CALLBACK), SUSPEND_TAG);
    if (*Callback == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    (*Callback)->Function = Function;
    (*Callback)->Argument = Argument;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    InsertTailList(List, &(*Callback)->ListEntry);
    KeReleaseSpinLock(&Context->Lock, Irql);

    return STATUS_SUCCESS;
}

static VOID NTAPI SuspendDeregister(_In_ PINTERFACE Interface, _In_ PXENBUS_SUSPEND_CALLBACK Callback)
{
    PXENBUS_SUSPEND_CONTEXT Context = Interface->Context;
    KIRQL Irql;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    RemoveEntryList(&Callback->ListEntry);
    KeReleaseSpinLock(&Context->Lock, Irql);

    PoolFree(Callback, SUSPEND_TAG);
}

static VOID SuspendRunCallbacks(_In_ PLIST_ENTRY List)
{
    PLIST_ENTRY ListEntry;

    for (ListEntry = List->Flink; ListEntry != List; ListEntry = ListEntry->Flink) {
        PXENBUS_SUSPEND_CALLBACK Callback = CONTAINING_RECORD(ListEntry, XENBUS_SUSPEND_CALLBACK, ListEntry);

        Callback->Function(Callback->Argument);
    }
}

/*
 * At HIGH_LEVEL, with every other processor held there. Recover: the domain has been somewhere else already. TRUE: it
 * has resumed in what may be a new place.
 */
static NTSTATUS SuspendNow(_In_ PXENBUS_SUSPEND_CONTEXT Context, _In_ PXENBUS_SYNC Sync, _In_ BOOLEAN Recover,
                           _Out_ PBOOLEAN Resumed)
{
    BOOLEAN Cancelled = !Recover;
    NTSTATUS Status = STATUS_SUCCESS;

    if (!Recover)
        Status = XenSchedShutdown(SHUTDOWN_suspend, &Cancelled);
    *Resumed = NT_SUCCESS(Status) && !Cancelled;
    if (!*Resumed)
        return Status;

    WriteULongRelease(&Context->Count, Context->Count + 1);
    Context->Operations.ResumeEarly(Context->Operations.Argument, Sync);
    SuspendRunCallbacks(&Context->Early);
    return Status;
}

static NTSTATUS SuspendWithOthersHeld(_In_ PXENBUS_SUSPEND_CONTEXT Context, _In_ PXENBUS_SYNC Sync,
                                      _In_ BOOLEAN Recover, _Out_ PBOOLEAN Resumed)
{
    NTSTATUS Status = STATUS_SUCCESS;

    *Resumed = FALSE;

    if (!Recover)
        Status = Context->Operations.Prepare(Context->Operations.Argument);
    if (!NT_SUCCESS(Status))
        return Status;

    SyncRaise(Sync);
    Status = SuspendNow(Context, Sync, Recover, Resumed);
    SyncLower(Sync);

    if (*Resumed) {
        Context->Operations.ResumeLate(Context->Operations.Argument);
        SuspendRunCallbacks(&Context->Late);
    }

    return Status;
}

/* Holds every other processor. One may be added between their counting and their capture. */
static NTSTATUS SuspendCapture(_Outptr_ PXENBUS_SYNC *Sync)
{
    NTSTATUS Status;

    for (;;) {
        Status = SyncCreate(Sync);
        if (!NT_SUCCESS(Status))
            return Status;

        SyncCapture(*Sync);
        if (SyncHasAll(*Sync))
            return STATUS_SUCCESS;

        SyncRelease(*Sync);
        SyncDestroy(*Sync);
    }
}

static NTSTATUS SuspendRun(_In_ PXENBUS_SUSPEND_CONTEXT Context, _In_ BOOLEAN Recover, _Out_ PBOOLEAN Resumed)
{
    PXENBUS_SYNC Sync;
    NTSTATUS Status;

    *Resumed = FALSE;

    (VOID) KeWaitForSingleObject(&Context->Gate, Executive, KernelMode, FALSE, NULL);

    Status = SuspendCapture(&Sync);
    if (NT_SUCCESS(Status)) {
        Status = SuspendWithOthersHeld(Context, Sync, Recover, Resumed);
        SyncRelease(Sync);

        SyncDestroy(Sync);
    }

    (VOID) KeSetEvent(&Context->Gate, IO_NO_INCREMENT, FALSE);
    return Status;
}

NTSTATUS SuspendRecover(_In_ PXENBUS_SUSPEND_CONTEXT Context)
{
    BOOLEAN Resumed;

    return SuspendRun(Context, TRUE, &Resumed);
}

static NTSTATUS NTAPI SuspendTrigger(_In_ PINTERFACE Interface)
{
    PXENBUS_SUSPEND_CONTEXT Context = Interface->Context;
    BOOLEAN Resumed;
    NTSTATUS Status;

    ASSERT(KeGetCurrentIrql() == PASSIVE_LEVEL);

    Info("suspending");

    Status = SuspendRun(Context, FALSE, &Resumed);

    if (!NT_SUCCESS(Status))
        Error("the domain was not suspended (%08x)", Status);
    else
        Info("%s", Resumed ? "resumed" : "the suspend was cancelled");

    return Status;
}

static ULONG NTAPI SuspendGetCount(_In_ PINTERFACE Interface)
{
    PXENBUS_SUSPEND_CONTEXT Context = Interface->Context;

    return ReadULongAcquire(&Context->Count);
}

static NTSTATUS NTAPI SuspendAcquire(_In_ PINTERFACE Interface)
{
    PXENBUS_SUSPEND_CONTEXT Context = Interface->Context;

    return UsersAcquire(&Context->Users);
}

static VOID NTAPI SuspendRelease(_In_ PINTERFACE Interface)
{
    PXENBUS_SUSPEND_CONTEXT Context = Interface->Context;

    UsersRelease(&Context->Users);
}

static const XENBUS_SUSPEND_INTERFACE_V1 SuspendInterfaceV1 = {
    .Acquire = SuspendAcquire,
    .Release = SuspendRelease,
    .Register = SuspendRegister,
    .Deregister = SuspendDeregister,
    .Trigger = SuspendTrigger,
    .GetCount = SuspendGetCount,
};

NTSTATUS SuspendGetInterface(_In_ PVOID Context, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                             _In_ ULONG Size)
{
    switch (Version) {
    case 1:
        return InterfaceFill(Interface, Size, &SuspendInterfaceV1, sizeof(SuspendInterfaceV1), Version, Context);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

VOID SuspendEnable(_In_ PXENBUS_SUSPEND_CONTEXT Context)
{
    UsersEnable(&Context->Users);
}

ULONG SuspendCountUsers(_In_ PXENBUS_SUSPEND_CONTEXT Context)
{
    return UsersCount(&Context->Users);
}

VOID SuspendDisable(_In_ PXENBUS_SUSPEND_CONTEXT Context)
{
    UsersDisable(&Context->Users);

    if (!IsListEmpty(&Context->Early) || !IsListEmpty(&Context->Late))
        BUG("a client has released SUSPEND with a callback");
}

NTSTATUS SuspendInitialize(_In_ const XENBUS_SUSPEND_OPERATIONS *Operations, _Outptr_ PXENBUS_SUSPEND_CONTEXT *Context)
{
    *Context = PoolAllocate(sizeof(XENBUS_SUSPEND_CONTEXT), SUSPEND_TAG);
    if (*Context == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    UsersInitialize(&(*Context)->Users, "SUSPEND");
    (*Context)->Operations = *Operations;
    KeInitializeEvent(&(*Context)->Gate, SynchronizationEvent, TRUE);
    KeInitializeSpinLock(&(*Context)->Lock);
    InitializeListHead(&(*Context)->Early);
    InitializeListHead(&(*Context)->Late);
    return STATUS_SUCCESS;
}

VOID SuspendTeardown(_In_ PXENBUS_SUSPEND_CONTEXT Context)
{
    PoolFree(Context, SUSPEND_TAG);
}
