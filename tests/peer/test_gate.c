/*
 * The gate: a program beside the machine as a program of dom0. Events, grants, foreign pages, shared pages and
 * hypercalls over the socket, and what is left of them when the program dies: nothing.
 */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "machine/census.h"
#include "machine/clock.h"
#include "machine/log.h"
#include "machine/peer.h"
#include "machine/sched.h"
#include "xen/xen_guest.h"

#include "common/process.h"
#include "dom0/gate.h"
#include "peer/gate_client.h"

#define MS UINT64_C(1000000)
#define STORE_REFERENCE 1u
#define CONSOLE_REFERENCE 0u

static char path[256];
static pid_t child;

/* ---- the machine's side ---- */

static struct task *task;
static uint32_t near_port; /* a port of domain 0 of the test's own; the program binds the other end */
static unsigned fired;
static void (*before_start)(void);

static void on_event(void *argument, uint32_t port)
{
    (void)argument;
    ck_assert_uint_eq(port, near_port);
    fired++;
    task_unpark(task);
}

static uint8_t *guest_page(uint32_t parameter)
{
    uint64_t gfn = 0;

    ck_assert_int_eq(xen_hvm_param_get(1, parameter, &gfn), 0);
    return xen_foreign_frame(1, gfn);
}

static uint64_t held_by_programs(void)
{
    struct census *census = census_take();
    uint64_t count = census_total(census, "gate");

    census_free(census);
    return count;
}

/* The other end of the test's port: EVTCHNSTAT_*. */
static uint32_t port_state(void)
{
    static struct evtchn_status status __attribute__((aligned(4096)));
    const struct xen_memory memory = {.base = 0x10000, .bytes = sizeof(status), .host = &status};
    const uint64_t arg[5] = {EVTCHNOP_status, 0x10000};

    status = (struct evtchn_status){.dom = DOMID_SELF, .port = near_port};
    ck_assert_int_eq(xen_host_hypercall(XEN_DOM0, __HYPERVISOR_event_channel_op, arg, &memory), 0);
    return status.status;
}

static int status_of_child(void)
{
    int status = -1;

    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Run both: the program to its end, the task until it stops the machine. */
static void run(void (*program)(void), void (*function)(void *))
{
    struct machine_config config = guest_config(1);
    enum machine_result result;

    config.stay_up = true;
    config.log_level = LOG_NONE;
    config.timeout_ns = UINT64_C(60000000000);
    snprintf(path, sizeof(path), "%s/dom0.sock", scratch());
    machine_create(&config);
    ck_assert_int_eq(domain_make(1), 1);
    ck_assert(gate_open(path));
    task = task_create("test", function, NULL);
    near_port = (uint32_t)xen_evtchn_alloc_unbound(XEN_DOM0, XEN_DOM0, on_event, NULL);
    if (before_start != NULL)
        before_start();
    child = fork();
    ck_assert(child >= 0);
    if (child == 0) {
        program();
        _exit(0);
    }
    result = machine_run();
    ck_assert_msg(result == MACHINE_DONE, "the machine failed: %s", machine_failure() ? machine_failure()->text : "");
}

/* Until the program holds so many things. */
static void await_held(uint64_t count)
{
    while (held_by_programs() != count)
        task_park(clock_now() + 2 * MS, "the program");
}

static void await_fired(unsigned count)
{
    while (fired < count)
        task_park(CLOCK_NEVER, "the program's event");
}

/* ---- events ---- */

static void event_program(void)
{
    struct client_handle handle = client_open(path, GATE_EVTCHN, 0, 0);
    struct gate_reply reply = client_port(&handle, GATE_BIND_INTERDOMAIN, 0, near_port);
    uint32_t port = (uint32_t)reply.value;
    uint32_t word;

    CLIENT_CHECK(reply.error == 0 && port != 0);
    CLIENT_CHECK(client_pending(&handle) == port); /* binding makes up for what was sent before */
    client_tell(&handle, GATE_NOTIFY, port);       /* masked: the task's answers are one event, once unmasked */
    client_tell(&handle, GATE_NOTIFY, port);
    CLIENT_CHECK(client_port(&handle, GATE_BIND_INTERDOMAIN, 0, near_port).error == EINVAL);
    CLIENT_CHECK(recv(handle.other, &word, sizeof(word), MSG_DONTWAIT) < 0);
    client_tell(&handle, GATE_UNMASK, port);
    CLIENT_CHECK(client_pending(&handle) == port);
    CLIENT_CHECK(client_port(&handle, GATE_BIND_VIRQ, 0, VIRQ_DOM_EXC).error == EEXIST); /* the store has it */
    CLIENT_CHECK(client_port(&handle, GATE_BIND_VIRQ, 0, VIRQ_DEBUGGER).error ==
                 0); /* held to the end: the task looks */
    CLIENT_CHECK(client_port(&handle, GATE_BIND_VIRQ, 0, VIRQ_DEBUGGER).error == EEXIST);
    CLIENT_CHECK(client_port(&handle, GATE_UNBIND, 0, port).error == 0);
    CLIENT_CHECK(client_port(&handle, GATE_UNBIND, 0, port).error == ENOTCONN);
    CLIENT_CHECK(client_port(&handle, GATE_BIND_UNBOUND, 1, 0).error == 0);
    CLIENT_CHECK(client_port(&handle, GATE_RESTRICT, 1, 0).error == 0);
    CLIENT_CHECK(client_port(&handle, GATE_BIND_UNBOUND, 0, 0).error == EACCES);
    CLIENT_CHECK(client_port(&handle, GATE_BIND_VIRQ, 0, VIRQ_CONSOLE).error == EACCES);
}

static void event_task(void *argument)
{
    (void)argument;
    await_fired(1);
    ck_assert_uint_eq(port_state(), EVTCHNSTAT_interdomain);
    ck_assert_int_eq(xen_evtchn_send(XEN_DOM0, near_port), 0);
    ck_assert_int_eq(xen_evtchn_unmask(XEN_DOM0, near_port), 0);
    while (port_state() != EVTCHNSTAT_unbound || held_by_programs() != 0)
        task_park(clock_now() + 2 * MS, "the program");
    machine_stop();
}

START_TEST(test_events)
{
    run(event_program, event_task);
    ck_assert_int_eq(status_of_child(), 0);
    ck_assert_uint_ge(fired, 1);
    machine_destroy();
}
END_TEST

/* ---- many ports, and the descriptor under epoll ---- */

#define MANY 700u /* more than the stream's socket holds */

static uint32_t many_ports[MANY];
static unsigned many_fired;

static void on_one_of_many(void *argument, uint32_t port)
{
    (void)argument;
    many_fired++;
    (void)xen_evtchn_unmask(XEN_DOM0, port);
    task_unpark(task);
}

static void epoll_program(void)
{
    struct client_handle handle = client_open(path, GATE_EVTCHN, 0, 0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int edge = epoll_create1(0);
    int level = epoll_create1(0);
    unsigned seen = 0;

    CLIENT_CHECK(fcntl(handle.other, F_SETFL, O_NONBLOCK) == 0);
    CLIENT_CHECK(epoll_ctl(edge, EPOLL_CTL_ADD, handle.other, &event) == 0);
    event.events = EPOLLIN;
    CLIENT_CHECK(epoll_ctl(level, EPOLL_CTL_ADD, handle.other, &event) == 0);
    for (unsigned index = 0; index < MANY; index++)
        CLIENT_CHECK(client_port(&handle, GATE_BIND_INTERDOMAIN, 0, many_ports[index]).error == 0);
    while (seen < MANY) {
        uint32_t port;

        CLIENT_CHECK(epoll_wait(edge, &event, 1, 10000) == 1);
        CLIENT_CHECK(epoll_wait(level, &event, 1, 0) == 1);
        while (read(handle.other, &port, sizeof(port)) == (ssize_t)sizeof(port)) {
            seen++;
            client_tell(&handle, GATE_UNMASK, port);
            client_tell(&handle, GATE_NOTIFY, port);
        }
    }
    CLIENT_CHECK(epoll_wait(level, &event, 1, 0) == 0); /* drained, and each came once */
    CLIENT_CHECK(epoll_wait(edge, &event, 1, 0) == 0);
}

static void many_task(void *argument)
{
    (void)argument;
    while (many_fired < MANY)
        task_park(CLOCK_NEVER, "the program's events");
    await_held(0);
    machine_stop();
}

static void bind_many(void)
{
    for (unsigned index = 0; index < MANY; index++)
        many_ports[index] = (uint32_t)xen_evtchn_alloc_unbound(XEN_DOM0, XEN_DOM0, on_one_of_many, NULL);
}

START_TEST(test_many_ports_under_epoll)
{
    before_start = bind_many;
    run(epoll_program, many_task);
    ck_assert_int_eq(status_of_child(), 0);
    ck_assert_uint_eq(many_fired, MANY);
    machine_destroy();
}
END_TEST

/* ---- grants ---- */

static void grant_program(void)
{
    struct client_handle handle = client_open(path, GATE_GNTTAB, 0, 4 * CLIENT_PAGE);
    struct {
        struct gate_copy_grants request;
        struct gate_copy segment[2];
    } copy = {{.type = GATE_COPY_GRANTS, .count = 2},
              {{.flags = GNTCOPY_source_gref,
                .length = 5,
                .source_domid = 1,
                .source_reference = CONSOLE_REFERENCE,
                .source_offset = 100,
                .dest_offset = 3 * CLIENT_PAGE + 7},
               {.flags = GNTCOPY_dest_gref,
                .length = 5,
                .source_offset = CLIENT_PAGE,
                .dest_domid = 1,
                .dest_reference = 77777}}};
    int16_t status[2];
    struct gate_reply reply;
    struct gate_unmap unmap = {.type = GATE_UNMAP_GRANTS};
    uint32_t page = 0;
    uint8_t *at;

    reply = client_map_grant(&handle, 1, CONSOLE_REFERENCE, true, GATE_NONE, GATE_NONE, &page);
    CLIENT_CHECK(reply.error == 0 && page < handle.pages + 65536);
    at = client_show(&handle, page);
    CLIENT_CHECK(memcmp(at + 100, "guest", 5) == 0);
    memcpy(at + 200, "program", 7);
    CLIENT_CHECK(client_map_grant(&handle, 1, 77777, true, GATE_NONE, GATE_NONE, &page).error == EINVAL);
    CLIENT_CHECK(client_map_grant(&handle, NO_DOMAIN, 0, true, GATE_NONE, GATE_NONE, &page).error == ESRCH);
    CLIENT_CHECK(client_map_grant(&handle, 1, 0, false, 5, GATE_NONE, &page).error == EINVAL);
    CLIENT_CHECK(client_map_grant(&handle, 1, 0, true, 5, 12345, &page).error == EINVAL);
    reply = client_ask(&handle, &copy, sizeof(copy), status, sizeof(status)); /* the map is still there */
    CLIENT_CHECK(reply.error == 0 && status[0] == GNTST_okay && status[1] == GNTST_bad_gntref);
    CLIENT_CHECK(memcmp(handle.arena + 3 * CLIENT_PAGE + 7, "guest", 5) == 0);
    copy.segment[0].dest_offset = 4 * CLIENT_PAGE - 2;
    CLIENT_CHECK(client_ask(&handle, &copy, sizeof(copy), status, sizeof(status)).error == EINVAL);
    copy.segment[0].dest_offset = 4 * CLIENT_PAGE;
    CLIENT_CHECK(client_ask(&handle, &copy, sizeof(copy), status, sizeof(status)).error == EINVAL);
    unmap.number = 1;
    CLIENT_CHECK(client_ask(&handle, &unmap, sizeof(unmap), NULL, 0).error == 0);
    CLIENT_CHECK(client_ask(&handle, &unmap, sizeof(unmap), NULL, 0).error == EINVAL);
}

static void stop_when_all_is_back(void *argument)
{
    siginfo_t info = {0};

    (void)argument;
    memcpy(guest_page(HVM_PARAM_CONSOLE_PFN) + 100, "guest", 5);
    while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0)
        task_park(clock_now() + 2 * MS, "the program");
    await_held(0);
    machine_stop();
}

START_TEST(test_grants)
{
    run(grant_program, stop_when_all_is_back);
    ck_assert_int_eq(status_of_child(), 0);
    ck_assert_int_eq(memcmp(guest_page(HVM_PARAM_CONSOLE_PFN) + 200, "program", 7), 0);
    machine_destroy();
}
END_TEST

static void share_program(void)
{
    struct client_handle handle = client_open(path, GATE_GNTSHR, 0, 0);
    struct client_handle mapper = client_open(path, GATE_GNTTAB, 0, 0);
    struct gate_share request = {.type = GATE_SHARE,
                                 .domid = 0,
                                 .count = 2,
                                 .writable = 1,
                                 .notify_offset = GATE_NONE,
                                 .notify_port = GATE_NONE};
    struct gate_unmap unshare = {.type = GATE_UNSHARE};
    struct gate_shared shared[2];
    struct gate_reply reply = client_ask(&handle, &request, sizeof(request), shared, sizeof(shared));
    uint32_t page = 0;

    CLIENT_CHECK(reply.error == 0 && shared[0].reference != shared[1].reference);
    strcpy((char *)client_show(&handle, shared[1].page), "shared");
    CLIENT_CHECK(client_map_grant(&mapper, 0, shared[1].reference, true, GATE_NONE, GATE_NONE, &page).error == 0);
    CLIENT_CHECK(page == shared[1].page);
    CLIENT_CHECK(strcmp((char *)client_show(&mapper, page), "shared") == 0);
    unshare.number = (uint32_t)reply.value;
    CLIENT_CHECK(client_ask(&handle, &unshare, sizeof(unshare), NULL, 0).error == 0); /* one is still mapped */
}

START_TEST(test_shared_pages)
{
    run(share_program, stop_when_all_is_back);
    ck_assert_int_eq(status_of_child(), 0);
    machine_destroy();
}
END_TEST

/* ---- foreign pages, hypercalls ---- */

static void foreign_program(void)
{
    struct client_handle handle = client_open(path, GATE_FOREIGN, 0, 0);
    struct client_handle call = client_open(path, GATE_CALL, 0, 2 * CLIENT_PAGE);
    struct gate_hypercall request = {.type = GATE_HYPERCALL, .op = __HYPERVISOR_hvm_op};
    struct xen_hvm_param parameter = {.domid = 1, .index = HVM_PARAM_CONSOLE_PFN};
    struct {
        struct gate_map_foreign request;
        uint64_t frame[2];
    } map = {{.type = GATE_MAP_FOREIGN, .domid = 1, .writable = 1, .count = 2}, {0, HOLE}};
    struct gate_foreign answer[2];

    memcpy(call.arena, &parameter, sizeof(parameter));
    request.argument[0] = HVMOP_get_param;
    request.argument[1] = (uintptr_t)call.arena;
    CLIENT_CHECK(client_ask(&call, &request, sizeof(request), NULL, 0).value == 0);
    memcpy(&parameter, call.arena, sizeof(parameter));
    map.frame[0] = parameter.value;
    request.argument[1] = (uintptr_t)call.arena + 2 * CLIENT_PAGE;
    CLIENT_CHECK(client_ask(&call, &request, sizeof(request), NULL, 0).value == -XEN_EFAULT);
    request.argument[1] = (uintptr_t)&parameter; /* memory of the program's that it has not shared */
    CLIENT_CHECK(client_ask(&call, &request, sizeof(request), NULL, 0).value == -XEN_EFAULT);

    CLIENT_CHECK(client_ask(&handle, &map, sizeof(map), answer, sizeof(answer)).error == 0);
    CLIENT_CHECK(answer[0].error == 0 && answer[1].error == EINVAL);
    CLIENT_CHECK(memcmp(client_show(&handle, answer[0].page) + 100, "guest", 5) == 0);
    map.request.domid = NO_DOMAIN;
    CLIENT_CHECK(client_ask(&handle, &map, sizeof(map), answer, sizeof(answer)).error == ESRCH);
    CLIENT_CHECK(client_port(&handle, GATE_RESTRICT, 0, 0).error == 0);
    map.request.domid = 1;
    CLIENT_CHECK(client_ask(&handle, &map, sizeof(map), answer, sizeof(answer)).error == EPERM);
    CLIENT_CHECK(client_port(&call, GATE_RESTRICT, 1, 0).error == 0);
    CLIENT_CHECK(client_ask(&call, &request, sizeof(request), NULL, 0).error == EPERM);
}

START_TEST(test_foreign_pages_and_hypercalls)
{
    run(foreign_program, stop_when_all_is_back);
    ck_assert_int_eq(status_of_child(), 0);
    machine_destroy();
}
END_TEST

static void resource_program(void)
{
    struct client_handle handle = client_open(path, GATE_FOREIGN, 0, 0);
    struct gate_resource request = {.type = GATE_RESOURCE_SIZE,
                                    .domid = 1,
                                    .resource = XENMEM_resource_grant_table,
                                    .id = XENMEM_resource_grant_table_id_shared,
                                    .count = 1};
    struct gate_unmap unmap = {.type = GATE_UNMAP_FOREIGN};
    struct gate_foreign answer = {0};
    const grant_entry_v1_t *entry;
    struct gate_reply reply = client_ask(&handle, &request, sizeof(request), NULL, 0);
    int64_t bytes = reply.value;

    CLIENT_CHECK(reply.error == 0 && bytes > 0 && bytes % CLIENT_PAGE == 0);
    request.type = GATE_MAP_RESOURCE;
    reply = client_ask(&handle, &request, sizeof(request), &answer, sizeof(answer));
    CLIENT_CHECK(reply.error == 0 && answer.error == 0);
    entry = (const grant_entry_v1_t *)(const void *)client_show(&handle, answer.page);
    CLIENT_CHECK(entry[STORE_REFERENCE].flags == GTF_permit_access && entry[STORE_REFERENCE].domid == 0);
    unmap.number = (uint32_t)reply.value;
    CLIENT_CHECK(client_ask(&handle, &unmap, sizeof(unmap), NULL, 0).error == 0);
    request.frame = (uint64_t)bytes / CLIENT_PAGE;
    CLIENT_CHECK(client_ask(&handle, &request, sizeof(request), NULL, 0).error == EINVAL);
    request.frame = 0;
    request.id = XENMEM_resource_grant_table_id_status; /* of version 2 */
    CLIENT_CHECK(client_ask(&handle, &request, sizeof(request), NULL, 0).error == EINVAL);
    request.resource = XENMEM_resource_ioreq_server;
    CLIENT_CHECK(client_ask(&handle, &request, sizeof(request), NULL, 0).error == EOPNOTSUPP);
    request.domid = 0;
    CLIENT_CHECK(client_ask(&handle, &request, sizeof(request), NULL, 0).error == EPERM);
    request.domid = NO_DOMAIN;
    CLIENT_CHECK(client_ask(&handle, &request, sizeof(request), NULL, 0).error == ESRCH);
}

START_TEST(test_resources)
{
    run(resource_program, stop_when_all_is_back);
    ck_assert_int_eq(status_of_child(), 0);
    machine_destroy();
}
END_TEST

/* ---- memory that is given away ---- */

/* An arena in a file that could become smaller is not taken. */
static void offer_arena(int file)
{
    struct gate_hello hello = {.type = GATE_HELLO,
                               .version = GATE_VERSION,
                               .kind = GATE_CALL,
                               .arena_address = 0x10000,
                               .arena_bytes = CLIENT_PAGE};
    struct gate_reply reply = {0};
    int fd = client_connect(path);

    CLIENT_CHECK(file >= 0 && ftruncate(file, CLIENT_PAGE) == 0);
    client_send(fd, &hello, sizeof(hello), file);
    CLIENT_CHECK(client_receive(fd, &reply, NULL, 0, NULL) != 0 && reply.error == EBADF);
    close(fd);
    close(file);
}

static void shrinking_program(void)
{
    struct client_handle handle = client_open(path, GATE_GNTTAB, 0, CLIENT_PAGE);
    char name[] = "/tmp/pvsim-arena-XXXXXX";
    int file = mkstemp(name);

    unlink(name);
    offer_arena(file);
    offer_arena(memfd_create("arena", MFD_CLOEXEC));
    offer_arena(memfd_create("arena", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    CLIENT_CHECK(handle.other >= 0 && ftruncate(handle.other, 0) < 0 && errno == EPERM); /* the guest's RAM */
}

START_TEST(test_memory_that_shrinks)
{
    run(shrinking_program, stop_when_all_is_back);
    ck_assert_int_eq(status_of_child(), 0);
    machine_destroy();
}
END_TEST

/* A program of a driver domain has no privilege. */
static void unprivileged_program(void)
{
    struct client_handle handle = client_open(path, GATE_FOREIGN, 3, 0);
    struct {
        struct gate_map_foreign request;
        uint64_t frame;
    } packet = {{.type = GATE_MAP_FOREIGN, .domid = 1, .count = 1}, 5};
    struct gate_foreign answer = {0};

    CLIENT_CHECK(client_ask(&handle, &packet, sizeof(packet), &answer, sizeof(answer)).error == 0);
    CLIENT_CHECK(answer.error == EPERM);
}

static void make_driver_domain(void)
{
    ck_assert_int_eq(xen_domain_create_host(3), 0);
}

START_TEST(test_foreign_pages_take_privilege)
{
    before_start = make_driver_domain;
    run(unprivileged_program, stop_when_all_is_back);
    ck_assert_int_eq(status_of_child(), 0);
    machine_destroy();
}
END_TEST

/* ---- death ---- */

/* Takes something of everything, and is killed. */
static void doomed_program(void)
{
    struct client_handle events = client_open(path, GATE_EVTCHN, 0, 0);
    struct client_handle grants = client_open(path, GATE_GNTTAB, 0, 0);
    struct client_handle shares = client_open(path, GATE_GNTSHR, 0, 0);
    struct gate_share share = {
        .type = GATE_SHARE, .domid = 1, .count = 3, .notify_offset = GATE_NONE, .notify_port = GATE_NONE};
    uint32_t port = (uint32_t)client_port(&events, GATE_BIND_INTERDOMAIN, 0, near_port).value;
    uint32_t page;

    CLIENT_CHECK(client_map_grant(&grants, 1, CONSOLE_REFERENCE, true, 300, port, &page).error == 0);
    CLIENT_CHECK(client_map_grant(&grants, 1, STORE_REFERENCE, false, GATE_NONE, GATE_NONE, &page).error == 0);
    CLIENT_CHECK(client_ask(&shares, &share, sizeof(share), NULL, 0).error == 0);
    CLIENT_CHECK(client_pending(&events) == port);
    client_tell(&events, GATE_UNMASK, port); /* owing that would stop the machine's clock */
    for (;;)
        pause();
}

static void kill_task(void *argument)
{
    (void)argument;
    guest_page(HVM_PARAM_CONSOLE_PFN)[300] = 'A';
    await_held(6);
    ck_assert_uint_eq(port_state(), EVTCHNSTAT_interdomain);
    kill(child, SIGKILL);
    await_fired(1); /* the last that the mapping does */
    await_held(0);
    ck_assert_uint_eq(port_state(), EVTCHNSTAT_unbound);
    machine_stop();
}

START_TEST(test_death_gives_everything_back)
{
    void *page;
    uint32_t map;

    run(doomed_program, kill_task);
    ck_assert_int_eq(status_of_child(), 1000 + SIGKILL);
    ck_assert_uint_eq(fired, 1);
    ck_assert_uint_eq(guest_page(HVM_PARAM_CONSOLE_PFN)[300], 0);
    /* Nothing is pinned: as many can be mapped as ever, and all is free afterwards. */
    ck_assert_int_eq(xen_grant_map(XEN_DOM0, 1, STORE_REFERENCE, false, &page, &map), 0);
    ck_assert_int_eq(xen_grant_unmap(XEN_DOM0, map), 0);
    machine_destroy();
}
END_TEST

/* ---- what breaks the protocol ---- */

static void rude_program(void)
{
    const struct gate_hello old = {.type = GATE_HELLO, .version = GATE_VERSION + 1, .kind = GATE_EVTCHN};
    const struct gate_hello nowhere = {.type = GATE_HELLO, .version = GATE_VERSION, .kind = GATE_EVTCHN, .domid = 77};
    const uint32_t words[4] = {GATE_HYPERCALL, 1, 2, 3};
    struct client_handle handle;
    struct gate_reply reply;
    int fd = client_connect(path);

    client_send(fd, &old, sizeof(old), -1);
    CLIENT_CHECK(client_receive(fd, &reply, NULL, 0, NULL) != 0 && reply.error == EPROTONOSUPPORT);
    fd = client_connect(path);
    client_send(fd, &nowhere, sizeof(nowhere), -1);
    CLIENT_CHECK(client_receive(fd, &reply, NULL, 0, NULL) != 0 && reply.error == ESRCH);
    fd = client_connect(path);
    client_send(fd, words, sizeof(words), -1); /* no hello */
    CLIENT_CHECK(client_receive(fd, &reply, NULL, 0, NULL) == 0);
    handle = client_open(path, GATE_EVTCHN, 0, 0);
    client_send(handle.fd, words, sizeof(words), -1); /* of another kind */
    CLIENT_CHECK(client_receive(handle.fd, &reply, NULL, 0, NULL) == 0);
    handle = client_open(path, GATE_GNTTAB, 0, 0);
    client_send(handle.fd, words, 2, -1);
    CLIENT_CHECK(client_receive(handle.fd, &reply, NULL, 0, NULL) == 0);
}

START_TEST(test_broken_protocol)
{
    run(rude_program, stop_when_all_is_back);
    ck_assert_int_eq(status_of_child(), 0);
    machine_destroy();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("peer/gate");
    TCase *tcase = tcase_create("gate");

    tcase_add_test(tcase, test_events);
    tcase_add_test(tcase, test_many_ports_under_epoll);
    tcase_add_test(tcase, test_grants);
    tcase_add_test(tcase, test_shared_pages);
    tcase_add_test(tcase, test_foreign_pages_and_hypercalls);
    tcase_add_test(tcase, test_resources);
    tcase_add_test(tcase, test_memory_that_shrinks);
    tcase_add_test(tcase, test_foreign_pages_take_privilege);
    tcase_add_test(tcase, test_death_gives_everything_back);
    tcase_add_test(tcase, test_broken_protocol);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
