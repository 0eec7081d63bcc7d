/* Rules of plug and play that only a bus or function driver can break: tests/clients/toybus does, once each. */
#include "nt-host/toy_machine.h"

static void sin_at_start(void *argument)
{
    boot();
    toy.Sin = *(const TOY_SIN *)argument;
    report(1);
}

static void sin_at_removal(void *argument)
{
    boot_with(1);
    toy.Sin = *(const TOY_SIN *)argument;
    report(0);
}

static void unknown_relations(void *argument)
{
    (void)argument;
    boot_with(1);
    IoInvalidateDeviceRelations(toy.Pdo, (DEVICE_RELATION_TYPE)77);
}

static NTSTATUS NTAPI target_changed(PVOID NotificationStructure, PVOID Context)
{
    UNREFERENCED_PARAMETER(NotificationStructure);
    UNREFERENCED_PARAMETER(Context);
    return STATUS_SUCCESS;
}

static void sin_at_registration(void *argument)
{
    PFILE_OBJECT file;
    PVOID entry;

    boot_with(1);
    toy.Sin = *(const TOY_SIN *)argument;
    ck_assert_int_eq(ObReferenceObjectByHandle(open_child(0), 0, *IoFileObjectType, KernelMode, (PVOID *)&file, NULL),
                     STATUS_SUCCESS);
    IoRegisterPlugPlayNotification(EventCategoryTargetDeviceChange, 0, file, toy.Pdo->DriverObject, target_changed,
                                   NULL, &entry);
}

static const struct {
    void (*function)(void *);
    TOY_SIN sin;
    const char *rule;
    uint32_t code;
    uint64_t first;
} broken[] = {
    {sin_at_start, TOY_REPORTS_TWICE, "pnp-relations", PNP_DETECTED_FATAL_ERROR, 4},
    {sin_at_removal, TOY_NO_RELATION, "pnp-relations", PNP_DETECTED_FATAL_ERROR, 4},
    {sin_at_registration, TOY_OTHER_TARGET, "pnp-relations", DRIVER_VERIFIER_DETECTED_VIOLATION, 0x5056},
    {sin_at_start, TOY_RAISES_WHEN_TOLD, "irql-changed", PNP_DETECTED_FATAL_ERROR, 0xA},
    {unknown_relations, TOY_SINLESS, "pnp-relations", DRIVER_VERIFIER_DETECTED_VIOLATION, 0x5056},
    {sin_at_start, TOY_MANY_RESOURCES, "pnp-resource-list", DRIVER_VERIFIER_DETECTED_VIOLATION, 0x5056},
    {sin_at_start, TOY_KEEPS_IRP, "irp-not-completed", DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0x226},
    {sin_at_start, TOY_WAITS_FOR_ITS_CHANGE, "pnp-deadlock", DRIVER_VERIFIER_DETECTED_VIOLATION, 0x5056},
    {sin_at_removal, TOY_FAILS_REMOVAL, "pnp-must-succeed", DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0x247},
    {sin_at_removal, TOY_STAYS_ATTACHED, "pnp-not-detached", DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0x21D},
};

START_TEST(a_broken_rule_is_reported)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure;

    config.driver_dir = TEST_DRIVERS;
    failure = guest_must_fail(&config, broken[_i].function, (void *)(uintptr_t)&broken[_i].sin, broken[_i].rule);
    ck_assert_uint_eq(failure->code, broken[_i].code);
    ck_assert_uint_eq(failure->parameter[0], broken[_i].first);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pnp rules");
    TCase *cases = tcase_create("pnp rules");

    tcase_add_loop_test(cases, a_broken_rule_is_reported, 0, sizeof(broken) / sizeof(broken[0]));
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}
