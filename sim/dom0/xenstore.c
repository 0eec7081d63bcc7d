/* libxenstore on the built-in store: connections and requests. xenstore.h of the distribution says what each call does.
 */
#include "dom0/heap.h"

#include "dom0/xenstore_handle.h"

#include "machine/kernel_lock.h"
#include "machine/sched.h"

#include <errno.h>
#include <inttypes.h>

/* The daemon has a message for the handle: sort it. Called by the daemon, or when the connection broke. */
static void on_message(void *argument)
{
    struct xs_handle *handle = argument;
    struct store_message *message;

    while ((message = store_receive(handle->connection))) {
        if (message->header.type == XS_WATCH_EVENT) {
            *handle->events_tail = message;
            handle->events_tail = &message->next;
            dom0_fd_set_readable(&handle->fd, true);
        } else {
            *handle->replies_tail = message;
            handle->replies_tail = &message->next;
            dom0_wake(handle->waiters);
        }
    }
    if (store_connection_broken(handle->connection)) {
        dom0_wake(handle->waiters);
        dom0_fd_set_readable(&handle->fd, true);
    }
}

struct xs_handle *xs_open(unsigned long flags)
{
    struct xs_handle *handle;
    KERNEL_SCOPE();

    handle = calloc(1, sizeof(*handle));
    handle->filter_unwatched = (flags & XS_UNWATCH_FILTER) != 0;
    handle->replies_tail = &handle->replies;
    handle->events_tail = &handle->events;
    dom0_fd_open(&handle->fd);
    handle->connection = store_connect(dom0_domid(), on_message, handle);
    return handle;
}

struct xs_handle *xs_daemon_open(void)
{
    return xs_open(0);
}

struct xs_handle *xs_domain_open(void)
{
    return xs_open(0);
}

struct xs_handle *xs_daemon_open_readonly(void)
{
    return xs_open(0);
}

static void free_messages(struct store_message *message)
{
    while (message) {
        struct store_message *next = message->next;

        free(message);
        message = next;
    }
}

void xs_close(struct xs_handle *xsh)
{
    KERNEL_SCOPE();

    if (!xsh)
        return;
    store_disconnect(xsh->connection);
    dom0_fd_close(&xsh->fd);
    free_messages(xsh->replies);
    free_messages(xsh->events);
    free(xsh);
}

void xs_daemon_close(struct xs_handle *xsh)
{
    xs_close(xsh);
}

static struct store_message *take_reply(struct xs_handle *handle, uint32_t request)
{
    struct store_message **link, *message;

    for (link = &handle->replies; *link; link = &(*link)->next) {
        message = *link;
        if (message->header.req_id != request)
            continue;
        *link = message->next;
        if (handle->replies_tail == &message->next)
            handle->replies_tail = link;
        return message;
    }
    return NULL;
}

static int error_number(const struct store_message *message)
{
    for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++) {
        size_t size = strlen(xsd_errors[i].errstring) + 1;

        if (message->header.len == size && memcmp(message->payload, xsd_errors[i].errstring, size) == 0)
            return xsd_errors[i].errnum;
    }
    return EINVAL;
}

/* The payload of a reply of the right type with a NUL behind it. */
static char *reply_payload(const struct store_message *reply, uint32_t type, uint32_t *length)
{
    char *payload;

    if (reply->header.type == XS_ERROR) {
        errno = error_number(reply);
        return NULL;
    }
    if (reply->header.type != type) {
        errno = EBADF;
        return NULL;
    }
    payload = malloc((size_t)reply->header.len + 1);
    memcpy(payload, reply->payload, reply->header.len);
    payload[reply->header.len] = '\0';
    if (length)
        *length = reply->header.len;
    return payload;
}

char *xs_request(struct xs_handle *handle, xs_transaction_t transaction, uint32_t type, const struct xs_part *part,
                 unsigned parts, uint32_t *length)
{
    struct store_message *reply;
    size_t size = 0, at = 0;
    uint8_t *payload;
    uint32_t request;
    unsigned tries = 0;
    char *result;

    KERNEL_SCOPE();

    sched_point(POINT_DOM0);
    for (unsigned i = 0; i < parts; i++)
        size += part[i].length;
    if (size > XENSTORE_PAYLOAD_MAX) {
        errno = E2BIG;
        return NULL;
    }
    payload = malloc(size);
    for (unsigned i = 0; i < parts; i++) {
        if (part[i].length)
            memcpy(payload + at, part[i].data, part[i].length);
        at += part[i].length;
    }
    request = ++handle->last_request;
    store_submit(handle->connection, type, request, transaction, payload, (uint32_t)size);
    free(payload);
    while (!(reply = take_reply(handle, request))) {
        if (store_connection_broken(handle->connection)) {
            errno = EIO;
            return NULL;
        }
        if (!dom0_wait(&handle->waiters, "store reply", &tries)) {
            errno = ETIMEDOUT;
            return NULL;
        }
    }
    result = reply_payload(reply, type, length);
    free(reply);
    return result;
}

bool xs_command(struct xs_handle *handle, xs_transaction_t transaction, uint32_t type, const struct xs_part *part,
                unsigned parts)
{
    char *reply = xs_request(handle, transaction, type, part, parts, NULL);

    free(reply);
    return reply != NULL;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
    struct xs_part part = xs_string(path);

    return xs_request(h, t, XS_READ, &part, 1, len);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data, unsigned int len)
{
    struct xs_part part[2] = {xs_string(path), {data, len}};

    return xs_command(h, t, XS_WRITE, part, 2);
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    struct xs_part part = xs_string(path);

    return xs_command(h, t, XS_MKDIR, &part, 1);
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    struct xs_part part = xs_string(path);

    return xs_command(h, t, XS_RM, &part, 1);
}

bool xs_restrict(struct xs_handle *h, unsigned domid)
{
    (void)h;
    (void)domid;
    errno = EOPNOTSUPP; /* the protocol has it no more; the header says that this always fails */
    return false;
}

/* The children's names, NUL behind each, got in parts because they do not fit in one reply. */
static char *directory_parts(struct xs_handle *h, xs_transaction_t t, const char *path, uint32_t *length)
{
    char generation[32] = "", *names = NULL;
    uint32_t at = 0;

    for (;;) {
        char offset[16];
        uint32_t size;
        size_t head;
        struct xs_part part[2] = {xs_string(path), {offset, (size_t)snprintf(offset, sizeof(offset), "%u", at) + 1}};
        char *reply = xs_request(h, t, XS_DIRECTORY_PART, part, 2, &size);

        if (!reply) {
            free(names);
            return NULL;
        }
        head = strlen(reply) + 1;
        if (at && strcmp(generation, reply) != 0) { /* the list has changed under our feet: from the start */
            free(reply);
            at = 0;
            continue;
        }
        snprintf(generation, sizeof(generation), "%s", reply);
        size = size > head ? size - (uint32_t)head : 0;
        names = realloc(names, at + size + 1);
        memcpy(names + at, reply + head, size);
        free(reply);
        at += size;
        if (!size || (size == 1 && names[at - 1] == '\0') || (size > 1 && !names[at - 1] && !names[at - 2])) {
            *length = at ? at - 1 : 0; /* without the empty name that ends the list */
            return names;
        }
    }
}

/* An array of pointers to the strings, and the strings behind it, in one block. */
static char **string_array(const char *strings, uint32_t length, unsigned int *count)
{
    char **array, *copy;
    unsigned found = 0;

    for (uint32_t i = 0; i < length; i++)
        found += strings[i] == '\0';
    array = malloc((found + 1) * sizeof(*array) + length);
    copy = (char *)(array + found + 1);
    if (length)
        memcpy(copy, strings, length);
    for (unsigned i = 0; i < found; i++) {
        array[i] = copy;
        copy += strlen(copy) + 1;
    }
    array[found] = NULL;
    *count = found;
    return array;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num)
{
    struct xs_part part = xs_string(path);
    uint32_t length;
    char *names = xs_request(h, t, XS_DIRECTORY, &part, 1, &length);
    char **array;

    if (!names && errno == E2BIG)
        names = directory_parts(h, t, path, &length);
    if (!names)
        return NULL;
    array = string_array(names, length, num);
    free(names);
    return array;
}

bool xs_strings_to_perms(struct xs_permissions *perms, unsigned int num, const char *strings)
{
    for (unsigned i = 0; i < num; i++, strings += strlen(strings) + 1) {
        char *end;

        switch (strings[0]) {
        case 'r':
            perms[i].perms = XS_PERM_READ;
            break;
        case 'w':
            perms[i].perms = XS_PERM_WRITE;
            break;
        case 'b':
            perms[i].perms = XS_PERM_READ | XS_PERM_WRITE;
            break;
        case 'n':
            perms[i].perms = XS_PERM_NONE;
            break;
        default:
            errno = EINVAL;
            return false;
        }
        perms[i].id = (unsigned)strtoul(strings + 1, &end, 10);
        if (end == strings + 1 || *end) {
            errno = EINVAL;
            return false;
        }
    }
    return true;
}

struct xs_permissions *xs_get_permissions(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num)
{
    struct xs_part part = xs_string(path);
    struct xs_permissions *permissions;
    uint32_t length;
    unsigned count = 0;
    char *strings = xs_request(h, t, XS_GET_PERMS, &part, 1, &length);

    if (!strings)
        return NULL;
    for (uint32_t i = 0; i < length; i++)
        count += strings[i] == '\0';
    permissions = calloc(count + 1, sizeof(*permissions));
    if (!xs_strings_to_perms(permissions, count, strings)) {
        free(permissions);
        permissions = NULL;
    } else {
        *num = count;
    }
    free(strings);
    return permissions;
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path, struct xs_permissions *perms,
                        unsigned int num_perms)
{
    static const char letter[] = {'n', 'r', 'w', 'b'};
    char *strings = malloc((size_t)num_perms * 16);
    size_t length = 0;
    struct xs_part part[2];
    bool done;

    for (unsigned i = 0; i < num_perms; i++) {
        if (perms[i].perms & ~(unsigned)(XS_PERM_READ | XS_PERM_WRITE)) {
            free(strings);
            errno = EINVAL;
            return false;
        }
        length += (size_t)snprintf(strings + length, 16, "%c%u", letter[perms[i].perms], perms[i].id) + 1;
    }
    part[0] = xs_string(path);
    part[1] = (struct xs_part){strings, length};
    done = xs_command(h, t, XS_SET_PERMS, part, 2);
    free(strings);
    return done;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    struct xs_part part = xs_string("");
    char *id = xs_request(h, XBT_NULL, XS_TRANSACTION_START, &part, 1, NULL);
    xs_transaction_t transaction;

    if (!id)
        return XBT_NULL;
    transaction = (xs_transaction_t)strtoul(id, NULL, 10);
    free(id);
    return transaction;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
    struct xs_part part = xs_string(abort ? "F" : "T");

    return xs_command(h, t, XS_TRANSACTION_END, &part, 1);
}

bool xs_path_is_subpath(const char *parent, const char *child)
{
    size_t length = strlen(parent);

    if (strcmp(parent, "/") == 0)
        return child[0] == '/';
    return strncmp(parent, child, length) == 0 && (child[length] == '/' || child[length] == '\0');
}
