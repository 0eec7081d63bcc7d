/*
 * How vCPUs learn of events: the upcall vector of each (public/hvm/hvm_op.h, HVMOP_set_evtchn_upcall_vector), or the
 * callback of vCPU 0 (public/hvm/params.h, HVM_PARAM_CALLBACK_IRQ).
 */
#include "xen/xen_guest.h"

#include "nt/io/interrupt.h"

#define PLATFORM_DEVICE 2u /* its number on PCI bus 0 */

static volatile struct shared_info *shared;

/* A connected service routine, which takes the upcall as a driver does. */
struct handler {
    PKINTERRUPT object;
    _Atomic unsigned calls;
    _Atomic unsigned with_event; /* calls that found the upcall flag set */
    _Atomic unsigned vcpu;       /* of the last call */
    bool leave;                  /* do not clear the flag: pretend not to be the device */
    unsigned stop_after;         /* with `leave`: clear it after so many calls */
};

static BOOLEAN NTAPI service(PKINTERRUPT interrupt, PVOID context)
{
    struct handler *handler = context;
    unsigned vcpu = KeGetCurrentProcessorNumberEx(NULL);
    volatile struct vcpu_info *info = &shared->vcpu_info[vcpu];
    bool event = info->evtchn_upcall_pending != 0;

    ck_assert_ptr_eq(interrupt, handler->object);
    if (event && (!handler->leave || handler->calls + 1 >= handler->stop_after)) {
        info->evtchn_upcall_pending = 0;
        info->evtchn_pending_sel = 0;
    }
    handler->vcpu = vcpu;
    handler->calls++; /* the counts last: who waits for them finds the rest done */
    handler->with_event += event;
    return event;
}

static void connect(struct handler *handler, uint8_t vector, unsigned vcpu, KINTERRUPT_MODE mode)
{
    IO_CONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_FULLY_SPECIFIED};

    parameters.FullySpecified.InterruptObject = &handler->object;
    parameters.FullySpecified.ServiceRoutine = service;
    parameters.FullySpecified.ServiceContext = handler;
    parameters.FullySpecified.Vector = vector;
    parameters.FullySpecified.Irql = vector >> 4;
    parameters.FullySpecified.SynchronizeIrql = vector >> 4;
    parameters.FullySpecified.ProcessorEnableMask = (KAFFINITY)1 << vcpu;
    parameters.FullySpecified.InterruptMode = mode;
    parameters.FullySpecified.ShareVector = mode == LevelSensitive;
    ck_assert_int_eq(IoConnectInterruptEx(&parameters), STATUS_SUCCESS);
}

static void disconnect(struct handler *handler)
{
    IO_DISCONNECT_INTERRUPT_PARAMETERS parameters = {.Version = CONNECT_FULLY_SPECIFIED};

    parameters.ConnectionContext.InterruptObject = handler->object;
    IoDisconnectInterruptEx(&parameters);
}

static int64_t set_vector(unsigned vcpu, unsigned vector)
{
    struct xen_hvm_evtchn_upcall_vector op = {.vcpu = vcpu, .vector = (uint8_t)vector};

    return call_hvm(HVMOP_set_evtchn_upcall_vector, &op);
}

static evtchn_port_t ipi_for(unsigned vcpu)
{
    struct evtchn_bind_ipi bind = {.vcpu = vcpu};

    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_ipi, &bind), 0);
    return bind.port;
}

/* An interrupt of another vCPU comes when that vCPU gets to it: on the parallel engine after any time. */
static void wait_for(const _Atomic unsigned *count, unsigned value)
{
    for (unsigned ms = 0; ms < 2000 && *count < value; ms++)
        sleep_us(1000);
    ck_assert_uint_eq(*count, value);
}

static void send_and_wait(evtchn_port_t port, const _Atomic unsigned *count, unsigned value)
{
    ck_assert_int_eq(port_send(port), 0);
    wait_for(count, value);
    shared->evtchn_pending[0] = 0;
}

/* For an event that nothing shall hear of. */
static void send_in_vain(evtchn_port_t port)
{
    ck_assert_int_eq(port_send(port), 0);
    sleep_us(1000);
    shared->evtchn_pending[0] = 0;
}

static uint64_t callback_intx(unsigned device, unsigned intx)
{
    return (uint64_t)HVM_PARAM_CALLBACK_TYPE_PCI_INTX << 56 | device << 11 | intx;
}

/* ---- upcall vectors ---- */

XEN_TEST(vector_per_vcpu)
{
    struct handler handler[GUEST_VCPUS] = {{.calls = 0}};
    evtchn_port_t port[GUEST_VCPUS];

    shared = map_shared_info();
    for (unsigned vcpu = 0; vcpu < GUEST_VCPUS; vcpu++) {
        connect(&handler[vcpu], (uint8_t)(0x53 + vcpu), vcpu, Latched);
        ck_assert_int_eq(set_vector(vcpu, 0x53 + vcpu), 0);
        port[vcpu] = ipi_for(vcpu);
    }
    for (unsigned vcpu = 0; vcpu < GUEST_VCPUS; vcpu++) {
        /* Xen raises it once when it is set, whether or not there is an event. */
        wait_for(&handler[vcpu].calls, 1);
        ck_assert_uint_eq(handler[vcpu].with_event, 0);
        ck_assert_uint_eq(handler[vcpu].vcpu, vcpu);
    }
    for (unsigned vcpu = 0; vcpu < GUEST_VCPUS; vcpu++) {
        send_and_wait(port[vcpu], &handler[vcpu].with_event, 1);
        ck_assert_uint_eq(handler[vcpu].calls, 2);
        ck_assert_uint_eq(handler[vcpu].vcpu, vcpu);
        ck_assert_uint_eq(handler[1 - vcpu].calls, vcpu == 0 ? 1 : 2);
    }
    disconnect(&handler[0]);
    disconnect(&handler[1]);
}

/* A vector comes when the upcall flag goes from 0 to 1, not while it is 1. */
XEN_TEST(vector_is_an_edge)
{
    struct handler handler = {.leave = true, .stop_after = 100};
    evtchn_port_t first;
    evtchn_port_t second;

    shared = map_shared_info();
    connect(&handler, 0x53, 1, Latched);
    ck_assert_int_eq(set_vector(1, 0x53), 0);
    first = ipi_for(1);
    second = ipi_for(1);
    wait_for(&handler.calls, 1); /* of setting it */
    send_and_wait(first, &handler.calls, 2);
    shared->vcpu_info[1].evtchn_pending_sel = 0; /* but the flag is still set */
    send_in_vain(second);
    sleep_us(20000);
    ck_assert_uint_eq(shared->vcpu_info[1].evtchn_pending_sel, 1);
    ck_assert_uint_eq(handler.calls, 2);
    shared->vcpu_info[1].evtchn_pending_sel = 0;
    shared->vcpu_info[1].evtchn_upcall_pending = 0;
    send_and_wait(first, &handler.calls, 3);
    disconnect(&handler);
}

/* An upcall vector takes precedence over the callback; vCPU 0 alone has the line. */
XEN_TEST(vector_before_line)
{
    struct handler vectored = {.calls = 0};
    struct handler line = {.calls = 0};
    unsigned gsi = pci_intx_gsi(PLATFORM_DEVICE, 0);
    evtchn_port_t port;

    shared = map_shared_info();
    connect(&line, io_line_acquire(gsi), 0, LevelSensitive);
    ck_assert_int_eq(param_set(HVM_PARAM_CALLBACK_IRQ, callback_intx(PLATFORM_DEVICE, 0)), 0);
    port = ipi_for(0);
    send_and_wait(port, &line.with_event, 1);
    connect(&vectored, 0x63, 0, Latched);
    ck_assert_int_eq(set_vector(0, 0x63), 0);
    send_and_wait(port, &vectored.with_event, 1);
    ck_assert_uint_eq(line.with_event, 1);
    disconnect(&vectored);
    disconnect(&line);
    io_line_release(gsi);
}

XEN_TEST(masked_port_is_silent)
{
    struct handler handler = {.calls = 0};
    evtchn_port_t port;

    shared = map_shared_info();
    connect(&handler, 0x53, 0, Latched);
    ck_assert_int_eq(set_vector(0, 0x53), 0);
    port = ipi_for(0);
    wait_for(&handler.calls, 1); /* of setting it */
    shared->evtchn_mask[0] |= UINT64_C(1) << port;
    ck_assert_int_eq(port_send(port), 0);
    sleep_us(1000);
    ck_assert_uint_eq(handler.calls, 1);
    ck_assert_int_eq(port_unmask(port), 0);
    wait_for(&handler.with_event, 1);
    disconnect(&handler);
}

/* ---- the line ---- */

static void over_line(uint64_t callback, unsigned gsi)
{
    struct handler handler = {.calls = 0};
    evtchn_port_t port;
    evtchn_port_t other;

    shared = map_shared_info();
    connect(&handler, io_line_acquire(gsi), 0, LevelSensitive);
    port = ipi_for(0);
    other = ipi_for(1);
    send_in_vain(port);
    ck_assert_uint_eq(handler.calls, 0); /* no way to tell yet */
    ck_assert_int_eq(param_set(HVM_PARAM_CALLBACK_IRQ, callback), 0);
    ck_assert_uint_eq(param(HVM_PARAM_CALLBACK_IRQ), callback);
    wait_for(&handler.with_event, 1); /* the event from before */
    send_and_wait(port, &handler.with_event, 2);
    ck_assert_uint_eq(handler.vcpu, 0);
    handler.calls = 0;
    send_in_vain(other); /* vCPU 1 has no line */
    ck_assert_uint_eq(handler.calls, 0);
    ck_assert_uint_eq(shared->vcpu_info[1].evtchn_upcall_pending, 1);

    /* Level-triggered: it comes again as long as the flag is set. */
    handler.calls = 0;
    handler.leave = true;
    handler.stop_after = 4;
    send_and_wait(port, &handler.calls, 4);
    ck_assert_uint_eq(shared->vcpu_info[0].evtchn_upcall_pending, 0);

    ck_assert_int_eq(param_set(HVM_PARAM_CALLBACK_IRQ, 0), 0); /* 0: not delivered */
    send_in_vain(port);
    ck_assert_uint_eq(handler.calls, 4);
    ck_assert_uint_eq(shared->vcpu_info[0].evtchn_upcall_pending, 1);
    disconnect(&handler);
    io_line_release(gsi);
}

XEN_TEST(intx_line)
{
    over_line(callback_intx(PLATFORM_DEVICE, 0), pci_intx_gsi(PLATFORM_DEVICE, 0));
}

XEN_TEST(gsi_line)
{
    over_line(28, 28);
}

XEN_TEST(callback_vector)
{
    struct handler handler[GUEST_VCPUS] = {{.calls = 0}};
    evtchn_port_t port[GUEST_VCPUS];

    shared = map_shared_info();
    for (unsigned vcpu = 0; vcpu < GUEST_VCPUS; vcpu++) {
        connect(&handler[vcpu], 0x53, vcpu, Latched);
        port[vcpu] = ipi_for(vcpu);
    }
    ck_assert_int_eq(param_set(HVM_PARAM_CALLBACK_IRQ, (uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | 0x53), 0);
    for (unsigned vcpu = 0; vcpu < GUEST_VCPUS; vcpu++) { /* the one vector is for every vCPU */
        send_and_wait(port[vcpu], &handler[vcpu].with_event, 1);
        ck_assert_uint_eq(handler[vcpu].vcpu, vcpu);
    }
    disconnect(&handler[0]);
    disconnect(&handler[1]);
}

/* Domain 0's event comes as the guest's own does, on the vCPU that the port is bound to. */
static void ignore(void *argument, uint32_t port)
{
    (void)argument;
    (void)port;
}

XEN_TEST(from_dom0)
{
    struct handler handler = {.calls = 0};
    evtchn_port_t port;
    struct evtchn_bind_vcpu bind = {.vcpu = 1};
    int far;

    shared = map_shared_info();
    connect(&handler, 0x53, 1, Latched);
    ck_assert_int_eq(set_vector(1, 0x53), 0);
    port = port_for(0);
    far = xen_evtchn_bind_interdomain(XEN_DOM0, 1, port, ignore, NULL);
    ck_assert_int_gt(far, 0);
    bind.port = port;
    ck_assert_int_eq(call_evtchn(EVTCHNOP_bind_vcpu, &bind), 0);
    wait_for(&handler.calls, 1); /* of setting it */
    ck_assert_uint_eq(handler.with_event, 0);
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, (uint32_t)far), 0);
    wait_for(&handler.with_event, 1);
    ck_assert_uint_eq(handler.vcpu, 1);
    disconnect(&handler);
}

XEN_TEST(vector_limits)
{
    ck_assert_xen_error(set_vector(0, 0), XEN_EINVAL);
    ck_assert_xen_error(set_vector(0, 0x0F), XEN_EINVAL);
    ck_assert_xen_error(set_vector(GUEST_VCPUS, 0x53), XEN_ENOENT);
    ck_assert_xen_error(set_vector(UINT32_MAX, 0x53), XEN_ENOENT);
    ck_assert_int_eq(set_vector(0, 0xFF), 0);
    ck_assert_int_eq(set_vector(0, 0x10), 0);
    ck_assert_xen_error(call_hvm(HVMOP_set_evtchn_upcall_vector, NULL), XEN_EFAULT);
    /* Once set it can't be unset, only changed. */
    ck_assert_xen_error(set_vector(0, 0), XEN_EINVAL);
}

int main(void)
{
    Suite *suite = suite_create("event upcalls");
    TCase *tcase = tcase_create("vectors");

    tcase_add_test(tcase, vector_per_vcpu);
    tcase_add_test(tcase, vector_is_an_edge);
    tcase_add_test(tcase, vector_before_line);
    tcase_add_test(tcase, masked_port_is_silent);
    tcase_add_test(tcase, from_dom0);
    tcase_add_test(tcase, vector_limits);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("callback");
    tcase_add_test(tcase, intx_line);
    tcase_add_test(tcase, gsi_line);
    tcase_add_test(tcase, callback_vector);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
