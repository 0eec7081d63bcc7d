/*
 * The parts of the grant-table provider: gnttab_table.c has the table and its references, gnttab_entry.c what is
 * written in an entry, gnttab_map.c mappings of foreign pages, gnttab.c the caches of grants and the methods.
 *
 * The table is of version 2 where Xen lets this domain have it: its entries have room for any frame number, and whether
 * a grant is in use stands in status words of Xen's, in frames of their own. Otherwise it is of version 1.
 */
#ifndef XENBUS_GNTTAB_PRIVATE_H
#define XENBUS_GNTTAB_PRIVATE_H

#include "compat.h"

#include "gnttab.h"
#include "users.h"

#include <xen/xen.h>
#include <xen/grant_table.h>

#define GNTTAB_TAG POOL_TAG('G', 'N', 'T', 'B')

/* Entries in a frame of the table, by its version, and status words in a frame of theirs. */
#define GNTTAB_FRAME_ENTRIES_V1 ((ULONG)(PAGE_SIZE / sizeof(grant_entry_v1_t)))
#define GNTTAB_FRAME_ENTRIES_V2 ((ULONG)(PAGE_SIZE / sizeof(grant_entry_v2_t)))
#define GNTTAB_STATUS_WORDS ((ULONG)(PAGE_SIZE / sizeof(grant_status_t)))

/* Xen reserves eight references; the field's drivers have always left 32. A reference of 0 is therefore none. */
#define GNTTAB_FIRST_REFERENCE 32
#define GNTTAB_NO_REFERENCE 0

typedef struct _GNTTAB_FRAME {
    XENBUS_HOLE_AREA Area;
    PVOID Entries;
    ULONG Orphan[GNTTAB_FRAME_ENTRIES_V1 / 32]; /* references that nobody owns and that are still mapped */
} GNTTAB_FRAME, *PGNTTAB_FRAME;

/* A frame of status words. */
typedef struct _GNTTAB_STATUS {
    XENBUS_HOLE_AREA Area;
    grant_status_t *Words;
} GNTTAB_STATUS, *PGNTTAB_STATUS;

struct _XENBUS_GNTTAB_CONTEXT {
    INTERFACE_USERS Users;
    XENBUS_CACHE_INTERFACE CacheInterface;
    XENBUS_RANGE_SET_INTERFACE RangeSetInterface;
    PXENBUS_HOLE Hole;

    /*
     * Guards the growth of the table, orphans and Maps. A client's cache lock may be held around it; range sets lock
     * themselves under it.
     */
    KSPIN_LOCK Lock;
    PXENBUS_RANGE_SET References;
    ULONG Version;      /* of the entries; it changes at a resume only, from 2 to 1 */
    ULONG FrameEntries; /* references that a frame stands for: constant, so a table that was of version 2 keeps to it */
    PGNTTAB_FRAME Frame;
    ULONG volatile FrameCount;
    ULONG MaximumFrames;
    PGNTTAB_STATUS Status;
    ULONG StatusCount;
    ULONG OrphanCount;
    BOOLEAN FullReported; /* that the table cannot grow */
    LIST_ENTRY Maps;

    LONG volatile CacheCount;
    LONG volatile QuarantineCount; /* grants that could not be revoked and whose owner still has them */
};

/* ---- gnttab_table.c ---- */

/* The table, one frame of it. PASSIVE_LEVEL. */
_Must_inspect_result_ NTSTATUS GnttabTableCreate(_In_ PXENBUS_GNTTAB_CONTEXT Context);
VOID GnttabTableDestroy(_In_ PXENBUS_GNTTAB_CONTEXT Context);
VOID GnttabTableResume(_In_ PXENBUS_GNTTAB_CONTEXT Context);

/* A reference of no use to anybody yet; the table grows if it must. IRQL <= DISPATCH_LEVEL. */
_Must_inspect_result_ NTSTATUS GnttabAllocateReference(_In_ PXENBUS_GNTTAB_CONTEXT Context, _Out_ PULONG Reference);
VOID GnttabFreeReference(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference);

/* The reference is still mapped and its owner goes: it is free once it is not mapped any more. IRQL <= DISPATCH_LEVEL.
 */
VOID GnttabOrphanReference(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference);

/* ---- gnttab_entry.c ---- */

/* Makes a grant; the version has room for the frame number. Any IRQL. */
VOID GnttabGrant(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference, _In_ USHORT Domain, _In_ PFN_NUMBER Frame,
                 _In_ BOOLEAN ReadOnly);

/* Ends a grant; FALSE if the other side has it mapped, and then it goes on. Any IRQL. */
_Must_inspect_result_ BOOLEAN GnttabRevoke(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference);

_Must_inspect_result_ NTSTATUS GnttabQuery(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ ULONG Reference,
                                           _Out_ PPFN_NUMBER Frame, _Out_ PBOOLEAN ReadOnly);

/* ---- gnttab_map.c ---- */

_Must_inspect_result_ NTSTATUS GnttabMap(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ USHORT Domain,
                                         _In_ ULONG NumberPages, _In_reads_(NumberPages) const ULONG *References,
                                         _In_ BOOLEAN ReadOnly, _Out_ PHYSICAL_ADDRESS *Address);
_Must_inspect_result_ NTSTATUS GnttabUnmap(_In_ PXENBUS_GNTTAB_CONTEXT Context, _In_ PHYSICAL_ADDRESS Address);

#endif /* XENBUS_GNTTAB_PRIVATE_H */
