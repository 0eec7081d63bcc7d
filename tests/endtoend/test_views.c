/*
 * Debugger views: each shows what was under way where the machine stopped, at a failure or before an event.
 * tests/clients/planted/scene.c has something for each of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"
#include "common/planted.h"
#include "common/process.h"

#define LAN "tests/captures/lan-wire.pcap"

static char bundle[512];

/* Before each test, in its process. */
static void leave_bundle(void)
{
    struct process_result result =
        pvsim("run --seed 3 --bundle-dir %s --drivers %s", scratch(), planted_folder(PLANTED_SCENE, false));
    const char *at = strstr(result.output, "pvsim replay ");

    ck_assert_msg(result.status == 1 && at != NULL, "%d\n%s%s", result.status, result.output, result.error);
    ck_assert_int_eq(sscanf(at, "pvsim replay %511s", bundle), 1);
    process_free(&result);
}

/* What a view prints at the failure, in the caller's ownership. */
static char *view(const char *name)
{
    struct process_result result = pvsim("replay --show %s %s", name, bundle);
    char heading[64];
    const char *at;
    char *text;

    snprintf(heading, sizeof(heading), "---- %s: ", name);
    at = strstr(result.output, heading);
    ck_assert_msg(result.status == 0 && at != NULL, "%d\n%s%s", result.status, result.output, result.error);
    ck_assert_ptr_null(strstr(at + 1, "---- "));
    text = strdup(at);
    process_free(&result);
    return text;
}

/* The texts come one behind the other. */
static void assert_order(const char *text, const char *const *parts, size_t count)
{
    const char *at = text;

    for (size_t index = 0; index < count; index++) {
        at = strstr(at, parts[index]);
        ck_assert_msg(at != NULL, "'%s' is not there, or not in its place:\n%s", parts[index], text);
        at += strlen(parts[index]);
    }
}

#define ASSERT_VIEW(name, ...)                                                                                         \
    do {                                                                                                               \
        static const char *const parts[] = {__VA_ARGS__};                                                              \
        char *text = view(name);                                                                                       \
                                                                                                                       \
        assert_order(text, parts, sizeof(parts) / sizeof(parts[0]));                                                   \
        free(text);                                                                                                    \
    } while (0)

START_TEST(requests)
{
    ASSERT_VIEW("irp", ": in flight, status 0xc00000bb", "made at planted.so!SendRequest",
                "(scene.c:", ">[1] IRP_MJ_INTERNAL_DEVICE_CONTROL(0xf), minor 0x00, planted, device ",
                ", marked pending", "dispatch routine returned 0x00000103",
                "completion routine planted.so!SceneCompleted");
}
END_TEST

START_TEST(pool_by_tag)
{
    ASSERT_VIEW(
        "pool", "tag ",
        "Plan  nonpaged-nx           1           0         1         4321         4321  planted.so!PlantedScene",
        "(scene.c:");
}
END_TEST

START_TEST(held_locks)
{
    ASSERT_VIEW("locks", "spin lock 0x", "held by vCPU", "acquired at\n", "planted.so!PlantedScene",
                "(scene.c:", "planted.so!DriverEntry", "mutex 0x", "held by ", "acquired at\n",
                "planted.so!SceneOwner");
}
END_TEST

START_TEST(waiting_threads)
{
    ASSERT_VIEW("threads", "running", "planted.so!PlantedScene", "planted.so!DriverEntry",
                "waiting for notification event ", "called from planted.so!SceneOwner", "KeWaitForSingleObject",
                "planted.so!SceneOwner", "(scene.c:");
}
END_TEST

START_TEST(queued_dpcs)
{
    ASSERT_VIEW("dpcs", ": 1 DPCs queued", "queued: DPC 0x", "importance medium", "routine planted.so!SceneDpc",
                "timer 0x", "due in 3", ", then every 250 ms\n", "queues DPC 0x", "routine planted.so!SceneTimerDpc");
}
END_TEST

/* A device of a driver that is no device's: the tree is in before_an_event. */
START_TEST(device_stacks)
{
    ASSERT_VIEW("devstack", "in no stack of the tree, created at planted.so!SendRequest", "(scene.c:", "planted ",
                "\\Device\\PlantedScene, flags 0x");
}
END_TEST

/* Views in the order of the list, whatever the order of the options; none twice. */
START_TEST(several_views)
{
    static const char *const parts[] = {"replay", "---- pool: ", "---- locks: ", "---- dpcs: "};
    struct process_result result = pvsim("replay --show dpcs,pool --show locks,pool %s", bundle);

    ck_assert_int_eq(result.status, 0);
    assert_order(result.output, parts + 1, 3);
    ck_assert_ptr_null(strstr(strstr(result.output, "---- pool: ") + 1, "---- pool: "));
    ck_assert_ptr_nonnull(strstr(result.output, "replay: the same failure"));
    process_free(&result);
}
END_TEST

START_TEST(unknown_view)
{
    static const char *const wrong[] = {"stack", "irp,", "irp,,pool", "IRP"};
    struct process_result result = pvsim("replay --show %s %s", wrong[_i], bundle);

    ck_assert_int_eq(result.status, 2);
    ck_assert_uint_eq(line_count(result.error), 1);
    ck_assert_ptr_nonnull(strstr(result.error, "devstack, irp, pool, locks, threads, dpcs"));
    ck_assert_str_eq(result.output, "");
    process_free(&result);
}
END_TEST

/* In the middle of traffic: stacks of the whole tree, reads that netclient holds, and what runs. */
START_TEST(before_an_event)
{
    static const char *const parts[] = {
        "stopped before event 2500",
        "---- devstack: ",
        "devnode 5: PCI\\VEN_5853&DEV_0001",
        ", started, service xenbus\n",
        "  xenbus      device ",
        "  pci         device ",
        "devnode 6: XENBUS\\VEN_XP0001&DEV_VIF",
        "  xenvif      device ",
        "  xenbus      device ",
        "  netclient   device ",
        "  xenvif      device ",
        "---- irp: ",
        "IRP_MJ_READ(0x3), minor 0x00, netclient",
        "---- threads: ",
        "thread ",
    };
    struct process_result result =
        pvsim("run --seed 11 --policy pct --timeout 2ms --tx %s --rx %s --bundle-dir %s", LAN, LAN, scratch());
    const char *at = strstr(result.output, "pvsim replay ");
    char other[512];

    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(sscanf(at, "pvsim replay %511s", other), 1);
    process_free(&result);
    result = pvsim("replay --until 2500 --show devstack,irp,threads %s", other);
    ck_assert_int_eq(result.status, 0);
    assert_order(result.output, parts, sizeof(parts) / sizeof(parts[0]));
    process_free(&result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("views");
    TCase *tcase = tcase_create("replay --show");

    tcase_add_checked_fixture(tcase, leave_bundle, NULL);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, requests);
    tcase_add_test(tcase, pool_by_tag);
    tcase_add_test(tcase, held_locks);
    tcase_add_test(tcase, waiting_threads);
    tcase_add_test(tcase, queued_dpcs);
    tcase_add_test(tcase, device_stacks);
    tcase_add_test(tcase, several_views);
    tcase_add_loop_test(tcase, unknown_view, 0, 4);
    tcase_add_test(tcase, before_an_event);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
