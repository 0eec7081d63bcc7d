/*
 * A client of XENVIF_VIF for the tests: binds to the XENVIF child as a network miniport would, and makes the network
 * interface a device that sends what is written and gives what is received to readers. See netclient_ioctl.h.
 *
 * Locks: Lock guards the lists of frames and the pumps' flags; each queue of IRPs has its own; all are leaves. A pump
 * (one that sends, one that delivers) runs in one place at a time, so that order holds; whoever finds it running leaves
 * it a note to look again.
 */
#ifndef NETCLIENT_H
#define NETCLIENT_H

#include <ntddk.h>

#include "netclient_ioctl.h"
#include "vif_interface.h"

#define NETCLIENT_TAG 0x6C63744EU /* Ntcl */

/* Frames that wait for a reader, or are being read: from LIMIT on they are lost, from HIGH on the VIF is asked to
 * pause. */
#define NETCLIENT_RECEIVED_HIGH 512
#define NETCLIENT_RECEIVED_LIMIT 4096

#define NETCLIENT_NAME_LENGTH 40

typedef struct _NETCLIENT_QUEUE {
    IO_CSQ Csq;
    KSPIN_LOCK Lock;
    LIST_ENTRY Irps;
} NETCLIENT_QUEUE, *PNETCLIENT_QUEUE;

/* Which IRPs are meant; a NULL FileObject means any, and a NULL match any at all. */
typedef struct _NETCLIENT_MATCH {
    PFILE_OBJECT FileObject;
    BOOLEAN ByLink; /* an IOCTL_NETCLIENT_WAIT_LINK for this state: */
    ULONG Connected;
} NETCLIENT_MATCH, *PNETCLIENT_MATCH;

/* Work that runs in one place at a time. */
typedef struct _NETCLIENT_PUMP {
    BOOLEAN Running;
    BOOLEAN Again;
} NETCLIENT_PUMP, *PNETCLIENT_PUMP;

/* A received packet, from the VIF's callback until it is returned. */
typedef struct _NETCLIENT_FRAME {
    LIST_ENTRY ListEntry;
    PMDL Mdl;
    ULONG Offset;
    ULONG Length;
    PVOID Cookie;
    ULONGLONG Due; /* interrupt time at which it may go back */
} NETCLIENT_FRAME, *PNETCLIENT_FRAME;

typedef struct _NETCLIENT {
    PDEVICE_OBJECT DeviceObject;
    PDEVICE_OBJECT PhysicalDeviceObject;
    PDEVICE_OBJECT LowerDeviceObject;
    IO_REMOVE_LOCK RemoveLock; /* held by each IRP until it is completed or forwarded */
    WCHAR LinkName[NETCLIENT_NAME_LENGTH];
    DEVICE_POWER_STATE PowerState;

    LONG Started;           /* the VIF is acquired, and IRPs are taken */
    LONG Enabled;           /* packets move */
    LONG Stopping;          /* the status with which IRPs are turned away once the device stops */
    EX_RUNDOWN_REF Rundown; /* held by whoever is at work with the VIF */

    /* In the version that the service's key names; all but Enable are the same methods in the same places. */
    union {
        XENVIF_VIF_INTERFACE_V8 Vif8;
        XENVIF_VIF_INTERFACE_V9 Vif9;
        XENVIF_VIF_INTERFACE_V10 Vif;
    };

    NETCLIENT_QUEUE Reads;
    NETCLIENT_QUEUE Writes;
    NETCLIENT_QUEUE LinkWaits;

    KSPIN_LOCK Lock;
    NETCLIENT_PUMP SendPump;
    NETCLIENT_PUMP DeliverPump;
    PIRP Blocked;        /* the write that the VIF had no room for; the send pump's */
    LONG RowBlocked;     /* a row of frames may be that write: a packet that comes back has the pump try again */
    LIST_ENTRY Spare;    /* NETCLIENT_FRAMEs without a frame */
    LIST_ENTRY Received; /* frames that wait for a reader */
    ULONG ReceivedCount;
    LIST_ENTRY Returning; /* frames that are read and have not gone back */
    ULONG ReturningCount;
    NETCLIENT_MODE Mode;
    NETCLIENT_OFFLOAD Offload;
    NETCLIENT_SHAPE Shape;
    NETCLIENT_STATISTICS Statistics; /* but for the VIF's */
    NETCLIENT_FRAMES Frames;

    KTIMER ReturnTimer;
    KDPC ReturnDpc;

    struct _NETCLIENT_GENERATOR *Generator; /* NULL: there is none; netclient_pktgen.c */
    struct _NETCLIENT_GENERATOR *Checking;  /* the same, once frames that come are its own */
} NETCLIENT, *PNETCLIENT;

/* netclient.c */
ULONG NetClientVersion(VOID); /* of XENVIF_VIF */
BOOLEAN NetClientFlag(_Inout_ LONG *Flag);
VOID NetClientComplete(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp, _In_ NTSTATUS Status, _In_ ULONG_PTR Information);
BOOLEAN NetClientPumpEnter(_Inout_ PNETCLIENT Client, _Inout_ PNETCLIENT_PUMP Pump);
BOOLEAN NetClientPumpLeave(_Inout_ PNETCLIENT Client, _Inout_ PNETCLIENT_PUMP Pump);
VOID NetClientCount(_Inout_ PNETCLIENT Client, _Inout_ ULONG64 *Counter);

/* netclient_vif.c: between the VIF and the device. PASSIVE_LEVEL. */
NTSTATUS NetClientStart(_Inout_ PNETCLIENT Client);
VOID NetClientStop(_Inout_ PNETCLIENT Client, _In_ NTSTATUS Status);
NTSTATUS NetClientEnable(_Inout_ PNETCLIENT Client);
VOID NetClientDisable(_Inout_ PNETCLIENT Client);

/* netclient_io.c */
NTSTATUS NetClientQueueInitialize(_Out_ PNETCLIENT_QUEUE Queue);
VOID NetClientQueueFlush(_Inout_ PNETCLIENT Client, _Inout_ PNETCLIENT_QUEUE Queue, _In_opt_ PFILE_OBJECT FileObject,
                         _In_ NTSTATUS Status);
NTSTATUS NetClientQueueIrp(_Inout_ PNETCLIENT Client, _Inout_ PNETCLIENT_QUEUE Queue, _Inout_ PIRP Irp);
NTSTATUS NetClientWrite(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp);
NTSTATUS NetClientRead(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp);
VOID NetClientSend(_Inout_ PNETCLIENT Client);
VOID NetClientSent(_Inout_ PNETCLIENT Client, _In_ PVOID Cookie,
                   _In_ PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion);

/*
 * netclient_shape.c: the chain in which a write goes to the VIF, and the frame's offset in it; taken apart when the
 * packet has come back, or was not taken.
 */
NTSTATUS NetClientShape(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp, _Out_ PMDL *Mdl, _Out_ PULONG Offset);
VOID NetClientUnshape(_Inout_ PIRP Irp);

/* netclient_receive.c */
KDEFERRED_ROUTINE NetClientReturnDpc;
VOID NetClientReceived(_Inout_ PNETCLIENT Client, _Inout_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters);
VOID NetClientNote(_Inout_ PNETCLIENT Client, _In_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters); /* with the lock */
NTSTATUS NetClientCopy(_In_ PNETCLIENT_FRAME Frame, _Out_ PUCHAR Target);
VOID NetClientDeliver(_Inout_ PNETCLIENT Client);
VOID NetClientReturnAll(_Inout_ PNETCLIENT Client);

/* netclient_rows.c: the same for requests that carry rows of frames. A write's state is in its DriverContext. */
NTSTATUS NetClientRowBegin(_Inout_ PIRP Irp);
BOOLEAN NetClientRowSend(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp);
PVOID NetClientRowCookie(_In_ PIRP Irp);
BOOLEAN NetClientIsRowCookie(_In_ PVOID Cookie);
VOID NetClientRowSent(_Inout_ PNETCLIENT Client, _In_ PVOID Cookie,
                      _In_ PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion);
VOID NetClientRowReceived(_Inout_ PNETCLIENT Client, _Inout_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters);
VOID NetClientRowDeliver(_Inout_ PNETCLIENT Client);
VOID NetClientRowForget(_Inout_ PNETCLIENT Client);

/* netclient_pktgen.c: the packet generator. */
NTSTATUS NetClientGeneratorBegin(_Inout_ PNETCLIENT Client, _In_ const NETCLIENT_PKTGEN *Parameters);
NTSTATUS NetClientGeneratorAddSent(_Inout_ PNETCLIENT Client, _In_ PUCHAR Row, _In_ ULONG Length);
NTSTATUS NetClientGeneratorAddExpected(_Inout_ PNETCLIENT Client, _In_ PVOID Expected, _In_ ULONG Length);
NTSTATUS NetClientGeneratorRun(_Inout_ PNETCLIENT Client, _Out_ PNETCLIENT_PKTGEN_RESULT Result);
BOOLEAN NetClientIsGeneratorCookie(_In_ PVOID Cookie);
VOID NetClientGeneratorSent(_Inout_ PNETCLIENT Client, _In_ PVOID Cookie,
                            _In_ PXENVIF_TRANSMITTER_PACKET_COMPLETION_INFO Completion);
BOOLEAN NetClientGeneratorReceived(_Inout_ PNETCLIENT Client, _Inout_ PXENVIF_VIF_CALLBACK_PARAMETERS Parameters);
VOID NetClientGeneratorDisabled(_Inout_ PNETCLIENT Client); /* packets no longer move */
VOID NetClientGeneratorEnd(_Inout_ PNETCLIENT Client);

/* netclient_control.c */
NTSTATUS NetClientControl(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp);
VOID NetClientCheckLink(_Inout_ PNETCLIENT Client);

/* netclient_pnp.c */
NTSTATUS NetClientPnp(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp);
NTSTATUS NetClientPower(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp);
NTSTATUS NetClientForward(_Inout_ PNETCLIENT Client, _Inout_ PIRP Irp);

#endif /* NETCLIENT_H */
