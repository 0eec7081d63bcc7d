/*
 * Mappings that come and go while frames do, under schedules of two kinds: a frame goes by the queue that it belongs to
 * when it is queued, and an event to the processor that its queue has by then. No frame is lost, nor overtakes another
 * one of its flow.
 */
#include "common/stack.h"

#include "vif_interface.h"

#define SCHEDULES 24

static struct capture *lan;

static VOID NTAPI keep_mapping(PVOID unused)
{
    static const UCHAR maps[][4] = {{3, 2, 3, 2}, {1, 0, 0, 1}, {2, 2, 2, 2}};

    (void)unused;
    for (unsigned i = 0; i < 24; i++) {
        PROCESSOR_NUMBER mapping[4] = {{0}};

        for (unsigned k = 0; k < ARRAYSIZE(mapping); k++)
            mapping[k].Number = maps[i % ARRAYSIZE(maps)][k];
        ck_assert_int_eq(stack_netclient(0, IOCTL_NETCLIENT_SET_HASH_MAPPING, mapping, (ULONG)sizeof(mapping), NULL, 0),
                         STATUS_SUCCESS);
        stack_sleep_us(50);
    }
}

static void mapped_under_traffic(void *unused)
{
    NETCLIENT_STATISTICS statistics;
    PKTHREAD thread;

    (void)unused;
    ck_assert_int_eq(stack_wait_link(0, true), STATUS_SUCCESS);
    thread = stack_thread(keep_mapping, NULL);
    for (unsigned i = 0; i < 3; i++)
        stack_carry(0, lan, lan);
    stack_join(thread);
    stack_carry(0, lan, lan);
    statistics = stack_statistics(0);
    ck_assert_uint_eq(statistics.WrittenDropped, 0);
    ck_assert_uint_eq(statistics.WrittenError, 0);
    ck_assert_uint_eq(statistics.WrittenOk, statistics.Written);
    ck_assert_uint_eq(statistics.Written, 4 * lan->count);
}

START_TEST(mappings_under_traffic)
{
    const struct stack_options options = {.drivers = STACK_XENVIF | STACK_NETCLIENT,
                                          .vifs = 1,
                                          .wait = true,
                                          .vcpus = 4,
                                          .features = "queues=2",
                                          .engine = ENGINE_DETERMINISTIC,
                                          .policy = _i % 2 == 0 ? POLICY_RANDOM : POLICY_PCT,
                                          .seed = (uint64_t)_i / 2 + 1};

    stack_run(&options, mapped_under_traffic, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("VIFs whose mappings change");
    TCase *tcase = tcase_create("schedules");

    lan = stack_capture(STACK_LAN);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, mappings_under_traffic, 0, SCHEDULES);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
