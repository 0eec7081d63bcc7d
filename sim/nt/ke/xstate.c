/*
 * KeSaveExtendedProcessorState and its pair (wdm.h): the floating-point, SSE and AVX registers, which are the host's,
 * saved by the instructions that Windows uses. What the host's processor or system does not have is not saved, as on
 * Windows.
 */
#include <cpuid.h>

#include "nt/ex/pool.h"
#include "nt/ke/ke.h"

#define TAG_XSTATE POOL_TAG('X', 's', 't', 'a')
#define AREA_BYTES 1024u /* legacy region, header and AVX take 832; the same on every host */
#define AREA_ALIGNMENT 64u
#define SUPPORTED (XSTATE_MASK_LEGACY | XSTATE_MASK_GSSE)

static bool host_has_xsave(void)
{
    unsigned eax, ebx, ecx, edx;

    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_OSXSAVE) != 0;
}

static void save(void *area, ULONG64 mask)
{
    if (host_has_xsave())
        __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"((ULONG)mask), "d"((ULONG)(mask >> 32)) : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static void restore(void *area, ULONG64 mask)
{
    if (host_has_xsave())
        __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"((ULONG)mask), "d"((ULONG)(mask >> 32)) : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

NTSTATUS NTAPI KeSaveExtendedProcessorState(ULONG64 Mask, PXSTATE_SAVE XStateSave)
{
    void *buffer;

    NT_CALL(DISPATCH_LEVEL);
    if (FAULT(POOL))
        return STATUS_INSUFFICIENT_RESOURCES;
    buffer = pool_allocate(NonPagedPoolNx, AREA_BYTES + AREA_ALIGNMENT, TAG_XSTATE, __builtin_return_address(0));
    if (buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(buffer, AREA_BYTES + AREA_ALIGNMENT); /* XSAVE wants a clean header */
    RtlZeroMemory(XStateSave, sizeof(*XStateSave));
    XStateSave->Thread = ke_thread();
    XStateSave->Level = ke_irql();
    XStateSave->XStateContext.Mask = Mask & SUPPORTED;
    XStateSave->XStateContext.Length = AREA_BYTES;
    XStateSave->XStateContext.Buffer = buffer;
    XStateSave->XStateContext.Area =
        (PXSAVE_AREA)(((uintptr_t)buffer + AREA_ALIGNMENT - 1) & ~(uintptr_t)(AREA_ALIGNMENT - 1));
    save(XStateSave->XStateContext.Area, XStateSave->XStateContext.Mask);
    return STATUS_SUCCESS;
}

VOID NTAPI KeRestoreExtendedProcessorState(PXSTATE_SAVE XStateSave)
{
    PXSTATE_CONTEXT context = &XStateSave->XStateContext;

    NT_CALL(DISPATCH_LEVEL);
    if (context->Buffer == NULL || XStateSave->Thread != ke_thread() || XStateSave->Level != ke_irql())
        nt_violation("xstate-restore",
                     "KeRestoreExtendedProcessorState(%p): %s KeSaveExtendedProcessorState was called in the same "
                     "thread and at the same IRQL",
                     (void *)XStateSave,
                     context->Buffer == NULL ? "nothing is saved there: it comes once after"
                                             : "it may be called only where");
    restore(context->Area, context->Mask);
    ExFreePoolWithTag(context->Buffer, TAG_XSTATE);
    context->Buffer = NULL;
    context->Area = NULL;
}
