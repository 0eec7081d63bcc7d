#include "port_checker.h"

#include <stdlib.h>
#include <string.h>

/* Differences told one by one in the log. */
#define LOGGED_DIFFERENCES 10u

enum expected_state { EXPECTED_MISSING, EXPECTED_SEEN, EXPECTED_CORRUPT };

struct port_checker {
    struct port port;
    struct port *inner;
    const struct capture *expected;
    const struct backend_logger *logger;
    uint8_t *state; /* of each expected frame */
    unsigned next;  /* the frame whose turn it is */
    struct checker_verdict verdict;
    struct checker_verdict *sum; /* where the verdict goes in the end, or NULL */
};

static bool equal(const struct port_frame *a, const struct port_frame *b)
{
    return a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

/* The first expected frame from `first` up to, not including, `end` that is in this state and equal; `end` if none. */
static unsigned search(const struct port_checker *checker, unsigned first, unsigned end, enum expected_state state,
                       const struct port_frame *frame)
{
    unsigned i;

    for (i = first; i < end; i++) {
        if (checker->state[i] == state && equal(&checker->expected->frame[i], frame))
            break;
    }
    return i;
}

static void log_difference(const struct port_checker *checker, const struct port_frame *frame)
{
    const struct port_frame *expected;
    uint32_t at = 0;

    if (checker->verdict.corrupt + checker->verdict.extra > LOGGED_DIFFERENCES)
        return;
    if (checker->next >= checker->expected->count) {
        backend_log(checker->logger, BACKEND_LOG_WARNING, "frame %llu from the guest: more than the %u expected",
                    (unsigned long long)checker->verdict.frames, checker->expected->count);
        return;
    }
    expected = &checker->expected->frame[checker->next];
    while (at < frame->length && at < expected->length && frame->data[at] == expected->data[at])
        at++;
    backend_log(
        checker->logger, BACKEND_LOG_WARNING,
        "frame %llu from the guest: %u bytes for frame %u of the capture, %u bytes; they differ from byte %u on",
        (unsigned long long)checker->verdict.frames, frame->length, checker->next + 1, expected->length, at);
}

/*
 * Find the place of a frame that is not the one whose turn it is. A frame further on: those between are missing (and
 * may come later). One that was passed over: out of order. The one that the frame before stood in for: that one was
 * extra.
 */
static void place(struct port_checker *checker, const struct port_frame *frame)
{
    struct checker_verdict *verdict = &checker->verdict;
    unsigned count = checker->expected->count, at;

    at = search(checker, checker->next, count, EXPECTED_MISSING, frame);
    if (at < count) {
        checker->state[at] = EXPECTED_SEEN;
        checker->next = at + 1;
        verdict->good++;
        return;
    }
    at = search(checker, 0, checker->next, EXPECTED_MISSING, frame);
    if (at < checker->next) {
        checker->state[at] = EXPECTED_SEEN;
        verdict->reordered++;
        return;
    }
    at = search(checker, 0, checker->next, EXPECTED_CORRUPT, frame);
    if (at < checker->next) {
        checker->state[at] = EXPECTED_SEEN;
        verdict->good++;
        verdict->corrupt--;
        verdict->extra++;
        return;
    }
    log_difference(checker, frame);
    if (checker->next < count) {
        checker->state[checker->next++] = EXPECTED_CORRUPT;
        verdict->corrupt++;
    } else {
        verdict->extra++;
    }
}

static void checker_transmit(struct port *port, const struct port_frame *frame)
{
    struct port_checker *checker = (struct port_checker *)port;

    checker->verdict.frames++;
    checker->verdict.bytes += frame->length;
    if (checker->next < checker->expected->count && equal(&checker->expected->frame[checker->next], frame)) {
        checker->state[checker->next++] = EXPECTED_SEEN;
        checker->verdict.good++;
    } else {
        place(checker, frame);
    }
    checker->inner->ops->transmit(checker->inner, frame);
}

static void checker_start(struct port *port)
{
    struct port *inner = ((struct port_checker *)port)->inner;

    inner->ops->start(inner);
}

static void checker_stop(struct port *port)
{
    struct port *inner = ((struct port_checker *)port)->inner;

    inner->ops->stop(inner);
}

static bool checker_receive(struct port *port, struct port_frame *frame)
{
    struct port *inner = ((struct port_checker *)port)->inner;

    return inner->ops->receive(inner, frame);
}

static void checker_destroy(struct port *port)
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
    free(checker->state);
    free(checker);
}

static const struct port_ops checker_ops = {
    .start = checker_start,
    .stop = checker_stop,
    .receive = checker_receive,
    .transmit = checker_transmit,
    .destroy = checker_destroy,
};

struct port *port_checker_create(struct port *inner, const struct capture *expected,
                                 const struct backend_logger *logger)
{
    struct port_checker *checker = calloc(1, sizeof(*checker));

    checker->port.ops = &checker_ops;
    checker->inner = inner;
    inner->outer = &checker->port;
    checker->expected = expected;
    checker->logger = logger;
    checker->state = calloc(expected->count, sizeof(*checker->state));
    return &checker->port;
}

struct checker_verdict port_checker_verdict(const struct port *port)
{
    const struct port_checker *checker = (const struct port_checker *)port;
    struct checker_verdict verdict = checker->verdict;

    for (unsigned i = 0; i < checker->expected->count; i++)
        verdict.lost += checker->state[i] == EXPECTED_MISSING;
    return verdict;
}

void port_checker_keep(struct port *port, struct checker_verdict *sum)
{
    ((struct port_checker *)port)->sum = sum;
}
