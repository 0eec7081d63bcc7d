/* HVM_OP: parameters and who may read and write them, and the small operations (public/hvm/params.h, hvm_op.h). */
#include "xen/xen_guest.h"

static const unsigned writable[] = {
    HVM_PARAM_CALLBACK_IRQ,
    HVM_PARAM_STORE_EVTCHN,
    HVM_PARAM_CONSOLE_EVTCHN,
    HVM_PARAM_VM_GENERATION_ID_ADDR,
};
static const unsigned readable[] = {
    HVM_PARAM_STORE_PFN,
    HVM_PARAM_CONSOLE_PFN,
    HVM_PARAM_ACPI_IOPORTS_LOCATION,
};
/* The device model's, the toolstack's and introspection's. */
static const unsigned hidden[] = {
    HVM_PARAM_IOREQ_PFN,
    HVM_PARAM_BUFIOREQ_PFN,
    HVM_PARAM_VIRIDIAN,
    HVM_PARAM_TIMER_MODE,
    HVM_PARAM_IDENT_PT,
    HVM_PARAM_VPT_ALIGN,
    HVM_PARAM_PAGING_RING_PFN,
    HVM_PARAM_MONITOR_RING_PFN,
    HVM_PARAM_TRIPLE_FAULT_REASON,
    HVM_PARAM_IOREQ_SERVER_PFN,
    HVM_PARAM_NR_IOREQ_SERVER_PAGES,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

XEN_TEST(permissions)
{
    uint64_t value;

    for (unsigned i = 0; i < COUNT(writable); i++) {
        ck_assert_msg(param_get(writable[i], &value) == 0, "parameter %u cannot be read", writable[i]);
        ck_assert_msg(param_set(writable[i], 0) == 0, "parameter %u cannot be written", writable[i]);
    }
    for (unsigned i = 0; i < COUNT(readable); i++)
        ck_assert_msg(param_get(readable[i], &value) == 0, "parameter %u cannot be read", readable[i]);
    for (unsigned i = 0; i < COUNT(hidden); i++) {
        ck_assert_msg(param_get(hidden[i], &value) == -XEN_EPERM, "parameter %u can be read", hidden[i]);
        ck_assert_msg(param_set(hidden[i], 1) == -XEN_EPERM, "parameter %u can be written", hidden[i]);
    }
    ck_assert_xen_error(param_set(HVM_PARAM_STORE_PFN, 5), XEN_EPERM);
    ck_assert_xen_error(param_set(HVM_PARAM_CONSOLE_PFN, 5), XEN_EPERM);
    ck_assert_uint_ne(param(HVM_PARAM_STORE_PFN), 5);
}

XEN_TEST(values_are_kept)
{
    ck_assert_int_eq(param_set(HVM_PARAM_VM_GENERATION_ID_ADDR, 0x123456789ABC), 0);
    ck_assert_uint_eq(param(HVM_PARAM_VM_GENERATION_ID_ADDR), 0x123456789ABC);
    ck_assert_int_eq(param_set(HVM_PARAM_STORE_EVTCHN, 77), 0);
    ck_assert_uint_eq(param(HVM_PARAM_STORE_EVTCHN), 77);
    ck_assert_uint_eq(param(HVM_PARAM_VM_GENERATION_ID_ADDR), 0x123456789ABC);
}

XEN_TEST(bad_values)
{
    uint64_t value;

    ck_assert_xen_error(param_get(HVM_NR_PARAMS, &value), XEN_EINVAL);
    ck_assert_xen_error(param_set(HVM_NR_PARAMS, 0), XEN_EINVAL);
    ck_assert_xen_error(param_get(UINT32_MAX, &value), XEN_EINVAL);
    ck_assert_xen_error(param_set(HVM_PARAM_ACPI_IOPORTS_LOCATION, 2), XEN_EINVAL);
    ck_assert_xen_error(call_hvm(HVMOP_get_param, NULL), XEN_EFAULT);
    ck_assert_xen_error(call_hvm(HVMOP_set_param, (void *)(uintptr_t)BAD_POINTER), XEN_EFAULT);
    ck_assert_xen_error(call_hvm(200, NULL), XEN_ENOSYS);
}

XEN_TEST(other_domains)
{
    struct xen_hvm_param op = {.domid = NO_DOMAIN, .index = HVM_PARAM_CALLBACK_IRQ};

    ck_assert_xen_error(call_hvm(HVMOP_get_param, &op), XEN_ESRCH);
    ck_assert_xen_error(call_hvm(HVMOP_set_param, &op), XEN_ESRCH);
    op.domid = 0;
    ck_assert_int_lt(call_hvm(HVMOP_get_param, &op), 0);
    ck_assert_int_lt(call_hvm(HVMOP_set_param, &op), 0);
    op.domid = 1; /* by number, its own */
    op.index = HVM_PARAM_STORE_PFN;
    ck_assert_int_eq(call_hvm(HVMOP_get_param, &op), 0);
    ck_assert_uint_eq(op.value, param(HVM_PARAM_STORE_PFN));
}

/* What the toolstack leaves: two pages that are there, and two ports for domain 0. */
XEN_TEST(store_and_console)
{
    uint64_t store = param(HVM_PARAM_STORE_PFN);
    uint64_t console = param(HVM_PARAM_CONSOLE_PFN);
    uint64_t value;
    uint8_t *page;
    uint8_t *dom0_view;

    ck_assert_uint_ne(store, console);
    ck_assert_uint_ne(param(HVM_PARAM_STORE_EVTCHN), 0);
    ck_assert_uint_ne(param(HVM_PARAM_CONSOLE_EVTCHN), 0);
    ck_assert_uint_ne(param(HVM_PARAM_STORE_EVTCHN), param(HVM_PARAM_CONSOLE_EVTCHN));
    page = map_frames(store, 1);
    for (unsigned i = 0; i < GUEST_PAGE_SIZE; i++)
        ck_assert_uint_eq(page[i], 0);
    page[3] = 0x17;
    dom0_view = xen_foreign_frame(1, store);
    ck_assert_ptr_nonnull(dom0_view);
    ck_assert_uint_eq(dom0_view[3], 0x17);
    ck_assert_ptr_nonnull(xen_foreign_frame(1, console));
    ck_assert_ptr_ne(xen_foreign_frame(1, console), dom0_view);
    ck_assert_ptr_null(xen_foreign_frame(1, HOLE));
    ck_assert_int_eq(xen_hvm_param_get(1, HVM_PARAM_STORE_PFN, &value), 0);
    ck_assert_uint_eq(value, store);
    ck_assert_int_eq(xen_hvm_param_get(1, HVM_NR_PARAMS, &value), -XEN_EINVAL);
    ck_assert_int_eq(xen_hvm_param_get(NO_DOMAIN, HVM_PARAM_STORE_PFN, &value), -XEN_ESRCH);
}

XEN_TEST(time_advances)
{
    struct xen_hvm_get_time first;
    struct xen_hvm_get_time second;

    ck_assert_int_eq(call_hvm(HVMOP_get_time, &first), 0);
    sleep_us(5000);
    ck_assert_int_eq(call_hvm(HVMOP_get_time, &second), 0);
    ck_assert_uint_ge(second.now, first.now + 5000000);
    ck_assert_uint_lt(second.now, first.now + 100000000);
    ck_assert_xen_error(call_hvm(HVMOP_get_time, (void *)(uintptr_t)BAD_POINTER), XEN_EFAULT);
}

XEN_TEST(mem_type)
{
    uint8_t *page = pages_take(1, 0);
    struct xen_hvm_get_mem_type op = {.domid = DOMID_SELF, .pfn = frame_of(page)};

    ck_assert_int_eq(call_hvm(HVMOP_get_mem_type, &op), 0);
    ck_assert_int_eq(op.mem_type, HVMMEM_ram_rw);
    op.pfn = HOLE;
    ck_assert_int_eq(call_hvm(HVMOP_get_mem_type, &op), 0);
    ck_assert_int_eq(op.mem_type, HVMMEM_mmio_dm);
    op.pfn = UINT64_MAX;
    ck_assert_int_eq(call_hvm(HVMOP_get_mem_type, &op), 0);
    ck_assert_int_eq(op.mem_type, HVMMEM_mmio_dm);
    op.domid = NO_DOMAIN;
    ck_assert_xen_error(call_hvm(HVMOP_get_mem_type, &op), XEN_ESRCH);
    op.domid = 0;
    ck_assert_xen_error(call_hvm(HVMOP_get_mem_type, &op), XEN_EPERM);
    ck_assert_xen_error(call_hvm(HVMOP_get_mem_type, NULL), XEN_EFAULT);
    MmFreeContiguousMemory(page);
}

XEN_TEST(hints)
{
    struct xen_hvm_pagetable_dying dying = {.domid = DOMID_SELF};
    uint8_t argument[64];

    ck_assert_xen_error(call_hvm(HVMOP_pagetable_dying, &dying), XEN_EINVAL); /* no shadow paging */
    dying.domid = 0;
    ck_assert_xen_error(call_hvm(HVMOP_pagetable_dying, &dying), XEN_EOPNOTSUPP);
    dying.domid = NO_DOMAIN;
    ck_assert_xen_error(call_hvm(HVMOP_pagetable_dying, &dying), XEN_ESRCH);
    ck_assert_xen_error(call_hvm(HVMOP_pagetable_dying, NULL), XEN_EFAULT);
    ck_assert_int_eq(call_hvm(HVMOP_flush_tlbs, NULL), 0);
    ck_assert_xen_error(call_hvm(HVMOP_flush_tlbs, argument), XEN_EINVAL); /* must be a null handle */
}

int main(void)
{
    Suite *suite = suite_create("hvm");
    TCase *tcase = tcase_create("parameters");

    tcase_add_test(tcase, permissions);
    tcase_add_test(tcase, values_are_kept);
    tcase_add_test(tcase, bad_values);
    tcase_add_test(tcase, other_domains);
    tcase_add_test(tcase, store_and_console);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("operations");
    tcase_add_test(tcase, time_advances);
    tcase_add_test(tcase, mem_type);
    tcase_add_test(tcase, hints);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
