/*
 * Holding every other processor, for the time around a suspend.
 *
 *   SyncCapture   PASSIVE_LEVEL to DISPATCH_LEVEL: the caller stays on its processor, each other one spins in a DPC
 *   SyncRaise     DISPATCH_LEVEL to HIGH_LEVEL everywhere: no interrupt is taken anywhere
 *   SyncRun       runs a routine on every processor, at the IRQL in force
 *   SyncLower     back to DISPATCH_LEVEL everywhere
 *   SyncRelease   lets the others go, back to PASSIVE_LEVEL
 *
 * A processor is held from a DPC, hence where no spin lock was held: between SyncCapture and SyncRelease the caller may
 * take any spin lock, and at HIGH_LEVEL, where it cannot, may read and change what the locks guard.
 */
#ifndef XENBUS_SYNC_H
#define XENBUS_SYNC_H

#include "compat.h"

typedef struct _XENBUS_SYNC XENBUS_SYNC, *PXENBUS_SYNC;

/* Index is the processor that it runs on. */
typedef VOID (*XENBUS_SYNC_FUNCTION)(_In_opt_ PVOID Argument, _In_ ULONG Index);

/* Room for the processors that there are now. PASSIVE_LEVEL. */
_Must_inspect_result_ NTSTATUS SyncCreate(_Outptr_ PXENBUS_SYNC *Sync);
VOID SyncDestroy(_In_ PXENBUS_SYNC Sync);

VOID SyncCapture(_In_ PXENBUS_SYNC Sync);
/* Of captured processors: none has come meanwhile. None can, while they are held. */
BOOLEAN SyncHasAll(_In_ PXENBUS_SYNC Sync);
VOID SyncRaise(_In_ PXENBUS_SYNC Sync);
VOID SyncRun(_In_ PXENBUS_SYNC Sync, _In_ XENBUS_SYNC_FUNCTION Function, _In_opt_ PVOID Argument);
VOID SyncLower(_In_ PXENBUS_SYNC Sync);
VOID SyncRelease(_In_ PXENBUS_SYNC Sync);

#endif /* XENBUS_SYNC_H */
