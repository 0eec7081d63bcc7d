/*
 * XENBUS_UNPLUG: asks that emulated devices be unplugged, at the next boot, in favour of PV ones. Provided by XENBUS.
 *
 * Requests are counted in the registry under the service key XEN\Unplug (values NICS and DISKS). A boot reads each
 * count and deletes it as it reads it, before any emulated device is enumerated: a client that still wants the unplug
 * asks again at each boot.
 */
#ifndef XENBUS_UNPLUG_INTERFACE_H
#define XENBUS_UNPLUG_INTERFACE_H

#include "interface_call.h"

/* {73DB6517-3D06-4937-989F-199B7501E229} */
DEFINE_GUID(GUID_XENBUS_UNPLUG_INTERFACE, 0x73db6517, 0x3d06, 0x4937, 0x98, 0x9f, 0x19, 0x9b, 0x75, 0x01, 0xe2, 0x29);

#define XENBUS_UNPLUG_INTERFACE_VERSION_MIN 1
#define XENBUS_UNPLUG_INTERFACE_VERSION_MAX 3

typedef enum _XENBUS_UNPLUG_DEVICE_TYPE {
    XENBUS_UNPLUG_DEVICE_TYPE_INVALID = 0,
    XENBUS_UNPLUG_DEVICE_TYPE_NICS = 1,
    XENBUS_UNPLUG_DEVICE_TYPE_DISKS = 2
} XENBUS_UNPLUG_DEVICE_TYPE,
    *PXENBUS_UNPLUG_DEVICE_TYPE;

typedef NTSTATUS(NTAPI *XENBUS_UNPLUG_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENBUS_UNPLUG_RELEASE)(_In_ PINTERFACE Interface);

/* Makes a request for the next boot, or takes one back. PASSIVE_LEVEL. */
typedef VOID(NTAPI *XENBUS_UNPLUG_REQUEST)(_In_ PINTERFACE Interface, _In_ XENBUS_UNPLUG_DEVICE_TYPE Type,
                                           _In_ BOOLEAN Make);

/* Since version 2. TRUE if devices of the type were asked to be unplugged in this boot. Up to DISPATCH_LEVEL. */
typedef BOOLEAN(NTAPI *XENBUS_UNPLUG_IS_REQUESTED)(_In_ PINTERFACE Interface, _In_ XENBUS_UNPLUG_DEVICE_TYPE Type);

/* Since version 3. TRUE if the start option XEN:BOOT_EMULATED keeps the emulated boot disk. Up to DISPATCH_LEVEL. */
typedef BOOLEAN(NTAPI *XENBUS_UNPLUG_BOOT_EMULATED)(_In_ PINTERFACE Interface);

/* Since version 3. Asks the monitor service to offer a reboot in the name of Module. PASSIVE_LEVEL. */
typedef VOID(NTAPI *XENBUS_UNPLUG_REBOOT)(_In_ PINTERFACE Interface, _In_ PSTR Module);

struct _XENBUS_UNPLUG_INTERFACE_V1 {
    INTERFACE Interface;
    XENBUS_UNPLUG_ACQUIRE UnplugAcquire;
    XENBUS_UNPLUG_RELEASE UnplugRelease;
    XENBUS_UNPLUG_REQUEST UnplugRequest;
};

struct _XENBUS_UNPLUG_INTERFACE_V2 {
    INTERFACE Interface;
    XENBUS_UNPLUG_ACQUIRE UnplugAcquire;
    XENBUS_UNPLUG_RELEASE UnplugRelease;
    XENBUS_UNPLUG_REQUEST UnplugRequest;
    XENBUS_UNPLUG_IS_REQUESTED UnplugIsRequested;
};

struct _XENBUS_UNPLUG_INTERFACE_V3 {
    INTERFACE Interface;
    XENBUS_UNPLUG_ACQUIRE UnplugAcquire;
    XENBUS_UNPLUG_RELEASE UnplugRelease;
    XENBUS_UNPLUG_REQUEST UnplugRequest;
    XENBUS_UNPLUG_IS_REQUESTED UnplugIsRequested;
    XENBUS_UNPLUG_BOOT_EMULATED UnplugBootEmulated;
    XENBUS_UNPLUG_REBOOT UnplugReboot;
};

typedef struct _XENBUS_UNPLUG_INTERFACE_V1 XENBUS_UNPLUG_INTERFACE_V1, *PXENBUS_UNPLUG_INTERFACE_V1;
typedef struct _XENBUS_UNPLUG_INTERFACE_V2 XENBUS_UNPLUG_INTERFACE_V2, *PXENBUS_UNPLUG_INTERFACE_V2;
typedef struct _XENBUS_UNPLUG_INTERFACE_V3 XENBUS_UNPLUG_INTERFACE_V3, *PXENBUS_UNPLUG_INTERFACE_V3;
typedef XENBUS_UNPLUG_INTERFACE_V3 XENBUS_UNPLUG_INTERFACE, *PXENBUS_UNPLUG_INTERFACE;

#define XENBUS_UNPLUG_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, Unplug##_Method, ##__VA_ARGS__)

#endif /* XENBUS_UNPLUG_INTERFACE_H */
