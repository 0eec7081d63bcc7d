#include "image/objects.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "machine/fail.h"
#include "machine/snapshot_internal.h"

#define PAGE UINT64_C(4096)
#define READ_BYTES 65536u

/* ---- what is there ---- */

static uint64_t hash_part(uint64_t hash, uint64_t address, uint64_t bytes)
{
    static uint8_t buffer[READ_BYTES]; /* the host's: nothing of the machine's */

    while (bytes != 0) {
        size_t count = bytes < READ_BYTES ? bytes : READ_BYTES;

        if (!snapshot_memory_read(address, buffer, count))
            return 0;
        hash = snapshot_hash(hash, buffer, count);
        address += count;
        bytes -= count;
    }
    return hash;
}

static uint64_t hash_object(const struct dl_phdr_info *info)
{
    uint64_t hash = 1;

    for (unsigned index = 0; index < info->dlpi_phnum; index++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[index];

        if (header->p_type == PT_LOAD && (header->p_flags & PF_W) == 0)
            hash = hash_part(hash, info->dlpi_addr + header->p_vaddr, header->p_memsz);
    }
    return hash;
}

struct listing {
    void (*see)(void *context, const struct object *object);
    void *context;
};

static int list_one(struct dl_phdr_info *info, size_t size, void *argument)
{
    const struct listing *listing = argument;
    struct object object = {info->dlpi_name, info->dlpi_addr, 0};

    (void)size;
    if (strncmp(info->dlpi_name, "linux-vdso", 10) == 0)
        return 0;
    object.hash = hash_object(info);
    listing->see(listing->context, &object);
    return 0;
}

void objects_list(void (*see)(void *context, const struct object *object), void *context)
{
    struct listing listing = {see, context};

    (void)dl_iterate_phdr(list_one, &listing);
}

struct search {
    uint64_t address;
    uint64_t hash;
    uint64_t end;
    struct object_data *data;
    unsigned count;
};

static int find_hash(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct search *search = argument;

    (void)size;
    if (info->dlpi_addr != search->address)
        return 0;
    search->hash = hash_object(info);
    return 1;
}

uint64_t object_hash(uint64_t address)
{
    struct search search = {.address = address};

    (void)dl_iterate_phdr(find_hash, &search);
    return search.hash;
}

/* Whole pages of what the linker has closed to writing. */
static struct object_data closed_part(const struct dl_phdr_info *info)
{
    for (unsigned index = 0; index < info->dlpi_phnum; index++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[index];
        uint64_t start = (info->dlpi_addr + header->p_vaddr) & ~(PAGE - 1);
        uint64_t end = (info->dlpi_addr + header->p_vaddr + header->p_memsz) & ~(PAGE - 1);

        if (header->p_type == PT_GNU_RELRO)
            return (struct object_data){start, end - start};
    }
    return (struct object_data){0, 0};
}

/* The table that calls to other objects go by: three words of the linker's, and one a routine. */
static struct object_data call_table(const struct dl_phdr_info *info)
{
    struct object_data table = {0, 0};
    const ElfW(Dyn) *entry = NULL;

    for (unsigned index = 0; index < info->dlpi_phnum; index++)
        if (info->dlpi_phdr[index].p_type == PT_DYNAMIC)
            entry = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[index].p_vaddr);
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_PLTGOT) /* the linker has made an address of it */
            table.address = entry->d_un.d_ptr;
        else if (entry->d_tag == DT_PLTRELSZ)
            table.bytes = (3 + entry->d_un.d_val / sizeof(ElfW(Rela))) * sizeof(uint64_t);
    return table.address != 0 ? table : (struct object_data){0, 0};
}

/* The range, less the holes that lie in it. */
static void add_data(struct search *search, uint64_t start, uint64_t end, const struct object_data *hole,
                     unsigned holes)
{
    if (start >= end || search->count == OBJECT_DATA_MAX)
        return;
    for (; holes != 0; holes--, hole++) {
        uint64_t behind = hole->address + hole->bytes;

        if (hole->bytes == 0 || behind <= start || hole->address >= end)
            continue;
        add_data(search, start, hole->address, hole + 1, holes - 1);
        add_data(search, behind, end, hole + 1, holes - 1);
        return;
    }
    search->data[search->count++] = (struct object_data){start, end - start};
}

static int find_data(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct search *search = argument;
    const struct object_data hole[] = {closed_part(info), call_table(info)};

    (void)size;
    if (info->dlpi_addr != search->address)
        return 0;
    for (unsigned index = 0; index < info->dlpi_phnum; index++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[index];
        uint64_t start = info->dlpi_addr + header->p_vaddr;

        if (header->p_type == PT_LOAD && (header->p_flags & PF_W) != 0)
            add_data(search, start, start + header->p_memsz, hole, sizeof(hole) / sizeof(hole[0]));
    }
    return 1;
}

unsigned object_data(uint64_t address, struct object_data data[OBJECT_DATA_MAX])
{
    struct search search = {.address = address, .data = data};

    (void)dl_iterate_phdr(find_data, &search);
    return search.count;
}

/* ---- a place of its own ---- */

/*
 * The dynamic linker asks the kernel for a hole that is large enough. So all of those are filled for a moment but the
 * one; smaller ones stay, for whatever else wants memory meanwhile, and so does room for the stack. The heap has a
 * reserve.
 */
#define ROOM (UINT64_C(64) << 20)
#define RESERVE 100000u
#define FILLERS_MAX 4096u

struct fillers {
    unsigned count;
    struct object_data list[FILLERS_MAX];
};

static void take(struct fillers *fillers, uint64_t start, uint64_t end)
{
    if (start < end && fillers->count < FILLERS_MAX &&
        mmap((void *)start, end - start, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
             -1, 0) == (void *)start)
        fillers->list[fillers->count++] = (struct object_data){start, end - start};
}

/* How much of a hole of this size stays one: too little for the object. */
static uint64_t spare(uint64_t hole, uint64_t bytes)
{
    uint64_t most = bytes - PAGE;

    return hole <= PAGE ? 0 : most < hole - PAGE ? most : hole - PAGE;
}

struct hole_search {
    struct fillers *fillers;
    uint64_t address;
    uint64_t bytes;
    uint64_t end; /* of the last mapping */
};

static void see_hole(struct hole_search *search, uint64_t start, uint64_t end)
{
    uint64_t behind = search->address + search->bytes;

    if (search->address >= start && behind <= end) {
        take(search->fillers, start + spare(search->address - start, search->bytes), search->address);
        take(search->fillers, behind, end - spare(end - behind, search->bytes));
    } else if (end - start >= search->bytes) {
        take(search->fillers, start + spare(end - start, search->bytes), end);
    }
}

static void fill_holes(struct hole_search *search)
{
    /* A list of holes is read before the first is filled. */
    static struct object_data holes[FILLERS_MAX];
    FILE *file = fopen("/proc/self/maps", "re");
    unsigned count = 0;
    char line[512];

    if (file == NULL)
        return;
    search->end = UINT64_C(0x10000); /* what the kernel keeps from everybody */
    while (fgets(line, sizeof(line), file) != NULL && count < FILLERS_MAX) {
        uint64_t start;
        uint64_t end;

        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2)
            continue;
        if (strstr(line, "[stack]") != NULL)
            start = start > ROOM ? start - ROOM : 0;
        if (start > search->end && start < UINT64_C(0x7fffffffffff))
            holes[count++] = (struct object_data){search->end, start - search->end};
        search->end = end;
    }
    fclose(file);
    for (unsigned index = 0; index < count; index++)
        see_hole(search, holes[index].address, holes[index].address + holes[index].bytes);
}

void object_keep_place(uint64_t address, uint64_t bytes)
{
    if (mmap((void *)address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
             0) == MAP_FAILED)
        fail("image", "the place of a driver at %#" PRIx64 " cannot be kept: %s", address, strerror(errno));
}

static int find_end(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct search *search = argument;

    (void)size;
    if (info->dlpi_addr != search->address)
        return 0;
    for (unsigned index = 0; index < info->dlpi_phnum; index++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[index];
        uint64_t end = (info->dlpi_addr + header->p_vaddr + header->p_memsz + PAGE - 1) & ~(PAGE - 1);

        if (header->p_type == PT_LOAD && end > search->end)
            search->end = end;
    }
    return 1;
}

void *object_open_at(const char *path, uint64_t address, uint64_t bytes)
{
    struct fillers *fillers = calloc(1, sizeof(*fillers));
    struct hole_search holes = {.fillers = fillers, .address = address, .bytes = bytes};
    struct search search = {.address = address, .end = address};
    void *reserve = malloc(RESERVE);
    void *handle;

    if (fillers == NULL || reserve == NULL)
        abort();
    (void)mallopt(M_TRIM_THRESHOLD, ROOM); /* the heap does not shrink and leave a hole */
    munmap((void *)address, bytes);
    fill_holes(&holes);
    free(reserve);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    for (unsigned index = 0; index < fillers->count; index++)
        munmap((void *)fillers->list[index].address, fillers->list[index].bytes);
    free(fillers);
    if (handle != NULL)
        (void)dl_iterate_phdr(find_end, &search);
    if (search.end < address + bytes)
        object_keep_place(search.end, address + bytes - search.end);
    return handle;
}
