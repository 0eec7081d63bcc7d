/* netback's side of several queues and of the control ring (io/netif.h): keys, steering, every request and its
 * statuses. */
#include "common/backend.h"

#include "packet.h"
#include "toeplitz.h"

#include <xen/io/xenbus.h>

#include "dom0/heap.h"
#include "keys.h"
#include "machine/kernel_lock.h"
#include "wait.h"

#define LAN "tests/captures/lan-wire.pcap"

static void again(struct netfront *front)
{
    netfront_set_state(front, XenbusStateClosed);
    netfront_wait_backend(front, XenbusStateClosed, false);
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
}

/* ---- several queues ---- */

/* Send the frames of the capture from `next` on, each on the queue of its flow. */
static void send_by_flow(struct netfront *front, const struct capture *capture)
{
    for (unsigned i = 0; i < capture->count; i++) {
        const struct port_frame *frame = &capture->frame[i];
        const uint16_t size = (uint16_t)frame->length;
        struct packet packet;
        struct netfront *queue;

        packet_parse(frame->data, frame->length, &packet);
        queue = netfront_queue(front, packet_flow(frame->data, &packet) / 7 % front->rings);
        if (queue->tx_prod - queue->tx_cons == 32) {
            netfront_tx_push(queue);
            netfront_tx_drain(queue);
        }
        netfront_tx_frame(queue, frame->data, &size, 1);
    }
    for (unsigned i = 0; i < front->rings; i++) {
        netfront_tx_push(netfront_queue(front, i));
        netfront_tx_drain(netfront_queue(front, i));
        ck_assert_uint_eq(netfront_queue(front, i)->tx_error, 0);
    }
}

/* Take all frames, from whichever queue has some; the flows are in order, and each on one queue. */
static void receive_by_flow(struct netfront *front, unsigned count)
{
    struct checker *checker = checker_create(&backend_sent, "to the guest", &backend_logger);
    struct checker_verdict verdict;
    static uint8_t queue_of[65536]; /* by a flow's low bits, from 1 */
    unsigned got = 0, idle = 0;

    memset(queue_of, 0, sizeof(queue_of));
    checker_order_by_flow(checker);
    while (got < count && idle < 100) {
        idle++;
        for (unsigned i = 0; i < front->rings; i++) {
            struct netfront *queue = netfront_queue(front, i);
            struct packet packet;
            uint32_t flow;

            if (queue->rx_prod - queue->rx_cons < 16)
                netfront_rx_post(queue, 16);
            while (netfront_rx_frame(queue, 0)) {
                packet_parse(queue->frame, queue->frame_length, &packet);
                flow = packet_flow(queue->frame, &packet) & 0xffff;
                ck_assert(queue_of[flow] == 0 || queue_of[flow] == i + 1);
                queue_of[flow] = (uint8_t)(i + 1);
                checker_take(checker, &(struct port_frame){.data = queue->frame, .length = queue->frame_length});
                got++;
                idle = 0;
            }
        }
        netfront_pause(1);
    }
    verdict = checker_verdict(checker);
    ck_assert_uint_eq(verdict.good, count);
    ck_assert_uint_eq(checker_bad(&verdict), 0);
    checker_destroy(checker);
}

static void carry_over(unsigned queues, bool split)
{
    const struct netback_statistics *statistics;
    struct netfront *front;
    uint64_t tx = 0, rx = 0;

    backend_load(&backend_sent, LAN);
    backend_load(&backend_received, LAN);
    backend_offer("all");
    front = backend_begin();
    port_checker_order_by_flow(backend_checker);
    front->split = split;
    netfront_add_queues(front, queues);
    netfront_connect(front, true);
    send_by_flow(front, &backend_received);
    backend_assert_good(backend_received.count);
    port_capture_go(backend_end);
    receive_by_flow(front, backend_sent.count);
    statistics = backend_statistics();
    ck_assert_uint_eq(statistics->queues, queues);
    for (unsigned i = 0; i < queues; i++) {
        ck_assert_msg(queues > 4 || (statistics->queue[i].rx_frames && statistics->queue[i].tx_frames),
                      "queue %u carried nothing", i);
        tx += statistics->queue[i].tx_frames;
        rx += statistics->queue[i].rx_frames;
    }
    ck_assert_uint_eq(tx, backend_received.count);
    ck_assert_uint_eq(rx, backend_sent.count);
}

GUEST_TEST(two_queues)
{
    carry_over(2, false);
}

GUEST_TEST(three_queues_with_split_channels)
{
    carry_over(3, true);
}

GUEST_TEST(sixteen_queues)
{
    carry_over(16, true);
}

/* The frame that waits for its queue is not lost, and what is on the others goes on after it. */
GUEST_TEST(a_queue_without_requests_is_waited_for)
{
    struct netfront *front;

    backend_load(&backend_sent, LAN);
    backend_offer("all");
    front = backend_begin();
    netfront_add_queues(front, 2);
    netfront_connect(front, true);
    port_capture_go(backend_end);
    for (unsigned i = 0; i < 4; i++) { /* queue 1 has none for a while */
        netfront_rx_post(front, 16);
        netfront_pause(3);
        while (netfront_rx_frame(front, 0))
            ;
    }
    ck_assert_uint_eq(backend_statistics()->rx.drops, 0);
    ck_assert_uint_eq(backend_statistics()->queue[1].rx_frames, 0);
    netfront_rx_post(front->other[1], 16);
    ck_assert(netfront_rx_frame(front->other[1], NETFRONT_PATIENCE));
    ck_assert_uint_eq(backend_statistics()->rx.drops, 0);
}

GUEST_TEST(numbers_of_queues_that_are_not_served)
{
    struct netfront *front;

    backend_offer("all,queues=4");
    front = backend_begin();
    netfront_add_queues(front, 2);
    for (unsigned i = 0; i < 2; i++) {
        front->queues = (unsigned[]){5, 100}[i];
        netfront_connect(front, false);
        netfront_wait_backend(front, XenbusStateClosing, false);
        again(front);
    }
    front->queues = 0; /* is written by hand */
    netfront_write(front, "multi-queue-num-queues", "0");
    netfront_connect(front, false);
    netfront_wait_backend(front, XenbusStateClosing, false);
    again(front);
    front->queues = 3; /* with the keys of two: nothing of them is connected */
    netfront_connect(front, false);
    netfront_wait_backend(front, XenbusStateClosing, false);
    {
        char *reason = backend_read_key("/local/domain/0/error/backend/vif/1/0/error");

        ck_assert_ptr_nonnull(strstr(reason, "queue-2/tx-ring-ref"));
        free(reason);
    }
    again(front);
    front->queues = 2;
    netfront_connect(front, true);
}

GUEST_TEST(another_number_of_queues_after_each_connection)
{
    static const unsigned numbers[] = {2, 1, 4, 3, 1};
    uint64_t frames = 0;
    struct netfront *front;

    backend_load(&backend_sent, LAN);
    backend_offer("all,queues=4");
    front = backend_begin();
    port_capture_go(backend_end);
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        netfront_add_queues(front, numbers[i]);
        netfront_connect(front, true);
        for (unsigned q = 0; q < numbers[i]; q++)
            netfront_rx_post(netfront_queue(front, q), 8);
        netfront_pause(5);
        ck_assert_uint_gt(backend_statistics()->rx.frames, frames);
        ck_assert_uint_eq(backend_statistics()->queues, numbers[i]);
        frames = backend_statistics()->rx.frames;
        netfront_close(front);
        netfront_set_state(front, XenbusStateInitialising);
        netfront_wait_backend(front, XenbusStateInitWait, false);
    }
    ck_assert_uint_eq(backend_statistics()->rx.drops, 0);
}

GUEST_TEST(a_broken_ring_of_one_queue_closes_the_vif)
{
    struct netfront *front;

    backend_offer("all");
    front = backend_begin();
    netfront_add_queues(front, 4);
    netfront_connect(front, true);
    ring_store(&front->other[2]->tx->req_prod, NETFRONT_SLOTS + 1);
    netfront_kick(front->other[2]);
    netfront_wait_backend(front, XenbusStateClosing, false);
    ck_assert(!backend_statistics()->connected);
    again(front);
    netfront_connect(front, true);
}

/* ---- the control ring ---- */

enum { SUCCESS, NOT_SUPPORTED, INVALID_PARAMETER, BUFFER_OVERFLOW };

static uint32_t ask(struct netfront *front, uint16_t type, uint32_t data0, uint32_t data1, uint32_t data2)
{
    return netfront_control(front, type, data0, data1, data2, NULL);
}

static struct netfront *with_control(unsigned queues)
{
    struct netfront *front = backend_begin();

    netfront_add_queues(front, queues);
    front->control = true;
    netfront_connect(front, true);
    return front;
}

GUEST_TEST(every_request_and_its_statuses)
{
    uint32_t *table, data = 77;
    struct netfront *front;

    backend_offer("all");
    front = with_control(2);
    table = memset(front->ctrl_page, 0, 4096);
    /* Without an algorithm there are no types of hash. */
    ck_assert_uint_eq(netfront_control(front, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, 0, 0, 0, &data), NOT_SUPPORTED);
    ck_assert_uint_eq(data, 0);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, 1, 0, 0), NOT_SUPPORTED);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, 2, 0, 0), INVALID_PARAMETER);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, 1, 0, 0), SUCCESS);
    ck_assert_uint_eq(netfront_control(front, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, 0, 0, 0, &data), SUCCESS);
    ck_assert_uint_eq(data, 15);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, 16, 0, 0), INVALID_PARAMETER);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, 15, 0, 0), SUCCESS);
    /* Keys. */
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, front->ctrl_page_ref, 41, 0), BUFFER_OVERFLOW);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, front->ctrl_page_ref, UINT32_MAX, 0),
                      BUFFER_OVERFLOW);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, 1999, 40, 0), INVALID_PARAMETER);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, front->ctrl_page_ref, 40, 0), SUCCESS);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, 1999, 0, 0), SUCCESS); /* of no size: no page */
    /* Mappings. */
    ck_assert_uint_eq(netfront_control(front, XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE, 0, 0, 0, &data), SUCCESS);
    ck_assert_uint_eq(data, 128);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, front->ctrl_page_ref, 1, 0), INVALID_PARAMETER);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, 129, 0, 0), INVALID_PARAMETER);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, 100, 0, 0), SUCCESS);
    table[0] = table[1] = 1;
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, front->ctrl_page_ref, 100, 0), SUCCESS);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, front->ctrl_page_ref, 2, 98), SUCCESS);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, front->ctrl_page_ref, 2, 99), INVALID_PARAMETER);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, front->ctrl_page_ref, 129, 0), BUFFER_OVERFLOW);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, front->ctrl_page_ref, 2, UINT32_MAX),
                      BUFFER_OVERFLOW);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, front->ctrl_page_ref, UINT32_MAX, 2),
                      BUFFER_OVERFLOW);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, 1999, 2, 0), INVALID_PARAMETER);
    table[1] = 2; /* no such queue */
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, front->ctrl_page_ref, 2, 0), INVALID_PARAMETER);
    /* What is not served, and what is nothing. */
    for (uint16_t type = XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE; type <= XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING;
         type++)
        ck_assert_uint_eq(ask(front, type, 0, front->ctrl_page_ref, 1), NOT_SUPPORTED);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_INVALID, 0, 0, 0), NOT_SUPPORTED);
    ck_assert_uint_eq(ask(front, 65535, 0, 0, 0), NOT_SUPPORTED);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, 0, 0, 0), SUCCESS);
    ck_assert_uint_eq(netfront_control(front, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, 0, 0, 0, &data), NOT_SUPPORTED);
    ck_assert_uint_eq(backend_statistics()->control, front->ctrl_prod);
}

GUEST_TEST(the_control_ring_wraps_and_may_break)
{
    struct netfront *front;

    backend_offer("all");
    front = with_control(1);
    for (unsigned i = 0; i < 300; i++)
        ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE, 0, 0, 0), SUCCESS);
    ring_store(&front->ctrl->req_prod, front->ctrl_prod + 129);
    front->tx_port = front->rx_port = front->ctrl_port;
    netfront_kick(front);
    netfront_wait_backend(front, XenbusStateClosing, false);
}

GUEST_TEST(a_full_control_ring_is_answered_in_turns)
{
    struct netfront *front;

    backend_offer("all");
    front = with_control(1);
    for (unsigned i = 0; i < 128; i++)
        front->ctrl->ring[i].req =
            (struct xen_netif_ctrl_request){.id = (uint16_t)(1000 + i), .type = (uint16_t)(i % 12)};
    ring_store(&front->ctrl->req_prod, 128);
    front->tx_port = front->rx_port = front->ctrl_port;
    netfront_kick(front);
    netfront_pause(5);
    ck_assert_uint_eq(ring_load(&front->ctrl->rsp_prod), 128);
    for (unsigned i = 0; i < 128; i++)
        ck_assert_uint_eq(front->ctrl->ring[i].rsp.id, 1000 + i);
}

GUEST_TEST(a_control_ring_that_is_not_offered_is_not_looked_at)
{
    struct netfront *front;

    backend_offer("none,sg");
    front = backend_begin();
    front->control = true;
    netfront_connect(front, true);
    backend_assert_key(BACKEND_PATH "feature-ctrl-ring", "0");
    front->ctrl->ring[0].req = (struct xen_netif_ctrl_request){.type = 4};
    ring_store(&front->ctrl->req_prod, 1);
    netfront_kick(front);
    netfront_pause(3);
    ck_assert_uint_eq(ring_load(&front->ctrl->rsp_prod), 0);
}

GUEST_TEST(a_control_ring_needs_its_event_channel)
{
    struct netfront *front;

    backend_offer("all");
    front = backend_begin();
    front->control = true;
    netfront_connect(front, true);
    netfront_close(front);
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
    front->control = false;
    netfront_write(front, "event-channel-ctrl", "what");
    netfront_connect(front, false);
    netfront_wait_backend(front, XenbusStateClosing, false);
}

/* ---- hashes ---- */

static const uint8_t key[TOEPLITZ_KEY_SIZE] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                               0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                               0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                               0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static void set_hash(struct netfront *front, uint32_t flags, unsigned key_size)
{
    memcpy(front->ctrl_page, key, sizeof(key));
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, 1, 0, 0), SUCCESS);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, flags, 0, 0), SUCCESS);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, front->ctrl_page_ref, key_size, 0), SUCCESS);
}

/* Entry i of the mapping is (i * step + shift) modulo the queues. */
static void set_mapping(struct netfront *front, unsigned size, unsigned step, unsigned shift)
{
    uint32_t *table = (uint32_t *)front->ctrl_page;

    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, size, 0, 0), SUCCESS);
    for (unsigned offset = 0; offset < size; offset += 50) { /* in parts */
        unsigned count = size - offset < 50 ? size - offset : 50;

        for (unsigned i = 0; i < count; i++)
            table[i] = ((offset + i) * step + shift) % front->rings;
        ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, front->ctrl_page_ref, count, offset),
                          SUCCESS);
    }
}

/*
 * The hash of a frame as the frontend has asked for it, by io/netif.h's own code; false: none. The types' numbers are
 * IPv4, IPv4 with TCP, IPv6, IPv6 with TCP.
 */
static bool expected_hash(const struct netfront *queue, uint32_t flags, unsigned key_size, uint32_t *value,
                          uint8_t *type)
{
    struct packet packet;
    uint8_t input[36];
    unsigned length = 0;
    uint64_t window = 0, sum = 0;

    packet_parse(queue->frame, queue->frame_length, &packet);
    if (!packet.version)
        return false;
    *type = packet.version == 4 ? 0 : 2;
    if (packet.payload && packet.protocol == PACKET_TCP && (flags & 1u << (*type + 1)))
        *type += 1;
    if (!(flags & 1u << *type))
        return false;
    length = packet.version == 4 ? 8 : 32;
    memcpy(input, queue->frame + packet.network + (packet.version == 4 ? 12 : 8), length);
    if (*type & 1) {
        memcpy(input + length, queue->frame + packet.transport, 4);
        length += 4;
    }
    for (unsigned i = 0; i < 8; i++)
        window = window << 8 | (i < key_size ? key[i] : 0);
    for (unsigned i = 0; i < length; i++) {
        for (unsigned bit = 0; bit < 8; bit++, window <<= 1)
            sum ^= input[i] & 0x80 >> bit ? window : 0;
        window |= i + 8 < key_size ? key[i + 8] : 0;
    }
    *value = (uint32_t)(sum >> 32);
    return true;
}

/* All frames come with the hash that was asked for, on the queue that the mapping (0: none) has for it. */
static void receive_hashed(struct netfront *front, unsigned count, uint32_t flags, unsigned key_size, unsigned size,
                           unsigned step, unsigned shift)
{
    unsigned got = 0, hashed = 0, idle = 0;

    while (got < count && idle++ < 100) {
        for (unsigned i = 0; i < front->rings; i++) {
            struct netfront *queue = netfront_queue(front, i);
            const netif_extra_info_t *extra = &queue->frame_extra[XEN_NETIF_EXTRA_TYPE_HASH];

            if (queue->rx_prod - queue->rx_cons < 16)
                netfront_rx_post(queue, 16);
            while (netfront_rx_frame(queue, 0)) {
                uint32_t value = 0, told;
                uint8_t type;
                bool expected = expected_hash(queue, flags, key_size, &value, &type);

                ck_assert_uint_eq(extra->type != 0, expected);
                if (expected) {
                    memcpy(&told, extra->u.hash.value, sizeof(told));
                    ck_assert_uint_eq(told, value);
                    ck_assert_uint_eq(extra->u.hash.type, type);
                    ck_assert_uint_eq(extra->u.hash.algorithm, 1);
                    hashed++;
                }
                if (flags)
                    ck_assert_uint_eq(i, (size ? value % size * step + shift : value) % front->rings);
                got++;
                idle = 0;
            }
        }
        netfront_pause(1);
    }
    ck_assert_uint_eq(got, count);
    ck_assert(hashed > 0 || !flags);
}

GUEST_TEST(frames_are_steered_as_the_mapping_says)
{
    struct netfront *front;

    backend_load(&backend_sent, LAN);
    backend_offer("all");
    front = with_control(4);
    set_hash(front, 15, 40);
    set_mapping(front, 128, 7, 1);
    port_capture_go(backend_end);
    receive_hashed(front, backend_sent.count, 15, 40, 128, 7, 1);
}

GUEST_TEST(steering_without_a_mapping_is_modular)
{
    struct netfront *front;

    backend_load(&backend_sent, LAN);
    backend_offer("all");
    front = with_control(3);
    set_hash(front, 2 | 4, 40); /* TCP over IPv4, addresses of IPv6 */
    port_capture_go(backend_end);
    receive_hashed(front, backend_sent.count, 2 | 4, 40, 0, 0, 0);
}

GUEST_TEST(a_short_key_goes_on_with_zeroes)
{
    struct netfront *front;

    backend_load(&backend_sent, LAN);
    backend_offer("all");
    front = with_control(2);
    set_hash(front, 15, 40);
    set_hash(front, 15, 5);
    set_mapping(front, 3, 1, 0);
    port_capture_go(backend_end);
    receive_hashed(front, backend_sent.count, 15, 5, 3, 1, 0);
}

GUEST_TEST(no_flags_no_hash)
{
    struct netfront *front;

    backend_load(&backend_sent, LAN);
    backend_offer("all");
    front = with_control(2);
    set_hash(front, 15, 40);
    ck_assert_uint_eq(ask(front, XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, 0, 0, 0), SUCCESS);
    port_capture_go(backend_end);
    receive_hashed(front, backend_sent.count, 0, 40, 0, 0, 0);
}

/* What was set ends with the connection. */
GUEST_TEST(a_new_connection_begins_without_hashes)
{
    struct netfront *front;
    uint32_t data;

    backend_load(&backend_sent, LAN);
    backend_offer("all");
    front = with_control(2);
    set_hash(front, 15, 40);
    netfront_close(front);
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
    netfront_connect(front, true);
    ck_assert_uint_eq(netfront_control(front, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, 0, 0, 0, &data), NOT_SUPPORTED);
    port_capture_go(backend_end);
    receive_hashed(front, backend_sent.count, 0, 40, 0, 0, 0);
}

/* Mappings change under traffic: every frame comes, once. */
GUEST_TEST(mappings_change_under_traffic)
{
    unsigned got = 0, idle = 0;
    struct netfront *front;

    backend_load(&backend_sent, LAN);
    backend_offer("all");
    front = with_control(4);
    set_hash(front, 15, 40);
    port_capture_go(backend_end);
    for (unsigned round = 0; got < backend_sent.count && idle < 100; round++, idle++) {
        for (unsigned i = 0; i < 4; i++) {
            struct netfront *queue = netfront_queue(front, i);

            if (queue->rx_prod - queue->rx_cons < 16)
                netfront_rx_post(queue, 16);
            for (; netfront_rx_frame(queue, 0); got++)
                idle = 0;
        }
        set_mapping(front, 1 + round % 128, 1 + round % 3, round);
    }
    ck_assert_uint_eq(got, backend_sent.count);
    ck_assert_uint_eq(backend_statistics()->rx.drops, 0);
}

static RING_IDX answered(struct netfront *queue)
{
    return ring_load(&queue->rx->rsp_prod);
}

/* Frames with hashes take two slots. */
static void await_full(struct netfront *queue)
{
    for (unsigned waited = 0; queue->rx_prod - answered(queue) > 1; waited++) {
        ck_assert_uint_lt(waited, NETFRONT_PATIENCE);
        netfront_pause(1);
    }
}

/* How long netback waits for frames on old queues; and the time until which it has to, of that frontend. */
#define SETTLE_NS 1000000000ull
static unsigned long long settled_by;

/* All frames go to queue 0 until it has no room for the next one, and then to queue 1. */
static struct netfront *on_the_old_queue(void)
{
    struct netfront *front;

    backend_load(&backend_sent, LAN);
    backend_offer("all");
    front = with_control(2);
    set_hash(front, 15, 40);
    set_mapping(front, 1, 1, 0);
    for (unsigned i = 0; i < 2; i++)
        netfront_rx_post(netfront_queue(front, i), 16);
    port_capture_go(backend_end);
    await_full(front);
    ck_assert_uint_eq(answered(front->other[1]), 0);
    settled_by = backend_clock() + SETTLE_NS;
    set_mapping(front, 1, 1, 1);
    return front;
}

GUEST_TEST(frames_that_are_steered_anew_wait_for_those_on_the_old_queue)
{
    struct netfront *front = on_the_old_queue();
    RING_IDX old = answered(front);
    unsigned frames = 0;

    while (front->rx_cons != old) {
        netfront_pause(3);
        ck_assert(answered(front->other[1]) == 0 || backend_clock() >= settled_by);
        ck_assert(netfront_rx_frame(front, 0));
        ck_assert_uint_eq(front->frame_length, backend_sent.frame[frames++].length);
    }
    await_full(front->other[1]);
    ck_assert(backend_clock() < settled_by || engine_is_parallel());
    ck_assert_uint_eq(answered(front), old);
    while (netfront_rx_frame(front->other[1], 0))
        ck_assert_uint_eq(front->other[1]->frame_length, backend_sent.frame[frames++].length);
}

/* However often it changes its mind meanwhile. */
GUEST_TEST(a_frontend_that_does_not_say_what_it_has_taken_is_not_waited_for_for_ever)
{
    struct netfront *front = on_the_old_queue();

    for (unsigned waited = 0; answered(front->other[1]) == 0; waited++) {
        ck_assert_uint_lt(waited, 2000);
        if (waited % 100 == 0)
            set_mapping(front, 1 + waited / 100 % 2, 2, 1); /* to queue 1 still */
        netfront_pause(1);
    }
    ck_assert(backend_clock() >= settled_by);
    await_full(front->other[1]);
    ck_assert_uint_eq(backend_statistics()->rx.drops, 0);
}

static unsigned asked;

static bool count_receive(struct port *port, struct port_frame *frame)
{
    (void)port;
    (void)frame;
    asked++;
    return false;
}

/* Another VIF, connected, with requests for frames, which its end has none of. */
static void attach_idle_vif(void)
{
    static struct port_ops counting;
    struct toolstack_vif vif = {.domid = backend_domid, .handle = 1, .mac = {0x00, 0x16, 0x3e, 1, 2, 4}, .mtu = 1500};
    struct netfront *front;

    ck_assert_msg(toolstack_network_attach(backend_toolstack, &vif, 1000), "%s", toolstack_error(backend_toolstack));
    counting = *backend_checker->ops;
    counting.receive = count_receive;
    backend_checker->ops = &counting;
    front = netfront_create(backend_domid, 1);
    netfront_connect(front, true);
    netfront_rx_post(front, 16);
    netfront_pause(10);
}

/* netback looks at its rings again and again while it waits, and leaves those alone that have nothing to wait for. */
GUEST_TEST(one_that_is_waited_for_is_nothing_to_others)
{
    struct netfront *front = on_the_old_queue();

    attach_idle_vif();
    asked = 0;
    netfront_pause(200);
    ck_assert(backend_clock() < settled_by || engine_is_parallel());
    ck_assert(answered(front->other[1]) == 0 || backend_clock() >= settled_by);
    ck_assert_msg(asked == 0, "the other one's end was asked for frames %u times", asked);
    port_wake(backend_checker);
    netfront_pause(10);
    ck_assert_uint_eq(asked, 1);
    await_full(front->other[1]);
}

/* What changes nothing holds nothing up. */
GUEST_TEST(a_request_that_changes_nothing_is_not_waited_for)
{
    struct netfront *front;

    backend_load(&backend_sent, LAN);
    backend_offer("all");
    front = with_control(2);
    set_hash(front, 15, 40);
    set_mapping(front, 1, 1, 0);
    netfront_rx_post(front, 16);
    port_capture_go(backend_end);
    await_full(front);
    settled_by = backend_clock() + SETTLE_NS;
    set_mapping(front, 1, 1, 0);
    netfront_rx_post(front, 16);
    await_full(front);
    ck_assert(backend_clock() < settled_by || engine_is_parallel());
}

int main(void)
{
    const TTest *const tests[] = {
        two_queues,
        three_queues_with_split_channels,
        sixteen_queues,
        a_queue_without_requests_is_waited_for,
        numbers_of_queues_that_are_not_served,
        another_number_of_queues_after_each_connection,
        a_broken_ring_of_one_queue_closes_the_vif,
        every_request_and_its_statuses,
        the_control_ring_wraps_and_may_break,
        a_full_control_ring_is_answered_in_turns,
        a_control_ring_that_is_not_offered_is_not_looked_at,
        a_control_ring_needs_its_event_channel,
        frames_are_steered_as_the_mapping_says,
        steering_without_a_mapping_is_modular,
        a_short_key_goes_on_with_zeroes,
        no_flags_no_hash,
        a_new_connection_begins_without_hashes,
        mappings_change_under_traffic,
        frames_that_are_steered_anew_wait_for_those_on_the_old_queue,
        a_frontend_that_does_not_say_what_it_has_taken_is_not_waited_for_for_ever,
        one_that_is_waited_for_is_nothing_to_others,
        a_request_that_changes_nothing_is_not_waited_for,
    };
    Suite *suite = suite_create("queues");
    TCase *tcase = tcase_create("queues");

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
