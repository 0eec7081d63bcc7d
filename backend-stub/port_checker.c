#include "port_checker.h"

#include <stdlib.h>

struct port_checker {
    struct port port;
    struct port *inner;
    struct checker *checker;
    struct checker_verdict *sum; /* where the verdict goes in the end, or NULL */
};

static void transmit(struct port *port, const struct port_frame *frame)
{
    struct port_checker *checker = (struct port_checker *)port;

    checker_take(checker->checker, frame);
    checker->inner->ops->transmit(checker->inner, frame);
}

static void start(struct port *port)
{
    struct port *inner = ((struct port_checker *)port)->inner;

    inner->ops->start(inner);
}

static void stop(struct port *port)
{
    struct port *inner = ((struct port_checker *)port)->inner;

    inner->ops->stop(inner);
}

static bool receive(struct port *port, struct port_frame *frame)
{
    struct port *inner = ((struct port_checker *)port)->inner;

    return inner->ops->receive(inner, frame);
}

static void destroy(struct port *port)
{
    struct port_checker *checker = (struct port_checker *)port;
    struct checker_verdict verdict = port_checker_verdict(port);

    if (checker->sum) {
        checker->sum->frames += verdict.frames;
        checker->sum->bytes += verdict.bytes;
        checker->sum->good += verdict.good;
        checker->sum->lost += verdict.lost;
        checker->sum->corrupt += verdict.corrupt;
        checker->sum->reordered += verdict.reordered;
        checker->sum->extra += verdict.extra;
    }
    port_destroy(checker->inner);
    checker_destroy(checker->checker);
    free(checker);
}

static const struct port_ops ops = {
    .start = start,
    .stop = stop,
    .receive = receive,
    .transmit = transmit,
    .destroy = destroy,
};

struct port *port_checker_create(struct port *inner, const struct capture *expected,
                                 const struct backend_logger *logger)
{
    struct port_checker *checker = calloc(1, sizeof(*checker));

    checker->port = (struct port){.ops = &ops, .offload = inner->offload};
    checker->inner = inner;
    inner->outer = &checker->port;
    checker->checker = checker_create(expected, "from the guest", logger);
    return &checker->port;
}

struct checker_verdict port_checker_verdict(const struct port *port)
{
    return checker_verdict(((const struct port_checker *)port)->checker);
}

void port_checker_order_by_flow(struct port *port)
{
    checker_order_by_flow(((struct port_checker *)port)->checker);
}

void port_checker_keep(struct port *port, struct checker_verdict *sum)
{
    ((struct port_checker *)port)->sum = sum;
}
