/*
 * XENFILT_EMULATED: which emulated devices this machine still has. Provided by XENFILT; an XENBUS child passes the
 * query down its own stack to where XENFILT answers. The first argument of the query methods, of type PVOID, may be the
 * interface, as everywhere, or its Context: it says nothing, since there is one list of devices.
 */
#ifndef XENFILT_EMULATED_INTERFACE_H
#define XENFILT_EMULATED_INTERFACE_H

#include "interface_call.h"

/* {959027A1-FCCE-4E78-BCF4-637384F499C5} */
DEFINE_GUID(GUID_XENFILT_EMULATED_INTERFACE, 0x959027a1, 0xfcce, 0x4e78, 0xbc, 0xf4, 0x63, 0x73, 0x84, 0xf4, 0x99,
            0xc5);

#define XENFILT_EMULATED_INTERFACE_VERSION_MIN 2
#define XENFILT_EMULATED_INTERFACE_VERSION_MAX 3

/* Whether the administrator has fixed, by the registry, which of the emulated and the PV device is used. */
typedef enum _XENBUS_EMULATED_ACTIVATION_STATUS {
    XENBUS_EMULATED_ACTIVATE_NEUTRAL = 0,
    XENBUS_EMULATED_FORCE_ACTIVATED = 1,
    XENBUS_EMULATED_FORCE_DEACTIVATED = 2
} XENBUS_EMULATED_ACTIVATION_STATUS,
    *PXENBUS_EMULATED_ACTIVATION_STATUS;

typedef NTSTATUS(NTAPI *XENFILT_EMULATED_ACQUIRE)(_In_ PINTERFACE Interface);
typedef VOID(NTAPI *XENFILT_EMULATED_RELEASE)(_In_ PINTERFACE Interface);

/* TRUE if a device with DeviceID, and InstanceID unless NULL, is present. Up to DISPATCH_LEVEL. */
typedef BOOLEAN(NTAPI *XENFILT_EMULATED_IS_DEVICE_PRESENT_V1)(_In_ PVOID Context, _In_ PSTR DeviceID,
                                                              _In_opt_ PSTR InstanceID);

/* As version 1; a NULL DeviceID matches any, and *IsForceActivated says what the registry has fixed. */
typedef BOOLEAN(NTAPI *XENFILT_EMULATED_IS_DEVICE_PRESENT)(
    _In_ PVOID Context, _In_opt_ PSTR DeviceID, _In_opt_ PSTR InstanceID,
    _Out_opt_ PXENBUS_EMULATED_ACTIVATION_STATUS IsForceActivated);

/* TRUE if the emulated disk of that index (0 is the primary master) is present. Up to DISPATCH_LEVEL. */
typedef BOOLEAN(NTAPI *XENFILT_EMULATED_IS_DISK_PRESENT)(_In_ PVOID Context, _In_ ULONG Index);

struct _XENFILT_EMULATED_INTERFACE_V2 {
    INTERFACE Interface;
    XENFILT_EMULATED_ACQUIRE EmulatedAcquire;
    XENFILT_EMULATED_RELEASE EmulatedRelease;
    XENFILT_EMULATED_IS_DEVICE_PRESENT_V1 EmulatedIsDevicePresentVersion1;
    XENFILT_EMULATED_IS_DISK_PRESENT EmulatedIsDiskPresent;
};

struct _XENFILT_EMULATED_INTERFACE_V3 {
    INTERFACE Interface;
    XENFILT_EMULATED_ACQUIRE EmulatedAcquire;
    XENFILT_EMULATED_RELEASE EmulatedRelease;
    XENFILT_EMULATED_IS_DEVICE_PRESENT EmulatedIsDevicePresent;
    XENFILT_EMULATED_IS_DISK_PRESENT EmulatedIsDiskPresent;
};

typedef struct _XENFILT_EMULATED_INTERFACE_V2 XENFILT_EMULATED_INTERFACE_V2, *PXENFILT_EMULATED_INTERFACE_V2;
typedef struct _XENFILT_EMULATED_INTERFACE_V3 XENFILT_EMULATED_INTERFACE_V3, *PXENFILT_EMULATED_INTERFACE_V3;
typedef XENFILT_EMULATED_INTERFACE_V3 XENFILT_EMULATED_INTERFACE, *PXENFILT_EMULATED_INTERFACE;

/* Calls a method of an XENFILT_EMULATED interface: XENFILT_EMULATED_CALL(&Interface, IsDiskPresent, 0). */
#define XENFILT_EMULATED_CALL(_Pointer, _Method, ...) XEN_INTERFACE_CALL(_Pointer, Emulated##_Method, ##__VA_ARGS__)

#endif /* XENFILT_EMULATED_INTERFACE_H */
