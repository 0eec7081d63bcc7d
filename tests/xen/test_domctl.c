/*
 * What programs of dom0 ask of the hypervisor: information on domains and on the host (XEN_DOMCTL_*, XEN_SYSCTL_*), for
 * the privileged domain only, at the interface version of the headers.
 */
#include "xen/abi.h" /* first: the tools' headers go by what it defines */

#include "xen/xen_guest.h"

#include <xen/domctl.h>
#include <xen/sysctl.h>

#define BASE UINT64_C(0x7F0000100000)
#define DRIVER_DOMAIN 3u
#define LIST_OFFSET 1024u

static uint8_t arena[2 * GUEST_PAGE_SIZE] __attribute__((aligned(4096)));
static const struct xen_memory memory = {.base = BASE, .bytes = sizeof(arena), .host = arena};

static int64_t call(unsigned domid, unsigned operation, void *structure, size_t bytes)
{
    const uint64_t arg[5] = {BASE};
    int64_t result;

    memcpy(arena, structure, bytes);
    result = xen_host_hypercall(domid, operation, arg, &memory);
    memcpy(structure, arena, bytes);
    return result;
}

static int64_t domctl(unsigned caller, uint32_t cmd, unsigned domid, struct xen_domctl *op)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = (domid_t)domid;
    return call(caller, __HYPERVISOR_domctl, op, sizeof(*op));
}

static int64_t sysctl(unsigned caller, uint32_t cmd, struct xen_sysctl *op)
{
    op->cmd = cmd;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return call(caller, __HYPERVISOR_sysctl, op, sizeof(*op));
}

XEN_TEST(domain_info)
{
    struct xen_domctl op = {0};

    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_getdomaininfo, 1, &op), 0);
    ck_assert_uint_eq(op.domain, 1);
    ck_assert_uint_eq(op.u.getdomaininfo.domain, 1);
    ck_assert_uint_eq(op.u.getdomaininfo.flags & (XEN_DOMINF_hvm_guest | XEN_DOMINF_hap),
                      XEN_DOMINF_hvm_guest | XEN_DOMINF_hap);
    ck_assert_uint_eq(op.u.getdomaininfo.flags & (XEN_DOMINF_shutdown | XEN_DOMINF_dying | XEN_DOMINF_paused), 0);
    ck_assert_uint_ne(op.u.getdomaininfo.flags & XEN_DOMINF_running, 0); /* this thread */
    ck_assert_uint_ge(op.u.getdomaininfo.tot_pages, guest_ram_pages());
    ck_assert_uint_ge(op.u.getdomaininfo.max_pages, op.u.getdomaininfo.tot_pages);
    ck_assert_uint_eq(op.u.getdomaininfo.nr_online_vcpus, GUEST_VCPUS);
    ck_assert_uint_eq(op.u.getdomaininfo.max_vcpu_id, GUEST_VCPUS - 1);
    ck_assert_uint_eq(op.u.getdomaininfo.handle[6] >> 4, 4); /* a random UUID */
    ck_assert_uint_eq(UINT64_C(1) << op.u.getdomaininfo.gpaddr_bits, GUEST_GFN_LIMIT * GUEST_PAGE_SIZE);
}

/* It answers for the first domain from the number on: how tools walk the list. */
XEN_TEST(next_domain_info)
{
    struct xen_domctl op = {0};

    ck_assert_int_eq(xen_domain_create_host(DRIVER_DOMAIN), 0);
    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_getdomaininfo, 0, &op), 0);
    ck_assert_uint_eq(op.domain, 0);
    ck_assert_uint_eq(op.u.getdomaininfo.flags & XEN_DOMINF_hvm_guest, 0);
    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_getdomaininfo, 2, &op), 0);
    ck_assert_uint_eq(op.domain, DRIVER_DOMAIN);
    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_getdomaininfo, DRIVER_DOMAIN + 1, &op), -XEN_ESRCH);
    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_getdomaininfo, DOMID_FIRST_RESERVED, &op), -XEN_EINVAL);
}

XEN_TEST(vcpu_info)
{
    struct xen_domctl op = {0};

    KeSetSystemAffinityThread(1); /* the vCPU asked about is the one that asks */
    op.u.getvcpuinfo.vcpu = 0;
    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_getvcpuinfo, 1, &op), 0);
    KeRevertToUserAffinityThread();
    ck_assert_uint_eq(op.u.getvcpuinfo.online, 1);
    ck_assert_uint_eq(op.u.getvcpuinfo.running, 1);
    ck_assert_uint_eq(op.u.getvcpuinfo.blocked, 0);
    op.u.getvcpuinfo.vcpu = GUEST_VCPUS;
    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_getvcpuinfo, 1, &op), -XEN_ESRCH);
    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_getvcpuinfo, NO_DOMAIN, &op), -XEN_ESRCH);
}

static uint64_t vcpu_time(unsigned index)
{
    struct xen_domctl op = {0};

    op.u.getvcpuinfo.vcpu = index;
    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_getvcpuinfo, 1, &op), 0);
    return op.u.getvcpuinfo.cpu_time;
}

static uint64_t domain_time(unsigned domid)
{
    struct xen_domctl op = {0};

    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_getdomaininfo, domid, &op), 0);
    return op.u.getdomaininfo.cpu_time;
}

/* Time is what vCPUs ran: not what they waited for an interrupt. */
XEN_TEST(time_of_vcpus)
{
    LARGE_INTEGER due = {.QuadPart = -1000000};
    uint64_t all, own, dom0;

    stay_on(0);
    own = vcpu_time(0);
    all = domain_time(1);
    dom0 = domain_time(XEN_DOM0);
    (void)KeDelayExecutionThread(KernelMode, FALSE, &due);
    ck_assert_uint_lt(vcpu_time(0) - own, 50000000);
    ck_assert_uint_lt(domain_time(1) - all, 50000000);
    ck_assert_uint_lt(domain_time(XEN_DOM0) - dom0, 50000000);

    own = vcpu_time(0);
    all = vcpu_time(1);
    for (unsigned i = 0; i < 100; i++)
        KeStallExecutionProcessor(100);
    ck_assert_uint_ge(vcpu_time(0) - own, 10000000);
    ck_assert_uint_lt(vcpu_time(1) - all, 10000000);
}

XEN_TEST(memory_limit)
{
    struct xen_domctl op = {0};

    op.u.max_mem.max_memkb = 5000 * 4;
    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_max_mem, 1, &op), 0);
    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_getdomaininfo, 1, &op), 0);
    ck_assert_uint_eq(op.u.getdomaininfo.max_pages, 5000);
}

XEN_TEST(host_and_list)
{
    struct xen_sysctl op = {0};
    struct xen_domctl_getdomaininfo info[2];

    ck_assert_int_eq(sysctl(XEN_DOM0, XEN_SYSCTL_physinfo, &op), 0);
    ck_assert_uint_eq(op.u.physinfo.nr_cpus, GUEST_VCPUS);
    ck_assert_uint_eq(op.u.physinfo.total_pages, guest_ram_pages());
    ck_assert_uint_lt(op.u.physinfo.free_pages, op.u.physinfo.total_pages);
    ck_assert_uint_ne(op.u.physinfo.capabilities & XEN_SYSCTL_PHYSCAP_hvm, 0);

    memset(&op, 0, sizeof(op));
    op.u.getdomaininfolist.max_domains = 2;
    op.u.getdomaininfolist.buffer.p = (void *)(uintptr_t)(BASE + LIST_OFFSET);
    ck_assert_int_eq(sysctl(XEN_DOM0, XEN_SYSCTL_getdomaininfolist, &op), 0);
    ck_assert_uint_eq(op.u.getdomaininfolist.num_domains, 2);
    memcpy(info, arena + LIST_OFFSET, sizeof(info));
    ck_assert_uint_eq(info[0].domain, 0);
    ck_assert_uint_eq(info[1].domain, 1);
    op.u.getdomaininfolist.max_domains = 1;
    op.u.getdomaininfolist.first_domain = 1;
    ck_assert_int_eq(sysctl(XEN_DOM0, XEN_SYSCTL_getdomaininfolist, &op), 0);
    ck_assert_uint_eq(op.u.getdomaininfolist.num_domains, 1);
    op.u.getdomaininfolist.buffer.p = (void *)(uintptr_t)(BASE + sizeof(arena) - 8);
    ck_assert_int_eq(sysctl(XEN_DOM0, XEN_SYSCTL_getdomaininfolist, &op), -XEN_EFAULT);
}

XEN_TEST(refusals)
{
    struct xen_domctl domain = {.cmd = XEN_DOMCTL_getdomaininfo, .interface_version = XEN_DOMCTL_INTERFACE_VERSION - 1};
    struct xen_sysctl host = {.cmd = XEN_SYSCTL_physinfo, .interface_version = XEN_SYSCTL_INTERFACE_VERSION + 1};
    const uint64_t bad[5] = {BASE - 8};

    ck_assert_int_eq(call(XEN_DOM0, __HYPERVISOR_domctl, &domain, sizeof(domain)), -XEN_EACCES);
    ck_assert_int_eq(call(XEN_DOM0, __HYPERVISOR_sysctl, &host, sizeof(host)), -XEN_EACCES);
    ck_assert_int_eq(xen_host_hypercall(XEN_DOM0, __HYPERVISOR_domctl, bad, &memory), -XEN_EFAULT);
    ck_assert_int_eq(xen_host_hypercall(XEN_DOM0, __HYPERVISOR_sysctl, bad, &memory), -XEN_EFAULT);
    ck_assert_int_eq(domctl(XEN_DOM0, XEN_DOMCTL_createdomain, 1, &domain), -XEN_ENOSYS);
    ck_assert_int_eq(sysctl(XEN_DOM0, XEN_SYSCTL_availheap, &host), -XEN_ENOSYS);
    ck_assert_int_eq(xen_domain_create_host(DRIVER_DOMAIN), 0);
    ck_assert_int_eq(domctl(DRIVER_DOMAIN, XEN_DOMCTL_getdomaininfo, 1, &domain), -XEN_EPERM);
    ck_assert_int_eq(sysctl(DRIVER_DOMAIN, XEN_SYSCTL_physinfo, &host), -XEN_EPERM);
}

int main(void)
{
    Suite *suite = suite_create("domctl");
    TCase *tcase = tcase_create("domctl");

    tcase_add_test(tcase, domain_info);
    tcase_add_test(tcase, next_domain_info);
    tcase_add_test(tcase, vcpu_info);
    tcase_add_test(tcase, time_of_vcpus);
    tcase_add_test(tcase, memory_limit);
    tcase_add_test(tcase, host_and_list);
    tcase_add_test(tcase, refusals);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
