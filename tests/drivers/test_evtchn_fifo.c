/*
 * The FIFO ABI of event channels as xenbus uses it: when it is chosen, what happens where it cannot be had, many ports,
 * priorities, channels that move while they are queued, and the way back when the bus goes.
 */
#include <string.h>

#include "common/stack.h"
#include "machine/kernel_lock.h"
#include "nt/cm/cm.h"
#include "nt/ke/ke.h"
#include "nt/pnp/pnp.h"
#include "xen/platform.h"
#include "xen/xen.h"

#include <initguid.h>

#include "evtchn_interface.h"
#include "store_interface.h"

#include <xen/event_channel.h>
#include <xen/hvm/params.h>

#define CALL(method, ...) XENBUS_EVTCHN_CALL(&evtchn, method, ##__VA_ARGS__)

#define PORTS 1100 /* of a domain that is allowed more than libxl allows by default: two pages of words */

static XENBUS_EVTCHN_INTERFACE_V9 evtchn;
static XENBUS_STORE_INTERFACE_V2 store;

struct channel {
    PXENBUS_EVTCHN_CHANNEL channel;
    int port; /* domain 0's */
    char name;
    volatile ULONG calls;
    volatile ULONG processor;
};

/* The names of the channels whose callbacks ran, in order. */
static char order[16];

static void begin(void)
{
    STACK_GET(GUID_XENBUS_EVTCHN_INTERFACE, 9, &evtchn);
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Acquire), STATUS_SUCCESS);
    memset(order, 0, sizeof(order));
}

static void end(void)
{
    XENBUS_STORE_CALL(&store, Release);
    CALL(Release);
}

static BOOLEAN NTAPI on_event(PKINTERRUPT interrupt, PVOID argument)
{
    struct channel *channel = argument;
    KERNEL_SCOPE();

    (void)interrupt;
    channel->processor = KeGetCurrentProcessorNumberEx(NULL);
    channel->calls++;
    if (channel->name != 0 && strlen(order) < sizeof(order) - 1)
        order[strlen(order)] = channel->name;
    return TRUE;
}

static void on_notify(void *unused, uint32_t port)
{
    (void)unused;
    (void)xen_evtchn_unmask(XEN_DOM0, port);
}

static void unmask(struct channel *channel)
{
    KIRQL irql;

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    (void)CALL(Unmask, channel->channel, FALSE, TRUE);
    KeLowerIrql(irql);
}

static void bind(struct channel *channel)
{
    ck_assert_ptr_nonnull(channel->channel);
    channel->port =
        xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, CALL(GetPort, channel->channel), on_notify, channel);
    ck_assert_int_gt(channel->port, 0);
    unmask(channel);
}

static void open_unbound(struct channel *channel, char name)
{
    memset(channel, 0, sizeof(*channel));
    channel->name = name;
    channel->channel = CALL(Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_event, channel, (USHORT)0, FALSE);
    bind(channel);
}

static void shut(struct channel *channel)
{
    CALL(Close, channel->channel);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)channel->port), 0);
}

static void from_dom0(const struct channel *channel)
{
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)channel->port), 0);
}

static bool was_called(void *argument)
{
    return ((struct channel *)argument)->calls != 0;
}

static void assert_comes(struct channel *channel)
{
    channel->calls = 0;
    from_dom0(channel);
    ck_assert_msg(stack_wait(was_called, channel, 1000), "the callback did not run");
    ck_assert_uint_eq(channel->calls, 1);
}

static int64_t hypercall(unsigned command, const void *operation, size_t size)
{
    void *copy = ExAllocatePool2(POOL_FLAG_NON_PAGED, size, STACK_TAG);
    int64_t result;

    memcpy(copy, operation, size);
    result = xen_hypercall(__HYPERVISOR_event_channel_op, command, (uint64_t)(uintptr_t)copy, 0, 0, 0);
    ExFreePoolWithTag(copy, STACK_TAG);
    return result;
}

/* By which ABI the domain is told: only the FIFO one has priorities. */
static bool is_fifo(void)
{
    struct evtchn_set_priority operation = {.priority = EVTCHN_FIFO_PRIORITY_MAX};
    uint64_t port = 0;
    int64_t result;

    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_STORE_EVTCHN, &port), 0);
    operation.port = (uint32_t)port;
    result = hypercall(EVTCHNOP_set_priority, &operation, sizeof(operation));
    ck_assert(result == 0 || result == -38 /* ENOSYS */);
    return result == 0;
}

static void assert_works(void)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);
    PSTR value;

    begin();
    open_unbound(channel, 0);
    for (unsigned vcpu = 0; vcpu < stack.options->vcpus; vcpu++) {
        ck_assert_int_eq(CALL(Bind, channel->channel, 0, (UCHAR)vcpu), STATUS_SUCCESS);
        assert_comes(channel);
        ck_assert_uint_eq(channel->processor, vcpu);
    }
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Read, NULL, NULL, (PSTR)(uintptr_t) "control/feature-suspend", &value),
                     STATUS_SUCCESS);
    XENBUS_STORE_CALL(&store, Free, value);
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

/* ---- choice ---- */

static void use_two_level(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseEvtchnFifoAbi", 0);
}

STACK_TEST(fifo_unless_told_otherwise, .drivers = STACK_PROBE, .vcpus = 4)
{
    ck_assert(is_fifo());
    assert_works();
}

STACK_TEST(two_level_by_the_registry, .drivers = STACK_PROBE, .vcpus = 4, .prepare = use_two_level)
{
    ck_assert(!is_fifo());
    assert_works();
}

static void two_level_works(void *unused)
{
    (void)unused;
    ck_assert(!is_fifo());
    assert_works();
}

/* Xen refuses, or has no memory for, one of the parts: everything works by the two-level ABI. */
START_TEST(two_level_if_xen_refuses)
{
    static const char *const fail[] = {
        "call=EVTCHNOP_init_control",
        "call=EVTCHNOP_init_control,nth=1",
        "call=EVTCHNOP_init_control,nth=3",
        "call=EVTCHNOP_expand_array",
    };
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 4, .quiet = true, .fail = fail[_i]};

    stack_run(&options, two_level_works, NULL);
}
END_TEST

/* Without vectors the line brings the events of vCPU 0, by this ABI too. */
STACK_TEST(by_the_line, .drivers = STACK_PROBE, .vcpus = 1, .quiet = true, .host = "xen-4.17,no-vectors")
{
    ck_assert(is_fifo());
    assert_works();
}

static void use_no_vectors(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseEvtchnUpcall", 0);
}

/* The registry wants no vectors: the line brings the events of vCPU 0, and nobody else gets any. */
STACK_TEST(by_the_line_for_the_registry, .drivers = STACK_PROBE, .vcpus = 2, .quiet = true, .prepare = use_no_vectors)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);
    uint64_t callback = 0;

    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_CALLBACK_IRQ, &callback), 0);
    ck_assert_uint_eq(callback >> 56, HVM_PARAM_CALLBACK_TYPE_GSI);
    ck_assert_uint_ne(callback, 0);
    begin();
    open_unbound(channel, 0);
    ck_assert_int_eq(CALL(Bind, channel->channel, 0, 1), STATUS_NOT_SUPPORTED);
    assert_comes(channel);
    ck_assert_uint_eq(channel->processor, 0);
    ck_assert_int_eq(CALL(Bind, channel->channel, 0, 0), STATUS_SUCCESS);
    assert_comes(channel);
    ck_assert_uint_eq(channel->processor, 0);
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

/* ---- ports ---- */

static volatile unsigned many_calls;

static BOOLEAN NTAPI on_one_of_many(PKINTERRUPT interrupt, PVOID argument)
{
    volatile ULONG *calls = argument;
    KERNEL_SCOPE();

    (void)interrupt;
    ++*calls;
    many_calls++;
    return TRUE;
}

static bool all_called(void *unused)
{
    (void)unused;
    return many_calls == PORTS;
}

/* More ports than one page has words for, all of them at once and bound to every processor in turn. */
STACK_TEST(many_ports, .drivers = STACK_PROBE, .vcpus = 3, .event_channels = 4000)
{
    PXENBUS_EVTCHN_CHANNEL *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, PORTS * sizeof(*channel), STACK_TAG);
    ULONG *calls = ExAllocatePool2(POOL_FLAG_NON_PAGED, PORTS * sizeof(*calls), STACK_TAG);
    int *port = ExAllocatePool2(POOL_FLAG_NON_PAGED, PORTS * sizeof(*port), STACK_TAG);
    ULONG highest = 0;

    begin();
    many_calls = 0;
    for (unsigned i = 0; i < PORTS; i++) {
        KIRQL irql;

        channel[i] = CALL(Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_one_of_many, &calls[i], (USHORT)0, FALSE);
        ck_assert_ptr_nonnull(channel[i]);
        highest = CALL(GetPort, channel[i]) > highest ? CALL(GetPort, channel[i]) : highest;
        ck_assert_int_eq(CALL(Bind, channel[i], 0, (UCHAR)(i % 3)), STATUS_SUCCESS);
        port[i] = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, CALL(GetPort, channel[i]), on_notify, NULL);
        ck_assert_int_gt(port[i], 0);
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        (void)CALL(Unmask, channel[i], FALSE, TRUE);
        KeLowerIrql(irql);
    }
    ck_assert_uint_ge(highest, 1024);
    for (unsigned i = 0; i < PORTS; i++)
        ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)port[i]), 0);
    ck_assert_msg(stack_wait(all_called, NULL, 1000), "%u of %u events came", many_calls, PORTS);
    stack_sleep_us(1000);
    for (unsigned i = 0; i < PORTS; i++) {
        ck_assert_uint_eq(calls[i], 1);
        CALL(Close, channel[i]);
        ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)port[i]), 0);
    }
    end();
    ExFreePoolWithTag(port, STACK_TAG);
    ExFreePoolWithTag(calls, STACK_TAG);
    ExFreePoolWithTag(channel, STACK_TAG);
}

#define BUDGET 2048 /* ports that one interrupt looks at */
#define FLOOD (BUDGET + 300)

static unsigned calls_at_first_dpc;

static VOID NTAPI note_calls(PKDPC dpc, PVOID context, PVOID first, PVOID second)
{
    (void)dpc;
    (void)context;
    (void)first;
    (void)second;
    calls_at_first_dpc = many_calls;
}

static bool flood_passed(void *unused)
{
    (void)unused;
    return many_calls == FLOOD;
}

/*
 * However many ports are pending, an interrupt lets the processor go on after so many: a DPC that waits for it runs
 * before the rest, of which none is lost.
 */
static void flood(void *unused)
{
    PXENBUS_EVTCHN_CHANNEL *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, FLOOD * sizeof(*channel), STACK_TAG);
    ULONG *calls = ExAllocatePool2(POOL_FLAG_NON_PAGED, FLOOD * sizeof(*calls), STACK_TAG);
    int *port = ExAllocatePool2(POOL_FLAG_NON_PAGED, FLOOD * sizeof(*port), STACK_TAG);
    PKDPC dpc = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*dpc), STACK_TAG);
    KIRQL irql;

    (void)unused;
    begin();
    many_calls = 0;
    calls_at_first_dpc = 0;
    KeInitializeDpc(dpc, note_calls, NULL);
    (void)KeSetSystemAffinityThreadEx(1);
    for (unsigned i = 0; i < FLOOD; i++) {
        channel[i] = CALL(Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_one_of_many, &calls[i], (USHORT)0, FALSE);
        ck_assert_ptr_nonnull(channel[i]);
        port[i] = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, CALL(GetPort, channel[i]), on_notify, NULL);
        ck_assert_int_gt(port[i], 0);
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        (void)CALL(Unmask, channel[i], FALSE, TRUE);
        KeLowerIrql(irql);
    }
    stack_sleep_us(10000);
    many_calls = 0;
    memset(calls, 0, FLOOD * sizeof(*calls));
    KeRaiseIrql(HIGH_LEVEL, &irql);
    for (unsigned i = 0; i < FLOOD; i++)
        ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)port[i]), 0);
    ck_assert_uint_eq(many_calls, 0);
    KeInsertQueueDpc(dpc, NULL, NULL);
    KeLowerIrql(irql);
    ck_assert_msg(stack_wait(flood_passed, NULL, 1000), "%u of %u events came", many_calls, FLOOD);
    ck_assert_uint_eq(calls_at_first_dpc, BUDGET);
    stack_sleep_us(1000);
    KeRevertToUserAffinityThreadEx(0);
    for (unsigned i = 0; i < FLOOD; i++) {
        ck_assert_uint_eq(calls[i], 1);
        CALL(Close, channel[i]);
        ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)port[i]), 0);
    }
    end();
    ExFreePoolWithTag(dpc, STACK_TAG);
    ExFreePoolWithTag(port, STACK_TAG);
    ExFreePoolWithTag(calls, STACK_TAG);
    ExFreePoolWithTag(channel, STACK_TAG);
}

START_TEST(flood_of_ports)
{
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 2, .event_channels = 4000};

    stack_run(&options, flood, NULL);
    options.prepare = use_two_level;
    stack_run(&options, flood, NULL);
}
END_TEST

/* ---- queues ---- */

/* What the toolstack made goes before what other domains send, whichever came first. */
STACK_TEST(fixed_ports_first, .drivers = STACK_PROBE, .vcpus = 1)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, 3 * sizeof(*channel), STACK_TAG);
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};
    struct evtchn_alloc_unbound *copy = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*copy), STACK_TAG);
    struct evtchn_close shutting;
    KIRQL irql;

    begin();
    open_unbound(&channel[0], 'a');
    open_unbound(&channel[1], 'b');
    *copy = alloc;
    ck_assert_int_eq(
        xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, (uint64_t)(uintptr_t)copy, 0, 0, 0), 0);
    memset(&channel[2], 0, sizeof(channel[2]));
    channel[2].name = 'f';
    channel[2].channel = CALL(Open, XENBUS_EVTCHN_TYPE_FIXED, on_event, &channel[2], (ULONG)copy->port, FALSE);
    bind(&channel[2]);
    stack_sleep_us(500);
    memset(order, 0, sizeof(order));
    KeRaiseIrql(HIGH_LEVEL, &irql);
    from_dom0(&channel[1]);
    from_dom0(&channel[0]);
    from_dom0(&channel[2]);
    KeLowerIrql(irql);
    stack_sleep_us(500);
    ck_assert_str_eq(order, "fba");
    for (unsigned i = 0; i < 3; i++)
        shut(&channel[i]);
    shutting.port = copy->port;
    ck_assert_int_eq(hypercall(EVTCHNOP_close, &shutting, sizeof(shutting)), 0);
    end();
    ExFreePoolWithTag(copy, STACK_TAG);
    ExFreePoolWithTag(channel, STACK_TAG);
}

static volatile bool held, let_go;

static VOID NTAPI hold_processor_0(PVOID unused)
{
    KIRQL irql;

    (void)unused;
    (void)KeSetSystemAffinityThreadEx(1);
    KeRaiseIrql(HIGH_LEVEL, &irql);
    held = true;
    while (!let_go)
        YieldProcessor();
    KeLowerIrql(irql);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static bool is_held(void *unused)
{
    (void)unused;
    return held;
}

/* On the queue of a processor that does not take it, and bound to another: the event comes, once, where it belongs. */
static void moves_while_queued(void *unused)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);
    PKTHREAD thread;

    (void)unused;
    begin();
    open_unbound(channel, 0);
    ck_assert_int_eq(CALL(Bind, channel->channel, 0, 0), STATUS_SUCCESS);
    (void)KeSetSystemAffinityThreadEx(2);
    for (unsigned round = 0; round < 3; round++) {
        stack_sleep_us(1000);
        channel->calls = 0;
        held = let_go = false;
        thread = stack_thread(hold_processor_0, NULL);
        ck_assert(stack_wait(is_held, NULL, 1000));
        from_dom0(channel);
        ck_assert_int_eq(CALL(Bind, channel->channel, 0, 1), STATUS_SUCCESS);
        if (round == 1)
            from_dom0(channel);
        if (round == 2)
            CALL(Trigger, channel->channel);
        let_go = true;
        stack_join(thread);
        ck_assert_msg(stack_wait(was_called, channel, 1000), "the event was lost on its way");
        stack_sleep_us(1000);
        ck_assert_uint_eq(channel->processor, 1);
        ck_assert_uint_le(channel->calls, round == 0 ? 1 : 2);
        assert_comes(channel);
        ck_assert_uint_eq(channel->processor, 1);
        ck_assert_int_eq(CALL(Bind, channel->channel, 0, 0), STATUS_SUCCESS);
        assert_comes(channel);
        ck_assert_uint_eq(channel->processor, 0);
    }
    KeRevertToUserAffinityThreadEx(0);
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

START_TEST(moved_while_queued)
{
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 2};

    stack_run(&options, moves_while_queued, NULL);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= 3; options.seed++)
        stack_run(&options, moves_while_queued, NULL);
    options.policy = POLICY_FIFO;
    options.prepare = use_two_level;
    stack_run(&options, moves_while_queued, NULL);
}
END_TEST

/* Closed while it is queued: the port is free again once its processor has passed over it, and whoever gets it next
 * hears of its own events only. */
STACK_TEST(closed_while_queued, .drivers = STACK_PROBE, .vcpus = 2)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, 2 * sizeof(*channel), STACK_TAG);
    PKTHREAD thread;

    begin();
    for (unsigned round = 0; round < 3; round++) {
        open_unbound(&channel[0], 0);
        (void)KeSetSystemAffinityThreadEx(2);
        stack_sleep_us(1000);
        held = let_go = false;
        thread = stack_thread(hold_processor_0, NULL);
        ck_assert(stack_wait(is_held, NULL, 1000));
        channel[0].calls = 0;
        from_dom0(&channel[0]);
        shut(&channel[0]);
        open_unbound(&channel[1], 0);
        channel[1].calls = 0;
        let_go = true;
        stack_join(thread);
        stack_sleep_us(1000);
        ck_assert_uint_eq(channel[0].calls, 0);
        ck_assert_uint_eq(channel[1].calls, 0);
        assert_comes(&channel[1]);
        shut(&channel[1]);
        KeRevertToUserAffinityThreadEx(0);
    }
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

/* ---- the bus goes and comes ---- */

static struct devnode *bus(void)
{
    struct devnode *node = pnp_root();

    while (node != NULL && (pnp_service(node) == NULL || strcmp(pnp_service(node), "xenbus") != 0))
        node = pnp_next(node);
    ck_assert_ptr_nonnull(node);
    return node;
}

/* Removed, the bus leaves the two-level ABI behind and the store's port as it was; back, it works as before. */
STACK_TEST(bus_removed_and_back, .drivers = STACK_PROBE, .vcpus = 2, .quiet = true)
{
    uint64_t before = 0, after = 0;

    for (unsigned round = 0; round < 2; round++) {
        struct devnode *parent = pnp_parent(bus());

        ck_assert(is_fifo());
        ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_STORE_EVTCHN, &before), 0);
        ck_assert_int_eq(pnp_remove_device(bus(), false), STATUS_SUCCESS);
        ck_assert(!is_fifo());
        ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_STORE_EVTCHN, &after), 0);
        ck_assert_uint_eq(before, after);
        ck_assert_int_eq(pnp_rescan(parent), STATUS_SUCCESS);
        pnp_wait_quiet();
        ck_assert(is_fifo());
        assert_works();
    }
}

/* ---- processors that come ---- */

static void plug(void *count)
{
    ke_processors_announce(*(const unsigned *)count);
}

/* One that was added is no place for events until the bus is started again, and then it is. */
static void processor_comes(void *unused)
{
    struct channel *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*channel), STACK_TAG);
    unsigned all = stack.options->vcpus;
    struct devnode *parent = pnp_parent(bus());

    (void)unused;
    begin();
    open_unbound(channel, 0);
    ck_assert_int_eq(CALL(Bind, channel->channel, 0, (UCHAR)(all - 1)), STATUS_INVALID_PARAMETER);
    stack_in_dom0(plug, &all);
    while (!ke_processors_settled())
        stack_sleep_us(50);
    ck_assert_int_eq(CALL(Bind, channel->channel, 0, (UCHAR)(all - 1)), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(CALL(Bind, channel->channel, 0, (UCHAR)all), STATUS_INVALID_PARAMETER);
    assert_comes(channel);
    ck_assert_uint_eq(channel->processor, 0);
    /* From there, too: it is another processor than the one that the channel is bound to. */
    (void)KeSetSystemAffinityThreadEx((KAFFINITY)1 << (all - 1));
    CALL(Trigger, channel->channel);
    unmask(channel);
    assert_comes(channel);
    KeRevertToUserAffinityThreadEx(0);
    shut(channel);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);

    ck_assert_int_eq(pnp_remove_device(bus(), false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_rescan(parent), STATUS_SUCCESS);
    pnp_wait_quiet();
    assert_works(); /* on each of them */
}

START_TEST(processor_added)
{
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 4, .start_vcpus = 2};

    stack_run(&options, processor_comes, NULL);
    options.prepare = use_two_level;
    stack_run(&options, processor_comes, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("EVTCHN: the FIFO ABI");
    TCase *tcase = tcase_create("choice");

    tcase_add_test(tcase, fifo_unless_told_otherwise);
    tcase_add_test(tcase, two_level_by_the_registry);
    tcase_add_loop_test(tcase, two_level_if_xen_refuses, 0, 4);
    tcase_add_test(tcase, by_the_line);
    tcase_add_test(tcase, by_the_line_for_the_registry);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("queues");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, many_ports);
    tcase_add_test(tcase, flood_of_ports);
    tcase_add_test(tcase, fixed_ports_first);
    tcase_add_test(tcase, moved_while_queued);
    tcase_add_test(tcase, closed_while_queued);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("life");
    tcase_add_test(tcase, bus_removed_and_back);
    tcase_add_test(tcase, processor_added);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
