/*
 * What the neighbours are told after a connection that the client has not asked for: an ARP announcement (RFC 5227
 * section 3) for each IPv4 address of the adapter, an unsolicited neighbour advertisement (RFC 4861 section 7.2.6) for
 * each IPv6 address. Netback compares them byte by byte.
 */
#include <string.h>

#include <netioapi.h>

#include "common/inet.h"
#include "common/stack.h"
#include "common/vif_backend.h"
#include "machine/fault.h"
#include "nt/cm/cm.h"
#include "nt/netio/netio.h"
#include "nt/pnp/pnp.h"

#include "vif_interface.h"

#define NET .drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .wait = true
#define FRAMES_MAX 80u
#define MANY 40u

static const uint8_t mac[6] = MACHINE_VIF_MAC(0);

/* ---- what is expected ---- */

static uint8_t bytes[FRAMES_MAX][96];
static struct port_frame frame[FRAMES_MAX];
static struct capture expected = {.frame = frame};

static uint8_t *next_frame(uint32_t length)
{
    uint8_t *data = bytes[expected.count];

    ck_assert_uint_lt(expected.count, FRAMES_MAX);
    frame[expected.count++] = (struct port_frame){.data = data, .length = length};
    memset(data, 0, sizeof(bytes[0]));
    return data;
}

static void expect_arp(const uint8_t *address, const uint8_t *from)
{
    uint8_t *data = next_frame(42);

    memset(data, 0xFF, 6);
    memcpy(data + 6, from, 6);
    memcpy(data + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
    memcpy(data + 22, from, 6);
    memcpy(data + 28, address, 4);
    memcpy(data + 38, address, 4);
}

static void expect_advertisement(const uint8_t *address)
{
    uint8_t *data = next_frame(86);

    memcpy(data, "\x33\x33\x00\x00\x00\x01", 6);
    memcpy(data + 6, mac, 6);
    memcpy(data + 12, "\x86\xdd\x60\x00\x00\x00\x00\x20\x3a\xff", 10);
    memcpy(data + 22, address, 16);
    memcpy(data + 38, "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
    memcpy(data + 54, "\x88\x00\x00\x00\x20\x00\x00\x00", 8); /* override, neither router nor solicited */
    memcpy(data + 62, address, 16);
    memcpy(data + 78, "\x02\x01", 2);
    memcpy(data + 80, mac, 6);
    inet_put16(data + 56, (uint16_t)~inet_sum(data + 22, 64, 32 + 58)); /* addresses, length, next header, message */
}

/* ---- the adapter's addresses ---- */

static struct cm_key *software_key(void)
{
    char *path = image_printf("%s\\%s", CM_ENUM, pnp_instance_path(stack_device("XENVIF\\")));
    char *driver = cm_value_get_string(cm_key_open(path), "Driver");
    char *software = image_printf("%s\\%s", CM_CLASS, driver);
    struct cm_key *key = cm_key_open(software);

    image_free(path);
    image_free(driver);
    image_free(software);
    return key;
}

static NET_LUID adapter_luid(void)
{
    const struct cm_key *key = software_key();
    NET_LUID luid = {.Value = 0};
    ULONG index, type;

    ck_assert(cm_value_get_dword(key, "NetLuidIndex", &index) && cm_value_get_dword(key, "*IfType", &type));
    luid.Info.NetLuidIndex = index;
    luid.Info.IfType = type;
    return luid;
}

static MIB_UNICASTIPADDRESS_ROW row_of(const uint8_t *address, size_t length)
{
    MIB_UNICASTIPADDRESS_ROW row;

    InitializeUnicastIpAddressEntry(&row);
    row.InterfaceLuid = adapter_luid();
    row.Address.si_family = length == 4 ? AF_INET : AF_INET6;
    if (length == 4)
        memcpy(&row.Address.Ipv4.sin_addr, address, 4);
    else
        memcpy(&row.Address.Ipv6.sin6_addr, address, 16);
    return row;
}

static void give(const uint8_t *address, size_t length)
{
    MIB_UNICASTIPADDRESS_ROW row = row_of(address, length);

    ck_assert_int_eq(CreateUnicastIpAddressEntry(&row), STATUS_SUCCESS);
}

static void take(const uint8_t *address, size_t length)
{
    MIB_UNICASTIPADDRESS_ROW row = row_of(address, length);

    ck_assert_int_eq(DeleteUnicastIpAddressEntry(&row), STATUS_SUCCESS);
}

static void detect(const uint8_t *address, size_t length, NL_DAD_STATE state)
{
    MIB_UNICASTIPADDRESS_ROW row = row_of(address, length);

    ck_assert(netio_address_detected(row.InterfaceLuid, &row.Address, state));
}

static const uint8_t v4[3][4] = {{192, 168, 7, 9}, {10, 1, 2, 3}, {169, 254, 77, 1}};
static const uint8_t v6[2][16] = {{0xfe, 0x80, [8] = 0x02, 0x16, 0x3e, 0xff, 0xfe, 0x5a, 0x00, 0x01},
                                  {0x20, 0x01, 0x0d, 0xb8, 0x00, 0x07, [14] = 0xbe, 0xef}};

/* ---- another place, another backend ---- */

static void migrate(void)
{
    struct stack_resumer resumer = {0};

    stack_suspend(&resumer);
}

/* What is expected is known before the new netback connects. */
static void restart_main(void *unused)
{
    stack_end_expect(0, &expected);
    stack_netback_restart(unused);
}

static bool all_came(void *unused)
{
    struct checker_verdict verdict = stack_end_verdict(0);

    (void)unused;
    return verdict.frames >= expected.count;
}

/* The frames have come by now, and no others come. */
static void await_expected(void)
{
    struct checker_verdict verdict;

    ck_assert_msg(stack_wait(all_came, NULL, 2000), "%llu of %u frames came",
                  (unsigned long long)stack_end_verdict(0).frames, expected.count);
    stack_sleep_us(20000);
    verdict = stack_end_verdict(0);
    ck_assert_uint_eq(verdict.frames, expected.count);
    ck_assert_uint_eq(verdict.good, expected.count);
    expected.count = 0;
    stack_end_expect(0, NULL);
}

static unsigned connections = 1; /* that netback is to have made by now */

static void migrate_expecting(void)
{
    stack_wait_connections(0, connections++);
    stack_end_expect(0, &expected);
    migrate();
    stack_wait_connections(0, connections);
    await_expected();
}

static void restart_expecting(void)
{
    stack_in_dom0(restart_main, NULL);
    connections = 1;
    stack_wait_connections(0, connections);
    await_expected();
}

/* ---- the cases ---- */

STACK_TEST(both_families_in_order, NET)
{
    for (unsigned i = 0; i < 3; i++)
        give(v4[i], 4);
    for (unsigned i = 0; i < 2; i++)
        give(v6[i], 16);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3; i++)
            expect_arp(v4[i], mac);
        for (unsigned i = 0; i < 2; i++)
            expect_advertisement(v6[i]);
        if (round == 0)
            migrate_expecting();
        else
            restart_expecting();
    }
}

STACK_TEST(version_4_only, NET)
{
    give(v4[0], 4);
    expect_arp(v4[0], mac);
    migrate_expecting();
    expect_arp(v4[0], mac);
    restart_expecting();
}

STACK_TEST(version_6_only, NET)
{
    give(v6[1], 16);
    expect_advertisement(v6[1]);
    migrate_expecting();
    expect_advertisement(v6[1]);
    restart_expecting();
}

STACK_TEST(addresses_that_change, NET)
{
    give(v4[0], 4);
    give(v6[0], 16);
    expect_arp(v4[0], mac);
    expect_advertisement(v6[0]);
    migrate_expecting();
    take(v4[0], 4);
    give(v4[1], 4);
    expect_advertisement(v6[0]);
    expect_arp(v4[1], mac);
    migrate_expecting();
    take(v6[0], 16);
    take(v4[1], 4);
    migrate_expecting();
    give(v4[2], 4);
    expect_arp(v4[2], mac);
    restart_expecting();
}

/* While a link is down every address is looked at anew: those that were the interface's are, those of others are not.
 */
STACK_TEST(addresses_that_are_looked_at_anew, NET)
{
    static const NL_DAD_STATE states[2][2] = {{IpDadStatePreferred, IpDadStateDuplicate},
                                              {IpDadStateTentative, IpDadStateTentative}};

    for (unsigned i = 0; i < 2; i++) {
        give(v4[i], 4);
        give(v6[i], 16);
    }
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 2; i++) {
            detect(v4[i], 4, states[round][i]);
            detect(v6[i], 16, states[round][i]);
            stack_sleep_us(20000); /* each is read */
        }
    expect_arp(v4[0], mac);
    expect_advertisement(v6[0]);
    migrate_expecting();

    detect(v4[0], 4, IpDadStateDuplicate);
    detect(v6[0], 16, IpDadStateInvalid);
    detect(v4[1], 4, IpDadStateDeprecated);
    detect(v6[1], 16, IpDadStatePreferred);
    expect_arp(v4[1], mac);
    expect_advertisement(v6[1]);
    restart_expecting();
}

#define NONE_FAILS ",nth=100000000"

static bool has_failed(void *before)
{
    return fault_injected() != *(uint64_t *)before;
}

/* Gives an address, of which the driver hears while the nth allocation from here on fails. FALSE: there was none. */
static bool give_in_vain(const uint8_t *address, unsigned nth)
{
    uint64_t before = fault_injected();
    bool failed;

    machine->config.faults.rule[0].nth = nth;
    machine->fault->matched[0] = 0;
    fault_resume();
    give(address, 4);
    failed = stack_wait(has_failed, &before, 20);
    fault_suspend();
    return failed;
}

/* Of an address that could not be read for a moment the neighbours hear. */
STACK_TEST(address_read_again, NET, .quiet = true, .fail = "kind=pool" NONE_FAILS)
{
    unsigned nth = 0;
    bool failed;

    fault_suspend();
    stack_wait_connections(0, 1);
    stack_sleep_us(20000);
    do {
        failed = give_in_vain((uint8_t[]){10, 0, 0, (uint8_t)++nth}, nth);
        for (unsigned i = 1; i <= nth; i++)
            expect_arp((uint8_t[]){10, 0, 0, (uint8_t)i}, mac);
        migrate_expecting();
    } while (failed);
    ck_assert_uint_gt(nth, 2); /* netio's table and the driver's list */
}

/* It does not take another change to have it read. */
STACK_TEST(address_read_in_time, NET, .quiet = true, .fail = "call=GetUnicastIpAddressTable" NONE_FAILS)
{
    uint64_t before;

    fault_suspend();
    stack_wait_connections(0, 1);
    stack_sleep_us(20000);
    ck_assert(give_in_vain(v4[0], 1));
    before = fault_injected();
    machine->config.faults.rule[0].nth = 1;
    machine->fault->matched[0] = 0;
    fault_resume();
    ck_assert(stack_wait(has_failed, &before, 2000));
    fault_suspend();
    expect_arp(v4[0], mac);
    migrate_expecting();
}

/* Netio cannot tell of addresses at first. */
STACK_TEST(told_of_addresses_later, NET, .quiet = true, .fail = "call=NotifyUnicastIpAddressChange")
{
    give(v4[0], 4);
    stack_wait_connections(0, 1);
    ck_assert_uint_ne(fault_injected(), 0);
    fault_suspend();
    stack_sleep_us(1100000);
    expect_arp(v4[0], mac);
    migrate_expecting();
}

/*
 * One that there is no memory for is announced in a second, and those behind it behind it, once each. The calls for
 * them are among a migration's last; what fails elsewhere is not looked at here.
 */
STACK_TEST(announced_a_moment_later, NET, .quiet = true, .engine = ENGINE_DETERMINISTIC,
           .fail = "kind=pool+mdl" NONE_FAILS)
{
    unsigned late = 0;
    uint64_t calls = 0;

    fault_suspend();
    for (unsigned i = 0; i < 3; i++)
        give(v4[i], 4);
    for (unsigned back = 0; back <= 24; back++) {
        unsigned told = stack_times_logged("addresses are not announced yet (c000009a)");

        stack_wait_connections(0, connections++);
        stack_sleep_us(20000);
        for (unsigned i = 0; i < 3; i++)
            expect_arp(v4[i], mac);
        stack_end_expect(0, &expected);
        machine->config.faults.rule[0].nth = back < 2 ? 100000000 : calls + 1 - back;
        machine->fault->matched[0] = 0;
        fault_resume();
        migrate();
        stack_wait_connections(0, connections);
        stack_sleep_us(20000);
        fault_suspend();
        if (back < 2) {
            calls = machine->fault->matched[0];
            await_expected();
        } else if (stack_times_logged("addresses are not announced yet (c000009a)") > told) {
            ck_assert_uint_lt(stack_end_verdict(0).frames, 3);
            late++;
            await_expected();
        } else {
            expected.count = 0;
            stack_end_expect(0, NULL);
        }
    }
    ck_assert_uint_ge(late, 6);
}

/* What a backend that the test plays is sent: frames for the first MANY addresses, in order. */
static void take_announcements(void)
{
    static struct vif_backend_packet taken;

    for (unsigned i = 1; i <= MANY; i++) {
        vif_backend_await(&taken, NETIF_RSP_OKAY);
        ck_assert_uint_eq(taken.length, 42);
        ck_assert_mem_eq(taken.data + 38, ((uint8_t[]){10, 0, 0, (uint8_t)i}), 4);
    }
    ck_assert(!vif_backend_take(&taken, NETIF_RSP_OKAY));
}

#define NOT_YET "addresses are not announced yet (c000009a)"

static bool packet_refused;

/* The nth allocation from a connection on fails, whichever it is. */
static void connect_short(void *nth)
{
    static struct vif_backend_packet left;

    fault_suspend();
    vif_backend_connect();
    for (unsigned i = 1; i <= MANY; i++)
        give((uint8_t[]){10, 0, 0, (uint8_t)i}, 4);
    stack_sleep_us(20000);
    vif_backend_disconnect();
    machine->config.faults.rule[0].nth = (unsigned)(uintptr_t)nth;
    machine->fault->matched[0] = 0;
    fault_resume();
    vif_backend_connect();
    stack_sleep_us(20000);
    fault_suspend();
    ck_assert_uint_eq(fault_injected(), 1);
    if (stack_is_logged(NOT_YET)) {
        packet_refused = stack_statistics(1).Vif[XENVIF_TRANSMITTER_FRONTEND_ERRORS] != 0;
        stack_sleep_us(1100000);
        take_announcements();
    }
    while (vif_backend_take(&left, NETIF_RSP_OKAY))
        ;
    vif_backend_close();
    vif_backend_end();
}

/*
 * A frame is there, and no packet for it: the backend takes none, so that more are under way than there have been. It
 * is an error of this side's, and that frame and those behind it follow in a second.
 */
START_TEST(announced_when_there_are_packets)
{
    static const struct stack_options options = {
        .drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT,
        .before_boot = vif_backend_make,
        .quiet = true,
        .engine = ENGINE_DETERMINISTIC,
        .fail = "kind=pool" NONE_FAILS,
    };

    packet_refused = false;
    for (unsigned nth = 1; !packet_refused; nth++)
        stack_run(&options, connect_short, (void *)(uintptr_t)nth);
}
END_TEST

static void take_all(void)
{
    PMIB_UNICASTIPADDRESS_TABLE table;

    ck_assert_int_eq(GetUnicastIpAddressTable(AF_UNSPEC, &table), STATUS_SUCCESS);
    for (ULONG i = 0; i < table->NumEntries; i++)
        ck_assert_int_eq(DeleteUnicastIpAddressEntry(&table->Table[i]), STATUS_SUCCESS);
    FreeMibTable(table);
    ck_assert_int_eq(GetUnicastIpAddressTable(AF_UNSPEC, &table), STATUS_NOT_FOUND);
}

/* Not even the loopback interface has one: netio has no table then, and what there was is not announced. */
STACK_TEST(nothing_without_any_interface_s_address, NET)
{
    give(v4[0], 4);
    expect_arp(v4[0], mac);
    migrate_expecting();
    take_all();
    migrate_expecting();
    give(v4[1], 4);
    expect_arp(v4[1], mac);
    migrate_expecting();
}

STACK_TEST(nothing_without_an_address, NET)
{
    migrate_expecting();
    restart_expecting();
}

/* Those of the loopback interface and of another adapter are not this one's. */
STACK_TEST(each_adapter_its_own, .drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT, .vifs = 2, .wait = true)
{
    static const uint8_t other[6] = MACHINE_VIF_MAC(1);
    struct checker_verdict verdict;

    for (unsigned i = 0; i < 2; i++)
        stack_wait_connections(i, 1);

    give(v4[0], 4); /* of the first device in the tree, which is VIF 0 or 1 */
    expect_arp(v4[0], strstr(pnp_instance_path(stack_device("XENVIF\\")), "\\0") != NULL ? mac : other);
    stack_end_expect(0, &expected);
    stack_end_expect(1, &expected);
    migrate();
    for (unsigned i = 0; i < 2; i++)
        stack_wait_connections(i, 2);
    stack_sleep_us(20000);
    verdict = stack_end_verdict(0);
    ck_assert_uint_eq(verdict.frames + stack_end_verdict(1).frames, 1);
    ck_assert_uint_eq(verdict.good + stack_end_verdict(1).good, 1);
    expected.count = 0;
    for (unsigned i = 0; i < 2; i++)
        stack_end_expect(i, NULL);
}

/* A connection may take two attempts on the parallel engine, and the second is another backend's to the driver. */
#ifndef MACHINE_THREAD_SANITIZER
static bool netback_connected(void *unused)
{
    (void)unused;
    return stack_netback_connections(0) != 0;
}

/* The stack itself does it when the client begins, and when the cable is in again: a cancelled suspension is nothing.
 */
STACK_TEST(not_when_nothing_moved, NET)
{
    struct stack_resumer resumer = {.cancelled = true};

    give(v4[0], 4);
    stack_end_expect(0, &expected);
    stack_suspend(&resumer);
    await_expected();
    stack_store_write(stack_path("device/vif/0/disconnect"), "1");
    ck_assert_int_eq(stack_wait_link(0, false), STATUS_SUCCESS);
    stack_in_dom0(restart_main, NULL);
    ck_assert(stack_wait(netback_connected, NULL, 1000));
    await_expected();
    stack_end_expect(0, &expected);
    stack_store_remove(stack_path("device/vif/0/disconnect"));
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    await_expected();
}
#endif

/* More than the driver keeps: the first 64. The counters have them, and the client gets nothing back. */
STACK_TEST(many_addresses, NET)
{
    NETCLIENT_STATISTICS before, after;

    for (unsigned i = 1; i <= 70; i++)
        give((uint8_t[]){10, 0, 0, (uint8_t)i}, 4);
    for (unsigned i = 1; i <= 64; i++)
        expect_arp((uint8_t[]){10, 0, 0, (uint8_t)i}, mac);
    before = stack_statistics(0);
    migrate_expecting();
    after = stack_statistics(0);
    ck_assert_uint_eq(
        after.Vif[XENVIF_TRANSMITTER_BROADCAST_PACKETS] - before.Vif[XENVIF_TRANSMITTER_BROADCAST_PACKETS], 64);
    ck_assert_uint_eq(after.Vif[XENVIF_TRANSMITTER_BROADCAST_OCTETS] - before.Vif[XENVIF_TRANSMITTER_BROADCAST_OCTETS],
                      64 * 42);
    ck_assert_uint_eq(after.WrittenOk, before.WrittenOk);
}

/* Frames are from, and for, the address that the adapter uses. */
STACK_TEST(another_address_of_the_adapter, NET)
{
    stack_wait_connections(0, 1);
    cm_value_set_string(software_key(), "NetworkAddress", REG_SZ, "02-00-0A-0B-0C-0D");
    ck_assert_int_eq(pnp_restart_device(stack_device("XENVIF\\")), STATUS_SUCCESS);
    connections++;
    give(v4[0], 4);
    expect_arp(v4[0], (const uint8_t[]){2, 0, 10, 11, 12, 13});
    migrate_expecting();
}

/* Several queues, under schedules of every kind. */
static void under_schedules(void *unused)
{
    (void)unused;
    give(v4[0], 4);
    give(v6[0], 16);
    expect_arp(v4[0], mac);
    expect_advertisement(v6[0]);
    migrate_expecting();
}

START_TEST(schedules)
{
    stack_run(&(struct stack_options){NET, .vcpus = 4, .policy = POLICY_PCT, .seed = (uint64_t)_i + 1,
                                      .features = "queues=4"},
              under_schedules, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("announce");
    TCase *tcase = tcase_create("announce");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, both_families_in_order);
    tcase_add_test(tcase, version_4_only);
    tcase_add_test(tcase, version_6_only);
    tcase_add_test(tcase, addresses_that_change);
    tcase_add_test(tcase, addresses_that_are_looked_at_anew);
    tcase_add_test(tcase, announced_a_moment_later);
    tcase_add_test(tcase, announced_when_there_are_packets);
    tcase_add_test(tcase, address_read_again);
    tcase_add_test(tcase, address_read_in_time);
    tcase_add_test(tcase, told_of_addresses_later);
    tcase_add_test(tcase, nothing_without_an_address);
    tcase_add_test(tcase, nothing_without_any_interface_s_address);
    tcase_add_test(tcase, each_adapter_its_own);
#ifndef MACHINE_THREAD_SANITIZER
    tcase_add_test(tcase, not_when_nothing_moved);
#endif
    tcase_add_test(tcase, many_addresses);
    tcase_add_test(tcase, another_address_of_the_adapter);
    tcase_add_loop_test(tcase, schedules, 0, 10);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
