/*
 * The classic hypercall page: the guest names a page of its own by the MSR of CPUID leaf base+2, and calls entries of
 * 32 bytes in it. Arguments in rdi, rsi, rdx, r10, r8; result in rax; every other register as it was
 * (public/arch-x86/xen-x86_64.h).
 */
#include "xen/xen_guest.h"

#define ENTRY_BYTES 32u

/* What registers hold around a call. */
struct registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, flags;
};

static uint8_t *page;

static void install(void)
{
    int leaf[4];

    page = pages_take(1, 0x55);
    __cpuid(leaf, XEN_CPUID_LEAF(2));
    ck_assert_int_eq(leaf[0], 1);
    __writemsr((ULONG)leaf[1], frame_of(page) << GUEST_PAGE_SHIFT);
}

/* The documented call. No argument register is listed as clobbered: they keep their values. */
static int64_t page_call(unsigned operation, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    register uint64_t r10 __asm__("r10") = a4;
    register uint64_t r8 __asm__("r8") = a5;
    register void *entry __asm__("r12") = page + operation * ENTRY_BYTES;
    int64_t result;

    __asm__ volatile("movq %%rsp, %%r13\n\t"
                     "subq $128, %%rsp\n\t" /* the red zone */
                     "andq $-16, %%rsp\n\t"
                     "call *%[entry]\n\t"
                     "movq %%r13, %%rsp"
                     : "=a"(result), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8)
                     : [entry] "r"(entry)
                     : "r13", "memory", "cc");
    return result;
}

XEN_TEST(version_by_page)
{
    xen_extraversion_t direct;
    xen_extraversion_t by_page;

    install();
    ck_assert_int_eq(page_call(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0), 4 << 16 | 17);
    ck_assert_int_eq(call_version(XENVER_extraversion, direct), 0);
    memset(by_page, 0xAA, sizeof(by_page));
    ck_assert_int_eq(page_call(__HYPERVISOR_xen_version, XENVER_extraversion, at(by_page), 0, 0, 0), 0);
    ck_assert_int_eq(memcmp(direct, by_page, sizeof(direct)), 0);
}

XEN_TEST(event_channel_by_page)
{
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};
    struct evtchn_close close;

    install();
    ck_assert_int_eq(page_call(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, at(&alloc), 0, 0, 0), 0);
    ck_assert_uint_ne(alloc.port, 0);
    ck_assert_uint_eq(port_status(alloc.port).status, EVTCHNSTAT_unbound);
    close.port = alloc.port;
    ck_assert_int_eq(page_call(__HYPERVISOR_event_channel_op, EVTCHNOP_close, at(&close), 0, 0, 0), 0);
    ck_assert_uint_eq(port_status(alloc.port).status, EVTCHNSTAT_closed);
    ck_assert_xen_error(page_call(__HYPERVISOR_event_channel_op, EVTCHNOP_close, at(&close), 0, 0, 0), XEN_EINVAL);
}

/* A third argument comes through: the count of a grant operation. */
XEN_TEST(third_argument)
{
    struct gnttab_query_size query[2];

    install();
    memset(query, 0, sizeof(query));
    query[0].dom = DOMID_SELF;
    ck_assert_int_eq(page_call(__HYPERVISOR_grant_table_op, GNTTABOP_query_size, at(query), 1, 0, 0), 0);
    ck_assert_int_eq(query[0].status, GNTST_okay);
    ck_assert_xen_error(page_call(__HYPERVISOR_grant_table_op, GNTTABOP_query_size, at(query), 2, 0, 0), XEN_EINVAL);
}

XEN_TEST(no_such_operation)
{
    static const unsigned none[] = {50, 55, 63, 100, 127};

    install();
    for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        ck_assert_xen_error(page_call(none[i], 0, 0, 0, 0, 0), XEN_ENOSYS);
    ck_assert_xen_error(page_call(__HYPERVISOR_event_channel_op, 99, 0, 0, 0, 0), XEN_ENOSYS);
}

XEN_TEST(bad_pointer)
{
    install();
    ck_assert_xen_error(page_call(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, BAD_POINTER, 0, 0, 0),
                        XEN_EFAULT);
}

/*
 * Load every register but rsp from `in`, call, and store them all to `out`. The two and the entry are kept on the
 * stack, which is 8 bytes off the alignment of a C call here: the entry must not depend on it.
 */
__attribute__((naked, noinline)) static void call_with_registers(__attribute__((unused)) const struct registers *in,
                                                                 __attribute__((unused)) struct registers *out,
                                                                 __attribute__((unused)) void *entry)
{
    __asm__("pushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
            "pushq %rsi\n\t" /* out */
            "pushq %rdx\n\t" /* entry */
            "movq 0(%rdi), %rax\n\tmovq 8(%rdi), %rbx\n\tmovq 16(%rdi), %rcx\n\tmovq 24(%rdi), %rdx\n\t"
            "movq 32(%rdi), %rsi\n\tmovq 48(%rdi), %rbp\n\tmovq 56(%rdi), %r8\n\tmovq 64(%rdi), %r9\n\t"
            "movq 72(%rdi), %r10\n\tmovq 80(%rdi), %r11\n\tmovq 88(%rdi), %r12\n\tmovq 96(%rdi), %r13\n\t"
            "movq 104(%rdi), %r14\n\tmovq 112(%rdi), %r15\n\t"
            "pushq 120(%rdi)\n\tpopfq\n\t"
            "movq 40(%rdi), %rdi\n\t"
            "call *(%rsp)\n\t"
            "pushfq\n\t"
            "pushq %rdi\n\t"
            "movq 24(%rsp), %rdi\n\t" /* out, below it: rdi, flags, entry */
            "movq %rax, 0(%rdi)\n\tmovq %rbx, 8(%rdi)\n\tmovq %rcx, 16(%rdi)\n\tmovq %rdx, 24(%rdi)\n\t"
            "movq %rsi, 32(%rdi)\n\tmovq %rbp, 48(%rdi)\n\tmovq %r8, 56(%rdi)\n\tmovq %r9, 64(%rdi)\n\t"
            "movq %r10, 72(%rdi)\n\tmovq %r11, 80(%rdi)\n\tmovq %r12, 88(%rdi)\n\tmovq %r13, 96(%rdi)\n\t"
            "movq %r14, 104(%rdi)\n\tmovq %r15, 112(%rdi)\n\t"
            "popq %rax\n\tmovq %rax, 40(%rdi)\n\t"
            "popq %rax\n\tmovq %rax, 120(%rdi)\n\t"
            "cld\n\t"
            "addq $16, %rsp\n\t"
            "popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbp\n\tpopq %rbx\n\t"
            "ret");
}

XEN_TEST(registers_are_kept)
{
    xen_extraversion_t text;
    struct registers in = {
        .rax = 0x1111111111111111,
        .rbx = 0x2222222222222222,
        .rcx = 0x3333333333333333,
        .rdx = 0x4444444444444444,
        .rsi = at(text),
        .rdi = XENVER_extraversion,
        .rbp = 0x5555555555555555,
        .r8 = 0x6666666666666666,
        .r9 = 0x7777777777777777,
        .r10 = 0x8888888888888888,
        .r11 = 0x9999999999999999,
        .r12 = 0xAAAAAAAAAAAAAAAA,
        .r13 = 0xBBBBBBBBBBBBBBBB,
        .r14 = 0xCCCCCCCCCCCCCCCC,
        .r15 = 0xDDDDDDDDDDDDDDDD,
        .flags = 0xCD7, /* carry, parity, adjust, zero, sign, direction, overflow: all set */
    };
    struct registers out;

    install();
    memset(&out, 0, sizeof(out));
    memset(text, 0, sizeof(text));
    call_with_registers(&in, &out, page + __HYPERVISOR_xen_version * ENTRY_BYTES);
    ck_assert_int_eq(text[0], '.');
    ck_assert_int_eq((int64_t)out.rax, 0);
    ck_assert_uint_eq(out.flags & 0xCD5, in.flags & 0xCD5);
    in.rax = out.rax;
    in.flags = out.flags;
    ck_assert_mem_eq(&in, &out, sizeof(in));
}

/* What a processor has in its vector registers, a call leaves there too. */
XEN_TEST(vector_registers_are_kept)
{
    uint8_t before[256];
    uint8_t after[256];

    install();
    for (unsigned i = 0; i < sizeof(before); i++)
        before[i] = (uint8_t)(i * 7 + 3);
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "subq $128, %%rsp\n\t"
                     "andq $-16, %%rsp\n\t"
                     "movdqu 0(%[from]), %%xmm0\n\tmovdqu 16(%[from]), %%xmm1\n\tmovdqu 32(%[from]), %%xmm2\n\t"
                     "movdqu 48(%[from]), %%xmm3\n\tmovdqu 64(%[from]), %%xmm4\n\tmovdqu 80(%[from]), %%xmm5\n\t"
                     "movdqu 96(%[from]), %%xmm6\n\tmovdqu 112(%[from]), %%xmm7\n\tmovdqu 128(%[from]), %%xmm8\n\t"
                     "movdqu 144(%[from]), %%xmm9\n\tmovdqu 160(%[from]), %%xmm10\n\tmovdqu 176(%[from]), %%xmm11\n\t"
                     "movdqu 192(%[from]), %%xmm12\n\tmovdqu 208(%[from]), %%xmm13\n\tmovdqu 224(%[from]), %%xmm14\n\t"
                     "movdqu 240(%[from]), %%xmm15\n\t"
                     "call *%[entry]\n\t"
                     "movdqu %%xmm0, 0(%[to])\n\tmovdqu %%xmm1, 16(%[to])\n\tmovdqu %%xmm2, 32(%[to])\n\t"
                     "movdqu %%xmm3, 48(%[to])\n\tmovdqu %%xmm4, 64(%[to])\n\tmovdqu %%xmm5, 80(%[to])\n\t"
                     "movdqu %%xmm6, 96(%[to])\n\tmovdqu %%xmm7, 112(%[to])\n\tmovdqu %%xmm8, 128(%[to])\n\t"
                     "movdqu %%xmm9, 144(%[to])\n\tmovdqu %%xmm10, 160(%[to])\n\tmovdqu %%xmm11, 176(%[to])\n\t"
                     "movdqu %%xmm12, 192(%[to])\n\tmovdqu %%xmm13, 208(%[to])\n\tmovdqu %%xmm14, 224(%[to])\n\t"
                     "movdqu %%xmm15, 240(%[to])\n\t"
                     "movq %%rbx, %%rsp"
                     :
                     : [from] "r"(before), [to] "r"(after), [entry] "r"(page + __HYPERVISOR_xen_version * ENTRY_BYTES),
                       "D"((uint64_t)XENVER_version), "S"((uint64_t)0)
                     : "rax", "rbx", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    ck_assert_mem_eq(before, after, sizeof(before));
}

/* A second page may be installed; the first goes on working. */
XEN_TEST(two_pages)
{
    uint8_t *first;

    install();
    first = page;
    install();
    ck_assert_ptr_ne(page, first);
    ck_assert_int_eq(page_call(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0), 4 << 16 | 17);
    page = first;
    ck_assert_int_eq(page_call(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0), 4 << 16 | 17);
}

/* On every vCPU the calls are that vCPU's: an IPI channel is refused for a vCPU that is not there. */
XEN_TEST(other_vcpu)
{
    struct vcpu_runstate_info state;

    install();
    stay_on(1);
    ck_assert_int_eq(page_call(__HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0, 0, 0), 1);
    ck_assert_int_eq(page_call(__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 1, at(&state), 0, 0), 0);
    ck_assert_int_eq(state.state, RUNSTATE_running);
    ck_assert_xen_error(page_call(__HYPERVISOR_vcpu_op, VCPUOP_is_up, GUEST_VCPUS, 0, 0, 0), XEN_ENOENT);
    ck_assert_uint_ge(xen_hypercall_count(__HYPERVISOR_vcpu_op), 3);
}

int main(void)
{
    Suite *suite = suite_create("hypercall page");
    TCase *tcase = tcase_create("calls");

    tcase_add_test(tcase, version_by_page);
    tcase_add_test(tcase, event_channel_by_page);
    tcase_add_test(tcase, third_argument);
    tcase_add_test(tcase, no_such_operation);
    tcase_add_test(tcase, bad_pointer);
    tcase_add_test(tcase, registers_are_kept);
    tcase_add_test(tcase, vector_registers_are_kept);
    tcase_add_test(tcase, two_pages);
    tcase_add_test(tcase, other_vcpu);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
