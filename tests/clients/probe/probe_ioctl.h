/*
 * What \Device\Probe<instance> understands: \Device\Probe_ is bound to the IFACE child of XENBUS, \Device\Probe<n> to
 * the child of XENVIF for VIF n (where no netclient is).
 *
 * A test asks the probe for an interface as the probe got it from its own PDO, and calls the methods itself: what it
 * uses is what any driver in the probe's place would hold. It releases what it acquired before the device goes.
 *
 * All codes are METHOD_BUFFERED. STATUS_BUFFER_TOO_SMALL: one of the structures does not fit.
 */
#ifndef PROBE_IOCTL_H
#define PROBE_IOCTL_H

#include <ntddk.h>

#define PROBE_DEVICE_TYPE 0x8001
#define PROBE_CODE(_Function) ((ULONG)CTL_CODE(PROBE_DEVICE_TYPE, _Function, METHOD_BUFFERED, FILE_ANY_ACCESS))

#define IOCTL_PROBE_QUERY_INTERFACE PROBE_CODE(0x800) /* in: PROBE_QUERY, out: PROBE_INTERFACE */
#define IOCTL_PROBE_QUERY_ID PROBE_CODE(0x801) /* in: ULONG, a BUS_QUERY_ID_TYPE; out: WCHARs as the bus gave them */
#define IOCTL_PROBE_EARLY PROBE_CODE(0x802)    /* out: PROBE_EARLY */
#define IOCTL_PROBE_CRASH PROBE_CODE(0x803)    /* in: ULONG, a PROBE_CRASH; does not come back */
#define IOCTL_PROBE_PRINT PROBE_CODE(0x804)    /* in: PROBE_PRINT */

#define PROBE_INTERFACE_MAX 512

typedef struct _PROBE_QUERY {
    GUID Guid;
    USHORT Version;
    USHORT Size; /* at most PROBE_INTERFACE_MAX: the INTERFACE that the bus is given has this size */
} PROBE_QUERY, *PPROBE_QUERY;

typedef struct _PROBE_INTERFACE {
    NTSTATUS Status; /* of the IRP */
    union {
        INTERFACE Header;
        UCHAR Content[PROBE_INTERFACE_MAX]; /* filled with PROBE_FILL before the query */
    };
} PROBE_INTERFACE, *PPROBE_INTERFACE;

#define PROBE_FILL 0xA5

/*
 * What came of asking for the interface in AddDevice, before the PDO was started: XENVIF_VIF from a child of XENVIF,
 * XENBUS_STORE from one of XENBUS. What was acquired is released at once.
 */
typedef struct _PROBE_EARLY {
    NTSTATUS QueryStatus;
    NTSTATUS AcquireStatus; /* STATUS_PENDING if the query failed */
} PROBE_EARLY, *PPROBE_EARLY;

typedef enum _PROBE_CRASH {
    PROBE_CRASH_BUGCHECK, /* KeBugCheckEx(PROBE_CRASH_CODE, 1, 2, 3, 4) */
    PROBE_CRASH_READ,     /* of an address that is not there */
    PROBE_CRASH_RULE      /* pool freed twice */
} PROBE_CRASH;

#define PROBE_CRASH_CODE 0x50524F42

/* DbgPrintEx of a text, in a component that nobody filters. */
typedef struct _PROBE_PRINT {
    ULONG Level;
    CHAR Text[400]; /* NUL-terminated */
} PROBE_PRINT, *PPROBE_PRINT;

#endif /* PROBE_IOCTL_H */
