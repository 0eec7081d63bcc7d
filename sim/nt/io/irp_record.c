/* The table of the IRPs that the I/O manager handed out. Looked up by address, walked in order of allocation. */
#include "nt/io/io_internal.h"

static struct irp_record **bucket_of(PIRP irp)
{
    return &machine->io->irp_table[((uintptr_t)irp >> 4) % IRP_TABLE_SIZE];
}

struct irp_record *irp_record_find(PIRP irp)
{
    struct irp_record *record;
    KIRQL irql = io_lock();

    for (record = *bucket_of(irp); record != NULL && record->irp != irp; record = record->next_in_bucket)
        ;
    io_unlock(irql);
    return record;
}

struct irp_record *irp_record_add(PIRP irp, const void *caller)
{
    struct irp_record *record = image_alloc(sizeof(*record));
    struct irp_record **bucket = bucket_of(irp);
    KIRQL irql;

    record->irp = irp;
    record->caller = caller;
    irql = io_lock();
    record->next_in_bucket = *bucket;
    *bucket = record;
    InsertTailList(&machine->io->irps, &record->entry);
    io_unlock(irql);
    return record;
}

void irp_record_remove(struct irp_record *record)
{
    struct irp_record **link = bucket_of(record->irp);
    KIRQL irql = io_lock();

    while (*link != record)
        link = &(*link)->next_in_bucket;
    *link = record->next_in_bucket;
    RemoveEntryList(&record->entry);
    io_unlock(irql);
    deadline_cancel(&record->cancelled);
    irp_abandon_passes(record);
    image_free(record);
}

void irp_abandon_passes(struct irp_record *record)
{
    struct irp_pass *pass = record->passes;

    record->passes = NULL;
    while (pass != NULL) {
        struct irp_pass *next = pass->next;

        pass->next = NULL;
        pass->abandoned = true;
        if (pass->returned)
            image_free(pass); /* otherwise its dispatch call frees it */
        pass = next;
    }
}

void irp_census(struct census *census)
{
    PLIST_ENTRY entry;

    for (entry = machine->io->irps.Flink; entry != &machine->io->irps; entry = entry->Flink) {
        const struct irp_record *record = CONTAINING_RECORD(entry, struct irp_record, entry);

        census_item(census, "irp", 1, record->caller, "%s",
                    record->completed ? "completed, not freed"
                    : record->sent    ? "in flight"
                                      : "allocated");
    }
}
