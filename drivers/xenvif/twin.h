/*
 * Twins: emulated network cards that are still in the machine, have a driver, and have the address of a VIF. Windows
 * would see one card twice. Other adapters of the same address (a bridge, a team) are not on the PCI bus, and no twins.
 *
 * The addresses are asked for as any application does: through the interface GUID_DEVINTERFACE_NET, by
 * IOCTL_NDIS_QUERY_GLOBAL_STATS. PASSIVE_LEVEL, and nothing held that an adapter's driver could wait for.
 */
#ifndef XENVIF_TWIN_H
#define XENVIF_TWIN_H

#include <ntddk.h>

#include "ethernet.h"

/* The addresses of the cards that there are; one that does not tell its own is left out. */
typedef struct _TWIN_LIST {
    ULONG Count;
    PETHERNET_ADDRESS Addresses; /* NULL: there are none */
} TWIN_LIST, *PTWIN_LIST;

/* Empty after a failure. STATUS_INSUFFICIENT_RESOURCES, or that of IoGetDeviceInterfaces. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS TwinListCreate(_Out_ PTWIN_LIST List);
_IRQL_requires_(PASSIVE_LEVEL)
VOID TwinListDestroy(_Inout_ PTWIN_LIST List);

BOOLEAN TwinListHas(_In_ const TWIN_LIST *List, _In_ const ETHERNET_ADDRESS *Address);

/*
 * Has Changed called, at PASSIVE_LEVEL, whenever an adapter has come: also for those that are there. It is not to take
 * long. TwinStopWatching returns when it does not run and will not be called again.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS TwinWatch(_In_ PDRIVER_OBJECT Driver, _In_ PDRIVER_NOTIFICATION_CALLBACK_ROUTINE Changed,
                   _In_opt_ PVOID Context, _Outptr_ PVOID *Watch);
_IRQL_requires_(PASSIVE_LEVEL)
VOID TwinStopWatching(_In_ PVOID Watch);

#endif /* XENVIF_TWIN_H */
