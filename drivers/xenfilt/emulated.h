/*
 * Provider of XENFILT_EMULATED (../include/emulated_interface.h): the devices that the filtered buses have.
 */
#ifndef XENFILT_EMULATED_H
#define XENFILT_EMULATED_H

#include "compat.h"

#include "emulated_interface.h"

/* Kinds of buses, and of the devices on them. */
typedef enum _XENFILT_KIND { XENFILT_KIND_NONE, XENFILT_KIND_PCI, XENFILT_KIND_IDE } XENFILT_KIND;

typedef struct _XENFILT_EMULATED_CONTEXT XENFILT_EMULATED_CONTEXT, *PXENFILT_EMULATED_CONTEXT;

/* A device; opaque, owned by the provider, released by EmulatedRemove. */
typedef struct _XENFILT_EMULATED_DEVICE XENFILT_EMULATED_DEVICE, *PXENFILT_EMULATED_DEVICE;

/* PASSIVE_LEVEL. */
_Must_inspect_result_ NTSTATUS EmulatedInitialize(_Outptr_ PXENFILT_EMULATED_CONTEXT *Context);
VOID EmulatedTeardown(_In_ PXENFILT_EMULATED_CONTEXT Context);

/*
 * A device is there, with these IDs. Channel is that of an IDE bus, of which two disks can be. IRQL <= DISPATCH_LEVEL.
 * STATUS_INSUFFICIENT_RESOURCES: no memory.
 */
_Must_inspect_result_ NTSTATUS EmulatedAdd(_In_ PXENFILT_EMULATED_CONTEXT Context, _In_ XENFILT_KIND Kind,
                                           _In_ ULONG Channel, _In_ PCSTR DeviceId, _In_ PCSTR InstanceId,
                                           _Outptr_ PXENFILT_EMULATED_DEVICE *Device);

/* It is there no more. IRQL <= DISPATCH_LEVEL. */
VOID EmulatedRemove(_In_ PXENFILT_EMULATED_CONTEXT Context, _In_ PXENFILT_EMULATED_DEVICE Device);

/* Fills Interface, of Size bytes, with the methods of Version; see interface.h. */
_Must_inspect_result_ NTSTATUS EmulatedGetInterface(_In_ PXENFILT_EMULATED_CONTEXT Context, _In_ ULONG Version,
                                                    _Out_writes_bytes_(Size) PINTERFACE Interface, _In_ ULONG Size);

#endif /* XENFILT_EMULATED_H */
