/*
 * What a VIF meets seldom: a store in which the backend's nodes are not what they should be, a backend that comes late
 * or does other things than the one before, a ring that stays full. Each is told of where the toolstack looks, and is
 * over when its cause is.
 */
#include <stdio.h>
#include <string.h>

#include "common/inet.h"
#include "common/vif_backend.h"
#include "common/vif_client.h"

#include <xenstore.h>

#define PLAYED .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .before_boot = vif_backend_make, .quiet = true
#define VIRTUAL PLAYED, .engine = ENGINE_DETERMINISTIC /* seconds pass */
#define STATE "device/vif/1/state"
#define ERROR "error/device/vif/1/error"
#define BACKEND "/local/domain/0/backend/played/1"
#define PATIENCE_MS 30000u
#define RING 256u
#define QUEUE 1024u

static uint8_t frame[INET_FRAME_MAX];
static struct vif_backend_packet taken;

static struct vif_client_packet packet_of(size_t payload)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = payload};

    return (struct vif_client_packet){.data = frame, .length = inet_make(frame, &kind)};
}

static void carry(void)
{
    struct vif_client_packet packet = packet_of(300);

    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    ck_assert_uint_eq(taken.length, packet.length);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
}

static bool has_error(void *words)
{
    char text[256];

    return stack_store_read(stack_path(ERROR), text, sizeof(text)) && strstr(text, words) != NULL;
}

static void await_error(const char *words)
{
    ck_assert_msg(stack_wait(has_error, (void *)(uintptr_t)words, PATIENCE_MS), "no error tells of '%s'", words);
}

/* With the error goes what was said of it. */
static void connects(void)
{
    vif_backend_connect();
    vif_client_await_link(true);
    stack_store_await(stack_path(ERROR), "(absent)", PATIENCE_MS);
    carry();
}

/* ---- backends that are not ready, or not there ---- */

STACK_TEST(backend_that_does_not_copy, VIRTUAL)
{
    vif_backend_features("feature-rx-copy=0");
    vif_client_acquire();
    vif_client_enable();
    await_error("no connection can be made");
    stack_store_await(stack_path(STATE), "1", 1);
    vif_backend_features("feature-rx-copy=1");
    connects();
    vif_client_finish();
}

STACK_TEST(backend_that_is_late, VIRTUAL)
{
    vif_backend_state("1");
    vif_client_acquire();
    vif_client_enable();
    await_error("does not reach InitWait");
    vif_backend_state("2");
    connects();
    vif_client_finish();
}

STACK_TEST(states_that_are_none, VIRTUAL)
{
    static const char *const states[] = {"", "x", "9", "-1", "4294967298"};

    vif_client_acquire();
    vif_client_enable();
    connects();
    for (unsigned i = 0; i < ARRAYSIZE(states); i++) {
        vif_backend_let_go();
        vif_backend_state(states[i]); /* as if it were not there */
        stack_store_await(stack_path(STATE), "6", PATIENCE_MS);
        vif_client_await_link(false);
        vif_backend_state("2");
        connects();
    }
    vif_client_finish();
}

/* Nodes of the frontend's that lead nowhere: nobody is waited for, and the right ones count when they are there. */
STACK_TEST(backends_that_cannot_be, VIRTUAL)
{
    static const char *const wrong[][2] = {{"32752", BACKEND}, {"99999", BACKEND}, {"x", BACKEND}, {"0", "backend/1"}};

    vif_client_acquire();
    vif_client_enable();
    connects();
    for (unsigned i = 0; i < ARRAYSIZE(wrong); i++) {
        stack_store_write(stack_path("device/vif/1/backend-id"), wrong[i][0]);
        vif_backend_let_go();
        stack_store_remove(stack_path("device/vif/1/backend"));
        stack_store_await(stack_path(STATE), "6", PATIENCE_MS);
        vif_backend_state("2");
        stack_store_write(stack_path("device/vif/1/backend"), wrong[i][1]);
        stack_sleep_us(2000000);
        stack_store_await(stack_path(STATE), "6", 1);
        stack_store_write(stack_path("device/vif/1/backend-id"), "0");
        stack_store_write(stack_path("device/vif/1/backend"), BACKEND);
        connects();
    }
    vif_client_finish();
}

/* What another device has said of itself stays when ours is over. */
STACK_TEST(errors_of_others_stay, VIRTUAL)
{
    const char *other = stack_path("error/device/vif/7/error");
    char text[16];

    vif_backend_features("feature-rx-copy=0");
    vif_client_acquire();
    vif_client_enable();
    await_error("no connection can be made");
    stack_store_write(other, "mine");
    vif_backend_features("feature-rx-copy=1");
    connects();
    ck_assert(stack_store_read(stack_path("error/device/vif/7/error"), text, sizeof(text)));
    ck_assert_str_eq(text, "mine");
    vif_client_finish();
    stack_store_remove(stack_path("error"));
}

/* ---- what was queued for another backend ---- */

/* A frame, and segments, that were taken while the backend was one of several pages, and then one of a page comes. */
STACK_TEST(too_long_for_the_next_backend, PLAYED)
{
    vif_backend_features("feature-sg=1");
    stack_store_write(stack_path("device/vif/1/mtu"), "9000");
    vif_client_begin();
    for (unsigned large = 0; large < 2; large++) {
        struct vif_client_packet packet;

        vif_backend_close();
        vif_client_await_link(false);
        packet = packet_of(large ? 30000 : 8000);
        packet.options.Value = large ? OPTION(OffloadIpVersion4LargePacket) : 0;
        packet.mss = large ? 8000 : 0;
        ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
        vif_backend_features("feature-sg=0");
        vif_backend_state("2");
        vif_backend_connect();
        ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_ERROR);
        vif_client_await_link(true);
        ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_FRONTEND_ERRORS), 1 + large);
        carry();
        vif_backend_features("feature-sg=1");
    }
    vif_client_finish();
}

/* ---- a ring that stays full ---- */

static unsigned send_until_refused(const struct vif_client_packet *packet)
{
    unsigned count = 1;
    NTSTATUS status;

    ck_assert_int_eq(vif_client_send(packet), STATUS_SUCCESS);
    while (NT_SUCCESS(status = vif_client_repeat(packet)))
        ck_assert_uint_lt(++count, 2 * QUEUE);
    ck_assert_int_eq(status, STATUS_DEVICE_BUSY);
    return count;
}

/* As many wait as may; those on the ring are lost with it, and the rest goes to the next backend, each once. */
STACK_TEST(as_many_as_may_wait, PLAYED)
{
    struct vif_client_packet packet;

    vif_backend_features("feature-sg=1");
    vif_client_begin();
    packet = packet_of(60);
    ck_assert_uint_eq(send_until_refused(&packet), RING + QUEUE);
    vif_backend_disconnect();
    vif_backend_connect();
    for (unsigned i = 0; i < QUEUE; i++) {
        vif_backend_await(&taken, NETIF_RSP_OKAY);
        ck_assert_uint_eq(taken.length, packet.length);
        ck_assert_mem_eq(taken.data, frame, packet.length);
    }
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    ck_assert(!vif_backend_take(&taken, NETIF_RSP_OKAY));
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_PACKETS_DROPPED), RING);
    vif_client_await_link(true);
    carry();

    /* And without a next one: the client has them all back. */
    packet = packet_of(60);
    (void)send_until_refused(&packet);
    vif_backend_close();
    vif_client_disable();
    ck_assert(vif_client_is_back());
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_DROPPED);
    vif_client_release();
    vif_backend_end();
}

/* ---- groups, and a backend that does not go along ---- */

static const ETHERNET_ADDRESS groups[] = {
    {{0x01, 0x00, 0x5e, 0, 0, 1}}, {{0x01, 0x00, 0x5e, 0, 0, 2}}, {{0x01, 0x00, 0x5e, 0, 0, 3}}};

static void want_groups(unsigned first, unsigned count)
{
    ck_assert_int_eq(
        XENVIF_VIF_CALL(&vif_client, MacSetMulticastAddresses, (PETHERNET_ADDRESS)&groups[first], (ULONG)count),
        STATUS_SUCCESS);
}

static void match_groups(void)
{
    ck_assert_int_eq(
        XENVIF_VIF_CALL(&vif_client, MacSetFilterLevel, ETHERNET_ADDRESS_MULTICAST, XENVIF_MAC_FILTER_MATCHING),
        STATUS_SUCCESS);
}

static void await_group(uint8_t type, unsigned group, int16_t status)
{
    vif_backend_await(&taken, status);
    ck_assert_uint_eq(taken.multicast, type);
    ck_assert_mem_eq(taken.data, groups[group].Byte, 6);
}

static void await_asked(const char *value)
{
    stack_store_await(stack_path("device/vif/1/request-multicast-control"), value, PATIENCE_MS);
}

/* One that refuses an address must not filter: it would keep that group from us. Another list is another try. */
STACK_TEST(backend_that_refuses_a_group, PLAYED)
{
    vif_backend_features("feature-sg=1,feature-multicast-control=1,feature-dynamic-multicast-control=1");
    vif_client_begin();
    want_groups(0, 2);
    match_groups();
    await_group(XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 0, NETIF_RSP_OKAY);
    await_group(XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 1, NETIF_RSP_ERROR);
    stack_sleep_us(50000);
    await_asked("0");
    STACK_ASSERT_LOGGED("does not take a multicast address");
    carry();

    /* The next connection knows it of this list. */
    vif_backend_disconnect();
    vif_backend_connect();
    vif_client_await_link(true);
    stack_sleep_us(50000);
    await_asked("0");

    want_groups(2, 1);
    vif_backend_disconnect();
    vif_backend_connect();
    vif_client_await_link(true);
    await_group(XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 2, NETIF_RSP_OKAY);
    await_asked("1");
    carry();
    vif_client_finish();
}

/* Addresses wait for room on the ring like packets, and are not overtaken for ever. */
STACK_TEST(groups_while_the_ring_is_full, PLAYED)
{
    static const struct {
        unsigned first, count;
        uint8_t type;
        unsigned group;
    } rounds[] = {{0, 1, XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 0}, {0, 0, XEN_NETIF_EXTRA_TYPE_MCAST_DEL, 0}};

    vif_backend_features("feature-sg=1,feature-multicast-control=1,feature-dynamic-multicast-control=1");
    vif_client_begin();
    match_groups();
    await_asked("1");
    for (unsigned i = 0; i < ARRAYSIZE(rounds); i++) {
        struct vif_client_packet packet = packet_of(60);
        unsigned count = send_until_refused(&packet), packets = 0, addresses = 0, place = 0;

        want_groups(rounds[i].first, rounds[i].count);
        stack_sleep_us(50000);
        for (unsigned got = 0; got < count + 1; got++) {
            vif_backend_await(&taken, NETIF_RSP_OKAY);
            if (taken.multicast == 0) {
                packets++;
                continue;
            }
            ck_assert_uint_eq(taken.multicast, rounds[i].type);
            ck_assert_mem_eq(taken.data, groups[rounds[i].group].Byte, 6);
            addresses++;
            place = got;
        }
        ck_assert_uint_eq(packets, count);
        ck_assert_uint_eq(addresses, 1);
        ck_assert_msg(place < 2 * RING + 2, "an address went behind %u packets", place);
        ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    }
    carry();
    vif_client_finish();
}

/* ---- a store that does not take it ---- */

/* The node in which a backend is asked to filter, for the guest to write or not. */
static void set_writable(void *writable)
{
    struct xs_permissions permissions[2] = {{.id = writable != NULL ? stack.domain.domid : 0, .perms = XS_PERM_NONE},
                                            {.id = 0, .perms = XS_PERM_READ}};
    struct xs_handle *xs = xs_open(0);

    ck_assert_ptr_nonnull(xs);
    ck_assert(xs_set_permissions(xs, XBT_NULL, stack_path("device/vif/1/request-multicast-control"), permissions, 2));
    xs_close(xs);
}

STACK_TEST(wish_that_cannot_be_written, VIRTUAL)
{
    vif_backend_features("feature-sg=1,feature-multicast-control=1,feature-dynamic-multicast-control=1");
    vif_client_begin();
    await_asked("0");
    stack_in_dom0(set_writable, NULL);
    match_groups();
    stack_sleep_us(3500000);
    await_asked("0");
    ck_assert_uint_ge(stack_times_logged("request-multicast-control cannot be written"), 3);
    ck_assert_uint_le(stack_times_logged("request-multicast-control cannot be written"), 20); /* no busy loop */
    carry();
    stack_in_dom0(set_writable, (void *)1);
    await_asked("1");
    vif_client_finish();
}

/* ---- mappings while there is no connection ---- */

/* Hash values 0 and 1 to the first queue, which is the one that is played; 2 and 3 to the second. */
static NTSTATUS map_to_two(void)
{
    PROCESSOR_NUMBER mapping[4] = {{.Number = 0}, {.Number = 0}, {.Number = 1}, {.Number = 1}};

    return XENVIF_VIF_CALL(&vif_client, UpdateHashMapping, mapping, ARRAYSIZE(mapping));
}

/* By the queue that is played: without a mapping it has those that are even. */
static void send_hashed(ULONG value, bool at_once)
{
    XENVIF_PACKET_HASH hash = {.Algorithm = XENVIF_PACKET_HASH_ALGORITHM_UNSPECIFIED, .Value = value};
    struct vif_client_packet packet = packet_of(60 + value);

    packet.hash = &hash;
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    if (!at_once)
        return;
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    ck_assert_uint_eq(taken.length, packet.length);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
}

STACK_TEST(mapping_without_a_connection, PLAYED)
{
    vif_backend_features("feature-sg=1,multi-queue-max-queues=2");
    vif_client_begin();
    send_hashed(2, true);
    vif_backend_close();
    vif_client_await_link(false);
    ck_assert_int_eq(map_to_two(), STATUS_SUCCESS);
    vif_backend_state("2");
    vif_backend_connect();
    vif_client_await_link(true);
    send_hashed(1, true);
    vif_client_finish();
}

/* It waits for the packets on the ring, and the connection ends first: what came behind it goes out by it. */
STACK_TEST(mapping_that_outlives_its_connection, PLAYED)
{
    XENVIF_PACKET_HASH hash = {.Algorithm = XENVIF_PACKET_HASH_ALGORITHM_UNSPECIFIED, .Value = 2};
    struct vif_client_packet packet = packet_of(300);

    vif_backend_features("feature-sg=1,multi-queue-max-queues=2");
    vif_client_begin();
    packet.hash = &hash;
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS); /* on the first queue's ring, and stays there */
    ck_assert_int_eq(map_to_two(), STATUS_SUCCESS);
    hash.Value = 1;
    ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS); /* waits on the second queue */
    vif_backend_disconnect();
    vif_backend_connect();
    vif_client_await_link(true);
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    ck_assert_uint_eq(taken.length, packet.length);
    ck_assert_mem_eq(taken.data, frame, packet.length);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_PACKETS_DROPPED), 1);
    ck_assert(!vif_backend_take(&taken, NETIF_RSP_OKAY));
    vif_client_finish();
}

int main(void)
{
    Suite *suite = suite_create("VIFs and what is seldom");
    TCase *tcase = tcase_create("backends");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, backend_that_does_not_copy);
    tcase_add_test(tcase, backend_that_is_late);
    tcase_add_test(tcase, states_that_are_none);
    tcase_add_test(tcase, backends_that_cannot_be);
    tcase_add_test(tcase, errors_of_others_stay);
    tcase_add_test(tcase, too_long_for_the_next_backend);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("full rings");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, as_many_as_may_wait);
    tcase_add_test(tcase, backend_that_refuses_a_group);
    tcase_add_test(tcase, groups_while_the_ring_is_full);
    tcase_add_test(tcase, wish_that_cannot_be_written);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("mappings");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, mapping_without_a_connection);
    tcase_add_test(tcase, mapping_that_outlives_its_connection);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
