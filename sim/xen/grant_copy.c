/* GNTTABOP_copy: copies between pages named by grant references or, for a domain's own pages, by frame. */
#include <string.h>

#include "machine/kernel_lock.h"
#include "machine/peer.h"
#include "xen/grant.h"

/* One side of a copy, claimed. */
struct copy_side {
    struct domain *granter; /* NULL: not a grant */
    grant_ref_t reference;
    bool readonly;
    uint8_t *page;
    uint32_t start; /* of what the caller may touch in it */
    uint32_t end;
};

/* Who copies, and what need not be found out for each copy. */
struct copier {
    struct domain *domain;
    bool by_address;        /* it names its memory by addresses of this process */
    struct domain *granter; /* found last */
};

static struct copier copier_of(struct domain *domain)
{
    return (struct copier){.domain = domain, .by_address = !domain->guest && !xen_host_calls()};
}

static inline struct domain *find_granter(struct copier *copier, domid_t domid)
{
    if (copier->granter == NULL || copier->granter->domid != domid)
        copier->granter = domain_find_any(copier->domain, domid);
    return copier->granter;
}

/*
 * A page of the caller's own. A domain whose code is the host's names its memory by address: the frame is the address
 * without its low 12 bits. The address is one of this process unless it comes with a hypercall.
 */
static uint8_t *own_page(const struct domain *domain, uint64_t frame)
{
    uint32_t backing;

    if (xen_host_calls()) {
        uint8_t *page = xen_caller_range(frame << GUEST_PAGE_SHIFT, GUEST_PAGE_SIZE);

        if (page != NULL)
            peers_read_memory(page, GUEST_PAGE_SIZE);
        return page;
    }
    backing = physmap_own_page(domain, frame);
    return backing != BACKING_NONE ? backing_page(backing) : NULL;
}

static inline int16_t claim_own(const struct copier *copier, const struct gnttab_copy_ptr *pointer,
                                struct copy_side *side)
{
    side->granter = NULL;
    side->start = 0;
    side->end = GUEST_PAGE_SIZE;
    if (pointer->domid != DOMID_SELF) {
        log_line(LOG_INFO, "xen", "domain %u copies by frame of domain %u: only its own are allowed",
                 copier->domain->domid, pointer->domid);
        return GNTST_permission_denied;
    }
    side->page = copier->by_address ? (uint8_t *)(uintptr_t)(pointer->u.gmfn << GUEST_PAGE_SHIFT)
                                    : own_page(copier->domain, pointer->u.gmfn);
    return side->page != NULL ? GNTST_okay : GNTST_bad_page;
}

static inline int16_t claim_granted(struct copier *copier, const struct gnttab_copy_ptr *pointer, bool readonly,
                                    struct copy_side *side)
{
    struct domain *granter = find_granter(copier, pointer->domid);
    const struct grant_active *active;
    int16_t status;

    side->granter = NULL;
    if (granter == NULL)
        return GNTST_bad_domain;
    status = grant_pin(granter, pointer->u.ref, copier->domain, readonly, GRANT_COPY);
    if (status != GNTST_okay)
        return status;
    active = grant_active(granter, pointer->u.ref);
    side->granter = granter;
    side->reference = pointer->u.ref;
    side->readonly = readonly;
    side->page = backing_page(active->backing);
    side->start = active->start;
    side->end = active->start + (uint32_t)active->length;
    return GNTST_okay;
}

/* As many segments as are claimed at a time, so that their bytes are copied without the kernel lock. */
#define CLAIMS_MAX 64u

/* What has been copied by grants of one domain, and is not in the event log yet. */
struct copied {
    uint16_t granter;
    unsigned count;
    uint32_t *reference; /* room for two a copy */
};

static void log_copied(struct copied *copied)
{
    if (copied->count == 0)
        return;
    eventlog_add_row(EVENT_GRANT, copied->granter, copied->reference, copied->count, GRANT_CHANGE_COPIED);
    copied->count = 0;
}

static void release(const struct copy_side *side, struct copied *copied)
{
    grant_unpin(side->granter, side->reference, side->readonly);
    if (copied->count > 0 && side->granter->domid != copied->granter)
        log_copied(copied);
    copied->granter = side->granter->domid;
    copied->reference[copied->count++] = side->reference;
}

/* Both sides of a copy, claimed: only if the status says so. */
struct copy_claims {
    struct copy_side source;
    struct copy_side dest;
};

static inline void release_claims(const struct copy_claims *claims, struct copied *copied)
{
    if (claims->dest.granter != NULL)
        release(&claims->dest, copied);
    if (claims->source.granter != NULL)
        release(&claims->source, copied);
}

static void release_one(const struct copy_claims *claims)
{
    uint32_t references[2];
    struct copied copied = {.reference = references};

    release_claims(claims, &copied);
    log_copied(&copied);
}

static bool within(const struct copy_side *side, uint32_t offset, uint32_t bytes)
{
    return offset >= side->start && offset + bytes <= side->end;
}

static int16_t check_claimed(const struct domain *caller, const struct gnttab_copy *segment,
                             const struct copy_side *source, const struct copy_side *dest)
{
    if (segment->source.offset + (uint32_t)segment->len > GUEST_PAGE_SIZE ||
        segment->dest.offset + (uint32_t)segment->len > GUEST_PAGE_SIZE) {
        log_line(LOG_INFO, "xen", "domain %u copies %u bytes from offset %u to %u: beyond a page", caller->domid,
                 segment->len, segment->source.offset, segment->dest.offset);
        return GNTST_bad_copy_arg;
    }
    if (!within(source, segment->source.offset, segment->len) || !within(dest, segment->dest.offset, segment->len)) {
        log_line(LOG_INFO, "xen", "domain %u copies %u bytes from offset %u to %u: beyond the part that is granted",
                 caller->domid, segment->len, segment->source.offset, segment->dest.offset);
        return GNTST_general_error;
    }
    return GNTST_okay;
}

static uint8_t *copy_target(const struct gnttab_copy *segment, const struct copy_claims *claims)
{
    return claims->dest.page + segment->dest.offset;
}

static const uint8_t *copy_origin(const struct gnttab_copy *segment, const struct copy_claims *claims)
{
    return claims->source.page + segment->source.offset;
}

static void copy_claimed(const struct gnttab_copy *segment, const struct copy_claims *claims)
{
    /* Both may be one page. */
    memmove(copy_target(segment, claims), copy_origin(segment, claims), segment->len);
}

/* Whether its address is the only one, of those that copies go by: what domain 0 maps of others has two. */
static bool has_one_address(const struct copy_side *side)
{
    return side->granter != NULL || image_is_heap(side->page);
}

/*
 * Makes the first of some copies, and with it those behind it that go on where it ends, as a large frame's do. Where
 * the two sides overlap, or might, each is made by itself, in order. How many have been made.
 */
static unsigned copy_row(const struct gnttab_copy *segments, const struct copy_claims *claims, unsigned count)
{
    uint8_t *target = copy_target(segments, claims);
    const uint8_t *origin = copy_origin(segments, claims);
    size_t length = segments[0].len;
    unsigned row = 1;

    while (row < count && segments[row].status == GNTST_okay &&
           copy_target(&segments[row], &claims[row]) == target + length &&
           copy_origin(&segments[row], &claims[row]) == origin + length)
        length += segments[row++].len;
    if ((target + length <= origin || origin + length <= target) && has_one_address(&claims->dest) &&
        has_one_address(&claims->source)) {
        memcpy(target, origin, length);
        return row;
    }
    copy_claimed(segments, claims);
    return 1;
}

/* Of more bytes that are copied in order the processor fetches the rest by itself. */
#define FETCH_MAX 1536u
#define FETCH_FIRST 640u
#define CACHE_LINE 64u

/* What __builtin_prefetch() makes of a write without a choice of processors fetches for reading, twice so slow. */
static void fetch_to_write(const uint8_t *data, uint32_t from, uint32_t to)
{
    for (; from < to; from += CACHE_LINE)
        __asm__ volatile("prefetchw %0" : : "m"(data[from]));
}

/*
 * What is written is in the granter's processor mostly. A processor waits for few lines at a time: some are on their
 * way while other copies are claimed.
 */
static void fetch_first(const struct gnttab_copy *segment, const struct copy_claims *claims)
{
    uint32_t length = segment->len < FETCH_FIRST ? segment->len : FETCH_FIRST;

    if (claims->dest.granter != NULL && segment->len <= FETCH_MAX)
        fetch_to_write(claims->dest.page, segment->dest.offset, segment->dest.offset + length);
}

/* The rest, while the copy before is made. */
static void fetch_claimed(const struct gnttab_copy *segment, const struct copy_claims *claims)
{
    uint32_t fetched = claims->dest.granter != NULL ? FETCH_FIRST : 0;
    const uint8_t *source = claims->source.page + segment->source.offset;

    if (segment->len > FETCH_MAX)
        return;
    fetch_to_write(claims->dest.page, segment->dest.offset + fetched, segment->dest.offset + segment->len);
    for (uint32_t at = 0; at < segment->len; at += CACHE_LINE)
        __builtin_prefetch(source + at);
}

/* Claims ahead of the one that is made whose entries, which the granter's processor has written, are sent for. */
#define CLAIMS_AHEAD 8u

static inline void fetch_entry(struct copier *copier, const struct gnttab_copy *segment)
{
    bool by_reference = (segment->flags & GNTCOPY_source_gref) != 0;
    const struct gnttab_copy_ptr *pointer = by_reference ? &segment->source : &segment->dest;
    const struct domain *granter;

    if (!by_reference && (segment->flags & GNTCOPY_dest_gref) == 0)
        return;
    granter = find_granter(copier, pointer->domid);
    if (granter != NULL && pointer->u.ref < grant_entries(granter)) {
        __builtin_prefetch(grant_word(granter, pointer->u.ref));
        fetch_to_write((const uint8_t *)grant_status(granter, pointer->u.ref), 0, 1);
    }
}

static inline int16_t claim_segment(struct copier *copier, const struct gnttab_copy *segment,
                                    struct copy_claims *claims)
{
    int16_t status;

    status = (segment->flags & GNTCOPY_source_gref) != 0
                 ? claim_granted(copier, &segment->source, true, &claims->source)
                 : claim_own(copier, &segment->source, &claims->source);
    if (status != GNTST_okay)
        return status;
    status = (segment->flags & GNTCOPY_dest_gref) != 0 ? claim_granted(copier, &segment->dest, false, &claims->dest)
                                                       : claim_own(copier, &segment->dest, &claims->dest);
    if (status == GNTST_okay)
        status = check_claimed(copier->domain, segment, &claims->source, &claims->dest);
    if (status != GNTST_okay)
        release_one(claims);
    return status;
}

static int16_t copy_segment(struct domain *caller, const struct gnttab_copy *segment)
{
    struct copier copier = copier_of(caller);
    struct copy_claims claims;
    int16_t status = claim_segment(&copier, segment, &claims);

    if (status != GNTST_okay)
        return status;
    copy_claimed(segment, &claims);
    release_one(&claims);
    return GNTST_okay;
}

int64_t grant_op_copy(struct domain *domain, uint64_t arg, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct gnttab_copy segment;
        uint64_t at = arg + (uint64_t)i * sizeof(segment);

        hypercall_preempt(i);
        if (!xen_copy_in(&segment, at, sizeof(segment)))
            return -XEN_EFAULT;
        segment.status = copy_segment(domain, &segment);
        if (!xen_copy_out(at, &segment, sizeof(segment)))
            return -XEN_EFAULT;
    }
    return 0;
}

static void copy_claimed_together(struct domain *domain, struct gnttab_copy *segments, unsigned count)
{
    struct copier copier = copier_of(domain);
    struct copy_claims claims[CLAIMS_MAX];
    uint32_t references[2 * CLAIMS_MAX];
    struct copied copied = {.reference = references};

    for (unsigned i = 0; i < count && i < CLAIMS_AHEAD; i++)
        fetch_entry(&copier, &segments[i]);
    for (unsigned i = 0; i < count; i++) {
        if (i + CLAIMS_AHEAD < count)
            fetch_entry(&copier, &segments[i + CLAIMS_AHEAD]);
        segments[i].status = claim_segment(&copier, &segments[i], &claims[i]);
        if (segments[i].status == GNTST_okay)
            fetch_first(&segments[i], &claims[i]);
    }
    {
        KERNEL_OUTSIDE();

        for (unsigned i = 0, made; i < count; i += made) {
            made = 1;
            if (segments[i].status != GNTST_okay)
                continue;
            if (i + 1 < count && segments[i + 1].status == GNTST_okay)
                fetch_claimed(&segments[i + 1], &claims[i + 1]);
            made = copy_row(&segments[i], &claims[i], count - i);
        }
    }
    for (unsigned i = 0; i < count; i++)
        if (segments[i].status == GNTST_okay)
            release_claims(&claims[i], &copied);
    log_copied(&copied);
}

void xen_grant_copy(unsigned domid, struct gnttab_copy *segments, unsigned count)
{
    struct domain *domain = domain_find_host(domid);

    for (unsigned first = 0; first < count; first += CLAIMS_MAX) {
        unsigned some = count - first < CLAIMS_MAX ? count - first : CLAIMS_MAX;

        if (domain != NULL)
            copy_claimed_together(domain, segments + first, some);
        else
            for (unsigned i = first; i < first + some; i++)
                segments[i].status = GNTST_bad_domain;
    }
}
