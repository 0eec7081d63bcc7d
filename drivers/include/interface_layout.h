/*
 * The layout of the exported interfaces, as static assertions: slot positions, structure sizes, revision tables.
 * Included by one source file of every build of every driver, so that a change that would break a client elsewhere does
 * not compile.
 */
#ifndef XEN_INTERFACE_LAYOUT_H
#define XEN_INTERFACE_LAYOUT_H

#include "cache_interface.h"
#include "console_interface.h"
#include "debug_interface.h"
#include "emulated_interface.h"
#include "evtchn_interface.h"
#include "gnttab_interface.h"
#include "range_set_interface.h"
#include "revision.h"
#include "shared_info_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"
#include "unplug_interface.h"
#include "vif_interface.h"

C_ASSERT(sizeof(INTERFACE) == 32);

/* Slot n (from 1) follows the INTERFACE header and n - 1 pointers. */
#define ASSERT_SLOT(_Interface, _Number, _Slot)                                                                        \
    C_ASSERT(FIELD_OFFSET(struct _##_Interface, _Slot) == sizeof(INTERFACE) + ((_Number)-1) * sizeof(PVOID))
#define ASSERT_SLOTS(_Interface, _Last)                                                                                \
    C_ASSERT(sizeof(struct _##_Interface) == sizeof(INTERFACE) + (_Last) * sizeof(PVOID))
#define ASSERT_OFFSET(_Type, _Field, _Offset) C_ASSERT(FIELD_OFFSET(_Type, _Field) == (_Offset))
#define ASSERT_SIZE(_Type, _Size) C_ASSERT(sizeof(_Type) == (_Size))

ASSERT_SLOT(XENBUS_SUSPEND_INTERFACE_V1, 1, Acquire);
ASSERT_SLOT(XENBUS_SUSPEND_INTERFACE_V1, 2, Release);
ASSERT_SLOT(XENBUS_SUSPEND_INTERFACE_V1, 3, Register);
ASSERT_SLOT(XENBUS_SUSPEND_INTERFACE_V1, 4, Deregister);
ASSERT_SLOT(XENBUS_SUSPEND_INTERFACE_V1, 5, Trigger);
ASSERT_SLOT(XENBUS_SUSPEND_INTERFACE_V1, 6, GetCount);
ASSERT_SLOTS(XENBUS_SUSPEND_INTERFACE_V1, 6);

ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V3, 1, SharedInfoAcquire);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V3, 2, SharedInfoRelease);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V3, 3, SharedInfoUpcallPending);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V3, 4, SharedInfoEvtchnPoll);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V3, 5, SharedInfoEvtchnAck);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V3, 6, SharedInfoEvtchnMask);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V3, 7, SharedInfoEvtchnUnmask);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V3, 8, SharedInfoGetTime);
ASSERT_SLOTS(XENBUS_SHARED_INFO_INTERFACE_V3, 8);

ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V4, 1, SharedInfoAcquire);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V4, 2, SharedInfoRelease);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V4, 3, SharedInfoUpcallSupported);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V4, 4, SharedInfoUpcallPending);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V4, 5, SharedInfoEvtchnPoll);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V4, 6, SharedInfoEvtchnAck);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V4, 7, SharedInfoEvtchnMask);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V4, 8, SharedInfoEvtchnUnmask);
ASSERT_SLOT(XENBUS_SHARED_INFO_INTERFACE_V4, 9, SharedInfoGetTime);
ASSERT_SLOTS(XENBUS_SHARED_INFO_INTERFACE_V4, 9);

ASSERT_SLOT(XENBUS_EVTCHN_INTERFACE_V9, 1, EvtchnAcquire);
ASSERT_SLOT(XENBUS_EVTCHN_INTERFACE_V9, 2, EvtchnRelease);
ASSERT_SLOT(XENBUS_EVTCHN_INTERFACE_V9, 3, EvtchnOpen);
ASSERT_SLOT(XENBUS_EVTCHN_INTERFACE_V9, 4, EvtchnBind);
ASSERT_SLOT(XENBUS_EVTCHN_INTERFACE_V9, 5, EvtchnUnmask);
ASSERT_SLOT(XENBUS_EVTCHN_INTERFACE_V9, 6, EvtchnSend);
ASSERT_SLOT(XENBUS_EVTCHN_INTERFACE_V9, 7, EvtchnTrigger);
ASSERT_SLOT(XENBUS_EVTCHN_INTERFACE_V9, 8, EvtchnGetCount);
ASSERT_SLOT(XENBUS_EVTCHN_INTERFACE_V9, 9, EvtchnWait);
ASSERT_SLOT(XENBUS_EVTCHN_INTERFACE_V9, 10, EvtchnGetPort);
ASSERT_SLOT(XENBUS_EVTCHN_INTERFACE_V9, 11, EvtchnClose);
ASSERT_SLOTS(XENBUS_EVTCHN_INTERFACE_V9, 11);

ASSERT_SLOT(XENBUS_DEBUG_INTERFACE_V1, 1, DebugAcquire);
ASSERT_SLOT(XENBUS_DEBUG_INTERFACE_V1, 2, DebugRelease);
ASSERT_SLOT(XENBUS_DEBUG_INTERFACE_V1, 3, DebugRegister);
ASSERT_SLOT(XENBUS_DEBUG_INTERFACE_V1, 4, DebugPrintf);
ASSERT_SLOT(XENBUS_DEBUG_INTERFACE_V1, 5, DebugTrigger);
ASSERT_SLOT(XENBUS_DEBUG_INTERFACE_V1, 6, DebugDeregister);
ASSERT_SLOTS(XENBUS_DEBUG_INTERFACE_V1, 6);

ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 1, StoreAcquire);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 2, StoreRelease);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 3, StoreFree);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 4, StoreRead);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 5, StorePrintf);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 6, StorePermissionsSet);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 7, StoreRemove);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 8, StoreDirectory);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 9, StoreTransactionStart);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 10, StoreTransactionEnd);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 11, StoreWatchAdd);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 12, StoreWatchRemove);
ASSERT_SLOT(XENBUS_STORE_INTERFACE_V2, 13, StorePoll);
ASSERT_SLOTS(XENBUS_STORE_INTERFACE_V2, 13);

ASSERT_SLOT(XENBUS_RANGE_SET_INTERFACE_V1, 1, RangeSetAcquire);
ASSERT_SLOT(XENBUS_RANGE_SET_INTERFACE_V1, 2, RangeSetRelease);
ASSERT_SLOT(XENBUS_RANGE_SET_INTERFACE_V1, 3, RangeSetCreate);
ASSERT_SLOT(XENBUS_RANGE_SET_INTERFACE_V1, 4, RangeSetPut);
ASSERT_SLOT(XENBUS_RANGE_SET_INTERFACE_V1, 5, RangeSetPop);
ASSERT_SLOT(XENBUS_RANGE_SET_INTERFACE_V1, 6, RangeSetGet);
ASSERT_SLOT(XENBUS_RANGE_SET_INTERFACE_V1, 7, RangeSetDestroy);
ASSERT_SLOTS(XENBUS_RANGE_SET_INTERFACE_V1, 7);

ASSERT_SLOT(XENBUS_CACHE_INTERFACE_V2, 1, CacheAcquire);
ASSERT_SLOT(XENBUS_CACHE_INTERFACE_V2, 2, CacheRelease);
ASSERT_SLOT(XENBUS_CACHE_INTERFACE_V2, 3, CacheCreate);
ASSERT_SLOT(XENBUS_CACHE_INTERFACE_V2, 4, CacheGet);
ASSERT_SLOT(XENBUS_CACHE_INTERFACE_V2, 5, CachePut);
ASSERT_SLOT(XENBUS_CACHE_INTERFACE_V2, 6, CacheDestroy);
ASSERT_SLOTS(XENBUS_CACHE_INTERFACE_V2, 6);

ASSERT_SLOT(XENBUS_GNTTAB_INTERFACE_V4, 1, GnttabAcquire);
ASSERT_SLOT(XENBUS_GNTTAB_INTERFACE_V4, 2, GnttabRelease);
ASSERT_SLOT(XENBUS_GNTTAB_INTERFACE_V4, 3, GnttabCreateCache);
ASSERT_SLOT(XENBUS_GNTTAB_INTERFACE_V4, 4, GnttabPermitForeignAccess);
ASSERT_SLOT(XENBUS_GNTTAB_INTERFACE_V4, 5, GnttabRevokeForeignAccess);
ASSERT_SLOT(XENBUS_GNTTAB_INTERFACE_V4, 6, GnttabGetReference);
ASSERT_SLOT(XENBUS_GNTTAB_INTERFACE_V4, 7, GnttabQueryReference);
ASSERT_SLOT(XENBUS_GNTTAB_INTERFACE_V4, 8, GnttabDestroyCache);
ASSERT_SLOT(XENBUS_GNTTAB_INTERFACE_V4, 9, GnttabMapForeignPages);
ASSERT_SLOT(XENBUS_GNTTAB_INTERFACE_V4, 10, GnttabUnmapForeignPages);
ASSERT_SLOTS(XENBUS_GNTTAB_INTERFACE_V4, 10);

ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V1, 1, UnplugAcquire);
ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V1, 2, UnplugRelease);
ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V1, 3, UnplugRequest);
ASSERT_SLOTS(XENBUS_UNPLUG_INTERFACE_V1, 3);

ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V2, 1, UnplugAcquire);
ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V2, 2, UnplugRelease);
ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V2, 3, UnplugRequest);
ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V2, 4, UnplugIsRequested);
ASSERT_SLOTS(XENBUS_UNPLUG_INTERFACE_V2, 4);

ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V3, 1, UnplugAcquire);
ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V3, 2, UnplugRelease);
ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V3, 3, UnplugRequest);
ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V3, 4, UnplugIsRequested);
ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V3, 5, UnplugBootEmulated);
ASSERT_SLOT(XENBUS_UNPLUG_INTERFACE_V3, 6, UnplugReboot);
ASSERT_SLOTS(XENBUS_UNPLUG_INTERFACE_V3, 6);

ASSERT_SLOT(XENBUS_CONSOLE_INTERFACE_V1, 1, ConsoleAcquire);
ASSERT_SLOT(XENBUS_CONSOLE_INTERFACE_V1, 2, ConsoleRelease);
ASSERT_SLOT(XENBUS_CONSOLE_INTERFACE_V1, 3, ConsoleCanRead);
ASSERT_SLOT(XENBUS_CONSOLE_INTERFACE_V1, 4, ConsoleRead);
ASSERT_SLOT(XENBUS_CONSOLE_INTERFACE_V1, 5, ConsoleCanWrite);
ASSERT_SLOT(XENBUS_CONSOLE_INTERFACE_V1, 6, ConsoleWrite);
ASSERT_SLOT(XENBUS_CONSOLE_INTERFACE_V1, 7, ConsoleWakeupAdd);
ASSERT_SLOT(XENBUS_CONSOLE_INTERFACE_V1, 8, ConsoleWakeupRemove);
ASSERT_SLOTS(XENBUS_CONSOLE_INTERFACE_V1, 8);

ASSERT_SLOT(XENFILT_EMULATED_INTERFACE_V2, 1, EmulatedAcquire);
ASSERT_SLOT(XENFILT_EMULATED_INTERFACE_V2, 2, EmulatedRelease);
ASSERT_SLOT(XENFILT_EMULATED_INTERFACE_V2, 3, EmulatedIsDevicePresentVersion1);
ASSERT_SLOT(XENFILT_EMULATED_INTERFACE_V2, 4, EmulatedIsDiskPresent);
ASSERT_SLOTS(XENFILT_EMULATED_INTERFACE_V2, 4);

ASSERT_SLOT(XENFILT_EMULATED_INTERFACE_V3, 1, EmulatedAcquire);
ASSERT_SLOT(XENFILT_EMULATED_INTERFACE_V3, 2, EmulatedRelease);
ASSERT_SLOT(XENFILT_EMULATED_INTERFACE_V3, 3, EmulatedIsDevicePresent);
ASSERT_SLOT(XENFILT_EMULATED_INTERFACE_V3, 4, EmulatedIsDiskPresent);
ASSERT_SLOTS(XENFILT_EMULATED_INTERFACE_V3, 4);

ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 1, Acquire);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 2, Release);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 3, EnableVersion8);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 4, Disable);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 5, QueryStatistic);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 6, QueryRingCount);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 7, UpdateHashMapping);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 8, ReceiverReturnPacket);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 9, ReceiverSetOffloadOptions);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 10, ReceiverSetBackfillSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 11, ReceiverQueryRingSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 12, ReceiverSetHashAlgorithm);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 13, ReceiverQueryHashCapabilities);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 14, ReceiverUpdateHashParameters);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 15, TransmitterQueuePacket);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 16, TransmitterQueryOffloadOptions);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 17, TransmitterQueryLargePacketSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 18, TransmitterQueryRingSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 19, MacQueryState);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 20, MacQueryMaximumFrameSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 21, MacQueryPermanentAddress);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 22, MacQueryCurrentAddress);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 23, MacQueryMulticastAddresses);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 24, MacSetMulticastAddresses);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 25, MacSetFilterLevel);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V8, 26, MacQueryFilterLevel);
ASSERT_SLOTS(XENVIF_VIF_INTERFACE_V8, 26);

ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 1, Acquire);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 2, Release);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 3, EnableVersion9);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 4, Disable);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 5, QueryStatistic);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 6, QueryRingCount);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 7, UpdateHashMapping);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 8, ReceiverReturnPacket);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 9, ReceiverSetOffloadOptions);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 10, ReceiverSetBackfillSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 11, ReceiverQueryRingSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 12, ReceiverSetHashAlgorithm);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 13, ReceiverQueryHashCapabilities);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 14, ReceiverUpdateHashParameters);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 15, TransmitterQueuePacket);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 16, TransmitterQueryOffloadOptions);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 17, TransmitterQueryLargePacketSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 18, TransmitterQueryRingSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 19, MacQueryState);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 20, MacQueryMaximumFrameSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 21, MacQueryPermanentAddress);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 22, MacQueryCurrentAddress);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 23, MacQueryMulticastAddresses);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 24, MacSetMulticastAddresses);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 25, MacSetFilterLevel);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V9, 26, MacQueryFilterLevel);
ASSERT_SLOTS(XENVIF_VIF_INTERFACE_V9, 26);

ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 1, Acquire);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 2, Release);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 3, Enable);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 4, Disable);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 5, QueryStatistic);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 6, QueryRingCount);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 7, UpdateHashMapping);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 8, ReceiverReturnPacket);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 9, ReceiverSetOffloadOptions);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 10, ReceiverSetBackfillSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 11, ReceiverQueryRingSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 12, ReceiverSetHashAlgorithm);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 13, ReceiverQueryHashCapabilities);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 14, ReceiverUpdateHashParameters);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 15, TransmitterQueuePacket);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 16, TransmitterQueryOffloadOptions);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 17, TransmitterQueryLargePacketSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 18, TransmitterQueryRingSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 19, MacQueryState);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 20, MacQueryMaximumFrameSize);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 21, MacQueryPermanentAddress);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 22, MacQueryCurrentAddress);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 23, MacQueryMulticastAddresses);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 24, MacSetMulticastAddresses);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 25, MacSetFilterLevel);
ASSERT_SLOT(XENVIF_VIF_INTERFACE_V10, 26, MacQueryFilterLevel);
ASSERT_SLOTS(XENVIF_VIF_INTERFACE_V10, 26);

ASSERT_SIZE(XENBUS_STORE_PERMISSION, 8);
ASSERT_OFFSET(XENBUS_STORE_PERMISSION, Mask, 4);

ASSERT_SIZE(ETHERNET_ADDRESS, 6);
ASSERT_SIZE(XENVIF_PACKET_HASH_V2, 12);
ASSERT_OFFSET(XENVIF_PACKET_HASH_V2, Value, 8);
ASSERT_SIZE(XENVIF_PACKET_HEADER_V1, 8);
ASSERT_SIZE(XENVIF_PACKET_INFO_V2, 64);
ASSERT_OFFSET(XENVIF_PACKET_INFO_V2, IsAFragment, 4);
ASSERT_OFFSET(XENVIF_PACKET_INFO_V2, EthernetHeader, 8);
ASSERT_OFFSET(XENVIF_PACKET_INFO_V2, UdpHeader, 56);
ASSERT_SIZE(XENVIF_PACKET_CHECKSUM_FLAGS_V1, 4);
ASSERT_SIZE(XENVIF_VIF_OFFLOAD_OPTIONS_V1, 2);
ASSERT_SIZE(XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO_V1, 6);
ASSERT_OFFSET(XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO_V1, PacketLength, 2);
ASSERT_OFFSET(XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO_V1, PayloadLength, 4);
C_ASSERT(XENVIF_VIF_STATISTIC_COUNT == 50);
C_ASSERT(XENVIF_RECEIVER_PACKETS_DROPPED == 9);
C_ASSERT(XENVIF_TRANSMITTER_TAGGED_PACKETS == 18);
C_ASSERT(XENVIF_RECEIVER_TAGGED_PACKETS == 34);

#define ASSERT_RECEIVER_QUEUE_PACKET(_Union)                                                                           \
    ASSERT_OFFSET(_Union, TransmitterReturnPacket.Cookie, 0);                                                          \
    ASSERT_OFFSET(_Union, TransmitterReturnPacket.Completion, 8);                                                      \
    ASSERT_OFFSET(_Union, ReceiverQueuePacket.Index, 0);                                                               \
    ASSERT_OFFSET(_Union, ReceiverQueuePacket.Mdl, 8);                                                                 \
    ASSERT_OFFSET(_Union, ReceiverQueuePacket.Offset, 16);                                                             \
    ASSERT_OFFSET(_Union, ReceiverQueuePacket.Length, 20);                                                             \
    ASSERT_OFFSET(_Union, ReceiverQueuePacket.Flags, 24);                                                              \
    ASSERT_OFFSET(_Union, ReceiverQueuePacket.MaximumSegmentSize, 28);                                                 \
    ASSERT_OFFSET(_Union, ReceiverQueuePacket.TagControlInformation, 30);                                              \
    ASSERT_OFFSET(_Union, ReceiverQueuePacket.Info, 32);                                                               \
    ASSERT_OFFSET(_Union, ReceiverQueuePacket.Hash, 40);                                                               \
    ASSERT_OFFSET(_Union, ReceiverQueuePacket.More, 48);                                                               \
    ASSERT_OFFSET(_Union, ReceiverQueuePacket.Cookie, 56)

ASSERT_RECEIVER_QUEUE_PACKET(XENVIF_VIF_CALLBACK_PARAMETERS_V9);
ASSERT_SIZE(XENVIF_VIF_CALLBACK_PARAMETERS_V9, 64);
ASSERT_RECEIVER_QUEUE_PACKET(XENVIF_VIF_CALLBACK_PARAMETERS_V10);
ASSERT_OFFSET(XENVIF_VIF_CALLBACK_PARAMETERS_V10, ReceiverQueuePacket.Pause, 64);
ASSERT_SIZE(XENVIF_VIF_CALLBACK_PARAMETERS_V10, 72);

/* Every version that a revision names is one that the headers have. */
#define ASSERT_VERSION(_Interface, _Version)                                                                           \
    C_ASSERT((_Version) >= _Interface##_INTERFACE_VERSION_MIN && (_Version) <= _Interface##_INTERFACE_VERSION_MAX)

#define ASSERT_XENBUS_REVISION(_Revision, _Suspend, _SharedInfo, _Evtchn, _Debug, _Store, _RangeSet, _Cache, _Gnttab,  \
                               _Unplug, _Console, _Emulated)                                                           \
    ASSERT_VERSION(XENBUS_SUSPEND, _Suspend);                                                                          \
    ASSERT_VERSION(XENBUS_SHARED_INFO, _SharedInfo);                                                                   \
    ASSERT_VERSION(XENBUS_EVTCHN, _Evtchn);                                                                            \
    ASSERT_VERSION(XENBUS_DEBUG, _Debug);                                                                              \
    ASSERT_VERSION(XENBUS_STORE, _Store);                                                                              \
    ASSERT_VERSION(XENBUS_RANGE_SET, _RangeSet);                                                                       \
    ASSERT_VERSION(XENBUS_CACHE, _Cache);                                                                              \
    ASSERT_VERSION(XENBUS_GNTTAB, _Gnttab);                                                                            \
    ASSERT_VERSION(XENBUS_UNPLUG, _Unplug);                                                                            \
    ASSERT_VERSION(XENBUS_CONSOLE, _Console);                                                                          \
    ASSERT_VERSION(XENFILT_EMULATED, _Emulated);

#define ASSERT_XENVIF_REVISION(_Revision, _Cache, _Vif, _Store, _Suspend, _Unplug)                                     \
    ASSERT_VERSION(XENBUS_CACHE, _Cache);                                                                              \
    ASSERT_VERSION(XENVIF_VIF, _Vif);                                                                                  \
    ASSERT_VERSION(XENBUS_STORE, _Store);                                                                              \
    ASSERT_VERSION(XENBUS_SUSPEND, _Suspend);                                                                          \
    ASSERT_VERSION(XENBUS_UNPLUG, _Unplug);

XENBUS_REVISION_TABLE(ASSERT_XENBUS_REVISION)
XENVIF_REVISION_TABLE(ASSERT_XENVIF_REVISION)

#endif /* XEN_INTERFACE_LAYOUT_H */
