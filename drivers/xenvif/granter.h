/*
 * Grants of one ring, and the quarantine of what the backend does not let go.
 *
 * A backend that still has a page mapped when its grant is to end keeps the page: the granter holds it, counts it, says
 * so in the log, and tries again until the grant can be revoked (field bug FB18). A granter that still holds pages when
 * its ring goes is handed to the FDO (GranterRetire), which goes on trying.
 *
 * The granter has the ring's lock in it, because that lock guards the grant cache and must live as long. Held by
 * the caller of whatever is not said to be otherwise; IRQL DISPATCH_LEVEL then.
 */
#ifndef XENVIF_GRANTER_H
#define XENVIF_GRANTER_H

#include <ntddk.h>

#include "buffer.h"
#include "gnttab_interface.h"
#include "ring.h"

/*
 * Grants that a backend may hold on to before the connection ends, and none is made while it does. What it has of a
 * connection that ends comes to them.
 */
#define GRANTER_HELD_CAP (2 * RING_ENTRIES)

typedef struct _XENVIF_GRANTER {
    LIST_ENTRY ListEntry; /* of the FDO's list, once retired */
    KSPIN_LOCK Lock;
    KIRQL Irql; /* saved by the cache's own acquisition of Lock */
    PXENBUS_GNTTAB_INTERFACE_V4 Gnttab;
    PXENBUS_GNTTAB_CACHE Cache;
    USHORT Domain;
    LIST_ENTRY Held; /* buffers in quarantine */
    ULONG HeldCount;
    LIST_ENTRY Orphans; /* grants of other people's pages, which could not be kept from their owners any longer */
    ULONG OrphanCount;
    ULONG LostCount; /* orphans that there was no memory to note: they stand for good */
    CHAR Name[24];
} XENVIF_GRANTER, *PXENVIF_GRANTER;

/* Name is for the log. PASSIVE_LEVEL, without the lock. No memory, or the bus's error. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS GranterInitialize(_In_ PXENBUS_GNTTAB_INTERFACE_V4 Gnttab, _In_z_ PCSTR Name,
                           _Outptr_ PXENVIF_GRANTER *Granter);

/* The domain that grants are made to from now on. */
VOID GranterSetDomain(_Inout_ PXENVIF_GRANTER Granter, _In_ USHORT Domain);

/* Grants a page. The bus's error. */
_IRQL_requires_(DISPATCH_LEVEL)
NTSTATUS GranterPermit(_Inout_ PXENVIF_GRANTER Granter, _In_ PFN_NUMBER Pfn, _In_ BOOLEAN ReadOnly,
                       _Outptr_ PXENBUS_GNTTAB_ENTRY *Grant);

/* Ends a grant. Not STATUS_SUCCESS: the backend has the page mapped, and the grant stands. */
_IRQL_requires_(DISPATCH_LEVEL)
NTSTATUS GranterRevoke(_Inout_ PXENVIF_GRANTER Granter, _In_ PXENBUS_GNTTAB_ENTRY Grant);

/*
 * Takes over a grant that cannot be revoked, of a page that is not ours to keep. FALSE: no memory, it stays the
 * caller's. Lose: not then, but it is never revoked, and the granter does not end.
 */
_IRQL_requires_(DISPATCH_LEVEL)
BOOLEAN GranterOrphan(_Inout_ PXENVIF_GRANTER Granter, _In_ PXENBUS_GNTTAB_ENTRY Grant, _In_ BOOLEAN Lose);

/* Likewise for a buffer. GranterRevokeBuffer gives FALSE when it had to put the buffer into quarantine: it is gone. */
_IRQL_requires_(DISPATCH_LEVEL)
NTSTATUS GranterPermitBuffer(_Inout_ PXENVIF_GRANTER Granter, _Inout_ PXENVIF_BUFFER Buffer, _In_ BOOLEAN ReadOnly);
_IRQL_requires_(DISPATCH_LEVEL)
BOOLEAN GranterRevokeBuffer(_Inout_ PXENVIF_GRANTER Granter, _Inout_ PXENVIF_BUFFER Buffer);

/* The reference of a grant, for the backend. Any IRQL, the lock is not needed. */
ULONG GranterReference(_In_ PXENVIF_GRANTER Granter, _In_ PXENBUS_GNTTAB_ENTRY Grant);

/* TRUE: the backend holds on to more grants than it may, Others that the ring has elsewhere among them. */
BOOLEAN GranterIsOverheld(_In_ PXENVIF_GRANTER Granter, _In_ ULONG Others);

/* Tries again to revoke what could not be. IRQL <= DISPATCH_LEVEL, without the lock. How many grants still stand. */
_IRQL_requires_max_(DISPATCH_LEVEL)
ULONG GranterRetry(_Inout_ PXENVIF_GRANTER Granter);

/*
 * Ends a granter whose ring is gone. FALSE: grants still stand, and it stays. PASSIVE_LEVEL, without the lock.
 */
_IRQL_requires_(PASSIVE_LEVEL)
BOOLEAN GranterTeardown(_In_ PXENVIF_GRANTER Granter);

#endif /* XENVIF_GRANTER_H */
