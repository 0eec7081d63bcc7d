/*
 * Registry keys and values: ZwCreateKey, ZwOpenKey, ZwDeleteKey, ZwFlushKey, ZwSetValueKey, ZwQueryValueKey,
 * ZwDeleteValueKey, ZwEnumerateKey, ZwEnumerateValueKey, ZwQueryKey. All in a key of their own below the driver's.
 */
#include "nttest.h"

#define SERVICE L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\nttest"
#define HEADER ((ULONG)FIELD_OFFSET(KEY_VALUE_PARTIAL_INFORMATION, Data))
#define NO_HANDLE ((HANDLE)(ULONG_PTR)0x7FFC)

static NTSTATUS Create(HANDLE Root, PCWSTR Path, ULONG Options, HANDLE *Key, ULONG *Disposition)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, Root, NULL);
    return ZwCreateKey(Key, KEY_ALL_ACCESS, &Attributes, 0, NULL, Options, Disposition);
}

static NTSTATUS Open(HANDLE Root, PCWSTR Path, HANDLE *Key)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Path);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, Root, NULL);
    return ZwOpenKey(Key, KEY_ALL_ACCESS, &Attributes);
}

static NTSTATUS Set(HANDLE Key, PCWSTR Value, ULONG Type, const VOID *Data, ULONG Size)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Value);
    return ZwSetValueKey(Key, &Name, 0, Type, (PVOID)(ULONG_PTR)Data, Size);
}

static NTSTATUS Query(HANDLE Key, PCWSTR Value, PVOID Information, ULONG Size, ULONG *Length)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, Value);
    return ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, Information, Size, Length);
}

static BOOLEAN SameName(PCWSTR Name, ULONG Bytes, PCWSTR Expected)
{
    UNICODE_STRING String;

    RtlInitUnicodeString(&String, Expected);
    return Bytes == String.Length && RtlCompareMemory(Name, String.Buffer, Bytes) == Bytes;
}

/* The key of a case; EndKey() deletes it, its values with it. */
static HANDLE BeginKey(VOID)
{
    HANDLE Key = NULL;

    CHECK(NT_SUCCESS(Create(NULL, SERVICE L"\\Test", REG_OPTION_NON_VOLATILE, &Key, NULL)));
    return Key;
}

static VOID EndKey(HANDLE Key)
{
    CHECK(NT_SUCCESS(ZwDeleteKey(Key)));
    CHECK(NT_SUCCESS(ZwClose(Key)));
}

/* ---- keys ---- */

static VOID KeysCreatedAndOpened(VOID)
{
    ULONG Disposition = 0;
    HANDLE Key;
    HANDLE Child;

    EXPECT_STATUS(Open(NULL, SERVICE L"\\Test", &Key), STATUS_OBJECT_NAME_NOT_FOUND);
    /* Only the last component of a path is made. */
    EXPECT_STATUS(Create(NULL, SERVICE L"\\Test\\Child", 0, &Key, NULL), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(Create(NULL, SERVICE L"\\Test", 0, &Key, &Disposition), STATUS_SUCCESS);
    EXPECT_EQUAL(Disposition, REG_CREATED_NEW_KEY);
    EXPECT_STATUS(Create(Key, L"Child", 0, &Child, &Disposition), STATUS_SUCCESS); /* relative to a handle */
    EXPECT_EQUAL(Disposition, REG_CREATED_NEW_KEY);
    EXPECT_STATUS(ZwClose(Child), STATUS_SUCCESS);
    EXPECT_STATUS(Create(NULL, SERVICE L"\\TEST\\cHILD", 0, &Child, &Disposition), STATUS_SUCCESS);
    EXPECT_EQUAL(Disposition, REG_OPENED_EXISTING_KEY); /* names have no case */
    EXPECT_STATUS(ZwClose(Child), STATUS_SUCCESS);
    EXPECT_STATUS(Open(Key, L"Child\\Deeper", &Child), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(Open(Key, L"Child", &Child), STATUS_SUCCESS);
    EXPECT_STATUS(ZwFlushKey(Child), STATUS_SUCCESS);
    EndKey(Child);
    EndKey(Key);
}

static VOID KeysDeleted(VOID)
{
    HANDLE Key = BeginKey();
    ULONG Data = 1;
    HANDLE Child;
    HANDLE Again;

    REQUIRE(NT_SUCCESS(Create(Key, L"Child", 0, &Child, NULL)));
    REQUIRE(NT_SUCCESS(Open(Key, L"Child", &Again)));
    EXPECT_STATUS(ZwDeleteKey(Key), STATUS_CANNOT_DELETE); /* it has a subkey */
    EXPECT_STATUS(ZwDeleteKey(Child), STATUS_SUCCESS);
    /* Every handle of it stays open and is good for ZwClose only. */
    EXPECT_STATUS(Set(Child, L"Value", REG_DWORD, &Data, sizeof(Data)), STATUS_KEY_DELETED);
    EXPECT_STATUS(Query(Again, L"Value", NULL, 0, &Data), STATUS_KEY_DELETED);
    EXPECT_STATUS(ZwClose(Again), STATUS_SUCCESS);
    EXPECT_STATUS(ZwClose(Child), STATUS_SUCCESS);
    EXPECT_STATUS(Open(Key, L"Child", &Child), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(Set(Key, L"Value", REG_DWORD, &Data, sizeof(Data)), STATUS_SUCCESS);
    EndKey(Key); /* values go with it */
    EXPECT_STATUS(Open(NULL, SERVICE L"\\Test", &Key), STATUS_OBJECT_NAME_NOT_FOUND);
}

static VOID KeysVolatile(VOID)
{
    HANDLE Key = BeginKey();
    HANDLE Kept;
    HANDLE Child;

    EXPECT_STATUS(Create(Key, L"Volatile", REG_OPTION_VOLATILE, &Kept, NULL), STATUS_SUCCESS);
    EXPECT_STATUS(Create(Kept, L"Child", REG_OPTION_NON_VOLATILE, &Child, NULL), STATUS_CHILD_MUST_BE_VOLATILE);
    EXPECT_STATUS(Create(Kept, L"Child", REG_OPTION_VOLATILE, &Child, NULL), STATUS_SUCCESS);
    EndKey(Child);
    EndKey(Kept);
    EndKey(Key);
}

static VOID KeysOfNoHandle(VOID)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"Value");
    UCHAR Buffer[32];
    ULONG Data = 0;
    HANDLE Key;

    EXPECT_STATUS(Query(NO_HANDLE, L"Value", NULL, 0, &Data), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(Set(NO_HANDLE, L"Value", REG_DWORD, &Data, sizeof(Data)), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(ZwDeleteKey(NO_HANDLE), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(ZwFlushKey(NO_HANDLE), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(ZwDeleteValueKey(NO_HANDLE, &Name), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(ZwQueryKey(NO_HANDLE, KeyBasicInformation, Buffer, sizeof(Buffer), &Data), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(ZwEnumerateKey(NO_HANDLE, 0, KeyBasicInformation, Buffer, sizeof(Buffer), &Data),
                  STATUS_INVALID_HANDLE);
    EXPECT_STATUS(ZwEnumerateValueKey(NO_HANDLE, 0, KeyValueBasicInformation, Buffer, sizeof(Buffer), &Data),
                  STATUS_INVALID_HANDLE);
    EXPECT_STATUS(Open(NO_HANDLE, L"Child", &Key), STATUS_INVALID_HANDLE);
    EXPECT_STATUS(Create(NO_HANDLE, L"Child", 0, &Key, NULL), STATUS_INVALID_HANDLE);
}

/* ---- values ---- */

static VOID ValuesOfEveryType(VOID)
{
    static const ULONG Dword = 0x12345678;
    static const ULONGLONG Qword = 0x123456789ABCDEF0;
    static const WCHAR Text[] = L"text";
    static const WCHAR Multi[] = L"one\0two\0";
    static const UCHAR Binary[] = {0, 1, 2, 0xFF, 0};
    static const struct {
        PCWSTR Name;
        ULONG Type;
        const VOID *Data;
        ULONG Size;
    } Values[] = {
        {L"Dword", REG_DWORD, &Dword, sizeof(Dword)},
        {L"Qword", REG_QWORD, &Qword, sizeof(Qword)},
        {L"String", REG_SZ, Text, sizeof(Text)},
        {L"Expand", REG_EXPAND_SZ, Text, sizeof(Text)},
        {L"Multi", REG_MULTI_SZ, Multi, sizeof(Multi)},
        {L"Binary", REG_BINARY, Binary, sizeof(Binary)},
        {L"None", REG_NONE, NULL, 0},
        {L"", REG_SZ, Text, sizeof(Text)}, /* the key's default value */
        {L"Odd", 0x1234, Binary, 3},       /* any number is a type */
    };
    union {
        KEY_VALUE_PARTIAL_INFORMATION Partial;
        UCHAR Bytes[128];
    } Buffer;
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"binary");
    HANDLE Key = BeginKey();
    ULONG Length = 0;

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Values); Index++)
        CHECK(Set(Key, Values[Index].Name, Values[Index].Type, Values[Index].Data, Values[Index].Size) ==
              STATUS_SUCCESS);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Values); Index++) {
        CHECK(Query(Key, Values[Index].Name, &Buffer, sizeof(Buffer), &Length) == STATUS_SUCCESS);
        CHECK(Length == HEADER + Values[Index].Size);
        CHECK(Buffer.Partial.Type == Values[Index].Type && Buffer.Partial.DataLength == Values[Index].Size);
        CHECK(Values[Index].Size == 0 ||
              RtlCompareMemory(Buffer.Partial.Data, Values[Index].Data, Values[Index].Size) == Values[Index].Size);
    }
    EXPECT_STATUS(Query(Key, L"DWORD", &Buffer, sizeof(Buffer), &Length), STATUS_SUCCESS);
    EXPECT_STATUS(Query(Key, L"Missing", &Buffer, sizeof(Buffer), &Length), STATUS_OBJECT_NAME_NOT_FOUND);

    EXPECT_STATUS(Set(Key, L"Dword", REG_SZ, Text, sizeof(Text)), STATUS_SUCCESS); /* replaces data and type */
    EXPECT_STATUS(Query(Key, L"Dword", &Buffer, sizeof(Buffer), &Length), STATUS_SUCCESS);
    EXPECT_EQUAL(Buffer.Partial.Type, REG_SZ);
    EXPECT_EQUAL(Buffer.Partial.DataLength, sizeof(Text));

    EXPECT_STATUS(ZwDeleteValueKey(Key, &Name), STATUS_SUCCESS);
    EXPECT_STATUS(ZwDeleteValueKey(Key, &Name), STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT_STATUS(Query(Key, L"Binary", &Buffer, sizeof(Buffer), &Length), STATUS_OBJECT_NAME_NOT_FOUND);
    EndKey(Key);
}

/* Every length of buffer: too small for the fixed part, enough for that and not for the data, enough. */
static VOID ValueBufferSizes(VOID)
{
    static const UCHAR Data[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    union {
        KEY_VALUE_PARTIAL_INFORMATION Partial;
        UCHAR Bytes[64];
    } Buffer;
    HANDLE Key = BeginKey();
    ULONG Full = HEADER + sizeof(Data);

    EXPECT_STATUS(Set(Key, L"Value", REG_BINARY, Data, sizeof(Data)), STATUS_SUCCESS);
    for (ULONG Size = 0; Size <= Full + 8; Size++) {
        ULONG Copied = Size < Full ? Size : Full;
        ULONG Length = 0;
        NTSTATUS Status;

        RtlFillMemory(&Buffer, sizeof(Buffer), 0xEE);
        Status = Query(Key, L"Value", Size == 0 ? NULL : (PVOID)&Buffer, Size, &Length);
        CHECK(Status == (Size < HEADER ? STATUS_BUFFER_TOO_SMALL
                         : Size < Full ? STATUS_BUFFER_OVERFLOW
                                       : STATUS_SUCCESS));
        CHECK(Length == Full); /* what is needed, or what was given */
        for (ULONG Index = Copied; Index < sizeof(Buffer); Index++)
            CHECK(Buffer.Bytes[Index] == 0xEE);
        if (Status == STATUS_BUFFER_TOO_SMALL)
            continue;
        CHECK(Buffer.Partial.Type == REG_BINARY && Buffer.Partial.DataLength == sizeof(Data));
        CHECK(RtlCompareMemory(Buffer.Partial.Data, Data, Copied - HEADER) == Copied - HEADER);
    }
    EndKey(Key);
}

static VOID ValueInformationClasses(VOID)
{
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"Value");
    union {
        KEY_VALUE_FULL_INFORMATION Full;
        KEY_VALUE_BASIC_INFORMATION Basic;
        UCHAR Bytes[128];
    } Buffer;
    HANDLE Key = BeginKey();
    ULONG Data = 77;
    ULONG Length = 0;

    EXPECT_STATUS(Set(Key, L"Value", REG_DWORD, &Data, sizeof(Data)), STATUS_SUCCESS);
    EXPECT_STATUS(ZwQueryValueKey(Key, &Name, KeyValueFullInformation, &Buffer, sizeof(Buffer), &Length),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Buffer.Full.Type, REG_DWORD);
    EXPECT_EQUAL(Buffer.Full.NameLength, Name.Length); /* in bytes, without a terminating zero */
    EXPECT_TRUE(SameName(Buffer.Full.Name, Buffer.Full.NameLength, L"Value"));
    EXPECT_TRUE(Buffer.Full.DataOffset >= (ULONG)FIELD_OFFSET(KEY_VALUE_FULL_INFORMATION, Name) + Name.Length);
    EXPECT_EQUAL(Buffer.Full.DataLength, sizeof(Data));
    EXPECT_EQUAL(RtlCompareMemory(Buffer.Bytes + Buffer.Full.DataOffset, &Data, sizeof(Data)), sizeof(Data));
    EXPECT_EQUAL(Length - Buffer.Full.DataOffset, Buffer.Full.DataLength);
    EXPECT_STATUS(ZwQueryValueKey(Key, &Name, KeyValueBasicInformation, &Buffer, sizeof(Buffer), &Length),
                  STATUS_SUCCESS);
    EXPECT_EQUAL(Buffer.Basic.Type, REG_DWORD);
    EXPECT_EQUAL(Length, FIELD_OFFSET(KEY_VALUE_BASIC_INFORMATION, Name) + Name.Length);
    EXPECT_STATUS(ZwQueryValueKey(Key, &Name, (KEY_VALUE_INFORMATION_CLASS)0x7777, &Buffer, sizeof(Buffer), &Length),
                  STATUS_INVALID_PARAMETER);
    EndKey(Key);
}

/* ---- enumeration ---- */

static VOID KeysAndValuesEnumerated(VOID)
{
    static const PCWSTR Names[] = {L"Alpha", L"Beta", L"Gamma-long-name"};
    union {
        KEY_BASIC_INFORMATION Basic;
        KEY_FULL_INFORMATION Full;
        KEY_VALUE_BASIC_INFORMATION Value;
        UCHAR Bytes[256];
    } Buffer;
    HANDLE Key = BeginKey();
    ULONG Keys = 0;
    ULONG Values = 0;
    ULONG Length = 0;
    HANDLE Child[3];

    for (ULONG Index = 0; Index < 3; Index++) {
        CHECK(NT_SUCCESS(Create(Key, Names[Index], 0, &Child[Index], NULL)));
        CHECK(NT_SUCCESS(Set(Key, Names[Index], REG_BINARY, Names, 4 * (Index + 1))));
    }
    EXPECT_STATUS(ZwQueryKey(Key, KeyFullInformation, &Buffer, sizeof(Buffer), &Length), STATUS_SUCCESS);
    EXPECT_EQUAL(Buffer.Full.SubKeys, 3);
    EXPECT_EQUAL(Buffer.Full.Values, 3);
    EXPECT_EQUAL(Buffer.Full.MaxNameLen, 15 * sizeof(WCHAR));
    EXPECT_EQUAL(Buffer.Full.MaxValueNameLen, 15 * sizeof(WCHAR));
    EXPECT_EQUAL(Buffer.Full.MaxValueDataLen, 12);
    EXPECT_STATUS(ZwQueryKey(Key, KeyBasicInformation, &Buffer, sizeof(Buffer), &Length), STATUS_SUCCESS);
    EXPECT_TRUE(SameName(Buffer.Basic.Name, Buffer.Basic.NameLength, L"Test"));
    EXPECT_STATUS(ZwQueryKey(Key, KeyBasicInformation, NULL, 0, &Length), STATUS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(ZwQueryKey(Key, KeyBasicInformation, &Buffer, Length - 1, &Length), STATUS_BUFFER_OVERFLOW);
    EXPECT_STATUS(ZwQueryKey(Key, (KEY_INFORMATION_CLASS)0x7777, &Buffer, sizeof(Buffer), &Length),
                  STATUS_INVALID_PARAMETER);

    for (ULONG Index = 0; Index < 3; Index++) { /* each once, in whatever order */
        CHECK(NT_SUCCESS(ZwEnumerateKey(Key, Index, KeyBasicInformation, &Buffer, sizeof(Buffer), &Length)));
        CHECK(Length == FIELD_OFFSET(KEY_BASIC_INFORMATION, Name) + Buffer.Basic.NameLength);
        for (ULONG Name = 0; Name < 3; Name++)
            if (SameName(Buffer.Basic.Name, Buffer.Basic.NameLength, Names[Name]))
                Keys |= 1u << Name;
        CHECK(NT_SUCCESS(ZwEnumerateValueKey(Key, Index, KeyValueBasicInformation, &Buffer, sizeof(Buffer), &Length)));
        for (ULONG Name = 0; Name < 3; Name++)
            if (SameName(Buffer.Value.Name, Buffer.Value.NameLength, Names[Name]))
                Values |= 1u << Name;
    }
    EXPECT_EQUAL(Keys, 7);
    EXPECT_EQUAL(Values, 7);
    EXPECT_STATUS(ZwEnumerateKey(Key, 3, KeyBasicInformation, &Buffer, sizeof(Buffer), &Length),
                  STATUS_NO_MORE_ENTRIES);
    EXPECT_STATUS(ZwEnumerateValueKey(Key, 3, KeyValueBasicInformation, &Buffer, sizeof(Buffer), &Length),
                  STATUS_NO_MORE_ENTRIES);
    EXPECT_STATUS(ZwEnumerateKey(Key, 0, KeyBasicInformation, NULL, 0, &Length), STATUS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(ZwEnumerateKey(Key, 0, KeyBasicInformation, &Buffer, Length - 1, &Length), STATUS_BUFFER_OVERFLOW);
    EXPECT_STATUS(ZwEnumerateKey(Key, 0, KeyBasicInformation, &Buffer, Length, &Length), STATUS_SUCCESS);
    EXPECT_STATUS(ZwEnumerateKey(Key, 0, (KEY_INFORMATION_CLASS)0x7777, &Buffer, sizeof(Buffer), &Length),
                  STATUS_INVALID_PARAMETER);
    EXPECT_STATUS(ZwEnumerateValueKey(Key, 0, KeyValueBasicInformation, NULL, 0, &Length), STATUS_BUFFER_TOO_SMALL);
    EXPECT_STATUS(ZwEnumerateValueKey(Key, 0, KeyValueBasicInformation, &Buffer, Length - 1, &Length),
                  STATUS_BUFFER_OVERFLOW);
    EXPECT_STATUS(ZwEnumerateValueKey(Key, 0, (KEY_VALUE_INFORMATION_CLASS)0x7777, &Buffer, sizeof(Buffer), &Length),
                  STATUS_INVALID_PARAMETER);
    for (ULONG Index = 0; Index < 3; Index++)
        EndKey(Child[Index]);
    EndKey(Key);
}

TEST_TABLE(cm_key){TEST(KeysCreatedAndOpened, 0),
                   TEST(KeysDeleted, 0),
                   TEST(KeysVolatile, 0),
                   TEST(KeysOfNoHandle, 0),
                   TEST(ValuesOfEveryType, 0),
                   TEST(ValueBufferSizes, 0),
                   TEST(ValueInformationClasses, 0),
                   TEST(KeysAndValuesEnumerated, 0),
                   TEST_END};
