#include "bug.h"
#include "frontend.h"
#include "receiver_ring.h"

/* Moves a page's data within the page. */
static VOID ReceiverMove(_Inout_ PXENVIF_BUFFER Buffer, _In_ ULONG Offset)
{
    if (Buffer->Offset == Offset)
        return;

    RtlMoveMemory(Buffer->Address + Offset, Buffer->Address + Buffer->Offset, Buffer->Length);
    Buffer->Offset = Offset;
    BufferTouch(Buffer, Buffer->Offset + Buffer->Length);
}

/*
 * Brings Wanted bytes, or the whole frame if it is shorter, together in the first page, at Offset or behind. Pages that
 * are empty afterwards go to Spare. Offset + Wanted is at most a page.
 */
static VOID ReceiverPullUp(_Inout_ PRECEIVER_PACKET Packet, _In_ ULONG Offset, _In_ ULONG Wanted,
                           _Inout_ PLIST_ENTRY Spare)
{
    PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);
    PXENVIF_BUFFER Second;

    if (First->Length >= Wanted)
        return;

    if (First->Offset < Offset || First->Offset + Wanted > PAGE_SIZE)
        ReceiverMove(First, Offset);

    while (First->Length < Wanted && (Second = ReceiverNextBuffer(Packet, First)) != NULL) {
        ULONG Length = min(Wanted - First->Length, Second->Length);

        RtlCopyMemory(First->Address + First->Offset + First->Length, Second->Address + Second->Offset, Length);
        First->Length += Length;
        BufferTouch(First, First->Offset + First->Length);

        Second->Offset += Length;
        Second->Length -= Length;

        if (Second->Length == 0) {
            RemoveEntryList(&Second->ListEntry);
            InsertTailList(Spare, &Second->ListEntry);
        }
    }
}

/* Moves the end of the first page's data to a page of its own, so that only Length bytes stay. FALSE: no page. */
static BOOLEAN ReceiverSplitFirst(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet, _In_ ULONG Length)
{
    PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);
    PXENVIF_BUFFER Rest;

    KeAcquireSpinLockAtDpcLevel(&Receiver->Granter->Lock);
    Rest = ReceiverGetBuffer(Receiver);
    KeReleaseSpinLockFromDpcLevel(&Receiver->Granter->Lock);

    if (Rest == NULL)
        return FALSE;

    Rest->Generation = First->Generation;
    Rest->Offset = 0;
    Rest->Length = First->Length - Length;
    RtlCopyMemory(Rest->Address, First->Address + First->Offset + Length, Rest->Length);
    BufferTouch(Rest, Rest->Length);

    First->Length = Length;
    InsertHeadList(&First->ListEntry, &Rest->ListEntry);

    return TRUE;
}

/*
 * Gives a frame the shape that the client is promised: one page if it fits, else headers together in the first page;
 * the backfill that it asked for ahead of them; and data at the start of every later page.
 */
static BOOLEAN ReceiverShape(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet, _In_ ULONG Headroom)
{
    ULONG Wanted = Receiver->AlwaysPullUp ? PAGE_SIZE - Headroom : PACKET_HEADER_LIMIT;
    PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);
    PXENVIF_BUFFER Buffer;
    LIST_ENTRY Spare;

    InitializeListHead(&Spare);

    if (Packet->Length <= PAGE_SIZE - Headroom)
        Wanted = Packet->Length;

    ReceiverPullUp(Packet, Headroom, Wanted, &Spare);

    if (!IsListEmpty(&Spare)) {
        KeAcquireSpinLockAtDpcLevel(&Receiver->Granter->Lock);
        ReceiverPutBuffers(Receiver, &Spare);
        KeReleaseSpinLockFromDpcLevel(&Receiver->Granter->Lock);
    }

    if (First->Offset < Headroom || (Receiver->IpAlignOffset != 0 && First->Offset != Headroom)) {
        if (First->Length > PAGE_SIZE - Headroom && !ReceiverSplitFirst(Receiver, Packet, PAGE_SIZE - Headroom))
            return FALSE;

        ReceiverMove(First, Headroom);
    }

    for (Buffer = ReceiverNextBuffer(Packet, First); Buffer != NULL; Buffer = ReceiverNextBuffer(Packet, Buffer))
        ReceiverMove(Buffer, 0);

    return TRUE;
}

/* Whether there is what the backend says of the frame: a checksum that is blank, a packet that is large. */
static BOOLEAN ReceiverMatchesFlags(_In_ const RECEIVER_PACKET *Packet)
{
    const XENVIF_PACKET_LAYOUT *Layout = &Packet->Layout;
    BOOLEAN Tcp = Layout->Info.TcpHeader.Length != 0;

    if ((Packet->SlotFlags & NETRXF_csum_blank) && !Tcp && Layout->Info.UdpHeader.Length == 0)
        return FALSE;

    if (Packet->GsoType == XEN_NETIF_GSO_TYPE_NONE)
        return TRUE;

    return Tcp && Layout->Info.LLCSnapHeader.Length == 0 &&
           Layout->IpVersion == ((Packet->GsoType == XEN_NETIF_GSO_TYPE_TCPV4) ? 4 : 6);
}

/* The longest frame of this kind that is no large one. */
static ULONG ReceiverLimit(_In_ const RECEIVER_TERMS *Terms, _In_ const RECEIVER_PACKET *Packet)
{
    return Terms->FrameSize + (Packet->Layout.Tagged ? PACKET_TAG_SIZE : 0);
}

/* Looks at the frame's length: a large one is large because it has more than one segment in it. FALSE: too long. */
static BOOLEAN ReceiverCheckLength(_In_ const RECEIVER_TERMS *Terms, _Inout_ PRECEIVER_PACKET Packet)
{
    if (Packet->GsoType != XEN_NETIF_GSO_TYPE_NONE && ReceiverPayloadLength(Packet) > Packet->MaximumSegmentSize)
        return TRUE;

    Packet->MaximumSegmentSize = 0;

    return Packet->Length <= ReceiverLimit(Terms, Packet);
}

/* Ours replaces that of a backend that does not hash as it was asked to. */
static VOID ReceiverHash(_In_ const XENVIF_HASHER *Hasher, _Inout_ PRECEIVER_PACKET Packet)
{
    PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);

    RtlZeroMemory(&Packet->Hash, sizeof(Packet->Hash));
    HasherHash(Hasher, First->Address + First->Offset, &Packet->Layout, &Packet->Hash);
}

BOOLEAN ReceiverFinish(_In_ PXENVIF_RECEIVER Receiver, _In_ const RECEIVER_TERMS *Terms,
                       _Inout_ PRECEIVER_PACKET Packet)
{
    ULONG Limit = ReceiverLimit(Terms, Packet);
    XENVIF_VIF_OFFLOAD_OPTIONS Options = Terms->Options;

    if (Options.OffloadTagManipulation)
        ReceiverRemoveTag(Packet);

    if (Terms->Hasher != NULL)
        ReceiverHash(Terms->Hasher, Packet);

    Packet->Large = Packet->MaximumSegmentSize != 0;

    if (!Packet->Large || ReceiverMayStayWhole(Packet, Options)) {
        ReceiverJudgeChecksums(Receiver, Packet, Options);
        return TRUE;
    }

    ReceiverJudgeSegments(Packet, Options);

    return ReceiverPrepareSplit(Packet, Limit);
}

BOOLEAN ReceiverInspect(_Inout_ PXENVIF_RECEIVER Receiver, _In_ const RECEIVER_TERMS *Terms,
                        _Inout_ PRECEIVER_PACKET Packet, _Out_ XENVIF_VIF_STATISTIC *Reason)
{
    PXENVIF_BUFFER First;
    PUCHAR Header;

    *Reason = XENVIF_RECEIVER_BACKEND_ERRORS;
    if (Packet->Length < PACKET_MINIMUM_SIZE)
        return FALSE;

    *Reason = XENVIF_RECEIVER_FRONTEND_ERRORS;
    if (!ReceiverShape(Receiver, Packet, Terms->Headroom))
        return FALSE;

    First = ReceiverFirstBuffer(Packet);
    Header = First->Address + First->Offset;
    PacketParse(Header, First->Length, Packet->Length, FALSE, &Packet->Layout);

    *Reason = XENVIF_RECEIVER_BACKEND_ERRORS;

    return ReceiverMatchesFlags(Packet) && ReceiverCheckLength(Terms, Packet);
}
