/*
 * pvsim run: the main job. A dom0 task, the harness, plays toolstack and operator: it creates the domain and its VIFs,
 * powers the guest on, waits until everything is connected, has the guest's application and netback exchange the
 * captures, takes it all down, and counts what is left.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/core.h"
#include "cli/bundle.h"
#include "cli/guest.h"
#include "cli/guest_domain.h"
#include "cli/run_internal.h"
#include "machine/backtrace.h"
#include "machine/clock_internal.h"
#include "machine/eventlog.h"
#include "machine/fail.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/rng.h"
#include "machine/sched.h"
#include "nt/ex/pool.h"
#include "nt/ke/ke.h"
#include "nt/pnp/pnp.h"
#include "xen/xen.h"

#include <xen/io/xenbus.h>
#include <xen/sched.h>

#define CONNECT_TIMEOUT_MS 20000
#define RESUME_NS UINT64_C(50000000)
#define SUSPEND_POLL_NS UINT64_C(100000)
#define PROGRESS_AFTER_NS UINT64_C(1000000000)
#define PROGRESS_EVERY_NS UINT64_C(200000000)

/* ---- captures ---- */

static int load(const char *path, struct capture **capture)
{
    char error[CAPTURE_ERROR_MAX];

    if (path == NULL)
        return 0;
    *capture = capture_load(path, error);
    if (*capture != NULL)
        return 0;
    complain("%s", error);
    return EXIT_USAGE;
}

static uint32_t frames_of(const struct capture *capture)
{
    return capture != NULL ? capture->count : 0;
}

/* Captures written carry the machine's time, so that equal runs write equal files. */
static uint64_t capture_clock(void)
{
    static const uint64_t boot_1970 = (CLOCK_BOOT_SYSTEM_TIME - UINT64_C(116444736000000000)) * 100;

    return boot_1970 + clock_now();
}

/* FILE.pcap, or FILE-3.pcap for VIF 3 of several. */
static char *output_path(const struct run *run, const char *path, unsigned vif)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(path, '.');
    char *name = NULL;

    if (dot == NULL || (slash != NULL && dot < slash))
        dot = path + strlen(path);
    if (run->options.vifs == 1)
        return strdup(path);
    if (asprintf(&name, "%.*s-%u%s", (int)(dot - path), path, vif, dot) < 0)
        abort();
    return name;
}

static int create_outputs(struct run *run, const char *path, struct capture_writer **writers)
{
    char error[CAPTURE_ERROR_MAX];

    if (path == NULL)
        return 0;
    for (unsigned index = 0; index < run->options.vifs; index++) {
        char *name = output_path(run, path, index);

        writers[index] = capture_writer_open(name, capture_clock, error);
        free(name);
        if (writers[index] == NULL) {
            complain("%s", error);
            return EXIT_USAGE;
        }
    }
    return 0;
}

static void finish_outputs(struct run *run, struct capture_writer **writers)
{
    char error[CAPTURE_ERROR_MAX];

    for (unsigned index = 0; index < run->options.vifs; index++) {
        struct capture_writer *writer = writers[index];

        writers[index] = NULL;
        if (writer != NULL && !capture_writer_close(writer, error) && run->report.complaint[0] == '\0')
            memcpy(run->report.complaint, error, sizeof(error));
    }
}

/* ---- progress: shown on a terminal only, and never felt by the machine ---- */

static void show_progress(void *context)
{
    struct run *run = context;
    uint64_t now;

    run->moved++;
    if (!run->terminal || run->moved % 64 != 0)
        return;
    now = clock_host();
    if (now - run->start_host < PROGRESS_AFTER_NS || now - run->progress_host < PROGRESS_EVERY_NS)
        return;
    run->progress_host = now;
    fprintf(stderr, "\rpvsim: %" PRIu64 " of %" PRIu64 " frames", run->moved,
            (uint64_t)(frames_of(run->tx) + frames_of(run->rx)) * run->options.vifs);
    fflush(stderr);
}

static void clear_progress(const struct run *run)
{
    if (run->progress_host != 0)
        fputs("\r\033[K", stderr);
}

/* ---- the harness ---- */

void give_up(const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fail("scenario", "%s", text);
}

bool run_suspend(struct run *run, struct toolstack *toolstack, unsigned timeout_ms)
{
    uint64_t deadline = clock_now() + timeout_ms * UINT64_C(1000000);
    unsigned domid = run->domain.domid;

    if (!toolstack_domain_shutdown(toolstack, domid, "suspend"))
        give_up("%s", toolstack_error(toolstack));
    while (xen_domain_shutdown_reason(domid) != SHUTDOWN_suspend && clock_now() < deadline)
        (void)task_park(clock_now() + SUSPEND_POLL_NS, "the guest's suspension");
    if (xen_domain_shutdown_reason(domid) != SHUTDOWN_suspend && !toolstack_domain_shutdown(toolstack, domid, ""))
        give_up("%s", toolstack_error(toolstack));
    if (xen_domain_shutdown_reason(domid) != SHUTDOWN_suspend) {
        snprintf(run->unconnected, sizeof(run->unconnected), "the guest did not suspend within %u ms", timeout_ms);
        return false;
    }
    return true;
}

bool run_migrate(struct run *run, struct toolstack *toolstack, unsigned timeout_ms)
{
    unsigned domid = run->domain.domid;
    unsigned without;
    int restored;

    if (!run_suspend(run, toolstack, timeout_ms))
        return false;
    restored = xen_domain_restore(domid);
    if (restored < 0)
        give_up("the domain was not restored");
    run->domain.domid = (unsigned)restored;
    guest_domain_read_ports(&run->domain);
    netback_task_follow(run->netback, run->domain.domid);
    if (!toolstack_domain_restore(toolstack, domid, &run->domain, TOOLSTACK_ATTACH_TIMEOUT_MS, &without) ||
        without != 0)
        give_up("%s", toolstack_error(toolstack));
    xen_domain_destroy(domid);
    (void)xen_domain_unpause(run->domain.domid);
    (void)task_park(clock_now() + RESUME_NS, "the guest's resumption");
    return true;
}

void run_attach_vifs(struct run *run, struct toolstack *toolstack)
{
    for (unsigned index = 0; index < run->options.vifs; index++) {
        struct toolstack_vif vif = guest_domain_vif(run->domain.domid, index);

        vif.backend_domid = run->options.backend.domid;
        netback_task_expect(run->netback, run->domain.domid, index, run->rx, run->tx, run->out_tx[index]);
        if (!toolstack_network_attach(toolstack, &vif, TOOLSTACK_ATTACH_TIMEOUT_MS))
            give_up("%s", toolstack_error(toolstack));
    }
}

bool run_connected(struct run *run, struct toolstack *toolstack, int timeout_ms)
{
    for (unsigned index = 0; index < run->options.vifs; index++) {
        char backend[128];
        char frontend[128];

        snprintf(backend, sizeof(backend), "/local/domain/%u/backend/vif/%u/%u/state", run->options.backend.domid,
                 run->domain.domid, index);
        snprintf(frontend, sizeof(frontend), "/local/domain/%u/device/vif/%u/state", run->domain.domid, index);
        if (!toolstack_wait_number(toolstack, backend, XenbusStateConnected, timeout_ms) ||
            !toolstack_wait_number(toolstack, frontend, XenbusStateConnected, timeout_ms)) {
            snprintf(run->unconnected, sizeof(run->unconnected), "VIF %u did not connect within %d ms: %s", index,
                     timeout_ms, toolstack_error(toolstack));
            return false;
        }
    }
    return true;
}

void run_wait_connected(struct run *run, struct toolstack *toolstack, uint64_t power_on)
{
    bool waits = run->options.backend.kind == BACKEND_NONE; /* for somebody to start one */

    if (!run_connected(run, toolstack, waits ? TOOLSTACK_NO_TIMEOUT : CONNECT_TIMEOUT_MS))
        give_up("%s", run->unconnected);
    run_note_connected(run, power_on);
}

void run_note_connected(struct run *run, uint64_t power_on)
{
    run->report.connected = true;
    run->report.connected_virtual = clock_now() - power_on;
    run->report.connected_host = clock_host() - run->start_host;
}

static void received(void *context, const uint8_t *data, uint32_t length)
{
    const struct port_frame frame = {.data = data, .length = length};

    capture_writer_put(context, &frame);
}

/* What a VIF is to carry, nothing of it carried. */
static void prepare_vif(struct run *run, unsigned index, uint64_t patience)
{
    run->traffic[index] = (struct traffic_vif){
        .index = index,
        .tx = run->tx,
        .rx = run->rx,
        .by_flow = run->options.backend.features.max_queues > 1,
        .received = run->out_rx[index] != NULL ? received : NULL,
        .received_context = run->out_rx[index],
        .progress = show_progress,
        .progress_context = run,
        .batch = run->options.batch,
        .rounds = run->options.rounds,
        .rss = run->options.rss,
        .multicast_filter = run->options.multicast_filter,
        .patience = patience,
        .waiter = task_current(),
    };
}

static uint64_t hypercalls(void)
{
    uint64_t count = 0;

    for (unsigned op = 0; op < 64; op++)
        count += xen_hypercall_count(op);
    return count;
}

static struct report_cost cost_so_far(void)
{
    struct report_cost cost = {
        .hypercalls = hypercalls(), .spin_locks = ke_spin_acquisitions(), .allocations = pool_allocations()};

    for (unsigned index = 0; index < machine->config.vcpus; index++) {
        cost.interrupts += machine->vcpu[index]->interrupts;
        cost.dpcs += machine->vcpu[index]->dpcs;
    }
    return cost;
}

static struct report_cost cost_since(const struct report_cost *before)
{
    struct report_cost cost = cost_so_far();

    return (struct report_cost){.hypercalls = cost.hypercalls - before->hypercalls,
                                .interrupts = cost.interrupts - before->interrupts,
                                .dpcs = cost.dpcs - before->dpcs,
                                .spin_locks = cost.spin_locks - before->spin_locks,
                                .allocations = cost.allocations - before->allocations};
}

/* The traffic begins, and what had been done by then. */
struct run_start {
    uint64_t virtual;
    uint64_t host;
    struct report_cost cost;
};

static struct run_start begin_traffic(void)
{
    return (struct run_start){.virtual = clock_now(), .host = clock_host(), .cost = cost_so_far()};
}

/* Start it on each VIF, all of it or the readers alone, and wait until the readers are there. */
static void start_traffic(struct run *run, uint64_t patience, void (*start)(struct traffic_vif *vif))
{
    for (unsigned index = 0; index < run->options.vifs; index++) {
        prepare_vif(run, index, patience);
        start(&run->traffic[index]);
    }
    for (unsigned index = 0; index < run->options.vifs; index++)
        while (!run->traffic[index].ready)
            task_park(CLOCK_NEVER, "the guest's readers");
}

/* False: a device was not there. */
static bool end_traffic(struct run *run, const struct run_start *start)
{
    for (unsigned index = 0; index < run->options.vifs; index++)
        while (run->traffic[index].running > 0)
            task_park(CLOCK_NEVER, "the guest's traffic");
    run->report.traffic_virtual = clock_now() - start->virtual;
    run->report.traffic_host = clock_host() - start->host;
    run->report.traffic_cost = cost_since(&start->cost);
    for (unsigned index = 0; index < run->options.vifs; index++)
        if (run->traffic[index].open_status < 0)
            return false;
    return true;
}

/* Hand the captures to the packet generators, and have these carry them over and over. */
static bool carry_rounds(struct run *run)
{
    struct run_start start;

    start_traffic(run, 0, traffic_start_load);
    for (unsigned index = 0; index < run->options.vifs; index++) {
        if (run->traffic[index].open_status < 0)
            return false;
        if (run->traffic[index].load_status < 0)
            give_up(
                "VIF %u: the captures could not be loaded: status 0x%08X (the guest's memory has to hold the frames of "
                "--tx: --memory)",
                index, (unsigned)run->traffic[index].load_status);
    }
    start = begin_traffic();
    netback_task_go(run->netback);
    for (unsigned index = 0; index < run->options.vifs; index++)
        traffic_start_pktgen(&run->traffic[index]);
    return end_traffic(run, &start);
}

bool run_carry_traffic(struct run *run, uint64_t patience)
{
    struct run_start start = begin_traffic();

    if (run->options.rounds != 0)
        return carry_rounds(run);

    start_traffic(run, patience, traffic_start);
    if (frames_of(run->tx) == 0) /* nothing has moved before the readers were there */
        start = begin_traffic();
    netback_task_go(run->netback);
    return end_traffic(run, &start);
}

static void need_devices(const struct run *run)
{
    for (unsigned index = 0; index < run->options.vifs; index++)
        if (run->traffic[index].open_status < 0)
            give_up("the client's device of VIF %u could not be opened: status 0x%08X", index,
                    (unsigned)run->traffic[index].open_status);
}

void run_carry_all(struct run *run)
{
    if (!run_carry_traffic(run, 0))
        need_devices(run);
}

/* With a program that sends as soon as it is connected. */
static void carry_with_program(struct run *run, struct toolstack *toolstack, uint64_t power_on)
{
    struct run_start start;

    start_traffic(run, 0, traffic_start_reader);
    need_devices(run);
    run_backend_admit(run);
    run_wait_connected(run, toolstack, power_on);
    start = begin_traffic();
    for (unsigned index = 0; index < run->options.vifs; index++)
        traffic_start_writer(&run->traffic[index]);
    if (!end_traffic(run, &start))
        need_devices(run);
}

bool run_go_down(struct run *run, struct toolstack *toolstack)
{
    bool detached = true;

    for (unsigned index = 0; index < run->options.vifs; index++) {
        bool forced;

        if (!toolstack_network_detach(toolstack, run->domain.domid, run->options.backend.domid, index,
                                      TOOLSTACK_DETACH_TIMEOUT_MS, &forced)) {
            detached = false;
            snprintf(run->not_down, sizeof(run->not_down), "%s", toolstack_error(toolstack));
        } else if (forced) {
            detached = false;
            snprintf(run->not_down, sizeof(run->not_down),
                     "VIF %u of domain %u did not close within %d ms and was removed", index, run->domain.domid,
                     TOOLSTACK_DETACH_TIMEOUT_MS);
        }
    }
    (void)guest_wait_quiet();
    if (guest_shutdown())
        return detached;
    snprintf(run->not_down, sizeof(run->not_down), "the device tree could not be taken down: %s", pnp_refusal());
    return false;
}

/* Somebody's program stays connected, and keeps its watches. Those of domain 0 are not counted. */
static bool is_of_program(const struct run_options *options, const char *kind, const char *name)
{
    unsigned domid;

    return options->backend.kind == BACKEND_NONE && strcmp(kind, "watch") == 0 &&
           sscanf(name, "domain %u:", &domid) == 1 && domid == options->backend.domid;
}

static void note_leak(void *context, const char *kind, const char *name, uint64_t count, const void *caller)
{
    struct report *report = context;
    struct report_leak *leak;

    if (is_of_program(report->options, kind, name))
        return;
    if (report->leak_count++ >= REPORT_LEAKS_MAX)
        return;
    leak = &report->leaks[report->leak_count - 1];
    snprintf(leak->kind, sizeof(leak->kind), "%s", kind);
    snprintf(leak->name, sizeof(leak->name), "%s", name);
    leak->count = count;
    if (caller != NULL)
        backtrace_describe(leak->where, sizeof(leak->where), caller);
}

static void forward_log(void *context, enum backend_log_level level, const char *line)
{
    (void)context;
    log_line(level == BACKEND_LOG_ERROR ? LOG_ERROR : LOG_INFO, "toolstack", "%s", line);
}

void run_leave_boot(const struct run *run)
{
    if (!run->options.boot_seed_given)
        return;
    if (run->pausing)
        machine_pause();
    rng_seed(run->options.machine.seed);
}

void run_scenario(struct run *run, struct toolstack *toolstack)
{
    uint64_t power_on = clock_now();

    (void)guest_boot();
    if (backend_is_outside(&run->options.backend)) {
        (void)guest_wait_quiet();
        run_leave_boot(run);
        carry_with_program(run, toolstack, power_on);
    } else {
        run_wait_connected(run, toolstack, power_on);
        (void)guest_wait_quiet();
        run_leave_boot(run);
        run_go_through(run, toolstack);
        run_carry_all(run);
    }
    if (!run_go_down(run, toolstack))
        fail("shutdown", "%s", run->not_down);
}

static void harness(void *argument)
{
    static const struct backend_logger logger = {.write = forward_log};
    struct run *run = argument;
    struct toolstack *toolstack = toolstack_open(&logger);
    struct census *after;

    if (toolstack == NULL)
        give_up("the toolstack could not connect to the store");
    if (!guest_domain_create_driver(toolstack, run->options.backend.domid) ||
        !guest_domain_create(toolstack, &run->domain, &(struct guest_domain_spec){.name = "guest"}))
        give_up("%s", toolstack_error(toolstack));
    if (backend_is_outside(&run->options.backend)) {
        run_backend_attach(run, toolstack, &logger);
    } else {
        run->netback = netback_task_start(&run->options.backend, run->options.rounds);
        run_attach_vifs(run, toolstack);
    }

    run->before = census_take();
    fault_observe(run->seen, run->seen_context);
    if (run->options.machine.faults.count != 0)
        run_with_faults(run, toolstack);
    else
        run_scenario(run, toolstack);
    run_backend_end(run);
    after = census_take();
    census_compare(run->before, after, note_leak, &run->report);
    census_free(after);
    if (run->netback != NULL)
        netback_task_stop(run->netback);
    if (!toolstack_domain_destroy(toolstack, run->domain.domid))
        give_up("%s", toolstack_error(toolstack));
    toolstack_close(toolstack);
    machine_stop();
}

/* ---- results ---- */

static void collect_vif(struct run *run, unsigned index)
{
    struct report_vif *vif = &run->report.vif[index];
    const struct traffic_vif *traffic = run->traffic != NULL ? &run->traffic[index] : NULL;
    uint64_t rounds = run->options.rounds != 0 ? run->options.rounds : 1;

    vif->tx.expected = frames_of(run->tx) * rounds;
    vif->rx.expected = frames_of(run->rx) * rounds;
    if (run->netback != NULL)
        netback_task_report(run->netback, index, vif);
    if (run->netback != NULL && run->report.complaint[0] == '\0' &&
        netback_task_difference(run->netback, index)[0] != '\0')
        snprintf(run->report.complaint, sizeof(run->report.complaint), "VIF %u: %s", index,
                 netback_task_difference(run->netback, index));
    if (traffic == NULL)
        return;
    if (run->netback == NULL) { /* by the guest's account: what came out at the other end is for the program to say */
        vif->tx.frames = traffic->sent.frames;
        vif->tx.bytes = traffic->sent.bytes;
    }
    vif->tx.dropped += traffic->sent.failed;
    vif->rx.frames = traffic->got.frames;
    vif->rx.bytes = traffic->got.bytes;
    vif->rx.corrupt = traffic->got.corrupt;
    vif->rx.dropped += traffic->got.failed;
    if (run->report.complaint[0] == '\0')
        memcpy(run->report.complaint, traffic->complaint, sizeof(traffic->complaint));
    if (run->report.complaint[0] == '\0' && traffic->sent.first_bad != 0)
        snprintf(run->report.complaint, sizeof(run->report.complaint),
                 "VIF %u: frame %u could not be sent: status 0x%08X", index, traffic->sent.first_bad,
                 (unsigned)traffic->sent.first_status);
    if (run->report.complaint[0] == '\0' && traffic->got.first_bad != 0)
        snprintf(run->report.complaint, sizeof(run->report.complaint),
                 traffic->got.first_status != 0 ? "VIF %u: reading frame %u ended with status 0x%08X"
                                                : "VIF %u: received frame %u differs from the capture",
                 index, traffic->got.first_bad, (unsigned)traffic->got.first_status);
}

static void collect(struct run *run)
{
    struct report *report = &run->report;

    for (unsigned index = 0; index < run->options.vifs; index++)
        collect_vif(run, index);
    report->failure = machine_failure();
    report->hash = eventlog_hash();
    report->events = eventlog_count();
    report->switch_points = sched_points();
    report->switches = sched_switches();
    report->hypercalls = hypercalls();
    report->fault_calls = fault_calls();
    report->faults_injected = fault_injected();
    for (const struct fault_record *record; (record = fault_record(report->fault_count)) != NULL; report->fault_count++)
        report->faults[report->fault_count] = *record;
    report->total_host = clock_host() - run->start_host;
}

/* `kept` is a part of `set`, which the capture has now. */
static void keep_frames(struct capture **capture, struct frame_set *set, const struct frame_set *kept)
{
    struct capture *whole = *capture;

    if (whole == NULL)
        return;
    for (uint32_t index = 0, from = 0; index < kept->count; index++, from++) {
        while (set->number[from] != kept->number[index])
            from++;
        whole->frame[index] = whole->frame[from];
    }
    whole->count = kept->count;
    whole->bytes = 0;
    for (uint32_t index = 0; index < kept->count; index++)
        whole->bytes += whole->frame[index].length;
    frames_free(set);
    frames_copy(set, kept);
    if (kept->count == 0) {
        capture_free(whole);
        *capture = NULL;
    }
}

/* The part that --tx-frames or --rx-frames asks for. */
static int select_frames(const char *option, const char *text, struct capture **capture, struct frame_set *set)
{
    struct frame_set kept;
    bool good = frames_select(option, text, frames_of(*capture), &kept);

    (void)frames_select(option, NULL, frames_of(*capture), set);
    if (good)
        keep_frames(capture, set, &kept);
    frames_free(&kept);
    return good ? 0 : EXIT_USAGE;
}

struct run *run_open(int argc, char **argv, const struct run_options *options, int *status)
{
    struct run *run = calloc(1, sizeof(*run));

    if (run == NULL)
        abort();
    run->options = *options;
    run->argc = argc;
    run->argv = argv;
    run->report.options = &run->options;
    run->terminal = isatty(STDERR_FILENO) && options->machine.log_level <= LOG_ERROR;
    *status = load(options->tx, &run->tx);
    if (*status == 0)
        *status = load(options->rx, &run->rx);
    if (*status == 0)
        *status = select_frames("tx-frames", options->tx_frames, &run->tx, &run->tx_set);
    if (*status == 0)
        *status = select_frames("rx-frames", options->rx_frames, &run->rx, &run->rx_set);
    if (*status == 0 && options->rounds != 0 && !traffic_pktgen_check(run->tx, run->rx, &options->backend.features))
        *status = EXIT_USAGE;
    if (*status == 0)
        *status = create_outputs(run, options->out_tx, run->out_tx);
    if (*status == 0)
        *status = create_outputs(run, options->out_rx, run->out_rx);
    if (*status == 0)
        *status = guest_check_drivers(&options->machine);
    if (*status == 0 && options->machine.preempt_memory)
        *status = guest_check_memory_hooks(&options->machine);
    if (*status == 0)
        return run;
    run_close(run);
    return NULL;
}

void run_close(struct run *run)
{
    finish_outputs(run, run->out_tx);
    finish_outputs(run, run->out_rx);
    capture_free(run->tx);
    capture_free(run->rx);
    frames_free(&run->tx_set);
    frames_free(&run->rx_set);
    census_free(run->before);
    run_backend_close(run);
    free(run);
}

void run_set_seed(struct run *run, uint64_t seed)
{
    run->options.machine.seed = seed;
}

void run_set_arguments(struct run *run, int argc, char **argv)
{
    run->argc = argc;
    run->argv = argv;
}

void run_set_frames(struct run *run, const struct frame_set *tx, const struct frame_set *rx)
{
    keep_frames(&run->tx, &run->tx_set, tx);
    keep_frames(&run->rx, &run->rx_set, rx);
}

void run_get_frames(const struct run *run, struct frame_set *tx, struct frame_set *rx)
{
    frames_copy(tx, &run->tx_set);
    frames_copy(rx, &run->rx_set);
}

void run_set_schedule(struct run *run, const struct schedule *schedule, struct schedule *record, struct probe *probes,
                      unsigned probe_count)
{
    run->options.machine.schedule = schedule;
    run->options.machine.record = record;
    run->options.machine.probes = probes;
    run->options.machine.probe_count = probe_count;
    if (schedule != NULL)
        run->options.machine.policy = POLICY_TRACE;
}

void run_set_faults(struct run *run, const struct fault_plan *faults)
{
    run->options.machine.faults = *faults;
}

uint64_t run_get_faults(const struct run *run, struct fault_rule *rules, unsigned limit)
{
    for (unsigned index = 0; index < run->report.fault_count && index < limit; index++) {
        const struct fault_record *record = &run->report.faults[index];

        rules[index] = (struct fault_rule){
            .kinds = (1u << FAULT_KINDS) - 1, .phases = (1u << FAULT_PHASES) - 1, .nth = record->routine_number};
        snprintf(rules[index].call, sizeof(rules[index].call), "%s", record->routine);
    }
    return run->report.faults_injected;
}

void run_set_peers(struct run *run, const char *path)
{
    run->peers = path;
}

void run_set_bundle(struct run *run, const char *path)
{
    run->options.no_bundle = path == NULL;
    run->options.bundle_path = path;
}

/* 0, or an exit status after one line on stderr. */
static int power_on(struct run *run)
{
    struct machine_config config = run->options.machine;
    int status;

    if (run->options.boot_seed_given)
        config.seed = run->options.boot_seed;
    run->start_host = clock_host();
    machine_create(&config);
    status = guest_install(&config);
    if (status == 0)
        status = run_backend_open(run);
    if (status != 0)
        return status;
    run->traffic = image_alloc(run->options.vifs * sizeof(*run->traffic));
    (void)task_create("harness", harness, run);
    return 0;
}

static int end_run(struct run *run, enum machine_result result, struct run_outcome *outcome)
{
    struct report *report = &run->report;
    int status;

    clear_progress(run);
    collect(run);
    finish_outputs(run, run->out_tx);
    finish_outputs(run, run->out_rx);
    for (unsigned index = 0; index < run->options.machine.probe_count; index++)
        if (run->options.machine.probes[index].hit)
            probe_describe(&run->options.machine.probes[index]);
    outcome->stopped = result == MACHINE_STOPPED;
    if (outcome->stopped) {
        run_show_stopped();
        run_show_views(run->options.views);
        return EXIT_PASSED;
    }
    status = report_passed(report) ? EXIT_PASSED : EXIT_FAILED;
    if (status == EXIT_FAILED && !run->options.no_bundle)
        bundle_write(report, run->argc, run->argv);
    if (run->options.machine.engine != ENGINE_PARALLEL) {
        report->argc = run->argc;
        report->argv = run->argv;
    }
    bundle_identify(report, outcome);
    if (report->failure != NULL && run->options.core)
        (void)core_leave(run->options.bundle_dir, run->options.machine.seed, outcome->event, report->core,
                         sizeof(report->core));
    report_print(report);
    run_show_views(run->options.views);
    return status;
}

bool run_start(struct run *run)
{
    bool paused;

    run->pausing = true;
    run->start_status = power_on(run);
    paused = run->start_status == 0 && machine_run() == MACHINE_PAUSED;
    run->pausing = false;
    return paused;
}

int run_finish(struct run *run, struct run_outcome *outcome)
{
    int status = machine == NULL ? power_on(run) : run->start_status;

    if (status == 0)
        status = end_run(run, machine->failure != NULL ? MACHINE_FAILED : machine_run(), outcome);
    run_backend_leave(run);
    machine_destroy();
    return status;
}

int command_run(int argc, char **argv)
{
    struct run_options options;
    struct run_outcome outcome = {.rule = ""};
    int status = options_parse_run(argc, argv, &options);
    struct run *run;

    if (status != 0)
        return status == -1 ? EXIT_PASSED : status;
    if (options.core && !core_possible())
        return EXIT_NOT_HERE;
    run = run_open(argc, argv, &options, &status);
    if (run == NULL)
        return status;
    status = run_finish(run, &outcome);
    run_close(run);
    return status;
}
