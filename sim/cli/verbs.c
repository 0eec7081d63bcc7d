/* The verbs as the user starts them. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/control.h"
#include "cli/run_dir.h"
#include "cli/verb.h"
#include "cli/xlcfg.h"

/* What the file says of the machine is for 'pvsim restore' to compare. */
static int check_save(const char *const *words, unsigned count)
{
    struct create_options options = {.run.machine = machine_default_config()};
    int status = count > 2 ? xlcfg_read(words[2], &options) : 0;

    xlcfg_close(options.file);
    return status;
}

static const struct verb verbs[] = {
    {.name = "console",
     .flags = "",
     .words = "DOMAIN",
     .minimum = 1,
     .maximum = 1,
     .run = verb_console,
     .command = verb_console_command},
    {.name = "list", .flags = "vZ", .words = "[DOMAIN]", .maximum = 1, .run = verb_list},
    {.name = "destroy", .flags = "", .words = "DOMAIN", .minimum = 1, .maximum = 1, .run = verb_destroy},
    {.name = "pause", .flags = "", .words = "DOMAIN", .minimum = 1, .maximum = 1, .run = verb_pause},
    {.name = "unpause", .flags = "", .words = "DOMAIN", .minimum = 1, .maximum = 1, .run = verb_unpause},
    {.name = "shutdown", .flags = "aFw", .words = "DOMAIN or -a", .minimum = 0, .maximum = 1, .run = verb_shutdown},
    {.name = "reboot", .flags = "aFw", .words = "DOMAIN or -a", .minimum = 0, .maximum = 1, .run = verb_reboot},
    {.name = "trigger", .flags = "", .words = "DOMAIN NAME [VCPU]", .minimum = 2, .maximum = 3, .run = verb_trigger},
    {.name = "suspend", .flags = "f", .words = "DOMAIN", .minimum = 1, .maximum = 1, .run = verb_suspend},
    {.name = "resume", .flags = "s", .words = "DOMAIN", .minimum = 1, .maximum = 1, .run = verb_resume},
    {.name = "save",
     .flags = "cp",
     .words = "DOMAIN FILE [CONFIG]",
     .minimum = 2,
     .maximum = 3,
     .path = 2,
     .check = check_save,
     .run = verb_save},
    {.name = "migrate",
     .flags = "p",
     .words = "DOMAIN HOST",
     .minimum = 2,
     .maximum = 2,
     .path = 2,
     .path_has_slash = true,
     .run = verb_migrate},
    {.name = "mem-set", .flags = "", .words = "DOMAIN MEMORY", .minimum = 2, .maximum = 2, .run = verb_mem_set},
    {.name = "vcpu-set", .flags = "i", .words = "DOMAIN VCPUS", .minimum = 2, .maximum = 2, .run = verb_vcpu_set},
    {.name = "debug-keys", .flags = "", .words = "KEYS", .minimum = 1, .maximum = 1, .run = verb_debug_keys},
    {.name = "network-attach",
     .flags = "",
     .words = "DOMAIN [KEY=VALUE...]",
     .minimum = 1,
     .maximum = VERB_WORDS_MAX,
     .run = verb_network_attach},
    {.name = "network-detach",
     .flags = "",
     .words = "DOMAIN DEVID|MAC",
     .minimum = 2,
     .maximum = 2,
     .run = verb_network_detach},
};

const struct verb *verb_find(const char *name)
{
    for (size_t index = 0; index < sizeof(verbs) / sizeof(verbs[0]); index++)
        if (strcmp(verbs[index].name, name) == 0)
            return &verbs[index];
    return NULL;
}

/* ---- the command line ---- */

struct line {
    const char *run_dir; /* NULL: the user's */
    char flags[16];
    unsigned count;
    const char *word[VERB_WORDS_MAX];
    char path[2][PATH_MAX];
};

static bool take_flags(const struct verb *verb, const char *letters, struct line *line)
{
    for (; *letters != '\0'; letters++) {
        size_t length = strlen(line->flags);

        if (strchr(verb->flags, *letters) == NULL) {
            complain("unknown option -%c; see 'pvsim %s --help'", *letters, verb->name);
            return false;
        }
        if (strchr(line->flags, *letters) == NULL)
            line->flags[length] = *letters;
    }
    return true;
}

/* The letter of xl's long name for it; 0: this verb has no such option. */
static char long_flag(const struct verb *verb, const char *name)
{
    static const struct {
        const char *name;
        char letter;
    } names[] = {{"all", 'a'}, {"wait", 'w'}, {"ignore-host", 'i'}, {"verbose", 'v'}, {"context", 'Z'}};

    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++)
        if (strcmp(names[index].name, name) == 0 && strchr(verb->flags, names[index].letter) != NULL)
            return names[index].letter;
    return 0;
}

/* As getopt() of a verb of xl: options may stand anywhere, "--" ends them. 0: go on; -1: help was asked for. */
static int read_line(const struct verb *verb, int argc, char **argv, struct line *line)
{
    bool options = true;

    for (int index = 1; index < argc; index++) {
        const char *word = argv[index];

        if (options && strcmp(word, "--") == 0) {
            options = false;
        } else if (options && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            help_print(stdout, verb->name);
            return -1;
        } else if (options && strncmp(word, "--run-dir=", 10) == 0) {
            line->run_dir = word + 10;
        } else if (options && strcmp(word, "--run-dir") == 0) {
            if (++index == argc) {
                complain("--run-dir takes a value; see 'pvsim %s --help'", verb->name);
                return EXIT_USAGE;
            }
            line->run_dir = argv[index];
        } else if (options && word[0] == '-' && word[1] == '-' && long_flag(verb, word + 2) != 0) {
            const char letters[] = {long_flag(verb, word + 2), '\0'};

            (void)take_flags(verb, letters, line); /* which the verb has */
        } else if (options && word[0] == '-' && word[1] == '-') {
            complain("unknown option %s; see 'pvsim %s --help'", word, verb->name);
            return EXIT_USAGE;
        } else if (options && word[0] == '-' && word[1] != '\0') {
            if (!take_flags(verb, word + 1, line))
                return EXIT_USAGE;
        } else if (line->count == verb->maximum) {
            complain("unexpected argument '%s'; 'pvsim %s' takes %s", word, verb->name, verb->words);
            return EXIT_USAGE;
        } else {
            line->word[line->count++] = word;
        }
    }
    if (line->count >= verb->minimum)
        return 0;
    complain("'pvsim %s' takes %s; see 'pvsim %s --help'", verb->name, verb->words, verb->name);
    return EXIT_USAGE;
}

/* The machine may have been started in another folder. */
static bool complete_path(const struct verb *verb, struct line *line, unsigned index, char path[PATH_MAX])
{
    char folder[PATH_MAX];
    int length;

    if (line->word[index][0] == '/' || (verb->path_has_slash && strchr(line->word[index], '/') == NULL))
        return true;
    length = getcwd(folder, sizeof(folder)) != NULL ? snprintf(path, PATH_MAX, "%s/%s", folder, line->word[index]) : -1;
    if (length < 0 || length >= PATH_MAX) {
        complain("%s has no path from here; give an absolute one", line->word[index]);
        return false;
    }
    line->word[index] = path;
    return true;
}

static bool complete_paths(const struct verb *verb, struct line *line)
{
    bool good = true;

    for (unsigned index = verb->path - 1; verb->path != 0 && index < line->count && good; index++)
        good = complete_path(verb, line, index, line->path[index - (verb->path - 1)]);
    return good;
}

/* ---- the machine ---- */

static int connect_machine(const struct run_dir *dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[RUN_DIR_PATH_MAX];
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, run_dir_path(dir, RUN_DIR_CONTROL, path));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (fd < 0 || (errno != ENOENT && errno != ECONNREFUSED))
        complain("%s cannot be reached: %s", path, strerror(errno));
    else
        complain("no machine runs in %s; start one with 'pvsim create', or name its folder with --run-dir", dir->path);
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool add_word(char *packet, size_t *length, const char *word)
{
    size_t bytes = strlen(word) + 1;

    if (*length + bytes > CONTROL_PACKET_MAX)
        return false;
    memcpy(packet + *length, word, bytes);
    *length += bytes;
    return true;
}

static bool send_request(int fd, const struct verb *verb, const struct line *line)
{
    char packet[CONTROL_PACKET_MAX];
    size_t length = 0;
    bool good = add_word(packet, &length, verb->name) && add_word(packet, &length, line->flags);

    for (unsigned index = 0; good && index < line->count; index++)
        good = add_word(packet, &length, line->word[index]);
    if (!good)
        complain("the arguments are longer than %d bytes in all", CONTROL_PACKET_MAX);
    else
        (void)send(fd, packet, length, MSG_NOSIGNAL); /* what became of the machine shows when it is to answer */
    return good;
}

bool verb_answer(int fd, struct verb_answers *answers)
{
    char packet[CONTROL_PACKET_MAX];
    ssize_t count;

    do
        count = recv(fd, packet, sizeof(packet), 0);
    while (count < 0 && errno == EINTR);
    if (count < 1)
        return false;
    if (packet[0] == CONTROL_OUTPUT) {
        fwrite(packet + 1, 1, (size_t)count - 1, stdout);
        answers->caught_up = answers->caught_up || count == 1;
    } else if (packet[0] == CONTROL_NOTE) {
        fwrite(packet + 1, 1, (size_t)count - 1, stderr);
    } else if (packet[0] == CONTROL_ERROR) {
        complain("%.*s", (int)count - 1, packet + 1);
    } else if (packet[0] == CONTROL_STATUS && count == 3) {
        answers->ended = true;
        answers->status = packet[1];
        answers->machine_ends = packet[2] != 0;
    }
    fflush(stdout);
    return !answers->ended;
}

int verb_send(const struct verb *verb, int argc, char **argv, struct run_dir *dir, int *fd)
{
    struct line line = {.flags = ""};
    struct run_dir own;
    int status = read_line(verb, argc, argv, &line);

    if (status != 0)
        return status;
    if (dir == NULL)
        dir = &own;
    if (!run_dir_find(dir, line.run_dir) || !complete_paths(verb, &line))
        return EXIT_USAGE;
    status = verb->check != NULL ? verb->check(line.word, line.count) : 0;
    if (status != 0)
        return status;
    *fd = connect_machine(dir);
    if (*fd < 0)
        return EXIT_FAILED;
    if (send_request(*fd, verb, &line))
        return 0;
    close(*fd);
    return EXIT_USAGE;
}

int verb_command(const struct verb *verb, int argc, char **argv)
{
    struct verb_answers answers = {.ended = false};
    struct run_dir dir;
    int status;
    int fd;

    if (verb->command != NULL)
        return verb->command(verb, argc, argv);
    status = verb_send(verb, argc, argv, &dir, &fd);
    if (status != 0)
        return status == -1 ? EXIT_PASSED : status;
    while (verb_answer(fd, &answers))
        continue;
    close(fd);
    if (!answers.ended) {
        complain("the machine ended while '%s' was at work; see %s/%s", verb->name, dir.path, RUN_DIR_LOG);
        return EXIT_FAILED;
    }
    if (answers.machine_ends && answers.status == EXIT_PASSED)
        run_dir_wait(&dir);
    return answers.status;
}
