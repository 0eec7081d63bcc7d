/*
 * A domain's life: suspension cancelled and resumed (public/sched.h), vcpu_info and run states (public/vcpu.h), what
 * Xen says of itself (public/version.h, features.h), calls in a batch, watchdogs.
 */
#include "xen/xen_guest.h"

#include "machine/clock.h"
#include "machine/sched.h"
#include "nt/nt_init.h"

/* ---- suspension ---- */

/* The toolstack's part, in a task of domain 0. */
struct resumer {
    bool cancelled;
    int reason; /* seen */
    volatile bool ended;
    bool restored;
    int early; /* what a resumption of a domain that runs gave */
};

static void resume_when_suspended(void *argument)
{
    struct resumer *resumer = argument;

    resumer->early = xen_domain_resume(1, resumer->cancelled);
    while (xen_domain_shutdown_reason(1) < 0)
        (void)task_park(clock_now() + 100000, "a suspension");
    resumer->reason = xen_domain_shutdown_reason(1);
    (void)task_park(clock_now() + 5000000, "a while");
    if (resumer->restored) {
        ck_assert_int_eq(xen_domain_restore(1), 2);
        ck_assert_int_eq(xen_domain_shutdown_reason(2), -1);
        ck_assert_int_eq(xen_domain_shutdown_reason(1), SHUTDOWN_suspend); /* what was left under its number */
        ck_assert_int_eq(xen_domain_restore(1), -XEN_EINVAL);
        ck_assert_int_eq(xen_domain_resume(1, true), -XEN_EINVAL);
        ck_assert_int_eq(xen_domain_create_host(1), -XEN_EEXIST);
        (void)task_park(clock_now() + 5000000, "a while");
        ck_assert_int_eq(xen_domain_unpause(2), 0);
        xen_domain_destroy(1);
        ck_assert(!xen_domain_exists(1));
    } else {
        ck_assert_int_eq(xen_domain_resume(1, resumer->cancelled), 0);
    }
    resumer->ended = true;
}

static int64_t suspend(struct resumer *resumer)
{
    struct sched_shutdown op = {.reason = SHUTDOWN_suspend};
    int64_t result;

    (void)task_create("resumer", resume_when_suspended, resumer);
    sleep_us(2000); /* it tries too early */
    ck_assert_int_eq(resumer->early, -XEN_EINVAL);
    result = call_sched(SCHEDOP_shutdown, &op);
    while (!resumer->ended)
        sleep_us(100);
    ck_assert_int_eq(resumer->reason, SHUTDOWN_suspend);
    return result;
}

static void ignore(void *argument, uint32_t port)
{
    (void)argument;
    (void)port;
}

static int64_t place_vcpu_info(unsigned vcpu, uint64_t gfn, uint32_t offset)
{
    struct vcpu_register_vcpu_info op = {.mfn = gfn, .offset = offset};

    return call_vcpu(VCPUOP_register_vcpu_info, vcpu, &op);
}

/* What there is before: a port that domain 0 has bound, a granted page that it maps, shared info mapped, and so on. */
struct before {
    volatile struct shared_info *shared;
    volatile grant_entry_v1_t *table;
    uint8_t *page;
    evtchn_port_t port;
    int far;
    evtchn_port_t store;
    uint8_t *seen; /* domain 0's view of `page` */
    uint32_t handle;
    struct vcpu_info *info;
};

static void set_up(struct before *before)
{
    stay_on(0);
    before->shared = map_shared_info();
    before->table = map_grant_table();
    before->port = port_for(0);
    before->far = xen_evtchn_bind_interdomain(XEN_DOM0, 1, before->port, ignore, NULL);
    ck_assert_int_gt(before->far, 0);
    before->store = (evtchn_port_t)param(HVM_PARAM_STORE_EVTCHN);
    before->page = pages_take(1, 0x42);
    before->table[40].domid = 0;
    before->table[40].frame = (uint32_t)frame_of(before->page);
    before->table[40].flags = GTF_permit_access;
    ck_assert_int_eq(xen_grant_map(XEN_DOM0, 1, 40, false, (void **)&before->seen, &before->handle), 0);
    before->info = (struct vcpu_info *)(uintptr_t)pages_take(1, 0);
    ck_assert_int_eq(place_vcpu_info(0, frame_of(before->info), 0), 0);
    ck_assert_int_eq(param_set(HVM_PARAM_CALLBACK_IRQ, 29), 0); /* a line that nothing is connected to */
    ioport_write(0x10, 2, XEN_UNPLUG_NICS);
    ck_assert_uint_eq(xen_platform_unplugged(), XEN_UNPLUG_NICS);
}

XEN_TEST(suspend_cancelled)
{
    struct before before;
    struct resumer resumer = {.cancelled = true};

    set_up(&before);
    before.shared->evtchn_mask[3] = 0x77;
    ck_assert_int_eq(suspend(&resumer), 1);
    ck_assert_int_eq(xen_domain_shutdown_reason(1), -1);

    /* Nothing has changed. */
    ck_assert_uint_eq(before.shared->evtchn_mask[3], 0x77);
    ck_assert_uint_eq(port_status(before.port).status, EVTCHNSTAT_interdomain);
    ck_assert_uint_eq(param(HVM_PARAM_STORE_EVTCHN), before.store);
    ck_assert_uint_eq(param(HVM_PARAM_CALLBACK_IRQ), 29);
    ck_assert_uint_eq(before.table[40].flags, GTF_permit_access | GTF_reading | GTF_writing);
    ck_assert_xen_error(place_vcpu_info(0, frame_of(before.info), 0), XEN_EINVAL); /* once in a life */
    ck_assert_uint_eq(xen_platform_unplugged(), XEN_UNPLUG_NICS);
    before.page[9] = 0x43;
    ck_assert_uint_eq(before.seen[9], 0x43);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, before.handle), 0);
    ck_assert_uint_eq(before.table[40].flags, GTF_permit_access);
    ck_assert_int_eq(suspend(&(struct resumer){.cancelled = true}), 1); /* and again */
}

/* As another domain. */
XEN_TEST(suspend_restored)
{
    struct before before;
    struct resumer resumer = {.restored = true};
    uint8_t *seen;
    uint32_t handle;

    set_up(&before);
    before.shared->evtchn_mask[3] = 0x77;
    before.info->evtchn_pending_sel = 0x55;
    ck_assert_int_eq(suspend(&resumer), 0);
    ck_assert_int_eq(xen_domain_shutdown_reason(2), -1);

    /* A new Xen: nothing of Xen's lies at any frame, ports and callback are gone, devices are back. */
    ck_assert_xen_error(call_evtchn(EVTCHNOP_close, (void *)(uintptr_t)before.shared), XEN_EFAULT);
    ck_assert_xen_error(call_evtchn(EVTCHNOP_close, (void *)(uintptr_t)before.table), XEN_EFAULT);
    ck_assert_uint_ne(port_status(before.port).status, EVTCHNSTAT_interdomain);
    ck_assert_uint_eq(param(HVM_PARAM_CALLBACK_IRQ), 0);
    ck_assert_uint_eq(xen_platform_unplugged(), 0);
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)before.far), 0); /* its end is left unbound */
    ck_assert_uint_eq(port_status((evtchn_port_t)param(HVM_PARAM_STORE_EVTCHN)).status, EVTCHNSTAT_unbound);
    ck_assert_uint_eq(port_status((evtchn_port_t)param(HVM_PARAM_CONSOLE_EVTCHN)).status, EVTCHNSTAT_unbound);

    /* The page that domain 0 maps is that of the old life; the guest goes on with what it held. */
    ck_assert_uint_eq(before.page[9], 0x42);
    before.page[9] = 0x43;
    ck_assert_uint_eq(before.seen[9], 0x42);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, before.handle), 0);
    ck_assert_uint_eq(before.page[9], 0x43);

    /* All of it can be set up again. */
    ck_assert_int_eq(physmap_add(XENMAPSPACE_shared_info, 0, HOLE), 0);
    ck_assert_uint_eq(before.shared->evtchn_mask[3], 0);
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, 0, HOLE + 1), 0);
    ck_assert_uint_eq(before.table[40].flags, 0);
    ck_assert_uint_eq(before.table[GNTTAB_RESERVED_XENSTORE].flags, GTF_permit_access);
    ck_assert_uint_eq(before.table[GNTTAB_RESERVED_XENSTORE].frame, param(HVM_PARAM_STORE_PFN));
    ck_assert_int_eq(xen_grant_map(XEN_DOM0, 2, GNTTAB_RESERVED_XENSTORE, false, (void **)&seen, &handle), 0);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, handle), 0);
    ck_assert_int_eq(place_vcpu_info(0, frame_of(before.info), 0), 0);
}

/* Slow resume in place: the guest takes itself for restored, and has everything that it had of Xen. */
XEN_TEST(suspend_resumed)
{
    struct before before;
    struct resumer resumer = {.cancelled = false};

    set_up(&before);
    before.shared->evtchn_mask[3] = 0x77;
    ck_assert_int_eq(suspend(&resumer), 0);
    ck_assert_int_eq(xen_domain_shutdown_reason(1), -1);
    ck_assert_uint_eq(before.shared->evtchn_mask[3], 0x77);
    ck_assert_uint_eq(port_status(before.port).status, EVTCHNSTAT_interdomain);
    ck_assert_uint_eq(param(HVM_PARAM_STORE_EVTCHN), before.store);
    ck_assert_uint_eq(param(HVM_PARAM_CALLBACK_IRQ), 29);
    ck_assert_xen_error(place_vcpu_info(0, frame_of(before.info), 0), XEN_EINVAL);
    before.page[9] = 0x43;
    ck_assert_uint_eq(before.seen[9], 0x43);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, before.handle), 0);
}

static void NTAPI count_calls(PVOID context)
{
    volatile unsigned *calls = context;

    stay_on(1);
    for (unsigned i = 0; i < 3000; i++) {
        ck_assert_int_eq(call_version(XENVER_version, NULL), 4 << 16 | 17);
        (*calls)++;
    }
}

static void note_calls(void *argument)
{
    volatile unsigned *calls = argument;
    unsigned seen;

    while (xen_domain_shutdown_reason(1) < 0)
        (void)task_park(clock_now() + 1000, "a suspension");
    (void)task_park(clock_now() + 1000000, "vCPU 1 to come to its next call");
    seen = *calls;
    (void)task_park(clock_now() + 50000000, "a while");
    ck_assert_uint_eq(*calls, seen);
    ck_assert_int_eq(xen_domain_resume(1, true), 0);
}

/* The other vCPU does not get a hypercall done meanwhile. */
XEN_TEST(suspend_stops_every_vcpu)
{
    volatile unsigned calls = 0;
    struct sched_shutdown op = {.reason = SHUTDOWN_suspend};
    PKTHREAD thread;
    unsigned at_suspension;

    stay_on(0);
    thread = thread_start(count_calls, (PVOID)(uintptr_t)&calls);
    while (calls < 10)
        YieldProcessor();
    (void)task_create("counter", note_calls, (void *)(uintptr_t)&calls);
    at_suspension = calls;
    ck_assert_int_eq(call_sched(SCHEDOP_shutdown, &op), 1);
    thread_join(thread);
    ck_assert_uint_eq(calls, 3000);
    ck_assert_uint_lt(at_suspension, 3000);
}

/* ---- pausing ---- */

static struct {
    volatile uint64_t steps[GUEST_VCPUS];
    volatile bool stop;
    volatile unsigned ended;
} busy;

static void keep_busy(void *argument)
{
    volatile uint64_t *steps = argument;

    while (!busy.stop) {
        (*steps)++;
        YieldProcessor();
    }
    busy.ended++;
}

static bool steps_are_taken(void)
{
    uint64_t before = busy.steps[0] + busy.steps[1];
#ifdef MACHINE_THREAD_SANITIZER /* in real time the vCPUs wait for a processor too */
    unsigned turns = 100;
#else
    unsigned turns = 1;
#endif

    for (unsigned i = 0; i < turns && busy.steps[0] + busy.steps[1] == before; i++)
        (void)task_park(clock_now() + 5000000, "a while");
    return busy.steps[0] + busy.steps[1] != before;
}

static void pause_guest(void)
{
    ck_assert_int_eq(xen_domain_pause(1), 0);
    while (!xen_domain_stands(1))
        (void)task_park(clock_now() + 100000, "the vCPUs");
}

/* In a task of domain 0. */
static void pause_and_unpause(void *argument)
{
    (void)argument;
    ck_assert_int_eq(xen_domain_unpause(1), -XEN_EINVAL);
    ck_assert_int_eq(xen_domain_pause(0), -XEN_EINVAL); /* its code is the host's */
    ck_assert_int_eq(xen_domain_pause(NO_DOMAIN), -XEN_ESRCH);
    ck_assert_int_eq(xen_domain_unpause(NO_DOMAIN), -XEN_ESRCH);
    ck_assert(!xen_domain_stands(1));
    ck_assert(steps_are_taken());
    pause_guest();
    ck_assert(!steps_are_taken());
    pause_guest(); /* they count */
    ck_assert_int_eq(xen_domain_unpause(1), 0);
    ck_assert(!steps_are_taken());
    ck_assert_int_eq(xen_domain_unpause(1), 0);
    ck_assert(steps_are_taken());
    busy.stop = true;
}

/* Wherever they are: these never call the hypervisor. */
XEN_TEST(pause_stops_every_vcpu)
{
    (void)task_create("toolstack", pause_and_unpause, NULL);
    nt_thread_start("busy", keep_busy, (void *)(uintptr_t)&busy.steps[0]);
    keep_busy((void *)(uintptr_t)&busy.steps[1]);
    while (busy.ended != 2)
        sleep_us(100);
}

/* In a task of domain 0. */
static void force_suspend(void *argument)
{
    (void)argument;
    ck_assert_int_eq(xen_domain_shutdown(NO_DOMAIN, SHUTDOWN_suspend), -XEN_ESRCH);
    ck_assert_int_eq(xen_domain_shutdown(XEN_DOM0, SHUTDOWN_suspend), -XEN_EINVAL);
    for (unsigned round = 0; round < 3; round++) {
        ck_assert(steps_are_taken());
        ck_assert_int_eq(xen_domain_shutdown(1, SHUTDOWN_suspend), 0);
        while (!xen_domain_stands(1))
            (void)task_park(clock_now() + 100000, "the vCPUs");
        ck_assert_int_eq(xen_domain_shutdown_reason(1), SHUTDOWN_suspend);
        ck_assert(!steps_are_taken());
        pause_guest(); /* of its own */
        ck_assert_int_eq(xen_domain_resume(1, round == 0), 0);
        ck_assert(!steps_are_taken());
        ck_assert_int_eq(xen_domain_unpause(1), 0);
    }
    ck_assert(steps_are_taken());
    busy.stop = true;
}

/* By the toolstack: wherever the vCPUs are, and they go on there. */
XEN_TEST(forced_suspend)
{
    (void)task_create("toolstack", force_suspend, NULL);
    nt_thread_start("busy", keep_busy, (void *)(uintptr_t)&busy.steps[0]);
    keep_busy((void *)(uintptr_t)&busy.steps[1]);
    while (busy.ended != 2)
        sleep_us(100);
    ck_assert_uint_eq(call_version(XENVER_version, NULL), 4 << 16 | 17);
}

XEN_TEST(shutdown_errors)
{
    struct sched_remote_shutdown remote = {.domain_id = 0, .reason = SHUTDOWN_crash};

    ck_assert_xen_error(call_sched(SCHEDOP_shutdown, NULL), XEN_EFAULT);
    ck_assert_int_eq(xen_domain_shutdown_reason(1), -1);
    ck_assert_xen_error(call_sched(SCHEDOP_remote_shutdown, &remote), XEN_EPERM);
    remote.domain_id = NO_DOMAIN;
    ck_assert_xen_error(call_sched(SCHEDOP_remote_shutdown, &remote), XEN_ESRCH);
    ck_assert_xen_error(call_sched(99, NULL), XEN_ENOSYS);
    ck_assert_int_eq(call_sched(SCHEDOP_yield, NULL), 0);
    ck_assert_int_eq(xen_domain_resume(NO_DOMAIN, true), -XEN_ESRCH);
    ck_assert_int_eq(xen_domain_restore(1), -XEN_EINVAL);
    ck_assert_int_eq(xen_domain_unpause(1), -XEN_EINVAL);
    ck_assert_int_eq(domain_make(1), -XEN_EEXIST);
    ck_assert(xen_domain_exists(0) && xen_domain_exists(1) && !xen_domain_exists(NO_DOMAIN));
}

/* ---- watchdogs ---- */

/* In a task of domain 0. The guest's vCPUs go no further. */
static void end_machine(void *argument)
{
    const volatile bool *went_on = argument;

    while (xen_domain_shutdown_reason(1) < 0)
        (void)task_park(clock_now() + 10000000, "the watchdog");
    ck_assert_int_eq(xen_domain_shutdown_reason(1), SHUTDOWN_watchdog);
    (void)task_park(clock_now() + UINT64_C(2000000000), "a while");
    ck_assert(!*went_on);
    ck_assert_int_eq(xen_domain_resume(1, true), -XEN_EINVAL); /* it is no suspend */
    machine_stop();
}

XEN_TEST(watchdog)
{
    struct sched_watchdog op = {.id = 0, .timeout = 0};
    volatile bool went_on = false;

    ck_assert_xen_error(call_sched(SCHEDOP_watchdog, &op), XEN_EINVAL); /* a new one needs a timeout */
    op.timeout = 2;
    ck_assert_int_eq(call_sched(SCHEDOP_watchdog, &op), 1);
    ck_assert_int_eq(call_sched(SCHEDOP_watchdog, &op), 2);
    ck_assert_xen_error(call_sched(SCHEDOP_watchdog, &op), XEN_ENOSPC);
    op.id = 3;
    ck_assert_xen_error(call_sched(SCHEDOP_watchdog, &op), XEN_EINVAL);
    op.id = 2;
    op.timeout = 0; /* off */
    ck_assert_int_eq(call_sched(SCHEDOP_watchdog, &op), 0);
    ck_assert_xen_error(call_sched(SCHEDOP_watchdog, &op), XEN_EINVAL);
    op.id = 1;
    op.timeout = 2;
    for (unsigned i = 0; i < 4; i++) { /* kept quiet by being set again */
        sleep_us(1500000);
        ck_assert_int_eq(xen_domain_shutdown_reason(1), -1);
        ck_assert_int_eq(call_sched(SCHEDOP_watchdog, &op), 0);
    }
    (void)task_create("end", end_machine, (void *)(uintptr_t)&went_on);
    sleep_us(3000000);
    went_on = true;
    for (;;)
        sleep_us(1000000);
}

/* ---- vCPUs ---- */

XEN_TEST(vcpu_info_rules)
{
    uint8_t *page = pages_take(2, 0);
    uint64_t gfn = frame_of(page);
    volatile struct shared_info *shared = map_shared_info();
    volatile struct vcpu_info *info = (volatile struct vcpu_info *)(uintptr_t)(page + 128);
    struct evtchn_bind_ipi ipi = {.vcpu = 0};

    stay_on(0);
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_ipi, &ipi), 0);
    ck_assert_int_eq(port_send(ipi.port), 0);
    ck_assert_uint_eq(shared->vcpu_info[0].evtchn_upcall_pending, 1);
    shared->vcpu_info[0].arch.cr2 = 0x123456789;

    ck_assert_xen_error(place_vcpu_info(0, gfn, GUEST_PAGE_SIZE - 8), XEN_EINVAL); /* crosses the page */
    ck_assert_xen_error(place_vcpu_info(0, gfn, GUEST_PAGE_SIZE), XEN_EINVAL);
    ck_assert_xen_error(place_vcpu_info(0, HOLE + 5, 0), XEN_EINVAL); /* no page */
    ck_assert_xen_error(place_vcpu_info(0, UINT64_MAX, 0), XEN_EINVAL);
    ck_assert_xen_error(place_vcpu_info(GUEST_VCPUS, gfn, 0), XEN_ENOENT);
    ck_assert_xen_error(place_vcpu_info(1, gfn, 0), XEN_EINVAL); /* another one's, while it is up */
    ck_assert_xen_error(call_vcpu(VCPUOP_register_vcpu_info, 0, NULL), XEN_EFAULT);

    ck_assert_int_eq(place_vcpu_info(0, gfn, 128), 0);
    ck_assert_uint_eq(info->evtchn_upcall_pending, 1); /* what was pending has come along */
    ck_assert_uint_ne(info->evtchn_pending_sel & 1, 0);
    ck_assert_uint_eq(info->arch.cr2, 0x123456789);                /* and so has everything else */
    ck_assert_xen_error(place_vcpu_info(0, gfn, 128), XEN_EINVAL); /* once */
    ck_assert_xen_error(place_vcpu_info(0, gfn + 1, 0), XEN_EINVAL);
    ck_assert_uint_eq(info->time.version & 1, 0);
    ck_assert_uint_ne(info->time.tsc_to_system_mul, 0);

    /* Events of that vCPU come here now; those of the others to shared info. */
    info->evtchn_upcall_pending = 0;
    info->evtchn_pending_sel = 0;
    shared->evtchn_pending[0] = 0;
    shared->vcpu_info[0].evtchn_upcall_pending = 0;
    ck_assert_int_eq(port_send(ipi.port), 0);
    ck_assert_uint_eq(info->evtchn_upcall_pending, 1);
    ck_assert_uint_eq(info->evtchn_pending_sel, UINT64_C(1) << (ipi.port / 64));
    ck_assert_uint_eq(shared->vcpu_info[0].evtchn_upcall_pending, 0);
    ipi.vcpu = 1;
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_ipi, &ipi), 0);
    ck_assert_int_eq(port_send(ipi.port), 0);
    ck_assert_uint_eq(shared->vcpu_info[1].evtchn_upcall_pending, 1);
    stay_on(1);
    ck_assert_int_eq(place_vcpu_info(1, gfn + 1, 0), 0);
}

/* From vCPU 32 up there is no vcpu_info in shared info: events come to light when one is registered. */
static void many_vcpus(void)
{
    struct evtchn_bind_ipi ipi = {.vcpu = 33};
    uint8_t *page = pages_take(1, 0);
    volatile struct vcpu_info *info = (volatile struct vcpu_info *)(uintptr_t)page;

    (void)map_shared_info();
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_ipi, &ipi), 0);
    ck_assert_int_eq(port_send(ipi.port), 0);
    stay_on(33);
    ck_assert_int_eq(place_vcpu_info(33, frame_of(page), 0), 0);
    ck_assert_uint_eq(info->evtchn_upcall_pending, 1);
    ck_assert_uint_ne(info->evtchn_pending_sel & UINT64_C(1) << (ipi.port / 64), 0);
}

START_TEST(vcpus_beyond_32)
{
    domain_run(34, many_vcpus);
}
END_TEST

XEN_TEST(runstate)
{
    struct vcpu_runstate_info info;
    uint8_t *page = pages_take(1, 0);
    volatile struct vcpu_runstate_info *area = (volatile struct vcpu_runstate_info *)(uintptr_t)page;
    struct vcpu_register_runstate_memory_area op;

    stay_on(0);
    ck_assert_int_eq(call_vcpu(VCPUOP_get_runstate_info, 0, &info), 0);
    ck_assert_int_eq(info.state, RUNSTATE_running);
    ck_assert_uint_gt(info.time[RUNSTATE_running], 0);
    ck_assert_xen_error(call_vcpu(VCPUOP_get_runstate_info, 0, NULL), XEN_EFAULT);
    op.addr.p = at(page);
    ck_assert_int_eq(call_vcpu(VCPUOP_register_runstate_memory_area, 0, &op), 0);
    ck_assert_int_eq(area->state, RUNSTATE_running);
    op.addr.p = BAD_POINTER;
    ck_assert_xen_error(call_vcpu(VCPUOP_register_runstate_memory_area, 0, &op), XEN_EFAULT);
    ck_assert_int_eq(call_vcpu(VCPUOP_is_up, 1, NULL), 1);
    ck_assert_xen_error(call_vcpu(VCPUOP_is_up, GUEST_VCPUS, NULL), XEN_ENOENT);
    ck_assert_xen_error(call_vcpu(VCPUOP_initialise, 1, page), XEN_EEXIST);
    ck_assert_xen_error(call_vcpu(99, 0, NULL), XEN_ENOSYS);
}

/* ---- pauses ---- */

/* They count, up to a toolstack's limit. */
XEN_TEST(pauses)
{
    stay_on(0);
    for (unsigned i = 0; i < 255; i++)
        ck_assert_int_eq(xen_domain_pause(1), 0);
    ck_assert_xen_error(xen_domain_pause(1), XEN_EOVERFLOW);
    for (unsigned i = 0; i < 255; i++)
        ck_assert_int_eq(xen_domain_unpause(1), 0);
    ck_assert_xen_error(xen_domain_unpause(1), XEN_EINVAL);
    ck_assert_xen_error(xen_domain_pause(XEN_DOM0), XEN_EINVAL);
    ck_assert_xen_error(xen_domain_pause(NO_DOMAIN), XEN_ESRCH);
    ck_assert_int_eq(xen_domain_wake(1), 0); /* it is awake, and stays so */
    ck_assert_xen_error(xen_domain_wake(NO_DOMAIN), XEN_ESRCH);
}

/* ---- xen_version ---- */

XEN_TEST(versions)
{
    xen_extraversion_t extra;
    xen_capabilities_info_t capabilities;
    xen_compile_info_t compile;
    xen_changeset_info_t changeset;
    xen_commandline_t line;
    xen_domain_handle_t handle;
    xen_domain_handle_t none = {0};

    ck_assert_int_eq(call_version(XENVER_version, NULL), 4 << 16 | 17);
    ck_assert_int_eq(call_version(XENVER_extraversion, extra), 0);
    ck_assert_int_eq(extra[0], '.');
    ck_assert_ptr_nonnull(memchr(extra, 0, sizeof(extra)));
    ck_assert_int_eq(call_version(XENVER_capabilities, capabilities), 0);
    ck_assert_ptr_nonnull(memchr(capabilities, 0, sizeof(capabilities)));
    ck_assert_ptr_nonnull(strstr(capabilities, "hvm-3.0-x86_64"));
    memset(&compile, 0xFF, sizeof(compile));
    ck_assert_int_eq(call_version(XENVER_compile_info, &compile), 0);
    ck_assert_ptr_nonnull(memchr(compile.compiler, 0, sizeof(compile.compiler)));
    ck_assert_ptr_nonnull(memchr(compile.compile_date, 0, sizeof(compile.compile_date)));
    ck_assert_int_eq(call_version(XENVER_changeset, changeset), 0);
    ck_assert_ptr_nonnull(memchr(changeset, 0, sizeof(changeset)));
    ck_assert_int_eq(call_version(XENVER_commandline, line), 0);
    ck_assert_str_eq(line, "<denied>"); /* none of a guest's business */
    ck_assert_int_eq(call_version(XENVER_pagesize, NULL), GUEST_PAGE_SIZE);
    ck_assert_xen_error(call_version(XENVER_pagesize, extra), XEN_EINVAL);
    ck_assert_int_eq(call_version(XENVER_guest_handle, handle), 0);
    ck_assert_mem_ne(handle, none, sizeof(handle));
    ck_assert_xen_error(call_version(XENVER_build_id, NULL), XEN_EPERM);
    ck_assert_xen_error(call_version(99, NULL), XEN_ENOSYS);
    for (unsigned operation = XENVER_extraversion; operation <= XENVER_get_features; operation++)
        ck_assert_xen_error(call_version(operation, (void *)(uintptr_t)BAD_POINTER), XEN_EFAULT);
}

XEN_TEST(features)
{
    struct xen_feature_info info = {.submap_idx = 0};

    ck_assert_int_eq(call_version(XENVER_get_features, &info), 0);
    ck_assert_uint_ne(info.submap & 1u << XENFEAT_auto_translated_physmap, 0);
    ck_assert_uint_ne(info.submap & 1u << XENFEAT_hvm_callback_vector, 0);
    ck_assert_uint_eq(info.submap & 1u << XENFEAT_dom0, 0);
    ck_assert_uint_eq(info.submap & 1u << XENFEAT_supervisor_mode_kernel, 0);
    info.submap_idx = XENFEAT_NR_SUBMAPS;
    ck_assert_xen_error(call_version(XENVER_get_features, &info), XEN_EINVAL);
}

/* ---- multicall, and what is refused as a whole ---- */

XEN_TEST(multicall)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};
    multicall_entry_t calls[4];

    memset(calls, 0, sizeof(calls));
    calls[0].op = __HYPERVISOR_xen_version;
    calls[0].args[0] = XENVER_version;
    calls[1].op = __HYPERVISOR_event_channel_op;
    calls[1].args[0] = EVTCHNOP_alloc_unbound;
    calls[1].args[1] = at(&alloc);
    calls[2].op = __HYPERVISOR_multicall; /* not in itself */
    calls[2].args[0] = at(calls);
    calls[2].args[1] = 1;
    calls[3].op = 60;
    ck_assert_int_eq(xen_hypercall(__HYPERVISOR_multicall, at(calls), 4, 0, 0, 0), 0);
    ck_assert_int_eq((int64_t)calls[0].result, 4 << 16 | 17);
    ck_assert_int_eq((int64_t)calls[1].result, 0);
    ck_assert_uint_eq(port_status(alloc.port).status, EVTCHNSTAT_unbound);
    ck_assert_int_lt((int64_t)calls[2].result, 0);
    ck_assert_int_eq((int64_t)calls[3].result, -XEN_ENOSYS);
    ck_assert_int_eq(xen_hypercall(__HYPERVISOR_multicall, at(calls), 0, 0, 0, 0), 0);
    ck_assert_xen_error(xen_hypercall(__HYPERVISOR_multicall, BAD_POINTER, 1, 0, 0, 0), XEN_EFAULT);
}

/* ---- vCPUs up and down ---- */

static volatile bool came_up;

static void goes_down(PVOID context)
{
    (void)context;
    stay_on(1);
    ck_assert_int_eq(call_vcpu(VCPUOP_down, 1, NULL), 0); /* returns when somebody has it up again */
    came_up = true;
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

XEN_TEST(vcpu_down_and_up)
{
    PKTHREAD thread;

    stay_on(0);
    ck_assert_int_eq(call_vcpu(VCPUOP_is_up, 1, NULL), 1);
    ck_assert_int_eq(call_vcpu(VCPUOP_up, 1, NULL), 0); /* it is */
    ck_assert_xen_error(call_vcpu(VCPUOP_initialise, 1, NULL), XEN_EEXIST);
    came_up = false;
    thread = thread_start(goes_down, NULL);
    while (call_vcpu(VCPUOP_is_up, 1, NULL) != 0)
        sleep_us(100);
    sleep_us(20000);
    ck_assert(!came_up);
    ck_assert_int_eq(call_vcpu(VCPUOP_up, 1, NULL), 0);
    thread_join(thread);
    ck_assert(came_up);
    ck_assert_int_eq(call_vcpu(VCPUOP_is_up, 1, NULL), 1);
    ck_assert_xen_error(call_vcpu(VCPUOP_down, GUEST_VCPUS, NULL), XEN_ENOENT);
    ck_assert_xen_error(call_vcpu(VCPUOP_up, GUEST_VCPUS, NULL), XEN_ENOENT);
}

static void power_off_seen(void *argument)
{
    int *reason = argument;

    while (xen_domain_shutdown_reason(1) < 0)
        (void)task_park(clock_now() + 1000000, "the end");
    *reason = xen_domain_shutdown_reason(1);
    ck_assert_int_eq(*reason, SHUTDOWN_poweroff);
    machine_stop();
}

/* The last one turns the domain off. */
static void last_goes_down(void *argument)
{
    ck_assert_int_eq(domain_make(1), 1);
    (void)task_create("toolstack", power_off_seen, argument);
    (void)call_vcpu(VCPUOP_down, 0, NULL);
    ck_abort_msg("a vCPU that is down goes on");
}

START_TEST(last_vcpu_down)
{
    struct machine_config config = guest_config(1);
    int reason = -1;

    guest_run_with(&config, last_goes_down, &reason);
    ck_assert_int_eq(reason, SHUTDOWN_poweroff);
}
END_TEST

XEN_TEST(privileged_calls)
{
    static const unsigned denied[] = {__HYPERVISOR_domctl, __HYPERVISOR_sysctl, __HYPERVISOR_platform_op};
    static const unsigned of_pv_guests[] = {__HYPERVISOR_mmu_update,   __HYPERVISOR_set_trap_table,
                                            __HYPERVISOR_stack_switch, __HYPERVISOR_update_va_mapping,
                                            __HYPERVISOR_iret,         __HYPERVISOR_set_gdt};
    uint8_t argument[256];

    memset(argument, 0, sizeof(argument));
    for (unsigned i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
        ck_assert_xen_error(xen_hypercall(denied[i], at(argument), 0, 0, 0, 0), XEN_EPERM);
    for (unsigned i = 0; i < sizeof(of_pv_guests) / sizeof(of_pv_guests[0]); i++)
        ck_assert_xen_error(xen_hypercall(of_pv_guests[i], at(argument), 0, 0, 0, 0), XEN_ENOSYS);
    /* Writing to Xen's console is for debugging hypervisors; a guest has port 0xE9. */
    ck_assert_xen_error(xen_hypercall(__HYPERVISOR_console_io, 0, 1, at(argument), 0, 0), XEN_EPERM);
    ck_assert_xen_error(xen_hypercall(UINT32_MAX, 0, 0, 0, 0, 0), XEN_ENOSYS);
}

int main(void)
{
    Suite *suite = suite_create("domain");
    TCase *tcase = tcase_create("suspension");

    tcase_add_test(tcase, suspend_cancelled);
    tcase_add_test(tcase, suspend_resumed);
    tcase_add_test(tcase, suspend_restored);
    tcase_add_test(tcase, suspend_stops_every_vcpu);
    tcase_add_test(tcase, pause_stops_every_vcpu);
    tcase_add_test(tcase, forced_suspend);
    tcase_add_test(tcase, shutdown_errors);
    tcase_add_test(tcase, watchdog);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("vCPUs");
    tcase_add_test(tcase, vcpu_info_rules);
    tcase_add_test(tcase, vcpus_beyond_32);
    tcase_add_test(tcase, runstate);
    tcase_add_test(tcase, pauses);
    tcase_add_test(tcase, vcpu_down_and_up);
    tcase_add_test(tcase, last_vcpu_down);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("calls");
    tcase_add_test(tcase, versions);
    tcase_add_test(tcase, features);
    tcase_add_test(tcase, multicall);
    tcase_add_test(tcase, privileged_calls);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
