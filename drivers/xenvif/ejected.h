/*
 * The devices that the guest has ejected and the toolstack has not taken away: they are no children of the bus, though
 * the store has them. One is forgotten when its node goes, or when its state is not the Closed that we left there: then
 * it is another device. Until Closed is there, another address, or another state than it had, tells the same; one that
 * the toolstack has made anew is not written to.
 *
 * Guarded by the bus's mutex; PASSIVE_LEVEL.
 */
#ifndef XENVIF_EJECTED_H
#define XENVIF_EJECTED_H

#include "ethernet.h"
#include "parent.h"

/*
 * Adds device/vif/<Name>, whose address is Address (zero: it has none), once, and leaves Closed in the store if there
 * is a state: now, or with one of the updates that follow. STATUS_INSUFFICIENT_RESOURCES.
 */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS EjectedAdd(_Inout_ PLIST_ENTRY List, _In_ PXENBUS_STORE_INTERFACE_V2 Store, _In_z_ PCSTR Name,
                    _In_ const ETHERNET_ADDRESS *Address);

/*
 * Forgets what is over. Names: what there is below device/vif; NULL: nothing. FALSE: Closed could not be written for
 * one of the others, and is to be tried again.
 */
_IRQL_requires_(PASSIVE_LEVEL)
BOOLEAN EjectedUpdate(_Inout_ PLIST_ENTRY List, _In_ PXENBUS_STORE_INTERFACE_V2 Store, _In_opt_ PCSTR Names);

_IRQL_requires_(PASSIVE_LEVEL)
BOOLEAN EjectedHas(_In_ PLIST_ENTRY List, _In_z_ PCSTR Name);

/* Forgets all. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID EjectedClear(_Inout_ PLIST_ENTRY List);

#endif /* XENVIF_EJECTED_H */
