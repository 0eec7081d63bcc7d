/*
 * The veto on tables and registries that a test has made up: what each package has by the table, who is refused and in
 * which words, and what an unreadable registry comes to.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <check.h>

#include "upgrade/packages.h"

/* ---- a registry: lines of "key|value=text" or "key|value=#number"; a key exists by its values ---- */

struct registry {
    const char *line[32];
    unsigned lines;
    const char *absent;     /* the instance of a device that is not there */
    const char *unreadable; /* every question about this key */
};

static bool splits(const char *line, char key[512], char value[64], const char **data)
{
    const char *bar = strchr(line, '|');
    const char *sign = strchr(bar, '=');

    snprintf(key, 512, "%.*s", (int)(bar - line), line);
    snprintf(value, 64, "%.*s", (int)(sign - bar - 1), bar + 1);
    *data = sign + 1;
    return true;
}

static VETO_RESULT give(char *to, size_t size, const char *text)
{
    if (strlen(text) >= size)
        return VETO_UNREADABLE;
    strcpy(to, text);
    return VETO_FOUND;
}

static bool refuses(const struct registry *registry, const char *key)
{
    return registry->unreadable != NULL && strcasecmp(registry->unreadable, key) == 0;
}

static VETO_RESULT get_subkey(void *context, const char *key, unsigned index, char *name, size_t size)
{
    const struct registry *registry = context;
    char seen[16][64];
    unsigned count = 0;

    if (refuses(registry, key))
        return VETO_UNREADABLE;
    for (unsigned i = 0; i < registry->lines; i++) {
        char path[512], value[64], part[64];
        const char *data;
        bool known = false;

        splits(registry->line[i], path, value, &data);
        if (strncasecmp(path, key, strlen(key)) != 0 || path[strlen(key)] != '\\')
            continue;
        snprintf(part, sizeof(part), "%.*s", (int)strcspn(path + strlen(key) + 1, "\\"), path + strlen(key) + 1);
        for (unsigned j = 0; j < count; j++)
            known = known || strcasecmp(seen[j], part) == 0;
        if (!known)
            strcpy(seen[count++], part);
    }
    return index < count ? give(name, size, seen[index]) : VETO_NONE;
}

static VETO_RESULT get_value(void *context, const char *key, unsigned index, char *name, size_t size)
{
    const struct registry *registry = context;

    if (refuses(registry, key))
        return VETO_UNREADABLE;
    for (unsigned i = 0; i < registry->lines; i++) {
        char path[512], value[64];
        const char *data;

        splits(registry->line[i], path, value, &data);
        if (strcasecmp(path, key) == 0 && index-- == 0)
            return give(name, size, value);
    }
    return VETO_NONE;
}

static const char *data_of(const struct registry *registry, const char *key, const char *name)
{
    for (unsigned i = 0; i < registry->lines; i++) {
        char path[512], value[64];
        const char *data;

        splits(registry->line[i], path, value, &data);
        if (strcasecmp(path, key) == 0 && strcasecmp(value, name) == 0)
            return data;
    }
    return NULL;
}

static VETO_RESULT query_number(void *context, const char *key, const char *name, uint32_t *number)
{
    const char *data = data_of(context, key, name);

    if (data == NULL)
        return VETO_NONE;
    if (data[0] != '#')
        return VETO_UNREADABLE;
    *number = (uint32_t)strtoul(data + 1, NULL, 0);
    return VETO_FOUND;
}

static VETO_RESULT query_string(void *context, const char *key, const char *name, char *text, size_t size)
{
    const char *data = data_of(context, key, name);

    if (data == NULL)
        return VETO_NONE;
    return data[0] == '#' ? VETO_UNREADABLE : give(text, size, data);
}

static int is_present(void *context, const char *instance)
{
    const struct registry *registry = context;

    return registry->absent == NULL || strcasecmp(registry->absent, instance) != 0;
}

/* ---- what the veto says ---- */

static char told[2048];

static void tell(void *context, const VETO_FINDING *finding)
{
    char text[VETO_TEXT_LENGTH];
    size_t length = strlen(told);

    (void)context;
    VetoPrint(finding, text, sizeof(text));
    snprintf(told + length, sizeof(told) - length, "%s\n", text);
}

static unsigned check_with(const VETO_PROVIDER *providers, struct registry *registry)
{
    const VETO_REGISTRY routines = {registry, get_subkey, get_value, query_number, query_string, is_present};

    told[0] = '\0';
    return VetoCheck(providers, VETO_PROVIDERS, &routines, tell, NULL);
}

static void assert_says(enum package package, struct registry *registry, unsigned count, const char *text)
{
    unsigned findings = check_with(packages[package], registry);

    ck_assert_str_eq(told, text);
    ck_assert_uint_eq(findings, count);
}

/* ---- what a package has ---- */

/* Written down by hand from the tables: each revision that stands for something. */
static const uint32_t bus_revisions[PACKAGES][6] = {
    [PACKAGE_OLD] = {0x09000008, 0x09000009, 0x0900000A},
    [PACKAGE_CURRENT] = {0x09000008, 0x09000009, 0x0900000A, 0x0900000B, 0x0900000C},
    [PACKAGE_NEXT] = {0x0900000A, 0x0900000B, 0x0900000C},
};

static bool is_among(const uint32_t *list, uint32_t revision)
{
    for (; *list != 0; list++)
        if (*list == revision)
            return true;
    return false;
}

START_TEST(revisions_of_the_bus)
{
    for (enum package package = PACKAGE_OLD; package < PACKAGES; package++)
        for (uint32_t revision = 0x09000000; revision < 0x09000010; revision++)
            ck_assert_int_eq(VetoHasRevision(packages[package], XENBUS, revision),
                             is_among(bus_revisions[package], revision));
}
END_TEST

START_TEST(versions_of_the_bus)
{
    ck_assert(VetoHasVersion(packages[PACKAGE_OLD], XENBUS, "SHARED_INFO", 3));
    ck_assert(VetoHasVersion(packages[PACKAGE_OLD], XENBUS, "shared_info", 4));
    ck_assert(!VetoHasVersion(packages[PACKAGE_OLD], XENBUS, "SHARED_INFO", 5));
    ck_assert(!VetoHasVersion(packages[PACKAGE_OLD], XENBUS, "SHARED", 3));
    ck_assert(!VetoHasVersion(packages[PACKAGE_OLD], XENBUS, "UNPLUG", 3));
    ck_assert(VetoHasVersion(packages[PACKAGE_CURRENT], XENBUS, "UNPLUG", 1));
    ck_assert(VetoHasVersion(packages[PACKAGE_CURRENT], XENBUS, "EMULATED", 3));
    ck_assert(!VetoHasVersion(packages[PACKAGE_NEXT], XENBUS, "UNPLUG", 1));
    ck_assert(!VetoHasVersion(packages[PACKAGE_NEXT], XENBUS, "SHARED_INFO", 3));
    ck_assert(VetoHasVersion(packages[PACKAGE_NEXT], XENBUS, "SHARED_INFO", 4));
}
END_TEST

/* A revision of XENVIF goes with the version of the bus that it passes on. */
START_TEST(revisions_of_the_network_class)
{
    for (enum package bus = PACKAGE_OLD; bus < PACKAGES; bus++)
        for (enum package vif = PACKAGE_OLD; vif < PACKAGES; vif++) {
            const VETO_PROVIDER both[VETO_PROVIDERS] = {packages[bus][XENBUS], packages[vif][XENVIF]};

            for (uint32_t revision = 0x09000001; revision <= 0x09000003; revision++)
                ck_assert_int_eq(VetoHasRevision(both, XENVIF, revision), bus != PACKAGE_NEXT && vif != PACKAGE_NEXT);
            ck_assert_int_eq(VetoHasVersion(both, XENVIF, "VIF", 8), bus != PACKAGE_NEXT && vif != PACKAGE_NEXT);
            ck_assert_int_eq(VetoHasVersion(both, XENVIF, "VIF", 10), bus != PACKAGE_NEXT || vif != PACKAGE_OLD);
            ck_assert_int_eq(VetoHasRevision(both, XENVIF, 0x09000004), vif != PACKAGE_OLD);
            ck_assert_int_eq(VetoHasRevision(both, XENVIF, 0x09000005), bus != PACKAGE_OLD && vif != PACKAGE_OLD);
            ck_assert(!VetoHasRevision(both, XENVIF, 0x09000006));
            ck_assert_int_eq(VetoHasVersion(both, XENVIF, "UNPLUG", 1), bus != PACKAGE_NEXT && vif != PACKAGE_NEXT);
            ck_assert(!VetoHasVersion(both, XENVIF, "EVTCHN", 9)); /* it does not pass that on */
        }
}
END_TEST

/* Adding a version adds a revision, removing one removes each that it maps to: what the tables are held to. */
START_TEST(tables_keep_the_promise)
{
    for (enum package package = PACKAGE_OLD; package < PACKAGES; package++)
        for (unsigned index = 0; index < VETO_PROVIDERS; index++) {
            const VETO_PROVIDER *provider = &packages[package][index];

            for (unsigned row = 1; row < provider->RevisionCount; row++) {
                unsigned changes = 0;

                ck_assert_uint_gt(provider->Revision[row].Revision, provider->Revision[row - 1].Revision);
                for (unsigned column = 0; column < provider->InterfaceCount; column++) {
                    ck_assert_uint_ge(provider->Revision[row].Version[column],
                                      provider->Revision[row - 1].Version[column]);
                    changes += provider->Revision[row].Version[column] != provider->Revision[row - 1].Version[column];
                }
                ck_assert_uint_ge(changes, 1);
            }
            /* No version of one that was removed is in two places: with it went every row that named it. */
            for (unsigned row = 0; row < provider->RemovedCount; row++) {
                unsigned lacking = 0;

                ck_assert(!VetoHasRevision(packages[package], index, provider->Removed[row].Revision));
                for (unsigned column = 0; column < provider->InterfaceCount; column++)
                    lacking += !VetoHasVersion(packages[package], index, provider->Interface[column].Name,
                                               provider->Removed[row].Version[column]);
                ck_assert_uint_ge(lacking, 1);
            }
        }
}
END_TEST

/* What a revision stands for is the same in every package. */
START_TEST(revisions_never_change)
{
    for (enum package package = PACKAGE_OLD; package < PACKAGES; package++)
        for (unsigned index = 0; index < VETO_PROVIDERS; index++) {
            const VETO_PROVIDER *provider = &packages[package][index];
            const VETO_PROVIDER *current = &packages[PACKAGE_CURRENT][index];

            for (unsigned row = 0; row < provider->RevisionCount; row++)
                for (unsigned other = 0; other < current->RevisionCount; other++)
                    if (provider->Revision[row].Revision == current->Revision[other].Revision)
                        ck_assert_mem_eq(provider->Revision[row].Version, current->Revision[other].Version,
                                         sizeof(current->Revision[other].Version));
        }
}
END_TEST

/* ---- subscriptions ---- */

START_TEST(subscriptions)
{
    struct registry registry = {
        .line =
            {
                "Services\\XENBUS\\Interfaces\\XENVIF|STORE=#2",
                "Services\\XENBUS\\Interfaces\\XENVIF|UNPLUG=#1",
                "Services\\XENBUS\\Interfaces\\XENVBD|SHARED_INFO=#3",
                "Services\\XENVIF\\Interfaces\\XENNET|VIF=#10",
                "Services\\XENVIF\\Interfaces\\XENNET|UNPLUG=#3",
                "Services\\XENIFACE|Start=#3",
            },
        .lines = 6,
    };

    assert_says(PACKAGE_CURRENT, &registry, 0, "");
    assert_says(PACKAGE_OLD, &registry, 1,
                "XENNET needs version 3 of XENVIF interface UNPLUG, which this package does not have: "
                "Services\\XENVIF\\Interfaces\\XENNET\n");
    assert_says(PACKAGE_NEXT, &registry, 2,
                "XENVIF needs version 1 of XENBUS interface UNPLUG, which this package does not have: "
                "Services\\XENBUS\\Interfaces\\XENVIF\n"
                "XENVBD needs version 3 of XENBUS interface SHARED_INFO, which this package does not have: "
                "Services\\XENBUS\\Interfaces\\XENVBD\n");
}
END_TEST

START_TEST(subscription_to_what_never_was)
{
    struct registry registry = {.line = {"Services\\XENBUS\\Interfaces\\XENNET|NET=#1"}, .lines = 1};

    for (enum package package = PACKAGE_OLD; package < PACKAGES; package++)
        assert_says(package, &registry, 1,
                    "XENNET needs version 1 of XENBUS interface NET, which this package does not have: "
                    "Services\\XENBUS\\Interfaces\\XENNET\n");
}
END_TEST

/* ---- devices ---- */

#define CLIENT(id)                                                                                                     \
    "Enum\\XENBUS\\VEN_XP0001&DEV_IFACE&REV_0900000C\\_|Service=xeniface",                                             \
        "Enum\\XENBUS\\VEN_XP0001&DEV_IFACE&REV_0900000C\\_|Driver={4d36e97d-e325-11ce-bfc1-08002be10318}\\0007",      \
        "Control\\Class\\{4d36e97d-e325-11ce-bfc1-08002be10318}\\0007|MatchingDeviceId=" id
#define CLIENT_INSTANCE "XENBUS\\VEN_XP0001&DEV_IFACE&REV_0900000C\\_"

START_TEST(devices)
{
    struct registry registry = {.line = {CLIENT("xenbus\\ven_xp0001&dev_iface&rev_09000008")}, .lines = 3};

    assert_says(PACKAGE_OLD, &registry, 0, "");
    assert_says(PACKAGE_CURRENT, &registry, 0, "");
    assert_says(PACKAGE_NEXT, &registry, 2,
                "xeniface needs version 3 of XENBUS interface SHARED_INFO (revision 09000008), which this package does "
                "not have: " CLIENT_INSTANCE "\n"
                "xeniface needs version 1 of XENBUS interface UNPLUG (revision 09000008), which this package does not "
                "have: " CLIENT_INSTANCE "\n");
    registry.absent = "xenbus\\VEN_XP0001&DEV_IFACE&REV_0900000C\\_";
    assert_says(PACKAGE_NEXT, &registry, 0, "");
}
END_TEST

/* An older package knows nothing of a newer revision. */
START_TEST(newer_than_the_package)
{
    struct registry registry = {.line = {CLIENT("XENBUS\\VEN_XP0001&DEV_IFACE&REV_0900000B")}, .lines = 3};

    assert_says(PACKAGE_NEXT, &registry, 0, "");
    assert_says(PACKAGE_OLD, &registry, 1,
                "xeniface needs revision 0900000B of XENBUS, which this package does not have: " CLIENT_INSTANCE "\n");
}
END_TEST

START_TEST(devices_of_no_revision)
{
    static const char *const ids[] = {
        CLIENT("XENCLASS"), CLIENT("XENBUS\\VEN_XP&DEV_IFACE"), CLIENT("XENBUS\\VEN_XP0001&DEV_IFACE&REV_0900"),
        CLIENT("XENBUS\\VEN_XP0001&DEV_IFACE&REV_0900000012"), CLIENT("XENBUSX\\VEN_XP0001&DEV_IFACE&REV_09000001")};

    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i += 3) {
        struct registry registry = {.line = {ids[i], ids[i + 1], ids[i + 2]}, .lines = 3};

        assert_says(PACKAGE_NEXT, &registry, 0, "");
    }
}
END_TEST

START_TEST(device_without_a_driver)
{
    struct registry registry = {.line = {"Enum\\XENBUS\\VEN_XP0001&DEV_VBD&REV_09000008\\_|Capabilities=#4",
                                         "Enum\\XENBUS\\VEN_XP0001&DEV_VBD&REV_09000009\\_|Service=xenvbd"},
                                .lines = 2};

    assert_says(PACKAGE_NEXT, &registry, 0, "");
}
END_TEST

/* The bus is upgraded, and takes what XENVIF passes on from the client of that. */
START_TEST(a_client_further_up)
{
    struct registry registry = {
        .line =
            {
                "Enum\\XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\0|Service=xennet",
                "Enum\\XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\0|Driver={4d36e972-e325-11ce-bfc1-08002be10318}\\0001",
                "Control\\Class\\{4d36e972-e325-11ce-bfc1-08002be10318}\\0001|MatchingDeviceId="
                "XENVIF\\VEN_XP0001&DEV_NET&REV_09000003",
            },
        .lines = 3,
    };
    const VETO_PROVIDER bus_alone[VETO_PROVIDERS] = {packages[PACKAGE_NEXT][XENBUS], packages[PACKAGE_CURRENT][XENVIF]};

    assert_says(PACKAGE_CURRENT, &registry, 0, "");
    ck_assert_uint_eq(check_with(bus_alone, &registry), 1);
    ck_assert_str_eq(told, "xennet needs version 1 of XENVIF interface UNPLUG (revision 09000003), which this package "
                           "does not have: XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\0\n");
}
END_TEST

/* ---- what cannot be read ---- */

START_TEST(unreadable)
{
    static const char *const keys[] = {"Services\\XENBUS\\Interfaces", "Services\\XENBUS\\Interfaces\\XENVIF",
                                       "Services\\XENVIF\\Interfaces", "Enum\\XENBUS",
                                       "Enum\\XENBUS\\VEN_XP0001&DEV_IFACE&REV_0900000C"};
    struct registry registry = {.line = {CLIENT("XENCLASS"), "Services\\XENBUS\\Interfaces\\XENVIF|STORE=#2"},
                                .lines = 4};

    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        registry.unreadable = keys[i];
        ck_assert_uint_eq(check_with(packages[PACKAGE_CURRENT], &registry), 1);
        ck_assert_ptr_nonnull(strstr(told, " need cannot be read: "));
        ck_assert_ptr_nonnull(strstr(told, keys[i]));
    }
}
END_TEST

START_TEST(values_of_other_types)
{
    struct registry registry = {.line = {CLIENT("#1"), "Services\\XENBUS\\Interfaces\\XENVIF|STORE=two"}, .lines = 4};

    assert_says(PACKAGE_CURRENT, &registry, 2,
                "what the clients of XENBUS need cannot be read: Services\\XENBUS\\Interfaces\\XENVIF\n"
                "what the clients of XENBUS need cannot be read: " CLIENT_INSTANCE "\n");
}
END_TEST

/* A device of names so long, that is bound to a revision which no package has. */
struct names {
    size_t device, instance, driver;
};

static VETO_RESULT give_long(char *to, size_t size, size_t length)
{
    if (length >= size)
        return VETO_UNREADABLE;
    memset(to, 'N', length);
    to[length] = '\0';
    return VETO_FOUND;
}

static VETO_RESULT subkey_of_names(void *context, const char *key, unsigned index, char *name, size_t size)
{
    const struct names *names = context;

    if (index != 0 || strncmp(key, "Enum\\XENBUS", 11) != 0)
        return VETO_NONE;
    return give_long(name, size, key[11] == '\0' ? names->device : names->instance);
}

static VETO_RESULT no_value(void *context, const char *key, unsigned index, char *name, size_t size)
{
    (void)context;
    (void)key;
    (void)index;
    (void)name;
    (void)size;
    return VETO_NONE;
}

static VETO_RESULT no_number(void *context, const char *key, const char *name, uint32_t *number)
{
    (void)context;
    (void)key;
    (void)name;
    (void)number;
    return VETO_NONE;
}

static VETO_RESULT string_of_names(void *context, const char *key, const char *name, char *text, size_t size)
{
    const struct names *names = context;

    (void)key;
    if (strcmp(name, "Service") == 0)
        return give(text, size, "XENCLASS");
    if (strcmp(name, "Driver") == 0)
        return give_long(text, size, names->driver);
    return give(text, size, "XENBUS\\VEN_XP0001&DEV_IFACE&REV_01000000");
}

static int always(void *context, const char *instance)
{
    (void)context;
    (void)instance;
    return 1;
}

/* Whatever the lengths of its names, a device that would be stranded is never passed over. */
START_TEST(names_of_every_length)
{
    struct names names;
    const VETO_REGISTRY routines = {&names, subkey_of_names, no_value, no_number, string_of_names, always};
    unsigned stranded = 0, unreadable = 0;

    for (size_t length = 1; length <= VETO_PATH_LENGTH; length++)
        for (unsigned which = 0; which < 3; which++) {
            names = (struct names){8, 8, 8};
            *(which == 0 ? &names.device : which == 1 ? &names.instance : &names.driver) = length;
            told[0] = '\0';
            ck_assert_msg(VetoCheck(packages[PACKAGE_CURRENT], VETO_PROVIDERS, &routines, tell, NULL) == 1,
                          "name %u of %zu characters: %s", which, length, told);
            if (strstr(told, "cannot be read") != NULL)
                unreadable++;
            else
                stranded++;
        }
    ck_assert_uint_gt(stranded, 3 * (VETO_PATH_LENGTH - 64));
    ck_assert_uint_gt(unreadable, 0);
}
END_TEST

/* Names that are too long for anybody are not cut, and not passed over. */
START_TEST(long_names)
{
    char line[600], client[VETO_NAME_LENGTH + 8];
    struct registry registry = {.line = {line}, .lines = 1};

    memset(client, 'A', sizeof(client));
    client[VETO_NAME_LENGTH - 1] = '\0';
    snprintf(line, sizeof(line), "Services\\XENBUS\\Interfaces\\%s|STORE=#9", client);
    ck_assert_uint_eq(check_with(packages[PACKAGE_CURRENT], &registry), 1);
    ck_assert_ptr_nonnull(strstr(told, client));
    ck_assert_ptr_nonnull(strstr(told, "STORE"));
}
END_TEST

/* A report is cut to the room that there is for it. */
START_TEST(short_room)
{
    const VETO_FINDING finding = {.Reason = VETO_BY_SUBSCRIPTION,
                                  .Provider = "XENBUS",
                                  .Subscriber = "XENNET",
                                  .Where = "here",
                                  .Interface = "STORE",
                                  .Version = 4294967295u};
    char text[VETO_TEXT_LENGTH];

    VetoPrint(&finding, text, sizeof(text));
    ck_assert_str_eq(text, "XENNET needs version 4294967295 of XENBUS interface STORE, which this package does not "
                           "have: here");
    memset(text, 'x', sizeof(text));
    VetoPrint(&finding, text, 9);
    ck_assert_str_eq(text, "XENNET n");
    ck_assert_int_eq(text[9], 'x');
    VetoPrint(&finding, text + 20, 0);
    ck_assert_int_eq(text[20], 'x');
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("veto");
    TCase *tcase = tcase_create("veto");
    SRunner *runner;
    int failed;

    tcase_add_test(tcase, revisions_of_the_bus);
    tcase_add_test(tcase, versions_of_the_bus);
    tcase_add_test(tcase, revisions_of_the_network_class);
    tcase_add_test(tcase, tables_keep_the_promise);
    tcase_add_test(tcase, revisions_never_change);
    tcase_add_test(tcase, subscriptions);
    tcase_add_test(tcase, subscription_to_what_never_was);
    tcase_add_test(tcase, devices);
    tcase_add_test(tcase, newer_than_the_package);
    tcase_add_test(tcase, devices_of_no_revision);
    tcase_add_test(tcase, device_without_a_driver);
    tcase_add_test(tcase, a_client_further_up);
    tcase_add_test(tcase, unreadable);
    tcase_add_test(tcase, names_of_every_length);
    tcase_add_test(tcase, values_of_other_types);
    tcase_add_test(tcase, long_names);
    tcase_add_test(tcase, short_room);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
