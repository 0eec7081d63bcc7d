/*
 * Where a driver's imports may come from. A module that reached into the C library (malloc, pthread_create) would work
 * here and fail to load on Windows, so the loader refuses it.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "image/loader_internal.h"

/* Of the C library: what ntoskrnl.exe exports under the same name and prototype. */
static const char *const permitted_routines[] = {
    "memchr",           "memcmp",  "memcpy",   "memmove",   "memset",   "qsort",    "bsearch",
    "strcat",           "strchr",  "strcmp",   "strcpy",    "strlen",   "strncat",  "strncmp",
    "strncpy",          "strnlen", "strrchr",  "strspn",    "strstr",   "isalnum",  "isalpha",
    "isdigit",          "islower", "isprint",  "isspace",   "isupper",  "isxdigit", "tolower",
    "toupper",          "atoi",    "atol",     "sprintf",   "vsprintf",
#ifdef PVSIM_COVERAGE /* libgcov's, which is in the modules */
    "__errno_location", "abort",   "access",   "close",     "exit",     "fclose",   "fcntl",
    "fdopen",           "fopen",   "fprintf",  "fread",     "free",     "fseek",    "fwrite",
    "getenv",           "getpid",  "malloc",   "mkdir",     "mmap",     "munmap",   "open",
    "stderr",           "strtol",  "vfprintf", "ftruncate", "fileno",   "setvbuf",  "setbuf",
#endif
};

/* What compilers and sanitizers put into a module on their own. */
static const char *const permitted_prefixes[] = {
    "__asan_", "__ubsan_", "__tsan_", "__sanitizer_", "__lsan_", "__gcov_", "__llvm_", "__stack_chk_", "__cxa_finalize",
};

static bool fortified(const char *symbol, size_t length)
{
    /* __memcpy_chk and the like: a permitted routine as _FORTIFY_SOURCE calls it. */
    for (size_t i = 0; i < sizeof(permitted_routines) / sizeof(permitted_routines[0]); i++) {
        size_t plain = strlen(permitted_routines[i]);

        if (length == plain + 6 && strncmp(symbol, "__", 2) == 0 &&
            strncmp(symbol + 2, permitted_routines[i], plain) == 0 && strcmp(symbol + 2 + plain, "_chk") == 0)
            return true;
    }
    return false;
}

static bool permitted(const char *symbol)
{
    for (size_t i = 0; i < sizeof(permitted_routines) / sizeof(permitted_routines[0]); i++) {
        if (strcmp(symbol, permitted_routines[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof(permitted_prefixes) / sizeof(permitted_prefixes[0]); i++) {
        if (strncmp(symbol, permitted_prefixes[i], strlen(permitted_prefixes[i])) == 0)
            return true;
    }
    return fortified(symbol, strlen(symbol));
}

/* Where this program, the kernel, lies in memory. */
struct program {
    uintptr_t first;
    uintptr_t last;
};

static int note_program(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct program *program = argument;

    (void)size;
    program->first = UINTPTR_MAX;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type != PT_LOAD)
            continue;
        if (info->dlpi_addr + header->p_vaddr < program->first)
            program->first = info->dlpi_addr + header->p_vaddr;
        if (info->dlpi_addr + header->p_vaddr + header->p_memsz > program->last)
            program->last = info->dlpi_addr + header->p_vaddr + header->p_memsz;
    }
    return 1; /* the program is the first of the list */
}

/* True if the kernel itself exports the symbol, not one of the host's libraries. */
static bool kernel_exports(const struct program *program, const char *symbol)
{
    uintptr_t address = (uintptr_t)dlsym(RTLD_DEFAULT, symbol);

    return address >= program->first && address < program->last;
}

static bool module_exports(const struct loader_module *module, const char *symbol)
{
    if (image_symbol(module, symbol) != NULL)
        return true;
    for (unsigned i = 0; i < module->import_count; i++) {
        if (module_exports(module->imports[i], symbol))
            return true;
    }
    return false;
}

bool imports_resolve(const char *name, const struct elf_info *info, struct loader_module *const *imports,
                     unsigned import_count, char *error, size_t error_size)
{
    struct program program = {0};
    size_t length = 0;
    unsigned missing = 0;

    (void)dl_iterate_phdr(note_program, &program);
    for (unsigned i = 0; i < info->undefined_count; i++) {
        const char *symbol = info->undefined[i];
        bool found = permitted(symbol) || kernel_exports(&program, symbol);
        int added;

        for (unsigned j = 0; !found && j < import_count; j++)
            found = module_exports(imports[j], symbol);
        if (found)
            continue;
        if (missing++ == 0)
            added = snprintf(error, error_size, "driver %s imports %s%s", name, symbol,
                             dlsym(RTLD_DEFAULT, symbol) != NULL ? " (which only the host's libraries have)" : "");
        else
            added = snprintf(error + length, error_size - length, ", %s", symbol);
        if (added < 0 || (size_t)added >= error_size - length)
            return false;
        length += (size_t)added;
    }
    if (missing == 0)
        return true;
    snprintf(error + length, error_size - length, ": neither the kernel nor a driver that it links with exports %s",
             missing == 1 ? "it" : "them");
    return false;
}
