/* Verbs that act on one machine at the same time, each a process of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/guest.h"
#include "common/process.h"
#include "common/standing.h"

#define MOST 8

/* They begin together, each with "--run-dir ..." behind it; their exit statuses. */
static void at_once(unsigned count, const char *const *verbs, int *status)
{
    pid_t pid[MOST];
    char command[512];
    int ends[2];
    char byte;

    ck_assert_int_eq(pipe(ends), 0);
    for (unsigned i = 0; i < count; i++) {
        snprintf(command, sizeof(command), "exec %s/pvsim %s --run-dir %s 2>%s/said.%u", PVSIM_BUILD, verbs[i],
                 standing_dir, scratch(), i);
        pid[i] = fork();
        ck_assert_int_ge(pid[i], 0);
        if (pid[i] == 0) {
            close(ends[1]);
            if (read(ends[0], &byte, 1) == 0) /* all are there */
                execl("/bin/sh", "sh", "-c", command, (char *)NULL);
            _exit(127);
        }
    }
    close(ends[0]);
    close(ends[1]);
    for (unsigned i = 0; i < count; i++) {
        ck_assert_int_eq(waitpid(pid[i], &status[i], 0), pid[i]);
        ck_assert(WIFEXITED(status[i]));
        status[i] = WEXITSTATUS(status[i]);
    }
}

/* What the verb of this number said, an empty text for nothing. */
static const char *said(unsigned index)
{
    static char text[1024];
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/said.%u", scratch(), index);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void wait_for_vif(unsigned domid, unsigned vif)
{
    char path[64];

    snprintf(path, sizeof(path), "/local/domain/%u/device/vif/%u/state", domid, vif);
    standing_wait_for_node(path, "4");
}

static void create(const char *options)
{
    expect_result(pvsim("create --run-dir %s %s", standing_dir, options), 0, "", "");
    wait_for_vif(1, 0);
}

/* Each gets a number of its own, and the other verbs what they ask for. */
START_TEST(attached)
{
    static const char *const verbs[] = {"network-attach guest", "network-attach guest", "network-attach guest",
                                        "network-attach guest", "mem-set guest 96",     "list"};
    int status[6];

    create("");
    at_once(6, verbs, status);
    for (unsigned i = 0; i < 6; i++)
        ck_assert_msg(status[i] == 0, "%s: status %d, %s", verbs[i], status[i], said(i));
    for (unsigned vif = 1; vif <= 4; vif++)
        wait_for_vif(1, vif);
    ck_assert_str_eq(standing_read("/local/domain/1/memory/target"), "98304");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

/* One of them has it; the others have a line. */
static void one_of(unsigned count, const char *const *verbs, const char *line)
{
    unsigned good = 0;
    int status[MOST];

    at_once(count, verbs, status);
    for (unsigned i = 0; i < count; i++) {
        good += status[i] == 0;
        ck_assert_msg(status[i] == 0 || (status[i] == 1 && strstr(said(i), line) != NULL), "%s: status %d, %s",
                      verbs[i], status[i], said(i));
    }
    ck_assert_uint_eq(good, 1);
}

START_TEST(the_same_twice)
{
    static const char *const attach[] = {"network-attach guest devid=3", "network-attach guest devid=3"};
    static const char *const resume[] = {"resume guest", "resume guest", "resume guest"};

    create("");
    one_of(2, attach, "File exists");
    wait_for_vif(1, 3);
    expect_result(VERB("suspend", "guest", standing_dir), 0, "", "");
    one_of(3, resume, "it is not suspended");
    wait_for_vif(1, 3);
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

/* Both may have been in time, for a detach waits; neither does harm, and the number is free afterwards. */
START_TEST(detached_twice)
{
    static const char *const detach[] = {"network-detach guest 0", "network-detach guest 0"};
    int status[2];

    create("");
    at_once(2, detach, status);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_msg(status[i] == 0 || (status[i] == 1 && *said(i) != '\0'), "status %d, %s", status[i], said(i));
    ck_assert(status[0] == 0 || status[1] == 0);
    ck_assert_str_eq(standing_read("/local/domain/1/device/vif/0/state"), "");
    expect_result(VERB("network-attach", "guest devid=0", standing_dir), 0, "", "");
    wait_for_vif(1, 0);
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

/* Whichever comes first, the guest goes on and its interface with it. */
START_TEST(moved_and_changed)
{
    static const char *const verbs[] = {"migrate guest localhost", "network-attach guest", "pause guest",
                                        "unpause guest"};
    struct process_result result;
    unsigned domid;
    int status[4];

    create("--toolstack-timeout 5s");
    at_once(4, verbs, status);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_msg(status[i] == 0 || (status[i] == 1 && *said(i) != '\0'), "%s: status %d, %s", verbs[i], status[i],
                      said(i));
    domid = standing_read("/local/domain/2/name")[0] != '\0' ? 2 : 1;
    ck_assert_msg(status[0] != 0 || domid == 2, "it has migrated, and is domain %u", domid);
    while (standing_state()[2] == 'p') /* the pause may have been the later one */
        expect_result(VERB("unpause", "guest", standing_dir), 0, "", "");
    wait_for_vif(domid, 0);
    result = VERB("suspend", "guest", standing_dir);
    ck_assert_msg(result.status == 0, "%s", result.error);
    process_free(&result);
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
}
END_TEST

/* The machine ends under whatever else is at work. */
START_TEST(destroyed_under_others)
{
    static const char *const verbs[] = {"destroy guest", "network-attach guest", "suspend guest",
                                        "network-detach guest 0", "console guest </dev/null"};
    int status[5];

    create("--toolstack-timeout 2s");
    at_once(5, verbs, status);
    ck_assert_msg(status[0] == 0, "%s", said(0));
    for (unsigned i = 1; i < 5; i++)
        ck_assert_msg(status[i] == 0 || (status[i] == 1 && *said(i) != '\0'), "%s: status %d, %s", verbs[i], status[i],
                      said(i));
    standing_wait_for_end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verbs at once");
    TCase *tcase = tcase_create("at once");
    int status;

    if (!standing_init())
        return 125;
    tcase_add_test(tcase, attached);
    tcase_add_test(tcase, the_same_twice);
    tcase_add_test(tcase, detached_twice);
    tcase_add_test(tcase, moved_and_changed);
    tcase_add_test(tcase, destroyed_under_others);
    standing_add(suite, tcase);
    status = guest_suite_run(suite);
    standing_end_last();
    return status;
}
