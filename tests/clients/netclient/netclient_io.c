#include "netclient.h"

static PNETCLIENT_QUEUE NetClientQueueOf(_In_ PIO_CSQ Csq)
{
    return CONTAINING_RECORD(Csq, NETCLIENT_QUEUE, Csq);
}

static VOID NTAPI NetClientCsqInsert(_In_ PIO_CSQ Csq, _In_ PIRP Irp)
{
    InsertTailList(&NetClientQueueOf(Csq)->Irps, &Irp->Tail.Overlay.ListEntry);
}

static VOID NTAPI NetClientCsqRemove(_In_ PIO_CSQ Csq, _In_ PIRP Irp)
{
    UNREFERENCED_PARAMETER(Csq);

    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

static BOOLEAN NetClientMatches(_In_ PIRP Irp, _In_opt_ const NETCLIENT_MATCH *Match)
{
    if (Match == NULL)
        return TRUE;

    if (Match->FileObject != NULL && IoGetCurrentIrpStackLocation(Irp)->FileObject != Match->FileObject)
        return FALSE;

    return !Match->ByLink || ((PNETCLIENT_WAIT)Irp->AssociatedIrp.SystemBuffer)->Connected == Match->Connected;
}

static PIRP NTAPI NetClientCsqPeek(_In_ PIO_CSQ Csq, _In_opt_ PIRP Irp, _In_opt_ PVOID Context)
{
    PLIST_ENTRY Irps = &NetClientQueueOf(Csq)->Irps;
    PLIST_ENTRY ListEntry = (Irp != NULL) ? Irp->Tail.Overlay.ListEntry.Flink : Irps->Flink;

    for (; ListEntry != Irps; ListEntry = ListEntry->Flink) {
        PIRP Next = CONTAINING_RECORD(ListEntry, IRP, Tail.Overlay.ListEntry);

        if (NetClientMatches(Next, Context))
            return Next;
    }

    return NULL;
}

static VOID NTAPI NetClientCsqLock(_In_ PIO_CSQ Csq, _Out_ PKIRQL Irql)
{
    KeAcquireSpinLock(&NetClientQueueOf(Csq)->Lock, Irql);
}

static VOID NTAPI NetClientCsqUnlock(_In_ PIO_CSQ Csq, _In_ KIRQL Irql)
{
    KeReleaseSpinLock(&NetClientQueueOf(Csq)->Lock, Irql);
}

static VOID NTAPI NetClientCsqCancelled(_In_ PIO_CSQ Csq, _In_ PIRP Irp)
{
    UNREFERENCED_PARAMETER(Csq);

    NetClientComplete(IoGetCurrentIrpStackLocation(Irp)->DeviceObject->DeviceExtension, Irp, STATUS_CANCELLED, 0);
}

NTSTATUS NetClientQueueInitialize(_Out_ PNETCLIENT_QUEUE Queue)
{
    KeInitializeSpinLock(&Queue->Lock);
    InitializeListHead(&Queue->Irps);

    return IoCsqInitialize(&Queue->Csq, NetClientCsqInsert, NetClientCsqRemove, NetClientCsqPeek, NetClientCsqLock,
                           NetClientCsqUnlock, NetClientCsqCancelled);
}

VOID NetClientQueueFlush(_Inout_ PNETCLIENT Client, _Inout_ PNETCLIENT_QUEUE Queue, _In_opt_ PFILE_OBJECT FileObject,
                         _In_ NTSTATUS Status)
{
    NETCLIENT_MATCH Match = {FileObject, FALSE, 0};
    PIRP Irp;

    while ((Irp = IoCsqRemoveNextIrp(&Queue->Csq, &Match)) != NULL)
        NetClientComplete(Client, Irp, Status, 0);
}

/* Has an IRP wait in a queue. A device that stops empties its queues once, and may just have done so. */
NTSTATUS NetClientQueueIrp(_Inout_ PNETCLIENT Client, _Inout_ PNETCLIENT_QUEUE Queue, _Inout_ PIRP Irp)
{
    IoCsqInsertIrp(&Queue->Csq, Irp, NULL);

    if (!NetClientFlag(&Client->Started))
        NetClientQueueFlush(Client, Queue, NULL, (NTSTATUS)InterlockedCompareExchange(&Client->Stopping, 0, 0));

    return STATUS_PENDING;
}

/* Takes an IRP only while the device is started. */
static NTSTATUS NetClientCheckStarted(_Inout_ PNETCLIENT Client)
{
    NTSTATUS Status;

    if (NetClientFlag(&Client->Started))
        return STATUS_SUCCESS;

    Status = (NTSTATUS)InterlockedCompareExchange(&Client->Stopping, 0, 0);

    return (Status == STATUS_DELETE_PENDING) ? Status : STATUS_DEVICE_NOT_READY;
}

NTSTATUS NetClientWrite(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    Status = NetClientCheckStarted(Client);
    if (NT_SUCCESS(Status) && Irp->MdlAddress == NULL)
        Status = STATUS_INVALID_PARAMETER;
    if (NT_SUCCESS(Status) && Client->Mode.Rows)
        Status = NetClientRowBegin(Irp);

    if (!NT_SUCCESS(Status)) {
        NetClientComplete(Client, Irp, Status, 0);
        return Status;
    }

    Status = NetClientQueueIrp(Client, &Client->Writes, Irp);
    NetClientSend(Client);

    return Status;
}

NTSTATUS NetClientRead(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    Status = NetClientCheckStarted(Client);
    if (NT_SUCCESS(Status) && Irp->MdlAddress == NULL)
        Status = STATUS_INVALID_PARAMETER;

    if (!NT_SUCCESS(Status)) {
        NetClientComplete(Client, Irp, Status, 0);
        return Status;
    }

    Status = NetClientQueueIrp(Client, &Client->Reads, Irp);
    NetClientDeliver(Client);

    return Status;
}

/* Gives one write to the VIF. FALSE: the VIF has no room, and the IRP is still ours. */
static BOOLEAN NetClientSendIrp(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    ULONG Length = StackLocation->Parameters.Write.Length;
    ULONGLONG Left = (ULONGLONG)StackLocation->Parameters.Write.ByteOffset.QuadPart;
    NETCLIENT_OFFLOAD Offload = Client->Offload;
    XENVIF_VIF_OFFLOAD_OPTIONS Options;
    ULONG Offset;
    PMDL Mdl;
    NTSTATUS Status;

    if (Client->Mode.Rows)
        return NetClientRowSend(Client, Irp);

    if (Left != 0) {
        Offload.TransmitterOptions = (USHORT)Left;
        Offload.MaximumSegmentSize = (USHORT)(Left >> 16);
        Offload.TagControlInformation = 0;
    }
    Options.Value = Offload.TransmitterOptions;

    Status = NetClientShape(Client, Irp, &Mdl, &Offset);
    if (!NT_SUCCESS(Status)) {
        NetClientComplete(Client, Irp, Status, 0);
        return TRUE;
    }

    Status = XENVIF_VIF_CALL(&Client->Vif, TransmitterQueuePacket, Mdl, Offset, Length, Options,
                             Offload.MaximumSegmentSize, Offload.TagControlInformation, NULL, FALSE, Irp);
    if (!NT_SUCCESS(Status))
        NetClientUnshape(Irp);
    if (Status == STATUS_DEVICE_BUSY)
        return FALSE;

    /* When it was taken the IRP may be complete, and gone, by now. */
    if (NT_SUCCESS(Status))
        NetClientCount(Client, &Client->Statistics.Written);
    else
        NetClientComplete(Client, Irp, Status, 0);

    return TRUE;
}

/* Gives writes to the VIF, in order, until there are no more or there is no room. */
static VOID NetClientSendSome(_Inout_ PNETCLIENT Client)
{
    while (NetClientFlag(&Client->Enabled)) {
        PIRP Irp = Client->Blocked;

        Client->Blocked = NULL;
        if (Irp == NULL)
            Irp = IoCsqRemoveNextIrp(&Client->Writes.Csq, NULL);
        if (Irp == NULL)
            return;

        if (!NetClientSendIrp(Client, Irp)) {
            Client->Blocked = Irp; /* tried again when a packet comes back */
            return;
        }
    }
}

VOID NetClientSend(_Inout_ PNETCLIENT Client)
{
    if (!ExAcquireRundownProtection(&Client->Rundown))
        return;

    if (NetClientPumpEnter(Client, &Client->SendPump)) {
        do
            NetClientSendSome(Client);
        while (!NetClientPumpLeave(Client, &Client->SendPump));
    }

    ExReleaseRundownProtection(&Client->Rundown);
}

VOID NetClientSent(_Inout_ PNETCLIENT Client, _In_ PVOID Cookie,
                   _In_ PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion)
{
    PIRP Irp = Cookie;

    if (NetClientIsGeneratorCookie(Cookie)) {
        NetClientGeneratorSent(Client, Cookie, Completion);
        return;
    }

    if (NetClientIsRowCookie(Cookie)) {
        NetClientRowSent(Client, Cookie, Completion);
        return;
    }

    NetClientUnshape(Irp);

    switch (Completion->Status) {
    case XENVIF_TRANSMITTER_PACKET_OK:
        NetClientCount(Client, &Client->Statistics.WrittenOk);
        NetClientComplete(Client, Irp, STATUS_SUCCESS, Completion->PacketLength);
        break;

    case XENVIF_TRANSMITTER_PACKET_DROPPED:
        NetClientCount(Client, &Client->Statistics.WrittenDropped);
        NetClientComplete(Client, Irp, STATUS_NETWORK_UNREACHABLE, 0);
        break;

    case XENVIF_TRANSMITTER_PACKET_ERROR:
        NetClientCount(Client, &Client->Statistics.WrittenError);
        NetClientComplete(Client, Irp, STATUS_IO_DEVICE_ERROR, 0);
        break;

    default:
        KeBugCheckEx(NETCLIENT_TAG, Completion->Status, (ULONG_PTR)Irp, 0, 1);
    }

    NetClientSend(Client);
}
