/*
 * The gate to the hypervisor, the one place where a driver leaves the processor's ordinary instructions. Which object
 * provides it is the build's choice: drivers/windows/amd64/hypercall.S for a .sys.
 */
#ifndef XEN_GATE_H
#define XEN_GATE_H

#include <ntddk.h>

/*
 * Performs hypercall Op with up to five arguments, those not used being ignored, and returns Xen's result: negative
 * errnos of Xen's are errors. Any IRQL. Memory that an argument points to must be resident.
 */
ULONG_PTR NTAPI HypercallGate(_In_ ULONG Op, _In_ ULONG_PTR A1, _In_ ULONG_PTR A2, _In_ ULONG_PTR A3, _In_ ULONG_PTR A4,
                              _In_ ULONG_PTR A5);

#endif /* XEN_GATE_H */
