/*
 * Access to shared rings. io/ring.h gives the layout; the other domain may write any word of the page at any time, so
 * every index is loaded once, with acquire, and every slot is copied once before it is looked at.
 */
#ifndef BACKEND_RING_H
#define BACKEND_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef __XEN_INTERFACE_VERSION__
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#endif
#include <xen/event_channel.h>
#include <xen/io/netif.h>

#define RING_PAGE_SIZE 4096u
#define RING_SLOTS 256u
#define CONTROL_SLOTS 128u

_Static_assert(__CONST_RING_SIZE(netif_tx, RING_PAGE_SIZE) == RING_SLOTS, "slots of a transmit ring");
_Static_assert(__CONST_RING_SIZE(netif_rx, RING_PAGE_SIZE) == RING_SLOTS, "slots of a receive ring");
_Static_assert(__CONST_RING_SIZE(xen_netif_ctrl, RING_PAGE_SIZE) == CONTROL_SLOTS, "slots of a control ring");

/* Where a build that interleaves threads of control by itself may do so: at each access to an index that both sides
 * share. */
#ifndef BACKEND_SHARED_ACCESS
#define BACKEND_SHARED_ACCESS() ((void)0)
#endif

static inline RING_IDX ring_load(const RING_IDX *index)
{
    BACKEND_SHARED_ACCESS();
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static inline void ring_store(RING_IDX *index, RING_IDX value)
{
    BACKEND_SHARED_ACCESS();
    __atomic_store_n(index, value, __ATOMIC_RELEASE);
}

/*
 * Write one index and read another behind it, in that order as the other side sees them: both accesses belong to the
 * one order of all sequentially consistent ones. (A fence between two weaker ones would do as well, but ThreadSanitizer
 * does not know fences.)
 */
static inline RING_IDX ring_store_then_load(RING_IDX *store, RING_IDX value, const RING_IDX *load)
{
    BACKEND_SHARED_ACCESS();
    __atomic_store_n(store, value, __ATOMIC_SEQ_CST);
    BACKEND_SHARED_ACCESS();
    return __atomic_load_n(load, __ATOMIC_SEQ_CST);
}

static inline void ring_copy_word(void *to, const void *slot, size_t at)
{
    uint32_t word = __atomic_load_n((const uint32_t *)((const uint8_t *)slot + at), __ATOMIC_RELAXED);

    memcpy((uint8_t *)to + at, &word, sizeof(word));
}

/* Copy a slot, each word of it read exactly once. `size` is a multiple of 4, 16 at most. */
static inline void ring_copy_slot(void *to, const void *slot, size_t size)
{
    ring_copy_word(to, slot, 0);
    if (size > 4)
        ring_copy_word(to, slot, 4);
    if (size > 8)
        ring_copy_word(to, slot, 8);
    if (size > 12)
        ring_copy_word(to, slot, 12);
}

/* Publish responses up to `produced`; true when the other side wants to be told of one of those since `published`. */
static inline bool ring_publish(RING_IDX *rsp_prod, const RING_IDX *rsp_event, RING_IDX published, RING_IDX produced)
{
    return (RING_IDX)(produced - ring_store_then_load(rsp_prod, produced, rsp_event)) <
           (RING_IDX)(produced - published);
}

/*
 * Ask to be told when the request before `wanted` is there, and look once more, since it may have come in between.
 * Returns the index of requests produced as it is then.
 */
static inline RING_IDX ring_sleep(const RING_IDX *req_prod, RING_IDX *req_event, RING_IDX wanted)
{
    return ring_store_then_load(req_event, wanted, req_prod);
}

#endif
