/* Cancelling IRPs: IoCancelIrp and the cancel spin lock (wdm.h). IoSetCancelRoutine is an inline of the headers. */
#include "nt/io/io_internal.h"
#include "nt/verifier/irp_rules.h"

VOID NTAPI IoAcquireCancelSpinLock(PKIRQL Irql)
{
    NT_CALL(DISPATCH_LEVEL);
    *Irql = KeAcquireSpinLockRaiseToDpc(&machine->io->cancel_lock);
}

VOID NTAPI IoReleaseCancelSpinLock(KIRQL Irql)
{
    NT_CALL_RANGE(DISPATCH_LEVEL, DISPATCH_LEVEL);
    KeReleaseSpinLock(&machine->io->cancel_lock, Irql);
}

BOOLEAN NTAPI IoCancelIrp(PIRP Irp)
{
    struct irp_record *record;
    PDRIVER_CANCEL routine;
    struct lock_mark mark;
    KIRQL irql;

    NT_CALL(DISPATCH_LEVEL);
    if (Irp->Type != IO_TYPE_IRP)
        nt_violation("irp-cancel", "IoCancelIrp of %p, which is no IRP or has been freed", Irp);
    irql = KeAcquireSpinLockRaiseToDpc(&machine->io->cancel_lock);
    Irp->Cancel = TRUE;
    record = irp_record_find(Irp);
    if (record != NULL && record->sent && Irp->CurrentLocation <= Irp->StackCount)
        irp_rule_cancelled(record);
    routine = IoSetCancelRoutine(Irp, NULL);
    if (routine == NULL) {
        KeReleaseSpinLock(&machine->io->cancel_lock, irql);
        return FALSE;
    }
    if (Irp->CurrentLocation > Irp->StackCount)
        nt_violation("irp-cancel", "IRP %p has a cancel routine but no driver has it", Irp);
    Irp->CancelIrql = irql;
    /* The routine releases the lock, with the IRQL that it finds in the IRP. */
    mark = lock_mark();
    mark.spin--;
    KERNEL_CALLOUT(routine, Irp->Tail.Overlay.CurrentStackLocation->DeviceObject, Irp);
    if (ke_irql() != irql) {
        char where[LOADER_DESCRIPTION_MAX];

        nt_violation(
            "irp-cancel-lock",
            "the cancel routine %s returned at IRQL %u instead of %u: it must release the cancel spin lock with "
            "Irp->CancelIrql",
            loader_name((const void *)(uintptr_t)routine, where, sizeof(where)), ke_irql(), irql);
    }
    lock_check_return(mark, (const void *)(uintptr_t)routine, "cancel routine");
    return TRUE;
}
