/* The Viridian interface (viridian.c), of domains that have it: leaves and registers below Xen's own. */
#ifndef XEN_VIRIDIAN_H
#define XEN_VIRIDIAN_H

#include <stdbool.h>
#include <stdint.h>

/* Xen's leaves and its hypercall-page register give way: from 0x40000000 to these. */
#define VIRIDIAN_XEN_FIRST_LEAF UINT32_C(0x40000100)
#define VIRIDIAN_XEN_MSR UINT32_C(0x40000200)

void viridian_cpuid(uint32_t leaf, uint32_t out[4]); /* `out` is zero before; 0x40000000 to 0x400000FF */
bool viridian_msr_read(uint32_t msr, uint64_t *value);
bool viridian_msr_write(uint32_t msr, uint64_t value);

#endif
