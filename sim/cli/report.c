#include "cli/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/driver_lines.h"
#include "machine/fail.h"
#include "port_pktgen.h"

static const char *const policy_names[] = {"fifo", "random", "pct", "trace"};
static const char *const engine_names[] = {"default", "det", "par"};
static const char *const clock_names[] = {"virtual", "paced", "wall"};

const char *format_time(char *buffer, size_t size, uint64_t nanoseconds)
{
    if (nanoseconds < 1000000)
        snprintf(buffer, size, "%.1f us", (double)nanoseconds / 1e3);
    else if (nanoseconds < UINT64_C(10000000000))
        snprintf(buffer, size, "%.3f ms", (double)nanoseconds / 1e6);
    else
        snprintf(buffer, size, "%.3f s", (double)nanoseconds / 1e9);
    return buffer;
}

static uint64_t sum(const struct report *report, uint64_t (*get)(const struct report_direction *), bool tx, bool rx)
{
    uint64_t total = 0;

    for (unsigned index = 0; index < report->options->vifs; index++) {
        if (tx)
            total += get(&report->vif[index].tx);
        if (rx)
            total += get(&report->vif[index].rx);
    }
    return total;
}

static uint64_t get_frames(const struct report_direction *direction)
{
    return direction->frames;
}

static uint64_t get_corrupt(const struct report_direction *direction)
{
    return direction->corrupt;
}

/* A frame that came wrong is corrupt, one that did not come at all is lost. */
static uint64_t get_lost(const struct report_direction *direction)
{
    uint64_t arrived = direction->frames + direction->corrupt;

    return direction->expected > arrived ? direction->expected - arrived : 0;
}

uint64_t report_lost(const struct report *report)
{
    return sum(report, get_lost, true, true);
}

uint64_t report_corrupt(const struct report *report)
{
    return sum(report, get_corrupt, true, true);
}

bool report_passed(const struct report *report)
{
    return report->failure == NULL && report->complaint[0] == '\0' && report_lost(report) == 0 &&
           report_corrupt(report) == 0 && report->leak_count == 0;
}

void report_verdict(const struct report *report, char *buffer, size_t size)
{
    snprintf(buffer, size, "%s tx=%" PRIu64 " rx=%" PRIu64 " lost=%" PRIu64 " corrupt=%" PRIu64 " leaks=%u",
             report_passed(report) ? "PASS" : "FAIL", sum(report, get_frames, true, false),
             sum(report, get_frames, false, true), report_lost(report), report_corrupt(report), report->leak_count);
}

/* ---- text ---- */

/* The ring's figures are netback's own: of a program's nothing is known. */
static void print_direction(unsigned vif, const char *name, const struct report_direction *direction, bool rings)
{
    printf("vif %u %s: %" PRIu64 " of %" PRIu64 " frames, %" PRIu64 " bytes, %" PRIu64 " dropped, %" PRIu64
           " corrupt\n",
           vif, name, direction->frames, direction->expected, direction->bytes, direction->dropped, direction->corrupt);
    if (!rings)
        return;
    printf("vif %u %s ring: %" PRIu64 " requests, %" PRIu64 " responses, notifications %" PRIu64 " sent, %" PRIu64
           " suppressed\n",
           vif, name, direction->ring.requests, direction->ring.responses, direction->ring.notifications_sent,
           direction->ring.notifications_suppressed);
}

/* What the client has asked netback for. */
static void print_wishes(unsigned vif, const struct report_vif *report)
{
    printf("vif %u control ring: %" PRIu64 " requests; multicast filter: asked for %" PRIu64 " times, %" PRIu64
           " frames filtered\n",
           vif, report->control, report->filters, report->filtered);
}

static void print_faults(const struct report *report)
{
    char where[1024];

    if (report->options->machine.faults.count == 0)
        return;
    printf("faults: %" PRIu64 " of %" PRIu64 " calls failed by the plan%s\n", report->faults_injected,
           report->fault_calls, report->bus_restarted ? "; the whole bus had to be restarted" : "");
    for (unsigned index = 0; index < report->fault_count; index++) {
        const struct fault_record *record = &report->faults[index];

        driver_lines_stack(where, sizeof(where), &report->options->machine, &record->stack);
        printf("fault: call %" PRIu64 ", %s (%s), failed during %s at event %" PRIu64 ", called at %s\n",
               record->number, record->routine, fault_kind_name(record->kind), fault_phase_name(record->phase),
               record->event, where);
    }
}

static void print_bundle(const struct report *report)
{
    if (report->options->machine.engine == ENGINE_PARALLEL)
        printf("bundle: %s; a run of the parallel engine is not repeatable: look for it under --engine det too\n",
               report->bundle);
    else
        printf("bundle: %s; to see it again: pvsim replay %s\n", report->bundle, report->bundle);
}

void report_print_failure(const struct report *report)
{
    const struct failure *failure = report->failure;

    if (failure != NULL) {
        printf("failure: %s (rule %s", failure->title[0] != '\0' ? failure->title : failure->rule, failure->rule);
        if (failure->code != 0)
            printf(", code 0x%" PRIX32 ", parameters 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64,
                   failure->code, failure->parameter[0], failure->parameter[1], failure->parameter[2],
                   failure->parameter[3]);
        if (failure->driver[0] != '\0')
            printf(", driver %s", failure->driver);
        if (failure->vcpu >= 0)
            printf(", vCPU %d", failure->vcpu);
        printf(") at event %" PRIu64 ", seed %" PRIu64 "\n  %s\n%s%s%s", failure->event, report->options->machine.seed,
               failure->text, failure->backtrace, failure->notes, failure->state);
        for (int index = 0; index < failure->stacks.count; index++)
            printf("%s\n%s", failure->stacks.stack[index].title, failure->stacks.stack[index].text);
    }
    if (report->complaint[0] != '\0')
        printf("failure: %s\n", report->complaint);
    for (unsigned index = 0; index < report->leak_count && index < REPORT_LEAKS_MAX; index++) {
        const struct report_leak *leak = &report->leaks[index];

        printf("leak: %s: %s, %" PRIu64 "%s%s\n", leak->kind, leak->name, leak->count,
               leak->where[0] != '\0' ? ", taken at " : "", leak->where);
    }
    if (report->core[0] != '\0')
        printf("core: %s; to look into it: make gdb CORE=%s\n", report->core, report->core);
    if (report->bundle[0] != '\0')
        print_bundle(report);
    else if (!report_passed(report) && report->argc != 0)
        command_print_again(report->argc, report->argv, "");
}

static double megabits(uint64_t bytes, uint64_t nanoseconds)
{
    return nanoseconds == 0 ? 0 : (double)bytes * 8e3 / (double)nanoseconds;
}

static uint64_t get_bytes(const struct report_direction *direction)
{
    return direction->bytes;
}

static void print_text(const struct report *report)
{
    const struct run_options *options = report->options;
    uint64_t bytes = sum(report, get_bytes, true, true);
    bool parallel = options->machine.engine == ENGINE_PARALLEL;
    bool rings = !backend_is_outside(&options->backend);
    char a[32];
    char b[32];

    printf("machine: %u vCPUs, %u VIFs, seed %" PRIu64 ", policy %s%s, engine %s, clock %s\n", options->machine.vcpus,
           options->vifs, options->machine.seed, parallel ? "of the host" : policy_names[options->machine.policy],
           options->machine.preempt_memory ? ", preempted at loads and stores" : "",
           engine_names[options->machine.engine], clock_names[options->machine.clock]);
    if (report->connected && options->vifs != 0)
        printf("power-on to Connected: %s by the machine's clock, %s of host time\n",
               format_time(a, sizeof(a), report->connected_virtual), format_time(b, sizeof(b), report->connected_host));
    if (options->rounds != 0)
        printf("packet generator: each capture %" PRIu64
               " times, %u packets in a row; of each frame its length and first "
               "%u bytes were compared, or those up to a checksum that ends within %u\n",
               options->rounds, options->batch, PORT_PKTGEN_HEAD, PORT_PKTGEN_HEAD_MAX);
    for (unsigned index = 0; index < options->vifs; index++) {
        print_direction(index, "tx", &report->vif[index].tx, rings);
        print_direction(index, "rx", &report->vif[index].rx, rings);
        if (rings && (options->rss || options->multicast_filter))
            print_wishes(index, &report->vif[index]);
    }
    if (report->traffic_virtual != 0)
        printf("throughput: %" PRIu64
               " bytes in %s by the machine's clock (%.1f Mbit/s), %s of host time (%.1f Mbit/s)\n",
               bytes, format_time(a, sizeof(a), report->traffic_virtual), megabits(bytes, report->traffic_virtual),
               format_time(b, sizeof(b), report->traffic_host), megabits(bytes, report->traffic_host));
    if (parallel)
        printf("schedule: %" PRIu64 " hypercalls; %s of host time in all\n", report->hypercalls,
               format_time(a, sizeof(a), report->total_host));
    else
        printf("schedule: %" PRIu64 " switch points, %" PRIu64 " switches, %" PRIu64
               " hypercalls; %s of host time in all\n",
               report->switch_points, report->switches, report->hypercalls,
               format_time(a, sizeof(a), report->total_host));
    if (parallel) /* the order of events is the host's: a hash of it would prove nothing */
        printf("events: %" PRIu64 ", no hash: runs of the parallel engine are not repeatable\n", report->events);
    else
        printf("events: %" PRIu64 ", hash %016" PRIx64 "\n", report->events, report->hash);
    print_faults(report);
    report_print_failure(report);
}

/* ---- JSON ---- */

static json_t *json_ring(const struct report_ring *ring)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "requests", (json_int_t)ring->requests, "responses",
                     (json_int_t)ring->responses, "notifications_sent", (json_int_t)ring->notifications_sent,
                     "notifications_suppressed", (json_int_t)ring->notifications_suppressed);
}

static json_t *json_direction(const struct report_direction *direction, bool rings)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "expected", (json_int_t)direction->expected, "frames",
                     (json_int_t)direction->frames, "bytes", (json_int_t)direction->bytes, "dropped",
                     (json_int_t)direction->dropped, "corrupt", (json_int_t)direction->corrupt, "lost",
                     (json_int_t)get_lost(direction), "ring", rings ? json_ring(&direction->ring) : json_null());
}

static json_t *json_cost(const struct report_cost *cost)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "hypercalls", (json_int_t)cost->hypercalls, "interrupts",
                     (json_int_t)cost->interrupts, "dpcs", (json_int_t)cost->dpcs, "spin_locks",
                     (json_int_t)cost->spin_locks, "allocations", (json_int_t)cost->allocations);
}

static json_t *json_wishes(const struct report_vif *vif)
{
    return json_pack("{s:I, s:I, s:I}", "control_requests", (json_int_t)vif->control, "multicast_filters",
                     (json_int_t)vif->filters, "multicast_filtered", (json_int_t)vif->filtered);
}

static json_t *json_stacks(const struct failure *failure)
{
    json_t *stacks = json_array();

    for (int index = 0; index < failure->stacks.count; index++)
        json_array_append_new(stacks, json_pack("{s:s, s:s}", "title", failure->stacks.stack[index].title, "backtrace",
                                                failure->stacks.stack[index].text));
    return stacks;
}

static json_t *json_failure(const struct failure *failure)
{
    if (failure == NULL)
        return json_null();
    return json_pack("{s:s, s:s, s:I, s:[I,I,I,I], s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:i}", "rule", failure->rule,
                     "title", failure->title, "code", (json_int_t)failure->code, "parameters",
                     (json_int_t)failure->parameter[0], (json_int_t)failure->parameter[1],
                     (json_int_t)failure->parameter[2], (json_int_t)failure->parameter[3], "driver", failure->driver,
                     "text", failure->text, "backtrace", failure->backtrace, "notes", failure->notes, "state",
                     failure->state, "stacks", json_stacks(failure), "event", (json_int_t)failure->event, "vcpu",
                     failure->vcpu);
}

static json_t *json_faults(const struct report *report)
{
    json_t *list = json_array();
    char where[1024];

    for (unsigned index = 0; index < report->fault_count; index++) {
        const struct fault_record *record = &report->faults[index];

        driver_lines_stack(where, sizeof(where), &report->options->machine, &record->stack);
        json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s, s:I, s:s}", "call", (json_int_t)record->number,
                                              "routine", record->routine, "kind", fault_kind_name(record->kind),
                                              "phase", fault_phase_name(record->phase), "event",
                                              (json_int_t)record->event, "where", where));
    }
    return json_pack("{s:I, s:I, s:b, s:o}", "calls", (json_int_t)report->fault_calls, "injected",
                     (json_int_t)report->faults_injected, "bus_restarted", report->bus_restarted ? 1 : 0, "failed",
                     list);
}

static json_t *json_pktgen(const struct run_options *options)
{
    if (options->rounds == 0)
        return json_null();
    return json_pack("{s:I, s:i, s:i}", "rounds", (json_int_t)options->rounds, "batch", (int)options->batch,
                     "bytes_compared", (int)PORT_PKTGEN_HEAD);
}

static void print_json(const struct report *report, const char *verdict)
{
    const struct run_options *options = report->options;
    json_t *vifs = json_array();
    json_t *leaks = json_array();
    json_t *object;
    char hash[32];
    bool parallel = options->machine.engine == ENGINE_PARALLEL;
    bool rings = !backend_is_outside(&options->backend);

    for (unsigned index = 0; index < options->vifs; index++)
        json_array_append_new(vifs, json_pack("{s:i, s:o, s:o, s:o}", "vif", (int)index, "tx",
                                              json_direction(&report->vif[index].tx, rings), "rx",
                                              json_direction(&report->vif[index].rx, rings), "asked",
                                              rings ? json_wishes(&report->vif[index]) : json_null()));
    for (unsigned index = 0; index < report->leak_count && index < REPORT_LEAKS_MAX; index++) {
        const struct report_leak *leak = &report->leaks[index];

        json_array_append_new(leaks, json_pack("{s:s, s:s, s:I, s:s}", "kind", leak->kind, "name", leak->name, "count",
                                               (json_int_t)leak->count, "where", leak->where));
    }
    snprintf(hash, sizeof(hash), "%016" PRIx64, report->hash);
    object = json_pack(
        "{s:s, s:b, s:{s:i, s:i, s:I, s:s?, s:s, s:s}, s:o, s:{s:b, s:I, s:I}, s:{s:I, s:I, s:o}, s:{s:s?, s:I, s:I, "
        "s:I, "
        "s:I, "
        "s:I}, s:o, s:o, s:o, s:s, s:s}",
        "verdict", verdict, "passed", report_passed(report) ? 1 : 0, "machine", "vcpus", (int)options->machine.vcpus,
        "vifs", (int)options->vifs, "seed", (json_int_t)options->machine.seed, "policy",
        parallel ? NULL : policy_names[options->machine.policy], "engine", engine_names[options->machine.engine],
        "clock", clock_names[options->machine.clock], "vifs", vifs, "connected", "reached", report->connected ? 1 : 0,
        "virtual_ns", (json_int_t)report->connected_virtual, "host_ns", (json_int_t)report->connected_host, "traffic",
        "virtual_ns", (json_int_t)report->traffic_virtual, "host_ns", (json_int_t)report->traffic_host, "cost",
        json_cost(&report->traffic_cost), "events", "hash", parallel ? NULL : hash, "count", (json_int_t)report->events,
        "switch_points", (json_int_t)report->switch_points, "switches", (json_int_t)report->switches, "hypercalls",
        (json_int_t)report->hypercalls, "host_ns", (json_int_t)report->total_host, "leaks", leaks, "faults",
        json_faults(report), "failure", json_failure(report->failure), "complaint", report->complaint, "bundle",
        report->bundle);
    if (object == NULL) {
        complain("the report holds text that JSON cannot carry");
        return;
    }
    json_object_set_new(object, "pktgen", json_pktgen(options));
    if (parallel) {
        json_object_set_new(json_object_get(object, "events"), "switch_points", json_null());
        json_object_set_new(json_object_get(object, "events"), "switches", json_null());
    }
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
}

void report_print(const struct report *report)
{
    char verdict[256];

    report_verdict(report, verdict, sizeof(verdict));
    if (report->options->format == FORMAT_JSON) {
        print_json(report, verdict);
        fflush(stdout);
        fprintf(stderr, "%s\n", verdict);
    } else {
        print_text(report);
        puts(verdict);
    }
}
