#include "cli/forked.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "machine/clock_internal.h"

struct child {
    pid_t process; /* 0: the place is free */
    uint64_t key;
    uint64_t started;
    bool killed;
    int errors; /* a memfd: its standard error */
};

/* What a child tells before it ends; in shared memory. */
struct message {
    bool complete;
    struct run_outcome outcome;
};

struct forked {
    unsigned jobs;
    unsigned running;
    uint64_t limit;
    struct message *messages; /* one a place */
    sigset_t mask;            /* signals as they were */
    struct child children[];
};

_Noreturn static void give_up(const char *what)
{
    complain("%s: %s", what, strerror(errno));
    exit(EXIT_NOT_HERE);
}

struct forked *forked_open(unsigned jobs, uint64_t limit_ns)
{
    struct forked *forked = calloc(1, sizeof(*forked) + jobs * sizeof(struct child));
    sigset_t child;

    if (forked == NULL)
        abort();
    forked->jobs = jobs;
    forked->limit = limit_ns;
    forked->messages =
        mmap(NULL, jobs * sizeof(struct message), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (forked->messages == MAP_FAILED)
        give_up("no memory to share with child processes");
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &forked->mask); /* it is waited for */
    return forked;
}

bool forked_full(const struct forked *forked)
{
    return forked->running == forked->jobs;
}

unsigned forked_running(const struct forked *forked)
{
    return forked->running;
}

_Noreturn static void be_child(struct forked *forked, unsigned place, int errors, forked_job *job, void *context)
{
    struct message *message = &forked->messages[place];
    FILE *nowhere;
    int status;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, &forked->mask, NULL);
    nowhere = freopen("/dev/null", "w", stdout);
    if (nowhere == NULL || dup2(errors, STDERR_FILENO) < 0)
        _exit(EXIT_NOT_HERE);
    status = job(context, forked->children[place].key, &message->outcome);
    message->complete = true;
    fflush(NULL);
    _exit(status);
}

void forked_start(struct forked *forked, uint64_t key, forked_job *job, void *context)
{
    unsigned place = 0;
    struct child *child;

    while (forked->children[place].process != 0)
        place++;
    child = &forked->children[place];
    child->key = key;
    child->killed = false;
    child->started = clock_host();
    child->errors = memfd_create("pvsim-errors", MFD_CLOEXEC);
    if (child->errors < 0)
        give_up("no file for a child's messages");
    memset(&forked->messages[place], 0, sizeof(forked->messages[place]));
    fflush(NULL);
    child->process = fork();
    if (child->process < 0)
        give_up("cannot fork");
    if (child->process == 0)
        be_child(forked, place, child->errors, job, context);
    forked->running++;
}

/* The end of what the child wrote. */
static void read_errors(int file, char *buffer, size_t size)
{
    off_t length = lseek(file, 0, SEEK_END);
    off_t from = length >= (off_t)size ? length - (off_t)size + 1 : 0;
    ssize_t count = pread(file, buffer, size - 1, from);

    buffer[count > 0 ? count : 0] = '\0';
}

static void judge(const struct child *child, const struct message *message, int status, struct forked_result *result)
{
    result->key = child->key;
    result->outcome = message->outcome;
    result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    result->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    read_errors(child->errors, result->errors, sizeof(result->errors));
    if (child->killed)
        result->end = FORKED_HANGED;
    else if (WIFEXITED(status) && (WEXITSTATUS(status) == EXIT_NOT_HERE || WEXITSTATUS(status) == EXIT_USAGE))
        result->end = FORKED_NOT_HERE;
    else if (!WIFEXITED(status) || !message->complete)
        result->end = FORKED_CRASHED;
    else
        result->end = WEXITSTATUS(status) == EXIT_PASSED ? FORKED_PASSED : FORKED_FAILED;
}

static bool reap(struct forked *forked, struct forked_result *result)
{
    uint64_t now = clock_host();

    for (unsigned place = 0; place < forked->jobs; place++) {
        struct child *child = &forked->children[place];
        int status;

        if (child->process == 0)
            continue;
        if (!child->killed && now - child->started > forked->limit) {
            child->killed = true;
            kill(child->process, SIGKILL);
        }
        if (waitpid(child->process, &status, WNOHANG) != child->process)
            continue;
        judge(child, &forked->messages[place], status, result);
        close(child->errors);
        child->process = 0;
        forked->running--;
        return true;
    }
    return false;
}

bool forked_wait(struct forked *forked, uint64_t timeout_ns, struct forked_result *result)
{
    uint64_t until = clock_host() + timeout_ns;
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    while (forked->running > 0) {
        const struct timespec moment = {0, 100000000};

        if (reap(forked, result))
            return true;
        if (clock_host() >= until)
            return false;
        (void)sigtimedwait(&child, NULL, &moment);
    }
    return false;
}

void forked_close(struct forked *forked)
{
    for (unsigned place = 0; place < forked->jobs; place++) {
        struct child *child = &forked->children[place];

        if (child->process == 0)
            continue;
        kill(child->process, SIGKILL);
        (void)waitpid(child->process, NULL, 0);
        close(child->errors);
    }
    munmap(forked->messages, forked->jobs * sizeof(struct message));
    sigprocmask(SIG_SETMASK, &forked->mask, NULL);
    free(forked);
}

void forked_print_end(const struct forked_result *result, uint64_t limit_ns)
{
    if (result->end == FORKED_CRASHED)
        printf(result->signal != 0 ? "the simulator itself died of signal %d\n"
                                   : "the simulator itself ended with status %d\n",
               result->signal != 0 ? result->signal : result->status);
    else if (result->end == FORKED_HANGED)
        printf("no end within %.0f s of the host's time\n", (double)limit_ns / 1e9);
    else
        printf("could not be tried here\n");
    if (result->errors[0] != '\0')
        printf("%s%s", result->errors, result->errors[strlen(result->errors) - 1] == '\n' ? "" : "\n");
}

unsigned forked_processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}
