/* The executive: its state, the objects of it that lie in drivers' memory, the census. */
#include "nt/ex/ex.h"

#include "nt/ex/pool.h"
#include "nt/ke/ke.h"
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

/* Each page knows how many objects begin in it, so that freeing pool looks at the list only when there is something to
 * find. */
static void count_in_page(const void *address, int change)
{
    if (!guest_ram_address(address))
        return;
    struct mm_page *page = page_info(page_of(address));
    if (page->objects != UINT8_MAX) /* once saturated it stays: always look */
        page->objects = (uint8_t)(page->objects + change);
}

struct ex_object *ex_object_add(const char *kind, const void *address, size_t size, const void *caller)
{
    struct ex_object *object = image_alloc(sizeof *object);

    object->kind = kind;
    object->address = address;
    object->size = size;
    object->caller = caller;
    InsertTailList(&machine->ex->objects, &object->entry);
    count_in_page(address, 1);
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
    count_in_page(object->address, -1);
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
            const uint64_t parameter[4] = {0xD2, (uintptr_t)object->address, (uintptr_t)start, size};
            nt_violation_code(DRIVER_VERIFIER_DETECTED_VIOLATION, parameter, "freed-in-use",
                              "the memory at %p, %zu bytes, is freed with a %s inside, at %p, that was not taken down",
                              start, size, object->kind, object->address);
        }
    }
}

void ex_check_freed(const void *start, size_t size)
{
    const struct ex_state *ex = machine->ex;

    for (uint32_t page = page_of(start); page <= page_of((const char *)start + size - 1); page++)
        if (page_info(page)->objects != 0) {
            check_objects(start, size);
            break;
        }
    const WORK_QUEUE_ITEM *item = ex_worker_find_queued(start, size);
    if (item != NULL) {
        const uint64_t parameter[4] = {0x0, (uintptr_t)item, (uintptr_t)start, size};
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
