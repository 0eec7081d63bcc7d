/* The guest agent's driver; see agent_ioctl.h. */
#ifndef AGENT_H
#define AGENT_H

#include <ntddk.h>

#include "store_interface.h"

#include "agent_ioctl.h"

#define AGENT_TAG 0x6E656741U /* Agen */

typedef struct _AGENT {
    PDEVICE_OBJECT DeviceObject;
    PDEVICE_OBJECT PhysicalDeviceObject;
    PDEVICE_OBJECT LowerDeviceObject;
    IO_REMOVE_LOCK RemoveLock; /* held by each IRP until it is completed or forwarded */
    DEVICE_POWER_STATE PowerState;

    /* The thread has all to do with the store. */
    PKTHREAD Thread;
    KEVENT Wake;          /* the watch fired, or one of the next two changed */
    KEVENT Quiet;         /* the thread holds nothing of XENBUS */
    volatile LONG Wanted; /* the device is started and in D0 */
    volatile LONG Ended;

    /* Of the thread. */
    XENBUS_STORE_INTERFACE Store;
    PXENBUS_STORE_WATCH Watch;
    BOOLEAN Connected;

    KSPIN_LOCK Lock; /* over the next two */
    PIRP Waiter;     /* IOCTL_AGENT_WAIT that pends */
    ULONG Request;   /* that nobody has waited for yet */
} AGENT, *PAGENT;

/* agent.c */
VOID AgentComplete(_Inout_ PAGENT Agent, _Inout_ PIRP Irp, _In_ NTSTATUS Status, _In_ ULONG_PTR Information);
NTSTATUS AgentForward(_Inout_ PAGENT Agent, _Inout_ PIRP Irp);
NTSTATUS AgentForwardAndWait(_Inout_ PAGENT Agent, _Inout_ PIRP Irp);

/* agent_power.c */
NTSTATUS AgentPower(_Inout_ PAGENT Agent, _Inout_ PIRP Irp);

/* agent_request.c */
NTSTATUS AgentWait(_Inout_ PAGENT Agent, _Inout_ PIRP Irp); /* completed, or it pends */
VOID AgentHandOver(_Inout_ PAGENT Agent, _In_ ULONG Request);
VOID AgentRefuse(_Inout_ PAGENT Agent); /* nobody waits any more */

/* agent_store.c, at PASSIVE_LEVEL: begin to listen, and have the thread let go of everything. */
NTSTATUS AgentListen(_Inout_ PAGENT Agent);
VOID AgentIgnore(_Inout_ PAGENT Agent);
VOID AgentEndThread(_Inout_ PAGENT Agent);

#endif /* AGENT_H */
