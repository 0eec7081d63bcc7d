/* What 'pvsim create' says of interfaces that have not connected: what it is for, and not what else has been. */
#include <string.h>

#include "cli/guest.h"
#include "cli/operator_internal.h"
#include "common/stack.h"
#include "nt/pnp/pnp.h"

#define MEMORY_LINE "the guest's memory was used up: give it more"
#define CHILD "XENVIF\\VEN_XP0001&DEV_NET&REV_09000005\\1"

static char note[512];

static void look(void *missing)
{
    const struct operator_state state = {.domain = stack.domain};

    note[0] = '\0';
    *(bool *)missing = operator_vifs_missing(&state, note, sizeof(note));
}

static bool is_missing(void)
{
    bool missing;

    stack_in_dom0(look, &missing);
    return missing;
}

static void assert_blamed(bool blamed)
{
    ck_assert(is_missing());
    ck_assert_msg((strstr(note, MEMORY_LINE) != NULL) == blamed, "%s", note);
}

/* ---- all there is of the guest's memory ---- */

struct piece {
    struct piece *next;
};

static struct piece *taken;

static void take(size_t size)
{
    struct piece *piece;

    while ((piece = ExAllocatePool2(POOL_FLAG_NON_PAGED, size, STACK_TAG)) != NULL) {
        piece->next = taken;
        taken = piece;
    }
}

static void give_back(void)
{
    while (taken != NULL) {
        struct piece *next = taken->next;

        ExFreePoolWithTag(taken, STACK_TAG);
        taken = next;
    }
}

/* ---- what it is for ---- */

/* Nobody has enabled them, and that is all; a moment without memory is no reason. */
STACK_TEST(nobody_uses_them, .drivers = STACK_XENVIF, .vifs = 2, .engine = ENGINE_DETERMINISTIC)
{
    assert_blamed(false);
    ck_assert_ptr_nonnull(
        strstr(note, "2 of the guest's 2 interfaces have not connected; VIF 0: nothing is heard of it"));
    take((size_t)1 << 20);
    give_back();
    ck_assert(guest_memory_ran_out());
    assert_blamed(false);
}

/* The VIF's device cannot be started, and nothing of that is in the store. */
STACK_TEST(no_memory_for_the_device, .drivers = STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .wait = true, .quiet = true,
           .engine = ENGINE_DETERMINISTIC)
{
    ck_assert(!is_missing());
    take((size_t)1 << 20);
    take(PAGE_SIZE);
    stack_attach(1);
    stack_sleep_us(3000000);
    assert_blamed(true);
    give_back();
    assert_blamed(true); /* the device has failed, and stays so */
    ck_assert_int_eq(pnp_retry_device(stack_device(CHILD)), STATUS_SUCCESS);
    stack_wait_connected(1);
    ck_assert(!is_missing());
}

/* Not even the bus can tell of a device. */
STACK_TEST(no_memory_at_all, .drivers = STACK_XENVIF | STACK_NETCLIENT, .vifs = 1, .wait = true, .quiet = true,
           .engine = ENGINE_DETERMINISTIC)
{
    take((size_t)1 << 20);
    take(PAGE_SIZE);
    take(16);
    stack_attach(1);
    stack_sleep_us(3000000);
    ck_assert_ptr_null(stack_device(CHILD));
    assert_blamed(true);
    give_back();
    stack_wait_connected(1);
    ck_assert(!is_missing());
}

int main(void)
{
    Suite *suite = suite_create("missing interfaces");
    TCase *tcase = tcase_create("missing interfaces");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, nobody_uses_them);
    tcase_add_test(tcase, no_memory_for_the_device);
    tcase_add_test(tcase, no_memory_at_all);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
