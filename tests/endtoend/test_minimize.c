/*
 * pvsim minimize: planted bugs become a handful of decisions, the two operations that are named are the planted ones,
 * and the small bundle replays.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "common/planted.h"
#include "common/process.h"

/* Sweep until a seed fails whose runners stand in the way of each other; its bundle. */
static void find_bundle(const char *arguments, const char *drivers, char *bundle)
{
    struct process_result result = pvsim("sweep --seeds 1-60 --policy random -- run --bundle-dir %s --drivers %s %s",
                                         scratch(), drivers, arguments);
    const char *at = strstr(result.output, "again: pvsim replay ");

    ck_assert_msg(at != NULL && sscanf(at, "again: pvsim replay %511s", bundle) == 1, "%s%s", result.output,
                  result.error);
    process_free(&result);
}

static unsigned number_behind(const char *text, const char *what)
{
    const char *at = strstr(text, what);

    ck_assert_msg(at != NULL, "no %s in:\n%s", what, text);
    return (unsigned)strtoul(at + strlen(what), NULL, 10);
}

static void small_path(const char *bundle, char *small, size_t size)
{
    snprintf(small, size, "%.*s.min.bundle", (int)(strlen(bundle) - strlen(".bundle")), bundle);
}

static void check_replay(const char *bundle)
{
    char small[600];
    struct process_result result;

    small_path(bundle, small, sizeof(small));
    result = pvsim("replay %s", small);
    ck_assert_msg(result.status == 0 && strstr(result.output, "replay: the same failure (rule bugcheck") != NULL,
                  "%s%s", result.output, result.error);
    process_free(&result);
}

/* The planted operations are two stores of the producer and the consumer's loads of what they store. */
START_TEST(plain_accesses)
{
    struct process_result result;
    char bundle[512];

    find_bundle("--preempt=memory", planted_folder(PLANTED_MEMORY, true), bundle);
    result = pvsim("minimize --timeout 5m %s", bundle);
    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    ck_assert_uint_ge(number_behind(result.output, "schedule: "), 1);
    ck_assert_uint_le(number_behind(result.output, "schedule: "), 20);
    ck_assert_msg(strstr(result.output, "  first: access to ") != NULL &&
                      strstr(result.output, "planted.so!Producer") != NULL &&
                      strstr(result.output, "  second: access to ") != NULL &&
                      strstr(result.output, "planted.so!Consumer") != NULL && strstr(result.output, "vCPU ") != NULL,
                  "%s", result.output);
    process_free(&result);
    check_replay(bundle);
}
END_TEST

/* racer: announced before the record is there; the frames have no part in it. */
START_TEST(interlocked_accesses)
{
    struct process_result result;
    char bundle[512];

    find_bundle("--tx tests/captures/few-wire.pcap", racer_folder(), bundle);
    result = pvsim("minimize --timeout 5m %s", bundle);
    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    ck_assert_uint_le(number_behind(result.output, "schedule: "), 20);
    ck_assert_uint_eq(number_behind(result.output, "frames: tx "), 0);
    ck_assert_msg(strstr(result.output, "  first: KxInterlockedExchangePointer called at racer.so!Publisher") != NULL &&
                      strstr(result.output, "racer.so!Consumer") != NULL,
                  "%s", result.output);
    process_free(&result);
    check_replay(bundle);
}
END_TEST

/* Both threads are bound to one processor: what decides is which of them it goes on with. */
START_TEST(threads_of_one_processor)
{
    struct process_result result;
    char bundle[512];

    find_bundle("", planted_folder(PLANTED_PINNED, false), bundle);
    result = pvsim("minimize --timeout 5m %s", bundle);
    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    ck_assert_msg(
        strstr(result.output, "  first: KxInterlockedExchangePointer called at planted.so!PinnedPublisher") != NULL &&
            strstr(result.output, "  second: KxInterlockedExchangePointer called at planted.so!PinnedReader") != NULL,
        "%s", result.output);
    process_free(&result);
    check_replay(bundle);
}
END_TEST

/* Its bundle, of a run of the driver that must have contiguous memory; the frames are not needed. */
static void find_fault_bundle(const char *faults, char *bundle)
{
    struct process_result result = pvsim("run %s --tx tests/captures/few-wire.pcap --bundle-dir %s --drivers %s",
                                         faults, scratch(), planted_folder(PLANTED_MEMORY_FAILS, false));
    const char *at = strstr(result.output, "pvsim replay ");

    ck_assert_msg(at != NULL && sscanf(at, "pvsim replay %511s", bundle) == 1, "%s%s", result.output, result.error);
    process_free(&result);
}

static const struct {
    const char *faults;
    const char *left; /* what the report says of them */
} fault_cases[] = {
    {"--fail call=MmAllocateContiguousMemory,nth=1 --fail call=ExAllocatePoolWithTag,nth=1", "faults: 1 of 2\n"},
    {"--fail=nth=1 --fail call=MmAllocateContiguousMemory", "  --fail call=MmAllocateContiguousMemory,nth=1\n"},
    {"--fail rate=0.2,seed=35", "  --fail call=MmAllocateContiguousMemory,nth=1\n"},
};

/* Of several faults the one that matters is left, by name; faults by chance are told apart. */
START_TEST(faults)
{
    struct process_result result;
    char bundle[512];

    find_fault_bundle(fault_cases[_i].faults, bundle);
    result = pvsim("minimize --timeout 5m %s", bundle);
    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    ck_assert_msg(strstr(result.output, fault_cases[_i].left) != NULL &&
                      strstr(result.output, "\nfaults: 1 of ") != NULL && strstr(result.output, "1 of 1\n") == NULL,
                  "%s", result.output);
    ck_assert_uint_eq(number_behind(result.output, "frames: tx "), 0);
    process_free(&result);
    check_replay(bundle);
}
END_TEST

/* A search that was cut short goes on from what it left, in the same file. */
START_TEST(goes_on_from_its_own_result)
{
    struct process_result result;
    char bundle[512];
    char small[600];
    unsigned first;

    find_bundle("", racer_folder(), bundle);
    small_path(bundle, small, sizeof(small));
    result = pvsim("minimize --runs 6 %s", bundle);
    ck_assert_msg(result.status == 0 && strstr(result.output, "the bound on runs or time ended the search") != NULL,
                  "%s%s", result.output, result.error);
    first = number_behind(result.output, "schedule: ");
    process_free(&result);
    result = pvsim("minimize --timeout 5m %s", small);
    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    ck_assert_uint_eq(number_behind(result.output, " decisions, were "), first);
    ck_assert_uint_lt(number_behind(result.output, "schedule: "), first);
    ck_assert_ptr_null(strstr(result.output, ".min.min."));
    ck_assert_ptr_nonnull(strstr(result.output, small));
    process_free(&result);
    check_replay(bundle);
}
END_TEST

START_TEST(delays)
{
    struct process_result result;
    char bundle[512];

    find_bundle("--delay 0.3", planted_folder(PLANTED_DELAY, false), bundle);
    result = pvsim("minimize --timeout 5m %s", bundle);
    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    ck_assert_uint_le(number_behind(result.output, "schedule: "), 20);
    ck_assert_ptr_nonnull(strstr(result.output, "a delay decides: number "));
    ck_assert_ptr_nonnull(strstr(result.output, " of kind dpc"));
    process_free(&result);
    check_replay(bundle);
}
END_TEST

/* Two frames that lie far apart are what is left, by name; of a part of the captures too. */
START_TEST(two_frames_far_apart)
{
    static const char *const parts[] = {"", "--rx-frames 2-50,60,70-1120"};
    struct process_result result =
        pvsim("run --bundle-dir %s --rx tests/captures/lan-wire.pcap --tx tests/captures/few-wire.pcap %s --drivers %s",
              scratch(), parts[_i], planted_folder(PLANTED_PAIR, false));
    char bundle[512] = "";
    const char *at = strstr(result.output, "pvsim replay ");

    ck_assert_msg(at != NULL && sscanf(at, "pvsim replay %511s", bundle) == 1, "%s%s", result.output, result.error);
    process_free(&result);
    result = pvsim("minimize --timeout 5m %s", bundle);
    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    ck_assert_uint_eq(number_behind(result.output, "frames: tx "), 0);
    ck_assert_uint_eq(number_behind(result.output, " of 6, rx "), 2);
    ck_assert_msg(strstr(result.output, "  --rx-frames 40,1117\n") != NULL, "%s", result.output);
    process_free(&result);
    check_replay(bundle);
}
END_TEST

#ifdef PVSIM_SANITIZE /* each run takes ten times as long */
#define RUNS "30"
#else
#define RUNS "200"
#endif

/* A run that fails for want of time needs some of its frames; the bound on runs leaves what was found by then. */
START_TEST(frames)
{
    struct process_result result =
        pvsim("run --bundle-dir %s --timeout 1ms --tx tests/captures/lan-wire.pcap", scratch());
    char bundle[512] = "";
    const char *at = strstr(result.output, "pvsim replay ");

    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(sscanf(at, "pvsim replay %511s", bundle), 1);
    process_free(&result);
    result = pvsim("minimize --runs " RUNS " %s", bundle);
    ck_assert_msg(result.status == 0, "%s%s", result.output, result.error);
    ck_assert_ptr_nonnull(strstr(result.output, "schedule: 0 decisions, were 0"));
    ck_assert_ptr_nonnull(strstr(result.output, "no order decides"));
    ck_assert_uint_ge(number_behind(result.output, "frames: tx "), 1);
    ck_assert_uint_lt(number_behind(result.output, "frames: tx "), 1132);
    process_free(&result);
}
END_TEST

static const char *const wrong[] = {"minimize",
                                    "minimize a b",
                                    "minimize no-such.bundle",
                                    "minimize --runs 0 x",
                                    "run --tx tests/captures/few-wire.pcap --tx-frames 0-3",
                                    "run --tx tests/captures/few-wire.pcap --tx-frames 3-2",
                                    "run --tx tests/captures/few-wire.pcap --tx-frames 3,2",
                                    "run --tx tests/captures/few-wire.pcap --tx-frames 1,",
                                    "run --tx tests/captures/few-wire.pcap --tx-frames 2-3,7",
                                    "run --tx tests/captures/few-wire.pcap --tx-frames 1-100000"};

START_TEST(usage_errors)
{
    struct process_result result = pvsim("%s", wrong[_i]);

    ck_assert_msg(result.status == 2 && line_count(result.error) == 1, "pvsim %s: exit status %d\n%s", wrong[_i],
                  result.status, result.error);
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("minimize");
    TCase *tcase = tcase_create("planted bugs");

    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, plain_accesses);
    tcase_add_test(tcase, interlocked_accesses);
    tcase_add_test(tcase, threads_of_one_processor);
    tcase_add_loop_test(tcase, faults, 0, (int)(sizeof(fault_cases) / sizeof(fault_cases[0])));
    tcase_add_test(tcase, goes_on_from_its_own_result);
    tcase_add_test(tcase, delays);
    tcase_add_loop_test(tcase, two_frames_far_apart, 0, 2);
    tcase_add_test(tcase, frames);
    tcase_add_loop_test(tcase, usage_errors, 0, (int)(sizeof(wrong) / sizeof(wrong[0])));
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
