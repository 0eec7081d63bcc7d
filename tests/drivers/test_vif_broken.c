/*
 * Rings on which a backend breaks the protocol, and pages that it keeps (field bugs FB10, FB18): what cannot be told
 * what it means closes the device with an error, what is merely wrong is dropped and counted; a page goes back to
 * nobody as long as the backend can read it, within bounds of time.
 */
#include <stdio.h>
#include <string.h>

#include "common/inet.h"
#include "common/vif_backend.h"
#include "common/vif_client.h"
#include "machine/clock.h"
#include "nt/ex/pool.h"
#include "nt/pnp/pnp.h"

#define PLAYED .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .before_boot = vif_backend_make, .quiet = true
#define CHILD "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\1"
#define STATE "device/vif/1/state"
#define GRANTER_TAG POOL_TAG('V', 'g', 'n', 't')
#define SECOND UINT64_C(1000000000)
#define PATIENCE_MS 20000u
#define HELD_MAX 512u /* pages of a ring that a backend may keep */

static uint8_t frame[INET_FRAME_MAX];
static struct vif_backend_packet taken;

static size_t make_frame(size_t payload)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = payload};

    return inet_make(frame, &kind);
}

/* In pages of its own, so that they are granted as they are. */
static void send(size_t payload)
{
    struct vif_client_packet packet = {.data = frame, .length = make_frame(payload), .piece = 4096};

    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
}

static void receive(void)
{
    struct vif_backend_frame given = {.data = frame, .length = make_frame(300)};

    vif_client_forget();
    vif_backend_give(&given);
    vif_client_await_received(1);
    ck_assert_mem_eq(vif_client_received(0)->data, frame, given.length);
}

static void carry(void)
{
    send(300);
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    receive();
}

static void begin(void)
{
    vif_backend_features("feature-sg=1");
    stack_store_write(stack_path("device/vif/1/mtu"), "20000");
    vif_client_begin();
    carry();
}

/* ---- what cannot be told what it means ---- */

static void tx_id_never_issued(void)
{
    send(100);
    vif_backend_odd_tx(0x8000, NETIF_RSP_OKAY);
}

static void tx_id_not_in_use(void)
{
    send(100);
    vif_backend_odd_tx(1, NETIF_RSP_OKAY);
}

/* The second request of a packet is answered in the name of the first. */
static void tx_id_twice(void)
{
    send(12000);
    vif_backend_odd_tx(0, NETIF_RSP_OKAY);
    vif_backend_same_tx();
}

static void tx_no_status(void)
{
    send(100);
    vif_backend_odd_tx(0, NETIF_RSP_NULL);
}

static void tx_ahead(void)
{
    send(100);
    vif_backend_odd_producer(true, 2);
}

static void tx_far_ahead(void)
{
    send(100);
    vif_backend_odd_producer(true, 0x80000000);
}

static void tx_backwards(void)
{
    send(100);
    vif_backend_odd_producer(true, (uint32_t)-1);
}

static void rx_wrong_id(void)
{
    send(100);
    vif_backend_odd_rx(1, (netif_rx_response_t){.status = 60});
}

static void rx_ahead(void)
{
    send(100);
    vif_backend_odd_producer(false, 257);
}

static void rx_backwards(void)
{
    send(100);
    vif_backend_odd_producer(false, (uint32_t)-1);
}

static void rx_late_extra(void)
{
    send(100);
    vif_backend_odd_rx(0, (netif_rx_response_t){.status = 60, .flags = NETRXF_more_data});
    vif_backend_odd_rx(0, (netif_rx_response_t){.status = 60, .flags = NETRXF_extra_info});
}

static void rx_endless_frame(void)
{
    send(100);
    for (unsigned i = 0; i < 260 && vif_backend_room() != 0; i++) {
        vif_backend_odd_rx(0, (netif_rx_response_t){.status = 60, .flags = NETRXF_more_data});
        stack_sleep_us(200);
    }
}

static void rx_endless_extra(void)
{
    send(100);
    vif_backend_odd_rx(0, (netif_rx_response_t){.status = 60, .flags = NETRXF_extra_info});
    for (unsigned i = 0; i < XEN_NETIF_EXTRA_TYPE_MAX; i++)
        vif_backend_odd_extra(
            (netif_extra_info_t){.type = XEN_NETIF_EXTRA_TYPE_GSO, .flags = XEN_NETIF_EXTRA_FLAG_MORE});
}

static const struct breach {
    void (*breach)(void);
    const char *error;
} breaches[] = {
    {tx_id_never_issued, "ID that is not in use"},
    {tx_id_not_in_use, "ID that is not in use"},
    {tx_id_twice, "ID that is not in use"},
    {tx_no_status, "without a status"},
    {tx_ahead, "transmit responses ahead"},
    {tx_far_ahead, "transmit responses ahead"},
    {tx_backwards, "transmit responses ahead"},
    {rx_wrong_id, "not its request's"},
    {rx_ahead, "receive responses ahead"},
    {rx_backwards, "receive responses ahead"},
    {rx_late_extra, "later slot"},
    {rx_endless_frame, "does not end"},
    {rx_endless_extra, "extra info does not end"},
};

/* The device is closed with an error, its packets are back, and it works again when the backend has been restarted. */
static void break_ring(void *argument)
{
    const struct breach *breach = argument;
    char text[256] = "";

    begin();
    for (unsigned round = 0; round < 2; round++) {
        breach->breach();
        stack_store_await(stack_path(STATE), "5", PATIENCE_MS);
        ck_assert(stack_store_read(stack_path("error/device/vif/1/error"), text, sizeof(text)));
        ck_assert_msg(strstr(text, breach->error) != NULL, "%s", text);
        vif_client_await_link(false);
        vif_backend_state("5");
        stack_store_await(stack_path(STATE), "6", PATIENCE_MS);
        vif_backend_let_go();
        vif_backend_state("6");
        ck_assert_uint_ne(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
        stack_sleep_us(50000);
        stack_store_await(stack_path(STATE), "6", 1); /* it would do it again */
        vif_backend_state("2");
        vif_backend_connect();
        vif_client_await_link(true);
        stack_store_await(stack_path("error/device/vif/1/error"), "(absent)", PATIENCE_MS);
        carry();
    }
    vif_client_finish();
}

START_TEST(fb10_broken_ring)
{
    static const struct stack_options options = {PLAYED};

    stack_run(&options, break_ring, (void *)&breaches[_i]);
}
END_TEST

/* ---- what is merely wrong ---- */

STACK_TEST(fb10_wrong_slots, PLAYED)
{
    static const netif_rx_response_t wrong[] = {
        {.status = 0},
        {.status = NETIF_RSP_ERROR},
        {.status = NETIF_RSP_DROPPED},
        {.status = INT16_MIN},
        {.status = 4097},
        {.status = INT16_MAX},
        {.status = 4096, .offset = 1},
        {.status = 60, .offset = 4037},
        {.status = 60, .offset = 65535},
        {.status = 60, .flags = NETRXF_gso_prefix},
        {.status = 60, .flags = 0x8000},
        {.status = 13}, /* less than a header */
    };
    uint64_t errors = 0;

    begin();
    for (unsigned i = 0; i < ARRAYSIZE(wrong); i++) {
        vif_backend_odd_rx(0, wrong[i]);
        receive();
        ck_assert_msg(vif_client_statistic(XENVIF_RECEIVER_BACKEND_ERRORS) == ++errors, "case %u", i);
    }

    /* More slots than a packet has, but it ends; each of them may be of a page. */
    for (unsigned size = 60; size <= 4096; size += 4036) {
        for (unsigned i = 0; i < 30; i++)
            vif_backend_odd_rx(0,
                               (netif_rx_response_t){.status = (int16_t)size, .flags = i < 29 ? NETRXF_more_data : 0});
        receive();
        ck_assert_uint_eq(vif_client_statistic(XENVIF_RECEIVER_BACKEND_ERRORS), ++errors);
    }
    carry();
    stack_store_await(stack_path("error/device/vif/1/error"), "(absent)", 1);
    vif_client_finish();
}

/* ---- pages that are kept ---- */

static VOID NTAPI disable_client(PVOID unused)
{
    (void)unused;
    vif_client_disable();
}

/* The toolstack's word that there is no such device, whatever is mapped of it. */
static void detach(void)
{
    stack_store_remove(stack_path("device/vif/1"));
    pnp_wait_quiet();
    ck_assert_ptr_null(pnp_find(CHILD));
}

STACK_TEST(fb18_packet_whose_page_is_kept, PLAYED, .engine = ENGINE_DETERMINISTIC)
{
    XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO completion;
    PKTHREAD thread;
    uint64_t start;

    begin();

    /* It has been answered, and is not the client's before the backend lets go. */
    vif_backend_keep();
    send(12000);
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    stack_sleep_us(3000000);
    ck_assert(!vif_client_is_back());
    receive();
    vif_backend_release();
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    carry();

    /* Who waits for it, waits for a bounded time, and is told. */
    vif_backend_keep();
    send(12000);
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    start = clock_now();
    thread = stack_thread(disable_client, NULL);
    stack_store_await(stack_path(STATE), "5", PATIENCE_MS);
    vif_backend_state("5");
    stack_store_await(stack_path(STATE), "6", PATIENCE_MS);
    vif_backend_let_go();
    vif_backend_state("6");
    stack_join(thread);
    ck_assert_uint_ge(clock_now() - start, 4 * SECOND);
    ck_assert_uint_lt(clock_now() - start, 8 * SECOND);
    ck_assert(vif_client_is_back());
    completion = vif_client_await_sent();
    ck_assert_uint_eq(completion.Status, XENVIF_TRANSMITTER_PACKET_ERROR);

    /* Another connection meanwhile; and the device goes before its grants do. */
    vif_backend_state("2");
    vif_client_enable();
    vif_backend_connect();
    vif_client_await_link(true);
    vif_backend_let_go();
    vif_backend_state("6");
    vif_client_disable();
    vif_client_release();
    detach();
    stack_sleep_us(2500000);
    ck_assert_uint_ne(pool_tag_bytes(GRANTER_TAG), 0);
    vif_backend_release();
    stack_sleep_us(2500000);
    ck_assert_uint_eq(pool_tag_bytes(GRANTER_TAG), 0);
    vif_backend_end();
}

/* More of them than are left to a backend: that is the end of the connection, and of others until it lets go. */
STACK_TEST(fb18_more_pages_than_may_be_kept, PLAYED, .engine = ENGINE_DETERMINISTIC)
{
    struct vif_client_packet packet = {.data = frame, .piece = 4096};
    char text[256] = "";
    unsigned kept = 0;

    begin();
    vif_backend_keep();
    packet.length = make_frame(8192 - 42); /* a copy of the headers, and two pages of the packet's own */
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    for (;;) {
        vif_backend_await(&taken, NETIF_RSP_OKAY);
        ck_assert_uint_eq(taken.slots, 3);
        kept++;
        stack_sleep_us(1000);
        if (!stack_store_read(stack_path(STATE), text, sizeof(text)) || strcmp(text, "4") != 0)
            break;
        ck_assert_uint_le(kept, HELD_MAX);
        ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
    }
    ck_assert_uint_gt(kept, HELD_MAX);
    ck_assert(!vif_client_is_back());
    ck_assert(stack_store_read(stack_path("error/device/vif/1/error"), text, sizeof(text)));
    ck_assert_msg(strstr(text, "answered and still mapped") != NULL, "%s", text);
    stack_store_await(stack_path(STATE), "5", PATIENCE_MS);
    vif_client_await_link(false);
    vif_backend_state("5");
    stack_store_await(stack_path(STATE), "6", PATIENCE_MS);
    vif_backend_let_go();
    vif_backend_state("6");
    stack_sleep_us(50000);
    vif_backend_state("2");
    stack_sleep_us(3000000);
    stack_store_await(stack_path(STATE), "1", 1);
    ck_assert(stack_store_read(stack_path("error/device/vif/1/error"), text, sizeof(text)));
    ck_assert_msg(strstr(text, "do not let go") != NULL, "%s", text);

    vif_backend_release();
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    vif_backend_connect();
    vif_client_await_link(true);
    carry();
    vif_client_finish();
}

/* The rings themselves, by a backend that says that it has closed: the device may go all the same, and they do later.
 */
STACK_TEST(fb18_rings_that_are_kept, PLAYED, .engine = ENGINE_DETERMINISTIC)
{
    begin();
    vif_backend_state("5");
    stack_store_await(stack_path(STATE), "6", PATIENCE_MS);
    vif_backend_state("6");
    stack_store_await(stack_path(STATE), "1", PATIENCE_MS);
    STACK_ASSERT_LOGGED("vif_1_tx_0: domain 0 still has grant");
    STACK_ASSERT_LOGGED("vif_1_rx_0: domain 0 still has grant");
    vif_client_disable();
    vif_client_release();
    detach();
    stack_sleep_us(2500000);
    ck_assert_uint_ne(pool_tag_bytes(GRANTER_TAG), 0);
    vif_backend_let_go();
    stack_sleep_us(2500000);
    ck_assert_uint_eq(pool_tag_bytes(GRANTER_TAG), 0);
    vif_backend_end();
}

int main(void)
{
    Suite *suite = suite_create("broken VIFs");
    TCase *tcase = tcase_create("rings");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, fb10_broken_ring, 0, ARRAYSIZE(breaches));
    tcase_add_test(tcase, fb10_wrong_slots);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("pages");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, fb18_packet_whose_page_is_kept);
    tcase_add_test(tcase, fb18_more_pages_than_may_be_kept);
    tcase_add_test(tcase, fb18_rings_that_are_kept);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
