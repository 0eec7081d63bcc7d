/*
 * Reinitialization routines at the end of a boot: a boot driver's before all others', each in the order of
 * registration. What a driver sees that is loaded later is tests/nt/io/reinitialize.c.
 */
#include "guest_threads.h"

#include "nt/cm/cm.h"
#include "nt/io/io.h"

#define CALLS_MAX 8u

enum kind { BOOT, ORDINARY };

struct call {
    PDRIVER_OBJECT driver;
    enum kind kind;
    ULONG count;
};

static struct {
    struct call calls[CALLS_MAX];
    unsigned count;
} seen;

static void record(PDRIVER_OBJECT driver, enum kind kind, ULONG count)
{
    ck_assert_uint_lt(seen.count, CALLS_MAX);
    seen.calls[seen.count++] = (struct call){driver, kind, count};
}

static VOID NTAPI boot_routine(PDRIVER_OBJECT DriverObject, PVOID Context, ULONG Count)
{
    ck_assert_ptr_eq(Context, &seen);
    record(DriverObject, BOOT, Count);
    if (Count == 1)
        IoRegisterBootDriverReinitialization(DriverObject, boot_routine, Context);
}

static VOID NTAPI ordinary_routine(PDRIVER_OBJECT DriverObject, PVOID Context, ULONG Count)
{
    ck_assert_ptr_eq(Context, &seen);
    record(DriverObject, ORDINARY, Count);
}

static NTSTATUS NTAPI entry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    IoRegisterDriverReinitialization(DriverObject, ordinary_routine, &seen);
    IoRegisterBootDriverReinitialization(DriverObject, boot_routine, &seen);
    return STATUS_SUCCESS;
}

static PDRIVER_OBJECT load(const char *service, ULONG start)
{
    char *path = image_printf("%s\\%s", CM_SERVICES, service);
    PDRIVER_OBJECT driver;

    cm_value_set_dword(cm_key_create(path), "Start", start);
    image_free(path);
    ck_assert_int_eq(io_create_builtin_driver(service, entry, &driver), STATUS_SUCCESS);
    return driver;
}

static void ck_assert_call(unsigned index, PDRIVER_OBJECT driver, enum kind kind, ULONG count)
{
    ck_assert_ptr_eq(seen.calls[index].driver, driver);
    ck_assert_int_eq(seen.calls[index].kind, kind);
    ck_assert_uint_eq(seen.calls[index].count, count);
}

static void boot_of_two(void *argument)
{
    PDRIVER_OBJECT demand, boot, late;

    (void)argument;
    seen.count = 0;
    io_begin_boot();
    demand = load("demanded", 3);
    boot = load("booted", 0);
    ck_assert_uint_eq(seen.count, 0);
    io_end_boot();
    ck_assert_uint_eq(seen.count, 4);
    ck_assert_call(0, boot, BOOT, 1);
    ck_assert_call(1, boot, BOOT, 2);
    ck_assert_call(2, demand, ORDINARY, 1);
    ck_assert_call(3, boot, ORDINARY, 3);

    late = load("late", 0);
    ck_assert_uint_eq(seen.count, 5);
    ck_assert_call(4, late, ORDINARY, 1);
}

START_TEST(test_boot_drivers_are_reinitialized_first)
{
    guest_run(boot_of_two, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nt-host/drivers");
    TCase *tcase = tcase_create("reinitialization");

    tcase_add_test(tcase, test_boot_drivers_are_reinitialized_first);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
