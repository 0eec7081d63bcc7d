/*
 * Settings that a VIF's adapter takes over (field bug FB13): those of the emulated card with its MAC address, and those
 * of a VIF that was removed. The registry is looked at before and after.
 */
#include <string.h>

#include <netioapi.h>

#include "common/stack.h"
#include "machine/machine.h"
#include "nt/cm/cm.h"
#include "nt/netio/netio.h"
#include "nt/pnp/pnp.h"

#define TCPIP CM_SERVICES "\\Tcpip\\Parameters\\Interfaces\\"
#define TCPIP6 CM_SERVICES "\\Tcpip6\\Parameters\\Interfaces\\"
#define NETBT CM_SERVICES "\\NetBT\\Parameters\\Interfaces\\Tcpip_"
#define KEPT CM_SERVICES "\\xenvif\\Parameters\\Settings"
#define OTHER_NAME "{0A1B2C3D-1111-2222-3333-445566778899}"

#define NET .drivers = STACK_XENVIF | STACK_NETCLIENT | STACK_NIC
#define CARD(n)                                                                                                        \
    {                                                                                                                  \
        .model = MACHINE_NIC_RTL8139, .mac = MACHINE_VIF_MAC(n)                                                        \
    }
#define ONE NET, .vifs = 1, .quiet = true, .board = {.nic = {CARD(0)}, .nics = 1} /* the VIF is refused: an error */

/* ---- devices ---- */

/* The device whose instance path begins and ends so; the number-th of them. */
static struct devnode *find(const char *begin, const char *end, unsigned number)
{
    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node)) {
        const char *path = pnp_instance_path(node);

        if (strncmp(path, begin, strlen(begin)) == 0 && strcmp(path + strlen(path) - strlen(end), end) == 0 &&
            number-- == 0)
            return node;
    }
    ck_abort_msg("there is no %s...%s", begin, end);
    return NULL;
}

static struct devnode *vif(unsigned number)
{
    return find("XENVIF\\", number == 0 ? "\\0" : "\\1", 0);
}

static struct devnode *card(unsigned number)
{
    return find("PCI\\VEN_10EC&DEV_8139", "", number);
}

static void restart(struct devnode *node)
{
    ck_assert_int_eq(pnp_restart_device(node), STATUS_SUCCESS);
}

static bool is_out(void *number)
{
    enum devnode_problem problem = pnp_problem(vif(*(unsigned *)number));

    return pnp_quiet() && pnp_state(vif(*(unsigned *)number)) == DEVNODE_REMOVED &&
           (problem == PROBLEM_FAILED_POST_START || problem == PROBLEM_NEED_RESTART);
}

/* The VIF is out of service beside its twin, and refused. */
static void refuse(unsigned number)
{
    ck_assert_msg(stack_wait(is_out, &number, 5000), "VIF %u beside its twin: %s, %s", number,
                  pnp_state_name(pnp_state(vif(number))), pnp_problem_name(pnp_problem(vif(number))));
    (void)pnp_retry_device(vif(number));
    ck_assert_int_eq(pnp_problem(vif(number)), PROBLEM_NEED_RESTART);
}

/* The next boot: without the emulated card, with the VIF. */
static void replace(struct devnode *emulated, unsigned number)
{
    ck_assert_int_eq(pnp_remove_device(emulated, false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_retry_device(vif(number)), STATUS_SUCCESS);
}

/* ---- settings ---- */

/* The key of a device's adapter in one of the places; NULL: there is none. */
static struct cm_key *place(const char *where, const struct devnode *node, bool make)
{
    char *name = cm_value_get_string(stack_software_key(node), "NetCfgInstanceId");
    char *path = image_printf("%s%s", where, name);
    struct cm_key *key = make ? cm_key_create(path) : cm_key_open(path);

    image_free(name);
    image_free(path);
    return key;
}

static void set_addresses(const struct devnode *node, const char *address, const char *gateway)
{
    struct cm_key *key = place(TCPIP, node, true);
    const char *mask = "255.255.255.0";

    cm_value_set_dword(key, "EnableDHCP", 0);
    cm_value_set_multi(key, "IPAddress", &address, 1);
    cm_value_set_multi(key, "SubnetMask", &mask, 1);
    cm_value_set_multi(key, "DefaultGateway", &gateway, 1);
}

static void check_address(const struct devnode *node, const char *address)
{
    const struct cm_key *key = place(TCPIP, node, false);
    char *text = key != NULL ? cm_value_get_multi(key, "IPAddress", 0) : NULL;

    if (address == NULL)
        ck_assert_ptr_null(text);
    else
        ck_assert_str_eq(text, address);
    image_free(text);
}

static void check_string(const struct devnode *node, const char *where, const char *value, const char *expected)
{
    char *text = cm_value_get_string(place(where, node, false), value);

    ck_assert_str_eq(text, expected);
    image_free(text);
}

/* Whether the device's interface has the IPv4 address. */
static bool uses(const struct devnode *node, ULONG ipv4)
{
    const struct cm_key *key = stack_software_key(node);
    PMIB_UNICASTIPADDRESS_TABLE table;
    bool found = false;
    ULONG index;

    ck_assert(cm_value_get_dword(key, "NetLuidIndex", &index));
    ck_assert_int_eq(GetUnicastIpAddressTable(AF_INET, &table), STATUS_SUCCESS);
    for (ULONG i = 0; i < table->NumEntries; i++)
        found |= table->Table[i].InterfaceLuid.Info.NetLuidIndex == index &&
                 table->Table[i].Address.Ipv4.sin_addr.s_addr == ipv4;
    FreeMibTable(table);
    return found;
}

static bool kept_is(void *address)
{
    const struct cm_key *key = cm_key_open(KEPT);
    char *text = NULL;
    bool is;

    if (key != NULL && cm_key_child(key, 0) != NULL) {
        char *path = image_printf("%s\\%s\\Tcpip", KEPT, cm_key_name(cm_key_child(key, 0)));

        text = cm_key_open(path) != NULL ? cm_value_get_multi(cm_key_open(path), "IPAddress", 0) : NULL;
        image_free(path);
    }
    is = text != NULL && strcmp(text, address) == 0;
    image_free(text);
    return is;
}

/* ---- the emulated card ---- */

STACK_TEST(fb13_of_the_emulated_card, ONE)
{
    static const uint8_t blob[] = {1, 2, 3, 4, 5};
    const char *servers = "10.9.9.9";
    const void *data;
    ULONG type, dhcp;
    size_t size;

    set_addresses(card(0), "192.168.7.9", "192.168.7.1");
    cm_value_set_string(place(TCPIP, card(0), true), "NameServer", REG_SZ, "192.168.7.2,8.8.8.8");
    cm_value_set(place(TCPIP, card(0), true), "SomethingElse", REG_BINARY, blob, sizeof(blob));
    cm_value_set_string(place(TCPIP6, card(0), true), "NameServer", REG_SZ, "2001:db8::53");
    cm_value_set_multi(place(NETBT, card(0), true), "NameServerList", &servers, 1);

    /* As long as both are there one of them has the settings. */
    refuse(0);
    check_address(vif(0), NULL);
    check_address(card(0), "192.168.7.9");

    replace(card(0), 0);
    check_address(vif(0), "192.168.7.9");
    ck_assert(cm_value_get_dword(place(TCPIP, vif(0), false), "EnableDHCP", &dhcp) && dhcp == 0);
    check_string(vif(0), TCPIP, "NameServer", "192.168.7.2,8.8.8.8");
    check_string(vif(0), TCPIP6, "NameServer", "2001:db8::53");
    data = cm_value_get(place(TCPIP, vif(0), false), "SomethingElse", &type, &size);
    ck_assert(data != NULL && type == REG_BINARY && size == sizeof(blob) && memcmp(data, blob, size) == 0);
    ck_assert_ptr_nonnull(cm_value_get(place(NETBT, vif(0), false), "NameServerList", NULL, NULL));
    ck_assert(uses(vif(0), 192u | 168u << 8 | 7u << 16 | 9u << 24)); /* given before the interface came up */
}

/* Another adapter that came with the address and is not on the PCI bus (a team's) is no twin, and in nobody's way. */
STACK_TEST(other_adapter_of_the_address, NET, .vifs = 2, .wait = true, .quiet = true)
{
    const struct netio_physical physical = {
        .length = 6, .current = MACHINE_VIF_MAC(0), .permanent = MACHINE_VIF_MAC(0)};

    netio_adapter_gone(pnp_pdo(vif(1)));
    netio_adapter_started(pnp_pdo(vif(1)), stack_software_key(vif(1)), &physical);
    set_addresses(vif(0), "192.168.7.9", "192.168.7.1");
    restart(vif(0));
    ck_assert(stack_wait(kept_is, "192.168.7.9", 1000));
}

/* What has been given once is the adapter's own: what becomes of it there is not undone. */
STACK_TEST(once_only, ONE)
{
    set_addresses(card(0), "192.168.7.9", "192.168.7.1");
    refuse(0);
    replace(card(0), 0);
    check_address(vif(0), "192.168.7.9");
    set_addresses(vif(0), "10.0.0.5", "10.0.0.1");
    restart(vif(0));
    check_address(vif(0), "10.0.0.5");
    cm_key_delete(place(TCPIP, vif(0), false));
    restart(vif(0));
    check_address(vif(0), NULL);
}

/* Changed while both are there, and nobody tries the VIF: netio tells of it. */
STACK_TEST(changed_later, ONE)
{
    refuse(0);
    set_addresses(card(0), "192.168.7.9", "192.168.7.1");
    restart(card(0));
    ck_assert(stack_wait(kept_is, "192.168.7.9", 1000));
    set_addresses(card(0), "192.168.7.10", "192.168.7.1");
    cm_value_set_string(place(TCPIP, card(0), true), "NameServer", REG_SZ, "192.168.7.2");
    restart(card(0));
    ck_assert(stack_wait(kept_is, "192.168.7.10", 1000));
    cm_value_delete(place(TCPIP, card(0), true), "NameServer");
    set_addresses(card(0), "192.168.7.11", "192.168.7.1");
    restart(card(0));
    ck_assert(stack_wait(kept_is, "192.168.7.11", 1000));
    replace(card(0), 0);
    check_address(vif(0), "192.168.7.11");
    ck_assert_ptr_null(cm_value_get(place(TCPIP, vif(0), false), "NameServer", NULL, NULL));
}

/* What cannot be kept as it is now is kept as it was, and is tried again with the next change. */
STACK_TEST(value_that_cannot_be_deleted, ONE, .fail = "call=ZwDeleteValueKey,nth=100000000")
{
    fault_suspend();
    refuse(0);
    set_addresses(card(0), "192.168.7.9", "192.168.7.1");
    cm_value_set_string(place(TCPIP, card(0), true), "NameServer", REG_SZ, "192.168.7.2");
    restart(card(0));
    ck_assert(stack_wait(kept_is, "192.168.7.9", 1000));
    machine->config.faults.rule[0].nth = 0; /* each */
    fault_resume();
    cm_value_delete(place(TCPIP, card(0), true), "NameServer");
    set_addresses(card(0), "192.168.7.10", "192.168.7.1");
    restart(card(0));
    ck_assert(stack_wait(kept_is, "192.168.7.10", 1000));
    stack_sleep_us(100000);
    ck_assert_uint_ge(fault_injected(), 1);
    fault_suspend();
    STACK_ASSERT_LOGGED("settings cannot be kept (c000009a)");
    set_addresses(card(0), "192.168.7.11", "192.168.7.1");
    restart(card(0));
    ck_assert(stack_wait(kept_is, "192.168.7.11", 1000));
    replace(card(0), 0);
    check_address(vif(0), "192.168.7.11");
    ck_assert_ptr_null(cm_value_get(place(TCPIP, vif(0), false), "NameServer", NULL, NULL));
}

STACK_TEST(each_by_its_address, NET, .vifs = 2, .quiet = true, .board = {.nic = {CARD(1), CARD(0)}, .nics = 2})
{
    set_addresses(card(0), "192.168.7.1", "192.168.7.254");
    set_addresses(card(1), "192.168.7.0", "192.168.7.254");
    for (unsigned i = 0; i < 2; i++)
        refuse(i);
    replace(card(1), 0);
    check_address(vif(0), "192.168.7.0");
    check_address(vif(1), NULL);
    replace(card(0), 1);
    check_address(vif(1), "192.168.7.1");
    check_address(vif(0), "192.168.7.0");
}

/* A card of another address is nobody's. */
STACK_TEST(nothing_to_carry, NET, .vifs = 1, .board = {.nic = {CARD(1)}, .nics = 1})
{
    stack_wait_connected(0);
    set_addresses(card(0), "192.168.7.9", "192.168.7.1");
    restart(card(0));
    restart(vif(0));
    ck_assert_int_eq(pnp_remove_device(card(0), false), STATUS_SUCCESS);
    restart(vif(0));
    check_address(vif(0), NULL);
    ck_assert_ptr_null(cm_key_open(KEPT));
}

STACK_TEST(addresses_of_its_own_stay, ONE)
{
    set_addresses(card(0), "192.168.7.9", "192.168.7.1");
    refuse(0);
    set_addresses(vif(0), "10.0.0.5", "10.0.0.1");
    replace(card(0), 0);
    check_address(vif(0), "10.0.0.5");
}

/* What comes with the adapter otherwise is overwritten: it asks a DHCP server. */
STACK_TEST(defaults_do_not_stay, ONE)
{
    const char *none = "0.0.0.0";

    cm_value_set_dword(place(TCPIP, vif(0), true), "EnableDHCP", 1);
    cm_value_set_multi(place(TCPIP, vif(0), true), "IPAddress", &none, 1);
    set_addresses(card(0), "192.168.7.9", "192.168.7.1");
    refuse(0);
    replace(card(0), 0);
    check_address(vif(0), "192.168.7.9");
}

/* The VIF is refused beside its twin, whose settings are kept, and the twin goes. */
static void keep_of_the_card(void)
{
    set_addresses(card(0), "192.168.7.9", "192.168.7.1");
    cm_value_set_string(place(TCPIP, card(0), true), "NameServer", REG_SZ, "192.168.7.2");
    cm_value_set_string(place(TCPIP6, card(0), true), "NameServer", REG_SZ, "2001:db8::53");
    refuse(0);
    ck_assert_int_eq(pnp_remove_device(card(0), false), STATUS_SUCCESS);
}

/* A giving that fails half way, whichever value it is at, is not lost, and does not lose what is kept: the next start.
 */
static void given_in_two_attempts(void *nth)
{
    fault_suspend();
    keep_of_the_card();
    machine->config.faults.rule[0].nth = (uint64_t)(uintptr_t)nth;
    machine->fault->matched[0] = 0;
    fault_resume();
    ck_assert_int_eq(pnp_retry_device(vif(0)), STATUS_SUCCESS);
    fault_suspend();
    ck_assert_uint_eq(fault_injected(), 1);
    restart(vif(0));
    check_address(vif(0), "192.168.7.9");
    check_string(vif(0), TCPIP, "NameServer", "192.168.7.2");
    check_string(vif(0), TCPIP6, "NameServer", "2001:db8::53");

    /* It is complete now: what becomes of it is not undone. */
    set_addresses(vif(0), "10.0.0.5", "10.0.0.1");
    restart(vif(0));
    check_address(vif(0), "10.0.0.5");
    cm_key_delete(place(TCPIP, vif(0), false));
    restart(vif(0));
    check_address(vif(0), NULL);
}

START_TEST(given_half_way)
{
    struct stack_options options = {ONE, .fail = "call=ZwSetValueKey,nth=100000000"};

    stack_run(&options, given_in_two_attempts, (void *)(uintptr_t)(_i + 1));
}
END_TEST

/* The same wherever there is no memory: the start may fail for it, and what is given in the end is all there is. */
STACK_TEST(given_in_a_shortage, ONE, .fail = "kind=pool,nth=100000000")
{
    struct cm_key *kept;
    bool told = false;

    fault_suspend();
    keep_of_the_card();
    kept = cm_key_child(cm_key_open(KEPT), 0);
    for (unsigned nth = 1; nth <= 30; nth++) {
        uint64_t before = fault_injected();

        machine->config.faults.rule[0].nth = nth;
        machine->fault->matched[0] = 0;
        fault_resume();
        (void)pnp_retry_device(vif(0));
        fault_suspend();
        ck_assert_uint_eq(fault_injected(), before + 1);
        if (pnp_state(vif(0)) == DEVNODE_STARTED)
            restart(vif(0));
        else
            ck_assert_int_eq(pnp_retry_device(vif(0)), STATUS_SUCCESS);
        check_address(vif(0), "192.168.7.9");
        check_string(vif(0), TCPIP, "NameServer", "192.168.7.2");
        check_string(vif(0), TCPIP6, "NameServer", "2001:db8::53");

        told |= stack_is_logged("the adapter cannot be given its settings (c000009a)");

        /* As if it had been given nothing. */
        ck_assert_int_eq(pnp_remove_device(vif(0), false), STATUS_SUCCESS);
        cm_key_delete(place(TCPIP, vif(0), false));
        cm_key_delete(place(TCPIP6, vif(0), false));
        cm_value_delete(kept, "Adapter");
    }
    ck_assert(told);
}

/* Values are as long as they are: none is cut, or left out. */
STACK_TEST(long_values, ONE)
{
    static const size_t sizes[] = {0, 1, 255, 256, 257, 5000, 65536};
    static uint8_t bytes[65536];
    char name[] = "Long0";

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    set_addresses(card(0), "192.168.7.9", "192.168.7.1");
    for (unsigned i = 0; i < ARRAYSIZE(sizes); i++) {
        name[4] = (char)('0' + i);
        cm_value_set(place(TCPIP, card(0), true), name, REG_BINARY, bytes, sizes[i]);
    }
    refuse(0);
    replace(card(0), 0);
    check_address(vif(0), "192.168.7.9");
    for (unsigned i = 0; i < ARRAYSIZE(sizes); i++) {
        const void *data;
        ULONG type;
        size_t size;

        name[4] = (char)('0' + i);
        data = cm_value_get(place(TCPIP, vif(0), false), name, &type, &size);
        ck_assert_msg(data != NULL && type == REG_BINARY && size == sizes[i], "a value of %zu bytes", sizes[i]);
        ck_assert_mem_eq(data, bytes, size);
    }
}

/* What Windows does not tell for a moment is kept with the next change. */
static void kept_with_the_next_change(void *argument)
{
    const char *error = argument;

    fault_suspend();
    refuse(0);
    set_addresses(card(0), "192.168.7.9", "192.168.7.1");
    machine->config.faults.rule[0].nth = 0; /* each */
    fault_resume();
    restart(card(0));
    stack_sleep_us(100000);
    fault_suspend();
    ck_assert_uint_ge(fault_injected(), 1);
    ck_assert(!kept_is("192.168.7.9"));
    if (error != NULL)
        STACK_ASSERT_LOGGED(error);
    set_addresses(card(0), "192.168.7.10", "192.168.7.1");
    restart(card(0));
    ck_assert(stack_wait(kept_is, "192.168.7.10", 1000));
    replace(card(0), 0);
    check_address(vif(0), "192.168.7.10");
}

START_TEST(not_told_for_a_moment)
{
    static const struct {
        const char *fail, *error;
    } calls[] = {{"call=GetIfTable2,nth=100000000", "the table of interfaces cannot be read (c0000017)"},
                 {"call=RtlStringFromGUID,nth=100000000", NULL},
                 {"call=ZwCreateKey,nth=100000000", "settings cannot be kept (c000009a)"}};
    struct stack_options options = {ONE};

    options.fail = calls[_i].fail;
    stack_run(&options, kept_with_the_next_change, (void *)(uintptr_t)calls[_i].error);
}
END_TEST

/* Values that are not as Windows has them stay where they are; the others are carried over. */
STACK_TEST(malformed_values, ONE)
{
    static const WCHAR open_end[] = {'1', '0'};
    struct cm_key *key = place(TCPIP, card(0), true);
    const void *data;
    size_t size;
    ULONG type;

    set_addresses(card(0), "192.168.7.9", "192.168.7.1");
    cm_value_set_dword(key, "DefaultGateway", 7);                              /* the type */
    cm_value_set(key, "SubnetMask", REG_MULTI_SZ, open_end, sizeof(open_end)); /* no end */
    cm_value_set(key, "NameServer", REG_SZ, open_end, sizeof(open_end) - 1);   /* half a character */
    cm_value_set(key, "EnableDHCP", REG_DWORD, "\0", 1);                       /* too short */
    cm_value_set(key, "Odd", REG_MULTI_SZ, NULL, 0);                           /* nothing, of a name nobody knows */
    cm_value_set_string(key, "Domain", REG_SZ, "example.org");
    cm_value_set_string(place(TCPIP, vif(0), true), "NameServer", REG_SZ, "8.8.4.4");
    refuse(0);
    replace(card(0), 0);
    check_address(vif(0), "192.168.7.9");
    check_string(vif(0), TCPIP, "Domain", "example.org");
    check_string(vif(0), TCPIP, "NameServer", "8.8.4.4");
    for (unsigned i = 0; i < 4; i++)
        ck_assert_ptr_null(cm_value_get(place(TCPIP, vif(0), false),
                                        (const char *const[]){"DefaultGateway", "SubnetMask", "EnableDHCP", "Odd"}[i],
                                        NULL, NULL));
    data = cm_value_get(key, "SubnetMask", &type, &size);
    ck_assert(data != NULL && type == REG_MULTI_SZ && size == sizeof(open_end));
}

/* ---- VIFs that go and come ---- */

static void name_anew(struct cm_key *software)
{
    cm_value_set_string(software, "NetCfgInstanceId", REG_SZ, OTHER_NAME);
}

/* The device is another one to Windows, as after an upgrade that changes its ID; the MAC address is what stays. */
STACK_TEST(fb13_of_a_removed_vif, NET, .vifs = 1, .wait = true)
{
    struct cm_key *software = stack_software_key(vif(0));
    char *path = image_printf("%s", pnp_instance_path(vif(0)));

    set_addresses(vif(0), "192.168.7.9", "192.168.7.1");
    restart(vif(0));
    stack_detach(0);
    ck_assert(stack_wait(stack_device_gone, path, 5000));
    image_free(path);
    name_anew(software);
    stack_attach(0);
    stack_wait_connected(0);
    check_address(vif(0), "192.168.7.9");
    ck_assert(uses(vif(0), 192u | 168u << 8 | 7u << 16 | 9u << 24));
}

/* A name of the adapter's that Windows does not give: nothing is kept of what is called so, or given to it. */
STACK_TEST(adapter_without_a_name, NET, .vifs = 1, .wait = true, .quiet = true)
{
    static const char *const names[] = {"", "none", "{0A1B2C3D-1111-2222-3333-44556677889G}",
                                        "{0A1B2C3D-1111-2222-3333-445566778899}\\Parameters"};
    struct cm_key *software = stack_software_key(vif(0));
    char *name = cm_value_get_string(software, "NetCfgInstanceId");

    for (unsigned i = 0; i < ARRAYSIZE(names); i++) {
        cm_value_set_string(software, "NetCfgInstanceId", REG_SZ, names[i]);
        set_addresses(vif(0), "192.168.7.9", "192.168.7.1");
        for (unsigned round = 1; round <= 2; round++) {
            restart(vif(0));
            ck_assert_uint_ge(stack_times_logged("vif 0: NetCfgInstanceId is no GUID"), 2 * i + round);
            ck_assert_ptr_null(cm_key_open(KEPT));
        }
        stack_wait_connected(0);
    }
    cm_value_set_string(software, "NetCfgInstanceId", REG_SZ, name);
    image_free(name);
    restart(vif(0));
    set_addresses(vif(0), "192.168.7.10", "192.168.7.1");
    restart(vif(0));
    ck_assert(kept_is("192.168.7.10"));
}

static void check_kept(const struct cm_key *kept, unsigned index, const char *address)
{
    struct cm_key *key = cm_key_child(kept, index), *tcpip = key != NULL ? cm_key_open_at(key, "Tcpip") : NULL;
    char *text = tcpip != NULL ? cm_value_get_multi(tcpip, "IPAddress", 0) : NULL;

    ck_assert_ptr_nonnull(text);
    ck_assert_str_eq(text, address);
    image_free(text);
}

/* A toolstack with ever new addresses does not fill the registry; those that are known go on. */
STACK_TEST(no_end_of_addresses, NET, .vifs = 1, .wait = true, .quiet = true)
{
    struct cm_key *kept, *last = NULL;
    unsigned count = 0, told;

    for (unsigned i = 0; i < 64; i++) {
        char *path = image_printf("%s\\0216000000%02X", KEPT, i);

        last = cm_key_create(path);
        image_free(path);
    }
    kept = cm_key_open(KEPT);
    set_addresses(vif(0), "192.168.7.9", "192.168.7.1");
    restart(vif(0));
    told = stack_times_logged("settings are kept for 64 addresses already");
    ck_assert_uint_ge(told, 1);
    restart(vif(0));
    ck_assert_uint_eq(stack_times_logged("settings are kept for 64 addresses already"), told);
    while (cm_key_child(kept, count) != NULL)
        count++;
    ck_assert_uint_eq(count, 64);

    cm_key_delete(last);
    restart(vif(0));
    check_kept(kept, 63, "192.168.7.9");
    set_addresses(vif(0), "192.168.7.10", "192.168.7.1");
    restart(vif(0));
    check_kept(kept, 63, "192.168.7.10");
}

/* The same one keeps what it has: also what was changed while it was away. */
STACK_TEST(of_a_vif_that_comes_back, NET, .vifs = 1, .wait = true)
{
    struct cm_key *key = place(TCPIP, vif(0), true);
    const char *address = "192.168.7.10";

    set_addresses(vif(0), "192.168.7.9", "192.168.7.1");
    restart(vif(0));
    stack_detach(0);
    cm_value_set_multi(key, "IPAddress", &address, 1);
    stack_attach(0);
    stack_wait_connected(0);
    check_address(vif(0), "192.168.7.10");
}

int main(void)
{
    Suite *suite = suite_create("settings");
    TCase *tcase = tcase_create("settings");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, fb13_of_the_emulated_card);
    tcase_add_test(tcase, other_adapter_of_the_address);
    tcase_add_test(tcase, once_only);
    tcase_add_test(tcase, changed_later);
    tcase_add_test(tcase, value_that_cannot_be_deleted);
    tcase_add_test(tcase, each_by_its_address);
    tcase_add_test(tcase, nothing_to_carry);
    tcase_add_test(tcase, addresses_of_its_own_stay);
    tcase_add_test(tcase, defaults_do_not_stay);
    tcase_add_loop_test(tcase, given_half_way, 0, 8); /* Giving, six values, Adapter */
    tcase_add_test(tcase, given_in_a_shortage);
    tcase_add_test(tcase, long_values);
    tcase_add_loop_test(tcase, not_told_for_a_moment, 0, 3);
    tcase_add_test(tcase, malformed_values);
    tcase_add_test(tcase, fb13_of_a_removed_vif);
    tcase_add_test(tcase, of_a_vif_that_comes_back);
    tcase_add_test(tcase, no_end_of_addresses);
    tcase_add_test(tcase, adapter_without_a_name);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
