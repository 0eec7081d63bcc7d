/* isabus: what its two files share. */
#ifndef ISABUS_H
#define ISABUS_H

#include <ntddk.h>

#define ISABUS_TAG 'BasI'
#define ISABUS_MAX_SLOTS 8

/* First in both kinds of device extension. */
typedef struct _COMMON {
    BOOLEAN IsSlot;
} COMMON, *PCOMMON;

typedef struct _SLOT {
    COMMON Common;
    ULONG Number;
} SLOT, *PSLOT;

typedef struct _BUS {
    COMMON Common;
    PDEVICE_OBJECT Self;
    PDEVICE_OBJECT Pdo;
    PDEVICE_OBJECT Lower;
    IO_REMOVE_LOCK RemoveLock;
    ULONG SlotCount;
    PDEVICE_OBJECT Slot[ISABUS_MAX_SLOTS];
} BUS, *PBUS;

/* isabus_child.c */
NTSTATUS SlotCreate(PBUS Bus, ULONG Number);
DRIVER_DISPATCH SlotPnp;

NTSTATUS Complete(PIRP Irp, NTSTATUS Status);

#endif
