/*
 * The machine: configuration, the one handle, life cycle, and the slots where components keep their state.
 * There is one machine a process at a time (host tests fork for more).
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/clock.h"
#include "machine/fault.h"

#define MACHINE_MAX_VCPUS 128

#if defined(__SANITIZE_THREAD__)
#define MACHINE_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MACHINE_THREAD_SANITIZER 1
#endif
#endif

enum machine_policy { POLICY_FIFO, POLICY_RANDOM, POLICY_PCT, POLICY_TRACE };
enum machine_clock { CLOCK_VIRTUAL, CLOCK_PACED, CLOCK_WALL };
/*
 * ENGINE_DEFAULT: the deterministic one; in a build with ThreadSanitizer the parallel one, unless something else in the
 * configuration needs the other: with one host thread there is nothing for it to see.
 */
enum machine_engine { ENGINE_DEFAULT, ENGINE_DETERMINISTIC, ENGINE_PARALLEL };

/* A driver that somebody brings along. */
#define MACHINE_MAX_DRIVERS 16
struct machine_driver {
    char name[32];      /* of the module's file without ".so", lower case: the image's name */
    const char *module; /* path of the module */
    const char *inf;    /* path of its INF; NULL: that of the folder's driver of this name stays */
};

struct schedule;
struct probe;

/*
 * Bounds on the time that a vCPU spends at raised IRQL, by the machine's clock, in ns; 0: none. That clock goes on
 * while other vCPUs run, so that the defaults are far above what a driver should keep to (Microsoft: 25 us for a
 * service routine, 100 us for a DPC) and below what Windows' own watchdog allows (Bug Check 0x133: 0x500 ticks of 15.6
 * ms). LIMIT_DEFAULT is the value of the table in ke/limits.c under a virtual clock, and none under the host's.
 */
#define LIMIT_DEFAULT UINT64_MAX

struct machine_limits {
    uint64_t isr;      /* one service routine */
    uint64_t dpc;      /* one DPC */
    uint64_t dispatch; /* in a row at DISPATCH_LEVEL and above */
};

/* The host that the guest runs on: a release of Xen, and what deviates from its defaults. See xen/profile.h. */
struct machine_host {
    unsigned xen_minor; /* of Xen 4; 0: the default */
    bool grant_v1;      /* its domains get version 1 of grant tables at most */
    bool no_vectors;    /* no event upcalls by vectors of the guest's choice */
    bool viridian;      /* its domains are shown the Viridian interface */
};

#define MACHINE_MAX_NICS 4

/* What VIF n has where nobody says otherwise, in Xen's range; an emulated card has its VIF's. */
#define MACHINE_VIF_MAC(n)                                                                                             \
    {                                                                                                                  \
        0x00, 0x16, 0x3E, 0x5A, (uint8_t)((n) >> 8), (uint8_t)(n)                                                      \
    }

enum machine_nic_model { MACHINE_NIC_RTL8139, MACHINE_NIC_E1000 };

/* An emulated network card. */
struct machine_nic {
    enum machine_nic_model model;
    uint8_t mac[6];
};

/* What the emulator says when the guest's drivers want emulated devices unplugged. */
enum machine_unplug {
    MACHINE_UNPLUG_ALLOWED,
    MACHINE_UNPLUG_ABSENT,     /* there is no such protocol */
    MACHINE_UNPLUG_REFUSED,    /* all drivers are blacklisted, and nothing goes */
    MACHINE_UNPLUG_BLACKLISTED /* some drivers are */
};

/* The board's devices beside its chipset and the platform device 5853:0001. See xen/board.h. */
struct machine_board {
    bool xenserver_platform; /* the platform device is 5853:0002 */
    bool vendor_device;      /* 5853:C000 is there, too */
    struct machine_nic nic[MACHINE_MAX_NICS];
    unsigned nics;
    uint8_t disks;  /* bit i: a hard disk at IDE unit i: primary master and slave, secondary master and slave */
    uint8_t cdroms; /* likewise a CD drive; with neither there is no IDE controller */
    enum machine_unplug unplug;
    uint32_t blacklist_product; /* MACHINE_UNPLUG_BLACKLISTED: this product number ... */
    uint32_t blacklist_build;   /* ... up to this build */
};

/* A limit of the store (store/store.h) that differs from the default. */
#define MACHINE_MAX_STORE_LIMITS 11 /* of each one */
struct machine_store_limit {
    const char *name; /* store_limit_name() */
    unsigned value;
};

struct machine_config {
    unsigned vcpus;       /* 1 to MACHINE_MAX_VCPUS */
    unsigned start_vcpus; /* so many of them are there at power-on, the others can be added; 0: all are */
    uint64_t seed;        /* everything random in the machine derives from it */
    enum machine_policy policy;
    unsigned pct_depth; /* pct: the schedule decides among bugs that take so many ordered operations; 0: the default */
    enum machine_clock clock;
    enum machine_engine engine;
    bool paged_strict;        /* what is pageable is out of reach at DISPATCH_LEVEL and above */
    bool preempt_memory;      /* loads and stores of driver code are switch points (modules built for it) */
    uint64_t ram_bytes;       /* guest RAM, a multiple of 4 KiB; 0: 128 MiB */
    uint64_t timeout_ns;      /* bound on the run's time by the machine's clock; 0: none */
    bool stay_up;             /* a machine in which nothing can run waits for peers (peer.h) that may yet connect */
    uint64_t peer_timeout_ns; /* of the host's time, for what a peer owes (peer.h); 0: 60 s */
    uint64_t stop_at_event;   /* replay: stop before this event; 0: never */
    int log_level;            /* enum log_level */
    struct fault_plan faults;
    uint32_t delay_ppm;              /* of what is done later, so many in a million are done later still; 0: none */
    const struct schedule *schedule; /* POLICY_TRACE: the decisions to follow, sorted */
    struct schedule *record;         /* the run's decisions go here, NULL: nowhere */
    struct probe *probes;            /* steps to be described */
    unsigned probe_count;
    bool stacks; /* keep whole stacks of acquisitions and allocations, not the caller alone */
    struct machine_limits limits;
    struct machine_host host;
    struct machine_board board;
    unsigned max_grant_frames; /* of each domain, up to XEN_GRANT_FRAMES_LIMIT; 0: Xen's default */
    unsigned event_channels;   /* of the guest, up to XEN_EVENT_CHANNELS_LIMIT; 0: Xen's default */
    struct machine_store_limit store_limit[MACHINE_MAX_STORE_LIMITS];
    unsigned store_limit_count;
    const char *driver_dir; /* folder with <driver>.so and <driver>.inf; for the image loader and the installer */
    struct machine_driver driver[MACHINE_MAX_DRIVERS]; /* beside those of the folder, or instead of one of its */
    unsigned driver_count;
};

struct sched_state;
struct policy_state;
struct kernel_lock;
struct parallel_state;
struct clock_state;
struct eventlog_state;
struct peer_state;
struct stacks_state;
struct vcpu;
struct failure_stacks;

/*
 * One slot a component; a component allocates its state from the machine heap at its *_init() and nobody else looks.
 * Those of the guest's operating system come last: a reboot empties them.
 */
struct machine {
    struct machine_config config;
    struct sched_state *sched;
    struct policy_state *policy;
    struct kernel_lock *kernel_lock;
    struct parallel_state *parallel;
    struct delay_state *delay;
    struct clock_state *clock;
    struct peer_state *peer; /* NULL: no peers */
    struct eventlog_state *eventlog;
    struct rng_state *rng;
    struct fiber_state *fiber;
    struct guest_ram_state *guest_ram;
    struct log_state *log;
    struct fault_state *fault;
    struct xen_state *xen;
    struct store_state *store;
    struct dom0_state *dom0;
    struct gate_state *gate; /* NULL: closed */

    struct failure *failure;      /* host memory: a report survives the image */
    struct failure_stacks *noted; /* more stacks for the failure that is about to be raised */
    struct deadline timeout;
    uint64_t power_on_host; /* host clock at the end of machine_create(), ns */
    bool stopped_early;     /* by stop_at_event */
    unsigned reboots;
    uint64_t booted_at;        /* the clock when the guest was reset last, ns; 0: it never was */
    struct nt_disk *disk;      /* what the guest left there; NULL: the machine installs itself */
    struct nt_waiter *waiters; /* tasks that wait for a guest thread */

    struct vcpu *vcpu[MACHINE_MAX_VCPUS];
    struct ke_state *ke;
    struct ex_state *ex;
    struct mm_state *mm;
    struct io_state *io;
    struct pnp_state *pnp;
    struct ps_state *ps;
    struct fs_state *fs;
    struct cng_state *cng;
    struct netio_state *netio;
    struct wmi_state *wmi;
    struct po_state *po;
    struct ob_state *ob;
    struct cm_state *cm;
    struct rtl_state *rtl;
    struct hal_state *hal;
    struct lock_state *lock;
    struct stacks_state *stacks;
    struct loader_state *loader;
};

#define MACHINE_FIRST_GUEST_SLOT vcpu /* to the end */

extern struct machine *machine;

/*
 * Create the machine: map the image, initialise every component (machine/, xen/, store/, dom0/, then nt/ as far as it
 * goes before any guest thread runs). Nothing executes yet. The host's environment failing (no memory for the map) is
 * reported on stderr and ends the process with status 125.
 */
void machine_create(const struct machine_config *config);
void machine_destroy(void);

/*
 * Why a run ended. FAILED carries the failure record (fail.h).
 */
enum machine_result { MACHINE_DONE, MACHINE_FAILED, MACHINE_STOPPED, MACHINE_PAUSED };

/*
 * Run until some context calls machine_stop() or machine_pause(), a failure is raised, or the timeout passes. Call from
 * the host's stack; again to go on after a pause.
 */
enum machine_result machine_run(void);

/* End the run from inside (any fiber); does not return. */
_Noreturn void machine_stop(void);

/*
 * The guest's power is cut and comes back: everything that its operating system has kept in memory is gone, its RAM and
 * the board are as at power-on, and it has been started anew from its disk (nt/nt_init.h), as far as machine_create()
 * goes. From a dom0 task, when the guest's domain has been destroyed and its vCPUs stand still. What belongs to the
 * host goes on. Tasks that waited for a guest thread go on, too.
 */
void machine_reset_guest(void);

/* Whether the address is in what such a reset wipes: the guest's arena, its RAM and windows, its stacks. */
bool machine_is_guests(const void *address);

/* machine_run() returns MACHINE_PAUSED; its next call returns from here. The machine feels nothing of it. */
void machine_pause(void);

/*
 * Bring up just enough to run `function` in a guest system thread at PASSIVE_LEVEL on vCPU 0 and return when it does;
 * the way host tests call kernel routines. Creates the machine, and destroys it unless the run failed (so that the
 * failure can be looked at).
 */
enum machine_result machine_run_in_guest(const struct machine_config *config, void (*function)(void *), void *argument);

/*
 * The engine that a configuration gets, and why it cannot be had (a line for the user), NULL if it can. The parallel
 * engine has the host's clock and the host's schedule.
 */
enum machine_engine machine_engine_of(const struct machine_config *config);
const char *machine_config_refused(const struct machine_config *config);

/* A machine_config with the defaults filled in (2 vCPUs, seed 1, fifo, virtual clock). */
struct machine_config machine_default_config(void);

#endif
