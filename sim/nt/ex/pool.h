/*
 * The pools inside the simulated kernel. Drivers see only the routines of <ntddk.h>.
 *
 * Blocks lie in guest RAM. A block below half a page shares its page with others of its size and has a header with
 * guard words before it and canary bytes behind it; a larger one has whole pages, page-aligned, and its record outside.
 * A block smaller than a page never crosses a page boundary. Guards, canaries and the filling of free blocks are
 * checked when a block is freed or used again, and all of them by pool_check_all().
 */
#ifndef NT_EX_POOL_H
#define NT_EX_POOL_H

#include "nt/nt.h"

/* A tag as it reads in a dump: POOL_TAG('M', 'd', 'l', ' '). */
#define POOL_TAG(a, b, c, d) ((ULONG)(a) | (ULONG)(b) << 8 | (ULONG)(c) << 16 | (ULONG)(d) << 24)

#define POOL_FILL 0xDF /* free blocks, and memory that was allocated and not written */

/* For kernel components: no IRQL check, no switch point. `caller` is who is named for a leak. NULL: no memory. */
void *pool_allocate(POOL_TYPE type, SIZE_T size, ULONG tag, const void *caller);
/* Free a block; `tag` 0: any. `routine` is named in reports. */
void pool_free(void *block, ULONG tag, const char *routine, const void *caller);

/* Check every block of the pools; a broken one is a violation. For the end of a run. */
void pool_check_all(void);
/*
 * A driver's image, at `start`, is about to leave memory: blocks that its code has allocated and nobody has freed are a
 * violation.
 */
void pool_check_unloaded(const char *driver, const void *start, size_t size);
/* One line on what an address of a pool page is: the block, its tag, who allocated or freed it; false if it is none. */
bool pool_address_describe(const void *address, char *buffer, size_t size);
/*
 * Something that must be gone before the block that it lies in is freed (a timer, a waiter, a lock in an order, ...) is
 * there now: freeing the block looks for it. Addresses outside the pools are ignored.
 */
void pool_note_inside(const void *address);
/* Whether an address lies in paged pool. */
bool pool_is_paged(const void *address);
/* Give pages back that the pools keep without a block in use; true if there were any. */
bool pool_trim(void);
/* Bytes that drivers have in blocks of a tag, all pool types together; for tests and statistics. */
uint64_t pool_tag_bytes(ULONG tag);
/* Blocks of a tag that were ever allocated. */
uint64_t pool_tag_allocations(ULONG tag);
uint64_t pool_allocations(void); /* of all tags */

void pool_init(void);

#endif
