/* Captures: those that can be used, those that can't, and what the checker says of frames. */
#include "common/backend.h"

#include <unistd.h>

#include "dom0/heap.h"

/* ---- captures ---- */

static void assert_refused(const char *bytes, size_t length, const char *why)
{
    char path[] = "/tmp/capture-XXXXXX", error[CAPTURE_ERROR_MAX] = "";
    int file = mkstemp(path);

    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, bytes, length), (ssize_t)length);
    close(file);
    ck_assert_ptr_null(capture_load(path, error));
    unlink(path);
    ck_assert_msg(strstr(error, why) != NULL, "\"%s\" does not say \"%s\"", error, why);
    ck_assert_ptr_null(strchr(error, '\n'));
}

static void put32(char *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}

/* A capture of one frame as pcap-savefile(5) has it. */
static size_t make_file(char *bytes, uint32_t link_type, uint32_t captured, uint32_t length)
{
    memset(bytes, 0, 24 + 16 + captured);
    put32(bytes, 0xa1b2c3d4);
    bytes[4] = 2;
    bytes[6] = 4;
    put32(bytes + 16, 65536);
    put32(bytes + 20, link_type);
    put32(bytes + 24 + 8, captured);
    put32(bytes + 24 + 12, length);
    return 24 + 16 + captured;
}

GUEST_TEST(captures_that_cannot_be_used)
{
    char bytes[512], error[CAPTURE_ERROR_MAX];
    size_t length = make_file(bytes, 1, 100, 100);

    assert_refused(bytes, 0, "no capture");
    assert_refused("not a capture at all, is it?", 28, "no capture");
    assert_refused(bytes, 24, "no frame");
    assert_refused(bytes, length - 1, "damaged after frame 0");
    assert_refused(bytes, make_file(bytes, 113, 100, 100), "only Ethernet");
    assert_refused(bytes, make_file(bytes, 1, 100, 101), "frame 1 was cut short");
    assert_refused(bytes, make_file(bytes, 1, 13, 13), "frame 1 has 13 bytes");
    ck_assert_ptr_null(capture_load("/nonexistent/file.pcap", error));
    ck_assert_str_eq(error, "/nonexistent/file.pcap: No such file or directory");
}

static uint64_t second_clock(void)
{
    return UINT64_C(1700000000123456789);
}

/* Frame `i` of a capture in which each of `distinct` frames comes again and again. */
static uint32_t frame_of(uint8_t *data, unsigned i, unsigned distinct)
{
    uint32_t number = i % distinct, length = 60 + number % 97;

    memset(data, (int)number, length);
    memcpy(data + length - sizeof(number), &number, sizeof(number));
    return length;
}

GUEST_TEST(frames_that_come_again_are_kept_once)
{
    const unsigned distinct = 1500, count = 4 * distinct;
    char path[] = "/tmp/capture-XXXXXX", error[CAPTURE_ERROR_MAX];
    struct capture_writer *writer;
    struct capture *capture;
    uint8_t data[256];
    uint64_t bytes = 0;
    int file = mkstemp(path);

    ck_assert_int_ge(file, 0);
    close(file);
    writer = capture_writer_open(path, second_clock, error);
    for (unsigned i = 0; i < count; i++) {
        struct port_frame frame = {.data = data, .length = frame_of(data, i, distinct)};

        capture_writer_put(writer, &frame);
        bytes += frame.length;
    }
    ck_assert(capture_writer_close(writer, error));
    capture = capture_load(path, error);
    unlink(path);
    ck_assert_ptr_nonnull(capture);
    ck_assert_uint_eq(capture->count, count);
    ck_assert_uint_eq(capture->bytes, bytes);
    for (unsigned i = 0; i < count; i++) {
        ck_assert_uint_eq(capture->frame[i].length, frame_of(data, i, distinct));
        ck_assert_mem_eq(capture->frame[i].data, data, capture->frame[i].length);
        ck_assert_ptr_eq(capture->frame[i].data, capture->frame[i % distinct].data);
        ck_assert(i == 0 || i >= distinct ||
                  capture->frame[i].data == capture->frame[i - 1].data + capture->frame[i - 1].length);
    }
    capture_free(capture);
}

GUEST_TEST(captures_are_written_as_they_are_read)
{
    static const uint32_t length[] = {60, 1514, 65535};
    char path[] = "/tmp/capture-XXXXXX", error[CAPTURE_ERROR_MAX];
    struct capture_writer *writer;
    struct capture *again;
    int file = mkstemp(path);

    ck_assert_int_ge(file, 0);
    close(file);
    backend_make_frames(&backend_sent, length, 3);
    writer = capture_writer_open(path, second_clock, error);
    ck_assert_ptr_nonnull(writer);
    for (unsigned i = 0; i < 3; i++)
        capture_writer_put(writer, &backend_sent.frame[i]);
    ck_assert(capture_writer_close(writer, error));
    again = capture_load(path, error);
    unlink(path);
    ck_assert_msg(again != NULL, "%s", error);
    ck_assert_uint_eq(again->count, 3);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(again->frame[i].length, length[i]);
        ck_assert_mem_eq(again->frame[i].data, backend_sent.frame[i].data, length[i]);
    }
    ck_assert_ptr_null(capture_writer_open("/nonexistent/file.pcap", second_clock, error));
    capture_free(again);
}

/* What the checker end says of frames that are lost, changed, out of order or too many. */
static struct checker_verdict judge(const int *order, unsigned count)
{
    struct port *port = port_checker_create(port_capture_create(NULL, NULL), &backend_received, &backend_logger);
    struct checker_verdict now;

    for (unsigned i = 0; i < count; i++) {
        uint8_t changed[64];
        struct port_frame frame = {.data = changed, .length = 60};

        memcpy(changed, backend_received.frame[abs(order[i]) - 1].data, 60);
        changed[20] ^= order[i] < 0;
        port->ops->transmit(port, &frame);
    }
    now = port_checker_verdict(port);
    port_destroy(port);
    return now;
}

GUEST_TEST(the_checker_tells_what_is_wrong)
{
    static const uint32_t length[] = {60, 60, 60, 60};
    struct checker_verdict now;

    backend_make_frames(&backend_received, length, 4);
    now = judge((const int[]){1, 2, 3, 4}, 4);
    ck_assert(now.good == 4 && !now.lost && !now.corrupt && !now.reordered && !now.extra);
    now = judge((const int[]){1, 3, 4}, 3);
    ck_assert(now.good == 3 && now.lost == 1 && !now.corrupt && !now.reordered && !now.extra);
    now = judge((const int[]){1, -2, 3, 4}, 4);
    ck_assert(now.good == 3 && !now.lost && now.corrupt == 1 && !now.reordered && !now.extra);
    now = judge((const int[]){1, 3, 2, 4}, 4);
    ck_assert(now.good == 3 && !now.lost && !now.corrupt && now.reordered == 1 && !now.extra);
    now = judge((const int[]){1, -2, 2, 3, 4}, 5); /* one that nobody expected, in between */
    ck_assert(now.good == 4 && !now.lost && !now.corrupt && !now.reordered && now.extra == 1);
    now = judge((const int[]){1, 2, 3, 4, 4}, 5);
    ck_assert(now.good == 4 && !now.lost && !now.corrupt && !now.reordered && now.extra == 1);
}

int main(void)
{
    const TTest *const tests[] = {
        captures_that_cannot_be_used,
        frames_that_come_again_are_kept_once,
        captures_are_written_as_they_are_read,
        the_checker_tells_what_is_wrong,
    };
    Suite *suite = suite_create("captures");
    TCase *tcase = tcase_create("captures");

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
