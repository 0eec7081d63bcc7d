/*
 * XENBUS_EVTCHN: event channels. Provided by XENBUS.
 */
#ifndef XENBUS_EVTCHN_INTERFACE_H
#define XENBUS_EVTCHN_INTERFACE_H

#include "interface_call.h"

/* {BE2440AC-1098-4150-AF4D-452FADCEF923} */
DEFINE_GUID(GUID_XENBUS_EVTCHN_INTERFACE, 0xbe2440ac, 0x1098, 0x4150, 0xaf, 0x4d, 0x45, 0x2f, 0xad, 0xce, 0xf9, 0x23);

#define XENBUS_EVTCHN_INTERFACE_VERSION_MIN 9
#define XENBUS_EVTCHN_INTERFACE_VERSION_MAX 9

/* How the channel comes to be; the arguments of EvtchnOpen after Argument depend on it (see there). */
typedef enum _XENBUS_EVTCHN_TYPE {
    XENBUS_EVTCHN_TYPE_INVALID = 0,
    XENBUS_EVTCHN_TYPE_FIXED = 1,        /* a port that exists already, made by the toolstack */
    XENBUS_EVTCHN_TYPE_UNBOUND = 2,      /* a new port that the remote domain may bind */
    XENBUS_EVTCHN_TYPE_INTER_DOMAIN = 3, /* bound to an unbound port of the remote domain */
    XENBUS_EVTCHN_TYPE_VIRQ = 4          /* one of Xen's virtual interrupts, on one processor */
} XENBUS_EVTCHN_TYPE,
    *PXENBUS_EVTCHN_TYPE;

/* An open channel; opaque, owned by the provider, released by EvtchnClose. */
typedef struct _XENBUS_EVTCHN_CHANNEL XENBUS_EVTCHN_CHANNEL, *PXENBUS_EVTCHN_CHANNEL;

typedef NTSTATUS(NTAPI *XENBUS_EVTCHN_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENBUS_EVTCHN_RELEASE)(_In_ PINTERFACE Interface);

/*
 * Opens a channel. IRQL <= DISPATCH_LEVEL. After Argument follow, by Type:
 *
 *   FIXED         ULONG LocalPort, BOOLEAN Mask
 *   UNBOUND       USHORT RemoteDomain, BOOLEAN Mask
 *   INTER_DOMAIN  USHORT RemoteDomain, ULONG RemotePort, BOOLEAN Mask
 *   VIRQ          ULONG Index, USHORT Group, UCHAR Number (the processor)
 *
 * Function runs at the IRQL of the interrupt when an event arrives, with the interrupt object NULL and Argument; it
 * returns TRUE if it did something. With Mask the port is masked before Function runs and the client unmasks it. The
 * channel is masked when it is made: the client unmasks it once it is ready. A FIXED port outlives its channel.
 * Returns NULL if the channel cannot be had; the provider logs why.
 */
typedef PXENBUS_EVTCHN_CHANNEL(NTAPI *XENBUS_EVTCHN_OPEN)(_In_ PINTERFACE Interface, _In_ XENBUS_EVTCHN_TYPE Type,
                                                          _In_ PKSERVICE_ROUTINE Function, _In_opt_ PVOID Argument,
                                                          ...);

/*
 * Delivers the channel's events to a processor. IRQL <= DISPATCH_LEVEL. STATUS_NOT_SUPPORTED: that processor takes no
 * upcall of its own, the channel stays where it was. STATUS_INVALID_PARAMETER: no such processor.
 */
typedef NTSTATUS(NTAPI *XENBUS_EVTCHN_BIND)(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel,
                                            _In_ USHORT Group, _In_ UCHAR Number);

/*
 * Unmasks the channel. DISPATCH_LEVEL or above. FALSE: it is unmasked (or Force was given). TRUE: it was not, because
 * an event is pending: the port stays masked, the event is acknowledged, and the caller must poll again. InCallback
 * says that the caller is the channel's Function. With Force, from the callback, or from a processor other than the
 * one the channel is bound to, the hypervisor does it and raises the event where it belongs.
 */
typedef BOOLEAN(NTAPI *XENBUS_EVTCHN_UNMASK)(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel,
                                             _In_ BOOLEAN InCallback, _In_ BOOLEAN Force);

/* Notifies the other end. DISPATCH_LEVEL or above. */
typedef VOID(NTAPI *XENBUS_EVTCHN_SEND)(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel);

/* Makes the channel's Function run on its processor as if an event had arrived. IRQL <= DISPATCH_LEVEL. */
typedef VOID(NTAPI *XENBUS_EVTCHN_TRIGGER)(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel);

/* How many events the channel has taken; it wraps. Any IRQL up to that of the interrupt. */
typedef ULONG(NTAPI *XENBUS_EVTCHN_GET_COUNT)(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel);

/*
 * Waits until the count has moved past Count. Take the count, look for work, then wait: no event is missed in
 * between. Timeout as in KeWaitForSingleObject (100 ns units, negative is relative, NULL is for ever). IRQL <=
 * DISPATCH_LEVEL; at DISPATCH_LEVEL it spins, a timeout must be given, and it must not be 0.
 * STATUS_SUCCESS; STATUS_TIMEOUT; STATUS_CANCELLED: the channel went in a suspend, whenever that was, and is to be
 * closed.
 */
typedef NTSTATUS(NTAPI *XENBUS_EVTCHN_WAIT)(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel,
                                            _In_ ULONG Count, _In_opt_ PLARGE_INTEGER Timeout);

/* The channel's local port. Any IRQL. */
typedef ULONG(NTAPI *XENBUS_EVTCHN_GET_PORT)(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel);

/* Closes the channel. IRQL <= DISPATCH_LEVEL. Once it has returned Function neither runs nor will run. */
typedef VOID(NTAPI *XENBUS_EVTCHN_CLOSE)(_In_ PINTERFACE Interface, _In_ PXENBUS_EVTCHN_CHANNEL Channel);

struct _XENBUS_EVTCHN_INTERFACE_V9 {
    INTERFACE Interface;
    XENBUS_EVTCHN_ACQUIRE EvtchnAcquire;
    XENBUS_EVTCHN_RELEASE EvtchnRelease;
    XENBUS_EVTCHN_OPEN EvtchnOpen;
    XENBUS_EVTCHN_BIND EvtchnBind;
    XENBUS_EVTCHN_UNMASK EvtchnUnmask;
    XENBUS_EVTCHN_SEND EvtchnSend;
    XENBUS_EVTCHN_TRIGGER EvtchnTrigger;
    XENBUS_EVTCHN_GET_COUNT EvtchnGetCount;
    XENBUS_EVTCHN_WAIT EvtchnWait;
    XENBUS_EVTCHN_GET_PORT EvtchnGetPort;
    XENBUS_EVTCHN_CLOSE EvtchnClose;
};

typedef struct _XENBUS_EVTCHN_INTERFACE_V9 XENBUS_EVTCHN_INTERFACE_V9, *PXENBUS_EVTCHN_INTERFACE_V9;
typedef XENBUS_EVTCHN_INTERFACE_V9 XENBUS_EVTCHN_INTERFACE, *PXENBUS_EVTCHN_INTERFACE;

#define XENBUS_EVTCHN_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, Evtchn##_Method, ##__VA_ARGS__)

#endif /* XENBUS_EVTCHN_INTERFACE_H */
