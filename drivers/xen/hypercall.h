/*
 * Hypercalls by the number of their arguments, and their results as status codes. Any IRQL.
 */
#ifndef XEN_HYPERCALL_H
#define XEN_HYPERCALL_H

#include "compat.h"
#include "gate.h"
#include "xen.h"

#include <xen/xen.h>

static inline LONG_PTR Hypercall2(_In_ ULONG Op, _In_ ULONG_PTR A1, _In_ ULONG_PTR A2)
{
    return (LONG_PTR)HypercallGate(Op, A1, A2, 0, 0, 0);
}

static inline LONG_PTR Hypercall3(_In_ ULONG Op, _In_ ULONG_PTR A1, _In_ ULONG_PTR A2, _In_ ULONG_PTR A3)
{
    return (LONG_PTR)HypercallGate(Op, A1, A2, A3, 0, 0);
}

/* The status for a hypercall's result: what is not negative is a success. */
static inline NTSTATUS HypercallStatus(_In_ LONG_PTR Result)
{
    return (Result < 0) ? XenErrnoToStatus(Result) : STATUS_SUCCESS;
}

#endif /* XEN_HYPERCALL_H */
