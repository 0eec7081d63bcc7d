/* The board inside: shared between ioport.c, pci.c and platform_device.c. */
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
    uint32_t address; /* where the firmware puts it */
};

/* A function of bus 0, as it is at power-on after the firmware has configured it. */
struct pci_model {
    uint8_t device;
    uint8_t function;
    uint16_t vendor_id;
    uint16_t device_id;
    uint8_t revision;
    uint32_t class_code; /* class, subclass, interface */
    uint8_t header_type;
    uint16_t subsystem_vendor;
    uint16_t subsystem;
    uint8_t interrupt_pin; /* 1: INTA; 0: none */
    struct pci_bar bar[PCI_BARS];
    /* I/O BARs: accesses while decoding is on; `offset` is from the BAR's start. NULL: reads as ones. */
    bool (*io_read)(unsigned bar, uint16_t offset, unsigned size, uint32_t *value);
    bool (*io_write)(unsigned bar, uint16_t offset, unsigned size, uint32_t value);
};

extern const struct pci_model xen_platform_model;

struct pci_function {
    const struct pci_model *model;
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

struct platform_state {
    struct ioport_claim *claim;
    unsigned claims;

    uint32_t config_address; /* port 0xCF8 */
    struct pci_function function[PCI_FUNCTIONS_MAX];
    unsigned functions;

    struct log_port emulator_log;
    struct log_port xen_log;
    uint8_t flags;
    uint16_t product;
    bool blacklisted;
    xen_blacklist_t blacklist;
    void *blacklist_argument;
    unsigned unplugged; /* XEN_UNPLUG_* written so far */
};

static inline struct platform_state *platform_state(void)
{
    return xen_state()->platform;
}

void pci_init(void);
/* The I/O BAR that claims the port now; NULL if none does. */
struct pci_function *pci_find_io(uint16_t port, unsigned *bar, uint16_t *offset);

#endif
