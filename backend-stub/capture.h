/* Captures of Ethernet frames, by libpcap (pcap-savefile(5)). */
#ifndef BACKEND_CAPTURE_H
#define BACKEND_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "port.h"

#define CAPTURE_ERROR_MAX 512

/*
 * All frames of a file, in memory and unchanging: several ends may share one. Frames of the same bytes have them in one
 * place. Frames of a stack that offloads are known by their blank checksums.
 */
struct capture {
    unsigned count;
    uint64_t bytes;
    struct port_frame *frame;
    uint8_t *storage;
};

/*
 * Load a file. NULL when it is missing, no capture, of another link type than Ethernet, empty, damaged, or holds a
 * frame that was cut short or can't be one; `error` is then one line that says so, with the file's name and the frame's
 * number.
 */
struct capture *capture_load(const char *path, char error[CAPTURE_ERROR_MAX]);
void capture_free(struct capture *capture);

struct capture_writer;

/* Write frames to a file; `clock` gives each its time in nanoseconds since 1970. NULL with a line in `error`. */
struct capture_writer *capture_writer_open(const char *path, uint64_t (*clock)(void), char error[CAPTURE_ERROR_MAX]);
void capture_writer_put(struct capture_writer *writer, const struct port_frame *frame);
/* False, with a line in `error`, when not everything could be written. */
bool capture_writer_close(struct capture_writer *writer, char error[CAPTURE_ERROR_MAX]);

#endif
