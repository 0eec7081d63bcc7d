/* Routines of the I/O manager that pvsim declares and does not have: a driver that calls one stops the run with its
 * name. */
#include "nt/io/io_internal.h"

#define MISSING NT_UNIMPLEMENTED("this routine")

NTSTATUS NTAPI IoWMIRegistrationControl(PDEVICE_OBJECT DeviceObject, ULONG Action)
{
    (void)DeviceObject;
    (void)Action;
    MISSING;
}

NTSTATUS NTAPI IoWMIWriteEvent(PVOID WnodeEventItem)
{
    (void)WnodeEventItem;
    MISSING;
}
