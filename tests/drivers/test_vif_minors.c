/*
 * IRPs that the bus of VIFs and its children get seldom or never from the managers of this machine: changes of state
 * that are taken back, questions to a device that has gone, relations that somebody else has begun; and IRPs that come
 * while the bus goes.
 */
#include <string.h>

#include "common/irps.h"
#include "nt/pnp/pnp.h"

#define NET .drivers = STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .wait = true
#define BUS "XENBUS\\VEN_XP0001&DEV_VIF"
#define CHILD "XENVIF\\VEN_XP0001&DEV_NET"

static struct capture *few;

static PDEVICE_OBJECT child(void)
{
    return pnp_pdo(stack_device(CHILD));
}

/* The bus's own device, with nobody above it. */
static PDEVICE_OBJECT bus(void)
{
    return pnp_pdo(stack_device(BUS))->AttachedDevice;
}

static void assert_works(void)
{
    stack_wait_connected(0);
    pnp_wait_quiet();
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    stack_carry(0, few, few);
}

/* ---- changes that are taken back ---- */

/* A bus does not stop under a child that is started; one that is about to stop or go has agreed. */
STACK_TEST(taken_back, NET)
{
    static const UCHAR minors[][2] = {{IRP_MN_QUERY_STOP_DEVICE, IRP_MN_CANCEL_STOP_DEVICE},
                                      {IRP_MN_QUERY_REMOVE_DEVICE, IRP_MN_CANCEL_REMOVE_DEVICE}};

    for (unsigned i = 0; i < ARRAYSIZE(minors); i++) {
        /* Nothing to take back: it stays started. */
        ck_assert_int_eq(irps_send_minor(child(), minors[i][1]), STATUS_SUCCESS);
        ck_assert_int_eq(irps_send_minor(bus(), IRP_MN_QUERY_STOP_DEVICE), STATUS_DEVICE_BUSY);

        ck_assert_int_eq(irps_send_minor(child(), minors[i][0]), STATUS_SUCCESS);
        ck_assert_int_eq(irps_send_minor(bus(), minors[i][0]), STATUS_SUCCESS);
        ck_assert_int_eq(irps_send_minor(bus(), minors[i][1]), STATUS_SUCCESS);
        ck_assert_int_eq(irps_send_minor(child(), minors[i][1]), STATUS_SUCCESS);
        ck_assert_int_eq(irps_send_minor(bus(), IRP_MN_QUERY_STOP_DEVICE), STATUS_DEVICE_BUSY);
        assert_works();
    }
}

/* ---- questions ---- */

static ULONG_PTR state_of(PDEVICE_OBJECT device)
{
    const IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_PNP_DEVICE_STATE};
    ULONG_PTR information = 0;

    ck_assert_int_eq(irps_send(device, IRP_MJ_PNP, &what, &information), STATUS_SUCCESS);
    return information;
}

/* For stack_wait(). */
static bool has_no_child(void *unused)
{
    (void)unused;
    return stack_device(CHILD) == NULL;
}

/* A child that has been ejected says that it has gone, is ejected only once, and does not start any more. */
STACK_TEST(has_gone, NET, .quiet = true)
{
    PDEVICE_OBJECT gone = child();

    ck_assert_uint_eq(state_of(gone), 0);
    ck_assert_int_eq(irps_send_minor(gone, IRP_MN_EJECT), STATUS_SUCCESS);
    ck_assert_uint_eq(state_of(gone), PNP_DEVICE_REMOVED);
    ck_assert_int_eq(irps_send_minor(gone, IRP_MN_START_DEVICE), STATUS_NO_SUCH_DEVICE);
    ck_assert_int_eq(irps_send_minor(gone, IRP_MN_EJECT), STATUS_SUCCESS);
    ck_assert_int_eq(pnp_rescan(stack_device(BUS)), STATUS_SUCCESS);
    pnp_wait_quiet();
    ck_assert(stack_wait(has_no_child, NULL, 1000));
    stack_detach(0);
    stack_attach(0);
    assert_works();
}

/* What is asked in a way that it does not know is answered as it came. */
STACK_TEST(unknown_questions, NET)
{
    DEVICE_CAPABILITIES *capabilities = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*capabilities), STACK_TAG);
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_CAPABILITIES};
    ULONG_PTR information = 0;

    capabilities->Size = sizeof(*capabilities);
    capabilities->Version = 2;
    what.Parameters.DeviceCapabilities.Capabilities = capabilities;
    ck_assert_int_eq(irps_send(child(), IRP_MJ_PNP, &what, &information), STATUS_UNSUCCESSFUL);
    ExFreePoolWithTag(capabilities, STACK_TAG);

    memset(&what, 0, sizeof(what));
    what.MinorFunction = IRP_MN_QUERY_DEVICE_TEXT;
    what.Parameters.QueryDeviceText.DeviceTextType = (DEVICE_TEXT_TYPE)99;
    ck_assert_int_eq(irps_send(child(), IRP_MJ_PNP, &what, &information), STATUS_NOT_SUPPORTED);
    ck_assert_uint_eq(information, 0);
}

/* A driver above has begun a list: what it has put there stays, behind the bus's own. */
STACK_TEST(relations_of_others, NET)
{
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_DEVICE_RELATIONS};
    PDEVICE_RELATIONS others = ExAllocatePool2(POOL_FLAG_PAGED, sizeof(*others), STACK_TAG), both;
    ULONG_PTR information = (ULONG_PTR)others;

    others->Count = 1;
    others->Objects[0] = bus();
    ObReferenceObject(others->Objects[0]);
    what.Parameters.QueryDeviceRelations.Type = BusRelations;
    ck_assert_int_eq(irps_send(bus(), IRP_MJ_PNP, &what, &information), STATUS_SUCCESS);
    both = (PDEVICE_RELATIONS)information;
    ck_assert_uint_eq(both->Count, 2);
    ck_assert_ptr_eq(both->Objects[0], child());
    ck_assert_ptr_eq(both->Objects[1], bus());
    for (ULONG i = 0; i < both->Count; i++)
        ObDereferenceObject(both->Objects[i]);
    ExFreePool(both);
    assert_works();
}

/* ---- a bus that goes ---- */

static PDEVICE_OBJECT going;

static void read_config(void)
{
    (void)irps_send_minor(going, IRP_MN_READ_CONFIG);
}

static void assert_refused(void)
{
    IO_STACK_LOCATION what = {.MinorFunction = IRP_MN_QUERY_POWER};
    ULONG_PTR information = 0;

    ck_assert_int_eq(irps_send_minor(going, IRP_MN_QUERY_CAPABILITIES), STATUS_DELETE_PENDING);
    ck_assert_int_eq(irps_send(going, IRP_MJ_POWER, &what, &information), STATUS_DELETE_PENDING);
}

/* It waits for the IRP that is under way, and takes no other meanwhile. */
STACK_TEST(refused_while_it_goes, NET)
{
    const struct irps_going during = {BUS, pnp_pdo(stack_device(BUS)), IRP_MN_READ_CONFIG, read_config, assert_refused};

    going = bus();
    irps_go_during(&during);
    ck_assert_int_eq(pnp_rescan(pnp_parent(stack_device(BUS))), STATUS_SUCCESS);
    assert_works();
}

int main(void)
{
    Suite *suite = suite_create("IRPs of the bus of VIFs");
    TCase *tcase = tcase_create("irps");

    few = stack_capture("tests/captures/few-wire.pcap");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, taken_back);
    tcase_add_test(tcase, has_gone);
    tcase_add_test(tcase, unknown_questions);
    tcase_add_test(tcase, relations_of_others);
    tcase_add_test(tcase, refused_while_it_goes);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
