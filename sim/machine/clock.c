#include "machine/clock.h"

#include <string.h>
#include <time.h>

#include "machine/clock_internal.h"
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/machine.h"
#include "machine/parallel.h"
#include "machine/point.h"

/* Deadlines are in a binary heap by (when, order); slot is the index in it plus one. */
struct clock_state {
    struct point point; /* the clock itself is in there */
    uint64_t host_start;
    uint64_t next; /* when of the earliest deadline, CLOCK_NEVER if none */
    uint64_t order;
    struct deadline **heap;
    unsigned count;
    unsigned capacity;
};

uint64_t clock_host(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void clock_init(void)
{
    struct clock_state *clock = image_alloc(sizeof(*clock));

    clock->next = CLOCK_NEVER;
    clock->host_start = clock_host();
    machine->clock = clock;
}

void clock_on_new_host(uint64_t now)
{
    machine->clock->host_start = clock_host() - now;
}

uint64_t clock_now(void)
{
    struct clock_state *clock = machine->clock;
    uint64_t now;

    if (machine->config.clock != CLOCK_WALL)
        return clock->point.now;
    now = clock_host() - clock->host_start;
    __atomic_store_n(&clock->point.now, now, __ATOMIC_RELAXED);
    return now;
}

uint64_t clock_recent(void)
{
    return __atomic_load_n(&machine->clock->point.now, __ATOMIC_RELAXED);
}

void clock_charge(uint64_t nanoseconds)
{
    if (machine->config.clock != CLOCK_WALL)
        machine->clock->point.now += nanoseconds;
}

static bool earlier(const struct deadline *a, const struct deadline *b)
{
    return a->when != b->when ? a->when < b->when : a->order < b->order;
}

static void place(struct clock_state *clock, unsigned index, struct deadline *deadline)
{
    clock->heap[index] = deadline;
    deadline->slot = index + 1;
}

static void sift_up(struct clock_state *clock, unsigned index)
{
    struct deadline *moving = clock->heap[index];

    while (index > 0) {
        unsigned parent = (index - 1) / 2;

        if (!earlier(moving, clock->heap[parent]))
            break;
        place(clock, index, clock->heap[parent]);
        index = parent;
    }
    place(clock, index, moving);
}

static void sift_down(struct clock_state *clock, unsigned index)
{
    struct deadline *moving = clock->heap[index];

    for (;;) {
        unsigned child = index * 2 + 1;

        if (child >= clock->count)
            break;
        if (child + 1 < clock->count && earlier(clock->heap[child + 1], clock->heap[child]))
            child++;
        if (!earlier(clock->heap[child], moving))
            break;
        place(clock, index, clock->heap[child]);
        index = child;
    }
    place(clock, index, moving);
}

static void note_next(struct clock_state *clock)
{
    clock->next = clock->count > 0 ? clock->heap[0]->when : CLOCK_NEVER;
    point_look_at(clock->next);
}

void deadline_set(struct deadline *deadline, uint64_t when, void (*function)(void *), void *argument)
{
    struct clock_state *clock = machine->clock;

    deadline_cancel(deadline);
    if (clock->count == clock->capacity) {
        clock->capacity = clock->capacity == 0 ? 64 : clock->capacity * 2;
        clock->heap = image_realloc(clock->heap, clock->capacity * sizeof(*clock->heap));
    }
    deadline->when = when;
    deadline->order = ++clock->order;
    deadline->function = function;
    deadline->argument = argument;
    clock->heap[clock->count] = deadline;
    sift_up(clock, clock->count++);
    note_next(clock);
    if (engine_is_parallel())
        parallel_deadline_moved();
}

bool deadline_cancel(struct deadline *deadline)
{
    struct clock_state *clock = machine->clock;
    unsigned index;
    struct deadline *last;

    if (deadline->slot == 0)
        return false;
    index = deadline->slot - 1;
    last = clock->heap[--clock->count];
    deadline->slot = 0;
    if (last != deadline) {
        place(clock, index, last);
        sift_up(clock, index);
        sift_down(clock, last->slot - 1);
    }
    note_next(clock);
    return true;
}

void clock_forget_guest(void)
{
    struct clock_state *clock = machine->clock;
    unsigned index = 0;

    while (index < clock->count) {
        bool guests = machine_is_guests(clock->heap[index]);

        if (guests)
            (void)deadline_cancel(clock->heap[index]);
        index = guests ? 0 : index + 1; /* others have moved */
    }
}

void clock_fire_due(void)
{
    struct clock_state *clock = machine->clock;

    while (clock->next <= clock_now()) {
        struct deadline *deadline = clock->heap[0];

        deadline_cancel(deadline);
        deadline->function(deadline->argument);
    }
}

bool clock_due(void)
{
    return machine->clock->next <= clock_now();
}

uint64_t clock_next(void)
{
    return machine->clock->next;
}

bool clock_only_deadline(const struct deadline *deadline)
{
    const struct clock_state *clock = machine->clock;

    return clock->count == 0 || (clock->count == 1 && clock->heap[0] == deadline);
}

/* On the host, for as long as the machine's clock has to go. */
static void sleep_until_next(const struct clock_state *clock)
{
    uint64_t now = clock_now();
    uint64_t left = clock->next > now ? clock->next - now : 0;
    struct timespec time = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};

    nanosleep(&time, NULL);
}

bool clock_advance(void)
{
    struct clock_state *clock = machine->clock;

    if (clock->next == CLOCK_NEVER)
        return false;
    if (machine->config.clock != CLOCK_VIRTUAL)
        sleep_until_next(clock);
    if (machine->config.clock != CLOCK_WALL && clock->point.now < clock->next)
        clock->point.now = clock->next;
    clock_fire_due();
    return true;
}
