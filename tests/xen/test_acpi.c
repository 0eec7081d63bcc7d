/*
 * What the firmware leaves for the guest to find (ACPI 4.0, chapter 5): the root pointer below 1 MiB, the tables that
 * it leads to, and the registers that they name (chapter 4.7).
 */
#include "machine/clock.h"
#include "xen/xen_guest.h"

#include <stddef.h>

#define LOW_FIRST UINT64_C(0xE0000)
#define LOW_LAST UINT64_C(0x100000)
#define HEADER 36u
#define FACP_DSDT 40u
#define FACP_SCI 46u
#define FACP_PM1_EVENT 56u
#define FACP_PM1_CONTROL 64u
#define FACP_PM_TIMER 76u
#define FACP_FLAGS 112u
#define FACP_X_DSDT 140u
#define MADT_ENTRIES 44u

static const uint8_t *page; /* that the root pointer is in */
static uint64_t page_base;

static uint64_t number(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    memcpy(&value, at, bytes);
    return value;
}

static uint8_t sum(const uint8_t *start, uint64_t bytes)
{
    uint8_t total = 0;

    for (uint64_t i = 0; i < bytes; i++)
        total = (uint8_t)(total + start[i]);
    return total;
}

/* As an operating system searches, in the frames that have memory. */
static const uint8_t *find_root(void)
{
    for (uint64_t address = LOW_FIRST; address < LOW_LAST; address += 16) {
        if (!xen_frame_is_memory(address >> GUEST_PAGE_SHIFT))
            continue;
        if (address >> GUEST_PAGE_SHIFT != page_base >> GUEST_PAGE_SHIFT || page == NULL) {
            page_base = address & ~(GUEST_PAGE_SIZE - UINT64_C(1));
            page = map_frames(address >> GUEST_PAGE_SHIFT, 1);
        }
        if (memcmp(page + (address - page_base), "RSD PTR ", 8) == 0)
            return page + (address - page_base);
    }
    ck_abort_msg("there is no root pointer");
}

/* The table at a physical address, whole. */
static const uint8_t *table_at(uint64_t address)
{
    const uint8_t *table = page + (address - page_base);

    ck_assert_uint_lt(address - page_base, GUEST_PAGE_SIZE - HEADER);
    ck_assert_uint_le(address - page_base + number(table + 4, 4), GUEST_PAGE_SIZE);
    ck_assert_uint_ge(number(table + 4, 4), HEADER);
    ck_assert_uint_eq(sum(table, number(table + 4, 4)), 0);
    return table;
}

static const uint8_t *find_table(const char *signature)
{
    const uint8_t *list = table_at(number(find_root() + 24, 8));

    for (uint64_t at = HEADER; at < number(list + 4, 4); at += 8) {
        const uint8_t *table = table_at(number(list + at, 8));

        if (memcmp(table, signature, 4) == 0)
            return table;
    }
    ck_abort_msg("there is no table %s", signature);
}

static void begin(void)
{
    page = NULL;
    page_base = 0;
}

XEN_TEST(root)
{
    const uint8_t *pointer, *old, *list;

    begin();
    pointer = find_root();
    ck_assert_uint_eq(sum(pointer, 20), 0);
    ck_assert_uint_eq(pointer[15], 2);
    ck_assert_uint_eq(number(pointer + 20, 4), 36);
    ck_assert_uint_eq(sum(pointer, 36), 0);
    old = table_at(number(pointer + 16, 4));
    list = table_at(number(pointer + 24, 8));
    ck_assert_mem_eq(old, "RSDT", 4);
    ck_assert_mem_eq(list, "XSDT", 4);
    ck_assert_uint_eq((number(list + 4, 4) - HEADER) / 8, (number(old + 4, 4) - HEADER) / 4);
    for (unsigned i = 0; i < (number(list + 4, 4) - HEADER) / 8; i++)
        ck_assert_uint_eq(number(list + HEADER + 8 * i, 8), number(old + HEADER + 4 * i, 4));
}

XEN_TEST(fixed_description)
{
    const uint8_t *fixed;
    const uint8_t *dsdt;

    begin();
    fixed = find_table("FACP");
    ck_assert_uint_eq(fixed[8], 4);
    ck_assert_uint_eq(number(fixed + 4, 4), 244);
    ck_assert_uint_eq(number(fixed + FACP_SCI, 2), 9);
    ck_assert_uint_eq(number(fixed + FACP_X_DSDT, 8), number(fixed + FACP_DSDT, 4));
    dsdt = table_at(number(fixed + FACP_DSDT, 4));
    ck_assert_mem_eq(dsdt, "DSDT", 4);
    ck_assert_uint_gt(number(dsdt + 4, 4), HEADER);
}

/* The processors by the numbers that CPUID gives them, the I/O APIC, and where ISA's interrupts are other than usual.
 */
static void interrupts(unsigned vcpus)
{
    const uint8_t *madt;
    unsigned processors = 0, overrides = 0, controllers = 0;

    begin();
    madt = find_table("APIC");
    ck_assert_uint_eq(number(madt + HEADER, 4), 0xFEE00000);
    for (uint64_t at = MADT_ENTRIES; at < number(madt + 4, 4); at += madt[at + 1]) {
        const uint8_t *entry = madt + at;

        ck_assert_uint_ge(entry[1], 2);
        if (entry[0] == 0) {
            ck_assert_uint_eq(entry[2], processors);
            ck_assert_uint_eq(entry[3], 2 * processors);
            ck_assert_uint_eq(number(entry + 4, 4), 1);
            processors++;
        } else if (entry[0] == 1) {
            ck_assert_uint_eq(number(entry + 4, 4), 0xFEC00000);
            ck_assert_uint_eq(number(entry + 8, 4), 0);
            controllers++;
        } else if (entry[0] == 2 && entry[3] == 0) {
            ck_assert_uint_eq(number(entry + 4, 4), 2);
            overrides++;
        } else if (entry[0] == 2) {
            ck_assert_uint_eq(number(entry + 4, 4), entry[3]);
            ck_assert_uint_eq(number(entry + 8, 2), 0xF); /* PCI's: low, level */
            ck_assert(entry[3] == 5 || entry[3] == 10 || entry[3] == 11);
            overrides++;
        }
    }
    ck_assert_uint_eq(processors, vcpus);
    ck_assert_uint_eq(controllers, 1);
    ck_assert_uint_eq(overrides, 4);
}

XEN_TEST(two_processors)
{
    interrupts(GUEST_VCPUS);
}

static void many(void)
{
    interrupts(34);
}

START_TEST(many_processors)
{
    domain_run(34, many);
}
END_TEST

/* It runs at 3.579545 MHz, in 32 bits. */
XEN_TEST(timer)
{
    const uint8_t *fixed;
    uint16_t port;
    uint32_t before, ticks;
    uint64_t earliest, start, end;

    begin();
    fixed = find_table("FACP");
    port = (uint16_t)number(fixed + FACP_PM_TIMER, 4);
    ck_assert_uint_ne(number(fixed + FACP_FLAGS, 4) & 0x100, 0);
    earliest = clock_now();
    before = __indword(port);
    start = clock_now();
    sleep_us(100000);
    end = clock_now();
    ticks = __indword(port) - before;
    ck_assert_uint_ge(ticks, (end - start) * 3579 / 1000000);
    ck_assert_uint_le(ticks, (clock_now() - earliest) * 3580 / 1000000 + 1);
}

XEN_TEST(registers)
{
    const uint8_t *fixed;
    uint16_t event, control;

    begin();
    fixed = find_table("FACP");
    event = (uint16_t)number(fixed + FACP_PM1_EVENT, 4);
    control = (uint16_t)number(fixed + FACP_PM1_CONTROL, 4);
    ck_assert_uint_eq(__inword(event), 0);
    __outword(event + 2, 0x0120);
    ck_assert_uint_eq(__indword(event), 0x01200000);
    ck_assert_uint_eq(__inword(control) & 1, 1);
    __outword(control, 0x2401); /* a sleep state that there is not */
    ck_assert_uint_eq(__inword(control), 0x0401);
}

/* The guest is off; the machine goes down when its toolstack has seen that. */
static void see_it_off(void *argument)
{
    volatile int *reason = argument;

    while (xen_domain_shutdown_reason(1) < 0)
        (void)task_park(clock_now() + 100000, "the guest's end");
    *reason = xen_domain_shutdown_reason(1);
    machine_stop();
}

static volatile int off_reason;

static void soft_off(void)
{
    begin();
    (void)task_create("toolstack", see_it_off, (void *)&off_reason);
    __outword((USHORT)number(find_table("FACP") + FACP_PM1_CONTROL, 4), 0x2000);
    ck_abort_msg("the guest runs on");
}

START_TEST(power_off)
{
    off_reason = -1;
    domain_run(GUEST_VCPUS, soft_off);
    ck_assert_int_eq(off_reason, SHUTDOWN_poweroff);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ACPI");
    TCase *tcase = tcase_create("ACPI");

    tcase_add_test(tcase, root);
    tcase_add_test(tcase, fixed_description);
    tcase_add_test(tcase, two_processors);
    tcase_add_test(tcase, many_processors);
    tcase_add_test(tcase, timer);
    tcase_add_test(tcase, registers);
    tcase_add_test(tcase, power_off);
    suite_add_tcase(suite, tcase);
    return guest_suite_run(suite);
}
