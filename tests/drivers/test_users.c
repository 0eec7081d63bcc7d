/*
 * A provider does not go while a client holds its interface: the client would call into memory that is gone. It stops
 * the machine and names the interface.
 */
#include <stdio.h>
#include <string.h>

#include "common/stack.h"
#include "machine/log.h"
#include "nt/pnp/pnp.h"
#include "nt/po/po.h"
#include "xen/xen.h"

#include <initguid.h>

#include "cache_interface.h"
#include "console_interface.h"
#include "debug_interface.h"
#include "emulated_interface.h"
#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "range_set_interface.h"
#include "shared_info_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"
#include "unplug_interface.h"
#include "vif_interface.h"

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
    {"SHARED_INFO", &GUID_XENBUS_SHARED_INFO_INTERFACE, 3, sizeof(XENBUS_SHARED_INFO_INTERFACE_V3)},
    {"SHARED_INFO", &GUID_XENBUS_SHARED_INFO_INTERFACE, 4, sizeof(XENBUS_SHARED_INFO_INTERFACE)},
    {"EVTCHN", &GUID_XENBUS_EVTCHN_INTERFACE, 9, sizeof(XENBUS_EVTCHN_INTERFACE)},
    {"DEBUG", &GUID_XENBUS_DEBUG_INTERFACE, 1, sizeof(XENBUS_DEBUG_INTERFACE)},
    {"STORE", &GUID_XENBUS_STORE_INTERFACE, 2, sizeof(XENBUS_STORE_INTERFACE)},
    {"RANGE_SET", &GUID_XENBUS_RANGE_SET_INTERFACE, 1, sizeof(XENBUS_RANGE_SET_INTERFACE)},
    {"CACHE", &GUID_XENBUS_CACHE_INTERFACE, 2, sizeof(XENBUS_CACHE_INTERFACE)},
    {"GNTTAB", &GUID_XENBUS_GNTTAB_INTERFACE, 4, sizeof(XENBUS_GNTTAB_INTERFACE)},
    {"UNPLUG", &GUID_XENBUS_UNPLUG_INTERFACE, 1, sizeof(XENBUS_UNPLUG_INTERFACE_V1)},
    {"UNPLUG", &GUID_XENBUS_UNPLUG_INTERFACE, 2, sizeof(XENBUS_UNPLUG_INTERFACE_V2)},
    {"UNPLUG", &GUID_XENBUS_UNPLUG_INTERFACE, 3, sizeof(XENBUS_UNPLUG_INTERFACE)},
    {"CONSOLE", &GUID_XENBUS_CONSOLE_INTERFACE, 1, sizeof(XENBUS_CONSOLE_INTERFACE)},
};

static const struct provider emulated[] = {
    {"EMULATED", &GUID_XENFILT_EMULATED_INTERFACE, 2, sizeof(XENFILT_EMULATED_INTERFACE_V2)},
    {"EMULATED", &GUID_XENFILT_EMULATED_INTERFACE, 3, sizeof(XENFILT_EMULATED_INTERFACE)},
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

static void assert_stops(void (*scenario)(void *), const struct provider *provider, const char *driver,
                         const char *format)
{
    static const struct stack_options options = {.drivers = STACK_PROBE | STACK_XENFILT, .quiet = true};
    const struct failure *failure;
    static char tail[65536];
    char text[96];

    failure = stack_must_fail(&options, scenario, (void *)(uintptr_t)provider, "bugcheck");
    ck_assert_uint_eq(failure->code, 0x58454E58);
    ck_assert_str_eq(failure->driver, driver);
    snprintf(text, sizeof(text), format, provider->name);
    (void)log_tail(tail, sizeof(tail));
    ck_assert_msg(strstr(tail, text) != NULL, "'%s' is not in the log:\n%s", text, tail);
}

START_TEST(held_by_a_client)
{
    assert_stops(acquire_once, &providers[_i], "xenbus", " %s goes while 1 client(s) hold it");
}
END_TEST

START_TEST(held_twice)
{
    assert_stops(acquire_twice, &providers[_i], "xenbus", " %s goes while 2 client(s) hold it");
}
END_TEST

/* An interface that was never held, down to the bus's own hold of it. */
START_TEST(released_too_often)
{
    assert_stops(release_too_often, &providers[_i], "xenbus", " %s is released more often than acquired");
}
END_TEST

/* ---- XENFILT_EMULATED ---- */

START_TEST(emulated_held)
{
    assert_stops(acquire_once, &emulated[_i], "xenfilt", " %s goes while 1 client(s) hold it");
}
END_TEST

START_TEST(emulated_released_too_often)
{
    assert_stops(release_too_often, &emulated[_i], "xenfilt", " %s is released more often than acquired");
}
END_TEST

/* ---- XENVIF_VIF ---- */

static void acquire_vif(void *version)
{
    unsigned number = *(const unsigned *)version;
    size_t size = number == 8   ? sizeof(XENVIF_VIF_INTERFACE_V8)
                  : number == 9 ? sizeof(XENVIF_VIF_INTERFACE_V9)
                                : sizeof(XENVIF_VIF_INTERFACE_V10);

    ck_assert_int_eq(stack_query("0", &GUID_XENVIF_VIF_INTERFACE, number, size, &held.any.Interface), STATUS_SUCCESS);
    ck_assert_int_eq(held.any.Acquire(&held.any.Interface), STATUS_SUCCESS);
}

/* The harness detaches the VIF: its client has been told, and has not let go. */
START_TEST(vif_held)
{
    static const struct stack_options options = {.drivers = STACK_PROBE | STACK_XENVIF, .vifs = 1, .quiet = true};
    unsigned version = (unsigned)_i;
    const struct failure *failure = stack_must_fail(&options, acquire_vif, &version, "bugcheck");
    static char tail[65536];

    ck_assert_uint_eq(failure->code, 0x58454E58);
    ck_assert_str_eq(failure->driver, "xenvif");
    (void)log_tail(tail, sizeof(tail));
    ck_assert_msg(strstr(tail, "vif 0 goes, and XENVIF_VIF is still acquired 1 times") != NULL, "%s", tail);
}
END_TEST

/* ---- the child by which they were asked for goes first ---- */

static XENBUS_STORE_INTERFACE_V2 store;
static XENBUS_GNTTAB_INTERFACE_V4 gnttab;
static XENBUS_EVTCHN_INTERFACE_V9 evtchn;
static volatile unsigned events;

#define BUS stack_device("PCI\\VEN_5853&DEV_0001")
#define CHILD stack_device("XENBUS\\VEN_XP0001&DEV_IFACE")

static PSTR text(const char *string)
{
    return (PSTR)(uintptr_t)string;
}

static VOID NTAPI no_lock(PVOID argument)
{
    (void)argument;
}

static BOOLEAN NTAPI on_event(PKINTERRUPT interrupt, PVOID argument)
{
    KERNEL_SCOPE();

    (void)interrupt;
    (void)argument;
    events++;
    return TRUE;
}

static bool had_event(void *unused)
{
    (void)unused;
    return events != 0;
}

static bool fired(PKEVENT event)
{
    LARGE_INTEGER timeout = {.QuadPart = -10000000};
    bool set = KeWaitForSingleObject(event, Executive, KernelMode, FALSE, &timeout) == STATUS_SUCCESS;

    KeClearEvent(event);
    return set;
}

/* A watch, a channel and a grant of a client's work. */
static void assert_work(PKEVENT event, PXENBUS_EVTCHN_CHANNEL channel, PXENBUS_GNTTAB_CACHE cache)
{
    uint8_t *page = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);
    PXENBUS_GNTTAB_ENTRY entry;
    uint32_t handle;
    void *address;
    KIRQL irql;

    stack_store_write(stack_path("data/held"), "1");
    ck_assert(fired(event));

    events = 0;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ck_assert(!XENBUS_EVTCHN_CALL(&evtchn, Unmask, channel, FALSE, TRUE));
    KeLowerIrql(irql);
    XENBUS_EVTCHN_CALL(&evtchn, Trigger, channel);
    ck_assert(stack_wait(had_event, NULL, 1000));

    page[7] = 0x77;
    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, PermitForeignAccess, cache, FALSE, 0,
                                        (PFN_NUMBER)(MmGetPhysicalAddress(page).QuadPart >> PAGE_SHIFT), FALSE, &entry),
                     STATUS_SUCCESS);
    ck_assert_int_eq(xen_grant_map(XEN_DOM0, stack.domain.domid, XENBUS_GNTTAB_CALL(&gnttab, GetReference, entry),
                                   false, &address, &handle),
                     0);
    ck_assert_int_eq(((uint8_t *)address)[7], 0x77);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, RevokeForeignAccess, cache, FALSE, entry), STATUS_SUCCESS);
    ExFreePoolWithTag(page, STACK_TAG);
}

static bool child_is_back(void *unused)
{
    struct devnode *node = CHILD;

    (void)unused;
    return node != NULL && pnp_state(node) == DEVNODE_STARTED;
}

/*
 * The interfaces are the bus's: what a client took by a child works on without the child, and the bus can neither stop
 * nor be removed until all is given back.
 */
static void child_goes(void *surprise)
{
    PXENBUS_EVTCHN_CHANNEL channel;
    PXENBUS_GNTTAB_CACHE cache;
    PXENBUS_STORE_WATCH watch;
    KEVENT event;

    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    STACK_GET(GUID_XENBUS_EVTCHN_INTERFACE, 9, &evtchn);
    STACK_GET(GUID_XENBUS_GNTTAB_INTERFACE, 4, &gnttab);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_EVTCHN_CALL(&evtchn, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, Acquire), STATUS_SUCCESS);
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, WatchAdd, text("data"), text("held"), &event, &watch), STATUS_SUCCESS);
    ck_assert(fired(&event));
    channel = XENBUS_EVTCHN_CALL(&evtchn, Open, XENBUS_EVTCHN_TYPE_UNBOUND, on_event, NULL, (USHORT)0, FALSE);
    ck_assert_ptr_nonnull(channel);
    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, CreateCache, "held", 0, 0, no_lock, no_lock, NULL, &cache),
                     STATUS_SUCCESS);
    assert_work(&event, channel, cache);

    ck_assert_int_eq(pnp_remove_device(CHILD, surprise != NULL), STATUS_SUCCESS);
    pnp_wait_quiet();
    assert_work(&event, channel, cache);
    ck_assert(!NT_SUCCESS(pnp_restart_device(BUS)));
    ck_assert(!NT_SUCCESS(pnp_remove_device(BUS, false)));
    pnp_wait_quiet();
    assert_work(&event, channel, cache);

    ck_assert_int_eq(XENBUS_STORE_CALL(&store, WatchRemove, watch), STATUS_SUCCESS);
    XENBUS_STORE_CALL(&store, Release);
    XENBUS_EVTCHN_CALL(&evtchn, Close, channel);
    XENBUS_EVTCHN_CALL(&evtchn, Release);
    XENBUS_GNTTAB_CALL(&gnttab, DestroyCache, cache);
    XENBUS_GNTTAB_CALL(&gnttab, Release);
    stack_store_remove(stack_path("data/held"));
    (void)pnp_rescan(BUS);
    pnp_wait_quiet();
    if (!child_is_back(NULL))
        (void)pnp_retry_device(CHILD);
    ck_assert(stack_wait(child_is_back, NULL, 1000));
}

START_TEST(child_goes_first)
{
    struct stack_options options = {.drivers = STACK_PROBE, .quiet = true};

    stack_run(&options, child_goes, _i != 0 ? &options : NULL);
    options.policy = POLICY_PCT;
    stack_run(&options, child_goes, _i != 0 ? &options : NULL);
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

/* A bus without power lends nothing. */
STACK_TEST(not_in_sleep, .drivers = STACK_PROBE, .quiet = true)
{
    XENBUS_STORE_INTERFACE_V2 store;

    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(pnp_remove_device(CHILD, false), STATUS_SUCCESS);
    pnp_wait_quiet();
    ck_assert_int_eq(po_set_system_state(PowerSystemSleeping3), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Acquire), STATUS_DEVICE_NOT_READY);
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Acquire), STATUS_SUCCESS);
    XENBUS_STORE_CALL(&store, Release);
}

int main(void)
{
    Suite *suite = suite_create("users of interfaces");
    TCase *tcase = tcase_create("providers");

    tcase_add_loop_test(tcase, held_by_a_client, 0, ARRAYSIZE(providers));
    tcase_add_loop_test(tcase, held_twice, 0, 2);
    tcase_add_loop_test(tcase, released_too_often, 0, ARRAYSIZE(providers));
    tcase_add_loop_test(tcase, emulated_held, 0, ARRAYSIZE(emulated));
    tcase_add_loop_test(tcase, emulated_released_too_often, 0, ARRAYSIZE(emulated));
    tcase_add_test(tcase, released);
    tcase_add_test(tcase, not_in_sleep);
    tcase_add_loop_test(tcase, vif_held, 8, 11);
    tcase_add_loop_test(tcase, child_goes_first, 0, 2);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
