/*
 * The registry, after ZwCreateKey, ZwOpenKey, ZwDeleteKey, ZwSetValueKey, ZwQueryValueKey, ZwEnumerateKey,
 * ZwEnumerateValueKey, ZwQueryKey and ZwDeleteValueKey of wdm.h.
 */
#include "guest_threads.h"

#define PARENT L"\\Registry\\Machine\\System\\CurrentControlSet\\Services"
#define HEADER ((ULONG)FIELD_OFFSET(KEY_VALUE_PARTIAL_INFORMATION, Data))

static UNICODE_STRING string(const WCHAR *text)
{
    UNICODE_STRING result;

    RtlInitUnicodeString(&result, text);
    return result;
}

static NTSTATUS create(HANDLE root, const WCHAR *path, ACCESS_MASK access, ULONG options, HANDLE *key,
                       ULONG *disposition)
{
    UNICODE_STRING name = string(path);
    OBJECT_ATTRIBUTES attributes;

    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, root, NULL);
    return ZwCreateKey(key, access, &attributes, 0, NULL, options, disposition);
}

static NTSTATUS open(HANDLE root, const WCHAR *path, ACCESS_MASK access, HANDLE *key)
{
    UNICODE_STRING name = string(path);
    OBJECT_ATTRIBUTES attributes;

    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, root, NULL);
    return ZwOpenKey(key, access, &attributes);
}

static HANDLE test_key(void)
{
    HANDLE key;

    ck_assert_int_eq(create(NULL, PARENT L"\\Test", KEY_ALL_ACCESS, REG_OPTION_NON_VOLATILE, &key, NULL),
                     STATUS_SUCCESS);
    return key;
}

static NTSTATUS set(HANDLE key, const WCHAR *value, ULONG type, const void *data, ULONG size)
{
    UNICODE_STRING name = string(value);

    return ZwSetValueKey(key, &name, 0, type, (PVOID)(ULONG_PTR)data, size);
}

static NTSTATUS query(HANDLE key, const WCHAR *value, void *information, ULONG size, ULONG *length)
{
    UNICODE_STRING name = string(value);

    return ZwQueryValueKey(key, &name, KeyValuePartialInformation, information, size, length);
}

/* ---- keys ---- */

static void keys(void *argument)
{
    ULONG disposition;
    HANDLE key;
    HANDLE child;

    (void)argument;
    ck_assert_int_eq(open(NULL, PARENT L"\\Test", KEY_READ, &key), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(create(NULL, PARENT L"\\Test\\Child", KEY_READ, 0, &key, NULL), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(create(NULL, PARENT L"\\Test", KEY_ALL_ACCESS, 0, &key, &disposition), STATUS_SUCCESS);
    ck_assert_uint_eq(disposition, REG_CREATED_NEW_KEY);
    ck_assert_int_eq(create(key, L"Child", KEY_ALL_ACCESS, 0, &child, &disposition), STATUS_SUCCESS); /* relative */
    ck_assert_uint_eq(disposition, REG_CREATED_NEW_KEY);
    ck_assert_int_eq(ZwClose(child), STATUS_SUCCESS);
    ck_assert_int_eq(create(NULL, PARENT L"\\TEST\\cHILD", KEY_READ, 0, &child, &disposition), STATUS_SUCCESS);
    ck_assert_uint_eq(disposition, REG_OPENED_EXISTING_KEY); /* names have no case */
    ck_assert_int_eq(ZwClose(child), STATUS_SUCCESS);
    ck_assert_int_eq(open(key, L"Child\\Deeper", KEY_READ, &child), STATUS_OBJECT_NAME_NOT_FOUND);

    /* CurrentControlSet is a link. */
    ck_assert_int_eq(open(NULL, L"\\Registry\\Machine\\System\\ControlSet001\\Services\\Test\\Child", KEY_READ, &child),
                     STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(child), STATUS_SUCCESS);
    ck_assert_int_eq(ZwFlushKey(key), STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(key), STATUS_SUCCESS);
}

START_TEST(test_keys)
{
    guest_run(keys, NULL);
}
END_TEST

static void deletion(void *argument)
{
    HANDLE key = test_key();
    ULONG data = 1;
    HANDLE child;
    HANDLE again;

    (void)argument;
    ck_assert_int_eq(create(key, L"Child", KEY_ALL_ACCESS, 0, &child, NULL), STATUS_SUCCESS);
    ck_assert_int_eq(ZwDeleteKey(key), STATUS_CANNOT_DELETE); /* it has a subkey */
    ck_assert_int_eq(open(key, L"Child", KEY_READ, &again), STATUS_SUCCESS);
    ck_assert_int_eq(ZwDeleteKey(child), STATUS_SUCCESS);
    ck_assert_int_eq(set(child, L"Value", REG_DWORD, &data, sizeof(data)), STATUS_KEY_DELETED); /* every handle of it */
    ck_assert_int_eq(query(again, L"Value", NULL, 0, &data), STATUS_KEY_DELETED);
    ck_assert_int_eq(ZwClose(again), STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(child), STATUS_SUCCESS);
    ck_assert_int_eq(open(key, L"Child", KEY_READ, &child), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(set(key, L"Value", REG_DWORD, &data, sizeof(data)), STATUS_SUCCESS);
    ck_assert_int_eq(ZwDeleteKey(key), STATUS_SUCCESS); /* values go with it */
    ck_assert_int_eq(ZwClose(key), STATUS_SUCCESS);
    ck_assert_int_eq(open(NULL, PARENT L"\\Test", KEY_READ, &key), STATUS_OBJECT_NAME_NOT_FOUND);
}

START_TEST(test_deletion)
{
    guest_run(deletion, NULL);
}
END_TEST

static void volatility(void *argument)
{
    HANDLE key = test_key();
    HANDLE kept;
    HANDLE child;

    (void)argument;
    ck_assert_int_eq(create(key, L"Volatile", KEY_ALL_ACCESS, REG_OPTION_VOLATILE, &kept, NULL), STATUS_SUCCESS);
    ck_assert_int_eq(create(kept, L"Child", KEY_ALL_ACCESS, REG_OPTION_NON_VOLATILE, &child, NULL),
                     STATUS_CHILD_MUST_BE_VOLATILE);
    ck_assert_int_eq(create(kept, L"Child", KEY_ALL_ACCESS, REG_OPTION_VOLATILE, &child, NULL), STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(child), STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(kept), STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(key), STATUS_SUCCESS);
}

START_TEST(test_volatility)
{
    guest_run(volatility, NULL);
}
END_TEST

static void no_handles(void *argument)
{
    ULONG length;

    (void)argument;
    ck_assert_int_eq(query((HANDLE)(ULONG_PTR)0x7FFC, L"Value", NULL, 0, &length), STATUS_INVALID_HANDLE);
    ck_assert_int_eq(ZwDeleteKey(NULL), STATUS_INVALID_HANDLE);
    ck_assert_int_eq(ZwFlushKey((HANDLE)(ULONG_PTR)0x7FFC), STATUS_INVALID_HANDLE);
}

START_TEST(test_no_handles)
{
    guest_run(no_handles, NULL);
}
END_TEST

/* ---- values ---- */

static void values(void *argument)
{
    static const ULONG dword = 0x12345678;
    static const ULONGLONG qword = 0x123456789ABCDEF0;
    static const WCHAR text[] = L"text";
    static const WCHAR multi[] = L"one\0two\0";
    static const UCHAR binary[] = {0, 1, 2, 0xFF, 0};
    static const struct {
        const WCHAR *name;
        ULONG type;
        const void *data;
        ULONG size;
    } cases[] = {
        {L"Dword", REG_DWORD, &dword, sizeof(dword)},
        {L"Qword", REG_QWORD, &qword, sizeof(qword)},
        {L"String", REG_SZ, text, sizeof(text)},
        {L"Expand", REG_EXPAND_SZ, text, sizeof(text)},
        {L"Multi", REG_MULTI_SZ, multi, sizeof(multi)},
        {L"Binary", REG_BINARY, binary, sizeof(binary)},
        {L"None", REG_NONE, NULL, 0},
        {L"", REG_SZ, text, sizeof(text)}, /* the key's default value */
        {L"Odd", 0x1234, binary, 3},       /* any number is a type */
    };
    UCHAR buffer[128];
    KEY_VALUE_PARTIAL_INFORMATION *partial = (void *)buffer;
    HANDLE key = test_key();
    UNICODE_STRING name;
    ULONG length;

    (void)argument;
    for (unsigned i = 0; i < RTL_NUMBER_OF(cases); i++)
        ck_assert_int_eq(set(key, cases[i].name, cases[i].type, cases[i].data, cases[i].size), STATUS_SUCCESS);
    for (unsigned i = 0; i < RTL_NUMBER_OF(cases); i++) {
        ck_assert_int_eq(query(key, cases[i].name, buffer, sizeof(buffer), &length), STATUS_SUCCESS);
        ck_assert_uint_eq(length, HEADER + cases[i].size);
        ck_assert_uint_eq(partial->Type, cases[i].type);
        ck_assert_uint_eq(partial->DataLength, cases[i].size);
        ck_assert(cases[i].size == 0 || memcmp(partial->Data, cases[i].data, cases[i].size) == 0);
    }
    ck_assert_int_eq(query(key, L"DWORD", buffer, sizeof(buffer), &length), STATUS_SUCCESS);
    ck_assert_int_eq(query(key, L"Missing", buffer, sizeof(buffer), &length), STATUS_OBJECT_NAME_NOT_FOUND);

    ck_assert_int_eq(set(key, L"Dword", REG_SZ, text, sizeof(text)), STATUS_SUCCESS); /* replaces data and type */
    ck_assert_int_eq(query(key, L"Dword", buffer, sizeof(buffer), &length), STATUS_SUCCESS);
    ck_assert_uint_eq(partial->Type, REG_SZ);
    ck_assert_uint_eq(partial->DataLength, sizeof(text));

    name = string(L"binary");
    ck_assert_int_eq(ZwDeleteValueKey(key, &name), STATUS_SUCCESS);
    ck_assert_int_eq(ZwDeleteValueKey(key, &name), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(query(key, L"Binary", buffer, sizeof(buffer), &length), STATUS_OBJECT_NAME_NOT_FOUND);
    (void)ZwClose(key);
}

START_TEST(test_values)
{
    guest_run(values, NULL);
}
END_TEST

/* Every length of buffer: too small for the fixed part, big enough for that but not for the data, enough. */
static void sizes(void *argument)
{
    static const UCHAR data[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    UCHAR buffer[64];
    KEY_VALUE_PARTIAL_INFORMATION *partial = (void *)buffer;
    HANDLE key = test_key();
    ULONG full = HEADER + sizeof(data);
    ULONG length;

    (void)argument;
    ck_assert_int_eq(set(key, L"Value", REG_BINARY, data, sizeof(data)), STATUS_SUCCESS);
    for (ULONG size = 0; size <= full + 8; size++) {
        NTSTATUS expected = size < HEADER ? STATUS_BUFFER_TOO_SMALL
                            : size < full ? STATUS_BUFFER_OVERFLOW
                                          : STATUS_SUCCESS;

        memset(buffer, 0xEE, sizeof(buffer));
        length = 0;
        ck_assert_int_eq(query(key, L"Value", size == 0 ? NULL : buffer, size, &length), expected);
        ck_assert_uint_eq(length, full); /* what is needed, or what was given */
        for (ULONG i = size < full ? size : full; i < sizeof(buffer); i++)
            ck_assert_uint_eq(buffer[i], 0xEE);
        if (expected == STATUS_BUFFER_TOO_SMALL)
            continue;
        ck_assert_uint_eq(partial->Type, REG_BINARY);
        ck_assert_uint_eq(partial->DataLength, sizeof(data));
        ck_assert(memcmp(partial->Data, data, (size < full ? size : full) - HEADER) == 0);
    }
    (void)ZwClose(key);
}

START_TEST(test_sizes)
{
    guest_run(sizes, NULL);
}
END_TEST

static void full_information(void *argument)
{
    UNICODE_STRING name = string(L"Value");
    UCHAR buffer[128];
    KEY_VALUE_FULL_INFORMATION *full = (void *)buffer;
    KEY_VALUE_BASIC_INFORMATION *basic = (void *)buffer;
    HANDLE key = test_key();
    ULONG data = 77;
    ULONG length;

    (void)argument;
    ck_assert_int_eq(set(key, L"Value", REG_DWORD, &data, sizeof(data)), STATUS_SUCCESS);
    ck_assert_int_eq(ZwQueryValueKey(key, &name, KeyValueFullInformation, buffer, sizeof(buffer), &length),
                     STATUS_SUCCESS);
    ck_assert_uint_eq(full->Type, REG_DWORD);
    ck_assert_uint_eq(full->NameLength, name.Length); /* in bytes, without a terminating zero */
    ck_assert(memcmp(full->Name, name.Buffer, name.Length) == 0);
    ck_assert_uint_ge(full->DataOffset, FIELD_OFFSET(KEY_VALUE_FULL_INFORMATION, Name) + name.Length);
    ck_assert_uint_eq(full->DataLength, sizeof(data));
    ck_assert(memcmp(buffer + full->DataOffset, &data, sizeof(data)) == 0);
    ck_assert_uint_eq(length, full->DataOffset + full->DataLength);
    ck_assert_int_eq(ZwQueryValueKey(key, &name, KeyValueBasicInformation, buffer, sizeof(buffer), &length),
                     STATUS_SUCCESS);
    ck_assert_uint_eq(basic->Type, REG_DWORD);
    ck_assert_uint_eq(basic->NameLength, name.Length);
    ck_assert_uint_eq(length, FIELD_OFFSET(KEY_VALUE_BASIC_INFORMATION, Name) + name.Length);
    (void)ZwClose(key);
}

START_TEST(test_full_information)
{
    guest_run(full_information, NULL);
}
END_TEST

/* ---- enumeration ---- */

static void enumeration(void *argument)
{
    static const WCHAR *const names[] = {L"Alpha", L"Beta", L"Gamma-long-name"};
    UCHAR buffer[256];
    KEY_BASIC_INFORMATION *basic = (void *)buffer;
    KEY_FULL_INFORMATION *full = (void *)buffer;
    KEY_VALUE_BASIC_INFORMATION *value = (void *)buffer;
    HANDLE key = test_key();
    unsigned seen_keys = 0;
    unsigned seen_values = 0;
    ULONG length;
    HANDLE child;

    (void)argument;
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(create(key, names[i], KEY_ALL_ACCESS, 0, &child, NULL), STATUS_SUCCESS);
        (void)ZwClose(child);
        ck_assert_int_eq(set(key, names[i], REG_BINARY, names, 4 * (i + 1)), STATUS_SUCCESS);
    }
    ck_assert_int_eq(ZwQueryKey(key, KeyFullInformation, buffer, sizeof(buffer), &length), STATUS_SUCCESS);
    ck_assert_uint_eq(full->SubKeys, 3);
    ck_assert_uint_eq(full->Values, 3);
    ck_assert_uint_eq(full->MaxNameLen, 15 * sizeof(WCHAR));
    ck_assert_uint_eq(full->MaxValueNameLen, 15 * sizeof(WCHAR));
    ck_assert_uint_eq(full->MaxValueDataLen, 12);

    for (ULONG i = 0; i < 3; i++) { /* each once, in whatever order */
        ck_assert_int_eq(ZwEnumerateKey(key, i, KeyBasicInformation, buffer, sizeof(buffer), &length), STATUS_SUCCESS);
        for (unsigned j = 0; j < 3; j++)
            if (basic->NameLength == string(names[j]).Length && memcmp(basic->Name, names[j], basic->NameLength) == 0)
                seen_keys |= 1u << j;
        ck_assert_uint_eq(length, FIELD_OFFSET(KEY_BASIC_INFORMATION, Name) + basic->NameLength);
        ck_assert_int_eq(ZwEnumerateValueKey(key, i, KeyValueBasicInformation, buffer, sizeof(buffer), &length),
                         STATUS_SUCCESS);
        for (unsigned j = 0; j < 3; j++)
            if (value->NameLength == string(names[j]).Length && memcmp(value->Name, names[j], value->NameLength) == 0)
                seen_values |= 1u << j;
    }
    ck_assert_uint_eq(seen_keys, 7);
    ck_assert_uint_eq(seen_values, 7);
    ck_assert_int_eq(ZwEnumerateKey(key, 3, KeyBasicInformation, buffer, sizeof(buffer), &length),
                     STATUS_NO_MORE_ENTRIES);
    ck_assert_int_eq(ZwEnumerateValueKey(key, 3, KeyValueBasicInformation, buffer, sizeof(buffer), &length),
                     STATUS_NO_MORE_ENTRIES);

    ck_assert_int_eq(ZwEnumerateKey(key, 0, KeyBasicInformation, NULL, 0, &length), STATUS_BUFFER_TOO_SMALL);
    ck_assert_int_eq(ZwEnumerateKey(key, 0, KeyBasicInformation, buffer, length - 1, &length), STATUS_BUFFER_OVERFLOW);
    ck_assert_int_eq(ZwEnumerateKey(key, 0, KeyBasicInformation, buffer, length, &length), STATUS_SUCCESS);
    (void)ZwClose(key);
}

START_TEST(test_enumeration)
{
    guest_run(enumeration, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/registry");
    TCase *tcase = tcase_create("registry");

    tcase_add_test(tcase, test_keys);
    tcase_add_test(tcase, test_deletion);
    tcase_add_test(tcase, test_volatility);
    tcase_add_test(tcase, test_no_handles);
    tcase_add_test(tcase, test_values);
    tcase_add_test(tcase, test_sizes);
    tcase_add_test(tcase, test_full_information);
    tcase_add_test(tcase, test_enumeration);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
