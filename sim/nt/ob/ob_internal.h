/* Between the files of ob/. */
#ifndef NT_OB_INTERNAL_H
#define NT_OB_INTERNAL_H

#include "nt/ob/ob.h"

#define OB_MAGIC 0x6a0bec70u
#define OB_HANDLES_MAX 65536u

/* What the code of one driver has taken of an object, less what it has given back. */
struct ob_holder {
    struct ob_holder *next;
    const void *base; /* of the driver's image */
    LONG references;
    const void *caller; /* who took the last */
};

struct ob_handle {
    void *body; /* NULL where free */
    const void *caller;
};

struct ob_header {
    LIST_ENTRY entry; /* in ob_state.objects, in order of creation */
    void (*destroy)(void *body);
    char *name;
    LONG references;
    LONG handles;
    enum ob_type type;
    uint32_t magic;
    bool permanent; /* has a reference of its own, and keeps its name, until ZwMakeTemporaryObject */
    struct ob_holder *holders;
};

_Static_assert(sizeof(struct ob_header) % 16 == 0, "the body behind it is aligned to 16 bytes");

struct ob_state {
    LIST_ENTRY objects;
    struct ob_handle *handles; /* the handle is 4 * (index + 1) */
    unsigned handle_count;
    unsigned handle_capacity;
    void (*on_close[OB_TYPE_COUNT])(void *body);
};

/* The type behind what drivers hold as POBJECT_TYPE. */
enum ob_type ob_type_from_public(POBJECT_TYPE type);

static inline struct ob_header *ob_header_of(const void *body)
{
    return (struct ob_header *)(uintptr_t)body - 1;
}

/* "key" or "key NAME"; until the next call. */
const char *ob_described(const void *body);
void ob_handle_census(struct census *census);

void ob_event_init(void);

#endif
