/* What the files of the pool share: the layout of blocks and the state. */
#ifndef NT_EX_POOL_INTERNAL_H
#define NT_EX_POOL_INTERNAL_H

#include <emmintrin.h>
#include <string.h>

#include "nt/verifier/stacks.h"
#include "nt/ex/ex.h"
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"
#include "nt/mm/mm.h"

#ifdef __SANITIZE_ADDRESS__
#define POOL_POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_POISONING 1
#endif
#endif

#ifdef POOL_POISONING
#include <sanitizer/asan_interface.h>
#define POOL_HELD_BACK 32u /* freed blocks of a size that wait before the oldest is used again */
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define POOL_HELD_BACK 0u
#endif

enum pool_kind { POOL_NONPAGED, POOL_NONPAGED_NX, POOL_PAGED, POOL_KINDS };

/* Blocks of a kind that start at cache lines have pages of their own. */
#define POOL_SLABS (POOL_KINDS * 2)

#define POOL_IN_USE 0xA1
#define POOL_FREED 0xF4

/*
 * Stands before each block that shares a page. The bytes from the end of the caller's part to the end of the block hold
 * POOL_FILL, and all of a free block does.
 */
struct pool_header {
    uint32_t tag;
    uint32_t size;      /* as asked for */
    const void *origin; /* pool_origin(): who allocated it; when free, who freed it */
    uint32_t sequence;  /* order of allocation; when free, link to the next free block */
    uint16_t statistic; /* index of its tag's statistics */
    uint8_t state;
    uint8_t watched; /* POOL_INSIDE, POOL_MDL */
    uint64_t guard;  /* POOL_GUARD combined with the header's address */
};

_Static_assert(sizeof(struct pool_header) == 32, "the caller's part is aligned to 16 bytes");

/* What must be looked at when the block is freed. */
#define POOL_INSIDE 1u /* pool_note_inside() */
#define POOL_MDL 2u    /* it is an MDL */

#define POOL_GUARD UINT64_C(0xB10C600DB10C600D)
#define POOL_MIN_BEHIND 8u /* bytes behind the caller's part at least */

static inline uint64_t pool_guard(const struct pool_header *header)
{
    return POOL_GUARD ^ (uintptr_t)header;
}

/* A block of whole pages. */
struct pool_big {
    LIST_ENTRY entry; /* pool_state.big, in order of allocation */
    uint8_t *address;
    uint64_t size;
    const void *origin;
    uint32_t tag;
    uint32_t sequence;
    uint32_t pages;
    uint16_t statistic;
    uint8_t kind;
    bool inside; /* pool_note_inside() */
};

struct pool_statistic {
    uint32_t tag;
    uint32_t kind;
    uint64_t allocations;
    uint64_t frees;
    uint64_t bytes; /* in use */
    uint64_t peak_bytes;
};

/* Sizes of blocks, header included. Above 512 bytes the sizes that divide a page best. */
#define POOL_STEP 16u
#define POOL_SMALL_CLASSES 33u /* 0 to 512 bytes by steps */
#define POOL_CLASSES 39u
#define POOL_LARGEST 2048u
#define POOL_TAG_HASH 4096u
#define POOL_TAGS 3000u
#define POOL_SHAPES 64u

struct pool_list {
    uint32_t first; /* block index + 1 */
    uint32_t last;  /* the same, where blocks are appended (POOL_HELD_BACK) */
    uint32_t count;
};

/*
 * What follows from the arguments of an allocation of a block that shares a page: found once and kept for the next that
 * is like it.
 */
struct pool_shape {
    uint64_t size;
    uint32_t tag;
    uint32_t type; /* POOL_TYPE with its flags */
    bool checked;  /* the rules of the arguments have been looked at, and hold at every IRQL up to DISPATCH_LEVEL */
    uint8_t attribute;
    uint8_t watched; /* pool_header.watched of such a block */
    uint16_t statistic;
    uint32_t room;
};

struct pool_state {
    struct pool_list free[POOL_SLABS * POOL_CLASSES]; /* by pool_attribute() */
    uint16_t room[POOL_SLABS * POOL_CLASSES];         /* the same: bytes of the caller's part and what is behind it */
    uint64_t window;                                  /* bytes of guest RAM */
    LIST_ENTRY big;
    uint32_t sequence;
    uint32_t tags;
    struct pool_statistic statistics[POOL_TAGS];
    uint16_t tag_hash[POOL_TAG_HASH]; /* statistic + 1 */
    struct pool_shape shape[POOL_SHAPES];
};

static inline struct pool_state *pool(void)
{
    return machine->ex->pool;
}

/* ---- geometry ---- */

extern const uint16_t pool_class_bytes[POOL_CLASSES];

/* mm_page.attribute of a page with blocks. */
static inline uint8_t pool_attribute(unsigned slab, unsigned class)
{
    return (uint8_t)(slab * POOL_CLASSES + class);
}

static inline unsigned pool_page_slab(const struct mm_page *page)
{
    return page->attribute / POOL_CLASSES;
}

static inline unsigned pool_page_class(const struct mm_page *page)
{
    return page->attribute % POOL_CLASSES;
}

static inline unsigned pool_slab_kind(unsigned slab)
{
    return slab / 2;
}

/* Bytes from the start of a block to the caller's part; the header is the last 32 of them. */
static inline unsigned pool_lead(unsigned slab)
{
    return slab % 2 != 0 ? 64 : sizeof(struct pool_header);
}

/* The caller's part of block `index` of a page. */
static inline uint8_t *pool_block(uint32_t page, unsigned index)
{
    const struct mm_page *info = page_info(page);
    unsigned bytes = pool_class_bytes[pool_page_class(info)];

    return (uint8_t *)page_address(page) + index * bytes + pool_lead(pool_page_slab(info));
}

static inline unsigned pool_blocks_per_page(const struct mm_page *page)
{
    return PAGE_SIZE / pool_class_bytes[pool_page_class(page)];
}

static inline struct pool_header *pool_header(const void *block)
{
    return (struct pool_header *)block - 1;
}

/* Bytes of the caller's part and what is behind it; a multiple of 16. */
static inline unsigned pool_room(const struct mm_page *page)
{
    return pool()->room[page->attribute];
}

/* Whether all of `size` bytes hold POOL_FILL. */
static inline bool pool_is_filled(const uint8_t *bytes, size_t size)
{
    const __m128i fill = _mm_set1_epi8((char)POOL_FILL);
    __m128i same = fill;
    uint64_t head, tail;

    if (size < 16) {
        if (size < 8) {
            while (size > 0 && bytes[size - 1] == POOL_FILL)
                size--;
            return size == 0;
        }
        memcpy(&head, bytes, sizeof head);
        memcpy(&tail, bytes + size - sizeof tail, sizeof tail);
        return head == POOL_FILL * UINT64_C(0x0101010101010101) && tail == head;
    }
    for (size_t i = 0; i + 16 < size; i += 16)
        same = _mm_and_si128(same, _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i_u *)(bytes + i)), fill));
    same = _mm_and_si128(same, _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i_u *)(bytes + size - 16)), fill));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(same, fill)) == 0xFFFF;
}

/* The same of a block's whole room, and filling its start up to a multiple of 16 bytes: both are aligned. */
static inline bool pool_room_is_filled(const uint8_t *block, size_t room)
{
    const __m128i fill = _mm_set1_epi8((char)POOL_FILL);
    const __m128i *part = (const __m128i *)(const void *)block, *end = part + room / 16;
    __m128i same = _mm_cmpeq_epi8(*part, fill);

    if (room % 32 == 0) {
        part++;
        same = _mm_and_si128(same, _mm_cmpeq_epi8(*part, fill));
    }
    for (part++; part != end; part += 2) {
        same = _mm_and_si128(same, _mm_cmpeq_epi8(part[0], fill));
        same = _mm_and_si128(same, _mm_cmpeq_epi8(part[1], fill));
    }
    return _mm_movemask_epi8(same) == 0xFFFF;
}

static inline void pool_fill(uint8_t *block, size_t size)
{
    const __m128i fill = _mm_set1_epi8((char)POOL_FILL);
    __m128i *part = (__m128i *)(void *)block;

    for (const __m128i *end = part + (size + 15) / 16; part < end; part++)
        *part = fill;
}

/*
 * Where a block comes from: the caller or, when whole stacks are kept, the number of the stack, which is below every
 * code address.
 */
static inline const void *pool_origin(const void *caller)
{
    return __builtin_expect(stacks_wanted(), 0) ? (const void *)(uintptr_t)stacks_capture(caller) : caller;
}

/* The rules of an allocation's arguments have been looked at: the next like it needs no look (pool_small.h). */
void pool_shape_checked(POOL_TYPE type, SIZE_T size, ULONG tag);

/* ---- checks (pool_check.c) ---- */

/* The bytes behind block `block`, or the guard before it, are not as they should be: which of the two, and where. */
_Noreturn void pool_report_corrupt(const uint8_t *block, const char *when);
/* A free block was written to. */
_Noreturn void pool_report_write_after_free(const uint8_t *block, const char *when);
_Noreturn void pool_report_bad_free(const void *block, const char *routine, const void *caller);
/* Bytes behind the caller's part of a block of whole pages that are checked. */
size_t pool_big_behind(const struct pool_big *big);
_Noreturn void pool_report_big_overrun(const struct pool_big *big, const char *when);

/* A block in use. */
struct pool_use {
    const void *origin;
    uint64_t bytes;
    uint32_t tag;
    uint32_t sequence;
    uint16_t statistic;
};

/* Call `visit` for each. */
void pool_walk(void (*visit)(void *context, const struct pool_use *use), void *context);
/* The latest one of each of the pool's statistics; sequence 0: there is none. */
void pool_latest(struct pool_use *latest);
/* Who allocated a block, by its origin. */
const void *pool_caller(const void *origin);

const char *pool_kind_name(unsigned kind);
/* A tag as text, with dots for what does not print. */
void pool_tag_text(char text[5], uint32_t tag);

#endif
