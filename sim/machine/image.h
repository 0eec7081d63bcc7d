/*
 * The machine image: every byte that changes while the machine runs lives between IMAGE_BASE and IMAGE_END, at the
 * same addresses in every process, so that equal seeds give equal runs and a snapshot is a copy of pages.
 *
 *   heaps       the simulator's own objects, in two arenas: the guest's (NT objects, vCPUs, images), which a reboot
 *               empties, and the host's (Xen tables, store, task state); image_alloc()
 *   stacks      fiber stacks, each with an inaccessible page below it; used by fiber.c
 *   ram         the guest's kernel view of its RAM, virtually contiguous (physical order is permuted, see guest_ram.h)
 *   sysptes     windows for MDL mappings, I/O space and foreign frames; used by mm/
 *   directmap   the hypervisor's and dom0's own view of every backing page (RAM, then Xen's pages)
 *
 * The base depends on the build only: valgrind wants low addresses, the sanitizers want them above their shadow.
 */
#ifndef MACHINE_IMAGE_H
#define MACHINE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IMAGE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IMAGE_SANITIZED 1
#endif
#endif

#ifdef IMAGE_SANITIZED
#define IMAGE_BASE UINT64_C(0x7e9000000000)
#else
#define IMAGE_BASE UINT64_C(0x020000000000)
#endif

#define IMAGE_HOST_HEAP_BASE IMAGE_BASE
#define IMAGE_GUEST_HEAP_BASE (IMAGE_BASE + (UINT64_C(1) << 30))
#define IMAGE_HEAP_SIZE (UINT64_C(1) << 30) /* of each */
#define IMAGE_STACKS_BASE (IMAGE_BASE + (UINT64_C(2) << 30))
#define IMAGE_STACKS_SIZE (UINT64_C(2) << 30)
#define IMAGE_RAM_BASE (IMAGE_BASE + (UINT64_C(8) << 30))
#define IMAGE_RAM_MAX (UINT64_C(4) << 30)
#define IMAGE_SYSPTE_BASE (IMAGE_BASE + (UINT64_C(16) << 30))
#define IMAGE_SYSPTE_SIZE (UINT64_C(8) << 30)
#define IMAGE_DIRECTMAP_BASE (IMAGE_BASE + (UINT64_C(32) << 30))
#define IMAGE_DIRECTMAP_SIZE (UINT64_C(8) << 30)

/*
 * Machine heap. image_alloc() returns zeroed memory aligned to 16 bytes; it never fails (an exhausted arena ends the
 * process with the size asked for and the arena's use). Blocks are reused last in, first out. image_free(NULL) is a
 * no-op. Not for guest memory (that is pool and pages, in mm/ and ex/), not for host resources (files, libraries).
 *
 * The arena is the component's, not the caller's choice: the build rule compiles sim/nt and sim/image for the guest's,
 * everything else is for the host's. image_realloc() and image_free() go by the block.
 */
enum image_arena { IMAGE_HOST, IMAGE_GUEST };

#ifndef IMAGE_ARENA
#define IMAGE_ARENA IMAGE_HOST
#endif

void *image_arena_alloc(enum image_arena arena, size_t size);
void *image_arena_realloc(enum image_arena arena, void *block, size_t size);
void image_free(void *block);
char *image_arena_strdup(enum image_arena arena, const char *string);
char *image_arena_printf(enum image_arena arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void *image_alloc(size_t size)
{
    return image_arena_alloc(IMAGE_ARENA, size);
}

/* Grown bytes are zero. */
static inline void *image_realloc(void *block, size_t size)
{
    return image_arena_realloc(IMAGE_ARENA, block, size);
}

static inline char *image_strdup(const char *string)
{
    return image_arena_strdup(IMAGE_ARENA, string);
}

#define image_printf(...) image_arena_printf(IMAGE_ARENA, __VA_ARGS__)

/*
 * A block of the host's heap that only the machine image points to (a failure record, the log): tell the leak checker
 * of sanitized builds, which does not look there.
 */
void image_holds_host_block(void *block);

/* Whether an arena has given out the byte at this address since it was last empty. */
bool image_arena_contains(enum image_arena arena, const void *address);
bool image_heap_contains(const void *address); /* either */
/* Whether the address lies in the part of the map that is an arena's. */
bool image_is_heap(const void *address);

/* Forget every block of the guest's arena: it is as at power-on. */
void image_clear_guest(void);

/* Map the heaps and reserve the rest of the address map. Called by machine_create() only. */
void image_open(void);
void image_close(void);

#endif
