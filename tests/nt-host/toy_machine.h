/*
 * A machine with the toy drivers (tests/clients/toybus, toyfilter) installed: toybus is the function driver of the Xen
 * platform device and of the children that it reports. For the tests of the PnP manager; each includes it once.
 */
#ifndef TESTS_NT_HOST_TOY_MACHINE_H
#define TESTS_NT_HOST_TOY_MACHINE_H

#include "common/guest.h"

#include <stdio.h>
#include <string.h>

#include "image/loader.h"
#include "nt/cm/cm.h"
#include "nt/io/io.h"
#include "nt/ob/ob.h"
#include "nt/pnp/pnp.h"

#include "clients/toybus/toy.h"

#define PLATFORM "PCI\\VEN_5853&DEV_0001&SUBSYS_00015853&REV_01"
#define CHILD(n) "TOY\\CHILD&REV_1\\" #n
#define TEST_DRIVERS PVSIM_BUILD "/test-drivers"

static TOY toy;

/* ---- the machine ---- */

static inline void point_service(const char *service)
{
    char path[256];
    uint64_t address = (uintptr_t)&toy;

    snprintf(path, sizeof(path), "%s\\%s\\Parameters", CM_SERVICES, service);
    cm_value_set(cm_key_create(path), "Toy", REG_QWORD, &address, sizeof(address));
}

static inline void install(const char *name)
{
    char path[512];
    char error[512];

    snprintf(path, sizeof(path), "%s/%s.inf", TEST_DRIVERS, name);
    ck_assert_msg(pnp_install_inf(path, error, sizeof(error)), "%s", error);
    point_service(name);
}

static inline void boot(void)
{
    memset(&toy, 0, sizeof(toy));
    install("toybus");
    install("toyfilter");
    pnp_boot();
}

static inline struct devnode *bus(void)
{
    struct devnode *node = pnp_find(PLATFORM);

    ck_assert_ptr_nonnull(node);
    return node;
}

/* Have the bus report these children, as a driver does when its bus has changed. */
static inline void report(ULONG children)
{
    toy.Children = children;
    IoInvalidateDeviceRelations(toy.Pdo, BusRelations);
    pnp_wait_quiet();
}

static inline void boot_with(ULONG children)
{
    boot();
    report(children);
}

static inline void finish(void)
{
    ck_assert_msg(pnp_shutdown_all(), "%s", pnp_refusal());
    ck_assert_ptr_null(pnp_root());
    ck_assert_ptr_null(loader_next(NULL));
}

static inline void run_in(unsigned vcpus, void (*function)(void *))
{
    struct machine_config config = guest_config(vcpus);

    config.driver_dir = TEST_DRIVERS;
    guest_run_with(&config, function, NULL);
}

static inline void must_fail(void (*function)(void *), const char *rule)
{
    struct machine_config config = guest_config(1);

    config.driver_dir = TEST_DRIVERS;
    guest_must_fail(&config, function, NULL, rule);
}

/* ---- the journal ---- */

static inline void forget(void)
{
    toy.Count = 0;
}

/* Position of an entry from `from` on, or -1. `child` -1: any. */
static inline int find_entry(unsigned from, char who, unsigned what, int child)
{
    for (unsigned i = from; i < toy.Count && i < TOY_ENTRIES; i++) {
        if (toy.Entry[i].Who == who && toy.Entry[i].What == what && (child < 0 || toy.Entry[i].Child == (ULONG)child))
            return (int)i;
    }
    return -1;
}

static inline bool seen(char who, unsigned what, int child)
{
    return find_entry(0, who, what, child) >= 0;
}

/* The entries occur in this order (others may lie between). */
#define ck_assert_order(...)                                                                                           \
    do {                                                                                                               \
        static const struct {                                                                                          \
            char who;                                                                                                  \
            unsigned what;                                                                                             \
            int child;                                                                                                 \
        } wanted[] = {__VA_ARGS__};                                                                                    \
        unsigned from = 0;                                                                                             \
                                                                                                                       \
        for (size_t i = 0; i < RTL_NUMBER_OF(wanted); i++) {                                                           \
            int at = find_entry(from, wanted[i].who, wanted[i].what, wanted[i].child);                                 \
                                                                                                                       \
            ck_assert_msg(at >= 0, "step %zu (%c 0x%02x) is not there or out of order", i, wanted[i].who,              \
                          wanted[i].what);                                                                             \
            from = (unsigned)at + 1;                                                                                   \
        }                                                                                                              \
    } while (0)

static inline char *value_of(const char *path, const char *name)
{
    struct cm_key *key = cm_key_open(path);

    ck_assert_msg(key != NULL, "no key %s", path);
    return cm_value_get_string(key, name);
}

static inline void check_value(const char *path, const char *name, const char *expected)
{
    char *value = value_of(path, name);

    ck_assert_msg(value != NULL, "no value %s in %s", name, path);
    ck_assert_str_eq(value, expected);
    image_free(value);
}

/* The index-th resource of a type in one of the lists of the bus's start. */
static inline const CM_PARTIAL_RESOURCE_DESCRIPTOR *resource(const CM_PARTIAL_RESOURCE_DESCRIPTOR *list, unsigned count,
                                                             UCHAR type, unsigned index)
{
    for (unsigned i = 0; i < count; i++) {
        if (list[i].Type == type && index-- == 0)
            return &list[i];
    }
    ck_abort_msg("no resource of type %u", type);
    return NULL;
}

/* A handle to a child's physical device. */
static inline HANDLE open_child(unsigned index)
{
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK result;
    UNICODE_STRING name;
    size_t length;
    HANDLE handle;

    name.Buffer = cm_utf16_from_utf8(ob_name(toy.ChildPdo[index]), &length);
    name.Length = name.MaximumLength = (USHORT)(length * sizeof(WCHAR));
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    ck_assert_int_eq(ZwOpenFile(&handle, GENERIC_READ | SYNCHRONIZE, &attributes, &result, 0, 0), STATUS_SUCCESS);
    image_free(name.Buffer);
    return handle;
}

#endif
