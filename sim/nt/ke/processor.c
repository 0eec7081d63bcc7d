/* Processors, groups, affinity. A group has up to 64 processors; processor index i is number i % 64 of group i / 64. */
#include "nt/ke/ke.h"

#define GROUP_SIZE 64u

static unsigned groups_of(unsigned processors)
{
    return (processors + GROUP_SIZE - 1) / GROUP_SIZE;
}

static unsigned in_group(unsigned processors, unsigned group)
{
    if (group >= groups_of(processors))
        return 0;
    return group + 1 < groups_of(processors) ? GROUP_SIZE : processors - group * GROUP_SIZE;
}

/* Of the active processors. */
static unsigned group_count(void)
{
    return groups_of(ke_processors());
}

static unsigned group_processors(unsigned group)
{
    return in_group(ke_processors(), group);
}

static KAFFINITY group_mask(unsigned group)
{
    unsigned count = group_processors(group);

    return count == GROUP_SIZE ? ~(KAFFINITY)0 : ((KAFFINITY)1 << count) - 1;
}

ULONG NTAPI KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber)
{
    unsigned index;

    NT_CALL_LIGHT(HIGH_LEVEL, POINT_CALL);
    index = ke_vcpu()->index;
    if (ProcNumber != NULL) {
        ProcNumber->Group = (USHORT)(index / GROUP_SIZE);
        ProcNumber->Number = (UCHAR)(index % GROUP_SIZE);
        ProcNumber->Reserved = 0;
    }
    return index;
}

NTSTATUS NTAPI KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber)
{
    NT_CALL_ANY();
    if (ProcIndex >= ke_processors())
        return STATUS_INVALID_PARAMETER;
    ProcNumber->Group = (USHORT)(ProcIndex / GROUP_SIZE);
    ProcNumber->Number = (UCHAR)(ProcIndex % GROUP_SIZE);
    ProcNumber->Reserved = 0;
    return STATUS_SUCCESS;
}

ULONG NTAPI KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber)
{
    NT_CALL_ANY();
    if (ProcNumber->Number >= group_processors(ProcNumber->Group) || ProcNumber->Reserved != 0)
        return INVALID_PROCESSOR_INDEX;
    return ProcNumber->Group * GROUP_SIZE + ProcNumber->Number;
}

ULONG NTAPI KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors)
{
    NT_CALL_ANY();
    if (ActiveProcessors != NULL)
        *ActiveProcessors = group_mask(0);
    return group_processors(0);
}

ULONG NTAPI KeQueryActiveProcessorCountEx(USHORT GroupNumber)
{
    NT_CALL_ANY();
    return GroupNumber == ALL_PROCESSOR_GROUPS ? ke_processors() : group_processors(GroupNumber);
}

ULONG NTAPI KeQueryMaximumProcessorCount(VOID)
{
    NT_CALL_ANY();
    return in_group(machine->config.vcpus, 0);
}

ULONG NTAPI KeQueryMaximumProcessorCountEx(USHORT GroupNumber)
{
    NT_CALL_ANY();
    return GroupNumber == ALL_PROCESSOR_GROUPS ? machine->config.vcpus : in_group(machine->config.vcpus, GroupNumber);
}

USHORT NTAPI KeQueryActiveGroupCount(VOID)
{
    NT_CALL_ANY();
    return (USHORT)group_count();
}

USHORT NTAPI KeQueryMaximumGroupCount(VOID)
{
    NT_CALL_ANY();
    return (USHORT)groups_of(machine->config.vcpus);
}

KAFFINITY NTAPI KeQueryActiveProcessors(VOID)
{
    NT_CALL_ANY();
    return group_mask(0);
}

KAFFINITY NTAPI KeQueryGroupAffinity(USHORT GroupNumber)
{
    NT_CALL_ANY();
    return group_mask(GroupNumber);
}

/* ---- thread affinity ---- */

static void set_affinity(unsigned group, KAFFINITY mask)
{
    struct _KTHREAD *thread = ke_thread();

    RtlZeroMemory(thread->affinity, sizeof(thread->affinity));
    thread->affinity[group] = mask;
    ke_yield_to_affinity();
}

static void set_all(void)
{
    struct _KTHREAD *thread = ke_thread();

    for (unsigned group = 0; group < group_count(); group++)
        thread->affinity[group] = group_mask(group);
}

static KAFFINITY set_in_group_0(KAFFINITY affinity)
{
    struct _KTHREAD *thread = ke_thread();
    KAFFINITY old = thread->affinity[0] == group_mask(0) ? 0 : thread->affinity[0];

    if ((affinity & group_mask(0)) == 0)
        nt_violation("affinity", "no active processor is in the affinity mask %#llx", (unsigned long long)affinity);
    set_affinity(0, affinity & group_mask(0));
    return old;
}

VOID NTAPI KeSetSystemAffinityThread(KAFFINITY Affinity)
{
    NT_CALL(DISPATCH_LEVEL);
    (void)set_in_group_0(Affinity);
}

KAFFINITY NTAPI KeSetSystemAffinityThreadEx(KAFFINITY Affinity)
{
    NT_CALL(DISPATCH_LEVEL);
    return set_in_group_0(Affinity);
}

VOID NTAPI KeRevertToUserAffinityThread(VOID)
{
    NT_CALL(DISPATCH_LEVEL);
    set_all();
}

VOID NTAPI KeRevertToUserAffinityThreadEx(KAFFINITY Affinity)
{
    NT_CALL(DISPATCH_LEVEL);
    if (Affinity == 0)
        set_all();
    else
        (void)set_in_group_0(Affinity);
}

VOID NTAPI KeSetSystemGroupAffinityThread(PGROUP_AFFINITY Affinity, PGROUP_AFFINITY PreviousAffinity)
{
    struct _KTHREAD *thread;

    NT_CALL(DISPATCH_LEVEL);
    thread = ke_thread();
    if (PreviousAffinity != NULL) {
        RtlZeroMemory(PreviousAffinity, sizeof(*PreviousAffinity));
        for (unsigned group = 0; group < group_count(); group++)
            if (thread->affinity[group] != 0 && thread->affinity[group] != group_mask(group)) {
                PreviousAffinity->Group = (USHORT)group;
                PreviousAffinity->Mask = thread->affinity[group];
            }
    }
    if ((Affinity->Mask & group_mask(Affinity->Group)) == 0)
        nt_violation("affinity", "no active processor of group %u is in the affinity mask %#llx", Affinity->Group,
                     (unsigned long long)Affinity->Mask);
    set_affinity(Affinity->Group, Affinity->Mask & group_mask(Affinity->Group));
}

VOID NTAPI KeRevertToUserGroupAffinityThread(PGROUP_AFFINITY PreviousAffinity)
{
    NT_CALL(DISPATCH_LEVEL);
    if (PreviousAffinity->Mask == 0)
        set_all();
    else
        set_affinity(PreviousAffinity->Group, PreviousAffinity->Mask);
}

/* ---- NUMA: one node, with every processor ---- */

USHORT NTAPI KeQueryHighestNodeNumber(VOID)
{
    NT_CALL_ANY();
    return 0;
}

USHORT NTAPI KeGetCurrentNodeNumber(VOID)
{
    NT_CALL_ANY();
    return 0;
}

/* Of a node that does not exist: no processor. A node of several groups reports the first, as Windows does. */
VOID NTAPI KeQueryNodeActiveAffinity(USHORT NodeNumber, PGROUP_AFFINITY Affinity, PUSHORT Count)
{
    ULONG64 mask = NodeNumber == 0 ? group_mask(0) : 0;

    NT_CALL_ANY();
    if (Affinity != NULL) {
        RtlZeroMemory(Affinity, sizeof(*Affinity));
        Affinity->Mask = mask;
    }
    if (Count != NULL)
        *Count = (USHORT)__builtin_popcountll(mask);
}
