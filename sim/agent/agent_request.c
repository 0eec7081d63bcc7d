/* Requests on their way to the program that waits for them. */
#include "agent.h"

static VOID AgentAnswer(_Inout_ PAGENT Agent, _Inout_ PIRP Irp, _In_ ULONG Request)
{
    *(PULONG)Irp->AssociatedIrp.SystemBuffer = Request;
    AgentComplete(Agent, Irp, STATUS_SUCCESS, sizeof(ULONG));
}

static VOID NTAPI AgentCancel(_Inout_ PDEVICE_OBJECT DeviceObject, _Inout_ PIRP Irp)
{
    PAGENT Agent = DeviceObject->DeviceExtension;
    KIRQL Irql;

    IoReleaseCancelSpinLock(Irp->CancelIrql);

    KeAcquireSpinLock(&Agent->Lock, &Irql);
    if (Agent->Waiter == Irp)
        Agent->Waiter = NULL;
    KeReleaseSpinLock(&Agent->Lock, Irql);

    AgentComplete(Agent, Irp, STATUS_CANCELLED, 0);
}

/* Who waits, NULL if nobody does or its IRP is being cancelled. Under the lock. */
static PIRP AgentTakeWaiter(_Inout_ PAGENT Agent)
{
    PIRP Irp = Agent->Waiter;

    Agent->Waiter = NULL;
    if (Irp != NULL && IoSetCancelRoutine(Irp, NULL) == NULL)
        return NULL;

    return Irp;
}

/* The IRP waits. FALSE: it was cancelled meanwhile, and is still the caller's. Under the lock. */
static BOOLEAN AgentPend(_Inout_ PAGENT Agent, _Inout_ PIRP Irp)
{
    (VOID) IoSetCancelRoutine(Irp, AgentCancel);
    if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL)
        return FALSE;

    IoMarkIrpPending(Irp);
    Agent->Waiter = Irp;

    return TRUE;
}

NTSTATUS AgentWait(_Inout_ PAGENT Agent, _Inout_ PIRP Irp)
{
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Request;
    KIRQL Irql;

    KeAcquireSpinLock(&Agent->Lock, &Irql);
    Request = Agent->Request;
    if (Request != AgentNone)
        Agent->Request = AgentNone;
    else if (!Agent->Wanted)
        Status = STATUS_DEVICE_NOT_READY;
    else if (Agent->Waiter != NULL)
        Status = STATUS_DEVICE_BUSY;
    else
        Status = AgentPend(Agent, Irp) ? STATUS_PENDING : STATUS_CANCELLED;
    KeReleaseSpinLock(&Agent->Lock, Irql);

    if (Status == STATUS_SUCCESS)
        AgentAnswer(Agent, Irp, Request);
    else if (Status != STATUS_PENDING)
        AgentComplete(Agent, Irp, Status, 0);

    return Status;
}

VOID AgentHandOver(_Inout_ PAGENT Agent, _In_ ULONG Request)
{
    PIRP Irp;
    KIRQL Irql;

    KeAcquireSpinLock(&Agent->Lock, &Irql);
    Irp = AgentTakeWaiter(Agent);
    if (Irp == NULL)
        Agent->Request = Request;
    KeReleaseSpinLock(&Agent->Lock, Irql);

    if (Irp != NULL)
        AgentAnswer(Agent, Irp, Request);
}

VOID AgentRefuse(_Inout_ PAGENT Agent)
{
    PIRP Irp;
    KIRQL Irql;

    KeAcquireSpinLock(&Agent->Lock, &Irql);
    Irp = AgentTakeWaiter(Agent);
    KeReleaseSpinLock(&Agent->Lock, Irql);

    if (Irp != NULL)
        AgentComplete(Agent, Irp, STATUS_DELETE_PENDING, 0);
}
