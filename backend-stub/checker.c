#include "checker.h"

#include <stdlib.h>
#include <string.h>

/* Differences told one by one in the log. */
#define LOGGED_DIFFERENCES 10u

enum expected_state { EXPECTED_MISSING, EXPECTED_SEEN, EXPECTED_CORRUPT };

struct checker {
    const struct capture *expected;
    const char *from;
    const struct backend_logger *logger;
    uint8_t *state; /* of each expected frame */
    unsigned next;  /* the frame whose turn it is */
    struct checker_verdict verdict;
};

static bool equal(const struct port_frame *a, const struct port_frame *b)
{
    return a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

/* The first expected frame from `first` up to, not including, `end` that is in this state and equal; `end` if none. */
static unsigned search(const struct checker *checker, unsigned first, unsigned end, enum expected_state state,
                       const struct port_frame *frame)
{
    unsigned i;

    for (i = first; i < end; i++) {
        if (checker->state[i] == state && equal(&checker->expected->frame[i], frame))
            break;
    }
    return i;
}

static void see(struct checker *checker, unsigned at, enum expected_state state)
{
    checker->state[at] = (uint8_t)state;
    checker->verdict.lost--;
}

static void log_difference(const struct checker *checker, const struct port_frame *frame)
{
    const struct port_frame *expected;
    uint32_t at = 0;

    if (checker->verdict.corrupt + checker->verdict.extra > LOGGED_DIFFERENCES)
        return;
    if (checker->next >= checker->expected->count) {
        backend_log(checker->logger, BACKEND_LOG_WARNING, "frame %llu %s: more than the %u expected",
                    (unsigned long long)checker->verdict.frames, checker->from, checker->expected->count);
        return;
    }
    expected = &checker->expected->frame[checker->next];
    while (at < frame->length && at < expected->length && frame->data[at] == expected->data[at])
        at++;
    backend_log(checker->logger, BACKEND_LOG_WARNING,
                "frame %llu %s: %u bytes for frame %u of the capture, %u bytes; they differ from byte %u on",
                (unsigned long long)checker->verdict.frames, checker->from, frame->length, checker->next + 1,
                expected->length, at);
}

/*
 * Find the place of a frame that is not the one whose turn it is. A frame further on: those between are missing (and
 * may come later). One that was passed over: out of order. The one that the frame before stood in for: that one was
 * extra.
 */
static void place(struct checker *checker, const struct port_frame *frame)
{
    struct checker_verdict *verdict = &checker->verdict;
    unsigned count = checker->expected->count, at;

    at = search(checker, checker->next, count, EXPECTED_MISSING, frame);
    if (at < count) {
        see(checker, at, EXPECTED_SEEN);
        checker->next = at + 1;
        verdict->good++;
        return;
    }
    at = search(checker, 0, checker->next, EXPECTED_MISSING, frame);
    if (at < checker->next) {
        see(checker, at, EXPECTED_SEEN);
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
        see(checker, checker->next++, EXPECTED_CORRUPT);
        verdict->corrupt++;
    } else {
        verdict->extra++;
    }
}

void checker_take(struct checker *checker, const struct port_frame *frame)
{
    checker->verdict.frames++;
    checker->verdict.bytes += frame->length;
    if (checker->next < checker->expected->count && equal(&checker->expected->frame[checker->next], frame)) {
        see(checker, checker->next++, EXPECTED_SEEN);
        checker->verdict.good++;
    } else {
        place(checker, frame);
    }
}

struct checker *checker_create(const struct capture *expected, const char *from, const struct backend_logger *logger)
{
    struct checker *checker = calloc(1, sizeof(*checker));

    checker->expected = expected;
    checker->from = from;
    checker->logger = logger;
    checker->state = calloc(expected->count, sizeof(*checker->state));
    checker->verdict.lost = expected->count;
    return checker;
}

struct checker_verdict checker_verdict(const struct checker *checker)
{
    return checker->verdict;
}

void checker_destroy(struct checker *checker)
{
    free(checker->state);
    free(checker);
}
