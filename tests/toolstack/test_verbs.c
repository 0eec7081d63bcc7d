/* Machines that stay up: pvsim create, and xl's verbs for them, each by process as a user starts them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

#include "common/guest.h"
#include "common/process.h"

#define HEADER "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"
#define WAIT_MS 60000 /* the machine under sanitizers, on a busy host */

static char dir[80];

static char *last_dir; /* shared with the processes of the tests: a test that fails leaves its machine */

static void sleep_ms(unsigned ms)
{
    const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&time, NULL);
}

/* Does a machine hold the folder's lock? */
static bool machine_is_there(void)
{
    char path[128];
    int fd;
    bool there;

    snprintf(path, sizeof(path), "%s/pid", dir);
    fd = open(path, O_RDONLY);
    if (fd < 0)
        return false;
    there = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    return there;
}

static pid_t machine_pid(void)
{
    char path[128];
    long pid = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/pid", dir);
    file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%ld", &pid) != 1)
            pid = 0;
        fclose(file);
    }
    return (pid_t)pid;
}

static void kill_machine(void)
{
    pid_t pid = machine_is_there() ? machine_pid() : 0;

    if (pid > 0)
        kill(pid, SIGKILL);
    while (machine_is_there())
        sleep_ms(5);
}

static void end_last_machine(void)
{
    strcpy(dir, last_dir);
    if (*dir != '\0')
        kill_machine();
}

static void name_dir(void)
{
    end_last_machine();
    snprintf(dir, sizeof(dir), "%s/run", scratch());
    strcpy(last_dir, dir);
}

/* A command ends with this status, and these texts (NULL: any). */
static void expect(struct process_result result, int status, const char *output, const char *error)
{
    ck_assert_msg(result.status == status, "status %d, not %d; it said: %s%s", result.status, status, result.output,
                  result.error);
    if (output != NULL)
        ck_assert_msg(strcmp(result.output, output) == 0, "it printed: %s", result.output);
    if (error != NULL)
        ck_assert_msg(strcmp(result.error, error) == 0, "its error is: %s", result.error);
    process_free(&result);
}

/* An error of one line in which this stands. */
static void expect_error(struct process_result result, int status, const char *part)
{
    ck_assert_msg(result.status == status && line_count(result.error) == 1 && strstr(result.error, part) != NULL,
                  "status %d, not %d; it said: %s%s", result.status, status, result.output, result.error);
    process_free(&result);
}

static void create(void)
{
    expect(pvsim("create --run-dir %s", dir), 0, "", "");
    ck_assert(machine_is_there());
}

/* What does not answer is not waited for as long as libxl does. */
#define TIMEOUT "2s"
#define TIMEOUT_MS "2000"

static void create_impatient(void)
{
    expect(pvsim("create --run-dir %s --toolstack-timeout " TIMEOUT, dir), 0, "", "");
}

/* The verb with its arguments, on the machine of the test. */
#define VERB(verb, ...) pvsim(verb " --run-dir %s " __VA_ARGS__)

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

/* The node's value in a buffer that the next call uses again; "" for an error. */
static const char *store_read(const char *path)
{
    static char value[XENSTORE_PAYLOAD_MAX + 1];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct xsd_sockmsg header = {.type = XS_READ, .len = (uint32_t)strlen(path) + 1};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/xenstored.sock", dir);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    transfer(fd, &header, sizeof(header), write_some);
    transfer(fd, (void *)(uintptr_t)path, header.len, write_some);
    transfer(fd, &header, sizeof(header), read);
    ck_assert_uint_le(header.len, XENSTORE_PAYLOAD_MAX);
    transfer(fd, value, header.len, read);
    value[header.type == XS_READ ? header.len : 0] = '\0';
    close(fd);
    return value;
}

static void wait_for_node(const char *path, const char *wanted)
{
    for (unsigned waited = 0; strcmp(store_read(path), wanted) != 0; waited += 10) {
        ck_assert_msg(waited < WAIT_MS, "%s is '%s', not '%s'", path, store_read(path), wanted);
        sleep_ms(10);
    }
}

/* ---- create, list, destroy ---- */

START_TEST(up_and_down)
{
    struct stat status;
    char path[128];

    create();
    ck_assert_int_eq(stat(dir, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0700);
    wait_for_node("/local/domain/1/device/vif/0/state", "4");
    ck_assert_str_eq(store_read("/local/domain/1/name"), "guest");
    expect(VERB("destroy", "guest", dir), 0, "", "");
    ck_assert(!machine_is_there());
    snprintf(path, sizeof(path), "%s/control.sock", dir);
    ck_assert(access(path, F_OK) != 0);
}
END_TEST

START_TEST(list_is_xls)
{
    struct process_result result;
    char line[128];
    float time;

    expect(pvsim("create --run-dir %s --name win10 --vcpus 3 --memory 96", dir), 0, "", "");
    result = VERB("list", "", dir);
    ck_assert_int_eq(result.status, 0);
    ck_assert_uint_eq(line_count(result.output), 3);
    ck_assert(strncmp(result.output, HEADER "Domain-0  ", sizeof(HEADER "Domain-0  ") - 1) == 0);
    process_free(&result);

    result = VERB("list", "win10", dir);
    ck_assert_int_eq(result.status, 0);
    ck_assert_uint_eq(line_count(result.output), 2);
    snprintf(line, sizeof(line), "%-40s %5d %5d %5d     ", "win10", 1, 96, 3);
    ck_assert_msg(strncmp(result.output + strlen(HEADER), line, strlen(line)) == 0, "it printed: %s", result.output);
    ck_assert_int_eq(sscanf(result.output + strlen(HEADER) + strlen(line) + 6, " %f", &time), 1);
    process_free(&result);
    expect_error(VERB("list", "nobody", dir), 1, "nobody is an invalid domain identifier");
    expect_error(VERB("list", "7", dir), 1, "7 is an invalid domain identifier");
}
END_TEST

START_TEST(one_machine_a_folder)
{
    create();
    expect_error(pvsim("create --run-dir %s", dir), 1, "a machine runs in");
    kill_machine(); /* what it leaves behind is in nobody's way */
    expect_error(VERB("list", "", dir), 1, "no machine runs in");
    create();
    expect_error(VERB("destroy", "0", dir), 1, "Cannot destroy privileged domain 0");
    ck_assert(machine_is_there());
}
END_TEST

START_TEST(refused)
{
    expect_error(VERB("list", "", dir), 1, "no machine runs in");
    expect_error(pvsim("create --run-dir /nowhere/at/all"), 2, "cannot be made");
    expect_error(pvsim("create --run-dir %s --tx file", dir), 2, "unknown option --tx");
    expect_error(pvsim("create --run-dir %s --name 12", dir), 2, "--name takes");
    expect_error(pvsim("create --run-dir %s extra", dir), 2, "unexpected argument 'extra'");
    expect_error(pvsim("create --run-dir %s --drivers /nowhere", dir), 2, "/nowhere/xen.so is not there");
    expect_error(VERB("pause", "", dir), 2, "takes DOMAIN");
    expect_error(VERB("pause", "a b", dir), 2, "unexpected argument 'b'");
    expect_error(VERB("pause", "-x a", dir), 2, "unknown option -x");
    expect_error(pvsim("create --run-dir %s --toolstack-timeout 1us", dir), 2, "--toolstack-timeout takes");
    expect_error(pvsim("list --run-dir"), 2, "--run-dir takes a value");
    ck_assert(!machine_is_there());
}
END_TEST

/* The bugcheck of a guest that boots is the command's failure, and the log has the whole of it. */
START_TEST(boot_that_fails)
{
    struct process_result result = pvsim("create --run-dir %s --dispatch-limit 1us --policy random", dir);

    ck_assert_msg(result.status == 1 && strstr(result.error, "the machine failed: ") != NULL, "status %d: %s",
                  result.status, result.error);
    process_free(&result);
    ck_assert(!machine_is_there());
}
END_TEST

/* ---- pause, unpause ---- */

/* The six letters of the guest's state. */
static const char *state_letters(void)
{
    static char letters[7];
    struct process_result result = VERB("list", "guest", dir);

    ck_assert_int_eq(result.status, 0);
    memcpy(letters, result.output + strlen(HEADER) + 40 + 6 + 6 + 6 + 5, 6);
    process_free(&result);
    return letters;
}

static char paused_letter(void)
{
    return state_letters()[2];
}

START_TEST(paused_and_unpaused)
{
    create_impatient();
    wait_for_node("/local/domain/1/device/vif/0/state", "4");
    ck_assert_int_eq(paused_letter(), '-');
    expect(VERB("pause", "guest", dir), 0, "", "");
    ck_assert_int_eq(paused_letter(), 'p');

    /* Its frontend answers nothing. */
    expect_error(VERB("network-detach", "guest 0", dir), 1, "did not close within " TIMEOUT_MS " ms");

    expect(VERB("pause", "guest", dir), 0, "", ""); /* pauses count */
    expect(VERB("unpause", "guest", dir), 0, "", "");
    ck_assert_int_eq(paused_letter(), 'p');
    expect(VERB("unpause", "guest", dir), 0, "", "");
    ck_assert_int_eq(paused_letter(), '-');
    expect_error(VERB("unpause", "guest", dir), 1, "Invalid argument");
    expect_error(VERB("pause", "0", dir), 1, "Invalid argument");

    /* It goes on where it was. */
    expect(VERB("network-attach", "guest", dir), 0, "", "");
    wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect(VERB("destroy", "guest", dir), 0, "", "");
}
END_TEST

/* ---- mem-set ---- */

START_TEST(memory_is_set)
{
    expect(pvsim("create --run-dir %s --memory 128", dir), 0, "", "");
    ck_assert_str_eq(store_read("/local/domain/1/memory/target"), "131072");
    expect(VERB("mem-set", "guest 96", dir), 0, "", "");
    ck_assert_str_eq(store_read("/local/domain/1/memory/target"), "98304");
    expect(VERB("mem-set", "1 100000k", dir), 0, "", "");
    ck_assert_str_eq(store_read("/local/domain/1/memory/target"), "100000");
    expect_error(VERB("mem-set", "guest 129", dir), 1, "memory_dynamic_max must be less than or equal to");
    ck_assert_str_eq(store_read("/local/domain/1/memory/target"), "100000");
    expect_error(VERB("mem-set", "guest 0", dir), 2, "invalid memory size: 0");
    expect_error(VERB("mem-set", "guest 96x", dir), 2, "invalid memory size: 96x");
    expect_error(VERB("mem-set", "guest 96mb", dir), 2, "invalid memory size: 96mb");
    expect_error(VERB("mem-set", "0 96", dir), 1, "domain 0 is the host");
    expect_error(VERB("mem-set", "nobody 96", dir), 1, "nobody is an invalid domain identifier");
    expect(VERB("mem-set", "guest 134217728b", dir), 0, "", "");
    ck_assert_str_eq(store_read("/local/domain/1/memory/target"), "131072");
}
END_TEST

/* ---- debug-keys ---- */

static bool log_has(const char *part)
{
    char path[128], line[1024];
    FILE *file;
    bool found = false;

    snprintf(path, sizeof(path), "%s/log", dir);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (!found && fgets(line, sizeof(line), file) != NULL)
        found = strstr(line, part) != NULL;
    fclose(file);
    return found;
}

START_TEST(keys_of_the_console)
{
    expect(pvsim("create --run-dir %s --log warning", dir), 0, "", "");
    wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_error(VERB("debug-keys", "qz", dir), 1, "there is no key 'z' here");
    expect(VERB("debug-keys", "e", dir), 0, "", "");
    expect(VERB("destroy", "guest", dir), 0, "", "");
    ck_assert(log_has("'q' pressed"));
    ck_assert(log_has("notifying guest 1:0 (virq 1, port "));
    ck_assert(!log_has("notifying guest 1:0 (virq 1, port 0)")); /* the drivers listen */
    ck_assert(log_has("domain 1 port 1: status "));
}
END_TEST

/* ---- suspend, resume, migrate ---- */

START_TEST(suspended_and_resumed)
{
    create();
    wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_error(VERB("resume", "guest", dir), 1, "it is not suspended");
    expect_error(VERB("suspend", "0", dir), 1, "domain 0 is the host");
    expect(VERB("suspend", "guest", dir), 0, "", "");
    ck_assert_str_eq(state_letters(), "---ss-");
    expect_error(VERB("suspend", "guest", dir), 1, "is suspended already");
    expect(VERB("resume", "guest", dir), 0, "", "");
    ck_assert_int_eq(state_letters()[3], '-');
    expect(VERB("network-attach", "guest", dir), 0, "", "");
    wait_for_node("/local/domain/1/device/vif/1/state", "4");

    /* Slow: everything is connected anew. */
    expect(VERB("suspend", "guest", dir), 0, "", "");
    expect(VERB("resume", "-s guest", dir), 0, "", "");
    expect(VERB("network-attach", "guest", dir), 0, "", "");
    for (unsigned vif = 0; vif < 3; vif++) {
        char path[64];

        snprintf(path, sizeof(path), "/local/domain/1/device/vif/%u/state", vif);
        wait_for_node(path, "4");
    }

    /* Without its drivers: they notice nothing, either way. */
    expect(VERB("suspend", "-f guest", dir), 0, "", "");
    ck_assert_str_eq(state_letters() + 3, "ss-");
    expect(VERB("resume", "guest", dir), 0, "", "");
    expect(VERB("suspend", "-f guest", dir), 0, "", "");
    expect(VERB("resume", "-s guest", dir), 0, "", "");
    expect(VERB("network-detach", "guest 1", dir), 0, "", "");
    expect(VERB("destroy", "guest", dir), 0, "", "");
}
END_TEST

START_TEST(suspend_is_not_taken)
{
    create_impatient();
    wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect(VERB("pause", "guest", dir), 0, "", "");
    expect_error(VERB("suspend", "guest", dir), 1, "did not take the request to suspend within " TIMEOUT_MS " ms");
    expect_error(VERB("migrate", "guest localhost", dir), 1, "did not take the request to suspend");
    ck_assert_str_eq(store_read("/local/domain/1/control/shutdown"), "");
    expect(VERB("unpause", "guest", dir), 0, "", "");
    expect(VERB("suspend", "guest", dir), 0, "", "");
    expect(VERB("destroy", "guest", dir), 0, "", "");
}
END_TEST

START_TEST(migrated)
{
    create();
    wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect(
        VERB("network-attach", "guest mac=00:16:3e:01:02:03 bridge=br7 mtu=9000 ip=10.1.1.1 vifname=tap7 devid=4", dir),
        0, "", "");
    wait_for_node("/local/domain/1/device/vif/4/state", "4");
    expect_error(VERB("migrate", "guest elsewhere", dir), 1, "there is no host 'elsewhere'");
    expect_error(VERB("migrate", "0 localhost", dir), 1, "domain 0 is the host");
    expect(VERB("migrate", "guest localhost", dir), 0, "Migration successful.\n", "");
    ck_assert_str_eq(store_read("/local/domain/1/name"), "");
    ck_assert_str_eq(store_read("/local/domain/0/backend/vif/1/0/mac"), "");
    ck_assert_str_eq(store_read("/local/domain/2/name"), "guest");
    ck_assert_str_eq(store_read("/local/domain/0/backend/vif/2/4/mac"), "00:16:3e:01:02:03");
    ck_assert_str_eq(store_read("/local/domain/0/backend/vif/2/4/bridge"), "br7");
    ck_assert_str_eq(store_read("/local/domain/0/backend/vif/2/4/ip"), "10.1.1.1");
    ck_assert_str_eq(store_read("/local/domain/0/backend/vif/2/4/vifname"), "tap7");
    ck_assert_str_eq(store_read("/local/domain/2/device/vif/4/mtu"), "9000");
    wait_for_node("/local/domain/2/device/vif/0/state", "4");
    wait_for_node("/local/domain/2/device/vif/4/state", "4");
    expect_error(VERB("list", "1", dir), 1, "1 is an invalid domain identifier");

    /* One that has been suspended before; and the interfaces are as good as new. */
    expect(VERB("suspend", "guest", dir), 0, "", "");
    expect(VERB("resume", "guest", dir), 0, "", "");
    expect(VERB("migrate", "2 localhost", dir), 0, "Migration successful.\n", "");
    wait_for_node("/local/domain/3/device/vif/0/state", "4");
    expect(VERB("network-detach", "3 0", dir), 0, "", "");
    expect(VERB("destroy", "guest", dir), 0, "", "");
    ck_assert(!machine_is_there());
}
END_TEST

/* ---- interfaces ---- */

START_TEST(attached_and_detached)
{
    create();
    expect(VERB("network-attach", "guest mac=00:16:3e:01:02:03 bridge=br7 mtu=9000 ip=10.1.1.1 vifname=tap7", dir), 0,
           "", "");
    wait_for_node("/local/domain/1/device/vif/1/state", "4");
    ck_assert_str_eq(store_read("/local/domain/0/backend/vif/1/1/mac"), "00:16:3e:01:02:03");
    ck_assert_str_eq(store_read("/local/domain/0/backend/vif/1/1/bridge"), "br7");
    ck_assert_str_eq(store_read("/local/domain/0/backend/vif/1/1/ip"), "10.1.1.1");
    ck_assert_str_eq(store_read("/local/domain/0/backend/vif/1/1/vifname"), "tap7");
    ck_assert_str_eq(store_read("/local/domain/1/device/vif/1/mtu"), "9000");

    expect(VERB("network-detach", "1 00:16:3E:01:02:03", dir), 0, "", "");
    ck_assert_str_eq(store_read("/local/domain/1/device/vif/1/mac"), "");
    expect(VERB("network-detach", "guest 0", dir), 0, "", "");
    expect(VERB("network-attach", "guest devid=5", dir), 0, "", "");
    ck_assert_str_eq(store_read("/local/domain/0/backend/vif/1/5/mac"), "00:16:3e:5a:00:05");
    wait_for_node("/local/domain/1/device/vif/5/state", "4");
    expect(VERB("network-attach", "guest", dir), 0, "", ""); /* libxl's next number */
    wait_for_node("/local/domain/1/device/vif/6/state", "4");
}
END_TEST

START_TEST(interfaces_refused)
{
    create();
    expect_error(VERB("network-attach", "nobody", dir), 1, "nobody is an invalid domain identifier");
    expect_error(VERB("network-attach", "0", dir), 1, "domain 0");
    expect_error(VERB("network-attach", "guest devid=0", dir), 1, "File exists");
    expect_error(VERB("network-attach", "guest mac=xyz", dir), 2, "mac= takes");
    expect_error(VERB("network-attach", "guest mac=01:16:3e:01:02:03", dir), 2, "mac= takes");
    expect_error(VERB("network-attach", "guest mtu=20", dir), 2, "mtu= takes");
    expect_error(VERB("network-attach", "guest devid=128", dir), 2, "devid= takes");
    expect_error(VERB("network-attach", "guest backend=9", dir), 2, "9 is an invalid domain identifier");
    expect_error(VERB("network-attach", "guest rate=1MB/s", dir), 2, "unrecognized argument 'rate=1MB/s'");
    expect_error(VERB("network-attach", "guest bridge", dir), 2, "unrecognized argument 'bridge'");
    expect_error(VERB("network-detach", "guest 3", dir), 1, "Unknown device 3.");
    expect_error(VERB("network-detach", "guest 00:16:3e:99:99:99", dir), 1, "Unknown device 00:16:3e:99:99:99.");
    expect_error(VERB("network-detach", "guest eth0", dir), 1, "Unknown device eth0.");
}
END_TEST

/* ---- shutdown ---- */

static void wait_for_the_end(void)
{
    for (unsigned waited = 0; machine_is_there(); waited += 10) {
        ck_assert_msg(waited < WAIT_MS, "the machine is still there");
        sleep_ms(10);
    }
}

/* xl's default for a guest that has shut down: it is destroyed. */
START_TEST(power_button)
{
    create();
    wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_error(VERB("trigger", "guest reset", dir), 1, "trigger takes power here, not 'reset'");
    expect_error(VERB("trigger", "0 power", dir), 1, "domain 0");
    expect(VERB("trigger", "guest power", dir), 0, "", "");
    wait_for_the_end();
}
END_TEST

/* The request is there for the guest's agent, which these drivers leave to another one, and is taken back. */
START_TEST(shutdown_is_asked_for)
{
    create_impatient();
    wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_error(VERB("shutdown", "0", dir), 1, "domain 0");
    expect(VERB("shutdown", "guest", dir), 1, "Shutting down domain 1\n",
           "pvsim: domain 1 did not take the request to poweroff within " TIMEOUT_MS " ms\n");
    ck_assert_str_eq(store_read("/local/domain/1/control/shutdown"), "");
}
END_TEST

static void add(Suite *suite, TCase *tcase)
{
    tcase_add_checked_fixture(tcase, name_dir, kill_machine);
    tcase_set_timeout(tcase, 240);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("verbs");
    TCase *life = tcase_create("life");
    TCase *suspend = tcase_create("suspend");
    TCase *network = tcase_create("network");
    int status;

    last_dir = mmap(NULL, sizeof(dir), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (last_dir == MAP_FAILED)
        return 125;

    tcase_add_test(life, up_and_down);
    tcase_add_test(life, list_is_xls);
    tcase_add_test(life, one_machine_a_folder);
    tcase_add_test(life, refused);
    tcase_add_test(life, boot_that_fails);
    tcase_add_test(life, paused_and_unpaused);
    tcase_add_test(life, memory_is_set);
    tcase_add_test(life, keys_of_the_console);
    tcase_add_test(life, power_button);
    tcase_add_test(life, shutdown_is_asked_for);
    add(suite, life);
    tcase_add_test(suspend, suspended_and_resumed);
    tcase_add_test(suspend, suspend_is_not_taken);
    tcase_add_test(suspend, migrated);
    add(suite, suspend);
    tcase_add_test(network, attached_and_detached);
    tcase_add_test(network, interfaces_refused);
    add(suite, network);
    status = guest_suite_run(suite);
    end_last_machine();
    return status;
}
