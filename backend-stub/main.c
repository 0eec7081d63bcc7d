/* pvsim-netback: netback as a program of dom0 or of a driver domain, linked with the distribution's Xen libraries. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture.h"
#include "netback.h"
#include "port_capture.h"
#include "port_checker.h"

#define DOMID_MAX 0x7fefu

enum { EXIT_PASSED = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_HERE = 125 };

static const char help[] =
    "Usage: pvsim-netback [OPTION]...\n"
    "Serve the network interfaces of Xen guests that the store assigns to this domain\n"
    "(/local/domain/<domid>/backend/vif), with captures as the network, until interrupted.\n"
    "\n"
    "  -r, --rx FILE               send the frames of this capture to each interface, once it is connected\n"
    "  -e, --expect FILE           compare what each interface sends with this capture\n"
    "  -o, --out FILE              record what the interfaces send: FILE with .<domid>.<handle> appended\n"
    "  -d, --domid N               the domain this runs in (default 0)\n"
    "  -f, --features LIST         what is offered, with commas between: NAME, or -NAME not to, from the default on, "
    "which\n"
    "                              is sg,queues=1; names: sg, gso-tcpv4, gso-tcpv6, csum-offload, ipv6-csum-offload,\n"
    "                              split-event-channels, multicast-control, dynamic-multicast-control, ctrl-ring, "
    "carrier,\n"
    "                              rx-copy; queues=N (1 to 16); all, none, default; wire: cut super-frames of the "
    "guest into\n"
    "                              segments and complete its checksums before they are compared and recorded\n"
    "  -b, --busy-poll US          having served a ring look for more so many microseconds before asking for an event "
    "(0, to\n"
    "                              1000): a processor's time for fewer events\n"
    "  -v, --verbose               more lines on standard error; twice: every refused frame\n"
    "  -h, --help                  show this and exit\n"
    "\n"
    "Interrupted (SIGINT, SIGTERM) it closes its interfaces and prints what each has carried.\n"
    "Exit status: 0 done and all as expected; 1 failed, or frames differed from --expect; 2 usage error or unusable\n"
    "capture; 125 no Xen here (no store, event channels or grants).\n";

/* What is kept of an interface, which may come and go. */
struct end {
    struct end *next;
    unsigned domid, handle;
    struct capture_writer *writer;
    struct checker_verdict verdict;
};

struct program {
    const char *rx_path, *expect_path, *out_path;
    struct capture *rx, *expect;
    struct end *ends;
    struct netback_options options;
    struct netback_features features;
    struct backend_logger logger;
    int level;
};

static struct netback *running; /* for the signal handlers */

static void log_write(void *context, enum backend_log_level level, const char *line)
{
    const struct program *program = context;

    if ((int)level <= program->level)
        fprintf(stderr, "pvsim-netback: %s\n", line);
}

static uint64_t wall_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct capture_writer *open_writer(const struct program *program, unsigned domid, unsigned handle)
{
    struct capture_writer *writer;
    char error[CAPTURE_ERROR_MAX];
    char *path;

    if (asprintf(&path, "%s.%u.%u", program->out_path, domid, handle) < 0)
        return NULL;
    writer = capture_writer_open(path, wall_clock, error);
    if (!writer)
        backend_log(&program->logger, BACKEND_LOG_ERROR, "%s", error);
    free(path);
    return writer;
}

static struct end *end_get(struct program *program, unsigned domid, unsigned handle)
{
    struct end *end;

    for (end = program->ends; end; end = end->next) {
        if (end->domid == domid && end->handle == handle)
            return end;
    }
    end = calloc(1, sizeof(*end));
    end->domid = domid;
    end->handle = handle;
    if (program->out_path && !(end->writer = open_writer(program, domid, handle))) {
        free(end);
        return NULL;
    }
    end->next = program->ends;
    program->ends = end;
    return end;
}

static struct port *open_port(void *context, unsigned domid, unsigned handle)
{
    struct program *program = context;
    struct end *end = end_get(program, domid, handle);
    struct port *port;

    if (!end)
        return NULL;
    port = port_capture_create(program->rx, end->writer);
    port_capture_go(port);
    if (program->expect) {
        port = port_checker_create(port, program->expect, &program->logger);
        port_checker_keep(port, &end->verdict);
        if (program->features.max_queues > 1)
            port_checker_order_by_flow(port);
    }
    return port;
}

static void print_direction(const char *name, const struct netback_direction_statistics *direction)
{
    printf("  %s: %" PRIu64 " frames, %" PRIu64 " bytes, %" PRIu64 " dropped, %" PRIu64 " errors; %" PRIu64
           " large, %" PRIu64 " cut here; %" PRIu64 " blank checksums, %" PRIu64 " completed here; %" PRIu64
           " requests, %" PRIu64 " responses, %" PRIu64 " events, notifications %" PRIu64 " sent, %" PRIu64
           " suppressed\n",
           name, direction->frames, direction->bytes, direction->drops, direction->errors, direction->large,
           direction->cut, direction->blank, direction->summed, direction->ring.requests, direction->ring.responses,
           direction->ring.events, direction->ring.notifications_sent, direction->ring.notifications_suppressed);
}

static void print_statistics(const struct netback *netback)
{
    const struct netback_statistics *statistics;

    for (unsigned i = 0; (statistics = netback_statistics(netback, i)); i++) {
        printf("vif%u.%u: connected %u times, %u queues; %" PRIu64 " control requests, %" PRIu64
               " frames for other multicast addresses\n",
               statistics->domid, statistics->handle, statistics->connections, statistics->queues, statistics->control,
               statistics->filtered);
        print_direction("from the guest", &statistics->tx);
        print_direction("to the guest", &statistics->rx);
    }
}

/* False when a frame was not as expected. */
static bool print_verdict(const struct end *end)
{
    const struct checker_verdict *verdict = &end->verdict;

    printf("vif%u.%u: expected frames: %" PRIu64 " good, %" PRIu64 " lost, %" PRIu64 " corrupt, %" PRIu64
           " reordered, %" PRIu64 " extra\n",
           end->domid, end->handle, verdict->good, verdict->lost, verdict->corrupt, verdict->reordered, verdict->extra);
    return verdict->lost == 0 && checker_bad(verdict) == 0;
}

/* False when frames were not as expected, or could not be recorded. After netback is gone. */
static bool close_ends(struct program *program)
{
    bool good = true;

    while (program->ends) {
        struct end *end = program->ends;
        char error[CAPTURE_ERROR_MAX];

        program->ends = end->next;
        if (program->expect)
            good &= print_verdict(end);
        if (end->writer && !capture_writer_close(end->writer, error)) {
            backend_log(&program->logger, BACKEND_LOG_ERROR, "%s", error);
            good = false;
        }
        free(end);
    }
    return good;
}

static int usage(const char *format, const char *argument)
{
    fprintf(stderr, "pvsim-netback: ");
    fprintf(stderr, format, argument);
    fprintf(stderr, " (--help shows the options)\n");
    return EXIT_USAGE;
}

static bool parse_number(const char *text, unsigned most, unsigned *value)
{
    char *end;
    unsigned long number;

    errno = 0;
    number = strtoul(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || number > most)
        return false;
    *value = (unsigned)number;
    return true;
}

/* -1 to go on, else the exit status. */
static int parse(struct program *program, int argc, char **argv)
{
    static const struct option options[] = {
        {"rx", required_argument, NULL, 'r'},
        {"expect", required_argument, NULL, 'e'},
        {"out", required_argument, NULL, 'o'},
        {"domid", required_argument, NULL, 'd'},
        {"features", required_argument, NULL, 'f'},
        {"busy-poll", required_argument, NULL, 'b'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    char error[FEATURES_ERROR_MAX];
    int option;

    opterr = 0; /* one line, ours */
    while ((option = getopt_long(argc, argv, "r:e:o:d:f:b:vh", options, NULL)) != -1) {
        switch (option) {
        case 'r':
            program->rx_path = optarg;
            break;
        case 'e':
            program->expect_path = optarg;
            break;
        case 'o':
            program->out_path = optarg;
            break;
        case 'd':
            if (!parse_number(optarg, DOMID_MAX, &program->options.domid))
                return usage("\"%s\" is no domain number", optarg);
            break;
        case 'f':
            if (!features_parse(optarg, &program->features, error))
                return usage("%s", error);
            break;
        case 'b':
            if (!parse_number(optarg, NETBACK_BUSY_POLL_MAX_US, &program->options.busy_poll_us))
                return usage("\"%s\" is no number of microseconds up to 1000", optarg);
            break;
        case 'v':
            program->level++;
            break;
        case 'h':
            fputs(help, stdout);
            return EXIT_PASSED;
        default:
            return usage("\"%s\" is no option, or lacks its argument", argv[optind - 1]);
        }
    }
    return optind < argc ? usage("\"%s\" is no option", argv[optind]) : -1;
}

static bool load(const char *path, struct capture **capture)
{
    char error[CAPTURE_ERROR_MAX];

    *capture = path ? capture_load(path, error) : NULL;
    if (path && !*capture)
        fprintf(stderr, "pvsim-netback: %s\n", error);
    return !path || *capture;
}

static void on_signal(int signal)
{
    (void)signal;
    netback_stop(running);
}

static int serve(struct program *program)
{
    const struct sigaction action = {.sa_handler = on_signal};
    bool good;

    program->options.features = &program->features;
    program->options.open_port = open_port;
    program->options.context = program;
    program->options.logger = &program->logger;
    running = netback_create(&program->options);
    if (!running)
        return EXIT_NOT_HERE;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    good = netback_run(running);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    print_statistics(running);
    netback_destroy(running);
    good &= close_ends(program);
    return good ? EXIT_PASSED : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct program program = {.level = BACKEND_LOG_WARNING, .features = features_default};
    int status = parse(&program, argc, argv);

    program.logger = (struct backend_logger){log_write, &program};
    if (status >= 0)
        return status;
    if (!load(program.rx_path, &program.rx) || !load(program.expect_path, &program.expect))
        status = EXIT_USAGE;
    else
        status = serve(&program);
    capture_free(program.rx);
    capture_free(program.expect);
    return status;
}
