#include "console.h"

#include "bug.h"
#include "interface.h"
#include "pool.h"
#include "users.h"
#include "xen.h"

#include <xen/xen.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>

#define CONSOLE_TAG POOL_TAG('C', 'O', 'N', 'S')

/*
 * How often the ring's lock is tried. In a crash its holder may have been stopped for good: then nothing is written, or
 * read, as on a full ring.
 */
#define CONSOLE_LOCK_ATTEMPTS (1u << 20)

struct _XENBUS_CONSOLE_WAKEUP {
    LIST_ENTRY ListEntry;
    PKEVENT Event;
};

struct _XENBUS_CONSOLE_CONTEXT {
    INTERFACE_USERS Users;
    XENBUS_EVTCHN_INTERFACE EvtchnInterface;
    ULONG LogLevels;
    PXEN_LOG_DISPOSITION Disposition; /* NULL: the log does not go to the console */

    PHYSICAL_ADDRESS Address;
    struct xencons_interface *Ring; /* NULL: the domain has no console */
    PXENBUS_EVTCHN_CHANNEL Channel;
    ULONG volatile Port; /* 0: the daemon cannot be told */

    /* Guards Ring and what we write there. Taken at HIGH_LEVEL, as the log writes at that; nothing is logged under it.
     */
    LONG volatile RingLock;

    /* Guards Wakeups. */
    KSPIN_LOCK Lock;
    LIST_ENTRY Wakeups;
    KDPC Dpc;
};

/* ---- the ring ---- */

static BOOLEAN ConsoleLock(_In_ PXENBUS_CONSOLE_CONTEXT Context, _Out_ PKIRQL Irql)
{
    ULONG Attempt;

    KeRaiseIrql(HIGH_LEVEL, Irql);

    for (Attempt = 0; Attempt < CONSOLE_LOCK_ATTEMPTS; Attempt++) {
        if (InterlockedCompareExchange(&Context->RingLock, 1, 0) == 0)
            return TRUE;
        YieldProcessor();
    }

    KeLowerIrql(*Irql);
    return FALSE;
}

static VOID ConsoleUnlock(_In_ PXENBUS_CONSOLE_CONTEXT Context, _In_ KIRQL Irql)
{
    InterlockedExchange(&Context->RingLock, 0);
    KeLowerIrql(Irql);
}

/* Tells the daemon that the ring has moved. Not by the channel: what it has to say of an error goes to the log. */
static VOID ConsoleNotify(_In_ PXENBUS_CONSOLE_CONTEXT Context)
{
    ULONG Port = ReadULongAcquire(&Context->Port);

    if (Port != 0)
        (VOID) XenEventSend(Port);
}

/* Lets go of the ring, and tells the daemon if it was moved. */
static VOID ConsoleUnlockAndNotify(_In_ PXENBUS_CONSOLE_CONTEXT Context, _In_ KIRQL Irql, _In_ BOOLEAN Moved)
{
    ConsoleUnlock(Context, Irql);

    if (Moved)
        ConsoleNotify(Context);
}

/*
 * Bytes that there are to read, and the index of the first. The daemon can write both indices, so that each is read
 * once, and neither is trusted: beyond the ring there is nothing.
 */
static ULONG ConsoleReadable(_In_ struct xencons_interface *Ring, _Out_ PULONG Index)
{
    ULONG Count;

    *Index = ReadULongNoFence((ULONG volatile *)&Ring->in_cons);
    Count = ReadULongAcquire((ULONG volatile *)&Ring->in_prod) - *Index;

    return Count <= sizeof(Ring->in) ? Count : 0;
}

/* Likewise, bytes that there is room for. */
static ULONG ConsoleWritable(_In_ struct xencons_interface *Ring, _Out_ PULONG Index)
{
    ULONG Count;

    *Index = ReadULongNoFence((ULONG volatile *)&Ring->out_prod);
    Count = *Index - ReadULongAcquire((ULONG volatile *)&Ring->out_cons);

    return Count <= sizeof(Ring->out) ? sizeof(Ring->out) - Count : 0;
}

/* Called with the lock held. */
static ULONG ConsoleTake(_In_ struct xencons_interface *Ring, _Out_writes_(Length) PSTR Data, _In_ ULONG Length)
{
    ULONG Index;
    ULONG Count = ConsoleReadable(Ring, &Index);
    ULONG Done;

    Count = min(Count, Length);
    for (Done = 0; Done < Count; Done++)
        Data[Done] = Ring->in[MASK_XENCONS_IDX(Index + Done, Ring->in)];

    WriteULongRelease((ULONG volatile *)&Ring->in_cons, Index + Count);
    return Count;
}

/* Called with the lock held. */
static ULONG ConsolePut(_In_ struct xencons_interface *Ring, _In_reads_(Length) PCSTR Data, _In_ ULONG Length)
{
    ULONG Index;
    ULONG Count = ConsoleWritable(Ring, &Index);
    ULONG Done;

    Count = min(Count, Length);
    for (Done = 0; Done < Count; Done++)
        Ring->out[MASK_XENCONS_IDX(Index + Done, Ring->out)] = Data[Done];

    WriteULongRelease((ULONG volatile *)&Ring->out_prod, Index + Count);
    return Count;
}

static ULONG ConsoleMeasure(_In_ PXENBUS_CONSOLE_CONTEXT Context,
                            _In_ ULONG (*Function)(_In_ struct xencons_interface *Ring, _Out_ PULONG Index))
{
    ULONG Count = 0;
    ULONG Index;
    KIRQL Irql;

    if (!ConsoleLock(Context, &Irql))
        return 0;

    if (Context->Ring != NULL)
        Count = Function(Context->Ring, &Index);

    ConsoleUnlock(Context, Irql);
    return Count;
}

/* ---- the log ---- */

/* A line of the log, at HIGH_LEVEL: all of it, as a terminal wants it, or nothing if there is no room. */
static VOID NTAPI ConsoleLog(_In_opt_ PVOID Argument, _In_reads_(Length) PCSTR Text, _In_ ULONG Length)
{
    PXENBUS_CONSOLE_CONTEXT Context = Argument;
    BOOLEAN Room = FALSE;
    ULONG Index;
    KIRQL Irql;

    if (!ConsoleLock(Context, &Irql))
        return;

    if (Context->Ring != NULL && ConsoleWritable(Context->Ring, &Index) > Length) {
        (VOID) ConsolePut(Context->Ring, Text, Length - 1);
        (VOID) ConsolePut(Context->Ring, "\r\n", 2);
        Room = TRUE;
    }

    ConsoleUnlockAndNotify(Context, Irql, Room);
}

/* ---- methods ---- */

static BOOLEAN NTAPI ConsoleCanRead(_In_ PINTERFACE Interface)
{
    PXENBUS_CONSOLE_CONTEXT Context = Interface->Context;

    return ConsoleMeasure(Context, ConsoleReadable) != 0;
}

static ULONG NTAPI ConsoleRead(_In_ PINTERFACE Interface, _Out_writes_(Length) PSTR Data, _In_ ULONG Length)
{
    PXENBUS_CONSOLE_CONTEXT Context = Interface->Context;
    ULONG Count = 0;
    KIRQL Irql;

    if (!ConsoleLock(Context, &Irql))
        return 0;

    if (Context->Ring != NULL)
        Count = ConsoleTake(Context->Ring, Data, Length);

    ConsoleUnlockAndNotify(Context, Irql, Count != 0);
    return Count;
}

static BOOLEAN NTAPI ConsoleCanWrite(_In_ PINTERFACE Interface)
{
    PXENBUS_CONSOLE_CONTEXT Context = Interface->Context;

    return ConsoleMeasure(Context, ConsoleWritable) != 0;
}

static ULONG NTAPI ConsoleWrite(_In_ PINTERFACE Interface, _In_reads_(Length) PSTR Data, _In_ ULONG Length)
{
    PXENBUS_CONSOLE_CONTEXT Context = Interface->Context;
    ULONG Count = 0;
    KIRQL Irql;

    if (!ConsoleLock(Context, &Irql))
        return 0;

    if (Context->Ring != NULL)
        Count = ConsolePut(Context->Ring, Data, Length);

    ConsoleUnlockAndNotify(Context, Irql, Count != 0);
    return Count;
}

static NTSTATUS NTAPI ConsoleWakeupAdd(_In_ PINTERFACE Interface, _In_ PKEVENT Event,
                                       _Outptr_ PXENBUS_CONSOLE_WAKEUP *Wakeup)
{
    PXENBUS_CONSOLE_CONTEXT Context = Interface->Context;
    KIRQL Irql;

    *Wakeup = PoolAllocate(sizeof(XENBUS_CONSOLE_WAKEUP), CONSOLE_TAG);
    if (*Wakeup == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    (*Wakeup)->Event = Event;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    InsertTailList(&Context->Wakeups, &(*Wakeup)->ListEntry);
    KeReleaseSpinLock(&Context->Lock, Irql);

    return STATUS_SUCCESS;
}

static VOID NTAPI ConsoleWakeupRemove(_In_ PINTERFACE Interface, _In_ PXENBUS_CONSOLE_WAKEUP Wakeup)
{
    PXENBUS_CONSOLE_CONTEXT Context = Interface->Context;
    KIRQL Irql;

    /* Events are set under the lock. */
    KeAcquireSpinLock(&Context->Lock, &Irql);
    RemoveEntryList(&Wakeup->ListEntry);
    KeReleaseSpinLock(&Context->Lock, Irql);

    PoolFree(Wakeup, CONSOLE_TAG);
}

static NTSTATUS NTAPI ConsoleAcquire(_In_ PINTERFACE Interface)
{
    PXENBUS_CONSOLE_CONTEXT Context = Interface->Context;

    return UsersAcquire(&Context->Users);
}

static VOID NTAPI ConsoleRelease(_In_ PINTERFACE Interface)
{
    PXENBUS_CONSOLE_CONTEXT Context = Interface->Context;

    UsersRelease(&Context->Users);
}

static const XENBUS_CONSOLE_INTERFACE_V1 ConsoleInterfaceV1 = {
    .ConsoleAcquire = ConsoleAcquire,
    .ConsoleRelease = ConsoleRelease,
    .ConsoleCanRead = ConsoleCanRead,
    .ConsoleRead = ConsoleRead,
    .ConsoleCanWrite = ConsoleCanWrite,
    .ConsoleWrite = ConsoleWrite,
    .ConsoleWakeupAdd = ConsoleWakeupAdd,
    .ConsoleWakeupRemove = ConsoleWakeupRemove,
};

NTSTATUS ConsoleGetInterface(_In_ PVOID Context, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                             _In_ ULONG Size)
{
    switch (Version) {
    case 1:
        return InterfaceFill(Interface, Size, &ConsoleInterfaceV1, sizeof(ConsoleInterfaceV1), Version, Context);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

/* ---- life ---- */

_Function_class_(KDEFERRED_ROUTINE)
static VOID NTAPI ConsoleDpc(_In_ PKDPC Dpc, _In_opt_ PVOID Argument, _In_opt_ PVOID Argument1,
                             _In_opt_ PVOID Argument2)
{
    PXENBUS_CONSOLE_CONTEXT Context = Argument;
    PLIST_ENTRY ListEntry;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    KeAcquireSpinLockAtDpcLevel(&Context->Lock);

    for (ListEntry = Context->Wakeups.Flink; ListEntry != &Context->Wakeups; ListEntry = ListEntry->Flink)
        (VOID)
            KeSetEvent(CONTAINING_RECORD(ListEntry, XENBUS_CONSOLE_WAKEUP, ListEntry)->Event, IO_NO_INCREMENT, FALSE);

    KeReleaseSpinLockFromDpcLevel(&Context->Lock);
}

_Function_class_(KSERVICE_ROUTINE)
static BOOLEAN NTAPI ConsoleEvent(_In_opt_ PKINTERRUPT Interrupt, _In_opt_ PVOID Argument)
{
    PXENBUS_CONSOLE_CONTEXT Context = Argument;

    UNREFERENCED_PARAMETER(Interrupt);

    KeInsertQueueDpc(&Context->Dpc, NULL, NULL);
    return TRUE;
}

/* Maps the ring, where the toolstack says that it is, if it says so. IRQL <= DISPATCH_LEVEL. */
static NTSTATUS ConsoleMapRing(_In_ PXENBUS_CONSOLE_CONTEXT Context)
{
    ULONGLONG Frame;
    PVOID Ring;
    NTSTATUS Status;

    Status = XenHvmQueryParameter(HVM_PARAM_CONSOLE_PFN, &Frame);
    if (!NT_SUCCESS(Status) || Frame == 0) {
        Info("this domain has no console");
        return STATUS_SUCCESS;
    }

    Context->Address.QuadPart = (LONGLONG)(Frame << PAGE_SHIFT);

    Ring = MmMapIoSpace(Context->Address, PAGE_SIZE, MmCached);
    if (Ring == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Context->Ring = Ring;
    return STATUS_SUCCESS;
}

static VOID ConsoleUnmapRing(_In_ PXENBUS_CONSOLE_CONTEXT Context)
{
    if (Context->Ring != NULL)
        MmUnmapIoSpace(Context->Ring, PAGE_SIZE);

    Context->Ring = NULL;
    Context->Address.QuadPart = 0;
}

/* Opens the channel at the port that the toolstack has made. IRQL <= DISPATCH_LEVEL. */
static NTSTATUS ConsoleOpenChannel(_In_ PXENBUS_CONSOLE_CONTEXT Context)
{
    ULONGLONG Port;
    NTSTATUS Status;
    KIRQL Irql;

    if (Context->Ring == NULL)
        return STATUS_SUCCESS;

    Status = XenHvmQueryParameter(HVM_PARAM_CONSOLE_EVTCHN, &Port);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = STATUS_UNSUCCESSFUL;
    Context->Channel = XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Open, XENBUS_EVTCHN_TYPE_FIXED, ConsoleEvent,
                                          Context, (ULONG)Port, FALSE);
    if (Context->Channel == NULL)
        goto fail1;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Unmask, Context->Channel, FALSE, TRUE);
    KeLowerIrql(Irql);

    WriteULongRelease(&Context->Port, (ULONG)Port);
    return STATUS_SUCCESS;

fail1:
    Error("no event channel (%08x)", Status);
    return Status;
}

static VOID ConsoleCloseChannel(_In_ PXENBUS_CONSOLE_CONTEXT Context)
{
    WriteULongRelease(&Context->Port, 0);

    if (Context->Channel != NULL)
        XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Close, Context->Channel);
    Context->Channel = NULL;
}

/* The bus is better off with less of a log than not at all. */
static VOID ConsoleAddToLog(_In_ PXENBUS_CONSOLE_CONTEXT Context)
{
    NTSTATUS Status;

    if (Context->LogLevels == 0)
        return;

    Status = XenLogAddDisposition(Context->LogLevels, ConsoleLog, Context, &Context->Disposition);
    if (!NT_SUCCESS(Status)) {
        Context->Disposition = NULL;
        Warning("the log does not go to the console (%08x)", Status);
    }
}

NTSTATUS ConsoleEnable(_In_ PXENBUS_CONSOLE_CONTEXT Context, _In_ const XENBUS_EVTCHN_INTERFACE *Evtchn)
{
    NTSTATUS Status;

    Context->EvtchnInterface = *Evtchn;

    Status = XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Acquire);
    if (!NT_SUCCESS(Status))
        return Status;

    Status = ConsoleMapRing(Context);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = ConsoleOpenChannel(Context);
    if (!NT_SUCCESS(Status))
        goto fail2;

    ConsoleAddToLog(Context);

    UsersEnable(&Context->Users);
    return STATUS_SUCCESS;

fail2:
    ConsoleUnmapRing(Context);

fail1:
    Error("no console (%08x)", Status);

    XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Release);
    return Status;
}

ULONG ConsoleCountUsers(_In_ PXENBUS_CONSOLE_CONTEXT Context)
{
    return UsersCount(&Context->Users);
}

VOID ConsoleDisable(_In_ PXENBUS_CONSOLE_CONTEXT Context)
{
    UsersDisable(&Context->Users);

    if (!IsListEmpty(&Context->Wakeups))
        BUG("a client has released CONSOLE with a wakeup");

    if (Context->Disposition != NULL)
        XenLogRemoveDisposition(Context->Disposition);
    Context->Disposition = NULL;

    ConsoleCloseChannel(Context);
    KeFlushQueuedDpcs();
    ConsoleUnmapRing(Context);

    XENBUS_EVTCHN_CALL(&Context->EvtchnInterface, Release);
}

VOID ConsoleResumeEarly(_In_ PXENBUS_CONSOLE_CONTEXT Context)
{
    WriteULongRelease(&Context->Port, 0);
}

VOID ConsoleResumeLate(_In_ PXENBUS_CONSOLE_CONTEXT Context)
{
    ULONGLONG Frame;

    ConsoleCloseChannel(Context);

    /* Whoever is held is not at the ring: that is a matter of HIGH_LEVEL. */
    if (!NT_SUCCESS(XenHvmQueryParameter(HVM_PARAM_CONSOLE_PFN, &Frame)) ||
        (LONGLONG)(Frame << PAGE_SHIFT) != Context->Address.QuadPart) {
        ConsoleUnmapRing(Context);
        if (!NT_SUCCESS(ConsoleMapRing(Context)))
            Warning("no console after a resume");
    }

    (VOID) ConsoleOpenChannel(Context);

    /* There may be something to read, and room to write: nobody has told of it. */
    KeInsertQueueDpc(&Context->Dpc, NULL, NULL);
}

NTSTATUS ConsoleInitialize(_In_ ULONG LogLevels, _Outptr_ PXENBUS_CONSOLE_CONTEXT *Context)
{
    *Context = PoolAllocate(sizeof(XENBUS_CONSOLE_CONTEXT), CONSOLE_TAG);
    if (*Context == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    UsersInitialize(&(*Context)->Users, "CONSOLE");
    (*Context)->LogLevels = LogLevels;
    KeInitializeSpinLock(&(*Context)->Lock);
    InitializeListHead(&(*Context)->Wakeups);
    KeInitializeDpc(&(*Context)->Dpc, ConsoleDpc, *Context);
    return STATUS_SUCCESS;
}

VOID ConsoleTeardown(_In_ PXENBUS_CONSOLE_CONTEXT Context)
{
    PoolFree(Context, CONSOLE_TAG);
}
