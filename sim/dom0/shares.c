#include "dom0/shares.h"

#include "dom0/dom0_state.h"
#include "machine/image.h"
#include "xen/xen.h"

/* A page that was given back while the other domain still had it mapped. */
struct dom0_share {
    struct dom0_share *next;
    unsigned domid;
    uint32_t reference;
};

void share_revoke(unsigned domid, uint32_t reference)
{
    struct dom0_share *left;

    if (xen_grant_unshare(domid, reference) == 0)
        return;
    left = image_alloc(sizeof(*left));
    left->domid = domid;
    left->reference = reference;
    left->next = dom0_state()->shares;
    dom0_state()->shares = left;
}

void shares_revoke_left(void)
{
    struct dom0_share **link = &dom0_state()->shares;

    while (*link != NULL) {
        struct dom0_share *left = *link;

        if (xen_grant_unshare(left->domid, left->reference) == 0) {
            *link = left->next;
            image_free(left);
        } else {
            link = &left->next;
        }
    }
}
