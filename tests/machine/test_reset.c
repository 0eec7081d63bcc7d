/*
 * A reset of the guest inside a running machine: what is on its disk stays, nothing else does, in the guest as in the
 * host; and a run with resets in it is as repeatable as any other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/guest.h"
#include "common/stack.h"
#include "common/stack_dom0.h"
#include "machine/eventlog.h"
#include "machine/guest_ram.h"
#include "machine/image_internal.h"
#include "machine/sched.h"
#include "nt/cm/cm.h"
#include "nt/nt_init.h"
#include "nt/pnp/pnp.h"
#include "xen/xen.h"

static void power_cycle(void)
{
    stack_stop_now();
    stack_power_cycle_now();
}

/* ---- what is on the disk ---- */

static void write_file(void)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\SystemRoot\\Temp\\kept.txt");
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK block;
    HANDLE file;

    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    ck_assert_int_eq(ZwCreateFile(&file, GENERIC_WRITE | SYNCHRONIZE, &attributes, &block, NULL, FILE_ATTRIBUTE_NORMAL,
                                  0, FILE_OVERWRITE_IF, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0),
                     STATUS_SUCCESS);
    ck_assert_int_eq(ZwWriteFile(file, NULL, NULL, NULL, &block, (void *)(uintptr_t) "kept", 4, NULL, NULL),
                     STATUS_SUCCESS);
    ck_assert_int_eq(ZwClose(file), STATUS_SUCCESS);
}

static void create_key(PCWSTR name, ULONG options, ULONG expected)
{
    UNICODE_STRING path;
    OBJECT_ATTRIBUTES attributes;
    ULONG disposition;
    HANDLE key;

    RtlInitUnicodeString(&path, name);
    InitializeObjectAttributes(&attributes, &path, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    ck_assert_int_eq(ZwCreateKey(&key, KEY_ALL_ACCESS, &attributes, 0, NULL, options, &disposition), STATUS_SUCCESS);
    ck_assert_uint_eq(disposition, expected);
    ck_assert_int_eq(ZwClose(key), STATUS_SUCCESS);
}

#define KEY L"\\Registry\\Machine\\Software\\Kept"

/* In the guest of the boot number *boot, from 0. */
static void use_disk(void *boot)
{
    bool first = *(const unsigned *)boot == 0;

    create_key(KEY, REG_OPTION_NON_VOLATILE, first ? REG_CREATED_NEW_KEY : REG_OPENED_EXISTING_KEY);
    create_key(KEY L"\\Stays", REG_OPTION_NON_VOLATILE, first ? REG_CREATED_NEW_KEY : REG_OPENED_EXISTING_KEY);
    create_key(KEY L"\\Goes", REG_OPTION_VOLATILE, REG_CREATED_NEW_KEY);
    create_key(L"\\Registry\\Machine\\Hardware\\Goes", REG_OPTION_VOLATILE, REG_CREATED_NEW_KEY);
    if (first) {
        struct cm_key *key = cm_key_create("\\Registry\\Machine\\Software\\Kept");

        cm_value_set_dword(key, "Number", 42);
        cm_value_set_string(key, "", REG_SZ, "default");
        write_file();
    }
}

static void read_file(void *unused)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\SystemRoot\\Temp\\kept.txt");
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK block;
    HANDLE file;
    char text[8];

    (void)unused;
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    ck_assert_int_eq(ZwCreateFile(&file, GENERIC_READ | SYNCHRONIZE, &attributes, &block, NULL, FILE_ATTRIBUTE_NORMAL,
                                  0, FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0),
                     STATUS_SUCCESS);
    ck_assert_int_eq(ZwReadFile(file, NULL, NULL, NULL, &block, text, sizeof(text), NULL, NULL), STATUS_SUCCESS);
    ck_assert_uint_eq(block.Information, 4);
    ck_assert_int_eq(memcmp(text, "kept", 4), 0);
    ck_assert_int_eq(ZwClose(file), STATUS_SUCCESS);
}

static void disk(void *unused)
{
    struct cm_key *key;
    ULONG number = 0;

    (void)unused;
    for (unsigned boot = 0; boot < 3; boot++) {
        ck_assert(nt_thread_run("test", use_disk, &boot));
        ck_assert(nt_thread_run("test", read_file, NULL));
        key = cm_key_open("\\Registry\\Machine\\Software\\Kept");
        ck_assert(cm_value_get_dword(key, "Number", &number));
        ck_assert_uint_eq(number, 42);
        power_cycle();
    }
}

START_TEST(what_is_on_the_disk_stays)
{
    static const struct stack_options options = {.from_dom0 = true};

    stack_run(&options, disk, NULL);
}
END_TEST

/* ---- devices ---- */

/* The tree, a line a device: where it is, its state, and the driver that it was installed with. */
static void describe_tree(char *text, size_t size)
{
    size_t used = 0;

    for (struct devnode *node = pnp_root(); node != NULL; node = pnp_next(node)) {
        char *path = image_printf("%s\\%s", CM_ENUM, pnp_instance_path(node));
        struct cm_key *key = cm_key_open(path);
        char *driver = key != NULL ? cm_value_get_string(key, "Driver") : NULL;

        used += (size_t)snprintf(text + used, size - used, "%s %s %s\n", pnp_instance_path(node),
                                 pnp_state_name(pnp_state(node)), driver != NULL ? driver : "-");
        ck_assert_uint_lt(used, size);
        image_free(driver);
        image_free(path);
    }
}

static void devices(void *unused)
{
    static char first[8192], again[8192];

    (void)unused;
    describe_tree(first, sizeof(first));
    ck_assert_ptr_nonnull(strstr(first, "XENVIF\\"));
    for (unsigned i = 0; i < 2; i++) {
        power_cycle();
        describe_tree(again, sizeof(again));
        ck_assert_str_eq(again, first);
    }
}

START_TEST(devices_are_the_same)
{
    static const struct stack_options options = {
        .from_dom0 = true, .drivers = STACK_XENVIF | STACK_NETCLIENT, .vifs = 2, .wait = true};

    stack_run(&options, devices, NULL);
}
END_TEST

/* ---- what is left of the guest ---- */

/* netback's figures of each interface that it has had, their place in its list, and what the allocator adds */
#define NETBACK_KEEPS (sizeof(struct netback_statistics) + sizeof(struct netback_statistics *) + 32u)

static void leaks(void *unused)
{
    size_t keeps = stack.options->vifs * NETBACK_KEEPS;
    size_t least = SIZE_MAX; /* a buffer may grow for good now and then; what leaks does so each time */
    size_t before = 0;

    (void)unused;
    for (unsigned i = 0; i < 6; i++) {
        size_t use, growth;

        power_cycle();
        use = image_arena_use(IMAGE_HOST);
        growth = use > before ? use - before : 0;
        if (i != 0 && growth < least)
            least = growth;
        before = use;
    }
    ck_assert_uint_le(least, keeps);
}

START_TEST(nothing_stays_in_the_host)
{
    const struct stack_options options = {
        .from_dom0 = true, .drivers = STACK_XENVIF | STACK_NETCLIENT, .vifs = (unsigned)_i, .wait = true};

    stack_run(&options, leaks, NULL);
}
END_TEST

/* A backend that never lets go of a page keeps it; the next guest has another in its place. */
static void mapped(void *unused)
{
    const uint64_t gfn = guest_ram_gfn(1000);
    uint8_t *old = NULL, *other = NULL;
    int64_t handle = xen_foreign_map(XEN_DOM0, stack.domain.domid, gfn, (void **)&old);
    int64_t again;

    (void)unused;
    ck_assert_int_ge(handle, 0);
    memset(old, 0x5A, GUEST_PAGE_SIZE);
    memset(guest_frame(guest_ram_gfn(1001)), 0x5A, GUEST_PAGE_SIZE);
    power_cycle();
    ck_assert_uint_eq(old[0], 0x5A);
    ck_assert_uint_eq(old[GUEST_PAGE_SIZE - 1], 0x5A);
    again = xen_foreign_map(XEN_DOM0, stack.domain.domid, gfn, (void **)&other);
    ck_assert_int_ge(again, 0);
    ck_assert_ptr_ne(other, old);
    ck_assert_uint_ne(other[GUEST_PAGE_SIZE - 1], 0x5A);
    old[0] = 0x5B; /* nobody's but the mapper's */
    ck_assert_uint_ne(other[0], 0x5B);
    ck_assert_uint_ne(*((uint8_t *)guest_frame(guest_ram_gfn(1001)) + GUEST_PAGE_SIZE - 1), 0x5A);
    xen_foreign_unmap(handle);
    xen_foreign_unmap(again);
    power_cycle();
    handle = xen_foreign_map(XEN_DOM0, stack.domain.domid, gfn, (void **)&other);
    ck_assert_ptr_eq(other, old);
    ck_assert_uint_ne(old[GUEST_PAGE_SIZE - 1], 0x5A);
    xen_foreign_unmap(handle);
}

START_TEST(pages_that_others_map_stay_theirs)
{
    static const struct stack_options options = {.from_dom0 = true};

    stack_run(&options, mapped, NULL);
}
END_TEST

/* ---- the clock, and those who wait ---- */

static LONGLONG ticks;

static void read_ticks(void *unused)
{
    LARGE_INTEGER count;

    (void)unused;
    KeQueryTickCount(&count);
    ticks = count.QuadPart;
}

static void since_boot(void *unused)
{
    (void)unused;
    (void)task_park(clock_now() + UINT64_C(20000000000), "a while");
    ck_assert(nt_thread_run("test", read_ticks, NULL));
    ck_assert_int_ge(ticks, 20 * 64);
    power_cycle();
    ck_assert(nt_thread_run("test", read_ticks, NULL));
    ck_assert_int_lt(ticks, 20 * 64);
}

START_TEST(time_since_boot_begins_again)
{
    static const struct stack_options options = {.from_dom0 = true, .engine = ENGINE_DETERMINISTIC};

    stack_run(&options, since_boot, NULL);
}
END_TEST

static volatile int outcome;

static void sleep_long(void *unused)
{
    LARGE_INTEGER interval = {.QuadPart = -36000000000};

    (void)unused;
    (void)KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

static void waiter_main(void *unused)
{
    (void)unused;
    outcome = nt_thread_run("sleeper", sleep_long, NULL) ? 1 : -1;
}

static void waiting(void *unused)
{
    (void)unused;
    (void)task_create("waiter", waiter_main, NULL);
    (void)task_park(clock_now() + UINT64_C(1000000), "a while");
    ck_assert_int_eq(outcome, 0);
    power_cycle();
    ck_assert_int_eq(outcome, -1);
}

START_TEST(who_waits_for_the_guest_goes_on)
{
    static const struct stack_options options = {.from_dom0 = true};

    outcome = 0;
    stack_run(&options, waiting, NULL);
}
END_TEST

/* ---- in a run ---- */

static void traffic_main(void *capture)
{
    stack_carry(0, capture, capture);
}

static void reset_often(void *argument)
{
    uint64_t *hash = argument;
    struct capture *few = stack_capture("tests/captures/few-wire.pcap");

    for (unsigned i = 0; i < 3; i++) {
        ck_assert(nt_thread_run("traffic", traffic_main, few));
        power_cycle();
    }
    ck_assert(nt_thread_run("traffic", traffic_main, few));
    capture_free(few);
    *hash = eventlog_hash();
}

static uint64_t hash_of_process(const struct stack_options *options)
{
    uint64_t hash = 0;
    int ends[2], status;
    pid_t pid;

    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        stack_run(options, reset_often, &hash);
        _exit(write(ends[1], &hash, sizeof(hash)) == sizeof(hash) ? 0 : 1);
    }
    close(ends[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(read(ends[0], &hash, sizeof(hash)), sizeof(hash));
    close(ends[0]);
    return hash;
}

START_TEST(equal_runs_with_resets)
{
    const struct stack_options options = {
        .from_dom0 = true,
        .drivers = STACK_XENVIF | STACK_NETCLIENT,
        .vifs = 1,
        .wait = true,
        .engine = ENGINE_DETERMINISTIC,
        .policy = _i == 0 ? POLICY_FIFO : POLICY_PCT,
    };
    uint64_t first = hash_of_process(&options);

    ck_assert_uint_ne(first, 0);
    ck_assert_uint_eq(hash_of_process(&options), first);
}
END_TEST

START_TEST(resets_on_the_parallel_engine)
{
    static const struct stack_options options = {.from_dom0 = true,
                                                 .drivers = STACK_XENVIF | STACK_NETCLIENT,
                                                 .vifs = 1,
                                                 .wait = true,
                                                 .vcpus = 4,
                                                 .engine = ENGINE_PARALLEL};
    uint64_t hash;

    stack_run(&options, reset_often, &hash);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reset");
    TCase *tcase = tcase_create("reset");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, what_is_on_the_disk_stays);
    tcase_add_test(tcase, devices_are_the_same);
    tcase_add_loop_test(tcase, nothing_stays_in_the_host, 0, 2);
    tcase_add_test(tcase, pages_that_others_map_stay_theirs);
    tcase_add_test(tcase, time_since_boot_begins_again);
    tcase_add_test(tcase, who_waits_for_the_guest_goes_on);
    tcase_add_loop_test(tcase, equal_runs_with_resets, 0, 2);
    tcase_add_test(tcase, resets_on_the_parallel_engine);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
