/*
 * Bug checks of a driver's own, and the registration of callbacks for them: KeBugCheck, KeBugCheckEx,
 * KeInitializeCallbackRecord, KeRegisterBugCheckCallback, KeRegisterBugCheckReasonCallback. (That the callbacks run,
 * and when, is to be seen from outside only: tests/verifier/test_callbacks.c.)
 */
#include "nttest.h"

static UCHAR Component[] = "nttest";
static UCHAR Buffer[16];

static VOID NTAPI Called(PVOID Data, ULONG Length)
{
    UNREFERENCED_PARAMETER(Data);
    UNREFERENCED_PARAMETER(Length);
}

static VOID NTAPI CalledForAReason(KBUGCHECK_CALLBACK_REASON Reason, PKBUGCHECK_REASON_CALLBACK_RECORD Record,
                                   PVOID Data, ULONG Length)
{
    UNREFERENCED_PARAMETER(Reason);
    UNREFERENCED_PARAMETER(Record);
    UNREFERENCED_PARAMETER(Data);
    UNREFERENCED_PARAMETER(Length);
}

static VOID BugCheckCallbackRegistered(VOID)
{
    KBUGCHECK_CALLBACK_RECORD *Record = TestAllocate(sizeof(KBUGCHECK_CALLBACK_RECORD));

    REQUIRE(Record != NULL);
    KeInitializeCallbackRecord(Record);
    EXPECT_FALSE(KeDeregisterBugCheckCallback(Record));
    EXPECT_TRUE(KeRegisterBugCheckCallback(Record, Called, Buffer, sizeof(Buffer), Component));
    EXPECT_FALSE(KeRegisterBugCheckCallback(Record, Called, Buffer, sizeof(Buffer), Component)); /* it is already */
    EXPECT_TRUE(KeDeregisterBugCheckCallback(Record));
    EXPECT_FALSE(KeDeregisterBugCheckCallback(Record));
    TestFree(Record);
}

static VOID BugCheckReasonCallbackRegistered(VOID)
{
    KBUGCHECK_REASON_CALLBACK_RECORD *Record = TestAllocate(sizeof(KBUGCHECK_REASON_CALLBACK_RECORD));

    REQUIRE(Record != NULL);
    KeInitializeCallbackRecord(Record);
    EXPECT_FALSE(KeDeregisterBugCheckReasonCallback(Record));
    EXPECT_TRUE(KeRegisterBugCheckReasonCallback(Record, CalledForAReason, KbCallbackSecondaryDumpData, Component));
    EXPECT_FALSE(KeRegisterBugCheckReasonCallback(Record, CalledForAReason, KbCallbackSecondaryDumpData, Component));
    EXPECT_TRUE(KeDeregisterBugCheckReasonCallback(Record));
    EXPECT_FALSE(KeDeregisterBugCheckReasonCallback(Record));
    TestFree(Record);
}

static VOID BugCheckCallbacksAtHighLevel(VOID)
{
    KBUGCHECK_CALLBACK_RECORD *Record = TestAllocate(sizeof(KBUGCHECK_CALLBACK_RECORD));
    KBUGCHECK_REASON_CALLBACK_RECORD *Reason = TestAllocate(sizeof(KBUGCHECK_REASON_CALLBACK_RECORD));
    KIRQL Irql;

    REQUIRE(Record != NULL && Reason != NULL);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    KeInitializeCallbackRecord(Record);
    KeInitializeCallbackRecord(Reason);
    CHECK(KeRegisterBugCheckCallback(Record, Called, Buffer, sizeof(Buffer), Component));
    CHECK(KeRegisterBugCheckReasonCallback(Reason, CalledForAReason, KbCallbackSecondaryDumpData, Component));
    CHECK(KeDeregisterBugCheckReasonCallback(Reason));
    CHECK(KeDeregisterBugCheckCallback(Record));
    KeLowerIrql(Irql);
    TestFree(Reason);
    TestFree(Record);
    EXPECT_EQUAL(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

/* ---- those end the machine ---- */

static VOID BugCheckOfOurs(VOID)
{
    KeBugCheck(MANUALLY_INITIATED_CRASH);
}

static VOID BugCheckWithParameters(VOID)
{
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, 1, 2, 3, 4);
}

static VOID BugCheckAtHighLevel(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    KeBugCheck(MANUALLY_INITIATED_CRASH);
}

static VOID BugCheckWithParametersAtHighLevel(VOID)
{
    KIRQL Irql;

    KeRaiseIrql(HIGH_LEVEL, &Irql);
    KeBugCheckEx(MANUALLY_INITIATED_CRASH, 1, 2, 3, 4);
}

TEST_TABLE(ke_bugcheck){
    TEST(BugCheckCallbackRegistered, 0),
    TEST(BugCheckReasonCallbackRegistered, 0),
    TEST(BugCheckCallbacksAtHighLevel, 0),
    TEST_VIOLATION(BugCheckOfOurs, "bugcheck", MANUALLY_INITIATED_CRASH),
    TEST_VIOLATION(BugCheckWithParameters, "bugcheck", MANUALLY_INITIATED_CRASH),
    TEST_VIOLATION(BugCheckAtHighLevel, "bugcheck", MANUALLY_INITIATED_CRASH),
    TEST_VIOLATION(BugCheckWithParametersAtHighLevel, "bugcheck", MANUALLY_INITIATED_CRASH),
    TEST_END,
};
