/* XENVIF_VIF as a network miniport meets it, through netclient's requests, with netback or nobody at the other end. */
#include <stdio.h>
#include <string.h>

#include "common/inet.h"
#include "common/stack.h"
#include "dom0/heap.h"
#include "machine/clock.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"
#include "nt/po/po.h"

#include <xenstore.h>

#include <initguid.h>

#include "vif_interface.h"

#define NET .drivers = STACK_XENVIF | STACK_NETCLIENT, .wait = true
#define STACK_OFFLOADS "tests/captures/lan-offload.pcap"
#define ONE NET, .vifs = 1

static struct capture *lan;

static void link_up(unsigned vif)
{
    ck_assert_int_eq(stack_wait_link(vif, true), STATUS_SUCCESS);
}

/* ---- what it says of itself ---- */

STACK_TEST(queries, NET, .vifs = 2)
{
    for (unsigned vif = 0; vif < 2; vif++) {
        const uint8_t mac[6] = {0x00, 0x16, 0x3e, 0x5a, 0x00, (uint8_t)vif};
        NETCLIENT_LINK link;

        link_up(vif);
        link = stack_link(vif);
        ck_assert_mem_eq(link.PermanentAddress, mac, 6);
        ck_assert_mem_eq(link.CurrentAddress, mac, 6);
        ck_assert_uint_eq(link.Connected, 1);
        ck_assert_uint_eq(link.FullDuplex, 1);
        ck_assert_uint_eq(link.LinkSpeed, 1000000000);
        ck_assert_uint_eq(link.MaximumFrameSize, 1514);
        ck_assert_uint_eq(link.RingCount, 1);
        ck_assert_uint_eq(link.TransmitterRingSize, 256);
        ck_assert_uint_eq(link.ReceiverRingSize, 256);
    }
}

STACK_TEST(link_follows_the_store, ONE)
{
    static const struct {
        const char *text;
        uint64_t speed;
    } speeds[] = {{"100M", 100000000}, {"10G", 10000000000}, {"5", 5000000000}, {"64K", 64000}};
    NETCLIENT_STATISTICS before;

    link_up(0);
    stack_carry(0, lan, lan);
    before = stack_statistics(0);
    for (unsigned round = 0; round < 3; round++) {
        stack_store_write(stack_path("device/vif/0/disconnect"), "1");
        ck_assert_int_eq(stack_wait_link(0, false), STATUS_SUCCESS);
        ck_assert_uint_eq(stack_link(0).Connected, 0);
        stack_store_write(stack_path("device/vif/0/disconnect"), "0");
        link_up(0);
        ck_assert_uint_eq(stack_link(0).Connected, 1);
    }
    ck_assert_uint_ge(stack_statistics(0).LinkChanges, before.LinkChanges + 6);
    for (unsigned i = 0; i < ARRAYSIZE(speeds); i++) {
        stack_store_write(stack_path("device/vif/0/speed"), speeds[i].text);
        for (unsigned tries = 0; stack_link(0).LinkSpeed != speeds[i].speed && tries < 1000; tries++)
            stack_sleep_us(200);
        ck_assert_uint_eq(stack_link(0).LinkSpeed, speeds[i].speed);
    }
    stack_carry(0, lan, lan);
    ck_assert_uint_eq(stack_netback_statistics(0)->connections, 1);
    stack_store_remove(stack_path("device/vif/0/disconnect"));
    stack_store_remove(stack_path("device/vif/0/speed"));
}

/* ---- counts ---- */

struct totals {
    uint64_t packets[3], octets[3]; /* unicast, multicast, broadcast */
};

static struct totals totals_of(const struct capture *capture)
{
    static const uint8_t broadcast[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    struct totals totals = {0};

    for (unsigned i = 0; i < capture->count; i++) {
        const struct port_frame *frame = &capture->frame[i];
        unsigned kind = memcmp(frame->data, broadcast, 6) == 0 ? 2 : frame->data[0] & 1;

        totals.packets[kind]++;
        totals.octets[kind] += frame->length;
    }
    return totals;
}

static void assert_totals(const NETCLIENT_STATISTICS *statistics, unsigned first, const struct totals *totals,
                          unsigned times)
{
    for (unsigned kind = 0; kind < 3; kind++) {
        ck_assert_uint_eq(statistics->Vif[first + 2 * kind], times * totals->packets[kind]);
        ck_assert_uint_eq(statistics->Vif[first + 2 * kind + 1], times * totals->octets[kind]);
    }
}

STACK_TEST(statistics, ONE)
{
    struct totals totals = totals_of(lan);
    NETCLIENT_STATISTICS statistics;

    link_up(0);
    for (unsigned times = 1; times <= 2; times++) {
        stack_carry(0, lan, lan);
        statistics = stack_statistics(0);
        assert_totals(&statistics, XENVIF_TRANSMITTER_UNICAST_PACKETS, &totals, times);
        assert_totals(&statistics, XENVIF_RECEIVER_UNICAST_PACKETS, &totals, times);
        for (unsigned i = 0; i < 3; i++) {
            ck_assert_uint_eq(statistics.Vif[XENVIF_TRANSMITTER_PACKETS_DROPPED + i], 0);
            ck_assert_uint_eq(statistics.Vif[XENVIF_RECEIVER_PACKETS_DROPPED + i], 0);
        }
        ck_assert_uint_eq(statistics.Written, times * lan->count);
        ck_assert_uint_eq(statistics.WrittenOk, times * lan->count);
        ck_assert_uint_eq(statistics.Received, times * lan->count);
        ck_assert_uint_eq(stack_netback_statistics(0)->tx.frames, times * lan->count);
        ck_assert_uint_eq(stack_netback_statistics(0)->tx.bytes, times * lan->bytes);
        ck_assert_uint_eq(stack_netback_statistics(0)->rx.frames, times * lan->count);
        ck_assert_uint_eq(stack_netback_statistics(0)->rx.bytes, times * lan->bytes);
    }
}

/* ---- coming and going ---- */

/* The bus hears of it by a watch, after the toolstack is done. */
static void await_gone(unsigned vif)
{
    char path[64];

    snprintf(path, sizeof(path), "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\%u", vif);
    ck_assert_msg(stack_wait(stack_device_gone, path, 5000), "%s does not go", path);
}

static void comes_and_goes(void *unused)
{
    (void)unused;
    for (unsigned vif = 0; vif < 2; vif++) {
        link_up(vif);
        stack_carry(vif, lan, lan);
    }
    for (unsigned round = 0; round < 2; round++) {
        stack_detach(1);
        await_gone(1);
        stack_carry(0, lan, lan);
        stack_attach(1);
        stack_wait_connected(1);
        pnp_wait_quiet();
        link_up(1);
        stack_carry(1, lan, lan);
        stack_carry(0, lan, NULL);
    }
    /* One more, and the last one: the parent child of XENBUS has to go with it and to come back. */
    stack_detach(0);
    stack_detach(1);
    await_gone(0);
    await_gone(1);
    stack_attach(2);
    stack_wait_connected(2);
    pnp_wait_quiet();
    link_up(2);
    stack_carry(2, lan, lan);
}

/* The frontend closes with D3 and connects anew with D0; the bus, whose interfaces XENVIF keeps meanwhile, stays. */
STACK_TEST(sleep_and_wake, ONE)
{
    link_up(0);
    stack_carry(0, lan, lan);
    for (unsigned round = 1; round <= 2; round++) {
        ck_assert_int_eq(po_set_system_state(PowerSystemSleeping3), STATUS_SUCCESS);
        stack_store_await(stack_path("device/vif/0/state"), "6", 5000);
        ck_assert_uint_eq(stack_netback_statistics(0)->connections, round);
        ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
        stack_wait_connected(0);
        link_up(0);
        stack_carry(0, lan, lan);
        ck_assert_uint_eq(stack_netback_statistics(0)->connections, round + 1);
    }
}

/* ---- offloads ---- */

static struct capture *offloads;

/* Checksums and segments are left to the VIF, which leaves them to netback. */
static void leaves_offloads(void *unused)
{
    const struct netback_statistics *statistics;

    (void)unused;
    link_up(0);
    stack_carry(0, offloads, NULL);
    statistics = stack_netback_statistics(0);
    ck_assert_uint_gt(statistics->tx.large, 0);
    ck_assert_uint_gt(statistics->tx.blank, statistics->tx.large);
    ck_assert_uint_eq(statistics->tx.errors + statistics->tx.drops, 0);
    ck_assert_uint_eq(stack_statistics(0).Vif[XENVIF_TRANSMITTER_GSO_PACKETS], statistics->tx.large);
}

/* ---- a stack's shapes: chains, odd offsets, bytes one by one; pauses; packets that return late and last first ---- */

static void set_shape(NETCLIENT_SHAPE shape)
{
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_SET_SHAPE, &shape, sizeof(shape), NULL, 0), STATUS_SUCCESS);
}

static void set_mode(NETCLIENT_MODE mode)
{
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_SET_MODE, &mode, sizeof(mode), NULL, 0), STATUS_SUCCESS);
}

static void as_a_stack_does(void *unused)
{
    static const NETCLIENT_SHAPE shapes[] = {
        {.FragmentSize = 1, .PageOffset = 4090, .Gap = 1},
        {.FragmentSize = 333, .PageOffset = 4093, .LeadingBytes = 1, .Gap = 4095},
        {.FragmentSize = 1460, .PageOffset = 77, .LeadingBytes = 5, .Gap = 3},
        {.FragmentSize = 65536, .PageOffset = 4081, .LeadingBytes = 14},
    };
    static const NETCLIENT_MODE modes[] = {
        {.ReverseEvery = 7}, {.HoldMilliseconds = 1}, {.PauseEvery = 5}, {7, 1, 5, 0}};
    struct capture few = *lan;

    (void)unused;
    few.count = 60;
    link_up(0);
    for (unsigned i = 0; i < ARRAYSIZE(shapes); i++) {
        set_shape(shapes[i]);
        set_mode(modes[i]);
        stack_carry(0, &few, lan);
        if (shapes[i].FragmentSize != 1) { /* those of 64 KiB would take as many MDLs */
            stack_carry(0, offloads, NULL);
            ck_assert_uint_gt(stack_netback_statistics(0)->tx.large, 0);
        }
    }
}

/* ---- the older versions of the interface: the same, by the INF of a client that was built for one ---- */

static const struct {
    unsigned client;
    const char *id;
} versions[] = {{STACK_NETCLIENT_8, "XENVIF\\VEN_XP0001&DEV_NET&REV_09000001"},
                {STACK_NETCLIENT_9, "XENVIF\\VEN_XP0001&DEV_NET&REV_09000002"},
                {STACK_NETCLIENT, "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005"}};

#define ALL_FEATURES "all,queues=1"

static const struct {
    void (*scenario)(void *);
    unsigned vifs;
    const char *features;
} version_scenarios[] = {
    {queries_scenario, 2, NULL},        {link_follows_the_store_scenario, 1, NULL}, {statistics_scenario, 1, NULL},
    {sleep_and_wake_scenario, 1, NULL}, {leaves_offloads, 1, ALL_FEATURES},         {as_a_stack_does, 1, ALL_FEATURES},
    {comes_and_goes, 2, NULL},
};

START_TEST(every_version)
{
    struct stack_options options = {.drivers = STACK_XENVIF | versions[_i].client, .wait = true};

    offloads = stack_capture(STACK_OFFLOADS);
    for (unsigned i = 0; i < ARRAYSIZE(version_scenarios); i++) {
        options.features = version_scenarios[i].features;
        options.vifs = version_scenarios[i].vifs;
        stack_run(&options, version_scenarios[i].scenario, NULL);
    }
}
END_TEST

/* ---- what each version hands over with a packet ---- */

#define GIVEN 5u
#define TOEPLITZ_ALL 0x1Eu
#define SUCCEEDED_IP 0x01u
#define SUCCEEDED_TCP 0x08u
#define SUCCEEDED_UDP 0x40u

static const struct given {
    struct inet_packet packet;
    uint16_t mss;
    ULONG flags, type; /* that succeeded; of the hash */
} given[GIVEN] = {
    {{.version = 4, .protocol = INET_TCP, .payload = 100, .tagged = true}, 0, SUCCEEDED_IP | SUCCEEDED_TCP, 2},
    {{.version = 6, .protocol = INET_TCP, .payload = 1000}, 0, SUCCEEDED_TCP, 4},
    {{.version = 4, .protocol = INET_UDP, .payload = 10}, 0, SUCCEEDED_IP | SUCCEEDED_UDP, 1},
    {{.version = 6, .protocol = INET_UDP, .payload = 33, .tagged = true}, 0, SUCCEEDED_UDP, 3},
    {{.version = 4, .protocol = INET_TCP, .payload = 9000}, 1448, SUCCEEDED_IP | SUCCEEDED_TCP, 2},
};

static uint8_t given_bytes[GIVEN][INET_FRAME_MAX];
static struct port_frame given_frame[GIVEN];
static struct capture given_capture = {.count = GIVEN, .frame = given_frame};
static NETCLIENT_FRAMES taken, newest; /* by the version under test, and by the newest */

static void make_given(void)
{
    for (unsigned i = 0; i < GIVEN; i++) {
        struct inet_packet packet = given[i].packet;
        struct port_frame *frame = &given_frame[i];

        packet.flags = INET_ACK;
        *frame = (struct port_frame){.data = given_bytes[i], .length = (uint32_t)inet_make(given_bytes[i], &packet)};
        if (given[i].mss == 0)
            continue;
        inet_make_blank(given_bytes[i], frame->length);
        frame->checksum = PORT_CHECKSUM_BLANK;
        frame->gso = PORT_GSO_TCPV4;
        frame->gso_size = given[i].mss;
    }
}

static bool all_are_taken(void *unused)
{
    (void)unused;
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_QUERY_FRAMES, NULL, 0, &taken, sizeof(taken)), STATUS_SUCCESS);
    return taken.Total == GIVEN;
}

static void tell(ULONG code, void *input, size_t length)
{
    ck_assert_int_eq(stack_netclient(0, code, input, (ULONG)length, NULL, 0), STATUS_SUCCESS);
}

/* What is in the packets is for test_vif_receive. */
static void read_given(void)
{
    uint8_t *bytes = ExAllocatePool2(POOL_FLAG_NON_PAGED, INET_FRAME_MAX, STACK_TAG);
    PFILE_OBJECT file;
    PDEVICE_OBJECT device;
    ULONG length;

    ck_assert_ptr_nonnull(bytes);
    stack_open("NetClient0", &file, &device);
    for (unsigned i = 0; i < GIVEN; i++)
        ck_assert_int_eq(stack_transfer(IRP_MJ_READ, file, device, bytes, INET_FRAME_MAX, &length), STATUS_SUCCESS);
    ObDereferenceObject(file);
    ExFreePool(bytes);
}

static void hands_over(void *unused)
{
    NETCLIENT_OFFLOAD offload = {.ReceiverOptions = 0xFF};
    NETCLIENT_HASH hash = {.Types = TOEPLITZ_ALL, .Key = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2}};
    NETCLIENT_MODE reverse = {.ReverseEvery = 3};
    NETCLIENT_SHAPE shape = {.FragmentSize = 700, .PageOffset = 4000, .LeadingBytes = 20, .Gap = 64};
    ULONG toeplitz = XENVIF_PACKET_HASH_ALGORITHM_TOEPLITZ;

    (void)unused;
    link_up(0);
    tell(IOCTL_NETCLIENT_SET_OFFLOAD, &offload, sizeof(offload));
    tell(IOCTL_NETCLIENT_SET_HASH_ALGORITHM, &toeplitz, sizeof(toeplitz));
    tell(IOCTL_NETCLIENT_SET_HASH_PARAMETERS, &hash, sizeof(hash));
    stack_end_send(0, &given_capture);
    ck_assert(stack_wait(all_are_taken, NULL, 5000));

    memset(&offload, 0, sizeof(offload));
    tell(IOCTL_NETCLIENT_SET_OFFLOAD, &offload, sizeof(offload));
    tell(IOCTL_NETCLIENT_SET_SHAPE, &shape, sizeof(shape));
    tell(IOCTL_NETCLIENT_SET_MODE, &reverse, sizeof(reverse));
    read_given();
    stack_carry(0, lan, lan);
}

/* Flows may overtake one another: each packet is known by its length. */
static const NETCLIENT_FRAME_INFO *info_of(const NETCLIENT_FRAMES *frames, unsigned i)
{
    for (unsigned k = 0; k < GIVEN; k++)
        if (frames->Frame[k].Length == given_frame[i].length - (given[i].packet.tagged ? 4 : 0))
            return &frames->Frame[k];
    ck_abort_msg("packet %u has not come", i);
    return NULL;
}

START_TEST(every_version_hands_over_the_same)
{
    struct stack_options options = {.wait = true, .vifs = 1, .vcpus = 2, .features = "all,queues=2"};
    unsigned queues = 0;

    make_given();
    options.drivers = STACK_XENVIF | STACK_NETCLIENT;
    stack_run(&options, hands_over, NULL);
    newest = taken;
    for (unsigned i = 0; i < GIVEN; i++) {
        const NETCLIENT_FRAME_INFO *info = info_of(&newest, i);

        ck_assert_uint_eq(info->Flags, given[i].flags);
        ck_assert_uint_eq(info->MaximumSegmentSize, given[i].mss);
        ck_assert_uint_eq(info->TagControlInformation, given[i].packet.tagged ? 5u << 13 | 42u : 0);
        ck_assert_uint_eq(info->HashAlgorithm, XENVIF_PACKET_HASH_ALGORITHM_TOEPLITZ);
        ck_assert_uint_eq(info->HashType, given[i].type);
        ck_assert_uint_ne(info->HashValue, 0);
        queues |= 1u << info->Index;
    }
    ck_assert_uint_eq(queues, 3); /* both */

    options.drivers = STACK_XENVIF | versions[_i].client;
    stack_run(&options, hands_over, NULL);
    for (unsigned i = 0; i < GIVEN; i++)
        ck_assert_mem_eq(info_of(&taken, i), info_of(&newest, i), sizeof(NETCLIENT_FRAME_INFO));
}
END_TEST

/* What the installer found it by says which version it is of. */
static void bound_by(void *id)
{
    char *driver = cm_value_get_string(cm_key_open(CM_ENUM "\\XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\0"), "Driver");
    char *path = image_printf("%s\\%s", CM_CLASS, driver);
    char *match = cm_value_get_string(cm_key_open(path), "MatchingDeviceId");

    ck_assert_str_eq(match, id);
    image_free(match);
    image_free(path);
    image_free(driver);
    link_up(0);
    stack_carry(0, lan, lan);
}

START_TEST(version_is_bound_by_its_revision)
{
    struct stack_options options = {.drivers = STACK_XENVIF | versions[_i].client, .wait = true, .vifs = 1};

    options.policy = POLICY_PCT;
    stack_run(&options, bound_by, (void *)versions[_i].id);
}
END_TEST

START_TEST(detach_and_attach)
{
    static const unsigned vcpus[] = {1, 2, 4};
    struct stack_options options = {NET, .vifs = 2, .vcpus = vcpus[_i]};

    stack_run(&options, comes_and_goes, NULL);
    options.policy = POLICY_PCT;
    stack_run(&options, comes_and_goes, NULL);
}
END_TEST

/* ---- FB1: a backend that does not answer; minutes pass, which only a virtual clock does at once ---- */

#define MUTE "/local/domain/0/backend/mute/1"

static void put(struct xs_handle *xs, const char *directory, const char *node, const char *value)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, node);
    ck_assert(xs_write(xs, XBT_NULL, path, value, (unsigned)strlen(value)));
}

/* VIF 1, whose backend is nobody's and stays at InitWait. */
static void make_mute(void *unused)
{
    struct xs_handle *xs = xs_open(0);
    struct xs_permissions front[] = {{stack.domain.domid, XS_PERM_NONE}, {0, XS_PERM_READ}};
    struct xs_permissions back[] = {{0, XS_PERM_NONE}, {stack.domain.domid, XS_PERM_READ}};
    const char *frontend = stack_path("device/vif/1");

    (void)unused;
    ck_assert(xs_mkdir(xs, XBT_NULL, MUTE));
    ck_assert(xs_set_permissions(xs, XBT_NULL, MUTE, back, 2));
    put(xs, MUTE, "frontend", frontend);
    put(xs, MUTE, "online", "1");
    put(xs, MUTE, "feature-rx-copy", "1");
    put(xs, MUTE, "state", "2");
    ck_assert(xs_mkdir(xs, XBT_NULL, frontend));
    ck_assert(xs_set_permissions(xs, XBT_NULL, frontend, front, 2));
    put(xs, frontend, "backend-id", "0");
    put(xs, frontend, "handle", "1");
    put(xs, frontend, "mac", "00:16:3e:5a:00:01");
    put(xs, frontend, "mtu", "1500");
    put(xs, frontend, "state", "1");
    put(xs, frontend, "backend", MUTE);
    xs_close(xs);
}

static void remove_mute(void *unused)
{
    struct xs_handle *xs = xs_open(0);

    (void)unused;
    (void)xs_rm(xs, XBT_NULL, stack_path("device/vif/1"));
    (void)xs_rm(xs, XBT_NULL, MUTE);
    xs_close(xs);
}

/* It costs its own VIF and nobody else; it comes up when the backend wakes, and goes while the backend is mute. */
static void mute_backend(void *unused)
{
    uint64_t start;

    (void)unused;
    link_up(0);
    stack_in_dom0(make_mute, NULL);
    stack_store_await(stack_path("device/vif/1/state"), "4", 20000);
    for (unsigned minute = 0; minute < 3; minute++) {
        stack_sleep_us(60000000);
        start = clock_now();
        stack_carry(0, lan, lan);
        ck_assert_uint_lt(clock_now() - start, UINT64_C(5000000000));
        ck_assert_uint_eq(stack_link(1).Connected, 0);
    }
    stack_store_write(MUTE "/state", "4");
    link_up(1);

    /* Mute again, and gone for good: no answer to the close is waited for without end. */
    stack_store_write(MUTE "/state", "2");
    stack_in_dom0(remove_mute, NULL);
    await_gone(1);
    stack_carry(0, lan, lan);
}

START_TEST(fb1_mute_backend)
{
    static const unsigned vcpus[] = {1, 2};
    struct stack_options options = {ONE, .vcpus = vcpus[_i], .quiet = true, .engine = ENGINE_DETERMINISTIC};

    stack_run(&options, mute_backend, NULL);
}
END_TEST

/* From the boot on: it ends in time, and the other VIF works. */
static void mute_at_boot(void *unused)
{
    (void)unused;
    ck_assert_uint_lt(clock_now(), UINT64_C(120000000000));
    link_up(0);
    stack_carry(0, lan, lan);
    ck_assert_uint_eq(stack_link(1).Connected, 0);
    stack_in_dom0(remove_mute, NULL);
    await_gone(1);
    stack_carry(0, lan, lan);
}

START_TEST(fb1_mute_from_the_start)
{
    static const struct stack_options options = {ONE, .quiet = true, .before_boot = make_mute,
                                                 .engine = ENGINE_DETERMINISTIC};

    stack_run(&options, mute_at_boot, NULL);
}
END_TEST

/* ---- parameters ---- */

static const ULONG copies[] = {0, 1};
static ULONG always_copy;

static void set_always_copy(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenvif\\Parameters"), "TransmitterAlwaysCopy", always_copy);
}

static void both_ways(void *unused)
{
    (void)unused;
    link_up(0);
    stack_carry(0, lan, lan);
}

START_TEST(transmitter_always_copy)
{
    struct stack_options options = {ONE, .prepare = set_always_copy};

    always_copy = copies[_i];
    stack_run(&options, both_ways, NULL);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= 3; options.seed++)
        stack_run(&options, both_ways, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("VIF");
    TCase *tcase = tcase_create("queries");

    lan = stack_capture(STACK_LAN);
    tcase_add_test(tcase, queries);
    tcase_add_test(tcase, link_follows_the_store);
    tcase_add_test(tcase, statistics);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("life");
    tcase_add_test(tcase, sleep_and_wake);
    tcase_add_loop_test(tcase, detach_and_attach, 0, 3);
    tcase_add_loop_test(tcase, every_version, 0, ARRAYSIZE(versions));
    tcase_add_loop_test(tcase, every_version_hands_over_the_same, 0, 2);
    tcase_add_loop_test(tcase, version_is_bound_by_its_revision, 0, ARRAYSIZE(versions));
    tcase_add_loop_test(tcase, fb1_mute_backend, 0, 2);
    tcase_add_test(tcase, fb1_mute_from_the_start);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("parameters");
    tcase_add_loop_test(tcase, transmitter_always_copy, 0, 2);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
