/*
 * Scripts of requests, run on a side: what each step brought, as text. conformance.txt says how they are written.
 */
#ifndef TESTS_STORE_CONFORMANCE_SCRIPT_H
#define TESTS_STORE_CONFORMANCE_SCRIPT_H

#include "store/conformance/side.h"

#define SCRIPT_TRANSACTIONS 26u

/* A run of a script on one side. */
struct script_run {
    struct side side;
    bool in_use[128];  /* by client: what it is told is asked for after each step */
    bool partial[128]; /* a request has begun and not ended */
    bool over[128];    /* closed or in error, and told so */
    uint32_t transaction[128][SCRIPT_TRANSACTIONS];
    unsigned transactions[128];
    uint32_t request; /* the last req_id */
};

/* One line. Returns what it brought: a line a message, a client after the other. The caller frees it. */
char *script_step(struct script_run *run, const char *line);

#endif
