/* The board inside: shared between ioport.c, pci.c, board.c and the devices. */
#ifndef XEN_PLATFORM_DEVICE_H
#define XEN_PLATFORM_DEVICE_H

#include "xen/hypervisor.h"
#include "xen/platform.h"

#define PCI_CONFIG_BYTES 256u
#define PCI_BARS 6u

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEMORY, PCI_BAR_MEMORY_PREFETCHABLE };

struct pci_bar {
    enum pci_bar_kind kind;
    uint32_t size;    /* a power of two, in bytes */
    uint32_t address; /* where the firmware puts it; 0: the next room there is */
};

struct pci_function;

/* A kind of device, as it is at power-on after the firmware has configured it. */
struct pci_model {
    uint16_t vendor_id;
    uint16_t device_id;
    uint8_t revision;
    uint32_t class_code; /* class, subclass, interface */
    uint8_t header_type;
    uint16_t subsystem_vendor;
    uint16_t subsystem;
    uint8_t interrupt_pin; /* 1: INTA; 0: none */
    struct pci_bar bar[PCI_BARS];
    /*
     * I/O BARs: accesses while decoding is on; `offset` is from the BAR's start. NULL: reads as ones. Memory BARs are
     * addresses without anything behind them: an access faults.
     */
    bool (*io_read)(struct pci_function *function, unsigned bar, uint16_t offset, unsigned size, uint32_t *value);
    bool (*io_write)(struct pci_function *function, unsigned bar, uint16_t offset, unsigned size, uint32_t value);
};

struct pci_function {
    const struct pci_model *model;
    uint8_t device; /* on bus 0 */
    uint8_t function;
    bool gone;   /* unplugged: nothing answers there */
    void *state; /* of the device, NULL: it has none */
    uint8_t config[PCI_CONFIG_BYTES];
    uint8_t writable[PCI_CONFIG_BYTES]; /* bits that software can change */
};

#define PCI_FUNCTIONS_MAX 16u

struct ioport_claim {
    uint16_t first;
    uint16_t count;
    ioport_read_t read;
    ioport_write_t write;
    void *device;
};

/* A line of text on its way to the log, written byte by byte. */
struct log_port {
    const char *component;
    unsigned length;
    char text[256];
};

/* Of the state of the board's devices, and what is in it at power-on. */
struct board_block {
    void *block;
    void *power_on;
    size_t size;
};

struct ide;

struct platform_state {
    struct board_block *block;
    unsigned blocks;

    struct ioport_claim *claim;
    unsigned claims;

    uint32_t config_address; /* port 0xCF8 */
    struct pci_function function[PCI_FUNCTIONS_MAX];
    unsigned functions;
    uint32_t next_port, next_memory; /* where the firmware puts BARs */

    struct log_port emulator_log;
    struct log_port xen_log;
    uint8_t flags;
    uint16_t product;
    bool blacklisted;
    struct ide *ide;    /* NULL: there is no controller */
    unsigned unplugged; /* XEN_UNPLUG_* written so far */
};

static inline struct platform_state *platform_state(void)
{
    return xen_state()->platform;
}

/* board.c: zeroed memory for a device's state, which is as after its initialisation when the power comes back. */
void *board_alloc(size_t size);

/* pci.c */
void pci_init(void);
struct pci_function *pci_add(const struct pci_model *model, unsigned device, unsigned function, void *state);
/* The class of a function: class and subclass. */
unsigned pci_class(const struct pci_function *function);
/* The I/O BAR that claims the port now; NULL if none does. */
struct pci_function *pci_find_io(uint16_t port, unsigned *bar, uint16_t *offset);

/* platform_device.c */
void platform_device_init(void);

/* nic_rtl8139.c, nic_e1000.c: emulated network cards without a cable, and power-on of such a card. */
void rtl8139_add(unsigned slot, const uint8_t mac[6]);
void e1000_add(unsigned slot, const uint8_t mac[6]);

/* ide.c: units as bits from the primary master on. */
#define IDE_UNITS 4u
void ide_init(unsigned disks, unsigned cdroms);
void ide_unplug(unsigned units); /* hard disks among them go */
void ide_plug_all(void);

/* acpi.c: the firmware's tables in guest memory, and the registers that they name. */
void acpi_init(void);
void acpi_put_tables(void); /* where the firmware has them */

#endif
