/*
 * XENBUS_EVTCHN under fire, by either ABI: domain 0 sends, every processor binds, triggers, sends and unmasks, all at
 * the same time and outside the simulator as a driver does. After the last event of a round each channel's client has
 * been called since, or has been told by Unmask: an event that is pending and raised nowhere is lost for good, as its
 * port takes no other.
 */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "machine/kernel_lock.h"
#include "machine/sched.h"
#include "nt/cm/cm.h"
#include "xen/xen.h"

#include <initguid.h>

#include "evtchn_interface.h"

#define LANES 4
#define SENDS 16
#define OPERATIONS 8
#define VCPUS_MAX 4

/* The driver's routine, called from outside the simulator. */
#define CALL(method, ...) KERNEL_CALLOUT(evtchn.Evtchn##method, &evtchn.Interface, ##__VA_ARGS__)

static XENBUS_EVTCHN_INTERFACE_V9 evtchn;

/* A channel. Odd ones are masked for their callback, whose DPC unmasks them. */
struct lane {
    PXENBUS_EVTCHN_CHANNEL channel;
    int port; /* domain 0's */
    KDPC dpc;
    LONG volatile produced; /* events, counted before they are sent */
    LONG volatile consumed; /* as many of them as the client has seen */
    LONG volatile inside;   /* the callback */
};

static struct {
    struct lane lane[LANES];
    unsigned rounds;
    unsigned round;
    bool sent;
    LONG volatile closing;
} fire;

static void consume(struct lane *lane)
{
    LONG produced = ReadAcquire(&lane->produced);
    LONG consumed = ReadAcquire(&lane->consumed);

    while (consumed < produced) {
        LONG old = InterlockedCompareExchange(&lane->consumed, produced, consumed);

        if (old == consumed)
            return;
        consumed = old;
    }
}

static bool is_masked_for_callback(const struct lane *lane)
{
    return (lane - fire.lane) % 2 != 0;
}

static BOOLEAN NTAPI on_event(PKINTERRUPT interrupt, PVOID argument)
{
    struct lane *lane = argument;

    (void)interrupt;
    ck_assert_msg(InterlockedIncrement(&lane->inside) == 1, "the callback runs on two processors at once");
    consume(lane);
    InterlockedDecrement(&lane->inside);
    if (is_masked_for_callback(lane) && ReadAcquire(&fire.closing) == 0)
        (void)KeInsertQueueDpc(&lane->dpc, NULL, NULL);
    return TRUE;
}

/* Until nothing is pending: what Unmask finds is the caller's to deal with. */
static VOID NTAPI unmask(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    struct lane *lane = context;

    (void)dpc;
    (void)argument1;
    (void)argument2;
    while (CALL(Unmask, lane->channel, FALSE, FALSE))
        consume(lane);
}

static void on_notify(void *unused, uint32_t port)
{
    (void)unused;
    (void)xen_evtchn_unmask(XEN_DOM0, port);
}

static uint32_t next(uint32_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    return *random;
}

/* Domain 0. */
static void sender(void *unused)
{
    uint32_t random = 0x9e3779b9u + fire.round;

    (void)unused;
    for (unsigned i = 0; i < SENDS; i++) {
        struct lane *lane = &fire.lane[next(&random) % LANES];

        (void)InterlockedIncrement(&lane->produced);
        ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)lane->port), 0);
        for (unsigned pause = next(&random) % 4; pause > 0; pause--)
            sched_point(POINT_DOM0);
    }
    fire.sent = true;
}

static bool is_sent(void *unused)
{
    (void)unused;
    return fire.sent;
}

static void trigger(struct lane *lane)
{
    (void)InterlockedIncrement(&lane->produced);
    CALL(Trigger, lane->channel);
}

static void send(struct lane *lane)
{
    KIRQL irql;

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    CALL(Send, lane->channel);
    KeLowerIrql(irql);
}

static VOID NTAPI operate(PVOID context)
{
    unsigned vcpu = (unsigned)(uintptr_t)context;
    uint32_t random = 1 + vcpu + fire.round * VCPUS_MAX;

    (void)KeSetSystemAffinityThreadEx((KAFFINITY)1 << vcpu);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        struct lane *lane = &fire.lane[next(&random) % LANES];
        uint32_t what = next(&random) % 8;

        if (what < 4)
            ck_assert_int_eq(CALL(Bind, lane->channel, 0, (UCHAR)(next(&random) % stack.options->vcpus)),
                             STATUS_SUCCESS);
        else if (what < 6)
            trigger(lane);
        else if (what < 7)
            send(lane);
        else
            YieldProcessor();
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static bool all_consumed(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < LANES; i++)
        if (ReadAcquire(&fire.lane[i].consumed) != ReadAcquire(&fire.lane[i].produced))
            return false;
    return true;
}

static void open_lane(struct lane *lane)
{
    KIRQL irql;

    KeInitializeDpc(&lane->dpc, unmask, lane);
    lane->channel = CALL(Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_event, lane, (USHORT)0, is_masked_for_callback(lane));
    ck_assert_ptr_nonnull(lane->channel);
    lane->port =
        xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, CALL(GetPort, lane->channel), on_notify, NULL);
    ck_assert_int_gt(lane->port, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    (void)CALL(Unmask, lane->channel, FALSE, TRUE);
    KeLowerIrql(irql);
}

static void one_round(void)
{
    PKTHREAD thread[VCPUS_MAX];

    fire.sent = false;
    (void)task_create("sender", sender, NULL);
    for (unsigned vcpu = 0; vcpu < stack.options->vcpus; vcpu++)
        thread[vcpu] = stack_thread(operate, (PVOID)(uintptr_t)vcpu);
    for (unsigned vcpu = 0; vcpu < stack.options->vcpus; vcpu++)
        stack_join(thread[vcpu]);
    ck_assert(stack_wait(is_sent, NULL, 60000));
    if (stack_wait(all_consumed, NULL, 5000))
        return;
    for (unsigned i = 0; i < LANES; i++)
        ck_assert_msg(fire.lane[i].consumed == fire.lane[i].produced,
                      "round %u, channel %u: its client has seen %d of %d events, and no more come", fire.round, i,
                      fire.lane[i].consumed, fire.lane[i].produced);
}

static void under_fire(void *rounds)
{
    STACK_GET(GUID_XENBUS_EVTCHN_INTERFACE, 9, &evtchn);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    memset(&fire, 0, sizeof(fire));
    for (unsigned i = 0; i < LANES; i++)
        open_lane(&fire.lane[i]);
    for (fire.round = 0; fire.round < *(const unsigned *)rounds; fire.round++)
        one_round();
    (void)InterlockedExchange(&fire.closing, 1);
    KeFlushQueuedDpcs();
    for (unsigned i = 0; i < LANES; i++) {
        CALL(Close, fire.lane[i].channel);
        ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)fire.lane[i].port), 0);
    }
    CALL(Release);
}

#ifdef PVSIM_SANITIZE /* a round takes ten times as long */
#define SEEDS 2u
#define ROUNDS 15u
#define PARALLEL_ROUNDS 40u
#else
#define SEEDS 4u
#define ROUNDS 50u
#define PARALLEL_ROUNDS 200u
#endif

static const unsigned vcpu_counts[] = {1, 2, VCPUS_MAX};

#define MACHINES (2 * (int)ARRAYSIZE(vcpu_counts))

static void use_two_level(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseEvtchnFifoAbi", 0);
}

/* Each number of vCPUs by the FIFO ABI, then by the other one. */
static struct stack_options machine_options(int index, enum machine_engine engine)
{
    return (struct stack_options){
        .drivers = STACK_PROBE,
        .vcpus = vcpu_counts[(size_t)index % ARRAYSIZE(vcpu_counts)],
        .engine = engine,
        .prepare = (size_t)index < ARRAYSIZE(vcpu_counts) ? NULL : use_two_level,
    };
}

START_TEST(nothing_lost_in_any_schedule)
{
    struct stack_options options = machine_options(_i, ENGINE_DETERMINISTIC);
    unsigned rounds = ROUNDS;

    stack_run(&options, under_fire, &rounds);
    for (options.seed = 1; options.seed <= SEEDS; options.seed++) {
        options.policy = POLICY_PCT;
        stack_run(&options, under_fire, &rounds);
        options.policy = POLICY_RANDOM;
        stack_run(&options, under_fire, &rounds);
    }
}
END_TEST

START_TEST(nothing_lost_between_host_threads)
{
    const struct stack_options options = machine_options(_i, ENGINE_PARALLEL);
    unsigned rounds = PARALLEL_ROUNDS;

    stack_run(&options, under_fire, &rounds);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("EVTCHN under fire");
    TCase *tcase = tcase_create("events");

    tcase_set_timeout(tcase, 240);
    tcase_add_loop_test(tcase, nothing_lost_in_any_schedule, 0, MACHINES);
    tcase_add_loop_test(tcase, nothing_lost_between_host_threads, 0, MACHINES);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
