/*
 * The hypercall gate of driver modules on Linux, linked into xen.so by the build in place of the vmcall thunk that the
 * Windows build links: the simulated processor's hypercall instruction is a routine of its kernel.
 */
#include <ntddk.h>

ULONG_PTR NTAPI HypercallGate(ULONG Op, ULONG_PTR A1, ULONG_PTR A2, ULONG_PTR A3, ULONG_PTR A4, ULONG_PTR A5);

ULONG_PTR NTAPI HypercallGate(ULONG Op, ULONG_PTR A1, ULONG_PTR A2, ULONG_PTR A3, ULONG_PTR A4, ULONG_PTR A5)
{
    return KxHypercall(Op, A1, A2, A3, A4, A5);
}
