/* Values of keys, and conversions of their strings. */
#include <string.h>
#include <strings.h>

#include "nt/cm/cm_internal.h"

char *cm_utf8_from_utf16(const WCHAR *string, size_t length)
{
    char *text = image_alloc(length * 3 + 1);
    size_t used = 0;

    for (size_t index = 0; index < length; index++) {
        unsigned c = string[index];

        if (c < 0x80) {
            text[used++] = (char)c;
        } else if (c < 0x800) {
            text[used++] = (char)(0xc0 | c >> 6);
            text[used++] = (char)(0x80 | (c & 0x3f));
        } else {
            /* Surrogates come out one by one: names are compared, never shown to a terminal as such. */
            text[used++] = (char)(0xe0 | c >> 12);
            text[used++] = (char)(0x80 | (c >> 6 & 0x3f));
            text[used++] = (char)(0x80 | (c & 0x3f));
        }
    }
    return text;
}

WCHAR *cm_utf16_from_utf8(const char *string, size_t *length)
{
    const uint8_t *in = (const uint8_t *)string;
    WCHAR *text = image_alloc((strlen(string) + 1) * sizeof(WCHAR));
    size_t used = 0;

    while (*in != 0) {
        unsigned c = *in++;

        if (c >= 0xe0 && (in[0] & 0xc0) == 0x80 && (in[1] & 0xc0) == 0x80) {
            c = (c & 0x0f) << 12 | (in[0] & 0x3fu) << 6 | (in[1] & 0x3fu);
            in += 2;
        } else if (c >= 0xc0 && (in[0] & 0xc0) == 0x80) {
            c = (c & 0x1f) << 6 | (in[0] & 0x3fu);
            in += 1;
        }
        text[used++] = (WCHAR)c;
    }
    if (length != NULL)
        *length = used;
    return text;
}

struct cm_value *cm_value_find(const struct cm_key *key, const char *name)
{
    uint32_t hash = cm_name_hash(name, strlen(name));

    for (PLIST_ENTRY entry = key->values.Flink; entry != &key->values; entry = entry->Flink) {
        struct cm_value *value = CONTAINING_RECORD(entry, struct cm_value, entry);

        if (value->hash == hash && strcasecmp(value->name, name) == 0)
            return value;
    }
    return NULL;
}

struct cm_value *cm_value_at(const struct cm_key *key, unsigned index)
{
    PLIST_ENTRY entry = key->values.Flink;

    while (entry != &key->values && index-- > 0)
        entry = entry->Flink;
    return entry != &key->values ? CONTAINING_RECORD(entry, struct cm_value, entry) : NULL;
}

void cm_value_set(struct cm_key *key, const char *name, ULONG type, const void *data, size_t size)
{
    struct cm_value *value = cm_value_find(key, name);
    uint8_t *copy = image_alloc(size + sizeof(WCHAR));

    if (size > 0)
        memcpy(copy, data, size);
    if (value == NULL) {
        value = image_alloc(sizeof(*value));
        value->name = image_strdup(name);
        value->hash = cm_name_hash(name, strlen(name));
        InsertTailList(&key->values, &value->entry);
    }
    image_free(value->data);
    value->type = type;
    value->size = size;
    value->data = copy;
    cm_key_written(key);
    cm_notify(key, REG_NOTIFY_CHANGE_LAST_SET);
}

void cm_value_set_dword(struct cm_key *key, const char *name, ULONG dword)
{
    cm_value_set(key, name, REG_DWORD, &dword, sizeof(dword));
}

void cm_value_set_string(struct cm_key *key, const char *name, ULONG type, const char *utf8)
{
    size_t length;
    WCHAR *text = cm_utf16_from_utf8(utf8, &length);

    cm_value_set(key, name, type, text, (length + 1) * sizeof(WCHAR));
    image_free(text);
}

void cm_value_set_multi(struct cm_key *key, const char *name, const char *const *strings, unsigned count)
{
    size_t total = 1;
    size_t used = 0;
    WCHAR *all;

    for (unsigned index = 0; index < count; index++)
        total += strlen(strings[index]) + 1;
    all = image_alloc(total * sizeof(WCHAR));
    for (unsigned index = 0; index < count; index++) {
        size_t length;
        WCHAR *text = cm_utf16_from_utf8(strings[index], &length);

        memcpy(all + used, text, (length + 1) * sizeof(WCHAR));
        used += length + 1;
        image_free(text);
    }
    cm_value_set(key, name, REG_MULTI_SZ, all, (used + 1) * sizeof(WCHAR));
    image_free(all);
}

bool cm_value_delete(struct cm_key *key, const char *name)
{
    struct cm_value *value = cm_value_find(key, name);

    if (value == NULL)
        return false;
    RemoveEntryList(&value->entry);
    image_free(value->name);
    image_free(value->data);
    image_free(value);
    cm_key_written(key);
    cm_notify(key, REG_NOTIFY_CHANGE_LAST_SET);
    return true;
}

const void *cm_value_get(const struct cm_key *key, const char *name, ULONG *type, size_t *size)
{
    const struct cm_value *value = cm_value_find(key, name);

    if (value == NULL)
        return NULL;
    if (type != NULL)
        *type = value->type;
    if (size != NULL)
        *size = value->size;
    return value->data;
}

bool cm_value_get_dword(const struct cm_key *key, const char *name, ULONG *dword)
{
    const struct cm_value *value = cm_value_find(key, name);

    if (value == NULL || value->type != REG_DWORD || value->size != sizeof(*dword))
        return false;
    memcpy(dword, value->data, sizeof(*dword));
    return true;
}

char *cm_value_get_multi(const struct cm_key *key, const char *name, unsigned index)
{
    const struct cm_value *value = cm_value_find(key, name);
    const WCHAR *text;
    size_t count;
    size_t at = 0;

    if (value == NULL || (value->type != REG_MULTI_SZ && value->type != REG_SZ && value->type != REG_EXPAND_SZ))
        return NULL;
    text = (const WCHAR *)(const void *)value->data;
    count = value->size / sizeof(WCHAR);
    for (;; index--) {
        size_t end = at;

        while (end < count && text[end] != 0)
            end++;
        if (end == at)
            return NULL;
        if (index == 0)
            return cm_utf8_from_utf16(text + at, end - at);
        if (value->type != REG_MULTI_SZ)
            return NULL;
        at = end + 1;
    }
}

char *cm_value_get_string(const struct cm_key *key, const char *name)
{
    const struct cm_value *value = cm_value_find(key, name);

    if (value == NULL || value->type == REG_MULTI_SZ)
        return NULL;
    if (value->size < sizeof(WCHAR) && (value->type == REG_SZ || value->type == REG_EXPAND_SZ))
        return image_strdup("");
    if (((const WCHAR *)(const void *)value->data)[0] == 0 && (value->type == REG_SZ || value->type == REG_EXPAND_SZ))
        return image_strdup("");
    return cm_value_get_multi(key, name, 0);
}

const char *cm_value_name(const struct cm_key *key, unsigned index)
{
    const struct cm_value *value = cm_value_at(key, index);

    return value != NULL ? value->name : NULL;
}
