#include "bug.h"
#include "frontend.h"
#include "transmitter_ring.h"

/* A place in a packet: Offset bytes into Mdl, Length bytes before the end. */
typedef struct _TRANSMITTER_CURSOR {
    PMDL Mdl;
    ULONG Offset;
    ULONG Length;
} TRANSMITTER_CURSOR, *PTRANSMITTER_CURSOR;

/* Bytes of a packet that lie in one page. */
typedef struct _TRANSMITTER_PIECE {
    PUCHAR Address;
    PFN_NUMBER Pfn;
    ULONG PageOffset;
    ULONG Length;
} TRANSMITTER_PIECE, *PTRANSMITTER_PIECE;

/* The next piece; FALSE at the end. The chain is long enough and mapped: TransmitterQueuePacket has seen to it. */
static BOOLEAN TransmitterNextPiece(_Inout_ PTRANSMITTER_CURSOR Cursor, _Out_ PTRANSMITTER_PIECE Piece)
{
    ULONG ByteOffset;

    if (Cursor->Length == 0)
        return FALSE;

    while (Cursor->Offset >= MmGetMdlByteCount(Cursor->Mdl)) {
        Cursor->Offset -= MmGetMdlByteCount(Cursor->Mdl);
        Cursor->Mdl = Cursor->Mdl->Next;
    }

    ByteOffset = MmGetMdlByteOffset(Cursor->Mdl) + Cursor->Offset;

    Piece->Address =
        (PUCHAR)MmGetSystemAddressForMdlSafe(Cursor->Mdl, NormalPagePriority | MdlMappingNoExecute) + Cursor->Offset;
    Piece->Pfn = MmGetMdlPfnArray(Cursor->Mdl)[ByteOffset >> PAGE_SHIFT];
    Piece->PageOffset = ByteOffset & (PAGE_SIZE - 1);
    Piece->Length = min(MmGetMdlByteCount(Cursor->Mdl) - Cursor->Offset, PAGE_SIZE - Piece->PageOffset);
    Piece->Length = min(Piece->Length, Cursor->Length);

    Cursor->Offset += Piece->Length;
    Cursor->Length -= Piece->Length;

    return TRUE;
}

static VOID TransmitterCursorInitialize(_Out_ PTRANSMITTER_CURSOR Cursor, _In_ PMDL Mdl, _In_ ULONG Offset,
                                        _In_ ULONG Length)
{
    Cursor->Mdl = Mdl;
    Cursor->Offset = Offset;
    Cursor->Length = Length;
}

ULONG TransmitterCopyHeader(_In_ PMDL Mdl, _In_ ULONG Offset, _In_ ULONG Length,
                            _Out_writes_to_(Size, return ) PUCHAR Header, _In_ ULONG Size)
{
    TRANSMITTER_CURSOR Cursor;
    TRANSMITTER_PIECE Piece;
    ULONG Copied = 0;

    TransmitterCursorInitialize(&Cursor, Mdl, Offset, min(Length, Size));

    while (TransmitterNextPiece(&Cursor, &Piece)) {
        RtlCopyMemory(Header + Copied, Piece.Address, Piece.Length);
        Copied += Piece.Length;
    }

    return Copied;
}

static BOOLEAN TransmitterIsWholePage(_In_ const TRANSMITTER_PIECE *Piece)
{
    return Piece->PageOffset == 0 && Piece->Length == PAGE_SIZE;
}

/* How many slots a packet takes if whole pages are granted in place and what lies between them is copied. */
static ULONG TransmitterCountInPlace(_In_ PTRANSMITTER_PACKET Packet)
{
    TRANSMITTER_CURSOR Cursor;
    TRANSMITTER_PIECE Piece;
    ULONG Count = 0;
    ULONG Room = 0; /* in the copy that is being filled */

    TransmitterCursorInitialize(&Cursor, Packet->Mdl, Packet->Offset, Packet->Length);

    while (TransmitterNextPiece(&Cursor, &Piece)) {
        if (TransmitterIsWholePage(&Piece)) {
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
    Fragment->Offset = 0;
    Fragment->Length = PAGE_SIZE;

    Status = GranterPermit(Transmitter->Granter, Piece->Pfn, TRUE, &Fragment->Grant);
    if (NT_SUCCESS(Status))
        Packet->FragmentCount++;

    return Status;
}

/* A fragment for data that is copied, empty as yet. It is granted when it is full or the packet is complete. */
static PTRANSMITTER_FRAGMENT TransmitterAddCopy(_Inout_ PXENVIF_TRANSMITTER Transmitter,
                                                _Inout_ PTRANSMITTER_PACKET Packet)
{
    PTRANSMITTER_FRAGMENT Fragment = &Packet->Fragments[Packet->FragmentCount];

    Fragment->Buffer = BufferPoolGet(&Transmitter->Buffers);
    if (Fragment->Buffer == NULL)
        return NULL;

    Fragment->Grant = NULL;
    Fragment->Offset = 0;
    Fragment->Length = 0;
    Packet->FragmentCount++;

    return Fragment;
}

/* Copies a piece to the end of the packet's fragments. */
static NTSTATUS TransmitterCopyPiece(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet,
                                     _In_ const TRANSMITTER_PIECE *Piece)
{
    PTRANSMITTER_FRAGMENT Fragment = NULL;
    ULONG Done = 0;

    if (Packet->FragmentCount != 0)
        Fragment = &Packet->Fragments[Packet->FragmentCount - 1];

    while (Done < Piece->Length) {
        ULONG Length;

        if (Fragment == NULL || Fragment->Buffer == NULL || Fragment->Length == PAGE_SIZE) {
            Fragment = TransmitterAddCopy(Transmitter, Packet);
            if (Fragment == NULL)
                return STATUS_INSUFFICIENT_RESOURCES;
        }

        Length = min(Piece->Length - Done, (ULONG)PAGE_SIZE - Fragment->Length);
        RtlCopyMemory(Fragment->Buffer->Address + Fragment->Length, Piece->Address + Done, Length);

        Fragment->Length = (USHORT)(Fragment->Length + Length);
        BufferTouch(Fragment->Buffer, Fragment->Length);
        Done += Length;
    }

    return STATUS_SUCCESS;
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

        BufferScrub(Fragment->Buffer, Fragment->Length);

        Status = GranterPermitBuffer(Transmitter->Granter, Fragment->Buffer, TRUE);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    return STATUS_SUCCESS;
}

/* Ends a fragment's grant and gives its copy back. FALSE: the backend has the client's page mapped. */
static BOOLEAN TransmitterReleaseFragment(_Inout_ PXENVIF_TRANSMITTER Transmitter,
                                          _Inout_ PTRANSMITTER_FRAGMENT Fragment)
{
    PXENVIF_BUFFER Buffer = Fragment->Buffer;

    if (Fragment->Grant != NULL) {
        if (!NT_SUCCESS(GranterRevoke(Transmitter->Granter, Fragment->Grant)))
            return FALSE;
        Fragment->Grant = NULL;
    }

    if (Buffer != NULL) {
        Fragment->Buffer = NULL;
        if (Buffer->Grant == NULL || GranterRevokeBuffer(Transmitter->Granter, Buffer)) {
            BufferPoolPut(&Transmitter->Buffers, Buffer);
        } else {
            /* The frontend's thread tries again to get the page back. */
            BufferPoolForget(&Transmitter->Buffers);
            FrontendWake(Transmitter->Frontend);
        }
    }

    return TRUE;
}

BOOLEAN TransmitterReleaseFragments(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    BOOLEAN Released = TRUE;
    ULONG Index;

    for (Index = 0; Index < Packet->FragmentCount; Index++)
        if (!TransmitterReleaseFragment(Transmitter, &Packet->Fragments[Index]))
            Released = FALSE;

    if (Released)
        Packet->FragmentCount = 0;

    return Released;
}

static NTSTATUS TransmitterMakeFragments(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet,
                                         _In_ BOOLEAN InPlace)
{
    TRANSMITTER_CURSOR Cursor;
    TRANSMITTER_PIECE Piece;
    NTSTATUS Status;

    TransmitterCursorInitialize(&Cursor, Packet->Mdl, Packet->Offset, Packet->Length);

    while (TransmitterNextPiece(&Cursor, &Piece)) {
        if (InPlace && TransmitterIsWholePage(&Piece))
            Status = TransmitterAddInPlace(Transmitter, Packet, &Piece);
        else
            Status = TransmitterCopyPiece(Transmitter, Packet, &Piece);

        if (!NT_SUCCESS(Status))
            return Status;
    }

    return TransmitterGrantCopies(Transmitter, Packet);
}

/*
 * Makes a packet's fragments, granted and ready to be named in requests. A packet that would take too many slots in
 * place is copied as a whole: 64 KiB fit into 16 pages.
 */
static NTSTATUS TransmitterPrepare(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    BOOLEAN InPlace;

    C_ASSERT((XEN_NETIF_MAX_TX_SIZE + PAGE_SIZE - 1) / PAGE_SIZE <= TRANSMITTER_MAXIMUM_SLOTS);

    if (!Transmitter->Gather && Packet->Length > PAGE_SIZE) {
        Warning("a packet of %u bytes, and the backend takes one page", Packet->Length);
        return STATUS_INVALID_BUFFER_SIZE;
    }

    InPlace = Transmitter->Gather && !Transmitter->AlwaysCopy && Packet->Length >= PAGE_SIZE &&
              TransmitterCountInPlace(Packet) <= TRANSMITTER_MAXIMUM_SLOTS;

    return TransmitterMakeFragments(Transmitter, Packet, InPlace);
}

/* Writes a packet's requests. The first one's size is that of the packet. */
static VOID TransmitterPost(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    ULONG Index;

    for (Index = 0; Index < Packet->FragmentCount; Index++) {
        PTRANSMITTER_FRAGMENT Fragment = &Packet->Fragments[Index];
        PXENBUS_GNTTAB_ENTRY Grant = (Fragment->Buffer != NULL) ? Fragment->Buffer->Grant : Fragment->Grant;
        netif_tx_request_t *Request;
        USHORT Id;

        Id = Transmitter->FreeIds[--Transmitter->FreeIdCount];
        Transmitter->Slots[Id].Packet = Packet;
        Transmitter->Slots[Id].Fragment = Index;

        Request = RingEntry(Transmitter->Ring, Transmitter->RequestProducer, sizeof(union netif_tx_sring_entry));
        Request->gref = GranterReference(Transmitter->Granter, Grant);
        Request->offset = Fragment->Offset;
        Request->flags = (Index + 1 < Packet->FragmentCount) ? NETTXF_more_data : 0;
        Request->id = Id;
        Request->size = (Index == 0) ? (USHORT)Packet->Length : Fragment->Length;

        Transmitter->RequestProducer++;
        Transmitter->Requests++;
    }

    Packet->Unanswered = Packet->FragmentCount;
}

static VOID TransmitterPush(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    if (Transmitter->RequestProducer == Transmitter->RequestPushed)
        return;

    if (RingPushRequests(Transmitter->Ring, Transmitter->RequestPushed, Transmitter->RequestProducer)) {
        PollerSend(Transmitter->Poller, POLLER_TRANSMIT);
        Transmitter->Notifications++;
    } else {
        Transmitter->Suppressed++;
    }

    Transmitter->RequestPushed = Transmitter->RequestProducer;
}

VOID TransmitterRingFill(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    while (!Transmitter->Holding && !IsListEmpty(&Transmitter->Queue)) {
        PTRANSMITTER_PACKET Packet = CONTAINING_RECORD(Transmitter->Queue.Flink, TRANSMITTER_PACKET, ListEntry);
        NTSTATUS Status = STATUS_SUCCESS;

        if (Packet->FragmentCount == 0)
            Status = TransmitterPrepare(Transmitter, Packet);

        if (NT_SUCCESS(Status) && Packet->FragmentCount > Transmitter->FreeIdCount)
            break;

        RemoveEntryList(&Packet->ListEntry);
        Transmitter->QueueLength--;

        if (NT_SUCCESS(Status)) {
            TransmitterPost(Transmitter, Packet);
            InsertTailList(&Transmitter->Sent, &Packet->ListEntry);
        } else {
            Packet->Status = XENVIF_TRANSMITTER_PACKET_ERROR;
            Packet->Failed = TRUE;
            TransmitterFinish(Transmitter, Packet);
        }
    }

    TransmitterPush(Transmitter);
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
    PTRANSMITTER_PACKET Packet;

    C_ASSERT(sizeof(netif_tx_response_t) == sizeof(ULONG));

    Copy.Value = ReadULongNoFence(
        (PULONG)RingEntry(Transmitter->Ring, Transmitter->ResponseConsumer, sizeof(union netif_tx_sring_entry)));

    if (Copy.Response.id >= RING_ENTRIES || Transmitter->Slots[Copy.Response.id].Packet == NULL) {
        TransmitterBreak(Transmitter, "transmit response with an ID that is not in use", Copy.Response.id);
        return FALSE;
    }

    Packet = Transmitter->Slots[Copy.Response.id].Packet;
    Transmitter->Slots[Copy.Response.id].Packet = NULL;
    Transmitter->FreeIds[Transmitter->FreeIdCount++] = Copy.Response.id;
    Transmitter->ResponseConsumer++;
    Transmitter->Responses++;

    TransmitterJudge(Packet, Copy.Response.status);

    if (--Packet->Unanswered == 0) {
        RemoveEntryList(&Packet->ListEntry);
        TransmitterFinish(Transmitter, Packet);
    }

    if (GranterIsOverheld(Transmitter->Granter, Transmitter->HeldCount)) {
        TransmitterBreak(Transmitter, "transmit pages that are answered and still mapped, more than", GRANTER_HELD_CAP);
        return FALSE;
    }

    return TRUE;
}

VOID TransmitterRingPoll(_Inout_ PXENVIF_TRANSMITTER Transmitter)
{
    if (Transmitter->Broken)
        return;

    for (;;) {
        ULONG Producer = RingResponseProducer(Transmitter->Ring);
        ULONG Outstanding = Transmitter->RequestPushed - Transmitter->ResponseConsumer;

        if (Producer - Transmitter->ResponseConsumer > Outstanding) {
            TransmitterBreak(Transmitter, "transmit responses ahead of the requests", Producer);
            return;
        }

        if (Producer == Transmitter->ResponseConsumer) {
            /* Half of what is outstanding is worth an event: each one brings several packets back. */
            RingRequestEvent(Transmitter->Ring, Transmitter->ResponseConsumer + (Outstanding >> 1) + 1);

            if (RingResponseProducer(Transmitter->Ring) == Transmitter->ResponseConsumer)
                return;

            continue;
        }

        while (Transmitter->ResponseConsumer != Producer)
            if (!TransmitterTakeResponse(Transmitter))
                return;
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
        Transmitter->Slots[Index].Packet = NULL;
        Transmitter->FreeIds[Index] = (USHORT)(RING_ENTRIES - 1 - Index);
    }
    Transmitter->FreeIdCount = RING_ENTRIES;
}
