#include "announcer.h"
#include "buffer.h"
#include "bug.h"
#include "checksum.h"
#include "frontend.h"
#include "netio.h"
#include "packet.h"
#include "pdo.h"
#include "pool.h"
#include "transmitter.h"

#define ANNOUNCER_TAG POOL_TAG('V', 'a', 'n', 'n')

/* Addresses of one adapter that are announced, at most. */
#define ANNOUNCER_MAXIMUM_ADDRESSES 64

struct _XENVIF_ANNOUNCER {
    PXENVIF_FRONTEND Frontend;
    HANDLE Registration; /* NULL: netio does not tell of changes (yet) */
    LONG Changed;
    ULONG Sent;   /* of the addresses, since there was something to announce; those behind them are to be */
    BOOLEAN Told; /* that those behind them have to wait */
    ULONG Count;
    SOCKADDR_INET Addresses[ANNOUNCER_MAXIMUM_ADDRESSES];
};

/* ---- addresses ---- */

static BOOLEAN AnnouncerIsSame(_In_ const SOCKADDR_INET *A, _In_ const SOCKADDR_INET *B)
{
    if (A->si_family != B->si_family)
        return FALSE;

    return (A->si_family == AF_INET)
               ? RtlEqualMemory(&A->Ipv4.sin_addr, &B->Ipv4.sin_addr, sizeof(A->Ipv4.sin_addr))
               : RtlEqualMemory(&A->Ipv6.sin6_addr, &B->Ipv6.sin6_addr, sizeof(A->Ipv6.sin6_addr));
}

static BOOLEAN AnnouncerHas(_In_reads_(Count) const SOCKADDR_INET *Addresses, _In_ ULONG Count,
                            _In_ const SOCKADDR_INET *Address)
{
    ULONG Index;

    for (Index = 0; Index < Count; Index++)
        if (AnnouncerIsSame(&Addresses[Index], Address))
            return TRUE;

    return FALSE;
}

/*
 * Whether the interface has the address for good. While the link is down an address is looked at anew (tentative): it
 * is the interface's still if it was before.
 */
static BOOLEAN AnnouncerIsUsable(_In_ const XENVIF_ANNOUNCER *Announcer, _In_ const MIB_UNICASTIPADDRESS_ROW *Row)
{
    switch (Row->DadState) {
    case IpDadStatePreferred:
    case IpDadStateDeprecated:
        return TRUE;
    case IpDadStateTentative:
        return AnnouncerHas(Announcer->Addresses, Announcer->Count, &Row->Address);
    default:
        return FALSE;
    }
}

/* Takes the interface's rows of the table. */
static PAGED_FUNCTION NTSTATUS AnnouncerTake(_Inout_ PXENVIF_ANNOUNCER Announcer, _In_ const NET_LUID *Luid,
                                             _In_ const MIB_UNICASTIPADDRESS_TABLE *Table)
{
    ULONG Number = FrontendGetNumber(Announcer->Frontend);
    SOCKADDR_INET *Addresses;
    ULONG Count = 0;
    ULONG Index;

    PAGED_CODE();

    Addresses = PoolAllocate(sizeof(Announcer->Addresses), ANNOUNCER_TAG);
    if (Addresses == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    for (Index = 0; Index < Table->NumEntries; Index++) {
        const MIB_UNICASTIPADDRESS_ROW *Row = &Table->Table[Index];

        if (Row->InterfaceLuid.Value != Luid->Value || !AnnouncerIsUsable(Announcer, Row))
            continue;

        if (Count == ANNOUNCER_MAXIMUM_ADDRESSES) {
            Warning("vif %u: the interface has more than %u addresses, and the rest is not announced", Number, Count);
            break;
        }

        Addresses[Count++] = Row->Address;
    }

    RtlCopyMemory(Announcer->Addresses, Addresses, Count * sizeof(SOCKADDR_INET));
    Announcer->Count = Count;
    Announcer->Sent = 0;

    PoolFree(Addresses, ANNOUNCER_TAG);

    return STATUS_SUCCESS;
}

static PAGED_FUNCTION NTSTATUS AnnouncerRead(_Inout_ PXENVIF_ANNOUNCER Announcer)
{
    PMIB_UNICASTIPADDRESS_TABLE Table;
    NET_LUID Luid;
    NTSTATUS Status;

    PAGED_CODE();

    /* There is no interface before the client is started, nor any address of it. */
    Status = PdoQueryInterfaceLuid(FrontendGetPdo(Announcer->Frontend), &Luid);
    if (!NT_SUCCESS(Status)) {
        Announcer->Count = 0;
        return STATUS_SUCCESS;
    }

    Status = GetUnicastIpAddressTable(AF_UNSPEC, &Table);
    if (Status == STATUS_NOT_FOUND) {
        Announcer->Count = 0;
        return STATUS_SUCCESS;
    }
    if (!NT_SUCCESS(Status))
        return Status;

    Status = AnnouncerTake(Announcer, &Luid, Table);
    FreeMibTable(Table);

    return Status;
}

static VOID NETIOAPI_API_ AnnouncerChange(_In_ PVOID CallerContext, _In_opt_ PMIB_UNICASTIPADDRESS_ROW Row,
                                          _In_ MIB_NOTIFICATION_TYPE NotificationType)
{
    PXENVIF_ANNOUNCER Announcer = CallerContext;

    UNREFERENCED_PARAMETER(Row);
    UNREFERENCED_PARAMETER(NotificationType);

    (VOID) InterlockedExchange(&Announcer->Changed, TRUE);
    FrontendWake(Announcer->Frontend);
}

/* The first notification comes at once: what addresses there are is read then. */
static PAGED_FUNCTION BOOLEAN AnnouncerRegister(_Inout_ PXENVIF_ANNOUNCER Announcer)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (Announcer->Registration != NULL)
        return TRUE;

    Status = NotifyUnicastIpAddressChange(AF_UNSPEC, AnnouncerChange, Announcer, TRUE, &Announcer->Registration);
    if (NT_SUCCESS(Status))
        return TRUE;

    Warning("vif %u: netio does not tell of addresses (%08x), and none is announced",
            FrontendGetNumber(Announcer->Frontend), Status);
    Announcer->Registration = NULL;

    return FALSE;
}

PAGED_FUNCTION BOOLEAN AnnouncerUpdate(_Inout_ PXENVIF_ANNOUNCER Announcer)
{
    NTSTATUS Status;

    PAGED_CODE();

    if (!AnnouncerRegister(Announcer))
        return FALSE;
    if (InterlockedExchange(&Announcer->Changed, FALSE) == FALSE)
        return TRUE;

    Status = AnnouncerRead(Announcer);
    if (NT_SUCCESS(Status))
        return TRUE;

    Warning("vif %u: the interface's addresses cannot be read (%08x)", FrontendGetNumber(Announcer->Frontend), Status);
    (VOID) InterlockedExchange(&Announcer->Changed, TRUE);

    return FALSE;
}

/* ---- frames ---- */

#define ANNOUNCER_TYPE_ARP 0x0806
#define ANNOUNCER_TYPE_IPV6 0x86DD

/* RFC 826, for Ethernet and IPv4. */
#define ANNOUNCER_ARP_SIZE 28

/* RFC 4861: the message, and the option with the target's link-layer address. */
#define ANNOUNCER_IPV6_HEADER_SIZE 40
#define ANNOUNCER_ADVERTISEMENT_SIZE 32
#define ANNOUNCER_PROTOCOL_ICMPV6 58
#define ANNOUNCER_ICMPV6_ADVERTISEMENT 136
#define ANNOUNCER_FLAG_OVERRIDE 0x20
#define ANNOUNCER_OPTION_TARGET 2

static VOID AnnouncerStoreUshort(_Out_writes_(2) PUCHAR Field, _In_ USHORT Value)
{
    Field[0] = (UCHAR)(Value >> 8);
    Field[1] = (UCHAR)Value;
}

static PUCHAR AnnouncerMakeEthernet(_Out_writes_(PACKET_ETHERNET_HEADER_SIZE) PUCHAR Frame,
                                    _In_ const UCHAR *Destination, _In_ const ETHERNET_ADDRESS *Source,
                                    _In_ USHORT Type)
{
    RtlCopyMemory(Frame, Destination, ETHERNET_ADDRESS_LENGTH);
    RtlCopyMemory(Frame + ETHERNET_ADDRESS_LENGTH, Source->Byte, ETHERNET_ADDRESS_LENGTH);
    AnnouncerStoreUshort(Frame + 2 * ETHERNET_ADDRESS_LENGTH, Type);

    return Frame + PACKET_ETHERNET_HEADER_SIZE;
}

/* A request whose sender asks for itself. The length of the frame, which is zeroed before. */
static ULONG AnnouncerMakeArp(_Inout_ PUCHAR Frame, _In_ const ETHERNET_ADDRESS *Mac, _In_ const IN_ADDR *Address)
{
    static const UCHAR Broadcast[ETHERNET_ADDRESS_LENGTH] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    static const UCHAR Header[] = {0, 1, 8, 0, ETHERNET_ADDRESS_LENGTH, sizeof(IN_ADDR), 0, 1};
    PUCHAR Arp = AnnouncerMakeEthernet(Frame, Broadcast, Mac, ANNOUNCER_TYPE_ARP);

    RtlCopyMemory(Arp, Header, sizeof(Header));
    RtlCopyMemory(Arp + 8, Mac->Byte, ETHERNET_ADDRESS_LENGTH);
    RtlCopyMemory(Arp + 14, Address, sizeof(IN_ADDR));
    RtlCopyMemory(Arp + 24, Address, sizeof(IN_ADDR));

    return PACKET_ETHERNET_HEADER_SIZE + ANNOUNCER_ARP_SIZE;
}

static ULONG AnnouncerMakeAdvertisement(_Inout_ PUCHAR Frame, _In_ const ETHERNET_ADDRESS *Mac,
                                        _In_ const IN6_ADDR *Address)
{
    static const UCHAR AllNodes[ETHERNET_ADDRESS_LENGTH] = {0x33, 0x33, 0, 0, 0, 1}; /* RFC 2464 section 7 */
    PUCHAR Ip = AnnouncerMakeEthernet(Frame, AllNodes, Mac, ANNOUNCER_TYPE_IPV6);
    PUCHAR Message = Ip + ANNOUNCER_IPV6_HEADER_SIZE;
    CHECKSUM Checksum;

    Ip[0] = 0x60;
    AnnouncerStoreUshort(Ip + 4, ANNOUNCER_ADVERTISEMENT_SIZE);
    Ip[6] = ANNOUNCER_PROTOCOL_ICMPV6;
    Ip[7] = 255;
    RtlCopyMemory(Ip + 8, Address, sizeof(IN6_ADDR));
    Ip[24] = 0xFF; /* ff02::1 */
    Ip[25] = 0x02;
    Ip[39] = 0x01;

    Message[0] = ANNOUNCER_ICMPV6_ADVERTISEMENT;
    Message[4] = ANNOUNCER_FLAG_OVERRIDE;
    RtlCopyMemory(Message + 8, Address, sizeof(IN6_ADDR));
    Message[24] = ANNOUNCER_OPTION_TARGET;
    Message[25] = 1; /* in units of 8 bytes */
    RtlCopyMemory(Message + 26, Mac->Byte, ETHERNET_ADDRESS_LENGTH);

    ChecksumInitialize(&Checksum);
    ChecksumAddPseudoHeader(&Checksum, Ip + 8, 2 * sizeof(IN6_ADDR), ANNOUNCER_PROTOCOL_ICMPV6,
                            ANNOUNCER_ADVERTISEMENT_SIZE);
    ChecksumAdd(&Checksum, Message, ANNOUNCER_ADVERTISEMENT_SIZE);
    ChecksumStore(Message + 2, ChecksumFinish(&Checksum));

    return PACKET_ETHERNET_HEADER_SIZE + ANNOUNCER_IPV6_HEADER_SIZE + ANNOUNCER_ADVERTISEMENT_SIZE;
}

VOID AnnouncerBegin(_Inout_ PXENVIF_ANNOUNCER Announcer)
{
    Announcer->Sent = 0;
    Announcer->Told = FALSE;
}

static NTSTATUS AnnouncerSendOne(_In_ PXENVIF_ANNOUNCER Announcer, _In_ const ETHERNET_ADDRESS *Mac,
                                 _In_ const SOCKADDR_INET *Address)
{
    PXENVIF_BUFFER Buffer;
    ULONG Length;

    Buffer = BufferAllocate();
    if (Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Length = (Address->si_family == AF_INET)
                 ? AnnouncerMakeArp(Buffer->Address, Mac, &Address->Ipv4.sin_addr)
                 : AnnouncerMakeAdvertisement(Buffer->Address, Mac, &Address->Ipv6.sin6_addr);

    return TransmitterSendFrame(Announcer->Frontend, Buffer, Length);
}

BOOLEAN AnnouncerSend(_Inout_ PXENVIF_ANNOUNCER Announcer)
{
    ULONG Number = FrontendGetNumber(Announcer->Frontend);
    ETHERNET_ADDRESS Mac;
    NTSTATUS Status;

    MacQueryCurrentAddress(FrontendGetMac(Announcer->Frontend), &Mac);

    for (; Announcer->Sent < Announcer->Count; Announcer->Sent++) {
        Status = AnnouncerSendOne(Announcer, &Mac, &Announcer->Addresses[Announcer->Sent]);
        if (NT_SUCCESS(Status))
            continue;

        /* Once: a backend that takes no frames may last. */
        if (!Announcer->Told)
            Warning("vif %u: %u of %u addresses are not announced yet (%08x)", Number,
                    Announcer->Count - Announcer->Sent, Announcer->Count, Status);
        Announcer->Told = TRUE;

        return FALSE;
    }

    if (Announcer->Count != 0)
        Info("vif %u: %u addresses are announced", Number, Announcer->Count);

    return TRUE;
}

/* ---- life ---- */

PAGED_FUNCTION NTSTATUS AnnouncerInitialize(_In_ PXENVIF_FRONTEND Frontend, _Outptr_ PXENVIF_ANNOUNCER *Announcer)
{
    PXENVIF_ANNOUNCER New;

    PAGED_CODE();

    New = PoolAllocate(sizeof(XENVIF_ANNOUNCER), ANNOUNCER_TAG);
    if (New == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    New->Frontend = Frontend;
    *Announcer = New;

    return STATUS_SUCCESS;
}

PAGED_FUNCTION VOID AnnouncerTeardown(_In_ PXENVIF_ANNOUNCER Announcer)
{
    PAGED_CODE();

    BUG_ON(Announcer->Registration != NULL);

    PoolFree(Announcer, ANNOUNCER_TAG);
}

PAGED_FUNCTION VOID AnnouncerStop(_Inout_ PXENVIF_ANNOUNCER Announcer)
{
    PAGED_CODE();

    if (Announcer->Registration == NULL)
        return;

    (VOID) CancelMibChangeNotify2(Announcer->Registration);
    Announcer->Registration = NULL;
}
