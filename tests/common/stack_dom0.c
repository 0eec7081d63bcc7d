#include "common/stack.h"
#include "common/stack_dom0.h"

#include <stdarg.h>

#include "cli/guest.h"
#include "dom0/heap.h"
#include "keys.h"
#include "machine/clock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <xen/io/xenbus.h>
#include <xen/sched.h>
#include <xenstore.h>

#define CONNECT_TIMEOUT_MS 20000

static void log_write(void *context, enum backend_log_level level, const char *line)
{
    (void)context;
    log_line((enum log_level)level, "backend", "%s", line);
}

const struct backend_logger stack_logger = {log_write, NULL};

/* ---- netback and its ends ---- */

struct end {
    struct port port;
    struct port nowhere;  /* behind the checker */
    struct port *checker; /* NULL: nothing is expected */
    const struct capture *sent;
    unsigned next;
};

static struct end ends[VIFS_MAX];
static struct task *netback_waiter;

static struct end *end_of(struct port *port)
{
    return (struct end *)port;
}

static void end_nothing(struct port *port)
{
    (void)port;
}

static bool end_receive(struct port *port, struct port_frame *frame)
{
    struct end *end = end_of(port);

    if (end->sent == NULL || end->next == end->sent->count)
        return false;
    *frame = end->sent->frame[end->next++];
    return true;
}

static void end_transmit(struct port *port, const struct port_frame *frame)
{
    struct end *end = end_of(port);

    if (end->checker != NULL)
        end->checker->ops->transmit(end->checker, frame);
}

static bool nowhere_receive(struct port *port, struct port_frame *frame)
{
    (void)port;
    (void)frame;
    return false;
}

static void nowhere_transmit(struct port *port, const struct port_frame *frame)
{
    (void)port;
    (void)frame;
}

static const struct port_ops end_ops = {end_nothing, end_nothing, end_receive, end_transmit, end_nothing};
static const struct port_ops nowhere_ops = {end_nothing, end_nothing, nowhere_receive, nowhere_transmit, end_nothing};

static struct port *open_port(void *context, unsigned domid, unsigned handle)
{
    (void)context;
    if (domid != stack.domain.domid || handle >= VIFS_MAX)
        return NULL;
    ends[handle].port = (struct port){.ops = &end_ops};
    return &ends[handle].port;
}

/* What changes under netback's eyes changes in a task of dom0's, of which one runs at a time. */
struct end_change {
    struct end *end;
    const struct capture *capture;
};

static void expect_main(void *argument)
{
    const struct end_change *change = argument;
    struct end *end = change->end;

    port_destroy(end->checker);
    end->nowhere = (struct port){.ops = &nowhere_ops};
    end->checker = change->capture != NULL ? port_checker_create(&end->nowhere, change->capture, &stack_logger) : NULL;
    if (end->checker != NULL && stack.features.max_queues > 1)
        port_checker_order_by_flow(end->checker);
}

static void order_main(void *vif)
{
    port_checker_order_by_flow(ends[(uintptr_t)vif].checker);
}

static void send_main(void *argument)
{
    const struct end_change *change = argument;
    struct end *end = change->end;

    end->sent = change->capture;
    end->next = 0;
    if (end->sent == NULL || end->port.ops == NULL)
        return;
    port_wake(&end->port);
}

static void change_end(void (*function)(void *), unsigned vif, const struct capture *capture)
{
    struct end_change change = {&ends[vif], capture};

    if (task_current() != NULL)
        function(&change);
    else
        stack_in_dom0(function, &change);
}

void stack_end_expect(unsigned vif, const struct capture *capture)
{
    change_end(expect_main, vif, capture);
}

void stack_end_order_by_flow(unsigned vif)
{
    stack_in_dom0(order_main, (void *)(uintptr_t)vif);
}

void stack_end_send(unsigned vif, const struct capture *capture)
{
    change_end(send_main, vif, capture);
}

struct checker_verdict stack_end_verdict(unsigned vif)
{
    return ends[vif].checker != NULL ? port_checker_verdict(ends[vif].checker) : (struct checker_verdict){0};
}

unsigned stack_end_sent(unsigned vif)
{
    return ends[vif].next;
}

static struct netback_statistics ended; /* the counters of netbacks that are no more */

static void add_counters(struct netback_statistics *sum)
{
    const struct netback_statistics *each;

    for (unsigned i = 0; (each = netback_statistics(stack.netback, i)) != NULL; i++) {
        sum->tx.frames += each->tx.frames;
        sum->tx.bytes += each->tx.bytes;
        sum->tx.drops += each->tx.drops;
        sum->tx.errors += each->tx.errors;
        sum->rx.frames += each->rx.frames;
        sum->rx.bytes += each->rx.bytes;
        sum->rx.drops += each->rx.drops;
        sum->rx.errors += each->rx.errors;
        sum->filtered += each->filtered;
    }
}

struct netback_statistics stack_netback_sum(void)
{
    struct netback_statistics sum = ended;

    add_counters(&sum);
    return sum;
}

static void netback_main(void *unused)
{
    (void)unused;
    ck_assert(netback_run(stack.netback));
    add_counters(&ended);
    netback_destroy(stack.netback);
    stack.netback = NULL;
    if (netback_waiter != NULL)
        task_unpark(netback_waiter);
}

void stack_netback_start(void)
{
    struct netback_options options = {.features = &stack.features, .open_port = open_port, .logger = &stack_logger};

    netback_waiter = NULL;
    stack.netback = netback_create(&options);
    ck_assert_ptr_nonnull(stack.netback);
    (void)task_create("netback", netback_main, NULL);
}

static void end_netback(void)
{
    netback_waiter = task_current();
    netback_stop(stack.netback);
    while (stack.netback != NULL)
        (void)task_park(CLOCK_NEVER, "netback to end");
}

void stack_netback_stop(void)
{
    end_netback();
    for (unsigned vif = 0; vif < VIFS_MAX; vif++)
        port_destroy(ends[vif].checker);
    memset(ends, 0, sizeof(ends));
}

#ifdef MACHINE_THREAD_SANITIZER
/*
 * A netback that finds a frontend at Connected connects to the old one's rings until that has seen it: in real time, on
 * a busy machine, as often as not. Tests count connections.
 */
static void await_frontends_that_let_go(void)
{
    struct xs_handle *xs = xs_open(0);
    uint32_t state;

    for (unsigned vif = 0; vif < VIFS_MAX; vif++)
        for (unsigned i = 0; i < 2000 && stack.attached[vif] &&
                             key_read_number(xs, XBT_NULL, XenbusStateReconfigured, &state, "%s",
                                             stack_path("device/vif/%u/state", vif)) &&
                             state == XenbusStateConnected;
             i++)
            (void)task_park(clock_now() + 1000000, "the frontend to let go");
    xs_close(xs);
}
#endif

void stack_netback_restart(void *unused)
{
    (void)unused;
    end_netback();
#ifdef MACHINE_THREAD_SANITIZER
    await_frontends_that_let_go();
#endif
    stack_netback_start();
}

const struct netback_statistics *stack_netback_statistics(unsigned vif)
{
    const struct netback_statistics *last = NULL;
    const struct netback_statistics *statistics;

    for (unsigned i = 0; (statistics = netback_statistics(stack.netback, i)) != NULL; i++)
        if (statistics->handle == vif)
            last = statistics;
    return last;
}

unsigned stack_netback_connections(unsigned vif)
{
    const struct netback_statistics *statistics;
    unsigned connections = 0;

    for (unsigned i = 0; (statistics = netback_statistics(stack.netback, i)) != NULL; i++)
        if (statistics->handle == vif)
            connections += statistics->connections;
    return connections;
}

/* ---- the toolstack ---- */

void stack_attach_now(unsigned vif)
{
    struct toolstack_vif description = {
        .domid = stack.domain.domid,
        .backend_domid = stack.options->program_domid,
        .handle = vif,
        .mac = {0x00, 0x16, 0x3e, 0x5a, 0x00, (uint8_t)vif},
        .mtu = 1500,
    };

    ck_assert_msg(toolstack_network_attach(stack.toolstack, &description, TOOLSTACK_ATTACH_TIMEOUT_MS), "%s",
                  toolstack_error(stack.toolstack));
    stack.attached[vif] = true;
}

void stack_detach_now(unsigned vif)
{
    bool forced;

    ck_assert_msg(toolstack_network_detach(stack.toolstack, stack.domain.domid, stack.options->program_domid, vif,
                                           TOOLSTACK_DETACH_TIMEOUT_MS, &forced),
                  "%s", toolstack_error(stack.toolstack));
    ck_assert_msg(!forced, "VIF %u did not close", vif);
    stack.attached[vif] = false;
}

void stack_wait_connected_now(unsigned vif)
{
    ck_assert_msg(toolstack_wait_number(stack.toolstack, stack_backend_path(vif, "state"), XenbusStateConnected,
                                        CONNECT_TIMEOUT_MS),
                  "the backend of VIF %u did not connect", vif);
    ck_assert_msg(toolstack_wait_number(stack.toolstack, stack_path("device/vif/%u/state", vif), XenbusStateConnected,
                                        CONNECT_TIMEOUT_MS),
                  "VIF %u did not connect", vif);
}

static void attach_main(void *vif)
{
    stack_attach_now((unsigned)(uintptr_t)vif);
}

void stack_attach(unsigned vif)
{
    stack_in_dom0(attach_main, (void *)(uintptr_t)vif);
}

static void detach_main(void *vif)
{
    stack_detach_now((unsigned)(uintptr_t)vif);
}

void stack_detach(unsigned vif)
{
    stack_in_dom0(detach_main, (void *)(uintptr_t)vif);
}

static void connected_main(void *vif)
{
    stack_wait_connected_now((unsigned)(uintptr_t)vif);
}

void stack_wait_connected(unsigned vif)
{
    stack_in_dom0(connected_main, (void *)(uintptr_t)vif);
}

struct connections {
    unsigned vif;
    unsigned number;
};

static bool connected_so_often(void *argument)
{
    const struct connections *wanted = argument;
    const struct netback_statistics *statistics = stack_netback_statistics(wanted->vif);

    return statistics != NULL && statistics->connected && stack_netback_connections(wanted->vif) == wanted->number;
}

void stack_wait_connections(unsigned vif, unsigned connections)
{
    struct connections wanted = {vif, connections};

    ck_assert_msg(stack_wait(connected_so_often, &wanted, CONNECT_TIMEOUT_MS),
                  "netback has connected VIF %u %u times and not %u", vif, stack_netback_connections(vif), connections);
    stack_wait_connected(vif);
    ck_assert_int_eq(stack_wait_link(vif, true), STATUS_SUCCESS);
}

void stack_restore_now(struct toolstack *toolstack)
{
    unsigned old = stack.domain.domid;
    int domid = xen_domain_restore(old);
    unsigned without;

    ck_assert_int_gt(domid, (int)old);
    stack.domain.domid = (unsigned)domid;
    stack_read_ports();
    ck_assert_msg(toolstack_domain_restore(toolstack, old, &stack.domain, TOOLSTACK_ATTACH_TIMEOUT_MS, &without) &&
                      without == 0,
                  "%s", toolstack_error(toolstack));
    xen_domain_destroy(old);
    if (stack.options->restored != NULL)
        stack.options->restored(NULL);
    ck_assert_int_eq(xen_domain_unpause(stack.domain.domid), 0);
}

void stack_stop_now(void)
{
    ck_assert_int_eq(xen_domain_pause(stack.domain.domid), 0);
    while (!xen_domain_stands(stack.domain.domid))
        (void)task_park(clock_now() + 20000, "the vCPUs");
}

void stack_boot_again_now(void)
{
    ck_assert_msg(toolstack_domain_destroy(stack.toolstack, stack.domain.domid), "%s",
                  toolstack_error(stack.toolstack));
    xen_domain_destroy(stack.domain.domid);
    machine_reset_guest();
    stack_create_domain();
    for (unsigned vif = 0; vif < VIFS_MAX; vif++)
        if (stack.attached[vif])
            stack_attach_now(vif);
    ck_assert(guest_boot());
    ck_assert(guest_wait_quiet());
}

void stack_power_cycle_now(void)
{
    stack_boot_again_now();
    for (unsigned vif = 0; vif < VIFS_MAX; vif++)
        if (stack.attached[vif])
            stack_wait_connected_now(vif);
    ck_assert(guest_wait_quiet());
}

/* In a dom0 task: the guest that has turned itself off goes on, as its machine is turned on, in another domain. */
static void wake_from_disk_now(struct toolstack *toolstack)
{
    unsigned old = stack.domain.domid;
    int domid;

    ck_assert_msg(toolstack_domain_destroy(toolstack, old), "%s", toolstack_error(toolstack));
    domid = xen_domain_wake_from_disk(old);
    ck_assert_int_gt(domid, (int)old);
    xen_domain_destroy(old);
    stack.domain.domid = (unsigned)domid;
    stack_read_ports();
    ck_assert_msg(toolstack_domain_create(toolstack, &stack.domain), "%s", toolstack_error(toolstack));
    for (unsigned vif = 0; vif < VIFS_MAX; vif++)
        if (stack.attached[vif])
            stack_attach_now(vif);
    ck_assert_int_eq(xen_domain_unpause(stack.domain.domid), 0);
}

static void resumer_main(void *argument)
{
    struct stack_resumer *resumer = argument;
    struct toolstack *toolstack = toolstack_open(&stack_logger);

    ck_assert_ptr_nonnull(toolstack);
    while (resumer->times < resumer->rounds) {
        while (xen_domain_shutdown_reason(stack.domain.domid) !=
               (resumer->from_disk ? SHUTDOWN_poweroff : SHUTDOWN_suspend))
            (void)task_park(clock_now() + 20000, "the guest's suspension");
        if (resumer->meanwhile != NULL)
            resumer->meanwhile(resumer->argument);
        if (resumer->from_disk) {
            wake_from_disk_now(toolstack);
        } else if (resumer->cancelled) {
            ck_assert_int_eq(xen_domain_resume(stack.domain.domid, true), 0);
            ck_assert_msg(toolstack_domain_resumed(toolstack, stack.domain.domid), "%s", toolstack_error(toolstack));
        } else {
            stack_restore_now(toolstack);
        }
        resumer->times++;
    }
    toolstack_close(toolstack);
    resumer->ended = true;
}

void stack_resume_when_suspended(struct stack_resumer *resumer)
{
    resumer->times = 0;
    resumer->ended = false;
    (void)task_create("resumer", resumer_main, resumer);
}

static bool resumer_ended(void *argument)
{
    return ((struct stack_resumer *)argument)->ended;
}

void stack_await_resumer(struct stack_resumer *resumer)
{
    ck_assert_msg(stack_wait(resumer_ended, resumer, 60000), "the guest was suspended %u times of %u", resumer->times,
                  resumer->rounds);
}

static void shutdown_main(void *reason)
{
    ck_assert_msg(toolstack_domain_shutdown(stack.toolstack, stack.domain.domid, reason), "%s",
                  toolstack_error(stack.toolstack));
}

void stack_ask_shutdown(const char *reason)
{
    stack_in_dom0(shutdown_main, (void *)(uintptr_t)reason);
}

/* ---- the store ---- */

const char *stack_path(const char *format, ...)
{
    static char paths[8][256];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    va_list arguments;
    int length = snprintf(path, sizeof(paths[0]), "/local/domain/%u/", stack.domain.domid);

    va_start(arguments, format);
    vsnprintf(path + length, sizeof(paths[0]) - (size_t)length, format, arguments);
    va_end(arguments);
    return path;
}

const char *stack_backend_path(unsigned vif, const char *node)
{
    static char paths[8][256];
    static unsigned turn;
    char *path = paths[turn++ % 8];

    snprintf(path, sizeof(paths[0]), "/local/domain/%u/backend/vif/%u/%u/%s", stack.options->program_domid,
             stack.domain.domid, vif, node);
    return path;
}

struct access {
    const char *path;
    const char *value; /* to write */
    char *read;
};

static void write_main(void *argument)
{
    struct access *access = argument;
    struct xs_handle *xs = xs_open(0);

    ck_assert_msg(xs_write(xs, XBT_NULL, access->path, access->value, (unsigned)strlen(access->value)),
                  "dom0 could not write %s", access->path);
    xs_close(xs);
}

static void remove_main(void *argument)
{
    struct access *access = argument;
    struct xs_handle *xs = xs_open(0);

    (void)xs_rm(xs, XBT_NULL, access->path);
    xs_close(xs);
}

static void read_main(void *argument)
{
    struct access *access = argument;
    struct xs_handle *xs = xs_open(0);
    unsigned length;

    access->read = xs_read(xs, XBT_NULL, access->path, &length);
    xs_close(xs);
}

void stack_store_write(const char *path, const char *value)
{
    struct access access = {.path = path, .value = value};

    stack_in_dom0(write_main, &access);
}

void stack_store_remove(const char *path)
{
    struct access access = {.path = path};

    stack_in_dom0(remove_main, &access);
}

bool stack_store_read(const char *path, char *value, size_t size)
{
    struct access access = {.path = path};

    stack_in_dom0(read_main, &access);
    if (access.read == NULL)
        return false;
    snprintf(value, size, "%s", access.read);
    free(access.read);
    return true;
}

struct awaited {
    const char *path;
    const char *value;
    char last[256];
};

static bool has_value(void *argument)
{
    struct awaited *awaited = argument;

    if (!stack_store_read(awaited->path, awaited->last, sizeof(awaited->last)))
        snprintf(awaited->last, sizeof(awaited->last), "(absent)");
    return strcmp(awaited->last, awaited->value) == 0;
}

void stack_store_await(const char *path, const char *value, unsigned timeout_ms)
{
    struct awaited awaited = {.path = path, .value = value};

    ck_assert_msg(stack_wait(has_value, &awaited, timeout_ms), "%s is '%s' and not '%s' after %u ms", path,
                  awaited.last, value, timeout_ms);
}
