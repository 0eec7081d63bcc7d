/*
 * The interfaces that IP is bound to: the loopback interface, and one for each network adapter that is started. What
 * IPv4 addresses an adapter has is in Services\Tcpip\Parameters\Interfaces\{NetCfgInstanceId} ("TCP/IP registry
 * values"): IPAddress and SubnetMask, unless EnableDHCP says that they are a server's to give. There is no DHCP client,
 * and no IPv6 address comes by itself.
 */
#include <stdio.h>
#include <string.h>

#include "nt/cm/cm.h"
#include "nt/netio/netio_internal.h"

#define INTERFACES CM_SERVICES "\\Tcpip\\Parameters\\Interfaces"

#define IF_TYPE_ETHERNET 6u
#define IF_TYPE_LOOPBACK 24u

static struct netio_interface *add_interface(unsigned type, ULONG luid_index, const GUID *guid, PDEVICE_OBJECT pdo)
{
    struct netio_interface *interface = image_alloc(sizeof(*interface));

    interface->luid.Info.NetLuidIndex = luid_index;
    interface->luid.Info.IfType = type;
    interface->index = ++machine->netio->last_index;
    interface->guid = *guid;
    interface->pdo = pdo;
    InsertTailList(&machine->netio->interfaces, &interface->entry);
    return interface;
}

/* The loopback interface has its addresses from the start. */
void netio_init(void)
{
    static const GUID loopback = {0x2db09d1c, 0x8a4b, 0x11f1, {0x9a, 0x5e, 0x80, 0x6e, 0x6f, 0x6e, 0x69, 0x63}};
    struct netio_interface *interface;
    SOCKADDR_INET address = {.si_family = AF_INET};

    machine->netio = image_alloc(sizeof(*machine->netio));
    InitializeListHead(&machine->netio->interfaces);
    InitializeListHead(&machine->netio->addresses);
    InitializeListHead(&machine->netio->registrations);
    interface = add_interface(IF_TYPE_LOOPBACK, 0, &loopback, NULL);
    address.Ipv4.sin_addr.S_un.S_un_b.s_b1 = 127;
    address.Ipv4.sin_addr.S_un.S_un_b.s_b4 = 1;
    netio_address_add(interface, &address, 8, IpPrefixOriginWellKnown);
    memset(&address, 0, sizeof(address));
    address.si_family = AF_INET6;
    address.Ipv6.sin6_addr.u.Byte[15] = 1;
    netio_address_add(interface, &address, 128, IpPrefixOriginWellKnown);
}

const struct netio_interface *netio_interface(NET_LUID luid, NET_IFINDEX index)
{
    for (PLIST_ENTRY entry = machine->netio->interfaces.Flink; entry != &machine->netio->interfaces;
         entry = entry->Flink) {
        const struct netio_interface *interface = CONTAINING_RECORD(entry, struct netio_interface, entry);

        if (luid.Value != 0 ? luid.Value == interface->luid.Value : index == interface->index)
            return interface;
    }
    return NULL;
}

/* ---- adapters ---- */

static bool parse_address(const char *text, IN_ADDR *address)
{
    unsigned part[4];
    char more;

    if (sscanf(text, "%3u.%3u.%3u.%3u%c", &part[0], &part[1], &part[2], &part[3], &more) != 4)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        if (part[i] > 255)
            return false;
        ((UCHAR *)address)[i] = (UCHAR)part[i];
    }
    return true;
}

/* Bits of a network mask; false if it has a hole. */
static bool mask_length(const IN_ADDR *mask, unsigned *length)
{
    ULONG bits = RtlUlongByteSwap(mask->s_addr);

    *length = 0;
    for (; bits & 0x80000000u; bits <<= 1)
        ++*length;
    return bits == 0;
}

static void add_static_addresses(const struct netio_interface *interface, const char *name)
{
    char *path = image_printf("%s\\%s", INTERFACES, name);
    const struct cm_key *key = cm_key_open(path);
    char *text;
    ULONG dhcp = 0;

    image_free(path);
    if (key == NULL || (cm_value_get_dword(key, "EnableDHCP", &dhcp) && dhcp != 0))
        return;
    for (unsigned i = 0; (text = cm_value_get_multi(key, "IPAddress", i)) != NULL; i++) {
        char *mask_text = cm_value_get_multi(key, "SubnetMask", i);
        SOCKADDR_INET address = {.si_family = AF_INET};
        IN_ADDR mask;
        unsigned length;

        if (!parse_address(text, &address.Ipv4.sin_addr) || mask_text == NULL || !parse_address(mask_text, &mask) ||
            !mask_length(&mask, &length))
            log_line(LOG_WARNING, "netio", "%s: '%s' with mask '%s' is no address", name, text,
                     mask_text != NULL ? mask_text : "");
        else if (address.Ipv4.sin_addr.s_addr != 0) /* 0.0.0.0: none */
            netio_address_add(interface, &address, length, IpPrefixOriginManual);
        image_free(mask_text);
        image_free(text);
    }
}

static bool guid_of(const char *name, GUID *guid)
{
    UNICODE_STRING string;
    size_t length;
    bool good;

    string.Buffer = cm_utf16_from_utf8(name, &length);
    string.Length = (USHORT)(length * sizeof(WCHAR));
    string.MaximumLength = string.Length;
    good = length < 64 && NT_SUCCESS(RtlGUIDFromString(&string, guid));
    image_free(string.Buffer);
    return good;
}

void netio_adapter_started(PDEVICE_OBJECT pdo, const struct cm_key *software, const struct netio_physical *physical)
{
    struct netio_interface *interface;
    char *name = cm_value_get_string(software, "NetCfgInstanceId");
    ULONG type = IF_TYPE_ETHERNET;
    ULONG luid_index;
    GUID guid;

    if (name == NULL)
        return;
    (void)cm_value_get_dword(software, "*IfType", &type);
    if (!guid_of(name, &guid) || !cm_value_get_dword(software, "NetLuidIndex", &luid_index)) {
        log_line(LOG_WARNING, "netio", "%s: no name of an adapter, or it has no NetLuidIndex", name);
    } else {
        interface = add_interface(type, luid_index, &guid, pdo);
        interface->physical = *physical;
        interface->description = cm_value_get_string(software, "DriverDesc");
        add_static_addresses(interface, name);
    }
    image_free(name);
}

void netio_adapter_gone(PDEVICE_OBJECT pdo)
{
    PLIST_ENTRY entry = machine->netio->interfaces.Flink;

    while (entry != &machine->netio->interfaces) {
        struct netio_interface *interface = CONTAINING_RECORD(entry, struct netio_interface, entry);

        entry = entry->Flink;
        if (interface->pdo != pdo)
            continue;
        netio_addresses_go(interface);
        RemoveEntryList(&interface->entry);
        image_free(interface->description);
        image_free(interface);
    }
}

/* ---- the table ---- */

static void fill_text(WCHAR *field, const char *text)
{
    size_t length;
    WCHAR *wide = cm_utf16_from_utf8(text, &length);

    if (length > IF_MAX_STRING_SIZE)
        length = IF_MAX_STRING_SIZE;
    memcpy(field, wide, length * sizeof(WCHAR));
    image_free(wide);
}

/* What nobody asks the adapter for is unknown, and 0 where there is no word for that: no packet goes through IP here.
 */
static void fill_row(MIB_IF_ROW2 *row, const struct netio_interface *interface)
{
    bool loopback = interface->pdo == NULL;

    memset(row, 0, sizeof(*row));
    row->InterfaceLuid = interface->luid;
    row->InterfaceIndex = interface->index;
    row->InterfaceGuid = interface->guid;
    if (interface->description != NULL)
        fill_text(row->Description, interface->description);
    row->PhysicalAddressLength = interface->physical.length;
    memcpy(row->PhysicalAddress, interface->physical.current, interface->physical.length);
    memcpy(row->PermanentPhysicalAddress, interface->physical.permanent, interface->physical.length);
    row->Type = (IFTYPE)interface->luid.Info.IfType;
    row->TunnelType = TUNNEL_TYPE_NONE;
    row->MediaType = loopback ? NdisMediumLoopback : NdisMedium802_3;
    row->PhysicalMediumType = NdisPhysicalMediumUnspecified;
    row->AccessType = loopback ? NET_IF_ACCESS_LOOPBACK : NET_IF_ACCESS_BROADCAST;
    row->DirectionType = NET_IF_DIRECTION_SENDRECEIVE;
    row->InterfaceAndOperStatusFlags.HardwareInterface = !loopback;
    row->InterfaceAndOperStatusFlags.ConnectorPresent = !loopback;
    row->OperStatus = loopback ? IfOperStatusUp : IfOperStatusUnknown;
    row->AdminStatus = NET_IF_ADMIN_STATUS_UP;
    row->MediaConnectState = loopback ? MediaConnectStateConnected : MediaConnectStateUnknown;
    row->ConnectionType = NET_IF_CONNECTION_DEDICATED;
    row->TransmitLinkSpeed = NET_LINK_SPEED_UNKNOWN;
    row->ReceiveLinkSpeed = NET_LINK_SPEED_UNKNOWN;
}

NETIO_STATUS NTAPI GetIfTable2(PMIB_IF_TABLE2 *Table)
{
    PLIST_ENTRY head = &machine->netio->interfaces;
    PMIB_IF_TABLE2 table;
    ULONG count = 0;

    NT_CALL(APC_LEVEL);
    if (Table == NULL)
        return STATUS_INVALID_PARAMETER;
    if (FAULT(POOL))
        return STATUS_NO_MEMORY;
    for (PLIST_ENTRY entry = head->Flink; entry != head; entry = entry->Flink)
        count++;
    table = pool_allocate(NonPagedPoolNx, FIELD_OFFSET(MIB_IF_TABLE2, Table) + count * sizeof(*table->Table),
                          NETIO_TAG_TABLE, __builtin_return_address(0));
    if (table == NULL)
        return STATUS_NO_MEMORY;
    table->NumEntries = 0;
    for (PLIST_ENTRY entry = head->Flink; entry != head; entry = entry->Flink)
        fill_row(&table->Table[table->NumEntries++], CONTAINING_RECORD(entry, struct netio_interface, entry));
    *Table = table;
    return STATUS_SUCCESS;
}

/* ---- names ---- */

NETIO_STATUS NTAPI ConvertInterfaceGuidToLuid(const GUID *InterfaceGuid, PNET_LUID InterfaceLuid)
{
    NT_CALL(PASSIVE_LEVEL);
    if (InterfaceLuid == NULL)
        return STATUS_INVALID_PARAMETER;
    InterfaceLuid->Value = 0;
    if (InterfaceGuid == NULL)
        return STATUS_INVALID_PARAMETER;
    for (PLIST_ENTRY entry = machine->netio->interfaces.Flink; entry != &machine->netio->interfaces;
         entry = entry->Flink) {
        const struct netio_interface *interface = CONTAINING_RECORD(entry, struct netio_interface, entry);

        if (memcmp(&interface->guid, InterfaceGuid, sizeof(*InterfaceGuid)) == 0) {
            *InterfaceLuid = interface->luid;
            return STATUS_SUCCESS;
        }
    }
    return STATUS_INVALID_PARAMETER;
}

NETIO_STATUS NTAPI ConvertInterfaceLuidToGuid(const NET_LUID *InterfaceLuid, GUID *InterfaceGuid)
{
    const struct netio_interface *interface;

    NT_CALL(PASSIVE_LEVEL);
    if (InterfaceGuid == NULL)
        return STATUS_INVALID_PARAMETER;
    memset(InterfaceGuid, 0, sizeof(*InterfaceGuid));
    if (InterfaceLuid == NULL || InterfaceLuid->Value == 0)
        return STATUS_INVALID_PARAMETER;
    interface = netio_interface(*InterfaceLuid, 0);
    if (interface == NULL)
        return STATUS_INVALID_PARAMETER;
    *InterfaceGuid = interface->guid;
    return STATUS_SUCCESS;
}
