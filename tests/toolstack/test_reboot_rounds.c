/*
 * The guest reboots again and again under traffic both ways, its power cut wherever it is or in good order, and goes on
 * in another domain. What is lost is no more than what was in flight, both ways, each time; what the drivers say to be
 * sent has arrived, and what was received are the first frames, none of them missing. PVSIM_ROUNDS: how often, by
 * default a few times; `make rounds` has 100.
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

#include <xen/sched.h>

#define ROUNDS 4
#define COMING 700 /* received: no more than the client has room for */
#define WRITERS 4
#define RING_SLOTS 256u

/* In frames, and in slots of the ring. No frame here is longer than a slot. */
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
    unsigned given;   /* to the client, which passes them on */
    unsigned done;    /* sent, as the client says, ... */
    unsigned dropped; /* ... or not */
    unsigned read;    /* received, and seen to be what was sent to the guest */
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
    (void)__atomic_fetch_add(&test.given, 1, __ATOMIC_SEQ_CST);
    status = IoCallDriver(device, irp);
    if (status != STATUS_PENDING) {
        (void)__atomic_fetch_sub(&test.given, 1, __ATOMIC_SEQ_CST);
        return false;
    }
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

/* Frames come in order: whatever the drivers lost in between would be missing here. */
static VOID NTAPI read_thread(PVOID unused)
{
    uint8_t *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 65536, STACK_TAG);
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;
    ULONG length;

    (void)unused;
    stack_open("NetClient0", &file, &device);
    while (NT_SUCCESS(stack_transfer(IRP_MJ_READ, file, device, buffer, 65536, &length))) {
        const struct port_frame *frame = &coming.frame[test.read];

        ck_assert_uint_lt(test.read, coming.count);
        ck_assert_msg(length == frame->length && memcmp(buffer, frame->data, length) == 0,
                      "what is read as frame %u is not that frame", test.read);
        test.read++;
    }
    ObDereferenceObject(file);
    ExFreePoolWithTag(buffer, STACK_TAG);
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
    ObDereferenceObject(stack_thread(read_thread, NULL));
}

/* ---- domain 0 ---- */

/* Power is cut, wherever the guest is; or it shuts down in order. Both ways everything stands still afterwards. */
static void end_guest(void)
{
    if (test.in_order) {
        guest_press_button(GUEST_RESET);
        while (xen_domain_shutdown_reason(stack.domain.domid) != SHUTDOWN_reboot)
            (void)task_park(clock_now() + 20000, "the guest's shutdown");
    }
    stack_stop_now();
}

/*
 * Sent: each frame that they were given and have not said a word about is in flight, in their queues or on the ring.
 * One that they say is dropped is not lost: the guest knows.
 */
static void account_sent(const struct checker_verdict *verdict)
{
    unsigned arrived = (unsigned)(verdict->good + verdict->reordered);
    unsigned in_flight = test.given - test.done - test.dropped;
    unsigned lost = test.given - test.dropped > arrived ? test.given - test.dropped - arrived : 0;

    ck_assert_uint_ge(arrived, test.done);
    ck_assert_uint_le(in_flight, WRITERS);
    ck_assert_msg(lost <= in_flight, "%u sent frames lost, %u in flight", lost, in_flight);
    test.tx.frames += test.given;
    test.tx.lost += lost;
    test.tx.in_flight += in_flight;
}

/*
 * What the client has. It keeps count until the power goes; in good order its device goes first, and what nobody has
 * read by then with it.
 */
static unsigned received(void)
{
    return test.in_order ? test.read : (unsigned)test.client->Statistics.Received;
}

/*
 * Received: in flight are the slots that the backend has taken and of which the client has no frame, and the frame that
 * it has in its hand, if it has one that it has found no slot for yet. They are on the ring, or the drivers have taken
 * them off it and not given them on: in one poll as many as a ring has, at most, and there is no other poll before the
 * client has those. (The ring's indices alone do not tell: what it has room for again says nothing about whether the
 * client has the frames.) What the client has is not lost, whether it is read or not.
 */
static void account_received(unsigned sent, unsigned has)
{
    unsigned taken = (unsigned)stack_netback_statistics(0)->rx.ring.requests;
    unsigned in_hand = sent > taken ? 1 : 0;
    unsigned in_flight = taken - has + in_hand;
    unsigned lost = sent - has;

    ck_assert_uint_le(has, taken);
    ck_assert_uint_le(test.read, has);
    ck_assert(test.in_order || in_flight <= 2 * RING_SLOTS + 1);
    ck_assert_msg(lost <= in_flight, "%u received frames lost, %u slots in flight", lost, in_flight);
    test.rx.frames += sent;
    test.rx.lost += lost;
    test.rx.in_flight += in_flight;
}

static void round_of_traffic(unsigned round)
{
    struct checker_verdict verdict;

    test.next = test.given = test.done = test.dropped = test.read = 0;
    stack_end_expect(0, lan);
    stack_end_send(0, &coming);
    ck_assert(nt_thread_run("starter", start_traffic, NULL));
    (void)task_park(clock_now() + (200 + round * 37 % 400) * UINT64_C(1000), "a while");
    end_guest();
    account_received(stack_end_sent(0), received());
    stack_end_send(0, NULL);
    stack_power_cycle_now(); /* the backend has looked at its ring a last time */
    verdict = stack_end_verdict(0);
    ck_assert_uint_eq(verdict.corrupt + verdict.extra, 0);
    account_sent(&verdict);
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
           "slots in flight\n",
           rounds(), test.in_order ? "in order" : "power cut", (unsigned long long)test.tx.lost,
           (unsigned long long)test.tx.frames, (unsigned long long)test.tx.in_flight, (unsigned long long)test.rx.lost,
           (unsigned long long)test.rx.frames, (unsigned long long)test.rx.in_flight);
    fflush(stdout);
    ck_assert_uint_gt(test.tx.frames, rounds());
    ck_assert_uint_gt(test.rx.frames, rounds());
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
    tcase_set_timeout(tcase, 1800); /* `make rounds` on a busy host */
    tcase_add_loop_test(tcase, rebooted_under_traffic, 0, 4);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
