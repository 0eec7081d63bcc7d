#include "evtchn.h"

#include "bug.h"
#include "evtchn_private.h"
#include "interface.h"
#include "pool.h"
#include "xen.h"

#include <xen/hvm/params.h>

#define EVTCHN_TAG POOL_TAG('E', 'V', 'T', 'N')

/* What EvtchnOpen was asked for, by type. */
typedef struct _EVTCHN_REQUEST {
    XENBUS_EVTCHN_TYPE Type;
    BOOLEAN Mask;
    ULONG Processor;
    union {
        ULONG LocalPort;
        USHORT RemoteDomain;
        ULONG Virq;
    };
    ULONG RemotePort;
} EVTCHN_REQUEST, *PEVTCHN_REQUEST;

static ULONG EvtchnProcessorIndex(_In_ USHORT Group, _In_ UCHAR Number)
{
    PROCESSOR_NUMBER ProcessorNumber;

    RtlZeroMemory(&ProcessorNumber, sizeof(ProcessorNumber));
    ProcessorNumber.Group = Group;
    ProcessorNumber.Number = Number;

    return KeGetProcessorIndexFromNumber(&ProcessorNumber);
}

/*
 * Whether events can be delivered to the processor: by its own interrupt, or to vCPU 0 by the line. One that was added
 * since the bus was started has no interrupt of the bus's.
 */
static BOOLEAN EvtchnIsReachable(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ ULONG Index)
{
    if (Index >= Context->ProcessorCount)
        return FALSE;

    return ReadPointerAcquire((PVOID *)&Context->Processor[Index].Source) != NULL ||
           (Index == Context->Boot && !Context->Source[0].Message);
}

static NTSTATUS EvtchnParse(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ XENBUS_EVTCHN_TYPE Type, _In_ va_list Arguments,
                            _Out_ PEVTCHN_REQUEST Request)
{
    RtlZeroMemory(Request, sizeof(EVTCHN_REQUEST));
    Request->Type = Type;
    Request->Processor = Context->Boot;

    switch (Type) {
    case XENBUS_EVTCHN_TYPE_FIXED:
        Request->LocalPort = va_arg(Arguments, ULONG);
        Request->Mask = (BOOLEAN)va_arg(Arguments, int);
        return STATUS_SUCCESS;

    case XENBUS_EVTCHN_TYPE_UNBOUND:
        Request->RemoteDomain = (USHORT)va_arg(Arguments, int);
        Request->Mask = (BOOLEAN)va_arg(Arguments, int);
        return STATUS_SUCCESS;

    case XENBUS_EVTCHN_TYPE_INTER_DOMAIN:
        Request->RemoteDomain = (USHORT)va_arg(Arguments, int);
        Request->RemotePort = va_arg(Arguments, ULONG);
        Request->Mask = (BOOLEAN)va_arg(Arguments, int);
        return STATUS_SUCCESS;

    case XENBUS_EVTCHN_TYPE_VIRQ: {
        USHORT Group;
        UCHAR Number;

        Request->Virq = va_arg(Arguments, ULONG);
        Group = (USHORT)va_arg(Arguments, int);
        Number = (UCHAR)va_arg(Arguments, int);

        Request->Processor = EvtchnProcessorIndex(Group, Number);
        if (Request->Processor == INVALID_PROCESSOR_INDEX)
            return STATUS_INVALID_PARAMETER;

        return EvtchnIsReachable(Context, Request->Processor) ? STATUS_SUCCESS : STATUS_NOT_SUPPORTED;
    }

    default:
        return STATUS_INVALID_PARAMETER;
    }
}

static NTSTATUS EvtchnOpenPort(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ const EVTCHN_REQUEST *Request,
                               _Out_ PULONG Port)
{
    *Port = 0;

    switch (Request->Type) {
    case XENBUS_EVTCHN_TYPE_FIXED:
        *Port = Request->LocalPort;
        if (Request->LocalPort == 0 || Request->LocalPort >= Context->Abi.PortCount)
            return STATUS_INVALID_PARAMETER;

        /* Whoever had it before may have bound it anywhere. */
        return XenEventBindVcpu(Request->LocalPort, Context->Processor[Context->Boot].VcpuId);

    case XENBUS_EVTCHN_TYPE_UNBOUND:
        return XenEventAllocateUnbound(Request->RemoteDomain, Port);

    case XENBUS_EVTCHN_TYPE_INTER_DOMAIN:
        return XenEventBindInterDomain(Request->RemoteDomain, Request->RemotePort, Port);

    case XENBUS_EVTCHN_TYPE_VIRQ:
        return XenEventBindVirq(Request->Virq, Context->Processor[Request->Processor].VcpuId, Port);

    default:
        return STATUS_INVALID_PARAMETER;
    }
}

/* A FIXED port is the toolstack's, and outlives the channel. */
static VOID EvtchnClosePort(_In_ XENBUS_EVTCHN_TYPE Type, _In_ ULONG Port)
{
    NTSTATUS Status;

    if (Type == XENBUS_EVTCHN_TYPE_FIXED)
        return;

    Status = XenEventClose(Port);
    if (!NT_SUCCESS(Status))
        Error("port %u does not close (%08x)", Port, Status);
}

/* The store's channel and Xen's own interrupts are few and go before what other domains send. */
static BOOLEAN EvtchnIsUrgent(_In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    return Channel->Type == XENBUS_EVTCHN_TYPE_FIXED || Channel->Type == XENBUS_EVTCHN_TYPE_VIRQ;
}

static NTSTATUS EvtchnPublish(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    NTSTATUS Status;
    KIRQL Irql;

    if (Channel->Port >= Context->Abi.PortCount)
        return STATUS_INSUFFICIENT_RESOURCES;

    Status = Context->Abi.Prepare(Context->Abi.Context, Channel->Port, EvtchnIsUrgent(Channel));
    if (!NT_SUCCESS(Status))
        return Status;

    KeAcquireSpinLock(&Context->Lock, &Irql);

    Status = EvtchnAddChannel(Context, Channel);
    if (NT_SUCCESS(Status))
        InsertTailList(&Context->Channels, &Channel->ListEntry);

    KeReleaseSpinLock(&Context->Lock, Irql);

    return Status;
}

/* Puts New in the place of the spare channel, and yields that, zeroed; NULL: there was none. */
static PXENBUS_EVTCHN_CHANNEL EvtchnExchangeSpare(_In_ PXENBUS_EVTCHN_CONTEXT Context,
                                                  _In_opt_ PXENBUS_EVTCHN_CHANNEL New)
{
    PXENBUS_EVTCHN_CHANNEL Spare = InterlockedExchangePointer((PVOID volatile *)&Context->Spare, New);

    if (Spare != NULL)
        RtlZeroMemory(Spare, sizeof(*Spare));

    return Spare;
}

static NTSTATUS EvtchnOpenChannel(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ const EVTCHN_REQUEST *Request,
                                  _In_ PKSERVICE_ROUTINE Function, _In_opt_ PVOID Argument,
                                  _Outptr_ PXENBUS_EVTCHN_CHANNEL *Channel)
{
    PXENBUS_EVTCHN_CHANNEL New;
    NTSTATUS Status;

    *Channel = NULL;

    New = PoolAllocate(sizeof(XENBUS_EVTCHN_CHANNEL), EVTCHN_TAG);
    if (New == NULL)
        New = EvtchnExchangeSpare(Context, NULL);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Type = Request->Type;
    New->Function = Function;
    New->Argument = Argument;
    New->Mask = Request->Mask;
    New->Active = TRUE;
    New->Processor = Request->Processor;

    Status = EvtchnOpenPort(Context, Request, &New->Port);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = EvtchnPublish(Context, New);
    if (!NT_SUCCESS(Status))
        goto fail2;

    *Channel = New;
    return STATUS_SUCCESS;

fail2:
    EvtchnClosePort(New->Type, New->Port);

fail1:
    PoolFree(New, EVTCHN_TAG);
    return Status;
}

static PXENBUS_EVTCHN_CHANNEL NTAPI EvtchnOpen(_In_ PINTERFACE Interface, _In_ XENBUS_EVTCHN_TYPE Type,
                                               _In_ PKSERVICE_ROUTINE Function, _In_opt_ PVOID Argument, ...)
{
    PXENBUS_EVTCHN_CONTEXT Context = Interface->Context;
    PXENBUS_EVTCHN_CHANNEL Channel = NULL;
    EVTCHN_REQUEST Request;
    va_list Arguments;
    NTSTATUS Status;

    va_start(Arguments, Argument);
    Status = EvtchnParse(Context, Type, Arguments, &Request);
    va_end(Arguments);

    if (NT_SUCCESS(Status))
        Status = EvtchnOpenChannel(Context, &Request, Function, Argument, &Channel);

    if (!NT_SUCCESS(Status))
        Error("a channel of type %u cannot be opened (%08x)", Type, Status);

    return Channel;
}

static NTSTATUS EvtchnBindLocked(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel,
                                 _In_ ULONG Index)
{
    ULONG Old = Channel->Processor;
    NTSTATUS Status;

    if (!Channel->Active || Index == Old)
        return STATUS_SUCCESS;

    /* The callback must not run on two processors at once: while the channel moves it is nobody's. */
    InterlockedExchange((LONG volatile *)&Channel->Processor, (LONG)INVALID_PROCESSOR_INDEX);
    EvtchnSynchronize(Context);

    Status = XenEventBindVcpu(Channel->Port, Context->Processor[Index].VcpuId);
    InterlockedExchange((LONG volatile *)&Channel->Processor, (LONG)(NT_SUCCESS(Status) ? Index : Old));

    /* What came meanwhile was left. */
    EvtchnRaise(Context, Channel->Port);
    return Status;
}

static NTSTATUS NTAPI EvtchnBind(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel, _In_ USHORT Group,
                                 _In_ UCHAR Number)
{
    PXENBUS_EVTCHN_CONTEXT Context = Interface->Context;
    ULONG Index = EvtchnProcessorIndex(Group, Number);
    NTSTATUS Status;
    KIRQL Irql;

    if (Index == INVALID_PROCESSOR_INDEX)
        return STATUS_INVALID_PARAMETER;

    if (!EvtchnIsReachable(Context, Index))
        return STATUS_NOT_SUPPORTED;

    /* Xen's per-processor interrupts stay where they are; the few global ones are not told apart. */
    if (Channel->Type == XENBUS_EVTCHN_TYPE_VIRQ && Index != Channel->Processor)
        return STATUS_NOT_SUPPORTED;

    KeAcquireSpinLock(&Context->Lock, &Irql);
    Status = EvtchnBindLocked(Context, Channel, Index);
    KeReleaseSpinLock(&Context->Lock, Irql);

    return Status;
}

/* Whether the caller, at DISPATCH_LEVEL or above, is on the processor that alone takes the channel's events. */
static BOOLEAN EvtchnIsHere(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    ULONG Index = KeGetCurrentProcessorNumberEx(NULL);

    return ReadULongAcquire(&Channel->Processor) == Index &&
           ReadPointerAcquire((PVOID *)&Context->Processor[Index].Source) != NULL;
}

static BOOLEAN NTAPI EvtchnUnmask(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel,
                                  _In_ BOOLEAN InCallback, _In_ BOOLEAN Force)
{
    PXENBUS_EVTCHN_CONTEXT Context = Interface->Context;
    NTSTATUS Status;

    ASSERT(KeGetCurrentIrql() >= DISPATCH_LEVEL);

    if (!Channel->Active)
        return FALSE;

    /* A callback that unmasks its own channel is not bounded by anything its client does later. */
    if (InCallback && Channel->Mask && EvtchnFiresTooOften(Channel)) {
        EvtchnHold(Context, Channel);
        return FALSE;
    }

    if (!InCallback && !Force && EvtchnIsHere(Context, Channel)) {
        if (!Context->Abi.Unmask(Context->Abi.Context, Channel->Port))
            return FALSE;

        EvtchnCount(Context, Channel);
        return TRUE;
    }

    Status = XenEventUnmask(Channel->Port);
    if (!NT_SUCCESS(Status))
        Error("port %u cannot be unmasked (%08x)", Channel->Port, Status);

    return FALSE;
}

static VOID NTAPI EvtchnSend(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(Interface);

    ASSERT(KeGetCurrentIrql() >= DISPATCH_LEVEL);

    if (!Channel->Active)
        return;

    /* The other end may have closed its port: that is no error of ours. */
    Status = XenEventSend(Channel->Port);
    if (!NT_SUCCESS(Status))
        Trace("port %u (%08x)", Channel->Port, Status);
}

static VOID NTAPI EvtchnTrigger(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    PXENBUS_EVTCHN_CONTEXT Context = Interface->Context;

    if (!Channel->Active)
        return;

    Context->Abi.SetPending(Context->Abi.Context, Channel->Port);
    EvtchnRaise(Context, Channel->Port);
}

static ULONG NTAPI EvtchnGetCount(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    UNREFERENCED_PARAMETER(Interface);

    return (ULONG)ReadAcquire(&Channel->Count);
}

static NTSTATUS NTAPI EvtchnWait(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel, _In_ ULONG Count,
                                 _In_opt_ PLARGE_INTEGER Timeout)
{
    return EvtchnWaitForCount(Interface->Context, Channel, Count, Timeout);
}

static ULONG NTAPI EvtchnGetPort(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    UNREFERENCED_PARAMETER(Interface);

    return Channel->Port;
}

static VOID NTAPI EvtchnClose(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel)
{
    PXENBUS_EVTCHN_CONTEXT Context = Interface->Context;
    KIRQL Irql;

    ASSERT(KeGetCurrentIrql() <= DISPATCH_LEVEL);

    /* Out of the list first: what the timer finds there it may unmask. */
    KeAcquireSpinLock(&Context->Lock, &Irql);
    RemoveEntryList(&Channel->ListEntry);
    KeReleaseSpinLock(&Context->Lock, Irql);

    if (Channel->Active) {
        (VOID) Context->Abi.Mask(Context->Abi.Context, Channel->Port);
        EvtchnRemoveChannel(Context, Channel);
        EvtchnSynchronize(Context);
        EvtchnClosePort(Channel->Type, Channel->Port);
    } else {
        Channel = EvtchnExchangeSpare(Context, Channel);
    }

    if (Channel != NULL)
        PoolFree(Channel, EVTCHN_TAG);
}

static NTSTATUS NTAPI EvtchnAcquire(_In_ PINTERFACE Interface)
{
    PXENBUS_EVTCHN_CONTEXT Context = Interface->Context;

    return UsersAcquire(&Context->Users);
}

static VOID NTAPI EvtchnRelease(_In_ PINTERFACE Interface)
{
    PXENBUS_EVTCHN_CONTEXT Context = Interface->Context;

    UsersRelease(&Context->Users);
}

static const XENBUS_EVTCHN_INTERFACE_V9 EvtchnInterfaceV9 = {
    .EvtchnAcquire = EvtchnAcquire,
    .EvtchnRelease = EvtchnRelease,
    .EvtchnOpen = EvtchnOpen,
    .EvtchnBind = EvtchnBind,
    .EvtchnUnmask = EvtchnUnmask,
    .EvtchnSend = EvtchnSend,
    .EvtchnTrigger = EvtchnTrigger,
    .EvtchnGetCount = EvtchnGetCount,
    .EvtchnWait = EvtchnWait,
    .EvtchnGetPort = EvtchnGetPort,
    .EvtchnClose = EvtchnClose,
};

NTSTATUS EvtchnGetInterface(_In_ PVOID Context, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                            _In_ ULONG Size)
{
    switch (Version) {
    case 9:
        return InterfaceFill(Interface, Size, &EvtchnInterfaceV9, sizeof(EvtchnInterfaceV9), Version, Context);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

static NTSTATUS EvtchnFindProcessors(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    ULONG Count = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    ULONG Index;
    NTSTATUS Status;

    Context->Processor = PoolAllocateArray(Count, sizeof(EVTCHN_PROCESSOR), EVTCHN_TAG);
    if (Context->Processor == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    for (Index = 0; Index < Count; Index++) {
        Status = XenQueryVcpuId(Index, &Context->Processor[Index].VcpuId);
        if (!NT_SUCCESS(Status))
            goto fail1;

        if (Context->Processor[Index].VcpuId == 0)
            Context->Boot = Index;
    }

    Context->ProcessorCount = Count;
    return STATUS_SUCCESS;

fail1:
    Error("processor %u has no vCPU ID (%08x)", Index, Status);

    PoolFree(Context->Processor, EVTCHN_TAG);
    Context->Processor = NULL;
    return Status;
}

static VOID EvtchnForgetProcessors(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    PoolFree(Context->Processor, EVTCHN_TAG);
    Context->Processor = NULL;
    Context->ProcessorCount = 0;
    Context->Boot = 0;
}

static VOID EvtchnChooseAbi(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ BOOLEAN UseFifo)
{
    NTSTATUS Status;

    EvtchnTwoLevelGetAbi(Context->SharedInfo, &Context->Abi);

    if (!UseFifo)
        return;

    Status = EvtchnFifoCreate(Context->SharedInfo, Context->ProcessorCount, &Context->Fifo);
    if (NT_SUCCESS(Status))
        EvtchnFifoGetAbi(Context->Fifo, &Context->Abi);
    else
        Warning("no FIFO event channels (%08x)", Status);
}

static VOID EvtchnForgetAbi(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    if (Context->Fifo != NULL)
        EvtchnFifoDestroy(Context->Fifo);
    Context->Fifo = NULL;
}

NTSTATUS EvtchnEnable(_In_ PXENBUS_EVTCHN_CONTEXT Context, _In_ PDEVICE_OBJECT Pdo,
                      _In_ const XENBUS_RESOURCES *Resources, _In_ PXENBUS_SHARED_INFO_CONTEXT SharedInfo,
                      _In_ const XENBUS_EVTCHN_OPTIONS *Options)
{
    NTSTATUS Status;

    Context->SharedInfo = SharedInfo;
    Context->Asleep = FALSE;

    Status = EvtchnFindProcessors(Context);
    if (!NT_SUCCESS(Status))
        return Status;

    EvtchnChooseAbi(Context, Options->UseFifo);

    Status = EvtchnConnectInterrupts(Context, Pdo, Resources, Options->UseUpcall);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Info("%s event channels, %u ports", Context->Fifo != NULL ? "FIFO" : "two-level", Context->Abi.PortCount);

    UsersEnable(&Context->Users);
    return STATUS_SUCCESS;

fail1:
    EvtchnForgetAbi(Context);
    EvtchnForgetProcessors(Context);
    return Status;
}

ULONG EvtchnCountUsers(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    return UsersCount(&Context->Users);
}

VOID EvtchnDisable(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    PXENBUS_EVTCHN_CHANNEL Spare;

    UsersDisable(&Context->Users);

    if (!IsListEmpty(&Context->Channels)) {
        Critical("port %u is still open",
                 CONTAINING_RECORD(Context->Channels.Flink, XENBUS_EVTCHN_CHANNEL, ListEntry)->Port);
        BUG("a client has released EVTCHN with a channel open");
    }

    Spare = EvtchnExchangeSpare(Context, NULL);
    if (Spare != NULL)
        PoolFree(Spare, EVTCHN_TAG);

    EvtchnDisconnectInterrupts(Context);
    EvtchnDispatchTeardown(Context);
    EvtchnForgetAbi(Context);
    EvtchnFreeTable(Context);
    EvtchnForgetProcessors(Context);
}

/*
 * A port from before a resume. In a new place it is closed; in the same place, resumed slowly, it is still there, and
 * nobody will close it but this. No port of ours has been opened since, so one with its number is it, or the
 * toolstack's new one for the store or the console.
 */
static VOID EvtchnForgetPort(_In_ PXENBUS_EVTCHN_CHANNEL Channel, _In_ ULONGLONG StorePort, _In_ ULONGLONG ConsolePort)
{
    XEN_EVENT_STATUS PortStatus;

    if (Channel->Type == XENBUS_EVTCHN_TYPE_FIXED || Channel->Port == StorePort || Channel->Port == ConsolePort)
        return;

    if (!NT_SUCCESS(XenEventQueryStatus(Channel->Port, &PortStatus)) || PortStatus.Type == XEN_EVENT_CLOSED)
        return;

    EvtchnClosePort(Channel->Type, Channel->Port);
}

VOID EvtchnResume(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    ULONGLONG StorePort = 0;
    ULONGLONG ConsolePort = 0;
    PLIST_ENTRY ListEntry;

    (VOID) XenHvmQueryParameter(HVM_PARAM_STORE_EVTCHN, &StorePort);
    (VOID) XenHvmQueryParameter(HVM_PARAM_CONSOLE_EVTCHN, &ConsolePort);

    for (ListEntry = Context->Channels.Flink; ListEntry != &Context->Channels; ListEntry = ListEntry->Flink) {
        PXENBUS_EVTCHN_CHANNEL Channel = CONTAINING_RECORD(ListEntry, XENBUS_EVTCHN_CHANNEL, ListEntry);

        if (!Channel->Active)
            continue;

        Channel->Active = FALSE;
        EvtchnRemoveChannel(Context, Channel);
        EvtchnForgetPort(Channel, StorePort, ConsolePort);
        EvtchnWakeWaiters(Context, Channel);
    }

    if (Context->Fifo != NULL) {
        if (NT_SUCCESS(EvtchnFifoResume(Context->Fifo)))
            EvtchnFifoGetAbi(Context->Fifo, &Context->Abi);
        else
            EvtchnTwoLevelGetAbi(Context->SharedInfo, &Context->Abi);
    }

    EvtchnResumeInterrupts(Context);
    InterlockedExchange(&Context->Asleep, FALSE);
}

NTSTATUS EvtchnInitialize(_Outptr_ PXENBUS_EVTCHN_CONTEXT *Context)
{
    *Context = PoolAllocate(sizeof(XENBUS_EVTCHN_CONTEXT), EVTCHN_TAG);
    if (*Context == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    UsersInitialize(&(*Context)->Users, "EVTCHN");
    KeInitializeSpinLock(&(*Context)->Lock);
    InitializeListHead(&(*Context)->Channels);
    EvtchnDispatchInitialize(*Context);
    return STATUS_SUCCESS;
}

VOID EvtchnTeardown(_In_ PXENBUS_EVTCHN_CONTEXT Context)
{
    PoolFree(Context, EVTCHN_TAG);
}
