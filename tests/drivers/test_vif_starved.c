/*
 * VIFs whose traffic finds no memory: of each allocation that a frame takes on its way in or out, with one that fails.
 * Such a frame is lost and counted, or waits; those before and behind it are as they should be, and nothing is leaked.
 * Likewise of those that a further queue takes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/inet.h"
#include "common/vif_backend.h"
#include "common/vif_client.h"
#include "machine/fault.h"
#include "nt/pnp/pnp.h"

#define STARVED                                                                                                        \
    .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .before_boot = vif_backend_make, .quiet = true,                  \
    .engine = ENGINE_DETERMINISTIC, .fail = "kind=pool,nth=100000000"
#define BUS "XENBUS\\VEN_XP0001&DEV_VIF"
#define LARGE OPTION(OffloadIpVersion4LargePacket)
#define PATIENCE_MS 5000u
#define CALLS_MAX 400u
#define LOGS 2u /* a driver's line goes to the console of QEMU and to the hypervisor's */

static uint8_t frame[INET_FRAME_MAX];
static struct vif_backend_packet taken;

/* From now on the nth allocation of a driver fails; 0: each one. */
static void starve(uint64_t nth)
{
    machine->config.faults.rule[0].nth = nth;
    machine->fault->matched[0] = 0;
    fault_resume();
}

static void feed(void)
{
    fault_suspend();
}

static void begin(const char *features)
{
    feed();
    vif_backend_features(features);
    stack_store_write(stack_path("device/vif/1/mtu"), "65521");
    vif_client_begin();
}

static size_t make(size_t payload)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_TCP, .flags = INET_ACK, .payload = payload};

    return inet_make(frame, &kind);
}

/* ---- frames that are sent ---- */

#define HEADERS 54u
#define SEGMENT 8000u
#define CUT 110u     /* packets that are cut, of which a part is on the ring */
#define TOGETHER 12u /* packets on the ring: more than one allocation of xenbus's has grants for */

/* In the ways in which a packet gets onto the ring: copied, its pages granted as they are, and cut. */
static const struct vif_client_packet ways[] = {
    {.piece = 2000}, {.piece = 0}, {.options.Value = LARGE, .mss = SEGMENT}};

static struct vif_client_packet packet_of(unsigned way)
{
    struct vif_client_packet packet = ways[way];

    packet.data = frame;
    packet.length = make(60000);
    return packet;
}

/* Takes what there is of packets that are the same: each is whole, but for the last. How many are whole. */
static unsigned take_all(const struct vif_client_packet *packet)
{
    unsigned whole = 0;
    size_t done = 0; /* of a packet that comes in segments */

    while (vif_backend_take(&taken, NETIF_RSP_OKAY)) {
        size_t headers = packet->mss != 0 ? HEADERS : 0;

        ck_assert_uint_le(headers + done + taken.length - headers, packet->length);
        ck_assert_mem_eq(taken.data + headers, frame + headers + done, taken.length - headers);
        done += taken.length - headers;
        if (headers + done == packet->length) {
            done = 0;
            whole++;
        }
    }
    return whole;
}

/* It comes back with an error that is ours, and the next one does not. */
static void assert_lost(uint64_t errors)
{
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_ERROR);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_FRONTEND_ERRORS), errors);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_BACKEND_ERRORS), 0);
}

/* A packet with each of the calls that it makes failing once, until it makes none. */
static void send_each_call(unsigned way)
{
    struct vif_client_packet packet = packet_of(way);
    uint64_t errors = vif_client_statistic(XENVIF_TRANSMITTER_FRONTEND_ERRORS);

    for (uint64_t nth = 1;; nth++) {
        uint64_t before = fault_injected();
        NTSTATUS status;

        ck_assert_uint_lt(nth, CALLS_MAX);
        starve(nth);
        status = vif_client_send(&packet);
        feed();
        if (fault_injected() == before) {
            ck_assert_int_eq(status, STATUS_SUCCESS);
            ck_assert_uint_eq(take_all(&packet), 1);
            ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
            ck_assert_uint_gt(nth, 2); /* a page is two calls */
            return;
        }
        errors++;
        ck_assert_uint_eq(take_all(&packet), 0);
        if (NT_SUCCESS(status))
            assert_lost(errors);
        else
            ck_assert_int_eq(status, STATUS_INSUFFICIENT_RESOURCES);
        ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_FRONTEND_ERRORS), errors);
    }
}

STACK_TEST(sending_with_each_call_failing, STARVED)
{
    begin("feature-sg=1");
    for (unsigned way = 0; way < ARRAYSIZE(ways); way++) {
        send_each_call(way);
        vif_backend_disconnect(); /* pages that are kept for the next packet go with the connection */
        vif_backend_connect();
        vif_client_await_link(true);
    }
    vif_client_finish();
}

/*
 * The third call fails until the packet is on the ring: a page takes two, and the next attempt finds it. The last one
 * is then lost for want of grants, if all of those are taken that xenbus has. How many were lost.
 */
static unsigned repeat_until_sent(const struct vif_client_packet *packet)
{
    uint64_t before = vif_client_statistic(XENVIF_TRANSMITTER_FRONTEND_ERRORS);

    for (unsigned lost = 0;; lost++) {
        ck_assert_uint_lt(lost, CALLS_MAX);
        starve(3);
        ck_assert_int_eq(vif_client_repeat(packet), STATUS_SUCCESS);
        feed();
        stack_sleep_us(1000);
        if (vif_client_statistic(XENVIF_TRANSMITTER_FRONTEND_ERRORS) == before + lost)
            return lost;
    }
}

/* Packets that wait for the backend, each of which needs pages, and some of them grants, that are not there yet. */
STACK_TEST(sending_without_grants, STARVED)
{
    struct vif_client_packet packet = packet_of(0);
    unsigned most = 0, least = CALLS_MAX;
    uint64_t errors = 0;

    begin("feature-sg=1");
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    for (unsigned i = 1; i < TOGETHER; i++) {
        unsigned lost = repeat_until_sent(&packet);

        most = lost > most ? lost : most;
        least = lost < least ? lost : least;
        errors += lost;
    }
    ck_assert_uint_eq(most, least + 1); /* all have the same pages */
    ck_assert_uint_eq(take_all(&packet), TOGETHER);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_FRONTEND_ERRORS), errors);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_BACKEND_ERRORS), 0);
    vif_client_finish();
}

/* Takes the segments of packets, of which the last ones may be lost. How many packets are whole; and how many are not.
 */
static unsigned take_segments(const struct vif_client_packet *packet, unsigned *parts)
{
    unsigned whole = 0;
    size_t done = HEADERS;

    for (*parts = 0; vif_backend_take(&taken, NETIF_RSP_OKAY);) {
        size_t length = taken.length - HEADERS;

        ck_assert_uint_ge(taken.length, HEADERS);
        if (done + length > packet->length || memcmp(taken.data + HEADERS, frame + done, length) != 0) {
            ck_assert_uint_ne(done, HEADERS);
            ck_assert_uint_eq(length, SEGMENT);
            ck_assert_mem_eq(taken.data + HEADERS, frame + HEADERS, length);
            ++*parts;
            done = HEADERS;
        }
        done += length;
        if (done == packet->length) {
            whole++;
            done = HEADERS;
        }
    }
    *parts += done != HEADERS;
    return whole;
}

/* Packets that are cut on their way to the ring: what is there already goes out, and they are lost. */
STACK_TEST(cutting_without_grants, STARVED)
{
    struct vif_client_packet packet = packet_of(2);
    unsigned whole, parts;

    begin("feature-sg=1");
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    for (unsigned i = 1; i < CUT; i++) {
        starve(3);
        ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
        feed();
    }
    whole = take_segments(&packet, &parts);
    ck_assert_uint_gt(parts, CUT / 4);
    (void)vif_client_await_sent();
    ck_assert_uint_le(whole + parts, CUT);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_FRONTEND_ERRORS), CUT - whole);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_BACKEND_ERRORS), 0);

    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    ck_assert_uint_eq(take_segments(&packet, &parts), 1);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    vif_client_finish();
}

static VOID NTAPI disable_client(PVOID unused)
{
    (void)unused;
    vif_client_disable();
}

static volatile bool disabled;

static VOID NTAPI disable_and_say_so(PVOID unused)
{
    disable_client(unused);
    disabled = true;
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* The client disables the VIF while the backend keeps a page of each of two packets, and there is no memory. */
static PKTHREAD begin_giving_up(void)
{
    struct vif_client_packet packet = packet_of(1);
    PKTHREAD thread;

    begin("feature-sg=1");
    vif_backend_keep();
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    starve(0);
    disabled = false;
    thread = stack_thread(disable_and_say_so, NULL);
    stack_sleep_us(4000000);
    ck_assert(!stack_is_logged("waiting for it"));
    stack_sleep_us(4000000);
    ck_assert(!vif_client_is_back());
    STACK_ASSERT_LOGGED("vif 1: the backend keeps pages of 2 packets, and there is no memory to note which: waiting");
    ck_assert_uint_eq(stack_times_logged("waiting for it"), LOGS);
    return thread;
}

/*
 * A packet whose page the backend keeps is not waited for for ever; but it takes memory to go on without it. The grant
 * ends when the backend lets go of it, and the device can go.
 */
STACK_TEST(giving_up_without_memory, STARVED)
{
    PKTHREAD thread = begin_giving_up();

    feed();
    stack_join(thread);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_ERROR);
    STACK_ASSERT_LOGGED("whose page goes back to its owner");
    vif_client_release();
    vif_backend_release();
    vif_backend_end();
}

/* And memory is not waited for for ever: what is lost then is what it takes to note the grants, for good. */
static void lose_without_memory(void *unused)
{
    PKTHREAD thread = begin_giving_up();

    (void)unused;
    stack_sleep_us(4000000);
    ck_assert_msg(disabled, "the client still waits");
    ck_assert(vif_client_is_back());
    feed();
    stack_join(thread);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_ERROR);
    STACK_ASSERT_LOGGED("which stands for good, since there is no memory to note it");
    ck_assert(!stack_is_logged("whose page goes back to its owner"));
    vif_backend_release();

    /* The next connection is as good as any. */
    vif_client_enable();
    vif_backend_disconnect();
    vif_backend_connect();
    vif_client_await_link(true);
    vif_client_finish();

    /* When the bus goes the grant stands still. */
    (void)pnp_remove_device(stack_device(BUS), false);
}

START_TEST(losing_without_memory)
{
    static const struct stack_options options = {STARVED};
    const struct failure *failure = stack_must_fail(&options, lose_without_memory, NULL, "pool-leak-at-unload");

    ck_assert_msg(strstr(failure->text, "driver xenvif is unloaded") != NULL &&
                      strstr(failure->text, "1 with tag \"Vgnt\"") != NULL,
                  "%s", failure->text);
    STACK_ASSERT_LOGGED("a backend does not let go of pages, which are lost to this system");
}
END_TEST

/* ---- frames that are received ---- */

struct arrival {
    size_t payload;
    uint16_t mss;      /* a large one, which the client has split; 0: none */
    unsigned backfill; /* that the client wants */
    unsigned frames;   /* for the client */
};

/* One frame, or the segments of one: those of them that are there are right. */
static void assert_received(const struct arrival *arrival, size_t length)
{
    size_t done = 0;

    for (unsigned i = 0; i < arrival->frames; i++) {
        const struct vif_client_received *got = vif_client_received(i);

        ck_assert_mem_eq(got->data + HEADERS, frame + HEADERS + done, got->length - HEADERS);
        done += got->length - HEADERS;
    }
    ck_assert_uint_eq(done, length - HEADERS);
}

static void give(const struct arrival *arrival, size_t length)
{
    struct vif_backend_frame given = {.data = frame, .length = length};

    if (arrival->mss != 0) {
        given.extras = 1;
        given.extra[0] = vif_backend_gso(XEN_NETIF_GSO_TYPE_TCPV4, arrival->mss);
    }
    vif_backend_give(&given);
}

struct outcome {
    uint64_t errors;
    unsigned frames;
};

static bool is_over(void *argument)
{
    const struct outcome *outcome = argument;

    return vif_client_statistic(XENVIF_RECEIVER_FRONTEND_ERRORS) == outcome->errors + 1 ||
           vif_client_received_count() == outcome->frames;
}

/* A frame with each of the calls that are made for it failing once: it is lost, and counted, or there, as a whole. */
static unsigned receive_each_call(const struct arrival *arrival)
{
    struct outcome outcome = {.frames = arrival->frames};
    size_t length = make(arrival->payload);
    unsigned lost = 0;

    XENVIF_VIF_CALL(&vif_client, ReceiverSetBackfillSize, arrival->backfill);
    for (uint64_t nth = 1;; nth++) {
        uint64_t before = fault_injected();

        vif_backend_disconnect(); /* pages that are kept for the next frame go with the connection */
        vif_backend_connect();
        vif_client_await_link(true);
        stack_sleep_us(5000);
        ck_assert_uint_lt(nth, CALLS_MAX);
        vif_client_forget();
        outcome.errors = vif_client_statistic(XENVIF_RECEIVER_FRONTEND_ERRORS);
        starve(nth);
        give(arrival, length);
        ck_assert_msg(stack_wait(is_over, &outcome, PATIENCE_MS), "call %u: %u frames", (unsigned)nth,
                      vif_client_received_count());
        stack_sleep_us(10000);
        feed();
        if (vif_client_statistic(XENVIF_RECEIVER_FRONTEND_ERRORS) != outcome.errors) {
            ck_assert_uint_eq(vif_client_received_count(), 0);
            lost++;
        } else {
            ck_assert_uint_eq(vif_client_received_count(), arrival->frames);
            assert_received(arrival, length);
        }
        ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_BACKEND_ERRORS), 0);
        if (fault_injected() == before)
            return lost;
    }
}

STACK_TEST(receiving_with_each_call_failing, STARVED)
{
    static const struct arrival plain = {.payload = 9000, .frames = 1}, moved = {9000, 0, 256, 1},
                                large = {60000, 1448, 0, 42};

    begin("feature-sg=1");
    (void)receive_each_call(&plain);
    ck_assert_uint_ge(receive_each_call(&moved), 2); /* what has to make room for the backfill takes a page */
    ck_assert_uint_eq(receive_each_call(&large), 0); /* what is to be split waits for pages */
    vif_client_finish();
}

#define FEW 8u

/* Pages are there for many frames, and packets for a few: as many large frames have come back. */
static void begin_with_few_packets(void)
{
    static const struct arrival whole = {.payload = 60000, .frames = 1};
    size_t length = make(whole.payload);

    begin("feature-sg=1");
    vif_client_mode.hold = true;
    for (unsigned i = 0; i < FEW; i++)
        give(&whole, length);
    vif_client_await_received(FEW);
    vif_client_return();
    vif_client_mode.hold = false;
    vif_client_forget();
}

/* The client gets a few segments, and gives them back for the rest. */
STACK_TEST(splitting_with_few_packets, STARVED)
{
    static const struct arrival large = {60000, 1448, 0, 42};
    size_t length = make(large.payload);

    begin_with_few_packets();
    starve(0);
    give(&large, length);
    vif_client_await_received(large.frames);
    feed();
    assert_received(&large, length);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_FRONTEND_ERRORS), 0);
    vif_client_finish();
}

static bool is_each_known(void *argument)
{
    const unsigned *frames = argument;

    return vif_client_received_count() + vif_client_statistic(XENVIF_RECEIVER_FRONTEND_ERRORS) == *frames;
}

/* Small frames are copied as long as there are packets: the others are lost, and no page with them. */
STACK_TEST(small_frames_with_few_packets, STARVED)
{
    static const struct arrival small = {.payload = 100, .frames = 1};
    unsigned frames = 32, room;
    size_t length;

    begin_with_few_packets();
    vif_client_mode.hold = true;
    length = make(small.payload);
    give(&small, length);
    vif_client_await_received(1);
    room = vif_backend_room();
    vif_client_return();
    vif_client_forget();
    starve(0);
    for (unsigned i = 0; i < frames; i++)
        give(&small, length);
    ck_assert(stack_wait(is_each_known, &frames, PATIENCE_MS));
    feed();
    ck_assert_uint_ge(vif_client_received_count(), FEW);
    ck_assert_uint_lt(vif_client_received_count(), frames);
    for (unsigned i = 0; i < vif_client_received_count(); i++)
        ck_assert_mem_eq(vif_client_received(i)->data, frame, length);
    ck_assert_uint_eq(vif_backend_room(), room);
    vif_backend_check_pages();
    vif_client_return();
    vif_client_mode.hold = false;
    vif_client_forget();
    give(&small, length);
    vif_client_await_received(1);
    assert_received(&small, length);
    vif_client_finish();
}

/* ---- frames that change queues ---- */

#define RING 256u
#define WAITING 5u

/* Those that wait on one queue's ring, and belong to another by a new mapping, need a packet of that one's. */
STACK_TEST(moving_without_packets, STARVED)
{
    XENVIF_PACKET_HASH hash = {.Algorithm = XENVIF_PACKET_HASH_ALGORITHM_UNSPECIFIED, .Value = 2};
    struct vif_client_packet packet = {.data = frame, .length = make(60), .hash = &hash};
    PROCESSOR_NUMBER mapping[4] = {{.Number = 0}, {.Number = 0}, {.Number = 1}, {.Number = 1}};

    begin("feature-sg=1,multi-queue-max-queues=2");
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    for (unsigned i = 1; i < RING + WAITING; i++)
        ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
    ck_assert_int_eq(XENVIF_VIF_CALL(&vif_client, UpdateHashMapping, mapping, ARRAYSIZE(mapping)), STATUS_SUCCESS);
    starve(0);
    for (unsigned i = 0; i < RING; i++)
        vif_backend_await(&taken, NETIF_RSP_OKAY);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_ERROR);
    feed();
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_FRONTEND_ERRORS), WAITING);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_UNICAST_PACKETS), RING);
    ck_assert(!vif_backend_take(&taken, NETIF_RSP_OKAY));

    hash.Value = 1; /* by the mapping of the queue that is played */
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    vif_client_finish();
}

/* ---- queues ---- */

#define QUEUES 8u
#define FIRST_CALL 18u /* about where a connection's calls for a further queue are */

static unsigned queues(void)
{
    char value[16];

    if (!stack_store_read(stack_path("device/vif/1/multi-queue-num-queues"), value, sizeof(value)))
        return 1;
    return (unsigned)strtoul(value, NULL, 10);
}

/* A connection to a backend with these features, with the nth allocation failing. */
static void connect_starved(const char *features, uint64_t nth)
{
    vif_backend_close();
    vif_backend_features(features);
    starve(nth);
    vif_backend_state("2");
    stack_store_await(stack_path("device/vif/1/state"), "4", 20000);
    feed();
    vif_backend_connect();
    vif_client_await_link(true);
}

/* A queue that there is no memory for is done without, until the next connection. */
STACK_TEST(queues_without_memory, STARVED, .vcpus = QUEUES)
{
    begin("feature-sg=1,multi-queue-max-queues=1");
    for (unsigned count = 2; count <= QUEUES; count++) {
        char features[64];

        snprintf(features, sizeof(features), "feature-sg=1,multi-queue-max-queues=%u", count);
        connect_starved(features, FIRST_CALL + 3 * (count - 2));
        ck_assert_uint_le(queues(), count);
    }
    STACK_ASSERT_LOGGED("queues instead of");
    connect_starved("feature-sg=1,multi-queue-max-queues=8", UINT64_C(100000000));
    ck_assert_uint_eq(queues(), QUEUES);
    vif_client_finish();
}

/* ---- what a backend does and does not do ---- */

#define CONNECT_CALLS 80u /* those before the rings' */

/* What cannot be read of it is not what it is by default: here, that it makes checksums. */
STACK_TEST(features_with_each_call_failing, STARVED)
{
    struct vif_client_packet packet = {.data = frame, .options.Value = OPTION(OffloadIpVersion4TcpChecksum)};

    begin("feature-sg=1,feature-no-csum-offload=1");
    packet.length = make(500);
    for (uint64_t nth = 1; nth <= CONNECT_CALLS; nth++) {
        const char *fault;

        connect_starved("feature-sg=1,feature-no-csum-offload=1", nth);
        ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
        vif_backend_await(&taken, NETIF_RSP_OKAY);
        ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
        fault = inet_fault(taken.data, taken.length);
        ck_assert_msg(fault == NULL, "call %u: %s", (unsigned)nth, fault);
        ck_assert_msg((taken.flags & NETTXF_csum_blank) == 0, "call %u: a blank checksum", (unsigned)nth);
    }
    vif_client_finish();
}

/* ---- what the store says of the link ---- */

#define CARRIER "/local/domain/0/backend/played/1/carrier"
#define LINK_CALLS 60u /* more than reading all of it takes */

/* Has the frontend's thread look at everything. */
static void wake(void)
{
    ck_assert_int_eq(XENVIF_VIF_CALL(&vif_client, MacSetFilterLevel, ETHERNET_ADDRESS_MULTICAST, XENVIF_MAC_FILTER_ALL),
                     STATUS_SUCCESS);
    stack_sleep_us(5000);
}

static void assert_link(uint64_t expected_speed, unsigned expected_mtu)
{
    NET_IF_MEDIA_CONNECT_STATE state;
    ULONG64 speed;
    ULONG size;

    XENVIF_VIF_CALL(&vif_client, MacQueryState, &state, &speed, NULL);
    XENVIF_VIF_CALL(&vif_client, MacQueryMaximumFrameSize, &size);
    ck_assert_uint_eq(speed, expected_speed);
    ck_assert_int_eq(state, expected_speed != 0 ? MediaConnectStateConnected : MediaConnectStateDisconnected);
    ck_assert_uint_eq(size, expected_mtu + 14);
}

/* Each of the calls that looking at it takes fails once: a node that cannot be read says what it said before. */
static void look_with_each_call_failing(uint64_t speed)
{
    unsigned failed = 0;

    for (uint64_t nth = 1; nth <= LINK_CALLS; nth++) {
        uint64_t before = fault_injected();

        starve(nth);
        wake();
        feed();
        failed += fault_injected() != before;
        assert_link(speed, 9000);
        stack_sleep_us(1100000); /* it is looked at again */
        assert_link(speed, 9000);
    }
    ck_assert_uint_gt(failed, 8); /* two for each node */
    ck_assert_uint_lt(failed, LINK_CALLS);
}

STACK_TEST(link_with_each_call_failing, STARVED)
{
    begin("feature-sg=1");
    stack_store_write(stack_path("device/vif/1/speed"), "40");
    stack_store_write(stack_path("device/vif/1/mtu"), "9000");
    stack_sleep_us(5000);
    look_with_each_call_failing(40000000000);

    stack_store_write(CARRIER, "0");
    vif_client_await_link(false);
    look_with_each_call_failing(0);
    stack_store_write(CARRIER, "1");
    vif_client_await_link(true);
    stack_store_write(stack_path("device/vif/1/disconnect"), "1");
    vif_client_await_link(false);
    look_with_each_call_failing(0);
    stack_store_write(stack_path("device/vif/1/disconnect"), "0");
    vif_client_await_link(true);
    assert_link(40000000000, 9000);
    vif_client_finish();
}

/* As long as nothing can be read the log says it once of each node; what has changed meanwhile is seen afterwards. */
STACK_TEST(link_without_memory, STARVED)
{
    static const char *const lines[] = {"vif 1: backend cannot be read", "vif 1: disconnect cannot be read",
                                        "vif 1: carrier cannot be read", "vif 1: mtu cannot be read",
                                        "vif 1: speed cannot be read"};

    begin("feature-sg=1");
    stack_store_write(stack_path("device/vif/1/speed"), "40");
    stack_store_write(stack_path("device/vif/1/mtu"), "9000");
    stack_sleep_us(5000);
    for (unsigned times = 1; times <= 2; times++) {
        starve(0);
        wake();
        stack_store_write(stack_path("device/vif/1/mtu"), times == 1 ? "4000" : "9000");
        stack_sleep_us(5000000);
        assert_link(40000000000, times == 1 ? 9000 : 4000);
        for (unsigned i = 0; i < ARRAYSIZE(lines); i++)
            ck_assert_msg(stack_times_logged(lines[i]) == LOGS * times, "'%s' is logged %u times, not %u", lines[i],
                          stack_times_logged(lines[i]) / LOGS, times);
        feed();
        stack_sleep_us(1100000);
        assert_link(40000000000, times == 1 ? 4000 : 9000);
    }
    vif_client_finish();
}

int main(void)
{
    Suite *suite = suite_create("VIFs without memory");
    TCase *tcase = tcase_create("traffic");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, sending_with_each_call_failing);
    tcase_add_test(tcase, sending_without_grants);
    tcase_add_test(tcase, cutting_without_grants);
    tcase_add_test(tcase, giving_up_without_memory);
    tcase_add_test(tcase, losing_without_memory);
    tcase_add_test(tcase, receiving_with_each_call_failing);
    tcase_add_test(tcase, splitting_with_few_packets);
    tcase_add_test(tcase, small_frames_with_few_packets);
    tcase_add_test(tcase, moving_without_packets);
    tcase_add_test(tcase, queues_without_memory);
    tcase_add_test(tcase, features_with_each_call_failing);
    tcase_add_test(tcase, link_with_each_call_failing);
    tcase_add_test(tcase, link_without_memory);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
