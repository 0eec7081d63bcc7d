/*
 * Images: driver modules in this process. A module is <driver_dir>/<name>.so, or the one of that name that the
 * machine's configuration brings along. It may import from the kernel (what this
 * program exports), from other modules that its DT_NEEDED names (export drivers, loaded before it), and from the
 * handful of routines of the C library that ntoskrnl exports too; an import from anywhere else refuses the load.
 *
 * An image is loaded once however many drivers want it and leaves memory when the last of them has gone, so that the
 * next load starts with fresh data. Export drivers: DllInitialize, if exported, is called after the first load that
 * somebody's import caused, with the registry path of the service of that name; DllUnload before the image leaves.
 *
 * All routines: PASSIVE_LEVEL, in a guest thread.
 */
#ifndef IMAGE_LOADER_H
#define IMAGE_LOADER_H

#include "nt/nt.h"

struct loader_module;

/*
 * Load image `name` (no folder, no extension, any case) or take one more reference to it. On failure the status of
 * Windows' loader: STATUS_OBJECT_NAME_NOT_FOUND, STATUS_INVALID_IMAGE_FORMAT, STATUS_DRIVER_ENTRYPOINT_NOT_FOUND (a
 * missing import), STATUS_DLL_INIT_FAILED (DllInitialize refused); the log and loader_error() say which file and why.
 */
NTSTATUS loader_load(const char *name, struct loader_module **module);

/* Give a reference back. The last one calls DllUnload (export drivers), unmaps the image and lets go of its imports. */
void loader_release(struct loader_module *module);

/* Why the last loader_load() failed: one line. Empty if none did. */
const char *loader_error(void);

const char *loader_module_name(const struct loader_module *module); /* "xenbus" */
const char *loader_module_path(const struct loader_module *module);
/* The file as Windows would name it, "\\SystemRoot\\System32\\drivers\\xenbus.sys". Machine heap. */
char *loader_module_nt_path(const struct loader_module *module);
void *loader_module_base(const struct loader_module *module);
size_t loader_module_size(const struct loader_module *module);
/* An exported symbol of this very image, NULL if it has none of that name. */
void *loader_module_symbol(const struct loader_module *module, const char *symbol);

/* The machine ends: unmap what is still loaded without calling into it. From the host's stack. */
void loader_close(void);

/*
 * On the host's stack of a process that goes on with a machine: have its module back where it lay. `hash`: of
 * object_hash() (image/objects.h). False: `error` has a line.
 */
bool loader_module_reopen(const struct loader_module *module, const char *path, uint64_t hash, char *error,
                          size_t error_size);

/* The images in order of loading; NULL starts, NULL ends. */
const struct loader_module *loader_next(const struct loader_module *module);

/* The image that the address lies in, or NULL. */
const struct loader_module *loader_find(const void *address);

/* The innermost frame of the caller's stack that lies in a driver, NULL if none does. Any context. */
const void *loader_calling_driver(void);

/*
 * "xenbus.so!FdoStart+0x20" for an address in a driver, "KeSetEvent+0x10" for one in the kernel, the bare number for
 * anything else. Returns `buffer`. Any context. (loader_describe() of nt.h does the same.)
 */
const char *loader_name(const void *address, char *buffer, size_t size);

/* The driver that the address lies in has called AuxKlibInitialize; has it? */
void loader_aux_klib_initialised(const void *address);
bool loader_aux_klib_is_initialised(const void *address);

/* The kernel's own image, which Windows lists first: this program. */
void *loader_kernel_base(void);
size_t loader_kernel_size(void);
#define LOADER_KERNEL_NT_PATH "\\SystemRoot\\System32\\ntoskrnl.exe"

/*
 * The function that an address of the kernel or of a driver lies in, from the image's unwind tables; NULL when it has
 * none there. Offsets count from *base; the entry stays as long as the image.
 */
PRUNTIME_FUNCTION loader_function(const void *address, void **base);
/* Run `function` on a stack as large as the host's libraries like it. No switch point may lie inside. */
void loader_host_call(void (*function)(void *), void *argument);

/* Path of the image whose base this is, NULL if it is none. */
const char *loader_path_of_base(const void *base);

#define LOADER_DESCRIPTION_MAX 160

#endif
