/*
 * Large frames that the client does not take whole: they are cut here, with headers and checksums made afresh (field
 * bug FB4). A frame is cut as the client gets its segments, in batches, so that it waits in one piece for a client that
 * pauses, or for pages.
 */
#include "bug.h"
#include "receiver_ring.h"

/* Segments that are made at a time. */
#define RECEIVER_SEGMENT_BATCH 32

#define TCP_FLAGS 13
#define TCP_FLAG_PSH 0x08
#define TCP_FLAG_ACK 0x10
#define TCP_FLAG_ECE 0x40

ULONG ReceiverPayloadLength(_In_ const RECEIVER_PACKET *Packet)
{
    const XENVIF_PACKET_INFO *Info = &Packet->Layout.Info;

    return Packet->Layout.TransportLength - Info->TcpHeader.Length - Info->TcpOptions.Length;
}

/*
 * A frame is passed up whole as if it had been put together on the way (receive segment coalescing): nothing but plain
 * data in the flow of a connection is.
 */
BOOLEAN ReceiverMayStayWhole(_In_ PRECEIVER_PACKET Packet, _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options)
{
    PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);
    const UCHAR *Tcp = First->Address + First->Offset + Packet->Layout.Info.TcpHeader.Offset;
    BOOLEAN Wanted;

    Wanted =
        (Packet->Layout.IpVersion == 4) ? Options.OffloadIpVersion4LargePacket : Options.OffloadIpVersion6LargePacket;
    if (!Wanted || Options.NeedLargePacketSplit)
        return FALSE;

    if (Packet->Layout.Info.IpOptions.Length != 0)
        return FALSE;

    return (Tcp[TCP_FLAGS] & ~(TCP_FLAG_ACK | TCP_FLAG_PSH | TCP_FLAG_ECE)) == 0;
}

BOOLEAN ReceiverPrepareSplit(_Inout_ PRECEIVER_PACKET Packet, _In_ ULONG Limit)
{
    PXENVIF_BUFFER First = ReceiverFirstBuffer(Packet);
    const XENVIF_PACKET_INFO *Info = &Packet->Layout.Info;

    if (Limit <= Info->Length)
        return FALSE;

    Packet->Segment = 0;
    Packet->Cursor = First;
    Packet->CursorOffset = Info->Length;

    return SegmentationInitialize(&Packet->Segmentation, First->Address + First->Offset, Info->Length,
                                  Packet->Layout.IpVersion, Info->IpHeader.Offset, Info->TcpHeader.Offset,
                                  ReceiverPayloadLength(Packet),
                                  min((ULONG)Packet->MaximumSegmentSize, Limit - Info->Length));
}

/* The next Length bytes of the payload. */
static VOID ReceiverCopyNext(_Inout_ PRECEIVER_PACKET Packet, _Out_writes_(Length) PUCHAR Target, _In_ ULONG Length)
{
    while (Length != 0) {
        PXENVIF_BUFFER Buffer = Packet->Cursor;
        ULONG Size;

        if (Packet->CursorOffset == Buffer->Length) {
            Packet->Cursor = ReceiverNextBuffer(Packet, Buffer);
            Packet->CursorOffset = 0;
            continue;
        }

        Size = min(Length, Buffer->Length - Packet->CursorOffset);
        RtlCopyMemory(Target, Buffer->Address + Buffer->Offset + Packet->CursorOffset, Size);
        Packet->CursorOffset += Size;
        Target += Size;
        Length -= Size;
    }
}

static ULONG ReceiverSegmentLength(_In_ const RECEIVER_PACKET *Packet, _In_ ULONG Index)
{
    ULONG Offset;

    return Packet->Segmentation.HeadersLength + SegmentPayload(&Packet->Segmentation, Index, &Offset);
}

/* With the lock: a frame of Length bytes, with its pages, and nothing in them yet. NULL: there is none. */
static PRECEIVER_PACKET ReceiverGetFrame(_Inout_ PXENVIF_RECEIVER Receiver, _In_ ULONG Length, _In_ ULONG Headroom)
{
    PRECEIVER_PACKET Frame;
    ULONG Offset = Headroom;

    Frame = ReceiverGetPacket(Receiver);
    if (Frame == NULL)
        return NULL;

    Frame->Length = Length;

    while (Length != 0) {
        PXENVIF_BUFFER Buffer = ReceiverGetBuffer(Receiver);

        if (Buffer == NULL)
            goto fail;

        Buffer->Generation = Receiver->Generation;
        Buffer->Offset = Offset;
        Buffer->Length = min(Length, PAGE_SIZE - Offset);
        BufferTouch(Buffer, Buffer->Offset + Buffer->Length);
        InsertTailList(&Frame->Buffers, &Buffer->ListEntry);

        Length -= Buffer->Length;
        Offset = 0;
    }

    return Frame;

fail:
    ReceiverPutPacket(Receiver, Frame);

    return NULL;
}

/* Makes the next segment of a packet in a frame that has the room for it. */
static VOID ReceiverMakeSegment(_Inout_ PRECEIVER_PACKET Packet, _Inout_ PRECEIVER_PACKET Frame)
{
    const SEGMENTATION *Segmentation = &Packet->Segmentation;
    PXENVIF_BUFFER Buffer = ReceiverFirstBuffer(Frame);
    PUCHAR Headers = Buffer->Address + Buffer->Offset;
    ULONG Start = Segmentation->HeadersLength;
    CHECKSUM Checksum;

    SegmentBegin(Segmentation, Packet->Segment, Headers, &Checksum);

    for (; Buffer != NULL; Buffer = ReceiverNextBuffer(Frame, Buffer)) {
        PUCHAR Target = Buffer->Address + Buffer->Offset + Start;
        ULONG Length = Buffer->Length - Start;

        ReceiverCopyNext(Packet, Target, Length);
        ChecksumAdd(&Checksum, Target, Length);
        Start = 0;
    }

    SegmentEnd(Segmentation, Headers, &Checksum);

    Frame->Layout = Packet->Layout;
    Frame->Layout.TransportLength = Frame->Length - Packet->Layout.Info.TcpHeader.Offset;
    Frame->Flags = Packet->Flags;
    Frame->Hash = Packet->Hash;
    Frame->TagControlInformation = Packet->TagControlInformation;
    Frame->MaximumSegmentSize = 0;
    Frame->Segmentation.Count = 0;
    Frame->Large = Packet->Segment == 0; /* the counter of large packets counts what the backend sent */

    Packet->Segment++;
}

/* With the lock: frames for as many of the packet's segments as are made at a time, in order. */
static VOID ReceiverGetFrames(_Inout_ PXENVIF_RECEIVER Receiver, _In_ const RECEIVER_PACKET *Packet,
                              _Inout_ PLIST_ENTRY List)
{
    ULONG Headroom = ReceiverHeadroom(Receiver);
    ULONG End = min(Packet->Segmentation.Count, Packet->Segment + RECEIVER_SEGMENT_BATCH);
    ULONG Index;

    for (Index = Packet->Segment; Index < End; Index++) {
        PRECEIVER_PACKET Frame = ReceiverGetFrame(Receiver, ReceiverSegmentLength(Packet, Index), Headroom);

        if (Frame == NULL)
            return;

        InsertTailList(List, &Frame->ListEntry);
    }
}

BOOLEAN ReceiverSplit(_Inout_ PXENVIF_RECEIVER Receiver, _Inout_ PRECEIVER_PACKET Packet)
{
    PLIST_ENTRY ListEntry;
    LIST_ENTRY List;
    BOOLEAN Any;

    InitializeListHead(&List);

    KeAcquireSpinLockAtDpcLevel(&Receiver->Granter->Lock);
    ReceiverGetFrames(Receiver, Packet, &List);
    KeReleaseSpinLockFromDpcLevel(&Receiver->Granter->Lock);

    for (ListEntry = List.Flink; ListEntry != &List; ListEntry = ListEntry->Flink)
        ReceiverMakeSegment(Packet, CONTAINING_RECORD(ListEntry, RECEIVER_PACKET, ListEntry));

    if (Packet->Segment == Packet->Segmentation.Count) {
        RemoveEntryList(&Packet->ListEntry);

        KeAcquireSpinLockAtDpcLevel(&Receiver->Granter->Lock);
        ReceiverPutPacket(Receiver, Packet);
        KeReleaseSpinLockFromDpcLevel(&Receiver->Granter->Lock);
    }

    /* They come before what is left of the packet, which is at the head of the list. */
    Any = !IsListEmpty(&List);
    while (!IsListEmpty(&List))
        InsertHeadList(&Receiver->Deliver, RemoveTailList(&List));

    return Any;
}
