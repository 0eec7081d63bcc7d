/*
 * Upgrades on machines: drivers of each package are installed from their INFs and booted, the veto reads that machine's
 * registry, the drivers of another package take their place whatever it says, and the next boot shows who is stranded:
 * those that it named, and nobody else. Clients are of every age, with subscriptions and without.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/guest.h"
#include "common/process.h"
#include "common/source_scan.h"
#include "common/stack.h"
#include "common/stack_dom0.h"
#include "nt/cm/cm.h"
#include "nt/nt_init.h"
#include "nt/pnp/pnp.h"
#include "upgrade/packages.h"

#define FOLDER_MAX 300

/* ---- the veto's view of a machine's registry ---- */

static struct cm_key *key_of(const char *path)
{
    char whole[VETO_PATH_LENGTH + 64];

    snprintf(whole, sizeof(whole), "\\Registry\\Machine\\System\\CurrentControlSet\\%s", path);
    return cm_key_open(whole);
}

static VETO_RESULT give(char *to, size_t size, const char *text)
{
    if (strlen(text) >= size)
        return VETO_UNREADABLE;
    strcpy(to, text);
    return VETO_FOUND;
}

static VETO_RESULT get_subkey(void *context, const char *path, unsigned index, char *name, size_t size)
{
    struct cm_key *key = key_of(path);
    struct cm_key *child = key != NULL ? cm_key_child(key, index) : NULL;

    (void)context;
    return child != NULL ? give(name, size, cm_key_name(child)) : VETO_NONE;
}

static VETO_RESULT get_value(void *context, const char *path, unsigned index, char *name, size_t size)
{
    struct cm_key *key = key_of(path);
    const char *value = key != NULL ? cm_value_name(key, index) : NULL;

    (void)context;
    return value != NULL ? give(name, size, value) : VETO_NONE;
}

static VETO_RESULT query_number(void *context, const char *path, const char *value, uint32_t *number)
{
    struct cm_key *key = key_of(path);
    ULONG found;

    (void)context;
    if (key == NULL || !cm_value_get_dword(key, value, &found))
        return VETO_NONE;
    *number = found;
    return VETO_FOUND;
}

static VETO_RESULT query_string(void *context, const char *path, const char *value, char *text, size_t size)
{
    struct cm_key *key = key_of(path);
    char *found = key != NULL ? cm_value_get_string(key, value) : NULL;
    VETO_RESULT result = found != NULL ? give(text, size, found) : VETO_NONE;

    (void)context;
    image_free(found);
    return result;
}

static int is_present(void *context, const char *instance)
{
    (void)context;
    return pnp_find(instance) != NULL;
}

static const VETO_REGISTRY machine_registry = {NULL, get_subkey, get_value, query_number, query_string, is_present};

/* ---- packages and clients ---- */

struct build {
    enum package bus;
    enum package vif;
};

static const char *const package_names[PACKAGES] = {"old", "current", "next"};

static const VETO_PROVIDER *providers_of(struct build build, VETO_PROVIDER both[VETO_PROVIDERS])
{
    both[XENBUS] = packages[build.bus][XENBUS];
    both[XENVIF] = packages[build.vif][XENVIF];
    return both;
}

static const char *module_of(enum package package, const char *driver, char path[FOLDER_MAX])
{
    if (package == PACKAGE_CURRENT)
        snprintf(path, FOLDER_MAX, PVSIM_BUILD "/drivers/%s.so", driver);
    else
        snprintf(path, FOLDER_MAX, PVSIM_BUILD "/test-drivers/%s/%s.so", package_names[package], driver);
    return path;
}

static void link_file(const char *folder, const char *from, const char *name)
{
    char target[FOLDER_MAX + 64];
    char *whole = realpath(from, NULL);

    ck_assert_msg(whole != NULL, "%s is not there", from);
    snprintf(target, sizeof(target), "%s/%s", folder, name);
    ck_assert_int_eq(symlink(whole, target), 0);
    free(whole);
}

struct client {
    const char *file; /* of its INF */
    const char *enumerator, *class;
    uint32_t revision;
    bool subscribes;
    const char *subscriptions; /* lines of an AddReg section */
};

static void replace(char *text, size_t size, const char *from, const char *to)
{
    char *at = strstr(text, from);
    char rest[4096];

    ck_assert_ptr_nonnull(at);
    snprintf(rest, sizeof(rest), "%s", at + strlen(from));
    snprintf(at, size - (size_t)(at - text), "%s%s", to, rest);
}

/* A copy of the client's INF, for its revision and with its subscriptions. */
static void write_client(const char *folder, const struct client *client)
{
    char text[8192], path[FOLDER_MAX + 64], id[128], revision[64];
    FILE *file = fopen(PVSIM_BUILD "/test-drivers/aged.inf", "r");
    size_t length;

    ck_assert_ptr_nonnull(file);
    length = fread(text, 1, sizeof(text) / 2, file);
    fclose(file);
    text[length] = '\0';
    snprintf(id, sizeof(id), "%s\\VEN_XP0001&DEV_%s&REV_%08X", client->enumerator, client->class, client->revision);
    replace(text, sizeof(text), "XENBUS\\VEN_XP0001&DEV_IFACE&REV_0900000C", id);
    snprintf(revision, sizeof(revision), "HKR,,Revision,0x00010001,0x%08X", client->revision);
    replace(text, sizeof(text), "HKR,,Revision,0x00010001,0x0900000C", revision);
    if (client->subscribes)
        replace(text, sizeof(text), "[Aged_Subscriptions]\n", client->subscriptions);
    snprintf(path, sizeof(path), "%s/%s", folder, client->file);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, strlen(text), file), strlen(text));
    ck_assert_int_eq(fclose(file), 0);
}

#define SUBSCRIBE(provider, interface, version)                                                                        \
    "HKLM,SYSTEM\\CurrentControlSet\\Services\\" provider "\\Interfaces\\AGED," interface ",0x00010001," version "\n"

/* What the client of each revision of the bus is subscribed to: what is not the same for all ages. */
static const char *bus_subscriptions(uint32_t revision)
{
    static const char *const lines[] = {
        "[Aged_Subscriptions]\n" SUBSCRIBE("XENBUS", "SHARED_INFO", "3") SUBSCRIBE("XENBUS", "UNPLUG", "1"),
        "[Aged_Subscriptions]\n" SUBSCRIBE("XENBUS", "SHARED_INFO", "4") SUBSCRIBE("XENBUS", "UNPLUG", "1"),
        "[Aged_Subscriptions]\n" SUBSCRIBE("XENBUS", "SHARED_INFO", "4") SUBSCRIBE("XENBUS", "UNPLUG", "2"),
        "[Aged_Subscriptions]\n" SUBSCRIBE("XENBUS", "SHARED_INFO", "4") SUBSCRIBE("XENBUS", "UNPLUG", "3"),
        "[Aged_Subscriptions]\n" SUBSCRIBE("XENBUS", "UNPLUG", "3") SUBSCRIBE("XENBUS", "EMULATED", "3"),
    };

    return lines[revision - 0x09000008];
}

static const char *vif_subscriptions(uint32_t revision)
{
    static const char *const lines[] = {
        "[Aged_Subscriptions]\n" SUBSCRIBE("XENVIF", "VIF", "8") SUBSCRIBE("XENVIF", "UNPLUG", "1"),
        "[Aged_Subscriptions]\n" SUBSCRIBE("XENVIF", "VIF", "9") SUBSCRIBE("XENVIF", "UNPLUG", "1"),
        "[Aged_Subscriptions]\n" SUBSCRIBE("XENVIF", "VIF", "10") SUBSCRIBE("XENVIF", "UNPLUG", "1"),
        "[Aged_Subscriptions]\n" SUBSCRIBE("XENVIF", "VIF", "10") SUBSCRIBE("XENVIF", "UNPLUG", "2"),
        "[Aged_Subscriptions]\n" SUBSCRIBE("XENVIF", "VIF", "10") SUBSCRIBE("XENVIF", "UNPLUG", "3"),
    };

    return lines[revision - 0x09000001];
}

static void make_folder(const char *folder)
{
    const char *argv[] = {"mkdir", folder, NULL};
    struct process_result result = process_run(argv);

    ck_assert_int_eq(result.status, 0);
    process_free(&result);
}

/* A machine's folder of drivers; kept for all the machines that are made of the same. */
static const char *folder_of(struct build build, const struct client *clients, unsigned count, char folder[FOLDER_MAX])
{
    char path[FOLDER_MAX];

    snprintf(folder, FOLDER_MAX, "%s/%s-%s-%x-%x-%d", scratch(), package_names[build.bus], package_names[build.vif],
             clients[0].revision, clients[1].revision, clients[0].subscribes);
    if (access(folder, R_OK) == 0)
        return folder;
    make_folder(folder);
    link_file(folder, PVSIM_BUILD "/drivers/xen.so", "xen.so");
    link_file(folder, module_of(build.bus, "xenbus", path), "xenbus.so");
    link_file(folder, PVSIM_BUILD "/drivers/xenbus.inf", "xenbus.inf");
    link_file(folder, module_of(build.vif, "xenvif", path), "xenvif.so");
    link_file(folder, PVSIM_BUILD "/drivers/xenvif.inf", "xenvif.inf");
    link_file(folder, PVSIM_BUILD "/test-drivers/aged.so", "aged.so");
    for (unsigned i = 0; i < count; i++)
        write_client(folder, &clients[i]);
    return folder;
}

/* ---- what the tables say, written down by hand ---- */

static bool bus_has(enum package bus, uint32_t revision)
{
    switch (bus) {
    case PACKAGE_OLD:
        return revision <= 0x0900000A;
    case PACKAGE_NEXT:
        return revision >= 0x0900000A;
    default:
        return true;
    }
}

/* The version of UNPLUG is what the bus has to have; the first three have the same. */
static bool vif_has(struct build build, uint32_t revision)
{
    unsigned unplug = revision <= 0x09000003 ? 1 : revision - 0x09000002;

    if (build.vif == PACKAGE_OLD ? unplug != 1 : build.vif == PACKAGE_NEXT && unplug == 1)
        return false;
    return build.bus == PACKAGE_OLD ? unplug <= 2 : build.bus == PACKAGE_NEXT ? unplug >= 2 : true;
}

static uint32_t newest_of_bus(enum package bus)
{
    return bus == PACKAGE_OLD ? 0x0900000A : 0x0900000C;
}

static bool client_fits(struct build build, const struct client *client)
{
    return strcmp(client->enumerator, "XENBUS") == 0 ? bus_has(build.bus, client->revision)
                                                     : vif_has(build, client->revision);
}

/* ---- what a machine says ---- */

static struct devnode *child_of(const char *enumerator, const char *class)
{
    struct devnode *node = pnp_root();

    for (; node != NULL; node = pnp_next(node)) {
        const char *path = pnp_instance_path(node);

        if (strncmp(path, enumerator, strlen(enumerator)) == 0 && path[strlen(enumerator)] == '\\' &&
            strstr(path, class) != NULL)
            break;
    }
    return node;
}

/* As the registry has it: of a device that did not start as well. */
static bool is_installed(const struct client *client)
{
    struct devnode *node = child_of(client->enumerator, client->class);
    char path[VETO_PATH_LENGTH];
    bool installed;
    char *service;

    if (node == NULL)
        return false;
    snprintf(path, sizeof(path), "Enum\\%s", pnp_instance_path(node));
    service = cm_value_get_string(key_of(path), "Service");
    installed = service != NULL && strcmp(service, "aged") == 0;
    image_free(service);
    return installed;
}

static bool is_bound(const struct client *client)
{
    return is_installed(client) && pnp_state(child_of(client->enumerator, client->class)) == DEVNODE_STARTED;
}

/* ---- the check ---- */

struct verdict {
    unsigned by_device[VETO_PROVIDERS];       /* findings on the client of that provider */
    unsigned by_subscription[VETO_PROVIDERS]; /* likewise */
    unsigned network_class;                   /* on xenvif, the client of the bus */
    unsigned others;
    char text[2048];
};

static void note(void *context, const VETO_FINDING *finding)
{
    struct verdict *verdict = context;
    unsigned provider = strcmp(finding->Provider, "XENBUS") == 0 ? XENBUS : XENVIF;
    size_t length = strlen(verdict->text);

    VetoPrint(finding, verdict->text + length, sizeof(verdict->text) - length);
    if (finding->Reason == VETO_BY_DEVICE && strcmp(finding->Subscriber, "aged") == 0)
        verdict->by_device[provider]++;
    else if (finding->Reason == VETO_BY_SUBSCRIPTION && strcmp(finding->Subscriber, "AGED") == 0)
        verdict->by_subscription[provider]++;
    else if (finding->Reason == VETO_BY_DEVICE && strcmp(finding->Subscriber, "xenvif") == 0)
        verdict->network_class++;
    else
        verdict->others++;
}

struct upgrade {
    struct build build; /* that is installed */
    const struct build *next;
    unsigned upgrades;
    struct client client[2]; /* of the bus, of the network class */
};

static void assert_verdict(const struct upgrade *upgrade, struct build to)
{
    VETO_PROVIDER both[VETO_PROVIDERS];
    struct verdict verdict = {.text = ""};
    unsigned findings = VetoCheck(providers_of(to, both), VETO_PROVIDERS, &machine_registry, note, &verdict);
    bool network_class = child_of("XENBUS", "DEV_VIF") != NULL && !bus_has(to.bus, newest_of_bus(upgrade->build.bus));

    for (unsigned i = 0; i < 2; i++) {
        const struct client *client = &upgrade->client[i];
        bool stranded = !client_fits(to, client);

        ck_assert_msg((verdict.by_device[i] != 0) == (stranded && is_installed(client)),
                      "%s/%s to %s/%s, client of %08X: %s", package_names[upgrade->build.bus],
                      package_names[upgrade->build.vif], package_names[to.bus], package_names[to.vif], client->revision,
                      verdict.text);
        ck_assert_msg((verdict.by_subscription[i] != 0) == (stranded && client->subscribes),
                      "%s/%s to %s/%s, subscriber of %08X: %s", package_names[upgrade->build.bus],
                      package_names[upgrade->build.vif], package_names[to.bus], package_names[to.vif], client->revision,
                      verdict.text);
    }
    ck_assert_msg((verdict.network_class != 0) == network_class, "%s", verdict.text);
    ck_assert_msg(verdict.others == 0, "%s", verdict.text);
    ck_assert_uint_eq(findings == 0, verdict.text[0] == '\0');
}

/* ---- a machine that is upgraded again and again ---- */

static void go_through(void *argument)
{
    struct upgrade *upgrade = argument;
    char folder[FOLDER_MAX];

    for (unsigned round = 0;; round++) {
        for (unsigned i = 0; i < 2; i++)
            ck_assert_msg(is_bound(&upgrade->client[i]) == client_fits(upgrade->build, &upgrade->client[i]),
                          "round %u, %s/%s: the client of %08X is%s bound", round, package_names[upgrade->build.bus],
                          package_names[upgrade->build.vif], upgrade->client[i].revision,
                          is_bound(&upgrade->client[i]) ? "" : " not");
        ck_assert_int_eq(pnp_state(child_of("XENBUS", "DEV_VIF")), DEVNODE_STARTED);
        for (enum package bus = PACKAGE_OLD; bus < PACKAGES; bus++)
            for (enum package vif = PACKAGE_OLD; vif < PACKAGES; vif++)
                assert_verdict(upgrade, (struct build){bus, vif});
        if (round == upgrade->upgrades)
            break;
        ck_assert(guest_shutdown());
        stack_stop_now();
        upgrade->build = upgrade->next[round];
        machine->config.driver_dir = folder_of(upgrade->build, upgrade->client, 2, folder);
        stack_boot_again_now();
    }
}

static void upgrade_through(struct build first, const struct build *next, unsigned upgrades, unsigned age,
                            bool subscribes)
{
    static const uint32_t of_bus[] = {0x09000008, 0x09000009, 0x0900000A, 0x0900000B, 0x0900000C};
    static const uint32_t of_vif[] = {0x09000001, 0x09000002, 0x09000003, 0x09000004, 0x09000005};
    struct upgrade upgrade = {
        .build = first,
        .next = next,
        .upgrades = upgrades,
        .client = {{"aged-bus.inf", "XENBUS", "IFACE", of_bus[age], subscribes, bus_subscriptions(of_bus[age])},
                   {"aged-vif.inf", "XENVIF", "NET", of_vif[age], subscribes, vif_subscriptions(of_vif[age])}},
    };
    char folder[FOLDER_MAX];
    const struct stack_options options = {
        .folder = folder_of(first, upgrade.client, 2, folder), .vifs = 1, .from_dom0 = true, .quiet = true};

    stack_run(&options, go_through, &upgrade);
}

#define AGES 5

/* One way through the packages, up, down, and the bus or the network class alone. */
START_TEST(in_turn)
{
    static const struct build way[] = {
        {PACKAGE_CURRENT, PACKAGE_CURRENT}, {PACKAGE_NEXT, PACKAGE_CURRENT}, {PACKAGE_OLD, PACKAGE_OLD},
        {PACKAGE_CURRENT, PACKAGE_OLD},     {PACKAGE_CURRENT, PACKAGE_NEXT}, {PACKAGE_OLD, PACKAGE_CURRENT},
    };

    upgrade_through((struct build){PACKAGE_OLD, PACKAGE_OLD}, way, sizeof(way) / sizeof(way[0]), (unsigned)_i / 2,
                    _i % 2 != 0);
}
END_TEST

/* From each to each. */
START_TEST(every_order)
{
    const struct build to = {(enum package)(_i / PACKAGES % PACKAGES), (enum package)(_i % PACKAGES)};

    if (getenv("PVSIM_UPGRADES") == NULL)
        return;
    for (enum package bus = PACKAGE_OLD; bus < PACKAGES; bus++)
        for (enum package vif = PACKAGE_OLD; vif < PACKAGES; vif++)
            for (unsigned age = 0; age < AGES; age++)
                for (unsigned subscribes = 0; subscribes < 2; subscribes++)
                    upgrade_through((struct build){bus, vif}, &to, 1, age, subscribes != 0);
}
END_TEST

/* ---- device IDs that stay the same ---- */

static void assert_device_ids(const char *const *paths)
{
    for (unsigned i = 0; i < 2; i++) {
        struct devnode *node = pnp_find(paths[i]);

        ck_assert_msg(node != NULL, "there is no %s", paths[i]);
        ck_assert_int_eq(pnp_state(node), DEVNODE_STARTED);
    }
}

/* From a package with such IDs to today's and back: each has the devices that its documents say, with their drivers. */
static void go_to_stable(void *argument)
{
    static const char *const stable[] = {"XENBUS\\VEN_XP&DEV_VIF\\_", "XENVIF\\VEN_XP&DEV_NET\\0"};
    static const char *const usual[] = {"XENBUS\\VEN_XP0001&DEV_VIF&REV_0900000C\\_",
                                        "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\0"};

    assert_device_ids(stable);
    ck_assert(guest_shutdown());
    stack_stop_now();
    machine->config.driver_dir = PVSIM_BUILD "/drivers";
    stack_boot_again_now();
    assert_device_ids(usual);
    ck_assert_ptr_null(pnp_find(stable[0]));
    ck_assert(guest_shutdown());
    stack_stop_now();
    machine->config.driver_dir = argument;
    stack_boot_again_now();
    assert_device_ids(stable);
    ck_assert_ptr_null(pnp_find(usual[0]));
}

START_TEST(stable_device_ids)
{
    static const char *const linked[] = {
        "drivers/xen.so",     "test-drivers/stable/xenbus.so", "drivers/xenbus.inf",   "test-drivers/stable/xenvif.so",
        "drivers/xenvif.inf", "drivers/netclient.so",          "drivers/netclient.inf"};
    char folder[FOLDER_MAX], path[FOLDER_MAX];
    const struct stack_options options = {.folder = folder, .vifs = 1, .from_dom0 = true, .quiet = true};

    snprintf(folder, sizeof(folder), "%s/stable", scratch());
    make_folder(folder);
    for (unsigned i = 0; i < sizeof(linked) / sizeof(linked[0]); i++) {
        snprintf(path, sizeof(path), PVSIM_BUILD "/%s", linked[i]);
        link_file(folder, path, strrchr(linked[i], '/') + 1);
    }
    stack_run(&options, go_to_stable, folder);
}
END_TEST

/* ---- what our own clients subscribe to ---- */

struct subscriptions {
    unsigned count;
    struct cm_key *key;
};

static void see_entry(const struct scan_call *call, void *context)
{
    struct subscriptions *subscriptions = context;
    ULONG version = 0;

    if (call->arguments != 3 || call->argument[1][0] == '_') /* the macro's definition */
        return;
    ck_assert_msg(cm_value_get_dword(subscriptions->key, call->argument[1], &version), "xenvif.inf has no %s",
                  call->argument[1]);
    ck_assert_uint_eq(version, strtoul(call->argument[2], NULL, 10));
    subscriptions->count++;
}

static void see_source(const char *path, const char *text, void *context)
{
    if (strcmp(path + strlen(path) - strlen("/parent.c"), "/parent.c") == 0)
        scan_calls(path, text, "PARENT_ENTRY_OF", see_entry, context);
}

/* The INF of xenvif names what it takes of the bus, no less and no more. */
STACK_TEST(of_the_network_class, .drivers = STACK_XENVIF)
{
    struct subscriptions subscriptions = {.key = cm_key_open(CM_SERVICES "\\XENBUS\\Interfaces\\XENVIF")};

    ck_assert_ptr_nonnull(subscriptions.key);
    scan_files("drivers/xenvif", see_source, &subscriptions);
    ck_assert_uint_eq(subscriptions.count, 6);
    ck_assert_ptr_nonnull(cm_value_name(subscriptions.key, 5));
    ck_assert_ptr_null(cm_value_name(subscriptions.key, 6));
}

STACK_TEST(of_the_client, .drivers = STACK_XENVIF | STACK_NETCLIENT)
{
    struct cm_key *key = cm_key_open(CM_SERVICES "\\XENVIF\\Interfaces\\NETCLIENT");
    ULONG version = 0;

    ck_assert_ptr_nonnull(key);
    ck_assert(cm_value_get_dword(key, "VIF", &version));
    ck_assert_uint_eq(version, 10);
    ck_assert_ptr_null(cm_value_name(key, 1));
}

int main(void)
{
    Suite *suite = suite_create("upgrade");
    TCase *tcase = tcase_create("subscriptions");

    tcase_add_test(tcase, of_the_network_class);
    tcase_add_test(tcase, of_the_client);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("upgrades");
    tcase_add_loop_test(tcase, in_turn, 0, 2 * AGES);
    tcase_add_test(tcase, stable_device_ids);
    tcase_add_loop_test(tcase, every_order, 0, PACKAGES * PACKAGES);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
