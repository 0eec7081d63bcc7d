/* Events: "Event Objects", KeInitializeEvent, KeSetEvent, KeResetEvent, KeClearEvent, KeReadStateEvent. */
#include "nttest.h"

#define WAITERS 4

/* ---- states and return values ---- */

static VOID ReturnValues(EVENT_TYPE Type)
{
    KEVENT Event;

    KeInitializeEvent(&Event, Type, TRUE);
    EXPECT_TRUE(KeReadStateEvent(&Event) != 0);
    KeInitializeEvent(&Event, Type, FALSE);
    EXPECT_EQUAL(KeReadStateEvent(&Event), 0);
    EXPECT_EQUAL(KeSetEvent(&Event, IO_NO_INCREMENT, FALSE), 0); /* the state before */
    EXPECT_TRUE(KeSetEvent(&Event, IO_NO_INCREMENT, FALSE) != 0);
    EXPECT_TRUE(KeReadStateEvent(&Event) != 0); /* reading consumes nothing */
    EXPECT_TRUE(KeReadStateEvent(&Event) != 0);
    EXPECT_TRUE(KeResetEvent(&Event) != 0);
    EXPECT_EQUAL(KeResetEvent(&Event), 0);
    (VOID) KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
    KeClearEvent(&Event);
    EXPECT_EQUAL(KeReadStateEvent(&Event), 0);
}

static VOID EventReturnValues(VOID)
{
    ReturnValues(NotificationEvent);
    ReturnValues(SynchronizationEvent);
}

/* The pages allow DISPATCH_LEVEL if Wait is FALSE. */
static VOID EventAtDispatchLevel(VOID)
{
    KEVENT Event;
    KIRQL Irql;

    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    EXPECT_EQUAL(KeSetEvent(&Event, IO_NO_INCREMENT, FALSE), 0);
    EXPECT_TRUE(KeReadStateEvent(&Event) != 0);
    EXPECT_TRUE(KeResetEvent(&Event) != 0);
    (VOID) KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
    KeClearEvent(&Event);
    EXPECT_EQUAL(KeReadStateEvent(&Event), 0);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Irql);
}

/* A wait takes the signal of a synchronization event, and leaves that of a notification event. */
static VOID EventWaitConsumes(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    KEVENT Notification;
    KEVENT Synchronization;

    KeInitializeEvent(&Notification, NotificationEvent, TRUE);
    KeInitializeEvent(&Synchronization, SynchronizationEvent, TRUE);
    EXPECT_STATUS(KeWaitForSingleObject(&Notification, Executive, KernelMode, FALSE, &Zero), STATUS_SUCCESS);
    EXPECT_STATUS(KeWaitForSingleObject(&Notification, Executive, KernelMode, FALSE, &Zero), STATUS_SUCCESS);
    EXPECT_STATUS(KeWaitForSingleObject(&Synchronization, Executive, KernelMode, FALSE, &Zero), STATUS_SUCCESS);
    EXPECT_STATUS(KeWaitForSingleObject(&Synchronization, Executive, KernelMode, FALSE, &Zero), STATUS_TIMEOUT);
    EXPECT_TRUE(KeReadStateEvent(&Notification) != 0);
    EXPECT_EQUAL(KeReadStateEvent(&Synchronization), 0);

    /* Setting twice is setting once: an event does not count. */
    (VOID) KeSetEvent(&Synchronization, IO_NO_INCREMENT, FALSE);
    (VOID) KeSetEvent(&Synchronization, IO_NO_INCREMENT, FALSE);
    EXPECT_STATUS(KeWaitForSingleObject(&Synchronization, Executive, KernelMode, FALSE, &Zero), STATUS_SUCCESS);
    EXPECT_STATUS(KeWaitForSingleObject(&Synchronization, Executive, KernelMode, FALSE, &Zero), STATUS_TIMEOUT);
}

/*
 * Wait TRUE: the caller says that a wait follows at once, and the event is set all the same. (What KeSetEvent does to
 * the IRQL in between is not to be seen from outside.)
 */
static VOID EventSetThenWait(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    KEVENT Event;

    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    EXPECT_EQUAL(KeSetEvent(&Event, IO_NO_INCREMENT, TRUE), 0);
    EXPECT_STATUS(KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Zero), STATUS_SUCCESS);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

/* A pulse sets the event, releases who waits, and clears it. */
static VOID EventPulsed(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    KEVENT Event;
    KIRQL Irql;

    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    EXPECT_EQUAL(KePulseEvent(&Event, IO_NO_INCREMENT, FALSE), 0);
    EXPECT_EQUAL(KeReadStateEvent(&Event), 0); /* nobody waited: it is lost */
    (VOID) KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
    EXPECT_TRUE(KePulseEvent(&Event, IO_NO_INCREMENT, FALSE) != 0); /* the state before */
    EXPECT_EQUAL(KeReadStateEvent(&Event), 0);
    EXPECT_STATUS(KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Zero), STATUS_TIMEOUT);
    (VOID) KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_TRUE(KePulseEvent(&Event, IO_NO_INCREMENT, FALSE) != 0);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(KeReadStateEvent(&Event), 0);
    /* Wait TRUE: a wait follows at once. */
    EXPECT_EQUAL(KePulseEvent(&Event, IO_NO_INCREMENT, TRUE), 0);
    EXPECT_STATUS(KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Zero), STATUS_TIMEOUT);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

typedef struct _PULSED {
    KEVENT Event;
    LONG volatile Coming;
    LONG volatile Released;
} PULSED;

static VOID NTAPI WaitForPulse(PVOID Context)
{
    PULSED *Pulsed = Context;

    (VOID) InterlockedIncrement(&Pulsed->Coming);
    CHECK(KeWaitForSingleObject(&Pulsed->Event, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    (VOID) InterlockedIncrement(&Pulsed->Released);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* All who wait for a notification event, one who waits for a synchronization event. */
static VOID PulseFor(EVENT_TYPE Type, LONG Threads, LONG Released)
{
    PULSED Pulsed = {.Coming = 0};
    PVOID Thread[3];
    LONG Index;

    KeInitializeEvent(&Pulsed.Event, Type, FALSE);
    for (Index = 0; Index < Threads; Index++)
        Thread[Index] = TestStart(WaitForPulse, &Pulsed);
    SleepMilliseconds(50);
    CHECK(Pulsed.Coming == Threads);
    EXPECT_EQUAL(KePulseEvent(&Pulsed.Event, IO_NO_INCREMENT, FALSE), 0);
    SleepMilliseconds(50);
    EXPECT_EQUAL(Pulsed.Released, Released);
    EXPECT_EQUAL(KeReadStateEvent(&Pulsed.Event), 0);
    while (Pulsed.Released < Threads) {
        (VOID) KeSetEvent(&Pulsed.Event, IO_NO_INCREMENT, FALSE);
        SleepMilliseconds(1);
    }
    for (Index = 0; Index < Threads; Index++)
        TestJoin(Thread[Index]);
}

static VOID EventPulseReleasesWaiters(VOID)
{
    PulseFor(NotificationEvent, 3, 3);
    PulseFor(SynchronizationEvent, 3, 1);
}

/* ---- waiters ---- */

typedef struct _WAITERS_OF_ONE {
    KEVENT Event;
    LONG volatile Waiting; /* threads that are about to wait */
    LONG volatile Released;
    LONG volatile Order[WAITERS]; /* whose wait ended as which */
    PVOID Thread[WAITERS];
} WAITERS_OF_ONE;

typedef struct _WAITER {
    WAITERS_OF_ONE *All;
    LONG Number;
} WAITER;

static VOID NTAPI WaitOnce(PVOID Context)
{
    WAITER *Waiter = Context;
    WAITERS_OF_ONE *All = Waiter->All;

    (VOID) InterlockedIncrement(&All->Waiting);
    CHECK(KeWaitForSingleObject(&All->Event, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    All->Order[InterlockedIncrement(&All->Released) - 1] = Waiter->Number;
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID StartWaiters(WAITERS_OF_ONE *All, WAITER *Waiter, EVENT_TYPE Type)
{
    LONG Index;

    KeInitializeEvent(&All->Event, Type, FALSE);
    All->Waiting = 0;
    All->Released = 0;
    for (Index = 0; Index < WAITERS; Index++) {
        Waiter[Index].All = All;
        Waiter[Index].Number = Index;
        All->Thread[Index] = TestStart(WaitOnce, &Waiter[Index]);
        SleepMilliseconds(20); /* it waits before the next one does */
        CHECK(All->Waiting == Index + 1);
    }
    EXPECT_EQUAL(All->Released, 0);
}

static VOID EventNotificationReleasesAll(VOID)
{
    WAITERS_OF_ONE All;
    WAITER Waiter[WAITERS];
    LONG Index;

    StartWaiters(&All, Waiter, NotificationEvent);
    EXPECT_EQUAL(KeSetEvent(&All.Event, IO_NO_INCREMENT, FALSE), 0);
    for (Index = 0; Index < WAITERS; Index++)
        TestJoin(All.Thread[Index]);
    EXPECT_EQUAL(All.Released, WAITERS);
    EXPECT_TRUE(KeReadStateEvent(&All.Event) != 0);
}

/*
 * One KeSetEvent releases one waiter of a synchronization event. The documentation is silent on which; the order of
 * arrival is what Windows' queue of wait blocks gives.
 */
static VOID EventSynchronizationReleasesOne(VOID)
{
    WAITERS_OF_ONE All;
    WAITER Waiter[WAITERS];
    LONG Index;

    StartWaiters(&All, Waiter, SynchronizationEvent);
    for (Index = 1; Index <= WAITERS; Index++) {
        EXPECT_EQUAL(KeSetEvent(&All.Event, IO_NO_INCREMENT, FALSE), 0); /* it was taken by the one before */
        SleepMilliseconds(20);
        EXPECT_EQUAL(All.Released, Index);
        EXPECT_EQUAL(KeReadStateEvent(&All.Event), 0);
    }
    for (Index = 0; Index < WAITERS; Index++) {
        TestJoin(All.Thread[Index]);
        OBSERVE("number of the waiter released next", All.Order[Index]);
    }
}

/* Two threads hand a counter to and fro: no wake-up is lost, and never do both go on. */
#define TURNS 50

typedef struct _TABLE_TENNIS {
    KEVENT Ping;
    KEVENT Pong;
    LONG Counter;
} TABLE_TENNIS;

static VOID NTAPI ReturnTheBall(PVOID Context)
{
    TABLE_TENNIS *Game = Context;
    LONG Turn;

    for (Turn = 0; Turn < TURNS; Turn++) {
        CHECK(KeWaitForSingleObject(&Game->Ping, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
        CHECK(Game->Counter == 2 * Turn + 1);
        Game->Counter++;
        CHECK(KeSetEvent(&Game->Pong, IO_NO_INCREMENT, FALSE) == 0);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID EventNoWakeUpIsLost(VOID)
{
    TABLE_TENNIS Game = {.Counter = 0};
    PVOID Thread;
    LONG Turn;

    KeInitializeEvent(&Game.Ping, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Game.Pong, SynchronizationEvent, FALSE);
    Thread = TestStart(ReturnTheBall, &Game);
    REQUIRE(Thread != NULL);
    for (Turn = 0; Turn < TURNS; Turn++) {
        CHECK(Game.Counter == 2 * Turn);
        Game.Counter++;
        CHECK(KeSetEvent(&Game.Ping, IO_NO_INCREMENT, FALSE) == 0);
        CHECK(KeWaitForSingleObject(&Game.Pong, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    }
    TestJoin(Thread);
    EXPECT_EQUAL(Game.Counter, 2 * TURNS);
}

/* An event can be set where nothing may wait: in a DPC. */
static VOID NTAPI SetIt(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    CHECK(KeSetEvent(Context, IO_NO_INCREMENT, FALSE) == 0);
}

static VOID EventSetInADpc(VOID)
{
    LONG Turn;
    KEVENT Event;
    KDPC Dpc;

    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeInitializeDpc(&Dpc, SetIt, &Event);
    for (Turn = 0; Turn < 10; Turn++) {
        CHECK(KeInsertQueueDpc(&Dpc, NULL, NULL));
        CHECK(KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    }
    EXPECT_EQUAL(KeReadStateEvent(&Event), 0);
    KeFlushQueuedDpcs(); /* the event and the DPC lie on this stack */
}

/* ---- broken rules ---- */

static VOID NTAPI WaitForEver(PVOID Event)
{
    (VOID) KeWaitForSingleObject(Event, Executive, KernelMode, FALSE, NULL);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Memory with an event in it that a thread waits for is given back. */
static VOID EventFreedWithAWaiter(VOID)
{
    PKEVENT Event = TestAllocate(sizeof(*Event));

    REQUIRE(Event != NULL);
    KeInitializeEvent(Event, NotificationEvent, FALSE);
    (VOID) TestStart(WaitForEver, Event);
    SleepMilliseconds(20);
    TestFree(Event);
}

TEST_TABLE(ke_event){
    TEST(EventReturnValues, 0),
    TEST(EventAtDispatchLevel, 0),
    TEST(EventWaitConsumes, 0),
    TEST(EventSetThenWait, 0),
    TEST(EventPulsed, 0),
    TEST(EventPulseReleasesWaiters, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(EventNotificationReleasesAll, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(EventSynchronizationReleasesOne, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(EventNoWakeUpIsLost, TEST_SCHEDULES),
    TEST(EventSetInADpc, TEST_SCHEDULES),
    TEST_VIOLATION(EventFreedWithAWaiter, "freed-in-use", 0xC4),
    TEST_END,
};
