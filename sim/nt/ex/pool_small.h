/*
 * Blocks that share pages: taking one from its list and giving it back. In place, for the routines that drivers call
 * most; and what these may do when nothing else but the block itself is to be looked at (pool_take_quiet(),
 * pool_give_quiet()).
 */
#ifndef NT_EX_POOL_SMALL_H
#define NT_EX_POOL_SMALL_H

#include "nt/ex/pool_internal.h"
#include "nt/verifier/lock_state.h"

/* ---- lists of free blocks ---- */

static inline uint32_t pool_block_index(const void *block)
{
    return (uint32_t)(((uintptr_t)block - IMAGE_RAM_BASE) / POOL_STEP) + 1;
}

static inline uint8_t *pool_block_at(uint32_t index)
{
    return (uint8_t *)(IMAGE_RAM_BASE + (uint64_t)(index - 1) * POOL_STEP);
}

#ifdef POOL_POISONING
static inline void pool_list_append(struct pool_list *list, uint8_t *block)
{
    pool_header(block)->sequence = 0;
    if (list->last != 0) {
        struct pool_header *last = pool_header(pool_block_at(list->last));
        ASAN_UNPOISON_MEMORY_REGION(last, sizeof *last);
        last->sequence = pool_block_index(block);
        ASAN_POISON_MEMORY_REGION(last, sizeof *last);
    } else {
        list->first = pool_block_index(block);
    }
    list->last = pool_block_index(block);
    list->count++;
}
#endif

static inline void pool_list_push(struct pool_list *list, uint8_t *block)
{
    pool_header(block)->sequence = list->first;
    list->first = pool_block_index(block);
    if (POOL_HELD_BACK != 0 && list->last == 0)
        list->last = list->first;
    list->count++;
}

/* A block, of which `keep` stay; its header is open afterwards. */
static inline uint8_t *pool_list_pop(struct pool_list *list, uint32_t keep)
{
    if (list->count <= keep)
        return NULL;
    uint8_t *block = pool_block_at(list->first);
    ASAN_UNPOISON_MEMORY_REGION(pool_header(block), sizeof(struct pool_header));
    list->first = pool_header(block)->sequence;
    if (POOL_HELD_BACK != 0 && list->first == 0)
        list->last = 0;
    list->count--;
    return block;
}

/* ---- shapes ---- */

static inline struct pool_shape *pool_shape_slot(struct pool_state *state, unsigned type, uint64_t size, uint32_t tag)
{
    return &state->shape[((uint32_t)size * 37 + tag * UINT32_C(0x9E3779B1) + type) >> 7 & (POOL_SHAPES - 1)];
}

static inline bool pool_shape_is(const struct pool_shape *shape, unsigned type, uint64_t size, uint32_t tag)
{
    return shape->size == size && shape->tag == tag && shape->type == type;
}

/* ---- taking and giving back ---- */

/* A free block, its header open, becomes one of this shape in use. */
static inline void *pool_take(struct pool_state *state, const struct pool_shape *shape, uint8_t *block,
                              const void *caller)
{
    struct pool_statistic *statistic = &state->statistics[shape->statistic];
    struct pool_header *header = pool_header(block);

    ASAN_UNPOISON_MEMORY_REGION(block, shape->room);
    if (header->state != POOL_FREED || header->guard != pool_guard(header) || !pool_room_is_filled(block, shape->room))
        pool_report_write_after_free(block, "is used again");
    header->tag = shape->tag;
    header->size = (uint32_t)shape->size;
    header->origin = pool_origin(caller);
    header->sequence = ++state->sequence;
    header->statistic = shape->statistic;
    header->state = POOL_IN_USE;
    header->watched = shape->watched;
    statistic->allocations++;
    statistic->bytes += shape->size;
    if (statistic->bytes > statistic->peak_bytes)
        statistic->peak_bytes = statistic->bytes;
    ASAN_POISON_MEMORY_REGION(block + shape->size, shape->room - shape->size);
    ASAN_POISON_MEMORY_REGION(header, sizeof *header);
    return block;
}

/* The block's header is that of a block in use. */
static inline bool pool_is_in_use(const struct pool_header *header)
{
    return header->state == POOL_IN_USE && header->guard == pool_guard(header);
}

/* And its size makes sense and nothing was written behind it. */
static inline bool pool_is_whole(const uint8_t *block, const struct pool_header *header, unsigned room)
{
    return header->size + POOL_MIN_BEHIND <= room && pool_is_filled(block + header->size, room - header->size);
}

/* A block in use about which all is well becomes free. */
static inline void pool_give(struct pool_state *state, uint8_t *block, unsigned attribute, const void *caller)
{
    struct pool_header *header = pool_header(block);
    struct pool_statistic *statistic = &state->statistics[header->statistic];

    statistic->frees++;
    statistic->bytes -= header->size;
    pool_fill(block, header->size);
    header->state = POOL_FREED;
    header->origin = pool_origin(caller);
#ifdef POOL_POISONING
    pool_list_append(&state->free[attribute], block);
#else
    pool_list_push(&state->free[attribute], block);
#endif
    ASAN_POISON_MEMORY_REGION(header, sizeof *header + state->room[attribute]);
}

/* ---- the quiet way ---- */

/*
 * ExAllocatePoolWithTag() when its switch point comes to nothing, its arguments have been seen before, no fault is
 * planned and a block is there. NULL, and nothing has happened, when there is more to be done.
 */
static inline void *pool_take_quiet(unsigned type, uint64_t size, uint32_t tag, const void *caller)
{
    struct vcpu *vcpu = ke_vcpu_quiet();
    struct pool_state *state = pool();
    const struct pool_shape *shape = pool_shape_slot(state, type, size, tag);

    if (vcpu == NULL || !pool_shape_is(shape, type, size, tag) || !shape->checked || vcpu->irql > DISPATCH_LEVEL ||
        state->free[shape->attribute].count <= POOL_HELD_BACK || machine->fault->on ||
        !ke_point_passes(vcpu, POINT_CALL))
        return NULL;
    return pool_take(state, shape, pool_list_pop(&state->free[shape->attribute], POOL_HELD_BACK), caller);
}

/* The same for freeing. False, and nothing has happened, when there is more to be done, or anything is wrong. */
static inline bool pool_give_quiet(uint8_t *block, uint32_t tag, const void *caller)
{
    struct vcpu *vcpu = ke_vcpu_quiet();
    struct pool_state *state = pool();
    uint64_t offset = (uintptr_t)block - IMAGE_RAM_BASE;

    if (vcpu == NULL || vcpu->irql > DISPATCH_LEVEL || offset >= state->window ||
        offset % PAGE_SIZE < sizeof(struct pool_header) || POOL_HELD_BACK != 0)
        return false;
    const struct mm_page *info = page_info((uint32_t)(offset / PAGE_SIZE));
    const struct pool_header *header = pool_header(block);
    if (info->use != PAGE_POOL_SLAB || info->attribute >= POOL_PAGED * 2 * POOL_CLASSES || !pool_is_in_use(header) ||
        header->watched != 0 || (header->tag != tag && tag != 0) ||
        !pool_is_whole(block, header, state->room[info->attribute]) || lock_anything_held() ||
        !ke_point_passes(vcpu, POINT_CALL))
        return false;
    pool_give(state, block, info->attribute, caller);
    return true;
}

#endif
