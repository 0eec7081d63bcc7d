/*
 * For the tests of the simulated Xen: a guest domain on a small machine, its hypercalls, its pages. Arguments of
 * hypercalls lie on the guest thread's stack, which is guest memory.
 */
#ifndef TESTS_XEN_XEN_GUEST_H
#define TESTS_XEN_XEN_GUEST_H

#include <string.h>

#include "common/guest.h"
#include "machine/guest_ram.h"
#include "nt/ke/ke.h"
#include "nt/nt.h"
#include "xen/platform.h"
#include "xen/xen.h"

#include <xen/arch-x86/cpuid.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define GUEST_TAG ((ULONG)'X' | (ULONG)'e' << 8 | (ULONG)'n' << 16 | (ULONG)'T' << 24)
#define NO_DOMAIN 77u             /* a domain that does not exist */
#define BAD_POINTER UINT64_C(8)   /* a guest virtual address where nothing lies */
#define HOLE GUEST_HOLE_FIRST_GFN /* frames without memory: the platform device's second BAR */
#define GUEST_VCPUS 2u

/* ---- a test in a guest ---- */

struct domain_test {
    unsigned vcpus;
    void (*function)(void);
};

/* A domain with libxl's limits: its number or an error. */
static inline int domain_make(unsigned vcpus)
{
    struct xen_domain_config config = xen_domain_default_config(vcpus);

    return xen_domain_create(&config);
}

static inline void domain_enter(void *argument)
{
    const struct domain_test *test = argument;

    ck_assert_int_eq(domain_make(test->vcpus), 1);
    test->function();
}

/* Run in a guest thread on vCPU 0 of domain 1. */
static inline void domain_run(unsigned vcpus, void (*function)(void))
{
    struct machine_config config = guest_config(vcpus);
    struct domain_test test = {.vcpus = vcpus, .function = function};

    guest_run_with(&config, domain_enter, &test);
}

#define XEN_TEST(name)                                                                                                 \
    static void name##_in_guest(void);                                                                                 \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        domain_run(GUEST_VCPUS, name##_in_guest);                                                                      \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name##_in_guest(void)

/* ---- hypercalls ---- */

static inline uint64_t at(const volatile void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

static inline int64_t call_memory(uint64_t operation, void *argument)
{
    return xen_hypercall(__HYPERVISOR_memory_op, operation, at(argument), 0, 0, 0);
}

/* The operation as Xen goes on with it, `start` of its list being done: in the bits above the operation's six. */
static inline uint64_t memory_from(unsigned operation, uint64_t start)
{
    return operation | start << 6;
}

static inline int64_t call_evtchn(uint64_t operation, void *argument)
{
    return xen_hypercall(__HYPERVISOR_event_channel_op, operation, at(argument), 0, 0, 0);
}

static inline int64_t call_grant(uint64_t operation, void *argument, unsigned count)
{
    return xen_hypercall(__HYPERVISOR_grant_table_op, operation, at(argument), count, 0, 0);
}

static inline int64_t call_hvm(uint64_t operation, void *argument)
{
    return xen_hypercall(__HYPERVISOR_hvm_op, operation, at(argument), 0, 0, 0);
}

static inline int64_t call_sched(uint64_t operation, void *argument)
{
    return xen_hypercall(__HYPERVISOR_sched_op, operation, at(argument), 0, 0, 0);
}

static inline int64_t call_vcpu(uint64_t operation, unsigned vcpu, void *argument)
{
    return xen_hypercall(__HYPERVISOR_vcpu_op, operation, vcpu, at(argument), 0, 0);
}

static inline int64_t call_version(uint64_t operation, void *argument)
{
    return xen_hypercall(__HYPERVISOR_xen_version, operation, at(argument), 0, 0, 0);
}

/* ---- time and place ---- */

/* On this vCPU only, from now on. */
static inline void stay_on(unsigned vcpu)
{
    KeSetSystemAffinityThread((KAFFINITY)1 << vcpu);
    ck_assert_uint_eq(KeGetCurrentProcessorNumberEx(NULL), vcpu);
}

static inline void sleep_us(LONGLONG microseconds)
{
    LARGE_INTEGER interval = {.QuadPart = -10 * microseconds};

    ck_assert_int_eq(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
}

/* A system thread; the reference that comes back is thread_join()'s. */
static inline PKTHREAD thread_start(PKSTART_ROUTINE routine, PVOID context)
{
    HANDLE handle;
    PVOID thread;

    ck_assert_int_eq(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, routine, context),
                     STATUS_SUCCESS);
    ck_assert_int_eq(ObReferenceObjectByHandle(handle, SYNCHRONIZE, *PsThreadType, KernelMode, &thread, NULL),
                     STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(handle), STATUS_SUCCESS);
    return thread;
}

static inline void thread_join(PKTHREAD thread)
{
    ck_assert_int_eq(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ObDereferenceObject(thread);
}

/* ---- memory ---- */

/* Pages of the guest's RAM in a row, filled with `fill`. */
static inline uint8_t *pages_take(unsigned count, uint8_t fill)
{
    PHYSICAL_ADDRESS highest = {.QuadPart = -1};
    uint8_t *pages = MmAllocateContiguousMemory(count * GUEST_PAGE_SIZE, highest);

    ck_assert_ptr_nonnull(pages);
    memset(pages, fill, count * GUEST_PAGE_SIZE);
    return pages;
}

static inline uint64_t frame_of(void *address)
{
    return (uint64_t)MmGetPhysicalAddress(address).QuadPart >> GUEST_PAGE_SHIFT;
}

static inline int64_t physmap_add(unsigned space, uint64_t index, uint64_t gfn)
{
    struct xen_add_to_physmap add = {.domid = DOMID_SELF, .space = space, .idx = index, .gpfn = gfn};

    return call_memory(XENMEM_add_to_physmap, &add);
}

static inline int64_t physmap_take(uint64_t gfn)
{
    struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = gfn};

    return call_memory(XENMEM_remove_from_physmap, &remove);
}

/* Frames of the hole as the guest's virtual memory. */
static inline void *map_frames(uint64_t gfn, unsigned count)
{
    PHYSICAL_ADDRESS address = {.QuadPart = (LONGLONG)(gfn << GUEST_PAGE_SHIFT)};
    void *mapped = MmMapIoSpace(address, count * GUEST_PAGE_SIZE, MmCached);

    ck_assert_ptr_nonnull(mapped);
    return mapped;
}

/* The shared info page at the hole's first frame, as drivers have it. */
static inline volatile struct shared_info *map_shared_info(void)
{
    ck_assert_int_eq(physmap_add(XENMAPSPACE_shared_info, 0, HOLE), 0);
    return map_frames(HOLE, 1);
}

/* The first frame of the grant table at the hole's second frame. */
static inline volatile grant_entry_v1_t *map_grant_table(void)
{
    ck_assert_int_eq(physmap_add(XENMAPSPACE_grant_table, 0, HOLE + 1), 0);
    return map_frames(HOLE + 1, 1);
}

/* ---- parameters ---- */

static inline int64_t param_get(unsigned index, uint64_t *value)
{
    struct xen_hvm_param param = {.domid = DOMID_SELF, .index = index};
    int64_t result = call_hvm(HVMOP_get_param, &param);

    *value = param.value;
    return result;
}

static inline int64_t param_set(unsigned index, uint64_t value)
{
    struct xen_hvm_param param = {.domid = DOMID_SELF, .index = index, .value = value};

    return call_hvm(HVMOP_set_param, &param);
}

static inline uint64_t param(unsigned index)
{
    uint64_t value;

    ck_assert_int_eq(param_get(index, &value), 0);
    return value;
}

/* ---- event channels ---- */

/* Check's macros take an expression apart; the results here are errors far more often than not. */
#define ck_assert_xen_error(call, error) ck_assert_int_eq((call), -(error))

static inline evtchn_port_t port_for(unsigned remote)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = (domid_t)remote};

    ck_assert_int_eq(call_evtchn(EVTCHNOP_alloc_unbound, &alloc), 0);
    ck_assert_uint_ne(alloc.port, 0);
    return alloc.port;
}

static inline int64_t port_close(evtchn_port_t port)
{
    struct evtchn_close close = {.port = port};

    return call_evtchn(EVTCHNOP_close, &close);
}

static inline int64_t port_send(evtchn_port_t port)
{
    struct evtchn_send send = {.port = port};

    return call_evtchn(EVTCHNOP_send, &send);
}

static inline int64_t port_unmask(evtchn_port_t port)
{
    struct evtchn_unmask unmask = {.port = port};

    return call_evtchn(EVTCHNOP_unmask, &unmask);
}

static inline struct evtchn_status port_status(evtchn_port_t port)
{
    struct evtchn_status status = {.dom = DOMID_SELF, .port = port, .status = 99};

    ck_assert_int_eq(call_evtchn(EVTCHNOP_status, &status), 0);
    return status;
}

#endif
