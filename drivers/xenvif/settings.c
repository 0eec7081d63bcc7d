#include "settings.h"
#include "driver.h"
#include "log.h"
#include "netio.h"
#include "pool.h"
#include "registry.h"
#include "text.h"

#define SETTINGS_TAG POOL_TAG('V', 's', 'e', 't')

#define SETTINGS_PATH_SIZE 160

/* A value can grow between asking for its size and reading it; after so many times it is an error. */
#define SETTINGS_ATTEMPTS 4

/* For how many addresses settings are kept: a toolstack that gives a VIF ever new ones is not to fill the registry. */
#define SETTINGS_MAXIMUM 64

/* Where the settings of an adapter are, below which its name is; and the name that they are kept under. */
static const struct {
    PCWSTR Kept;
    PCWSTR Path;
} SettingsPlaces[] = {
    {L"Tcpip", REGISTRY_SERVICES L"Tcpip\\Parameters\\Interfaces\\"},
    {L"Tcpip6", REGISTRY_SERVICES L"Tcpip6\\Parameters\\Interfaces\\"},
    {L"NetBT", REGISTRY_SERVICES L"NetBT\\Parameters\\Interfaces\\Tcpip_"},
};

/* The types that Windows documents. Values of other names are taken as they are. */
static const struct {
    PCWSTR Name;
    ULONG Type;
} SettingsTypes[] = {
    {L"EnableDHCP", REG_DWORD},
    {L"IPAddress", REG_MULTI_SZ},
    {L"SubnetMask", REG_MULTI_SZ},
    {L"DefaultGateway", REG_MULTI_SZ},
    {L"DefaultGatewayMetric", REG_MULTI_SZ},
    {L"InterfaceMetric", REG_DWORD},
    {L"NameServer", REG_SZ},
    {L"Domain", REG_SZ},
    {L"RegistrationEnabled", REG_DWORD},
    {L"RegisterAdapterName", REG_DWORD},
    {L"MTU", REG_DWORD},
    {L"NameServerList", REG_MULTI_SZ},
    {L"NetbiosOptions", REG_DWORD},
};

/* ---- keys ---- */

static VOID SettingsAppend(_Inout_updates_z_(Size) PWSTR Buffer, _In_ ULONG Size, _In_z_ PCWSTR Text)
{
    ULONG Index = 0;

    while (Buffer[Index] != L'\0')
        Index++;
    while (*Text != L'\0' && Index + 1 < Size)
        Buffer[Index++] = *Text++;
    Buffer[Index] = L'\0';
}

/* The key of an adapter's settings in one place; made if Make. */
static PAGED_FUNCTION NTSTATUS SettingsOpenPlace(_In_ ULONG Place, _In_z_ PCWSTR Adapter, _In_ BOOLEAN Make,
                                                 _Out_ PHANDLE Key)
{
    WCHAR Path[SETTINGS_PATH_SIZE] = {0};

    PAGED_CODE();

    SettingsAppend(Path, SETTINGS_PATH_SIZE, SettingsPlaces[Place].Path);
    SettingsAppend(Path, SETTINGS_PATH_SIZE, Adapter);

    return Make ? RegistryCreateKey(NULL, Path, KEY_READ | KEY_WRITE, Key) : RegistryOpenKey(NULL, Path, KEY_READ, Key);
}

/* Whether settings are kept for as many addresses as they may be. */
static PAGED_FUNCTION BOOLEAN SettingsAreFull(VOID)
{
    KEY_FULL_INFORMATION Information;
    NTSTATUS Status;
    ULONG Needed;
    HANDLE Key;

    PAGED_CODE();

    if (!NT_SUCCESS(DriverOpenParametersKey(L"Settings", FALSE, &Key)))
        return FALSE;

    /* The name of its class may not fit. */
    Status = ZwQueryKey(Key, KeyFullInformation, &Information, sizeof(Information), &Needed);
    RegistryCloseKey(Key);

    return (NT_SUCCESS(Status) || Status == STATUS_BUFFER_OVERFLOW) && Information.SubKeys >= SETTINGS_MAXIMUM;
}

/* The key of what is kept for a MAC address, below the service's parameters; made if Make. */
static PAGED_FUNCTION NTSTATUS SettingsOpenKept(_In_ const ETHERNET_ADDRESS *Mac, _In_ BOOLEAN Make, _Out_ PHANDLE Key)
{
    static const WCHAR Digits[] = L"0123456789ABCDEF";
    WCHAR Name[] = L"Settings\\000000000000";
    PWSTR Digit = &Name[RTL_NUMBER_OF(Name) - 1 - 2 * ETHERNET_ADDRESS_LENGTH];
    NTSTATUS Status;
    ULONG Index;

    PAGED_CODE();

    for (Index = 0; Index < ETHERNET_ADDRESS_LENGTH; Index++) {
        *Digit++ = Digits[Mac->Byte[Index] >> 4];
        *Digit++ = Digits[Mac->Byte[Index] & 0xF];
    }

    Status = DriverOpenParametersKey(Name, FALSE, Key);
    if (!Make || Status != STATUS_OBJECT_NAME_NOT_FOUND)
        return Status;

    return SettingsAreFull() ? STATUS_QUOTA_EXCEEDED : DriverOpenParametersKey(Name, TRUE, Key);
}

/* The same, made if need be; why it cannot is told. */
static PAGED_FUNCTION NTSTATUS SettingsMakeKept(_In_ ULONG Number, _In_ const ETHERNET_ADDRESS *Mac, _Out_ PHANDLE Key)
{
    static LONG Told;
    NTSTATUS Status;

    PAGED_CODE();

    Status = SettingsOpenKept(Mac, TRUE, Key);
    if (NT_SUCCESS(Status))
        return Status;

    if (Status != STATUS_QUOTA_EXCEEDED)
        Error("vif %u: settings cannot be kept (%08x)", Number, Status);
    else if (InterlockedExchange(&Told, TRUE) == FALSE)
        Warning("vif %u: settings are kept for %u addresses already, and for no more", Number, SETTINGS_MAXIMUM);

    return Status;
}

/* ---- values ---- */

/* Whether data is what its type says. */
static BOOLEAN SettingsIsWellFormed(_In_ ULONG Type, _In_reads_bytes_(Size) const UCHAR *Data, _In_ ULONG Size)
{
    WCHAR Last;

    switch (Type) {
    case REG_DWORD:
        return Size == sizeof(ULONG);
    case REG_SZ:
    case REG_EXPAND_SZ:
    case REG_MULTI_SZ:
        if (Size < sizeof(WCHAR) || Size % sizeof(WCHAR) != 0)
            return FALSE;
        RtlCopyMemory(&Last, Data + Size - sizeof(WCHAR), sizeof(WCHAR));
        return Last == L'\0';
    default:
        return TRUE;
    }
}

static BOOLEAN SettingsIsRight(_In_ PCUNICODE_STRING Name, _In_ ULONG Type, _In_reads_bytes_(Size) const UCHAR *Data,
                               _In_ ULONG Size)
{
    ULONG Index;

    for (Index = 0; Index < RTL_NUMBER_OF(SettingsTypes); Index++) {
        UNICODE_STRING Known;

        RtlInitUnicodeString(&Known, SettingsTypes[Index].Name);
        if (RtlEqualUnicodeString(Name, &Known, TRUE) && Type != SettingsTypes[Index].Type)
            return FALSE;
    }

    return SettingsIsWellFormed(Type, Data, Size);
}

static VOID SettingsRefuse(_In_ ULONG Number, _In_ PCUNICODE_STRING Name, _In_ ULONG Type, _In_ ULONG Size)
{
    CHAR Text[64];

    (VOID) TextPrint(Text, sizeof(Text), "%wZ", Name);
    Error("vif %u: %s of type %u with %u bytes is not as Windows has it, and is not carried over", Number, Text, Type,
          Size);
}

/* The value of a number, with name and data; STATUS_NO_MORE_ENTRIES at the end. Freed by PoolFree. */
static PAGED_FUNCTION NTSTATUS SettingsEnumerate(_In_ HANDLE Key, _In_ ULONG Index,
                                                 _Outptr_ PKEY_VALUE_FULL_INFORMATION *Value)
{
    ULONG Size = 256;
    ULONG Attempt;
    NTSTATUS Status = STATUS_UNSUCCESSFUL;

    PAGED_CODE();

    for (Attempt = 0; Attempt < SETTINGS_ATTEMPTS; Attempt++) {
        PKEY_VALUE_FULL_INFORMATION Buffer = PoolAllocate(Size, SETTINGS_TAG);
        ULONG Needed = 0;

        if (Buffer == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;

        Status = ZwEnumerateValueKey(Key, Index, KeyValueFullInformation, Buffer, Size, &Needed);
        if (NT_SUCCESS(Status)) {
            *Value = Buffer;
            return STATUS_SUCCESS;
        }

        PoolFree(Buffer, SETTINGS_TAG);

        if (Status != STATUS_BUFFER_OVERFLOW && Status != STATUS_BUFFER_TOO_SMALL)
            break;

        Size = Needed;
    }

    return Status;
}

static VOID SettingsName(_In_ PKEY_VALUE_FULL_INFORMATION Value, _Out_ PUNICODE_STRING Name)
{
    Name->Buffer = Value->Name;
    Name->Length = (USHORT)Value->NameLength;
    Name->MaximumLength = (USHORT)Value->NameLength;
}

/* Copies all values. One that is not what it should be is left out, and what the target has of it stays. */
static PAGED_FUNCTION NTSTATUS SettingsCopyValues(_In_ ULONG Number, _In_ HANDLE From, _In_ HANDLE To)
{
    PKEY_VALUE_FULL_INFORMATION Value;
    NTSTATUS Status;
    ULONG Index;

    PAGED_CODE();

    for (Index = 0; NT_SUCCESS(Status = SettingsEnumerate(From, Index, &Value)); Index++) {
        PUCHAR Data = (PUCHAR)Value + Value->DataOffset;
        UNICODE_STRING Name;

        SettingsName(Value, &Name);

        if (SettingsIsRight(&Name, Value->Type, Data, Value->DataLength))
            Status = ZwSetValueKey(To, &Name, 0, Value->Type, Data, Value->DataLength);
        else
            SettingsRefuse(Number, &Name, Value->Type, Value->DataLength);

        PoolFree(Value, SETTINGS_TAG);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    return (Status == STATUS_NO_MORE_ENTRIES) ? STATUS_SUCCESS : Status;
}

/* Deletes what the one key has and the other has not. */
static PAGED_FUNCTION NTSTATUS SettingsPrune(_In_ HANDLE Of, _In_ HANDLE By)
{
    PKEY_VALUE_FULL_INFORMATION Value;
    ULONG Index = 0;
    NTSTATUS Status;

    PAGED_CODE();

    while (NT_SUCCESS(Status = SettingsEnumerate(Of, Index, &Value))) {
        UNICODE_STRING Name;
        ULONG Needed;

        SettingsName(Value, &Name);

        /* One that cannot be asked for may be there. */
        if (ZwQueryValueKey(By, &Name, KeyValuePartialInformation, NULL, 0, &Needed) == STATUS_OBJECT_NAME_NOT_FOUND)
            Status = ZwDeleteValueKey(Of, &Name);
        else
            Index++;

        PoolFree(Value, SETTINGS_TAG);
        if (!NT_SUCCESS(Status))
            return Status;
    }

    return (Status == STATUS_NO_MORE_ENTRIES) ? STATUS_SUCCESS : Status;
}

/* ---- settings as a whole ---- */

/* Has what is kept be what an adapter has. */
static PAGED_FUNCTION NTSTATUS SettingsSave(_In_ ULONG Number, _In_ HANDLE Kept, _In_z_ PCWSTR Adapter)
{
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Place;

    PAGED_CODE();

    for (Place = 0; NT_SUCCESS(Status) && Place < RTL_NUMBER_OF(SettingsPlaces); Place++) {
        HANDLE From;
        HANDLE To;

        /* An adapter that has none leaves those that there are. */
        if (!NT_SUCCESS(SettingsOpenPlace(Place, Adapter, FALSE, &From)))
            continue;

        Status = RegistryCreateKey(Kept, SettingsPlaces[Place].Kept, KEY_READ | KEY_WRITE, &To);
        if (NT_SUCCESS(Status)) {
            Status = SettingsCopyValues(Number, From, To);
            if (NT_SUCCESS(Status))
                Status = SettingsPrune(To, From);
            RegistryCloseKey(To);
        }
        RegistryCloseKey(From);
    }

    if (!NT_SUCCESS(Status))
        Error("vif %u: settings cannot be kept (%08x)", Number, Status);

    return Status;
}

/* Gives an adapter all that is kept. */
static PAGED_FUNCTION NTSTATUS SettingsRestore(_In_ ULONG Number, _In_ HANDLE Kept, _In_z_ PCWSTR Adapter)
{
    NTSTATUS Status = STATUS_SUCCESS;
    ULONG Place;

    PAGED_CODE();

    for (Place = 0; NT_SUCCESS(Status) && Place < RTL_NUMBER_OF(SettingsPlaces); Place++) {
        HANDLE From;
        HANDLE To;

        if (!NT_SUCCESS(RegistryOpenKey(Kept, SettingsPlaces[Place].Kept, KEY_READ, &From)))
            continue;

        Status = SettingsOpenPlace(Place, Adapter, TRUE, &To);
        if (NT_SUCCESS(Status)) {
            Status = SettingsCopyValues(Number, From, To);
            RegistryCloseKey(To);
        }
        RegistryCloseKey(From);
    }

    if (!NT_SUCCESS(Status))
        Error("vif %u: the adapter cannot be given its settings (%08x)", Number, Status);

    return Status;
}

/* Whether a value beside what is kept names the adapter. */
static PAGED_FUNCTION BOOLEAN SettingsIsNamed(_In_ HANDLE Kept, _In_z_ PCWSTR Value, _In_z_ PCWSTR Adapter)
{
    BOOLEAN Named;
    ULONG Index;
    PSTR Text;

    PAGED_CODE();

    if (!NT_SUCCESS(RegistryQueryString(Kept, Value, &Text)))
        return FALSE;

    /* Both are names that the class installer made: ASCII, of one length. */
    for (Index = 0; Adapter[Index] != L'\0' && (WCHAR)(UCHAR)Text[Index] == Adapter[Index]; Index++)
        ;
    Named = Adapter[Index] == L'\0' && Text[Index] == '\0';
    RegistryFree(Text);

    return Named;
}

/* Whether the adapter is the one that has had what is kept, or that it was taken of. */
static PAGED_FUNCTION BOOLEAN SettingsIsOwner(_In_ HANDLE Kept, _In_z_ PCWSTR Adapter)
{
    PAGED_CODE();

    return SettingsIsNamed(Kept, L"Adapter", Adapter);
}

static PAGED_FUNCTION NTSTATUS SettingsNote(_In_ ULONG Number, _In_ HANDLE Kept, _In_z_ PCWSTR Value,
                                            _In_z_ PCWSTR Adapter)
{
    UNICODE_STRING Name;
    NTSTATUS Status;

    PAGED_CODE();

    RtlInitUnicodeString(&Name, Value);

    Status = ZwSetValueKey(Kept, &Name, 0, REG_SZ, (PVOID)Adapter, SETTINGS_ADAPTER_SIZE * sizeof(WCHAR));
    if (!NT_SUCCESS(Status))
        Error("vif %u: it cannot be noted which adapter has its settings (%08x)", Number, Status);

    return Status;
}

/* The adapter has all of what is kept. A giving that was begun has ended: until then it would be begun anew. */
static PAGED_FUNCTION NTSTATUS SettingsSetOwner(_In_ ULONG Number, _In_ HANDLE Kept, _In_z_ PCWSTR Adapter)
{
    NTSTATUS Status;

    PAGED_CODE();

    Status = SettingsNote(Number, Kept, L"Adapter", Adapter);
    if (NT_SUCCESS(Status))
        (VOID) RegistryDeleteValue(Kept, L"Giving");

    return Status;
}

/* Whether somebody has given the adapter addresses. */
static PAGED_FUNCTION BOOLEAN SettingsHasAddresses(_In_z_ PCWSTR Adapter)
{
    BOOLEAN Has = FALSE;
    ULONG Dhcp = 0;
    HANDLE Key;
    PSTR List;

    PAGED_CODE();

    if (!NT_SUCCESS(SettingsOpenPlace(0, Adapter, FALSE, &Key)))
        return FALSE;

    (VOID) RegistryQueryDword(Key, L"EnableDHCP", &Dhcp);
    if (Dhcp == 0 && NT_SUCCESS(RegistryQueryMultiString(Key, L"IPAddress", &List))) {
        Has = List[0] != '\0';
        RegistryFree(List);
    }
    RegistryCloseKey(Key);

    return Has;
}

/* Whether what is kept is to be given to the adapter: it has none of it, or was given a part. */
static PAGED_FUNCTION BOOLEAN SettingsAreDue(_In_ HANDLE Kept, _In_z_ PCWSTR Adapter)
{
    PAGED_CODE();

    return !SettingsIsOwner(Kept, Adapter) &&
           (SettingsIsNamed(Kept, L"Giving", Adapter) || !SettingsHasAddresses(Adapter));
}

/* Whether there is anything to keep. */
static PAGED_FUNCTION BOOLEAN SettingsHasAny(_In_z_ PCWSTR Adapter)
{
    ULONG Place;
    HANDLE Key;

    PAGED_CODE();

    for (Place = 0; Place < RTL_NUMBER_OF(SettingsPlaces); Place++)
        if (NT_SUCCESS(SettingsOpenPlace(Place, Adapter, FALSE, &Key))) {
            RegistryCloseKey(Key);
            return TRUE;
        }

    return FALSE;
}

/* The name of the twin: another adapter that is started and came with the MAC address; FALSE: there is none. */
static PAGED_FUNCTION BOOLEAN SettingsFindAlias(_In_ ULONG Number, _In_ const ETHERNET_ADDRESS *Mac,
                                                _In_z_ PCWSTR Adapter, _Out_writes_(SETTINGS_ADAPTER_SIZE) PWSTR Alias)
{
    BOOLEAN Found = FALSE;
    UNICODE_STRING Own;
    PMIB_IF_TABLE2 Table;
    NTSTATUS Status;
    ULONG Index;

    PAGED_CODE();

    Status = GetIfTable2(&Table);
    if (!NT_SUCCESS(Status)) {
        Warning("vif %u: the table of interfaces cannot be read (%08x)", Number, Status);
        return FALSE;
    }

    RtlInitUnicodeString(&Own, Adapter);

    for (Index = 0; !Found && Index < Table->NumEntries; Index++) {
        const MIB_IF_ROW2 *Row = &Table->Table[Index];
        UNICODE_STRING Name;

        if (!Row->InterfaceAndOperStatusFlags.HardwareInterface ||
            Row->PhysicalAddressLength != ETHERNET_ADDRESS_LENGTH ||
            !RtlEqualMemory(Row->PermanentPhysicalAddress, Mac->Byte, ETHERNET_ADDRESS_LENGTH))
            continue;

        if (!NT_SUCCESS(RtlStringFromGUID(&Row->InterfaceGuid, &Name)))
            continue;

        if (Name.Length == (SETTINGS_ADAPTER_SIZE - 1) * sizeof(WCHAR) && !RtlEqualUnicodeString(&Name, &Own, TRUE)) {
            RtlCopyMemory(Alias, Name.Buffer, Name.Length);
            Alias[SETTINGS_ADAPTER_SIZE - 1] = L'\0';
            Found = TRUE;
        }
        RtlFreeUnicodeString(&Name);
    }

    FreeMibTable(Table);

    return Found;
}

/* ---- what the device does ---- */

PAGED_FUNCTION VOID SettingsKeep(_In_ ULONG Number, _In_ const ETHERNET_ADDRESS *Mac, _In_z_ PCWSTR Adapter)
{
    WCHAR Alias[SETTINGS_ADAPTER_SIZE];
    HANDLE Kept;

    PAGED_CODE();

    if (!SettingsFindAlias(Number, Mac, Adapter, Alias) || !SettingsHasAny(Alias) ||
        !NT_SUCCESS(SettingsMakeKept(Number, Mac, &Kept)))
        return;

    if (!SettingsIsOwner(Kept, Adapter) && NT_SUCCESS(SettingsSave(Number, Kept, Alias)))
        Info("vif %u: the settings of its twin are kept", Number);

    RegistryCloseKey(Kept);
}

PAGED_FUNCTION VOID SettingsGive(_In_ ULONG Number, _In_ const ETHERNET_ADDRESS *Mac, _In_z_ PCWSTR Adapter)
{
    HANDLE Kept;

    PAGED_CODE();

    if (!NT_SUCCESS(SettingsOpenKept(Mac, FALSE, &Kept)))
        return;

    if (SettingsAreDue(Kept, Adapter) && NT_SUCCESS(SettingsNote(Number, Kept, L"Giving", Adapter)) &&
        NT_SUCCESS(SettingsRestore(Number, Kept, Adapter)) && NT_SUCCESS(SettingsSetOwner(Number, Kept, Adapter)))
        Info("vif %u: it has the settings of the adapter whose place it takes", Number);

    RegistryCloseKey(Kept);
}

PAGED_FUNCTION VOID SettingsTake(_In_ ULONG Number, _In_ const ETHERNET_ADDRESS *Mac, _In_z_ PCWSTR Adapter)
{
    BOOLEAN Waiting = FALSE;
    HANDLE Kept;

    PAGED_CODE();

    if (!SettingsHasAny(Adapter))
        return;

    /* What is there for us to be given must not be lost. */
    if (NT_SUCCESS(SettingsOpenKept(Mac, FALSE, &Kept))) {
        Waiting = SettingsAreDue(Kept, Adapter);
        RegistryCloseKey(Kept);
    }
    if (Waiting)
        return;

    if (!NT_SUCCESS(SettingsMakeKept(Number, Mac, &Kept)))
        return;

    if (NT_SUCCESS(SettingsSave(Number, Kept, Adapter)))
        (VOID) SettingsSetOwner(Number, Kept, Adapter);

    RegistryCloseKey(Kept);
}
