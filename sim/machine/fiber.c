#include "machine/fiber.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "machine/fail.h"
#include "machine/image.h"
#include "machine/machine.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#elif __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

void fiber_swap_stack(void **saved_stack_pointer, void *stack_pointer);
void fiber_first_entry(void);
_Noreturn void fiber_main(struct fiber *fiber);

#define GUARD_SIZE 4096u
#define STACK_FILL 0xA5
#define CLASSES 2

/* Stacks of one size: slots of guard page and stack, in a row; freed ones are reused last in, first out. */
struct stack_class {
    uint8_t *first;
    size_t stack_size;
    unsigned limit;
    unsigned used; /* slots ever handed out */
    unsigned free_count;
    unsigned free_slots[4096];
    struct fiber *owner[4096];
};

struct fiber_state {
    struct stack_class classes[CLASSES];
};

static struct fiber_state *state(void)
{
    if (machine->fiber == NULL) {
        struct fiber_state *created = image_alloc(sizeof(*created));
        const size_t sizes[CLASSES] = {FIBER_STACK_SIZE, FIBER_TASK_STACK_SIZE * (FIBER_STACK_SIZE / (24u * 1024))};

        for (unsigned index = 0; index < CLASSES; index++) {
            struct stack_class *class = &created->classes[index];

            class->first = (uint8_t *)(IMAGE_STACKS_BASE + index * (IMAGE_STACKS_SIZE / CLASSES));
            class->stack_size = sizes[index];
            class->limit = (unsigned)(IMAGE_STACKS_SIZE / CLASSES / (sizes[index] + GUARD_SIZE));
            if (class->limit > 4096)
                class->limit = 4096;
        }
        machine->fiber = created;
    }
    return machine->fiber;
}

static struct stack_class *class_of(size_t stack_size)
{
    struct fiber_state *fibers = state();

    for (unsigned index = 0; index < CLASSES; index++)
        if (stack_size <= fibers->classes[index].stack_size)
            return &fibers->classes[index];
    fprintf(stderr, "pvsim: no stack of %zu bytes to be had\n", stack_size);
    abort();
}

static uint8_t *slot_address(const struct stack_class *class, unsigned slot)
{
    return class->first + (size_t)slot * (class->stack_size + GUARD_SIZE);
}

static uint8_t *stack_take(struct stack_class *class, struct fiber *owner)
{
    unsigned slot;

    if (class->free_count > 0) {
        slot = class->free_slots[--class->free_count];
    } else {
        if (class->used == class->limit) {
            fprintf(stderr, "pvsim: more than %u fibers\n", class->limit);
            abort();
        }
        slot = class->used++;

        uint8_t *address = slot_address(class, slot);
        void *mapped = mmap(address + GUARD_SIZE, class->stack_size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

        if (mapped == MAP_FAILED) {
            fprintf(stderr, "pvsim: cannot map a fiber stack: %s\n", strerror(errno));
            exit(125);
        }
    }
    class->owner[slot] = owner;
    return slot_address(class, slot) + GUARD_SIZE;
}

_Noreturn void fiber_main(struct fiber *fiber)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
    fiber->function(fiber->argument);
    fprintf(stderr, "pvsim: fiber %s returned\n", fiber->name);
    abort();
}

void fiber_create(struct fiber *fiber, const char *name, size_t stack_size, void (*function)(void *), void *argument)
{
    struct stack_class *class = class_of(stack_size);
    void **top;

    fiber->stack_base = stack_take(class, fiber);
    fiber->stack_size = class->stack_size;
#ifdef FIBER_ASAN
    /* Frames that were never left, of a fiber that has ended or of the process' last machine, had their own marks. */
    __asan_unpoison_memory_region(fiber->stack_base, fiber->stack_size);
#endif
    memset(fiber->stack_base, STACK_FILL, FIBER_STACK_RESERVE);
    fiber->function = function;
    fiber->argument = argument;
    fiber->name = name;
    fiber->sanitizer_stack = NULL;
    fiber->in_kernel = true;
#ifdef FIBER_TSAN
    fiber->sanitizer_fiber = __tsan_create_fiber(0);
    __tsan_set_fiber_name(fiber->sanitizer_fiber, name);
#endif

    /* As fiber_swap_stack() leaves a stack: r15, r14, r13, r12, rbx, rbp, return address; aligned as after a call. */
    top = (void **)(fiber->stack_base + fiber->stack_size) - 2;
    *--top = (void *)fiber_first_entry;
    *--top = NULL;
    *--top = NULL;
    *--top = fiber;
    *--top = NULL;
    *--top = NULL;
    *--top = NULL;
    fiber->stack_pointer = top;
}

void fiber_destroy(struct fiber *fiber)
{
    struct stack_class *class = class_of(fiber->stack_size);
    unsigned slot = (unsigned)((size_t)(fiber->stack_base - class->first) / (class->stack_size + GUARD_SIZE));

#ifdef FIBER_TSAN
    __tsan_destroy_fiber(fiber->sanitizer_fiber);
#endif
    class->owner[slot] = NULL;
    class->free_slots[class->free_count++] = slot;
    fiber->stack_base = NULL;
}

/*
 * A switch orders what the fiber did before with what the next one does on the same host thread, as the switch of a
 * processor between two threads does: the kernel lock goes over with it. Nothing is ordered between host threads here;
 * a fiber that moves to another one was handed over under the lock.
 */
static inline void tell_switch(struct fiber *to)
{
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(to->sanitizer_fiber, 0);
#else
    (void)to;
#endif
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(&from->sanitizer_stack, to->stack_base, to->stack_size);
#endif
    tell_switch(to);
    fiber_swap_stack(&from->stack_pointer, to->stack_pointer);
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(from->sanitizer_stack, NULL, NULL);
#endif
}

_Noreturn void fiber_leave(struct fiber *from, struct fiber *to)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(NULL, to->stack_base, to->stack_size);
#endif
    tell_switch(to);
    fiber_swap_stack(&from->stack_pointer, to->stack_pointer);
    abort();
}

void fiber_adopt_host(struct fiber *fiber)
{
    pthread_attr_t attributes;
    void *base = NULL;
    size_t size = 0;

    memset(fiber, 0, sizeof(*fiber));
    fiber->name = "host";
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &base, &size);
        pthread_attr_destroy(&attributes);
    }
    fiber->stack_base = base;
    fiber->stack_size = size;
#ifdef FIBER_TSAN
    fiber->sanitizer_fiber = __tsan_get_current_fiber();
#endif
}

/* The reserve holds STACK_FILL for as long as nobody has written there. */
#ifdef FIBER_ASAN
__attribute__((no_sanitize("address")))
#endif
bool fiber_stack_is_low(const struct fiber *fiber, size_t *left)
{
    const uint64_t fill = UINT64_C(0x0101010101010101) * STACK_FILL;
    const uint64_t *word = (const uint64_t *)fiber->stack_base;

    for (size_t index = 0; index < FIBER_STACK_RESERVE / sizeof(*word); index++)
        if (word[index] != fill) {
            *left = index * sizeof(*word);
            return true;
        }
    return false;
}

/* As fiber_swap_stack() leaves a stack: r15, r14, r13, r12, rbx, rbp, return address. */
int fiber_backtrace(const struct fiber *fiber, void **frames, int limit)
{
    void **saved = fiber->stack_pointer;
    uintptr_t low = (uintptr_t)fiber->stack_base;
    uintptr_t high = low + fiber->stack_size;
    uintptr_t frame;
    int count = 0;

    if ((uintptr_t)saved < low || (uintptr_t)(saved + 7) > high)
        return 0;
    frame = (uintptr_t)saved[5];
    frames[count++] = saved[6];
    while (count < limit && frame >= low && frame + 16 <= high && frame % 8 == 0) {
        void **link = (void **)frame;

        if (link[1] == NULL)
            break;
        frames[count++] = link[1];
        if ((uintptr_t)link[0] <= frame)
            break;
        frame = (uintptr_t)link[0];
    }
    return count;
}

const char *fiber_guard_owner(const void *address)
{
    if (machine == NULL || machine->fiber == NULL)
        return NULL;
    for (unsigned index = 0; index < CLASSES; index++) {
        const struct stack_class *class = &machine->fiber->classes[index];
        size_t stride = class->stack_size + GUARD_SIZE;
        ptrdiff_t offset = (const uint8_t *)address - class->first;

        if (offset < 0 || (size_t)offset >= stride * class->used)
            continue;
        if ((size_t)offset % stride < GUARD_SIZE) {
            const struct fiber *owner = class->owner[(size_t)offset / stride];

            return owner != NULL ? owner->name : "a fiber that has ended";
        }
    }
    return NULL;
}

const struct fiber *fiber_stack_owner(const void *address)
{
    const struct fiber_state *fibers = machine->fiber;

    for (unsigned index = 0; fibers != NULL && index < CLASSES; index++) {
        const struct stack_class *class = &fibers->classes[index];
        size_t stride = class->stack_size + GUARD_SIZE;
        ptrdiff_t offset = (const uint8_t *)address - class->first;

        if (offset >= 0 && (size_t)offset < stride * class->used)
            return class->owner[(size_t)offset / stride];
    }
    return NULL;
}

static void clear_stack(const struct stack_class *class, unsigned slot)
{
    uint8_t *base = slot_address(class, slot) + GUARD_SIZE;

#ifdef FIBER_ASAN
    __asan_unpoison_memory_region(base, class->stack_size);
#endif
    if (madvise(base, class->stack_size, MADV_DONTNEED) != 0)
        fail("host-maps", "a stack cannot be cleared: %s", strerror(errno));
}

void fiber_destroy_guest(void)
{
    for (unsigned index = 0; index < CLASSES; index++) {
        struct stack_class *class = &state()->classes[index];

        for (unsigned slot = 0; slot < class->used; slot++)
            if (class->owner[slot] != NULL && machine_is_guests(class->owner[slot])) {
                fiber_destroy(class->owner[slot]);
                clear_stack(class, slot);
            }
        class->free_count = 0;
        for (unsigned slot = class->used; slot-- > 0;)
            if (class->owner[slot] == NULL)
                class->free_slots[class->free_count++] = slot;
    }
}

bool fiber_stack_contains(const void *start, size_t bytes)
{
    const struct fiber_state *fibers = machine->fiber;

    for (unsigned index = 0; index < CLASSES; index++) {
        const struct stack_class *class = &fibers->classes[index];
        size_t stride = class->stack_size + GUARD_SIZE;
        ptrdiff_t offset = (const uint8_t *)start - class->first;

        if (offset < 0 || (size_t)offset >= stride * class->used)
            continue;
        return (size_t)offset % stride >= GUARD_SIZE && bytes <= stride - (size_t)offset % stride;
    }
    return false;
}

bool fiber_uses_fake_stacks(void)
{
#ifdef FIBER_ASAN
    return __asan_get_current_fake_stack() != NULL;
#else
    return false;
#endif
}
