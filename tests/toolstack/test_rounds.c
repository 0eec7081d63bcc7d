/*
 * The guest is suspended again and again under traffic both ways, in each way that a toolstack has. What is lost is no
 * more than what was in flight at the suspends; nothing is lost when a suspend is cancelled, or when the guest's
 * drivers do not know of it. PVSIM_ROUNDS: how often each, by default a few times; `make rounds` has 100.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/stack.h"
#include "common/stack_dom0.h"
#include "dom0/heap.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "machine/snapshot.h"
#include "xen/xen.h"

#include <xen/grant_table.h>
#include <xen/io/netif.h>
#include <xen/sched.h>
#include <xenstore.h>

#define ROUNDS 4
#define FRAMES 400 /* sent */
#define COMING 700 /* received: no more than the client has room for */
#define WRITERS 4
#define SUSPENDED_NS UINT64_C(2000000)
#define RING_SLOTS 256u

enum form { CANCELLED, FORCED, SLOW, RESTORED, SAVED };

static const struct {
    const char *name;
    bool loses;
} forms[] = {
    [CANCELLED] = {"cancelled", false},       [FORCED] = {"forced", false},
    [SLOW] = {"resumed slowly", true},        [RESTORED] = {"restored as a new domain", true},
    [SAVED] = {"restored from a file", true},
};

#ifdef MACHINE_THREAD_SANITIZER /* under which no machine can be saved */
#define FORMS SAVED
#else
#define FORMS (SAVED + 1)
#endif

/* Frames, and slots of the ring. */
struct direction {
    uint64_t lost;
    uint64_t in_flight;
};

static struct capture *lan;
static struct capture coming; /* the first of them */

static struct {
    enum form form;
    volatile bool gone_on; /* the guest */
    volatile unsigned next;
    volatile unsigned dropped; /* writes that say so */
    unsigned saved;
    struct direction tx;
    struct direction rx;
} test;

/* ---- domain 0 ---- */

static void *map_ring(struct xs_handle *xs, const char *node, uint32_t *handle)
{
    unsigned length;
    char *reference = xs_read(xs, XBT_NULL, stack_path("device/vif/0/%s", node), &length);
    void *ring = NULL;

    ck_assert_msg(reference != NULL, "there is no %s", node);
    ck_assert_int_eq(
        xen_grant_map(XEN_DOM0, stack.domain.domid, (uint32_t)strtoul(reference, NULL, 10), true, &ring, handle), 0);
    free(reference);
    return ring;
}

/*
 * Slots that the backend has not answered: each may be a frame. Received frames that the guest has not taken off the
 * ring are in flight, too: from where it wants to hear of the next one.
 */
static void look_at_rings(void)
{
    struct xs_handle *xs = xs_open(0);
    uint32_t handle[2];
    const netif_tx_sring_t *tx = map_ring(xs, "tx-ring-ref", &handle[0]);
    const netif_rx_sring_t *rx = map_ring(xs, "rx-ring-ref", &handle[1]);
    uint32_t taken = rx->rsp_event - 1;

    test.tx.in_flight += tx->req_prod - tx->rsp_prod;
    test.rx.in_flight += rx->req_prod - taken < RING_SLOTS ? rx->req_prod - taken : RING_SLOTS;
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle[i]), 0);
    xs_close(xs);
}

static void suspend(struct toolstack *toolstack)
{
    unsigned domid = stack.domain.domid;

    if (test.form == FORCED) {
        ck_assert_int_eq(xen_domain_shutdown(domid, SHUTDOWN_suspend), 0);
        while (!xen_domain_stands(domid))
            (void)task_park(clock_now() + 20000, "the vCPUs");
        return;
    }
    ck_assert_msg(toolstack_domain_request(toolstack, domid, "suspend", TOOLSTACK_CONTROL_TIMEOUT_MS), "%s",
                  toolstack_error(toolstack));
    while (xen_domain_shutdown_reason(domid) != SHUTDOWN_suspend)
        (void)task_park(clock_now() + 20000, "the guest's suspension");
}

/* On the host's stack: the machine becomes a file, ends, and is another one from the file. */
static void through_a_file(void)
{
    int file = memfd_create("saved", MFD_CLOEXEC);
    struct snapshot_result result = snapshot_write(file, machine);
    const struct machine *before = machine;
    void *root;

    ck_assert_msg(result.good, "%s", result.text);
    machine_destroy();
    ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
    result = snapshot_read(file, "the file", &root);
    ck_assert_msg(result.good, "%s", result.text);
    ck_assert_ptr_eq(root, before);
    close(file);
    test.saved++;
}

static void toolstack_main(void *unused)
{
    struct toolstack *toolstack = toolstack_open(&stack_logger);

    (void)unused;
    ck_assert_ptr_nonnull(toolstack);
    suspend(toolstack);
    look_at_rings();
    (void)task_park(clock_now() + SUSPENDED_NS, "a while");
    if (test.form == SAVED)
        machine_pause();
    if (test.form == RESTORED || test.form == SAVED) {
        stack_restore_now(toolstack);
    } else {
        ck_assert_int_eq(xen_domain_resume(stack.domain.domid, test.form != SLOW), 0);
        ck_assert_msg(toolstack_domain_resumed(toolstack, stack.domain.domid), "%s", toolstack_error(toolstack));
    }
    toolstack_close(toolstack);
    test.gone_on = true;
}

/* ---- the guest ---- */

static VOID NTAPI write_thread(PVOID unused)
{
    uint8_t *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 65536, STACK_TAG);
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;
    unsigned index;

    (void)unused;
    stack_open("NetClient0", &file, &device);
    while ((index = __atomic_fetch_add(&test.next, 1, __ATOMIC_SEQ_CST)) < FRAMES) {
        NTSTATUS status;
        ULONG done;

        memcpy(buffer, lan->frame[index].data, lan->frame[index].length);
        while ((status = stack_transfer(IRP_MJ_WRITE, file, device, buffer, lan->frame[index].length, &done)) ==
               STATUS_DEVICE_NOT_READY)
            stack_sleep_us(100); /* not taken at all */
        ck_assert_msg(NT_SUCCESS(status) || status == STATUS_NETWORK_UNREACHABLE, "frame %u: status 0x%08X", index,
                      (unsigned)status);
        if (!NT_SUCCESS(status))
            (void)__atomic_fetch_add(&test.dropped, 1, __ATOMIC_SEQ_CST);
        stack_sleep_us(40);
    }
    ObDereferenceObject(file);
    ExFreePoolWithTag(buffer, STACK_TAG);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static bool has_gone_on(void *unused)
{
    (void)unused;
    return test.gone_on;
}

/* Nothing is on its way any more. */
static void wait_until_quiet(void)
{
    uint64_t end = clock_now() + UINT64_C(20000000000);
    uint64_t got;

    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    do {
        got = stack_statistics(0).Received;
        ck_assert_msg(clock_now() < end, "%u of %u frames are not taken off the end, and %llu have come",
                      COMING - stack_end_sent(0), COMING, (unsigned long long)got);
        stack_sleep_us(5000);
    } while (stack_end_sent(0) != COMING || stack_statistics(0).Received != got);
}

static void round_of_traffic(unsigned round)
{
    PKTHREAD writer[WRITERS];
    struct checker_verdict verdict;
    unsigned got;

    test.next = 0;
    test.gone_on = false;
    stack_end_expect(0, lan);
    stack_end_send(0, &coming);
    for (unsigned i = 0; i < WRITERS; i++)
        writer[i] = stack_thread(write_thread, NULL);
    stack_sleep_us(200 + round * 37 % 400);
    (void)task_create("toolstack", toolstack_main, NULL);
    ck_assert_msg(stack_wait(has_gone_on, NULL, 60000), "the guest does not go on");
    for (unsigned i = 0; i < WRITERS; i++)
        stack_join(writer[i]);
    stack_wait_connected(0);
    wait_until_quiet();
    verdict = stack_end_verdict(0);
    ck_assert_uint_eq(verdict.corrupt + verdict.extra, 0);
    test.tx.lost += FRAMES - (verdict.good + verdict.reordered);
    got = stack_read_all(0, &coming);
    test.rx.lost += COMING - got;
}

static unsigned rounds(void)
{
    const char *text = getenv("PVSIM_ROUNDS");

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;
}

static void in_a_row(void *argument)
{
    memset(&test, 0, sizeof(test));
    test.form = *(const enum form *)argument;
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    for (unsigned round = 0; round < rounds(); round++)
        round_of_traffic(round);
    printf(
        "%u suspends, %s: %llu frames of %llu sent lost, %llu slots in flight; %llu of %llu received lost, %llu slots "
        "in flight\n",
        rounds(), forms[test.form].name, (unsigned long long)test.tx.lost, (unsigned long long)rounds() * FRAMES,
        (unsigned long long)test.tx.in_flight, (unsigned long long)test.rx.lost, (unsigned long long)rounds() * COMING,
        (unsigned long long)test.rx.in_flight);
    fflush(stdout);
    ck_assert_uint_eq(test.saved, test.form == SAVED ? rounds() : 0);
    if (forms[test.form].loses) {
        ck_assert_uint_le(test.tx.lost, test.tx.in_flight);
        ck_assert_uint_le(test.rx.lost, test.rx.in_flight);
        ck_assert_uint_le(test.dropped, test.tx.in_flight);
    } else {
        ck_assert_uint_eq(test.tx.lost + test.rx.lost + test.dropped, 0);
    }
}

START_TEST(suspended_in_a_row)
{
    static const unsigned vcpus[] = {1, 4};
    const struct stack_options options = {
        .drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT,
        .vifs = 1,
        .wait = true,
        .vcpus = vcpus[_i / FORMS],
        .policy = _i < FORMS ? POLICY_FIFO : POLICY_PCT,
        .paused = through_a_file,
    };
    enum form form = (enum form)(_i % FORMS);

    stack_run(&options, in_a_row, &form);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rounds");
    TCase *tcase = tcase_create("rounds");

    lan = stack_capture(STACK_LAN);
    coming = *lan;
    coming.count = COMING;
    tcase_set_timeout(tcase, 1800); /* `make rounds` on a busy host */
    tcase_add_loop_test(tcase, suspended_in_a_row, 0, 2 * FORMS);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
