/* Checks and fences that Windows has as macros or compiler intrinsics. */
#include "nt/ke/ke.h"

VOID NTAPI KxPagedCode(PCSTR Routine)
{
    if (ke_irql() > APC_LEVEL) {
        const uint64_t parameter[4] = {0, ke_irql(), 0, 0};

        nt_violation_code(IRQL_NOT_LESS_OR_EQUAL, parameter, "paged-code", "%s is paged code and runs at IRQL %u",
                          Routine, ke_irql());
    }
}

VOID NTAPI KxListCorrupt(const LIST_ENTRY *Entry, PCSTR Operation)
{
    const uint64_t parameter[4] = {3, (uint64_t)(uintptr_t)Entry, 0, 0};

    nt_violation_code(KERNEL_SECURITY_CHECK_FAILURE, parameter, "list-corrupt", "%s: the list around %p is corrupt",
                      Operation, (const void *)Entry);
}

VOID NTAPI KxFastFail(ULONG Code)
{
    const uint64_t parameter[4] = {Code, 0, 0, 0};

    nt_violation_code(KERNEL_SECURITY_CHECK_FAILURE, parameter, "fast-fail", "__fastfail(%u)", Code);
}

VOID NTAPI KxMemoryBarrier(VOID)
{
    ke_light_point(POINT_INTERLOCKED);
    __asm__ volatile("lock; orl $0, (%%rsp)" : : : "memory", "cc"); /* a fence that every sanitizer lets pass */
}
