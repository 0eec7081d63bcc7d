#include "bug.h"
#include "frontend.h"
#include "receiver_ring.h"

/* Slots of data of one frame, at most: a frontend that says nothing of its limits takes these, as Linux's does. */
#define RECEIVER_MAXIMUM_SLOTS (XEN_NETIF_NR_SLOTS_MIN + 1)

/* Bytes of one frame, at most. Longer than the MTU allows is found out later; this only bounds what is kept. */
#define RECEIVER_MAXIMUM_SIZE 0xFFFF

/* Flags that mean something in a response of data, and are accepted. */
#define RECEIVER_FLAGS (NETRXF_data_validated | NETRXF_csum_blank | NETRXF_more_data | NETRXF_extra_info)

/* A frame of the usual MTU is copied: to end its page's grant and to make another one takes longer. */
#define RECEIVER_COPY_SIZE 1536

/* Requests of which the backend is told at once: it works while pages are made ready for the others. */
#define RECEIVER_PUSH_BATCH (RING_ENTRIES / 2)

/* Pages for a frame of any length. Below so many on the ring, with none to be had, a timer looks for more. */
#define RECEIVER_LOW_WATER (RING_ENTRIES / 8)
#define RECEIVER_STARVED_TIME 50 /* ms */

/* Pages that have come back to a low ring and are put there by themselves: a large frame's. */
#define RECEIVER_FILL_BATCH (RING_ENTRIES / 16)

/* Pages that have come back to a low ring, and are too few to be put there by themselves, are put there after so long.
 */
#define RECEIVER_WITHHELD_TIME 2 /* ms */

/* One response, however it is to be understood. */
typedef union _RECEIVER_RESPONSE {
    ULONG64 Value;
    netif_rx_response_t Data;
    netif_extra_info_t Extra;
} RECEIVER_RESPONSE;

C_ASSERT(sizeof(union netif_rx_sring_entry) == sizeof(ULONG64));
C_ASSERT(sizeof(RECEIVER_RESPONSE) == sizeof(ULONG64));

/* The backend breaks the protocol. From here on nothing that it writes is looked at. */
static VOID ReceiverBreak(_Inout_ PXENVIF_RECEIVER Receiver, _In_ PCSTR Reason, _In_ ULONG Value)
{
    Receiver->Running = FALSE;
    Receiver->Broken = TRUE;

    FrontendBreak(Receiver->Frontend, Reason, Value);
}

static VOID ReceiverPush(_Inout_ PXENVIF_RECEIVER Receiver)
{
    BOOLEAN Notify;

    if (Receiver->RequestProducer == Receiver->RequestPushed)
        return;

    Notify = RingPushRequests(Receiver->Ring, Receiver->RequestPushed, Receiver->RequestProducer);
    Receiver->RequestPushed = Receiver->RequestProducer;

    /* Before both sides are connected there is nobody to notify; ReceiverEnable makes up for it. */
    if (Notify && Receiver->Running) {
        PollerSend(Receiver->Poller, POLLER_RECEIVE);
        Receiver->Notifications++;
    } else {
        Receiver->Suppressed++;
    }
}

/* Puts a page that is granted, and in which nobody but the backend has written, on the ring, which has room. */
static VOID ReceiverPutRequest(_Inout_ PXENVIF_RECEIVER Receiver, _In_ PXENVIF_BUFFER Buffer)
{
    ULONG Id = RING_INDEX(Receiver->RequestProducer);
    netif_rx_request_t *Request;

    ASSERT(Receiver->Slots[Id] == NULL);
    Receiver->Slots[Id] = Buffer;

    Request = RingEntry(Receiver->Ring, Receiver->RequestProducer, sizeof(union netif_rx_sring_entry));
    Request->id = (USHORT)Id;
    Request->pad = 0;
    Request->gref = Buffer->Reference;

    Receiver->RequestProducer++;
    Receiver->Requests++;

    if (Receiver->RequestProducer - Receiver->RequestPushed >= RECEIVER_PUSH_BATCH)
        ReceiverPush(Receiver);
}

/* Puts one page on the ring, zeroed and granted. */
static BOOLEAN ReceiverPost(_Inout_ PXENVIF_RECEIVER Receiver)
{
    PXENVIF_BUFFER Buffer;

    Buffer = ReceiverGetBuffer(Receiver);
    if (Buffer == NULL)
        return FALSE;

    BufferScrub(Buffer, 0);

    if (!NT_SUCCESS(GranterPermitBuffer(Receiver->Granter, Buffer, FALSE))) {
        BufferPoolPut(&Receiver->Buffers, Buffer);
        return FALSE;
    }

    Buffer->Generation = Receiver->Generation;
    ReceiverPutRequest(Receiver, Buffer);

    return TRUE;
}

static ULONG ReceiverRequestsOut(_In_ PXENVIF_RECEIVER Receiver)
{
    return Receiver->RequestProducer - Receiver->ResponseConsumer;
}

static BOOLEAN ReceiverIsLow(_In_ PXENVIF_RECEIVER Receiver)
{
    return ReceiverRequestsOut(Receiver) < RING_ENTRIES / 2;
}

/* Has frames that come back put on the ring at once if it is low. TRUE: one has come back already. */
static BOOLEAN ReceiverAwaitPages(_Inout_ PXENVIF_RECEIVER Receiver)
{
    if (ReceiverIsLow(Receiver)) {
        (VOID) InterlockedOr(&Receiver->Awaited, RECEIVER_AWAITS_PAGES);
        return ReceiverHasReturns(Receiver);
    }

    if ((ReadAcquire(&Receiver->Awaited) & RECEIVER_AWAITS_PAGES) != 0)
        (VOID) InterlockedAnd(&Receiver->Awaited, ~RECEIVER_AWAITS_PAGES);

    return FALSE;
}

/* Puts pages on the ring wherever there is room. */
static VOID ReceiverPostPages(_Inout_ PXENVIF_RECEIVER Receiver)
{
    Receiver->Withheld = FALSE;

    do {
        while (ReceiverRequestsOut(Receiver) < RING_ENTRIES && ReceiverPost(Receiver))
            ;
    } while (ReceiverAwaitPages(Receiver));

    /* Nothing else may ever bring a nearly empty ring back to life, but for a pause's timer, which expires before. */
    if (ReceiverRequestsOut(Receiver) < RECEIVER_LOW_WATER &&
        (ReadAcquire(&Receiver->Awaited) & RECEIVER_AWAITS_ROOM) == 0)
        ReceiverSetTimer(Receiver, RECEIVER_STARVED_TIME);
}

VOID ReceiverRingFill(_Inout_ PXENVIF_RECEIVER Receiver)
{
    ReceiverPostPages(Receiver);
    ReceiverPush(Receiver);
}

/* Whether there are enough pages, on a ring that is low, to put them there by themselves. */
static BOOLEAN ReceiverHasEnough(_In_ PXENVIF_RECEIVER Receiver)
{
    ULONG Out = ReceiverRequestsOut(Receiver);
    ULONG Free = Receiver->Buffers.FreeCount;

    if (Out == 0 || Free >= RECEIVER_FILL_BATCH)
        return TRUE;

    return Out < RECEIVER_LOW_WATER && Out + Free >= RECEIVER_LOW_WATER;
}

VOID ReceiverUsePages(_Inout_ PXENVIF_RECEIVER Receiver)
{
    if (!ReceiverIsLow(Receiver))
        return;

    if (ReceiverHasEnough(Receiver)) {
        ReceiverRingFill(Receiver);
    } else if (!Receiver->Withheld) {
        Receiver->Withheld = TRUE;
        ReceiverSetTimer(Receiver, RECEIVER_WITHHELD_TIME);
    }
}

static VOID ReceiverDropAssembly(_Inout_ PXENVIF_RECEIVER Receiver)
{
    RECEIVER_ASSEMBLY *Assembly = &Receiver->Assembly;

    if (Assembly->Packet != NULL) {
        ReceiverPutPacket(Receiver, Assembly->Packet);
        Assembly->Packet = NULL;
    }
}

/* The frame's last slot has been taken. */
static VOID ReceiverEndFrame(_Inout_ PXENVIF_RECEIVER Receiver)
{
    RECEIVER_ASSEMBLY *Assembly = &Receiver->Assembly;

    if (Assembly->Bad) {
        StatisticsAdd(Receiver->Statistics, XENVIF_RECEIVER_BACKEND_ERRORS, 1);
        ReceiverDropAssembly(Receiver);
    } else if (Assembly->Starved) {
        StatisticsAdd(Receiver->Statistics, XENVIF_RECEIVER_FRONTEND_ERRORS, 1);
        ReceiverDropAssembly(Receiver);
    } else {
        InsertTailList(&Receiver->Ready, &Assembly->Packet->ListEntry);
    }

    RtlZeroMemory(Assembly, sizeof(RECEIVER_ASSEMBLY));
}

static VOID ReceiverStartFrame(_Inout_ PXENVIF_RECEIVER Receiver, _In_ USHORT Flags)
{
    RECEIVER_ASSEMBLY *Assembly = &Receiver->Assembly;

    Assembly->Started = TRUE;
    Assembly->Extra = (Flags & NETRXF_extra_info) != 0;

    Assembly->Packet = ReceiverGetPacket(Receiver);
    if (Assembly->Packet == NULL) {
        Assembly->Starved = TRUE;
        return;
    }

    Assembly->Packet->Length = 0;
    Assembly->Packet->SlotFlags = Flags;
    Assembly->Packet->GsoType = XEN_NETIF_GSO_TYPE_NONE;
    Assembly->Packet->MaximumSegmentSize = 0;
    Assembly->Packet->TagControlInformation = 0;
    Assembly->Packet->Large = FALSE;
    Assembly->Packet->Segmentation.Count = 0;
    Assembly->Packet->Hash.Algorithm = XENVIF_PACKET_HASH_ALGORITHM_NONE;
    Assembly->Packet->Hash.Type = XENVIF_PACKET_HASH_TYPE_NONE;
    Assembly->Packet->Hash.Value = 0;
}

/* Whether a slot of data is one that a backend may send to us, as this frame's next. */
static BOOLEAN ReceiverCheckSlot(_In_ const RECEIVER_ASSEMBLY *Assembly, _In_ const netif_rx_response_t *Response)
{
    if (Response->status <= 0)
        return FALSE;

    if ((ULONG)Response->offset + (ULONG)Response->status > PAGE_SIZE)
        return FALSE;

    /* GSO prefixes, for one, were not offered. */
    if ((Response->flags & ~RECEIVER_FLAGS) != 0)
        return FALSE;

    if (Assembly->Slots > RECEIVER_MAXIMUM_SLOTS)
        return FALSE;

    return Assembly->Packet == NULL || Assembly->Packet->Length + (ULONG)Response->status <= RECEIVER_MAXIMUM_SIZE;
}

/*
 * Takes a small frame of one slot, of which the client gets a copy, and puts its page, which stays granted, on the ring
 * again, as it is: nobody but the backend has written there, which may do so all the time: nothing is read twice.
 * FALSE: it is no such frame, or there is no page for the copy.
 */
static BOOLEAN ReceiverCopyFrame(_Inout_ PXENVIF_RECEIVER Receiver, _In_ PXENVIF_BUFFER Buffer,
                                 _In_ const netif_rx_response_t *Response, _In_ ULONG Headroom)
{
    RECEIVER_ASSEMBLY *Assembly = &Receiver->Assembly;
    PRECEIVER_PACKET Packet;
    PXENVIF_BUFFER Copy;

    if (Assembly->Started || (ULONG)Response->status > min((ULONG)RECEIVER_COPY_SIZE, PAGE_SIZE - Headroom) ||
        (Response->flags & (NETRXF_more_data | NETRXF_extra_info)) != 0 || !ReceiverCheckSlot(Assembly, Response))
        return FALSE;

    Copy = ReceiverGetBuffer(Receiver);
    if (Copy == NULL)
        return FALSE;

    ReceiverStartFrame(Receiver, Response->flags);
    Packet = Assembly->Packet;

    if (Packet != NULL) {
        Copy->Generation = Receiver->Generation;
        Copy->Offset = Headroom;
        Copy->Length = (ULONG)Response->status;
        RtlCopyMemory(Copy->Address + Copy->Offset, Buffer->Address + Response->offset, Copy->Length);
        BufferTouch(Copy, Copy->Offset + Copy->Length);

        InsertTailList(&Packet->Buffers, &Copy->ListEntry);
        Packet->Length = Copy->Length;
    } else {
        BufferPoolPut(&Receiver->Buffers, Copy);
    }

    BufferTouch(Buffer, (ULONG)Response->offset + (ULONG)Response->status);
    ReceiverPutRequest(Receiver, Buffer);
    Receiver->Copied++;

    ReceiverEndFrame(Receiver);

    return TRUE;
}

/* Takes a slot of data. Buffer is its page, or NULL if the backend has it mapped still. FALSE: the protocol is broken.
 */
static BOOLEAN ReceiverTakeData(_Inout_ PXENVIF_RECEIVER Receiver, _In_opt_ PXENVIF_BUFFER Buffer,
                                _In_ const netif_rx_response_t *Response)
{
    RECEIVER_ASSEMBLY *Assembly = &Receiver->Assembly;

    if (!Assembly->Started)
        ReceiverStartFrame(Receiver, Response->flags);
    else if (Response->flags & NETRXF_extra_info)
        goto broken; /* nobody can tell what the next slot is */

    if (++Assembly->Slots > RING_ENTRIES)
        goto broken;

    Assembly->More = (Response->flags & NETRXF_more_data) != 0;

    if (Buffer == NULL || !ReceiverCheckSlot(Assembly, Response))
        Assembly->Bad = TRUE;

    if (Assembly->Bad)
        ReceiverDropAssembly(Receiver);

    if (Assembly->Packet != NULL) {
        Buffer->Offset = Response->offset;
        Buffer->Length = (ULONG)Response->status;
        BufferTouch(Buffer, Buffer->Offset + Buffer->Length);

        InsertTailList(&Assembly->Packet->Buffers, &Buffer->ListEntry);
        Assembly->Packet->Length += Buffer->Length;
    } else if (Buffer != NULL) {
        BufferTouch(Buffer, PAGE_SIZE);
        ReceiverPutBuffer(Receiver, Buffer);
    }

    if ((Response->flags & NETRXF_more_data) == 0 && !Assembly->Extra)
        ReceiverEndFrame(Receiver);

    return TRUE;

broken:
    if (Buffer != NULL)
        ReceiverPutBuffer(Receiver, Buffer);
    ReceiverBreak(Receiver, "receive frame that does not end, or has extra info in a later slot", Response->flags);

    return FALSE;
}

/* FALSE: it was not offered, or makes no sense. */
static BOOLEAN ReceiverReadGso(_In_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet,
                               _In_ const netif_extra_info_t *Extra)
{
    if (!Receiver->AllowLarge || Packet->GsoType != XEN_NETIF_GSO_TYPE_NONE || Extra->u.gso.size == 0)
        return FALSE;

    if (Extra->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV4 && Extra->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV6)
        return FALSE;

    Packet->GsoType = Extra->u.gso.type;
    Packet->MaximumSegmentSize = Extra->u.gso.size;

    return TRUE;
}

/* Likewise: the hash that the backend has made of a frame. */
static BOOLEAN ReceiverReadHash(_In_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet,
                                _In_ const netif_extra_info_t *Extra)
{
    if (!FrontendIsHashing(Receiver->Frontend))
        return FALSE;

    if (Packet->Hash.Algorithm != XENVIF_PACKET_HASH_ALGORITHM_NONE ||
        Extra->u.hash.algorithm != XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ ||
        Extra->u.hash.type > _XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP)
        return FALSE;

    /* It was on its way when the client ceased to want hashes. */
    if (!FrontendWantsHash(Receiver->Frontend))
        return TRUE;

    Packet->Hash.Algorithm = XENVIF_PACKET_HASH_ALGORITHM_TOEPLITZ;
    Packet->Hash.Type = (XENVIF_PACKET_HASH_TYPE)(Extra->u.hash.type + 1);
    RtlCopyMemory(&Packet->Hash.Value, Extra->u.hash.value, sizeof(Packet->Hash.Value));

    return TRUE;
}

static BOOLEAN ReceiverReadExtra(_In_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet,
                                 _In_ const netif_extra_info_t *Extra)
{
    switch (Extra->type) {
    case XEN_NETIF_EXTRA_TYPE_GSO:
        return ReceiverReadGso(Receiver, Packet, Extra);
    case XEN_NETIF_EXTRA_TYPE_HASH:
        return ReceiverReadHash(Receiver, Packet, Extra);
    default:
        return FALSE;
    }
}

/* Takes a slot of extra info. One that was not offered spoils the frame. FALSE: the protocol is broken. */
static BOOLEAN ReceiverTakeExtra(_Inout_ PXENVIF_RECEIVER Receiver, _In_opt_ PXENVIF_BUFFER Buffer,
                                 _In_ const netif_extra_info_t *Extra)
{
    RECEIVER_ASSEMBLY *Assembly = &Receiver->Assembly;

    Assembly->Extra = (Extra->flags & XEN_NETIF_EXTRA_FLAG_MORE) != 0;

    if (Assembly->Packet != NULL && !ReceiverReadExtra(Receiver, Assembly->Packet, Extra))
        Assembly->Bad = TRUE;

    if (Assembly->Bad)
        ReceiverDropAssembly(Receiver);

    if (Buffer != NULL) {
        BufferTouch(Buffer, PAGE_SIZE);
        ReceiverPutBuffer(Receiver, Buffer);
    }

    /* Each type occurs once in a frame. */
    if (++Assembly->Extras >= XEN_NETIF_EXTRA_TYPE_MAX) {
        ReceiverBreak(Receiver, "receive frame whose extra info does not end", Extra->type);
        return FALSE;
    }

    if (!Assembly->More && !Assembly->Extra)
        ReceiverEndFrame(Receiver);

    return TRUE;
}

/* Takes one response. FALSE: it breaks the protocol. */
static BOOLEAN ReceiverTakeResponse(_Inout_ PXENVIF_RECEIVER Receiver, _In_ ULONG Headroom)
{
    ULONG Id = RING_INDEX(Receiver->ResponseConsumer);
    RECEIVER_RESPONSE Copy;
    PXENVIF_BUFFER Buffer;

    Copy.Value = ReadULong64NoFence((PULONG64)RingEntry(Receiver->Ring, Receiver->ResponseConsumer, sizeof(Copy)));

    /* A response lies where its request was, or extra info could not be told from it (xen/io/netif.h). */
    if (!Receiver->Assembly.Extra && Copy.Data.id != Id) {
        ReceiverBreak(Receiver, "receive response with an ID that is not its request's", Copy.Data.id);
        return FALSE;
    }

    Buffer = Receiver->Slots[Id];
    Receiver->Slots[Id] = NULL;
    Receiver->ResponseConsumer++;
    Receiver->Responses++;

    if (!Receiver->Assembly.Extra && ReceiverCopyFrame(Receiver, Buffer, &Copy.Data, Headroom))
        return TRUE;

    /* The frontend's thread tries again to get the page back. */
    if (!GranterRevokeBuffer(Receiver->Granter, Buffer)) {
        BufferPoolForget(&Receiver->Buffers);
        Buffer = NULL;
        FrontendWake(Receiver->Frontend);

        if (GranterIsOverheld(Receiver->Granter, 0)) {
            ReceiverBreak(Receiver, "receive pages that are answered and still mapped, more than", GRANTER_HELD_CAP);
            return FALSE;
        }
    }

    return Receiver->Assembly.Extra ? ReceiverTakeExtra(Receiver, Buffer, &Copy.Extra)
                                    : ReceiverTakeData(Receiver, Buffer, &Copy.Data);
}

/* Notes what the next turn is to copy, if nothing changes: that turn takes no response by what is read here. */
static VOID ReceiverNoteAhead(_Inout_ PXENVIF_RECEIVER Receiver)
{
    RECEIVER_AHEAD *Ahead = &Receiver->Ahead;
    ULONG Count = RingResponseProducer(Receiver->Ring) - Receiver->ResponseConsumer;
    ULONG Index;

    /* Whatever the backend says: so many have pages. */
    Count = min(Count, Receiver->RequestPushed - Receiver->ResponseConsumer);
    Count = min(Count, (ULONG)RECEIVER_TURN);

    Ahead->Count = Ahead->Next = Ahead->Offset = 0;

    for (Index = 0; Index < Count; Index++) {
        RECEIVER_RESPONSE Copy;

        Copy.Value =
            ReadULong64NoFence((PULONG64)RingEntry(Receiver->Ring, Receiver->ResponseConsumer + Index, sizeof(Copy)));
        if (Copy.Data.status <= 0 || Copy.Data.status > RECEIVER_COPY_SIZE)
            continue;

        Ahead->Frames[Ahead->Count].Address = Receiver->Slots[RING_INDEX(Receiver->ResponseConsumer + Index)]->Address;
        Ahead->Frames[Ahead->Count++].Length = (ULONG)Copy.Data.status;
    }
}

BOOLEAN ReceiverRingPoll(_Inout_ PXENVIF_RECEIVER Receiver)
{
    ULONG Headroom = ReceiverHeadroom(Receiver);
    ULONG Left = RING_ENTRIES; /* responses to what the backend is told of meanwhile could be taken without end */

    Receiver->Copied = 0;

    while (Left != 0 && Receiver->Copied < RECEIVER_TURN) {
        ULONG Producer = RingResponseProducer(Receiver->Ring);
        ULONG Count = Producer - Receiver->ResponseConsumer;

        if (Count > Receiver->RequestPushed - Receiver->ResponseConsumer) {
            ReceiverBreak(Receiver, "receive responses ahead of the requests", Producer);
            return FALSE;
        }

        if (Count == 0)
            break;

        for (Count = min(Count, Left); Count != 0 && Receiver->Copied < RECEIVER_TURN; Count--, Left--)
            if (!ReceiverTakeResponse(Receiver, Headroom))
                return FALSE;
    }

    ReceiverPostPages(Receiver);
    ReceiverNoteAhead(Receiver);

    if (Receiver->Copied == RECEIVER_TURN)
        return TRUE;

    ReceiverPush(Receiver);

    return FALSE;
}

BOOLEAN ReceiverRingSleep(_Inout_ PXENVIF_RECEIVER Receiver)
{
    if (!Receiver->Running)
        return FALSE;

    if (RingResponseProducer(Receiver->Ring) != Receiver->ResponseConsumer)
        return TRUE;

    ReceiverPush(Receiver);
    RingRequestEvent(Receiver->Ring, Receiver->ResponseConsumer + 1);

    return RingResponseProducer(Receiver->Ring) != Receiver->ResponseConsumer;
}

VOID ReceiverRingClear(_Inout_ PXENVIF_RECEIVER Receiver)
{
    ULONG Id;

    ReceiverDropAssembly(Receiver);
    RtlZeroMemory(&Receiver->Assembly, sizeof(RECEIVER_ASSEMBLY));

    for (Id = 0; Id < RING_ENTRIES; Id++) {
        PXENVIF_BUFFER Buffer = Receiver->Slots[Id];

        if (Buffer == NULL)
            continue;

        Receiver->Slots[Id] = NULL;

        if (GranterRevokeBuffer(Receiver->Granter, Buffer)) {
            BufferTouch(Buffer, PAGE_SIZE);
            ReceiverPutBuffer(Receiver, Buffer);
        } else {
            BufferPoolForget(&Receiver->Buffers);
        }
    }

    Receiver->RequestProducer = 0;
    Receiver->RequestPushed = 0;
    Receiver->ResponseConsumer = 0;
}
