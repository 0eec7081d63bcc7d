/* Guest pages in the address space of a program. */
#include "dropin.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

struct dropin_mapping *dropin_reserve(void *at, int flags, size_t pages)
{
    size_t numbers = (pages + GATE_PAGES_MAX - 1) / GATE_PAGES_MAX;
    struct dropin_mapping *mapping;
    void *address;

    if (pages == 0 || pages > SIZE_MAX / DROPIN_PAGE) {
        errno = EINVAL;
        return NULL;
    }
    mapping = calloc(1, sizeof(*mapping) + numbers * sizeof(mapping->number[0]));
    if (mapping == NULL)
        return NULL;
    flags = (flags & ~(MAP_SHARED | MAP_PRIVATE)) | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    address = mmap(at, pages * DROPIN_PAGE, PROT_NONE, flags, -1, 0);
    if (address == MAP_FAILED) {
        free(mapping);
        return NULL;
    }
    mapping->address = address;
    mapping->pages = pages;
    return mapping;
}

bool dropin_show(const struct dropin_mapping *mapping, size_t index, int ram, uint32_t page, int prot)
{
    uint8_t *address = mapping->address + index * DROPIN_PAGE;

    if (mmap(address, DROPIN_PAGE, prot, MAP_SHARED | MAP_FIXED, ram, (off_t)page * DROPIN_PAGE) == MAP_FAILED)
        return false;
    return madvise(address, DROPIN_PAGE, MADV_DONTFORK) == 0; /* as what the device files map */
}

void dropin_unreserve(struct dropin_mapping *mapping)
{
    int error = errno;

    munmap(mapping->address, mapping->pages * DROPIN_PAGE);
    free(mapping);
    errno = error;
}

/* Tell the gate, and forget it. */
static int end(struct dropin *dropin, struct dropin_mapping *mapping, enum gate_type type)
{
    int error = errno;
    int result = 0;

    for (size_t index = 0; index < mapping->count; index++) {
        const struct gate_unmap request = {.type = type, .number = mapping->number[index]};

        if (dropin_ask(dropin, &request, sizeof(request), NULL, NULL, 0) != 0) {
            error = errno;
            result = -1;
        }
    }
    free(mapping);
    errno = error;
    return result;
}

int dropin_give_up(struct dropin *dropin, struct dropin_mapping *mapping, enum gate_type type)
{
    int error = errno;

    munmap(mapping->address, mapping->pages * DROPIN_PAGE);
    errno = error;
    return end(dropin, mapping, type);
}

struct dropin_mapping *dropin_take(struct dropin *dropin, struct dropin_mapping **list, const void *address,
                                   size_t pages)
{
    struct dropin_mapping **link = list;
    struct dropin_mapping *mapping;

    pthread_mutex_lock(&dropin->lock);
    while (*link != NULL && ((*link)->address != address || (*link)->pages != pages))
        link = &(*link)->next;
    mapping = *link;
    if (mapping != NULL)
        *link = mapping->next;
    pthread_mutex_unlock(&dropin->lock);
    if (mapping == NULL)
        errno = EINVAL;
    return mapping;
}

/* Unlink a mapping in whose place this one lies; NULL: there is none. */
static struct dropin_mapping *take_stale(struct dropin *dropin, struct dropin_mapping **list,
                                         const struct dropin_mapping *mapping)
{
    struct dropin_mapping **link = list;
    struct dropin_mapping *stale;

    pthread_mutex_lock(&dropin->lock);
    while (*link != NULL && ((*link)->address >= mapping->address + mapping->pages * DROPIN_PAGE ||
                             mapping->address >= (*link)->address + (*link)->pages * DROPIN_PAGE))
        link = &(*link)->next;
    stale = *link;
    if (stale != NULL)
        *link = stale->next;
    pthread_mutex_unlock(&dropin->lock);
    return stale;
}

void dropin_link(struct dropin *dropin, struct dropin_mapping **list, struct dropin_mapping *mapping,
                 enum gate_type type)
{
    struct dropin_mapping *stale;

    while ((stale = take_stale(dropin, list, mapping)) != NULL)
        (void)end(dropin, stale, type);
    pthread_mutex_lock(&dropin->lock);
    mapping->next = *list;
    *list = mapping;
    pthread_mutex_unlock(&dropin->lock);
}
