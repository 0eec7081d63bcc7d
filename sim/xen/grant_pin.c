/*
 * Taking entries of a grant table into use and out of it again: what they grant, to whom, and the marks that tell their
 * owner (public/grant_table.h): GTF_reading and GTF_writing, in the entry itself or, version 2, in its status word.
 */
#include "xen/grant.h"

#define CMPXCHG_TRIES 5 /* on an entry that its owner keeps changing */

/* What an entry grants, as read once. */
struct grant_content {
    uint64_t frame;
    uint16_t start;
    uint16_t length;
    bool sub_page;
};

/* ---- marks ---- */

/* `granted`: only what is granted is not enough. */
static __attribute__((noinline, cold)) bool refuse(const struct domain *granter, grant_ref_t reference,
                                                   grant_word_t word, const struct domain *grantee, enum grant_use use,
                                                   bool granted)
{
    if (granted)
        log_line(LOG_INFO, "xen", "grant %u of domain %u is read-only: domain %u wants to write", reference,
                 granter->domid, grantee->domid);
    else
        log_line(LOG_INFO, "xen", "grant %u of domain %u has flags %#x for domain %u: not for domain %u to %s",
                 reference, granter->domid, word & 0xFFFF, word >> 16, grantee->domid,
                 use == GRANT_MAP ? "map" : "copy");
    return false;
}

/* Flags and grantee are judged together; nothing but GTF_readonly counts for an entry that is in use already. */
static __attribute__((noinline)) bool word_permits_at_all(const struct domain *granter, grant_ref_t reference,
                                                          grant_word_t word, const struct domain *grantee,
                                                          bool readonly, enum grant_use use, bool pinned)
{
    uint16_t type = (uint16_t)word & (GTF_type_mask | (use == GRANT_MAP ? GTF_sub_page : 0));
    bool transitive = type == GTF_transitive && granter->grants->version == 2 && use != GRANT_MAP;
    bool granted = pinned || ((type == GTF_permit_access || transitive) && word >> 16 == grantee->domid);

    if (granted && (readonly || (word & GTF_readonly) == 0))
        return true;
    return refuse(granter, reference, word, grantee, use, granted);
}

/* Most entries grant a whole page to read and write. */
static inline bool word_permits(const struct domain *granter, grant_ref_t reference, grant_word_t word,
                                const struct domain *grantee, bool readonly, enum grant_use use, bool pinned)
{
    const grant_word_t judged = UINT32_C(0xFFFF0000) | GTF_type_mask | GTF_sub_page | (readonly ? 0 : GTF_readonly);

    return (word & judged) == ((grant_word_t)grantee->domid << 16 | GTF_permit_access) ||
           word_permits_at_all(granter, reference, word, grantee, readonly, use, pinned);
}

/* Version 1: the marks go into the very word that was judged, which is *judged then. */
static bool mark_in_entry(const struct domain *granter, grant_ref_t reference, const struct domain *grantee,
                          bool readonly, enum grant_use use, bool pinned, grant_word_t *judged)
{
    grant_word_t *word = grant_word(granter, reference);
    grant_word_t old = __atomic_load_n(word, __ATOMIC_ACQUIRE);

    for (unsigned i = 0; i < CMPXCHG_TRIES; i++) {
        grant_word_t new = old | GTF_reading | (readonly ? 0 : GTF_writing);

        if (!word_permits(granter, reference, old, grantee, readonly, use, pinned))
            return false;
        *judged = old;
        if (__atomic_compare_exchange_n(word, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
            return true;
    }
    log_line(LOG_INFO, "xen", "grant %u of domain %u is unstable", reference, granter->domid);
    return false;
}

/*
 * Marks that the pins left on the entry do not justify. A status word of version 2 is Xen's alone, who has its lock: it
 * is enough that what was done with the page comes before.
 */
static inline void clear_unpinned(const struct domain *granter, grant_ref_t reference,
                                  const struct grant_active *active)
{
    uint16_t marks = active->readers == 0 ? GTF_reading | GTF_writing : GTF_writing;
    uint16_t *status;

    if (active->writers != 0)
        return;
    status = grant_status(granter, reference);
    if (granter->grants->version == 1)
        __atomic_fetch_and(status, (uint16_t)~marks, __ATOMIC_SEQ_CST);
    else
        __atomic_store_n(status, __atomic_load_n(status, __ATOMIC_RELAXED) & ~marks, __ATOMIC_RELEASE);
}

/* Version 2: the owner, who looks at the marks after it has taken the flags back, must see either. */
static inline bool mark_in_status(const struct domain *granter, grant_ref_t reference, const struct domain *grantee,
                                  bool readonly, enum grant_use use, const struct grant_active *active,
                                  grant_word_t *judged)
{
    grant_word_t *word = grant_word(granter, reference);
    uint16_t *status = grant_status(granter, reference);
    bool pinned = grant_active_is_pinned(active);

    if (!word_permits(granter, reference, __atomic_load_n(word, __ATOMIC_ACQUIRE), grantee, readonly, use, pinned))
        return false;
    __atomic_fetch_or(status, GTF_reading | (readonly ? 0 : GTF_writing), __ATOMIC_SEQ_CST);
    *judged = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    if (word_permits(granter, reference, *judged, grantee, readonly, use, pinned))
        return true;
    clear_unpinned(granter, reference, active);
    return false;
}

/* ---- what is granted ---- */

static inline struct grant_content read_content(const struct domain *granter, grant_ref_t reference, grant_word_t word)
{
    struct grant_content content = {.length = GUEST_PAGE_SIZE};
    const grant_entry_v2_t *entry;

    if (granter->grants->version == 1) {
        content.frame = __atomic_load_n(&grant_entry_v1(granter, reference)->frame, __ATOMIC_RELAXED);
        return content;
    }
    entry = grant_entry_v2(granter, reference);
    content.frame = __atomic_load_n(&entry->full_page.frame, __ATOMIC_RELAXED); /* where sub_page has it too */
    if ((word & GTF_sub_page) != 0) {
        content.sub_page = true;
        content.start = __atomic_load_n(&entry->sub_page.page_off, __ATOMIC_RELAXED);
        content.length = __atomic_load_n(&entry->sub_page.length, __ATOMIC_RELAXED);
    }
    return content;
}

static uint32_t frame_to_page(const struct domain *granter, uint64_t frame)
{
    if (granter->guest)
        return physmap_own_page(granter, frame);
    for (const struct grant_share *share = granter->grants->shares; share != NULL; share = share->next)
        if (share->backing == frame)
            return share->backing;
    return BACKING_NONE;
}

/* The first pin: the page is the one that the frame names now, whatever becomes of the frame. */
static inline int16_t activate(const struct domain *granter, grant_ref_t reference, grant_word_t word,
                               const struct domain *grantee, struct grant_active *active)
{
    struct grant_content content = read_content(granter, reference, word);
    uint32_t backing = frame_to_page(granter, content.frame);

    if (backing == BACKING_NONE) {
        log_line(LOG_INFO, "xen", "grant %u of domain %u: no page of its own at the frame", reference, granter->domid);
        return GNTST_bad_page;
    }
    *active = (struct grant_active){
        .domid = grantee->domid,
        .frame = content.frame,
        .backing = backing,
        .start = content.start,
        .length = content.length,
        .sub_page = content.sub_page,
    };
    xen_page_hold(backing);
    return GNTST_okay;
}

/* ---- transitive entries ---- */

static bool is_transitive(const struct domain *granter, grant_word_t word)
{
    return granter->grants->version == 2 && (word & GTF_type_mask) == GTF_transitive;
}

static bool same_grant(const struct grant_active *active, const struct grant_active *below, uint16_t domid,
                       grant_ref_t reference)
{
    return active->transitive && active->trans_domid == domid && active->trans_reference == reference &&
           active->backing == below->backing && active->start == below->start && active->length == below->length;
}

/*
 * What the entry grants was granted to its owner by a third domain: pin that entry too, on behalf of the owner.
 * `pinned`: before this.
 */
static int16_t pin_below(struct domain *granter, grant_ref_t reference, const struct domain *grantee, bool readonly,
                         enum grant_use use, bool pinned)
{
    const grant_entry_v2_t *entry = grant_entry_v2(granter, reference);
    struct grant_active *active = grant_active(granter, reference);
    uint16_t domid = __atomic_load_n(&entry->transitive.trans_domid, __ATOMIC_RELAXED);
    grant_ref_t below = __atomic_load_n(&entry->transitive.gref, __ATOMIC_RELAXED);
    struct domain *third = domain_find(domid);
    const struct grant_active *there;
    int16_t status;

    if (use != GRANT_COPY || third == NULL || third == granter) {
        log_line(LOG_INFO, "xen", "grant %u of domain %u is transitive, of domain %u: %s", reference, granter->domid,
                 domid, use != GRANT_COPY ? "one such step at most" : "not another one that exists");
        return GNTST_general_error;
    }
    status = grant_pin(third, below, granter, readonly, GRANT_COPY_BELOW);
    if (status != GNTST_okay)
        return status;
    there = grant_active(third, below);
    if (pinned) {
        if (same_grant(active, there, domid, below))
            return GNTST_okay;
        grant_unpin(third, below, readonly);
        log_line(LOG_INFO, "xen", "grant %u of domain %u has become another while in use", reference, granter->domid);
        return GNTST_eagain;
    }
    *active = (struct grant_active){
        .domid = grantee->domid,
        .frame = GFN_INVALID,
        .backing = there->backing,
        .start = there->start,
        .length = there->length,
        .sub_page = true,
        .transitive = true,
        .trans_domid = domid,
        .trans_reference = below,
    };
    xen_page_hold(active->backing);
    return GNTST_okay;
}

/* ---- pins ---- */

int16_t grant_pin(struct domain *granter, grant_ref_t reference, const struct domain *grantee, bool readonly,
                  enum grant_use use)
{
    struct grant_active *active;
    int16_t status = GNTST_okay;
    grant_word_t word = 0;
    bool pinned;

    if (reference >= grant_entries(granter)) {
        log_line(LOG_INFO, "xen", "grant %u of domain %u: its table has %u entries", reference, granter->domid,
                 grant_entries(granter));
        return GNTST_bad_gntref;
    }
    active = grant_active(granter, reference);
    pinned = grant_active_is_pinned(active);
    if (pinned && (active->domid != grantee->domid || active->readers >= GRANT_PINS_MAX ||
                   active->writers >= GRANT_PINS_MAX || (use == GRANT_MAP && active->sub_page))) {
        log_line(LOG_INFO, "xen", "grant %u of domain %u is in use by domain %u (%u, %u times)", reference,
                 granter->domid, active->domid, active->readers, active->writers);
        return GNTST_general_error;
    }
    if ((!pinned || (!readonly && active->writers == 0)) &&
        !(granter->grants->version == 1 ? mark_in_entry(granter, reference, grantee, readonly, use, pinned, &word)
                                        : mark_in_status(granter, reference, grantee, readonly, use, active, &word)))
        return GNTST_general_error;
    if (pinned ? active->transitive : is_transitive(granter, word))
        status = pin_below(granter, reference, grantee, readonly, use, pinned);
    else if (!pinned)
        status = activate(granter, reference, word, grantee, active);
    if (status != GNTST_okay) {
        clear_unpinned(granter, reference, active);
        return status;
    }
    if (readonly)
        active->readers++;
    else
        active->writers++;
    return GNTST_okay;
}

/* No domain ends while a copy is under way. */
static __attribute__((noinline, cold)) void unpin_below(const struct grant_active *active, bool readonly)
{
    struct domain *third = domain_find(active->trans_domid);

    if (third != NULL)
        grant_unpin(third, active->trans_reference, readonly);
}

void grant_unpin(struct domain *granter, grant_ref_t reference, bool readonly)
{
    struct grant_active *active = grant_active(granter, reference);

    if (readonly)
        active->readers--;
    else
        active->writers--;
    clear_unpinned(granter, reference, active);
    if (active->transitive)
        unpin_below(active, readonly);
    if (!grant_active_is_pinned(active))
        xen_page_drop(active->backing);
}
