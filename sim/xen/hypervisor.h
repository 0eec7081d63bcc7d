/*
 * The hypervisor inside: domains and what hangs off them. For the files of sim/xen only; others use xen.h and
 * platform.h.
 *
 * Everything runs between switch points and is therefore atomic under the deterministic engine. Memory that the guest
 * sees (shared info, vcpu_info, grant entries) is nevertheless accessed with atomic operations, and guest structures
 * are copied once and the copy is what is checked and used.
 */
#ifndef XEN_HYPERVISOR_H
#define XEN_HYPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/census.h"
#include "machine/clock.h"
#include "machine/eventlog.h"
#include "machine/guest_ram.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"
#include "machine/sched.h"
#include "machine/vcpu.h"
#include "xen/abi.h"
#include "xen/xen.h"

#define XEN_VERSION_MAJOR 4u

#define XEN_GSI_COUNT 48u            /* inputs of the I/O APIC that Xen gives an HVM guest */
#define XEN_PIRQS 56u                /* nr_pirqs of a domain on a host with an I/O APIC of 24 inputs */
#define XEN_UPCALL_VECTOR_MIN 0x10   /* the local APIC takes no vector below */
#define XEN_FIRST_DEVICE_VECTOR 0x30 /* what vcpu_raise_vector() takes */
#define XEN_SHUTDOWN_NONE (-1)

/* The command word of memory_op carries, above the command, how far a preempted call had come. */
#define MEMOP_EXTENT_SHIFT 6
#define MEMOP_CMD_MASK ((1u << MEMOP_EXTENT_SHIFT) - 1)

/* ---- event channels ---- */

struct domain;

enum evtchn_change { EVTCHN_CHANGE_BOUND = 1, EVTCHN_CHANGE_CLOSED, EVTCHN_CHANGE_PENDING };

struct evtchn {
    uint8_t state;         /* EVTCHNSTAT_* */
    bool pending;          /* non-guest domains: fired while masked; FIFO ABI: while its word was not there */
    bool masked;           /* non-guest domains */
    uint8_t priority;      /* FIFO ABI */
    uint8_t last_priority; /* the queue that it was on last; known beyond the port's closing */
    uint16_t last_vcpu;
    uint16_t remote_domid; /* unbound, interdomain */
    uint16_t vcpu;         /* to be notified */
    uint32_t remote_port;  /* interdomain */
    uint32_t virq;
    uint32_t pirq;
    xen_notify_t notify; /* non-guest domains */
    void *argument;
};

/* How a domain sees its ports. `channel` is that of `port`, and bound. */
struct evtchn_abi {
    uint32_t ports;                                                                    /* that it can name */
    void (*bind)(struct domain *domain, uint32_t port, struct evtchn *channel);        /* NULL: nothing to do */
    bool (*set_pending)(struct domain *domain, uint32_t port, struct evtchn *channel); /* news for who polls it? */
    void (*clear_pending)(struct domain *domain, uint32_t port, struct evtchn *channel);
    void (*unmask)(struct domain *domain, uint32_t port, struct evtchn *channel);
    bool (*is_pending)(const struct domain *domain, uint32_t port);
    bool (*is_busy)(const struct domain *domain, uint32_t port); /* closed, but not free; NULL: no such thing */
    int (*set_priority)(struct domain *domain, struct evtchn *channel, uint32_t priority); /* NULL: it has none */
};

/* How vCPU 0 of an HVM guest without upcall vectors learns of events: HVM_PARAM_CALLBACK_IRQ decoded. */
struct callback_via {
    enum { VIA_NONE, VIA_GSI, VIA_VECTOR } type; /* an INTx line is the GSI that it is wired to */
    unsigned gsi;
    uint8_t vector;
    bool asserted; /* level of the GSI */
};

/* ---- vCPUs ---- */

struct xen_vcpu {
    struct domain *domain;
    unsigned index;
    struct vcpu_info *info;       /* Xen's view, in shared info or where the guest has put it */
    uint32_t info_backing;        /* page that the guest registered, BACKING_NONE: none */
    struct vcpu_info unplaced;    /* of vCPUs from 32 up until they register one */
    uint8_t upcall_vector;        /* 0: not set */
    uint32_t virq_port[NR_VIRQS]; /* 0: not bound */

    uint64_t time_updated; /* when the time page was written last, ns */
    uint64_t time_area;    /* guest virtual address of the second copy, 0: none */
    struct vcpu_runstate_info runstate;
    uint64_t runstate_area; /* guest virtual address, 0: none */

    uint64_t period;
    struct deadline periodic;
    struct deadline singleshot;

    uint64_t viridian_assist_page;
    uint64_t viridian_crash[5];

    bool polling;                    /* in SCHEDOP_poll */
    const evtchn_port_t *poll_ports; /* Xen's copy of the list */
    unsigned poll_count;
    struct deadline poll_end;
    bool down; /* VCPUOP_down, or not started yet */
    bool initialised;
    bool held;    /* by hold_or_let_go() */
    bool stopped; /* inside Xen: it is down, or its domain shut down */
};

/* ---- physical map ---- */

enum frame_kind {
    FRAME_SHARED_INFO = 1,
    FRAME_GRANT_TABLE, /* index: frame of the table, as XENMAPSPACE_grant_table has it */
    FRAME_GRANT_MAP,   /* index: handle */
    FRAME_MOVED        /* a page of the guest's own, put here by XENMAPSPACE_gmfn */
};

/* A frame of the guest at which something other than its own RAM lies. */
struct frame_record {
    uint64_t gfn;
    enum frame_kind kind;
    uint32_t index;
};

/* ---- domains ---- */

#define WATCHDOG_TIMERS 2

struct watchdog {
    struct domain *domain;
    struct deadline deadline;
    bool in_use;
};

struct grant_table;
struct evtchn_fifo;

struct domain {
    struct domain *next; /* by ascending domid */
    uint16_t domid;
    struct xen_domain_config config;
    bool privileged;
    bool guest; /* runs on the machine's vCPUs and RAM; the code of others is the host's */
    bool left;  /* its guest has been restored as another domain */
    bool dying;

    unsigned vcpus;
    struct xen_vcpu *vcpu;

    bool shutting_down;
    unsigned pauses;       /* by the toolstack */
    bool asleep;           /* S3 */
    int shutdown_code;     /* latched; XEN_SHUTDOWN_NONE */
    int64_t resume_result; /* what SCHEDOP_shutdown returns */
    struct watchdog watchdog[WATCHDOG_TIMERS];

    struct evtchn **bucket; /* EVTCHN_BUCKET channels each */
    uint32_t buckets;
    uint32_t pirq_port[XEN_PIRQS]; /* 0: not bound */
    struct evtchn_fifo *fifo;      /* of a guest that has gone over to the FIFO ABI */

    struct grant_table *grants;

    /* of a guest */
    uint32_t shared_backing;
    struct shared_info *shared;
    uint64_t shared_gfn; /* where the guest mapped it, GFN_INVALID */
    struct callback_via via;
    uint64_t param[HVM_NR_PARAMS];
    uint64_t vm_assist;
    uint8_t handle[16];
    uint32_t incarnation; /* Xens that it has lived under */
    struct {
        uint64_t guest_os_id;
        uint64_t hypercall_page;
    } viridian;

    uint64_t tot_pages; /* that it owns now */
    uint64_t max_pages;
    uint64_t start_pages;       /* at creation */
    uint64_t detached_pages;    /* owned, with no frame */
    uint64_t max_gfn;           /* highest frame ever in use */
    struct frame_record *frame; /* by ascending gfn */
    uint32_t frames;
    uint32_t granted_frames; /* those of FRAME_GRANT_MAP */
    uint32_t frame_capacity;
};

struct page_table;
struct platform_state;

#define HYPERCALL_OPS 64u

struct xen_state {
    struct domain *domains; /* by ascending domid */
    struct domain *guest;   /* the one on the machine's vCPUs, NULL before xen_domain_create() */
    /*
     * Of the hypercall of a host's domain that is under way; NULL otherwise: the guest calls. There is no switch point
     * inside the former.
     */
    const struct xen_memory *memory;
    uint16_t next_domid;
    uint64_t hypercalls[HYPERCALL_OPS];
    uint64_t warned[HYPERCALL_OPS]; /* per operation, a bit per sub-operation below 64: reported as missing */
    struct page_table *pages;
    struct platform_state *platform;
};

static inline struct xen_state *xen_state(void)
{
    return machine->xen;
}

/* domain.c */
struct domain *domain_find(unsigned domid);      /* NULL if there is none */
struct domain *domain_find_host(unsigned domid); /* the same, and its code is the host's */
/* DOMID_SELF or a number, as most hypercalls take it; NULL if there is none. */
struct domain *domain_find_any(struct domain *caller, domid_t domid);
/* May `caller` act on `target` (itself, or anyone for the privileged domain)? */
bool domain_may_control(const struct domain *caller, const struct domain *target);
/* The two together: 0 with the domain in *domain, or -ESRCH, -EPERM. */
int domain_find_controlled(struct domain *caller, domid_t domid, struct domain **domain);
/* The guest and its vCPU that runs now (vCPU 0 from the host's stack). */
struct domain *domain_current(void);
struct xen_vcpu *domain_current_vcpu(struct domain *domain);
struct xen_vcpu *domain_vcpu(struct domain *domain, uint32_t index); /* NULL if there is none */
/* VIRQ_DOM_EXC. */
void domain_tell_dom0(void);
/* The guest goes on under the next number, with ports and grants as at its creation; its vCPUs stand still. */
void domain_take_new_number(struct domain *guest);
/* The frames are as at power-on; pages of RAM that have stayed where they were keep what is in them. */
void domain_rebuild_memory(struct domain *guest);
/*
 * domain_life.c. Halt the domain: `reason` unless one is latched; its vCPUs but the current one stand still wherever
 * they are (xen_domain_stands()); tells dom0. No switch point.
 */
void domain_shutdown(struct domain *domain, uint8_t reason);
/* The running vCPU stays here while its domain is shut down, or it is down itself. */
void domain_wait_while_stopped(struct domain *domain);

/* host_call.c: memory of the hypercall's caller by virtual address; an empty list may be anywhere. */
bool xen_copy_in(void *to, uint64_t from, size_t bytes);
bool xen_copy_out(uint64_t to, const void *from, size_t bytes);
/* Where a range of the caller's is, when the caller is a host's domain; NULL: it does not have that. */
void *xen_caller_range(uint64_t address, uint64_t bytes);
/* Is it a host's domain that calls? */
static inline bool xen_host_calls(void)
{
    return xen_state()->memory != NULL;
}
/* hypercall.c: the table's routine with counts and checks; for xen_hypercall() and xen_host_hypercall(). */
int64_t hypercall_dispatch(struct xen_vcpu *vcpu, unsigned op, const uint64_t arg[5]);
/* Long lists are worked off with a switch point now and then, as Xen preempts itself. `done`: items so far. */
void hypercall_preempt(uint64_t done);
/* -XEN_ENOSYS, saying (once at level warning) that this simulator lacks what Xen has. */
int64_t hypercall_missing(unsigned op, uint64_t sub, const char *what);
/* hypercall_fault.c: must this one fail for lack of memory? Then its result, with what it writes for the guest written.
 */
bool hypercall_fault(unsigned op, const uint64_t arg[5], int64_t *result);
/* Write the classic hypercall page into a frame; false if the frame has no memory. */
bool hypercall_page_install(uint64_t gfn);

/* shared_info.c */
void shared_info_create(struct domain *domain);  /* a fresh page, all vcpu_info in it, not mapped by the guest */
void shared_info_destroy(struct domain *domain); /* and whatever the guest has placed elsewhere is its own again */
/* VCPUOP_register_vcpu_info: 0 or an error. */
int shared_info_place(struct xen_vcpu *vcpu, uint64_t gfn, uint32_t offset);
/* Bring the vCPU's time page up to now; `force`: even if it is less than a second old. */
void xen_time_update(struct xen_vcpu *vcpu, bool force);

/* evtchn.c */
int64_t evtchn_op(struct domain *domain, uint64_t cmd, uint64_t arg);
void evtchn_init(struct domain *domain);
void evtchn_close_all(struct domain *domain);
void evtchn_destroy(struct domain *domain);
struct evtchn *evtchn_find(struct domain *domain, uint32_t port); /* NULL: no valid port */
/* Of a valid port; false of one that is not bound. */
bool evtchn_is_pending(struct domain *domain, uint32_t port);
void evtchn_raise_virq(struct xen_vcpu *vcpu, uint32_t virq);

/* evtchn_deliver.c */
const struct evtchn_abi *evtchn_abi(const struct domain *domain);
void evtchn_set_pending(struct domain *domain, uint32_t port);
void evtchn_unmask(struct domain *domain, uint32_t port); /* a bound one */
/* Set the vCPU's upcall flag and tell it, if the flag is news. */
void evtchn_mark_upcall(struct xen_vcpu *vcpu);
/* Every selector bit and the upcall set, and the vCPU told: after vcpu_info moved. */
void evtchn_mark_all_pending(struct xen_vcpu *vcpu);
/* Tell the vCPU by whatever it has set up (upcall vector, callback). */
void evtchn_inject(struct xen_vcpu *vcpu);
void evtchn_set_callback(struct domain *domain, uint64_t via);

/* evtchn_two_level.c */
extern const struct evtchn_abi evtchn_two_level;

/* evtchn_fifo.c; results as the hypercalls have them */
extern const struct evtchn_abi evtchn_fifo;
int evtchn_fifo_init_control(struct domain *domain, struct evtchn_init_control *op);
int evtchn_fifo_expand(struct domain *domain, uint64_t gfn);
void evtchn_fifo_destroy(struct domain *domain); /* back to the 2-level ABI; every port is closed */

/* grant_table.c */
int64_t grant_table_op(struct domain *domain, uint64_t cmd, uint64_t arg, uint64_t count);
void grant_init(struct domain *domain);
void grant_destroy(struct domain *domain);
void grant_reset(
    struct domain *domain); /* the domain goes on under a new Xen: fresh table, old maps live on as copies */
void grant_seed(struct domain *domain, grant_ref_t reference, domid_t grantee, uint64_t gfn);
/*
 * Backing page of a frame of the table or, with XENMAPIDX_grant_table_status and version 2, of status words, growing it
 * if need be; BACKING_NONE: beyond the limit.
 */
uint32_t grant_frame(struct domain *domain, uint64_t index);
uint64_t grant_frame_gfn(const struct domain *domain, uint64_t index);
void grant_frame_set_gfn(struct domain *domain, uint64_t index, uint64_t gfn);

/* physmap.c */
void xen_pages_init(void);
/* Every frame has its RAM, and only RAM; what was RAM keeps what is in it. */
void physmap_rebuild(struct domain *domain);
/* References that keep a page alive after its domain gave it up (grant maps, foreign maps, vcpu_info). */
void xen_page_hold(uint32_t backing);
void xen_page_drop(uint32_t backing);
/* A zeroed page for `gfn`, within the domain's maximum; BACKING_NONE if that is reached. */
uint32_t xen_page_allocate(struct domain *domain, uint64_t gfn);
/* The domain gives the page up: it is freed now, or when the last hold goes. */
void xen_page_give_up(struct domain *domain, uint32_t backing);
/* So many pages that it gave up still count as its memory, because others map them. */
uint64_t xen_pages_given_up_by(const struct domain *domain);
/* The same for a page of backing_alloc() that no domain counts as its memory. */
void xen_page_give_up_xen(uint32_t backing);
/* Whose record lies at a frame, NULL: plain memory or nothing. */
const struct frame_record *physmap_find(const struct domain *domain, uint64_t gfn);
/* Take away what lies at the frame. `free_page`: give the domain's own page up, else it stays owned without a frame. */
int physmap_remove(struct domain *domain, uint64_t gfn, bool free_page);
/* Put a page at a frame that is empty. kind 0: the domain's own memory. */
void physmap_place(struct domain *domain, uint64_t gfn, uint32_t backing, enum frame_kind kind, uint32_t index);
/* Like physmap_remove() without a look at what kind it is, for whoever owns the record. */
void physmap_forget(struct domain *domain, uint64_t gfn);
/* The page behind a frame of the guest's own memory (not a grant that it maps); BACKING_NONE if there is none. */
uint32_t physmap_own_page(const struct domain *domain, uint64_t gfn);

/* memory.c */
int64_t memory_op(struct domain *domain, uint64_t cmd, uint64_t arg);

/* domctl.c */
int64_t domctl_op(struct domain *caller, uint64_t arg);
int64_t sysctl_op(struct domain *caller, uint64_t arg);
/* debug_keys.c */
struct xen_sysctl_debug_keys;
int64_t debug_keys_op(const struct xen_sysctl_debug_keys *op);

/* hvm.c */
int64_t hvm_op(struct domain *domain, uint64_t op, uint64_t arg);

/* sched_op.c */
int64_t xen_sched_op(struct xen_vcpu *vcpu, uint64_t cmd, uint64_t arg);
/* End the vCPU's SCHEDOP_poll if it waits for this port (0: for anything). */
void xen_poll_wake(struct xen_vcpu *vcpu, uint32_t port);
void xen_watchdogs_stop(struct domain *domain);

/* vcpu_op.c */
int64_t xen_vcpu_op(struct xen_vcpu *vcpu, uint64_t cmd, uint32_t index, uint64_t arg);
/* The vCPU is in another state; count: without a word to the guest, while it may look at its time page. */
void xen_runstate_set(struct xen_vcpu *vcpu, int state);
void xen_runstate_count(struct xen_vcpu *vcpu, int state);
int xen_vcpu_set_singleshot(struct xen_vcpu *vcpu, uint64_t when, uint32_t flags);
void xen_vcpu_stop_timers(struct xen_vcpu *vcpu);
void xen_vcpu_reset(struct xen_vcpu *vcpu);

/* version.c */
int64_t version_op(const struct domain *domain, uint64_t cmd, uint64_t arg);

/* All of RAM at its frames and zero, and nothing else there; before another guest is created. */
void xen_memory_power_cycle(void);

/* board.c, platform_device.c, acpi.c */
void xen_platform_init(void);
#define XEN_FIRMWARE_PAGES 1u /* of the guest's memory, outside what the machine calls RAM */
/* The domain goes on with a new device model: nothing is unplugged. */
void xen_platform_new_model(void);

#endif
