/* Threads and processes: PsCreateSystemThread, PsTerminateSystemThread, PsGetCurrentThread, PsGetThreadId, ... */
#include "nttest.h"

typedef struct _SEEN {
    PKTHREAD Thread;
    HANDLE ThreadId;
    HANDLE ProcessId;
    PEPROCESS Process;
    KIRQL Irql;
    BOOLEAN System;
    LONG volatile After; /* the code behind PsTerminateSystemThread ran */
    ULONG Runs;
} SEEN;

static VOID NTAPI Look(PVOID Context)
{
    SEEN *Seen = Context;

    Seen->Thread = KeGetCurrentThread();
    Seen->ThreadId = PsGetCurrentThreadId();
    Seen->ProcessId = PsGetCurrentProcessId();
    Seen->Process = PsGetCurrentProcess();
    Seen->Irql = KeGetCurrentIrql();
    Seen->System = PsIsSystemThread(PsGetCurrentThread());
    Seen->Runs++;
    (VOID) PsTerminateSystemThread(STATUS_UNSUCCESSFUL);
    Seen->After = 1;
}

static VOID NTAPI JustReturn(PVOID Context)
{
    ++*(ULONG *)Context;
}

/* Runs once at PASSIVE_LEVEL, in the system process; the object is signalled when it has ended. */
static VOID ThreadRuns(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    OBJECT_ATTRIBUTES Attributes;
    SEEN Seen = {.Runs = 0};
    PVOID Thread = NULL;
    CLIENT_ID Id;
    HANDLE Handle;
    ULONG Calls = 0;
    KIRQL Irql;

    InitializeObjectAttributes(&Attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    EXPECT_STATUS(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, &Attributes, NULL, &Id, Look, &Seen),
                  STATUS_SUCCESS);
    EXPECT_STATUS(ObReferenceObjectByHandle(Handle, SYNCHRONIZE, *PsThreadType, KernelMode, &Thread, NULL),
                  STATUS_SUCCESS);
    REQUIRE(Thread != NULL);
    EXPECT_STATUS(KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    EXPECT_STATUS(KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, &Zero), STATUS_SUCCESS); /* it stays so */
    EXPECT_EQUAL(Seen.Runs, 1);
    EXPECT_EQUAL(Seen.After, 0);
    EXPECT_EQUAL(Seen.Irql, PASSIVE_LEVEL);
    EXPECT_TRUE(Seen.System);
    EXPECT_TRUE((PVOID)Seen.Thread == Thread);
    EXPECT_TRUE(Seen.ThreadId == Id.UniqueThread);
    EXPECT_TRUE(Seen.ProcessId == Id.UniqueProcess);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_TRUE(PsGetThreadId(Thread) == Seen.ThreadId);
    EXPECT_TRUE(PsGetProcessId(Seen.Process) == Seen.ProcessId);
    EXPECT_TRUE(PsIsSystemThread(Thread));
    KeLowerIrql(Irql);
    EXPECT_STATUS(ZwClose(Handle), STATUS_SUCCESS);
    ObDereferenceObject(Thread);

    TestJoin(TestStart(JustReturn, &Calls)); /* returning is another way to end */
    EXPECT_EQUAL(Calls, 1);
}

/* Who runs: the thread and process of the caller, at any level. */
static VOID ThreadIsCurrent(VOID)
{
    SEEN Seen = {.Runs = 0};
    PEPROCESS Process;
    PETHREAD Thread;
    HANDLE ThreadId;
    KIRQL Irql;

    TestJoin(TestStart(Look, &Seen));
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Thread = PsGetCurrentThread();
    ThreadId = PsGetCurrentThreadId();
    Process = PsGetCurrentProcess();
    EXPECT_TRUE(PsGetCurrentProcessId() == PsGetProcessId(Process));
    EXPECT_TRUE(PsGetThreadId(Thread) == ThreadId);
    KeLowerIrql(Irql);
    EXPECT_TRUE((PKTHREAD)Thread == KeGetCurrentThread());
    EXPECT_TRUE(IoGetCurrentProcess() == Process);
    EXPECT_TRUE(Seen.Process == Process); /* system threads share one process */
    EXPECT_TRUE(Seen.ThreadId != ThreadId);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    EXPECT_TRUE(PsGetCurrentProcess() == Process);
    EXPECT_TRUE(IoGetCurrentProcess() == Process);
    EXPECT_TRUE(PsGetCurrentThread() == Thread);
    EXPECT_TRUE(PsGetCurrentThreadId() == ThreadId);
    EXPECT_TRUE(PsGetCurrentProcessId() == Seen.ProcessId);
    KeLowerIrql(Irql);
}

/* Pseudo-handles need no table. */
static VOID ThreadPseudoHandles(VOID)
{
    PVOID Object;

    EXPECT_TRUE(ZwCurrentProcess() == (HANDLE)(LONG_PTR)-1);
    EXPECT_TRUE(ZwCurrentThread() == (HANDLE)(LONG_PTR)-2);
    EXPECT_STATUS(ObReferenceObjectByHandle((HANDLE)(ULONG_PTR)0x7FFFFFF0, 0, *PsThreadType, KernelMode, &Object, NULL),
                  STATUS_INVALID_HANDLE);
}

static VOID StackRoom(VOID)
{
    ULONG_PTR Low = 0;
    ULONG_PTR High = 0;
    ULONG_PTR Here = (ULONG_PTR)&Low;
    ULONG_PTR Left;
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    IoGetStackLimits(&Low, &High);
    Left = IoGetRemainingStackSize();
    EXPECT_TRUE(Low < Here && Here < High);
    EXPECT_TRUE(Left <= Here - Low + PAGE_SIZE && Left + PAGE_SIZE >= Here - Low);
    EXPECT_TRUE((ULONG_PTR)IoGetInitialStack() > Here);
    EXPECT_TRUE((ULONG_PTR)IoGetInitialStack() <= High);
    KeLowerIrql(Irql);
    KeRaiseIrql(APC_LEVEL, &Irql);
    EXPECT_FALSE(IoIs32bitProcess(NULL)); /* the requestor is the system process */
    KeLowerIrql(Irql);
}

/* ---- processor time ---- */

typedef struct _SHARE {
    LONG volatile *Stop;
    LONG volatile Count;
} SHARE;

static VOID NTAPI CountUp(PVOID Context)
{
    SHARE *Share = Context;

    StayOn(0);
    while (ReadAcquire(Share->Stop) == 0) {
        (VOID) InterlockedIncrement(&Share->Count);
        KeStallExecutionProcessor(10);
    }
    MoveFreely();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Two threads of equal priority that never wait share a processor by time slices: each gets on. */
static VOID ThreadsShareAProcessor(VOID)
{
    LONG volatile Stop = 0;
    SHARE Share[2] = {{&Stop, 0}, {&Stop, 0}};
    PVOID Thread[2];

    Thread[0] = TestStart(CountUp, &Share[0]);
    Thread[1] = TestStart(CountUp, &Share[1]);
    SleepMilliseconds(500);
    EXPECT_TRUE(ReadAcquire(&Share[0].Count) > 0);
    EXPECT_TRUE(ReadAcquire(&Share[1].Count) > 0);
    (VOID) InterlockedExchange(&Stop, 1);
    TestJoin(Thread[0]);
    TestJoin(Thread[1]);
}

static VOID NTAPI ReturnRaised(PVOID Context)
{
    KIRQL Irql;

    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
}

static VOID ThreadReturnsRaised(VOID)
{
    TestJoin(TestStart(ReturnRaised, NULL));
}

TEST_TABLE(ob_thread){
    TEST(ThreadRuns, TEST_SCHEDULES),
    TEST(ThreadIsCurrent, 0),
    TEST(ThreadPseudoHandles, 0),
    TEST(StackRoom, 0),
    TEST(ThreadsShareAProcessor, 0),
    TEST_VIOLATION(ThreadReturnsRaised, "irql-changed", 0),
    TEST_END,
};
