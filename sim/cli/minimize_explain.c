/*
 * The two operations whose order decides. The last change of runners that a small schedule cannot do without stands
 * between them: the one that was stopped had the first ahead of it, and the one that ran instead must have done the
 * second. How late the first may be stopped and how far the second must come is found by trying.
 */
#include <inttypes.h>
#include <string.h>

#include "cli/minimize.h"
#include "machine/delay.h"

#define TURNS_MAX 4
#define FAR (UINT64_C(1) << 20) /* steps: further than a failure lies from its cause */

/* The last change of runners or of threads, or the schedule's count. */
static size_t last_change(const struct schedule *schedule)
{
    for (size_t index = schedule->count; index > 0; index--)
        if (schedule->list[index - 1].type == DECISION_RUN || schedule->list[index - 1].type == DECISION_TOSS)
            return index - 1;
    return schedule->count;
}

static size_t last_delay(const struct schedule *schedule)
{
    for (size_t index = schedule->count; index > 0; index--)
        if (schedule->list[index - 1].type == DECISION_DELAY)
            return index - 1;
    return schedule->count;
}

struct question {
    struct minimizer *minimizer;
    const struct candidate *base;
    size_t decision;
    uint64_t other_steps; /* of the runner that goes on, when the change comes */
    unsigned turns;       /* threads of one processor: so many have their turn until it is the first one's again */
};

/* Does it still fail with the first one stopped `steps` later? */
static bool fails_stopped_later(const struct question *question, uint64_t steps)
{
    struct candidate candidate;
    bool fails;

    candidate_copy(&candidate, question->base);
    candidate.schedule.list[question->decision].count += steps;
    fails = minimize_fails(question->minimizer, &candidate);
    candidate_free(&candidate);
    return fails;
}

/* The decision that ends the other one's turn after so many steps, so that the first goes on. */
static struct decision way_back(const struct question *question, uint64_t steps)
{
    const struct decision *change = &question->base->schedule.list[question->decision];

    if (change->type == DECISION_TOSS)
        return (struct decision){DECISION_TOSS, change->who, change->count + steps, 1};
    return (struct decision){DECISION_RUN, (uint32_t)change->value, question->other_steps + steps, change->who};
}

static bool fails_back_after(const struct question *question, uint64_t steps)
{
    struct decision back = way_back(question, steps);
    struct candidate candidate;
    bool fails;

    candidate_copy(&candidate, question->base);
    for (unsigned turn = 0; turn < question->turns; turn++) {
        schedule_add(&candidate.schedule, &back);
        back.count++;
    }
    fails = minimize_fails(question->minimizer, &candidate);
    candidate_free(&candidate);
    return fails;
}

/* The largest number of steps up to which the answer is yes; it is yes for 0. */
static uint64_t last_yes(const struct question *question, bool (*ask)(const struct question *, uint64_t))
{
    uint64_t yes = 0;
    uint64_t no = 1;

    while (no < FAR && ask(question, no)) {
        yes = no;
        no *= 2;
    }
    while (no - yes > 1) {
        uint64_t middle = yes + (no - yes) / 2;

        if (ask(question, middle))
            yes = middle;
        else
            no = middle;
    }
    return yes;
}

/* The smallest number of steps from which on the answer is yes; 0: there is none. */
static uint64_t first_yes(const struct question *question, bool (*ask)(const struct question *, uint64_t))
{
    uint64_t no = 0;
    uint64_t yes = 1;

    while (!ask(question, yes)) {
        if (yes >= FAR || minimize_over(question->minimizer))
            return 0;
        no = yes;
        yes *= 2;
    }
    while (yes - no > 1) {
        uint64_t middle = no + (yes - no) / 2;

        if (ask(question, middle))
            yes = middle;
        else
            no = middle;
    }
    return yes;
}

static void print_operation(FILE *file, const char *what, const struct probe *probe)
{
    fprintf(file, "  %s: %s\n", what, probe->hit ? probe->text : "(the run did not come there)");
}

static void explain_change(struct minimizer *minimizer, FILE *file, size_t index)
{
    struct candidate late;
    struct question question = {.minimizer = minimizer, .base = &minimizer->best, .decision = index, .turns = 1};
    struct probe probes[2];
    struct decision *change;
    uint64_t far;

    candidate_copy(&late, &minimizer->best);
    change = &late.schedule.list[index];
    change->count += last_yes(&question, fails_stopped_later);
    memset(probes, 0, sizeof(probes));
    probes[0] = (struct probe){
        .type = change->type, .runner = change->who, .count = change->count, .other = (uint32_t)change->value};
    if (minimize_probe(minimizer, &late, probes, 1)) {
        struct decision second;

        question.base = &late;
        question.other_steps = probes[0].other_steps;
        while (change->type == DECISION_TOSS && question.turns < TURNS_MAX && fails_back_after(&question, 1))
            question.turns++;
        far = first_yes(&question, fails_back_after);
        second = way_back(&question, far - 1);
        /* The one that has just been stopped has made no decision since: the first of the other's is the next. */
        if (far == 1 && change->type == DECISION_TOSS)
            second.count++;
        probes[1] = (struct probe){.type = second.type, .runner = second.who, .count = second.count};
        if (far != 0)
            (void)minimize_probe(minimizer, &late, probes, 2);
        fprintf(file, "the order of two operations decides; it fails when the second comes before the first:\n");
        print_operation(file, "first", &probes[0]);
        if (far != 0)
            print_operation(file, "second", &probes[1]);
        else
            fprintf(file, "  second: not found: the first may not go on before the failure\n");
    } else {
        fprintf(file, "the operations cannot be named: the failure did not come while they were looked at\n");
    }
    candidate_free(&late);
}

void minimize_explain(struct minimizer *minimizer, FILE *file)
{
    const struct schedule *schedule = &minimizer->best.schedule;
    size_t change = last_change(schedule);
    size_t delay = last_delay(schedule);

    if (delay < schedule->count)
        fprintf(file, "a delay decides: number %" PRIu64 " of kind %s, %" PRIu64 " ns\n", schedule->list[delay].count,
                delay_rules[schedule->list[delay].who].kind, schedule->list[delay].value);
    if (change < schedule->count)
        explain_change(minimizer, file, change);
    else if (delay == schedule->count)
        fprintf(file, "no order decides: it fails under the default schedule\n");
}
