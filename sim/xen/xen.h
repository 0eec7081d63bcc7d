/*
 * The simulated Xen: domains, event channels, grant tables, memory, HVM parameters. Domain 0 is dom0 (tasks), domain 1
 * the guest. The guest enters through platform.h; dom0's libraries (sim/dom0), the store and the toolstack through this
 * header.
 *
 * Results are 0 or positive, or a negative Xen errno (public/errno.h: -22 EINVAL, ...), as the hypercall would give.
 * Nothing here is a switch point.
 */
#ifndef XEN_XEN_H
#define XEN_XEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XEN_DOM0 0u

void xen_init(void); /* component initialisation: domain 0 exists afterwards */

/* ---- domains (what domctl does for a toolstack) ---- */

/* What a toolstack decides about a domain; the limits are those of xl.cfg's keys of these names. */
struct xen_domain_config {
    unsigned vcpus;
    unsigned start_vcpus;         /* those that the board starts; the others stay down until they are; 0: all */
    unsigned max_grant_frames;    /* up to XEN_GRANT_FRAMES_LIMIT */
    unsigned max_maptrack_frames; /* of 256 mappings of others' grants each */
    unsigned max_grant_version;   /* 1 or 2 */
    bool viridian;
    unsigned event_channels; /* the highest port */
    bool handle_given;       /* a UUID; otherwise a random one */
    uint8_t handle[16];
};

#define XEN_GRANT_FRAMES_LIMIT 1024u
#define XEN_EVENT_CHANNELS_LIMIT 131071u /* as many as the FIFO ABI can name */

/* As libxl has them on this host. */
struct xen_domain_config xen_domain_default_config(unsigned vcpus);
/*
 * Create the guest domain on the machine's RAM and vCPUs with its special pages (store, console); returns its domid.
 * Its store and console ports exist, unbound for domain 0 (HVM_PARAM_STORE_EVTCHN, HVM_PARAM_CONSOLE_EVTCHN), and
 * grants 0 (console) and 1 (store) give domain 0 the pages. One guest at a time: -EEXIST. A number beyond its limit, or
 * more vCPUs than the machine has: -EINVAL.
 */
int xen_domain_create(const struct xen_domain_config *config);
/* A driver domain: its code is the host's, as domain 0's is, but it has no privilege. -EINVAL, -EEXIST. */
int xen_domain_create_host(unsigned domid);
/*
 * Domain ended or is being replaced (any but domain 0): close its ports, drop its grants' maps. Its vCPUs must not run
 * any more. Pages of it that others map stay until they are unmapped. Tells dom0 by VIRQ_DOM_EXC.
 */
void xen_domain_destroy(unsigned domid);
bool xen_domain_exists(unsigned domid);
unsigned xen_domain_vcpus(unsigned domid); /* 0: there is no such domain */
unsigned xen_domain_online_vcpus(unsigned domid);
int xen_guest_domid(void); /* of the guest on the machine's vCPUs, -1: there is none */
/* SHUTDOWN_* code of a domain that is shut down, or -1 while it runs. dom0 is told by VIRQ_DOM_EXC when it shuts down.
 */
int xen_domain_shutdown_reason(unsigned domid);
/*
 * The platform's firmware turns the guest off or resets it (shutdown reason poweroff or reboot): the domain shuts down.
 * Does not return unless the toolstack has the domain go on.
 */
void xen_guest_ends(bool reboot);
/* It puts the guest to sleep (S3): its vCPUs stand still until its toolstack wakes it; one that is awake stays so. */
void xen_guest_sleeps(void);
int xen_domain_wake(unsigned domid);
/* A non-maskable interrupt to a vCPU of the guest. -ESRCH, -EINVAL: no such vCPU, or the guest has shut down. */
int xen_domain_send_nmi(unsigned domid, unsigned vcpu);
/*
 * After SHUTDOWN_suspend: the guest goes on where it was, with everything that it had of Xen. cancelled: what it called
 * to suspend gives 1; otherwise 0, and it takes itself for restored ("slow" resume in place). -ESRCH, -EINVAL: it is
 * not suspended.
 */
int xen_domain_resume(unsigned domid, bool cancelled);
/*
 * The same, but the guest goes on as a new domain, whose number this gives, under what amounts to a new Xen: event
 * channels, grants (but the reserved ones), shared info, upcall vectors and callback parameter are gone, store and
 * console ports are new, and devices that were unplugged are back. Pages that others still map stay with them; the
 * guest goes on with copies. It is paused, for its toolstack to introduce it. Under the old number there is a domain
 * that has shut down, until it is destroyed.
 */
int xen_domain_restore(unsigned domid);
/*
 * The guest hibernated, which turned it off: its machine is turned on again, and its loader brings its memory back, and
 * with it every vCPU to where it was. A new domain, whose number this gives, as after xen_domain_restore(), but with
 * all of its frames as at power-on and nothing else: what the old one had given away, or had been given where no RAM
 * is, is not as it was, and store and console pages are empty. -ESRCH, -EINVAL: it is not off.
 */
int xen_domain_wake_from_disk(unsigned domid);
/* SCHEDOP_remote_shutdown by domain 0, from a task. -ESRCH, -EINVAL: no guest. */
int xen_domain_shutdown(unsigned domid, uint8_t reason);
/*
 * The guest's vCPUs stand still, wherever they are, until it is unpaused as often as it was paused; from a task.
 * -EINVAL: it is none whose vCPUs the machine runs, or is not paused; -EOVERFLOW: it is paused 255 times. Under the
 * parallel engine they stand from their next switch points on: then xen_domain_stands().
 */
int xen_domain_pause(unsigned domid);
int xen_domain_unpause(unsigned domid);
bool xen_domain_stands(unsigned domid);

/* The system has the board start one that is down (INIT, then SIPI). */
void xen_vcpu_start(unsigned vcpu);
/* The running vCPU halts until its next interrupt; it goes on. For its run states. */
void xen_vcpu_halted(unsigned vcpu, bool halted);

/*
 * Between two guests: the board and the machine's RAM as at power-on. What other domains still map of the last guest
 * stays theirs; the next one gets other pages in its place.
 */
void xen_power_cycle(void);

/*
 * A key of Xen's console, from a task: e, event channels; g, grants; h, help; q, domains and VIRQ_DEBUG; r, vCPUs; t,
 * clocks. False for others.
 */
bool xen_debug_key(char key);

int xen_hvm_param_get(unsigned domid, uint32_t index, uint64_t *value); /* toolstack's view, no permission check */

/* ---- hypercalls of domains whose code is the host's ---- */

/* The memory of such a caller: what its pointers may lead to. */
struct xen_memory {
    uint64_t base; /* the caller's address of its first byte */
    uint64_t bytes;
    void *host; /* where that is in this process */
};

/*
 * A hypercall of domain 0 or of a driver domain, with the privilege that it has; every pointer in its arguments and
 * their structures is an address of the caller's and is checked against `memory` (NULL: it has none, every pointer is
 * bad). -ESRCH: no such domain. What acts on a vCPU or an address space of the caller's own (vcpu_op, mapping a grant,
 * blocking) is not here: a kernel's business, which no program of the domain asks for.
 */
int64_t xen_host_hypercall(unsigned domid, uint64_t operation, const uint64_t arg[5], const struct xen_memory *memory);

/* ---- event channels, on behalf of a domain other than the guest (domain 0, driver domains) ---- */

/*
 * `notify` is called (no switch point inside) when the port becomes pending and is not masked. Binding to a remote port
 * makes the local one pending at once, so that the first call comes before xen_evtchn_bind_interdomain() returns.
 */
typedef void (*xen_notify_t)(void *argument, uint32_t port);

int xen_evtchn_alloc_unbound(unsigned domid, unsigned remote, xen_notify_t notify, void *argument); /* port */
int xen_evtchn_bind_interdomain(unsigned domid, unsigned remote, uint32_t remote_port, xen_notify_t notify,
                                void *argument); /* local port */
int xen_evtchn_bind_virq(unsigned domid, uint32_t virq, xen_notify_t notify, void *argument);
int xen_evtchn_send(unsigned domid, uint32_t port);
int xen_evtchn_close(unsigned domid, uint32_t port);
/* A bound port of a non-guest domain is masked after it fired until this is called (evtchn device semantics). */
int xen_evtchn_unmask(unsigned domid, uint32_t port);
/* Unbound port in `domid` for `remote`, made by the toolstack (store and console ports of the guest). */
int xen_evtchn_toolstack_alloc(unsigned domid, unsigned remote);

/*
 * For the interrupt path, before it samples the event line (end of a service routine of the line): the line goes down
 * when the guest has cleared vCPU 0's evtchn_upcall_pending; a callback vector is raised again while the flag is set.
 */
void xen_evtchn_sync_line(void);

/* ---- grants, on behalf of `domid` (not the guest) ---- */

/*
 * Map grants of another domain; *address is a host pointer to the page (directmap) and stays until unmapped. A refused
 * mapping is -EINVAL as from gntdev (-ESRCH: no such domain, -ENOMEM: no handle left); the log says why.
 */
int xen_grant_map(unsigned domid, unsigned granter, uint32_t reference, bool readonly, void **address,
                  uint32_t *handle);
int xen_grant_unmap(unsigned domid, uint32_t handle);
/*
 * Segments of GNTTABOP_copy; the status of each is GNTST_*. Layout: struct gnttab_copy of the public header. The
 * caller's own memory (no GNTCOPY_*_gref, domid DOMID_SELF) is host memory: u.gmfn = address >> 12, offset = address &
 * 0xFFF. As for Xen, no side of a segment may cross a page.
 */
struct gnttab_copy;
void xen_grant_copy(unsigned domid, struct gnttab_copy *segments, unsigned count);
/* Allocate a zeroed page and grant it to another domain, as gntalloc does: the reference, and the page in *address. */
int64_t xen_grant_share(unsigned domid, unsigned grantee, bool readonly, void **address);
/* Take that back and free the page; -EBUSY while it is mapped. */
int xen_grant_unshare(unsigned domid, uint32_t reference);

/* ---- foreign memory ---- */

void *xen_foreign_frame(unsigned domid, uint64_t gfn); /* host pointer, NULL if nothing is there; a momentary look */
/*
 * Map a page of a domain for another one, which has to be privileged (-EPERM): the page stays even if the domain gives
 * it up. A handle for xen_foreign_unmap(), or an error.
 */
int64_t xen_foreign_map(unsigned caller, unsigned domid, uint64_t gfn, void **address);
void xen_foreign_unmap(int64_t handle);
/*
 * A page of a resource of another domain (XENMEM_acquire_resource; XENMEM_resource_*, of which grant tables are there),
 * held for xen_foreign_unmap(); how many pages it can have.
 */
int64_t xen_resource_map(unsigned caller, unsigned domid, uint32_t resource, uint32_t id, uint64_t frame,
                         void **address);
int64_t xen_resource_size(unsigned caller, unsigned domid, uint32_t resource, uint32_t id);

/* ---- the device model, as a toolstack sees it ---- */

#define XEN_UNPLUG_IDE_DISKS 0x1u /* IDE and SCSI disks */
#define XEN_UNPLUG_NICS 0x2u
#define XEN_UNPLUG_AUX_IDE_DISKS 0x4u /* all IDE disks but the primary master */
#define XEN_UNPLUG_NVME_DISKS 0x8u
#define XEN_UNPLUG_MASK 0xFu

/* What the guest has unplugged in this life. */
unsigned xen_platform_unplugged(void);

/* ---- statistics ---- */

/* Hypercalls of this operation (__HYPERVISOR_*, below 64) so far, members of multicalls included. */
uint64_t xen_hypercall_count(unsigned op);

#endif
