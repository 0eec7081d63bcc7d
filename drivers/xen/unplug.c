/*
 * Unplugging of emulated devices, so that a disk or a network card is not there twice.
 *
 * Requests are counts in the registry (Unplug\NICS, Unplug\DISKS below the service key) that clients leave for the next
 * boot. A boot takes each count and deletes it at once, before any emulated device is enumerated: a client that fails
 * to start does not ask again, and the machine then boots from what is emulated. An administrator may decide instead:
 * the start option XEN:BOOT_EMULATED=TRUE keeps everything, ForceUnplug under the service key unplugs everything.
 *
 * The emulator's side is at fixed I/O ports: Xen's docs/misc/hvm-emulated-unplug.
 */
#include "driver.h"
#include "log.h"
#include "registry.h"
#include "text.h"
#include "version.h"

#define UNPLUG_PORT_MAGIC ((PUSHORT)(ULONG_PTR)0x10)   /* read */
#define UNPLUG_PORT_BUILD ((PULONG)(ULONG_PTR)0x10)    /* write, 32 bits */
#define UNPLUG_PORT_DEVICES ((PUSHORT)(ULONG_PTR)0x10) /* write, 16 bits */
#define UNPLUG_PORT_VERSION ((PUCHAR)(ULONG_PTR)0x12)  /* read */
#define UNPLUG_PORT_PRODUCT ((PUSHORT)(ULONG_PTR)0x12) /* write */

#define UNPLUG_MAGIC 0x49D2

#define UNPLUG_IDE_AND_SCSI_DISKS 0x0001
#define UNPLUG_ALL_NICS 0x0002
#define UNPLUG_NVME_DISKS 0x0008

/* A type of device: the registry value that counts requests, what the log calls it, and the devices it stands for. */
typedef struct _UNPLUG_KIND {
    PCWSTR Value;
    PCSTR Text;
    USHORT Devices;
} UNPLUG_KIND;

static const UNPLUG_KIND UnplugKind[XEN_UNPLUG_TYPE_COUNT] = {
    [XEN_UNPLUG_NICS] = {L"NICS", "NICs", UNPLUG_ALL_NICS},
    [XEN_UNPLUG_DISKS] = {L"DISKS", "disks", UNPLUG_IDE_AND_SCSI_DISKS | UNPLUG_NVME_DISKS},
};

static const PCWSTR UnplugKey = L"Unplug";

/* Announces the drivers and unplugs Devices. Nothing is unplugged on failure. */
static NTSTATUS UnplugNow(_In_ USHORT Devices)
{
    USHORT Magic;
    UCHAR Version;

    Magic = READ_PORT_USHORT(UNPLUG_PORT_MAGIC);
    if (Magic != UNPLUG_MAGIC) {
        Warning("no unplug protocol: port 0x10 answers %04x", Magic);
        return STATUS_NOT_SUPPORTED;
    }

    Version = READ_PORT_UCHAR(UNPLUG_PORT_VERSION);
    if (Version >= 1) {
        WRITE_PORT_USHORT(UNPLUG_PORT_PRODUCT, PRODUCT_NUMBER);
        WRITE_PORT_ULONG(UNPLUG_PORT_BUILD, BUILD_NUMBER);

        Magic = READ_PORT_USHORT(UNPLUG_PORT_MAGIC);
        if (Magic != UNPLUG_MAGIC) {
            Warning("unplug refused: product %04x build %u is blacklisted on this host", PRODUCT_NUMBER, BUILD_NUMBER);
            return STATUS_ACCESS_DENIED;
        }
    }

    WRITE_PORT_USHORT(UNPLUG_PORT_DEVICES, Devices);
    Info("unplugged %04x (protocol version %u)", Devices, Version);

    return STATUS_SUCCESS;
}

/* Reads a count and deletes it; TRUE if there were requests. */
PAGED_FUNCTION static BOOLEAN TakeRequests(_In_ HANDLE Key, _In_ const UNPLUG_KIND *Kind)
{
    ULONG Count;
    NTSTATUS Status;

    Status = RegistryQueryDword(Key, Kind->Value, &Count);
    if (!NT_SUCCESS(Status)) {
        if (Status == STATUS_OBJECT_NAME_NOT_FOUND)
            return FALSE;

        Warning("the count for %s is not readable (%08x)", Kind->Text, Status);
        Count = 0;
    }

    Status = RegistryDeleteValue(Key, Kind->Value);
    if (!NT_SUCCESS(Status))
        Warning("the count for %s was not deleted (%08x)", Kind->Text, Status);

    return Count != 0;
}

PAGED_FUNCTION static XEN_UNPLUG_POLICY ReadPolicy(_In_ HANDLE Service)
{
    CHAR Value[8];
    ULONG Force;

    if (NT_SUCCESS(XenQueryStartOption("BOOT_EMULATED", Value, sizeof(Value))) && TextEqual(Value, "TRUE", TRUE))
        return XEN_UNPLUG_NEVER;

    if (NT_SUCCESS(RegistryQueryDword(Service, L"ForceUnplug", &Force)) && Force != 0)
        return XEN_UNPLUG_ALWAYS;

    return XEN_UNPLUG_ON_REQUEST;
}

/* Takes the requests that there are, whatever is made of them. */
PAGED_FUNCTION static VOID TakeAllRequests(_Inout_ PXEN_UNPLUG Unplug, _In_ HANDLE Service)
{
    HANDLE Key;
    ULONG Type;

    if (!NT_SUCCESS(RegistryOpenKey(Service, UnplugKey, KEY_READ | KEY_WRITE, &Key)))
        return;

    for (Type = 0; Type < XEN_UNPLUG_TYPE_COUNT; Type++)
        Unplug->Requested[Type] = TakeRequests(Key, &UnplugKind[Type]);

    RegistryCloseKey(Key);
}

PAGED_FUNCTION VOID UnplugInitialize(_Out_ PXEN_UNPLUG Unplug, _In_ HANDLE Service)
{
    USHORT Devices = 0;
    ULONG Type;

    PAGED_CODE();

    RtlZeroMemory(Unplug, sizeof(XEN_UNPLUG));
    Unplug->Policy = ReadPolicy(Service);
    TakeAllRequests(Unplug, Service);

    for (Type = 0; Type < XEN_UNPLUG_TYPE_COUNT; Type++) {
        if (Unplug->Policy == XEN_UNPLUG_ALWAYS)
            Unplug->Requested[Type] = TRUE;
        if (Unplug->Requested[Type])
            Devices |= UnplugKind[Type].Devices;
    }

    if (Devices == 0)
        return;

    if (Unplug->Policy == XEN_UNPLUG_NEVER) {
        Warning("emulated devices stay: started with XEN:BOOT_EMULATED=TRUE");
        return;
    }

    if (!NT_SUCCESS(UnplugNow(Devices)))
        return;

    for (Type = 0; Type < XEN_UNPLUG_TYPE_COUNT; Type++)
        Unplug->Done[Type] = Unplug->Requested[Type];
}

XEN_UNPLUG_POLICY NTAPI XenUnplugQueryPolicy(VOID)
{
    return XenGetContext()->Unplug.Policy;
}

BOOLEAN NTAPI XenUnplugIsRequested(_In_ XEN_UNPLUG_TYPE Type)
{
    return XenGetContext()->Unplug.Requested[Type];
}

BOOLEAN NTAPI XenUnplugIsDone(_In_ XEN_UNPLUG_TYPE Type)
{
    return XenGetContext()->Unplug.Done[Type];
}

NTSTATUS NTAPI XenUnplugRepeat(VOID)
{
    PXEN_UNPLUG Unplug = &XenGetContext()->Unplug;
    USHORT Devices = 0;
    ULONG Type;

    for (Type = 0; Type < XEN_UNPLUG_TYPE_COUNT; Type++)
        if (Unplug->Done[Type])
            Devices |= UnplugKind[Type].Devices;

    return (Devices != 0) ? UnplugNow(Devices) : STATUS_SUCCESS;
}

/* Adds one to a count, or takes one from it; a count of none is no value. Called with the configuration held. */
PAGED_FUNCTION static NTSTATUS ChangeCount(_In_ HANDLE Key, _In_ PCWSTR Name, _In_ BOOLEAN Make)
{
    ULONG Count;
    NTSTATUS Status;

    Status = RegistryQueryDword(Key, Name, &Count);
    if (Status == STATUS_OBJECT_NAME_NOT_FOUND || Status == STATUS_OBJECT_TYPE_MISMATCH)
        Count = 0;
    else if (!NT_SUCCESS(Status))
        return Status;

    if (Make)
        return RegistryStoreDword(Key, Name, (Count != MAXULONG) ? Count + 1 : Count);

    if (Count > 1)
        return RegistryStoreDword(Key, Name, Count - 1);

    Status = RegistryDeleteValue(Key, Name);

    return (Status == STATUS_OBJECT_NAME_NOT_FOUND) ? STATUS_SUCCESS : Status;
}

PAGED_FUNCTION NTSTATUS NTAPI XenUnplugRequest(_In_ XEN_UNPLUG_TYPE Type, _In_ BOOLEAN Make)
{
    HANDLE Service;
    HANDLE Key;
    NTSTATUS Status;

    PAGED_CODE();

    ConfigurationAcquire();

    Status = RegistryOpenPath(&XenGetContext()->RegistryPath, KEY_READ | KEY_WRITE, &Service);
    if (!NT_SUCCESS(Status))
        goto fail1;

    Status = RegistryCreateKey(Service, UnplugKey, KEY_READ | KEY_WRITE, &Key);
    if (!NT_SUCCESS(Status))
        goto fail2;

    Status = ChangeCount(Key, UnplugKind[Type].Value, Make);
    if (!NT_SUCCESS(Status))
        goto fail3;

    RegistryCloseKey(Key);
    RegistryCloseKey(Service);
    ConfigurationRelease();

    return STATUS_SUCCESS;

fail3:
    Error("fail3");
    RegistryCloseKey(Key);

fail2:
    Error("fail2");
    RegistryCloseKey(Service);

fail1:
    Error("fail1 (%08x)", Status);
    ConfigurationRelease();

    return Status;
}
