/*
 * The IRQL limits of routines: each is called one level above the highest, or below the lowest, at which its page in
 * the driver documentation allows it. Driver Verifier looks at the level before the routine looks at its arguments, so
 * each argument is a pointer to zeros. The table comes from the irql cells of the matrix.
 */
#include "nttest.h"

typedef VOID(NTAPI *ANY_ROUTINE)(PVOID, PVOID, PVOID, PVOID, PVOID, PVOID);

static UCHAR DECLSPEC_ALIGN(16) Zeros[PAGE_SIZE];

VOID TestCallBeyondLimit(VOID)
{
    const TEST_LIMIT *Limit = &TestLimits[TestCurrent() - TestTable_limits];
    UNICODE_STRING Name;
    ANY_ROUTINE Routine;
    KIRQL Irql;

    RtlInitUnicodeString(&Name, Limit->Routine);
    Routine = (ANY_ROUTINE)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
    REQUIRE(Routine != NULL);
    if (Limit->Irql > PASSIVE_LEVEL)
        KeRaiseIrql(Limit->Irql, &Irql);
    Routine(Zeros, Zeros, Zeros, Zeros, Zeros, Zeros);
}
