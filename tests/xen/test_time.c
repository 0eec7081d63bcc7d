/*
 * Time as Xen gives it: the version protocol of the time page, one clock for all its forms, and what a suspension does
 * to it (public/xen.h, struct vcpu_time_info; public/arch-x86/cpuid.h, leaf 3).
 */
#include <intrin.h>

#include "xen/xen_guest.h"

#include "machine/clock.h"

static volatile struct shared_info *shared;

/* System time of the running vCPU by the documented algorithm. */
static uint64_t system_time(unsigned vcpu)
{
    volatile struct vcpu_time_info *info = &shared->vcpu_info[vcpu].time;
    uint32_t version;
    uint64_t time;

    do {
        uint64_t delta;

        version = info->version & ~1u;
        delta = __rdtsc() - info->tsc_timestamp;
        delta = info->tsc_shift >= 0 ? delta << info->tsc_shift : delta >> -info->tsc_shift;
        time = info->system_time + (uint64_t)(((unsigned __int128)delta * info->tsc_to_system_mul) >> 32);
    } while (version != info->version);
    return time;
}

static uint64_t wall_clock(unsigned vcpu)
{
    uint64_t seconds = (uint64_t)shared->wc_sec_hi << 32 | shared->wc_sec;

    return seconds * 1000000000u + shared->wc_nsec + system_time(vcpu);
}

static uint32_t incarnation(void)
{
    uint32_t out[4];

    ck_assert(xen_cpuid(0x40000003, 0, out));
    return out[3];
}

XEN_TEST(one_clock)
{
    uint64_t before;
    uint64_t after;

    shared = map_shared_info();
    stay_on(0);
    for (unsigned i = 0; i < 50; i++) {
        before = clock_now();
        ck_assert_uint_ge(system_time(0), before);
        after = clock_now();
        ck_assert_uint_le(system_time(0), after + 1000000);
        ck_assert_uint_eq(shared->vcpu_info[0].time.version & 1, 0);
        sleep_us(300000); /* past Xen's own updates of the page */
    }
}

/* Every update makes the version odd and then even again: two more. */
XEN_TEST(versions)
{
    uint32_t before;
    uint64_t stamp;

    shared = map_shared_info();
    stay_on(0);
    (void)call_sched(SCHEDOP_yield, NULL);
    before = shared->vcpu_info[0].time.version;
    stamp = shared->vcpu_info[0].time.tsc_timestamp;
    ck_assert_uint_eq(before & 1, 0);
    sleep_us(1500000);
    (void)call_sched(SCHEDOP_yield, NULL); /* Xen looks at the page at least once a second */
    ck_assert_uint_eq(shared->vcpu_info[0].time.version & 1, 0);
    ck_assert_uint_ge(shared->vcpu_info[0].time.version, before + 2);
    ck_assert_uint_gt(shared->vcpu_info[0].time.tsc_timestamp, stamp);
    ck_assert_uint_eq(shared->wc_version & 1, 0);
}

XEN_TEST(calls_agree)
{
    struct xen_hvm_get_time op = {.now = 0};
    uint64_t before = clock_now();

    shared = map_shared_info();
    ck_assert_int_eq(call_hvm(HVMOP_get_time, &op), 0);
    ck_assert_uint_ge(op.now, before);
    ck_assert_uint_le(op.now, clock_now());
}

#define SUSPENDED_NS UINT64_C(3000000000)

static bool cancelled;

static void end_suspension(void *argument)
{
    (void)argument;
    while (xen_domain_shutdown_reason(1) < 0)
        (void)task_park(clock_now() + 100000, "a suspension");
    (void)task_park(clock_now() + SUSPENDED_NS, "a while");
    if (cancelled) {
        ck_assert_int_eq(xen_domain_resume(1, true), 0);
    } else {
        ck_assert_int_eq(xen_domain_restore(1), 2);
        ck_assert_int_eq(xen_domain_unpause(2), 0);
    }
}

static void suspend_for_a_while(void)
{
    struct sched_shutdown op = {.reason = SHUTDOWN_suspend};

    (void)task_create("toolstack", end_suspension, NULL);
    ck_assert_int_eq(call_sched(SCHEDOP_shutdown, &op), cancelled ? 1 : 0);
}

/* Neither clock jumps back, and the span of the suspension is not lost. */
static void across(void)
{
    uint32_t old = incarnation();
    uint64_t time;
    uint64_t wall;

    shared = map_shared_info();
    stay_on(0);
    time = system_time(0);
    wall = wall_clock(0);
    suspend_for_a_while();
    if (!cancelled)
        shared = map_shared_info();
    ck_assert_uint_ge(system_time(0), time + SUSPENDED_NS);
    ck_assert_uint_le(system_time(0), time + SUSPENDED_NS + 1000000000);
    ck_assert_uint_ge(wall_clock(0), wall + SUSPENDED_NS);
    ck_assert_uint_le(wall_clock(0), wall + SUSPENDED_NS + 1000000000);
    ck_assert_uint_eq(shared->vcpu_info[0].time.version & 1, 0);
    ck_assert_uint_eq(incarnation(), cancelled ? old : old + 1);
}

XEN_TEST(across_a_suspension)
{
    cancelled = false;
    across();
}

XEN_TEST(across_a_cancelled_suspension)
{
    cancelled = true;
    across();
}

int main(void)
{
    Suite *suite = suite_create("time");
    TCase *tcase = tcase_create("time");

    tcase_add_test(tcase, one_clock);
    tcase_add_test(tcase, versions);
    tcase_add_test(tcase, calls_agree);
    tcase_add_test(tcase, across_a_suspension);
    tcase_add_test(tcase, across_a_cancelled_suspension);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
