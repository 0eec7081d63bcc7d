/*
 * netback as a program of its own on the drop-in libraries, in domain 0 and in a driver domain, against a guest with
 * the drivers: frames both ways, its interface closed and opened again, its orderly end, and another that takes its
 * place after a kill -9.
 */
#include <signal.h>

#include "common/stack.h"

#include "machine/clock.h"
#include "machine/image.h"
#include "machine/sched.h"

#define DOMIDS 2
#define ROUNDS 2u

static const unsigned domids[DOMIDS] = {0, 3}; /* that the program runs in */
static const struct capture *lan;

/* The guest's application on VIF 0, with frames one way. */
static struct traffic_vif *start_traffic(bool sends)
{
    struct traffic_vif *traffic = image_alloc(sizeof(*traffic));

    traffic->tx = sends ? lan : NULL;
    traffic->rx = sends ? NULL : lan;
    traffic->waiter = task_current();
    traffic_start(traffic);
    while (!traffic->ready)
        (void)task_park(CLOCK_NEVER, "the guest's readers");
    return traffic;
}

static void end_traffic(struct traffic_vif *traffic)
{
    while (traffic->running > 0)
        (void)task_park(CLOCK_NEVER, "the guest's traffic");
    ck_assert_int_eq(traffic->open_status, STATUS_SUCCESS);
    ck_assert_uint_eq(traffic->sent.frames, traffic->tx != NULL ? traffic->tx->count : 0);
    ck_assert_uint_eq(traffic->got.frames, traffic->rx != NULL ? traffic->rx->count : 0);
    ck_assert_uint_eq(traffic->sent.failed + traffic->got.failed + traffic->got.corrupt, 0);
    image_free(traffic);
}

/* ---- frames from the guest; the program compares them and says so by its exit status ---- */

static const char *const expecting[] = {"--expect", STACK_LAN, NULL};

static void send_main(void *argument)
{
    (void)argument;
    end_traffic(start_traffic(true));
}

static void sends(void *argument)
{
    (void)argument;
    stack_in_dom0(send_main, NULL);
}

static void see_good_frames(unsigned times)
{
    char good[128];

    snprintf(good, sizeof(good), "expected frames: %u good, 0 lost, 0 corrupt, 0 reordered, 0 extra",
             times * lan->count);
    ck_assert_msg(strstr(stack_program_messages(), good) != NULL, "%s", stack_program_messages());
}

START_TEST(frames_reach_the_program)
{
    const struct stack_options options = {.vifs = 1,
                                          .drivers = STACK_XENVIF | STACK_NETCLIENT,
                                          .wait = true,
                                          .program = expecting,
                                          .program_domid = domids[_i]};

    stack_run(&options, sends, NULL);
    see_good_frames(1);
}
END_TEST

/* ---- closed, opened again ---- */

static void reopen(void *argument)
{
    (void)argument;
    for (unsigned round = 0; round < ROUNDS; round++) {
        stack_in_dom0(send_main, NULL);
        stack_detach(0);
        stack_attach(0);
        stack_wait_connected(0);
    }
    stack_in_dom0(send_main, NULL);
}

START_TEST(closed_and_opened_again)
{
    const struct stack_options options = {.vifs = 1,
                                          .drivers = STACK_XENVIF | STACK_NETCLIENT,
                                          .wait = true,
                                          .program = expecting,
                                          .program_domid = domids[_i]};

    stack_run(&options, reopen, NULL);
    see_good_frames(ROUNDS + 1);
}
END_TEST

/* ---- killed, and another one in its place ---- */

static const char *const plain[] = {"--verbose", NULL};
static const char *const both[] = {"--rx", STACK_LAN, "--expect", STACK_LAN, NULL};

static void replace_main(void *argument)
{
    struct traffic_vif *readers = start_traffic(false);

    (void)argument;
    ck_assert_int_eq(stack_program_end(SIGKILL), 1000 + SIGKILL);
    stack_program_start(both);
    end_traffic(readers); /* all that the second sends has come, so it is connected */
    end_traffic(start_traffic(true));
}

static void replaced(void *argument)
{
    (void)argument;
    stack_in_dom0(replace_main, NULL);
}

START_TEST(killed_and_replaced)
{
    const struct stack_options options = {.vifs = 1,
                                          .drivers = STACK_XENVIF | STACK_NETCLIENT,
                                          .wait = true,
                                          .quiet = true,
                                          .program = plain,
                                          .program_domid = domids[_i]};

    stack_run(&options, replaced, NULL);
    see_good_frames(1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dom0/netback");
    TCase *tcase = tcase_create("program");

    lan = stack_capture(STACK_LAN);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, frames_reach_the_program, 0, DOMIDS);
#ifndef MACHINE_THREAD_SANITIZER
    /* The program counts an interface's frames from its start to its end. Without turns, on the parallel engine, it may
     * find the new interface in the place of the old one, which it has not seen go: to it that is one that reconnects.
     */
    tcase_add_loop_test(tcase, closed_and_opened_again, 0, DOMIDS);
#else
    (void)closed_and_opened_again;
#endif
    tcase_add_loop_test(tcase, killed_and_replaced, 0, DOMIDS);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
