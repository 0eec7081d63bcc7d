/*
 * Pages that a transmitter copies packets into, and their grants: these stand for as long as the connection, so that a
 * packet takes no grant of its own, and no longer. Nothing is reused for another purpose that the backend still sees.
 */
#include <string.h>

#include "xen/grant.h"
#include "xen/hypervisor.h"

#include "common/inet.h"
#include "common/vif_backend.h"
#include "common/vif_client.h"
#include "nt/ex/pool.h"
#include "nt/pnp/pnp.h"

#include <initguid.h>

#include "gnttab_interface.h"

#include <xen/grant_table.h>

#define PLAYED                                                                                                         \
    .drivers = STACK_XENVIF | STACK_PROBE, .vifs = 0, .before_boot = vif_backend_make,                                 \
    .restored = vif_backend_restored, .quiet = true, .engine = ENGINE_DETERMINISTIC
#define STATE "device/vif/1/state"
#define PAGE_TAG POOL_TAG('V', 'p', 'a', 'g')
#define PATIENCE_MS 20000u
#define TOGETHER 250u /* packets on the ring at once, of a page each */
#define LARGE 15u     /* packets on the ring at once that fill it */
#define OLD_PAGES 600u
#define GRANTS_MAX 32768u
#define HELD_MAX 512u /* pages of a ring that a backend may keep */

static uint8_t frame[INET_FRAME_MAX];
static struct vif_backend_packet taken;

static size_t make(size_t length)
{
    const struct inet_packet kind = {.version = 4, .protocol = INET_UDP, .payload = length - 42};

    return inet_make(frame, &kind);
}

/* Grants of the guest's that stand, to whomever; but for those that the toolstack has made. */
static unsigned grants(void)
{
    const struct domain *domain = domain_find(stack.domain.domid);
    unsigned count = 0;

    for (grant_ref_t reference = GNTTAB_NR_RESERVED_ENTRIES; reference < grant_entries(domain); reference++)
        count += (*grant_word(domain, reference) & GTF_type_mask) == GTF_permit_access;
    return count;
}

static size_t pages(void)
{
    return pool_tag_bytes(PAGE_TAG) / PAGE_SIZE;
}

/* So many packets on the ring at once, copied; then they are all answered. */
static void burst(unsigned count)
{
    struct vif_client_packet packet = {.data = frame, .length = make(1514)};

    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    for (unsigned i = 1; i < count; i++)
        ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
    for (unsigned i = 0; i < count; i++) {
        vif_backend_await(&taken, NETIF_RSP_OKAY);
        ck_assert_uint_eq(taken.slots, 1);
        ck_assert_uint_eq(taken.length, packet.length);
        ck_assert_mem_eq(taken.data, frame, taken.length);
    }
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
}

static void begin(void)
{
    vif_backend_features("feature-sg=1");
    stack_store_write(stack_path("device/vif/1/mtu"), "65521");
    vif_client_begin();
}

/* The backend closes; and is back. */
static void close_both(void)
{
    vif_backend_close();
    stack_store_await(stack_path(STATE), "1", PATIENCE_MS);
}

static void connect_both(void)
{
    vif_backend_connect();
    vif_client_await_link(true);
}

/* ---- as long as the connection ---- */

STACK_TEST(one_grant_for_all_that_is_copied, PLAYED)
{
    unsigned bare, full;

    begin();
    bare = grants();
    burst(1);
    ck_assert_uint_eq(grants(), bare + 1);
    burst(TOGETHER);
    full = grants();
    ck_assert_uint_eq(full, bare + TOGETHER);
    burst(1);
    burst(TOGETHER);
    ck_assert_uint_eq(grants(), full);

    /* The next connection, which may be another backend's, begins with none. */
    close_both();
    ck_assert_uint_eq(grants(), 0);
    ck_assert_uint_eq(pages(), 0);
    vif_backend_state("2");
    connect_both();
    ck_assert_uint_eq(grants(), bare);
    burst(TOGETHER);
    ck_assert_uint_eq(grants(), full);
    vif_client_finish();
}

/* The domain goes on with another table of grants and another backend. */
STACK_TEST(none_goes_along, PLAYED)
{
    struct stack_resumer resumer = {.rounds = 1, .meanwhile = vif_backend_suspended};
    unsigned bare;
    size_t few;

    begin();
    bare = grants();
    few = pages();
    for (unsigned round = 0; round < 3; round++) {
        burst(TOGETHER);
        ck_assert_uint_eq(grants(), bare + TOGETHER);
        stack_resume_when_suspended(&resumer);
        stack_ask_shutdown("suspend");
        stack_await_resumer(&resumer);
        connect_both();
        ck_assert_uint_eq(grants(), bare);
        ck_assert_uint_eq(pages(), few);
    }
    burst(TOGETHER);
    vif_client_finish();
}

/* ---- pages that are kept ---- */

/* FB18: a page that comes to the backend again and again may stay with it, as long as the connection does. */
STACK_TEST(fb18_copies_that_are_kept, PLAYED)
{
    unsigned bare, full, kept = 0;
    char text[256] = "";
    size_t most;
    uint64_t sum;

    begin();
    bare = grants();
    full = bare + TOGETHER;
    vif_backend_keep();
    burst(TOGETHER);
    most = pages();
    burst(TOGETHER);
    burst(1);
    ck_assert_uint_eq(pages(), most);
    ck_assert_uint_eq(grants(), full);
    stack_store_await(stack_path(STATE), "4", 1);

    /* What it has when the connection ends is set aside, and nobody else's: until there is too much of it. */
    for (;;) {
        close_both();
        kept += TOGETHER;
        ck_assert_uint_eq(grants(), kept);
        ck_assert_uint_eq(pages(), kept);
        sum = vif_backend_sum_kept();
        stack_spoil_memory(OLD_PAGES);
        ck_assert_uint_eq(vif_backend_sum_kept(), sum);
        vif_backend_state("2");
        if (kept > HELD_MAX)
            break;
        connect_both();
        ck_assert_uint_eq(grants(), kept + bare);
        burst(TOGETHER);
    }
    STACK_ASSERT_LOGGED("its page is set aside");
    stack_sleep_us(3000000);
    stack_store_await(stack_path(STATE), "1", 1);
    ck_assert(stack_store_read(stack_path("error/device/vif/1/error"), text, sizeof(text)));
    ck_assert_msg(strstr(text, "do not let go") != NULL, "%s", text);

    vif_backend_release();
    connect_both();
    ck_assert_uint_eq(grants(), bare);
    burst(TOGETHER);
    ck_assert_uint_eq(pages(), most);
    vif_client_finish();
}

/* ---- no grants to be had ---- */

static XENBUS_GNTTAB_INTERFACE_V4 gnttab;
static KSPIN_LOCK lock;
static KIRQL lock_irql;

static VOID NTAPI acquire_lock(PVOID unused)
{
    KIRQL irql;

    (void)unused;
    KeAcquireSpinLock(&lock, &irql);
    lock_irql = irql;
}

static VOID NTAPI release_lock(PVOID unused)
{
    (void)unused;
    KeReleaseSpinLock(&lock, lock_irql);
}

/* All grants that are left. */
static PXENBUS_GNTTAB_CACHE others;
static PXENBUS_GNTTAB_ENTRY other[GRANTS_MAX];
static PVOID other_page;
static unsigned other_count;

static void take_all_grants(void)
{
    PFN_NUMBER pfn;

    other_page = ExAllocatePool2(POOL_FLAG_NON_PAGED, PAGE_SIZE, STACK_TAG);
    ck_assert_ptr_nonnull(other_page);
    pfn = (PFN_NUMBER)(MmGetPhysicalAddress(other_page).QuadPart >> PAGE_SHIFT);
    STACK_GET(GUID_XENBUS_GNTTAB_INTERFACE, 4, &gnttab);
    ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, Acquire), STATUS_SUCCESS);
    KeInitializeSpinLock(&lock);
    ck_assert_int_eq(
        XENBUS_GNTTAB_CALL(&gnttab, CreateCache, "others", 0, 0, acquire_lock, release_lock, NULL, &others),
        STATUS_SUCCESS);
    for (other_count = 0;
         NT_SUCCESS(XENBUS_GNTTAB_CALL(&gnttab, PermitForeignAccess, others, FALSE, 0, pfn, TRUE, &other[other_count]));
         other_count++)
        ck_assert_uint_lt(other_count, GRANTS_MAX - 1);
}

static void give_them_back(void)
{
    while (other_count != 0)
        ck_assert_int_eq(XENBUS_GNTTAB_CALL(&gnttab, RevokeForeignAccess, others, FALSE, other[--other_count]),
                         STATUS_SUCCESS);
    XENBUS_GNTTAB_CALL(&gnttab, DestroyCache, others);
    XENBUS_GNTTAB_CALL(&gnttab, Release);
    ExFreePoolWithTag(other_page, STACK_TAG);
}

/* Pages of packets that are granted as they are get the grants that copies have and do not need. */
STACK_TEST(grants_for_others, PLAYED)
{
    struct vif_client_packet whole = {.data = frame, .piece = 4096};

    begin();
    burst(TOGETHER);
    take_all_grants();
    whole.length = make(61440); /* 14 pages of its own */
    ck_assert_int_eq(vif_client_send(&whole), STATUS_SUCCESS);
    for (unsigned i = 1; i < LARGE; i++)
        ck_assert_int_eq(vif_client_repeat(&whole), STATUS_SUCCESS);
    for (unsigned i = 0; i < LARGE; i++) {
        vif_backend_await(&taken, NETIF_RSP_OKAY);
        ck_assert_uint_eq(taken.length, whole.length);
        ck_assert_mem_eq(taken.data, frame, taken.length);
    }
    ck_assert_uint_eq(vif_client_await_sent().Status, XENVIF_TRANSMITTER_PACKET_OK);
    burst(TOGETHER);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_FRONTEND_ERRORS), 0);
    give_them_back();
    vif_client_finish();
}

/* A copy that no grant could be had for is lost with its packet, and freed with the connection like the others. */
STACK_TEST(copies_without_grants, PLAYED)
{
    struct vif_client_packet packet = {.data = frame, .length = make(1514)};
    unsigned sent = 0;

    begin();
    take_all_grants();
    ck_assert_int_eq(vif_client_send(&packet), STATUS_SUCCESS);
    for (unsigned i = 1; i < TOGETHER; i++)
        ck_assert_int_eq(vif_client_repeat(&packet), STATUS_SUCCESS);
    for (; vif_backend_take(&taken, NETIF_RSP_OKAY); sent++)
        ck_assert_mem_eq(taken.data, frame, taken.length);
    (void)vif_client_await_sent();
    ck_assert_uint_gt(sent, 0);
    ck_assert_uint_lt(sent, TOGETHER);
    ck_assert_uint_eq(vif_client_statistic(XENVIF_TRANSMITTER_FRONTEND_ERRORS), TOGETHER - sent);
    close_both();
    ck_assert_uint_eq(pages(), 0);
    ck_assert_uint_eq(grants(), other_count);
    give_them_back();
    vif_backend_state("2");
    connect_both();
    burst(TOGETHER);
    vif_client_finish();
}

int main(void)
{
    Suite *suite = suite_create("copies of packets");
    TCase *tcase = tcase_create("copies");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, one_grant_for_all_that_is_copied);
    tcase_add_test(tcase, none_goes_along);
    tcase_add_test(tcase, fb18_copies_that_are_kept);
    tcase_add_test(tcase, grants_for_others);
    tcase_add_test(tcase, copies_without_grants);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
