/* What a network adapter may be asked through its device, as in Microsoft's "ntddndis.h header". */

#ifndef PVSIM_NTDDNDIS_H
#define PVSIM_NTDDNDIS_H

#include <wdm.h>
#include <ifdef.h>

#define _NDIS_CONTROL_CODE(request, method) CTL_CODE(FILE_DEVICE_PHYSICAL_NETCARD, request, method, FILE_ANY_ACCESS)

/* Input: the OID (ULONG). Output: its value. */
#define IOCTL_NDIS_QUERY_GLOBAL_STATS _NDIS_CONTROL_CODE(0, METHOD_OUT_DIRECT)

typedef ULONG NDIS_OID, *PNDIS_OID;

#define OID_802_3_PERMANENT_ADDRESS 0x01010101

#endif
