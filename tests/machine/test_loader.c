/*
 * The image loader: what it takes, what it refuses and how it says so, and that an unloaded image is really gone.
 */
#include "common/guest.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/elf.h"
#include "image/loader.h"
#include "machine/guest_ram.h"
#include "nt/cm/cm.h"
#include "nt/io/io.h"

#define GOOD PVSIM_BUILD "/test-drivers/toyfilter.so"

static char folder[32];

static uint8_t *read_good(size_t *size)
{
    struct stat status;
    uint8_t *bytes;
    FILE *file = fopen(GOOD, "rb");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fstat(fileno(file), &status), 0);
    *size = (size_t)status.st_size;
    bytes = malloc(*size);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void write_driver(const char *name, const uint8_t *bytes, size_t size)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s.so", folder, name);
    file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* A copy of the good driver in which every `from` is `to`; both have one length. */
static void write_changed(const char *name, const char *from, const char *to)
{
    size_t size;
    uint8_t *bytes = read_good(&size);
    size_t length = strlen(from);
    bool found = false;

    ck_assert_uint_eq(length, strlen(to));
    for (size_t at = 0; at + length <= size; at++) {
        if (memcmp(bytes + at, from, length) == 0) {
            memcpy(bytes + at, to, length);
            found = true;
        }
    }
    ck_assert(found);
    write_driver(name, bytes, size);
    free(bytes);
}

static void set_up(void)
{
    size_t size;
    uint8_t *bytes;

    strcpy(folder, "/tmp/pvsim-loader-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    bytes = read_good(&size);
    write_driver("good", bytes, size);
    write_driver("cut", bytes, size / 2);
    write_driver("junk", (const uint8_t *)"no driver at all", 16);
    free(bytes);
    write_changed("missing", "IoAttachDeviceToDeviceStack", "IoAttachDeviceToDeviceStacX");
    write_changed("libc", "IoDetachDevice", "pthread_create");
}

static void tear_down(void)
{
    static const char *const names[] = {"good", "cut", "junk", "missing", "libc"};
    char path[256];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s.so", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void run(void (*function)(void *))
{
    struct machine_config config = guest_config(1);

    config.driver_dir = folder;
    config.log_level = 0;
    guest_run_with(&config, function, NULL);
}

static void load_and_release(void *argument)
{
    struct loader_module *module;
    struct loader_module *again;
    char name[LOADER_DESCRIPTION_MAX];
    void *base;
    Dl_info info;

    (void)argument;
    ck_assert_int_eq(loader_load("Good", &module), STATUS_SUCCESS);
    ck_assert_str_eq(loader_module_name(module), "good");
    ck_assert_int_eq(loader_load("good", &again), STATUS_SUCCESS);
    ck_assert_ptr_eq(module, again);
    base = loader_module_base(module);
    ck_assert_ptr_eq(loader_find((char *)base + 64), module);
    ck_assert_ptr_nonnull(loader_module_symbol(module, "DriverEntry"));
    ck_assert_ptr_null(loader_module_symbol(module, "KeSetEvent")); /* its import, not its export */
    loader_name((char *)loader_module_symbol(module, "DriverEntry") + 1, name, sizeof(name));
    ck_assert_str_eq(name, "good.so!DriverEntry+0x1");
    loader_release(again);
    ck_assert_ptr_eq(loader_next(NULL), module);
    loader_release(module);
    ck_assert_ptr_null(loader_next(NULL));
    ck_assert_ptr_null(loader_find(base));
    ck_assert_int_eq(dladdr(base, &info), 0); /* not mapped any more */
}

START_TEST(test_load_and_release)
{
    run(load_and_release);
}
END_TEST

static const struct {
    const char *name;
    NTSTATUS status;
    const char *says[2];
} refused[] = {
    {"nowhere", STATUS_OBJECT_NAME_NOT_FOUND, {"nowhere.so", "No such file"}},
    {"junk", STATUS_INVALID_IMAGE_FORMAT, {"junk.so", "not an ELF file"}},
    {"cut", STATUS_INVALID_IMAGE_FORMAT, {"cut.so", "outside the file"}},
    {"missing", STATUS_DRIVER_ENTRYPOINT_NOT_FOUND, {"driver missing", "IoAttachDeviceToDeviceStacX"}},
    {"libc", STATUS_DRIVER_ENTRYPOINT_NOT_FOUND, {"pthread_create", "only the host's libraries"}},
    {"../good", STATUS_OBJECT_NAME_INVALID, {"../good", "no name of a driver"}},
};

static int which;

static void refuse(void *argument)
{
    struct loader_module *module;

    (void)argument;
    ck_assert_int_eq(loader_load(refused[which].name, &module), refused[which].status);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_msg(strstr(loader_error(), refused[which].says[i]) != NULL, "\"%s\" does not say \"%s\"",
                      loader_error(), refused[which].says[i]);
    ck_assert_ptr_null(loader_next(NULL));
}

START_TEST(test_refuse)
{
    which = _i;
    run(refuse);
}
END_TEST

static void change_byte(int file, uint8_t value, size_t at)
{
    ck_assert_int_eq(pwrite(file, &value, 1, (off_t)at), 1);
}

/*
 * A damaged file must never be read beyond its end: with single bytes changed, and cut at every 97th byte. One file
 * that is changed in its place: a file system may take its time over one that is written anew.
 */
START_TEST(test_damaged)
{
    struct machine_config config = guest_config(1);
    size_t size;
    uint8_t *bytes = read_good(&size);
    struct elf_info info;
    int file;
    char error[256];
    char path[256];

    machine_create(&config);
    snprintf(path, sizeof(path), "%s/cut.so", folder);
    write_driver("cut", bytes, size);
    file = open(path, O_RDWR);
    ck_assert_int_ge(file, 0);
    for (size_t i = 0; i < 64 * 40 && i < size; i++) {
        size_t at = i < 64 ? i : size - (i - 63);

        change_byte(file, bytes[at] ^ 0xFF, at);
        if (elf_read(path, &info, error, sizeof(error)))
            elf_free(&info);
        change_byte(file, bytes[at], at);
    }
    ck_assert(elf_read(path, &info, error, sizeof(error))); /* as it was */
    elf_free(&info);
    for (size_t cut = (size - 2) / 97 * 97 + 1;; cut -= 97) {
        ck_assert_int_eq(ftruncate(file, (off_t)cut), 0);
        ck_assert(!elf_read(path, &info, error, sizeof(error)));
        ck_assert_ptr_nonnull(strstr(error, "cut.so"));
        if (cut == 1)
            break;
    }
    close(file);
    free(bytes);
    machine_destroy();
}
END_TEST

static struct {
    char name[128];
    void *base;
    size_t size;
    bool system, process;
    unsigned calls;
} image;

static VOID NTAPI on_image(PUNICODE_STRING name, HANDLE process, PIMAGE_INFO info)
{
    unsigned length = name->Length / sizeof(WCHAR);

    ck_assert_uint_lt(length, sizeof(image.name));
    for (unsigned i = 0; i < length; i++)
        image.name[i] = (char)name->Buffer[i];
    image.base = info->ImageBase;
    image.size = info->ImageSize;
    image.system = info->SystemModeImage;
    image.process = process != NULL;
    image.calls++;
}

static void load_and_see(void *argument)
{
    struct loader_module *module;

    (void)argument;
    ck_assert_int_eq(PsSetLoadImageNotifyRoutine(on_image), STATUS_SUCCESS);
    ck_assert_int_eq(loader_load("good", &module), STATUS_SUCCESS);
    ck_assert_uint_eq(image.calls, 1);
    ck_assert_str_eq(image.name, "\\SystemRoot\\System32\\drivers\\good.sys");
    ck_assert_ptr_eq(image.base, loader_module_base(module));
    ck_assert_uint_eq(image.size, loader_module_size(module));
    ck_assert(image.system && !image.process);
    loader_release(module);
    ck_assert_int_eq(PsRemoveLoadImageNotifyRoutine(on_image), STATUS_SUCCESS);
    ck_assert_int_eq(loader_load("good", &module), STATUS_SUCCESS);
    ck_assert_uint_eq(image.calls, 1);
    loader_release(module);
}

/* PsSetLoadImageNotifyRoutine: routines hear of drivers that are loaded, by the name that Windows would give. */
START_TEST(test_load_is_told)
{
    run(load_and_see);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("machine/loader");
    TCase *loader = tcase_create("loader");

    tcase_add_checked_fixture(loader, set_up, tear_down);
    tcase_set_timeout(loader, 60);
    tcase_add_test(loader, test_load_and_release);
    tcase_add_loop_test(loader, test_refuse, 0, (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_test(loader, test_damaged);
    tcase_add_test(loader, test_load_is_told);
    suite_add_tcase(suite, loader);
    return guest_suite_run(suite);
}
