/* Addresses as people read them. */
#include <dlfcn.h>
#include <stdio.h>

#include "image/loader_internal.h"
#include "machine/backtrace.h"

/* Reports are made in contexts that cannot leave their stack: nothing here changes fibers or takes much of it. */
const char *loader_name(const void *address, char *buffer, size_t size)
{
    const struct loader_module *module = NULL;
    Dl_info info = {0};

    if (machine != NULL && machine->loader != NULL)
        module = loader_find(address);
    if (module != NULL) {
        uint64_t relative = (uintptr_t)address - module->base;
        uint64_t offset;
        char name[96];

        if (elf_symbol(module->path, relative, name, sizeof(name), &offset))
            snprintf(buffer, size, "%s.so!%s+0x%llx", module->name, name, (unsigned long long)offset);
        else
            snprintf(buffer, size, "%s.so+0x%llx", module->name, (unsigned long long)relative);
    } else if (dladdr(address, &info) != 0 && info.dli_sname != NULL) {
        snprintf(buffer, size, "%s+0x%zx", info.dli_sname, (size_t)((uintptr_t)address - (uintptr_t)info.dli_saddr));
    } else {
        snprintf(buffer, size, "%p", address);
    }
    return buffer;
}

const void *loader_calling_driver(void)
{
    void *frames[48];
    int count = backtrace_collect(frames, (int)(sizeof(frames) / sizeof(frames[0])));

    for (int index = 0; index < count; index++)
        if (machine->loader != NULL && loader_find(frames[index]) != NULL)
            return frames[index];
    return NULL;
}

void loader_describe(char *buffer, size_t size, const void *address)
{
    (void)loader_name(address, buffer, size);
}
