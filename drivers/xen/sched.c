/*
 * Scheduling and vCPU hypercalls (xen/sched.h, xen/vcpu.h).
 */
#include "hypercall.h"

#include <xen/sched.h>
#include <xen/vcpu.h>

VOID NTAPI XenSchedYield(VOID)
{
    (VOID) Hypercall2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
}

NTSTATUS NTAPI XenSchedShutdown(_In_ ULONG Reason, _Out_ PBOOLEAN Cancelled)
{
    sched_shutdown_t Operation;
    LONG_PTR Result;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.reason = Reason;

    Result = Hypercall2(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (ULONG_PTR)&Operation);
    if (Result < 0)
        return XenErrnoToStatus(Result);

    *Cancelled = (Result != 0);

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenSchedWatchdog(_Inout_ PULONG Id, _In_ ULONG Seconds)
{
    sched_watchdog_t Operation;
    LONG_PTR Result;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.id = *Id;
    Operation.timeout = Seconds;

    Result = Hypercall2(__HYPERVISOR_sched_op, SCHEDOP_watchdog, (ULONG_PTR)&Operation);
    if (Result < 0)
        return XenErrnoToStatus(Result);

    if (*Id == 0)
        *Id = (ULONG)Result;

    return STATUS_SUCCESS;
}

NTSTATUS NTAPI XenVcpuRegisterInfo(_In_ ULONG VcpuId, _In_ PFN_NUMBER Frame, _In_ ULONG Offset)
{
    vcpu_register_vcpu_info_t Operation;

    RtlZeroMemory(&Operation, sizeof(Operation));
    Operation.mfn = Frame;
    Operation.offset = Offset;

    return HypercallStatus(Hypercall3(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, VcpuId, (ULONG_PTR)&Operation));
}
