/*
 * Inside of the bus device: what fdo.c (life and children), fdo_pnp.c and fdo_power.c (IRPs) share.
 */
#ifndef XENVIF_FDO_PRIVATE_H
#define XENVIF_FDO_PRIVATE_H

#include "driver.h"
#include "ejected.h"
#include "fdo.h"
#include "thread.h"

#define FDO_TAG POOL_TAG('V', 'f', 'd', 'o')

/* What a scan of the store could not take up. */
typedef struct _FDO_REFUSAL {
    CHAR Name[12]; /* of the VIF; "": the store could not be listed */
    NTSTATUS Status;
} FDO_REFUSAL;

struct _XENVIF_FDO {
    XENVIF_DEVICE Device; /* must be first */
    PDEVICE_OBJECT PhysicalDeviceObject;
    PDEVICE_OBJECT LowerDeviceObject;
    IO_REMOVE_LOCK RemoveLock; /* held by each IRP that is on its way */
    CHAR Vendor[16];

    BOOLEAN Started;
    BOOLEAN Failed; /* it did not come back from D3 */
    XENVIF_PARENT Parent;
    PDRIVER_THREAD Thread;
    PXENBUS_STORE_WATCH Watch;

    KMUTEX Mutex;
    LIST_ENTRY Children;
    ULONG Scans;         /* of the store, so far */
    BOOLEAN ScanAgain;   /* the last one is to be repeated; of whoever scans: the start, then the thread */
    FDO_REFUSAL Refusal; /* the first of the last scan; likewise. STATUS_SUCCESS: there was none */
    PVOID TwinWatch;     /* NULL: there is none */
    LONG TwinChanges;    /* adapters that have come, so far */
    LONG RelationsDue;   /* the PnP manager has asked for the children, and there was no memory to tell it */
    LONG TwinsDue;       /* the thread is to look for twins */
    HANDLE AddressWatch; /* NULL: there is none */
    LONG AddressesChanged;
    LONG UnplugAsked; /* in this boot, for the next */
    LONG RebootAsked; /* in this boot */
    LIST_ENTRY Ejected;
    LIST_ENTRY Retired;     /* granters */
    PDRIVER_THREAD Scanner; /* Thread, while it may be woken */
};

_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FdoStart(_Inout_ PXENVIF_FDO Fdo);
/* The bus's mutex; with it: wakes the thread, if it may be woken. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoLock(_Inout_ PXENVIF_FDO Fdo);
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoUnlock(_Inout_ PXENVIF_FDO Fdo);
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoWakeScanner(_Inout_ PXENVIF_FDO Fdo);

/*
 * From start to stop, while there is the thread, it is woken for each adapter that comes, and looks whether one of them
 * is a child's twin. TRUE: that could not be done, and the thread is to try again. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FdoWatchTwins(_Inout_ PXENVIF_FDO Fdo);
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoStopWatchingTwins(_Inout_ PXENVIF_FDO Fdo);
_IRQL_requires_(PASSIVE_LEVEL)
BOOLEAN FdoLookForTwins(_Inout_ PXENVIF_FDO Fdo);

/*
 * From start to stop the thread is woken when addresses change, and keeps the settings of the children's twins
 * (settings.h). PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoWatchAddresses(_Inout_ PXENVIF_FDO Fdo);
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoStopWatchingAddresses(_Inout_ PXENVIF_FDO Fdo);
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoKeepSettings(_Inout_ PXENVIF_FDO Fdo);

/* No reason is left to have emulated cards unplugged at the next boot: takes back what was asked. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoWithdrawUnplug(_Inout_ PXENVIF_FDO Fdo);

_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoStop(_Inout_ PXENVIF_FDO Fdo);

/* Whether a child works, so that the bus cannot be stopped under it. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
BOOLEAN FdoHasStartedChild(_Inout_ PXENVIF_FDO Fdo);

/* Deletes what is left of the children, and the device. Stopped, and no IRP is on its way. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID FdoDestroy(_Inout_ PXENVIF_FDO Fdo);

/*
 * The children that there are, in front of those that Relations (NULL: none) already has; Relations is replaced. They
 * are then reported. No memory: Relations is as it was, and the thread has the PnP manager ask again.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS FdoAddRelations(_Inout_ PXENVIF_FDO Fdo, _Inout_ PDEVICE_RELATIONS *Relations);

#endif /* XENVIF_FDO_PRIVATE_H */
