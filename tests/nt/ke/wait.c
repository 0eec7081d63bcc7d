/* Waits: KeWaitForSingleObject, KeWaitForMultipleObjects, KeDelayExecutionThread. */
#include "nttest.h"

#define MANY MAXIMUM_WAIT_OBJECTS

static NTSTATUS WaitMany(ULONG Count, PVOID *Objects, WAIT_TYPE Type, PLARGE_INTEGER Timeout, PKWAIT_BLOCK Blocks)
{
    return KeWaitForMultipleObjects(Count, Objects, Type, Executive, KernelMode, FALSE, Timeout, Blocks);
}

static NTSTATUS WaitOne(PVOID Object, PLARGE_INTEGER Timeout)
{
    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, Timeout);
}

static BOOLEAN IsSet(PKEVENT Event)
{
    return KeReadStateEvent(Event) != 0;
}

static VOID NTAPI SetLater(PVOID Event)
{
    SleepMilliseconds(30);
    (VOID) KeSetEvent(Event, IO_NO_INCREMENT, FALSE);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* ---- several objects ---- */

static VOID WaitAnySatisfiedByOne(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    KEVENT Event[3];
    PVOID Objects[3] = {&Event[0], &Event[1], &Event[2]};
    PVOID Thread;
    LONG Index;

    for (Index = 0; Index < 3; Index++)
        KeInitializeEvent(&Event[Index], SynchronizationEvent, FALSE);
    EXPECT_STATUS(WaitMany(3, Objects, WaitAny, &Zero, NULL), STATUS_TIMEOUT);
    for (Index = 0; Index < 3; Index++) {
        (VOID) KeSetEvent(&Event[Index], IO_NO_INCREMENT, FALSE);
        EXPECT_STATUS(WaitMany(3, Objects, WaitAny, NULL, NULL), STATUS_WAIT_0 + Index);
        EXPECT_FALSE(IsSet(&Event[Index])); /* the one that satisfied the wait is consumed */
    }
    for (Index = 0; Index < 3; Index++) { /* while it waits */
        Thread = TestStart(SetLater, &Event[Index]);
        EXPECT_STATUS(WaitMany(3, Objects, WaitAny, NULL, NULL), STATUS_WAIT_0 + Index);
        EXPECT_FALSE(IsSet(&Event[0]) || IsSet(&Event[1]) || IsSet(&Event[2]));
        TestJoin(Thread);
    }
}

/* With several signalled, one is consumed. The documentation is silent on which: the first in the array is. */
static VOID WaitAnyTakesOneOfSeveral(VOID)
{
    KEVENT Event[3];
    PVOID Objects[3] = {&Event[0], &Event[1], &Event[2]};
    NTSTATUS Status;
    LONG Index;

    for (Index = 0; Index < 3; Index++)
        KeInitializeEvent(&Event[Index], SynchronizationEvent, Index > 0);
    Status = WaitMany(3, Objects, WaitAny, NULL, NULL);
    OBSERVE("index of the object taken of 1 and 2", Status - STATUS_WAIT_0);
    EXPECT_EQUAL((IsSet(&Event[1]) ? 1 : 0) + (IsSet(&Event[2]) ? 1 : 0), 1);
}

static VOID WaitAllTakesAllAtOnce(VOID)
{
    LARGE_INTEGER Timeout = InMilliseconds(50);
    KEVENT Event[3];
    PVOID Objects[3] = {&Event[0], &Event[1], &Event[2]};
    PVOID Thread;
    LONG Index;

    for (Index = 0; Index < 3; Index++)
        KeInitializeEvent(&Event[Index], SynchronizationEvent, Index < 2);
    EXPECT_STATUS(WaitMany(3, Objects, WaitAll, &Timeout, NULL), STATUS_TIMEOUT);
    EXPECT_TRUE(IsSet(&Event[0]) && IsSet(&Event[1])); /* nothing is taken as long as one is missing */
    (VOID) KeSetEvent(&Event[2], IO_NO_INCREMENT, FALSE);
    EXPECT_STATUS(WaitMany(3, Objects, WaitAll, &Timeout, NULL), STATUS_SUCCESS);
    EXPECT_FALSE(IsSet(&Event[0]) || IsSet(&Event[1]) || IsSet(&Event[2]));

    (VOID) KeSetEvent(&Event[0], IO_NO_INCREMENT, FALSE);
    (VOID) KeSetEvent(&Event[2], IO_NO_INCREMENT, FALSE);
    Thread = TestStart(SetLater, &Event[1]);
    EXPECT_STATUS(WaitMany(3, Objects, WaitAll, NULL, NULL), STATUS_SUCCESS);
    EXPECT_FALSE(IsSet(&Event[0]) || IsSet(&Event[1]) || IsSet(&Event[2]));
    TestJoin(Thread);
}

typedef struct _RIVALS {
    KEVENT First;
    KEVENT Second;
    LONG volatile Whole;
} RIVALS;

static VOID NTAPI TakeBoth(PVOID Context)
{
    RIVALS *Rivals = Context;
    PVOID Objects[2] = {&Rivals->First, &Rivals->Second};

    CHECK(WaitMany(2, Objects, WaitAll, NULL, NULL) == STATUS_SUCCESS);
    (VOID) InterlockedIncrement(&Rivals->Whole);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Who waits for all does not stand in the way of who waits for one of them, nor take it away half. */
static VOID WaitAllTakesNothingHalf(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    RIVALS Rivals = {.Whole = 0};
    PVOID Thread;

    KeInitializeEvent(&Rivals.First, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Rivals.Second, SynchronizationEvent, FALSE);
    Thread = TestStart(TakeBoth, &Rivals);
    REQUIRE(Thread != NULL);
    SleepMilliseconds(20);
    (VOID) KeSetEvent(&Rivals.First, IO_NO_INCREMENT, FALSE);
    SleepMilliseconds(20);
    EXPECT_EQUAL(Rivals.Whole, 0);
    EXPECT_STATUS(WaitOne(&Rivals.First, &Zero), STATUS_SUCCESS);
    (VOID) KeSetEvent(&Rivals.Second, IO_NO_INCREMENT, FALSE);
    SleepMilliseconds(20);
    EXPECT_EQUAL(Rivals.Whole, 0); /* the first has been taken meanwhile */
    (VOID) KeSetEvent(&Rivals.First, IO_NO_INCREMENT, FALSE);
    TestJoin(Thread);
    EXPECT_FALSE(IsSet(&Rivals.First) || IsSet(&Rivals.Second));
}

/* MAXIMUM_WAIT_OBJECTS objects with wait blocks of the caller's. */
static VOID WaitForSixtyFour(VOID)
{
    PKWAIT_BLOCK Blocks = TestAllocate(MANY * sizeof(*Blocks));
    PKEVENT Events = TestAllocate(MANY * sizeof(*Events));
    LARGE_INTEGER Timeout = InMilliseconds(20);
    PVOID Objects[MANY];
    PVOID Thread;
    LONG Index;

    REQUIRE(Blocks != NULL && Events != NULL);
    for (Index = 0; Index < MANY; Index++) {
        KeInitializeEvent(&Events[Index], NotificationEvent, FALSE);
        Objects[Index] = &Events[Index];
    }
    EXPECT_STATUS(WaitMany(MANY, Objects, WaitAny, &Timeout, Blocks), STATUS_TIMEOUT);
    Thread = TestStart(SetLater, &Events[MANY - 1]);
    EXPECT_STATUS(WaitMany(MANY, Objects, WaitAny, NULL, Blocks), STATUS_WAIT_0 + MANY - 1);
    TestJoin(Thread);
    for (Index = 1; Index < MANY; Index++)
        (VOID) KeSetEvent(&Events[Index], IO_NO_INCREMENT, FALSE);
    EXPECT_STATUS(WaitMany(MANY, Objects, WaitAll, &Timeout, Blocks), STATUS_TIMEOUT);
    Thread = TestStart(SetLater, &Events[0]);
    EXPECT_STATUS(WaitMany(MANY, Objects, WaitAll, NULL, Blocks), STATUS_SUCCESS);
    TestJoin(Thread);
    TestFree(Events);
    TestFree(Blocks);
}

/* Different kinds in one wait; each is consumed after its own manner. */
static VOID WaitForDifferentKinds(VOID)
{
    KEVENT Event;
    KSEMAPHORE Semaphore;
    KMUTEX Mutex;
    KTIMER Timer;
    KWAIT_BLOCK Blocks[4];
    PVOID Objects[4] = {&Event, &Semaphore, &Mutex, &Timer};

    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    KeInitializeSemaphore(&Semaphore, 2, 2);
    KeInitializeMutex(&Mutex, 0);
    KeInitializeTimerEx(&Timer, SynchronizationTimer);
    (VOID) KeSetTimer(&Timer, InMilliseconds(20), NULL);
    EXPECT_STATUS(WaitMany(4, Objects, WaitAll, NULL, Blocks), STATUS_SUCCESS);
    EXPECT_TRUE(IsSet(&Event));
    EXPECT_EQUAL(KeReadStateSemaphore(&Semaphore), 1);
    EXPECT_EQUAL(KeReadStateMutex(&Mutex), 0);
    EXPECT_FALSE(KeReadStateTimer(&Timer));
    EXPECT_EQUAL(KeReleaseMutex(&Mutex, FALSE), 0);
}

/* ---- time ---- */

static BOOLEAN HasPassed(ULONGLONG Start, LONGLONG Milliseconds)
{
    return (LONGLONG)(KeQueryInterruptTime() - Start) >= Milliseconds * MILLISECOND;
}

/* Negative: relative. The wait ends no earlier, and (here, on an idle machine) soon. */
static VOID WaitRelativeTimeout(VOID)
{
    LARGE_INTEGER Timeout = InMilliseconds(100);
    ULONGLONG Start = KeQueryInterruptTime();
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    EXPECT_STATUS(WaitOne(&Event, &Timeout), STATUS_TIMEOUT);
    EXPECT_TRUE(HasPassed(Start, 100));
    EXPECT_FALSE(HasPassed(Start, 1000));
}

/* Positive: a point of system time. */
static VOID WaitAbsoluteTimeout(VOID)
{
    LARGE_INTEGER Timeout;
    LARGE_INTEGER Now;
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    KeQuerySystemTime(&Now);
    Timeout.QuadPart = Now.QuadPart + 100 * MILLISECOND;
    EXPECT_STATUS(WaitOne(&Event, &Timeout), STATUS_TIMEOUT);
    KeQuerySystemTime(&Now);
    EXPECT_TRUE(Now.QuadPart >= Timeout.QuadPart);
    EXPECT_TRUE(Now.QuadPart < Timeout.QuadPart + 1000 * MILLISECOND);
    Timeout.QuadPart = Now.QuadPart - MILLISECOND; /* in the past: at once */
    EXPECT_STATUS(WaitOne(&Event, &Timeout), STATUS_TIMEOUT);
}

/* Zero: a look. A signalled object comes before any timeout. */
static VOID WaitZeroTimeout(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    PVOID Objects[1];
    KEVENT Event;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Objects[0] = &Event;
    EXPECT_STATUS(WaitOne(&Event, &Zero), STATUS_TIMEOUT);
    EXPECT_STATUS(WaitMany(1, Objects, WaitAll, &Zero, NULL), STATUS_TIMEOUT);
    (VOID) KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
    EXPECT_STATUS(WaitOne(&Event, &Zero), STATUS_SUCCESS);
    EXPECT_STATUS(WaitMany(1, Objects, WaitAll, &Zero, NULL), STATUS_SUCCESS);
}

static VOID DelayRelative(VOID)
{
    LARGE_INTEGER Interval = InMilliseconds(50);
    ULONGLONG Start = KeQueryInterruptTime();

    EXPECT_STATUS(KeDelayExecutionThread(KernelMode, FALSE, &Interval), STATUS_SUCCESS);
    EXPECT_TRUE(HasPassed(Start, 50));
}

static VOID DelayAbsoluteAtApcLevel(VOID)
{
    LARGE_INTEGER Interval;
    LARGE_INTEGER Now;
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    KeQuerySystemTime(&Now);
    Interval.QuadPart = Now.QuadPart + 50 * MILLISECOND;
    EXPECT_STATUS(KeDelayExecutionThread(KernelMode, FALSE, &Interval), STATUS_SUCCESS);
    KeQuerySystemTime(&Now);
    EXPECT_TRUE(Now.QuadPart >= Interval.QuadPart);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(Irql);
}

/* ---- IRQL ---- */

/* With a timeout of zero a wait is allowed up to DISPATCH_LEVEL. */
static VOID WaitAtDispatchLevel(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    KEVENT Event[2];
    PVOID Objects[2] = {&Event[0], &Event[1]};
    KIRQL Irql;

    KeInitializeEvent(&Event[0], SynchronizationEvent, FALSE);
    KeInitializeEvent(&Event[1], SynchronizationEvent, TRUE);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_STATUS(WaitOne(&Event[0], &Zero), STATUS_TIMEOUT);
    EXPECT_STATUS(WaitOne(&Event[1], &Zero), STATUS_SUCCESS);
    EXPECT_STATUS(WaitMany(2, Objects, WaitAny, &Zero, NULL), STATUS_TIMEOUT);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Irql);
}

/* The thread goes on at the level at which it waited. */
static VOID WaitAtApcLevel(VOID)
{
    KEVENT Event;
    PVOID Thread;
    KIRQL Irql;

    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    Thread = TestStart(SetLater, &Event);
    REQUIRE(Thread != NULL);
    KeRaiseIrql(APC_LEVEL, &Irql);
    EXPECT_STATUS(WaitOne(&Event, NULL), STATUS_SUCCESS);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(Irql);
    TestJoin(Thread);
}

/* ---- broken rules ---- */

static KEVENT Never;
static KDPC Dpc;
static KSPIN_LOCK Lock;

/* It is the call that is wrong, even if the object is signalled. */
static VOID WaitAtDispatchLevelWithoutTimeout(VOID)
{
    KIRQL Irql;

    KeInitializeEvent(&Never, NotificationEvent, TRUE);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) WaitOne(&Never, NULL);
}

static VOID WaitAtDispatchLevelWithTimeout(VOID)
{
    LARGE_INTEGER Timeout = InMilliseconds(20);
    KIRQL Irql;

    KeInitializeEvent(&Never, NotificationEvent, TRUE);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) WaitOne(&Never, &Timeout);
}

static VOID WaitForManyAtDispatchLevel(VOID)
{
    PVOID Objects[1] = {&Never};
    KIRQL Irql;

    KeInitializeEvent(&Never, NotificationEvent, TRUE);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) WaitMany(1, Objects, WaitAny, NULL, NULL);
}

static VOID NTAPI WaitHere(PKDPC Unused, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Unused);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    (VOID) WaitOne(Context, NULL);
}

static VOID WaitInADpc(VOID)
{
    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    KeInitializeDpc(&Dpc, WaitHere, &Never);
    (VOID) KeInsertQueueDpc(&Dpc, NULL, NULL);
    SleepMilliseconds(20);
}

static VOID WaitWithASpinLock(VOID)
{
    KIRQL Irql;

    KeInitializeSpinLock(&Lock);
    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    KeAcquireSpinLock(&Lock, &Irql);
    (VOID) WaitOne(&Never, NULL);
}

/* The thread has THREAD_WAIT_OBJECTS wait blocks of its own; for more the caller brings an array. */
static VOID WaitForFourWithoutBlocks(VOID)
{
    PVOID Objects[THREAD_WAIT_OBJECTS + 1];
    ULONG Index;

    KeInitializeEvent(&Never, NotificationEvent, TRUE);
    for (Index = 0; Index < ARRAYSIZE(Objects); Index++)
        Objects[Index] = &Never;
    (VOID) WaitMany(ARRAYSIZE(Objects), Objects, WaitAny, NULL, NULL);
}

static VOID WaitForSixtyFive(VOID)
{
    static KWAIT_BLOCK Blocks[MANY + 1];
    PVOID Objects[MANY + 1];
    ULONG Index;

    KeInitializeEvent(&Never, NotificationEvent, TRUE);
    for (Index = 0; Index < ARRAYSIZE(Objects); Index++)
        Objects[Index] = &Never;
    (VOID) WaitMany(ARRAYSIZE(Objects), Objects, WaitAny, NULL, Blocks);
}

/* The documentation says that the object must be initialised and not what happens if it isn't. */
static VOID WaitForWhatIsNoObject(VOID)
{
    RtlFillMemory(&Never, sizeof(Never), 0xA5);
    (VOID) WaitOne(&Never, NULL);
}

TEST_TABLE(ke_wait){
    TEST(WaitAnySatisfiedByOne, TEST_SCHEDULES),
    TEST(WaitAnyTakesOneOfSeveral, 0),
    TEST(WaitAllTakesAllAtOnce, TEST_SCHEDULES),
    TEST(WaitAllTakesNothingHalf, TEST_SCHEDULES),
    TEST(WaitForSixtyFour, 0),
    TEST(WaitForDifferentKinds, 0),
    TEST(WaitRelativeTimeout, TEST_SCHEDULES),
    TEST(WaitAbsoluteTimeout, TEST_SCHEDULES),
    TEST(WaitZeroTimeout, 0),
    TEST(DelayRelative, TEST_SCHEDULES),
    TEST(DelayAbsoluteAtApcLevel, TEST_SCHEDULES),
    TEST(WaitAtDispatchLevel, 0),
    TEST(WaitAtApcLevel, TEST_SCHEDULES),
    TEST_VIOLATION(WaitAtDispatchLevelWithoutTimeout, "wait-at-dispatch", 0),
    TEST_VIOLATION(WaitAtDispatchLevelWithTimeout, "wait-at-dispatch", 0),
    TEST_VIOLATION(WaitForManyAtDispatchLevel, "wait-at-dispatch", 0),
    TEST_VIOLATION(WaitInADpc, "wait-at-dispatch", 0),
    TEST_VIOLATION(WaitWithASpinLock, "spinlock-held-at-wait", 0),
    TEST_VIOLATION(WaitForFourWithoutBlocks, "wait-objects", 0x0C),
    TEST_VIOLATION(WaitForSixtyFive, "wait-objects", 0x0C),
    TEST_VIOLATION(WaitForWhatIsNoObject, "wait-object", 0),
    TEST_END,
};
