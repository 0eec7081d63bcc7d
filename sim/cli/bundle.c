#include "cli/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine/eventlog.h"
#include "machine/fail.h"
#include "machine/log.h"
#include "machine/fnv.h"
#include "machine/peer.h"

#define FORMAT_VERSION 1

/* Over a file's bytes. False with errno if unreadable. */
static bool hash_file(const char *path, uint64_t *hash)
{
    FILE *file = fopen(path, "rb");
    unsigned char buffer[65536];
    size_t count;

    if (file == NULL)
        return false;
    while ((count = fread(buffer, 1, sizeof(buffer), file)) > 0)
        *hash = fnv1a(*hash, buffer, count);
    fclose(file);
    return true;
}

static int is_module(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return dot != NULL && (strcmp(dot, ".so") == 0 || strcmp(dot, ".inf") == 0);
}

/* One number for the program and every driver module and INF. */
static uint64_t build_hash(const struct machine_config *config)
{
    uint64_t hash = FNV1A_START;
    struct dirent **entries;
    int count;

    (void)hash_file("/proc/self/exe", &hash);
    count = scandir(config->driver_dir, &entries, is_module, alphasort);
    for (int index = 0; index < count; index++) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", config->driver_dir, entries[index]->d_name);
        (void)hash_file(path, &hash);
        free(entries[index]);
    }
    if (count >= 0)
        free(entries);
    for (unsigned index = 0; index < config->driver_count; index++) {
        (void)hash_file(config->driver[index].module, &hash);
        if (config->driver[index].inf != NULL)
            (void)hash_file(config->driver[index].inf, &hash);
    }
    return hash;
}

static json_t *json_hash(uint64_t hash)
{
    char text[32];

    snprintf(text, sizeof(text), "%016" PRIx64, hash);
    return json_string(text);
}

static json_t *json_inputs(const struct run_options *options)
{
    json_t *inputs = json_object();
    const char *paths[] = {options->tx, options->rx};

    for (size_t index = 0; index < sizeof(paths) / sizeof(paths[0]); index++) {
        uint64_t hash = FNV1A_START;

        if (paths[index] != NULL && hash_file(paths[index], &hash))
            json_object_set_new(inputs, paths[index], json_hash(hash));
    }
    return inputs;
}

void bundle_identify(const struct report *report, struct run_outcome *outcome)
{
    const char *name = report_passed(report)          ? ""
                       : report->failure != NULL      ? report->failure->rule
                       : report->leak_count > 0       ? "leak"
                       : report->complaint[0] != '\0' ? "verdict"
                                                      : "frames";
    const char *text = report->failure != NULL ? report->failure->text : report->complaint;

    snprintf(outcome->rule, sizeof(outcome->rule), "%s", name);
    outcome->event = report->failure != NULL ? report->failure->event : report->events;
    outcome->hash = report->hash;
    outcome->code = report->failure != NULL ? report->failure->code : 0;
    if (*text == '\0' && report->leak_count > 0)
        snprintf(outcome->text, sizeof(outcome->text), "%s: %s", report->leaks[0].kind, report->leaks[0].name);
    else if (*text == '\0')
        report_verdict(report, outcome->text, sizeof(outcome->text));
    else
        snprintf(outcome->text, sizeof(outcome->text), "%.*s", (int)strcspn(text, "\n"), text);
    snprintf(outcome->bundle, sizeof(outcome->bundle), "%s", report->bundle);
}

static json_t *json_schedule(const struct schedule *schedule)
{
    json_t *list = json_array();
    char text[96];

    for (size_t index = 0; index < schedule->count; index++) {
        schedule_print(text, sizeof(text), &schedule->list[index]);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

/* What came from programs is kept beside the bundle at this path; how it is named there. NULL after one line. */
static json_t *keep_peers(struct report *report, const char *path)
{
    size_t length = strlen(path);
    uint64_t hash = FNV1A_START;
    const char *name;
    char kept[PATH_MAX];

    if (length > strlen(".bundle") && strcmp(path + length - strlen(".bundle"), ".bundle") == 0)
        length -= strlen(".bundle");
    snprintf(kept, sizeof(kept), "%.*s.peers", (int)length, path);
    if (!peers_record_flush() || !hash_file(report->peers, &hash) || rename(report->peers, kept) != 0) {
        complain("the bundle cannot be replayed: what the backend did is not in %s: %s", kept, strerror(errno));
        return NULL;
    }
    name = strrchr(kept, '/');
    return json_pack("{s:s, s:o}", "file", name != NULL ? name + 1 : kept, "hash", json_hash(hash));
}

void bundle_write(struct report *report, int argc, char **argv)
{
    char path[PATH_MAX];
    char verdict[256];
    struct run_outcome outcome;
    char *log = malloc(65536);
    char *events = malloc(65536);
    char *directory = getcwd(NULL, 0);
    json_t *arguments = json_array();
    json_t *object;

    if (log == NULL || events == NULL || directory == NULL)
        abort();
    bundle_identify(report, &outcome);
    report_verdict(report, verdict, sizeof(verdict));
    log_tail(log, 65536);
    eventlog_tail(events, 65536, 200);
    for (int index = 1; index < argc; index++)
        json_array_append_new(arguments, json_string(argv[index]));
    object = json_pack("{s:i, s:s, s:s, s:o, s:o, s:o, s:I, s:s, s:I, s:o, s:s, s:s, s:s, s:s, s:s, s:s}",
                       "pvsim_bundle", FORMAT_VERSION, "version", PVSIM_VERSION, "directory", directory, "arguments",
                       arguments, "build", json_hash(build_hash(&report->options->machine)), "inputs",
                       json_inputs(report->options), "seed", (json_int_t)report->options->machine.seed, "rule",
                       outcome.rule, "event", (json_int_t)outcome.event, "hash", json_hash(outcome.hash), "verdict",
                       verdict, "text", report->failure != NULL ? report->failure->text : report->complaint, "title",
                       report->failure != NULL ? report->failure->title : "", "backtrace",
                       report->failure != NULL ? report->failure->backtrace : "", "events", events, "log", log);
    snprintf(path, sizeof(path), "%s/pvsim-%" PRIu64 "-%" PRIu64 ".bundle", report->options->bundle_dir,
             report->options->machine.seed, outcome.event);
    if (object != NULL && report->options->machine.schedule != NULL)
        json_object_set_new(object, "schedule", json_schedule(report->options->machine.schedule));
    if (report->options->bundle_path != NULL)
        snprintf(path, sizeof(path), "%s", report->options->bundle_path);
    if (object != NULL && report->peers != NULL)
        json_object_set_new(object, "peers", keep_peers(report, path));
    if (object == NULL)
        complain("no bundle: the log holds text that JSON cannot carry");
    else if (json_dump_file(object, path, JSON_INDENT(1)) != 0)
        complain("no bundle: cannot write %s: %s", path, strerror(errno));
    else
        snprintf(report->bundle, sizeof(report->bundle), "%s", path);
    json_decref(object);
    free(log);
    free(events);
    free(directory);
}

static bool read_schedule(json_t *list, struct bundle *bundle)
{
    bundle->has_schedule = list != NULL;
    for (size_t index = 0; index < json_array_size(list); index++) {
        const char *text = json_string_value(json_array_get(list, index));
        struct decision decision;

        if (text == NULL || !schedule_parse(text, &decision))
            return false;
        schedule_add(&bundle->schedule, &decision);
    }
    if (bundle->schedule.count != 0)
        schedule_sort(&bundle->schedule);
    return true;
}

static int malformed(const char *path, const char *what)
{
    complain("%s is no bundle that this version reads: %s", path, what);
    return EXIT_USAGE;
}

static int check_inputs(const char *path, json_t *inputs)
{
    const char *name;
    json_t *value;

    json_object_foreach(inputs, name, value)
    {
        uint64_t hash = FNV1A_START;

        if (!hash_file(name, &hash)) {
            complain("%s needs the capture %s: %s", path, name, strerror(errno));
            return EXIT_NOT_HERE;
        }
        if (!json_is_string(value) || strtoull(json_string_value(value), NULL, 16) != hash) {
            complain("%s: the capture %s has changed since", path, name);
            return EXIT_NOT_HERE;
        }
    }
    return 0;
}

/* The record beside the bundle: 0, or an exit status after one line. */
static int read_peers(const char *path, json_t *peers, const struct run_options *options, struct bundle *bundle)
{
    const char *slash = strrchr(path, '/');
    uint64_t hash = FNV1A_START;
    const char *file;
    const char *expected;

    if (!backend_is_outside(&options->backend) || options->machine.engine == ENGINE_PARALLEL)
        return 0;
    if (json_unpack(peers, "{s:s, s:s}", "file", &file, "hash", &expected) != 0 || strchr(file, '/') != NULL) {
        complain("%s names no record of what its backend did, without which the run cannot be made again", path);
        return EXIT_USAGE;
    }
    if (asprintf(&bundle->peers, "%.*s%s", slash != NULL ? (int)(slash + 1 - path) : 0, path, file) < 0)
        abort();
    if (!hash_file(bundle->peers, &hash)) {
        complain("%s needs the record %s: %s", path, bundle->peers, strerror(errno));
        return EXIT_NOT_HERE;
    }
    if (strtoull(expected, NULL, 16) != hash) {
        complain("%s: the record %s has changed since", path, bundle->peers);
        return EXIT_NOT_HERE;
    }
    return 0;
}

int bundle_read(const char *path, struct bundle *bundle)
{
    json_error_t error;
    json_t *object = json_load_file(path, 0, &error);
    const char *rule;
    const char *hash;
    const char *verdict;
    const char *build;
    const char *directory;
    json_t *arguments;
    json_t *inputs;
    json_int_t event;
    int version;
    int status;

    memset(bundle, 0, sizeof(*bundle));
    if (object == NULL)
        return malformed(path, error.text);
    if (json_unpack_ex(object, &error, 0, "{s:i, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:I}", "pvsim_bundle", &version,
                       "rule", &rule, "hash", &hash, "verdict", &verdict, "build", &build, "directory", &directory,
                       "arguments", &arguments, "inputs", &inputs, "event", &event) != 0) {
        status = malformed(path, error.text);
        json_decref(object);
        return status;
    }
    if (version != FORMAT_VERSION || !json_is_array(arguments) || !json_is_object(inputs) ||
        !read_schedule(json_object_get(object, "schedule"), bundle)) {
        json_decref(object);
        return malformed(path, "another format");
    }

    bundle->argc = (int)json_array_size(arguments) + 1;
    bundle->argv = calloc((size_t)bundle->argc + 1, sizeof(*bundle->argv));
    bundle->argv[0] = strdup("run");
    for (int index = 1; index < bundle->argc; index++) {
        const char *argument = json_string_value(json_array_get(arguments, (size_t)index - 1));

        bundle->argv[index] = strdup(argument != NULL ? argument : "");
    }
    snprintf(bundle->rule, sizeof(bundle->rule), "%s", rule);
    snprintf(bundle->verdict, sizeof(bundle->verdict), "%s", verdict);
    bundle->event = (uint64_t)event;
    bundle->hash = strtoull(hash, NULL, 16);

    status = 0;
    if (chdir(directory) != 0) {
        complain("%s was written in %s: %s", path, directory, strerror(errno));
        status = EXIT_NOT_HERE;
    }
    if (status == 0) {
        struct run_options options;

        status = options_parse_run(bundle->argc, bundle->argv, &options);
        if (status == 0 && strtoull(build, NULL, 16) != build_hash(&options.machine)) {
            complain("%s comes from another build of pvsim or of the drivers; build that one to see it again", path);
            status = EXIT_NOT_HERE;
        }
        if (status == 0)
            status = read_peers(path, json_object_get(object, "peers"), &options, bundle);
    }
    if (status == 0)
        status = check_inputs(path, inputs);
    json_decref(object);
    return status;
}

void bundle_free(struct bundle *bundle)
{
    for (int index = 0; index < bundle->argc; index++)
        free(bundle->argv[index]);
    free(bundle->argv);
    free(bundle->peers);
    schedule_free(&bundle->schedule);
}
