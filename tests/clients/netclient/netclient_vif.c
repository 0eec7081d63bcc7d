#include "netclient.h"

#include <stdarg.h>

static VOID NTAPI NetClientCallback(_In_opt_ PVOID Argument, _In_ XENVIF_VIF_CALLBACK_TYPE Type,
                                    _In_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters)
{
    PNETCLIENT Client = Argument;

    switch (Type) {
    case XENVIF_TRANSMITTER_RETURN_PACKET:
        NetClientSent(Client, Parameters->TransmitterReturnPacket.Cookie,
                      Parameters->TransmitterReturnPacket.Completion);
        break;

    case XENVIF_RECEIVER_QUEUE_PACKET:
        NetClientReceived(Client, Parameters);
        break;

    case XENVIF_MAC_STATE_CHANGE:
        NetClientCount(Client, &Client->Statistics.LinkChanges);
        NetClientCheckLink(Client);
        break;

    default:
        KeBugCheckEx(NETCLIENT_TAG, (ULONG_PTR)Type, 0, 0, 0);
    }
}

/* Version 9 has no Pause: the client asks for it, and is not heard. */
static VOID NTAPI NetClientCallback9(_In_opt_ PVOID Argument, _In_ XENVIF_VIF_CALLBACK_TYPE Type,
                                     _In_ union _XENVIF_VIF_CALLBACK_PARAMETERS_V9 *Parameters)
{
    XENVIF_VIF_CALLBACK_PARAMETERS Copy;

    RtlZeroMemory(&Copy, sizeof(Copy));
    if (Type != XENVIF_MAC_STATE_CHANGE)
        RtlCopyMemory(&Copy, Parameters, sizeof(*Parameters));

    NetClientCallback(Argument, Type, &Copy);
}

static VOID NTAPI NetClientCallback8(_In_opt_ PVOID Argument, _In_ XENVIF_VIF_CALLBACK_TYPE Type, ...)
{
    XENVIF_VIF_CALLBACK_PARAMETERS Copy;
    va_list Arguments;

    RtlZeroMemory(&Copy, sizeof(Copy));

    va_start(Arguments, Type);

    if (Type == XENVIF_TRANSMITTER_RETURN_PACKET) {
        Copy.TransmitterReturnPacket.Cookie = va_arg(Arguments, PVOID);
        Copy.TransmitterReturnPacket.Completion = va_arg(Arguments, PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO);
    } else if (Type == XENVIF_RECEIVER_QUEUE_PACKET) {
        Copy.ReceiverQueuePacket.Index = va_arg(Arguments, ULONG);
        Copy.ReceiverQueuePacket.Mdl = va_arg(Arguments, PMDL);
        Copy.ReceiverQueuePacket.Offset = va_arg(Arguments, ULONG);
        Copy.ReceiverQueuePacket.Length = va_arg(Arguments, ULONG);
        Copy.ReceiverQueuePacket.Flags = va_arg(Arguments, XENVIF_PACKET_CHECKSUM_FLAGS);
        Copy.ReceiverQueuePacket.MaximumSegmentSize = (USHORT)va_arg(Arguments, int);
        Copy.ReceiverQueuePacket.TagControlInformation = (USHORT)va_arg(Arguments, int);
        Copy.ReceiverQueuePacket.Info = va_arg(Arguments, PXENVIF_PACKET_INFO);
        Copy.ReceiverQueuePacket.Hash = va_arg(Arguments, PXENVIF_PACKET_HASH);
        Copy.ReceiverQueuePacket.More = (BOOLEAN)va_arg(Arguments, int);
        Copy.ReceiverQueuePacket.Cookie = va_arg(Arguments, PVOID);
    }

    va_end(Arguments);

    NetClientCallback(Argument, Type, &Copy);
}

static NTSTATUS NetClientQueryVif(_Inout_ PNETCLIENT Client)
{
    KEVENT Event;
    IO_STATUS_BLOCK StatusBlock;
    PIO_STACK_LOCATION StackLocation;
    NTSTATUS Status;
    PIRP Irp;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);

    Irp = IoBuildSynchronousFsdRequest(IRP_MJ_PNP, Client->LowerDeviceObject, NULL, 0, NULL, &Event, &StatusBlock);
    if (Irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    StackLocation = IoGetNextIrpStackLocation(Irp);
    StackLocation->MinorFunction = IRP_MN_QUERY_INTERFACE;
    StackLocation->Parameters.QueryInterface.InterfaceType = &GUID_XENVIF_VIF_INTERFACE;
    StackLocation->Parameters.QueryInterface.Size = sizeof(XENVIF_VIF_INTERFACE_V10);
    StackLocation->Parameters.QueryInterface.Version = (USHORT)NetClientVersion();
    StackLocation->Parameters.QueryInterface.Interface = &Client->Vif.Interface;
    StackLocation->Parameters.QueryInterface.InterfaceSpecificData = NULL;
    Irp->IoStatus.Status = STATUS_NOT_SUPPORTED;

    Status = IoCallDriver(Client->LowerDeviceObject, Irp);
    if (Status == STATUS_PENDING) {
        (VOID) KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
        Status = StatusBlock.Status;
    }

    return Status;
}

/* Everything is let in until somebody says otherwise. */
static NTSTATUS NetClientOpenFilter(_Inout_ PNETCLIENT Client)
{
    static const ETHERNET_ADDRESS_TYPE Types[] = {ETHERNET_ADDRESS_UNICAST, ETHERNET_ADDRESS_MULTICAST,
                                                  ETHERNET_ADDRESS_BROADCAST};
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Index;

    for (Index = 0; NT_SUCCESS(Status) && Index < RTL_NUMBER_OF(Types); Index++)
        Status = XENVIF_VIF_CALL(&Client->Vif, MacSetFilterLevel, Types[Index], XENVIF_MAC_FILTER_ALL);

    return Status;
}

static NTSTATUS NetClientEnableVif(_Inout_ PNETCLIENT Client)
{
    if (NetClientVersion() == 8)
        return XENVIF_VIF_CALL(&Client->Vif8, EnableVersion8, NetClientCallback8, Client);
    if (NetClientVersion() == 9)
        return XENVIF_VIF_CALL(&Client->Vif9, EnableVersion9, NetClientCallback9, Client);

    return XENVIF_VIF_CALL(&Client->Vif, Enable, NetClientCallback, Client);
}

NTSTATUS NetClientEnable(_Inout_ PNETCLIENT Client)
{
    NTSTATUS Status;

    ExReInitializeRundownProtection(&Client->Rundown);
    (VOID) InterlockedExchange(&Client->Enabled, TRUE);

    Status = NetClientEnableVif(Client);
    if (!NT_SUCCESS(Status)) {
        (VOID) InterlockedExchange(&Client->Enabled, FALSE);
        ExWaitForRundownProtectionRelease(&Client->Rundown);
        return Status;
    }

    /* What was written and read while packets did not move. */
    NetClientSend(Client);
    NetClientDeliver(Client);
    NetClientCheckLink(Client);

    return STATUS_SUCCESS;
}

VOID NetClientDisable(_Inout_ PNETCLIENT Client)
{
    if (InterlockedExchange(&Client->Enabled, FALSE) == FALSE)
        return;

    /* All packets that were sent have come back when this returns, and none comes in any more. */
    XENVIF_VIF_CALL(&Client->Vif, Disable);

    NetClientGeneratorDisabled(Client);
    ExWaitForRundownProtectionRelease(&Client->Rundown);

    (VOID) KeCancelTimer(&Client->ReturnTimer);
    KeFlushQueuedDpcs();

    NetClientReturnAll(Client);
    NetClientCheckLink(Client);
}

/* Ends the IRPs that wait. Packets do not move, and IRPs are no longer taken. */
static VOID NetClientFlush(_Inout_ PNETCLIENT Client, _In_ NTSTATUS Status)
{
    PIRP Blocked = Client->Blocked;

    Client->Blocked = NULL;
    if (Blocked != NULL)
        NetClientComplete(Client, Blocked, Status, 0);

    NetClientQueueFlush(Client, &Client->Writes, NULL, Status);
    NetClientQueueFlush(Client, &Client->Reads, NULL, Status);
    NetClientQueueFlush(Client, &Client->LinkWaits, NULL, Status);
}

NTSTATUS NetClientStart(_Inout_ PNETCLIENT Client)
{
    XENVIF_VIF_OFFLOAD_OPTIONS Options;
    NTSTATUS Status;

    Status = NetClientQueryVif(Client);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = XENVIF_VIF_CALL(&Client->Vif, Acquire);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Options.Value = Client->Offload.ReceiverOptions;
    XENVIF_VIF_CALL(&Client->Vif, ReceiverSetOffloadOptions, Options);
    XENVIF_VIF_CALL(&Client->Vif, ReceiverSetBackfillSize, Client->Offload.BackfillSize);

    Status = NetClientOpenFilter(Client);
    if (!NT_SUCCESS(Status))
        goto fail2;

    (VOID) InterlockedExchange(&Client->Stopping, STATUS_SUCCESS);
    (VOID) InterlockedExchange(&Client->Started, TRUE);

    Status = NetClientEnable(Client);
    if (!NT_SUCCESS(Status))
        goto fail3;

    return STATUS_SUCCESS;

fail3:
    (VOID) InterlockedExchange(&Client->Stopping, Status);
    (VOID) InterlockedExchange(&Client->Started, FALSE);
    NetClientFlush(Client, Status);

fail2:
    XENVIF_VIF_CALL(&Client->Vif, Release);

fail1:
    RtlZeroMemory(&Client->Vif, sizeof(Client->Vif));

    return Status;
}

VOID NetClientStop(_Inout_ PNETCLIENT Client, _In_ NTSTATUS Status)
{
    (VOID) InterlockedExchange(&Client->Stopping, Status);
    if (InterlockedExchange(&Client->Started, FALSE) == FALSE)
        return;

    NetClientDisable(Client);
    NetClientFlush(Client, Status);
    NetClientGeneratorEnd(Client);

    XENVIF_VIF_CALL(&Client->Vif, Release);
    RtlZeroMemory(&Client->Vif, sizeof(Client->Vif));
}
