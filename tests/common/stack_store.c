/* The stack fixture with a store of its own beside the machine, started by pvsim dom0. */
#include "common/stack.h"
#include "common/stack_dom0.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/outer_store.h"
#include "cli/run_dir.h"
#include "common/process.h"
#include "dom0/gate.h"
#include "machine/clock.h"
#include "machine/sched.h"

#define MS UINT64_C(1000000)

static pid_t daemon_pid;

/* Once the ring is there that the daemon looks for. */
static _Noreturn void become_daemon(const char *command)
{
    char script[2048];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(script, sizeof(script),
             "until [ -L %.200s/" RUN_DIR_STORE " ]; do sleep 0.01; done; exec " PVSIM_BUILD
             "/pvsim dom0 --run-dir %.200s -- %.1200s",
             scratch(), scratch(), command);
    execl("/bin/sh", "sh", "-c", script, (char *)NULL);
    _exit(127);
}

void stack_store_start(const char *command)
{
    struct run_dir dir = {.lock = -1};
    char path[RUN_DIR_PATH_MAX];

    snprintf(dir.path, sizeof(dir.path), "%s", scratch());
    ck_assert(gate_open(run_dir_path(&dir, RUN_DIR_GATE, path)));
    daemon_pid = fork();
    ck_assert_int_ge(daemon_pid, 0);
    if (daemon_pid == 0)
        become_daemon(command);
    outer_store_open(&dir, NULL);
}

void stack_store_end(void)
{
    int status = 0;

    ck_assert_int_eq(kill(daemon_pid, SIGTERM), 0);
    while (waitpid(daemon_pid, &status, WNOHANG) == 0)
        (void)task_park(clock_now() + 2 * MS, "the store's program to end");
    ck_assert_msg(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM), "the store: wait status %#x",
                  (unsigned)status);
}
