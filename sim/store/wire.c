/* Requests: which there are, who may send them, what their payloads look like. */
#include "store/store_internal.h"

#include "machine/eventlog.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRIVILEGED 1u     /* domain 0 only: EACCES */
#define NO_TRANSACTION 2u /* the transaction identifier is not looked at */

/* Bytes of a reply that is sent even to a domain that has used its memory up. */
#define SMALL_REPLY 20u

/* Strings that a request's handler takes at most. */
#define MAX_STRINGS 3u

static void reply_error(const struct store_request *request, int error)
{
    const char *name = "EINVAL";

    for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++) {
        if (xsd_errors[i].errnum == error) {
            name = xsd_errors[i].errstring;
            break;
        }
    }
    store_connection_send(request->connection, XS_ERROR, request->header->req_id, request->header->tx_id, name,
                          (uint32_t)strlen(name) + 1);
}

void store_wire_reply(const struct store_request *request, const void *payload, size_t length)
{
    const struct xsd_sockmsg *header = request->header;

    if (length > XENSTORE_PAYLOAD_MAX)
        reply_error(request, E2BIG);
    else if (length > SMALL_REPLY && store_memory_refused(request->connection->domid, (int)(sizeof(*header) + length)))
        reply_error(request, ENOMEM);
    else
        store_connection_send(request->connection, header->type, header->req_id, header->tx_id, payload,
                              (uint32_t)length);
}

void store_wire_reply_ok(const struct store_request *request)
{
    store_wire_reply(request, "OK", sizeof("OK"));
}

const char *store_wire_one_string(const struct store_request *request)
{
    const uint8_t *end = request->length ? memchr(request->payload, '\0', request->length) : NULL;

    return end && end == request->payload + request->length - 1 ? (const char *)request->payload : NULL;
}

unsigned store_wire_strings(const struct store_request *request, const char **string, unsigned count)
{
    unsigned found = 0;
    uint32_t start = 0;

    for (uint32_t at = 0; at < request->length; at++) {
        if (request->payload[at] != '\0')
            continue;
        if (found < count)
            string[found] = (const char *)request->payload + start;
        found++;
        start = at + 1;
    }
    return found;
}

static int handle_watch(const struct store_request *request)
{
    const char *string[2];
    int error;

    if (store_wire_strings(request, string, 2) != 2)
        return EINVAL;
    error = store_watch_add(request->connection, string[0], string[1]);
    if (error)
        return error;
    store_wire_reply_ok(request);
    store_watch_fire_first(request->connection);
    return 0;
}

static int handle_unwatch(const struct store_request *request)
{
    const char *string[2];
    int error;

    if (store_wire_strings(request, string, 2) != 2)
        return EINVAL;
    error = store_watch_remove(request->connection, string[0], string[1]);
    if (!error)
        store_wire_reply_ok(request);
    return error;
}

static int handle_reset_watches(const struct store_request *request)
{
    store_watches_drop(request->connection);
    store_transactions_drop(request->connection);
    store_wire_reply_ok(request);
    return 0;
}

static int handle_transaction_start(const struct store_request *request)
{
    char text[16];
    uint32_t id;
    int error;

    if (request->transaction)
        return EBUSY;
    error = store_transaction_start(request->connection, &id);
    if (!error)
        store_wire_reply(request, text, (size_t)snprintf(text, sizeof(text), "%u", id) + 1);
    return error;
}

static int handle_transaction_end(const struct store_request *request)
{
    const char *argument = store_wire_one_string(request);
    int error;

    if (!argument || (strcmp(argument, "T") != 0 && strcmp(argument, "F") != 0))
        return EINVAL;
    if (!request->transaction)
        return ENOENT;
    error = store_transaction_end(request->connection, request->transaction, argument[0] == 'T');
    if (!error)
        store_wire_reply_ok(request);
    return error;
}

/* As the daemon reads numbers: leading digits, what follows is ignored, none is 0. */
static unsigned domid_of(const char *string)
{
    return (unsigned)strtoul(string, NULL, 10);
}

static int handle_introduce(const struct store_request *request)
{
    const char *string[MAX_STRINGS];
    long port;
    int error;

    if (store_wire_strings(request, string, 3) < 3)
        return EINVAL;
    /* The frame number (string[1]) is not needed: the ring is mapped by the grant reference reserved for it. */
    port = strtol(string[2], NULL, 10);
    if (port <= 0 || port > INT32_MAX)
        return EINVAL;
    error = store_domain_introduce(domid_of(string[0]), (uint32_t)port);
    if (!error)
        store_wire_reply_ok(request);
    return error;
}

static int handle_with_domid(const struct store_request *request, int (*function)(unsigned domid))
{
    const char *argument = store_wire_one_string(request);
    int error;

    if (!argument)
        return EINVAL;
    error = function(domid_of(argument));
    if (!error)
        store_wire_reply_ok(request);
    return error;
}

static int handle_release(const struct store_request *request)
{
    const char *argument = store_wire_one_string(request);
    struct store_domain *domain;
    int error;

    if (!argument)
        return EINVAL;
    error = store_domain_to_release(domid_of(argument), &domain);
    if (error)
        return error;
    store_wire_reply_ok(request);
    store_domain_remove(domain);
    return 0;
}

static int handle_resume(const struct store_request *request)
{
    return handle_with_domid(request, store_domain_resume);
}

static int handle_set_target(const struct store_request *request)
{
    const char *string[2];
    int error;

    if (store_wire_strings(request, string, 2) < 2)
        return EINVAL;
    error = store_domain_set_target(domid_of(string[0]), domid_of(string[1]));
    if (!error)
        store_wire_reply_ok(request);
    return error;
}

static int handle_get_domain_path(const struct store_request *request)
{
    const char *argument = store_wire_one_string(request);
    char path[32];

    if (!argument)
        return EINVAL;
    store_wire_reply(request, path, (size_t)snprintf(path, sizeof(path), "/local/domain/%u", domid_of(argument)) + 1);
    return 0;
}

static int handle_is_domain_introduced(const struct store_request *request)
{
    const char *argument = store_wire_one_string(request);
    unsigned domid;

    if (!argument)
        return EINVAL;
    domid = domid_of(argument);
    /* Domain 0 is where the daemon runs; DOMID_SELF (0x7ff0) asks for the caller, which is connected. */
    store_wire_reply(request, domid == 0 || domid == 0x7ff0 || store_domain_is_introduced(domid) ? "T" : "F", 2);
    return 0;
}

static const struct wire_operation {
    const char *name;
    int (*handle)(const struct store_request *request);
    unsigned flags;
} operations[XS_TYPE_COUNT] = {
    [XS_CONTROL] = {"CONTROL", store_operation_control, PRIVILEGED},
    [XS_DIRECTORY] = {"DIRECTORY", store_operation_directory, 0},
    [XS_READ] = {"READ", store_operation_read, 0},
    [XS_GET_PERMS] = {"GET_PERMS", store_operation_get_permissions, 0},
    [XS_WATCH] = {"WATCH", handle_watch, NO_TRANSACTION},
    [XS_UNWATCH] = {"UNWATCH", handle_unwatch, NO_TRANSACTION},
    [XS_TRANSACTION_START] = {"TRANSACTION_START", handle_transaction_start, 0},
    [XS_TRANSACTION_END] = {"TRANSACTION_END", handle_transaction_end, 0},
    [XS_INTRODUCE] = {"INTRODUCE", handle_introduce, PRIVILEGED},
    [XS_RELEASE] = {"RELEASE", handle_release, PRIVILEGED},
    [XS_GET_DOMAIN_PATH] = {"GET_DOMAIN_PATH", handle_get_domain_path, 0},
    [XS_WRITE] = {"WRITE", store_operation_write, 0},
    [XS_MKDIR] = {"MKDIR", store_operation_mkdir, 0},
    [XS_RM] = {"RM", store_operation_rm, 0},
    [XS_SET_PERMS] = {"SET_PERMS", store_operation_set_permissions, 0},
    [XS_IS_DOMAIN_INTRODUCED] = {"IS_DOMAIN_INTRODUCED", handle_is_domain_introduced, PRIVILEGED},
    [XS_RESUME] = {"RESUME", handle_resume, PRIVILEGED},
    [XS_SET_TARGET] = {"SET_TARGET", handle_set_target, PRIVILEGED},
    [XS_RESET_WATCHES] = {"RESET_WATCHES", handle_reset_watches, 0},
    [XS_DIRECTORY_PART] = {"DIRECTORY_PART", store_operation_directory_part, 0},
};

static int dispatch(struct store_request *request)
{
    const struct wire_operation *operation;

    if (request->header->type >= XS_TYPE_COUNT || !operations[request->header->type].handle)
        return ENOSYS;
    operation = &operations[request->header->type];
    if ((operation->flags & PRIVILEGED) && !store_connection_privileged(request->connection))
        return EACCES;
    if (!(operation->flags & NO_TRANSACTION) && request->header->tx_id) {
        request->transaction = store_transaction_find(request->connection, request->header->tx_id);
        if (!request->transaction)
            return ENOENT;
    }
    return operation->handle(request);
}

/* A line for the log, or at the wish of a client (control log, logfile) for a file of his. */
static void trace(const struct store_request *request, int error)
{
    const struct store_state *store = machine->store;
    const struct store_connection *connection = request->connection;
    uint32_t type = request->header->type;
    bool known = type < XS_TYPE_COUNT && operations[type].name;
    char *line = image_printf("domain %u (%u): %s tx %u %.*s: %s", connection->domid, connection->number,
                              known ? operations[type].name : "unknown request", request->header->tx_id,
                              (int)request->length, (const char *)request->payload, error ? strerror(error) : "done");
    FILE *file = store->trace && store->trace_file ? fopen(store->trace_file, "a") : NULL;

    if (file) {
        fprintf(file, "%s\n", line);
        fclose(file);
    } else {
        log_line(store->trace ? LOG_INFO : LOG_DEBUG, "store", "%s", line);
    }
    image_free(line);
}

void store_wire_handle(struct store_connection *connection, const struct xsd_sockmsg *header, const uint8_t *payload)
{
    struct store_request request = {
        .connection = connection,
        .header = header,
        .payload = payload,
        .length = header->len,
    };
    int error;

    store_connections_expire();
    error = dispatch(&request);

    eventlog_add(EVENT_STORE, connection->number, header->type, (uint64_t)error);
    if (machine->store->trace || log_enabled(LOG_DEBUG))
        trace(&request, error);
    if (error)
        reply_error(&request, error);
}
