/* What the files of sim/image share. */
#ifndef IMAGE_LOADER_INTERNAL_H
#define IMAGE_LOADER_INTERNAL_H

#include "image/elf.h"
#include "image/loader.h"
#include "machine/fiber.h"

#define LOADER_NAME_MAX 64
#define LOADER_MAX_SEGMENTS 16

/* An image's unwind tables as Windows' routines give them out; made when somebody asks. */
struct image_functions {
    bool ready;
    RUNTIME_FUNCTION *list; /* sorted; machine heap */
    unsigned count;
};

struct loader_module {
    struct loader_module *next; /* in order of loading */
    char name[LOADER_NAME_MAX]; /* lower case */
    char *path;
    unsigned number;
    unsigned references;
    unsigned imported_by; /* of the references, those of other modules */
    bool initialised;     /* DllInitialize has succeeded, or is not there */
    void *handle;         /* of dlopen() */
    uintptr_t base;
    size_t size;
    unsigned segment_count;
    uintptr_t segment[LOADER_MAX_SEGMENTS];
    struct loader_module **imports;
    unsigned import_count;
    bool aux_klib;
    const void *frame_header; /* PT_GNU_EH_FRAME, NULL if it has none */
    struct image_functions functions;
};

struct loader_state {
    struct loader_module *modules;
    struct loader_module kernel; /* this program; base, size and functions alone */
    unsigned loads;
    char error[512];

    /* The dynamic linker wants more stack than a guest thread has: it runs on this fiber (host_call.c). */
    struct fiber fiber;
    bool fiber_ready;
    struct fiber *caller;
    void (*call)(void *);
    void *call_argument;
};

/* loader_module_symbol() for code that is on the loader's stack already. */
void *image_symbol(const struct loader_module *module, const char *symbol);

/* The image of an address: a module, or the kernel; NULL. */
struct loader_module *image_of(const void *address);
/* Find the kernel's own image; from loader_init(). */
void image_find_kernel(void);

/*
 * Check every import of the file against the kernel, the already loaded `imports` and the C library's permitted
 * routines. False: `error` names the symbols.
 */
bool imports_resolve(const char *name, const struct elf_info *info, struct loader_module *const *imports,
                     unsigned import_count, char *error, size_t error_size);

#endif
