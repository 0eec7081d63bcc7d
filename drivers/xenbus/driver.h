/*
 * The driver as a whole.
 */
#ifndef XENBUS_DRIVER_H
#define XENBUS_DRIVER_H

#include "compat.h"

PDRIVER_OBJECT DriverGetObject(VOID);

/* The service's Parameters key. PASSIVE_LEVEL. */
HANDLE DriverGetParametersKey(VOID);

/* A REG_DWORD of the Parameters key as a switch; Default if it is not there. PASSIVE_LEVEL. */
BOOLEAN DriverGetSwitch(_In_ PCWSTR Name, _In_ BOOLEAN Default);

#endif /* XENBUS_DRIVER_H */
