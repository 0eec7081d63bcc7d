/*
 * Strict paging: what may be paged out is out of reach at DISPATCH_LEVEL and above, and what is locked is not. The
 * driver is tests/clients/pager.
 */
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "common/process.h"
#include "image/loader.h"
#include "nt/ke/ke.h"
#include "nt/ob/ob.h"

#ifndef PVSIM_SANITIZE /* which keep faults for themselves */
struct pager {
    ULONG(NTAPI *call)(ULONG);
    ULONG(NTAPI *read_data)(VOID);
    ULONG(NTAPI *read_pool)(volatile ULONG *);
    VOID(NTAPI *write_pool)(volatile ULONG *);
    PVOID(NTAPI *allocate)(VOID);
    PVOID(NTAPI *lock_code)(VOID);
    PVOID(NTAPI *lock_data)(VOID);
};

static struct pager pager;
static struct loader_module *module;

static void load(void)
{
    ck_assert_int_eq(loader_load("pager", &module), STATUS_SUCCESS);
    pager.call = loader_module_symbol(module, "PagerCall");
    pager.read_data = loader_module_symbol(module, "PagerReadData");
    pager.read_pool = loader_module_symbol(module, "PagerReadPool");
    pager.write_pool = loader_module_symbol(module, "PagerWritePool");
    pager.allocate = loader_module_symbol(module, "PagerAllocate");
    pager.lock_code = loader_module_symbol(module, "PagerLockCode");
    pager.lock_data = loader_module_symbol(module, "PagerLockData");
}

static struct machine_config strict(void)
{
    struct machine_config config = guest_config(2);

    config.paged_strict = true;
    config.driver_dir = PVSIM_BUILD "/test-drivers";
    return config;
}

/* ---- ways to DISPATCH_LEVEL ---- */

static KSPIN_LOCK lock;
static KLOCK_QUEUE_HANDLE queued;
static KDPC dpc;
static void (*wanted)(void *);
static void *block;

static VOID NTAPI run_wanted(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    wanted(block);
}

static void by_raise(void)
{
    KIRQL irql;

    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    wanted(block);
}

static void by_high_level(void)
{
    KIRQL irql;

    KeRaiseIrql(HIGH_LEVEL, &irql);
    wanted(block);
}

static void by_spin_lock(void)
{
    KIRQL irql;

    KeInitializeSpinLock(&lock);
    KeAcquireSpinLock(&lock, &irql);
    wanted(block);
}

static void by_queued_spin_lock(void)
{
    KeInitializeSpinLock(&lock);
    KeAcquireInStackQueuedSpinLock(&lock, &queued);
    wanted(block);
}

static void by_dpc(void)
{
    KeInitializeDpc(&dpc, run_wanted, NULL);
    KeInsertQueueDpc(&dpc, NULL, NULL);
}

/* Raised, then the other vCPU runs and shows the memory to itself, then it is this one's turn again. */
static volatile bool seen;

static void look_on_another_vcpu(void *argument)
{
    KeSetSystemAffinityThreadEx(2);
    seen = *(volatile ULONG *)argument != 0 || true;
}

static void by_return_of_its_vcpu(void)
{
    KIRQL irql;

    KeSetSystemAffinityThreadEx(1);
    seen = false;
    ob_dereference(ke_thread_create_host("looker", look_on_another_vcpu, block));
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    while (!seen)
        YieldProcessor();
    wanted(block);
}

/* ---- what faults ---- */

static void read_pool(void *memory)
{
    pager.read_pool(memory);
}

static void write_pool(void *memory)
{
    pager.write_pool(memory);
}

static void call_code(void *memory)
{
    (void)memory;
    pager.call(1);
}

static void read_data(void *memory)
{
    (void)memory;
    pager.read_data();
}

static void clear_pool_in_the_kernel(void *memory)
{
    RtlCompareMemory(memory, memory, 32);
}

static void (*way)(void);

static void at_dispatch(void *argument)
{
    wanted = argument;
    load();
    block = pager.allocate();
    ck_assert_ptr_nonnull(block);
    memset(block, 0, 8);
    (void)pager.read_pool(block);
    (void)pager.call(1);
    (void)pager.read_data();
    way();
    KeStallExecutionProcessor(1);
}

static const struct {
    void (*way)(void);
    void (*access)(void *);
    const char *what;
    const char *routine;
    uint32_t code;
    unsigned kind;
    KIRQL irql;
} broken[] = {
    {by_raise, read_pool, "a read of", "PagerReadPool", DRIVER_IRQL_NOT_LESS_OR_EQUAL, 0, DISPATCH_LEVEL},
    {by_high_level, read_pool, "paged pool", "PagerReadPool", DRIVER_IRQL_NOT_LESS_OR_EQUAL, 0, HIGH_LEVEL},
    {by_spin_lock, read_pool, "paged pool", "PagerReadPool", DRIVER_IRQL_NOT_LESS_OR_EQUAL, 0, DISPATCH_LEVEL},
    {by_queued_spin_lock, read_pool, "paged pool", "PagerReadPool", DRIVER_IRQL_NOT_LESS_OR_EQUAL, 0, DISPATCH_LEVEL},
    {by_dpc, read_pool, "paged pool", "PagerReadPool", DRIVER_IRQL_NOT_LESS_OR_EQUAL, 0, DISPATCH_LEVEL},
    {by_return_of_its_vcpu, read_pool, "paged pool", "PagerReadPool", DRIVER_IRQL_NOT_LESS_OR_EQUAL, 0, DISPATCH_LEVEL},
    {by_raise, write_pool, "a write to", "PagerWritePool", DRIVER_IRQL_NOT_LESS_OR_EQUAL, 1, DISPATCH_LEVEL},
    {by_dpc, write_pool, "paged pool", "PagerWritePool", DRIVER_IRQL_NOT_LESS_OR_EQUAL, 1, DISPATCH_LEVEL},
    {by_raise, call_code, "pageable code of driver pager", "PagerCall", DRIVER_IRQL_NOT_LESS_OR_EQUAL, 8,
     DISPATCH_LEVEL},
    {by_dpc, call_code, "execution at", "PagerCall", DRIVER_IRQL_NOT_LESS_OR_EQUAL, 8, DISPATCH_LEVEL},
    {by_raise, read_data, "pageable data of driver pager", "PagerReadData", DRIVER_IRQL_NOT_LESS_OR_EQUAL, 0,
     DISPATCH_LEVEL},
    {by_raise, clear_pool_in_the_kernel, "paged pool", "RtlCompareMemory", IRQL_NOT_LESS_OR_EQUAL, 0, DISPATCH_LEVEL},
};

START_TEST(pageable_memory_is_out_of_reach_at_dispatch_level)
{
    struct machine_config config = strict();
    const struct failure *failure;

    way = broken[_i].way;
    failure = guest_must_fail(&config, at_dispatch, (void *)(uintptr_t)broken[_i].access, "fault");
    ck_assert_msg(strstr(failure->text, broken[_i].what) != NULL, "%s", failure->text);
    ck_assert_uint_eq(failure->code, broken[_i].code);
    ck_assert_uint_eq(failure->parameter[1], broken[_i].irql);
    ck_assert_uint_eq(failure->parameter[2], broken[_i].kind);
    if (broken[_i].kind == 8) {
        ck_assert_uint_eq(failure->parameter[0], (uintptr_t)pager.call);
        ck_assert_uint_eq(failure->parameter[3], (uintptr_t)pager.call);
    }
    ck_assert_msg(strstr(failure->backtrace, broken[_i].routine) != NULL, "%s", failure->backtrace);
    if (broken[_i].code == DRIVER_IRQL_NOT_LESS_OR_EQUAL)
        ck_assert_msg(strstr(failure->backtrace, "pager.c:") != NULL, "%s", failure->backtrace);
}
END_TEST

/* ---- what does not ---- */

static void locked(void *argument)
{
    PVOID code;
    PVOID data;
    KIRQL irql;
    PMDL mdl;

    (void)argument;
    load();
    block = pager.allocate();
    code = pager.lock_code();
    data = pager.lock_data();
    ck_assert_ptr_ne(code, data);
    mdl = IoAllocateMdl(block, 64, FALSE, FALSE, NULL);
    MmProbeAndLockPages(mdl, KernelMode, IoWriteAccess);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    pager.write_pool(block);
    ck_assert_uint_eq(pager.read_pool(block), 7);
    ck_assert_uint_eq(pager.call(1), 2);
    ck_assert_uint_eq(pager.read_data(), 5);
    KeLowerIrql(irql);
    MmUnlockPages(mdl);
    IoFreeMdl(mdl);
    MmUnlockPagableImageSection(code);
    MmUnlockPagableImageSection(data);
    ck_assert_uint_eq(pager.read_pool(block), 7);
    KeRaiseIrql(APC_LEVEL, &irql);
    pager.write_pool(block);
    KeLowerIrql(irql);
    ExFreePool(block);
    loader_release(module);
}

START_TEST(locked_memory_stays_in_reach)
{
    struct machine_config config = strict();

    guest_run_with(&config, locked, NULL);
}
END_TEST

static void unlocked_again(void *argument)
{
    PVOID section;

    (void)argument;
    load();
    section = pager.lock_code();
    KeRaiseIrqlToDpcLevel();
    ck_assert_uint_eq(pager.call(1), 2);
    KeLowerIrql(PASSIVE_LEVEL);
    MmUnlockPagableImageSection(section);
    KeRaiseIrqlToDpcLevel();
    pager.call(1);
}

START_TEST(unlocked_memory_goes_again)
{
    struct machine_config config = strict();

    guest_must_fail(&config, unlocked_again, NULL, "fault");
}
END_TEST

static void plain(void *argument)
{
    (void)argument;
    load();
    block = pager.allocate();
    KeRaiseIrqlToDpcLevel();
    pager.write_pool(block);
    ck_assert_uint_eq(pager.call(1), 2);
    KeLowerIrql(PASSIVE_LEVEL);
    ExFreePool(block);
    loader_release(module);
}

START_TEST(without_the_mode_memory_is_there)
{
    struct machine_config config = strict();

    config.paged_strict = false;
    guest_run_with(&config, plain, NULL);
}
END_TEST

/* ---- the main job ---- */

START_TEST(the_drivers_pass_and_the_run_is_the_same)
{
    static const char line[] =
        "run --tx tests/captures/lan-wire.pcap --rx tests/captures/lan-wire.pcap --bundle-dir %s%s";
    struct process_result without = pvsim(line, scratch(), "");
    struct process_result with = pvsim(line, scratch(), " --paged strict");

    ck_assert_msg(with.status == 0, "%s%s", with.output, with.error);
    ck_assert_uint_ne(report_hash(with.output), 0);
    ck_assert_uint_eq(report_hash(with.output), report_hash(without.output));
    process_free(&without);
    process_free(&with);
}
END_TEST
#endif

START_TEST(strict_paging_needs_the_deterministic_engine)
{
    struct process_result run = pvsim("run --paged strict --engine par");

    ck_assert_int_eq(run.status, 2);
    ck_assert_msg(strstr(run.error, "--engine det") != NULL, "%s", run.error);
    process_free(&run);
    run = pvsim("run --paged maybe");
    ck_assert_int_eq(run.status, 2);
    process_free(&run);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("paged");
    TCase *cases = tcase_create("paged");

#ifndef PVSIM_SANITIZE
    tcase_add_loop_test(cases, pageable_memory_is_out_of_reach_at_dispatch_level, 0,
                        sizeof(broken) / sizeof(broken[0]));
    tcase_add_test(cases, locked_memory_stays_in_reach);
    tcase_add_test(cases, unlocked_memory_goes_again);
    tcase_add_test(cases, without_the_mode_memory_is_there);
    tcase_add_test(cases, the_drivers_pass_and_the_run_is_the_same);
#endif
    tcase_add_test(cases, strict_paging_needs_the_deterministic_engine);
    tcase_set_timeout(cases, 120);
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
