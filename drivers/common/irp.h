/* IRPs on their way through a stack. */
#ifndef DRIVER_IRP_H
#define DRIVER_IRP_H

#include "compat.h"

/* Passes Irp to Lower and waits for it; it is the caller's again, with the status that is returned. PASSIVE_LEVEL. */
NTSTATUS IrpForwardAndWait(_In_ PDEVICE_OBJECT Lower, _In_ PIRP Irp);

#endif /* DRIVER_IRP_H */
