/*
 * The control socket of a machine that stays up: RUN_DIR_CONTROL, SOCK_SEQPACKET. A request is one packet, the verb,
 * the letters of its flags and its words, each ended by a NUL; to a verb that is typed at, more packets are what is
 * typed. Answers are packets that begin with one of these
 * letters; the status is the last.
 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include <stdbool.h>

enum control_answer {
    CONTROL_OUTPUT = 'o', /* text for the standard output */
    CONTROL_NOTE = 'n',   /* the same for the standard error */
    CONTROL_ERROR = 'e',  /* a line of an error, for the standard error */
    CONTROL_STATUS = 's'  /* two bytes: the exit status, and whether the machine ends with it */
};

#define CONTROL_PACKET_MAX 8192

struct control;
struct operator_state;

/* Open it at this path; NULL with errno. From a task, or the host's stack before the machine runs. */
struct control *control_open(const char *path);
/* Whom the verbs turn to; set before the machine runs. */
void control_set_operator(struct control *control, struct operator_state *state);
/* Open the socket at this path for a machine that goes on in another process; false with errno. Likewise. */
bool control_open_again(struct control *control, const char *path);
/* Requests under way, less those that attach to a console. */
unsigned control_calls(const struct control *control);
/* From a task: wait until every request so far has been answered. */
void control_wait(const struct control *control);

#endif
