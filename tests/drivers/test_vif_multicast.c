/* XENVIF's list of groups at a backend that filters multicast frames: io/netif.h, feature-multicast-control. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/stack.h"
#include "nt/cm/cm.h"

#include <initguid.h>

#include "vif_interface.h"

#define NET .drivers = STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .wait = true
#define DYNAMIC "multicast-control,dynamic-multicast-control"
#define GROUPS 6u /* frame i is for group i; behind them a broadcast and a unicast frame */
#define FRAMES (GROUPS + 2)
#define OTHERS (3u << GROUPS)
#define PATIENCE_MS 20000u

static uint8_t address[FRAMES][6], bytes[FRAMES][64];
static struct port_frame frame[FRAMES];
static struct capture all = {.count = FRAMES, .frame = frame};
static struct capture *lan;

static void make_frames(void)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        if (i == GROUPS)
            memset(address[i], 255, sizeof(address[i]));
        else
            memcpy(address[i], (uint8_t[]){i < GROUPS, 0, i < GROUPS ? 0x5e : 0, 0, 0, (uint8_t)i}, 6);
        memcpy(bytes[i], address[i], 6);
        memcpy(bytes[i] + 6, "\x02\x00\x00\x00\x00\x63\x88\xb5", 8);
        memset(bytes[i] + 14, (int)i + 1, sizeof(bytes[i]) - 14);
        frame[i] = (struct port_frame){.data = bytes[i], .length = sizeof(bytes[i])};
    }
}

/* ---- what the client says ---- */

static void set_level(ULONG level)
{
    NETCLIENT_FILTER filter = {.Type = ETHERNET_ADDRESS_MULTICAST, .Level = level};

    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_SET_FILTER, &filter, sizeof(filter), NULL, 0), STATUS_SUCCESS);
}

/* The groups whose bits are set, the first of them twice. */
static void set_groups(unsigned mask)
{
    uint8_t list[GROUPS + 1][6];
    ULONG count = 0;

    for (unsigned i = 0; i < GROUPS; i++)
        if (mask & 1u << i)
            memcpy(list[count++], address[i], 6);
    if (count)
        memcpy(list[count++], list[0], 6);
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_SET_MULTICAST, list, count * 6, NULL, 0), STATUS_SUCCESS);
}

/* So many addresses, of which those of group 0 and 1 are the last. */
static void set_many(unsigned count)
{
    static uint8_t list[100][6];

    for (unsigned i = 0; i < count; i++)
        memcpy(list[i], i + 2 < count ? (uint8_t[]){1, 0, 0x5e, 1, 0, (uint8_t)i} : address[count - 1 - i], 6);
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_SET_MULTICAST, list, count * 6, NULL, 0), STATUS_SUCCESS);
}

/* ---- what comes of it ---- */

static void await_request(const char *value)
{
    stack_store_await(stack_path("device/vif/0/request-multicast-control"), value, PATIENCE_MS);
}

/* Long enough for the frontend's thread and netback to have done what there is to do. */
static void settle(void)
{
    stack_sleep_us(20000);
}

struct arrival {
    uint64_t filtered, received; /* as they are to be */
};

static bool have_arrived(void *argument)
{
    const struct arrival *arrival = argument;

    return stack_netback_statistics(0)->filtered == arrival->filtered &&
           stack_statistics(0).Received == arrival->received;
}

/* Of all frames netback keeps those of `filtered`, and the MAC those of `dropped`; the client gets the others. */
static void expect(unsigned filtered, unsigned dropped)
{
    NETCLIENT_STATISTICS before = stack_statistics(0), after;
    struct arrival arrival = {.filtered = stack_netback_statistics(0)->filtered, .received = before.Received};
    struct port_frame left[FRAMES];
    struct capture expected = {.frame = left};

    for (unsigned i = 0; i < FRAMES; i++)
        if (!((filtered | dropped) & 1u << i))
            left[expected.count++] = frame[i];
    arrival.filtered += (unsigned)__builtin_popcount(filtered);
    arrival.received += expected.count;
    stack_end_send(0, &all);
    ck_assert_msg(stack_wait(have_arrived, &arrival, PATIENCE_MS), "%llu of %llu filtered, %llu of %llu received",
                  (unsigned long long)stack_netback_statistics(0)->filtered, (unsigned long long)arrival.filtered,
                  (unsigned long long)stack_statistics(0).Received, (unsigned long long)arrival.received);
    ck_assert_uint_eq(stack_read_all(0, &expected), expected.count);
    after = stack_statistics(0);
    ck_assert_uint_eq(after.Vif[XENVIF_RECEIVER_PACKETS_DROPPED] - before.Vif[XENVIF_RECEIVER_PACKETS_DROPPED],
                      (unsigned)__builtin_popcount(dropped));
}

#define ALL_GROUPS ((1u << GROUPS) - 1)
#define WITHOUT(groups) (ALL_GROUPS & ~(groups))

/* ---- a dynamic filter ---- */

STACK_TEST(only_the_groups_asked_for_arrive, NET, .features = DYNAMIC)
{
    await_request("0"); /* all groups are let in at first */
    expect(0, 0);
    set_level(XENVIF_MAC_FILTER_MATCHING);
    await_request("1");
    settle();
    expect(ALL_GROUPS, 0);
    set_groups(0x05);
    settle();
    expect(WITHOUT(0x05), 0);
    set_groups(0x0e);
    settle();
    expect(WITHOUT(0x0e), 0);
    set_level(XENVIF_MAC_FILTER_NONE);
    settle();
    expect(ALL_GROUPS, 0);
    set_level(XENVIF_MAC_FILTER_ALL);
    await_request("0");
    settle();
    expect(0, 0);
    set_level(XENVIF_MAC_FILTER_MATCHING);
    await_request("1");
    settle();
    expect(WITHOUT(0x0e), 0);
    ck_assert_uint_eq(stack_netback_statistics(0)->tx.errors, 0);
    ck_assert_uint_eq(stack_netback_statistics(0)->tx.frames, 0);
    ck_assert_uint_eq(stack_netback_connections(0), 1);
}

/* Filters have room for 64 addresses: a longer list is the MAC's alone. */
STACK_TEST(more_groups_than_there_is_room_for, NET, .features = DYNAMIC)
{
    set_level(XENVIF_MAC_FILTER_MATCHING);
    set_many(64);
    await_request("1");
    settle();
    expect(WITHOUT(0x03), 0);
    set_many(65);
    await_request("0");
    settle();
    expect(0, WITHOUT(0x03));
    set_groups(0x20);
    await_request("1");
    settle();
    expect(WITHOUT(0x20), 0);
    ck_assert_uint_eq(stack_netback_statistics(0)->tx.errors, 0);
}

/* ---- one that is for good ---- */

static void static_filter(void *unused)
{
    (void)unused;
    await_request("0");
    set_level(XENVIF_MAC_FILTER_MATCHING);
    set_groups(0x06);
    settle();
    expect(0, WITHOUT(0x06)); /* it is too late to ask */
    stack_in_dom0(stack_netback_restart, NULL);
    stack_wait_connections(0, 1);
    await_request("1");
    settle();
    expect(WITHOUT(0x06), 0);
    set_groups(0x09);
    settle();
    expect(WITHOUT(0x09), 0);
    set_level(XENVIF_MAC_FILTER_ALL); /* which takes another connection */
    stack_wait_connections(0, 2);
    await_request("0");
    settle();
    expect(0, 0);
    set_level(XENVIF_MAC_FILTER_MATCHING);
    settle();
    expect(0, WITHOUT(0x09));
    ck_assert_uint_eq(stack_netback_connections(0), 2);
    ck_assert_uint_eq(stack_netback_statistics(0)->tx.errors, 0);
}

START_TEST(a_filter_that_is_not_dynamic)
{
    /* What goes wrong until both sides have seen of one another that they are new is logged. */
    static const struct stack_options options = {NET, .features = "multicast-control", .quiet = true};

    stack_run(&options, static_filter, NULL);
}
END_TEST

/* ---- another connection ---- */

static void sent_again(void *suspends)
{
    struct stack_resumer resumer = {.rounds = 2};

    set_level(XENVIF_MAC_FILTER_MATCHING);
    set_groups(0x11);
    await_request("1");
    settle();
    expect(WITHOUT(0x11), 0);
    if (suspends)
        stack_resume_when_suspended(&resumer);
    for (unsigned round = 1; round <= 2; round++) {
        if (suspends) {
            stack_ask_shutdown("suspend");
            while (resumer.times < round)
                stack_sleep_us(1000);
            stack_wait_connected(0);
        } else {
            stack_in_dom0(stack_netback_restart, NULL);
            stack_wait_connections(0, 1);
        }
        ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
        await_request("1");
        settle();
        expect(WITHOUT(0x11), 0);
    }
    if (suspends)
        stack_await_resumer(&resumer);
}

START_TEST(the_list_is_sent_to_each_backend)
{
    static const struct stack_options options = {NET, .features = DYNAMIC, .quiet = true};

    stack_run(&options, sent_again, _i == 0 ? NULL : (void *)1);
}
END_TEST

/* ---- none ---- */

static void disable(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenvif\\Parameters"), "TransmitterDisableMulticastControl", 1);
}

static void unfiltered(void *unused)
{
    char value[8];

    (void)unused;
    set_level(XENVIF_MAC_FILTER_MATCHING);
    set_groups(0x03);
    settle();
    expect(0, WITHOUT(0x03));
    ck_assert(!stack_store_read(stack_path("device/vif/0/request-multicast-control"), value, sizeof(value)));
}

START_TEST(nobody_is_asked)
{
    struct stack_options options = {NET, .features = _i == 0 ? "default" : DYNAMIC,
                                    .prepare = _i == 0 ? NULL : disable};

    stack_run(&options, unfiltered, NULL);
}
END_TEST

/* ---- under traffic ---- */

static void NTAPI carry(PVOID unused)
{
    (void)unused;
    for (unsigned i = 0; i < 3; i++)
        stack_carry(0, lan, NULL);
}

/* The ring is as full as it gets, and the addresses get through; no packet is lost for them. */
STACK_TEST(under_full_traffic, NET, .features = DYNAMIC)
{
    PKTHREAD thread;

    set_level(XENVIF_MAC_FILTER_MATCHING);
    thread = stack_thread(carry, NULL);
    for (unsigned i = 0; i < 20; i++) {
        set_many(40 + i);
        set_groups(1u << i % GROUPS);
        stack_sleep_us(200);
    }
    set_many(60);
    await_request("1");
    stack_join(thread);
    settle();
    expect(WITHOUT(0x03), 0);
    ck_assert_uint_eq(stack_netback_statistics(0)->tx.errors, 0);
}

int main(void)
{
    Suite *suite = suite_create("VIF's multicast groups");
    TCase *tcase = tcase_create("filter");

    lan = stack_capture(STACK_LAN);
    make_frames();
    tcase_add_test(tcase, only_the_groups_asked_for_arrive);
    tcase_add_test(tcase, more_groups_than_there_is_room_for);
    tcase_add_test(tcase, a_filter_that_is_not_dynamic);
    tcase_add_loop_test(tcase, the_list_is_sent_to_each_backend, 0, 2);
    tcase_add_loop_test(tcase, nobody_is_asked, 0, 2);
    tcase_add_test(tcase, under_full_traffic);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
