/* The guest's PV console, as the machine keeps it, and pvsim console as a user starts it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/stack.h"
#include "common/stack_dom0.h"
#include "common/process.h"
#include "common/standing.h"
#include "console.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "xen/platform.h"
#include "xen/xen.h"

#include <xen/event_channel.h>
#include <xen/io/console.h>
#include <xen/sched.h>

#define DOMID (stack.domain.domid)

static struct consoles *consoles;
static volatile unsigned news;
static volatile bool ended;

/* ---- domain 0 ---- */

static void note_news(void *context)
{
    (void)context;
    news++;
}

static void run_consoles(void *unused)
{
    (void)unused;
    ck_assert(consoles_run(consoles));
    consoles_destroy(consoles);
    consoles = NULL;
    ended = true;
}

static void start(void *unused)
{
    const struct consoles_options options = {.logger = &stack_logger, .news = note_news};

    (void)unused;
    ended = false;
    consoles = consoles_create(&options);
    ck_assert_ptr_nonnull(consoles);
    (void)task_create("consoles", run_consoles, NULL);
}

static void stop(void)
{
    consoles_stop(consoles);
    while (!ended)
        stack_sleep_us(100);
}

static bool state_is(void *state)
{
    return consoles_state(consoles, DOMID) == *(const enum console_state *)state;
}

static void await_state(enum console_state state)
{
    ck_assert_msg(stack_wait(state_is, &state, 5000), "the console's state is %d, not %d",
                  consoles_state(consoles, DOMID), state);
}

/* All that there is in the end, from the position on. */
static const char *read_until(uint64_t *position, size_t length)
{
    static char text[2 * CONSOLE_HISTORY];
    size_t count = 0;

    for (unsigned waited = 0; count < length; waited++) {
        ck_assert_msg(waited < 10000, "%zu of %zu bytes came", count, length);
        count += consoles_read(consoles, DOMID, position, text + count, sizeof(text) - 1 - count);
        if (count < length)
            stack_sleep_us(100);
    }
    text[count] = '\0';
    return text;
}

/* ---- the guest ---- */

static struct xencons_interface *ring(void)
{
    struct xencons_interface *page = xen_foreign_frame(DOMID, stack.domain.console_frame);

    ck_assert_ptr_nonnull(page);
    return page;
}

static void send_event(void)
{
    struct evtchn_send op = {.port = stack.domain.console_port};

    ck_assert_int_eq(xen_hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, (uint64_t)(uintptr_t)&op, 0, 0, 0), 0);
}

/* Waits for room as a driver does. */
static void guest_prints(const char *text, size_t length)
{
    struct xencons_interface *page = ring();

    for (size_t at = 0; at < length;) {
        while (page->out_prod - __atomic_load_n(&page->out_cons, __ATOMIC_ACQUIRE) == sizeof(page->out))
            stack_sleep_us(50);
        page->out[MASK_XENCONS_IDX(page->out_prod, page->out)] = text[at++];
        __atomic_store_n(&page->out_prod, page->out_prod + 1, __ATOMIC_RELEASE);
        if (at == length || page->out_prod - page->out_cons == sizeof(page->out))
            send_event();
    }
}

static void guest_reads(char *text, size_t length)
{
    struct xencons_interface *page = ring();

    for (size_t at = 0; at < length;) {
        while (__atomic_load_n(&page->in_prod, __ATOMIC_ACQUIRE) == page->in_cons)
            stack_sleep_us(50);
        text[at++] = page->in[MASK_XENCONS_IDX(page->in_cons, page->in)];
        __atomic_store_n(&page->in_cons, page->in_cons + 1, __ATOMIC_RELEASE);
        send_event();
    }
}

/* ---- tests ---- */

STACK_TEST(both_ways, .quiet = true)
{
    uint64_t position = 0;
    char heard[16] = "";

    guest_prints("before anybody\n", 15); /* it waits in the ring */
    stack_in_dom0(start, NULL);
    await_state(CONSOLE_OPEN);
    ck_assert_str_eq(read_until(&position, 15), "before anybody\n");
    guest_prints("guest here\n", 11);
    ck_assert_str_eq(read_until(&position, 11), "guest here\n");
    ck_assert_uint_eq(consoles_write(consoles, DOMID, "hear this\n", 10), 10);
    guest_reads(heard, 10);
    ck_assert_str_eq(heard, "hear this\n");
    ck_assert_uint_gt(news, 0);

    /* From the beginning for whoever comes later. */
    position = 0;
    ck_assert_str_eq(read_until(&position, 26), "before anybody\nguest here\n");
    ck_assert_uint_eq(consoles_read(consoles, DOMID + 1, &position, heard, sizeof(heard)), 0);
    ck_assert_uint_eq(consoles_write(consoles, DOMID + 1, "x", 1), 0);
    stop();
}

/* More than the ring has room for, and than the history does. */
STACK_TEST(much, .quiet = true)
{
    static char text[CONSOLE_HISTORY + 5000], typed[CONSOLE_TYPED + 100], heard[CONSOLE_TYPED];
    uint64_t position = 0;
    const char *kept;

    for (size_t at = 0; at < sizeof(text); at++)
        text[at] = (char)('a' + at % 23);
    for (size_t at = 0; at < sizeof(typed); at++)
        typed[at] = (char)('A' + at % 19);
    stack_in_dom0(start, NULL);
    await_state(CONSOLE_OPEN);
    guest_prints(text, sizeof(text));
    while (ring()->out_cons != ring()->out_prod)
        stack_sleep_us(50);
    kept = read_until(&position, CONSOLE_HISTORY);
    ck_assert_uint_eq(position, sizeof(text));
    ck_assert_mem_eq(kept, text + 5000, CONSOLE_HISTORY);

    ck_assert_uint_eq(consoles_write(consoles, DOMID, typed, sizeof(typed)), CONSOLE_TYPED);
    guest_reads(heard, CONSOLE_TYPED);
    ck_assert_mem_eq(heard, typed, CONSOLE_TYPED);
    stop();
}

/* Indices that cannot be harm nobody, and the console goes on when they are right again. */
STACK_TEST(bad_indices, .quiet = true)
{
    uint64_t position = 0;
    uint32_t good;

    stack_in_dom0(start, NULL);
    await_state(CONSOLE_OPEN);
    good = ring()->out_prod;
    ring()->out_prod = good + 100000;
    send_event();
    stack_sleep_us(2000);
    ck_assert_uint_eq(ring()->out_cons, good);
    ring()->out_prod = good;
    good = ring()->in_cons;
    ring()->in_cons = good - 100000;
    ck_assert_uint_eq(consoles_write(consoles, DOMID, "x", 1), 1);
    stack_sleep_us(2000);
    ck_assert_uint_eq(ring()->in_prod, good);
    ring()->in_cons = good;
    guest_prints("well\n", 5);
    ck_assert_str_eq(read_until(&position, 5), "well\n");
    stop();
}

static void take_port(void *port)
{
    *(int *)port = xen_evtchn_bind_interdomain(XEN_DOM0, DOMID, stack.domain.console_port, NULL, NULL);
}

static void retry(void *unused)
{
    (void)unused;
    consoles_retry(consoles, DOMID);
}

STACK_TEST(taken, .quiet = true)
{
    uint64_t position = 0;
    int port = 0;

    stack_in_dom0(take_port, &port);
    ck_assert_int_gt(port, 0);
    stack_in_dom0(start, NULL);
    await_state(CONSOLE_TAKEN);
    ck_assert_uint_eq(consoles_write(consoles, DOMID, "x", 1), 0);
    stack_in_dom0(retry, NULL); /* in vain: the other one has it still */
    ck_assert_int_eq(consoles_state(consoles, DOMID), CONSOLE_TAKEN);
    ck_assert_int_eq(xen_evtchn_close(XEN_DOM0, (uint32_t)port), 0);
    stack_in_dom0(retry, NULL);
    ck_assert_int_eq(consoles_state(consoles, DOMID), CONSOLE_OPEN);
    guest_prints("there\n", 6);
    ck_assert_str_eq(read_until(&position, 6), "there\n");
    stop();
}

static void migrate(void *unused)
{
    struct toolstack *toolstack = toolstack_open(&stack_logger);

    (void)unused;
    ck_assert_msg(toolstack_domain_request(toolstack, DOMID, "suspend", TOOLSTACK_CONTROL_TIMEOUT_MS), "%s",
                  toolstack_error(toolstack));
    while (xen_domain_shutdown_reason(DOMID) != SHUTDOWN_suspend)
        (void)task_park(clock_now() + 20000, "the guest's suspension");
    stack_restore_now(toolstack);
    toolstack_close(toolstack);
}

/* The domain's new console is another one. */
STACK_TEST(restored, .quiet = true)
{
    unsigned old = DOMID;
    uint64_t position = 0;

    stack_in_dom0(start, NULL);
    await_state(CONSOLE_OPEN);
    guest_prints("there\n", 6);
    (void)read_until(&position, 6);
    stack_in_dom0(migrate, NULL);
    ck_assert_uint_ne(DOMID, old);
    await_state(CONSOLE_OPEN);
    ck_assert_int_eq(consoles_state(consoles, old), CONSOLE_NONE);
    stack_read_ports();
    position = 0;
    guest_prints("here\n", 5);
    ck_assert_str_eq(read_until(&position, 5), "here\n");
    stop();
}

/* ---- the command ---- */

START_TEST(attached)
{
    expect_result(pvsim("create --run-dir %s", standing_dir), 0, "", "");
    expect_result(VERB("console", "guest", standing_dir), 0, "", ""); /* nothing is typed, and nothing was printed */
    expect_result(VERB("console", "-t pv -n 0 1", standing_dir), 0, "", "");
    expect_complaint(VERB("console", "-t serial guest", standing_dir), 1, "its board has no serial port");
    expect_complaint(VERB("console", "-tvuart guest", standing_dir), 1, "no vuart console");
    expect_complaint(VERB("console", "-t vga guest", standing_dir), 2, "console types supported are: pv, not 'vga'");
    expect_complaint(VERB("console", "-n 1 guest", standing_dir), 2, "there is console 0 alone");
    expect_complaint(VERB("console", "guest -t", standing_dir), 2, "-t takes a value");
    expect_complaint(VERB("console", "", standing_dir), 2, "takes DOMAIN");
    expect_complaint(VERB("console", "-x guest", standing_dir), 2, "unknown option -x");
    expect_complaint(VERB("console", "0", standing_dir), 1, "domain 0 is the host");
    expect_complaint(VERB("console", "nobody", standing_dir), 1, "nobody is an invalid domain identifier");
    expect_result(VERB("migrate", "guest localhost", standing_dir), 0, "", "Migration successful.\n");
    expect_result(VERB("console", "2", standing_dir), 0, "", "");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

/* As xl has it: as soon as the domain is there. */
START_TEST(attached_when_created)
{
    expect_complaint(pvsim("create -c --run-dir %s --console external", standing_dir), 1, "is left to a program");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
    expect_result(pvsim("create --run-dir %s --name other -cp", standing_dir), 0, "", "");
    expect_result(VERB("destroy", "other", standing_dir), 0, "", "");
}
END_TEST

/* What was typed lies in the guest's ring, whoever typed it is gone. */
START_TEST(typed_and_gone)
{
    char typing[256];

    snprintf(typing, sizeof(typing), "printf hello | " PVSIM_BUILD "/pvsim console guest --run-dir %s", standing_dir);
    expect_result(pvsim("create --run-dir %s", standing_dir), 0, "", "");
    ck_assert_int_eq(system(typing), 0);
    expect_result(pvsim("dom0 --run-dir %s -- " PVSIM_BUILD "/dom0-program typed hello", standing_dir), 0, "", "");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

/* What the machine says to a command that a shell runs; its exit status is 0. */
static bool says(const char *command, const char *part)
{
    static char text[CONSOLE_HISTORY];
    FILE *pipe = popen(command, "r");
    size_t length;

    ck_assert_ptr_nonnull(pipe);
    length = fread(text, 1, sizeof(text) - 1, pipe);
    text[length] = '\0';
    ck_assert_msg(pclose(pipe) == 0, "%s: %s", command, text);
    return strstr(text, part) != NULL;
}

/* xenbus sends warnings of the drivers there. Both ways of ending: Ctrl-], behind which nothing is sent, and the end.
 */
START_TEST(drivers_log)
{
    char typing[256], reading[256];

    snprintf(typing, sizeof(typing), "printf 'typed\\035more' | " PVSIM_BUILD "/pvsim console guest --run-dir %s",
             standing_dir);
    snprintf(reading, sizeof(reading), PVSIM_BUILD "/pvsim console guest --run-dir %s </dev/null", standing_dir);
    expect_result(pvsim("create --run-dir %s", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    standing_write("/local/domain/1/device/vif/0/speed", "fast");
    for (unsigned waited = 0; !says(reading, "speed is 'fast'"); waited += 20) {
        ck_assert_msg(waited < 60000, "the console does not show the drivers' log");
        standing_sleep_ms(20);
    }
    ck_assert(says(typing, "speed is 'fast'"));
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

START_TEST(external)
{
    expect_complaint(pvsim("create --run-dir %s --console mine", standing_dir), 2,
                     "--console takes external or builtin, not 'mine'");
    expect_result(pvsim("create --run-dir %s --console external", standing_dir), 0, "", "");
    expect_complaint(VERB("console", "guest", standing_dir), 1, "is left to a program (--console external)");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("console");
    TCase *ring_cases = tcase_create("ring");
    TCase *command = tcase_create("command");
    int status;

    if (!standing_init())
        return 125;
    tcase_set_timeout(ring_cases, 60);
    tcase_add_test(ring_cases, both_ways);
    tcase_add_test(ring_cases, much);
    tcase_add_test(ring_cases, bad_indices);
    tcase_add_test(ring_cases, taken);
    tcase_add_test(ring_cases, restored);
    suite_add_tcase(suite, ring_cases);
    tcase_add_test(command, attached);
    tcase_add_test(command, attached_when_created);
    tcase_add_test(command, typed_and_gone);
    tcase_add_test(command, drivers_log);
    tcase_add_test(command, external);
    standing_add(suite, command);
    status = guest_suite_run(suite);
    standing_end_last();
    return status;
}
