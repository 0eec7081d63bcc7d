/* Records of what drivers have mapped, locked and pinned: found by key, listed in order of creation. */
#include "nt/mm/mm.h"

static struct mm_record **bucket_of(enum mm_record_kind kind, const void *key)
{
    uint64_t hash = ((uintptr_t)key / 16 + (uint64_t)kind * 7919) * UINT64_C(0x9E3779B97F4A7C15);
    return &machine->mm->bucket[hash >> 54];
}

struct mm_record *mm_record_add(enum mm_record_kind kind, const void *key, const void *caller)
{
    struct mm_record *record = image_alloc(sizeof *record);
    struct mm_record **bucket = bucket_of(kind, key);

    record->kind = kind;
    record->key = key;
    record->caller = caller;
    record->next = *bucket;
    *bucket = record;
    InsertTailList(&machine->mm->records, &record->entry);
    return record;
}

struct mm_record *mm_record_find(enum mm_record_kind kind, const void *key)
{
    for (struct mm_record *record = *bucket_of(kind, key); record != NULL; record = record->next)
        if (record->kind == kind && record->key == key)
            return record;
    return NULL;
}

void mm_record_remove(struct mm_record *record)
{
    struct mm_record **link = bucket_of(record->kind, record->key);

    while (*link != record)
        link = &(*link)->next;
    *link = record->next;
    RemoveEntryList(&record->entry);
    image_free(record);
}
