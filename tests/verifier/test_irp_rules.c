/*
 * Rules of IRPs and device objects that need more than the call at hand (verifier/irp_rules.c): each broken by a driver
 * of the test's own, and kept by one that does right.
 */
#include "common/guest.h"

#include <string.h>

#include "machine/log.h"
#include "nt/ex/pool.h"
#include "nt/io/io.h"
#include "nt/ob/ob.h"
#include "nt/verifier/irp_rules.h"

#define BYTES 6000u
#define TAG POOL_TAG('T', 'e', 's', 't')

enum behaviour {
    COMPLETES,
    PASSES_ON,          /* skips its location */
    PENDS,              /* marks the IRP and keeps it */
    SKIPS_COMPLETES,    /* skips its location and completes the IRP all the same */
    SETS_NEXT_COMPLETES /* makes the next location the current one and completes the IRP */
};

static struct {
    PDRIVER_OBJECT driver;
    PDEVICE_OBJECT bottom;
    PDEVICE_OBJECT top;
    enum behaviour of_bottom;
    enum behaviour of_top;
    bool scribbles;      /* the bottom writes into the buffer of a write request */
    UCHAR claims_minors; /* major function whose every minor function the bottom claims to know, 0xFF none */
    bool informs;        /* the bottom changes the information of requests with minor functions that it does not know */
    PIRP kept;
} test;

static NTSTATUS finish(PIRP irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    enum behaviour behaviour = device == test.bottom ? test.of_bottom : test.of_top;

    if (device == test.bottom && test.scribbles)
        *(UCHAR *)MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority) ^= 1;
    switch (behaviour) {
    case COMPLETES:
        break;
    case PASSES_ON:
        IoSkipCurrentIrpStackLocation(irp);
        return IoCallDriver(test.bottom, irp);
    case PENDS:
        IoMarkIrpPending(irp);
        test.kept = irp;
        return STATUS_PENDING;
    case SKIPS_COMPLETES:
        IoSkipCurrentIrpStackLocation(irp);
        break;
    case SETS_NEXT_COMPLETES:
        IoSetNextIrpStackLocation(irp);
        break;
    }
    return finish(irp, STATUS_SUCCESS);
}

static NTSTATUS NTAPI dispatch_minors(PDEVICE_OBJECT device, PIRP irp)
{
    NTSTATUS status = irp->IoStatus.Status;

    if (device == test.top) {
        IoSkipCurrentIrpStackLocation(irp);
        return IoCallDriver(test.bottom, irp);
    }
    if (IoGetCurrentIrpStackLocation(irp)->MajorFunction == test.claims_minors)
        return finish(irp, STATUS_SUCCESS);
    if (test.informs)
        irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    (void)driver;
}

static NTSTATUS NTAPI driver_entry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    (void)path;
    driver->DriverUnload = unload;
    driver->MajorFunction[IRP_MJ_WRITE] = dispatch;
    driver->MajorFunction[IRP_MJ_PNP] = dispatch_minors;
    driver->MajorFunction[IRP_MJ_POWER] = dispatch_minors;
    driver->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = dispatch_minors;
    return STATUS_SUCCESS;
}

static PDEVICE_OBJECT make_device(void)
{
    PDEVICE_OBJECT device;

    ck_assert_int_eq(IoCreateDevice(test.driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device), STATUS_SUCCESS);
    device->Flags |= DO_DIRECT_IO;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return device;
}

static void set_up(enum behaviour top, enum behaviour bottom)
{
    memset(&test, 0, sizeof(test));
    test.of_top = top;
    test.of_bottom = bottom;
    test.claims_minors = 0xFF;
    ck_assert_int_eq(io_create_builtin_driver("tester", driver_entry, &test.driver), STATUS_SUCCESS);
    test.bottom = make_device();
    test.top = make_device();
    ck_assert_ptr_eq(IoAttachDeviceToDeviceStack(test.top, test.bottom), test.bottom);
}

static void tear_down(void)
{
    IoDetachDevice(test.bottom);
    IoDeleteDevice(test.top);
    IoDeleteDevice(test.bottom);
    ck_assert_int_eq(io_unload_driver(test.driver), STATUS_SUCCESS);
    ob_dereference(test.driver);
}

/* What IoBuildSynchronousFsdRequest made, and where it puts its result. */
struct request {
    KEVENT done;
    IO_STATUS_BLOCK result;
    UCHAR *buffer;
    NTSTATUS status;
};

static void send_write(struct request *request)
{
    LARGE_INTEGER offset = {.QuadPart = 0};
    PIRP irp;

    request->buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, BYTES, TAG);
    ck_assert_ptr_nonnull(request->buffer);
    KeInitializeEvent(&request->done, NotificationEvent, FALSE);
    irp = IoBuildSynchronousFsdRequest(IRP_MJ_WRITE, test.top, request->buffer, BYTES, &offset, &request->done,
                                       &request->result);
    ck_assert_ptr_nonnull(irp);
    request->status = IoCallDriver(test.top, irp);
}

static void finish_write(struct request *request)
{
    if (request->status == STATUS_PENDING)
        KeWaitForSingleObject(&request->done, Executive, KernelMode, FALSE, NULL);
    ck_assert_int_eq(request->result.Status, STATUS_SUCCESS);
    ExFreePoolWithTag(request->buffer, TAG);
}

static const struct failure *must_break(void (*function)(void *), const char *rule)
{
    struct machine_config config = guest_config(1);

    config.log_level = LOG_NONE;
    return guest_must_fail(&config, function, NULL, rule);
}

/* ---- stack locations ---- */

static void locations_kept(void *argument)
{
    struct request request;

    (void)argument;
    set_up(PASSES_ON, COMPLETES);
    send_write(&request);
    finish_write(&request);
    tear_down();
}

START_TEST(test_locations_kept)
{
    guest_run(locations_kept, NULL);
}
END_TEST

static void skipped_and_completed(void *argument)
{
    struct request request;

    (void)argument;
    set_up(PASSES_ON, SKIPS_COMPLETES);
    send_write(&request);
}

START_TEST(test_skipped_and_completed)
{
    const struct failure *failure = must_break(skipped_and_completed, "irp-location");

    ck_assert_msg(strstr(failure->text, "IoSkipCurrentIrpStackLocation") != NULL, "%s", failure->text);
}
END_TEST

static void next_set_and_completed(void *argument)
{
    struct request request;

    (void)argument;
    set_up(SETS_NEXT_COMPLETES, COMPLETES);
    send_write(&request);
}

START_TEST(test_next_set_and_completed)
{
    const struct failure *failure = must_break(next_set_and_completed, "irp-location");

    ck_assert_msg(strstr(failure->text, "IoSetNextIrpStackLocation") != NULL, "%s", failure->text);
}
END_TEST

/* ---- invariant MDLs ---- */

static void driver_scribbles(void *argument)
{
    struct request request;

    (void)argument;
    set_up(PASSES_ON, COMPLETES);
    test.scribbles = true;
    send_write(&request);
}

START_TEST(test_driver_scribbles)
{
    must_break(driver_scribbles, "mdl-invariant");
}
END_TEST

static void creator_scribbles(void *argument)
{
    struct request request;

    (void)argument;
    set_up(PASSES_ON, PENDS);
    send_write(&request);
    ck_assert_int_eq(request.status, STATUS_PENDING);
    request.buffer[BYTES - 1] ^= 1; /* the last byte, in the second page */
    (void)finish(test.kept, STATUS_SUCCESS);
}

START_TEST(test_creator_scribbles)
{
    must_break(creator_scribbles, "mdl-invariant");
}
END_TEST

static void written_after_completion(void *argument)
{
    struct request request;

    (void)argument;
    set_up(PASSES_ON, PENDS);
    for (unsigned i = 0; i < 3; i++) {
        send_write(&request);
        (void)finish(test.kept, STATUS_SUCCESS);
        request.buffer[0] ^= 1; /* its creator's again */
        finish_write(&request);
    }
    tear_down();
}

START_TEST(test_written_after_completion)
{
    guest_run(written_after_completion, NULL);
}
END_TEST

/* ---- devices that go ---- */

static void deleted_with_request(void *argument)
{
    struct request request;

    (void)argument;
    set_up(PASSES_ON, PENDS);
    send_write(&request);
    IoDetachDevice(test.bottom);
    IoDeleteDevice(test.bottom);
}

START_TEST(test_deleted_with_request)
{
    must_break(deleted_with_request, "device-removed-busy");
}
END_TEST

/* Who has skipped its location and sent the request on has nothing more to do with it. */
static void deleted_after_passing_on(void *argument)
{
    struct request request;

    (void)argument;
    set_up(PASSES_ON, PENDS);
    send_write(&request);
    IoDetachDevice(test.bottom);
    IoDeleteDevice(test.top);
    (void)finish(test.kept, STATUS_SUCCESS);
    finish_write(&request);
    IoDeleteDevice(test.bottom);
    ck_assert_int_eq(io_unload_driver(test.driver), STATUS_SUCCESS);
    ob_dereference(test.driver);
}

START_TEST(test_deleted_after_passing_on)
{
    guest_run(deleted_after_passing_on, NULL);
}
END_TEST

/* ---- unknown minor functions ---- */

static const UCHAR majors[] = {IRP_MJ_PNP, IRP_MJ_POWER, IRP_MJ_SYSTEM_CONTROL};

static void unknown_minors(void *argument)
{
    set_up(COMPLETES, COMPLETES);
    if (argument == &test.informs)
        test.informs = true;
    else if (argument != NULL)
        test.claims_minors = *(const UCHAR *)argument;
    irp_rule_unknown_minors(test.bottom);
    tear_down();
}

START_TEST(test_unknown_minors_left_alone)
{
    guest_run(unknown_minors, NULL);
}
END_TEST

START_TEST(test_unknown_minor_claimed)
{
    struct machine_config config = guest_config(1);
    UCHAR major = majors[_i];

    config.log_level = LOG_NONE;
    guest_must_fail(&config, unknown_minors, &major, "irp-unknown-minor");
}
END_TEST

START_TEST(test_unknown_minor_informed)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure =
        guest_must_fail(&config, unknown_minors, &test.informs, "irp-unknown-minor-information");

    ck_assert_uint_eq(failure->code, DRIVER_VERIFIER_IOMANAGER_VIOLATION);
    ck_assert_uint_eq(failure->parameter[0], 0x214);
    ck_assert_uint_eq(failure->parameter[3], (uintptr_t)test.bottom);
}
END_TEST

#ifndef MACHINE_THREAD_SANITIZER /* minutes, where the clock is the host's */
/* ---- cancelled requests ---- */

#define LIMIT_MS 360000

static void sleep_ms(unsigned milliseconds)
{
    LARGE_INTEGER interval = {.QuadPart = -10000LL * milliseconds};

    (void)KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

static void never_completed(void *argument)
{
    struct request request;

    (void)argument;
    set_up(PASSES_ON, PENDS);
    send_write(&request);
    ck_assert(!IoCancelIrp(test.kept));
    sleep_ms(LIMIT_MS - 1000);
    sleep_ms(2000);
    ck_abort_msg("nothing was seen");
}

START_TEST(test_cancelled_and_kept)
{
    const struct failure *failure = must_break(never_completed, "irp-cancel-time");

    ck_assert_uint_eq(failure->code, DRIVER_VERIFIER_DETECTED_VIOLATION);
    ck_assert_uint_eq(failure->parameter[0], 0x135);
    ck_assert_uint_eq(failure->parameter[1], (uintptr_t)test.kept);
    ck_assert_uint_eq(failure->parameter[2], LIMIT_MS);
    ck_assert_uint_ge(failure->time, LIMIT_MS * UINT64_C(1000000));
}
END_TEST

/* A request that was not cancelled may take as long as it likes, a cancelled one nearly six minutes. */
static void completed_late(void *argument)
{
    struct request request;

    (void)argument;
    set_up(PASSES_ON, PENDS);
    send_write(&request);
    sleep_ms(2 * LIMIT_MS);
    (void)IoCancelIrp(test.kept);
    sleep_ms(LIMIT_MS - 1000);
    (void)IoCancelIrp(test.kept); /* counts from the first time */
    (void)finish(test.kept, STATUS_SUCCESS);
    finish_write(&request);
    sleep_ms(LIMIT_MS);
    tear_down();
}

START_TEST(test_cancelled_and_completed)
{
    struct machine_config config = guest_config(1);

    config.timeout_ns *= 10;
    guest_run_with(&config, completed_late, NULL);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("verifier/irp_rules");
    TCase *locations = tcase_create("stack locations");
    TCase *mdls = tcase_create("invariant MDLs");
    TCase *devices = tcase_create("devices that go");
    TCase *minors = tcase_create("unknown minor functions");
    TCase *cancelled = tcase_create("cancelled requests");

    tcase_add_test(locations, test_locations_kept);
    tcase_add_test(locations, test_skipped_and_completed);
    tcase_add_test(locations, test_next_set_and_completed);
    tcase_add_test(mdls, test_driver_scribbles);
    tcase_add_test(mdls, test_creator_scribbles);
    tcase_add_test(mdls, test_written_after_completion);
    tcase_add_test(devices, test_deleted_with_request);
    tcase_add_test(devices, test_deleted_after_passing_on);
    tcase_add_test(minors, test_unknown_minors_left_alone);
    tcase_add_loop_test(minors, test_unknown_minor_claimed, 0, RTL_NUMBER_OF(majors));
    tcase_add_test(minors, test_unknown_minor_informed);
#ifndef MACHINE_THREAD_SANITIZER
    tcase_add_test(cancelled, test_cancelled_and_kept);
    tcase_add_test(cancelled, test_cancelled_and_completed);
#endif
    suite_add_tcase(suite, locations);
    suite_add_tcase(suite, mdls);
    suite_add_tcase(suite, devices);
    suite_add_tcase(suite, minors);
    suite_add_tcase(suite, cancelled);
    return guest_suite_run(suite);
}
