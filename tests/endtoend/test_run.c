/* The main job through the command: frames, verdicts, reports, files, errors. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "common/guest.h"
#include "common/process.h"

#define LAN "tests/captures/lan-wire.pcap"
#define VLAN "tests/captures/vlan-wire.pcap"
#define FRAMES 1132u

static void assert_last(const struct process_result *result, const char *expected)
{
    char line[512];

    ck_assert_msg(strcmp(last_line(result->output, line, sizeof(line)), expected) == 0,
                  "last line '%s', expected '%s'\n%s\n%s", line, expected, result->output, result->error);
}

static void assert_passes(struct process_result result, unsigned frames)
{
    char expected[128];

    snprintf(expected, sizeof(expected), "PASS tx=%u rx=%u lost=0 corrupt=0 leaks=0", frames, frames);
    assert_last(&result, expected);
    ck_assert_int_eq(result.status, 0);
    process_free(&result);
}

START_TEST(lan_capture)
{
    assert_passes(pvsim("run --tx %s --rx %s", LAN, LAN), FRAMES);
}
END_TEST

START_TEST(vlan_capture)
{
    assert_passes(pvsim("run --tx %s --rx %s", VLAN, VLAN), FRAMES);
}
END_TEST

#define FEW "tests/captures/few-wire.pcap"
#define FEW_FRAMES 6u

static const char *const stages[] = {
    "sleep",
    "hibernate",
    "suspend",
    "slow",
    "migrate",
    "suspend,sleep,slow,hibernate,migrate",
    "migrate,migrate,hibernate,hibernate,slow,slow,sleep,sleep,suspend,suspend",
};

START_TEST(goes_through)
{
    assert_passes(pvsim("run --through %s --tx %s --rx %s", stages[_i], FEW, FEW), FEW_FRAMES);
    for (unsigned seed = 1; seed <= 2; seed++)
        assert_passes(pvsim("run --through %s --vcpus 4 --vifs 2 --policy pct --seed %u --tx %s --rx %s", stages[_i],
                            seed, FEW, FEW),
                      2 * FEW_FRAMES);
}
END_TEST

static const unsigned vcpu_counts[] = {1, 2, 4, 8};

START_TEST(vcpus)
{
    assert_passes(pvsim("run --vcpus %u --tx %s --rx %s", vcpu_counts[_i], LAN, LAN), FRAMES);
    assert_passes(pvsim("run --vcpus %u --policy pct --tx %s --rx %s", vcpu_counts[_i], VLAN, VLAN), FRAMES);
    assert_passes(pvsim("run --vcpus %u --policy random --tx %s --rx %s", vcpu_counts[_i], LAN, LAN), FRAMES);
}
END_TEST

START_TEST(eight_vifs)
{
    assert_passes(pvsim("run --vifs 8 --tx %s --rx %s", LAN, LAN), 8 * FRAMES);
}
END_TEST

/* Requests of many frames: what the client, the drivers and netback do with a list of them. */
static const char *const engines[] = {"det --policy pct", "par"};

START_TEST(rows)
{
    static const char offload[] = "tests/captures/lan-offload.pcap";
    struct process_result result;

    for (unsigned batch = 2; batch <= 1024; batch *= 8)
        assert_passes(pvsim("run --engine %s --batch %u --tx %s --rx %s", engines[_i], batch, LAN, LAN), FRAMES);
    result = pvsim("run --engine %s --batch 64 --backend-features all,queues=4 --tx %s --rx %s", engines[_i], offload,
                   offload);
    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    process_free(&result);
}
END_TEST

START_TEST(wall_clock)
{
    assert_passes(pvsim("run --clock wall --tx %s --rx %s", LAN, LAN), FRAMES);
}
END_TEST

START_TEST(one_direction)
{
    struct process_result result = pvsim("run --tx %s", LAN);

    assert_last(&result, "PASS tx=1132 rx=0 lost=0 corrupt=0 leaks=0");
    ck_assert_int_eq(result.status, 0);
    process_free(&result);
    result = pvsim("run --rx %s", LAN);
    assert_last(&result, "PASS tx=0 rx=1132 lost=0 corrupt=0 leaks=0");
    ck_assert_int_eq(result.status, 0);
    process_free(&result);
}
END_TEST

static void assert_same_frames(const char *path, const char *reference)
{
    char error[CAPTURE_ERROR_MAX];
    struct capture *got = capture_load(path, error);
    struct capture *expected;

    ck_assert_msg(got != NULL, "%s", error);
    expected = capture_load(reference, error);
    ck_assert_msg(expected != NULL, "%s", error);
    ck_assert_uint_eq(got->count, expected->count);
    for (unsigned index = 0; index < got->count; index++) {
        ck_assert_uint_eq(got->frame[index].length, expected->frame[index].length);
        ck_assert_mem_eq(got->frame[index].data, expected->frame[index].data, got->frame[index].length);
    }
    capture_free(got);
    capture_free(expected);
}

START_TEST(captures_out)
{
    char path[2][128];

    snprintf(path[0], sizeof(path[0]), "%s/tx.pcap", scratch());
    snprintf(path[1], sizeof(path[1]), "%s/rx.pcap", scratch());
    assert_passes(pvsim("run --tx %s --rx %s --out-tx %s --out-rx %s", LAN, VLAN, path[0], path[1]), FRAMES);
    assert_same_frames(path[0], LAN);
    assert_same_frames(path[1], VLAN);
}
END_TEST

START_TEST(captures_out_of_several_vifs)
{
    char path[128];

    assert_passes(pvsim("run --vifs 2 --tx %s --rx %s --out-rx %s/out.pcap", LAN, LAN, scratch()), 2 * FRAMES);
    for (unsigned vif = 0; vif < 2; vif++) {
        snprintf(path, sizeof(path), "%s/out-%u.pcap", scratch(), vif);
        assert_same_frames(path, LAN);
    }
}
END_TEST

/* What traffic costs is more than nothing, and with rows of frames less than a frame each. */
START_TEST(cost_of_traffic)
{
    static const char *const kinds[] = {"hypercalls", "interrupts", "dpcs", "spin_locks", "allocations"};
    json_int_t cost[2][5];

    for (unsigned batch = 0; batch < 2; batch++) {
        struct process_result result =
            pvsim("run --engine %s --format json --batch %u --tx %s", engines[_i], batch == 0 ? 1 : 64, LAN);
        json_t *report = json_loads(result.output, 0, NULL);
        const json_t *costs = json_object_get(json_object_get(report, "traffic"), "cost");

        ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
        for (unsigned kind = 0; kind < 5; kind++) {
            cost[batch][kind] = json_integer_value(json_object_get(costs, kinds[kind]));
            ck_assert_msg(cost[batch][kind] > 0, "no %s", kinds[kind]);
        }
        json_decref(report);
        process_free(&result);
    }
    for (unsigned kind = 0; kind < 3; kind++)
        ck_assert_int_lt(cost[1][kind], FRAMES);
    ck_assert_int_lt(cost[1][3], 3 * FRAMES);
    ck_assert_int_lt(cost[1][4], cost[0][4]);
}
END_TEST

static uint64_t no_clock(void)
{
    return 0;
}

/* A capture of the LAN's frames, so many times. */
static void repeat_lan(const char *path, unsigned times)
{
    char error[CAPTURE_ERROR_MAX] = "";
    struct capture *from = capture_load(LAN, error);
    struct capture_writer *writer = capture_writer_open(path, no_clock, error);

    ck_assert_msg(from != NULL && writer != NULL, "%s", error);
    for (unsigned number = 0; number < times * from->count; number++)
        capture_writer_put(writer, &from->frame[number % from->count]);
    capture_free(from);
    ck_assert_msg(capture_writer_close(writer, error), "%s", error);
}

/*
 * Frames that come faster than a reader takes rows of them, and on the reader's own processor while it does, are held
 * back before they have taken all of XENVIF's pages: then each page that comes back would be news for the backend.
 */
START_TEST(cost_of_rows_that_are_read)
{
    static const char *const schedules[] = {"random", "random --seed 2", "pct", "fifo"};
    static const char *const kinds[] = {"hypercalls", "interrupts", "dpcs"};
    const unsigned times = 5;
    struct process_result result;
    char path[128];
    json_t *report;

    snprintf(path, sizeof(path), "%s/long.pcap", scratch());
    repeat_lan(path, times);
    result = pvsim("run --vcpus 1 --policy %s --format json --batch 64 --rx %s", schedules[_i], path);
    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    report = json_loads(result.output, 0, NULL);
    for (unsigned kind = 0; kind < 3; kind++) {
        const json_t *costs = json_object_get(json_object_get(report, "traffic"), "cost");
        json_int_t cost = json_integer_value(json_object_get(costs, kinds[kind]));

        ck_assert_msg(cost > 0 && cost < times * FRAMES / 25, "%lld %s", (long long)cost, kinds[kind]);
    }
    json_decref(report);
    process_free(&result);
}
END_TEST

START_TEST(json_report)
{
    struct process_result text = pvsim("run --tx %s --rx %s", LAN, LAN);
    struct process_result result = pvsim("run --format json --tx %s --rx %s", LAN, LAN);
    json_error_t error;
    json_t *report = json_loads(result.output, 0, &error);
    const char *hash;
    json_t *vif;

    ck_assert_msg(report != NULL, "%s at line %d:\n%s", error.text, error.line, result.output);
    assert_passes(text, FRAMES);
    ck_assert_str_eq(result.error, "PASS tx=1132 rx=1132 lost=0 corrupt=0 leaks=0\n");
    ck_assert_int_eq(result.status, 0);
    ck_assert(json_is_true(json_object_get(report, "passed")));
    ck_assert_int_eq(json_unpack(report, "{s:{s:s}, s:[o!]}", "events", "hash", &hash, "vifs", &vif), 0);
    ck_assert_uint_eq(strlen(hash), 16);
    for (unsigned direction = 0; direction < 2; direction++) {
        json_int_t frames;
        json_int_t bytes;
        json_int_t requests;
        json_int_t responses;
        json_int_t sent;
        json_int_t suppressed;

        ck_assert_int_eq(json_unpack(vif, "{s:{s:I, s:I, s:{s:I, s:I, s:I, s:I}}}", direction == 0 ? "tx" : "rx",
                                     "frames", &frames, "bytes", &bytes, "ring", "requests", &requests, "responses",
                                     &responses, "notifications_sent", &sent, "notifications_suppressed", &suppressed),
                         0);
        ck_assert_int_eq(frames, FRAMES);
        ck_assert_int_gt(bytes, 0);
        ck_assert_int_ge(responses, FRAMES);
        ck_assert_int_ge(requests, responses);
        ck_assert_int_gt(sent, 0);
        ck_assert_int_ge(suppressed, 0);
        ck_assert_int_lt(sent, responses); /* not each response rings */
    }
    json_decref(report);
    process_free(&result);
}
END_TEST

/* ---- what is wrong with a command line gets one line and exit 2 ---- */

static const char *const bad_commands[] = {
    "run --tx /nowhere/missing.pcap",
    "run --rx README.md",
    "run --vcpus 0",
    "run --vcpus 129",
    "run --vcpus two",
    "run --vifs 0",
    "run --seed -1",
    "run --seed 99999999999999999999999",
    "run --policy lifo",
    "run --engine serial",
    "run --clock sundial",
    "run --format xml",
    "run --log loud",
    "run --timeout soon",
    "run --timeout 0",
    "run --frobnicate",
    "run --tx",
    "run stray",
    "run --out-tx /tmp/x.pcap",
    "run --drivers /nowhere --tx " LAN,
    "run --tx " LAN " --out-tx /nowhere/out.pcap",
    "run --through nap --tx " LAN,
    "run --through sleep,,slow --tx " LAN,
    "run --through sleep --fail nth=1 --tx " LAN,
    "run --through sleep --backend none --rx " LAN,
    "run --through sleep --host none",
    "replay",
    "replay /nowhere/missing.bundle",
    "replay README.md",
    "replay --until x a.bundle",
    "dance",
    "run --batch 0",
    "run --batch 1025",
};

START_TEST(usage_errors)
{
    struct process_result result = pvsim("%s", bad_commands[_i]);

    ck_assert_msg(result.status == 2, "pvsim %s: exit status %d\n%s%s", bad_commands[_i], result.status, result.output,
                  result.error);
    ck_assert_msg(line_count(result.error) == 1 && strncmp(result.error, "pvsim: ", 7) == 0,
                  "pvsim %s: not one clear line:\n%s", bad_commands[_i], result.error);
    ck_assert_str_eq(result.output, "");
    process_free(&result);
}
END_TEST

/* Damage to a capture, at an offset of the good one. */
static const struct {
    const char *what;
    long cut;    /* keep so many bytes; 0: all */
    long offset; /* then write `value` there */
    unsigned value;
    bool write;
} damages[] = {
    {"empty file", 0, 0, 0, false},
    {"only a header", 24, 0, 0, false},
    {"cut in a record's header", 24 + 8, 0, 0, false},
    {"cut in a record", 24 + 16 + 20, 0, 0, false},
    {"wrong magic", 4096, 0, 0x12345678, true},
    {"another link type", 4096, 20, 101, true},
    {"frame cut by the snapshot length", 4096, 24 + 12, 5000, true},
    {"record of 4 GiB", 4096, 24 + 8, 0xfffffff0u, true},
};

START_TEST(malformed_captures)
{
    char path[128];
    unsigned char bytes[4096];
    FILE *good = fopen(LAN, "rb");
    FILE *bad;
    size_t count;
    struct process_result result;

    snprintf(path, sizeof(path), "%s/bad.pcap", scratch());
    bad = fopen(path, "wb");
    ck_assert(good != NULL && bad != NULL);
    count = fread(bytes, 1, (size_t)damages[_i].cut, good);
    ck_assert_uint_eq(count, (size_t)damages[_i].cut);
    if (damages[_i].write)
        memcpy(bytes + damages[_i].offset, &damages[_i].value, sizeof(damages[_i].value));
    ck_assert_uint_eq(fwrite(bytes, 1, count, bad), count);
    fclose(good);
    fclose(bad);
    result = pvsim("run --rx %s", path);
    ck_assert_msg(result.status == 2 && line_count(result.error) == 1 && strstr(result.error, "bad.pcap") != NULL,
                  "%s: exit status %d\n%s%s", damages[_i].what, result.status, result.output, result.error);
    process_free(&result);
}
END_TEST

START_TEST(help_is_complete)
{
    static const char *const options[] = {"--vcpus",     "--vifs",      "--seed",   "--policy", "--engine",
                                          "--clock",     "--tx",        "--rx",     "--out-tx", "--out-rx",
                                          "--log",       "--timeout",   "--format", "--memory", "--drivers",
                                          "--no-bundle", "--bundle-dir"};
    struct process_result result = pvsim("run --help");
    struct process_result general = pvsim("--help");
    struct process_result replay = pvsim("replay --help");
    FILE *page = fopen("sim/cli/pvsim.1", "r");
    char text[32768];
    char escaped[64];

    ck_assert_ptr_nonnull(page);
    text[fread(text, 1, sizeof(text) - 1, page)] = '\0';
    fclose(page);
    ck_assert_int_eq(result.status, 0);
    ck_assert_int_eq(general.status, 0);
    ck_assert_int_eq(replay.status, 0);
    ck_assert_ptr_nonnull(strstr(general.output, "replay"));
    ck_assert_ptr_nonnull(strstr(replay.output, "--until"));
    for (size_t index = 0; index < sizeof(options) / sizeof(options[0]); index++) {
        size_t used = 0;

        for (const char *from = options[index]; *from != '\0'; from++) {
            if (*from == '-')
                escaped[used++] = '\\';
            escaped[used++] = *from;
        }
        escaped[used] = '\0';
        ck_assert_msg(strstr(result.output, options[index]) != NULL, "%s is not in the help", options[index]);
        ck_assert_msg(strstr(text, escaped) != NULL, "%s is not in the man page", options[index]);
    }
    process_free(&result);
    process_free(&general);
    process_free(&replay);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run");
    TCase *traffic = tcase_create("traffic");
    TCase *reports = tcase_create("reports");
    TCase *errors = tcase_create("errors");

    tcase_add_test(traffic, lan_capture);
    tcase_add_test(traffic, vlan_capture);
    tcase_add_loop_test(traffic, vcpus, 0, 4);
    tcase_add_test(traffic, eight_vifs);
    tcase_add_test(traffic, wall_clock);
    tcase_add_loop_test(traffic, rows, 0, 2);
    tcase_add_test(traffic, one_direction);
    tcase_add_loop_test(traffic, goes_through, 0, (int)(sizeof(stages) / sizeof(stages[0])));
    suite_add_tcase(suite, traffic);
    tcase_add_test(reports, captures_out);
    tcase_add_test(reports, captures_out_of_several_vifs);
    tcase_add_test(reports, json_report);
    tcase_add_loop_test(reports, cost_of_traffic, 0, 2);
    tcase_add_loop_test(reports, cost_of_rows_that_are_read, 0, 4);
    tcase_add_test(reports, help_is_complete);
    suite_add_tcase(suite, reports);
    tcase_add_loop_test(errors, usage_errors, 0, (int)(sizeof(bad_commands) / sizeof(bad_commands[0])));
    tcase_add_loop_test(errors, malformed_captures, 0, (int)(sizeof(damages) / sizeof(damages[0])));
    suite_add_tcase(suite, errors);
    return guest_suite_run(suite);
}
