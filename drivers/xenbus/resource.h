/*
 * The hardware resources of the platform device: what it asks for, and what it was given.
 */
#ifndef XENBUS_RESOURCE_H
#define XENBUS_RESOURCE_H

#include "compat.h"

/* An interrupt that was assigned, in terms of IoConnectInterruptEx. */
typedef struct _XENBUS_INTERRUPT {
    BOOLEAN Message; /* else the line */
    BOOLEAN Share;
    KINTERRUPT_MODE Mode;
    KIRQL Irql;
    ULONG Vector; /* in the processor's interrupt table */
    ULONG Line;   /* the interrupt controller's input, for the line only */
    USHORT Group;
    KAFFINITY Affinity;
} XENBUS_INTERRUPT, *PXENBUS_INTERRUPT;

typedef struct _XENBUS_RESOURCES {
    PHYSICAL_ADDRESS MemoryStart; /* the memory BAR; Length 0: none */
    ULONGLONG MemoryLength;
    PHYSICAL_ADDRESS PortStart; /* the port BAR; Length 0: none */
    ULONG PortLength;
    ULONG InterruptCount;
    XENBUS_INTERRUPT Interrupt[1];
} XENBUS_RESOURCES, *PXENBUS_RESOURCES;

/*
 * What IRP_MN_START_DEVICE assigns. PASSIVE_LEVEL. STATUS_DEVICE_CONFIGURATION_ERROR: no resources, or lists that do
 * not match. *Resources is freed by ResourceFree.
 */
_Must_inspect_result_ NTSTATUS ResourceParse(_In_opt_ const CM_RESOURCE_LIST *Raw,
                                             _In_opt_ const CM_RESOURCE_LIST *Translated,
                                             _Outptr_ PXENBUS_RESOURCES *Resources);
VOID ResourceFree(_In_ PXENBUS_RESOURCES Resources);

/*
 * A copy of Requirements, to be freed with ExFreePool, that asks in each alternative for one message interrupt more for
 * every processor, to be delivered there. PASSIVE_LEVEL.
 */
_Must_inspect_result_ NTSTATUS ResourceAddMessages(_In_ const IO_RESOURCE_REQUIREMENTS_LIST *Requirements,
                                                   _Outptr_ PIO_RESOURCE_REQUIREMENTS_LIST *Extended);

#endif /* XENBUS_RESOURCE_H */
