/*
 * PCI bus 0 of the board that Xen's device model shows: an i440FX host bridge, its ISA bridge, what others add.
 * Configuration space by mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2 and chapter 6).
 */
#include <string.h>

#include "machine/fail.h"
#include "xen/platform_device.h"

#define CONFIG_ADDRESS_PORT 0xCF8
#define CONFIG_PORTS 8
#define CONFIG_ENABLE 0x80000000u

#define OFFSET_COMMAND 0x04
#define OFFSET_CACHE_LINE 0x0C
#define OFFSET_LATENCY 0x0D
#define OFFSET_BAR 0x10
#define OFFSET_SUBSYSTEM 0x2C
#define OFFSET_INTERRUPT_LINE 0x3C
#define OFFSET_PIRQ_ROUTE 0x60 /* of the ISA bridge */

#define COMMAND_IO 0x0001u
#define COMMAND_MEMORY 0x0002u
#define COMMAND_WRITABLE 0x0547u /* I/O, memory, master, parity, SERR, INTx off */

#define PCI_LINKS 4u
#define FIRST_PORT 0xC100u /* where the firmware puts BARs, behind the platform device's */

static const struct pci_model host_bridge = {
    .vendor_id = 0x8086,
    .device_id = 0x1237,
    .revision = 2,
    .class_code = 0x060000,
    .subsystem_vendor = 0x1AF4,
    .subsystem = 0x1100,
};

static const struct pci_model isa_bridge = {
    .vendor_id = 0x8086,
    .device_id = 0x7000,
    .class_code = 0x060100,
    .header_type = 0x80, /* further functions may follow */
    .subsystem_vendor = 0x1AF4,
    .subsystem = 0x1100,
};

/* How the firmware routes the four links to ISA IRQs. */
static const uint8_t link_irq[PCI_LINKS] = {5, 10, 11, 5};

unsigned pci_intx_gsi(unsigned device, unsigned intx)
{
    return (((device << 2) + (device >> 3) + intx) & 31) + 16;
}

/* ---- functions ---- */

static void put(uint8_t *at, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get(const uint8_t *at, unsigned bytes)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint32_t)at[i] << (8 * i);
    return value;
}

/* As the firmware does: one after the other, each at a multiple of its size. */
static uint32_t place_bar(const struct pci_bar *bar)
{
    uint32_t *next = bar->kind == PCI_BAR_IO ? &platform_state()->next_port : &platform_state()->next_memory;
    uint32_t address = (*next + bar->size - 1) & ~(bar->size - 1);

    *next = address + bar->size;
    return address;
}

static void add_bar(struct pci_function *function, unsigned index)
{
    static const uint8_t kind_bits[] = {[PCI_BAR_IO] = 1, [PCI_BAR_MEMORY] = 0, [PCI_BAR_MEMORY_PREFETCHABLE] = 8};
    const struct pci_bar *bar = &function->model->bar[index];
    unsigned offset = OFFSET_BAR + 4 * index;

    if (bar->kind == PCI_BAR_NONE)
        return;
    put(&function->config[offset], (bar->address != 0 ? bar->address : place_bar(bar)) | kind_bits[bar->kind], 4);
    put(&function->writable[offset], ~(bar->size - 1), 4); /* the rest reads as zero: that is how its size is found */
}

struct pci_function *pci_add(const struct pci_model *model, unsigned device, unsigned number, void *state)
{
    struct platform_state *platform = platform_state();
    struct pci_function *function = &platform->function[platform->functions];
    uint16_t command = 0;

    if (platform->functions++ == PCI_FUNCTIONS_MAX)
        fail("pci", "the board has room for %u functions", PCI_FUNCTIONS_MAX);
    function->model = model;
    function->device = (uint8_t)device;
    function->function = (uint8_t)number;
    function->state = state;
    put(&function->config[0], model->vendor_id, 2);
    put(&function->config[2], model->device_id, 2);
    put(&function->config[8], model->class_code << 8 | model->revision, 4);
    function->config[14] = model->header_type;
    put(&function->config[OFFSET_SUBSYSTEM], (uint32_t)model->subsystem << 16 | model->subsystem_vendor, 4);
    for (unsigned i = 0; i < PCI_BARS; i++) {
        add_bar(function, i);
        if (model->bar[i].kind != PCI_BAR_NONE)
            command |= model->bar[i].kind == PCI_BAR_IO ? COMMAND_IO : COMMAND_MEMORY;
    }
    put(&function->config[OFFSET_COMMAND], command, 2);
    put(&function->writable[OFFSET_COMMAND], COMMAND_WRITABLE, 2);
    function->writable[OFFSET_CACHE_LINE] = 0xFF;
    function->writable[OFFSET_LATENCY] = 0xFF;
    function->writable[OFFSET_INTERRUPT_LINE] = 0xFF;
    if (model->interrupt_pin != 0) {
        function->config[OFFSET_INTERRUPT_LINE] = link_irq[(device + model->interrupt_pin - 1) % PCI_LINKS];
        function->config[OFFSET_INTERRUPT_LINE + 1] = model->interrupt_pin;
    }
    if (model == &isa_bridge) {
        memcpy(&function->config[OFFSET_PIRQ_ROUTE], link_irq, sizeof(link_irq));
        memset(&function->writable[OFFSET_PIRQ_ROUTE], 0x8F, sizeof(link_irq)); /* off, and the IRQ */
    }
    return function;
}

unsigned pci_class(const struct pci_function *function)
{
    return function->model->class_code >> 8;
}

static struct pci_function *find_function(unsigned bus, unsigned device, unsigned function)
{
    struct platform_state *platform = platform_state();

    if (bus != 0)
        return NULL;
    for (unsigned i = 0; i < platform->functions; i++)
        if (platform->function[i].device == device && platform->function[i].function == function)
            return platform->function[i].gone ? NULL : &platform->function[i];
    return NULL;
}

struct pci_function *pci_find_io(uint16_t port, unsigned *bar, uint16_t *offset)
{
    struct platform_state *platform = platform_state();

    for (unsigned i = 0; i < platform->functions; i++) {
        struct pci_function *function = &platform->function[i];

        if (function->gone || (get(&function->config[OFFSET_COMMAND], 2) & COMMAND_IO) == 0)
            continue;
        for (unsigned index = 0; index < PCI_BARS; index++) {
            uint32_t base = get(&function->config[OFFSET_BAR + 4 * index], 4) & ~3u;

            if (function->model->bar[index].kind != PCI_BAR_IO || base == 0 || port < base ||
                port - base >= function->model->bar[index].size)
                continue;
            *bar = index;
            *offset = (uint16_t)(port - base);
            return function;
        }
    }
    return NULL;
}

/* ---- configuration space ---- */

static uint32_t config_read(const struct pci_function *function, unsigned offset, unsigned size)
{
    return function != NULL ? get(&function->config[offset], size) : UINT32_MAX >> (32 - 8 * size);
}

static void config_write(struct pci_function *function, unsigned offset, unsigned size, uint32_t value)
{
    if (function == NULL)
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = function->writable[offset + i];
        uint8_t *byte = &function->config[offset + i];

        *byte = (uint8_t)((*byte & ~mask) | ((uint8_t)(value >> (8 * i)) & mask));
    }
}

static void check_access(unsigned offset, unsigned size)
{
    if ((size != 1 && size != 2 && size != 4) || offset + size > PCI_CONFIG_BYTES)
        fail("pci", "configuration access of %u bytes at %#x", size, offset);
}

uint32_t pci_config_read(unsigned bus, unsigned device, unsigned function, unsigned offset, unsigned size)
{
    check_access(offset, size);
    return config_read(find_function(bus, device, function), offset, size);
}

void pci_config_write(unsigned bus, unsigned device, unsigned function, unsigned offset, unsigned size, uint32_t value)
{
    check_access(offset, size);
    config_write(find_function(bus, device, function), offset, size, value);
}

/* ---- ports 0xCF8 to 0xCFF ---- */

static struct pci_function *addressed_function(void)
{
    uint32_t address = platform_state()->config_address;

    if ((address & CONFIG_ENABLE) == 0)
        return NULL;
    return find_function(address >> 16 & 0xFF, address >> 11 & 31, address >> 8 & 7);
}

static unsigned addressed_offset(uint16_t port_offset)
{
    return (platform_state()->config_address & 0xFC) + (port_offset - 4u);
}

static bool config_port_read(void *device, uint16_t offset, unsigned size, uint32_t *value)
{
    (void)device; /* the board's */
    if (offset >= 4) {
        if (offset % size != 0)
            return false;
        *value = config_read(addressed_function(), addressed_offset(offset), size);
        return true;
    }
    if (offset != 0 || size != 4) /* only a doubleword access reaches the address register */
        return false;
    *value = platform_state()->config_address;
    return true;
}

static bool config_port_write(void *device, uint16_t offset, unsigned size, uint32_t value)
{
    (void)device;
    if (offset >= 4) {
        if (offset % size != 0)
            return false;
        config_write(addressed_function(), addressed_offset(offset), size, value);
        return true;
    }
    if (offset != 0 || size != 4)
        return false;
    platform_state()->config_address = value & 0x80FFFFFC;
    return true;
}

void pci_init(void)
{
    platform_state()->next_port = FIRST_PORT;
    platform_state()->next_memory = (uint32_t)((GUEST_HOLE_FIRST_GFN + GUEST_HOLE_PAGES) << GUEST_PAGE_SHIFT);
    (void)pci_add(&host_bridge, 0, 0, NULL);
    (void)pci_add(&isa_bridge, 1, 0, NULL);
    ioport_claim(CONFIG_ADDRESS_PORT, CONFIG_PORTS, config_port_read, config_port_write, NULL);
}
