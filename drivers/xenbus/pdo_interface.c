#include "pdo.h"

#include "emulated_interface.h"
#include "interface.h"
#include "log.h"

#include <wdmguid.h>

typedef struct _PDO_INTERFACE {
    const GUID *Guid;
    const CHAR *Name;
    PDO_INTERFACE_INDEX Index;
    INTERFACE_GET GetInterface;
    SIZE_T Provider; /* where in XENBUS_PROVIDERS the provider's context is */
} PDO_INTERFACE;

#define PDO_INTERFACE_ENTRY(_Name, _Provider)                                                                          \
    {                                                                                                                  \
        &GUID_XENBUS_##_Name##_INTERFACE, #_Name, PDO_##_Name, _Provider##GetInterface,                                \
            FIELD_OFFSET(XENBUS_PROVIDERS, _Provider)                                                                  \
    }

static const PDO_INTERFACE PdoInterfaces[] = {
    PDO_INTERFACE_ENTRY(SUSPEND, Suspend), PDO_INTERFACE_ENTRY(SHARED_INFO, SharedInfo),
    PDO_INTERFACE_ENTRY(EVTCHN, Evtchn),   PDO_INTERFACE_ENTRY(DEBUG, Debug),
    PDO_INTERFACE_ENTRY(STORE, Store),     PDO_INTERFACE_ENTRY(RANGE_SET, RangeSet),
    PDO_INTERFACE_ENTRY(CACHE, Cache),     PDO_INTERFACE_ENTRY(GNTTAB, Gnttab),
    PDO_INTERFACE_ENTRY(UNPLUG, Unplug),   PDO_INTERFACE_ENTRY(CONSOLE, Console),
};

PAGED_FUNCTION BOOLEAN PdoQueryInterface(_In_ PXENBUS_PDO Pdo, _In_ PIO_STACK_LOCATION Location, _Out_ NTSTATUS *Status)
{
    const GUID *Guid = Location->Parameters.QueryInterface.InterfaceType;
    ULONG Version = Location->Parameters.QueryInterface.Version;
    ULONG Index;

    PAGED_CODE();

    *Status = STATUS_NOT_SUPPORTED;

    /* Whoever filters the emulated devices is below the bus, in the stack of the platform device. */
    if (IsEqualGUID(Guid, &GUID_XENFILT_EMULATED_INTERFACE)) {
        if (!PdoOffers(PDO_EMULATED, Version))
            return TRUE;

        *Status = DeviceSendPnp(Pdo->Fdo->LowerDeviceObject, Location, NULL);
        return *Status != STATUS_NOT_SUPPORTED;
    }

    if (IsEqualGUID(Guid, &GUID_BUS_INTERFACE_STANDARD)) {
        *Status = PdoQueryBusInterface(Pdo, Location);
        return *Status != STATUS_NOT_SUPPORTED;
    }

    for (Index = 0; Index < RTL_NUMBER_OF(PdoInterfaces); Index++) {
        const PDO_INTERFACE *Entry = &PdoInterfaces[Index];
        PVOID Context = *(PVOID *)((PUCHAR)&Pdo->Fdo->Providers + Entry->Provider);

        if (!IsEqualGUID(Guid, Entry->Guid))
            continue;

        if (PdoOffers(Entry->Index, Version))
            *Status = Entry->GetInterface(Context, Version, Location->Parameters.QueryInterface.Interface,
                                          Location->Parameters.QueryInterface.Size);
        if (!NT_SUCCESS(*Status))
            Warning("%s: %s version %u (%08x)", Pdo->Class, Entry->Name, Version, *Status);

        return TRUE;
    }

    return FALSE;
}
