/*
 * Time: KeQuerySystemTime, KeQueryInterruptTime, KeQueryTickCount, KeQueryTimeIncrement, KeQueryPerformanceCounter,
 * KeStallExecutionProcessor and their like. The precise ones and KeShouldYieldProcessor are looked up by name: they are
 * inline or missing in some libraries.
 */
#include "nttest.h"

#define SECOND 10000000LL

typedef ULONGLONG NTAPI INTERRUPT_TIME_PRECISE(PULONG64 QpcTimeStamp);
typedef VOID NTAPI SYSTEM_TIME_PRECISE(PLARGE_INTEGER CurrentTime);
typedef ULONGLONG NTAPI UNBIASED_TIME(VOID);
typedef LOGICAL NTAPI SHOULD_YIELD(VOID);

static PVOID Named(PCWSTR Text)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Text);
    return MmGetSystemRoutineAddress(&Name);
}

/* KeQueryInterruptTimePrecise, KeQuerySystemTimePrecise, KeQueryUnbiasedInterruptTime, KeShouldYieldProcessor */
static struct {
    INTERRUPT_TIME_PRECISE *Interrupt;
    SYSTEM_TIME_PRECISE *System;
    UNBIASED_TIME *Unbiased;
    SHOULD_YIELD *ShouldYield;
} By;

static BOOLEAN LookUp(VOID)
{
    By.Interrupt = (INTERRUPT_TIME_PRECISE *)(ULONG_PTR)Named(L"KeQueryInterruptTimePrecise");
    By.System = (SYSTEM_TIME_PRECISE *)(ULONG_PTR)Named(L"KeQuerySystemTimePrecise");
    By.Unbiased = (UNBIASED_TIME *)(ULONG_PTR)Named(L"KeQueryUnbiasedInterruptTime");
    By.ShouldYield = (SHOULD_YIELD *)(ULONG_PTR)Named(L"KeShouldYieldProcessor");
    return By.Interrupt != NULL && By.System != NULL && By.Unbiased != NULL && By.ShouldYield != NULL;
}

/* A span of 100 ns units that a sleep of 100 ms can take; others may run in between. */
static BOOLEAN IsOurSleep(LONGLONG Span)
{
    return Span >= 80 * MILLISECOND && Span < 10 * SECOND;
}

static VOID TimeOfTheSystem(VOID)
{
    LARGE_INTEGER Before, After, PreciseBefore, PreciseAfter;

    REQUIRE(LookUp());
    KeQuerySystemTime(&Before);
    By.System(&PreciseBefore);
    SleepMilliseconds(100);
    KeQuerySystemTime(&After);
    By.System(&PreciseAfter);
    EXPECT_TRUE(IsOurSleep(After.QuadPart - Before.QuadPart));
    EXPECT_TRUE(IsOurSleep(PreciseAfter.QuadPart - PreciseBefore.QuadPart));
    /* Of the same clock, the plain one of the last tick. */
    EXPECT_TRUE(PreciseAfter.QuadPart - After.QuadPart < SECOND);
    EXPECT_TRUE(After.QuadPart - PreciseAfter.QuadPart < SECOND);
    /* Since 1601: after 2000 and before 2200. */
    EXPECT_TRUE(Before.QuadPart / SECOND / 31557600 > 399 && Before.QuadPart / SECOND / 31557600 < 600);
}

static VOID TimeSinceBoot(VOID)
{
    ULONGLONG Before, After, Unbiased, UnbiasedAfter, Precise, PreciseAfter;
    ULONG64 Stamp, StampAfter;
    LARGE_INTEGER Frequency;

    REQUIRE(LookUp());
    (VOID) KeQueryPerformanceCounter(&Frequency);
    Before = KeQueryInterruptTime();
    Unbiased = By.Unbiased();
    Precise = By.Interrupt(&Stamp);
    SleepMilliseconds(100);
    After = KeQueryInterruptTime();
    UnbiasedAfter = By.Unbiased();
    PreciseAfter = By.Interrupt(&StampAfter);
    EXPECT_TRUE(IsOurSleep((LONGLONG)(After - Before)));
    EXPECT_TRUE(IsOurSleep((LONGLONG)(UnbiasedAfter - Unbiased)));
    EXPECT_TRUE(IsOurSleep((LONGLONG)(PreciseAfter - Precise)));
    EXPECT_TRUE(StampAfter > Stamp); /* the performance counter at that moment */
    EXPECT_TRUE(IsOurSleep((LONGLONG)(StampAfter - Stamp) * SECOND / Frequency.QuadPart));
    EXPECT_TRUE(UnbiasedAfter <= By.Interrupt(&Stamp)); /* without the time that the system slept */
}

static VOID TimeInTicks(VOID)
{
    LARGE_INTEGER Before, After;
    ULONG Increment = KeQueryTimeIncrement();

    KeQueryTickCount(&Before);
    SleepMilliseconds(100);
    KeQueryTickCount(&After);
    EXPECT_TRUE(Increment > 0 && Increment <= 20 * MILLISECOND);
    EXPECT_TRUE(After.QuadPart > Before.QuadPart);
    EXPECT_TRUE(IsOurSleep((After.QuadPart - Before.QuadPart) * Increment));
    EXPECT_TRUE(KeQueryTimeIncrement() == Increment);
}

static VOID TimeOfThePerformanceCounter(VOID)
{
    LARGE_INTEGER Frequency, Again, Before, After;
    LONGLONG Look;

    Before = KeQueryPerformanceCounter(&Frequency);
    EXPECT_TRUE(Frequency.QuadPart > 0);
    (VOID) KeQueryPerformanceCounter(&Again);
    EXPECT_TRUE(Again.QuadPart == Frequency.QuadPart); /* it does not change */
    for (Look = 0, After = Before; Look < 20; Look++) {
        LARGE_INTEGER Next = KeQueryPerformanceCounter(NULL);

        CHECK(Next.QuadPart >= After.QuadPart);
        After = Next;
    }
    SleepMilliseconds(100);
    After = KeQueryPerformanceCounter(NULL);
    EXPECT_TRUE(IsOurSleep((After.QuadPart - Before.QuadPart) * SECOND / Frequency.QuadPart));
}

static VOID TimeStalled(VOID)
{
    LARGE_INTEGER Frequency, Before, After;

    Before = KeQueryPerformanceCounter(&Frequency);
    KeStallExecutionProcessor(50);
    After = KeQueryPerformanceCounter(NULL);
    EXPECT_TRUE((After.QuadPart - Before.QuadPart) * 1000000 / Frequency.QuadPart >= 49);
}

/* At HIGH_LEVEL no tick comes; the counters can be read all the same. */
static VOID ClocksAtHighLevel(VOID)
{
    LARGE_INTEGER Time, Frequency, Before, After;
    ULONG64 Stamp;
    KIRQL Irql;

    REQUIRE(LookUp());
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    KeQuerySystemTime(&Time);
    CHECK(Time.QuadPart > 0);
    By.System(&Time);
    CHECK(Time.QuadPart > 0);
    KeQueryTickCount(&Time);
    CHECK(Time.QuadPart >= 0);
    CHECK(KeQueryTimeIncrement() > 0);
    CHECK(KeQueryInterruptTime() > 0);
    CHECK(By.Unbiased() <= By.Interrupt(&Stamp));
    Before = KeQueryPerformanceCounter(&Frequency);
    KeStallExecutionProcessor(20);
    After = KeQueryPerformanceCounter(NULL);
    (VOID) By.ShouldYield();
    KeLowerIrql(Irql);
    EXPECT_TRUE((After.QuadPart - Before.QuadPart) * 1000000 / Frequency.QuadPart >= 19);
}

/* ---- giving way ---- */

static struct {
    LOGICAL volatile AtOnce;
    LONG volatile Runs;
} Yield;

static VOID NTAPI AskAtOnce(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Yield.AtOnce = By.ShouldYield();
    (VOID) InterlockedIncrement(&Yield.Runs);
}

/* A DPC that has only just begun, with nothing else waiting, need not give way. */
static VOID ProcessorNeedNotYield(VOID)
{
    KDPC Dpc;

    REQUIRE(LookUp());
    RtlZeroMemory(&Yield, sizeof(Yield));
    KeInitializeDpc(&Dpc, AskAtOnce, NULL);
    (VOID) KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Yield.Runs, 1);
    OBSERVE("a new DPC should yield", Yield.AtOnce != 0); /* others may wait on a busy system */
}

/* ---- order of memory ---- */

typedef struct _MESSAGE {
    LONG volatile Text;
    LONG volatile Ready;
    LONG volatile Seen;
} MESSAGE;

static VOID NTAPI ReadMessage(PVOID Context)
{
    MESSAGE *Message = Context;

    while (ReadNoFence(&Message->Ready) == 0)
        YieldProcessor();
    KeMemoryBarrier();
    Message->Seen = Message->Text;
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* What was written before the barrier is seen by whoever sees what was written after it. */
static VOID MemoryBarrierOrders(VOID)
{
    MESSAGE Message = {0, 0, 0};
    PVOID Thread = TestStart(ReadMessage, &Message);

    Message.Text = 17;
    KeMemoryBarrier();
    WriteNoFence(&Message.Ready, 1);
    TestJoin(Thread);
    EXPECT_EQUAL(Message.Seen, 17);
}

TEST_TABLE(ke_time){
    TEST(TimeOfTheSystem, 0),
    TEST(TimeSinceBoot, 0),
    TEST(TimeInTicks, 0),
    TEST(TimeOfThePerformanceCounter, 0),
    TEST(TimeStalled, 0),
    TEST(ClocksAtHighLevel, 0),
    TEST(ProcessorNeedNotYield, 0),
    TEST(MemoryBarrierOrders, TEST_SCHEDULES | TEST_CPUS(2)),
    TEST_END,
};
