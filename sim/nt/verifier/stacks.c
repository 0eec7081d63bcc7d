#include "nt/verifier/stacks.h"

#include <string.h>

#include "machine/backtrace.h"
#include "machine/image.h"

#define BUCKETS 1024u

struct kept_stack {
    uint32_t next; /* number of the next one in its bucket */
    uint32_t hash;
    int count;
    void *frames[STACKS_FRAMES];
};

struct stacks_state {
    struct kept_stack **stacks; /* [number - 1] */
    uint32_t count;
    uint32_t capacity;
    uint32_t buckets[BUCKETS]; /* number of the first one */
};

static struct stacks_state *state(void)
{
    if (machine->stacks == NULL)
        machine->stacks = image_alloc(sizeof(*machine->stacks));
    return machine->stacks;
}

static uint32_t hash_of(void *const *frames, int count)
{
    uint64_t hash = (uint64_t)count;

    for (int index = 0; index < count; index++)
        hash = (hash ^ (uintptr_t)frames[index]) * UINT64_C(0x9fb21c651e98df25);
    return (uint32_t)(hash >> 32);
}

/* Without the frames inside `caller`'s callee. */
static int strip(void **frames, int count, const void *caller)
{
    for (int index = 1; index < count; index++)
        if (frames[index] == caller) {
            memmove(frames, frames + index, (size_t)(count - index) * sizeof(*frames));
            return count - index;
        }
    return count;
}

uint32_t stacks_capture(const void *caller)
{
    struct stacks_state *stacks = state();
    void *frames[STACKS_FRAMES];
    int count = strip(frames, backtrace_walk(frames, STACKS_FRAMES, __builtin_frame_address(0)), caller);
    uint32_t hash = hash_of(frames, count);
    uint32_t *bucket = &stacks->buckets[hash % BUCKETS];
    struct kept_stack *kept;

    for (uint32_t number = *bucket; number != 0; number = stacks->stacks[number - 1]->next) {
        kept = stacks->stacks[number - 1];
        if (kept->hash == hash && kept->count == count &&
            memcmp(kept->frames, frames, (size_t)count * sizeof(*frames)) == 0)
            return number;
    }
    if (stacks->count == stacks->capacity) {
        stacks->capacity = stacks->capacity == 0 ? 64 : stacks->capacity * 2;
        stacks->stacks = image_realloc(stacks->stacks, stacks->capacity * sizeof(*stacks->stacks));
    }
    kept = image_alloc(sizeof(*kept));
    kept->hash = hash;
    kept->count = count;
    memcpy(kept->frames, frames, (size_t)count * sizeof(*frames));
    kept->next = *bucket;
    stacks->stacks[stacks->count] = kept;
    return *bucket = ++stacks->count;
}

int stacks_frames(uint32_t stack, void *const **frames)
{
    const struct kept_stack *kept;

    if (stack == 0)
        return 0;
    kept = state()->stacks[stack - 1];
    *frames = kept->frames;
    return kept->count;
}
