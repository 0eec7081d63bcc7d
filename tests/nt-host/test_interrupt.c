/*
 * Interrupt objects: connection, dispatch to shared and exclusive service routines, and the interrupt's lock. Rules are
 * those of IoConnectInterruptEx and KeSynchronizeExecution (wdm.h).
 */
#include "common/guest.h"
#include "guest_threads.h"

#include <string.h>

#include "nt/io/interrupt.h"
#include "nt/ke/ke.h"

static struct {
    _Atomic unsigned calls[2];
    int vcpu;
    KIRQL irql;
    PKINTERRUPT object[2];
    BOOLEAN answer[2];
} isr;

static BOOLEAN NTAPI service(PKINTERRUPT interrupt, PVOID context)
{
    unsigned which = (unsigned)(uintptr_t)context;

    ck_assert_ptr_eq(interrupt, isr.object[which]);
    isr.vcpu = vcpu_current_index();
    isr.irql = KeGetCurrentIrql();
    isr.calls[which]++;
    return isr.answer[which];
}

static NTSTATUS connect(uint8_t vector, unsigned which, unsigned vcpu, KINTERRUPT_MODE mode, bool share)
{
    IO_CONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_FULLY_SPECIFIED};

    parameters.FullySpecified.InterruptObject = &isr.object[which];
    parameters.FullySpecified.ServiceRoutine = service;
    parameters.FullySpecified.ServiceContext = (PVOID)(uintptr_t)which;
    parameters.FullySpecified.Vector = vector;
    parameters.FullySpecified.Irql = vector >> 4;
    parameters.FullySpecified.SynchronizeIrql = vector >> 4;
    parameters.FullySpecified.ProcessorEnableMask = (KAFFINITY)1 << vcpu;
    parameters.FullySpecified.InterruptMode = mode;
    parameters.FullySpecified.ShareVector = share;
    return IoConnectInterruptEx(&parameters);
}

static void disconnect(unsigned which)
{
    IO_DISCONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_FULLY_SPECIFIED};

    parameters.ConnectionContext.InterruptObject = isr.object[which];
    IoDisconnectInterruptEx(&parameters);
}

/* On the parallel engine the vCPU gets to its interrupt after any time. */
static void expect_calls(unsigned which, unsigned count)
{
    for (unsigned ms = 0; ms < 2000 && isr.calls[which] < count; ms++)
        sleep_ms(1);
    ck_assert_uint_eq(isr.calls[which], count);
}

static BOOLEAN NTAPI synchronized(PVOID context)
{
    *(KIRQL *)context = KeGetCurrentIrql();
    vcpu_raise_vector(0, 0x63); /* cannot be taken before the routine has returned */
    ck_assert_uint_eq(isr.calls[0], 0);
    return TRUE;
}

static void message_interrupt(void *argument)
{
    KIRQL irql = 0;

    (void)argument;
    memset(&isr, 0, sizeof(isr));
    isr.answer[0] = TRUE;
    ck_assert_int_eq(connect(0x53, 0, 1, Latched, false), STATUS_SUCCESS);
    ck_assert_int_eq(connect(0x53, 1, 1, Latched, false), STATUS_INVALID_PARAMETER); /* not shared */
    vcpu_raise_vector(1, 0x53);
    expect_calls(0, 1);
    ck_assert_int_eq(isr.vcpu, 1);
    ck_assert_uint_eq(isr.irql, 5);
    disconnect(0);
    vcpu_raise_vector(1, 0x53);
    sleep_ms(1);
    ck_assert_uint_eq(isr.calls[0], 1);

    KeSetSystemAffinityThread(1);
    isr.calls[0] = 0;
    ck_assert_int_eq(connect(0x63, 0, 0, Latched, false), STATUS_SUCCESS);
    ck_assert(KeSynchronizeExecution(isr.object[0], synchronized, &irql));
    ck_assert_uint_eq(irql, 6);
    expect_calls(0, 1);
    irql = KeAcquireInterruptSpinLock(isr.object[0]);
    ck_assert_uint_eq(KeGetCurrentIrql(), 6);
    KeReleaseInterruptSpinLock(isr.object[0], irql);
    ck_assert_uint_eq(KeGetCurrentIrql(), PASSIVE_LEVEL);
    disconnect(0);
}

START_TEST(test_message_interrupt)
{
    guest_run(message_interrupt, NULL);
}
END_TEST

static void shared_line(void *argument)
{
    uint8_t vector = io_line_acquire(28);

    (void)argument;
    memset(&isr, 0, sizeof(isr));
    ck_assert_uint_ne(vector, 0);
    ck_assert_uint_eq(io_line_acquire(28), vector); /* one line, one vector */
    ck_assert_int_eq(io_line_of_vector(0, vector), 28);
    ck_assert_int_eq(io_line_of_vector(1, vector), -1); /* another vector of the same number */
    ck_assert_int_eq(connect(vector, 0, 0, LevelSensitive, true), STATUS_SUCCESS);
    ck_assert_int_eq(connect(vector, 1, 0, LevelSensitive, true), STATUS_SUCCESS);
    isr.answer[1] = TRUE; /* the second device's interrupt */
    vcpu_set_line(28, true);
    vcpu_set_line(28, false);
    expect_calls(1, 1);
    ck_assert_uint_eq(isr.calls[0], 1); /* asked first, and refused */
    isr.answer[0] = TRUE;
    vcpu_set_line(28, true);
    vcpu_set_line(28, false);
    expect_calls(0, 2);
    sleep_ms(1);
    ck_assert_uint_eq(isr.calls[1], 1); /* a level-sensitive line is asked again while it is asserted */
    disconnect(0);
    disconnect(1);
    io_line_release(28);
    io_line_release(28);
    ck_assert_int_eq(io_line_of_vector(0, vector), -1);
}

START_TEST(test_shared_line)
{
    guest_run(shared_line, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/interrupt");
    TCase *interrupts = tcase_create("interrupts");

    tcase_add_test(interrupts, test_message_interrupt);
    tcase_add_test(interrupts, test_shared_line);
    suite_add_tcase(suite, interrupts);
    return guest_suite_run(suite);
}
