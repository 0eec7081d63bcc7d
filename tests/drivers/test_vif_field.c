/* What users of such drivers met in the field (shared/facts/field-bugs.md), by a backend that does it. */
#include <string.h>

#include "common/inet.h"
#include "common/vif_backend.h"
#include "common/vif_client.h"
#include "machine/clock.h"
#include "nt/pnp/pnp.h"

#define PLAYED                                                                                                         \
    .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .before_boot = vif_backend_make, .restored = vif_backend_restored
#define CHILD "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\1"
#define STATE "device/vif/1/state"
#define SECOND UINT64_C(1000000000)
#define PATIENCE_MS 20000u

static uint8_t frame[INET_FRAME_MAX];
static struct vif_backend_packet taken;

static void await_state(const char *state)
{
    stack_store_await(stack_path(STATE), state, PATIENCE_MS);
}

static size_t make_frame(size_t payload)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = payload};

    return inet_make(frame, &kind);
}

static NTSTATUS send(size_t payload)
{
    struct vif_client_packet packet = {.data = frame, .length = make_frame(payload)};

    return vif_client_send(&packet);
}

static void receive(size_t payload)
{
    struct vif_backend_frame given = {.data = frame, .length = make_frame(payload)};

    vif_client_forget();
    vif_backend_give(&given);
    vif_client_await_received(1);
    ck_assert_uint_eq(vif_client_received(0)->length, given.length);
    ck_assert_mem_eq(vif_client_received(0)->data, frame, given.length);
}

static void carry(void)
{
    ck_assert_int_eq(send(300), STATUS_SUCCESS);
    vif_backend_await(&taken, NETIF_RSP_OKAY);
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    ck_assert_mem_eq(taken.data, frame, taken.length);
    receive(300);
}

static void connect_both(void)
{
    vif_backend_connect();
    vif_client_await_link(true);
    carry();
}

static VOID NTAPI disable_client(PVOID unused)
{
    (void)unused;
    vif_client_disable();
}

/* ---- FB2: Closed without Closing ---- */

STACK_TEST(fb2_closed_without_closing, PLAYED, .engine = ENGINE_DETERMINISTIC)
{
    uint64_t start;

    vif_client_begin();
    carry();
    for (unsigned round = 0; round < 3; round++) {
        /* The backend's end: it is closed, from one moment to the next. */
        start = clock_now();
        vif_backend_let_go();
        vif_backend_state("6");
        vif_client_await_link(false);
        await_state("1");
        ck_assert_uint_lt(clock_now() - start, SECOND);
        vif_backend_state("2");
        connect_both();
    }

    /* Ours: Closed is an answer to Closing, and nothing more is waited for. */
    for (unsigned round = 0; round < 3; round++) {
        PKTHREAD thread = stack_thread(disable_client, NULL);

        await_state("5");
        start = clock_now();
        vif_backend_let_go();
        vif_backend_state("6");
        stack_join(thread);
        ck_assert_uint_lt(clock_now() - start, SECOND);
        vif_backend_state("2");
        vif_client_enable();
        connect_both();
    }
    vif_client_finish();
}

/* ---- FB3: the backend's directory goes and comes ---- */

static void assert_stays(void)
{
    stack_sleep_us(200000);
    ck_assert(pnp_quiet());
    ck_assert_msg(stack_device_started(CHILD), "the device is gone with the backend's directory");
}

STACK_TEST(fb3_backend_directory_goes_and_comes, PLAYED, .quiet = true, .engine = ENGINE_DETERMINISTIC)
{
    vif_client_begin();
    carry();
    for (unsigned round = 0; round < 3; round++) {
        /* At the end of a close; while connected; and before there is a connection. */
        if (round == 0) {
            vif_backend_state("5");
            await_state("6");
        }
        if (round == 2) {
            vif_backend_let_go();
            vif_backend_state("6");
            await_state("1");
        }
        vif_backend_vanish();
        vif_client_await_link(false);
        assert_stays();
        if (round != 2)
            ck_assert(!NT_SUCCESS(send(100))); /* nothing waits for a backend that is nowhere */
        vif_backend_return();
        connect_both();
    }

    /* online = 0 alone is an announcement; with Closed it is the end. */
    stack_store_write("/local/domain/0/backend/played/1/online", "0");
    assert_stays();
    carry();
    vif_backend_state("5");
    await_state("6");
    vif_backend_let_go();
    vif_client_disable();
    vif_client_release();
    vif_backend_state("6");
    ck_assert(stack_wait(stack_device_gone, (void *)(uintptr_t)CHILD, PATIENCE_MS));
    vif_backend_end();
}

/* ---- FB6: nothing before both are Connected ---- */

STACK_TEST(fb6_nothing_before_both_are_connected, PLAYED)
{
    vif_client_acquire();
    for (unsigned round = 0; round < 2; round++) {
        vif_client_enable();
        await_state("4");
        vif_backend_map();

        /* What the client leaves waits: it is not on the ring, not lost, and back only when it has been sent. */
        ck_assert_int_eq(send(200), STATUS_SUCCESS);
        for (unsigned i = 0; i < 20; i++) {
            stack_sleep_us(5000);
            ck_assert_msg(!vif_backend_take(&taken, NETIF_RSP_OKAY), "a packet before the backend is Connected");
            ck_assert(!vif_client_is_back());
        }
        ck_assert_uint_eq(vif_client_received_count(), 0);

        /* No event of the backend's is needed: it says Connected, and that is all. */
        vif_backend_state("4");
        vif_backend_await(&taken, NETIF_RSP_OKAY);
        ck_assert_mem_eq(taken.data, frame, taken.length);
        ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
        vif_client_await_link(true);
        receive(300);
        vif_client_forget();
        vif_backend_disconnect();
        vif_client_disable();
    }
    vif_client_release();
    vif_backend_end();
}

/* ---- FB9: a link that is down, and flaps ---- */

static volatile LONG flapping;

static VOID NTAPI flap(PVOID unused)
{
    static const char *const speeds[] = {"10", "100M", "40G"}, *const mtus[] = {"1500", "576", "9000"};

    (void)unused;
    for (unsigned i = 0; ReadAcquire(&flapping); i++) {
        stack_store_write(stack_path("device/vif/1/disconnect"), i % 2 == 0 ? "1" : "0");
        stack_store_write(stack_path("device/vif/1/speed"), speeds[i % 3]);
        stack_store_write(stack_path("device/vif/1/mtu"), mtus[i / 3 % 3]);
        stack_sleep_us(i * 37 % 900);
    }
}

/* Frames that the driver has, of so many that it was given. */
static uint64_t backlog(unsigned given)
{
    return given - vif_client_statistic(XENVIF_RECEIVER_UNICAST_PACKETS) -
           vif_client_statistic(XENVIF_RECEIVER_PACKETS_DROPPED);
}

/* Both ways at once. What is refused or dropped meanwhile is told in the status, or counted; nothing stays. */
static void load(unsigned given)
{
    struct vif_backend_frame next = {.data = frame};
    unsigned sent = 0;

    for (unsigned i = 0; i < 300; i++) {
        NTSTATUS status = send(100 + i);

        next.length = make_frame(100);
        if (backlog(given) < 16) {
            vif_client_forget();
            vif_backend_give(&next);
            given++;
        }
        for (unsigned tries = 0; NT_SUCCESS(status) && !vif_client_is_back(); tries++) {
            ck_assert_msg(tries < 10000, "packet %u does not come back", i);
            (void)vif_backend_take(&taken, NETIF_RSP_OKAY);
            stack_sleep_us(20);
        }
        if (NT_SUCCESS(status))
            (void)vif_client_await_sent();
        else
            stack_sleep_us(100);
        sent += NT_SUCCESS(status);
    }
    ck_assert_uint_gt(sent, 0);
    for (unsigned tries = 0; backlog(given) != 0; tries++) {
        ck_assert_msg(tries < 2000, "%u frames stay", (unsigned)backlog(given));
        stack_sleep_us(1000);
    }
}

/* One that is not has to be back before the next. */
static bool is_refused(void *unused)
{
    (void)unused;
    if (!NT_SUCCESS(send(64)))
        return true;
    (void)vif_client_await_sent();
    return false;
}

static void link_down_at_start(void *unused)
{
    PKTHREAD thread;

    (void)unused;
    vif_client_mode.pause_every = 3; /* the driver has to look again by itself */
    vif_backend_features("feature-sg=1");
    stack_store_write(stack_path("device/vif/1/disconnect"), "1");
    vif_client_acquire();
    vif_client_enable();
    vif_backend_connect();
    ck_assert(stack_wait(is_refused, NULL, 1000)); /* until the frontend has seen both, packets wait */
    for (unsigned i = 0; i < 20; i++) {
        stack_sleep_us(2000);
        ck_assert(!NT_SUCCESS(send(64)));
    }
    vif_client_await_link(false);
    stack_store_write(stack_path("device/vif/1/disconnect"), "0");
    vif_client_await_link(true);
    carry();

    (void)InterlockedExchange(&flapping, TRUE);
    thread = stack_thread(flap, NULL);
    load(1);
    (void)InterlockedExchange(&flapping, FALSE);
    stack_join(thread);

    stack_store_write(stack_path("device/vif/1/mtu"), "1500");
    stack_store_write(stack_path("device/vif/1/disconnect"), "0");
    vif_client_await_link(true);
    while (vif_backend_take(&taken, NETIF_RSP_OKAY))
        continue;
    carry();
    vif_client_mode.pause_every = 0;
    vif_client_finish();
}

START_TEST(fb9_link_down_at_start_and_flapping)
{
    struct stack_options options = {PLAYED, .vcpus = _i == 0 ? 1 : 2, .quiet = true};

    stack_run(&options, link_down_at_start, NULL);
    options.policy = POLICY_PCT;
    stack_run(&options, link_down_at_start, NULL);
}
END_TEST

static bool link_is_up(void)
{
    NET_IF_MEDIA_CONNECT_STATE state;

    XENVIF_VIF_CALL(&vif_client, MacQueryState, &state, NULL, NULL);
    return state == MediaConnectStateConnected;
}

static VOID NTAPI plug(PVOID disconnect)
{
    stack_store_write(stack_path("device/vif/1/disconnect"), disconnect);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Who sees the link up may send; who is refused sees it down: at each moment, both ways. */
static void link_as_it_is_seen(void *unused)
{
    struct vif_client_packet packet = {.data = frame, .length = make_frame(64)};

    (void)unused;
    vif_client_begin();
    for (unsigned round = 0; round < 10; round++) {
        PKTHREAD thread;
        NTSTATUS status;

        /* It is on the ring from here on, so that there is nothing to be made before the next one goes. */
        ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
        thread = stack_thread(plug, "1");
        while ((status = vif_client_repeat(&packet)) == STATUS_SUCCESS)
            KeStallExecutionProcessor(20);
        ck_assert_int_eq(status, STATUS_DEVICE_NOT_READY);
        ck_assert_msg(!link_is_up(), "a packet is refused while the link is up");
        stack_join(thread);

        thread = stack_thread(plug, "0");
        while (!link_is_up())
            continue;
        ck_assert_msg(vif_client_repeat(&packet) == STATUS_SUCCESS, "the link is up and a packet is refused");
        stack_join(thread);
        while (!vif_client_is_back()) {
            (void)vif_backend_take(&taken, NETIF_RSP_OKAY);
            stack_sleep_us(20);
        }
        (void)vif_client_await_sent();
    }
    vif_client_finish();
}

START_TEST(fb9_packets_go_while_the_link_is_up)
{
    struct stack_options options = {PLAYED, .vcpus = 4, .engine = ENGINE_DETERMINISTIC, .policy = POLICY_RANDOM};

    for (options.seed = 1; options.seed <= 10; options.seed++)
        stack_run(&options, link_as_it_is_seen, NULL);
}
END_TEST

/* ---- FB11: resume and teardown, wherever a connection is ---- */

/* How far the two are when the domain is suspended; what follows the resume: another connection, or the end at once. */
enum stage { PREPARED, CONNECTING, CONNECTED, OURS_CLOSING, THEIRS_CLOSING, STAGES };

static void go_to(enum stage stage, PKTHREAD *thread)
{
    *thread = NULL;
    vif_client_acquire();
    if (stage == PREPARED)
        return;
    vif_client_enable();
    await_state("4");
    if (stage == CONNECTING)
        return;
    connect_both();
    if (stage == OURS_CLOSING) {
        *thread = stack_thread(disable_client, NULL);
        await_state("5");
    } else if (stage == THEIRS_CLOSING) {
        vif_backend_state("5");
        await_state("6");
    }
}

static void resume_and_teardown(void *argument)
{
    struct stack_resumer resumer = {.rounds = 1, .meanwhile = vif_backend_suspended};
    unsigned which = *(unsigned *)argument;
    bool again = which % 2 == 0;
    PKTHREAD thread;

    go_to(which / 2, &thread);
    stack_resume_when_suspended(&resumer);
    stack_ask_shutdown("suspend");
    stack_await_resumer(&resumer);
    if (thread != NULL)
        stack_join(thread);
    if (again) {
        if (which / 2 == PREPARED || thread != NULL)
            vif_client_enable();
        connect_both();
        vif_client_finish();
    } else {
        vif_client_disable();
        vif_client_release();
        vif_backend_end();
    }
}

START_TEST(fb11_resume_and_teardown_at_every_stage)
{
    struct stack_options options = {PLAYED, .quiet = true, .engine = ENGINE_DETERMINISTIC};
    unsigned which = (unsigned)_i;

    stack_run(&options, resume_and_teardown, &which);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= 2; options.seed++)
        stack_run(&options, resume_and_teardown, &which);
}
END_TEST

/* ---- FB19: what is granted holds nothing but the packet ---- */

#define OLD_PAGES 512u

/* vif_backend_take() looks at the pages of packets that are sent. */
STACK_TEST(fb19_nothing_old_is_granted, PLAYED)
{
    vif_backend_features("feature-sg=1");
    vif_client_acquire();
    for (unsigned round = 0; round < 2; round++) {
        stack_spoil_memory(OLD_PAGES);
        vif_client_enable();
        vif_backend_connect();
        vif_client_await_link(true);
        vif_backend_check_pages();
        for (unsigned i = 0; i < 300; i++) { /* more than the ring has */
            size_t payload = i * 197 % 1400;

            ck_assert_int_eq(send(payload), STATUS_SUCCESS);
            vif_backend_await(&taken, NETIF_RSP_OKAY);
            (void)vif_client_await_sent();
            receive(payload);
            if (i % 50 == 0)
                vif_backend_check_pages(); /* used ones come again, with nothing in them that the backend has not
                                              written */
        }
        vif_backend_check_pages();
        vif_backend_disconnect();
        vif_client_disable();
    }
    vif_client_release();
    vif_backend_end();
}

int main(void)
{
    Suite *suite = suite_create("VIFs in the field");
    TCase *tcase = tcase_create("field");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, fb2_closed_without_closing);
    tcase_add_test(tcase, fb3_backend_directory_goes_and_comes);
    tcase_add_test(tcase, fb6_nothing_before_both_are_connected);
    tcase_add_loop_test(tcase, fb9_link_down_at_start_and_flapping, 0, 2);
    tcase_add_test(tcase, fb9_packets_go_while_the_link_is_up);
    tcase_add_loop_test(tcase, fb11_resume_and_teardown_at_every_stage, 0, 2 * STAGES);
    tcase_add_test(tcase, fb19_nothing_old_is_granted);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
