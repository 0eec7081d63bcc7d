/*
 * The revision tables: which version of each interface a PDO revision stands for.
 *
 * A client's INF matches a hardware ID that carries a revision, and so says which versions it needs. Each table is the
 * only place where a revision is written: PdoSetRevisions derives every ID from it, and a version that no row names is
 * not given to anybody. Adding an interface version adds a row at the end; removing one moves every row that names it
 * to the table of what is no more. What a revision stands for never changes. Rows go from the oldest to the newest.
 *
 * A table is used by handing it a macro of one row:
 *
 *     #define ROW(_Revision, ...) _Revision,
 *     static const ULONG Revisions[] = { XENBUS_REVISION_TABLE(ROW) };
 */
#ifndef XEN_REVISION_H
#define XEN_REVISION_H

/* A row a line. */
/* clang-format off */

/* A build may have tables of its own (the tests of upgrades have). */
#ifndef XENBUS_REVISION_TABLE

/* Columns: Revision, SUSPEND, SHARED_INFO, EVTCHN, DEBUG, STORE, RANGE_SET, CACHE, GNTTAB, UNPLUG, CONSOLE, EMULATED */
#define XENBUS_REVISION_TABLE(_Row)                   \
    _Row(0x09000008, 1, 3, 9, 1, 2, 1, 2, 4, 1, 1, 2) \
    _Row(0x09000009, 1, 4, 9, 1, 2, 1, 2, 4, 1, 1, 2) \
    _Row(0x0900000A, 1, 4, 9, 1, 2, 1, 2, 4, 2, 1, 2) \
    _Row(0x0900000B, 1, 4, 9, 1, 2, 1, 2, 4, 3, 1, 2) \
    _Row(0x0900000C, 1, 4, 9, 1, 2, 1, 2, 4, 3, 1, 3)

/* Those that have been removed: nothing is made of them, but whoever was bound to one can be told what it lacks. */
#define XENBUS_REVISION_REMOVED(_Row)

/* Columns: Revision, CACHE, VIF, STORE, SUSPEND, UNPLUG */
#define XENVIF_REVISION_TABLE(_Row)  \
    _Row(0x09000001, 2, 8, 2, 1, 1)  \
    _Row(0x09000002, 2, 9, 2, 1, 1)  \
    _Row(0x09000003, 2, 10, 2, 1, 1) \
    _Row(0x09000004, 2, 10, 2, 1, 2) \
    _Row(0x09000005, 2, 10, 2, 1, 3)

#define XENVIF_REVISION_REMOVED(_Row)

#endif /* XENBUS_REVISION_TABLE */

/* clang-format on */

/*
 * Whether a PDO's device ID leaves out platform device and revision ("XENVIF\VEN_XP&DEV_NET") instead of naming the
 * newest revision ("XENVIF\VEN_XP0001&DEV_NET&REV_09000005"). A device ID that never changes keeps the device node,
 * and so the settings of a card, across an upgrade; the package's documents promise the revision, so that is the
 * default. Hardware IDs carry the revisions either way.
 */
#ifndef PDO_STABLE_DEVICE_ID
#define PDO_STABLE_DEVICE_ID 0
#endif

#endif /* XEN_REVISION_H */
