/*
 * The machine heap's two arenas: what the guest's kernel and its images are made of lies in the one that a reboot
 * empties, everything else in the other, and neither reaches for the other one's.
 */
#include <string.h>

#include "common/guest.h"
#include "image/loader.h"
#include "machine/image.h"
#include "machine/sched.h"
#include "nt/cm/cm.h"

static bool in_arena(enum image_arena arena, const void *block)
{
    return image_arena_contains(arena, block);
}

static void create(void)
{
    struct machine_config config = machine_default_config();

    machine_create(&config);
}

START_TEST(slots_of_components_are_in_their_arena)
{
    create();
    const void *const guest[] = {machine->ke,      machine->ex,     machine->mm,    machine->io,   machine->pnp,
                                 machine->ps,      machine->cng,    machine->netio, machine->wmi,  machine->po,
                                 machine->ob,      machine->cm,     machine->rtl,   machine->lock, machine->loader,
                                 machine->vcpu[0], machine->vcpu[1]};
    const void *const host[] = {machine,        machine->sched, machine->policy, machine->kernel_lock,
                                machine->clock, machine->rng,   machine->fiber,  machine->guest_ram,
                                machine->fault, machine->xen,   machine->store};

    for (size_t i = 0; i < sizeof(guest) / sizeof(guest[0]); i++)
        ck_assert_msg(in_arena(IMAGE_GUEST, guest[i]), "guest slot %zu", i);
    for (size_t i = 0; i < sizeof(host) / sizeof(host[0]); i++)
        ck_assert_msg(in_arena(IMAGE_HOST, host[i]), "host slot %zu", i);
    machine_destroy();
}
END_TEST

/* Blocks keep their arena whoever resizes or frees them. */
START_TEST(a_block_stays_where_it_is_from)
{
    char *name;
    char *here;

    create();
    name = cm_key_path(cm_key_open(CM_SERVICES));
    here = image_printf("%s", name);
    ck_assert(in_arena(IMAGE_GUEST, name));
    ck_assert(in_arena(IMAGE_HOST, here));
    name = image_realloc(name, 100000);
    here = image_arena_realloc(IMAGE_GUEST, here, 100000);
    ck_assert(in_arena(IMAGE_GUEST, name));
    ck_assert(in_arena(IMAGE_HOST, here));
    ck_assert_str_eq(name, here);
    image_free(name);
    image_free(here);
    machine_destroy();
}
END_TEST

START_TEST(only_what_is_in_use_is_contained)
{
    create();
    ck_assert(image_is_heap((const void *)(IMAGE_GUEST_HEAP_BASE + IMAGE_HEAP_SIZE - 1)));
    ck_assert(!image_heap_contains((const void *)(IMAGE_GUEST_HEAP_BASE + IMAGE_HEAP_SIZE - 1)));
    ck_assert(!image_heap_contains((const void *)(IMAGE_HOST_HEAP_BASE + IMAGE_HEAP_SIZE - 1)));
    ck_assert(!image_is_heap((const void *)IMAGE_STACKS_BASE));
    ck_assert(image_heap_contains(machine));
    ck_assert(image_heap_contains(machine->ke));
    machine_destroy();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arenas");
    TCase *tcase = tcase_create("arenas");

    tcase_add_test(tcase, slots_of_components_are_in_their_arena);
    tcase_add_test(tcase, a_block_stays_where_it_is_from);
    tcase_add_test(tcase, only_what_is_in_use_is_contained);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
