/* RAM at one frame, of a domain that returns it to Xen or asks for it (xen/memory.h). */
#ifndef DRIVER_RAM_H
#define DRIVER_RAM_H

#include "compat.h"

#include "xen.h"

/*
 * Argument is the frame, a PFN_NUMBER: as Insist() wants it. STATUS_INSUFFICIENT_RESOURCES: Xen has not done it, for
 * want of memory, say. Any IRQL.
 */
static inline NTSTATUS RamReturn(_In_ const VOID *Argument)
{
    const PFN_NUMBER *Frame = Argument;
    ULONG Done;
    NTSTATUS Status;

    Status = XenMemoryDecreaseReservation(0, 1, Frame, &Done);

    return (NT_SUCCESS(Status) && Done != 1) ? STATUS_INSUFFICIENT_RESOURCES : Status;
}

static inline NTSTATUS RamAskFor(_In_ const VOID *Argument)
{
    const PFN_NUMBER *Frame = Argument;
    ULONG Done;
    NTSTATUS Status;

    Status = XenMemoryPopulatePhysMap(0, 1, Frame, &Done);

    return (NT_SUCCESS(Status) && Done != 1) ? STATUS_INSUFFICIENT_RESOURCES : Status;
}

#endif /* DRIVER_RAM_H */
