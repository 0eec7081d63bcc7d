/* tools/abi_check.py: it compares, and says what differs. Both sides are native here; the DDK is `make abi-check`'s. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "common/process.h"

static const char *fresh_table(void)
{
    static char table[256];
    char command[512];

    snprintf(table, sizeof(table), "%s/table.h", scratch());
    snprintf(command, sizeof(command), "python3 tools/abi_table.py sim/include > %s", table);
    ck_assert_int_eq(system(command), 0);
    return table;
}

/* A copy of the headers with one file edited by sed stands for the DDK. */
static struct process_result compare(const char *file, const char *edit, const char *exceptions)
{
    char ddk[256];
    char list[300];
    char command[1024];
    FILE *stream;

    snprintf(ddk, sizeof(ddk), "%s/ddk", scratch());
    snprintf(command, sizeof(command), "rm -rf %s && cp -r sim/include %s && sed -i '%s' %s/%s", ddk, ddk, edit, ddk,
             file);
    ck_assert_int_eq(system(command), 0);
    snprintf(list, sizeof(list), "%s/exceptions.txt", scratch());
    stream = fopen(list, "w");
    fputs(exceptions, stream);
    fclose(stream);

    const char *argv[] = {"python3", "tools/abi_check.py", "--prefix",     "",   "--ddk",   ddk,
                          "--table", fresh_table(),        "--exceptions", list, "--sizes", "tests/abi/sizes.txt",
                          NULL};

    return process_run(argv);
}

START_TEST(equal)
{
    struct process_result result = compare("wdm.h", "", "# none\n");

    ck_assert_msg(result.status == 0, "%s", result.error);
    ck_assert_ptr_nonnull(strstr(result.output, " 0 that the DDK lacks, 0 that it has otherwise"));
    process_free(&result);
}
END_TEST

static const struct {
    const char *file;
    const char *edit;
    const char *exceptions;
    int status;
    const char *says;
} cases[] = {
    {"wdm/irp.h", "s/IRP_MN_EJECT 0x11/IRP_MN_EJECT 0x12/", "", 1,
     "CONSTANT(IRP_MN_EJECT): here 0x11, in the DDK 0x12"},
    {"wdm/irp.h", "/define IRP_MN_EJECT /d", "", 1, "CONSTANT(IRP_MN_EJECT): the DDK lacks it"},
    {"wdm/irp.h", "/define IRP_MN_EJECT /d", "absent CONSTANT(IRP_MN_E*): for the test\n", 0, "1 that the DDK lacks"},
    {"wdm/mm.h", "s/^    ULONG ByteCount;/    ULONG64 ByteCount;/; /_Static_assert/d", "", 1,
     "OFFSET(MDL, ByteOffset): here 0x2c, in the DDK 0x30"},
    {"wdm/pnp.h", "s/DeviceD1 :/Swap :/; s/DeviceD2 :/DeviceD1 :/; s/Swap :/DeviceD2 :/", "", 1,
     "BITS(DEVICE_CAPABILITIES, DeviceD1): here "},
    {"wdmguid.h", "s/0xcb3a4004/0xcb3a4005/", "", 1, "GUID(GUID_DEVICE_INTERFACE_ARRIVAL): here 04403acb"},
    {"wdm.h", "", "differs CONSTANT(IRP_MN_EJECT): for the test\n", 1, "excepts nothing"},
    {"wdm.h", "", "differs CONSTANT(IRP_MN_EJECT)\n", 1, "neither `absent PATTERN: reason` nor"},
};

START_TEST(a_difference_is_named)
{
    struct process_result result = compare(cases[_i].file, cases[_i].edit, cases[_i].exceptions);

    ck_assert_msg(result.status == cases[_i].status, "exit status %d\n%s", result.status, result.error);
    ck_assert_msg(strstr(result.status == 0 ? result.output : result.error, cases[_i].says) != NULL, "%s%s",
                  result.output, result.error);
    process_free(&result);
}
END_TEST

START_TEST(a_stale_table_is_refused)
{
    char table[256];
    char command[512];
    struct process_result result;

    snprintf(table, sizeof(table), "%s/stale.h", scratch());
    snprintf(command, sizeof(command), "grep -v 'SIZE(KEVENT)' %s > %s", fresh_table(), table);
    ck_assert_int_eq(system(command), 0);

    const char *argv[] = {"python3", "tools/abi_check.py", "--ddk", "sim/include", "--table", table, NULL};

    result = process_run(argv);
    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(strstr(result.error, "is not what the headers declare: run `make abi-table`"));
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("abi");
    TCase *compares = tcase_create("compares");

    tcase_add_test(compares, equal);
    tcase_add_loop_test(compares, a_difference_is_named, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_test(compares, a_stale_table_is_refused);
    suite_add_tcase(suite, compares);
    return guest_suite_run(suite);
}
