/*
 * Threads as dispatcher objects, and their priorities: KeGetCurrentThread, KeSetPriorityThread, KeQueryPriorityThread,
 * KeWaitForSingleObject of a thread.
 */
#include "nttest.h"

typedef struct _SHARED {
    KEVENT Go;
    LONG volatile Next;
    KPRIORITY volatile Order[2];
    PVOID volatile Self;
    LONG volatile Done;
} SHARED;

static VOID NTAPI NoteSelf(PVOID Context)
{
    SHARED *Shared = Context;

    Shared->Self = KeGetCurrentThread();
    CHECK(Shared->Self == (PVOID)PsGetCurrentThread());
    Shared->Done = 1;
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID ThreadOfOurOwn(VOID)
{
    SHARED Shared = {.Done = 0};
    PVOID Thread = TestStart(NoteSelf, &Shared);

    REQUIRE(Thread != NULL);
    EXPECT_STATUS(KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    EXPECT_TRUE(Shared.Self == Thread);
    EXPECT_TRUE(KeGetCurrentThread() != (PKTHREAD)Thread);
    TestJoin(Thread);
}

/* A thread is signalled when it has ended, and stays so. */
static VOID ThreadSignalledByItsEnd(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    SHARED Shared = {.Done = 0};
    PVOID Thread;

    EXPECT_STATUS(KeWaitForSingleObject(KeGetCurrentThread(), Executive, KernelMode, FALSE, &Zero), STATUS_TIMEOUT);
    Thread = TestStart(NoteSelf, &Shared);
    REQUIRE(Thread != NULL);
    EXPECT_STATUS(KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    EXPECT_EQUAL(Shared.Done, 1);
    EXPECT_STATUS(KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, &Zero), STATUS_SUCCESS);
    TestJoin(Thread);
}

static VOID ThreadPriorityReadAndSet(VOID)
{
    KPRIORITY Own = KeQueryPriorityThread(KeGetCurrentThread());

    EXPECT_TRUE(Own > 0 && Own <= HIGH_PRIORITY);
    EXPECT_TRUE(KeSetPriorityThread(KeGetCurrentThread(), LOW_REALTIME_PRIORITY + 1) == Own); /* the old one */
    EXPECT_EQUAL(KeQueryPriorityThread(KeGetCurrentThread()), LOW_REALTIME_PRIORITY + 1);
    EXPECT_EQUAL(KeSetPriorityThread(KeGetCurrentThread(), Own), LOW_REALTIME_PRIORITY + 1);
}

static VOID NTAPI NoteOrder(PVOID Context)
{
    SHARED *Shared = Context;

    StayOn(0);
    (VOID) KeWaitForSingleObject(&Shared->Go, Executive, KernelMode, FALSE, NULL);
    Shared->Order[InterlockedIncrement(&Shared->Next) - 1] = KeQueryPriorityThread(KeGetCurrentThread());
    MoveFreely();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* On one processor the thread of the higher real-time priority runs first, and takes the processor from a lower one. */
static VOID ThreadPriorityDecides(VOID)
{
    KPRIORITY Own;
    SHARED Shared = {.Next = 0};
    PVOID Low, High;
    KIRQL Irql;

    StayOn(0);
    KeInitializeEvent(&Shared.Go, NotificationEvent, FALSE);
    Own = KeSetPriorityThread(KeGetCurrentThread(), LOW_REALTIME_PRIORITY + 1);
    Low = TestStart(NoteOrder, &Shared);
    High = TestStart(NoteOrder, &Shared);
    REQUIRE(Low != NULL && High != NULL);
    (VOID) KeSetPriorityThread(Low, LOW_REALTIME_PRIORITY + 2);
    (VOID) KeSetPriorityThread(High, LOW_REALTIME_PRIORITY + 5);
    SleepMilliseconds(20);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) KeSetEvent(&Shared.Go, IO_NO_INCREMENT, FALSE); /* both are ready now */
    EXPECT_EQUAL(Shared.Next, 0);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Shared.Next, 2);
    EXPECT_EQUAL(Shared.Order[0], LOW_REALTIME_PRIORITY + 5);
    EXPECT_EQUAL(Shared.Order[1], LOW_REALTIME_PRIORITY + 2);
    TestJoin(Low);
    TestJoin(High);
    (VOID) KeSetPriorityThread(KeGetCurrentThread(), Own);
    MoveFreely();
}

static VOID NTAPI RunOnce(PVOID Context)
{
    SHARED *Shared = Context;

    StayOn(0);
    (VOID) KeWaitForSingleObject(&Shared->Go, Executive, KernelMode, FALSE, NULL);
    Shared->Done = 1;
    MoveFreely();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* A thread that lowers itself below one that is ready gives the processor away. */
static VOID ThreadLowersItself(VOID)
{
    SHARED Shared = {.Done = 0};
    KPRIORITY Own;
    PVOID Thread;

    StayOn(0);
    KeInitializeEvent(&Shared.Go, NotificationEvent, FALSE);
    Thread = TestStart(RunOnce, &Shared);
    REQUIRE(Thread != NULL);
    (VOID) KeSetPriorityThread(Thread, LOW_REALTIME_PRIORITY + 2);
    SleepMilliseconds(20);
    Own = KeSetPriorityThread(KeGetCurrentThread(), LOW_REALTIME_PRIORITY + 5);
    (VOID) KeSetEvent(&Shared.Go, IO_NO_INCREMENT, FALSE);
    EXPECT_EQUAL(Shared.Done, 0);
    (VOID) KeSetPriorityThread(KeGetCurrentThread(), LOW_REALTIME_PRIORITY + 1);
    EXPECT_EQUAL(Shared.Done, 1);
    TestJoin(Thread);
    (VOID) KeSetPriorityThread(KeGetCurrentThread(), Own);
    MoveFreely();
}

static VOID ThreadPriorityThatIsNone(VOID)
{
    (VOID) KeSetPriorityThread(KeGetCurrentThread(), 0);
}

TEST_TABLE(ke_thread){
    TEST(ThreadOfOurOwn, TEST_SCHEDULES),
    TEST(ThreadSignalledByItsEnd, TEST_SCHEDULES),
    TEST(ThreadPriorityReadAndSet, 0),
    TEST(ThreadPriorityDecides, TEST_SCHEDULES),
    TEST(ThreadLowersItself, TEST_SCHEDULES),
    TEST_VIOLATION(ThreadPriorityThatIsNone, "thread-priority", 0),
    TEST_END,
};
