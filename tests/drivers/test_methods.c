/*
 * The methods of XENBUS's interfaces with arguments that cannot be, and in states in which they do nothing. And what a
 * client leaves behind when it releases an interface, or gives back what it never had: that stops the machine, before
 * memory that is gone is used.
 */
#include <string.h>

#include "common/bus.h"
#include "machine/log.h"
#include "nt/cm/cm.h"
#include "xen/platform.h"
#include "xen/xen.h"

#include <xen/event_channel.h>
#include <xen/hvm/params.h>

/* ---- arguments that cannot be ---- */

STACK_TEST(channels_that_cannot_be, .drivers = STACK_PROBE, .quiet = true)
{
    uint64_t port = 0;

    bus_acquire();
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_INVALID, bus_no_event, NULL));
    ck_assert_ptr_null(EVTCHN(Open, (XENBUS_EVTCHN_TYPE)17, bus_no_event, NULL));
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_FIXED, bus_no_event, NULL, 0u, FALSE));
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_FIXED, bus_no_event, NULL, 0x7FFFFFFFu, FALSE));
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_INTER_DOMAIN, bus_no_event, NULL, 0u, 0x7FFFFFFFu, FALSE));
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_VIRQ, bus_no_event, NULL, 4711u, 0u, 0u));

    /* The store's has a channel already. */
    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_STORE_EVTCHN, &port), 0);
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_FIXED, bus_no_event, NULL, (ULONG)port, FALSE));
    bus_release();
}

static bool notified;

static void on_notify(void *argument, uint32_t port)
{
    (void)argument;
    (void)port;
    notified = true;
}

/* The far end has gone: an event for it goes nowhere, and is no error. */
STACK_TEST(sent_to_nobody, .drivers = STACK_PROBE)
{
    PXENBUS_EVTCHN_CHANNEL channel;
    KIRQL irql;
    int port;

    bus_acquire();
    channel = EVTCHN(Open, XENBUS_EVTCHN_TYPE_UNBOUND, bus_no_event, NULL, 0u, FALSE);
    ck_assert_ptr_nonnull(channel);
    port = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, EVTCHN(GetPort, channel), on_notify, NULL);
    ck_assert_int_gt(port, 0);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)port), 0);
    notified = false; /* it was, of the channel's beginning */
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    EVTCHN(Send, channel);
    KeLowerIrql(irql);
    ck_assert(!notified);
    EVTCHN(Close, channel);
    bus_release();
}

/* Where the line's interrupt is all there is, a channel is where that comes. */
STACK_TEST(bound_where_no_interrupt_is, .drivers = STACK_PROBE, .host = "xen-4.17,no-vectors")
{
    PXENBUS_EVTCHN_CHANNEL channel;

    bus_acquire();
    channel = EVTCHN(Open, XENBUS_EVTCHN_TYPE_UNBOUND, bus_no_event, NULL, 0u, FALSE);
    ck_assert_ptr_nonnull(channel);
    ck_assert_int_eq(EVTCHN(Bind, channel, 0, 1), STATUS_NOT_SUPPORTED);
    ck_assert_int_eq(EVTCHN(Bind, channel, 0, 0), STATUS_SUCCESS);
    EVTCHN(Close, channel);
    bus_release();
}

static volatile unsigned events;

static BOOLEAN NTAPI an_event(PKINTERRUPT interrupt, PVOID argument)
{
    (void)interrupt;
    (void)argument;
    events++;
    return TRUE;
}

/* Its port went with the old Xen: until the client opens another, the channel does nothing, and does no harm. */
STACK_TEST(channel_of_before_a_resume, .drivers = STACK_PROBE)
{
    static struct stack_resumer resumer;
    PXENBUS_EVTCHN_CHANNEL channel;
    KIRQL irql;

    bus_acquire();
    channel = EVTCHN(Open, XENBUS_EVTCHN_TYPE_UNBOUND, an_event, NULL, 0u, FALSE);
    ck_assert_ptr_nonnull(channel);
    memset(&resumer, 0, sizeof(resumer));
    resumer.rounds = 1;
    stack_resume_when_suspended(&resumer);
    ck_assert_int_eq(SUSPEND(Trigger), STATUS_SUCCESS);
    stack_await_resumer(&resumer);
    ck_assert_uint_eq(resumer.times, 1);
    events = 0;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    EVTCHN(Send, channel);
    EVTCHN(Trigger, channel);
    ck_assert(!EVTCHN(Unmask, channel, FALSE, FALSE));
    KeLowerIrql(irql);
    stack_sleep_us(10000);
    ck_assert_uint_eq(events, 0);
    EVTCHN(Close, channel);
    bus_release();
}

static bool had_event(void *unused)
{
    (void)unused;
    return events != 0;
}

/* An event at a port of which xenbus knows nothing is put aside; those that it knows come. */
STACK_TEST(event_of_nobody, .drivers = STACK_PROBE)
{
    struct evtchn_alloc_unbound *operation = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*operation), STACK_TAG);
    struct evtchn_close *close = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*close), STACK_TAG);
    PXENBUS_EVTCHN_CHANNEL channel;
    int far[2];

    bus_acquire();
    operation->dom = DOMID_SELF;
    operation->remote_dom = 0;
    ck_assert_int_eq(
        xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, (uint64_t)(uintptr_t)operation, 0, 0, 0),
        0);
    channel = EVTCHN(Open, XENBUS_EVTCHN_TYPE_UNBOUND, an_event, NULL, 0u, FALSE);
    ck_assert_ptr_nonnull(channel);
    far[0] = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, operation->port, on_notify, NULL);
    far[1] = xen_evtchn_bind_interdomain(XEN_DOM0, stack.domain.domid, EVTCHN(GetPort, channel), on_notify, NULL);
    ck_assert_int_gt(far[0], 0);
    ck_assert_int_gt(far[1], 0);
    for (unsigned i = 0; i < 3; i++) {
        KIRQL irql;

        events = 0;
        ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)far[0]), 0);
        ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)far[1]), 0);
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        (void)EVTCHN(Unmask, channel, FALSE, TRUE);
        KeLowerIrql(irql);
        ck_assert(stack_wait(had_event, NULL, 1000));
    }
    EVTCHN(Close, channel);
    close->port = operation->port;
    ck_assert_int_eq(xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_close, (uint64_t)(uintptr_t)close, 0, 0, 0),
                     0);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)far[0]), 0);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)far[1]), 0);
    ExFreePoolWithTag(close, STACK_TAG);
    ExFreePoolWithTag(operation, STACK_TAG);
    bus_release();
}

STACK_TEST(printed_outside_a_callback, .drivers = STACK_PROBE, .quiet = true)
{
    bus_acquire();
    DEBUG(Printf, "number %u", 4711u);
    STACK_ASSERT_LOGGED("'number %u' is printed outside a debug callback");
    ck_assert(!stack_is_logged("4711"));
    bus_release();
}

static VOID NTAPI report_lines(PVOID argument, BOOLEAN crashing)
{
    (void)argument;
    (void)crashing;
    DEBUG(Printf, "one\n");
    DEBUG(Printf, "two\r\n\n");
    DEBUG(Printf, "\n");
    DEBUG(Printf, "%s", "");
}

static void log_reports(void)
{
    static const char *const levels[] = {"INFO"};

    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xen\\Parameters"), "XenLogLevel", levels, 1);
}

STACK_TEST(lines_of_a_report, .drivers = STACK_PROBE, .prepare = log_reports)
{
    PXENBUS_DEBUG_CALLBACK callback;

    bus_acquire();
    ck_assert_int_eq(DEBUG(Register, (PSTR) "reporter", report_lines, NULL, &callback), STATUS_SUCCESS);
    DEBUG(Trigger, callback);
    STACK_ASSERT_LOGGED("reporter: one\n");
    STACK_ASSERT_LOGGED("reporter: two\n");
    STACK_ASSERT_LOGGED("reporter: \n");
    DEBUG(Deregister, callback);
    bus_release();
}

STACK_TEST(pages_that_cannot_be, .drivers = STACK_PROBE, .quiet = true)
{
    PHYSICAL_ADDRESS address = {.QuadPart = 4711};
    ULONG reference = 0x7FFFFFFF;

    bus_acquire();
    ck_assert_int_eq(GNTTAB(MapForeignPages, 0, 0, &reference, FALSE, &address), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(address.QuadPart, 0);
    ck_assert_int_eq(GNTTAB(MapForeignPages, 0, 1, &reference, FALSE, &address), STATUS_INVALID_HANDLE);
    ck_assert_int_eq(GNTTAB(MapForeignPages, 333, 1, &reference, FALSE, &address), STATUS_NOT_FOUND);
    reference = 9; /* nobody has granted it */
    ck_assert_int_eq(GNTTAB(MapForeignPages, 0, 1, &reference, FALSE, &address), STATUS_UNSUCCESSFUL);
    address.QuadPart = 0x123000;
    ck_assert_int_eq(GNTTAB(UnmapForeignPages, address), STATUS_INVALID_PARAMETER);
    bus_release();
}

/* An entry of version 1 has 32 bits for a frame. */
STACK_TEST(frame_that_has_no_entry, .drivers = STACK_PROBE, .host = "xen-4.17,grant-v1")
{
    PXENBUS_GNTTAB_CACHE cache;
    PXENBUS_GNTTAB_ENTRY entry = (PXENBUS_GNTTAB_ENTRY)&events;

    bus_acquire();
    ck_assert_int_eq(GNTTAB(CreateCache, "frames", 0, 0, bus_acquire_lock, bus_release_lock, NULL, &cache),
                     STATUS_SUCCESS);
    ck_assert_int_eq(GNTTAB(PermitForeignAccess, cache, FALSE, 0, (PFN_NUMBER)1 << 32, FALSE, &entry),
                     STATUS_INVALID_PARAMETER);
    ck_assert_ptr_null(entry);
    GNTTAB(DestroyCache, cache);
    bus_release();
}

STACK_TEST(permissions_that_cannot_be, .drivers = STACK_PROBE)
{
    XENBUS_STORE_PERMISSION permission = {0, XENBUS_STORE_PERM_NONE};

    bus_acquire();
    ck_assert_int_eq(STORE(PermissionsSet, NULL, NULL, (PSTR) "data", &permission, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(STORE(PermissionsSet, NULL, NULL, (PSTR) "data", &permission, 100000), STATUS_BUFFER_OVERFLOW);
    bus_release();
}

static void nothing_of_a_set(PXENBUS_RANGE_SET set)
{
    LONGLONG start = 4711;

    ck_assert_int_eq(RANGES(Put, set, 5, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(RANGES(Put, set, INT64_MAX, 2), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(RANGES(Get, set, 5, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(RANGES(Get, set, INT64_MAX, 2), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(RANGES(Pop, set, 0, &start), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(start, 0);
}

/* Ranges that grow at either end and grow together, are split, and are passed over because they are too small. */
STACK_TEST(ranges_in_every_form, .drivers = STACK_PROBE, .quiet = true)
{
    PXENBUS_RANGE_SET set;
    LONGLONG start;

    bus_acquire();
    ck_assert_int_eq(RANGES(Create, "forms", &set), STATUS_SUCCESS);
    nothing_of_a_set(set);
    ck_assert_int_eq(RANGES(Put, set, 10, 10), STATUS_SUCCESS); /* 10-19 */
    ck_assert_int_eq(RANGES(Put, set, 20, 5), STATUS_SUCCESS);  /* 10-24 */
    ck_assert_int_eq(RANGES(Put, set, 5, 5), STATUS_SUCCESS);   /* 5-24 */
    ck_assert_int_eq(RANGES(Put, set, 40, 2), STATUS_SUCCESS);
    ck_assert_int_eq(RANGES(Put, set, 41, 1), STATUS_INVALID_PARAMETER); /* is there */
    ck_assert_int_eq(RANGES(Put, set, 20, 30), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(RANGES(Get, set, 5, 2), STATUS_SUCCESS);  /* 7-24 */
    ck_assert_int_eq(RANGES(Get, set, 23, 2), STATUS_SUCCESS); /* 7-22 */
    ck_assert_int_eq(RANGES(Get, set, 12, 3), STATUS_SUCCESS); /* 7-11, 15-22 */
    ck_assert_int_eq(RANGES(Get, set, 11, 2), STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_int_eq(RANGES(Pop, set, 6, &start), STATUS_SUCCESS); /* past 7-11: 15-20 */
    ck_assert_int_eq(start, 15);
    ck_assert_int_eq(RANGES(Pop, set, 6, &start), STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_int_eq(RANGES(Put, set, 12, 3), STATUS_SUCCESS); /* 7-14, 21-22, 40-41 */
    ck_assert_int_eq(RANGES(Put, set, 15, 6), STATUS_SUCCESS); /* 7-22 */
    ck_assert_int_eq(RANGES(Get, set, 7, 16), STATUS_SUCCESS); /* whole */
    ck_assert_int_eq(RANGES(Get, set, 40, 2), STATUS_SUCCESS);
    ck_assert_int_eq(RANGES(Pop, set, 1, &start), STATUS_INSUFFICIENT_RESOURCES);
    RANGES(Destroy, set);
    bus_release();
}

/* ---- what is left behind, and what never was ---- */

static KEVENT *event;
static PXENBUS_GNTTAB_CACHE grants;

static void leave_channel(void *unused)
{
    (void)unused;
    bus_acquire();
    ck_assert_ptr_nonnull(EVTCHN(Open, XENBUS_EVTCHN_TYPE_UNBOUND, bus_no_event, NULL, 0u, FALSE));
    bus_release();
}

static void leave_debug_callback(void *unused)
{
    PXENBUS_DEBUG_CALLBACK callback;

    (void)unused;
    bus_acquire();
    ck_assert_int_eq(DEBUG(Register, (PSTR) "forgotten", bus_no_report, NULL, &callback), STATUS_SUCCESS);
    bus_release();
}

static void leave_suspend_callback(void *unused)
{
    PXENBUS_SUSPEND_CALLBACK callback;

    (void)unused;
    bus_acquire();
    ck_assert_int_eq(SUSPEND(Register, SUSPEND_CALLBACK_LATE, bus_no_resume, NULL, &callback), STATUS_SUCCESS);
    bus_release();
}

static void leave_wakeup(void *unused)
{
    PXENBUS_CONSOLE_WAKEUP wakeup;

    (void)unused;
    bus_acquire();
    event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), STACK_TAG);
    KeInitializeEvent(event, NotificationEvent, FALSE);
    ck_assert_int_eq(CONSOLE(WakeupAdd, event, &wakeup), STATUS_SUCCESS);
    bus_release();
}

static void leave_grant_cache(void *unused)
{
    (void)unused;
    bus_acquire();
    ck_assert_int_eq(GNTTAB(CreateCache, "forgotten", 0, 0, bus_acquire_lock, bus_release_lock, NULL, &grants),
                     STATUS_SUCCESS);
    bus_release();
}

static void leave_ranges(void *unused)
{
    PXENBUS_RANGE_SET set;

    (void)unused;
    bus_acquire();
    ck_assert_int_eq(RANGES(Create, "pair", &set), STATUS_SUCCESS);
    ck_assert_int_eq(RANGES(Put, set, -100, 10), STATUS_SUCCESS);
    RANGES(Destroy, set);
}

static PXENBUS_CACHE cache_of_two(PVOID *object)
{
    PXENBUS_CACHE cache;

    bus_acquire();
    ck_assert_int_eq(
        CACHE(Create, "pair", 100, 2, 2, bus_construct, bus_destruct, bus_acquire_lock, bus_release_lock, NULL, &cache),
        STATUS_SUCCESS);
    *object = CACHE(Get, cache, FALSE);
    ck_assert_ptr_nonnull(*object);
    return cache;
}

static void leave_object(void *unused)
{
    PVOID object;
    PXENBUS_CACHE cache = cache_of_two(&object);

    (void)unused;
    CACHE(Destroy, cache);
}

static void put_twice(void *unused)
{
    PVOID object;
    PXENBUS_CACHE cache = cache_of_two(&object);

    (void)unused;
    CACHE(Put, cache, object, FALSE);
    CACHE(Put, cache, object, FALSE);
}

static void wait_for_ever_at_dispatch_level(void *unused)
{
    PXENBUS_EVTCHN_CHANNEL channel;
    ULONG count;
    KIRQL irql;

    (void)unused;
    bus_acquire();
    channel = EVTCHN(Open, XENBUS_EVTCHN_TYPE_UNBOUND, bus_no_event, NULL, 0u, FALSE);
    ck_assert_ptr_nonnull(channel);
    count = EVTCHN(GetCount, channel);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    (void)EVTCHN(Wait, channel, count + 1, NULL);
    KeLowerIrql(irql);
}

static void store_above_dispatch_level(void *unused)
{
    PXENBUS_STORE_TRANSACTION transaction;
    KIRQL irql;

    (void)unused;
    bus_acquire();
    ck_assert_int_eq(STORE(TransactionStart, &transaction), STATUS_SUCCESS);
    KeRaiseIrql(HIGH_LEVEL, &irql);
    (void)STORE(TransactionEnd, transaction, TRUE);
    KeLowerIrql(irql);
}

static const struct {
    void (*scenario)(void *);
    const char *words;
} wrongs[] = {
    {leave_channel, " is still open"},
    {leave_debug_callback, "forgotten is still registered"},
    {leave_suspend_callback, "a client has released SUSPEND with a callback"},
    {leave_wakeup, "a client has released CONSOLE with a wakeup"},
    {leave_grant_cache, "1 cache(s)"},
    {leave_ranges, "pair still holds -100 to -91"},
    {leave_object, "pair: 1 objects have not been put back"},
    {put_twice, "what is put into a cache is not of it, or was put already"},
    {store_above_dispatch_level, "the store is used above DISPATCH_LEVEL"},
    {wait_for_ever_at_dispatch_level, "EvtchnWait at DISPATCH_LEVEL needs a timeout that is not 0"},
};

START_TEST(stops_the_machine)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};
    const struct failure *failure = stack_must_fail(&options, wrongs[_i].scenario, NULL, "bugcheck");

    ck_assert_uint_eq(failure->code, 0x58454E58);
    ck_assert_str_eq(failure->driver, "xenbus");
    STACK_ASSERT_LOGGED(wrongs[_i].words);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("methods");
    TCase *tcase = tcase_create("arguments");

    tcase_add_test(tcase, channels_that_cannot_be);
    tcase_add_test(tcase, bound_where_no_interrupt_is);
    tcase_add_test(tcase, channel_of_before_a_resume);
    tcase_add_test(tcase, event_of_nobody);
    tcase_add_test(tcase, sent_to_nobody);
    tcase_add_test(tcase, frame_that_has_no_entry);
    tcase_add_test(tcase, printed_outside_a_callback);
    tcase_add_test(tcase, lines_of_a_report);
    tcase_add_test(tcase, pages_that_cannot_be);
    tcase_add_test(tcase, permissions_that_cannot_be);
    tcase_add_test(tcase, ranges_in_every_form);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("clients that do wrong");
    tcase_add_loop_test(tcase, stops_the_machine, 0, ARRAYSIZE(wrongs));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
