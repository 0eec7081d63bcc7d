/*
 * The physical device objects of this driver: the devices on the bus, one for each class. pdo.c has their life,
 * pdo_id.c their names, pdo_interface.c the interfaces that they give, pdo_dma.c their DMA adapters, pdo_pnp.c their
 * IRPs.
 *
 * "Mutex" is that of the FDO.
 */
#ifndef XENBUS_PDO_H
#define XENBUS_PDO_H

#include "compat.h"

#include "device.h"
#include "fdo.h"

#define PDO_CLASS_LENGTH 16
#define PDO_MAXIMUM_REVISIONS 16

typedef struct _XENBUS_PDO {
    XENBUS_DEVICE Device; /* first */
    PXENBUS_FDO Fdo;
    CHAR Class[PDO_CLASS_LENGTH];

    DEVICE_POWER_STATE PowerState;

    ULONG Revision[PDO_MAXIMUM_REVISIONS]; /* oldest first */
    ULONG RevisionCount;

    /* Under the mutex. */
    LIST_ENTRY ListEntry; /* in XENBUS_FDO.Children */
    BOOLEAN Reported;     /* the PnP manager knows of it */
    BOOLEAN Missing;      /* it has vanished from the store */
    BOOLEAN Gone;         /* and the PnP manager knows that too */
} XENBUS_PDO, *PXENBUS_PDO;

/* ---- pdo.c ---- */

/* Makes a child and puts it in the FDO's list. PASSIVE_LEVEL. */
_Must_inspect_result_ NTSTATUS PdoCreate(_In_ PXENBUS_FDO Fdo, _In_ PCSTR Class);

/* Takes it out of the list (the mutex is held), and deletes it (it is not). PASSIVE_LEVEL. */
VOID PdoUnlink(_In_ PXENBUS_PDO Pdo);
VOID PdoDelete(_In_ PXENBUS_PDO Pdo);

PCSTR PdoGetClass(_In_ PXENBUS_PDO Pdo);
PDEVICE_OBJECT PdoGetDeviceObject(_In_ PXENBUS_PDO Pdo);

/* TRUE if no driver uses the device: it was not started, or is stopped. */
BOOLEAN PdoIsIdle(_In_ PXENBUS_PDO Pdo);

/* TRUE if it is started, and has not been told to stop or to go since. */
BOOLEAN PdoIsStarted(_In_ PXENBUS_PDO Pdo);

/* TRUE if a driver uses the device, and has it powered. */
BOOLEAN PdoNeedsPower(_In_ PXENBUS_PDO Pdo);

/* TRUE: it is among the children, and its device object has been referenced for them. The mutex is held. */
_Must_inspect_result_ BOOLEAN PdoReport(_In_ PXENBUS_PDO Pdo);

/* REMOVE_DEVICE: deletes a device that is gone, whose remove lock nobody holds any more. PASSIVE_LEVEL. */
VOID PdoRemove(_In_ PXENBUS_PDO Pdo);

/* ---- pdo_id.c ---- */

/* Finds the revisions of the table in revision.h; all IDs are made of them. */
VOID PdoSetRevisions(_Inout_ PXENBUS_PDO Pdo);

/* A column of the table in revision.h. */
typedef enum _PDO_INTERFACE_INDEX {
    PDO_SUSPEND,
    PDO_SHARED_INFO,
    PDO_EVTCHN,
    PDO_DEBUG,
    PDO_STORE,
    PDO_RANGE_SET,
    PDO_CACHE,
    PDO_GNTTAB,
    PDO_UNPLUG,
    PDO_CONSOLE,
    PDO_EMULATED,
    PDO_INTERFACE_COUNT
} PDO_INTERFACE_INDEX;

/* Whether any revision stands for this version of the interface. */
BOOLEAN PdoOffers(_In_ PDO_INTERFACE_INDEX Interface, _In_ ULONG Version);

/* The answer to IRP_MN_QUERY_ID, in paged pool. STATUS_NOT_SUPPORTED: no ID of that type. */
_Must_inspect_result_ NTSTATUS PdoQueryId(_In_ PXENBUS_PDO Pdo, _In_ BUS_QUERY_ID_TYPE Type, _Outptr_ PWSTR *Id);

/* The answer to IRP_MN_QUERY_DEVICE_TEXT, likewise. */
_Must_inspect_result_ NTSTATUS PdoQueryText(_In_ PXENBUS_PDO Pdo, _In_ DEVICE_TEXT_TYPE Type, _Outptr_ PWSTR *Text);

/* ---- pdo_interface.c ---- */

/* The answer to IRP_MN_QUERY_INTERFACE; FALSE: the interface is not one of the bus's. */
_Must_inspect_result_ BOOLEAN PdoQueryInterface(_In_ PXENBUS_PDO Pdo, _In_ PIO_STACK_LOCATION Location,
                                                _Out_ NTSTATUS *Status);

/* ---- pdo_dma.c ---- */

/* The answer for GUID_BUS_INTERFACE_STANDARD, which counts a reference. STATUS_NOT_SUPPORTED: not of that version. */
_Must_inspect_result_ NTSTATUS PdoQueryBusInterface(_In_ PXENBUS_PDO Pdo, _In_ PIO_STACK_LOCATION Location);

/* ---- pdo_pnp.c ---- */

NTSTATUS PdoDispatchPnp(_In_ PXENBUS_PDO Pdo, _In_ PIRP Irp);
NTSTATUS PdoDispatchPower(_In_ PXENBUS_PDO Pdo, _In_ PIRP Irp);
NTSTATUS PdoDispatchOther(_In_ PXENBUS_PDO Pdo, _In_ PIRP Irp);

#endif /* XENBUS_PDO_H */
