/*
 * The parts of the filters: filter.c has what both roles do with IRPs, filter_bus.c the devices that a bus reports.
 */
#ifndef XENFILT_FILTER_PRIVATE_H
#define XENFILT_FILTER_PRIVATE_H

#include "compat.h"

#include "emulated.h"
#include "filter.h"

#define FILTER_TAG POOL_TAG('F', 'I', 'L', 'T')

struct _XENFILT_FILTER {
    PDEVICE_OBJECT DeviceObject;
    PDEVICE_OBJECT PhysicalDeviceObject;
    PDEVICE_OBJECT LowerDeviceObject;
    IO_REMOVE_LOCK RemoveLock; /* held by each IRP while it is here */
    XENFILT_KIND Kind;
    BOOLEAN IsBus;

    /* A bus's. */
    ULONG Channel; /* IDE: which one */
    KMUTEX Mutex;  /* guards Children; not a fast one: devices are made under it, at PASSIVE_LEVEL */
    LIST_ENTRY Children;

    /* A device's. */
    PXENFILT_FILTER Bus;
};

/* ---- filter.c ---- */

/* Attaches to the stack of PhysicalDeviceObject, on Bus; NULL: this is the bus. PASSIVE_LEVEL. */
_Must_inspect_result_ NTSTATUS FilterCreate(_In_ PDEVICE_OBJECT PhysicalDeviceObject, _In_ XENFILT_KIND Kind,
                                            _In_opt_ PXENFILT_FILTER Bus, _Outptr_ PXENFILT_FILTER *Filter);

/* Detaches; no IRP is on its way here. PASSIVE_LEVEL. */
VOID FilterDestroy(_In_ PXENFILT_FILTER Filter);

/* ---- filter_bus.c; PASSIVE_LEVEL ---- */

/*
 * The devices that the bus has: those that have no filter get one, those that are not among them any more are
 * forgotten.
 */
VOID FilterBusReported(_In_ PXENFILT_FILTER Bus, _In_opt_ const DEVICE_RELATIONS *Relations);

/* The bus goes, and with it all that is on it. */
VOID FilterBusGone(_In_ PXENFILT_FILTER Bus);

/* The bus has said who a device is. */
VOID FilterChildIdentified(_In_ PXENFILT_FILTER Child, _In_ BUS_QUERY_ID_TYPE Type, _In_opt_ PCWSTR Id);

/* A device is removed: its filter goes, and comes again if the bus goes on to report the device. */
VOID FilterChildGone(_In_ PXENFILT_FILTER Child);

#endif /* XENFILT_FILTER_PRIVATE_H */
