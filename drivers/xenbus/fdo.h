/*
 * The function device object of this driver: the bus, on the platform device. fdo.c has its making and its providers,
 * fdo_hardware.c what begins and ends with its power, fdo_children.c the devices on the bus, fdo_suspend.c suspend and
 * resume, fdo_hibernate.c hibernation, fdo_balloon.c its memory, fdo_pnp.c and fdo_power.c its IRPs.
 */
#ifndef XENBUS_FDO_H
#define XENBUS_FDO_H

#include "compat.h"

#include "balloon.h"
#include "cache.h"
#include "console.h"
#include "debug.h"
#include "device.h"
#include "evtchn.h"
#include "gnttab.h"
#include "hole.h"
#include "range_set.h"
#include "resource.h"
#include "shared_info.h"
#include "store.h"
#include "suspend.h"
#include "thread.h"
#include "unplug.h"
#include "watchdog.h"

typedef struct _XENBUS_FDO XENBUS_FDO, *PXENBUS_FDO;

/* The providers, made with the device and enabled with its power. */
typedef struct _XENBUS_PROVIDERS {
    PXENBUS_RANGE_SET_CONTEXT RangeSet;
    PXENBUS_CACHE_CONTEXT Cache;
    PXENBUS_DEBUG_CONTEXT Debug;
    PXENBUS_UNPLUG_CONTEXT Unplug;
    PXENBUS_SUSPEND_CONTEXT Suspend;
    PXENBUS_SHARED_INFO_CONTEXT SharedInfo;
    PXENBUS_EVTCHN_CONTEXT Evtchn;
    PXENBUS_GNTTAB_CONTEXT Gnttab;
    PXENBUS_STORE_CONTEXT Store;
    PXENBUS_CONSOLE_CONTEXT Console;
} XENBUS_PROVIDERS, *PXENBUS_PROVIDERS;

/* A node control/feature-<name>, and what it said before. */
typedef struct _XENBUS_FEATURE {
    PSTR Name;
    PSTR Before;    /* NULL: it could not be read, */
    BOOLEAN Absent; /* because it was not there */
} XENBUS_FEATURE, *PXENBUS_FEATURE;

/* "0001": the device's PCI ID, as it stands in the IDs of children. */
#define XENBUS_DEVICE_DIGITS 4

struct _XENBUS_FDO {
    XENBUS_DEVICE Device; /* first */
    PDEVICE_OBJECT PhysicalDeviceObject;
    PDEVICE_OBJECT LowerDeviceObject;
    CHAR DeviceDigits[XENBUS_DEVICE_DIGITS + 1];

    /* FALSE: another platform device is the bus; this one passes IRPs on and does nothing. */
    BOOLEAN Active;

    PSTR SupportedClasses; /* lists, see text.h */
    PSTR SyntheticClasses;
    XENBUS_EVTCHN_OPTIONS EvtchnOptions;
    BOOLEAN UseHole;
    ULONG ConsoleLogLevels; /* a mask of XEN_LOG_ bits */
    ULONG WatchdogSeconds;  /* 0: there is none */

    XENBUS_PROVIDERS Providers;
    PXENBUS_BALLOON_CONTEXT Balloon; /* NULL: none is wanted. Pages stay in it without power. */
    XENBUS_RANGE_SET_INTERFACE RangeSetInterface;
    XENBUS_CACHE_INTERFACE CacheInterface;
    XENBUS_DEBUG_INTERFACE DebugInterface;
    XENBUS_SUSPEND_INTERFACE SuspendInterface;
    XENBUS_EVTCHN_INTERFACE EvtchnInterface;
    XENBUS_STORE_INTERFACE StoreInterface;

    /* From start to stop. */
    PXENBUS_RESOURCES Resources;

    BOOLEAN Failed; /* it did not come back from D3 */

    BOOLEAN Asleep;      /* the last change of the system's state that was not to work was to S1 to S4, */
    BOOLEAN Hibernating; /* to S4 */
    BOOLEAN Held;        /* in D3 with Powered: the store is left alone */

    /* From D0 to D3. */
    BOOLEAN Powered;
    ULONG OwnUsers; /* acquisitions that are there without any client, while Powered */
    PXENBUS_HOLE Hole;
    PXENBUS_EVTCHN_CHANNEL DebugChannel;
    PXENBUS_WATCHDOG Watchdog; /* NULL: there is none */
    PDRIVER_THREAD SuspendThread;
    PXENBUS_STORE_WATCH SuspendWatch;
    XENBUS_FEATURE SuspendFeature;
    BOOLEAN SuspendAnnounced;
    BOOLEAN SuspendRefused;       /* the last try failed, which the log has been told */
    ULONG SuspendAnnouncedAt;     /* the count of suspends at the last try */
    BOOLEAN SuspendAcknowledged;  /* a request is, and has not been done */
    ULONG SuspendCount;           /* then */
    ULONGLONG SuspendDeadline;    /* the time of ClockNow() at which it is given up */
    PDRIVER_THREAD BalloonThread; /* NULL: there is none */
    PXENBUS_STORE_WATCH BalloonWatch;
    XENBUS_FEATURE BalloonFeature;
    ULONGLONG BalloonRefused; /* the size that was refused last, MAXULONGLONG: none */
    PDRIVER_THREAD ChildThread;
    PXENBUS_STORE_WATCH ChildWatch;

    FAST_MUTEX Mutex; /* guards Children and the state of each child that says whether it is there */
    LIST_ENTRY Children;

    LONG UsageCount; /* files that the system cannot do without lie beneath the bus */

    PIO_WORKITEM PowerWorkItem;
    PIRP PowerIrp; /* the device power IRP that PowerWorkItem works on */
};

/* ---- fdo.c ---- */

DRIVER_ADD_DEVICE FdoAddDevice;

/* Takes the device apart, its children too. At the end of REMOVE_DEVICE. */
VOID FdoDestroy(_In_ PXENBUS_FDO Fdo);

/* ---- fdo_hardware.c; PASSIVE_LEVEL ---- */

_Must_inspect_result_ NTSTATUS FdoStart(_In_ PXENBUS_FDO Fdo, _In_ PIO_STACK_LOCATION Location);
VOID FdoStop(_In_ PXENBUS_FDO Fdo);

/* Between D3 and D0. FdoPowerDown does nothing to a device without power. */
_Must_inspect_result_ NTSTATUS FdoPowerUp(_In_ PXENBUS_FDO Fdo);
VOID FdoPowerDown(_In_ PXENBUS_FDO Fdo);
/* Somebody besides the bus itself has an interface that goes with the power. Between the IRPs that change that. */
BOOLEAN FdoHasClients(_In_ PXENBUS_FDO Fdo);

/* ---- fdo_children.c; PASSIVE_LEVEL ---- */

/* Looks for children, then watches for them; the end of both. */
_Must_inspect_result_ NTSTATUS FdoChildrenBegin(_In_ PXENBUS_FDO Fdo);
VOID FdoChildrenEnd(_In_ PXENBUS_FDO Fdo);

/* Has the child thread look again. */
VOID FdoChildrenRescan(_In_ PXENBUS_FDO Fdo);

/* Adds the children to the relations, which may be NULL, that Irp of IRP_MN_QUERY_DEVICE_RELATIONS carries. */
_Must_inspect_result_ NTSTATUS FdoChildrenReport(_In_ PXENBUS_FDO Fdo, _Inout_ PIRP Irp);

/* TRUE if no driver uses a child, and if none has one powered. */
BOOLEAN FdoChildrenAreIdle(_In_ PXENBUS_FDO Fdo);
BOOLEAN FdoChildrenAreOff(_In_ PXENBUS_FDO Fdo);

/* TRUE if no child is started, be it that it was asked to go. */
BOOLEAN FdoChildrenAreStopped(_In_ PXENBUS_FDO Fdo);

/* Deletes what children there are. */
VOID FdoChildrenDestroy(_In_ PXENBUS_FDO Fdo);

/* ---- fdo_suspend.c ---- */

extern const XENBUS_SUSPEND_OPERATIONS FdoSuspendOperations; /* but for Argument */

_Must_inspect_result_ NTSTATUS FdoSuspendBegin(_In_ PXENBUS_FDO Fdo);
VOID FdoSuspendEnd(_In_ PXENBUS_FDO Fdo);

/* The channel of Xen's debug key, at which debug callbacks run. IRQL <= DISPATCH_LEVEL. */
VOID FdoDebugOpen(_In_ PXENBUS_FDO Fdo);
VOID FdoDebugClose(_In_ PXENBUS_FDO Fdo);

/* ---- fdo_feature.c; PASSIVE_LEVEL ---- */

VOID FdoFeatureBegin(_In_ PXENBUS_FDO Fdo, _Out_ PXENBUS_FEATURE Feature, _In_ PSTR Name);
NTSTATUS FdoFeatureAnnounce(_In_ PXENBUS_FDO Fdo, _In_ PXENBUS_FEATURE Feature);
VOID FdoFeatureEnd(_In_ PXENBUS_FDO Fdo, _Inout_ PXENBUS_FEATURE Feature);

/* ---- fdo_balloon.c; PASSIVE_LEVEL ---- */

/* What the start options say. */
BOOLEAN FdoBalloonIsWanted(VOID);

/* The thread that follows memory/target; a bus whose balloon cannot begin goes on without it. */
VOID FdoBalloonBegin(_In_ PXENBUS_FDO Fdo);
VOID FdoBalloonEnd(_In_ PXENBUS_FDO Fdo);

/* ---- fdo_hibernate.c; PASSIVE_LEVEL ---- */

/* Into D3 with clients, out of it to wherever that is, and back without more ado (FdoGoOn: IRQL <= DISPATCH_LEVEL). */
VOID FdoHold(_In_ PXENBUS_FDO Fdo);
_Must_inspect_result_ NTSTATUS FdoWake(_In_ PXENBUS_FDO Fdo);
VOID FdoGoOn(_In_ PXENBUS_FDO Fdo);

/* ---- fdo_pnp.c, fdo_power.c ---- */

NTSTATUS FdoDispatchPnp(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp);
NTSTATUS FdoDispatchPower(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp);

/* All other IRPs. */
NTSTATUS FdoDispatchOther(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp);

#endif /* XENBUS_FDO_H */
