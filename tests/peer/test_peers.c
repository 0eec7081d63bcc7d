/* Programs on the host that talk to a running machine: input and output, turns, the clock, the end of either side. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/guest.h"
#include "common/process.h"
#include "machine/clock.h"
#include "machine/clock_internal.h"
#include "machine/kernel_lock.h"
#include "machine/log.h"
#include "machine/peer.h"
#include "machine/sched.h"
#include "nt/nt.h"

#define MS UINT64_C(1000000)
#define BULK (3u << 20)

static pid_t children[4];
static unsigned child_count;
static char path[256];

/* A program beside the machine: it runs `function` with a socket that is connected to the machine's. */
static pid_t start_program(int type, void (*function)(int fd))
{
    pid_t pid = fork();

    ck_assert(pid >= 0);
    if (pid == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, type, 0);

        strcpy(address.sun_path, path);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
            _exit(99);
        function(fd);
        _exit(0);
    }
    children[child_count++] = pid;
    return pid;
}

static int status_of(pid_t pid)
{
    int status = -1;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void kill_children(void)
{
    for (unsigned index = 0; index < child_count; index++)
        kill(children[index], SIGKILL);
}

/* Of these two, by the number of a loop test. */
static const enum machine_engine engines[] = {ENGINE_DETERMINISTIC, ENGINE_PARALLEL};

static struct machine_config peer_config(int engine)
{
    struct machine_config config = guest_config(1);

    config.engine = engines[engine];
    config.log_level = LOG_NONE;
    config.timeout_ns = UINT64_C(60000000000);
    return config;
}

static void make_machine(const struct machine_config *config)
{
    snprintf(path, sizeof(path), "%s/socket", scratch());
    (void)unlink(path);
    machine_create(config);
}

static struct peer_listener *serve(int type, const struct peer_service *service)
{
    int fd = peer_socket(path, type);

    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    return peer_listen(fd, service, NULL);
}

static void run_machine(void)
{
    enum machine_result result = machine_run();

    ck_assert_msg(result == MACHINE_DONE, "the machine failed: %s: %s",
                  machine_failure() ? machine_failure()->rule : "", machine_failure() ? machine_failure()->text : "");
}

static uint64_t host_cpu(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void sleep_ms(unsigned ms)
{
    const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&time, NULL);
}

/* ---- what goes through ---- */

static void echo(struct peer *peer)
{
    const char *bytes;
    size_t count;

    while ((bytes = peer_input(peer, &count)) != NULL) {
        peer_write(peer, bytes, count);
        peer_consume(peer, count);
    }
}

static void stop_at_end(struct peer *peer)
{
    (void)peer;
    machine_stop();
}

static const struct peer_service echo_service = {.name = "echo", .input = echo, .closed = stop_at_end};

static void send_and_compare(int fd)
{
    static char sent[BULK], got[BULK];
    size_t out = 0, in = 0;

    for (size_t index = 0; index < BULK; index++)
        sent[index] = (char)(index * 7 + index / 251);
    while (in < BULK) {
        ssize_t count = out < BULK ? send(fd, sent + out, BULK - out < 70001 ? BULK - out : 70001, MSG_DONTWAIT) : -1;

        if (count > 0)
            out += (size_t)count;
        count = recv(fd, got + in, BULK - in, count > 0 ? MSG_DONTWAIT : 0);
        if (count > 0)
            in += (size_t)count;
        else if (count == 0)
            _exit(2);
    }
    _exit(memcmp(sent, got, BULK) == 0 ? 0 : 3);
}

START_TEST(test_stream)
{
    struct machine_config config = peer_config(_i);
    pid_t pid;

    config.stay_up = true;
    make_machine(&config);
    (void)serve(SOCK_STREAM, &echo_service);
    pid = start_program(SOCK_STREAM, send_and_compare);
    run_machine();
    ck_assert_int_eq(status_of(pid), 0);
    machine_destroy();
}
END_TEST

/* ---- programs that do not read ---- */

#define QUESTION 64u
#define ANSWER 1024u
#define SOCKET_BUFFER_MAX (4u << 20) /* more than the host keeps for one socket */

static struct peer *first_asker;
static uint64_t given, given_before; /* before somebody else asked */

/* A short question has a long answer. */
static void answer_at_length(struct peer *peer)
{
    static const char answer[ANSWER];
    size_t count;

    if (first_asker == NULL)
        first_asker = peer;
    if (first_asker != peer)
        given_before = given;
    while (peer_input(peer, &count) != NULL && count >= QUESTION) {
        peer_consume(peer, QUESTION);
        peer_write(peer, answer, ANSWER);
        given++;
    }
}

static const struct peer_service talkative_service = {
    .name = "talkative", .input = answer_at_length, .closed = stop_at_end};

static bool is_ready(int fd, short events, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};

    return poll(&poll_fd, 1, timeout_ms) == 1;
}

/* Asks until nothing more is taken; asks somebody else meanwhile; then reads all the answers. */
static void ask_and_not_read(int fd)
{
    static char buffer[1u << 16];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    uint64_t asked = 0, got = 0;

    while (asked < (UINT64_C(16) << 20) && is_ready(fd, POLLOUT, 300)) {
        ssize_t count = send(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

        asked += count > 0 ? (uint64_t)count : 0;
    }
    if (asked == UINT64_C(16) << 20)
        _exit(2); /* all of it has been taken in */
    strcpy(address.sun_path, path);
    if (connect(other, (struct sockaddr *)&address, sizeof(address)) != 0 || send(other, buffer, QUESTION, 0) < 0)
        _exit(3);
    for (size_t count = 0; count < ANSWER; count += (size_t)recv(other, buffer, ANSWER - count, 0))
        if (!is_ready(other, POLLIN, 20000))
            _exit(4);
    while (got < asked / QUESTION * ANSWER) {
        ssize_t count = recv(fd, buffer, sizeof(buffer), 0);

        if (count <= 0)
            _exit(5);
        got += (uint64_t)count;
    }
    _exit(0);
}

START_TEST(test_program_that_does_not_read)
{
    struct machine_config config = peer_config(_i);
    pid_t pid;

    config.stay_up = true;
    make_machine(&config);
    (void)serve(SOCK_STREAM, &talkative_service);
    pid = start_program(SOCK_STREAM, ask_and_not_read);
    run_machine();
    ck_assert_int_eq(status_of(pid), 0);
    ck_assert_uint_gt(given_before, 0);
    ck_assert_uint_le(given_before * ANSWER, PEER_OUTPUT_HELD + SOCKET_BUFFER_MAX);
    machine_destroy();
}
END_TEST

static struct peer *listener_peer;
static uint64_t told;

static void remember(struct peer *peer, void *argument)
{
    (void)argument;
    listener_peer = peer;
}

static void forget(struct peer *peer)
{
    (void)peer;
    listener_peer = NULL;
    machine_stop();
}

static void no_input(struct peer *peer)
{
    (void)peer;
}

static const struct peer_service telling_service = {
    .name = "telling", .opened = remember, .input = no_input, .closed = forget};

static void tell(void *unused)
{
    static const char news[1u << 16];

    (void)unused;
    while (told < 4 * PEER_OUTPUT_MAX) {
        if (listener_peer != NULL) {
            peer_write(listener_peer, news, sizeof(news));
            told += sizeof(news);
        }
        (void)task_park(clock_now() + (listener_peer != NULL ? 1000 : MS), "news");
    }
    machine_stop();
}

static void never_listen(int fd)
{
    static char bytes[1u << 16];

    if (!is_ready(fd, POLLRDHUP, 20000))
        _exit(2);
    while (recv(fd, bytes, sizeof(bytes), 0) > 0)
        ;
    _exit(0);
}

/* Nobody asked for what it is told: at some point it is cut off. */
START_TEST(test_program_that_does_not_listen)
{
    struct machine_config config = peer_config(_i);
    pid_t pid;

    config.stay_up = true;
    make_machine(&config);
    (void)serve(SOCK_STREAM, &telling_service);
    task_create("tell", tell, NULL);
    pid = start_program(SOCK_STREAM, never_listen);
    run_machine();
    ck_assert_ptr_null(listener_peer);
    ck_assert_uint_gt(told, PEER_OUTPUT_MAX);
    ck_assert_uint_le(told, PEER_OUTPUT_MAX + SOCKET_BUFFER_MAX);
    machine_destroy();
    ck_assert_int_eq(status_of(pid), 0);
}
END_TEST

/* The packets' lengths, and what lies in the descriptor that came with the third. */
static unsigned packet_length[8];
static unsigned packets;
static char from_fd[8];

static void note_packet(struct peer *peer)
{
    size_t count;

    while (peer_input(peer, &count) != NULL) {
        int fd = peer_take_fd(peer);

        packet_length[packets++] = (unsigned)count;
        if (fd >= 0) {
            ck_assert_int_eq(pread(fd, from_fd, sizeof(from_fd), 0), sizeof(from_fd));
            peer_write_fd(peer, "back", 4, fd);
            close(fd);
        }
        peer_consume(peer, count);
    }
}

static const struct peer_service packet_service = {.name = "packets", .input = note_packet, .closed = stop_at_end};

static void send_packets(int fd)
{
    char byte = 'x';
    struct iovec part = {&byte, 1};
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    int memory = memfd_create("test", 0);
    char bytes[5000] = {0};
    int back;

    if (write(memory, "contents", 8) != 8 || send(fd, bytes, 3, 0) != 3 || send(fd, bytes, sizeof(bytes), 0) < 0)
        _exit(2);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &memory, sizeof(int));
    if (sendmsg(fd, &message, 0) != 1)
        _exit(3);
    part = (struct iovec){bytes, sizeof(bytes)};
    if (recvmsg(fd, &message, 0) != 4 || message.msg_controllen == 0)
        _exit(4);
    memcpy(&back, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    if (pread(back, bytes, 8, 0) != 8 || memcmp(bytes, "contents", 8) != 0)
        _exit(5);
    _exit(0);
}

START_TEST(test_packets)
{
    struct machine_config config = peer_config(_i);
    pid_t pid;

    config.stay_up = true;
    make_machine(&config);
    (void)serve(SOCK_SEQPACKET, &packet_service);
    pid = start_program(SOCK_SEQPACKET, send_packets);
    run_machine();
    ck_assert_int_eq(status_of(pid), 0);
    ck_assert_uint_eq(packets, 3);
    ck_assert_uint_eq(packet_length[0], 3);
    ck_assert_uint_eq(packet_length[1], 5000);
    ck_assert_uint_eq(packet_length[2], 1);
    ck_assert_int_eq(memcmp(from_fd, "contents", 8), 0);
    machine_destroy();
}
END_TEST

/* ---- idle and busy machines ---- */

static void say_late(int fd)
{
    sleep_ms(300);
    if (send(fd, "hello", 5, 0) != 5)
        _exit(2);
    _exit(0);
}

static void stop_at_input(struct peer *peer)
{
    (void)peer;
    machine_stop();
}

static const struct peer_service stop_service = {.name = "stop", .input = stop_at_input};

START_TEST(test_idle_machine_sleeps)
{
    struct machine_config config = peer_config(_i);
    uint64_t cpu;
    uint64_t start;

    config.stay_up = true;
    make_machine(&config);
    (void)serve(SOCK_STREAM, &stop_service);
    (void)start_program(SOCK_STREAM, say_late);
    cpu = host_cpu();
    start = clock_host();
    run_machine();
    ck_assert_uint_ge(clock_host() - start, 250 * MS);
    ck_assert_uint_lt(host_cpu() - cpu, 150 * MS);
    machine_destroy();
}
END_TEST

START_TEST(test_nobody_can_speak)
{
    struct machine_config config = peer_config(_i);

    config.timeout_ns = 0;
    make_machine(&config);
    (void)serve(SOCK_STREAM, &stop_service);
    ck_assert_int_eq(machine_run(), MACHINE_FAILED);
    ck_assert_str_eq(machine_failure()->rule, "no-progress");
}
END_TEST

static uint64_t slept_host;
static uint64_t slept_machine;

static void sleep_in_task(void *argument)
{
    uint64_t host = clock_host();
    uint64_t now = clock_now();

    (void)argument;
    task_park(clock_now() + 200 * MS, "the time");
    slept_host = clock_host() - host;
    slept_machine = clock_now() - now;
    machine_stop();
}

START_TEST(test_clock_is_paced)
{
    struct machine_config config = peer_config(_i);

    make_machine(&config);
    (void)serve(SOCK_STREAM, &echo_service);
    (void)task_create("sleeper", sleep_in_task, NULL);
    run_machine();
    ck_assert_uint_ge(slept_host, 200 * MS - MS);
    ck_assert_uint_ge(slept_machine, 200 * MS - MS);
    machine_destroy();
}
END_TEST

static volatile bool heard;

static void hear(struct peer *peer)
{
    (void)peer;
    heard = true;
}

static const struct peer_service hear_service = {.name = "hear", .input = hear};

/* A guest thread that computes hears of a peer all the same. */
static void compute(void *argument)
{
    (void)argument;
    {
        KERNEL_SCOPE();

        (void)serve(SOCK_STREAM, &hear_service);
    }
    (void)start_program(SOCK_STREAM, say_late);
    while (!heard) {
        KIRQL irql;

        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        KeLowerIrql(irql);
    }
}

START_TEST(test_busy_machine_hears)
{
    struct machine_config config = peer_config(_i);

    snprintf(path, sizeof(path), "%s/socket", scratch());
    config.timeout_ns = 0;
    guest_run_with(&config, compute, NULL);
    ck_assert(heard);
}
END_TEST

/* ---- turns ---- */

/*
 * A task asks the program something and waits for the answer for 100 ms at most; the program takes 400 ms of the
 * host's time.
 */
static struct peer *program;
static struct task *asker;
static bool answered;
static bool owing;

static void on_connect(struct peer *peer, void *argument)
{
    (void)argument;
    program = peer;
    task_unpark(asker);
}

static void on_answer(struct peer *peer)
{
    size_t count;

    while (peer_input(peer, &count) != NULL)
        peer_consume(peer, count);
    if (owing)
        peer_owe(peer, -1);
    answered = true;
    task_unpark(asker);
}

static const struct peer_service turn_service = {
    .name = "turn", .turns = true, .opened = on_connect, .input = on_answer};

static void ask(void *argument)
{
    (void)argument;
    while (program == NULL)
        task_park(CLOCK_NEVER, "a program");
    for (unsigned round = 0; round < 3; round++) {
        answered = false;
        if (owing)
            peer_owe(program, 1);
        peer_write(program, "?", 1);
        ck_assert_msg(task_park(clock_now() + 100 * MS, "an answer"), "the wait ended in round %u", round);
        ck_assert(answered);
    }
    machine_stop();
}

/* The same, in a loop that looks at the clock. */
static void ask_and_spin(void *argument)
{
    uint64_t end;

    (void)argument;
    while (program == NULL)
        task_park(CLOCK_NEVER, "a program");
    peer_owe(program, 1);
    peer_write(program, "?", 1);
    end = clock_now() + 100 * MS;
    while (!answered && clock_now() < end)
        sched_point(POINT_PAUSE);
    ck_assert(answered);
    machine_stop();
}

static void compute_and_answer(int fd)
{
    char byte;

    while (recv(fd, &byte, 1, 0) == 1) {
        uint64_t start = clock_host();

        while (clock_host() - start < 400 * MS)
            ;
        if (send(fd, "!", 1, 0) != 1)
            _exit(2);
    }
}

static void sleep_and_answer(int fd)
{
    char byte;

    while (recv(fd, &byte, 1, 0) == 1) {
        sleep_ms(400);
        if (send(fd, "!", 1, 0) != 1)
            _exit(2);
    }
}

static void never_answer(int fd)
{
    (void)fd;
    for (;;)
        pause();
}

static void stop_itself(int fd)
{
    char byte;

    (void)recv(fd, &byte, 1, 0);
    raise(SIGSTOP);
}

static void prepare_turns(const struct machine_config *config, void (*function)(int fd))
{
    make_machine(config);
    (void)serve(SOCK_STREAM, &turn_service);
    asker = task_create("asker", ask, NULL);
    (void)start_program(SOCK_STREAM, function);
}

START_TEST(test_program_at_work)
{
    struct machine_config config = peer_config(0);

    config.stay_up = true;
    prepare_turns(&config, compute_and_answer);
    run_machine();
    machine_destroy();
}
END_TEST

START_TEST(test_program_that_owes)
{
    struct machine_config config = peer_config(0);

    config.stay_up = true;
    owing = true;
    prepare_turns(&config, sleep_and_answer);
    run_machine();
    machine_destroy();
}
END_TEST

START_TEST(test_spin_on_program_that_owes)
{
    struct machine_config config = peer_config(0);

    config.stay_up = true;
    owing = true;
    make_machine(&config);
    (void)serve(SOCK_STREAM, &turn_service);
    asker = task_create("asker", ask_and_spin, NULL);
    (void)start_program(SOCK_STREAM, sleep_and_answer);
    run_machine();
    machine_destroy();
}
END_TEST

static void fails_by_name(void (*function)(int fd), const char *what)
{
    struct machine_config config = peer_config(0);

    config.stay_up = true;
    config.peer_timeout_ns = 300 * MS;
    owing = true;
    prepare_turns(&config, function);
    ck_assert_int_eq(machine_run(), MACHINE_FAILED);
    ck_assert_str_eq(machine_failure()->rule, "peer");
    ck_assert_msg(strstr(machine_failure()->text, "test_peers (process ") != NULL &&
                      strstr(machine_failure()->text, what) != NULL,
                  "%s", machine_failure()->text);
    kill_children();
}

START_TEST(test_program_that_never_answers)
{
    fails_by_name(never_answer, "not acknowledged");
}
END_TEST

START_TEST(test_stopped_program)
{
    fails_by_name(stop_itself, "at work");
}
END_TEST

static void die_at_question(int fd)
{
    char byte;

    (void)recv(fd, &byte, 1, 0);
    raise(SIGKILL);
}

static const struct peer_service dying_service = {
    .name = "dying", .turns = true, .opened = on_connect, .input = on_answer, .closed = stop_at_end};

START_TEST(test_killed_program_owes_nothing)
{
    struct machine_config config = peer_config(0);

    config.stay_up = true;
    config.peer_timeout_ns = 10000 * MS;
    owing = true;
    make_machine(&config);
    (void)serve(SOCK_STREAM, &dying_service);
    asker = task_create("asker", ask, NULL);
    ck_assert_int_eq((start_program(SOCK_STREAM, die_at_question), 0), 0);
    run_machine(); /* `closed` ends it, not the question's time-out */
    ck_assert_int_eq(status_of(children[0]), 1000 + SIGKILL);
    machine_destroy();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("peer/peers");
    TCase *tcase = tcase_create("through");
    TCase *clock = tcase_create("clock");
    TCase *turns = tcase_create("turns");

    tcase_add_loop_test(tcase, test_stream, 0, 2);
    tcase_add_loop_test(tcase, test_packets, 0, 2);
    tcase_add_loop_test(tcase, test_program_that_does_not_read, 0, 2);
    tcase_add_loop_test(tcase, test_program_that_does_not_listen, 0, 2);
    tcase_add_loop_test(clock, test_idle_machine_sleeps, 0, 2);
    tcase_add_loop_test(clock, test_nobody_can_speak, 0, 2);
    tcase_add_loop_test(clock, test_clock_is_paced, 0, 2);
    tcase_add_loop_test(clock, test_busy_machine_hears, 0, 2);
    tcase_add_test(turns, test_program_at_work);
    tcase_add_test(turns, test_program_that_owes);
    tcase_add_test(turns, test_spin_on_program_that_owes);
    tcase_add_test(turns, test_program_that_never_answers);
    tcase_add_test(turns, test_stopped_program);
    tcase_add_test(turns, test_killed_program_owes_nothing);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, clock);
    suite_add_tcase(suite, turns);
    return guest_suite_run(suite);
}
