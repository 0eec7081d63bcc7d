#include "image/loader.h"

#include <ctype.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image/loader_internal.h"
#include "image/objects.h"
#include "machine/census.h"
#include "machine/guest_ram.h"
#include "nt/ex/ex.h"
#include "nt/ex/pool.h"
#include "nt/mm/mm.h"
#include "nt/ps/ps.h"
#include "nt/verifier/lock.h"

/* EVENT_DRIVER's second number. */
#define DRIVER_EVENT_LOAD 1
#define DRIVER_EVENT_UNLOAD 2

/* Imports may nest this deep; a chain that is longer is a cycle. */
#define LOADER_MAX_DEPTH 8

void loader_init(void)
{
    machine->loader = image_alloc(sizeof(*machine->loader));
    image_find_kernel();
}

static void refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void refuse(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(machine->loader->error, sizeof(machine->loader->error), format, arguments);
    va_end(arguments);
    log_line(LOG_ERROR, "loader", "%s", machine->loader->error);
}

static bool copy_name(char to[LOADER_NAME_MAX], const char *from)
{
    size_t length = strlen(from);

    if (length > 3 && strcmp(from + length - 3, ".so") == 0)
        length -= 3;
    if (length == 0 || length >= LOADER_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (from[i] == '/')
            return false;
        to[i] = (char)tolower((unsigned char)from[i]);
    }
    to[length] = 0;
    return true;
}

static struct loader_module *find_name(const char *name)
{
    struct loader_module *module;

    for (module = machine->loader->modules; module != NULL; module = module->next) {
        if (strcmp(module->name, name) == 0)
            return module;
    }
    return NULL;
}

/* The path of the image's module: one that was brought along, or else one of the folder. Machine heap. */
static char *module_path(const char *name)
{
    for (unsigned i = 0; i < machine->config.driver_count; i++)
        if (strcmp(machine->config.driver[i].name, name) == 0) {
            const char *path = machine->config.driver[i].module;

            /* The dynamic linker looks for a name without a folder in its own ones. */
            return strchr(path, '/') != NULL ? image_strdup(path) : image_printf("./%s", path);
        }
    return image_printf("%s/%s.so", machine->config.driver_dir, name);
}

static bool driver_file_exists(const char *file)
{
    char name[LOADER_NAME_MAX];
    char *path;
    bool exists;

    if (!copy_name(name, file))
        return false;
    path = module_path(name);
    exists = access(path, F_OK) == 0;
    image_free(path);
    return exists;
}

/* Work of the host's libraries, done on the loader's own stack. */
struct open_request {
    struct loader_module *module;
    struct elf_info info;
    bool good;
    char error[512];
};

static void read_file(void *argument)
{
    struct open_request *request = argument;

    request->good = elf_read(request->module->path, &request->info, request->error, sizeof(request->error));
}

static int note_segments(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct loader_module *module = argument;
    uintptr_t end = 0;
    struct link_map *map;

    (void)size;
    if (dlinfo(module->handle, RTLD_DI_LINKMAP, &map) != 0 || map->l_addr != info->dlpi_addr)
        return 0;
    module->base = UINTPTR_MAX;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = (info->dlpi_addr + header->p_vaddr) & ~(uintptr_t)(GUEST_PAGE_SIZE - 1);
        uintptr_t after = (info->dlpi_addr + header->p_vaddr + header->p_memsz + GUEST_PAGE_SIZE - 1) &
                          ~(uintptr_t)(GUEST_PAGE_SIZE - 1);

        if (header->p_type == PT_GNU_EH_FRAME)
            module->frame_header = (const void *)(info->dlpi_addr + header->p_vaddr);
        if (header->p_type != PT_LOAD || module->segment_count == LOADER_MAX_SEGMENTS)
            continue;
        if (start < module->base)
            module->base = start;
        if (after > end)
            end = after;
        guest_range_add((void *)start, after - start);
        module->segment[module->segment_count++] = start;
    }
    module->size = end - module->base;
    return 1;
}

static void note_pageable(struct loader_module *module, const struct elf_info *info)
{
    for (unsigned i = 0; i < info->pageable_count; i++) {
        const struct elf_pageable *section = &info->pageable[i];

        mm_paged_section_add((const void *)module->base, module->name, module->base + section->address, section->size,
                             PROT_READ | (section->writable ? PROT_WRITE : 0) | (section->executable ? PROT_EXEC : 0));
    }
}

/*
 * Must a driver lie where it lies in other processes? For a machine that may go on in one; and where each load is a
 * switch point: what xen does with its list of modules depends on their order in memory. Under the parallel engine
 * other threads ask for memory meanwhile.
 */
static bool has_places(void)
{
    return (machine->config.stay_up || machine->config.preempt_memory) &&
           machine_engine_of(&machine->config) == ENGINE_DETERMINISTIC;
}

static bool is_free(uint64_t address, uint64_t bytes)
{
    const struct loader_module *module;

    for (module = machine->loader->modules; module != NULL; module = module->next)
        if (address < module->base + module->size && module->base < address + bytes)
            return false;
    return true;
}

static void *open_module(const struct loader_module *module, uint64_t room)
{
    uint64_t address = OBJECTS_BASE;
    void *handle = NULL;

    while (!is_free(address, room))
        address += OBJECTS_STEP;
    if (has_places() && address + room <= OBJECTS_END)
        handle = object_open_at(module->path, address, room);
    /* A module with libraries of its own may have to lie elsewhere; such a machine cannot be saved. */
    return handle != NULL ? handle : dlopen(module->path, RTLD_NOW | RTLD_LOCAL);
}

static void open_file(void *argument)
{
    struct open_request *request = argument;
    struct loader_module *module = request->module;

    request->good = false;
    if (!imports_resolve(module->name, &request->info, module->imports, module->import_count, request->error,
                         sizeof(request->error)))
        return;
    if (dlopen(module->path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD) != NULL) {
        snprintf(request->error, sizeof(request->error),
                 "driver %s: a copy of %s is still in memory, so that its data would not be fresh", module->name,
                 module->path);
        return;
    }
    module->handle = open_module(module, request->info.room);
    if (module->handle == NULL) {
        snprintf(request->error, sizeof(request->error), "driver %s: %s", module->name, dlerror());
        return;
    }
    if (dl_iterate_phdr(note_segments, module) == 0) {
        snprintf(request->error, sizeof(request->error), "driver %s: the dynamic linker does not list it",
                 module->name);
        return;
    }
    note_pageable(module, &request->info);
    request->good = true;
}

static void close_file(void *argument)
{
    struct open_request *request = argument;
    struct loader_module *module = request->module;

    request->good = true;
    if (module->handle == NULL)
        return;
    for (unsigned i = 0; i < module->segment_count; i++)
        guest_range_remove((void *)module->segment[i]);
    mm_paged_sections_remove((const void *)module->base);
    dlclose(module->handle);
    module->handle = dlopen(module->path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    request->good = module->handle == NULL;
    if (request->good && module->base >= OBJECTS_BASE && module->base < OBJECTS_END)
        object_keep_place(module->base, module->size);
}

static NTSTATUS load(const char *name, unsigned depth, bool as_import, struct loader_module **result);

static void drop(struct loader_module *module, bool as_import);

static NTSTATUS load_imports(struct loader_module *module, const struct elf_info *info, unsigned depth)
{
    for (unsigned i = 0; i < info->needed_count; i++) {
        struct loader_module *import;
        NTSTATUS status;

        if (!driver_file_exists(info->needed[i]))
            continue; /* the C library or a sanitizer's run-time: the host's linker knows it */
        status = load(info->needed[i], depth + 1, true, &import);
        if (!NT_SUCCESS(status)) {
            log_line(LOG_ERROR, "loader", "driver %s needs %s, which did not load", module->name, info->needed[i]);
            return status;
        }
        module->imports = image_realloc(module->imports, (module->import_count + 1) * sizeof(*module->imports));
        module->imports[module->import_count++] = import;
    }
    return STATUS_SUCCESS;
}

static void free_module(struct loader_module *module)
{
    while (module->import_count != 0)
        drop(module->imports[--module->import_count], true);
    image_free(module->imports);
    image_free(module->path);
    image_free(module->functions.list);
    image_free(module);
}

static NTSTATUS dll_initialize(struct loader_module *module)
{
    NTSTATUS(NTAPI * initialize)(PUNICODE_STRING) = loader_module_symbol(module, "DllInitialize");
    static const char prefix[] = "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\";
    WCHAR buffer[sizeof(prefix) + LOADER_NAME_MAX];
    UNICODE_STRING path = {.MaximumLength = sizeof(buffer), .Buffer = buffer};
    KIRQL irql = KeGetCurrentIrql();
    NTSTATUS status;
    size_t length = 0;

    if (initialize == NULL)
        return STATUS_SUCCESS;
    for (const char *from = prefix; *from != 0; from++)
        buffer[length++] = (WCHAR)*from;
    for (const char *from = module->name; *from != 0; from++)
        buffer[length++] = (WCHAR)*from;
    buffer[length] = 0;
    path.Length = (USHORT)(length * sizeof(WCHAR));

    status = DRIVER_CALLOUT("DllInitialize", initialize, &path);
    if (KeGetCurrentIrql() != irql)
        nt_violation("irql-changed", "DllInitialize of driver %s was called at IRQL %u and returned at %u",
                     module->name, irql, KeGetCurrentIrql());
    if (!NT_SUCCESS(status))
        refuse("driver %s: DllInitialize failed with status 0x%08x", module->name, (unsigned)status);
    return status;
}

static void unlink_module(struct loader_module *module)
{
    struct loader_module **link = &machine->loader->modules;

    while (*link != module)
        link = &(*link)->next;
    *link = module->next;
}

static NTSTATUS map_module(const char *name, unsigned depth, struct loader_module **result)
{
    struct open_request *request = image_alloc(sizeof(*request));
    struct loader_module *module = image_alloc(sizeof(*module));
    struct loader_module **last = &machine->loader->modules;
    NTSTATUS status;
    char *path;

    request->module = module;
    strcpy(module->name, name);
    module->path = module_path(name);
    loader_host_call(read_file, request);
    if (!request->good) {
        refuse("driver %s: %s", name, request->error);
        status = access(module->path, F_OK) == 0 ? STATUS_INVALID_IMAGE_FORMAT : STATUS_OBJECT_NAME_NOT_FOUND;
        goto done;
    }
    status = load_imports(module, &request->info, depth);
    if (!NT_SUCCESS(status))
        goto done;
    loader_host_call(open_file, request);
    if (!request->good) {
        refuse("%s", request->error);
        loader_host_call(close_file, request);
        status = STATUS_DRIVER_ENTRYPOINT_NOT_FOUND;
        goto done;
    }
    while (*last != NULL)
        last = &(*last)->next;
    *last = module;
    module->number = ++machine->loader->loads;
    eventlog_add(EVENT_DRIVER, module->number, DRIVER_EVENT_LOAD, 0);
    log_line(LOG_INFO, "loader", "%s loaded", module->name);
    log_line(LOG_DEBUG, "loader", "%s is at %p, %zu bytes", module->path, (void *)module->base, module->size);

done:
    elf_free(&request->info);
    image_free(request);
    if (!NT_SUCCESS(status)) {
        free_module(module);
        return status;
    }
    *result = module;
    path = loader_module_nt_path(module);
    ps_image_loaded(path, (void *)module->base, module->size);
    image_free(path);
    return STATUS_SUCCESS;
}

static NTSTATUS load(const char *name, unsigned depth, bool as_import, struct loader_module **result)
{
    char plain[LOADER_NAME_MAX];
    struct loader_module *module;
    NTSTATUS status;

    if (!copy_name(plain, name)) {
        refuse("\"%s\" is no name of a driver module", name);
        return STATUS_OBJECT_NAME_INVALID;
    }
    if (depth > LOADER_MAX_DEPTH) {
        refuse("driver %s: its imports lead back to itself", plain);
        return STATUS_INVALID_IMAGE_FORMAT;
    }
    module = find_name(plain);
    if (module == NULL) {
        status = map_module(plain, depth, &module);
        if (!NT_SUCCESS(status))
            return status;
    }
    module->references++;
    if (as_import)
        module->imported_by++;
    if (as_import && !module->initialised) {
        status = dll_initialize(module);
        if (!NT_SUCCESS(status)) {
            drop(module, true);
            return STATUS_DLL_INIT_FAILED;
        }
        module->initialised = true;
    }
    *result = module;
    return STATUS_SUCCESS;
}

struct left {
    const struct loader_module *module;
    char text[1024];
    size_t length;
};

static void see_left(void *context, const char *kind, const char *name, uint64_t count, const void *caller)
{
    struct left *left = context;
    char who[LOADER_DESCRIPTION_MAX];

    if (left->length < sizeof(left->text))
        left->length += (size_t)snprintf(left->text + left->length, sizeof(left->text) - left->length,
                                         "%s%llu %s (%s) by %s", left->length == 0 ? "" : ", ",
                                         (unsigned long long)count, kind, name, loader_name(caller, who, sizeof(who)));
}

static void find_left(void *argument)
{
    struct left *left = argument;
    struct census *census = census_take_of((const void *)left->module->base, left->module->size);

    census_list(census, see_left, left);
    census_free(census);
}

/* Nothing that the image's code has taken may outlive it, pool aside, which has a rule of its own. */
static void check_left(const struct loader_module *module)
{
    struct left *left = image_alloc(sizeof(*left));

    left->module = module;
    loader_host_call(find_left, left);
    if (left->length != 0)
        nt_violation("left-at-unload", "driver %s is unloaded and leaves: %s", module->name, left->text);
    image_free(left);
}

static void drop(struct loader_module *module, bool as_import)
{
    struct open_request *request;
    bool unmapped;

    if (as_import)
        module->imported_by--;
    if (--module->references != 0)
        return;
    if (module->initialised) {
        NTSTATUS(NTAPI * unload)(void) = loader_module_symbol(module, "DllUnload");

        module->initialised = false;
        if (unload != NULL)
            (void)DRIVER_CALLOUT("DllUnload", unload); /* Windows ignores what it returns */
    }
    ex_memory_goes(loader_module_base(module), loader_module_size(module));
    check_left(module); /* before the pool: an MDL that stays is told by what it holds */
    pool_check_unloaded(module->name, loader_module_base(module), loader_module_size(module));
    unlink_module(module);
    request = image_alloc(sizeof(*request));
    request->module = module;
    loader_host_call(close_file, request);
    unmapped = request->good;
    image_free(request);
    if (!unmapped)
        fail("image",
             "driver %s stayed in memory after its unload (%s): a thread-local or unique symbol in it, or a "
             "reference from outside, keeps the host from unmapping it",
             module->name, module->path);
    eventlog_add(EVENT_DRIVER, module->number, DRIVER_EVENT_UNLOAD, 0);
    log_line(LOG_INFO, "loader", "%s unloaded", module->name);
    free_module(module);
}

NTSTATUS loader_load(const char *name, struct loader_module **module)
{
    return load(name, 0, false, module);
}

void loader_release(struct loader_module *module)
{
    drop(module, false);
}

void loader_close(void)
{
    struct loader_state *state = machine->loader;
    struct loader_module *module;

    for (module = state->modules; module != NULL; module = module->next) {
        for (unsigned i = 0; i < module->segment_count; i++)
            guest_range_remove((void *)module->segment[i]);
        mm_paged_sections_remove((const void *)module->base);
        dlclose(module->handle);
    }
    /* One leaves memory with the last that imports from it. */
    for (module = state->modules; module != NULL; module = module->next)
        if (module->base >= OBJECTS_BASE && module->base < OBJECTS_END &&
            dlopen(module->path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD) == NULL)
            object_keep_place(module->base, module->size);
    state->modules = NULL;
}

const char *loader_error(void)
{
    return machine->loader->error;
}

const char *loader_module_name(const struct loader_module *module)
{
    return module->name;
}

const char *loader_module_path(const struct loader_module *module)
{
    return module->path;
}

char *loader_module_nt_path(const struct loader_module *module)
{
    return image_printf("\\SystemRoot\\System32\\drivers\\%s.sys", module->name);
}

void *loader_module_base(const struct loader_module *module)
{
    return (void *)module->base;
}

size_t loader_module_size(const struct loader_module *module)
{
    return module->size;
}

void *image_symbol(const struct loader_module *module, const char *symbol)
{
    void *address = dlsym(module->handle, symbol);

    /* dlsym() also looks into what the module imports. */
    if ((uintptr_t)address < module->base || (uintptr_t)address - module->base >= module->size)
        return NULL;
    return address;
}

struct symbol_request {
    const struct loader_module *module;
    const char *symbol;
    void *address;
};

static void find_symbol(void *argument)
{
    struct symbol_request *request = argument;

    request->address = image_symbol(request->module, request->symbol);
}

void *loader_module_symbol(const struct loader_module *module, const char *symbol)
{
    struct symbol_request request = {.module = module, .symbol = symbol};

    loader_host_call(find_symbol, &request);
    return request.address;
}

const struct loader_module *loader_next(const struct loader_module *module)
{
    return module == NULL ? machine->loader->modules : module->next;
}

const struct loader_module *loader_find(const void *address)
{
    const struct loader_module *module;

    for (module = machine->loader->modules; module != NULL; module = module->next) {
        if ((uintptr_t)address >= module->base && (uintptr_t)address - module->base < module->size)
            return module;
    }
    return NULL;
}
