/* Lines of script.h made at random: requests over a small tree, so that they meet each other. */
#ifndef TESTS_STORE_CONFORMANCE_RANDOM_H
#define TESTS_STORE_CONFORMANCE_RANDOM_H

#include <stdint.h>

struct random_script {
    uint64_t state;
    unsigned step;
    unsigned begun[2]; /* transactions, by client */
    char line[512];
};

void random_start(struct random_script *script, uint64_t seed);
/* The next line; valid until the next call. */
const char *random_line(struct random_script *script);

#endif
