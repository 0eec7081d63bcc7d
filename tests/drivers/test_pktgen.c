/*
 * The test client's packet generator: what it says of frames that come other than it expects them, what it sends, and
 * what it refuses.
 */
#include <string.h>

#include "common/stack.h"

#define NET .drivers = STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .wait = true
#define FRAMES 20u
#define ROUNDS 3u
#define TOTAL (ROUNDS * FRAMES)

static uint8_t bytes[FRAMES][200];
static struct port_frame frames[FRAMES], come[TOTAL + 8];
static struct capture arriving = {.frame = come};

/* Frames of 60 to 117 bytes without a protocol, each with its number in it. */
static void make_frames(void)
{
    for (unsigned i = 0; i < FRAMES; i++) {
        memset(bytes[i], 0x22, sizeof(bytes[i]));
        bytes[i][0] = 0x02;
        bytes[i][20] = (uint8_t)i;
        frames[i] = (struct port_frame){.data = bytes[i], .length = 60 + 3 * i};
    }
    arriving.count = 0;
}

static void arrive(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        come[arriving.count++] = frames[i % FRAMES];
}

static NTSTATUS call(ULONG code, void *input, size_t length)
{
    return stack_netclient(0, code, input, (ULONG)length, NULL, 0);
}

static NTSTATUS begin(ULONG64 rounds, unsigned sent, unsigned expected, unsigned batch)
{
    NETCLIENT_PKTGEN parameters = {.Rounds = rounds, .Send = sent, .Expect = expected, .Batch = batch};

    return call(IOCTL_NETCLIENT_PKTGEN_BEGIN, &parameters, sizeof(parameters));
}

#define MORE 72u /* bytes of these two that are compared, of the others 64, */
#define TALL 11u
#define FORMS 12u /* and this one has another form */
#define OTHER_AT (MORE - 2)

static void expect_frames(void)
{
    NETCLIENT_EXPECTED expected[FRAMES];

    memset(expected, 0, sizeof(expected));
    for (unsigned i = 0; i < FRAMES; i++) {
        expected[i].Length = frames[i].length;
        expected[i].Size = (USHORT)(frames[i].length < 64 ? frames[i].length : i == TALL || i == FORMS ? MORE : 64);
        memcpy(expected[i].Head, frames[i].data, expected[i].Size);
    }
    expected[FORMS].OtherAt = OTHER_AT;
    expected[FORMS].Other[0] = frames[FORMS].data[OTHER_AT] ^ 0x80;
    expected[FORMS].Other[1] = frames[FORMS].data[OTHER_AT + 1];
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_EXPECT, expected, sizeof(expected) / 2), STATUS_SUCCESS);
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_EXPECT, expected + FRAMES / 2, sizeof(expected) / 2), STATUS_SUCCESS);
}

static NTSTATUS load_frames(unsigned first, unsigned count, ULONG left)
{
    static uint8_t row[FRAMES * NETCLIENT_ENTRY_SIZE(200)];
    ULONG at = 0;

    for (unsigned i = first; i < first + count; i++) {
        NETCLIENT_ENTRY *entry = (NETCLIENT_ENTRY *)(row + at);

        *entry = (NETCLIENT_ENTRY){.Length = frames[i].length, .Left = left};
        memcpy(entry + 1, frames[i].data, frames[i].length);
        at += NETCLIENT_ENTRY_SIZE(frames[i].length);
    }
    return call(IOCTL_NETCLIENT_PKTGEN_SEND, row, at);
}

static NETCLIENT_PKTGEN_RESULT run(void)
{
    NETCLIENT_PKTGEN_RESULT result;

    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_PKTGEN_RUN, NULL, 0, &result, sizeof(result)), STATUS_SUCCESS);
    return result;
}

/* ---- frames that come ---- */

static void all(void)
{
    arrive(0, TOTAL);
}

static void one_is_missing(void)
{
    arrive(0, FRAMES + 5);
    arrive(FRAMES + 6, TOTAL);
}

static void some_are_missing(void)
{
    arrive(0, 2);
    arrive(8, TOTAL);
}

static void the_last_is_missing(void)
{
    arrive(0, TOTAL - 1);
}

static void one_comes_twice(void)
{
    arrive(0, FRAMES + 5);
    arrive(FRAMES + 4, TOTAL);
}

static void one_comes_late(void)
{
    arrive(0, 5);
    arrive(6, 9);
    arrive(5, 6);
    arrive(9, TOTAL);
}

static void change(unsigned at, unsigned byte, int longer)
{
    static uint8_t copy[200];

    memcpy(copy, come[at].data, sizeof(copy));
    copy[byte] ^= 0x80;
    come[at].data = copy;
    come[at].length += (uint32_t)longer;
}

static void one_is_another(void)
{
    arrive(0, TOTAL);
    change(30, 63, 0);
}

static void one_is_longer(void)
{
    arrive(0, TOTAL);
    change(30, 150, 1);
}

static void one_has_another_payload(void)
{
    arrive(0, TOTAL);
    change(30, 64, 0);
}

static void one_is_another_further_on(void)
{
    arrive(0, TOTAL);
    change(FRAMES + TALL, MORE - 1, 0);
}

static void one_has_another_payload_further_on(void)
{
    arrive(0, TOTAL);
    change(FRAMES + TALL, MORE, 0);
}

static void one_has_its_other_form(void)
{
    arrive(0, TOTAL);
    change(FRAMES + FORMS, OTHER_AT, 0);
}

static void one_has_a_third_form(void)
{
    arrive(0, TOTAL);
    change(FRAMES + FORMS, OTHER_AT + 1, 0);
}

static const struct {
    void (*arrive)(void);
    int32_t status;
    unsigned good, late, corrupt;
    int64_t different; /* -1: none was */
} arrivals[] = {
    {all, STATUS_SUCCESS, TOTAL, 0, 0, -1},
    {one_is_missing, STATUS_SUCCESS, TOTAL - 1, 0, 0, FRAMES + 5},
    {some_are_missing, STATUS_SUCCESS, TOTAL - 6, 0, 0, 2},
    {the_last_is_missing, STATUS_IO_TIMEOUT, TOTAL - 1, 0, 0, -1},
    {one_comes_twice, STATUS_SUCCESS, TOTAL, 1, 0, FRAMES + 5},
    {one_comes_late, STATUS_SUCCESS, TOTAL - 1, 1, 0, 5},
    {one_is_another, STATUS_SUCCESS, TOTAL - 1, 0, 1, 30},
    {one_is_longer, STATUS_SUCCESS, TOTAL - 1, 0, 1, 30},
    {one_has_another_payload, STATUS_SUCCESS, TOTAL, 0, 0, -1},
    {one_is_another_further_on, STATUS_SUCCESS, TOTAL - 1, 0, 1, FRAMES + TALL},
    {one_has_another_payload_further_on, STATUS_SUCCESS, TOTAL, 0, 0, -1},
    {one_has_its_other_form, STATUS_SUCCESS, TOTAL, 0, 0, -1},
    {one_has_a_third_form, STATUS_SUCCESS, TOTAL - 1, 0, 1, FRAMES + FORMS},
};

static void receive(unsigned number)
{
    NETCLIENT_PKTGEN_RESULT result;

    make_frames();
    arrivals[number].arrive();
    ck_assert_int_eq(begin(ROUNDS, 0, FRAMES, 1), STATUS_SUCCESS);
    expect_frames();
    stack_end_send(0, &arriving);
    result = run();
    ck_assert_int_eq(result.Status, arrivals[number].status);
    ck_assert_uint_eq(result.Received, arriving.count);
    ck_assert_uint_eq(result.ReceivedGood, arrivals[number].good);
    ck_assert_uint_eq(result.ReceivedLate, arrivals[number].late);
    ck_assert_uint_eq(result.ReceivedCorrupt, arrivals[number].corrupt);
    ck_assert_int_eq((int64_t)result.Different, arrivals[number].different);
    ck_assert_uint_eq(result.Sent, 0);
    if (arrivals[number].different >= 0) {
        const struct port_frame *frame = &come[arrivals[number].different];

        ck_assert_uint_eq(result.DifferentLength, frame->length);
        ck_assert_mem_eq(result.DifferentHead, frame->data, frame->length < 96 ? frame->length : 96);
    }
}

static void receive_main(void *number)
{
    receive(*(const unsigned *)number);
}

START_TEST(frames_that_come_otherwise_are_told)
{
    static const struct stack_options options = {NET};
    unsigned number = (unsigned)_i;

    stack_run(&options, receive_main, &number);
}
END_TEST

/* They do not begin where their pages do. */
static void receive_with_room(void *number)
{
    NETCLIENT_OFFLOAD offload = {.BackfillSize = 100};

    ck_assert_int_eq(call(IOCTL_NETCLIENT_SET_OFFLOAD, &offload, sizeof(offload)), STATUS_SUCCESS);
    receive(*(const unsigned *)number);
}

START_TEST(frames_with_room_ahead_of_them_are_compared_as_others)
{
    static const struct stack_options options = {NET};
    unsigned number = (unsigned)_i;

    stack_run(&options, receive_with_room, &number);
}
END_TEST

/* Older versions of the interface. */
START_TEST(any_client_has_a_generator)
{
    const struct stack_options options = {
        .drivers = STACK_XENVIF | (_i == 8 ? STACK_NETCLIENT_8 : STACK_NETCLIENT_9), .vifs = 1, .wait = true};
    unsigned number = 1;

    stack_run(&options, receive_main, &number);
}
END_TEST

/* ---- frames that are sent ---- */

static const unsigned batches[] = {1, 7, 64, 256};

static void send_main(void *batch)
{
    NETCLIENT_PKTGEN_RESULT result;

    make_frames();
    arrive(0, TOTAL);
    ck_assert_int_eq(begin(ROUNDS, FRAMES, 0, *(const unsigned *)batch), STATUS_SUCCESS);
    ck_assert_int_eq(load_frames(0, 1, 0), STATUS_SUCCESS);
    ck_assert_int_eq(load_frames(1, FRAMES - 1, 0), STATUS_SUCCESS);
    stack_end_expect(0, &arriving);
    result = run();
    ck_assert_int_eq(result.Status, STATUS_SUCCESS);
    ck_assert_uint_eq(result.Sent, TOTAL);
    ck_assert_uint_eq(result.SentOk, TOTAL);
    ck_assert_uint_eq(result.SentDropped, 0);
    ck_assert_uint_eq(result.SentError, 0);
    ck_assert_uint_eq(stack_end_verdict(0).good, TOTAL);
    ck_assert_uint_eq(stack_end_verdict(0).extra, 0);
}

START_TEST(all_frames_are_sent_in_order)
{
    static const struct stack_options options = {NET};
    unsigned batch = batches[_i];

    stack_run(&options, send_main, &batch);
}
END_TEST

/* More than can be on its way at once, many times. */
STACK_TEST(the_window_opens_again, NET)
{
    NETCLIENT_PKTGEN_RESULT result;

    make_frames();
    stack_end_expect(0, &arriving);
    ck_assert_int_eq(begin(500, FRAMES, 0, 200), STATUS_SUCCESS);
    ck_assert_int_eq(load_frames(0, FRAMES, 0), STATUS_SUCCESS);
    result = run();
    ck_assert_int_eq(result.Status, STATUS_SUCCESS);
    ck_assert_uint_eq(result.SentOk, 500 * FRAMES);
    ck_assert_uint_eq(stack_end_verdict(0).frames, 500 * FRAMES);
}

/* What is left to a card that cannot do it: a large packet of a protocol that is none. */
STACK_TEST(a_packet_that_is_not_taken_ends_the_run, NET)
{
    NETCLIENT_PKTGEN_RESULT result;

    make_frames();
    ck_assert_int_eq(begin(ROUNDS, FRAMES, 0, 8), STATUS_SUCCESS);
    ck_assert_int_eq(load_frames(0, 11, 0), STATUS_SUCCESS);
    ck_assert_int_eq(load_frames(11, 1, 1000u << 16 | 1 << 1), STATUS_SUCCESS);
    ck_assert_int_eq(load_frames(12, FRAMES - 12, 0), STATUS_SUCCESS);
    arrive(0, 11);
    stack_end_expect(0, &arriving);
    result = run();
    ck_assert_int_eq(result.Status, STATUS_INVALID_PARAMETER);
    ck_assert_uint_eq(result.Sent, 11);
    stack_sleep_us(10000);
    ck_assert_uint_eq(stack_end_verdict(0).good, 11);
}

/* ---- the device goes ---- */

static volatile bool running;
static NETCLIENT_PKTGEN_RESULT interrupted;

static void NTAPI run_main(PVOID unused)
{
    (void)unused;
    running = true;
    interrupted = run();
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

STACK_TEST(a_device_that_goes_ends_the_run, NET)
{
    PKTHREAD thread;

    make_frames();
    ck_assert_int_eq(begin(100000000, FRAMES, FRAMES, 64), STATUS_SUCCESS);
    ck_assert_int_eq(load_frames(0, FRAMES, 0), STATUS_SUCCESS);
    expect_frames();
    arrive(0, TOTAL);
    stack_end_expect(0, &arriving);
    stack_end_send(0, &arriving);
    thread = stack_thread(run_main, NULL);
    while (!running || stack_end_verdict(0).frames < 5000)
        stack_sleep_us(100);
    stack_detach(0);
    stack_join(thread);
    ck_assert(!NT_SUCCESS(interrupted.Status));
    ck_assert_uint_ge(interrupted.Sent, 5000);
    ck_assert_uint_eq(interrupted.SentOk + interrupted.SentDropped, interrupted.Sent);
    ck_assert_uint_eq(interrupted.ReceivedGood, TOTAL);
}

/* ---- refusals ---- */

STACK_TEST(loads_that_make_no_sense_are_refused, NET)
{
    NETCLIENT_PKTGEN_RESULT result;
    NETCLIENT_EXPECTED expected = {.Length = 60, .Size = 60, .OtherAt = 59};
    NETCLIENT_ENTRY entry = {.Length = 60};
    uint8_t row[NETCLIENT_ENTRY_SIZE(60)] = {0};

    make_frames();
    ck_assert_int_eq(load_frames(0, 1, 0), STATUS_INVALID_DEVICE_STATE);
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_EXPECT, &expected, sizeof(expected)), STATUS_INVALID_DEVICE_STATE);
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_PKTGEN_RUN, NULL, 0, &result, sizeof(result)),
                     STATUS_INVALID_DEVICE_STATE);
    ck_assert_int_eq(begin(0, 1, 1, 1), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(begin(1, 1, 1, 0), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(begin(1, 1, 1, 257), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(begin(1, 1, 0xFFFFFFFF, 1), STATUS_INSUFFICIENT_RESOURCES);
    ck_assert_int_eq(begin(1, 1, 1, 256), STATUS_SUCCESS);
    ck_assert_int_eq(begin(1, 1, 1, 1), STATUS_INVALID_DEVICE_STATE);

    ck_assert_int_eq(load_frames(0, 2, 0), STATUS_INVALID_PARAMETER); /* the first of them is there */
    ck_assert_int_eq(load_frames(0, 1, 0), STATUS_INVALID_PARAMETER);
    memcpy(row, &entry, sizeof(entry));
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_SEND, row, sizeof(row) - 1), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_SEND, row, sizeof(entry) - 1), STATUS_INVALID_PARAMETER);
    entry.Length = 0xFFFFFFF0;
    memcpy(row, &entry, sizeof(entry));
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_SEND, row, sizeof(row)), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_EXPECT, &expected, sizeof(expected)), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_EXPECT, &expected, sizeof(expected) - 1), STATUS_INVALID_PARAMETER);
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_PKTGEN_RUN, NULL, 0, &result, sizeof(result)),
                     STATUS_INVALID_DEVICE_STATE); /* a frame is missing */
    ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_PKTGEN_RUN, NULL, 0, &result, sizeof(result) - 1),
                     STATUS_BUFFER_TOO_SMALL);
    expected.OtherAt = 58;
    expected.Size = 61;
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_EXPECT, &expected, sizeof(expected)), STATUS_INVALID_PARAMETER);
    expected.Length = 200;
    expected.Size = 97;
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_EXPECT, &expected, sizeof(expected)), STATUS_INVALID_PARAMETER);
    expected.Size = 60;
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_EXPECT, &expected, sizeof(expected)), STATUS_SUCCESS);
    ck_assert_int_eq(call(IOCTL_NETCLIENT_PKTGEN_EXPECT, &expected, sizeof(expected)), STATUS_INVALID_PARAMETER);
}

int main(void)
{
    Suite *suite = suite_create("packet generator");
    TCase *tcase = tcase_create("packet generator");

    tcase_add_loop_test(tcase, frames_that_come_otherwise_are_told, 0, ARRAYSIZE(arrivals));
    tcase_add_loop_test(tcase, frames_with_room_ahead_of_them_are_compared_as_others, 0, ARRAYSIZE(arrivals));
    tcase_add_loop_test(tcase, any_client_has_a_generator, 8, 10);
    tcase_add_loop_test(tcase, all_frames_are_sent_in_order, 0, ARRAYSIZE(batches));
    tcase_add_test(tcase, the_window_opens_again);
    tcase_add_test(tcase, a_packet_that_is_not_taken_ends_the_run);
    tcase_add_test(tcase, a_device_that_goes_ends_the_run);
    tcase_add_test(tcase, loads_that_make_no_sense_are_refused);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
