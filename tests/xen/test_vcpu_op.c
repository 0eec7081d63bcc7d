/*
 * What a vCPU asks Xen for itself: a copy of its time page, its run states with the flag of an update, waiting for an
 * interrupt (public/vcpu.h, public/sched.h); and why its domain goes down, said beforehand.
 */
#include "machine/clock.h"
#include "xen/xen_guest.h"

#include <xen/hvm/hvm_vcpu.h>

#define NS_PER_S UINT64_C(1000000000)

/* ---- time ---- */

static struct vcpu_time_info settled(const volatile struct vcpu_time_info *time)
{
    struct vcpu_time_info copy;

    copy.version = time->version;
    copy.tsc_timestamp = time->tsc_timestamp;
    copy.system_time = time->system_time;
    copy.tsc_to_system_mul = time->tsc_to_system_mul;
    copy.tsc_shift = time->tsc_shift;
    ck_assert_uint_eq(copy.version % 2, 0);
    ck_assert_uint_eq(copy.version, time->version);
    return copy;
}

/* The second copy says what the first one says, and goes on with it. */
XEN_TEST(time_area)
{
    volatile struct shared_info *shared = map_shared_info();
    uint8_t *page = pages_take(1, 0xEE);
    volatile struct vcpu_time_info *area = (volatile struct vcpu_time_info *)(uintptr_t)(page + 8);
    struct vcpu_register_time_memory_area op = {.addr.p = BAD_POINTER};
    struct vcpu_time_info first, second, of_page;

    stay_on(0);
    ck_assert_xen_error(call_vcpu(VCPUOP_register_vcpu_time_memory_area, 0, NULL), XEN_EFAULT);
    ck_assert_xen_error(call_vcpu(VCPUOP_register_vcpu_time_memory_area, 0, &op), XEN_EFAULT);
    op.addr.p = at(area);
    ck_assert_xen_error(call_vcpu(VCPUOP_register_vcpu_time_memory_area, GUEST_VCPUS, &op), XEN_ENOENT);
    ck_assert_int_eq(call_vcpu(VCPUOP_register_vcpu_time_memory_area, 0, &op), 0);
    first = settled(area);
    of_page = settled(&shared->vcpu_info[0].time);
    ck_assert_uint_eq(first.system_time, of_page.system_time);
    ck_assert_uint_eq(first.tsc_timestamp, of_page.tsc_timestamp);
    ck_assert_uint_eq(first.tsc_to_system_mul, of_page.tsc_to_system_mul);
    ck_assert_int_eq(first.tsc_shift, of_page.tsc_shift);
    ck_assert_uint_eq(page[0], 0xEE);
    ck_assert_uint_eq(page[8 + sizeof(*area)], 0xEE);

    sleep_us(2500000);
    (void)call_version(XENVER_version, NULL);
    second = settled(area);
    ck_assert_uint_ge(second.system_time, first.system_time + NS_PER_S);
    ck_assert_uint_eq(second.system_time, settled(&shared->vcpu_info[0].time).system_time);
    ck_assert_uint_ne(second.version, first.version);
}

/* ---- run states ---- */

XEN_TEST(runstate_updates)
{
    volatile struct vcpu_runstate_info *area = (volatile struct vcpu_runstate_info *)(uintptr_t)pages_take(1, 0);
    struct vcpu_register_runstate_memory_area op = {.addr.p = at(area)};
    uint64_t entered, ran;

    stay_on(0);
    ck_assert_int_eq(
        xen_hypercall(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag, 0, 0, 0), 0);
    ck_assert_int_eq(call_vcpu(VCPUOP_register_runstate_memory_area, 0, &op), 0);
    entered = area->state_entry_time;
    ran = area->time[RUNSTATE_running];
    for (unsigned i = 0; i < 3; i++) {
        struct sched_poll poll = {.timeout = clock_now() + 5000000};

        ck_assert_int_eq(call_sched(SCHEDOP_poll, &poll), 0); /* blocked, and running again */
        ck_assert_int_eq(area->state, RUNSTATE_running);
        ck_assert_uint_eq(area->state_entry_time & XEN_RUNSTATE_UPDATE, 0); /* no update is going on */
        ck_assert_uint_gt(area->state_entry_time, entered);
        ck_assert_uint_ge(area->time[RUNSTATE_running], ran);
        entered = area->state_entry_time;
        ran = area->time[RUNSTATE_running];
    }
    ck_assert_uint_ge(area->time[RUNSTATE_blocked], 3 * UINT64_C(4000000));
}

/* ---- vCPUs that the board has not started ---- */

static void offline_vcpu(void)
{
    struct vcpu_hvm_context *context = (struct vcpu_hvm_context *)(uintptr_t)pages_take(1, 0);

    stay_on(0);
    ck_assert_uint_eq(xen_domain_vcpus(1), 2);
    ck_assert_uint_eq(xen_domain_online_vcpus(1), 1);
    ck_assert_int_eq(call_vcpu(VCPUOP_is_up, 1, NULL), 0);
    ck_assert_xen_error(call_vcpu(VCPUOP_up, 1, NULL), XEN_EINVAL);
    ck_assert_xen_error(call_vcpu(VCPUOP_initialise, 1, context), XEN_ENOSYS);
    ck_assert_xen_error(call_vcpu(VCPUOP_initialise, 0, context), XEN_EEXIST);
    xen_vcpu_start(1);
    ck_assert_uint_eq(xen_domain_online_vcpus(1), 2);
    ck_assert_int_eq(call_vcpu(VCPUOP_is_up, 1, NULL), 1);
    ck_assert_int_eq(call_vcpu(VCPUOP_up, 1, NULL), 0);
    ck_assert_xen_error(call_vcpu(VCPUOP_initialise, 1, context), XEN_EEXIST);
    ck_assert_uint_eq(xen_domain_online_vcpus(77), 0);
}

START_TEST(offline)
{
    struct machine_config config = guest_config(2);
    struct domain_test test = {.vcpus = 2, .function = offline_vcpu};

    config.start_vcpus = 1;
    guest_run_with(&config, domain_enter, &test);
}
END_TEST

/* ---- waiting ---- */

XEN_TEST(block)
{
    KTIMER timer;
    LARGE_INTEGER due = {.QuadPart = -50000};
    struct vcpu_runstate_info before, after;
    uint64_t start;

    stay_on(0);
    KeInitializeTimer(&timer);
    ck_assert_int_eq(call_vcpu(VCPUOP_get_runstate_info, 0, &before), 0);
    start = clock_now();
    (void)KeSetTimer(&timer, due, NULL);
    while (!KeReadStateTimer(&timer)) /* each interrupt ends it: the timer's at the latest */
        ck_assert_int_eq(call_sched(SCHEDOP_block, NULL), 0);
    ck_assert_uint_ge(clock_now() - start, 5000000);
    ck_assert_int_eq(call_vcpu(VCPUOP_get_runstate_info, 0, &after), 0);
    ck_assert_uint_gt(after.time[RUNSTATE_blocked], before.time[RUNSTATE_blocked]);
    ck_assert_int_eq(after.state, RUNSTATE_running);
}

/* ---- what is not for it ---- */

XEN_TEST(refused)
{
    struct vcpu_get_physid physid;

    stay_on(0);
    ck_assert_xen_error(call_vcpu(VCPUOP_get_physid, 0, &physid), XEN_EINVAL);
    ck_assert_xen_error(call_vcpu(VCPUOP_send_nmi, 0, &physid), XEN_EINVAL); /* it takes no argument */
    ck_assert_xen_error(call_vcpu(VCPUOP_stop_singleshot_timer, 1, NULL), XEN_EINVAL);
    ck_assert_xen_error(call_vcpu(VCPUOP_set_singleshot_timer, 1, &physid), XEN_EINVAL);
}

/* ---- the end ---- */

static volatile int end_reason;

static void see_the_end(void *argument)
{
    (void)argument;
    while (xen_domain_shutdown_reason(1) < 0)
        (void)task_park(clock_now() + 100000, "the guest's end");
    end_reason = xen_domain_shutdown_reason(1);
    machine_stop();
}

static void says_why_beforehand(void)
{
    struct sched_shutdown op = {.reason = SHUTDOWN_crash};

    (void)task_create("toolstack", see_the_end, NULL);
    ck_assert_xen_error(call_sched(SCHEDOP_shutdown_code, NULL), XEN_EFAULT);
    ck_assert_int_eq(call_sched(SCHEDOP_shutdown_code, &op), 0);
    ck_assert_int_eq(xen_domain_shutdown_reason(1), -1); /* it runs on */
    op.reason = SHUTDOWN_reboot;
    ck_assert_int_eq(call_sched(SCHEDOP_shutdown_code, &op), 0); /* the first one counts */
    op.reason = SHUTDOWN_poweroff;
    (void)call_sched(SCHEDOP_shutdown, &op);
    ck_abort_msg("the guest runs on");
}

START_TEST(shutdown_code)
{
    end_reason = -1;
    domain_run(GUEST_VCPUS, says_why_beforehand);
    ck_assert_int_eq(end_reason, SHUTDOWN_crash);
}
END_TEST

/* ---- memory ---- */

XEN_TEST(reservation_flags)
{
    uint64_t gfn = HOLE + 64;
    struct xen_memory_reservation op = {.nr_extents = 1, .domid = DOMID_SELF};
    int64_t pages = call_memory(XENMEM_maximum_ram_page, NULL);

    ck_assert_int_gt(pages, (int64_t)guest_ram_pages());
    set_xen_guest_handle(op.extent_start, &gfn);
    op.mem_flags = XENMEMF_address_bits(12); /* not even one page */
    ck_assert_int_eq(call_memory(XENMEM_populate_physmap, &op), 0);
    op.mem_flags = 0;
    op.domid = 0; /* not the guest's business */
    ck_assert_int_eq(call_memory(XENMEM_populate_physmap, &op), 0);
    ck_assert_int_eq(call_memory(memory_from(XENMEM_populate_physmap, 5), &op), 5);
    op.domid = DOMID_SELF;
    op.nr_extents = UINT64_C(1) << 26; /* more than a call can be gone on with */
    ck_assert_int_eq(call_memory(XENMEM_populate_physmap, &op), 0);
    op.nr_extents = 1;
    op.mem_flags = XENMEMF_populate_on_demand; /* the toolstack's alone */
    ck_assert_int_eq(call_memory(XENMEM_populate_physmap, &op), 0);
    op.mem_flags = XENMEMF_address_bits(32) | XENMEMF_exact_node(0);
    ck_assert_int_eq(call_memory(XENMEM_populate_physmap, &op), 1);
    ck_assert_int_eq(call_memory(XENMEM_decrease_reservation, &op), 1);
}

int main(void)
{
    Suite *suite = suite_create("vCPUs");
    TCase *tcase = tcase_create("vCPUs");

    tcase_add_test(tcase, time_area);
    tcase_add_test(tcase, offline);
    tcase_add_test(tcase, runstate_updates);
    tcase_add_test(tcase, block);
    tcase_add_test(tcase, refused);
    tcase_add_test(tcase, shutdown_code);
    tcase_add_test(tcase, reservation_flags);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
