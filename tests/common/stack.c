#include "common/stack.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/fault_option.h"
#include "cli/guest.h"
#include "clients/probe/probe_ioctl.h"
#include "common/process.h"
#include "common/rule_report.h"
#include "common/stack_dom0.h"
#include "image/loader.h"
#include "machine/census.h"
#include "machine/clock.h"
#include "machine/image.h"
#include "machine/log.h"
#include "machine/sched.h"
#include "nt/cm/cm.h"
#include "nt/nt_init.h"
#include "nt/pnp/pnp.h"
#include "xen/platform.h"
#include "xen/profile.h"
#include "xen/xen.h"

#include <xen/event_channel.h>
#include <xen/hvm/params.h>

struct stack stack;

static struct {
    void (*scenario)(void *);
    void *argument;
    struct task *harness;
    bool done;
    struct census *before; /* the guest's boot */
    char leaks[2048];
    unsigned kept; /* ports, by a store that may */
} run;

/* ---- the drivers ---- */

/* What is there already, or is not there, is not linked. */
static void link_file(const char *folder, const char *name, const char *from, const char *file)
{
    char source[600], target[600];
    char *whole;

    snprintf(source, sizeof(source), "%s/%s", from, file);
    snprintf(target, sizeof(target), "%s/%s", folder, name);
    whole = realpath(source, NULL);
    if (whole != NULL && access(target, R_OK) != 0)
        ck_assert_int_eq(symlink(whole, target), 0);
    free(whole);
}

static void add_driver(const char *folder, const char *from, const char *name)
{
    static const char *const suffixes[] = {"so", "inf"};

    for (unsigned i = 0; i < 2; i++) {
        char file[128];

        snprintf(file, sizeof(file), "%s.%s", name, suffixes[i]);
        link_file(folder, file, from, file);
    }
}

/* A folder of links to the drivers that the test wants. Before there is a machine. */
static const char *compose(unsigned drivers)
{
    static char folder[256];

    snprintf(folder, sizeof(folder), "%s/drivers-%x", scratch(), drivers);
    if (access(folder, R_OK) != 0) {
        const char *argv[] = {"mkdir", folder, NULL};
        struct process_result result = process_run(argv);

        ck_assert_int_eq(result.status, 0);
        process_free(&result);
    }
    if (drivers & STACK_OTHER_XEN)
        add_driver(folder, PVSIM_BUILD "/test-drivers/other-version", "xen");
    if (drivers & STACK_OTHER_XENVIF)
        add_driver(folder, PVSIM_BUILD "/test-drivers/other-version", "xenvif");
    add_driver(folder, PVSIM_BUILD "/drivers", "xen");
    add_driver(folder, PVSIM_BUILD "/drivers", "xenbus");
    if (drivers & STACK_XENFILT)
        add_driver(folder, PVSIM_BUILD "/drivers", "xenfilt");
    if (drivers & STACK_XENVIF)
        add_driver(folder, PVSIM_BUILD "/drivers", "xenvif");
    if (drivers & (STACK_NETCLIENT_8 | STACK_NETCLIENT_9))
        link_file(folder, "netclient.inf", "tests/clients/netclient",
                  drivers & STACK_NETCLIENT_8 ? "netclient8.inf" : "netclient9.inf");
    if (drivers & (STACK_NETCLIENT | STACK_NETCLIENT_8 | STACK_NETCLIENT_9))
        add_driver(folder, PVSIM_BUILD "/drivers", "netclient");
    if (drivers & STACK_PROBE)
        add_driver(folder, PVSIM_BUILD "/test-drivers", "probe");
    if (drivers & STACK_NIC)
        add_driver(folder, PVSIM_BUILD "/test-drivers", "nic");
    if (drivers & STACK_IDE)
        add_driver(folder, PVSIM_BUILD "/test-drivers", "ide");
    return folder;
}

/* ---- the harness ---- */

static uint64_t hvm_param(uint32_t index)
{
    uint64_t value = 0;

    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, index, &value), 0);
    return value;
}

void stack_read_ports(void)
{
    stack.domain.store_frame = hvm_param(HVM_PARAM_STORE_PFN);
    stack.domain.store_port = (uint32_t)hvm_param(HVM_PARAM_STORE_EVTCHN);
    stack.domain.console_frame = hvm_param(HVM_PARAM_CONSOLE_PFN);
    stack.domain.console_port = (uint32_t)hvm_param(HVM_PARAM_CONSOLE_EVTCHN);
}

void stack_create_domain(void)
{
    struct xen_domain_config config = xen_domain_default_config(machine->config.vcpus);
    int domid = xen_domain_create(&config);

    ck_assert_int_gt(domid, 0);
    stack.domain = (struct toolstack_domain){
        .domid = (unsigned)domid,
        .name = "guest",
        .uuid = "6b1f2c7e-5d0a-4b53-9a3c-0d1e5f7a9b11",
        .memory_kib = (uint32_t)(machine->config.ram_bytes / 1024),
        .vcpus = machine->config.vcpus,
    };
    stack_read_ports();
    ck_assert_msg(toolstack_domain_create(stack.toolstack, &stack.domain), "%s", toolstack_error(stack.toolstack));
}

static void scenario_main(void *unused)
{
    (void)unused;
    run.scenario(run.argument);
    run.done = true;
    task_unpark(run.harness);
}

static void note_leak(void *context, const char *kind, const char *name, uint64_t count, const void *caller)
{
    size_t used = strlen(run.leaks);

    (void)context;
    (void)caller;
    if (stack.options->store_keeps != 0 && strcmp(kind, "event channel") == 0 &&
        strncmp(name, "domain 0 port ", 14) == 0) {
        run.kept += (unsigned)count;
        return;
    }
    if (stack.options->store_keeps != 0 && strcmp(kind, "gate") == 0 && strncmp(name, "port ", 5) == 0)
        return; /* the same port, as the program's */
    snprintf(run.leaks + used, sizeof(run.leaks) - used, "%s %s (%llu); ", kind, name, (unsigned long long)count);
}

static void harness(void *unused)
{
    struct census *after;

    (void)unused;
    run.harness = task_current();
    if (stack.options->store != NULL)
        stack_store_start(stack.options->store);
    stack.toolstack = toolstack_open(&stack_logger);
    ck_assert_ptr_nonnull(stack.toolstack);
    if (stack.options->program_domid != 0) {
        ck_assert_int_eq(xen_domain_create_host(stack.options->program_domid), 0);
        ck_assert(toolstack_driver_domain_create(stack.toolstack, stack.options->program_domid, "driver"));
    }
    stack_create_domain();
    if (stack.options->program != NULL)
        stack_program_start(stack.options->program);
    else
        stack_netback_start();
    for (unsigned vif = 0; vif < stack.options->vifs; vif++)
        stack_attach_now(vif);
    if (stack.options->before_boot != NULL)
        stack.options->before_boot(NULL);
    run.before = census_take();
    (void)guest_boot();
    for (unsigned vif = 0; stack.options->wait && vif < stack.options->vifs; vif++)
        stack_wait_connected_now(vif);
    (void)guest_wait_quiet();
    if (stack.options->from_dom0)
        scenario_main(NULL);
    else
        nt_thread_start("scenario", scenario_main, NULL);
    while (!run.done)
        (void)task_park(CLOCK_NEVER, "the test's scenario");
    for (unsigned vif = 0; vif < VIFS_MAX; vif++)
        if (stack.attached[vif])
            stack_detach_now(vif);
    (void)guest_wait_quiet();
    guest_shutdown();
    after = census_take();
    (void)census_compare(run.before, after, note_leak, NULL);
    census_free(after);
    if (stack.options->program == NULL)
        stack_netback_stop();
    else
        ck_assert_msg(stack_program_end(SIGTERM) == 0, "netback: %s", stack_program_messages());
    ck_assert_msg(toolstack_domain_destroy(stack.toolstack, stack.domain.domid), "%s",
                  toolstack_error(stack.toolstack));
    toolstack_close(stack.toolstack);
    if (stack.options->store != NULL)
        stack_store_end();
    machine_stop();
}

static void prepare(const struct stack_options *options, void (*scenario)(void *), void *argument)
{
    struct machine_config config = guest_config(options->vcpus != 0 ? options->vcpus : 2);
    char error[FEATURES_ERROR_MAX];

    config.start_vcpus = options->start_vcpus;
    if (options->ram_mib != 0)
        config.ram_bytes = (uint64_t)options->ram_mib << 20;
    config.policy = options->policy;
    config.engine = options->engine;
    config.seed = options->seed != 0 ? options->seed : 1;
    config.driver_dir = options->folder != NULL ? options->folder : compose(options->drivers);
    config.stay_up = options->program != NULL || options->store != NULL || options->paused != NULL;
    if (options->host != NULL)
        ck_assert(xen_host_parse(options->host, &config.host));
    config.board = options->board;
    config.event_channels = options->event_channels;
    if (options->fail != NULL)
        ck_assert(fault_option_parse(options->fail, &config.faults));
    if (options->quiet)
        config.log_level = LOG_NONE;
    if (getenv("STACK_LOG") != NULL)
        config.log_level = log_level_parse(getenv("STACK_LOG"));
    memset(&stack, 0, sizeof(stack));
    memset(&run, 0, sizeof(run));
    stack.options = options;
    ck_assert(features_parse(options->features != NULL ? options->features : "default", &stack.features, error));
    run.scenario = scenario;
    run.argument = argument;
    machine_create(&config);
    ck_assert_int_eq(guest_install(&config), 0);
    if (options->prepare != NULL)
        options->prepare();
    (void)task_create("harness", harness, NULL);
}

void stack_run(const struct stack_options *options, void (*scenario)(void *), void *argument)
{
    const struct failure *failure;
    enum machine_result result;

    prepare(options, scenario, argument);
    while ((result = machine_run()) == MACHINE_PAUSED)
        options->paused();
    if (result == MACHINE_FAILED) {
        failure = machine_failure();
        ck_abort_msg("the machine failed (seed %llu): %s %s: %s\n%s", (unsigned long long)machine->config.seed,
                     failure->rule, failure->title, failure->text, failure->backtrace);
    }
    census_free(run.before);
    ck_assert_msg(run.leaks[0] == '\0', "left behind: %s", run.leaks);
    ck_assert_uint_le(run.kept, options->store_keeps);
    machine_destroy();
}

const struct failure *stack_must_fail(const struct stack_options *options, void (*scenario)(void *), void *argument,
                                      const char *rule)
{
    const struct failure *failure;
    char why[512];

    prepare(options, scenario, argument);
    ck_assert_msg(machine_run() == MACHINE_FAILED, "expected a failure by rule '%s', and nothing failed", rule);
    census_free(run.before);
    failure = machine_failure();
    ck_assert_msg(strcmp(failure->rule, rule) == 0, "expected a failure by rule '%s', got '%s': %s\n%s", rule,
                  failure->rule, failure->text, failure->backtrace);
    ck_assert_msg(rule_report_fits(failure, why, sizeof(why)), "%s", why);
    return failure;
}

/* ---- guest threads ---- */

/*
 * By the wall clock, under ThreadSanitizer and on a busy machine, what a few milliseconds are for takes longer. Shorter
 * times are there to come between two steps, longer ones to see that nothing happens. By the virtual clock they are
 * what they are in any build: what comes in one is counted.
 */
static unsigned slowness(void)
{
#ifdef MACHINE_THREAD_SANITIZER
    if (machine->config.clock == CLOCK_WALL)
        return 10;
#endif
    return 1;
}

void stack_sleep_us(unsigned microseconds)
{
    bool settles = microseconds >= 5000 && microseconds < 100000;
    LARGE_INTEGER interval = {.QuadPart = -10 * (LONGLONG)microseconds * (settles ? slowness() : 1)};

    ck_assert_int_eq(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
}

bool stack_wait(bool (*condition)(void *), void *argument, unsigned timeout_ms)
{
    uint64_t end = clock_now() + timeout_ms * slowness() * UINT64_C(1000000);

    while (!condition(argument)) {
        if (clock_now() >= end)
            return false;
        stack_sleep_us(200);
    }
    return true;
}

PKTHREAD stack_thread(PKSTART_ROUTINE routine, PVOID context)
{
    HANDLE handle;
    PVOID thread;

    ck_assert_int_eq(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, routine, context),
                     STATUS_SUCCESS);
    ck_assert_int_eq(ObReferenceObjectByHandle(handle, SYNCHRONIZE, *PsThreadType, KernelMode, &thread, NULL),
                     STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(handle), STATUS_SUCCESS);
    return thread;
}

void stack_join(PKTHREAD thread)
{
    ck_assert_int_eq(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    ObDereferenceObject(thread);
}

struct dom0_call {
    void (*function)(void *);
    void *argument;
    volatile bool done;
};

static void dom0_main(void *argument)
{
    struct dom0_call *call = argument;

    call->function(call->argument);
    call->done = true;
}

void stack_in_dom0(void (*function)(void *), void *argument)
{
    struct dom0_call *call = image_alloc(sizeof(*call));

    call->function = function;
    call->argument = argument;
    (void)task_create("dom0", dom0_main, call);
    while (!call->done)
        stack_sleep_us(100);
    image_free(call);
}

/* ---- devices ---- */

struct devnode *stack_device(const char *path)
{
    struct devnode *node = pnp_root();

    while (node != NULL && strncmp(pnp_instance_path(node), path, strlen(path)) != 0)
        node = pnp_next(node);
    return node;
}

bool stack_device_started(const char *path)
{
    struct devnode *node = stack_device(path);

    return node != NULL && pnp_state(node) == DEVNODE_STARTED;
}

bool stack_device_gone(void *path)
{
    return pnp_quiet() && pnp_find(path) == NULL;
}

void stack_spoil_memory(unsigned pages)
{
    static void *page[STACK_SPOILT];

    ck_assert_uint_le(pages, STACK_SPOILT);
    for (unsigned i = 0; i < pages; i++) {
        page[i] = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);
        ck_assert_ptr_nonnull(page[i]);
        memset(page[i], 0xA5, PAGE_SIZE);
    }
    for (unsigned i = 0; i < pages; i++)
        ExFreePoolWithTag(page[i], STACK_TAG);
}

int64_t stack_event_op(unsigned command, void *operation, size_t size)
{
    void *copy = ExAllocatePool2(POOL_FLAG_NON_PAGED, size, STACK_TAG);
    int64_t result;

    memcpy(copy, operation, size);
    result = xen_hypercall(__HYPERVISOR_event_channel_op, command, (uint64_t)(uintptr_t)copy, 0, 0, 0);
    memcpy(operation, copy, size);
    ExFreePoolWithTag(copy, STACK_TAG);
    return result;
}

uint32_t stack_daemon_port(void)
{
    struct evtchn_status status = {.dom = DOMID_SELF};
    uint64_t port = 0;

    ck_assert_int_eq(xen_hvm_param_get(stack.domain.domid, HVM_PARAM_STORE_EVTCHN, &port), 0);
    status.port = (uint32_t)port;
    ck_assert_int_eq(stack_event_op(EVTCHNOP_status, &status, sizeof(status)), 0);
    ck_assert_uint_eq(status.status, EVTCHNSTAT_interdomain);
    return status.u.interdomain.port;
}

bool stack_try_open(const char *name, PFILE_OBJECT *file, PDEVICE_OBJECT *device)
{
    WCHAR text[64];
    UNICODE_STRING path = {.Buffer = text, .MaximumLength = sizeof(text)};
    char whole[64];

    snprintf(whole, sizeof(whole), "\\Device\\%s", name);
    for (; whole[path.Length / sizeof(WCHAR)] != '\0'; path.Length += sizeof(WCHAR))
        text[path.Length / sizeof(WCHAR)] = (WCHAR)whole[path.Length / sizeof(WCHAR)];
    return IoGetDeviceObjectPointer(&path, FILE_ALL_ACCESS, file, device) == STATUS_SUCCESS;
}

void stack_open(const char *name, PFILE_OBJECT *file, PDEVICE_OBJECT *device)
{
    ck_assert_msg(stack_try_open(name, file, device), "\\Device\\%s could not be opened", name);
}

NTSTATUS stack_control(const char *name, ULONG code, void *input, ULONG input_length, void *output, ULONG output_length,
                       ULONG_PTR *information)
{
    IO_STATUS_BLOCK block;
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;
    NTSTATUS status;
    KEVENT event;
    PIRP irp;

    stack_open(name, &file, &device);
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    irp =
        IoBuildDeviceIoControlRequest(code, device, input, input_length, output, output_length, FALSE, &event, &block);
    ck_assert_ptr_nonnull(irp);
    IoGetNextIrpStackLocation(irp)->FileObject = file;
    status = IoCallDriver(device, irp);
    if (status == STATUS_PENDING) {
        ck_assert_int_eq(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
        status = block.Status;
    }
    if (information != NULL)
        *information = block.Information;
    ObDereferenceObject(file);
    return status;
}

NTSTATUS stack_query(const char *instance, const GUID *guid, unsigned version, size_t size, PINTERFACE interface)
{
    PROBE_QUERY query = {.Guid = *guid, .Version = (USHORT)version, .Size = (USHORT)size};
    PROBE_INTERFACE *answer = image_alloc(sizeof(*answer));
    char name[32];
    NTSTATUS status;

    ck_assert_uint_le(size, sizeof(answer->Content));
    snprintf(name, sizeof(name), "Probe%s", instance);
    ck_assert_int_eq(
        stack_control(name, IOCTL_PROBE_QUERY_INTERFACE, &query, sizeof(query), answer, sizeof(*answer), NULL),
        STATUS_SUCCESS);
    memcpy(interface, answer->Content, size);
    status = answer->Status;
    image_free(answer);
    return status;
}

/* ---- netclient ---- */

NTSTATUS stack_netclient(unsigned vif, ULONG code, void *input, ULONG input_length, void *output, ULONG output_length)
{
    char name[32];

    snprintf(name, sizeof(name), "NetClient%u", vif);
    return stack_control(name, code, input, input_length, output, output_length, NULL);
}

NETCLIENT_LINK stack_link(unsigned vif)
{
    NETCLIENT_LINK link;

    ck_assert_int_eq(stack_netclient(vif, IOCTL_NETCLIENT_QUERY_LINK, NULL, 0, &link, sizeof(link)), STATUS_SUCCESS);
    return link;
}

NETCLIENT_STATISTICS stack_statistics(unsigned vif)
{
    NETCLIENT_STATISTICS statistics;

    ck_assert_int_eq(stack_netclient(vif, IOCTL_NETCLIENT_QUERY_STATISTICS, NULL, 0, &statistics, sizeof(statistics)),
                     STATUS_SUCCESS);
    return statistics;
}

#define COMING_NS UINT64_C(1000000000) /* a client that is to be there */

static bool client_is_there(unsigned vif)
{
    char name[32];
    PDEVICE_OBJECT device;
    PFILE_OBJECT file;

    snprintf(name, sizeof(name), "NetClient%u", vif);
    if (!stack_try_open(name, &file, &device))
        return false;
    ObDereferenceObject(file);
    return true;
}

NTSTATUS stack_wait_link(unsigned vif, bool connected)
{
    NETCLIENT_WAIT wait = {.Connected = connected};
    uint64_t end = clock_now() + COMING_NS;
    NTSTATUS status = STATUS_DEVICE_NOT_READY;

    /*
     * Where an interface goes and comes at once its old client, on its way out, may still connect to the new backend;
     * and a new one connects before its start is at its end.
     */
    while (status == STATUS_DEVICE_NOT_READY) {
        ck_assert_msg(clock_now() < end, "the client of VIF %u does not start", vif);
        if (client_is_there(vif))
            status = stack_netclient(vif, IOCTL_NETCLIENT_WAIT_LINK, &wait, sizeof(wait), NULL, 0);
        if (status == STATUS_DEVICE_NOT_READY)
            stack_sleep_us(100);
    }
    return status;
}

/* ---- traffic ---- */

struct capture *stack_capture(const char *path)
{
    char error[CAPTURE_ERROR_MAX] = "";
    struct capture *capture = capture_load(path, error);

    if (capture == NULL) {
        fprintf(stderr, "%s\n", error);
        exit(EXIT_FAILURE);
    }
    return capture;
}

struct carry {
    unsigned vif;
    const struct capture *tx, *rx;
};

static void carry_main(void *argument)
{
    const struct carry *carry = argument;
    struct traffic_vif *traffic = image_alloc(sizeof(*traffic));
    struct checker_verdict verdict;
    unsigned tx_count = carry->tx != NULL ? carry->tx->count : 0;
    unsigned rx_count = carry->rx != NULL ? carry->rx->count : 0;

    stack_end_expect(carry->vif, carry->tx);
    traffic->index = carry->vif;
    traffic->tx = carry->tx;
    traffic->rx = carry->rx;
    traffic->by_flow = stack.features.max_queues > 1;
    traffic->waiter = task_current();
    traffic_start(traffic);
    while (!traffic->ready)
        (void)task_park(CLOCK_NEVER, "the guest's readers");
    stack_end_send(carry->vif, carry->rx);
    while (traffic->running > 0)
        (void)task_park(CLOCK_NEVER, "the guest's traffic");
    stack_end_send(carry->vif, NULL); /* the capture may be gone when netback looks again */
    verdict = stack_end_verdict(carry->vif);
    ck_assert_int_eq(traffic->open_status, STATUS_SUCCESS);
    ck_assert_msg(traffic->sent.frames == tx_count && traffic->sent.failed == 0,
                  "of %u frames %llu were sent, frame %u failed with status 0x%08X", tx_count,
                  (unsigned long long)traffic->sent.frames, traffic->sent.first_bad,
                  (unsigned)traffic->sent.first_status);
    ck_assert_msg(traffic->got.frames == rx_count, "of %u frames %llu were received, frame %u is bad, status 0x%08X",
                  rx_count, (unsigned long long)traffic->got.frames, traffic->got.first_bad,
                  (unsigned)traffic->got.first_status);
    ck_assert_uint_eq(verdict.good, tx_count);
    ck_assert_uint_eq(verdict.lost + checker_bad(&verdict), 0);
    image_free(traffic);
}

unsigned stack_times_logged(const char *words)
{
    static char tail[65536];
    unsigned times = 0;

    (void)log_tail(tail, sizeof(tail));
    for (const char *found = tail; (found = strstr(found, words)) != NULL; found++)
        times++;
    return times;
}

struct cm_key *stack_software_key(const struct devnode *node)
{
    char *path = image_printf("%s\\%s", CM_ENUM, pnp_instance_path(node));
    char *driver = cm_value_get_string(cm_key_open(path), "Driver");
    char *software = image_printf("%s\\%s", CM_CLASS, driver);
    struct cm_key *key = cm_key_open(software);

    image_free(path);
    image_free(driver);
    image_free(software);
    ck_assert_ptr_nonnull(key);
    return key;
}

void *stack_xen_export(const char *name)
{
    const struct loader_module *module = NULL;
    void *address;

    while ((module = loader_next(module)) != NULL && strcmp(loader_module_name(module), "xen") != 0)
        ;
    ck_assert_ptr_nonnull(module);
    address = loader_module_symbol(module, name);
    ck_assert_msg(address != NULL, "xen.sys does not export %s", name);
    return address;
}

bool stack_is_logged(const char *words)
{
    return stack_times_logged(words) != 0;
}

void stack_carry(unsigned vif, const struct capture *tx, const struct capture *rx)
{
    struct carry carry = {vif, tx, rx};
    NETCLIENT_STATISTICS before = stack_statistics(vif);

    stack_in_dom0(carry_main, &carry);
    stack_assert_counted(vif, &before, tx, rx);
}
