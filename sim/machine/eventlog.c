#include "machine/eventlog.h"

#include <inttypes.h>
#include <stdio.h>

#include "machine/clock.h"
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/machine.h"
#include "machine/runner.h"

#define KEPT 4096u

struct event {
    uint64_t time;
    uint64_t a, b, c;
    enum event_type type;
};

struct eventlog_state {
    uint64_t count;
    uint64_t hash;
    struct event kept[KEPT];
};

static const char *const event_names[EVENT_TYPE_COUNT] = {
    [EVENT_NONE] = "none",         [EVENT_RUNNER] = "runner",
    [EVENT_THREAD] = "thread",     [EVENT_INTERRUPT] = "interrupt",
    [EVENT_DPC] = "dpc",           [EVENT_TIMER] = "timer",
    [EVENT_WAKE] = "wake",         [EVENT_HYPERCALL] = "hypercall",
    [EVENT_EVTCHN] = "evtchn",     [EVENT_GRANT] = "grant",
    [EVENT_STORE] = "store",       [EVENT_PNP] = "pnp",
    [EVENT_DRIVER] = "driver",     [EVENT_FRAME] = "frame",
    [EVENT_REGISTRY] = "registry", [EVENT_FAILURE] = "failure",
    [EVENT_RESET] = "reset",       [EVENT_FAULT] = "fault",
    [EVENT_APC] = "apc",
};

static struct eventlog_state *state(void)
{
    if (machine->eventlog == NULL) {
        machine->eventlog = image_alloc(sizeof(*machine->eventlog));
        machine->eventlog->hash = UINT64_C(0x6a09e667f3bcc908);
    }
    return machine->eventlog;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash ^= value;
    hash *= UINT64_C(0x9fb21c651e98df25);
    return hash ^ (hash >> 29);
}

/* Under the parallel engine a place of it may be read, or written by somebody who is a whole round behind. */
static inline void note(struct event *event, uint64_t time, enum event_type type, uint64_t a, uint64_t b, uint64_t c)
{
    __atomic_store_n(&event->time, time, __ATOMIC_RELAXED);
    __atomic_store_n(&event->type, type, __ATOMIC_RELAXED);
    __atomic_store_n(&event->a, a, __ATOMIC_RELAXED);
    __atomic_store_n(&event->b, b, __ATOMIC_RELAXED);
    __atomic_store_n(&event->c, c, __ATOMIC_RELAXED);
}

static struct event look(const struct event *event)
{
    return (struct event){
        .time = __atomic_load_n(&event->time, __ATOMIC_RELAXED),
        .type = __atomic_load_n(&event->type, __ATOMIC_RELAXED),
        .a = __atomic_load_n(&event->a, __ATOMIC_RELAXED),
        .b = __atomic_load_n(&event->b, __ATOMIC_RELAXED),
        .c = __atomic_load_n(&event->c, __ATOMIC_RELAXED),
    };
}

/* Deterministic: its hash is that of the run. */
static void add(struct eventlog_state *log, enum event_type type, uint64_t a, uint64_t b, uint64_t c)
{
    if (log->count + 1 == machine->config.stop_at_event) {
        machine->stopped_early = true;
        sched_leave();
    }
    note(&log->kept[log->count++ % KEPT], clock_recent(), type, a, b, c);
    log->hash = mix(mix(mix(mix(log->hash, type), a), b), c);
}

void eventlog_add(enum event_type type, uint64_t a, uint64_t b, uint64_t c)
{
    struct eventlog_state *log = state();

    if (engine_is_parallel()) /* no two of its runs are equal: no hash */
        note(&log->kept[__atomic_fetch_add(&log->count, 1, __ATOMIC_RELAXED) % KEPT], clock_recent(), type, a, b, c);
    else
        add(log, type, a, b, c);
}

void eventlog_add_row(enum event_type type, uint64_t a, const uint32_t *b, unsigned count, uint64_t c)
{
    struct eventlog_state *log = state();
    uint64_t first, now;

    if (!engine_is_parallel()) {
        for (unsigned i = 0; i < count; i++)
            add(log, type, a, b[i], c);
        return;
    }
    first = __atomic_fetch_add(&log->count, count, __ATOMIC_RELAXED);
    now = clock_recent();
    for (unsigned i = 0; i < count; i++)
        note(&log->kept[(first + i) % KEPT], now, type, a, b[i], c);
}

uint64_t eventlog_count(void)
{
    return __atomic_load_n(&state()->count, __ATOMIC_RELAXED);
}

uint64_t eventlog_hash(void)
{
    return mix(state()->hash, eventlog_count());
}

size_t eventlog_tail(char *buffer, size_t size, unsigned count)
{
    const struct eventlog_state *log = state();
    uint64_t end = eventlog_count(), from = end;
    size_t length = 0;

    if (count > KEPT)
        count = KEPT;
    from = from > count ? from - count : 0;
    for (uint64_t index = from; index < end && length < size; index++) {
        const struct event event = look(&log->kept[index % KEPT]);
        int written = snprintf(buffer + length, size - length,
                               "%" PRIu64 " %" PRIu64 ".%06" PRIu64 " %s %" PRIu64 " %" PRIu64 " %" PRId64 "\n",
                               index + 1, event.time / 1000000000, event.time / 1000 % 1000000, event_names[event.type],
                               event.a, event.b, (int64_t)event.c);

        if (written < 0 || (size_t)written >= size - length)
            break;
        length += (size_t)written;
    }
    if (size > 0)
        buffer[length < size ? length : size - 1] = '\0';
    return length;
}
