/*
 * The IP interfaces of network adapters (netioapi.h): one for each that is started, by the name and the LUID that its
 * software key has, with the static addresses of the registry; who asked to be told of changes is told.
 */
#include <string.h>

#include <netioapi.h>

#include "common/stack.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"

#define INTERFACES CM_SERVICES "\\Tcpip\\Parameters\\Interfaces\\"
#define NET .drivers = STACK_XENVIF | STACK_NETCLIENT, .wait = true

#define IP(a, b, c, d) ((ULONG)(a) | (ULONG)(b) << 8 | (ULONG)(c) << 16 | (ULONG)(d) << 24)

/* ---- an adapter's names ---- */

struct adapter {
    struct devnode *node;
    char *name;
    GUID guid;
    NET_LUID luid; /* as its software key says */
};

/* The device whose instance path begins and ends so. */
static struct devnode *find(const char *begin, const char *end)
{
    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node)) {
        const char *path = pnp_instance_path(node);

        if (strncmp(path, begin, strlen(begin)) == 0 && strcmp(path + strlen(path) - strlen(end), end) == 0)
            return node;
    }
    ck_abort_msg("there is no device %s...%s", begin, end);
    return NULL;
}

static struct devnode *child_of_vif(unsigned vif)
{
    return find("XENVIF\\", vif == 0 ? "\\0" : "\\1");
}

static struct adapter adapter_of(struct devnode *node)
{
    struct adapter adapter = {.node = node};
    const struct cm_key *key = stack_software_key(node);
    UNICODE_STRING name;
    ULONG index = 0, type = 0;
    size_t length;

    adapter.name = cm_value_get_string(key, "NetCfgInstanceId");
    ck_assert_ptr_nonnull(adapter.name);
    name.Buffer = cm_utf16_from_utf8(adapter.name, &length);
    name.Length = name.MaximumLength = (USHORT)(2 * length);
    ck_assert_int_eq(RtlGUIDFromString(&name, &adapter.guid), STATUS_SUCCESS);
    image_free(name.Buffer);
    ck_assert(cm_value_get_dword(key, "NetLuidIndex", &index) && cm_value_get_dword(key, "*IfType", &type));
    adapter.luid.Info.NetLuidIndex = index;
    adapter.luid.Info.IfType = type;
    return adapter;
}

static void set_static(const struct adapter *adapter, const char *const *addresses, const char *const *masks,
                       unsigned count, ULONG dhcp)
{
    char *path = image_printf(INTERFACES "%s", adapter->name);
    struct cm_key *key = cm_key_create(path);

    image_free(path);
    cm_value_set_dword(key, "EnableDHCP", dhcp);
    cm_value_set_multi(key, "IPAddress", addresses, count);
    cm_value_set_multi(key, "SubnetMask", masks, count);
}

/* The row of the interface's address; an interface of 0 in it if there is none. */
static MIB_UNICASTIPADDRESS_ROW row_of(NET_LUID luid, ULONG ipv4)
{
    PMIB_UNICASTIPADDRESS_TABLE table;
    MIB_UNICASTIPADDRESS_ROW row = {.InterfaceIndex = 0};

    ck_assert_int_eq(GetUnicastIpAddressTable(AF_INET, &table), STATUS_SUCCESS);
    for (ULONG i = 0; i < table->NumEntries; i++)
        if (table->Table[i].InterfaceLuid.Value == luid.Value && table->Table[i].Address.Ipv4.sin_addr.s_addr == ipv4)
            row = table->Table[i];
    FreeMibTable(table);
    return row;
}

static unsigned addresses_of(NET_LUID luid)
{
    PMIB_UNICASTIPADDRESS_TABLE table;
    unsigned count = 0;

    ck_assert_int_eq(GetUnicastIpAddressTable(AF_UNSPEC, &table), STATUS_SUCCESS);
    for (ULONG i = 0; i < table->NumEntries; i++)
        count += table->Table[i].InterfaceLuid.Value == luid.Value;
    FreeMibTable(table);
    return count;
}

/* ---- the cases ---- */

STACK_TEST(one_for_each_adapter, NET, .vifs = 2)
{
    struct adapter adapter[2] = {adapter_of(child_of_vif(0)), adapter_of(child_of_vif(1))};

    ck_assert_str_ne(adapter[0].name, adapter[1].name);
    ck_assert_uint_ne(adapter[0].luid.Value, adapter[1].luid.Value);
    for (unsigned i = 0; i < 2; i++) {
        NET_LUID luid;
        GUID guid;

        ck_assert_uint_eq(adapter[i].luid.Info.IfType, 6);
        ck_assert_int_eq(ConvertInterfaceGuidToLuid(&adapter[i].guid, &luid), STATUS_SUCCESS);
        ck_assert_uint_eq(luid.Value, adapter[i].luid.Value);
        ck_assert_int_eq(ConvertInterfaceLuidToGuid(&luid, &guid), STATUS_SUCCESS);
        ck_assert_mem_eq(&guid, &adapter[i].guid, sizeof(guid));
        ck_assert_uint_eq(addresses_of(luid), 0);
        image_free(adapter[i].name);
    }
}

/* An address that is set goes with the interface; those of the registry come with it. */
STACK_TEST(addresses_come_and_go_with_it, NET, .vifs = 1)
{
    static const char *const addresses[] = {"192.168.7.9", "0.0.0.0", "10.1.2.3", "10.1.2.300", "10.1.2.4"};
    static const char *const masks[] = {"255.255.255.0", "0.0.0.0", "255.255.254.0", "255.0.0.0", "255.0.255.0"};
    struct adapter adapter = adapter_of(child_of_vif(0));
    MIB_UNICASTIPADDRESS_ROW row, first;
    NET_LUID luid;

    InitializeUnicastIpAddressEntry(&row);
    row.Address.si_family = AF_INET;
    row.Address.Ipv4.sin_addr.s_addr = IP(172, 16, 0, 1);
    row.InterfaceLuid = adapter.luid;
    ck_assert_int_eq(CreateUnicastIpAddressEntry(&row), STATUS_SUCCESS);
    first = row_of(adapter.luid, IP(172, 16, 0, 1));
    ck_assert_uint_ne(first.InterfaceIndex, 0);

    set_static(&adapter, addresses, masks, ARRAYSIZE(addresses), 0);
    ck_assert_uint_eq(addresses_of(adapter.luid), 1); /* when it is started, not before */
    ck_assert_int_eq(pnp_restart_device(adapter.node), STATUS_SUCCESS);
    ck_assert_int_eq(ConvertInterfaceGuidToLuid(&adapter.guid, &luid), STATUS_SUCCESS);
    ck_assert_uint_eq(luid.Value, adapter.luid.Value);
    ck_assert_uint_eq(addresses_of(luid), 2);
    row = row_of(luid, IP(192, 168, 7, 9));
    ck_assert_uint_eq(row.OnLinkPrefixLength, 24);
    ck_assert_int_eq(row.PrefixOrigin, IpPrefixOriginManual);
    ck_assert_int_eq(row.SuffixOrigin, IpSuffixOriginManual);
    ck_assert_int_eq(row.DadState, IpDadStatePreferred);
    ck_assert_uint_gt(row.InterfaceIndex, first.InterfaceIndex); /* the LUID is what stays */
    ck_assert_uint_eq(row_of(luid, IP(10, 1, 2, 3)).OnLinkPrefixLength, 23);

    set_static(&adapter, addresses, masks, ARRAYSIZE(addresses), 1);
    ck_assert_int_eq(pnp_restart_device(adapter.node), STATUS_SUCCESS);
    ck_assert_uint_eq(addresses_of(luid), 0);

    ck_assert_int_eq(pnp_remove_device(adapter.node, false), STATUS_SUCCESS);
    ck_assert_int_eq(ConvertInterfaceGuidToLuid(&adapter.guid, &luid), STATUS_INVALID_PARAMETER);
    ck_assert_uint_eq(luid.Value, 0);
    row.InterfaceIndex = 0;
    ck_assert_int_eq(GetUnicastIpAddressEntry(&row), STATUS_NOT_FOUND);
    image_free(adapter.name);
}

static struct {
    MIB_NOTIFICATION_TYPE type[8];
    ULONG address[8];
    unsigned count;
} seen;

static VOID NTAPI on_change(PVOID context, PMIB_UNICASTIPADDRESS_ROW row, MIB_NOTIFICATION_TYPE type)
{
    const struct adapter *adapter = context;

    ck_assert_uint_eq(row->InterfaceLuid.Value, adapter->luid.Value);
    ck_assert_uint_lt(seen.count, ARRAYSIZE(seen.type));
    seen.type[seen.count] = type;
    seen.address[seen.count++] = row->Address.Ipv4.sin_addr.s_addr;
}

static bool seen_all(void *count)
{
    return seen.count == *(unsigned *)count;
}

STACK_TEST(who_asked_is_told, NET, .vifs = 1)
{
    static const char *const addresses[] = {"192.168.7.9", "10.1.2.3"};
    static const char *const masks[] = {"255.255.255.0", "255.255.254.0"};
    struct adapter adapter = adapter_of(child_of_vif(0));
    HANDLE handle;

    memset(&seen, 0, sizeof(seen));
    set_static(&adapter, addresses, masks, 2, 0);
    ck_assert_int_eq(NotifyUnicastIpAddressChange(AF_INET, on_change, &adapter, FALSE, &handle), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_restart_device(adapter.node), STATUS_SUCCESS);
    ck_assert(stack_wait(seen_all, &(unsigned){2}, 1000));
    ck_assert_int_eq(pnp_remove_device(adapter.node, false), STATUS_SUCCESS);
    ck_assert(stack_wait(seen_all, &(unsigned){4}, 1000));
    ck_assert_int_eq(CancelMibChangeNotify2(handle), STATUS_SUCCESS);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(seen.type[i], i < 2 ? MibAddInstance : MibDeleteInstance);
        ck_assert_uint_eq(seen.address[i], i % 2 == 0 ? IP(192, 168, 7, 9) : IP(10, 1, 2, 3));
    }
    image_free(adapter.name);
}

static bool is_gone(void *guid)
{
    NET_LUID luid;

    return ConvertInterfaceGuidToLuid(guid, &luid) == STATUS_INVALID_PARAMETER;
}

/* The name stays through surprise removal, and through another start of the device. */
STACK_TEST(the_name_stays, NET, .vifs = 1)
{
    struct adapter before = adapter_of(child_of_vif(0));
    struct adapter after;
    NET_LUID luid;

    stack_detach(0);
    ck_assert(stack_wait(is_gone, &before.guid, 20000));
    stack_attach(0);
    stack_wait_connected(0);
    after = adapter_of(child_of_vif(0));
    ck_assert_str_eq(before.name, after.name);
    ck_assert_int_eq(ConvertInterfaceGuidToLuid(&before.guid, &luid), STATUS_SUCCESS);
    ck_assert_uint_eq(luid.Value, before.luid.Value);
    image_free(before.name);
    image_free(after.name);
}

/* A card of the board has one too. */
STACK_TEST(emulated_card, .drivers = STACK_NIC,
           .board = {.nic = {{.model = MACHINE_NIC_RTL8139, .mac = MACHINE_VIF_MAC(0)}}, .nics = 1})
{
    struct adapter adapter = adapter_of(find("PCI\\VEN_10EC&DEV_8139", ""));
    NET_LUID luid;

    ck_assert_int_eq(ConvertInterfaceGuidToLuid(&adapter.guid, &luid), STATUS_SUCCESS);
    ck_assert_uint_eq(luid.Value, adapter.luid.Value);
    image_free(adapter.name);
}

/* The row of an interface; its LUID is 0 if there is none. */
static MIB_IF_ROW2 if_row_of(NET_LUID luid)
{
    MIB_IF_ROW2 row = {.InterfaceIndex = 0};
    PMIB_IF_TABLE2 table;

    ck_assert_int_eq(GetIfTable2(&table), STATUS_SUCCESS);
    for (ULONG i = 0; i < table->NumEntries; i++)
        if (table->Table[i].InterfaceLuid.Value == luid.Value)
            row = table->Table[i];
    FreeMibTable(table);
    return row;
}

static void check_card(const char *id, const uint8_t mac[6])
{
    struct adapter adapter = adapter_of(find(id, ""));
    MIB_IF_ROW2 row = if_row_of(adapter.luid);

    ck_assert_uint_eq(row.InterfaceLuid.Value, adapter.luid.Value);
    ck_assert_mem_eq(&row.InterfaceGuid, &adapter.guid, sizeof(adapter.guid));
    ck_assert_uint_eq(row.PhysicalAddressLength, 6);
    ck_assert_mem_eq(row.PhysicalAddress, mac, 6);
    ck_assert_mem_eq(row.PermanentPhysicalAddress, mac, 6);
    ck_assert_uint_eq(row.Type, 6);
    ck_assert(row.InterfaceAndOperStatusFlags.HardwareInterface);
    ck_assert_int_eq(row.Description[0], 'N'); /* as its INF says */
    image_free(adapter.name);
}

STACK_TEST(addresses_of_cards, .drivers = STACK_NIC,
           .board = {.nic = {{.model = MACHINE_NIC_RTL8139, .mac = MACHINE_VIF_MAC(0)},
                             {.model = MACHINE_NIC_E1000, .mac = {0x02, 0x13, 0x57, 0x9b, 0xdf, 0xe1}}},
                     .nics = 2})
{
    check_card("PCI\\VEN_10EC&DEV_8139", (const uint8_t[])MACHINE_VIF_MAC(0));
    check_card("PCI\\VEN_8086&DEV_100E", (const uint8_t[]){0x02, 0x13, 0x57, 0x9b, 0xdf, 0xe1});
}

/* The address that is used, and the one that the toolstack gave. */
STACK_TEST(addresses_of_an_adapter, NET, .vifs = 1)
{
    static const uint8_t mac[6] = MACHINE_VIF_MAC(0), other[6] = {2, 0, 10, 11, 12, 13};
    struct adapter adapter = adapter_of(child_of_vif(0));
    MIB_IF_ROW2 row;

    cm_value_set_string(stack_software_key(adapter.node), "NetworkAddress", REG_SZ, "02000A0B0C0D");
    ck_assert_int_eq(pnp_restart_device(adapter.node), STATUS_SUCCESS);
    row = if_row_of(adapter.luid);
    ck_assert_uint_eq(row.PhysicalAddressLength, 6);
    ck_assert_mem_eq(row.PhysicalAddress, other, 6);
    ck_assert_mem_eq(row.PermanentPhysicalAddress, mac, 6);
    ck_assert_int_eq(pnp_remove_device(adapter.node, false), STATUS_SUCCESS);
    ck_assert_uint_eq(if_row_of(adapter.luid).InterfaceLuid.Value, 0);
    image_free(adapter.name);
}

int main(void)
{
    Suite *suite = suite_create("interfaces");
    TCase *tcase = tcase_create("interfaces");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, one_for_each_adapter);
    tcase_add_test(tcase, addresses_come_and_go_with_it);
    tcase_add_test(tcase, who_asked_is_told);
    tcase_add_test(tcase, the_name_stays);
    tcase_add_test(tcase, emulated_card);
    tcase_add_test(tcase, addresses_of_cards);
    tcase_add_test(tcase, addresses_of_an_adapter);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
