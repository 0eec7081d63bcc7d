/*
 * XENBUS_DEBUG: callbacks that print a driver's state at a debug key and at a bugcheck. Provided by XENBUS.
 */
#ifndef XENBUS_DEBUG_INTERFACE_H
#define XENBUS_DEBUG_INTERFACE_H

#include "interface_call.h"

/* {0DF600AE-6B20-4227-BF94-03DA9A26A114} */
DEFINE_GUID(GUID_XENBUS_DEBUG_INTERFACE, 0x0df600ae, 0x6b20, 0x4227, 0xbf, 0x94, 0x03, 0xda, 0x9a, 0x26, 0xa1, 0x14);

#define XENBUS_DEBUG_INTERFACE_VERSION_MIN 1
#define XENBUS_DEBUG_INTERFACE_VERSION_MAX 1

/* A registration; opaque, owned by the provider, released by DebugDeregister. */
typedef struct _XENBUS_DEBUG_CALLBACK XENBUS_DEBUG_CALLBACK, *PXENBUS_DEBUG_CALLBACK;

typedef NTSTATUS(NTAPI *XENBUS_DEBUG_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENBUS_DEBUG_RELEASE)(_In_ PINTERFACE Interface);

/*
 * The client's callback. HIGH_LEVEL: it takes no lock, touches resident memory only and prints with DebugPrintf.
 * Crashing is TRUE in a bugcheck, when state may be half changed.
 */
typedef VOID(NTAPI *XENBUS_DEBUG_FUNCTION)(_In_opt_ PVOID Argument, _In_ BOOLEAN Crashing);

/*
 * Registers Function. IRQL <= DISPATCH_LEVEL. Prefix (copied, cut if long) heads each line that it prints.
 * STATUS_INSUFFICIENT_RESOURCES: no memory.
 */
typedef NTSTATUS(NTAPI *XENBUS_DEBUG_REGISTER)(_In_ PINTERFACE Interface, _In_ PSTR Prefix,
                                               _In_ XENBUS_DEBUG_FUNCTION Function, _In_opt_ PVOID Argument,
                                               _Outptr_ PXENBUS_DEBUG_CALLBACK *Callback);

/* Prints one line to the log, with the running callback's prefix. Any IRQL, from a callback only. */
typedef VOID(NTAPI *XENBUS_DEBUG_PRINTF)(_In_ PINTERFACE Interface, _In_ PCSTR Format, ...);

/* Runs one callback, or all of them when NULL, with Crashing FALSE. Any IRQL. */
typedef VOID(NTAPI *XENBUS_DEBUG_TRIGGER)(_In_ PINTERFACE Interface, _In_opt_ PXENBUS_DEBUG_CALLBACK Callback);

/* Ends a registration. IRQL <= DISPATCH_LEVEL. Once it has returned the callback neither runs nor will run. */
typedef VOID(NTAPI *XENBUS_DEBUG_DEREGISTER)(_In_ PINTERFACE Interface, _In_ PXENBUS_DEBUG_CALLBACK Callback);

struct _XENBUS_DEBUG_INTERFACE_V1 {
    INTERFACE Interface;
    XENBUS_DEBUG_ACQUIRE DebugAcquire;
    XENBUS_DEBUG_RELEASE DebugRelease;
    XENBUS_DEBUG_REGISTER DebugRegister;
    XENBUS_DEBUG_PRINTF DebugPrintf;
    XENBUS_DEBUG_TRIGGER DebugTrigger;
    XENBUS_DEBUG_DEREGISTER DebugDeregister;
};

typedef struct _XENBUS_DEBUG_INTERFACE_V1 XENBUS_DEBUG_INTERFACE_V1, *PXENBUS_DEBUG_INTERFACE_V1;
typedef XENBUS_DEBUG_INTERFACE_V1 XENBUS_DEBUG_INTERFACE, *PXENBUS_DEBUG_INTERFACE;

#define XENBUS_DEBUG_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, Debug##_Method, ##__VA_ARGS__)

#endif /* XENBUS_DEBUG_INTERFACE_H */
