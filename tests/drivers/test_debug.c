/* XENBUS_DEBUG: callbacks at a request and at a bugcheck. */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "nt/cm/cm.h"
#include "xen/xen.h"

#include <initguid.h>

#include "debug_interface.h"

#define CALL(method, ...) XENBUS_DEBUG_CALL(&debug, method, ##__VA_ARGS__)

static XENBUS_DEBUG_INTERFACE_V1 debug;
static char order[32];
static unsigned crashes;

static VOID NTAPI report(PVOID argument, BOOLEAN crashing)
{
    size_t length = strlen(order);

    ck_assert_int_eq(KeGetCurrentIrql(), HIGH_LEVEL);
    order[length] = (char)(uintptr_t)argument;
    if (crashing)
        crashes++;
    CALL(Printf, "value %u of %c", 4711u, (char)(uintptr_t)argument);
}

static void begin(void)
{
    STACK_GET(GUID_XENBUS_DEBUG_INTERFACE, 1, &debug);
    ck_assert_int_eq(CALL(Acquire), STATUS_SUCCESS);
    memset(order, 0, sizeof(order));
    crashes = 0;
}

static PXENBUS_DEBUG_CALLBACK add(const char *prefix, char name)
{
    PXENBUS_DEBUG_CALLBACK callback;

    ck_assert_int_eq(CALL(Register, (PSTR)(uintptr_t)prefix, report, (PVOID)(uintptr_t)name, &callback),
                     STATUS_SUCCESS);
    return callback;
}

static void assert_logged(const char *text, bool expected)
{
    static char tail[65536];

    (void)log_tail(tail, sizeof(tail));
    ck_assert_msg((strstr(tail, text) != NULL) == expected, "'%s' is %s the log:\n%s", text, expected ? "not in" : "in",
                  tail);
}

/* Reports are information, which xen.sys logs when it is told to. */
static void log_information(void)
{
    static const char *const levels[] = {"INFO", "WARNING", "ERROR", "CRITICAL"};

    cm_value_set_multi(cm_key_create(CM_SERVICES "\\xen\\Parameters"), "XenLogLevel", levels, ARRAYSIZE(levels));
}

STACK_TEST(triggered, .drivers = STACK_PROBE, .prepare = log_information)
{
    PXENBUS_DEBUG_CALLBACK callback[3];
    KIRQL irql;

    begin();
    callback[0] = add("FIRST", 'a');
    callback[1] = add("SECOND", 'b');
    callback[2] = add("a prefix that is longer than anybody will ever want to read at the head of a line", 'c');
    assert_logged("value 4711", false);
    CALL(Trigger, callback[1]);
    ck_assert_str_eq(order, "b");
    assert_logged("value 4711 of b", true);
    assert_logged("SECOND", true);
    assert_logged("FIRST", false);
    CALL(Trigger, NULL);
    ck_assert_uint_eq(strlen(order), 4);
    for (const char *name = "abc"; *name != '\0'; name++)
        ck_assert_ptr_nonnull(strchr(order + 1, *name));
    assert_logged("FIRST", true);

    memset(order, 0, sizeof(order));
    CALL(Deregister, callback[0]);
    KeRaiseIrql(HIGH_LEVEL, &irql);
    CALL(Trigger, NULL);
    KeLowerIrql(irql);
    ck_assert_uint_eq(strlen(order), 2);
    ck_assert_ptr_null(strchr(order, 'a'));
    ck_assert_uint_eq(crashes, 0);
    CALL(Deregister, callback[1]);
    CALL(Deregister, callback[2]);
    CALL(Trigger, NULL);
    ck_assert_uint_eq(strlen(order), 2);
    CALL(Release);
}

static void press_key(void *unused)
{
    (void)unused;
    ck_assert(xen_debug_key('q'));
}

static bool was_run(void *unused)
{
    (void)unused;
    return order[0] != '\0';
}

/* Xen's console has a key for it. */
STACK_TEST(at_the_debug_key, .drivers = STACK_PROBE, .prepare = log_information)
{
    PXENBUS_DEBUG_CALLBACK callback;

    begin();
    callback = add("KEY", 'k');
    stack_in_dom0(press_key, NULL);
    ck_assert(stack_wait(was_run, NULL, 1000));
    stack_sleep_us(10000);
    ck_assert_str_eq(order, "k");
    ck_assert_uint_eq(crashes, 0);
    assert_logged("KEY: value 4711 of k", true);
    CALL(Deregister, callback);
    CALL(Release);
}

static void crash(void *unused)
{
    PXENBUS_DEBUG_CALLBACK gone;

    (void)unused;
    begin();
    (void)add("CRASH", 'x');
    gone = add("GONE", 'y');
    CALL(Deregister, gone);
    KeBugCheckEx(0x1234, 1, 2, 3, 4);
}

START_TEST(at_a_bugcheck)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true, .prepare = log_information};
    const struct failure *failure = stack_must_fail(&options, crash, NULL, "bugcheck");

    ck_assert_uint_eq(failure->code, 0x1234);
    ck_assert_str_eq(order, "x");
    ck_assert_uint_eq(crashes, 1);
    assert_logged("value 4711 of x", true);
}
END_TEST

static VOID NTAPI crash_within(PVOID argument, BOOLEAN crashing)
{
    KERNEL_SCOPE();

    (void)argument;
    ck_assert(!crashing);
    KeBugCheckEx(0x4321, 1, 2, 3, 4);
}

static void crash_in_a_callback(void *unused)
{
    PXENBUS_DEBUG_CALLBACK callback;

    (void)unused;
    begin();
    (void)add("BEFORE", 'x');
    ck_assert_int_eq(CALL(Register, (PSTR) "CRASH", crash_within, NULL, &callback), STATUS_SUCCESS);
    CALL(Trigger, callback);
}

/* Whose list is in use then: the bugcheck does not wait for it, and runs none. */
START_TEST(at_a_bugcheck_in_a_callback)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true, .prepare = log_information};
    const struct failure *failure = stack_must_fail(&options, crash_in_a_callback, NULL, "bugcheck");

    ck_assert_uint_eq(failure->code, 0x4321);
    ck_assert_str_eq(order, "");
    assert_logged("the list of debug callbacks is in use: none is run", true);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("DEBUG");
    TCase *tcase = tcase_create("callbacks");

    tcase_add_test(tcase, triggered);
    tcase_add_test(tcase, at_the_debug_key);
    tcase_add_test(tcase, at_a_bugcheck);
    tcase_add_test(tcase, at_a_bugcheck_in_a_callback);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
