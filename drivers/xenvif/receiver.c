#include "bug.h"
#include "driver.h"
#include "frontend.h"
#include "pool.h"
#include "receiver_ring.h"
#include "text.h"

#define RECEIVER_TAG POOL_TAG('V', 'r', 'x', ' ')

/* Pages in existence, at most: on the ring, between the ring and the client, and with the client. */
#define RECEIVER_BUFFER_CAP (4 * RING_ENTRIES)

/* How long a client that asked for a pause is left alone. */
#define RECEIVER_PAUSE_TIME 2 /* ms */

/* Packets that it gives back meanwhile, and is found to have room again; or all that it has. */
#define RECEIVER_PAUSE_RETURNS 32

/* Headers must still fit into the page behind both of these. */
#define RECEIVER_MAXIMUM_ALIGN 64
/* Frames that are looked at together and given to the client, while their headers are in the processor's cache. */
#define RECEIVER_BATCH 32

#define RECEIVER_MAXIMUM_BACKFILL (PAGE_SIZE - PACKET_HEADER_LIMIT - RECEIVER_MAXIMUM_ALIGN)

static KIRQL ReceiverLock(_Inout_ PXENVIF_RECEIVER Receiver)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Receiver->Granter->Lock, &Irql);

    return Irql;
}

static VOID ReceiverUnlock(_Inout_ PXENVIF_RECEIVER Receiver, _In_ KIRQL Irql)
{
    KeReleaseSpinLock(&Receiver->Granter->Lock, Irql);
}

static VOID NTAPI ReceiverAcquireCacheLock(_In_opt_ PVOID Argument)
{
    PXENVIF_RECEIVER Receiver = Argument;
    KIRQL Irql = ReceiverLock(Receiver);

    Receiver->CacheIrql = Irql;
}

static VOID NTAPI ReceiverReleaseCacheLock(_In_opt_ PVOID Argument)
{
    PXENVIF_RECEIVER Receiver = Argument;

    ReceiverUnlock(Receiver, Receiver->CacheIrql);
}

static NTSTATUS NTAPI ReceiverPacketCtor(_In_opt_ PVOID Argument, _In_ PVOID Object)
{
    PRECEIVER_PACKET Packet = Object;

    Packet->Receiver = Argument;
    InitializeListHead(&Packet->ListEntry);
    InitializeListHead(&Packet->Buffers);

    return STATUS_SUCCESS;
}

static VOID NTAPI ReceiverPacketDtor(_In_opt_ PVOID Argument, _In_ PVOID Object)
{
    PRECEIVER_PACKET Packet = Object;

    UNREFERENCED_PARAMETER(Argument);

    BUG_ON(!IsListEmpty(&Packet->Buffers));
}

static VOID NTAPI ReceiverTimerDpc(_In_ PKDPC Dpc, _In_opt_ PVOID Context, _In_opt_ PVOID Argument1,
                                   _In_opt_ PVOID Argument2)
{
    PXENVIF_RECEIVER Receiver = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    (VOID) InterlockedAnd(&Receiver->Awaited, ~RECEIVER_AWAITS_ROOM);
    PollerKick(Receiver->Poller, POLLER_RECEIVE);
}

VOID ReceiverSetTimer(_Inout_ PXENVIF_RECEIVER Receiver, _In_ ULONG Milliseconds)
{
    LARGE_INTEGER DueTime;

    DueTime.QuadPart = -(LONGLONG)Milliseconds * 10000;
    (VOID) KeSetTimer(&Receiver->Timer, DueTime, &Receiver->TimerDpc);
}

PAGED_FUNCTION NTSTATUS ReceiverInitialize(_In_ PXENVIF_QUEUE Queue, _Outptr_ PXENVIF_RECEIVER *Receiver)
{
    PXENVIF_FRONTEND Frontend = QueueGetFrontend(Queue);
    PXENVIF_PARENT Parent = FrontendGetParent(Frontend);
    PXENVIF_RECEIVER New;
    CHAR Name[24];
    NTSTATUS Status;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENVIF_RECEIVER), RECEIVER_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Frontend = Frontend;
    New->Index = QueueGetIndex(Queue);
    New->Mac = FrontendGetMac(Frontend);
    New->Poller = QueueGetPoller(Queue);
    New->Vif = FrontendGetVif(Frontend);
    New->Statistics = FrontendGetStatistics(Frontend);
    New->CacheInterface = &Parent->Cache;
    New->Generation = 1;
    New->AllowLarge = DriverQueryParameter(L"ReceiverAllowGsoPackets", 1) != 0;
    New->CalculateChecksums = DriverQueryParameter(L"ReceiverCalculateChecksums", 0) != 0;
    New->AlwaysPullUp = DriverQueryParameter(L"ReceiverAlwaysPullup", 0) != 0;
    New->IpAlignOffset = min(DriverQueryParameter(L"ReceiverIpAlignOffset", 0), RECEIVER_MAXIMUM_ALIGN);

    InitializeListHead(&New->Packets);
    InitializeListHead(&New->Ready);
    InitializeListHead(&New->Deliver);
    BufferPoolInitialize(&New->Buffers, RECEIVER_BUFFER_CAP);
    KeInitializeTimer(&New->Timer);
    KeInitializeDpc(&New->TimerDpc, ReceiverTimerDpc, New);

    (VOID) TextPrint(Name, sizeof(Name), "vif_%u_rx_%u", FrontendGetNumber(Frontend), New->Index);

    Status = GranterInitialize(&Parent->Gnttab, Name, &New->Granter);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XENBUS_CACHE_CALL(New->CacheInterface, Create, Name, sizeof(RECEIVER_PACKET), 0, 0, ReceiverPacketCtor,
                               ReceiverPacketDtor, ReceiverAcquireCacheLock, ReceiverReleaseCacheLock, New,
                               &New->PacketCache);
    if (!NT_SUCCESS(Status))
        goto fail2;

    *Receiver = New;

    return STATUS_SUCCESS;

fail2:
    (VOID) GranterTeardown(New->Granter);

fail1:
    Error("%s: (%08x)", Name, Status);
    PoolFree(New, RECEIVER_TAG);

    return Status;
}

VOID ReceiverPutBuffer(_Inout_ PXENVIF_RECEIVER Receiver, _In_ PXENVIF_BUFFER Buffer)
{
    /* Another backend may have written anywhere in the page. */
    if (Buffer->Generation != Receiver->Generation)
        BufferTouch(Buffer, PAGE_SIZE);

    BufferPoolPut(&Receiver->Buffers, Buffer);
}

VOID ReceiverPutBuffers(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PLIST_ENTRY List)
{
    while (!IsListEmpty(List))
        ReceiverPutBuffer(Receiver, CONTAINING_RECORD(RemoveHeadList(List), XENVIF_BUFFER, ListEntry));
}

VOID ReceiverPutPacket(_Inout_ PXENVIF_RECEIVER Receiver, _In_ PRECEIVER_PACKET Packet)
{
    ReceiverPutBuffers(Receiver, &Packet->Buffers);
    InsertHeadList(&Receiver->Packets, &Packet->ListEntry);
}

PRECEIVER_PACKET ReceiverGetPacket(_Inout_ PXENVIF_RECEIVER Receiver)
{
    if (!IsListEmpty(&Receiver->Packets))
        return CONTAINING_RECORD(RemoveHeadList(&Receiver->Packets), RECEIVER_PACKET, ListEntry);

    return XENBUS_CACHE_CALL(Receiver->CacheInterface, Get, Receiver->PacketCache, TRUE);
}

/* With the lock: gives back what is free, after what the client has returned. */
static VOID ReceiverTrim(_Inout_ PXENVIF_RECEIVER Receiver)
{
    ReceiverReclaim(Receiver);

    while (!IsListEmpty(&Receiver->Packets))
        XENBUS_CACHE_CALL(Receiver->CacheInterface, Put, Receiver->PacketCache,
                          CONTAINING_RECORD(RemoveHeadList(&Receiver->Packets), RECEIVER_PACKET, ListEntry), TRUE);

    BufferPoolTrim(&Receiver->Buffers);
}

VOID ReceiverReclaim(_Inout_ PXENVIF_RECEIVER Receiver)
{
    PLIST_ENTRY ListEntry;

    if (!ReceiverHasReturns(Receiver))
        return;

    ListEntry = InterlockedExchangePointer(&Receiver->Returned, NULL);

    while (ListEntry != NULL) {
        PRECEIVER_PACKET Packet = CONTAINING_RECORD(ListEntry, RECEIVER_PACKET, ListEntry);

        ListEntry = ListEntry->Flink;

        ReceiverPutPacket(Receiver, Packet);
        Receiver->Loaned--;
    }
}

PXENVIF_BUFFER ReceiverGetBuffer(_Inout_ PXENVIF_RECEIVER Receiver)
{
    if (IsListEmpty(&Receiver->Buffers.Free))
        ReceiverReclaim(Receiver);

    return BufferPoolGet(&Receiver->Buffers);
}

static VOID ReceiverTrimAll(_Inout_ PXENVIF_RECEIVER Receiver)
{
    KIRQL Irql = ReceiverLock(Receiver);

    ReceiverTrim(Receiver);

    ReceiverUnlock(Receiver, Irql);
}

PAGED_FUNCTION VOID ReceiverTeardown(_In_ PXENVIF_RECEIVER Receiver)
{
    PAGED_CODE();

    BUG_ON(Receiver->RingBuffer != NULL);
    BUG_ON(!IsListEmpty(&Receiver->Ready) || !IsListEmpty(&Receiver->Deliver));

    ReceiverTrimAll(Receiver);

    /* A client that still has frames would read, and return, memory that is gone. */
    BUG_ON(Receiver->Loaned + Receiver->Given != 0);

    (VOID) KeCancelTimer(&Receiver->Timer);
    KeFlushQueuedDpcs();

    XENBUS_CACHE_CALL(Receiver->CacheInterface, Destroy, Receiver->PacketCache);
    BufferPoolTeardown(&Receiver->Buffers);

    if (!GranterTeardown(Receiver->Granter))
        FrontendRetireGranter(Receiver->Frontend, Receiver->Granter);

    PoolFree(Receiver, RECEIVER_TAG);
}

static VOID ReceiverConnectRing(_Inout_ PXENVIF_RECEIVER Receiver, _In_ PXENVIF_BUFFER Buffer)
{
    Receiver->RingBuffer = Buffer;
    Receiver->Ring = (PRING_HEADER)Buffer->Address;
    Receiver->Broken = FALSE;
    ReceiverRingFill(Receiver);
}

NTSTATUS ReceiverConnect(_Inout_ PXENVIF_RECEIVER Receiver, _In_ USHORT Domain)
{
    PXENVIF_BUFFER Buffer;
    NTSTATUS Status;
    KIRQL Irql;

    Buffer = BufferAllocate();
    if (Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RingInitialize((PRING_HEADER)Buffer->Address);

    Irql = ReceiverLock(Receiver);

    GranterSetDomain(Receiver->Granter, Domain);

    Status = GranterPermitBuffer(Receiver->Granter, Buffer, FALSE);
    if (NT_SUCCESS(Status))
        ReceiverConnectRing(Receiver, Buffer);

    ReceiverUnlock(Receiver, Irql);

    if (!NT_SUCCESS(Status))
        BufferFree(Buffer);

    return Status;
}

ULONG ReceiverRingReference(_In_ PXENVIF_RECEIVER Receiver)
{
    return GranterReference(Receiver->Granter, Receiver->RingBuffer->Grant);
}

VOID ReceiverEnable(_Inout_ PXENVIF_RECEIVER Receiver)
{
    KIRQL Irql = ReceiverLock(Receiver);

    (VOID) InterlockedAnd(&Receiver->Awaited, ~RECEIVER_AWAITS_ROOM);
    Receiver->Running = TRUE;
    ReceiverRingFill(Receiver);

    /* Of the requests that were there when it connected nobody has told the backend. */
    PollerSend(Receiver->Poller, POLLER_RECEIVE);
    Receiver->Notifications++;

    ReceiverUnlock(Receiver, Irql);
}

VOID ReceiverDisable(_Inout_ PXENVIF_RECEIVER Receiver)
{
    KIRQL Irql = ReceiverLock(Receiver);

    Receiver->Running = FALSE;

    ReceiverUnlock(Receiver, Irql);
}

VOID ReceiverDisconnect(_Inout_ PXENVIF_RECEIVER Receiver)
{
    PXENVIF_BUFFER Buffer;
    KIRQL Irql;

    Irql = ReceiverLock(Receiver);

    Buffer = Receiver->RingBuffer;
    ASSERT(Buffer != NULL);

    Receiver->Running = FALSE;
    ReceiverRingClear(Receiver);

    Receiver->RingBuffer = NULL;
    Receiver->Ring = NULL;
    if (GranterRevokeBuffer(Receiver->Granter, Buffer))
        BufferFree(Buffer);

    ReceiverTrim(Receiver);
    Receiver->Generation++;

    ReceiverUnlock(Receiver, Irql);

    (VOID) KeCancelTimer(&Receiver->Timer);
}

static VOID ReceiverFlushList(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PLIST_ENTRY List)
{
    while (!IsListEmpty(List)) {
        ReceiverPutPacket(Receiver, CONTAINING_RECORD(RemoveHeadList(List), RECEIVER_PACKET, ListEntry));
        StatisticsAdd(Receiver->Statistics, XENVIF_RECEIVER_PACKETS_DROPPED, 1);
    }
}

VOID ReceiverFlush(_Inout_ PXENVIF_RECEIVER Receiver)
{
    KIRQL Irql = ReceiverLock(Receiver);

    ReceiverFlushList(Receiver, &Receiver->Deliver);
    ReceiverFlushList(Receiver, &Receiver->Ready);
    ReceiverTrim(Receiver);

    ReceiverUnlock(Receiver, Irql);
}

BOOLEAN ReceiverIsOverheld(_Inout_ PXENVIF_RECEIVER Receiver)
{
    KIRQL Irql = ReceiverLock(Receiver);
    BOOLEAN Overheld = GranterIsOverheld(Receiver->Granter, 0);

    ReceiverUnlock(Receiver, Irql);

    return Overheld;
}

PAGED_FUNCTION ULONG ReceiverRetryGrants(_Inout_ PXENVIF_RECEIVER Receiver)
{
    PAGED_CODE();

    return GranterRetry(Receiver->Granter);
}

/* Makes one chain of the frame's MDLs, each of which ends where the data does. */
static PMDL ReceiverLinkMdls(_In_ PRECEIVER_PACKET Packet)
{
    PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);
    PXENVIF_BUFFER Buffer;

    for (Buffer = First; Buffer != NULL; Buffer = ReceiverNextBuffer(Packet, Buffer)) {
        PXENVIF_BUFFER Next = ReceiverNextBuffer(Packet, Buffer);

        Buffer->Mdl->ByteCount = Buffer->Offset + Buffer->Length;
        Buffer->Mdl->Next = (Next != NULL) ? Next->Mdl : NULL;
    }

    return First->Mdl;
}

/* Gives one frame, which is counted in the batch, to the client. TRUE: it asks for a pause. */
static BOOLEAN ReceiverQueuePacket(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PXENVIF_STATISTICS Batch,
                                   _In_ PRECEIVER_PACKET Packet, _In_ BOOLEAN More)
{
    XENVIF_VIF_CALLBACK_PARAMETERS Parameters;

    RtlZeroMemory(&Parameters, sizeof(Parameters));
    Parameters.ReceiverQueuePacket.Index = Receiver->Index;
    Parameters.ReceiverQueuePacket.Mdl = ReceiverLinkMdls(Packet);
    Parameters.ReceiverQueuePacket.Offset = ReceiverFirstBuffer(Packet)->Offset;
    Parameters.ReceiverQueuePacket.Length = Packet->Length;
    Parameters.ReceiverQueuePacket.Flags = Packet->Flags;
    Parameters.ReceiverQueuePacket.MaximumSegmentSize = Packet->MaximumSegmentSize;
    Parameters.ReceiverQueuePacket.TagControlInformation = Packet->TagControlInformation;
    Parameters.ReceiverQueuePacket.Info = &Packet->Layout.Info;
    Parameters.ReceiverQueuePacket.Hash = &Packet->Hash;
    Parameters.ReceiverQueuePacket.More = More;
    Parameters.ReceiverQueuePacket.Cookie = Packet;

    StatisticsCountReceived(Batch, &Packet->Layout, Packet->Length, Packet->Flags, Packet->Large);
    Receiver->Given++;

    return VifReceiverQueuePacket(Receiver->Vif, &Parameters);
}

/* With the lock, by the poll. */
static VOID ReceiverAccountGiven(_Inout_ PXENVIF_RECEIVER Receiver)
{
    Receiver->Loaned += Receiver->Given;
    Receiver->Given = 0;
}

/*
 * The client, or want of pages, makes us wait: frames that come back, enough of them, or the timer go on. A frame that
 * comes back without seeing that it is awaited is seen here.
 */
static VOID ReceiverPause(_Inout_ PXENVIF_RECEIVER Receiver)
{
    KeAcquireSpinLockAtDpcLevel(&Receiver->Granter->Lock);

    ReceiverAccountGiven(Receiver);
    (VOID) InterlockedOr(&Receiver->Awaited, RECEIVER_AWAITS_ROOM);
    ReceiverReclaim(Receiver);
    Receiver->LoanedAtPause = Receiver->Loaned;

    KeReleaseSpinLockFromDpcLevel(&Receiver->Granter->Lock);

    ReceiverSetTimer(Receiver, RECEIVER_PAUSE_TIME);
}

/* Lines that are fetched at once, at most: a processor waits for no more without stopping. */
#define RECEIVER_FETCH_LINES 12

/* Sends for a part of what the next turn will copy. */
static VOID ReceiverFetchAhead(_Inout_ RECEIVER_AHEAD *Ahead)
{
    ULONG Lines;

    for (Lines = 0; Lines < RECEIVER_FETCH_LINES && Ahead->Next < Ahead->Count; Lines++) {
        PreFetchCacheLine(PF_TEMPORAL_LEVEL_2, Ahead->Frames[Ahead->Next].Address + Ahead->Offset);

        Ahead->Offset += SYSTEM_CACHE_ALIGNMENT_SIZE;
        if (Ahead->Offset >= Ahead->Frames[Ahead->Next].Length) {
            Ahead->Next++;
            Ahead->Offset = 0;
        }
    }
}

/*
 * Gives the client the frames that are there for it, and counts them in the batch; the last one only if Last, because
 * the client is told of each whether another follows. FALSE: not all of them for now.
 */
static BOOLEAN ReceiverDeliver(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PXENVIF_STATISTICS Batch, _In_ BOOLEAN Last)
{
    /* The first and the last are the same in a list of one, and in an empty one. */
    while (Receiver->Deliver.Flink != (Last ? &Receiver->Deliver : Receiver->Deliver.Blink)) {
        PRECEIVER_PACKET Packet = CONTAINING_RECORD(Receiver->Deliver.Flink, RECEIVER_PACKET, ListEntry);

        if (Packet->Segmentation.Count != 0) {
            if (ReceiverSplit(Receiver, Packet))
                continue;

            ReceiverPause(Receiver);
            return FALSE;
        }

        RemoveEntryList(&Packet->ListEntry);
        ReceiverFetchAhead(&Receiver->Ahead);

        if (ReceiverQueuePacket(Receiver, Batch, Packet, !IsListEmpty(&Receiver->Deliver))) {
            ReceiverPause(Receiver);
            return FALSE;
        }
    }

    return TRUE;
}

static VOID ReceiverDrop(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PLIST_ENTRY Drop, _In_ PRECEIVER_PACKET Packet,
                         _In_ XENVIF_VIF_STATISTIC Reason)
{
    StatisticsAdd(Receiver->Statistics, Reason, 1);
    InsertTailList(Drop, &Packet->ListEntry);
}

/* Moves frames that the filter does not let in from List to Drop. */
static VOID ReceiverFilter(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PLIST_ENTRY List, _Inout_ PLIST_ENTRY Drop)
{
    PLIST_ENTRY ListEntry = List->Flink;

    if (IsListEmpty(List))
        return;

    MacBeginAdmission(Receiver->Mac);

    while (ListEntry != List) {
        PRECEIVER_PACKET Packet = CONTAINING_RECORD(ListEntry, RECEIVER_PACKET, ListEntry);
        PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);

        ListEntry = ListEntry->Flink;

        if (MacAdmits(Receiver->Mac, (const ETHERNET_ADDRESS *)(First->Address + First->Offset)))
            continue;

        RemoveEntryList(&Packet->ListEntry);
        ReceiverDrop(Receiver, Drop, Packet, XENVIF_RECEIVER_PACKETS_DROPPED);
    }

    MacEndAdmission(Receiver->Mac);
}

static VOID ReceiverReadTerms(_In_ PXENVIF_RECEIVER Receiver, _Out_ RECEIVER_TERMS *Terms)
{
    const XENVIF_HASHER *Hasher = FrontendGetHasher(Receiver->Frontend);

    Terms->Headroom = ReceiverHeadroom(Receiver);
    Terms->FrameSize = MacQueryMaximumFrameSize(Receiver->Mac);
    Terms->Options.Value = (USHORT)ReadULongNoFence(&Receiver->OffloadOptions);
    Terms->Hasher = HasherIsSet(Hasher) ? Hasher : NULL;
}

/* Sorts frames from the ring into those for the client and those to be dropped, which are. */
static VOID ReceiverSort(_Inout_ PXENVIF_RECEIVER Receiver, _In_ const RECEIVER_TERMS *Terms, _Inout_ PLIST_ENTRY List)
{
    LIST_ENTRY Good;
    LIST_ENTRY Drop;

    InitializeListHead(&Good);
    InitializeListHead(&Drop);

    while (!IsListEmpty(List)) {
        PRECEIVER_PACKET Packet = CONTAINING_RECORD(RemoveHeadList(List), RECEIVER_PACKET, ListEntry);
        XENVIF_VIF_STATISTIC Reason;

        ReceiverFetchAhead(&Receiver->Ahead);

        if (ReceiverInspect(Receiver, Terms, Packet, &Reason))
            InsertTailList(&Good, &Packet->ListEntry);
        else
            ReceiverDrop(Receiver, &Drop, Packet, Reason);
    }

    ReceiverFilter(Receiver, &Good, &Drop);

    while (!IsListEmpty(&Good)) {
        PRECEIVER_PACKET Packet = CONTAINING_RECORD(RemoveHeadList(&Good), RECEIVER_PACKET, ListEntry);

        if (ReceiverFinish(Receiver, Terms, Packet))
            InsertTailList(&Receiver->Deliver, &Packet->ListEntry);
        else
            ReceiverDrop(Receiver, &Drop, Packet, XENVIF_RECEIVER_BACKEND_ERRORS);
    }

    if (IsListEmpty(&Drop))
        return;

    KeAcquireSpinLockAtDpcLevel(&Receiver->Granter->Lock);
    while (!IsListEmpty(&Drop))
        ReceiverPutPacket(Receiver, CONTAINING_RECORD(RemoveHeadList(&Drop), RECEIVER_PACKET, ListEntry));
    KeReleaseSpinLockFromDpcLevel(&Receiver->Granter->Lock);
}

/* Waits for the next response. TRUE: it is there already. */
static BOOLEAN ReceiverSleep(_Inout_ PXENVIF_RECEIVER Receiver)
{
    BOOLEAN More;

    KeAcquireSpinLockAtDpcLevel(&Receiver->Granter->Lock);
    More = ReceiverRingSleep(Receiver);
    KeReleaseSpinLockFromDpcLevel(&Receiver->Granter->Lock);

    return More;
}

/* Takes a bounded number of frames off the ring. TRUE: there may be more for another turn. */
static BOOLEAN ReceiverTakeFrames(_Inout_ PXENVIF_RECEIVER Receiver, _Out_ PLIST_ENTRY List)
{
    BOOLEAN More = FALSE;

    InitializeListHead(List);

    KeAcquireSpinLockAtDpcLevel(&Receiver->Granter->Lock);

    ReceiverAccountGiven(Receiver);
    ReceiverReclaim(Receiver);

    if (Receiver->Running)
        More = ReceiverRingPoll(Receiver);

    /* The frames get another head. */
    AppendTailList(&Receiver->Ready, List);
    RemoveEntryList(&Receiver->Ready);
    InitializeListHead(&Receiver->Ready);

    KeReleaseSpinLockFromDpcLevel(&Receiver->Granter->Lock);

    return More;
}

/* Moves the first frames of From to To. The backend's processor has their headers, which are on their way now. */
static VOID ReceiverTakeBatch(_Inout_ PLIST_ENTRY From, _Out_ PLIST_ENTRY To)
{
    ULONG Count;

    InitializeListHead(To);

    for (Count = 0; Count < RECEIVER_BATCH && !IsListEmpty(From); Count++) {
        PRECEIVER_PACKET Packet = CONTAINING_RECORD(RemoveHeadList(From), RECEIVER_PACKET, ListEntry);
        PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);

        PreFetchCacheLine(PF_TEMPORAL_LEVEL_1, First->Address + First->Offset);
        InsertTailList(To, &Packet->ListEntry);
    }
}

/* Gives the client frames that were taken off the ring. FALSE: not all of them for now. */
static BOOLEAN ReceiverPassOn(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PXENVIF_STATISTICS Batch,
                              _Inout_ PLIST_ENTRY List)
{
    BOOLEAN All = TRUE;
    RECEIVER_TERMS Terms;
    LIST_ENTRY Some;

    ReceiverReadTerms(Receiver, &Terms);

    while (!IsListEmpty(List)) {
        ReceiverTakeBatch(List, &Some);
        ReceiverSort(Receiver, &Terms, &Some);

        if (All)
            All = ReceiverDeliver(Receiver, Batch, IsListEmpty(List));
    }

    return All;
}

/* TRUE: there are more. */
static BOOLEAN ReceiverPollRing(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PXENVIF_STATISTICS Batch)
{
    ULONG Turns = RING_ENTRIES / RECEIVER_TURN;
    BOOLEAN More;

    if ((ReadAcquire(&Receiver->Awaited) & RECEIVER_AWAITS_ROOM) != 0 || !ReceiverDeliver(Receiver, Batch, TRUE))
        return FALSE;

    do {
        LIST_ENTRY List;

        More = ReceiverTakeFrames(Receiver, &List);

        if (!ReceiverPassOn(Receiver, Batch, &List))
            return FALSE;
    } while (More && --Turns != 0);

    return ReceiverSleep(Receiver);
}

ULONG ReceiverPoll(_Inout_ PXENVIF_RECEIVER Receiver, _Out_ PBOOLEAN More)
{
    XENVIF_STATISTICS Batch;

    RtlZeroMemory(&Batch, sizeof(Batch));
    *More = ReceiverPollRing(Receiver, &Batch);
    StatisticsFlush(Receiver->Statistics, &Batch);

    /* Nobody else takes any. */
    return (ULONG)Receiver->Responses;
}

/* With the lock: ends a pause if enough has come back. TRUE: it did. */
static BOOLEAN ReceiverEndPause(_Inout_ PXENVIF_RECEIVER Receiver)
{
    if ((ReadAcquire(&Receiver->Awaited) & RECEIVER_AWAITS_ROOM) == 0)
        return FALSE;

    if (Receiver->Loaned > 0 && Receiver->Loaned + RECEIVER_PAUSE_RETURNS > Receiver->LoanedAtPause)
        return FALSE;

    return (InterlockedAnd(&Receiver->Awaited, ~RECEIVER_AWAITS_ROOM) & RECEIVER_AWAITS_ROOM) != 0;
}

/* Does with frames that have come back what they are awaited for. */
static VOID ReceiverUseReturns(_Inout_ PXENVIF_RECEIVER Receiver)
{
    BOOLEAN Resumed;
    KIRQL Irql;

    Irql = ReceiverLock(Receiver);

    ReceiverReclaim(Receiver);

    if (Receiver->Running)
        ReceiverUsePages(Receiver);

    Resumed = ReceiverEndPause(Receiver);

    ReceiverUnlock(Receiver, Irql);

    if (Resumed)
        PollerKick(Receiver->Poller, POLLER_RECEIVE);
}

VOID ReceiverReturnPacket(_In_ PVOID Cookie)
{
    PRECEIVER_PACKET Packet = Cookie;
    PXENVIF_RECEIVER Receiver = Packet->Receiver;
    PVOID First = ReadPointerAcquire(&Receiver->Returned);
    PVOID Next;

    do {
        Next = First;
        Packet->ListEntry.Flink = Next;
        First = InterlockedCompareExchangePointer(&Receiver->Returned, &Packet->ListEntry, Next);
    } while (First != Next);

    /* Behind the exchange: whoever awaits frames says so before looking for them. */
    if (ReadAcquire(&Receiver->Awaited) != 0)
        ReceiverUseReturns(Receiver);
}

VOID ReceiverSetOffloadOptions(_Inout_ PXENVIF_RECEIVER Receiver, _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options)
{
    WriteULongNoFence(&Receiver->OffloadOptions, Options.Value);
}

VOID ReceiverSetBackfillSize(_Inout_ PXENVIF_RECEIVER Receiver, _In_ ULONG Size)
{
    if (Size > RECEIVER_MAXIMUM_BACKFILL)
        Warning("vif %u: backfill of %u bytes, taken as %u", FrontendGetNumber(Receiver->Frontend), Size,
                (ULONG)RECEIVER_MAXIMUM_BACKFILL);

    WriteULongNoFence(&Receiver->BackfillSize, min(Size, (ULONG)RECEIVER_MAXIMUM_BACKFILL));
}

ULONG ReceiverHeadroom(_In_ PXENVIF_RECEIVER Receiver)
{
    return ReadULongNoFence(&Receiver->BackfillSize) + Receiver->IpAlignOffset;
}

BOOLEAN ReceiverAllowsLarge(_In_ PXENVIF_RECEIVER Receiver)
{
    return Receiver->AllowLarge;
}

ULONG ReceiverQueryRingSize(VOID)
{
    return RING_ENTRIES;
}

VOID ReceiverDebug(_In_ PXENVIF_RECEIVER Receiver)
{
    PXENBUS_DEBUG_INTERFACE_V1 Debug = &FrontendGetParent(Receiver->Frontend)->Debug;

    XENBUS_DEBUG_CALL(Debug, Printf, "RX: running %u broken %u awaited %x loaned %d pages %u", Receiver->Running,
                      Receiver->Broken, Receiver->Awaited, Receiver->Loaned + Receiver->Given, Receiver->Buffers.Count);
    XENBUS_DEBUG_CALL(Debug, Printf, "RX: req_prod %u (pushed %u) rsp_cons %u", Receiver->RequestProducer,
                      Receiver->RequestPushed, Receiver->ResponseConsumer);
    XENBUS_DEBUG_CALL(Debug, Printf, "RX: requests %llu responses %llu notifications %llu suppressed %llu",
                      Receiver->Requests, Receiver->Responses, Receiver->Notifications, Receiver->Suppressed);
}
