/*
 * Ethernet addresses as the VIF interface passes them.
 */
#ifndef XENVIF_ETHERNET_H
#define XENVIF_ETHERNET_H

#include <ntddk.h>

#define ETHERNET_ADDRESS_LENGTH 6

/* Six bytes in wire order, no alignment. */
typedef struct _ETHERNET_ADDRESS {
    UCHAR Byte[ETHERNET_ADDRESS_LENGTH];
} ETHERNET_ADDRESS, *PETHERNET_ADDRESS;

typedef enum _ETHERNET_ADDRESS_TYPE {
    ETHERNET_ADDRESS_TYPE_INVALID = 0,
    ETHERNET_ADDRESS_UNICAST = 1,
    ETHERNET_ADDRESS_MULTICAST = 2,
    ETHERNET_ADDRESS_BROADCAST = 3
} ETHERNET_ADDRESS_TYPE,
    *PETHERNET_ADDRESS_TYPE;

/* What kind of destination an address is: the group bit is bit 0 of the first byte (IEEE 802). Any IRQL. */
static inline ETHERNET_ADDRESS_TYPE EthernetAddressType(_In_ const ETHERNET_ADDRESS *Address)
{
    ULONG Index;

    if ((Address->Byte[0] & 0x01) == 0)
        return ETHERNET_ADDRESS_UNICAST;

    for (Index = 0; Index < ETHERNET_ADDRESS_LENGTH; Index++)
        if (Address->Byte[Index] != 0xFF)
            return ETHERNET_ADDRESS_MULTICAST;

    return ETHERNET_ADDRESS_BROADCAST;
}

#endif /* XENVIF_ETHERNET_H */
