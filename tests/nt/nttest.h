/*
 * The conformance driver: what its case files share. README.md says how a case is written.
 *
 * A file <component>/<object>.c holds cases for one kind of object and ends with their table, whose name is
 * <component>_<object>; the build collects the tables of all files, sorted by name, into one list.
 */
#ifndef NTTEST_H
#define NTTEST_H

#include <ntifs.h>

#include "compat.h"

/* ---- cases ---- */

typedef VOID TEST_FUNCTION(VOID);

typedef struct _TEST_CASE {
    PCSTR Name;
    TEST_FUNCTION *Function;
    ULONG Flags;
    PCSTR Rule; /* of a violation: pvsim's name for the broken rule */
    ULONG
    BugCheck; /* of a violation: the bug check that Windows, with Driver Verifier on, ends in; 0: none documented */
} TEST_CASE;

typedef struct _TEST_SUITE {
    PCSTR Name;
    const TEST_CASE *Cases; /* closed by one without a name */
} TEST_SUITE;

/* On pvsim the case runs under fifo, and then under seeds of pct and random. */
#define TEST_SCHEDULES 0x00000001u
/* The case needs a device of the driver's (TestDevice()): it is skipped where the driver runs as a mere service. */
#define TEST_DEVICE 0x00000002u
/* The fewest processors it can do with, at most 255. Without it: 2 on pvsim, any number on Windows. */
#define TEST_CPUS(_Count) ((ULONG)(_Count) << 8)
#define TEST_CPUS_OF(_Flags) (((_Flags) >> 8) & 0xFFu)

#define TEST_TABLE(_Name) const TEST_CASE TestTable_##_Name[] =
#define TEST(_Function, _Flags)                                                                                        \
    {                                                                                                                  \
#_Function, _Function, _Flags, NULL, 0                                                                         \
    }
/* The case must end in this bug check: it is run in a machine of its own, and on Windows only if named. */
#define TEST_VIOLATION(_Function, _Rule, _BugCheck)                                                                    \
    {                                                                                                                  \
#_Function, _Function, 0, _Rule, _BugCheck                                                                     \
    }
/* The same with a device. */
#define TEST_VIOLATION_DEVICE(_Function, _Rule, _BugCheck)                                                             \
    {                                                                                                                  \
#_Function, _Function, TEST_DEVICE, _Rule, _BugCheck                                                           \
    }
#define TEST_END                                                                                                       \
    {                                                                                                                  \
        NULL, NULL, 0, NULL, 0                                                                                         \
    }

/* What is being run. */
const TEST_CASE *TestCurrent(VOID);

/* ---- expectations ----
 *
 * Each EXPECT_... writes a line "case: expression: value" into the transcript and fails the case if the value is not
 * the expected one; the case goes on. For the thread that the case was called in, whose order of lines is fixed: other
 * threads, DPCs and interrupts use CHECK. Any IRQL.
 */

/* A status, shown by the name of the expected one. */
#define EXPECT_STATUS(_Actual, _Expected)                                                                              \
    TestExpectStatus(__FILE__, __LINE__, #_Actual, (_Actual), #_Expected, (_Expected))
/* Whole numbers. */
#define EXPECT_EQUAL(_Actual, _Expected)                                                                               \
    TestExpectNumber(__FILE__, __LINE__, #_Actual, (LONGLONG)(_Actual), (LONGLONG)(_Expected))
#define EXPECT_TRUE(_Condition) TestExpectTruth(__FILE__, __LINE__, #_Condition, !!(_Condition), TRUE)
#define EXPECT_FALSE(_Condition) TestExpectTruth(__FILE__, __LINE__, #_Condition, !!(_Condition), FALSE)
/* Text that ends in zero: of CHAR, and (ASCII in) WCHAR. */
#define EXPECT_TEXT(_Actual, _Expected) TestExpectText(__FILE__, __LINE__, #_Actual, (_Actual), (_Expected))
#define EXPECT_WIDE(_Actual, _Expected) TestExpectWide(__FILE__, __LINE__, #_Actual, (_Actual), (_Expected))
/* A counted string (ASCII in WCHAR) against text that ends in zero. */
#define EXPECT_UNICODE(_Actual, _Expected) TestExpectUnicode(__FILE__, __LINE__, #_Actual, (_Actual), (_Expected))

/* Where the documentation says nothing: the number goes into the transcript, any is right. */
#define OBSERVE(_What, _Actual) TestObserve((_What), (LONGLONG)(_Actual))

/* Not in the transcript, for loops, other threads and DPCs. */
#define CHECK(_Condition) ((_Condition) ? (VOID)0 : TestFail(__FILE__, __LINE__, #_Condition, "is not so"))
/* The same where the case cannot go on: returns from a function of type VOID. */
#define REQUIRE(_Condition)                                                                                            \
    do {                                                                                                               \
        if (!(_Condition)) {                                                                                           \
            TestFail(__FILE__, __LINE__, #_Condition, "is not so, and the case cannot go on");                         \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

VOID TestExpectStatus(PCSTR File, ULONG Line, PCSTR What, NTSTATUS Actual, PCSTR Name, NTSTATUS Expected);
VOID TestExpectNumber(PCSTR File, ULONG Line, PCSTR What, LONGLONG Actual, LONGLONG Expected);
VOID TestExpectTruth(PCSTR File, ULONG Line, PCSTR What, BOOLEAN Actual, BOOLEAN Expected);
VOID TestExpectText(PCSTR File, ULONG Line, PCSTR What, PCSTR Actual, PCSTR Expected);
VOID TestExpectWide(PCSTR File, ULONG Line, PCSTR What, PCWSTR Actual, PCWSTR Expected);
VOID TestExpectUnicode(PCSTR File, ULONG Line, PCSTR What, PCUNICODE_STRING Actual, PCWSTR Expected);
VOID TestObserve(PCSTR What, LONGLONG Actual);
VOID TestFail(PCSTR File, ULONG Line, PCSTR What, PCSTR Why);

/* ---- tools ---- */

#define TEST_TAG POOL_TAG('N', 't', 'T', 's')

/* In units of 100 ns. */
#define MILLISECOND 10000LL

/* A time that many milliseconds from now. */
LARGE_INTEGER InMilliseconds(LONGLONG Milliseconds);
/* PASSIVE_LEVEL or APC_LEVEL. */
VOID SleepMilliseconds(LONGLONG Milliseconds);

/* A system thread whose end TestJoin() waits for; NULL fails the case. PASSIVE_LEVEL. */
PVOID TestStart(PKSTART_ROUTINE Routine, PVOID Context);
VOID TestJoin(PVOID Thread);

/* The current thread stays on this processor (of group 0) until it may move again. PASSIVE_LEVEL or APC_LEVEL. */
VOID StayOn(ULONG Processor);
VOID MoveFreely(VOID);

/* Zeroed nonpaged pool with TEST_TAG; NULL fails the case. TestFree() gives it back. */
PVOID TestAllocate(SIZE_T Size);
VOID TestFree(PVOID Memory);

/* Of a case with TEST_DEVICE: the function device object, whose driver does nothing but pass on, and what is under it.
 */
PDEVICE_OBJECT TestDevice(VOID);
PDEVICE_OBJECT TestPhysicalDevice(VOID);

/* ---- devices and requests (stack.c) ---- */

PDRIVER_OBJECT TestDriver(VOID);

/*
 * A device object of the case's own: every request to it comes to Dispatch; TestExtension() is Size zeroed bytes. Name
 * may be NULL. NULL fails the case. PASSIVE_LEVEL.
 */
PDEVICE_OBJECT TestCreateDevice(PCWSTR Name, SIZE_T Size, PDRIVER_DISPATCH Dispatch);
PVOID TestExtension(PDEVICE_OBJECT DeviceObject);

/* What a dispatch routine ends with. */
NTSTATUS TestComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information);

/*
 * Sends a request with these parameters to the device, waits for its completion and returns how it ended. Information
 * may be NULL; what it points to is the IRP's IoStatus.Information before and after. PASSIVE_LEVEL.
 */
NTSTATUS TestSend(PDEVICE_OBJECT DeviceObject, const IO_STACK_LOCATION *Parameters, ULONG_PTR *Information);

/* ---- inside the driver ---- */

/* What the extension of each device object of the driver begins with. */
typedef struct _TEST_EXTENSION {
    PDRIVER_DISPATCH Dispatch;
    ULONG_PTR Reserved; /* what follows is aligned to 16 bytes */
} TEST_EXTENSION;

/* Sets the driver's dispatch routines to one that calls the device's own (stack.c). */
VOID TestStackInitialize(PDRIVER_OBJECT DriverObject);
/* A routine to be called after DriverEntry, which registers it last of all (io/reinitialize.c). */
VOID TestReinitializeInitialize(PDRIVER_OBJECT DriverObject);
VOID TestReinitializeRegister(VOID);

/* AddDevice; whether the device is there, or comes soon (device.c). */
VOID TestDeviceInitialize(PDRIVER_OBJECT DriverObject);
BOOLEAN TestDeviceWait(VOID);

/* The list of suites, closed by one without a name (suites.c, made by the build). */
extern const TEST_SUITE TestSuites[];

/* What the table of limits, made from the matrix, says of case number n of the suite `limits` (limits.c). */
typedef struct _TEST_LIMIT {
    PCWSTR Routine;
    KIRQL Irql; /* at which it must not be called */
} TEST_LIMIT;

extern const TEST_LIMIT TestLimits[];
extern const TEST_CASE TestTable_limits[];
TEST_FUNCTION TestCallBeyondLimit;

/* The record of the running case (record.c). */
VOID TestRecordBegin(const TEST_CASE *Case);
/* True if the case passed. Calls Line for each line of the transcript. PASSIVE_LEVEL. */
BOOLEAN TestRecordEnd(VOID (*Line)(PCSTR Text));
NTSTATUS TestRecordInitialize(VOID);
VOID TestRecordTeardown(VOID);

/* The transcript's way out: the debugger and, if the registry names one, a file (transcript.c). PASSIVE_LEVEL. */
VOID TestTranscriptOpen(HANDLE Parameters);
VOID TestTranscriptLine(PCSTR Text);
VOID TestTranscriptClose(VOID);

#endif /* NTTEST_H */
