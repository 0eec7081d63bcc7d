/*
 * A device through every transition, and the failures of each: "State Transitions for PnP Devices", "Starting a
 * Device", "Stopping a Device", "Removing a Device", and the pages of the minor functions. Seen from a bus driver, and
 * from the function driver of its child.
 */
#include "bus.h"

#define CHILD TestBusChild(0)

/* ---- starting ---- */

static VOID PnpStart(VOID)
{
    TestBusReset();
    CHILD->Private = 0x1234;
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_STEPS({PARENT, RELATIONS(BusRelations), 0}, {BUS, ID(BusQueryDeviceID), 0},
                 {BUS, IRP_MN_QUERY_RESOURCE_REQUIREMENTS, 0}, {FUNCTION, ADD_DEVICE, 0},
                 {FUNCTION, IRP_MN_FILTER_RESOURCE_REQUIREMENTS, 0}, {FUNCTION, IRP_MN_START_DEVICE, 0},
                 {BUS, IRP_MN_START_DEVICE, 0}, {FUNCTION, IRP_MN_QUERY_CAPABILITIES, 0},
                 {FUNCTION, IRP_MN_QUERY_PNP_DEVICE_STATE, 0}, {FUNCTION, RELATIONS(BusRelations), 0});
    EXPECT_TRUE(CHILD->StartAfterBus);
    EXPECT_EQUAL(CHILD->StartPrivate, 0x1234); /* raw and translated */
    EXPECT_EQUAL(CHILD->FilteredPrivate, 0x1234);
    EXPECT_EQUAL(CHILD->Irql, PASSIVE_LEVEL);
    EXPECT_FALSE(CHILD->WrongInitialStatus);
    TestBusUnplug(0);
}

/* Without hardware resources there are no lists. */
static VOID PnpStartWithoutResources(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    EXPECT_TRUE(TestBusSeen(BUS, IRP_MN_QUERY_RESOURCES, 0));
    EXPECT_TRUE(TestBusSeen(BUS, IRP_MN_QUERY_RESOURCE_REQUIREMENTS, 0));
    EXPECT_EQUAL(CHILD->StartPrivate, 0);
    EXPECT_EQUAL(CHILD->FilteredPrivate, 0);
    TestBusUnplug(0);
}

/* A failed start is followed by IRP_MN_REMOVE_DEVICE for all drivers of the device, and by no surprise removal. */
static VOID StartFails(BOOLEAN Bus)
{
    TestBusReset();
    if (Bus)
        CHILD->BusStatus[IRP_MN_START_DEVICE] = STATUS_DEVICE_CONFIGURATION_ERROR;
    else
        CHILD->FunctionStatus[IRP_MN_START_DEVICE] = STATUS_INSUFFICIENT_RESOURCES;
    TestBusPlug(0);
    REQUIRE(TestBusWait(BUS, IRP_MN_REMOVE_DEVICE, 0));
    EXPECT_STEPS({FUNCTION, IRP_MN_START_DEVICE, 0}, {BUS, IRP_MN_START_DEVICE, 0}, {FUNCTION, IRP_MN_REMOVE_DEVICE, 0},
                 {BUS, IRP_MN_REMOVE_DEVICE, 0});
    EXPECT_EQUAL(CHILD->StartAfterBus, !Bus);
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_SURPRISE_REMOVAL, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_QUERY_REMOVE_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, RELATIONS(BusRelations), 0));
    EXPECT_TRUE(CHILD->Function == NULL);
    EXPECT_TRUE(CHILD->Pdo != NULL); /* it is still on the bus */
    TestBusUnplug(0);
}

static VOID PnpStartFailsInTheFunctionDriver(VOID)
{
    StartFails(FALSE);
}

static VOID PnpStartFailsInTheBusDriver(VOID)
{
    StartFails(TRUE);
}

/* AddDevice fails: the device is never started. */
static VOID PnpAddDeviceFails(VOID)
{
    TestBusReset();
    CHILD->AddDeviceStatus = STATUS_INSUFFICIENT_RESOURCES;
    TestBusPlug(0);
    REQUIRE(TestBusWait(FUNCTION, ADD_DEVICE, 0));
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(BUS, IRP_MN_START_DEVICE, 0));
    TestBusUnplug(0);
}

/* ---- stopping ---- */

/* The bus wants other resources for a device that must be stopped for it. */
static VOID Rebalance(VOID)
{
    TestBusForget();
    CHILD->State = PNP_DEVICE_FAILED | PNP_DEVICE_RESOURCE_REQUIREMENTS_CHANGED;
    CHILD->Private = 0x5678;
    IoInvalidateDeviceState(CHILD->Pdo);
}

static VOID PnpStopAndStart(VOID)
{
    TestBusReset();
    CHILD->Private = 0x1234;
    REQUIRE(TestBusPlugAndStart(0));
    Rebalance();
    REQUIRE(TestBusWait(FUNCTION, IRP_MN_START_DEVICE, 0));
    TestBusSettle();
    EXPECT_STEPS({FUNCTION, IRP_MN_QUERY_PNP_DEVICE_STATE, 0}, {FUNCTION, IRP_MN_QUERY_STOP_DEVICE, 0},
                 {BUS, IRP_MN_QUERY_STOP_DEVICE, 0}, {FUNCTION, IRP_MN_STOP_DEVICE, 0}, {BUS, IRP_MN_STOP_DEVICE, 0},
                 {FUNCTION, IRP_MN_START_DEVICE, 0}, {BUS, IRP_MN_START_DEVICE, 0});
    EXPECT_TRUE(TestBusSeen(BUS, IRP_MN_QUERY_RESOURCE_REQUIREMENTS, 0));
    EXPECT_TRUE(TestBusSeen(FUNCTION, IRP_MN_FILTER_RESOURCE_REQUIREMENTS, 0));
    EXPECT_EQUAL(CHILD->StartPrivate, 0x5678);
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_CANCEL_STOP_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, ADD_DEVICE, 0));
    /* IRP_MN_QUERY_PNP_DEVICE_STATE is not sent on a start after a stop. */
    EXPECT_FALSE(TestBusOrder((const TEST_STEP[]){
        {FUNCTION, IRP_MN_START_DEVICE, 0}, {FUNCTION, IRP_MN_QUERY_PNP_DEVICE_STATE, 0}, {0, 0, 0}}));
    CHILD->State = 0;
    TestBusUnplug(0);
}

static VOID StopRefused(BOOLEAN Bus)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    if (Bus)
        CHILD->BusStatus[IRP_MN_QUERY_STOP_DEVICE] = STATUS_UNSUCCESSFUL;
    else
        CHILD->FunctionStatus[IRP_MN_QUERY_STOP_DEVICE] = STATUS_UNSUCCESSFUL;
    Rebalance();
    REQUIRE(TestBusWait(BUS, IRP_MN_CANCEL_STOP_DEVICE, 0));
    EXPECT_STEPS({FUNCTION, IRP_MN_QUERY_STOP_DEVICE, 0}, {FUNCTION, IRP_MN_CANCEL_STOP_DEVICE, 0},
                 {BUS, IRP_MN_CANCEL_STOP_DEVICE, 0});
    EXPECT_EQUAL(TestBusSeen(BUS, IRP_MN_QUERY_STOP_DEVICE, 0), Bus); /* who refuses does not pass it on */
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_STOP_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_START_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_SURPRISE_REMOVAL, 0)); /* it runs on */
    CHILD->State = 0;
    TestBusUnplug(0);
}

static VOID PnpQueryStopRefusedByTheFunctionDriver(VOID)
{
    StopRefused(FALSE);
}

static VOID PnpQueryStopRefusedByTheBusDriver(VOID)
{
    StopRefused(TRUE);
}

/* A bus driver's success that asks for the requirements once more, ahead of the stop. */
static VOID PnpQueryStopWithOtherRequirements(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    CHILD->BusStatus[IRP_MN_QUERY_STOP_DEVICE] = STATUS_RESOURCE_REQUIREMENTS_CHANGED;
    Rebalance();
    REQUIRE(TestBusWait(BUS, IRP_MN_START_DEVICE, 0));
    EXPECT_STEPS({BUS, IRP_MN_QUERY_STOP_DEVICE, 0}, {BUS, IRP_MN_QUERY_RESOURCE_REQUIREMENTS, 0},
                 {BUS, IRP_MN_STOP_DEVICE, 0}, {BUS, IRP_MN_START_DEVICE, 0});
    CHILD->State = 0;
    TestBusUnplug(0);
}

/* It does not start again: a surprise removal, then the removal. */
static VOID PnpStartFailsAfterAStop(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    CHILD->FunctionStatus[IRP_MN_START_DEVICE] = STATUS_DEVICE_CONFIGURATION_ERROR;
    Rebalance();
    REQUIRE(TestBusWait(BUS, IRP_MN_REMOVE_DEVICE, 0));
    EXPECT_STEPS({FUNCTION, IRP_MN_STOP_DEVICE, 0}, {FUNCTION, IRP_MN_START_DEVICE, 0},
                 {FUNCTION, IRP_MN_SURPRISE_REMOVAL, 0}, {FUNCTION, IRP_MN_REMOVE_DEVICE, 0});
    CHILD->State = 0;
    TestBusUnplug(0);
}

/* PNP_DEVICE_RESOURCE_REQUIREMENTS_CHANGED alone: a start with the new resources for a device that is started. */
static VOID PnpStartOfAStartedDevice(VOID)
{
    TestBusReset();
    CHILD->Private = 0x1234;
    REQUIRE(TestBusPlugAndStart(0));
    TestBusForget();
    CHILD->State = PNP_DEVICE_RESOURCE_REQUIREMENTS_CHANGED;
    CHILD->Private = 0x9ABC;
    IoInvalidateDeviceState(CHILD->Pdo);
    REQUIRE(TestBusWait(BUS, IRP_MN_START_DEVICE, 0));
    TestBusSettle();
    EXPECT_STEPS({FUNCTION, IRP_MN_QUERY_PNP_DEVICE_STATE, 0}, {BUS, IRP_MN_QUERY_RESOURCE_REQUIREMENTS, 0},
                 {FUNCTION, IRP_MN_START_DEVICE, 0}, {BUS, IRP_MN_START_DEVICE, 0});
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_QUERY_STOP_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_STOP_DEVICE, 0));
    EXPECT_EQUAL(CHILD->StartPrivate, 0x9ABC);
    CHILD->State = 0;
    TestBusUnplug(0);
}

static VOID PnpStopFailed(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    CHILD->FunctionStatus[IRP_MN_STOP_DEVICE] = STATUS_UNSUCCESSFUL;
    Rebalance();
    TestBusSettle();
}

static VOID PnpCancelStopFailed(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    CHILD->FunctionStatus[IRP_MN_QUERY_STOP_DEVICE] = STATUS_UNSUCCESSFUL;
    CHILD->FunctionStatus[IRP_MN_CANCEL_STOP_DEVICE] = STATUS_UNSUCCESSFUL;
    Rebalance();
    TestBusSettle();
}

/* ---- removal in order ---- */

static VOID StartAndEject(VOID)
{
    CHILD->EjectSupported = TRUE;
    CHILD->Removable = TRUE;
    if (!TestBusPlugAndStart(0))
        return;
    TestBusForget();
    IoRequestDeviceEject(CHILD->Pdo);
}

/* Asked, removed, ejected; the bus is asked whether it has gone, and its object hears of the end then. */
static VOID PnpEject(VOID)
{
    TestBusReset();
    StartAndEject();
    REQUIRE(TestBusWait(BUS, GONE, 0));
    EXPECT_STEPS({FUNCTION, RELATIONS(EjectionRelations), 0}, {FUNCTION, IRP_MN_QUERY_REMOVE_DEVICE, 0},
                 {BUS, IRP_MN_QUERY_REMOVE_DEVICE, 0}, {FUNCTION, IRP_MN_REMOVE_DEVICE, 0},
                 {BUS, IRP_MN_REMOVE_DEVICE, 0}, {BUS, IRP_MN_EJECT, 0}, {PARENT, RELATIONS(BusRelations), 0},
                 {BUS, IRP_MN_REMOVE_DEVICE, 0}, {BUS, GONE, 0});
    EXPECT_TRUE(TestBusSeen(FUNCTION, RELATIONS(RemovalRelations), 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_EJECT, 0)); /* function drivers do not receive it */
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_SURPRISE_REMOVAL, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_CANCEL_REMOVE_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_STOP_DEVICE, 0)); /* no step towards removal */
    EXPECT_EQUAL(CHILD->Irql, PASSIVE_LEVEL);
}

static VOID PnpEjectAtDispatchLevel(VOID)
{
    KIRQL Irql;

    TestBusReset();
    CHILD->EjectSupported = TRUE;
    REQUIRE(TestBusPlugAndStart(0));
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoRequestDeviceEject(CHILD->Pdo);
    KeLowerIrql(Irql);
    EXPECT_TRUE(TestBusWait(BUS, GONE, 0));
    EXPECT_TRUE(TestBusSeen(BUS, IRP_MN_EJECT, 0));
}

/* What cannot be ejected by software is removed all the same, and gets no IRP_MN_EJECT. */
static VOID PnpEjectNotSupported(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    TestBusForget();
    IoRequestDeviceEject(CHILD->Pdo);
    REQUIRE(TestBusWait(FUNCTION, IRP_MN_REMOVE_DEVICE, 0));
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(BUS, IRP_MN_EJECT, 0));
    TestBusUnplug(0);
}

/* The bus reports it after IRP_MN_EJECT, which failed or did nothing: it is set up again. */
static VOID EjectedAndStillThere(BOOLEAN Fails)
{
    TestBusReset();
    CHILD->StaysAfterEject = TRUE;
    if (Fails)
        CHILD->BusStatus[IRP_MN_EJECT] = STATUS_UNSUCCESSFUL;
    StartAndEject();
    REQUIRE(TestBusWait(FUNCTION, IRP_MN_START_DEVICE, 0));
    TestBusSettle();
    EXPECT_STEPS({BUS, IRP_MN_REMOVE_DEVICE, 0}, {BUS, IRP_MN_EJECT, 0}, {PARENT, RELATIONS(BusRelations), 0},
                 {FUNCTION, ADD_DEVICE, 0}, {FUNCTION, IRP_MN_START_DEVICE, 0});
    EXPECT_FALSE(TestBusSeen(BUS, GONE, 0)); /* the bus keeps the object of a device that is there */
    TestBusUnplug(0);
}

static VOID PnpEjectFails(VOID)
{
    EjectedAndStillThere(TRUE);
}

static VOID PnpReenumeratedAfterRemoval(VOID)
{
    EjectedAndStillThere(FALSE);
}

static VOID RemovalRefused(BOOLEAN Bus)
{
    TestBusReset();
    if (Bus)
        CHILD->BusStatus[IRP_MN_QUERY_REMOVE_DEVICE] = STATUS_UNSUCCESSFUL;
    else
        CHILD->FunctionStatus[IRP_MN_QUERY_REMOVE_DEVICE] = STATUS_DEVICE_BUSY;
    StartAndEject();
    REQUIRE(TestBusWait(BUS, IRP_MN_CANCEL_REMOVE_DEVICE, 0));
    TestBusSettle();
    EXPECT_STEPS({FUNCTION, IRP_MN_QUERY_REMOVE_DEVICE, 0}, {FUNCTION, IRP_MN_CANCEL_REMOVE_DEVICE, 0},
                 {BUS, IRP_MN_CANCEL_REMOVE_DEVICE, 0});
    EXPECT_EQUAL(TestBusSeen(BUS, IRP_MN_QUERY_REMOVE_DEVICE, 0), Bus);
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_REMOVE_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(BUS, IRP_MN_EJECT, 0));
    EXPECT_TRUE(CHILD->Function != NULL);
    TestBusUnplug(0);
}

static VOID PnpQueryRemoveRefusedByTheFunctionDriver(VOID)
{
    RemovalRefused(FALSE);
}

static VOID PnpQueryRemoveRefusedByTheBusDriver(VOID)
{
    RemovalRefused(TRUE);
}

static VOID PnpRemoveFailed(VOID)
{
    TestBusReset();
    CHILD->FunctionStatus[IRP_MN_REMOVE_DEVICE] = STATUS_UNSUCCESSFUL;
    StartAndEject();
    TestBusSettle();
}

static VOID PnpCancelRemoveFailed(VOID)
{
    TestBusReset();
    CHILD->FunctionStatus[IRP_MN_QUERY_REMOVE_DEVICE] = STATUS_UNSUCCESSFUL;
    CHILD->FunctionStatus[IRP_MN_CANCEL_REMOVE_DEVICE] = STATUS_UNSUCCESSFUL;
    StartAndEject();
    TestBusSettle();
}

/* ---- surprise ---- */

static VOID PnpSurpriseRemoval(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    TestBusForget();
    TestBusUnplug(0);
    EXPECT_STEPS({PARENT, RELATIONS(BusRelations), 0}, {FUNCTION, IRP_MN_SURPRISE_REMOVAL, 0},
                 {BUS, IRP_MN_SURPRISE_REMOVAL, 0}, {FUNCTION, IRP_MN_REMOVE_DEVICE, 0}, {BUS, IRP_MN_REMOVE_DEVICE, 0},
                 {BUS, GONE, 0});
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_QUERY_REMOVE_DEVICE, 0));
    EXPECT_EQUAL(CHILD->Irql, PASSIVE_LEVEL);
}

static PFILE_OBJECT Open(PDEVICE_OBJECT Pdo)
{
    UNICODE_STRING Name;
    PDEVICE_OBJECT Top;
    PFILE_OBJECT File = NULL;
    WCHAR Text[64];
    ULONG Length;

    CHECK(IoGetDeviceProperty(Pdo, DevicePropertyPhysicalDeviceObjectName, sizeof(Text), Text, &Length) ==
          STATUS_SUCCESS);
    RtlInitUnicodeString(&Name, Text);
    CHECK(IoGetDeviceObjectPointer(&Name, FILE_READ_DATA, &File, &Top) == STATUS_SUCCESS);
    return File;
}

/* IRP_MN_REMOVE_DEVICE comes when the last handle has been closed; nobody opens the device meanwhile. */
static VOID PnpSurpriseRemovalWithAnOpenHandle(VOID)
{
    PFILE_OBJECT File;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    File = Open(CHILD->Pdo);
    REQUIRE(File != NULL);
    TestBusForget();
    CHILD->Reported = FALSE;
    IoInvalidateDeviceRelations(TestPhysicalDevice(), BusRelations);
    REQUIRE(TestBusWait(BUS, IRP_MN_SURPRISE_REMOVAL, 0));
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_REMOVE_DEVICE, 0));
    ObDereferenceObject(File);
    EXPECT_TRUE(TestBusWait(BUS, GONE, 0));
    EXPECT_STEPS({BUS, IRP_MN_SURPRISE_REMOVAL, 0}, {FUNCTION, IRP_MN_REMOVE_DEVICE, 0}, {BUS, GONE, 0});
}

/* A handle that is open keeps a device from being removed in order. */
static VOID PnpEjectWithAnOpenHandle(VOID)
{
    PFILE_OBJECT File;

    TestBusReset();
    CHILD->EjectSupported = TRUE;
    REQUIRE(TestBusPlugAndStart(0));
    File = Open(CHILD->Pdo);
    REQUIRE(File != NULL);
    TestBusForget();
    IoRequestDeviceEject(CHILD->Pdo);
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_REMOVE_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(BUS, IRP_MN_EJECT, 0));
    ObDereferenceObject(File);
    IoRequestDeviceEject(CHILD->Pdo);
    EXPECT_TRUE(TestBusWait(BUS, GONE, 0));
}

static VOID PnpSurpriseRemovalFailed(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    CHILD->FunctionStatus[IRP_MN_SURPRISE_REMOVAL] = STATUS_UNSUCCESSFUL;
    TestBusUnplug(0);
}

/* A driver finds that its device has failed: surprise removal and removal, though the device is there. */
static VOID PnpDeviceFails(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    TestBusForget();
    CHILD->State = PNP_DEVICE_FAILED;
    IoInvalidateDeviceState(CHILD->Pdo);
    REQUIRE(TestBusWait(BUS, IRP_MN_REMOVE_DEVICE, 0));
    EXPECT_STEPS({FUNCTION, IRP_MN_QUERY_PNP_DEVICE_STATE, 0}, {FUNCTION, IRP_MN_SURPRISE_REMOVAL, 0},
                 {BUS, IRP_MN_SURPRISE_REMOVAL, 0}, {FUNCTION, IRP_MN_REMOVE_DEVICE, 0},
                 {BUS, IRP_MN_REMOVE_DEVICE, 0});
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(BUS, GONE, 0));
    CHILD->State = 0;
    TestBusUnplug(0);
}

/* No flag, and no answer: nothing follows. At DISPATCH_LEVEL. */
static VOID PnpDeviceStateUnchanged(VOID)
{
    KIRQL Irql;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    TestBusForget();
    CHILD->State = PNP_DEVICE_NOT_DISABLEABLE;
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoInvalidateDeviceState(CHILD->Pdo);
    KeLowerIrql(Irql);
    REQUIRE(TestBusWait(BUS, IRP_MN_QUERY_PNP_DEVICE_STATE, 0));
    TestBusSettle();
    EXPECT_STEPS({FUNCTION, IRP_MN_QUERY_PNP_DEVICE_STATE, 0}, {BUS, IRP_MN_QUERY_PNP_DEVICE_STATE, 0});
    CHILD->FunctionStatus[IRP_MN_QUERY_PNP_DEVICE_STATE] = STATUS_UNSUCCESSFUL;
    IoInvalidateDeviceState(CHILD->Pdo);
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_SURPRISE_REMOVAL, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_QUERY_STOP_DEVICE, 0));
    TestBusUnplug(0);
}

/* ---- relations ---- */

/* The function driver's RemovalRelations go with it. */
static VOID PnpRemovalRelations(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(1));
    CHILD->RemovalRelation = TRUE;
    StartAndEject();
    REQUIRE(TestBusWait(BUS, GONE, 0));
    TestBusSettle();
    EXPECT_STEPS({FUNCTION, RELATIONS(RemovalRelations), 0}, {FUNCTION, IRP_MN_QUERY_REMOVE_DEVICE, 1},
                 {FUNCTION, IRP_MN_REMOVE_DEVICE, 1});
    EXPECT_FALSE(TestBusSeen(BUS, IRP_MN_EJECT, 1));
    EXPECT_TRUE(TestBusSeen(FUNCTION, ADD_DEVICE, 1)); /* it is still there, and so set up again */
    TestBusUnplug(1);
}

/* The bus's EjectionRelations receive IRP_MN_REMOVE_DEVICE, not IRP_MN_EJECT. */
static VOID PnpEjectionRelations(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(1));
    CHILD->EjectionRelation = TRUE;
    StartAndEject();
    REQUIRE(TestBusWait(BUS, GONE, 0));
    TestBusSettle();
    EXPECT_STEPS({BUS, RELATIONS(EjectionRelations), 0}, {FUNCTION, IRP_MN_QUERY_REMOVE_DEVICE, 1},
                 {FUNCTION, IRP_MN_REMOVE_DEVICE, 1});
    EXPECT_TRUE(TestBusSeen(BUS, IRP_MN_EJECT, 0));
    EXPECT_FALSE(TestBusSeen(BUS, IRP_MN_EJECT, 1));
    TestBusUnplug(1);
}

/* One that refuses keeps all of them. */
static VOID PnpRelationRefusesRemoval(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(1));
    CHILD->EjectionRelation = TRUE;
    TestBusChild(1)->FunctionStatus[IRP_MN_QUERY_REMOVE_DEVICE] = STATUS_DEVICE_BUSY;
    StartAndEject();
    REQUIRE(TestBusWait(BUS, IRP_MN_CANCEL_REMOVE_DEVICE, 1));
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_REMOVE_DEVICE, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_REMOVE_DEVICE, 1));
    EXPECT_EQUAL(TestBusSeen(FUNCTION, IRP_MN_QUERY_REMOVE_DEVICE, 0),
                 TestBusSeen(FUNCTION, IRP_MN_CANCEL_REMOVE_DEVICE, 0)); /* who was asked is told */
    TestBusUnplug(0);
    TestBusUnplug(1);
}

/* The others on the bus hear nothing of one's end; a new one gets a node of its own. */
static VOID PnpBusRelationsCompared(VOID)
{
    KIRQL Irql;

    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    REQUIRE(TestBusPlugAndStart(1));
    EXPECT_TRUE(CHILD->Function != TestBusChild(1)->Function);
    TestBusForget();
    KeRaiseIrql(DISPATCH_LEVEL, &Irql);
    IoInvalidateDeviceRelations(TestPhysicalDevice(), BusRelations);
    KeLowerIrql(Irql);
    REQUIRE(TestBusWait(PARENT, RELATIONS(BusRelations), 0));
    TestBusSettle();
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_START_DEVICE, 0)); /* nothing has changed */
    TestBusForget();
    TestBusUnplug(0);
    EXPECT_TRUE(TestBusSeen(FUNCTION, IRP_MN_SURPRISE_REMOVAL, 0));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_SURPRISE_REMOVAL, 1));
    EXPECT_FALSE(TestBusSeen(FUNCTION, IRP_MN_REMOVE_DEVICE, 1));
    TestBusUnplug(1);
}

/* The driver's call makes the manager ask for PowerRelations. */
static VOID PnpPowerRelations(VOID)
{
    TestBusReset();
    REQUIRE(TestBusPlugAndStart(0));
    TestBusForget();
    IoInvalidateDeviceRelations(CHILD->Pdo, PowerRelations);
    EXPECT_TRUE(TestBusWait(FUNCTION, RELATIONS(PowerRelations), 0));
    EXPECT_STEPS({FUNCTION, RELATIONS(PowerRelations), 0}, {BUS, RELATIONS(PowerRelations), 0});
    TestBusUnplug(0);
}

static VOID PnpInvalidateWithoutAPdo(VOID)
{
    IoInvalidateDeviceState(TestDevice());
}

TEST_TABLE(pnp_transition){
    TEST(PnpStart, TEST_DEVICE),
    TEST(PnpStartWithoutResources, TEST_DEVICE),
    TEST(PnpStartFailsInTheFunctionDriver, TEST_DEVICE),
    TEST(PnpStartFailsInTheBusDriver, TEST_DEVICE),
    TEST(PnpAddDeviceFails, TEST_DEVICE),
    TEST(PnpStopAndStart, TEST_DEVICE),
    TEST(PnpQueryStopRefusedByTheFunctionDriver, TEST_DEVICE),
    TEST(PnpQueryStopRefusedByTheBusDriver, TEST_DEVICE),
    TEST(PnpQueryStopWithOtherRequirements, TEST_DEVICE),
    TEST(PnpStartFailsAfterAStop, TEST_DEVICE),
    TEST(PnpStartOfAStartedDevice, TEST_DEVICE),
    TEST_VIOLATION_DEVICE(PnpStopFailed, "pnp-must-succeed", 0),
    TEST_VIOLATION_DEVICE(PnpCancelStopFailed, "pnp-must-succeed", 0),
    TEST(PnpEject, TEST_DEVICE),
    TEST(PnpEjectAtDispatchLevel, TEST_DEVICE),
    TEST(PnpEjectNotSupported, TEST_DEVICE),
    TEST(PnpEjectFails, TEST_DEVICE),
    TEST(PnpReenumeratedAfterRemoval, TEST_DEVICE),
    TEST(PnpQueryRemoveRefusedByTheFunctionDriver, TEST_DEVICE),
    TEST(PnpQueryRemoveRefusedByTheBusDriver, TEST_DEVICE),
    TEST_VIOLATION_DEVICE(PnpRemoveFailed, "pnp-must-succeed", 0),
    TEST_VIOLATION_DEVICE(PnpCancelRemoveFailed, "pnp-must-succeed", 0),
    TEST(PnpSurpriseRemoval, TEST_DEVICE),
    TEST(PnpSurpriseRemovalWithAnOpenHandle, TEST_DEVICE),
    TEST(PnpEjectWithAnOpenHandle, TEST_DEVICE),
    TEST_VIOLATION_DEVICE(PnpSurpriseRemovalFailed, "pnp-must-succeed", 0),
    TEST(PnpDeviceFails, TEST_DEVICE),
    TEST(PnpDeviceStateUnchanged, TEST_DEVICE),
    TEST(PnpRemovalRelations, TEST_DEVICE),
    TEST(PnpEjectionRelations, TEST_DEVICE),
    TEST(PnpRelationRefusesRemoval, TEST_DEVICE),
    TEST(PnpBusRelationsCompared, TEST_DEVICE),
    TEST(PnpPowerRelations, TEST_DEVICE),
    TEST_VIOLATION_DEVICE(PnpInvalidateWithoutAPdo, "pnp-not-a-pdo", 0xCA),
    TEST_END,
};
