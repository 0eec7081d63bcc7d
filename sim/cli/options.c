/* Options of the commands. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xen/sched.h>

#include "cli/cli.h"
#include "cli/dom0_environment.h"
#include "cli/fault_option.h"
#include "cli/frames.h"
#include "cli/xlcfg.h"
#include "machine/delay.h"
#include "machine/log.h"
#include "machine/policy.h"
#include "netback.h"
#include "xen/board.h"
#include "store/store.h"
#include "xen/profile.h"
#include "xen/xen.h"

enum {
    /* Of the machine: every command that makes one takes them. */
    OPTION_VCPUS = 256,
    OPTION_VIFS,
    OPTION_SEED,
    OPTION_POLICY,
    OPTION_PREEMPT,
    OPTION_DELAY,
    OPTION_ENGINE,
    OPTION_CLOCK,
    OPTION_LOG,
    OPTION_DRIVERS,
    OPTION_DRIVER,
    OPTION_INF,
    OPTION_MEMORY,
    OPTION_STACKS,
    OPTION_ISR_LIMIT,
    OPTION_DPC_LIMIT,
    OPTION_DISPATCH_LIMIT,
    OPTION_PAGED,
    OPTION_HOST,
    OPTION_BOARD,
    OPTION_UNPLUG,
    OPTION_MAX_GRANT_FRAMES,
    OPTION_STORE_QUOTA,
    OPTION_BACKEND,
    OPTION_BACKEND_DOMID,
    OPTION_BACKEND_FEATURES,
    OPTION_BUSY_POLL,
    OPTION_RUN_DIR,
    OPTIONS_OF_RUN, /* from here on */
    OPTION_BOOT_SEED = OPTIONS_OF_RUN,
    OPTION_THROUGH,
    OPTION_TX,
    OPTION_RX,
    OPTION_TX_FRAMES,
    OPTION_RX_FRAMES,
    OPTION_BATCH,
    OPTION_PKTGEN,
    OPTION_RSS,
    OPTION_MULTICAST_FILTER,
    OPTION_OUT_TX,
    OPTION_OUT_RX,
    OPTION_TIMEOUT,
    OPTION_FORMAT,
    OPTION_BUNDLE_DIR,
    OPTION_NO_BUNDLE,
    OPTION_FAIL,
    OPTION_ON_BUGCHECK,
    OPTIONS_OF_CREATE, /* likewise */
    OPTION_NAME = OPTIONS_OF_CREATE,
    OPTION_TOOLSTACK_TIMEOUT,
    OPTION_STORE,
    OPTION_MAXVCPUS,
    OPTION_AGENT,
    OPTION_CONSOLE,
};

static const struct option run_long_options[] = {
    {"vcpus", required_argument, NULL, OPTION_VCPUS},
    {"vifs", required_argument, NULL, OPTION_VIFS},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"boot-seed", required_argument, NULL, OPTION_BOOT_SEED},
    {"policy", required_argument, NULL, OPTION_POLICY},
    {"preempt", required_argument, NULL, OPTION_PREEMPT},
    {"delay", required_argument, NULL, OPTION_DELAY},
    {"engine", required_argument, NULL, OPTION_ENGINE},
    {"clock", required_argument, NULL, OPTION_CLOCK},
    {"through", required_argument, NULL, OPTION_THROUGH},
    {"tx", required_argument, NULL, OPTION_TX},
    {"rx", required_argument, NULL, OPTION_RX},
    {"tx-frames", required_argument, NULL, OPTION_TX_FRAMES},
    {"rx-frames", required_argument, NULL, OPTION_RX_FRAMES},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"pktgen", required_argument, NULL, OPTION_PKTGEN},
    {"rss", no_argument, NULL, OPTION_RSS},
    {"multicast-filter", no_argument, NULL, OPTION_MULTICAST_FILTER},
    {"out-tx", required_argument, NULL, OPTION_OUT_TX},
    {"out-rx", required_argument, NULL, OPTION_OUT_RX},
    {"log", required_argument, NULL, OPTION_LOG},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"drivers", required_argument, NULL, OPTION_DRIVERS},
    {"driver", required_argument, NULL, OPTION_DRIVER},
    {"inf", required_argument, NULL, OPTION_INF},
    {"memory", required_argument, NULL, OPTION_MEMORY},
    {"bundle-dir", required_argument, NULL, OPTION_BUNDLE_DIR},
    {"no-bundle", no_argument, NULL, OPTION_NO_BUNDLE},
    {"fail", required_argument, NULL, OPTION_FAIL},
    {"stacks", no_argument, NULL, OPTION_STACKS},
    {"on-bugcheck", required_argument, NULL, OPTION_ON_BUGCHECK},
    {"isr-limit", required_argument, NULL, OPTION_ISR_LIMIT},
    {"dpc-limit", required_argument, NULL, OPTION_DPC_LIMIT},
    {"dispatch-limit", required_argument, NULL, OPTION_DISPATCH_LIMIT},
    {"paged", required_argument, NULL, OPTION_PAGED},
    {"host", required_argument, NULL, OPTION_HOST},
    {"board", required_argument, NULL, OPTION_BOARD},
    {"unplug", required_argument, NULL, OPTION_UNPLUG},
    {"max-grant-frames", required_argument, NULL, OPTION_MAX_GRANT_FRAMES},
    {"store-quota", required_argument, NULL, OPTION_STORE_QUOTA},
    {"backend", required_argument, NULL, OPTION_BACKEND},
    {"backend-domid", required_argument, NULL, OPTION_BACKEND_DOMID},
    {"backend-features", required_argument, NULL, OPTION_BACKEND_FEATURES},
    {"busy-poll", required_argument, NULL, OPTION_BUSY_POLL},
    {"run-dir", required_argument, NULL, OPTION_RUN_DIR},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

void complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("pvsim: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

bool parse_number(const char *option, const char *text, uint64_t low, uint64_t high, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 0);
    if (errno == 0 && end != text && *end == '\0' && strchr(text, '-') == NULL && *value >= low && *value <= high)
        return true;
    complain("--%s takes a whole number from %llu to %llu, not '%s'", option, (unsigned long long)low,
             (unsigned long long)high, text);
    return false;
}

/* Seconds, or with a unit: 500ms, 30s, 2m. */
bool parse_time(const char *option, const char *text, uint64_t *nanoseconds)
{
    static const struct {
        const char *name;
        double scale;
    } units[] = {{"", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"s", 1e9}, {"m", 6e10}};
    char *end;
    double number;

    errno = 0;
    number = strtod(text, &end);
    if (errno == 0 && end != text && number > 0)
        for (size_t index = 0; index < sizeof(units) / sizeof(units[0]); index++)
            if (strcmp(end, units[index].name) == 0 && number * units[index].scale < 9e18) {
                *nanoseconds = (uint64_t)(number * units[index].scale);
                return true;
            }
    complain("--%s takes a time above zero such as 30s, 500ms or 2m, not '%s'", option, text);
    return false;
}

static bool parse_limit(const char *option, const char *text, uint64_t *nanoseconds)
{
    if (strcmp(text, "none") != 0)
        return parse_time(option, text, nanoseconds);
    *nanoseconds = 0;
    return true;
}

static bool parse_choice(const char *option, const char *text, const char *const *names, int *value)
{
    for (int index = 0; names[index] != NULL; index++)
        if (strcmp(text, names[index]) == 0) {
            *value = index;
            return true;
        }
    fprintf(stderr, "pvsim: --%s takes ", option);
    for (int index = 0; names[index] != NULL; index++)
        fprintf(stderr, "%s%s", index == 0 ? "" : names[index + 1] == NULL ? " or " : ", ", names[index]);
    fprintf(stderr, ", not '%s'\n", text);
    return false;
}

/* A driver brought along: the image is named for the file, as Windows names it. */
static bool add_driver(struct machine_config *config, const char *path)
{
    const char *file = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    size_t length = strlen(file);
    struct machine_driver *driver = &config->driver[config->driver_count];

    if (length < 4 || strcmp(file + length - 3, ".so") != 0 || length - 3 >= sizeof(driver->name)) {
        complain("--driver takes a driver module, NAME.so with a name of at most %zu characters, not '%s'",
                 sizeof(driver->name) - 1, path);
        return false;
    }
    if (config->driver_count == MACHINE_MAX_DRIVERS) {
        complain("--driver: %d are the most; a folder of drivers is --drivers DIR", MACHINE_MAX_DRIVERS);
        return false;
    }
    for (size_t index = 0; index < length - 3; index++)
        driver->name[index] = (char)tolower((unsigned char)file[index]);
    for (unsigned index = 0; index < config->driver_count; index++)
        if (strcmp(config->driver[index].name, driver->name) == 0) {
            complain("--driver: two modules named %s: '%s' and '%s'", driver->name, config->driver[index].module, path);
            return false;
        }
    driver->module = path;
    config->driver_count++;
    return true;
}

static bool add_inf(struct machine_config *config, const char *path)
{
    struct machine_driver *driver = config->driver_count > 0 ? &config->driver[config->driver_count - 1] : NULL;

    if (driver == NULL || driver->inf != NULL) {
        complain("--inf %s follows no --driver of its own: give each --driver NAME.so, then its --inf NAME.inf", path);
        return false;
    }
    driver->inf = path;
    return true;
}

static bool parse_host(const char *text, struct machine_host *host)
{
    if (xen_host_parse(text, host))
        return true;
    complain("--host takes xen-4.13, xen-4.17 or xen-4.19, with any of ,grant-v1 ,no-vectors ,viridian behind it, "
             "or none, with ,viridian behind it if you like, not '%s'",
             text);
    return false;
}

static bool parse_board(const char *text, struct machine_board *board)
{
    if (xen_board_parse(text, board))
        return true;
    complain("--board takes any of 0002, c000, rtl8139, e1000 (four cards at most, each with =MAC behind it), hda to "
             "hdd and cdrom (in the place of hdc), with commas between them, not '%s'",
             text);
    return false;
}

static bool parse_unplug(const char *text, struct machine_board *board)
{
    if (xen_unplug_parse(text, board))
        return true;
    complain("--unplug takes refuse, absent or blacklist=PRODUCT[:BUILD], not '%s'", text);
    return false;
}

static bool parse_backend(const char *text, struct backend_choice *backend)
{
    static const char *const kinds[] = {"stub", "none", "exec:COMMAND", NULL};
    int choice = BACKEND_EXEC;

    if (strncmp(text, "exec:", 5) == 0 && text[5] != '\0')
        backend->command = text + 5;
    else if (!parse_choice("backend", text, kinds, &choice))
        return false;
    backend->kind = (enum backend_kind)choice;
    return true;
}

static bool parse_features(const char *text, struct backend_choice *backend)
{
    char error[FEATURES_ERROR_MAX];

    backend->features_given = true;
    if (features_parse(text, &backend->features, error))
        return true;
    complain("--backend-features: %s", error);
    return false;
}

/* NAME=N. Of two for one name the later is the one that counts. */
static bool parse_store_quota(const char *text, struct machine_config *config)
{
    const char *equals = strchr(text, '=');
    const char *name = equals != NULL ? store_limit_name(text, (size_t)(equals - text)) : NULL;
    unsigned index = 0;
    uint64_t value;

    if (name == NULL) {
        complain("--store-quota takes NAME=N with a name that '--store-quota list' shows, not '%s'", text);
        return false;
    }
    if (!parse_number("store-quota NAME=N", equals + 1, 0, INT_MAX, &value))
        return false;
    while (index < config->store_limit_count && config->store_limit[index].name != name)
        index++;
    if (index == config->store_limit_count)
        config->store_limit_count++;
    config->store_limit[index] = (struct machine_store_limit){name, (unsigned)value};
    return true;
}

static bool parse_policy(const char *text, struct run_options *options)
{
    static const char *const policies[] = {"fifo", "random", "pct", NULL};
    uint64_t depth = 0;
    int choice = POLICY_PCT;

    if (strncmp(text, "pct:", 4) == 0) {
        if (!parse_number("policy pct:DEPTH", text + 4, 1, POLICY_PCT_DEPTH_MAX, &depth))
            return false;
    } else if (!parse_choice("policy", text, policies, &choice)) {
        return false;
    }
    options->machine.policy = (enum machine_policy)choice;
    options->machine.pct_depth = (unsigned)depth;
    return true;
}

/* A probability, kept as a whole number so that no rounding of the host's gets into a run. */
static bool parse_delay(const char *text, struct run_options *options)
{
    char *end;
    double probability;

    options->delay_list = strcmp(text, "list") == 0;
    if (options->delay_list)
        return true;
    errno = 0;
    probability = strtod(text, &end);
    if (errno == 0 && end != text && *end == '\0' && probability >= 0.000001 && probability <= 1) {
        options->machine.delay_ppm = (uint32_t)(probability * 1e6 + 0.5);
        return true;
    }
    complain("--delay takes a probability above 0 and up to 1, such as 0.05, or list, not '%s'", text);
    return false;
}

static void print_delays(void)
{
    char time[32];

    for (int kind = 0; kind < DELAY_KINDS; kind++)
        printf("%-11s up to %s: %s\n            %s\n", delay_rules[kind].kind,
               format_time(time, sizeof(time), delay_rules[kind].maximum_ns), delay_rules[kind].why,
               delay_rules[kind].page);
}

static bool run_option(int option, const char *value, struct run_options *options)
{
    static const char *const engines[] = {"det", "par", NULL};
    static const char *const preempts[] = {"call", "memory", NULL};
    static const char *const clocks[] = {"virtual", "paced", "wall", NULL};
    static const char *const formats[] = {"text", "json", NULL};
    static const char *const bugcheck_actions[] = {"report", "core", NULL};
    static const char *const paged_modes[] = {"plain", "strict", NULL};
    static const char *const levels[] = {"none", "error", "warning", "info", "debug", "trace", NULL};
    uint64_t number;
    int choice;

    switch (option) {
    case OPTION_VCPUS:
        if (!parse_number("vcpus", value, 1, MACHINE_MAX_VCPUS, &number))
            return false;
        options->machine.vcpus = (unsigned)number;
        return true;
    case OPTION_VIFS:
        if (!parse_number("vifs", value, 1, VIFS_MAX, &number))
            return false;
        options->vifs = (unsigned)number;
        options->vifs_given = true;
        return true;
    case OPTION_SEED:
        options->seed_given = true;
        return parse_number("seed", value, 0, UINT64_MAX, &options->machine.seed);
    case OPTION_BOOT_SEED:
        options->boot_seed_given = true;
        return parse_number("boot-seed", value, 0, UINT64_MAX, &options->boot_seed);
    case OPTION_POLICY:
        return parse_policy(value, options);
    case OPTION_PREEMPT:
        if (!parse_choice("preempt", value, preempts, &choice))
            return false;
        options->machine.preempt_memory = choice == 1;
        return true;
    case OPTION_DELAY:
        return parse_delay(value, options);
    case OPTION_ENGINE:
        if (!parse_choice("engine", value, engines, &choice))
            return false;
        options->machine.engine = choice == 0 ? ENGINE_DETERMINISTIC : ENGINE_PARALLEL;
        return true;
    case OPTION_CLOCK:
        if (!parse_choice("clock", value, clocks, &choice))
            return false;
        options->machine.clock = (enum machine_clock)choice;
        options->virtual_clock = choice != CLOCK_WALL;
        return true;
    case OPTION_THROUGH:
        return through_parse(value, &options->through);
    case OPTION_TX:
        options->tx = value;
        return true;
    case OPTION_RX:
        options->rx = value;
        return true;
    case OPTION_TX_FRAMES:
        options->tx_frames = value;
        return frames_check("tx-frames", value);
    case OPTION_RX_FRAMES:
        options->rx_frames = value;
        return frames_check("rx-frames", value);
    case OPTION_BATCH:
        if (!parse_number("batch", value, 1, REQUEST_FRAMES_MAX, &number))
            return false;
        options->batch = (unsigned)number;
        return true;
    case OPTION_PKTGEN:
        return parse_number("pktgen", value, 1, PKTGEN_ROUNDS_MAX, &options->rounds);
    case OPTION_RSS:
        options->rss = true;
        return true;
    case OPTION_MULTICAST_FILTER:
        options->multicast_filter = true;
        return true;
    case OPTION_OUT_TX:
        options->out_tx = value;
        return true;
    case OPTION_OUT_RX:
        options->out_rx = value;
        return true;
    case OPTION_LOG:
        if (!parse_choice("log", value, levels, &choice))
            return false;
        options->machine.log_level = choice;
        return true;
    case OPTION_TIMEOUT:
        return parse_time("timeout", value, &options->machine.timeout_ns);
    case OPTION_FORMAT:
        if (!parse_choice("format", value, formats, &choice))
            return false;
        options->format = (enum format)choice;
        return true;
    case OPTION_DRIVERS:
        options->machine.driver_dir = value;
        return true;
    case OPTION_DRIVER:
        return add_driver(&options->machine, value);
    case OPTION_INF:
        return add_inf(&options->machine, value);
    case OPTION_MEMORY:
        if (!parse_number("memory", value, 64, 4096, &number))
            return false;
        options->machine.ram_bytes = number << 20;
        return true;
    case OPTION_BUNDLE_DIR:
        options->bundle_dir = value;
        return true;
    case OPTION_STACKS:
        options->machine.stacks = true;
        return true;
    case OPTION_ON_BUGCHECK:
        if (!parse_choice("on-bugcheck", value, bugcheck_actions, &choice))
            return false;
        options->core = choice == 1;
        return true;
    case OPTION_ISR_LIMIT:
        return parse_limit("isr-limit", value, &options->machine.limits.isr);
    case OPTION_DPC_LIMIT:
        return parse_limit("dpc-limit", value, &options->machine.limits.dpc);
    case OPTION_DISPATCH_LIMIT:
        return parse_limit("dispatch-limit", value, &options->machine.limits.dispatch);
    case OPTION_PAGED:
        if (!parse_choice("paged", value, paged_modes, &choice))
            return false;
        options->machine.paged_strict = choice == 1;
        return true;
    case OPTION_HOST:
        return parse_host(value, &options->machine.host);
    case OPTION_BOARD:
        return parse_board(value, &options->machine.board);
    case OPTION_UNPLUG:
        return parse_unplug(value, &options->machine.board);
    case OPTION_MAX_GRANT_FRAMES:
        if (!parse_number("max-grant-frames", value, 1, XEN_GRANT_FRAMES_LIMIT, &number))
            return false;
        options->machine.max_grant_frames = (unsigned)number;
        return true;
    case OPTION_STORE_QUOTA:
        return parse_store_quota(value, &options->machine);
    case OPTION_BACKEND:
        return parse_backend(value, &options->backend);
    case OPTION_BACKEND_DOMID:
        if (!parse_number("backend-domid", value, 0, DOM0_DOMID_MAX, &number))
            return false;
        options->backend.domid = (unsigned)number;
        return true;
    case OPTION_BACKEND_FEATURES:
        return parse_features(value, &options->backend);
    case OPTION_BUSY_POLL:
        if (!parse_number("busy-poll", value, 0, NETBACK_BUSY_POLL_MAX_US, &number))
            return false;
        options->backend.busy_poll_us = (unsigned)number;
        return true;
    case OPTION_RUN_DIR:
        options->run_dir = value;
        return true;
    case OPTION_NO_BUNDLE:
        options->no_bundle = true;
        return true;
    case OPTION_FAIL:
        return fault_option_parse(value, &options->machine.faults);
    default:
        return false;
    }
}

/*
 * The folder of driver modules beside the program (a build), or in lib/pvsim of the prefix that it was installed in:
 * "drivers", or the one with those that can be preempted anywhere.
 */
static const char *default_driver_dir(bool preempt_memory)
{
    static char path[PATH_MAX];
    const char *name = preempt_memory ? "drivers-memory" : "drivers";
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/../lib/pvsim/drivers-memory"));
    char *slash;

    if (length <= 0)
        return name;
    path[length] = '\0';
    slash = strrchr(path, '/');
    strcpy(stpcpy(slash, "/"), name);
    if (access(path, F_OK) != 0)
        strcpy(stpcpy(slash, "/../lib/pvsim/"), name);
    return path;
}

/* What does not go together; 0 or an exit status after one line. */
static int check_run(struct run_options *options)
{
    const char *refused;

    if (options->virtual_clock && options->machine.engine == ENGINE_DEFAULT)
        options->machine.engine = ENGINE_DETERMINISTIC;
    if (options->virtual_clock && options->machine.engine == ENGINE_PARALLEL) {
        complain("--clock virtual or paced with --engine par: the parallel engine runs in real time, its clock is the "
                 "wall's");
        return EXIT_USAGE;
    }
    refused = machine_config_refused(&options->machine);
    if (refused != NULL) {
        complain("%s", refused);
        return EXIT_USAGE;
    }
    if (backend_is_outside(&options->backend) && options->backend.busy_poll_us != 0) {
        complain("--busy-poll with --backend none or exec: how it waits is for that program to say");
        return EXIT_USAGE;
    }
    if (backend_is_outside(&options->backend) && options->backend.features_given) {
        complain("--backend-features with --backend none or exec: what is offered is for that program to say");
        return EXIT_USAGE;
    }
    options->machine.engine = machine_engine_of(&options->machine);
    if (options->machine.engine == ENGINE_PARALLEL)
        options->machine.clock = CLOCK_WALL;
    if (options->out_tx != NULL && options->tx == NULL) {
        complain("--out-tx without --tx: there is nothing to send");
        return EXIT_USAGE;
    }
    if (options->out_rx != NULL && options->rx == NULL) {
        complain("--out-rx without --rx: there is nothing to receive");
        return EXIT_USAGE;
    }
    return 0;
}

/* What getopt_long() gave, or the line for what it could not take. 0: go on, -1: help was asked for. */
static int take_option(int option, const char *word, const char *command)
{
    if (option == 'h') {
        help_print(stdout, command);
        return -1;
    }
    if (option == OPTION_STORE_QUOTA && strcmp(optarg, "list") == 0) {
        store_limits_list(stdout);
        return -1;
    }
    if (option != ':' && option != '?')
        return 0;
    complain(option == ':' ? "%s takes a value; see 'pvsim %s --help'" : "unknown option %s; see 'pvsim %s --help'",
             word, command);
    return EXIT_USAGE;
}

static void set_defaults(struct run_options *options)
{
    memset(options, 0, sizeof(*options));
    options->machine = machine_default_config();
    options->backend.features = features_default;
    options->vifs = 1;
    options->batch = 1;
    options->bundle_dir = ".";
    optind = 0; /* start afresh: a replay parses a second command line */
    opterr = 0;
}

/* All options are read: what is left of the line, and what does not go together. */
static int end_options(int argc, char **argv, const char *command, struct run_options *options)
{
    if (optind < argc) {
        complain("unexpected argument '%s'; see 'pvsim %s --help'", argv[optind], command);
        return EXIT_USAGE;
    }
    if (options->delay_list) {
        print_delays();
        return -1;
    }
    if (options->machine.driver_dir == NULL)
        options->machine.driver_dir = default_driver_dir(options->machine.preempt_memory);
    return check_run(options);
}

/*
 * A machine without Xen has no interfaces: it is booted, every driver finds that there is nothing for it, and it is
 * taken down. 0 or an exit status after one line.
 */
static int check_no_xen(struct run_options *options)
{
    const char *refused = NULL;

    if (options->machine.host.xen_minor != XEN_MINOR_NONE)
        return 0;
    if (options->tx != NULL || options->rx != NULL || options->vifs_given)
        refused = "--host none with --tx, --rx or --vifs: a machine without Xen has no VIF to carry anything";
    else if (backend_is_outside(&options->backend) || options->backend.domid != 0 || options->run_dir != NULL)
        refused = "--host none with --backend or --run-dir: a machine without Xen has nothing for a backend";
    else if (options->through.count != 0)
        refused = "--host none with --through: a machine without Xen has no suspend, and no device that comes back";
    else if (options->machine.faults.count != 0)
        refused = "--host none with --fail: no device connects that could be seen to come back";
    if (refused != NULL) {
        complain("%s", refused);
        return EXIT_USAGE;
    }
    options->vifs = 0;
    return 0;
}

/* What a program's interfaces do not go together with; 0 or an exit status after one line. */
static int check_backend(struct run_options *options)
{
    const char *refused = NULL;

    if (!backend_is_outside(&options->backend) && options->run_dir != NULL)
        refused = "--run-dir without --backend none or exec:COMMAND: no program comes to this machine";
    if (backend_is_outside(&options->backend) && options->machine.faults.count != 0)
        refused = "--fail with --backend none or exec: that the devices come back is shown with pvsim's own backend";
    if (backend_is_outside(&options->backend) && options->through.count != 0)
        refused =
            "--through with --backend none or exec: what the guest goes through is shown with pvsim's own backend";
    if (options->machine.faults.count != 0 && options->through.count != 0)
        refused = "--through with --fail: under faults the guest sleeps and migrates in any case";
    if (backend_is_outside(&options->backend) && options->out_tx != NULL)
        refused = "--out-tx with --backend none or exec: what the guest sends arrives at that program";
    if (refused != NULL) {
        complain("%s", refused);
        return EXIT_USAGE;
    }
    if (backend_is_outside(&options->backend) && options->machine.clock == CLOCK_VIRTUAL)
        options->machine.clock = CLOCK_PACED;
    return 0;
}

/* What a packet generator does not go together with; 0 or an exit status after one line. */
static int check_pktgen(const struct run_options *options)
{
    const char *refused = NULL;

    if (options->rounds == 0)
        return 0;
    if (options->tx == NULL && options->rx == NULL)
        refused = "--pktgen without --tx or --rx: there is nothing to carry";
    else if (options->batch > PKTGEN_BATCH_MAX)
        refused = "--pktgen with --batch above 256: half of the frames on their way at once are the most in a row";
    else if (backend_is_outside(&options->backend))
        refused = "--pktgen with --backend none or exec: the frames come from, and go to, pvsim's own backend";
    else if (options->backend.features.max_queues > 1)
        refused = "--pktgen with queues above 1 in --backend-features: which frame is next is known of one queue alone";
    else if (options->machine.faults.count != 0)
        refused = "--pktgen with --fail: a generator does not start again after a fault";
    else if (options->out_tx != NULL || options->out_rx != NULL)
        refused = "--pktgen with --out-tx or --out-rx: frames are checked where they are, and not kept";
    if (refused == NULL)
        return 0;
    complain("%s", refused);
    return EXIT_USAGE;
}

int options_parse_run(int argc, char **argv, struct run_options *options)
{
    int status;
    int option;

    set_defaults(options);
    options->machine.timeout_ns = UINT64_C(60000000000);
    while ((option = getopt_long(argc, argv, ":h", run_long_options, NULL)) != -1) {
        status = take_option(option, argv[optind - 1], "run");
        if (status != 0)
            return status;
        if (option == OPTION_FAIL && strcmp(optarg, "list") == 0) {
            fault_option_list(stdout);
            return -1;
        }
        if (!run_option(option, optarg, options))
            return EXIT_USAGE;
    }
    status = end_options(argc, argv, "run", options);
    if (status == 0)
        status = check_no_xen(options);
    if (status == 0)
        status = check_pktgen(options);
    return status != 0 ? status : check_backend(options);
}

const char *domain_name_refused(const char *name)
{
    if (*name != '\0' && strlen(name) <= DOMAIN_NAME_MAX && strchr(name, '/') == NULL &&
        strspn(name, "0123456789") != strlen(name))
        return NULL;
    return "1 to 40 characters, no '/' and not digits alone, which would be a domain's number";
}

_Static_assert(DOMAIN_NAME_MAX == 40, "the line on names");

static bool take_name(const char *text, struct create_options *options)
{
    const char *refused = domain_name_refused(text);

    if (refused != NULL) {
        complain("--name takes %s, not '%s'", refused, text);
        return false;
    }
    options->name = text;
    return true;
}

static bool take_toolstack_timeout(const char *text, struct create_options *options)
{
    uint64_t nanoseconds;

    if (!parse_time("toolstack-timeout", text, &nanoseconds))
        return false;
    if (nanoseconds < 1000000 || nanoseconds > UINT64_C(86400000000000)) {
        complain("--toolstack-timeout takes a time from 1ms to 24 hours, not '%s'", text);
        return false;
    }
    options->timeout_ms = (unsigned)(nanoseconds / 1000000);
    return true;
}

static bool parse_store(const char *text, struct create_options *options)
{
    static const char *const kinds[] = {"builtin", "external", "exec:COMMAND", NULL};
    int choice = STORE_EXEC;

    if (strncmp(text, "exec:", 5) == 0 && text[5] != '\0')
        options->store_command = text + 5;
    else if (!parse_choice("store", text, kinds, &choice))
        return false;
    options->store = (enum store_kind)choice;
    return true;
}

static bool parse_either(const char *option, const char *text, const char *no, const char *yes, bool *value)
{
    const char *const choices[] = {no, yes, NULL};
    int choice = 0;

    if (!parse_choice(option, text, choices, &choice))
        return false;
    *value = choice != 0;
    return true;
}

static bool create_option(int option, const char *value, struct create_options *options)
{
    uint64_t number;

    switch (option) {
    case 'p':
        options->paused = true;
        return true;
    case 'c':
        options->attach = true;
        return true;
    case OPTION_NAME:
        return take_name(value, options);
    case OPTION_VIFS: /* in the place of those of the file, and of the cards that stand for them */
        if (options->vif != NULL && !options->board_given)
            options->run.machine.board.nics = 0;
        options->vif = NULL;
        return run_option(option, value, &options->run);
    case OPTION_BOARD:
        options->board_given = true;
        return run_option(option, value, &options->run);
    case OPTION_MEMORY:
        options->target_kib = 0;
        return run_option(option, value, &options->run);
    case OPTION_VCPUS:
        if (!options->max_vcpus_given)
            options->max_vcpus = 0;
        return run_option(option, value, &options->run);
    case OPTION_MAXVCPUS:
        if (!parse_number("maxvcpus", value, 1, MACHINE_MAX_VCPUS, &number))
            return false;
        options->max_vcpus = (unsigned)number;
        options->max_vcpus_given = true;
        return true;
    case OPTION_TOOLSTACK_TIMEOUT:
        return take_toolstack_timeout(value, options);
    case OPTION_STORE:
        return parse_store(value, options);
    case OPTION_AGENT:
        return parse_either("agent", value, "off", "on", &options->agent);
    case OPTION_CONSOLE:
        return parse_either("console", value, "external", "builtin", &options->console);
    default:
        return run_option(option, value, &options->run);
    }
}

#define CREATE_LETTERS ":hpc" /* as getopt() takes them */

/*
 * Look for the configuration file that the line names: options may stand on either side of it. A line that asks for
 * help, or is wrong, names none. 0, or an exit status after a line.
 */
static int find_file(int argc, char **argv, const struct option *table, const char **file)
{
    int option;

    do
        option = getopt_long(argc, argv, CREATE_LETTERS, table, NULL);
    while (option != -1 && option != 'h' && option != '?' && option != ':');
    *file = NULL;
    if (option == -1 && argc - optind > 1) {
        complain("unexpected argument '%s' behind the configuration file '%s'; see 'pvsim create --help'",
                 argv[optind + 1], argv[optind]);
        return EXIT_USAGE;
    }
    if (option == -1 && optind < argc)
        *file = argv[optind];
    optind = 0; /* the options are read afterwards: they override the file */
    return 0;
}

int options_parse_create(int argc, char **argv, struct create_options *options)
{
    static const struct option own[] = {
        {"name", required_argument, NULL, OPTION_NAME},
        {"toolstack-timeout", required_argument, NULL, OPTION_TOOLSTACK_TIMEOUT},
        {"store", required_argument, NULL, OPTION_STORE},
        {"maxvcpus", required_argument, NULL, OPTION_MAXVCPUS},
        {"agent", required_argument, NULL, OPTION_AGENT},
        {"console", required_argument, NULL, OPTION_CONSOLE},
        {"help", no_argument, NULL, 'h'},
    };
    struct option table[sizeof(run_long_options) / sizeof(run_long_options[0]) + sizeof(own) / sizeof(own[0])];
    const char *file;
    size_t count = 0;
    int option;
    int status;

    for (const struct option *row = run_long_options; row->name != NULL; row++)
        if (row->val >= OPTION_VCPUS && row->val < OPTIONS_OF_RUN)
            table[count++] = *row;
    for (size_t index = 0; index < sizeof(own) / sizeof(own[0]); index++)
        table[count++] = own[index];
    table[count] = (struct option){NULL, 0, NULL, 0};

    *options = (struct create_options){
        .store = STORE_BUILTIN, .name = "guest", .agent = true, .console = true, .restarted = CREATE_RESTARTED};
    set_defaults(&options->run);
    status = find_file(argc, argv, table, &file);
    if (status == 0 && file != NULL)
        status = xlcfg_read(file, options);
    if (status != 0)
        return status;
    while ((option = getopt_long(argc, argv, CREATE_LETTERS, table, NULL)) != -1) {
        status = take_option(option, argv[optind - 1], "create");
        if (status != 0)
            return status;
        if (!create_option(option, optarg, options))
            return EXIT_USAGE;
    }
    if (options->run.machine.host.xen_minor == XEN_MINOR_NONE) {
        complain("--host none with create: a machine that stays up is a domain of Xen's; 'pvsim run --host none' boots "
                 "one without Xen");
        return EXIT_USAGE;
    }
    if (options->max_vcpus != 0 && options->max_vcpus < options->run.machine.vcpus) {
        complain("--maxvcpus %u is less than the %u vCPUs that the guest starts with", options->max_vcpus,
                 options->run.machine.vcpus);
        return EXIT_USAGE;
    }
    if (options->store != STORE_BUILTIN && options->run.backend.domid != 0) {
        complain("--backend-domid with --store %s: a driver domain reaches a store beside the machine by a ring of its "
                 "kernel's, and has none here",
                 options->store == STORE_EXEC ? "exec" : "external");
        return EXIT_USAGE;
    }
    if (file != NULL)
        optind++;
    return end_options(argc, argv, "create", &options->run);
}
