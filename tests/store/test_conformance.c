/*
 * The store against the real one: the same requests go to ours and to the distribution's unmodified xenstored 4.17, and
 * every byte that either sends back must be the same. Scripts are in conformance/conformance.txt; after them come
 * requests made at random. Skipped (exit status 125) where the daemon is not there: make xen-tools unpacks it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"
#include "store/conformance/daemon.h"
#include "store/conformance/random.h"
#include "store/conformance/script.h"
#include "store/store.h"

#define SCRIPTS "tests/store/conformance/conformance.txt"
#define MAX_CASES 256
#define RANDOM_RUNS 24
#define RANDOM_STEPS 150
#define MAX_DIFFERENCES 8u /* of a case, to be told */

struct script_case {
    char *name;
    char **line;
    unsigned lines;
};

static struct script_case cases[MAX_CASES];
static int case_count;
static char *program;

static void read_cases(const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    if (!file) {
        perror(path);
        exit(1);
    }
    while ((length = getline(&line, &size, file)) >= 0) {
        struct script_case *last;

        while (length && (line[length - 1] == '\n' || line[length - 1] == ' '))
            line[--length] = '\0';
        if (!length || line[0] == '#')
            continue;
        if (strncmp(line, "case ", 5) == 0) {
            if (case_count == MAX_CASES) {
                fprintf(stderr, "%s: more than %d cases\n", path, MAX_CASES);
                exit(1);
            }
            cases[case_count++].name = strdup(line + 5);
            continue;
        }
        if (!case_count) {
            fprintf(stderr, "%s: a line before the first case: %s\n", path, line);
            exit(1);
        }
        last = &cases[case_count - 1];
        last->line = realloc(last->line, (last->lines + 1) * sizeof(*last->line));
        last->line[last->lines++] = strdup(line);
    }
    free(line);
    fclose(file);
}

/* Two runs side by side. */
struct pair {
    struct script_run ours, real;
    unsigned differences; /* told on stderr */
};

static void pair_start(struct pair *pair)
{
    memset(pair, 0, sizeof(*pair));
    pair->real.side = side_real(program);
    pair->ours.side = side_ours();
}

static void pair_stop(struct pair *pair, const char *name)
{
    pair->ours.side.functions->stop(pair->ours.side.state);
    pair->real.side.functions->stop(pair->real.side.state);
    ck_assert_msg(pair->differences == 0, "%s: %u answers differ", name, pair->differences);
}

static void pair_step(struct pair *pair, const char *name, const char *line)
{
    char *real, *ours;

    if (pair->differences >= MAX_DIFFERENCES)
        return;
    real = script_step(&pair->real, line);
    ours = script_step(&pair->ours, line);
    if (strcmp(ours, real) != 0) {
        fprintf(stderr, "%s: %s\nxenstored:\n%spvsim:\n%s", name, line, real, ours);
        pair->differences++;
    }
    free(ours);
    free(real);
}

/* "*N LINE" is LINE N times, each with its number in place of %d. */
static void pair_line(struct pair *pair, const char *name, const char *line)
{
    unsigned long count;
    char *rest, *mark;

    if (line[0] != '*') {
        pair_step(pair, name, line);
        return;
    }
    count = strtoul(line + 1, &rest, 10);
    rest++;
    mark = strstr(rest, "%d");
    for (unsigned long i = 0; i < count; i++) {
        char *one;

        ck_assert_int_ge(
            mark ? asprintf(&one, "%.*s%lu%s", (int)(mark - rest), rest, i, mark + 2) : asprintf(&one, "%s", rest), 0);
        pair_step(pair, name, one);
        free(one);
    }
}

START_TEST(scripts)
{
    const struct script_case *script = &cases[_i];
    struct pair pair;

    pair_start(&pair);
    for (unsigned i = 0; i < script->lines; i++)
        pair_line(&pair, script->name, script->line[i]);
    pair_stop(&pair, script->name);
}
END_TEST

START_TEST(random_requests)
{
    struct random_script random;
    struct pair pair;
    char name[32];

    snprintf(name, sizeof(name), "seed %d", _i);
    random_start(&random, (uint64_t)_i);
    pair_start(&pair);
    for (unsigned i = 0; i < RANDOM_STEPS; i++)
        pair_step(&pair, name, random_line(&random));
    pair_stop(&pair, name);
}
END_TEST

/* With the random runs of these seeds. */
static Suite *suite(int first, int last)
{
    Suite *suite = suite_create("conformance");
    TCase *tcase = tcase_create("xenstored");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, scripts, 0, case_count);
    tcase_add_loop_test(tcase, random_requests, first, last + 1);
    suite_add_tcase(suite, tcase);
    return suite;
}

/* With a file's name: its scripts alone. With "seed N": that random run alone. */
int main(int argc, char **argv)
{
    SRunner *runner;
    int failed;

    program = xen_program("lib/xen-4.17/bin", "xenstored");
    if (!program) {
        fprintf(stderr,
                "skipped: xen-utils: no xenstored of the package xen-utils-4.17 here; \"make xen-tools\" unpacks it\n");
        return 125;
    }
    if (argc == 3 && strcmp(argv[1], "seed") == 0) {
        runner = srunner_create(suite(atoi(argv[2]), atoi(argv[2])));
    } else {
        read_cases(argc > 1 ? argv[1] : SCRIPTS);
        runner = srunner_create(argc > 1 ? suite(0, -1) : suite(1, RANDOM_RUNS));
    }
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
