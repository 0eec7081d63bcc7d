/*
 * ProbeForRead and ProbeForWrite, after their wdm.h pages. What they raise is not caught here, since not every compiler
 * that builds this driver has __try: an exception that nothing handles is a bug check.
 */
#include "nttest.h"

/* In the user's half of the address space; whether anything is there, a probe for reading does not look. */
#define USER_ADDRESS 0x10000

static VOID ProbeReadOfUserRange(VOID)
{
    ULONG Offset, Probed = 0;

    for (Offset = 0; Offset < 4; Offset++) {
        ProbeForRead((PVOID)(ULONG_PTR)(USER_ADDRESS + Offset), 64, 1);
        Probed++;
    }
    ProbeForRead((PVOID)(ULONG_PTR)USER_ADDRESS, 64, 4);
    EXPECT_EQUAL(Probed, 4); /* and nothing was raised */
}

/* "If Length = 0, ... does no checking of the address." */
static VOID ProbeOfNothing(VOID)
{
    ULONG Local = 5;

    ProbeForRead(&Local, 0, 1);
    ProbeForRead((PUCHAR)&Local + 1, 0, 8);
    ProbeForWrite(&Local, 0, 1);
    ProbeForWrite((PUCHAR)&Local + 1, 0, 8);
    EXPECT_EQUAL(Local, 5);
}

static VOID ProbeAtApcLevel(VOID)
{
    ULONG Local = 5;
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    ProbeForRead((PVOID)(ULONG_PTR)USER_ADDRESS, 64, 4);
    ProbeForWrite(&Local, 0, 4);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Local, 5);
}

/* STATUS_ACCESS_VIOLATION: not in the user's half of the address space. */
static VOID ProbeReadOfKernelMemory(VOID)
{
    ULONG Local = 0;

    ProbeForRead(&Local, sizeof(Local), sizeof(Local));
}

static VOID ProbeWriteOfKernelMemory(VOID)
{
    ULONG Local = 0;

    ProbeForWrite(&Local, sizeof(Local), sizeof(Local));
}

/* STATUS_DATATYPE_MISALIGNMENT */
static VOID ProbeReadMisaligned(VOID)
{
    ProbeForRead((PVOID)(ULONG_PTR)(USER_ADDRESS + 2), 64, 4);
}

static VOID ProbeWriteMisaligned(VOID)
{
    ProbeForWrite((PVOID)(ULONG_PTR)(USER_ADDRESS + 2), 64, 4);
}

TEST_TABLE(rtl_probe){
    TEST(ProbeReadOfUserRange, 0),
    TEST(ProbeOfNothing, 0),
    TEST(ProbeAtApcLevel, 0),
    TEST_VIOLATION(ProbeReadOfKernelMemory, "exception", 0x1E),
    TEST_VIOLATION(ProbeWriteOfKernelMemory, "exception", 0x1E),
    TEST_VIOLATION(ProbeReadMisaligned, "exception", 0x1E),
    TEST_VIOLATION(ProbeWriteMisaligned, "exception", 0x1E),
    TEST_END,
};
