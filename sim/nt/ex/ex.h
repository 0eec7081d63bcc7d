/* The executive inside the simulated kernel. Drivers see only the routines of <ntddk.h>. */
#ifndef NT_EX_EX_H
#define NT_EX_EX_H

#include "nt/nt.h"

#define EX_RUNDOWN_BUCKETS 64

struct pool_state;
struct ex_workers;
struct rundown_record;

struct ex_state {
    struct pool_state *pool;
    struct ex_workers *workers;
    LIST_ENTRY objects;  /* struct ex_object, in order of initialisation */
    LIST_ENTRY timers;   /* struct _EX_TIMER, in order of allocation */
    LIST_ENTRY rundowns; /* threads that wait for rundown protection to be released */
    struct rundown_record *rundown_records[EX_RUNDOWN_BUCKETS]; /* references to them that are out */
    LIST_ENTRY push_locks; /* threads that wait for a push lock, in order of coming */
    LIST_ENTRY io_items;   /* struct _IO_WORKITEM, in order of initialisation (io/workitem.c) */
    LIST_ENTRY callbacks;  /* struct callback_registration, in order of registration */
};

/*
 * An object of the executive in a driver's memory (a resource, a lookaside list, ...) that must be taken down before
 * the memory goes: freeing pool with one inside is a violation, and one that is left shows in the census under its
 * kind.
 */
struct ex_object {
    LIST_ENTRY entry;
    const char *kind;    /* compared by pointer: one constant a kind */
    uint64_t freed_code; /* parameter 1 of bugcheck 0xC4 when its memory goes */
    const void *address;
    size_t size;
    const void *caller;
};

struct ex_object *ex_object_add(const char *kind, uint64_t freed_code, const void *address, size_t size,
                                const void *caller);
struct ex_object *ex_object_find(const char *kind, const void *address);
void ex_object_remove(struct ex_object *object);

/*
 * Memory of a driver is about to go: what still uses it is a violation (an executive object, a queued work item, a
 * timer, a DPC, a waiter, a held lock), and what is only known of it is forgotten (the order of its locks, remove
 * locks).
 */
void ex_memory_goes(const void *start, size_t size);

/* ---- between the files of ex ---- */
void ex_worker_init(void);
void ex_callback_init(void);
bool ex_rundown_is_waited_for(const void *start, size_t size);
void ex_rundown_check_freed(const void *start, size_t size);
bool ex_push_lock_is_waited_for(const void *start, size_t size);
/* A queued WORK_QUEUE_ITEM that lies in the range, or NULL. */
const WORK_QUEUE_ITEM *ex_worker_find_queued(const void *start, size_t size);
void ex_worker_census(struct census *census);
void ex_callback_census(struct census *census);
void ex_timer_census(struct census *census);

/* ---- work items, for io/workitem.c ---- */

/* Queue an item as ExQueueWorkItem does, on behalf of `caller`, without its IRQL check and switch point. */
void ex_worker_queue(PWORK_QUEUE_ITEM item, WORK_QUEUE_TYPE type, const char *routine);
/* A worker's routine has come back: the thread must be as it was. `item` and `context` are for the report. */
void ex_worker_check_return(const void *routine, const void *item, const void *context);
void io_workitem_census(struct census *census);
/*
 * For the harness, at PASSIVE_LEVEL: wait until no work item is queued and none runs; one that has done its work still
 * has its device object referenced for a moment. Gives up after a second of the machine's clock.
 */
void ex_workers_drain(void);

/* Remove locks in memory that goes: io/remove_lock.c. */
void io_remove_lock_check_freed(const void *start, size_t size);

#endif
