/*
 * VIFs on which one call after the other fails for lack of resources: with several queues, a control ring, hashes and
 * groups, which the run of the fault sweep has not. A device that does not start says so and starts when it is tried
 * again; one that does is connected in the end, and carries all there is.
 */
#include <string.h>

#include "common/stack.h"
#include "machine/fault.h"
#include "nt/pnp/pnp.h"

#include "vif_interface.h"

#define CHILD "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\0"
#define NEVER "nth=100000000"
#define ENDS 100u /* calls at each end */

static struct capture *few;

/* The nth call from now on that the test's rule is for fails. */
static void fail_call(uint64_t nth)
{
    machine->config.faults.rule[0].nth = nth;
    machine->fault->matched[0] = 0;
    fault_resume();
}

static NTSTATUS set_filter(ULONG level)
{
    NETCLIENT_FILTER filter = {.Type = ETHERNET_ADDRESS_MULTICAST, .Level = level};

    return stack_netclient(0, IOCTL_NETCLIENT_SET_FILTER, &filter, sizeof(filter), NULL, 0);
}

static void assert_works(void)
{
    if (pnp_state(pnp_find(CHILD)) != DEVNODE_STARTED)
        ck_assert_int_eq(pnp_retry_device(pnp_find(CHILD)), STATUS_SUCCESS);
    pnp_wait_quiet();
    stack_wait_connected(0);
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    ck_assert_int_eq(set_filter(XENVIF_MAC_FILTER_ALL), STATUS_SUCCESS);
    stack_store_await(stack_path("device/vif/0/request-multicast-control"), "0", 5000);
    stack_sleep_us(20000); /* until netback has heard of it */
    stack_carry(0, few, few);
}

static void ask_for_hashes(void)
{
    ULONG toeplitz = XENVIF_PACKET_HASH_ALGORITHM_TOEPLITZ;
    NETCLIENT_HASH hash = {.Types = 0x1E, .Key = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2}};
    uint8_t group[6] = {0x01, 0x00, 0x5e, 0, 0, 1};

    (void)stack_netclient(0, IOCTL_NETCLIENT_SET_HASH_ALGORITHM, &toeplitz, sizeof(toeplitz), NULL, 0);
    (void)stack_netclient(0, IOCTL_NETCLIENT_SET_HASH_PARAMETERS, &hash, sizeof(hash), NULL, 0);
    (void)set_filter(XENVIF_MAC_FILTER_MATCHING);
    (void)stack_netclient(0, IOCTL_NETCLIENT_SET_MULTICAST, group, sizeof(group), NULL, 0);
}

/* One restart, with hashes and groups asked for as soon as there is a link. */
static void restart_short(uint64_t nth)
{
    fail_call(nth);
    (void)pnp_restart_device(pnp_find(CHILD));
    if (pnp_state(pnp_find(CHILD)) == DEVNODE_STARTED && NT_SUCCESS(stack_wait_link(0, true)))
        ask_for_hashes();
    fault_suspend();
}

/*
 * The first calls make the device, the last ones what comes behind the rings; between them are those for the rings'
 * pages, which are alike and are left out.
 */
static void restarts(void *unused)
{
    uint64_t calls, before;

    (void)unused;
    fault_suspend();
    assert_works();
    restart_short(UINT64_C(100000000));
    calls = machine->fault->matched[0];
    assert_works();
    ck_assert_uint_gt(calls, 2 * ENDS);
    for (uint64_t nth = 1; nth <= calls; nth += nth == ENDS ? calls - 2 * ENDS : 1) {
        before = fault_injected();
        restart_short(nth);
        ck_assert_msg(fault_injected() == before + 1 || nth > ENDS, "call %llu was not made", (unsigned long long)nth);
        assert_works();
    }
}

START_TEST(device_that_is_restarted)
{
    static const char *const plans[] = {"kind=pool," NEVER, "kind=mdl+thread+mapping+registry+hypercall," NEVER};
    const struct stack_options options = {.drivers = STACK_XENVIF | STACK_NETCLIENT,
                                          .vifs = 1,
                                          .vcpus = 2,
                                          .wait = true,
                                          .quiet = true,
                                          .engine = ENGINE_DETERMINISTIC,
                                          .features = "all,queues=2",
                                          .fail = plans[_i]};

    stack_run(&options, restarts, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("VIFs and shortages");
    TCase *tcase = tcase_create("shortages");

    few = stack_capture("tests/captures/few-wire.pcap");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, device_that_is_restarted, 0, 2);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
