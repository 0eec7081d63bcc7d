#include "bug.h"
#include "buffer.h"
#include "controller.h"
#include "frontend.h"
#include "granter.h"
#include "pool.h"
#include "ring.h"
#include "text.h"

#define CONTROLLER_TAG POOL_TAG('V', 'c', 't', 'l')

/* How long a backend may take for an answer. */
#define CONTROLLER_TIME 1000 /* ms */

#define CONTROLLER_ENTRIES 128

C_ASSERT(__CONST_RING_SIZE(xen_netif_ctrl, PAGE_SIZE) == CONTROLLER_ENTRIES);
C_ASSERT(FIELD_OFFSET(struct xen_netif_ctrl_sring, req_prod) == FIELD_OFFSET(RING_HEADER, RequestProducer));
C_ASSERT(FIELD_OFFSET(struct xen_netif_ctrl_sring, req_event) == FIELD_OFFSET(RING_HEADER, RequestEvent));
C_ASSERT(FIELD_OFFSET(struct xen_netif_ctrl_sring, rsp_prod) == FIELD_OFFSET(RING_HEADER, ResponseProducer));
C_ASSERT(FIELD_OFFSET(struct xen_netif_ctrl_sring, rsp_event) == FIELD_OFFSET(RING_HEADER, ResponseEvent));

/* One response, read word by word. */
typedef union _CONTROLLER_RESPONSE {
    ULONG Word[3];
    struct xen_netif_ctrl_response Response;
} CONTROLLER_RESPONSE;

C_ASSERT(sizeof(CONTROLLER_RESPONSE) == sizeof(struct xen_netif_ctrl_response));

struct _XENVIF_CONTROLLER {
    PXENVIF_FRONTEND Frontend;
    PXENBUS_EVTCHN_INTERFACE_V9 Evtchn;
    PXENVIF_GRANTER Granter;

    PXENBUS_EVTCHN_CHANNEL Channel; /* NULL: there is no ring */
    PXENVIF_BUFFER RingBuffer;
    PRING_HEADER Ring;
    ULONG RequestProducer;
    ULONG ResponseConsumer;
    USHORT Id;        /* of the last request */
    NTSTATUS GivenUp; /* why nothing more is asked; or STATUS_SUCCESS */
};

/* Whoever waits looks at the channel's count. */
static BOOLEAN NTAPI ControllerInterrupt(_In_ PKINTERRUPT Interrupt, _In_ PVOID Argument)
{
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(Argument);

    return TRUE;
}

PAGED_FUNCTION NTSTATUS ControllerInitialize(_In_ PXENVIF_FRONTEND Frontend, _Outptr_ PXENVIF_CONTROLLER *Controller)
{
    PXENVIF_PARENT Parent = FrontendGetParent(Frontend);
    PXENVIF_CONTROLLER New;
    CHAR Name[24];
    NTSTATUS Status;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENVIF_CONTROLLER), CONTROLLER_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Frontend = Frontend;
    New->Evtchn = &Parent->Evtchn;

    (VOID) TextPrint(Name, sizeof(Name), "vif_%u_ctrl", FrontendGetNumber(Frontend));

    Status = GranterInitialize(&Parent->Gnttab, Name, &New->Granter);
    if (!NT_SUCCESS(Status))
        goto fail;

    *Controller = New;

    return STATUS_SUCCESS;

fail:
    PoolFree(New, CONTROLLER_TAG);

    return Status;
}

PAGED_FUNCTION VOID ControllerTeardown(_In_ PXENVIF_CONTROLLER Controller)
{
    PAGED_CODE();

    BUG_ON(Controller->Channel != NULL);

    if (!GranterTeardown(Controller->Granter))
        FrontendRetireGranter(Controller->Frontend, Controller->Granter);

    PoolFree(Controller, CONTROLLER_TAG);
}

/* Grants a page to the backend. */
static NTSTATUS ControllerPermit(_Inout_ PXENVIF_CONTROLLER Controller, _Inout_ PXENVIF_BUFFER Buffer,
                                 _In_ BOOLEAN ReadOnly)
{
    NTSTATUS Status;
    KIRQL Irql;

    KeAcquireSpinLock(&Controller->Granter->Lock, &Irql);

    if (GranterIsOverheld(Controller->Granter, 0))
        Status = STATUS_INSUFFICIENT_RESOURCES;
    else
        Status = GranterPermitBuffer(Controller->Granter, Buffer, ReadOnly);

    KeReleaseSpinLock(&Controller->Granter->Lock, Irql);

    return Status;
}

/* Takes a page back. What the backend has mapped still is set aside. */
static VOID ControllerRevoke(_Inout_ PXENVIF_CONTROLLER Controller, _In_ PXENVIF_BUFFER Buffer)
{
    BOOLEAN Revoked;
    KIRQL Irql;

    KeAcquireSpinLock(&Controller->Granter->Lock, &Irql);
    Revoked = GranterRevokeBuffer(Controller->Granter, Buffer);
    KeReleaseSpinLock(&Controller->Granter->Lock, Irql);

    if (Revoked)
        BufferFree(Buffer);
}

static NTSTATUS ControllerMakeRing(_Inout_ PXENVIF_CONTROLLER Controller, _In_ USHORT Domain)
{
    PXENVIF_BUFFER Buffer;
    NTSTATUS Status;
    KIRQL Irql;

    Buffer = BufferAllocate();
    if (Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RingInitialize((PRING_HEADER)Buffer->Address);

    KeAcquireSpinLock(&Controller->Granter->Lock, &Irql);
    GranterSetDomain(Controller->Granter, Domain);
    KeReleaseSpinLock(&Controller->Granter->Lock, Irql);

    Status = ControllerPermit(Controller, Buffer, FALSE);
    if (!NT_SUCCESS(Status)) {
        BufferFree(Buffer);
        return Status;
    }

    Controller->RingBuffer = Buffer;
    Controller->Ring = (PRING_HEADER)Buffer->Address;
    Controller->RequestProducer = 0;
    Controller->ResponseConsumer = 0;
    Controller->GivenUp = STATUS_SUCCESS;

    return STATUS_SUCCESS;
}

NTSTATUS ControllerConnect(_Inout_ PXENVIF_CONTROLLER Controller, _In_ USHORT Domain)
{
    NTSTATUS Status;
    KIRQL Irql;

    Status = ControllerMakeRing(Controller, Domain);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Controller->Channel = XENBUS_EVTCHN_CALL(Controller->Evtchn, Open, XENBUS_EVTCHN_TYPE_UNBOUND, ControllerInterrupt,
                                             Controller, Domain, FALSE);
    if (Controller->Channel == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
        goto fail2;
    }

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) XENBUS_EVTCHN_CALL(Controller->Evtchn, Unmask, Controller->Channel, FALSE, TRUE);
    KeLowerIrql(Irql);

    return STATUS_SUCCESS;

fail2:
    ControllerRevoke(Controller, Controller->RingBuffer);
    Controller->RingBuffer = NULL;
    Controller->Ring = NULL;

fail1:
    return Status;
}

VOID ControllerDisconnect(_Inout_ PXENVIF_CONTROLLER Controller)
{
    if (Controller->Channel == NULL)
        return;

    XENBUS_EVTCHN_CALL(Controller->Evtchn, Close, Controller->Channel);
    Controller->Channel = NULL;

    ControllerRevoke(Controller, Controller->RingBuffer);
    Controller->RingBuffer = NULL;
    Controller->Ring = NULL;
}

BOOLEAN ControllerIsConnected(_In_ PXENVIF_CONTROLLER Controller)
{
    return Controller->Channel != NULL;
}

ULONG ControllerRingReference(_In_ PXENVIF_CONTROLLER Controller)
{
    return GranterReference(Controller->Granter, Controller->RingBuffer->Grant);
}

ULONG ControllerPort(_In_ PXENVIF_CONTROLLER Controller)
{
    return XENBUS_EVTCHN_CALL(Controller->Evtchn, GetPort, Controller->Channel);
}

PAGED_FUNCTION ULONG ControllerRetryGrants(_Inout_ PXENVIF_CONTROLLER Controller)
{
    PAGED_CODE();

    return GranterRetry(Controller->Granter);
}

static PVOID ControllerEntry(_In_ PXENVIF_CONTROLLER Controller, _In_ ULONG Index)
{
    return (PUCHAR)Controller->Ring + FIELD_OFFSET(struct xen_netif_ctrl_sring, ring) +
           (Index & (CONTROLLER_ENTRIES - 1)) * sizeof(union xen_netif_ctrl_sring_entry);
}

/* Nothing more is asked in this connection. */
static NTSTATUS ControllerGiveUp(_Inout_ PXENVIF_CONTROLLER Controller, _In_ NTSTATUS Status, _In_z_ PCSTR Reason)
{
    Error("vif %u: control ring: %s", FrontendGetNumber(Controller->Frontend), Reason);
    Controller->GivenUp = Status;

    return Status;
}

/* Puts a request on the ring, unless the domain has been suspended since the ring was made. */
static VOID ControllerPost(_Inout_ PXENVIF_CONTROLLER Controller, _In_ USHORT Type, _In_ const ULONG *Data)
{
    struct xen_netif_ctrl_request *Request = ControllerEntry(Controller, Controller->RequestProducer);
    ULONG Old = Controller->RequestProducer++;
    KIRQL Irql;

    Request->id = ++Controller->Id;
    Request->type = Type;
    RtlCopyMemory(Request->data, Data, sizeof(Request->data));

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);

    if (!FrontendIsResumed(Controller->Frontend) &&
        RingPushRequests(Controller->Ring, Old, Controller->RequestProducer))
        XENBUS_EVTCHN_CALL(Controller->Evtchn, Send, Controller->Channel);

    KeLowerIrql(Irql);
}

/* Takes the answer to the last request. */
static NTSTATUS ControllerTake(_Inout_ PXENVIF_CONTROLLER Controller, _In_ USHORT Type, _Out_ PULONG Data)
{
    PULONG Entry = ControllerEntry(Controller, Controller->ResponseConsumer++);
    CONTROLLER_RESPONSE Copy;
    ULONG Index;

    for (Index = 0; Index < RTL_NUMBER_OF(Copy.Word); Index++)
        Copy.Word[Index] = ReadULongNoFence(&Entry[Index]);

    if (Copy.Response.id != Controller->Id || Copy.Response.type != Type)
        return ControllerGiveUp(Controller, STATUS_DEVICE_PROTOCOL_ERROR, "an answer to what was not asked");

    *Data = Copy.Response.data;

    switch (Copy.Response.status) {
    case XEN_NETIF_CTRL_STATUS_SUCCESS:
        return STATUS_SUCCESS;
    case XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED:
        return STATUS_NOT_SUPPORTED;
    case XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER:
        return STATUS_INVALID_PARAMETER;
    case XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW:
        return STATUS_BUFFER_OVERFLOW;
    default:
        return ControllerGiveUp(Controller, STATUS_DEVICE_PROTOCOL_ERROR, "an answer with no known status");
    }
}

/* Waits until there is an answer. */
static NTSTATUS ControllerAwait(_Inout_ PXENVIF_CONTROLLER Controller)
{
    ULONGLONG End = KeQueryInterruptTime() + (ULONGLONG)CONTROLLER_TIME * 10000;

    for (;;) {
        ULONG Count = XENBUS_EVTCHN_CALL(Controller->Evtchn, GetCount, Controller->Channel);
        ULONGLONG Now = KeQueryInterruptTime();
        LARGE_INTEGER Timeout;
        ULONG Answers;

        RingRequestEvent(Controller->Ring, Controller->ResponseConsumer + 1);
        Answers = RingResponseProducer(Controller->Ring) - Controller->ResponseConsumer;

        if (Answers == 1)
            return STATUS_SUCCESS;
        if (Answers != 0)
            return ControllerGiveUp(Controller, STATUS_DEVICE_PROTOCOL_ERROR, "answers ahead of the requests");

        /* After a resume there is nobody to answer on this ring. */
        if (Now >= End || FrontendIsResumed(Controller->Frontend))
            return ControllerGiveUp(Controller, STATUS_IO_TIMEOUT, "the backend does not answer");

        Timeout.QuadPart = -(LONGLONG)(End - Now);
        (VOID) XENBUS_EVTCHN_CALL(Controller->Evtchn, Wait, Controller->Channel, Count, &Timeout);
    }
}

static NTSTATUS ControllerAsk(_Inout_ PXENVIF_CONTROLLER Controller, _In_ USHORT Type, _In_ ULONG Data0,
                              _In_ ULONG Data1, _In_ ULONG Data2, _Out_ PULONG Answer)
{
    ULONG Data[3] = {Data0, Data1, Data2};
    NTSTATUS Status;

    ASSERT(Controller->Channel != NULL);

    *Answer = 0;

    if (!NT_SUCCESS(Controller->GivenUp))
        return Controller->GivenUp;

    /* It would be taken for the answer to this request. */
    if (RingResponseProducer(Controller->Ring) != Controller->ResponseConsumer)
        return ControllerGiveUp(Controller, STATUS_DEVICE_PROTOCOL_ERROR, "an answer to what was not asked");

    ControllerPost(Controller, Type, Data);

    Status = ControllerAwait(Controller);

    return NT_SUCCESS(Status) ? ControllerTake(Controller, Type, Answer) : Status;
}

/* Asks with Length bytes in a page of their own, whose reference is the request's first word. */
static NTSTATUS ControllerAskWithPage(_Inout_ PXENVIF_CONTROLLER Controller, _In_ USHORT Type,
                                      _In_reads_bytes_(Length) const VOID *Content, _In_ ULONG Length, _In_ ULONG Data1,
                                      _In_ ULONG Data2)
{
    PXENVIF_BUFFER Buffer;
    NTSTATUS Status;
    ULONG Answer;

    Buffer = BufferAllocate();
    if (Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlCopyMemory(Buffer->Address, Content, Length);

    Status = ControllerPermit(Controller, Buffer, TRUE);
    if (!NT_SUCCESS(Status)) {
        BufferFree(Buffer);
        return Status;
    }

    Status =
        ControllerAsk(Controller, Type, GranterReference(Controller->Granter, Buffer->Grant), Data1, Data2, &Answer);
    ControllerRevoke(Controller, Buffer);

    return Status;
}

NTSTATUS ControllerSetHashAlgorithm(_Inout_ PXENVIF_CONTROLLER Controller, _In_ ULONG Algorithm)
{
    ULONG Answer;

    return ControllerAsk(Controller, XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, Algorithm, 0, 0, &Answer);
}

NTSTATUS ControllerGetHashFlags(_Inout_ PXENVIF_CONTROLLER Controller, _Out_ PULONG Flags)
{
    return ControllerAsk(Controller, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, 0, 0, 0, Flags);
}

NTSTATUS ControllerSetHashFlags(_Inout_ PXENVIF_CONTROLLER Controller, _In_ ULONG Flags)
{
    ULONG Answer;

    return ControllerAsk(Controller, XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, Flags, 0, 0, &Answer);
}

NTSTATUS ControllerSetHashKey(_Inout_ PXENVIF_CONTROLLER Controller, _In_reads_(Length) const UCHAR *Key,
                              _In_ ULONG Length)
{
    return ControllerAskWithPage(Controller, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, Key, Length, Length, 0);
}

NTSTATUS ControllerSetHashMappingSize(_Inout_ PXENVIF_CONTROLLER Controller, _In_ ULONG Size)
{
    ULONG Largest;
    ULONG Answer;
    NTSTATUS Status;

    Status = ControllerAsk(Controller, XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE, 0, 0, 0, &Largest);
    if (!NT_SUCCESS(Status))
        return Status;

    if (Size > Largest)
        return STATUS_BUFFER_OVERFLOW;

    return ControllerAsk(Controller, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, Size, 0, 0, &Answer);
}

NTSTATUS ControllerSetHashMapping(_Inout_ PXENVIF_CONTROLLER Controller, _In_reads_(Size) const ULONG *Queue,
                                  _In_ ULONG Size)
{
    return ControllerAskWithPage(Controller, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, Queue, Size * (ULONG)sizeof(ULONG),
                                 Size, 0);
}
