#include "cli/dom0_environment.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "dom0/gate_protocol.h"

#define LIBRARIES "lib/pvsim-dom0" /* beside the program (a build), or in the prefix that it was installed in */
#define PRELOAD "libpvsim-dom0.so"

/* The folder of the drop-in libraries, NULL after one line on stderr. */
static const char *find_libraries(void)
{
    static char path[PATH_MAX];
    static char real[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/../" LIBRARIES));
    char *slash;

    if (length > 0) {
        path[length] = '\0';
        slash = strrchr(path, '/');
        strcpy(slash, "/" LIBRARIES);
        if (access(path, F_OK) != 0)
            strcpy(slash, "/../" LIBRARIES);
        if (realpath(path, real) != NULL)
            return real;
    }
    complain("the libraries of dom0 (" LIBRARIES ") are not beside pvsim; build them with 'make'");
    return NULL;
}

/* Put this in front of what the variable names already. */
static void put_in_front(const char *variable, const char *value)
{
    const char *old = getenv(variable);
    char *both;

    if (old == NULL || *old == '\0') {
        setenv(variable, value, 1);
        return;
    }
    if (asprintf(&both, "%s:%s", value, old) < 0)
        abort();
    setenv(variable, both, 1);
    free(both);
}

static void set_path(const char *variable, const struct run_dir *dir, const char *name)
{
    char path[RUN_DIR_PATH_MAX];

    setenv(variable, run_dir_path(dir, name, path), 1);
}

const char *dom0_store_name(unsigned domid, char *buffer)
{
    snprintf(buffer, DOM0_STORE_NAME_MAX, domid == 0 ? RUN_DIR_STORE : "store-%u.sock", domid);
    return buffer;
}

int dom0_environment(const struct run_dir *dir, unsigned domid)
{
    const char *libraries = find_libraries();
    char store[DOM0_STORE_NAME_MAX];
    char preload[PATH_MAX + sizeof("/" PRELOAD)];
    char path[RUN_DIR_PATH_MAX];
    char number[24];

    if (libraries == NULL)
        return EXIT_USAGE;
    if (mkdir(run_dir_path(dir, RUN_DIR_STORE_FOLDER, path), 0700) != 0 && errno != EEXIST) {
        complain("%s cannot be made: %s", path, strerror(errno));
        return EXIT_FAILED;
    }
    snprintf(number, sizeof(number), "%u", domid);
    snprintf(preload, sizeof(preload), "%s/" PRELOAD, libraries);
    setenv("PVSIM_RUN_DIR", dir->path, 1);
    set_path(GATE_SOCKET_VARIABLE, dir, RUN_DIR_GATE);
    setenv(GATE_DOMID_VARIABLE, number, 1);
    set_path("XENSTORED_PATH", dir, dom0_store_name(domid, store));
    set_path("XENSTORED_RUNDIR", dir, RUN_DIR_STORE_FOLDER);
    put_in_front("LD_LIBRARY_PATH", libraries);
    put_in_front("LD_PRELOAD", preload);
    put_in_front("ASAN_OPTIONS", "verify_asan_link_order=0"); /* or such a program would refuse the preload */
    return EXIT_PASSED;
}
