/* AddReg and DelReg: what they write into the registry ("INF AddReg Directive", "INF DelReg Directive"). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "nt/pnp/inf_internal.h"

#define FLG_ADDREG_BINVALUETYPE 0x00000001u
#define FLG_ADDREG_NOCLOBBER 0x00000002u
#define FLG_ADDREG_DELVAL 0x00000004u
#define FLG_ADDREG_APPEND 0x00000008u
#define FLG_ADDREG_KEYONLY 0x00000010u
#define FLG_ADDREG_OVERWRITEONLY 0x00000020u
#define FLG_ADDREG_64BITKEY 0x00001000u
#define ADDREG_FLAGS                                                                                                   \
    (FLG_ADDREG_BINVALUETYPE | FLG_ADDREG_NOCLOBBER | FLG_ADDREG_DELVAL | FLG_ADDREG_APPEND | FLG_ADDREG_KEYONLY |     \
     FLG_ADDREG_OVERWRITEONLY | FLG_ADDREG_64BITKEY)

#define FLG_ADDREG_TYPE_MASK 0xffff0001u
#define FLG_ADDREG_TYPE_SZ 0x00000000u
#define FLG_ADDREG_TYPE_MULTI_SZ 0x00010000u
#define FLG_ADDREG_TYPE_EXPAND_SZ 0x00020000u
#define FLG_ADDREG_TYPE_BINARY 0x00000001u
#define FLG_ADDREG_TYPE_DWORD 0x00010001u
#define FLG_ADDREG_TYPE_NONE 0x00020001u

#define FLG_DELREG_MULTI_SZ_DELSTRING 0x00018002u

/* Fields of a line. */
enum { REG_ROOT, REG_SUBKEY, REG_NAME, REG_FLAGS, REG_DATA };

struct entry {
    const struct inf_scope *scope;
    const struct inf_section *section;
    unsigned line;
    const char *name;
    uint32_t flags;
};

#define entry_fail(entry, ...)                                                                                         \
    inf_fail((entry)->scope->inf, inf_line_number((entry)->section, (entry)->line), (entry)->scope->error, __VA_ARGS__)

/* ---- keys ---- */

/* Values below HKR of a .HW section that belong to the device itself, not to its parameters. */
static bool is_device_property(const char *name)
{
    static const char *const names[] = {"UpperFilters",          "LowerFilters", "FriendlyName",
                                        "ConfigFlags",           "Security",     "DeviceType",
                                        "DeviceCharacteristics", "Exclusive",    "UINumberDescFormat"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* The path of the key that a line is about (machine heap), NULL and the error if it names none. */
static char *key_path(const struct entry *entry)
{
    static const struct {
        const char *root;
        const char *path;
    } roots[] = {
        {"HKLM", "\\Registry\\Machine"},
        {"HKCR", "\\Registry\\Machine\\Software\\Classes"},
        {"HKU", "\\Registry\\User"},
        {"HKCU", "\\Registry\\User\\.Default"}, /* of the system, which installs drivers */
    };
    const char *root = inf_text(entry->section, entry->line, REG_ROOT);
    const char *subkey = inf_text(entry->section, entry->line, REG_SUBKEY);
    const char *base = NULL;

    subkey += strspn(subkey, "\\");
    if (inf_key(entry->section, entry->line) != NULL) {
        entry_fail(entry, "%s = ... is not of the form root, subkey, name, flags, data",
                   inf_key(entry->section, entry->line));
        return NULL;
    }
    if (strcasecmp(root, "HKR") == 0) {
        base = entry->scope->relative;
        if (entry->scope->properties != NULL && *subkey == 0 && is_device_property(entry->name))
            base = entry->scope->properties;
        if (base == NULL) {
            entry_fail(entry, "%s stands for nothing in a section that installs no device and no service", root);
            return NULL;
        }
    }
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
        if (strcasecmp(root, roots[i].root) == 0)
            base = roots[i].path;
    }
    if (base == NULL) {
        entry_fail(entry, "\"%s\" is no root of the registry (HKR, HKLM, HKCR, HKCU, HKU)", root);
        return NULL;
    }
    return image_printf("%s%s%s", base, *subkey != 0 ? "\\" : "", subkey);
}

static bool delete_key(const struct entry *entry, const char *path)
{
    struct cm_key *key = cm_key_open(path);

    if (*inf_text(entry->section, entry->line, REG_SUBKEY) == 0)
        return entry_fail(entry, "would delete all of %s", inf_text(entry->section, entry->line, REG_ROOT));
    if (key != NULL)
        cm_key_delete(key);
    return true;
}

/* ---- lists of strings ---- */

struct strings {
    char **text;
    unsigned count;
};

static void strings_add(struct strings *list, char *text)
{
    list->text = image_realloc(list->text, (list->count + 1) * sizeof(*list->text));
    list->text[list->count++] = text;
}

static struct strings strings_of_value(const struct cm_key *key, const char *name)
{
    struct strings list = {NULL, 0};
    char *text;

    while ((text = cm_value_get_multi(key, name, list.count)) != NULL)
        strings_add(&list, text);
    return list;
}

static bool strings_have(const struct strings *list, const char *text)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (strcasecmp(list->text[i], text) == 0)
            return true;
    }
    return false;
}

/* Writes the list and gives it back. */
static void strings_write(struct strings *list, struct cm_key *key, const char *name)
{
    cm_value_set_multi(key, name, (const char *const *)list->text, list->count);
    for (unsigned i = 0; i < list->count; i++)
        image_free(list->text[i]);
    image_free(list->text);
}

void inf_append_string(struct cm_key *key, const char *name, const char *string)
{
    struct strings list = strings_of_value(key, name);

    if (!strings_have(&list, string))
        strings_add(&list, image_strdup(string));
    strings_write(&list, key, name);
}

/* ---- data ---- */

/* Bytes are hexadecimal, with or without 0x. Machine heap; NULL and the error if one is none. */
static uint8_t *read_bytes(const struct entry *entry, size_t *size)
{
    uint8_t *bytes = image_alloc(1);
    const char *text;

    *size = 0;
    for (unsigned field = REG_DATA; (text = inf_field(entry->section, entry->line, field)) != NULL; field++) {
        const char *digits = text + (text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 2 : 0);
        size_t length = strlen(digits);

        /* One empty field is no data. */
        if (*text == 0 && field == REG_DATA && inf_field(entry->section, entry->line, field + 1) == NULL)
            break;
        if (length < 1 || length > 2 || strspn(digits, "0123456789abcdefABCDEF") != length) {
            entry_fail(entry, "\"%s\" is no byte in hexadecimal digits", text);
            image_free(bytes);
            return NULL;
        }
        bytes = image_realloc(bytes, *size + 1);
        bytes[(*size)++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return bytes;
}

static bool set_bytes(const struct entry *entry, struct cm_key *key, ULONG type)
{
    size_t size;
    uint8_t *bytes = read_bytes(entry, &size);

    if (bytes == NULL)
        return false;
    cm_value_set(key, entry->name, type, bytes, size);
    image_free(bytes);
    return true;
}

/* One number, or its four bytes with the lowest first. */
static bool set_dword(const struct entry *entry, struct cm_key *key)
{
    const char *text = inf_text(entry->section, entry->line, REG_DATA);
    bool negative = *text == '-';
    uint32_t value;

    if (inf_field(entry->section, entry->line, REG_DATA + 1) != NULL) {
        if (inf_field(entry->section, entry->line, REG_DATA + 3) == NULL ||
            inf_field(entry->section, entry->line, REG_DATA + 4) != NULL)
            return entry_fail(entry, "the REG_DWORD %s is neither one number nor four bytes", entry->name);
        return set_bytes(entry, key, REG_DWORD);
    }
    if (!inf_number(text + negative, &value) || (negative && value > UINT32_C(0x80000000)))
        return entry_fail(entry, "\"%s\" is no 32-bit number", text);
    cm_value_set_dword(key, entry->name, negative ? 0u - value : value);
    return true;
}

static bool set_multi(const struct entry *entry, struct cm_key *key)
{
    struct strings list = {NULL, 0};
    const char *text;

    for (unsigned field = REG_DATA; (text = inf_field(entry->section, entry->line, field)) != NULL; field++) {
        if (*text == 0 && inf_field(entry->section, entry->line, field + 1) != NULL)
            return entry_fail(entry, "an empty string would end the REG_MULTI_SZ %s", entry->name);
    }
    if (entry->flags & FLG_ADDREG_APPEND)
        list = strings_of_value(key, entry->name);
    for (unsigned field = REG_DATA; (text = inf_field(entry->section, entry->line, field)) != NULL; field++) {
        if (*text != 0 && !((entry->flags & FLG_ADDREG_APPEND) && strings_have(&list, text)))
            strings_add(&list, image_strdup(text));
    }
    strings_write(&list, key, entry->name);
    return true;
}

static bool set_string(const struct entry *entry, struct cm_key *key, ULONG type)
{
    if (inf_field(entry->section, entry->line, REG_DATA + 1) != NULL)
        return entry_fail(entry, "the string %s has more than one part (a comma needs quotation marks)", entry->name);
    cm_value_set_string(key, entry->name, type, inf_text(entry->section, entry->line, REG_DATA));
    return true;
}

static bool set_value(const struct entry *entry, struct cm_key *key)
{
    switch (entry->flags & FLG_ADDREG_TYPE_MASK) {
    case FLG_ADDREG_TYPE_SZ:
        return set_string(entry, key, REG_SZ);
    case FLG_ADDREG_TYPE_EXPAND_SZ:
        return set_string(entry, key, REG_EXPAND_SZ);
    case FLG_ADDREG_TYPE_MULTI_SZ:
        return set_multi(entry, key);
    case FLG_ADDREG_TYPE_DWORD:
        return set_dword(entry, key);
    case FLG_ADDREG_TYPE_BINARY:
        return set_bytes(entry, key, REG_BINARY);
    case FLG_ADDREG_TYPE_NONE:
        return set_bytes(entry, key, REG_NONE);
    default:
        break;
    }
    /* The high half of the flags is the registry's type of binary data. */
    if (entry->flags & FLG_ADDREG_BINVALUETYPE)
        return set_bytes(entry, key, entry->flags >> 16);
    return entry_fail(entry, "flags %s have no known type", inf_text(entry->section, entry->line, REG_FLAGS));
}

/* ---- lines ---- */

static bool read_entry(const struct inf_scope *scope, const struct inf_section *section, unsigned line,
                       struct entry *entry)
{
    *entry = (struct entry){scope, section, line, inf_text(section, line, REG_NAME), 0};
    return inf_number_field(scope->inf, section, line, REG_FLAGS, "the flags field", &entry->flags, scope->error);
}

static bool add_entry(const struct entry *entry, const char *path)
{
    bool nameless = inf_field(entry->section, entry->line, REG_NAME) == NULL;
    struct cm_key *key = cm_key_open(path);
    bool exists = key != NULL && cm_value_get(key, entry->name, NULL, NULL) != NULL;

    if (entry->flags & ~(ADDREG_FLAGS | FLG_ADDREG_TYPE_MASK))
        return entry_fail(entry, "flags %s are not implemented", inf_text(entry->section, entry->line, REG_FLAGS));
    if ((entry->flags & FLG_ADDREG_APPEND) && (entry->flags & FLG_ADDREG_TYPE_MASK) != FLG_ADDREG_TYPE_MULTI_SZ)
        return entry_fail(entry, "flags %s append to what is no REG_MULTI_SZ",
                          inf_text(entry->section, entry->line, REG_FLAGS));
    if (entry->flags & FLG_ADDREG_DELVAL) {
        if (*entry->name == 0)
            return delete_key(entry, path);
        if (exists)
            cm_value_delete(key, entry->name);
        return true;
    }
    if (((entry->flags & FLG_ADDREG_OVERWRITEONLY) && !exists) || ((entry->flags & FLG_ADDREG_NOCLOBBER) && exists))
        return true;
    if (key == NULL)
        key = cm_key_create(path);
    if (nameless || (entry->flags & FLG_ADDREG_KEYONLY))
        return true;
    return set_value(entry, key);
}

static bool delete_string(const struct entry *entry, struct cm_key *key)
{
    const char *unwanted = inf_text(entry->section, entry->line, REG_DATA);
    struct strings kept = {NULL, 0};
    ULONG type;
    char *text;

    if (*entry->name == 0 || *unwanted == 0)
        return entry_fail(entry, "flags %s need a value's name and the string",
                          inf_text(entry->section, entry->line, REG_FLAGS));
    if (key == NULL || cm_value_get(key, entry->name, &type, NULL) == NULL || type != REG_MULTI_SZ)
        return true;
    for (unsigned i = 0; (text = cm_value_get_multi(key, entry->name, i)) != NULL; i++) {
        if (strcasecmp(text, unwanted) != 0)
            strings_add(&kept, text);
        else
            image_free(text);
    }
    strings_write(&kept, key, entry->name);
    return true;
}

static bool delete_entry(const struct entry *entry, const char *path)
{
    struct cm_key *key = cm_key_open(path);

    if ((entry->flags & ~FLG_ADDREG_64BITKEY) == FLG_DELREG_MULTI_SZ_DELSTRING)
        return delete_string(entry, key);
    if (entry->flags & ~FLG_ADDREG_64BITKEY)
        return entry_fail(entry, "flags %s are not implemented", inf_text(entry->section, entry->line, REG_FLAGS));
    if (inf_field(entry->section, entry->line, REG_NAME) == NULL)
        return delete_key(entry, path);
    if (key != NULL)
        cm_value_delete(key, entry->name);
    return true;
}

static bool each_entry(const struct inf_scope *scope, const struct inf_section *section,
                       bool (*handle)(const struct entry *entry, const char *path))
{
    for (unsigned line = 0; line < inf_section_lines(section); line++) {
        struct entry entry;
        char *path;
        bool good;

        if (!read_entry(scope, section, line, &entry))
            return false;
        path = key_path(&entry);
        if (path == NULL)
            return false;
        good = handle(&entry, path);
        image_free(path);
        if (!good)
            return false;
    }
    return true;
}

bool inf_add_reg(const struct inf_scope *scope, const struct inf_section *section)
{
    return each_entry(scope, section, add_entry);
}

bool inf_del_reg(const struct inf_scope *scope, const struct inf_section *section)
{
    return each_entry(scope, section, delete_entry);
}

static bool each_directive(const struct inf_scope *scope, const struct inf_section *section, const char *directive,
                           bool (*handle)(const struct inf_scope *scope, const struct inf_section *named))
{
    for (unsigned line = 0; line < inf_section_lines(section); line++) {
        const char *key = inf_key(section, line);
        const char *name;

        if (key == NULL || strcasecmp(key, directive) != 0)
            continue;
        for (unsigned field = 0; (name = inf_field(section, line, field)) != NULL; field++) {
            const struct inf_section *named = inf_section(scope->inf, name);

            if (*name == 0)
                continue;
            if (named == NULL)
                return inf_fail(scope->inf, inf_line_number(section, line), scope->error, "section [%s] is not there",
                                name);
            if (!handle(scope, named))
                return false;
        }
    }
    return true;
}

bool inf_registry_directives(const struct inf_scope *scope, const struct inf_section *section)
{
    return each_directive(scope, section, "DelReg", inf_del_reg) &&
           each_directive(scope, section, "AddReg", inf_add_reg);
}
