/*
 * What the guest's processor and board show of Xen: CPUID leaves, MSRs, hypercalls, I/O ports, PCI configuration space.
 * nt/hal turns the guest's instructions into these calls; all act on the vCPU that runs now. xen_hypercall() contains a
 * switch point, since the hypercall page leads straight to it; around the others the HAL makes one.
 */
#ifndef XEN_PLATFORM_H
#define XEN_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The time-stamp counter that Xen's time page describes counts nanoseconds of the machine's clock: rdtsc is
 * clock_now().
 */
#define XEN_TSC_KHZ 1000000u

#define XEN_HYPERCALL_MSR 0x40000000u /* without Viridian; CPUID tells */

/* Is there Xen, and is there any hypervisor, as far as the guest can tell? */
bool xen_is_there(void);
bool xen_hypervisor_is_there(void);

/* Leaves 0x40000000 and up as Xen shows them to an HVM guest; false for a leaf that the platform does not answer. */
bool xen_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* False: the access would raise #GP. */
bool xen_msr_read(uint32_t msr, uint64_t *value);
bool xen_msr_write(uint32_t msr, uint64_t value);

/*
 * The hypercall gate: operation and arguments as in rax, rdi, rsi, rdx, r10, r8; result as in rax. Guest pointers are
 * guest virtual addresses, checked before use.
 */
int64_t xen_hypercall(uint64_t operation, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5);

/*
 * Whether plain memory of the guest's lies at the frame: not given back to Xen, and none of Xen's pages over it. It
 * need not be the page that lay there at power-on: after a resume the guest goes on with copies of what others still
 * map.
 */
bool xen_frame_is_memory(uint64_t gfn);

/*
 * I/O ports, size 1, 2 or 4. What no device claims reads as all ones and swallows writes, as on a PC. An access wider
 * than a device's register is made of narrower ones.
 */
uint32_t ioport_read(uint16_t port, unsigned size);
void ioport_write(uint16_t port, unsigned size, uint32_t value);

/*
 * Devices outside sim/xen: claim ports [first, first + count). `offset` is from `first`. A handler returns false for a
 * size that it has no register of at that offset. No two claims may overlap.
 */
typedef bool (*ioport_read_t)(void *device, uint16_t offset, unsigned size, uint32_t *value);
typedef bool (*ioport_write_t)(void *device, uint16_t offset, unsigned size, uint32_t value);
void ioport_claim(uint16_t first, uint16_t count, ioport_read_t read, ioport_write_t write, void *device);

/* PCI configuration space, mechanism #1; size 1, 2 or 4, offset below 256. An absent function reads as all ones. */
uint32_t pci_config_read(unsigned bus, unsigned device, unsigned function, unsigned offset, unsigned size);
void pci_config_write(unsigned bus, unsigned device, unsigned function, unsigned offset, unsigned size, uint32_t value);

/*
 * The I/O APIC input that a device's INTx line (0: INTA) is wired to, as Xen routes it and its ACPI _PRT says: 16
 * to 47. The interrupt-line register holds the ISA IRQ of the routing without I/O APIC instead.
 */
unsigned pci_intx_gsi(unsigned device, unsigned intx);

#endif
