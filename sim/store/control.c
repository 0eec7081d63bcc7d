/* XS_CONTROL: the daemon's commands. */
#include "store/store_internal.h"

#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int quota_list(const struct store_request *request, bool soft)
{
    char text[1024];
    size_t length = (size_t)snprintf(text, sizeof(text), "Quota settings:\n");

    for (const struct store_limit *limit = store_limits; limit->name; limit++) {
        if (limit->control && limit->soft == soft)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%-17s: %8u %s\n", limit->control,
                                       *store_limit_value(&machine->store->quota, limit), limit->meaning);
    }
    store_wire_reply(request, text, length + 1);
    return 0;
}

static int quota_set(const struct store_request *request, bool soft, const char *name, const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*end || value <= 0 || value > INT_MAX)
        return EINVAL;
    for (const struct store_limit *limit = store_limits; limit->name; limit++) {
        if (!limit->control || limit->soft != soft || strcmp(name, limit->control) != 0)
            continue;
        *store_limit_value(&machine->store->quota, limit) = (unsigned)value;
        store_wire_reply_ok(request);
        return 0;
    }
    return EINVAL;
}

/* What a domain has of that which is limited. */
static int quota_of_domain(const struct store_request *request, unsigned domid)
{
    const struct store_domain *domain = store_domain_find(domid);
    const struct store_connection *connection = domain ? domain->connection : NULL;
    const struct {
        const char *name;
        int64_t value;
    } figures[] = {
        {"nodes", domain ? domain->nodes : 0},
        {"watches", connection ? connection->watch_count : 0},
        {"transactions", connection ? connection->transaction_count : 0},
        {"outstanding", connection ? connection->out_count : 0},
        {"memory", domain ? domain->memory : 0},
    };
    char text[256];
    size_t length;

    if (!domain)
        return ENOENT;
    length = (size_t)snprintf(text, sizeof(text), "Domain %u:\n", domid);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%-16s: %8" PRId64 "\n", figures[i].name,
                                   figures[i].value);
    store_wire_reply(request, text, length + 1);
    return 0;
}

/* "quota": list; "quota|set|<name>|<value>": change; "quota|<domid>": what it has. */
static int control_quota(const struct store_request *request, const char *const *argument, unsigned count)
{
    if (count == 0)
        return quota_list(request, false);
    if (strcmp(argument[0], "set") == 0)
        return count == 3 ? quota_set(request, false, argument[1], argument[2]) : EINVAL;
    return count == 1 ? quota_of_domain(request, (unsigned)strtol(argument[0], NULL, 10)) : EINVAL;
}

static int control_quota_soft(const struct store_request *request, const char *const *argument, unsigned count)
{
    if (count == 0)
        return quota_list(request, true);
    if (count == 3 && strcmp(argument[0], "set") == 0)
        return quota_set(request, true, argument[1], argument[2]);
    return EINVAL;
}

static int control_check(const struct store_request *request, const char *const *argument, unsigned count)
{
    char *breach;

    (void)argument;
    if (count)
        return EINVAL;
    breach = store_check();
    if (breach) {
        log_line(LOG_ERROR, "store", "check: %s", breach);
        image_free(breach);
        return EIO;
    }
    store_wire_reply_ok(request);
    return 0;
}

static int control_log(const struct store_request *request, const char *const *argument, unsigned count)
{
    if (count != 1 || (strcmp(argument[0], "on") != 0 && strcmp(argument[0], "off") != 0))
        return EINVAL;
    machine->store->trace = argument[0][1] == 'n';
    store_wire_reply_ok(request);
    return 0;
}

/* Where the log of requests goes from now on. */
static int control_logfile(const struct store_request *request, const char *const *argument, unsigned count)
{
    if (count != 1)
        return EINVAL;
    image_free(machine->store->trace_file);
    machine->store->trace_file = image_strdup(argument[0]);
    store_wire_reply_ok(request);
    return 0;
}

/* A domain a line, into a file or the log. */
static int control_memreport(const struct store_request *request, const char *const *argument, unsigned count)
{
    const struct store_domain *domain;
    FILE *file = NULL;

    if (count > 1)
        return EINVAL;
    if (count) {
        file = fopen(argument[0], "a");
        if (!file)
            return EBADF;
    }
    for (domain = machine->store->domains; domain; domain = domain->next) {
        if (file)
            fprintf(file, "domain %u: %u nodes, %" PRId64 " bytes\n", domain->domid, domain->nodes, domain->memory);
        else
            log_line(LOG_INFO, "store", "domain %u: %u nodes, %" PRId64 " bytes", domain->domid, domain->nodes,
                     domain->memory);
    }
    if (file)
        fclose(file);
    store_wire_reply_ok(request);
    return 0;
}

static int control_print(const struct store_request *request, const char *const *argument, unsigned count)
{
    if (count != 1)
        return EINVAL;
    log_line(LOG_INFO, "store", "control: %s", argument[0]);
    store_wire_reply_ok(request);
    return 0;
}

/* A store in this process is not exchanged for another program: there never is an update to abort. */
static int control_live_update(const struct store_request *request, const char *const *argument, unsigned count)
{
    static const char none[] = "No live-update session active.";

    if (count == 1 && strcmp(argument[0], "-a") == 0) {
        store_wire_reply(request, none, sizeof(none));
        return 0;
    }
    log_line(LOG_WARNING, "store", "live-update: the built-in store can't be updated; run xenstored by \"pvsim dom0\"");
    return EINVAL;
}

static int control_help(const struct store_request *request, const char *const *argument, unsigned count);

static const struct control_command {
    const char *name;
    int (*run)(const struct store_request *request, const char *const *argument, unsigned count);
    const char *parameters;
} commands[] = {
    {"check", control_check, ""},
    {"log", control_log, "on|off"},
    {"live-update", control_live_update,
     "[-c <cmdline>] [-F] [-t <timeout>] <file>\n    Default timeout is 60 seconds."},
    {"logfile", control_logfile, "<file>"},
    {"memreport", control_memreport, "[<file>]"},
    {"print", control_print, "<string>"},
    {"quota", control_quota, "[set <name> <val>|<domid>]"},
    {"quota-soft", control_quota_soft, "[set <name> <val>]"},
    {"help", control_help, ""},
};

static int control_help(const struct store_request *request, const char *const *argument, unsigned count)
{
    char text[512];
    size_t length = 0;

    (void)argument;
    if (count)
        return EINVAL;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s\t%s\n", commands[i].name,
                                   commands[i].parameters);
    store_wire_reply(request, text, length + 1);
    return 0;
}

int store_operation_control(const struct store_request *request)
{
    const char *string[4];
    unsigned count = store_wire_strings(request, string, 4);

    if (count < 1 || count > 4)
        return EINVAL;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(string[0], commands[i].name) == 0)
            return commands[i].run(request, string + 1, count - 1);
    }
    return EINVAL;
}
