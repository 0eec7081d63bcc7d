/* Push locks: "Push Locks", ExInitializePushLock, ExAcquirePushLockExclusive, ExAcquirePushLockShared, ... */
#include "nttest.h"

/* The macros and what they stand for are those of Windows 10 version 1809: looked up where the import library is older.
 */
#if defined(__MINGW32__)
typedef VOID NTAPI PUSH_LOCK_ROUTINE(PEX_PUSH_LOCK PushLock, ULONG Flags);

static VOID Call(PCWSTR RoutineName, PEX_PUSH_LOCK PushLock, ULONG Flags)
{
    UNICODE_STRING Name;
    PUSH_LOCK_ROUTINE *Routine;

    RtlInitUnicodeString(&Name, RoutineName);
    Routine = (PUSH_LOCK_ROUTINE *)(ULONG_PTR)MmGetSystemRoutineAddress(&Name);
    CHECK(Routine != NULL);
    if (Routine != NULL)
        Routine(PushLock, Flags);
}

NTKERNELAPI VOID NTAPI ExInitializePushLock(PEX_PUSH_LOCK PushLock);
#define EX_DEFAULT_PUSH_LOCK_FLAGS 0
#define ExAcquirePushLockExclusiveEx(_Lock, _Flags) Call(L"ExAcquirePushLockExclusiveEx", (_Lock), (_Flags))
#define ExAcquirePushLockSharedEx(_Lock, _Flags) Call(L"ExAcquirePushLockSharedEx", (_Lock), (_Flags))
#define ExReleasePushLockExclusiveEx(_Lock, _Flags) Call(L"ExReleasePushLockExclusiveEx", (_Lock), (_Flags))
#define ExReleasePushLockSharedEx(_Lock, _Flags) Call(L"ExReleasePushLockSharedEx", (_Lock), (_Flags))
#define ExAcquirePushLockExclusive(_Lock) ExAcquirePushLockExclusiveEx((_Lock), EX_DEFAULT_PUSH_LOCK_FLAGS)
#define ExAcquirePushLockShared(_Lock) ExAcquirePushLockSharedEx((_Lock), EX_DEFAULT_PUSH_LOCK_FLAGS)
#define ExReleasePushLockExclusive(_Lock) ExReleasePushLockExclusiveEx((_Lock), EX_DEFAULT_PUSH_LOCK_FLAGS)
#define ExReleasePushLockShared(_Lock) ExReleasePushLockSharedEx((_Lock), EX_DEFAULT_PUSH_LOCK_FLAGS)
#endif

#define THREADS 4
#define ROUNDS 9

typedef struct _SHARED {
    EX_PUSH_LOCK Lock;
    LONG volatile Writers;
    LONG volatile Readers;
    LONG volatile Total;
    KEVENT Inside;
    KEVENT Leave;
} SHARED;

static VOID NTAPI TakeTurns(PVOID Context)
{
    SHARED *Shared = Context;
    LONG Before;
    LONG Turn;

    for (Turn = 0; Turn < ROUNDS; Turn++) {
        KeEnterCriticalRegion();
        if (Turn % 3 == 0) {
            ExAcquirePushLockExclusive(&Shared->Lock);
            Before = Shared->Total;
            CHECK(InterlockedIncrement(&Shared->Writers) == 1);
            CHECK(Shared->Readers == 0);
            KeStallExecutionProcessor(1);
            Shared->Total = Before + 1; /* wrong if anybody else got in */
            CHECK(InterlockedDecrement(&Shared->Writers) == 0);
            ExReleasePushLockExclusive(&Shared->Lock);
        } else {
            ExAcquirePushLockShared(&Shared->Lock);
            (VOID) InterlockedIncrement(&Shared->Readers);
            CHECK(Shared->Writers == 0);
            KeStallExecutionProcessor(1);
            CHECK(Shared->Writers == 0);
            (VOID) InterlockedDecrement(&Shared->Readers);
            ExReleasePushLockShared(&Shared->Lock);
        }
        KeLeaveCriticalRegion();
    }
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID PushLockExcludes(VOID)
{
    SHARED *Shared = TestAllocate(sizeof(*Shared));
    PVOID Thread[THREADS];
    LONG Index;

    REQUIRE(Shared != NULL);
    ExInitializePushLock(&Shared->Lock);
    for (Index = 0; Index < THREADS; Index++)
        Thread[Index] = TestStart(TakeTurns, Shared);
    for (Index = 0; Index < THREADS; Index++)
        TestJoin(Thread[Index]);
    EXPECT_EQUAL(Shared->Total, THREADS * ROUNDS / 3);
    TestFree(Shared);
}

static VOID NTAPI HoldShared(PVOID Context)
{
    SHARED *Shared = Context;

    KeEnterCriticalRegion();
    ExAcquirePushLockSharedEx(&Shared->Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    (VOID) KeSetEvent(&Shared->Inside, IO_NO_INCREMENT, FALSE);
    (VOID) KeWaitForSingleObject(&Shared->Leave, Executive, KernelMode, FALSE, NULL);
    ExReleasePushLockSharedEx(&Shared->Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    KeLeaveCriticalRegion();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI WantExclusive(PVOID Context)
{
    SHARED *Shared = Context;

    KeEnterCriticalRegion();
    ExAcquirePushLockExclusiveEx(&Shared->Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    (VOID) InterlockedIncrement(&Shared->Writers);
    ExReleasePushLockExclusiveEx(&Shared->Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    KeLeaveCriticalRegion();
    (VOID) PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Two hold it shared at the same time; who wants it exclusively waits until both are out. */
static VOID PushLockShares(VOID)
{
    SHARED *Shared = TestAllocate(sizeof(*Shared));
    PVOID Reader;
    PVOID Writer;

    REQUIRE(Shared != NULL);
    ExInitializePushLock(&Shared->Lock);
    KeInitializeEvent(&Shared->Inside, NotificationEvent, FALSE);
    KeInitializeEvent(&Shared->Leave, NotificationEvent, FALSE);
    Reader = TestStart(HoldShared, Shared);
    (VOID) KeWaitForSingleObject(&Shared->Inside, Executive, KernelMode, FALSE, NULL);
    KeEnterCriticalRegion();
    ExAcquirePushLockSharedEx(&Shared->Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    Writer = TestStart(WantExclusive, Shared);
    SleepMilliseconds(20);
    EXPECT_EQUAL(Shared->Writers, 0);
    ExReleasePushLockSharedEx(&Shared->Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    KeLeaveCriticalRegion();
    SleepMilliseconds(20);
    EXPECT_EQUAL(Shared->Writers, 0);
    (VOID) KeSetEvent(&Shared->Leave, IO_NO_INCREMENT, FALSE);
    TestJoin(Reader);
    TestJoin(Writer);
    EXPECT_EQUAL(Shared->Writers, 1);
    TestFree(Shared);
}

/* At APC_LEVEL no APC is delivered: no critical region is needed. The level stays as it is. */
static VOID PushLockAtApcLevel(VOID)
{
    EX_PUSH_LOCK Lock;
    KIRQL Irql;

    KeRaiseIrql(APC_LEVEL, &Irql);
    ExInitializePushLock(&Lock);
    ExAcquirePushLockExclusiveEx(&Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    ExReleasePushLockExclusiveEx(&Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    ExAcquirePushLockSharedEx(&Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    ExReleasePushLockSharedEx(&Lock, EX_DEFAULT_PUSH_LOCK_FLAGS);
    EXPECT_EQUAL(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(Irql);
}

/* ---- broken rules ---- */

static EX_PUSH_LOCK Broken;

static VOID PushLockTwice(VOID)
{
    ExInitializePushLock(&Broken);
    KeEnterCriticalRegion();
    ExAcquirePushLockExclusive(&Broken);
    ExAcquirePushLockExclusive(&Broken);
}

static VOID PushLockSharedTwice(VOID)
{
    ExInitializePushLock(&Broken);
    KeEnterCriticalRegion();
    ExAcquirePushLockShared(&Broken);
    ExAcquirePushLockShared(&Broken);
}

static VOID PushLockWithApcs(VOID)
{
    ExInitializePushLock(&Broken);
    ExAcquirePushLockExclusive(&Broken);
}

static VOID PushLockSharedWithApcs(VOID)
{
    ExInitializePushLock(&Broken);
    ExAcquirePushLockShared(&Broken);
}

static VOID PushLockReleasedFree(VOID)
{
    ExInitializePushLock(&Broken);
    KeEnterCriticalRegion();
    ExReleasePushLockExclusive(&Broken);
}

static VOID PushLockReleasedWrongly(VOID)
{
    ExInitializePushLock(&Broken);
    KeEnterCriticalRegion();
    ExAcquirePushLockExclusive(&Broken);
    ExReleasePushLockShared(&Broken);
}

TEST_TABLE(ex_push_lock){
    TEST(PushLockExcludes, TEST_SCHEDULES | TEST_CPUS(4)),
    TEST(PushLockShares, TEST_SCHEDULES),
    TEST(PushLockAtApcLevel, 0),
    TEST_VIOLATION(PushLockTwice, "push-lock-recursive", 0),
    TEST_VIOLATION(PushLockSharedTwice, "push-lock-recursive", 0),
    TEST_VIOLATION(PushLockWithApcs, "apcs-enabled", 0xC4),
    TEST_VIOLATION(PushLockSharedWithApcs, "apcs-enabled", 0xC4),
    TEST_VIOLATION(PushLockReleasedFree, "push-lock-release", 0),
    TEST_VIOLATION(PushLockReleasedWrongly, "lock-release-mismatch", 0),
    TEST_END,
};
