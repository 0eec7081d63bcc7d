/* What netback is told to offer, through the command: traffic with the shipping drivers, netback's part of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "common/guest.h"
#include "common/process.h"
#include "packet.h"

#define LAN "tests/captures/lan-wire.pcap"
#define OFFLOAD "tests/captures/lan-offload.pcap"
#define WIRE_FRAME_MAX 1514u

static void assert_ends(struct process_result result, int status, const char *expected)
{
    char line[512];

    last_line(status == 2 ? result.error : result.output, line, sizeof(line));
    ck_assert_msg(strncmp(line, expected, strlen(expected)) == 0, "last line '%s', expected '%s'\n%s\n%s", line,
                  expected, result.output, result.error);
    ck_assert_int_eq(result.status, status);
    process_free(&result);
}

static const char *const offers[] = {
    "none", "all", "all,wire", "split-event-channels,queues=2,ctrl-ring", "all,-sg,-rx-copy,rx-copy", "default",
};

START_TEST(frames_of_a_wire_whatever_is_offered)
{
    assert_ends(pvsim("run --vcpus 2 --backend-features %s --tx %s --rx %s", offers[_i], LAN, LAN), 0,
                "PASS tx=1132 rx=1132 lost=0 corrupt=0 leaks=0");
}
END_TEST

/* A guest that takes nothing gets what was left to a card as frames of a wire: netback cuts and completes. */
START_TEST(frames_left_to_a_card_reach_a_guest_that_has_none)
{
    char path[256], error[CAPTURE_ERROR_MAX] = "";
    struct capture *got;

    snprintf(path, sizeof(path), "%s/got.pcap", scratch());
    assert_ends(pvsim("run --rx %s --backend-features none,sg --out-rx %s", OFFLOAD, path), 0,
                "PASS tx=0 rx=205 lost=0 corrupt=0 leaks=0");
    got = capture_load(path, error);
    ck_assert_msg(got != NULL, "%s", error);
    ck_assert_uint_eq(got->count, 807); /* segments of 1448 and 1428 bytes, and what was no larger */
    for (unsigned i = 0; i < got->count; i++) {
        const struct port_frame *frame = &got->frame[i];
        struct packet packet;

        packet_parse(frame->data, frame->length, &packet);
        ck_assert_uint_le(frame->length, 1514);
        ck_assert_msg(!packet.checksum || packet_is_right(frame->data, &packet), "frame %u", i + 1);
    }
    capture_free(got);
}
END_TEST

static uint64_t no_clock(void)
{
    return 0;
}

/* The frame with bytes put into it; the sum of the pseudo-header covers none of them. */
static void put_with(struct capture_writer *writer, const struct port_frame *frame, uint32_t at, const uint8_t *what,
                     uint32_t length)
{
    static uint8_t data[PORT_FRAME_MAX + 64];

    memcpy(data, frame->data, at);
    memcpy(data + at, what, length);
    memcpy(data + at + length, frame->data + at, frame->length - at);
    if (at == 54) { /* an extension header of IPv6 */
        data[54] = data[20];
        data[20] = 43;
        packet_put16(data + 18, packet_get16(data + 18) + length);
    }
    capture_writer_put(writer, &(struct port_frame){.data = data, .length = frame->length + length});
}

/* Frames with two tags or a routing header: no driver finds its way in them, and no checksum is left to it. */
START_TEST(frames_of_rare_headers_are_made_ready)
{
    static const uint8_t tags[8] = {0x88, 0xa8, 0, 9, 0x81, 0, 0, 5}, routing[8] = {0, 0, 253};
    char path[256], expected[64], error[CAPTURE_ERROR_MAX] = "";
    struct capture *from = capture_load(OFFLOAD, error);
    struct capture_writer *writer;
    unsigned count = 0;

    ck_assert_msg(from != NULL, "%s", error);
    snprintf(path, sizeof(path), "%s/rare.pcap", scratch());
    writer = capture_writer_open(path, no_clock, error);
    ck_assert_msg(writer != NULL, "%s", error);
    for (unsigned i = 0; i < from->count; i++) {
        const struct port_frame *frame = &from->frame[i];
        struct packet packet;

        packet_parse(frame->data, frame->length, &packet);
        if (frame->checksum != PORT_CHECKSUM_BLANK || packet.network != 14 || frame->length > PORT_FRAME_MAX - 8)
            continue;
        if (frame->length <= WIRE_FRAME_MAX - 4) { /* with two tags it takes as much as any with one does */
            put_with(writer, frame, 12, tags, sizeof(tags));
            count++;
        }
        if (packet.version == 6 && packet.transport == 54) {
            put_with(writer, frame, 54, routing, sizeof(routing));
            count++;
        }
    }
    capture_free(from);
    ck_assert_msg(capture_writer_close(writer, error), "%s", error);
    ck_assert_uint_gt(count, 100);
    snprintf(expected, sizeof(expected), "PASS tx=0 rx=%u lost=0 corrupt=0 leaks=0", count);
    assert_ends(pvsim("run --rx %s --backend-features all", path), 0, expected);
    assert_ends(pvsim("run --rx %s --backend-features all --batch 16", path), 0, expected);
}
END_TEST

START_TEST(the_same_offer_the_same_run)
{
    struct process_result once =
        pvsim("run --vcpus 2 --rx %s --backend-features none,sg --policy pct --seed 3", OFFLOAD);
    struct process_result again =
        pvsim("run --vcpus 2 --rx %s --backend-features none,sg --policy pct --seed 3 --log debug", OFFLOAD);

    ck_assert_int_eq(once.status, 0);
    ck_assert_uint_ne(report_hash(once.output), 0);
    ck_assert_uint_eq(report_hash(once.output), report_hash(again.output));
    process_free(&once);
    process_free(&again);
}
END_TEST

START_TEST(offers_that_make_no_sense)
{
    assert_ends(pvsim("run --backend-features gso"), 2, "pvsim: --backend-features: 'gso' is no feature: ");
    assert_ends(pvsim("run --backend-features sg,queues=17"), 2,
                "pvsim: --backend-features: 'queues=17' is no feature");
    assert_ends(pvsim("run --backend none --backend-features all"), 2,
                "pvsim: --backend-features with --backend none or exec: ");
    assert_ends(pvsim("create --backend-features -foo"), 2, "pvsim: --backend-features: '-foo' is no feature");
}
END_TEST

/* Netback that looks at the rings for a while before it sleeps carries the same, by fewer events. */
START_TEST(busy_polling)
{
    static const char *const engines[] = {"det --policy pct", "par"};

    for (unsigned i = 0; i < 2; i++)
        assert_ends(pvsim("run --engine %s --busy-poll 50 --batch 8 --tx %s --rx %s", engines[i], LAN, LAN), 0,
                    "PASS tx=1132 rx=1132 lost=0 corrupt=0 leaks=0");
    assert_ends(pvsim("run --busy-poll 1001"), 2, "pvsim: --busy-poll takes a whole number from 0 to 1000, not '1001'");
    assert_ends(pvsim("run --backend none --busy-poll 5"), 2, "pvsim: --busy-poll with --backend none or exec: ");
    assert_ends(process_run((const char *const[]){PVSIM_BUILD "/pvsim-netback", "--busy-poll", "1001", NULL}), 2,
                "pvsim-netback: \"1001\" is no number of microseconds up to 1000");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("features");
    TCase *tcase = tcase_create("features");

    tcase_add_loop_test(tcase, frames_of_a_wire_whatever_is_offered, 0, (int)(sizeof(offers) / sizeof(offers[0])));
    tcase_add_test(tcase, frames_left_to_a_card_reach_a_guest_that_has_none);
    tcase_add_test(tcase, frames_of_rare_headers_are_made_ready);
    tcase_add_test(tcase, the_same_offer_the_same_run);
    tcase_add_test(tcase, offers_that_make_no_sense);
    tcase_add_test(tcase, busy_polling);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
