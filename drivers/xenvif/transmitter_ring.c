#include "bug.h"
#include "frontend.h"
#include "transmitter_ring.h"

/* Requests of which the backend is told at once: it works while others are made. */
#define TRANSMITTER_PUSH_BATCH (RING_ENTRIES / 4)

/* Of a page that is copied over so much is fetched before it is taken, and the rest then. */
#define TRANSMITTER_FETCH_FIRST 768

/* What is copied over is in the backend's processor, which has read it. */
static VOID TransmitterFetch(_In_ const XENVIF_BUFFER *Buffer, _In_ ULONG From, _In_ ULONG To)
{
    ULONG Offset;

    for (Offset = From; Offset < min(Buffer->Dirty, To); Offset += SYSTEM_CACHE_ALIGNMENT_SIZE)
        PrefetchForWrite(Buffer->Address + Offset);
}

/* The next packet's first page is on its way while nothing is copied: a processor waits for few lines at a time. */
static VOID TransmitterFetchAhead(_In_ PXENVIF_TRANSMITTER Transmitter)
{
    const XENVIF_BUFFER *Next = BufferPoolPeek(&Transmitter->Buffers);

    if (Next != NULL)
        TransmitterFetch(Next, 0, TRANSMITTER_FETCH_FIRST);
}

PXENVIF_BUFFER TransmitterGetBuffer(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    PXENVIF_BUFFER Buffer = BufferPoolGet(&Transmitter->Buffers);

    if (Buffer != NULL)
        TransmitterFetch(Buffer, TRANSMITTER_FETCH_FIRST, PAGE_SIZE);

    return Buffer;
}

NTSTATUS TransmitterGrantBuffer(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PXENVIF_BUFFER Buffer,
                                _In_ ULONG Length)
{
    BufferScrub(Buffer, Length);

    return (Buffer->Grant != NULL) ? STATUS_SUCCESS : GranterPermitBuffer(Transmitter->Granter, Buffer, TRUE);
}

VOID TransmitterPutBuffer(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ PXENVIF_BUFFER Buffer)
{
    BufferPoolPut(&Transmitter->Buffers, Buffer);
}

VOID TransmitterFreeBuffers(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    PXENVIF_BUFFER Buffer;

    while ((Buffer = BufferPoolRemove(&Transmitter->Buffers)) != NULL)
        if (Buffer->Grant == NULL || GranterRevokeBuffer(Transmitter->Granter, Buffer))
            BufferFree(Buffer);
}

/* Whether nothing but the packet is in the page of a piece, in front of which Before bytes of the packet lie. */
static BOOLEAN TransmitterFillsPage(_In_ const TRANSMITTER_PIECE *Piece, _In_ ULONG Before)
{
    return Piece->PageOffset <= Before && Piece->PageOffset + Piece->Length == PAGE_SIZE;
}

/* What of the client's packet goes out as it lies in the chain. How many bytes of the packet lie in front of that. */
static ULONG TransmitterCursorOfRest(_In_ const TRANSMITTER_DESCRIPTION *Description, _Out_ PTRANSMITTER_CURSOR Cursor)
{
    ULONG Offset = Description->Offset + Description->FrontSource;

    TransmitterCursorInitialize(Cursor, Description->Mdl, Offset, Description->Length - Description->FrontSource);

    return (Offset < MmGetMdlByteCount(Description->Mdl)) ? Description->FrontSource : 0;
}

/* Bytes of the frame that goes out. */
static ULONG TransmitterFrameLength(_In_ const TRANSMITTER_DESCRIPTION *Description)
{
    return Description->Length - Description->HeadersSource + Description->HeadersLength;
}

/* How many slots a packet takes if pages that it fills are granted in place and what lies between them is copied. */
static ULONG TransmitterCountInPlace(_In_ const TRANSMITTER_DESCRIPTION *Description)
{
    TRANSMITTER_CURSOR Cursor;
    TRANSMITTER_PIECE Piece;
    ULONG Count = 1;
    ULONG Room = PAGE_SIZE - Description->FrontLength; /* in the copy that is being filled */
    ULONG Before = TransmitterCursorOfRest(Description, &Cursor);

    for (; TransmitterNextPiece(&Cursor, PAGE_SIZE, &Piece); Before = 0) {
        if (TransmitterFillsPage(&Piece, Before)) {
            Count++;
            Room = 0;
            continue;
        }

        if (Piece.Length > Room) {
            Count++;
            Room += PAGE_SIZE;
        }
        Room -= Piece.Length;
    }

    return Count;
}

static NTSTATUS TransmitterAddInPlace(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet,
                                      _In_ const TRANSMITTER_PIECE *Piece)
{
    PTRANSMITTER_FRAGMENT Fragment = &Packet->Fragments[Packet->FragmentCount];
    NTSTATUS Status;

    Fragment->Buffer = NULL;
    Fragment->Offset = (USHORT)Piece->PageOffset;
    Fragment->Length = (USHORT)Piece->Length;

    Status = GranterPermit(Transmitter->Granter, Piece->Pfn, TRUE, &Fragment->Grant);
    if (!NT_SUCCESS(Status)) {
        /* Copies that are not in use may have all the grants that there are. */
        TransmitterFreeBuffers(Transmitter);
        Status = GranterPermit(Transmitter->Granter, Piece->Pfn, TRUE, &Fragment->Grant);
    }
    if (NT_SUCCESS(Status))
        Packet->FragmentCount++;

    return Status;
}

/* Grants the packet's copies, of which nothing but the packet's bytes is other than zero. */
static NTSTATUS TransmitterGrantCopies(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    NTSTATUS Status;
    ULONG Index;

    for (Index = 0; Index < Packet->FragmentCount; Index++) {
        PTRANSMITTER_FRAGMENT Fragment = &Packet->Fragments[Index];

        if (Fragment->Buffer == NULL)
            continue;

        Status = TransmitterGrantBuffer(Transmitter, Fragment->Buffer, Fragment->Length);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    return STATUS_SUCCESS;
}

/* A fragment for data that is copied, empty as yet. It is granted when it is full or the packet is complete. */
static inline PTRANSMITTER_FRAGMENT TransmitterAddCopy(_Inout_ PXENVIF_TRANSMITTER Transmitter,
                                                       _Inout_ PTRANSMITTER_PACKET Packet)
{
    PTRANSMITTER_FRAGMENT Fragment = &Packet->Fragments[Packet->FragmentCount];

    Fragment->Buffer = TransmitterGetBuffer(Transmitter);
    if (Fragment->Buffer == NULL)
        return NULL;

    Fragment->Grant = NULL;
    Fragment->Offset = 0;
    Fragment->Length = 0;
    Packet->FragmentCount++;

    return Fragment;
}

/* Copies bytes to the end of the packet's fragments. */
static inline NTSTATUS TransmitterCopy(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet,
                                       _In_reads_(Size) const UCHAR *Source, _In_ ULONG Size)
{
    PTRANSMITTER_FRAGMENT Fragment = NULL;
    ULONG Done = 0;

    if (Packet->FragmentCount != 0)
        Fragment = &Packet->Fragments[Packet->FragmentCount - 1];

    while (Done < Size) {
        ULONG Length;

        if (Fragment == NULL || Fragment->Buffer == NULL || Fragment->Length == PAGE_SIZE) {
            Fragment = TransmitterAddCopy(Transmitter, Packet);
            if (Fragment == NULL)
                return STATUS_INSUFFICIENT_RESOURCES;
        }

        Length = min(Size - Done, (ULONG)PAGE_SIZE - Fragment->Length);
        RtlCopyMemory(Fragment->Buffer->Address + Fragment->Length, Source + Done, Length);

        Fragment->Length = (USHORT)(Fragment->Length + Length);
        BufferTouch(Fragment->Buffer, Fragment->Length);
        Done += Length;
    }

    return STATUS_SUCCESS;
}

BOOLEAN TransmitterReleaseFragments(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    PTRANSMITTER_FRAGMENT End = &Packet->Fragments[Packet->FragmentCount];
    PTRANSMITTER_FRAGMENT Fragment;
    BOOLEAN Released = TRUE;

    for (Fragment = Packet->Fragments; Fragment != End; Fragment++) {
        if (Fragment->Grant != NULL) {
            if (!NT_SUCCESS(GranterRevoke(Transmitter->Granter, Fragment->Grant))) {
                Released = FALSE; /* the backend has the client's page mapped */
                continue;
            }
            Fragment->Grant = NULL;
        }

        if (Fragment->Buffer != NULL) {
            TransmitterPutBuffer(Transmitter, Fragment->Buffer);
            Fragment->Buffer = NULL;
        }
    }

    if (Released)
        Packet->FragmentCount = 0;

    return Released;
}

static NTSTATUS TransmitterMakeFragments(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet,
                                         _In_ BOOLEAN InPlace)
{
    const TRANSMITTER_DESCRIPTION *Description = &Packet->Description;
    TRANSMITTER_CURSOR Cursor;
    TRANSMITTER_PIECE Piece;
    NTSTATUS Status;
    ULONG Before;

    /* The headers lie together in the first slot, whatever the client's chain looks like. */
    Status = TransmitterCopy(Transmitter, Packet, Description->Header, Description->FrontLength);
    if (!NT_SUCCESS(Status))
        return Status;

    Before = TransmitterCursorOfRest(Description, &Cursor);

    for (; TransmitterNextPiece(&Cursor, PAGE_SIZE, &Piece); Before = 0) {
        if (InPlace && TransmitterFillsPage(&Piece, Before))
            Status = TransmitterAddInPlace(Transmitter, Packet, &Piece);
        else
            Status = TransmitterCopy(Transmitter, Packet, Piece.Address, Piece.Length);

        if (!NT_SUCCESS(Status))
            return Status;
    }

    return TransmitterGrantCopies(Transmitter, Packet);
}

/*
 * Makes a packet's fragments, granted and ready to be named in requests. A packet that would take too many slots in
 * place is copied as a whole: 64 KiB fit into 16 pages.
 */
static NTSTATUS TransmitterPrepareFragments(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    ULONG Length = TransmitterFrameLength(&Packet->Description);
    BOOLEAN Gather = (Transmitter->Features & TRANSMITTER_GATHER) != 0;
    BOOLEAN InPlace;

    C_ASSERT((XEN_NETIF_MAX_TX_SIZE + PAGE_SIZE - 1) / PAGE_SIZE <= TRANSMITTER_MAXIMUM_SLOTS);

    if (!Gather && Length > PAGE_SIZE) {
        Warning("a packet of %u bytes, and the backend takes one page", Length);
        return STATUS_INVALID_BUFFER_SIZE;
    }

    InPlace = Gather && !Transmitter->AlwaysCopy && Length >= PAGE_SIZE &&
              TransmitterCountInPlace(&Packet->Description) <= TRANSMITTER_MAXIMUM_SLOTS;

    return TransmitterMakeFragments(Transmitter, Packet, InPlace);
}

/* Whether the packet, being large, has more than one segment in it. */
static BOOLEAN TransmitterIsCut(_In_ const TRANSMITTER_DESCRIPTION *Description)
{
    return Description->MaximumSegmentSize != 0 &&
           Description->Length - Description->HeadersSource > Description->MaximumSegmentSize;
}

/* A hash goes along if the backend takes such hashes and the client has one. */
static BOOLEAN TransmitterHasHash(_In_ PXENVIF_TRANSMITTER Transmitter, _In_ const TRANSMITTER_DESCRIPTION *Description)
{
    const XENVIF_PACKET_HASH *Hash = &Description->Hash;

    return Hash->Algorithm == XENVIF_PACKET_HASH_ALGORITHM_TOEPLITZ && Hash->Type > XENVIF_PACKET_HASH_TYPE_NONE &&
           Hash->Type <= XENVIF_PACKET_HASH_TYPE_IPV6_TCP && FrontendIsHashing(Transmitter->Frontend) &&
           FrontendWantsHash(Transmitter->Frontend);
}

/* Of a packet whose checksum is left to us: decides what is left to this connection's backend, and does the rest. */
static NTSTATUS TransmitterPrepareOffload(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    BOOLEAN Version4 = Packet->Description.Layout.IpVersion == 4;
    ULONG Checksum = Version4 ? TRANSMITTER_CHECKSUM_V4 : TRANSMITTER_CHECKSUM_V6;
    ULONG Large = Version4 ? TRANSMITTER_LARGE_V4 : TRANSMITTER_LARGE_V6;
    ULONG Features = Transmitter->Features;

    Packet->Blank = (Features & Checksum) != 0;

    if (TransmitterIsCut(&Packet->Description)) {
        /* A backend that cuts makes the checksums too, and takes what is as long as several pages. */
        if (!(Features & Large) || !(Features & Checksum) || !(Features & TRANSMITTER_GATHER))
            return TransmitterPrepareSegments(Transmitter, Packet);

        Packet->GsoType = Version4 ? XEN_NETIF_GSO_TYPE_TCPV4 : XEN_NETIF_GSO_TYPE_TCPV6;
    }

    TransmitterMakeChecksum(&Packet->Description, Packet->Blank);

    return STATUS_SUCCESS;
}

static NTSTATUS TransmitterPrepare(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    NTSTATUS Status = STATUS_SUCCESS;

    Packet->Prepared = TRUE;
    Packet->Posted = FALSE;
    Packet->Blank = FALSE;
    Packet->GsoType = XEN_NETIF_GSO_TYPE_NONE;
    Packet->Cut = FALSE;
    Packet->Hashed = TransmitterHasHash(Transmitter, &Packet->Description);

    if (TransmitterNeedsChecksum(&Packet->Description))
        Status = TransmitterPrepareOffload(Transmitter, Packet);

    /* What is cut has its pages segment by segment. */
    if (NT_SUCCESS(Status) && !Packet->Cut)
        Status = TransmitterPrepareFragments(Transmitter, Packet);

    return Status;
}

/* A request with nothing in it, and the address. */
#define TRANSMITTER_MULTICAST_SLOTS 2

static ULONG TransmitterFreeSlots(_In_ PXENVIF_TRANSMITTER Transmitter)
{
    return RING_ENTRIES - (Transmitter->RequestProducer - Transmitter->ResponseConsumer);
}

ULONG TransmitterRoom(_In_ PXENVIF_TRANSMITTER Transmitter)
{
    ULONG Free = TransmitterFreeSlots(Transmitter);
    ULONG Kept = Transmitter->MulticastWaits ? TRANSMITTER_MULTICAST_SLOTS : 0;

    return (Free > Kept) ? Free - Kept : 0;
}

/* The backend's processor has written its responses where requests go: those places are on their way. */
#define TRANSMITTER_ENTRIES_AHEAD 24

/* The next place on the ring, of which all is to be written. */
static inline PVOID TransmitterNextEntry(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    ULONG Size = sizeof(union netif_tx_sring_entry);

    PrefetchForWrite(RingEntry(Transmitter->Ring, Transmitter->RequestProducer + TRANSMITTER_ENTRIES_AHEAD, Size));

    return RingEntry(Transmitter->Ring, Transmitter->RequestProducer++, Size);
}

static netif_extra_info_t *TransmitterNextExtra(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    PVOID Entry = TransmitterNextEntry(Transmitter);

    RtlZeroMemory(Entry, sizeof(union netif_tx_sring_entry));

    return Entry;
}

ULONG TransmitterCountExtras(_In_ const TRANSMITTER_PACKET *Packet)
{
    return ((Packet->GsoType != XEN_NETIF_GSO_TYPE_NONE) ? 1 : 0) + (Packet->Hashed ? 1 : 0);
}

static VOID TransmitterPostExtras(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ const TRANSMITTER_PACKET *Packet,
                                  _In_ ULONG Left)
{
    netif_extra_info_t *Extra;

    C_ASSERT(sizeof(netif_extra_info_t) <= sizeof(union netif_tx_sring_entry));
    C_ASSERT(XENVIF_PACKET_HASH_TYPE_IPV4 - 1 == _XEN_NETIF_CTRL_HASH_TYPE_IPV4);
    C_ASSERT(XENVIF_PACKET_HASH_TYPE_IPV6_TCP - 1 == _XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP);

    Transmitter->Extras += Left;

    if (Packet->GsoType != XEN_NETIF_GSO_TYPE_NONE) {
        Extra = TransmitterNextExtra(Transmitter);
        Extra->type = XEN_NETIF_EXTRA_TYPE_GSO;
        Extra->flags = (--Left != 0) ? XEN_NETIF_EXTRA_FLAG_MORE : 0;
        Extra->u.gso.size = Packet->Description.MaximumSegmentSize;
        Extra->u.gso.type = Packet->GsoType;
    }

    if (Left != 0) {
        const XENVIF_PACKET_HASH *Hash = &Packet->Description.Hash;

        Extra = TransmitterNextExtra(Transmitter);
        Extra->type = XEN_NETIF_EXTRA_TYPE_HASH;
        Extra->u.hash.type = (UCHAR)(Hash->Type - 1);
        Extra->u.hash.algorithm = XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ;
        RtlCopyMemory(Extra->u.hash.value, &Hash->Value, sizeof(Extra->u.hash.value));
    }
}

static inline VOID TransmitterPostSlot(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ PTRANSMITTER_PACKET Packet,
                                       _In_ const TRANSMITTER_FRAGMENT *Fragment, _In_ USHORT Flags, _In_ ULONG Size,
                                       _In_ BOOLEAN Segment)
{
    netif_tx_request_t *Request = TransmitterNextEntry(Transmitter);
    USHORT Id = Transmitter->FreeIds[--Transmitter->FreeIdCount];
    PTRANSMITTER_SLOT Slot = &Transmitter->Slots[Id];

    Slot->Packet = Packet;
    Slot->Buffer = Segment ? Fragment->Buffer : NULL;

    Request->gref = (Fragment->Buffer != NULL) ? Fragment->Buffer->Reference
                                               : GranterReference(Transmitter->Granter, Fragment->Grant);
    Request->offset = Fragment->Offset;
    Request->flags = Flags;
    Request->id = Id;
    Request->size = (USHORT)Size;
}

/* The first request's size is that of the frame (xen/io/netif.h). */
VOID TransmitterPostFrame(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet,
                          _In_reads_(Count) const TRANSMITTER_FRAGMENT *Fragments, _In_ ULONG Count,
                          _In_ BOOLEAN Segment)
{
    ULONG Extras = TransmitterCountExtras(Packet);
    USHORT Flags = (Count > 1) ? NETTXF_more_data : 0;
    ULONG Length = Fragments[0].Length;
    ULONG Index;

    for (Index = 1; Index < Count; Index++)
        Length += Fragments[Index].Length;

    if (Packet->Blank && !Segment)
        Flags |= NETTXF_csum_blank | NETTXF_data_validated;
    if (Extras != 0)
        Flags |= NETTXF_extra_info;

    TransmitterPostSlot(Transmitter, Packet, &Fragments[0], Flags, Length, Segment);
    if (Extras != 0)
        TransmitterPostExtras(Transmitter, Packet, Extras);

    for (Index = 1; Index < Count; Index++)
        TransmitterPostSlot(Transmitter, Packet, &Fragments[Index], (Index + 1 < Count) ? NETTXF_more_data : 0,
                            Fragments[Index].Length, Segment);

    Packet->Unanswered += Count;
}

VOID TransmitterRingPush(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    if (Transmitter->RequestProducer == Transmitter->RequestPushed)
        return;

    Transmitter->Requests += Transmitter->RequestProducer - Transmitter->RequestPushed;

    if (RingPushRequests(Transmitter->Ring, Transmitter->RequestPushed, Transmitter->RequestProducer)) {
        PollerSend(Transmitter->Poller, POLLER_TRANSMIT);
        Transmitter->Notifications++;
    } else {
        Transmitter->Suppressed++;
    }

    Transmitter->RequestPushed = Transmitter->RequestProducer;
}

/* There is room. */
static VOID TransmitterPostMulticast(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ const ETHERNET_ADDRESS *Address,
                                     _In_ BOOLEAN Add)
{
    netif_tx_request_t *Request = TransmitterNextEntry(Transmitter);
    USHORT Id = Transmitter->FreeIds[--Transmitter->FreeIdCount];
    netif_extra_info_t *Extra;

    C_ASSERT(sizeof(Extra->u.mcast.addr) == sizeof(ETHERNET_ADDRESS));

    Transmitter->Slots[Id].Multicast = TRUE;
    Transmitter->MulticastUnanswered++;

    /* Nothing is granted: the backend looks at the extra info only (xen/io/netif.h: "dummy transmit requests"). */
    *Request = (netif_tx_request_t){.id = Id, .flags = NETTXF_extra_info};

    Extra = TransmitterNextExtra(Transmitter);
    Extra->type = Add ? XEN_NETIF_EXTRA_TYPE_MCAST_ADD : XEN_NETIF_EXTRA_TYPE_MCAST_DEL;
    RtlCopyMemory(Extra->u.mcast.addr, Address, sizeof(Extra->u.mcast.addr));
    Transmitter->Extras++;
}

BOOLEAN TransmitterSendMulticast(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ const ETHERNET_ADDRESS *Address,
                                 _In_ BOOLEAN Add)
{
    KIRQL Irql = TransmitterLock(Transmitter);
    BOOLEAN Room = Transmitter->Running && TransmitterFreeSlots(Transmitter) >= TRANSMITTER_MULTICAST_SLOTS;

    if (Room) {
        TransmitterPostMulticast(Transmitter, Address, Add);
        TransmitterRingPush(Transmitter);
    }
    Transmitter->MulticastWaits = !Room;

    TransmitterUnlock(Transmitter, Irql);

    return Room;
}

TRANSMITTER_MULTICAST_STATE TransmitterQueryMulticast(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    TRANSMITTER_MULTICAST_STATE State = TRANSMITTER_MULTICAST_KNOWN;
    KIRQL Irql = TransmitterLock(Transmitter);

    if (Transmitter->MulticastRefused)
        State = TRANSMITTER_MULTICAST_REFUSED;
    else if (Transmitter->MulticastUnanswered != 0)
        State = TRANSMITTER_MULTICAST_PENDING;

    TransmitterUnlock(Transmitter, Irql);

    return State;
}

/* An answer to a request for the filter. Its thread wants to hear of it, and of room, once it is all there. */
static VOID TransmitterTakeMulticast(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ SHORT Answer)
{
    if (Answer != NETIF_RSP_OKAY)
        Transmitter->MulticastRefused = TRUE;

    if (--Transmitter->MulticastUnanswered == 0)
        FrontendWake(Transmitter->Frontend);
}

BOOLEAN TransmitterHasMulticastRoom(_In_ PXENVIF_TRANSMITTER Transmitter)
{
    return Transmitter->MulticastWaits && TransmitterFreeSlots(Transmitter) >= TRANSMITTER_MULTICAST_SLOTS;
}

/* Whether the packet goes out as it is, in a copy of less than a page, as most do. */
static inline BOOLEAN TransmitterIsWhole(_In_ PXENVIF_TRANSMITTER Transmitter, _In_ const TRANSMITTER_PACKET *Packet)
{
    return Packet->Description.Whole && !Packet->Prepared && !TransmitterHasHash(Transmitter, &Packet->Description);
}

/* Such a packet is one request, for which there is room, and its copy goes with the answer. */
static inline NTSTATUS TransmitterPostWhole(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    ULONG Length = Packet->Description.Length;
    TRANSMITTER_FRAGMENT Fragment = {0};
    NTSTATUS Status;

    Fragment.Buffer = TransmitterGetBuffer(Transmitter);
    if (Fragment.Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlCopyMemory(Fragment.Buffer->Address, Packet->Description.Header, Length);
    BufferTouch(Fragment.Buffer, Length);

    Status = TransmitterGrantBuffer(Transmitter, Fragment.Buffer, Length);
    if (!NT_SUCCESS(Status)) {
        TransmitterPutBuffer(Transmitter, Fragment.Buffer);
        return Status;
    }

    TransmitterPostSlot(Transmitter, Packet, &Fragment, 0, Length, TRUE);
    Packet->Unanswered = 1;
    Packet->Posted = TRUE;

    return STATUS_SUCCESS;
}

/* Makes a packet ready for this connection, and puts on the ring as much of it as there is room for. There is some. */
static NTSTATUS TransmitterPost(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    NTSTATUS Status;

    if (TransmitterIsWhole(Transmitter, Packet))
        return TransmitterPostWhole(Transmitter, Packet);

    if (!Packet->Prepared) {
        Status = TransmitterPrepare(Transmitter, Packet);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    if (Packet->Cut)
        return TransmitterPostSegments(Transmitter, Packet);

    if (Packet->FragmentCount + TransmitterCountExtras(Packet) <= TransmitterRoom(Transmitter)) {
        TransmitterPostFrame(Transmitter, Packet, Packet->Fragments, Packet->FragmentCount, FALSE);
        Packet->Posted = TRUE;
    }

    return STATUS_SUCCESS;
}

BOOLEAN TransmitterIsCutting(_In_ PXENVIF_TRANSMITTER Transmitter)
{
    PTRANSMITTER_PACKET Packet;

    if (IsListEmpty(&Transmitter->Queue))
        return FALSE;

    Packet = CONTAINING_RECORD(Transmitter->Queue.Flink, TRANSMITTER_PACKET, ListEntry);

    return Packet->Prepared && Packet->Cut && Packet->Segment != 0;
}

/* Between two packets: the next copy's page is sent for, and the backend told of many requests. */
static inline VOID TransmitterGoOn(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    TransmitterFetchAhead(Transmitter);

    if (Transmitter->RequestProducer - Transmitter->RequestPushed >= TRANSMITTER_PUSH_BATCH)
        TransmitterRingPush(Transmitter);
}

VOID TransmitterRingTake(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    BOOLEAN Free = Transmitter->Running && !Transmitter->Holding && IsListEmpty(&Transmitter->Queue) &&
                   TransmitterRoom(Transmitter) != 0;

    if (Free && TransmitterIsWhole(Transmitter, Packet) && NT_SUCCESS(TransmitterPostWhole(Transmitter, Packet))) {
        TransmitterGoOn(Transmitter);
        return;
    }

    InsertTailList(&Transmitter->Queue, &Packet->ListEntry);
    Transmitter->QueueLength++;
}

VOID TransmitterRingPost(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    while (!IsListEmpty(&Transmitter->Queue) && TransmitterRoom(Transmitter) != 0) {
        PTRANSMITTER_PACKET Packet = CONTAINING_RECORD(Transmitter->Queue.Flink, TRANSMITTER_PACKET, ListEntry);
        NTSTATUS Status;

        if (Transmitter->Holding && !TransmitterIsCutting(Transmitter))
            break;

        Status = TransmitterPost(Transmitter, Packet);
        TransmitterGoOn(Transmitter);

        if (NT_SUCCESS(Status) && !Packet->Posted)
            break;

        if (!NT_SUCCESS(Status)) {
            Packet->Status = XENVIF_TRANSMITTER_PACKET_ERROR;
            Packet->Failed = TRUE;
        }

        TransmitterDequeue(Transmitter, Packet);
    }
}

VOID TransmitterRingFill(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    TransmitterRingPost(Transmitter);
    TransmitterRingPush(Transmitter);
}

VOID TransmitterDequeue(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    RemoveEntryList(&Packet->ListEntry);
    Transmitter->QueueLength--;
    Packet->Posted = TRUE; /* nothing more of it will be */

    if (Packet->Unanswered == 0)
        TransmitterFinish(Transmitter, Packet);
}

/* Notes what the backend says of one fragment; the worst answer is the packet's. */
static VOID TransmitterJudge(_Inout_ PTRANSMITTER_PACKET Packet, _In_ SHORT Answer)
{
    if (Answer == NETIF_RSP_OKAY || Packet->Status == XENVIF_TRANSMITTER_PACKET_ERROR)
        return;

    Packet->Status =
        (Answer == NETIF_RSP_DROPPED) ? XENVIF_TRANSMITTER_PACKET_DROPPED : XENVIF_TRANSMITTER_PACKET_ERROR;
}

/* The backend breaks the protocol. From here on nothing that it writes is looked at. */
static VOID TransmitterBreak(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ PCSTR Reason, _In_ ULONG Value)
{
    Transmitter->Running = FALSE;
    Transmitter->Broken = TRUE;

    FrontendBreak(Transmitter->Frontend, Reason, Value);
}

/* Takes one response. FALSE: it breaks the protocol. */
static BOOLEAN TransmitterTakeResponse(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    union {
        ULONG Value;
        netif_tx_response_t Response;
    } Copy;
    PTRANSMITTER_SLOT Slot;
    PTRANSMITTER_PACKET Packet;

    C_ASSERT(sizeof(netif_tx_response_t) == sizeof(ULONG));

    Copy.Value = ReadULongNoFence(
        (PULONG)RingEntry(Transmitter->Ring, Transmitter->ResponseConsumer, sizeof(union netif_tx_sring_entry)));

    if (Copy.Response.status == NETIF_RSP_NULL) {
        if (Transmitter->Extras == 0) {
            TransmitterBreak(Transmitter, "transmit response without a status", Copy.Response.id);
            return FALSE;
        }

        Transmitter->Extras--;
        Transmitter->ResponseConsumer++;
        Transmitter->Responses++;
        return TRUE;
    }

    Slot = (Copy.Response.id < RING_ENTRIES) ? &Transmitter->Slots[Copy.Response.id] : NULL;
    if (Slot == NULL || (Slot->Packet == NULL && !Slot->Multicast)) {
        TransmitterBreak(Transmitter, "transmit response with an ID that is not in use", Copy.Response.id);
        return FALSE;
    }

    Packet = Slot->Packet;
    if (Slot->Buffer != NULL)
        TransmitterPutBuffer(Transmitter, Slot->Buffer);
    Slot->Packet = NULL;
    Slot->Buffer = NULL;
    Slot->Multicast = FALSE;
    Transmitter->FreeIds[Transmitter->FreeIdCount++] = Copy.Response.id;
    Transmitter->ResponseConsumer++;
    Transmitter->Responses++;

    if (Packet == NULL) {
        TransmitterTakeMulticast(Transmitter, Copy.Response.status);
        return TRUE;
    }

    TransmitterJudge(Packet, Copy.Response.status);

    /* Of a packet that is still in the queue there is more to come. */
    if (--Packet->Unanswered == 0 && Packet->Posted)
        TransmitterFinish(Transmitter, Packet);

    if (GranterIsOverheld(Transmitter->Granter, Transmitter->HeldCount)) {
        TransmitterBreak(Transmitter, "transmit pages that are answered and still mapped, more than", GRANTER_HELD_CAP);
        return FALSE;
    }

    return TRUE;
}

VOID TransmitterRingPoll(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    ULONG Producer;

    if (Transmitter->Broken)
        return;

    Producer = RingResponseProducer(Transmitter->Ring);
    if (Producer - Transmitter->ResponseConsumer > Transmitter->RequestPushed - Transmitter->ResponseConsumer) {
        TransmitterBreak(Transmitter, "transmit responses ahead of the requests", Producer);
        return;
    }

    while (Transmitter->ResponseConsumer != Producer)
        if (!TransmitterTakeResponse(Transmitter))
            return;
}

VOID TransmitterRingServe(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    while (Transmitter->Running) {
        ULONG Outstanding;

        TransmitterRingPoll(Transmitter);
        if (!Transmitter->Running)
            return;

        TransmitterRingFill(Transmitter);

        /* Half of what is outstanding is worth an event: each one brings several packets back. */
        Outstanding = Transmitter->RequestPushed - Transmitter->ResponseConsumer;
        RingRequestEvent(Transmitter->Ring, Transmitter->ResponseConsumer + (Outstanding >> 1) + 1);

        if (RingResponseProducer(Transmitter->Ring) == Transmitter->ResponseConsumer)
            return;
    }
}

BOOLEAN TransmitterIsQuiet(_In_ PXENVIF_TRANSMITTER Transmitter)
{
    ULONG Used = RING_ENTRIES - Transmitter->FreeIdCount;

    return Used == Transmitter->MulticastUnanswered && !TransmitterIsCutting(Transmitter);
}

VOID TransmitterRingClear(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    ULONG Index;

    for (Index = 0; Index < RING_ENTRIES; Index++) {
        const TRANSMITTER_SLOT *Slot = &Transmitter->Slots[Index];

        if (Slot->Buffer != NULL)
            TransmitterPutBuffer(Transmitter, Slot->Buffer);
        if (Slot->Packet != NULL && --Slot->Packet->Unanswered == 0 && Slot->Packet->Posted)
            TransmitterDrop(Transmitter, Slot->Packet);
    }
}

VOID TransmitterRingReset(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    ULONG Index;

    Transmitter->RequestProducer = 0;
    Transmitter->RequestPushed = 0;
    Transmitter->ResponseConsumer = 0;

    /* Taken from the end: ID 0 is the first. */
    for (Index = 0; Index < RING_ENTRIES; Index++) {
        RtlZeroMemory(&Transmitter->Slots[Index], sizeof(TRANSMITTER_SLOT));
        Transmitter->FreeIds[Index] = (USHORT)(RING_ENTRIES - 1 - Index);
    }
    Transmitter->FreeIdCount = RING_ENTRIES;
    Transmitter->Extras = 0;
    Transmitter->MulticastUnanswered = 0;
    Transmitter->MulticastWaits = FALSE;
    Transmitter->MulticastRefused = FALSE;
}
