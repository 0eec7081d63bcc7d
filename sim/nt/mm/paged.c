/*
 * Strict paging (--paged strict): paged pool and the pageable code of drivers are out of reach while the running vCPU
 * is at DISPATCH_LEVEL or above, as if they had been paged out the moment the IRQL rose. Going up takes the pages away;
 * going down does not give them back: the first access from below DISPATCH_LEVEL does, through its fault, so that pairs
 * of raise and lower with no paged access in between cost nothing. Locked pages (MmProbeAndLockPages,
 * MmLockPagableCodeSection) stay.
 *
 * Pageable code and data are what a driver module has in sections whose names begin with PAGE. One host thread must run
 * all vCPUs: the pages are the process's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "image/loader.h"
#include "machine/fail_internal.h"
#include "nt/ke/ke.h"
#include "nt/mm/mm.h"

#define PAGED 0x8000u /* in mm_paged.pages; the other bits count locks */

struct paged_range {
    uintptr_t start;
    size_t bytes;
};

/* A section of a driver's image. */
struct paged_section {
    struct paged_section *next;
    struct paged_range range; /* its whole pages, and those that it shares with other pageable sections */
    const void *base;         /* of the image */
    int protection;
    const char *name; /* the module's: it goes first */
};

struct mm_paged {
    uint16_t *pages; /* of guest RAM */
    bool changed;    /* the runs are to be made anew */
    bool hidden;
    struct paged_range *runs; /* of pages that are paged and not locked */
    unsigned run_count, run_room;
    struct paged_section *sections;
    char fault[96]; /* what it was that could not be reached */
};

static struct mm_paged *paged(void)
{
    return machine->mm->paged;
}

void mm_paged_init(void)
{
    if (!machine->config.paged_strict)
        return;
    machine->mm->paged = image_alloc(sizeof(struct mm_paged));
    paged()->pages = image_alloc(guest_ram_pages() * sizeof(*paged()->pages));
}

static void protect(const struct paged_range *range, int protection)
{
    if (mprotect((void *)range->start, range->bytes, protection) != 0)
        fail("host-maps", "strict paging: the host refused to protect %zu bytes at %#lx: %s (limit: vm.max_map_count)",
             range->bytes, (unsigned long)range->start, strerror(errno));
}

static void add_run(uint32_t first, uint32_t count)
{
    struct mm_paged *state = paged();

    if (state->run_count == state->run_room) {
        state->run_room = state->run_room * 2 + 16;
        state->runs = image_realloc(state->runs, state->run_room * sizeof(*state->runs));
    }
    state->runs[state->run_count++] =
        (struct paged_range){(uintptr_t)page_address(first), (size_t)count * GUEST_PAGE_SIZE};
}

static void make_runs(void)
{
    struct mm_paged *state = paged();
    uint32_t pages = guest_ram_pages();

    state->run_count = 0;
    for (uint32_t page = 0, count; page < pages; page += count) {
        count = 1;
        if (state->pages[page] != PAGED)
            continue;
        while (page + count < pages && state->pages[page + count] == PAGED)
            count++;
        add_run(page, count);
    }
    state->changed = false;
}

static bool is_locked(const struct paged_section *section)
{
    return mm_record_find(RECORD_SECTION, (const void *)section->range.start) != NULL ||
           mm_record_find(RECORD_SECTION, section->base) != NULL;
}

static void set_all(bool hidden)
{
    struct mm_paged *state = paged();

    if (state->changed)
        make_runs();
    for (unsigned index = 0; index < state->run_count; index++)
        protect(&state->runs[index], hidden ? PROT_NONE : PROT_READ | PROT_WRITE);
    for (const struct paged_section *section = state->sections; section != NULL; section = section->next)
        if (!hidden || !is_locked(section))
            protect(&section->range, hidden ? PROT_NONE : section->protection);
    state->hidden = hidden;
}

/* Before anything changes, all is in reach again: what was hidden is known from the runs as they are. */
void mm_paged_show(void)
{
    if (machine->mm != NULL && paged() != NULL && paged()->hidden)
        set_all(false);
}

void mm_paged_hide(void)
{
    if (paged() != NULL && !paged()->hidden && machine->failure == NULL)
        set_all(true);
}

/* ---- pool ---- */

void mm_paged_pool(uint32_t first, uint32_t count, bool is_paged)
{
    if (paged() == NULL)
        return;
    for (uint32_t page = first; page < first + count; page++) {
        if ((paged()->pages[page] != 0) == is_paged)
            continue;
        mm_paged_show();
        paged()->pages[page] = is_paged ? PAGED : 0;
        paged()->changed = true;
    }
    vcpu_running();
}

void mm_paged_lock(const void *start, size_t bytes, bool locked)
{
    if (paged() == NULL || bytes == 0 || !guest_ram_address(start))
        return;
    for (uint32_t page = page_of(start); page <= page_of((const char *)start + bytes - 1); page++) {
        if ((paged()->pages[page] & PAGED) == 0)
            continue;
        mm_paged_show();
        paged()->pages[page] = (uint16_t)(paged()->pages[page] + (locked ? 1 : -1));
        paged()->changed = true;
    }
    vcpu_running();
}

/* ---- sections of images ---- */

void mm_paged_section_add(const void *base, const char *module, uintptr_t start, size_t bytes, int protection)
{
    struct paged_section *section;

    if (paged() == NULL)
        return;
    mm_paged_show();
    section = image_alloc(sizeof(*section));
    *section = (struct paged_section){
        .next = paged()->sections, .range = {start, bytes}, .base = base, .protection = protection, .name = module};
    paged()->sections = section;
}

void mm_paged_sections_remove(const void *base)
{
    if (machine->mm == NULL || paged() == NULL)
        return;
    mm_paged_show();
    for (struct paged_section **link = &paged()->sections; *link != NULL;) {
        struct paged_section *section = *link;

        if (section->base == base) {
            *link = section->next;
            image_free(section);
        } else {
            link = &section->next;
        }
    }
}

static bool inside(const struct paged_range *range, uintptr_t address)
{
    return address - range->start < range->bytes;
}

const void *mm_paged_section_of(const void *address)
{
    if (paged() == NULL)
        return NULL;
    for (const struct paged_section *section = paged()->sections; section != NULL; section = section->next)
        if (inside(&section->range, (uintptr_t)address))
            return (const void *)section->range.start;
    return NULL;
}

/* ---- faults ---- */

static bool is_hidden(const void *address)
{
    struct mm_paged *state = paged();

    for (unsigned index = 0; index < state->run_count; index++)
        if (inside(&state->runs[index], (uintptr_t)address)) {
            snprintf(state->fault, sizeof(state->fault), "paged pool");
            return true;
        }
    for (const struct paged_section *section = state->sections; section != NULL; section = section->next)
        if (!is_locked(section) && inside(&section->range, (uintptr_t)address)) {
            snprintf(state->fault, sizeof(state->fault), "pageable %s of driver %s",
                     (section->protection & PROT_EXEC) != 0 ? "code" : "data", section->name);
            return true;
        }
    return false;
}

const char *mm_paged_fault(void)
{
    return machine->mm != NULL && paged() != NULL && paged()->fault[0] != '\0' ? paged()->fault : NULL;
}

/* In the handler of the host's signal. What comes of an access that was wrong may look at everything. */
bool nt_trap_resolve(const void *address)
{
    bool allowed = ke_vcpu() == NULL || ke_irql() < DISPATCH_LEVEL || machine->failure != NULL;

    if (machine->mm == NULL || paged() == NULL || !paged()->hidden || !is_hidden(address))
        return false;
    set_all(false);
    if (allowed)
        paged()->fault[0] = '\0';
    return allowed;
}
