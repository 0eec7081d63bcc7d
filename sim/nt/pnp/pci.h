/* The PCI bus driver: what its two files share. */
#ifndef NT_PNP_PCI_H
#define NT_PNP_PCI_H

#include "nt/pnp/builtin.h"

#define PCI_DEVICES 32u
#define PCI_FUNCTIONS 8u
#define PCI_BARS PCI_TYPE0_ADDRESSES

/* A base address register as the function implements it. length 0: not there. */
struct pci_bar {
    bool ports;
    bool prefetchable;
    bool wide; /* 64-bit: takes the next register as well */
    uint64_t length;
    uint64_t address; /* as the firmware left it */
};

struct pci_fdo {
    bool is_fdo;
    PDEVICE_OBJECT self;
    PDEVICE_OBJECT pdo;
    PDEVICE_OBJECT lower;
    unsigned bus;
    LIST_ENTRY children; /* struct pci_pdo.entry, by device and function */
};

struct pci_pdo {
    bool is_fdo;
    PDEVICE_OBJECT self;
    struct pci_fdo *bus;
    LIST_ENTRY entry;
    unsigned device;
    unsigned function;
    bool present;             /* answered when the bus was last looked at */
    PCI_COMMON_CONFIG config; /* header, read when it was found */
    struct pci_bar bar[PCI_BARS];
    bool decoded; /* the firmware had turned its decoders on */
};

/* Configuration space of the function, any offset and length inside 256 bytes; returns the number of bytes moved. */
ULONG pci_read_config(const struct pci_pdo *pdo, void *buffer, ULONG offset, ULONG length);
ULONG pci_write_config(const struct pci_pdo *pdo, const void *buffer, ULONG offset, ULONG length);

/* Is a function there? Its header. */
bool pci_probe(unsigned bus, unsigned device, unsigned function, PCI_COMMON_CONFIG *config);
/* Find the size of each base address register; the registers are as before afterwards. */
void pci_size_bars(struct pci_pdo *pdo);

/* IRP_MJ_PNP of a child (pci_pdo.c). */
NTSTATUS pci_pdo_pnp(struct pci_pdo *pdo, PIRP irp);
/* Create the device object of a function that was found. */
NTSTATUS pci_pdo_create(struct pci_fdo *fdo, unsigned device, unsigned function, const PCI_COMMON_CONFIG *config,
                        struct pci_pdo **pdo);
void pci_pdo_delete(struct pci_pdo *pdo);

/* Resources of a child (pci_resources.c). Machine heap. */
PCM_RESOURCE_LIST pci_boot_resources(const struct pci_pdo *pdo, size_t *size);
PIO_RESOURCE_REQUIREMENTS_LIST pci_requirements(const struct pci_pdo *pdo);
/* Program the base address registers from the raw list of IRP_MN_START_DEVICE and turn the decoders on. */
NTSTATUS pci_program(struct pci_pdo *pdo, const CM_RESOURCE_LIST *raw);
void pci_disable(struct pci_pdo *pdo);

#endif
