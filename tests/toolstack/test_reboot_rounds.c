/*
 * The guest reboots again and again under traffic both ways, its power cut wherever it is or in good order, and goes on
 * in another domain. What is lost of the frames that its drivers were given is no more than what was in flight, and
 * likewise of those for it, unless the power is cut; what the drivers say to be sent has arrived. PVSIM_ROUNDS: how
 * often, by default a few times; `make rounds` has 100.
 */
#define DBG 1 /* as the drivers: the client's structure is looked into */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/netclient/netclient.h"
#include "cli/guest.h"
#include "common/stack.h"
#include "common/stack_dom0.h"
#include "dom0/heap.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "nt/nt_init.h"
#include "xen/xen.h"

#include <xen/grant_table.h>
#include <xen/io/netif.h>
#include <xen/sched.h>
#include <xenstore.h>

#define ROUNDS 4
#define COMING 700 /* received: no more than the client has room for */
#define WRITERS 4

/* Frames, and slots of the ring. */
struct direction {
    uint64_t frames;
    uint64_t lost;
    uint64_t in_flight;
};

static struct capture *lan;
static struct capture coming; /* the first of them */

static struct {
    bool in_order;
    const NETCLIENT *client; /* the device's extension */
    unsigned next;
    unsigned given;   /* to the client, which has them or has passed them on */
    unsigned done;    /* sent, as the client says, ... */
    unsigned dropped; /* ... or not */
    struct direction tx;
    struct direction rx;
} test;

/* ---- the guest ---- */

/* The write of a frame, counted when the client has it and when it says that it is sent. */
static bool write_frame(PFILE_OBJECT file, PDEVICE_OBJECT device, void *buffer, ULONG length)
{
    LARGE_INTEGER offset = {.QuadPart = 0};
    IO_STATUS_BLOCK block;
    KEVENT event;
    NTSTATUS status;
    PIRP irp;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp = IoBuildSynchronousFsdRequest(IRP_MJ_WRITE, device, buffer, length, &offset, &event, &block);
    ck_assert_ptr_nonnull(irp);
    IoGetNextIrpStackLocation(irp)->FileObject = file;
    status = IoCallDriver(device, irp);
    if (status != STATUS_PENDING)
        return false;
    (void)__atomic_fetch_add(&test.given, 1, __ATOMIC_SEQ_CST);
    ck_assert_int_eq(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    (void)__atomic_fetch_add(NT_SUCCESS(block.Status) ? &test.done : &test.dropped, 1, __ATOMIC_SEQ_CST);
    return NT_SUCCESS(block.Status);
}

static VOID NTAPI write_thread(PVOID unused)
{
    uint8_t *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 65536, STACK_TAG);
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    (void)unused;
    stack_open("NetClient0", &file, &device);
    for (;;) {
        const struct port_frame *frame = &lan->frame[__atomic_fetch_add(&test.next, 1, __ATOMIC_SEQ_CST) % lan->count];

        memcpy(buffer, frame->data, frame->length);
        while (!write_frame(file, device, buffer, frame->length))
            stack_sleep_us(100); /* not taken at all */
    }
}

static void start_traffic(void *unused)
{
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    (void)unused;
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_open("NetClient0", &file, &device);
    test.client = device->DeviceExtension;
    ObDereferenceObject(file);
    for (unsigned i = 0; i < WRITERS; i++)
        ObDereferenceObject(stack_thread(write_thread, NULL));
}

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
 * Slots that the backend has not answered, and received ones that the guest has not dealt with: from where it wants to
 * hear of the next one.
 */
static void look_at_rings(void)
{
    struct xs_handle *xs = xs_open(0);
    uint32_t handle[2];
    const netif_tx_sring_t *tx = map_ring(xs, "tx-ring-ref", &handle[0]);
    const netif_rx_sring_t *rx = map_ring(xs, "rx-ring-ref", &handle[1]);
    uint32_t taken = rx->rsp_event - 1;

    test.tx.in_flight += tx->req_prod - tx->rsp_prod;
    test.rx.in_flight += rx->req_prod - taken;
    for (unsigned i = 0; i < 2; i++)
        ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle[i]), 0);
    xs_close(xs);
}

/* Writes that the client has not passed on: those that wait, and the one that it is passing on. */
static unsigned kept_by_client(void)
{
    unsigned kept = test.client->SendPump.Running || test.client->Blocked != NULL ? 1 : 0;
    const LIST_ENTRY *irps = &test.client->Writes.Irps;

    for (const LIST_ENTRY *entry = irps->Flink; entry != irps; entry = entry->Flink)
        kept++;
    return kept;
}

/* Power is cut, wherever the guest is; or it shuts down in order. Both ways everything stands still afterwards. */
static void end_guest(void)
{
    if (!test.in_order) {
        stack_stop_now();
        look_at_rings();
        return;
    }
    look_at_rings();
    guest_press_button(GUEST_RESET);
    while (xen_domain_shutdown_reason(stack.domain.domid) != SHUTDOWN_reboot)
        (void)task_park(clock_now() + 20000, "the guest's shutdown");
    stack_stop_now();
}

static void round_of_traffic(unsigned round)
{
    struct checker_verdict verdict;
    unsigned given, done, sent, received;

    test.next = test.given = test.done = test.dropped = 0;
    stack_end_expect(0, lan);
    stack_end_send(0, &coming);
    ck_assert(nt_thread_run("starter", start_traffic, NULL));
    (void)task_park(clock_now() + (200 + round * 37 % 400) * UINT64_C(1000), "a while");
    end_guest();
    given = test.given - kept_by_client();
    done = test.done;
    received = (unsigned)test.client->Statistics.Received;
    sent = stack_end_sent(0);
    stack_end_send(0, NULL);
    stack_power_cycle_now();
    verdict = stack_end_verdict(0);
    ck_assert_uint_eq(verdict.corrupt + verdict.extra, 0);
    ck_assert_uint_ge(verdict.good + verdict.reordered, done);
    test.tx.frames += given;
    if (given > verdict.good + verdict.reordered)
        test.tx.lost += given - (verdict.good + verdict.reordered);
    test.rx.frames += sent;
    test.rx.lost += sent - received;
}

static unsigned rounds(void)
{
    const char *text = getenv("PVSIM_ROUNDS");

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;
}

static void in_a_row(void *in_order)
{
    memset(&test, 0, sizeof(test));
    test.in_order = *(const bool *)in_order;
    for (unsigned round = 0; round < rounds(); round++)
        round_of_traffic(round);
    printf("%u reboots, %s: %llu frames of %llu sent lost, %llu slots in flight; %llu of %llu received lost, %llu "
           "slots in "
           "flight\n",
           rounds(), test.in_order ? "in order" : "power cut", (unsigned long long)test.tx.lost,
           (unsigned long long)test.tx.frames, (unsigned long long)test.tx.in_flight, (unsigned long long)test.rx.lost,
           (unsigned long long)test.rx.frames, (unsigned long long)test.rx.in_flight);
    fflush(stdout);
    ck_assert_uint_gt(test.tx.frames, rounds());
    ck_assert_uint_gt(test.rx.frames, rounds());
    ck_assert_uint_le(test.tx.lost, test.tx.in_flight);
    if (test.in_order) /* otherwise frames that the drivers have taken off the ring go with them, too */
        ck_assert_uint_le(test.rx.lost, test.rx.in_flight);
}

START_TEST(rebooted_under_traffic)
{
    static const unsigned vcpus[] = {1, 4};
    const struct stack_options options = {
        .from_dom0 = true,
        .drivers = STACK_XENVIF | STACK_NETCLIENT,
        .vifs = 1,
        .wait = true,
        .vcpus = vcpus[_i % 2],
        .policy = _i % 2 == 0 ? POLICY_FIFO : POLICY_PCT,
        .engine = ENGINE_DETERMINISTIC, /* a round lasts a fraction of a millisecond */
    };

    bool in_order = _i >= 2;

    stack_run(&options, in_a_row, &in_order);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reboot rounds");
    TCase *tcase = tcase_create("reboot rounds");

    lan = stack_capture(STACK_LAN);
    coming = *lan;
    coming.count = COMING;
    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, rebooted_under_traffic, 0, 4);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
