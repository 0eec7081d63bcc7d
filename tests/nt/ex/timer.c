/* Timers that the system allocates: "ExXxxTimer Routines and EX_TIMER Objects", ExAllocateTimer, ExSetTimer, ... */
#include "nttest.h"

#if defined(__MINGW32__)
/* Declared there without what is in them. */
#undef EX_TIMER_NOTIFICATION
#define _EXT_SET_PARAMETERS _TEST_SET_PARAMETERS
#define EXT_SET_PARAMETERS TEST_SET_PARAMETERS
#define PEXT_SET_PARAMETERS PTEST_SET_PARAMETERS
#define _EXT_DELETE_PARAMETERS _TEST_DELETE_PARAMETERS
#define EXT_DELETE_PARAMETERS TEST_DELETE_PARAMETERS
#define PEXT_DELETE_PARAMETERS PTEST_DELETE_PARAMETERS
typedef struct _EX_TIMER *PEX_TIMER;
typedef VOID NTAPI EXT_CALLBACK(PEX_TIMER Timer, PVOID Context);
typedef EXT_CALLBACK *PEXT_CALLBACK;
typedef VOID NTAPI EXT_DELETE_CALLBACK(PVOID Context);
typedef EXT_DELETE_CALLBACK *PEXT_DELETE_CALLBACK;
typedef struct _EXT_SET_PARAMETERS {
    ULONG Version;
    ULONG Reserved;
    LONGLONG NoWakeTolerance;
} EXT_SET_PARAMETERS, *PEXT_SET_PARAMETERS;
typedef struct _EXT_DELETE_PARAMETERS {
    ULONG Version;
    ULONG Reserved;
    PEXT_DELETE_CALLBACK DeleteCallback;
    PVOID DeleteContext;
} EXT_DELETE_PARAMETERS, *PEXT_DELETE_PARAMETERS;
#define EX_TIMER_HIGH_RESOLUTION 4
#define EX_TIMER_NO_WAKE 8
#define EX_TIMER_NOTIFICATION 0x80000000u
#define EX_TIMER_UNLIMITED_TOLERANCE ((LONGLONG)-1)
#define ExInitializeSetTimerParameters(_Parameters) RtlZeroMemory((_Parameters), sizeof(*(_Parameters)))
#define ExInitializeDeleteTimerParameters(_Parameters) RtlZeroMemory((_Parameters), sizeof(*(_Parameters)))
#endif

/* Windows 8.1 and later, not in every import library: looked up. */
static struct {
    PEX_TIMER(NTAPI *Allocate)(PEXT_CALLBACK Callback, PVOID CallbackContext, ULONG Attributes);
    BOOLEAN(NTAPI *Set)(PEX_TIMER Timer, LONGLONG DueTime, LONGLONG Period, PEXT_SET_PARAMETERS Parameters);
    BOOLEAN(NTAPI *Cancel)(PEX_TIMER Timer, PVOID Parameters);
    BOOLEAN(NTAPI *Delete)(PEX_TIMER Timer, BOOLEAN Cancel, BOOLEAN Wait, PEXT_DELETE_PARAMETERS Parameters);
} Ex;

static PVOID Routine(PCWSTR RoutineName)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, RoutineName);
    return MmGetSystemRoutineAddress(&Name);
}

static BOOLEAN Prepare(VOID)
{
    *(PVOID *)&Ex.Allocate = Routine(L"ExAllocateTimer");
    *(PVOID *)&Ex.Set = Routine(L"ExSetTimer");
    *(PVOID *)&Ex.Cancel = Routine(L"ExCancelTimer");
    *(PVOID *)&Ex.Delete = Routine(L"ExDeleteTimer");
    return Ex.Allocate != NULL && Ex.Set != NULL && Ex.Cancel != NULL && Ex.Delete != NULL;
}

typedef struct _COUNTS {
    LONG volatile Calls;
    LONG volatile Deletions;
    PEX_TIMER volatile Seen;
    BOOLEAN volatile Deleted; /* by its own callback */
} COUNTS;

static VOID NTAPI Tick(PEX_TIMER Timer, PVOID Context)
{
    COUNTS *Counts = Context;

    CHECK(KeGetCurrentIrql() == DISPATCH_LEVEL);
    Counts->Seen = Timer;
    (VOID) InterlockedIncrement(&Counts->Calls);
}

static VOID NTAPI TickOnce(PEX_TIMER Timer, PVOID Context)
{
    COUNTS *Counts = Context;

    (VOID) InterlockedIncrement(&Counts->Calls);
    Counts->Deleted = Ex.Delete(Timer, FALSE, FALSE, NULL) == FALSE;
}

static VOID NTAPI Gone(PVOID Context)
{
    (VOID) InterlockedIncrement(&((COUNTS *)Context)->Deletions);
}

/* ---- expiry ---- */

/* One expiry calls the routine once, at DISPATCH_LEVEL, with the timer and the context; not sooner than due. */
static VOID ExTimerExpires(VOID)
{
    COUNTS Counts = {.Calls = 0};
    ULONG64 Before;
    PEX_TIMER Timer;

    REQUIRE(Prepare());
    Timer = Ex.Allocate(Tick, &Counts, EX_TIMER_HIGH_RESOLUTION);
    REQUIRE(Timer != NULL);
    Before = KeQueryInterruptTime();
    EXPECT_FALSE(Ex.Set(Timer, -5 * MILLISECOND, 0, NULL));
    EXPECT_STATUS(KeWaitForSingleObject(Timer, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    EXPECT_TRUE(KeQueryInterruptTime() - Before >= 4 * MILLISECOND);
    SleepMilliseconds(40);
    EXPECT_EQUAL(Counts.Calls, 1);
    EXPECT_TRUE(Counts.Seen == Timer);
    EXPECT_FALSE(Ex.Delete(Timer, TRUE, TRUE, NULL)); /* it was not set any more */
}

static VOID ExTimerPeriodic(VOID)
{
    COUNTS Counts = {.Calls = 0};
    PEX_TIMER Timer;
    LONG Before;

    REQUIRE(Prepare());
    Timer = Ex.Allocate(Tick, &Counts, EX_TIMER_HIGH_RESOLUTION);
    REQUIRE(Timer != NULL);
    EXPECT_FALSE(Ex.Set(Timer, -5 * MILLISECOND, 2 * MILLISECOND, NULL)); /* both in 100 ns */
    SleepMilliseconds(200);
    EXPECT_TRUE(Counts.Calls >= 5);
    EXPECT_TRUE(Ex.Delete(Timer, TRUE, TRUE, NULL)); /* cancelled, and no call is under way any more */
    Before = Counts.Calls;
    SleepMilliseconds(60);
    EXPECT_EQUAL(Counts.Calls, Before);
}

/* Without a routine it is an object to wait for; a synchronization timer releases one wait, a notification timer all.
 */
static VOID ExTimerWaitedFor(VOID)
{
    LARGE_INTEGER Zero = {.QuadPart = 0};
    PEX_TIMER Timer;

    REQUIRE(Prepare());
    Timer = Ex.Allocate(NULL, NULL, 0);
    REQUIRE(Timer != NULL);
    EXPECT_FALSE(Ex.Set(Timer, -1 * MILLISECOND, 0, NULL));
    EXPECT_STATUS(KeWaitForSingleObject(Timer, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    EXPECT_STATUS(KeWaitForSingleObject(Timer, Executive, KernelMode, FALSE, &Zero), STATUS_TIMEOUT);
    EXPECT_FALSE(Ex.Delete(Timer, TRUE, FALSE, NULL));
    Timer = Ex.Allocate(NULL, NULL, EX_TIMER_NOTIFICATION);
    REQUIRE(Timer != NULL);
    EXPECT_FALSE(Ex.Set(Timer, -1 * MILLISECOND, 0, NULL));
    EXPECT_STATUS(KeWaitForSingleObject(Timer, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    EXPECT_STATUS(KeWaitForSingleObject(Timer, Executive, KernelMode, FALSE, &Zero), STATUS_SUCCESS);
    EXPECT_FALSE(Ex.Delete(Timer, TRUE, FALSE, NULL));
}

/* ---- cancelled, set again, deleted ---- */

static VOID ExTimerCancelled(VOID)
{
    COUNTS Counts = {.Calls = 0};
    PEX_TIMER Timer;

    REQUIRE(Prepare());
    Timer = Ex.Allocate(Tick, &Counts, 0);
    REQUIRE(Timer != NULL);
    EXPECT_FALSE(Ex.Cancel(Timer, NULL)); /* never set */
    EXPECT_FALSE(Ex.Set(Timer, -50 * MILLISECOND, 0, NULL));
    EXPECT_TRUE(Ex.Cancel(Timer, NULL));
    EXPECT_FALSE(Ex.Cancel(Timer, NULL));
    SleepMilliseconds(100);
    EXPECT_EQUAL(Counts.Calls, 0);
    EXPECT_FALSE(Ex.Set(Timer, -50 * MILLISECOND, 0, NULL));
    EXPECT_TRUE(Ex.Set(Timer, -200 * MILLISECOND, 0, NULL)); /* it was set: that one is off */
    SleepMilliseconds(100);
    EXPECT_EQUAL(Counts.Calls, 0);
    EXPECT_TRUE(Ex.Delete(Timer, TRUE, TRUE, NULL));
    SleepMilliseconds(200);
    EXPECT_EQUAL(Counts.Calls, 0);
}

/* Not cancelled, it expires before it goes; its deletion routine is the last that is called. From its own routine too.
 */
static VOID ExTimerDeleted(VOID)
{
    EXT_DELETE_PARAMETERS Parameters;
    COUNTS Counts = {.Calls = 0};
    PEX_TIMER Timer;

    REQUIRE(Prepare());
    Timer = Ex.Allocate(Tick, &Counts, 0);
    REQUIRE(Timer != NULL);
    ExInitializeDeleteTimerParameters(&Parameters);
    EXPECT_TRUE(Parameters.DeleteCallback == NULL && Parameters.DeleteContext == NULL);
    Parameters.DeleteCallback = Gone;
    Parameters.DeleteContext = &Counts;
    EXPECT_FALSE(Ex.Set(Timer, -20 * MILLISECOND, 0, NULL));
    EXPECT_FALSE(Ex.Delete(Timer, FALSE, FALSE, &Parameters)); /* FALSE whenever Cancel is */
    SleepMilliseconds(100);
    EXPECT_EQUAL(Counts.Calls, 1);
    EXPECT_EQUAL(Counts.Deletions, 1);

    Counts.Calls = 0;
    Timer = Ex.Allocate(TickOnce, &Counts, 0);
    REQUIRE(Timer != NULL);
    EXPECT_FALSE(Ex.Set(Timer, -1 * MILLISECOND, 0, NULL));
    SleepMilliseconds(100);
    EXPECT_EQUAL(Counts.Calls, 1);
    EXPECT_TRUE(Counts.Deleted);
}

/* A no-wake timer may be given a tolerance; unlimited here: it may be late, and does not have to be. */
static VOID ExTimerTolerance(VOID)
{
    EXT_SET_PARAMETERS Parameters;
    COUNTS Counts = {.Calls = 0};
    PEX_TIMER Timer;

    REQUIRE(Prepare());
    Timer = Ex.Allocate(Tick, &Counts, EX_TIMER_NO_WAKE);
    REQUIRE(Timer != NULL);
    ExInitializeSetTimerParameters(&Parameters);
    EXPECT_EQUAL(Parameters.NoWakeTolerance, 0);
    Parameters.NoWakeTolerance = 30 * MILLISECOND;
    EXPECT_FALSE(Ex.Set(Timer, -5 * MILLISECOND, 0, &Parameters));
    SleepMilliseconds(200);
    EXPECT_EQUAL(Counts.Calls, 1);
    EXPECT_FALSE(Ex.Delete(Timer, TRUE, TRUE, NULL));
}

/* ---- levels ---- */

static VOID ExTimerAtDispatchLevel(VOID)
{
    EXT_DELETE_PARAMETERS Deletion;
    EXT_SET_PARAMETERS Parameters;
    COUNTS Counts = {.Calls = 0};
    PEX_TIMER Timer;
    KIRQL Irql;

    REQUIRE(Prepare());
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Timer = Ex.Allocate(Tick, &Counts, 0);
    CHECK(Timer != NULL);
    if (Timer != NULL) {
        ExInitializeSetTimerParameters(&Parameters);
        ExInitializeDeleteTimerParameters(&Deletion);
        EXPECT_FALSE(Ex.Set(Timer, -500 * MILLISECOND, 0, &Parameters));
        EXPECT_TRUE(Ex.Cancel(Timer, NULL));
        EXPECT_FALSE(Ex.Set(Timer, -500 * MILLISECOND, 0, NULL));
        EXPECT_TRUE(Ex.Delete(Timer, TRUE, FALSE, &Deletion));
    }
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Counts.Calls, 0);
}

/* ---- broken rules ---- */

static VOID ExTimerBothAttributes(VOID)
{
    REQUIRE(Prepare());
    (VOID) Ex.Allocate(NULL, NULL, EX_TIMER_HIGH_RESOLUTION | EX_TIMER_NO_WAKE);
}

static VOID ExTimerWaitWithoutCancel(VOID)
{
    REQUIRE(Prepare());
    (VOID) Ex.Delete(Ex.Allocate(NULL, NULL, 0), FALSE, TRUE, NULL);
}

static VOID ExTimerWaitAtDispatchLevel(VOID)
{
    KIRQL Irql;

    REQUIRE(Prepare());
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    (VOID) Ex.Delete(Ex.Allocate(NULL, NULL, 0), TRUE, TRUE, NULL);
}

static VOID ExTimerHighResolutionAbsolute(VOID)
{
    REQUIRE(Prepare());
    (VOID) Ex.Set(Ex.Allocate(NULL, NULL, EX_TIMER_HIGH_RESOLUTION), 1, 0, NULL);
}

TEST_TABLE(ex_timer){
    TEST(ExTimerExpires, TEST_SCHEDULES),
    TEST(ExTimerPeriodic, TEST_SCHEDULES),
    TEST(ExTimerWaitedFor, 0),
    TEST(ExTimerCancelled, TEST_SCHEDULES),
    TEST(ExTimerDeleted, TEST_SCHEDULES),
    TEST(ExTimerTolerance, 0),
    TEST(ExTimerAtDispatchLevel, 0),
    TEST_VIOLATION(ExTimerBothAttributes, "ex-timer", 0),
    TEST_VIOLATION(ExTimerWaitWithoutCancel, "ex-timer", 0),
    TEST_VIOLATION(ExTimerWaitAtDispatchLevel, "irql", 0),
    TEST_VIOLATION(ExTimerHighResolutionAbsolute, "ex-timer", 0),
    TEST_END,
};
