/* For tests of machines that stay up (pvsim create), by process as a user works with them. */
#ifndef TESTS_COMMON_STANDING_H
#define TESTS_COMMON_STANDING_H

#include <check.h>
#include <stdbool.h>
#include <sys/types.h>
#undef fail /* an old name of ck_abort_msg(); ours is in fail.h */

#include "common/process.h"

#define STANDING_LIST_HEADER "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"

/* The folder of the test's machine. */
extern char standing_dir[80];

/* In main(), before the suite and after it: a machine that a failed test left is ended. False: no memory. */
bool standing_init(void);
void standing_end_last(void);
/* Each test of the case has a folder of its own, and its machine ends with it. */
void standing_add(Suite *suite, TCase *tcase);

/* Does a machine hold the folder's lock? */
bool standing_is_there(void);
pid_t standing_pid(void); /* of its machine, 0: there is none */
void standing_kill(void);
void standing_wait_for_end(void);
void standing_sleep_ms(unsigned ms);

/* A command ends with this status, and these texts (NULL: any). */
void expect_result(struct process_result result, int status, const char *output, const char *error);
/* An error of one line in which this stands. */
void expect_complaint(struct process_result result, int status, const char *part);

/* The verb with its arguments, on the machine of the test. */
#define VERB(verb, ...) pvsim(verb " --run-dir %s " __VA_ARGS__)

/* A node's value, over the store's socket, in a buffer that the next call uses again; "" for an error. */
const char *standing_read(const char *path);
/* Give it one; it must be taken. */
void standing_write(const char *path, const char *value);
void standing_wait_for_node(const char *path, const char *wanted);
/* The six letters of the guest's state. */
const char *standing_state(void);
/* Until xl's list shows the guest with so much memory, in MiB. */
void standing_wait_for_memory(unsigned mib);
bool standing_log_has(const char *part);

#endif
