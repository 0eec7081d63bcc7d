/* pvsim dom0: run a program of dom0, or of a driver domain, against a machine that stays up. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/dom0_environment.h"

enum { OPTION_RUN_DIR = 'r', OPTION_DOMID = 'd', OPTION_HELP = 'h' };

static int start(const char *run_dir, unsigned domid, char **command)
{
    char path[RUN_DIR_PATH_MAX];
    char store[DOM0_STORE_NAME_MAX];
    struct run_dir dir;
    char real[PATH_MAX];
    int status;

    if (!run_dir_find(&dir, run_dir))
        return EXIT_USAGE;
    if (access(run_dir_path(&dir, RUN_DIR_GATE, path), F_OK) != 0) {
        complain("no machine runs in %s; start one with 'pvsim create', or name its folder with --run-dir", dir.path);
        return EXIT_FAILED;
    }
    if (domid != 0 && access(run_dir_path(&dir, dom0_store_name(domid, store), path), F_OK) != 0) {
        complain("the machine in %s has no driver domain %u; it gets one by 'pvsim create --backend-domid %u'",
                 dir.path, domid, domid);
        return EXIT_FAILED;
    }
    if (realpath(dir.path, real) != NULL && strlen(real) < sizeof(dir.path)) /* the program may go elsewhere */
        strcpy(dir.path, real);
    status = dom0_environment(&dir, domid);
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
            if (!parse_number("domid", optarg, 0, DOM0_DOMID_MAX, &domid))
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
    return start(run_dir, (unsigned)domid, argv + optind);
}
