/*
 * A machine in a file. What is written is the machine image: its mappings, the pages in them that were ever used, guest
 * RAM, and the data of the driver modules. Another process of the same build takes it up at the same addresses and goes
 * on from the machine_pause() in which the machine was when it was written: that call returns once in each of them, as
 * fork() does.
 *
 * A file is a row of records, each with a checksum over itself and all before it, so that a pipe will do, too: nothing
 * of a record is used before its sum was found right. All of it is written and read on the host's stack.
 *
 * What the host held for the machine is gone in the other process: connections of programs have ended there
 * (peers_on_new_host()), and its sockets are to be opened anew. The machine's clock stands still in the file.
 */
#ifndef MACHINE_SNAPSHOT_H
#define MACHINE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_TEXT_MAX 512

struct snapshot_result {
    bool good;
    bool not_here;                /* it is in order, and this process is not the one for it */
    char text[SNAPSHOT_TEXT_MAX]; /* why not; one line */
    uint64_t bytes;               /* of the file */
};

/*
 * Why this machine cannot be written, a line for the user; NULL: it can. That it is paused is not looked at.
 */
const char *snapshot_refused(void);

/* Write the paused machine to a descriptor. `root`: what snapshot_read() gives to whoever goes on with it. */
struct snapshot_result snapshot_write(int fd, void *root);

/*
 * Become the machine of the file; the process has none yet, has been started without address randomisation, and has
 * opened nothing that would lie in the way. `file`: its name for reports. Then machine_run() goes on, which
 * snapshot_go_on() is for. After a failure the process is of no more use.
 */
struct snapshot_result snapshot_read(int fd, const char *file, void **root);

/*
 * Call `function` on the host's stack as the machine's fibers must be called, and end the process with its result. They
 * hold the stack protector's number of the process that wrote the file: it becomes this one's, which the frames that
 * are below on the stack would not survive.
 */
_Noreturn void snapshot_go_on(int (*function)(void *), void *argument);

#endif
