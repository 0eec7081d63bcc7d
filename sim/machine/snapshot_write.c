/* Writing a machine to a file. */
#include "machine/snapshot_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <unistd.h>

#include "image/loader.h"
#include "image/objects.h"
#include "machine/clock.h"
#include "machine/fiber.h"
#include "machine/guest_ram.h"
#include "machine/guest_ram_internal.h"
#include "machine/machine.h"
#include "machine/peer_internal.h"

#define PAGES_AT_ONCE (SNAPSHOT_PAYLOAD_MAX / GUEST_PAGE_SIZE)
#define PRESENT (UINT64_C(3) << 62) /* in memory or swapped out: pagemap of proc(5) */
#define MAP_ENTRIES 4096u

const char *snapshot_refused(void)
{
    int persona = personality(0xffffffff);

    if (machine_engine_of(&machine->config) == ENGINE_PARALLEL)
        return "a machine on the parallel engine cannot be saved: its vCPUs are threads of the host; use --engine det";
#ifdef MACHINE_THREAD_SANITIZER
    return "a machine in a build under ThreadSanitizer cannot be saved: what that knows of it stays behind";
#endif
    if (persona == -1 || (persona & ADDR_NO_RANDOMIZE) == 0)
        return "this host lets no program switch its address randomisation off, without which no machine can be saved";
    if (machine->peer != NULL && peer_state()->record != NULL)
        return "a machine whose peers are recorded or replayed cannot be saved";
    if (fiber_uses_fake_stacks())
        return "a machine under AddressSanitizer cannot be saved with detect_stack_use_after_return=1";
    return NULL;
}

/* ---- pages ---- */

/* Pages in a row that are not all zero, until a record is full. */
struct run {
    struct snapshot_file *file;
    enum snapshot_record_type type;
    uint64_t at; /* of the first */
    size_t bytes;
    uint8_t page[SNAPSHOT_PAYLOAD_MAX];
};

static void run_end(struct run *run)
{
    if (run->bytes != 0)
        (void)snapshot_put(run->file, run->type, run->at, 0, run->page, run->bytes);
    run->bytes = 0;
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, GUEST_PAGE_SIZE - 1) == 0;
}

static void run_add(struct run *run, uint64_t at, const uint8_t *page)
{
    if (is_zero(page)) {
        run_end(run);
        return;
    }
    if (run->bytes == sizeof(run->page) || (run->bytes != 0 && run->at + run->bytes != at))
        run_end(run);
    if (run->bytes == 0)
        run->at = at;
    memcpy(run->page + run->bytes, page, GUEST_PAGE_SIZE);
    run->bytes += GUEST_PAGE_SIZE;
}

static void add_memory(struct run *run, uint64_t address)
{
    uint8_t page[GUEST_PAGE_SIZE];

    if (!snapshot_memory_read(address, page, sizeof(page)))
        snapshot_fail(run->file, "the machine's page at %#" PRIx64 " cannot be read: %s", address, strerror(errno));
    else
        run_add(run, address, page);
}

/* What was ever used of private memory. */
static void put_private(struct snapshot_file *file, uint64_t start, uint64_t end)
{
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    struct run *run = malloc(sizeof(*run));
    uint64_t entry[MAP_ENTRIES];

    if (pagemap < 0 || run == NULL)
        snapshot_fail(file, "/proc/self/pagemap cannot be read: %s", strerror(errno));
    else
        *run = (struct run){.file = file, .type = SNAPSHOT_PAGES};
    while (start < end && file->result.good) {
        uint64_t count = (end - start) / GUEST_PAGE_SIZE;

        if (count > MAP_ENTRIES)
            count = MAP_ENTRIES;
        if (pread(pagemap, entry, count * 8, (off_t)(start / GUEST_PAGE_SIZE * 8)) != (ssize_t)count * 8)
            snapshot_fail(file, "/proc/self/pagemap cannot be read: %s", strerror(errno));
        for (uint64_t index = 0; index < count && file->result.good; index++)
            if ((entry[index] & PRESENT) != 0)
                add_memory(run, start + index * GUEST_PAGE_SIZE);
        start += count * GUEST_PAGE_SIZE;
    }
    if (run != NULL && file->result.good)
        run_end(run);
    free(run);
    if (pagemap >= 0)
        close(pagemap);
}

/* What was ever written of the file behind guest RAM. */
static void put_ram(struct snapshot_file *file)
{
    int memfd = guest_ram_memfd();
    struct run *run = malloc(sizeof(*run));
    uint8_t page[GUEST_PAGE_SIZE];
    off_t data = 0;

    if (run == NULL)
        abort();
    *run = (struct run){.file = file, .type = SNAPSHOT_RAM_PAGES};
    while (file->result.good && (data = lseek(memfd, data, SEEK_DATA)) >= 0) {
        off_t hole = lseek(memfd, data, SEEK_HOLE);

        for (; data < hole && file->result.good; data += GUEST_PAGE_SIZE)
            if (pread(memfd, page, sizeof(page), data) != sizeof(page))
                snapshot_fail(file, "guest RAM cannot be read: %s", strerror(errno));
            else
                run_add(run, (uint64_t)data, page);
    }
    run_end(run);
    free(run);
}

/* ---- mappings ---- */

struct mapping {
    uint64_t start;
    uint64_t end;
    struct snapshot_map map;
};

static bool read_mapping(const char *line, struct mapping *mapping)
{
    char access[5];

    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64, &mapping->start, &mapping->end, access,
               &mapping->map.offset) != 4)
        return false;
    mapping->map.is_ram = strstr(line, "memfd:pvsim-ram") != NULL;
    mapping->map.protection = (access[0] == 'r' ? PROT_READ : 0u) | (access[1] == 'w' ? PROT_WRITE : 0u) |
                              (access[2] == 'x' ? PROT_EXEC : 0u);
    return mapping->start >= IMAGE_BASE && mapping->end <= IMAGE_END &&
           (mapping->end <= OBJECTS_BASE || mapping->start >= OBJECTS_END) &&
           (mapping->map.is_ram || mapping->map.protection != PROT_NONE);
}

static void put_mapping(struct snapshot_file *file, const struct mapping *mapping)
{
    uint64_t shadow = snapshot_shadow(mapping->start);

    (void)snapshot_put(file, SNAPSHOT_MAP, mapping->start, mapping->end - mapping->start, &mapping->map,
                       sizeof(mapping->map));
    if (!mapping->map.is_ram)
        put_private(file, mapping->start, mapping->end);
    if (shadow != 0)
        put_private(file, shadow & ~(uint64_t)(GUEST_PAGE_SIZE - 1),
                    (snapshot_shadow(mapping->end) + GUEST_PAGE_SIZE - 1) & ~(uint64_t)(GUEST_PAGE_SIZE - 1));
}

static void put_mappings(struct snapshot_file *file)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    struct mapping mapping;
    char line[512];

    if (maps == NULL) {
        snapshot_fail(file, "/proc/self/maps cannot be read: %s", strerror(errno));
        return;
    }
    while (file->result.good && fgets(line, sizeof(line), maps) != NULL)
        if (read_mapping(line, &mapping))
            put_mapping(file, &mapping);
    fclose(maps);
}

/* ---- what the machine was made of ---- */

static void put_object(void *context, const struct object *object)
{
    const char *slash = strrchr(object->path, '/');
    const char *name = slash != NULL ? slash + 1 : object->path;

    (void)snapshot_put(context, SNAPSHOT_OBJECT, object->address, object->hash, name, strlen(name) + 1);
}

static void put_string(struct snapshot_file *file, enum snapshot_string which, unsigned index, const char *text)
{
    if (text != NULL)
        (void)snapshot_put(file, SNAPSHOT_STRING, which, index, text, strlen(text) + 1);
}

static void put_configuration(struct snapshot_file *file)
{
    const struct machine_config *config = &machine->config;
    char folder[PATH_MAX];

    if (getcwd(folder, sizeof(folder)) == NULL) {
        snapshot_fail(file, "the folder that the machine was started in is gone: %s", strerror(errno));
        return;
    }
    (void)snapshot_put(file, SNAPSHOT_FOLDER, 0, 0, folder, strlen(folder) + 1);
    put_string(file, SNAPSHOT_DRIVER_DIR, 0, config->driver_dir);
    for (unsigned index = 0; index < config->driver_count; index++) {
        put_string(file, SNAPSHOT_DRIVER_MODULE, index, config->driver[index].module);
        put_string(file, SNAPSHOT_DRIVER_INF, index, config->driver[index].inf);
    }
}

static void put_data(struct snapshot_file *file, const struct object_data *data)
{
    uint8_t *buffer = malloc(SNAPSHOT_PAYLOAD_MAX);

    if (buffer == NULL)
        abort();
    for (uint64_t done = 0; done < data->bytes && file->result.good;) {
        uint64_t count = data->bytes - done < SNAPSHOT_PAYLOAD_MAX ? data->bytes - done : SNAPSHOT_PAYLOAD_MAX;

        if (!snapshot_memory_read(data->address + done, buffer, count))
            snapshot_fail(file, "a driver's data at %#" PRIx64 " cannot be read: %s", data->address + done,
                          strerror(errno));
        (void)snapshot_put(file, SNAPSHOT_DATA, data->address + done, 0, buffer, count);
        done += count;
    }
    free(buffer);
}

static void put_modules(struct snapshot_file *file)
{
    for (const struct loader_module *module = loader_next(NULL); module != NULL; module = loader_next(module)) {
        uint64_t base = (uint64_t)loader_module_base(module);
        struct object_data data[OBJECT_DATA_MAX];
        unsigned count = object_data(base, data);
        char path[PATH_MAX];

        if (base < OBJECTS_BASE || base >= OBJECTS_END) {
            snapshot_fail(file, "the driver %s needs libraries of its own, and lies where only this process has it",
                          loader_module_name(module));
            return;
        }
        if (realpath(loader_module_path(module), path) == NULL) {
            snapshot_fail(file, "the driver %s is not there any more: %s", loader_module_path(module), strerror(errno));
            return;
        }
        (void)snapshot_put(file, SNAPSHOT_MODULE, base, object_hash(base), path, strlen(path) + 1);
        for (unsigned index = 0; index < count; index++)
            put_data(file, &data[index]);
    }
}

struct snapshot_result snapshot_write(int fd, void *root)
{
    struct snapshot_file file = {.fd = fd, .result.good = true};
    const struct snapshot_machine head = {
        .machine = (uint64_t)machine,
        .root = (uint64_t)root,
        .clock = clock_now(),
        .protector = snapshot_protector(),
    };

    if (!snapshot_memory_open(&file))
        return file.result;
    (void)snapshot_put(&file, SNAPSHOT_HEAD, SNAPSHOT_MAGIC, SNAPSHOT_VERSION, NULL, 0);
    objects_list(put_object, &file);
    (void)snapshot_put(&file, SNAPSHOT_MACHINE, 0, 0, &head, sizeof(head));
    put_configuration(&file);
    (void)snapshot_put(&file, SNAPSHOT_RAM, (uint64_t)lseek(guest_ram_memfd(), 0, SEEK_END), 0, NULL, 0);
    put_mappings(&file);
    put_ram(&file);
    put_modules(&file);
    (void)snapshot_put(&file, SNAPSHOT_END, file.records, 0, NULL, 0);
    snapshot_memory_close();
    file.result.bytes = file.bytes;
    return file.result;
}
