/*
 * Small routines of the executive: ExGetPreviousMode, ExIsProcessorFeaturePresent, ExSystemTimeToLocalTime,
 * ExLocalTimeToSystemTime, ExUuidCreate, ExInitializeDriverRuntime, ExRaiseStatus and its kin.
 */
#include "nttest.h"

/* From winnt.h. */
#define FEATURE_COMPARE_EXCHANGE_DOUBLE 2
#define FEATURE_RDTSC 8
#define FEATURE_PAE 9
#define FEATURE_SSE2 10
#define FEATURE_NX 12
#define FEATURE_COMPARE_EXCHANGE128 14
#define FEATURE_UNKNOWN 4711

#if defined(__MINGW32__)
#define DrvRtPoolNxOptIn 1
#define ExInitializeDriverRuntime(_Flags) ((VOID)(_Flags)) /* inline there: sets a variable of the driver's own */
#endif

/* System threads and what they call have come from no user mode. */
static VOID ExPreviousMode(VOID)
{
    KIRQL Irql;

    EXPECT_EQUAL(ExGetPreviousMode(), KernelMode);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_EQUAL(ExGetPreviousMode(), KernelMode);
    KeLowerIrql(Irql);
}

/* What every x64 processor of Windows has; a number that means nothing is a feature that is not there. */
static VOID ExProcessorFeatures(VOID)
{
    BOOLEAN High;
    KIRQL Irql;

    EXPECT_TRUE(ExIsProcessorFeaturePresent(FEATURE_COMPARE_EXCHANGE_DOUBLE));
    EXPECT_TRUE(ExIsProcessorFeaturePresent(FEATURE_RDTSC));
    EXPECT_TRUE(ExIsProcessorFeaturePresent(FEATURE_PAE));
    EXPECT_TRUE(ExIsProcessorFeaturePresent(FEATURE_SSE2));
    EXPECT_TRUE(ExIsProcessorFeaturePresent(FEATURE_NX));
    EXPECT_TRUE(ExIsProcessorFeaturePresent(FEATURE_COMPARE_EXCHANGE128));
    EXPECT_FALSE(ExIsProcessorFeaturePresent(FEATURE_UNKNOWN));
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    High = ExIsProcessorFeaturePresent(FEATURE_SSE2);
    KeLowerIrql(Irql);
    EXPECT_TRUE(High);
}

/* There and back is where it began, and the difference is that of a time zone: at most a day, in quarters of an hour.
 */
static VOID ExLocalTime(VOID)
{
    LARGE_INTEGER System;
    LARGE_INTEGER Local;
    LARGE_INTEGER Back;
    LARGE_INTEGER High;
    LONGLONG Bias;
    KIRQL Irql;

    KeQuerySystemTime(&System);
    ExSystemTimeToLocalTime(&System, &Local);
    ExLocalTimeToSystemTime(&Local, &Back);
    EXPECT_TRUE(Back.QuadPart == System.QuadPart);
    Bias = System.QuadPart - Local.QuadPart;
    EXPECT_TRUE(Bias > -24 * 3600 * 1000 * MILLISECOND && Bias < 24 * 3600 * 1000 * MILLISECOND);
    EXPECT_EQUAL(Bias % (15 * 60 * 1000 * MILLISECOND), 0);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    ExSystemTimeToLocalTime(&System, &High);
    ExLocalTimeToSystemTime(&High, &Back);
    KeLowerIrql(Irql);
    EXPECT_TRUE(High.QuadPart == Local.QuadPart);
    EXPECT_TRUE(Back.QuadPart == System.QuadPart);
}

/* Each is new, and a UUID of the usual variant. */
static VOID ExUuids(VOID)
{
    GUID Uuid[20];
    ULONG Index;
    ULONG Other;

    for (Index = 0; Index < RTL_NUMBER_OF(Uuid); Index++) {
        CHECK(NT_SUCCESS(ExUuidCreate(&Uuid[Index])));
        CHECK((Uuid[Index].Data4[0] & 0xC0) == 0x80);
        for (Other = 0; Other < Index; Other++)
            CHECK(RtlCompareMemory(&Uuid[Index], &Uuid[Other], sizeof(GUID)) != sizeof(GUID));
    }
    EXPECT_TRUE(NT_SUCCESS(ExUuidCreate(&Uuid[0])));
}

/* With the opt-in, what a driver allocates as NonPagedPool cannot be executed. That is nothing it could see; memory it
 * is. */
static VOID ExDriverRuntime(VOID)
{
    PVOID Block;

    ExInitializeDriverRuntime(DrvRtPoolNxOptIn);
    Block = ExAllocatePoolWithTag(NonPagedPool, 64, TEST_TAG);
    EXPECT_TRUE(Block != NULL);
    if (Block != NULL)
        ExFreePoolWithTag(Block, TEST_TAG);
}

/* ---- raised and not caught: bug check 0x1E ---- */

static VOID ExRaisesStatus(VOID)
{
    ExRaiseStatus(STATUS_DEVICE_BUSY);
}

static VOID ExRaisesStatusAtApcLevel(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    ExRaiseStatus(STATUS_DEVICE_BUSY);
}

static VOID ExRaisesAccessViolation(VOID)
{
    ExRaiseAccessViolation();
}

static VOID ExRaisesDatatypeMisalignment(VOID)
{
    ExRaiseDatatypeMisalignment();
}

TEST_TABLE(ex_runtime){
    TEST(ExPreviousMode, 0),
    TEST(ExProcessorFeatures, 0),
    TEST(ExLocalTime, 0),
    TEST(ExUuids, 0),
    TEST(ExDriverRuntime, 0),
    TEST_VIOLATION(ExRaisesStatus, "exception", 0x1E),
    TEST_VIOLATION(ExRaisesStatusAtApcLevel, "exception", 0x1E),
    TEST_VIOLATION(ExRaisesAccessViolation, "exception", 0x1E),
    TEST_VIOLATION(ExRaisesDatatypeMisalignment, "exception", 0x1E),
    TEST_END,
};
