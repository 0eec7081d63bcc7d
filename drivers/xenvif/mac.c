#include "bug.h"
#include "driver.h"
#include "frontend.h"
#include "mac.h"
#include "packet.h"
#include "pdo.h"
#include "pool.h"
#include "registry.h"
#include "text.h"

#define MAC_TAG POOL_TAG('V', 'm', 'a', 'c')

#define MAC_DEFAULT_MTU 1500
#define MAC_MINIMUM_MTU 68    /* RFC 791 */
#define MAC_MAXIMUM_MTU 65521 /* with the Ethernet header, XEN_NETIF_MAX_TX_SIZE */
#define MAC_PAGE_MTU (PAGE_SIZE - PACKET_ETHERNET_HEADER_SIZE - PACKET_TAG_SIZE)
#define MAC_DEFAULT_SPEED 1 /* Gbit/s */

#define MAC_TYPES (ETHERNET_ADDRESS_BROADCAST + 1)

struct _XENVIF_MAC {
    PXENVIF_FRONTEND Frontend;
    ETHERNET_ADDRESS Permanent;
    ETHERNET_ADDRESS Current;
    ULONG Mtu; /* read without the lock */
    ULONG64 DefaultSpeed;

    /* The frontend's thread's. */
    FRONTEND_NUMBER StoreMtu;
    BOOLEAN SpeedUnread;

    KSPIN_LOCK Lock; /* guards what follows */
    BOOLEAN Connected;
    ULONG64 Speed; /* bit/s */
    XENVIF_MAC_FILTER_LEVEL Levels[MAC_TYPES];
    PETHERNET_ADDRESS Multicast;
    ULONG MulticastCount;
    ULONG Change; /* of what multicast frames are let in */
};

static LONG MacHexDigit(_In_ CHAR Character)
{
    if (Character >= '0' && Character <= '9')
        return Character - '0';
    if (Character >= 'a' && Character <= 'f')
        return Character - 'a' + 10;
    if (Character >= 'A' && Character <= 'F')
        return Character - 'A' + 10;

    return -1;
}

/* Six bytes of two hexadecimal digits each, with a colon or a dash between them, or nothing. */
static NTSTATUS MacParseAddress(_In_ PCSTR Text, _Out_ PETHERNET_ADDRESS Address)
{
    ULONG Index;

    for (Index = 0; Index < ETHERNET_ADDRESS_LENGTH; Index++) {
        LONG High = MacHexDigit(Text[0]);
        LONG Low = (High < 0) ? -1 : MacHexDigit(Text[1]);

        if (Low < 0)
            return STATUS_INVALID_PARAMETER;

        Address->Byte[Index] = (UCHAR)(High << 4 | Low);
        Text += 2;

        if ((*Text == ':' || *Text == '-') && Index + 1 < ETHERNET_ADDRESS_LENGTH)
            Text++;
    }

    return (*Text == '\0') ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

/* An address that a card can have: of one station, and not all zero. */
static BOOLEAN MacIsStation(_In_ const ETHERNET_ADDRESS *Address)
{
    static const ETHERNET_ADDRESS Zero;

    return EthernetAddressType(Address) == ETHERNET_ADDRESS_UNICAST &&
           !RtlEqualMemory(Address, &Zero, sizeof(ETHERNET_ADDRESS));
}

NTSTATUS MacAddressFromText(_In_z_ PCSTR Text, _Out_ PETHERNET_ADDRESS Address)
{
    NTSTATUS Status;

    RtlZeroMemory(Address, sizeof(ETHERNET_ADDRESS));

    Status = MacParseAddress(Text, Address);

    return (NT_SUCCESS(Status) && !MacIsStation(Address)) ? STATUS_INVALID_PARAMETER : Status;
}

static PAGED_FUNCTION NTSTATUS MacReadPermanentAddress(_Inout_ PXENVIF_MAC Mac)
{
    PSTR Text;
    NTSTATUS Status;

    PAGED_CODE();

    Status = FrontendReadNode(Mac->Frontend, "mac", &Text);
    if (!NT_SUCCESS(Status)) {
        Error("vif %u: mac cannot be read (%08x)", FrontendGetNumber(Mac->Frontend), Status);
        return Status;
    }

    Status = MacAddressFromText(Text, &Mac->Permanent);
    if (!NT_SUCCESS(Status))
        Error("vif %u: mac is '%s', which is no card's address", FrontendGetNumber(Mac->Frontend), Text);

    FrontendFreeNode(Mac->Frontend, Text);

    return Status;
}

/* The address that the administrator gave the adapter, if there is one. */
static PAGED_FUNCTION VOID MacReadCurrentAddress(_Inout_ PXENVIF_MAC Mac)
{
    ETHERNET_ADDRESS Address;
    HANDLE Key;
    PSTR Text;
    NTSTATUS Status;

    PAGED_CODE();

    Mac->Current = Mac->Permanent;

    /* A device that no driver was installed on has no such key. */
    Status = PdoOpenSoftwareKey(FrontendGetPdo(Mac->Frontend), &Key);
    if (!NT_SUCCESS(Status))
        return;

    Status = RegistryQueryString(Key, L"NetworkAddress", &Text);
    if (!NT_SUCCESS(Status))
        goto done;

    Status = MacAddressFromText(Text, &Address);
    if (NT_SUCCESS(Status))
        Mac->Current = Address;
    else if (Text[0] != '\0')
        Warning("vif %u: NetworkAddress is '%s', which is no card's address", FrontendGetNumber(Mac->Frontend), Text);

    RegistryFree(Text);

done:
    RegistryCloseKey(Key);
}

static PAGED_FUNCTION ULONG MacReadMtu(_Inout_ PXENVIF_MAC Mac)
{
    ULONG Mtu;

    PAGED_CODE();

    FrontendUpdateNumber(Mac->Frontend, "mtu", MAC_DEFAULT_MTU, &Mac->StoreMtu);
    Mtu = Mac->StoreMtu.Value;

    if (Mtu < MAC_MINIMUM_MTU || Mtu > MAC_MAXIMUM_MTU) {
        Warning("vif %u: mtu is %u, taken as %u", FrontendGetNumber(Mac->Frontend), Mtu, MAC_DEFAULT_MTU);
        Mtu = MAC_DEFAULT_MTU;
    }

    return Mtu;
}

/* A number and K, M or G for bit/s times a power of 1000; G when there is none. */
static NTSTATUS MacParseSpeed(_In_ PCSTR Text, _Out_ PULONG64 Speed)
{
    ULONGLONG Number;
    ULONGLONG Unit = 1000000000;
    PCSTR End;
    NTSTATUS Status;

    Status = TextToUlonglongPrefix(Text, 10, &Number, &End);
    if (!NT_SUCCESS(Status))
        return Status;

    if (*End == 'K')
        Unit = 1000;
    else if (*End == 'M')
        Unit = 1000000;
    else if (*End != 'G' && *End != '\0')
        return STATUS_INVALID_PARAMETER;

    if (*End != '\0' && End[1] != '\0')
        return STATUS_INVALID_PARAMETER;

    if (Number == 0 || Number > (ULONGLONG)-1 / Unit)
        return STATUS_INVALID_PARAMETER;

    *Speed = Number * Unit;

    return STATUS_SUCCESS;
}

static PAGED_FUNCTION ULONG64 MacReadSpeed(_Inout_ PXENVIF_MAC Mac)
{
    ULONG64 Speed = Mac->DefaultSpeed;
    PSTR Text;
    NTSTATUS Status;

    PAGED_CODE();

    Status = FrontendReadWatchedNode(Mac->Frontend, "speed", &Mac->SpeedUnread, &Text);
    if (!NT_SUCCESS(Status))
        return (Status == STATUS_OBJECT_NAME_NOT_FOUND) ? Speed : Mac->Speed;

    Status = MacParseSpeed(Text, &Speed);
    if (!NT_SUCCESS(Status))
        Warning("vif %u: speed is '%s', which is none", FrontendGetNumber(Mac->Frontend), Text);

    FrontendFreeNode(Mac->Frontend, Text);

    return Speed;
}

PAGED_FUNCTION NTSTATUS MacInitialize(_In_ PXENVIF_FRONTEND Frontend, _Outptr_ PXENVIF_MAC *Mac)
{
    PXENVIF_MAC New;
    NTSTATUS Status;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENVIF_MAC), MAC_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Frontend = Frontend;
    KeInitializeSpinLock(&New->Lock);

    Status = MacReadPermanentAddress(New);
    if (!NT_SUCCESS(Status))
        goto fail;

    MacReadCurrentAddress(New);
    New->StoreMtu.Value = MAC_DEFAULT_MTU;
    New->Mtu = MacReadMtu(New);
    New->DefaultSpeed = (ULONG64)max(DriverQueryParameter(L"MacSpeed", MAC_DEFAULT_SPEED), 1) * 1000000000;
    New->Speed = New->DefaultSpeed;
    New->Speed = MacReadSpeed(New);

    *Mac = New;

    return STATUS_SUCCESS;

fail:
    PoolFree(New, MAC_TAG);

    return Status;
}

PAGED_FUNCTION VOID MacTeardown(_In_ PXENVIF_MAC Mac)
{
    PAGED_CODE();

    if (Mac->Multicast != NULL)
        PoolFree(Mac->Multicast, MAC_TAG);

    PoolFree(Mac, MAC_TAG);
}

BOOLEAN MacUpdate(_Inout_ PXENVIF_MAC Mac, _In_ BOOLEAN Connected, _In_ BOOLEAN Gather)
{
    ULONG64 Speed = Connected ? MacReadSpeed(Mac) : Mac->Speed;
    ULONG Mtu = MacReadMtu(Mac);
    BOOLEAN Changed;
    KIRQL Irql;

    if (!Gather)
        Mtu = min(Mtu, (ULONG)MAC_PAGE_MTU);

    KeAcquireSpinLock(&Mac->Lock, &Irql);

    Changed = Connected != Mac->Connected || Speed != Mac->Speed || Mtu != Mac->Mtu;
    Mac->Connected = Connected;
    Mac->Speed = Speed;
    WriteULongNoFence(&Mac->Mtu, Mtu);

    KeReleaseSpinLock(&Mac->Lock, Irql);

    return Changed;
}

static BOOLEAN MacMatches(_In_ PXENVIF_MAC Mac, _In_ const ETHERNET_ADDRESS *Address, _In_ ETHERNET_ADDRESS_TYPE Type)
{
    ULONG Index;

    if (Type == ETHERNET_ADDRESS_BROADCAST)
        return TRUE;

    if (Type == ETHERNET_ADDRESS_UNICAST)
        return RtlEqualMemory(Address, &Mac->Current, sizeof(ETHERNET_ADDRESS));

    for (Index = 0; Index < Mac->MulticastCount; Index++)
        if (RtlEqualMemory(Address, &Mac->Multicast[Index], sizeof(ETHERNET_ADDRESS)))
            return TRUE;

    return FALSE;
}

VOID MacBeginAdmission(_Inout_ PXENVIF_MAC Mac)
{
    KeAcquireSpinLockAtDpcLevel(&Mac->Lock);
}

BOOLEAN MacAdmits(_In_ PXENVIF_MAC Mac, _In_ const ETHERNET_ADDRESS *Address)
{
    ETHERNET_ADDRESS_TYPE Type = EthernetAddressType(Address);

    if (!Mac->Connected)
        return FALSE;

    if (Mac->Levels[Type] == XENVIF_MAC_FILTER_ALL)
        return TRUE;

    return Mac->Levels[Type] == XENVIF_MAC_FILTER_MATCHING && MacMatches(Mac, Address, Type);
}

VOID MacEndAdmission(_Inout_ PXENVIF_MAC Mac)
{
    KeReleaseSpinLockFromDpcLevel(&Mac->Lock);
}

VOID MacQueryState(_Inout_ PXENVIF_MAC Mac, _Out_opt_ PNET_IF_MEDIA_CONNECT_STATE MediaConnectState,
                   _Out_opt_ PULONG64 LinkSpeed, _Out_opt_ PNET_IF_MEDIA_DUPLEX_STATE MediaDuplexState)
{
    BOOLEAN Connected;
    ULONG64 Speed;
    KIRQL Irql;

    KeAcquireSpinLock(&Mac->Lock, &Irql);

    Connected = Mac->Connected;
    Speed = Mac->Speed;

    KeReleaseSpinLock(&Mac->Lock, Irql);

    if (MediaConnectState != NULL)
        *MediaConnectState = Connected ? MediaConnectStateConnected : MediaConnectStateDisconnected;
    if (LinkSpeed != NULL)
        *LinkSpeed = Connected ? Speed : 0;
    if (MediaDuplexState != NULL)
        *MediaDuplexState = Connected ? MediaDuplexStateFull : MediaDuplexStateUnknown;
}

ULONG MacQueryMaximumFrameSize(_In_ PXENVIF_MAC Mac)
{
    return ReadULongNoFence(&Mac->Mtu) + PACKET_ETHERNET_HEADER_SIZE;
}

VOID MacQueryPermanentAddress(_In_ PXENVIF_MAC Mac, _Out_ PETHERNET_ADDRESS Address)
{
    *Address = Mac->Permanent;
}

VOID MacQueryCurrentAddress(_In_ PXENVIF_MAC Mac, _Out_ PETHERNET_ADDRESS Address)
{
    *Address = Mac->Current;
}

NTSTATUS MacQueryMulticastAddresses(_Inout_ PXENVIF_MAC Mac, _Out_writes_opt_(*Count) PETHERNET_ADDRESS Address,
                                    _Inout_ PULONG Count)
{
    NTSTATUS Status = STATUS_SUCCESS;
    KIRQL Irql;

    KeAcquireSpinLock(&Mac->Lock, &Irql);

    if (Mac->MulticastCount > ((Address != NULL) ? *Count : 0))
        Status = STATUS_BUFFER_OVERFLOW;
    else if (Mac->MulticastCount != 0)
        RtlCopyMemory(Address, Mac->Multicast, Mac->MulticastCount * sizeof(ETHERNET_ADDRESS));

    *Count = Mac->MulticastCount;

    KeReleaseSpinLock(&Mac->Lock, Irql);

    return Status;
}

NTSTATUS MacSetMulticastAddresses(_Inout_ PXENVIF_MAC Mac, _In_reads_opt_(Count) PETHERNET_ADDRESS Address,
                                  _In_ ULONG Count)
{
    PETHERNET_ADDRESS New = NULL;
    PETHERNET_ADDRESS Old;
    ULONG Index;
    KIRQL Irql;

    if (Address == NULL && Count != 0)
        return STATUS_INVALID_PARAMETER;

    for (Index = 0; Index < Count; Index++)
        if (EthernetAddressType(&Address[Index]) != ETHERNET_ADDRESS_MULTICAST)
            return STATUS_INVALID_PARAMETER;

    if (Count != 0) {
        New = PoolAllocateArray(Count, sizeof(ETHERNET_ADDRESS), MAC_TAG);
        if (New == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;

        RtlCopyMemory(New, Address, Count * sizeof(ETHERNET_ADDRESS));
    }

    KeAcquireSpinLock(&Mac->Lock, &Irql);

    Old = Mac->Multicast;
    Mac->Multicast = New;
    Mac->MulticastCount = Count;
    Mac->Change++;

    KeReleaseSpinLock(&Mac->Lock, Irql);

    if (Old != NULL)
        PoolFree(Old, MAC_TAG);

    FrontendWake(Mac->Frontend);

    return STATUS_SUCCESS;
}

static BOOLEAN MacIsType(_In_ ETHERNET_ADDRESS_TYPE Type)
{
    return Type == ETHERNET_ADDRESS_UNICAST || Type == ETHERNET_ADDRESS_MULTICAST || Type == ETHERNET_ADDRESS_BROADCAST;
}

NTSTATUS MacSetFilterLevel(_Inout_ PXENVIF_MAC Mac, _In_ ETHERNET_ADDRESS_TYPE Type, _In_ XENVIF_MAC_FILTER_LEVEL Level)
{
    KIRQL Irql;

    if (!MacIsType(Type) || (ULONG)Level > XENVIF_MAC_FILTER_ALL)
        return STATUS_INVALID_PARAMETER;

    KeAcquireSpinLock(&Mac->Lock, &Irql);
    Mac->Levels[Type] = Level;
    if (Type == ETHERNET_ADDRESS_MULTICAST)
        Mac->Change++;
    KeReleaseSpinLock(&Mac->Lock, Irql);

    if (Type == ETHERNET_ADDRESS_MULTICAST)
        FrontendWake(Mac->Frontend);

    return STATUS_SUCCESS;
}

BOOLEAN MacQueryMulticastFilter(_Inout_ PXENVIF_MAC Mac, _Out_writes_to_(Size, *Count) PETHERNET_ADDRESS Addresses,
                                _In_ ULONG Size, _Out_ PULONG Count, _Out_ PULONG Change)
{
    XENVIF_MAC_FILTER_LEVEL Level;
    BOOLEAN Filters;
    KIRQL Irql;

    *Count = 0;

    KeAcquireSpinLock(&Mac->Lock, &Irql);

    *Change = Mac->Change;
    Level = Mac->Levels[ETHERNET_ADDRESS_MULTICAST];
    Filters = Level != XENVIF_MAC_FILTER_ALL && Mac->MulticastCount <= Size;

    if (Filters && Level == XENVIF_MAC_FILTER_MATCHING && Mac->MulticastCount != 0) {
        *Count = Mac->MulticastCount;
        RtlCopyMemory(Addresses, Mac->Multicast, Mac->MulticastCount * sizeof(ETHERNET_ADDRESS));
    }

    KeReleaseSpinLock(&Mac->Lock, Irql);

    return Filters;
}

NTSTATUS MacQueryFilterLevel(_Inout_ PXENVIF_MAC Mac, _In_ ETHERNET_ADDRESS_TYPE Type,
                             _Out_ PXENVIF_MAC_FILTER_LEVEL Level)
{
    KIRQL Irql;

    if (!MacIsType(Type))
        return STATUS_INVALID_PARAMETER;

    KeAcquireSpinLock(&Mac->Lock, &Irql);
    *Level = Mac->Levels[Type];
    KeReleaseSpinLock(&Mac->Lock, Irql);

    return STATUS_SUCCESS;
}
