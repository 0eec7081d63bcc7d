/*
 * The census: what is taken at this moment, by kind and name. Two censuses, before the drivers came and after they
 * went, tell what leaked. Each component provides one walker, listed in census.c:
 *
 *   pool_census      kind "pool"             name: tag and pool type, e.g. "XENS nonpaged"; count: bytes
 *   mm_census        kind "mapping"          MDL, I/O-space and foreign mappings, contiguous memory ("contiguous
 * memory"), pages of MmAllocatePagesForMdl ("mdl pages"), locked MDLs ("locked pages") ex_census        kind "work
 * item", "callback", "lookaside list", ... ke_census        kind "thread", "timer" (set), "dpc" (queued), "bugcheck
 * callback" ob_census        kind "handle", "object reference" io_census        kind "device object", "irp",
 * "interrupt", "io work item", "dma adapter", ... grant_census     kind "grant"            entries of the guest's grant
 * tables in use, maps held on them evtchn_census    kind "event channel" xen_census       kind "physmap" frames added
 * by the guest and not removed gate_census      kind "gate" ports and pages of programs on the host store_census kind
 * "watch", "store node" (of the guest), "transaction"
 */
#ifndef MACHINE_CENSUS_H
#define MACHINE_CENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct census;

struct census *census_take(void); /* host memory; free with census_free() */
void census_free(struct census *census);

/*
 * What code of `size` bytes from `start` on has taken and not given back, with the callers, kind "pool" left out; for
 * an image that leaves memory. Free with census_free().
 */
struct census *census_take_of(const void *start, size_t size);
/* Whether it is one of those: kinds that only make sense by caller. */
bool census_is_by_caller(const struct census *census);
void census_list(const struct census *census,
                 void (*see)(void *context, const char *kind, const char *name, uint64_t count, const void *caller),
                 void *context);

/* For walkers. Same kind and name twice adds up. `caller`: code that took it, or NULL (printed, not compared). */
void census_item(struct census *census, const char *kind, uint64_t count, const void *caller, const char *name, ...)
    __attribute__((format(printf, 5, 6)));

/* Called for each item that `after` has more of than `before`; returns how many there are. */
unsigned census_compare(const struct census *before, const struct census *after,
                        void (*report)(void *context, const char *kind, const char *name, uint64_t count,
                                       const void *caller),
                        void *context);

/* Total count of a kind (0 if none). */
uint64_t census_total(const struct census *census, const char *kind);

#endif
