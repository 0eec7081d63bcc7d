/*
 * The methods of XENBUS's interfaces with arguments that cannot be, and without the memory that they take. And what a
 * client leaves behind when it releases an interface, or gives back what it never had: that stops the machine, before
 * memory that is gone is used.
 */
#include <string.h>

#include "common/runs_out.h"
#include "machine/log.h"
#include "nt/cm/cm.h"
#include "xen/platform.h"
#include "xen/xen.h"

#include <initguid.h>

#include "cache_interface.h"
#include "console_interface.h"
#include "debug_interface.h"
#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "range_set_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"

#include <xen/event_channel.h>
#include <xen/hvm/params.h>

#define CACHE(method, ...) XENBUS_CACHE_CALL(&caches, method, ##__VA_ARGS__)
#define CONSOLE(method, ...) XENBUS_CONSOLE_CALL(&console, method, ##__VA_ARGS__)
#define DEBUG(method, ...) XENBUS_DEBUG_CALL(&debug, method, ##__VA_ARGS__)
#define EVTCHN(method, ...) XENBUS_EVTCHN_CALL(&evtchn, method, ##__VA_ARGS__)
#define GNTTAB(method, ...) XENBUS_GNTTAB_CALL(&gnttab, method, ##__VA_ARGS__)
#define RANGES(method, ...) XENBUS_RANGE_SET_CALL(&ranges, method, ##__VA_ARGS__)
#define STORE(method, ...) XENBUS_STORE_CALL(&store, method, ##__VA_ARGS__)
#define SUSPEND(method, ...) XENBUS_SUSPEND_CALL(&suspend, method, ##__VA_ARGS__)

static XENBUS_CACHE_INTERFACE_V2 caches;
static XENBUS_CONSOLE_INTERFACE_V1 console;
static XENBUS_DEBUG_INTERFACE_V1 debug;
static XENBUS_EVTCHN_INTERFACE_V9 evtchn;
static XENBUS_GNTTAB_INTERFACE_V4 gnttab;
static XENBUS_RANGE_SET_INTERFACE_V1 ranges;
static XENBUS_STORE_INTERFACE_V2 store;
static XENBUS_SUSPEND_INTERFACE_V1 suspend;

static bool is_logged(const char *words)
{
    static char tail[65536];

    (void)log_tail(tail, sizeof(tail));
    return strstr(tail, words) != NULL;
}

/* ---- callbacks of clients ---- */

static BOOLEAN NTAPI no_event(PKINTERRUPT interrupt, PVOID argument)
{
    (void)interrupt;
    (void)argument;
    return FALSE;
}

static VOID NTAPI no_report(PVOID argument, BOOLEAN crashing)
{
    (void)argument;
    (void)crashing;
}

static VOID NTAPI no_resume(PVOID argument)
{
    (void)argument;
}

static NTSTATUS NTAPI construct(PVOID argument, PVOID object)
{
    (void)argument;
    (void)object;
    return STATUS_SUCCESS;
}

static VOID NTAPI destruct(PVOID argument, PVOID object)
{
    (void)argument;
    (void)object;
}

static KSPIN_LOCK lock;
static KIRQL lock_irql;

static VOID NTAPI acquire_lock(PVOID argument)
{
    KIRQL irql;

    (void)argument;
    KeAcquireSpinLock(&lock, &irql);
    lock_irql = irql;
}

static VOID NTAPI release_lock(PVOID argument)
{
    (void)argument;
    KeReleaseSpinLock(&lock, lock_irql);
}

/* ---- what they begin with ---- */

static void acquire_all(void)
{
    KeInitializeSpinLock(&lock);
    STACK_GET(GUID_XENBUS_CACHE_INTERFACE, 2, &caches);
    STACK_GET(GUID_XENBUS_CONSOLE_INTERFACE, 1, &console);
    STACK_GET(GUID_XENBUS_DEBUG_INTERFACE, 1, &debug);
    STACK_GET(GUID_XENBUS_EVTCHN_INTERFACE, 9, &evtchn);
    STACK_GET(GUID_XENBUS_GNTTAB_INTERFACE, 4, &gnttab);
    STACK_GET(GUID_XENBUS_RANGE_SET_INTERFACE, 1, &ranges);
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(CACHE(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(CONSOLE(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(DEBUG(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(EVTCHN(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(GNTTAB(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(RANGES(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(STORE(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(SUSPEND(Acquire), STATUS_SUCCESS);
}

static void release_all(void)
{
    SUSPEND(Release);
    STORE(Release);
    RANGES(Release);
    GNTTAB(Release);
    EVTCHN(Release);
    DEBUG(Release);
    CONSOLE(Release);
    CACHE(Release);
}

/* ---- arguments that cannot be ---- */

STACK_TEST(channels_that_cannot_be, .drivers = STACK_PROBE, .quiet = true)
{
    uint64_t port = 0;

    acquire_all();
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_INVALID, no_event, NULL));
    ck_assert_ptr_null(EVTCHN(Open, (XENBUS_EVTCHN_TYPE)17, no_event, NULL));
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_FIXED, no_event, NULL, 0u, FALSE));
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_FIXED, no_event, NULL, 0x7FFFFFFFu, FALSE));
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_INTER_DOMAIN, no_event, NULL, 0u, 0x7FFFFFFFu, FALSE));
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_VIRQ, no_event, NULL, 4711u, 0u, 0u));

    /* The store's has a channel already. */
    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_STORE_EVTCHN, &port), 0);
    ck_assert_ptr_null(EVTCHN(Open, XENBUS_EVTCHN_TYPE_FIXED, no_event, NULL, (ULONG)port, FALSE));
    release_all();
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

    acquire_all();
    channel = EVTCHN(Open, XENBUS_EVTCHN_TYPE_UNBOUND, no_event, NULL, 0u, FALSE);
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
    release_all();
}

STACK_TEST(printed_outside_a_callback, .drivers = STACK_PROBE, .quiet = true)
{
    acquire_all();
    DEBUG(Printf, "number %u", 4711u);
    ck_assert(is_logged("'number %u' is printed outside a debug callback"));
    ck_assert(!is_logged("4711"));
    release_all();
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

    acquire_all();
    ck_assert_int_eq(DEBUG(Register, (PSTR) "reporter", report_lines, NULL, &callback), STATUS_SUCCESS);
    DEBUG(Trigger, callback);
    ck_assert(is_logged("reporter: one\n"));
    ck_assert(is_logged("reporter: two\n"));
    ck_assert(is_logged("reporter: \n"));
    DEBUG(Deregister, callback);
    release_all();
}

STACK_TEST(pages_that_cannot_be, .drivers = STACK_PROBE, .quiet = true)
{
    PHYSICAL_ADDRESS address = {.QuadPart = 4711};
    ULONG reference = 0x7FFFFFFF;

    acquire_all();
    ck_assert_int_eq(GNTTAB(MapForeignPages, 0, 0, &reference, FALSE, &address), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(address.QuadPart, 0);
    ck_assert_int_eq(GNTTAB(MapForeignPages, 0, 1, &reference, FALSE, &address), STATUS_INVALID_HANDLE);
    ck_assert_int_eq(GNTTAB(MapForeignPages, 333, 1, &reference, FALSE, &address), STATUS_NOT_FOUND);
    address.QuadPart = 0x123000;
    ck_assert_int_eq(GNTTAB(UnmapForeignPages, address), STATUS_INVALID_PARAMETER);
    release_all();
}

STACK_TEST(permissions_that_cannot_be, .drivers = STACK_PROBE)
{
    XENBUS_STORE_PERMISSION permission = {0, XENBUS_STORE_PERM_NONE};

    acquire_all();
    ck_assert_int_eq(STORE(PermissionsSet, NULL, NULL, (PSTR) "data", &permission, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(STORE(PermissionsSet, NULL, NULL, (PSTR) "data", &permission, 100000), STATUS_BUFFER_OVERFLOW);
    release_all();
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

    acquire_all();
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
    release_all();
}

/* ---- without memory ---- */

static NTSTATUS a_debug_callback(void)
{
    PXENBUS_DEBUG_CALLBACK callback;
    NTSTATUS status = DEBUG(Register, (PSTR) "nobody", no_report, NULL, &callback);

    if (NT_SUCCESS(status))
        DEBUG(Deregister, callback);
    else
        ck_assert_ptr_null(callback);
    return status;
}

static NTSTATUS a_suspend_callback(void)
{
    PXENBUS_SUSPEND_CALLBACK callback;
    NTSTATUS status = SUSPEND(Register, SUSPEND_CALLBACK_LATE, no_resume, NULL, &callback);

    if (NT_SUCCESS(status))
        SUSPEND(Deregister, callback);
    return status;
}

static KEVENT *event;

static NTSTATUS a_wakeup(void)
{
    PXENBUS_CONSOLE_WAKEUP wakeup;
    NTSTATUS status = CONSOLE(WakeupAdd, event, &wakeup);

    if (NT_SUCCESS(status))
        CONSOLE(WakeupRemove, wakeup);
    return status;
}

static NTSTATUS a_range_set(void)
{
    PXENBUS_RANGE_SET set = (PXENBUS_RANGE_SET)&lock;
    NTSTATUS status = RANGES(Create, "short", &set);

    if (!NT_SUCCESS(status)) {
        ck_assert_ptr_null(set);
        return status;
    }
    status = RANGES(Put, set, 0, 10);
    if (NT_SUCCESS(status))
        ck_assert_int_eq(RANGES(Get, set, 0, 10), STATUS_SUCCESS); /* of a whole range: that takes nothing */
    RANGES(Destroy, set);
    return status;
}

static PXENBUS_RANGE_SET kept;

/* Out of the middle of a set, which needs nodes for the way back, and none on the way. */
static NTSTATUS a_split(void)
{
    NTSTATUS status = RANGES(Get, kept, 500, 1);

    return NT_SUCCESS(status) ? RANGES(Put, kept, 500, 1) : status;
}

static NTSTATUS a_cache(void)
{
    PXENBUS_CACHE cache;
    NTSTATUS status = CACHE(Create, "short", 100, 5, 5, construct, destruct, acquire_lock, release_lock, NULL, &cache);

    if (NT_SUCCESS(status))
        CACHE(Destroy, cache);
    return status;
}

static NTSTATUS a_grant_cache(void)
{
    PXENBUS_GNTTAB_CACHE cache;
    NTSTATUS status = GNTTAB(CreateCache, "short", 5, 5, acquire_lock, release_lock, NULL, &cache);

    if (NT_SUCCESS(status))
        GNTTAB(DestroyCache, cache);
    return status;
}

static PXENBUS_GNTTAB_CACHE grants;

static NTSTATUS a_grant(void)
{
    PXENBUS_GNTTAB_ENTRY entry;
    NTSTATUS status = GNTTAB(PermitForeignAccess, grants, FALSE, 0, 4711, FALSE, &entry);

    if (NT_SUCCESS(status))
        return GNTTAB(RevokeForeignAccess, grants, FALSE, entry);
    ck_assert_ptr_null(entry);
    return status;
}

static uint32_t shared[3];

static NTSTATUS a_mapping(void)
{
    PHYSICAL_ADDRESS address = {.QuadPart = 4711};
    NTSTATUS status = GNTTAB(MapForeignPages, 0, ARRAYSIZE(shared), (PULONG)shared, FALSE, &address);

    if (NT_SUCCESS(status))
        return GNTTAB(UnmapForeignPages, address);
    ck_assert_int_eq(address.QuadPart, 0);
    return status;
}

/* ---- the store's methods ---- */

#define NODE (PSTR) "data/short"

static NTSTATUS a_write(void)
{
    return STORE(Printf, NULL, NULL, NODE, "%u", 4711u);
}

static NTSTATUS a_permission(void)
{
    XENBUS_STORE_PERMISSION permission = {(USHORT)stack.domain.domid, XENBUS_STORE_PERM_NONE};

    return STORE(PermissionsSet, NULL, NULL, NODE, &permission, 1);
}

static NTSTATUS a_read(void)
{
    PSTR buffer = (PSTR)&lock;
    NTSTATUS status = STORE(Read, NULL, NULL, NODE, &buffer);

    if (NT_SUCCESS(status)) {
        ck_assert_str_eq(buffer, "4711");
        STORE(Free, buffer);
    } else {
        ck_assert_ptr_null(buffer);
    }
    return status;
}

static NTSTATUS a_directory(void)
{
    PSTR buffer = (PSTR)&lock;
    NTSTATUS status = STORE(Directory, NULL, NULL, (PSTR) "data", &buffer);

    if (NT_SUCCESS(status))
        STORE(Free, buffer);
    else
        ck_assert_ptr_null(buffer);
    return status;
}

static NTSTATUS a_transaction(void)
{
    PXENBUS_STORE_TRANSACTION transaction;
    NTSTATUS status = STORE(TransactionStart, &transaction);

    if (NT_SUCCESS(status))
        return STORE(TransactionEnd, transaction, TRUE);
    ck_assert_ptr_null(transaction);
    return status;
}

static NTSTATUS a_watch(void)
{
    PXENBUS_STORE_WATCH watch;
    NTSTATUS status = STORE(WatchAdd, (PSTR) "data", (PSTR) "short", event, &watch);

    if (NT_SUCCESS(status))
        return STORE(WatchRemove, watch);
    ck_assert_ptr_null(watch);
    return status;
}

static NTSTATUS a_removal(void)
{
    return STORE(Remove, NULL, NULL, NODE);
}

STACK_TEST(memory_of_the_store_runs_out, .drivers = STACK_PROBE, .quiet = true, RUNS_OUT)
{
    runs_out_off();
    acquire_all();
    event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), STACK_TAG);
    KeInitializeEvent(event, NotificationEvent, FALSE);
    ck_assert_uint_ge(runs_out_each("StorePrintf", a_write), 2);
    ck_assert_uint_ge(runs_out_each("StorePermissionsSet", a_permission), 2);
    ck_assert_uint_ge(runs_out_each("StoreRead", a_read), 2);
    ck_assert_uint_ge(runs_out_each("StoreDirectory", a_directory), 2);
    ck_assert_uint_ge(runs_out_each("StoreTransactionStart", a_transaction), 2);
    ck_assert_uint_ge(runs_out_each("StoreWatchAdd", a_watch), 3);
    ck_assert_uint_ge(runs_out_each("StoreRemove", a_removal), 1);
    ExFreePoolWithTag(event, STACK_TAG);
    release_all();
}

/* ---- mappings where the machine has no hole: RAM is given back to Xen for them ---- */

static void no_hole(void)
{
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseMemoryHole", 0);
}

static NTSTATUS a_mapping_in_ram(void)
{
    PHYSICAL_ADDRESS address = {.QuadPart = 4711};
    NTSTATUS status = GNTTAB(MapForeignPages, 0, ARRAYSIZE(shared), (PULONG)shared, FALSE, &address);

    if (NT_SUCCESS(status)) {
        runs_out_off(); /* what cannot be populated again is lost, and is no failure of the call */
        return GNTTAB(UnmapForeignPages, address);
    }
    ck_assert_int_eq(address.QuadPart, 0);
    return status;
}

static void share_pages(void)
{
    void *page;

    for (unsigned i = 0; i < ARRAYSIZE(shared); i++) {
        int64_t reference = xen_grant_share(XEN_DOM0, stack.domain.domid, false, &page);

        ck_assert_int_gt(reference, 0);
        shared[i] = (uint32_t)reference;
    }
}

static void unshare_pages(void)
{
    for (unsigned i = 0; i < ARRAYSIZE(shared); i++)
        ck_assert_int_eq(xen_grant_unshare(XEN_DOM0, shared[i]), 0);
}

STACK_TEST(memory_without_a_hole_runs_out, .drivers = STACK_PROBE, .quiet = true, .prepare = no_hole, RUNS_OUT)
{
    runs_out_off();
    acquire_all();
    share_pages();
    ck_assert_uint_ge(runs_out_each("GnttabMapForeignPages without a hole", a_mapping_in_ram), 8);
    unshare_pages();
    release_all();
}

STACK_TEST(memory_runs_out, .drivers = STACK_PROBE, .quiet = true, RUNS_OUT)
{
    runs_out_off();
    acquire_all();
    event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), STACK_TAG);
    KeInitializeEvent(event, NotificationEvent, FALSE);
    ck_assert_uint_eq(runs_out_each("DebugRegister", a_debug_callback), 1);
    ck_assert_uint_eq(runs_out_each("SuspendRegister", a_suspend_callback), 1);
    ck_assert_uint_eq(runs_out_each("ConsoleWakeupAdd", a_wakeup), 1);
    ck_assert_uint_ge(runs_out_each("RangeSetCreate", a_range_set), 2);
    ck_assert_int_eq(RANGES(Create, "kept", &kept), STATUS_SUCCESS);
    ck_assert_int_eq(RANGES(Put, kept, 0, 1000), STATUS_SUCCESS);
    (void)runs_out_each("RangeSetGet", a_split);
    ck_assert_int_eq(RANGES(Get, kept, 0, 1000), STATUS_SUCCESS);
    RANGES(Destroy, kept);
    ck_assert_uint_ge(runs_out_each("CacheCreate", a_cache), 2);
    ck_assert_uint_ge(runs_out_some("GnttabCreateCache", a_grant_cache), 2);
    ck_assert_int_eq(GNTTAB(CreateCache, "empty", 0, 0, acquire_lock, release_lock, NULL, &grants), STATUS_SUCCESS);
    ck_assert_uint_ge(runs_out_some("GnttabPermitForeignAccess", a_grant), 1);
    GNTTAB(DestroyCache, grants);
    share_pages();
    ck_assert_uint_ge(runs_out_each("GnttabMapForeignPages", a_mapping), 4);
    unshare_pages();
    ExFreePoolWithTag(event, STACK_TAG);
    release_all();
}

/* ---- what is left behind, and what never was ---- */

static void leave_channel(void *unused)
{
    (void)unused;
    acquire_all();
    ck_assert_ptr_nonnull(EVTCHN(Open, XENBUS_EVTCHN_TYPE_UNBOUND, no_event, NULL, 0u, FALSE));
    release_all();
}

static void leave_debug_callback(void *unused)
{
    PXENBUS_DEBUG_CALLBACK callback;

    (void)unused;
    acquire_all();
    ck_assert_int_eq(DEBUG(Register, (PSTR) "forgotten", no_report, NULL, &callback), STATUS_SUCCESS);
    release_all();
}

static void leave_suspend_callback(void *unused)
{
    PXENBUS_SUSPEND_CALLBACK callback;

    (void)unused;
    acquire_all();
    ck_assert_int_eq(SUSPEND(Register, SUSPEND_CALLBACK_LATE, no_resume, NULL, &callback), STATUS_SUCCESS);
    release_all();
}

static void leave_wakeup(void *unused)
{
    PXENBUS_CONSOLE_WAKEUP wakeup;

    (void)unused;
    acquire_all();
    event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), STACK_TAG);
    KeInitializeEvent(event, NotificationEvent, FALSE);
    ck_assert_int_eq(CONSOLE(WakeupAdd, event, &wakeup), STATUS_SUCCESS);
    release_all();
}

static void leave_grant_cache(void *unused)
{
    (void)unused;
    acquire_all();
    ck_assert_int_eq(GNTTAB(CreateCache, "forgotten", 0, 0, acquire_lock, release_lock, NULL, &grants), STATUS_SUCCESS);
    release_all();
}

static void leave_ranges(void *unused)
{
    PXENBUS_RANGE_SET set;

    (void)unused;
    acquire_all();
    ck_assert_int_eq(RANGES(Create, "pair", &set), STATUS_SUCCESS);
    ck_assert_int_eq(RANGES(Put, set, -100, 10), STATUS_SUCCESS);
    RANGES(Destroy, set);
}

static PXENBUS_CACHE cache_of_two(PVOID *object)
{
    PXENBUS_CACHE cache;

    acquire_all();
    ck_assert_int_eq(CACHE(Create, "pair", 100, 2, 2, construct, destruct, acquire_lock, release_lock, NULL, &cache),
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
    acquire_all();
    channel = EVTCHN(Open, XENBUS_EVTCHN_TYPE_UNBOUND, no_event, NULL, 0u, FALSE);
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
    acquire_all();
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
    ck_assert_msg(is_logged(wrongs[_i].words), "'%s' is not in the log", wrongs[_i].words);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("methods");
    TCase *tcase = tcase_create("arguments");

    tcase_add_test(tcase, channels_that_cannot_be);
    tcase_add_test(tcase, sent_to_nobody);
    tcase_add_test(tcase, printed_outside_a_callback);
    tcase_add_test(tcase, lines_of_a_report);
    tcase_add_test(tcase, pages_that_cannot_be);
    tcase_add_test(tcase, permissions_that_cannot_be);
    tcase_add_test(tcase, ranges_in_every_form);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("memory");
    tcase_add_test(tcase, memory_runs_out);
    tcase_add_test(tcase, memory_of_the_store_runs_out);
    tcase_add_test(tcase, memory_without_a_hole_runs_out);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("clients that do wrong");
    tcase_add_loop_test(tcase, stops_the_machine, 0, ARRAYSIZE(wrongs));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
