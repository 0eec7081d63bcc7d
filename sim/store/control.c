/* XS_CONTROL: the commands of the daemon that make sense here. Others are EINVAL, as for a daemon that lacks them. */
#include "store/store_internal.h"

#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct store_quota *store_quota(void)
{
    return &machine->store->quota;
}

static const struct quota_name {
    const char *name;
    size_t offset;
    const char *meaning;
} quota_names[] = {
    {"nodes", offsetof(struct store_quota, nodes), "Nodes per domain"},
    {"watches", offsetof(struct store_quota, watches), "Watches per domain"},
    {"transactions", offsetof(struct store_quota, transactions), "Transactions per domain"},
    {"outstanding", offsetof(struct store_quota, outstanding), "Outstanding requests per domain"},
    {"transaction-nodes", offsetof(struct store_quota, transaction_nodes),
     "Max. number of accessed nodes per transaction"},
    {"node-size", offsetof(struct store_quota, node_size), "Max. size of a node"},
    {"path-max", offsetof(struct store_quota, path_length), "Max. length of a node path"},
    {"permissions", offsetof(struct store_quota, permissions), "Max. number of permissions per node"},
};

static unsigned *quota_value(const struct quota_name *entry)
{
    return (unsigned *)((char *)&machine->store->quota + entry->offset);
}

/* "quota": list; "quota|set|<name>|<value>": change. */
static int control_quota(const struct store_request *request, const char *const *argument, unsigned count)
{
    if (count == 0) {
        char text[1024];
        size_t length = 0;

        for (size_t i = 0; i < sizeof(quota_names) / sizeof(quota_names[0]); i++)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%-17s: %8u %s\n", quota_names[i].name,
                                       *quota_value(&quota_names[i]), quota_names[i].meaning);
        store_wire_reply(request, text, length + 1);
        return 0;
    }
    if (count != 3 || strcmp(argument[0], "set") != 0)
        return EINVAL;
    for (size_t i = 0; i < sizeof(quota_names) / sizeof(quota_names[0]); i++) {
        unsigned long value;
        char *end;

        if (strcmp(argument[1], quota_names[i].name) != 0)
            continue;
        errno = 0;
        value = strtoul(argument[2], &end, 10);
        if (errno || *end || end == argument[2] || argument[2][0] == '-' || value == 0 || value > INT_MAX)
            return EINVAL;
        *quota_value(&quota_names[i]) = (unsigned)value;
        store_wire_reply_ok(request);
        return 0;
    }
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

static int control_print(const struct store_request *request, const char *const *argument, unsigned count)
{
    if (count != 1)
        return EINVAL;
    log_line(LOG_INFO, "store", "control: %s", argument[0]);
    store_wire_reply_ok(request);
    return 0;
}

static int control_help(const struct store_request *request, const char *const *argument, unsigned count);

static const struct control_command {
    const char *name;
    int (*run)(const struct store_request *request, const char *const *argument, unsigned count);
    const char *parameters;
} commands[] = {
    {"check", control_check, ""},
    {"print", control_print, "<string>"},
    {"quota", control_quota, "[set <name> <value>]"},
    {"help", control_help, ""},
};

static int control_help(const struct store_request *request, const char *const *argument, unsigned count)
{
    char text[512];
    size_t length;

    (void)argument;
    if (count)
        return EINVAL;
    length = (size_t)snprintf(text, sizeof(text), "commands:");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "\n%s %s", commands[i].name, commands[i].parameters);
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
