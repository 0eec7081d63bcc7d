/* Domains in the store, as libxl creates and destroys them. */
#include "toolstack_internal.h"

#include "keys.h"
#include "wait.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_TOKEN "toolstack"

bool toolstack_fail(struct toolstack *toolstack, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(toolstack->error, sizeof(toolstack->error), format, arguments);
    va_end(arguments);
    backend_log(toolstack->logger, BACKEND_LOG_ERROR, "%s", toolstack->error);
    return false;
}

const char *toolstack_error(const struct toolstack *toolstack)
{
    return toolstack->error;
}

bool toolstack_transaction(struct toolstack *toolstack,
                           bool (*change)(struct toolstack *toolstack, xs_transaction_t transaction,
                                          const void *argument),
                           const void *argument)
{
    for (;;) {
        xs_transaction_t transaction = xs_transaction_start(toolstack->xs);

        if (transaction == XBT_NULL)
            return false;
        if (!change(toolstack, transaction, argument)) {
            int error = errno;

            xs_transaction_end(toolstack->xs, transaction, true);
            errno = error;
            return false;
        }
        if (xs_transaction_end(toolstack->xs, transaction, false))
            return true;
        if (errno != EAGAIN)
            return false;
    }
}

bool toolstack_make_node(struct toolstack *toolstack, xs_transaction_t transaction, const char *path, unsigned owner,
                         unsigned domid, unsigned access)
{
    struct xs_permissions permissions[2] = {{owner, XS_PERM_NONE}, {domid, access}};

    return xs_mkdir(toolstack->xs, transaction, path) &&
           xs_set_permissions(toolstack->xs, transaction, path, permissions, access == XS_PERM_NONE ? 1 : 2);
}

bool toolstack_remove(struct toolstack *toolstack, xs_transaction_t transaction, const char *path)
{
    char at[TOOLSTACK_PATH_MAX], *slash;

    snprintf(at, sizeof(at), "%s", path);
    if (!xs_rm(toolstack->xs, transaction, at))
        return errno == ENOENT;
    while ((slash = strrchr(at, '/')) && slash != at) {
        unsigned children, length;
        char **name, *value;
        bool empty;

        *slash = '\0';
        name = xs_directory(toolstack->xs, transaction, at, &children);
        value = xs_read(toolstack->xs, transaction, at, &length);
        empty = name && value && !children && !length;
        free(name);
        free(value);
        if (!empty)
            break;
        if (!xs_rm(toolstack->xs, transaction, at))
            return false;
    }
    return true;
}

bool toolstack_wait_node(struct toolstack *toolstack, const char *path,
                         bool (*reached)(struct toolstack *toolstack, const char *path, void *argument), void *argument,
                         int timeout_ms)
{
    struct xs_handle *xs = toolstack->xs;
    unsigned long long deadline =
        timeout_ms < 0 ? ULLONG_MAX : backend_clock() + (unsigned long long)timeout_ms * 1000000u;
    struct pollfd fd = {.fd = xs_fileno(xs), .events = POLLIN};
    unsigned long long now;
    bool good;

    if (!xs_watch(xs, path, WAIT_TOKEN))
        return toolstack_fail(toolstack, "%s can't be watched: %s", path, strerror(errno));
    do {
        char **event;

        while ((event = xs_check_watch(xs)))
            free(event);
        good = reached(toolstack, path, argument);
        now = backend_clock();
    } while (!good && now < deadline &&
             backend_wait(&fd, 1, timeout_ms < 0 ? -1 : (int)((deadline - now + 999999u) / 1000000u)) >= 0);
    xs_unwatch(xs, path, WAIT_TOKEN);
    return good;
}

struct wanted_number {
    uint32_t wanted;
    bool known;
    uint32_t value;
};

static bool is_number(struct toolstack *toolstack, const char *path, void *argument)
{
    struct wanted_number *number = argument;

    number->known = key_read_number(toolstack->xs, XBT_NULL, UINT32_MAX, &number->value, "%s", path);
    return number->known && number->value == number->wanted;
}

bool toolstack_wait_number(struct toolstack *toolstack, const char *path, uint32_t wanted, int timeout_ms)
{
    struct wanted_number number = {.wanted = wanted};

    toolstack->error[0] = '\0';
    if (toolstack_wait_node(toolstack, path, is_number, &number, timeout_ms))
        return true;
    if (number.known)
        snprintf(toolstack->error, sizeof(toolstack->error), "%s is %u after %d ms, not %u", path, number.value,
                 timeout_ms, wanted);
    else if (toolstack->error[0] == '\0')
        snprintf(toolstack->error, sizeof(toolstack->error), "%s is not there after %d ms", path, timeout_ms);
    return false;
}

static bool make_domain_0(struct toolstack *toolstack, xs_transaction_t transaction, const void *unused)
{
    uint32_t domid;

    (void)unused;
    if (key_read_number(toolstack->xs, transaction, UINT32_MAX, &domid, "/local/domain/0/domid"))
        return true; /* an earlier toolstack has seen to it */
    return key_write(toolstack->xs, transaction, "0", "/local/domain/0/domid") &&
           key_write(toolstack->xs, transaction, "Domain-0", "/local/domain/0/name");
}

struct toolstack *toolstack_open(const struct backend_logger *logger)
{
    struct toolstack *toolstack = calloc(1, sizeof(*toolstack));

    toolstack->logger = logger;
    toolstack->xs = xs_open(XS_UNWATCH_FILTER);
    if (!toolstack->xs) {
        backend_log(logger, BACKEND_LOG_ERROR, "the store can't be reached: %s", strerror(errno));
    } else if (!toolstack_transaction(toolstack, make_domain_0, NULL)) {
        backend_log(logger, BACKEND_LOG_ERROR, "domain 0 can't be written to the store: %s", strerror(errno));
    } else {
        return toolstack;
    }
    toolstack_close(toolstack);
    return NULL;
}

/* Everything in a folder but this one. */
static bool empty_folder(struct toolstack *toolstack, xs_transaction_t transaction, const char *folder, const char *but)
{
    unsigned count = 0;
    char **name = xs_directory(toolstack->xs, transaction, folder, &count);
    bool good = name != NULL;

    for (unsigned i = 0; i < count && good; i++) {
        char path[TOOLSTACK_PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name[i]);
        good = strcmp(name[i], but) == 0 || xs_rm(toolstack->xs, transaction, path);
    }
    free(name);
    return good;
}

static bool start_over(struct toolstack *toolstack, xs_transaction_t transaction, const void *unused)
{
    return empty_folder(toolstack, transaction, "/", "tool") &&
           empty_folder(toolstack, transaction, "/tool", "xenstored") && make_domain_0(toolstack, transaction, unused);
}

bool toolstack_host_started(struct toolstack *toolstack)
{
    return toolstack_transaction(toolstack, start_over, NULL) ||
           toolstack_fail(toolstack, "the store can't be made new: %s", strerror(errno));
}

void toolstack_close(struct toolstack *toolstack)
{
    if (!toolstack)
        return;
    xs_close(toolstack->xs);
    free(toolstack);
}

/* ---- creation ---- */

struct node {
    const char *path; /* below the domain's */
    bool writable;    /* the guest's own, else it may read it */
};

/* In libxl's order. What is not named here inherits from its parent. */
static const struct node nodes[] = {
    {"cpu", false},
    {"memory", false},
    {"device", false},
    {"control", false},
    {"hvmloader", false},
    {"control/shutdown", true},
    {"control/feature-poweroff", true},
    {"control/feature-reboot", true},
    {"control/feature-suspend", true},
    {"control/feature-s3", true},
    {"control/feature-s4", true},
    {"control/feature-balloon", true},
    {"control/sysrq", true},
    {"device/suspend/event-channel", true},
    {"data", true},
    {"drivers", true},
    {"feature", true},
    {"attr", true},
    {"error", true},
};

static bool make_nodes(struct toolstack *toolstack, xs_transaction_t transaction, const struct toolstack_domain *domain)
{
    char path[TOOLSTACK_PATH_MAX];

    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        snprintf(path, sizeof(path), "/local/domain/%u/%s", domain->domid, nodes[i].path);
        if (!(nodes[i].writable
                  ? toolstack_make_node(toolstack, transaction, path, domain->domid, domain->domid, XS_PERM_NONE)
                  : toolstack_make_node(toolstack, transaction, path, 0, domain->domid, XS_PERM_READ)))
            return false;
    }
    return true;
}

static bool write_properties(struct toolstack *toolstack, xs_transaction_t transaction,
                             const struct toolstack_domain *domain)
{
    struct xs_handle *xs = toolstack->xs;
    unsigned id = domain->domid;
    uint32_t target = domain->target_kib ? domain->target_kib : domain->memory_kib;
    char frame[24];

    if (!key_write(xs, transaction, domain->name, "/local/domain/%u/name", id) ||
        !key_write(xs, transaction, domain->name, "/vm/%s/name", domain->uuid) ||
        !key_write(xs, transaction, domain->uuid, "/vm/%s/uuid", domain->uuid) ||
        !key_write(xs, transaction, "1", "/local/domain/%u/control/platform-feature-multiprocessor-suspend", id) ||
        !key_write(xs, transaction, "1", "/local/domain/%u/control/platform-feature-xs_reset_watches", id) ||
        !key_write_number(xs, transaction, domain->memory_kib, "/local/domain/%u/memory/static-max", id) ||
        !key_write_number(xs, transaction, target, "/local/domain/%u/memory/target", id) ||
        !key_write_number(xs, transaction, 0, "/local/domain/%u/memory/videoram", id) ||
        !key_write_number(xs, transaction, id, "/local/domain/%u/domid", id) ||
        !key_write_number(xs, transaction, domain->store_port, "/local/domain/%u/store/port", id))
        return false;
    snprintf(frame, sizeof(frame), "%" PRIu64, domain->store_frame);
    if (!key_write(xs, transaction, frame, "/local/domain/%u/store/ring-ref", id))
        return false;
    snprintf(frame, sizeof(frame), "%" PRIu64, domain->console_frame);
    if (!key_write(xs, transaction, frame, "/local/domain/%u/console/ring-ref", id) ||
        !key_write_number(xs, transaction, domain->console_port, "/local/domain/%u/console/port", id) ||
        !key_write(xs, transaction, "xenconsoled", "/local/domain/%u/console/type", id))
        return false;
    for (unsigned cpu = 0; cpu < domain->vcpus || cpu < domain->max_vcpus; cpu++) {
        if (!key_write(xs, transaction, cpu < domain->vcpus ? "online" : "offline",
                       "/local/domain/%u/cpu/%u/availability", id, cpu))
            return false;
    }
    return true;
}

static bool make_domain(struct toolstack *toolstack, xs_transaction_t transaction, const void *argument)
{
    const struct toolstack_domain *domain = argument;
    char home[TOOLSTACK_PATH_MAX], vm[TOOLSTACK_PATH_MAX], libxl[TOOLSTACK_PATH_MAX];

    snprintf(home, sizeof(home), "/local/domain/%u", domain->domid);
    snprintf(vm, sizeof(vm), "/vm/%s", domain->uuid);
    snprintf(libxl, sizeof(libxl), "/libxl/%u/device", domain->domid);
    xs_rm(toolstack->xs, transaction, home); /* what a domain of this number left behind */
    xs_rm(toolstack->xs, transaction, vm);
    return toolstack_make_node(toolstack, transaction, home, 0, domain->domid, XS_PERM_READ) &&
           toolstack_make_node(toolstack, transaction, vm, 0, domain->domid, XS_PERM_READ) &&
           toolstack_make_node(toolstack, transaction, libxl, 0, 0, XS_PERM_NONE) &&
           key_write(toolstack->xs, transaction, vm, "%s/vm", home) && make_nodes(toolstack, transaction, domain) &&
           write_properties(toolstack, transaction, domain);
}

bool toolstack_domain_create(struct toolstack *toolstack, const struct toolstack_domain *domain)
{
    if (!toolstack_transaction(toolstack, make_domain, domain))
        return toolstack_fail(toolstack, "domain %u can't be written to the store: %s", domain->domid, strerror(errno));
    if (!xs_introduce_domain(toolstack->xs, domain->domid, domain->store_frame, domain->store_port))
        return toolstack_fail(toolstack, "domain %u can't be introduced to the store: %s", domain->domid,
                              strerror(errno));
    backend_log(toolstack->logger, BACKEND_LOG_INFO, "domain %u created as %s", domain->domid, domain->name);
    return true;
}

struct driver_domain {
    unsigned domid;
    const char *name;
};

static bool make_driver_domain(struct toolstack *toolstack, xs_transaction_t transaction, const void *argument)
{
    const struct driver_domain *domain = argument;
    char home[TOOLSTACK_PATH_MAX];

    snprintf(home, sizeof(home), "/local/domain/%u", domain->domid);
    return toolstack_make_node(toolstack, transaction, home, 0, domain->domid, XS_PERM_READ) &&
           key_write(toolstack->xs, transaction, domain->name, "%s/name", home) &&
           key_write_number(toolstack->xs, transaction, domain->domid, "%s/domid", home);
}

bool toolstack_driver_domain_create(struct toolstack *toolstack, unsigned domid, const char *name)
{
    const struct driver_domain domain = {domid, name};

    return toolstack_transaction(toolstack, make_driver_domain, &domain) ||
           toolstack_fail(toolstack, "driver domain %u can't be written to the store: %s", domid, strerror(errno));
}

bool toolstack_domain_resumed(struct toolstack *toolstack, unsigned domid)
{
    if (!xs_resume_domain(toolstack->xs, domid))
        return toolstack_fail(toolstack, "domain %u can't be resumed in the store: %s", domid, strerror(errno));
    return true;
}

struct target {
    unsigned domid;
    uint32_t kib;
};

/* Fails with ERANGE when the domain cannot have so much. */
static bool write_target(struct toolstack *toolstack, xs_transaction_t transaction, const void *argument)
{
    const struct target *target = argument;
    uint32_t most;

    if (!key_read_number(toolstack->xs, transaction, UINT32_MAX, &most, "/local/domain/%u/memory/static-max",
                         target->domid))
        return false;
    if (target->kib > most) {
        errno = ERANGE;
        return false;
    }
    return key_write_number(toolstack->xs, transaction, target->kib, "/local/domain/%u/memory/target", target->domid);
}

bool toolstack_memory_set(struct toolstack *toolstack, unsigned domid, uint32_t target_kib)
{
    const struct target target = {domid, target_kib};

    if (toolstack_transaction(toolstack, write_target, &target))
        return true;
    if (errno == ERANGE)
        return toolstack_fail(toolstack, "memory_dynamic_max must be less than or equal to memory_static_max");
    return toolstack_fail(toolstack, "the memory of domain %u can't be set: %s", domid, strerror(errno));
}

uint32_t toolstack_memory_target(struct toolstack *toolstack, unsigned domid)
{
    uint32_t kib;

    return key_read_number(toolstack->xs, XBT_NULL, UINT32_MAX, &kib, "/local/domain/%u/memory/target", domid) ? kib
                                                                                                               : 0;
}

struct vcpus {
    unsigned domid;
    unsigned online;
    unsigned max;
};

static bool write_availability(struct toolstack *toolstack, xs_transaction_t transaction, const void *argument)
{
    const struct vcpus *vcpus = argument;

    for (unsigned cpu = 0; cpu < vcpus->max; cpu++)
        if (!key_write(toolstack->xs, transaction, cpu < vcpus->online ? "online" : "offline",
                       "/local/domain/%u/cpu/%u/availability", vcpus->domid, cpu))
            return false;
    return true;
}

bool toolstack_vcpus_set(struct toolstack *toolstack, unsigned domid, unsigned online, unsigned max)
{
    const struct vcpus vcpus = {domid, online, max};

    return toolstack_transaction(toolstack, write_availability, &vcpus) ||
           toolstack_fail(toolstack, "the vCPUs of domain %u can't be set: %s", domid, strerror(errno));
}

bool toolstack_domain_shutdown(struct toolstack *toolstack, unsigned domid, const char *reason)
{
    if (!key_write(toolstack->xs, XBT_NULL, reason, "/local/domain/%u/control/shutdown", domid))
        return toolstack_fail(toolstack, "domain %u can't be asked to %s: %s", domid, reason, strerror(errno));
    return true;
}

/* A request that the guest has taken is an empty node; one that went with its node is taken, too. */
static bool is_taken(struct toolstack *toolstack, const char *path, void *unused)
{
    char *value = key_read(toolstack->xs, XBT_NULL, "%s", path);
    bool taken = !value || !*value;

    (void)unused;
    free(value);
    return taken;
}

struct request {
    const char *path;
    const char *reason;
};

/* Fails with EALREADY when the guest was quicker. */
static bool take_back(struct toolstack *toolstack, xs_transaction_t transaction, const void *argument)
{
    const struct request *request = argument;
    char *value = key_read(toolstack->xs, transaction, "%s", request->path);
    bool there = value && strcmp(value, request->reason) == 0;

    free(value);
    if (!there)
        errno = EALREADY;
    return there && key_write(toolstack->xs, transaction, "", "%s", request->path);
}

bool toolstack_domain_request(struct toolstack *toolstack, unsigned domid, const char *reason, int timeout_ms)
{
    char path[TOOLSTACK_PATH_MAX];
    const struct request request = {path, reason};

    snprintf(path, sizeof(path), "/local/domain/%u/control/shutdown", domid);
    if (!toolstack_domain_shutdown(toolstack, domid, reason))
        return false;
    if (toolstack_wait_node(toolstack, path, is_taken, NULL, timeout_ms))
        return true;
    if (!toolstack_transaction(toolstack, take_back, &request))
        return errno == EALREADY || toolstack_fail(toolstack, "%s can't be taken back: %s", path, strerror(errno));
    return toolstack_fail(toolstack, "domain %u did not take the request to %s within %d ms", domid, reason,
                          timeout_ms);
}

/* ---- names ---- */

char *toolstack_domain_name(struct toolstack *toolstack, unsigned domid)
{
    return key_read(toolstack->xs, XBT_NULL, "/local/domain/%u/name", domid);
}

bool toolstack_domain_find(struct toolstack *toolstack, const char *name, unsigned *domid)
{
    unsigned count = 0;
    char **domain = xs_directory(toolstack->xs, XBT_NULL, "/local/domain", &count);
    bool found = false;

    for (unsigned i = 0; domain && i < count && !found; i++) {
        char *its;

        *domid = (unsigned)strtoul(domain[i], NULL, 10);
        its = toolstack_domain_name(toolstack, *domid);
        found = its && strcmp(its, name) == 0;
        free(its);
    }
    free(domain);
    return found;
}

/* ---- destruction ---- */

/* The backends of the domain's devices, as the toolstack's own record (which no guest can write) names them. */
static bool remove_backends(struct toolstack *toolstack, xs_transaction_t transaction, unsigned domid)
{
    char path[TOOLSTACK_PATH_MAX];
    unsigned kinds;
    char **kind;
    bool good = true;

    snprintf(path, sizeof(path), "/libxl/%u/device", domid);
    kind = xs_directory(toolstack->xs, transaction, path, &kinds);
    for (unsigned i = 0; kind && i < kinds && good; i++) {
        unsigned devices;
        char **device;

        snprintf(path, sizeof(path), "/libxl/%u/device/%s", domid, kind[i]);
        device = xs_directory(toolstack->xs, transaction, path, &devices);
        for (unsigned j = 0; device && j < devices && good; j++) {
            char *backend = key_read(toolstack->xs, transaction, "%s/%s/backend", path, device[j]);

            good = !backend || toolstack_remove(toolstack, transaction, backend);
            free(backend);
        }
        free(device);
    }
    free(kind);
    return good;
}

static bool remove_domain(struct toolstack *toolstack, xs_transaction_t transaction, const void *argument)
{
    unsigned domid = *(const unsigned *)argument;
    char path[TOOLSTACK_PATH_MAX];
    char *vm = key_read(toolstack->xs, transaction, "/local/domain/%u/vm", domid);
    bool good;

    good = remove_backends(toolstack, transaction, domid) && (!vm || toolstack_remove(toolstack, transaction, vm));
    free(vm);
    if (!good)
        return false;
    snprintf(path, sizeof(path), "/libxl/%u", domid);
    if (!toolstack_remove(toolstack, transaction, path))
        return false;
    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    return toolstack_remove(toolstack, transaction, path);
}

bool toolstack_domain_destroy(struct toolstack *toolstack, unsigned domid)
{
    if (!toolstack_transaction(toolstack, remove_domain, &domid))
        return toolstack_fail(toolstack, "domain %u can't be removed from the store: %s", domid, strerror(errno));
    /* The store may have noticed the domain's end by itself. */
    if (!xs_release_domain(toolstack->xs, domid) && errno != ENOENT)
        return toolstack_fail(toolstack, "domain %u can't be released by the store: %s", domid, strerror(errno));
    backend_log(toolstack->logger, BACKEND_LOG_INFO, "domain %u destroyed", domid);
    return true;
}
