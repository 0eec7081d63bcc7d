/* The tree of folders and files. */
#include <string.h>
#include <strings.h>

#include "nt/fs/fs_internal.h"

static struct fs_node *new_node(struct fs_node *parent, const char *name, bool directory)
{
    struct fs_node *node = image_alloc(sizeof(*node));

    InitializeListHead(&node->children);
    node->parent = parent;
    node->name = image_strdup(name);
    node->directory = directory;
    node->created = CLOCK_BOOT_SYSTEM_TIME + clock_now() / 100;
    node->written = node->created;
    return node;
}

void fs_tree_init(void)
{
    struct fs_node *windows;

    machine->fs = image_alloc(sizeof(*machine->fs));
    machine->fs->root = new_node(NULL, "", true);
    if (fs_load())
        return;
    windows = fs_create(machine->fs->root, "Windows", true);
    (void)fs_create(windows, "Temp", true);
    (void)fs_create(fs_create(windows, "System32", true), "drivers", true);
}

struct fs_node *fs_child(const struct fs_node *node, const char *name, size_t length)
{
    for (PLIST_ENTRY entry = node->children.Flink; entry != &node->children; entry = entry->Flink) {
        struct fs_node *child = CONTAINING_RECORD(entry, struct fs_node, entry);

        if (strlen(child->name) == length && strncasecmp(child->name, name, length) == 0)
            return child;
    }
    return NULL;
}

struct fs_node *fs_create(struct fs_node *parent, const char *name, bool directory)
{
    struct fs_node *node = new_node(parent, name, directory);

    InsertTailList(&parent->children, &node->entry);
    fs_written(parent);
    return node;
}

void fs_remove(struct fs_node *node)
{
    machine->fs->used -= node->size;
    RemoveEntryList(&node->entry);
    fs_written(node->parent);
    image_free(node->data);
    image_free(node->name);
    image_free(node);
}

void fs_move(struct fs_node *node, struct fs_node *parent, const char *name)
{
    char *copy = image_strdup(name); /* it may be the node's own */

    fs_written(node->parent);
    RemoveEntryList(&node->entry);
    InsertTailList(&parent->children, &node->entry);
    node->parent = parent;
    image_free(node->name);
    node->name = copy;
    fs_written(parent);
}

bool fs_resize(struct fs_node *node, size_t size)
{
    uint8_t *data;

    if (size > FS_VOLUME_BYTES || machine->fs->used - node->size + size > FS_VOLUME_BYTES)
        return false;
    data = image_alloc(size + 1);
    if (node->size != 0 && size != 0)
        memcpy(data, node->data, node->size < size ? node->size : size);
    image_free(node->data);
    node->data = data;
    machine->fs->used += size - node->size;
    node->size = size;
    return true;
}

void fs_written(struct fs_node *node)
{
    node->written = CLOCK_BOOT_SYSTEM_TIME + clock_now() / 100;
}

struct fs_node *fs_walk(const char *path, struct fs_node **parent, const char **last)
{
    struct fs_node *node = machine->fs->root;

    *parent = NULL;
    *last = NULL;
    while (*path == '\\')
        path++;
    while (*path != '\0') {
        size_t length = strcspn(path, "\\");
        struct fs_node *child = node->directory ? fs_child(node, path, length) : NULL;

        if (child == NULL) {
            if (node->directory && path[length] == '\0') {
                *parent = node;
                *last = path;
            }
            return NULL;
        }
        node = child;
        path += length;
        while (*path == '\\')
            path++;
    }
    return node;
}

char *fs_path(const struct fs_node *node)
{
    char *parent, *path;

    if (node->parent == NULL)
        return image_strdup("");
    parent = fs_path(node->parent);
    path = image_printf("%s\\%s", parent, node->name);
    image_free(parent);
    return path;
}

const void *fs_content(const char *path, size_t *size)
{
    const struct fs_node *node;
    struct fs_node *parent;
    const char *last;

    node = machine->fs != NULL ? fs_walk(path, &parent, &last) : NULL;
    if (node == NULL || node->directory)
        return NULL;
    *size = node->size;
    return node->data;
}
