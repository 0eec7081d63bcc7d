/*
 * Memory management inside the simulated kernel: the pages of guest RAM, and the records of what drivers have mapped
 * and locked. Drivers see only the routines of <ntddk.h>. Nothing here is a switch point.
 */
#ifndef NT_MM_H
#define NT_MM_H

#include "machine/guest_ram.h"
#include "nt/ex/pool.h"
#include "nt/nt.h"

/*
 * ---- pages (page.c) ----
 *
 * A page is a page of the RAM window, by number. Runs are contiguous in virtual addresses; their frames are in a row
 * only inside the contiguous zone.
 */

#define MM_NODES 1u /* KeQueryHighestNodeNumber() is 0 */
#define PAGE_NOT_FOUND UINT32_MAX
#define PAGE_FILL 0xC7 /* what uninitialised pages are filled with */

enum page_use {
    PAGE_FREE,
    PAGE_POOL_SLAB,  /* blocks of one size; attribute is the pool's own */
    PAGE_POOL_BIG,   /* one pool block of whole pages */
    PAGE_CONTIGUOUS, /* attribute: MEMORY_CACHING_TYPE */
    PAGE_MDL,        /* one page of MmAllocatePagesForMdl */
    PAGE_NONCACHED,  /* MmAllocateNonCachedMemory */
    PAGE_ABSENT,     /* taken away by MmRemovePhysicalMemory */
};

struct mm_page {
    uint32_t run;     /* pages of the run: at its first page, and at the last of a free one; else 0 or stale */
    uint8_t use;      /* enum page_use; kept for every page of a run */
    uint8_t last_use; /* before it was freed */
    uint8_t attribute;
    uint8_t protected; /* has another access than reading and writing */
    union {
        struct {
            uint32_t next, previous; /* free run in the list of its bin; page + 1, 0 ends */
        };
        const void *owner; /* first page of a run in use: code that allocated it, or the pool's record */
    };
};

/* `count` pages in a row of virtual addresses; contents as they were left. PAGE_NOT_FOUND when there are none. */
uint32_t page_alloc(uint32_t count, enum page_use use, const void *owner);
/* One page with its frame in [first_gfn, last_gfn]. */
uint32_t page_alloc_in_range(uint64_t first_gfn, uint64_t last_gfn, enum page_use use, const void *owner);
/*
 * `count` pages whose frames are in a row, in [first_gfn, last_gfn], not crossing a multiple of `boundary` frames (a
 * power of two; 0: none) and starting at a multiple of `alignment` frames (a power of two).
 */
uint32_t page_alloc_contiguous(uint32_t count, uint64_t first_gfn, uint64_t last_gfn, uint64_t boundary,
                               uint64_t alignment, enum page_use use, const void *owner);
/* A certain page, if it is free; `use` PAGE_ABSENT takes it out of the machine. */
bool page_take(uint32_t page, enum page_use use, const void *owner);
/* Make each page of a run in use a run of its own. */
void page_split(uint32_t first);
/*
 * Free a run by its first page. A page whose frame has lost its RAM (given to Xen and not taken back) is a violation,
 * "page-freed-without-ram": the next user would fault. `routine` is who frees, for the report.
 */
void page_free(uint32_t first, const char *routine);
/* What may be done with the pages of a run in use, until it is freed. */
void page_set_access(uint32_t first, enum guest_access access);

/* The first page of the run in use that a page is part of. */
uint32_t page_run_first(uint32_t page);
uint32_t page_free_count(void);
/* At some time since the boot there were not as many left, or in a row, as were asked for; and: there still are not. */
bool page_ran_out(void);
bool page_is_short(void);

static inline void *page_address(uint32_t page)
{
    return (void *)(IMAGE_RAM_BASE + (uint64_t)page * GUEST_PAGE_SIZE);
}

/* Of an address inside the RAM window. */
static inline uint32_t page_of(const void *address)
{
    return (uint32_t)(((uintptr_t)address - IMAGE_RAM_BASE) / GUEST_PAGE_SIZE);
}

/*
 * ---- records of mappings and locks (record.c) ----
 */

enum mm_record_kind {
    RECORD_MDL_MAPPING, /* key: the MDL */
    RECORD_MDL_LOCK,    /* key: the MDL */
    RECORD_IO_SPACE,    /* key: page-aligned address */
    RECORD_SECTION,     /* key: page-aligned address */
};

struct mm_record {
    LIST_ENTRY entry;       /* mm_state.records, in order of creation */
    struct mm_record *next; /* in its bucket */
    enum mm_record_kind kind;
    const void *key;
    void *address; /* page-aligned start of a mapping */
    size_t pages;
    bool direct; /* the mapping is the RAM window itself */
    ULONG count; /* times a section is locked */
    const void *caller;
};

struct mm_record *mm_record_add(enum mm_record_kind kind, const void *key, const void *caller);
struct mm_record *mm_record_find(enum mm_record_kind kind, const void *key);
void mm_record_remove(struct mm_record *record);

#define MM_RECORD_BUCKETS 1024u

struct mm_state {
    struct mm_page *pages;
    uint32_t bins[32]; /* free runs outside the contiguous zone by log2 of their length; page + 1 of the first */
    uint32_t free_pages;
    uint32_t refused;   /* as many as were asked for when they were not there the last time; 0: they always were */
    PKEVENT low_memory; /* the standard events, see condition.c */
    PKEVENT high_memory;
    LIST_ENTRY records;
    struct mm_record *bucket[MM_RECORD_BUCKETS];
    struct mm_paged *paged;
};

static inline struct mm_page *page_info(uint32_t page)
{
    return &machine->mm->pages[page];
}

/*
 * ---- strict paging (paged.c): none of it does anything without --paged strict ----
 */

void mm_paged_init(void);
/* The running vCPU is at DISPATCH_LEVEL or above now: what is pageable is out of reach. */
void mm_paged_hide(void);
/* All is in reach, until the next mm_paged_hide(). */
void mm_paged_show(void);
/* These pages hold paged pool, or no more. */
void mm_paged_pool(uint32_t first, uint32_t count, bool is_paged);
/* MmProbeAndLockPages and back; addresses outside of paged pool are none of its business. */
void mm_paged_lock(const void *start, size_t bytes, bool locked);
/* Whole pages of pageable sections of an image; `module` is its name and stays where it is. */
void mm_paged_section_add(const void *base, const char *module, uintptr_t start, size_t bytes, int protection);
void mm_paged_sections_remove(const void *base);
/* Where the pageable section begins that the address lies in; NULL if it lies in none. */
const void *mm_paged_section_of(const void *address);
/* What the access was to that could not be served; NULL if that is not why it faulted. */
const char *mm_paged_fault(void);

/* ---- the standard events for low and high memory (condition.c) ---- */

void mm_conditions_init(void);
/* The number of free pages has changed. */
void mm_conditions_look(void);

/* ---- MDLs (mdl.c) ---- */

#define MM_TAG_MDL POOL_TAG('M', 'd', 'l', ' ')       /* IoAllocateMdl */
#define MM_TAG_PAGES_MDL POOL_TAG('M', 'm', 'd', 'l') /* MmAllocatePagesForMdl */

/* Pages that so many bytes take: the first whole page at or above a physical address. */
static inline uint64_t page_count(uint64_t bytes)
{
    return (bytes >> PAGE_SHIFT) + (bytes % PAGE_SIZE != 0);
}

/* Number of pages that an MDL describes. */
static inline uint32_t mdl_pages(const MDL *mdl)
{
    return ADDRESS_AND_SIZE_TO_SPAN_PAGES(mdl->ByteOffset, mdl->ByteCount);
}

/*
 * A number that tells whether the bytes that a chain of MDLs describes have changed; 0 when one of them has no frames
 * yet (neither locked nor built for nonpaged pool).
 */
uint64_t mm_mdl_signature(PMDL mdl);
/* A driver frees the memory of an MDL: one that is still mapped or holds locked pages is a violation. */
void mm_check_mdl_freed(PMDL mdl, const char *routine);

/* Take down the system mapping of an MDL, wherever it was mapped (mapping.c). */
void mm_unmap_mdl(PMDL mdl, struct mm_record *record);

/* Whether every page of the range has a guest frame: it lies in RAM or in a mapping of the system PTE window. */
bool mm_range_has_frames(const void *start, size_t bytes);

#endif
