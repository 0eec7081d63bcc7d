/* RtlQueryRegistryValues and the Rtl registry routines around it, after their pages in the wdm.h reference. */
#include "guest_threads.h"

#include "machine/census.h"
#include "nt/cm/cm.h"

#define TEST_KEY CM_SERVICES "\\Test"

struct seen {
    unsigned count;
    WCHAR name[8][16];
    ULONG type[8];
    WCHAR text[8][32];
    ULONG size[8];
    PVOID context;
    PVOID entry_context;
    NTSTATUS answer;
};

static NTSTATUS NTAPI record(PWSTR ValueName, ULONG ValueType, PVOID ValueData, ULONG ValueLength, PVOID Context,
                             PVOID EntryContext)
{
    struct seen *seen = Context;
    unsigned index = seen->count++;

    ck_assert_uint_lt(index, 8);
    if (ValueName != NULL)
        wcsncpy(seen->name[index], ValueName, 15);
    seen->type[index] = ValueType;
    seen->size[index] = ValueLength;
    if (ValueData != NULL)
        memcpy(seen->text[index], ValueData, ValueLength < 60 ? ValueLength : 60);
    seen->context = Context;
    seen->entry_context = EntryContext;
    return seen->answer;
}

static struct cm_key *fill(void)
{
    static const char *const strings[] = {"one", "two", "three"};
    static const UCHAR bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    struct cm_key *key = cm_key_create(TEST_KEY);

    cm_value_set_string(key, "Text", REG_SZ, "hello");
    cm_value_set_string(key, "Path", REG_EXPAND_SZ, "%SystemRoot%\\x;%Unknown%;100%");
    cm_value_set_multi(key, "Multi", strings, 3);
    cm_value_set_dword(key, "Number", 0x12345678);
    cm_value_set(key, "Bytes", REG_BINARY, bytes, sizeof(bytes));
    cm_value_set_dword(cm_key_create(TEST_KEY "\\Sub"), "Inner", 7);
    return key;
}

static NTSTATUS query(PRTL_QUERY_REGISTRY_TABLE table, PVOID context)
{
    return RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"Test", table, context, NULL);
}

static NTSTATUS query_value(struct seen *seen, PWSTR name, ULONG flags)
{
    RTL_QUERY_REGISTRY_TABLE table[2] = {{.QueryRoutine = record, .Flags = flags, .Name = name, .EntryContext = table}};

    memset(seen, 0, sizeof(*seen));
    return query(table, seen);
}

/* ---- routines ---- */

static void one_value(void *argument)
{
    struct seen seen;

    (void)argument;
    fill();
    ck_assert_int_eq(query_value(&seen, L"text", 0), STATUS_SUCCESS);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_uint_eq(seen.type[0], REG_SZ);
    ck_assert_uint_eq(seen.size[0], sizeof(L"hello"));
    ck_assert_int_eq(wcscmp(seen.text[0], L"hello"), 0);
    ck_assert_ptr_eq(seen.context, &seen);
    ck_assert_ptr_nonnull(seen.entry_context);

    ck_assert_int_eq(query_value(&seen, L"Path", 0), STATUS_SUCCESS); /* known variables are expanded, others stay */
    ck_assert_uint_eq(seen.type[0], REG_SZ);
    ck_assert_int_eq(wcscmp(seen.text[0], L"C:\\Windows\\x;%Unknown%;100%"), 0);
    ck_assert_int_eq(query_value(&seen, L"Path", RTL_QUERY_REGISTRY_NOEXPAND), STATUS_SUCCESS);
    ck_assert_uint_eq(seen.type[0], REG_EXPAND_SZ);
    ck_assert_int_eq(wcsncmp(seen.text[0], L"%SystemRoot%", 12), 0);

    ck_assert_int_eq(query_value(&seen, L"Multi", 0), STATUS_SUCCESS); /* a call a string */
    ck_assert_uint_eq(seen.count, 3);
    ck_assert_uint_eq(seen.type[2], REG_SZ);
    ck_assert_int_eq(wcscmp(seen.text[2], L"three"), 0);
    ck_assert_int_eq(query_value(&seen, L"Multi", RTL_QUERY_REGISTRY_NOEXPAND), STATUS_SUCCESS);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_uint_eq(seen.type[0], REG_MULTI_SZ);
    ck_assert_uint_eq(seen.size[0], sizeof(L"one\0two\0three\0"));
}

START_TEST(test_one_value)
{
    guest_run(one_value, NULL);
}
END_TEST

static void missing_values(void *argument)
{
    struct seen seen = {0};
    ULONG number = 5;
    RTL_QUERY_REGISTRY_TABLE table[3] = {{.QueryRoutine = record, .Name = L"Absent"}};

    (void)argument;
    fill();
    ck_assert_int_eq(query(table, &seen), STATUS_SUCCESS); /* no default: nothing happens */
    ck_assert_uint_eq(seen.count, 0);
    table[0].Flags = RTL_QUERY_REGISTRY_REQUIRED;
    ck_assert_int_eq(query(table, &seen), STATUS_OBJECT_NAME_NOT_FOUND);
    table[0].Flags = 0;
    table[0].DefaultType = REG_SZ;
    table[0].DefaultData = L"default";
    ck_assert_int_eq(query(table, &seen), STATUS_SUCCESS);
    ck_assert_uint_eq(seen.size[0], sizeof(L"default"));
    table[0] = (RTL_QUERY_REGISTRY_TABLE){.Flags = RTL_QUERY_REGISTRY_DIRECT,
                                          .Name = L"Absent",
                                          .EntryContext = &number,
                                          .DefaultType = REG_DWORD,
                                          .DefaultData = &(ULONG){42},
                                          .DefaultLength = sizeof(ULONG)};
    ck_assert_int_eq(query(table, NULL), STATUS_SUCCESS);
    ck_assert_uint_eq(number, 42);
    ck_assert_int_eq(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"Nowhere", table, NULL, NULL),
                     STATUS_OBJECT_NAME_NOT_FOUND);
    number = 5;
    ck_assert_int_eq(
        RtlQueryRegistryValues(RTL_REGISTRY_SERVICES | RTL_REGISTRY_OPTIONAL, L"Nowhere", table, NULL, NULL),
        STATUS_SUCCESS);
    ck_assert_uint_eq(number, 42);
}

START_TEST(test_missing_values)
{
    guest_run(missing_values, NULL);
}
END_TEST

static void enumeration(void *argument)
{
    struct seen seen = {0};
    RTL_QUERY_REGISTRY_TABLE table[4] = {
        {.QueryRoutine = record, .Flags = RTL_QUERY_REGISTRY_SUBKEY, .Name = L"Sub"}, /* all values of the subkey */
        {.QueryRoutine = record, .Name = L"Inner"},                                   /* still below it */
        {.QueryRoutine = record, .Flags = RTL_QUERY_REGISTRY_TOPKEY, .Name = L"Number"},
    };

    (void)argument;
    fill();
    ck_assert_int_eq(query(table, &seen), STATUS_SUCCESS);
    ck_assert_uint_eq(seen.count, 3);
    ck_assert_int_eq(wcscmp(seen.name[0], L"Inner"), 0);
    ck_assert_int_eq(wcscmp(seen.name[1], L"Inner"), 0);
    ck_assert_int_eq(wcscmp(seen.name[2], L"Number"), 0);

    memset(&seen, 0, sizeof(seen)); /* no name: all of the key, the REG_MULTI_SZ a string at a time */
    memset(table, 0, sizeof(table));
    table[0].QueryRoutine = record;
    ck_assert_int_eq(query(table, &seen), STATUS_SUCCESS);
    ck_assert_uint_eq(seen.count, 7);

    memset(&seen, 0, sizeof(seen)); /* a routine's failure ends it and is returned */
    seen.answer = STATUS_NO_SUCH_DEVICE;
    ck_assert_int_eq(query(table, &seen), STATUS_NO_SUCH_DEVICE);
    ck_assert_uint_eq(seen.count, 1);

    memset(&seen, 0, sizeof(seen));
    table[0].Flags = RTL_QUERY_REGISTRY_NOVALUE;
    ck_assert_int_eq(query(table, &seen), STATUS_SUCCESS);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert_uint_eq(seen.type[0], REG_NONE);
}

START_TEST(test_enumeration)
{
    guest_run(enumeration, NULL);
}
END_TEST

static void deletion(void *argument)
{
    struct cm_key *key = fill();
    struct seen seen;
    RTL_QUERY_REGISTRY_TABLE table[2] = {{.QueryRoutine = record, .Flags = RTL_QUERY_REGISTRY_DELETE}};

    (void)argument;
    ck_assert_int_eq(query_value(&seen, L"Text", RTL_QUERY_REGISTRY_DELETE), STATUS_SUCCESS);
    ck_assert_int_eq(wcscmp(seen.text[0], L"hello"), 0);
    ck_assert_ptr_null(cm_value_get(key, "Text", NULL, NULL));
    memset(&seen, 0, sizeof(seen));
    ck_assert_int_eq(query(table, &seen), STATUS_SUCCESS);
    ck_assert_ptr_null(cm_value_name(key, 0)); /* all of them are gone */
    table[0].Flags |= RTL_QUERY_REGISTRY_REQUIRED;
    ck_assert_int_eq(query(table, &seen), STATUS_OBJECT_NAME_NOT_FOUND);
}

START_TEST(test_deletion)
{
    guest_run(deletion, NULL);
}
END_TEST

/* ---- DIRECT ---- */

static NTSTATUS direct(PWSTR name, PVOID target, ULONG flags, ULONG type)
{
    RTL_QUERY_REGISTRY_TABLE table[2] = {
        {.Flags = RTL_QUERY_REGISTRY_DIRECT | flags, .Name = name, .EntryContext = target, .DefaultType = type}};

    return query(table, NULL);
}

static void direct_values(void *argument)
{
    WCHAR room[3];
    UNICODE_STRING string = {0}, small = {0, sizeof(room), room};
    union {
        LONG size;
        ULONG words[5];
        UCHAR bytes[20];
    } buffer;
    ULONG number = 0;

    (void)argument;
    fill();
    ck_assert_int_eq(direct(L"Number", &number, 0, 0), STATUS_SUCCESS);
    ck_assert_uint_eq(number, 0x12345678);
    ck_assert_int_eq(direct(L"Text", &string, 0, 0), STATUS_SUCCESS); /* no buffer: one comes from pool */
    ck_assert_uint_eq(string.Length, 10);
    ck_assert_int_eq(wcscmp(string.Buffer, L"hello"), 0);
    RtlFreeUnicodeString(&string);
    ck_assert_int_eq(direct(L"Text", &small, 0, 0), STATUS_BUFFER_TOO_SMALL);
    ck_assert_int_eq(direct(L"Multi", &string, RTL_QUERY_REGISTRY_NOEXPAND, 0), STATUS_SUCCESS);
    ck_assert_int_eq(wcscmp(string.Buffer + 4, L"two"), 0);
    RtlFreeUnicodeString(&string);

    buffer.size = -(LONG)sizeof(buffer); /* the data alone */
    ck_assert_int_eq(direct(L"Bytes", &buffer, 0, 0), STATUS_SUCCESS);
    ck_assert(buffer.bytes[0] == 1 && buffer.bytes[8] == 9);
    buffer.size = sizeof(buffer); /* length, type, data */
    ck_assert_int_eq(direct(L"Bytes", &buffer, 0, 0), STATUS_SUCCESS);
    ck_assert(buffer.words[0] == 9 && buffer.words[1] == REG_BINARY && buffer.bytes[8] == 1 && buffer.bytes[16] == 9);
    buffer.size = 16; /* one byte too few */
    ck_assert_int_eq(direct(L"Bytes", &buffer, 0, 0), STATUS_BUFFER_TOO_SMALL);
    buffer.size = -8;
    ck_assert_int_eq(direct(L"Bytes", &buffer, 0, 0), STATUS_BUFFER_TOO_SMALL);

    ck_assert_int_eq(
        direct(L"Number", &number, RTL_QUERY_REGISTRY_TYPECHECK, (ULONG)REG_SZ << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT),
        STATUS_OBJECT_TYPE_MISMATCH);
    ck_assert_int_eq(direct(L"Number", &number, RTL_QUERY_REGISTRY_TYPECHECK,
                            (ULONG)REG_DWORD << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT),
                     STATUS_SUCCESS);
    ck_assert_int_eq(direct(NULL, &number, 0, 0), STATUS_INVALID_PARAMETER);
}

START_TEST(test_direct_values)
{
    guest_run(direct_values, NULL);
}
END_TEST

static void direct_multi(void *argument)
{
    UNICODE_STRING string = {0};

    (void)argument;
    fill();
    (void)direct(L"Multi", &string, 0, 0);
}

START_TEST(test_direct_multi_needs_noexpand)
{
    must_break(1, direct_multi, "registry-query");
}
END_TEST

/* ---- writing ---- */

static void writing(void *argument)
{
    ULONG number = 3, value;
    struct cm_key *key;
    HANDLE handle;

    (void)argument;
    key = fill();
    ck_assert_int_eq(
        RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, L"Test\\New", L"Number", REG_DWORD, &number, sizeof(number)),
        STATUS_SUCCESS); /* the last component is made */
    ck_assert(cm_value_get_dword(cm_key_open(TEST_KEY "\\New"), "Number", &value) && value == 3);
    ck_assert_int_eq(
        RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, L"Test\\No\\Such", L"Number", REG_DWORD, &number, sizeof(number)),
        STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, L"Test\\New"), STATUS_SUCCESS);
    ck_assert_int_eq(RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, L"Test\\Other"), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(RtlCreateRegistryKey(RTL_REGISTRY_SERVICES, L"Test\\Other"), STATUS_SUCCESS);
    ck_assert_ptr_nonnull(cm_key_open(TEST_KEY "\\Other"));
    ck_assert_int_eq(RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, L"Test", L"Text"), STATUS_SUCCESS);
    ck_assert_int_eq(RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, L"Test", L"Text"), STATUS_OBJECT_NAME_NOT_FOUND);
    ck_assert_int_eq(cm_key_handle(key, &handle), STATUS_SUCCESS);
    ck_assert_int_eq(
        RtlWriteRegistryValue(RTL_REGISTRY_HANDLE, handle, L"ByHandle", REG_DWORD, &number, sizeof(number)),
        STATUS_SUCCESS);
    ck_assert(cm_value_get_dword(key, "ByHandle", &value));
    ck_assert_int_eq(ZwClose(handle), STATUS_SUCCESS); /* it was left open */
    ck_assert_int_eq(RtlCheckRegistryKey(RTL_REGISTRY_MAXIMUM, L"x"), STATUS_INVALID_PARAMETER);
}

START_TEST(test_writing)
{
    guest_run(writing, NULL);
}
END_TEST

/* ---- balance ---- */

static void report_leak(void *context, const char *kind, const char *name, uint64_t count, const void *caller)
{
    (void)context;
    (void)caller;
    ck_abort_msg("%s %s: %llu left", kind, name, (unsigned long long)count);
}

static void everything(void *argument)
{
    struct census *before = census_take(), *after;

    one_value(argument);
    missing_values(argument);
    enumeration(argument);
    direct_values(argument);
    writing(argument);
    deletion(argument);
    after = census_take();
    ck_assert_uint_eq(census_compare(before, after, report_leak, NULL), 0);
    census_free(before);
    census_free(after);
}

START_TEST(test_nothing_is_left)
{
    guest_run(everything, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/registry-query");
    TCase *tcase = tcase_create("RtlQueryRegistryValues");

    tcase_add_test(tcase, test_one_value);
    tcase_add_test(tcase, test_missing_values);
    tcase_add_test(tcase, test_enumeration);
    tcase_add_test(tcase, test_deletion);
    tcase_add_test(tcase, test_direct_values);
    tcase_add_test(tcase, test_direct_multi_needs_noexpand);
    tcase_add_test(tcase, test_writing);
    tcase_add_test(tcase, test_nothing_is_left);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
