/* Reinitialization routines: "DRIVER_REINITIALIZE", "Writing a Reinitialize Routine". */
#include "nttest.h"

#define CALLS 2u

static struct {
    PDRIVER_OBJECT Driver;
    BOOLEAN EntryOver;
    KEVENT Done;
    ULONG Calls;
    ULONG Count[CALLS];
    BOOLEAN Right[CALLS]; /* driver object, context, IRQL, and after DriverEntry */
} Seen;

static VOID NTAPI Reinitialize(PDRIVER_OBJECT DriverObject, PVOID Context, ULONG Count)
{
    ULONG Call = Seen.Calls;

    Seen.Count[Call] = Count;
    Seen.Right[Call] =
        DriverObject == Seen.Driver && Context == &Seen && KeGetCurrentIrql() == PASSIVE_LEVEL && Seen.EntryOver;
    Seen.Calls = Call + 1;
    if (Seen.Calls < CALLS)
        IoRegisterDriverReinitialization(DriverObject, Reinitialize, Context);
    else
        (VOID) KeSetEvent(&Seen.Done, IO_NO_INCREMENT, FALSE);
}

VOID TestReinitializeInitialize(PDRIVER_OBJECT DriverObject)
{
    Seen.Driver = DriverObject;
    KeInitializeEvent(&Seen.Done, NotificationEvent, FALSE);
}

VOID TestReinitializeRegister(VOID)
{
    IoRegisterDriverReinitialization(Seen.Driver, Reinitialize, &Seen);
    Seen.EntryOver = TRUE;
}

static BOOLEAN WaitForCalls(VOID)
{
    LARGE_INTEGER Timeout = InMilliseconds(60000);

    return KeWaitForSingleObject(&Seen.Done, Executive, KernelMode, FALSE, &Timeout) == STATUS_SUCCESS;
}

static VOID ReinitializedAfterDriverEntry(VOID)
{
    REQUIRE(WaitForCalls());
    EXPECT_TRUE(Seen.Right[0]);
    EXPECT_EQUAL(Seen.Count[0], 1);
}

static VOID ReinitializedAgain(VOID)
{
    REQUIRE(WaitForCalls());
    EXPECT_EQUAL(Seen.Calls, CALLS);
    EXPECT_TRUE(Seen.Right[1]);
    EXPECT_EQUAL(Seen.Count[1], 2);
}

TEST_TABLE(io_reinitialize){
    TEST(ReinitializedAfterDriverEntry, TEST_SCHEDULES),
    TEST(ReinitializedAgain, TEST_DEVICE),
    TEST_END,
};
