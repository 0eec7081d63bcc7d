#include "netclient.h"

/* A write that carries a row of frames. */
typedef struct _NETCLIENT_ROW {
    LONG Unanswered; /* frames that have not come back, those that have yet to go among them */
    LONG Bad;        /* frames that were not taken */
    ULONG Total;
    ULONG Next;  /* where the entry that goes next lies in the buffer */
    LONG Status; /* of the first that was not taken */
} NETCLIENT_ROW, *PNETCLIENT_ROW;

static PNETCLIENT_ROW NetClientRow(_In_ PIRP Irp)
{
    /* The fourth is the queue's. */
    C_ASSERT(sizeof(NETCLIENT_ROW) <= 3 * sizeof(PVOID));

    return (PNETCLIENT_ROW)&Irp->Tail.Overlay.DriverContext[0];
}

/* An IRP's address is even. */
PVOID NetClientRowCookie(_In_ PIRP Irp)
{
    return (PVOID)((ULONG_PTR)Irp | 1);
}

BOOLEAN NetClientIsRowCookie(_In_ PVOID Cookie)
{
    return ((ULONG_PTR)Cookie & 1) != 0;
}

/* Looks through a write's row. */
NTSTATUS NetClientRowBegin(_Inout_ PIRP Irp)
{
    ULONG Size = IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length;
    PUCHAR Buffer = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    PNETCLIENT_ROW Row = NetClientRow(Irp);
    ULONG At = 0;

    if (Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlZeroMemory(Row, sizeof(NETCLIENT_ROW));

    while (At != Size) {
        ULONG Left = Size - At;
        ULONG Length;

        if (Left < sizeof(NETCLIENT_ENTRY))
            return STATUS_INVALID_PARAMETER;

        Length = ((PNETCLIENT_ENTRY)(Buffer + At))->Length;
        if (Length > Left - sizeof(NETCLIENT_ENTRY) || NETCLIENT_ENTRY_SIZE(Length) > Left)
            return STATUS_INVALID_PARAMETER;

        At += NETCLIENT_ENTRY_SIZE(Length);
        Row->Total++;
    }

    Row->Unanswered = (LONG)Row->Total;

    return (Row->Total != 0) ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

/* One frame is over. TRUE: so is the write, which is gone. */
static BOOLEAN NetClientRowAnswered(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp, _In_ NTSTATUS Status)
{
    PNETCLIENT_ROW Row = NetClientRow(Irp);

    if (!NT_SUCCESS(Status)) {
        (VOID) InterlockedCompareExchange(&Row->Status, Status, STATUS_SUCCESS);
        (VOID) InterlockedIncrement(&Row->Bad);
    }

    if (InterlockedDecrement(&Row->Unanswered) != 0)
        return FALSE;

    NetClientComplete(Client, Irp, Row->Status, Row->Total - (ULONG)Row->Bad);

    return TRUE;
}

/* Gives a row to the VIF. FALSE: the VIF has no room for what is left of it, and the IRP is still ours. */
BOOLEAN NetClientRowSend(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    ULONG Size = IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length;
    PUCHAR Buffer = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    PMDL Mdl = Irp->MdlAddress;
    ULONG At = NetClientRow(Irp)->Next;
    LONG64 Written = 0;

    /* Behind the last frame's turn the IRP may be complete, and gone. */
    while (At != Size) {
        PNETCLIENT_ENTRY Entry = (PNETCLIENT_ENTRY)(Buffer + At);
        ULONG Next = At + NETCLIENT_ENTRY_SIZE(Entry->Length);
        XENVIF_VIF_OFFLOAD_OPTIONS Options;
        NTSTATUS Status;

        Options.Value = (USHORT)Entry->Left;
        Status = XENVIF_VIF_CALL(&Client->Vif, TransmitterQueuePacket, Mdl, At + (ULONG)sizeof(NETCLIENT_ENTRY),
                                 Entry->Length, Options, (USHORT)(Entry->Left >> 16), 0, NULL, (BOOLEAN)(Next != Size),
                                 NetClientRowCookie(Irp));

        /* Once more, so that no packet that comes back in between is missed. */
        if (Status == STATUS_DEVICE_BUSY) {
            NetClientRow(Irp)->Next = At;
            if (InterlockedExchange(&Client->RowBlocked, TRUE) != FALSE)
                break;
            continue;
        }

        if (NT_SUCCESS(Status))
            Written++;
        else
            (VOID) NetClientRowAnswered(Client, Irp, Status);

        At = Next;
    }

    (VOID) InterlockedExchangeAdd64((LONG64 volatile *)&Client->Statistics.Written, Written);

    return At == Size;
}

VOID NetClientRowSent(_Inout_ PNETCLIENT Client, _In_ PVOID Cookie,
                      _In_ PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion)
{
    PIRP Irp = (PIRP)((ULONG_PTR)Cookie & ~(ULONG_PTR)1);
    NTSTATUS Status = STATUS_SUCCESS;

    switch (Completion->Status) {
    case XENVIF_TRANSMITTER_PACKET_OK:
        NetClientCount(Client, &Client->Statistics.WrittenOk);
        break;

    case XENVIF_TRANSMITTER_PACKET_DROPPED:
        NetClientCount(Client, &Client->Statistics.WrittenDropped);
        Status = STATUS_NETWORK_UNREACHABLE;
        break;

    case XENVIF_TRANSMITTER_PACKET_ERROR:
        NetClientCount(Client, &Client->Statistics.WrittenError);
        Status = STATUS_IO_DEVICE_ERROR;
        break;

    default:
        KeBugCheckEx(NETCLIENT_TAG, Completion->Status, (ULONG_PTR)Irp, 0, 1);
    }

    /* An interlocked operation: the flag is looked at behind it. */
    (VOID) NetClientRowAnswered(Client, Irp, Status);

    if (ReadAcquire(&Client->RowBlocked) != FALSE && InterlockedExchange(&Client->RowBlocked, FALSE) != FALSE)
        NetClientSend(Client);
}

/* With the lock: a place for a frame that was kept from before, or NULL. */
static PNETCLIENT_FRAME NetClientRowPopSpare(_Inout_ PNETCLIENT Client)
{
    if (IsListEmpty(&Client->Spare))
        return NULL;

    return CONTAINING_RECORD(RemoveHeadList(&Client->Spare), NETCLIENT_FRAME, ListEntry);
}

/* Puts a frame where readers find it. FALSE: there is no room for it. */
static BOOLEAN NetClientRowKeep(_Inout_ PNETCLIENT Client, _In_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters,
                                _Out_ PBOOLEAN Pause)
{
    PNETCLIENT_FRAME Frame;
    BOOLEAN Room;

    KeAcquireSpinLockAtDpcLevel(&Client->Lock);

    NetClientNote(Client, Parameters);
    Room = Client->ReceivedCount < NETCLIENT_RECEIVED_LIMIT;
    Frame = Room ? NetClientRowPopSpare(Client) : NULL;

    if (Room && Frame == NULL) {
        KeReleaseSpinLockFromDpcLevel(&Client->Lock);
        Frame = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(NETCLIENT_FRAME), NETCLIENT_TAG);
        KeAcquireSpinLockAtDpcLevel(&Client->Lock);
    }

    if (Frame != NULL) {
        Frame->Mdl = Parameters->ReceiverQueuePacket.Mdl;
        Frame->Offset = Parameters->ReceiverQueuePacket.Offset;
        Frame->Length = Parameters->ReceiverQueuePacket.Length;
        Frame->Cookie = Parameters->ReceiverQueuePacket.Cookie;
        Frame->Due = 0;
        InsertTailList(&Client->Received, &Frame->ListEntry);
        Client->ReceivedCount++;
    }
    *Pause = Client->ReceivedCount >= NETCLIENT_RECEIVED_HIGH;

    KeReleaseSpinLockFromDpcLevel(&Client->Lock);

    return Frame != NULL;
}

/* DISPATCH_LEVEL. Readers are looked for when the last frame of those that come at once is there. */
VOID NetClientRowReceived(_Inout_ PNETCLIENT Client, _Inout_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters)
{
    BOOLEAN Kept;
    BOOLEAN Pause;

    NetClientCount(Client, &Client->Statistics.Received);

    Kept = NetClientRowKeep(Client, Parameters, &Pause);
    if (!Kept) {
        NetClientCount(Client, &Client->Statistics.ReceivedLost);
        XENVIF_VIF_CALL(&Client->Vif, ReceiverReturnPacket, Parameters->ReceiverQueuePacket.Cookie);
    }

    if (Pause) {
        NetClientCount(Client, &Client->Statistics.Pauses);
        Parameters->ReceiverQueuePacket.Pause = TRUE;
    }

    if (!Kept || Pause || !Parameters->ReceiverQueuePacket.More)
        NetClientDeliver(Client);
}

/* Moves all entries of From to the head of To. */
static VOID NetClientRowSplice(_Inout_ PLIST_ENTRY To, _Inout_ PLIST_ENTRY From)
{
    if (IsListEmpty(From))
        return;

    From->Blink->Flink = To->Flink;
    To->Flink->Blink = From->Blink;
    To->Flink = From->Flink;
    From->Flink->Blink = To;
    InitializeListHead(From);
}

/* Takes all frames that wait; they count as such until they have been read. Only the pump does. FALSE: none. */
static BOOLEAN NetClientRowTake(_Inout_ PNETCLIENT Client, _Out_ PLIST_ENTRY List)
{
    KIRQL Irql;

    InitializeListHead(List);

    KeAcquireSpinLock(&Client->Lock, &Irql);
    NetClientRowSplice(List, &Client->Received);
    KeReleaseSpinLock(&Client->Lock, Irql);

    return !IsListEmpty(List);
}

/* Puts frames that nobody has read where they were, and keeps the places of the others, which were so many. */
static VOID NetClientRowPutBack(_Inout_ PNETCLIENT Client, _Inout_ PLIST_ENTRY List, _Inout_ PLIST_ENTRY Empty,
                                _In_ ULONG Read)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Client->Lock, &Irql);

    NetClientRowSplice(&Client->Received, List);
    Client->ReceivedCount -= Read;
    NetClientRowSplice(&Client->Spare, Empty);

    KeReleaseSpinLock(&Client->Lock, Irql);
}

/* Fills a read's buffer with frames off the list, which go back to the VIF; the number of them. */
static ULONG NetClientRowFill(_Inout_ PNETCLIENT Client, _Inout_ PLIST_ENTRY List, _Inout_ PLIST_ENTRY Empty,
                              _Inout_ PIRP Irp)
{
    ULONG Size = IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length;
    PUCHAR Buffer = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    NTSTATUS Status = (Buffer != NULL) ? STATUS_BUFFER_TOO_SMALL : STATUS_INSUFFICIENT_RESOURCES;
    ULONG Count = 0;
    ULONG At = 0;

    while (Buffer != NULL && !IsListEmpty(List)) {
        PNETCLIENT_FRAME Frame = CONTAINING_RECORD(List->Flink, NETCLIENT_FRAME, ListEntry);
        PNETCLIENT_ENTRY Entry = (PNETCLIENT_ENTRY)(Buffer + At);

        if (Size - At < NETCLIENT_ENTRY_SIZE(Frame->Length))
            break;

        Status = NetClientCopy(Frame, (PUCHAR)(Entry + 1));
        if (!NT_SUCCESS(Status))
            break;

        RtlZeroMemory(Entry, sizeof(NETCLIENT_ENTRY));
        Entry->Length = Frame->Length;
        At += NETCLIENT_ENTRY_SIZE(Frame->Length);
        Count++;

        RemoveEntryList(&Frame->ListEntry);
        InsertTailList(Empty, &Frame->ListEntry);
        XENVIF_VIF_CALL(&Client->Vif, ReceiverReturnPacket, Frame->Cookie);
    }

    (VOID) InterlockedExchangeAdd64((LONG64 volatile *)&Client->Statistics.ReceivedRead, Count);
    NetClientComplete(Client, Irp, (Count != 0) ? STATUS_SUCCESS : Status, At);

    return Count;
}

/* Gives the frames that wait to readers. The pump's. */
VOID NetClientRowDeliver(_Inout_ PNETCLIENT Client)
{
    LIST_ENTRY List;
    LIST_ENTRY Empty;

    InitializeListHead(&Empty);

    while (NetClientRowTake(Client, &List)) {
        PIRP Irp = IoCsqRemoveNextIrp(&Client->Reads.Csq, NULL);
        ULONG Read = (Irp != NULL) ? NetClientRowFill(Client, &List, &Empty, Irp) : 0;

        NetClientRowPutBack(Client, &List, &Empty, Read);
        if (Irp == NULL)
            return;
    }
}

/* The places go. Nobody else is at work. */
VOID NetClientRowForget(_Inout_ PNETCLIENT Client)
{
    while (!IsListEmpty(&Client->Spare))
        ExFreePoolWithTag(CONTAINING_RECORD(RemoveHeadList(&Client->Spare), NETCLIENT_FRAME, ListEntry), NETCLIENT_TAG);
}
