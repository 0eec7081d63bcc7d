/*
 * RtlQueryRegistryValues, after its page in Microsoft's wdm.h reference: a table of entries, each a value, all values
 * of a key, or a change of key; each value goes to a routine or straight into the caller's variable (DIRECT), with
 * REG_MULTI_SZ taken apart and REG_EXPAND_SZ expanded unless NOEXPAND says otherwise, and with defaults for values that
 * are missing.
 */
#include "nt/rtl/registry.h"
#include "nt/verifier/lock.h"

#define DIRECT RTL_QUERY_REGISTRY_DIRECT
#define KNOWN_FLAGS                                                                                                    \
    (RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_TOPKEY | RTL_QUERY_REGISTRY_REQUIRED |                             \
     RTL_QUERY_REGISTRY_NOVALUE | RTL_QUERY_REGISTRY_NOEXPAND | RTL_QUERY_REGISTRY_DIRECT |                            \
     RTL_QUERY_REGISTRY_DELETE | RTL_QUERY_REGISTRY_TYPECHECK)

struct query {
    const RTL_QUERY_REGISTRY_TABLE *entry;
    HANDLE top; /* NULL: an optional key that is not there */
    HANDLE key; /* the current one; top, or a subkey of it */
    PVOID context;
    const WCHAR *environment; /* NAME=value strings, each closed by a zero, or NULL */
};

static bool is_string(ULONG type)
{
    return type == REG_SZ || type == REG_EXPAND_SZ || type == REG_MULTI_SZ;
}

static PVOID allocate(SIZE_T size)
{
    return ExAllocatePoolWithTag(PagedPool, size, RTL_REGISTRY_TAG);
}

/* ---- DIRECT ---- */

static NTSTATUS store_string(PUNICODE_STRING target, const void *data, ULONG size)
{
    if (size > UNICODE_STRING_MAX_BYTES)
        return STATUS_BUFFER_OVERFLOW;
    if (target->Buffer == NULL) {
        target->Buffer = ExAllocatePoolWithTag(PagedPool, size != 0 ? size : sizeof(WCHAR), RTL_STRING_TAG);
        if (target->Buffer == NULL)
            return STATUS_NO_MEMORY;
        target->MaximumLength = (USHORT)(size != 0 ? size : sizeof(WCHAR));
    } else if (size > target->MaximumLength) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    memcpy(target->Buffer, data, size);
    target->Length = (USHORT)size;
    /* The registry's terminating zero is kept and not counted. */
    if (size >= sizeof(WCHAR) && target->Buffer[size / sizeof(WCHAR) - 1] == 0)
        target->Length = (USHORT)(size - sizeof(WCHAR));
    return STATUS_SUCCESS;
}

/*
 * Not a string: up to four bytes are stored as they are. For more, the caller's buffer begins with its size as a LONG;
 * negative: the data alone is stored, positive: its length, its type, the data.
 */
static NTSTATUS store_data(PVOID target, ULONG type, const void *data, ULONG size)
{
    LONG announced;
    ULONG room;

    if (size <= sizeof(ULONG)) {
        memcpy(target, data, size);
        return STATUS_SUCCESS;
    }
    memcpy(&announced, target, sizeof(announced));
    room = announced < 0 ? 0u - (ULONG)announced : (ULONG)announced;
    if (announced < 0) {
        if (room < size)
            return STATUS_BUFFER_TOO_SMALL;
        memcpy(target, data, size);
        return STATUS_SUCCESS;
    }
    if (room < 2 * sizeof(ULONG) || room - 2 * sizeof(ULONG) < size)
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(target, &size, sizeof(ULONG));
    memcpy((PUCHAR)target + sizeof(ULONG), &type, sizeof(ULONG));
    memcpy((PUCHAR)target + 2 * sizeof(ULONG), data, size);
    return STATUS_SUCCESS;
}

/* One value, or one string of it, to where the entry says. */
static NTSTATUS deliver_one(const struct query *query, PWSTR name, ULONG type, PVOID data, ULONG size)
{
    const RTL_QUERY_REGISTRY_TABLE *entry = query->entry;

    if ((entry->Flags & DIRECT) == 0)
        return DRIVER_CALLOUT("QueryRoutine", entry->QueryRoutine, name, type, data, size, query->context,
                              entry->EntryContext);
    return is_string(type) ? store_string(entry->EntryContext, data, size)
                           : store_data(entry->EntryContext, type, data, size);
}

/* ---- expansion ---- */

/* Variables that exist without an environment block. */
static const struct {
    const WCHAR *name;
    const WCHAR *value;
} built_in[] = {
    {L"SystemRoot", L"C:\\Windows"},
    {L"windir", L"C:\\Windows"},
    {L"SystemDrive", L"C:"},
};

/* The value of the variable (not terminated, *value_length characters), NULL if there is none. */
static const WCHAR *variable(const struct query *query, const WCHAR *name, size_t length, size_t *value_length)
{
    const WCHAR *value = NULL;

    for (const WCHAR *text = query->environment; text != NULL && *text != 0; text += nt_wcslen(text) + 1) {
        if (nt_wcsnicmp(text, name, length) == 0 && text[length] == L'=')
            value = text + length + 1;
    }
    for (size_t index = 0; value == NULL && index < ARRAYSIZE(built_in); index++) {
        if (nt_wcslen(built_in[index].name) == length && nt_wcsnicmp(built_in[index].name, name, length) == 0)
            value = built_in[index].value;
    }
    if (value != NULL)
        *value_length = nt_wcslen(value);
    return value;
}

/* Writes the expansion (target NULL: only measures). Returns its length in characters. Unknown %names% stay. */
static size_t expand(const struct query *query, const WCHAR *source, size_t length, WCHAR *target)
{
    size_t used = 0, index = 0;

    while (index < length) {
        size_t end = index + 1, count = 1;
        const WCHAR *piece = source + index;

        if (source[index] == L'%') {
            const WCHAR *value;

            while (end < length && source[end] != L'%')
                end++;
            value = end < length ? variable(query, source + index + 1, end - index - 1, &count) : NULL;
            if (value != NULL) {
                piece = value;
                index = end;
            }
        }
        if (target != NULL)
            memcpy(target + used, piece, count * sizeof(WCHAR));
        used += count;
        index++;
    }
    return used;
}

static NTSTATUS deliver_expanded(const struct query *query, PWSTR name, PVOID data, ULONG size)
{
    size_t length = expand(query, data, size / sizeof(WCHAR), NULL);
    WCHAR *text = allocate((length + 1) * sizeof(WCHAR));
    NTSTATUS status;

    if (text == NULL)
        return STATUS_NO_MEMORY;
    expand(query, data, size / sizeof(WCHAR), text);
    text[length] = 0;
    status = deliver_one(query, name, REG_SZ, text, (ULONG)(length * sizeof(WCHAR)));
    ExFreePoolWithTag(text, RTL_REGISTRY_TAG);
    return status;
}

/* Each string of a REG_MULTI_SZ as a REG_SZ. */
static NTSTATUS deliver_each(const struct query *query, PWSTR name, PVOID data, ULONG size)
{
    WCHAR *text = data;
    size_t left = size / sizeof(WCHAR);
    NTSTATUS status = STATUS_SUCCESS;

    while (NT_SUCCESS(status) && left > 0 && *text != 0) {
        size_t length = nt_wcsnlen(text, left);
        size_t with_end = length < left ? length + 1 : length;

        status = deliver_one(query, name, REG_SZ, text, (ULONG)(with_end * sizeof(WCHAR)));
        text += with_end;
        left -= with_end;
    }
    return status;
}

static NTSTATUS deliver(const struct query *query, PWSTR name, ULONG type, PVOID data, ULONG size)
{
    const RTL_QUERY_REGISTRY_TABLE *entry = query->entry;

    if ((entry->Flags & RTL_QUERY_REGISTRY_TYPECHECK) != 0 &&
        entry->DefaultType >> RTL_QUERY_REGISTRY_TYPECHECK_SHIFT != type)
        return STATUS_OBJECT_TYPE_MISMATCH;
    if ((entry->Flags & RTL_QUERY_REGISTRY_NOEXPAND) == 0) {
        if (type == REG_MULTI_SZ && (entry->Flags & DIRECT) != 0)
            nt_violation(
                "registry-query",
                "RtlQueryRegistryValues: a REG_MULTI_SZ for a DIRECT entry without RTL_QUERY_REGISTRY_NOEXPAND");
        if (type == REG_MULTI_SZ)
            return deliver_each(query, name, data, size);
        if (type == REG_EXPAND_SZ)
            return deliver_expanded(query, name, data, size);
    }
    return deliver_one(query, name, type, data, size);
}

/* ---- one value ---- */

/* The default of an entry whose value is missing. A string's length may be left to be counted. */
static NTSTATUS deliver_default(const struct query *query)
{
    const RTL_QUERY_REGISTRY_TABLE *entry = query->entry;
    ULONG type = entry->DefaultType & ~RTL_QUERY_REGISTRY_TYPECHECK_MASK;
    ULONG size = entry->DefaultLength;

    if (type == REG_NONE)
        return STATUS_SUCCESS;
    if (size == 0 && is_string(type)) {
        const WCHAR *text = entry->DefaultData;

        if (type == REG_MULTI_SZ)
            while (*text != 0)
                text += nt_wcslen(text) + 1;
        else
            text += nt_wcslen(text);
        size = (ULONG)((PUCHAR)(text + 1) - (PUCHAR)entry->DefaultData);
    }
    return deliver_one(query, entry->Name, type, entry->DefaultData, size);
}

/* Reads a value of any size: full information in paged pool. */
static NTSTATUS read_value(HANDLE key, PUNICODE_STRING name, KEY_VALUE_FULL_INFORMATION **information)
{
    ULONG size = 256, needed;
    NTSTATUS status;

    for (;;) {
        *information = allocate(size);
        if (*information == NULL)
            return STATUS_NO_MEMORY;
        status = ZwQueryValueKey(key, name, KeyValueFullInformation, *information, size, &needed);
        if (NT_SUCCESS(status))
            return status;
        ExFreePoolWithTag(*information, RTL_REGISTRY_TAG);
        if (status != STATUS_BUFFER_OVERFLOW && status != STATUS_BUFFER_TOO_SMALL)
            return status;
        size = needed;
    }
}

/* The registry's string data need not be terminated; what is handed on is, behind its length. */
static NTSTATUS deliver_value(const struct query *query, PWSTR name, const KEY_VALUE_FULL_INFORMATION *information)
{
    PUCHAR copy = allocate(information->DataLength + sizeof(WCHAR));
    NTSTATUS status;

    if (copy == NULL)
        return STATUS_NO_MEMORY;
    memcpy(copy, (const UCHAR *)information + information->DataOffset, information->DataLength);
    memset(copy + information->DataLength, 0, sizeof(WCHAR));
    status = deliver(query, name, information->Type, copy, information->DataLength);
    ExFreePoolWithTag(copy, RTL_REGISTRY_TAG);
    return status;
}

static NTSTATUS query_one(const struct query *query)
{
    const RTL_QUERY_REGISTRY_TABLE *entry = query->entry;
    KEY_VALUE_FULL_INFORMATION *information;
    NTSTATUS status = STATUS_OBJECT_NAME_NOT_FOUND;
    UNICODE_STRING name;

    RtlInitUnicodeString(&name, entry->Name);
    if (query->key != NULL)
        status = read_value(query->key, &name, &information);
    if (status == STATUS_OBJECT_NAME_NOT_FOUND)
        return (entry->Flags & RTL_QUERY_REGISTRY_REQUIRED) != 0 ? status : deliver_default(query);
    if (!NT_SUCCESS(status))
        return status;
    status = deliver_value(query, entry->Name, information);
    ExFreePoolWithTag(information, RTL_REGISTRY_TAG);
    if (NT_SUCCESS(status) && (entry->Flags & RTL_QUERY_REGISTRY_DELETE) != 0)
        status = ZwDeleteValueKey(query->key, &name);
    return status;
}

/* ---- all values of a key ---- */

/* The name of value `index`, terminated, in paged pool. */
static NTSTATUS value_name(HANDLE key, ULONG index, PUNICODE_STRING name)
{
    KEY_VALUE_BASIC_INFORMATION *information;
    ULONG size = 0;
    NTSTATUS status = ZwEnumerateValueKey(key, index, KeyValueBasicInformation, NULL, 0, &size);

    if (status != STATUS_BUFFER_TOO_SMALL)
        return status;
    information = allocate(size);
    if (information == NULL)
        return STATUS_NO_MEMORY;
    status = ZwEnumerateValueKey(key, index, KeyValueBasicInformation, information, size, &size);
    if (NT_SUCCESS(status)) {
        name->Buffer = allocate(information->NameLength + sizeof(WCHAR));
        if (name->Buffer == NULL) {
            status = STATUS_NO_MEMORY;
        } else {
            memcpy(name->Buffer, information->Name, information->NameLength);
            name->Buffer[information->NameLength / sizeof(WCHAR)] = 0;
            name->Length = (USHORT)information->NameLength;
            name->MaximumLength = (USHORT)(information->NameLength + sizeof(WCHAR));
        }
    }
    ExFreePoolWithTag(information, RTL_REGISTRY_TAG);
    return status;
}

static NTSTATUS query_all(const struct query *query)
{
    bool required = (query->entry->Flags & RTL_QUERY_REGISTRY_REQUIRED) != 0;
    bool remove = (query->entry->Flags & RTL_QUERY_REGISTRY_DELETE) != 0;
    NTSTATUS status = STATUS_SUCCESS;
    ULONG index = 0, seen = 0;

    while (query->key != NULL && NT_SUCCESS(status)) {
        KEY_VALUE_FULL_INFORMATION *information;
        UNICODE_STRING name;

        status = value_name(query->key, index, &name);
        if (status == STATUS_NO_MORE_ENTRIES) {
            status = STATUS_SUCCESS;
            break;
        }
        if (!NT_SUCCESS(status))
            break;
        status = read_value(query->key, &name, &information);
        if (NT_SUCCESS(status)) {
            seen++;
            status = deliver_value(query, name.Buffer, information);
            ExFreePoolWithTag(information, RTL_REGISTRY_TAG);
        }
        if (NT_SUCCESS(status) && remove)
            status = ZwDeleteValueKey(query->key, &name);
        else
            index++;
        ExFreePoolWithTag(name.Buffer, RTL_REGISTRY_TAG);
    }
    return NT_SUCCESS(status) && seen == 0 && required ? STATUS_OBJECT_NAME_NOT_FOUND : status;
}

/* ---- the table ---- */

static void leave_subkey(struct query *query)
{
    if (query->key != NULL && query->key != query->top)
        ZwClose(query->key);
    query->key = query->top;
}

static NTSTATUS enter_subkey(struct query *query)
{
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    HANDLE key;
    NTSTATUS status;

    if (query->entry->Name == NULL)
        return STATUS_INVALID_PARAMETER;
    if (query->top == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    RtlInitUnicodeString(&name, query->entry->Name);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, query->top, NULL);
    status = ZwOpenKey(&key, KEY_READ | KEY_WRITE, &attributes);
    if (NT_SUCCESS(status))
        query->key = key;
    return status;
}

static NTSTATUS process(struct query *query)
{
    const RTL_QUERY_REGISTRY_TABLE *entry = query->entry;
    ULONG flags = entry->Flags;
    NTSTATUS status;

    if ((flags & ~KNOWN_FLAGS) != 0)
        nt_violation("not-implemented", "RtlQueryRegistryValues: flags 0x%X of a table entry are not implemented",
                     flags & ~KNOWN_FLAGS);
    if ((flags & DIRECT) != 0 &&
        (entry->Name == NULL || entry->QueryRoutine != NULL || (flags & RTL_QUERY_REGISTRY_SUBKEY) != 0))
        return STATUS_INVALID_PARAMETER;
    if ((flags & (RTL_QUERY_REGISTRY_TOPKEY | RTL_QUERY_REGISTRY_SUBKEY)) != 0)
        leave_subkey(query);
    if ((flags & RTL_QUERY_REGISTRY_SUBKEY) != 0) {
        status = enter_subkey(query);
        return NT_SUCCESS(status) && entry->QueryRoutine != NULL ? query_all(query) : status;
    }
    if (entry->Name != NULL)
        return query_one(query);
    if ((flags & RTL_QUERY_REGISTRY_NOVALUE) != 0)
        return DRIVER_CALLOUT("QueryRoutine", entry->QueryRoutine, NULL, REG_NONE, NULL, 0, query->context,
                              entry->EntryContext);
    return query_all(query);
}

NTSTATUS NTAPI RtlQueryRegistryValues(ULONG RelativeTo, PCWSTR Path, PRTL_QUERY_REGISTRY_TABLE QueryTable,
                                      PVOID Context, PVOID Environment)
{
    struct query query = {.entry = QueryTable, .context = Context, .environment = Environment};
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = rtl_registry_open(RelativeTo, Path, false, &query.top);
    if (status == STATUS_OBJECT_NAME_NOT_FOUND && (RelativeTo & RTL_REGISTRY_OPTIONAL) != 0) {
        query.top = NULL;
        status = STATUS_SUCCESS;
    }
    query.key = query.top;
    while (NT_SUCCESS(status) &&
           (query.entry->QueryRoutine != NULL || (query.entry->Flags & (RTL_QUERY_REGISTRY_SUBKEY | DIRECT)) != 0)) {
        status = process(&query);
        query.entry++;
    }
    if (query.key != query.top)
        leave_subkey(&query);
    if (query.top != NULL)
        rtl_registry_close(RelativeTo, query.top);
    return status;
}
