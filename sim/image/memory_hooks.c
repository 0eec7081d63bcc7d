/*
 * What the compiler calls before each load and store of a module built with -fsanitize=thread, and linked without that
 * sanitizer's run-time: a switch point each. Atomic operations are carried out here. --wrap gives the modules' memcpy()
 * and its like the same treatment. The names and types are the compilers' (gcc 12, clang 14 and later agree).
 */
#include "image/memory_hooks.h"

#include <stdint.h>
#include <string.h>

#include "machine/machine.h"
#include "machine/sched.h"

#ifdef __SANITIZE_THREAD__
#define HOOKS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOOKS 0
#endif
#endif
#ifndef HOOKS
#define HOOKS 1
#endif

bool memory_hooks_available(void)
{
    return HOOKS;
}

#if HOOKS

/* Driver code runs on a vCPU; what the dynamic linker does with a module on the host's stack is no point. */
static inline void access(const volatile void *address)
{
    if (machine != NULL && machine->config.preempt_memory)
        sched_memory_point((const void *)(uintptr_t)address);
}

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void *unused);

void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller)
{
    (void)caller;
}

void __tsan_func_exit(void *unused)
{
    (void)unused;
}

#define HOOK(name)                                                                                                     \
    void name(void *address);                                                                                          \
    void name(void *address)                                                                                           \
    {                                                                                                                  \
        access(address);                                                                                               \
    }
#define HOOKS_OF_SIZE(size)                                                                                            \
    HOOK(__tsan_read##size)                                                                                            \
    HOOK(__tsan_write##size)                                                                                           \
    HOOK(__tsan_read_write##size)
#define HOOKS_UNALIGNED(size)                                                                                          \
    HOOK(__tsan_unaligned_read##size)                                                                                  \
    HOOK(__tsan_unaligned_write##size)                                                                                 \
    HOOK(__tsan_unaligned_read_write##size)

HOOKS_OF_SIZE(1)
HOOKS_OF_SIZE(2)
HOOKS_OF_SIZE(4)
HOOKS_OF_SIZE(8)
HOOKS_OF_SIZE(16)
HOOKS_UNALIGNED(2)
HOOKS_UNALIGNED(4)
HOOKS_UNALIGNED(8)
HOOKS_UNALIGNED(16)

void __tsan_read_range(void *address, long size);
void __tsan_write_range(void *address, long size);

void __tsan_read_range(void *address, long size)
{
    (void)size;
    access(address);
}

void __tsan_write_range(void *address, long size)
{
    (void)size;
    access(address);
}

/* ---- memcpy() and its like: a switch point before the first byte ---- */

#define COPY(name, function)                                                                                           \
    void *name(void *to, const void *from, size_t size);                                                               \
    void *name(void *to, const void *from, size_t size)                                                                \
    {                                                                                                                  \
        access(to);                                                                                                    \
        return function(to, from, size);                                                                               \
    }
#define FILL(name)                                                                                                     \
    void *name(void *to, int value, size_t size);                                                                      \
    void *name(void *to, int value, size_t size)                                                                       \
    {                                                                                                                  \
        access(to);                                                                                                    \
        return memset(to, value, size);                                                                                \
    }

COPY(__tsan_memcpy, memcpy)
COPY(__tsan_memmove, memmove)
FILL(__tsan_memset)
COPY(__wrap_memcpy, memcpy)
COPY(__wrap_memmove, memmove)
FILL(__wrap_memset)

int __wrap_memcmp(const void *left, const void *right, size_t size);

int __wrap_memcmp(const void *left, const void *right, size_t size)
{
    access(left);
    return memcmp(left, right, size);
}

/*
 * ---- atomic operations: on x86-64 every order is served by the strongest. The types are those of gcc's own
 * declarations, which it knows in a sanitized build. ----
 */

#define ATOMIC_FETCH(bits, type, name)                                                                                 \
    type __tsan_atomic##bits##_fetch_##name(volatile void *object, type value, int order);                             \
    type __tsan_atomic##bits##_fetch_##name(volatile void *object, type value, int order)                              \
    {                                                                                                                  \
        (void)order;                                                                                                   \
        access(object);                                                                                                \
        return __atomic_fetch_##name((volatile type *)object, value, __ATOMIC_SEQ_CST);                                \
    }

#define ATOMIC_EXCHANGE_IF(bits, type, name)                                                                           \
    _Bool __tsan_atomic##bits##_compare_exchange_##name(volatile void *object, void *expected, type value,             \
                                                        int success, int failure);                                     \
    _Bool __tsan_atomic##bits##_compare_exchange_##name(volatile void *object, void *expected, type value,             \
                                                        int success, int failure)                                      \
    {                                                                                                                  \
        (void)success, (void)failure;                                                                                  \
        access(object);                                                                                                \
        return __atomic_compare_exchange_n((volatile type *)object, (type *)expected, value, 0, __ATOMIC_SEQ_CST,      \
                                           __ATOMIC_SEQ_CST);                                                          \
    }

#define ATOMICS(bits, type)                                                                                            \
    type __tsan_atomic##bits##_load(const volatile void *object, int order);                                           \
    void __tsan_atomic##bits##_store(volatile void *object, type value, int order);                                    \
    type __tsan_atomic##bits##_exchange(volatile void *object, type value, int order);                                 \
    type __tsan_atomic##bits##_compare_exchange_val(volatile void *object, type expected, type value, int success,     \
                                                    int failure);                                                      \
    type __tsan_atomic##bits##_load(const volatile void *object, int order)                                            \
    {                                                                                                                  \
        (void)order;                                                                                                   \
        access((const void *)object);                                                                                  \
        return __atomic_load_n((const volatile type *)object, __ATOMIC_SEQ_CST);                                       \
    }                                                                                                                  \
    void __tsan_atomic##bits##_store(volatile void *object, type value, int order)                                     \
    {                                                                                                                  \
        (void)order;                                                                                                   \
        access(object);                                                                                                \
        __atomic_store_n((volatile type *)object, value, __ATOMIC_SEQ_CST);                                            \
    }                                                                                                                  \
    type __tsan_atomic##bits##_exchange(volatile void *object, type value, int order)                                  \
    {                                                                                                                  \
        (void)order;                                                                                                   \
        access(object);                                                                                                \
        return __atomic_exchange_n((volatile type *)object, value, __ATOMIC_SEQ_CST);                                  \
    }                                                                                                                  \
    type __tsan_atomic##bits##_compare_exchange_val(volatile void *object, type expected, type value, int success,     \
                                                    int failure)                                                       \
    {                                                                                                                  \
        (void)success, (void)failure;                                                                                  \
        access(object);                                                                                                \
        __atomic_compare_exchange_n((volatile type *)object, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        return expected;                                                                                               \
    }                                                                                                                  \
    ATOMIC_EXCHANGE_IF(bits, type, strong)                                                                             \
    ATOMIC_EXCHANGE_IF(bits, type, weak)                                                                               \
    ATOMIC_FETCH(bits, type, add)                                                                                      \
    ATOMIC_FETCH(bits, type, sub)                                                                                      \
    ATOMIC_FETCH(bits, type, and)                                                                                      \
    ATOMIC_FETCH(bits, type, or)                                                                                       \
    ATOMIC_FETCH(bits, type, xor)                                                                                      \
    ATOMIC_FETCH(bits, type, nand)

ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);

void __tsan_atomic_thread_fence(int order)
{
    (void)order;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void __tsan_atomic_signal_fence(int order)
{
    (void)order;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

#endif
