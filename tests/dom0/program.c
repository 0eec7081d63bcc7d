/*
 * A program of dom0 as others write them, on the headers and libraries of libxen-dev: test_dropins runs it against a
 * machine with the drop-in libraries in front of the distribution's. Its argument is what to try; what is wrong goes to
 * standard error with its line, and ends it with status 1.
 */
#include "library_cases.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include <xencall.h>
#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xenstore.h>
#include <xentoolcore.h>

#include <xen/io/console.h>
#include <xen/memory.h>

static char **arguments;

static bool readable(int fd, int milliseconds)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};

    return poll(&entry, 1, milliseconds) == 1 && entry.revents == POLLIN;
}

/* ---- events ---- */

static void try_events(void)
{
    unsigned near_port = (unsigned)atoi(arguments[0]);
    xenevtchn_handle *handle = xenevtchn_open(NULL, 0);
    xenevtchn_handle *again;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int queue = epoll_create1(0);
    int port;

    CHECK(handle != NULL && (fcntl(xenevtchn_fd(handle), F_GETFD) & FD_CLOEXEC) != 0);
    port = xenevtchn_bind_interdomain(handle, 0, near_port);
    CHECK(port > 0);
    CHECK(epoll_ctl(queue, EPOLL_CTL_ADD, xenevtchn_fd(handle), &event) == 0);
    CHECK(epoll_wait(queue, &event, 1, 10000) == 1);
    CHECK(readable(xenevtchn_fd(handle), 0));
    CHECK(xenevtchn_pending(handle) == port); /* binding makes up for what was sent before */
    CHECK(!readable(xenevtchn_fd(handle), 0));
    CHECK(epoll_wait(queue, &event, 1, 0) == 0);

    /* The test answers each event with one. The port is masked until the program has unmasked it. */
    CHECK(xenevtchn_notify(handle, (evtchn_port_t)port) == 0);
    CHECK(!readable(xenevtchn_fd(handle), 100));
    CHECK(xenevtchn_unmask(handle, (evtchn_port_t)port) == 0);
    CHECK(epoll_wait(queue, &event, 1, 10000) == 1); /* an edge each time */
    CHECK(xenevtchn_pending(handle) == port);
    CHECK(xenevtchn_unmask(handle, (evtchn_port_t)port) == 0);
    CHECK(xenevtchn_notify(handle, (evtchn_port_t)port) == 0);
    CHECK(epoll_wait(queue, &event, 1, 10000) == 1);
    CHECK(xenevtchn_pending(handle) == port);

    CHECK_FAILS(xenevtchn_bind_interdomain(handle, 0, near_port) < 0, EINVAL);
    CHECK_FAILS(xenevtchn_notify(handle, (evtchn_port_t)port + 1) < 0, ENOTCONN);
    CHECK(xenevtchn_unbind(handle, (evtchn_port_t)port) == 0);
    CHECK_FAILS(xenevtchn_unbind(handle, (evtchn_port_t)port) < 0, ENOTCONN);
    CHECK_FAILS(xenevtchn_notify(handle, (evtchn_port_t)port) < 0, ENOTCONN);
    CHECK_FAILS(xenevtchn_bind_virq(handle, VIRQ_DOM_EXC) < 0, EEXIST); /* the machine's own store has it */
    CHECK(xenevtchn_bind_virq(handle, VIRQ_DEBUGGER) > 0);

    again = xenevtchn_fdopen(NULL, xenevtchn_fd(handle), 0); /* as after an exec: what is bound is known at the gate */
    CHECK(again != NULL && xenevtchn_fd(again) == xenevtchn_fd(handle));
    port = xenevtchn_bind_unbound_port(again, GUEST);
    CHECK(port > 0 && xenevtchn_unbind(handle, (evtchn_port_t)port) == 0);
    CHECK_FAILS(xenevtchn_fdopen(NULL, 0, 0) == NULL, EINVAL);
    CHECK_FAILS(xenevtchn_fdopen(NULL, xenevtchn_fd(handle), XENEVTCHN_NO_CLOEXEC) == NULL, EINVAL);
    CHECK_FAILS(xenevtchn_open(NULL, 2) == NULL, EINVAL);

    CHECK(xenevtchn_restrict(handle, GUEST) == 0);
    CHECK_FAILS(xenevtchn_bind_unbound_port(handle, 0) < 0, EACCES);
    CHECK(xenevtchn_close(handle) == 0);
}

/* A handle that lives on in the program that takes this one's place, as at xenstored's live update. */
static void try_exec(void)
{
    xenevtchn_handle *handle = xenevtchn_open(NULL, XENEVTCHN_NO_CLOEXEC);
    char fd[16];
    char number[16];
    int port;

    CHECK(handle != NULL);
    port = xenevtchn_bind_interdomain(handle, 0, (evtchn_port_t)atoi(arguments[0]));
    CHECK(port > 0 && xenevtchn_pending(handle) == port);
    snprintf(fd, sizeof(fd), "%d", xenevtchn_fd(handle));
    snprintf(number, sizeof(number), "%d", port);
    execl("/proc/self/exe", "program", "after-exec", fd, number, (char *)NULL);
    CHECK(false);
}

static void try_after_exec(void)
{
    xenevtchn_handle *handle = xenevtchn_fdopen(NULL, atoi(arguments[0]), 0);
    int port = atoi(arguments[1]);

    CHECK(handle != NULL);
    CHECK(xenevtchn_unmask(handle, (evtchn_port_t)port) == 0);
    CHECK(xenevtchn_notify(handle, (evtchn_port_t)port) == 0);
    CHECK(readable(xenevtchn_fd(handle), 10000) && xenevtchn_pending(handle) == port);
    CHECK(xenevtchn_close(handle) == 0);
}

/* ---- what else there is beside what the machine's own libraries have ---- */

static void try_grants(void)
{
    xengnttab_handle *handle = xengnttab_open(NULL, 0);

    library_grants();
    CHECK_FAILS(xengnttab_dmabuf_imp_release(handle, 0) != 0, ENOSYS);
    CHECK(xengnttab_close(handle) == 0);
}

static void try_foreign(void)
{
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);
    xenforeignmemory_handle *handle = xenforeignmemory_open(NULL, 0);
    uint64_t frame = 0;
    uint8_t *page;

    library_foreign();
    CHECK(xc_hvm_param_get(xc, GUEST, HVM_PARAM_CONSOLE_PFN, &frame) == 0);
    page = xenforeignmemory_map2(handle, GUEST, (void *)0x70000000, PROT_READ, MAP_FIXED, 1, &frame, NULL);
    CHECK(page == (void *)0x70000000 && xenforeignmemory_unmap(handle, page, 1) == 0);
    CHECK(xenforeignmemory_close(handle) == 0 && xc_interface_close(xc) == 0);
}

static void try_calls(void)
{
    xencall_handle *handle = xencall_open(NULL, 0);
    struct evtchn_status status = {.dom = DOMID_SELF, .port = 1};
    struct evtchn_status *buffer;
    void *buffers[100];

    library_information();
    CHECK(handle != NULL && xencall_fd(handle) >= 0 && xencall_buffers_never_fault(handle) == 1);
    buffer = xencall_alloc_buffer(handle, sizeof(*buffer));
    CHECK(buffer != NULL);
    *buffer = (struct evtchn_status){.dom = DOMID_SELF, .port = 1};
    CHECK(xencall2(handle, __HYPERVISOR_event_channel_op, EVTCHNOP_status, (uintptr_t)buffer) == 0);
    CHECK(xencall2L(handle, __HYPERVISOR_event_channel_op, EVTCHNOP_status, (uintptr_t)buffer) == 0);
    CHECK_FAILS(xencall2(handle, __HYPERVISOR_event_channel_op, EVTCHNOP_status, (uintptr_t)&status) == -1, EFAULT);
    CHECK_FAILS(xencall1(handle, 63, 0) == -1, ENOSYS);
    xencall_free_buffer(handle, buffer);

    for (unsigned index = 0; index < 100; index++) { /* none lies in another's place, and all are cleared */
        buffers[index] = xencall_alloc_buffer_pages(handle, index % 5 + 1);
        CHECK(buffers[index] != NULL && (uintptr_t)buffers[index] % PAGE == 0);
        CHECK(((uint8_t *)buffers[index])[0] == 0 && ((uint8_t *)buffers[index])[(index % 5 + 1) * PAGE - 1] == 0);
        memset(buffers[index], (int)index + 1, (size_t)(index % 5 + 1) * PAGE);
    }
    for (unsigned index = 0; index < 100; index++) {
        CHECK(((uint8_t *)buffers[index])[0] == index + 1);
        CHECK(((uint8_t *)buffers[index])[(index % 5 + 1) * PAGE - 1] == index + 1);
        xencall_free_buffer_pages(handle, buffers[index], index % 5 + 1);
    }
    CHECK_FAILS(xencall_alloc_buffer(handle, (size_t)1 << 40) == NULL, ENOMEM);
    buffers[0] = xencall_alloc_buffer(handle, (size_t)63 << 20); /* nothing was lost before */
    CHECK(buffers[0] != NULL && ((uint8_t *)buffers[0])[PAGE] == 0);
    CHECK(xencall_close(handle) == 0);
}

static void try_old_calls(void)
{
    old_calls((unsigned)atoi(arguments[0]));
}

/* What the hypervisor does not do fails, with a line that names it (test_dropins looks for it). */
static void try_devicemodel(void)
{
    xendevicemodel_handle *handle = xendevicemodel_open(NULL, 0);
    ioservid_t id;

    CHECK(handle != NULL);
    CHECK(xendevicemodel_create_ioreq_server(handle, GUEST, 0, &id) == -1 && errno != 0);
    CHECK_FAILS(xendevicemodel_map_pcidev_to_ioreq_server(handle, GUEST, 0, 0, 0, 32, 0) == -1, EINVAL);
    CHECK(xendevicemodel_restrict(handle, GUEST) == 0);
    CHECK_FAILS(xendevicemodel_restrict(handle, 0) == -1, EINVAL);
    CHECK(xendevicemodel_close(handle) == 0);
}

/* xentoolcore_restrict_all() reaches each handle. */
static void try_restriction(void)
{
    xenevtchn_handle *events = xenevtchn_open(NULL, 0);
    xengnttab_handle *grants = xengnttab_open(NULL, 0);
    xenforeignmemory_handle *foreign = xenforeignmemory_open(NULL, 0);
    xencall_handle *calls = xencall_open(NULL, 0);
    uint8_t *page = xengnttab_map_grant_ref(grants, GUEST, CONSOLE_REFERENCE, PROT_READ);
    xen_pfn_t frame = 0;

    CHECK(events != NULL && foreign != NULL && calls != NULL && page != NULL);
    CHECK(xentoolcore_restrict_all(GUEST) == 0);
    CHECK_FAILS(xenevtchn_bind_unbound_port(events, 0) < 0, EACCES);
    CHECK(xenevtchn_bind_unbound_port(events, GUEST) > 0);
    CHECK_FAILS(xenforeignmemory_map(foreign, 0, PROT_READ, 1, &frame, NULL) == NULL, EPERM);
    CHECK_FAILS(xencall1(calls, __HYPERVISOR_xen_version, XENVER_version) == -1, ENOTTY);
    CHECK_FAILS(xengnttab_map_grant_ref(grants, GUEST, STORE_REFERENCE, PROT_READ) == NULL, ENOTTY);
    CHECK(memcmp(page + 100, "guest", 5) == 0); /* what was mapped stays */
    CHECK(xenevtchn_close(events) == 0 && xengnttab_close(grants) == 0 && xenforeignmemory_close(foreign) == 0);
    CHECK(xencall_close(calls) == 0);
}

/* Wait until the store has this value at this path. */
static void try_await(void)
{
    struct xs_handle *xs = xs_open(0);
    struct pollfd event = {.events = POLLIN};
    unsigned length;
    char *value;

    CHECK(xs != NULL && xs_watch(xs, arguments[0], "await"));
    event.fd = xs_fileno(xs);
    while ((value = xs_read(xs, XBT_NULL, arguments[0], &length)) == NULL || strcmp(value, arguments[1]) != 0) {
        free(value);
        if (poll(&event, 1, 20000) != 1) {
            fprintf(stderr, "program: %s is not %s\n", arguments[0], arguments[1]);
            _exit(1);
        }
        free(xs_read_watch(xs, &length));
    }
    free(value);
    xs_close(xs);
}

/* Take this node out of the store. */
static void try_remove(void)
{
    struct xs_handle *xs = xs_open(0);

    CHECK(xs != NULL && xs_rm(xs, XBT_NULL, arguments[0]));
    xs_close(xs);
}

/* The guest's PV console has been given this, from its beginning. */
static void try_typed(void)
{
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);
    xenforeignmemory_handle *handle = xenforeignmemory_open(NULL, 0);
    const volatile struct xencons_interface *ring;
    size_t length = strlen(arguments[0]);
    uint64_t frame = 0;

    CHECK(xc_hvm_param_get(xc, GUEST, HVM_PARAM_CONSOLE_PFN, &frame) == 0);
    ring = xenforeignmemory_map(handle, GUEST, PROT_READ, 1, &frame, NULL);
    CHECK(ring != NULL);
    for (unsigned tries = 0; ring->in_prod < length && tries < 2000; tries++)
        usleep(5000);
    CHECK(ring->in_prod == length);
    for (size_t index = 0; index < length; index++)
        CHECK(ring->in[index] == arguments[0][index]);
}

/* Without a machine no handle can be had, and the reason is told. */
static void try_nothing(void)
{
    CHECK_FAILS(xenevtchn_open(NULL, 0) == NULL, atoi(arguments[0]));
    CHECK_FAILS(xengnttab_open(NULL, 0) == NULL, atoi(arguments[0]));
    CHECK_FAILS(xencall_open(NULL, 0) == NULL, atoi(arguments[0]));
    CHECK(xc_interface_open(NULL, NULL, 0) == NULL);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*function)(void);
        int count;
    } cases[] = {
        {"events", try_events, 1},
        {"exec", try_exec, 1},
        {"after-exec", try_after_exec, 2},
        {"grants", try_grants, 0},
        {"shares", library_shares, 0},
        {"foreign", try_foreign, 0},
        {"calls", try_calls, 0},
        {"old-calls", try_old_calls, 1},
        {"devicemodel", try_devicemodel, 0},
        {"restriction", try_restriction, 0},
        {"nothing", try_nothing, 1},
        {"await", try_await, 2},
        {"remove", try_remove, 1},
        {"typed", try_typed, 1},
    };

    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]) && argc > 1; index++) {
        if (strcmp(cases[index].name, argv[1]) != 0 || cases[index].count > argc - 2)
            continue;
        arguments = argv + 2;
        cases[index].function();
        return 0;
    }
    fprintf(stderr, "program: what is to be tried?\n");
    return 2;
}
