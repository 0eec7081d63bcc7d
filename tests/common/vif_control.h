/*
 * The control ring of the backend that a test plays (vif_backend.h): a dom0 task that answers as io/netif.h says, keeps
 * what it was told, and errs where the test wants it to.
 *
 * All routines are for the scenario's guest thread. vif_control may be changed while the frontend asks nothing.
 */
#ifndef TESTS_COMMON_VIF_CONTROL_H
#define TESTS_COMMON_VIF_CONTROL_H

#include "common/vif_backend.h"

#define VIF_CONTROL_KEY 40u
#define VIF_CONTROL_MAPPING 1024u
#define VIF_CONTROL_ASKED 64u
#define VIF_CONTROL_KEPT 600u

enum vif_control_fault {
    VIF_CONTROL_RIGHT,
    VIF_CONTROL_SILENT,   /* takes the request and says nothing */
    VIF_CONTROL_WRONG_ID, /* an answer to another request; of another type */
    VIF_CONTROL_WRONG_TYPE,
    VIF_CONTROL_TWICE,     /* the answer, and once more with it */
    VIF_CONTROL_ADDED,     /* the answer, and later once more */
    VIF_CONTROL_BACKWARDS, /* the producer's index goes back; it goes far ahead */
    VIF_CONTROL_FAR
};

struct vif_control {
    uint32_t types;           /* XEN_NETIF_CTRL_HASH_TYPE_* that it has */
    uint32_t largest_mapping; /* entries */
    unsigned queues;          /* that a mapping may name */

    /* Requests of this type (0: of every type) meet with this fault, and with this status unless it is SUCCESS. */
    unsigned type;
    enum vif_control_fault fault;
    uint32_t status;

    bool keep; /* pages of requests stay mapped, VIF_CONTROL_KEPT of them at most */
};
extern struct vif_control vif_control;

/* What it was asked, in order. */
struct vif_control_request {
    unsigned type;
    uint32_t data[3];
};

/* What it has been told, and has taken. */
struct vif_control_told {
    uint32_t algorithm, types, mapping_size;
    uint8_t key[VIF_CONTROL_KEY];
    uint32_t mapping[VIF_CONTROL_MAPPING];
    unsigned asked;
    struct vif_control_request request[VIF_CONTROL_ASKED];
};

/* Connect to the ring that the frontend has published, as a backend that has been told nothing; and let go of it. */
void vif_control_start(void);
void vif_control_stop(void);

/* Let go of the pages that were kept, before the stop. */
void vif_control_release(void);

/* A copy of what it was told since the start, and asked since requests were forgotten; until the next call. */
const struct vif_control_told *vif_control_told(void);
void vif_control_forget(void);

/* Whether a page is still granted: one that a request came with, or the ring's. */
bool vif_control_is_granted(uint32_t reference);

#endif
