/*
 * IP addresses of the machine's interfaces (netioapi.h). There is no IP stack behind them: addresses are what somebody
 * has set, in the registry before the interface comes up (interface.c) or here. A new address is preferred at once;
 * nobody is there to find a duplicate, unless the harness says that somebody has.
 */
#include <string.h>

#include "nt/netio/netio_internal.h"

#include "nt/ex/ex.h"
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"

#define FOREVER 0xFFFFFFFFu
#define UNSAID 255 /* of OnLinkPrefixLength */

struct address {
    LIST_ENTRY entry; /* in order of creation */
    MIB_UNICASTIPADDRESS_ROW row;
};

/* Callbacks of one registration are serialized, as the page of NotifyUnicastIpAddressChange says. */
struct registration {
    LIST_ENTRY entry;
    ADDRESS_FAMILY family;
    PUNICAST_IPADDRESS_CHANGE_CALLBACK callback;
    PVOID context;
    LIST_ENTRY changes; /* to be told of, oldest first */
    WORK_QUEUE_ITEM item;
    bool working; /* the item is queued, or runs */
    bool cancelled;
    KEVENT idle;                   /* cancelled, and the item does not work any more */
    const struct _KTHREAD *caller; /* thread in the callback */
};

struct change {
    LIST_ENTRY entry;
    MIB_UNICASTIPADDRESS_ROW row;
    MIB_NOTIFICATION_TYPE type;
};

static struct address *add_address(const MIB_UNICASTIPADDRESS_ROW *row)
{
    struct address *address = image_alloc(sizeof(*address));

    address->row = *row;
    address->row.DadState = IpDadStatePreferred;
    address->row.CreationTimeStamp.QuadPart = (LONGLONG)(CLOCK_BOOT_SYSTEM_TIME + clock_now() / 100);
    InsertTailList(&machine->netio->addresses, &address->entry);
    return address;
}

static void initialize_row(PMIB_UNICASTIPADDRESS_ROW row)
{
    memset(row, 0, sizeof(*row));
    row->PrefixOrigin = IpPrefixOriginUnchanged;
    row->SuffixOrigin = IpSuffixOriginUnchanged;
    row->ValidLifetime = FOREVER;
    row->PreferredLifetime = FOREVER;
    row->OnLinkPrefixLength = UNSAID;
}

/* ---- finding ---- */

static bool known_family(ADDRESS_FAMILY family)
{
    return family == AF_UNSPEC || family == AF_INET || family == AF_INET6;
}

static bool same_address(const SOCKADDR_INET *a, const SOCKADDR_INET *b)
{
    if (a->si_family != b->si_family)
        return false;
    if (a->si_family == AF_INET)
        return a->Ipv4.sin_addr.s_addr == b->Ipv4.sin_addr.s_addr;
    return memcmp(&a->Ipv6.sin6_addr, &b->Ipv6.sin6_addr, sizeof(a->Ipv6.sin6_addr)) == 0;
}

/*
 * What the row names: STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND for an interface that is not there; *address NULL if
 * the interface has no such address.
 */
static NTSTATUS find_row(const MIB_UNICASTIPADDRESS_ROW *row, const struct netio_interface **interface,
                         struct address **address)
{
    *address = NULL;
    if (row == NULL || (row->Address.si_family != AF_INET && row->Address.si_family != AF_INET6) ||
        (row->InterfaceLuid.Value == 0 && row->InterfaceIndex == 0))
        return STATUS_INVALID_PARAMETER;
    *interface = netio_interface(row->InterfaceLuid, row->InterfaceIndex);
    if (*interface == NULL)
        return STATUS_NOT_FOUND;
    for (PLIST_ENTRY entry = machine->netio->addresses.Flink; entry != &machine->netio->addresses;
         entry = entry->Flink) {
        struct address *candidate = CONTAINING_RECORD(entry, struct address, entry);

        if (candidate->row.InterfaceIndex == (*interface)->index &&
            same_address(&candidate->row.Address, &row->Address))
            *address = candidate;
    }
    return STATUS_SUCCESS;
}

/* ---- notification ---- */

static VOID NTAPI deliver(PVOID parameter)
{
    struct registration *registration = parameter;

    KERNEL_SCOPE();
    while (!IsListEmpty(&registration->changes)) {
        struct change *change = CONTAINING_RECORD(RemoveHeadList(&registration->changes), struct change, entry);

        if (!registration->cancelled) {
            registration->caller = ke_thread();
            DRIVER_CALLOUT("address change callback", registration->callback, registration->context,
                           change->type != MibInitialNotification ? &change->row : NULL, change->type);
            registration->caller = NULL;
        }
        image_free(change);
    }
    registration->working = false;
    if (registration->cancelled)
        KeSetEvent(&registration->idle, IO_NO_INCREMENT, FALSE);
}

static void notify(struct registration *registration, const MIB_UNICASTIPADDRESS_ROW *row, MIB_NOTIFICATION_TYPE type)
{
    struct change *change = image_alloc(sizeof(*change));

    if (row != NULL)
        change->row = *row;
    change->type = type;
    InsertTailList(&registration->changes, &change->entry);
    if (registration->working)
        return;
    registration->working = true;
    ExQueueWorkItem(&registration->item, DelayedWorkQueue);
}

/* Of the row, callbacks are given the keys alone: the rest may have changed again by then. */
static void notify_all(const MIB_UNICASTIPADDRESS_ROW *row, MIB_NOTIFICATION_TYPE type)
{
    MIB_UNICASTIPADDRESS_ROW keys = {
        .Address = row->Address, .InterfaceLuid = row->InterfaceLuid, .InterfaceIndex = row->InterfaceIndex};

    for (PLIST_ENTRY entry = machine->netio->registrations.Flink; entry != &machine->netio->registrations;
         entry = entry->Flink) {
        struct registration *registration = CONTAINING_RECORD(entry, struct registration, entry);

        if (registration->family == AF_UNSPEC || registration->family == row->Address.si_family)
            notify(registration, &keys, type);
    }
}

NETIO_STATUS NTAPI NotifyUnicastIpAddressChange(ADDRESS_FAMILY Family, PUNICAST_IPADDRESS_CHANGE_CALLBACK Callback,
                                                PVOID CallerContext, BOOLEAN InitialNotification,
                                                HANDLE *NotificationHandle)
{
    struct registration *registration;

    NT_CALL(APC_LEVEL);
    if (NotificationHandle == NULL)
        return STATUS_INVALID_PARAMETER;
    *NotificationHandle = NULL;
    if (!known_family(Family) || Callback == NULL)
        return STATUS_INVALID_PARAMETER;
    if (FAULT(POOL))
        return STATUS_NO_MEMORY;
    registration = image_alloc(sizeof(*registration));
    registration->family = Family;
    registration->callback = Callback;
    registration->context = CallerContext;
    InitializeListHead(&registration->changes);
    ExInitializeWorkItem(&registration->item, deliver, registration);
    KeInitializeEvent(&registration->idle, NotificationEvent, FALSE);
    InsertTailList(&machine->netio->registrations, &registration->entry);
    *NotificationHandle = registration;
    if (InitialNotification)
        notify(registration, NULL, MibInitialNotification);
    return STATUS_SUCCESS;
}

/* Returns when no callback of the registration runs any more; from inside one that would be never. */
NETIO_STATUS NTAPI CancelMibChangeNotify2(HANDLE NotificationHandle)
{
    struct registration *registration = NULL;

    NT_CALL(PASSIVE_LEVEL);
    for (PLIST_ENTRY entry = machine->netio->registrations.Flink; entry != &machine->netio->registrations;
         entry = entry->Flink)
        if (CONTAINING_RECORD(entry, struct registration, entry) == NotificationHandle)
            registration = NotificationHandle;
    if (registration == NULL)
        return STATUS_INVALID_PARAMETER;
    if (registration->caller == ke_thread())
        nt_violation("mib-cancel", "CancelMibChangeNotify2 from the callback that it cancels waits for itself");
    registration->cancelled = true;
    RemoveEntryList(&registration->entry);
    if (registration->working)
        KeWaitForSingleObject(&registration->idle, Executive, KernelMode, FALSE, NULL);
    image_free(registration);
    return STATUS_SUCCESS;
}

const void *netio_callback_in_range(const void *base, size_t size)
{
    for (PLIST_ENTRY entry = machine->netio->registrations.Flink; entry != &machine->netio->registrations;
         entry = entry->Flink) {
        const void *callback = (const void *)(uintptr_t)CONTAINING_RECORD(entry, struct registration, entry)->callback;

        if ((uintptr_t)callback - (uintptr_t)base < size)
            return callback;
    }
    return NULL;
}

/* ---- the table ---- */

NETIO_STATUS NTAPI GetUnicastIpAddressTable(ADDRESS_FAMILY Family, PMIB_UNICASTIPADDRESS_TABLE *Table)
{
    PMIB_UNICASTIPADDRESS_TABLE table;
    PLIST_ENTRY head, entry;
    ULONG count = 0;

    NT_CALL(APC_LEVEL);
    if (!known_family(Family) || Table == NULL)
        return STATUS_INVALID_PARAMETER;
    if (FAULT(POOL))
        return STATUS_NO_MEMORY;
    head = &machine->netio->addresses;
    for (entry = head->Flink; entry != head; entry = entry->Flink)
        count +=
            Family == AF_UNSPEC || CONTAINING_RECORD(entry, struct address, entry)->row.Address.si_family == Family;
    if (count == 0)
        return STATUS_NOT_FOUND;
    table =
        pool_allocate(NonPagedPoolNx, FIELD_OFFSET(MIB_UNICASTIPADDRESS_TABLE, Table) + count * sizeof(*table->Table),
                      NETIO_TAG_TABLE, __builtin_return_address(0));
    if (table == NULL)
        return STATUS_NO_MEMORY;
    table->NumEntries = 0;
    for (entry = head->Flink; entry != head; entry = entry->Flink) {
        const struct address *address = CONTAINING_RECORD(entry, struct address, entry);

        if (Family == AF_UNSPEC || address->row.Address.si_family == Family)
            table->Table[table->NumEntries++] = address->row;
    }
    *Table = table;
    return STATUS_SUCCESS;
}

VOID NTAPI FreeMibTable(PVOID Memory)
{
    NT_CALL(APC_LEVEL);
    if (Memory != NULL)
        ExFreePoolWithTag(Memory, NETIO_TAG_TABLE);
}

NETIO_STATUS NTAPI GetUnicastIpAddressEntry(PMIB_UNICASTIPADDRESS_ROW Row)
{
    struct address *address;
    const struct netio_interface *interface;
    NTSTATUS status;

    NT_CALL(APC_LEVEL);
    status = find_row(Row, &interface, &address);
    if (!NT_SUCCESS(status))
        return status;
    if (address == NULL)
        return STATUS_NOT_FOUND;
    *Row = address->row;
    return STATUS_SUCCESS;
}

VOID NTAPI InitializeUnicastIpAddressEntry(PMIB_UNICASTIPADDRESS_ROW Row)
{
    NT_CALL(APC_LEVEL);
    initialize_row(Row);
}

static UINT8 address_bits(const MIB_UNICASTIPADDRESS_ROW *row)
{
    return row->Address.si_family == AF_INET ? 32 : 128;
}

static UINT8 prefix_of(const MIB_UNICASTIPADDRESS_ROW *row)
{
    return row->OnLinkPrefixLength != UNSAID ? row->OnLinkPrefixLength : address_bits(row);
}

static bool row_is_sound(const MIB_UNICASTIPADDRESS_ROW *row)
{
    return row->PreferredLifetime <= row->ValidLifetime &&
           (row->PrefixOrigin == IpPrefixOriginUnchanged) == (row->SuffixOrigin == IpSuffixOriginUnchanged) &&
           (row->PrefixOrigin == IpPrefixOriginUnchanged || row->PrefixOrigin <= IpPrefixOriginRouterAdvertisement) &&
           (row->SuffixOrigin == IpSuffixOriginUnchanged || row->SuffixOrigin <= IpSuffixOriginRandom) &&
           (row->OnLinkPrefixLength <= address_bits(row) || row->OnLinkPrefixLength == UNSAID);
}

void netio_address_add(const struct netio_interface *interface, const SOCKADDR_INET *address, unsigned prefix,
                       NL_PREFIX_ORIGIN origin)
{
    MIB_UNICASTIPADDRESS_ROW row;

    initialize_row(&row);
    row.Address = *address;
    row.InterfaceIndex = interface->index;
    row.InterfaceLuid = interface->luid;
    row.PrefixOrigin = origin;
    row.SuffixOrigin = (NL_SUFFIX_ORIGIN)origin; /* those that interfaces come with have the same number */
    row.OnLinkPrefixLength = (UINT8)prefix;
    notify_all(&add_address(&row)->row, MibAddInstance);
}

static void discard(struct address *address)
{
    notify_all(&address->row, MibDeleteInstance);
    RemoveEntryList(&address->entry);
    image_free(address);
}

bool netio_address_detected(NET_LUID luid, const SOCKADDR_INET *address, NL_DAD_STATE state)
{
    const MIB_UNICASTIPADDRESS_ROW row = {.InterfaceLuid = luid, .Address = *address};
    const struct netio_interface *interface;
    struct address *found;

    if (!NT_SUCCESS(find_row(&row, &interface, &found)) || found == NULL)
        return false;
    found->row.DadState = state;
    notify_all(&found->row, MibParameterNotification);
    return true;
}

void netio_addresses_go(const struct netio_interface *interface)
{
    PLIST_ENTRY entry = machine->netio->addresses.Flink;

    while (entry != &machine->netio->addresses) {
        struct address *address = CONTAINING_RECORD(entry, struct address, entry);

        entry = entry->Flink;
        if (address->row.InterfaceIndex == interface->index)
            discard(address);
    }
}

NETIO_STATUS NTAPI CreateUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *Row)
{
    MIB_UNICASTIPADDRESS_ROW row;
    struct address *address;
    const struct netio_interface *interface;
    NTSTATUS status;

    NT_CALL(APC_LEVEL);
    status = find_row(Row, &interface, &address);
    if (!NT_SUCCESS(status))
        return status;
    if (!row_is_sound(Row))
        return STATUS_INVALID_PARAMETER;
    if (address != NULL)
        return STATUS_DUPLICATE_OBJECTID;
    if (FAULT(POOL))
        return STATUS_NO_MEMORY;
    row = *Row;
    row.InterfaceIndex = interface->index;
    row.InterfaceLuid = interface->luid;
    if (row.PrefixOrigin == IpPrefixOriginUnchanged)
        row.PrefixOrigin = IpPrefixOriginManual;
    if (row.SuffixOrigin == IpSuffixOriginUnchanged)
        row.SuffixOrigin = IpSuffixOriginManual;
    row.OnLinkPrefixLength = prefix_of(&row);
    notify_all(&add_address(&row)->row, MibAddInstance);
    return STATUS_SUCCESS;
}

NETIO_STATUS NTAPI SetUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *Row)
{
    struct address *address;
    const struct netio_interface *interface;
    NTSTATUS status;

    NT_CALL(APC_LEVEL);
    status = find_row(Row, &interface, &address);
    if (!NT_SUCCESS(status))
        return status;
    if (!row_is_sound(Row))
        return STATUS_INVALID_PARAMETER;
    if (address == NULL)
        return STATUS_NOT_FOUND;
    /* Keys, origin "unchanged", state and times of creation stay as they are. */
    if (Row->PrefixOrigin != IpPrefixOriginUnchanged)
        address->row.PrefixOrigin = Row->PrefixOrigin;
    if (Row->SuffixOrigin != IpSuffixOriginUnchanged)
        address->row.SuffixOrigin = Row->SuffixOrigin;
    address->row.ValidLifetime = Row->ValidLifetime;
    address->row.PreferredLifetime = Row->PreferredLifetime;
    address->row.OnLinkPrefixLength = prefix_of(Row);
    address->row.SkipAsSource = Row->SkipAsSource;
    notify_all(&address->row, MibParameterNotification);
    return STATUS_SUCCESS;
}

NETIO_STATUS NTAPI DeleteUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *Row)
{
    struct address *address;
    const struct netio_interface *interface;
    NTSTATUS status;

    NT_CALL(APC_LEVEL);
    status = find_row(Row, &interface, &address);
    if (!NT_SUCCESS(status))
        return status;
    if (address == NULL)
        return STATUS_NOT_FOUND;
    discard(address);
    return STATUS_SUCCESS;
}
