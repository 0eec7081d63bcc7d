/*
 * The version of a grant table: the change from one to the other, and version 2's status words (public/grant_table.h).
 */
#include <string.h>

#include "xen/grant.h"

/* ---- status words ---- */

void grant_grow_status(struct domain *domain)
{
    struct grant_table *table = domain->grants;
    uint32_t frames = (table->frames + GRANT_FRAMES_PER_STATUS - 1) / GRANT_FRAMES_PER_STATUS;

    while (table->status_frames < frames)
        table->status[table->status_frames++] = grant_new_frame();
}

void grant_free_status(struct domain *domain)
{
    struct grant_table *table = domain->grants;

    for (uint32_t i = 0; i < table->status_frames; i++)
        grant_free_frame(domain, &table->status[i]);
    table->status_frames = 0;
}

/* ---- change ---- */

/* The toolstack's entries may be in use: they are kept, with the marks. */
static bool is_in_use(const struct domain *domain)
{
    for (grant_ref_t reference = GNTTAB_NR_RESERVED_ENTRIES; reference < grant_entries(domain); reference++)
        if (grant_is_pinned(domain, reference))
            return true;
    return false;
}

static void clear_table(struct domain *domain)
{
    for (uint32_t i = 0; i < domain->grants->frames; i++)
        memset(domain->grants->frame[i].page, 0, GUEST_PAGE_SIZE);
}

static int to_version_2(struct domain *domain)
{
    grant_entry_v1_t kept[GNTTAB_NR_RESERVED_ENTRIES];

    memcpy(kept, grant_entry_v1(domain, 0), sizeof(kept));
    clear_table(domain);
    domain->grants->version = 2;
    grant_grow_status(domain);
    for (grant_ref_t reference = 0; reference < GNTTAB_NR_RESERVED_ENTRIES; reference++) {
        grant_entry_v2_t *entry = grant_entry_v2(domain, reference);

        entry->hdr.domid = kept[reference].domid;
        entry->full_page.frame = kept[reference].frame;
        *grant_status(domain, reference) = kept[reference].flags & (GTF_reading | GTF_writing);
        __atomic_store_n(&entry->hdr.flags, kept[reference].flags & ~(GTF_reading | GTF_writing), __ATOMIC_RELEASE);
    }
    return 0;
}

/* Kept as version 1 says it; false: version 1 has no word for it. */
static bool convert_entry(const struct domain *domain, grant_ref_t reference, grant_entry_v1_t *kept)
{
    const grant_entry_v2_t entry = *grant_entry_v2(domain, reference);
    uint16_t type = entry.hdr.flags & GTF_type_mask;

    *kept = (grant_entry_v1_t){0};
    if (type == GTF_transitive || (type == GTF_permit_access && entry.full_page.frame > UINT32_MAX))
        return false;
    if (type == GTF_permit_access) {
        kept->flags = entry.hdr.flags | *grant_status(domain, reference);
        kept->domid = entry.hdr.domid;
        kept->frame = (uint32_t)entry.full_page.frame;
    }
    return true;
}

static int to_version_1(struct domain *domain)
{
    grant_entry_v1_t kept[GNTTAB_NR_RESERVED_ENTRIES] = {{0}};

    for (grant_ref_t reference = 0; reference < GNTTAB_NR_RESERVED_ENTRIES; reference++)
        if (!convert_entry(domain, reference, &kept[reference]))
            return -XEN_ERANGE;
    clear_table(domain);
    grant_free_status(domain);
    domain->grants->version = 1;
    memcpy(grant_entry_v1(domain, 0), kept, sizeof(kept));
    return 0;
}

static int set_version(struct domain *domain, uint32_t version)
{
    if (version != 1 && version != 2)
        return -XEN_EINVAL;
    if (version > domain->config.max_grant_version)
        return -XEN_ENOSYS; /* as a Xen from before there was a choice */
    if (version == domain->grants->version)
        return 0;
    if (is_in_use(domain))
        return -XEN_EBUSY;
    return version == 2 ? to_version_2(domain) : to_version_1(domain);
}

int64_t grant_op_set_version(struct domain *domain, uint64_t arg)
{
    struct gnttab_set_version op;
    int64_t result;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    result = set_version(domain, op.version);
    op.version = domain->grants->version; /* what is in effect */
    return xen_copy_out(arg, &op, sizeof(op)) ? result : -XEN_EFAULT;
}

int64_t grant_op_get_version(struct domain *caller, uint64_t arg)
{
    struct gnttab_get_version op;
    struct domain *domain;
    int error;

    if (!xen_copy_in(&op, arg, sizeof(op)))
        return -XEN_EFAULT;
    error = domain_find_controlled(caller, op.dom, &domain);
    if (error != 0)
        return error;
    op.version = domain->grants->version;
    return xen_copy_out(arg, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}
