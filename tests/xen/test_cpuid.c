/* CPUID leaves of Xen and its hypercall MSR (public/arch-x86/cpuid.h). */
#include "xen/xen_guest.h"

enum { EAX, EBX, ECX, EDX };

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    int registers[4];

    __cpuidex(registers, (int)leaf, (int)subleaf);
    memcpy(out, registers, sizeof(registers));
}

/* The way of a driver: the base is wherever in the range the signature is found. */
static uint32_t find_base(void)
{
    uint32_t out[4];

    for (uint32_t base = 0x40000000; base < 0x40010000; base += 0x100) {
        cpuid(base, 0, out);
        if (memcmp(&out[EBX], "XenVMMXenVMM", 12) == 0)
            return base;
    }
    ck_abort_msg("no base leaf has Xen's signature");
}

XEN_TEST(signature)
{
    uint32_t out[4];

    cpuid(1, 0, out);
    ck_assert_msg((out[ECX] & 1u << 31) != 0, "leaf 1 does not say that there is a hypervisor");
    ck_assert_uint_eq(find_base(), XEN_CPUID_LEAF(0));
    cpuid(XEN_CPUID_LEAF(0), 0, out);
    ck_assert_uint_eq(out[EBX], XEN_CPUID_SIGNATURE_EBX);
    ck_assert_uint_eq(out[ECX], XEN_CPUID_SIGNATURE_ECX);
    ck_assert_uint_eq(out[EDX], XEN_CPUID_SIGNATURE_EDX);
    ck_assert_uint_ge(out[EAX], XEN_CPUID_LEAF(4));
    ck_assert_uint_le(out[EAX], XEN_CPUID_LEAF(XEN_CPUID_MAX_NUM_LEAVES));
    cpuid(XEN_CPUID_LEAF(0) + 0x100, 0, out); /* no second base */
    ck_assert_int_ne(memcmp(&out[EBX], "XenVMMXenVMM", 12), 0);
}

XEN_TEST(version)
{
    uint32_t out[4];

    cpuid(find_base() + 1, 0, out);
    ck_assert_uint_eq(out[EAX] >> 16, 4);
    ck_assert_uint_eq(out[EAX] & 0xFFFF, 17);
    ck_assert_uint_eq(out[EBX], 0);
    ck_assert_uint_eq(out[ECX], 0);
    ck_assert_uint_eq(out[EDX], 0);
    ck_assert_int_eq(call_version(XENVER_version, NULL), (int64_t)out[EAX]);
}

XEN_TEST(hypercall_pages)
{
    uint32_t out[4];

    cpuid(find_base() + 2, 0, out);
    ck_assert_uint_eq(out[EAX], 1);
    ck_assert_uint_eq(out[EBX], 0x40000000);
    ck_assert_uint_eq(out[ECX], 0); /* XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD is of PV guests */
    (void)__readmsr(out[EBX]);      /* can be read */
}

XEN_TEST(time_scale)
{
    uint32_t out[4];
    uint64_t before;
    uint64_t after;
    uint64_t scaled;

    cpuid(find_base() + 3, 0, out);
    ck_assert_uint_gt(out[ECX], 0); /* guest TSC frequency in kHz */
    before = out[ECX];
    cpuid(find_base() + 3, 2, out);
    ck_assert_uint_eq(out[EAX], before); /* the host's is the same */
    /* Subleaf 1 converts ticks to nanoseconds as vcpu_time_info does. */
    cpuid(find_base() + 3, 1, out);
    before = __rdtsc();
    sleep_us(1000);
    after = __rdtsc();
    scaled = after - before;
    scaled = (int8_t)out[EDX] >= 0 ? scaled << (int8_t)out[EDX] : scaled >> -(int8_t)out[EDX];
    scaled = (uint64_t)(((unsigned __int128)scaled * out[ECX]) >> 32);
    ck_assert_uint_ge(scaled, 1000000);
    ck_assert_uint_lt(scaled, 40000000); /* up to a clock tick later, and what it costs */
}

XEN_TEST(vcpu_and_domain)
{
    uint32_t base = find_base();
    uint32_t out[4];

    for (unsigned vcpu = 0; vcpu < GUEST_VCPUS; vcpu++) {
        stay_on(vcpu);
        cpuid(base + 4, 0, out);
        ck_assert_uint_ne(out[EAX] & XEN_HVM_CPUID_VCPU_ID_PRESENT, 0);
        ck_assert_uint_eq(out[EBX], vcpu);
        ck_assert_uint_ne(out[EAX] & XEN_HVM_CPUID_DOMID_PRESENT, 0);
        ck_assert_uint_eq(out[ECX], 1);
        ck_assert_uint_ne(out[EAX] & XEN_HVM_CPUID_UPCALL_VECTOR, 0);
        ck_assert_uint_eq(out[EAX] & (XEN_HVM_CPUID_APIC_ACCESS_VIRT | XEN_HVM_CPUID_X2APIC_VIRT), 0);
    }
    cpuid(base + 4, 1, out); /* there is subleaf 0 only */
    for (unsigned i = EAX; i <= EDX; i++)
        ck_assert_uint_eq(out[i], 0);
    cpuid(base + 6, 0, out); /* nor is there a leaf beyond the last */
    for (unsigned i = EAX; i <= EDX; i++)
        ck_assert_uint_eq(out[i], 0);
}

/* ---- what is refused ---- */

static void write_other_msr(void *argument)
{
    (void)argument;
    ck_assert_int_eq(domain_make(2), 1);
    __writemsr(0x40000001, 0);
}

static void write_second_page(void *argument)
{
    uint8_t *page;

    (void)argument;
    ck_assert_int_eq(domain_make(2), 1);
    page = pages_take(1, 0);
    __writemsr(0x40000000, frame_of(page) << GUEST_PAGE_SHIFT | 1); /* the low bits choose the page, of one */
}

static void write_hole(void *argument)
{
    (void)argument;
    ck_assert_int_eq(domain_make(2), 1);
    __writemsr(0x40000000, HOLE << GUEST_PAGE_SHIFT);
}

static void write_without_xen(void *argument)
{
    (void)argument;
    __writemsr(0x40000000, 0x1000000);
}

START_TEST(general_protection)
{
    static void (*const wrong[])(void *) = {write_other_msr, write_second_page, write_hole, write_without_xen};
    struct machine_config config = guest_config(2);

    config.log_level = LOG_NONE;
    (void)guest_must_fail(&config, wrong[_i], NULL, "general-protection");
}
END_TEST

static void look_without_domain(void *argument)
{
    uint32_t out[4];

    (void)argument;
    cpuid(0x40000000, 0, out);
    ck_assert_int_ne(memcmp(&out[EBX], "XenVMMXenVMM", 12), 0);
}

START_TEST(bare_machine)
{
    guest_run(look_without_domain, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpuid");
    TCase *tcase = tcase_create("leaves");

    tcase_add_test(tcase, signature);
    tcase_add_test(tcase, version);
    tcase_add_test(tcase, hypercall_pages);
    tcase_add_test(tcase, time_scale);
    tcase_add_test(tcase, vcpu_and_domain);
    tcase_add_test(tcase, bare_machine);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("MSR");
    tcase_add_loop_test(tcase, general_protection, 0, 4);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
