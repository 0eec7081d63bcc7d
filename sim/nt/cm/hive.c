/* The registry on the disk: every key that is not volatile, with its values. */
#include <string.h>

#include "nt/cm/cm_internal.h"
#include "nt/disk.h"

static unsigned children_that_stay(const struct cm_key *key)
{
    unsigned count = 0;

    for (PLIST_ENTRY entry = key->children.Flink; entry != &key->children; entry = entry->Flink)
        count += !CONTAINING_RECORD(entry, struct cm_key, entry)->is_volatile;
    return count;
}

static unsigned values_of(const struct cm_key *key)
{
    unsigned count = 0;

    for (PLIST_ENTRY entry = key->values.Flink; entry != &key->values; entry = entry->Flink)
        count++;
    return count;
}

static void save_key(const struct cm_key *key)
{
    disk_put_number(DISK_REGISTRY, key->written);
    disk_put_number(DISK_REGISTRY, values_of(key));
    for (PLIST_ENTRY entry = key->values.Flink; entry != &key->values; entry = entry->Flink) {
        const struct cm_value *value = CONTAINING_RECORD(entry, struct cm_value, entry);

        disk_put_string(DISK_REGISTRY, value->name);
        disk_put_number(DISK_REGISTRY, value->type);
        disk_put_block(DISK_REGISTRY, value->data, value->size);
    }
    disk_put_number(DISK_REGISTRY, children_that_stay(key));
    for (PLIST_ENTRY entry = key->children.Flink; entry != &key->children; entry = entry->Flink) {
        const struct cm_key *child = CONTAINING_RECORD(entry, struct cm_key, entry);

        if (child->is_volatile)
            continue;
        disk_put_string(DISK_REGISTRY, child->name);
        save_key(child);
    }
}

void cm_save(void)
{
    disk_truncate(DISK_REGISTRY);
    save_key(machine->cm->root);
}

static void load_key(struct disk_reader *reader, struct cm_key *key)
{
    uint64_t written = disk_get_number(reader);
    uint64_t count = disk_get_number(reader);

    while (count-- > 0) {
        const char *name = disk_get_string(reader);
        ULONG type = (ULONG)disk_get_number(reader);
        size_t size;
        const void *data = disk_get_block(reader, &size);

        cm_value_set(key, name, type, data, size);
    }
    for (count = disk_get_number(reader); count > 0; count--) {
        const char *name = disk_get_string(reader);

        load_key(reader, cm_child_create(key, name, strlen(name)));
    }
    key->written = written;
}

bool cm_load(void)
{
    struct disk_reader reader;

    if (!disk_open(DISK_REGISTRY, &reader))
        return false;
    load_key(&reader, machine->cm->root);
    return true;
}
