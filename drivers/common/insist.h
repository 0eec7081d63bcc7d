/*
 * What cannot be left undone, of somebody who cannot do it for the moment: Xen, say, may be short of memory, and have
 * some a moment later.
 */
#ifndef DRIVER_INSIST_H
#define DRIVER_INSIST_H

#include "compat.h"

typedef NTSTATUS (*INSIST_ROUTINE)(_In_ const VOID *Argument);

/* Calls Routine until it succeeds, 100 times at most, for 5 ms in all. The last call's status. Any IRQL. */
_Must_inspect_result_ NTSTATUS Insist(_In_ INSIST_ROUTINE Routine, _In_ const VOID *Argument);

#endif /* DRIVER_INSIST_H */
