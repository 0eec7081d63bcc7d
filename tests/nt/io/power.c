/*
 * Power requests of devices: PoRequestPowerIrp, PoSetPowerState, PoStartNextPowerIrp, IRP_MN_QUERY_POWER,
 * IRP_MN_SET_POWER, IRP_MN_WAIT_WAKE, PoSetSystemWake, PoGetSystemWake, idle detection. On the child of the driver's
 * bus. And callbacks for power settings.
 */
#include "bus.h"

#define CHILD TestBusChild(0)

typedef struct _ANSWER {
    KEVENT Done;
    ULONG Calls;
    PDEVICE_OBJECT DeviceObject;
    UCHAR Minor;
    POWER_STATE State;
    NTSTATUS Status;
} ANSWER;

static REQUEST_POWER_COMPLETE Answered;

static VOID NTAPI Answered(PDEVICE_OBJECT DeviceObject, UCHAR MinorFunction, POWER_STATE PowerState, PVOID Context,
                           PIO_STATUS_BLOCK IoStatus)
{
    ANSWER *Answer = Context;

    Answer->Calls++;
    Answer->DeviceObject = DeviceObject;
    Answer->Minor = MinorFunction;
    Answer->State = PowerState;
    Answer->Status = IoStatus->Status;
    (VOID) KeSetEvent(&Answer->Done, IO_NO_INCREMENT, FALSE);
}

static NTSTATUS Ask(ANSWER *Answer, UCHAR Minor, DEVICE_POWER_STATE State)
{
    POWER_STATE Power = {.DeviceState = State};

    RtlZeroMemory(Answer, sizeof(*Answer));
    KeInitializeEvent(&Answer->Done, NotificationEvent, FALSE);
    return PoRequestPowerIrp(CHILD->Pdo, Minor, Power, Answered, Answer, NULL);
}

static VOID Await(ANSWER *Answer)
{
    (VOID) KeWaitForSingleObject(&Answer->Done, Executive, KernelMode, FALSE, NULL);
}

/* From the top of the stack to the bus driver, which sets the state; the callback hears how it ended. */
static VOID PowerSet(VOID)
{
    ANSWER Answer;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    TestBusForget();
    EXPECT_STATUS(Ask(&Answer, IRP_MN_SET_POWER, PowerDeviceD0), STATUS_PENDING);
    Await(&Answer);
    EXPECT_EQUAL(Answer.Calls, 1);
    EXPECT_TRUE(Answer.DeviceObject == CHILD->Pdo);
    EXPECT_EQUAL(Answer.Minor, IRP_MN_SET_POWER);
    EXPECT_EQUAL(Answer.State.DeviceState, PowerDeviceD0);
    EXPECT_STATUS(Answer.Status, STATUS_SUCCESS);
    EXPECT_STEPS({FUNCTION, POWER(IRP_MN_SET_POWER), 0}, {BUS, POWER(IRP_MN_SET_POWER), 0});
    EXPECT_STATUS(Ask(&Answer, IRP_MN_SET_POWER, PowerDeviceD3), STATUS_PENDING);
    Await(&Answer);
    EXPECT_EQUAL(CHILD->PowerBefore.DeviceState, PowerDeviceD0); /* PoSetPowerState returns the state before */
    EXPECT_STATUS(Ask(&Answer, IRP_MN_SET_POWER, PowerDeviceD0), STATUS_PENDING);
    Await(&Answer);
    EXPECT_EQUAL(CHILD->PowerBefore.DeviceState, PowerDeviceD3);
    EXPECT_EQUAL(CHILD->Irql, PASSIVE_LEVEL); /* both have DO_POWER_PAGABLE */
    TestBusUnplug(0);
}

static VOID PowerSetAtDispatchLevel(VOID)
{
    NTSTATUS Status;
    ANSWER Answer;
    KIRQL Irql;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Status = Ask(&Answer, IRP_MN_SET_POWER, PowerDeviceD3);
    KeLowerIrql(Irql);
    EXPECT_STATUS(Status, STATUS_PENDING);
    Await(&Answer);
    EXPECT_STATUS(Answer.Status, STATUS_SUCCESS);
    EXPECT_EQUAL(CHILD->Irql, PASSIVE_LEVEL);
    TestBusUnplug(0);
}

/* Asked for, nothing is set; a driver may refuse. */
static VOID PowerQueried(VOID)
{
    ANSWER Answer;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    TestBusForget();
    EXPECT_STATUS(Ask(&Answer, IRP_MN_QUERY_POWER, PowerDeviceD3), STATUS_PENDING);
    Await(&Answer);
    EXPECT_STATUS(Answer.Status, STATUS_SUCCESS);
    EXPECT_EQUAL(Answer.Minor, IRP_MN_QUERY_POWER);
    EXPECT_STEPS({FUNCTION, POWER(IRP_MN_QUERY_POWER), 0}, {BUS, POWER(IRP_MN_QUERY_POWER), 0});
    EXPECT_FALSE(TestBusSeen(BUS, POWER(IRP_MN_SET_POWER), 0));
    EXPECT_STATUS(Ask(&Answer, IRP_MN_SET_POWER, PowerDeviceD0), STATUS_PENDING); /* nothing comes of it: say so */
    Await(&Answer);
    EXPECT_STATUS(Answer.Status, STATUS_SUCCESS);
    CHILD->PowerStatus = STATUS_DEVICE_BUSY;
    EXPECT_STATUS(Ask(&Answer, IRP_MN_QUERY_POWER, PowerDeviceD3), STATUS_PENDING);
    Await(&Answer);
    EXPECT_STATUS(Answer.Status, STATUS_DEVICE_BUSY);
    CHILD->PowerStatus = STATUS_DEVICE_NOT_READY;
    EXPECT_STATUS(Ask(&Answer, IRP_MN_SET_POWER, PowerDeviceD0), STATUS_PENDING);
    Await(&Answer);
    EXPECT_STATUS(Answer.Status, STATUS_DEVICE_NOT_READY);
    TestBusUnplug(0);
}

static VOID PowerOfAnotherKind(VOID)
{
    ANSWER Answer;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_STATUS(Ask(&Answer, IRP_MN_POWER_SEQUENCE, PowerDeviceD0), STATUS_INVALID_PARAMETER_2);
    SleepMilliseconds(20);
    EXPECT_EQUAL(Answer.Calls, 0);
    EXPECT_FALSE(TestBusSeen(FUNCTION, POWER(IRP_MN_POWER_SEQUENCE), 0));
    TestBusUnplug(0);
}

/* No driver of this stack handles it: it comes back as it went. */
static VOID PowerSequenceUnhandled(VOID)
{
    IO_STACK_LOCATION Stack = {.MajorFunction = IRP_MJ_POWER, .MinorFunction = IRP_MN_POWER_SEQUENCE};

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_STATUS(TestSend(CHILD->Function, &Stack, NULL), STATUS_NOT_SUPPORTED);
    EXPECT_STEPS({FUNCTION, POWER(IRP_MN_POWER_SEQUENCE), 0}, {BUS, POWER(IRP_MN_POWER_SEQUENCE), 0});
    TestBusUnplug(0);
}

static NTSTATUS Arm(ANSWER *Answer, PIRP *Irp)
{
    POWER_STATE Power = {.SystemState = PowerSystemSleeping3};

    RtlZeroMemory(Answer, sizeof(*Answer));
    KeInitializeEvent(&Answer->Done, NotificationEvent, FALSE);
    return PoRequestPowerIrp(CHILD->Pdo, IRP_MN_WAIT_WAKE, Power, Answered, Answer, Irp);
}

/* Pending until the bus driver finds that the device woke, or until the driver that sent it cancels it. */
static VOID PowerWaitWake(VOID)
{
    PIRP Irp = NULL;
    ANSWER Answer;
    PIRP Wake;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    TestBusForget();
    EXPECT_STATUS(Arm(&Answer, &Irp), STATUS_PENDING);
    EXPECT_STEPS({FUNCTION, POWER(IRP_MN_WAIT_WAKE), 0}, {BUS, POWER(IRP_MN_WAIT_WAKE), 0});
    EXPECT_TRUE(Irp != NULL);
    EXPECT_TRUE(Irp == CHILD->Wake);
    EXPECT_EQUAL(CHILD->WakeState, PowerSystemSleeping3);
    SleepMilliseconds(20);
    EXPECT_EQUAL(Answer.Calls, 0);
    Wake = CHILD->Wake;
    REQUIRE(Wake != NULL);
    (VOID) IoSetCancelRoutine(Wake, NULL);
    (VOID) TestComplete(Wake, STATUS_SUCCESS, 0);
    Await(&Answer);
    EXPECT_STATUS(Answer.Status, STATUS_SUCCESS);
    EXPECT_EQUAL(Answer.Minor, IRP_MN_WAIT_WAKE);

    EXPECT_STATUS(Arm(&Answer, &Irp), STATUS_PENDING);
    EXPECT_TRUE(IoCancelIrp(Irp));
    Await(&Answer);
    EXPECT_STATUS(Answer.Status, STATUS_CANCELLED);
    TestBusUnplug(0);
}

/* A wait/wake IRP is one of a device, until the bus driver says that the device woke the system. */
static VOID PowerSystemWake(VOID)
{
    PIRP Irp = NULL;
    ANSWER Answer;
    BOOLEAN Before;
    BOOLEAN After;
    PIRP Wake;
    KIRQL Irql;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_STATUS(Arm(&Answer, &Irp), STATUS_PENDING);
    Wake = CHILD->Wake;
    REQUIRE(Wake != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Before = PoGetSystemWake(Wake);
    PoSetSystemWake(Wake);
    After = PoGetSystemWake(Wake);
    KeLowerIrql(Irql);
    EXPECT_FALSE(Before);
    EXPECT_TRUE(After);
    (VOID) IoSetCancelRoutine(Wake, NULL);
    (VOID) TestComplete(Wake, STATUS_SUCCESS, 0);
    Await(&Answer);
    EXPECT_STATUS(Answer.Status, STATUS_SUCCESS);
    TestBusUnplug(0);
}

/* ---- idle detection ---- */

/* Whether the power manager has sent the child into D3. */
static BOOLEAN WentIdle(VOID)
{
    return TestBusSeen(BUS, POWER(IRP_MN_SET_POWER), 0);
}

/* The time-outs of both policies are the same: which one is in force depends on the machine. */
static PULONG DetectIdle(ULONG Seconds)
{
    ANSWER Answer;

    EXPECT_STATUS(Ask(&Answer, IRP_MN_SET_POWER, PowerDeviceD0), STATUS_PENDING);
    Await(&Answer);
    TestBusForget();
    return PoRegisterDeviceForIdleDetection(CHILD->Pdo, Seconds, Seconds, PowerDeviceD3);
}

/* After the time-out IRP_MN_SET_POWER goes down the stack. */
static VOID IdleDeviceSentToSleep(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_TRUE(DetectIdle(3) != NULL);
    EXPECT_FALSE(WentIdle());
    EXPECT_TRUE(TestBusWait(BUS, POWER(IRP_MN_SET_POWER), 0));
    EXPECT_STEPS({FUNCTION, POWER(IRP_MN_SET_POWER), 0}, {BUS, POWER(IRP_MN_SET_POWER), 0});
    EXPECT_TRUE(PoRegisterDeviceForIdleDetection(CHILD->Pdo, 0, 0, PowerDeviceD3) == NULL);
    TestBusUnplug(0);
}

/* No time-outs: none is detected any more. Those of the device's class there are for disks alone. */
static VOID IdleDetectionCancelled(VOID)
{
    KIRQL Irql;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_TRUE(PoRegisterDeviceForIdleDetection(CHILD->Pdo, (ULONG)-1, (ULONG)-1, PowerDeviceD3) == NULL);
    EXPECT_TRUE(DetectIdle(3) != NULL);
    KeRaiseIrql(APC_LEVEL, &Irql);
    CHECK(PoRegisterDeviceForIdleDetection(CHILD->Pdo, 0, 0, PowerDeviceD3) == NULL);
    KeLowerIrql(Irql);
    SleepMilliseconds(8000);
    EXPECT_FALSE(WentIdle());
    TestBusUnplug(0);
}

/* Each use starts the countdown anew. */
static VOID IdleDeviceUsed(VOID)
{
    PULONG Counter;
    ULONG Index;
    KIRQL Irql;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    Counter = DetectIdle(5);
    REQUIRE(Counter != NULL);
    for (Index = 0; Index < 6; Index++) {
        SleepMilliseconds(2000);
        KeRaiseIrql(HIGH_LEVEL, &Irql);
        if (Index % 2 == 0)
            PoSetDeviceBusy(Counter);
        else
            PoSetDeviceBusyEx(Counter);
        KeLowerIrql(Irql);
    }
    EXPECT_FALSE(WentIdle());
    EXPECT_TRUE(TestBusWait(BUS, POWER(IRP_MN_SET_POWER), 0));
    TestBusForget();
    PoSetDeviceBusyEx(Counter); /* which does not wake the device */
    SleepMilliseconds(2000);
    EXPECT_FALSE(WentIdle());
    EXPECT_TRUE(PoRegisterDeviceForIdleDetection(CHILD->Pdo, 0, 0, PowerDeviceD3) == NULL);
    TestBusUnplug(0);
}

/* The counter stands still until there are as many ends as starts. */
static VOID IdleDeviceBusyForLong(VOID)
{
    PULONG Counter;
    KIRQL Irql;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    Counter = DetectIdle(3);
    REQUIRE(Counter != NULL);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    PoStartDeviceBusy(Counter);
    PoStartDeviceBusy(Counter);
    KeLowerIrql(Irql);
    SleepMilliseconds(6000);
    KeRaiseIrql(HIGH_LEVEL, &Irql);
    PoEndDeviceBusy(Counter);
    KeLowerIrql(Irql);
    SleepMilliseconds(6000);
    EXPECT_FALSE(WentIdle());
    PoEndDeviceBusy(Counter);
    EXPECT_TRUE(TestBusWait(BUS, POWER(IRP_MN_SET_POWER), 0));
    EXPECT_TRUE(PoRegisterDeviceForIdleDetection(CHILD->Pdo, 0, 0, PowerDeviceD3) == NULL);
    TestBusUnplug(0);
}

/* ---- settings ---- */

typedef struct _SETTING {
    GUID Guid;
    ULONG Length;
    BOOLEAN Wrong;
    KEVENT Called;
} SETTING;

/* GUID_ACDC_POWER_SOURCE */
static const GUID PowerSource = {0x5d3e9a59, 0xe9d5, 0x4b00, {0xa6, 0xbd, 0xff, 0x34, 0xff, 0x51, 0x65, 0x48}};

static NTSTATUS NTAPI SettingChanged(LPCGUID SettingGuid, PVOID Value, ULONG ValueLength, PVOID Context)
{
    SETTING *Setting = Context;

    if (Value == NULL || KeGetCurrentIrql() != PASSIVE_LEVEL)
        Setting->Wrong = TRUE;
    Setting->Guid = *SettingGuid;
    Setting->Length = ValueLength;
    (VOID) KeSetEvent(&Setting->Called, IO_NO_INCREMENT, FALSE);
    return STATUS_SUCCESS;
}

/* The present value comes at once, perhaps before the call returns, whether or not anything changed. */
static VOID PowerSettingCallback(VOID)
{
    LARGE_INTEGER Timeout = InMilliseconds(10000);
    PVOID Handle = NULL;
    SETTING Setting;

    RtlZeroMemory(&Setting, sizeof(Setting));
    KeInitializeEvent(&Setting.Called, NotificationEvent, FALSE);
    EXPECT_STATUS(PoRegisterPowerSettingCallback(NULL, &PowerSource, SettingChanged, &Setting, &Handle),
                  STATUS_SUCCESS);
    EXPECT_TRUE(Handle != NULL);
    EXPECT_STATUS(KeWaitForSingleObject(&Setting.Called, Executive, KernelMode, FALSE, &Timeout), STATUS_SUCCESS);
    EXPECT_TRUE(RtlEqualMemory(&Setting.Guid, &PowerSource, sizeof(GUID)));
    EXPECT_EQUAL(Setting.Length, sizeof(ULONG));
    EXPECT_FALSE(Setting.Wrong);
    EXPECT_STATUS(PoUnregisterPowerSettingCallback(Handle), STATUS_SUCCESS);
}

/* ---- states ---- */

/* Of device and system, apart; the value before is returned. */
static VOID PowerStatesKept(VOID)
{
    POWER_STATE State = {.DeviceState = PowerDeviceD2};
    POWER_STATE Before;
    KIRQL Irql;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    (VOID) PoSetPowerState(CHILD->Function, DevicePowerState, State);
    State.DeviceState = PowerDeviceD0;
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    Before = PoSetPowerState(CHILD->Function, DevicePowerState, State);
    KeLowerIrql(Irql);
    EXPECT_EQUAL(Before.DeviceState, PowerDeviceD2);
    Before = PoSetPowerState(CHILD->Function, DevicePowerState, State);
    EXPECT_EQUAL(Before.DeviceState, PowerDeviceD0);
    TestBusUnplug(0);
}

static DRIVER_DISPATCH StartNext;
static KIRQL StartNextIrql;

static NTSTATUS NTAPI StartNext(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    StartNextIrql = KeGetCurrentIrql();
    PoStartNextPowerIrp(Irp);
    return TestComplete(Irp, STATUS_SUCCESS, 0);
}

/* Since Windows Vista it does nothing; drivers for older systems call it for each power IRP, and get on. */
static VOID PowerStartNext(VOID)
{
    PDEVICE_OBJECT DeviceObject = TestCreateDevice(NULL, 0, StartNext);
    IO_STACK_LOCATION Stack = {.MajorFunction = IRP_MJ_POWER, .MinorFunction = IRP_MN_QUERY_POWER};
    KIRQL Irql;
    PIRP Irp;

    REQUIRE(DeviceObject != NULL);
    EXPECT_STATUS(TestSend(DeviceObject, &Stack, NULL), STATUS_SUCCESS);
    Irp = IoAllocateIrp(1, FALSE);
    REQUIRE(Irp != NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    PoStartNextPowerIrp(Irp);
    KeLowerIrql(Irql);
    IoFreeIrp(Irp);
    EXPECT_EQUAL(StartNextIrql, PASSIVE_LEVEL);
    IoDeleteDevice(DeviceObject);
}

TEST_TABLE(io_power){
    TEST(PowerSet, TEST_DEVICE),
    TEST(PowerSetAtDispatchLevel, TEST_DEVICE),
    TEST(PowerQueried, TEST_DEVICE),
    TEST(PowerOfAnotherKind, TEST_DEVICE),
    TEST(PowerSequenceUnhandled, TEST_DEVICE),
    TEST(PowerWaitWake, TEST_DEVICE),
    TEST(PowerSystemWake, TEST_DEVICE),
    TEST(IdleDeviceSentToSleep, TEST_DEVICE),
    TEST(IdleDetectionCancelled, TEST_DEVICE),
    TEST(IdleDeviceUsed, TEST_DEVICE),
    TEST(IdleDeviceBusyForLong, TEST_DEVICE),
    TEST(PowerSettingCallback, 0),
    TEST(PowerStatesKept, TEST_DEVICE),
    TEST(PowerStartNext, 0),
    TEST_END,
};
