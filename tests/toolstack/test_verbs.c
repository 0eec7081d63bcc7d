/* Machines that stay up: pvsim create, and xl's verbs for them, each by process as a user starts them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/guest.h"
#include "common/process.h"
#include "common/standing.h"

static void create(void)
{
    expect_result(pvsim("create --run-dir %s", standing_dir), 0, "", "");
    ck_assert(standing_is_there());
}

/* What does not answer is not waited for as long as libxl does. */
#define TIMEOUT "2s"
#define TIMEOUT_MS "2000"

static void create_impatient(void)
{
    expect_result(pvsim("create --run-dir %s --log warning --toolstack-timeout " TIMEOUT, standing_dir), 0, "", "");
}

/* ---- create, list, destroy ---- */

START_TEST(up_and_down)
{
    struct stat status;
    char path[128];

    create();
    ck_assert_int_eq(stat(standing_dir, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0700);
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    ck_assert_str_eq(standing_read("/local/domain/1/name"), "guest");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
    ck_assert(!standing_is_there());
    snprintf(path, sizeof(path), "%s/control.sock", standing_dir);
    ck_assert(access(path, F_OK) != 0);
}
END_TEST

START_TEST(list_is_xls)
{
    struct process_result result;
    char line[128];
    float time;

    expect_result(pvsim("create --run-dir %s --name win10 --vcpus 3 --memory 96", standing_dir), 0, "", "");
    result = VERB("list", "", standing_dir);
    ck_assert_int_eq(result.status, 0);
    ck_assert_uint_eq(line_count(result.output), 3);
    ck_assert(
        strncmp(result.output, STANDING_LIST_HEADER "Domain-0  ", sizeof(STANDING_LIST_HEADER "Domain-0  ") - 1) == 0);
    process_free(&result);

    result = VERB("list", "win10", standing_dir);
    ck_assert_int_eq(result.status, 0);
    ck_assert_uint_eq(line_count(result.output), 2);
    snprintf(line, sizeof(line), "%-40s %5d %5d %5d     ", "win10", 1, 96, 3);
    ck_assert_msg(strncmp(result.output + strlen(STANDING_LIST_HEADER), line, strlen(line)) == 0, "it printed: %s",
                  result.output);
    ck_assert_int_eq(sscanf(result.output + strlen(STANDING_LIST_HEADER) + strlen(line) + 6, " %f", &time), 1);
    process_free(&result);
    expect_complaint(VERB("list", "nobody", standing_dir), 1, "nobody is an invalid domain identifier");
    expect_complaint(VERB("list", "7", standing_dir), 1, "7 is an invalid domain identifier");
}
END_TEST

/* What -v and -Z add is xl's. */
START_TEST(list_has_more)
{
    struct process_result result;
    char end[128];

    create();
    result = VERB("list", "-v guest", standing_dir);
    snprintf(end, sizeof(end), " %s        -                -\n", standing_read("/local/domain/1/vm") + strlen("/vm/"));
    ck_assert_int_eq(result.status, 0);
    ck_assert_msg(strstr(result.output, "Time(s)   UUID                            Reason-Code\tSecurity Label\n") &&
                      strlen(result.output) > strlen(end) &&
                      strcmp(result.output + strlen(result.output) - strlen(end), end) == 0,
                  "it printed: %s", result.output);
    process_free(&result);
    expect_result(VERB("suspend", "guest", standing_dir), 0, "", "");
    result = VERB("list", "--verbose guest", standing_dir);
    ck_assert_msg(strstr(result.output, "        2                -\n") != NULL, "it printed: %s", result.output);
    process_free(&result);
    result = VERB("list", "-Z", standing_dir);
    ck_assert_msg(strstr(result.output, "Time(s)   Security Label\n") != NULL, "it printed: %s", result.output);
    ck_assert_msg(strstr(result.output, "/vm/") == NULL && strstr(result.output, "                -\n") != NULL,
                  "it printed: %s", result.output);
    process_free(&result);
}
END_TEST

static float listed_time(const char *domain)
{
    struct process_result result = VERB("list", "%s", standing_dir, domain);
    float time = 0;

    ck_assert_int_eq(result.status, 0);
    ck_assert_int_eq(sscanf(result.output + strlen(STANDING_LIST_HEADER) + 40 + 6 + 6 + 6 + 5 + 6, " %f", &time), 1);
    process_free(&result);
    return time;
}

/* An idle guest's time stands still; so does domain 0's. */
START_TEST(list_counts_what_ran)
{
    float guest, host;

    create();
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    guest = listed_time("guest");
    host = listed_time("0");
    standing_sleep_ms(1500);
    ck_assert_float_lt(listed_time("guest") - guest, 1.0f);
    ck_assert_float_lt(listed_time("0") - host, 1.0f);
}
END_TEST

/* What the machine's UUID is in the store; the machine ends. */
static const char *uuid_of(const char *options)
{
    static char uuids[5][64];
    static unsigned turn;
    char *uuid = uuids[turn++ % 5];
    char path[80];

    expect_result(pvsim("create --run-dir %s %s", standing_dir, options), 0, "", "");
    snprintf(uuid, sizeof(uuids[0]), "%s", standing_read("/local/domain/1/vm"));
    ck_assert_msg(strlen(uuid) == strlen("/vm/01234567-89ab-4def-8123-456789abcdef") && uuid[18] == '4', "it is %s",
                  uuid);
    snprintf(path, sizeof(path), "%s/uuid", uuid);
    ck_assert_str_eq(standing_read(path), uuid + strlen("/vm/"));
    expect_result(VERB("reboot", "1 -w", standing_dir), 0, "", "Rebooting domain 1\n");
    standing_wait_for_node("/local/domain/2/vm", uuid); /* the same domain, as xl has it */
    expect_result(VERB("destroy", "2", standing_dir), 0, "", "");
    return uuid;
}

/* Of a machine that is given none: always the same, and no other machine's. */
START_TEST(uuid_is_its_own)
{
    const char *first = uuid_of("");

    ck_assert_str_eq(uuid_of(""), first);
    ck_assert_str_ne(uuid_of("--name other"), first);
    ck_assert_str_ne(uuid_of("--seed 2"), first);
}
END_TEST

START_TEST(one_machine_a_folder)
{
    create();
    expect_complaint(pvsim("create --run-dir %s", standing_dir), 1, "a machine runs in");
    standing_kill(); /* what it leaves behind is in nobody's way */
    expect_complaint(VERB("list", "", standing_dir), 1, "no machine runs in");
    create();
    expect_complaint(VERB("destroy", "0", standing_dir), 1, "Cannot destroy privileged domain 0");
    ck_assert(standing_is_there());
}
END_TEST

START_TEST(refused)
{
    expect_complaint(VERB("list", "", standing_dir), 1, "no machine runs in");
    expect_complaint(pvsim("create --run-dir /nowhere/at/all"), 2, "cannot be made");
    expect_complaint(pvsim("create --run-dir %s --tx file", standing_dir), 2, "unknown option --tx");
    expect_complaint(pvsim("create --run-dir %s --name 12", standing_dir), 2, "--name takes");
    expect_complaint(pvsim("create one.cfg --run-dir %s two.cfg", standing_dir), 2, "unexpected argument 'two.cfg'");
    expect_complaint(pvsim("create --run-dir %s --drivers /nowhere", standing_dir), 2, "/nowhere/xen.so is not there");
    expect_complaint(VERB("pause", "", standing_dir), 2, "takes DOMAIN");
    expect_complaint(VERB("pause", "a b", standing_dir), 2, "unexpected argument 'b'");
    expect_complaint(VERB("pause", "-x a", standing_dir), 2, "unknown option -x");
    expect_complaint(pvsim("create --run-dir %s --toolstack-timeout 1us", standing_dir), 2,
                     "--toolstack-timeout takes");
    expect_complaint(pvsim("list --run-dir"), 2, "--run-dir takes a value");
    ck_assert(!standing_is_there());
}
END_TEST

/* The bugcheck of a guest that boots is the command's failure, and the log has the whole of it. */
START_TEST(boot_that_fails)
{
    struct process_result result = pvsim("create --run-dir %s --dispatch-limit 1us --policy random", standing_dir);

    ck_assert_msg(result.status == 1 && strstr(result.error, "the machine failed: ") != NULL, "status %d: %s",
                  result.status, result.error);
    process_free(&result);
    ck_assert(!standing_is_there());
}
END_TEST

/* ---- pause, unpause ---- */

static char paused_letter(void)
{
    return standing_state()[2];
}

/* Nothing of the guest has run before its user wants it. */
START_TEST(created_paused)
{
    expect_result(pvsim("create --run-dir %s -p", standing_dir), 0, "", "");
    ck_assert_str_eq(standing_state(), "--p---");
    ck_assert_str_eq(standing_read("/local/domain/1/device/vif/0/state"), "1");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/0/state"), "2");
    standing_sleep_ms(200);
    ck_assert_str_eq(standing_read("/local/domain/1/device/vif/0/state"), "1");
    expect_complaint(VERB("migrate", "guest localhost", standing_dir), 1, "no PV drivers yet that could suspend it");
    expect_result(VERB("unpause", "guest", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    standing_wait_for_node("/local/domain/1/control/feature-reboot", "1");
    expect_result(VERB("reboot", "guest", standing_dir), 0, "", "Rebooting domain 1\n"); /* which begins at once */
    standing_wait_for_node("/local/domain/2/device/vif/0/state", "4");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

START_TEST(destroyed_before_it_began)
{
    expect_result(pvsim("create -p --run-dir %s", standing_dir), 0, "", "");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
    ck_assert(!standing_is_there());
}
END_TEST

START_TEST(paused_and_unpaused)
{
    create_impatient();
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    ck_assert_int_eq(paused_letter(), '-');
    expect_result(VERB("pause", "guest", standing_dir), 0, "", "");
    ck_assert_int_eq(paused_letter(), 'p');

    /* Its frontend answers nothing: after a while the interface goes without it, as xl has it. */
    expect_result(VERB("network-detach", "guest 0", standing_dir), 0, "", "");
    ck_assert_str_eq(standing_read("/local/domain/1/device/vif/0/state"), "");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/0/state"), "");
    ck_assert(standing_log_has("did not close within " TIMEOUT_MS " ms: it is removed without its guest"));

    expect_result(VERB("pause", "guest", standing_dir), 0, "", ""); /* pauses count */
    expect_result(VERB("unpause", "guest", standing_dir), 0, "", "");
    ck_assert_int_eq(paused_letter(), 'p');
    expect_result(VERB("unpause", "guest", standing_dir), 0, "", "");
    ck_assert_int_eq(paused_letter(), '-');
    expect_complaint(VERB("unpause", "guest", standing_dir), 1, "Invalid argument");
    expect_complaint(VERB("pause", "0", standing_dir), 1, "Invalid argument");

    /* It goes on where it was. */
    expect_result(VERB("network-attach", "guest", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

/* ---- mem-set ---- */

START_TEST(memory_is_set)
{
    expect_result(pvsim("create --run-dir %s --memory 128", standing_dir), 0, "", "");
    ck_assert_str_eq(standing_read("/local/domain/1/memory/target"), "131072");
    expect_result(VERB("mem-set", "guest 96", standing_dir), 0, "", "");
    ck_assert_str_eq(standing_read("/local/domain/1/memory/target"), "98304");
    standing_wait_for_memory(96);
    expect_result(VERB("mem-set", "1 100000k", standing_dir), 0, "", "");
    ck_assert_str_eq(standing_read("/local/domain/1/memory/target"), "100000");
    standing_wait_for_memory(97);
    expect_complaint(VERB("mem-set", "guest 129", standing_dir), 1, "memory_dynamic_max must be less than or equal to");
    ck_assert_str_eq(standing_read("/local/domain/1/memory/target"), "100000");
    expect_complaint(VERB("mem-set", "guest 0", standing_dir), 2, "invalid memory size: 0");
    expect_complaint(VERB("mem-set", "guest 96x", standing_dir), 2, "invalid memory size: 96x");
    expect_complaint(VERB("mem-set", "guest 96mb", standing_dir), 2, "invalid memory size: 96mb");
    expect_complaint(VERB("mem-set", "0 96", standing_dir), 1, "domain 0 is the host");
    expect_complaint(VERB("mem-set", "nobody 96", standing_dir), 1, "nobody is an invalid domain identifier");
    expect_result(VERB("mem-set", "guest 134217728b", standing_dir), 0, "", "");
    ck_assert_str_eq(standing_read("/local/domain/1/memory/target"), "131072");
    standing_wait_for_memory(128);

    /* A reboot begins with all of it. */
    expect_result(VERB("mem-set", "guest 90", standing_dir), 0, "", "");
    standing_wait_for_memory(90);
    expect_result(VERB("reboot", "guest", standing_dir), 0, "", "Rebooting domain 1\n");
    standing_wait_for_node("/local/domain/2/control/feature-balloon", "1");
    standing_wait_for_memory(128);
}
END_TEST

/* ---- debug-keys ---- */

START_TEST(keys_of_the_console)
{
    expect_result(pvsim("create --run-dir %s --log warning", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_complaint(VERB("debug-keys", "qz", standing_dir), 1,
                     "there is no key 'z' here; there are e, g, h, q, r and t");
    expect_result(VERB("debug-keys", "eghrt", standing_dir), 0, "", "");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
    ck_assert(standing_log_has("'q' pressed"));
    ck_assert(standing_log_has("notifying guest 1:0 (virq 1, port "));
    ck_assert(!standing_log_has("notifying guest 1:0 (virq 1, port 0)")); /* the drivers listen */
    ck_assert(standing_log_has("domain 1 port 1: status "));
    ck_assert(standing_log_has("grant-table for domain 1 (v"));
    ck_assert(standing_log_has("domain 1 grant 1: pinned by domain 0, ")); /* the store's ring */
    ck_assert(standing_log_has("key 'g': print grant table usage"));
    ck_assert(standing_log_has("vCPU 1:1: blocked for ") || standing_log_has("vCPU 1:1: running for "));
    ck_assert(standing_log_has("vCPU 1:0: time page version "));
    ck_assert(standing_log_has("system time: "));
}
END_TEST

/* ---- suspend, resume, migrate ---- */

START_TEST(suspended_and_resumed)
{
    create();
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_complaint(VERB("resume", "guest", standing_dir), 1, "it is not suspended");
    expect_complaint(VERB("suspend", "0", standing_dir), 1, "domain 0 is the host");
    expect_result(VERB("suspend", "guest", standing_dir), 0, "", "");
    ck_assert_str_eq(standing_state(), "---ss-");
    expect_complaint(VERB("suspend", "guest", standing_dir), 1, "is suspended already");
    expect_result(VERB("resume", "guest", standing_dir), 0, "", "");
    ck_assert_int_eq(standing_state()[3], '-');
    expect_result(VERB("network-attach", "guest", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/1/state", "4");

    /* Slow: everything is connected anew. */
    expect_result(VERB("suspend", "guest", standing_dir), 0, "", "");
    expect_result(VERB("resume", "-s guest", standing_dir), 0, "", "");
    expect_result(VERB("network-attach", "guest", standing_dir), 0, "", "");
    for (unsigned vif = 0; vif < 3; vif++) {
        char path[64];

        snprintf(path, sizeof(path), "/local/domain/1/device/vif/%u/state", vif);
        standing_wait_for_node(path, "4");
    }

    /* Without its drivers: they notice nothing, either way. */
    expect_result(VERB("suspend", "-f guest", standing_dir), 0, "", "");
    ck_assert_str_eq(standing_state() + 3, "ss-");
    expect_result(VERB("resume", "guest", standing_dir), 0, "", "");
    expect_result(VERB("suspend", "-f guest", standing_dir), 0, "", "");
    expect_result(VERB("resume", "-s guest", standing_dir), 0, "", "");
    expect_result(VERB("network-detach", "guest 1", standing_dir), 0, "", "");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

START_TEST(suspend_is_not_taken)
{
    create_impatient();
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_result(VERB("pause", "guest", standing_dir), 0, "", "");
    expect_complaint(VERB("suspend", "guest", standing_dir), 1,
                     "did not take the request to suspend within " TIMEOUT_MS " ms");
    expect_complaint(VERB("migrate", "guest localhost", standing_dir), 1, "did not take the request to suspend");
    ck_assert_str_eq(standing_read("/local/domain/1/control/shutdown"), "");
    expect_result(VERB("unpause", "guest", standing_dir), 0, "", "");
    expect_result(VERB("suspend", "guest", standing_dir), 0, "", "");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

START_TEST(migrated)
{
    create();
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    expect_result(VERB("network-attach",
                       "guest mac=00:16:3e:01:02:03 bridge=br7 mtu=9000 ip=10.1.1.1 vifname=tap7 devid=4",
                       standing_dir),
                  0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/4/state", "4");
    expect_complaint(VERB("migrate", "guest elsewhere", standing_dir), 1, "there is no host 'elsewhere'");
    expect_complaint(VERB("migrate", "0 localhost", standing_dir), 1, "domain 0 is the host");
    expect_result(VERB("migrate", "guest localhost", standing_dir), 0, "", "Migration successful.\n");
    ck_assert_str_eq(standing_read("/local/domain/1/name"), "");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/0/mac"), "");
    ck_assert_str_eq(standing_read("/local/domain/2/name"), "guest");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/4/mac"), "00:16:3e:01:02:03");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/4/bridge"), "br7");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/4/ip"), "10.1.1.1");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/4/vifname"), "tap7");
    ck_assert_str_eq(standing_read("/local/domain/2/device/vif/4/mtu"), "9000");
    standing_wait_for_node("/local/domain/2/device/vif/0/state", "4");
    standing_wait_for_node("/local/domain/2/device/vif/4/state", "4");
    expect_complaint(VERB("list", "1", standing_dir), 1, "1 is an invalid domain identifier");

    /* One that has been suspended before; and the interfaces are as good as new. */
    expect_result(VERB("suspend", "guest", standing_dir), 0, "", "");
    expect_result(VERB("resume", "guest", standing_dir), 0, "", "");
    expect_result(VERB("migrate", "2 localhost", standing_dir), 0, "", "Migration successful.\n");
    standing_wait_for_node("/local/domain/3/device/vif/0/state", "4");
    expect_result(VERB("migrate", "-p 3 localhost", standing_dir), 0, "", "Migration successful.\n");
    ck_assert_int_eq(paused_letter(), 'p');
    expect_result(VERB("unpause", "4", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/4/device/vif/0/state", "4");
    expect_result(VERB("network-detach", "4 0", standing_dir), 0, "", "");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
    ck_assert(!standing_is_there());
}
END_TEST

/* ---- interfaces ---- */

START_TEST(attached_and_detached)
{
    create();
    expect_result(VERB("network-attach", "guest mac=00:16:3e:01:02:03 bridge=br7 mtu=9000 ip=10.1.1.1 vifname=tap7",
                       standing_dir),
                  0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/1/state", "4");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/1/mac"), "00:16:3e:01:02:03");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/1/bridge"), "br7");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/1/ip"), "10.1.1.1");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/1/vifname"), "tap7");
    ck_assert_str_eq(standing_read("/local/domain/1/device/vif/1/mtu"), "9000");

    expect_result(VERB("network-detach", "1 00:16:3E:01:02:03", standing_dir), 0, "", "");
    ck_assert_str_eq(standing_read("/local/domain/1/device/vif/1/mac"), "");
    expect_result(VERB("network-detach", "guest 0", standing_dir), 0, "", "");
    expect_result(VERB("network-attach", "guest devid=5", standing_dir), 0, "", "");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/5/mac"), "00:16:3e:5a:00:05");
    standing_wait_for_node("/local/domain/1/device/vif/5/state", "4");
    expect_result(VERB("network-attach", "guest", standing_dir), 0, "", ""); /* libxl's next number */
    standing_wait_for_node("/local/domain/1/device/vif/6/state", "4");
}
END_TEST

/* Interfaces that the guest lacks something for are told of, with the way out. */
START_TEST(limits_too_low)
{
    expect_complaint(pvsim("create --run-dir %s --vifs 3 --max-grant-frames 3 --log info", standing_dir), 0,
                     "; its grant table is full, 3 frames: give it more, --max-grant-frames ");
    ck_assert(standing_log_has("all 3 frames that the host allows are in use: it needs a larger max_grant_frames"));
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
    expect_complaint(
        pvsim("create --run-dir %s --vifs 3 --store-quota watches=12", standing_dir), 0,
        "; it has all the watches in the store that it may have, 12: give it more, --store-quota watches=");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
    expect_complaint(
        pvsim("create --run-dir %s --vifs 48 --memory 64 --max-grant-frames 256 --store-quota watches=1000 "
              "--store-quota nodes=10000",
              standing_dir),
        0, "; the guest's memory was used up: give it more, --memory ");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
    expect_result(pvsim("create --run-dir %s --vifs 3 --max-grant-frames 64", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/2/state", "4");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

START_TEST(interfaces_refused)
{
    create();
    expect_complaint(VERB("network-attach", "nobody", standing_dir), 1, "nobody is an invalid domain identifier");
    expect_complaint(VERB("network-attach", "0", standing_dir), 1, "domain 0");
    expect_complaint(VERB("network-attach", "guest devid=0", standing_dir), 1, "File exists");
    expect_complaint(VERB("network-attach", "guest mac=xyz", standing_dir), 2, "mac= takes");
    expect_complaint(VERB("network-attach", "guest mac=01:16:3e:01:02:03", standing_dir), 2, "mac= takes");
    expect_complaint(VERB("network-attach", "guest mtu=20", standing_dir), 2, "mtu= takes");
    expect_complaint(VERB("network-attach", "guest devid=128", standing_dir), 2, "devid= takes");
    expect_complaint(VERB("network-attach", "guest backend=9", standing_dir), 2, "9 is an invalid domain identifier");
    expect_complaint(VERB("network-attach", "guest rate=often", standing_dir), 2, "rate= takes");
    expect_complaint(VERB("network-attach", "guest trusted=1", standing_dir), 2, "unrecognized argument 'trusted=1'");
    expect_complaint(VERB("network-attach", "guest accel=1", standing_dir), 2, "'accel=1' has no meaning here");
    expect_complaint(VERB("network-attach", "guest model=e1000", standing_dir), 2, "can't be plugged into");
    expect_complaint(VERB("network-attach", "guest type=ioemu", standing_dir), 2, "can't be plugged into");
    expect_complaint(VERB("network-attach", "guest bridge", standing_dir), 2, "unrecognized argument 'bridge'");
    expect_complaint(VERB("network-detach", "guest 3", standing_dir), 1, "Unknown device 3.");
    expect_complaint(VERB("network-detach", "guest 00:16:3e:99:99:99", standing_dir), 1,
                     "Unknown device 00:16:3e:99:99:99.");
    expect_complaint(VERB("network-detach", "guest eth0", standing_dir), 1, "Unknown device eth0.");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verbs");
    TCase *life = tcase_create("life");
    TCase *suspend = tcase_create("suspend");
    TCase *network = tcase_create("network");
    int status;

    if (!standing_init())
        return 125;
    tcase_add_test(life, up_and_down);
    tcase_add_test(life, list_is_xls);
    tcase_add_test(life, list_has_more);
    tcase_add_test(life, list_counts_what_ran);
    tcase_add_test(life, uuid_is_its_own);
    tcase_add_test(life, one_machine_a_folder);
    tcase_add_test(life, refused);
    tcase_add_test(life, boot_that_fails);
    tcase_add_test(life, created_paused);
    tcase_add_test(life, destroyed_before_it_began);
    tcase_add_test(life, paused_and_unpaused);
    tcase_add_test(life, memory_is_set);
    tcase_add_test(life, keys_of_the_console);
    standing_add(suite, life);
    tcase_add_test(suspend, suspended_and_resumed);
    tcase_add_test(suspend, suspend_is_not_taken);
    tcase_add_test(suspend, migrated);
    standing_add(suite, suspend);
    tcase_add_test(network, attached_and_detached);
    tcase_add_test(network, limits_too_low);
    tcase_add_test(network, interfaces_refused);
    standing_add(suite, network);
    status = guest_suite_run(suite);
    standing_end_last();
    return status;
}
