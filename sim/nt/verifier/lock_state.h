/* What the files of the lock rules share. */
#ifndef NT_VERIFIER_LOCK_STATE_H
#define NT_VERIFIER_LOCK_STATE_H

#include "nt/ke/ke.h"
#include "nt/nt.h"
#include "nt/verifier/lock.h"

#define LOCK_NODE_BUCKETS 1024u
#define LOCK_EDGE_BUCKETS 4096u
#define LOCK_FLAVOUR_BUCKETS 256u

struct lock_state {
    unsigned threads_hold; /* entries in the lists of all threads */
    unsigned node_count;
    uint32_t visit; /* number of the last walk over the graph */
    struct lock_node *node_bucket[LOCK_NODE_BUCKETS];
    struct lock_edge *edge_bucket[LOCK_EDGE_BUCKETS];
    struct lock_flavour *flavour_bucket[LOCK_FLAVOUR_BUCKETS]; /* KSPIN_LOCKs that are queued ones */
    unsigned flavour_count;
};

/* Whether lock_check_freed() and the like need a look; under the parallel engine of the own vCPU and all threads. */
static inline bool lock_anything_held(void)
{
    if (machine->lock->threads_hold != 0)
        return true;
    if (engine_is_parallel())
        return ke_vcpu()->locks.count != 0;
    for (unsigned index = 0; index < machine->config.vcpus; index++)
        if (machine->vcpu[index]->locks.count != 0)
            return true;
    return false;
}

#endif
