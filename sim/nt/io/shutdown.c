/* Shutdown notification: IoRegisterShutdownNotification, ...LastChance..., IoUnregisterShutdownNotification (wdm.h). */
#include "nt/io/io_internal.h"

struct shutdown_registration {
    LIST_ENTRY entry;      /* io_state.shutdown[], the last registered first */
    PDEVICE_OBJECT device; /* referenced */
    const void *caller;
};

static NTSTATUS register_device(unsigned list, PDEVICE_OBJECT device, const void *caller)
{
    struct shutdown_registration *registration;

    if (device->Type != IO_TYPE_DEVICE)
        nt_violation("shutdown-register", "a shutdown notification for %p, which is no device object", device);
    registration = image_alloc(sizeof(*registration));
    registration->device = device;
    registration->caller = caller;
    ob_reference(device);
    InsertHeadList(&machine->io->shutdown[list], &registration->entry);
    io_device(device)->shutdown_registered++;
    device->Flags |= DO_SHUTDOWN_REGISTERED;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI IoRegisterShutdownNotification(PDEVICE_OBJECT DeviceObject)
{
    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    return register_device(0, DeviceObject, __builtin_return_address(0));
}

NTSTATUS NTAPI IoRegisterLastChanceShutdownNotification(PDEVICE_OBJECT DeviceObject)
{
    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    return register_device(1, DeviceObject, __builtin_return_address(0));
}

static void forget(struct shutdown_registration *registration)
{
    struct io_device *device = io_device(registration->device);

    RemoveEntryList(&registration->entry);
    if (--device->shutdown_registered == 0)
        registration->device->Flags &= ~DO_SHUTDOWN_REGISTERED;
    ob_dereference(registration->device);
    image_free(registration);
}

VOID NTAPI IoUnregisterShutdownNotification(PDEVICE_OBJECT DeviceObject)
{
    NT_CALL(PASSIVE_LEVEL);
    for (unsigned list = 0; list < 2; list++) {
        PLIST_ENTRY entry = machine->io->shutdown[list].Flink;

        while (entry != &machine->io->shutdown[list]) {
            struct shutdown_registration *registration = CONTAINING_RECORD(entry, struct shutdown_registration, entry);

            entry = entry->Flink;
            if (registration->device == DeviceObject)
                forget(registration);
        }
    }
}

void io_shutdown_notify(void)
{
    for (unsigned list = 0; list < 2; list++) {
        while (!IsListEmpty(&machine->io->shutdown[list])) {
            struct shutdown_registration *registration =
                CONTAINING_RECORD(machine->io->shutdown[list].Flink, struct shutdown_registration, entry);
            PDEVICE_OBJECT device = registration->device;
            IO_STACK_LOCATION stack = {.MajorFunction = IRP_MJ_SHUTDOWN};

            ob_reference(device);
            forget(registration);
            (void)io_send_synchronous(device, &stack, STATUS_SUCCESS, NULL);
            ob_dereference(device);
        }
    }
}

void shutdown_census(struct census *census)
{
    for (unsigned list = 0; list < 2; list++) {
        for (PLIST_ENTRY entry = machine->io->shutdown[list].Flink; entry != &machine->io->shutdown[list];
             entry = entry->Flink) {
            const struct shutdown_registration *registration =
                CONTAINING_RECORD(entry, struct shutdown_registration, entry);

            census_item(census, "shutdown notification", 1, registration->caller, "of driver %s",
                        io_driver_name(registration->device->DriverObject));
        }
    }
}
