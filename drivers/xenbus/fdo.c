#include "fdo.h"

#include "driver.h"
#include "log.h"
#include "pdo.h"
#include "pool.h"
#include "registry.h"
#include "text.h"
#include "xen.h"

#define FDO_TAG POOL_TAG('F', 'D', 'O', ' ')

#define FDO_ID_LENGTH 256

/* What goes to the console where the registry does not say. */
#define FDO_CONSOLE_LEVELS (XEN_LOG_WARNING | XEN_LOG_ERROR | XEN_LOG_CRITICAL)

PAGED_FUNCTION static VOID FdoTeardownProviders(_In_ PXENBUS_FDO Fdo)
{
    PXENBUS_PROVIDERS Providers = &Fdo->Providers;

    PAGED_CODE();

    if (Providers->Console != NULL)
        ConsoleTeardown(Providers->Console);
    if (Providers->Store != NULL)
        StoreTeardown(Providers->Store);
    if (Providers->Gnttab != NULL)
        GnttabTeardown(Providers->Gnttab);
    if (Providers->Evtchn != NULL)
        EvtchnTeardown(Providers->Evtchn);
    if (Providers->SharedInfo != NULL)
        SharedInfoTeardown(Providers->SharedInfo);
    if (Providers->Suspend != NULL)
        SuspendTeardown(Providers->Suspend);
    if (Providers->Unplug != NULL)
        UnplugTeardown(Providers->Unplug);
    if (Providers->Debug != NULL)
        DebugTeardown(Providers->Debug);
    if (Providers->Cache != NULL)
        CacheTeardown(Providers->Cache);
    if (Providers->RangeSet != NULL)
        RangeSetTeardown(Providers->RangeSet);

    RtlZeroMemory(Providers, sizeof(XENBUS_PROVIDERS));
}

PAGED_FUNCTION static NTSTATUS FdoInitializeProviders(_In_ PXENBUS_FDO Fdo)
{
    PXENBUS_PROVIDERS Providers = &Fdo->Providers;
    XENBUS_SUSPEND_OPERATIONS Operations = FdoSuspendOperations;
    NTSTATUS Status;

    PAGED_CODE();

    Operations.Argument = Fdo;

    Status = RangeSetInitialize(&Providers->RangeSet);
    if (NT_SUCCESS(Status))
        Status = CacheInitialize(&Providers->Cache);
    if (NT_SUCCESS(Status))
        Status = DebugInitialize(&Providers->Debug);
    if (NT_SUCCESS(Status))
        Status = UnplugInitialize(&Providers->Unplug);
    if (NT_SUCCESS(Status))
        Status = SuspendInitialize(&Operations, &Providers->Suspend);
    if (NT_SUCCESS(Status))
        Status = SharedInfoInitialize(&Providers->SharedInfo);
    if (NT_SUCCESS(Status))
        Status = EvtchnInitialize(&Providers->Evtchn);
    if (NT_SUCCESS(Status))
        Status = GnttabInitialize(&Providers->Gnttab);
    if (NT_SUCCESS(Status))
        Status = StoreInitialize(&Providers->Store);
    if (NT_SUCCESS(Status))
        Status = ConsoleInitialize(Fdo->ConsoleLogLevels, &Providers->Console);

    if (!NT_SUCCESS(Status))
        FdoTeardownProviders(Fdo);

    return Status;
}

#define FDO_GET_INTERFACE(_Fdo, _Provider, _Version)                                                                   \
    _Provider##GetInterface((_Fdo)->Providers._Provider, (_Version), &(_Fdo)->_Provider##Interface.Interface,          \
                            sizeof((_Fdo)->_Provider##Interface))

/* The bus is a client of its own providers. */
PAGED_FUNCTION static NTSTATUS FdoGetInterfaces(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = FDO_GET_INTERFACE(Fdo, RangeSet, XENBUS_RANGE_SET_INTERFACE_VERSION_MAX);
    if (NT_SUCCESS(Status))
        Status = FDO_GET_INTERFACE(Fdo, Cache, XENBUS_CACHE_INTERFACE_VERSION_MAX);
    if (NT_SUCCESS(Status))
        Status = FDO_GET_INTERFACE(Fdo, Debug, XENBUS_DEBUG_INTERFACE_VERSION_MAX);
    if (NT_SUCCESS(Status))
        Status = FDO_GET_INTERFACE(Fdo, Suspend, XENBUS_SUSPEND_INTERFACE_VERSION_MAX);
    if (NT_SUCCESS(Status))
        Status = FDO_GET_INTERFACE(Fdo, Evtchn, XENBUS_EVTCHN_INTERFACE_VERSION_MAX);
    if (NT_SUCCESS(Status))
        Status = FDO_GET_INTERFACE(Fdo, Store, XENBUS_STORE_INTERFACE_VERSION_MAX);

    return Status;
}

/* A list of classes, or NULL if there is none. */
PAGED_FUNCTION static PSTR FdoQueryClasses(_In_ PCWSTR Name)
{
    PSTR List;
    NTSTATUS Status;

    PAGED_CODE();

    Status = RegistryQueryMultiString(DriverGetParametersKey(), Name, &List);
    return NT_SUCCESS(Status) ? List : NULL;
}

PAGED_FUNCTION static VOID FdoQueryParameters(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    Fdo->SupportedClasses = FdoQueryClasses(L"SupportedClasses");
    Fdo->SyntheticClasses = FdoQueryClasses(L"SyntheticClasses");
    Fdo->EvtchnOptions.UseUpcall = DriverGetSwitch(L"UseEvtchnUpcall", TRUE);
    Fdo->EvtchnOptions.UseFifo = DriverGetSwitch(L"UseEvtchnFifoAbi", TRUE);
    Fdo->UseHole = DriverGetSwitch(L"UseMemoryHole", TRUE);

    Fdo->ConsoleLogLevels = FDO_CONSOLE_LEVELS;
    (VOID) LogQueryLevels(DriverGetParametersKey(), L"ConsoleLogLevel", &Fdo->ConsoleLogLevels);
    Fdo->WatchdogSeconds = WatchdogQuerySeconds();

    if (Fdo->SupportedClasses == NULL)
        Warning("no SupportedClasses: no children will be made of the store's devices");
}

PAGED_FUNCTION static VOID FdoForgetParameters(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    if (Fdo->SupportedClasses != NULL)
        RegistryFree(Fdo->SupportedClasses);
    if (Fdo->SyntheticClasses != NULL)
        RegistryFree(Fdo->SyntheticClasses);

    Fdo->SupportedClasses = NULL;
    Fdo->SyntheticClasses = NULL;
}

/* One of the IDs of the platform device, as the PCI bus gives them. */
PAGED_FUNCTION static NTSTATUS FdoQueryId(_In_ PXENBUS_FDO Fdo, _In_ BUS_QUERY_ID_TYPE Type, _Out_writes_(Size) PSTR Id,
                                          _In_ ULONG Size)
{
    IO_STACK_LOCATION Location;
    ULONG_PTR Information;
    PWSTR Wide;
    ULONG Index;
    NTSTATUS Status;

    PAGED_CODE();

    RtlZeroMemory(&Location, sizeof(Location));
    Location.MinorFunction = IRP_MN_QUERY_ID;
    Location.Parameters.QueryId.IdType = Type;

    Status = DeviceSendPnp(Fdo->LowerDeviceObject, &Location, &Information);
    if (!NT_SUCCESS(Status))
        return Status;

    Wide = (PWSTR)Information;
    if (Wide == NULL)
        return STATUS_NOT_SUPPORTED;

    for (Index = 0; Index < Size - 1 && Wide[Index] != L'\0'; Index++)
        Id[Index] = (CHAR)Wide[Index];
    Id[Index] = '\0';

    ExFreePool(Wide);
    return STATUS_SUCCESS;
}

/* The four digits after DEV_ in the device's ID. */
PAGED_FUNCTION static NTSTATUS FdoSetDigits(_In_ PXENBUS_FDO Fdo, _In_ PCSTR DeviceId)
{
    PCSTR Digits;
    ULONG Value;

    PAGED_CODE();

    for (Digits = DeviceId; *Digits != '\0'; Digits++) {
        if (Digits[0] == 'D' && Digits[1] == 'E' && Digits[2] == 'V' && Digits[3] == '_')
            break;
    }

    if (*Digits == '\0' || TextLength(Digits, 4 + XENBUS_DEVICE_DIGITS) != 4 + XENBUS_DEVICE_DIGITS)
        return STATUS_DEVICE_CONFIGURATION_ERROR;

    RtlCopyMemory(Fdo->DeviceDigits, Digits + 4, XENBUS_DEVICE_DIGITS);
    return TextToUlong(Fdo->DeviceDigits, 16, &Value);
}

PAGED_FUNCTION static NTSTATUS FdoQueryLocation(_In_ PXENBUS_FDO Fdo, _Out_writes_(Size) PSTR Location, _In_ ULONG Size)
{
    WCHAR Wide[FDO_ID_LENGTH / 2];
    ULONG Length;
    ULONG Index;
    NTSTATUS Status;

    PAGED_CODE();

    Status =
        IoGetDeviceProperty(Fdo->PhysicalDeviceObject, DevicePropertyLocationInformation, sizeof(Wide), Wide, &Length);
    if (!NT_SUCCESS(Status))
        return Status;

    for (Index = 0; Index < Size - 1 && Index < Length / sizeof(WCHAR) && Wide[Index] != L'\0'; Index++)
        Location[Index] = (CHAR)Wide[Index];
    Location[Index] = '\0';

    return STATUS_SUCCESS;
}

/* Finds out whether this device is to be the bus. */
PAGED_FUNCTION static NTSTATUS FdoClaim(_In_ PXENBUS_FDO Fdo)
{
    CHAR DeviceId[FDO_ID_LENGTH];
    CHAR InstanceId[FDO_ID_LENGTH];
    CHAR Location[FDO_ID_LENGTH / 2];
    BOOLEAN HasLocation;
    NTSTATUS Status;

    PAGED_CODE();

    Status = FdoQueryId(Fdo, BusQueryDeviceID, DeviceId, sizeof(DeviceId));
    if (!NT_SUCCESS(Status))
        return Status;

    Status = FdoQueryId(Fdo, BusQueryInstanceID, InstanceId, sizeof(InstanceId));
    if (!NT_SUCCESS(Status))
        return Status;

    HasLocation = NT_SUCCESS(FdoQueryLocation(Fdo, Location, sizeof(Location)));

    Status = FdoSetDigits(Fdo, DeviceId);
    if (!NT_SUCCESS(Status))
        return Status;

    return XenActiveDeviceClaim(DeviceId, InstanceId, HasLocation ? Location : NULL, &Fdo->Active);
}

PAGED_FUNCTION static NTSTATUS FdoAttach(_In_ PXENBUS_FDO Fdo)
{
    PDEVICE_OBJECT DeviceObject = Fdo->Device.DeviceObject;

    PAGED_CODE();

    Fdo->LowerDeviceObject = IoAttachDeviceToDeviceStack(DeviceObject, Fdo->PhysicalDeviceObject);
    if (Fdo->LowerDeviceObject == NULL)
        return STATUS_NO_SUCH_DEVICE;

    DeviceObject->Flags |= Fdo->LowerDeviceObject->Flags & (DO_POWER_PAGABLE | DO_POWER_INRUSH);
    return STATUS_SUCCESS;
}

/* What only the active device has. */
PAGED_FUNCTION static NTSTATUS FdoActivate(_In_ PXENBUS_FDO Fdo)
{
    NTSTATUS Status;

    PAGED_CODE();

    FdoQueryParameters(Fdo);

    Fdo->PowerWorkItem = IoAllocateWorkItem(Fdo->Device.DeviceObject);
    if (Fdo->PowerWorkItem == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
        goto fail1;
    }

    Status = FdoInitializeProviders(Fdo);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = FdoGetInterfaces(Fdo);
    if (!NT_SUCCESS(Status))
        goto fail3;

    if (FdoBalloonIsWanted()) {
        Status = BalloonInitialize(&Fdo->Balloon);
        if (!NT_SUCCESS(Status))
            goto fail3;
    }

    return STATUS_SUCCESS;

fail3:
    FdoTeardownProviders(Fdo);

fail2:
    IoFreeWorkItem(Fdo->PowerWorkItem);
    Fdo->PowerWorkItem = NULL;

fail1:
    FdoForgetParameters(Fdo);
    return Status;
}

PAGED_FUNCTION static VOID FdoDeactivate(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    if (Fdo->Balloon != NULL)
        BalloonTeardown(Fdo->Balloon);
    Fdo->Balloon = NULL;

    FdoTeardownProviders(Fdo);

    IoFreeWorkItem(Fdo->PowerWorkItem);
    Fdo->PowerWorkItem = NULL;

    FdoForgetParameters(Fdo);
}

_Use_decl_annotations_ PAGED_FUNCTION NTSTATUS NTAPI FdoAddDevice(PDRIVER_OBJECT DriverObject,
                                                                  PDEVICE_OBJECT PhysicalDeviceObject)
{
    PDEVICE_OBJECT DeviceObject;
    PXENBUS_FDO Fdo;
    NTSTATUS Status;

    PAGED_CODE();

    Status = IoCreateDevice(DriverObject, sizeof(XENBUS_FDO), NULL, FILE_DEVICE_BUS_EXTENDER, FILE_DEVICE_SECURE_OPEN,
                            FALSE, &DeviceObject);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Fdo = DeviceObject->DeviceExtension;
    DeviceInitialize(&Fdo->Device, XENBUS_DEVICE_FDO, DeviceObject);
    Fdo->PhysicalDeviceObject = PhysicalDeviceObject;
    ExInitializeFastMutex(&Fdo->Mutex);
    InitializeListHead(&Fdo->Children);

    Status = FdoAttach(Fdo);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = FdoClaim(Fdo);
    if (!NT_SUCCESS(Status))
        goto fail3;

    if (Fdo->Active) {
        Status = FdoActivate(Fdo);
        if (!NT_SUCCESS(Status))
            goto fail4;
    }

    DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;

    Info("device %s is %s", Fdo->DeviceDigits, Fdo->Active ? "the bus" : "not the bus");
    return STATUS_SUCCESS;

fail4:
    XenActiveDeviceRelease();

fail3:
    IoDetachDevice(Fdo->LowerDeviceObject);

fail2:
    IoDeleteDevice(DeviceObject);

fail1:
    Error("no bus (%08x)", Status);
    return Status;
}

PAGED_FUNCTION VOID FdoDestroy(_In_ PXENBUS_FDO Fdo)
{
    PAGED_CODE();

    FdoChildrenDestroy(Fdo);

    if (Fdo->Active) {
        FdoDeactivate(Fdo);
        XenActiveDeviceRelease();
    }

    IoDetachDevice(Fdo->LowerDeviceObject);
    IoDeleteDevice(Fdo->Device.DeviceObject);
}

NTSTATUS FdoDispatchOther(_In_ PXENBUS_FDO Fdo, _In_ PIRP Irp)
{
    return DevicePass(&Fdo->Device, Fdo->LowerDeviceObject, Irp);
}
