/*
 * The bus starts, and the guest resumes, and one call of the kernel or of Xen that can fail does, each in its turn: on
 * machines that need more of both than the usual one (vCPUs beyond those that the shared info page has room for, no
 * memory hole, a watchdog). The bus is there afterwards, or can be had again, and works.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/stack.h"
#include "machine/clock.h"
#include "machine/fault.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "nt/cm/cm.h"
#include "nt/ke/ke.h"
#include "nt/pnp/pnp.h"
#include "nt/po/po.h"
#include "xen/hypervisor.h"
#include "xen/xen.h"

#include <initguid.h>

#include "evtchn_interface.h"
#include "shared_info_interface.h"
#include "store_interface.h"
#include "suspend_interface.h"

#include <xen/event_channel.h>
#include <xen/hvm/params.h>
#include <xen/sched.h>

#define PLATFORM "PCI\\VEN_5853&DEV_0001"
#define CHILD "XENBUS\\VEN_XP0001&DEV_IFACE"

/* No call fails but the one that each_call() wants to. */
#define NONE_FAILS ",nth=100000000"

static void mend(void)
{
    for (unsigned attempt = 0; attempt < 3 && !stack_device_started(CHILD); attempt++) {
        pnp_wait_quiet();
        if (!stack_device_started(PLATFORM))
            (void)pnp_retry_device(stack_device(PLATFORM));
        pnp_wait_quiet();
        if (stack_device_started(PLATFORM) && stack_device(CHILD) != NULL && !stack_device_started(CHILD))
            (void)pnp_retry_device(stack_device(CHILD));
        if (stack_device_started(PLATFORM))
            (void)pnp_rescan(stack_device(PLATFORM));
        pnp_wait_quiet();
    }
}

static void assert_works(uint64_t nth)
{
    XENBUS_STORE_INTERFACE_V2 store;
    char value[24], seen[24];

    mend();
    ck_assert_msg(stack_device_started(CHILD), "there is no bus any more after call %llu failed",
                  (unsigned long long)nth);
    snprintf(value, sizeof(value), "%llu", (unsigned long long)nth);
    STACK_GET(GUID_XENBUS_STORE_INTERFACE, 2, &store);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Acquire), STATUS_SUCCESS);
    ck_assert_msg(XENBUS_STORE_CALL(&store, Printf, NULL, (PSTR)(uintptr_t) "data", (PSTR)(uintptr_t) "short", "%s",
                                    value) == STATUS_SUCCESS,
                  "the store does not work after call %llu failed", (unsigned long long)nth);
    ck_assert_int_eq(XENBUS_STORE_CALL(&store, Remove, NULL, (PSTR)(uintptr_t) "data", (PSTR)(uintptr_t) "short"),
                     STATUS_SUCCESS);
    XENBUS_STORE_CALL(&store, Release);
    ck_assert(!stack_store_read(stack_path("data/short"), seen, sizeof(seen)));
}

static void restart_bus(void)
{
    (void)pnp_remove_device(stack_device(CHILD), false);
    (void)pnp_restart_device(stack_device(PLATFORM));
    pnp_wait_quiet();
}

static void each_call(void *run)
{
    uint64_t before;
    uint64_t nth = 1;

    fault_suspend();
    assert_works(0);
    do {
        before = fault_injected();
        machine->config.faults.rule[0].nth = nth;
        machine->fault->matched[0] = 0;
        fault_resume();
        ((void (*)(void))(uintptr_t)run)();
        fault_suspend();
        assert_works(nth++);
    } while (fault_injected() != before);
    ck_assert_uint_ne(before, 0);
}

static void watched(void)
{
    cm_value_set_string(cm_key_create(CM_CONTROL), "SystemStartOptions", REG_SZ, "NOEXECUTE=OPTIN XEN:WATCHDOG=60");
}

static void watched_without_hole(void)
{
    watched();
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xenbus\\Parameters"), "UseMemoryHole", 0);
}

START_TEST(bus_starts)
{
    static void (*const prepare[])(void) = {watched, watched_without_hole};
    const struct stack_options options = {
        .drivers = STACK_PROBE,
        .vcpus = 34,
        .quiet = true,
        .prepare = prepare[_i],
        .fail = "kind=pool+mdl+workitem+thread+interrupt+mapping+hypercall" NONE_FAILS,
    };

    stack_run(&options, each_call, (void *)(uintptr_t)restart_bus);
}
END_TEST

/* ---- a resume ---- */

static XENBUS_SUSPEND_INTERFACE_V1 suspend;

/* Until the guest has been suspended: what is short before is no reason to give up. */
static void suspend_once(void)
{
    struct stack_resumer resumer = {.rounds = 1};

    stack_resume_when_suspended(&resumer);
    while (XENBUS_SUSPEND_CALL(&suspend, Trigger) != STATUS_SUCCESS)
        ck_assert_uint_ne(fault_injected(), 0);
    fault_suspend();
    stack_await_resumer(&resumer);
}

static void resumes(void *unused)
{
    (void)unused;
    fault_suspend();
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    each_call((void *)(uintptr_t)suspend_once);
    XENBUS_SUSPEND_CALL(&suspend, Release);
}

START_TEST(guest_resumes)
{
    static void (*const prepare[])(void) = {watched, watched_without_hole};
    const struct stack_options options = {
        .drivers = STACK_PROBE,
        .vcpus = 34,
        .quiet = true,
        .prepare = prepare[_i],
        .fail = "kind=pool+mdl+mapping+hypercall" NONE_FAILS,
    };

    stack_run(&options, resumes, NULL);
}
END_TEST

/* ---- something is short for longer ---- */

static bool logged(const char *words)
{
    static char tail[65536];

    (void)log_tail(tail, sizeof(tail));
    return strstr(tail, words) != NULL;
}

/* By which ABI the domain is told: only the FIFO one has priorities. */
static bool is_fifo(void)
{
    struct evtchn_set_priority operation = {.priority = EVTCHN_FIFO_PRIORITY_MAX};
    uint64_t port = 0;

    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_STORE_EVTCHN, &port), 0);
    operation.port = (uint32_t)port;
    return stack_event_op(EVTCHNOP_set_priority, &operation, sizeof(operation)) == 0;
}

/* From now on each such call fails, until fault_suspend(). */
static void run_short(void)
{
    machine->config.faults.rule[0].nth = 0;
    fault_resume();
}

static void suspend_short(void)
{
    run_short();
    suspend_once();
}

/* Xen has nothing for the FIFO ABI: the guest goes on by the other one, and has it again with the next resume. */
static void fifo_goes_and_comes(void *unused)
{
    (void)unused;
    fault_suspend();
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
    for (unsigned round = 0; round < 2; round++) {
        ck_assert(is_fifo());
        suspend_short();
        ck_assert(!is_fifo());
        ck_assert(logged("no FIFO event channels after a resume"));
        assert_works(round);
        suspend_once();
        ck_assert(is_fifo());
        assert_works(round);
    }
    XENBUS_SUSPEND_CALL(&suspend, Release);
}

START_TEST(no_fifo_at_a_resume)
{
    static const char *const fail[] = {"call=EVTCHNOP_init_control" NONE_FAILS,
                                       "call=EVTCHNOP_expand_array" NONE_FAILS};
    const struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 3, .quiet = true, .fail = fail[_i]};

    stack_run(&options, fifo_goes_and_comes, NULL);
}
END_TEST

/* ---- a resume in place, where the guest takes itself for restored ---- */

static void wake(void *move)
{
    while (xen_domain_shutdown_reason(stack.domain.domid) != SHUTDOWN_suspend || !xen_domain_stands(stack.domain.domid))
        (void)task_park(clock_now() + 20000, "the guest's suspension");
    if (move != NULL)
        ((void (*)(void))(uintptr_t)move)();
    ck_assert(toolstack_domain_resumed(stack.toolstack, stack.domain.domid));
    ck_assert_int_eq(xen_domain_resume(stack.domain.domid, false), 0);
}

/* move: what the toolstack does meanwhile; may be NULL. */
static void suspend_in_place(void (*move)(void))
{
    ULONG count = XENBUS_SUSPEND_CALL(&suspend, GetCount);

    (void)task_create("resumer", wake, (void *)(uintptr_t)move);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
    ck_assert_uint_eq(XENBUS_SUSPEND_CALL(&suspend, GetCount), count + 1);
}

static void begin(void)
{
    fault_suspend();
    STACK_GET(GUID_XENBUS_SUSPEND_INTERFACE, 1, &suspend);
    ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Acquire), STATUS_SUCCESS);
}

static void end(void)
{
    XENBUS_SUSPEND_CALL(&suspend, Release);
}

static uint32_t param(uint32_t index)
{
    uint64_t value = 0;

    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, index, &value), 0);
    return (uint32_t)value;
}

static uint32_t status_of(uint32_t port)
{
    struct evtchn_status status = {.dom = DOMID_SELF, .port = port};

    return stack_event_op(EVTCHNOP_status, &status, sizeof(status)) == 0 ? status.status : EVTCHNSTAT_closed;
}

/*
 * The console's port is another than the first free one. The bus takes every port down at a resume, and has this one
 * under its number again if it can; if not, it tells the parameter.
 */
#define FAR_PORT 40

static uint32_t console_port;

static void console_at_a_high_port(void)
{
    int port;

    do {
        port = xen_evtchn_toolstack_alloc(stack.domain.domid, XEN_DOM0);
        ck_assert_int_gt(port, 0);
    } while (port < FAR_PORT);
    console_port = (uint32_t)port;
    domain_find(stack.domain.domid)->param[HVM_PARAM_CONSOLE_EVTCHN] = console_port;
}

STACK_TEST(port_keeps_its_number, .drivers = STACK_PROBE, .quiet = true)
{
    begin();
    for (unsigned round = 0; round < 2; round++) {
        suspend_in_place(round == 0 ? console_at_a_high_port : NULL);
        ck_assert_uint_eq(param(HVM_PARAM_CONSOLE_EVTCHN), console_port);
        ck_assert_uint_eq(status_of(console_port), EVTCHNSTAT_unbound);
        ck_assert_uint_eq(status_of(console_port - 1), EVTCHNSTAT_closed);
        ck_assert(is_fifo());
        assert_works(round);
    }
    suspend_once();
    end();
}

#define SOME_PORTS .fail = "call=EVTCHNOP_alloc_unbound" NONE_FAILS

STACK_TEST(port_gets_another_number, .drivers = STACK_PROBE, .quiet = true, SOME_PORTS)
{
    begin();
    machine->config.faults.rule[0].nth = 2; /* of those below that are filled */
    machine->fault->matched[0] = 0;
    fault_resume();
    suspend_in_place(console_at_a_high_port);
    fault_suspend();
    ck_assert_uint_lt(param(HVM_PARAM_CONSOLE_EVTCHN), console_port);
    ck_assert_uint_eq(status_of(param(HVM_PARAM_CONSOLE_EVTCHN)), EVTCHNSTAT_unbound);
    assert_works(1);
    suspend_in_place(NULL);
    ck_assert_uint_eq(status_of(param(HVM_PARAM_CONSOLE_EVTCHN)), EVTCHNSTAT_unbound);
    assert_works(2);
    end();
}

STACK_TEST(port_is_not_to_be_had, .drivers = STACK_PROBE, .quiet = true, SOME_PORTS)
{
    begin();
    run_short();
    suspend_in_place(console_at_a_high_port);
    fault_suspend();
    ck_assert(logged("to domain 0, cannot be bound again"));
    ck_assert_uint_eq(param(HVM_PARAM_CONSOLE_EVTCHN), 0);
    assert_works(1);
    suspend_in_place(NULL); /* which gives back what the one before has lost */
    ck_assert_uint_eq(param(HVM_PARAM_CONSOLE_EVTCHN), console_port);
    ck_assert_uint_eq(status_of(console_port), EVTCHNSTAT_unbound);
    assert_works(2);
    suspend_once();
    ck_assert_uint_eq(status_of(param(HVM_PARAM_CONSOLE_EVTCHN)), EVTCHNSTAT_unbound);
    assert_works(3);
    end();
}

/* Parameters that name no port: there is nothing to keep. */
static void console_at_no_port(void)
{
    domain_find(stack.domain.domid)->param[HVM_PARAM_CONSOLE_EVTCHN] = 0;
}

static void console_beyond_all_ports(void)
{
    domain_find(stack.domain.domid)->param[HVM_PARAM_CONSOLE_EVTCHN] = 100000;
}

/* Whose lower half is the number of one that there is. */
static void console_beyond_32_bits(void)
{
    console_at_a_high_port();
    domain_find(stack.domain.domid)->param[HVM_PARAM_CONSOLE_EVTCHN] |= 1ull << 32;
}

STACK_TEST(no_port_to_keep, .drivers = STACK_PROBE, .quiet = true)
{
    begin();
    suspend_in_place(console_at_no_port);
    assert_works(1);
    suspend_in_place(console_beyond_all_ports);
    ck_assert_uint_eq(param(HVM_PARAM_CONSOLE_EVTCHN), 100000);
    assert_works(2);
    suspend_in_place(console_beyond_32_bits);
    ck_assert_uint_eq(domain_find(stack.domain.domid)->param[HVM_PARAM_CONSOLE_EVTCHN], 1ull << 32 | console_port);
    ck_assert_uint_eq(status_of(console_port), EVTCHNSTAT_closed);
    assert_works(3);
    suspend_once();
    ck_assert_uint_eq(status_of(param(HVM_PARAM_CONSOLE_EVTCHN)), EVTCHNSTAT_unbound);
    assert_works(4);
    end();
}

#define AGAIN "XenStore has an event channel again"
#define NEVER "XenStore has no event channel until the next resume"

static bool is_told(void *words)
{
    return logged(words);
}

/*
 * Without its port the store's client cannot call the daemon, and says so. It is tried again for a while, after which
 * the next resume brings another.
 */
STACK_TEST(store_without_a_port, .drivers = STACK_PROBE, .quiet = true,
           .fail = "call=EVTCHNOP_bind_interdomain" NONE_FAILS)
{
    begin();
    for (unsigned lasting = 0; lasting < 2; lasting++) {
        run_short();
        suspend_in_place(NULL);
        ck_assert(logged("XenStore has no event channel after a resume"));
        ck_assert(!logged(NEVER));
        ck_assert_uint_ne(status_of(param(HVM_PARAM_STORE_EVTCHN)), EVTCHNSTAT_interdomain);
        if (lasting != 0) {
            ck_assert(stack_wait(is_told, (void *)(uintptr_t)NEVER, 30000));
            fault_suspend();
            stack_sleep_us(3000000);
            suspend_once();
        } else {
            stack_sleep_us(2500000);
            ck_assert(!logged(AGAIN));
            fault_suspend();
            ck_assert(stack_wait(is_told, (void *)(uintptr_t)AGAIN, 3000));
        }
        ck_assert_uint_eq(status_of(param(HVM_PARAM_STORE_EVTCHN)), EVTCHNSTAT_interdomain);
        assert_works(lasting);
    }
    end();
}

/* The bus goes while its store has no port, and has it when it comes again. */
STACK_TEST(bus_restarts_without_a_port, .drivers = STACK_PROBE, .quiet = true,
           .fail = "call=EVTCHNOP_bind_interdomain" NONE_FAILS)
{
    begin();
    run_short();
    suspend_in_place(NULL);
    fault_suspend();
    end();
    restart_bus();
    assert_works(1);
    begin();
    suspend_once(); /* to a port of the toolstack's own number */
    end();
    assert_works(2);
}

/* vCPUs that have a vcpu_info of their own keep it: Xen has not forgotten it. */
STACK_TEST(many_processors_in_place, .drivers = STACK_PROBE, .vcpus = 34, .quiet = true)
{
    XENBUS_SHARED_INFO_INTERFACE_V4 info;

    begin();
    STACK_GET(GUID_XENBUS_SHARED_INFO_INTERFACE, 4, &info);
    for (unsigned round = 0; round < 2; round++) {
        suspend_in_place(NULL);
        ck_assert(info.SharedInfoUpcallSupported(&info.Interface, 33));
        assert_works(round);
    }
    end();
}

/* ---- pages ---- */

/* There is no page for the vCPUs beyond the shared info page: they have no interrupt of their own, and the bus works.
 */
static void no_page(void *unused)
{
    XENBUS_SHARED_INFO_INTERFACE_V4 info;

    (void)unused;
    fault_suspend();
    assert_works(1);
    STACK_GET(GUID_XENBUS_SHARED_INFO_INTERFACE, 4, &info);
    ck_assert(!info.SharedInfoUpcallSupported(&info.Interface, 33));
    ck_assert(info.SharedInfoUpcallSupported(&info.Interface, 31));
    restart_bus();
    assert_works(2);
    STACK_GET(GUID_XENBUS_SHARED_INFO_INTERFACE, 4, &info);
    ck_assert(info.SharedInfoUpcallSupported(&info.Interface, 33));
}

START_TEST(no_page_for_vcpus)
{
    const struct stack_options options = {
        .drivers = STACK_PROBE, .vcpus = 34, .quiet = true, .fail = "call=MmAllocateContiguousMemory"};

    stack_run(&options, no_page, NULL);
}
END_TEST

/* Pages that Xen has, and does not give back when the bus goes, are not Windows's any more: nobody gets frames without
 * RAM. */
static void bus_goes(void *unused)
{
    (void)unused;
    fault_suspend();
    assert_works(1);
    run_short();
    (void)pnp_remove_device(stack_device(CHILD), false);
    (void)pnp_remove_device(stack_device(PLATFORM), false);
    fault_suspend();
}

START_TEST(ram_is_lost)
{
    const struct stack_options options = {.drivers = STACK_PROBE,
                                          .quiet = true,
                                          .prepare = watched_without_hole,
                                          .fail = "call=XENMEM_populate_physmap" NONE_FAILS};
    const struct failure *failure = stack_must_fail(&options, bus_goes, NULL, "left-at-unload");

    ck_assert_ptr_nonnull(strstr(failure->text, "contiguous memory"));
    ck_assert(logged("are lost to Windows"));
}
END_TEST

/* Xen does not let go of the page that it has vCPUs' vcpu_info in, or gives no other for it: it is not Windows's again.
 */
static void drivers_go(void *unused)
{
    (void)unused;
    fault_suspend();
    assert_works(1);
    run_short();
}

START_TEST(page_of_vcpus_is_lost)
{
    static const char *const calls[] = {"call=XENMEM_decrease_reservation" NONE_FAILS,
                                        "call=XENMEM_populate_physmap" NONE_FAILS};
    const struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 34, .quiet = true, .fail = calls[_i]};
    const struct failure *failure = stack_must_fail(&options, drivers_go, NULL, "left-at-unload");

    ck_assert_ptr_nonnull(strstr(failure->text, "contiguous memory"));
    ck_assert(logged("is lost to Windows"));
}
END_TEST

/* Without a page of Xen's the guest cannot go on after a resume. */
static void resume_without(void *unused)
{
    (void)unused;
    begin();
    suspend_short();
}

START_TEST(shared_info_is_not_there)
{
    const struct stack_options options = {
        .drivers = STACK_PROBE, .quiet = true, .fail = "call=XENMEM_add_to_physmap" NONE_FAILS};
    const struct failure *failure = stack_must_fail(&options, resume_without, NULL, "bugcheck");

    ck_assert_uint_eq(failure->code, 0x58454E58);
    ck_assert(logged("cannot be mapped after a resume"));
}
END_TEST

/* ---- a guest that comes back from disk under another Xen ---- */

static void turn_off(void)
{
    xen_guest_ends(false);
}

/* nth: of the calls that wake it up, which fails; 0: each. */
static void wake_from_disk(uint64_t nth)
{
    struct stack_resumer resumer = {.from_disk = true, .rounds = 1};

    ck_assert_int_eq(po_set_system_state(PowerSystemHibernate), STATUS_SUCCESS);
    stack_resume_when_suspended(&resumer);
    po_with_processors_held(turn_off);
    machine->config.faults.rule[0].nth = nth;
    machine->fault->matched[0] = 0;
    fault_resume();
    (void)po_set_system_state(PowerSystemWorking);
    fault_suspend();
    stack_await_resumer(&resumer);
    pnp_wait_quiet();
}

static void wakes(void *unused)
{
    uint64_t before, nth = 1;

    (void)unused;
    fault_suspend();
    do {
        before = fault_injected();
        wake_from_disk(nth);
        if (stack_device(PLATFORM) == NULL || !stack_device_started(PLATFORM))
            (void)pnp_rescan(stack_device("ACPI\\PNP0A03"));
        assert_works(nth++);
    } while (fault_injected() != before);
    ck_assert_uint_ne(before, 0);
}

START_TEST(guest_wakes)
{
    const struct stack_options options = {
        .drivers = STACK_PROBE, .quiet = true, .fail = "kind=pool+mdl+mapping+hypercall" NONE_FAILS};

    stack_run(&options, wakes, NULL);
}
END_TEST

/* The device is lost while the guest is on its way to the disk. */
STACK_TEST(bus_lost_in_hibernation, .drivers = STACK_PROBE, .quiet = true)
{
    ck_assert_int_eq(po_set_system_state(PowerSystemHibernate), STATUS_SUCCESS);
    (void)pnp_remove_device(stack_device(PLATFORM), true);
    ck_assert_int_eq(po_set_system_state(PowerSystemWorking), STATUS_SUCCESS);
    pnp_wait_quiet();
    (void)pnp_rescan(stack_device("ACPI\\PNP0A03"));
    assert_works(1);
}

/* ---- processors that come ---- */

struct coming {
    unsigned count;
    uint64_t after; /* ns */
};

static void plug(void *argument)
{
    const struct coming *coming = argument;

    (void)task_park(clock_now() + coming->after, "a moment of a suspend");
    ke_processors_announce(coming->count);
}

/* How often the others are held: each time memory is taken once. */
static unsigned captures(void)
{
    return (unsigned)fault_kind_calls(FAULT_POOL);
}

/*
 * A processor that comes while the others are counted and held is held, too: nobody runs while the guest is suspended.
 * With one that comes in between they are let go, and all of them held.
 */
static void suspends_while_they_come(void *unused)
{
    struct stack_resumer resumer = {.cancelled = true, .rounds = 1};
    unsigned again = 0;

    (void)unused;
    begin();
    for (unsigned count = 3; count <= stack.options->vcpus; count++) {
        struct coming coming = {.count = count, .after = count % 20 * 500};
        unsigned before = captures();

        stack_resume_when_suspended(&resumer);
        (void)task_create("plug", plug, &coming);
        fault_resume();
        ck_assert_int_eq(XENBUS_SUSPEND_CALL(&suspend, Trigger), STATUS_SUCCESS);
        fault_suspend();
        again += captures() - before - 1;
        stack_await_resumer(&resumer);
        while (KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) != count || !ke_processors_settled())
            stack_sleep_us(5);
    }
    assert_works(1);
    ck_assert(again != 0 || engine_is_parallel());
    end();
}

START_TEST(processors_come)
{
    struct stack_options options = {.drivers = STACK_PROBE, .vcpus = 40, .start_vcpus = 2, .quiet = true};

    options.fail = "kind=pool" NONE_FAILS;
    options.policy = POLICY_RANDOM;
    for (options.seed = 1; options.seed <= 4; options.seed++)
        stack_run(&options, suspends_while_they_come, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shortage");
    TCase *tcase = tcase_create("start");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, bus_starts, 0, 2);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("resume");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, guest_resumes, 0, 2);
    tcase_add_loop_test(tcase, no_fifo_at_a_resume, 0, 2);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("resume in place");
    tcase_add_test(tcase, port_keeps_its_number);
    tcase_add_test(tcase, port_gets_another_number);
    tcase_add_test(tcase, port_is_not_to_be_had);
    tcase_add_test(tcase, no_port_to_keep);
    tcase_add_test(tcase, store_without_a_port);
    tcase_add_test(tcase, bus_restarts_without_a_port);
    tcase_add_test(tcase, many_processors_in_place);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("pages");
    tcase_add_test(tcase, no_page_for_vcpus);
    tcase_add_loop_test(tcase, page_of_vcpus_is_lost, 0, 2);
    tcase_add_test(tcase, ram_is_lost);
    tcase_add_test(tcase, shared_info_is_not_there);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("hibernation");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, guest_wakes);
    tcase_add_test(tcase, bus_lost_in_hibernation);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("processors");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, processors_come);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
