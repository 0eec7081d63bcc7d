/*
 * IP helper routines of kernel mode (netioapi.h, netio.sys): the table of unicast addresses, changes of it, interfaces
 * and their names. With it what they need of <ws2def.h>, <ws2ipdef.h>, <ifdef.h> and <nldef.h>.
 */

#ifndef PVSIM_NETIOAPI_H
#define PVSIM_NETIOAPI_H

#include <wdm.h>
#include <ifdef.h>
#include <ntddndis.h>

#define NETIO_STATUS NTSTATUS
#define NETIO_SUCCESS(status) NT_SUCCESS(status)
#define NETIOAPI_API_ NTAPI

/* ---- <ws2def.h>, <ws2ipdef.h> ---- */

typedef USHORT ADDRESS_FAMILY;
#define AF_UNSPEC 0
#define AF_INET 2
#define AF_INET6 23

typedef struct in_addr {
    union {
        struct {
            UCHAR s_b1, s_b2, s_b3, s_b4;
        } S_un_b;
        ULONG S_addr;
    } S_un;
} IN_ADDR, *PIN_ADDR;
#define s_addr S_un.S_addr

typedef struct in6_addr {
    union {
        UCHAR Byte[16];
        USHORT Word[8];
    } u;
} IN6_ADDR, *PIN6_ADDR;

typedef struct {
    union {
        struct {
            ULONG Zone : 28;
            ULONG Level : 4;
        };
        ULONG Value;
    };
} SCOPE_ID, *PSCOPE_ID;

typedef struct sockaddr_in {
    ADDRESS_FAMILY sin_family;
    USHORT sin_port;
    IN_ADDR sin_addr;
    CHAR sin_zero[8];
} SOCKADDR_IN, *PSOCKADDR_IN;

typedef struct sockaddr_in6 {
    ADDRESS_FAMILY sin6_family;
    USHORT sin6_port;
    ULONG sin6_flowinfo;
    IN6_ADDR sin6_addr;
    union {
        ULONG sin6_scope_id;
        SCOPE_ID sin6_scope_struct;
    };
} SOCKADDR_IN6, *PSOCKADDR_IN6;

typedef union _SOCKADDR_INET {
    SOCKADDR_IN Ipv4;
    SOCKADDR_IN6 Ipv6;
    ADDRESS_FAMILY si_family;
} SOCKADDR_INET, *PSOCKADDR_INET;
_Static_assert(sizeof(SOCKADDR_INET) == 0x1C, "SOCKADDR_INET");

/* ---- <nldef.h> ---- */

typedef enum {
    IpPrefixOriginOther = 0,
    IpPrefixOriginManual,
    IpPrefixOriginWellKnown,
    IpPrefixOriginDhcp,
    IpPrefixOriginRouterAdvertisement,
    IpPrefixOriginUnchanged = 16
} NL_PREFIX_ORIGIN;

typedef enum {
    IpSuffixOriginOther = 0,
    IpSuffixOriginManual,
    IpSuffixOriginWellKnown,
    IpSuffixOriginDhcp,
    IpSuffixOriginLinkLayerAddress,
    IpSuffixOriginRandom,
    IpSuffixOriginUnchanged = 16
} NL_SUFFIX_ORIGIN;

typedef enum {
    IpDadStateInvalid = 0,
    IpDadStateTentative,
    IpDadStateDuplicate,
    IpDadStateDeprecated,
    IpDadStatePreferred
} NL_DAD_STATE;

/* ---- the table ---- */

typedef enum _MIB_NOTIFICATION_TYPE {
    MibParameterNotification,
    MibAddInstance,
    MibDeleteInstance,
    MibInitialNotification
} MIB_NOTIFICATION_TYPE;

typedef struct _MIB_UNICASTIPADDRESS_ROW {
    SOCKADDR_INET Address;
    NET_LUID InterfaceLuid;
    NET_IFINDEX InterfaceIndex;
    NL_PREFIX_ORIGIN PrefixOrigin;
    NL_SUFFIX_ORIGIN SuffixOrigin;
    ULONG ValidLifetime;
    ULONG PreferredLifetime;
    UCHAR OnLinkPrefixLength;
    BOOLEAN SkipAsSource;
    NL_DAD_STATE DadState;
    SCOPE_ID ScopeId;
    LARGE_INTEGER CreationTimeStamp;
} MIB_UNICASTIPADDRESS_ROW, *PMIB_UNICASTIPADDRESS_ROW;
_Static_assert(sizeof(MIB_UNICASTIPADDRESS_ROW) == 0x50, "MIB_UNICASTIPADDRESS_ROW");

typedef struct _MIB_UNICASTIPADDRESS_TABLE {
    ULONG NumEntries;
    MIB_UNICASTIPADDRESS_ROW Table[1];
} MIB_UNICASTIPADDRESS_TABLE, *PMIB_UNICASTIPADDRESS_TABLE;

typedef VOID(NTAPI *PUNICAST_IPADDRESS_CHANGE_CALLBACK)(_In_ PVOID CallerContext,
                                                        _In_opt_ PMIB_UNICASTIPADDRESS_ROW Row,
                                                        _In_ MIB_NOTIFICATION_TYPE NotificationType);

_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NETIO_STATUS NTAPI GetUnicastIpAddressTable(_In_ ADDRESS_FAMILY Family,
                                                        _Outptr_ PMIB_UNICASTIPADDRESS_TABLE *Table);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NETIO_STATUS NTAPI GetUnicastIpAddressEntry(_Inout_ PMIB_UNICASTIPADDRESS_ROW Row);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI VOID NTAPI InitializeUnicastIpAddressEntry(_Out_ PMIB_UNICASTIPADDRESS_ROW Row);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NETIO_STATUS NTAPI CreateUnicastIpAddressEntry(_In_ const MIB_UNICASTIPADDRESS_ROW *Row);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NETIO_STATUS NTAPI SetUnicastIpAddressEntry(_In_ const MIB_UNICASTIPADDRESS_ROW *Row);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NETIO_STATUS NTAPI DeleteUnicastIpAddressEntry(_In_ const MIB_UNICASTIPADDRESS_ROW *Row);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NETIO_STATUS NTAPI NotifyUnicastIpAddressChange(_In_ ADDRESS_FAMILY Family,
                                                            _In_ PUNICAST_IPADDRESS_CHANGE_CALLBACK Callback,
                                                            _In_opt_ PVOID CallerContext,
                                                            _In_ BOOLEAN InitialNotification,
                                                            _Inout_ HANDLE *NotificationHandle);
_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NETIO_STATUS NTAPI CancelMibChangeNotify2(_In_ HANDLE NotificationHandle);
_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI VOID NTAPI FreeMibTable(_In_ PVOID Memory);

/* ---- interfaces ---- */

typedef struct _MIB_IF_ROW2 {
    NET_LUID InterfaceLuid;
    NET_IFINDEX InterfaceIndex;
    GUID InterfaceGuid;
    WCHAR Alias[IF_MAX_STRING_SIZE + 1];
    WCHAR Description[IF_MAX_STRING_SIZE + 1];
    ULONG PhysicalAddressLength;
    UCHAR PhysicalAddress[IF_MAX_PHYS_ADDRESS_LENGTH];
    UCHAR PermanentPhysicalAddress[IF_MAX_PHYS_ADDRESS_LENGTH];
    ULONG Mtu;
    IFTYPE Type;
    TUNNEL_TYPE TunnelType;
    NDIS_MEDIUM MediaType;
    NDIS_PHYSICAL_MEDIUM PhysicalMediumType;
    NET_IF_ACCESS_TYPE AccessType;
    NET_IF_DIRECTION_TYPE DirectionType;
    struct {
        BOOLEAN HardwareInterface : 1;
        BOOLEAN FilterInterface : 1;
        BOOLEAN ConnectorPresent : 1;
        BOOLEAN NotAuthenticated : 1;
        BOOLEAN NotMediaConnected : 1;
        BOOLEAN Paused : 1;
        BOOLEAN LowPower : 1;
        BOOLEAN EndPointInterface : 1;
    } InterfaceAndOperStatusFlags;
    IF_OPER_STATUS OperStatus;
    NET_IF_ADMIN_STATUS AdminStatus;
    NET_IF_MEDIA_CONNECT_STATE MediaConnectState;
    NET_IF_NETWORK_GUID NetworkGuid;
    NET_IF_CONNECTION_TYPE ConnectionType;
    ULONG64 TransmitLinkSpeed;
    ULONG64 ReceiveLinkSpeed;
    ULONG64 InOctets;
    ULONG64 InUcastPkts;
    ULONG64 InNUcastPkts;
    ULONG64 InDiscards;
    ULONG64 InErrors;
    ULONG64 InUnknownProtos;
    ULONG64 InUcastOctets;
    ULONG64 InMulticastOctets;
    ULONG64 InBroadcastOctets;
    ULONG64 OutOctets;
    ULONG64 OutUcastPkts;
    ULONG64 OutNUcastPkts;
    ULONG64 OutDiscards;
    ULONG64 OutErrors;
    ULONG64 OutUcastOctets;
    ULONG64 OutMulticastOctets;
    ULONG64 OutBroadcastOctets;
    ULONG64 OutQLen;
} MIB_IF_ROW2, *PMIB_IF_ROW2;
_Static_assert(sizeof(MIB_IF_ROW2) == 0x548, "MIB_IF_ROW2");

typedef struct _MIB_IF_TABLE2 {
    ULONG NumEntries;
    MIB_IF_ROW2 Table[1];
} MIB_IF_TABLE2, *PMIB_IF_TABLE2;

_IRQL_requires_max_(APC_LEVEL)
NTKERNELAPI NETIO_STATUS NTAPI GetIfTable2(_Outptr_ PMIB_IF_TABLE2 *Table);

/* ---- names of interfaces ---- */

_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NETIO_STATUS NTAPI ConvertInterfaceGuidToLuid(_In_ const GUID *InterfaceGuid,
                                                          _Out_ PNET_LUID InterfaceLuid);
_IRQL_requires_max_(PASSIVE_LEVEL)
NTKERNELAPI NETIO_STATUS NTAPI ConvertInterfaceLuidToGuid(_In_ const NET_LUID *InterfaceLuid,
                                                          _Out_ GUID *InterfaceGuid);

#endif
