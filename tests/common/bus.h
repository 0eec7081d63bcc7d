/*
 * For tests of XENBUS's methods: all of its interfaces, as the probe gets them, and callbacks that do nothing.
 */
#ifndef TESTS_COMMON_BUS_H
#define TESTS_COMMON_BUS_H

#include "common/stack.h"

#include "cache_interface.h"
#include "console_interface.h"
#include "debug_interface.h"
#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "range_set_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"

#define CACHE(method, ...) XENBUS_CACHE_CALL(&bus_caches, method, ##__VA_ARGS__)
#define CONSOLE(method, ...) XENBUS_CONSOLE_CALL(&bus_console, method, ##__VA_ARGS__)
#define DEBUG(method, ...) XENBUS_DEBUG_CALL(&bus_debug, method, ##__VA_ARGS__)
#define EVTCHN(method, ...) XENBUS_EVTCHN_CALL(&bus_evtchn, method, ##__VA_ARGS__)
#define GNTTAB(method, ...) XENBUS_GNTTAB_CALL(&bus_gnttab, method, ##__VA_ARGS__)
#define RANGES(method, ...) XENBUS_RANGE_SET_CALL(&bus_ranges, method, ##__VA_ARGS__)
#define STORE(method, ...) XENBUS_STORE_CALL(&bus_store, method, ##__VA_ARGS__)
#define SUSPEND(method, ...) XENBUS_SUSPEND_CALL(&bus_suspend, method, ##__VA_ARGS__)

extern XENBUS_CACHE_INTERFACE_V2 bus_caches;
extern XENBUS_CONSOLE_INTERFACE_V1 bus_console;
extern XENBUS_DEBUG_INTERFACE_V1 bus_debug;
extern XENBUS_EVTCHN_INTERFACE_V9 bus_evtchn;
extern XENBUS_GNTTAB_INTERFACE_V4 bus_gnttab;
extern XENBUS_RANGE_SET_INTERFACE_V1 bus_ranges;
extern XENBUS_STORE_INTERFACE_V2 bus_store;
extern XENBUS_SUSPEND_INTERFACE_V1 bus_suspend;

/* In scenarios with STACK_PROBE. */
void bus_acquire(void);
void bus_release(void);

BOOLEAN NTAPI bus_no_event(PKINTERRUPT interrupt, PVOID argument);
VOID NTAPI bus_no_report(PVOID argument, BOOLEAN crashing);
VOID NTAPI bus_no_resume(PVOID argument);
NTSTATUS NTAPI bus_construct(PVOID argument, PVOID object);
VOID NTAPI bus_destruct(PVOID argument, PVOID object);
VOID NTAPI bus_acquire_lock(PVOID argument);
VOID NTAPI bus_release_lock(PVOID argument);

#endif
