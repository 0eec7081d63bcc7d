#include "common/standing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

#include "common/guest.h"

#define WAIT_MS 60000 /* the machine under sanitizers, on a busy host */

char standing_dir[80];

static char *last_dir; /* shared with the processes of the tests: a test that fails leaves its machine */

void standing_sleep_ms(unsigned ms)
{
    const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&time, NULL);
}

bool standing_is_there(void)
{
    char path[128];
    int fd;
    bool there;

    snprintf(path, sizeof(path), "%s/pid", standing_dir);
    fd = open(path, O_RDONLY);
    if (fd < 0)
        return false;
    there = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    return there;
}

pid_t standing_pid(void)
{
    char path[128];
    long pid = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/pid", standing_dir);
    file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%ld", &pid) != 1)
            pid = 0;
        fclose(file);
    }
    return (pid_t)pid;
}

void standing_kill(void)
{
    pid_t pid = standing_is_there() ? standing_pid() : 0;

    if (pid > 0)
        kill(pid, SIGKILL);
    while (standing_is_there())
        standing_sleep_ms(5);
}

void standing_end_last(void)
{
    strcpy(standing_dir, last_dir);
    if (*standing_dir != '\0')
        standing_kill();
}

static void name_dir(void)
{
    standing_end_last();
    snprintf(standing_dir, sizeof(standing_dir), "%s/run", scratch());
    strcpy(last_dir, standing_dir);
}

void expect_result(struct process_result result, int status, const char *output, const char *error)
{
    ck_assert_msg(result.status == status, "status %d, not %d; it said: %s%s", result.status, status, result.output,
                  result.error);
    if (output != NULL)
        ck_assert_msg(strcmp(result.output, output) == 0, "it printed: %s", result.output);
    if (error != NULL)
        ck_assert_msg(strcmp(result.error, error) == 0, "its error is: %s", result.error);
    process_free(&result);
}

void expect_complaint(struct process_result result, int status, const char *part)
{
    ck_assert_msg(result.status == status && line_count(result.error) == 1 && strstr(result.error, part) != NULL,
                  "status %d, not %d; it said: %s%s", result.status, status, result.output, result.error);
    process_free(&result);
}

/* ---- the store, over its socket ---- */

static void transfer(int fd, void *bytes, size_t count, ssize_t (*function)(int fd, void *bytes, size_t count))
{
    while (count != 0) {
        ssize_t done = function(fd, bytes, count);

        ck_assert_int_gt(done, 0);
        bytes = (char *)bytes + done;
        count -= (size_t)done;
    }
}

static ssize_t write_some(int fd, void *bytes, size_t count)
{
    return write(fd, bytes, count);
}

/* A request and its reply, in a buffer that the next call uses again. */
static const char *ask_store(uint32_t type, const void *request, uint32_t length, bool *good)
{
    static char reply[XENSTORE_PAYLOAD_MAX + 1];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct xsd_sockmsg header = {.type = type, .len = length};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/xenstored.sock", standing_dir);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    transfer(fd, &header, sizeof(header), write_some);
    transfer(fd, (void *)(uintptr_t)request, header.len, write_some);
    transfer(fd, &header, sizeof(header), read);
    ck_assert_uint_le(header.len, XENSTORE_PAYLOAD_MAX);
    transfer(fd, reply, header.len, read);
    *good = header.type == type;
    reply[*good ? header.len : 0] = '\0';
    close(fd);
    return reply;
}

const char *standing_read(const char *path)
{
    bool good;

    return ask_store(XS_READ, path, (uint32_t)strlen(path) + 1, &good);
}

void standing_write(const char *path, const char *value)
{
    char request[512];
    int length = snprintf(request, sizeof(request), "%s%c%s", path, '\0', value);
    bool good;

    (void)ask_store(XS_WRITE, request, (uint32_t)length, &good);
    ck_assert_msg(good, "%s cannot be written", path);
}

void standing_wait_for_node(const char *path, const char *wanted)
{
    for (unsigned waited = 0; strcmp(standing_read(path), wanted) != 0; waited += 10) {
        ck_assert_msg(waited < WAIT_MS, "%s is '%s', not '%s'", path, standing_read(path), wanted);
        standing_sleep_ms(10);
    }
}

/* ---- the guest ---- */

const char *standing_state(void)
{
    static char letters[7];
    struct process_result result = VERB("list", "guest", standing_dir);

    ck_assert_int_eq(result.status, 0);
    memcpy(letters, result.output + strlen(STANDING_LIST_HEADER) + 40 + 6 + 6 + 6 + 5, 6);
    process_free(&result);
    return letters;
}

static unsigned memory(void)
{
    struct process_result result = VERB("list", "guest", standing_dir);
    unsigned mib;

    ck_assert_int_eq(result.status, 0);
    mib = (unsigned)strtoul(result.output + strlen(STANDING_LIST_HEADER) + 40 + 6, NULL, 10);
    process_free(&result);
    return mib;
}

void standing_wait_for_memory(unsigned mib)
{
    for (unsigned waited = 0; memory() != mib; waited += 50) {
        ck_assert_msg(waited < WAIT_MS, "the guest has %u MiB, not %u", memory(), mib);
        standing_sleep_ms(50);
    }
}

bool standing_log_has(const char *part)
{
    char path[128], line[1024];
    FILE *file;
    bool found = false;

    snprintf(path, sizeof(path), "%s/log", standing_dir);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (!found && fgets(line, sizeof(line), file) != NULL)
        found = strstr(line, part) != NULL;
    fclose(file);
    return found;
}

void standing_wait_for_end(void)
{
    for (unsigned waited = 0; standing_is_there(); waited += 10) {
        ck_assert_msg(waited < WAIT_MS, "the machine is still there");
        standing_sleep_ms(10);
    }
}

bool standing_init(void)
{
    last_dir = mmap(NULL, sizeof(standing_dir), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return last_dir != MAP_FAILED;
}

void standing_add(Suite *suite, TCase *tcase)
{
    tcase_add_checked_fixture(tcase, name_dir, standing_kill);
    tcase_set_timeout(tcase, 240);
    suite_add_tcase(suite, tcase);
}
