/*
 * The order of locks. A node is a lock, an edge A -> B says that B was waited for while A was held; a cycle means that
 * threads which come at the right moments wait for each other for ever. As Driver Verifier's deadlock detection does,
 * this goes by instances: two locks of a kind, taken in both orders, are a deadlock, and the same code on locks of two
 * devices is not. What is tried, or waited for with a time-out, adds no edge to itself: it ends. Shared acquisitions
 * count as exclusive ones, because a writer that waits holds readers off.
 *
 * An edge keeps the callers of both acquisitions and the stack of the second (it is made once, when the pair is first
 * seen); the stack of the first is whole when every acquisition keeps its stack (machine_config.stacks).
 */
#include <stdio.h>

#include "nt/verifier/stacks.h"
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"
#include "nt/verifier/lock_state.h"

struct lock_node {
    struct lock_node *next; /* in its bucket */
    const void *lock;
    enum lock_kind kind;
    uint32_t visit;
    struct lock_edge *reached_by; /* in the walk `visit` */
    LIST_ENTRY out;               /* lock_edge.out_entry, in order of creation */
    LIST_ENTRY in;
};

struct lock_edge {
    LIST_ENTRY out_entry, in_entry;
    struct lock_edge *next; /* in its bucket */
    struct lock_node *from, *to;
    const void *from_caller, *to_caller;
    uint32_t from_stack, to_stack;
    char who[RUNNER_NAME_MAX + 8];
};

struct lock_flavour {
    struct lock_flavour *next;
    const void *lock;
};

void lock_init(void)
{
    machine->lock = image_alloc(sizeof(*machine->lock));
}

static unsigned hash_of(const void *address, unsigned buckets)
{
    return (unsigned)(((uintptr_t)address >> 2) * UINT64_C(0x9E3779B97F4A7C15) >> 40) % buckets;
}

/* ---- locks by their place ---- */

/* Locks that lie together are in one bucket, so that those in memory that goes are found without a look at all. */
#define GRANULE ((uintptr_t)256)

static unsigned bucket_of(const void *lock, unsigned buckets)
{
    return hash_of((const void *)((uintptr_t)lock / GRANULE * GRANULE), buckets);
}

/* Call `forget` for each bucket in which a lock may be that lies in this memory. */
static void for_buckets(const void *start, size_t size, unsigned buckets,
                        void (*forget)(unsigned bucket, const void *start, size_t size))
{
    uintptr_t first = (uintptr_t)start / GRANULE;
    uintptr_t last = ((uintptr_t)start + size - 1) / GRANULE;

    if (last - first >= buckets) {
        for (unsigned bucket = 0; bucket < buckets; bucket++)
            forget(bucket, start, size);
        return;
    }
    for (uintptr_t granule = first; granule <= last; granule++)
        forget(bucket_of((const void *)(granule * GRANULE), buckets), start, size);
}

/* ---- nodes and edges ---- */

static struct lock_node *node_find(const void *lock)
{
    struct lock_node *node = machine->lock->node_bucket[bucket_of(lock, LOCK_NODE_BUCKETS)];

    while (node != NULL && node->lock != lock)
        node = node->next;
    return node;
}

static struct lock_node *node_of(const void *lock, enum lock_kind kind)
{
    struct lock_state *state = machine->lock;
    struct lock_node **bucket = &state->node_bucket[bucket_of(lock, LOCK_NODE_BUCKETS)];
    struct lock_node *node = node_find(lock);

    if (node != NULL)
        return node;
    node = image_alloc(sizeof(*node));
    node->lock = lock;
    node->kind = kind;
    InitializeListHead(&node->out);
    InitializeListHead(&node->in);
    node->next = *bucket;
    *bucket = node;
    state->node_count++;
    pool_note_inside(lock);
    return node;
}

static struct lock_edge **edge_bucket(const struct lock_node *from, const struct lock_node *to)
{
    uintptr_t mixed = (uintptr_t)from->lock * 3 + (uintptr_t)to->lock;

    return &machine->lock->edge_bucket[hash_of((const void *)mixed, LOCK_EDGE_BUCKETS)];
}

static bool edge_exists(const struct lock_node *from, const struct lock_node *to)
{
    for (const struct lock_edge *edge = *edge_bucket(from, to); edge != NULL; edge = edge->next)
        if (edge->from == from && edge->to == to)
            return true;
    return false;
}

static void name_current(char *buffer, size_t size)
{
    const struct vcpu *vcpu = ke_vcpu();

    if (vcpu->isr_depth > 0)
        snprintf(buffer, size, "a service routine on vCPU %u", vcpu->index);
    else if (vcpu->dpc_active)
        snprintf(buffer, size, "a DPC on vCPU %u", vcpu->index);
    else
        snprintf(buffer, size, "thread %s", vcpu->current->name);
}

static void edge_add(struct lock_node *from, struct lock_node *to, const struct lock_held *held, const void *caller)
{
    struct lock_edge **bucket = edge_bucket(from, to);
    struct lock_edge *edge = image_alloc(sizeof(*edge));

    edge->from = from;
    edge->to = to;
    edge->from_caller = held->caller;
    edge->from_stack = held->stack;
    edge->to_caller = caller;
    edge->to_stack = stacks_capture(caller);
    name_current(edge->who, sizeof(edge->who));
    edge->next = *bucket;
    *bucket = edge;
    InsertTailList(&from->out, &edge->out_entry);
    InsertTailList(&to->in, &edge->in_entry);
}

static void edge_remove(struct lock_edge *edge)
{
    struct lock_edge **link = edge_bucket(edge->from, edge->to);

    while (*link != edge)
        link = &(*link)->next;
    *link = edge->next;
    RemoveEntryList(&edge->out_entry);
    RemoveEntryList(&edge->in_entry);
    image_free(edge);
}

static void node_remove(struct lock_node *node)
{
    struct lock_state *state = machine->lock;
    struct lock_node **link = &state->node_bucket[bucket_of(node->lock, LOCK_NODE_BUCKETS)];

    while (!IsListEmpty(&node->out))
        edge_remove(CONTAINING_RECORD(node->out.Flink, struct lock_edge, out_entry));
    while (!IsListEmpty(&node->in))
        edge_remove(CONTAINING_RECORD(node->in.Flink, struct lock_edge, in_entry));
    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    state->node_count--;
    image_free(node);
}

/* ---- cycles ---- */

/* Depth first from `node`; true when `wanted` is reached, along lock_node.reached_by. */
static bool reach(struct lock_node *node, const struct lock_node *wanted, uint32_t visit)
{
    struct lock_node *start = node;
    struct lock_edge *edge;
    PLIST_ENTRY entry;

    node->visit = visit;
    node->reached_by = NULL;
    entry = node->out.Flink;
    for (;;) {
        if (entry != &node->out) {
            edge = CONTAINING_RECORD(entry, struct lock_edge, out_entry);
            if (edge->to->visit == visit) {
                entry = entry->Flink;
                continue;
            }
            edge->to->visit = visit;
            edge->to->reached_by = edge;
            if (edge->to == wanted)
                return true;
            node = edge->to;
            entry = node->out.Flink;
            continue;
        }
        if (node == start)
            return false;
        edge = node->reached_by; /* back to where we came from, to its next edge */
        node = edge->from;
        entry = edge->out_entry.Flink;
    }
}

_Noreturn static void report_cycle(const struct lock_node *wanted, const struct lock_node *held_node,
                                   const struct lock_held *held, const void *caller)
{
    const struct lock_edge *path[8] = {NULL};
    unsigned length = 0;
    char wanted_name[384], held_name[384], title[256], text[700];
    size_t used;

    lock_describe(wanted_name, sizeof(wanted_name), wanted->lock, wanted->kind);
    lock_describe(held_name, sizeof(held_name), held_node->lock, held_node->kind);
    for (const struct lock_node *node = held_node; node != wanted && length < ARRAYSIZE(path);
         node = node->reached_by->from)
        path[length++] = node->reached_by;

    used = (size_t)snprintf(text, sizeof(text), "%p", wanted->lock);
    for (unsigned index = length; index-- > 0 && used < sizeof(text);)
        used += (size_t)snprintf(text + used, sizeof(text) - used, " then %p (%s)", path[index]->to->lock,
                                 path[index]->who);

    lock_note_stack(held->caller, held->stack, "now: the lock that is held was acquired here");
    lock_note_stack(caller, stacks_capture(caller), "now: the lock that is wanted");
    for (unsigned index = length; index-- > 0;) {
        const struct lock_edge *edge = path[index];

        snprintf(title, sizeof(title), "before, %s: %s %p was acquired here", edge->who,
                 lock_kind_name(edge->from->kind), edge->from->lock);
        lock_note_stack(edge->from_caller, edge->from_stack, title);
        snprintf(title, sizeof(title), "before, %s: then %s %p here", edge->who, lock_kind_name(edge->to->kind),
                 edge->to->lock);
        lock_note_stack(edge->to_caller, edge->to_stack, title);
    }
    nt_violation_sub("lock-order", (uintptr_t)wanted->lock, 0, 0,
                     "the %s is wanted while the %s is held; before, the order was %s", wanted_name, held_name, text);
}

static void order_after(const struct lock_list *list, struct lock_node *wanted, const void *caller)
{
    for (unsigned index = 0; index < list->count; index++) {
        const struct lock_held *held = &list->held[index];
        struct lock_node *before = node_of(held->lock, held->kind);

        if (edge_exists(before, wanted))
            continue;
        if (reach(wanted, before, ++machine->lock->visit))
            report_cycle(wanted, before, held, caller);
        edge_add(before, wanted, held, caller);
    }
}

static bool holds(const struct lock_list *list, const void *lock)
{
    for (unsigned index = 0; index < list->count; index++)
        if (list->held[index].lock == lock)
            return true;
    return false;
}

void lock_order(const void *lock, enum lock_kind kind, const void *caller)
{
    struct vcpu *vcpu = ke_vcpu();
    struct lock_list *waited = vcpu->dpc_active || vcpu->isr_depth > 0 ? NULL : &vcpu->current->locks;
    struct lock_node *wanted;

    /* The current thread's list and this vCPU's are nobody else's business; the graph is everybody's. */
    if (vcpu->locks.count == 0 && (waited == NULL || waited->count == 0))
        return;
    if (holds(&vcpu->locks, lock) || (waited != NULL && holds(waited, lock)))
        return; /* recursion: the lock's own rules judge it */

    KERNEL_SCOPE();
    wanted = node_of(lock, kind);
    order_after(&vcpu->locks, wanted, caller);
    if (waited != NULL)
        order_after(waited, wanted, caller);
}

static void forget_nodes(unsigned bucket, const void *start, size_t size)
{
    for (struct lock_node *node = machine->lock->node_bucket[bucket], *next; node != NULL; node = next) {
        next = node->next;
        if ((uintptr_t)node->lock - (uintptr_t)start < size)
            node_remove(node);
    }
}

static void forget_flavours(unsigned bucket, const void *start, size_t size)
{
    struct lock_state *state = machine->lock;

    for (struct lock_flavour **link = &state->flavour_bucket[bucket], *flavour; (flavour = *link) != NULL;) {
        if ((uintptr_t)flavour->lock - (uintptr_t)start < size) {
            *link = flavour->next;
            image_free(flavour);
            __atomic_fetch_sub(&state->flavour_count, 1, __ATOMIC_RELAXED);
        } else {
            link = &flavour->next;
        }
    }
}

void lock_forget(const void *start, size_t size)
{
    const struct lock_state *state = machine->lock;

    if (size == 0)
        return;
    if (state->node_count != 0)
        for_buckets(start, size, LOCK_NODE_BUCKETS, forget_nodes);
    if (state->flavour_count != 0)
        for_buckets(start, size, LOCK_FLAVOUR_BUCKETS, forget_flavours);
}

/* ---- queued or ordinary ---- */

void lock_check_flavour(const void *lock, bool queued, const char *routine)
{
    struct lock_state *state = machine->lock;
    struct lock_flavour **bucket = &state->flavour_bucket[bucket_of(lock, LOCK_FLAVOUR_BUCKETS)];
    struct lock_flavour *flavour;

    if (!queued && __atomic_load_n(&state->flavour_count, __ATOMIC_RELAXED) == 0)
        return;

    KERNEL_SCOPE();
    flavour = *bucket;
    while (flavour != NULL && flavour->lock != lock)
        flavour = flavour->next;
    if (queued && flavour == NULL) {
        flavour = image_alloc(sizeof(*flavour));
        flavour->lock = lock;
        flavour->next = *bucket;
        *bucket = flavour;
        __atomic_fetch_add(&state->flavour_count, 1, __ATOMIC_RELAXED);
        pool_note_inside(lock);
    } else if (!queued && flavour != NULL) {
        nt_violation_sub(
            "lock-acquire-mismatch", (uintptr_t)lock, 0, 0,
            "%s of the spin lock %p, which was acquired as a queued spin lock before: a lock is always the "
            "one or the other",
            routine, lock);
    }
}
