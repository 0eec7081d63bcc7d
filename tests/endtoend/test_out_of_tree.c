/* Drivers from outside the tree: built with an installed pvsim and nothing else, run by it, and what is refused. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "common/process.h"

/* In a shell, with the installed programs first in PATH and in the folder with the copied sources. */
static struct process_result shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *prefix(void)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/pre fix", scratch());
    return path;
}

static struct process_result shell(const char *format, ...)
{
    char line[4096];
    va_list arguments;
    int length = snprintf(line, sizeof(line), "export PATH='%s/bin':$PATH; cd %s/src && ", prefix(), scratch());

    va_start(arguments, format);
    vsnprintf(line + length, sizeof(line) - (size_t)length, format, arguments);
    va_end(arguments);

    const char *argv[] = {"sh", "-c", line, NULL};

    return process_run(argv);
}

#define RUN "pvsim run --no-bundle --tx lan.pcap --rx lan.pcap "

static void must(struct process_result result, int status, const char *says)
{
    ck_assert_msg(result.status == status, "exit status %d\n%s%s", result.status, result.output, result.error);
    ck_assert_msg(says == NULL || strstr(result.output, says) != NULL || strstr(result.error, says) != NULL, "%s%s",
                  result.output, result.error);
    process_free(&result);
}

/* Install into a folder of the test's own whose name has a blank, and copy the sources to beside it. */
static void install(void)
{
    char line[2048];

    snprintf(line, sizeof(line),
             "env -u MAKEFLAGS -u MAKELEVEL make -s install BUILD=%s SAN='%s' PREFIX='%s' DESTDIR= && cp -r "
             "tests/out-of-tree %s/src && "
             "cp tests/captures/lan-wire.pcap %s/src/lan.pcap",
             PVSIM_BUILD, strstr(PVSIM_BUILD, "/san-") == NULL ? "" : "address,undefined", prefix(), scratch(),
             scratch());

    const char *argv[] = {"sh", "-c", line, NULL};

    must(process_run(argv), 0, NULL);
}

static void write_file(const char *name, const char *text)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/src/%s", scratch(), name);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static unsigned occurrences(const char *text, const char *what)
{
    unsigned count = 0;

    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        count++;
    return count;
}

START_TEST(the_example)
{
    struct process_result result;
    const char *filtered;
    int pnp;

    install();
    must(shell("make -s PVSIM_CC=pvsim-cc"), 0, NULL);
    result = shell(RUN "--log error --driver countfilter.so --inf countfilter.inf --driver isabus.so --inf isabus.inf");
    ck_assert_msg(result.status == 0 && strstr(result.output, "PASS tx=1132 rx=1132 lost=0 corrupt=0 leaks=0") != NULL,
                  "%s%s", result.output, result.error);
    /* The bus: as many children as its INF says, each started. */
    ck_assert_ptr_nonnull(strstr(result.error, "isabus: 2 slots"));
    ck_assert_uint_eq(occurrences(result.error, "isabus: slot 0 started"), 1);
    ck_assert_uint_eq(occurrences(result.error, "isabus: slot 1 started"), 1);
    /* The filter: above the ISA bridge, the PV bus, the adapter of class Net and the rest; it saw them start and go. */
    ck_assert_uint_ge(occurrences(result.error, "countfilter: "), 6);
    ck_assert_ptr_nonnull(strstr(result.error, "countfilter: PCI\\VEN_8086&DEV_7000"));
    ck_assert_ptr_nonnull(strstr(result.error, "countfilter: PCI\\VEN_5853&DEV_0001"));
    filtered = strstr(result.error, "countfilter: XENVIF\\");
    ck_assert_ptr_nonnull(filtered);
    ck_assert_int_eq(sscanf(strchr(filtered + 13, ':'), ": %d PnP", &pnp), 1);
    ck_assert_int_ge(pnp, 3); /* start, query remove, remove */
    process_free(&result);

    /* The INF's setting reaches the driver. */
    must(shell("sed 's/\"Slots\", 0x00010001, 2/\"Slots\", 0x00010001, 5/' isabus.inf > five.inf && " RUN
               "--log error --driver isabus.so --inf five.inf"),
         0, "isabus: slot 4 started");

    /* What was installed can be moved, and taken away again. */
    must(shell("cp -r '%s' ../moved && ../moved/bin/" RUN "--driver isabus.so --inf isabus.inf && "
               "../moved/bin/pvsim-cc -o again.so isabus.c isabus_child.c",
               prefix()),
         0, "PASS tx=1132");
}
END_TEST

START_TEST(ours_replaced)
{
    char line[512];

    install();
    /* Our own modules, brought along under their names: with their INF, and xen without, which has none. */
    must(
        shell(
            "cp '%s'/lib/pvsim/drivers/x* . && cp '%s'/lib/pvsim/drivers/netclient.* . && " RUN
            "--driver xenvif.so --inf xenvif.inf --driver xen.so --driver netclient.so --inf netclient.inf --log debug",
            prefix(), prefix()),
        0, "PASS tx=1132");
    snprintf(line, sizeof(line), RUN "--driver xenvif.so --inf xenvif.inf --log debug 2>&1 | grep 'xenvif.so is at'");
    must(shell("%s", line), 0, "./xenvif.so is at");
    /* A broken one is what the machine then has. */
    write_file("broken.c",
               "#include <ntddk.h>\n"
               "NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING Path)\n"
               "{\n    (void)DriverObject;\n    (void)Path;\n    return STATUS_DEVICE_CONFIGURATION_ERROR;\n}\n");
    must(shell("pvsim-cc -o xenvif.so broken.c && " RUN "--driver xenvif.so --inf xenvif.inf --timeout 1s"), 1,
         "FAIL tx=0 rx=0");
}
END_TEST

static const struct {
    const char *command;
    int status;
    const char *says;
} refused[] = {
    {RUN "--inf isabus.inf", 2, "--inf isabus.inf follows no --driver of its own"},
    {RUN "--driver isabus.so --inf isabus.inf --inf isabus.inf", 2, "follows no --driver of its own"},
    {RUN "--driver isabus.so", 2, "--driver isabus.so has no INF: let --inf follow it"},
    {RUN "--driver isabus.so --inf countfilter.inf", 2,
     "countfilter.inf installs no isabus.sys, which is what isabus.so stands for here; binaries that it names: "
     "countfilter.sys"},
    {RUN "--driver isabus.so --inf none.inf", 2, "none.inf"},
    {RUN "--driver none.so --inf isabus.inf", 2, "none.so: No such file or directory"},
    {RUN "--driver isabus.c --inf isabus.inf", 2, "--driver takes a driver module, NAME.so"},
    {RUN "--driver isabus.so --inf isabus.inf --driver ./isabus.so", 2, "two modules named isabus"},
    {"cp isabus.c bad.so && " RUN "--driver bad.so --inf isabus.inf", 2, "bad.so: not an ELF file"},
    {"head -c 18 isabus.so > arm.so && printf '\\267\\0' >> arm.so && tail -c +21 isabus.so >> arm.so && " RUN
     "--driver arm.so --inf isabus.inf",
     2, "arm.so: not a shared object for x86-64"},
    {"pvsim-cc -o plain.so plain.c", 1, "plain.so defines neither DriverEntry nor"},
    {"gcc -shared -o plain.so plain.c && " RUN "--driver plain.so --inf isabus.inf", 2,
     "plain.so exports neither DriverEntry nor DllInitialize; build drivers with pvsim-cc"},
    {"pvsim-cc -o imports.so imports.c", 1, "imports.so imports what no kernel or driver exports: malloc"},
    {"pvsim-cc -o undeclared.so undeclared.c", 1, "KeSetEvnet"},
    {"pvsim-cc --inf countfilter.inf -o isabus.so isabus.c isabus_child.c", 1,
     "countfilter.inf installs no isabus.sys"},
    {"pvsim-cc --inf isabus.c -o isabus.so isabus.c isabus_child.c", 1, "isabus.c is no INF"},
    {"pvsim-cc isabus.c", 2, "a module needs a name: -o NAME.so"},
    {"pvsim-cc -o isabus.so", 2, "no input files"},
    {"pvsim-cc -o isabus.so none.c", 1, "none.c: no such file"},
    {"pvsim-cc --fast -o isabus.so isabus.c", 2, "unknown option --fast"},
    {"pvsim-cc --msvc --cc=gcc -o isabus.so isabus.c", 1, "--msvc needs clang 19 or later"},
};

/* One installation for all of them: each is quick. */
START_TEST(refusals)
{
    install();
    must(shell("make -s PVSIM_CC=pvsim-cc"), 0, NULL);
    write_file("plain.c", "int Value;\n");
    write_file("imports.c", "#include <ntddk.h>\nvoid *malloc(size_t Size);\n"
                            "NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING Path)\n"
                            "{\n    DriverObject->DriverSection = malloc(Path->Length);\n    return 0;\n}\n");
    write_file("undeclared.c", "#include <ntddk.h>\n"
                               "NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING Path)\n"
                               "{\n    return KeSetEvnet(DriverObject, Path);\n}\n");
    for (size_t index = 0; index < sizeof(refused) / sizeof(refused[0]); index++)
        must(shell("%s", refused[index].command), refused[index].status, refused[index].says);
}
END_TEST

/* An export driver and one that imports from it, both from outside. */
START_TEST(an_export_driver)
{
    install();
    write_file("exporter.c", "#include <ntddk.h>\n"
                             "__declspec(dllexport) LONG NTAPI ExporterDouble(_In_ LONG Value);\n"
                             "LONG NTAPI ExporterDouble(_In_ LONG Value)\n{\n    return 2 * Value;\n}\n"
                             "NTSTATUS NTAPI DllInitialize(_In_ PUNICODE_STRING Path)\n{\n    (void)Path;\n"
                             "    DbgPrint(\"exporter: initialised\\n\");\n    return STATUS_SUCCESS;\n}\n"
                             "NTSTATUS NTAPI DllUnload(VOID)\n{\n    return STATUS_SUCCESS;\n}\n"
                             "NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING Path)\n{\n"
                             "    (void)DriverObject;\n    (void)Path;\n    return STATUS_SUCCESS;\n}\n");
    write_file("exporter.inf", "[Version]\nSignature = \"$WINDOWS NT$\"\nClass = System\n"
                               "ClassGuid = {4D36E97D-E325-11CE-BFC1-08002BE10318}\nProvider = test\n"
                               "DriverVer = 11/28/2026,1.0.0.0\n[DefaultInstall.NTamd64]\nCopyFiles = Files\n"
                               "[DestinationDirs]\nDefaultDestDir = 12\n[Files]\nexporter.sys\n");
    must(shell("pvsim-cc --inf exporter.inf -o exporter.so exporter.c && "
               "sed 's/^NTSTATUS NTAPI DriverEntry.*/LONG NTAPI ExporterDouble(LONG Value);\\n&/; "
               "s/UNREFERENCED_PARAMETER(RegistryPath);/DbgPrint(\"twice 21 is %%d\\\\n\", ExporterDouble(21));\\n&/' "
               "countfilter.c > importer.c && "
               "pvsim-cc --inf countfilter.inf -o countfilter.so importer.c exporter.so"),
         0, NULL);
    must(shell(RUN "--log info --driver exporter.so --inf exporter.inf --driver countfilter.so --inf countfilter.inf "
                   "2>&1 | grep -v netclient"),
         0, "twice 21 is 42");
    must(shell("pvsim-cc -o countfilter.so importer.c"), 1, "imports what no kernel or driver exports: ExporterDouble");
}
END_TEST

START_TEST(uninstalled)
{
    char line[1024];

    install();
    snprintf(line, sizeof(line),
             "env -u MAKEFLAGS -u MAKELEVEL make -s uninstall BUILD=%s PREFIX='%s' DESTDIR= && find '%s' -type f",
             PVSIM_BUILD, prefix(), prefix());

    const char *argv[] = {"sh", "-c", line, NULL};
    struct process_result result = process_run(argv);

    ck_assert_int_eq(result.status, 0);
    ck_assert_str_eq(result.output, "");
    process_free(&result);

    snprintf(line, sizeof(line),
             "env -u MAKEFLAGS -u MAKELEVEL make -s install BUILD=%s PREFIX=/usr DESTDIR=%s/root && "
             "PKG_CONFIG_PATH=%s/root/usr/lib/pkgconfig pkg-config --cflags pvsim-driver",
             PVSIM_BUILD, scratch(), scratch());
    result = process_run(argv);
    ck_assert_msg(result.status == 0 && strstr(result.output, "include/pvsim/kernel") != NULL, "%s%s", result.output,
                  result.error);
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("out_of_tree");
    TCase *tcase = tcase_create("installed");

    tcase_add_test(tcase, the_example);
    tcase_add_test(tcase, ours_replaced);
    tcase_add_test(tcase, refusals);
    tcase_add_test(tcase, an_export_driver);
    tcase_add_test(tcase, uninstalled);
    tcase_set_timeout(tcase, 300);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
