/*
 * Traffic both ways is interrupted again and again: the guest is suspended in each way that a toolstack has, netback
 * ends and another takes its place, the VIF is detached and attached again, processors come, the client hashes
 * otherwise. On one queue, and on four with all that netback offers. No frame is corrupt, comes twice or out of its
 * flow's order. What is lost is no more than what was in flight at each interruption; nothing is lost when a suspend is
 * cancelled, or when the guest's drivers do not know of it, nor when the backend stays. What XENVIF, its client and
 * netback have counted, and what writers and readers know, is the same to the frame and to the byte. PVSIM_ROUNDS: how
 * often each, by default a few times; `make rounds` has 100.
 */
#define DBG 1 /* as the drivers: the client's structure is looked into */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clients/netclient/netclient.h"
#include "common/stack.h"
#include "common/stack_dom0.h"
#include "dom0/heap.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "machine/snapshot.h"
#include "nt/ke/ke.h"
#include "nt/pnp/pnp.h"
#include "checker.h"
#include "packet.h"
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
#define QUEUES_MAX 4u

enum form { CANCELLED, FORCED, SLOW, RESTARTED, DETACHED, HASHED, GROWN, RESTORED, SAVED };

static const struct {
    const char *name;
    bool loses;
} forms[] = {
    [CANCELLED] = {"cancelled", false},
    [FORCED] = {"forced", false},
    [SLOW] = {"resumed slowly", true},
    [RESTORED] = {"restored as a new domain", true},
    [SAVED] = {"restored from a file", true},
    [RESTARTED] = {"another backend", true},
    [HASHED] = {"hashed otherwise", false},
    [GROWN] = {"a processor more", false},
    [DETACHED] = {"detached and attached", true},
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

/* What writers know of the frames that they gave to one device. */
struct writes {
    uint64_t good, bytes; /* of those */
    uint64_t dropped;     /* that it says are */
    uint64_t refused;     /* for now: they were written again */
};

static struct capture *lan;
static struct capture coming; /* the first of them */

static unsigned flow[FRAMES]; /* of those that are sent: which writer's */

static struct {
    enum form form;
    unsigned queues;
    volatile bool gone_on; /* the guest */
    bool device_gone;      /* that was detached */
    struct writes writes;  /* of this round, to the device that there is at its end */
    struct writes before;  /* to the one that has been detached */
    uint64_t dropped;      /* writes that say so, of all rounds */
    struct checker *checker;
    NETCLIENT_STATISTICS detached; /* the client's of this round, of the device that is gone */
    unsigned saved;
    struct direction tx;
    struct direction rx;
} test;

/* ---- domain 0 ---- */

static void *map_ring(struct xs_handle *xs, unsigned queue, const char *node, uint32_t *handle)
{
    const char *path =
        test.queues == 1 ? stack_path("device/vif/0/%s", node) : stack_path("device/vif/0/queue-%u/%s", queue, node);
    unsigned length;
    char *reference = xs_read(xs, XBT_NULL, path, &length);
    void *ring = NULL;

    ck_assert_msg(reference != NULL, "there is no %s", path);
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

    for (unsigned queue = 0; queue < test.queues; queue++) {
        uint32_t handle[2];
        const netif_tx_sring_t *tx = map_ring(xs, queue, "tx-ring-ref", &handle[0]);
        const netif_rx_sring_t *rx = map_ring(xs, queue, "rx-ring-ref", &handle[1]);
        uint32_t taken = rx->rsp_event - 1;

        test.tx.in_flight += tx->req_prod - tx->rsp_prod;
        test.rx.in_flight += rx->req_prod - taken < RING_SLOTS ? rx->req_prod - taken : RING_SLOTS;
        for (unsigned i = 0; i < 2; i++)
            ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle[i]), 0);
    }
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

static void suspend_main(void *unused)
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

/* What is on the rings when a backend ends or closes nobody sees from here: they may be full. */
static void count_full_rings(void)
{
    test.tx.in_flight += (uint64_t)test.queues * RING_SLOTS;
    test.rx.in_flight += (uint64_t)test.queues * RING_SLOTS;
}

static void restart_main(void *unused)
{
    stack_netback_restart(unused);
    count_full_rings();
    test.gone_on = true;
}

static void detach_main(void *unused)
{
    (void)unused;
    count_full_rings();
    stack_detach_now(0);
    while (!__atomic_load_n(&test.device_gone, __ATOMIC_ACQUIRE)) /* else the guest may see no difference */
        (void)task_park(clock_now() + 20000, "the device's removal");
    (void)task_park(clock_now() + SUSPENDED_NS, "a while");
    stack_attach_now(0);
    stack_wait_connected_now(0);
    test.gone_on = true;
}

static void grow_main(void *unused)
{
    unsigned count = xen_domain_online_vcpus(stack.domain.domid);

    (void)unused;
    if (count < stack.options->vcpus)
        ke_processors_announce(count + 1);
    while (!ke_processors_settled())
        (void)task_park(clock_now() + 20000, "the new processor");
    test.gone_on = true;
}

/* ---- the guest ---- */

static NTSTATUS set(ULONG code, void *input, size_t length)
{
    return stack_netclient(0, code, input, (ULONG)length, NULL, 0);
}

/* Another key and another mapping, off and on again. */
static void hash_otherwise(unsigned round)
{
    ULONG algorithm = 0;
    NETCLIENT_HASH hash = {.Types = 0x1E};
    PROCESSOR_NUMBER mapping[8] = {{0}};

    ck_assert_int_eq(set(IOCTL_NETCLIENT_SET_HASH_ALGORITHM, &algorithm, sizeof(algorithm)), STATUS_SUCCESS);
    stack_sleep_us(100);
    algorithm = 2;
    memset(hash.Key, (int)(round * 31 + 1), sizeof(hash.Key));
    for (unsigned i = 0; i < 8; i++)
        mapping[i].Number = (UCHAR)((i * (round + 1) + round) % test.queues);
    ck_assert_int_eq(set(IOCTL_NETCLIENT_SET_HASH_ALGORITHM, &algorithm, sizeof(algorithm)), STATUS_SUCCESS);
    ck_assert_int_eq(set(IOCTL_NETCLIENT_SET_HASH_PARAMETERS, &hash, sizeof(hash)), STATUS_SUCCESS);
    ck_assert_int_eq(set(IOCTL_NETCLIENT_SET_HASH_MAPPING, mapping, sizeof(mapping)), STATUS_SUCCESS);
    test.gone_on = true;
}

/* The device is gone, with this file; there is another one soon. */
static void open_again(PFILE_OBJECT *file, PDEVICE_OBJECT *device)
{
    ObDereferenceObject(*file);
    while (!stack_try_open("NetClient0", file, device))
        stack_sleep_us(100);
}

/* A flow's frames are one writer's, in their order. */
static VOID NTAPI write_thread(PVOID number)
{
    uint8_t *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 65536, STACK_TAG);
    struct writes *writes = test.form == DETACHED ? &test.before : &test.writes;
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    stack_open("NetClient0", &file, &device);
    for (unsigned index = 0; index < FRAMES; index++) {
        ULONG length = lan->frame[index].length;
        NTSTATUS status;
        ULONG done;

        if (flow[index] % WRITERS != (unsigned)(uintptr_t)number)
            continue;
        memcpy(buffer, lan->frame[index].data, length);
        for (;;) {
            status = stack_transfer(IRP_MJ_WRITE, file, device, buffer, length, &done);
            if (status == STATUS_DELETE_PENDING && test.form == DETACHED) {
                open_again(&file, &device);
                writes = &test.writes;
            } else if (status == STATUS_DEVICE_NOT_READY) { /* not taken at all */
                (void)__atomic_fetch_add(&writes->refused, 1, __ATOMIC_SEQ_CST);
                stack_sleep_us(100);
            } else {
                break;
            }
        }
        ck_assert_msg(NT_SUCCESS(status) || status == STATUS_NETWORK_UNREACHABLE, "frame %u: status 0x%08X", index,
                      (unsigned)status);
        (void)__atomic_fetch_add(NT_SUCCESS(status) ? &writes->good : &writes->dropped, 1, __ATOMIC_SEQ_CST);
        (void)__atomic_fetch_add(&writes->bytes, NT_SUCCESS(status) ? length : 0, __ATOMIC_SEQ_CST);
        stack_sleep_us(40);
    }
    ObDereferenceObject(file);
    ExFreePoolWithTag(buffer, STACK_TAG);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Until the device is detached. While it is open its object stays, and its counters. */
static VOID NTAPI read_thread(PVOID unused)
{
    uint8_t *buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, 65536, STACK_TAG);
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;
    NETCLIENT *client;
    NTSTATUS status;
    ULONG length;

    (void)unused;
    stack_open("NetClient0", &file, &device);
    client = device->DeviceExtension;
    while (NT_SUCCESS(status = stack_transfer(IRP_MJ_READ, file, device, buffer, 65536, &length)))
        checker_take_bytes(test.checker, buffer, length);
    ck_assert_int_eq(status, STATUS_DELETE_PENDING);
    pnp_wait_quiet(); /* the device's removal waits for this file, and for nothing else */
    test.detached = client->Statistics;
    __atomic_store_n(&test.device_gone, true, __ATOMIC_RELEASE);
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

/* ---- the counters ---- */

/* What netback has counted since then, or those have that took each other's place. */
static struct netback_statistics netback_difference(const struct netback_statistics *before)
{
    struct netback_statistics now = stack_netback_sum();

    now.tx.frames -= before->tx.frames;
    now.tx.bytes -= before->tx.bytes;
    now.tx.drops += now.tx.errors - before->tx.drops - before->tx.errors;
    now.rx.frames -= before->rx.frames;
    now.rx.bytes -= before->rx.bytes;
    now.rx.drops += now.rx.errors + now.filtered - before->rx.drops - before->rx.errors - before->filtered;
    return now;
}

static void subtract(NETCLIENT_STATISTICS *client, const NETCLIENT_STATISTICS *before)
{
    for (size_t i = 0; i < sizeof(*client) / sizeof(ULONG64); i++)
        ((ULONG64 *)client)[i] -= ((const ULONG64 *)before)[i];
}

/* Of frames to one address, to several and to all: packets, octets. */
static uint64_t sum(const NETCLIENT_STATISTICS *client, XENVIF_VIF_STATISTIC first)
{
    return client->Vif[first] + client->Vif[first + 2] + client->Vif[first + 4];
}

/* XENVIF's counters are its client's, and what those who wrote and read know. */
static void assert_client_adds_up(const NETCLIENT_STATISTICS *client, uint64_t read, uint64_t read_bytes)
{
    const struct writes *writes = &test.writes;

    ck_assert_uint_eq(client->Written, writes->good + writes->dropped);
    ck_assert_uint_eq(client->WrittenOk, writes->good);
    ck_assert_uint_eq(client->WrittenDropped, writes->dropped);
    ck_assert_uint_eq(sum(client, XENVIF_TRANSMITTER_UNICAST_PACKETS), writes->good);
    ck_assert_uint_eq(sum(client, XENVIF_TRANSMITTER_UNICAST_OCTETS), writes->bytes);
    if (test.form != DETACHED) /* a device that has not started yet refuses by itself */
        ck_assert_uint_eq(client->Vif[XENVIF_TRANSMITTER_PACKETS_DROPPED], writes->dropped + writes->refused);
    ck_assert_uint_eq(client->Vif[XENVIF_TRANSMITTER_BACKEND_ERRORS] + client->Vif[XENVIF_TRANSMITTER_FRONTEND_ERRORS],
                      0);
    ck_assert_uint_eq(client->Received, read);
    ck_assert_uint_eq(client->ReceivedRead, read);
    ck_assert_uint_eq(sum(client, XENVIF_RECEIVER_UNICAST_PACKETS), read);
    ck_assert_uint_eq(sum(client, XENVIF_RECEIVER_UNICAST_OCTETS), read_bytes);
    ck_assert_uint_eq(client->Vif[XENVIF_RECEIVER_PACKETS_DROPPED] + client->Vif[XENVIF_RECEIVER_BACKEND_ERRORS] +
                          client->Vif[XENVIF_RECEIVER_FRONTEND_ERRORS],
                      0);
}

/*
 * netback has counted what has come at its end, and what it has put on the rings. What it has taken off its end and not
 * put there is the frame in its hand, which is lost with the VIF. That nobody is told of what was on the rings as they
 * went is the only difference between its counters and XENVIF's: frames that are sent may have been taken and come back
 * as dropped, and of received ones there are so many fewer as were lost.
 */
static void assert_netback_adds_up(const struct netback_statistics *netback, const NETCLIENT_STATISTICS *client,
                                   const struct checker_verdict *sent, uint64_t rx_lost)
{
    const bool loses = forms[test.form].loses;
    const uint64_t good = test.writes.good + test.before.good, dropped = test.writes.dropped + test.before.dropped;
    const uint64_t received = client->Received + test.detached.Received;

    ck_assert_uint_eq(netback->tx.frames, sent->frames);
    ck_assert_uint_eq(netback->tx.bytes, sent->bytes);
    ck_assert_uint_le(netback->tx.drops, loses ? dropped : 0); /* as the guest took its pages back */
    ck_assert_uint_le(COMING - netback->rx.frames - netback->rx.drops, loses ? 1 : 0);
    ck_assert_uint_ge(netback->tx.frames, good);
    ck_assert_uint_le(netback->tx.frames, good + dropped);
    ck_assert_uint_ge(netback->rx.frames, received);
    ck_assert_uint_le(netback->rx.frames - received, rx_lost);
    if (loses)
        return;
    ck_assert_uint_eq(netback->tx.bytes, sum(client, XENVIF_TRANSMITTER_UNICAST_OCTETS));
    ck_assert_uint_eq(netback->rx.bytes, sum(client, XENVIF_RECEIVER_UNICAST_OCTETS));
}

/* ---- rounds ---- */

static void interrupt(unsigned round)
{
    static void (*const tasks[])(void *) = {[RESTARTED] = restart_main, [DETACHED] = detach_main, [GROWN] = grow_main};

    if (test.form == HASHED)
        hash_otherwise(round);
    else
        (void)task_create("interruption",
                          test.form < sizeof(tasks) / sizeof(tasks[0]) && tasks[test.form] != NULL ? tasks[test.form]
                                                                                                   : suspend_main,
                          NULL);
    ck_assert_msg(stack_wait(has_gone_on, NULL, 60000), "the guest does not go on");
}

/* The client of the device that was detached, and those who wrote to it and read from it. */
static void assert_detached_adds_up(void)
{
    const NETCLIENT_STATISTICS *client = &test.detached;

    ck_assert_uint_eq(client->Written, test.before.good + test.before.dropped);
    ck_assert_uint_eq(client->WrittenOk, test.before.good);
    ck_assert_uint_eq(client->WrittenDropped, test.before.dropped);
    ck_assert_uint_eq(client->Received, client->ReceivedRead + client->ReceivedReturned);
    ck_assert_uint_eq(client->ReceivedRead, checker_verdict(test.checker).frames);
}

/* At this interruption. */
static void assert_no_more_lost_than_in_flight(const struct direction *tx_before, const struct direction *rx_before,
                                               uint64_t dropped_before)
{
    const uint64_t tx = test.tx.lost - tx_before->lost, tx_in_flight = test.tx.in_flight - tx_before->in_flight;
    const uint64_t rx = test.rx.lost - rx_before->lost, rx_in_flight = test.rx.in_flight - rx_before->in_flight;
    const uint64_t dropped = test.dropped - dropped_before;

    if (!forms[test.form].loses) {
        ck_assert_uint_eq(tx + rx + dropped, 0);
        return;
    }
    ck_assert_uint_le(tx, tx_in_flight);
    ck_assert_uint_le(rx, rx_in_flight);
    ck_assert_uint_le(dropped, tx_in_flight);
}

static void round_of_traffic(unsigned round)
{
    const bool detached = test.form == DETACHED;
    NETCLIENT_STATISTICS before = stack_statistics(0), client;
    struct netback_statistics netback = stack_netback_sum();
    const struct direction tx = test.tx, rx = test.rx;
    const uint64_t dropped = test.dropped;
    struct checker_verdict sent, got, got_before;
    PKTHREAD writer[WRITERS];
    PKTHREAD reader = NULL;

    test.gone_on = test.device_gone = false;
    test.detached = (NETCLIENT_STATISTICS){0};
    test.writes = test.before = (struct writes){0};
    test.checker = checker_create(&coming, "to the guest", &stack_logger);
    if (test.queues > 1)
        checker_order_by_flow(test.checker);
    stack_end_expect(0, lan);
    stack_end_order_by_flow(0);
    if (detached)
        reader = stack_thread(read_thread, NULL);
    stack_end_send(0, &coming);
    for (unsigned i = 0; i < WRITERS; i++)
        writer[i] = stack_thread(write_thread, (PVOID)(uintptr_t)i);
    stack_sleep_us(200 + round * 37 % 400);
    interrupt(round);
    for (unsigned i = 0; i < WRITERS; i++)
        stack_join(writer[i]);
    stack_wait_connected(0);
    wait_until_quiet();
    if (detached) {
        stack_join(reader);
        subtract(&test.detached, &before);
        assert_detached_adds_up();
        before = (NETCLIENT_STATISTICS){0}; /* the new device counts from there */
    }
    sent = stack_end_verdict(0);
    ck_assert_uint_eq(checker_bad(&sent), 0);
    test.tx.lost += FRAMES - sent.good;
    test.dropped += test.writes.dropped + test.before.dropped;
    got_before = checker_verdict(test.checker);
    stack_read_into(0, test.checker);
    got = checker_verdict(test.checker);
    checker_destroy(test.checker);
    ck_assert_uint_eq(checker_bad(&got), 0);
    /* What the client had and nobody had read as its device went is not lost on the way. */
    test.rx.lost += COMING - (got.good + test.detached.ReceivedReturned);
    client = stack_statistics(0);
    subtract(&client, &before);
    netback = netback_difference(&netback);
    assert_no_more_lost_than_in_flight(&tx, &rx, dropped);
    assert_client_adds_up(&client, got.frames - got_before.frames, got.bytes - got_before.bytes);
    assert_netback_adds_up(&netback, &client, &sent, test.rx.lost - rx.lost);
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
    test.queues = stack.options->features != NULL ? QUEUES_MAX : 1;
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    for (unsigned round = 0; round < rounds(); round++)
        round_of_traffic(round);
    printf("%u times %s: %llu frames of %llu sent lost, %llu slots in flight; %llu of %llu received lost, %llu slots "
           "in flight\n",
           rounds(), forms[test.form].name, (unsigned long long)test.tx.lost, (unsigned long long)rounds() * FRAMES,
           (unsigned long long)test.tx.in_flight, (unsigned long long)test.rx.lost,
           (unsigned long long)rounds() * COMING, (unsigned long long)test.rx.in_flight);
    fflush(stdout);
    ck_assert_uint_eq(test.saved, test.form == SAVED ? rounds() : 0);
}

START_TEST(interrupted_in_a_row)
{
    enum form form = (enum form)(_i % FORMS);
    const bool many = _i >= FORMS;
    const struct stack_options options = {
        .drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT,
        .vifs = 1,
        .wait = true,
        .vcpus = form == GROWN ? 8
                 : many        ? 4
                               : 1,
        .start_vcpus = form != GROWN ? 0
                       : many        ? 4
                                     : 1,
        .features = many ? "all,queues=4" : NULL,
        .policy = many ? POLICY_PCT : POLICY_FIFO,
        .paused = through_a_file,
    };

    stack_run(&options, in_a_row, &form);
}
END_TEST

/* The writer of each frame that is sent, by its flow. */
static void sort_flows(void)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        struct packet packet;

        packet_parse(lan->frame[i].data, lan->frame[i].length, &packet);
        flow[i] = packet_flow(lan->frame[i].data, &packet);
    }
}

int main(void)
{
    Suite *suite = suite_create("rounds");
    TCase *tcase = tcase_create("rounds");

    lan = stack_capture(STACK_LAN);
    coming = *lan;
    coming.count = COMING;
    sort_flows();
    tcase_set_timeout(tcase, 1800); /* `make rounds` on a busy host */
    tcase_add_loop_test(tcase, interrupted_in_a_row, 0, 2 * FORMS);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
