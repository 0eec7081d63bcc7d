/*
 * The Xen platform device (PCI 5853:0001, XenServer's 0002) and the vendor device beside it (C000): its ports, the
 * fixed ports of the unplug protocol and of the emulator's log, and Xen's debug console port. The protocol is described
 * in Xen's docs/misc/hvm-emulated-unplug.pandoc.
 */
#include <ctype.h>

#include "xen/platform_device.h"

#define XEN_VENDOR 0x5853
#define PLATFORM_SLOT 2u
#define VENDOR_SLOT 3u
#define PCI_CLASS_ETHERNET 0x0200u
#define PRIMARY_MASTER 1u
#define ALL_UNITS ((1u << IDE_UNITS) - 1)

#define FIXED_PORT 0x10
#define FIXED_PORTS 16
#define DEBUG_CONSOLE_PORT 0xE9

/* Offsets from the first fixed port. */
#define FIXED_UNPLUG                                                                                                   \
    0                   /* 16 bits: read the magic, write what to unplug; 32 bits, write: build number; 8 bits: flags  \
                         */
#define FIXED_VERSION 2 /* 8 bits: read the protocol's version, write to the log; 16 bits, write: product number */

#define UNPLUG_MAGIC 0x49D2
#define UNPLUG_BLACKLISTED 0xD249
#define UNPLUG_VERSION 1
#define FLAG_ROM_LOCK 1

/* Offsets in BAR 0. */
#define BAR_FLAGS 0
#define BAR_OLD_UNPLUG 4
#define BAR_LOG 8

/* ---- logs ---- */

static void log_flush(struct log_port *port)
{
    log_line(LOG_INFO, port->component, "%.*s", (int)port->length, port->text);
    port->length = 0;
}

/* Lines end at a newline or when they are full; what cannot be printed is dropped. */
static void log_byte(struct log_port *port, uint8_t byte)
{
    if (byte == '\n') {
        log_flush(port);
        return;
    }
    if (!(byte < 0x80 && isprint(byte)) && byte != '\t')
        return;
    port->text[port->length++] = (char)byte;
    if (port->length == sizeof(port->text))
        log_flush(port);
}

static bool debug_console_write(void *device, uint16_t offset, unsigned size, uint32_t value)
{
    (void)device; /* the board's only one, */
    (void)offset; /* of one port */
    if (size != 1)
        return false;
    log_byte(&platform_state()->xen_log, (uint8_t)value);
    return true;
}

/* ---- unplug ---- */

static void unplug(unsigned what)
{
    struct platform_state *platform = platform_state();

    if (machine->config.board.unplug == MACHINE_UNPLUG_REFUSED) {
        log_line(LOG_INFO, "qemu", "unplug: refused");
        return;
    }
    log_line(LOG_INFO, "qemu", "unplug:%s%s%s%s", (what & XEN_UNPLUG_IDE_DISKS) != 0 ? " all disks" : "",
             (what & XEN_UNPLUG_NICS) != 0 ? " all network cards" : "",
             (what & XEN_UNPLUG_AUX_IDE_DISKS) != 0 ? " all IDE disks but the primary master" : "",
             (what & XEN_UNPLUG_NVME_DISKS) != 0 ? " all NVMe disks" : "");
    platform->unplugged |= what & XEN_UNPLUG_MASK;
    for (unsigned i = 0; i < platform->functions; i++)
        if ((what & XEN_UNPLUG_NICS) != 0 && pci_class(&platform->function[i]) == PCI_CLASS_ETHERNET)
            platform->function[i].gone = true;
    if ((what & XEN_UNPLUG_IDE_DISKS) != 0)
        ide_unplug(ALL_UNITS);
    else if ((what & XEN_UNPLUG_AUX_IDE_DISKS) != 0)
        ide_unplug(ALL_UNITS & ~PRIMARY_MASTER);
}

static bool is_blacklisted(uint16_t product, uint32_t build)
{
    const struct machine_board *board = &machine->config.board;

    return board->unplug == MACHINE_UNPLUG_REFUSED ||
           (board->unplug == MACHINE_UNPLUG_BLACKLISTED && product == board->blacklist_product &&
            build <= board->blacklist_build);
}

static void announce(uint32_t build)
{
    struct platform_state *platform = platform_state();

    platform->blacklisted = is_blacklisted(platform->product, build);
    log_line(LOG_INFO, "qemu", "drivers of product %#x, build %u%s", platform->product, build,
             platform->blacklisted ? ": blacklisted" : "");
}

void xen_platform_new_model(void)
{
    struct platform_state *platform = platform_state();

    platform->unplugged = 0;
    platform->blacklisted = false;
    platform->flags = 0;
    for (unsigned i = 0; i < platform->functions; i++)
        platform->function[i].gone = false;
    ide_plug_all();
}

unsigned xen_platform_unplugged(void)
{
    return platform_state()->unplugged;
}

/* ---- fixed ports ---- */

static bool fixed_read(void *device, uint16_t offset, unsigned size, uint32_t *value)
{
    const struct platform_state *platform = platform_state();

    (void)device;
    if (offset == FIXED_UNPLUG && size == 2)
        *value = platform->blacklisted ? UNPLUG_BLACKLISTED : UNPLUG_MAGIC;
    else if (offset == FIXED_UNPLUG && size == 1)
        *value = platform->flags;
    else if (offset == FIXED_VERSION && size == 1)
        *value = UNPLUG_VERSION;
    else if (size < 4)
        *value = UINT32_MAX; /* no register */
    else
        return false;
    return true;
}

static bool fixed_write(void *device, uint16_t offset, unsigned size, uint32_t value)
{
    struct platform_state *platform = platform_state();

    (void)device;
    if (offset == FIXED_UNPLUG && size == 4)
        announce(value);
    else if (offset == FIXED_UNPLUG && size == 2)
        unplug(value);
    else if (offset == FIXED_UNPLUG && size == 1)
        platform->flags = value & FLAG_ROM_LOCK;
    else if (offset == FIXED_VERSION && size == 2)
        platform->product = (uint16_t)value;
    else if (offset == FIXED_VERSION && size == 1)
        log_byte(&platform->emulator_log, (uint8_t)value);
    return true;
}

/* ---- BAR 0 ---- */

static bool bar_read(struct pci_function *function, unsigned bar, uint16_t offset, unsigned size, uint32_t *value)
{
    (void)function; /* the board's only one, */
    (void)bar;      /* with one of ports */
    *value = offset == BAR_FLAGS && size == 1 ? platform_state()->flags : UINT32_MAX;
    return true;
}

static bool bar_write(struct pci_function *function, unsigned bar, uint16_t offset, unsigned size, uint32_t value)
{
    (void)function;
    (void)bar;
    if (offset == BAR_FLAGS && size == 1) {
        platform_state()->flags = value & FLAG_ROM_LOCK;
    } else if (offset == BAR_OLD_UNPLUG && value == 1) {
        unplug(XEN_UNPLUG_IDE_DISKS | XEN_UNPLUG_NICS);
    } else if (offset == BAR_LOG) {
        if (value == 1)
            unplug(XEN_UNPLUG_IDE_DISKS);
        else if (value == 2)
            unplug(XEN_UNPLUG_NICS);
        else
            log_byte(&platform_state()->emulator_log, (uint8_t)value);
    }
    return true;
}

#define PLATFORM_MODEL(number)                                                                                         \
    {                                                                                                                  \
        .vendor_id = XEN_VENDOR, .device_id = (number), .revision = 1, .class_code = 0xFF8000,                         \
        .subsystem_vendor = XEN_VENDOR, .subsystem = (number), .interrupt_pin = 1,                                     \
        .bar = {{.kind = PCI_BAR_IO, .size = 0x100, .address = 0xC000},                                                \
                {.kind = PCI_BAR_MEMORY_PREFETCHABLE,                                                                  \
                 .size = GUEST_HOLE_PAGES << GUEST_PAGE_SHIFT,                                                         \
                 .address = (uint32_t)(GUEST_HOLE_FIRST_GFN << GUEST_PAGE_SHIFT)}},                                    \
        .io_read = bar_read, .io_write = bar_write,                                                                    \
    }

static const struct pci_model platform_model = PLATFORM_MODEL(0x0001);
static const struct pci_model xenserver_platform_model = PLATFORM_MODEL(0x0002);

/* Xen's docs/man/xen-pci-device-reservations: a device for a vendor's drivers to bind to; it has no function at all. */
static const struct pci_model vendor_model = {
    .vendor_id = XEN_VENDOR,
    .device_id = 0xC000,
    .revision = 1,
    .class_code = 0x088000,
    .subsystem_vendor = XEN_VENDOR,
    .subsystem = 0xC000,
    .interrupt_pin = 1,
    .bar = {[1] = {.kind = PCI_BAR_MEMORY_PREFETCHABLE, .size = 4u << 20}},
};

void platform_device_init(void)
{
    struct platform_state *platform = platform_state();
    const struct machine_board *board = &machine->config.board;

    platform->emulator_log.component = "qemu";
    platform->xen_log.component = "xen-guest";
    if (board->xenserver_platform || xen_is_there()) /* any emulator can be told to have the former */
        (void)pci_add(board->xenserver_platform ? &xenserver_platform_model : &platform_model, PLATFORM_SLOT, 0, NULL);
    if (board->vendor_device)
        (void)pci_add(&vendor_model, VENDOR_SLOT, 0, NULL);
    if (!xen_is_there())
        return;
    if (board->unplug != MACHINE_UNPLUG_ABSENT)
        ioport_claim(FIXED_PORT, FIXED_PORTS, fixed_read, fixed_write, NULL);
    ioport_claim(DEBUG_CONSOLE_PORT, 1, NULL, debug_console_write, NULL);
}
