#include "checker.h"

#include "packet.h"

#include <stdlib.h>
#include <string.h>

/* Differences told one by one in the log. */
#define LOGGED_DIFFERENCES 10u

#define FLOW_SLOTS 4096u

#define NO_OFFSET UINT32_MAX

/* Late: counted as out of order. */
enum expected_state { EXPECTED_MISSING, EXPECTED_SEEN, EXPECTED_CORRUPT, EXPECTED_LATE, EXPECTED_STATES };

/* Frames whose order is kept, in the order of the capture: all, or those of one flow. */
struct sequence {
    uint32_t flow;
    unsigned first; /* of the capture; its count: there is none */
    unsigned last;
    unsigned next;         /* the frame whose turn it is, the capture's count behind the last */
    uint32_t done;         /* bytes of its data up to the end of the last segment that came */
    uint32_t segment_size; /* bytes of data in those; once `done` */
    uint32_t gap_start;    /* where the first of its missing segments begins */
    uint32_t gap_end;      /* where the last of them ends; 0: none is missing */
    unsigned strays;       /* that came in the place of its segments */
};

struct checker {
    const struct capture *expected;
    const char *from;
    const struct backend_logger *logger;
    uint8_t *state;     /* of each expected frame */
    unsigned *follower; /* of each: the one behind it in its sequence */
    struct packet *packet;
    bool by_flow;
    struct sequence *sequence; /* by_flow: FLOW_SLOTS, a hash table by flow with at most half of them taken; else one */
    unsigned sequences;        /* taken */
    struct checker_verdict verdict;
};

/* ---- sequences ---- */

static uint32_t flow_of(const struct checker *checker, const struct port_frame *frame, struct packet *packet)
{
    packet_parse(frame->data, frame->length, packet);
    return checker->by_flow ? packet_flow(frame->data, packet) : 0;
}

/* The sequence of a flow, or a place for it. When flows are too many they share. */
static struct sequence *find_sequence(const struct checker *checker, uint32_t flow)
{
    unsigned count = checker->expected->count, at = flow % FLOW_SLOTS;

    if (!checker->by_flow)
        return checker->sequence;
    while (checker->sequence[at].first != count && checker->sequence[at].flow != flow)
        at = (at + 1) % FLOW_SLOTS;
    if (checker->sequence[at].first == count && checker->sequences == FLOW_SLOTS / 2)
        return &checker->sequence[checker->sequence[0].first == count ? at : 0];
    return &checker->sequence[at];
}

/* Put the capture's frames, all of them missing, into their sequences. */
static void arrange(struct checker *checker)
{
    const struct capture *expected = checker->expected;
    unsigned count = expected->count, sequences = checker->by_flow ? FLOW_SLOTS : 1;

    checker->sequences = 0;
    for (unsigned i = 0; i < sequences; i++)
        checker->sequence[i] = (struct sequence){.first = count, .next = count};
    for (unsigned i = 0; i < count; i++) {
        uint32_t flow = flow_of(checker, &expected->frame[i], &checker->packet[i]);
        struct sequence *sequence = find_sequence(checker, flow);

        checker->follower[i] = count;
        if (sequence->first == count) {
            *sequence = (struct sequence){.flow = flow, .first = i, .last = i, .next = i};
            checker->sequences++;
            continue;
        }
        checker->follower[sequence->last] = i;
        sequence->last = i;
    }
}

/* ---- is it the expected frame? ---- */

/* The same but for the checksum of TCP or UDP. */
static bool equal_otherwise(const struct port_frame *a, const struct port_frame *b, const struct packet *packet)
{
    uint32_t behind = packet->checksum + 2u;

    return a->length == b->length && memcmp(a->data, b->data, packet->checksum) == 0 &&
           memcmp(a->data + behind, b->data + behind, a->length - behind) == 0;
}

/*
 * A frame as a whole. Where one side has a blank checksum and the other a complete one, they are the same if each is
 * right as what it is; a frame that is to be cut has to say so.
 */
static bool is_whole(const struct port_frame *expected, const struct packet *packet, const struct port_frame *frame)
{
    bool was_blank = expected->checksum == PORT_CHECKSUM_BLANK, blank = frame->checksum == PORT_CHECKSUM_BLANK;

    if (expected->gso != frame->gso)
        return false;
    if (was_blank == blank)
        return expected->length == frame->length && memcmp(expected->data, frame->data, frame->length) == 0;
    if (!packet->checksum || !equal_otherwise(expected, frame, packet))
        return false;
    return blank ? packet_is_partial(frame->data, packet) : packet_is_right(frame->data, packet);
}

/* The headers of a segment against those of the packet that it is of, field by field (RFC 791, 8200, 9293, 3168). */
static bool are_segment_headers(const uint8_t *whole, const struct packet *packet, const uint8_t *part, uint32_t offset,
                                uint32_t length, unsigned number)
{
    const uint8_t *ip = part + packet->network, *tcp = part + packet->transport;
    const uint8_t *whole_ip = whole + packet->network, *whole_tcp = whole + packet->transport;
    bool last = packet->payload + offset + length == packet->end;
    uint8_t flags = whole_tcp[13];
    uint32_t options = packet->transport + 18u; /* from the urgent pointer on */

    if (!last)
        flags &= 0xf6; /* FIN, PSH */
    if (number)
        flags &= 0x7f; /* CWR */
    if (memcmp(part, whole, packet->network) != 0)
        return false;
    if (packet->version == 4 && (packet_get16(ip) != packet_get16(whole_ip) ||
                                 packet_get16(ip + 4) != (uint16_t)(packet_get16(whole_ip + 4) + number) ||
                                 memcmp(ip + 6, whole_ip + 6, 4) != 0 || !packet_header_is_right(part, packet) ||
                                 memcmp(ip + 12, whole_ip + 12, packet->transport - packet->network - 12u) != 0))
        return false;
    if (packet->version == 6 &&
        (memcmp(ip, whole_ip, 4) != 0 || memcmp(ip + 6, whole_ip + 6, packet->transport - packet->network - 6u) != 0))
        return false;
    return memcmp(tcp, whole_tcp, 4) == 0 && packet_get32(tcp + 4) == packet_get32(whole_tcp + 4) + offset &&
           memcmp(tcp + 8, whole_tcp + 8, 5) == 0 && tcp[13] == flags && memcmp(tcp + 14, whole_tcp + 14, 2) == 0 &&
           memcmp(part + options, whole + options, packet->payload - options) == 0;
}

static bool is_to_be_cut(const struct port_frame *expected)
{
    return expected->gso != PORT_GSO_NONE && expected->gso_size != 0;
}

/*
 * Where in the data of a frame that was to be cut a segment of it belongs, by its sequence number; NO_OFFSET: it is
 * none. All are of one size, but for the last, which may be smaller, and fit the wire. The size is that of those before
 * it; 0: the first one sets it, and where that has not come they are as large as they may be.
 */
static uint32_t find_segment(const struct port_frame *expected, const struct packet *packet, uint32_t size,
                             const struct port_frame *frame, const struct packet *frame_packet)
{
    bool blank = frame->checksum == PORT_CHECKSUM_BLANK;
    uint32_t offset, length;

    if (!is_to_be_cut(expected) || frame->gso != PORT_GSO_NONE || !frame_packet->checksum ||
        frame_packet->protocol != PACKET_TCP || frame_packet->payload != packet->payload ||
        frame_packet->transport != packet->transport || frame_packet->version != packet->version)
        return NO_OFFSET;
    length = frame_packet->end - frame_packet->payload;
    offset = packet_get32(frame->data + packet->transport + 4) - packet_get32(expected->data + packet->transport + 4);
    if (!size)
        size = offset ? expected->gso_size : length;
    if (!length || length > size || length > expected->gso_size || frame->length != packet->payload + length ||
        offset >= packet->end - packet->payload || length > packet->end - packet->payload - offset || offset % size)
        return NO_OFFSET;
    if (length < size && packet->payload + offset + length != packet->end)
        return NO_OFFSET;
    if (!are_segment_headers(expected->data, packet, frame->data, offset, length, offset / size) ||
        memcmp(frame->data + packet->payload, expected->data + packet->payload + offset, length) != 0 ||
        !(blank ? packet_is_partial(frame->data, frame_packet) : packet_is_right(frame->data, frame_packet)))
        return NO_OFFSET;
    return offset;
}

/* A frame whose bytes are all that is known passes in any form that some receiver may be given. */
static bool is_some_whole(const struct port_frame *expected, const struct packet *packet,
                          const struct port_frame *frame)
{
    struct port_frame as = *frame;

    as.gso = expected->gso;
    as.checksum = expected->checksum; /* the same bytes need no checksum to be made */
    if (is_whole(expected, packet, &as))
        return true;
    as.checksum = PORT_CHECKSUM_NONE;
    return expected->checksum == PORT_CHECKSUM_BLANK && is_whole(expected, packet, &as);
}

/* ---- its place ---- */

struct arrival {
    const struct port_frame *frame;
    struct packet packet;
    bool bytes_only;
};

static bool is_expected_whole(const struct checker *checker, unsigned at, const struct arrival *arrival)
{
    const struct port_frame *expected = &checker->expected->frame[at];

    return arrival->bytes_only ? is_some_whole(expected, &checker->packet[at], arrival->frame)
                               : is_whole(expected, &checker->packet[at], arrival->frame);
}

/* As find_segment(), of the frame at a place. */
static uint32_t segment_of(const struct checker *checker, unsigned at, uint32_t size, const struct arrival *arrival)
{
    return find_segment(&checker->expected->frame[at], &checker->packet[at], size, arrival->frame, &arrival->packet);
}

/*
 * The first frame of the sequence from `first` up to, not including, `end` that is in this state and that the arrival
 * is equal to, or a segment of; `end` if none.
 */
static unsigned search(const struct checker *checker, unsigned first, unsigned end, enum expected_state state,
                       const struct arrival *arrival, bool *whole)
{
    unsigned i;

    *whole = false;
    for (i = first; i != end; i = checker->follower[i]) {
        if (checker->state[i] != state)
            continue;
        *whole = is_expected_whole(checker, i, arrival);
        if (*whole || segment_of(checker, i, 0, arrival) != NO_OFFSET)
            break;
    }
    return i;
}

static void see(struct checker *checker, unsigned at, enum expected_state state)
{
    checker->state[at] = (uint8_t)state;
    checker->verdict.lost--;
}

static void go_to(struct sequence *sequence, unsigned next)
{
    sequence->next = next;
    sequence->done = 0;
    sequence->gap_end = 0;
    sequence->strays = 0;
}

/* What came for a frame whose place was taken by others was right: those were extra. */
static void acquit(struct checker *checker, unsigned at, unsigned strays)
{
    checker->state[at] = EXPECTED_SEEN;
    checker->verdict.good++;
    checker->verdict.corrupt--;
    checker->verdict.extra += strays;
}

/* The end of the frame whose turn it is has come: without a gap it is there. */
static void finish(struct checker *checker, struct sequence *sequence)
{
    unsigned at = sequence->next;

    if (!sequence->gap_end && checker->state[at] == EXPECTED_MISSING) {
        see(checker, at, EXPECTED_SEEN);
        checker->verdict.good++;
    } else if (!sequence->gap_end && checker->state[at] == EXPECTED_CORRUPT) {
        acquit(checker, at, sequence->strays);
    }
    go_to(sequence, checker->follower[at]);
}

/* It is a segment of the frame whose turn it is, not before those that came: others in between are missing. */
static void take_segment(struct checker *checker, struct sequence *sequence, const struct arrival *arrival,
                         uint32_t offset)
{
    const struct packet *packet = &checker->packet[sequence->next];
    uint32_t length = arrival->packet.end - arrival->packet.payload;

    if (!sequence->done)
        sequence->segment_size = offset ? checker->expected->frame[sequence->next].gso_size : length;
    if (offset != sequence->done) {
        if (!sequence->gap_end)
            sequence->gap_start = sequence->done;
        sequence->gap_end = offset;
    }
    sequence->done = offset + length;
    if (packet->payload + sequence->done == packet->end)
        finish(checker, sequence);
}

/* A segment that does not go on where the last one ended: it came before, or late. */
static void take_past_segment(struct checker *checker, const struct sequence *sequence, uint32_t offset)
{
    if (checker->state[sequence->next] != EXPECTED_MISSING)
        return; /* which is told already */
    if (offset >= sequence->gap_start && offset < sequence->gap_end) {
        see(checker, sequence->next, EXPECTED_LATE);
        checker->verdict.reordered++;
    } else {
        checker->verdict.extra++;
    }
}

/* It is the frame whose turn it is, or a segment of it. */
static bool take_next(struct checker *checker, struct sequence *sequence, const struct arrival *arrival)
{
    uint32_t offset;

    if (!sequence->done && is_expected_whole(checker, sequence->next, arrival)) {
        finish(checker, sequence);
        return true;
    }
    offset = segment_of(checker, sequence->next, sequence->done ? sequence->segment_size : 0, arrival);
    if (offset == NO_OFFSET)
        return false;
    if (offset < sequence->done)
        take_past_segment(checker, sequence, offset);
    else
        take_segment(checker, sequence, arrival, offset);
    return true;
}

static void log_difference(const struct checker *checker, const struct sequence *sequence,
                           const struct port_frame *frame)
{
    const struct port_frame *expected;
    uint32_t at = 0;

    if (checker->verdict.corrupt + checker->verdict.extra > LOGGED_DIFFERENCES)
        return;
    if (sequence->next == checker->expected->count) {
        backend_log(checker->logger, BACKEND_LOG_WARNING, "frame %llu %s: more than the %u expected",
                    (unsigned long long)checker->verdict.frames, checker->from, checker->expected->count);
        return;
    }
    expected = &checker->expected->frame[sequence->next];
    while (at < frame->length && at < expected->length && frame->data[at] == expected->data[at])
        at++;
    backend_log(checker->logger, BACKEND_LOG_WARNING,
                "frame %llu %s: %u bytes for frame %u of the capture, %u bytes; they differ from byte %u on",
                (unsigned long long)checker->verdict.frames, checker->from, frame->length, sequence->next + 1,
                expected->length, at);
}

/* What came belongs to a frame that was passed over, or that is there. */
static void take_past(struct checker *checker, unsigned at, bool whole)
{
    switch ((enum expected_state)checker->state[at]) {
    case EXPECTED_MISSING:
        see(checker, at, EXPECTED_LATE);
        checker->verdict.reordered++;
        break;
    case EXPECTED_CORRUPT:
        if (whole)
            acquit(checker, at, 1);
        break;
    case EXPECTED_LATE:
        if (whole)
            checker->verdict.extra++;
        break;
    default:
        checker->verdict.extra++;
    }
}

/* Nobody expected it: it stands for the frame whose turn it is, or for a segment of it if it can be one by its size. */
static void take_stray(struct checker *checker, struct sequence *sequence, const struct port_frame *frame)
{
    unsigned at = sequence->next;
    const struct port_frame *expected = &checker->expected->frame[at];
    const struct packet *packet = &checker->packet[at];
    uint32_t size = sequence->done ? sequence->segment_size : expected->gso_size;

    if (checker->state[at] == EXPECTED_MISSING) {
        see(checker, at, EXPECTED_CORRUPT);
        checker->verdict.corrupt++;
    }
    sequence->strays++;
    if (!is_to_be_cut(expected) || frame->length > packet->payload + expected->gso_size ||
        (uint64_t)sequence->strays * size >= packet->end - packet->payload - sequence->done)
        go_to(sequence, checker->follower[at]);
}

/*
 * Find the place of a frame that is not the one whose turn it is. A frame further on, or a segment of one: those
 * between are missing (and may come later). One that was passed over: out of order. The one that the frame before
 * stood in for: that one was extra. One that is there already: extra.
 */
static void place(struct checker *checker, struct sequence *sequence, const struct arrival *arrival)
{
    static const enum expected_state past[] = {EXPECTED_MISSING, EXPECTED_CORRUPT, EXPECTED_LATE, EXPECTED_SEEN};
    unsigned count = checker->expected->count, at = sequence->next;
    bool whole;

    if (at != count) {
        at = search(checker, checker->follower[at], count, EXPECTED_MISSING, arrival, &whole);
        if (at != count) {
            go_to(sequence, at);
            take_next(checker, sequence, arrival);
            return;
        }
    }
    for (unsigned i = 0; i < EXPECTED_STATES; i++) {
        at = search(checker, sequence->first, sequence->next, past[i], arrival, &whole);
        if (at != sequence->next) {
            take_past(checker, at, whole);
            return;
        }
    }
    log_difference(checker, sequence, arrival->frame);
    if (sequence->next != count)
        take_stray(checker, sequence, arrival->frame);
    else
        checker->verdict.extra++;
}

static void take(struct checker *checker, const struct port_frame *frame, bool bytes_only)
{
    struct arrival arrival = {.frame = frame, .bytes_only = bytes_only};
    struct sequence *sequence = find_sequence(checker, flow_of(checker, frame, &arrival.packet));

    checker->verdict.frames++;
    checker->verdict.bytes += frame->length;
    if (sequence->next == checker->expected->count || !take_next(checker, sequence, &arrival))
        place(checker, sequence, &arrival);
}

void checker_take(struct checker *checker, const struct port_frame *frame)
{
    take(checker, frame, false);
}

void checker_take_bytes(struct checker *checker, const uint8_t *data, uint32_t length)
{
    take(checker, &(struct port_frame){.data = data, .length = length}, true);
}

struct checker *checker_create(const struct capture *expected, const char *from, const struct backend_logger *logger)
{
    struct checker *checker = calloc(1, sizeof(*checker));

    checker->expected = expected;
    checker->from = from;
    checker->logger = logger;
    checker->state = calloc(expected->count, sizeof(*checker->state));
    checker->follower = calloc(expected->count, sizeof(*checker->follower));
    checker->packet = calloc(expected->count, sizeof(*checker->packet));
    checker->sequence = calloc(1, sizeof(*checker->sequence));
    checker->verdict.lost = expected->count;
    arrange(checker);
    return checker;
}

void checker_order_by_flow(struct checker *checker)
{
    free(checker->sequence);
    checker->sequence = calloc(FLOW_SLOTS, sizeof(*checker->sequence));
    checker->by_flow = true;
    arrange(checker);
}

struct checker_verdict checker_verdict(const struct checker *checker)
{
    return checker->verdict;
}

void checker_destroy(struct checker *checker)
{
    free(checker->state);
    free(checker->follower);
    free(checker->packet);
    free(checker->sequence);
    free(checker);
}
