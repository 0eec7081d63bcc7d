/* The DPC that every device object has: IoInitializeDpcRequest, IoRequestDpc (wdm.h). */
#include "nt/io/io_internal.h"

VOID NTAPI IoInitializeDpcRequest(PDEVICE_OBJECT DeviceObject, PIO_DPC_ROUTINE DpcRoutine)
{
    NT_CALL_ANY();
    /* A KDPC's arguments are the device, then the two of IoRequestDpc: one prototype with other types. */
    KeInitializeDpc(&DeviceObject->Dpc, (PKDEFERRED_ROUTINE)(PVOID)DpcRoutine, DeviceObject);
}

BOOLEAN NTAPI IoRequestDpc(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    NT_CALL_ANY();
    return KeInsertQueueDpc(&DeviceObject->Dpc, Irp, Context);
}
