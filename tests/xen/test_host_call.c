/*
 * Hypercalls of domains whose code is the host's (xen_host_hypercall()): domain 0 with its privilege, a driver domain
 * without; pointers lead to the memory that the caller names and nowhere else. And the limits of a domain's
 * configuration (xen_domain_create()).
 */
#include "xen/xen_guest.h"

#include "machine/image.h"
#include "machine/sched.h"

#define BASE UINT64_C(0x7F0000100000) /* where the caller believes its memory to be */
#define DRIVER_DOMAIN 3u

static uint8_t arena[4 * GUEST_PAGE_SIZE] __attribute__((aligned(4096)));
static const struct xen_memory memory = {.base = BASE, .bytes = sizeof(arena), .host = arena};

static int64_t call_as(unsigned domid, unsigned operation, uint64_t a1, uint64_t a2, uint64_t a3)
{
    const uint64_t arg[5] = {a1, a2, a3};

    return xen_host_hypercall(domid, operation, arg, &memory);
}

static int64_t evtchn_as(unsigned domid, unsigned operation, void *structure, size_t bytes)
{
    int64_t result;

    memcpy(arena, structure, bytes);
    result = call_as(domid, __HYPERVISOR_event_channel_op, operation, BASE, 0);
    memcpy(structure, arena, bytes);
    return result;
}

XEN_TEST(pointers_lead_into_the_memory_named)
{
    char *text = (char *)arena;
    const uint64_t arg[5] = {XENVER_extraversion, BASE};

    memset(arena, 0xFF, sizeof(arena));
    ck_assert_int_eq(call_as(XEN_DOM0, __HYPERVISOR_xen_version, XENVER_extraversion, BASE, 0), 0);
    ck_assert_int_eq(text[0], '.');
    /* Its end, one byte too far, one byte too early, the address here, none at all. */
    ck_assert_int_eq(call_as(XEN_DOM0, __HYPERVISOR_xen_version, XENVER_extraversion,
                             BASE + sizeof(arena) - XEN_EXTRAVERSION_LEN, 0),
                     0);
    ck_assert_xen_error(call_as(XEN_DOM0, __HYPERVISOR_xen_version, XENVER_extraversion,
                                BASE + sizeof(arena) - XEN_EXTRAVERSION_LEN + 1, 0),
                        XEN_EFAULT);
    ck_assert_xen_error(call_as(XEN_DOM0, __HYPERVISOR_xen_version, XENVER_extraversion, BASE - 1, 0), XEN_EFAULT);
    ck_assert_xen_error(call_as(XEN_DOM0, __HYPERVISOR_xen_version, XENVER_extraversion, at(arena), 0), XEN_EFAULT);
    ck_assert_xen_error(call_as(XEN_DOM0, __HYPERVISOR_xen_version, XENVER_extraversion, UINT64_MAX, 0), XEN_EFAULT);
    ck_assert_xen_error(xen_host_hypercall(XEN_DOM0, __HYPERVISOR_xen_version, arg, NULL), XEN_EFAULT);
    ck_assert_xen_error(call_as(NO_DOMAIN, __HYPERVISOR_xen_version, XENVER_version, 0, 0), XEN_ESRCH);
    ck_assert_xen_error(call_as(1, __HYPERVISOR_xen_version, XENVER_version, 0, 0), XEN_ESRCH); /* the guest's own */
    /* The guest's memory is the guest's again afterwards. */
    ck_assert_xen_error(xen_hypercall(__HYPERVISOR_xen_version, XENVER_extraversion, BASE, 0, 0, 0), XEN_EFAULT);
}

XEN_TEST(event_channels_of_domain_0)
{
    struct evtchn_status status = {.dom = 1};
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 1};
    struct evtchn_alloc_unbound toolstack = {.dom = 1, .remote_dom = XEN_DOM0};
    struct evtchn_bind_interdomain bind = {.remote_dom = 1};
    struct evtchn_unmask unmask;
    struct evtchn_close close;
    struct evtchn_send send;
    struct evtchn_init_control control = {.control_gfn = frame_of(pages_take(1, 0))};

    ck_assert_int_eq(evtchn_as(XEN_DOM0, EVTCHNOP_alloc_unbound, &alloc, sizeof(alloc)), 0);
    ck_assert_uint_ne(alloc.port, 0);
    ck_assert_int_eq(evtchn_as(XEN_DOM0, EVTCHNOP_alloc_unbound, &toolstack, sizeof(toolstack)), 0);
    ck_assert_int_eq(port_status(toolstack.port).status, EVTCHNSTAT_unbound);
    bind.remote_port = toolstack.port;
    ck_assert_int_eq(evtchn_as(XEN_DOM0, EVTCHNOP_bind_interdomain, &bind, sizeof(bind)), 0);
    ck_assert_int_eq(port_status(toolstack.port).status, EVTCHNSTAT_interdomain);
    status.port = toolstack.port;
    ck_assert_int_eq(evtchn_as(XEN_DOM0, EVTCHNOP_status, &status, sizeof(status)), 0);
    ck_assert_uint_eq(status.u.interdomain.port, bind.local_port);
    send.port = bind.local_port;
    ck_assert_int_eq(evtchn_as(XEN_DOM0, EVTCHNOP_send, &send, sizeof(send)), 0);
    ck_assert_uint_ne(map_shared_info()->evtchn_pending[toolstack.port / 64] & (xen_ulong_t)1 << toolstack.port % 64,
                      0);
    unmask.port = bind.local_port;
    ck_assert_int_eq(evtchn_as(XEN_DOM0, EVTCHNOP_unmask, &unmask, sizeof(unmask)), 0);
    close.port = bind.local_port;
    ck_assert_int_eq(evtchn_as(XEN_DOM0, EVTCHNOP_close, &close, sizeof(close)), 0);
    ck_assert_int_eq(port_status(toolstack.port).status, EVTCHNSTAT_unbound);
    /* A frame of the guest's is none of domain 0's. */
    ck_assert_int_lt(evtchn_as(XEN_DOM0, EVTCHNOP_init_control, &control, sizeof(control)), 0);
    /* How a tool finds the end of the table. */
    status.port = 200000;
    ck_assert_xen_error(evtchn_as(XEN_DOM0, EVTCHNOP_status, &status, sizeof(status)), XEN_EINVAL);
    status.dom = NO_DOMAIN;
    ck_assert_xen_error(evtchn_as(XEN_DOM0, EVTCHNOP_status, &status, sizeof(status)), XEN_ESRCH);
}

XEN_TEST(privilege)
{
    struct evtchn_status status = {.dom = 1, .port = 1};
    struct xen_hvm_param *param = (struct xen_hvm_param *)arena;
    const domid_t guest = 1;

    ck_assert_int_eq(xen_domain_create_host(DRIVER_DOMAIN), 0);
    ck_assert_xen_error(xen_domain_create_host(DRIVER_DOMAIN), XEN_EEXIST);
    ck_assert_xen_error(xen_domain_create_host(1), XEN_EEXIST);
    ck_assert_xen_error(xen_domain_create_host(DOMID_SELF), XEN_EINVAL);
    ck_assert_int_eq(evtchn_as(XEN_DOM0, EVTCHNOP_status, &status, sizeof(status)), 0);
    ck_assert_xen_error(evtchn_as(DRIVER_DOMAIN, EVTCHNOP_status, &status, sizeof(status)), XEN_EPERM);

    *param = (struct xen_hvm_param){.domid = 1, .index = HVM_PARAM_STORE_PFN};
    ck_assert_int_eq(call_as(XEN_DOM0, __HYPERVISOR_hvm_op, HVMOP_get_param, BASE, 0), 0);
    ck_assert_uint_eq(param->value, 0xFEFFC);
    ck_assert_xen_error(call_as(DRIVER_DOMAIN, __HYPERVISOR_hvm_op, HVMOP_get_param, BASE, 0), XEN_EPERM);

    memcpy(arena, &guest, sizeof(guest));
    ck_assert_int_gt(call_as(XEN_DOM0, __HYPERVISOR_memory_op, XENMEM_current_reservation, BASE, 0), 0);
    ck_assert_xen_error(call_as(DRIVER_DOMAIN, __HYPERVISOR_memory_op, XENMEM_current_reservation, BASE, 0), XEN_EPERM);
}

static volatile bool was_shut_down;

/* In a task of domain 0: the guest's vCPUs stand still at once. */
static void shut_down_guest(void *argument)
{
    struct sched_remote_shutdown *shutdown = (struct sched_remote_shutdown *)arena;

    (void)argument;
    *shutdown = (struct sched_remote_shutdown){.domain_id = 1, .reason = SHUTDOWN_suspend};
    ck_assert_xen_error(call_as(DRIVER_DOMAIN, __HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, BASE, 0), XEN_EPERM);
    ck_assert_int_eq(xen_domain_shutdown_reason(1), -1);
    ck_assert_int_eq(call_as(XEN_DOM0, __HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, BASE, 0), 0);
    ck_assert_int_eq(xen_domain_shutdown_reason(1), SHUTDOWN_suspend);
    ck_assert_int_eq(xen_domain_resume(1, true), 0);
    was_shut_down = true;
}

XEN_TEST(shutdown_by_domain_0)
{
    was_shut_down = false;
    ck_assert_int_eq(xen_domain_create_host(DRIVER_DOMAIN), 0);
    (void)task_create("toolstack", shut_down_guest, NULL);
    while (!was_shut_down)
        sleep_us(100);
}

/* Its vCPUs, its address space: what only a kernel of such a domain would ask for. */
XEN_TEST(no_business_of_a_program)
{
    static const struct {
        unsigned operation;
        unsigned sub;
    } calls[] = {
        {__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info},
        {__HYPERVISOR_vcpu_op, VCPUOP_is_up},
        {__HYPERVISOR_set_timer_op, 1},
        {__HYPERVISOR_vm_assist, VMASST_CMD_enable},
        {__HYPERVISOR_sched_op, SCHEDOP_block},
        {__HYPERVISOR_sched_op, SCHEDOP_poll},
        {__HYPERVISOR_sched_op, SCHEDOP_shutdown},
        {__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref},
        {__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref},
    };

    memset(arena, 0, sizeof(arena));
    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        ck_assert_msg(call_as(XEN_DOM0, calls[i].operation, calls[i].sub,
                              calls[i].operation == __HYPERVISOR_vcpu_op ? 0 : BASE, 1) == -XEN_ENOSYS,
                      "operation %u, sub-operation %u", calls[i].operation, calls[i].sub);
    ck_assert_int_eq(xen_domain_shutdown_reason(XEN_DOM0), -1);
}

XEN_TEST(multicall_and_copy)
{
    struct multicall_entry *entry = (struct multicall_entry *)arena;
    struct gnttab_copy *segment = (struct gnttab_copy *)arena;
    volatile grant_entry_v1_t *table = map_grant_table();
    uint8_t *page = pages_take(1, 0x5A);

    memset(arena, 0, sizeof(arena));
    entry[0].op = __HYPERVISOR_xen_version;
    entry[0].args[0] = XENVER_version;
    entry[1].op = __HYPERVISOR_xen_version;
    entry[1].args[0] = XENVER_extraversion;
    entry[1].args[1] = BASE + GUEST_PAGE_SIZE;
    ck_assert_int_eq(call_as(XEN_DOM0, __HYPERVISOR_multicall, BASE, 2, 0), 0);
    ck_assert_int_eq((int64_t)entry[0].result, call_version(XENVER_version, NULL));
    ck_assert_int_eq((int64_t)entry[1].result, 0);
    ck_assert_int_eq(arena[GUEST_PAGE_SIZE], '.');
    ck_assert_uint_eq(xen_hypercall_count(__HYPERVISOR_multicall), 0); /* the count is of the guest's */

    table[40].domid = XEN_DOM0;
    table[40].frame = (uint32_t)frame_of(page);
    table[40].flags = GTF_permit_access;
    memset(arena, 0, sizeof(arena));
    *segment = (struct gnttab_copy){.flags = GNTCOPY_source_gref, .len = 64};
    segment->source.domid = 1;
    segment->source.u.ref = 40;
    segment->dest.domid = DOMID_SELF;
    segment->dest.u.gmfn = (BASE >> GUEST_PAGE_SHIFT) + 2;
    segment->dest.offset = 16;
    ck_assert_int_eq(call_as(XEN_DOM0, __HYPERVISOR_grant_table_op, GNTTABOP_copy, BASE, 1), 0);
    ck_assert_int_eq(segment->status, GNTST_okay);
    ck_assert_uint_eq(arena[2 * GUEST_PAGE_SIZE + 15], 0);
    ck_assert_uint_eq(arena[2 * GUEST_PAGE_SIZE + 16], 0x5A);
    ck_assert_uint_eq(arena[2 * GUEST_PAGE_SIZE + 80], 0);
    segment->dest.u.gmfn = at(arena) >> GUEST_PAGE_SHIFT; /* an address of this process, none of the caller's */
    ck_assert_int_eq(call_as(XEN_DOM0, __HYPERVISOR_grant_table_op, GNTTABOP_copy, BASE, 1), 0);
    ck_assert_int_eq(segment->status, GNTST_bad_page);
}

struct limits {
    unsigned vcpus;
    unsigned max_grant_frames;
    unsigned event_channels;
    unsigned max_grant_version;
    int result;
};

static void create_as_asked(void *argument)
{
    const struct limits *limits = argument;
    struct xen_domain_config config = xen_domain_default_config(GUEST_VCPUS);
    struct gnttab_query_size query = {.dom = DOMID_SELF};
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};
    int64_t result;

    config.vcpus = limits->vcpus;
    config.max_grant_frames = limits->max_grant_frames;
    config.event_channels = limits->event_channels;
    config.max_grant_version = limits->max_grant_version;
    ck_assert_int_eq(xen_domain_create(&config), limits->result);
    if (limits->result < 0)
        return;
    ck_assert_int_eq(call_grant(GNTTABOP_query_size, &query, 1), 0);
    ck_assert_uint_eq(query.max_nr_frames, limits->max_grant_frames);
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, limits->max_grant_frames - 1, HOLE), 0);
    ck_assert_xen_error(physmap_add(XENMAPSPACE_grant_table, limits->max_grant_frames, HOLE), XEN_EINVAL);
    do
        result = call_evtchn(EVTCHNOP_alloc_unbound, &alloc);
    while (result == 0);
    ck_assert_xen_error(result, XEN_ENOSPC);
    ck_assert_uint_eq(alloc.port, limits->event_channels);
}

START_TEST(limits_of_a_domain)
{
    static const struct limits rows[] = {
        {GUEST_VCPUS, 3, 20, 2, 1},
        {GUEST_VCPUS, 200, 1023, 1, 1},
        {GUEST_VCPUS, XEN_GRANT_FRAMES_LIMIT, 1023, 2, 1},
        {GUEST_VCPUS, XEN_GRANT_FRAMES_LIMIT + 1, 1023, 2, -XEN_EINVAL},
        {GUEST_VCPUS, 0, 1023, 2, -XEN_EINVAL},
        {GUEST_VCPUS, 64, XEN_EVENT_CHANNELS_LIMIT + 1, 2, -XEN_EINVAL},
        {GUEST_VCPUS, 64, 1023, 3, -XEN_EINVAL},
        {GUEST_VCPUS, 64, 1023, 0, -XEN_EINVAL},
        {GUEST_VCPUS + 1, 64, 1023, 2, -XEN_EINVAL},
        {0, 64, 1023, 2, -XEN_EINVAL},
    };
    struct machine_config config = guest_config(GUEST_VCPUS);
    struct limits limits = rows[_i];

    guest_run_with(&config, create_as_asked, &limits);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host-call");
    TCase *tcase = tcase_create("host-call");

    tcase_add_test(tcase, pointers_lead_into_the_memory_named);
    tcase_add_test(tcase, event_channels_of_domain_0);
    tcase_add_test(tcase, privilege);
    tcase_add_test(tcase, shutdown_by_domain_0);
    tcase_add_test(tcase, no_business_of_a_program);
    tcase_add_test(tcase, multicall_and_copy);
    tcase_add_loop_test(tcase, limits_of_a_domain, 0, 10);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
