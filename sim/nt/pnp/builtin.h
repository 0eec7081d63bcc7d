/* What the built-in bus drivers share. They are drivers like any other and use what <ntddk.h> offers. */
#ifndef NT_PNP_BUILTIN_H
#define NT_PNP_BUILTIN_H

#include "nt/pnp/pnp_internal.h"

#define BUILTIN_TAG 0x73754250u /* "PBus" */

/*
 * Complete with the status; Information as it is. Returns what the dispatch routine returns: the status, or
 * STATUS_PENDING when --delay has the completion come later.
 */
NTSTATUS builtin_complete(PIRP irp, NTSTATUS status);
/* The same for a request that must be over before the driver goes on. */
NTSTATUS builtin_complete_now(PIRP irp, NTSTATUS status);
/* Complete with the status that the request came with: not handled here. */
NTSTATUS builtin_ignore(PIRP irp);
/* Answer IRP_MN_QUERY_ID or _DEVICE_TEXT with one string, or with a list of them. */
NTSTATUS builtin_return_string(PIRP irp, const char *string);
NTSTATUS builtin_return_strings(PIRP irp, const char *const *strings, unsigned count);
/* Answer with a copy of a structure in paged pool. */
NTSTATUS builtin_return_copy(PIRP irp, const void *data, size_t size);
/* Answer IRP_MN_QUERY_DEVICE_RELATIONS for TargetDeviceRelation. */
NTSTATUS builtin_return_target(PDEVICE_OBJECT pdo, PIRP irp);
/* A device without low-power states, which the computer's own hardware is. */
void builtin_fill_capabilities(PDEVICE_CAPABILITIES capabilities);

/* Dispatch routines of a PDO. */
DRIVER_DISPATCH builtin_pdo_power;
DRIVER_DISPATCH builtin_pdo_system_control;

#endif
