#include <initguid.h>

#include "common/bus.h"

XENBUS_CACHE_INTERFACE_V2 bus_caches;
XENBUS_CONSOLE_INTERFACE_V1 bus_console;
XENBUS_DEBUG_INTERFACE_V1 bus_debug;
XENBUS_EVTCHN_INTERFACE_V9 bus_evtchn;
XENBUS_GNTTAB_INTERFACE_V4 bus_gnttab;
XENBUS_RANGE_SET_INTERFACE_V1 bus_ranges;
XENBUS_STORE_INTERFACE_V2 bus_store;
XENBUS_SUSPEND_INTERFACE_V1 bus_suspend;

/* ---- callbacks of clients ---- */

BOOLEAN NTAPI bus_no_event(PKINTERRUPT interrupt, PVOID argument)
{
    (void)interrupt;
    (void)argument;
    return FALSE;
}

VOID NTAPI bus_no_report(PVOID argument, BOOLEAN crashing)
{
    (void)argument;
    (void)crashing;
}

VOID NTAPI bus_no_resume(PVOID argument)
{
    (void)argument;
}

NTSTATUS NTAPI bus_construct(PVOID argument, PVOID object)
{
    (void)argument;
    (void)object;
    return STATUS_SUCCESS;
}

VOID NTAPI bus_destruct(PVOID argument, PVOID object)
{
    (void)argument;
    (void)object;
}

static KSPIN_LOCK lock;
static KIRQL lock_irql;

VOID NTAPI bus_acquire_lock(PVOID argument)
{
    KIRQL irql;

    (void)argument;
    KeAcquireSpinLock(&lock, &irql);
    lock_irql = irql;
}

VOID NTAPI bus_release_lock(PVOID argument)
{
    (void)argument;
    KeReleaseSpinLock(&lock, lock_irql);
}

/* ---- what they begin with ---- */

void bus_acquire(void)
{
    KeInitializeSpinLock(&lock);
    STACK_GET(GUID_XENBUS_CACHE_INTERFACE, 2, &bus_caches);
    STACK_GET(GUID_XENBUS_CONSOLE_INTERFACE, 1, &bus_console);
    STACK_GET(GUID_XENBUS_DEBUG_INTERFACE, 1, &bus_debug);
    STACK_GET(GUID_XENBUS_EVTCHN_INTERFACE, 9, &bus_evtchn);
    STACK_GET(GUID_XENBUS_GNTTAB_INTERFACE, 4, &bus_gnttab);
    STACK_GET(GUID_XENBUS_RANGE_SET_INTERFACE, 1, &bus_ranges);
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &bus_store);
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &bus_suspend);
    ck_assert_int_eq(CACHE(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(CONSOLE(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(DEBUG(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(EVTCHN(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(GNTTAB(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(RANGES(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(STORE(Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(SUSPEND(Acquire), STATUS_SUCCESS);
}

void bus_release(void)
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
