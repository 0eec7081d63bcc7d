#include "cli/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/guest.h"
#include "cli/host_config.h"
#include "cli/host_errand.h"
#include "cli/operator.h"
#include "cli/report.h"
#include "cli/xlcfg.h"
#include "dom0/gate.h"
#include "machine/fail.h"
#include "machine/snapshot.h"
#include "store/store.h"

static void tell_command(struct host *host)
{
    const char byte = HOST_UP;

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

/* *control: NULL, or that of a machine that goes on. */
static bool open_sockets(const struct host *host, struct control **control)
{
    char path[RUN_DIR_PATH_MAX];
    bool good;

    (void)run_dir_path(&host->dir, RUN_DIR_CONTROL, path);
    if (*control == NULL)
        good = (*control = control_open(path)) != NULL;
    else
        good = control_open_again(*control, path);
    if (good && gate_open(run_dir_path(&host->dir, RUN_DIR_GATE, path)) &&
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

static void is_up(void *context, const char *note)
{
    struct host *host = context;

    if (host->command >= 0 && note != NULL)
        dprintf(host->terminal, "pvsim: %s\n", note);
    tell_command(host);
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

static int run_machine(struct host *host, struct operator_state *state)
{
    enum machine_result result;
    int status;

    while ((result = machine_run()) == MACHINE_PAUSED)
        host_run_errand(host, operator_errand(state));
    status = result == MACHINE_DONE ? operator_status(state) : EXIT_FAILED;
    if (result == MACHINE_FAILED)
        report_failure(host);
    else if (host->command >= 0)
        dprintf(host->terminal, "pvsim: the guest has ended before it was up; see %s/%s\n", host->dir.path,
                RUN_DIR_LOG);
    machine_destroy();
    return status;
}

static int create_main(struct host *host)
{
    struct control *control = NULL;
    int status;

    (void)setsid();
    write_pid(host);
    machine_create(&host->options.run.machine);
    status = guest_install(&host->options.run.machine);
    if (status != 0)
        return status;
    if (!open_sockets(host, &control) || !move_to_log(host))
        return EXIT_USAGE;
    return run_machine(host, operator_start(&host->options, &host->dir, control, is_up, host));
}

int host_create(struct host *host)
{
    int status;

    host->terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    status = create_main(host);
    run_dir_leave(&host->dir);
    return status; /* to a command that still waits, too, by the process's end */
}

/* ---- a machine that goes on ---- */

struct restored {
    struct host *host;
    struct operator_state *state;
};

/* A configuration file that came with it, or is given in its place. */
static bool configure(struct host *host, struct operator_state *state)
{
    char refused[HOST_CONFIG_REFUSED_MAX];
    struct create_options options;
    const char *name;
    const char *text;
    bool good;

    host->options = *operator_options(state);
    host->options.run.machine = machine->config;
    if (host->config != NULL) {
        name = host->config;
        text = NULL;
    } else if (!operator_config(state, &name, &text)) {
        return true;
    }
    good = host_config_read(state, name, text, &options, refused);
    host->options.file = options.file;
    if (!good) {
        if (refused[0] != '\0')
            complain("%s", refused);
        return false;
    }
    host_config_note(name, &options);
    operator_use_options(state, &options);
    return true;
}

static int restored_main(void *argument)
{
    const struct restored *restored = argument;
    struct host *host = restored->host;
    struct control *control = operator_control(restored->state);
    int status = EXIT_USAGE;

    if (configure(host, restored->state) && open_sockets(host, &control) && move_to_log(host)) {
        operator_on_new_host(restored->state, &host->dir, host->paused, host->asks, is_up, host);
        status = run_machine(host, restored->state);
    }
    run_dir_leave(&host->dir);
    xlcfg_close(host->options.file);
    return status;
}

_Noreturn void host_restore(struct host *host)
{
    static struct restored restored; /* not on the stack that is left behind */
    struct snapshot_result result;
    void *root = NULL;

    host->terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    (void)setsid();
    write_pid(host);
    result = snapshot_read(host->image, host->image_name, &root);
    close(host->image);
    if (!result.good) {
        complain("%s", result.text);
        run_dir_leave(&host->dir);
        exit(result.not_here ? EXIT_NOT_HERE : EXIT_FAILED);
    }
    restored = (struct restored){host, root};
    snapshot_go_on(restored_main, &restored);
}

/* ---- the command that starts it ---- */

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

int host_start(struct host *host, int (*be)(struct host *host))
{
    int ends[2];
    pid_t pid;

    fflush(NULL);
    if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
        complain("no process for the machine: %s", strerror(errno));
        return EXIT_NOT_HERE;
    }
    if (pid == 0) {
        close(ends[0]);
        host->command = ends[1];
        return be(host);
    }
    close(ends[1]);
    close(host->dir.lock); /* the machine's process has it */
    return wait_until_up(ends[0], pid, &host->dir);
}
