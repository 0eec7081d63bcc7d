/* The tree of keys. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "nt/cm/cm_internal.h"

#define CURRENT_CONTROL_SET "CurrentControlSet"
#define CONTROL_SET "ControlSet001"

uint32_t cm_name_hash(const char *name, size_t length)
{
    uint32_t hash = 2166136261u;

    for (size_t index = 0; index < length; index++)
        hash = (hash ^ (uint8_t)tolower((unsigned char)name[index])) * 16777619u;
    return hash;
}

static struct cm_key *new_key(struct cm_key *parent, const char *name, size_t length)
{
    struct cm_key *key = image_alloc(sizeof(*key));

    key->name = image_alloc(length + 1);
    memcpy(key->name, name, length);
    key->hash = cm_name_hash(name, length);
    key->parent = parent;
    InitializeListHead(&key->children);
    InitializeListHead(&key->values);
    cm_key_written(key);
    return key;
}

void cm_init(void)
{
    struct cm_state *cm = image_alloc(sizeof(*cm));

    cm->root = new_key(NULL, "Registry", strlen("Registry"));
    machine->cm = cm;
    cm_notify_init();
    if (!cm_load()) {
        (void)cm_key_create("\\Registry\\Machine\\System\\" CONTROL_SET "\\Services");
        (void)cm_key_create("\\Registry\\Machine\\System\\" CONTROL_SET "\\Control");
        (void)cm_key_create("\\Registry\\Machine\\System\\" CONTROL_SET "\\Enum");
        (void)cm_key_create("\\Registry\\Machine\\Software");
    }
    (void)cm_key_create_volatile_at(cm_key_create("\\Registry\\Machine"), "Hardware");
}

void cm_key_written(struct cm_key *key)
{
    key->written = CLOCK_BOOT_SYSTEM_TIME + (machine->clock != NULL ? clock_now() / 100 : 0);
}

struct cm_key *cm_child_find(const struct cm_key *key, const char *name, size_t length)
{
    uint32_t hash = cm_name_hash(name, length);

    for (PLIST_ENTRY entry = key->children.Flink; entry != &key->children; entry = entry->Flink) {
        struct cm_key *child = CONTAINING_RECORD(entry, struct cm_key, entry);

        if (child->hash == hash && strlen(child->name) == length && strncasecmp(child->name, name, length) == 0)
            return child;
    }
    return NULL;
}

struct cm_key *cm_child_create(struct cm_key *key, const char *name, size_t length)
{
    struct cm_key *child = new_key(key, name, length);

    InsertTailList(&key->children, &child->entry);
    cm_key_written(key);
    cm_notify(key, REG_NOTIFY_CHANGE_NAME);
    return child;
}

static struct cm_key *walk(struct cm_key *key, const char *path, bool create)
{
    while (*path != '\0') {
        size_t length = strcspn(path, "\\");
        const char *name = path;
        size_t name_length = length;
        struct cm_key *child;

        if (length == strlen(CURRENT_CONTROL_SET) && strncasecmp(path, CURRENT_CONTROL_SET, length) == 0) {
            name = CONTROL_SET;
            name_length = strlen(CONTROL_SET);
        }
        if (length > 0) {
            child = cm_child_find(key, name, name_length);
            if (child == NULL && !create)
                return NULL;
            key = child != NULL ? child : cm_child_create(key, name, name_length);
        }
        path += length;
        if (*path == '\\')
            path++;
    }
    return key;
}

static const char *below_root(const char *path)
{
    static const char root[] = "\\Registry";
    size_t length = sizeof(root) - 1;

    if (strncasecmp(path, root, length) != 0 || (path[length] != '\\' && path[length] != '\0'))
        return NULL;
    return path + length + (path[length] == '\\');
}

struct cm_key *cm_key_open(const char *path)
{
    const char *rest = below_root(path);

    return rest != NULL ? walk(machine->cm->root, rest, false) : NULL;
}

struct cm_key *cm_key_create(const char *path)
{
    const char *rest = below_root(path);

    if (rest == NULL)
        fail("internal", "registry path %s does not begin with \\Registry", path);
    return walk(machine->cm->root, rest, true);
}

struct cm_key *cm_key_open_at(struct cm_key *key, const char *path)
{
    return walk(key, path, false);
}

struct cm_key *cm_key_create_at(struct cm_key *key, const char *path)
{
    return walk(key, path, true);
}

struct cm_key *cm_key_create_volatile_at(struct cm_key *key, const char *path)
{
    struct cm_key *created = walk(key, path, true);

    created->is_volatile = true;
    return created;
}

void cm_key_free_if_unused(struct cm_key *key)
{
    if (!key->deleted || key->references > 0)
        return;
    image_free(key->name);
    image_free(key);
}

void cm_key_delete(struct cm_key *key)
{
    while (!IsListEmpty(&key->children))
        cm_key_delete(CONTAINING_RECORD(key->children.Flink, struct cm_key, entry));
    while (!IsListEmpty(&key->values)) {
        struct cm_value *value = CONTAINING_RECORD(RemoveHeadList(&key->values), struct cm_value, entry);

        image_free(value->name);
        image_free(value->data);
        image_free(value);
    }
    RemoveEntryList(&key->entry);
    cm_key_written(key->parent);
    key->deleted = true;
    cm_notify_deleted(key);
    cm_notify(key->parent, REG_NOTIFY_CHANGE_NAME);
    cm_key_free_if_unused(key);
}

struct cm_key *cm_key_child(const struct cm_key *key, unsigned index)
{
    PLIST_ENTRY entry = key->children.Flink;

    while (entry != &key->children && index-- > 0)
        entry = entry->Flink;
    return entry != &key->children ? CONTAINING_RECORD(entry, struct cm_key, entry) : NULL;
}

const char *cm_key_name(const struct cm_key *key)
{
    return key->name;
}

char *cm_key_path(const struct cm_key *key)
{
    char *parent;
    char *path;

    if (key->parent == NULL)
        return image_printf("\\%s", key->name);
    parent = cm_key_path(key->parent);
    path = image_printf("%s\\%s", parent, key->name);
    image_free(parent);
    return path;
}
