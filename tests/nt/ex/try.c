/*
 * __try, __except and __finally around what the kernel raises, after Microsoft's "try-except statement (C)",
 * "try-finally statement (C)" and "Writing a termination handler". mingw-w64's gcc has none of them: the cases are for
 * pvsim and for a driver built with Microsoft's compiler.
 */
#include "nttest.h"

#if defined(__try) || defined(_MSC_VER)

/* What was done, a hexadecimal digit for each step. */
static ULONG Trace;

static VOID Step(ULONG Digit)
{
    Trace = Trace * 16 + Digit;
}

static LONG Filter(ULONG Digit, LONG Disposition)
{
    Step(Digit);
    return Disposition;
}

/* "If an exception occurs during execution of the guarded section, ..." */
static VOID ExceptHandlesStatus(VOID)
{
    volatile NTSTATUS Status = STATUS_SUCCESS;

    Trace = 0;
    __try {
        Step(1);
        ExRaiseStatus(STATUS_CANCELLED);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Status = GetExceptionCode();
        Step(2);
    }
    Step(3);
    EXPECT_STATUS(Status, STATUS_CANCELLED);
    EXPECT_EQUAL(Trace, 0x123);
}

static VOID ExceptHandlesAccessViolation(VOID)
{
    volatile NTSTATUS Status = STATUS_SUCCESS;

    __try {
        ExRaiseAccessViolation();
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Status = GetExceptionCode();
    }
    EXPECT_STATUS(Status, STATUS_ACCESS_VIOLATION);
}

static VOID RaiseThroughFinally(VOID)
{
    __try {
        Step(1);
        ExRaiseStatus(STATUS_CANCELLED);
    } __finally {
        Step(AbnormalTermination() ? 2 : 3);
    }
}

/* Filters first, from the inside out; then the termination handlers on the way; then the handler. */
static VOID FiltersRunBeforeUnwinding(VOID)
{
    Trace = 0;
    __try {
        __try {
            __try {
                RaiseThroughFinally();
            } __except (Filter(4, EXCEPTION_CONTINUE_SEARCH)) {
                Step(5);
            }
        } __finally {
            Step(6);
        }
    } __except (Filter(7, EXCEPTION_EXECUTE_HANDLER)) {
        Step(8);
    }
    EXPECT_EQUAL(Trace, 0x147268);
}

/* "A status of STATUS_NONCONTINUABLE_EXCEPTION": the exceptions of ExRaiseStatus are noncontinuable. */
static VOID ContinuingIsRefused(VOID)
{
    volatile NTSTATUS Status = STATUS_SUCCESS;

    Trace = 0;
    __try {
        ExRaiseStatus(STATUS_CANCELLED);
        Step(1);
    } __except (GetExceptionCode() == STATUS_CANCELLED ? EXCEPTION_CONTINUE_EXECUTION : EXCEPTION_EXECUTE_HANDLER) {
        Status = GetExceptionCode();
    }
    EXPECT_EQUAL(Trace, 0);
    EXPECT_STATUS(Status, STATUS_NONCONTINUABLE_EXCEPTION);
}

static ULONG Leave(ULONG How)
{
    ULONG Local = How;

    __try {
        Step(1);
        if (How == 1)
            return Local + 40;
        if (How == 2)
            goto Out;
        if (How == 3)
            __leave;
        Step(2);
    } __finally {
        Local += 10;
        Step(AbnormalTermination() ? 0xA : 0xB);
    }
    Step(3);
Out:
    Step(4);
    return Local;
}

/* "the termination handler is executed regardless of how the block is exited"; only __leave and the end are normal. */
static VOID FinallyRunsAtReturn(VOID)
{
    Trace = 0;
    EXPECT_EQUAL(Leave(1), 41);
    EXPECT_EQUAL(Trace, 0x1A);
}

static VOID FinallyRunsAtGoto(VOID)
{
    Trace = 0;
    EXPECT_EQUAL(Leave(2), 12);
    EXPECT_EQUAL(Trace, 0x1A4);
}

static VOID FinallyIsNormalAtLeave(VOID)
{
    Trace = 0;
    EXPECT_EQUAL(Leave(3), 13);
    EXPECT_EQUAL(Trace, 0x1B34);
    Trace = 0;
    EXPECT_EQUAL(Leave(0), 10);
    EXPECT_EQUAL(Trace, 0x12B34);
}

static VOID FinallyRunsInLoops(VOID)
{
    ULONG Index;

    Trace = 0;
    for (Index = 0; Index < 5; Index++) {
        __try {
            if (Index == 1)
                continue;
            if (Index == 2)
                break;
            Step(1);
        } __finally {
            Step(AbnormalTermination() ? 0xA : 0xB);
        }
        Step(2);
    }
    EXPECT_EQUAL(Index, 2);
    EXPECT_EQUAL(Trace, 0x1B2AA);
}

static ULONG LeaveTwo(VOID)
{
    __try {
        __try {
            return 1;
        } __finally {
            Step(1);
        }
    } __finally {
        Step(2);
    }
    return 2;
}

static VOID FinallyBlocksRunInsideOut(VOID)
{
    Trace = 0;
    EXPECT_EQUAL(LeaveTwo(), 1);
    EXPECT_EQUAL(Trace, 0x12);
}

/* An exception in the block takes the place of the return that led there. */
static ULONG RaiseWhileLeaving(VOID)
{
    __try {
        __try {
            return 1;
        } __finally {
            Step(1);
            ExRaiseStatus(STATUS_TIMEOUT);
        }
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        Step(2);
    }
    return 2;
}

static VOID ExceptionReplacesReturn(VOID)
{
    Trace = 0;
    EXPECT_EQUAL(RaiseWhileLeaving(), 2);
    EXPECT_EQUAL(Trace, 0x12);
}

#endif

TEST_TABLE(ex_try)
{
#if defined(__try) || defined(_MSC_VER)
    TEST(ContinuingIsRefused, 0), TEST(ExceptHandlesAccessViolation, 0), TEST(ExceptHandlesStatus, TEST_SCHEDULES),
        TEST(ExceptionReplacesReturn, 0), TEST(FiltersRunBeforeUnwinding, TEST_SCHEDULES),
        TEST(FinallyBlocksRunInsideOut, 0), TEST(FinallyIsNormalAtLeave, 0), TEST(FinallyRunsAtGoto, 0),
        TEST(FinallyRunsAtReturn, TEST_SCHEDULES), TEST(FinallyRunsInLoops, 0),
#endif
        TEST_END
};
