/*
 * netback's side of io/netif.h: every split of a frame that is legal and those that are not, back-pressure,
 * notifications.
 */
#include "common/backend.h"

#include <xen/io/xenbus.h>

/* ---- guest to network ---- */

GUEST_TEST(every_legal_split)
{
    enum { FRAMES = 36 };
    uint32_t length[FRAMES];
    uint16_t size[FRAMES][XEN_NETIF_NR_SLOTS_MIN];
    struct netfront *front;

    for (unsigned i = 0; i < FRAMES; i++) {
        unsigned slots = i % XEN_NETIF_NR_SLOTS_MIN + 1;

        length[i] = 0;
        for (unsigned s = 0; s < slots; s++) {
            /* 1-byte slots with one that makes up the header; then slots up to the protocol's 64 KiB less one. */
            size[i][s] = i < XEN_NETIF_NR_SLOTS_MIN ? (uint16_t)(s == slots - 1 ? 60 : 1)
                                                    : (uint16_t)(s ? 65535 / XEN_NETIF_NR_SLOTS_MIN - s : 3600 - i);
            length[i] += size[i][s];
        }
    }
    backend_make_frames(&backend_received, length, FRAMES);
    front = backend_begin();
    netfront_connect(front, true);
    for (unsigned i = 0; i < FRAMES; i++) {
        netfront_tx_frame(front, backend_received.frame[i].data, size[i], i % XEN_NETIF_NR_SLOTS_MIN + 1);
        netfront_tx_push(front);
        if (i % 9 == 8)
            netfront_tx_drain(front);
    }
    netfront_tx_drain(front);
    ck_assert_uint_eq(front->tx_error, 0);
    backend_assert_good(FRAMES);
}

GUEST_TEST(largest_frame_in_full_pages)
{
    const uint32_t length = 65535;
    uint16_t size[16];
    struct netfront *front;

    for (unsigned i = 0; i < 16; i++)
        size[i] = i < 15 ? 4096 : 4095;
    backend_make_frames(&backend_received, &length, 1);
    front = backend_begin();
    netfront_connect(front, true);
    netfront_tx_frame(front, backend_received.frame[0].data, size, 16);
    netfront_tx_push(front);
    netfront_tx_drain(front);
    backend_assert_good(1);
}

/* Illegal frames: each is answered by errors, and what follows is carried. */
GUEST_TEST(refuses_what_is_illegal)
{
    const uint32_t length = 64;
    const uint16_t size = 64;
    netif_tx_request_t stranger = {.gref = 1999, .size = 100};
    struct netfront *front;

    backend_make_frames(&backend_received, &length, 1);
    front = backend_begin();
    netfront_connect(front, true);
    netfront_tx_request(front, 4090, 60, 0); /* past the end of its page */
    netfront_tx_request(front, 0, 13, 0);    /* no header */
    netfront_tx_request(front, 0, 0, 0);
    netfront_tx_request(front, 0, 5000, 0);                /* more than a page */
    netfront_tx_request(front, 0, 100, NETTXF_csum_blank); /* not offered */
    netfront_tx_request(front, 0, 100, NETTXF_more_data);  /* parts that are the whole */
    netfront_tx_request(front, 0, 100, 0);
    netfront_tx_request(front, 0, 100, NETTXF_more_data); /* a slot without bytes */
    netfront_tx_request(front, 0, 0, 0);
    for (unsigned i = 0; i < XEN_NETIF_NR_SLOTS_MIN + 1; i++) /* a slot too many */
        netfront_tx_request(front, 0, i ? 1 : 1000, i < XEN_NETIF_NR_SLOTS_MIN ? NETTXF_more_data : 0);
    netfront_tx_request(front, 0, 100, NETTXF_extra_info); /* extras not offered */
    netfront_tx_extra(front, XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_EXTRA_FLAG_MORE);
    netfront_tx_extra(front, 77, 0);
    stranger.id = (uint16_t)(front->tx_prod % NETFRONT_SLOTS);
    netfront_tx_raw(front, &stranger); /* nothing granted there */
    netfront_tx_frame(front, backend_received.frame[0].data, &size, 1);
    netfront_tx_push(front);
    netfront_tx_drain(front);
    ck_assert_uint_eq(backend_statistics()->tx.errors, 10);
    ck_assert_uint_eq(front->tx_error, 9 + XEN_NETIF_NR_SLOTS_MIN + 1 + 1 + 1);
    ck_assert_uint_eq(front->tx_null, 2);
    ck_assert_uint_eq(front->tx_okay, 1);
    backend_assert_good(1);
}

GUEST_TEST(a_frame_may_be_shown_in_parts)
{
    const uint32_t length = 130;
    struct netfront *front;
    unsigned number;

    backend_make_frames(&backend_received, &length, 1);
    front = backend_begin();
    netfront_connect(front, true);
    number = netfront_tx_request(front, 0, 130, NETTXF_more_data);
    memcpy(front->tx_page[number], backend_received.frame[0].data, 100);
    netfront_tx_push(front);
    netfront_pause(5);
    ck_assert_uint_eq(ring_load(&front->tx->rsp_prod), 0);
    number = netfront_tx_request(front, 7, 30, 0);
    memcpy(front->tx_page[number] + 7, backend_received.frame[0].data + 100, 30);
    ck_assert(netfront_tx_push(front)); /* the backend sleeps and wants to know */
    netfront_tx_drain(front);
    backend_assert_good(1);
}

GUEST_TEST(a_frame_without_end_closes_the_vif)
{
    struct netfront *front = backend_begin();

    netfront_connect(front, true);
    for (unsigned i = 0; i < NETFRONT_SLOTS; i++)
        netfront_tx_request(front, 0, i ? 1 : 1000, NETTXF_more_data);
    netfront_tx_push(front);
    netfront_wait_backend(front, XenbusStateClosing, false);
    ck_assert(!backend_statistics()->connected);
}

static void reopen(struct netfront *front)
{
    netfront_set_state(front, XenbusStateClosed);
    netfront_wait_backend(front, XenbusStateClosed, false);
    netfront_set_state(front, XenbusStateInitialising);
    netfront_wait_backend(front, XenbusStateInitWait, false);
}

GUEST_TEST(an_index_out_of_range_closes_the_vif)
{
    const uint32_t length = 100;
    struct netfront *front;

    backend_make_frames(&backend_sent, &length, 1);
    front = backend_begin();
    netfront_connect(front, true);
    ring_store(&front->tx->req_prod, NETFRONT_SLOTS + 1);
    netfront_kick(front);
    netfront_wait_backend(front, XenbusStateClosing, false);
    reopen(front);
    netfront_connect(front, true);
    ring_store(&front->rx->req_prod, NETFRONT_SLOTS + 1);
    port_capture_go(backend_end);
    netfront_wait_backend(front, XenbusStateClosing, false);
    reopen(front);
    netfront_connect(front, true);
    netfront_rx_post(front, 1);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE)); /* the frame waited for a frontend that takes it */
}

/* ---- network to guest ---- */

static void assert_frame(const struct netfront *front, unsigned index)
{
    ck_assert(!front->frame_bad);
    ck_assert_uint_eq(front->frame_length, backend_sent.frame[index].length);
    ck_assert_mem_eq(front->frame, backend_sent.frame[index].data, front->frame_length);
}

GUEST_TEST(frames_of_every_size_reach_the_guest)
{
    static const uint32_t length[] = {14, 60, 1514, 4095, 4096, 4097, 8192, 8193, 40000, 65535};
    const unsigned count = sizeof(length) / sizeof(length[0]);
    struct netfront *front;

    backend_make_frames(&backend_sent, length, count);
    front = backend_begin();
    netfront_connect(front, true);
    netfront_rx_post(front, NETFRONT_SLOTS);
    port_capture_go(backend_end);
    for (unsigned i = 0; i < count; i++) {
        ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
        assert_frame(front, i);
    }
    ck_assert_uint_eq(backend_statistics()->rx.frames, count);
    ck_assert_uint_eq(backend_statistics()->rx.ring.responses, front->rx_cons);
}

GUEST_TEST(frames_wait_for_requests)
{
    static const uint32_t length[] = {100, 10000, 200};
    struct netfront *front;

    backend_make_frames(&backend_sent, length, 3);
    front = backend_begin();
    netfront_connect(front, true);
    port_capture_go(backend_end);
    netfront_pause(5);
    netfront_rx_post(front, 1);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    assert_frame(front, 0);
    netfront_rx_post(front, 2); /* the second frame needs three */
    ck_assert(!netfront_rx_frame(front, 10));
    netfront_rx_post(front, 1);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    assert_frame(front, 1);
    netfront_rx_post(front, 1);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    assert_frame(front, 2);
    ck_assert_uint_eq(backend_statistics()->rx.drops, 0);
}

GUEST_TEST(frames_do_not_wait_without_rx_notify)
{
    static const uint32_t length[] = {100, 200, 300};
    struct netfront *front;

    backend_make_frames(&backend_sent, length, 3);
    front = backend_begin();
    front->rx_notify = false;
    netfront_connect(front, true);
    netfront_rx_post(front, 1);
    port_capture_go(backend_end);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    assert_frame(front, 0);
    netfront_rx_post(front, 8);
    ck_assert(!netfront_rx_frame(front, 10));
    ck_assert_uint_eq(backend_statistics()->rx.drops, 2);
}

GUEST_TEST(large_frames_need_sg)
{
    static const uint32_t length[] = {5000, 200};
    struct netfront *front;

    backend_make_frames(&backend_sent, length, 2);
    front = backend_begin();
    front->sg = false;
    netfront_connect(front, true);
    netfront_rx_post(front, 8);
    port_capture_go(backend_end);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    assert_frame(front, 1);
    ck_assert_uint_eq(backend_statistics()->rx.drops, 1);
}

GUEST_TEST(pages_that_cannot_be_written_are_answered)
{
    static const uint32_t length[] = {5000, 200};
    struct netfront *front;

    backend_make_frames(&backend_sent, length, 2);
    front = backend_begin();
    front->rx_ref[1] = 1999; /* nothing granted there */
    netfront_connect(front, true);
    netfront_rx_post(front, 3);
    port_capture_go(backend_end);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    ck_assert(front->frame_bad);
    ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
    assert_frame(front, 1);
    ck_assert_uint_eq(backend_statistics()->rx.errors, 1);
    ck_assert_uint_eq(backend_statistics()->rx.frames, 1);
}

GUEST_TEST(rings_wrap)
{
    enum { FRAMES = 700 };
    static uint32_t length[FRAMES];
    const uint16_t size = 60;
    struct netfront *front;

    for (unsigned i = 0; i < FRAMES; i++)
        length[i] = 60;
    backend_make_frames(&backend_sent, length, FRAMES);
    backend_make_frames(&backend_received, length, FRAMES);
    front = backend_begin();
    netfront_connect(front, true);
    port_capture_go(backend_end);
    for (unsigned i = 0; i < FRAMES; i++) {
        netfront_tx_frame(front, backend_received.frame[i].data, &size, 1);
        if (i % 100 == 99) {
            netfront_tx_push(front);
            netfront_tx_drain(front);
        }
        if (i % 200 == 0)
            netfront_rx_post(front, 200);
        ck_assert(netfront_rx_frame(front, NETFRONT_PATIENCE));
        assert_frame(front, i);
    }
    backend_assert_good(FRAMES);
}

static const struct port_ops *usual;
static struct netfront *turning;
static unsigned taken;

/* In the middle of a batch the frontend takes requests back that netback has used. */
static bool receive_and_turn_back(struct port *port, struct port_frame *frame)
{
    if (++taken == 13)
        ring_store(&turning->rx->req_prod, 100);
    return usual->receive(port, frame);
}

GUEST_TEST(requests_taken_back)
{
    enum { FRAMES = 40 };
    static uint32_t length[FRAMES];
    static struct port_ops ops;

    for (unsigned i = 0; i < FRAMES; i++)
        length[i] = 65000; /* 16 slots */
    backend_make_frames(&backend_sent, length, FRAMES);
    turning = backend_begin();
    turning->sg = true;
    netfront_connect(turning, true);
    usual = backend_end->ops;
    ops = *usual;
    ops.receive = receive_and_turn_back;
    backend_end->ops = &ops;
    netfront_rx_post(turning, NETFRONT_SLOTS - 1);
    port_capture_go(backend_end);
    netfront_wait_backend(turning, XenbusStateClosing, false);
    ck_assert_uint_eq(taken, 13);
}

/* ---- notifications ---- */

GUEST_TEST(notifies_only_when_asked)
{
    const uint16_t size = 60;
    uint32_t length[16];
    struct netfront *front;
    const struct netback_ring_statistics *ring;
    uint64_t notified, suppressed;

    for (unsigned i = 0; i < 16; i++)
        length[i] = 60;
    backend_make_frames(&backend_received, length, 16);
    front = backend_begin();
    netfront_connect(front, true);
    ring = &backend_statistics()->tx.ring;
    notified = ring->notifications_sent;
    front->tx->rsp_event = 4; /* tell of the fourth response */
    for (unsigned i = 0; i < 8; i++) {
        netfront_tx_frame(front, backend_received.frame[i].data, &size, 1);
        netfront_tx_push(front);
        netfront_tx_drain(front);
        netfront_pause(2); /* the count follows the response */
        ck_assert_uint_eq(ring->notifications_sent - notified, i >= 3);
    }
    ck_assert_uint_eq(ring->notifications_suppressed, 7);
    suppressed = ring->notifications_suppressed;
    front->tx->rsp_event = 8 + 3; /* in the middle of those that come at once */
    for (unsigned i = 8; i < 16; i++)
        netfront_tx_frame(front, backend_received.frame[i].data, &size, 1);
    netfront_tx_push(front);
    netfront_tx_drain(front);
    ck_assert_uint_eq(ring->notifications_sent - notified, 2);
    ck_assert_uint_eq(ring->notifications_suppressed, suppressed);
    backend_assert_good(16);
}

GUEST_TEST(asks_for_events_only_when_it_sleeps)
{
    const uint16_t size = 60;
    const uint32_t length[3] = {60, 60, 60};
    struct netfront *front;

    backend_make_frames(&backend_received, length, 3);
    front = backend_begin();
    netfront_connect(front, true);
    netfront_pause(2);
    ck_assert_uint_eq(ring_load(&front->tx->req_event), 1);
    for (unsigned i = 0; i < 3; i++) {
        netfront_tx_frame(front, backend_received.frame[i].data, &size, 1);
        ck_assert(netfront_tx_push(front)); /* it sleeps: each needs an event */
        netfront_tx_drain(front);
        netfront_pause(2);
        ck_assert_uint_eq(ring_load(&front->tx->req_event), i + 2);
    }
    /* Nobody waits for receive requests while there is no frame: no events are asked for. */
    netfront_rx_post(front, 8);
    netfront_rx_post(front, 8);
    netfront_pause(2);
    ck_assert_uint_le(backend_statistics()->rx.ring.events, 5);
}

int main(void)
{
    const TTest *const tests[] = {
        every_legal_split,
        largest_frame_in_full_pages,
        refuses_what_is_illegal,
        a_frame_may_be_shown_in_parts,
        a_frame_without_end_closes_the_vif,
        an_index_out_of_range_closes_the_vif,
        frames_of_every_size_reach_the_guest,
        frames_wait_for_requests,
        frames_do_not_wait_without_rx_notify,
        large_frames_need_sg,
        pages_that_cannot_be_written_are_answered,
        rings_wrap,
        requests_taken_back,
        notifies_only_when_asked,
        asks_for_events_only_when_it_sleeps,
    };
    Suite *suite = suite_create("rings");
    TCase *tcase = tcase_create("rings");

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
