/*
 * Timers: "Timer Objects", KeInitializeTimer(Ex), KeSetTimer, KeSetTimerEx, KeSetCoalescableTimer, KeCancelTimer,
 * KeReadStateTimer.
 */
#include "nttest.h"

#define TIMERS 5

/* What a timer may be late by: a clock tick is 15.6 ms at most, and somebody must run. */
#define LATE 500

static NTSTATUS TryWait(PVOID Object)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};

    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &Zero);
}

static NTSTATUS WaitFor(PVOID Object)
{
    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, NULL);
}

static BOOLEAN HasPassed(ULONGLONG Start, LONGLONG Milliseconds)
{
    return (LONGLONG)(KeQueryInterruptTime() - Start) >= Milliseconds * MILLISECOND;
}

/* ---- timer objects ---- */

static VOID TimerRelative(VOID)
{
    ULONGLONG Start;
    KTIMER Timer;

    KeInitializeTimer(&Timer);
    EXPECT_FALSE(KeReadStateTimer(&Timer));
    Start = KeQueryInterruptTime();
    EXPECT_FALSE(KeSetTimer(&Timer, InMilliseconds(100), NULL)); /* it was not set */
    EXPECT_FALSE(KeReadStateTimer(&Timer));
    EXPECT_STATUS(TryWait(&Timer), STATUS_TIMEOUT);
    EXPECT_STATUS(WaitFor(&Timer), STATUS_SUCCESS);
    EXPECT_TRUE(HasPassed(Start, 100));
    EXPECT_FALSE(HasPassed(Start, 100 + LATE));
    EXPECT_TRUE(KeReadStateTimer(&Timer));
    EXPECT_FALSE(KeCancelTimer(&Timer)); /* expired: no longer in the queue */
    EXPECT_TRUE(KeReadStateTimer(&Timer));
}

static VOID TimerAbsolute(VOID)
{
    LARGE_INTEGER Due;
    LARGE_INTEGER Now;
    KTIMER Timer;

    KeInitializeTimer(&Timer);
    KeQuerySystemTime(&Due);
    Due.QuadPart += 100 * MILLISECOND;
    EXPECT_FALSE(KeSetTimer(&Timer, Due, NULL));
    EXPECT_STATUS(WaitFor(&Timer), STATUS_SUCCESS);
    KeQuerySystemTime(&Now);
    EXPECT_TRUE(Now.QuadPart >= Due.QuadPart);
    EXPECT_FALSE(KeSetTimer(&Timer, Due, NULL)); /* in the past: at once */
    EXPECT_STATUS(WaitFor(&Timer), STATUS_SUCCESS);
}

/* Setting a timer takes its signal away. */
static VOID TimerSetClearsTheSignal(VOID)
{
    KTIMER Timer;

    KeInitializeTimer(&Timer);
    (VOID) KeSetTimer(&Timer, InMilliseconds(1), NULL);
    EXPECT_STATUS(WaitFor(&Timer), STATUS_SUCCESS);
    EXPECT_TRUE(KeReadStateTimer(&Timer));
    EXPECT_FALSE(KeSetTimer(&Timer, InMilliseconds(10000), NULL));
    EXPECT_FALSE(KeReadStateTimer(&Timer));
    EXPECT_TRUE(KeCancelTimer(&Timer));
}

/* A notification timer stays signalled until it is set again; of a synchronization timer one wait takes the signal. */
static VOID TimerKinds(VOID)
{
    KTIMER Notification;
    KTIMER Synchronization;

    KeInitializeTimerEx(&Notification, NotificationTimer);
    KeInitializeTimerEx(&Synchronization, SynchronizationTimer);
    (VOID) KeSetTimer(&Notification, InMilliseconds(2), NULL);
    (VOID) KeSetTimer(&Synchronization, InMilliseconds(2), NULL);
    SleepMilliseconds(100);
    EXPECT_TRUE(KeReadStateTimer(&Notification));
    EXPECT_TRUE(KeReadStateTimer(&Synchronization));
    EXPECT_STATUS(TryWait(&Notification), STATUS_SUCCESS);
    EXPECT_STATUS(TryWait(&Notification), STATUS_SUCCESS);
    EXPECT_STATUS(TryWait(&Synchronization), STATUS_SUCCESS);
    EXPECT_STATUS(TryWait(&Synchronization), STATUS_TIMEOUT);
}

static VOID TimerCancelled(VOID)
{
    KTIMER Timer;

    KeInitializeTimer(&Timer);
    EXPECT_FALSE(KeCancelTimer(&Timer)); /* never set */
    EXPECT_FALSE(KeSetTimer(&Timer, InMilliseconds(50), NULL));
    EXPECT_TRUE(KeCancelTimer(&Timer));
    EXPECT_FALSE(KeCancelTimer(&Timer));
    SleepMilliseconds(150);
    EXPECT_FALSE(KeReadStateTimer(&Timer)); /* a cancelled timer is not signalled */
}

static VOID TimerSetAgainReplaces(VOID)
{
    ULONGLONG Start = KeQueryInterruptTime();
    KTIMER Timer;

    KeInitializeTimer(&Timer);
    EXPECT_FALSE(KeSetTimer(&Timer, InMilliseconds(20000), NULL));
    EXPECT_TRUE(KeSetTimer(&Timer, InMilliseconds(100), NULL)); /* TRUE: it was set */
    EXPECT_STATUS(WaitFor(&Timer), STATUS_SUCCESS);
    EXPECT_TRUE(HasPassed(Start, 100));
    EXPECT_FALSE(HasPassed(Start, 100 + LATE));
}

static VOID TimerAtDispatchLevel(VOID)
{
    KTIMER Timer;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    KeInitializeTimerEx(&Timer, NotificationTimer);
    EXPECT_FALSE(KeSetTimerEx(&Timer, InMilliseconds(10000), 0, NULL));
    EXPECT_TRUE(KeSetTimer(&Timer, InMilliseconds(10000), NULL));
    EXPECT_FALSE(KeReadStateTimer(&Timer));
    EXPECT_TRUE(KeCancelTimer(&Timer));
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Irql);
}

/* The first time after DueTime, then every Period milliseconds; lateness does not add up. */
static VOID TimerPeriodic(VOID)
{
    ULONGLONG Start = KeQueryInterruptTime();
    LONGLONG Turn;
    KTIMER Timer;

    KeInitializeTimerEx(&Timer, SynchronizationTimer);
    EXPECT_FALSE(KeSetTimerEx(&Timer, InMilliseconds(100), 50, NULL));
    for (Turn = 0; Turn < 10; Turn++) {
        CHECK(WaitFor(&Timer) == STATUS_SUCCESS);
        CHECK(HasPassed(Start, 100 + 50 * Turn));
        CHECK(!HasPassed(Start, 100 + 50 * Turn + LATE));
    }
    EXPECT_TRUE(KeCancelTimer(&Timer)); /* a periodic timer stays in the queue until it is cancelled */
    EXPECT_FALSE(KeCancelTimer(&Timer));
    (VOID) TryWait(&Timer);
    SleepMilliseconds(150);
    EXPECT_STATUS(TryWait(&Timer), STATUS_TIMEOUT);
}

/* The tolerable delay lets it expire later, within limits, never earlier. */
static VOID TimerCoalescable(VOID)
{
    ULONGLONG Start = KeQueryInterruptTime();
    KTIMER Timer;

    KeInitializeTimerEx(&Timer, SynchronizationTimer);
    EXPECT_FALSE(KeSetCoalescableTimer(&Timer, InMilliseconds(100), 0, 50, NULL));
    EXPECT_STATUS(WaitFor(&Timer), STATUS_SUCCESS);
    EXPECT_TRUE(HasPassed(Start, 100));
    EXPECT_FALSE(HasPassed(Start, 150 + LATE));
    EXPECT_FALSE(KeSetCoalescableTimer(&Timer, InMilliseconds(10000), 100, 50, NULL));
    EXPECT_TRUE(KeCancelTimer(&Timer));
}

static VOID TimerCoalescableAtDispatchLevel(VOID)
{
    KTIMER Timer;
    KIRQL Irql;

    KeInitializeTimer(&Timer);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_FALSE(KeSetCoalescableTimer(&Timer, InMilliseconds(10000), 0, 50, NULL));
    EXPECT_TRUE(KeSetCoalescableTimer(&Timer, InMilliseconds(20000), 0, 50, NULL)); /* it was set */
    KeLowerIrql(Irql);
    EXPECT_TRUE(KeCancelTimer(&Timer));
}

/* ---- the timer's DPC ---- */

typedef struct _TICK {
    KTIMER Timer;
    KDPC Dpc;
    KEVENT Event;
    LONG volatile Count;
    LONG StopAt; /* cancels itself then; 0: never */
    ULONG Processor;
    KIRQL Irql;
    BOOLEAN SameDpc;
    PVOID Argument1;
    PVOID Argument2;
} TICK;

static VOID NTAPI OnTick(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    TICK *Tick = Context;

    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Tick->SameDpc = Dpc == &Tick->Dpc;
    Tick->Processor = KeGetCurrentProcessorNumberEx(NULL);
    Tick->Irql = KeGetCurrentIrql();
    Tick->Count++;
    if (Tick->StopAt != 0 && Tick->Count == Tick->StopAt)
        CHECK(KeCancelTimer(&Tick->Timer));
    (VOID) KeSetEvent(&Tick->Event, IO_NO_INCREMENT, FALSE);
}

static VOID InitializeTick(TICK *Tick)
{
    RtlZeroMemory(Tick, sizeof(*Tick));
    KeInitializeTimer(&Tick->Timer);
    KeInitializeDpc(&Tick->Dpc, OnTick, Tick);
    KeInitializeEvent(&Tick->Event, SynchronizationEvent, FALSE);
}

static VOID TimerDpcOnItsTarget(VOID)
{
    CCHAR Processor;
    TICK Tick;

    for (Processor = 0; Processor < 4; Processor++) {
        InitializeTick(&Tick);
        KeSetTargetProcessorDpc(&Tick.Dpc, Processor);
        (VOID) KeSetTimer(&Tick.Timer, InMilliseconds(5), &Tick.Dpc);
        EXPECT_STATUS(WaitFor(&Tick.Event), STATUS_SUCCESS);
        KeFlushQueuedDpcs();
        EXPECT_EQUAL(Tick.Count, 1);
        EXPECT_EQUAL(Tick.Irql, DISPATCH_LEVEL);
        EXPECT_EQUAL(Tick.Processor, Processor);
        EXPECT_TRUE(Tick.SameDpc);
        EXPECT_TRUE(KeReadStateTimer(&Tick.Timer));
    }
}

/* Cancelled in time, the timer queues no DPC. */
static VOID TimerCancelledBeforeItsDpc(VOID)
{
    TICK Tick;

    InitializeTick(&Tick);
    (VOID) KeSetTimer(&Tick.Timer, InMilliseconds(1000), &Tick.Dpc);
    EXPECT_TRUE(KeCancelTimer(&Tick.Timer));
    SleepMilliseconds(1500);
    EXPECT_EQUAL(Tick.Count, 0);
}

/* After KeCancelTimer and KeFlushQueuedDpcs the DPC of a periodic timer runs no more. */
static VOID TimerPeriodicDpcStops(VOID)
{
    TICK Tick;
    LONG Count;

    InitializeTick(&Tick);
    (VOID) KeSetTimerEx(&Tick.Timer, InMilliseconds(5), 5, &Tick.Dpc);
    SleepMilliseconds(100);
    EXPECT_TRUE(KeCancelTimer(&Tick.Timer));
    KeFlushQueuedDpcs();
    Count = Tick.Count;
    EXPECT_TRUE(Count >= 1);
    SleepMilliseconds(100);
    EXPECT_TRUE(Tick.Count == Count);
}

static VOID TimerCancelledByItsDpc(VOID)
{
    TICK Tick;

    InitializeTick(&Tick);
    Tick.StopAt = 3;
    (VOID) KeSetTimerEx(&Tick.Timer, InMilliseconds(20), 20, &Tick.Dpc);
    SleepMilliseconds(500);
    EXPECT_EQUAL(Tick.Count, 3);
    EXPECT_FALSE(KeCancelTimer(&Tick.Timer));
    KeFlushQueuedDpcs();
}

/* Timers expire in the order of their due times, whatever the order in which they were set. */
typedef struct _RACE {
    KTIMER Timer[TIMERS];
    KDPC Dpc[TIMERS];
    LONG volatile Next;
    LONG volatile Order[TIMERS];
} RACE;

static RACE Race;

static VOID NTAPI NoteOrder(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Race.Order[Race.Next++ % TIMERS] = (LONG)(LONG_PTR)Context;
}

static VOID TimersExpireInOrder(VOID)
{
    static const LONG Due[TIMERS] = {240, 80, 400, 160, 320};
    LONG Index;

    Race.Next = 0;
    for (Index = 0; Index < TIMERS; Index++) {
        KeInitializeTimer(&Race.Timer[Index]);
        KeInitializeDpc(&Race.Dpc[Index], NoteOrder, (PVOID)(LONG_PTR)Due[Index]);
        KeSetTargetProcessorDpc(&Race.Dpc[Index], 0);
        (VOID) KeSetTimer(&Race.Timer[Index], InMilliseconds(Due[Index]), &Race.Dpc[Index]);
    }
    SleepMilliseconds(600);
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Race.Next, TIMERS);
    for (Index = 0; Index < TIMERS; Index++)
        EXPECT_EQUAL(Race.Order[Index], 80 * (Index + 1));
}

/* ---- broken rules ---- */

static KTIMER Broken;

static VOID TimerNegativePeriod(VOID)
{
    KeInitializeTimer(&Broken);
    (VOID) KeSetTimerEx(&Broken, InMilliseconds(1), -1, NULL);
}

static VOID TimerSetWithoutInitialization(VOID)
{
    RtlFillMemory(&Broken, sizeof(Broken), 0xA5);
    (VOID) KeSetTimer(&Broken, InMilliseconds(1), NULL);
}

static VOID TimerCancelledWithoutInitialization(VOID)
{
    RtlZeroMemory(&Broken, sizeof(Broken));
    (VOID) KeCancelTimer(&Broken);
}

static VOID TimerInitializedWhileSet(VOID)
{
    KeInitializeTimer(&Broken);
    (VOID) KeSetTimer(&Broken, InMilliseconds(1000), NULL);
    KeInitializeTimerEx(&Broken, SynchronizationTimer);
}

static VOID TimerFreedWhileSet(VOID)
{
    PKTIMER Timer = TestAllocate(sizeof(*Timer));

    REQUIRE(Timer != NULL);
    KeInitializeTimer(Timer);
    (VOID) KeSetTimer(Timer, InMilliseconds(1000), NULL);
    TestFree(Timer);
}

TEST_TABLE(ke_timer){
    TEST(TimerRelative, TEST_SCHEDULES),
    TEST(TimerAbsolute, TEST_SCHEDULES),
    TEST(TimerSetClearsTheSignal, 0),
    TEST(TimerKinds, TEST_SCHEDULES),
    TEST(TimerCancelled, TEST_SCHEDULES),
    TEST(TimerSetAgainReplaces, TEST_SCHEDULES),
    TEST(TimerAtDispatchLevel, 0),
    TEST(TimerPeriodic, TEST_SCHEDULES),
    TEST(TimerCoalescableAtDispatchLevel, 0),
    TEST(TimerCoalescable, 0),
    TEST(TimerDpcOnItsTarget, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(TimerCancelledBeforeItsDpc, 0),
    TEST(TimerPeriodicDpcStops, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(TimerCancelledByItsDpc, TEST_SCHEDULES),
    TEST(TimersExpireInOrder, TEST_SCHEDULES),
    TEST_VIOLATION(TimerNegativePeriod, "timer-period", 0),
    TEST_VIOLATION(TimerSetWithoutInitialization, "timer-not-initialised", 0),
    TEST_VIOLATION(TimerCancelledWithoutInitialization, "timer-not-initialised", 0),
    TEST_VIOLATION(TimerInitializedWhileSet, "timer-in-use", 0),
    TEST_VIOLATION(TimerFreedWhileSet, "freed-in-use", 0xC7),
    TEST_END,
};
