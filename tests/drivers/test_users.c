/*
 * A provider does not go while a client holds its interface: the client would call into memory that is gone. It stops
 * the machine and names the interface.
 */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "machine/log.h"
#include "nt/cm/cm.h"

#include <initguid.h>

#include "cache_interface.h"
#include "console_interface.h"
#include "debug_interface.h"
#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "range_set_interface.h"
#include "shared_info_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"
#include "unplug_interface.h"

/* Every interface begins with the header, Acquire and Release. */
struct any_interface {
    INTERFACE Interface;
    NTSTATUS(NTAPI *Acquire)(PINTERFACE Interface);
    VOID(NTAPI *Release)(PINTERFACE Interface);
};

static const struct provider {
    const char *name;
    const GUID *guid;
    unsigned version;
    size_t size;
} providers[] = {
    {"SUSPEND", &GUID_XENBUS_SUSPEND_INTERFACE, 1, sizeof(XENBUS_SUSPEND_INTERFACE)},
    {"SHARED_INFO", &GUID_XENBUS_SHARED_INFO_INTERFACE, 4, sizeof(XENBUS_SHARED_INFO_INTERFACE)},
    {"EVTCHN", &GUID_XENBUS_EVTCHN_INTERFACE, 9, sizeof(XENBUS_EVTCHN_INTERFACE)},
    {"DEBUG", &GUID_XENBUS_DEBUG_INTERFACE, 1, sizeof(XENBUS_DEBUG_INTERFACE)},
    {"STORE", &GUID_XENBUS_STORE_INTERFACE, 2, sizeof(XENBUS_STORE_INTERFACE)},
    {"RANGE_SET", &GUID_XENBUS_RANGE_SET_INTERFACE, 1, sizeof(XENBUS_RANGE_SET_INTERFACE)},
    {"CACHE", &GUID_XENBUS_CACHE_INTERFACE, 2, sizeof(XENBUS_CACHE_INTERFACE)},
    {"GNTTAB", &GUID_XENBUS_GNTTAB_INTERFACE, 4, sizeof(XENBUS_GNTTAB_INTERFACE)},
    {"UNPLUG", &GUID_XENBUS_UNPLUG_INTERFACE, 3, sizeof(XENBUS_UNPLUG_INTERFACE)},
    {"CONSOLE", &GUID_XENBUS_CONSOLE_INTERFACE, 1, sizeof(XENBUS_CONSOLE_INTERFACE)},
};

static union {
    struct any_interface any;
    UCHAR bytes[PAGE_SIZE];
} held;

static void acquire(const struct provider *provider)
{
    ck_assert_int_eq(stack_query("_", provider->guid, provider->version, provider->size, &held.any.Interface),
                     STATUS_SUCCESS);
    ck_assert_int_eq(held.any.Acquire(&held.any.Interface), STATUS_SUCCESS);
}

/* And keep it: the harness takes the guest down. */
static void acquire_once(void *provider)
{
    acquire(provider);
}

static void acquire_twice(void *provider)
{
    acquire(provider);
    acquire(provider);
    held.any.Release(&held.any.Interface);
    acquire(provider);
}

static void release_too_often(void *provider)
{
    acquire(provider);
    for (unsigned i = 0; i < 100; i++)
        held.any.Release(&held.any.Interface);
}

static void assert_stops(void (*scenario)(void *), const struct provider *provider, const char *format)
{
    static const struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};
    const struct failure *failure;
    static char tail[65536];
    char text[96];

    failure = stack_must_fail(&options, scenario, (void *)(uintptr_t)provider, "bugcheck");
    ck_assert_uint_eq(failure->code, 0x58454E58);
    ck_assert_str_eq(failure->driver, "xenbus");
    snprintf(text, sizeof(text), format, provider->name);
    (void)log_tail(tail, sizeof(tail));
    ck_assert_msg(strstr(tail, text) != NULL, "'%s' is not in the log:\n%s", text, tail);
}

START_TEST(held_by_a_client)
{
    assert_stops(acquire_once, &providers[_i], " %s goes while 1 client(s) hold it");
}
END_TEST

START_TEST(held_twice)
{
    assert_stops(acquire_twice, &providers[_i], " %s goes while 2 client(s) hold it");
}
END_TEST

/* An interface that was never held, down to the bus's own hold of it. */
START_TEST(released_too_often)
{
    assert_stops(release_too_often, &providers[_i], " %s is released more often than acquired");
}
END_TEST

/* What was released holds nobody. */
STACK_TEST(released, .drivers = STACK_PROBE)
{
    for (size_t i = 0; i < ARRAYSIZE(providers); i++) {
        acquire(&providers[i]);
        held.any.Release(&held.any.Interface);
    }
}

int main(void)
{
    Suite *suite = suite_create("users of interfaces");
    TCase *tcase = tcase_create("providers");

    tcase_add_loop_test(tcase, held_by_a_client, 0, ARRAYSIZE(providers));
    tcase_add_loop_test(tcase, held_twice, 0, 2);
    tcase_add_loop_test(tcase, released_too_often, 0, ARRAYSIZE(providers));
    tcase_add_test(tcase, released);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
