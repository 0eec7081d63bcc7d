/*
 * Pool rules: each is broken once and seen with its Windows bugcheck and parameters ("Bug Check 0xC2", "Bug Check
 * 0x19", "Bug Check 0xC4", "Bug Check 0xC7", "Bug Check 0xE4").
 */
#include <string.h>

#include "../nt-host/guest_threads.h"
#include "nt/cm/cm.h"
#include "nt/io/io.h"

#define DV DRIVER_VERIFIER_DETECTED_VIOLATION
#define OTHER_TAG ((ULONG)'O' | (ULONG)'t' << 8 | (ULONG)'h' << 16 | (ULONG)'r' << 24)

static struct {
    volatile PUCHAR block; /* the compiler does not get to see what is done to it */
    KDPC dpc;
    KEVENT never;
} it;

static PUCHAR allocate(SIZE_T size)
{
    return it.block = ExAllocatePoolWithTag(NonPagedPoolNx, size, TEST_TAG);
}

static void zero_tag(void)
{
    ExAllocatePoolWithTag(NonPagedPoolNx, 16, 0);
}

static void unreadable_tag(void)
{
    ExAllocatePoolWithTag(NonPagedPoolNx, 16, 0x01020304);
}

static void zero_size(void)
{
    ExAllocatePoolWithTag(NonPagedPoolNx, 0, TEST_TAG);
}

static void tag_mismatch(void)
{
    ExFreePoolWithTag(allocate(16), OTHER_TAG);
}

static void double_free(void)
{
    allocate(16);
    ExFreePoolWithTag(it.block, TEST_TAG);
    ExFreePoolWithTag(it.block, TEST_TAG);
}

static void double_free_big(void)
{
    allocate(3 * PAGE_SIZE);
    ExFreePoolWithTag(it.block, TEST_TAG);
    ExFreePoolWithTag(it.block, TEST_TAG);
}

static void bad_free(void)
{
    ExFreePoolWithTag(allocate(64) + 16, TEST_TAG);
}

static void bad_free_outside(void)
{
    ExFreePoolWithTag(&it, TEST_TAG);
}

static void overrun_by_one(void)
{
    allocate(128)[128] = 0;
    ExFreePoolWithTag(it.block, TEST_TAG);
}

/* Just before what the next block's guard would notice. */
static void overrun_of_odd_size(void)
{
    allocate(121)[121 + 7] = 1;
    ExFreePoolWithTag(it.block, TEST_TAG);
}

static void overrun_big(void)
{
    allocate(3 * PAGE_SIZE - 100)[3 * PAGE_SIZE - 100] = 0;
    ExFreePoolWithTag(it.block, TEST_TAG);
}

static void underrun(void)
{
    allocate(128)[-1] = 0;
    ExFreePoolWithTag(it.block, TEST_TAG);
}

static void write_after_free(SIZE_T size, SIZE_T offset)
{
    allocate(size);
    ExFreePoolWithTag(it.block, TEST_TAG);
    it.block[offset] = 1;
    for (int index = 0; index < 100; index++)
        allocate(size);
}

static void write_after_free_start(void)
{
    write_after_free(128, 0);
}

static void write_after_free_end(void)
{
    write_after_free(128, 127);
}

static void write_after_free_middle(void)
{
    write_after_free(1000, 517);
}

static VOID NTAPI no_dpc(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
}

static void with_timer(void)
{
    PKTIMER timer = (PKTIMER)(allocate(sizeof(KTIMER) + 64) + 64);

    KeInitializeTimer(timer);
    KeSetTimer(timer, in_ms(10), NULL);
    ExFreePoolWithTag(it.block, TEST_TAG);
}

static void with_dpc(void)
{
    PKDPC dpc = (PKDPC)(allocate(sizeof(KDPC) + 64) + 64);
    KIRQL irql = KeRaiseIrqlToDpcLevel();

    KeInitializeDpc(dpc, no_dpc, NULL);
    KeInsertQueueDpc(dpc, NULL, NULL);
    ExFreePoolWithTag(it.block, TEST_TAG);
    KeLowerIrql(irql);
}

static VOID NTAPI wait_for(PVOID event)
{
    KeWaitForSingleObject(event, Executive, KernelMode, FALSE, NULL);
}

static void with_waiter(void)
{
    PKEVENT event = (PKEVENT)(allocate(sizeof(KEVENT) + 64) + 64);

    KeInitializeEvent(event, NotificationEvent, FALSE);
    thread_start(wait_for, event);
    sleep_ms(1);
    ExFreePoolWithTag(it.block, TEST_TAG);
}

static VOID NTAPI work(PVOID context)
{
    UNREFERENCED_PARAMETER(context);
}

static void with_work_item(void)
{
    PWORK_QUEUE_ITEM item = (PWORK_QUEUE_ITEM)allocate(sizeof(WORK_QUEUE_ITEM));
    KIRQL irql = KeRaiseIrqlToDpcLevel();

    ExInitializeWorkItem(item, work, NULL);
    ExQueueWorkItem(item, DelayedWorkQueue);
    ExFreePoolWithTag(it.block, TEST_TAG);
    KeLowerIrql(irql);
}

static void with_lookaside(void)
{
    PNPAGED_LOOKASIDE_LIST list = (PNPAGED_LOOKASIDE_LIST)allocate(sizeof(*list));

    ExInitializeNPagedLookasideList(list, NULL, NULL, 0, 64, TEST_TAG, 0);
    ExFreePoolWithTag(it.block, TEST_TAG);
}

/* What has been there and is over keeps nobody from freeing. */
static void over(void *argument)
{
    PKTIMER timer;
    PKEVENT event;
    PKTHREAD thread;

    (void)argument;
    timer = (PKTIMER)allocate(sizeof(*timer));
    KeInitializeTimer(timer);
    KeSetTimer(timer, in_ms(1), NULL);
    KeCancelTimer(timer);
    ExFreePoolWithTag(it.block, TEST_TAG);

    event = (PKEVENT)allocate(sizeof(*event));
    KeInitializeEvent(event, NotificationEvent, FALSE);
    thread = thread_start(wait_for, event);
    sleep_ms(1);
    KeSetEvent(event, IO_NO_INCREMENT, FALSE);
    thread_join(thread);
    ExFreePoolWithTag(it.block, TEST_TAG);
}

static void leak_at_unload(void)
{
    PDRIVER_OBJECT driver = NULL;
    struct cm_key *key = cm_key_create(CM_SERVICES "\\leaker");

    cm_value_set_dword(key, "Type", 1);
    cm_value_set_dword(key, "Start", 3);
    cm_value_set_string(key, "ImagePath", REG_EXPAND_SZ, "system32\\drivers\\leaker.sys");
    ck_assert_int_eq(io_load_driver("leaker", &driver), STATUS_SUCCESS);
    ck_assert_int_eq(io_unload_driver(driver), STATUS_SUCCESS);
    ObDereferenceObject(driver);
}

/* An entry of a lookaside list lies filled until it is given out again. */
static void lookaside_write_after_free(void)
{
    static NPAGED_LOOKASIDE_LIST list;

    ExInitializeNPagedLookasideList(&list, NULL, NULL, 0, 64, TEST_TAG, 0);
    it.block = ExAllocateFromNPagedLookasideList(&list);
    ExFreeToNPagedLookasideList(&list, it.block);
    it.block[40] = 1;
    ExAllocateFromNPagedLookasideList(&list);
}

static void partial_mdl_too_small(void)
{
    PMDL source = IoAllocateMdl(allocate(4 * PAGE_SIZE), 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL target = IoAllocateMdl(it.block, PAGE_SIZE, FALSE, FALSE, NULL);

    MmBuildMdlForNonPagedPool(source);
    IoBuildPartialMdl(source, target, it.block, 4 * PAGE_SIZE);
}

#define ANY UINT64_MAX

static const struct {
    void (*function)(void);
    const char *rule;
    uint32_t code;
    uint64_t parameter[4]; /* ANY: whatever */
    bool wild;             /* an access that a sanitizer ends the program for */
} broken[] = {
    {zero_tag, "pool-zero-tag", BAD_POOL_CALLER, {0x9B, NonPagedPoolNx, 16, ANY}, false},
    {unreadable_tag, "pool-bad-tag", BAD_POOL_CALLER, {0x9D, 0x01020304, NonPagedPoolNx, ANY}, false},
    {zero_size, "pool-zero-size", DV, {0x00, PASSIVE_LEVEL, NonPagedPoolNx, 0}, false},
    {tag_mismatch, "pool-tag-mismatch", BAD_POOL_CALLER, {0x0A, ANY, TEST_TAG, OTHER_TAG}, false},
    {double_free, "pool-double-free", BAD_POOL_CALLER, {0x07, ANY, ANY, ANY}, false},
    {double_free_big, "pool-double-free", BAD_POOL_CALLER, {0x07, ANY, ANY, ANY}, false},
    {bad_free, "pool-bad-free", BAD_POOL_CALLER, {0x46, ANY, 0, 0}, false},
    {bad_free_outside, "pool-bad-free", BAD_POOL_CALLER, {0x42, (uintptr_t)&it, 0, 0}, false},
    {overrun_by_one, "pool-overrun", BAD_POOL_HEADER, {0x20, ANY, ANY, ANY}, true},
    {overrun_of_odd_size, "pool-overrun", BAD_POOL_HEADER, {0x20, ANY, ANY, ANY}, true},
    {overrun_big, "pool-overrun", BAD_POOL_HEADER, {0x20, ANY, ANY, ANY}, true},
    {underrun, "pool-underrun", BAD_POOL_HEADER, {0x20, ANY, ANY, ANY}, true},
    {write_after_free_start, "pool-write-after-free", BAD_POOL_HEADER, {0x03, ANY, ANY, ANY}, true},
    {write_after_free_end, "pool-write-after-free", BAD_POOL_HEADER, {0x03, ANY, ANY, ANY}, true},
    {write_after_free_middle, "pool-write-after-free", BAD_POOL_HEADER, {0x03, ANY, ANY, ANY}, true},
    {lookaside_write_after_free, "pool-write-after-free", DV, {0x5056, ANY, ANY, 0}, true},
    {partial_mdl_too_small, "mdl-partial", TARGET_MDL_TOO_SMALL, {ANY, 0, 0, 0}, false},
    {with_timer, "freed-in-use", TIMER_OR_DPC_INVALID, {0, ANY, ANY, ANY}, false},
    {with_dpc, "freed-in-use", TIMER_OR_DPC_INVALID, {1, ANY, ANY, ANY}, false},
    {with_waiter, "freed-in-use", DV, {ANY, ANY, ANY, ANY}, false},
    {with_work_item, "freed-in-use", WORKER_INVALID, {0, ANY, ANY, ANY}, false},
    {with_lookaside, "freed-in-use", DV, {0xCC, ANY, ANY, sizeof(NPAGED_LOOKASIDE_LIST)}, false},
    {leak_at_unload, "pool-leak-at-unload", DV, {0x62, ANY, 0, 3}, false},
};

static void run_case(void *argument)
{
    ((void (*)(void))argument)();
}

START_TEST(breaks)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure;

    if (IS_SANITIZED && broken[_i].wild)
        return;
    config.driver_dir = PVSIM_BUILD "/test-drivers";
    failure = guest_must_fail(&config, run_case, (void *)(uintptr_t)broken[_i].function, broken[_i].rule);
    ck_assert_msg(failure->code == broken[_i].code, "%s (%d): bugcheck 0x%X instead of 0x%X: %s", broken[_i].rule, _i,
                  failure->code, broken[_i].code, failure->text);
    for (int index = 0; index < 4; index++)
        ck_assert_msg(broken[_i].parameter[index] == ANY || failure->parameter[index] == broken[_i].parameter[index],
                      "%s (%d): parameter %d is 0x%llx instead of 0x%llx: %s", broken[_i].rule, _i, index + 1,
                      (unsigned long long)failure->parameter[index], (unsigned long long)broken[_i].parameter[index],
                      failure->text);
}
END_TEST

START_TEST(nothing_left_inside)
{
    guest_run(over, NULL);
}
END_TEST

/* Each tag with its size and place, and the whole stack when stacks are kept. */
START_TEST(leaks_are_listed)
{
    struct machine_config config = guest_config(2);
    const struct failure *failure;

    config.driver_dir = PVSIM_BUILD "/test-drivers";
    config.stacks = _i == 1;
    failure = guest_must_fail(&config, run_case, (void *)(uintptr_t)leak_at_unload, "pool-leak-at-unload");
    ck_assert_ptr_nonnull(strstr(failure->text, "leaker is unloaded and leaves 3 blocks of pool, 12368 bytes"));
    ck_assert_ptr_nonnull(strstr(failure->text, "2 with tag \"Leak\" (80 bytes) by leaker.so!LeakSmall"));
    ck_assert_ptr_nonnull(strstr(failure->text, "1 with tag \"Oxtr\" (12288 bytes) by leaker.so!DriverEntry"));
    ck_assert_int_eq(failure->stacks.count, 2);
    ck_assert_ptr_nonnull(strstr(failure->stacks.stack[0].title, "2 blocks, 80 bytes with tag \"Leak\""));
    ck_assert_ptr_nonnull(strstr(failure->stacks.stack[0].text, "LeakSmall"));
    ck_assert_ptr_nonnull(strstr(failure->stacks.stack[0].text, "leaker.c:"));
    ck_assert_int_eq(strstr(failure->stacks.stack[0].text, "leak_at_unload") != NULL, _i == 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool rules");
    TCase *test = tcase_create("pool");

    tcase_set_timeout(test, 60);
    tcase_add_loop_test(test, breaks, 0, ARRAYSIZE(broken));
    tcase_add_test(test, nothing_left_inside);
    tcase_add_loop_test(test, leaks_are_listed, 0, 2);
    suite_add_tcase(suite, test);
    return guest_suite_run(suite);
}
