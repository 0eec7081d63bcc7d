/* The packet generator's end: what it gives the guest, and what it says of what comes from there. */
#include "common/backend.h"
#include "common/inet.h"

#include "packet.h"
#include "port_pktgen.h"

#define FRAMES 40u
#define ROUNDS 5u
#define LAN "tests/captures/lan-wire.pcap"
#define OFFLOAD "tests/captures/lan-offload.pcap"

static uint8_t bytes[FRAMES][200];
static struct port_frame frames[FRAMES];
static const struct capture capture = {.count = FRAMES, .frame = frames};

/* Frames of 60 to 99 bytes, each with its number in it. */
static void make_capture(void)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        memset(bytes[i], 0x11, sizeof(bytes[i]));
        bytes[i][40] = (uint8_t)i;
        frames[i] = (struct port_frame){.data = bytes[i], .length = 60 + i};
    }
}

static struct port *make_port(void)
{
    make_capture();
    return port_pktgen_create(NULL, &capture, ROUNDS);
}

static void send_frames(struct port *port, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        port->ops->transmit(port, &frames[i % FRAMES]);
}

static void assert_verdict(const struct port *port, struct checker_verdict expected)
{
    struct checker_verdict verdict = port_pktgen_verdict(port);

    ck_assert_uint_eq(verdict.good, expected.good);
    ck_assert_uint_eq(verdict.lost, expected.lost);
    ck_assert_uint_eq(verdict.corrupt, expected.corrupt);
    ck_assert_uint_eq(verdict.reordered, expected.reordered);
    ck_assert_uint_eq(verdict.extra, expected.extra);
}

static void assert_says(const struct port *port, const char *what)
{
    ck_assert_msg(strstr(port_pktgen_difference(port), what) != NULL, "\"%s\" does not say \"%s\"",
                  port_pktgen_difference(port), what);
}

GUEST_TEST(frames_go_so_many_times_and_not_before_the_guest_is_ready)
{
    struct port *port;
    struct port_frame frame;

    make_capture();
    port = port_pktgen_create(&capture, NULL, ROUNDS);
    ck_assert(!port->ops->receive(port, &frame));
    port_pktgen_go(port);
    for (unsigned i = 0; i < ROUNDS * FRAMES; i++) {
        ck_assert(port->ops->receive(port, &frame));
        ck_assert_ptr_eq(frame.data, frames[i % FRAMES].data);
        ck_assert_uint_eq(frame.length, frames[i % FRAMES].length);
    }
    ck_assert(!port->ops->receive(port, &frame));
    ck_assert_uint_eq(port_pktgen_verdict(port).lost, 0);
    port_destroy(port);
}

GUEST_TEST(all_frames_in_order_are_good)
{
    struct port *port = make_port();

    assert_verdict(port, (struct checker_verdict){.lost = ROUNDS * FRAMES});
    send_frames(port, 0, ROUNDS * FRAMES);
    assert_verdict(port, (struct checker_verdict){.good = ROUNDS * FRAMES});
    ck_assert_str_eq(port_pktgen_difference(port), "");
    port_destroy(port);
}

GUEST_TEST(a_frame_that_is_missing_is_lost)
{
    struct port *port = make_port();

    send_frames(port, 0, FRAMES + 3);
    send_frames(port, FRAMES + 5, ROUNDS * FRAMES);
    assert_verdict(port, (struct checker_verdict){.good = ROUNDS * FRAMES - 2, .lost = 2});
    assert_says(port, "in the place of frame 44 from the guest, which is frame 4 of the capture in round 2 and has 63 "
                      "bytes, came one of 65 bytes; they differ from byte 40 on: 0x05 for 0x03");
    port_destroy(port);
    port = make_port();
    send_frames(port, 0, ROUNDS * FRAMES - 1); /* nothing comes behind it */
    assert_verdict(port, (struct checker_verdict){.good = ROUNDS * FRAMES - 1, .lost = 1});
    port_destroy(port);
}

GUEST_TEST(a_frame_that_comes_twice_is_not_taken_for_another)
{
    struct port *port = make_port();

    send_frames(port, 0, FRAMES + 7);
    send_frames(port, FRAMES + 6, ROUNDS * FRAMES);
    assert_verdict(port, (struct checker_verdict){.good = ROUNDS * FRAMES, .reordered = 1});
    send_frames(port, 0, 1);
    assert_verdict(port, (struct checker_verdict){.good = ROUNDS * FRAMES, .reordered = 1, .extra = 1});
    assert_says(port, "in the place of frame 48 ");
    port_destroy(port);
    port = make_port();
    send_frames(port, 0, ROUNDS * FRAMES + 1);
    assert_says(port, "a frame of 60 bytes from the guest is more than the 200 expected");
    port_destroy(port);
}

GUEST_TEST(frames_that_change_places_are_told)
{
    struct port *port = make_port();

    send_frames(port, 0, 10);
    send_frames(port, 11, 12);
    send_frames(port, 10, 11);
    send_frames(port, 12, ROUNDS * FRAMES);
    assert_verdict(port, (struct checker_verdict){.good = ROUNDS * FRAMES - 1, .reordered = 1});
    port_destroy(port);
}

static const struct {
    unsigned byte;
    int longer;
    bool told;
} changes[] = {{0, 0, true}, {40, 0, true}, {63, 0, true}, {64, 0, false}, {80, 0, false}, {0, 1, true}, {0, -1, true}};

GUEST_TEST(a_frame_that_is_changed_in_its_first_bytes_is_corrupt)
{
    for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct port *port = make_port();
        struct port_frame changed = frames[30];
        uint8_t copy[200];

        memcpy(copy, bytes[30], sizeof(copy));
        changed.data = copy;
        if (changes[i].longer == 0)
            copy[changes[i].byte] ^= 0x80;
        changed.length += (uint32_t)changes[i].longer;
        send_frames(port, 0, 30);
        port->ops->transmit(port, &changed);
        send_frames(port, 31, ROUNDS * FRAMES);
        assert_verdict(port,
                       (struct checker_verdict){.good = ROUNDS * FRAMES - changes[i].told, .corrupt = changes[i].told});
        ck_assert_int_eq(port_pktgen_difference(port)[0] != '\0', changes[i].told);
        port_destroy(port);
    }
}

GUEST_TEST(garbage_without_end_is_counted_to_the_end)
{
    struct port *port = make_port();
    uint8_t garbage[60] = {0};

    for (unsigned i = 0; i < ROUNDS * FRAMES; i++)
        port->ops->transmit(port, &(struct port_frame){.data = garbage, .length = sizeof(garbage)});
    assert_verdict(port, (struct checker_verdict){.corrupt = ROUNDS * FRAMES});
    port_destroy(port);
}

/* A checksum that was left to a card: as it was, if the frame says so; else complete, and right. */
GUEST_TEST(a_checksum_is_blank_or_right)
{
    static uint8_t copy[PORT_FRAME_MAX];
    char error[CAPTURE_ERROR_MAX];
    struct capture *load = capture_load(OFFLOAD, error);
    struct port *port;
    unsigned blank = 0;

    ck_assert_ptr_nonnull(load);
    port = port_pktgen_create(NULL, load, 3);
    for (unsigned i = 0; i < load->count; i++)
        port->ops->transmit(port, &load->frame[i]);
    ck_assert_uint_eq(port_pktgen_verdict(port).good, load->count);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < load->count; i++) {
            struct port_frame frame = load->frame[i];
            struct packet packet;

            memcpy(copy, frame.data, frame.length);
            frame.data = copy;
            if (frame.checksum == PORT_CHECKSUM_BLANK) {
                frame.checksum = PORT_CHECKSUM_NONE;
                packet_parse(copy, frame.length, &packet);
                if (round == 0)
                    packet_complete(copy, &packet, copy + packet.payload, packet.end - packet.payload);
                blank += round;
            }
            port->ops->transmit(port, &frame);
        }
        ck_assert_uint_eq(port_pktgen_verdict(port).corrupt, blank);
    }
    ck_assert_uint_gt(blank, 0);
    ck_assert_uint_eq(port_pktgen_verdict(port).good, 3u * load->count - blank);
    port_destroy(port);
    capture_free(load);
}

/* Where the checksum lies behind the 64th byte so many are compared; behind the 96th, 64. */
static const struct {
    struct inet_packet packet;
    unsigned compared;
} shapes[] = {
    {{.version = 4, .protocol = INET_UDP}, 64},
    {{.version = 4, .protocol = INET_TCP}, 64},
    {{.version = 4, .protocol = INET_TCP, .ip_options = 12}, 64},
    {{.version = 4, .protocol = INET_TCP, .ip_options = 16}, 68},
    {{.version = 4, .protocol = INET_TCP, .ip_options = 40, .tagged = true}, 96},
    {{.version = 6, .protocol = INET_UDP}, 64},
    {{.version = 6, .protocol = INET_UDP, .tagged = true}, 66},
    {{.version = 6, .protocol = INET_TCP}, 72},
    {{.version = 6, .protocol = INET_TCP, .tagged = true}, 76},
    {{.version = 6, .protocol = INET_TCP, .ip_options = 24}, 96},
    {{.version = 6, .protocol = INET_TCP, .ip_options = 32}, 64},
};

static bool is_told(const struct port_frame *expected, const struct port_frame *frame)
{
    const struct capture one = {.count = 1, .frame = (struct port_frame *)expected};
    struct port *port = port_pktgen_create(NULL, &one, 1);
    struct checker_verdict verdict;
    bool said;

    port->ops->transmit(port, frame);
    verdict = port_pktgen_verdict(port);
    ck_assert_uint_eq(verdict.good + verdict.corrupt, 1);
    said = strstr(port_pktgen_difference(port), "they differ from byte") != NULL;
    ck_assert_int_eq(said, verdict.corrupt != 0);
    port_destroy(port);
    return verdict.corrupt != 0;
}

GUEST_TEST(what_is_compared_ends_behind_the_checksum)
{
    static uint8_t frame[300], copy[300];

    for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct inet_packet packet = shapes[i].packet;
        struct port_frame expected = {.data = frame};

        packet.payload = 100;
        expected.length = (uint32_t)inet_make(frame, &packet);
        for (unsigned blank = 0; blank < 2; blank++) {
            struct port_frame come = expected;

            come.data = copy;
            for (unsigned byte = 0; byte < expected.length; byte++) {
                memcpy(copy, frame, expected.length);
                copy[byte] ^= 0x01;
                ck_assert_msg(is_told(&expected, &come) == (byte < shapes[i].compared), "shape %u, %s: byte %u", i,
                              blank ? "blank" : "complete", byte);
            }
            inet_make_blank(frame, expected.length);
            expected.checksum = PORT_CHECKSUM_BLANK;
        }
    }
}

GUEST_TEST(real_frames_in_order_are_good)
{
    char error[CAPTURE_ERROR_MAX];
    struct capture *load = capture_load(LAN, error);
    struct port *port;

    ck_assert_ptr_nonnull(load);
    port = port_pktgen_create(load, load, 2);
    port_pktgen_go(port);
    for (unsigned i = 0; i < 2 * load->count; i++) {
        struct port_frame frame;

        ck_assert(port->ops->receive(port, &frame));
        port->ops->transmit(port, &frame);
    }
    ck_assert_uint_eq(port_pktgen_verdict(port).good, 2u * load->count);
    ck_assert_str_eq(port_pktgen_difference(port), "");
    port_destroy(port);
    capture_free(load);
}

int main(void)
{
    const TTest *const tests[] = {
        frames_go_so_many_times_and_not_before_the_guest_is_ready,
        all_frames_in_order_are_good,
        a_frame_that_is_missing_is_lost,
        a_frame_that_comes_twice_is_not_taken_for_another,
        frames_that_change_places_are_told,
        a_frame_that_is_changed_in_its_first_bytes_is_corrupt,
        garbage_without_end_is_counted_to_the_end,
        a_checksum_is_blank_or_right,
        what_is_compared_ends_behind_the_checksum,
        real_frames_in_order_are_good,
    };
    Suite *suite = suite_create("packet generator");
    TCase *tcase = tcase_create("packet generator");

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
