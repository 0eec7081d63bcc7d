/* Power: we own the policy of the device, which follows the system's state and listens in D0 only. */
#include "agent.h"

/* The device has changed, or has answered: the system's IRP has waited for it. */
static VOID NTAPI AgentDeviceDone(_In_ PDEVICE_OBJECT DeviceObject, _In_ UCHAR MinorFunction,
                                  _In_ POWER_STATE PowerState, _In_opt_ PVOID Context, _In_ PIO_STATUS_BLOCK IoStatus)
{
    PIRP Irp = Context;
    PAGENT Agent = IoGetCurrentIrpStackLocation(Irp)->DeviceObject->DeviceExtension;

    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(MinorFunction);
    UNREFERENCED_PARAMETER(PowerState);

    AgentComplete(Agent, Irp, IoStatus->Status, 0);
}

static NTSTATUS NTAPI AgentSystemForwarded(_In_ PDEVICE_OBJECT DeviceObject, _In_ PIRP Irp, _In_opt_ PVOID Context)
{
    PAGENT Agent = Context;
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS Status = Irp->IoStatus.Status;
    POWER_STATE PowerState;

    UNREFERENCED_PARAMETER(DeviceObject);

    if (NT_SUCCESS(Status)) {
        PowerState.DeviceState =
            (StackLocation->Parameters.Power.State.SystemState == PowerSystemWorking) ? PowerDeviceD0 : PowerDeviceD3;
        Status = PoRequestPowerIrp(Agent->PhysicalDeviceObject, StackLocation->MinorFunction, PowerState,
                                   AgentDeviceDone, Irp, NULL);
        if (NT_SUCCESS(Status))
            return STATUS_MORE_PROCESSING_REQUIRED;

        Irp->IoStatus.Status = Status;
    }

    IoReleaseRemoveLock(&Agent->RemoveLock, Irp);

    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS AgentSystemPower(_Inout_ PAGENT Agent, _Inout_ PIRP Irp)
{
    Irp->IoStatus.Status = STATUS_SUCCESS;

    IoMarkIrpPending(Irp);
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, AgentSystemForwarded, Agent, TRUE, TRUE, TRUE);
    (VOID) IoCallDriver(Agent->LowerDeviceObject, Irp);

    return STATUS_PENDING;
}

/* Power IRPs come at PASSIVE_LEVEL: the device is DO_POWER_PAGABLE. */
static NTSTATUS AgentSetDevicePower(_Inout_ PAGENT Agent, _Inout_ PIRP Irp)
{
    POWER_STATE PowerState = IoGetCurrentIrpStackLocation(Irp)->Parameters.Power.State;
    NTSTATUS Status;

    Irp->IoStatus.Status = STATUS_SUCCESS;

    if (PowerState.DeviceState != PowerDeviceD0) {
        AgentIgnore(Agent);
        Agent->PowerState = PowerState.DeviceState;
        (VOID) PoSetPowerState(Agent->DeviceObject, DevicePowerState, PowerState);

        return AgentForward(Agent, Irp);
    }

    Status = AgentForwardAndWait(Agent, Irp);
    if (NT_SUCCESS(Status) && Agent->PowerState != PowerDeviceD0) {
        Status = AgentListen(Agent);
        Agent->PowerState = PowerDeviceD0;
        (VOID) PoSetPowerState(Agent->DeviceObject, DevicePowerState, PowerState);
    }

    AgentComplete(Agent, Irp, Status, 0);

    return Status;
}

NTSTATUS AgentPower(_Inout_ PAGENT Agent, _Inout_ PIRP Irp)
{
    PIO_STACK_LOCATION StackLocation = IoGetCurrentIrpStackLocation(Irp);
    BOOLEAN Set = StackLocation->MinorFunction == IRP_MN_SET_POWER;
    BOOLEAN Query = StackLocation->MinorFunction == IRP_MN_QUERY_POWER;

    if ((Set || Query) && StackLocation->Parameters.Power.Type == SystemPowerState)
        return AgentSystemPower(Agent, Irp);

    if (Set)
        return AgentSetDevicePower(Agent, Irp);

    if (Query)
        Irp->IoStatus.Status = STATUS_SUCCESS;

    return AgentForward(Agent, Irp);
}
