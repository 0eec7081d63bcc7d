/*
 * Programs that are killed at any point: whatever they were about, nothing of theirs stays, and the machine goes on.
 */
#include <signal.h>
#include <sys/wait.h>

#include "machine/census.h"
#include "machine/clock.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "xen/xen_guest.h"

#include "common/process.h"
#include "dom0/gate.h"
#include "peer/gate_client.h"

#define US UINT64_C(1000)
#define LIVES 12u
#define STORE_REFERENCE 1u
#define CONSOLE_REFERENCE 0u

static char path[256];

/* ---- a program that is always about something ---- */

static void map_and_copy(const struct client_handle *grants, uint32_t *number)
{
    struct gate_unmap unmap = {.type = GATE_UNMAP_GRANTS, .number = *number};
    struct {
        struct gate_copy_grants request;
        struct gate_copy segment;
    } copy = {{.type = GATE_COPY_GRANTS, .count = 1},
              {.flags = GNTCOPY_dest_gref,
               .length = 1000,
               .dest_domid = 1,
               .dest_reference = CONSOLE_REFERENCE,
               .dest_offset = 2000}};
    int16_t status = -1;
    uint32_t page;

    CLIENT_CHECK(client_ask(grants, &copy, sizeof(copy), &status, sizeof(status)).error == 0 && status == GNTST_okay);
    if (*number != 0 && *number % 3 != 0)
        CLIENT_CHECK(client_ask(grants, &unmap, sizeof(unmap), NULL, 0).error == 0);
    *number = (uint32_t)client_map_grant(grants, 1, *number % 2 ? STORE_REFERENCE : CONSOLE_REFERENCE, true, GATE_NONE,
                                         GATE_NONE, &page)
                  .value;
}

static void share_some(const struct client_handle *shares)
{
    struct gate_share request = {
        .type = GATE_SHARE, .domid = 1, .count = 2, .notify_offset = GATE_NONE, .notify_port = GATE_NONE};
    struct gate_unmap unshare = {.type = GATE_UNSHARE};
    struct gate_reply reply = client_ask(shares, &request, sizeof(request), NULL, 0);

    CLIENT_CHECK(reply.error == 0);
    unshare.number = (uint32_t)reply.value;
    if (reply.value % 2 != 0)
        CLIENT_CHECK(client_ask(shares, &unshare, sizeof(unshare), NULL, 0).error == 0);
}

static _Noreturn void program(uint32_t near_port)
{
    struct client_handle events = client_open(path, GATE_EVTCHN, 0, 0);
    struct client_handle grants = client_open(path, GATE_GNTTAB, 0, CLIENT_PAGE);
    struct client_handle shares = client_open(path, GATE_GNTSHR, 0, 0);
    struct gate_reply bound = client_port(&events, GATE_BIND_INTERDOMAIN, 0, near_port);
    uint32_t number = 0;

    CLIENT_CHECK(bound.error == 0);
    for (;;) {
        CLIENT_CHECK(client_port(&events, GATE_BIND_UNBOUND, 1, 0).error == 0);
        client_tell(&events, GATE_NOTIFY, (uint32_t)bound.value);
        client_tell(&events, GATE_UNMASK, (uint32_t)bound.value);
        map_and_copy(&grants, &number);
        share_some(&shares);
    }
}

/* ---- the machine ---- */

static uint64_t held_by_programs(void)
{
    struct census *census = census_take();
    uint64_t count = census_total(census, "gate");

    census_free(census);
    return count;
}

static void on_event(void *argument, uint32_t port)
{
    (void)argument;
    (void)xen_evtchn_unmask(XEN_DOM0, port);
}

/* Names in the test's output what the count below is about. */
static void report_left(void *context, const char *kind, const char *name, uint64_t count, const void *caller)
{
    (void)context;
    (void)caller;
    fprintf(stderr, "left: %s: %s: %llu\n", kind, name, (unsigned long long)count);
}

static uint64_t most_held;

static void live_and_die(uint32_t near_port, unsigned life)
{
    uint64_t held;
    pid_t pid = fork();
    int status;

    ck_assert(pid >= 0);
    if (pid == 0)
        program(near_port);
    while (held_by_programs() == 0)
        task_park(clock_now() + 100 * US, "the program");
    /* The clock stands while the program works by itself: this is a number of its requests. */
    task_park(clock_now() + (5 + life * 37 % 90) * US, "a moment of the program's life");
    held = held_by_programs();
    most_held = held > most_held ? held : most_held;
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status), "the program has ended by itself: %d", status);
    while (held_by_programs() != 0)
        task_park(clock_now() + 100 * US, "the program's end");
}

static void kill_many(void *argument)
{
    uint32_t near_port = (uint32_t)xen_evtchn_alloc_unbound(XEN_DOM0, XEN_DOM0, on_event, NULL);
    struct census *before;
    struct census *after;

    (void)argument;
    before = census_take();
    for (unsigned life = 0; life < LIVES; life++)
        live_and_die(near_port, life);
    task_park(clock_now() + 1000 * US, "the last of them");
    after = census_take();
    ck_assert_uint_eq(census_compare(before, after, report_left, NULL), 0);
    census_free(before);
    census_free(after);
    machine_stop();
}

START_TEST(test_killed_at_any_point)
{
    struct machine_config config = guest_config(1);
    enum machine_result result;

    config.engine = ENGINE_DETERMINISTIC; /* a process with other threads is not forked here */
    config.stay_up = true;
    config.log_level = LOG_NONE;
    config.timeout_ns = UINT64_C(60000000000);
    snprintf(path, sizeof(path), "%s/dom0.sock", scratch());
    machine_create(&config);
    ck_assert_int_eq(domain_make(1), 1);
    ck_assert(gate_open(path));
    (void)task_create("killer", kill_many, NULL);
    result = machine_run();
    ck_assert_msg(result == MACHINE_DONE, "the machine failed: %s", machine_failure() ? machine_failure()->text : "");
    ck_assert_uint_gt(most_held, 10); /* some were well about it */
    machine_destroy();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("peer/death");
    TCase *tcase = tcase_create("death");

    tcase_add_test(tcase, test_killed_at_any_point);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
