/*
 * A run with a program beside the machine is recorded, and replays without it: the same events in the same order,
 * whatever the program did of its own accord.
 */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "machine/clock.h"
#include "machine/eventlog.h"
#include "machine/log.h"
#include "machine/peer.h"
#include "machine/sched.h"
#include "xen/xen_guest.h"

#include "common/process.h"
#include "dom0/gate.h"
#include "peer/gate_client.h"

#define MS UINT64_C(1000000)
#define ROUNDS 25u
#define QUESTION 100u /* offsets in the console's page */
#define ANSWER 200u
#define COPIED 300u
#define CONSOLE_REFERENCE 0u

static char path[256];
static char record[256];
static pid_t child;
static struct task *task;
static uint32_t near_port;
static bool fired;
static unsigned rounds;

/* ---- the program: answers each question with something that only it knows ---- */

static uint32_t moody(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint32_t)time.tv_nsec * 2654435761u + (uint32_t)getpid();
}

static void copy_answer(const struct client_handle *grants, uint32_t answer)
{
    struct {
        struct gate_copy_grants request;
        struct gate_copy segment;
    } copy = {{.type = GATE_COPY_GRANTS, .count = 1},
              {.flags = GNTCOPY_dest_gref,
               .length = sizeof(answer),
               .source_offset = CLIENT_PAGE + 8,
               .dest_domid = 1,
               .dest_reference = CONSOLE_REFERENCE,
               .dest_offset = COPIED}};
    int16_t status = -1;

    memcpy(grants->arena + CLIENT_PAGE + 8, &answer, sizeof(answer));
    CLIENT_CHECK(client_ask(grants, &copy, sizeof(copy), &status, sizeof(status)).error == 0 && status == GNTST_okay);
}

static void ask_version(const struct client_handle *call, char first)
{
    struct gate_hypercall request = {
        .type = GATE_HYPERCALL,
        .op = __HYPERVISOR_xen_version,
        .argument = {XENVER_extraversion, (uintptr_t)call->arena + ((uint8_t)first % 16) * 8},
    };

    CLIENT_CHECK(client_ask(call, &request, sizeof(request), NULL, 0).value == 0);
}

static void program(void)
{
    struct client_handle events = client_open(path, GATE_EVTCHN, 0, 0);
    struct client_handle grants = client_open(path, GATE_GNTTAB, 0, 2 * CLIENT_PAGE);
    struct client_handle call = client_open(path, GATE_CALL, 0, CLIENT_PAGE);
    struct gate_reply reply;
    uint32_t page = 0;
    uint32_t port;
    uint8_t *at;

    reply = client_map_grant(&grants, 1, CONSOLE_REFERENCE, true, GATE_NONE, GATE_NONE, &page);
    CLIENT_CHECK(reply.error == 0);
    at = client_show(&grants, page);
    port = (uint32_t)client_port(&events, GATE_BIND_INTERDOMAIN, 0, near_port).value;
    for (;;) {
        uint32_t question;
        uint32_t answer = moody();

        if (read(events.other, &port, sizeof(port)) != sizeof(port))
            return;
        client_tell(&events, GATE_UNMASK, port);
        memcpy(&question, at + QUESTION, sizeof(question));
        if (question % 5 == 0)
            ask_version(&call, (char)answer);
        if (question % 3 == 0) {
            const struct timespec time = {0, 3000000};

            nanosleep(&time, NULL); /* the machine goes on meanwhile */
        }
        memcpy(at + ANSWER, &answer, sizeof(answer));
        copy_answer(&grants, answer ^ question);
        client_tell(&events, GATE_NOTIFY, port);
    }
}

/* ---- the machine ---- */

static void on_event(void *argument, uint32_t port)
{
    (void)argument;
    (void)port;
    fired = true;
    task_unpark(task);
}

static void wait_for_event(void)
{
    while (!fired)
        task_park(clock_now() + MS, "the program's event");
    fired = false;
    ck_assert_int_eq(xen_evtchn_unmask(XEN_DOM0, near_port), 0);
}

static void ask(void *argument)
{
    uint64_t gfn = 0;
    uint8_t *page;

    (void)argument;
    ck_assert_int_eq(xen_hvm_param_get(1, HVM_PARAM_CONSOLE_PFN, &gfn), 0);
    page = xen_foreign_frame(1, gfn);
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t answer, copied;

        memcpy(page + QUESTION, &round, sizeof(round));
        ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, near_port), 0);
        wait_for_event();
        memcpy(&answer, page + ANSWER, sizeof(answer));
        memcpy(&copied, page + COPIED, sizeof(copied));
        ck_assert_uint_eq(copied, answer ^ round);
        eventlog_add(EVENT_FRAME, round, answer, clock_now());
    }
    machine_stop();
}

/* `replays`: without a program. */
static enum machine_result run(bool replays)
{
    struct machine_config config = guest_config(1);
    enum machine_result result;

    config.engine = ENGINE_DETERMINISTIC;
    config.stay_up = true;
    config.log_level = LOG_NONE;
    config.timeout_ns = UINT64_C(60000000000);
    snprintf(path, sizeof(path), "%s/dom0.sock", scratch());
    snprintf(record, sizeof(record), "%s/peers", scratch());
    (void)unlink(path);
    fired = false;
    machine_create(&config);
    ck_assert_int_eq(domain_make(1), 1);
    if (replays)
        peers_replay(record);
    else
        peers_record(record);
    ck_assert(gate_open(path));
    task = task_create("asker", ask, NULL);
    near_port = (uint32_t)xen_evtchn_alloc_unbound(XEN_DOM0, XEN_DOM0, on_event, NULL);
    if (!replays) {
        child = fork();
        ck_assert(child >= 0);
        if (child == 0) {
            program();
            _exit(0);
        }
    }
    result = machine_run();
    if (!replays)
        kill(child, SIGKILL);
    return result;
}

static void record_a_run(uint64_t *hash, uint64_t *events)
{
    enum machine_result result;

    rounds = ROUNDS;
    result = run(false);
    ck_assert_msg(result == MACHINE_DONE, "%s", machine_failure() ? machine_failure()->text : "");
    *hash = eventlog_hash();
    *events = eventlog_count();
    machine_destroy();
}

START_TEST(test_replay_is_the_same_run)
{
    uint64_t hash, events;

    record_a_run(&hash, &events);
    for (unsigned again = 0; again < 2; again++) {
        enum machine_result result = run(true);

        ck_assert_msg(result == MACHINE_DONE, "%s", machine_failure() ? machine_failure()->text : "");
        ck_assert_uint_eq(eventlog_count(), events);
        ck_assert_uint_eq(eventlog_hash(), hash);
        ck_assert_int_ne(access(path, F_OK), 0); /* nobody can connect to a replay */
        machine_destroy();
    }
}
END_TEST

START_TEST(test_replay_that_parts_says_so)
{
    uint64_t hash, events;

    record_a_run(&hash, &events);
    rounds = ROUNDS + 1;
    ck_assert_int_eq(run(true), MACHINE_FAILED);
    ck_assert_str_eq(machine_failure()->rule, "replay");
    ck_assert_ptr_nonnull(strstr(machine_failure()->text, "parts from the record"));
}
END_TEST

START_TEST(test_no_record)
{
    struct machine_config config = guest_config(1);

    machine_create(&config);
    peers_replay("/nonexistent/record");
}
END_TEST

START_TEST(test_something_else)
{
    struct machine_config config = guest_config(1);

    machine_create(&config);
    peers_replay("/proc/self/exe");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("peer/record");
    TCase *tcase = tcase_create("record");

    tcase_add_test(tcase, test_replay_is_the_same_run);
    tcase_add_test(tcase, test_replay_that_parts_says_so);
    tcase_add_exit_test(tcase, test_no_record, 2);
    tcase_add_exit_test(tcase, test_something_else, 2);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
