/*
 * Host profiles: what each release of Xen and each of a host's settings show the guest; the Viridian interface and
 * Xen's leaves and register above it.
 */
#include "xen/xen_guest.h"

#include "common/hosts.h"
#include "machine/clock.h"
#include "xen/profile.h"

#define MSR_OS_ID 0x40000000u
#define MSR_HYPERCALL 0x40000001u
#define WINDOWS (UINT64_C(1) << 48 | UINT64_C(4) << 40 | UINT64_C(10) << 32 | 19041) /* Microsoft, NT 10.0 */

static void on_host(const char *host, void (*function)(void))
{
    struct machine_config config = guest_config(GUEST_VCPUS);
    struct domain_test test = {.vcpus = GUEST_VCPUS, .function = function};

    ck_assert(xen_host_parse(host, &config.host));
    guest_run_with(&config, domain_enter, &test);
}

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    ck_assert(xen_cpuid(leaf, subleaf, out));
}

static uint32_t eax(uint32_t leaf)
{
    uint32_t out[4];

    cpuid(leaf, 0, out);
    return out[0];
}

static uint32_t features(void)
{
    xen_feature_info_t info = {0};

    ck_assert_int_eq(call_version(XENVER_get_features, &info), 0);
    return info.submap;
}

static uint32_t max_grant_version(void)
{
    struct gnttab_set_version op = {.version = 2};

    (void)call_grant(GNTTABOP_set_version, &op, 1); /* what came of it is in the structure */
    return op.version;
}

static int64_t set_vector(void)
{
    struct xen_hvm_evtchn_upcall_vector op = {.vcpu = 1, .vector = 0xF0};

    return call_hvm(HVMOP_set_evtchn_upcall_vector, &op);
}

/* ---- names ---- */

START_TEST(names)
{
    static const char *const bad[] = {"",
                                      "xen",
                                      "xen-4.18",
                                      "xen-4.1",
                                      "xen-4.170",
                                      "xen-4.17,",
                                      "xen-4.17,v",
                                      "viridian",
                                      "xen-4.17 ",
                                      "xen-4.17,,viridian",
                                      "Xen-4.17",
                                      "4.17",
                                      ",viridian",
                                      "xen-4.17,grant-v2",
                                      "none,grant-v1",
                                      "none,no-vectors",
                                      "none,xen-4.17"};
    struct machine_host host = {.xen_minor = 99};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(!xen_host_parse(bad[i], &host), "'%s' is taken", bad[i]);
        ck_assert_uint_eq(host.xen_minor, 99);
    }
    ck_assert(xen_host_parse("xen-4.13", &host));
    ck_assert(host.xen_minor == 13 && !host.grant_v1 && !host.no_vectors && !host.viridian);
    ck_assert(xen_host_parse("xen-4.19,viridian,grant-v1", &host));
    ck_assert(host.xen_minor == 19 && host.grant_v1 && !host.no_vectors && host.viridian);
    ck_assert(xen_host_parse("xen-4.17,no-vectors", &host));
    ck_assert(host.xen_minor == 17 && !host.grant_v1 && host.no_vectors && !host.viridian);
    ck_assert(xen_host_parse("none", &host));
    ck_assert(host.xen_minor == XEN_MINOR_NONE && !host.viridian);
    ck_assert(xen_host_parse("none,viridian", &host));
    ck_assert(host.xen_minor == XEN_MINOR_NONE && host.viridian);
}
END_TEST

/* ---- releases ---- */

static void is_4_13(void)
{
    char extra[XEN_EXTRAVERSION_LEN];

    ck_assert_int_eq(call_version(XENVER_version, NULL), 4 << 16 | 13);
    ck_assert_int_eq(call_version(XENVER_extraversion, extra), 0);
    ck_assert_str_eq(extra, ".5");
    ck_assert_uint_eq(eax(0x40000001), 4 << 16 | 13);
    ck_assert_uint_eq(features() & 1u << XENFEAT_not_direct_mapped, 0);
    ck_assert_uint_eq(eax(0x40000004) & XEN_HVM_CPUID_UPCALL_VECTOR, 0);
    ck_assert_int_eq(set_vector(), 0); /* vectors are older than the word for them */
    ck_assert_xen_error(xen_hypercall(__HYPERVISOR_hypfs_op, 0, 0, 0, 0, 0), XEN_ENOSYS);
    ck_assert_uint_eq(max_grant_version(), 2);
}

static void is_4_17(void)
{
    ck_assert_int_eq(call_version(XENVER_version, NULL), 4 << 16 | 17);
    ck_assert_uint_eq(eax(0x40000001), 4 << 16 | 17);
    ck_assert_uint_ne(features() & 1u << XENFEAT_not_direct_mapped, 0);
    ck_assert_uint_ne(eax(0x40000004) & XEN_HVM_CPUID_UPCALL_VECTOR, 0);
    ck_assert_int_eq(set_vector(), 0);
    ck_assert_xen_error(xen_hypercall(__HYPERVISOR_hypfs_op, 0, 0, 0, 0, 0), XEN_EPERM);
    ck_assert_uint_eq(max_grant_version(), 2);
}

static void is_4_19(void)
{
    ck_assert_int_eq(call_version(XENVER_version, NULL), 4 << 16 | 19);
    ck_assert_uint_eq(eax(0x40000001), 4 << 16 | 19);
    ck_assert_int_eq(set_vector(), 0);
}

START_TEST(release_4_13)
{
    on_host("xen-4.13", is_4_13);
}
END_TEST

START_TEST(release_4_17)
{
    on_host("xen-4.17", is_4_17);
}
END_TEST

START_TEST(release_4_19)
{
    on_host("xen-4.19", is_4_19);
}
END_TEST

/* ---- every release with every set of settings ---- */

static unsigned combination;

static void is_as_named(void)
{
    bool viridian = host_has(combination, HOST_VIRIDIAN);
    bool vectors = !host_has(combination, HOST_NO_VECTORS);
    bool newer = host_minor(combination) >= 17;
    uint32_t first = viridian ? 0x40000100 : 0x40000000;
    uint32_t version = 4 << 16 | host_minor(combination);
    struct evtchn_init_control fifo = {.control_gfn = frame_of(pages_take(1, 0))};
    uint32_t out[4];

    ck_assert_int_eq(call_version(XENVER_version, NULL), version);
    ck_assert_uint_eq((features() & 1u << XENFEAT_not_direct_mapped) != 0, newer);
    ck_assert_uint_ne(features() & 1u << XENFEAT_hvm_callback_vector, 0);
    cpuid(0x40000000, 0, out);
    ck_assert_mem_eq(&out[1], viridian ? "Microsoft Hv" : "XenVMMXenVMM", 12);
    cpuid(first, 0, out);
    ck_assert_mem_eq(&out[1], "XenVMMXenVMM", 12);
    ck_assert_uint_eq(eax(first + 1), version);
    cpuid(first + 2, 0, out);
    ck_assert_uint_eq(out[1], viridian ? 0x40000200 : 0x40000000);
    ck_assert_uint_eq((eax(first + 4) & XEN_HVM_CPUID_UPCALL_VECTOR) != 0, newer && vectors);
    ck_assert_int_eq(set_vector(), vectors ? 0 : -XEN_ENOSYS);
    ck_assert_uint_eq(max_grant_version(), host_has(combination, HOST_GRANT_V1) ? 1 : 2);
    ck_assert_int_eq(xen_hypercall(__HYPERVISOR_hypfs_op, 0, 0, 0, 0, 0), newer ? -XEN_EPERM : -XEN_ENOSYS);
    ck_assert_int_eq(call_evtchn(EVTCHNOP_init_control, &fifo), 0); /* all of them have it */
    ck_assert_uint_eq(fifo.link_bits, EVTCHN_FIFO_LINK_BITS);
}

START_TEST(combinations)
{
    char name[HOST_NAME_MAX];

    combination = (unsigned)_i;
    on_host(host_name(combination, name), is_as_named);
}
END_TEST

/* Without a word of it: 4.17. */
XEN_TEST(default_release)
{
    is_4_17();
}

/* ---- settings ---- */

static void only_version_1(void)
{
    ck_assert_uint_eq(max_grant_version(), 1);
}

START_TEST(grant_v1)
{
    on_host("xen-4.17,grant-v1", only_version_1);
}
END_TEST

static void without_vectors(void)
{
    ck_assert_xen_error(set_vector(), XEN_ENOSYS);
    ck_assert_uint_eq(eax(0x40000004) & XEN_HVM_CPUID_UPCALL_VECTOR, 0);
    ck_assert_int_eq(param_set(HVM_PARAM_CALLBACK_IRQ, (uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | 0xF1), 0);
}

START_TEST(no_vectors)
{
    on_host("xen-4.17,no-vectors", without_vectors);
}
END_TEST

/* ---- Viridian ---- */

static void leaves(void)
{
    uint32_t out[4];
    uint64_t id = 0;

    cpuid(0x40000000, 0, out);
    ck_assert_uint_eq(out[0], 0x40000006);
    ck_assert_mem_eq(&out[1], "Microsoft Hv", 12);
    cpuid(0x40000001, 0, out);
    ck_assert_mem_eq(&out[0], "Hv#1", 4);
    /* Version and advice are for who has said what it is. */
    ck_assert_uint_eq(eax(0x40000002), 0);
    ck_assert_uint_eq(eax(0x40000004), 0);
    ck_assert(xen_msr_write(MSR_OS_ID, WINDOWS));
    ck_assert(xen_msr_read(MSR_OS_ID, &id));
    ck_assert_uint_eq(id, WINDOWS);
    cpuid(0x40000002, 0, out);
    ck_assert_uint_eq(out[0], 0x1772);
    ck_assert_uint_eq(out[1], 6u << 16);
    cpuid(0x40000003, 0, out);
    ck_assert_uint_eq(out[0], 0x872);
    ck_assert_uint_eq(out[1], 0);
    ck_assert_uint_eq(out[3], 1u << 10 | 1u << 3);
    cpuid(0x40000004, 0, out);
    ck_assert_uint_eq(out[0], 1u << 3 | 1u << 5);
    ck_assert_uint_eq(out[1], 2047);
    ck_assert_uint_eq(eax(0x40000005), UINT32_MAX);
    ck_assert_uint_eq(eax(0x40000006), 1u << 1 | 1u << 3);
    ck_assert_uint_eq(eax(0x40000007), 0);
    /* Xen's own, above. */
    cpuid(0x40000100, 0, out);
    ck_assert_uint_eq(out[0], 0x40000105);
    ck_assert_mem_eq(&out[1], "XenVMMXenVMM", 12);
    ck_assert_uint_eq(eax(0x40000101), 4 << 16 | 17);
    cpuid(0x40000102, 0, out);
    ck_assert_uint_eq(out[0], 1);
    ck_assert_uint_eq(out[1], 0x40000200);
    ck_assert_uint_ne(eax(0x40000104), 0);
    ck_assert_uint_eq(eax(0x40000106), 0);
}

START_TEST(viridian_leaves)
{
    on_host("xen-4.17,viridian", leaves);
}
END_TEST

static void older_leaves(void)
{
    uint32_t out[4];

    cpuid(0x40000003, 0, out);
    ck_assert_uint_eq(out[3], 1u << 10);
    ck_assert_uint_eq(eax(0x40000005), 0);
}

START_TEST(viridian_leaves_of_4_13)
{
    on_host("xen-4.13,viridian", older_leaves);
}
END_TEST

static void registers(void)
{
    static const uint8_t stub[] = {0x0D, 0, 0, 0, 0x80, 0x0F, 0x01, 0xC1, 0xC3, 0xCC};
    uint8_t *page = pages_take(1, 0x11);
    uint64_t frame = frame_of(page) << GUEST_PAGE_SHIFT;
    uint64_t value = 0;
    uint64_t before = clock_now();

    stay_on(1);
    ck_assert(xen_msr_read(0x40000002, &value));
    ck_assert_uint_eq(value, 1); /* which vCPU */
    ck_assert(xen_msr_read(0x40000020, &value));
    ck_assert(value >= before / 100 && value <= clock_now() / 100);
    ck_assert(!xen_msr_write(0x40000020, 0));
    ck_assert(xen_msr_read(0x40000022, &value));
    ck_assert_uint_eq(value, XEN_TSC_KHZ * UINT64_C(1000));
    ck_assert(xen_msr_read(0x40000023, &value));
    ck_assert_uint_eq(value, 100000000);
    ck_assert(xen_msr_write(MSR_HYPERCALL, frame)); /* not enabled */
    ck_assert_uint_eq(page[0], 0x11);
    ck_assert(xen_msr_write(MSR_HYPERCALL, frame | 1));
    ck_assert_mem_eq(page, stub, sizeof(stub));
    ck_assert(xen_msr_read(MSR_HYPERCALL, &value));
    ck_assert_uint_eq(value, frame | 1);
    ck_assert(xen_msr_write(MSR_HYPERCALL, HOLE << GUEST_PAGE_SHIFT | 1)); /* nothing there: kept, and no page */
    ck_assert(xen_msr_write(0x40000073, frame | 1));
    ck_assert_uint_eq(page[0], 0);
    ck_assert(xen_msr_read(0x40000073, &value));
    ck_assert_uint_eq(value, frame | 1);
    ck_assert(!xen_msr_read(0x40000070, &value)); /* the APIC's */
    ck_assert(!xen_msr_write(0x40000070, 0));
    ck_assert(!xen_msr_read(0x40000010, &value));
    /* Xen's hypercall page by the register that CPUID names. */
    ck_assert(xen_msr_write(0x40000200, frame));
    ck_assert_uint_eq(page[0], 0xB8);
    ck_assert(!xen_msr_write(0x40000200, frame | 1));
}

START_TEST(viridian_registers)
{
    on_host("xen-4.17,viridian", registers);
}
END_TEST

static void crash(void)
{
    struct sched_shutdown code = {.reason = SHUTDOWN_poweroff};
    uint64_t value = 0;

    for (unsigned i = 0; i < 5; i++)
        ck_assert(xen_msr_write(0x40000100 + i, 0x1000 + i));
    ck_assert(xen_msr_read(0x40000104, &value));
    ck_assert_uint_eq(value, 0x1004);
    ck_assert(xen_msr_read(0x40000105, &value));
    ck_assert_uint_eq(value, UINT64_C(1) << 63);
    ck_assert(xen_msr_write(0x40000105, UINT64_C(1) << 63));
    ck_assert_int_eq(xen_domain_shutdown_reason(1), -1); /* the code of the shutdown to come */
    ck_assert_int_eq(call_sched(SCHEDOP_shutdown_code, &code), 0);
}

START_TEST(viridian_crash)
{
    on_host("xen-4.17,viridian", crash);
}
END_TEST

/* Where there is no Viridian, its registers are none. */
XEN_TEST(no_viridian)
{
    uint64_t value = 0;

    ck_assert(!xen_msr_read(MSR_HYPERCALL, &value));
    ck_assert(!xen_msr_write(MSR_HYPERCALL, 0));
    ck_assert(!xen_msr_read(0x40000200, &value));
    ck_assert_uint_eq(eax(0x40000100), 0);
}

/* ---- no Xen ---- */

static void registers_of(uint32_t leaf, uint32_t out[4])
{
    int registers[4];

    __cpuid(registers, (int)leaf);
    memcpy(out, registers, sizeof(registers));
}

static bool xen_leaves_are_there(void)
{
    uint32_t out[4];

    for (uint32_t leaf = 0x40000000; leaf < 0x40010000; leaf += 0x100) {
        registers_of(leaf, out);
        if (memcmp(&out[1], "XenVMMXenVMM", 12) == 0)
            return true;
    }
    return false;
}

/* A processor answers for a leaf that it does not have as for the last of those that it has. */
static void is_plain(void)
{
    uint64_t value = 0;
    uint32_t last[4];
    uint32_t out[4];

    registers_of(1, last);
    ck_assert_uint_eq(last[2] & 1u << 31, 0);
    registers_of(0x40000000, out);
    ck_assert_int_eq(memcmp(out, last, sizeof(out)), 0);
    ck_assert(!xen_leaves_are_there());
    ck_assert(!xen_msr_write(0x40000000, 0));
    ck_assert(!xen_msr_read(0x40000000, &value));
    ck_assert_uint_eq(ioport_read(0x10, 2), 0xFFFF); /* nobody to ask for an unplug */
    ck_assert_uint_eq(pci_config_read(0, 2, 0, 0, 4), UINT32_MAX);
}

static void is_another_hypervisors(void)
{
    uint64_t value = 0;
    uint32_t out[4];

    registers_of(1, out);
    ck_assert_uint_ne(out[2] & 1u << 31, 0);
    registers_of(0x40000000, out);
    ck_assert_int_eq(memcmp(&out[1], "Microsoft Hv", 12), 0);
    ck_assert(!xen_leaves_are_there());
    ck_assert(xen_msr_write(MSR_OS_ID, WINDOWS));
    ck_assert(xen_msr_read(MSR_OS_ID, &value));
    ck_assert_uint_eq(value, WINDOWS);
    ck_assert(!xen_msr_write(0x40000200, 0));
    ck_assert_uint_eq(pci_config_read(0, 2, 0, 0, 4), UINT32_MAX);
}

START_TEST(no_xen)
{
    on_host("none", is_plain);
}
END_TEST

START_TEST(no_xen_but_viridian)
{
    on_host("none,viridian", is_another_hypervisors);
}
END_TEST

static void call_xen(void *unused)
{
    (void)unused;
    (void)KxHypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0);
}

START_TEST(hypercall_without_xen)
{
    struct machine_config config = guest_config(1);

    ck_assert(xen_host_parse("none", &config.host));
    (void)guest_must_fail(&config, call_xen, NULL, "invalid-opcode");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("profile");
    TCase *tcase = tcase_create("profile");

    tcase_add_test(tcase, names);
    tcase_add_test(tcase, release_4_13);
    tcase_add_test(tcase, release_4_17);
    tcase_add_test(tcase, release_4_19);
    tcase_add_loop_test(tcase, combinations, 0, HOSTS);
    tcase_add_test(tcase, default_release);
    tcase_add_test(tcase, grant_v1);
    tcase_add_test(tcase, no_vectors);
    tcase_add_test(tcase, viridian_leaves);
    tcase_add_test(tcase, viridian_leaves_of_4_13);
    tcase_add_test(tcase, viridian_registers);
    tcase_add_test(tcase, viridian_crash);
    tcase_add_test(tcase, no_viridian);
    tcase_add_test(tcase, no_xen);
    tcase_add_test(tcase, no_xen_but_viridian);
    tcase_add_test(tcase, hypercall_without_xen);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
