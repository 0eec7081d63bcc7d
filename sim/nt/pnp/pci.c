/*
 * The PCI bus driver's function device: on the host bridge, finds what is on bus 0 through configuration mechanism #1
 * and reports it ("Identifiers for PCI devices", PCI Local Bus Specification 3.0, chapter 6).
 */
#include <string.h>

#include "nt/pnp/pci.h"
#include "xen/platform.h"

bool pci_probe(unsigned bus, unsigned device, unsigned function, PCI_COMMON_CONFIG *config)
{
    uint32_t id = pci_config_read(bus, device, function, 0, 4);

    if ((id & 0xFFFF) == PCI_INVALID_VENDORID)
        return false;
    for (unsigned offset = 0; offset < sizeof(*config); offset += 4) {
        uint32_t value = pci_config_read(bus, device, function, offset, 4);

        memcpy((uint8_t *)config + offset, &value, 4);
    }
    return true;
}

static struct pci_pdo *find_child(const struct pci_fdo *fdo, unsigned device, unsigned function)
{
    for (PLIST_ENTRY entry = fdo->children.Flink; entry != &fdo->children; entry = entry->Flink) {
        struct pci_pdo *pdo = CONTAINING_RECORD(entry, struct pci_pdo, entry);

        if (pdo->device == device && pdo->function == function && pdo->present)
            return pdo;
    }
    return NULL;
}

/* What answers now at an address where something was before: the same function, or another card? */
static NTSTATUS look_at(struct pci_fdo *fdo, unsigned device, unsigned function, bool *multifunction)
{
    struct pci_pdo *pdo = find_child(fdo, device, function);
    PCI_COMMON_CONFIG config;
    bool there = pci_probe(fdo->bus, device, function, &config);

    *multifunction = there && (config.Header.HeaderType & PCI_MULTIFUNCTION);
    if (pdo != NULL) {
        pdo->present = there && config.VendorID == pdo->config.VendorID && config.DeviceID == pdo->config.DeviceID &&
                       config.Header.u.type0.SubSystemID == pdo->config.Header.u.type0.SubSystemID;
        if (pdo->present)
            return STATUS_SUCCESS;
    }
    if (!there || (config.Header.HeaderType & ~PCI_MULTIFUNCTION) != PCI_DEVICE_TYPE)
        return STATUS_SUCCESS; /* nothing, or a bridge: the board has none behind which devices could be */
    return pci_pdo_create(fdo, device, function, &config, &pdo);
}

static NTSTATUS scan(struct pci_fdo *fdo)
{
    for (unsigned device = 0; device < PCI_DEVICES; device++) {
        bool multifunction = false;
        bool ignored;
        NTSTATUS status = look_at(fdo, device, 0, &multifunction);

        for (unsigned function = 1; NT_SUCCESS(status) && multifunction && function < PCI_FUNCTIONS; function++)
            status = look_at(fdo, device, function, &ignored);
        if (!NT_SUCCESS(status))
            return status;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS report_children(struct pci_fdo *fdo, PIRP irp)
{
    NTSTATUS status = scan(fdo);
    PDEVICE_RELATIONS relations;
    unsigned count = 0;

    if (!NT_SUCCESS(status))
        return builtin_complete(irp, status);
    for (PLIST_ENTRY entry = fdo->children.Flink; entry != &fdo->children; entry = entry->Flink)
        count += CONTAINING_RECORD(entry, struct pci_pdo, entry)->present;
    relations = ExAllocatePoolWithTag(
        PagedPool, offsetof(DEVICE_RELATIONS, Objects) + (count + 1) * sizeof(PDEVICE_OBJECT), BUILTIN_TAG);
    if (relations == NULL)
        return builtin_complete(irp, STATUS_INSUFFICIENT_RESOURCES);
    relations->Count = 0;
    for (PLIST_ENTRY entry = fdo->children.Flink; entry != &fdo->children; entry = entry->Flink) {
        const struct pci_pdo *pdo = CONTAINING_RECORD(entry, struct pci_pdo, entry);

        if (!pdo->present)
            continue;
        ObReferenceObject(pdo->self);
        relations->Objects[relations->Count++] = pdo->self;
    }
    irp->IoStatus.Information = (ULONG_PTR)relations;
    irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(irp);
    return IoCallDriver(fdo->lower, irp);
}

static NTSTATUS pass_down(struct pci_fdo *fdo, PIRP irp)
{
    IoSkipCurrentIrpStackLocation(irp);
    return IoCallDriver(fdo->lower, irp);
}

static NTSTATUS fdo_pnp(struct pci_fdo *fdo, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status;

    switch (stack->MinorFunction) {
    case IRP_MN_START_DEVICE:
        /* From the bottom up: the bus below comes first. */
        if (!IoForwardIrpSynchronously(fdo->lower, irp))
            return builtin_complete(irp, STATUS_UNSUCCESSFUL);
        return builtin_ignore(irp);
    case IRP_MN_QUERY_DEVICE_RELATIONS:
        if (stack->Parameters.QueryDeviceRelations.Type == BusRelations)
            return report_children(fdo, irp);
        return pass_down(fdo, irp);
    case IRP_MN_QUERY_STOP_DEVICE:
        /* Its window could only move with everything behind it. */
        return builtin_complete(irp, STATUS_UNSUCCESSFUL);
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
        irp->IoStatus.Status = STATUS_SUCCESS;
        return pass_down(fdo, irp);
    case IRP_MN_REMOVE_DEVICE:
        while (!IsListEmpty(&fdo->children))
            pci_pdo_delete(CONTAINING_RECORD(fdo->children.Flink, struct pci_pdo, entry));
        irp->IoStatus.Status = STATUS_SUCCESS;
        status = pass_down(fdo, irp);
        IoDetachDevice(fdo->lower);
        IoDeleteDevice(fdo->self);
        return status;
    default:
        return pass_down(fdo, irp);
    }
}

static NTSTATUS NTAPI dispatch_pnp(PDEVICE_OBJECT device, PIRP irp)
{
    struct pci_fdo *fdo = device->DeviceExtension;

    return fdo->is_fdo ? fdo_pnp(fdo, irp) : pci_pdo_pnp(device->DeviceExtension, irp);
}

static NTSTATUS NTAPI dispatch_power(PDEVICE_OBJECT device, PIRP irp)
{
    struct pci_fdo *fdo = device->DeviceExtension;

    if (!fdo->is_fdo)
        return builtin_pdo_power(device, irp);
    PoStartNextPowerIrp(irp);
    IoSkipCurrentIrpStackLocation(irp);
    return PoCallDriver(fdo->lower, irp);
}

static NTSTATUS NTAPI dispatch_system_control(PDEVICE_OBJECT device, PIRP irp)
{
    struct pci_fdo *fdo = device->DeviceExtension;

    return fdo->is_fdo ? pass_down(fdo, irp) : builtin_ignore(irp);
}

static NTSTATUS NTAPI add_device(PDRIVER_OBJECT driver, PDEVICE_OBJECT pdo)
{
    PDEVICE_OBJECT device;
    struct pci_fdo *fdo;
    NTSTATUS status = IoCreateDevice(driver, sizeof(*fdo), NULL, FILE_DEVICE_BUS_EXTENDER, 0, FALSE, &device);

    if (!NT_SUCCESS(status))
        return status;
    fdo = device->DeviceExtension;
    fdo->is_fdo = true;
    fdo->self = device;
    fdo->pdo = pdo;
    fdo->bus = 0; /* the board has one host bridge */
    InitializeListHead(&fdo->children);
    fdo->lower = IoAttachDeviceToDeviceStack(device, pdo);
    if (fdo->lower == NULL) {
        IoDeleteDevice(device);
        return STATUS_NO_SUCH_DEVICE;
    }
    device->Flags |= DO_POWER_PAGABLE;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    UNREFERENCED_PARAMETER(driver); /* it holds nothing but its devices */
}

NTSTATUS NTAPI pci_driver_entry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = unload;
    DriverObject->DriverExtension->AddDevice = add_device;
    DriverObject->MajorFunction[IRP_MJ_PNP] = dispatch_pnp;
    DriverObject->MajorFunction[IRP_MJ_POWER] = dispatch_power;
    DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = dispatch_system_control;
    return STATUS_SUCCESS;
}
