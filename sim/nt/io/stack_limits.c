/* The caller's stack: IoGetStackLimits, IoGetRemainingStackSize, IoGetInitialStack (wdm.h, ntddk.h). */
#include "nt/io/io_internal.h"

VOID NTAPI IoGetStackLimits(PULONG_PTR LowLimit, PULONG_PTR HighLimit)
{
    const struct fiber *fiber;

    NT_CALL_ANY();
    fiber = runner_current()->fiber;
    *LowLimit = (ULONG_PTR)fiber->stack_base;
    *HighLimit = (ULONG_PTR)fiber->stack_base + fiber->stack_size;
}

ULONG_PTR NTAPI IoGetRemainingStackSize(VOID)
{
    NT_CALL_ANY();
    return (ULONG_PTR)__builtin_frame_address(0) - (ULONG_PTR)runner_current()->fiber->stack_base;
}

PVOID NTAPI IoGetInitialStack(VOID)
{
    NT_CALL_ANY();
    return runner_current()->fiber->stack_base + runner_current()->fiber->stack_size;
}
