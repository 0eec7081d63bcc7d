/*
 * Inside of the frontend: what frontend.c (life, notes, thread), frontend_state.c (the steps) and frontend_store.c (the
 * store) share. But for the notes everything belongs to the frontend's thread; all of it runs at PASSIVE_LEVEL.
 */
#ifndef XENVIF_FRONTEND_STATE_H
#define XENVIF_FRONTEND_STATE_H

#include "compat.h"

#include <xen/io/xenbus.h>

#include "announcer.h"
#include "controller.h"
#include "frontend.h"
#include "ring.h"
#include "thread.h"

/* How far the frontend is to go. */
typedef enum _FRONTEND_TARGET {
    FRONTEND_DOWN,   /* closed: the device is not in D0 */
    FRONTEND_READY,  /* the backend waits for us */
    FRONTEND_CONNECT /* packets move: the client has enabled the VIF */
} FRONTEND_TARGET;

/* How far it is. From CONNECTING to FINISHING the rings are shared with the backend. */
typedef enum _FRONTEND_STATE {
    FRONTEND_CLOSED,       /* nothing of ours is out */
    FRONTEND_INITIALISING, /* we wrote Initialising, and wait for InitWait */
    FRONTEND_PREPARED,     /* the backend is at InitWait */
    FRONTEND_CONNECTING,   /* we published the rings and wrote Connected, and wait for Connected */
    FRONTEND_CONNECTED,    /* both are Connected */
    FRONTEND_CLOSING,      /* we wrote Closing, and wait for Closing or Closed */
    FRONTEND_FINISHING     /* we wrote Closed, and wait for Closed */
} FRONTEND_STATE;

/* How long a backend may take for one answer, before we go on without it. A hotplug script takes its time. */
#define FRONTEND_CONNECT_TIME 10000 /* ms */
#define FRONTEND_CLOSE_TIME 5000    /* ms */

/* How long until something is tried again that failed here, or whose page the backend holds. */
#define FRONTEND_RETRY_TIME 1000 /* ms */

/* How long the client waits for a packet whose page the backend does not let go. */
#define FRONTEND_HELD_TIME 5000 /* ms */

/* How often, FRONTEND_RETRY_TIME apart, it is then waited for memory to note what the backend keeps. */
#define FRONTEND_HELD_TRIES 5

#define FRONTEND_WATCHES 4

#define FRONTEND_DEFAULT_CARRIER 1

/* What the client has asked for and been granted, whatever connection there is. */
typedef struct _FRONTEND_HASH {
    LONG Toeplitz; /* the rings read it */
    BOOLEAN HasParameters;
    ULONG Types; /* as of the interface */
    UCHAR Key[XENVIF_VIF_HASH_KEY_SIZE];
    ULONG MappingSize; /* 0: there is none */
    PROCESSOR_NUMBER Mapping[STEERING_MAXIMUM_MAPPING];
} FRONTEND_HASH;

/* Addresses that backends' filters have room for: more than a filter takes are let in without one. */
#define FRONTEND_MULTICAST_ADDRESSES 64

/* The backend's filter of multicast frames, on this connection. */
typedef struct _FRONTEND_MULTICAST {
    BOOLEAN Disabled; /* TransmitterDisableMulticastControl of the registry */
    BOOLEAN Offered;  /* feature-multicast-control */
    BOOLEAN Dynamic;  /* feature-dynamic-multicast-control: it may be asked for, or not, at any time */
    BOOLEAN Asked;    /* request-multicast-control */
    BOOLEAN Refused;  /* the backend has not taken an address: there is no filter */
    BOOLEAN Stale;    /* only another connection can be without the filter */
    ULONG RefusedAt;  /* the MAC's number of what was refused last */
    BOOLEAN HasRefused;
    ULONG Count; /* addresses that the backend has been sent */
    ETHERNET_ADDRESS Addresses[FRONTEND_MULTICAST_ADDRESSES];
} FRONTEND_MULTICAST;

struct _XENVIF_FRONTEND {
    ULONG Number;
    PXENVIF_PDO Pdo;
    PXENVIF_PARENT Parent;
    PXENVIF_VIF Vif;
    CHAR Path[32];      /* device/vif/<n> */
    CHAR ErrorPath[48]; /* error/device/vif/<n> */
    XENVIF_STATISTICS Statistics;

    PXENVIF_MAC Mac;
    PXENVIF_STEERING Steering;
    PXENVIF_CONTROLLER Controller;
    PXENVIF_ANNOUNCER Announcer;
    PXENVIF_QUEUE Queues[FRONTEND_MAXIMUM_QUEUES];
    ULONG QueueCount; /* made; grows only, by the thread */
    ULONG RingCount;  /* in use, or to be in use */

    /* What the client wants of all receivers; read when one is made. */
    ULONG ReceiverOptions;
    ULONG ReceiverBackfill;

    PDRIVER_THREAD Thread;
    PXENBUS_SUSPEND_CALLBACK SuspendCallback;
    PXENBUS_DEBUG_CALLBACK DebugCallback;
    PXENBUS_STORE_WATCH Watches[FRONTEND_WATCHES];

    /* The notes. */
    KSPIN_LOCK Lock;
    BOOLEAN Powered;
    BOOLEAN Enabled;
    ULONG Requested;                    /* number of the last request of power or client */
    ULONG Settled;                      /* number of the last one that has been carried out */
    KEVENT SettledEvent;                /* set while Settled is Requested */
    FRONTEND_HASH_REQUEST *HashRequest; /* NULL: there is none */
    LONG Resumed;
    LONG Broken;
    PCSTR BrokenReason;
    ULONG BrokenValue;

    /* The thread's. */
    FRONTEND_STATE State;
    FRONTEND_TARGET Target;
    ULONG Request;          /* number of the request that Target is of */
    ULONGLONG Deadline;     /* of the backend's answer, in 100 ns of interrupt time; 0: none */
    ULONGLONG RetryAt;      /* 0: nothing to try again */
    BOOLEAN Unread;         /* a node could not be read, but may be later */
    ULONGLONG HeldDeadline; /* 0: no packet is held back, or nobody waits for it */
    ULONG HeldTries;        /* at giving up what is held back, for which there was no memory */

    FRONTEND_HASH Hash;
    LONG Hashing;       /* frames of this connection may have a hash */
    BOOLEAN HashesHere; /* this connection's backend makes none */
    XENVIF_HASHER Hasher;
    BOOLEAN DisableToeplitz; /* FrontendDisableToeplitz of the registry */
    ULONGLONG SteerDeadline; /* until which a new mapping waits for the rings; 0: none does */

    FRONTEND_MULTICAST Multicast;

    PSTR BackendPath; /* NULL: none is known */
    USHORT BackendDomain;
    PXENBUS_STORE_WATCH BackendWatch;
    BOOLEAN BackendUnread; /* "backend" cannot be read for now; nor can the backend's state */
    BOOLEAN BackendStateUnread;
    XenbusState BackendState;
    FRONTEND_NUMBER Disconnect; /* by the toolstack */
    FRONTEND_NUMBER Carrier;    /* of the backend */

    BOOLEAN Split;            /* feature-split-event-channels */
    ULONG TransmitFeatures;   /* TRANSMITTER_*: what the backend takes of us */
    ULONG MaximumQueues;      /* FrontendMaxQueues of the registry */
    BOOLEAN MultiQueue;       /* the backend has multi-queue-max-queues */
    ULONG Active;             /* queues of the connection */
    ULONG Published;          /* queues whose nodes are in the store; 0: none are */
    PCSTR ErrorText;          /* so is this error; or NULL */
    BOOLEAN ErrorAbsent;      /* no earlier life has left one */
    BOOLEAN Accepting;        /* the transmitter queues packets */
    BOOLEAN Failed;           /* no connection could be made: packets are refused until there is one */
    BOOLEAN InitWaitIsClosed; /* while closing: a backend at InitWait has been restarted */
    BOOLEAN Parked;           /* closed until the backend leaves ParkedState, or the client or power asks anew */
    XenbusState ParkedState;
    BOOLEAN Moved;   /* a connection has ended, and the client wants it still: neighbours are told of the next */
    BOOLEAN Ejected; /* the toolstack has taken the device away */
};

/* Takes one step if there is one to take. FALSE: there is none until something changes. */
BOOLEAN FrontendStep(_Inout_ PXENVIF_FRONTEND Frontend);

/* Looks at the link as it is in this state, and tells MAC and client. */
VOID FrontendUpdateLink(_Inout_ PXENVIF_FRONTEND Frontend);

/* Has the client's mapping in force for the queues of the connection, and for packets to send. */
VOID FrontendSteer(_Inout_ PXENVIF_FRONTEND Frontend);

/* Likewise, if a mapping waits for it and the rings are empty or its time is over. */
VOID FrontendContinueSteering(_Inout_ PXENVIF_FRONTEND Frontend);

/* Carries out what the client has asked for, if it has. */
VOID FrontendServeHash(_Inout_ PXENVIF_FRONTEND Frontend);

/* Tells a new backend of what the client has asked for. */
VOID FrontendSendHash(_Inout_ PXENVIF_FRONTEND Frontend);

/* Finds out, before what there is is published, whether the backend filters multicast frames, and whether it is to. */
VOID FrontendPrepareMulticast(_Inout_ PXENVIF_FRONTEND Frontend);

/* Has the filter of the backend that we are connected to follow the client's. */
VOID FrontendUpdateMulticast(_Inout_ PXENVIF_FRONTEND Frontend);

/* Writes request-multicast-control. */
NTSTATUS FrontendWriteMulticast(_In_ PXENVIF_FRONTEND Frontend, _In_ BOOLEAN Asked);

/* Makes queues until there are Count of them, or there is no memory. How many of Count there are: at least one. */
ULONG FrontendMakeQueues(_Inout_ PXENVIF_FRONTEND Frontend, _In_ ULONG Count);

/* Interrupt time in 100 ns, and the time in Milliseconds from now. */
ULONGLONG FrontendNow(VOID);
ULONGLONG FrontendLater(_In_ ULONG Milliseconds);

/* TRUE when the toolstack has not pulled the cable, nor has the backend lost its own. */
BOOLEAN FrontendReadLink(_Inout_ PXENVIF_FRONTEND Frontend);

/* Finds out where the backend is, and what its state is. */
VOID FrontendLookAtBackend(_Inout_ PXENVIF_FRONTEND Frontend);

/* Forgets the backend. */
VOID FrontendForgetBackend(_Inout_ PXENVIF_FRONTEND Frontend);

/*
 * A node of the backend's, which is known, as a number; Default if there is none, or it is no number. Default, too, for
 * one that cannot be read for a moment (Unread): all is looked at again a while later.
 */
ULONG FrontendReadBackendNumber(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Node, _In_ ULONG Default);

/* Writes our state, if the device is still in the store. */
NTSTATUS FrontendWriteState(_In_ PXENVIF_FRONTEND Frontend, _In_ XenbusState State);

/*
 * Writes, in one transaction with the state Connected, what a backend needs to know of the rings, and removes it.
 * STATUS_CANCELLED: the domain has been resumed since they were made, or the device is no longer in the store.
 */
NTSTATUS FrontendPublish(_Inout_ PXENVIF_FRONTEND Frontend);
VOID FrontendUnpublish(_Inout_ PXENVIF_FRONTEND Frontend);

/* Tells the log and, at error/device/vif/<n>/error, the toolstack of a failure; and takes it back. */
VOID FrontendReportError(_Inout_ PXENVIF_FRONTEND Frontend, _In_z_ PCSTR Text, _In_ ULONG Value);
VOID FrontendClearError(_Inout_ PXENVIF_FRONTEND Frontend);

PCSTR FrontendStateName(_In_ XenbusState State);

#endif /* XENVIF_FRONTEND_STATE_H */
