/* For the tests of rules of single calls: what their tables are written with, and the program around a table. */
#ifndef TESTS_VERIFIER_MISUSE_H
#define TESTS_VERIFIER_MISUSE_H

#include "lock_rules.h"

#define IOM DRIVER_VERIFIER_IOMANAGER_VIOLATION
#define DMA DRIVER_VERIFIER_DMA_VIOLATION
#define OWN                                                                                                            \
    {                                                                                                                  \
        0x5056, ANY, ANY, 0                                                                                            \
    }
#define NOTHING ((void *)0x1234)

static inline void *zeroed(size_t bytes)
{
    void *memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, bytes, TEST_TAG);

    ck_assert_ptr_nonnull(memory);
    return memory;
}

static const struct broken_rule *misuse_table;

START_TEST(a_broken_rule_is_reported)
{
    breaks_rule(&misuse_table[_i]);
}
END_TEST

static inline int misuse_run(const char *name, const struct broken_rule *table, int count)
{
    Suite *suite = suite_create(name);
    TCase *cases = tcase_create(name);

    misuse_table = table;
    tcase_add_loop_test(cases, a_broken_rule_is_reported, 0, count);
    suite_add_tcase(suite, cases);
    return guest_suite_run(suite);
}

#endif
