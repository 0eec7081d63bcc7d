#include "common/process.h"

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct stream {
    int fd;
    char *text;
    size_t length;
};

static bool read_some(struct stream *stream)
{
    ssize_t count;

    stream->text = realloc(stream->text, stream->length + 65537);
    ck_assert_ptr_nonnull(stream->text);
    count = read(stream->fd, stream->text + stream->length, 65536);
    if (count < 0 && errno == EINTR)
        return true;
    if (count > 0)
        stream->length += (size_t)count;
    stream->text[stream->length] = '\0';
    return count > 0;
}

struct process_result process_run(const char *const *argv)
{
    struct process_result result = {0};
    struct stream streams[2] = {{0}, {0}};
    struct pollfd fds[2];
    int pipes[2][2];
    int status;
    pid_t child;

    for (int index = 0; index < 2; index++)
        ck_assert_int_eq(pipe(pipes[index]), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (freopen("/dev/null", "r", stdin) == NULL)
            _exit(127);
        dup2(pipes[0][1], STDOUT_FILENO);
        dup2(pipes[1][1], STDERR_FILENO);
        for (int index = 0; index < 2; index++) {
            close(pipes[index][0]);
            close(pipes[index][1]);
        }
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    for (int index = 0; index < 2; index++) {
        close(pipes[index][1]);
        streams[index].fd = pipes[index][0];
        fds[index] = (struct pollfd){.fd = pipes[index][0], .events = POLLIN};
        streams[index].text = calloc(1, 1);
    }
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, 2, -1) < 0)
            continue;
        for (int index = 0; index < 2; index++)
            if (fds[index].fd >= 0 && fds[index].revents != 0 && !read_some(&streams[index])) {
                close(fds[index].fd);
                fds[index].fd = -1;
            }
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    result.output = streams[0].text;
    result.error = streams[1].text;
    return result;
}

void process_free(struct process_result *result)
{
    free(result->output);
    free(result->error);
    memset(result, 0, sizeof(*result));
}

struct process_result pvsim(const char *format, ...)
{
    const char *argv[64] = {PVSIM_BUILD "/pvsim"};
    char line[4096];
    unsigned count = 1;
    va_list arguments;
    char *rest;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        ck_assert_uint_lt(count, 63);
        argv[count++] = word;
    }
    return process_run(argv);
}

const char *last_line(const char *text, char *buffer, size_t size)
{
    size_t end = strlen(text);
    size_t start;

    while (end > 0 && text[end - 1] == '\n')
        end--;
    for (start = end; start > 0 && text[start - 1] != '\n'; start--)
        ;
    snprintf(buffer, size, "%.*s", (int)(end - start), text + start);
    return buffer;
}

unsigned line_count(const char *text)
{
    unsigned count = 0;

    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

uint64_t report_hash(const char *text)
{
    const char *at = strstr(text, ", hash ");
    uint64_t hash = 0;

    if (at != NULL)
        sscanf(at, ", hash %" SCNx64, &hash);
    return hash;
}

static char scratch_path[64];

static void remove_scratch(void)
{
    const char *argv[] = {"rm", "-rf", scratch_path, NULL};
    struct process_result result = process_run(argv);

    process_free(&result);
}

const char *scratch(void)
{
    if (scratch_path[0] == '\0') {
        snprintf(scratch_path, sizeof(scratch_path), "/tmp/pvsim-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(scratch_path));
        atexit(remove_scratch);
    }
    return scratch_path;
}
