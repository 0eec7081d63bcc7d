/*
 * A suspend comes whenever it comes: inside a transaction, while DPCs run, while a VIF connects, while one is removed.
 * In place: cancelled, and resumed slowly, where the guest takes itself for restored and nothing is gone; and
 * elsewhere, as another domain, with what its toolstack has changed meanwhile.
 */
#include <stdlib.h>
#include <string.h>

#include "common/stack.h"
#include "common/stack_dom0.h"
#include "machine/clock.h"
#include "machine/kernel_lock.h"
#include "machine/sched.h"
#include "xen/xen.h"

#include <xen/sched.h>

#include <initguid.h>

#include "evtchn_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"

#define ROUNDS 6u

static XENBUS_SUSPEND_INTERFACE_V1 suspend;
static XENBUS_STORE_INTERFACE_V2 store;

static struct capture *lan;

static struct {
    volatile bool stop; /* nobody suspends any more */
    volatile unsigned suspends;
    unsigned pause_us;
    unsigned forms;                                   /* 2: in place alone */
    void (*before_move)(struct toolstack *toolstack); /* while the domain is suspended; may be NULL */
} run;

static PSTR text(const char *string)
{
    return (PSTR)(uintptr_t)string;
}

static void resume(struct toolstack *toolstack)
{
    unsigned form = run.suspends % run.forms;

    if (form == 2) {
        if (run.before_move != NULL)
            run.before_move(toolstack);
        stack_restore_now(toolstack);
        return;
    }
    ck_assert_int_eq(xen_domain_resume(stack.domain.domid, form == 0), 0);
    ck_assert(toolstack_domain_resumed(toolstack, stack.domain.domid));
}

/* The toolstack: one suspend after the other is cancelled, resumed in its place, and elsewhere. */
static void resumer_main(void *ended)
{
    struct toolstack *toolstack = toolstack_open(&stack_logger);

    ck_assert_ptr_nonnull(toolstack);
    while (!run.stop) {
        if (xen_domain_shutdown_reason(stack.domain.domid) == SHUTDOWN_suspend) {
            resume(toolstack);
            run.suspends++;
        }
        (void)task_park(clock_now() + 5000, "the guest's suspension");
    }
    toolstack_close(toolstack);
    *(volatile bool *)ended = true;
}

static VOID NTAPI suspend_thread(PVOID unused)
{
    (void)unused;
    for (unsigned i = 0; i < ROUNDS; i++) {
        stack_sleep_us(run.pause_us);
        ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Do the work again and again until there have been all suspends. */
static void during_forms(void (*work)(void), unsigned pause_us, unsigned forms, void (*before_move)(struct toolstack *))
{
    static volatile bool ended;
    PKTHREAD thread;

    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Acquire), STATUS_SUCCESS);
    memset(&run, 0, sizeof(run));
    run.pause_us = pause_us;
    run.forms = forms;
    run.before_move = before_move;
    ended = false;
    (void)task_create("resumer", resumer_main, (void *)(uintptr_t)&ended);
    thread = stack_thread(suspend_thread, NULL);
    while (run.suspends < ROUNDS)
        work();
    stack_join(thread);
    run.stop = true;
    while (!ended)
        stack_sleep_us(100);
    ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), ROUNDS - ROUNDS / forms);
    XENBUS_STORE_CALL(&store, Release);
    XENBUS_SUSPEND_CALL(&suspend, Release);
}

static void during(void (*work)(void), unsigned pause_us)
{
    during_forms(work, pause_us, 2, NULL);
}

static void during_moves(void (*work)(void), unsigned pause_us)
{
    during_forms(work, pause_us, 3, NULL);
}

static void over_policies(struct stack_options options, void (*scenario)(void *), void *argument)
{
    static const unsigned vcpus[] = {1, 4};

    for (unsigned i = 0; i < 2; i++) {
        options.vcpus = vcpus[i];
        options.policy = POLICY_FIFO;
        stack_run(&options, scenario, argument);
        options.policy = POLICY_PCT;
        for (options.seed = 1; options.seed <= STACK_SCHEDULES; options.seed++)
            stack_run(&options, scenario, argument);
    }
}

#define EACH_POLICY(name, ...)                                                                                         \
    static void name##_scenario(void *argument);                                                                       \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        over_policies((struct stack_options){__VA_ARGS__}, name##_scenario, NULL);                                     \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name##_scenario(__attribute__((unused)) void *argument)

/* ---- in a transaction ---- */

static unsigned committed, committed_in;

/* It is committed whole, or it has to begin again. The store of another place has nothing of what was committed. */
static void transact(void)
{
    PXENBUS_STORE_TRANSACTION transaction;
    unsigned place = stack.domain.domid;
    char first[16], second[16];
    NTSTATUS status;
    bool both;

    ck_assert_int_eq(XENBUS_STORE_CALL(&store, TransactionStart, &transaction), STATUS_SUCCESS);
    status = XENBUS_STORE_CALL(&store, Printf, transaction, text("data"), text("first"), "%u", committed + 1);
    ck_assert(status == STATUS_SUCCESS || status == STATUS_RETRY);
    stack_sleep_us(30);
    status = XENBUS_STORE_CALL(&store, Printf, transaction, text("data"), text("second"), "%u", committed + 1);
    ck_assert(status == STATUS_SUCCESS || status == STATUS_RETRY);
    status = XENBUS_STORE_CALL(&store, TransactionEnd, transaction, TRUE);
    ck_assert(status == STATUS_SUCCESS || status == STATUS_RETRY);
    if (status == STATUS_SUCCESS) {
        committed++;
        committed_in = place;
    }
    if (committed == 0 || committed_in != place)
        return;
    both = stack_store_read(stack_path("data/first"), first, sizeof(first)) &&
           stack_store_read(stack_path("data/second"), second, sizeof(second));
    if (stack.domain.domid != place)
        return;
    ck_assert(both);
    ck_assert_uint_eq(strtoul(first, NULL, 10), committed);
    ck_assert_uint_eq(strtoul(second, NULL, 10), committed);
}

EACH_POLICY(in_a_transaction, .drivers = STACK_PROBE)
{
    committed = 0;
    during(transact, 110);
    while (committed == 0) /* on a slow machine each one was disturbed */
        transact();
    stack_store_remove(stack_path("data/first"));
    stack_store_remove(stack_path("data/second"));
}

EACH_POLICY(moved_in_a_transaction, .drivers = STACK_PROBE)
{
    unsigned before = stack.domain.domid;

    committed = 0;
    during_moves(transact, 110);
    ck_assert_uint_ge(stack.domain.domid, before + ROUNDS / 3);
    while (committed_in != stack.domain.domid)
        transact();
    stack_store_remove(stack_path("data/first"));
    stack_store_remove(stack_path("data/second"));
}

/* ---- while DPCs run ---- */

static volatile ULONG dpcs;

static VOID NTAPI dpc_routine(PKDPC dpc, PVOID context, PVOID first, PVOID second)
{
    KERNEL_SCOPE();

    (void)dpc;
    (void)context;
    (void)first;
    (void)second;
    KeStallExecutionProcessor(20);
    (void)InterlockedIncrement((volatile LONG *)&dpcs);
}

static KDPC dpc[4];

static void keep_dpcs_busy(void)
{
    for (unsigned i = 0; i < stack.options->vcpus; i++)
        (void)KeInsertQueueDpc(&dpc[i], NULL, NULL);
    stack_sleep_us(10);
}

static void with_dpcs(void (*suspends)(void (*work)(void), unsigned pause_us))
{
    dpcs = 0;
    for (unsigned i = 0; i < stack.options->vcpus; i++) {
        PROCESSOR_NUMBER number = {.Number = (UCHAR)i};

        KeInitializeDpc(&dpc[i], dpc_routine, NULL);
        ck_assert_int_eq(KeSetTargetProcessorDpcEx(&dpc[i], &number), STATUS_SUCCESS);
    }
    suspends(keep_dpcs_busy, 70);
    KeFlushQueuedDpcs();
    ck_assert_uint_gt(dpcs, 0);
}

EACH_POLICY(in_a_dpc, .drivers = STACK_PROBE)
{
    with_dpcs(during);
}

EACH_POLICY(moved_in_a_dpc, .drivers = STACK_PROBE)
{
    with_dpcs(during_moves);
}

/* ---- while a VIF comes and goes ---- */

static void come_and_go(void)
{
    stack_attach(1);
    stack_wait_connected(1);
    stack_detach(1);
}

EACH_POLICY(in_connect_and_removal, .drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .wait = true,
            .quiet = true)
{
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    during(come_and_go, 900);
    stack_attach(1);
    stack_wait_connected(1);
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    ck_assert_int_eq(stack_wait_link(1, true), STATUS_SUCCESS);
    stack_wait_connected(0);
    stack_carry(0, lan, lan);
    stack_carry(1, lan, lan);
}

static bool add_next; /* in the next place the VIF is there */

/* A VIF that is there is taken away while the domain is suspended, one that is not is there in the new place. */
static void take_away(struct toolstack *toolstack)
{
    bool forced;

    add_next = !stack.attached[1];
    if (add_next)
        return;
    ck_assert(toolstack_network_detach(toolstack, stack.domain.domid, stack.options->program_domid, 1, 1, &forced));
    stack.attached[1] = false;
}

static void add_in_new_place(void *unused)
{
    (void)unused;
    if (add_next)
        stack_attach_now(1);
}

static void idle(void)
{
    stack_sleep_us(100);
}

/* Each suspend comes while the guest makes a VIF of what it has found after the last, or takes one down. */
static void moved_with_vifs(void *pause_us)
{
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    during_forms(idle, (unsigned)(uintptr_t)pause_us, 3, take_away);
    ck_assert_msg(!stack.attached[1], "the VIF was not taken away with the second move");
    stack_attach(1);
    for (unsigned vif = 0; vif < 2; vif++) {
        stack_wait_connected(vif);
        ck_assert_int_eq(stack_wait_link(vif, true), STATUS_SUCCESS);
        stack_carry(vif, lan, lan);
    }
}

START_TEST(moved_in_connect_and_removal)
{
    static const unsigned pause_us[] = {150, 500, 900, 2500};

    over_policies((struct stack_options){.drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT,
                                         .vifs = 1,
                                         .wait = true,
                                         .quiet = true,
                                         .restored = add_in_new_place},
                  moved_with_vifs, (void *)(uintptr_t)pause_us[_i]);
}
END_TEST

static void move(void)
{
    struct stack_resumer resumer = {0};

    stack_suspend(&resumer);
}

#ifdef MACHINE_THREAD_SANITIZER /* which takes its time for each */
#define POINTS_US 120u
#else
#define POINTS_US 24u
#endif

/* The second move comes at another point of the connect after the first: the new place never has the old one's rings.
 */
EACH_POLICY(moved_at_each_point_of_a_connect, .drivers = STACK_PROBE | STACK_XENVIF | STACK_NETCLIENT, .vifs = 1,
            .wait = true, .quiet = true)
{
    for (unsigned after_us = 0; after_us < 500; after_us += POINTS_US) {
        move();
        stack_sleep_us(after_us);
        move();
        stack_wait_connected(0);
        ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
        stack_carry(0, lan, lan);
    }
}

int main(void)
{
    Suite *suite = suite_create("suspend anywhere");
    TCase *tcase = tcase_create("suspend anywhere");

    lan = stack_capture(STACK_LAN);
    tcase_add_test(tcase, in_a_transaction);
    tcase_add_test(tcase, moved_in_a_transaction);
    tcase_add_test(tcase, in_a_dpc);
    tcase_add_test(tcase, moved_in_a_dpc);
    tcase_add_test(tcase, in_connect_and_removal);
    tcase_add_loop_test(tcase, moved_in_connect_and_removal, 0, 4);
    tcase_add_test(tcase, moved_at_each_point_of_a_connect);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
