#include "common/backend.h"

#include "dom0/heap.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <xen/hvm/params.h>

struct netback_options backend_options;
struct netback_features backend_features = {.rx_copy = true, .sg = true, .max_queues = 1};
struct capture backend_sent, backend_received;
struct netback *backend_netback;
struct toolstack *backend_toolstack;
unsigned backend_domid;
struct port *backend_end, *backend_checker;

void backend_load(struct capture *capture, const char *path)
{
    static struct capture *loaded[2]; /* until the process ends, as what the captures have of them */
    struct capture **place = &loaded[capture == &backend_received];
    char error[CAPTURE_ERROR_MAX] = "";

    capture_free(*place);
    *place = capture_load(path, error);
    ck_assert_msg(*place != NULL, "%s", error);
    *capture = **place;
}

void backend_offer(const char *words)
{
    char error[FEATURES_ERROR_MAX] = "";

    ck_assert_msg(features_parse(words, &backend_features, error), "%s", error);
}

static void log_write(void *context, enum backend_log_level level, const char *line)
{
    (void)context;
    log_line((enum log_level)level, "netback", "%s", line);
}

const struct backend_logger backend_logger = {log_write, NULL};

static struct port *open_port(void *context, unsigned domid, unsigned handle)
{
    (void)context;
    (void)domid;
    (void)handle;
    backend_end = port_capture_create(&backend_sent, NULL);
    backend_checker = port_checker_create(backend_end, &backend_received, &backend_logger);
    return backend_checker;
}

static void netback_main(void *argument)
{
    (void)argument;
    ck_assert(netback_run(backend_netback));
    netback_destroy(backend_netback);
    backend_netback = NULL;
}

void backend_start_netback(void)
{
    backend_options.open_port = open_port;
    backend_options.features = &backend_features;
    backend_options.logger = &backend_logger;
    backend_netback = netback_create(&backend_options);
    ck_assert_ptr_nonnull(backend_netback);
    task_create("netback", netback_main, NULL);
}

void backend_stop_netback(void)
{
    netback_stop(backend_netback);
    for (unsigned i = 0; backend_netback && i < 1000; i++)
        netfront_pause(1);
    ck_assert_ptr_null(backend_netback);
}

bool backend_attach(int timeout_ms)
{
    struct toolstack_vif vif = {.domid = backend_domid, .handle = 0, .mac = {0x00, 0x16, 0x3e, 1, 2, 3}, .mtu = 1500};

    return toolstack_network_attach(backend_toolstack, &vif, timeout_ms);
}

struct netfront *backend_begin(void)
{
    struct toolstack_domain domain = {
        .name = "guest", .uuid = "00000000-1111-2222-3333-444444444444", .memory_kib = 131072, .vcpus = 1};
    uint64_t value;

    domain.domid = backend_domid = netfront_domain();
    ck_assert_int_eq(xen_hvm_param_get(backend_domid, HVM_PARAM_STORE_PFN, &domain.store_frame), 0);
    ck_assert_int_eq(xen_hvm_param_get(backend_domid, HVM_PARAM_STORE_EVTCHN, &value), 0);
    domain.store_port = (uint32_t)value;
    backend_toolstack = toolstack_open(&backend_logger);
    ck_assert_ptr_nonnull(backend_toolstack);
    ck_assert_msg(toolstack_domain_create(backend_toolstack, &domain), "%s", toolstack_error(backend_toolstack));
    backend_start_netback();
    ck_assert_msg(backend_attach(1000), "%s", toolstack_error(backend_toolstack));
    return netfront_create(backend_domid, 0);
}

const struct netback_statistics *backend_statistics(void)
{
    return netback_statistics(backend_netback, 0);
}

void backend_assert_good(uint64_t good)
{
    struct checker_verdict now = port_checker_verdict(backend_checker);

    ck_assert_uint_eq(now.good, good);
    ck_assert_uint_eq(checker_bad(&now), 0);
}

void backend_make_frames(struct capture *capture, const uint32_t *length, unsigned count)
{
    uint8_t *at;

    for (unsigned i = 0; i < count; i++)
        capture->bytes += length[i];
    capture->count = count;
    capture->storage = at = malloc(capture->bytes);
    capture->frame = calloc(count, sizeof(*capture->frame));
    for (unsigned i = 0; i < count; i++) {
        capture->frame[i] = (struct port_frame){.data = at, .length = length[i]};
        for (uint32_t byte = 0; byte < length[i]; byte++)
            *at++ = (uint8_t)(i * 89 + byte * 7 + byte / 251);
    }
}

char *backend_read_key(const char *key)
{
    struct xs_handle *xs = xs_open(0);
    unsigned length;
    char *value = xs_read(xs, XBT_NULL, key, &length);

    xs_close(xs);
    return value;
}

void backend_assert_key(const char *key, const char *expected)
{
    char *value = backend_read_key(key);

    if (!expected) {
        ck_assert_msg(!value, "%s is \"%s\"", key, value);
        return;
    }
    ck_assert_msg(value != NULL, "%s is missing", key);
    ck_assert_str_eq(value, expected);
    free(value);
}

void backend_await_key(const char *key, const char *expected)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        char *value = backend_read_key(key);
        bool same = expected ? value && !strcmp(value, expected) : !value;

        free(value);
        if (same)
            return;
        netfront_pause(1);
    }
    backend_assert_key(key, expected);
}
