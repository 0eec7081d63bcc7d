/*
 * pvsim console: the command attaches the terminal to the guest's PV console, and the verb in the machine carries what
 * is typed and printed.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/console_task.h"
#include "cli/control.h"
#include "cli/operator.h"
#include "cli/verb.h"
#include "machine/clock.h"
#include "machine/sched.h"
#include "xen/xen.h"

#define ESCAPE 0x1D /* Ctrl-] */
#define ARGUMENTS_MAX 16
#define PATIENCE_NS UINT64_C(1000000000)
#define POLL_NS UINT64_C(10000000)

/* ---- in the machine ---- */

/* Is there something to attach to? False after a line. */
static bool attach(struct verb_call *call, unsigned domid, struct console_task **task)
{
    enum console_state state = CONSOLE_NONE;

    *task = operator_consoles(verb_operator(call));
    if (domid == XEN_DOM0) {
        verb_complain(call, "domain 0 is the host: it has no console here");
        return false;
    }
    if (*task == NULL) {
        verb_complain(call,
                      "the console of domain %u is left to a program (--console external): run 'pvsim dom0 -- "
                      "xenconsoled' and 'pvsim dom0 -- xenconsole %u'",
                      domid, domid);
        return false;
    }
    if (console_task_consoles(*task) != NULL) {
        consoles_retry(console_task_consoles(*task), domid);
        state = consoles_state(console_task_consoles(*task), domid);
    }
    if (state == CONSOLE_NONE)
        verb_complain(call, "domain %u has no PV console", domid);
    else if (state == CONSOLE_TAKEN)
        verb_complain(call, "the console of domain %u is with another program, which has bound its port", domid);
    return state == CONSOLE_OPEN;
}

static void print(struct verb_call *call, const struct consoles *consoles, unsigned domid, uint64_t *position)
{
    char text[512];
    size_t count;

    while ((count = consoles_read(consoles, domid, position, text, sizeof(text))) != 0)
        verb_write(call, text, count);
}

/* False: the guest has taken nothing. */
static bool type(struct verb_call *call, struct consoles *consoles, unsigned domid)
{
    size_t count;
    const char *typed = verb_typed(call, &count);
    size_t taken = consoles_write(consoles, domid, typed, count);

    verb_consume(call, taken);
    return taken != 0;
}

/* Who typed has gone: the guest gets what is left, for as long as it takes some of it now and then. */
static void type_what_is_left(struct verb_call *call, struct consoles *consoles, unsigned domid)
{
    uint64_t patience = clock_now() + PATIENCE_NS;
    size_t left;

    while (verb_typed(call, &left) != NULL && left != 0 && consoles_state(consoles, domid) == CONSOLE_OPEN &&
           clock_now() < patience) {
        if (type(call, consoles, domid))
            patience = clock_now() + PATIENCE_NS;
        else
            (void)task_park(clock_now() + POLL_NS, "the guest to take what was typed");
    }
}

int verb_console(struct verb_call *call)
{
    struct console_task *task;
    struct consoles *consoles;
    uint64_t position = 0;
    unsigned domid;

    if (!verb_domain(call, verb_word(call, 0), &domid) || !attach(call, domid, &task))
        return EXIT_FAILED;
    consoles = console_task_consoles(task);
    print(call, consoles, domid, &position);
    verb_write(call, "", 0); /* that was what there had been */
    while (verb_is_heard(call) && consoles_state(consoles, domid) == CONSOLE_OPEN) {
        (void)type(call, consoles, domid);
        console_task_wait(task);
        print(call, consoles, domid, &position);
    }
    type_what_is_left(call, consoles, domid);
    return EXIT_PASSED;
}

/* ---- the command ---- */

/* What is typed, up to Ctrl-], goes to the machine. False: that was the last. */
static bool read_keys(int fd)
{
    char keys[512];
    ssize_t count = read(STDIN_FILENO, keys, sizeof(keys));
    const char *escape;

    if (count < 0 && errno == EINTR)
        return true;
    escape = count > 0 ? memchr(keys, ESCAPE, (size_t)count) : NULL;
    if (escape != NULL)
        count = escape - keys;
    if (count > 0)
        (void)send(fd, keys, (size_t)count, MSG_NOSIGNAL); /* what became of the machine shows at the other end */
    return escape == NULL && count > 0;
}

/* Until Ctrl-] or the end of the input, or the console is gone: 0, or the verb's own status. */
static int converse(int fd)
{
    struct verb_answers answers = {.ended = false};
    bool typing = true;
    bool going = true;

    while (going && (typing || !answers.caught_up)) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = typing ? STDIN_FILENO : -1, .events = POLLIN}};

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        if (fds[0].revents != 0)
            going = verb_answer(fd, &answers);
        else if (fds[1].revents != 0)
            typing = read_keys(fd);
    }
    if (!going && !answers.ended) {
        complain("the machine has ended");
        return EXIT_FAILED;
    }
    return answers.status;
}

/* The terminal hands over keys as they are, and comes back as it was. */
static int converse_on_terminal(int fd)
{
    struct termios before, raw;
    int status;

    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return converse(fd);
    raw = before;
    cfmakeraw(&raw);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    status = converse(fd);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    return status;
}

/* -t and -n, with their values, are for here; 0: go on with what is left. */
static int take_option(char letter, const char *value)
{
    if (value == NULL) {
        complain("-%c takes a value; see 'pvsim console --help'", letter);
        return EXIT_USAGE;
    }
    if (letter == 'n' && strcmp(value, "0") != 0) {
        complain("there is console 0 alone, not '%s'", value);
        return EXIT_USAGE;
    }
    if (letter == 'n' || strcmp(value, "pv") == 0)
        return 0;
    if (strcmp(value, "serial") == 0 || strcmp(value, "vuart") == 0) {
        complain("the machine has no %s console: its board has no serial port; there is -t pv", value);
        return EXIT_FAILED;
    }
    complain("console types supported are: pv, not '%s'", value);
    return EXIT_USAGE;
}

int verb_console_command(const struct verb *verb, int argc, char **argv)
{
    char *left[ARGUMENTS_MAX];
    int count = 0;
    int status = 0;
    int fd;

    if (argc > ARGUMENTS_MAX) {
        complain("too many arguments; see 'pvsim console --help'");
        return EXIT_USAGE;
    }
    for (int index = 0; status == 0 && index < argc; index++) {
        const char *word = argv[index];

        if (index != 0 && word[0] == '-' && (word[1] == 't' || word[1] == 'n'))
            status = take_option(word[1], word[2] != '\0' ? word + 2 : index + 1 < argc ? argv[++index] : NULL);
        else
            left[count++] = argv[index];
    }
    if (status == 0)
        status = verb_send(verb, count, left, NULL, &fd);
    if (status != 0)
        return status == -1 ? EXIT_PASSED : status;
    status = converse_on_terminal(fd);
    close(fd);
    return status;
}
