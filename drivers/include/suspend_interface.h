/*
 * XENBUS_SUSPEND: callbacks around the suspension of the domain, and a way to ask for it. Provided by XENBUS.
 *
 * When the domain resumes in a new place everything that lives in the hypervisor is gone: event channels, grants,
 * watches. The provider restores its own state, then runs EARLY callbacks, then LATE callbacks, each list in order of
 * registration. A suspend that was cancelled runs no callback and leaves the count as it was.
 */
#ifndef XENBUS_SUSPEND_INTERFACE_H
#define XENBUS_SUSPEND_INTERFACE_H

#include "interface_call.h"

/* {0554F2AF-B510-4C71-AC03-1C503E394238} */
DEFINE_GUID(GUID_XENBUS_SUSPEND_INTERFACE, 0x0554f2af, 0xb510, 0x4c71, 0xac, 0x03, 0x1c, 0x50, 0x3e, 0x39, 0x42, 0x38);

#define XENBUS_SUSPEND_INTERFACE_VERSION_MIN 1
#define XENBUS_SUSPEND_INTERFACE_VERSION_MAX 1

typedef enum _XENBUS_SUSPEND_CALLBACK_TYPE {
    SUSPEND_CALLBACK_TYPE_INVALID = 0,
    SUSPEND_CALLBACK_EARLY = 1, /* HIGH_LEVEL, every other processor held: touch memory and hypercalls only */
    SUSPEND_CALLBACK_LATE = 2   /* DISPATCH_LEVEL, every other processor held: the store works, by polling */
} XENBUS_SUSPEND_CALLBACK_TYPE,
    *PXENBUS_SUSPEND_CALLBACK_TYPE;

/* A registration; opaque, owned by the provider, released by Deregister. */
typedef struct _XENBUS_SUSPEND_CALLBACK XENBUS_SUSPEND_CALLBACK, *PXENBUS_SUSPEND_CALLBACK;

typedef NTSTATUS(NTAPI *XENBUS_SUSPEND_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENBUS_SUSPEND_RELEASE)(_In_ PINTERFACE Interface);

/* The client's callback. The IRQL is that of its type. It must not wait, and must not call Register or Deregister. */
typedef VOID(NTAPI *XENBUS_SUSPEND_FUNCTION)(_In_opt_ PVOID Argument);

/*
 * Registers Function. IRQL <= DISPATCH_LEVEL. On success *Callback must be given to Deregister before Release.
 * STATUS_INVALID_PARAMETER: no such type. STATUS_INSUFFICIENT_RESOURCES: no memory.
 */
typedef NTSTATUS(NTAPI *XENBUS_SUSPEND_REGISTER)(_In_ PINTERFACE Interface, _In_ XENBUS_SUSPEND_CALLBACK_TYPE Type,
                                                 _In_ XENBUS_SUSPEND_FUNCTION Function, _In_opt_ PVOID Argument,
                                                 _Outptr_ PXENBUS_SUSPEND_CALLBACK *Callback);

/* Ends a registration. IRQL <= DISPATCH_LEVEL. Once it has returned the callback neither runs nor will run. */
typedef VOID(NTAPI *XENBUS_SUSPEND_DEREGISTER)(_In_ PINTERFACE Interface, _In_ PXENBUS_SUSPEND_CALLBACK Callback);

/*
 * Suspends the domain now and returns after it has resumed and the callbacks have run. PASSIVE_LEVEL.
 * STATUS_SUCCESS also for a suspend that the toolstack cancelled: GetCount tells the two apart.
 */
typedef NTSTATUS(NTAPI *XENBUS_SUSPEND_TRIGGER)(_In_ PINTERFACE Interface);

/* How many times the domain has resumed since the provider started. Any IRQL. */
typedef ULONG(NTAPI *XENBUS_SUSPEND_GET_COUNT)(_In_ PINTERFACE Interface);

struct _XENBUS_SUSPEND_INTERFACE_V1 {
    INTERFACE Interface;
    XENBUS_SUSPEND_ACQUIRE Acquire;
    XENBUS_SUSPEND_RELEASE Release;
    XENBUS_SUSPEND_REGISTER Register;
    XENBUS_SUSPEND_DEREGISTER Deregister;
    XENBUS_SUSPEND_TRIGGER Trigger;
    XENBUS_SUSPEND_GET_COUNT GetCount;
};

typedef struct _XENBUS_SUSPEND_INTERFACE_V1 XENBUS_SUSPEND_INTERFACE_V1, *PXENBUS_SUSPEND_INTERFACE_V1;
typedef XENBUS_SUSPEND_INTERFACE_V1 XENBUS_SUSPEND_INTERFACE, *PXENBUS_SUSPEND_INTERFACE;

#define XENBUS_SUSPEND_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, _Method, ##__VA_ARGS__)

#endif /* XENBUS_SUSPEND_INTERFACE_H */
