/*
 * __finally, the ways out of a body, and the order of filters, termination handlers and handlers; on both engines.
 * Compiled without optimisation, as pvsim-cc compiles a file that has __try.
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

static void expect_steps(const char *what, const ULONG *expected, unsigned count)
{
    for (unsigned index = 0; index < step_count; index++)
        ck_assert_msg(index < count && steps[index] == expected[index], "%s: step %u is %u", what, index,
                      (unsigned)steps[index]);
    ck_assert_msg(step_count == count, "%s: %u steps", what, step_count);
    step_count = 0;
}

#define EXPECT(...)                                                                                                    \
    expect_steps(#__VA_ARGS__, (const ULONG[]){__VA_ARGS__}, sizeof((const ULONG[]){__VA_ARGS__}) / sizeof(ULONG))

static __attribute__((noinline)) void raise_it(NTSTATUS status)
{
    ExRaiseStatus(status);
}

static LONG filter_step(ULONG number, LONG disposition)
{
    step(number);
    return disposition;
}

/* Runs it with the test's number as the engine's. */
static void on_engine(int engine, void (*function)(void *))
{
    struct machine_config config = guest_config(2);

    if (engine == 1)
        config.engine = ENGINE_PARALLEL;
    guest_run_with(&config, function, NULL);
}

/* ---- the body's end ---- */

static void finally_body(NTSTATUS status, bool leave)
{
    __try {
        step(1);
        if (leave)
            __leave;
        if (status != STATUS_SUCCESS)
            raise_it(status);
        step(2);
    } __finally {
        step(AbnormalTermination() ? 4 : 3);
    }
    step(5);
}

static void ends(void *argument)
{
    (void)argument;
    finally_body(STATUS_SUCCESS, false);
    EXPECT(1, 2, 3, 5);
    finally_body(STATUS_SUCCESS, true);
    EXPECT(1, 3, 5);
    __try {
        finally_body(STATUS_TIMEOUT, false);
        step(6);
    } __except (GetExceptionCode() == STATUS_TIMEOUT ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH) {
        step(7);
    }
    EXPECT(1, 4, 7);
}

START_TEST(finally)
{
    on_engine(_i, ends);
}
END_TEST

/* ---- leaving it ---- */

struct large {
    ULONG_PTR word[12];
};

static ULONG_PTR returns_value(ULONG_PTR value, ULONG_PTR *seen)
{
    ULONG_PTR local = value;

    __try {
        ULONG_PTR inner[8] = {value, value, value, value, value, value, value, value};

        local += 1;
        if (value != 0)
            return inner[7] * 2 + local;
        step(1);
    } __finally {
        ULONG_PTR other[8];

        memset(other, 0xEE, sizeof(other));
        *seen = local + (other[0] & 0);
        local = 1000;
        step(AbnormalTermination() ? 2 : 3);
    }
    return local;
}

static struct large returns_large(ULONG_PTR value)
{
    struct large large = {{0}};

    __try {
        large.word[11] = value;
        return large;
    } __finally {
        large.word[11] = 1;
        step(1);
    }
    return (struct large){{0}};
}

static double returns_double(double value)
{
    __try {
        return value / 2;
    } __finally {
        volatile double other = value * 3;

        step(other > value);
    }
    return 0;
}

static ULONG goes_out(ULONG *after)
{
    ULONG local = 1;

    __try {
        local = 2;
        if (local == 2)
            goto out;
        step(1);
    } __finally {
        local += 5;
        step(2);
    }
    step(3);
out:
    *after = local;
    return local + 1;
}

static unsigned loops(void)
{
    unsigned turns = 0;

    for (unsigned index = 0; index < 5; index++) {
        __try {
            for (unsigned inner = 0; inner < 3; inner++) {
                if (inner == 1)
                    break;
            }
            turns++;
            if (index == 1)
                continue;
            if (index == 3)
                break;
        } __finally {
            step(AbnormalTermination() ? 10 + index : index);
            for (unsigned inner = 0; inner < 3; inner++)
                if (inner == 1)
                    break;
        }
        step(20);
    }
    return turns;
}

static int nested(int how)
{
    int result = 1;

    __try {
        __try {
            __try {
                switch (how) {
                case 0:
                    return result++;
                case 1:
                    goto middle;
                case 2:
                    goto out;
                default:
                    break;
                }
                step(1);
            } __finally {
                result *= 10;
                step(2);
            }
        middle:
            step(3);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            step(4);
        }
    } __finally {
        result += 5;
        step(AbnormalTermination() ? 5 : 6);
    }
out:
    return result;
}

/* The body of a handler's own __try. */
static int finally_in_a_handler(void)
{
    int result = 0;

    __try {
        return 1;
    } __finally {
        __try {
            __try {
                if (result == 0)
                    goto inside;
            } __finally {
                step(1);
            }
        inside:
            raise_it(STATUS_TIMEOUT);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            step(2);
        }
        step(3);
    }
    return 2;
}

static int finally_in_an_except_handler(void)
{
    __try {
        raise_it(STATUS_TIMEOUT);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        __try {
            return 1;
        } __finally {
            step(1);
        }
    }
    return 2;
}

/* A frame is left behind by none of them: an exception afterwards is for the frame here. */
#define THE_FRAME_HERE_IS_NEXT()                                                                                       \
    do {                                                                                                               \
        bool here = false;                                                                                             \
                                                                                                                       \
        __try {                                                                                                        \
            raise_it(STATUS_CANCELLED);                                                                                \
        } __except (EXCEPTION_EXECUTE_HANDLER) {                                                                       \
            here = GetExceptionCode() == STATUS_CANCELLED;                                                             \
        }                                                                                                              \
        ck_assert(here);                                                                                               \
    } while (0)

static void leaving(void *argument)
{
    ULONG_PTR seen = 0;
    ULONG after = 0;

    (void)argument;
    ck_assert_uint_eq(returns_value(7, &seen), 22);
    ck_assert_uint_eq(seen, 8);
    EXPECT(2);
    ck_assert_uint_eq(returns_value(0, &seen), 1000);
    ck_assert_uint_eq(seen, 1);
    EXPECT(1, 3);
    ck_assert_uint_eq(returns_large(77).word[11], 77);
    EXPECT(1);
    ck_assert_double_eq(returns_double(5.0), 2.5);
    EXPECT(1);
    ck_assert_uint_eq(goes_out(&after), 8); /* behind the goto the block's change is there */
    ck_assert_uint_eq(after, 7);
    EXPECT(2);
    ck_assert_uint_eq(loops(), 4);
    EXPECT(0, 20, 11, 2, 20, 13);
    ck_assert_int_eq(nested(0), 1);
    EXPECT(2, 5);
    ck_assert_int_eq(nested(1), 15);
    EXPECT(2, 3, 6);
    ck_assert_int_eq(nested(2), 15);
    EXPECT(2, 5);
    ck_assert_int_eq(nested(3), 15);
    EXPECT(1, 2, 3, 6);
    ck_assert_int_eq(finally_in_a_handler(), 1);
    EXPECT(1, 2, 3);
    ck_assert_int_eq(finally_in_an_except_handler(), 1);
    EXPECT(1);
    THE_FRAME_HERE_IS_NEXT();
}

START_TEST(leaves)
{
    on_engine(_i, leaving);
}
END_TEST

/* Many times over: neither the stack nor the chain of frames grows. */
static void leaving_often(void *argument)
{
    uintptr_t stack = 0;

    (void)argument;
    for (ULONG turn = 0; turn < 1000; turn++) {
        ULONG_PTR seen;

        __try {
            uintptr_t now = (uintptr_t)__builtin_frame_address(0);

            ck_assert(stack == 0 || stack == now);
            stack = now;
            ck_assert_uint_eq(returns_value(turn + 1, &seen), turn * 3 + 4);
            step_count = 0;
            if (turn % 2 == 0)
                continue;
            raise_it(STATUS_TIMEOUT);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            ck_assert_uint_eq(turn % 2, 1);
        }
    }
}

START_TEST(leaves_often)
{
    on_engine(_i, leaving_often);
}
END_TEST

/* The registers that a caller may keep values in, set before the call and looked at after it. */
static bool registers_kept(int (*function)(void))
{
    uint64_t lost = 0;

    __asm__ volatile("movq %%rsp, %%rax\n\t"
                     "subq $128, %%rsp\n\t"
                     "andq $-16, %%rsp\n\t"
                     "pushq %%rax\n\t"
                     "pushq %%rax\n\t"
                     "movq $0x1111, %%rbx\n\t"
                     "movq $0x2222, %%r12\n\t"
                     "movq $0x3333, %%r13\n\t"
                     "movq $0x4444, %%r14\n\t"
                     "movq $0x5555, %%r15\n\t"
                     "call *%%rcx\n\t"
                     "popq %%rsp\n\t"
                     "xorq $0x1111, %%rbx\n\t"
                     "xorq $0x2222, %%r12\n\t"
                     "xorq $0x3333, %%r13\n\t"
                     "xorq $0x4444, %%r14\n\t"
                     "xorq $0x5555, %%r15\n\t"
                     "orq %%r12, %%rbx\n\t"
                     "orq %%r13, %%rbx\n\t"
                     "orq %%r14, %%rbx\n\t"
                     "orq %%r15, %%rbx\n\t"
                     "movq %%rbx, %%rax"
                     : "=a"(lost), "+c"(function)
                     :
                     : "rbx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc",
                       "memory");
    return lost == 0;
}

static int spoil_and_return(void)
{
    __try {
        __asm__ volatile("" ::: "rbx", "r12", "r13", "r14", "r15");
        return 1;
    } __finally {
        __asm__ volatile("xorl %%ebx, %%ebx\n\txorl %%r12d, %%r12d\n\txorl %%r15d, %%r15d" ::: "rbx", "r12", "r15");
    }
    return 0;
}

static int spoil_and_catch(void)
{
    __try {
        (void)spoil_and_return();
        raise_it(STATUS_TIMEOUT);
    } __except (spoil_and_return()) {
        return 1;
    }
    return 0;
}

static void registers(void *argument)
{
    (void)argument;
    ck_assert(registers_kept(spoil_and_return));
    ck_assert(registers_kept(spoil_and_catch));
}

START_TEST(callers_registers)
{
    on_engine(_i, registers);
}
END_TEST

/* ---- leaving the block itself ---- */

static int returns_twice_over(bool raises)
{
    __try {
        if (raises)
            raise_it(STATUS_TIMEOUT);
        return 1;
    } __finally {
        step(1);
        if (AbnormalTermination())
            return 2; /* instead of the other return, or of the exception */
    }
    return 3;
}

static int raises_in_the_block(void)
{
    int local = 0;

    __try {
        __try {
            __try {
                local = 1;
                return 1;
            } __finally {
                step(1);
                local = 2;
                raise_it(STATUS_TIMEOUT);
            }
        } __finally {
            step(AbnormalTermination() ? 2 : 3);
        }
    } __except (GetExceptionCode() == STATUS_TIMEOUT ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH) {
        step(4);
        return 10 + local;
    }
    return 3;
}

/* An exception in the block that another exception led to takes its place. */
static void collides(void)
{
    __try {
        __try {
            __try {
                raise_it(STATUS_TIMEOUT);
            } __finally {
                step(1);
                raise_it(STATUS_CANCELLED);
            }
        } __except (filter_step(2, GetExceptionCode() == STATUS_CANCELLED ? EXCEPTION_EXECUTE_HANDLER
                                                                          : EXCEPTION_CONTINUE_SEARCH)) {
            step(3);
        }
        step(4);
    } __except (filter_step(5, EXCEPTION_EXECUTE_HANDLER)) {
        step(6);
    }
}

static void leaving_the_block(void *argument)
{
    (void)argument;
    ck_assert_int_eq(returns_twice_over(false), 2);
    EXPECT(1);
    __try {
        ck_assert_int_eq(returns_twice_over(true), 2);
        step(2);
    } __except (filter_step(3, EXCEPTION_EXECUTE_HANDLER)) {
        step(4);
    }
    EXPECT(3, 1, 2); /* somebody would handle it: but the block's return is where it ends */
    ck_assert_int_eq(raises_in_the_block(), 12);
    EXPECT(1, 2, 4);
    /* The filters for TIMEOUT: the inner one passes it on, the outer one takes it; then the block, then CANCELLED. */
    collides();
    EXPECT(2, 5, 1, 2, 3, 4);
    THE_FRAME_HERE_IS_NEXT();
}

START_TEST(leaves_the_block)
{
    on_engine(_i, leaving_the_block);
}
END_TEST

/* ---- filters ---- */

/* Arguments on the stack, in the part of the caller's frame that a filter of the caller's uses too. */
static __attribute__((noinline)) void ten(ULONG_PTR a, ULONG_PTR b, ULONG_PTR c, ULONG_PTR d, ULONG_PTR e, ULONG_PTR f,
                                          ULONG_PTR g, ULONG_PTR h, ULONG_PTR i, ULONG_PTR j)
{
    __try {
        step(1);
        raise_it((NTSTATUS)(a + b + c + d + e + f));
    } __finally {
        step(g == 7 && h == 8 && i == 9 && j == 10 ? 2 : 3);
    }
}

static __attribute__((noinline)) LONG filter_of_ten(ULONG_PTR a, ULONG_PTR b, ULONG_PTR c, ULONG_PTR d, ULONG_PTR e,
                                                    ULONG_PTR f, ULONG_PTR g, ULONG_PTR h, ULONG_PTR i, ULONG_PTR j)
{
    volatile UCHAR space[512];

    memset((void *)(ULONG_PTR)space, 0xEE, sizeof(space));
    step(a + b + c + d + e + f == 0 && g == 20 && h == 21 && i == 22 && j == 23 ? 4 : 5);
    return EXCEPTION_EXECUTE_HANDLER;
}

static void order(void)
{
    ULONG local = 40;
    struct {
        ULONG value;
    } __attribute__((aligned(64))) aligned = {50};

    ck_assert_uint_eq((ULONG_PTR)&aligned % 64, 0);
    __try {
        __try {
            __try {
                local++;
                aligned.value++;
                ten(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
            } __finally {
                step(6);
            }
        } __except (filter_step(local++, EXCEPTION_CONTINUE_SEARCH)) {
            step(7);
        }
    } __except (filter_step(aligned.value++, EXCEPTION_CONTINUE_SEARCH) != 0
                    ? 0
                    : filter_of_ten(0, 0, 0, 0, 0, 0, 20, 21, 22, 23)) {
        step(local);
        step(aligned.value);
    }
}

/* A filter whose own exceptions it handles, and one that doesn't. */
static LONG quiet_filter(void)
{
    __try {
        __try {
            raise_it(STATUS_CANCELLED);
        } __finally {
            step(1);
        }
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        step(2);
    }
    return EXCEPTION_EXECUTE_HANDLER;
}

static LONG loud_filter(NTSTATUS code)
{
    step(code == STATUS_TIMEOUT ? 1 : 2);
    if (code == STATUS_TIMEOUT)
        raise_it(STATUS_CANCELLED);
    return EXCEPTION_CONTINUE_SEARCH;
}

static void filters_that_raise(void)
{
    __try {
        raise_it(STATUS_TIMEOUT);
    } __except (quiet_filter()) {
        step(3);
    }
    EXPECT(1, 2, 3);
    __try {
        __try {
            __try {
                raise_it(STATUS_TIMEOUT);
            } __finally {
                step(3);
            }
        } __except (loud_filter(GetExceptionCode())) {
            step(4);
        }
    } __except (GetExceptionCode() == STATUS_CANCELLED ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH) {
        step(5);
    }
    EXPECT(1, 2, 3, 5);
}

static LONG look(PEXCEPTION_POINTERS pointers, NTSTATUS code)
{
    const EXCEPTION_RECORD *record = pointers->ExceptionRecord;

    step(record->ExceptionCode == code ? 1 : 2);
    if (code == STATUS_NONCONTINUABLE_EXCEPTION) {
        ck_assert_ptr_nonnull(record->ExceptionRecord);
        ck_assert_int_eq(record->ExceptionRecord->ExceptionCode, STATUS_TIMEOUT);
    }
    ck_assert_uint_eq(record->ExceptionFlags, EXCEPTION_NONCONTINUABLE);
    ck_assert_uint_eq(pointers->ContextRecord->Rip, (ULONG_PTR)record->ExceptionAddress);
    ck_assert_uint_lt(pointers->ContextRecord->Rsp, (ULONG_PTR)__builtin_frame_address(0) + 65536);
    return EXCEPTION_CONTINUE_EXECUTION;
}

/* What ExRaiseStatus raises is noncontinuable. */
static void refusal(void)
{
    NTSTATUS status = STATUS_SUCCESS;

    __try {
        raise_it(STATUS_TIMEOUT);
        step(3);
    } __except (GetExceptionCode() == STATUS_TIMEOUT
                    ? look(GetExceptionInformation(), STATUS_TIMEOUT)
                    : -look(GetExceptionInformation(), STATUS_NONCONTINUABLE_EXCEPTION)) {
        status = GetExceptionCode();
    }
    ck_assert_int_eq(status, STATUS_NONCONTINUABLE_EXCEPTION);
    EXPECT(1, 1);
}

static void filtering(void *argument)
{
    (void)argument;
    order();
    EXPECT(1, 41, 51, 4, 2, 6, 42, 52);
    filters_that_raise();
    refusal();
    THE_FRAME_HERE_IS_NEXT();
}

START_TEST(filters)
{
    on_engine(_i, filtering);
}
END_TEST

/* Nobody handles it: the machine stops where it was raised, and no __finally has run. */
static void nobody(void *argument)
{
    (void)argument;
    __try {
        __try {
            raise_it(STATUS_TIMEOUT);
        } __finally {
            ck_abort_msg("unwound");
        }
    } __except (EXCEPTION_CONTINUE_SEARCH) {
        ck_abort_msg("handled");
    }
}

START_TEST(unhandled)
{
    const struct machine_config config = guest_config(1);

    (void)guest_must_fail(&config, nobody, NULL, "exception");
}
END_TEST

static void insist(void *argument)
{
    (void)argument;
    __try {
        raise_it(STATUS_TIMEOUT);
    } __except (EXCEPTION_CONTINUE_EXECUTION) {
        ck_abort_msg("handled");
    }
}

static void continue_fault(void *argument)
{
    (void)argument;
    __try {
        ProbeForWrite(USER_ADDRESS, 4, 4);
    } __except (EXCEPTION_CONTINUE_EXECUTION) {
        ck_abort_msg("handled");
    }
}

START_TEST(continued)
{
    const struct machine_config config = guest_config(1);

    (void)guest_must_fail(&config, _i == 0 ? insist : continue_fault, NULL, "exception-continue");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("termination");
    TCase *tcase = tcase_create("termination");

    tcase_add_loop_test(tcase, finally, 0, 2);
    tcase_add_loop_test(tcase, leaves, 0, 2);
    tcase_add_loop_test(tcase, leaves_often, 0, 2);
    tcase_add_loop_test(tcase, callers_registers, 0, 2);
    tcase_add_loop_test(tcase, leaves_the_block, 0, 2);
    tcase_add_loop_test(tcase, filters, 0, 2);
    tcase_add_test(tcase, unhandled);
    tcase_add_loop_test(tcase, continued, 0, 2);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
