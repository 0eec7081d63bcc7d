/* WMI between its providers and its consumers. */
#ifndef NT_WMI_H
#define NT_WMI_H

#include "nt/nt.h"

void wmi_init(void);

/* The device goes: it must not be registered any more. */
bool wmi_is_registered(const DEVICE_OBJECT *device);

#endif
