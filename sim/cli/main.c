/* pvsim: the command. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/verb.h"

static const struct {
    const char *name;
    int (*function)(int argc, char **argv);
} commands[] = {
    {"run", command_run},           {"replay", command_replay},     {"sweep", command_sweep},
    {"minimize", command_minimize}, {"verifier", command_verifier}, {"create", command_create},
    {"dom0", command_dom0},         {"restore", command_restore},   {"migrate-receive", command_migrate_receive},
};

/*
 * Driver modules are mapped by the dynamic linker. Without address randomisation they lie where they lay last time, so
 * that the addresses in two logs can be compared. Runs are equal without it too.
 */
static void fix_addresses(char **argv)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    int persona = personality(0xffffffff);

    if (length <= 0 || persona == -1 || (persona & ADDR_NO_RANDOMIZE) != 0)
        return;
    path[length] = '\0';
    if (personality((unsigned long)persona | ADDR_NO_RANDOMIZE) == -1)
        return;
    execv(path, argv);
    complain("cannot start again without address randomisation: %s", strerror(errno));
}

static int command_help(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    if (*command != '\0' && !help_has(command)) {
        complain("there is no command '%s'; see 'pvsim --help'", command);
        return EXIT_USAGE;
    }
    help_print(stdout, command);
    return EXIT_PASSED;
}

int main(int argc, char **argv)
{
    const struct verb *verb;

    if (argc < 2) {
        help_print(stderr, "");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return command_help(argc - 1, argv + 1);
    if (strcmp(argv[1], "--version") == 0) {
        puts("pvsim " PVSIM_VERSION);
        return EXIT_PASSED;
    }
    for (size_t index = 0; index < sizeof(commands) / sizeof(commands[0]); index++)
        if (strcmp(argv[1], commands[index].name) == 0) {
            fix_addresses(argv);
            return commands[index].function(argc - 1, argv + 1);
        }
    verb = verb_find(argv[1]);
    if (verb != NULL)
        return verb_command(verb, argc - 1, argv + 1);
    complain("there is no command '%s'; see 'pvsim --help'", argv[1]);
    return EXIT_USAGE;
}
