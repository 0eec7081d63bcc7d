#include "unplug.h"

#include "interface.h"
#include "log.h"
#include "pool.h"
#include "users.h"
#include "xen.h"

#define UNPLUG_TAG POOL_TAG('U', 'N', 'P', 'L')

struct _XENBUS_UNPLUG_CONTEXT {
    INTERFACE_USERS Users;
};

static BOOLEAN UnplugType(_In_ XENBUS_UNPLUG_DEVICE_TYPE Type, _Out_ XEN_UNPLUG_TYPE *XenType)
{
    switch (Type) {
    case XENBUS_UNPLUG_DEVICE_TYPE_NICS:
        *XenType = XEN_UNPLUG_NICS;
        return TRUE;

    case XENBUS_UNPLUG_DEVICE_TYPE_DISKS:
        *XenType = XEN_UNPLUG_DISKS;
        return TRUE;

    default:
        Error("%u is no type of device", Type);
        return FALSE;
    }
}

PAGED_FUNCTION static VOID NTAPI UnplugRequest(_In_ PINTERFACE Interface, _In_ XENBUS_UNPLUG_DEVICE_TYPE Type,
                                               _In_ BOOLEAN Make)
{
    XEN_UNPLUG_TYPE XenType;
    NTSTATUS Status;

    PAGED_CODE();

    UNREFERENCED_PARAMETER(Interface);

    if (!UnplugType(Type, &XenType))
        return;

    Status = XenUnplugRequest(XenType, Make);
    if (!NT_SUCCESS(Status))
        Error("a request of type %u is not recorded (%08x)", Type, Status);
}

static BOOLEAN NTAPI UnplugIsRequested(_In_ PINTERFACE Interface, _In_ XENBUS_UNPLUG_DEVICE_TYPE Type)
{
    XEN_UNPLUG_TYPE XenType;

    UNREFERENCED_PARAMETER(Interface);

    return UnplugType(Type, &XenType) && XenUnplugIsRequested(XenType);
}

static BOOLEAN NTAPI UnplugBootEmulated(_In_ PINTERFACE Interface)
{
    UNREFERENCED_PARAMETER(Interface);

    return XenUnplugQueryPolicy() == XEN_UNPLUG_NEVER;
}

PAGED_FUNCTION static VOID NTAPI UnplugReboot(_In_ PINTERFACE Interface, _In_ PSTR Module)
{
    NTSTATUS Status;

    PAGED_CODE();

    UNREFERENCED_PARAMETER(Interface);

    Status = XenRequestReboot(Module);
    if (!NT_SUCCESS(Status))
        Error("%s: a reboot is not requested (%08x)", Module, Status);
}

static NTSTATUS NTAPI UnplugAcquire(_In_ PINTERFACE Interface)
{
    PXENBUS_UNPLUG_CONTEXT Context = Interface->Context;

    return UsersAcquire(&Context->Users);
}

static VOID NTAPI UnplugRelease(_In_ PINTERFACE Interface)
{
    PXENBUS_UNPLUG_CONTEXT Context = Interface->Context;

    UsersRelease(&Context->Users);
}

static const XENBUS_UNPLUG_INTERFACE_V1 UnplugInterfaceV1 = {
    .UnplugAcquire = UnplugAcquire,
    .UnplugRelease = UnplugRelease,
    .UnplugRequest = UnplugRequest,
};

static const XENBUS_UNPLUG_INTERFACE_V2 UnplugInterfaceV2 = {
    .UnplugAcquire = UnplugAcquire,
    .UnplugRelease = UnplugRelease,
    .UnplugRequest = UnplugRequest,
    .UnplugIsRequested = UnplugIsRequested,
};

static const XENBUS_UNPLUG_INTERFACE_V3 UnplugInterfaceV3 = {
    .UnplugAcquire = UnplugAcquire,
    .UnplugRelease = UnplugRelease,
    .UnplugRequest = UnplugRequest,
    .UnplugIsRequested = UnplugIsRequested,
    .UnplugBootEmulated = UnplugBootEmulated,
    .UnplugReboot = UnplugReboot,
};

NTSTATUS UnplugGetInterface(_In_ PVOID Context, _In_ ULONG Version, _Out_writes_bytes_(Size) PINTERFACE Interface,
                            _In_ ULONG Size)
{
    switch (Version) {
    case 1:
        return InterfaceFill(Interface, Size, &UnplugInterfaceV1, sizeof(UnplugInterfaceV1), Version, Context);

    case 2:
        return InterfaceFill(Interface, Size, &UnplugInterfaceV2, sizeof(UnplugInterfaceV2), Version, Context);

    case 3:
        return InterfaceFill(Interface, Size, &UnplugInterfaceV3, sizeof(UnplugInterfaceV3), Version, Context);

    default:
        return STATUS_NOT_SUPPORTED;
    }
}

PAGED_FUNCTION NTSTATUS UnplugInitialize(_Outptr_ PXENBUS_UNPLUG_CONTEXT *Context)
{
    PAGED_CODE();

    *Context = PoolAllocate(sizeof(XENBUS_UNPLUG_CONTEXT), UNPLUG_TAG);
    if (*Context == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    UsersInitialize(&(*Context)->Users, "UNPLUG");
    UsersEnable(&(*Context)->Users);
    return STATUS_SUCCESS;
}

PAGED_FUNCTION VOID UnplugTeardown(_In_ PXENBUS_UNPLUG_CONTEXT Context)
{
    PAGED_CODE();

    UsersDisable(&Context->Users);
    PoolFree(Context, UNPLUG_TAG);
}
