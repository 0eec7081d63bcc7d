/*
 * The Windows driver model's header, for a Linux build: the same names, values and x64 layouts, split by topic in wdm/.
 *
 * Written from Microsoft's public reference ("wdm.h header", "ntddk.h header"). Every kernel routine is declared once,
 * as `NTKERNELAPI TYPE NTAPI Name(` (or NTSYSAPI, NTHALAPI); the list of what the kernel exports is made from these
 * lines.
 */

#ifndef PVSIM_WDM_H
#define PVSIM_WDM_H

#include <intrin.h>
#include <wdm/base.h>
#include <wdm/interlocked.h>
#include <wdm/list.h>
#include <wdm/ke.h>
#include <wdm/ex.h>
#include <wdm/mm.h>
#include <wdm/resource.h>
#include <wdm/irp.h>
#include <wdm/io.h>
#include <wdm/file.h>
#include <wdm/errlog.h>
#include <wdm/se.h>
#include <wdm/pnp.h>
#include <wdm/po.h>
#include <wdm/dma.h>
#include <wdm/ob.h>
#include <wdm/reg.h>
#include <wdm/rtl.h>
#include <wdm/context.h>
#include <wdm/seh.h>
#include <wdm/hal.h>
#include <wdm/wmi.h>

/* What a driver module gives to the kernel; the rest of it is hidden. */
DECLSPEC_EXPORT DRIVER_INITIALIZE DriverEntry;
_IRQL_requires_(PASSIVE_LEVEL)
DECLSPEC_EXPORT NTSTATUS NTAPI DllInitialize(_In_ PUNICODE_STRING RegistryPath);
_IRQL_requires_(PASSIVE_LEVEL)
DECLSPEC_EXPORT NTSTATUS NTAPI DllUnload(VOID);

#endif
