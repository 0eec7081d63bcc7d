/*
 * XENBUS_SHARED_INFO: the page that the domain shares with Xen: pending and masked event ports, wall clock. Provided by
 * XENBUS. Meant for an event-channel implementation; other clients want XENBUS_EVTCHN.
 *
 * Index is the Windows processor index (KeGetCurrentProcessorNumberEx), Port the event-channel port.
 */
#ifndef XENBUS_SHARED_INFO_INTERFACE_H
#define XENBUS_SHARED_INFO_INTERFACE_H

#include "interface_call.h"

/* {7E73C34F-1640-4649-A8F3-263BC930A004} */
DEFINE_GUID(GUID_XENBUS_SHARED_INFO_INTERFACE, 0x7e73c34f, 0x1640, 0x4649, 0xa8, 0xf3, 0x26, 0x3b, 0xc9, 0x30, 0xa0,
            0x04);

#define XENBUS_SHARED_INFO_INTERFACE_VERSION_MIN 3
#define XENBUS_SHARED_INFO_INTERFACE_VERSION_MAX 4

typedef NTSTATUS(NTAPI *XENBUS_SHARED_INFO_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENBUS_SHARED_INFO_RELEASE)(_In_ PINTERFACE Interface);

/* TRUE if the processor has a vcpu_info, hence can take an upcall of its own. Any IRQL. */
typedef BOOLEAN(NTAPI *XENBUS_SHARED_INFO_UPCALL_SUPPORTED)(_In_ PINTERFACE Interface, _In_ ULONG Index);

/* Takes and clears the processor's upcall-pending flag; TRUE if it was set. IRQL of the interrupt. */
typedef BOOLEAN(NTAPI *XENBUS_SHARED_INFO_UPCALL_PENDING)(_In_ PINTERFACE Interface, _In_ ULONG Index);

/* The caller's handler of one pending port. Returns TRUE if it did something. Runs at the IRQL of the poll. */
typedef BOOLEAN(NTAPI *XENBUS_SHARED_INFO_EVENT)(_In_ PVOID Argument, _In_ ULONG Port);

/*
 * Calls Event for each port that is pending and unmasked on the processor; the port's pending bit is left for
 * EvtchnAck. TRUE if any call returned TRUE. IRQL of the interrupt; one poll a processor at a time.
 */
typedef BOOLEAN(NTAPI *XENBUS_SHARED_INFO_EVTCHN_POLL)(_In_ PINTERFACE Interface, _In_ ULONG Index,
                                                       _In_ XENBUS_SHARED_INFO_EVENT Event, _In_opt_ PVOID Argument);

/* Clears the port's pending bit. Any IRQL. */
typedef VOID(NTAPI *XENBUS_SHARED_INFO_EVTCHN_ACK)(_In_ PINTERFACE Interface, _In_ ULONG Port);

/* Sets the port's mask bit. Any IRQL. */
typedef VOID(NTAPI *XENBUS_SHARED_INFO_EVTCHN_MASK)(_In_ PINTERFACE Interface, _In_ ULONG Port);

/* Clears the port's mask bit; TRUE if the port was pending, and the caller then owes it a look. Any IRQL. */
typedef BOOLEAN(NTAPI *XENBUS_SHARED_INFO_EVTCHN_UNMASK)(_In_ PINTERFACE Interface, _In_ ULONG Port);

/*
 * Xen's wall clock in *Time, in units of 100 ns since 1601. *Local is TRUE if the domain's clock is kept in local
 * time rather than UTC. Up to DISPATCH_LEVEL.
 */
typedef VOID(NTAPI *XENBUS_SHARED_INFO_GET_TIME)(_In_ PINTERFACE Interface, _Out_ PLARGE_INTEGER Time,
                                                 _Out_ PBOOLEAN Local);

struct _XENBUS_SHARED_INFO_INTERFACE_V3 {
    INTERFACE Interface;
    XENBUS_SHARED_INFO_ACQUIRE SharedInfoAcquire;
    XENBUS_SHARED_INFO_RELEASE SharedInfoRelease;
    XENBUS_SHARED_INFO_UPCALL_PENDING SharedInfoUpcallPending;
    XENBUS_SHARED_INFO_EVTCHN_POLL SharedInfoEvtchnPoll;
    XENBUS_SHARED_INFO_EVTCHN_ACK SharedInfoEvtchnAck;
    XENBUS_SHARED_INFO_EVTCHN_MASK SharedInfoEvtchnMask;
    XENBUS_SHARED_INFO_EVTCHN_UNMASK SharedInfoEvtchnUnmask;
    XENBUS_SHARED_INFO_GET_TIME SharedInfoGetTime;
};

struct _XENBUS_SHARED_INFO_INTERFACE_V4 {
    INTERFACE Interface;
    XENBUS_SHARED_INFO_ACQUIRE SharedInfoAcquire;
    XENBUS_SHARED_INFO_RELEASE SharedInfoRelease;
    XENBUS_SHARED_INFO_UPCALL_SUPPORTED SharedInfoUpcallSupported;
    XENBUS_SHARED_INFO_UPCALL_PENDING SharedInfoUpcallPending;
    XENBUS_SHARED_INFO_EVTCHN_POLL SharedInfoEvtchnPoll;
    XENBUS_SHARED_INFO_EVTCHN_ACK SharedInfoEvtchnAck;
    XENBUS_SHARED_INFO_EVTCHN_MASK SharedInfoEvtchnMask;
    XENBUS_SHARED_INFO_EVTCHN_UNMASK SharedInfoEvtchnUnmask;
    XENBUS_SHARED_INFO_GET_TIME SharedInfoGetTime;
};

typedef struct _XENBUS_SHARED_INFO_INTERFACE_V3 XENBUS_SHARED_INFO_INTERFACE_V3, *PXENBUS_SHARED_INFO_INTERFACE_V3;
typedef struct _XENBUS_SHARED_INFO_INTERFACE_V4 XENBUS_SHARED_INFO_INTERFACE_V4, *PXENBUS_SHARED_INFO_INTERFACE_V4;
typedef XENBUS_SHARED_INFO_INTERFACE_V4 XENBUS_SHARED_INFO_INTERFACE, *PXENBUS_SHARED_INFO_INTERFACE;

#define XENBUS_SHARED_INFO_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, SharedInfo##_Method, ##__VA_ARGS__)

#endif /* XENBUS_SHARED_INFO_INTERFACE_H */
