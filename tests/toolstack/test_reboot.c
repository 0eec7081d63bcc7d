/* Machines that stay up and reboot: pvsim reboot and its like, by process as a user works with them. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/guest.h"
#include "common/standing.h"

#define TIMEOUT "2s"

/* In the place of an interface driver: it obeys control/shutdown, and says what it remembers (tests/clients/rebooter).
 */
#define REBOOTER                                                                                                       \
    "--agent off --driver " PVSIM_BUILD "/test-drivers/rebooter.so --inf " PVSIM_BUILD "/test-drivers/rebooter.inf"

/* The guest is up as this domain, by its boot number `boots`; nothing but its disk is as the last one left it. */
static void wait_for_boot(unsigned domid, unsigned boots)
{
    char path[64];
    char number[16];

    snprintf(path, sizeof(path), "/local/domain/%u/data/rebooter/boots", domid);
    snprintf(number, sizeof(number), "%u", boots);
    standing_wait_for_node(path, number);
    snprintf(path, sizeof(path), "/local/domain/%u/data/rebooter/volatile", domid);
    ck_assert_str_eq(standing_read(path), "0");
    snprintf(path, sizeof(path), "/local/domain/%u/data/rebooter/fresh", domid);
    ck_assert_str_eq(standing_read(path), "7");
    snprintf(path, sizeof(path), "/local/domain/%u/device/vif/0/state", domid);
    standing_wait_for_node(path, "4");
}

START_TEST(rebooted_in_a_row)
{
    struct process_result result;

    expect_result(pvsim("create --run-dir %s --vcpus 2 " REBOOTER, standing_dir), 0, "", "");
    wait_for_boot(1, 1);
    expect_result(VERB("network-attach",
                       "guest mac=00:16:3e:01:02:03 bridge=br7 mtu=9000 ip=10.1.1.1 vifname=tap7 devid=4",
                       standing_dir),
                  0, "", "");
    expect_complaint(VERB("reboot", "0", standing_dir), 1, "domain 0 is the host");
    expect_result(VERB("reboot", "guest -w", standing_dir), 0, "", "Rebooting domain 1\n");
    wait_for_boot(2, 2);
    ck_assert_str_eq(standing_read("/local/domain/1/name"), "");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/0/mac"), "");
    ck_assert_str_eq(standing_read("/local/domain/2/name"), "guest");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/4/mac"), "00:16:3e:01:02:03");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/4/vifname"), "tap7");
    ck_assert_str_eq(standing_read("/local/domain/2/device/vif/4/mtu"), "9000");
    standing_wait_for_node("/local/domain/2/device/vif/4/state", "4");

    /* Again, and of a domain that has migrated. */
    expect_result(VERB("reboot", "guest", standing_dir), 0, "", "Rebooting domain 2\n");
    wait_for_boot(3, 3);
    expect_result(VERB("migrate", "guest localhost", standing_dir), 0, "", "Migration successful.\n");
    standing_wait_for_node("/local/domain/4/device/vif/0/state", "4");
    expect_result(VERB("reboot", "4", standing_dir), 0, "", "Rebooting domain 4\n");
    wait_for_boot(5, 4);
    result = VERB("list", "guest", standing_dir);
    ck_assert_msg(strstr(result.output, "guest                                        5   128 ") != NULL, "%s",
                  result.output);
    process_free(&result);
    expect_result(VERB("shutdown", "guest", standing_dir), 0, "", "Shutting down domain 5\n");
    standing_wait_for_end();
}
END_TEST

/* Pageable code and pool are where they were, and touched in time. */
#ifndef PVSIM_SANITIZE /* which keeps the faults for itself */
START_TEST(rebooted_with_paged_memory)
{
    expect_result(pvsim("create --run-dir %s --paged strict", standing_dir), 0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    for (unsigned domid = 2; domid < 4; domid++) {
        char path[64];

        snprintf(path, sizeof(path), "/local/domain/%u/device/vif/0/state", domid);
        expect_result(VERB("reboot", "guest -w", standing_dir), 0, "", NULL);
        standing_wait_for_node(path, "4");
    }
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST
#endif

/* Nothing serves the interfaces yet, before and after. */
START_TEST(rebooted_without_a_backend)
{
    expect_result(pvsim("create --run-dir %s --backend none --vifs 2", standing_dir), 0, "", "");
    expect_result(VERB("reboot", "guest -w", standing_dir), 0, "", NULL);
    standing_wait_for_node("/local/domain/2/device/vif/1/state", "1");
    expect_result(VERB("reboot", "guest -w", standing_dir), 0, "", NULL);
    standing_wait_for_node("/local/domain/3/device/vif/1/state", "1");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
    ck_assert(!standing_is_there());
}
END_TEST

static void wait_for_log(const char *part)
{
    for (unsigned waited = 0; !standing_log_has(part); waited += 10) {
        ck_assert_msg(waited < 60000, "the log never says '%s'", part);
        standing_sleep_ms(10);
    }
}

static void kill_backend(void)
{
    char path[64];
    FILE *file;
    int child = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)standing_pid(), (int)standing_pid());
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%d", &child), 1);
    fclose(file);
    ck_assert_int_eq(kill(-child, SIGKILL), 0); /* with what the shell has started */
    wait_for_log("has ended");
}

/* As libxl: a domain whose interfaces get no backend within its time is not created. */
START_TEST(rebooted_with_a_dead_backend)
{
    expect_result(pvsim("create --run-dir %s --toolstack-timeout " TIMEOUT " --backend exec:%s/pvsim-netback",
                        standing_dir, PVSIM_BUILD),
                  0, "", "");
    expect_result(VERB("reboot", "guest -w", standing_dir), 0, "", NULL);
    standing_wait_for_node("/local/domain/2/device/vif/0/state", "4");
    kill_backend();
    expect_result(VERB("reboot", "guest -w", standing_dir), 0, "", NULL);
    standing_wait_for_end();
    ck_assert(standing_log_has("is not started again: the backend of VIF 0 of domain 3 is not at InitWait"));
}
END_TEST

/* The guest has gone on by then: not in vain, and not on its own. */
START_TEST(migrated_with_a_dead_backend)
{
    expect_result(pvsim("create --run-dir %s --toolstack-timeout " TIMEOUT " --backend exec:%s/pvsim-netback",
                        standing_dir, PVSIM_BUILD),
                  0, "", "");
    standing_wait_for_node("/local/domain/1/device/vif/0/state", "4");
    kill_backend();
    expect_complaint(VERB("migrate", "guest localhost", standing_dir), 1,
                     "goes on as domain 2, 1 of its interfaces without a backend: the backend of VIF 0 of domain 2 is "
                     "not at InitWait");
    ck_assert_int_eq(standing_state()[2], '-');
    ck_assert_int_eq(standing_state()[3], '-');
    expect_result(VERB("shutdown", "guest", standing_dir), 0, "", "Shutting down domain 2\n"); /* it answers */
    standing_wait_for_end();
}
END_TEST

/* The driver's INF, which has its first boots end in another one before the guest is up. */
static void write_restless(char *path, size_t size, unsigned boots)
{
    char line[256];
    FILE *from = fopen(PVSIM_BUILD "/test-drivers/rebooter.inf", "r");
    FILE *to;

    snprintf(path, size, "%s.inf", standing_dir);
    to = fopen(path, "w");
    ck_assert(from != NULL && to != NULL);
    while (fgets(line, sizeof(line), from) != NULL) {
        fputs(line, to);
        if (strcmp(line, "[Rebooter_Service]\n") == 0)
            fputs("AddReg = Restless\n", to);
    }
    fprintf(to, "\n[Restless]\nHKR,Parameters,Restless,0x00010001,%u\n", boots);
    fclose(from);
    ck_assert_int_eq(fclose(to), 0);
}

#define RESTLESS "create --run-dir %s --agent off --driver " PVSIM_BUILD "/test-drivers/rebooter.so --inf %s"

START_TEST(rebooted_before_it_is_up)
{
    char path[128];

    write_restless(path, sizeof(path), 3);
    expect_result(pvsim(RESTLESS, standing_dir, path), 0, "", "");
    wait_for_boot(4, 4);
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");

    /* What never comes up is not started for ever. */
    write_restless(path, sizeof(path), 100);
    expect_complaint(pvsim(RESTLESS, standing_dir, path), 1, "the guest has ended before it was up");
    ck_assert(!standing_is_there());
    ck_assert(standing_log_has("has ended 5 times in a row before it was up: it is not started again"));
    remove(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reboot");
    TCase *reboot = tcase_create("reboot");
    int status;

    if (!standing_init())
        return 125;
    tcase_add_test(reboot, rebooted_in_a_row);
    tcase_add_test(reboot, rebooted_before_it_is_up);
#ifndef PVSIM_SANITIZE
    tcase_add_test(reboot, rebooted_with_paged_memory);
#endif
    tcase_add_test(reboot, rebooted_without_a_backend);
    tcase_add_test(reboot, rebooted_with_a_dead_backend);
    tcase_add_test(reboot, migrated_with_a_dead_backend);
    standing_add(suite, reboot);
    status = guest_suite_run(suite);
    standing_end_last();
    return status;
}
