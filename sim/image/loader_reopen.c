/* The modules of a machine that goes on in another process. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

#include "image/loader_internal.h"
#include "image/objects.h"
#include "machine/image.h"

static bool lies_at(void *handle, uintptr_t base)
{
    struct link_map *map;

    return dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map->l_addr == base;
}

bool loader_module_reopen(const struct loader_module *module, const char *path, uint64_t hash, char *error,
                          size_t error_size)
{
    struct loader_module *own = (struct loader_module *)(uintptr_t)module;
    struct elf_info info;
    bool good = elf_read(path, &info, error, error_size);

    if (good)
        own->handle = object_open_at(path, own->base, info.room);
    elf_free(&info);
    if (!good)
        return false;
    if (own->handle == NULL)
        snprintf(error, error_size, "its driver %s: %s", own->name, dlerror());
    else if (object_hash(own->base) != hash && lies_at(own->handle, own->base))
        snprintf(error, error_size, "its driver %s is another build now: %s", own->name, path);
    else if (!lies_at(own->handle, own->base))
        snprintf(error, error_size, "its driver %s does not come to lie where it lay, at %#lx", own->name, own->base);
    else {
        image_free(own->path);
        own->path = image_strdup(path);
        return true;
    }
    return false;
}
