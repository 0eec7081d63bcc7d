/*
 * pvsim create: boot a machine and keep it up. The machine is a process of its own; the command ends when the guest has
 * booted, or could not, and then its one line and its exit status say why.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/control.h"
#include "cli/guest.h"
#include "cli/operator.h"
#include "cli/report.h"
#include "cli/run_dir.h"
#include "cli/xlcfg.h"
#include "dom0/gate.h"
#include "machine/fail.h"
#include "store/store.h"

/* The machine's process; a byte goes to the command that waits when it is up. */
struct host {
    struct create_options options;
    struct run_dir dir;
    int command;  /* -1: it has been told */
    int terminal; /* its standard error, until then */
};

static void tell_command(struct host *host)
{
    const char byte = EXIT_PASSED;

    if (host->command < 0)
        return;
    if (write(host->command, &byte, 1) != 1)
        complain("the command that waits for the machine is gone");
    close(host->command);
    close(host->terminal); /* who reads what the command prints is not to wait for the machine */
    host->command = -1;
}

/* From here on what the machine says is for its log. */
static bool move_to_log(const struct host *host)
{
    char path[RUN_DIR_PATH_MAX];
    int null = open("/dev/null", O_RDONLY);
    int log = open(run_dir_path(&host->dir, RUN_DIR_LOG, path), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    bool good = null >= 0 && log >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(log, STDOUT_FILENO) >= 0 &&
                dup2(log, STDERR_FILENO) >= 0;

    if (!good)
        complain("%s cannot be opened: %s", path, strerror(errno));
    if (null >= 0)
        close(null);
    if (log >= 0)
        close(log);
    return good;
}

static bool open_sockets(const struct host *host, struct control **control)
{
    char path[RUN_DIR_PATH_MAX];

    *control = control_open(run_dir_path(&host->dir, RUN_DIR_CONTROL, path));
    if (*control != NULL && gate_open(run_dir_path(&host->dir, RUN_DIR_GATE, path)) &&
        (host->options.store != STORE_BUILTIN || store_listen(run_dir_path(&host->dir, RUN_DIR_STORE, path), 0)))
        return true;
    complain("%s cannot be opened: %s", path, strerror(errno));
    return false;
}

static void write_pid(const struct host *host)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    if (ftruncate(host->dir.lock, 0) != 0 || pwrite(host->dir.lock, text, (size_t)length, 0) != length)
        complain("the process number cannot be written to %s: %s", host->dir.path, strerror(errno));
}

static void is_up(void *context)
{
    tell_command(context);
}

/* The whole of it to the log; to the command that still waits, one line. */
static void report_failure(const struct host *host)
{
    struct report report = {.options = &host->options.run, .failure = machine_failure()};

    report_print_failure(&report);
    fflush(stdout);
    if (host->command >= 0)
        dprintf(host->terminal, "pvsim: the machine failed: %.*s (rule %s); see %s/%s\n",
                (int)strcspn(report.failure->text, "\n"), report.failure->text, report.failure->rule, host->dir.path,
                RUN_DIR_LOG);
}

/* The machine's process, from its start to its end. */
static int host_main(struct host *host)
{
    struct control *control;
    struct operator_state *state;
    enum machine_result result;
    int status;

    (void)setsid();
    write_pid(host);
    machine_create(&host->options.run.machine);
    status = guest_install(&host->options.run.machine);
    if (status != 0)
        return status;
    if (!open_sockets(host, &control) || !move_to_log(host))
        return EXIT_USAGE;
    state = operator_start(&host->options, &host->dir, control, is_up, host);
    result = machine_run();
    status = result == MACHINE_DONE ? operator_status(state) : EXIT_FAILED;
    if (result == MACHINE_FAILED)
        report_failure(host);
    machine_destroy();
    return status;
}

static int be_host(struct host *host)
{
    int status;

    host->terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    status = host_main(host);
    run_dir_leave(&host->dir);
    return status; /* to a command that still waits, too, by the process's end */
}

/* What became of the machine's process, which has not said that it is up. */
static int end_of(pid_t pid, const struct run_dir *dir)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_FAILED;
    if (WIFEXITED(status))
        return WEXITSTATUS(status); /* after its line */
    complain("the machine's process was ended by signal %d before the guest was up; see %s/%s", WTERMSIG(status),
             dir->path, RUN_DIR_LOG);
    return EXIT_FAILED;
}

static int wait_until_up(int fd, pid_t pid, const struct run_dir *dir)
{
    char byte;
    ssize_t count;

    do
        count = read(fd, &byte, 1);
    while (count < 0 && errno == EINTR);
    return count == 1 ? byte : end_of(pid, dir);
}

static int start_host(struct host *host)
{
    int status;
    int ends[2];
    pid_t pid;

    host->options.run.machine.stay_up = true;
    if (!run_dir_find(&host->dir, host->options.run_dir))
        return EXIT_USAGE;
    status = guest_check_drivers(&host->options.run.machine);
    if (status == 0 && host->options.run.machine.preempt_memory)
        status = guest_check_memory_hooks(&host->options.run.machine);
    if (status == 0)
        status = run_dir_take(&host->dir);
    if (status != 0)
        return status;
    fflush(NULL);
    if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
        complain("no process for the machine: %s", strerror(errno));
        return EXIT_NOT_HERE;
    }
    if (pid == 0) {
        close(ends[0]);
        host->command = ends[1];
        return be_host(host);
    }
    close(ends[1]);
    close(host->dir.lock); /* the machine's process has it */
    return wait_until_up(ends[0], pid, &host->dir);
}

int command_create(int argc, char **argv)
{
    struct host host = {.command = -1};
    int status = options_parse_create(argc, argv, &host.options);

    if (status == 0)
        status = start_host(&host);
    xlcfg_close(host.options.file);
    return status == -1 ? EXIT_PASSED : status;
}
