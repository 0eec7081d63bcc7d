#include "nt/pnp/builtin.h"

#include <string.h>

#include "machine/delay.h"

NTSTATUS builtin_complete_now(PIRP irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

struct late_completion {
    KTIMER timer;
    KDPC dpc;
    PIRP irp;
};

static KDEFERRED_ROUTINE complete_late;

static VOID NTAPI complete_late(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    struct late_completion *late = DeferredContext;
    PIRP irp = late->irp;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    image_free(late);
    IoCompleteRequest(irp, IO_NO_INCREMENT);
}

NTSTATUS builtin_complete(PIRP irp, NTSTATUS status)
{
    uint64_t delay = delay_draw(DELAY_COMPLETION);
    struct late_completion *late;
    LARGE_INTEGER due;

    if (delay == 0)
        return builtin_complete_now(irp, status);
    late = image_alloc(sizeof(*late));
    irp->IoStatus.Status = status;
    IoMarkIrpPending(irp);
    late->irp = irp;
    KeInitializeTimer(&late->timer);
    KeInitializeDpc(&late->dpc, complete_late, late);
    due.QuadPart = -(LONGLONG)(delay / 100);
    (void)KeSetTimer(&late->timer, due, &late->dpc);
    return STATUS_PENDING;
}

NTSTATUS builtin_ignore(PIRP irp)
{
    return builtin_complete(irp, irp->IoStatus.Status);
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
