/* XENBUS_EVTCHN by either ABI, with domain 0 at the other end of the channels. */
#include <string.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "machine/kernel_lock.h"
#include "machine/sched.h"
#include "nt/cm/cm.h"
#include "xen/platform.h"
#include "xen/xen.h"

#include <initguid.h>

#include "evtchn_interface.h"

#include <xen/event_channel.h>
#include <xen/vcpu.h>

#define CALL(method, ...) XENBUS_EVTCHN_CALL(&evtchn, method, ##__VA_ARGS__)

static XENBUS_EVTCHN_INTERFACE_V9 evtchn;

/* A channel of the guest with domain 0's end of it. */
struct channel {
    PXENBUS_EVTCHN_CHANNEL channel;
    int port;                   /* domain 0's, 0: none */
    volatile ULONG calls;       /* of the guest's callback */
    volatile unsigned notified; /* of domain 0's */
    volatile KIRQL irql;
    volatile ULONG processor;
    bool unmask; /* from the callback */
    bool echo;   /* each side answers an event with one of its own */
};

static void begin(void)
{
    STACK_GET(GUID_XENBUS_EVTCHN_INTERFACE, 9, &evtchn);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
}

static void end(void)
{
    CALL(Release);
}

static BOOLEAN NTAPI on_event(PKINTERRUPT interrupt, PVOID argument)
{
    struct channel *channel = argument;
    KERNEL_SCOPE(); /* the driver calls this from outside the simulator; the test looks at the counts from inside */

    ck_assert_ptr_null(interrupt);
    channel->irql = KeGetCurrentIrql();
    channel->processor = KeGetCurrentProcessorNumberEx(NULL);
    (void)CALL(GetCount, channel->channel);
    if (channel->unmask)
        (void)CALL(Unmask, channel->channel, TRUE, TRUE);
    if (channel->echo)
        CALL(Send, channel->channel);
    channel->calls++;
    return TRUE;
}

static void on_notify(void *argument, uint32_t port)
{
    struct channel *channel = argument;

    channel->notified++;
    (void)xen_evtchn_unmask(XEN_DOM0, port);
    if (channel->echo)
        (void)xen_evtchn_send(XEN_DOM0, port);
}

static bool was_called(void *argument)
{
    return ((struct channel *)argument)->calls > 0;
}

static bool was_notified(void *argument)
{
    return ((struct channel *)argument)->notified > 0;
}

static void assert_calls(struct channel *channel, ULONG calls)
{
    if (calls > 0)
        ck_assert_msg(stack_wait(was_called, channel, 1000), "the callback did not run");
    stack_sleep_us(500);
    ck_assert_uint_eq(channel->calls, calls);
    channel->calls = 0;
}

static void from_dom0(const struct channel *channel)
{
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)channel->port), 0);
}

static BOOLEAN unmask(struct channel *channel, BOOLEAN force)
{
    BOOLEAN result;
    KIRQL irql;

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    result = CALL(Unmask, channel->channel, FALSE, force);
    KeLowerIrql(irql);
    return result;
}

static void send(struct channel *channel)
{
    KIRQL irql;

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    CALL(Send, channel->channel);
    KeLowerIrql(irql);
}

/* An unbound channel that domain 0 has bound; masked as it is made. */
static void open_unbound(struct channel *channel, BOOLEAN mask)
{
    memset(channel, 0, sizeof(*channel));
    channel->channel = CALL(Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_event, channel, (USHORT)0, mask);
    ck_assert_ptr_nonnull(channel->channel);
    ck_assert_uint_gt(CALL(GetPort, channel->channel), 0);
    channel->port =
        xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, CALL(GetPort, channel->channel), on_notify, channel);
    ck_assert_int_gt(channel->port, 0);
    channel->notified = 0;
}

static void shut(struct channel *channel)
{
    CALL(Close, channel->channel);
    if (channel->port > 0)
        ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)channel->port), 0);
}

static void assert_both_ways(struct channel *channel)
{
    channel->calls = 0;
    channel->notified = 0;
    from_dom0(channel);
    assert_calls(channel, 1);
    ck_assert_uint_gt(channel->irql, DISPATCH_LEVEL);
    ck_assert_uint_lt(channel->irql, HIGH_LEVEL);
    send(channel);
    ck_assert_msg(stack_wait(was_notified, channel, 1000), "the guest's event did not reach domain 0");
    ck_assert_uint_eq(channel->notified, 1);
}

/* ---- both ABIs ---- */

static void use_two_level(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseEvtchnFifoAbi", 0);
}

static void run(const struct stack_options *options, void (*scenario)(void *))
{
    struct stack_options two_level = *options;

    two_level.prepare = use_two_level;
    stack_run(options, scenario, NULL);
    stack_run(&two_level, scenario, NULL);
}

#define ABI_TEST(name, ...)                                                                                            \
    static void name##_scenario(void *argument);                                                                       \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        static const struct stack_options options = {__VA_ARGS__};                                                     \
        run(&options, name##_scenario);                                                                                \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name##_scenario(__attribute__((unused)) void *argument)

/* ---- types ---- */

ABI_TEST(unbound, .drivers = STACK_PROBE)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, 2 * sizeof(*channel), STACK_TAG);

    begin();
    open_unbound(&channel[0], FALSE);
    open_unbound(&channel[1], FALSE);
    ck_assert_uint_ne(CALL(GetPort, channel[0].channel), CALL(GetPort, channel[1].channel));
    ck_assert(!unmask(&channel[0], FALSE));
    ck_assert(!unmask(&channel[1], FALSE));
    assert_both_ways(&channel[0]);
    ck_assert_uint_eq(channel[1].calls, 0);
    assert_both_ways(&channel[1]);
    shut(&channel[0]);
    assert_both_ways(&channel[1]);
    shut(&channel[1]);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

ABI_TEST(inter_domain, .drivers = STACK_PROBE, .quiet = true)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);

    begin();
    memset(channel, 0, sizeof(*channel));
    ck_assert_ptr_null(CALL(Open, XENBUS_EVTCHN_TYPE_INTER_DOMAIN, on_event, channel, (USHORT)0, (ULONG)777, FALSE));
    channel->port = xen_evtchn_alloc_unbound(XEN_DOM0, stack.domain.domid, on_notify, channel);
    ck_assert_int_gt(channel->port, 0);
    channel->channel =
        CALL(Open, XENBUS_EVTCHN_TYPE_INTER_DOMAIN, on_event, channel, (USHORT)0, (ULONG)channel->port, FALSE);
    ck_assert_ptr_nonnull(channel->channel);
    (void)unmask(channel, FALSE);
    (void)unmask(channel, FALSE);
    assert_both_ways(channel);
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

static uint32_t guest_alloc_unbound(void)
{
    struct evtchn_alloc_unbound *operation = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*operation), STACK_TAG);
    uint32_t port;

    operation->dom = DOMID_SELF;
    operation->remote_dom = 0;
    ck_assert_int_eq(
        xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, (uint64_t)(uintptr_t)operation, 0, 0, 0),
        0);
    port = operation->port;
    ExFreePoolWithTag(operation, STACK_TAG);
    return port;
}

static int64_t guest_close(uint32_t port)
{
    struct evtchn_close *operation = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*operation), STACK_TAG);
    int64_t result;

    operation->port = port;
    result = xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_close, (uint64_t)(uintptr_t)operation, 0, 0, 0);
    ExFreePoolWithTag(operation, STACK_TAG);
    return result;
}

/* A fixed port is another's: it outlives its channel. */
ABI_TEST(fixed, .drivers = STACK_PROBE)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);
    uint32_t port;

    begin();
    memset(channel, 0, sizeof(*channel));
    port = guest_alloc_unbound();
    channel->port = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, port, on_notify, channel);
    ck_assert_int_gt(channel->port, 0);
    for (unsigned round = 0; round < 2; round++) {
        channel->channel = CALL(Open, XENBUS_EVTCHN_TYPE_FIXED, on_event, channel, (ULONG)port, FALSE);
        ck_assert_ptr_nonnull(channel->channel);
        ck_assert_uint_eq(CALL(GetPort, channel->channel), port);
        (void)unmask(channel, FALSE);
        (void)unmask(channel, FALSE);
        assert_both_ways(channel);
        CALL(Close, channel->channel);
        from_dom0(channel);
        assert_calls(channel, 0);
    }
    ck_assert_int_eq(guest_close(port), 0);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)channel->port), 0);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

/* Xen's timer of a vCPU: the event comes on that one. */
ABI_TEST(virq, .drivers = STACK_PROBE, .quiet = true)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);
    struct vcpu_set_singleshot_timer *timer = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*timer), STACK_TAG);

    begin();
    for (unsigned vcpu = 0; vcpu < 2; vcpu++) {
        memset(channel, 0, sizeof(*channel));
        channel->channel =
            CALL(Open, XENBUS_EVTCHN_TYPE_VIRQ, on_event, channel, (ULONG)VIRQ_TIMER, (USHORT)0, (UCHAR)vcpu);
        ck_assert_ptr_nonnull(channel->channel);
        ck_assert_msg(
            CALL(Open, XENBUS_EVTCHN_TYPE_VIRQ, on_event, channel, (ULONG)VIRQ_TIMER, (USHORT)0, (UCHAR)vcpu) == NULL,
            "a virtual interrupt was bound twice");
        (void)unmask(channel, TRUE);
        timer->timeout_abs_ns = clock_now() + 1000000;
        timer->flags = 0;
        (void)KeSetSystemAffinityThreadEx((KAFFINITY)1 << vcpu);
        ck_assert_int_eq(
            xen_hypercall(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, vcpu, (uint64_t)(uintptr_t)timer, 0, 0),
            0);
        KeRevertToUserAffinityThreadEx(0);
        assert_calls(channel, 1);
        ck_assert_uint_eq(channel->processor, vcpu);
        CALL(Close, channel->channel);
    }
    ck_assert_ptr_null(CALL(Open, XENBUS_EVTCHN_TYPE_VIRQ, on_event, channel, (ULONG)VIRQ_TIMER, (USHORT)0, (UCHAR)7));
    ck_assert_ptr_null(CALL(Open, XENBUS_EVTCHN_TYPE_VIRQ, on_event, channel, (ULONG)1000, (USHORT)0, (UCHAR)0));
    ck_assert_ptr_null(CALL(Open, XENBUS_EVTCHN_TYPE_INVALID, on_event, channel));
    end();
    ExFreePoolWithTag(timer, STACK_TAG);
    ExFreePoolWithTag(channel, STACK_TAG);
}

/* ---- masks ---- */

ABI_TEST(masked_until_unmasked, .drivers = STACK_PROBE)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);

    begin();
    open_unbound(channel, FALSE);
    (void)unmask(channel, TRUE);
    assert_calls(channel, 0);
    shut(channel);

    /* Not forced: the pending event is the caller's to deal with, and the port stays masked. */
    open_unbound(channel, FALSE);
    (void)KeSetSystemAffinityThreadEx(1);
    from_dom0(channel);
    assert_calls(channel, 0);
    ck_assert(unmask(channel, FALSE));
    assert_calls(channel, 0);
    from_dom0(channel);
    assert_calls(channel, 0);
    ck_assert(unmask(channel, FALSE));
    ck_assert(!unmask(channel, FALSE));
    assert_calls(channel, 0);
    from_dom0(channel);
    assert_calls(channel, 1);
    KeRevertToUserAffinityThreadEx(0);
    shut(channel);

    /* Forced: it comes. */
    open_unbound(channel, FALSE);
    from_dom0(channel);
    ck_assert(!unmask(channel, TRUE));
    assert_calls(channel, 1);
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

/* From another processor than the one it is bound to, the hypervisor unmasks and raises what is pending. */
ABI_TEST(unmasked_from_elsewhere, .drivers = STACK_PROBE)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);

    begin();
    open_unbound(channel, FALSE);
    ck_assert_int_eq(CALL(Bind, channel->channel, 0, 1), STATUS_SUCCESS);
    (void)KeSetSystemAffinityThreadEx(1);
    from_dom0(channel);
    ck_assert(!unmask(channel, FALSE));
    assert_calls(channel, 1);
    ck_assert_uint_eq(channel->processor, 1);
    KeRevertToUserAffinityThreadEx(0);
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

ABI_TEST(masked_for_its_callback, .drivers = STACK_PROBE)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);

    begin();
    open_unbound(channel, TRUE);
    (void)unmask(channel, TRUE);
    from_dom0(channel);
    assert_calls(channel, 1);
    from_dom0(channel);
    assert_calls(channel, 0);
    ck_assert(!unmask(channel, TRUE));
    assert_calls(channel, 1);

    /* A callback that unmasks hears of the next event as well. */
    channel->unmask = true;
    (void)unmask(channel, TRUE);
    for (unsigned i = 0; i < 5; i++) {
        from_dom0(channel);
        assert_calls(channel, 1);
    }
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

/* ---- processors ---- */

static void each_processor(void *unused)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);

    (void)unused;
    begin();
    open_unbound(channel, FALSE);
    (void)unmask(channel, TRUE);
    for (unsigned i = 0; i < 2 * stack.options->vcpus; i++) {
        unsigned vcpu = (i * 3 + 1) % stack.options->vcpus;

        ck_assert_int_eq(CALL(Bind, channel->channel, 0, (UCHAR)vcpu), STATUS_SUCCESS);
        from_dom0(channel);
        assert_calls(channel, 1);
        ck_assert_uint_eq(channel->processor, vcpu);
        CALL(Trigger, channel->channel);
        assert_calls(channel, 1);
        ck_assert_uint_eq(channel->processor, vcpu);
    }
    ck_assert_int_eq(CALL(Bind, channel->channel, 0, (UCHAR)stack.options->vcpus), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(CALL(Bind, channel->channel, 1, 0), STATUS_INVALID_PARAMETER);
    from_dom0(channel);
    assert_calls(channel, 1);
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

START_TEST(bound_to_each_processor)
{
    static const unsigned vcpus[] = {1, 2, 4, 8};
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = vcpus[_i]};

    run(&options, each_processor);
    options.policy = POLICY_PCT;
    run(&options, each_processor);
}
END_TEST

/* ---- counts and waits ---- */

struct later {
    struct channel *channel;
    uint64_t delay;
    unsigned times;
    volatile unsigned sent; /* counted before the event is on its way */
    volatile bool ended;
};

static void send_later(void *argument)
{
    struct later *later = argument;

    for (unsigned i = 0; i < later->times; i++) {
        (void)task_park(clock_now() + later->delay, "the time to send");
        later->sent++;
        from_dom0(later->channel);
    }
    later->ended = true;
}

static bool sender_ended(void *argument)
{
    return ((struct later *)argument)->ended;
}

static NTSTATUS wait_ms(struct channel *channel, ULONG count, LONGLONG milliseconds)
{
    LARGE_INTEGER timeout = {.QuadPart = -10000 * milliseconds};

    return CALL(Wait, channel->channel, count, &timeout);
}

static void waits(void *unused)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);
    struct later later = {.channel = channel, .delay = 1000000, .times = 1};
    uint64_t start;
    ULONG count;
    KIRQL irql;

    (void)unused;
    begin();
    open_unbound(channel, FALSE);
    (void)unmask(channel, TRUE);
    count = CALL(GetCount, channel->channel);
    start = clock_now();
    ck_assert_int_eq(wait_ms(channel, count, 5), STATUS_TIMEOUT);
    ck_assert_uint_ge(clock_now() - start, 5000000);

    from_dom0(channel);
    assert_calls(channel, 1);
    ck_assert_uint_eq(CALL(GetCount, channel->channel), count + 1);
    start = clock_now();
    ck_assert_int_eq(wait_ms(channel, count, 1000), STATUS_SUCCESS);
    ck_assert_int_eq(CALL(Wait, channel->channel, count, NULL), STATUS_SUCCESS);
    ck_assert_uint_lt(clock_now() - start, 1000000);

    for (unsigned round = 0; round < 4; round++) {
        count = CALL(GetCount, channel->channel);
        later.ended = false;
        (void)task_create("sender", send_later, &later);
        start = clock_now();
        if (round % 2 == 0) {
            ck_assert_int_eq(CALL(Wait, channel->channel, count, NULL), STATUS_SUCCESS);
        } else {
            (void)KeSetSystemAffinityThreadEx((KAFFINITY)1 << (round / 2 % stack.options->vcpus));
            KeRaiseIrql(DISPATCH_LEVEL, &irql);
            ck_assert_int_eq(wait_ms(channel, count, 1000), STATUS_SUCCESS);
            count = CALL(GetCount, channel->channel);
            ck_assert_int_eq(wait_ms(channel, count, 2), STATUS_TIMEOUT);
            KeLowerIrql(irql);
            KeRevertToUserAffinityThreadEx(0);
        }
        ck_assert_uint_lt(clock_now() - start, 500000000);
        ck_assert(stack_wait(sender_ended, &later, 1000));
    }
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

START_TEST(counts_and_waits)
{
    static const unsigned vcpus[] = {1, 2, 4};
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = vcpus[_i]};

    run(&options, waits);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= 3; options.seed++)
        run(&options, waits);
}
END_TEST

/*
 * No event is missed between looking and waiting: a waiter gets to the last one. Events may become one on the way, if
 * the guest is slow.
 */
static void no_event_missed(void *unused)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);
    struct later later = {.channel = channel, .delay = 20000, .times = 200};
    ULONG first, count;

    (void)unused;
    begin();
    open_unbound(channel, TRUE);
    channel->unmask = true;
    (void)unmask(channel, TRUE);
    first = count = CALL(GetCount, channel->channel);
    (void)task_create("sender", send_later, &later);
    while (later.sent < later.times) {
        ck_assert_msg(wait_ms(channel, count, 1000) == STATUS_SUCCESS, "an event was missed behind %u", later.sent);
        count = CALL(GetCount, channel->channel);
    }
    ck_assert(stack_wait(sender_ended, &later, 1000));
    stack_sleep_us(1000);
    ck_assert_uint_le(CALL(GetCount, channel->channel) - first, 200);
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

START_TEST(waiter_gets_all)
{
    static const unsigned vcpus[] = {1, 2, 4};
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = vcpus[_i]};

    run(&options, no_event_missed);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= 3; options.seed++)
        run(&options, no_event_missed);
}
END_TEST

/* ---- a storm ---- */

struct storm {
    struct channel *channel;
    volatile bool stop;
    volatile bool ended;
    uint64_t sent;
};

static void rage(void *argument)
{
    struct storm *storm = argument;

    while (!storm->stop) {
        from_dom0(storm->channel);
        storm->sent++;
        sched_point(POINT_DOM0);
    }
    storm->ended = true;
}

static bool storm_rages(void *argument)
{
    const struct storm *storm = argument;

    return storm->sent > 1000 && storm->channel->calls > 100;
}

static bool storm_ended(void *argument)
{
    return ((struct storm *)argument)->ended;
}

/* FB17: one port fires without end: events of another one on the same processor still come, and threads still run
 * there. */
static void storm(void *unused)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, 2 * sizeof(*channel), STACK_TAG);
    struct storm storm = {.channel = &channel[0]};

    (void)unused;
    begin();
    for (unsigned i = 0; i < 2; i++) {
        open_unbound(&channel[i], FALSE);
        ck_assert_int_eq(CALL(Bind, channel[i].channel, 0, 0), STATUS_SUCCESS);
        (void)unmask(&channel[i], TRUE);
    }
    (void)KeSetSystemAffinityThreadEx(1);
    (void)task_create("storm", rage, &storm);
    for (unsigned i = 0; i < 20; i++) {
        stack_sleep_us(500);
        from_dom0(&channel[1]);
        ck_assert_msg(stack_wait(was_called, &channel[1], 1000), "event %u on another port did not come through", i);
        ck_assert_uint_eq(channel[1].calls, 1);
        channel[1].calls = 0;
    }
    ck_assert(stack_wait(storm_rages, &storm, 10000));
    storm.stop = true;
    ck_assert(stack_wait(storm_ended, &storm, 1000));
    KeRevertToUserAffinityThreadEx(0);

    /* When it is over the port works as before. */
    stack_sleep_us(50000);
    channel[0].calls = 0;
    assert_both_ways(&channel[0]);
    shut(&channel[0]);
    shut(&channel[1]);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

START_TEST(storm_on_one_port)
{
    static const unsigned vcpus[] = {1, 2};
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = vcpus[_i], .quiet = true};

    run(&options, storm);
    options.policy = POLICY_RANDOM;
    run(&options, storm);
}
END_TEST

/* The fastest storm that there can be: the next event is there before the callback has returned. It is held back in
 * time, of which an instrumented build has none to spare: the clock is the virtual one. */
static void echo_storm(void *unused)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);
    uint64_t start;

    (void)unused;
    begin();
    open_unbound(channel, FALSE);
    channel->echo = true;
    (void)unmask(channel, TRUE);
    (void)KeSetSystemAffinityThreadEx(1);
    start = clock_now();
    from_dom0(channel);
    for (unsigned i = 0; i < 10; i++)
        stack_sleep_us(10000);
    ck_assert_msg(clock_now() - start < UINT64_C(400000000), "100 ms took %llu us in a storm",
                  (unsigned long long)(clock_now() - start) / 1000);
    ck_assert_uint_ge(channel->calls, 10000);
    ck_assert_uint_le(channel->calls, 5000 * ((clock_now() - start) / 10000000 + 1));
    channel->echo = false;
    KeRevertToUserAffinityThreadEx(0);
    stack_sleep_us(50000);
    channel->calls = 0;
    assert_both_ways(channel);
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

START_TEST(storm_by_echo)
{
    static const unsigned vcpus[] = {1, 2};
    struct stack_options options = {
        .drivers = STACK_PROBE, .vcpus = vcpus[_i], .quiet = true, .engine = ENGINE_DETERMINISTIC};

    run(&options, echo_storm);
}
END_TEST

/* ---- closing ---- */

/* Once Close has returned the callback does not run, whatever domain 0 does. */
static void closed_under_fire(void *unused)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);
    struct later later = {.channel = channel, .delay = 3000, .times = 50};

    (void)unused;
    begin();
    open_unbound(channel, FALSE);
    if (stack.options->vcpus > 1)
        ck_assert_int_eq(CALL(Bind, channel->channel, 0, 1), STATUS_SUCCESS);
    (void)KeSetSystemAffinityThreadEx(1);
    (void)unmask(channel, TRUE);
    (void)task_create("sender", send_later, &later);
    ck_assert(stack_wait(was_called, channel, 1000));
    CALL(Close, channel->channel);
    channel->calls = 0;
    ck_assert(stack_wait(sender_ended, &later, 1000));
    assert_calls(channel, 0);
    KeRevertToUserAffinityThreadEx(0);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)channel->port), 0);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

START_TEST(close_under_fire)
{
    static const unsigned vcpus[] = {1, 2, 4};
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = vcpus[_i]};

    run(&options, closed_under_fire);
    for (options.seed = 1; options.seed <= 5; options.seed++) {
        options.policy = POLICY_PCT;
        run(&options, closed_under_fire);
        options.policy = POLICY_RANDOM;
        run(&options, closed_under_fire);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("EVTCHN");
    TCase *tcase = tcase_create("types");

    tcase_add_test(tcase, unbound);
    tcase_add_test(tcase, inter_domain);
    tcase_add_test(tcase, fixed);
    tcase_add_test(tcase, virq);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("masks");
    tcase_add_test(tcase, masked_until_unmasked);
    tcase_add_test(tcase, unmasked_from_elsewhere);
    tcase_add_test(tcase, masked_for_its_callback);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("delivery");
    tcase_set_timeout(tcase, 120); /* a storm that nothing holds back never ends */
    tcase_add_loop_test(tcase, bound_to_each_processor, 0, 4);
    tcase_add_loop_test(tcase, counts_and_waits, 0, 3);
    tcase_add_loop_test(tcase, waiter_gets_all, 0, 3);
    tcase_add_loop_test(tcase, storm_on_one_port, 0, 2);
    tcase_add_loop_test(tcase, storm_by_echo, 0, 2);
    tcase_add_loop_test(tcase, close_under_fire, 0, 3);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
