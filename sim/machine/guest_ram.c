/*
 * Guest RAM, the physical map and the guest's mappings of frames.
 *
 * Virtual page i of the RAM window lies on page i of the memfd at power-on, in one mapping; the permutation concerns
 * frame numbers only. The physical map is a table of exceptions: an entry that was never set means "as at power-on", so
 * that boot touches none of it.
 */
#include "machine/guest_ram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine/fail.h"
#include "machine/fiber.h"
#include "machine/guest_ram_internal.h"
#include "machine/image.h"
#include "machine/machine.h"
#include "machine/rng.h"

#ifdef __SANITIZE_ADDRESS__
#define POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#endif

#ifdef POISONING
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#define DEFAULT_RAM_BYTES (UINT64_C(128) << 20)
#define XEN_BACKING_PAGES 65536u /* Xen's own pages behind RAM: 256 MiB of the sparse memfd */

/* Entries of the physical map. */
#define P2M_AS_AT_POWER_ON 0u
#define P2M_NONE 1u
#define P2M_FIRST_BACKING 2u

#define WINDOW_PAGES (IMAGE_SYSPTE_SIZE / GUEST_PAGE_SIZE)
#define WINDOW_MAX_MAPPED 48000u /* a process may have 65,530 maps; fiber stacks and modules need theirs */
#define WINDOW_BUCKETS 4096u

/* A page of the system PTE window. Chains link the pages that map equal or colliding frames; index + 1, 0 ends. */
struct window_page {
    uint64_t gfn_plus_1 : 61; /* 0: not mapped */
    uint64_t writable : 1;
    uint64_t executable : 1;
    uint64_t hidden : 1; /* not readable either */
    uint32_t next;
    uint32_t previous;
};

struct guest_range {
    uintptr_t start;
    size_t bytes;
};

struct guest_ram_state {
    int memfd;
    uint32_t pages;
    uint32_t contiguous_first;
    uint32_t *ordinal_of_page; /* virtual page -> position in the guest's RAM frames; up to contiguous_first */
    uint32_t *page_of_ordinal;
    uint32_t *p2m; /* GUEST_GFN_LIMIT entries */

    uint32_t backing_next;  /* Xen pages ever given out */
    uint32_t *backing_free; /* stack of those that came back */
    uint32_t backing_free_count;
    bool *backing_taken;

    struct window_page *window;
    uint32_t *bucket;
    uint64_t window_cursor;
    uint32_t window_mapped;

    struct guest_range *ranges;
    uint32_t range_count;
};

static struct guest_ram_state *state(void)
{
    return machine->guest_ram;
}

/* ---- geometry ---- */

static uint64_t ordinal_to_gfn(uint32_t ordinal)
{
    uint64_t low = GUEST_LOW_RAM_END_GFN - GUEST_RAM_FIRST_GFN;
    return ordinal < low ? GUEST_RAM_FIRST_GFN + ordinal : GUEST_HIGH_RAM_GFN + (ordinal - low);
}

static inline uint32_t gfn_to_ordinal(uint64_t gfn)
{
    uint64_t low = GUEST_LOW_RAM_END_GFN - GUEST_RAM_FIRST_GFN;
    uint64_t ordinal = UINT64_MAX;

    if (gfn >= GUEST_RAM_FIRST_GFN && gfn < GUEST_LOW_RAM_END_GFN)
        ordinal = gfn - GUEST_RAM_FIRST_GFN;
    else if (gfn >= GUEST_HIGH_RAM_GFN && gfn < GUEST_GFN_LIMIT)
        ordinal = low + (gfn - GUEST_HIGH_RAM_GFN);
    return ordinal < state()->pages ? (uint32_t)ordinal : UINT32_MAX;
}

uint32_t guest_ram_pages(void)
{
    return state()->pages;
}

uint32_t guest_ram_contiguous_first(void)
{
    return state()->contiguous_first;
}

uint64_t guest_ram_gfn(uint32_t virtual_page)
{
    if (virtual_page >= state()->pages)
        return GFN_INVALID;
    return ordinal_to_gfn(virtual_page < state()->contiguous_first ? state()->ordinal_of_page[virtual_page]
                                                                   : virtual_page);
}

static inline uint32_t virtual_page(uint64_t gfn)
{
    uint32_t ordinal = gfn_to_ordinal(gfn);
    if (ordinal == UINT32_MAX || ordinal >= state()->contiguous_first)
        return ordinal;
    return state()->page_of_ordinal[ordinal];
}

uint32_t guest_ram_virtual_page(uint64_t gfn)
{
    return virtual_page(gfn);
}

bool guest_ram_address(const void *address)
{
    return (uintptr_t)address - IMAGE_RAM_BASE < (uint64_t)state()->pages * GUEST_PAGE_SIZE;
}

/* ---- power-on ---- */

/*
 * Fisher and Yates' shuffle, two steps a draw. Taking the high half of a 32-bit product favours some positions by less
 * than one part in 4,096 for RAM up to IMAGE_RAM_MAX: the table has to be irregular, not unguessable.
 */
static void make_permutation(uint32_t count)
{
    uint32_t *table = state()->ordinal_of_page;
    uint64_t draw = 0;

    for (uint32_t i = 0; i < count; i++)
        table[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        draw = i % 2 == 0 || draw == 0 ? rng_next(RNG_FRAMES) : draw >> 32;
        uint32_t j = (uint32_t)(((draw & UINT32_MAX) * i) >> 32);
        uint32_t swap = table[j];
        table[j] = table[i - 1];
        table[i - 1] = swap;
    }
    for (uint32_t i = 0; i < count; i++)
        state()->page_of_ordinal[table[i]] = i;
}

static void map_memfd(uintptr_t address, size_t bytes, uint64_t backing, const char *what)
{
    void *at = mmap((void *)address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
                    state()->memfd, (off_t)(backing * GUEST_PAGE_SIZE));
    if (at == MAP_FAILED) {
        fprintf(stderr, "pvsim: cannot map %s (%zu KiB): %s\n", what, bytes >> 10, strerror(errno));
        exit(125);
    }
}

void guest_ram_init(void)
{
    uint64_t bytes = machine->config.ram_bytes != 0 ? machine->config.ram_bytes : DEFAULT_RAM_BYTES;
    if (bytes % GUEST_PAGE_SIZE != 0 || bytes < 16 * GUEST_PAGE_SIZE || bytes > IMAGE_RAM_MAX) {
        fprintf(stderr, "pvsim: guest RAM of %llu bytes: must be a multiple of 4 KiB, from 64 KiB to %llu GiB\n",
                (unsigned long long)bytes, (unsigned long long)(IMAGE_RAM_MAX >> 30));
        exit(2);
    }

    struct guest_ram_state *new_state = image_alloc(sizeof *new_state);
    machine->guest_ram = new_state;
    new_state->pages = (uint32_t)(bytes / GUEST_PAGE_SIZE);
    new_state->contiguous_first = new_state->pages - new_state->pages / 4;
    new_state->ordinal_of_page = image_alloc(new_state->contiguous_first * sizeof(uint32_t));
    new_state->page_of_ordinal = image_alloc(new_state->contiguous_first * sizeof(uint32_t));
    new_state->p2m = image_alloc(GUEST_GFN_LIMIT * sizeof(uint32_t));
    new_state->backing_free = image_alloc(XEN_BACKING_PAGES * sizeof(uint32_t));
    new_state->backing_taken = image_alloc(XEN_BACKING_PAGES * sizeof(bool));
    new_state->window = image_alloc(WINDOW_PAGES * sizeof(struct window_page));
    new_state->bucket = image_alloc(WINDOW_BUCKETS * sizeof(uint32_t));

    uint64_t all = bytes + (uint64_t)XEN_BACKING_PAGES * GUEST_PAGE_SIZE;
    new_state->memfd = guest_ram_new_memfd(all);
    if (new_state->memfd < 0) {
        fprintf(stderr, "pvsim: cannot make a memfd of %llu MiB for guest RAM: %s\n", (unsigned long long)(all >> 20),
                strerror(errno));
        exit(125);
    }
    map_memfd(IMAGE_RAM_BASE, bytes, 0, "guest RAM");
    map_memfd(IMAGE_DIRECTMAP_BASE, all, 0, "the direct map");
    make_permutation(new_state->contiguous_first);
}

int guest_ram_new_memfd(uint64_t bytes)
{
    int fd = memfd_create("pvsim-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int error;

    if (fd < 0 ||
        (ftruncate(fd, (off_t)bytes) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0))
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

void guest_ram_close(void)
{
    close(state()->memfd);
    ASAN_UNPOISON_MEMORY_REGION((void *)IMAGE_RAM_BASE, (size_t)state()->pages * GUEST_PAGE_SIZE);
    machine->guest_ram = NULL;
}

int guest_ram_memfd(void)
{
    return state()->memfd;
}

void guest_ram_set_memfd(int memfd)
{
    state()->memfd = memfd;
}

/* ---- Xen's pages ---- */

uint32_t backing_alloc(void)
{
    uint32_t index;

    if (state()->backing_free_count != 0) {
        index = state()->backing_free[--state()->backing_free_count];
        memset(backing_page(state()->pages + index), 0, GUEST_PAGE_SIZE);
    } else if (state()->backing_next < XEN_BACKING_PAGES) {
        index = state()->backing_next++;
    } else {
        fail("xen-memory", "backing_alloc: all %u pages of Xen's memory are in use", XEN_BACKING_PAGES);
    }
    state()->backing_taken[index] = true;
    return state()->pages + index;
}

void backing_free(uint32_t backing)
{
    uint32_t index = backing - state()->pages;

    if (backing < state()->pages || index >= XEN_BACKING_PAGES || !state()->backing_taken[index])
        fail("xen-memory", "backing_free(%u): not a page that backing_alloc gave out", backing);
    state()->backing_taken[index] = false;
    state()->backing_free[state()->backing_free_count++] = index;
}

void *backing_page(uint32_t backing)
{
    if (backing >= state()->pages + XEN_BACKING_PAGES)
        fail("xen-memory", "backing_page(%u): no such page", backing);
    return (void *)(IMAGE_DIRECTMAP_BASE + (uint64_t)backing * GUEST_PAGE_SIZE);
}

bool backing_show(void *at, const void *page, bool writable)
{
    off_t offset = (off_t)((uintptr_t)page - IMAGE_DIRECTMAP_BASE);

    return mmap(at, GUEST_PAGE_SIZE, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
                state()->memfd, offset) != MAP_FAILED;
}

/* ---- physical map ---- */

uint32_t p2m_original(uint64_t gfn)
{
    return virtual_page(gfn); /* RAM pages come first in the memfd, in virtual order */
}

uint32_t p2m_lookup(uint64_t gfn)
{
    if (gfn >= GUEST_GFN_LIMIT)
        return BACKING_NONE;
    uint32_t entry = state()->p2m[gfn];
    if (entry == P2M_AS_AT_POWER_ON)
        return virtual_page(gfn);
    return entry == P2M_NONE ? BACKING_NONE : entry - P2M_FIRST_BACKING;
}

uint64_t p2m_next_changed(uint64_t gfn)
{
    const uint32_t *p2m = state()->p2m;

    while (gfn < GUEST_GFN_LIMIT && p2m[gfn] == P2M_AS_AT_POWER_ON)
        gfn++;
    return gfn < GUEST_GFN_LIMIT ? gfn : GFN_INVALID;
}

void *guest_frame(uint64_t gfn)
{
    uint32_t backing = p2m_lookup(gfn);
    return backing == BACKING_NONE ? NULL : backing_page(backing);
}

/* Map guest pages on as many backing pages in a row; false when the host has no map left. */
static bool remap_run(uintptr_t address, uint32_t backing, size_t count, int protection)
{
    return mmap((void *)address, count * GUEST_PAGE_SIZE, protection, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
                state()->memfd, (off_t)backing * GUEST_PAGE_SIZE) != MAP_FAILED;
}

/* Map one guest page on a backing page or on nothing; false when the host has no map left. */
static bool remap_page_as(uintptr_t address, uint32_t backing, int protection)
{
    if (backing != BACKING_NONE)
        return remap_run(address, backing, 1, protection);
    return mmap((void *)address, GUEST_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
                -1, 0) != MAP_FAILED;
}

static bool remap_page(uintptr_t address, uint32_t backing, bool writable)
{
    return remap_page_as(address, backing, PROT_READ | (writable ? PROT_WRITE : 0));
}

static int window_protection(const struct window_page *page)
{
    if (page->hidden)
        return PROT_NONE;
    return PROT_READ | (page->writable ? PROT_WRITE : 0) | (page->executable ? PROT_EXEC : 0);
}

static uint32_t *bucket_of(uint64_t gfn)
{
    return &state()->bucket[(gfn * UINT64_C(0x9E3779B97F4A7C15)) >> 52];
}

void p2m_set(uint64_t gfn, uint32_t backing)
{
    if (gfn >= GUEST_GFN_LIMIT)
        fail("p2m", "p2m_set(%#llx): the guest has no frames from %#llx on", (unsigned long long)gfn,
             (unsigned long long)GUEST_GFN_LIMIT);
    if (backing != BACKING_NONE && backing >= state()->pages &&
        (backing - state()->pages >= XEN_BACKING_PAGES || !state()->backing_taken[backing - state()->pages]))
        fail("p2m", "p2m_set(%#llx, %u): no such backing page is allocated", (unsigned long long)gfn, backing);
    if (backing == p2m_lookup(gfn))
        return;

    if (backing == p2m_original(gfn))
        state()->p2m[gfn] = P2M_AS_AT_POWER_ON;
    else
        state()->p2m[gfn] = backing == BACKING_NONE ? P2M_NONE : backing + P2M_FIRST_BACKING;

    bool mapped = true;
    uint32_t page = guest_ram_virtual_page(gfn);
    if (page != UINT32_MAX)
        mapped = remap_page(IMAGE_RAM_BASE + (uint64_t)page * GUEST_PAGE_SIZE, backing, true);
    for (uint32_t i = *bucket_of(gfn); i != 0 && mapped; i = state()->window[i - 1].next)
        if (state()->window[i - 1].gfn_plus_1 == gfn + 1)
            mapped = remap_page_as(IMAGE_SYSPTE_BASE + (uint64_t)(i - 1) * GUEST_PAGE_SIZE, backing,
                                   window_protection(&state()->window[i - 1]));
    if (!mapped)
        fail("host-maps", "p2m_set(%#llx): the host refused to remap the frame: %s (limit: vm.max_map_count)",
             (unsigned long long)gfn, strerror(errno));
}

void guest_ram_protect(uint32_t page, enum guest_access access)
{
    void *address = (void *)(IMAGE_RAM_BASE + (uint64_t)page * GUEST_PAGE_SIZE);
    int protection = access == GUEST_ACCESS_NONE ? PROT_NONE
                                                 : PROT_READ | ((access & GUEST_ACCESS_WRITE) != 0 ? PROT_WRITE : 0) |
                                                       ((access & GUEST_ACCESS_EXECUTE) != 0 ? PROT_EXEC : 0);

    if (mprotect(address, GUEST_PAGE_SIZE, protection) != 0)
        fail("host-maps", "guest_ram_protect(%u): %s", page, strerror(errno));
}

void guest_ram_make_executable(uint64_t gfn)
{
    uint32_t page = guest_ram_virtual_page(gfn);

    if (page == UINT32_MAX || p2m_lookup(gfn) == BACKING_NONE)
        fail("p2m", "guest_ram_make_executable(%#llx): no RAM frame", (unsigned long long)gfn);
    guest_ram_protect(page, GUEST_ACCESS_READ | GUEST_ACCESS_WRITE | GUEST_ACCESS_EXECUTE);
}

/* ---- system PTE window ---- */

static void window_link(uint64_t index, uint64_t gfn, bool writable)
{
    struct window_page *page = &state()->window[index];
    uint32_t *bucket = bucket_of(gfn);

    page->gfn_plus_1 = gfn + 1;
    page->writable = writable;
    page->previous = 0;
    page->next = *bucket;
    if (*bucket != 0)
        state()->window[*bucket - 1].previous = (uint32_t)index + 1;
    *bucket = (uint32_t)index + 1;
    state()->window_mapped++;
}

static void window_unlink(uint64_t index)
{
    struct window_page *page = &state()->window[index];

    if (page->previous != 0)
        state()->window[page->previous - 1].next = page->next;
    else
        *bucket_of(page->gfn_plus_1 - 1) = page->next;
    if (page->next != 0)
        state()->window[page->next - 1].previous = page->previous;
    memset(page, 0, sizeof *page);
    state()->window_mapped--;
}

/* First page of `count` unmapped ones in a row at or behind the cursor; WINDOW_PAGES if there are none before the end.
 */
static uint64_t window_find(uint64_t from, size_t count)
{
    uint64_t run = 0;

    for (uint64_t i = from; i < WINDOW_PAGES; i++) {
        run = state()->window[i].gfn_plus_1 == 0 ? run + 1 : 0;
        if (run == count)
            return i + 1 - count;
    }
    return WINDOW_PAGES;
}

/* How many of these frames, from the first on, lie on backing pages in a row; nothing backs any of them: the same. */
static size_t run_length(const uint64_t *gfns, size_t count)
{
    uint32_t first = p2m_lookup(gfns[0]);
    size_t length = 1;

    while (length < count && p2m_lookup(gfns[length]) == (first == BACKING_NONE ? first : first + length))
        length++;
    return length;
}

/* A page stays unmapped behind each window, so that running off its end faults. */
void *guest_map_frames(const uint64_t *gfns, size_t count, bool writable)
{
    if (count == 0 || count > WINDOW_MAX_MAPPED - state()->window_mapped)
        return NULL;
    uint64_t first = window_find(state()->window_cursor, count + 1);
    if (first == WINDOW_PAGES)
        first = window_find(0, count + 1);
    if (first == WINDOW_PAGES)
        return NULL;

    uintptr_t address = IMAGE_SYSPTE_BASE + first * GUEST_PAGE_SIZE;
    for (size_t i = 0, run; i < count; i += run) {
        uint32_t backing = p2m_lookup(gfns[i]);

        run = run_length(gfns + i, count - i);
        if (backing != BACKING_NONE &&
            !remap_run(address + i * GUEST_PAGE_SIZE, backing, run, PROT_READ | (writable ? PROT_WRITE : 0))) {
            guest_unmap_frames((void *)address, i);
            return NULL;
        }
        for (size_t page = i; page < i + run; page++)
            window_link(first + page, gfns[page], writable);
    }
    state()->window_cursor = first + count + 1 < WINDOW_PAGES ? first + count + 1 : 0;
    return (void *)address;
}

void guest_unmap_frames(void *address, size_t count)
{
    uint64_t first = ((uintptr_t)address - IMAGE_SYSPTE_BASE) / GUEST_PAGE_SIZE;

    if (count == 0)
        return;
    if ((uintptr_t)address < IMAGE_SYSPTE_BASE || (uintptr_t)address % GUEST_PAGE_SIZE != 0 ||
        first + count > WINDOW_PAGES)
        fail("window", "guest_unmap_frames(%p, %zu): outside the system PTE window", address, count);
    for (size_t i = 0; i < count; i++) {
        if (state()->window[first + i].gfn_plus_1 == 0)
            fail("window", "guest_unmap_frames(%p, %zu): page %zu is not mapped", address, count, i);
        window_unlink(first + i);
    }
    if (mmap(address, count * GUEST_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
             0) == MAP_FAILED)
        fail("host-maps", "guest_unmap_frames(%p, %zu): %s", address, count, strerror(errno));
}

void guest_protect_frames(void *address, size_t count, enum guest_access access)
{
    uint64_t first = ((uintptr_t)address - IMAGE_SYSPTE_BASE) / GUEST_PAGE_SIZE;

    for (size_t i = 0; i < count; i++) {
        struct window_page *page = &state()->window[first + i];
        void *at = (char *)address + i * GUEST_PAGE_SIZE;

        page->hidden = access == GUEST_ACCESS_NONE;
        page->writable = (access & GUEST_ACCESS_WRITE) != 0;
        page->executable = (access & GUEST_ACCESS_EXECUTE) != 0;
        /* What nothing backs stays without access. */
        if (p2m_lookup(page->gfn_plus_1 - 1) != BACKING_NONE &&
            mprotect(at, GUEST_PAGE_SIZE, window_protection(page)) != 0)
            fail("host-maps", "guest_protect_frames(%p, %zu): %s", address, count, strerror(errno));
    }
}

static bool window_hidden(uintptr_t address)
{
    return address - IMAGE_SYSPTE_BASE < IMAGE_SYSPTE_SIZE &&
           state()->window[(address - IMAGE_SYSPTE_BASE) / GUEST_PAGE_SIZE].hidden;
}

uint64_t guest_virtual_to_gfn(const void *address)
{
    if (guest_ram_address(address))
        return guest_ram_gfn((uint32_t)(((uintptr_t)address - IMAGE_RAM_BASE) / GUEST_PAGE_SIZE));
    if ((uintptr_t)address - IMAGE_SYSPTE_BASE < IMAGE_SYSPTE_SIZE) {
        uint64_t entry = state()->window[((uintptr_t)address - IMAGE_SYSPTE_BASE) / GUEST_PAGE_SIZE].gfn_plus_1;
        return entry == 0 ? GFN_INVALID : entry - 1;
    }
    return GFN_INVALID;
}

void guest_ram_forget_guest(void)
{
    size_t bytes = (size_t)state()->pages * GUEST_PAGE_SIZE;

    ASAN_UNPOISON_MEMORY_REGION((void *)IMAGE_RAM_BASE, bytes);
    if (mmap((void *)IMAGE_SYSPTE_BASE, IMAGE_SYSPTE_SIZE, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
        fail("host-maps", "the system PTE window cannot be emptied: %s", strerror(errno));
    for (uint32_t i = 0; i < WINDOW_BUCKETS; i++)
        for (uint32_t page = state()->bucket[i]; page != 0;) {
            uint32_t next = state()->window[page - 1].next;

            memset(&state()->window[page - 1], 0, sizeof(state()->window[0]));
            page = next;
        }
    memset(state()->bucket, 0, WINDOW_BUCKETS * sizeof(state()->bucket[0]));
    state()->window_cursor = 0;
    state()->window_mapped = 0;
    state()->range_count = 0;
    map_memfd(IMAGE_RAM_BASE, bytes, 0, "guest RAM");
    for (uint32_t page = 0; page < state()->pages; page++) {
        uint32_t backing = p2m_lookup(guest_ram_gfn(page));

        if (backing != page && !remap_page(IMAGE_RAM_BASE + (uint64_t)page * GUEST_PAGE_SIZE, backing, true))
            fail("host-maps", "guest RAM cannot be mapped anew: %s (limit: vm.max_map_count)", strerror(errno));
    }
}

void guest_ram_clear(uint32_t first_page, uint32_t count)
{
    if (fallocate(state()->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)first_page * GUEST_PAGE_SIZE,
                  (off_t)count * GUEST_PAGE_SIZE) != 0)
        fail("host-maps", "guest RAM cannot be cleared: %s", strerror(errno));
}

bool guest_address_describe(const void *address, char *buffer, size_t size)
{
    bool ram = guest_ram_address(address);
    bool window = (uintptr_t)address - IMAGE_SYSPTE_BASE < IMAGE_SYSPTE_SIZE;
    uint64_t gfn = guest_virtual_to_gfn(address);

    if (!ram && !window)
        return false;
    if (gfn == GFN_INVALID)
        snprintf(buffer, size, "system PTE window with no mapping (unmapped MDL or I/O space, or past the end of one)");
    else
        snprintf(buffer, size, "%s of guest frame %#llx, %s", ram ? "RAM window page" : "system PTE window page",
                 (unsigned long long)gfn,
                 p2m_lookup(gfn) == BACKING_NONE ? "which nothing backs now" : "which is backed");
    return true;
}

/* ---- checked copies ---- */

static bool ranges_contain(uintptr_t start, size_t bytes)
{
    for (uint32_t i = 0; i < state()->range_count; i++) {
        const struct guest_range *range = &state()->ranges[i];
        if (start >= range->start && bytes <= range->bytes && start - range->start <= range->bytes - bytes)
            return true;
    }
    return false;
}

bool guest_range_valid(const void *start, size_t bytes)
{
    uintptr_t first = (uintptr_t)start;

    if (bytes == 0)
        return true;
    if (first + bytes - 1 < first)
        return false;
    if (guest_virtual_to_gfn(start) == GFN_INVALID)
        return fiber_stack_contains(start, bytes) || ranges_contain(first, bytes);
    for (uintptr_t page = first & ~(uintptr_t)(GUEST_PAGE_SIZE - 1); page <= first + bytes - 1; page += GUEST_PAGE_SIZE)
        if (p2m_lookup(guest_virtual_to_gfn((const void *)page)) == BACKING_NONE || window_hidden(page))
            return false;
    return true;
}

bool guest_copy_in(void *to, const void *guest_from, size_t bytes)
{
    if (!guest_range_valid(guest_from, bytes))
        return false;
    memcpy(to, guest_from, bytes);
    return true;
}

/* The processor would refuse a write through a read-only window to the guest; so does the copy. */
bool guest_range_writable(const void *address, size_t bytes)
{
    uintptr_t start = (uintptr_t)address;

    if (start - IMAGE_SYSPTE_BASE >= IMAGE_SYSPTE_SIZE || bytes == 0)
        return true;
    uint64_t last = (start + bytes - 1 - IMAGE_SYSPTE_BASE) / GUEST_PAGE_SIZE;
    for (uint64_t i = (start - IMAGE_SYSPTE_BASE) / GUEST_PAGE_SIZE; i <= last; i++)
        if (!state()->window[i].writable)
            return false;
    return true;
}

bool guest_copy_out(void *guest_to, const void *from, size_t bytes)
{
    if (!guest_range_valid(guest_to, bytes) || !guest_range_writable(guest_to, bytes))
        return false;
    memcpy(guest_to, from, bytes);
    return true;
}

void guest_range_add(const void *start, size_t bytes)
{
    state()->ranges = image_realloc(state()->ranges, (state()->range_count + 1) * sizeof *state()->ranges);
    state()->ranges[state()->range_count++] = (struct guest_range){(uintptr_t)start, bytes};
}

void guest_range_remove(const void *start)
{
    for (uint32_t i = 0; i < state()->range_count; i++)
        if (state()->ranges[i].start == (uintptr_t)start) {
            state()->ranges[i] = state()->ranges[--state()->range_count];
            return;
        }
    fail("guest-range", "guest_range_remove(%p): no such range was added", start);
}
