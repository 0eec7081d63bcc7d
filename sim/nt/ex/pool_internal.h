/* What the files of the pool share: the layout of blocks and the state. */
#ifndef NT_EX_POOL_INTERNAL_H
#define NT_EX_POOL_INTERNAL_H

#include <emmintrin.h>
#include <string.h>

#include "machine/stacks.h"
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
    uint8_t inside; /* pool_note_inside() */
    uint64_t guard; /* POOL_GUARD combined with the header's address */
};

_Static_assert(sizeof(struct pool_header) == 32, "the caller's part is aligned to 16 bytes");

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
#define POOL_RECENT 64u /* tags that were looked up last */

struct pool_list {
    uint32_t first, last; /* block index + 1 */
    uint32_t count;
};

struct pool_state {
    struct pool_list free[POOL_SLABS][POOL_CLASSES];
    LIST_ENTRY big;
    uint32_t sequence;
    uint32_t tags;
    struct pool_statistic statistics[POOL_TAGS];
    uint16_t tag_hash[POOL_TAG_HASH]; /* statistic + 1 */
    uint16_t recent[POOL_RECENT];     /* the same, by the tag's bits */
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

/* Bytes of the caller's part and what is behind it. */
static inline unsigned pool_room(const struct mm_page *page)
{
    return pool_class_bytes[pool_page_class(page)] - pool_lead(pool_page_slab(page));
}

#define POOL_INLINE 512u /* up to so many bytes, filling and looking is done in place: a call costs more */

/* Whether all of `size` bytes hold POOL_FILL. */
static inline bool pool_is_filled(const uint8_t *bytes, size_t size)
{
    const __m128i fill = _mm_set1_epi8((char)POOL_FILL);
    __m128i wrong = _mm_setzero_si128();
    uint64_t head, tail;

    if (size > POOL_INLINE)
        return bytes[0] == POOL_FILL && memcmp(bytes, bytes + 1, size - 1) == 0;
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
    for (size_t i = 0; i + 16 <= size; i += 16)
        wrong = _mm_or_si128(wrong, _mm_xor_si128(_mm_loadu_si128((const __m128i_u *)(bytes + i)), fill));
    wrong = _mm_or_si128(wrong, _mm_xor_si128(_mm_loadu_si128((const __m128i_u *)(bytes + size - 16)), fill));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(wrong, _mm_setzero_si128())) == 0xFFFF;
}

static inline void pool_fill(uint8_t *bytes, size_t size)
{
    const __m128i fill = _mm_set1_epi8((char)POOL_FILL);

    if (size < 16 || size > POOL_INLINE) {
        memset(bytes, POOL_FILL, size);
        return;
    }
    for (size_t i = 0; i + 16 <= size; i += 16)
        _mm_storeu_si128((__m128i_u *)(bytes + i), fill);
    _mm_storeu_si128((__m128i_u *)(bytes + size - 16), fill);
}

/*
 * Where a block comes from: the caller or, when whole stacks are kept, the number of the stack, which is below every
 * code address.
 */
static inline const void *pool_origin(const void *caller)
{
    return __builtin_expect(stacks_wanted(), 0) ? (const void *)(uintptr_t)stacks_capture(caller) : caller;
}

/* ---- checks (pool_check.c) ---- */

/* The bytes behind block `block`, or the guard before it, are not as they should be: which of the two, and where. */
_Noreturn void pool_report_corrupt(const uint8_t *block, const char *when);
/* A free block was written to. */
_Noreturn void pool_report_write_after_free(const uint8_t *block, const char *when);
_Noreturn void pool_report_bad_free(const void *block, const char *routine, const void *caller);
/* Bytes behind the caller's part of a block of whole pages that are checked. */
size_t pool_big_behind(const struct pool_big *big);
_Noreturn void pool_report_big_overrun(const struct pool_big *big, const char *when);

const char *pool_kind_name(unsigned kind);
/* A tag as text, with dots for what does not print. */
void pool_tag_text(char text[5], uint32_t tag);

#endif
