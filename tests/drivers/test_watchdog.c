/*
 * The domain's watchdog (XEN:WATCHDOG=): Xen ends a guest that hangs, and none that is well, suspended, asleep, without
 * its bus, or writing a dump.
 */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"
#include "nt/po/po.h"
#include "xen/hypervisor.h"
#include "xen/xen.h"

#include <initguid.h>

#include "debug_interface.h"
#include "suspend_interface.h"

#include <xen/sched.h>

#define SECOND UINT64_C(1000000000)
#define TIMEOUT 12 /* seconds, of most tests */

static XENBUS_SUSPEND_INTERFACE_V1 suspend;

static void start_with(const char *options)
{
    static const char *const levels[] = {"INFO", "WARNING", "ERROR", "CRITICAL"};

    cm_value_set_string(cm_key_create(CM_CONTROL), "SystemStartOptions", REG_SZ, options);
    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xen\\Parameters"), "XenLogLevel", levels, ARRAYSIZE(levels));
}

static void of_12_seconds(void)
{
    start_with("NOEXECUTE=OPTIN xen:watchdog=12");
}

static bool logged(const char *text)
{
    static char tail[65536];

    (void)log_tail(tail, sizeof(tail));
    return strstr(tail, text) != NULL;
}

static bool ended(void)
{
    return xen_domain_shutdown_reason(stack.domain.domid) == SHUTDOWN_watchdog;
}

/* A guest that is well does nothing for so long. */
static void assert_stays(unsigned seconds)
{
    stack_sleep_us(seconds * 1000000);
    ck_assert_msg(!ended() && !logged("expired"), "the watchdog has ended a guest that is well");
}

/* ---- a guest that hangs ---- */

static uint64_t hung_at;

/* For ever before all other threads of the processor. */
static VOID NTAPI hang(PVOID processor)
{
    (void)KeSetSystemAffinityThreadEx((KAFFINITY)1 << (uintptr_t)processor);
    (void)KeSetPriorityThread(KeGetCurrentThread(), HIGH_PRIORITY);
    for (;;)
        KeStallExecutionProcessor(50);
}

struct expectation {
    unsigned from, to; /* seconds after which the watchdog ends the guest; to 0: it does not */
};

static void watch(void *argument)
{
    const struct expectation *expected = argument;
    unsigned limit = expected->to != 0 ? expected->to : 25;

    while (!ended() && clock_now() < hung_at + limit * SECOND)
        (void)task_park(clock_now() + SECOND / 10, "the watchdog");
    if (expected->to == 0) {
        ck_assert_msg(!ended(), "a watchdog that was stopped has ended the guest");
    } else {
        ck_assert_msg(ended(), "a guest that hangs goes on");
        ck_assert_msg(clock_now() >= hung_at + expected->from * SECOND, "the watchdog has waited %llu ms only",
                      (unsigned long long)(clock_now() - hung_at) / 1000000);
    }
    machine_stop();
}

/* The last thing that a test does. */
static void hang_and(struct expectation expected)
{
    static struct expectation wanted;

    wanted = expected;
    hung_at = clock_now();
    for (unsigned i = 1; i < stack.options->vcpus; i++)
        (void)stack_thread(hang, (PVOID)(uintptr_t)i);
    (void)task_create("watcher", watch, &wanted);
    hang(NULL);
}

/* A pat comes three times in the time. */
#define BITES ((struct expectation){TIMEOUT * 2 / 3 - 1, TIMEOUT + 1})
#define SLEEPS ((struct expectation){0, 0})

STACK_TEST(ends_a_guest_that_hangs, .drivers = STACK_PROBE, .vcpus = 2, .prepare = of_12_seconds, .quiet = true)
{
    assert_stays(60);
    hang_and(BITES);
}

/* Others have their processor: the guest is not hung. */
STACK_TEST(spares_a_guest_with_a_busy_processor, .drivers = STACK_PROBE, .vcpus = 2, .prepare = of_12_seconds,
           .quiet = true)
{
    PKTHREAD thread;

    (void)KeSetSystemAffinityThreadEx(1);
    thread = stack_thread(hang, (PVOID)1);
    assert_stays(20);
    ObDereferenceObject(thread);
    machine_stop();
}

/* ---- the start option ---- */

static void of_none(void)
{
    start_with("XEN:WATCHDOG=0");
}

static void of_nonsense(void)
{
    start_with("XEN:WATCHDOG=soon");
}

static void of_5_seconds(void)
{
    start_with("XEN:WATCHDOG=5");
}

STACK_TEST(none_without_the_option, .drivers = STACK_PROBE, .vcpus = 1, .quiet = true)
{
    hang_and(SLEEPS);
}

STACK_TEST(none_of_no_seconds, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_none, .quiet = true)
{
    hang_and(SLEEPS);
}

STACK_TEST(none_of_what_is_no_number, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_nonsense, .quiet = true)
{
    ck_assert(logged("XEN:WATCHDOG is a number of seconds"));
    hang_and(SLEEPS);
}

STACK_TEST(ten_seconds_at_least, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_5_seconds, .quiet = true)
{
    ck_assert(logged("XEN:WATCHDOG=5 is too short: 10 s it is"));
    hang_and((struct expectation){5, 11});
}

/* Xen has none to give: the bus works without, and the log says so. */
STACK_TEST(refused, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_12_seconds, .quiet = true,
           .fail = "call=SCHEDOP_watchdog")
{
    ck_assert(logged("no watchdog"));
    hang_and(SLEEPS);
}

/* ---- suspend ---- */

static void suspended_for_long(void *unused)
{
    (void)unused;
    (void)task_park(clock_now() + 60 * SECOND, "a suspended guest");
}

static void suspend_once(bool cancelled)
{
    struct stack_resumer resumer = {.cancelled = cancelled, .meanwhile = suspended_for_long};

    stack_suspend(&resumer);
}

/* No watchdog's time runs meanwhile, and there is one afterwards. */
STACK_TEST(resumed, .drivers = STACK_PROBE, .vcpus = 2, .prepare = of_12_seconds, .quiet = true)
{
    for (unsigned round = 0; round < 3; round++) {
        suspend_once(false);
        assert_stays(30);
    }
    hang_and(BITES);
}

STACK_TEST(cancelled, .drivers = STACK_PROBE, .vcpus = 2, .prepare = of_12_seconds, .quiet = true)
{
    for (unsigned round = 0; round < 3; round++) {
        suspend_once(true);
        assert_stays(30);
    }
    hang_and(BITES);
}

/* ---- sleep ---- */

STACK_TEST(asleep, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_12_seconds, .quiet = true)
{
    for (unsigned round = 0; round < 2; round++) {
        ck_assert_int_eq(po_set_system_state(PowerSystemSleeping3), STATUS_SUCCESS);
        assert_stays(30);
        ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
        assert_stays(30);
    }
    hang_and(BITES);
}

STACK_TEST(hung_while_asleep, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_12_seconds, .quiet = true)
{
    ck_assert_int_eq(po_set_system_state(PowerSystemSleeping3), STATUS_SUCCESS);
    hang_and(SLEEPS);
}

/* The bus stays up in D3 for a client that keeps an interface. */
static void with_the_bus_up(SYSTEM_POWER_STATE state)
{
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(po_set_system_state(state), STATUS_SUCCESS);
    assert_stays(30);
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
    assert_stays(30);
    XENBUS_SUSPEND_CALL(&suspend, Release);
    hang_and(BITES);
}

STACK_TEST(asleep_with_the_bus_up, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_12_seconds, .quiet = true)
{
    with_the_bus_up(PowerSystemSleeping3);
}

STACK_TEST(hibernating_with_the_bus_up, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_12_seconds, .quiet = true)
{
    with_the_bus_up(PowerSystemHibernate);
}

/* ---- the end ---- */

static struct devnode *bus(void)
{
    struct devnode *node = pnp_root();

    while (node != NULL && (pnp_service(node) == NULL || strcmp(pnp_service(node), "xenbus") != 0))
        node = pnp_next(node);
    ck_assert_ptr_nonnull(node);
    return node;
}

STACK_TEST(stopped_with_the_bus, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_12_seconds, .quiet = true)
{
    ck_assert_int_eq(pnp_remove_device(bus(), false), STATUS_SUCCESS);
    hang_and(SLEEPS);
}

STACK_TEST(back_with_the_bus, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_12_seconds, .quiet = true)
{
    struct devnode *parent = pnp_parent(bus());

    ck_assert_int_eq(pnp_remove_device(bus(), false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_rescan(parent), STATUS_SUCCESS);
    pnp_wait_quiet();
    assert_stays(30);
    hang_and(BITES);
}

/* The guest's memory goes on under a Xen that has never heard of its watchdog, and nobody has told the guest. */
static void forget(void)
{
    xen_watchdogs_stop(domain_find(stack.domain.domid));
}

STACK_TEST(forgotten, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_12_seconds, .quiet = true)
{
    forget();
    assert_stays(30);
    hang_and(BITES);
}

STACK_TEST(forgotten_at_the_end, .drivers = STACK_PROBE, .vcpus = 1, .prepare = of_12_seconds, .quiet = true)
{
    forget();
    ck_assert_int_eq(pnp_remove_device(bus(), false), STATUS_SUCCESS);
    ck_assert(logged("is not stopped"));
    hang_and(SLEEPS);
}

/* What is printed at the debug key, and in a bugcheck; there it is stopped, so that a dump can be written. */
static void crash(void *unused)
{
    (void)unused;
    KeBugCheckEx(0x1234, 1, 2, 3, 4);
}

START_TEST(stopped_in_a_bugcheck)
{
    static const struct stack_options options = {
        .drivers = STACK_PROBE, .vcpus = 2, .prepare = of_12_seconds, .quiet = true};

    (void)stack_must_fail(&options, crash, NULL, "bugcheck");
    ck_assert(logged("WATCHDOG: 12 s, number 1, stopped"));
    ck_assert(!logged("is not stopped"));
}
END_TEST

STACK_TEST(shown_at_the_debug_key, .drivers = STACK_PROBE, .prepare = of_12_seconds)
{
    static XENBUS_DEBUG_INTERFACE_V1 debug;

    STACK_GET(GUID_XENBUS_DEBUG_INTERFACE, 1, &debug);
    ck_assert_int_eq(XENBUS_DEBUG_CALL(&debug, Acquire), STATUS_SUCCESS);
    XENBUS_DEBUG_CALL(&debug, Trigger, NULL);
    XENBUS_DEBUG_CALL(&debug, Release);
    ck_assert(logged("WATCHDOG: 12 s, number 1"));
}

int main(void)
{
    Suite *suite = suite_create("watchdog");
    TCase *tcase = tcase_create("hangs");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, ends_a_guest_that_hangs);
    tcase_add_test(tcase, spares_a_guest_with_a_busy_processor);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("option");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, none_without_the_option);
    tcase_add_test(tcase, none_of_no_seconds);
    tcase_add_test(tcase, none_of_what_is_no_number);
    tcase_add_test(tcase, ten_seconds_at_least);
    tcase_add_test(tcase, refused);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("life");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, resumed);
    tcase_add_test(tcase, cancelled);
    tcase_add_test(tcase, asleep);
    tcase_add_test(tcase, hung_while_asleep);
    tcase_add_test(tcase, asleep_with_the_bus_up);
    tcase_add_test(tcase, hibernating_with_the_bus_up);
    tcase_add_test(tcase, stopped_with_the_bus);
    tcase_add_test(tcase, back_with_the_bus);
    tcase_add_test(tcase, forgotten);
    tcase_add_test(tcase, forgotten_at_the_end);
    tcase_add_test(tcase, stopped_in_a_bugcheck);
    tcase_add_test(tcase, shown_at_the_debug_key);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
