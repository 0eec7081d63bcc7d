/* The executive: its state, the objects of it that lie in drivers' memory, the census. */
#include "nt/ex/ex.h"

#include "nt/ex/pool.h"
#include "nt/ke/ke.h"
#include "nt/verifier/lock_state.h"
#include "nt/mm/mm.h"

void ex_init(void)
{
    struct ex_state *state = image_alloc(sizeof *state);

    machine->ex = state;
    InitializeListHead(&state->objects);
    InitializeListHead(&state->timers);
    InitializeListHead(&state->rundowns);
    InitializeListHead(&state->push_locks);
    InitializeListHead(&state->io_items);
    InitializeListHead(&state->callbacks);
    pool_init();
    ex_worker_init();
    ex_callback_init();
}

/* ---- objects in drivers' memory ---- */

struct ex_object *ex_object_add(const char *kind, uint64_t freed_code, const void *address, size_t size,
                                const void *caller)
{
    struct ex_object *object = image_alloc(sizeof *object);

    object->kind = kind;
    object->freed_code = freed_code;
    object->address = address;
    object->size = size;
    object->caller = caller;
    InsertTailList(&machine->ex->objects, &object->entry);
    pool_note_inside(address);
    return object;
}

struct ex_object *ex_object_find(const char *kind, const void *address)
{
    LIST_ENTRY *objects = &machine->ex->objects;

    for (LIST_ENTRY *entry = objects->Blink; entry != objects; entry = entry->Blink) {
        struct ex_object *object = CONTAINING_RECORD(entry, struct ex_object, entry);
        if (object->address == address && object->kind == kind)
            return object;
    }
    return NULL;
}

void ex_object_remove(struct ex_object *object)
{
    RemoveEntryList(&object->entry);
    image_free(object);
}

static bool inside(const void *address, const void *start, size_t size)
{
    return (uintptr_t)address - (uintptr_t)start < size;
}

static void check_objects(const void *start, size_t size)
{
    LIST_ENTRY *objects = &machine->ex->objects;

    for (LIST_ENTRY *entry = objects->Flink; entry != objects; entry = entry->Flink) {
        const struct ex_object *object = CONTAINING_RECORD(entry, struct ex_object, entry);
        if (inside(object->address, start, size)) {
            const uint64_t parameter[4] = {object->freed_code, (uintptr_t)object->address, (uintptr_t)start, size};
            nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "freed-in-use",
                              "the memory at %p, %zu bytes, is freed with a %s inside, at %p, that was not taken down",
                              start, size, object->kind, object->address);
        }
    }
}

void ex_memory_goes(const void *start, size_t size)
{
    const struct ex_state *ex = machine->ex;

    if (lock_anything_held())
        lock_check_freed(start, size);
    ke_check_freed(start, size);
    check_objects(start, size);
    io_remove_lock_check_freed(start, size);
    ex_rundown_check_freed(start, size);
    lock_forget(start, size);
    const WORK_QUEUE_ITEM *item = ex_worker_find_queued(start, size);
    if (item != NULL) {
        const uint64_t parameter[4] = {0x0, (uintptr_t)item, (uintptr_t)start, (uintptr_t)start + size};
        nt_violation_code(WORKER_INVALID, parameter, "freed-in-use",
                          "the memory at %p, %zu bytes, is freed with a work item inside, at %p, that is queued", start,
                          size, (const void *)item);
    }
    if (!IsListEmpty(&ex->rundowns) && ex_rundown_is_waited_for(start, size))
        nt_violation("freed-in-use",
                     "the memory at %p, %zu bytes, is freed while a thread waits for the rundown of an "
                     "EX_RUNDOWN_REF inside",
                     start, size);
    if (!IsListEmpty(&ex->push_locks) && ex_push_lock_is_waited_for(start, size))
        nt_violation("freed-in-use",
                     "the memory at %p, %zu bytes, is freed while a thread waits for a push lock inside", start, size);
}

/* ---- census ---- */

void ex_census(struct census *census)
{
    LIST_ENTRY *objects = &machine->ex->objects;

    for (LIST_ENTRY *entry = objects->Blink; entry != objects; entry = entry->Blink) {
        const struct ex_object *object = CONTAINING_RECORD(entry, struct ex_object, entry);
        census_item(census, object->kind, 1, object->caller, "in a driver's memory");
    }
    ex_worker_census(census);
    ex_callback_census(census);
    ex_timer_census(census);
    io_workitem_census(census);
}
