#include "cli/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/dom0_environment.h"
#include "machine/fail.h"
#include "machine/image.h"
#include "machine/peer.h"

#define CANNOT_START 126

struct beside {
    pid_t pid;
    void (*ended)(void *context, int status);
    void *context;
};

static _Noreturn void become(const struct run_dir *dir, unsigned domid, const char *command)
{
    int null = open("/dev/null", O_RDONLY);

    (void)setpgid(0, 0);              /* with what the shell starts */
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* it does not outlive the machine */
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    if (dom0_environment(dir, domid) == 0)
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(CANNOT_START);
}

/* Nothing is ever read from the descriptor of a process: it becomes readable, and fails, at the process's end. */
static void nothing(struct peer *peer)
{
    (void)peer;
}

static void process_ended(struct peer *peer)
{
    struct beside *beside = peer_data(peer);
    int status = 0;

    if (!peers_are_replayed())
        while (waitpid(beside->pid, &status, 0) < 0 && errno == EINTR)
            ;
    peers_read_memory(&status, sizeof(status));
    beside->ended(beside->context, status);
    image_free(beside);
}

struct beside *beside_start(const struct run_dir *dir, unsigned domid, const char *command,
                            void (*ended)(void *context, int status), void *context)
{
    static const struct peer_service service = {.name = "program", .input = nothing, .closed = process_ended};
    struct beside *beside = image_alloc(sizeof(*beside));
    int fd = -1;

    beside->ended = ended;
    beside->context = context;
    if (!peers_are_replayed()) {
        beside->pid = fork();
        if (beside->pid == 0)
            become(dir, domid, command);
        (void)setpgid(beside->pid, beside->pid);
        fd = beside->pid < 0 ? -1 : pidfd_open(beside->pid, 0);
        if (fd < 0)
            fail("scenario", "no process for '%s': %s", command, strerror(errno));
    }
    if (peer_open(fd, &service, beside) == NULL)
        fail("scenario", "'%s' cannot be watched: %s", command, strerror(errno));
    return beside;
}

void beside_stop(const struct beside *beside)
{
    if (!peers_are_replayed())
        (void)kill(-beside->pid, SIGTERM);
}

const char *beside_status(int status, char *buffer)
{
    if (WIFEXITED(status))
        snprintf(buffer, 32, "exit status %d", WEXITSTATUS(status));
    else
        snprintf(buffer, 32, "signal %d", WTERMSIG(status));
    return buffer;
}
