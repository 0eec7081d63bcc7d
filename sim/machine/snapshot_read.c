/* Becoming a machine that was written to a file. */
#include "machine/snapshot_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dom0/gate.h"
#include "image/loader.h"
#include "image/objects.h"
#include "machine/clock_internal.h"
#include "machine/fail_internal.h"
#include "machine/guest_ram.h"
#include "machine/guest_ram_internal.h"
#include "machine/machine.h"
#include "machine/peer_internal.h"

#define OBJECTS_MAX 64
#define RAM_FILE_MAX (IMAGE_DIRECTMAP_SIZE)

/* An object of the process that wrote the file. */
struct writer_object {
    char name[128];
    uint64_t address;
    uint64_t hash;
};

struct reading {
    struct snapshot_file file;
    struct snapshot_record record;
    uint8_t payload[SNAPSHOT_PAYLOAD_MAX + 1]; /* text is ended here */
    struct writer_object object[OBJECTS_MAX];
    unsigned objects;
    bool compared; /* with those of this process */
    struct snapshot_machine machine;
    int memfd;
    uint64_t ram_bytes;
    char folder[SNAPSHOT_PATH_MAX];
    const struct loader_module *module; /* the last one */
};

static bool damaged(struct reading *reading)
{
    return snapshot_fail(&reading->file, "it is damaged in record %" PRIu64, reading->file.records - 1);
}

/* ---- is it for this process? ---- */

static bool read_head(struct reading *reading)
{
    if (reading->record.b == SNAPSHOT_VERSION)
        return true;
    return snapshot_fail_here(&reading->file, "it is of format %" PRIu64 ", from %s pvsim: this one reads format %d",
                              reading->record.b, reading->record.b > SNAPSHOT_VERSION ? "a newer" : "an older",
                              SNAPSHOT_VERSION);
}

static bool read_object(struct reading *reading)
{
    struct writer_object *object = &reading->object[reading->objects];

    if (reading->objects == OBJECTS_MAX)
        return damaged(reading);
    snprintf(object->name, sizeof(object->name), "%.127s", (const char *)reading->payload);
    object->address = reading->record.a;
    object->hash = reading->record.b;
    reading->objects++;
    return true;
}

static void compare_object(void *context, const struct object *own)
{
    struct reading *reading = context;
    const char *slash = strrchr(own->path, '/');
    const char *name = slash != NULL ? slash + 1 : own->path;

    for (unsigned index = 0; index < reading->objects; index++) {
        const struct writer_object *its = &reading->object[index];

        if (strcmp(its->name, name) != 0)
            continue;
        if (its->hash != own->hash && *name == '\0')
            snapshot_fail_here(&reading->file, "it was saved by another build of pvsim; that build restores it");
        else if (its->hash != own->hash)
            snapshot_fail_here(&reading->file, "it was saved with another version of %s", name);
        else if (its->address != own->address)
            snapshot_fail_here(&reading->file,
                               "it was saved with %s at another address; restore it with the same 'ulimit -s' and "
                               "without LD_PRELOAD",
                               *name != '\0' ? name : "pvsim");
        return;
    }
    snapshot_fail_here(&reading->file, "it was saved by a pvsim without %s; restore it without LD_PRELOAD", name);
}

/* All before the first thing that would change anything here. */
static bool compare_objects(struct reading *reading)
{
    if (!reading->compared)
        objects_list(compare_object, reading);
    reading->compared = true;
    return reading->file.result.good;
}

/* ---- memory ---- */

static bool in_image(uint64_t address, uint64_t bytes)
{
    return address % GUEST_PAGE_SIZE == 0 && bytes % GUEST_PAGE_SIZE == 0 && address >= IMAGE_BASE &&
           address <= IMAGE_END && bytes <= IMAGE_END - address;
}

static bool in_heap(uint64_t address, uint64_t bytes)
{
    return address >= IMAGE_HOST_HEAP_BASE && address < IMAGE_HOST_HEAP_BASE + IMAGE_HEAP_SIZE &&
           bytes <= IMAGE_HOST_HEAP_BASE + IMAGE_HEAP_SIZE - address;
}

static bool in_shadow(uint64_t address, uint64_t bytes)
{
    uint64_t start = snapshot_shadow(IMAGE_BASE);

    return start != 0 && address % GUEST_PAGE_SIZE == 0 && address >= start && address < snapshot_shadow(IMAGE_END) &&
           bytes <= snapshot_shadow(IMAGE_END) - address;
}

static bool read_machine(struct reading *reading)
{
    if (reading->record.bytes != sizeof(reading->machine))
        return damaged(reading);
    memcpy(&reading->machine, reading->payload, sizeof(reading->machine));
    if (!in_heap(reading->machine.machine, sizeof(struct machine)) || !in_heap(reading->machine.root, 1))
        return damaged(reading);
    image_open();
    return true;
}

static bool read_ram(struct reading *reading)
{
    reading->ram_bytes = reading->record.a;
    if (reading->memfd >= 0 || reading->ram_bytes > RAM_FILE_MAX || reading->ram_bytes % GUEST_PAGE_SIZE != 0)
        return damaged(reading);
    reading->memfd = guest_ram_new_memfd(reading->ram_bytes);
    if (reading->memfd >= 0)
        return true;
    return snapshot_fail_here(&reading->file, "no memory for its RAM here: %s", strerror(errno));
}

static bool read_map(struct reading *reading)
{
    uint64_t start = reading->record.a;
    uint64_t bytes = reading->record.b;
    struct snapshot_map map;
    int flags;

    if (reading->record.bytes != sizeof(map) || !in_image(start, bytes))
        return damaged(reading);
    memcpy(&map, reading->payload, sizeof(map));
    if (map.is_ram && (map.offset > reading->ram_bytes || bytes > reading->ram_bytes - map.offset))
        return damaged(reading);
    flags = map.is_ram ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    if (mmap((void *)start, bytes, (int)map.protection, flags | MAP_FIXED | MAP_NORESERVE,
             map.is_ram ? reading->memfd : -1, map.is_ram ? (off_t)map.offset : 0) != MAP_FAILED)
        return true;
    return snapshot_fail_here(&reading->file, "this host does not map its memory: %s", strerror(errno));
}

static bool read_pages(struct reading *reading)
{
    const struct snapshot_record *record = &reading->record;

    if (!in_image(record->a, record->bytes) && !in_shadow(record->a, record->bytes))
        return damaged(reading);
    return snapshot_memory_write(record->a, reading->payload, record->bytes) || damaged(reading);
}

static bool read_ram_pages(struct reading *reading)
{
    const struct snapshot_record *record = &reading->record;

    if (record->a > reading->ram_bytes || record->bytes > reading->ram_bytes - record->a)
        return damaged(reading);
    return pwrite(reading->memfd, reading->payload, record->bytes, (off_t)record->a) == (ssize_t)record->bytes ||
           snapshot_fail_here(&reading->file, "no memory for its RAM here: %s", strerror(errno));
}

/* ---- what it is made of ---- */

static bool read_folder(struct reading *reading)
{
    snprintf(reading->folder, sizeof(reading->folder), "%.4095s", (const char *)reading->payload);
    return true;
}

/* In the host's memory, as the strings of a machine's configuration are. */
static char *path_of(const struct reading *reading)
{
    const char *text = (const char *)reading->payload;
    char *path = NULL;

    if (asprintf(&path, "%s%s%s", *text == '/' ? "" : reading->folder, *text == '/' ? "" : "/", text) < 0)
        abort();
    image_holds_host_block(path);
    return path;
}

struct configuration {
    const char *driver_dir;
    struct {
        const char *module;
        const char *inf;
    } driver[MACHINE_MAX_DRIVERS];
};

static bool read_string(struct reading *reading, struct configuration *configuration)
{
    const struct snapshot_record *record = &reading->record;

    if (record->b >= MACHINE_MAX_DRIVERS)
        return damaged(reading);
    if (record->a == SNAPSHOT_DRIVER_DIR)
        configuration->driver_dir = path_of(reading);
    else if (record->a == SNAPSHOT_DRIVER_MODULE)
        configuration->driver[record->b].module = path_of(reading);
    else if (record->a == SNAPSHOT_DRIVER_INF)
        configuration->driver[record->b].inf = path_of(reading);
    else
        return damaged(reading);
    return true;
}

/* The image is there: from now on it can be looked at. */
static void enter_machine(struct reading *reading)
{
    if (machine == NULL)
        machine = (struct machine *)reading->machine.machine;
}

static bool read_module(struct reading *reading)
{
    enter_machine(reading);
    reading->module = loader_next(reading->module);
    if (reading->module == NULL || (uint64_t)loader_module_base(reading->module) != reading->record.a)
        return damaged(reading);
    return loader_module_reopen(reading->module, (const char *)reading->payload, reading->record.b,
                                reading->file.result.text, sizeof(reading->file.result.text)) ||
           (reading->file.result.good = false, reading->file.result.not_here = true, false);
}

static bool read_data(struct reading *reading)
{
    const struct snapshot_record *record = &reading->record;
    uint64_t base = reading->module != NULL ? (uint64_t)loader_module_base(reading->module) : 0;

    if (base == 0 || record->a < base || record->a - base > loader_module_size(reading->module) ||
        record->bytes > loader_module_size(reading->module) - (record->a - base))
        return damaged(reading);
    return snapshot_memory_write(record->a, reading->payload, record->bytes) || damaged(reading);
}

static bool read_end(struct reading *reading)
{
    char more;

    enter_machine(reading);
    if (reading->record.a != reading->file.records - 1 || loader_next(reading->module) != NULL)
        return damaged(reading);
    if (lseek(reading->file.fd, 0, SEEK_CUR) >= 0 && read(reading->file.fd, &more, 1) == 1)
        return snapshot_fail(&reading->file, "there is more behind its end");
    return true;
}

static bool read_record(struct reading *reading, struct configuration *configuration)
{
    uint32_t type = reading->record.type;

    if (type > SNAPSHOT_OBJECT && !compare_objects(reading))
        return false;
    switch (type) {
    case SNAPSHOT_HEAD:
        return read_head(reading);
    case SNAPSHOT_OBJECT:
        return read_object(reading);
    case SNAPSHOT_MACHINE:
        return read_machine(reading);
    case SNAPSHOT_FOLDER:
        return read_folder(reading);
    case SNAPSHOT_STRING:
        return read_string(reading, configuration);
    case SNAPSHOT_RAM:
        return read_ram(reading);
    case SNAPSHOT_MAP:
        return read_map(reading);
    case SNAPSHOT_PAGES:
        return read_pages(reading);
    case SNAPSHOT_RAM_PAGES:
        return read_ram_pages(reading);
    case SNAPSHOT_MODULE:
        return read_module(reading);
    case SNAPSHOT_DATA:
        return read_data(reading);
    case SNAPSHOT_END:
        return read_end(reading);
    default:
        return damaged(reading);
    }
}

/* ---- this process ---- */

static void configure(const struct configuration *configuration)
{
    struct machine_config *config = &machine->config;

    config->driver_dir = configuration->driver_dir;
    for (unsigned index = 0; index < config->driver_count; index++) {
        config->driver[index].module = configuration->driver[index].module;
        config->driver[index].inf = configuration->driver[index].inf;
    }
}

/* What the other process held for the machine gives way to what this one has. */
static void take_over(const struct reading *reading)
{
    guest_ram_set_memfd(reading->memfd);
    fail_catch_faults();
    clock_on_new_host(reading->machine.clock);
    peers_on_new_host();
    gate_on_new_host();
    machine->log = NULL;
    machine->failure = NULL;
    machine->power_on_host = clock_host();
}

static uint64_t protector; /* the host's: of the machine's fibers */

struct snapshot_result snapshot_read(int fd, const char *file, void **root)
{
    static struct reading reading; /* the host's, and no mapping of its own: those lie where the file's may have to */
    struct configuration configuration = {0};
    bool good = true;

    memset(&reading, 0, sizeof(reading));
    reading.file = (struct snapshot_file){.fd = fd, .result.good = true};
    reading.memfd = -1;
    (void)snapshot_memory_open(&reading.file);
    do {
        good = snapshot_get(&reading.file, &reading.record, reading.payload);
        if (good) {
            reading.payload[reading.record.bytes] = '\0';
            good = read_record(&reading, &configuration);
        }
    } while (good && reading.record.type != SNAPSHOT_END);
    snapshot_memory_close();
    if (good) {
        configure(&configuration);
        take_over(&reading);
        *root = (void *)reading.machine.root;
        protector = reading.machine.protector;
    } else {
        char why[SNAPSHOT_TEXT_MAX];

        snprintf(why, sizeof(why), "%s", reading.file.result.text);
        snprintf(reading.file.result.text, sizeof(reading.file.result.text), "%.200s cannot be restored: %.290s", file,
                 why);
    }
    reading.file.result.bytes = reading.file.bytes;
    return reading.file.result;
}

/* Nothing below returns: this frame's own number is the old one. */
__attribute__((no_stack_protector)) _Noreturn void snapshot_go_on(int (*function)(void *), void *argument)
{
    __asm__ volatile("movq %0, %%fs:0x28" : : "r"(protector) : "memory");
    exit(function(argument));
}
