/*
 * The MAC of a VIF: addresses, filter, link, sizes.
 *
 * The permanent address is the store's "mac", read when the device starts. The MTU is the store's "mtu" (1500 if there
 * is none), read again whenever it changes, but no more than fits one page as long as the backend takes no more. The
 * current address is the adapter's NetworkAddress setting if there is a valid one. The link's speed is the
 * store's "speed", else the registry's MacSpeed (DWORD, Gbit/s), else 1 Gbit/s. What cannot be read for a moment is as
 * it was.
 *
 * A frame passes the filter by the level of its destination's type; all levels are NONE until the client sets them.
 * Lock: the MAC's own, a leaf.
 */
#ifndef XENVIF_MAC_H
#define XENVIF_MAC_H

#include <ntddk.h>

#include "vif_interface.h"

typedef struct _XENVIF_FRONTEND XENVIF_FRONTEND, *PXENVIF_FRONTEND;
typedef struct _XENVIF_MAC XENVIF_MAC, *PXENVIF_MAC;

/* An address that a card can have (one station's, not zero) from text. STATUS_INVALID_PARAMETER. Any IRQL. */
NTSTATUS MacAddressFromText(_In_z_ PCSTR Text, _Out_ PETHERNET_ADDRESS Address);

/* PASSIVE_LEVEL. The store's error, or STATUS_INVALID_PARAMETER, if there is no address. */
_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS MacInitialize(_In_ PXENVIF_FRONTEND Frontend, _Outptr_ PXENVIF_MAC *Mac);
_IRQL_requires_(PASSIVE_LEVEL)
VOID MacTeardown(_In_ PXENVIF_MAC Mac);

/*
 * Sets the state of the link, and reads the store's "mtu", and its "speed" if the link is up. Connected: the rings are,
 * and neither the toolstack ("disconnect") nor the backend ("carrier") has pulled the cable. Gather: the backend takes
 * frames of several pages. PASSIVE_LEVEL. TRUE: the answer of MacQueryState or of MacQueryMaximumFrameSize has changed.
 */
_IRQL_requires_(PASSIVE_LEVEL)
BOOLEAN MacUpdate(_Inout_ PXENVIF_MAC Mac, _In_ BOOLEAN Connected, _In_ BOOLEAN Gather);

/*
 * Between begin and end, TRUE if a frame to Address is to be handed to the client: the link is up and the filter lets
 * it in. One acquisition of the lock for as many frames as there are. DISPATCH_LEVEL.
 */
_IRQL_requires_(DISPATCH_LEVEL)
VOID MacBeginAdmission(_Inout_ PXENVIF_MAC Mac);
_IRQL_requires_(DISPATCH_LEVEL)
BOOLEAN MacAdmits(_In_ PXENVIF_MAC Mac, _In_ const ETHERNET_ADDRESS *Address);
_IRQL_requires_(DISPATCH_LEVEL)
VOID MacEndAdmission(_Inout_ PXENVIF_MAC Mac);

/* As of the interface. IRQL <= DISPATCH_LEVEL. */
VOID MacQueryState(_Inout_ PXENVIF_MAC Mac, _Out_opt_ PNET_IF_MEDIA_CONNECT_STATE MediaConnectState,
                   _Out_opt_ PULONG64 LinkSpeed, _Out_opt_ PNET_IF_MEDIA_DUPLEX_STATE MediaDuplexState);
ULONG MacQueryMaximumFrameSize(_In_ PXENVIF_MAC Mac);
VOID MacQueryPermanentAddress(_In_ PXENVIF_MAC Mac, _Out_ PETHERNET_ADDRESS Address);
VOID MacQueryCurrentAddress(_In_ PXENVIF_MAC Mac, _Out_ PETHERNET_ADDRESS Address);
NTSTATUS MacQueryMulticastAddresses(_Inout_ PXENVIF_MAC Mac, _Out_writes_opt_(*Count) PETHERNET_ADDRESS Address,
                                    _Inout_ PULONG Count);
NTSTATUS MacSetMulticastAddresses(_Inout_ PXENVIF_MAC Mac, _In_reads_opt_(Count) PETHERNET_ADDRESS Address,
                                  _In_ ULONG Count);
NTSTATUS MacSetFilterLevel(_Inout_ PXENVIF_MAC Mac, _In_ ETHERNET_ADDRESS_TYPE Type,
                           _In_ XENVIF_MAC_FILTER_LEVEL Level);
NTSTATUS MacQueryFilterLevel(_Inout_ PXENVIF_MAC Mac, _In_ ETHERNET_ADDRESS_TYPE Type,
                             _Out_ PXENVIF_MAC_FILTER_LEVEL Level);

/*
 * What of multicast frames the filter lets in. TRUE: those to the *Count Addresses and no others; FALSE: more than Size
 * addresses can say. Change: a number that another list or level of the client's has changed. IRQL <= DISPATCH_LEVEL.
 */
_IRQL_requires_max_(DISPATCH_LEVEL)
BOOLEAN MacQueryMulticastFilter(_Inout_ PXENVIF_MAC Mac, _Out_writes_to_(Size, *Count) PETHERNET_ADDRESS Addresses,
                                _In_ ULONG Size, _Out_ PULONG Count, _Out_ PULONG Change);

#endif /* XENVIF_MAC_H */
