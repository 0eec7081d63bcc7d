/* XENVIF_VIF's methods: what they answer, what they refuse, and that they are there while the device is not. */
#include <stdio.h>
#include <string.h>

#include "common/inet.h"
#include "common/vif_backend.h"
#include "common/vif_client.h"
#include "machine/log.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"
#include "xen/xen.h"

#define PLAYED .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .before_boot = vif_backend_make, .quiet = true
#define BUS "XENBUS\\VEN_XP0001&DEV_VIF"
#define CHILD "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\1"
#define CALL(method, ...) XENVIF_VIF_CALL(&vif_client, method, ##__VA_ARGS__)

static const ETHERNET_ADDRESS zero;
static uint8_t frame[INET_FRAME_MAX];

static VOID NTAPI no_callback(PVOID argument, XENVIF_VIF_CALLBACK_TYPE type, PXENVIF_VIF_CALLBACK_PARAMETERS parameters)
{
    (void)argument;
    (void)type;
    (void)parameters;
    ck_abort_msg("a callback of a VIF that was not enabled");
}

static void await_child(void)
{
    for (unsigned tries = 0; !stack_device_started(CHILD); tries++) {
        ck_assert_uint_lt(tries, 1000);
        stack_sleep_us(1000);
    }
    pnp_wait_quiet();
}

/* ---- life ---- */

/* Nothing of it is there, and everything says so. */
static void assert_not_ready(void)
{
    NET_IF_MEDIA_CONNECT_STATE state = MediaConnectStateConnected;
    NET_IF_MEDIA_DUPLEX_STATE duplex = MediaDuplexStateFull;
    XENVIF_MAC_FILTER_LEVEL level;
    ETHERNET_ADDRESS address;
    PROCESSOR_NUMBER processor = {0};
    ULONG64 speed = 7;
    ULONGLONG value = 7;
    ULONG count = 7, size = 7;

    ck_assert_int_eq(CALL(Acquire), STATUS_DEVICE_NOT_READY);
    ck_assert_int_eq(CALL(Enable, no_callback, NULL), STATUS_DEVICE_NOT_READY);
    CALL(Disable);
    ck_assert_int_eq(CALL(QueryStatistic, XENVIF_RECEIVER_UNICAST_PACKETS, &value), STATUS_DEVICE_NOT_READY);
    ck_assert_uint_eq(value, 0);
    CALL(QueryRingCount, &count);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(CALL(UpdateHashMapping, &processor, 1), STATUS_DEVICE_NOT_READY);
    CALL(ReceiverSetOffloadOptions, (XENVIF_VIF_OFFLOAD_OPTIONS){.Value = 0});
    CALL(ReceiverSetBackfillSize, 0);
    ck_assert_int_eq(CALL(ReceiverSetHashAlgorithm, XENVIF_PACKET_HASH_ALGORITHM_TOEPLITZ), STATUS_DEVICE_NOT_READY);
    ck_assert_int_eq(CALL(ReceiverQueryHashCapabilities, &size), STATUS_DEVICE_NOT_READY);
    ck_assert_int_eq(CALL(ReceiverUpdateHashParameters, (ULONG)2, frame), STATUS_DEVICE_NOT_READY);
    CALL(MacQueryState, &state, &speed, &duplex);
    ck_assert_int_eq(state, MediaConnectStateDisconnected);
    ck_assert_int_eq(duplex, MediaDuplexStateUnknown);
    ck_assert_uint_eq(speed, 0);
    CALL(MacQueryState, NULL, NULL, NULL);
    CALL(MacQueryMaximumFrameSize, &size);
    ck_assert_uint_eq(size, 0);
    memset(&address, 1, sizeof(address));
    CALL(MacQueryPermanentAddress, &address);
    ck_assert_mem_eq(&address, &zero, sizeof(zero));
    memset(&address, 1, sizeof(address));
    CALL(MacQueryCurrentAddress, &address);
    ck_assert_mem_eq(&address, &zero, sizeof(zero));
    ck_assert_int_eq(CALL(MacQueryMulticastAddresses, NULL, &count), STATUS_DEVICE_NOT_READY);
    ck_assert_int_eq(CALL(MacSetMulticastAddresses, NULL, 0), STATUS_DEVICE_NOT_READY);
    ck_assert_int_eq(CALL(MacSetFilterLevel, ETHERNET_ADDRESS_UNICAST, XENVIF_MAC_FILTER_ALL), STATUS_DEVICE_NOT_READY);
    ck_assert_int_eq(CALL(MacQueryFilterLevel, ETHERNET_ADDRESS_UNICAST, &level), STATUS_DEVICE_NOT_READY);
}

STACK_TEST(while_the_device_is_not_started, PLAYED)
{
    await_child();
    for (unsigned round = 0; round < 2; round++) {
        vif_client_begin();
        vif_backend_disconnect();
        vif_client_disable();
        vif_client_release();
        ck_assert_int_eq(pnp_remove_device(stack_device(CHILD), false), STATUS_SUCCESS);
        assert_not_ready();
        ck_assert_int_eq(pnp_rescan(stack_device(BUS)), STATUS_SUCCESS);
        await_child();
    }
    vif_backend_end();
}

STACK_TEST(enabled_once, PLAYED)
{
    struct vif_client_packet packet = {.data = frame};

    packet.length = inet_make(frame, &(struct inet_packet){.version = 4, .protocol = INET_UDP, .payload = 10});
    vif_client_acquire();
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(vif_client_send(&packet), STATUS_DEVICE_NOT_READY);
    CALL(Disable);
    vif_client_enable();
    ck_assert_int_eq(CALL(Enable, no_callback, NULL), STATUS_INVALID_DEVICE_STATE);
    vif_backend_connect();
    vif_client_await_link(true);
    CALL(Release); /* one is left */
    vif_client_await_link(true);
    vif_backend_disconnect();
    vif_client_disable();
    vif_client_disable();
    ck_assert_int_eq(vif_client_send(&packet), STATUS_DEVICE_NOT_READY);
    vif_client_enable();
    vif_backend_connect();
    vif_client_await_link(true);
    vif_backend_close();
    vif_client_release(); /* who goes has it disabled */
    ck_assert_int_eq(vif_client_send(&packet), STATUS_DEVICE_NOT_READY);
    vif_backend_end();
}

/* ---- answers and refusals ---- */

STACK_TEST(counters_have_numbers, PLAYED)
{
    ULONGLONG value;

    vif_client_begin();
    for (unsigned i = 0; i < XENVIF_VIF_STATISTIC_COUNT; i++)
        ck_assert_int_eq(CALL(QueryStatistic, (XENVIF_VIF_STATISTIC)i, &value), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(QueryStatistic, XENVIF_VIF_STATISTIC_COUNT, &value), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(QueryStatistic, (XENVIF_VIF_STATISTIC)-1, &value), STATUS_INVALID_PARAMETER);
    vif_client_finish();
}

STACK_TEST(filter_levels, PLAYED)
{
    XENVIF_MAC_FILTER_LEVEL level;

    vif_client_acquire();
    for (unsigned type = ETHERNET_ADDRESS_UNICAST; type <= ETHERNET_ADDRESS_BROADCAST; type++) {
        ck_assert_int_eq(CALL(MacQueryFilterLevel, (ETHERNET_ADDRESS_TYPE)type, &level), STATUS_SUCCESS);
        ck_assert_int_eq(level, XENVIF_MAC_FILTER_NONE);
        for (unsigned i = 0; i < 3; i++) {
            ck_assert_int_eq(CALL(MacSetFilterLevel, (ETHERNET_ADDRESS_TYPE)type, (XENVIF_MAC_FILTER_LEVEL)i),
                             STATUS_SUCCESS);
            ck_assert_int_eq(CALL(MacQueryFilterLevel, (ETHERNET_ADDRESS_TYPE)type, &level), STATUS_SUCCESS);
            ck_assert_uint_eq(level, i);
        }
        ck_assert_int_eq(CALL(MacSetFilterLevel, (ETHERNET_ADDRESS_TYPE)type, (XENVIF_MAC_FILTER_LEVEL)3),
                         STATUS_INVALID_PARAMETER);
        ck_assert_int_eq(CALL(MacSetFilterLevel, (ETHERNET_ADDRESS_TYPE)type, (XENVIF_MAC_FILTER_LEVEL)-1),
                         STATUS_INVALID_PARAMETER);
        ck_assert_int_eq(CALL(MacQueryFilterLevel, (ETHERNET_ADDRESS_TYPE)type, &level), STATUS_SUCCESS);
        ck_assert_int_eq(level, XENVIF_MAC_FILTER_ALL);
    }
    for (int type = -1; type < 6; type += 5) {
        ck_assert_int_eq(CALL(MacSetFilterLevel, (ETHERNET_ADDRESS_TYPE)type, XENVIF_MAC_FILTER_ALL),
                         STATUS_INVALID_PARAMETER);
        ck_assert_int_eq(CALL(MacQueryFilterLevel, (ETHERNET_ADDRESS_TYPE)type, &level), STATUS_INVALID_PARAMETER);
    }
    vif_client_release();
    vif_backend_end();
}

STACK_TEST(multicast_list, PLAYED)
{
    ETHERNET_ADDRESS list[4], got[4];
    ULONG count = 4;

    memset(list, 0, sizeof(list));
    for (unsigned i = 0; i < 4; i++) {
        list[i].Byte[0] = 1;
        list[i].Byte[5] = (UCHAR)i;
    }
    vif_client_acquire();
    ck_assert_int_eq(CALL(MacQueryMulticastAddresses, got, &count), STATUS_SUCCESS);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(CALL(MacSetMulticastAddresses, list, 3), STATUS_SUCCESS);
    count = 0;
    ck_assert_int_eq(CALL(MacQueryMulticastAddresses, NULL, &count), STATUS_BUFFER_OVERFLOW);
    ck_assert_uint_eq(count, 3);
    count = 2;
    ck_assert_int_eq(CALL(MacQueryMulticastAddresses, got, &count), STATUS_BUFFER_OVERFLOW);
    ck_assert_uint_eq(count, 3);
    count = 4;
    memset(got, 0xEE, sizeof(got));
    ck_assert_int_eq(CALL(MacQueryMulticastAddresses, got, &count), STATUS_SUCCESS);
    ck_assert_uint_eq(count, 3);
    ck_assert_mem_eq(got, list, 3 * sizeof(list[0]));
    ck_assert_uint_eq(got[3].Byte[0], 0xEE);

    /* What is refused leaves the list as it was. */
    ck_assert_int_eq(CALL(MacSetMulticastAddresses, NULL, 1), STATUS_INVALID_PARAMETER);
    list[1].Byte[0] = 2;
    ck_assert_int_eq(CALL(MacSetMulticastAddresses, list, 4), STATUS_INVALID_PARAMETER);
    memset(&list[1], 255, sizeof(list[1]));
    ck_assert_int_eq(CALL(MacSetMulticastAddresses, list, 4), STATUS_INVALID_PARAMETER);
    count = 4;
    ck_assert_int_eq(CALL(MacQueryMulticastAddresses, got, &count), STATUS_SUCCESS);
    ck_assert_uint_eq(count, 3);
    ck_assert_int_eq(CALL(MacSetMulticastAddresses, NULL, 0), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(MacQueryMulticastAddresses, NULL, &count), STATUS_SUCCESS);
    ck_assert_uint_eq(count, 0);
    vif_client_release();
    vif_backend_end();
}

/* What the store says of speed and size is taken if it makes sense. */
STACK_TEST(link_of_the_store, PLAYED)
{
    static const struct {
        const char *speed;
        uint64_t bits;
    } speeds[] = {{"2", 2000000000},    {"0", 1000000000},
                  {"100M", 100000000},  {"x", 1000000000},
                  {"64K", 64000},       {"5Q", 1000000000},
                  {"3G", 3000000000},   {"1KK", 1000000000},
                  {"40G", 40000000000}, {"99999999999999999G", 1000000000},
                  {"10M", 10000000},    {"", 1000000000},
                  {"7", 7000000000},    {"-1", 1000000000}};
    static const struct {
        const char *mtu;
        unsigned frame;
    } mtus[] = {{"9000", 9014},   {"67", 1514},   {"68", 82},     {"65522", 1514},
                {"65521", 65535}, {"none", 1514}, {"2000", 2014}, {"", 1514}};
    ULONG64 bits;
    ULONG size;

    vif_backend_features("feature-sg=1");
    vif_client_begin();
    for (unsigned i = 0; i < ARRAYSIZE(speeds); i++) {
        stack_store_write(stack_path("device/vif/1/speed"), speeds[i].speed);
        for (unsigned tries = 0;; tries++) {
            CALL(MacQueryState, NULL, &bits, NULL);
            if (bits == speeds[i].bits)
                break;
            ck_assert_msg(tries < 1000, "speed '%s' is %llu", speeds[i].speed, (unsigned long long)bits);
            stack_sleep_us(200);
        }
    }
    for (unsigned i = 0; i < ARRAYSIZE(mtus); i++) {
        stack_store_write(stack_path("device/vif/1/mtu"), mtus[i].mtu);
        for (unsigned tries = 0;; tries++) {
            CALL(MacQueryMaximumFrameSize, &size);
            if (size == mtus[i].frame)
                break;
            ck_assert_msg(tries < 1000, "mtu '%s' makes frames of %u", mtus[i].mtu, size);
            stack_sleep_us(200);
        }
    }
    vif_client_finish();
}

static ULONG registry_speed;

static void set_speed(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenvif\\Parameters"), "MacSpeed", registry_speed);
}

static void await_speed(uint64_t bits)
{
    ULONG64 speed;

    for (unsigned tries = 0; CALL(MacQueryState, NULL, &speed, NULL), speed != bits; tries++) {
        ck_assert_msg(tries < 1000, "the link has %llu bit/s", (unsigned long long)speed);
        stack_sleep_us(200);
    }
}

/* What the store says goes before the registry; where it says nothing, or none, it is the registry's. */
static void registry_and_store(void *bits)
{
    const uint64_t registry = *(const uint64_t *)bits;

    vif_client_begin();
    await_speed(registry);
    stack_store_write(stack_path("device/vif/1/speed"), "100M");
    await_speed(100000000);
    stack_store_write(stack_path("device/vif/1/speed"), "none");
    await_speed(registry);
    stack_store_write(stack_path("device/vif/1/speed"), "2");
    await_speed(2000000000);
    stack_store_remove(stack_path("device/vif/1/speed"));
    await_speed(registry);
    vif_client_finish();
}

static const struct {
    ULONG value;
    uint64_t bits;
} registry_speeds[] = {{25, 25000000000}, {1, 1000000000}, {0, 1000000000}, {0xFFFFFFFF, 4294967295000000000}};

START_TEST(speed_of_the_registry)
{
    const struct stack_options options = {PLAYED, .prepare = set_speed};
    uint64_t bits = registry_speeds[_i].bits;

    registry_speed = registry_speeds[_i].value;
    stack_run(&options, registry_and_store, &bits);
}
END_TEST

/* Of the backend that the test plays. */
#define PLAYED_CARRIER "/local/domain/0/backend/played/1/carrier"

static void write_or_remove(const char *path, const char *value)
{
    if (value != NULL)
        stack_store_write(path, value);
    else
        stack_store_remove(path);
}

/* The link is what both sides make of it, at any time, and the connection stays. */
STACK_TEST(link_of_both_sides, PLAYED)
{
    static const struct {
        const char *disconnect, *carrier; /* NULL: the node is not there */
        bool up;
    } links[] = {{"0", NULL, true}, {"1", NULL, false}, {"1", "1", false}, {"0", "1", true},   {"0", "0", false},
                 {"1", "0", false}, {"0", "0", false},  {"0", NULL, true}, {NULL, "0", false}, {NULL, "1", true},
                 {"2", "1", false}, {NULL, "1", true},  {"", "", true},    {"x", "y", true}};

    vif_client_begin();
    for (unsigned i = 0; i < ARRAYSIZE(links); i++) {
        NET_IF_MEDIA_CONNECT_STATE state;

        write_or_remove(stack_path("device/vif/1/disconnect"), links[i].disconnect);
        write_or_remove(PLAYED_CARRIER, links[i].carrier);
        vif_client_await_link(links[i].up);
        stack_sleep_us(5000); /* and it stays so */
        CALL(MacQueryState, &state, NULL, NULL);
        ck_assert_msg((state == MediaConnectStateConnected) == links[i].up, "row %u: the link is %s", i,
                      links[i].up ? "down" : "up");
        ck_assert_uint_eq(vif_backend_front_number("state"), 4);
    }
    vif_client_finish();
}

/* The list is as long as the client likes; a filter of the backend's has its own bound (test_vif_multicast). */
STACK_TEST(multicast_list_of_any_length, PLAYED)
{
    enum { MANY = 2000 };
    ETHERNET_ADDRESS *list = ExAllocatePool2(POOL_FLAG_NON_PAGED, 2 * MANY * sizeof(*list), STACK_TAG);
    ETHERNET_ADDRESS *got = list + MANY;
    ULONG count;

    for (unsigned i = 0; i < MANY; i++)
        list[i] = (ETHERNET_ADDRESS){{0x01, 0x00, 0x5E, 0x00, (UCHAR)(i >> 8), (UCHAR)i}};
    vif_client_begin();
    for (unsigned length = 1024; length <= MANY; length += length == 1024 ? 1 : MANY - 1025) {
        ck_assert_int_eq(CALL(MacSetMulticastAddresses, list, length), STATUS_SUCCESS);
        count = length - 1;
        ck_assert_int_eq(CALL(MacQueryMulticastAddresses, got, &count), STATUS_BUFFER_OVERFLOW);
        ck_assert_uint_eq(count, length);
        ck_assert_int_eq(CALL(MacQueryMulticastAddresses, got, &count), STATUS_SUCCESS);
        ck_assert_uint_eq(count, length);
        ck_assert_mem_eq(got, list, length * sizeof(*list));
    }
    vif_client_finish();
    ExFreePoolWithTag(list, STACK_TAG);
}

STACK_TEST(sizes, PLAYED)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = 300};
    struct vif_backend_frame given = {.data = frame, .length = inet_make(frame, &kind)};
    ULONG size;

    vif_client_begin();
    CALL(TransmitterQueryLargePacketSize, 4, &size);
    ck_assert_uint_ge(size, 65275);
    CALL(TransmitterQueryLargePacketSize, 6, &size);
    ck_assert_uint_ge(size, 65275);
    CALL(TransmitterQueryLargePacketSize, 5, &size);
    ck_assert_uint_eq(size, 0);
    CALL(TransmitterQueryRingSize, &size);
    ck_assert_uint_eq(size, 256);
    CALL(ReceiverQueryRingSize, &size);
    ck_assert_uint_eq(size, 256);

    /* As much room ahead as there can be, and not more. */
    CALL(ReceiverSetBackfillSize, 0xFFFFFFFF);
    vif_client_forget();
    vif_backend_give(&given);
    vif_client_await_received(1);
    ck_assert_mem_eq(vif_client_received(0)->data, frame, given.length);
    ck_assert_uint_ge(vif_client_received(0)->offset, 2048);
    CALL(ReceiverSetBackfillSize, 0);
    vif_client_finish();
}

/* A chain that has not all of the packet, and one with nothing in it here and there. */
STACK_TEST(chains, PLAYED)
{
    uint8_t *memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = 300};
    size_t length = inet_make(frame, &kind);
    PMDL mdl;

    ck_assert_ptr_nonnull(memory);
    memcpy(memory, frame, length);
    mdl = IoAllocateMdl(memory, 200, FALSE, FALSE, NULL);
    ck_assert_ptr_nonnull(mdl);
    MmBuildMdlForNonPagedPool(mdl);
    vif_client_begin();
    for (ULONG offset = 0; offset <= 400; offset += 200)
        ck_assert_int_eq(CALL(TransmitterQueuePacket, mdl, offset, (ULONG)length, (XENVIF_VIF_OFFLOAD_OPTIONS){0}, 0, 0,
                              NULL, FALSE, NULL),
                         STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(
        CALL(TransmitterQueuePacket, mdl, 0xFFFFFFFF, 60, (XENVIF_VIF_OFFLOAD_OPTIONS){0}, 0, 0, NULL, FALSE, NULL),
        STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(TransmitterQueuePacket, mdl, 0, 13, (XENVIF_VIF_OFFLOAD_OPTIONS){0}, 0, 0, NULL, FALSE, NULL),
                     STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(TransmitterQueuePacket, mdl, 0, 0, (XENVIF_VIF_OFFLOAD_OPTIONS){0}, 0, 0, NULL, FALSE, NULL),
                     STATUS_INVALID_PARAMETER);
    vif_client_finish();
    IoFreeMdl(mdl);
    ExFreePoolWithTag(memory, STACK_TAG);
}

/* ---- the debug key ---- */

static void press_key(void *unused)
{
    (void)unused;
    ck_assert(xen_debug_key('q'));
}

static bool is_reported(void *words)
{
    return stack_is_logged(words);
}

static void log_information(void)
{
    static const char *const levels[] = {"INFO", "WARNING", "ERROR", "CRITICAL"};

    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xen\\Parameters"), "XenLogLevel", levels, ARRAYSIZE(levels));
}

STACK_TEST(report_at_the_debug_key, PLAYED, .prepare = log_information)
{
    vif_client_begin();
    stack_in_dom0(press_key, NULL);
    ck_assert(stack_wait(is_reported, "vif 1: state", 1000));
    ck_assert(stack_wait(is_reported, "RX:", 1000));
    STACK_ASSERT_LOGGED("TX: accepting 1 running 1");
    vif_client_finish();
}

int main(void)
{
    Suite *suite = suite_create("methods of VIFs");
    TCase *tcase = tcase_create("methods");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, while_the_device_is_not_started);
    tcase_add_test(tcase, enabled_once);
    tcase_add_test(tcase, counters_have_numbers);
    tcase_add_test(tcase, filter_levels);
    tcase_add_test(tcase, multicast_list);
    tcase_add_test(tcase, link_of_the_store);
    tcase_add_loop_test(tcase, speed_of_the_registry, 0, ARRAYSIZE(registry_speeds));
    tcase_add_test(tcase, link_of_both_sides);
    tcase_add_test(tcase, multicast_list_of_any_length);
    tcase_add_test(tcase, sizes);
    tcase_add_test(tcase, chains);
    tcase_add_test(tcase, report_at_the_debug_key);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
