/*
 * RtlQueryRegistryValues and the routines around it: RtlWriteRegistryValue, RtlCheckRegistryKey, RtlCreateRegistryKey,
 * RtlDeleteRegistryValue. The values lie in a key below the driver's, made and deleted by each case.
 */
#include "nttest.h"

#define BASE L"nttest\\Query" /* of RTL_REGISTRY_SERVICES */
#define ENTRIES 10

#ifndef RTL_QUERY_REGISTRY_TYPECHECK
#define RTL_QUERY_REGISTRY_TYPECHECK 0x00000100
#endif
#ifndef RTL_QUERY_REGISTRY_TYPECHECK_SHIFT
#define RTL_QUERY_REGISTRY_TYPECHECK_SHIFT 24
#endif

typedef struct _SEEN {
    ULONG Count;
    WCHAR Name[ENTRIES][16];
    ULONG Type[ENTRIES];
    WCHAR Text[ENTRIES][32];
    ULONG Size[ENTRIES];
    PVOID EntryContext;
    NTSTATUS Answer;
} SEEN;

static NTSTATUS NTAPI Record(PWSTR ValueName, ULONG ValueType, PVOID ValueData, ULONG ValueLength, PVOID Context,
                             PVOID EntryContext)
{
    SEEN *Seen = Context;
    ULONG Index = Seen->Count++;

    CHECK(Index < ENTRIES);
    if (Index >= ENTRIES)
        return STATUS_UNSUCCESSFUL;
    for (ULONG At = 0; ValueName != NULL && ValueName[At] != 0 && At < 15; At++)
        Seen->Name[Index][At] = ValueName[At];
    Seen->Type[Index] = ValueType;
    Seen->Size[Index] = ValueLength;
    if (ValueData != NULL)
        RtlCopyMemory(Seen->Text[Index], ValueData, ValueLength < 60 ? ValueLength : 60);
    Seen->EntryContext = EntryContext;
    return Seen->Answer;
}

static NTSTATUS Write(PCWSTR Path, PCWSTR Name, ULONG Type, const VOID *Data, ULONG Size)
{
    return RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, Path, Name, Type, (PVOID)(ULONG_PTR)Data, Size);
}

static VOID Begin(VOID)
{
    static const UCHAR Bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const WCHAR Path[] = L"%SystemRoot%\\x;%Unknown%;100%";
    static const WCHAR Multi[] = L"one\0two\0three\0";
    ULONG Number = 0x12345678;
    ULONG Inner = 7;

    CHECK(NT_SUCCESS(RtlCreateRegistryKey(RTL_REGISTRY_SERVICES, (PWSTR)(ULONG_PTR)BASE)));
    CHECK(NT_SUCCESS(Write(BASE, L"Text", REG_SZ, L"hello", sizeof(L"hello"))));
    CHECK(NT_SUCCESS(Write(BASE, L"Path", REG_EXPAND_SZ, Path, sizeof(Path))));
    CHECK(NT_SUCCESS(Write(BASE, L"Multi", REG_MULTI_SZ, Multi, sizeof(Multi))));
    CHECK(NT_SUCCESS(Write(BASE, L"Number", REG_DWORD, &Number, sizeof(Number))));
    CHECK(NT_SUCCESS(Write(BASE, L"Bytes", REG_BINARY, Bytes, sizeof(Bytes))));
    CHECK(NT_SUCCESS(Write(BASE L"\\Sub", L"Inner", REG_DWORD, &Inner, sizeof(Inner)))); /* makes the key */
}

static HANDLE OpenKey(PCWSTR Path)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;
    HANDLE Key = NULL;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    return NT_SUCCESS(ZwOpenKey(&Key, KEY_ALL_ACCESS, &Attributes)) ? Key : NULL;
}

static VOID Remove(PCWSTR Path)
{
    HANDLE Key = OpenKey(Path);

    if (Key == NULL)
        return;
    (VOID) ZwDeleteKey(Key);
    (VOID) ZwClose(Key);
}

#define FULL_BASE L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\nttest\\Query"

static VOID End(VOID)
{
    Remove(FULL_BASE L"\\Sub");
    Remove(FULL_BASE L"\\New");
    Remove(FULL_BASE L"\\Other");
    Remove(FULL_BASE);
}

static NTSTATUS Query(PRTL_QUERY_REGISTRY_TABLE Table, PVOID Context)
{
    return RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, BASE, Table, Context, NULL);
}

static NTSTATUS QueryValue(SEEN *Seen, PCWSTR Name, ULONG Flags)
{
    RTL_QUERY_REGISTRY_TABLE Table[2];

    RtlZeroMemory(Seen, sizeof(*Seen));
    RtlZeroMemory(Table, sizeof(Table));
    Table[0].QueryRoutine = Record;
    Table[0].Flags = Flags;
    Table[0].Name = (PWSTR)(ULONG_PTR)Name;
    Table[0].EntryContext = Table;
    return Query(Table, Seen);
}

/* ---- a routine a value ---- */

static VOID QueryOneValue(VOID)
{
    SEEN *Seen = TestAllocate(sizeof(*Seen));

    REQUIRE(Seen != NULL);
    Begin();
    EXPECT_STATUS(QueryValue(Seen, L"text", 0), STATUS_SUCCESS);
    EXPECT_EQUAL(Seen->Count, 1);
    EXPECT_EQUAL(Seen->Type[0], REG_SZ);
    EXPECT_EQUAL(Seen->Size[0], sizeof(L"hello")); /* with its terminator */
    EXPECT_WIDE(Seen->Text[0], L"hello");
    EXPECT_TRUE(Seen->EntryContext != NULL);

    EXPECT_STATUS(QueryValue(Seen, L"Path", 0), STATUS_SUCCESS); /* known variables are expanded, others stay */
    EXPECT_EQUAL(Seen->Type[0], REG_SZ);
    EXPECT_TRUE(Seen->Text[0][0] != L'%');
    EXPECT_STATUS(QueryValue(Seen, L"Path", RTL_QUERY_REGISTRY_NOEXPAND), STATUS_SUCCESS);
    EXPECT_EQUAL(Seen->Type[0], REG_EXPAND_SZ);
    EXPECT_TRUE(Seen->Text[0][0] == L'%');

    EXPECT_STATUS(QueryValue(Seen, L"Multi", 0), STATUS_SUCCESS); /* a call a string */
    EXPECT_EQUAL(Seen->Count, 3);
    EXPECT_EQUAL(Seen->Type[2], REG_SZ);
    EXPECT_WIDE(Seen->Text[2], L"three");
    EXPECT_STATUS(QueryValue(Seen, L"Multi", RTL_QUERY_REGISTRY_NOEXPAND), STATUS_SUCCESS);
    EXPECT_EQUAL(Seen->Count, 1);
    EXPECT_EQUAL(Seen->Type[0], REG_MULTI_SZ);
    EXPECT_EQUAL(Seen->Size[0], sizeof(L"one\0two\0three\0"));
    End();
    TestFree(Seen);
}

static VOID QueryMissingValues(VOID)
{
    static const ULONG Default = 42;
    RTL_QUERY_REGISTRY_TABLE Table[2];
    SEEN *Seen = TestAllocate(sizeof(*Seen));
    ULONG Number = 5;

    REQUIRE(Seen != NULL);
    Begin();
    RtlZeroMemory(Table, sizeof(Table));
    Table[0].QueryRoutine = Record;
    Table[0].Name = (PWSTR)(ULONG_PTR)L"Absent";
    EXPECT_STATUS(Query(Table, Seen), STATUS_SUCCESS); /* no default: nothing happens */
    EXPECT_EQUAL(Seen->Count, 0);
    Table[0].Flags = RTL_QUERY_REGISTRY_REQUIRED;
    EXPECT_STATUS(Query(Table, Seen), STATUS_OBJECT_NAME_NOT_FOUND);
    Table[0].Flags = 0;
    Table[0].DefaultType = REG_SZ;
    Table[0].DefaultData = (PVOID)(ULONG_PTR)L"default";
    EXPECT_STATUS(Query(Table, Seen), STATUS_SUCCESS);
    EXPECT_EQUAL(Seen->Size[0], sizeof(L"default"));

    RtlZeroMemory(Table, sizeof(Table));
    Table[0].Flags = RTL_QUERY_REGISTRY_DIRECT;
    Table[0].Name = (PWSTR)(ULONG_PTR)L"Absent";
    Table[0].EntryContext = &Number;
    Table[0].DefaultType = REG_DWORD;
    Table[0].DefaultData = (PVOID)(ULONG_PTR)&Default;
    Table[0].DefaultLength = sizeof(Default);
    EXPECT_STATUS(Query(Table, NULL), STATUS_SUCCESS);
    EXPECT_EQUAL(Number, 42);
    EXPECT_STATUS(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"nttest\\Nowhere", Table, NULL, NULL),
                  STATUS_OBJECT_NAME_NOT_FOUND);
    Number = 5;
    EXPECT_STATUS(
        RtlQueryRegistryValues(RTL_REGISTRY_SERVICES | RTL_REGISTRY_OPTIONAL, L"nttest\\Nowhere", Table, NULL, NULL),
        STATUS_SUCCESS);
    EXPECT_EQUAL(Number, 42);
    End();
    TestFree(Seen);
}

static VOID QueryManyValues(VOID)
{
    RTL_QUERY_REGISTRY_TABLE Table[4];
    SEEN *Seen = TestAllocate(sizeof(*Seen));

    REQUIRE(Seen != NULL);
    Begin();
    RtlZeroMemory(Table, sizeof(Table));
    Table[0].QueryRoutine = Record; /* all values of the subkey */
    Table[0].Flags = RTL_QUERY_REGISTRY_SUBKEY;
    Table[0].Name = (PWSTR)(ULONG_PTR)L"Sub";
    Table[1].QueryRoutine = Record; /* still below it */
    Table[1].Name = (PWSTR)(ULONG_PTR)L"Inner";
    Table[2].QueryRoutine = Record;
    Table[2].Flags = RTL_QUERY_REGISTRY_TOPKEY;
    Table[2].Name = (PWSTR)(ULONG_PTR)L"Number";
    EXPECT_STATUS(Query(Table, Seen), STATUS_SUCCESS);
    EXPECT_EQUAL(Seen->Count, 3);
    EXPECT_WIDE(Seen->Name[0], L"Inner");
    EXPECT_WIDE(Seen->Name[1], L"Inner");
    EXPECT_WIDE(Seen->Name[2], L"Number");

    RtlZeroMemory(Seen, sizeof(*Seen)); /* no name: all of the key, the REG_MULTI_SZ a string at a time */
    RtlZeroMemory(Table, sizeof(Table));
    Table[0].QueryRoutine = Record;
    EXPECT_STATUS(Query(Table, Seen), STATUS_SUCCESS);
    EXPECT_EQUAL(Seen->Count, 7);

    RtlZeroMemory(Seen, sizeof(*Seen)); /* a routine's failure ends it and is returned */
    Seen->Answer = STATUS_NO_SUCH_DEVICE;
    EXPECT_STATUS(Query(Table, Seen), STATUS_NO_SUCH_DEVICE);
    EXPECT_EQUAL(Seen->Count, 1);

    RtlZeroMemory(Seen, sizeof(*Seen));
    Table[0].Flags = RTL_QUERY_REGISTRY_NOVALUE;
    EXPECT_STATUS(Query(Table, Seen), STATUS_SUCCESS);
    EXPECT_EQUAL(Seen->Count, 1);
    EXPECT_EQUAL(Seen->Type[0], REG_NONE);
    End();
    TestFree(Seen);
}

static VOID QueryAndDelete(VOID)
{
    RTL_QUERY_REGISTRY_TABLE Table[2];
    SEEN *Seen = TestAllocate(sizeof(*Seen));

    REQUIRE(Seen != NULL);
    Begin();
    EXPECT_STATUS(QueryValue(Seen, L"Text", RTL_QUERY_REGISTRY_DELETE), STATUS_SUCCESS);
    EXPECT_WIDE(Seen->Text[0], L"hello");
    EXPECT_STATUS(QueryValue(Seen, L"Text", RTL_QUERY_REGISTRY_REQUIRED), STATUS_OBJECT_NAME_NOT_FOUND);
    RtlZeroMemory(Seen, sizeof(*Seen));
    RtlZeroMemory(Table, sizeof(Table));
    Table[0].QueryRoutine = Record;
    Table[0].Flags = RTL_QUERY_REGISTRY_DELETE;
    EXPECT_STATUS(Query(Table, Seen), STATUS_SUCCESS);
    EXPECT_TRUE(Seen->Count > 0);
    Table[0].Flags |= RTL_QUERY_REGISTRY_REQUIRED;
    EXPECT_STATUS(Query(Table, Seen), STATUS_OBJECT_NAME_NOT_FOUND); /* all of them are gone */
    End();
    TestFree(Seen);
}

/* ---- straight into the caller's variables ---- */

static NTSTATUS Direct(PCWSTR Name, PVOID Target, ULONG Flags, ULONG Type)
{
    RTL_QUERY_REGISTRY_TABLE Table[2];

    RtlZeroMemory(Table, sizeof(Table));
    Table[0].Flags = RTL_QUERY_REGISTRY_DIRECT | Flags;
    Table[0].Name = (PWSTR)(ULONG_PTR)Name;
    Table[0].EntryContext = Target;
    Table[0].DefaultType = Type;
    return Query(Table, NULL);
}

static VOID QueryDirectStrings(VOID)
{
    WCHAR Room[3];
    UNICODE_STRING String = {0, 0, NULL};
    UNICODE_STRING Small = {0, sizeof(Room), Room};

    Begin();
    EXPECT_STATUS(Direct(L"Text", &String, 0, 0), STATUS_SUCCESS); /* no buffer: one comes from pool */
    EXPECT_UNICODE(&String, L"hello");
    RtlFreeUnicodeString(&String);
    EXPECT_STATUS(Direct(L"Text", &Small, 0, 0), STATUS_BUFFER_TOO_SMALL);
    RtlZeroMemory(&String, sizeof(String));
    EXPECT_STATUS(Direct(L"Multi", &String, RTL_QUERY_REGISTRY_NOEXPAND, 0), STATUS_SUCCESS);
    EXPECT_TRUE(String.Buffer != NULL && String.Buffer[4] == L't');
    RtlFreeUnicodeString(&String);
    End();
}

static VOID QueryDirectNumbers(VOID)
{
    union {
        LONG Size;
        ULONG Words[5];
        UCHAR Bytes[20];
    } Buffer;
    ULONG Number = 0;

    Begin();
    EXPECT_STATUS(Direct(L"Number", &Number, 0, 0), STATUS_SUCCESS);
    EXPECT_EQUAL(Number, 0x12345678);
    Buffer.Size = -(LONG)sizeof(Buffer); /* the data alone */
    EXPECT_STATUS(Direct(L"Bytes", &Buffer, 0, 0), STATUS_SUCCESS);
    EXPECT_TRUE(Buffer.Bytes[0] == 1 && Buffer.Bytes[8] == 9);
    Buffer.Size = sizeof(Buffer); /* length, type, data */
    EXPECT_STATUS(Direct(L"Bytes", &Buffer, 0, 0), STATUS_SUCCESS);
    EXPECT_EQUAL(Buffer.Words[0], 9);
    EXPECT_EQUAL(Buffer.Words[1], REG_BINARY);
    EXPECT_TRUE(Buffer.Bytes[8] == 1 && Buffer.Bytes[16] == 9);
    Buffer.Size = 16; /* one byte too few */
    EXPECT_STATUS(Direct(L"Bytes", &Buffer, 0, 0), STATUS_BUFFER_TOO_SMALL);
    Buffer.Size = -8;
    EXPECT_STATUS(Direct(L"Bytes", &Buffer, 0, 0), STATUS_BUFFER_TOO_SMALL);

    EXPECT_STATUS(
        Direct(L"Number", &Number, RTL_QUERY_REGISTRY_TYPECHECK, (ULONG)REG_SZ << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT),
        STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT_STATUS(Direct(L"Number", &Number, RTL_QUERY_REGISTRY_TYPECHECK,
                         (ULONG)REG_DWORD << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT),
                  STATUS_SUCCESS);
    EXPECT_STATUS(Direct(NULL, &Number, 0, 0), STATUS_INVALID_PARAMETER);
    End();
}

/* Several strings do not fit one variable: the page asks for RTL_QUERY_REGISTRY_NOEXPAND with a REG_MULTI_SZ. */
static VOID QueryDirectMultiExpanded(VOID)
{
    UNICODE_STRING String = {0, 0, NULL};

    Begin();
    (VOID) Direct(L"Multi", &String, 0, 0);
}

/* ---- writing ---- */

static VOID RegistryWritten(VOID)
{
    ULONG Number = 3;
    ULONG Seen = 0;
    HANDLE Key;

    Begin();
    EXPECT_STATUS(Write(BASE L"\\New", L"Number", REG_DWORD, &Number, sizeof(Number)), STATUS_SUCCESS);
    EXPECT_STATUS(Write(BASE L"\\No\\Such", L"Number", REG_DWORD, &Number, sizeof(Number)),
                  STATUS_OBJECT_NAME_NOT_FOUND); /* the last component is made, no other */
    EXPECT_STATUS(RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, (PWSTR)(ULONG_PTR)(BASE L"\\New")), STATUS_SUCCESS);
    EXPECT_STATUS(RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, (PWSTR)(ULONG_PTR)(BASE L"\\Other")),
                  STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(RtlCreateRegistryKey(RTL_REGISTRY_SERVICES, (PWSTR)(ULONG_PTR)(BASE L"\\Other")), STATUS_SUCCESS);
    EXPECT_STATUS(RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, (PWSTR)(ULONG_PTR)(BASE L"\\Other")), STATUS_SUCCESS);
    EXPECT_STATUS(RtlCreateRegistryKey(RTL_REGISTRY_SERVICES, (PWSTR)(ULONG_PTR)(BASE L"\\No\\Such")),
                  STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, BASE, L"Text"), STATUS_SUCCESS);
    EXPECT_STATUS(RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, BASE, L"Text"), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(RtlCheckRegistryKey(RTL_REGISTRY_MAXIMUM, (PWSTR)(ULONG_PTR)L"x"), STATUS_INVALID_PARAMETER);

    Key = OpenKey(FULL_BASE);
    REQUIRE(Key != NULL);
    EXPECT_STATUS(
        RtlWriteRegistryValue(RTL_REGISTRY_HANDLE, (PCWSTR)Key, L"ByHandle", REG_DWORD, &Number, sizeof(Number)),
        STATUS_SUCCESS);
    EXPECT_STATUS(ZwClose(Key), STATUS_SUCCESS); /* it was left open */
    EXPECT_STATUS(Direct(L"ByHandle", &Seen, 0, 0), STATUS_SUCCESS);
    EXPECT_EQUAL(Seen, 3);
    End();
}

TEST_TABLE(cm_query){TEST(QueryOneValue, 0),
                     TEST(QueryMissingValues, 0),
                     TEST(QueryManyValues, 0),
                     TEST(QueryAndDelete, 0),
                     TEST(QueryDirectStrings, 0),
                     TEST(QueryDirectNumbers, 0),
                     TEST_VIOLATION(QueryDirectMultiExpanded, "registry-query", 0xC4),
                     TEST(RegistryWritten, 0),
                     TEST_END};
