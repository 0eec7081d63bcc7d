#include "bug.h"
#include "frontend.h"
#include "interface.h"
#include "mac.h"
#include "pool.h"
#include "receiver.h"
#include "statistics.h"
#include "transmitter.h"
#include "vif.h"
#include "vif_callback.h"

#define VIF_TAG POOL_TAG('V', 'v', 'i', 'f')

struct _XENVIF_VIF {
    ULONG Number;
    LONG References;
    PXENVIF_FRONTEND Frontend; /* NULL while the device is not started */

    /* Set before the frontend is enabled and reset after it has been disabled: callbacks need no lock. */
    VIF_CALLBACK Callback;

    KMUTEX Mutex; /* Enable, Disable and the device's stop, one at a time */
    LONG Enabled;
};

static PXENVIF_VIF VifFromInterface(_In_ PINTERFACE Interface)
{
    return Interface->Context;
}

/* The frontend for a method that needs no enabled VIF; NULL while the device is not started. */
static PXENVIF_FRONTEND VifFrontend(_In_ PINTERFACE Interface)
{
    return VifFromInterface(Interface)->Frontend;
}

static PAGED_FUNCTION VOID VifLock(_Inout_ PXENVIF_VIF Vif)
{
    PAGED_CODE();

    (VOID) KeWaitForSingleObject(&Vif->Mutex, Executive, KernelMode, FALSE, NULL);
}

static PAGED_FUNCTION VOID VifUnlock(_Inout_ PXENVIF_VIF Vif)
{
    PAGED_CODE();

    (VOID) KeReleaseMutex(&Vif->Mutex, FALSE);
}

/* There is something to hold only while the device is started. */
static PAGED_FUNCTION NTSTATUS NTAPI VifAcquire(_In_ PINTERFACE Interface)
{
    PXENVIF_VIF Vif = VifFromInterface(Interface);
    NTSTATUS Status = STATUS_DEVICE_NOT_READY;

    PAGED_CODE();

    VifLock(Vif);

    if (Vif->Frontend != NULL) {
        (VOID) InterlockedIncrement(&Vif->References);
        Status = STATUS_SUCCESS;
    }

    VifUnlock(Vif);

    return Status;
}

/* With the mutex. When it returns every packet to send has come back and no callback runs. */
static PAGED_FUNCTION VOID VifStop(_Inout_ PXENVIF_VIF Vif)
{
    PAGED_CODE();

    if (InterlockedExchange(&Vif->Enabled, FALSE) == FALSE)
        return;

    FrontendDisable(Vif->Frontend);

    RtlZeroMemory(&Vif->Callback, sizeof(Vif->Callback));
}

static PAGED_FUNCTION NTSTATUS VifStart(_Inout_ PXENVIF_VIF Vif, _In_ const VIF_CALLBACK *Callback)
{
    NTSTATUS Status;

    PAGED_CODE();

    VifLock(Vif);

    Status = STATUS_DEVICE_NOT_READY;
    if (Vif->Frontend == NULL)
        goto done;

    Status = STATUS_INVALID_DEVICE_STATE;
    if (ReadAcquire(&Vif->Enabled) != FALSE)
        goto done;

    Vif->Callback = *Callback;
    (VOID) InterlockedExchange(&Vif->Enabled, TRUE);

    FrontendEnable(Vif->Frontend);
    Status = STATUS_SUCCESS;

done:
    VifUnlock(Vif);

    return Status;
}

static PAGED_FUNCTION NTSTATUS NTAPI VifEnableVersion8(_In_ PINTERFACE Interface, _In_ XENVIF_VIF_CALLBACK_V8 Function,
                                                       _In_opt_ PVOID Argument)
{
    VIF_CALLBACK Callback = {.Version = 8, .Function = {.Version8 = Function}, .Argument = Argument};

    PAGED_CODE();

    return (Function != NULL) ? VifStart(VifFromInterface(Interface), &Callback) : STATUS_INVALID_PARAMETER;
}

static PAGED_FUNCTION NTSTATUS NTAPI VifEnableVersion9(_In_ PINTERFACE Interface, _In_ XENVIF_VIF_CALLBACK_V9 Function,
                                                       _In_opt_ PVOID Argument)
{
    VIF_CALLBACK Callback = {.Version = 9, .Function = {.Version9 = Function}, .Argument = Argument};

    PAGED_CODE();

    return (Function != NULL) ? VifStart(VifFromInterface(Interface), &Callback) : STATUS_INVALID_PARAMETER;
}

static PAGED_FUNCTION NTSTATUS NTAPI VifEnable(_In_ PINTERFACE Interface, _In_ XENVIF_VIF_CALLBACK Function,
                                               _In_opt_ PVOID Argument)
{
    VIF_CALLBACK Callback = {.Version = 10, .Function = {.Version10 = Function}, .Argument = Argument};

    PAGED_CODE();

    return (Function != NULL) ? VifStart(VifFromInterface(Interface), &Callback) : STATUS_INVALID_PARAMETER;
}

static PAGED_FUNCTION VOID NTAPI VifDisable(_In_ PINTERFACE Interface)
{
    PXENVIF_VIF Vif = VifFromInterface(Interface);

    PAGED_CODE();

    VifLock(Vif);
    VifStop(Vif);
    VifUnlock(Vif);
}

static PAGED_FUNCTION VOID NTAPI VifRelease(_In_ PINTERFACE Interface)
{
    PXENVIF_VIF Vif = VifFromInterface(Interface);

    PAGED_CODE();

    if (InterlockedDecrement(&Vif->References) == 0)
        VifDisable(Interface);
}

static NTSTATUS NTAPI VifQueryStatistic(_In_ PINTERFACE Interface, _In_ XENVIF_VIF_STATISTIC Index,
                                        _Out_ PULONGLONG Value)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    *Value = 0;
    if (Frontend == NULL)
        return STATUS_DEVICE_NOT_READY;

    return StatisticsQuery(FrontendGetStatistics(Frontend), Index, Value);
}

static VOID NTAPI VifQueryRingCount(_In_ PINTERFACE Interface, _Out_ PULONG Count)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    *Count = (Frontend != NULL) ? FrontendGetRingCount(Frontend) : 0;
}

/* Has the frontend carry out a request, if the device is started. */
static PAGED_FUNCTION NTSTATUS VifRequestHash(_In_ PINTERFACE Interface, _Inout_ FRONTEND_HASH_REQUEST *Request)
{
    PXENVIF_VIF Vif = VifFromInterface(Interface);
    NTSTATUS Status = STATUS_DEVICE_NOT_READY;

    PAGED_CODE();

    VifLock(Vif);

    if (Vif->Frontend != NULL)
        Status = FrontendRequestHash(Vif->Frontend, Request);

    VifUnlock(Vif);

    return Status;
}

static PAGED_FUNCTION NTSTATUS NTAPI VifUpdateHashMapping(_In_ PINTERFACE Interface,
                                                          _In_reads_(Size) PPROCESSOR_NUMBER Mapping, _In_ ULONG Size)
{
    FRONTEND_HASH_REQUEST Request = {.Type = FRONTEND_HASH_SET_MAPPING, .Mapping = Mapping, .Size = Size};

    PAGED_CODE();

    return VifRequestHash(Interface, &Request);
}

static VOID NTAPI VifReceiverReturnPacket(_In_ PINTERFACE Interface, _In_ PVOID Cookie)
{
    /* The device cannot have been stopped: that would have found the packet missing. */
    BUG_ON(VifFrontend(Interface) == NULL);

    ReceiverReturnPacket(Cookie);
}

static VOID NTAPI VifReceiverSetOffloadOptions(_In_ PINTERFACE Interface, _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    if (Frontend != NULL)
        FrontendSetReceiverOffloadOptions(Frontend, Options);
}

static VOID NTAPI VifReceiverSetBackfillSize(_In_ PINTERFACE Interface, _In_ ULONG Size)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    if (Frontend != NULL)
        FrontendSetReceiverBackfillSize(Frontend, Size);
}

static VOID NTAPI VifReceiverQueryRingSize(_In_ PINTERFACE Interface, _Out_ PULONG Size)
{
    UNREFERENCED_PARAMETER(Interface);

    *Size = ReceiverQueryRingSize();
}

static PAGED_FUNCTION NTSTATUS NTAPI VifReceiverSetHashAlgorithm(_In_ PINTERFACE Interface,
                                                                 _In_ XENVIF_PACKET_HASH_ALGORITHM Algorithm)
{
    FRONTEND_HASH_REQUEST Request = {.Type = FRONTEND_HASH_SET_ALGORITHM, .Algorithm = Algorithm};

    PAGED_CODE();

    return VifRequestHash(Interface, &Request);
}

/* The arguments are Toeplitz's, the only algorithm that has any. */
static PAGED_FUNCTION NTSTATUS NTAPI VifReceiverQueryHashCapabilities(_In_ PINTERFACE Interface, ...)
{
    FRONTEND_HASH_REQUEST Request = {.Type = FRONTEND_HASH_QUERY_CAPABILITIES};
    va_list Arguments;
    PULONG Types;
    NTSTATUS Status;

    PAGED_CODE();

    va_start(Arguments, Interface);
    Types = va_arg(Arguments, PULONG);
    va_end(Arguments);

    Status = VifRequestHash(Interface, &Request);
    *Types = Request.Types;

    return Status;
}

static PAGED_FUNCTION NTSTATUS NTAPI VifReceiverUpdateHashParameters(_In_ PINTERFACE Interface, ...)
{
    FRONTEND_HASH_REQUEST Request = {.Type = FRONTEND_HASH_SET_PARAMETERS};
    va_list Arguments;

    PAGED_CODE();

    va_start(Arguments, Interface);
    Request.Types = va_arg(Arguments, ULONG);
    Request.Key = va_arg(Arguments, PUCHAR);
    va_end(Arguments);

    return VifRequestHash(Interface, &Request);
}

static NTSTATUS NTAPI VifTransmitterQueuePacket(_In_ PINTERFACE Interface, _In_ PMDL Mdl, _In_ ULONG Offset,
                                                _In_ ULONG Length, _In_ XENVIF_VIF_OFFLOAD_OPTIONS OffloadOptions,
                                                _In_ USHORT MaximumSegmentSize, _In_ USHORT TagControlInformation,
                                                _In_opt_ PXENVIF_PACKET_HASH Hash, _In_ BOOLEAN More,
                                                _In_opt_ PVOID Cookie)
{
    PXENVIF_VIF Vif = VifFromInterface(Interface);

    if (ReadAcquire(&Vif->Enabled) == FALSE)
        return STATUS_DEVICE_NOT_READY;

    return TransmitterQueuePacket(Vif->Frontend, Mdl, Offset, Length, OffloadOptions, MaximumSegmentSize,
                                  TagControlInformation, Hash, More, Cookie);
}

static VOID NTAPI VifTransmitterQueryOffloadOptions(_In_ PINTERFACE Interface,
                                                    _Out_ PXENVIF_VIF_OFFLOAD_OPTIONS Options)
{
    UNREFERENCED_PARAMETER(Interface);

    TransmitterQueryOffloadOptions(Options);
}

static VOID NTAPI VifTransmitterQueryLargePacketSize(_In_ PINTERFACE Interface, _In_ UCHAR Version, _Out_ PULONG Size)
{
    UNREFERENCED_PARAMETER(Interface);

    TransmitterQueryLargePacketSize(Version, Size);
}

static VOID NTAPI VifTransmitterQueryRingSize(_In_ PINTERFACE Interface, _Out_ PULONG Size)
{
    UNREFERENCED_PARAMETER(Interface);

    *Size = TransmitterQueryRingSize();
}

static VOID NTAPI VifMacQueryState(_In_ PINTERFACE Interface, _Out_opt_ PNET_IF_MEDIA_CONNECT_STATE MediaConnectState,
                                   _Out_opt_ PULONG64 LinkSpeed, _Out_opt_ PNET_IF_MEDIA_DUPLEX_STATE MediaDuplexState)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    if (MediaConnectState != NULL)
        *MediaConnectState = MediaConnectStateDisconnected;
    if (LinkSpeed != NULL)
        *LinkSpeed = 0;
    if (MediaDuplexState != NULL)
        *MediaDuplexState = MediaDuplexStateUnknown;

    if (Frontend != NULL)
        MacQueryState(FrontendGetMac(Frontend), MediaConnectState, LinkSpeed, MediaDuplexState);
}

static VOID NTAPI VifMacQueryMaximumFrameSize(_In_ PINTERFACE Interface, _Out_ PULONG Size)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    *Size = (Frontend != NULL) ? MacQueryMaximumFrameSize(FrontendGetMac(Frontend)) : 0;
}

static VOID NTAPI VifMacQueryPermanentAddress(_In_ PINTERFACE Interface, _Out_ PETHERNET_ADDRESS Address)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    RtlZeroMemory(Address, sizeof(ETHERNET_ADDRESS));
    if (Frontend != NULL)
        MacQueryPermanentAddress(FrontendGetMac(Frontend), Address);
}

static VOID NTAPI VifMacQueryCurrentAddress(_In_ PINTERFACE Interface, _Out_ PETHERNET_ADDRESS Address)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    RtlZeroMemory(Address, sizeof(ETHERNET_ADDRESS));
    if (Frontend != NULL)
        MacQueryCurrentAddress(FrontendGetMac(Frontend), Address);
}

static NTSTATUS NTAPI VifMacQueryMulticastAddresses(_In_ PINTERFACE Interface,
                                                    _Out_writes_opt_(*Count) PETHERNET_ADDRESS Address,
                                                    _Inout_ PULONG Count)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    if (Frontend == NULL)
        return STATUS_DEVICE_NOT_READY;

    return MacQueryMulticastAddresses(FrontendGetMac(Frontend), Address, Count);
}

static NTSTATUS NTAPI VifMacSetMulticastAddresses(_In_ PINTERFACE Interface,
                                                  _In_reads_opt_(Count) PETHERNET_ADDRESS Address, _In_ ULONG Count)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    if (Frontend == NULL)
        return STATUS_DEVICE_NOT_READY;

    return MacSetMulticastAddresses(FrontendGetMac(Frontend), Address, Count);
}

static NTSTATUS NTAPI VifMacSetFilterLevel(_In_ PINTERFACE Interface, _In_ ETHERNET_ADDRESS_TYPE Type,
                                           _In_ XENVIF_MAC_FILTER_LEVEL Level)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    if (Frontend == NULL)
        return STATUS_DEVICE_NOT_READY;

    return MacSetFilterLevel(FrontendGetMac(Frontend), Type, Level);
}

static NTSTATUS NTAPI VifMacQueryFilterLevel(_In_ PINTERFACE Interface, _In_ ETHERNET_ADDRESS_TYPE Type,
                                             _Out_ PXENVIF_MAC_FILTER_LEVEL Level)
{
    PXENVIF_FRONTEND Frontend = VifFrontend(Interface);

    if (Frontend == NULL)
        return STATUS_DEVICE_NOT_READY;

    return MacQueryFilterLevel(FrontendGetMac(Frontend), Type, Level);
}

/* What the versions have in common: all but Enable. */
#define VIF_METHODS                                                                                                    \
    .Acquire = VifAcquire, .Release = VifRelease, .Disable = VifDisable, .QueryStatistic = VifQueryStatistic,          \
    .QueryRingCount = VifQueryRingCount, .UpdateHashMapping = VifUpdateHashMapping,                                    \
    .ReceiverReturnPacket = VifReceiverReturnPacket, .ReceiverSetOffloadOptions = VifReceiverSetOffloadOptions,        \
    .ReceiverSetBackfillSize = VifReceiverSetBackfillSize, .ReceiverQueryRingSize = VifReceiverQueryRingSize,          \
    .ReceiverSetHashAlgorithm = VifReceiverSetHashAlgorithm,                                                           \
    .ReceiverQueryHashCapabilities = VifReceiverQueryHashCapabilities,                                                 \
    .ReceiverUpdateHashParameters = VifReceiverUpdateHashParameters,                                                   \
    .TransmitterQueuePacket = VifTransmitterQueuePacket,                                                               \
    .TransmitterQueryOffloadOptions = VifTransmitterQueryOffloadOptions,                                               \
    .TransmitterQueryLargePacketSize = VifTransmitterQueryLargePacketSize,                                             \
    .TransmitterQueryRingSize = VifTransmitterQueryRingSize, .MacQueryState = VifMacQueryState,                        \
    .MacQueryMaximumFrameSize = VifMacQueryMaximumFrameSize, .MacQueryPermanentAddress = VifMacQueryPermanentAddress,  \
    .MacQueryCurrentAddress = VifMacQueryCurrentAddress, .MacQueryMulticastAddresses = VifMacQueryMulticastAddresses,  \
    .MacSetMulticastAddresses = VifMacSetMulticastAddresses, .MacSetFilterLevel = VifMacSetFilterLevel,                \
    .MacQueryFilterLevel = VifMacQueryFilterLevel

static const XENVIF_VIF_INTERFACE_V8 VifInterfaceVersion8 = {VIF_METHODS, .EnableVersion8 = VifEnableVersion8};
static const XENVIF_VIF_INTERFACE_V9 VifInterfaceVersion9 = {VIF_METHODS, .EnableVersion9 = VifEnableVersion9};
static const XENVIF_VIF_INTERFACE_V10 VifInterfaceVersion10 = {VIF_METHODS, .Enable = VifEnable};

NTSTATUS VifGetInterface(_In_ PXENVIF_VIF Vif, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                         _In_ ULONG Size)
{
    switch (Version) {
    case 8:
        return InterfaceFill(Interface, Size, &VifInterfaceVersion8, sizeof(VifInterfaceVersion8), Version, Vif);
    case 9:
        return InterfaceFill(Interface, Size, &VifInterfaceVersion9, sizeof(VifInterfaceVersion9), Version, Vif);
    case 10:
        return InterfaceFill(Interface, Size, &VifInterfaceVersion10, sizeof(VifInterfaceVersion10), Version, Vif);
    default:
        return STATUS_NOT_SUPPORTED;
    }
}

VOID VifTransmitterReturnPacket(_In_ PXENVIF_VIF Vif, _In_opt_ PVOID Cookie,
                                _In_ PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion)
{
    VifCallbackReturnPacket(&Vif->Callback, Cookie, Completion);
}

BOOLEAN VifReceiverQueuePacket(_In_ PXENVIF_VIF Vif, _Inout_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters)
{
    return VifCallbackQueuePacket(&Vif->Callback, Parameters);
}

VOID VifMacStateChange(_In_ PXENVIF_VIF Vif)
{
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    VifCallbackStateChange(&Vif->Callback);
    KeLowerIrql(Irql);
}

PAGED_FUNCTION NTSTATUS VifInitialize(_In_ ULONG Number, _Outptr_ PXENVIF_VIF *Vif)
{
    PXENVIF_VIF New;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENVIF_VIF), VIF_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Number = Number;
    KeInitializeMutex(&New->Mutex, 0);

    *Vif = New;

    return STATUS_SUCCESS;
}

PAGED_FUNCTION VOID VifTeardown(_In_ PXENVIF_VIF Vif)
{
    PAGED_CODE();

    if (ReadAcquire(&Vif->References) != 0) {
        Critical("vif %u goes, and XENVIF_VIF is still acquired %d times", Vif->Number, Vif->References);
        BUG("a client has not released XENVIF_VIF");
    }

    PoolFree(Vif, VIF_TAG);
}

PAGED_FUNCTION VOID VifConnect(_Inout_ PXENVIF_VIF Vif, _In_ PXENVIF_FRONTEND Frontend)
{
    PAGED_CODE();

    VifLock(Vif);
    Vif->Frontend = Frontend;
    VifUnlock(Vif);
}

PAGED_FUNCTION VOID VifDisconnect(_Inout_ PXENVIF_VIF Vif)
{
    PAGED_CODE();

    VifLock(Vif);
    VifStop(Vif);
    Vif->Frontend = NULL;
    VifUnlock(Vif);
}
