#include "netclient.h"

#include <ntddndis.h>

C_ASSERT(NETCLIENT_VIF_STATISTICS == XENVIF_VIF_STATISTIC_COUNT);

static NTSTATUS NetClientQueryStatistics(_Inout_ PNETCLIENT Client, _Out_ PNETCLIENT_STATISTICS Statistics)
{
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Index;

    /* All of them are counters, and go on counting. */
    C_ASSERT(sizeof(Client->Statistics) % sizeof(LONG64) == 0);
    for (Index = 0; Index < sizeof(Client->Statistics) / sizeof(LONG64); Index++)
        ((PLONG64)Statistics)[Index] = InterlockedExchangeAdd64((PLONG64)&Client->Statistics + Index, 0);

    for (Index = 0; NT_SUCCESS(Status) && Index < NETCLIENT_VIF_STATISTICS; Index++) {
        ULONGLONG Value;

        Status = XENVIF_VIF_CALL(&Client->Vif, QueryStatistic, (XENVIF_VIF_STATISTIC)Index, &Value);
        Statistics->Vif[Index] = Value;
    }

    return Status;
}

static ULONG NetClientIsConnected(_Inout_ PNETCLIENT Client)
{
    NET_IF_MEDIA_CONNECT_STATE State;

    XENVIF_VIF_CALL(&Client->Vif, MacQueryState, &State, NULL, NULL);

    return State == MediaConnectStateConnected;
}

static NTSTATUS NetClientQueryLink(_Inout_ PNETCLIENT Client, _Out_ PNETCLIENT_LINK Link)
{
    PXENVIF_VIF_INTERFACE Vif = &Client->Vif;
    XENVIF_VIF_OFFLOAD_OPTIONS Options;
    NET_IF_MEDIA_CONNECT_STATE ConnectState;
    NET_IF_MEDIA_DUPLEX_STATE DuplexState;
    ETHERNET_ADDRESS Permanent;
    ETHERNET_ADDRESS Current;

    RtlZeroMemory(Link, sizeof(NETCLIENT_LINK));

    XENVIF_VIF_CALL(Vif, MacQueryState, &ConnectState, &Link->LinkSpeed, &DuplexState);
    Link->Connected = ConnectState == MediaConnectStateConnected;
    Link->FullDuplex = DuplexState == MediaDuplexStateFull;

    XENVIF_VIF_CALL(Vif, MacQueryPermanentAddress, &Permanent);
    XENVIF_VIF_CALL(Vif, MacQueryCurrentAddress, &Current);
    RtlCopyMemory(Link->PermanentAddress, &Permanent, sizeof(Permanent));
    RtlCopyMemory(Link->CurrentAddress, &Current, sizeof(Current));

    XENVIF_VIF_CALL(Vif, MacQueryMaximumFrameSize, &Link->MaximumFrameSize);
    XENVIF_VIF_CALL(Vif, QueryRingCount, &Link->RingCount);
    XENVIF_VIF_CALL(Vif, TransmitterQueryRingSize, &Link->TransmitterRingSize);
    XENVIF_VIF_CALL(Vif, ReceiverQueryRingSize, &Link->ReceiverRingSize);
    XENVIF_VIF_CALL(Vif, TransmitterQueryOffloadOptions, &Options);
    Link->OffloadOptions = Options.Value;
    XENVIF_VIF_CALL(Vif, TransmitterQueryLargePacketSize, 4, &Link->LargePacketSize[0]);
    XENVIF_VIF_CALL(Vif, TransmitterQueryLargePacketSize, 6, &Link->LargePacketSize[1]);

    return STATUS_SUCCESS;
}

static NTSTATUS NetClientSetMode(_Inout_ PNETCLIENT Client, _In_ const NETCLIENT_MODE *Mode)
{
    KIRQL Irql;

    if (Mode->Rows > 1 || (Mode->Rows != 0 && (Mode->ReverseEvery | Mode->HoldMilliseconds | Mode->PauseEvery) != 0))
        return STATUS_INVALID_PARAMETER;

    KeAcquireSpinLock(&Client->Lock, &Irql);
    Client->Mode = *Mode;
    KeReleaseSpinLock(&Client->Lock, Irql);

    return STATUS_SUCCESS;
}

static NTSTATUS NetClientSetOffload(_Inout_ PNETCLIENT Client, _In_ const NETCLIENT_OFFLOAD *Offload)
{
    XENVIF_VIF_OFFLOAD_OPTIONS Options;

    Client->Offload = *Offload;

    Options.Value = Offload->ReceiverOptions;
    XENVIF_VIF_CALL(&Client->Vif, ReceiverSetOffloadOptions, Options);
    XENVIF_VIF_CALL(&Client->Vif, ReceiverSetBackfillSize, Offload->BackfillSize);

    return STATUS_SUCCESS;
}

static NTSTATUS NetClientSetMulticast(_Inout_ PNETCLIENT Client, _In_ PVOID Addresses, _In_ ULONG Length)
{
    if (Length % sizeof(ETHERNET_ADDRESS) != 0)
        return STATUS_INVALID_PARAMETER;

    return XENVIF_VIF_CALL(&Client->Vif, MacSetMulticastAddresses, Addresses, Length / (ULONG)sizeof(ETHERNET_ADDRESS));
}

/* For the frames that are written from now on, and no other writer is at work. */
static NTSTATUS NetClientSetShape(_Inout_ PNETCLIENT Client, _In_ const NETCLIENT_SHAPE *Shape)
{
    if (Shape->PageOffset >= PAGE_SIZE || Shape->LeadingBytes >= PAGE_SIZE || Shape->Gap >= PAGE_SIZE)
        return STATUS_INVALID_PARAMETER;

    Client->Shape = *Shape;

    return STATUS_SUCCESS;
}

static NTSTATUS NetClientSetHashParameters(_Inout_ PNETCLIENT Client, _In_ PNETCLIENT_HASH Hash)
{
    return XENVIF_VIF_CALL(&Client->Vif, ReceiverUpdateHashParameters, Hash->Types, Hash->Key);
}

static NTSTATUS NetClientSetHashMapping(_Inout_ PNETCLIENT Client, _In_ PVOID Mapping, _In_ ULONG Length)
{
    return XENVIF_VIF_CALL(&Client->Vif, UpdateHashMapping, Mapping, Length / (ULONG)sizeof(PROCESSOR_NUMBER));
}

static NTSTATUS NetClientQueryFrames(_Inout_ PNETCLIENT Client, _Out_ PNETCLIENT_FRAMES Frames)
{
    KIRQL Irql;

    KeAcquireSpinLock(&Client->Lock, &Irql);
    *Frames = Client->Frames;
    KeReleaseSpinLock(&Client->Lock, Irql);

    return STATUS_SUCCESS;
}

/* The bytes that a code needs to come in, and gives out. */
static ULONG NetClientInputSize(_In_ ULONG Code)
{
    switch (Code) {
    case IOCTL_NETCLIENT_WAIT_LINK:
        return sizeof(NETCLIENT_WAIT);
    case IOCTL_NETCLIENT_SET_MODE:
        return sizeof(NETCLIENT_MODE);
    case IOCTL_NETCLIENT_SET_FILTER:
        return sizeof(NETCLIENT_FILTER);
    case IOCTL_NETCLIENT_SET_OFFLOAD:
        return sizeof(NETCLIENT_OFFLOAD);
    case IOCTL_NETCLIENT_SET_SHAPE:
        return sizeof(NETCLIENT_SHAPE);
    case IOCTL_NETCLIENT_PKTGEN_BEGIN:
        return sizeof(NETCLIENT_PKTGEN);
    case IOCTL_NETCLIENT_SET_HASH_ALGORITHM:
        return sizeof(ULONG);
    case IOCTL_NETCLIENT_SET_HASH_PARAMETERS:
        return sizeof(NETCLIENT_HASH);
    default:
        return 0;
    }
}

static ULONG NetClientOutputSize(_In_ ULONG Code)
{
    switch (Code) {
    case IOCTL_NETCLIENT_QUERY_STATISTICS:
        return sizeof(NETCLIENT_STATISTICS);
    case IOCTL_NETCLIENT_QUERY_LINK:
        return sizeof(NETCLIENT_LINK);
    case IOCTL_NETCLIENT_QUERY_HASH_TYPES:
        return sizeof(ULONG);
    case IOCTL_NETCLIENT_QUERY_FRAMES:
        return sizeof(NETCLIENT_FRAMES);
    case IOCTL_NETCLIENT_PKTGEN_RUN:
        return sizeof(NETCLIENT_PKTGEN_RESULT);
    default:
        return 0;
    }
}

/* With the VIF there to be asked. */
static NTSTATUS NetClientDo(_Inout_ PNETCLIENT Client, _In_ ULONG Code, _Inout_ PVOID Buffer, _In_ ULONG InputLength)
{
    const NETCLIENT_FILTER *Filter = Buffer;

    switch (Code) {
    case IOCTL_NETCLIENT_QUERY_STATISTICS:
        return NetClientQueryStatistics(Client, Buffer);
    case IOCTL_NETCLIENT_QUERY_LINK:
        return NetClientQueryLink(Client, Buffer);
    case IOCTL_NETCLIENT_SET_MODE:
        return NetClientSetMode(Client, Buffer);
    case IOCTL_NETCLIENT_SET_FILTER:
        return XENVIF_VIF_CALL(&Client->Vif, MacSetFilterLevel, (ETHERNET_ADDRESS_TYPE)Filter->Type,
                               (XENVIF_MAC_FILTER_LEVEL)Filter->Level);
    case IOCTL_NETCLIENT_SET_MULTICAST:
        return NetClientSetMulticast(Client, Buffer, InputLength);
    case IOCTL_NETCLIENT_SET_OFFLOAD:
        return NetClientSetOffload(Client, Buffer);
    case IOCTL_NETCLIENT_SET_SHAPE:
        return NetClientSetShape(Client, Buffer);
    case IOCTL_NETCLIENT_SET_HASH_ALGORITHM:
        return XENVIF_VIF_CALL(&Client->Vif, ReceiverSetHashAlgorithm, (XENVIF_PACKET_HASH_ALGORITHM) * (PULONG)Buffer);
    case IOCTL_NETCLIENT_QUERY_HASH_TYPES:
        return XENVIF_VIF_CALL(&Client->Vif, ReceiverQueryHashCapabilities, (PULONG)Buffer);
    case IOCTL_NETCLIENT_SET_HASH_PARAMETERS:
        return NetClientSetHashParameters(Client, Buffer);
    case IOCTL_NETCLIENT_SET_HASH_MAPPING:
        return NetClientSetHashMapping(Client, Buffer, InputLength);
    case IOCTL_NETCLIENT_QUERY_FRAMES:
        return NetClientQueryFrames(Client, Buffer);
    case IOCTL_NETCLIENT_PKTGEN_BEGIN:
        return NetClientGeneratorBegin(Client, Buffer);
    case IOCTL_NETCLIENT_PKTGEN_SEND:
        return NetClientGeneratorAddSent(Client, Buffer, InputLength);
    case IOCTL_NETCLIENT_PKTGEN_EXPECT:
        return NetClientGeneratorAddExpected(Client, Buffer, InputLength);
    case IOCTL_NETCLIENT_PKTGEN_RUN:
        return NetClientGeneratorRun(Client, Buffer);
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

static NTSTATUS NetClientWaitLink(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    NTSTATUS Status;

    if (((PNETCLIENT_WAIT)Irp->AssociatedIrp.SystemBuffer)->Connected > 1) {
        NetClientComplete(Client, Irp, STATUS_INVALID_PARAMETER, 0);
        return STATUS_INVALID_PARAMETER;
    }

    Status = NetClientQueueIrp(Client, &Client->LinkWaits, Irp);
    NetClientCheckLink(Client);

    return Status;
}

/* What NDIS would be asked for by others: the addresses of the adapter. */
static NTSTATUS NetClientQueryOid(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS Status = STATUS_DEVICE_NOT_READY;
    ETHERNET_ADDRESS Address;
    PVOID Buffer;

    if (StackLocation->Parameters.DeviceIoControl.InputBufferLength < sizeof(NDIS_OID) ||
        StackLocation->Parameters.DeviceIoControl.OutputBufferLength < sizeof(Address)) {
        NetClientComplete(Client, Irp, STATUS_BUFFER_TOO_SMALL, 0);
        return STATUS_BUFFER_TOO_SMALL;
    }

    if (NetClientFlag(&Client->Started) && ExAcquireRundownProtection(&Client->Rundown)) {
        Status = STATUS_SUCCESS;
        switch (*(NDIS_OID *)Irp->AssociatedIrp.SystemBuffer) {
        case OID_802_3_PERMANENT_ADDRESS:
            XENVIF_VIF_CALL(&Client->Vif, MacQueryPermanentAddress, &Address);
            break;
        case OID_802_3_CURRENT_ADDRESS:
            XENVIF_VIF_CALL(&Client->Vif, MacQueryCurrentAddress, &Address);
            break;
        default:
            Status = STATUS_INVALID_DEVICE_REQUEST;
            break;
        }
        ExReleaseRundownProtection(&Client->Rundown);
    }

    if (NT_SUCCESS(Status)) {
        Buffer = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority | MdlMappingNoExecute);
        if (Buffer != NULL)
            RtlCopyMemory(Buffer, &Address, sizeof(Address));
        else
            Status = STATUS_INSUFFICIENT_RESOURCES;
    }
    NetClientComplete(Client, Irp, Status, NT_SUCCESS(Status) ? sizeof(Address) : 0);

    return Status;
}

NTSTATUS NetClientControl(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    ULONG Code = StackLocation->Parameters.DeviceIoControl.IoControlCode;
    ULONG InputLength = StackLocation->Parameters.DeviceIoControl.InputBufferLength;
    ULONG OutputLength = StackLocation->Parameters.DeviceIoControl.OutputBufferLength;
    NTSTATUS Status;

    if (Code == IOCTL_NDIS_QUERY_GLOBAL_STATS)
        return NetClientQueryOid(Client, Irp);

    if (InputLength < NetClientInputSize(Code) || OutputLength < NetClientOutputSize(Code)) {
        Status = STATUS_BUFFER_TOO_SMALL;
        goto done;
    }

    if (!NetClientFlag(&Client->Started)) {
        Status = STATUS_DEVICE_NOT_READY;
        goto done;
    }

    if (Code == IOCTL_NETCLIENT_WAIT_LINK)
        return NetClientWaitLink(Client, Irp);

    Status = STATUS_DEVICE_NOT_READY;
    if (ExAcquireRundownProtection(&Client->Rundown)) {
        Status = NetClientDo(Client, Code, Irp->AssociatedIrp.SystemBuffer, InputLength);
        ExReleaseRundownProtection(&Client->Rundown);
    }

done:
    NetClientComplete(Client, Irp, Status, NT_SUCCESS(Status) ? NetClientOutputSize(Code) : 0);

    return Status;
}

/* Ends the waits for the state that the link is in. While packets do not move it is down. */
VOID NetClientCheckLink(_Inout_ PNETCLIENT Client)
{
    NETCLIENT_MATCH Match = {NULL, TRUE, 0};
    PIRP Irp;

    if (ExAcquireRundownProtection(&Client->Rundown)) {
        Match.Connected = NetClientIsConnected(Client);
        ExReleaseRundownProtection(&Client->Rundown);
    }

    while ((Irp = IoCsqRemoveNextIrp(&Client->LinkWaits.Csq, &Match)) != NULL)
        NetClientComplete(Client, Irp, STATUS_SUCCESS, 0);
}
