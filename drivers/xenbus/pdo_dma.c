/*
 * BUS_INTERFACE_STANDARD of a child, by which IoGetDmaAdapter finds the child's DMA adapter. A child has no hardware
 * and no configuration space: addresses and adapters are those of the platform device, and so are their limits.
 *
 * An adapter is the platform device's own object with a table of operations that is a copy, in which the end is
 * intercepted: until the adapter is put it keeps the child's device object, and with it this driver, where they are. A
 * client puts it before its own removal is done, or before the bus goes at the latest.
 */
#include "pdo.h"

#include "bug.h"
#include "driver.h"
#include "log.h"
#include "pool.h"

#include <wdmguid.h>

#define DMA_TAG POOL_TAG('D', 'M', 'A', ' ')

/* The context of one interface that was given out. */
typedef struct _PDO_BUS {
    PDEVICE_OBJECT Child; /* referenced */
    LONG References;
    BUS_INTERFACE_STANDARD Parent;
} PDO_BUS, *PPDO_BUS;

typedef struct _PDO_ADAPTER {
    PDEVICE_OBJECT Child; /* referenced */
    PDMA_OPERATIONS Original;
    DMA_OPERATIONS Operations; /* last: newer versions of the adapter have more of them than the headers here */
} PDO_ADAPTER, *PPDO_ADAPTER;

/*
 * Gives up a reference to a child's device object. One that comes after the driver's unload, which no client's removal
 * explains, is kept: with the last of them this very code would go.
 */
static VOID DmaLetGo(_In_ PDEVICE_OBJECT Child)
{
    if (DriverGetObject() != NULL)
        ObDereferenceObject(Child);
}

/* ---- adapters ---- */

_Function_class_(PUT_DMA_ADAPTER)
static VOID NTAPI DmaPutAdapter(_Inout_ PDMA_ADAPTER Adapter)
{
    PPDO_ADAPTER Record = CONTAINING_RECORD(Adapter->DmaOperations, PDO_ADAPTER, Operations);
    PDEVICE_OBJECT Child = Record->Child;

    Adapter->DmaOperations = Record->Original;
    Adapter->DmaOperations->PutDmaAdapter(Adapter);

    PoolFree(Record, DMA_TAG);
    DmaLetGo(Child);
}

PAGED_FUNCTION static NTSTATUS DmaIntercept(_In_ PDEVICE_OBJECT Child, _Inout_ PDMA_ADAPTER Adapter)
{
    PDMA_OPERATIONS Original = Adapter->DmaOperations;
    PPDO_ADAPTER Record;

    PAGED_CODE();

    Record = PoolAllocate(FIELD_OFFSET(PDO_ADAPTER, Operations) + max(Original->Size, sizeof(DMA_OPERATIONS)), DMA_TAG);
    if (Record == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    RtlCopyMemory(&Record->Operations, Original, Original->Size);
    Record->Operations.PutDmaAdapter = DmaPutAdapter;
    Record->Original = Original;
    Record->Child = Child;
    ObReferenceObject(Child);

    Adapter->DmaOperations = &Record->Operations;
    return STATUS_SUCCESS;
}

_Function_class_(GET_DMA_ADAPTER)
PAGED_FUNCTION static PDMA_ADAPTER NTAPI DmaGetAdapter(_Inout_opt_ PVOID Context, _In_ PDEVICE_DESCRIPTION Description,
                                                       _Out_ PULONG MapRegisters)
{
    PPDO_BUS Bus = Context;
    PDMA_ADAPTER Adapter;
    NTSTATUS Status;

    PAGED_CODE();

    /* There is no DMA controller that could act for a device without hardware. */
    if (!Description->Master) {
        Warning("a child's driver asks for system DMA");
        return NULL;
    }

    Adapter = Bus->Parent.GetDmaAdapter(Bus->Parent.Context, Description, MapRegisters);
    if (Adapter == NULL)
        return NULL;

    Status = DmaIntercept(Bus->Child, Adapter);
    if (!NT_SUCCESS(Status)) {
        Adapter->DmaOperations->PutDmaAdapter(Adapter);
        return NULL;
    }

    return Adapter;
}

/* ---- the rest of the interface ---- */

_Function_class_(TRANSLATE_BUS_ADDRESS)
static BOOLEAN NTAPI BusTranslateAddress(_Inout_opt_ PVOID Context, _In_ PHYSICAL_ADDRESS BusAddress, _In_ ULONG Length,
                                         _Out_ PULONG AddressSpace, _Out_ PPHYSICAL_ADDRESS TranslatedAddress)
{
    PPDO_BUS Bus = Context;

    return Bus->Parent.TranslateBusAddress(Bus->Parent.Context, BusAddress, Length, AddressSpace, TranslatedAddress);
}

/* The child has no such data: none of it was transferred. */
_Function_class_(GET_SET_DEVICE_DATA)
static ULONG NTAPI BusGetSetData(_Inout_opt_ PVOID Context, _In_ ULONG DataType,
                                 _Inout_updates_bytes_(Length) PVOID Buffer, _In_ ULONG Offset, _In_ ULONG Length)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(DataType);
    UNREFERENCED_PARAMETER(Buffer);
    UNREFERENCED_PARAMETER(Offset);
    UNREFERENCED_PARAMETER(Length);

    return 0;
}

_Function_class_(INTERFACE_REFERENCE)
static VOID NTAPI BusReference(_In_ PVOID Context)
{
    PPDO_BUS Bus = Context;

    (VOID) InterlockedIncrement(&Bus->References);
}

_Function_class_(INTERFACE_DEREFERENCE)
static VOID NTAPI BusDereference(_In_ PVOID Context)
{
    PPDO_BUS Bus = Context;
    PDEVICE_OBJECT Child = Bus->Child;
    LONG References = InterlockedDecrement(&Bus->References);

    ASSERT(References >= 0);
    if (References != 0)
        return;

    Bus->Parent.InterfaceDereference(Bus->Parent.Context);
    PoolFree(Bus, DMA_TAG);
    DmaLetGo(Child);
}

PAGED_FUNCTION static NTSTATUS BusQueryParent(_In_ PXENBUS_PDO Pdo, _Out_ PBUS_INTERFACE_STANDARD Parent)
{
    IO_STACK_LOCATION Location;

    PAGED_CODE();

    RtlZeroMemory(&Location, sizeof(Location));
    RtlZeroMemory(Parent, sizeof(BUS_INTERFACE_STANDARD));

    Location.MinorFunction = IRP_MN_QUERY_INTERFACE;
    Location.Parameters.QueryInterface.InterfaceType = &GUID_BUS_INTERFACE_STANDARD;
    Location.Parameters.QueryInterface.Size = sizeof(BUS_INTERFACE_STANDARD);
    Location.Parameters.QueryInterface.Version = 1;
    Location.Parameters.QueryInterface.Interface = (PINTERFACE)Parent;

    return DeviceSendPnp(Pdo->Fdo->LowerDeviceObject, &Location, NULL);
}

PAGED_FUNCTION NTSTATUS PdoQueryBusInterface(_In_ PXENBUS_PDO Pdo, _In_ PIO_STACK_LOCATION Location)
{
    PBUS_INTERFACE_STANDARD Interface = (PBUS_INTERFACE_STANDARD)Location->Parameters.QueryInterface.Interface;
    PPDO_BUS Bus;
    NTSTATUS Status;

    PAGED_CODE();

    if (Location->Parameters.QueryInterface.Version != 1)
        return STATUS_NOT_SUPPORTED;

    if (Location->Parameters.QueryInterface.Size < sizeof(BUS_INTERFACE_STANDARD))
        return STATUS_BUFFER_TOO_SMALL;

    Bus = PoolAllocate(sizeof(PDO_BUS), DMA_TAG);
    if (Bus == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;

    Status = BusQueryParent(Pdo, &Bus->Parent);
    if (!NT_SUCCESS(Status)) {
        PoolFree(Bus, DMA_TAG);
        return Status;
    }

    Bus->References = 1; /* the caller's */
    Bus->Child = Pdo->Device.DeviceObject;
    ObReferenceObject(Bus->Child);

    Interface->Size = sizeof(BUS_INTERFACE_STANDARD);
    Interface->Version = 1;
    Interface->Context = Bus;
    Interface->InterfaceReference = BusReference;
    Interface->InterfaceDereference = BusDereference;
    Interface->TranslateBusAddress = BusTranslateAddress;
    Interface->GetDmaAdapter = DmaGetAdapter;
    Interface->SetBusData = BusGetSetData;
    Interface->GetBusData = BusGetSetData;

    return STATUS_SUCCESS;
}
