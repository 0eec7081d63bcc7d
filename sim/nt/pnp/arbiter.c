/*
 * Resource arbitration: which ports, memory, bus numbers and interrupts a device gets. The board decodes ports and
 * memory of PCI devices in the windows below; interrupt vectors come from nt/io/vectors.c. Requirements are taken as
 * IO_RESOURCE_REQUIREMENTS_LIST describes them: alternative lists in order of preference, and within a list groups of a
 * descriptor and the IO_RESOURCE_ALTERNATIVE ones behind it.
 */
#include <string.h>

#include "machine/guest_ram.h"
#include "nt/ke/ke.h"
#include "nt/pnp/pnp_internal.h"

/* Where the host bridge passes accesses on to the bus; the firmware of an HVM guest lays it out like this. */
#define PORT_WINDOW_FIRST UINT64_C(0x0000)
#define PORT_WINDOW_LAST UINT64_C(0xFFFF)
#define PORT_ALLOCATE_FIRST UINT64_C(0x1000) /* below are the ports that ISA devices have always had */
#define MEMORY_WINDOW_FIRST UINT64_C(0xF0000000)
#define MEMORY_WINDOW_LAST UINT64_C(0xFBFFFFFF)

static bool overlaps(const struct assignment *held, UCHAR type, uint64_t start, uint64_t length)
{
    return held->type == type && start < held->range.start + held->range.length && held->range.start < start + length;
}

/* Resources of the node itself that are being chosen now count as much as those of every other device. */
static bool range_is_free(const struct devnode *node, const struct assignment *chosen, unsigned chosen_count,
                          UCHAR type, uint64_t start, uint64_t length)
{
    for (unsigned i = 0; i < chosen_count; i++) {
        if (overlaps(&chosen[i], type, start, length))
            return false;
    }
    for (struct devnode *other = pnp_root(); other != NULL; other = pnp_next(other)) {
        /* A bus's own window contains what its children use. */
        bool above = false;

        for (const struct devnode *up = node->parent; up != NULL; up = up->parent)
            above = above || up == other;
        if (other == node || above)
            continue;
        for (unsigned i = 0; i < other->assigned_count; i++) {
            if (overlaps(&other->assigned[i], type, start, length))
                return false;
        }
    }
    return true;
}

static bool holds_ram(uint64_t start, uint64_t length)
{
    for (uint64_t gfn = start >> GUEST_PAGE_SHIFT; gfn <= (start + length - 1) >> GUEST_PAGE_SHIFT; gfn++) {
        if (guest_ram_virtual_page(gfn) != UINT32_MAX)
            return true;
    }
    return false;
}

/* What the firmware set up, if it fits the requirement: nothing is moved without need. */
static bool boot_range(const struct devnode *node, UCHAR type, uint64_t minimum, uint64_t maximum, uint64_t length,
                       uint64_t *start)
{
    const CM_PARTIAL_RESOURCE_LIST *partial;

    if (node->boot == NULL)
        return false;
    partial = &node->boot->List[0].PartialResourceList;
    for (ULONG i = 0; i < partial->Count; i++) {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *boot = &partial->PartialDescriptors[i];
        uint64_t first = (uint64_t)boot->u.Generic.Start.QuadPart;

        if (boot->Type == type && boot->u.Generic.Length == length && first >= minimum &&
            first + length - 1 <= maximum) {
            *start = first;
            return true;
        }
    }
    return false;
}

static bool choose_range(const struct devnode *node, const IO_RESOURCE_DESCRIPTOR *wanted, struct assignment *chosen,
                         unsigned chosen_count)
{
    struct assignment *result = &chosen[chosen_count];
    uint64_t minimum = (uint64_t)wanted->u.Generic.MinimumAddress.QuadPart;
    uint64_t maximum = (uint64_t)wanted->u.Generic.MaximumAddress.QuadPart;
    uint64_t length = wanted->u.Generic.Length;
    uint64_t alignment = wanted->u.Generic.Alignment != 0 ? wanted->u.Generic.Alignment : 1;
    bool ports = wanted->Type == CmResourceTypePort;
    uint64_t window_first = ports ? PORT_WINDOW_FIRST : MEMORY_WINDOW_FIRST;
    uint64_t window_last = ports ? PORT_WINDOW_LAST : MEMORY_WINDOW_LAST;
    uint64_t start;

    if (length == 0 || length - 1 > maximum)
        return false;
    result->range.length = length;
    if (boot_range(node, wanted->Type, minimum, maximum, length, &start) &&
        range_is_free(node, chosen, chosen_count, wanted->Type, start, length)) {
        result->range.start = start;
        return true;
    }
    if (minimum < window_first)
        minimum = window_first;
    if (maximum > window_last)
        maximum = window_last;
    /* A requirement with room for choice stays out of the fixed ports of old devices. */
    if (ports && minimum < PORT_ALLOCATE_FIRST && maximum - minimum + 1 > length)
        minimum = PORT_ALLOCATE_FIRST;
    for (start = (minimum + alignment - 1) / alignment * alignment; start + length - 1 <= maximum; start += alignment) {
        if (!range_is_free(node, chosen, chosen_count, wanted->Type, start, length) ||
            (!ports && holds_ram(start, length)))
            continue;
        result->range.start = start;
        return true;
    }
    return false;
}

static bool choose_bus_number(const struct devnode *node, const IO_RESOURCE_DESCRIPTOR *wanted,
                              struct assignment *chosen, unsigned chosen_count)
{
    uint64_t length = wanted->u.BusNumber.Length;

    if (length == 0)
        return false;
    for (uint64_t start = wanted->u.BusNumber.MinBusNumber; start + length - 1 <= wanted->u.BusNumber.MaxBusNumber;
         start++) {
        if (!range_is_free(node, chosen, chosen_count, CmResourceTypeBusNumber, start, length))
            continue;
        chosen[chosen_count].range.start = start;
        chosen[chosen_count].range.length = length;
        return true;
    }
    return false;
}

/* Active processors of a group, as a mask. */
static KAFFINITY active_mask(USHORT group)
{
    unsigned first = group * 64u;
    unsigned count;

    if (first >= ke_processors())
        return 0;
    count = ke_processors() - first;
    return count >= 64 ? ~(KAFFINITY)0 : ((KAFFINITY)1 << count) - 1;
}

static bool choose_message(const IO_RESOURCE_DESCRIPTOR *wanted, struct assignment *result)
{
    IRQ_DEVICE_POLICY policy = IrqPolicyMachineDefault;
    IRQ_PRIORITY priority = IrqPriorityUndefined;
    USHORT group = 0;
    KAFFINITY mask;

    if (wanted->u.Interrupt.MinimumVector != wanted->u.Interrupt.MaximumVector)
        NT_UNIMPLEMENTED("several messages in one interrupt requirement (state one for each message)");
    if (wanted->Flags & CM_RESOURCE_INTERRUPT_POLICY_INCLUDED) {
        policy = (IRQ_DEVICE_POLICY)wanted->u.Interrupt.AffinityPolicy;
        priority = wanted->u.Interrupt.PriorityPolicy;
        group = wanted->u.Interrupt.Group;
    }
    mask = active_mask(group);
    if (policy == IrqPolicySpecifiedProcessors)
        mask &= wanted->u.Interrupt.TargetedProcessors;
    else if (policy == IrqPolicyOneCloseProcessor)
        mask &= -mask; /* every processor is as close as the next: the first */
    if (mask == 0)
        return false;
    result->interrupt.irq = 0;
    result->interrupt.group = group;
    result->interrupt.mask = mask;
    memset(&result->interrupt.processors, 0, sizeof(result->interrupt.processors));
    result->interrupt.processors.mask[group] = mask;
    result->interrupt.vector = io_vector_allocate(&result->interrupt.processors, priority);
    return result->interrupt.vector != 0;
}

static bool choose_line(const IO_RESOURCE_DESCRIPTOR *wanted, struct assignment *result)
{
    for (ULONG irq = wanted->u.Interrupt.MinimumVector; irq <= wanted->u.Interrupt.MaximumVector; irq++) {
        uint8_t vector = io_line_acquire(irq);

        if (vector == 0) {
            if (irq > 0xFF)
                return false; /* no line has such a number, nor has any behind it */
            continue;
        }
        memset(&result->interrupt, 0, sizeof(result->interrupt));
        result->interrupt.irq = irq;
        result->interrupt.vector = vector;
        result->interrupt.group = 0;
        result->interrupt.mask = 1; /* the I/O APIC sends lines to processor 0 */
        result->interrupt.processors.mask[0] = 1;
        return true;
    }
    return false;
}

static bool choose(const struct devnode *node, const IO_RESOURCE_DESCRIPTOR *wanted, struct assignment *chosen,
                   unsigned chosen_count)
{
    struct assignment *result = &chosen[chosen_count];

    memset(result, 0, sizeof(*result));
    result->type = wanted->Type;
    result->share = wanted->ShareDisposition;
    result->flags = wanted->Flags & (USHORT)~CM_RESOURCE_INTERRUPT_POLICY_INCLUDED;
    switch (wanted->Type) {
    case CmResourceTypePort:
    case CmResourceTypeMemory:
        result->flags = wanted->Flags;
        return choose_range(node, wanted, chosen, chosen_count);
    case CmResourceTypeBusNumber:
        return choose_bus_number(node, wanted, chosen, chosen_count);
    case CmResourceTypeInterrupt:
        if (wanted->Flags & CM_RESOURCE_INTERRUPT_MESSAGE)
            return choose_message(wanted, result);
        return choose_line(wanted, result);
    case CmResourceTypeDma:
    case CmResourceTypeMemoryLarge:
        NT_UNIMPLEMENTED("a requirement of DMA channels or of CmResourceTypeMemoryLarge (the machine has no such "
                         "resource: ask for memory below 4 GiB)");
    default:
        result->flags = wanted->Flags;
        memcpy(result->data, wanted->u.DevicePrivate.Data, sizeof(result->data));
        return true;
    }
}

static void give_back(const struct assignment *assigned)
{
    if (assigned->type != CmResourceTypeInterrupt)
        return;
    if (assigned->interrupt.irq != 0)
        io_line_release(assigned->interrupt.irq);
    else
        io_vector_free(&assigned->interrupt.processors, assigned->interrupt.vector);
}

/* One choice: the descriptors [first, end) are alternatives of each other; `taken` is the one in use. */
struct choice {
    ULONG first;
    ULONG end;
    ULONG taken;
};

static unsigned find_choices(const IO_RESOURCE_LIST *list, struct choice *choices)
{
    unsigned count = 0;

    for (ULONG i = 0; i < list->Count; i++) {
        if (list->Descriptors[i].Type == CmResourceTypeConfigData)
            continue; /* weight of the list, not a resource */
        if (count != 0 && (list->Descriptors[i].Option & IO_RESOURCE_ALTERNATIVE)) {
            choices[count - 1].end = i + 1;
            continue;
        }
        choices[count++] = (struct choice){.first = i, .end = i + 1};
    }
    return count;
}

/*
 * Fill chosen[i] for each choice i. A choice that leaves a later one without anything is taken back and its next
 * alternative tried.
 */
static bool solve(const struct devnode *node, const IO_RESOURCE_LIST *list, struct choice *choices, unsigned count,
                  struct assignment *chosen)
{
    unsigned at = 0;

    if (count != 0)
        choices[0].taken = choices[0].first;
    while (at < count) {
        struct choice *choice = &choices[at];

        while (choice->taken < choice->end && !choose(node, &list->Descriptors[choice->taken], chosen, at))
            choice->taken++;
        if (choice->taken < choice->end) {
            at++;
            if (at < count)
                choices[at].taken = choices[at].first;
            continue;
        }
        if (at == 0)
            return false;
        at--;
        give_back(&chosen[at]);
        choices[at].taken++;
    }
    return true;
}

NTSTATUS arbiter_assign(struct devnode *node, const IO_RESOURCE_REQUIREMENTS_LIST *requirements)
{
    const IO_RESOURCE_LIST *list = requirements->List;

    arbiter_release(node);
    for (ULONG i = 0; i < requirements->AlternativeLists; i++) {
        struct choice *choices = image_alloc((list->Count + 1) * sizeof(*choices));
        unsigned count = find_choices(list, choices);
        struct assignment *chosen = image_alloc((count + 1) * sizeof(*chosen));
        bool solved = solve(node, list, choices, count, chosen);

        image_free(choices);
        if (solved) {
            node->assigned = chosen;
            node->assigned_count = count;
            resources_build_lists(node);
            return STATUS_SUCCESS;
        }
        image_free(chosen);
        list = (const IO_RESOURCE_LIST *)&list->Descriptors[list->Count];
    }
    return STATUS_CONFLICTING_ADDRESSES;
}

void arbiter_release(struct devnode *node)
{
    for (unsigned i = 0; i < node->assigned_count; i++)
        give_back(&node->assigned[i]);
    image_free(node->assigned);
    image_free(node->raw);
    image_free(node->translated);
    node->assigned = NULL;
    node->assigned_count = 0;
    node->raw = NULL;
    node->translated = NULL;
}
