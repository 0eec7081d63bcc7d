#include "bug.h"
#include "receiver_ring.h"

PXENVIF_BUFFER ReceiverFirstBuffer(_In_ PRECEIVER_PACKET Packet)
{
    return CONTAINING_RECORD(Packet->Buffers.Flink, XENVIF_BUFFER, ListEntry);
}

PXENVIF_BUFFER ReceiverNextBuffer(_In_ PRECEIVER_PACKET Packet, _In_ PXENVIF_BUFFER Buffer)
{
    if (Buffer->ListEntry.Flink == &Packet->Buffers)
        return NULL;

    return CONTAINING_RECORD(Buffer->ListEntry.Flink, XENVIF_BUFFER, ListEntry);
}

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
    Rest = BufferPoolGet(&Receiver->Buffers);
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
static BOOLEAN ReceiverShape(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet)
{
    ULONG Backfill = ReadULongNoFence(&Receiver->BackfillSize);
    PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);
    PXENVIF_BUFFER Buffer;
    LIST_ENTRY Spare;

    InitializeListHead(&Spare);

    ReceiverPullUp(Packet, Backfill, (Packet->Length <= PAGE_SIZE - Backfill) ? Packet->Length : PACKET_HEADER_LIMIT,
                   &Spare);

    if (!IsListEmpty(&Spare)) {
        KeAcquireSpinLockAtDpcLevel(&Receiver->Granter->Lock);
        ReceiverPutBuffers(Receiver, &Spare);
        KeReleaseSpinLockFromDpcLevel(&Receiver->Granter->Lock);
    }

    if (First->Offset < Backfill) {
        if (First->Length > PAGE_SIZE - Backfill && !ReceiverSplitFirst(Receiver, Packet, PAGE_SIZE - Backfill))
            return FALSE;

        ReceiverMove(First, Backfill);
    }

    for (Buffer = ReceiverNextBuffer(Packet, First); Buffer != NULL; Buffer = ReceiverNextBuffer(Packet, Buffer))
        ReceiverMove(Buffer, 0);

    return TRUE;
}

/* Whether the client wants to be told of the checksum that the packet's transport has. */
static BOOLEAN ReceiverWantsChecksum(_In_ XENVIF_VIF_OFFLOAD_OPTIONS Options, _In_ const XENVIF_PACKET_LAYOUT *Layout)
{
    if (Layout->Info.TcpHeader.Length != 0)
        return (Layout->IpVersion == 4) ? Options.OffloadIpVersion4TcpChecksum : Options.OffloadIpVersion6TcpChecksum;

    if (Layout->Info.UdpHeader.Length != 0)
        return (Layout->IpVersion == 4) ? Options.OffloadIpVersion4UdpChecksum : Options.OffloadIpVersion6UdpChecksum;

    return FALSE;
}

/* Calculates the TCP or UDP checksum, over all pages of the frame, and stores it. */
static VOID ReceiverFillChecksum(_Inout_ PRECEIVER_PACKET Packet)
{
    const XENVIF_PACKET_LAYOUT *Layout = &Packet->Layout;
    PXENVIF_BUFFER Buffer = ReceiverFirstBuffer(Packet);
    PUCHAR Header = Buffer->Address + Buffer->Offset;
    PUCHAR Field = Header + PacketChecksumOffset(Layout);
    BOOLEAN Tcp = Layout->Info.TcpHeader.Length != 0;
    ULONG Offset = Tcp ? Layout->Info.TcpHeader.Offset : Layout->Info.UdpHeader.Offset;
    ULONG Remaining = Layout->TransportLength;
    CHECKSUM Checksum;

    ChecksumStore(Field, 0);

    ChecksumInitialize(&Checksum);
    PacketAddPseudoHeader(&Checksum, Header, Layout);

    for (; Buffer != NULL && Remaining != 0; Buffer = ReceiverNextBuffer(Packet, Buffer)) {
        ULONG Length = min(Buffer->Length - Offset, Remaining);

        ChecksumAdd(&Checksum, Buffer->Address + Buffer->Offset + Offset, Length);
        Remaining -= Length;
        Offset = 0;
    }

    ChecksumStore(Field, PacketChecksumValue(&Checksum, Layout));
}

/*
 * Sets the checksum flags, and fills in a checksum that the backend left blank unless the client takes it blank. FALSE:
 * the backend left blank what has no checksum.
 */
static BOOLEAN ReceiverCheckChecksum(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet)
{
    BOOLEAN Tcp = Packet->Layout.Info.TcpHeader.Length != 0;
    BOOLEAN Udp = Packet->Layout.Info.UdpHeader.Length != 0;
    BOOLEAN Blank = (Packet->SlotFlags & NETRXF_csum_blank) != 0;
    BOOLEAN Valid = Blank || (Packet->SlotFlags & NETRXF_data_validated) != 0;
    XENVIF_VIF_OFFLOAD_OPTIONS Options;
    BOOLEAN Wanted;

    if (Blank && !Tcp && !Udp)
        return FALSE;

    Options.Value = (USHORT)ReadULongNoFence(&Receiver->OffloadOptions);
    Wanted = ReceiverWantsChecksum(Options, &Packet->Layout);

    if (Blank && (!Wanted || Options.NeedChecksumValue))
        ReceiverFillChecksum(Packet);

    Packet->Flags.Value = 0;
    if (Packet->Layout.IpVersion == 4)
        Packet->Flags.IpChecksumNotValidated = 1;

    if (Tcp && Wanted && Valid)
        Packet->Flags.TcpChecksumSucceeded = 1;
    else if (Tcp)
        Packet->Flags.TcpChecksumNotValidated = 1;

    if (Udp && Wanted && Valid)
        Packet->Flags.UdpChecksumSucceeded = 1;
    else if (Udp)
        Packet->Flags.UdpChecksumNotValidated = 1;

    return TRUE;
}

static BOOLEAN ReceiverCheckLength(_In_ PXENVIF_RECEIVER Receiver, _In_ PRECEIVER_PACKET Packet)
{
    ULONG Limit = MacQueryMaximumFrameSize(Receiver->Mac);

    if (Packet->Layout.Tagged)
        Limit += PACKET_TAG_SIZE;

    return Packet->Length <= Limit;
}

BOOLEAN ReceiverInspect(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet,
                        _Out_ XENVIF_VIF_STATISTIC *Reason)
{
    PXENVIF_BUFFER First;
    PUCHAR Header;

    *Reason = XENVIF_RECEIVER_BACKEND_ERRORS;
    if (Packet->Length < PACKET_MINIMUM_SIZE)
        return FALSE;

    *Reason = XENVIF_RECEIVER_FRONTEND_ERRORS;
    if (!ReceiverShape(Receiver, Packet))
        return FALSE;

    First = ReceiverFirstBuffer(Packet);
    Header = First->Address + First->Offset;
    PacketParse(Header, First->Length, Packet->Length, &Packet->Layout);

    *Reason = XENVIF_RECEIVER_BACKEND_ERRORS;
    if (!ReceiverCheckLength(Receiver, Packet) || !ReceiverCheckChecksum(Receiver, Packet))
        return FALSE;

    *Reason = XENVIF_RECEIVER_PACKETS_DROPPED;
    if (!MacAdmits(Receiver->Mac, (const ETHERNET_ADDRESS *)Header))
        return FALSE;

    return TRUE;
}
