/*
 * What a program of dom0 finds the same in the libraries inside the machine (sim/dom0) and in the drop-in ones
 * (sim/dom0/lib): built for both, run by test_libraries and by tests/dom0/program.c. The guest is domain 1, its
 * console's page has "guest" at byte 100. What is wrong goes to standard error and ends the process with status 1.
 */
#ifndef TESTS_DOM0_LIBRARY_CASES_H
#define TESTS_DOM0_LIBRARY_CASES_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define GUEST 1u
#define NO_DOMAIN 77u
#define CONSOLE_REFERENCE 0u
#define STORE_REFERENCE 1u
#define PAGE 4096u

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s: line %d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);                    \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* The call fails with this errno. */
#define CHECK_FAILS(call, expected) CHECK((errno = 0, (call)) && errno == (expected))

void library_grants(void);
void library_shares(void);
void library_foreign(void);
void library_information(void);

/* Of the program alone: the calls that libxenctrl itself has (old_calls.c); the port answers each event with one. */
void old_calls(unsigned near_port);

#endif
