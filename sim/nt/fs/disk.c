/* The volume on the disk: what a reset of the guest leaves of it. */
#include <string.h>

#include "nt/disk.h"
#include "nt/fs/fs_internal.h"

/* A file whose deletion was only waiting for its last handle is gone with that. */
static unsigned children_that_stay(const struct fs_node *node)
{
    unsigned count = 0;

    for (PLIST_ENTRY entry = node->children.Flink; entry != &node->children; entry = entry->Flink)
        count += !CONTAINING_RECORD(entry, struct fs_node, entry)->delete_pending;
    return count;
}

static void save_node(const struct fs_node *node)
{
    disk_put_number(DISK_FILES, node->attributes);
    disk_put_number(DISK_FILES, node->created);
    disk_put_number(DISK_FILES, node->written);
    disk_put_block(DISK_FILES, node->data, node->size);
    disk_put_number(DISK_FILES, children_that_stay(node));
    for (PLIST_ENTRY entry = node->children.Flink; entry != &node->children; entry = entry->Flink) {
        const struct fs_node *child = CONTAINING_RECORD(entry, struct fs_node, entry);

        if (child->delete_pending)
            continue;
        disk_put_string(DISK_FILES, child->name);
        disk_put_number(DISK_FILES, child->directory);
        save_node(child);
    }
}

/* A volume that was never mounted is as it was. */
void fs_save(void)
{
    if (machine->fs == NULL)
        return;
    disk_truncate(DISK_FILES);
    save_node(machine->fs->root);
}

static void load_node(struct disk_reader *reader, struct fs_node *node)
{
    const void *data;
    uint64_t written;
    size_t size;

    node->attributes = (ULONG)disk_get_number(reader);
    node->created = disk_get_number(reader);
    written = disk_get_number(reader);
    data = disk_get_block(reader, &size);
    if (size != 0 && !fs_resize(node, size))
        fail("internal", "the files do not fit the volume that they come from");
    if (size != 0)
        memcpy(node->data, data, size);
    for (uint64_t count = disk_get_number(reader); count > 0; count--) {
        const char *name = disk_get_string(reader);
        bool directory = disk_get_number(reader) != 0;

        load_node(reader, fs_create(node, name, directory));
    }
    node->written = written;
}

bool fs_load(void)
{
    struct disk_reader reader;

    if (!disk_open(DISK_FILES, &reader))
        return false;
    load_node(&reader, machine->fs->root);
    return true;
}
