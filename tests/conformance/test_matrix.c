/*
 * The matrix (tests/nt/matrix): every routine has its row, no cell is empty, every case that a cell names exists, and
 * every case is in a cell.
 */
#include <stdio.h>

#include "common/guest.h"
#include "common/process.h"

static void must_pass(const char *const *argv, struct process_result *result)
{
    *result = process_run(argv);
    ck_assert_msg(result->status == 0, "exit status %d\n%.1500s%.1500s", result->status, result->output, result->error);
}

START_TEST(test_matrix)
{
    static const char *const list[] = {PVSIM_BUILD "/tests/conformance/test_nt", "--list", NULL};
    struct process_result result;
    char path[512];
    FILE *file;

    must_pass(list, &result);
    snprintf(path, sizeof(path), "%s/cases", scratch());
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(result.output, file);
    fclose(file);
    process_free(&result);

    must_pass((const char *const[]){"python3", "tools/conformance.py", "check", "tests/nt", path, NULL}, &result);
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conformance/matrix");
    TCase *tcase = tcase_create("matrix");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_matrix);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
