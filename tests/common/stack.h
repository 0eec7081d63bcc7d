/*
 * For the tests of the drivers' interfaces: a whole machine as the main job has it (toolstack, store, netback, the
 * guest with the drivers installed from their INFs), with a test's code in the place of the application. The code runs
 * in a guest thread; then VIFs are detached, the guest is taken down, and everything that was taken has to be back.
 */
#ifndef TESTS_COMMON_STACK_H
#define TESTS_COMMON_STACK_H

#include "common/guest.h"
#include "nt/ke/ke.h"

#include "capture.h"
#include "cli/cli.h"
#include "cli/traffic.h"
#include "clients/netclient/netclient_ioctl.h"
#include "netback.h"
#include "netback_features.h"
#include "port_checker.h"
#include "toolstack.h"

#define STACK_TAG ((ULONG)'S' | (ULONG)'t' << 8 | (ULONG)'c' << 16 | (ULONG)'k' << 24)
#define STACK_LAN "tests/captures/lan-wire.pcap"

/* Drivers besides xen and xenbus, or'ed together. */
#define STACK_PROBE 0x1u /* on XENBUS's IFACE child; on those of XENVIF if netclient is not there */
#define STACK_XENVIF 0x2u
#define STACK_NETCLIENT 0x4u /* on those of XENVIF */
#define STACK_XENFILT 0x8u
#define STACK_NETCLIENT_8 0x10u /* in its place netclient as built for version 8 of XENVIF_VIF; for version 9 */
#define STACK_NETCLIENT_9 0x20u
#define STACK_NIC 0x40u           /* on emulated network cards */
#define STACK_IDE 0x80u           /* on the IDE controller, its channels and its drives */
#define STACK_OTHER_XEN 0x100u    /* xen is of another version than the others */
#define STACK_OTHER_XENVIF 0x200u /* xenvif is */

struct stack_options {
    unsigned vcpus;       /* 0: 2 */
    unsigned start_vcpus; /* so many of them are there at power-on; 0: all */
    unsigned ram_mib;     /* 0: as guest_config() has it */
    unsigned vifs;
    enum machine_policy policy;
    uint64_t seed;               /* 0: 1 */
    enum machine_engine engine;  /* ENGINE_DEFAULT: the build's */
    const char *host;            /* as for --host; NULL: xen-4.17 */
    unsigned drivers;            /* STACK_* */
    const char *folder;          /* of drivers, in the place of those; NULL: those */
    bool quiet;                  /* log nothing: failures that are logged as errors belong to the test */
    bool wait;                   /* until every VIF is connected, before the scenario begins */
    const char *const *program;  /* netback is a program of its own with these arguments; NULL: a dom0 task */
    const char *store;           /* a shell's command: that daemon is the store; NULL: the built-in one */
    unsigned store_keeps;        /* ports of domain 0, at most, that it keeps of domains that are gone */
    unsigned program_domid;      /* the driver domain that it runs in; 0: domain 0 */
    bool from_dom0;              /* the scenario is run by the harness's dom0 task, not by a guest thread */
    void (*before_boot)(void *); /* in the harness's dom0 task, with NULL, when everything but the guest is up */
    void (*restored)(void *);    /* likewise, before a domain that has been restored goes on */
    void (*prepare)(void);       /* after installation, before the machine runs: the registry can be changed */
    void (*paused)(void);        /* on the host's stack, when something in the machine has called machine_pause() */
    struct machine_board board;  /* zeros: nothing beside the platform device */
    unsigned event_channels;     /* the guest's highest port; 0: the default */
    const char *features;        /* what netback offers, as for --backend-features; NULL: the default */
    const char *fail;            /* calls of the drivers that fail, as --fail takes them; NULL: none */
};

/* What there is while the code of the test runs. */
struct stack {
    const struct stack_options *options;
    struct toolstack *toolstack; /* for dom0 tasks */
    struct toolstack_domain domain;
    struct netback *netback;
    struct netback_features features; /* what it offers; the next one too, until that is changed */
    bool attached[VIFS_MAX];
};
extern struct stack stack;

/* Any failure of the machine fails the test, a leak too. */
void stack_run(const struct stack_options *options, void (*scenario)(void *), void *argument);
/* The same for what must end in a failure by this rule. */
const struct failure *stack_must_fail(const struct stack_options *options, void (*scenario)(void *), void *argument,
                                      const char *rule);

/* A test whose body is a scenario; the options come behind the name, as in an initializer. */
#define STACK_TEST(name, ...)                                                                                          \
    static void name##_scenario(void *argument);                                                                       \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        static const struct stack_options options = {__VA_ARGS__};                                                     \
        stack_run(&options, name##_scenario, NULL);                                                                    \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name##_scenario(__attribute__((unused)) void *argument)

/* Schedules of a policy that a test tries: policies are the deterministic engine's. */
#ifdef MACHINE_THREAD_SANITIZER
#define STACK_SCHEDULES 0u
#else
#define STACK_SCHEDULES 3u
#endif

/* ---- for the scenario, in guest threads at PASSIVE_LEVEL ---- */

void stack_sleep_us(unsigned microseconds);
/* Look again and again until it is true; false after so many milliseconds. */
bool stack_wait(bool (*condition)(void *), void *argument, unsigned timeout_ms);
/* Run a function in a dom0 task and wait for its end. */
void stack_in_dom0(void (*function)(void *), void *argument);

/* A thread of the guest; joined by stack_join(). */
PKTHREAD stack_thread(PKSTART_ROUTINE routine, PVOID context);
void stack_join(PKTHREAD thread);

/* The first device whose instance path begins so; NULL: there is none. And whether there is one that is started. */
struct devnode *stack_device(const char *path);
bool stack_device_started(const char *path);
/* For stack_wait(): the device of this instance path has left the tree, and Plug and Play has nothing under way. */
bool stack_device_gone(void *path);
/* So many pages of the guest's nonpaged pool become free, with what somebody wrote in them; at most STACK_SPOILT. */
#define STACK_SPOILT 600u
void stack_spoil_memory(unsigned pages);
/* A device's software key, under CM_CLASS, into which its INF writes. */
struct cm_key *stack_software_key(const struct devnode *node);

/* The guest's hypercall event_channel_op, with `size` bytes of operation, which come back. */
int64_t stack_event_op(unsigned command, void *operation, size_t size);

/* Whether the words are in one of the last lines of the log, the drivers' among them. */
bool stack_is_logged(const char *words);
/* How often they are there. */
unsigned stack_times_logged(const char *words);
#define STACK_ASSERT_LOGGED(words) ck_assert_msg(stack_is_logged(words), "'%s' is not in the log", words)

/* A routine that xen.sys exports; and a call of it by its name. */
void *stack_xen_export(const char *name);
#define STACK_XEN(routine, ...) (((__typeof__(&(routine)))stack_xen_export(#routine))(__VA_ARGS__))

/* The store as domain 0 sees it. Read: false if the node is not there. */
void stack_store_write(const char *path, const char *value);
void stack_store_remove(const char *path);
bool stack_store_read(const char *path, char *value, size_t size);
/* Wait until the node has this value, "(absent)": until it is not there. */
void stack_store_await(const char *path, const char *value, unsigned timeout_ms);
/* "/local/domain/<guest>/<rest>", in a buffer that the next eight calls do not touch. */
const char *stack_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *stack_backend_path(unsigned vif, const char *node);

/*
 * A READ or a WRITE of a NetClient's device, as stack_open() gives it. And: read all frames that have come for it,
 * which have to be frames of the capture, in order, with several queues that of each flow, and none twice; how many.
 */
NTSTATUS stack_transfer(UCHAR major, PFILE_OBJECT file, PDEVICE_OBJECT device, void *buffer, ULONG length, ULONG *done);
unsigned stack_read_all(unsigned vif, const struct capture *capture);
/* The same, but judged by the caller; and into a checker of the caller's. */
struct checker_verdict stack_read_verdict(unsigned vif, const struct capture *capture);
void stack_read_into(unsigned vif, struct checker *checker);

void stack_attach(unsigned vif);
void stack_detach(unsigned vif);
void stack_wait_connected(unsigned vif);
const struct netback_statistics *stack_netback_statistics(unsigned vif);
/* The frames, octets, drops and errors of all VIFs, under every number of the domain, and of netbacks that have ended.
 */
struct netback_statistics stack_netback_sum(void);
/*
 * In a dom0 task: netback ends, and another begins in its place, with stack.features. The network ends of VIFs stay.
 */
void stack_netback_restart(void *unused);
/* How often its VIFs of this number have connected, under every number of the guest's domain. */
unsigned stack_netback_connections(unsigned vif);
/* Wait until netback has connected it for the so many-th time, and the guest's link is up. */
void stack_wait_connections(unsigned vif, unsigned connections);

/*
 * The network end of a VIF. Expect: what the guest is to send from now on, compared frame by frame. Send: give the
 * guest these frames, from the first one on; what the guest has taken is not repeated after a reconnection. Captures
 * stay the caller's until the next call.
 */
void stack_end_expect(unsigned vif, const struct capture *capture);
void stack_end_order_by_flow(unsigned vif); /* of one queue, too: several write to it. Before the first frame */
void stack_end_send(unsigned vif, const struct capture *capture);
struct checker_verdict stack_end_verdict(unsigned vif);
unsigned stack_end_sent(unsigned vif);

/*
 * The toolstack's part of a suspension: a dom0 task that waits until the guest is suspended, and resumes it. How often
 * it has done so is in `times`; it ends by itself after `rounds`.
 */
struct stack_resumer {
    bool from_disk; /* it has hibernated, not been suspended, and comes back in a domain that is made anew */
    bool cancelled;
    unsigned rounds;
    void (*meanwhile)(void *); /* in the task, while the guest is suspended; may be NULL */
    void *argument;
    volatile unsigned times;
    volatile bool ended;
};
void stack_resume_when_suspended(struct stack_resumer *resumer);
/* Wait for the task's end; the structure lives until then. */
void stack_await_resumer(struct stack_resumer *resumer);
/* All of that once, from a guest thread: XENBUS_SUSPEND asks for the suspension. */
void stack_suspend(struct stack_resumer *resumer);
/* In a dom0 task: the suspended guest goes on as a new domain, with the same VIFs. */
void stack_restore_now(struct toolstack *toolstack);
/* The port of the store's daemon on its channel with the guest. */
uint32_t stack_daemon_port(void);
/* Write control/shutdown as the toolstack does. */
void stack_ask_shutdown(const char *reason);

/*
 * netback as a program of its own (options.program), from dom0 tasks: end it by this signal (its exit status, or 1000 +
 * the signal), and start another in its place. What all of them have printed.
 */
void stack_program_start(const char *const *arguments);
int stack_program_end(int signal);
const char *stack_program_messages(void);

/* ---- the probe ---- */

/*
 * Ask the probe (`instance` "_" for the child of XENBUS, "0" for that of VIF 0) for an interface; `interface` gets
 * `size` bytes. The status is that of the query.
 */
NTSTATUS stack_query(const char *instance, const GUID *guid, unsigned version, size_t size, PINTERFACE interface);
/* The same, from the child of XENBUS, and it has to work. */
#define STACK_GET(guid, version, interface)                                                                            \
    ck_assert_int_eq(stack_query("_", &(guid), (version), sizeof(*(interface)), &(interface)->Interface),              \
                     STATUS_SUCCESS)

/* Open \Device\<name>; the reference to the file is the caller's. And: false where it can't be opened (now). */
void stack_open(const char *name, PFILE_OBJECT *file, PDEVICE_OBJECT *device);
bool stack_try_open(const char *name, PFILE_OBJECT *file, PDEVICE_OBJECT *device);
/* A device control request to \Device\<name>. */
NTSTATUS stack_control(const char *name, ULONG code, void *input, ULONG input_length, void *output, ULONG output_length,
                       ULONG_PTR *information);

/* ---- netclient ---- */

NTSTATUS stack_netclient(unsigned vif, ULONG code, void *input, ULONG input_length, void *output, ULONG output_length);
NETCLIENT_LINK stack_link(unsigned vif);
NETCLIENT_STATISTICS stack_statistics(unsigned vif);
/* STATUS_SUCCESS once the link is so. */
NTSTATUS stack_wait_link(unsigned vif, bool connected);

/*
 * Send all of `tx` and receive all of `rx` (either may be NULL) on a VIF at once, and see that each frame came through,
 * and that the VIF has counted each.
 */
void stack_carry(unsigned vif, const struct capture *tx, const struct capture *rx);
/* What the VIF has counted since `before` are these frames, no error and nothing else. */
void stack_assert_counted(unsigned vif, const NETCLIENT_STATISTICS *before, const struct capture *tx,
                          const struct capture *rx);
/* A capture, for main() to load: a test that lacks its input ends with one line. */
struct capture *stack_capture(const char *path);

#endif
