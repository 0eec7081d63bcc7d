/*
 * EVTCHN where somebody else has had a hand in the domain's event channels: ports that are gone, or that nobody has
 * opened; control blocks that were left behind; a line that another device shares; channels that outlive two resumes.
 */
#include <string.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "machine/fault.h"
#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "machine/vcpu.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"
#include "xen/hypervisor.h"
#include "xen/xen.h"

#include <initguid.h>

#include "evtchn_interface.h"
#include "suspend_interface.h"

#include <xen/event_channel.h>
#include <xen/xen.h>

#define CALL(method, ...) XENBUS_EVTCHN_CALL(&evtchn, method, ##__VA_ARGS__)

#define PLATFORM "PCI\\VEN_5853&DEV_0001"

static XENBUS_EVTCHN_INTERFACE_V9 evtchn;

static void begin(void)
{
    STACK_GET(GUID_XENBUS_EVTCHN_INTERFACE, 9, &evtchn);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
}

static void end(void)
{
    CALL(Release);
}

static bool logged(const char *words)
{
    static char tail[65536];

    (void)log_tail(tail, sizeof(tail));
    return strstr(tail, words) != NULL;
}

static void use_two_level(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseEvtchnFifoAbi", 0);
}

/* By both ABIs. */
#define ABI_TEST(name, ...)                                                                                            \
    static void name##_scenario(void *argument);                                                                       \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        struct stack_options options = {__VA_ARGS__};                                                                  \
                                                                                                                       \
        stack_run(&options, name##_scenario, NULL);                                                                    \
        options.prepare = use_two_level;                                                                               \
        stack_run(&options, name##_scenario, NULL);                                                                    \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name##_scenario(__attribute__((unused)) void *argument)

static volatile unsigned calls;

static BOOLEAN NTAPI on_event(PKINTERRUPT interrupt, PVOID argument)
{
    KERNEL_SCOPE();

    (void)interrupt;
    (void)argument;
    calls++;
    return TRUE;
}

static bool was_called(void *unused)
{
    (void)unused;
    return calls != 0;
}

static void on_notify(void *unused, uint32_t port)
{
    (void)unused;
    (void)xen_evtchn_unmask(XEN_DOM0, port);
}

static PXENBUS_EVTCHN_CHANNEL open_unbound(void)
{
    return CALL(Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_event, NULL, (USHORT)0, FALSE);
}

static void unmask(PXENBUS_EVTCHN_CHANNEL channel)
{
    KIRQL irql;

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    (void)CALL(Unmask, channel, FALSE, TRUE);
    KeLowerIrql(irql);
}

static void send(PXENBUS_EVTCHN_CHANNEL channel)
{
    KIRQL irql;

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    CALL(Send, channel);
    KeLowerIrql(irql);
}

/* A channel of domain 0's brings an event. */
static void assert_works(void)
{
    PXENBUS_EVTCHN_CHANNEL channel = open_unbound();
    int port;

    ck_assert_ptr_nonnull(channel);
    unmask(channel);
    port = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, CALL(GetPort, channel), on_notify, NULL);
    ck_assert_int_gt(port, 0);
    stack_sleep_us(1000);
    calls = 0;
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)port), 0);
    ck_assert(stack_wait(was_called, NULL, 1000));
    stack_sleep_us(1000);
    ck_assert_uint_eq(calls, 1);
    CALL(Close, channel);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)port), 0);
}

/* ---- ports ---- */

/* Somebody has closed the port under the channel. */
ABI_TEST(port_is_closed, .drivers = STACK_PROBE, .quiet = true)
{
    PXENBUS_EVTCHN_CHANNEL channel;
    struct evtchn_close shutting;

    begin();
    channel = open_unbound();
    ck_assert_ptr_nonnull(channel);
    shutting.port = CALL(GetPort, channel);
    ck_assert_int_eq(stack_event_op(EVTCHNOP_close, &shutting, sizeof(shutting)), 0);
    send(channel); /* to nobody */
    CALL(Close, channel);
    ck_assert(logged("does not close"));
    assert_works();
    end();
}

/* A port has one channel. */
ABI_TEST(port_that_is_taken, .drivers = STACK_PROBE, .quiet = true)
{
    PXENBUS_EVTCHN_CHANNEL channel;
    ULONG port;

    begin();
    channel = open_unbound();
    ck_assert_ptr_nonnull(channel);
    port = CALL(GetPort, channel);
    ck_assert_ptr_null(CALL(Open, XENBUS_EVTCHN_TYPE_FIXED, on_event, NULL, port, FALSE));
    CALL(Close, channel);
    assert_works();
    end();
}

/* Somebody has reset the domain's event channels. */
STACK_TEST(all_ports_are_closed, .drivers = STACK_PROBE, .quiet = true, .prepare = use_two_level)
{
    struct evtchn_reset reset = {.dom = DOMID_SELF};
    PXENBUS_EVTCHN_CHANNEL channel;

    begin();
    channel = open_unbound();
    ck_assert_ptr_nonnull(channel);
    ck_assert_int_eq(stack_event_op(EVTCHNOP_reset, &reset, sizeof(reset)), 0);
    send(channel);
    unmask(channel);
    CALL(Trigger, channel);
    CALL(Close, channel);
    ck_assert(logged("does not close"));
    end();
    machine_stop(); /* there is no store any more to go in order */
}

/* Events of a port that somebody else has made: nobody is called, nor for ever. */
ABI_TEST(port_of_nobody, .drivers = STACK_PROBE)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};
    struct evtchn_unmask unmasking;
    struct evtchn_close shutting;
    int port;

    begin();
    ck_assert_int_eq(stack_event_op(EVTCHNOP_alloc_unbound, &alloc, sizeof(alloc)), 0);
    port = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, alloc.port, on_notify, NULL);
    ck_assert_int_gt(port, 0);
    unmasking.port = alloc.port;
    for (unsigned i = 0; i < 3; i++) {
        calls = 0;
        ck_assert_int_eq(stack_event_op(EVTCHNOP_unmask, &unmasking, sizeof(unmasking)), 0);
        ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)port), 0);
        stack_sleep_us(1000);
        ck_assert_uint_eq(calls, 0);
        assert_works();
    }
    shutting.port = alloc.port;
    ck_assert_int_eq(stack_event_op(EVTCHNOP_close, &shutting, sizeof(shutting)), 0);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)port), 0);
    end();
}

/* Xen's own interrupts are a processor's, and stay there. */
ABI_TEST(interrupt_of_a_processor, .drivers = STACK_PROBE, .vcpus = 2, .quiet = true)
{
    PXENBUS_EVTCHN_CHANNEL channel;

    begin();
    channel = CALL(Open, XENBUS_EVTCHN_TYPE_VIRQ, on_event, NULL, (ULONG)VIRQ_TIMER, (USHORT)0, (UCHAR)1);
    ck_assert_ptr_nonnull(channel);
    ck_assert_int_eq(CALL(Bind, channel, 0, 0), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(CALL(Bind, channel, 0, 1), STATUS_SUCCESS);
    CALL(Close, channel);
    end();
}

#define PORTS 1100

/* Xen takes no further page of words: a channel beyond the first page is not opened, and its port is free again. */
STACK_TEST(no_page_for_ports, .drivers = STACK_PROBE, .quiet = true, .event_channels = 4000,
           .fail = "call=EVTCHNOP_expand_array,nth=100000000")
{
    PXENBUS_EVTCHN_CHANNEL *channel = ExAllocatePool2(POOL_FLAG_NON_PAGED, PORTS * sizeof(*channel), STACK_TAG);
    unsigned count = 0;

    fault_suspend();
    begin();
    machine->config.faults.rule[0].nth = 0;
    fault_resume();
    while (count < PORTS && (channel[count] = open_unbound()) != NULL)
        count++;
    fault_suspend();
    ck_assert_uint_lt(count, 1024);
    ck_assert_uint_gt(count, 1000);
    for (unsigned i = 0; i < 8; i++) {
        channel[count] = open_unbound();
        ck_assert_ptr_nonnull(channel[count]);
        count++;
    }
    assert_works();
    while (count != 0)
        CALL(Close, channel[--count]);
    end();
    ExFreePoolWithTag(channel, STACK_TAG);
}

/* ---- a channel that raises itself ---- */

static PXENBUS_EVTCHN_CHANNEL itself;
static volatile bool enough;

static BOOLEAN NTAPI on_itself(PKINTERRUPT interrupt, PVOID argument)
{
    KERNEL_SCOPE();

    (void)interrupt;
    (void)argument;
    calls++;
    if (!enough)
        CALL(Trigger, itself);
    (void)CALL(Unmask, itself, TRUE, FALSE);
    return TRUE;
}

#define HOLD 5000 /* events in 10 ms, after which a channel is held back */

/* A channel that is masked for its client, and unmasked from its callback, is held back as any other. */
ABI_TEST(raises_itself, .drivers = STACK_PROBE, .vcpus = 1, .quiet = true)
{
    unsigned before;

    begin();
    calls = 0;
    enough = false;
    itself = CALL(Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_itself, NULL, (USHORT)0, TRUE);
    ck_assert_ptr_nonnull(itself);
    unmask(itself);
    CALL(Trigger, itself);
    for (unsigned i = 0; i < 10; i++) {
        before = calls;
        stack_sleep_us(10000);
        ck_assert_uint_le(calls - before, 3 * HOLD);
    }
    ck_assert_uint_ge(calls, 2 * HOLD);
    ck_assert(logged("it was held back"));
    enough = true;
    stack_sleep_us(50000);
    CALL(Close, itself);
    assert_works();
    end();
}

/* ---- a wait until a time of day ---- */

ABI_TEST(waits_until_a_time, .drivers = STACK_PROBE)
{
    PXENBUS_EVTCHN_CHANNEL channel;
    LARGE_INTEGER until;
    ULONGLONG start;
    ULONG count;

    begin();
    channel = open_unbound();
    ck_assert_ptr_nonnull(channel);
    count = CALL(GetCount, channel);
    KeQuerySystemTime(&until);
    start = KeQueryInterruptTime();
    until.QuadPart += 20 * 10000;
    ck_assert_int_eq(CALL(Wait, channel, count, &until), STATUS_TIMEOUT);
    ck_assert_uint_ge(KeQueryInterruptTime() - start, 19 * 10000);
    ck_assert_uint_lt(KeQueryInterruptTime() - start, 40 * 10000);
    start = KeQueryInterruptTime();
    ck_assert_int_eq(CALL(Wait, channel, count, &until), STATUS_TIMEOUT); /* it is past */
    ck_assert_uint_lt(KeQueryInterruptTime() - start, 20 * 10000);
    CALL(Close, channel);
    end();
}

/* ---- what was left behind ---- */

/* Whoever had the domain before has left it with control blocks of its own. */
STACK_TEST(control_blocks_left_behind, .drivers = STACK_PROBE, .vcpus = 2, .quiet = true)
{
    struct devnode *parent = pnp_parent(stack_device(PLATFORM));
    void *page = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);

    ck_assert_int_eq(pnp_remove_device(stack_device(PLATFORM), false), STATUS_SUCCESS);
    for (uint32_t vcpu = 0; vcpu < 2; vcpu++) {
        struct evtchn_init_control init = {.control_gfn = (uint64_t)MmGetPhysicalAddress(page).QuadPart >> PAGE_SHIFT,
                                           .offset = 512 * vcpu,
                                           .vcpu = vcpu};

        ck_assert_int_eq(stack_event_op(EVTCHNOP_init_control, &init, sizeof(init)), 0);
    }
    ck_assert_int_eq(pnp_rescan(parent), STATUS_SUCCESS);
    pnp_wait_quiet();
    ck_assert(!logged("no FIFO event channels"));
    begin();
    assert_works();
    end();
    ExFreePoolWithTag(page, STACK_TAG);
}

/* ---- the line ---- */

static void line_down(void *gsi)
{
    vcpu_set_line((unsigned)(uintptr_t)gsi, false);
}

/* The platform device's line is up for another device that shares it: it is not the bus's interrupt. */
ABI_TEST(line_of_another, .drivers = STACK_PROBE)
{
    static struct deadline down;
    unsigned gsi = domain_find(stack.domain.domid)->via.gsi;

    begin();
    for (unsigned i = 0; i < 3; i++) {
        calls = 0;
        deadline_set(&down, clock_now() + 20000, line_down, (void *)(uintptr_t)gsi);
        vcpu_set_line(gsi, true);
        stack_sleep_us(1000);
        ck_assert_uint_eq(calls, 0);
        assert_works();
    }
    end();
}

/* ---- resumes ---- */

/* A client keeps a channel that has gone with the first of two resumes. */
ABI_TEST(outlives_two_resumes, .drivers = STACK_PROBE, .vcpus = 2)
{
    struct stack_resumer resumer = {.rounds = 1};
    XENBUS_SUSPEND_INTERFACE_V1 suspend;
    PXENBUS_EVTCHN_CHANNEL channel;

    begin();
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    channel = open_unbound();
    ck_assert_ptr_nonnull(channel);
    for (unsigned i = 0; i < 2; i++) {
        stack_resume_when_suspended(&resumer);
        ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
        stack_await_resumer(&resumer);
        send(channel); /* to nobody */
        unmask(channel);
        CALL(Trigger, channel);
        ck_assert_int_eq(CALL(Bind, channel, 0, 1), STATUS_SUCCESS);
        assert_works();
    }
    CALL(Close, channel);
    XENBUS_SUSPEND_CALL(&suspend, Release);
    end();
}

int main(void)
{
    Suite *suite = suite_create("EVTCHN: others' doings");
    TCase *tcase = tcase_create("others");

    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, port_is_closed);
    tcase_add_test(tcase, port_that_is_taken);
    tcase_add_test(tcase, all_ports_are_closed);
    tcase_add_test(tcase, port_of_nobody);
    tcase_add_test(tcase, interrupt_of_a_processor);
    tcase_add_test(tcase, no_page_for_ports);
    tcase_add_test(tcase, raises_itself);
    tcase_add_test(tcase, waits_until_a_time);
    tcase_add_test(tcase, control_blocks_left_behind);
    tcase_add_test(tcase, line_of_another);
    tcase_add_test(tcase, outlives_two_resumes);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
