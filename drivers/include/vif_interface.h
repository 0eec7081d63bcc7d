/*
 * XENVIF_VIF: a PV network interface, as a network miniport uses it. Provided by XENVIF to each of its children.
 *
 * Versions 8, 9 and 10 differ in how callbacks pass their values. IRQL: Acquire, Release, Enable, Disable and the hash
 * configuration at PASSIVE_LEVEL; everything else up to DISPATCH_LEVEL; callbacks always at DISPATCH_LEVEL.
 *
 * Enable and Disable pair up, between Acquire and Release. Packets move only while enabled. Disable returns when every
 * queued transmit packet has been returned and no callback runs or will run; received packets that the client still
 * holds stay valid until it returns them.
 */
#ifndef XENVIF_VIF_INTERFACE_H
#define XENVIF_VIF_INTERFACE_H

#include "ethernet.h"
#include "interface_call.h"
#include <ifdef.h>

/* {76F279CD-CA11-418B-92E8-C57F77DE0E2E} */
DEFINE_GUID(GUID_XENVIF_VIF_INTERFACE, 0x76f279cd, 0xca11, 0x418b, 0x92, 0xe8, 0xc5, 0x7f, 0x77, 0xde, 0x0e, 0x2e);

#define XENVIF_VIF_INTERFACE_VERSION_MIN 8
#define XENVIF_VIF_INTERFACE_VERSION_MAX 10

/* Bytes of a Toeplitz key. */
#define XENVIF_VIF_HASH_KEY_SIZE 40

typedef enum _XENVIF_PACKET_HASH_ALGORITHM {
    XENVIF_PACKET_HASH_ALGORITHM_NONE = 0,
    XENVIF_PACKET_HASH_ALGORITHM_UNSPECIFIED = 1,
    XENVIF_PACKET_HASH_ALGORITHM_TOEPLITZ = 2
} XENVIF_PACKET_HASH_ALGORITHM,
    *PXENVIF_PACKET_HASH_ALGORITHM;

/* What the hash was made of. A mask of types has bit 1 << type. */
typedef enum _XENVIF_PACKET_HASH_TYPE {
    XENVIF_PACKET_HASH_TYPE_NONE = 0,
    XENVIF_PACKET_HASH_TYPE_IPV4 = 1,
    XENVIF_PACKET_HASH_TYPE_IPV4_TCP = 2,
    XENVIF_PACKET_HASH_TYPE_IPV6 = 3,
    XENVIF_PACKET_HASH_TYPE_IPV6_TCP = 4
} XENVIF_PACKET_HASH_TYPE,
    *PXENVIF_PACKET_HASH_TYPE;

struct _XENVIF_PACKET_HASH_V2 {
    XENVIF_PACKET_HASH_ALGORITHM Algorithm;
    XENVIF_PACKET_HASH_TYPE Type;
    ULONG Value;
};

typedef struct _XENVIF_PACKET_HASH_V2 XENVIF_PACKET_HASH_V2, *PXENVIF_PACKET_HASH_V2;
typedef XENVIF_PACKET_HASH_V2 XENVIF_PACKET_HASH, *PXENVIF_PACKET_HASH;

/* Where a header lies, in bytes from the start of the packet. Length 0: there is none. */
struct _XENVIF_PACKET_HEADER_V1 {
    ULONG Offset;
    ULONG Length;
};

typedef struct _XENVIF_PACKET_HEADER_V1 XENVIF_PACKET_HEADER_V1, *PXENVIF_PACKET_HEADER_V1;
typedef XENVIF_PACKET_HEADER_V1 XENVIF_PACKET_HEADER, *PXENVIF_PACKET_HEADER;

/* What the provider parsed of a packet: the bytes of headers, all within the first MDL, and where each one lies. */
struct _XENVIF_PACKET_INFO_V2 {
    ULONG Length;
    BOOLEAN IsAFragment;
    struct _XENVIF_PACKET_HEADER_V1 EthernetHeader;
    struct _XENVIF_PACKET_HEADER_V1 LLCSnapHeader;
    struct _XENVIF_PACKET_HEADER_V1 IpHeader;
    struct _XENVIF_PACKET_HEADER_V1 IpOptions;
    struct _XENVIF_PACKET_HEADER_V1 TcpHeader;
    struct _XENVIF_PACKET_HEADER_V1 TcpOptions;
    struct _XENVIF_PACKET_HEADER_V1 UdpHeader;
};

typedef struct _XENVIF_PACKET_INFO_V2 XENVIF_PACKET_INFO_V2, *PXENVIF_PACKET_INFO_V2;
typedef XENVIF_PACKET_INFO_V2 XENVIF_PACKET_INFO, *PXENVIF_PACKET_INFO;

/* What is known of a received packet's checksums. At most one flag of each three is set. */
struct _XENVIF_PACKET_CHECKSUM_FLAGS_V1 {
    union {
        struct {
            ULONG IpChecksumSucceeded : 1;
            ULONG IpChecksumFailed : 1;
            ULONG IpChecksumNotValidated : 1;
            ULONG TcpChecksumSucceeded : 1;
            ULONG TcpChecksumFailed : 1;
            ULONG TcpChecksumNotValidated : 1;
            ULONG UdpChecksumSucceeded : 1;
            ULONG UdpChecksumFailed : 1;
            ULONG UdpChecksumNotValidated : 1;
            ULONG Reserved : 23;
        };
        ULONG Value;
    };
};

typedef struct _XENVIF_PACKET_CHECKSUM_FLAGS_V1 XENVIF_PACKET_CHECKSUM_FLAGS_V1, *PXENVIF_PACKET_CHECKSUM_FLAGS_V1;
typedef XENVIF_PACKET_CHECKSUM_FLAGS_V1 XENVIF_PACKET_CHECKSUM_FLAGS, *PXENVIF_PACKET_CHECKSUM_FLAGS;

/*
 * What is offloaded: as a capability of the provider, as the client's wish for the receive side, or as what one
 * transmit packet needs. NeedChecksumValue and NeedLargePacketSplit: the client cannot take a packet with a blank
 * checksum, or larger than a frame, and the provider must calculate or split.
 */
struct _XENVIF_VIF_OFFLOAD_OPTIONS_V1 {
    union {
        struct {
            USHORT OffloadTagManipulation : 1;
            USHORT OffloadIpVersion4LargePacket : 1;
            USHORT OffloadIpVersion4HeaderChecksum : 1;
            USHORT OffloadIpVersion4TcpChecksum : 1;
            USHORT OffloadIpVersion4UdpChecksum : 1;
            USHORT OffloadIpVersion6LargePacket : 1;
            USHORT OffloadIpVersion6TcpChecksum : 1;
            USHORT OffloadIpVersion6UdpChecksum : 1;
            USHORT NeedChecksumValue : 1;
            USHORT NeedLargePacketSplit : 1;
            USHORT Reserved : 6;
        };
        USHORT Value;
    };
};

typedef struct _XENVIF_VIF_OFFLOAD_OPTIONS_V1 XENVIF_VIF_OFFLOAD_OPTIONS_V1, *PXENVIF_VIF_OFFLOAD_OPTIONS_V1;
typedef XENVIF_VIF_OFFLOAD_OPTIONS_V1 XENVIF_VIF_OFFLOAD_OPTIONS, *PXENVIF_VIF_OFFLOAD_OPTIONS;

/* Values of the completion's Status. */
typedef enum _XENVIF_TRANSMITTER_PACKET_STATUS {
    XENVIF_TRANSMITTER_PACKET_OK = 2,      /* the backend took it */
    XENVIF_TRANSMITTER_PACKET_DROPPED = 3, /* it was not sent: disabled, disconnected, or the backend dropped it */
    XENVIF_TRANSMITTER_PACKET_ERROR = 4    /* the backend, or the packet, was at fault */
} XENVIF_TRANSMITTER_PACKET_STATUS,
    *PXENVIF_TRANSMITTER_PACKET_STATUS;

/* What became of a transmit packet. Type is an ETHERNET_ADDRESS_TYPE; lengths are in bytes. */
#pragma pack(push, 1)
struct _XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO_V1 {
    UCHAR Type;
    UCHAR Status;
    USHORT PacketLength;
    USHORT PayloadLength;
};
#pragma pack(pop)

typedef struct _XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO_V1 XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO_V1,
    *PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO_V1;
typedef XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO_V1 XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO,
    *PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO;

/* Each counts from the start of the provider's device. */
typedef enum _XENVIF_VIF_STATISTIC {
    XENVIF_TRANSMITTER_PACKETS_DROPPED = 0,
    XENVIF_TRANSMITTER_BACKEND_ERRORS = 1,
    XENVIF_TRANSMITTER_FRONTEND_ERRORS = 2,
    XENVIF_TRANSMITTER_UNICAST_PACKETS = 3,
    XENVIF_TRANSMITTER_UNICAST_OCTETS = 4,
    XENVIF_TRANSMITTER_MULTICAST_PACKETS = 5,
    XENVIF_TRANSMITTER_MULTICAST_OCTETS = 6,
    XENVIF_TRANSMITTER_BROADCAST_PACKETS = 7,
    XENVIF_TRANSMITTER_BROADCAST_OCTETS = 8,
    XENVIF_RECEIVER_PACKETS_DROPPED = 9,
    XENVIF_RECEIVER_BACKEND_ERRORS = 10,
    XENVIF_RECEIVER_FRONTEND_ERRORS = 11,
    XENVIF_RECEIVER_UNICAST_PACKETS = 12,
    XENVIF_RECEIVER_UNICAST_OCTETS = 13,
    XENVIF_RECEIVER_MULTICAST_PACKETS = 14,
    XENVIF_RECEIVER_MULTICAST_OCTETS = 15,
    XENVIF_RECEIVER_BROADCAST_PACKETS = 16,
    XENVIF_RECEIVER_BROADCAST_OCTETS = 17,
    XENVIF_TRANSMITTER_TAGGED_PACKETS = 18,
    XENVIF_TRANSMITTER_LLC_SNAP_PACKETS = 19,
    XENVIF_TRANSMITTER_IPV4_PACKETS = 20,
    XENVIF_TRANSMITTER_IPV6_PACKETS = 21,
    XENVIF_TRANSMITTER_TCP_PACKETS = 22,
    XENVIF_TRANSMITTER_UDP_PACKETS = 23,
    XENVIF_TRANSMITTER_GSO_PACKETS = 24,
    XENVIF_TRANSMITTER_IPV4_CHECKSUM_SUCCEEDED = 25,
    XENVIF_TRANSMITTER_IPV4_CHECKSUM_FAILED = 26,
    XENVIF_TRANSMITTER_IPV4_CHECKSUM_NOT_VALIDATED = 27,
    XENVIF_TRANSMITTER_TCP_CHECKSUM_SUCCEEDED = 28,
    XENVIF_TRANSMITTER_TCP_CHECKSUM_FAILED = 29,
    XENVIF_TRANSMITTER_TCP_CHECKSUM_NOT_VALIDATED = 30,
    XENVIF_TRANSMITTER_UDP_CHECKSUM_SUCCEEDED = 31,
    XENVIF_TRANSMITTER_UDP_CHECKSUM_FAILED = 32,
    XENVIF_TRANSMITTER_UDP_CHECKSUM_NOT_VALIDATED = 33,
    XENVIF_RECEIVER_TAGGED_PACKETS = 34,
    XENVIF_RECEIVER_LLC_SNAP_PACKETS = 35,
    XENVIF_RECEIVER_IPV4_PACKETS = 36,
    XENVIF_RECEIVER_IPV6_PACKETS = 37,
    XENVIF_RECEIVER_TCP_PACKETS = 38,
    XENVIF_RECEIVER_UDP_PACKETS = 39,
    XENVIF_RECEIVER_GSO_PACKETS = 40,
    XENVIF_RECEIVER_IPV4_CHECKSUM_SUCCEEDED = 41,
    XENVIF_RECEIVER_IPV4_CHECKSUM_FAILED = 42,
    XENVIF_RECEIVER_IPV4_CHECKSUM_NOT_VALIDATED = 43,
    XENVIF_RECEIVER_TCP_CHECKSUM_SUCCEEDED = 44,
    XENVIF_RECEIVER_TCP_CHECKSUM_FAILED = 45,
    XENVIF_RECEIVER_TCP_CHECKSUM_NOT_VALIDATED = 46,
    XENVIF_RECEIVER_UDP_CHECKSUM_SUCCEEDED = 47,
    XENVIF_RECEIVER_UDP_CHECKSUM_FAILED = 48,
    XENVIF_RECEIVER_UDP_CHECKSUM_NOT_VALIDATED = 49,
    XENVIF_VIF_STATISTIC_COUNT = 50
} XENVIF_VIF_STATISTIC,
    *PXENVIF_VIF_STATISTIC;

typedef enum _XENVIF_MAC_FILTER_LEVEL {
    XENVIF_MAC_FILTER_NONE = 0,     /* let none of the type in */
    XENVIF_MAC_FILTER_MATCHING = 1, /* let in what matches the current or a multicast address */
    XENVIF_MAC_FILTER_ALL = 2       /* let all of the type in */
} XENVIF_MAC_FILTER_LEVEL,
    *PXENVIF_MAC_FILTER_LEVEL;

typedef enum _XENVIF_VIF_CALLBACK_TYPE {
    XENVIF_TRANSMITTER_RETURN_PACKET = 0, /* a queued packet is done with: parameters TransmitterReturnPacket */
    XENVIF_RECEIVER_QUEUE_PACKET = 1,     /* a packet has come in: parameters ReceiverQueuePacket */
    XENVIF_MAC_STATE_CHANGE = 2           /* the answer of MacQueryState has changed: no parameters */
} XENVIF_VIF_CALLBACK_TYPE,
    *PXENVIF_VIF_CALLBACK_TYPE;

/*
 * The parameters of a callback, valid during the call only. In ReceiverQueuePacket, Index is the queue, the packet is
 * Length bytes at Offset into the chain Mdl, MaximumSegmentSize is 0 unless the packet is a large one, and
 * TagControlInformation is 0 without a tag. The packet is the client's until it gives Cookie to
 * ReceiverReturnPacket. More: another packet follows at once.
 */
union _XENVIF_VIF_CALLBACK_PARAMETERS_V9 {
    struct {
        PVOID Cookie;
        PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion;
    } TransmitterReturnPacket;
    struct {
        ULONG Index;
        PMDL Mdl;
        ULONG Offset;
        ULONG Length;
        XENVIF_PACKET_CHECKSUM_FLAGS Flags;
        USHORT MaximumSegmentSize;
        USHORT TagControlInformation;
        PXENVIF_PACKET_INFO Info;
        PXENVIF_PACKET_HASH Hash;
        BOOLEAN More;
        PVOID Cookie;
    } ReceiverQueuePacket;
};

/*
 * As version 9, and the client may set Pause to ask for no more packets for a short time; the provider tries again
 * from a DPC, not only when packets come back. The provider passes it as FALSE.
 */
union _XENVIF_VIF_CALLBACK_PARAMETERS_V10 {
    struct {
        PVOID Cookie;
        PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion;
    } TransmitterReturnPacket;
    struct {
        ULONG Index;
        PMDL Mdl;
        ULONG Offset;
        ULONG Length;
        XENVIF_PACKET_CHECKSUM_FLAGS Flags;
        USHORT MaximumSegmentSize;
        USHORT TagControlInformation;
        PXENVIF_PACKET_INFO Info;
        PXENVIF_PACKET_HASH Hash;
        BOOLEAN More;
        PVOID Cookie;
        BOOLEAN Pause;
    } ReceiverQueuePacket;
};

typedef union _XENVIF_VIF_CALLBACK_PARAMETERS_V9 XENVIF_VIF_CALLBACK_PARAMETERS_V9, *PXENVIF_VIF_CALLBACK_PARAMETERS_V9;
typedef union _XENVIF_VIF_CALLBACK_PARAMETERS_V10 XENVIF_VIF_CALLBACK_PARAMETERS_V10,
    *PXENVIF_VIF_CALLBACK_PARAMETERS_V10;
typedef XENVIF_VIF_CALLBACK_PARAMETERS_V10 XENVIF_VIF_CALLBACK_PARAMETERS, *PXENVIF_VIF_CALLBACK_PARAMETERS;

typedef NTSTATUS(NTAPI *XENVIF_VIF_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENVIF_VIF_RELEASE)(_In_ PINTERFACE Interface);

/*
 * The client's callback. DISPATCH_LEVEL; it must not wait. Version 8 gets the values of version 9's parameters as
 * variadic arguments in the order of the structure, structures among them by value.
 */
typedef VOID(NTAPI *XENVIF_VIF_CALLBACK_V8)(_In_opt_ PVOID Argument, _In_ XENVIF_VIF_CALLBACK_TYPE Type, ...);
typedef VOID(NTAPI *XENVIF_VIF_CALLBACK_V9)(_In_opt_ PVOID Argument, _In_ XENVIF_VIF_CALLBACK_TYPE Type,
                                            _In_ union _XENVIF_VIF_CALLBACK_PARAMETERS_V9 *Parameters);
typedef VOID(NTAPI *XENVIF_VIF_CALLBACK)(_In_opt_ PVOID Argument, _In_ XENVIF_VIF_CALLBACK_TYPE Type,
                                         _In_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters);

/*
 * Connects to the backend and lets packets move. PASSIVE_LEVEL. A backend that is not there yet is not an error: the
 * link is down until it comes. Otherwise the reason, and the interface stays disabled.
 */
typedef NTSTATUS(NTAPI *XENVIF_VIF_ENABLE_V8)(_In_ PINTERFACE Interface, _In_ XENVIF_VIF_CALLBACK_V8 Callback,
                                              _In_opt_ PVOID Argument);
typedef NTSTATUS(NTAPI *XENVIF_VIF_ENABLE_V9)(_In_ PINTERFACE Interface, _In_ XENVIF_VIF_CALLBACK_V9 Callback,
                                              _In_opt_ PVOID Argument);
typedef NTSTATUS(NTAPI *XENVIF_VIF_ENABLE)(_In_ PINTERFACE Interface, _In_ XENVIF_VIF_CALLBACK Callback,
                                           _In_opt_ PVOID Argument);

/* Stops all packets; see the top for what holds when it returns. PASSIVE_LEVEL. */
typedef VOID(NTAPI *XENVIF_VIF_DISABLE)(_In_ PINTERFACE Interface);

/* STATUS_INVALID_PARAMETER: no such statistic. */
typedef NTSTATUS(NTAPI *XENVIF_VIF_QUERY_STATISTIC)(_In_ PINTERFACE Interface, _In_ XENVIF_VIF_STATISTIC Index,
                                                    _Out_ PULONGLONG Value);

/* The number of queues in use. */
typedef VOID(NTAPI *XENVIF_VIF_QUERY_RING_COUNT)(_In_ PINTERFACE Interface, _Out_ PULONG Count);

/*
 * Says which processor takes packets of each hash value: Size entries, indexed by hash modulo Size. PASSIVE_LEVEL.
 * STATUS_INVALID_PARAMETER: Size is not a power of two or too large, or no such processor.
 */
typedef NTSTATUS(NTAPI *XENVIF_VIF_UPDATE_HASH_MAPPING)(_In_ PINTERFACE Interface,
                                                        _In_reads_(Size) PPROCESSOR_NUMBER Mapping, _In_ ULONG Size);

/* Gives a received packet back. Also legal after Disable. */
typedef VOID(NTAPI *XENVIF_VIF_RECEIVER_RETURN_PACKET)(_In_ PINTERFACE Interface, _In_ PVOID Cookie);

/*
 * Queues a packet for transmission: Length bytes at Offset into the chain Mdl, which stays the provider's until the
 * return callback gives Cookie back. MaximumSegmentSize is 0 unless a large-packet option is set;
 * TagControlInformation counts only with OffloadTagManipulation. More: another packet follows at once, so the
 * backend need not be notified yet. A packet whose queueing fails stays the client's: no callback comes.
 * STATUS_UNSUCCESSFUL or STATUS_DEVICE_NOT_READY: not enabled. STATUS_INVALID_PARAMETER: the packet cannot be sent
 * as described. STATUS_INSUFFICIENT_RESOURCES.
 */
typedef NTSTATUS(NTAPI *XENVIF_VIF_TRANSMITTER_QUEUE_PACKET)(
    _In_ PINTERFACE Interface, _In_ PMDL Mdl, _In_ ULONG Offset, _In_ ULONG Length,
    _In_ XENVIF_VIF_OFFLOAD_OPTIONS OffloadOptions, _In_ USHORT MaximumSegmentSize, _In_ USHORT TagControlInformation,
    _In_opt_ PXENVIF_PACKET_HASH Hash, _In_ BOOLEAN More, _In_opt_ PVOID Cookie);

/* What the transmit side can do for the client, given the backend and the registry. */
typedef VOID(NTAPI *XENVIF_VIF_TRANSMITTER_QUERY_OFFLOAD_OPTIONS)(_In_ PINTERFACE Interface,
                                                                  _Out_ PXENVIF_VIF_OFFLOAD_OPTIONS Options);

/* What the client wants of the receive side. */
typedef VOID(NTAPI *XENVIF_VIF_RECEIVER_SET_OFFLOAD_OPTIONS)(_In_ PINTERFACE Interface,
                                                             _In_ XENVIF_VIF_OFFLOAD_OPTIONS Options);

/* Bytes that the client wants free ahead of the packet in its first MDL. */
typedef VOID(NTAPI *XENVIF_VIF_RECEIVER_SET_BACKFILL_SIZE)(_In_ PINTERFACE Interface, _In_ ULONG Size);

/* The largest TCP payload, in bytes, of a large packet of IP version Version (4 or 6); 0 if it has none. */
typedef VOID(NTAPI *XENVIF_VIF_TRANSMITTER_QUERY_LARGE_PACKET_SIZE)(_In_ PINTERFACE Interface, _In_ UCHAR Version,
                                                                    _Out_ PULONG Size);

/* Requests a ring holds. */
typedef VOID(NTAPI *XENVIF_VIF_TRANSMITTER_QUERY_RING_SIZE)(_In_ PINTERFACE Interface, _Out_ PULONG Size);
typedef VOID(NTAPI *XENVIF_VIF_RECEIVER_QUERY_RING_SIZE)(_In_ PINTERFACE Interface, _Out_ PULONG Size);

/* PASSIVE_LEVEL. STATUS_NOT_SUPPORTED: the backend does not hash that way. */
typedef NTSTATUS(NTAPI *XENVIF_VIF_RECEIVER_SET_HASH_ALGORITHM)(_In_ PINTERFACE Interface,
                                                                _In_ XENVIF_PACKET_HASH_ALGORITHM Algorithm);

/* For Toeplitz, the argument is PULONG Types: the mask of types that can be hashed. PASSIVE_LEVEL. */
typedef NTSTATUS(NTAPI *XENVIF_VIF_RECEIVER_QUERY_HASH_CAPABILITIES)(_In_ PINTERFACE Interface, ...);

/* For Toeplitz, the arguments are ULONG Types and PUCHAR Key (XENVIF_VIF_HASH_KEY_SIZE bytes). PASSIVE_LEVEL. */
typedef NTSTATUS(NTAPI *XENVIF_VIF_RECEIVER_UPDATE_HASH_PARAMETERS)(_In_ PINTERFACE Interface, ...);

/* Link state; LinkSpeed is in bits per second. */
typedef VOID(NTAPI *XENVIF_VIF_MAC_QUERY_STATE)(_In_ PINTERFACE Interface,
                                                _Out_opt_ PNET_IF_MEDIA_CONNECT_STATE MediaConnectState,
                                                _Out_opt_ PULONG64 LinkSpeed,
                                                _Out_opt_ PNET_IF_MEDIA_DUPLEX_STATE MediaDuplexState);

/* Largest frame in bytes, the Ethernet header included, without tag and check sequence. */
typedef VOID(NTAPI *XENVIF_VIF_MAC_QUERY_MAXIMUM_FRAME_SIZE)(_In_ PINTERFACE Interface, _Out_ PULONG Size);

/* The address that the toolstack gave, and the one in use. */
typedef VOID(NTAPI *XENVIF_VIF_MAC_QUERY_PERMANENT_ADDRESS)(_In_ PINTERFACE Interface, _Out_ PETHERNET_ADDRESS Address);
typedef VOID(NTAPI *XENVIF_VIF_MAC_QUERY_CURRENT_ADDRESS)(_In_ PINTERFACE Interface, _Out_ PETHERNET_ADDRESS Address);

/*
 * The multicast addresses let in. *Count is the room at Address, and then the number of addresses.
 * STATUS_BUFFER_OVERFLOW: there are more than fit (*Count says how many), nothing was copied.
 */
typedef NTSTATUS(NTAPI *XENVIF_VIF_MAC_QUERY_MULTICAST_ADDRESSES)(_In_ PINTERFACE Interface,
                                                                  _Out_writes_opt_(*Count) PETHERNET_ADDRESS Address,
                                                                  _Inout_ PULONG Count);

/* Replaces the multicast addresses. STATUS_INVALID_PARAMETER: one is not a multicast address. */
typedef NTSTATUS(NTAPI *XENVIF_VIF_MAC_SET_MULTICAST_ADDRESSES)(_In_ PINTERFACE Interface,
                                                                _In_reads_opt_(Count) PETHERNET_ADDRESS Address,
                                                                _In_ ULONG Count);

/* STATUS_INVALID_PARAMETER: no such type or level. */
typedef NTSTATUS(NTAPI *XENVIF_VIF_MAC_SET_FILTER_LEVEL)(_In_ PINTERFACE Interface, _In_ ETHERNET_ADDRESS_TYPE Type,
                                                         _In_ XENVIF_MAC_FILTER_LEVEL Level);
typedef NTSTATUS(NTAPI *XENVIF_VIF_MAC_QUERY_FILTER_LEVEL)(_In_ PINTERFACE Interface, _In_ ETHERNET_ADDRESS_TYPE Type,
                                                           _Out_ PXENVIF_MAC_FILTER_LEVEL Level);

struct _XENVIF_VIF_INTERFACE_V8 {
    INTERFACE Interface;
    XENVIF_VIF_ACQUIRE Acquire;
    XENVIF_VIF_RELEASE Release;
    XENVIF_VIF_ENABLE_V8 EnableVersion8;
    XENVIF_VIF_DISABLE Disable;
    XENVIF_VIF_QUERY_STATISTIC QueryStatistic;
    XENVIF_VIF_QUERY_RING_COUNT QueryRingCount;
    XENVIF_VIF_UPDATE_HASH_MAPPING UpdateHashMapping;
    XENVIF_VIF_RECEIVER_RETURN_PACKET ReceiverReturnPacket;
    XENVIF_VIF_RECEIVER_SET_OFFLOAD_OPTIONS ReceiverSetOffloadOptions;
    XENVIF_VIF_RECEIVER_SET_BACKFILL_SIZE ReceiverSetBackfillSize;
    XENVIF_VIF_RECEIVER_QUERY_RING_SIZE ReceiverQueryRingSize;
    XENVIF_VIF_RECEIVER_SET_HASH_ALGORITHM ReceiverSetHashAlgorithm;
    XENVIF_VIF_RECEIVER_QUERY_HASH_CAPABILITIES ReceiverQueryHashCapabilities;
    XENVIF_VIF_RECEIVER_UPDATE_HASH_PARAMETERS ReceiverUpdateHashParameters;
    XENVIF_VIF_TRANSMITTER_QUEUE_PACKET TransmitterQueuePacket;
    XENVIF_VIF_TRANSMITTER_QUERY_OFFLOAD_OPTIONS TransmitterQueryOffloadOptions;
    XENVIF_VIF_TRANSMITTER_QUERY_LARGE_PACKET_SIZE TransmitterQueryLargePacketSize;
    XENVIF_VIF_TRANSMITTER_QUERY_RING_SIZE TransmitterQueryRingSize;
    XENVIF_VIF_MAC_QUERY_STATE MacQueryState;
    XENVIF_VIF_MAC_QUERY_MAXIMUM_FRAME_SIZE MacQueryMaximumFrameSize;
    XENVIF_VIF_MAC_QUERY_PERMANENT_ADDRESS MacQueryPermanentAddress;
    XENVIF_VIF_MAC_QUERY_CURRENT_ADDRESS MacQueryCurrentAddress;
    XENVIF_VIF_MAC_QUERY_MULTICAST_ADDRESSES MacQueryMulticastAddresses;
    XENVIF_VIF_MAC_SET_MULTICAST_ADDRESSES MacSetMulticastAddresses;
    XENVIF_VIF_MAC_SET_FILTER_LEVEL MacSetFilterLevel;
    XENVIF_VIF_MAC_QUERY_FILTER_LEVEL MacQueryFilterLevel;
};

struct _XENVIF_VIF_INTERFACE_V9 {
    INTERFACE Interface;
    XENVIF_VIF_ACQUIRE Acquire;
    XENVIF_VIF_RELEASE Release;
    XENVIF_VIF_ENABLE_V9 EnableVersion9;
    XENVIF_VIF_DISABLE Disable;
    XENVIF_VIF_QUERY_STATISTIC QueryStatistic;
    XENVIF_VIF_QUERY_RING_COUNT QueryRingCount;
    XENVIF_VIF_UPDATE_HASH_MAPPING UpdateHashMapping;
    XENVIF_VIF_RECEIVER_RETURN_PACKET ReceiverReturnPacket;
    XENVIF_VIF_RECEIVER_SET_OFFLOAD_OPTIONS ReceiverSetOffloadOptions;
    XENVIF_VIF_RECEIVER_SET_BACKFILL_SIZE ReceiverSetBackfillSize;
    XENVIF_VIF_RECEIVER_QUERY_RING_SIZE ReceiverQueryRingSize;
    XENVIF_VIF_RECEIVER_SET_HASH_ALGORITHM ReceiverSetHashAlgorithm;
    XENVIF_VIF_RECEIVER_QUERY_HASH_CAPABILITIES ReceiverQueryHashCapabilities;
    XENVIF_VIF_RECEIVER_UPDATE_HASH_PARAMETERS ReceiverUpdateHashParameters;
    XENVIF_VIF_TRANSMITTER_QUEUE_PACKET TransmitterQueuePacket;
    XENVIF_VIF_TRANSMITTER_QUERY_OFFLOAD_OPTIONS TransmitterQueryOffloadOptions;
    XENVIF_VIF_TRANSMITTER_QUERY_LARGE_PACKET_SIZE TransmitterQueryLargePacketSize;
    XENVIF_VIF_TRANSMITTER_QUERY_RING_SIZE TransmitterQueryRingSize;
    XENVIF_VIF_MAC_QUERY_STATE MacQueryState;
    XENVIF_VIF_MAC_QUERY_MAXIMUM_FRAME_SIZE MacQueryMaximumFrameSize;
    XENVIF_VIF_MAC_QUERY_PERMANENT_ADDRESS MacQueryPermanentAddress;
    XENVIF_VIF_MAC_QUERY_CURRENT_ADDRESS MacQueryCurrentAddress;
    XENVIF_VIF_MAC_QUERY_MULTICAST_ADDRESSES MacQueryMulticastAddresses;
    XENVIF_VIF_MAC_SET_MULTICAST_ADDRESSES MacSetMulticastAddresses;
    XENVIF_VIF_MAC_SET_FILTER_LEVEL MacSetFilterLevel;
    XENVIF_VIF_MAC_QUERY_FILTER_LEVEL MacQueryFilterLevel;
};

struct _XENVIF_VIF_INTERFACE_V10 {
    INTERFACE Interface;
    XENVIF_VIF_ACQUIRE Acquire;
    XENVIF_VIF_RELEASE Release;
    XENVIF_VIF_ENABLE Enable;
    XENVIF_VIF_DISABLE Disable;
    XENVIF_VIF_QUERY_STATISTIC QueryStatistic;
    XENVIF_VIF_QUERY_RING_COUNT QueryRingCount;
    XENVIF_VIF_UPDATE_HASH_MAPPING UpdateHashMapping;
    XENVIF_VIF_RECEIVER_RETURN_PACKET ReceiverReturnPacket;
    XENVIF_VIF_RECEIVER_SET_OFFLOAD_OPTIONS ReceiverSetOffloadOptions;
    XENVIF_VIF_RECEIVER_SET_BACKFILL_SIZE ReceiverSetBackfillSize;
    XENVIF_VIF_RECEIVER_QUERY_RING_SIZE ReceiverQueryRingSize;
    XENVIF_VIF_RECEIVER_SET_HASH_ALGORITHM ReceiverSetHashAlgorithm;
    XENVIF_VIF_RECEIVER_QUERY_HASH_CAPABILITIES ReceiverQueryHashCapabilities;
    XENVIF_VIF_RECEIVER_UPDATE_HASH_PARAMETERS ReceiverUpdateHashParameters;
    XENVIF_VIF_TRANSMITTER_QUEUE_PACKET TransmitterQueuePacket;
    XENVIF_VIF_TRANSMITTER_QUERY_OFFLOAD_OPTIONS TransmitterQueryOffloadOptions;
    XENVIF_VIF_TRANSMITTER_QUERY_LARGE_PACKET_SIZE TransmitterQueryLargePacketSize;
    XENVIF_VIF_TRANSMITTER_QUERY_RING_SIZE TransmitterQueryRingSize;
    XENVIF_VIF_MAC_QUERY_STATE MacQueryState;
    XENVIF_VIF_MAC_QUERY_MAXIMUM_FRAME_SIZE MacQueryMaximumFrameSize;
    XENVIF_VIF_MAC_QUERY_PERMANENT_ADDRESS MacQueryPermanentAddress;
    XENVIF_VIF_MAC_QUERY_CURRENT_ADDRESS MacQueryCurrentAddress;
    XENVIF_VIF_MAC_QUERY_MULTICAST_ADDRESSES MacQueryMulticastAddresses;
    XENVIF_VIF_MAC_SET_MULTICAST_ADDRESSES MacSetMulticastAddresses;
    XENVIF_VIF_MAC_SET_FILTER_LEVEL MacSetFilterLevel;
    XENVIF_VIF_MAC_QUERY_FILTER_LEVEL MacQueryFilterLevel;
};

typedef struct _XENVIF_VIF_INTERFACE_V8 XENVIF_VIF_INTERFACE_V8, *PXENVIF_VIF_INTERFACE_V8;
typedef struct _XENVIF_VIF_INTERFACE_V9 XENVIF_VIF_INTERFACE_V9, *PXENVIF_VIF_INTERFACE_V9;
typedef struct _XENVIF_VIF_INTERFACE_V10 XENVIF_VIF_INTERFACE_V10, *PXENVIF_VIF_INTERFACE_V10;
typedef XENVIF_VIF_INTERFACE_V10 XENVIF_VIF_INTERFACE, *PXENVIF_VIF_INTERFACE;

#define XENVIF_VIF_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, _Method, ##__VA_ARGS__)

#endif /* XENVIF_VIF_INTERFACE_H */
