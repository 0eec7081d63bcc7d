/*
 * Deferred procedure calls: "Introduction to DPC Objects", "Organization of DPC Queues", "Introduction to Threaded
 * DPCs", KeInitializeDpc, KeInitializeThreadedDpc, KeInsertQueueDpc, KeRemoveQueueDpc, KeSetImportanceDpc,
 * KeSetTargetProcessorDpc(Ex), KeFlushQueuedDpcs, KeGenericCallDpc.
 */
#include "nttest.h"

/* mingw-w64's headers lack these. */
#if defined(__MINGW32__)
NTKERNELAPI VOID NTAPI KeGenericCallDpc(PKDEFERRED_ROUTINE Routine, PVOID Context);
NTKERNELAPI LOGICAL NTAPI KeSignalCallDpcSynchronize(PVOID SystemArgument2);
NTKERNELAPI VOID NTAPI KeSignalCallDpcDone(PVOID SystemArgument1);
#endif

#define DPCS 5
#define CPUS 4

static struct {
    LONG volatile Count;
    LONG volatile Order[DPCS];
    ULONG Processor;
    KIRQL Irql;
    PVOID Argument1;
    PVOID Argument2;
    PKTHREAD Thread;
} Seen;

static VOID NTAPI Note(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    Seen.Order[Seen.Count++ % DPCS] = (LONG)(LONG_PTR)Context;
    Seen.Processor = KeGetCurrentProcessorNumberEx(NULL);
    Seen.Irql = KeGetCurrentIrql();
    Seen.Argument1 = Argument1;
    Seen.Argument2 = Argument2;
    Seen.Thread = KeGetCurrentThread();
}

/* ---- where and how ---- */

/*
 * Queued on the current processor below DISPATCH_LEVEL, with medium importance, it runs before KeInsertQueueDpc
 * returns: the request for the dispatch interrupt is made at once.
 */
static VOID DpcRunsAtOnce(VOID)
{
    KDPC Dpc;

    RtlZeroMemory(&Seen, sizeof(Seen));
    StayOn(0);
    KeInitializeDpc(&Dpc, Note, NULL);
    EXPECT_TRUE(KeInsertQueueDpc(&Dpc, &Seen, &Dpc));
    EXPECT_EQUAL(Seen.Count, 1);
    EXPECT_EQUAL(Seen.Processor, 0);
    EXPECT_EQUAL(Seen.Irql, DISPATCH_LEVEL);
    EXPECT_TRUE(Seen.Argument1 == &Seen);
    EXPECT_TRUE(Seen.Argument2 == &Dpc);
    EXPECT_TRUE(Seen.Thread == KeGetCurrentThread()); /* it borrows the thread that it interrupts */
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
    MoveFreely();
}

static VOID DpcQueuedTwiceRunsOnce(VOID)
{
    KDPC Dpc;
    KIRQL Irql;

    RtlZeroMemory(&Seen, sizeof(Seen));
    StayOn(0);
    KeInitializeDpc(&Dpc, Note, NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_TRUE(KeInsertQueueDpc(&Dpc, (PVOID)1, NULL));
    EXPECT_FALSE(KeInsertQueueDpc(&Dpc, (PVOID)2, NULL)); /* queued already: nothing happens */
    EXPECT_EQUAL(Seen.Count, 0);                          /* not before the IRQL falls */
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Seen.Count, 1);
    EXPECT_EQUAL((LONG_PTR)Seen.Argument1, 1);
    EXPECT_TRUE(KeInsertQueueDpc(&Dpc, (PVOID)3, NULL)); /* and then it can be queued again */
    EXPECT_EQUAL(Seen.Count, 2);
    EXPECT_EQUAL((LONG_PTR)Seen.Argument1, 3);
    MoveFreely();
}

/* A high one goes to the head of the queue, the others to its end. */
static VOID DpcImportanceOrders(VOID)
{
    static const KDPC_IMPORTANCE Importance[DPCS] = {MediumImportance, LowImportance, HighImportance,
                                                     MediumHighImportance, HighImportance};
    static const LONG Expected[DPCS] = {4, 2, 0, 1, 3};
    KDPC Dpc[DPCS];
    LONG Index;
    KIRQL Irql;

    RtlZeroMemory(&Seen, sizeof(Seen));
    StayOn(0);
    for (Index = 0; Index < DPCS; Index++) {
        KeInitializeDpc(&Dpc[Index], Note, (PVOID)(LONG_PTR)Index);
        KeSetImportanceDpc(&Dpc[Index], Importance[Index]);
    }
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    for (Index = 0; Index < DPCS; Index++)
        CHECK(KeInsertQueueDpc(&Dpc[Index], NULL, NULL));
    KeLowerIrql(Irql);
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Seen.Count, DPCS);
    for (Index = 0; Index < DPCS; Index++)
        EXPECT_EQUAL(Seen.Order[Index], Expected[Index]);
    MoveFreely();
}

static VOID DpcOnItsTarget(VOID)
{
    PROCESSOR_NUMBER Number;
    ULONG Processor;
    KDPC Dpc;

    for (Processor = 0; Processor < CPUS; Processor++) {
        RtlZeroMemory(&Seen, sizeof(Seen));
        KeInitializeDpc(&Dpc, Note, NULL);
        EXPECT_STATUS(KeGetProcessorNumberFromIndex(Processor, &Number), STATUS_SUCCESS);
        EXPECT_STATUS(KeSetTargetProcessorDpcEx(&Dpc, &Number), STATUS_SUCCESS);
        EXPECT_TRUE(KeInsertQueueDpc(&Dpc, NULL, NULL));
        KeFlushQueuedDpcs();
        EXPECT_EQUAL(Seen.Count, 1);
        EXPECT_EQUAL(Seen.Processor, Processor);

        KeInitializeDpc(&Dpc, Note, NULL);
        KeSetTargetProcessorDpc(&Dpc, (CCHAR)Processor);
        EXPECT_TRUE(KeInsertQueueDpc(&Dpc, NULL, NULL));
        KeFlushQueuedDpcs();
        EXPECT_EQUAL(Seen.Count, 2);
        EXPECT_EQUAL(Seen.Processor, Processor);
    }
}

static VOID DpcTargetThatIsNotThere(VOID)
{
    PROCESSOR_NUMBER Number = {0, 63, 0};
    KDPC Dpc;

    KeInitializeDpc(&Dpc, Note, NULL);
    EXPECT_STATUS(KeSetTargetProcessorDpcEx(&Dpc, &Number), STATUS_INVALID_PARAMETER);
}

static VOID DpcRemoved(VOID)
{
    KDPC Dpc;
    KIRQL Irql;

    RtlZeroMemory(&Seen, sizeof(Seen));
    KeInitializeDpc(&Dpc, Note, NULL);
    EXPECT_FALSE(KeRemoveQueueDpc(&Dpc)); /* not queued */
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_TRUE(KeInsertQueueDpc(&Dpc, NULL, NULL));
    EXPECT_TRUE(KeRemoveQueueDpc(&Dpc));
    EXPECT_FALSE(KeRemoveQueueDpc(&Dpc));
    KeLowerIrql(Irql);
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Seen.Count, 0);
    EXPECT_TRUE(KeInsertQueueDpc(&Dpc, NULL, NULL));
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Seen.Count, 1);
}

/* An interrupt service routine queues DPCs at its own level. */
static VOID DpcQueuedAtHighLevel(VOID)
{
    KDPC Dpc;
    KIRQL Irql;

    RtlZeroMemory(&Seen, sizeof(Seen));
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    KeInitializeDpc(&Dpc, Note, NULL);
    KeSetImportanceDpc(&Dpc, HighImportance);
    KeSetTargetProcessorDpc(&Dpc, (CCHAR)KeGetCurrentProcessorNumberEx(NULL));
    EXPECT_TRUE(KeInsertQueueDpc(&Dpc, NULL, NULL));
    EXPECT_TRUE(KeRemoveQueueDpc(&Dpc));
    EXPECT_TRUE(KeInsertQueueDpc(&Dpc, NULL, NULL));
    EXPECT_EQUAL(Seen.Count, 0);
    KeLowerIrql(Irql);
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Seen.Count, 1);
    EXPECT_EQUAL(Seen.Irql, DISPATCH_LEVEL);
}

/* A threaded DPC runs at PASSIVE_LEVEL in a thread of its own, or, where that is disabled, at DISPATCH_LEVEL. */
static VOID DpcThreaded(VOID)
{
    KDPC Dpc;

    RtlZeroMemory(&Seen, sizeof(Seen));
    KeInitializeThreadedDpc(&Dpc, Note, NULL);
    EXPECT_TRUE(KeInsertQueueDpc(&Dpc, (PVOID)1, (PVOID)2));
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Seen.Count, 1);
    EXPECT_TRUE(Seen.Irql == PASSIVE_LEVEL || Seen.Irql == DISPATCH_LEVEL);
    OBSERVE("level of a threaded DPC", Seen.Irql);
    EXPECT_EQUAL((LONG_PTR)Seen.Argument1, 1);
    EXPECT_EQUAL((LONG_PTR)Seen.Argument2, 2);
}

/* A DPC is made ready, of either kind, and gets its processor, at any level. */
static VOID DpcMadeReadyAtHighLevel(VOID)
{
    PROCESSOR_NUMBER Number;
    KDPC Dpc, Threaded;
    KIRQL Irql;

    RtlZeroMemory(&Seen, sizeof(Seen));
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    CHECK(KeGetProcessorNumberFromIndex(1, &Number) == STATUS_SUCCESS);
    KeInitializeDpc(&Dpc, Note, NULL);
    CHECK(KeSetTargetProcessorDpcEx(&Dpc, &Number) == STATUS_SUCCESS);
    KeInitializeThreadedDpc(&Threaded, Note, NULL);
    CHECK(KeSetTargetProcessorDpcEx(&Threaded, &Number) == STATUS_SUCCESS);
    KeLowerIrql(Irql);
    EXPECT_TRUE(KeInsertQueueDpc(&Dpc, NULL, NULL));
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Seen.Count, 1);
    EXPECT_EQUAL(Seen.Processor, 1);
    EXPECT_TRUE(KeInsertQueueDpc(&Threaded, NULL, NULL));
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Seen.Count, 2);
    EXPECT_EQUAL(Seen.Processor, 1);
}

/* ---- nothing else runs on the processor meanwhile ---- */

static struct {
    LONG volatile Inside[CPUS];
    LONG volatile Runs;
} Solo;

static VOID NTAPI BeAlone(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    ULONG Processor = KeGetCurrentProcessorNumberEx(NULL);
    ULONG Turn;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    CHECK(InterlockedIncrement(&Solo.Inside[Processor]) == 1); /* no other DPC */
    for (Turn = 0; Turn < 20; Turn++) {
        KeStallExecutionProcessor(1);
        CHECK(KeGetCurrentProcessorNumberEx(NULL) == Processor);
        CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL);
    }
    CHECK(InterlockedDecrement(&Solo.Inside[Processor]) == 0);
    (VOID) InterlockedIncrement(&Solo.Runs);
}

/* A thread of the highest priority on each processor looks whether it ever runs while a DPC does. */
static VOID NTAPI Watch(PVOID Context)
{
    ULONG Processor = (ULONG)(ULONG_PTR)Context;

    StayOn(Processor);
    (VOID) KeSetPriorityThread(KeGetCurrentThread(), HIGH_PRIORITY);
    while (ReadAcquire(&Solo.Runs) < 4 * CPUS) {
        CHECK(KeGetCurrentProcessorNumberEx(NULL) == Processor);
        CHECK(ReadAcquire(&Solo.Inside[Processor]) == 0);
        SleepMilliseconds(1);
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID DpcAloneOnItsProcessor(VOID)
{
    static KDPC Dpc[4 * CPUS];
    PVOID Thread[CPUS];
    ULONG Index;

    RtlZeroMemory(&Solo, sizeof(Solo));
    for (Index = 0; Index < CPUS; Index++)
        Thread[Index] = TestStart(Watch, (PVOID)(ULONG_PTR)Index);
    for (Index = 0; Index < ARRAYSIZE(Dpc); Index++) {
        KeInitializeDpc(&Dpc[Index], BeAlone, NULL);
        KeSetTargetProcessorDpc(&Dpc[Index], (CCHAR)(Index % CPUS));
        CHECK(KeInsertQueueDpc(&Dpc[Index], NULL, NULL));
    }
    for (Index = 0; Index < CPUS; Index++)
        TestJoin(Thread[Index]);
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Solo.Runs, ARRAYSIZE(Dpc));
}

/* ---- flush ---- */

static VOID NTAPI RunLong(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeStallExecutionProcessor(50);
    (VOID) InterlockedIncrement(Context);
}

/* Those that were queued, on every processor, have run to their end. */
static VOID DpcFlushWaitsForAll(VOID)
{
    LONG volatile Done = 0;
    KDPC Dpc[CPUS];
    LONG Index;

    for (Index = 0; Index < CPUS; Index++) {
        KeInitializeDpc(&Dpc[Index], RunLong, (PVOID)&Done);
        KeSetTargetProcessorDpc(&Dpc[Index], (CCHAR)Index);
        KeSetImportanceDpc(&Dpc[Index], Index % 2 != 0 ? LowImportance : MediumImportance);
        (VOID) KeInsertQueueDpc(&Dpc[Index], NULL, NULL);
    }
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Done, CPUS);
}

/* ---- DPCs that queue ---- */

static VOID NTAPI QueueAgain(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (InterlockedIncrement(Context) < 5)
        CHECK(KeInsertQueueDpc(Dpc, NULL, NULL)); /* it is off the queue when it runs */
}

static VOID DpcQueuesItself(VOID)
{
    static KDPC Dpc;
    LONG volatile Runs = 0;

    KeInitializeDpc(&Dpc, QueueAgain, (PVOID)&Runs);
    (VOID) KeInsertQueueDpc(&Dpc, NULL, NULL);
    SleepMilliseconds(50);
    KeFlushQueuedDpcs();
    EXPECT_EQUAL(Runs, 5);
}

/* KeGenericCallDpc: on every processor, and the pair that makes them meet. */
typedef struct _EVERYWHERE {
    LONG volatile Processors;
    LONG volatile Come;
    LONG volatile Elected;
    LONG volatile Met;
    LONG All;
} EVERYWHERE;

static VOID NTAPI OnEach(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    EVERYWHERE *Everywhere = Context;

    UNREFERENCED_PARAMETER(Dpc);
    CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL);
    (VOID) InterlockedOr(&Everywhere->Processors, 1 << KeGetCurrentProcessorNumberEx(NULL));
    (VOID) InterlockedIncrement(&Everywhere->Come);
    if (KeSignalCallDpcSynchronize(Argument2))
        (VOID) InterlockedIncrement(&Everywhere->Elected);
    CHECK(Everywhere->Come == Everywhere->All); /* all have come */
    (VOID) InterlockedIncrement(&Everywhere->Met);
    KeSignalCallDpcDone(Argument1);
}

static VOID GenericCall(EVERYWHERE *Everywhere)
{
    RtlZeroMemory(Everywhere, sizeof(*Everywhere));
    Everywhere->All = (LONG)KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    KeGenericCallDpc(OnEach, Everywhere);
    EXPECT_TRUE(Everywhere->Met == Everywhere->All);
    EXPECT_EQUAL(Everywhere->Elected, 1); /* TRUE for one of them */
}

static VOID DpcGenericCall(VOID)
{
    EVERYWHERE Everywhere;
    KIRQL Irql;

    GenericCall(&Everywhere);
    EXPECT_EQUAL(Everywhere.Processors & 0xF, 0xF);
    KeRaiseIrql(APC_LEVEL, &Irql);
    GenericCall(&Everywhere);
    KeLowerIrql(Irql);
}

/* ---- broken rules ---- */

static KDPC Broken;

static VOID DpcNotInitialized(VOID)
{
    RtlZeroMemory(&Broken, sizeof(Broken));
    (VOID) KeInsertQueueDpc(&Broken, NULL, NULL);
}

static VOID NTAPI ReturnRaised(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    KIRQL Irql;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeRaiseIrql(CLOCK_LEVEL, &Irql);
}

static VOID DpcReturnsRaised(VOID)
{
    KeInitializeDpc(&Broken, ReturnRaised, NULL);
    (VOID) KeInsertQueueDpc(&Broken, NULL, NULL);
    SleepMilliseconds(20);
}

static VOID NTAPI Lower(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeLowerIrql(PASSIVE_LEVEL);
}

static VOID DpcLowers(VOID)
{
    KeInitializeDpc(&Broken, Lower, NULL);
    (VOID) KeInsertQueueDpc(&Broken, NULL, NULL);
    SleepMilliseconds(20);
}

static VOID DpcForNoProcessor(VOID)
{
    KeInitializeDpc(&Broken, Note, NULL);
    KeSetTargetProcessorDpc(&Broken, 100);
}

static VOID DpcFreedWhileQueued(VOID)
{
    PKDPC Dpc = TestAllocate(sizeof(*Dpc));
    KIRQL Irql;

    REQUIRE(Dpc != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    KeInitializeDpc(Dpc, Note, NULL);
    (VOID) KeInsertQueueDpc(Dpc, NULL, NULL);
    TestFree(Dpc);
}

TEST_TABLE(ke_dpc){
    TEST(DpcRunsAtOnce, TEST_SCHEDULES),
    TEST(DpcQueuedTwiceRunsOnce, TEST_SCHEDULES),
    TEST(DpcImportanceOrders, TEST_SCHEDULES),
    TEST(DpcOnItsTarget, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(DpcTargetThatIsNotThere, 0),
    TEST(DpcRemoved, TEST_SCHEDULES),
    TEST(DpcQueuedAtHighLevel, TEST_SCHEDULES),
    TEST(DpcThreaded, 0),
    TEST(DpcMadeReadyAtHighLevel, TEST_CPUS(2)),
    TEST(DpcAloneOnItsProcessor, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(DpcFlushWaitsForAll, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(DpcQueuesItself, TEST_SCHEDULES),
    TEST(DpcGenericCall, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST_VIOLATION(DpcNotInitialized, "dpc-not-initialised", 0),
    TEST_VIOLATION(DpcReturnsRaised, "irql-changed", 0xC4),
    TEST_VIOLATION(DpcLowers, "irql-changed", 0xC4),
    TEST_VIOLATION(DpcForNoProcessor, "dpc-target", 0),
    TEST_VIOLATION(DpcFreedWhileQueued, "freed-in-use", 0xC7),
    TEST_END,
};
