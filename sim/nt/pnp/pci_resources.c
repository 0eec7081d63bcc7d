/* The PCI bus driver's resources: sizing base address registers, requirements, programming them at the start. */
#include <string.h>

#include "nt/pnp/pci.h"
#include "xen/platform.h"

#define COMMAND_OFFSET 4u
#define BAR_OFFSET 0x10u
#define DECODERS (PCI_ENABLE_IO_SPACE | PCI_ENABLE_MEMORY_SPACE)
#define BAR_TYPE_64BIT 0x4u

/* In the lists, a private descriptor goes before each that stands for a register, so that the start finds them again.
 */
#define PRIVATE_BAR 1u

static uint32_t read_bar(const struct pci_pdo *pdo, unsigned index)
{
    return pci_config_read(pdo->bus->bus, pdo->device, pdo->function, BAR_OFFSET + index * 4, 4);
}

static void write_bar(const struct pci_pdo *pdo, unsigned index, uint32_t value)
{
    pci_config_write(pdo->bus->bus, pdo->device, pdo->function, BAR_OFFSET + index * 4, 4, value);
}

static uint16_t read_command(const struct pci_pdo *pdo)
{
    return (uint16_t)pci_config_read(pdo->bus->bus, pdo->device, pdo->function, COMMAND_OFFSET, 2);
}

static void write_command(const struct pci_pdo *pdo, uint16_t command)
{
    pci_config_write(pdo->bus->bus, pdo->device, pdo->function, COMMAND_OFFSET, 2, command);
}

/* Write ones, see which bits stick, put the old value back. */
static uint32_t probe_bar(const struct pci_pdo *pdo, unsigned index)
{
    uint32_t before = read_bar(pdo, index);
    uint32_t mask;

    write_bar(pdo, index, 0xFFFFFFFF);
    mask = read_bar(pdo, index);
    write_bar(pdo, index, before);
    return mask;
}

void pci_size_bars(struct pci_pdo *pdo)
{
    uint16_t command = read_command(pdo);

    pdo->decoded = (command & DECODERS) != 0;
    write_command(pdo, command & (uint16_t)~DECODERS); /* nothing may answer at the addresses that are tried */
    for (unsigned i = 0; i < PCI_BARS; i++) {
        struct pci_bar *bar = &pdo->bar[i];
        uint32_t value = read_bar(pdo, i);
        uint64_t mask = probe_bar(pdo, i);

        if (mask == 0)
            continue;
        if (mask & PCI_ADDRESS_IO_SPACE) {
            bar->ports = true;
            /* The upper half of a port register may be hard-wired to zero. */
            bar->length = (uint32_t) ~((mask & ~3u) | 0xFFFF0000u) + UINT64_C(1);
            bar->address = value & ~3u;
            continue;
        }
        bar->prefetchable = (mask & PCI_ADDRESS_MEMORY_PREFETCHABLE) != 0;
        bar->wide = (mask & PCI_ADDRESS_MEMORY_TYPE_MASK) == BAR_TYPE_64BIT && i + 1 < PCI_BARS;
        bar->address = value & ~0xFu;
        mask &= ~UINT64_C(0xF);
        if (bar->wide) {
            bar->address |= (uint64_t)read_bar(pdo, i + 1) << 32;
            mask |= (uint64_t)probe_bar(pdo, i + 1) << 32;
            bar->length = ~mask + 1;
            i++;
        } else {
            bar->length = (uint32_t)~mask + UINT64_C(1);
        }
    }
    write_command(pdo, command);
}

static unsigned count_bars(const struct pci_pdo *pdo)
{
    unsigned count = 0;

    for (unsigned i = 0; i < PCI_BARS; i++)
        count += pdo->bar[i].length != 0;
    return count;
}

static bool has_line(const struct pci_pdo *pdo)
{
    return pdo->config.Header.u.type0.InterruptPin != 0;
}

/* The I/O APIC input that the pin is wired to; the interrupt-line register tells of a routing without I/O APIC. */
static ULONG line_of(const struct pci_pdo *pdo)
{
    return pci_intx_gsi(pdo->device, pdo->config.Header.u.type0.InterruptPin - 1u);
}

static USHORT bar_flags(const struct pci_bar *bar)
{
    if (bar->ports)
        return CM_RESOURCE_PORT_IO | CM_RESOURCE_PORT_16_BIT_DECODE | CM_RESOURCE_PORT_POSITIVE_DECODE |
               CM_RESOURCE_PORT_BAR;
    return CM_RESOURCE_MEMORY_READ_WRITE | CM_RESOURCE_MEMORY_BAR |
           (bar->prefetchable ? CM_RESOURCE_MEMORY_PREFETCHABLE : 0);
}

PCM_RESOURCE_LIST pci_boot_resources(const struct pci_pdo *pdo, size_t *size)
{
    unsigned count = (pdo->decoded ? count_bars(pdo) : 0) + has_line(pdo);
    PCM_PARTIAL_RESOURCE_DESCRIPTOR descriptor;
    PCM_RESOURCE_LIST list;

    if (count == 0)
        return NULL;
    *size = offsetof(CM_RESOURCE_LIST, List) + offsetof(CM_FULL_RESOURCE_DESCRIPTOR, PartialResourceList) +
            offsetof(CM_PARTIAL_RESOURCE_LIST, PartialDescriptors) + count * sizeof(*descriptor);
    list = image_alloc(*size);
    list->Count = 1;
    list->List[0].InterfaceType = PCIBus;
    list->List[0].BusNumber = pdo->bus->bus;
    list->List[0].PartialResourceList.Version = 1;
    list->List[0].PartialResourceList.Revision = 1;
    list->List[0].PartialResourceList.Count = count;
    descriptor = list->List[0].PartialResourceList.PartialDescriptors;
    for (unsigned i = 0; pdo->decoded && i < PCI_BARS; i++) {
        const struct pci_bar *bar = &pdo->bar[i];

        if (bar->length == 0)
            continue;
        descriptor->Type = bar->ports ? CmResourceTypePort : CmResourceTypeMemory;
        descriptor->ShareDisposition = CmResourceShareDeviceExclusive;
        descriptor->Flags = bar_flags(bar);
        descriptor->u.Generic.Start.QuadPart = (LONGLONG)bar->address;
        descriptor->u.Generic.Length = (ULONG)bar->length;
        descriptor++;
    }
    if (has_line(pdo)) {
        descriptor->Type = CmResourceTypeInterrupt;
        descriptor->ShareDisposition = CmResourceShareShared;
        descriptor->Flags = CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE;
        descriptor->u.Interrupt.Level = (USHORT)line_of(pdo);
        descriptor->u.Interrupt.Vector = line_of(pdo);
        descriptor->u.Interrupt.Affinity = 1;
    }
    return list;
}

PIO_RESOURCE_REQUIREMENTS_LIST pci_requirements(const struct pci_pdo *pdo)
{
    unsigned count = 2 * count_bars(pdo) + has_line(pdo);
    size_t size = offsetof(IO_RESOURCE_REQUIREMENTS_LIST, List) + offsetof(IO_RESOURCE_LIST, Descriptors) +
                  count * sizeof(IO_RESOURCE_DESCRIPTOR);
    PIO_RESOURCE_REQUIREMENTS_LIST list;
    PIO_RESOURCE_DESCRIPTOR descriptor;

    if (count == 0)
        return NULL;
    list = image_alloc(size);
    list->ListSize = (ULONG)size;
    list->InterfaceType = PCIBus;
    list->BusNumber = pdo->bus->bus;
    list->SlotNumber = pdo->device | pdo->function << 5;
    list->AlternativeLists = 1;
    list->List[0].Version = 1;
    list->List[0].Revision = 1;
    list->List[0].Count = count;
    descriptor = list->List[0].Descriptors;
    if (has_line(pdo)) {
        descriptor->Type = CmResourceTypeInterrupt;
        descriptor->ShareDisposition = CmResourceShareShared;
        descriptor->Flags = CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE;
        descriptor->u.Interrupt.MinimumVector = line_of(pdo);
        descriptor->u.Interrupt.MaximumVector = line_of(pdo);
        descriptor++;
    }
    for (unsigned i = 0; i < PCI_BARS; i++) {
        const struct pci_bar *bar = &pdo->bar[i];

        if (bar->length == 0)
            continue;
        descriptor->Type = CmResourceTypeDevicePrivate;
        descriptor->ShareDisposition = CmResourceShareDeviceExclusive;
        descriptor->u.DevicePrivate.Data[0] = PRIVATE_BAR;
        descriptor->u.DevicePrivate.Data[1] = i;
        descriptor++;
        descriptor->Type = bar->ports ? CmResourceTypePort : CmResourceTypeMemory;
        descriptor->ShareDisposition = CmResourceShareDeviceExclusive;
        descriptor->Flags = bar_flags(bar);
        descriptor->u.Generic.Length = (ULONG)bar->length;
        descriptor->u.Generic.Alignment = (ULONG)bar->length;
        descriptor->u.Generic.MaximumAddress.QuadPart = bar->ports ? 0xFFFF : 0xFFFFFFFF;
        descriptor++;
    }
    return list;
}

NTSTATUS pci_program(struct pci_pdo *pdo, const CM_RESOURCE_LIST *raw)
{
    uint16_t command = read_command(pdo) & (uint16_t)~DECODERS;
    const CM_PARTIAL_RESOURCE_LIST *partial;
    unsigned programmed = 0;

    if (raw == NULL || raw->Count == 0)
        return count_bars(pdo) == 0 ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
    write_command(pdo, command);
    partial = &raw->List[0].PartialResourceList;
    for (ULONG i = 0; i + 1 < partial->Count; i++) {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *tag = &partial->PartialDescriptors[i];
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *resource = &partial->PartialDescriptors[i + 1];
        ULONG index = tag->u.DevicePrivate.Data[1];
        uint64_t start = (uint64_t)resource->u.Generic.Start.QuadPart;

        if (tag->Type != CmResourceTypeDevicePrivate || tag->u.DevicePrivate.Data[0] != PRIVATE_BAR)
            continue;
        if (index >= PCI_BARS || pdo->bar[index].length != resource->u.Generic.Length)
            return STATUS_INVALID_PARAMETER;
        write_bar(pdo, index, (uint32_t)start);
        if (pdo->bar[index].wide)
            write_bar(pdo, index + 1, (uint32_t)(start >> 32));
        command |= pdo->bar[index].ports ? PCI_ENABLE_IO_SPACE : PCI_ENABLE_MEMORY_SPACE;
        programmed++;
    }
    if (programmed != count_bars(pdo))
        return STATUS_INSUFFICIENT_RESOURCES;
    write_command(pdo, command | PCI_ENABLE_BUS_MASTER);
    return STATUS_SUCCESS;
}

void pci_disable(struct pci_pdo *pdo)
{
    write_command(pdo, read_command(pdo) & (uint16_t) ~(DECODERS | PCI_ENABLE_BUS_MASTER));
}
