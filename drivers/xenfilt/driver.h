/*
 * The driver as a whole.
 */
#ifndef XENFILT_DRIVER_H
#define XENFILT_DRIVER_H

#include "compat.h"

#include "emulated.h"

PDRIVER_OBJECT DriverGetObject(VOID);

/* What the devices below the filtered buses are entered in. Not on a machine without Xen. */
PXENFILT_EMULATED_CONTEXT DriverGetEmulated(VOID);

/* The kind of bus that a hardware or compatible ID stands for, by the service's Parameters key. PASSIVE_LEVEL. */
XENFILT_KIND DriverGetKind(_In_ PCWSTR HardwareId);

#endif /* XENFILT_DRIVER_H */
