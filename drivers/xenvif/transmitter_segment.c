/*
 * Large packets that the backend does not cut into segments: they are cut here, on the way to the ring. Each segment is
 * a frame of its own, copied; the packet stays at the head of the queue until the last one is on the ring, however
 * little room there is, and is done when all have been answered.
 */
#include "bug.h"
#include "transmitter_ring.h"

/* Pages of one segment, at most. */
#define TRANSMITTER_SEGMENT_PAGES TRANSMITTER_MAXIMUM_SLOTS

static ULONG TransmitterCountPages(_In_ ULONG Length)
{
    return (Length + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

NTSTATUS TransmitterPrepareSegments(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    PTRANSMITTER_DESCRIPTION Description = &Packet->Description;
    const XENVIF_PACKET_INFO *Info = &Description->Layout.Info;
    ULONG Payload = Description->Length - Description->HeadersSource;

    if (!SegmentationInitialize(&Packet->Segmentation, Description->Headers, Description->HeadersLength,
                                Description->Layout.IpVersion, Info->IpHeader.Offset, Info->TcpHeader.Offset, Payload,
                                Description->MaximumSegmentSize))
        return STATUS_INVALID_PARAMETER;

    if (!(Transmitter->Features & TRANSMITTER_GATHER) &&
        Description->HeadersLength + min(Payload, Description->MaximumSegmentSize) > PAGE_SIZE)
        return STATUS_INVALID_BUFFER_SIZE;

    Packet->Cut = TRUE;
    Packet->Segment = 0;
    TransmitterCursorInitialize(&Packet->Cursor, Description->Mdl, Description->Offset + Description->HeadersSource,
                                Payload);

    return STATUS_SUCCESS;
}

/* Takes the pages of a frame of Length bytes. FALSE: there are not enough, and none is taken. */
static BOOLEAN TransmitterGetPages(_Inout_ PXENVIF_TRANSMITTER Transmitter, _In_ ULONG Length,
                                   _Out_ PTRANSMITTER_FRAGMENT Fragments)
{
    ULONG Count = TransmitterCountPages(Length);
    ULONG Index;

    for (Index = 0; Index < Count; Index++) {
        Fragments[Index].Buffer = TransmitterGetBuffer(Transmitter);
        if (Fragments[Index].Buffer == NULL)
            goto fail;

        Fragments[Index].Grant = NULL;
        Fragments[Index].Offset = 0;
        Fragments[Index].Length = (USHORT)min(Length - Index * PAGE_SIZE, PAGE_SIZE);
    }

    return TRUE;

fail:
    while (Index-- != 0)
        TransmitterPutBuffer(Transmitter, Fragments[Index].Buffer);

    return FALSE;
}

/* Fills the pages of the packet's next segment. The headers fit into the first. */
static VOID TransmitterMakeSegment(_Inout_ PTRANSMITTER_PACKET Packet, _In_ const TRANSMITTER_FRAGMENT *Fragments,
                                   _In_ ULONG Length)
{
    const SEGMENTATION *Segmentation = &Packet->Segmentation;
    PUCHAR Headers = Fragments[0].Buffer->Address;
    ULONG Start = Segmentation->HeadersLength;
    CHECKSUM Checksum;
    ULONG Index;

    SegmentBegin(Segmentation, Packet->Segment, Headers, &Checksum);

    for (Index = 0; Index < TransmitterCountPages(Length); Index++) {
        const TRANSMITTER_FRAGMENT *Fragment = &Fragments[Index];
        PUCHAR Target = Fragment->Buffer->Address + Start;
        ULONG Size = Fragment->Length - Start;

        TransmitterCopyNext(&Packet->Cursor, Target, Size);
        ChecksumAdd(&Checksum, Target, Size);
        BufferTouch(Fragment->Buffer, Fragment->Length);
        Start = 0;
    }

    SegmentEnd(Segmentation, Headers, &Checksum);
}

static NTSTATUS TransmitterGrantPages(_Inout_ PXENVIF_TRANSMITTER Transmitter,
                                      _In_ const TRANSMITTER_FRAGMENT *Fragments, _In_ ULONG Count)
{
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Index;

    for (Index = 0; NT_SUCCESS(Status) && Index < Count; Index++)
        Status = TransmitterGrantBuffer(Transmitter, Fragments[Index].Buffer, Fragments[Index].Length);

    return Status;
}

static NTSTATUS TransmitterPostSegment(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet,
                                       _In_ ULONG Length)
{
    TRANSMITTER_FRAGMENT Fragments[TRANSMITTER_SEGMENT_PAGES] = {0};
    ULONG Count = TransmitterCountPages(Length);
    NTSTATUS Status;

    if (!TransmitterGetPages(Transmitter, Length, Fragments))
        return STATUS_INSUFFICIENT_RESOURCES;

    TransmitterMakeSegment(Packet, Fragments, Length);

    Status = TransmitterGrantPages(Transmitter, Fragments, Count);
    if (!NT_SUCCESS(Status))
        goto fail;

    TransmitterPostFrame(Transmitter, Packet, Fragments, Count, TRUE);

    return STATUS_SUCCESS;

fail:
    while (Count-- != 0)
        TransmitterPutBuffer(Transmitter, Fragments[Count].Buffer);

    return Status;
}

NTSTATUS TransmitterPostSegments(_Inout_ PXENVIF_TRANSMITTER Transmitter, _Inout_ PTRANSMITTER_PACKET Packet)
{
    const SEGMENTATION *Segmentation = &Packet->Segmentation;
    ULONG Extras = TransmitterCountExtras(Packet);

    for (; Packet->Segment < Segmentation->Count; Packet->Segment++) {
        ULONG Offset;
        ULONG Length = Segmentation->HeadersLength + SegmentPayload(Segmentation, Packet->Segment, &Offset);
        NTSTATUS Status;

        if (TransmitterCountPages(Length) + Extras > TransmitterRoom(Transmitter))
            return STATUS_SUCCESS;

        Status = TransmitterPostSegment(Transmitter, Packet, Length);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    Packet->Posted = TRUE;

    return STATUS_SUCCESS;
}
