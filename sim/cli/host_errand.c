#include "cli/host_errand.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/host.h"
#include "cli/host_config.h"
#include "cli/operator.h"
#include "cli/xlcfg.h"
#include "machine/snapshot.h"

#define PATIENCE_MS 120000 /* with another host, for each of its answers */

extern char **environ;

static void refuse(struct operator_errand *errand, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void refuse(struct operator_errand *errand, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(errand->text, sizeof(errand->text), format, arguments);
    va_end(arguments);
    errand->good = false;
}

/* ---- to a file ---- */

/* The configuration file that goes with the machine is one that this machine can be restored by. */
static bool config_fits(struct operator_errand *errand)
{
    char refused[HOST_CONFIG_REFUSED_MAX];
    struct create_options options;
    const char *name;
    const char *text;
    bool good;

    if (!operator_config(errand->machine, &name, &text))
        return true;
    good = host_config_read(errand->machine, name, text, &options, refused);
    xlcfg_close(options.file);
    if (!good)
        refuse(errand, "%.500s", refused[0] != '\0' ? refused : "the configuration file is refused; see the log");
    return good;
}

/* Under another name until it is whole: an older one of this name stays until then. */
static void save(struct operator_errand *errand)
{
    struct snapshot_result result;
    char part[sizeof(errand->path) + 8];
    int fd;

    if (!config_fits(errand))
        return;
    snprintf(part, sizeof(part), "%s.part", errand->path);
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        refuse(errand, "%.400s cannot be opened: %s", errand->path, strerror(errno));
        return;
    }
    result = snapshot_write(fd, errand->machine);
    if (close(fd) != 0 && result.good) {
        result.good = false;
        snprintf(result.text, sizeof(result.text), "%s", strerror(errno));
    }
    if (result.good && rename(part, errand->path) != 0) {
        result.good = false;
        snprintf(result.text, sizeof(result.text), "%s", strerror(errno));
    }
    errand->good = result.good;
    if (result.good)
        return;
    refuse(errand, "%.300s cannot be written: %.200s", errand->path, result.text);
    (void)unlink(part);
}

/* ---- to another host ---- */

struct receiver {
    pid_t pid;
    int socket;
    int errors; /* a memfd: its standard error */
};

static bool start_receiver(struct receiver *receiver, int end, const struct operator_errand *errand)
{
    char *const argv[] = {
        "pvsim", "migrate-receive", "--run-dir", (char *)(uintptr_t)errand->path, errand->paused ? "-p" : NULL, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    int error;

    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* which this process ignores just now */
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, end, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, receiver->errors, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, receiver->errors, STDERR_FILENO);
    error = posix_spawn(&receiver->pid, "/proc/self/exe", &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    errno = error;
    return error == 0;
}

/* One that stops taking the machine is not waited for either. */
static void limit_writes(int socket)
{
    const struct timeval limit = {.tv_sec = PATIENCE_MS / 1000};

    (void)setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* The byte that it says next; -1: it has ended, or takes too long. */
static int next_byte(const struct receiver *receiver)
{
    struct pollfd poll_fd = {.fd = receiver->socket, .events = POLLIN};
    unsigned char byte;
    int ready;

    do
        ready = poll(&poll_fd, 1, PATIENCE_MS);
    while (ready < 0 && errno == EINTR);
    return ready == 1 && read(receiver->socket, &byte, 1) == 1 ? byte : -1;
}

static bool hand_over(const struct receiver *receiver, struct operator_errand *errand)
{
    const char start = HOST_START;
    struct snapshot_result result = snapshot_write(receiver->socket, errand->machine);

    if (!result.good) {
        refuse(errand, "the other host did not take the machine: %.400s", result.text);
        return false;
    }
    return next_byte(receiver) == HOST_READY && send(receiver->socket, &start, 1, MSG_NOSIGNAL) == 1 &&
           next_byte(receiver) == HOST_UP;
}

/* It is over with; what it said last is why. */
static void end_receiver(const struct receiver *receiver, struct operator_errand *errand)
{
    char line[400] = "";
    ssize_t count;
    int status;

    close(receiver->socket);
    (void)kill(receiver->pid, SIGKILL);
    while (waitpid(receiver->pid, &status, 0) < 0 && errno == EINTR)
        ;
    count = pread(receiver->errors, line, sizeof(line) - 1, 0);
    line[count > 0 ? count : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "pvsim: ", 7) == 0)
        refuse(errand, "%s", line + 7);
    else if (errand->text[0] == '\0')
        refuse(errand, "the host in %.400s ended without a word; see its log", errand->path);
}

static void send_machine(struct operator_errand *errand)
{
    struct receiver receiver = {.errors = memfd_create("pvsim-errors", MFD_CLOEXEC)};
    void (*before)(int) = signal(SIGPIPE, SIG_IGN); /* the receiver's end shows otherwise */
    int ends[2] = {-1, -1};
    bool started = false;

    if (receiver.errors < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 ||
        !(started = start_receiver(&receiver, ends[1], errand)))
        refuse(errand, "no process for the other host: %s", strerror(errno));
    if (ends[1] >= 0)
        close(ends[1]);
    receiver.socket = ends[0];
    if (started) {
        limit_writes(receiver.socket);
        errand->good = hand_over(&receiver, errand);
        if (errand->good)
            close(receiver.socket);
        else
            end_receiver(&receiver, errand);
    }
    close(receiver.errors);
    signal(SIGPIPE, before);
}

/* ---- from another host ---- */

static void ask_to_start(const struct host *host, struct operator_errand *errand)
{
    const char ready = HOST_READY;
    char byte = 0;

    errand->good =
        send(host->command, &ready, 1, MSG_NOSIGNAL) == 1 && read(host->command, &byte, 1) == 1 && byte == HOST_START;
    if (!errand->good)
        refuse(errand, "the host that sent the machine has thought better of it");
}

void host_run_errand(const struct host *host, struct operator_errand *errand)
{
    switch (errand->kind) {
    case OPERATOR_ERRAND_SAVE:
        save(errand);
        break;
    case OPERATOR_ERRAND_SEND:
        send_machine(errand);
        break;
    case OPERATOR_ERRAND_START:
        ask_to_start(host, errand);
        break;
    case OPERATOR_ERRAND_NONE:
        break;
    }
}
