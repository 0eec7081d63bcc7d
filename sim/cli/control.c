/* The control socket: requests come in, each runs as a task of its own. */
#include "cli/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/cli.h"
#include "cli/operator.h"
#include "cli/verb.h"
#include "machine/clock.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/peer.h"
#include "machine/sched.h"
#include "xen/xen.h"

#define CONTROL_TYPED_MAX 65536u
#define WAIT_POLL_NS UINT64_C(1000000)

struct control {
    struct operator_state *operator_state;
    unsigned calls;    /* under way */
    unsigned attached; /* of those, to a console */
};

struct verb_call {
    struct control *control;
    struct peer *peer; /* NULL: whoever asked is gone; so is its line */
    struct line *line;
    const struct verb *verb;
    struct toolstack *toolstack;
    char *request; /* the packet, ended by a NUL */
    const char *flags;
    unsigned count;
    const char *word[VERB_WORDS_MAX];
    bool ends; /* the machine, with it */
    struct task *task;
    char *typed;
    size_t typed_count;
};

/* ---- what a verb sees ---- */

bool verb_flag(const struct verb_call *call, char letter)
{
    return strchr(call->flags, letter) != NULL;
}

unsigned verb_count(const struct verb_call *call)
{
    return call->count;
}

const char *verb_word(const struct verb_call *call, unsigned index)
{
    return index < call->count ? call->word[index] : NULL;
}

struct operator_state *verb_operator(const struct verb_call *call)
{
    return call->control->operator_state;
}

void verb_ends_machine(struct verb_call *call)
{
    call->ends = true;
}

static void answer(struct verb_call *call, enum control_answer kind, const char *format, va_list arguments)
{
    char packet[1024] = {(char)kind};
    int length = vsnprintf(packet + 1, sizeof(packet) - 1, format, arguments);

    if (length >= (int)sizeof(packet) - 1)
        length = (int)sizeof(packet) - 2;
    if (call->peer != NULL)
        peer_write(call->peer, packet, (size_t)length + 1);
}

void verb_print(struct verb_call *call, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    answer(call, CONTROL_OUTPUT, format, arguments);
    va_end(arguments);
}

void verb_note(struct verb_call *call, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    answer(call, CONTROL_NOTE, format, arguments);
    va_end(arguments);
}

void verb_complain(struct verb_call *call, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    answer(call, CONTROL_ERROR, format, arguments);
    va_end(arguments);
}

void verb_write(struct verb_call *call, const char *bytes, size_t count)
{
    char packet[1024] = {CONTROL_OUTPUT};

    if (count > sizeof(packet) - 1)
        count = sizeof(packet) - 1;
    memcpy(packet + 1, bytes, count);
    if (call->peer != NULL)
        peer_write(call->peer, packet, count + 1);
}

const char *verb_typed(const struct verb_call *call, size_t *count)
{
    *count = call->typed_count;
    return call->typed;
}

void verb_consume(struct verb_call *call, size_t count)
{
    if (count == 0)
        return;
    call->typed_count -= count;
    memmove(call->typed, call->typed + count, call->typed_count);
    if (call->peer != NULL)
        peer_again(call->peer); /* what found no room */
}

bool verb_is_heard(const struct verb_call *call)
{
    return call->peer != NULL;
}

struct toolstack *verb_toolstack(struct verb_call *call)
{
    return call->toolstack;
}

bool verb_domain(struct verb_call *call, const char *word, unsigned *domid)
{
    char *end;
    unsigned long number = strtoul(word, &end, 10);

    if (*word != '\0' && *end == '\0' && strchr(word, '-') == NULL && number <= UINT16_MAX &&
        xen_domain_exists((unsigned)number)) {
        *domid = (unsigned)number;
        return true;
    }
    if (toolstack_domain_find(call->toolstack, word, domid))
        return true;
    verb_complain(call, "%s is an invalid domain identifier; 'pvsim list' shows the domains", word);
    return false;
}

/* ---- a request ---- */

/* The words of the packet into the call; false: it is none that verb_command() sends. */
static bool read_request(struct verb_call *call, size_t bytes)
{
    const char *at = call->request;
    const char *end = at + bytes;

    if (bytes == 0 || end[-1] != '\0')
        return false;
    call->verb = verb_find(at);
    at += strlen(at) + 1;
    if (call->verb == NULL || at == end)
        return false;
    call->flags = at;
    for (at += strlen(at) + 1; at < end; at += strlen(at) + 1) {
        if (call->count == VERB_WORDS_MAX)
            return false;
        call->word[call->count++] = at;
    }
    return strspn(call->flags, call->verb->flags) == strlen(call->flags) && call->count >= call->verb->minimum &&
           call->count <= call->verb->maximum;
}

static void serve(void *argument)
{
    struct verb_call *call = argument;
    struct control *control = call->control;
    char status[3] = {CONTROL_STATUS, EXIT_FAILED};
    bool attached = call->verb->command != NULL;
    bool ends;

    call->toolstack = toolstack_open(&operator_logger);
    if (call->toolstack == NULL) {
        verb_complain(call, "the toolstack cannot reach the store");
    } else {
        status[1] = (char)call->verb->run(call);
        toolstack_close(call->toolstack);
    }
    ends = call->ends && status[1] == EXIT_PASSED;
    status[2] = (char)ends;
    if (call->peer != NULL) {
        peer_write(call->peer, status, sizeof(status));
        peer_close(call->peer);
        image_free(call->line);
    }
    image_free(call->request);
    image_free(call->typed);
    image_free(call);
    control->calls--;
    control->attached -= attached;
    if (ends)
        operator_stop(control->operator_state, EXIT_PASSED);
}

/* The call that the packet asks for, NULL: it breaks the protocol. */
static struct verb_call *make_call(struct control *control, struct peer *peer, const char *packet, size_t bytes)
{
    struct verb_call *call = image_alloc(sizeof(*call));

    call->control = control;
    call->peer = peer;
    call->request = image_alloc(bytes + 1);
    memcpy(call->request, packet, bytes);
    if (bytes <= CONTROL_PACKET_MAX && read_request(call, bytes))
        return call;
    image_free(call->request);
    image_free(call);
    return NULL;
}

/* What a connection is: waiting for its request, or busy with it. */
struct line {
    struct control *control;
    struct verb_call *call; /* NULL: none came yet */
};

/* Whoever asked hears nothing any more; a verb that is typed at ends. */
static void forget_peer(struct verb_call *call)
{
    call->peer = NULL;
    call->line = NULL;
    if (call->verb->command != NULL)
        task_unpark(call->task);
}

static void opened(struct peer *peer, void *argument)
{
    struct line *line = image_alloc(sizeof(*line));

    line->control = argument;
    peer_set_data(peer, line);
}

/* More than the verb takes at once waits here, up to a limit, and then with the peer: false. */
static bool type(struct verb_call *call, const char *bytes, size_t count)
{
    if (call->typed_count + count > CONTROL_TYPED_MAX)
        return false;
    call->typed = image_realloc(call->typed, call->typed_count + count);
    memcpy(call->typed + call->typed_count, bytes, count);
    call->typed_count += count;
    task_unpark(call->task);
    return true;
}

static void break_off(struct peer *peer, struct line *line)
{
    log_line(LOG_WARNING, "control", "%s: a request that breaks the protocol", peer_name(peer));
    image_free(line);
    peer_close(peer);
}

/* One request a connection; a second one breaks the protocol, and the first goes on with nobody to hear of it. */
static void input(struct peer *peer)
{
    struct line *line = peer_data(peer);
    const char *packet;
    size_t bytes;

    while ((packet = peer_input(peer, &bytes)) != NULL) {
        if (line->call == NULL) {
            line->call = make_call(line->control, peer, packet, bytes);
            if (line->call == NULL) {
                break_off(peer, line);
                return;
            }
            line->call->line = line;
            line->control->calls++;
            line->control->attached += line->call->verb->command != NULL;
            line->call->task = task_create(line->call->verb->name, serve, line->call);
        } else if (line->call->verb->command == NULL) {
            forget_peer(line->call);
            break_off(peer, line);
            return;
        } else if (!type(line->call, packet, bytes)) {
            return;
        }
        peer_consume(peer, bytes);
    }
}

static void closed(struct peer *peer)
{
    struct line *line = peer_data(peer);

    if (line->call != NULL)
        forget_peer(line->call);
    image_free(line);
}

static const struct peer_service service = {.name = "control", .opened = opened, .input = input, .closed = closed};

bool control_open_again(struct control *control, const char *path)
{
    int fd = peer_socket(path, SOCK_SEQPACKET);

    return fd >= 0 && peer_listen(fd, &service, control) != NULL;
}

struct control *control_open(const char *path)
{
    struct control *control = image_alloc(sizeof(*control));

    if (control_open_again(control, path))
        return control;
    image_free(control);
    return NULL;
}

unsigned control_calls(const struct control *control)
{
    return control->calls - control->attached;
}

void control_set_operator(struct control *control, struct operator_state *state)
{
    control->operator_state = state;
}

void control_wait(const struct control *control)
{
    while (control->calls != 0)
        (void)task_park(clock_now() + WAIT_POLL_NS, "verbs under way");
}
