/*
 * Which vCPU a Windows processor is. Only the processor itself can tell, by CPUID.
 */
#include "hypervisor.h"
#include "log.h"
#include "pool.h"

#include <xen/arch-x86/cpuid.h>

#define VCPU_ID_UNKNOWN MAXULONG

/* The vCPU ID of the processor that runs this. */
static ULONG CurrentVcpuId(VOID)
{
    CPUID_RESULT Result;
    int Registers[4];

    HypervisorQueryLeaf(0, &Result);
    if (Result.Eax >= XenGetContext()->Hypervisor.BaseLeaf + 4) {
        HypervisorQueryLeaf(4, &Result);
        if ((Result.Eax & XEN_HVM_CPUID_VCPU_ID_PRESENT) != 0)
            return Result.Ebx;
    }

    /* A Xen that does not tell gives each vCPU twice its ID as the initial APIC ID (xen/hvm/hvm_info_table.h). */
    __cpuid(Registers, 1);

    return ((ULONG)Registers[1] >> 24) / 2;
}

/* Runs on the processor and remembers its vCPU ID. */
PAGED_FUNCTION static NTSTATUS LearnProcessor(_Inout_ PXEN_PROCESSORS Processors, _In_ ULONG Index)
{
    PROCESSOR_NUMBER Number;
    GROUP_AFFINITY Affinity;
    GROUP_AFFINITY Previous;
    ULONG VcpuId;
    NTSTATUS Status;

    Status = KeGetProcessorNumberFromIndex(Index, &Number);
    if (!NT_SUCCESS(Status))
        return Status;

    RtlZeroMemory(&Affinity, sizeof(Affinity));
    Affinity.Group = Number.Group;
    Affinity.Mask = (KAFFINITY)1 << Number.Number;

    KeSetSystemGroupAffinityThread(&Affinity, &Previous);
    VcpuId = CurrentVcpuId();
    KeRevertToUserGroupAffinityThread(&Previous);

    WriteULongRelease(&Processors->VcpuId[Index], VcpuId);
    Trace("processor %u:%u is vCPU %u", Number.Group, Number.Number, VcpuId);

    return STATUS_SUCCESS;
}

/* A processor has been added; what says so runs on another one. */
_Function_class_(PROCESSOR_CALLBACK_FUNCTION)
PAGED_FUNCTION static VOID NTAPI ProcessorsChanged(_In_ PVOID Argument, _In_ PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT Change,
                                                   _Inout_ PNTSTATUS OperationStatus)
{
    PXEN_PROCESSORS Processors = Argument;
    NTSTATUS Status;

    PAGED_CODE();

    UNREFERENCED_PARAMETER(OperationStatus);

    if (Change->State != KeProcessorAddCompleteNotify || Change->NtNumber >= Processors->Count)
        return;

    Status = LearnProcessor(Processors, Change->NtNumber);
    if (!NT_SUCCESS(Status))
        Error("processor %u has come and is not known (%08x)", Change->NtNumber, Status);
}

PAGED_FUNCTION NTSTATUS ProcessorsInitialize(_Out_ PXEN_PROCESSORS Processors)
{
    ULONG Active;
    ULONG Index;
    NTSTATUS Status;

    PAGED_CODE();

    Processors->Count = KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS);
    Processors->VcpuId = PoolAllocateArray(Processors->Count, sizeof(ULONG), XEN_TAG);

    Status = STATUS_INSUFFICIENT_RESOURCES;
    if (Processors->VcpuId == NULL)
        goto fail1;

    for (Index = 0; Index < Processors->Count; Index++)
        Processors->VcpuId[Index] = VCPU_ID_UNKNOWN;

    /* Before those that are there are counted, so that none is missed. */
    Processors->Callback = KeRegisterProcessorChangeCallback(ProcessorsChanged, Processors, 0);
    if (Processors->Callback == NULL)
        goto fail2;

    Active = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    for (Index = 0; Index < min(Active, Processors->Count); Index++) {
        Status = LearnProcessor(Processors, Index);
        if (!NT_SUCCESS(Status))
            goto fail2;
    }

    return STATUS_SUCCESS;

fail2:
    Error("fail2 (%u of %u processors)", Index, Processors->Count);
    ProcessorsTeardown(Processors);

fail1:
    Error("fail1 (%08x)", Status);

    return Status;
}

PAGED_FUNCTION VOID ProcessorsTeardown(_Inout_ PXEN_PROCESSORS Processors)
{
    PAGED_CODE();

    if (Processors->Callback != NULL)
        KeDeregisterProcessorChangeCallback(Processors->Callback);
    Processors->Callback = NULL;

    PoolFree((PVOID)(ULONG_PTR)Processors->VcpuId, XEN_TAG);
    Processors->VcpuId = NULL;
    Processors->Count = 0;
}

NTSTATUS NTAPI XenQueryVcpuId(_In_ ULONG ProcessorIndex, _Out_ PULONG VcpuId)
{
    PXEN_PROCESSORS Processors = &XenGetContext()->Processors;
    ULONG Known;

    if (ProcessorIndex >= Processors->Count)
        return STATUS_INVALID_PARAMETER;

    Known = ReadULongAcquire(&Processors->VcpuId[ProcessorIndex]);
    if (Known == VCPU_ID_UNKNOWN) {
        KIRQL Irql;

        /* Raised, so that this stays the processor that was asked about. */
        KeRaiseIrql(max(KeGetCurrentIrql(), DISPATCH_LEVEL), &Irql);
        if (KeGetCurrentProcessorNumberEx(NULL) == ProcessorIndex) {
            Known = CurrentVcpuId();
            WriteULongRelease(&Processors->VcpuId[ProcessorIndex], Known);
        }
        KeLowerIrql(Irql);
    }

    if (Known == VCPU_ID_UNKNOWN)
        return STATUS_INVALID_PARAMETER;

    *VcpuId = Known;

    return STATUS_SUCCESS;
}
