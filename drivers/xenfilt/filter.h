/*
 * The filters' device objects, of two roles. One is above the functional device of a bus and sees which devices that
 * reports; the other is above each of these devices, below its function driver, learns who it is, and answers for
 * XENFILT_EMULATED there.
 */
#ifndef XENFILT_FILTER_H
#define XENFILT_FILTER_H

#include "compat.h"

typedef struct _XENFILT_FILTER XENFILT_FILTER, *PXENFILT_FILTER;

/* Filters the device if it is a bus of a kind that the registry names. PASSIVE_LEVEL. */
VOID FilterAddBus(_In_ PDEVICE_OBJECT PhysicalDeviceObject);

NTSTATUS FilterDispatchPnp(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp);
NTSTATUS FilterDispatchPower(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp);
NTSTATUS FilterDispatchOther(_In_ PXENFILT_FILTER Filter, _In_ PIRP Irp);

#endif /* XENFILT_FILTER_H */
