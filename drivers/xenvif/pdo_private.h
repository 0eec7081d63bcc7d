/*
 * Inside of a network device: what pdo.c (life), pdo_pnp.c (IRPs) and pdo_id.c (revisions, IDs) share.
 */
#ifndef XENVIF_PDO_PRIVATE_H
#define XENVIF_PDO_PRIVATE_H

#include "driver.h"
#include "ethernet.h"
#include "frontend.h"
#include "pdo.h"
#include "settings.h"
#include "vif.h"

#define PDO_TAG POOL_TAG('V', 'p', 'd', 'o')

#define PDO_MAXIMUM_REVISIONS 16

struct _XENVIF_PDO {
    XENVIF_DEVICE Device; /* must be first */
    PXENVIF_FDO Fdo;
    ULONG Number;
    CHAR Name[12];
    BOOLEAN HasAddress;       /* the store has one, and it is a card's */
    ETHERNET_ADDRESS Address; /* as of the child's coming, then of its last start */
    LIST_ENTRY ListEntry;
    ULONG Seen; /* the last scan of the bus that found it in the store */
    LONG Missing;
    LONG Failed; /* it has a twin, by which its last start was refused or ended */
    BOOLEAN Reported;

    /* The revisions whose interfaces there are, newest first. */
    ULONG Revisions[PDO_MAXIMUM_REVISIONS];
    ULONG RevisionCount;

    PXENVIF_VIF Vif;
    PXENVIF_FRONTEND Frontend; /* NULL while the device is not started */

    WCHAR Adapter[SETTINGS_ADAPTER_SIZE]; /* what the network class called it at its last start; or empty */
    KMUTEX Mutex; /* settings are kept and given by one at a time, for the address; PASSIVE_LEVEL */
};

/*
 * Reads the address: what a device is told apart by before it is started, and what a twin is known by. None, or none of
 * a card, is no error; one that cannot be read is. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PdoReadAddress(_Inout_ PXENVIF_PDO Pdo);

/* Makes the frontend and powers it up. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PdoStart(_Inout_ PXENVIF_PDO Pdo);

/* The device does not start because its twin is there: keeps the twin's settings (settings.h). PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID PdoKeepTwinSettings(_Inout_ PXENVIF_PDO Pdo);

/*
 * Chooses the revisions of the table whose interfaces there are, ours and the bus's. STATUS_INSUFFICIENT_RESOURCES: the
 * bus could not be asked. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PdoSetRevisions(_Inout_ PXENVIF_PDO Pdo);

/* Whether a revision of the table stands for this version of an interface. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
BOOLEAN PdoOffers(_In_ const GUID *Type, _In_ USHORT Version);

/* IRP_MN_QUERY_ID: the answer as a string, or a list of strings, for the PnP manager to free. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PdoQueryId(_In_ PXENVIF_PDO Pdo, _In_ BUS_QUERY_ID_TYPE Type, _Outptr_ PWSTR *Id);

/* IRP_MN_QUERY_DEVICE_TEXT: likewise. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS PdoQueryText(_In_ PXENVIF_PDO Pdo, _In_ DEVICE_TEXT_TYPE Type, _Outptr_ PWSTR *Text);

#endif /* XENVIF_PDO_PRIVATE_H */
