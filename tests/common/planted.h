/* For host tests: a folder with the main job's drivers and one driver of the tests that starts at boot. */
#ifndef TESTS_COMMON_PLANTED_H
#define TESTS_COMMON_PLANTED_H

#include <stdbool.h>

/* The bugs of tests/clients/planted. */
enum planted_bug {
    PLANTED_NONE,
    PLANTED_MEMORY,
    PLANTED_DELAY,
    PLANTED_HANG,
    PLANTED_DIE,
    PLANTED_SCENE,
    PLANTED_DOUBLE,
    PLANTED_LEAK,
    PLANTED_PINNED,
    PLANTED_MEMORY_FAILS,
    PLANTED_SCRAMBLE,
    PLANTED_WAIT,
    PLANTED_FALLIBLE,
    PLANTED_PAIR,
    PLANTED_LOAD
};

/* A new folder in scratch(); `memory`: modules for --preempt=memory. The path is valid until the next call. */
const char *planted_folder(enum planted_bug bug, bool memory);
/* The same with the driver racer instead, started at boot. */
const char *racer_folder(void);

#endif
