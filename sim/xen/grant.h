/*
 * Grant tables inside: shared between grant_table.c, grant_map.c and grant_copy.c.
 *
 * The table of a guest holds guest frame numbers; that of a domain whose code is the host's holds backing page numbers
 * (its pages come from xen_grant_share()).
 */
#ifndef XEN_GRANT_H
#define XEN_GRANT_H

#include "xen/hypervisor.h"

#define GRANT_ENTRIES_PER_FRAME (GUEST_PAGE_SIZE / sizeof(grant_entry_v1_t))
#define GRANT_PINS_MAX 127u /* of one kind on one entry; one more could overflow Xen's counters */
#define GRANT_MAPS_PER_FRAME 256u

enum grant_change { GRANT_CHANGE_MAPPED = 1, GRANT_CHANGE_UNMAPPED, GRANT_CHANGE_COPIED };

/* What Xen knows of an entry while it is mapped or copied from. */
struct grant_active {
    uint16_t domid;  /* grantee */
    uint8_t readers; /* pins for reading */
    uint8_t writers;
    uint32_t frame;   /* as the entry named it at the first pin */
    uint32_t backing; /* the page that was there then; held */
};

struct grant_frame {
    uint32_t backing;
    grant_entry_v1_t *entry;
    uint64_t gfn; /* where the guest has it, GFN_INVALID */
    struct grant_active *active;
};

struct grant_map {
    bool in_use;
    bool readonly;
    bool stale; /* the granter's table is gone: only the page is left */
    uint16_t granter;
    grant_ref_t reference;
    uint32_t backing;
    uint64_t gfn;       /* of a guest's mapping */
    uint32_t next_free; /* handle + 1 */
};

struct grant_table {
    struct grant_frame *frame; /* as many as its domain may have */
    uint32_t frames;
    struct grant_map *map; /* what this domain maps of others; handle: index */
    uint32_t maps;
    uint32_t free_map; /* handle + 1; last in, first out */
};

/* Entries are shared with their owner, in 16-bit and 32-bit pieces. */
typedef uint32_t __attribute__((may_alias)) grant_word_t;

static inline uint32_t grant_entries(const struct domain *domain)
{
    return domain->grants->frames * GRANT_ENTRIES_PER_FRAME;
}

static inline grant_entry_v1_t *grant_entry(const struct domain *domain, grant_ref_t reference)
{
    return &domain->grants->frame[reference / GRANT_ENTRIES_PER_FRAME].entry[reference % GRANT_ENTRIES_PER_FRAME];
}

static inline struct grant_active *grant_active(const struct domain *domain, grant_ref_t reference)
{
    return &domain->grants->frame[reference / GRANT_ENTRIES_PER_FRAME].active[reference % GRANT_ENTRIES_PER_FRAME];
}

/* grant_table.c: make the table at least this big; false beyond the limit. */
bool grant_grow(struct domain *domain, uint32_t frames);

/*
 * grant_map.c. Take an entry of `granter` into use for `grantee` and mark it so; the backing page comes back held.
 * GNTST_*. `map`: for a mapping rather than a copy.
 */
int16_t grant_pin(struct domain *granter, grant_ref_t reference, const struct domain *grantee, bool readonly, bool map,
                  uint32_t *backing);
void grant_unpin(struct domain *granter, grant_ref_t reference, bool readonly);
int64_t grant_op_map(struct domain *domain, uint64_t arg, uint32_t count);
int64_t grant_op_unmap(struct domain *domain, uint64_t arg, uint32_t count);
/* Drop every mapping that the domain holds. */
void grant_unmap_all(struct domain *domain);
/* The domain's table goes: mappings on it that others hold live on without it. */
void grant_abandon_maps(struct domain *granter);

/* grant_copy.c */
int64_t grant_op_copy(struct domain *domain, uint64_t arg, uint32_t count);

#endif
