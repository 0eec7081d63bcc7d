/*
 * Instructions that a driver reaches by the compiler's intrinsics, after the processor's manual: the driver kit has no
 * pages of them, and no level. CR8 is the IRQL, as "Managing Hardware Priorities" has it.
 */
#include "nttest.h"

/* mingw-w64 (version 10) does not make instructions of these. */
#if defined(__MINGW32__)
#define __halt() __asm__ volatile("hlt" : : : "memory")
#define _disable() __asm__ volatile("cli" : : : "memory")
#endif

#define MSR_TSC 0x10
#define MSR_EFER 0xC0000080
#define MSR_NOBODY_HAS 0x12345
#define EFER_LONG_MODE_ACTIVE 0x400
#define XEN_LEAF 0x40000000

/* mingw-w64 has both as functions of other argument types. */
static VOID Identify(ULONG Leaf, ULONG Registers[4])
{
    int Result[4];

    __cpuid(Result, (int)Leaf);
    RtlCopyMemory(Registers, Result, sizeof(Result));
}

static VOID IdentifyPart(ULONG Leaf, ULONG Part, ULONG Registers[4])
{
    int Result[4];

    __cpuidex(Result, (int)Leaf, (int)Part);
    RtlCopyMemory(Registers, Result, sizeof(Result));
}

static VOID ProcessorIdentity(VOID)
{
    ULONG First[4], Again[4], Features[4], Index;
    CHAR Vendor[13] = "";

    Identify(0, First);
    IdentifyPart(0, 0, Again);
    EXPECT_EQUAL(RtlCompareMemory(First, Again, sizeof(First)), sizeof(First));
    EXPECT_TRUE(First[0] >= 1); /* the highest leaf */
    RtlCopyMemory(Vendor, &First[1], 4);
    RtlCopyMemory(Vendor + 4, &First[3], 4);
    RtlCopyMemory(Vendor + 8, &First[2], 4);
    for (Index = 0; Index < 12; Index++)
        CHECK(Vendor[Index] >= ' ' && Vendor[Index] <= '~');
    Identify(1, Features);
    EXPECT_TRUE((Features[3] & 0x30) == 0x30);             /* a time-stamp counter, MSRs */
    EXPECT_TRUE((Features[3] & 0x06000000) == 0x06000000); /* SSE and SSE2: every x64 processor */
    EXPECT_TRUE((Features[2] & 0x2000) != 0);              /* CMPXCHG16B: Windows needs it */
}

static VOID ProcessorTime(VOID)
{
    ULONG64 First, Second, Msr;
    ULONG Index;

    StayOn(0);
    First = __rdtsc();
    Msr = __readmsr(MSR_TSC);
    Second = __rdtsc();
    EXPECT_TRUE(First <= Msr && Msr <= Second); /* one counter, by either way */
    for (Index = 0; Index < 100; Index++) {
        First = Second;
        Second = __rdtsc();
        CHECK(First <= Second);
    }
    MoveFreely();
}

static VOID ProcessorMsr(VOID)
{
    EXPECT_TRUE((__readmsr(MSR_EFER) & EFER_LONG_MODE_ACTIVE) != 0);
}

static VOID ProcessorMsrUnknown(VOID)
{
    OBSERVE("a register that is not there", __readmsr(MSR_NOBODY_HAS));
}

/* The page that Xen's MSR names is filled with code. Elsewhere no MSR is a driver's to write. */
static VOID ProcessorMsrOfXen(VOID)
{
    PHYSICAL_ADDRESS Highest = {.QuadPart = ~0ULL};
    ULONG Leaf[4];
    PULONG Page;

    Identify(XEN_LEAF, Leaf);
    if (RtlCompareMemory(&Leaf[1], "XenVMMXenVMM", 12) != 12)
        return;
    Identify(XEN_LEAF + 2, Leaf);
    Page = MmAllocateContiguousMemory(PAGE_SIZE, Highest);
    REQUIRE(Page != NULL);
    RtlZeroMemory(Page, PAGE_SIZE);
    __writemsr(Leaf[1], (ULONG64)MmGetPhysicalAddress(Page).QuadPart);
    EXPECT_TRUE(Page[0] != 0);
    MmFreeContiguousMemory(Page);
}

static VOID ProcessorMsrUnknownWritten(VOID)
{
    __writemsr(MSR_NOBODY_HAS, 0);
}

static VOID ProcessorAtHighLevel(VOID)
{
    ULONG64 Efer, Time, Cr8;
    ULONG Leaf[4], Part[4];
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    Identify(0, Leaf);
    IdentifyPart(0, 0, Part);
    Efer = __readmsr(MSR_EFER);
    Time = __rdtsc();
    Cr8 = __readcr8();
    KeLowerIrql(Irql);
    EXPECT_TRUE(Leaf[0] >= 1 && Part[0] == Leaf[0]);
    EXPECT_TRUE((Efer & EFER_LONG_MODE_ACTIVE) != 0);
    EXPECT_TRUE(Time != 0);
    EXPECT_EQUAL(Cr8, HIGH_LEVEL);
}

static VOID ProcessorPriority(VOID)
{
    ULONG64 Cr8[2];
    KIRQL Irql, Raised;

    EXPECT_EQUAL(__readcr8(), PASSIVE_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Cr8[0] = __readcr8();
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Cr8[0], DISPATCH_LEVEL);
    __writecr8(DISPATCH_LEVEL);
    Raised = KeGetCurrentIrql();
    Cr8[1] = __readcr8();
    __writecr8(PASSIVE_LEVEL);
    EXPECT_EQUAL(Raised, DISPATCH_LEVEL);
    EXPECT_EQUAL(Cr8[1], DISPATCH_LEVEL);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

/* Its four bits are all there are: the processor faults. */
static VOID ProcessorPriorityBeyond(VOID)
{
    __writecr8(16);
}

/* Until the next interrupt, and that is served before the instruction behind it. */
static VOID ProcessorHalt(VOID)
{
    KTIMER Timer;
    ULONG64 Before, After;

    StayOn(0);
    KeInitializeTimer(&Timer);
    (VOID) KeSetTimer(&Timer, InMilliseconds(20), NULL); /* at the latest */
    Before = KeQueryInterruptTime();
    __halt();
    After = KeQueryInterruptTime();
    (VOID) KeCancelTimer(&Timer);
    MoveFreely();
    EXPECT_TRUE(After >= Before);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

/* Nothing wakes it any more. */
static VOID ProcessorHaltForGood(VOID)
{
    _disable();
    __halt();
}

TEST_TABLE(hal_processor){
    TEST(ProcessorIdentity, 0),
    TEST(ProcessorTime, 0),
    TEST(ProcessorMsr, 0),
    TEST_VIOLATION(ProcessorMsrUnknown, "general-protection", 0x1E),
    TEST(ProcessorMsrOfXen, 0),
    TEST_VIOLATION(ProcessorMsrUnknownWritten, "general-protection", 0x1E),
    TEST(ProcessorAtHighLevel, 0),
    TEST(ProcessorPriority, 0),
    TEST_VIOLATION(ProcessorPriorityBeyond, "irql-raise", 0),
    TEST(ProcessorHalt, 0),
    TEST_VIOLATION(ProcessorHaltForGood, "halt", 0),
    TEST_END,
};
