/*
 * pvsim restore: go on with a machine that 'pvsim save' wrote. pvsim migrate-receive: go on with one that another host
 * sends by the standard input; that host starts it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "cli/host.h"

static const struct option long_options[] = {
    {"run-dir", required_argument, NULL, 'd'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct line {
    const char *command;
    const char *letters; /* as getopt() takes them */
    const char *run_dir;
    bool paused;
};

/* 0: go on, behind the options; -1: help was asked for. */
static int read_line(int argc, char **argv, struct line *line)
{
    int option;

    while ((option = getopt_long(argc, argv, line->letters, long_options, NULL)) != -1) {
        switch (option) {
        case 'd':
            line->run_dir = optarg;
            break;
        case 'p':
            line->paused = true;
            break;
        case 'h':
            help_print(stdout, line->command);
            return -1;
        case ':':
            complain("%s takes a value; see 'pvsim %s --help'", argv[optind - 1], line->command);
            return EXIT_USAGE;
        default:
            complain("unknown option %s; see 'pvsim %s --help'", argv[optind - 1], line->command);
            return EXIT_USAGE;
        }
    }
    return 0;
}

static int be_restored(struct host *host)
{
    host_restore(host);
}

int command_restore(int argc, char **argv)
{
    struct line line = {.command = "restore", .letters = ":hp"};
    struct host host = {.command = -1};
    int status = read_line(argc, argv, &line);

    if (status != 0)
        return status == -1 ? EXIT_PASSED : status;
    if (argc - optind != 1 && argc - optind != 2) {
        complain("'pvsim restore' takes [CONFIG] FILE; see 'pvsim restore --help'");
        return EXIT_USAGE;
    }
    host.image_name = argv[argc - 1];
    host.config = argc - optind == 2 ? argv[optind] : NULL;
    host.paused = line.paused;
    host.image = open(host.image_name, O_RDONLY | O_CLOEXEC);
    if (host.image < 0) {
        complain("%s cannot be opened: %s", host.image_name, strerror(errno));
        return EXIT_USAGE;
    }
    if (!run_dir_find(&host.dir, line.run_dir))
        return EXIT_USAGE;
    status = run_dir_take(&host.dir);
    return status != 0 ? status : host_start(&host, be_restored);
}

int command_migrate_receive(int argc, char **argv)
{
    struct line line = {.command = "migrate-receive", .letters = ":hp"};
    struct host host = {.image_name = "the machine", .asks = true};
    int status = read_line(argc, argv, &line);

    if (status != 0)
        return status == -1 ? EXIT_PASSED : status;
    if (argc != optind || line.run_dir == NULL) {
        complain("'pvsim migrate-receive' is what 'pvsim migrate' starts, with --run-dir");
        return EXIT_USAGE;
    }
    host.paused = line.paused;
    host.image = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    host.command = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    if (!run_dir_find(&host.dir, line.run_dir))
        return EXIT_USAGE;
    status = run_dir_take(&host.dir);
    if (status != 0)
        return status;
    host_restore(&host);
}
