/*
 * CPUID as Xen answers it.
 */
#ifndef XEN_HYPERVISOR_H
#define XEN_HYPERVISOR_H

#include "driver.h"

/* The registers of a leaf. */
typedef struct _CPUID_RESULT {
    ULONG Eax;
    ULONG Ebx;
    ULONG Ecx;
    ULONG Edx;
} CPUID_RESULT, *PCPUID_RESULT;

/* Xen's leaf of that number (0 to 4) on the processor that runs this. Any IRQL. Only if Xen is present. */
VOID HypervisorQueryLeaf(_In_ ULONG Number, _Out_ PCPUID_RESULT Result);

#endif /* XEN_HYPERVISOR_H */
