/* The registry routines that drivers call. All at PASSIVE_LEVEL. */
#include <string.h>
#include <strings.h>

#include "nt/cm/cm_internal.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob.h"

static void key_closed(void *body)
{
    struct cm_key_object *object = body;

    object->key->references--;
    cm_key_free_if_unused(object->key);
}

NTSTATUS cm_key_handle(struct cm_key *key, PHANDLE handle)
{
    struct cm_key_object *object = ob_create(OB_KEY, sizeof(*object), key_closed);
    NTSTATUS status;
    object->key = key;
    key->references++;
    status = ob_handle_create(object, handle);
    ob_dereference(object);
    return status;
}

/* The key of a handle: STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, or STATUS_KEY_DELETED. */
static NTSTATUS key_of(HANDLE handle, struct cm_key **key)
{
    void *body;
    NTSTATUS status = ob_handle_lookup(handle, &body);

    if (!NT_SUCCESS(status))
        return status;
    if (ob_type_of(body) != OB_KEY)
        status = STATUS_OBJECT_TYPE_MISMATCH;
    else if (((struct cm_key_object *)body)->key->deleted)
        status = STATUS_KEY_DELETED;
    else
        *key = ((struct cm_key_object *)body)->key;
    ob_dereference(body); /* the handle keeps it */
    return status;
}

struct cm_key *cm_key_of_handle(HANDLE handle)
{
    struct cm_key *key;

    return NT_SUCCESS(key_of(handle, &key)) ? key : NULL;
}

static char *to_utf8(PCUNICODE_STRING string)
{
    return cm_utf8_from_utf16(string->Buffer, string->Length / sizeof(WCHAR));
}

/* Where a path begins: the root directory's key, or the root for an absolute path; `path` moves behind "\Registry". */
static NTSTATUS starting_key(POBJECT_ATTRIBUTES attributes, const char **path, struct cm_key **key)
{
    static const char root[] = "\\Registry\\";
    size_t length = sizeof(root) - 1;

    if (attributes->RootDirectory != NULL) {
        if (**path == '\\')
            return STATUS_OBJECT_PATH_SYNTAX_BAD;
        return key_of(attributes->RootDirectory, key);
    }
    if (**path != '\\')
        return STATUS_OBJECT_PATH_SYNTAX_BAD;
    if (strncasecmp(*path, root, length) != 0)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    *path += length;
    *key = machine->cm->root;
    return STATUS_SUCCESS;
}

static NTSTATUS open_key(PHANDLE handle, POBJECT_ATTRIBUTES attributes)
{
    char *name;
    const char *path;
    struct cm_key *key;
    NTSTATUS status;

    path = name = to_utf8(attributes->ObjectName);
    status = starting_key(attributes, &path, &key);
    if (NT_SUCCESS(status)) {
        key = cm_key_open_at(key, path);
        status = key != NULL ? cm_key_handle(key, handle) : STATUS_OBJECT_NAME_NOT_FOUND;
    }
    image_free(name);
    eventlog_add(EVENT_REGISTRY, 1, (uint32_t)status, 0);
    return status;
}

NTSTATUS NTAPI ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes)
{
    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    UNREFERENCED_PARAMETER(DesiredAccess); /* the system process may do everything */
    return open_key(KeyHandle, ObjectAttributes);
}

/* The options: a symbolic link itself, of which there is none; and access by privilege, which the system has anyway. */
NTSTATUS NTAPI ZwOpenKeyEx(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                           ULONG OpenOptions)
{
    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    UNREFERENCED_PARAMETER(DesiredAccess);
    if ((OpenOptions & ~(ULONG)(REG_OPTION_OPEN_LINK | REG_OPTION_BACKUP_RESTORE)) != 0)
        return STATUS_INVALID_PARAMETER;
    return open_key(KeyHandle, ObjectAttributes);
}

NTSTATUS NTAPI ZwCreateKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                           ULONG TitleIndex, PUNICODE_STRING Class, ULONG CreateOptions, PULONG Disposition)
{
    char *name;
    const char *path;
    struct cm_key *parent;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    UNREFERENCED_PARAMETER(DesiredAccess);
    UNREFERENCED_PARAMETER(TitleIndex); /* documented: must be zero, not used */
    UNREFERENCED_PARAMETER(Class);      /* documented: not used by drivers, NULL */
    path = name = to_utf8(ObjectAttributes->ObjectName);
    status = starting_key(ObjectAttributes, &path, &parent);
    if (NT_SUCCESS(status)) {
        const char *slash = strrchr(path, '\\');
        const char *last = slash != NULL ? slash + 1 : path;
        struct cm_key *key = cm_key_open_at(parent, path);
        ULONG disposition = REG_OPENED_EXISTING_KEY;

        if (key == NULL) {
            /* ZwCreateKey makes the last component only. */
            if (slash != NULL) {
                char *above = image_printf("%.*s", (int)(slash - path), path);

                parent = cm_key_open_at(parent, above);
                image_free(above);
            }
            if (parent == NULL) {
                status = STATUS_OBJECT_NAME_NOT_FOUND;
            } else if (parent->is_volatile && (CreateOptions & REG_OPTION_VOLATILE) == 0) {
                status = STATUS_CHILD_MUST_BE_VOLATILE;
            } else {
                key = cm_child_create(parent, last, strlen(last));
                key->is_volatile = (CreateOptions & REG_OPTION_VOLATILE) != 0;
                disposition = REG_CREATED_NEW_KEY;
            }
        }
        if (NT_SUCCESS(status))
            status = cm_key_handle(key, KeyHandle);
        if (NT_SUCCESS(status) && Disposition != NULL)
            *Disposition = disposition;
    }
    image_free(name);
    eventlog_add(EVENT_REGISTRY, 2, (uint32_t)status, 0);
    return status;
}

NTSTATUS NTAPI ZwDeleteKey(HANDLE KeyHandle)
{
    struct cm_key *key;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = key_of(KeyHandle, &key);
    if (NT_SUCCESS(status) && !IsListEmpty(&key->children))
        status = STATUS_CANNOT_DELETE;
    if (NT_SUCCESS(status))
        cm_key_delete(key);
    eventlog_add(EVENT_REGISTRY, 3, (uint32_t)status, 0);
    return status;
}

NTSTATUS NTAPI ZwFlushKey(HANDLE KeyHandle)
{
    struct cm_key *key;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    return key_of(KeyHandle, &key); /* the registry is memory: there is nothing behind it to write to */
}

/* ---- information ---- */

/*
 * Copies a record of a fixed part and a name or data behind it by the documented rules: a buffer that cannot hold the
 * fixed part gets STATUS_BUFFER_TOO_SMALL, one that cannot hold the rest gets what fits and STATUS_BUFFER_OVERFLOW.
 */
static NTSTATUS copy_out(PVOID buffer, ULONG length, PULONG result_length, const void *fixed, size_t fixed_size,
                         size_t tail_offset, const void *tail, size_t tail_size)
{
    size_t needed = tail_offset + tail_size;

    *result_length = (ULONG)needed;
    if (length < fixed_size)
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(buffer, fixed, fixed_size < tail_offset || tail_size == 0 ? fixed_size : tail_offset);
    if (tail_size > 0 && length > tail_offset)
        memcpy((uint8_t *)buffer + tail_offset, tail,
               length - tail_offset < tail_size ? length - tail_offset : tail_size);
    return length < needed ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

struct key_sizes {
    ULONG subkeys, values, max_name, max_value_name, max_value_data;
};

static void raise_to(ULONG *maximum, size_t size)
{
    if (size > *maximum)
        *maximum = (ULONG)size;
}

static size_t utf16_bytes(const char *name)
{
    size_t length;
    WCHAR *text = cm_utf16_from_utf8(name, &length);

    image_free(text);
    return length * sizeof(WCHAR);
}

static struct key_sizes measure(const struct cm_key *key)
{
    struct key_sizes sizes = {0};

    for (PLIST_ENTRY entry = key->children.Flink; entry != &key->children; entry = entry->Flink) {
        sizes.subkeys++;
        raise_to(&sizes.max_name, utf16_bytes(CONTAINING_RECORD(entry, struct cm_key, entry)->name));
    }
    for (PLIST_ENTRY entry = key->values.Flink; entry != &key->values; entry = entry->Flink) {
        const struct cm_value *value = CONTAINING_RECORD(entry, struct cm_value, entry);

        sizes.values++;
        raise_to(&sizes.max_value_name, utf16_bytes(value->name));
        raise_to(&sizes.max_value_data, value->size);
    }
    return sizes;
}

static NTSTATUS key_information(const struct cm_key *key, KEY_INFORMATION_CLASS class, bool full_name, PVOID buffer,
                                ULONG length, PULONG result_length)
{
    char *path = full_name && class == KeyNameInformation ? cm_key_path(key) : image_strdup(key->name);
    size_t characters;
    WCHAR *name = cm_utf16_from_utf8(path, &characters);
    size_t name_size = characters * sizeof(WCHAR);
    struct key_sizes sizes = measure(key);
    NTSTATUS status;

    switch (class) {
    case KeyBasicInformation: {
        KEY_BASIC_INFORMATION basic = {.LastWriteTime.QuadPart = (LONGLONG)key->written,
                                       .NameLength = (ULONG)name_size};

        status = copy_out(buffer, length, result_length, &basic, FIELD_OFFSET(KEY_BASIC_INFORMATION, Name),
                          FIELD_OFFSET(KEY_BASIC_INFORMATION, Name), name, name_size);
        break;
    }
    case KeyNodeInformation: {
        KEY_NODE_INFORMATION node = {
            .LastWriteTime.QuadPart = (LONGLONG)key->written, .ClassOffset = (ULONG)-1, .NameLength = (ULONG)name_size};

        status = copy_out(buffer, length, result_length, &node, FIELD_OFFSET(KEY_NODE_INFORMATION, Name),
                          FIELD_OFFSET(KEY_NODE_INFORMATION, Name), name, name_size);
        break;
    }
    case KeyFullInformation: {
        KEY_FULL_INFORMATION full = {.LastWriteTime.QuadPart = (LONGLONG)key->written,
                                     .ClassOffset = (ULONG)-1,
                                     .SubKeys = sizes.subkeys,
                                     .MaxNameLen = sizes.max_name,
                                     .Values = sizes.values,
                                     .MaxValueNameLen = sizes.max_value_name,
                                     .MaxValueDataLen = sizes.max_value_data};

        status = copy_out(buffer, length, result_length, &full, FIELD_OFFSET(KEY_FULL_INFORMATION, Class),
                          FIELD_OFFSET(KEY_FULL_INFORMATION, Class), NULL, 0);
        break;
    }
    case KeyNameInformation: {
        KEY_NAME_INFORMATION named = {.NameLength = (ULONG)name_size};

        status = copy_out(buffer, length, result_length, &named, FIELD_OFFSET(KEY_NAME_INFORMATION, Name),
                          FIELD_OFFSET(KEY_NAME_INFORMATION, Name), name, name_size);
        break;
    }
    default:
        status = STATUS_INVALID_PARAMETER;
        break;
    }
    image_free(name);
    image_free(path);
    return status;
}

NTSTATUS NTAPI ZwQueryKey(HANDLE KeyHandle, KEY_INFORMATION_CLASS KeyInformationClass, PVOID KeyInformation,
                          ULONG Length, PULONG ResultLength)
{
    struct cm_key *key;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = key_of(KeyHandle, &key);
    if (!NT_SUCCESS(status))
        return status;
    return key_information(key, KeyInformationClass, true, KeyInformation, Length, ResultLength);
}

NTSTATUS NTAPI ZwEnumerateKey(HANDLE KeyHandle, ULONG Index, KEY_INFORMATION_CLASS KeyInformationClass,
                              PVOID KeyInformation, ULONG Length, PULONG ResultLength)
{
    struct cm_key *key;
    const struct cm_key *child;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = key_of(KeyHandle, &key);
    if (!NT_SUCCESS(status))
        return status;
    child = cm_key_child(key, Index);
    if (child == NULL)
        return STATUS_NO_MORE_ENTRIES;
    if (KeyInformationClass == KeyNameInformation)
        return STATUS_INVALID_PARAMETER;
    return key_information(child, KeyInformationClass, false, KeyInformation, Length, ResultLength);
}

static NTSTATUS value_information(const struct cm_value *value, KEY_VALUE_INFORMATION_CLASS class, PVOID buffer,
                                  ULONG length, PULONG result_length)
{
    size_t characters;
    WCHAR *name = cm_utf16_from_utf8(value->name, &characters);
    size_t name_size = characters * sizeof(WCHAR);
    NTSTATUS status;

    switch (class) {
    case KeyValueBasicInformation: {
        KEY_VALUE_BASIC_INFORMATION basic = {.Type = value->type, .NameLength = (ULONG)name_size};

        status = copy_out(buffer, length, result_length, &basic, FIELD_OFFSET(KEY_VALUE_BASIC_INFORMATION, Name),
                          FIELD_OFFSET(KEY_VALUE_BASIC_INFORMATION, Name), name, name_size);
        break;
    }
    case KeyValueFullInformation: {
        size_t name_offset = FIELD_OFFSET(KEY_VALUE_FULL_INFORMATION, Name);
        size_t data_offset = (name_offset + name_size + 7) & ~(size_t)7;
        KEY_VALUE_FULL_INFORMATION full = {.Type = value->type,
                                           .DataOffset = (ULONG)data_offset,
                                           .DataLength = (ULONG)value->size,
                                           .NameLength = (ULONG)name_size};
        uint8_t *tail = image_alloc(data_offset - name_offset + value->size + 1);

        memcpy(tail, name, name_size);
        memcpy(tail + (data_offset - name_offset), value->data, value->size);
        status = copy_out(buffer, length, result_length, &full, name_offset, name_offset, tail,
                          data_offset - name_offset + value->size);
        image_free(tail);
        break;
    }
    case KeyValuePartialInformation: {
        KEY_VALUE_PARTIAL_INFORMATION partial = {.Type = value->type, .DataLength = (ULONG)value->size};

        status = copy_out(buffer, length, result_length, &partial, FIELD_OFFSET(KEY_VALUE_PARTIAL_INFORMATION, Data),
                          FIELD_OFFSET(KEY_VALUE_PARTIAL_INFORMATION, Data), value->data, value->size);
        break;
    }
    default:
        status = STATUS_INVALID_PARAMETER;
        break;
    }
    image_free(name);
    return status;
}

static NTSTATUS find_value(HANDLE handle, PUNICODE_STRING name, struct cm_key **key, struct cm_value **value)
{
    NTSTATUS status = key_of(handle, key);
    char *text;

    if (!NT_SUCCESS(status))
        return status;
    text = to_utf8(name);
    *value = cm_value_find(*key, text);
    image_free(text);
    return *value != NULL ? STATUS_SUCCESS : STATUS_OBJECT_NAME_NOT_FOUND;
}

NTSTATUS NTAPI ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName,
                               KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass, PVOID KeyValueInformation,
                               ULONG Length, PULONG ResultLength)
{
    struct cm_key *key;
    struct cm_value *value;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = find_value(KeyHandle, ValueName, &key, &value);
    if (!NT_SUCCESS(status))
        return status;
    return value_information(value, KeyValueInformationClass, KeyValueInformation, Length, ResultLength);
}

NTSTATUS NTAPI ZwEnumerateValueKey(HANDLE KeyHandle, ULONG Index, KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass,
                                   PVOID KeyValueInformation, ULONG Length, PULONG ResultLength)
{
    struct cm_key *key;
    const struct cm_value *value;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = key_of(KeyHandle, &key);
    if (!NT_SUCCESS(status))
        return status;
    value = cm_value_at(key, Index);
    if (value == NULL)
        return STATUS_NO_MORE_ENTRIES;
    return value_information(value, KeyValueInformationClass, KeyValueInformation, Length, ResultLength);
}

NTSTATUS NTAPI ZwSetValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, ULONG TitleIndex, ULONG Type, PVOID Data,
                             ULONG DataSize)
{
    struct cm_key *key;
    char *name;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    UNREFERENCED_PARAMETER(TitleIndex); /* documented: must be zero, not used */
    status = key_of(KeyHandle, &key);
    if (NT_SUCCESS(status)) {
        name = to_utf8(ValueName);
        cm_value_set(key, name, Type, Data, DataSize);
        image_free(name);
    }
    eventlog_add(EVENT_REGISTRY, 4, (uint32_t)status, 0);
    return status;
}

NTSTATUS NTAPI ZwDeleteValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName)
{
    struct cm_key *key;
    struct cm_value *value;
    NTSTATUS status;

    NT_CALL(PASSIVE_LEVEL);
    if (FAULT(REGISTRY))
        return STATUS_INSUFFICIENT_RESOURCES;
    status = find_value(KeyHandle, ValueName, &key, &value);
    if (NT_SUCCESS(status))
        cm_value_delete(key, value->name);
    eventlog_add(EVENT_REGISTRY, 5, (uint32_t)status, 0);
    return status;
}
