/*
 * A bus of the conformance driver: children that cases plug in and out, each with a function driver (the conformance
 * driver again), whose answers cases set and whose requests are recorded (bus.c). For cases with TEST_DEVICE.
 */
#ifndef NTTEST_BUS_H
#define NTTEST_BUS_H

#include "nttest.h"

#define TEST_CHILDREN 2
#define TEST_MINORS 0x20

/* Who was asked. */
#define BUS 'B'      /* the child's physical device object */
#define FUNCTION 'F' /* its function driver */
#define PARENT 'P'   /* the function driver of the bus */

/* Beside IRP_MN_ codes: */
#define ADD_DEVICE 0x80
#define GONE 0x81                                  /* BUS: the physical device object has been deleted */
#define RELATIONS(_Type) ((UCHAR)(0x90 + (_Type))) /* IRP_MN_QUERY_DEVICE_RELATIONS of that type */
#define POWER(_Minor) ((UCHAR)(0xA0 + (_Minor)))   /* IRP_MJ_POWER */
#define ID(_Type) ((UCHAR)(0xC0 + (_Type)))        /* IRP_MN_QUERY_ID of that type */

typedef struct _TEST_STEP {
    CHAR Who;
    UCHAR Minor;
    UCHAR Child;
} TEST_STEP;

/* How a child behaves; TestBusReset() sets what is usual. */
typedef struct _TEST_CHILD {
    NTSTATUS FunctionStatus[TEST_MINORS]; /* not zero: the function driver fails the request with it */
    NTSTATUS BusStatus[TEST_MINORS];      /* not zero: the bus does */
    NTSTATUS PowerStatus;                 /* not zero: the bus fails IRP_MN_SET_POWER and IRP_MN_QUERY_POWER with it */
    NTSTATUS AddDeviceStatus;
    PNP_DEVICE_STATE State;
    PCWSTR DeviceId;
    PCWSTR HardwareIds;   /* text after text, then an empty one */
    PCWSTR CompatibleIds; /* NULL: not answered */
    PCWSTR InstanceId;
    PCWSTR ContainerId;
    PCWSTR Description;
    PCWSTR Location;
    BOOLEAN EjectSupported;
    BOOLEAN Removable;
    BOOLEAN UniqueID;
    BOOLEAN RawDeviceOK;
    BOOLEAN StaysAfterEject;  /* the bus reports it still */
    BOOLEAN RemovalRelation;  /* the function driver names the other child */
    BOOLEAN EjectionRelation; /* the bus does */
    ULONG BootPrivate;        /* not zero: its boot configuration has such a resource, with this value */
    ULONG Private;            /* not zero: it requires a resource of its bus's own, with this value */
    /* what was seen */
    PDEVICE_OBJECT Pdo; /* NULL: none */
    PDEVICE_OBJECT Function;
    PIRP Wake;                    /* the IRP_MN_WAIT_WAKE that the bus holds */
    POWER_STATE PowerBefore;      /* of the bus's PoSetPowerState */
    SYSTEM_POWER_STATE WakeState; /* asked for */
    ULONG StartPrivate;           /* of the resources at the last start; 0: none */
    ULONG FilteredPrivate;
    BOOLEAN StartAfterBus;      /* the bus had started it when the function driver did */
    DEVICE_CAPABILITIES Asked;  /* as IRP_MN_QUERY_CAPABILITIES came to the bus */
    KIRQL Irql;                 /* the highest of all requests */
    BOOLEAN WrongInitialStatus; /* some request came to its first driver without STATUS_NOT_SUPPORTED */
    PFILE_OBJECT RelationFile;  /* of the last query for TargetDeviceRelation */
    BOOLEAN volatile Reported;
} TEST_CHILD;

VOID TestBusReset(VOID);
TEST_CHILD *TestBusChild(ULONG Number);

/* A new device on the bus. Returns at once; TestBusWait() for what is to come of it. */
VOID TestBusPlug(ULONG Number);
/* The same, and waits until it runs. FALSE fails the case. */
BOOLEAN TestBusPlugAndStart(ULONG Number);
/* It is not on the bus any more: a surprise. Waits until its physical device object has been deleted. */
VOID TestBusUnplug(ULONG Number);

VOID TestBusForget(VOID);
/* Waits until this has been recorded, for 30 seconds (FALSE) at most. */
BOOLEAN TestBusWait(CHAR Who, UCHAR Minor, UCHAR Child);
BOOLEAN TestBusSeen(CHAR Who, UCHAR Minor, UCHAR Child);
/* Long enough that what is not under way by then does not come. */
VOID TestBusSettle(VOID);

/* These steps in this order, whatever else there was in between. */
#define EXPECT_STEPS(...)                                                                                              \
    TestExpectTruth(__FILE__, __LINE__, #__VA_ARGS__, TestBusOrder((const TEST_STEP[]){__VA_ARGS__, {0, 0, 0}}), TRUE)
BOOLEAN TestBusOrder(const TEST_STEP *Steps);

/* ---- for device.c ---- */

/* Adds the children to an IRP_MN_QUERY_DEVICE_RELATIONS for BusRelations. */
VOID TestBusRelations(PIRP Irp);
BOOLEAN TestBusOwns(PDEVICE_OBJECT Pdo);
NTSTATUS TestBusAddDevice(PDEVICE_OBJECT Pdo);

#endif /* NTTEST_BUS_H */
