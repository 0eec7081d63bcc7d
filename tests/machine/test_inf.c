/*
 * INF files: syntax, the choice of a driver, installation into the registry, after "General Syntax Rules for INF Files"
 * and the directives' pages. The files are in data/.
 */
#include <stdio.h>

#include "common/guest.h"
#include "nt/cm/cm.h"
#include "nt/pnp/inf.h"

#define DATA "tests/machine/data/"
#define INSTANCE "PCI\\VEN_1234&DEV_0001\\0"
#define CLASS_GUID "{4d36e97d-e325-11ce-bfc1-08002be10318}"

static const char *const hardware_ids[] = {"PCI\\VEN_1234&DEV_0001&REV_01", "PCI\\VEN_1234&DEV_0001", NULL};
static const char *const compatible_ids[] = {"PCI\\VEN_1234", "PCI\\CC_0200", NULL};

static struct inf *load(const char *file)
{
    struct inf_error error = {.text = ""};
    struct inf *inf = inf_load(file, &error);

    ck_assert_msg(inf != NULL, "%s", error.text);
    return inf;
}

/* ---- syntax ---- */

static void syntax(void *argument)
{
    struct inf *inf = load(DATA "device.inf");
    const struct inf_section *section = inf_section(inf, "SERVICE_addreg"); /* names have no case */

    (void)argument;
    ck_assert_str_eq(inf_name(inf), "device.inf");
    ck_assert_str_eq(inf_class(inf), "System");
    ck_assert_str_eq(inf_value(inf, "Version", "provider", 0), "Test Vendor"); /* a token of [Strings] */
    ck_assert_str_eq(inf_value(inf, "Version", "DriverVer", 1), "1.2.3.4");
    ck_assert_ptr_null(inf_value(inf, "Version", "Nothing", 0));
    ck_assert_ptr_null(inf_section(inf, "Nothing"));
    ck_assert_ptr_nonnull(section);
    ck_assert_uint_eq(inf_section_lines(section), 8);
    ck_assert_ptr_null(inf_key(section, 0)); /* fields alone */
    ck_assert_str_eq(inf_field(section, 0, 0), "HKR");
    ck_assert_str_eq(inf_field(section, 0, 2), "Number");
    ck_assert_ptr_null(inf_field(section, 0, 5));
    ck_assert_str_eq(inf_field(section, 2, 4), "%SystemRoot%\\x"); /* %% is a percent sign */
    ck_assert_str_eq(inf_field(section, 5, 6), "ff");              /* on the continued line */
    ck_assert_str_eq(inf_field(section, 6, 4), "7");               /* the comment is none of it */
    ck_assert_str_eq(inf_field(inf_section(inf, "Software_AddReg"), 0, 4), "a \"quoted\" text; no comment");
    ck_assert_str_eq(inf_field(inf_section(inf, "Software_AddReg"), 0, 1), ""); /* an empty field */
    inf_free(inf);
}

START_TEST(test_syntax)
{
    guest_run(syntax, NULL);
}
END_TEST

/* Sections of one name are one. UTF-16LE and UTF-8 with a byte-order mark are read as well. */
static void encodings(void *argument)
{
    static const char text[] =
        "\xEF\xBB\xBF[A]\r\nx = 1\r\n[Version]\r\nSignature=\"$Windows NT$\"\r\n[a]\r\ny = \"\xC3\xA9\"\r\n";
    struct inf_error error = {.text = ""};
    struct inf *inf = inf_parse("utf8.inf", text, sizeof(text) - 1, &error);
    WCHAR wide[128] = {0xFEFF};
    size_t length = 1;

    (void)argument;
    ck_assert_msg(inf != NULL, "%s", error.text);
    ck_assert_uint_eq(inf_section_lines(inf_section(inf, "A")), 2);
    ck_assert_str_eq(inf_value(inf, "A", "x", 0), "1");
    ck_assert_str_eq(inf_value(inf, "A", "y", 0), "\xC3\xA9");
    inf_free(inf);
    for (const char *at = text + 3; *at != 0; at++)
        wide[length++] = (UCHAR)*at == 0xC3 ? (at++, 0xE9) : (WCHAR)*at;
    inf = inf_parse("utf16.inf", wide, length * sizeof(WCHAR), &error);
    ck_assert_msg(inf != NULL, "%s", error.text);
    ck_assert_str_eq(inf_value(inf, "A", "y", 0), "\xC3\xA9");
    inf_free(inf);
}

START_TEST(test_encodings)
{
    guest_run(encodings, NULL);
}
END_TEST

/* ---- malformed files ---- */

static const struct malformed {
    const char *file;
    const char *where; /* the beginning of the message */
} malformed[] = {
    {"bad-bracket.inf", "bad-bracket.inf:6: "},
    {"bad-quote.inf", "bad-quote.inf:3: "},
    {"bad-token.inf", "bad-token.inf:5: "},
    {"bad-entry.inf", "bad-entry.inf:3: "},
    {"bad-no-version.inf", "bad-no-version.inf: "},
    {"bad-signature.inf", "bad-signature.inf:"},
    {"bad-guid.inf", "bad-guid.inf:"},
    {"bad-models.inf", "bad-models.inf:7: "},
    {"bad-service.inf", "bad-service.inf:18: "},
    {"bad-addreg.inf", "bad-addreg.inf:13: "},
    {"bad-uninstall.inf", "bad-uninstall.inf:13: LegacyUninstall is 1, in a [DefaultUninstall], or left out"},
};

/* Whether it is the syntax or what it says, somewhere before the end of the installation it is found and named. */
static void is_refused(void *argument)
{
    static const char *const ids[] = {"ID", NULL};
    const struct malformed *bad = argument;
    struct inf_error error = {.text = ""};
    struct inf_match match;
    char path[128];
    struct inf *inf;

    snprintf(path, sizeof(path), DATA "%s", bad->file);
    inf = inf_load(path, &error);
    if (inf != NULL) {
        ck_assert(inf_match(inf, ids, NULL, &match));
        ck_assert(!inf_install_device(&match, "ROOT\\TEST\\0", &error));
        inf_free(inf);
    }
    ck_assert_msg(strncmp(error.text, bad->where, strlen(bad->where)) == 0, "%s", error.text);
    ck_assert_ptr_null(strchr(error.text, '\n')); /* one line */
}

START_TEST(test_is_refused)
{
    guest_run(is_refused, (void *)(uintptr_t)&malformed[_i]);
}
END_TEST

static void missing_file(void *argument)
{
    struct inf_error error = {.text = ""};

    (void)argument;
    ck_assert_ptr_null(inf_load(DATA "none.inf", &error));
    ck_assert_ptr_nonnull(strstr(error.text, "none.inf"));
}

START_TEST(test_missing_file)
{
    guest_run(missing_file, NULL);
}
END_TEST

/* ---- choice ---- */

static void choice(void *argument)
{
    static const char *const other[] = {"PCI\\VEN_9999", NULL};
    static const char *const ethernet[] = {"PCI\\CC_0200", NULL};
    static const char *const lower[] = {"pci\\ven_1234&dev_0001", NULL};
    struct inf *inf = load(DATA "device.inf");
    struct inf_match match;

    (void)argument;
    ck_assert(
        inf_match(inf, hardware_ids, compatible_ids, &match)); /* the more specific entry, though it comes later */
    ck_assert_str_eq(match.description, "Test device");
    ck_assert_str_eq(match.manufacturer, "Test Vendor");
    ck_assert_str_eq(match.install_section, "Install");
    ck_assert_uint_eq(match.rank, 0x0001); /* the device's second hardware ID */
    ck_assert(inf_match(inf, lower, NULL, &match));
    ck_assert_uint_eq(match.rank, 0x0000);
    ck_assert(inf_match(inf, other, compatible_ids, &match));
    ck_assert_str_eq(match.description, "Any device");
    ck_assert_uint_eq(match.rank, 0x2000); /* compatible ID of the device, hardware ID of the INF */
    ck_assert(inf_match(inf, other, ethernet, &match));
    ck_assert_str_eq(match.description, "Test device");
    ck_assert_uint_ge(match.rank, 0x3000); /* compatible with compatible is the weakest */
    ck_assert(!inf_match(inf, other, NULL, &match));
    inf_free(inf);
}

START_TEST(test_choice)
{
    guest_run(choice, NULL);
}
END_TEST

/* ---- installation ---- */

static void expect_string(const char *path, const char *name, ULONG type, const char *expected)
{
    struct cm_key *key = cm_key_open(path);
    ULONG actual = ~0u;
    size_t size;
    char *text;

    ck_assert_msg(key != NULL, "%s is not there", path);
    ck_assert_msg(cm_value_get(key, name, &actual, &size) != NULL, "%s has no %s", path, name);
    ck_assert_uint_eq(actual, type);
    text = cm_value_get_string(key, name);
    ck_assert_str_eq(inf_display_text(text), expected);
    image_free(text);
}

static void expect_dword(const char *path, const char *name, ULONG expected)
{
    struct cm_key *key = cm_key_open(path);
    ULONG value = ~expected;

    ck_assert_msg(key != NULL, "%s is not there", path);
    ck_assert_msg(cm_value_get_dword(key, name, &value), "%s has no %s", path, name);
    ck_assert_uint_eq(value, expected);
}

static void collect_file(void *context, const char *file, const char *folder)
{
    ck_assert_str_eq(file, "device.sys");
    ck_assert_str_eq(folder, "\\SystemRoot\\System32\\drivers");
    (*(unsigned *)context)++;
}

static void installation(void *argument)
{
    static const UCHAR bytes[] = {0x01, 0x02, 0xFF};
    static const char *const multi[] = {"one", "two", "three"};
    struct inf *inf = load(DATA "device.inf");
    struct inf_error error = {.text = ""};
    struct inf_match match;
    struct cm_key *key;
    unsigned files = 0;
    char path[256];
    const void *data;
    char *driver;
    size_t size;
    ULONG type;

    (void)argument;
    ck_assert(inf_match(inf, hardware_ids, compatible_ids, &match));
    ck_assert_msg(inf_install_device(&match, INSTANCE, &error), "%s", error.text);

    expect_dword(CM_SERVICES "\\device", "Type", 1);
    expect_dword(CM_SERVICES "\\device", "Start", 3);
    expect_dword(CM_SERVICES "\\device", "ErrorControl", 1);
    expect_string(CM_SERVICES "\\device", "ImagePath", REG_EXPAND_SZ, "\\SystemRoot\\System32\\drivers\\device.sys");
    expect_string(CM_SERVICES "\\device", "DisplayName", REG_SZ, "Test device");
    expect_dword(CM_SERVICES "\\device\\Parameters", "Number", 42);
    expect_string(CM_SERVICES "\\device\\Parameters", "Text", REG_SZ, "Test device");
    expect_string(CM_SERVICES "\\device\\Parameters", "Expand", REG_EXPAND_SZ, "%SystemRoot%\\x");
    key = cm_key_open(CM_SERVICES "\\device\\Parameters");
    for (unsigned i = 0; i < 3; i++) {
        char *text = cm_value_get_multi(key, "Multi", i);

        ck_assert_ptr_nonnull(text);
        ck_assert_str_eq(text, multi[i]);
        image_free(text);
    }
    ck_assert_ptr_null(cm_value_get_multi(key, "Multi", 3));
    data = cm_value_get(key, "Bytes", &type, &size);
    ck_assert_uint_eq(type, REG_BINARY);
    ck_assert_uint_eq(size, sizeof(bytes));
    ck_assert(memcmp(data, bytes, size) == 0);
    ck_assert_ptr_nonnull(cm_key_open(CM_SERVICES "\\device\\Parameters\\Empty"));

    expect_string(CM_ENUM "\\" INSTANCE, "Service", REG_SZ, "device");
    expect_string(CM_ENUM "\\" INSTANCE, "DeviceDesc", REG_SZ, "Test device");
    expect_string(CM_ENUM "\\" INSTANCE, "Mfg", REG_SZ, "Test Vendor");
    expect_dword(CM_ENUM "\\" INSTANCE, "ConfigFlags", 0);
    expect_dword(CM_ENUM "\\" INSTANCE "\\Device Parameters\\Interrupt Management", "Supported", 1);
    driver = cm_value_get_string(cm_key_open(CM_ENUM "\\" INSTANCE), "Driver");
    ck_assert_ptr_nonnull(driver);
    ck_assert_msg(strncasecmp(driver, CLASS_GUID "\\", strlen(CLASS_GUID) + 1) == 0, "%s", driver);
    snprintf(path, sizeof(path), CM_CONTROL "\\Class\\%s", driver); /* the software key */
    expect_string(path, "Note", REG_SZ, "a \"quoted\" text; no comment");
    image_free(driver);
    ck_assert_msg(inf_copy_files(inf, "Install", collect_file, &files, &error), "%s", error.text);
    ck_assert_uint_eq(files, 1);
    inf_free(inf);
}

START_TEST(test_installation)
{
    guest_run(installation, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("machine/inf");
    TCase *tcase = tcase_create("inf");

    tcase_add_test(tcase, test_syntax);
    tcase_add_test(tcase, test_encodings);
    tcase_add_loop_test(tcase, test_is_refused, 0, (int)RTL_NUMBER_OF(malformed));
    tcase_add_test(tcase, test_missing_file);
    tcase_add_test(tcase, test_choice);
    tcase_add_test(tcase, test_installation);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
