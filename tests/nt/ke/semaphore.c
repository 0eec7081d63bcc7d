/* Semaphores: "Semaphore Objects", KeInitializeSemaphore, KeReleaseSemaphore, KeReadStateSemaphore. */
#include "nttest.h"

#define CONSUMERS 3
#define ITEMS 60
#define SLOTS 4
#define WAITERS 5

static NTSTATUS TryWait(PVOID Object)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};

    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &Zero);
}

static VOID SemaphoreCounts(VOID)
{
    KSEMAPHORE Semaphore;
    LONG Index;

    KeInitializeSemaphore(&Semaphore, 2, 5);
    EXPECT_EQUAL(KeReadStateSemaphore(&Semaphore), 2);
    EXPECT_STATUS(TryWait(&Semaphore), STATUS_SUCCESS);
    EXPECT_EQUAL(KeReadStateSemaphore(&Semaphore), 1);
    EXPECT_STATUS(TryWait(&Semaphore), STATUS_SUCCESS);
    EXPECT_STATUS(TryWait(&Semaphore), STATUS_TIMEOUT);
    EXPECT_EQUAL(KeReadStateSemaphore(&Semaphore), 0);
    EXPECT_EQUAL(KeReleaseSemaphore(&Semaphore, IO_NO_INCREMENT, 3, FALSE), 0); /* the count before */
    EXPECT_EQUAL(KeReleaseSemaphore(&Semaphore, IO_NO_INCREMENT, 2, FALSE), 3);
    EXPECT_EQUAL(KeReadStateSemaphore(&Semaphore), 5);
    for (Index = 0; Index < 5; Index++)
        EXPECT_STATUS(TryWait(&Semaphore), STATUS_SUCCESS);
    EXPECT_STATUS(TryWait(&Semaphore), STATUS_TIMEOUT);
}

static VOID SemaphoreAtDispatchLevel(VOID)
{
    KSEMAPHORE Semaphore;
    KIRQL Irql;

    KeInitializeSemaphore(&Semaphore, 0, 2);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    EXPECT_EQUAL(KeReleaseSemaphore(&Semaphore, IO_NO_INCREMENT, 2, FALSE), 0);
    EXPECT_EQUAL(KeReadStateSemaphore(&Semaphore), 2);
    EXPECT_STATUS(TryWait(&Semaphore), STATUS_SUCCESS);
    EXPECT_EQUAL(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Irql);
}

static VOID SemaphoreReleaseThenWait(VOID)
{
    KSEMAPHORE Semaphore;

    KeInitializeSemaphore(&Semaphore, 0, 1);
    EXPECT_EQUAL(KeReleaseSemaphore(&Semaphore, IO_NO_INCREMENT, 1, TRUE), 0);
    EXPECT_STATUS(TryWait(&Semaphore), STATUS_SUCCESS);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

typedef struct _GATE {
    KSEMAPHORE Semaphore;
    LONG volatile Through;
} GATE;

static VOID NTAPI GoThrough(PVOID Context)
{
    GATE *Gate = Context;

    CHECK(KeWaitForSingleObject(&Gate->Semaphore, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    (VOID) InterlockedIncrement(&Gate->Through);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID SemaphoreReleasesAsManyAsCounted(VOID)
{
    GATE Gate = {.Through = 0};
    PVOID Thread[WAITERS];
    LONG Index;

    KeInitializeSemaphore(&Gate.Semaphore, 0, 10);
    for (Index = 0; Index < WAITERS; Index++)
        Thread[Index] = TestStart(GoThrough, &Gate);
    SleepMilliseconds(30);
    EXPECT_EQUAL(Gate.Through, 0);
    EXPECT_EQUAL(KeReleaseSemaphore(&Gate.Semaphore, IO_NO_INCREMENT, 3, FALSE), 0);
    SleepMilliseconds(30);
    EXPECT_EQUAL(Gate.Through, 3);
    EXPECT_EQUAL(KeReleaseSemaphore(&Gate.Semaphore, IO_NO_INCREMENT, 4, FALSE), 0);
    for (Index = 0; Index < WAITERS; Index++)
        TestJoin(Thread[Index]);
    EXPECT_EQUAL(Gate.Through, WAITERS);
    EXPECT_EQUAL(KeReadStateSemaphore(&Gate.Semaphore), 2); /* what no waiter took is kept */
}

/* A bounded buffer: each item comes out once, and there are never more inside than fit. */
typedef struct _BUFFER {
    KSEMAPHORE Filled;
    KSEMAPHORE Empty;
    KSPIN_LOCK Lock;
    LONG Slot[SLOTS];
    ULONG Head;
    ULONG Tail;
    LONG volatile Consumed[ITEMS];
} BUFFER;

static VOID NTAPI Consume(PVOID Context)
{
    BUFFER *Buffer = Context;
    LONG Item;
    KIRQL Irql;

    do {
        CHECK(KeWaitForSingleObject(&Buffer->Filled, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
        KeAcquireSpinLock(&Buffer->Lock, &Irql);
        CHECK(Buffer->Head != Buffer->Tail);
        Item = Buffer->Slot[Buffer->Tail++ % SLOTS];
        KeReleaseSpinLock(&Buffer->Lock, Irql);
        (VOID) KeReleaseSemaphore(&Buffer->Empty, IO_NO_INCREMENT, 1, FALSE);
        if (Item >= 0)
            CHECK(InterlockedIncrement(&Buffer->Consumed[Item]) == 1);
    } while (Item >= 0);
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID Produce(BUFFER *Buffer, LONG Item)
{
    KIRQL Irql;

    CHECK(KeWaitForSingleObject(&Buffer->Empty, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    KeAcquireSpinLock(&Buffer->Lock, &Irql);
    CHECK(Buffer->Head - Buffer->Tail < SLOTS);
    Buffer->Slot[Buffer->Head++ % SLOTS] = Item;
    KeReleaseSpinLock(&Buffer->Lock, Irql);
    (VOID) KeReleaseSemaphore(&Buffer->Filled, IO_NO_INCREMENT, 1, FALSE);
}

static VOID SemaphoreBoundedBuffer(VOID)
{
    BUFFER *Buffer = TestAllocate(sizeof(*Buffer));
    PVOID Thread[CONSUMERS];
    LONG Index;

    REQUIRE(Buffer != NULL);
    KeInitializeSpinLock(&Buffer->Lock);
    KeInitializeSemaphore(&Buffer->Filled, 0, SLOTS);
    KeInitializeSemaphore(&Buffer->Empty, SLOTS, SLOTS);
    for (Index = 0; Index < CONSUMERS; Index++)
        Thread[Index] = TestStart(Consume, Buffer);
    for (Index = 0; Index < ITEMS; Index++)
        Produce(Buffer, Index);
    for (Index = 0; Index < CONSUMERS; Index++)
        Produce(Buffer, -1);
    for (Index = 0; Index < CONSUMERS; Index++)
        TestJoin(Thread[Index]);
    for (Index = 0; Index < ITEMS; Index++)
        CHECK(Buffer->Consumed[Index] == 1);
    EXPECT_EQUAL(KeReadStateSemaphore(&Buffer->Filled), 0);
    EXPECT_EQUAL(KeReadStateSemaphore(&Buffer->Empty), SLOTS);
    TestFree(Buffer);
}

/* Beyond the limit KeReleaseSemaphore raises STATUS_SEMAPHORE_LIMIT_EXCEEDED, which here nobody handles. */
static VOID SemaphoreOverTheLimit(VOID)
{
    KSEMAPHORE Semaphore;

    KeInitializeSemaphore(&Semaphore, 1, 2);
    (VOID) KeReleaseSemaphore(&Semaphore, IO_NO_INCREMENT, 2, FALSE);
}

TEST_TABLE(ke_semaphore){
    TEST(SemaphoreCounts, 0),
    TEST(SemaphoreAtDispatchLevel, 0),
    TEST(SemaphoreReleaseThenWait, 0),
    TEST(SemaphoreReleasesAsManyAsCounted, TEST_SCHEDULES),
    TEST(SemaphoreBoundedBuffer, TEST_SCHEDULES),
    TEST_VIOLATION(SemaphoreOverTheLimit, "exception", 0x1E),
    TEST_END,
};
