/*
 * A program of dom0 as others write them, on the headers and libraries of libxen-dev: test_dropins runs it against a
 * machine with the drop-in libraries in front of the distribution's. Its argument is what to try; what is wrong goes to
 * standard error with its line, and ends it with status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define XC_WANT_COMPAT_MAP_FOREIGN_API /* which many programs still use */

#include <xencall.h>
#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xenstore.h>
#include <xentoolcore.h>

#include <xen/memory.h>

#define GUEST 1u
#define NO_DOMAIN 77u
#define CONSOLE_REFERENCE 0u
#define STORE_REFERENCE 1u
#define PAGE 4096u

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "program: line %d: %s (errno %d)\n", __LINE__, #condition, errno);                         \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* The call fails with this errno. */
#define CHECK_FAILS(call, expected) CHECK((errno = 0, (call)) && errno == (expected))

static char **arguments;

static bool readable(int fd, int milliseconds)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};

    return poll(&entry, 1, milliseconds) == 1 && entry.revents == POLLIN;
}

static sigjmp_buf behind_fault;

static void on_fault(int signal)
{
    siglongjmp(behind_fault, signal);
}

/* An access to this address is a fault. */
static bool faults(volatile uint8_t *address, bool write)
{
    const struct sigaction catch = {.sa_handler = on_fault};
    struct sigaction old;
    volatile bool fault = true;

    sigaction(SIGSEGV, &catch, &old);
    if (sigsetjmp(behind_fault, 1) == 0) {
        if (write)
            *address = 1;
        else
            (void)*address;
        fault = false;
    }
    sigaction(SIGSEGV, &old, NULL);
    return fault;
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

/* ---- grants ---- */

static void try_mapping(xengnttab_handle *handle)
{
    uint32_t domids[2] = {GUEST, GUEST};
    uint32_t references[2] = {STORE_REFERENCE, CONSOLE_REFERENCE};
    uint8_t *page = xengnttab_map_grant_ref(handle, GUEST, CONSOLE_REFERENCE, PROT_READ | PROT_WRITE);
    uint8_t *two;

    CHECK(page != NULL && memcmp(page + 100, "guest", 5) == 0);
    memcpy(page + 200, "program", 7);
    CHECK_FAILS(xengnttab_set_max_grants(handle, 10) != 0, EBUSY);
    two = xengnttab_map_grant_refs(handle, 2, domids, references, PROT_READ);
    CHECK(two != NULL && memcmp(two + PAGE + 200, "program", 7) == 0);
    memcpy(page + 300, "seen", 4); /* the same page */
    CHECK(memcmp(two + PAGE + 300, "seen", 4) == 0);
    CHECK(!faults(two, false) && faults(two, true));
    references[1] = 77777;
    CHECK_FAILS(xengnttab_map_domain_grant_refs(handle, 2, GUEST, references, PROT_READ) == NULL, EINVAL);
    CHECK_FAILS(xengnttab_map_grant_ref(handle, NO_DOMAIN, 0, PROT_READ) == NULL, ESRCH);
    CHECK_FAILS(xengnttab_map_grant_refs(handle, 0, domids, references, PROT_READ) == NULL, EINVAL);
    CHECK_FAILS(xengnttab_map_grant_ref_notify(handle, GUEST, 0, PROT_READ, 5, -1u) == NULL, EINVAL);
    CHECK_FAILS(xengnttab_map_grant_ref_notify(handle, GUEST, 0, PROT_READ | PROT_WRITE, 5, 12345) == NULL, EINVAL);
    CHECK_FAILS(xengnttab_unmap(handle, two, 1) != 0, EINVAL);
    CHECK(xengnttab_unmap(handle, two, 2) == 0);
    CHECK_FAILS(xengnttab_unmap(handle, two, 2) != 0, EINVAL);
    CHECK(faults(two, false));
    CHECK(xengnttab_unmap(handle, page, 1) == 0);

    CHECK(xengnttab_set_max_grants(handle, 1) == 0);
    CHECK_FAILS(xengnttab_map_domain_grant_refs(handle, 2, GUEST, domids, PROT_READ) == NULL, ENOMEM);
    page = xengnttab_map_grant_ref_notify(handle, GUEST, CONSOLE_REFERENCE, PROT_READ | PROT_WRITE, 400, -1u);
    CHECK(page != NULL);
    page[400] = 1;
    CHECK(xengnttab_unmap(handle, page, 1) == 0);
    page = xengnttab_map_grant_ref(handle, GUEST, CONSOLE_REFERENCE, PROT_READ);
    CHECK(page != NULL && page[400] == 0 && memcmp(page + 300, "seen", 4) == 0);
}

static void try_copying(xengnttab_handle *handle)
{
    static uint8_t local[3 * PAGE] __attribute__((aligned(4096)));
    xengnttab_grant_copy_segment_t segments[3] = {
        {.source.foreign = {CONSOLE_REFERENCE, 100, GUEST},
         .dest.virt = local + PAGE - 2, /* across two pages */
         .len = 5,
         .flags = GNTCOPY_source_gref},
        {.source.virt = local + 2 * PAGE - 3,
         .dest.foreign = {CONSOLE_REFERENCE, 500, GUEST},
         .len = 7,
         .flags = GNTCOPY_dest_gref},
        {.source.virt = local, .dest.foreign = {77777, 0, GUEST}, .len = 5, .flags = GNTCOPY_dest_gref},
    };
    xengnttab_grant_copy_segment_t *many = calloc(3000, sizeof(*many));

    memcpy(local + 2 * PAGE - 3, "to them", 7);
    CHECK(xengnttab_grant_copy(handle, 3, segments) == 0);
    CHECK(segments[0].status == GNTST_okay && segments[1].status == GNTST_okay);
    CHECK(segments[2].status == GNTST_bad_gntref);
    CHECK(memcmp(local + PAGE - 2, "guest", 5) == 0 && local[PAGE + 3] == 0);
    segments[0].source.foreign.offset = 500;
    segments[0].len = 7;
    CHECK(xengnttab_grant_copy(handle, 1, segments) == 0 && memcmp(local + PAGE - 2, "to them", 7) == 0);
    segments[0].source.foreign.offset = PAGE - 6;
    CHECK_FAILS(xengnttab_grant_copy(handle, 1, segments) != 0, EINVAL);
    segments[0].flags = 0;
    CHECK_FAILS(xengnttab_grant_copy(handle, 1, segments) != 0, EINVAL);
    CHECK(xengnttab_grant_copy(handle, 0, segments) == 0);

    for (unsigned index = 0; index < 3000; index++) /* more than a request to the gate can have */
        many[index] = (xengnttab_grant_copy_segment_t){.source.foreign = {CONSOLE_REFERENCE, 100, GUEST},
                                                       .dest.virt = local + index,
                                                       .len = 1,
                                                       .flags = GNTCOPY_source_gref,
                                                       .status = 99};
    memset(local, 0, sizeof(local));
    CHECK(xengnttab_grant_copy(handle, 3000, many) == 0);
    for (unsigned index = 0; index < 3000; index++)
        CHECK(many[index].status == GNTST_okay && local[index] == 'g');
    free(many);
}

static void try_grants(void)
{
    xengnttab_handle *handle = xengnttab_open(NULL, 0);
    uint8_t *left;

    CHECK(handle != NULL && xengnttab_fd(handle) >= 0);
    try_mapping(handle);
    try_copying(handle);
    CHECK_FAILS(xengnttab_dmabuf_imp_release(handle, 0) != 0, ENOSYS);
    CHECK(xengnttab_close(handle) == 0);
    handle = xengnttab_open(NULL, 0);
    left = xengnttab_map_grant_ref(handle, GUEST, STORE_REFERENCE, PROT_READ);
    CHECK(left != NULL && xengnttab_close(handle) == 0 && faults(left, false));
    CHECK_FAILS(xengnttab_open(NULL, 1) == NULL, EINVAL);
}

static void try_shares(void)
{
    xengntshr_handle *handle = xengntshr_open(NULL, 0);
    xengnttab_handle *mapper = xengnttab_open(NULL, 0);
    uint32_t references[2] = {0, 0};
    uint8_t *pages = xengntshr_share_pages(handle, 0, 2, references, 1);
    uint8_t *seen;
    uint8_t *third;
    uint32_t reference;

    CHECK(pages != NULL && references[0] != references[1]);
    CHECK(pages[0] == 0 && pages[2 * PAGE - 1] == 0);
    strcpy((char *)pages + PAGE, "shared");
    seen = xengnttab_map_grant_ref(mapper, 0, references[1], PROT_READ | PROT_WRITE);
    CHECK(seen != NULL && strcmp((char *)seen, "shared") == 0);
    strcpy((char *)seen, "back");
    CHECK(strcmp((char *)pages + PAGE, "back") == 0);
    third = xengntshr_share_page_notify(handle, 0, &reference, 0, 8, -1u);
    CHECK(third != NULL);
    CHECK_FAILS(xengnttab_map_grant_ref(mapper, 0, reference, PROT_READ | PROT_WRITE) == NULL, EINVAL);
    CHECK(xengntshr_unshare(handle, third, 1) == 0 && faults(third, false));
    CHECK_FAILS(xengnttab_map_grant_ref(mapper, 0, reference, PROT_READ) == NULL, EINVAL);
    CHECK_FAILS(xengntshr_unshare(handle, pages, 1) != 0, EINVAL);
    CHECK(xengntshr_unshare(handle, pages, 2) == 0); /* one is still mapped */
    CHECK(strcmp((char *)seen, "back") == 0);
    CHECK_FAILS(xengntshr_share_pages(handle, NO_DOMAIN, 0, references, 1) == NULL, EINVAL);
    CHECK(xengntshr_close(handle) == 0 && xengnttab_close(mapper) == 0);
}

/* ---- hypercalls and foreign pages: with libxenctrl, which is the distribution's ---- */

static void try_foreign(void)
{
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);
    xenforeignmemory_handle *handle = xenforeignmemory_open(NULL, 0);
    xenforeignmemory_resource_handle *resource;
    xen_pfn_t frames[2] = {0, UINT64_C(1) << 40};
    uint64_t frame = 0;
    int errors[2] = {1, 1};
    void *table = NULL;
    size_t bytes = 0;
    uint8_t *page;

    CHECK(xc != NULL && handle != NULL);
    CHECK(xc_hvm_param_get(xc, GUEST, HVM_PARAM_CONSOLE_PFN, &frame) == 0 && frame != 0);
    page = xc_map_foreign_range(xc, GUEST, PAGE, PROT_READ, frame);
    CHECK(page != NULL && memcmp(page + 100, "guest", 5) == 0 && munmap(page, PAGE) == 0);
    for (unsigned index = 0; index < 3; index++) { /* in the same place again: what was unmapped so is not held */
        page = xc_map_foreign_range(xc, GUEST, PAGE, PROT_READ, frame);
        CHECK(page != NULL && memcmp(page + 100, "guest", 5) == 0 && munmap(page, PAGE) == 0);
    }
    frames[0] = frame;
    page = xenforeignmemory_map(handle, GUEST, PROT_READ | PROT_WRITE, 2, frames, errors);
    CHECK(page != NULL && errors[0] == 0 && errors[1] == -EINVAL);
    CHECK(memcmp(page + 100, "guest", 5) == 0 && faults(page + PAGE, false));
    CHECK(xenforeignmemory_unmap(handle, page, 2) == 0 && faults(page, false));
    CHECK_FAILS(xenforeignmemory_unmap(handle, page, 2) != 0, EINVAL);
    CHECK_FAILS(xenforeignmemory_map(handle, GUEST, PROT_READ, 2, frames, NULL) == NULL, EINVAL);
    CHECK_FAILS(xenforeignmemory_map(handle, NO_DOMAIN, PROT_READ, 1, frames, NULL) == NULL, ESRCH);
    page = xenforeignmemory_map2(handle, GUEST, (void *)0x70000000, PROT_READ, MAP_FIXED, 1, frames, NULL);
    CHECK(page == (void *)0x70000000 && xenforeignmemory_unmap(handle, page, 1) == 0);

    CHECK(xenforeignmemory_resource_size(handle, GUEST, XENMEM_resource_grant_table,
                                         XENMEM_resource_grant_table_id_shared, &bytes) == 0);
    CHECK(bytes >= PAGE && bytes % PAGE == 0);
    resource = xenforeignmemory_map_resource(handle, GUEST, XENMEM_resource_grant_table,
                                             XENMEM_resource_grant_table_id_shared, 0, 1, &table, PROT_READ, 0);
    CHECK(resource != NULL && table != NULL);
    CHECK(((const grant_entry_v1_t *)table)[STORE_REFERENCE].flags == GTF_permit_access);
    CHECK(xenforeignmemory_unmap_resource(handle, resource) == 0 && faults(table, false));
    table = NULL;
    CHECK_FAILS(xenforeignmemory_map_resource(handle, GUEST, XENMEM_resource_ioreq_server, 0, 0, 1, &table, PROT_READ,
                                              0) == NULL,
                EOPNOTSUPP);

    CHECK(xenforeignmemory_restrict(handle, 0) == 0);
    CHECK_FAILS(xenforeignmemory_map(handle, GUEST, PROT_READ, 1, frames, NULL) == NULL, EPERM);
    CHECK(xenforeignmemory_close(handle) == 0 && xc_interface_close(xc) == 0);
}

static void try_calls(void)
{
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);
    xencall_handle *handle = xencall_open(NULL, 0);
    struct evtchn_status status = {.dom = DOMID_SELF, .port = 1};
    struct evtchn_status *buffer;
    xc_dominfo_t information[2];
    void *buffers[100];

    CHECK(xc_version(xc, XENVER_version, NULL) == (4 << 16 | 17));
    CHECK(xc_domain_getinfo(xc, GUEST, 1, information) == 1 && information[0].domid == GUEST && information[0].hvm);
    CHECK_FAILS(xc_domain_getinfo(xc, NO_DOMAIN, 1, information) == -1, ESRCH);
    CHECK(xc_evtchn_status(xc, &status) == 0);
    status.port = 1u << 30;
    CHECK_FAILS(xc_evtchn_status(xc, &status) != 0, EINVAL);

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
    CHECK(xencall_close(handle) == 0 && xc_interface_close(xc) == 0);
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
        {"shares", try_shares, 0},
        {"foreign", try_foreign, 0},
        {"calls", try_calls, 0},
        {"devicemodel", try_devicemodel, 0},
        {"restriction", try_restriction, 0},
        {"nothing", try_nothing, 1},
        {"await", try_await, 2},
        {"remove", try_remove, 1},
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
