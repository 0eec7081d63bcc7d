/*
 * VIFs and the emulated network cards of the same address: Windows is never to see one card twice. The VIF does not
 * start, or goes when its twin comes later; the next boot has the emulated cards unplugged, and the VIF works.
 */
#include <stdio.h>

#include <ntddndis.h>

#include "cli/guest.h"
#include "common/irps.h"
#include "common/stack.h"
#include "common/stack_dom0.h"
#include "machine/clock.h"
#include "machine/image.h"
#include "machine/sched.h"
#include "nt/cm/cm.h"
#include "nt/pnp/pnp.h"

#include <initguid.h>
#include <ndisguid.h>

#define NET .drivers = STACK_XENVIF | STACK_NETCLIENT | STACK_NIC
#define CHILD "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\"
#define BUS "XENBUS\\VEN_XP0001&DEV_VIF"
#define REALTEK "PCI\\VEN_10EC&DEV_8139"
#define INTEL "PCI\\VEN_8086&DEV_100E"
#define PATIENCE_MS 5000u

#define CARD(kind, n)                                                                                                  \
    {                                                                                                                  \
        .model = MACHINE_NIC_##kind, .mac = MACHINE_VIF_MAC(n)                                                         \
    }
#define ONE_CARD(kind, n)                                                                                              \
    .board = {                                                                                                         \
        .nic = {CARD(kind, n)},                                                                                        \
        .nics = 1,                                                                                                     \
    }

static struct capture *few;

/* ---- what there is ---- */

static struct devnode *vif(unsigned number)
{
    char path[64];
    struct devnode *node;

    snprintf(path, sizeof(path), CHILD "%u", number);
    node = pnp_find(path);
    ck_assert_msg(node != NULL, "there is no VIF %u", number);
    return node;
}

/* Requests for the next boot; 0: none. */
static ULONG unplug_asked(void)
{
    struct cm_key *key = cm_key_open(CM_SERVICES "\\xen\\Unplug");
    ULONG count = 0;

    if (key != NULL)
        (void)cm_value_get_dword(key, "NICS", &count);
    return count;
}

static bool reboot_asked(void)
{
    struct cm_key *key = cm_key_open(CM_SERVICES "\\xenbus_monitor\\Request\\xenvif");
    ULONG value = 0;

    return key != NULL && cm_value_get_dword(key, "Reboot", &value) && value == 1;
}

static void install_monitor(void)
{
    (void)cm_key_create(CM_SERVICES "\\xenbus_monitor");
}

static void assert_refused(unsigned number)
{
    ck_assert_int_ne(pnp_state(vif(number)), DEVNODE_STARTED);
    ck_assert_int_eq(pnp_problem(vif(number)), PROBLEM_NEED_RESTART);
    ck_assert_int_eq(pnp_problem_status(vif(number)), STATUS_PNP_REBOOT_REQUIRED);
}

/* The bus hears of a card that starts after the VIF, and says that the VIF has failed. */
static bool is_out(void *number)
{
    enum devnode_problem problem = pnp_problem(vif(*(unsigned *)number));

    return pnp_quiet() && pnp_state(vif(*(unsigned *)number)) == DEVNODE_REMOVED &&
           (problem == PROBLEM_FAILED_POST_START || problem == PROBLEM_NEED_RESTART);
}

/* Whichever of the two started first: the VIF is out of service, and does not start again. */
static void assert_out(unsigned number)
{
    ck_assert_msg(stack_wait(is_out, &number, PATIENCE_MS), "VIF %u is %s, problem %s", number,
                  pnp_state_name(pnp_state(vif(number))), pnp_problem_name(pnp_problem(vif(number))));
    (void)pnp_retry_device(vif(number));
    assert_refused(number);
}

static void assert_works(unsigned number)
{
    stack_wait_connected(number);
    pnp_wait_quiet();
    ck_assert_int_eq(stack_wait_link(number, true), STATUS_SUCCESS);
    stack_carry(number, few, few);
}

/* ---- a twin from the start ---- */

static void twin_is_there(void *card)
{
    ck_assert(stack_device_started(card));
    assert_out(0);
    ck_assert_uint_eq(unplug_asked(), 1);
    ck_assert(reboot_asked());
    assert_works(1);

    /* It stays so, and is asked for once, however often it is tried. */
    for (unsigned i = 0; i < 3; i++) {
        (void)pnp_retry_device(vif(0));
        assert_refused(0);
    }
    ck_assert_uint_eq(unplug_asked(), 1);

    /* Without the twin there is nothing in the way. */
    ck_assert_int_eq(pnp_remove_device(stack_device(card), false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_retry_device(vif(0)), STATUS_SUCCESS);
    assert_works(0);
    assert_works(1);
}

START_TEST(refused_beside_its_twin)
{
    static const struct stack_options options[] = {
        {NET, .vifs = 2, .quiet = true, .prepare = install_monitor, ONE_CARD(RTL8139, 0)},
        {NET, .vifs = 2, .quiet = true, .prepare = install_monitor, ONE_CARD(E1000, 0)},
        {NET, .vifs = 2, .quiet = true, .prepare = install_monitor, .policy = POLICY_PCT, ONE_CARD(E1000, 0)}};

    stack_run(&options[_i], twin_is_there, _i == 0 ? REALTEK : INTEL);
}
END_TEST

/* Without the monitor there is nobody to offer the reboot: the VIF stays out all the same. */
STACK_TEST(refused_without_a_monitor, NET, .vifs = 1, .quiet = true, ONE_CARD(RTL8139, 0))
{
    assert_out(0);
    ck_assert_uint_eq(unplug_asked(), 1);
    ck_assert(!reboot_asked());
}

STACK_TEST(several_twins, NET, .vifs = 4, .quiet = true, .prepare = install_monitor,
           .board = {.nic = {CARD(E1000, 3), CARD(RTL8139, 1), CARD(RTL8139, 9)}, .nics = 3})
{
    assert_works(0);
    assert_out(1);
    assert_works(2);
    assert_out(3);
    ck_assert_uint_eq(unplug_asked(), 1);
    ck_assert(reboot_asked());
}

/* ---- no twin ---- */

static void nothing_in_the_way(void *unused)
{
    (void)unused;
    assert_works(0);
    ck_assert_uint_eq(unplug_asked(), 0);
    ck_assert(!reboot_asked());
}

START_TEST(no_twin)
{
    static const struct stack_options options[] = {
        {NET, .vifs = 1, .prepare = install_monitor},
        /* Another address; nobody drives it, so that it is nobody's card. */
        {NET, .vifs = 1, .prepare = install_monitor, ONE_CARD(RTL8139, 7)},
        {.drivers = STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .prepare = install_monitor, ONE_CARD(RTL8139, 0)}};

    stack_run(&options[_i], nothing_in_the_way, NULL);
}
END_TEST

/* ---- a twin that comes later ---- */

/* The cards are taken out of service, and found again by a look at their bus: one is VIF 0's twin, one nobody's. */
static void twin_comes(void *unused)
{
    struct devnode *pci = pnp_parent(stack_device(REALTEK));

    (void)unused;
    for (unsigned round = 0; round < 2; round++) {
        assert_out(0);
        ck_assert_int_eq(pnp_remove_device(stack_device(REALTEK), false), STATUS_SUCCESS);
        ck_assert_int_eq(pnp_remove_device(stack_device(INTEL), false), STATUS_SUCCESS);
        ck_assert_int_eq(pnp_retry_device(vif(0)), STATUS_SUCCESS);
        assert_works(0);
        assert_works(1);
        ck_assert_int_eq(pnp_rescan(pci), STATUS_SUCCESS);
        ck_assert_msg(stack_wait(is_out, &(unsigned){0}, PATIENCE_MS), "the twin has come, and the VIF stays");
        stack_store_await(stack_path("device/vif/0/state"), "6", PATIENCE_MS);
        assert_works(1);
    }
    ck_assert_uint_eq(unplug_asked(), 1);
    ck_assert(reboot_asked());
}

START_TEST(twin_that_comes_later)
{
    struct stack_options options = {NET, .vifs = 2, .quiet = true, .prepare = install_monitor,
                                    .board = {.nic = {CARD(RTL8139, 0), CARD(E1000, 9)}, .nics = 2}};

    stack_run(&options, twin_comes, NULL);
    options.policy = POLICY_PCT;
    for (options.seed = 1; options.seed <= 3; options.seed++)
        stack_run(&options, twin_comes, NULL);
}
END_TEST

/* ---- what cannot be found out for a moment ---- */

#define NOT_FOUND_OUT .fail = "call=IoGetDeviceInterfaces,nth=100000000"

static void fail_next_call(void)
{
    machine->config.faults.rule[0].nth = 1;
    machine->fault->matched[0] = 0;
    fault_resume();
}

static void assert_failed(uint64_t injected)
{
    ck_assert_uint_eq(fault_injected(), injected);
    fault_suspend();
}

/* No VIF starts that may have a twin. */
static void card_cannot_be_asked(void *unused)
{
    (void)unused;
    fault_suspend();
    assert_out(0);
    fail_next_call();
    (void)pnp_retry_device(vif(0));
    assert_failed(1);
    ck_assert_int_ne(pnp_state(vif(0)), DEVNODE_STARTED);
    ck_assert_int_eq(pnp_problem_status(vif(0)), STATUS_INSUFFICIENT_RESOURCES);
    (void)pnp_retry_device(vif(0));
    assert_refused(0);
}

STACK_TEST(refused_while_cards_cannot_be_looked_at, NET, .vifs = 1, .quiet = true, NOT_FOUND_OUT, ONE_CARD(RTL8139, 0))
{
    card_cannot_be_asked(NULL);
}

/* A card that cannot be asked for lack of memory may be the twin, whichever of the steps it is. */
START_TEST(refused_while_a_card_cannot_be_asked)
{
    static const char *const calls[] = {"call=IoGetDeviceObjectPointer,nth=100000000",
                                        "call=IoBuildDeviceIoControlRequest,nth=100000000"};
    struct stack_options options = {NET, .vifs = 1, .quiet = true, ONE_CARD(RTL8139, 0)};

    options.fail = calls[_i];
    stack_run(&options, card_cannot_be_asked, NULL);
}
END_TEST

/* A twin that comes is looked for again. */
STACK_TEST(twin_that_is_looked_for_again, NET, .vifs = 1, .quiet = true, .prepare = install_monitor, NOT_FOUND_OUT,
           ONE_CARD(RTL8139, 0))
{
    struct devnode *pci = pnp_parent(stack_device(REALTEK));

    fault_suspend();
    assert_out(0);
    ck_assert_int_eq(pnp_remove_device(stack_device(REALTEK), false), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_retry_device(vif(0)), STATUS_SUCCESS);
    assert_works(0);
    fail_next_call();
    ck_assert_int_eq(pnp_rescan(pci), STATUS_SUCCESS);
    ck_assert_msg(stack_wait(is_out, &(unsigned){0}, PATIENCE_MS), "the twin has come, and the VIF stays");
    assert_failed(1);
}

/* ---- answers of cards ---- */

static struct {
    enum { ERROR_INSTEAD, TOO_LITTLE, LATER } how;
    PDEVICE_OBJECT device;
    PIRP irp;
    PKTHREAD thread; /* that gives the answer later */
} answer;

static VOID NTAPI answer_later(PVOID unused)
{
    (void)unused;
    stack_sleep_us(10000);
    (void)irps_go_on(answer.device, answer.irp);
    (void)PsTerminateSystemThread(STATUS_SUCCESS);
}

static bool answer_oddly(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)location;
    switch (answer.how) {
    case ERROR_INSTEAD:
        return irps_answer(irp, STATUS_DEVICE_NOT_READY, 0, status);
    case TOO_LITTLE:
        return irps_answer(irp, STATUS_SUCCESS, 5, status);
    default:
        IoMarkIrpPending(irp);
        answer.device = device;
        answer.irp = irp;
        answer.thread = stack_thread(answer_later, NULL);
        *status = STATUS_PENDING;
        return true;
    }
}

static void retry_with_answer(PDEVICE_OBJECT card, unsigned how)
{
    answer.how = how;
    irps_intercept(card, false, IRP_MJ_DEVICE_CONTROL, 0, answer_oddly);
    (void)pnp_retry_device(vif(0));
    if (how == LATER)
        stack_join(answer.thread);
    irps_let_pass();
}

/* One that takes its time is waited for; one that does not tell its address is none that Windows could confuse. */
STACK_TEST(cards_that_answer_otherwise, NET, .vifs = 1, .quiet = true, ONE_CARD(RTL8139, 0))
{
    PDEVICE_OBJECT card = irps_of_driver(REALTEK, "nic");

    assert_out(0);
    retry_with_answer(card, LATER);
    assert_refused(0);
    retry_with_answer(card, ERROR_INSTEAD);
    STACK_ASSERT_LOGGED("a network card on the PCI bus does not tell its address (c00000a3)");
    assert_works(0);
    ck_assert_int_eq(pnp_remove_device(vif(0), false), STATUS_SUCCESS);
    retry_with_answer(card, TOO_LITTLE);
    STACK_ASSERT_LOGGED("a network card on the PCI bus does not tell its address (c0000206)");
    assert_works(0);
}

/* ---- adapters that are no cards ---- */

static volatile bool other_asked;

static bool answer_with_address(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    static const uint8_t mac[6] = MACHINE_VIF_MAC(0);

    (void)device;
    if (location->Parameters.DeviceIoControl.IoControlCode != IOCTL_NDIS_QUERY_GLOBAL_STATS)
        return false;
    other_asked = true;
    memcpy(MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority), mac, sizeof(mac));
    return irps_answer(irp, STATUS_SUCCESS, sizeof(mac), status);
}

/* An adapter that is not on the PCI bus (VIF 1's, here) is no card, whatever its address is: it is not even asked. */
STACK_TEST(adapter_elsewhere, NET, .vifs = 2, .wait = true, ONE_CARD(RTL8139, 7))
{
    UNICODE_STRING link;

    assert_works(0);
    irps_intercept(irps_of_driver(CHILD "1", "netclient"), false, IRP_MJ_DEVICE_CONTROL, 0, answer_with_address);
    ck_assert_int_eq(IoRegisterDeviceInterface(pnp_pdo(vif(1)), &GUID_DEVINTERFACE_NET, NULL, &link), STATUS_SUCCESS);
    ck_assert_int_eq(IoSetDeviceInterfaceState(&link, TRUE), STATUS_SUCCESS);
    pnp_wait_quiet();
    ck_assert_int_eq(pnp_restart_device(vif(0)), STATUS_SUCCESS);
    stack_sleep_us(20000); /* the bus looks, as an adapter has come */
    assert_works(0);
    assert_works(1);
    ck_assert(!other_asked);
    ck_assert_int_eq(IoSetDeviceInterfaceState(&link, FALSE), STATUS_SUCCESS);
    irps_let_pass();
    RtlFreeUnicodeString(&link);
    ck_assert_uint_eq(unplug_asked(), 0);
}

/* ---- a twin that comes while the VIF starts ---- */

static UNICODE_STRING twin;

/* The other card is being asked: the twin has come too late to be asked as well. */
static bool let_twin_come(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION location, NTSTATUS *status)
{
    (void)device;
    (void)irp;
    (void)location;
    (void)status;
    if (irps_intercepted() == 1) {
        ck_assert_int_eq(IoSetDeviceInterfaceState(&twin, TRUE), STATUS_SUCCESS);
        stack_sleep_us(100000); /* the bus looks, and nothing is started that could be its twin */
    }
    return false;
}

/* By IRPs of the test's: the manager of this machine tells of no adapter while it starts a device. */
STACK_TEST(twin_in_the_middle_of_a_start, NET, .vifs = 1, .quiet = true,
           .board = {.nic = {CARD(RTL8139, 9), CARD(E1000, 0)}, .nics = 2})
{
    PDEVICE_OBJECT top;
    PZZWSTR links;

    assert_out(0);
    ck_assert_int_eq(IoGetDeviceInterfaces(&GUID_DEVINTERFACE_NET, pnp_pdo(stack_device(INTEL)), 0, &links),
                     STATUS_SUCCESS);
    RtlInitUnicodeString(&twin, links);
    ck_assert_int_eq(IoSetDeviceInterfaceState(&twin, FALSE), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_retry_device(vif(0)), STATUS_SUCCESS);
    assert_works(0);

    top = pnp_pdo(vif(0))->AttachedDevice;
    ck_assert_int_eq(irps_send_minor(top, IRP_MN_QUERY_STOP_DEVICE), STATUS_SUCCESS);
    ck_assert_int_eq(irps_send_minor(top, IRP_MN_STOP_DEVICE), STATUS_SUCCESS);
    irps_intercept(irps_of_driver(REALTEK, "nic"), false, IRP_MJ_DEVICE_CONTROL, 0, let_twin_come);
    ck_assert_int_eq(irps_send_minor(top, IRP_MN_START_DEVICE), STATUS_SUCCESS);
    ck_assert_msg(stack_wait(is_out, &(unsigned){0}, PATIENCE_MS), "the twin has come, and the VIF stays");
    irps_let_pass();
    ExFreePool(links);
    assert_out(0);
}

/* The address counts that the VIF is to start with. */
STACK_TEST(twin_by_another_address, NET, .vifs = 1, .quiet = true, ONE_CARD(RTL8139, 7))
{
    assert_works(0);
    ck_assert_int_eq(pnp_remove_device(vif(0), false), STATUS_SUCCESS);
    stack_store_write(stack_path("device/vif/0/mac"), "00:16:3e:5a:00:07");
    (void)pnp_retry_device(vif(0));
    assert_refused(0);
}

/* A wish that could not be noted is noted when the VIF is tried again. */
STACK_TEST(wish_that_cannot_be_noted, NET, .vifs = 1, .quiet = true, .fail = "call=ZwSetValueKey,nth=100000000",
           ONE_CARD(RTL8139, 7))
{
    fault_suspend();
    assert_works(0);
    ck_assert_int_eq(pnp_remove_device(vif(0), false), STATUS_SUCCESS);
    stack_store_write(stack_path("device/vif/0/mac"), "00:16:3e:5a:00:07");
    fail_next_call();
    (void)pnp_retry_device(vif(0));
    assert_failed(1);
    assert_refused(0);
    STACK_ASSERT_LOGGED("emulated cards will be there at the next boot (c000009a)");
    ck_assert_uint_eq(unplug_asked(), 0);
    for (unsigned i = 0; i < 2; i++) {
        (void)pnp_retry_device(vif(0));
        assert_refused(0);
        ck_assert_uint_eq(unplug_asked(), 1);
    }
}

/* ---- the next boot ---- */

static bool is_there(const char *card)
{
    return stack_device(card) != NULL;
}

static void boots(void *unused)
{
    (void)unused;
    ck_assert(is_there(REALTEK));
    while (!reboot_asked())
        (void)task_park(clock_now() + 100000, "the VIF's twin");
    ck_assert(guest_wait_quiet());
    ck_assert_int_ne(pnp_state(vif(0)), DEVNODE_STARTED);
    for (unsigned i = 0; i < 2; i++) {
        stack_stop_now();
        stack_power_cycle_now(); /* until every VIF is connected */
        ck_assert(!is_there(REALTEK));
        ck_assert_int_eq(pnp_state(vif(0)), DEVNODE_STARTED);
        ck_assert_uint_eq(unplug_asked(), 1);
    }
}

START_TEST(unplugged_from_the_next_boot_on)
{
    static const struct stack_options options = {
        NET, .vifs = 2, .quiet = true, .from_dom0 = true, .prepare = install_monitor, ONE_CARD(RTL8139, 0)};

    stack_run(&options, boots, NULL);
}
END_TEST

static void ask_before(void)
{
    install_monitor();
    cm_value_set_dword(cm_key_create(CM_SERVICES "\\xen\\Unplug"), "NICS", 1);
}

/* With the drivers goes their wish: the next boot has the cards again. */
STACK_TEST(withdrawn_with_the_drivers, NET, .vifs = 2, .prepare = ask_before, ONE_CARD(RTL8139, 0))
{
    ck_assert(!is_there(REALTEK));
    assert_works(0);
    assert_works(1);
    ck_assert_uint_eq(unplug_asked(), 1);
    ck_assert(!reboot_asked());
    ck_assert_int_eq(pnp_remove_device(stack_device(BUS), false), STATUS_SUCCESS);
    ck_assert_uint_eq(unplug_asked(), 0);
    ck_assert_int_eq(pnp_rescan(pnp_parent(stack_device(BUS))), STATUS_SUCCESS);
    assert_works(0);
    ck_assert_uint_eq(unplug_asked(), 1);
}

/* FB15: a host that does not unplug for these drivers. The VIF stays out, and no boot after boot is asked for. */
static void host_refuses(void *unused)
{
    (void)unused;
    ck_assert(stack_device_started(REALTEK));
    assert_out(0);
    assert_works(1);
    ck_assert_uint_eq(unplug_asked(), 1); /* another host may do it */
    ck_assert(!reboot_asked());
    STACK_ASSERT_LOGGED("no reboot is asked for: this host does not unplug emulated cards");
}

START_TEST(fb15_host_does_not_unplug)
{
    struct stack_options options = {NET, .vifs = 2, .quiet = true, .prepare = ask_before, ONE_CARD(RTL8139, 0)};

    options.board.unplug = _i == 0 ? MACHINE_UNPLUG_REFUSED : MACHINE_UNPLUG_ABSENT;
    stack_run(&options, host_refuses, NULL);
}
END_TEST

static void want_emulated(void)
{
    install_monitor();
    cm_value_set_string(cm_key_create(CM_CONTROL), "SystemStartOptions", REG_SZ, " XEN:BOOT_EMULATED=TRUE");
}

/* FB15: an administrator who wants emulated devices has them, once. */
STACK_TEST(fb15_administrator_wants_emulated, NET, .vifs = 2, .quiet = true, .prepare = want_emulated,
           ONE_CARD(RTL8139, 0))
{
    ck_assert(stack_device_started(REALTEK));
    assert_out(0);
    assert_works(1);
    ck_assert(!reboot_asked());
    STACK_ASSERT_LOGGED("no reboot is asked for: an administrator wants the emulated devices");
}

int main(void)
{
    Suite *suite = suite_create("twins of VIFs");
    TCase *tcase = tcase_create("twins");

    few = stack_capture("tests/captures/few-wire.pcap");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, refused_beside_its_twin, 0, 3);
    tcase_add_test(tcase, refused_without_a_monitor);
    tcase_add_test(tcase, several_twins);
    tcase_add_loop_test(tcase, no_twin, 0, 3);
    tcase_add_test(tcase, twin_that_comes_later);
    tcase_add_test(tcase, refused_while_cards_cannot_be_looked_at);
    tcase_add_loop_test(tcase, refused_while_a_card_cannot_be_asked, 0, 2);
    tcase_add_test(tcase, twin_that_is_looked_for_again);
    tcase_add_test(tcase, cards_that_answer_otherwise);
    tcase_add_test(tcase, adapter_elsewhere);
    tcase_add_test(tcase, twin_in_the_middle_of_a_start);
    tcase_add_test(tcase, twin_by_another_address);
    tcase_add_test(tcase, wish_that_cannot_be_noted);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("boots");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, unplugged_from_the_next_boot_on);
    tcase_add_test(tcase, withdrawn_with_the_drivers);
    tcase_add_loop_test(tcase, fb15_host_does_not_unplug, 0, 2);
    tcase_add_test(tcase, fb15_administrator_wants_emulated);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
