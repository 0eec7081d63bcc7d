/*
 * XENBUS_CONSOLE: the domain's console ring. Provided by XENBUS. All methods may be called up to DISPATCH_LEVEL.
 */
#ifndef XENBUS_CONSOLE_INTERFACE_H
#define XENBUS_CONSOLE_INTERFACE_H

#include "interface_call.h"

/* {04C4F738-034A-4268-BD20-A92AC90D4F82} */
DEFINE_GUID(GUID_XENBUS_CONSOLE_INTERFACE, 0x04c4f738, 0x034a, 0x4268, 0xbd, 0x20, 0xa9, 0x2a, 0xc9, 0x0d, 0x4f, 0x82);

#define XENBUS_CONSOLE_INTERFACE_VERSION_MIN 1
#define XENBUS_CONSOLE_INTERFACE_VERSION_MAX 1

/* A registration; opaque, owned by the provider, released by ConsoleWakeupRemove. */
typedef struct _XENBUS_CONSOLE_WAKEUP XENBUS_CONSOLE_WAKEUP, *PXENBUS_CONSOLE_WAKEUP;

typedef NTSTATUS(NTAPI *XENBUS_CONSOLE_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENBUS_CONSOLE_RELEASE)(_In_ PINTERFACE Interface);

/* TRUE if there is something to read. */
typedef BOOLEAN(NTAPI *XENBUS_CONSOLE_CAN_READ)(_In_ PINTERFACE Interface);

/* Reads at most Length bytes into Data without waiting and without a closing NUL; returns how many. */
typedef ULONG(NTAPI *XENBUS_CONSOLE_READ)(_In_ PINTERFACE Interface, _Out_writes_(Length) PSTR Data, _In_ ULONG Length);

/* TRUE if there is room to write. */
typedef BOOLEAN(NTAPI *XENBUS_CONSOLE_CAN_WRITE)(_In_ PINTERFACE Interface);

/* Writes at most Length bytes of Data without waiting; returns how many there was room for. */
typedef ULONG(NTAPI *XENBUS_CONSOLE_WRITE)(_In_ PINTERFACE Interface, _In_reads_(Length) PSTR Data, _In_ ULONG Length);

/* Sets Event whenever the ring has moved, until ConsoleWakeupRemove. STATUS_INSUFFICIENT_RESOURCES: no memory. */
typedef NTSTATUS(NTAPI *XENBUS_CONSOLE_WAKEUP_ADD)(_In_ PINTERFACE Interface, _In_ PKEVENT Event,
                                                   _Outptr_ PXENBUS_CONSOLE_WAKEUP *Wakeup);

/* Ends a registration; once it has returned the event is not touched again. */
typedef VOID(NTAPI *XENBUS_CONSOLE_WAKEUP_REMOVE)(_In_ PINTERFACE Interface, _In_ PXENBUS_CONSOLE_WAKEUP Wakeup);

struct _XENBUS_CONSOLE_INTERFACE_V1 {
    INTERFACE Interface;
    XENBUS_CONSOLE_ACQUIRE ConsoleAcquire;
    XENBUS_CONSOLE_RELEASE ConsoleRelease;
    XENBUS_CONSOLE_CAN_READ ConsoleCanRead;
    XENBUS_CONSOLE_READ ConsoleRead;
    XENBUS_CONSOLE_CAN_WRITE ConsoleCanWrite;
    XENBUS_CONSOLE_WRITE ConsoleWrite;
    XENBUS_CONSOLE_WAKEUP_ADD ConsoleWakeupAdd;
    XENBUS_CONSOLE_WAKEUP_REMOVE ConsoleWakeupRemove;
};

typedef struct _XENBUS_CONSOLE_INTERFACE_V1 XENBUS_CONSOLE_INTERFACE_V1, *PXENBUS_CONSOLE_INTERFACE_V1;
typedef XENBUS_CONSOLE_INTERFACE_V1 XENBUS_CONSOLE_INTERFACE, *PXENBUS_CONSOLE_INTERFACE;

#define XENBUS_CONSOLE_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, Console##_Method, ##__VA_ARGS__)

#endif /* XENBUS_CONSOLE_INTERFACE_H */
