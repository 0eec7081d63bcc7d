/* Between the files of fs/. */
#ifndef NT_FS_INTERNAL_H
#define NT_FS_INTERNAL_H

#include "nt/fs/fs.h"
#include "nt/io/io_internal.h"

#define FS_VOLUME_BYTES (16u << 20) /* what all files may hold together */

struct fs_node {
    LIST_ENTRY entry; /* in the parent's children, in order of creation */
    LIST_ENTRY children;
    struct fs_node *parent; /* NULL: the root */
    char *name;
    bool directory;
    bool delete_pending;
    ULONG attributes;
    uint8_t *data;
    size_t size;
    uint64_t created, written;
    /* those who have it open */
    unsigned opens, readers, writers, deleters, shared_read, shared_write, shared_delete;
};

struct fs_state {
    PDRIVER_OBJECT driver; /* referenced; NULL: not mounted */
    struct fs_node *root;
    size_t used;
};

/* ---- tree.c ---- */
void fs_tree_init(void);
/* disk.c: the tree from the disk, below the root. False: there is none there. */
bool fs_load(void);
struct fs_node *fs_child(const struct fs_node *node, const char *name, size_t length);
struct fs_node *fs_create(struct fs_node *parent, const char *name, bool directory);
void fs_remove(struct fs_node *node);
/* Under another name, in another folder or the same one. */
void fs_move(struct fs_node *node, struct fs_node *parent, const char *name);
/* False: the volume is full. */
bool fs_resize(struct fs_node *node, size_t size);
void fs_written(struct fs_node *node);
/*
 * The node of a path from the root, NULL if there is none; *parent and *last are then where it would be. Both NULL: a
 * folder on the way is missing.
 */
struct fs_node *fs_walk(const char *path, struct fs_node **parent, const char **last);
/* "\Windows\Temp\x.txt"; machine heap. */
char *fs_path(const struct fs_node *node);

#endif
