/*
 * The PCI bus driver's physical devices: who they are, their configuration space, BUS_INTERFACE_STANDARD
 * ("Identifiers for PCI devices"; IRP_MN_READ_CONFIG, IRP_MN_QUERY_INTERFACE).
 */
#include <stdio.h>
#include <string.h>

#include <wdmguid.h>

#include "nt/pnp/pci.h"
#include "xen/platform.h"

#define ID_MAX 64

/* ---- configuration space ---- */

ULONG pci_read_config(const struct pci_pdo *pdo, void *buffer, ULONG offset, ULONG length)
{
    if (offset >= sizeof(PCI_COMMON_CONFIG))
        return 0;
    if (length > sizeof(PCI_COMMON_CONFIG) - offset)
        length = (ULONG)sizeof(PCI_COMMON_CONFIG) - offset;
    for (ULONG done = 0; done < length;) {
        ULONG at = offset + done;
        unsigned size = at % 4 == 0 && length - done >= 4 ? 4 : at % 2 == 0 && length - done >= 2 ? 2 : 1;
        uint32_t value = pci_config_read(pdo->bus->bus, pdo->device, pdo->function, at, size);

        memcpy((uint8_t *)buffer + done, &value, size);
        done += size;
    }
    return length;
}

ULONG pci_write_config(const struct pci_pdo *pdo, const void *buffer, ULONG offset, ULONG length)
{
    if (offset >= sizeof(PCI_COMMON_CONFIG))
        return 0;
    if (length > sizeof(PCI_COMMON_CONFIG) - offset)
        length = (ULONG)sizeof(PCI_COMMON_CONFIG) - offset;
    for (ULONG done = 0; done < length;) {
        ULONG at = offset + done;
        unsigned size = at % 4 == 0 && length - done >= 4 ? 4 : at % 2 == 0 && length - done >= 2 ? 2 : 1;
        uint32_t value = 0;

        memcpy(&value, (const uint8_t *)buffer + done, size);
        pci_config_write(pdo->bus->bus, pdo->device, pdo->function, at, size, value);
        done += size;
    }
    return length;
}

static NTSTATUS config_request(struct pci_pdo *pdo, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    PVOID buffer = stack->Parameters.ReadWriteConfig.Buffer;
    ULONG offset = stack->Parameters.ReadWriteConfig.Offset;
    ULONG length = stack->Parameters.ReadWriteConfig.Length;

    if (stack->Parameters.ReadWriteConfig.WhichSpace != PCI_WHICHSPACE_CONFIG)
        return builtin_complete(irp, STATUS_INVALID_PARAMETER_1);
    if (stack->MinorFunction == IRP_MN_READ_CONFIG)
        irp->IoStatus.Information = pci_read_config(pdo, buffer, offset, length);
    else
        irp->IoStatus.Information = pci_write_config(pdo, buffer, offset, length);
    return builtin_complete(irp, irp->IoStatus.Information == length ? STATUS_SUCCESS : STATUS_DEVICE_DATA_ERROR);
}

/* ---- BUS_INTERFACE_STANDARD ---- */

static VOID NTAPI interface_reference(PVOID context)
{
    ObReferenceObject(((struct pci_pdo *)context)->self);
}

static VOID NTAPI interface_dereference(PVOID context)
{
    ObDereferenceObject(((struct pci_pdo *)context)->self);
}

static BOOLEAN NTAPI interface_translate(PVOID context, PHYSICAL_ADDRESS bus_address, ULONG length, PULONG space,
                                         PPHYSICAL_ADDRESS translated)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(length);
    UNREFERENCED_PARAMETER(space);
    *translated = bus_address; /* bus and processor see one address map */
    return TRUE;
}

static PDMA_ADAPTER NTAPI interface_dma(PVOID context, PDEVICE_DESCRIPTION description, PULONG map_registers)
{
    KERNEL_SCOPE();

    UNREFERENCED_PARAMETER(context); /* the same for each device: there is one address map */
    return dma_adapter_create(description, map_registers, __builtin_return_address(0));
}

static ULONG NTAPI interface_set_data(PVOID context, ULONG type, PVOID buffer, ULONG offset, ULONG length)
{
    KERNEL_SCOPE();

    return type == PCI_WHICHSPACE_CONFIG ? pci_write_config(context, buffer, offset, length) : 0;
}

static ULONG NTAPI interface_get_data(PVOID context, ULONG type, PVOID buffer, ULONG offset, ULONG length)
{
    KERNEL_SCOPE();

    return type == PCI_WHICHSPACE_CONFIG ? pci_read_config(context, buffer, offset, length) : 0;
}

static NTSTATUS query_interface(struct pci_pdo *pdo, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    PBUS_INTERFACE_STANDARD interface = (PBUS_INTERFACE_STANDARD)stack->Parameters.QueryInterface.Interface;

    if (!IsEqualGUID(stack->Parameters.QueryInterface.InterfaceType, &GUID_BUS_INTERFACE_STANDARD) ||
        stack->Parameters.QueryInterface.Version != 1)
        return builtin_ignore(irp);
    if (stack->Parameters.QueryInterface.Size < sizeof(*interface))
        return builtin_complete(irp, STATUS_INVALID_PARAMETER);
    interface->Size = sizeof(*interface);
    interface->Version = 1;
    interface->Context = pdo;
    interface->InterfaceReference = interface_reference;
    interface->InterfaceDereference = interface_dereference;
    interface->TranslateBusAddress = interface_translate;
    interface->GetDmaAdapter = interface_dma;
    interface->SetBusData = interface_set_data;
    interface->GetBusData = interface_get_data;
    KERNEL_CALLOUT(interface->InterfaceReference, interface->Context);
    return builtin_complete(irp, STATUS_SUCCESS);
}

/* ---- identification ---- */

static NTSTATUS hardware_ids(const PCI_COMMON_HEADER *h, PIRP irp)
{
    char ids[4][ID_MAX];
    const char *list[4];

    snprintf(ids[0], ID_MAX, "PCI\\VEN_%04X&DEV_%04X&SUBSYS_%04X%04X&REV_%02X", h->VendorID, h->DeviceID,
             h->u.type0.SubSystemID, h->u.type0.SubVendorID, h->RevisionID);
    snprintf(ids[1], ID_MAX, "PCI\\VEN_%04X&DEV_%04X&SUBSYS_%04X%04X", h->VendorID, h->DeviceID, h->u.type0.SubSystemID,
             h->u.type0.SubVendorID);
    snprintf(ids[2], ID_MAX, "PCI\\VEN_%04X&DEV_%04X&CC_%02X%02X%02X", h->VendorID, h->DeviceID, h->BaseClass,
             h->SubClass, h->ProgIf);
    snprintf(ids[3], ID_MAX, "PCI\\VEN_%04X&DEV_%04X&CC_%02X%02X", h->VendorID, h->DeviceID, h->BaseClass, h->SubClass);
    for (unsigned i = 0; i < RTL_NUMBER_OF(list); i++)
        list[i] = ids[i];
    return builtin_return_strings(irp, list, RTL_NUMBER_OF(list));
}

static NTSTATUS compatible_ids(const PCI_COMMON_HEADER *h, PIRP irp)
{
    char ids[7][ID_MAX];
    const char *list[7];

    snprintf(ids[0], ID_MAX, "PCI\\VEN_%04X&DEV_%04X&REV_%02X", h->VendorID, h->DeviceID, h->RevisionID);
    snprintf(ids[1], ID_MAX, "PCI\\VEN_%04X&DEV_%04X", h->VendorID, h->DeviceID);
    snprintf(ids[2], ID_MAX, "PCI\\VEN_%04X&CC_%02X%02X%02X", h->VendorID, h->BaseClass, h->SubClass, h->ProgIf);
    snprintf(ids[3], ID_MAX, "PCI\\VEN_%04X&CC_%02X%02X", h->VendorID, h->BaseClass, h->SubClass);
    snprintf(ids[4], ID_MAX, "PCI\\VEN_%04X", h->VendorID);
    snprintf(ids[5], ID_MAX, "PCI\\CC_%02X%02X%02X", h->BaseClass, h->SubClass, h->ProgIf);
    snprintf(ids[6], ID_MAX, "PCI\\CC_%02X%02X", h->BaseClass, h->SubClass);
    for (unsigned i = 0; i < RTL_NUMBER_OF(list); i++)
        list[i] = ids[i];
    return builtin_return_strings(irp, list, RTL_NUMBER_OF(list));
}

static NTSTATUS query_id(const struct pci_pdo *pdo, PIRP irp)
{
    const PCI_COMMON_HEADER *h = &pdo->config.Header;
    char id[ID_MAX];

    switch (IoGetCurrentIrpStackLocation(irp)->Parameters.QueryId.IdType) {
    case BusQueryDeviceID:
        snprintf(id, sizeof(id), "PCI\\VEN_%04X&DEV_%04X&SUBSYS_%04X%04X&REV_%02X", h->VendorID, h->DeviceID,
                 h->u.type0.SubSystemID, h->u.type0.SubVendorID, h->RevisionID);
        return builtin_return_string(irp, id);
    case BusQueryInstanceID:
        snprintf(id, sizeof(id), "%02X", pdo->device << 3 | pdo->function);
        return builtin_return_string(irp, id);
    case BusQueryHardwareIDs:
        return hardware_ids(h, irp);
    case BusQueryCompatibleIDs:
        return compatible_ids(h, irp);
    default:
        return builtin_ignore(irp);
    }
}

static NTSTATUS query_text(const struct pci_pdo *pdo, PIRP irp)
{
    char text[ID_MAX];

    switch (IoGetCurrentIrpStackLocation(irp)->Parameters.QueryDeviceText.DeviceTextType) {
    case DeviceTextDescription:
        return builtin_return_string(irp, "PCI Device");
    case DeviceTextLocationInformation:
        snprintf(text, sizeof(text), "PCI bus %u, device %u, function %u", pdo->bus->bus, pdo->device, pdo->function);
        return builtin_return_string(irp, text);
    default:
        return builtin_ignore(irp);
    }
}

static NTSTATUS query_capabilities(const struct pci_pdo *pdo, PIRP irp)
{
    PDEVICE_CAPABILITIES capabilities = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceCapabilities.Capabilities;

    if (capabilities->Version != 1 || capabilities->Size < sizeof(*capabilities))
        return builtin_complete(irp, STATUS_UNSUCCESSFUL);
    capabilities->UniqueID = 0; /* the slot alone does not tell two buses' devices apart */
    capabilities->Address = pdo->device << 16 | pdo->function;
    builtin_fill_capabilities(capabilities);
    return builtin_complete(irp, STATUS_SUCCESS);
}

/* ---- requests ---- */

static NTSTATUS query_bus(const struct pci_pdo *pdo, PIRP irp)
{
    PNP_BUS_INFORMATION bus = {.BusTypeGuid = GUID_BUS_TYPE_PCI, .LegacyBusType = PCIBus, .BusNumber = pdo->bus->bus};

    return builtin_return_copy(irp, &bus, sizeof(bus));
}

static NTSTATUS query_resources(const struct pci_pdo *pdo, PIRP irp)
{
    PCM_RESOURCE_LIST list;
    NTSTATUS status;
    size_t size;

    list = pci_boot_resources(pdo, &size);
    if (list == NULL)
        return builtin_ignore(irp);
    status = builtin_return_copy(irp, list, size);
    image_free(list);
    return status;
}

static NTSTATUS query_requirements(const struct pci_pdo *pdo, PIRP irp)
{
    PIO_RESOURCE_REQUIREMENTS_LIST list = pci_requirements(pdo);
    NTSTATUS status;

    if (list == NULL)
        return builtin_ignore(irp);
    status = builtin_return_copy(irp, list, list->ListSize);
    image_free(list);
    return status;
}

NTSTATUS pci_pdo_pnp(struct pci_pdo *pdo, PIRP irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status;

    switch (stack->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return builtin_complete(irp, pci_program(pdo, stack->Parameters.StartDevice.AllocatedResources));
    case IRP_MN_STOP_DEVICE:
        pci_disable(pdo);
        return builtin_complete(irp, STATUS_SUCCESS);
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_DEVICE_USAGE_NOTIFICATION:
        return builtin_complete(irp, STATUS_SUCCESS);
    case IRP_MN_REMOVE_DEVICE:
        if (pdo->present) {
            pci_disable(pdo);
            return builtin_complete_now(irp, STATUS_SUCCESS);
        }
        status = builtin_complete_now(irp, STATUS_SUCCESS);
        pci_pdo_delete(pdo);
        return status;
    case IRP_MN_QUERY_ID:
        return query_id(pdo, irp);
    case IRP_MN_QUERY_DEVICE_TEXT:
        return query_text(pdo, irp);
    case IRP_MN_QUERY_CAPABILITIES:
        return query_capabilities(pdo, irp);
    case IRP_MN_QUERY_BUS_INFORMATION:
        return query_bus(pdo, irp);
    case IRP_MN_QUERY_RESOURCES:
        return query_resources(pdo, irp);
    case IRP_MN_QUERY_RESOURCE_REQUIREMENTS:
        return query_requirements(pdo, irp);
    case IRP_MN_QUERY_INTERFACE:
        return query_interface(pdo, irp);
    case IRP_MN_READ_CONFIG:
    case IRP_MN_WRITE_CONFIG:
        return config_request(pdo, irp);
    case IRP_MN_QUERY_DEVICE_RELATIONS:
        if (stack->Parameters.QueryDeviceRelations.Type == TargetDeviceRelation)
            return builtin_return_target(pdo->self, irp);
        return builtin_ignore(irp);
    default:
        return builtin_ignore(irp);
    }
}

NTSTATUS pci_pdo_create(struct pci_fdo *fdo, unsigned device, unsigned function, const PCI_COMMON_CONFIG *config,
                        struct pci_pdo **result)
{
    PDEVICE_OBJECT object;
    struct pci_pdo *pdo;
    NTSTATUS status = IoCreateDevice(fdo->self->DriverObject, sizeof(*pdo), NULL, FILE_DEVICE_UNKNOWN,
                                     FILE_AUTOGENERATED_DEVICE_NAME, FALSE, &object);

    if (!NT_SUCCESS(status))
        return status;
    pdo = object->DeviceExtension;
    pdo->self = object;
    pdo->bus = fdo;
    pdo->device = device;
    pdo->function = function;
    pdo->present = true;
    pdo->config = *config;
    pci_size_bars(pdo);
    InsertTailList(&fdo->children, &pdo->entry);
    object->Flags |= DO_POWER_PAGABLE;
    object->Flags &= ~DO_DEVICE_INITIALIZING;
    *result = pdo;
    return STATUS_SUCCESS;
}

void pci_pdo_delete(struct pci_pdo *pdo)
{
    RemoveEntryList(&pdo->entry);
    IoDeleteDevice(pdo->self);
}
