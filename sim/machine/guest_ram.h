/*
 * Guest RAM and the physical map. Backing pages live in one memfd: RAM pages first, then Xen's own (shared info, grant
 * frames, ...). The guest's kernel sees RAM at IMAGE_RAM_BASE, virtually contiguous; a seeded permutation gives each
 * RAM page its guest frame number (GFN), except in the contiguous zone at the end of RAM where frames are in a row. The
 * physical map (p2m) says what backs a GFN now; Xen changes it (add_to_physmap and friends), and every guest mapping of
 * that frame follows at once.
 */
#ifndef MACHINE_GUEST_RAM_H
#define MACHINE_GUEST_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_PAGE_SHIFT 12
#define GUEST_PAGE_SIZE 4096u
#define GFN_INVALID UINT64_MAX
#define BACKING_NONE UINT32_MAX

void guest_ram_init(void);
void guest_ram_close(void);
/*
 * In a forked child, before anything runs: guest RAM is shared memory, and the child gets a copy of its own beneath
 * every mapping, at the same addresses.
 */
void guest_ram_after_fork(void);

/*
 * The guest is reset: no window of the system PTE window and no further range is its any more, and the RAM window is
 * mapped as at power-on, on what the physical map says.
 */
void guest_ram_forget_guest(void);
/* Forget the content of RAM pages in a row: they read as zeros. */
void guest_ram_clear(uint32_t first_page, uint32_t count);

/* RAM geometry, in pages. Virtual page i is at IMAGE_RAM_BASE + i * 4096. */
uint32_t guest_ram_pages(void);
uint32_t guest_ram_contiguous_first(void); /* first virtual page of the contiguous zone */
uint64_t guest_ram_gfn(uint32_t virtual_page);
/* The virtual page that holds a RAM frame, or UINT32_MAX if the GFN is no RAM frame. */
uint32_t guest_ram_virtual_page(uint64_t gfn);
bool guest_ram_address(const void *address); /* inside the RAM window */

/*
 * The guest's physical address map, in frames. RAM starts at 1 MiB; what would reach into the device hole below 4 GiB
 * continues at 4 GiB, as on a PC. No frame at or above the limit exists.
 */
#define GUEST_RAM_FIRST_GFN UINT64_C(0x100)
#define GUEST_LOW_RAM_END_GFN UINT64_C(0xF0000)
#define GUEST_HIGH_RAM_GFN UINT64_C(0x100000)
#define GUEST_GFN_LIMIT UINT64_C(0x400000)

/* The hole where the platform device's memory BAR lies: GFNs with no RAM behind them. */
#define GUEST_HOLE_FIRST_GFN UINT64_C(0xF2000)
#define GUEST_HOLE_PAGES 4096u

/* Map RAM of config.ram_bytes and make the permutation; after image_open() and rng. By machine_create() only. */
void guest_ram_init(void);
/* Give back what the host holds (the memfd); before image_close(). */
void guest_ram_close(void);
/*
 * In a forked child, before anything runs: guest RAM is shared memory, and the child gets a copy of its own beneath
 * every mapping, at the same addresses.
 */
void guest_ram_after_fork(void);

/* Physical map. A backing index names a page of the memfd; BACKING_NONE: nothing there. */
uint32_t p2m_lookup(uint64_t gfn);
/*
 * Put a backing page (or BACKING_NONE) under a GFN below GUEST_GFN_LIMIT; every guest mapping of the GFN changes with
 * it. To give a RAM frame its RAM back, set p2m_original(gfn).
 */
void p2m_set(uint64_t gfn, uint32_t backing);
/* The first GFN from this one on under which there is something else than at power-on; GFN_INVALID: none. */
uint64_t p2m_next_changed(uint64_t gfn);
/* The RAM page that belongs under a GFN at power-on, BACKING_NONE outside RAM. */
uint32_t p2m_original(uint64_t gfn);

/* Xen's pages: allocate and free zeroed backing pages behind RAM. */
uint32_t backing_alloc(void);
void backing_free(uint32_t backing);
/*
 * Show the page of the hypervisor's view at `page` at another address too, in place of what is mapped there; a window
 * of dom0's. False with errno when the host refuses.
 */
bool backing_show(void *at, const void *page, bool writable);
/* The hypervisor's own view of a backing page; never faults, never poisoned. */
void *backing_page(uint32_t backing);

/* The hypervisor's view of a guest frame, or NULL when nothing backs it. */
void *guest_frame(uint64_t gfn);

/* What the guest may do with a page: what it may write or execute it may read, as on x86. */
enum guest_access {
    GUEST_ACCESS_NONE = 0,
    GUEST_ACCESS_READ = 1,
    GUEST_ACCESS_WRITE = 2,
    GUEST_ACCESS_EXECUTE = 4,
};

/* The guest's access to a page of the RAM window (by its number); stays until its backing changes. */
void guest_ram_protect(uint32_t page, enum guest_access access);
/* Let the guest execute a RAM frame through the RAM window (the hypercall page); stays until its backing changes. */
void guest_ram_make_executable(uint64_t gfn);

/*
 * Copy to or from guest virtual memory for a hypercall or library call, after checking that the range is guest-mapped
 * (RAM window, system PTE window, a driver image or a guest stack). False, and nothing copied, when it is not.
 */
bool guest_copy_in(void *to, const void *guest_from, size_t bytes);
bool guest_copy_out(void *guest_to, const void *from, size_t bytes);

/*
 * Guest virtual mappings outside the RAM window (used by nt/mm). Map `count` frames in a row of virtual pages of the
 * system PTE window; frames without backing fault when touched, and so does a write when not `writable`. Unmapped
 * windows are not reused until the window has been gone through once, so that stale pointers fault. Returns NULL when
 * no window is left.
 */
void *guest_map_frames(const uint64_t *gfns, size_t count, bool writable);
void guest_unmap_frames(void *address, size_t count);
/* Another protection for such a window. It stays when what backs a frame changes. */
void guest_protect_frames(void *address, size_t count, enum guest_access access);
/* The GFN behind a guest virtual address (RAM window or mapped window), GFN_INVALID if none. */
uint64_t guest_virtual_to_gfn(const void *address);
/* Whether `bytes` from `start` are guest-mapped: the rule that guest_copy_in() and guest_copy_out() go by. */
bool guest_range_valid(const void *start, size_t bytes);
/* Of a valid range: whether no page of it is mapped read-only. */
bool guest_range_writable(const void *start, size_t bytes);
/* One line for a fault report: what this address of the RAM window or the system PTE window is; false for others. */
bool guest_address_describe(const void *address, char *buffer, size_t size);

/* Further ranges that hypercall arguments may lie in: driver images. */
void guest_range_add(const void *start, size_t bytes);
void guest_range_remove(const void *start);

#endif
