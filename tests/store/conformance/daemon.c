#include "store/conformance/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TRIES 2000u /* of 5 ms */

static void die(const char *what)
{
    perror(what);
    abort();
}

char *xen_program(const char *folder, const char *name)
{
    static const char *const roots[] = {"/usr", "build/xen-tools/usr"};
    char *path;

    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
        if (asprintf(&path, "%s/%s/%s", roots[i], folder, name) < 0)
            die("asprintf");
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static void set_number(const char *variable, int number)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", number);
    setenv(variable, text, 1);
}

static void run_program(const struct daemon *daemon, const char *program, int events)
{
    char pid_file[96];
    int null = open("/dev/null", O_WRONLY);

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that times out leaves no daemon behind */
    snprintf(pid_file, sizeof(pid_file), "%s/pid", daemon->directory);
    setenv("XENSTORED_RUNDIR", daemon->directory, 1);
    setenv("LD_PRELOAD", PVSIM_BUILD "/tests/store/xenstored_preload.so", 1);
    set_number(WORLD_VARIABLE, daemon->world_file);
    set_number(WORLD_EVENTS_VARIABLE, events);
    if (null >= 0)
        dup2(null, STDOUT_FILENO);
    execl(program, program, "-N", "-F", pid_file, NULL);
    _exit(127);
}

/* The daemon listens: a connection succeeds. */
static bool serves(struct daemon *daemon)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected;

    strcpy(address.sun_path, daemon->socket);
    connected = connect(client, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(client);
    return connected;
}

struct daemon *daemon_start(const char *program, const char **why)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    int pair[2];

    strcpy(daemon->directory, "/tmp/pvsim-xenstored-XXXXXX");
    if (!mkdtemp(daemon->directory))
        die("mkdtemp");
    snprintf(daemon->socket, sizeof(daemon->socket), "%s/socket", daemon->directory);
    daemon->world_file = memfd_create("xenstored world", 0);
    if (daemon->world_file < 0 || ftruncate(daemon->world_file, WORLD_SIZE))
        die("memfd_create");
    daemon->world = mmap(NULL, WORLD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, daemon->world_file, 0);
    if (daemon->world == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        die("world");
    daemon->world->domain[0] = (struct world_domain){.exists = true, .port = 1};
    daemon->events = pair[0];
    fcntl(daemon->events, F_SETFD, FD_CLOEXEC);
    daemon->pid = fork();
    if (daemon->pid == 0)
        run_program(daemon, program, pair[1]);
    close(pair[1]);
    for (unsigned i = 0; i < START_TRIES; i++) {
        if (serves(daemon))
            return daemon;
        if (waitpid(daemon->pid, NULL, WNOHANG) == daemon->pid) {
            daemon->pid = 0;
            break;
        }
        usleep(5000);
    }
    *why = daemon->pid ? "it does not open its socket" : "it ended at once";
    daemon_stop(daemon);
    return NULL;
}

bool daemon_stop(struct daemon *daemon)
{
    static const char *const files[] = {"socket", "pid", "tdb"};
    bool running = daemon->pid && waitpid(daemon->pid, NULL, WNOHANG) == 0;
    char path[96];

    if (running) {
        kill(daemon->pid, SIGKILL);
        waitpid(daemon->pid, NULL, 0);
    }
    munmap(daemon->world, WORLD_SIZE);
    close(daemon->world_file);
    close(daemon->events);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", daemon->directory, files[i]);
        unlink(path);
    }
    rmdir(daemon->directory);
    free(daemon);
    return running;
}

struct xenstore_domain_interface *daemon_ring(struct daemon *daemon, unsigned domid)
{
    return (struct xenstore_domain_interface *)((char *)daemon->world + (size_t)WORLD_PAGE * (1 + domid));
}

void daemon_event(struct daemon *daemon, uint32_t port)
{
    if (write(daemon->events, &port, sizeof(port)) != (ssize_t)sizeof(port))
        die("event channel socket");
}

void daemon_drain(struct daemon *daemon)
{
    char buffer[1024];

    while (recv(daemon->events, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
        ;
}
