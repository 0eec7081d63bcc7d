#include "netclient.h"

/* Gives a packet back to the VIF. */
static VOID NetClientReturn(_Inout_ PNETCLIENT Client, _In_ PNETCLIENT_FRAME Frame)
{
    XENVIF_VIF_CALL(&Client->Vif, ReceiverReturnPacket, Frame->Cookie);
    ExFreePoolWithTag(Frame, NETCLIENT_TAG);
}

static ULONGLONG NetClientDue(_In_ ULONG Milliseconds)
{
    return KeQueryInterruptTime() + (ULONGLONG)Milliseconds * 10000;
}

static VOID NetClientSetTimer(_Inout_ PNETCLIENT Client, _In_ ULONG Milliseconds)
{
    LARGE_INTEGER DueTime;

    DueTime.QuadPart = -(LONGLONG)Milliseconds * 10000;
    (VOID) KeSetTimer(&Client->ReturnTimer, DueTime, &Client->ReturnDpc);
}

/*
 * With the lock: moves the frames that may go back now to List, in the order in which they are to go. As long as
 * packets are collected there is nothing to move before there are enough of them.
 */
static VOID NetClientTakeDue(_Inout_ PNETCLIENT Client, _Inout_ PLIST_ENTRY List)
{
    BOOLEAN Reverse = Client->Mode.ReverseEvery > 1;
    ULONGLONG Now = KeQueryInterruptTime();

    if (Reverse && Client->ReturningCount < Client->Mode.ReverseEvery)
        return;

    while (!IsListEmpty(&Client->Returning)) {
        PNETCLIENT_FRAME Frame = CONTAINING_RECORD(Client->Returning.Flink, NETCLIENT_FRAME, ListEntry);

        if (Frame->Due > Now)
            break;

        RemoveEntryList(&Frame->ListEntry);
        Client->ReturningCount--;

        if (Reverse)
            InsertHeadList(List, &Frame->ListEntry);
        else
            InsertTailList(List, &Frame->ListEntry);
    }
}

/* Gives back what may go back. */
static VOID NetClientReturnDue(_Inout_ PNETCLIENT Client)
{
    LIST_ENTRY List;
    KIRQL Irql;

    InitializeListHead(&List);

    KeAcquireSpinLock(&Client->Lock, &Irql);

    NetClientTakeDue(Client, &List);
    if (Client->Mode.HoldMilliseconds != 0 && !IsListEmpty(&Client->Returning))
        NetClientSetTimer(Client, Client->Mode.HoldMilliseconds);

    KeReleaseSpinLock(&Client->Lock, Irql);

    while (!IsListEmpty(&List))
        NetClientReturn(Client, CONTAINING_RECORD(RemoveHeadList(&List), NETCLIENT_FRAME, ListEntry));
}

_Use_decl_annotations_ VOID NTAPI NetClientReturnDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PNETCLIENT Client = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);

    if (!ExAcquireRundownProtection(&Client->Rundown))
        return;

    NetClientReturnDue(Client);

    ExReleaseRundownProtection(&Client->Rundown);
}

/* A frame has been read. */
static VOID NetClientConsume(_Inout_ PNETCLIENT Client, _In_ PNETCLIENT_FRAME Frame)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Client->Lock, &Irql);

    Frame->Due = (Client->Mode.HoldMilliseconds != 0) ? NetClientDue(Client->Mode.HoldMilliseconds) : 0;
    InsertTailList(&Client->Returning, &Frame->ListEntry);
    Client->ReturningCount++;

    KeReleaseSpinLock(&Client->Lock, Irql);

    NetClientReturnDue(Client);
}

/* Gives back everything, read or not. Packets do not move, and nobody else is at work. */
VOID NetClientReturnAll(_Inout_ PNETCLIENT Client)
{
    while (!IsListEmpty(&Client->Received)) {
        NetClientReturn(Client, CONTAINING_RECORD(RemoveHeadList(&Client->Received), NETCLIENT_FRAME, ListEntry));
        NetClientCount(Client, &Client->Statistics.ReceivedReturned);
    }
    Client->ReceivedCount = 0;

    while (!IsListEmpty(&Client->Returning))
        NetClientReturn(Client, CONTAINING_RECORD(RemoveTailList(&Client->Returning), NETCLIENT_FRAME, ListEntry));
    Client->ReturningCount = 0;

    NetClientRowForget(Client);
}

/* Copies a frame out of its chain. */
NTSTATUS NetClientCopy(_In_ PNETCLIENT_FRAME Frame, _Out_ PUCHAR Target)
{
    ULONG Offset = Frame->Offset;
    ULONG Left = Frame->Length;
    PMDL Mdl;

    for (Mdl = Frame->Mdl; Left != 0; Mdl = Mdl->Next) {
        PUCHAR Source = MmGetSystemAddressForMdlSafe(Mdl, NormalPagePriority);
        ULONG Length;

        if (Source == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;

        Length = MmGetMdlByteCount(Mdl) - Offset;
        if (Length > Left)
            Length = Left;
        RtlCopyMemory(Target, Source + Offset, Length);
        Target += Length;
        Left -= Length;
        Offset = 0;
    }

    return STATUS_SUCCESS;
}

static PNETCLIENT_FRAME NetClientFirst(_Inout_ PNETCLIENT Client)
{
    PNETCLIENT_FRAME Frame = NULL;
    KIRQL Irql;

    KeAcquireSpinLock(&Client->Lock, &Irql);

    if (!IsListEmpty(&Client->Received))
        Frame = CONTAINING_RECORD(Client->Received.Flink, NETCLIENT_FRAME, ListEntry);

    KeReleaseSpinLock(&Client->Lock, Irql);

    return Frame;
}

static VOID NetClientDropFirst(_Inout_ PNETCLIENT Client, _In_ PNETCLIENT_FRAME Frame)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Client->Lock, &Irql);

    RemoveEntryList(&Frame->ListEntry);
    Client->ReceivedCount--;

    KeReleaseSpinLock(&Client->Lock, Irql);
}

/* Gives the first frame to a reader. A reader that cannot take it leaves it for the next one. */
static VOID NetClientDeliverOne(_Inout_ PNETCLIENT Client, _In_ PNETCLIENT_FRAME Frame, _Inout_ PIRP Irp)
{
    ULONG Length = Frame->Length;
    NTSTATUS Status = STATUS_INSUFFICIENT_RESOURCES;
    PUCHAR Target;

    if (IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length < Length) {
        NetClientComplete(Client, Irp, STATUS_BUFFER_TOO_SMALL, Length);
        return;
    }

    Target = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    if (Target != NULL)
        Status = NetClientCopy(Frame, Target);
    if (!NT_SUCCESS(Status)) {
        NetClientComplete(Client, Irp, Status, 0);
        return;
    }

    NetClientDropFirst(Client, Frame);
    NetClientCount(Client, &Client->Statistics.ReceivedRead);
    NetClientConsume(Client, Frame);
    NetClientComplete(Client, Irp, STATUS_SUCCESS, Length);
}

static VOID NetClientDeliverSome(_Inout_ PNETCLIENT Client)
{
    PNETCLIENT_FRAME Frame;
    PIRP Irp;

    if (Client->Mode.Rows) {
        NetClientRowDeliver(Client);
        return;
    }

    /* Only the pump takes frames off the list: the first one stays until it has found its reader. */
    while ((Frame = NetClientFirst(Client)) != NULL) {
        Irp = IoCsqRemoveNextIrp(&Client->Reads.Csq, NULL);
        if (Irp == NULL)
            return;

        NetClientDeliverOne(Client, Frame, Irp);
    }
}

VOID NetClientDeliver(_Inout_ PNETCLIENT Client)
{
    if (!ExAcquireRundownProtection(&Client->Rundown))
        return;

    if (NetClientPumpEnter(Client, &Client->DeliverPump)) {
        do
            NetClientDeliverSome(Client);
        while (!NetClientPumpLeave(Client, &Client->DeliverPump));
    }

    ExReleaseRundownProtection(&Client->Rundown);
}

/* A reader may take one away meanwhile: then there is more room, not less. */
static BOOLEAN NetClientHasRoom(_In_ PNETCLIENT Client)
{
    BOOLEAN Room;
    KIRQL Irql;

    KeAcquireSpinLock(&Client->Lock, &Irql);
    Room = Client->ReceivedCount < NETCLIENT_RECEIVED_LIMIT;
    KeReleaseSpinLock(&Client->Lock, Irql);

    return Room;
}

/* Puts a frame where readers find it. TRUE: the VIF is to pause. */
static BOOLEAN NetClientKeep(_Inout_ PNETCLIENT Client, _In_ PNETCLIENT_FRAME Frame)
{
    BOOLEAN Pause;
    KIRQL Irql;

    KeAcquireSpinLock(&Client->Lock, &Irql);

    InsertTailList(&Client->Received, &Frame->ListEntry);
    Client->ReceivedCount++;

    Pause = Client->ReceivedCount >= NETCLIENT_RECEIVED_HIGH;
    if (Client->Mode.PauseEvery != 0 &&
        (ULONG64)InterlockedExchangeAdd64((PLONG64)&Client->Statistics.Received, 0) % Client->Mode.PauseEvery == 0)
        Pause = TRUE;

    KeReleaseSpinLock(&Client->Lock, Irql);

    return Pause;
}

/* Notes what the VIF says of a frame. */
VOID NetClientNote(_Inout_ PNETCLIENT Client, _In_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters)
{
    PXENVIF_PACKET_HASH Hash = Parameters->ReceiverQueuePacket.Hash;
    PNETCLIENT_FRAME_INFO Info;

    Info = &Client->Frames.Frame[Client->Frames.Total++ % NETCLIENT_FRAMES_KEPT];
    Info->Index = (USHORT)Parameters->ReceiverQueuePacket.Index;
    Info->Processor = (USHORT)KeGetCurrentProcessorNumberEx(NULL);
    Info->Length = Parameters->ReceiverQueuePacket.Length;
    Info->Flags = Parameters->ReceiverQueuePacket.Flags.Value;
    Info->MaximumSegmentSize = Parameters->ReceiverQueuePacket.MaximumSegmentSize;
    Info->TagControlInformation = Parameters->ReceiverQueuePacket.TagControlInformation;
    Info->HashAlgorithm = Hash->Algorithm;
    Info->HashType = Hash->Type;
    Info->HashValue = Hash->Value;
}

VOID NetClientReceived(_Inout_ PNETCLIENT Client, _Inout_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters)
{
    PNETCLIENT_FRAME Frame = NULL;
    KIRQL Irql;

    if (NetClientGeneratorReceived(Client, Parameters))
        return;

    if (Client->Mode.Rows) {
        NetClientRowReceived(Client, Parameters);
        return;
    }

    NetClientCount(Client, &Client->Statistics.Received);

    KeAcquireSpinLock(&Client->Lock, &Irql);
    NetClientNote(Client, Parameters);
    KeReleaseSpinLock(&Client->Lock, Irql);

    if (NetClientHasRoom(Client))
        Frame = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(NETCLIENT_FRAME), NETCLIENT_TAG);

    if (Frame == NULL) {
        NetClientCount(Client, &Client->Statistics.ReceivedLost);
        XENVIF_VIF_CALL(&Client->Vif, ReceiverReturnPacket, Parameters->ReceiverQueuePacket.Cookie);
        return;
    }

    Frame->Mdl = Parameters->ReceiverQueuePacket.Mdl;
    Frame->Offset = Parameters->ReceiverQueuePacket.Offset;
    Frame->Length = Parameters->ReceiverQueuePacket.Length;
    Frame->Cookie = Parameters->ReceiverQueuePacket.Cookie;
    Frame->Due = 0;

    if (NetClientKeep(Client, Frame)) {
        NetClientCount(Client, &Client->Statistics.Pauses);
        Parameters->ReceiverQueuePacket.Pause = TRUE;
    }

    NetClientDeliver(Client);
}
