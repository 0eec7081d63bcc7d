/* pvsim dom0: run a program of dom0, or of a driver domain, against a machine that stays up. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/run_dir.h"
#include "dom0/gate_protocol.h"

#define LIBRARIES "lib/pvsim-dom0" /* beside the program (a build), or in the prefix that it was installed in */
#define PRELOAD "libpvsim-dom0.so"
#define DOMID_MAX 0x7fef

enum { OPTION_RUN_DIR = 'r', OPTION_DOMID = 'd', OPTION_HELP = 'h' };

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

/* Everything that the libraries, libxenstore, the preload and a store look at. */
static int set_environment(const struct run_dir *dir, const char *libraries, uint64_t domid)
{
    char preload[PATH_MAX + sizeof("/" PRELOAD)];
    char path[RUN_DIR_PATH_MAX];
    char number[24];

    if (mkdir(run_dir_path(dir, RUN_DIR_STORE_FOLDER, path), 0700) != 0 && errno != EEXIST) {
        complain("%s cannot be made: %s", path, strerror(errno));
        return EXIT_FAILED;
    }
    snprintf(number, sizeof(number), "%llu", (unsigned long long)domid);
    snprintf(preload, sizeof(preload), "%s/" PRELOAD, libraries);
    setenv("PVSIM_RUN_DIR", dir->path, 1);
    set_path(GATE_SOCKET_VARIABLE, dir, RUN_DIR_GATE);
    setenv(GATE_DOMID_VARIABLE, number, 1);
    set_path("XENSTORED_PATH", dir, RUN_DIR_STORE);
    set_path("XENSTORED_RUNDIR", dir, RUN_DIR_STORE_FOLDER);
    put_in_front("LD_LIBRARY_PATH", libraries);
    put_in_front("LD_PRELOAD", preload);
    return EXIT_PASSED;
}

static int start(const char *run_dir, uint64_t domid, char **command)
{
    char path[RUN_DIR_PATH_MAX];
    const char *libraries;
    struct run_dir dir;
    char real[PATH_MAX];
    int status;

    if (!run_dir_find(&dir, run_dir))
        return EXIT_USAGE;
    if (access(run_dir_path(&dir, RUN_DIR_GATE, path), F_OK) != 0) {
        complain("no machine runs in %s; start one with 'pvsim create', or name its folder with --run-dir", dir.path);
        return EXIT_FAILED;
    }
    if (realpath(dir.path, real) != NULL && strlen(real) < sizeof(dir.path)) /* the program may go elsewhere */
        strcpy(dir.path, real);
    libraries = find_libraries();
    if (libraries == NULL)
        return EXIT_USAGE;
    status = set_environment(&dir, libraries, domid);
    if (status != EXIT_PASSED)
        return status;
    execvp(command[0], command);
    complain("%s cannot be started: %s", command[0], strerror(errno));
    return EXIT_USAGE;
}

int command_dom0(int argc, char **argv)
{
    static const struct option options[] = {
        {"run-dir", required_argument, NULL, OPTION_RUN_DIR},
        {"domid", required_argument, NULL, OPTION_DOMID},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    const char *run_dir = NULL;
    uint64_t domid = 0;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
        switch (option) {
        case OPTION_RUN_DIR:
            run_dir = optarg;
            break;
        case OPTION_DOMID:
            if (!parse_number("domid", optarg, 0, DOMID_MAX, &domid))
                return EXIT_USAGE;
            break;
        case OPTION_HELP:
            help_print(stdout, "dom0");
            return EXIT_PASSED;
        default:
            complain(option == ':' ? "%s takes a value; see 'pvsim dom0 --help'"
                                   : "unknown option %s; see 'pvsim dom0 --help'",
                     argv[optind - 1]);
            return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        complain("which program? pvsim dom0 [--run-dir DIR] [--domid N] -- COMMAND [ARGUMENT...]");
        return EXIT_USAGE;
    }
    return start(run_dir, domid, argv + optind);
}
