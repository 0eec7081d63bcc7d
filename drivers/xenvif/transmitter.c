#include "bug.h"
#include "driver.h"
#include "frontend.h"
#include "pool.h"
#include "text.h"
#include "transmitter_ring.h"

#define TRANSMITTER_TAG POOL_TAG('V', 't', 'x', ' ')

/* Packets that wait for room on the ring, at most. */
#define TRANSMITTER_QUEUE_LIMIT 1024

/* So many packets that More holds back are a reason to tell the backend all the same, or, if the ring is full, to look
 * at it. */
#define TRANSMITTER_BATCH 32

/* Pages of copies, at most: the ring's and those of a packet that waits for room. */
#define TRANSMITTER_BUFFER_CAP (RING_ENTRIES + TRANSMITTER_MAXIMUM_SLOTS)

/*
 * The IRQL and the lock apart: TransmitterReturnDone() lets go of the lock alone, which only a lock that was acquired
 * at DISPATCH_LEVEL admits.
 */
KIRQL TransmitterLock(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    KIRQL Irql = KeRaiseIrqlToDpcLevel();

    KeAcquireSpinLockAtDpcLevel(&Transmitter->Granter->Lock);

    return Irql;
}

VOID TransmitterUnlock(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ KIRQL Irql)
{
    KeReleaseSpinLockFromDpcLevel(&Transmitter->Granter->Lock);
    KeLowerIrql(Irql);
}

static VOID NTAPI TransmitterAcquireCacheLock(_In_opt_ PVOID Argument)
{
    PXENVIF_TRANSMITTER Transmitter = Argument;
    KIRQL Irql = TransmitterLock(Transmitter);

    Transmitter->CacheIrql = Irql;
}

static VOID NTAPI TransmitterReleaseCacheLock(_In_opt_ PVOID Argument)
{
    PXENVIF_TRANSMITTER Transmitter = Argument;

    TransmitterUnlock(Transmitter, Transmitter->CacheIrql);
}

static NTSTATUS NTAPI TransmitterPacketCtor(_In_opt_ PVOID Argument, _In_ PVOID Object)
{
    PTRANSMITTER_PACKET Packet = Object;

    UNREFERENCED_PARAMETER(Argument);

    InitializeListHead(&Packet->ListEntry);

    return STATUS_SUCCESS;
}

static VOID NTAPI TransmitterPacketDtor(_In_opt_ PVOID Argument, _In_ PVOID Object)
{
    PTRANSMITTER_PACKET Packet = Object;

    UNREFERENCED_PARAMETER(Argument);

    BUG_ON(Packet->FragmentCount != 0);
}

PAGED_FUNCTION NTSTATUS TransmitterInitialize(_In_ PXENVIF_QUEUE Queue, _Outptr_ PXENVIF_TRANSMITTER *Transmitter)
{
    PXENVIF_FRONTEND Frontend = QueueGetFrontend(Queue);
    PXENVIF_PARENT Parent = FrontendGetParent(Frontend);
    PXENVIF_TRANSMITTER New;
    CHAR Name[24];
    NTSTATUS Status;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENVIF_TRANSMITTER), TRANSMITTER_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Frontend = Frontend;
    New->Poller = QueueGetPoller(Queue);
    New->Vif = FrontendGetVif(Frontend);
    New->Statistics = FrontendGetStatistics(Frontend);
    New->CacheInterface = &Parent->Cache;
    New->AlwaysCopy = DriverQueryParameter(L"TransmitterAlwaysCopy", 0) != 0;
    New->ValidateChecksums = DriverQueryParameter(L"TransmitterValidateChecksums", 0) != 0;

    InitializeListHead(&New->Packets);
    InitializeListHead(&New->Queue);
    InitializeListHead(&New->Held);
    InitializeListHead(&New->Done);
    BufferPoolInitialize(&New->Buffers, TRANSMITTER_BUFFER_CAP);
    TransmitterRingReset(New);

    (VOID) TextPrint(Name, sizeof(Name), "vif_%u_tx_%u", FrontendGetNumber(Frontend), QueueGetIndex(Queue));

    Status = GranterInitialize(&Parent->Gnttab, Name, &New->Granter);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XENBUS_CACHE_CALL(New->CacheInterface, Create, Name, sizeof(TRANSMITTER_PACKET), 0, 0,
                               TransmitterPacketCtor, TransmitterPacketDtor, TransmitterAcquireCacheLock,
                               TransmitterReleaseCacheLock, New, &New->PacketCache);
    if (!NT_SUCCESS(Status))
        goto fail2;

    *Transmitter = New;

    return STATUS_SUCCESS;

fail2:
    (VOID) GranterTeardown(New->Granter);

fail1:
    Error("%s: (%08x)", Name, Status);
    PoolFree(New, TRANSMITTER_TAG);

    return Status;
}

VOID TransmitterPutPacket(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ PTRANSMITTER_PACKET Packet)
{
    InsertHeadList(&Transmitter->Packets, &Packet->ListEntry);
}

/* With the lock: gives back what is free. */
static VOID TransmitterTrim(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    while (!IsListEmpty(&Transmitter->Packets))
        XENBUS_CACHE_CALL(Transmitter->CacheInterface, Put, Transmitter->PacketCache,
                          CONTAINING_RECORD(RemoveHeadList(&Transmitter->Packets), TRANSMITTER_PACKET, ListEntry),
                          TRUE);
}

static VOID TransmitterTrimAll(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    KIRQL Irql = TransmitterLock(Transmitter);

    TransmitterTrim(Transmitter);

    TransmitterUnlock(Transmitter, Irql);
}

PAGED_FUNCTION VOID TransmitterTeardown(_In_ PXENVIF_TRANSMITTER Transmitter)
{
    PAGED_CODE();

    BUG_ON(Transmitter->RingBuffer != NULL);
    BUG_ON(!TransmitterIsQuiet(Transmitter) || !IsListEmpty(&Transmitter->Queue));
    BUG_ON(!IsListEmpty(&Transmitter->Held) || !IsListEmpty(&Transmitter->Done));

    TransmitterTrimAll(Transmitter);

    XENBUS_CACHE_CALL(Transmitter->CacheInterface, Destroy, Transmitter->PacketCache);
    BufferPoolTeardown(&Transmitter->Buffers);

    if (!GranterTeardown(Transmitter->Granter))
        FrontendRetireGranter(Transmitter->Frontend, Transmitter->Granter);

    PoolFree(Transmitter, TRANSMITTER_TAG);
}

NTSTATUS TransmitterConnect(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ USHORT Domain, _In_ ULONG Features)
{
    PXENVIF_BUFFER Buffer;
    NTSTATUS Status;
    KIRQL Irql;

    Buffer = BufferAllocate();
    if (Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RingInitialize((PRING_HEADER)Buffer->Address);

    Irql = TransmitterLock(Transmitter);

    GranterSetDomain(Transmitter->Granter, Domain);

    Status = GranterPermitBuffer(Transmitter->Granter, Buffer, FALSE);
    if (NT_SUCCESS(Status)) {
        Transmitter->RingBuffer = Buffer;
        Transmitter->Ring = (PRING_HEADER)Buffer->Address;
        Transmitter->Features = Features;
        Transmitter->Broken = FALSE;
        TransmitterRingReset(Transmitter);
    }

    TransmitterUnlock(Transmitter, Irql);

    if (!NT_SUCCESS(Status))
        BufferFree(Buffer);

    return Status;
}

ULONG TransmitterRingReference(_In_ PXENVIF_TRANSMITTER Transmitter)
{
    return Transmitter->RingBuffer->Reference;
}

VOID TransmitterAccept(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    KIRQL Irql = TransmitterLock(Transmitter);

    Transmitter->Accepting = TRUE;

    TransmitterUnlock(Transmitter, Irql);
}

VOID TransmitterEnable(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    KIRQL Irql = TransmitterLock(Transmitter);

    Transmitter->Running = TRUE;
    TransmitterRingFill(Transmitter);

    TransmitterUnlock(Transmitter, Irql);
}

VOID TransmitterDisable(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    KIRQL Irql = TransmitterLock(Transmitter);

    Transmitter->Running = FALSE;

    TransmitterUnlock(Transmitter, Irql);
}

VOID TransmitterHoldBack(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    /* Told of once until it is over: a backend must not fill the log. */
    if (Transmitter->HeldCount == 0)
        Warning("vif %u: the backend still has a page of an answered packet mapped, which must wait",
                FrontendGetNumber(Transmitter->Frontend));

    InsertTailList(&Transmitter->Held, &Packet->ListEntry);
    Transmitter->HeldCount++;

    FrontendWake(Transmitter->Frontend);
}

/* Moves what is on a list to another, in front of the entry Before, or of the head: to the end. */
static VOID TransmitterMoveList(_Inout_ PLIST_ENTRY From, _Inout_ PLIST_ENTRY Before)
{
    PLIST_ENTRY First = From->Flink;

    if (IsListEmpty(From))
        return;

    RemoveEntryList(From);
    InitializeListHead(From);
    AppendTailList(Before, First);
}

static inline VOID TransmitterCount(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PXENVIF_STATISTICS Batch,
                                    _In_ PTRANSMITTER_PACKET Packet)
{
    if (Packet->Status == 0)
        Packet->Status = XENVIF_TRANSMITTER_PACKET_OK;

    if (Packet->Status == XENVIF_TRANSMITTER_PACKET_OK)
        StatisticsCountSent(Batch, &Packet->Description.Layout, Packet->Description.Length, Packet->Description.Flags,
                            Packet->Description.MaximumSegmentSize != 0);
    else if (Packet->Status == XENVIF_TRANSMITTER_PACKET_DROPPED)
        StatisticsAdd(Transmitter->Statistics, XENVIF_TRANSMITTER_PACKETS_DROPPED, 1);
    else if (Packet->Failed)
        StatisticsAdd(Transmitter->Statistics, XENVIF_TRANSMITTER_FRONTEND_ERRORS, 1);
    else
        StatisticsAdd(Transmitter->Statistics, XENVIF_TRANSMITTER_BACKEND_ERRORS, 1);
}

/*
 * Tells the client what became of its packet; a frame of our own ends here, of which the backend had a copy only.
 * DISPATCH_LEVEL, without the lock.
 */
static inline VOID TransmitterReturnPacket(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion;

    if (Packet->Description.Frame != NULL) {
        BufferFree(Packet->Description.Frame);
        return;
    }

    Completion.Type = (UCHAR)Packet->Description.Layout.Type;
    Completion.Status = Packet->Status;
    Completion.PacketLength = (USHORT)Packet->Description.Length;
    Completion.PayloadLength = (USHORT)(Packet->Description.Length - Packet->Description.HeadersSource);

    VifTransmitterReturnPacket(Transmitter->Vif, Packet->Description.Cookie, &Completion);
}

VOID TransmitterReturnDone(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    XENVIF_STATISTICS Batch;
    LIST_ENTRY List;
    PLIST_ENTRY ListEntry;

    if (IsListEmpty(&Transmitter->Done))
        return;

    InitializeListHead(&List);
    TransmitterMoveList(&Transmitter->Done, &List);

    KeReleaseSpinLockFromDpcLevel(&Transmitter->Granter->Lock);

    /* Counted before the client hears of them. */
    RtlZeroMemory(&Batch, sizeof(Batch));
    for (ListEntry = List.Flink; ListEntry != &List; ListEntry = ListEntry->Flink)
        TransmitterCount(Transmitter, &Batch, CONTAINING_RECORD(ListEntry, TRANSMITTER_PACKET, ListEntry));
    StatisticsFlush(Transmitter->Statistics, &Batch);

    for (ListEntry = List.Flink; ListEntry != &List; ListEntry = ListEntry->Flink)
        TransmitterReturnPacket(Transmitter, CONTAINING_RECORD(ListEntry, TRANSMITTER_PACKET, ListEntry));

    KeAcquireSpinLockAtDpcLevel(&Transmitter->Granter->Lock);

    TransmitterMoveList(&List, Transmitter->Packets.Flink);
}

ULONG TransmitterPoll(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    ULONG Responses;

    KeAcquireSpinLockAtDpcLevel(&Transmitter->Granter->Lock);

    TransmitterRingServe(Transmitter);

    if ((Transmitter->Holding && TransmitterIsQuiet(Transmitter)) || TransmitterHasMulticastRoom(Transmitter))
        FrontendWake(Transmitter->Frontend);

    TransmitterReturnDone(Transmitter);
    Responses = (ULONG)Transmitter->Responses;

    KeReleaseSpinLockFromDpcLevel(&Transmitter->Granter->Lock);

    return Responses;
}

/* A packet that goes with the connection, unless something else has come of it before. */
static VOID TransmitterGiveUp(_Inout_ PTRANSMITTER_PACKET Packet)
{
    if (Packet->Status == 0)
        Packet->Status = XENVIF_TRANSMITTER_PACKET_DROPPED;
}

VOID TransmitterDrop(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    TransmitterGiveUp(Packet);
    TransmitterFinish(Transmitter, Packet);
}

static VOID TransmitterDropQueued(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    TransmitterGiveUp(Packet);
    TransmitterDequeue(Transmitter, Packet);
}

VOID TransmitterRefuse(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    KIRQL Irql = TransmitterLock(Transmitter);

    Transmitter->Accepting = FALSE;
    while (!IsListEmpty(&Transmitter->Queue))
        TransmitterDropQueued(Transmitter, CONTAINING_RECORD(Transmitter->Queue.Flink, TRANSMITTER_PACKET, ListEntry));
    TransmitterReturnDone(Transmitter);

    TransmitterUnlock(Transmitter, Irql);
}

/*
 * What waits for room may have been made ready for the old ring's backend. If a part of it has gone out it is over: the
 * next connection must not see that part again.
 */
VOID TransmitterUnprepare(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    PTRANSMITTER_PACKET Packet;

    if (IsListEmpty(&Transmitter->Queue))
        return;

    Packet = CONTAINING_RECORD(Transmitter->Queue.Flink, TRANSMITTER_PACKET, ListEntry);
    if (!Packet->Prepared)
        return;

    if (TransmitterIsCutting(Transmitter)) {
        TransmitterDropQueued(Transmitter, Packet);
        return;
    }

    Packet->Prepared = FALSE;
    if (TransmitterReleaseFragments(Transmitter, Packet))
        return;

    /* A backend that maps what it was never told of has guessed the reference. */
    Packet->Status = XENVIF_TRANSMITTER_PACKET_ERROR;
    TransmitterDequeue(Transmitter, Packet);
}

VOID TransmitterDisconnect(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    PXENVIF_BUFFER Buffer;
    KIRQL Irql;

    Irql = TransmitterLock(Transmitter);

    Buffer = Transmitter->RingBuffer;
    ASSERT(Buffer != NULL);

    Transmitter->Running = FALSE;
    TransmitterRingPoll(Transmitter);

    TransmitterRingClear(Transmitter);
    TransmitterUnprepare(Transmitter);
    TransmitterRingReset(Transmitter);

    Transmitter->RingBuffer = NULL;
    Transmitter->Ring = NULL;
    if (GranterRevokeBuffer(Transmitter->Granter, Buffer))
        BufferFree(Buffer);
    TransmitterFreeBuffers(Transmitter);

    TransmitterReturnDone(Transmitter);
    TransmitterTrim(Transmitter);

    TransmitterUnlock(Transmitter, Irql);
}

/*
 * Ends what is left of a packet's grants: its pages go back to the client whatever the backend does with them. FALSE:
 * there is no memory to note all of them, and they are not to be lost: the packet must wait for that.
 */
static BOOLEAN TransmitterAbandon(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet,
                                  _In_ BOOLEAN Lose)
{
    ULONG Index;

    for (Index = 0; Index < Packet->FragmentCount; Index++) {
        PTRANSMITTER_FRAGMENT Fragment = &Packet->Fragments[Index];

        if (Fragment->Grant == NULL)
            continue;

        if (!GranterOrphan(Transmitter->Granter, Fragment->Grant, Lose))
            return FALSE;
        Fragment->Grant = NULL;
        Packet->Status = XENVIF_TRANSMITTER_PACKET_ERROR;
    }

    Packet->FragmentCount = 0;

    return TRUE;
}

ULONG TransmitterRetryHeld(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ TRANSMITTER_PATIENCE Patience)
{
    LIST_ENTRY List;
    ULONG Count;
    KIRQL Irql;

    InitializeListHead(&List);

    Irql = TransmitterLock(Transmitter);

    TransmitterMoveList(&Transmitter->Held, &List);
    while (!IsListEmpty(&List)) {
        PTRANSMITTER_PACKET Packet = CONTAINING_RECORD(RemoveHeadList(&List), TRANSMITTER_PACKET, ListEntry);

        if (!TransmitterReleaseFragments(Transmitter, Packet) &&
            !(Patience != TRANSMITTER_WAIT && TransmitterAbandon(Transmitter, Packet, Patience == TRANSMITTER_LOSE))) {
            InsertTailList(&Transmitter->Held, &Packet->ListEntry);
            continue;
        }

        Transmitter->HeldCount--;
        InsertTailList(&Transmitter->Done, &Packet->ListEntry);
    }

    Count = Transmitter->HeldCount;
    TransmitterReturnDone(Transmitter);

    TransmitterUnlock(Transmitter, Irql);

    return Count;
}

BOOLEAN TransmitterIsOverheld(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    KIRQL Irql = TransmitterLock(Transmitter);
    BOOLEAN Overheld = GranterIsOverheld(Transmitter->Granter, Transmitter->HeldCount);

    TransmitterUnlock(Transmitter, Irql);

    return Overheld;
}

PAGED_FUNCTION ULONG TransmitterRetryGrants(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    PAGED_CODE();

    return GranterRetry(Transmitter->Granter);
}

ULONG TransmitterQueryRingSize(VOID)
{
    return RING_ENTRIES;
}

/* Fills the ring, and tells the backend: now or, if More is to come, with what comes. */
static inline VOID TransmitterAdvance(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ BOOLEAN More)
{
    LONG Delayed = More ? (Transmitter->Delayed + 1) % TRANSMITTER_BATCH : 0;

    if (!Transmitter->Running)
        return;

    WriteNoFence(&Transmitter->Delayed, Delayed);
    TransmitterRingPost(Transmitter);

    if (Delayed != 0)
        return;

    TransmitterRingPush(Transmitter);

    /* No room: perhaps the backend has answered without being asked for an event. */
    if (!IsListEmpty(&Transmitter->Queue))
        TransmitterRingServe(Transmitter);

    /* The client may hold locks of its own: it gets its packets from the DPC. */
    if (!IsListEmpty(&Transmitter->Done))
        PollerKick(Transmitter->Poller, POLLER_TRANSMIT);
}

PTRANSMITTER_PACKET TransmitterGetPacket(_Inout_ PXENVIF_TRANSMITTER Transmitter,
                                         _In_ const TRANSMITTER_DESCRIPTION *Description)
{
    PTRANSMITTER_PACKET Packet;
    BOOLEAN Copied;

    if (!IsListEmpty(&Transmitter->Packets))
        Packet = CONTAINING_RECORD(RemoveHeadList(&Transmitter->Packets), TRANSMITTER_PACKET, ListEntry);
    else
        Packet = XENBUS_CACHE_CALL(Transmitter->CacheInterface, Get, Transmitter->PacketCache, TRUE);
    if (Packet == NULL)
        return NULL;

    Copied = Description->Header == Description->Headers;
    RtlCopyMemory(&Packet->Description, Description, FIELD_OFFSET(TRANSMITTER_DESCRIPTION, Headers));
    if (Copied) {
        RtlCopyMemory(Packet->Description.Headers, Description->Headers, Description->FrontLength);
        Packet->Description.Header = Packet->Description.Headers;
    }
    Packet->Status = 0;
    Packet->Failed = FALSE;
    Packet->Prepared = FALSE;
    Packet->Posted = FALSE;
    Packet->Cut = FALSE;
    Packet->FragmentCount = 0;
    Packet->Unanswered = 0;

    return Packet;
}

/* Takes a packet of the client's. With the lock. */
static inline NTSTATUS TransmitterEnqueue(_Inout_ PXENVIF_TRANSMITTER Transmitter,
                                          _In_ const TRANSMITTER_DESCRIPTION *Description)
{
    PTRANSMITTER_PACKET Packet;

    if (!Transmitter->Accepting) {
        StatisticsAdd(Transmitter->Statistics, XENVIF_TRANSMITTER_PACKETS_DROPPED, 1);
        return STATUS_DEVICE_NOT_READY;
    }

    if (Transmitter->QueueLength >= TRANSMITTER_QUEUE_LIMIT)
        return STATUS_DEVICE_BUSY;

    Packet = TransmitterGetPacket(Transmitter, Description);
    if (Packet == NULL) {
        StatisticsAdd(Transmitter->Statistics, XENVIF_TRANSMITTER_FRONTEND_ERRORS, 1);
        return STATUS_INSUFFICIENT_RESOURCES;
    }

    TransmitterRingTake(Transmitter, Packet);

    return STATUS_SUCCESS;
}

/*
 * A row of packets is at its end, whatever became of the last. Those before it may wait for more on other queues than
 * the last one's.
 */
static VOID TransmitterEndRow(_In_ PXENVIF_FRONTEND Frontend)
{
    ULONG Index;

    for (Index = 0; Index < FrontendGetQueueCount(Frontend); Index++) {
        PXENVIF_TRANSMITTER Transmitter = FrontendGetTransmitter(Frontend, Index);
        KIRQL Irql;

        if (!ReadNoFence(&Transmitter->Delayed))
            continue;

        Irql = TransmitterLock(Transmitter);
        TransmitterAdvance(Transmitter, FALSE);
        TransmitterUnlock(Transmitter, Irql);
    }
}

/* The transmitter of a packet's queue, locked: by one call, since nobody lets go of the lock alone meanwhile. */
static inline PXENVIF_TRANSMITTER TransmitterSelect(_In_ PXENVIF_FRONTEND Frontend,
                                                    _In_ const TRANSMITTER_DESCRIPTION *Description, _Out_ PKIRQL Irql)
{
    PXENVIF_STEERING Steering = FrontendGetSteering(Frontend);

    for (;;) {
        PXENVIF_TRANSMITTER Transmitter;
        ULONG Version;

        Transmitter = FrontendGetTransmitter(Frontend, SteeringSelect(Steering, &Description->Flow, Description->Header,
                                                                      &Description->Layout, &Version));

        KeAcquireSpinLock(&Transmitter->Granter->Lock, Irql);
        if (SteeringIsCurrent(Steering, Version))
            return Transmitter;

        KeReleaseSpinLock(&Transmitter->Granter->Lock, *Irql);
    }
}

/* Queues what is described but for its headers. */
static NTSTATUS TransmitterSubmit(_In_ PXENVIF_FRONTEND Frontend, _Inout_ PTRANSMITTER_DESCRIPTION Description,
                                  _In_ USHORT TagControlInformation, _In_ BOOLEAN More)
{
    PXENVIF_TRANSMITTER Transmitter;
    NTSTATUS Status;
    KIRQL Irql;

    Status = TransmitterDescribe(FrontendGetTransmitter(Frontend, 0), Description, TagControlInformation);
    if (!NT_SUCCESS(Status))
        goto done;

    Transmitter = TransmitterSelect(Frontend, Description, &Irql);

    Status = TransmitterEnqueue(Transmitter, Description);
    TransmitterAdvance(Transmitter, NT_SUCCESS(Status) && More);

    KeReleaseSpinLock(&Transmitter->Granter->Lock, Irql);

done:
    /* Of a packet that is not taken nobody knows whether another follows. */
    if (!NT_SUCCESS(Status) || !More)
        TransmitterEndRow(Frontend);

    return Status;
}

NTSTATUS TransmitterSendFrame(_In_ PXENVIF_FRONTEND Frontend, _In_ PXENVIF_BUFFER Buffer, _In_ ULONG Length)
{
    TRANSMITTER_DESCRIPTION Description;
    NTSTATUS Status;

    /* What fills a page could be granted in place, and stay with a backend that does not let go. */
    ASSERT(Length < PAGE_SIZE);

    Description.Mdl = Buffer->Mdl;
    Description.Offset = 0;
    Description.Length = Length;
    Description.Cookie = NULL;
    Description.Frame = Buffer;
    Description.Options.Value = 0;
    Description.MaximumSegmentSize = 0;
    Description.Hash.Algorithm = XENVIF_PACKET_HASH_ALGORITHM_NONE;
    SteeringFlow(NULL, &Description.Flow);

    Status = TransmitterSubmit(Frontend, &Description, 0, FALSE);
    if (!NT_SUCCESS(Status))
        BufferFree(Buffer);

    return Status;
}

NTSTATUS TransmitterQueuePacket(_In_ PXENVIF_FRONTEND Frontend, _In_ PMDL Mdl, _In_ ULONG Offset, _In_ ULONG Length,
                                _In_ XENVIF_VIF_OFFLOAD_OPTIONS OffloadOptions, _In_ USHORT MaximumSegmentSize,
                                _In_ USHORT TagControlInformation, _In_opt_ PXENVIF_PACKET_HASH Hash, _In_ BOOLEAN More,
                                _In_opt_ PVOID Cookie)
{
    TRANSMITTER_DESCRIPTION Description;

    Description.Mdl = Mdl;
    Description.Offset = Offset;
    Description.Length = Length;
    Description.Cookie = Cookie;
    Description.Frame = NULL;
    Description.Options = OffloadOptions;
    Description.MaximumSegmentSize = MaximumSegmentSize;
    Description.Hash.Algorithm = XENVIF_PACKET_HASH_ALGORITHM_NONE;
    if (Hash != NULL)
        Description.Hash = *Hash;
    SteeringFlow(Hash, &Description.Flow);

    return TransmitterSubmit(Frontend, &Description, TagControlInformation, More);
}

VOID TransmitterDebug(_In_ PXENVIF_TRANSMITTER Transmitter)
{
    PXENBUS_DEBUG_INTERFACE_V1 Debug = &FrontendGetParent(Transmitter->Frontend)->Debug;

    XENBUS_DEBUG_CALL(Debug, Printf, "TX: accepting %u running %u broken %u queued %u held %u", Transmitter->Accepting,
                      Transmitter->Running, Transmitter->Broken, Transmitter->QueueLength, Transmitter->HeldCount);
    XENBUS_DEBUG_CALL(Debug, Printf, "TX: req_prod %u (pushed %u) rsp_cons %u", Transmitter->RequestProducer,
                      Transmitter->RequestPushed, Transmitter->ResponseConsumer);
    XENBUS_DEBUG_CALL(Debug, Printf, "TX: requests %llu responses %llu notifications %llu suppressed %llu",
                      Transmitter->Requests, Transmitter->Responses, Transmitter->Notifications,
                      Transmitter->Suppressed);
}
