/* Between the files of cm/. */
#ifndef NT_CM_INTERNAL_H
#define NT_CM_INTERNAL_H

#include "nt/cm/cm.h"

struct cm_value {
    LIST_ENTRY entry; /* in cm_key.values, in order of creation */
    char *name;
    uint32_t hash; /* cm_name_hash() */
    ULONG type;
    size_t size;
    uint8_t *data;
};

struct cm_key {
    LIST_ENTRY entry; /* in the parent's children, in order of creation */
    LIST_ENTRY children;
    LIST_ENTRY values;
    struct cm_key *parent;
    char *name;
    uint32_t hash;       /* cm_name_hash() */
    uint64_t written;    /* last write, 100 ns since 1601 */
    unsigned references; /* open handles */
    bool is_volatile;
    bool deleted;
};

struct cm_state {
    struct cm_key *root; /* \Registry */
    LIST_ENTRY watches;  /* of ZwNotifyChangeKey, in order (notify.c) */
};

/* Body of an OB_KEY object. */
struct cm_key_object {
    struct cm_key *key;
};

/* Of a name without regard to case: unequal ones of most unequal names. */
uint32_t cm_name_hash(const char *name, size_t length);

struct cm_value *cm_value_find(const struct cm_key *key, const char *name);
struct cm_value *cm_value_at(const struct cm_key *key, unsigned index);
struct cm_key *cm_child_find(const struct cm_key *key, const char *name, size_t length);
struct cm_key *cm_child_create(struct cm_key *key, const char *name, size_t length);
void cm_key_free_if_unused(struct cm_key *key);
void cm_key_written(struct cm_key *key);

/* hive.c: the keys from the disk, below the root. False: there is no disk. */
bool cm_load(void);

/* ---- notify.c ---- */
void cm_notify_init(void);
/* The key has changed: complete the watches for such a change (one REG_NOTIFY_CHANGE_... flag) of the key. */
void cm_notify(struct cm_key *key, ULONG change);
/* The key goes: its watches end. */
void cm_notify_deleted(const struct cm_key *key);

#endif
