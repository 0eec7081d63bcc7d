#include "machine/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/clock.h"
#include "machine/image.h"
#include "machine/machine.h"
#include "machine/vcpu.h"

#define LINE_MAX 1024
#define KEPT 200

/* Host memory, not machine image: what is logged must never change what runs. */
struct log_state {
    unsigned next;
    unsigned count;
    char line[KEPT][LINE_MAX];
};

static const char *const level_names[] = {"none", "error", "warning", "info", "debug", "trace"};

bool log_enabled(enum log_level level)
{
    return level <= LOG_INFO || (machine != NULL && (int)level <= machine->config.log_level);
}

static const char *keep(const char *line)
{
    struct log_state *log = machine->log;

    if (log == NULL) {
        log = calloc(1, sizeof(*log));
        if (log == NULL)
            return line;
        image_holds_host_block(log);
        machine->log = log;
    }
    snprintf(log->line[log->next], LINE_MAX, "%s", line);
    log->next = (log->next + 1) % KEPT;
    if (log->count < KEPT)
        log->count++;
    return line;
}

void log_vline(enum log_level level, const char *component, const char *format, va_list arguments)
{
    char line[LINE_MAX];
    int length;

    if (!log_enabled(level))
        return;
    if (machine == NULL) {
        fprintf(stderr, "%s: ", component);
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
        return;
    }

    uint64_t now = machine->clock != NULL ? clock_now() : 0;
    char where[16] = "dom0";
    int vcpu = vcpu_current_index();

    if (vcpu >= 0)
        snprintf(where, sizeof(where), "cpu%d", vcpu);
    length = snprintf(line, sizeof(line), "[%4" PRIu64 ".%06" PRIu64 "] %s %s %s: ", now / 1000000000,
                      now / 1000 % 1000000, where, level_names[level], component);
    vsnprintf(line + length, sizeof(line) - (size_t)length, format, arguments);
    keep(line);
    if ((int)level <= machine->config.log_level)
        fprintf(stderr, "%s\n", line);
}

void log_line(enum log_level level, const char *component, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_vline(level, component, format, arguments);
    va_end(arguments);
}

int log_level_parse(const char *name)
{
    for (int level = 0; level < (int)(sizeof(level_names) / sizeof(level_names[0])); level++)
        if (strcmp(name, level_names[level]) == 0)
            return level;
    return -1;
}

size_t log_tail(char *buffer, size_t size)
{
    const struct log_state *log = machine->log;
    size_t length = 0;

    if (size > 0)
        buffer[0] = '\0';
    if (log == NULL)
        return 0;
    for (unsigned index = 0; index < log->count; index++) {
        const char *line = log->line[(log->next + KEPT - log->count + index) % KEPT];
        int written = snprintf(buffer + length, size - length, "%s\n", line);

        if (written < 0 || (size_t)written >= size - length)
            break;
        length += (size_t)written;
    }
    return length;
}
