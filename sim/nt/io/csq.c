/*
 * Cancel-safe IRP queues: IoCsqInitialize(Ex), IoCsqInsertIrp(Ex), IoCsqRemoveIrp, IoCsqRemoveNextIrp (wdm.h). The
 * driver keeps the queue and its lock; the routines here make removal and cancellation exclude each other.
 *
 * An IRP in a queue carries, in DriverContext[3], either the queue or its context (told apart by their Type).
 */
#include "nt/io/io_internal.h"

static void initialize(PIO_CSQ csq, LONG type, PIO_CSQ_INSERT_IRP insert, PIO_CSQ_REMOVE_IRP remove,
                       PIO_CSQ_PEEK_NEXT_IRP peek, PIO_CSQ_ACQUIRE_LOCK acquire, PIO_CSQ_RELEASE_LOCK release,
                       PIO_CSQ_COMPLETE_CANCELED_IRP complete)
{
    csq->Type = (ULONG)type;
    csq->CsqInsertIrp = insert;
    csq->CsqRemoveIrp = remove;
    csq->CsqPeekNextIrp = peek;
    csq->CsqAcquireLock = acquire;
    csq->CsqReleaseLock = release;
    csq->CsqCompleteCanceledIrp = complete;
    csq->ReservePointer = NULL;
}

NTSTATUS NTAPI IoCsqInitialize(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                               PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                               PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                               PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp)
{
    NT_CALL(DISPATCH_LEVEL);
    initialize(Csq, IO_TYPE_CSQ, CsqInsertIrp, CsqRemoveIrp, CsqPeekNextIrp, CsqAcquireLock, CsqReleaseLock,
               CsqCompleteCanceledIrp);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI IoCsqInitializeEx(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP_EX CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                                 PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                                 PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                                 PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp)
{
    NT_CALL(DISPATCH_LEVEL);
    initialize(Csq, IO_TYPE_CSQ_EX, (PIO_CSQ_INSERT_IRP)(PVOID)CsqInsertIrp, CsqRemoveIrp, CsqPeekNextIrp,
               CsqAcquireLock, CsqReleaseLock, CsqCompleteCanceledIrp);
    return STATUS_SUCCESS;
}

/* Which queue and context the IRP is in. */
static PIO_CSQ queue_of(PIRP irp, PIO_CSQ_IRP_CONTEXT *context)
{
    PIO_CSQ_IRP_CONTEXT link = irp->Tail.Overlay.DriverContext[3];

    if (link->Type == IO_TYPE_CSQ_IRP_CONTEXT) {
        *context = link;
        return link->Csq;
    }
    *context = NULL;
    return (PIO_CSQ)link;
}

static void unlink_context(PIRP irp, PIO_CSQ_IRP_CONTEXT context)
{
    if (context != NULL)
        context->Irp = NULL;
    irp->Tail.Overlay.DriverContext[3] = NULL;
}

static VOID NTAPI cancel_queued(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_CSQ_IRP_CONTEXT context;
    PIO_CSQ csq;
    KIRQL irql;

    (void)device;
    IoReleaseCancelSpinLock(irp->CancelIrql);
    csq = queue_of(irp, &context);
    csq->ReservePointer = NULL;
    KERNEL_CALLOUT(csq->CsqAcquireLock, csq, &irql);
    DRIVER_CALLOUT("cancel-safe queue routine", csq->CsqRemoveIrp, csq, irp);
    unlink_context(irp, context);
    KERNEL_CALLOUT(csq->CsqReleaseLock, csq, irql);
    DRIVER_CALLOUT("cancel-safe queue routine", csq->CsqCompleteCanceledIrp, csq, irp);
}

NTSTATUS NTAPI IoCsqInsertIrpEx(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context, PVOID InsertContext)
{
    NTSTATUS status = STATUS_SUCCESS;
    PDRIVER_CANCEL earlier;
    bool cancelled = false;
    KIRQL irql;

    NT_CALL(DISPATCH_LEVEL);
    if (Context != NULL) {
        Context->Type = IO_TYPE_CSQ_IRP_CONTEXT;
        Context->Irp = Irp;
        Context->Csq = Csq;
        Irp->Tail.Overlay.DriverContext[3] = Context;
    } else {
        Irp->Tail.Overlay.DriverContext[3] = Csq;
    }
    Csq->ReservePointer = NULL;
    KERNEL_CALLOUT(Csq->CsqAcquireLock, Csq, &irql);
    if (Csq->Type == IO_TYPE_CSQ_EX)
        status = ((PIO_CSQ_INSERT_IRP_EX)(PVOID)Csq->CsqInsertIrp)(Csq, Irp, InsertContext);
    else
        DRIVER_CALLOUT("cancel-safe queue routine", Csq->CsqInsertIrp, Csq, Irp);
    if (!NT_SUCCESS(status)) {
        unlink_context(Irp, Context);
        KERNEL_CALLOUT(Csq->CsqReleaseLock, Csq, irql);
        return status;
    }
    IoMarkIrpPending(Irp);
    earlier = IoSetCancelRoutine(Irp, cancel_queued);
    if (earlier != NULL)
        nt_violation("irp-csq", "IRP %p entered a cancel-safe queue with a cancel routine already set", Irp);
    if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
        /* Cancelled before the routine was there: nobody else will take it out. */
        DRIVER_CALLOUT("cancel-safe queue routine", Csq->CsqRemoveIrp, Csq, Irp);
        unlink_context(Irp, Context);
        cancelled = true;
    }
    KERNEL_CALLOUT(Csq->CsqReleaseLock, Csq, irql);
    if (cancelled)
        DRIVER_CALLOUT("cancel-safe queue routine", Csq->CsqCompleteCanceledIrp, Csq, Irp);
    return status;
}

VOID NTAPI IoCsqInsertIrp(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context)
{
    (void)IoCsqInsertIrpEx(Csq, Irp, Context, NULL);
}

PIRP NTAPI IoCsqRemoveNextIrp(PIO_CSQ Csq, PVOID PeekContext)
{
    PIO_CSQ_IRP_CONTEXT context;
    KIRQL irql;
    PIRP irp;

    NT_CALL(DISPATCH_LEVEL);
    Csq->ReservePointer = NULL;
    KERNEL_CALLOUT(Csq->CsqAcquireLock, Csq, &irql);
    for (irp = DRIVER_CALLOUT("cancel-safe queue routine", Csq->CsqPeekNextIrp, Csq, NULL, PeekContext); irp != NULL;
         irp = DRIVER_CALLOUT("cancel-safe queue routine", Csq->CsqPeekNextIrp, Csq, irp, PeekContext)) {
        if (IoSetCancelRoutine(irp, NULL) == NULL)
            continue; /* its cancel routine runs and waits for the lock: the IRP is that routine's */
        (void)queue_of(irp, &context);
        DRIVER_CALLOUT("cancel-safe queue routine", Csq->CsqRemoveIrp, Csq, irp);
        unlink_context(irp, context);
        break;
    }
    KERNEL_CALLOUT(Csq->CsqReleaseLock, Csq, irql);
    return irp;
}

PIRP NTAPI IoCsqRemoveIrp(PIO_CSQ Csq, PIO_CSQ_IRP_CONTEXT Context)
{
    KIRQL irql;
    PIRP irp;

    NT_CALL(DISPATCH_LEVEL);
    Csq->ReservePointer = NULL;
    KERNEL_CALLOUT(Csq->CsqAcquireLock, Csq, &irql);
    irp = Context->Irp;
    if (irp != NULL && IoSetCancelRoutine(irp, NULL) != NULL) {
        DRIVER_CALLOUT("cancel-safe queue routine", Csq->CsqRemoveIrp, Csq, irp);
        unlink_context(irp, Context);
    } else {
        irp = NULL;
    }
    KERNEL_CALLOUT(Csq->CsqReleaseLock, Csq, irql);
    return irp;
}
