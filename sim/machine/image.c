/*
 * The machine image's address map and heap. The heap is a bump region cut into blocks of fixed size classes, with a
 * free list a class; all of its bookkeeping lies in its first page, so that a copy of the image is a copy of the heap.
 * There are two, one an arena.
 *
 * A block is a 16-byte header, the caller's bytes, and a canary directly behind them. The canary and the header are
 * checked when the block is freed; under AddressSanitizer both are poisoned as well, and a freed block is kept back for
 * a while before it is used again.
 */
#include "machine/image.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "machine/fail.h"
#include "machine/image_internal.h"

#ifdef __SANITIZE_ADDRESS__
#define HEAP_POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEAP_POISONING 1
#endif
#endif

#ifdef HEAP_POISONING
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#define HEAP_HELD_BACK 64u /* freed blocks of a class that wait before the oldest is used again */
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#define IMAGE_SIZE (IMAGE_DIRECTMAP_BASE + IMAGE_DIRECTMAP_SIZE - IMAGE_BASE)

#define BLOCK_ALLOCATED 0xA110C8EDu
#define BLOCK_FREE 0xF4EEB10Cu
#define CANARY UINT64_C(0xC0FFEE5AFE0DDBA1)

#define STEP 16u       /* granularity and alignment of blocks */
#define SMALL_MAX 512u /* up to here a class a step; above, four classes a doubling */
#define SMALL_CLASSES (SMALL_MAX / STEP + 1)
#define LARGE_CLASSES 88u /* 512 bytes to 2 GiB */
#define CLASSES (SMALL_CLASSES + LARGE_CLASSES)

struct block {
    uint32_t state;
    uint32_t class;
    uint64_t size; /* bytes the caller asked for */
};

struct free_list {
    struct block *first;
    struct block *last;
    uint64_t count;
};

struct heap {
    uint8_t *bump;
    size_t bytes;
    size_t blocks;
    struct free_list free[CLASSES];
};

_Static_assert(sizeof(struct block) == STEP, "blocks keep the caller's bytes aligned");
_Static_assert(sizeof(struct heap) <= 4096, "the heap's bookkeeping is one page");

static const uintptr_t arena_base[] = {[IMAGE_HOST] = IMAGE_HOST_HEAP_BASE, [IMAGE_GUEST] = IMAGE_GUEST_HEAP_BASE};
static const char *const arena_name[] = {[IMAGE_HOST] = "host's", [IMAGE_GUEST] = "guest's"};

static struct heap *heap_of(enum image_arena arena)
{
    return (struct heap *)arena_base[arena];
}

bool image_arena_contains(enum image_arena arena, const void *address)
{
    return (uintptr_t)address >= arena_base[arena] && (const uint8_t *)address < heap_of(arena)->bump;
}

static unsigned size_class(size_t total)
{
    if (total <= SMALL_MAX)
        return (unsigned)((total + STEP - 1) / STEP);
    unsigned top = 63u - (unsigned)__builtin_clzll(total - 1); /* 2^top < total <= 2^(top + 1) */
    unsigned quarter = (unsigned)((total - 1) >> (top - 2)) & 3u;
    return SMALL_CLASSES + (top - 9) * 4 + quarter;
}

static size_t class_bytes(unsigned class)
{
    if (class < SMALL_CLASSES)
        return (size_t) class * STEP;
    unsigned top = (class - SMALL_CLASSES) / 4 + 9;
    unsigned quarter = (class - SMALL_CLASSES) % 4;
    return ((size_t)1 << top) + (size_t)(quarter + 1) * ((size_t)1 << (top - 2));
}

static struct block **next_free(struct block *block)
{
    return (struct block **)(block + 1);
}

/* The free list's link lies in the caller's part, which is poisoned while the block is free. */
static struct block *link_get(struct block *block)
{
    ASAN_UNPOISON_MEMORY_REGION(block, sizeof *block + sizeof(struct block *));
    struct block *next = *next_free(block);
    ASAN_POISON_MEMORY_REGION(block, sizeof *block + sizeof(struct block *));
    return next;
}

static void link_set(struct block *block, struct block *next)
{
    ASAN_UNPOISON_MEMORY_REGION(block, sizeof *block + sizeof(struct block *));
    *next_free(block) = next;
    ASAN_POISON_MEMORY_REGION(block, sizeof *block + sizeof(struct block *));
}

static struct block *free_list_take(struct free_list *list)
{
#ifdef HEAP_POISONING
    if (list->count <= HEAP_HELD_BACK)
        return NULL;
#endif
    struct block *block = list->first;
    if (block == NULL)
        return NULL;
    list->first = link_get(block);
    if (list->first == NULL)
        list->last = NULL;
    list->count--;
    return block;
}

static void free_list_put(struct free_list *list, struct block *block)
{
#ifdef HEAP_POISONING
    link_set(block, NULL);
    if (list->last != NULL)
        link_set(list->last, block);
    else
        list->first = block;
    list->last = block;
#else
    link_set(block, list->first);
    list->first = block;
#endif
    list->count++;
}

static void seal(struct block *block)
{
    uint8_t *bytes = (uint8_t *)(block + 1);
    uint64_t canary = CANARY;
    size_t behind = class_bytes(block->class) - sizeof *block - block->size;

    ASAN_UNPOISON_MEMORY_REGION(bytes, block->size + sizeof canary);
    memcpy(bytes + block->size, &canary, sizeof canary);
    ASAN_POISON_MEMORY_REGION(bytes + block->size, behind);
    ASAN_POISON_MEMORY_REGION(block, sizeof *block);
}

/* The heap of an address; NULL: it is in none. */
static struct heap *find_heap(const void *address)
{
    for (enum image_arena arena = IMAGE_HOST; arena <= IMAGE_GUEST; arena++)
        if (image_arena_contains(arena, address) && (uintptr_t)address - arena_base[arena] >= 4096)
            return heap_of(arena);
    return NULL;
}

/* Check a block that the caller gives back or asks about, and open its header and canary. */
static struct block *unseal(void *address, struct heap **heap, const char *routine)
{
    uint8_t *bytes = address;
    struct block *block = (struct block *)address - 1;

    *heap = find_heap(address);
    if ((uintptr_t)address % STEP != 0 || *heap == NULL)
        fail("image-heap-bad-free", "%s(%p): not a block of the machine heap", routine, address);
    ASAN_UNPOISON_MEMORY_REGION(block, sizeof *block);
    if (block->state == BLOCK_FREE)
        fail("image-heap-double-free", "%s(%p): the block of %llu bytes is free already", routine, address,
             (unsigned long long)block->size);
    if (block->state != BLOCK_ALLOCATED || block->class >= CLASSES ||
        block->size + sizeof *block + sizeof CANARY > class_bytes(block->class))
        fail("image-heap-corrupt", "%s(%p): no block starts here, or its header was overwritten", routine, address);

    uint64_t canary;
    ASAN_UNPOISON_MEMORY_REGION(bytes + block->size, sizeof canary);
    memcpy(&canary, bytes + block->size, sizeof canary);
    if (canary != CANARY)
        fail("image-heap-overrun", "%s(%p): bytes behind the block of %llu bytes were overwritten", routine, address,
             (unsigned long long)block->size);
    return block;
}

void *image_arena_alloc(enum image_arena arena, size_t size)
{
    struct heap *heap = heap_of(arena);
    size_t total = size + sizeof(struct block) + sizeof CANARY;
    if (size > IMAGE_HEAP_SIZE) {
        fprintf(stderr, "pvsim: machine heap: a block of %zu bytes is larger than the heap\n", size);
        exit(1);
    }

    unsigned class = size_class(total);
    struct block *block = free_list_take(&heap->free[class]);
    if (block != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(block, class_bytes(class));
        memset(block + 1, 0, size);
    } else { /* bytes above the bump pointer were never written and are zero */
        if (class_bytes(class) > arena_base[arena] + IMAGE_HEAP_SIZE - (uintptr_t)heap->bump) {
            fprintf(stderr,
                    "pvsim: machine heap exhausted (the %s arena): %zu bytes asked for, %zu bytes in %zu blocks in "
                    "use\n",
                    arena_name[arena], size, heap->bytes, heap->blocks);
            exit(1);
        }
        block = (struct block *)heap->bump;
        heap->bump += class_bytes(class);
    }
    block->state = BLOCK_ALLOCATED;
    block->class = class;
    block->size = size;
    heap->bytes += size;
    heap->blocks++;
    seal(block);
    return block + 1;
}

void image_free(void *address)
{
    if (address == NULL)
        return;
    struct heap *heap;
    struct block *block = unseal(address, &heap, "image_free");
    heap->bytes -= block->size;
    heap->blocks--;
    block->state = BLOCK_FREE;
    ASAN_POISON_MEMORY_REGION(block, class_bytes(block->class));
    ASAN_UNPOISON_MEMORY_REGION(block, sizeof *block);
    free_list_put(&heap->free[block->class], block);
}

void *image_arena_realloc(enum image_arena arena, void *address, size_t size)
{
    if (address == NULL)
        return image_arena_alloc(arena, size);
    struct heap *heap;
    struct block *block = unseal(address, &heap, "image_realloc");
    size_t old = block->size;

    if (size <= IMAGE_HEAP_SIZE && size_class(size + sizeof *block + sizeof CANARY) == block->class) {
        ASAN_UNPOISON_MEMORY_REGION(address, size + sizeof CANARY);
        if (size > old)
            memset((uint8_t *)address + old, 0, size - old);
        block->size = size;
        heap->bytes += size - old;
        seal(block);
        return address;
    }

    seal(block);
    void *moved = image_arena_alloc(heap == heap_of(IMAGE_GUEST) ? IMAGE_GUEST : IMAGE_HOST, size);
    memcpy(moved, address, old < size ? old : size);
    image_free(address);
    return moved;
}

char *image_arena_strdup(enum image_arena arena, const char *string)
{
    size_t size = strlen(string) + 1;
    return memcpy(image_arena_alloc(arena, size), string, size);
}

char *image_arena_printf(enum image_arena arena, const char *format, ...)
{
    va_list arguments, again;

    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        fail("image-heap-format", "image_printf(\"%s\"): %s", format, strerror(errno));
    char *string = image_arena_alloc(arena, (size_t)length + 1);
    vsnprintf(string, (size_t)length + 1, format, again);
    va_end(again);
    return string;
}

bool image_heap_contains(const void *address)
{
    return image_arena_contains(IMAGE_HOST, address) || image_arena_contains(IMAGE_GUEST, address);
}

bool image_is_heap(const void *address)
{
    return (uintptr_t)address - IMAGE_HOST_HEAP_BASE < IMAGE_HEAP_SIZE ||
           (uintptr_t)address - IMAGE_GUEST_HEAP_BASE < IMAGE_HEAP_SIZE;
}

size_t image_arena_use(enum image_arena arena)
{
    return heap_of(arena)->bytes;
}

static void open_arena(enum image_arena arena)
{
    if (mprotect((void *)arena_base[arena], IMAGE_HEAP_SIZE, PROT_READ | PROT_WRITE) != 0) {
        fprintf(stderr, "pvsim: cannot open a machine heap of %llu MiB: %s\n",
                (unsigned long long)(IMAGE_HEAP_SIZE >> 20), strerror(errno));
        exit(125);
    }
    heap_of(arena)->bump = (uint8_t *)arena_base[arena] + 4096;
}

static void unpoison_arena(enum image_arena arena)
{
    ASAN_UNPOISON_MEMORY_REGION((void *)arena_base[arena],
                                (size_t)(heap_of(arena)->bump - (uint8_t *)arena_base[arena]));
}

/* Anonymous private memory: pages that are given back come again as zeros. */
void image_clear_guest(void)
{
    unpoison_arena(IMAGE_GUEST);
    if (madvise((void *)IMAGE_GUEST_HEAP_BASE, IMAGE_HEAP_SIZE, MADV_DONTNEED) != 0)
        fail("host-maps", "the guest's arena cannot be cleared: %s", strerror(errno));
    open_arena(IMAGE_GUEST);
}

/* One inaccessible reservation for the whole map; each owner maps its part over it. */
void image_open(void)
{
    void *base = mmap((void *)IMAGE_BASE, IMAGE_SIZE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (base != (void *)IMAGE_BASE) {
        const char *why = base == MAP_FAILED ? strerror(errno) : "the kernel chose another address";
        fprintf(stderr, "pvsim: cannot reserve %llu GiB of address space at %#llx: %s (see `ulimit -v`)\n",
                (unsigned long long)(IMAGE_SIZE >> 30), (unsigned long long)IMAGE_BASE, why);
        exit(125);
    }
    open_arena(IMAGE_HOST);
    open_arena(IMAGE_GUEST);
}

void image_close(void)
{
    unpoison_arena(IMAGE_HOST);
    unpoison_arena(IMAGE_GUEST);
    munmap((void *)IMAGE_BASE, IMAGE_SIZE);
}

void image_holds_host_block(void *block)
{
#ifdef HEAP_POISONING
    __lsan_ignore_object(block);
#else
    (void)block;
#endif
}
