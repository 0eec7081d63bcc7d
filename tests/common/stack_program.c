/* The stack fixture with netback as a program beside the machine: as a program of dom0, on the drop-in libraries. */
#include "common/stack.h"
#include "common/stack_dom0.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/process.h"
#include "dom0/gate.h"
#include "dom0/gate_protocol.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "store/store.h"

#define MS UINT64_C(1000000)
#define LIBRARIES PVSIM_BUILD "/lib/pvsim-dom0"

static char domid[16];
static char gate[256];
static char store[256];
static char messages[256];
static pid_t program;

static void become_program(const char *const *arguments)
{
    const char *argv[16] = {PVSIM_BUILD "/pvsim-netback"};
    int file = open(messages, O_WRONLY | O_CREAT | O_APPEND, 0600);

    argv[1] = "--domid";
    argv[2] = domid;
    for (unsigned count = 3; *arguments != NULL && count < 15; count++)
        argv[count] = *arguments++;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    setenv(GATE_SOCKET_VARIABLE, gate, 1);
    setenv(GATE_DOMID_VARIABLE, domid, 1);
    setenv("XENSTORED_PATH", store, 1);
    setenv("LD_LIBRARY_PATH", LIBRARIES, 1);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

void stack_program_start(const char *const *arguments)
{
    if (*gate == '\0') {
        snprintf(gate, sizeof(gate), "%s/dom0.sock", scratch());
        snprintf(store, sizeof(store), "%s/xenstored.sock", scratch());
        snprintf(messages, sizeof(messages), "%s/netback", scratch());
        snprintf(domid, sizeof(domid), "%u", stack.options->program_domid);
        ck_assert(gate_open(gate));
        ck_assert(store_listen(store, stack.options->program_domid));
    }
    program = fork();
    ck_assert_int_ge(program, 0);
    if (program == 0)
        become_program(arguments);
}

int stack_program_end(int signal)
{
    int status = -1;

    ck_assert_int_eq(kill(program, signal), 0);
    while (waitpid(program, &status, WNOHANG) == 0)
        (void)task_park(clock_now() + 2 * MS, "the backend's program to end");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

const char *stack_program_messages(void)
{
    static char text[16384];
    FILE *file = fopen(messages, "r");
    size_t length = file == NULL ? 0 : fread(text, 1, sizeof(text) - 1, file);

    text[length] = '\0';
    if (file != NULL)
        fclose(file);
    return text;
}
