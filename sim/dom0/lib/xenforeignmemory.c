/* libxenforeignmemory over the gate of a running machine. */
#include "dropin.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenforeignmemory.h>

struct xenforeignmemory_handle {
    struct dropin dropin;
    int ram;
    struct dropin_mapping *mappings;
};

struct xenforeignmemory_resource_handle {
    void *address;
    size_t pages;
};

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    struct xenforeignmemory_handle *handle;

    if (open_flags != 0) {
        errno = EINVAL;
        return NULL;
    }
    handle = calloc(1, sizeof(*handle));
    if (handle == NULL)
        return NULL;
    handle->ram = -1;
    if (dropin_open(&handle->dropin, "xenforeignmemory", logger, dropin_restrict_active, GATE_FOREIGN, NULL,
                    &handle->ram))
        return handle;
    free(handle);
    return NULL;
}

/* As with privcmd, pages stay where they are until the program unmaps them, which it may do by munmap(). */
int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
    if (fmem == NULL)
        return 0;
    while (fmem->mappings != NULL) {
        struct dropin_mapping *mapping = fmem->mappings;

        fmem->mappings = mapping->next;
        free(mapping);
    }
    dropin_close(&fmem->dropin);
    if (fmem->ram >= 0)
        close(fmem->ram);
    free(fmem);
    return 0;
}

int xenforeignmemory_restrict(xenforeignmemory_handle *fmem, domid_t domid)
{
    return dropin_restrict(&fmem->dropin, domid);
}

/* ---- mapping ---- */

/* What a request has brought. errors: by page, NULL: the first is the whole's. */
static bool show_pages(struct xenforeignmemory_handle *fmem, const struct dropin_mapping *mapping, size_t first,
                       size_t count, const struct gate_foreign *answer, int prot, int *errors)
{
    for (size_t index = 0; index < count; index++) {
        if (answer[index].error == 0) {
            if (!dropin_show(mapping, first + index, fmem->ram, answer[index].page, prot))
                return false;
        } else if (errors == NULL) {
            errno = answer[index].error;
            return false;
        }
        if (errors != NULL)
            errors[first + index] = -answer[index].error; /* negative, as Linux' privcmd has them */
    }
    return true;
}

static bool map_part(struct xenforeignmemory_handle *fmem, struct dropin_mapping *mapping, uint32_t domid, size_t first,
                     size_t count, const xen_pfn_t *frames, int prot, int *errors)
{
    size_t bytes = sizeof(struct gate_map_foreign) + count * sizeof(frames[0]);
    struct gate_map_foreign *request = calloc(1, bytes);
    struct gate_foreign *answer = calloc(count, sizeof(*answer));
    bool good = false;
    int64_t number;

    if (request != NULL && answer != NULL) {
        request->type = GATE_MAP_FOREIGN;
        request->domid = domid;
        request->writable = (prot & PROT_WRITE) != 0;
        request->count = (uint32_t)count;
        for (size_t index = 0; index < count; index++)
            request->frame[index] = frames[first + index];
        if (dropin_ask(&fmem->dropin, request, bytes, &number, answer, count * sizeof(*answer)) == 0) {
            mapping->number[mapping->count++] = (uint32_t)number;
            good = show_pages(fmem, mapping, first, count, answer, prot, errors);
        }
    }
    free(request);
    free(answer);
    return good;
}

void *xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom, void *addr, int prot, int flags, size_t pages,
                            const xen_pfn_t arr[/*pages*/], int err[/*pages*/])
{
    struct dropin_mapping *mapping = dropin_reserve(addr, flags, pages);
    bool good = mapping != NULL;

    for (size_t first = 0; first < pages && good; first += GATE_PAGES_MAX)
        good = map_part(fmem, mapping, dom, first, pages - first < GATE_PAGES_MAX ? pages - first : GATE_PAGES_MAX, arr,
                        prot, err);
    if (good) {
        dropin_link(&fmem->dropin, &fmem->mappings, mapping, GATE_UNMAP_FOREIGN);
        return mapping->address;
    }
    if (mapping != NULL)
        (void)dropin_give_up(&fmem->dropin, mapping, GATE_UNMAP_FOREIGN);
    return NULL;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages,
                           const xen_pfn_t arr[/*pages*/], int err[/*pages*/])
{
    return xenforeignmemory_map2(fmem, dom, NULL, prot, 0, pages, arr, err);
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
    struct dropin_mapping *mapping = dropin_take(&fmem->dropin, &fmem->mappings, addr, pages);

    return mapping == NULL ? -1 : dropin_give_up(&fmem->dropin, mapping, GATE_UNMAP_FOREIGN);
}

/* ---- resources ---- */

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(xenforeignmemory_handle *fmem, domid_t domid,
                                                                unsigned int type, unsigned int id, unsigned long frame,
                                                                unsigned long nr_frames, void **paddr, int prot,
                                                                int flags)
{
    const struct gate_resource request = {.type = GATE_MAP_RESOURCE,
                                          .domid = domid,
                                          .resource = type,
                                          .id = id,
                                          .frame = frame,
                                          .count = (uint32_t)nr_frames};
    struct xenforeignmemory_resource_handle *resource;
    struct gate_foreign *answer;
    struct dropin_mapping *mapping;
    int64_t number;
    bool good;

    if (nr_frames > GATE_PAGES_MAX) {
        errno = E2BIG;
        return NULL;
    }
    resource = malloc(sizeof(*resource));
    answer = calloc(nr_frames, sizeof(*answer));
    mapping = resource == NULL || answer == NULL ? NULL : dropin_reserve(*paddr, flags, nr_frames);
    good = mapping != NULL &&
           dropin_ask(&fmem->dropin, &request, sizeof(request), &number, answer, nr_frames * sizeof(*answer)) == 0;
    if (good) {
        mapping->number[mapping->count++] = (uint32_t)number;
        good = show_pages(fmem, mapping, 0, nr_frames, answer, prot, NULL);
    }
    free(answer);
    if (good) {
        dropin_link(&fmem->dropin, &fmem->mappings, mapping, GATE_UNMAP_FOREIGN);
        *paddr = resource->address = mapping->address;
        resource->pages = nr_frames;
        return resource;
    }
    dropin_error(&fmem->dropin, "mapping %lu frames of resource %u of domain %u", nr_frames, type, domid);
    if (mapping != NULL)
        (void)dropin_give_up(&fmem->dropin, mapping, GATE_UNMAP_FOREIGN);
    free(resource);
    return NULL;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *fmem, xenforeignmemory_resource_handle *fres)
{
    int result = xenforeignmemory_unmap(fmem, fres->address, fres->pages);

    free(fres);
    return result;
}

int xenforeignmemory_resource_size(xenforeignmemory_handle *fmem, domid_t domid, unsigned int type, unsigned int id,
                                   size_t *size)
{
    const struct gate_resource request = {.type = GATE_RESOURCE_SIZE, .domid = domid, .resource = type, .id = id};
    int64_t bytes;

    if (dropin_ask(&fmem->dropin, &request, sizeof(request), &bytes, NULL, 0) != 0)
        return -1;
    *size = (size_t)bytes;
    return 0;
}
