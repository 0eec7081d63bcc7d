#include "bug.h"
#include "frontend.h"
#include "pool.h"
#include "queue.h"

#define QUEUE_TAG POOL_TAG('V', 'q', 'u', 'e')

struct _XENVIF_QUEUE {
    PXENVIF_FRONTEND Frontend;
    ULONG Index;
    PXENVIF_POLLER Poller;
    PXENVIF_TRANSMITTER Transmitter;
    PXENVIF_RECEIVER Receiver;
};

static BOOLEAN NTAPI QueuePoll(_In_ PVOID Context, _In_ ULONG Work, _Out_ PULONG Responses)
{
    PXENVIF_QUEUE Queue = Context;
    BOOLEAN More = FALSE;

    *Responses = 0;

    if (Work & POLLER_TRANSMIT)
        *Responses += TransmitterPoll(Queue->Transmitter);

    if (Work & POLLER_RECEIVE)
        *Responses += ReceiverPoll(Queue->Receiver, &More);

    return More;
}

static PAGED_FUNCTION NTSTATUS QueueFindProcessor(_In_ PXENVIF_QUEUE Queue, _Out_ PPROCESSOR_NUMBER Processor)
{
    ULONG Place = FrontendGetNumber(Queue->Frontend) + Queue->Index;

    PAGED_CODE();

    return KeGetProcessorNumberFromIndex(Place % KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), Processor);
}

PAGED_FUNCTION NTSTATUS QueueInitialize(_In_ PXENVIF_FRONTEND Frontend, _In_ ULONG Index, _Outptr_ PXENVIF_QUEUE *Queue)
{
    PROCESSOR_NUMBER Processor;
    PXENVIF_QUEUE New;
    NTSTATUS Status;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENVIF_QUEUE), QUEUE_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Frontend = Frontend;
    New->Index = Index;

    Status = QueueFindProcessor(New, &Processor);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = PollerInitialize(&FrontendGetParent(Frontend)->Evtchn, &Processor, QueuePoll, New, &New->Poller);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = TransmitterInitialize(New, &New->Transmitter);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = ReceiverInitialize(New, &New->Receiver);
    if (!NT_SUCCESS(Status))
        goto fail3;

    *Queue = New;

    return STATUS_SUCCESS;

fail3:
    TransmitterTeardown(New->Transmitter);

fail2:
    PollerTeardown(New->Poller);

fail1:
    PoolFree(New, QUEUE_TAG);

    return Status;
}

PAGED_FUNCTION VOID QueueTeardown(_In_ PXENVIF_QUEUE Queue)
{
    PAGED_CODE();

    ReceiverTeardown(Queue->Receiver);
    TransmitterTeardown(Queue->Transmitter);
    PollerTeardown(Queue->Poller);

    PoolFree(Queue, QUEUE_TAG);
}

PAGED_FUNCTION NTSTATUS QueueConnect(_Inout_ PXENVIF_QUEUE Queue, _In_ USHORT Domain, _In_ BOOLEAN Split,
                                     _In_ ULONG Features)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = PollerConnect(Queue->Poller, Domain, Split);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = TransmitterConnect(Queue->Transmitter, Domain, Features);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = ReceiverConnect(Queue->Receiver, Domain);
    if (!NT_SUCCESS(Status))
        goto fail3;

    return STATUS_SUCCESS;

fail3:
    TransmitterDisconnect(Queue->Transmitter);

fail2:
    PollerDisconnect(Queue->Poller);

fail1:
    return Status;
}

VOID QueueEnable(_Inout_ PXENVIF_QUEUE Queue)
{
    TransmitterEnable(Queue->Transmitter);
    ReceiverEnable(Queue->Receiver);
    PollerEnable(Queue->Poller);
}

VOID QueueHalt(_Inout_ PXENVIF_QUEUE Queue)
{
    PollerHalt(Queue->Poller);
    TransmitterDisable(Queue->Transmitter);
    ReceiverDisable(Queue->Receiver);
}

PAGED_FUNCTION VOID QueueDisable(_Inout_ PXENVIF_QUEUE Queue)
{
    PAGED_CODE();

    PollerDisable(Queue->Poller);
    TransmitterDisable(Queue->Transmitter);
    ReceiverDisable(Queue->Receiver);
}

PAGED_FUNCTION VOID QueueDisconnect(_Inout_ PXENVIF_QUEUE Queue)
{
    PAGED_CODE();

    PollerDisable(Queue->Poller);
    TransmitterDisconnect(Queue->Transmitter);
    ReceiverDisconnect(Queue->Receiver);
    PollerDisconnect(Queue->Poller);
}

PAGED_FUNCTION VOID QueueSetProcessor(_Inout_ PXENVIF_QUEUE Queue, _In_opt_ const PROCESSOR_NUMBER *Processor)
{
    PROCESSOR_NUMBER Own;
    NTSTATUS Status = STATUS_SUCCESS;

    PAGED_CODE();

    if (Processor == NULL) {
        Status = QueueFindProcessor(Queue, &Own);
        Processor = &Own;
    }

    if (NT_SUCCESS(Status))
        Status = PollerSetProcessor(Queue->Poller, Processor);

    if (!NT_SUCCESS(Status))
        Warning("vif %u: queue %u stays on its processor (%08x)", FrontendGetNumber(Queue->Frontend), Queue->Index,
                Status);
}

BOOLEAN QueueIsOverheld(_Inout_ PXENVIF_QUEUE Queue)
{
    return TransmitterIsOverheld(Queue->Transmitter) || ReceiverIsOverheld(Queue->Receiver);
}

PAGED_FUNCTION ULONG QueueRetryGrants(_Inout_ PXENVIF_QUEUE Queue)
{
    ULONG Count;

    PAGED_CODE();

    Count = TransmitterRetryGrants(Queue->Transmitter);

    return Count + ReceiverRetryGrants(Queue->Receiver);
}

VOID QueueDebug(_In_ PXENVIF_QUEUE Queue)
{
    TransmitterDebug(Queue->Transmitter);
    ReceiverDebug(Queue->Receiver);
}

PXENVIF_FRONTEND QueueGetFrontend(_In_ PXENVIF_QUEUE Queue)
{
    return Queue->Frontend;
}

ULONG QueueGetIndex(_In_ PXENVIF_QUEUE Queue)
{
    return Queue->Index;
}

PXENVIF_POLLER QueueGetPoller(_In_ PXENVIF_QUEUE Queue)
{
    return Queue->Poller;
}

PXENVIF_TRANSMITTER QueueGetTransmitter(_In_ PXENVIF_QUEUE Queue)
{
    return Queue->Transmitter;
}

PXENVIF_RECEIVER QueueGetReceiver(_In_ PXENVIF_QUEUE Queue)
{
    return Queue->Receiver;
}
