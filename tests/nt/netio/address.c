/* The table of unicast IP addresses and notification of its changes (netioapi.h). Uses addresses of 127.0.0.0/8 only.
 */
#include "nttest.h"

#if defined(__MINGW32__) /* it has no library of netio.sys */
TEST_TABLE(netio_address){TEST_END};
#else
#include <netioapi.h>

#define LOOPBACK_INDEX 1
#define ADDRESS 0x0703007Fu /* 127.0.3.7 */

static VOID Row(PMIB_UNICASTIPADDRESS_ROW Entry)
{
    InitializeUnicastIpAddressEntry(Entry);
    Entry->Address.Ipv4.sin_family = AF_INET;
    Entry->Address.Ipv4.sin_addr.s_addr = ADDRESS;
    Entry->InterfaceIndex = LOOPBACK_INDEX;
    Entry->OnLinkPrefixLength = 8;
}

static ULONG Count(ADDRESS_FAMILY Family, ULONG Address)
{
    PMIB_UNICASTIPADDRESS_TABLE Table = NULL;
    ULONG Number = 0;

    CHECK(GetUnicastIpAddressTable(Family, &Table) == STATUS_SUCCESS);
    for (ULONG Index = 0; Table != NULL && Index < Table->NumEntries; Index++) {
        CHECK(Family == AF_UNSPEC || Table->Table[Index].Address.si_family == Family);
        Number += Table->Table[Index].Address.si_family == AF_INET &&
                  Table->Table[Index].Address.Ipv4.sin_addr.s_addr == Address;
    }
    FreeMibTable(Table);
    return Number;
}

static VOID AddressTable(VOID)
{
    PMIB_UNICASTIPADDRESS_TABLE Table = NULL;

    EXPECT_EQUAL(Count(AF_UNSPEC, 0x0100007F), 1); /* 127.0.0.1 */
    EXPECT_EQUAL(Count(AF_INET, 0x0100007F), 1);
    EXPECT_EQUAL(Count(AF_INET6, 0x0100007F), 0);
    EXPECT_STATUS(GetUnicastIpAddressTable(77, &Table), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(GetUnicastIpAddressTable(AF_INET, NULL), STATUS_INVALID_PARAMETER);
}

static VOID AddressInitialized(VOID)
{
    MIB_UNICASTIPADDRESS_ROW Entry;

    RtlFillMemory(&Entry, sizeof(Entry), 0xA5);
    InitializeUnicastIpAddressEntry(&Entry);
    EXPECT_EQUAL(Entry.PrefixOrigin, IpPrefixOriginUnchanged);
    EXPECT_EQUAL(Entry.SuffixOrigin, IpSuffixOriginUnchanged);
    EXPECT_EQUAL(Entry.OnLinkPrefixLength, 255);
    EXPECT_EQUAL(Entry.ValidLifetime, 0xFFFFFFFF);
    EXPECT_EQUAL(Entry.PreferredLifetime, 0xFFFFFFFF);
}

static VOID AddressCreatedSetDeleted(VOID)
{
    MIB_UNICASTIPADDRESS_ROW Entry, Found;

    Row(&Entry);
    EXPECT_STATUS(GetUnicastIpAddressEntry(&Entry), STATUS_NOT_FOUND);
    EXPECT_STATUS(SetUnicastIpAddressEntry(&Entry), STATUS_NOT_FOUND);
    EXPECT_STATUS(DeleteUnicastIpAddressEntry(&Entry), STATUS_NOT_FOUND);
    EXPECT_STATUS(CreateUnicastIpAddressEntry(&Entry), STATUS_SUCCESS);
    EXPECT_EQUAL(Count(AF_INET, ADDRESS), 1);
    EXPECT_STATUS(CreateUnicastIpAddressEntry(&Entry), STATUS_DUPLICATE_OBJECTID);
    Entry.SkipAsSource = TRUE;
    EXPECT_STATUS(SetUnicastIpAddressEntry(&Entry), STATUS_SUCCESS);
    Row(&Found);
    EXPECT_STATUS(GetUnicastIpAddressEntry(&Found), STATUS_SUCCESS);
    EXPECT_TRUE(Found.SkipAsSource);
    EXPECT_EQUAL(Found.OnLinkPrefixLength, 8);
    EXPECT_EQUAL(Found.InterfaceIndex, LOOPBACK_INDEX);
    EXPECT_TRUE(Found.InterfaceLuid.Value != 0);
    Row(&Entry);
    Entry.InterfaceIndex = 0;
    Entry.InterfaceLuid = Found.InterfaceLuid; /* the one or the other names the interface */
    EXPECT_STATUS(DeleteUnicastIpAddressEntry(&Entry), STATUS_SUCCESS);
    EXPECT_EQUAL(Count(AF_INET, ADDRESS), 0);
}

/* 255, which InitializeUnicastIpAddressEntry leaves there, stands for the whole address. */
static VOID AddressPrefixUnsaid(VOID)
{
    MIB_UNICASTIPADDRESS_ROW Entry, Found;

    Row(&Entry);
    CHECK(CreateUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    Entry.OnLinkPrefixLength = 255;
    EXPECT_STATUS(SetUnicastIpAddressEntry(&Entry), STATUS_SUCCESS);
    Row(&Found);
    CHECK(GetUnicastIpAddressEntry(&Found) == STATUS_SUCCESS);
    EXPECT_EQUAL(Found.OnLinkPrefixLength, 32);
    CHECK(DeleteUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    CHECK(CreateUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    Row(&Found);
    CHECK(GetUnicastIpAddressEntry(&Found) == STATUS_SUCCESS);
    EXPECT_EQUAL(Found.OnLinkPrefixLength, 32);
    CHECK(DeleteUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
}

static VOID AddressBadRows(VOID)
{
    MIB_UNICASTIPADDRESS_ROW Entry;

    EXPECT_STATUS(CreateUnicastIpAddressEntry(NULL), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(SetUnicastIpAddressEntry(NULL), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(DeleteUnicastIpAddressEntry(NULL), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(GetUnicastIpAddressEntry(NULL), STATUS_INVALID_PARAMETER);
    Row(&Entry);
    Entry.InterfaceIndex = 0;
    EXPECT_STATUS(CreateUnicastIpAddressEntry(&Entry), STATUS_INVALID_PARAMETER);
    Entry.InterfaceIndex = 0x7FFFFFF0;
    EXPECT_STATUS(CreateUnicastIpAddressEntry(&Entry), STATUS_NOT_FOUND);
    Row(&Entry);
    Entry.PreferredLifetime = 2;
    Entry.ValidLifetime = 1;
    EXPECT_STATUS(CreateUnicastIpAddressEntry(&Entry), STATUS_INVALID_PARAMETER);
    Row(&Entry);
    Entry.OnLinkPrefixLength = 33;
    EXPECT_STATUS(CreateUnicastIpAddressEntry(&Entry), STATUS_INVALID_PARAMETER);
    Row(&Entry);
    Entry.PrefixOrigin = IpPrefixOriginManual; /* and the suffix's unchanged */
    EXPECT_STATUS(CreateUnicastIpAddressEntry(&Entry), STATUS_INVALID_PARAMETER);
    Row(&Entry);
    Entry.Address.si_family = AF_UNSPEC;
    EXPECT_STATUS(CreateUnicastIpAddressEntry(&Entry), STATUS_INVALID_PARAMETER);
}

/* ---- changes ---- */

static struct {
    ULONG Types[8];
    ULONG Count;
    KEVENT Event;
    HANDLE Handle;
} Seen;

static VOID NETIOAPI_API_ OnChange(PVOID Context, PMIB_UNICASTIPADDRESS_ROW Entry, MIB_NOTIFICATION_TYPE Type)
{
    CHECK(Context == &Seen);
    CHECK((Entry == NULL) == (Type == MibInitialNotification));
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    if (Entry != NULL && Entry->Address.Ipv4.sin_addr.s_addr != ADDRESS)
        return;
    if (Seen.Count < RTL_NUMBER_OF(Seen.Types))
        Seen.Types[Seen.Count++] = (ULONG)Type;
    (VOID) KeSetEvent(&Seen.Event, IO_NO_INCREMENT, FALSE);
}

static BOOLEAN Await(VOID)
{
    LARGE_INTEGER Timeout = InMilliseconds(2000);

    return KeWaitForSingleObject(&Seen.Event, Executive, KernelMode, FALSE, &Timeout) == STATUS_SUCCESS;
}

static VOID AddressChanges(VOID)
{
    MIB_UNICASTIPADDRESS_ROW Entry;

    RtlZeroMemory(&Seen, sizeof(Seen));
    KeInitializeEvent(&Seen.Event, SynchronizationEvent, FALSE);
    EXPECT_STATUS(NotifyUnicastIpAddressChange(AF_INET, OnChange, &Seen, TRUE, &Seen.Handle), STATUS_SUCCESS);
    EXPECT_TRUE(Await());
    Row(&Entry);
    CHECK(CreateUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    EXPECT_TRUE(Await());
    CHECK(SetUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    EXPECT_TRUE(Await());
    CHECK(DeleteUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    EXPECT_TRUE(Await());
    EXPECT_STATUS(CancelMibChangeNotify2(Seen.Handle), STATUS_SUCCESS);
    EXPECT_EQUAL(Seen.Types[0], MibInitialNotification);
    EXPECT_EQUAL(Seen.Types[1], MibAddInstance);
    OBSERVE("changes in all", Seen.Count); /* on Windows, also the end of the duplicate detection */
    EXPECT_EQUAL(Seen.Types[Seen.Count - 1], MibDeleteInstance);
}

/* After CancelMibChangeNotify2 nothing comes; another family's changes never do. */
static VOID AddressChangesOfOthers(VOID)
{
    MIB_UNICASTIPADDRESS_ROW Entry;
    HANDLE Cancelled = NULL;

    RtlZeroMemory(&Seen, sizeof(Seen));
    KeInitializeEvent(&Seen.Event, SynchronizationEvent, FALSE);
    EXPECT_STATUS(NotifyUnicastIpAddressChange(AF_UNSPEC, OnChange, &Seen, FALSE, &Cancelled), STATUS_SUCCESS);
    EXPECT_STATUS(CancelMibChangeNotify2(Cancelled), STATUS_SUCCESS);
    EXPECT_STATUS(NotifyUnicastIpAddressChange(AF_INET6, OnChange, &Seen, FALSE, &Seen.Handle), STATUS_SUCCESS);
    Row(&Entry);
    CHECK(CreateUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    CHECK(DeleteUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    SleepMilliseconds(50);
    EXPECT_EQUAL(Seen.Count, 0);
    CHECK(CancelMibChangeNotify2(Seen.Handle) == STATUS_SUCCESS);
    EXPECT_STATUS(NotifyUnicastIpAddressChange(77, OnChange, &Seen, FALSE, &Cancelled), STATUS_INVALID_PARAMETER);
    EXPECT_TRUE(Cancelled == NULL);
    EXPECT_STATUS(NotifyUnicastIpAddressChange(AF_INET, OnChange, &Seen, FALSE, NULL), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(CancelMibChangeNotify2(NULL), STATUS_INVALID_PARAMETER);
}

/* A callback that takes its time. */
static struct {
    LONG Inside;
    LONG Overlaps;
    LONG Finished;
    KEVENT Entered;
    ULONG Types[8];
    LONG Count;
} Slow;

static VOID NETIOAPI_API_ OnChangeSlowly(PVOID Context, PMIB_UNICASTIPADDRESS_ROW Entry, MIB_NOTIFICATION_TYPE Type)
{
    LONG Index;

    UNREFERENCED_PARAMETER(Context);
    if (Entry == NULL || Entry->Address.Ipv4.sin_addr.s_addr != ADDRESS || Type == MibParameterNotification)
        return;
    if (InterlockedIncrement(&Slow.Inside) != 1)
        (VOID) InterlockedIncrement(&Slow.Overlaps);
    Index = InterlockedIncrement(&Slow.Count) - 1;
    if (Index < (LONG)RTL_NUMBER_OF(Slow.Types))
        Slow.Types[Index] = (ULONG)Type;
    (VOID) KeSetEvent(&Slow.Entered, IO_NO_INCREMENT, FALSE);
    SleepMilliseconds(20);
    (VOID) InterlockedDecrement(&Slow.Inside);
    (VOID) InterlockedIncrement(&Slow.Finished);
}

static VOID RegisterSlow(VOID)
{
    RtlZeroMemory(&Slow, sizeof(Slow));
    KeInitializeEvent(&Slow.Entered, NotificationEvent, FALSE);
    CHECK(NotifyUnicastIpAddressChange(AF_INET, OnChangeSlowly, NULL, FALSE, &Seen.Handle) == STATUS_SUCCESS);
}

/* One callback of a registration at a time, in the order of the changes. */
static VOID AddressChangesSerialized(VOID)
{
    MIB_UNICASTIPADDRESS_ROW Entry;

    RegisterSlow();
    Row(&Entry);
    for (ULONG Round = 0; Round < 3; Round++) {
        CHECK(CreateUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
        CHECK(DeleteUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    }
    for (ULONG Wait = 0; Wait < 100 && ReadAcquire(&Slow.Finished) < 6; Wait++)
        SleepMilliseconds(20);
    CHECK(CancelMibChangeNotify2(Seen.Handle) == STATUS_SUCCESS);
    EXPECT_EQUAL(Slow.Finished, 6);
    EXPECT_EQUAL(Slow.Overlaps, 0);
    for (ULONG Index = 0; Index < 6; Index++)
        CHECK(Slow.Types[Index] == (ULONG)((Index & 1) == 0 ? MibAddInstance : MibDeleteInstance));
}

/* The callback that runs has returned, and those that wait do not come. */
static VOID AddressCancelWaits(VOID)
{
    MIB_UNICASTIPADDRESS_ROW Entry;

    RegisterSlow();
    Row(&Entry);
    CHECK(CreateUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    CHECK(DeleteUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    CHECK(CreateUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    (VOID) KeWaitForSingleObject(&Slow.Entered, Executive, KernelMode, FALSE, NULL);
    EXPECT_STATUS(CancelMibChangeNotify2(Seen.Handle), STATUS_SUCCESS);
    EXPECT_EQUAL(Slow.Inside, 0);
    EXPECT_TRUE(Slow.Finished >= 1);
    EXPECT_EQUAL(Slow.Finished, Slow.Count);
    CHECK(DeleteUnicastIpAddressEntry(&Entry) == STATUS_SUCCESS);
    SleepMilliseconds(50);
    EXPECT_EQUAL(Slow.Finished, Slow.Count);
}

static VOID NETIOAPI_API_ CancelInside(PVOID Context, PMIB_UNICASTIPADDRESS_ROW Entry, MIB_NOTIFICATION_TYPE Type)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Entry);
    UNREFERENCED_PARAMETER(Type);
    (VOID) CancelMibChangeNotify2(Seen.Handle);
}

static VOID AddressCancelInTheCallback(VOID)
{
    (VOID) NotifyUnicastIpAddressChange(AF_INET, CancelInside, NULL, TRUE, &Seen.Handle);
    SleepMilliseconds(100);
}

static VOID AddressAtApcLevel(VOID)
{
    MIB_UNICASTIPADDRESS_ROW Entry, Found;
    PMIB_UNICASTIPADDRESS_TABLE Table = NULL;
    PMIB_IF_TABLE2 Interfaces = NULL;
    HANDLE Handle;
    KIRQL Irql;

    RtlZeroMemory(&Seen, sizeof(Seen));
    KeInitializeEvent(&Seen.Event, SynchronizationEvent, FALSE);
    KeRaiseIrql(APC_LEVEL, &Irql);
    InitializeUnicastIpAddressEntry(&Found);
    Row(&Entry);
    EXPECT_STATUS(NotifyUnicastIpAddressChange(AF_INET6, OnChange, &Seen, FALSE, &Handle), STATUS_SUCCESS);
    EXPECT_STATUS(CreateUnicastIpAddressEntry(&Entry), STATUS_SUCCESS);
    EXPECT_STATUS(SetUnicastIpAddressEntry(&Entry), STATUS_SUCCESS);
    Row(&Found);
    EXPECT_STATUS(GetUnicastIpAddressEntry(&Found), STATUS_SUCCESS);
    EXPECT_STATUS(GetUnicastIpAddressTable(AF_INET, &Table), STATUS_SUCCESS);
    FreeMibTable(Table);
    EXPECT_STATUS(GetIfTable2(&Interfaces), STATUS_SUCCESS);
    FreeMibTable(Interfaces);
    EXPECT_STATUS(DeleteUnicastIpAddressEntry(&Entry), STATUS_SUCCESS);
    KeLowerIrql(Irql);
    EXPECT_STATUS(CancelMibChangeNotify2(Handle), STATUS_SUCCESS);
}

/* An interface's name and its LUID: each leads to the other. */
static VOID InterfaceNames(VOID)
{
    static const GUID Nobody = {0x5f1d4c9e, 0x3b52, 0x4a7e, {0x91, 0x07, 0x2c, 0x66, 0x0d, 0xe8, 0x4b, 0x3a}};
    PMIB_UNICASTIPADDRESS_TABLE Table = NULL;
    static const GUID Zeros;
    NET_LUID Found, None = {0};
    GUID Guid;

    CHECK(GetUnicastIpAddressTable(AF_UNSPEC, &Table) == STATUS_SUCCESS);
    REQUIRE(Table != NULL);
    for (ULONG Index = 0; Index < Table->NumEntries; Index++) {
        CHECK(ConvertInterfaceLuidToGuid(&Table->Table[Index].InterfaceLuid, &Guid) == STATUS_SUCCESS);
        CHECK(ConvertInterfaceGuidToLuid(&Guid, &Found) == STATUS_SUCCESS);
        CHECK(Found.Value == Table->Table[Index].InterfaceLuid.Value);
    }
    EXPECT_STATUS(ConvertInterfaceLuidToGuid(&Table->Table[0].InterfaceLuid, NULL), STATUS_INVALID_PARAMETER);
    FreeMibTable(Table);
    EXPECT_STATUS(ConvertInterfaceLuidToGuid(NULL, &Guid), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(ConvertInterfaceLuidToGuid(&None, &Guid), STATUS_INVALID_PARAMETER);
    EXPECT_TRUE(RtlCompareMemory(&Guid, &Zeros, sizeof(Guid)) == sizeof(Guid)); /* the page: set to NULL */
    EXPECT_STATUS(ConvertInterfaceGuidToLuid(&Guid, NULL), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(ConvertInterfaceGuidToLuid(NULL, &Found), STATUS_INVALID_PARAMETER);
    Found.Value = 1;
    EXPECT_STATUS(ConvertInterfaceGuidToLuid(&Nobody, &Found), STATUS_INVALID_PARAMETER);
    EXPECT_EQUAL(Found.Value, 0);
}

/* Each interface once, with a name that leads to its LUID; the loopback interface is one of them, without a card. */
static VOID InterfaceTable(VOID)
{
    PMIB_IF_TABLE2 Table = NULL;
    ULONG Loopbacks = 0;
    NET_LUID Luid;

    EXPECT_STATUS(GetIfTable2(NULL), STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(GetIfTable2(&Table), STATUS_SUCCESS);
    REQUIRE(Table != NULL);
    for (ULONG Index = 0; Index < Table->NumEntries; Index++) {
        const MIB_IF_ROW2 *Entry = &Table->Table[Index];

        CHECK(ConvertInterfaceGuidToLuid(&Entry->InterfaceGuid, &Luid) == STATUS_SUCCESS);
        CHECK(Luid.Value == Entry->InterfaceLuid.Value && Luid.Info.IfType == Entry->Type);
        for (ULONG Other = 0; Other < Index; Other++)
            CHECK(Table->Table[Other].InterfaceIndex != Entry->InterfaceIndex);
        if (Entry->InterfaceIndex != LOOPBACK_INDEX)
            continue;
        Loopbacks++;
        EXPECT_EQUAL(Entry->Type, 24); /* IF_TYPE_SOFTWARE_LOOPBACK */
        EXPECT_EQUAL(Entry->MediaType, NdisMediumLoopback);
        EXPECT_EQUAL(Entry->AccessType, NET_IF_ACCESS_LOOPBACK);
        EXPECT_EQUAL(Entry->PhysicalAddressLength, 0);
        EXPECT_FALSE(Entry->InterfaceAndOperStatusFlags.HardwareInterface);
        EXPECT_EQUAL(Entry->OperStatus, IfOperStatusUp);
    }
    EXPECT_EQUAL(Loopbacks, 1);
    FreeMibTable(Table);
}

TEST_TABLE(netio_address){TEST(AddressTable, 0),
                          TEST(InterfaceTable, 0),
                          TEST(InterfaceNames, 0),
                          TEST(AddressInitialized, 0),
                          TEST(AddressCreatedSetDeleted, 0),
                          TEST(AddressAtApcLevel, 0),
                          TEST(AddressPrefixUnsaid, 0),
                          TEST(AddressBadRows, 0),
                          TEST(AddressChanges, 0),
                          TEST(AddressChangesOfOthers, 0),
                          TEST(AddressChangesSerialized, 0),
                          TEST(AddressCancelWaits, 0),
                          TEST_VIOLATION(AddressCancelInTheCallback, "mib-cancel", 0),
                          TEST_END};
#endif
