/* Structured exceptions: __try, __except and what raises, with gcc's optimisation on; the rest is test_termination.c.
 */
#include "common/guest.h"

#include <string.h>

#include "nt/ke/ke.h"

#define USER_ADDRESS ((volatile ULONG *)0x10000)

static ULONG steps[16];
static unsigned step_count;

static void step(ULONG number)
{
    ck_assert_uint_lt(step_count, 16);
    steps[step_count++] = number;
}

static void expect_steps(const ULONG *expected, unsigned count)
{
    ck_assert_uint_eq(step_count, count);
    for (unsigned index = 0; index < count; index++)
        ck_assert_uint_eq(steps[index], expected[index]);
    step_count = 0;
}

#define EXPECT(...) expect_steps((const ULONG[]){__VA_ARGS__}, sizeof((const ULONG[]){__VA_ARGS__}) / sizeof(ULONG))

static __attribute__((noinline)) void raise_it(NTSTATUS status)
{
    ExRaiseStatus(status);
}

/* ---- handlers ---- */

static NTSTATUS caught(NTSTATUS status)
{
    NTSTATUS result = STATUS_SUCCESS;

    __try {
        step(1);
        if (status != STATUS_SUCCESS)
            raise_it(status);
        step(2);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        step(3);
        result = GetExceptionCode();
    }
    step(4);
    return result;
}

static LONG only(NTSTATUS code, NTSTATUS wanted)
{
    step(9);
    return code == wanted ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH;
}

static void handlers(void *argument)
{
    volatile NTSTATUS outer = STATUS_SUCCESS;

    (void)argument;
    ck_assert_int_eq(caught(STATUS_SUCCESS), STATUS_SUCCESS);
    EXPECT(1, 2, 4);
    ck_assert_int_eq(caught(STATUS_IN_PAGE_ERROR), STATUS_IN_PAGE_ERROR);
    EXPECT(1, 3, 4);

    /* A filter that passes it on: the outer frame gets it. */
    __try {
        __try {
            raise_it(STATUS_CANCELLED);
        } __except (only(GetExceptionCode(), STATUS_TIMEOUT)) {
            step(5);
        }
        step(6);
    } __except (only(GetExceptionCode(), STATUS_CANCELLED)) {
        outer = GetExceptionCode();
        step(7);
    }
    ck_assert_int_eq(outer, STATUS_CANCELLED);
    EXPECT(9, 9, 7);

    /* Raised in a handler: not for the frame whose handler it is. */
    __try {
        __try {
            raise_it(STATUS_TIMEOUT);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            raise_it(STATUS_CANCELLED);
        }
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        outer = GetExceptionCode();
    }
    ck_assert_int_eq(outer, STATUS_CANCELLED);
}

START_TEST(handling)
{
    guest_run(handlers, NULL);
}
END_TEST

/* A sanitizer's run-time has the fault first. */
#ifdef PVSIM_SANITIZE
#define FAULTS_ARE_OURS false
#else
#define FAULTS_ARE_OURS true
#endif

static LONG look(PEXCEPTION_POINTERS pointers, void *where)
{
    ck_assert_int_eq(pointers->ExceptionRecord->ExceptionCode, STATUS_ACCESS_VIOLATION);
    ck_assert_uint_eq(pointers->ExceptionRecord->NumberParameters, 2);
    ck_assert_uint_eq(pointers->ExceptionRecord->ExceptionInformation[0], 1); /* a write */
    ck_assert_uint_eq(pointers->ExceptionRecord->ExceptionInformation[1], (ULONG_PTR)where);
    ck_assert_uint_eq(pointers->ContextRecord->Rip, (ULONG_PTR)pointers->ExceptionRecord->ExceptionAddress);
    ck_assert_uint_ne(pointers->ContextRecord->Rsp, 0);
    return EXCEPTION_EXECUTE_HANDLER;
}

static void information(void *argument)
{
    volatile bool handled = false;

    (void)argument;
    __try {
        *USER_ADDRESS = 1;
    } __except (look(GetExceptionInformation(), (void *)(ULONG_PTR)USER_ADDRESS)) {
        handled = true;
    }
    ck_assert(handled);
}

START_TEST(faults)
{
    if (FAULTS_ARE_OURS)
        guest_run(information, NULL);
}
END_TEST

/* ---- leaving the body ---- */

static int returns(int value)
{
    __try {
        __try {
            if (value == 1)
                return 10;
            if (value == 2)
                __leave;
            if (value == 3)
                goto out;
            step(1);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            step(2);
        }
        step(3);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        step(4);
    }
    return 20;
out:
    return 30;
}

static int loops(void)
{
    int turns = 0;

    for (int index = 0; index < 5; index++) {
        __try {
            turns++;
            if (index == 1)
                continue;
            if (index == 3)
                break;
            raise_it(STATUS_TIMEOUT);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            step(7);
        }
        step(8);
    }
    return turns;
}

static void leaving(void *argument)
{
    volatile bool outer = false;

    (void)argument;
    for (int value = 0; value <= 3; value++) {
        ck_assert_int_eq(returns(value), value == 1 ? 10 : value == 3 ? 30 : 20);
        /* No frame is left behind: this is for the frame here. */
        outer = false;
        __try {
            raise_it(STATUS_TIMEOUT);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            outer = true;
        }
        ck_assert(outer);
    }
    EXPECT(1, 3, 3);
    ck_assert_int_eq(loops(), 4);
    EXPECT(7, 8, 7, 8);
}

START_TEST(leaves)
{
    guest_run(leaving, NULL);
}
END_TEST

static void left_then_raise(void *argument)
{
    (void)argument;
    (void)returns(1);
    ExRaiseStatus(STATUS_TIMEOUT); /* the frames are gone */
}

START_TEST(unhandled)
{
    const struct machine_config config = guest_config(1);
    const struct failure *failure = guest_must_fail(&config, left_then_raise, NULL, "exception");

    ck_assert_uint_eq(failure->code, KMODE_EXCEPTION_NOT_HANDLED);
    ck_assert_uint_eq(failure->parameter[0], (uint32_t)STATUS_TIMEOUT);
}
END_TEST

/* ---- locals ---- */

/* What the body did before the call that raised is there in the handler, with optimisation too. */
static void locals(void *argument)
{
    PVOID block = NULL;
    ULONG count = 0;
    bool freed = false;

    (void)argument;
    __try {
        block = ExAllocatePoolWithTag(NonPagedPoolNx, 64, 0x74736554);
        for (ULONG index = 0; index < 10; index++) {
            count += index;
            if (index == 4)
                raise_it(STATUS_TIMEOUT);
        }
        ExFreePoolWithTag(block, 0x74736554);
        block = NULL;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        if (block != NULL) {
            ExFreePoolWithTag(block, 0x74736554);
            freed = true;
        }
    }
    ck_assert(freed);
    ck_assert_uint_eq(count, 10);
}

START_TEST(locals_in_the_handler)
{
    guest_run(locals, NULL);
}
END_TEST

/* ---- what raises ---- */

static NTSTATUS probe(bool write, volatile VOID *address, SIZE_T length, ULONG alignment)
{
    volatile NTSTATUS status = STATUS_SUCCESS;

    __try {
        if (write)
            ProbeForWrite(address, length, alignment);
        else
            ProbeForRead(address, length, alignment);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        status = GetExceptionCode();
    }
    return status;
}

static void probes(void *argument)
{
    PVOID block = ExAllocatePoolWithTag(NonPagedPoolNx, 64, 0x74736554);
    PMDL mdl = IoAllocateMdl((PVOID)(ULONG_PTR)USER_ADDRESS, 64, FALSE, FALSE, NULL);
    volatile NTSTATUS status = STATUS_SUCCESS;

    (void)argument;
    ck_assert_int_eq(probe(false, USER_ADDRESS, 64, 4), STATUS_SUCCESS);
    ck_assert_int_eq(probe(false, (volatile UCHAR *)USER_ADDRESS + 2, 64, 4), STATUS_DATATYPE_MISALIGNMENT);
    ck_assert_int_eq(probe(false, block, 64, 4), STATUS_ACCESS_VIOLATION); /* a kernel address */
    ck_assert_int_eq(probe(false, (PVOID)(ULONG_PTR)-8, 64, 4), STATUS_ACCESS_VIOLATION);
    ck_assert_int_eq(probe(false, block, 0, 4), STATUS_SUCCESS);
    ck_assert_int_eq(probe(true, USER_ADDRESS, 64, 4), STATUS_ACCESS_VIOLATION); /* nothing is there */
    ck_assert_int_eq(probe(true, USER_ADDRESS, 0, 4), STATUS_SUCCESS);
    __try {
        MmProbeAndLockPages(mdl, UserMode, IoReadAccess);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        status = GetExceptionCode();
    }
    ck_assert_int_eq(status, STATUS_ACCESS_VIOLATION);
    IoFreeMdl(mdl);
    ExFreePoolWithTag(block, 0x74736554);
}

START_TEST(probing)
{
    guest_run(probes, NULL);
}
END_TEST

/* ---- faults that nobody may handle ---- */

static void fault_in_kernel_memory(void *argument)
{
    (void)argument;
    __try {
        *(volatile ULONG *)0xFFFFF80000000000 = 1;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        step(1);
    }
}

static void fault_at_dispatch_level(void *argument)
{
    KIRQL irql;

    (void)argument;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    __try {
        *USER_ADDRESS = 1;
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        step(1);
    }
}

START_TEST(faults_not_handled)
{
    const struct machine_config config = guest_config(1);

    if (FAULTS_ARE_OURS)
        (void)guest_must_fail(&config, _i == 0 ? fault_at_dispatch_level : fault_in_kernel_memory, NULL, "fault");
}
END_TEST

/* ---- flows of control ---- */

static KEVENT done;

static VOID NTAPI dpc_raises(PKDPC dpc, PVOID context, PVOID first, PVOID second)
{
    volatile NTSTATUS status = STATUS_SUCCESS;

    (void)dpc;
    (void)context;
    (void)first;
    (void)second;
    __try {
        ke_raise_status(STATUS_CANCELLED, __builtin_return_address(0));
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        status = GetExceptionCode();
    }
    ck_assert_int_eq(status, STATUS_CANCELLED);
    (void)KeSetEvent(&done, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI thread_raises(PVOID context)
{
    for (int turn = 0; turn < 20; turn++) {
        volatile NTSTATUS status = STATUS_SUCCESS;
        LARGE_INTEGER delay = {.QuadPart = -100};

        __try {
            (void)KeDelayExecutionThread(KernelMode, FALSE, &delay);
            raise_it((NTSTATUS)(ULONG_PTR)context);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            status = GetExceptionCode();
        }
        ck_assert_int_eq(status, (NTSTATUS)(ULONG_PTR)context);
    }
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Frames of threads that take turns, and of a DPC on top of them, do not meet. */
static void flows(void *argument)
{
    HANDLE handle[2];
    PVOID thread[2];
    KDPC dpc;

    (void)argument;
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    for (ULONG index = 0; index < 2; index++) {
        ck_assert_int_eq(PsCreateSystemThread(&handle[index], THREAD_ALL_ACCESS, NULL, NULL, NULL, thread_raises,
                                              (PVOID)(ULONG_PTR)(0xC0000100u + index)),
                         STATUS_SUCCESS);
        ck_assert_int_eq(ObReferenceObjectByHandle(handle[index], SYNCHRONIZE, NULL, KernelMode, &thread[index], NULL),
                         STATUS_SUCCESS);
        (void)ZwClose(handle[index]);
    }
    KeInitializeDpc(&dpc, dpc_raises, NULL);
    __try {
        (void)KeInsertQueueDpc(&dpc, NULL, NULL);
        (void)KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
        step(1);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        step(2);
    }
    EXPECT(1);
    for (ULONG index = 0; index < 2; index++) {
        (void)KeWaitForSingleObject(thread[index], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(thread[index]);
    }
}

START_TEST(flows_of_control)
{
    struct machine_config config = guest_config(2);

    config.policy = (enum machine_policy)_i;
    guest_run_with(&config, flows, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exceptions");
    TCase *tcase = tcase_create("exceptions");

    tcase_add_test(tcase, handling);
    tcase_add_test(tcase, faults);
    tcase_add_test(tcase, leaves);
    tcase_add_test(tcase, unhandled);
    tcase_add_test(tcase, locals_in_the_handler);
    tcase_add_test(tcase, probing);
    tcase_add_loop_test(tcase, faults_not_handled, 0, 2);
    tcase_add_loop_test(tcase, flows_of_control, 0, 3);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
