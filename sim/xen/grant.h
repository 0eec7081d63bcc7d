/*
 * Grant tables inside: shared between grant_table.c, grant_version.c, grant_map.c and grant_copy.c.
 *
 * The table of a guest holds guest frame numbers; that of a domain whose code is the host's holds backing page numbers
 * (its pages come from xen_grant_share()).
 */
#ifndef XEN_GRANT_H
#define XEN_GRANT_H

#include "xen/hypervisor.h"

#define GRANT_V1_PER_FRAME ((uint32_t)(GUEST_PAGE_SIZE / sizeof(grant_entry_v1_t)))
#define GRANT_V2_PER_FRAME ((uint32_t)(GUEST_PAGE_SIZE / sizeof(grant_entry_v2_t)))
#define GRANT_STATUS_PER_FRAME ((uint32_t)(GUEST_PAGE_SIZE / sizeof(grant_status_t)))
#define GRANT_FRAMES_PER_STATUS (GRANT_STATUS_PER_FRAME / GRANT_V2_PER_FRAME)
#define GRANT_PINS_MAX 127u /* of one kind on one entry; one more could overflow Xen's counters */
#define GRANT_MAPS_PER_FRAME 256u

enum grant_change { GRANT_CHANGE_MAPPED = 1, GRANT_CHANGE_UNMAPPED, GRANT_CHANGE_COPIED };

/* What Xen knows of an entry while it is mapped or copied from. */
struct grant_active {
    uint16_t domid;  /* grantee */
    uint8_t readers; /* pins for reading */
    uint8_t writers;
    uint64_t frame;   /* as the entry named it at the first pin; GFN_INVALID: of a transitive one */
    uint32_t backing; /* the page that was there then; held */
    uint16_t start;   /* the part of it that is granted */
    uint16_t length;
    bool sub_page;   /* or transitive: not to be mapped */
    bool transitive; /* each pin is one on the entry below too */
    uint16_t trans_domid;
    grant_ref_t trans_reference;
};

/* A frame of the table, or of status words. */
struct grant_frame {
    uint32_t backing;
    void *page;
    uint64_t gfn;                /* where the guest has it, GFN_INVALID */
    struct grant_active *active; /* of the entries of a version 1 frame; version 2 has half as many */
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

/* A page of a host domain's that it has granted by xen_grant_share(); its table, which others can write, only says so.
 */
struct grant_share {
    struct grant_share *next;
    grant_ref_t reference;
    uint32_t backing;
};

struct grant_table {
    unsigned version;
    struct grant_frame *frame; /* as many as its domain may have */
    uint32_t frames;
    struct grant_frame *status; /* of version 2, for all entries */
    uint32_t status_frames;
    struct grant_map *map; /* what this domain maps of others; handle: index */
    uint32_t maps;
    uint32_t free_map; /* handle + 1; last in, first out */
    struct grant_share *shares;
};

/* Entries are shared with their owner, in 16-bit and 32-bit pieces. */
typedef uint32_t __attribute__((may_alias)) grant_word_t;

static inline uint32_t grant_per_frame(const struct domain *domain)
{
    return domain->grants->version == 1 ? GRANT_V1_PER_FRAME : GRANT_V2_PER_FRAME;
}

static inline uint32_t grant_entries(const struct domain *domain)
{
    return domain->grants->frames * grant_per_frame(domain);
}

static inline grant_entry_v1_t *grant_entry_v1(const struct domain *domain, grant_ref_t reference)
{
    grant_entry_v1_t *page = domain->grants->frame[reference / GRANT_V1_PER_FRAME].page;

    return &page[reference % GRANT_V1_PER_FRAME];
}

static inline grant_entry_v2_t *grant_entry_v2(const struct domain *domain, grant_ref_t reference)
{
    grant_entry_v2_t *page = domain->grants->frame[reference / GRANT_V2_PER_FRAME].page;

    return &page[reference % GRANT_V2_PER_FRAME];
}

/* Flags and, above them, the grantee's number: an entry of either version begins so. */
static inline grant_word_t *grant_word(const struct domain *domain, grant_ref_t reference)
{
    return domain->grants->version == 1 ? (grant_word_t *)(void *)grant_entry_v1(domain, reference)
                                        : (grant_word_t *)(void *)grant_entry_v2(domain, reference);
}

/* Where GTF_reading and GTF_writing of an entry are. */
static inline uint16_t *grant_status(const struct domain *domain, grant_ref_t reference)
{
    uint16_t *page;

    if (domain->grants->version == 1)
        return &grant_entry_v1(domain, reference)->flags;
    page = domain->grants->status[reference / GRANT_STATUS_PER_FRAME].page;
    return &page[reference % GRANT_STATUS_PER_FRAME];
}

static inline struct grant_active *grant_active(const struct domain *domain, grant_ref_t reference)
{
    const struct grant_frame *frame = domain->grants->frame;

    return domain->grants->version == 1 ? &frame[reference / GRANT_V1_PER_FRAME].active[reference % GRANT_V1_PER_FRAME]
                                        : &frame[reference / GRANT_V2_PER_FRAME].active[reference % GRANT_V2_PER_FRAME];
}

static inline bool grant_active_is_pinned(const struct grant_active *active)
{
    return active->readers != 0 || active->writers != 0;
}

static inline bool grant_is_pinned(const struct domain *domain, grant_ref_t reference)
{
    return grant_active_is_pinned(grant_active(domain, reference));
}

/* grant_table.c: make the table at least this big; false beyond the limit. */
bool grant_grow(struct domain *domain, uint32_t frames);
/* Give the guest's frame of a frame of the table back to nothing, and free that. */
void grant_free_frame(struct domain *domain, struct grant_frame *frame);
struct grant_frame grant_new_frame(void);

/* grant_version.c */
int64_t grant_op_set_version(struct domain *domain, uint64_t arg);
int64_t grant_op_get_version(struct domain *caller, uint64_t arg);
/* As many frames of status words as the table's size asks for. */
void grant_grow_status(struct domain *domain);
void grant_free_status(struct domain *domain);

/* What for: mappings take whole pages of the granter's own only; a copy by a transitive entry does not take another. */
enum grant_use { GRANT_MAP, GRANT_COPY, GRANT_COPY_BELOW };

/*
 * grant_pin.c. Take an entry of `granter` into use for `grantee` and mark it so; its page is held while it is.
 * GNTST_*; what is granted is in grant_active() then.
 */
int16_t grant_pin(struct domain *granter, grant_ref_t reference, const struct domain *grantee, bool readonly,
                  enum grant_use use);
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
