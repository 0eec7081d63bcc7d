/*
 * Frames that come, held against a capture: which are there, and which are lost, corrupt, out of order or too many.
 *
 * A frame of the capture that was left to an offloading card is there when it comes as it is and says so, or with its
 * checksum completed, or, if it was to be cut, as all its segments in order. Whatever does not say that its checksum is
 * blank has to have a right one. The rules are the protocols' own, not those of the code that cuts and completes.
 *
 * The counts are of frames of the capture, but for `frames`, `bytes` and `extra`. A frame of which some segments come
 * and others do not, be it at its beginning, its middle or its end, is lost, as it is to a receiver of whole frames:
 * the segments that came are right, each in its place, or they would be told otherwise. With a segment that comes
 * behind a later one the frame is reordered, with a damaged one corrupt, once however many there are; a segment that
 * comes twice is extra, and the frame may be good. Where the first segment is missing the others have to be of
 * `gso_size`.
 */
#ifndef BACKEND_CHECKER_H
#define BACKEND_CHECKER_H

#include "capture.h"
#include "log.h"
#include "port.h"

struct checker_verdict {
    uint64_t frames; /* that came */
    uint64_t bytes;
    uint64_t good;      /* equal to the expected one, in its place */
    uint64_t lost;      /* expected, and not come so far, or in part */
    uint64_t corrupt;   /* came in the place of an expected one, with other bytes or another length */
    uint64_t reordered; /* equal to an expected one, but later than its place */
    uint64_t extra;     /* more than were expected */
};

/* Frames that are not as they should be. */
static inline uint64_t checker_bad(const struct checker_verdict *verdict)
{
    return verdict->corrupt + verdict->reordered + verdict->extra;
}

struct checker;

/* The capture, the logger and `from`, for lines of the log ("from the guest"), stay the caller's. */
struct checker *checker_create(const struct capture *expected, const char *from, const struct backend_logger *logger);
/* Frames of different flows (packet.h) may overtake one another, as they do on several queues. Before the first frame.
 */
void checker_order_by_flow(struct checker *checker);
void checker_take(struct checker *checker, const struct port_frame *frame);
/* A frame of which only the bytes are known: it may be in any of those forms. */
void checker_take_bytes(struct checker *checker, const uint8_t *data, uint32_t length);
struct checker_verdict checker_verdict(const struct checker *checker);
void checker_destroy(struct checker *checker);

#endif
