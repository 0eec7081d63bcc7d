/* The main job by packet generators: captures that go over and over, and runs that do not come out right. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/guest.h"
#include "common/planted.h"
#include "common/process.h"

#define LAN "tests/captures/lan-wire.pcap"
#define VLAN "tests/captures/vlan-wire.pcap"
#define FEW "tests/captures/few-wire.pcap"
#define OFFLOAD "tests/captures/lan-offload.pcap"
#define FRAMES 1132u
#define FEW_FRAMES 6u
#define OFFLOAD_FRAMES 205u

#ifdef MACHINE_THREAD_SANITIZER
static const char *const engines[] = {"par"};
#else
static const char *const engines[] = {"par", "det", "det --policy pct --delay 0.01"};
#endif

static void assert_verdict(struct process_result result, int status, const char *verdict, const char *says)
{
    char line[512];

    ck_assert_msg(strcmp(last_line(result.output, line, sizeof(line)), verdict) == 0 && result.status == status,
                  "'%s', expected '%s'\n%s\n%s", line, verdict, result.output, result.error);
    ck_assert_msg(strstr(result.output, says) != NULL, "no '%s'\n%s", says, result.output);
    process_free(&result);
}

static void assert_passes(struct process_result result, unsigned tx, unsigned rx)
{
    char verdict[128];

    snprintf(verdict, sizeof(verdict), "PASS tx=%u rx=%u lost=0 corrupt=0 leaks=0", tx, rx);
    assert_verdict(result, 0, verdict, "packet generator: each capture ");
}

START_TEST(each_way_and_both)
{
    assert_passes(pvsim("run --engine %s --pktgen 3 --batch 64 --tx %s", engines[_i], LAN), 3 * FRAMES, 0);
    assert_passes(pvsim("run --engine %s --pktgen 3 --batch 64 --rx %s", engines[_i], LAN), 0, 3 * FRAMES);
    assert_passes(pvsim("run --engine %s --pktgen 2 --batch 256 --tx %s --rx %s", engines[_i], VLAN, LAN), 2 * FRAMES,
                  2 * FRAMES);
    assert_passes(pvsim("run --engine %s --pktgen 200 --tx %s --rx %s", engines[_i], FEW, FEW), 200 * FEW_FRAMES,
                  200 * FEW_FRAMES);
    assert_passes(
        pvsim("run --engine %s --pktgen 1 --batch 7 --vcpus 4 --vifs 2 --tx %s --rx %s", engines[_i], LAN, VLAN),
        2 * FRAMES, 2 * FRAMES);
}
END_TEST

static const char *const offers[] = {"none", "default", "all,queues=1", "all,wire,queues=1"};

START_TEST(whatever_is_offered)
{
    assert_passes(pvsim("run --backend-features %s --pktgen 2 --batch 32 --tx %s --rx %s", offers[_i], LAN, VLAN),
                  2 * FRAMES, 2 * FRAMES);
}
END_TEST

/* Checksums that are left to a card arrive in either form, large frames whole. */
START_TEST(frames_left_to_a_card)
{
    for (unsigned i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
        assert_passes(
            pvsim("run --engine %s --backend-features all,queues=1 --pktgen 3 --batch 16 --tx %s", engines[i], OFFLOAD),
            3 * OFFLOAD_FRAMES, 0);
        assert_passes(
            pvsim("run --engine %s --backend-features all,queues=1 --pktgen 3 --rx %s --rx-frames 1-53,133-182",
                  engines[i], OFFLOAD),
            0, 3 * 103);
    }
    for (unsigned i = 0; i < sizeof(offers) / sizeof(offers[0]); i++)
        assert_passes(pvsim("run --backend-features %s --pktgen 3 --tx %s --rx %s --tx-frames 1-41,55-64 --rx-frames "
                            "1-41,55-64",
                            offers[i], OFFLOAD, OFFLOAD),
                      3 * 51, 3 * 51);
}
END_TEST

START_TEST(the_guest_may_have_gone_through_something)
{
    assert_passes(
        pvsim("run --through sleep,migrate,hibernate --rss --multicast-filter --pktgen 20 --tx %s --rx %s", FEW, FEW),
        20 * FEW_FRAMES, 20 * FEW_FRAMES);
}
END_TEST

#ifndef MACHINE_THREAD_SANITIZER /* equal runs and replays are the deterministic engine's */
static void read_run(const char *options, char hash[32], json_t **report)
{
    struct process_result result =
        pvsim("run --format json --pktgen 5 --batch 16 %s --tx %s --rx %s", options, FEW, FEW);
    json_error_t error;

    *report = json_loads(result.output, 0, &error);
    ck_assert_msg(*report != NULL, "%s", result.output);
    snprintf(hash, 32, "%s", json_string_value(json_object_get(json_object_get(*report, "events"), "hash")));
    process_free(&result);
}

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

START_TEST(equal_runs_are_equal_and_the_report_says_what_was_done)
{
    char hash[2][32], other[32];
    json_t *report[2], *direction;

    read_run("--policy pct --seed 3", hash[0], &report[0]);
    read_run("--policy pct --seed 3", hash[1], &report[1]);
    ck_assert_str_eq(hash[0], hash[1]);
    json_decref(report[1]);
    read_run("--policy pct --seed 4", other, &report[1]);
    ck_assert_str_ne(hash[0], other);

    ck_assert_int_eq(number(json_object_get(report[0], "pktgen"), "rounds"), 5);
    ck_assert_int_eq(number(json_object_get(report[0], "pktgen"), "batch"), 16);
    ck_assert_int_eq(number(json_object_get(report[0], "pktgen"), "bytes_compared"), 64);
    for (unsigned way = 0; way < 2; way++) {
        direction = json_object_get(json_array_get(json_object_get(report[0], "vifs"), 0), way ? "rx" : "tx");
        ck_assert_int_eq(number(direction, "expected"), 5 * FEW_FRAMES);
        ck_assert_int_eq(number(direction, "frames"), 5 * FEW_FRAMES);
    }
    json_decref(report[0]);
    json_decref(report[1]);
}
END_TEST

/* A failed run is found again by its bundle. */
START_TEST(a_failed_run_can_be_replayed)
{
    char folder[256], bundle[512] = "";
    struct process_result result;
    const char *at;

    snprintf(folder, sizeof(folder), "%s", planted_folder(PLANTED_LOAD, false));
    result = pvsim("run --bundle-dir %s --drivers %s --pktgen 4 --batch 16 --tx %s", scratch(), folder, FEW);
    at = strstr(result.output, "pvsim replay ");
    ck_assert_msg(at != NULL && sscanf(at, "pvsim replay %511s", bundle) == 1, "%s", result.output);
    process_free(&result);
    result = pvsim("replay %s", bundle);
    ck_assert_msg(result.status == 0 && strstr(result.output, "replay: the same failure") != NULL, "%s%s",
                  result.output, result.error);
    process_free(&result);
}
END_TEST

#endif

/* The load is not what the other end expects: one byte of its first frame is another, in each round. */
START_TEST(frames_that_are_changed_fail_the_run)
{
    char folder[256];

    snprintf(folder, sizeof(folder), "%s", planted_folder(PLANTED_LOAD, false));
    assert_verdict(
        pvsim("run --no-bundle --engine %s --drivers %s --pktgen 4 --batch 16 --tx %s", engines[_i], folder, FEW), 1,
        "FAIL tx=20 rx=0 lost=0 corrupt=4 leaks=0",
        "failure: VIF 0: in the place of frame 1 from the guest, which is frame 1 of the capture in round 1 ");
    assert_verdict(
        pvsim("run --no-bundle --engine %s --drivers %s --pktgen 4 --batch 16 --rx %s", engines[_i], folder, FEW), 1,
        "FAIL tx=0 rx=20 lost=0 corrupt=4 leaks=0",
        "failure: VIF 0: in the place of frame 1 to the guest, which is frame 1 of the capture in round 1 ");
}
END_TEST

static const struct {
    const char *options;
    const char *says;
} refused[] = {
    {"--pktgen 0 --tx " FEW, "--pktgen takes a whole number from 1 to "},
    {"--pktgen", "--pktgen takes a value"},
    {"--pktgen 2", "--pktgen without --tx or --rx"},
    {"--pktgen 2 --batch 257 --tx " FEW, "--pktgen with --batch above 256"},
    {"--pktgen 2 --tx " FEW " --backend none", "--pktgen with --backend none or exec"},
    {"--pktgen 2 --tx " FEW " --backend-features all", "--pktgen with queues above 1"},
    {"--pktgen 2 --tx " FEW " --fail nth=3", "--pktgen with --fail"},
    {"--pktgen 2 --tx " FEW " --out-tx out.pcap", "--pktgen with --out-tx or --out-rx"},
    {"--pktgen 2 --rx " FEW " --out-rx out.pcap", "--pktgen with --out-tx or --out-rx"},
    {"--pktgen 2 --tx " OFFLOAD,
     "--pktgen: frame 42 of --tx would not arrive as it is: it is cut into segments unless"},
    {"--pktgen 2 --tx " OFFLOAD " --backend-features all,queues=1,wire",
     "frame 42 of --tx would not arrive as it is: wire"},
    {"--pktgen 2 --rx " OFFLOAD " --backend-features sg,gso-tcpv4",
     "frame 42 of --rx would not arrive as it is: it is cut"},
    {"--pktgen 2 --rx " OFFLOAD " --backend-features all,queues=1",
     "frame 54 of --rx would not arrive as it is: the driver gives the client segments"},
    {"--pktgen 2 --rx " OFFLOAD " --rx-frames 65-80 --backend-features all,queues=1,-ipv6-csum-offload",
     "frame 1 of --rx would not arrive as it is: it is cut into segments unless sg, ipv6-csum-offload"},
};

START_TEST(what_cannot_be_is_refused_by_name)
{
    struct process_result result = pvsim("run %s", refused[_i].options);

    ck_assert_msg(result.status == 2 && strstr(result.error, refused[_i].says) != NULL && result.output[0] == '\0',
                  "%s: status %d\n%s%s", refused[_i].options, result.status, result.output, result.error);
    process_free(&result);
}
END_TEST

/* The frames of --tx are in the guest's memory. */
START_TEST(a_load_that_does_not_fit_is_told)
{
    char path[512], line[512];
    struct process_result result;
    FILE *file;
    uint8_t frame[16 + 65000] = {0};

    snprintf(path, sizeof(path), "%s/load.pcap", scratch());
    file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fwrite((const uint32_t[]){0xa1b2c3d4, 0x00040002, 0, 0, 65536, 1}, 4, 6, file), 6);
    for (unsigned i = 0; i < 1200; i++) {
        memcpy(frame, (const uint32_t[]){0, 0, 65000, 65000}, 16);
        memcpy(frame + 16 + 20, &i, sizeof(i));
        ck_assert_int_eq(fwrite(frame, 1, sizeof(frame), file), sizeof(frame));
    }
    ck_assert_int_eq(fclose(file), 0);
    result = pvsim("run --no-bundle --memory 64 --pktgen 2 --tx %s", path);
    ck_assert_msg(result.status == 1 &&
                      strstr(result.output, "the captures could not be loaded: status 0xC000009A") != NULL,
                  "%s%s", last_line(result.output, line, sizeof(line)), result.error);
    process_free(&result);
}
END_TEST

int main(void)
{
    const int count = (int)(sizeof(engines) / sizeof(engines[0]));
    Suite *suite = suite_create("packet generator");
    TCase *tcase = tcase_create("packet generator");

    tcase_add_loop_test(tcase, each_way_and_both, 0, count);
    tcase_add_loop_test(tcase, whatever_is_offered, 0, (int)(sizeof(offers) / sizeof(offers[0])));
    tcase_add_test(tcase, frames_left_to_a_card);
    tcase_add_test(tcase, the_guest_may_have_gone_through_something);
    tcase_add_loop_test(tcase, frames_that_are_changed_fail_the_run, 0, count);
#ifndef MACHINE_THREAD_SANITIZER
    tcase_add_test(tcase, equal_runs_are_equal_and_the_report_says_what_was_done);
    tcase_add_test(tcase, a_failed_run_can_be_replayed);
#endif
    tcase_add_loop_test(tcase, what_cannot_be_is_refused_by_name, 0, (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_test(tcase, a_load_that_does_not_fit_is_told);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
