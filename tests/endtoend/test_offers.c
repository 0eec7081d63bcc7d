/*
 * Traffic in both directions under combinations of what netback can offer, with the shipping drivers. The combinations
 * are generated: by default rows in which every two settings of any two of the features, the number of queues, the
 * capture and the frames that a request of the client carries meet; with PVSIM_OFFERS=A-B (make matrix) every
 * combination for A to B queues, with the whole captures.
 *
 * The client asks for everything that there is to ask for: hashes, spread over the queues, and multicast frames of some
 * groups alone.
 *
 * Every run has to end with each frame there once, in its flow's order, with a right checksum (the checker's, which
 * shares nothing with the driver), and with counters that add up. What leaves may be left to the backend where that
 * offers it, and nowhere else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "common/guest.h"
#include "common/process.h"
#include "packet.h"

enum { SG, GSO4, GSO6, CSUM4, CSUM6, SPLIT, CTRL, MULTICAST, FEATURES };

static const char *const words[FEATURES] = {
    "sg",
    "gso-tcpv4",
    "gso-tcpv6",
    "csum-offload",
    "ipv6-csum-offload",
    "split-event-channels",
    "ctrl-ring",
    "multicast-control,dynamic-multicast-control",
};

static const struct {
    const char *path;
    const char *few; /* the frames of the bounded form */
} captures[] = {
    {"tests/captures/lan-wire.pcap", "1-60"},
    {"tests/captures/vlan-wire.pcap", "1-60"},
    {"tests/captures/lan-offload.pcap", "36-75,140-180"},
};
#define CAPTURES 3u

struct combination {
    unsigned features; /* a bit each */
    unsigned queues;
    unsigned capture;
    unsigned batch; /* of batches */
};

/* Frames a request; where they are several what is large goes up whole. */
static const unsigned batches[] = {1, 16};
#define BATCHES 2u

static bool has(const struct combination *combination, unsigned feature)
{
    return (combination->features >> feature & 1) != 0;
}

/* ---- one run ---- */

static void print_offer(char *offer, size_t size, const struct combination *combination)
{
    int length = snprintf(offer, size, "none,queues=%u", combination->queues);

    for (unsigned feature = 0; feature < FEATURES; feature++)
        if (has(combination, feature))
            length += snprintf(offer + length, size - (size_t)length, ",%s", words[feature]);
}

/* Which packets of IPv4 (0) and IPv6 (1) a capture leaves to a card. */
struct left {
    unsigned blank[2];
    unsigned large[2];
};

static struct left left_to_card(const char *path)
{
    char error[CAPTURE_ERROR_MAX] = "";
    struct capture *capture = capture_load(path, error);
    struct left left = {{0}, {0}};

    ck_assert_msg(capture != NULL, "%s", error);
    for (unsigned index = 0; index < capture->count; index++) {
        const struct port_frame *frame = &capture->frame[index];
        struct packet packet;

        packet_parse(frame->data, frame->length, &packet);
        left.blank[packet.version == 6] += frame->checksum == PORT_CHECKSUM_BLANK;
        left.large[packet.version == 6] += frame->gso != PORT_GSO_NONE;
    }
    capture_free(capture);
    return left;
}

static void assert_left(const struct combination *combination, const char *offer, const char *path)
{
    struct left given = left_to_card(captures[combination->capture].path), left = left_to_card(path);

    for (unsigned six = 0; six < 2; six++) {
        bool blank = has(combination, six ? CSUM6 : CSUM4);
        bool large = blank && has(combination, SG) && has(combination, six ? GSO6 : GSO4);

        ck_assert_msg((left.blank[six] > 0) == (blank && given.blank[six] > 0),
                      "%s: %u IPv%u packets left with a blank checksum", offer, left.blank[six], six ? 6 : 4);
        ck_assert_msg((left.large[six] > 0) == (large && given.large[six] > 0), "%s: %u large IPv%u packets left",
                      offer, left.large[six], six ? 6 : 4);
    }
}

/* Of both directions: nothing dropped, and each request of the rings answered. */
static void assert_counters(const char *offer, const char *output)
{
    static const char *const directions[] = {"tx", "rx"};

    for (unsigned i = 0; i < 2; i++) {
        unsigned long long frames, expected, bytes, dropped, corrupt, requests, responses;
        char ring[16], line[16];
        const char *at;

        snprintf(line, sizeof(line), "vif 0 %s: ", directions[i]);
        at = strstr(output, line);
        ck_assert_msg(at != NULL &&
                          sscanf(at + strlen(line), "%llu of %llu frames, %llu bytes, %llu dropped, %llu corrupt",
                                 &frames, &expected, &bytes, &dropped, &corrupt) == 5,
                      "%s: no frames in the report: %s", offer, output);
        snprintf(ring, sizeof(ring), "vif 0 %s ring: ", directions[i]);
        at = strstr(output, ring);
        ck_assert_msg(at != NULL &&
                          sscanf(at + strlen(ring), "%llu requests, %llu responses", &requests, &responses) == 2,
                      "%s: no ring in the report: %s", offer, output);
        ck_assert_msg(frames == expected && dropped == 0 && corrupt == 0 && requests == responses && requests >= frames,
                      "%s: the counters do not add up:\n%s", offer, output);
    }
}

/* What the client asks for has reached the backend where that offers it, and nowhere else. */
static void assert_asked(const struct combination *combination, const char *offer, const char *output)
{
    unsigned long long control, filters, filtered;
    const char *line = "vif 0 control ring: ";
    const char *at = strstr(output, line);

    ck_assert_msg(at != NULL && sscanf(at + strlen(line),
                                       "%llu requests; multicast filter: asked for %llu times, %llu frames filtered",
                                       &control, &filters, &filtered) == 3,
                  "%s: nothing of wishes in the report: %s", offer, output);
    ck_assert_msg((control > 0) == has(combination, CTRL), "%s: %llu requests on the control ring", offer, control);
    ck_assert_msg((filters > 0) == has(combination, MULTICAST), "%s: a filter asked for %llu times", offer, filters);
    ck_assert_uint_eq(filtered, 0);
}

/* The throughput by the machine's clock, in Mbit/s. */
static double run(const struct combination *combination, bool whole)
{
    char offer[256], path[256], few[128] = "", line[512];
    const char *capture = captures[combination->capture].path;
    const char *clock;
    double rate;
    struct process_result result;
    unsigned vcpus = combination->queues < 2 ? 2 : combination->queues;

    print_offer(offer, sizeof(offer), combination);
    snprintf(path, sizeof(path), "%s/out.pcap", scratch());
    if (!whole)
        snprintf(few, sizeof(few), " --tx-frames %s --rx-frames %s", captures[combination->capture].few,
                 captures[combination->capture].few);
    result = pvsim("run --no-bundle --rss --multicast-filter --batch %u --vcpus %u --backend-features %s --tx %s --rx "
                   "%s --out-tx %s%s",
                   batches[combination->batch], vcpus, offer, capture, capture, path, few);
    last_line(result.output, line, sizeof(line));
    ck_assert_msg(result.status == 0 && strncmp(line, "PASS ", 5) == 0 &&
                      strstr(line, " lost=0 corrupt=0 leaks=0") != NULL,
                  "%s with %s, %u frames a request: status %d, %s\n%s", offer, capture, batches[combination->batch],
                  result.status, line, result.error);
    assert_counters(offer, result.output);
    assert_asked(combination, offer, result.output);
    assert_left(combination, offer, path);
    clock = strstr(result.output, "\nthroughput: ");
    ck_assert_msg(clock != NULL &&
                      sscanf(clock, "\nthroughput: %*u bytes in %*f %*s by the machine's clock (%lf Mbit/s)", &rate) ==
                          1,
                  "%s: no throughput in the report: %s", offer, result.output);
    process_free(&result);
    unlink(path);
    return rate;
}

/* ---- every two settings of any two factors ---- */

#define FACTORS (FEATURES + 3u)
#define LEVELS 4u
#define TRIES 40u

static const unsigned queue_levels[LEVELS] = {1, 2, 5, 16};

struct row {
    unsigned level[FACTORS];
};

static unsigned levels_of(unsigned factor)
{
    static const unsigned others[] = {LEVELS, CAPTURES, BATCHES};

    return factor < FEATURES ? 2 : others[factor - FEATURES];
}

static bool met[FACTORS][LEVELS][FACTORS][LEVELS];

static unsigned meet(const struct row *row, bool note)
{
    unsigned fresh = 0;

    for (unsigned a = 0; a < FACTORS; a++) {
        for (unsigned b = a + 1; b < FACTORS; b++) {
            bool *pair = &met[a][row->level[a]][b][row->level[b]];

            fresh += !*pair;
            *pair |= note;
        }
    }
    return fresh;
}

static unsigned draw(unsigned below)
{
    static uint64_t state = 6;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % below;
}

static bool find_unmet(unsigned at[4])
{
    for (at[0] = 0; at[0] < FACTORS; at[0]++)
        for (at[2] = at[0] + 1; at[2] < FACTORS; at[2]++)
            for (at[1] = 0; at[1] < levels_of(at[0]); at[1]++)
                for (at[3] = 0; at[3] < levels_of(at[2]); at[3]++)
                    if (!met[at[0]][at[1]][at[2]][at[3]])
                        return true;
    return false;
}

/* The best of some rows that have a pair which no row has had. */
static bool next_row(struct row *best)
{
    unsigned most = 0, at[4];

    if (!find_unmet(at))
        return false;
    for (unsigned try = 0; try < TRIES; try++) {
        struct row row;
        unsigned fresh;

        for (unsigned factor = 0; factor < FACTORS; factor++)
            row.level[factor] = draw(levels_of(factor));
        row.level[at[0]] = at[1];
        row.level[at[2]] = at[3];
        fresh = meet(&row, false);
        if (fresh > most) {
            most = fresh;
            *best = row;
        }
    }
    meet(best, true);
    return true;
}

START_TEST(any_two_settings_together)
{
    struct row row;
    unsigned rows = 0;

    while (next_row(&row)) {
        struct combination combination = {0, queue_levels[row.level[FEATURES]], row.level[FEATURES + 1],
                                          row.level[FEATURES + 2]};

        for (unsigned feature = 0; feature < FEATURES; feature++)
            combination.features |= row.level[feature] << feature;
        run(&combination, false);
        rows++;
    }
    ck_assert_uint_ge(rows, LEVELS * CAPTURES);
}
END_TEST

/* Large packets, cut here or there, with and without checksums to be completed: none is a tenth as fast as the best. */
START_TEST(fb16_no_combination_is_slow)
{
    static const unsigned parts[] = {1u << SG, 1u << CSUM4 | 1u << CSUM6, 1u << GSO4 | 1u << GSO6};
    double least = 0, most = 0;

    for (unsigned which = 0; which < 1u << 3; which++) {
        struct combination combination = {.queues = 1, .capture = CAPTURES - 1};
        double rate;

        for (unsigned part = 0; part < 3; part++)
            combination.features |= which >> part & 1 ? parts[part] : 0;
        rate = run(&combination, false);
        least = which == 0 || rate < least ? rate : least;
        most = rate > most ? rate : most;
    }
    ck_assert_msg(least >= most / 10, "from %.0f to %.0f Mbit/s", least, most);
}
END_TEST

/* ---- all ---- */

static unsigned first_queues, last_queues;

START_TEST(every_combination)
{
    struct combination combination = {.queues = (unsigned)_i};

    for (combination.capture = 0; combination.capture < CAPTURES; combination.capture++)
        for (combination.batch = 0; combination.batch < BATCHES; combination.batch++)
            for (combination.features = 0; combination.features < 1u << FEATURES; combination.features++)
                run(&combination, true);
    printf("%u queues: %u runs\n", combination.queues, (CAPTURES * BATCHES) << FEATURES);
    fflush(stdout);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("offers");
    TCase *tcase = tcase_create("offers");
    const char *all = getenv("PVSIM_OFFERS");

    if (all != NULL && (sscanf(all, "%u-%u", &first_queues, &last_queues) != 2 || first_queues < 1 ||
                        last_queues > 16 || last_queues < first_queues)) {
        fprintf(stderr, "test_offers: PVSIM_OFFERS takes two numbers of queues from 1 to 16, such as 1-16, not '%s'\n",
                all);
        return 2;
    }
    if (all != NULL) {
        tcase_add_loop_test(tcase, every_combination, (int)first_queues, (int)last_queues + 1);
    } else {
        tcase_add_test(tcase, any_two_settings_together);
        tcase_add_test(tcase, fb16_no_combination_is_slow);
    }
    tcase_set_timeout(tcase, all != NULL ? 3600 : 600);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
