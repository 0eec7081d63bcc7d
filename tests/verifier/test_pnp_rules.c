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

static void sin_at_power(void *argument)
{
    boot_with(1);
    toy.Sin = *(const TOY_SIN *)argument;
    toy.PowerRelations[0] = 1;
    IoInvalidateDeviceRelations(toy.ChildPdo[0], PowerRelations);
    pnp_wait_quiet();
}

static void same_ids(void *argument)
{
    (void)argument;
    boot();
    toy.SameIds = TRUE;
    report(3);
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

static void sin_throughout(void *argument)
{
    boot();
    toy.Sin = *(const TOY_SIN *)argument;
    report(1);
    report(0);
}

#define ANY UINT64_MAX
#define SOME (UINT64_MAX - 1) /* not zero */
#define CA PNP_DETECTED_FATAL_ERROR
#define IOM DRIVER_VERIFIER_IOMANAGER_VIOLATION
#define DV DRIVER_VERIFIER_DETECTED_VIOLATION
#define OWN                                                                                                            \
    {                                                                                                                  \
        0x5056, ANY, ANY, 0                                                                                            \
    }

static const struct {
    void (*function)(void *);
    TOY_SIN sin;
    const char *rule;
    uint32_t code;
    uint64_t parameter[4];
} broken[] = {
    {sin_at_start, TOY_REPORTS_TWICE, "pnp-relations", CA, {1, SOME, SOME, 0}},
    {sin_at_start, TOY_REPORTS_DRIVER, "pnp-relations", CA, {2, SOME, 0, 0}},
    {sin_at_start, TOY_REPORTS_DELETED, "pnp-relations", CA, {4, SOME, 0, 0}},
    {sin_throughout, TOY_TAKES_NO_REFERENCE, "pnp-relations", CA, {5, SOME, 0, 0}},
    {sin_at_start, TOY_REPORTS_NULL, "pnp-relations", CA, {8, SOME, 2, 1}},
    {sin_at_start, TOY_REPORTS_ITSELF, "pnp-relations", DV, OWN},
    {sin_at_removal, TOY_NO_RELATION, "pnp-relations", CA, {2, 0, 0, 0}},
    {sin_at_removal, TOY_DELETED_RELATION, "pnp-relations", CA, {0xB, SOME, SOME, 0}},
    {sin_at_power, TOY_NEEDS_A_FUNCTION, "pnp-relations", CA, {2, SOME, SOME, 0}},
    {sin_at_registration, TOY_OTHER_TARGET, "pnp-relations", DV, OWN},
    {unknown_relations, TOY_SINLESS, "pnp-relations", DV, OWN},
    {sin_at_start, TOY_FLAT_ID, "pnp-identity", CA, {3, SOME, SOME, 1}},
    {sin_at_start, TOY_SLASH, "pnp-identity", CA, {3, SOME, SOME, 2}},
    {sin_at_start, TOY_COMMA, "pnp-identity", CA, {3, SOME, SOME, 3}},
    {same_ids, TOY_SINLESS, "pnp-identity", CA, {1, SOME, SOME, 0}},
    {sin_at_start, TOY_RAISES_WHEN_TOLD, "irql-changed", CA, {0xA, SOME, DISPATCH_LEVEL, 0}},
    {sin_at_start, TOY_MANY_RESOURCES, "pnp-resource-list", DV, OWN},
    {sin_at_start, TOY_KEEPS_IRP, "irp-not-completed", IOM, {0x226, ANY, ANY, ANY}},
    {sin_at_start, TOY_WAITS_FOR_ITS_CHANGE, "pnp-deadlock", DV, OWN},
    {sin_at_removal, TOY_FAILS_REMOVAL, "pnp-must-succeed", IOM, {0x247, ANY, ANY, ANY}},
    {sin_at_removal, TOY_STAYS_ATTACHED, "pnp-not-detached", IOM, {0x21D, ANY, ANY, ANY}},
};

START_TEST(a_broken_rule_is_reported)
{
    struct machine_config config = guest_config(1);
    const struct failure *failure;

    config.driver_dir = TEST_DRIVERS;
    failure = guest_must_fail(&config, broken[_i].function, (void *)(uintptr_t)&broken[_i].sin, broken[_i].rule);
    ck_assert_uint_eq(failure->code, broken[_i].code);
    for (unsigned i = 0; i < 4; i++) {
        if (broken[_i].parameter[i] == SOME)
            ck_assert_uint_ne(failure->parameter[i], 0);
        else if (broken[_i].parameter[i] != ANY)
            ck_assert_uint_eq(failure->parameter[i], broken[_i].parameter[i]);
    }
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
