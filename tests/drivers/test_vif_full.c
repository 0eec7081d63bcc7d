/*
 * Interruptions while the transmit rings are as full as they get: rows of frames go without a pause, the domain is
 * suspended and goes on, netback ends and another takes its place, the VIF is detached. Frames of 1,514 bytes on one
 * queue and on four, and of 64 KiB that netback is to cut and that XENVIF cuts. Nothing arrives damaged, twice or out
 * of its flow's order; what is said to be sent has arrived; what was taken and dropped is no more than the slots in
 * flight; and the counters add up.
 */
#include <stdlib.h>

#include "common/inet.h"
#include "common/stack.h"
#include "common/stack_dom0.h"
#include "checker.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "nt/pnp/pnp.h"
#include "xen/xen.h"

#include <xen/grant_table.h>
#include <xen/io/netif.h>

#include "vif_interface.h"

#define ROW 64u
#define RING_SLOTS 256u
#define UNTOLD 32u /* slots of a row, of a queue, that the backend has not been told of */
#define QUEUES_MAX 4u

enum form { SUSPENDED, RESTARTED, DETACHED, FORMS };

static const struct load {
    size_t length;
    unsigned frames;
    unsigned queues;
    const char *features;
} loads[] = {
    {1514, 3000, 1, "all,queues=1"},
    {1514, 3000, 4, "all,queues=4"},
    {64054, 200, 1, "all,queues=1"},
    {64054, 200, 1, "none"},
};

static struct {
    enum form form;
    const struct load *load;
    struct capture *frames;
    struct traffic_count sent;
    char complaint[128];
    volatile bool ended;
    uint64_t in_flight; /* slots at the interruption */
} test;

/* ---- the writer ---- */

/* A row that was refused: the next one has a chance later only. */
static void wait_if_refused(void *argument)
{
    static uint64_t failed;
    const struct traffic_vif *traffic = argument;

    if (traffic->sent.failed > failed)
        stack_sleep_us(500);
    failed = traffic->sent.failed;
}

static void write_main(void *unused)
{
    struct traffic_vif *traffic = image_alloc(sizeof(*traffic));

    (void)unused;
    traffic->index = 0;
    traffic->tx = test.frames;
    traffic->batch = ROW;
    traffic->progress = wait_if_refused;
    traffic->progress_context = traffic;
    traffic->waiter = task_current();
    traffic_start_writer(traffic);
    while (traffic->running > 0)
        (void)task_park(CLOCK_NEVER, "the guest's writer");
    ck_assert_int_eq(traffic->open_status, STATUS_SUCCESS);
    ck_assert_str_eq(traffic->complaint, "");
    test.sent = traffic->sent;
    image_free(traffic);
}

static VOID NTAPI write_thread(PVOID unused)
{
    (void)unused;
    stack_in_dom0(write_main, NULL);
    test.ended = true;
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* ---- interruptions ---- */

static uint32_t reference_of(unsigned queue)
{
    const char *path = test.load->queues == 1 ? stack_path("device/vif/0/tx-ring-ref")
                                              : stack_path("device/vif/0/queue-%u/tx-ring-ref", queue);
    char text[16];

    ck_assert_msg(stack_store_read(path, text, sizeof(text)), "there is no %s", path);
    return (uint32_t)strtoul(text, NULL, 10);
}

/* Requests that have no response, and those that the backend does not know yet: each may be a frame, or all of it. */
static void look_at_rings(void *references)
{
    for (unsigned queue = 0; queue < test.load->queues; queue++) {
        uint32_t reference = ((const uint32_t *)references)[queue], handle;
        void *ring;

        ck_assert_int_eq(xen_grant_map(XEN_DOM0, stack.domain.domid, reference, true, &ring, &handle), 0);
        test.in_flight +=
            ((const netif_tx_sring_t *)ring)->req_prod - ((const netif_tx_sring_t *)ring)->rsp_prod + UNTOLD;
        ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    }
}

static void interrupt(void)
{
    uint32_t references[QUEUES_MAX];
    struct stack_resumer resumer = {.meanwhile = look_at_rings, .argument = references};

    if (test.form == SUSPENDED) {
        for (unsigned queue = 0; queue < test.load->queues; queue++)
            references[queue] = reference_of(queue);
        stack_suspend(&resumer);
        return;
    }
    test.in_flight = (uint64_t)RING_SLOTS * test.load->queues; /* nobody sees how full they are */
    if (test.form == RESTARTED)
        stack_in_dom0(stack_netback_restart, NULL);
    else
        stack_detach(0);
}

/* The writer has let go of the device. */
static void attach_again(void)
{
    static char path[] = "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\0";

    ck_assert(stack_wait(stack_device_gone, path, 5000));
    stack_attach(0);
}

/* ---- what became of them ---- */

static struct checker_verdict final_verdict(void)
{
    struct checker_verdict verdict, before;

    do {
        before = stack_end_verdict(0);
        stack_sleep_us(5000);
        verdict = stack_end_verdict(0);
    } while (verdict.frames != before.frames);
    return verdict;
}

static void assert_counters(const struct checker_verdict *verdict)
{
    NETCLIENT_STATISTICS client = stack_statistics(0);

    ck_assert_uint_eq(client.WrittenOk, test.sent.frames);
    ck_assert_uint_eq(client.Written, client.WrittenOk + client.WrittenDropped);
    ck_assert_uint_eq(client.Vif[XENVIF_TRANSMITTER_UNICAST_PACKETS], client.WrittenOk);
    ck_assert_uint_eq(client.Vif[XENVIF_TRANSMITTER_UNICAST_OCTETS], client.WrittenOk * test.load->length);
    ck_assert_uint_eq(client.Vif[XENVIF_TRANSMITTER_PACKETS_DROPPED], test.sent.failed);
    ck_assert_uint_eq(client.Vif[XENVIF_TRANSMITTER_BACKEND_ERRORS], 0);
    ck_assert_uint_eq(client.Vif[XENVIF_TRANSMITTER_FRONTEND_ERRORS], 0);
    ck_assert_msg(client.WrittenDropped <= test.in_flight, "%llu packets were dropped, %llu slots were in flight",
                  (unsigned long long)client.WrittenDropped, (unsigned long long)test.in_flight);
    ck_assert_uint_le(verdict->good, client.WrittenOk + client.WrittenDropped);
}

static void interrupted(void *unused)
{
    struct checker_verdict verdict;
    NETCLIENT_MODE single = {0};
    PKTHREAD writer;

    (void)unused;
    test.ended = false;
    test.in_flight = 0;
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_end_expect(0, test.frames);
    writer = stack_thread(write_thread, NULL);
    stack_sleep_us(150);
    ck_assert_msg(!test.ended, "the traffic ended before the interruption");
    interrupt();
    stack_join(writer);
    if (test.form == DETACHED)
        attach_again();
    stack_wait_connected(0);
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    verdict = final_verdict();
    ck_assert_uint_eq(checker_bad(&verdict), 0);
    ck_assert_uint_eq(test.sent.frames + test.sent.failed, test.frames->count);
    ck_assert_uint_ge(verdict.good, test.sent.frames);
    if (test.form != DETACHED) /* those of the device that has gone are gone, too */
        assert_counters(&verdict);
    stack_end_expect(0, NULL);
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_SET_MODE, &single, sizeof(single), NULL, 0), STATUS_SUCCESS);
    stack_carry(0, test.frames, NULL);
}

START_TEST(nothing_is_lost_but_what_is_in_flight)
{
    const struct load *load = &loads[(unsigned)_i / FORMS];
    struct stack_options options = {.drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT,
                                    .vifs = 1,
                                    .wait = true,
                                    .quiet = true,
                                    .vcpus = load->queues > 1 ? load->queues : 2,
                                    .features = load->features};

    test.form = (enum form)(_i % FORMS);
    test.load = load;
    test.frames = inet_make_flows(load->frames, load->length);
    for (options.seed = 1; options.seed <= STACK_SCHEDULES; options.seed++) {
        options.policy = options.seed == 1 ? POLICY_FIFO : POLICY_PCT;
        stack_run(&options, interrupted, NULL);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("VIFs that are interrupted under full traffic");
    TCase *tcase = tcase_create("full");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, nothing_is_lost_but_what_is_in_flight, 0, FORMS * (int)ARRAYSIZE(loads));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
