/* The I/O manager's state and census. */
#include "nt/io/io_internal.h"

void io_init(void)
{
    struct io_state *io = image_alloc(sizeof(*io));

    machine->io = io;
    InitializeListHead(&io->drivers);
    InitializeListHead(&io->devices);
    InitializeListHead(&io->irps);
    InitializeListHead(&io->remove_locks);
    InitializeListHead(&io->shutdown[0]);
    InitializeListHead(&io->shutdown[1]);
    InitializeListHead(&io->reinitialize[0]);
    InitializeListHead(&io->reinitialize[1]);
    InitializeListHead(&io->interfaces);
    InitializeListHead(&io->notifications);
    InitializeListHead(&io->changes);
    InitializeListHead(&io->adapters);
    InitializeListHead(&io->error_allocated);
    InitializeListHead(&io->error_log);
    io_file_init();
    io_timer_init();
    io_interrupt_init();
}

KIRQL io_lock(void)
{
    KIRQL irql = ke_irql();

    if (irql < DISPATCH_LEVEL)
        ke_set_irql(DISPATCH_LEVEL);
    ke_spin_acquire(&machine->io->lock);
    return irql;
}

void io_unlock(KIRQL irql)
{
    ke_spin_release(&machine->io->lock);
    if (irql < DISPATCH_LEVEL)
        ke_set_irql(irql);
}

void io_census(struct census *census)
{
    for (PLIST_ENTRY entry = machine->io->devices.Flink; entry != &machine->io->devices; entry = entry->Flink) {
        const struct io_device *device = CONTAINING_RECORD(entry, struct io_device, entry);

        census_item(census, "device object", 1, device->caller, "of driver %s%s",
                    io_driver_name(device->extension.DeviceObject->DriverObject),
                    device->delete_pending ? ", deleted but referenced" : "");
    }
    driver_census(census);
    irp_census(census);
    interrupt_census(census);
    vectors_census(census);
    interface_census(census);
    notification_census(census);
    dma_census(census);
    shutdown_census(census);
    error_log_census(census);
    po_census(census);
}
