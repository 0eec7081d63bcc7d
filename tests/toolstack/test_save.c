/* pvsim save, restore, and migrate to a second host, each by process as a user starts them. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/guest.h"
#include "common/process.h"
#include "common/standing.h"
#include "machine/snapshot_internal.h"

#define TIMEOUT "500ms"
#define VIF_CONNECTED(domid, vif) standing_wait_for_node("/local/domain/" #domid "/device/vif/" #vif "/state", "4")

static const char *const hosts[] = {"a", "b", "c"};

static char *base; /* shared with the processes of the tests: one that fails leaves its machines */
static char saved[128];

/* The verbs and the nodes from here on are those of this host. */
static void on(const char *host)
{
    snprintf(standing_dir, sizeof(standing_dir), "%.70s/%s", base, host);
}

static void end_all(void)
{
    for (size_t index = 0; *base != '\0' && index < sizeof(hosts) / sizeof(hosts[0]); index++) {
        on(hosts[index]);
        standing_kill();
    }
}

static void begin(void)
{
    end_all();
    snprintf(base, PATH_MAX, "%s", scratch());
    snprintf(saved, sizeof(saved), "%s/saved", base);
    on("a");
}

static void create(const char *options)
{
    expect_result(pvsim("create --run-dir %s%s", standing_dir, options), 0, "", "");
    VIF_CONNECTED(1, 0);
}

static void create_from(const char *config)
{
    expect_result(pvsim("create --run-dir %s %s", standing_dir, config), 0, "", NULL);
    VIF_CONNECTED(1, 0);
}

static void save(void)
{
    expect_result(VERB("save", "guest %s", standing_dir, saved), 0, "", "");
}

static void restore(void)
{
    expect_result(VERB("restore", "%s", standing_dir, saved), 0, "", "");
}

/* It answers, and plugs another interface in. */
static void is_alive(const char *node)
{
    expect_result(VERB("network-attach", "guest", standing_dir), 0, "", "");
    standing_wait_for_node(node, "4");
}

/* ---- save and restore ---- */

START_TEST(saved_and_restored)
{
    char vm[128];

    create("");
    expect_result(VERB("network-attach", "guest mac=00:16:3e:01:02:03 bridge=br7 mtu=9000 devid=4", standing_dir), 0,
                  "", "");
    VIF_CONNECTED(1, 4);
    expect_result(VERB("mem-set", "guest 96", standing_dir), 0, "", "");
    standing_wait_for_memory(96);
    standing_write("/tool/of-the-first-host", "1");
    snprintf(vm, sizeof(vm), "%s", standing_read("/local/domain/1/vm"));
    save();
    ck_assert(!standing_is_there());

    on("b");
    restore();
    ck_assert_str_eq(standing_read("/local/domain/1/name"), "");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/1/0/mac"), "");
    ck_assert_str_eq(standing_read("/tool/of-the-first-host"), "");
    ck_assert_str_eq(standing_read("/local/domain/0/name"), "Domain-0");
    ck_assert_str_eq(standing_read("/local/domain/2/name"), "guest");
    ck_assert_str_eq(standing_read("/local/domain/2/vm"), vm);
    ck_assert_str_eq(standing_read("/local/domain/2/memory/target"), "98304");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/4/mac"), "00:16:3e:01:02:03");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/4/bridge"), "br7");
    ck_assert_str_eq(standing_read("/local/domain/2/device/vif/4/mtu"), "9000");
    VIF_CONNECTED(2, 0);
    VIF_CONNECTED(2, 4);
    standing_wait_for_memory(96);

    /* It is a machine like any other. */
    expect_result(VERB("network-detach", "guest 4", standing_dir), 0, "", "");
    expect_result(VERB("migrate", "guest localhost", standing_dir), 0, "", "Migration successful.\n");
    VIF_CONNECTED(3, 0);
    standing_wait_for_memory(96);
    expect_result(VERB("mem-set", "guest 100", standing_dir), 0, "", "");
    standing_wait_for_memory(100);
    save();
    on("a");
    restore();
    VIF_CONNECTED(4, 0);
    expect_result(VERB("mem-set", "guest 128", standing_dir), 0, "", "");
    standing_wait_for_memory(128);
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");
    ck_assert(!standing_is_there());
}
END_TEST

START_TEST(two_hosts_from_one_file)
{
    create("");
    save();
    restore();
    on("b");
    restore();
    VIF_CONNECTED(2, 0);
    is_alive("/local/domain/2/device/vif/1/state");
    expect_complaint(VERB("restore", "%s", standing_dir, saved), 1, "a machine runs in");
    on("a");
    VIF_CONNECTED(2, 0);
    ck_assert_str_eq(standing_read("/local/domain/2/device/vif/1/state"), "");
    is_alive("/local/domain/2/device/vif/1/state");
}
END_TEST

START_TEST(goes_on_after_a_checkpoint)
{
    create("");
    expect_result(VERB("save", "-c guest %s", standing_dir, saved), 0, "", "");
    ck_assert_int_eq(standing_state()[3], '-');
    ck_assert_str_eq(standing_read("/local/domain/1/device/vif/0/state"), "4"); /* nothing was connected anew */
    is_alive("/local/domain/1/device/vif/1/state");
    on("b");
    restore();
    VIF_CONNECTED(2, 0);
    ck_assert_str_eq(standing_read("/local/domain/2/device/vif/1/state"), "");
}
END_TEST

START_TEST(stays_paused)
{
    create("");
    expect_result(VERB("save", "-p guest %s", standing_dir, saved), 0, "", "");
    ck_assert_int_eq(standing_state()[2], 'p');
    expect_result(VERB("unpause", "guest", standing_dir), 0, "", "");
    is_alive("/local/domain/1/device/vif/1/state");
    on("b");
    expect_result(VERB("restore", "-p %s", standing_dir, saved), 0, "", "");
    ck_assert_int_eq(standing_state()[2], 'p');
    expect_result(VERB("unpause", "guest", standing_dir), 0, "", "");
    VIF_CONNECTED(2, 0);
}
END_TEST

static void write_config(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(made_by_a_configuration)
{
    struct process_result result;
    char config[128];
    char other[128];

    snprintf(config, sizeof(config), "%s/guest.cfg", base);
    snprintf(other, sizeof(other), "%s/other.cfg", base);
    create("");
    write_config(config, "name = \"renamed\"\nvif = [ 'mac=00:16:3e:01:02:03,bridge=br9,type=vif', 'type=vif' ]\n");
    write_config(other, "name = \"renamed\"\nvcpus = 3\n");
    expect_complaint(VERB("save", "guest %s %s/none.cfg", standing_dir, saved, base), 2, "none.cfg cannot be read");
    expect_result(VERB("save", "guest %s %s", standing_dir, saved, config), 0, "", "");
    ck_assert_int_eq(unlink(config), 0);
    expect_complaint(VERB("restore", "%s %s", standing_dir, other, saved), 2, "was saved with vcpus = 2");
    restore();
    ck_assert_str_eq(standing_read("/local/domain/2/name"), "renamed");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/0/mac"), "00:16:3e:01:02:03");
    ck_assert_str_eq(standing_read("/local/domain/0/backend/vif/2/0/bridge"), "br9");
    VIF_CONNECTED(2, 0);
    VIF_CONNECTED(2, 1);

    on("b");
    write_config(other,
                 "name = \"another\"\nvif = [ 'type=vif' ]\non_reboot = \"preserve\"\non_poweroff = \"restart\"\n");
    expect_result(VERB("restore", "%s %s", standing_dir, other, saved), 0, "", "");
    ck_assert_str_eq(standing_read("/local/domain/2/name"), "another");
    VIF_CONNECTED(2, 0);
    ck_assert_str_eq(standing_read("/local/domain/2/device/vif/1/state"), "");
    expect_result(VERB("shutdown", "another", standing_dir), 0, "", "Shutting down domain 2\n");
    VIF_CONNECTED(3, 0);
    expect_result(VERB("reboot", "-w another", standing_dir), 0, "", "Rebooting domain 3\n");
    result = VERB("list", "another", standing_dir);
    ck_assert_msg(strstr(result.output, "sr-") != NULL, "it printed: %s%s", result.output, result.error);
    process_free(&result);
}
END_TEST

/* The file that the machine was made by, with all that has its place on the board. */
START_TEST(made_by_its_own_configuration)
{
    char config[128];
    char other[128];

    snprintf(config, sizeof(config), "%s/guest.cfg", base);
    snprintf(other, sizeof(other), "%s/other.cfg", base);
    write_config(
        config,
        "name = \"guest\"\nmemory = 64\nvcpus = 1\nmaxvcpus = 2\ndisk = [ 'vdev=hda,target=disk.img,format=raw' ]\n"
        "vif = [ 'type=ioemu', 'type=ioemu', 'type=ioemu' ]\n");
    write_config(other, "name = \"renamed\"\nmemory = 64\nvcpus = 2\nviridian = 1\nmax_grant_frames = 7\n"
                        "disk = [ 'vdev=hdb,target=disk.img,format=raw' ]\nvif = [ 'type=vif' ]\n");
    create_from(config);
    expect_result(VERB("save", "guest %s %s", standing_dir, saved, config), 0, "", "");
    restore();
    VIF_CONNECTED(2, 2);
    on("b");
    expect_result(VERB("restore", "%s %s", standing_dir, config, saved), 0, "", "");
    VIF_CONNECTED(2, 2);
    on("c");
    expect_complaint(VERB("restore", "%s %s", standing_dir, other, saved), 0,
                     "ignored: emulated cards, disks, viridian, max_grant_frames");
    ck_assert_str_eq(standing_read("/local/domain/2/name"), "renamed");
    VIF_CONNECTED(2, 0);

    /* What no restore would take is no file to be saved with; the guest goes on. */
    write_config(other, "name = \"renamed\"\nmemory = 64\nvcpus = 3\n");
    expect_complaint(VERB("save", "renamed %s %s", standing_dir, saved, other), 1, "was saved with vcpus = 2");
    VIF_CONNECTED(2, 0);

    /* The name that it was given is the one that it has, whoever gives none. */
    expect_result(VERB("save", "renamed %s", standing_dir, saved), 0, "", "");
    write_config(other, "memory = 64\nvcpus = 2\n");
    expect_result(VERB("restore", "%s %s", standing_dir, other, saved), 0, "", NULL);
    ck_assert_str_eq(standing_read("/local/domain/3/name"), "renamed");
}
END_TEST

/* The host's programs stay behind; those that the machine itself starts are started anew. */
START_TEST(backends_are_started_anew)
{
    create(" --backend exec:" PVSIM_BUILD "/pvsim-netback");
    save();
    on("b");
    restore();
    VIF_CONNECTED(2, 0);
    is_alive("/local/domain/2/device/vif/1/state");
    expect_result(VERB("destroy", "guest", standing_dir), 0, "", "");

    create(" --backend-domid 3");
    save();
    restore();
    VIF_CONNECTED(2, 0);
    ck_assert_str_eq(standing_read("/local/domain/3/name"), "driver-3");
    ck_assert_str_ne(standing_read("/local/domain/3/backend/vif/2/0/mac"), "");
}
END_TEST

/* A program of the host's that has come by itself, as a backend or with the store's socket. */
static pid_t start_netback(void)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl(PVSIM_BUILD "/pvsim", "pvsim", "dom0", "--run-dir", standing_dir, "--", PVSIM_BUILD "/pvsim-netback",
          (char *)NULL);
    _exit(127);
}

static void end_netback(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGTERM), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(programs_stay_behind)
{
    pid_t first;
    pid_t second;

    expect_result(pvsim("create --run-dir %s --backend none --toolstack-timeout 60s", standing_dir), 0, "", "");
    expect_complaint(VERB("save", "guest %s", standing_dir, saved), 1, "still waits for its backend");
    expect_complaint(VERB("migrate", "guest localhost", standing_dir), 1, "still waits for its backend");
    ck_assert_int_ne(standing_state()[2], 'p');
    first = start_netback();
    VIF_CONNECTED(1, 0);
    expect_result(VERB("save", "-c guest %s", standing_dir, saved), 0, "", "");
    is_alive("/local/domain/1/device/vif/1/state"); /* by the backend that it has */
    on("b");
    restore();
    second = start_netback();
    VIF_CONNECTED(2, 0);
    is_alive("/local/domain/2/device/vif/1/state");
    end_netback(second);
    end_netback(first);
}
END_TEST

/* ---- migration ---- */

START_TEST(there_and_back)
{
    create("");
    expect_result(VERB("migrate", "guest %s/b", standing_dir, base), 0, "", "Migration successful.\n");
    ck_assert(!standing_is_there());
    on("b");
    VIF_CONNECTED(2, 0);
    ck_assert_str_eq(standing_read("/local/domain/1/name"), "");
    expect_result(VERB("migrate", "guest %s/a", standing_dir, base), 0, "", "Migration successful.\n");
    ck_assert(!standing_is_there());
    on("a");
    VIF_CONNECTED(3, 0);
    is_alive("/local/domain/3/device/vif/1/state");
    expect_result(VERB("migrate", "-p guest %s/b", standing_dir, base), 0, "", "Migration successful.\n");
    on("b");
    ck_assert_int_eq(standing_state()[2], 'p');
    expect_result(VERB("unpause", "guest", standing_dir), 0, "", "");
    VIF_CONNECTED(4, 1);
}
END_TEST

START_TEST(goes_on_where_it_was)
{
    char command[256];

    create(" --agent off --toolstack-timeout " TIMEOUT);
    on("b");
    create("");
    on("a");
    expect_complaint(VERB("migrate", "guest %s/b", standing_dir, base), 1, "b already");
    expect_complaint(VERB("migrate", "guest /nowhere/at/all", standing_dir), 1, "cannot be made");
    expect_complaint(VERB("save", "guest /nowhere/at/all", standing_dir), 1, "cannot be opened");
    expect_complaint(VERB("save", "0 %s", standing_dir, saved), 1, "domain 0 is the host");
    expect_complaint(VERB("save", "guest", standing_dir), 2, "takes DOMAIN FILE [CONFIG]");
    ck_assert_str_eq(standing_read("/local/domain/1/device/vif/0/state"), "4");
    is_alive("/local/domain/1/device/vif/1/state");

    /* It does not answer. */
    expect_result(VERB("pause", "guest", standing_dir), 0, "", "");
    expect_complaint(VERB("save", "guest %s", standing_dir, saved), 1, "did not take the request to suspend");
    expect_complaint(VERB("migrate", "guest %s/c", standing_dir, base), 1, "did not take the request to suspend");
    ck_assert_str_eq(standing_read("/local/domain/1/control/shutdown"), "");
    expect_result(VERB("unpause", "guest", standing_dir), 0, "", "");
    ck_assert_int_ne(access(saved, F_OK), 0);

    /* Somebody else is about it, but not for long: he asks for a shutdown, which nobody in this guest takes. */
    snprintf(command, sizeof(command), PVSIM_BUILD "/pvsim shutdown --run-dir %s guest >%s/said 2>&1 &", standing_dir,
             base);
    ck_assert_int_eq(system(command), 0);
    standing_wait_for_node("/local/domain/1/control/shutdown", "poweroff");
    expect_result(VERB("save", "-c guest %s", standing_dir, saved), 0, "", "");
    is_alive("/local/domain/1/device/vif/2/state");
}
END_TEST

START_TEST(not_beside_another_command)
{
    char command[256];

    create(" --agent off --toolstack-timeout 30s");
    snprintf(command, sizeof(command), PVSIM_BUILD "/pvsim shutdown --run-dir %s guest >%s/said 2>&1 &", standing_dir,
             base);
    ck_assert_int_eq(system(command), 0);
    standing_wait_for_node("/local/domain/1/control/shutdown", "poweroff");
    expect_complaint(VERB("save", "guest %s", standing_dir, saved), 1, "another command is at work");
    is_alive("/local/domain/1/device/vif/1/state");
}
END_TEST

START_TEST(not_on_the_parallel_engine)
{
    create(" --engine par");
    expect_complaint(VERB("save", "guest %s", standing_dir, saved), 1, "the parallel engine cannot be saved");
    expect_complaint(VERB("migrate", "guest %s/b", standing_dir, base), 1, "the parallel engine cannot be saved");
    is_alive("/local/domain/1/device/vif/1/state");
}
END_TEST

/* ---- files that are none, or not for this pvsim ---- */

#ifdef PVSIM_SANITIZE
#define FLIPS 6
#else
#define FLIPS 12
#endif

struct bytes {
    uint8_t *bytes;
    size_t count;
};

static struct bytes read_saved(void)
{
    struct bytes file = {0};
    struct stat status;
    int fd = open(saved, O_RDONLY);

    ck_assert_int_eq(fstat(fd, &status), 0);
    file.count = (size_t)status.st_size;
    file.bytes = malloc(file.count);
    ck_assert_int_eq(read(fd, file.bytes, file.count), status.st_size);
    close(fd);
    return file;
}

/* A restore of these bytes fails so, with one line. */
static void refuses(const uint8_t *bytes, size_t count, int status, const char *part)
{
    char path[160];
    int fd;

    snprintf(path, sizeof(path), "%s.other", saved);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_eq(write(fd, bytes, count), (ssize_t)count);
    close(fd);
    expect_complaint(VERB("restore", "%s", standing_dir, path), status, part);
    ck_assert(!standing_is_there());
}

/* In the file they lie at any address. */
typedef struct snapshot_record record_anywhere __attribute__((aligned(1)));
typedef uint64_t number_anywhere __attribute__((aligned(1)));

/* The records in their order; NULL ends. */
static record_anywhere *next_record(const struct bytes *file, record_anywhere *record)
{
    uint8_t *at = record == NULL ? file->bytes : (uint8_t *)(record + 1) + record->bytes;

    return at == file->bytes + file->count ? NULL : (record_anywhere *)at;
}

static record_anywhere *find(const struct bytes *file, uint32_t type)
{
    record_anywhere *record = NULL;

    do
        record = next_record(file, record);
    while (record->type != type);
    return record;
}

/* As one that was written so. */
static void seal(const struct bytes *file)
{
    record_anywhere *record = NULL;
    uint64_t sum = 0;

    while ((record = next_record(file, record)) != NULL) {
        sum = snapshot_hash(sum, record, offsetof(struct snapshot_record, sum));
        sum = record->sum = snapshot_hash(sum, record + 1, record->bytes);
    }
}

/* Another number in the first record of this type. */
static void refuses_another(const struct bytes *file, uint32_t type, number_anywhere *member, const char *part)
{
    *member += 1;
    seal(file);
    refuses(file->bytes, file->count, 125, part);
    *member -= 1;
    seal(file);
    ck_assert_uint_eq(find(file, type)->type, type);
}

static struct bytes make_saved(void)
{
    create(" --memory 64");
    save();
    return read_saved();
}

START_TEST(damaged_files)
{
    struct bytes file = make_saved();
    uint8_t *more;

    refuses(file.bytes, 0, 1, "it is not complete");
    refuses(file.bytes, 20, 1, "it is not complete");
    refuses(file.bytes, file.count / 3, 1, "it is not complete");
    refuses(file.bytes, file.count - 1, 1, "it is not complete");
    refuses((const uint8_t *)"#!/bin/sh\n# this is something else\n", 36, 1, "no machine that 'pvsim save' wrote");
    more = calloc(1, file.count + 1);
    memcpy(more, file.bytes, file.count);
    refuses(more, file.count + 1, 1, "there is more behind its end");
    for (unsigned flip = 0; flip < FLIPS; flip++) {
        size_t at = 32 + (file.count - 33) * flip / (FLIPS - 1);

        more[at] ^= (uint8_t)(1u << flip % 8);
        refuses(more, file.count, 1, "cannot be restored: it is");
        more[at] ^= (uint8_t)(1u << flip % 8);
    }
    free(more);
    free(file.bytes);
    restore();
    VIF_CONNECTED(2, 0);
}
END_TEST

START_TEST(files_of_others)
{
    struct bytes file = make_saved();
    record_anywhere *head = find(&file, SNAPSHOT_HEAD);
    record_anywhere *module = find(&file, SNAPSHOT_MODULE);
    char *path = (char *)(module + 1);

    refuses_another(&file, SNAPSHOT_HEAD, &head->b, "from a newer pvsim");
    refuses_another(&file, SNAPSHOT_OBJECT, &find(&file, SNAPSHOT_OBJECT)->b, "by another build of pvsim");
    refuses_another(&file, SNAPSHOT_OBJECT, &find(&file, SNAPSHOT_OBJECT)->a, "at another address");
    refuses_another(&file, SNAPSHOT_MODULE, &module->b, "its driver xen is another build now");
    *strrchr(path, '/') = '_'; /* it is not there any more */
    seal(&file);
    refuses(file.bytes, file.count, 125, "No such file or directory");
    free(file.bytes);
    expect_complaint(VERB("restore", "%s/nothing", standing_dir, base), 2, "nothing cannot be opened");
    expect_complaint(VERB("restore", "", standing_dir), 2, "takes [CONFIG] FILE");
    expect_complaint(VERB("restore", "-x %s", standing_dir, saved), 2, "unknown option -x");
}
END_TEST

static void add(Suite *suite, TCase *tcase)
{
    tcase_add_checked_fixture(tcase, begin, end_all);
    tcase_set_timeout(tcase, 240);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("save");
    TCase *file = tcase_create("file");
    TCase *migration = tcase_create("migration");
    TCase *others = tcase_create("others");
    int status;

    base = mmap(NULL, PATH_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return 125;
    tcase_add_test(file, saved_and_restored);
    tcase_add_test(file, two_hosts_from_one_file);
    tcase_add_test(file, goes_on_after_a_checkpoint);
    tcase_add_test(file, stays_paused);
    tcase_add_test(file, made_by_a_configuration);
    tcase_add_test(file, made_by_its_own_configuration);
    tcase_add_test(file, backends_are_started_anew);
    tcase_add_test(file, programs_stay_behind);
    add(suite, file);
    tcase_add_test(migration, there_and_back);
    tcase_add_test(migration, goes_on_where_it_was);
    tcase_add_test(migration, not_beside_another_command);
    tcase_add_test(migration, not_on_the_parallel_engine);
    add(suite, migration);
    tcase_add_test(others, damaged_files);
    tcase_add_test(others, files_of_others);
    add(suite, others);
    status = guest_suite_run(suite);
    end_all();
    return status;
}
