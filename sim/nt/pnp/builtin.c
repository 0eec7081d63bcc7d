#include "nt/pnp/builtin.h"

#include <string.h>

NTSTATUS builtin_complete(PIRP irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

NTSTATUS builtin_ignore(PIRP irp)
{
    NTSTATUS status = irp->IoStatus.Status;

    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS return_pool(PIRP irp, void *block)
{
    if (block == NULL)
        return builtin_complete(irp, STATUS_INSUFFICIENT_RESOURCES);
    irp->IoStatus.Information = (ULONG_PTR)block;
    return builtin_complete(irp, STATUS_SUCCESS);
}

NTSTATUS builtin_return_strings(PIRP irp, const char *const *strings, unsigned count)
{
    size_t characters = 1;
    WCHAR *block;
    WCHAR *to;

    for (unsigned i = 0; i < count; i++)
        characters += strlen(strings[i]) + 1;
    block = ExAllocatePoolWithTag(PagedPool, characters * sizeof(WCHAR), BUILTIN_TAG);
    to = block;
    for (unsigned i = 0; block != NULL && i < count; i++) {
        for (const char *from = strings[i]; *from != 0; from++)
            *to++ = (WCHAR)*from;
        *to++ = 0;
    }
    if (block != NULL)
        *to = 0;
    return return_pool(irp, block);
}

NTSTATUS builtin_return_string(PIRP irp, const char *string)
{
    return builtin_return_strings(irp, &string, 1);
}

NTSTATUS builtin_return_copy(PIRP irp, const void *data, size_t size)
{
    void *block = ExAllocatePoolWithTag(PagedPool, size, BUILTIN_TAG);

    if (block != NULL)
        memcpy(block, data, size);
    return return_pool(irp, block);
}

NTSTATUS builtin_return_target(PDEVICE_OBJECT pdo, PIRP irp)
{
    DEVICE_RELATIONS relations = {.Count = 1, .Objects = {pdo}};

    ObReferenceObject(pdo);
    return builtin_return_copy(irp, &relations, sizeof(relations));
}

void builtin_fill_capabilities(PDEVICE_CAPABILITIES capabilities)
{
    capabilities->DeviceState[PowerSystemUnspecified] = PowerDeviceUnspecified;
    capabilities->DeviceState[PowerSystemWorking] = PowerDeviceD0;
    for (unsigned state = PowerSystemSleeping1; state < POWER_SYSTEM_MAXIMUM; state++)
        capabilities->DeviceState[state] = PowerDeviceD3;
    capabilities->SystemWake = PowerSystemUnspecified;
    capabilities->DeviceWake = PowerDeviceUnspecified;
}

NTSTATUS NTAPI builtin_pdo_power(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);

    PoStartNextPowerIrp(Irp);
    if (stack->MinorFunction == IRP_MN_SET_POWER && stack->Parameters.Power.Type == DevicePowerState)
        PoSetPowerState(DeviceObject, DevicePowerState, stack->Parameters.Power.State);
    if (stack->MinorFunction == IRP_MN_SET_POWER || stack->MinorFunction == IRP_MN_QUERY_POWER)
        return builtin_complete(Irp, STATUS_SUCCESS);
    return builtin_ignore(Irp);
}

NTSTATUS NTAPI builtin_pdo_system_control(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    return builtin_ignore(Irp);
}
