/* The rules of the kernel headers (tools/check_headers.py): sim/include keeps them, and what breaks one is named. */
#include <stdio.h>
#include <string.h>

#include "common/guest.h"
#include "common/process.h"

/* `unchecked`: the file of the routines that need no check of their IRQL, NULL to leave that out. */
static struct process_result check(const char *headers, const char *implementation, const char *unchecked)
{
    const char *argv[] = {"python3", "tools/check_headers.py", headers, implementation, unchecked, NULL};

    return process_run(argv);
}

/* A header folder and an implementation folder of the test's own, with one file each. */
static void write_scratch(const char *name, const char *text)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", scratch(), name);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static struct process_result check_text(const char *header, const char *implementation, const char *unchecked)
{
    char path[512];

    write_scratch("header.h", header);
    write_scratch("implementation.c", implementation);
    if (unchecked == NULL)
        return check(scratch(), scratch(), NULL);
    write_scratch("unchecked.txt", unchecked);
    snprintf(path, sizeof(path), "%s/unchecked.txt", scratch());
    return check(scratch(), scratch(), path);
}

#define GOOD                                                                                                           \
    "_IRQL_requires_max_(DISPATCH_LEVEL)\nNTKERNELAPI LONG NTAPI Good(_Inout_ PVOID Object, _In_ LONG Count);\n"       \
    "_Function_class_(ROUTINE)\ntypedef VOID NTAPI ROUTINE(_In_opt_ PVOID Context);\n"

START_TEST(the_headers_keep_them)
{
    struct process_result result = check("sim/include", "sim/nt", "tests/abi/unchecked.txt");

    ck_assert_msg(result.status == 0, "%s", result.error);
    ck_assert_ptr_nonnull(strstr(result.output, "callback types NTAPI and annotated"));
    ck_assert_ptr_nonnull(strstr(result.output, "every routine checks its IRQL or need not"));
    process_free(&result);

    result = check_text(GOOD, "LONG NTAPI Good(PVOID Object, LONG Count)\n{\n    NT_CALL(DISPATCH_LEVEL);\n}\n", NULL);
    ck_assert_msg(result.status == 0, "%s", result.error);
    ck_assert_ptr_nonnull(strstr(result.output, "1 routines and 1 callback types"));
    ck_assert_ptr_nonnull(strstr(result.output, "1 IRQL limits"));
    process_free(&result);
}
END_TEST

static const struct {
    const char *header;
    const char *says;
} broken[] = {
    {"_IRQL_requires_max_(APC_LEVEL)\nNTKERNELAPI VOID Bad(_In_ PVOID Object);\n", "header.h:5: Bad is not NTAPI"},
    {"NTKERNELAPI VOID NTAPI Bad(PVOID Object);\n", "Bad: no annotation on the parameter `PVOID Object`"},
    {"NTKERNELAPI VOID NTAPI Bad(_In_ LONG First,\n                           LONG Second);\n", "`LONG Second`"},
    {"NTKERNELAPI VOID NTAPI Bad(VOID);\n", "Bad has no parameters and no _IRQL_requires_ annotation"},
    {"VOID NTAPI Bad(_In_ PVOID Object);\n", "neither NTKERNELAPI nor NTSYSAPI nor NTHALAPI: VOID NTAPI Bad"},
    {"typedef VOID BAD(_In_ PVOID Context);\n", "the callback type BAD is not NTAPI"},
    {"typedef VOID (*PBAD)(_In_ PVOID Context);\n", "the callback type PBAD is not NTAPI"},
    {"typedef VOID(NTAPI *PBAD)(PVOID Context);\n", "PBAD: no annotation on the parameter `PVOID Context`"},
    {"typedef struct _TABLE {\n    LONG Size;\n    VOID (*Call)(_In_ PVOID Context);\n} TABLE;\n",
     "header.h:7: the callback type Call is not NTAPI"},
    {"FORCEINLINE LONG Inline(LONG Value)\n{\n    return Value;\n}\n", "Inline: no annotation on the parameter"},
    {"_IRQL_requires_max_(APC_LEVEL)\nNTKERNELAPI VOID NTAPI Limit(_In_ LONG Value);\n",
     "Limit is declared for IRQL any to APC_LEVEL, its implementation checks any to DISPATCH_LEVEL"},
};

START_TEST(a_broken_one_is_named)
{
    char header[1024];
    struct process_result result;

    snprintf(header, sizeof(header), GOOD "%s", broken[_i].header);
    result = check_text(header, "VOID NTAPI Limit(LONG Value)\n{\n    NT_CALL(DISPATCH_LEVEL);\n}\n", NULL);
    ck_assert_int_eq(result.status, 1);
    ck_assert_msg(strstr(result.error, broken[_i].says) != NULL, "%s", result.error);
    ck_assert_ptr_nonnull(strstr(result.error, "headers: 1 rules broken"));
    process_free(&result);
}
END_TEST

/* ---- routines that look at no IRQL ---- */

#define IMPLEMENTED "LONG NTAPI Good(PVOID Object, LONG Count)\n{\n    NT_CALL(DISPATCH_LEVEL);\n}\n"
#define OTHER "NTKERNELAPI LONG NTAPI Other(_In_ LONG Count);\n"

static const struct {
    const char *implementation;
    const char *unchecked;
    const char *says; /* NULL: nothing is wrong */
} looks[] = {
    {"LONG NTAPI Other(LONG Count)\n{\n    return Good(NULL, Count);\n}\n", "", NULL},
    {"LONG NTAPI Other(LONG Count)\n{\n    NT_CALL_LIGHT(HIGH_LEVEL, POINT_IRQL);\n    return Count;\n}\n", "", NULL},
    {"LONG NTAPI Other(LONG Count)\n{\n    return Count;\n}\n", "# why\nOth*: any IRQL\n", NULL},
    {"LONG NTAPI Other(LONG Count)\n{\n    return Count;\n}\n", "", "Other looks at no IRQL (NT_CALL)"},
    {"LONG NTAPI Other(LONG Count)\n{\n    return helper(Count);\n}\n", "", "Other looks at no IRQL (NT_CALL)"},
    {"LONG NTAPI Other(LONG Count)\n{\n    return Count;\n}\n", "Other:\n", "unchecked.txt:1: Other has no reason"},
    {"LONG NTAPI Other(LONG Count)\n{\n    return Good(NULL, Count);\n}\n", "Other: any IRQL\n",
     "unchecked.txt:1: Other is no exported routine without a check"},
    {"LONG NTAPI Other(LONG Count)\n{\n    return Good(NULL, Count);\n}\n", "Gone: any IRQL\n",
     "unchecked.txt:1: Gone is no exported routine without a check"},
};

START_TEST(a_routine_that_looks_at_no_irql_is_named)
{
    char implementation[1024];
    struct process_result result;

    snprintf(implementation, sizeof(implementation), IMPLEMENTED "%s", looks[_i].implementation);
    result = check_text(GOOD OTHER, implementation, looks[_i].unchecked);
    ck_assert_msg(result.status == (looks[_i].says != NULL), "%s", result.error);
    if (looks[_i].says != NULL)
        ck_assert_msg(strstr(result.error, looks[_i].says) != NULL, "%s", result.error);
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("headers");
    TCase *rules = tcase_create("rules");

    tcase_add_test(rules, the_headers_keep_them);
    tcase_add_loop_test(rules, a_broken_one_is_named, 0, sizeof(broken) / sizeof(broken[0]));
    tcase_add_loop_test(rules, a_routine_that_looks_at_no_irql_is_named, 0, sizeof(looks) / sizeof(looks[0]));
    suite_add_tcase(suite, rules);
    return guest_suite_run(suite);
}
