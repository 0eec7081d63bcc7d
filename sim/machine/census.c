#include "machine/census.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/image.h"
#include "xen/xen.h"

#define NAME_MAX_BYTES 120

struct item {
    const char *kind;
    char name[NAME_MAX_BYTES];
    char key[NAME_MAX_BYTES]; /* the name without the guest's number */
    uint64_t count;
    const void *caller;
};

struct census {
    struct item *items;
    size_t count;
    size_t capacity;
    uintptr_t start; /* of the code whose things are wanted */
    size_t size;     /* 0: everybody's */
};

void pool_census(struct census *census);
void mm_census(struct census *census);
void ex_census(struct census *census);
void ke_census(struct census *census);
void ob_census(struct census *census);
void io_census(struct census *census);
void grant_census(struct census *census);
void evtchn_census(struct census *census);
void xen_census(struct census *census);
void store_census(struct census *census);
void gate_census(struct census *census);

#define WITH_CALLERS 6u /* of the walkers: the kernel's */

static void (*const walkers[])(struct census *) = {
    pool_census,  mm_census,     ex_census,  ke_census,    ob_census,   io_census,
    grant_census, evtchn_census, xen_census, store_census, gate_census,
};

/* A guest that was restored in between has another number, and what it has is the same. */
static void make_key(char *key, const char *name)
{
    static const char domain[] = "domain";
    int number = xen_guest_domid();
    char *out = key;

    while (*name != '\0') {
        size_t length = sizeof(domain) - 1;

        if (number < 0 || strncmp(name, domain, length) != 0 || (name[length] != ' ' && name[length] != '/') ||
            strtol(name + length + 1, NULL, 10) != number) {
            *out++ = *name++;
            continue;
        }
        memcpy(out, name, length + 1);
        out += length + 1;
        name += length + 1;
        name += strspn(name, "0123456789");
    }
    *out = '\0';
}

static struct item *find(const struct census *census, const char *kind, const char *key)
{
    for (size_t index = 0; index < census->count; index++) {
        struct item *item = &census->items[index];

        if (strcmp(item->kind, kind) == 0 && strcmp(item->key, key) == 0)
            return item;
    }
    return NULL;
}

static struct census *take(uintptr_t start, size_t size)
{
    struct census *census = calloc(1, sizeof(*census));

    if (census == NULL)
        abort();
    image_holds_host_block(census); /* a fiber's stack may be all that refers to it when a run fails */
    census->start = start;
    census->size = size;
    for (size_t index = 0; index < (size != 0 ? WITH_CALLERS : sizeof(walkers) / sizeof(walkers[0])); index++)
        walkers[index](census);
    return census;
}

struct census *census_take(void)
{
    return take(0, 0);
}

struct census *census_take_of(const void *start, size_t size)
{
    return take((uintptr_t)start, size);
}

bool census_is_by_caller(const struct census *census)
{
    return census->size != 0;
}

void census_list(const struct census *census,
                 void (*see)(void *context, const char *kind, const char *name, uint64_t count, const void *caller),
                 void *context)
{
    for (size_t index = 0; index < census->count; index++)
        see(context, census->items[index].kind, census->items[index].name, census->items[index].count,
            census->items[index].caller);
}

void census_free(struct census *census)
{
    if (census == NULL)
        return;
    free(census->items);
    free(census);
}

void census_item(struct census *census, const char *kind, uint64_t count, const void *caller, const char *name, ...)
{
    char text[NAME_MAX_BYTES];
    char key[NAME_MAX_BYTES];
    struct item *item;
    va_list arguments;

    if (count == 0)
        return;
    if (census->size != 0 && ((uintptr_t)caller - census->start >= census->size || strcmp(kind, "pool") == 0))
        return;
    va_start(arguments, name);
    vsnprintf(text, sizeof(text), name, arguments);
    va_end(arguments);

    make_key(key, text);
    item = find(census, kind, key);
    if (item != NULL) {
        item->count += count;
        return;
    }
    if (census->count == census->capacity) {
        census->capacity = census->capacity == 0 ? 64 : census->capacity * 2;
        census->items = realloc(census->items, census->capacity * sizeof(*census->items));
        if (census->items == NULL)
            abort();
    }
    item = &census->items[census->count++];
    item->kind = kind;
    item->count = count;
    item->caller = caller;
    memcpy(item->name, text, sizeof(text));
    memcpy(item->key, key, sizeof(key));
}

unsigned census_compare(const struct census *before, const struct census *after,
                        void (*report)(void *context, const char *kind, const char *name, uint64_t count,
                                       const void *caller),
                        void *context)
{
    unsigned leaks = 0;

    for (size_t index = 0; index < after->count; index++) {
        const struct item *now = &after->items[index];
        const struct item *then = find(before, now->kind, now->key);
        uint64_t had = then != NULL ? then->count : 0;

        if (now->count <= had)
            continue;
        leaks++;
        if (report != NULL)
            report(context, now->kind, now->name, now->count - had, now->caller);
    }
    return leaks;
}

uint64_t census_total(const struct census *census, const char *kind)
{
    uint64_t total = 0;

    for (size_t index = 0; index < census->count; index++)
        if (strcmp(census->items[index].kind, kind) == 0)
            total += census->items[index].count;
    return total;
}
