#include "cli/netback_task.h"

#include <stdlib.h>
#include <string.h>

#include "dom0/dom0.h"
#include "log.h"
#include "machine/clock.h"
#include "machine/eventlog.h"
#include "machine/fail.h"
#include "machine/image.h"
#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "netback.h"
#include "port_capture.h"
#include "port_checker.h"
#include "port_pktgen.h"
#include "wait.h"
#include "xen/xen.h"

/*
 * The end of one VIF: the checker in front of the capture, seen from outside as one, or the packet generator's. It
 * outlives netback's VIF, so that what was found can still be read.
 */
struct end {
    struct port port;
    unsigned handle;
    const struct capture *rx;
    const struct capture *tx;
    struct capture_writer *out_tx;
    struct port *capture;           /* NULL with a packet generator */
    struct port *inner;             /* the checker, which owns the capture end; NULL while the VIF is not there */
    struct checker_verdict verdict; /* of an end that is gone */
    char difference[PORT_PKTGEN_DIFFERENCE];
    struct netback_statistics statistics; /* of a netback that is gone */
};

struct netback_task {
    struct netback *netback;
    struct task *task;
    struct task *waiter;
    struct backend_logger logger;
    unsigned own_domid; /* that netback runs in */
    unsigned domid;     /* the guest's */
    bool going;
    uint64_t rounds; /* of a packet generator; 0: captures go once, and every byte is compared */
    bool by_flow;    /* there may be several queues, on which flows overtake one another */
    struct end ends[VIFS_MAX];
};

static struct end *end_of(struct port *port)
{
    return (struct end *)port;
}

static void end_start(struct port *port)
{
    struct port *inner = end_of(port)->inner;

    inner->ops->start(inner);
}

static void end_stop(struct port *port)
{
    struct port *inner = end_of(port)->inner;

    inner->ops->stop(inner);
}

/* Frames of a packet generator in real time are counted, and not told one by one: that takes a tenth of dom0's time. */
static void note_frame(const struct end *end, unsigned direction, uint32_t length)
{
    if (end->capture == NULL && engine_is_parallel())
        return;
    eventlog_add(EVENT_FRAME, end->handle, direction, length);
}

static bool end_receive(struct port *port, struct port_frame *frame)
{
    struct end *end = end_of(port);

    if (!end->inner->ops->receive(end->inner, frame))
        return false;
    note_frame(end, 1, frame->length);
    return true;
}

static void end_transmit(struct port *port, const struct port_frame *frame)
{
    struct end *end = end_of(port);

    note_frame(end, 0, frame->length);
    end->inner->ops->transmit(end->inner, frame);
}

static struct checker_verdict verdict_of(const struct end *end)
{
    if (end->inner == NULL)
        return end->verdict;
    return end->capture != NULL ? port_checker_verdict(end->inner) : port_pktgen_verdict(end->inner);
}

static const char *difference_of(const struct end *end)
{
    return end->inner != NULL && end->capture == NULL ? port_pktgen_difference(end->inner) : end->difference;
}

static void end_destroy(struct port *port)
{
    struct end *end = end_of(port);

    end->verdict = verdict_of(end);
    if (end->capture == NULL)
        memcpy(end->difference, port_pktgen_difference(end->inner), sizeof(end->difference));
    port_destroy(end->inner);
    end->inner = NULL;
    end->capture = NULL;
}

static const struct port_ops end_ops = {
    .start = end_start,
    .stop = end_stop,
    .receive = end_receive,
    .transmit = end_transmit,
    .destroy = end_destroy,
};

static void let_go(const struct end *end)
{
    if (end->capture != NULL)
        port_capture_go(end->capture);
    else
        port_pktgen_go(end->inner);
}

static bool make_checker(const struct netback_task *task, struct end *end)
{
    static const struct capture nothing;

    end->capture = port_capture_create(end->rx, end->out_tx);
    if (end->capture == NULL)
        return false;
    end->inner = port_checker_create(end->capture, end->tx != NULL ? end->tx : &nothing, &task->logger);
    if (end->inner == NULL) {
        port_destroy(end->capture);
        end->capture = NULL;
        return false;
    }
    if (task->by_flow)
        port_checker_order_by_flow(end->inner);
    return true;
}

/* Also outside the simulator: by netback. */
static bool make_end(struct netback_task *task, struct end *end)
{
    if (task->rounds == 0 && !make_checker(task, end))
        return false;
    if (task->rounds != 0)
        end->inner = port_pktgen_create(end->rx, end->tx, task->rounds);
    if (end->inner == NULL)
        return false;
    end->inner->outer = &end->port; /* port_wake() of the innermost reaches netback through all of them */
    if (task->going)
        let_go(end);
    return true;
}

static struct port *open_port(void *context, unsigned domid, unsigned handle)
{
    struct netback_task *task = context;
    struct end *end;

    if (domid != task->domid || handle >= VIFS_MAX || task->ends[handle].inner != NULL)
        return NULL;
    end = &task->ends[handle];
    end->port = (struct port){.ops = &end_ops, .offload = true};
    if (!make_end(task, end))
        return NULL;
    return &end->port;
}

static const struct netback_statistics *statistics_of(const struct netback_task *task, unsigned handle)
{
    const struct netback_statistics *statistics;

    if (task->netback == NULL)
        return &task->ends[handle].statistics;
    for (unsigned index = 0; (statistics = netback_statistics(task->netback, index)) != NULL; index++)
        if (statistics->domid == task->domid && statistics->handle == handle)
            return statistics;
    return &task->ends[handle].statistics;
}

/* netback's own code. It enters the simulator by its libraries, and here where it is told of something. */
static bool run_netback(struct netback_task *task)
{
    KERNEL_OUTSIDE();

    return netback_run(task->netback);
}

static void netback_main(void *argument)
{
    struct netback_task *task = argument;

    if (task->own_domid != XEN_DOM0)
        dom0_enter_domain(task->own_domid);
    if (!run_netback(task))
        fail("netback", "netback gave up: its store or event channels failed");
    for (unsigned handle = 0; handle < VIFS_MAX; handle++)
        task->ends[handle].statistics = *statistics_of(task, handle);
    netback_destroy(task->netback);
    if (task->own_domid != XEN_DOM0)
        dom0_leave_domain();
    task->netback = NULL;
    task_unpark(task->waiter);
}

static void forward_log(void *context, enum backend_log_level level, const char *line)
{
    static const enum log_level levels[] = {
        [BACKEND_LOG_ERROR] = LOG_ERROR,
        [BACKEND_LOG_WARNING] = LOG_WARNING,
        [BACKEND_LOG_INFO] = LOG_INFO,
        [BACKEND_LOG_DEBUG] = LOG_DEBUG,
    };

    KERNEL_SCOPE();

    (void)context;
    log_line(levels[level], "netback", "%s", line);
}

struct netback_task *netback_task_start(const struct backend_choice *backend, uint64_t rounds)
{
    struct netback_task *task = image_alloc(sizeof(*task));
    struct netback_options options = {
        .domid = backend->domid,
        .features = &backend->features,
        .open_port = open_port,
        .context = task,
        .busy_poll_us = backend->busy_poll_us,
        .logger = &task->logger,
    };

    task->rounds = rounds;
    task->by_flow = backend->features.max_queues > 1;
    task->logger.write = forward_log;
    task->own_domid = backend->domid;
    if (backend->domid != XEN_DOM0)
        dom0_enter_domain(backend->domid);
    task->netback = netback_create(&options);
    if (backend->domid != XEN_DOM0)
        dom0_leave_domain();
    if (task->netback == NULL)
        fail("netback", "netback could not open its libraries");
    task->task = task_create("netback", netback_main, task);
    return task;
}

void netback_task_expect(struct netback_task *task, unsigned domid, unsigned handle, const struct capture *rx,
                         const struct capture *tx, struct capture_writer *out_tx)
{
    struct end *end = &task->ends[handle];

    task->domid = domid;
    end->handle = handle;
    end->rx = rx;
    end->tx = tx;
    end->out_tx = out_tx;
}

void netback_task_follow(struct netback_task *task, unsigned domid)
{
    task->domid = domid;
}

void netback_task_go(struct netback_task *task)
{
    task->going = true;
    for (unsigned handle = 0; handle < VIFS_MAX; handle++)
        if (task->ends[handle].inner != NULL)
            let_go(&task->ends[handle]);
    backend_interrupt();
}

void netback_task_again(struct netback_task *task)
{
    task->going = false;
    for (unsigned handle = 0; handle < VIFS_MAX; handle++) {
        struct end *end = &task->ends[handle];

        end->verdict = (struct checker_verdict){0};
        if (end->inner == NULL)
            continue;
        port_destroy(end->inner);
        if (!make_end(task, end))
            fail("netback", "the end of VIF %u could not be made again", handle);
    }
}

void netback_task_stop(struct netback_task *task)
{
    task->waiter = task_current();
    netback_stop(task->netback);
    while (task->netback != NULL)
        (void)task_park(CLOCK_NEVER, "netback to end");
}

static struct report_ring ring_of(const struct netback_ring_statistics *statistics)
{
    return (struct report_ring){
        .requests = statistics->requests,
        .responses = statistics->responses,
        .notifications_sent = statistics->notifications_sent,
        .notifications_suppressed = statistics->notifications_suppressed,
    };
}

void netback_task_report(const struct netback_task *task, unsigned handle, struct report_vif *vif)
{
    struct report_direction *tx = &vif->tx, *rx = &vif->rx;
    const struct end *end = &task->ends[handle];
    const struct netback_statistics *statistics = statistics_of(task, handle);
    struct checker_verdict verdict = verdict_of(end);

    tx->frames = verdict.good;
    tx->bytes = verdict.bytes;
    tx->corrupt = checker_bad(&verdict);
    tx->ring = ring_of(&statistics->tx.ring);
    rx->ring = ring_of(&statistics->rx.ring);
    tx->dropped = statistics->tx.drops + statistics->tx.errors;
    rx->dropped = statistics->rx.drops + statistics->rx.errors;
    vif->control = statistics->control;
    vif->filters = statistics->filters;
    vif->filtered = statistics->filtered;
}

const char *netback_task_difference(const struct netback_task *task, unsigned handle)
{
    return difference_of(&task->ends[handle]);
}
