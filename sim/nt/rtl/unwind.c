/*
 * Unwinding: RtlLookupFunctionEntry, RtlVirtualUnwind (winnt.h, "x64 exception handling"), over the unwind tables that
 * ELF images have. A RUNTIME_FUNCTION's UnwindData is the offset of its frame description entry, which drivers do not
 * read; its rules are evaluated by libdw. There are no language handlers in these tables.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/loader.h"
#include "machine/fail_internal.h"
#include "machine/guest_ram.h"
#include "nt/rtl/rtl.h"

#define DWARF_RETURN_ADDRESS 16u
#define DWARF_STACK_POINTER 7u
#define EXPRESSION_STACK 16u

/* Place of a DWARF register (System V ABI, x86-64, figure 3.36) among CONTEXT's, which are numbered as in code. */
static const unsigned register_of_dwarf[16] = {0, 2, 1, 3, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};

/* Registers that a function gives back as it found them. */
static const unsigned preserved[] = {3, 6, 12, 13, 14, 15};

struct step {
    const char *path;  /* of the image */
    uint64_t location; /* in it */
    uint64_t registers[17];
    uint64_t place[17]; /* address that a register was saved at, 0: none */
    uint64_t frame;     /* the canonical frame address */
    bool good;
};

static bool read_stack(uint64_t address, uint64_t *value)
{
    const void *from = (const void *)(uintptr_t)address;

    if (fail_on_trap_stack(from, sizeof(*value))) {
        memcpy(value, from, sizeof(*value));
        return true;
    }
    return guest_copy_in(value, from, sizeof(*value));
}

/* A location expression; *value: the result, *is_value: it is the register's value and not where that is. */
static bool evaluate(const struct step *step, const Dwarf_Op *ops, size_t count, uint64_t *value, bool *is_value)
{
    uint64_t stack[EXPRESSION_STACK];
    unsigned depth = 0;

    *is_value = false;
    for (size_t i = 0; i < count; i++) {
        const Dwarf_Op *op = &ops[i];

        if (depth + 1 >= EXPRESSION_STACK)
            return false;
        if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg15)
            stack[depth++] = step->registers[op->atom - DW_OP_breg0] + op->number;
        else if (op->atom == DW_OP_bregx && op->number <= DWARF_RETURN_ADDRESS)
            stack[depth++] = step->registers[op->number] + op->number2;
        else if (op->atom == DW_OP_call_frame_cfa)
            stack[depth++] = step->frame;
        else if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31)
            stack[depth++] = op->atom - DW_OP_lit0;
        else if (op->atom == DW_OP_const1u || op->atom == DW_OP_const2u || op->atom == DW_OP_constu ||
                 op->atom == DW_OP_const1s || op->atom == DW_OP_const2s || op->atom == DW_OP_consts)
            stack[depth++] = op->number;
        else if (op->atom == DW_OP_plus_uconst && depth >= 1)
            stack[depth - 1] += op->number;
        else if (op->atom == DW_OP_deref && depth >= 1) {
            if (!read_stack(stack[depth - 1], &stack[depth - 1]))
                return false;
        } else if (op->atom == DW_OP_stack_value && depth >= 1) {
            *is_value = true;
        } else if (depth >= 2) {
            uint64_t right = stack[--depth];

            switch (op->atom) {
            case DW_OP_plus:
                stack[depth - 1] += right;
                break;
            case DW_OP_minus:
                stack[depth - 1] -= right;
                break;
            case DW_OP_and:
                stack[depth - 1] &= right;
                break;
            case DW_OP_shl:
                stack[depth - 1] = right < 64 ? stack[depth - 1] << right : 0;
                break;
            case DW_OP_ge:
                stack[depth - 1] = (int64_t)stack[depth - 1] >= (int64_t)right;
                break;
            default:
                return false;
            }
        } else {
            return false;
        }
    }
    *value = depth > 0 ? stack[depth - 1] : 0; /* there may be more beneath it: the frame's address comes first */
    return depth > 0;
}

/* What the caller has in a register; false: nothing can be said of it. */
static bool recover(struct step *step, Dwarf_Frame *frame, unsigned number, uint64_t *value)
{
    Dwarf_Op memory[3];
    Dwarf_Op *ops;
    size_t count;
    bool is_value;

    if (dwarf_frame_register(frame, (int)number, memory, &ops, &count) != 0)
        return false;
    if (count == 0) {
        *value = step->registers[number]; /* as it was, if it is not undefined */
        return ops == NULL;
    }
    if (!evaluate(step, ops, count, value, &is_value))
        return false;
    if (is_value)
        return true;
    step->place[number] = *value;
    return read_stack(*value, value);
}

static void unwind_frame(struct step *step, Dwarf_Frame *frame)
{
    uint64_t caller[17];
    Dwarf_Op *ops;
    size_t count;
    bool is_value;

    if (dwarf_frame_cfa(frame, &ops, &count) != 0 || !evaluate(step, ops, count, &step->frame, &is_value))
        return;
    for (unsigned number = 0; number < 17; number++)
        caller[number] = step->registers[number];
    for (unsigned i = 0; i < ARRAYSIZE(preserved); i++)
        if (!recover(step, frame, preserved[i], &caller[preserved[i]]))
            step->place[preserved[i]] = 0;
    /* The last frame of a stack has no return address. */
    if (!recover(step, frame, DWARF_RETURN_ADDRESS, &caller[DWARF_RETURN_ADDRESS]))
        caller[DWARF_RETURN_ADDRESS] = 0;
    caller[DWARF_STACK_POINTER] = step->frame;
    for (unsigned number = 0; number < 17; number++)
        step->registers[number] = caller[number];
    step->good = true;
}

/* On the loader's stack: libdw wants more than a guest thread has. */
static void unwind_step(void *argument)
{
    struct step *step = argument;
    int file = open(step->path, O_RDONLY | O_CLOEXEC);
    Dwarf_CFI *rules;
    Dwarf_Frame *frame;
    Elf *elf;

    (void)elf_version(EV_CURRENT);
    elf = file >= 0 ? elf_begin(file, ELF_C_READ_MMAP, NULL) : NULL;
    rules = elf != NULL ? dwarf_getcfi_elf(elf) : NULL;
    if (rules != NULL && dwarf_cfi_addrframe(rules, step->location, &frame) == 0) {
        unwind_frame(step, frame);
        free(frame);
    }
    if (rules != NULL)
        (void)dwarf_cfi_end(rules);
    if (elf != NULL)
        (void)elf_end(elf);
    if (file >= 0)
        close(file);
}

PRUNTIME_FUNCTION NTAPI RtlLookupFunctionEntry(ULONG64 ControlPc, PULONG64 ImageBase,
                                               PUNWIND_HISTORY_TABLE HistoryTable)
{
    PRUNTIME_FUNCTION function;
    void *base = NULL;

    NT_CALL_ANY();
    UNREFERENCED_PARAMETER(HistoryTable); /* a cache of Windows', to be filled or not */
    function = loader_function((const void *)(uintptr_t)ControlPc, &base);
    *ImageBase = (uintptr_t)base;
    return function;
}

PEXCEPTION_ROUTINE NTAPI RtlVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 ControlPc,
                                          PRUNTIME_FUNCTION FunctionEntry, PCONTEXT ContextRecord, PVOID *HandlerData,
                                          PULONG64 EstablisherFrame, PKNONVOLATILE_CONTEXT_POINTERS ContextPointers)
{
    ULONG64 *registers = &ContextRecord->Rax;
    struct step step = {.location = ControlPc - ImageBase};

    NT_CALL_ANY();
    UNREFERENCED_PARAMETER(HandlerType); /* there are no handlers of either type */
    step.path = loader_path_of_base((const void *)(uintptr_t)ImageBase);
    if (step.path == NULL ||
        step.location - FunctionEntry->BeginAddress > (ULONG64)FunctionEntry->EndAddress - FunctionEntry->BeginAddress)
        nt_violation("unwind",
                     "RtlVirtualUnwind: %#llx does not lie in the function entry that was passed, or %#llx is no image",
                     (unsigned long long)ControlPc, (unsigned long long)ImageBase);
    if (step.location == FunctionEntry->EndAddress) /* behind a call that does not come back */
        step.location--;
    for (unsigned number = 0; number < 16; number++)
        step.registers[number] = registers[register_of_dwarf[number]];
    step.registers[DWARF_RETURN_ADDRESS] = ContextRecord->Rip;
    loader_host_call(unwind_step, &step);
    *HandlerData = NULL;
    if (!step.good) { /* the stack cannot be read: it ends here */
        *EstablisherFrame = ContextRecord->Rsp;
        ContextRecord->Rip = 0;
        return NULL;
    }
    *EstablisherFrame = step.frame;
    for (unsigned number = 0; number < 16; number++) {
        registers[register_of_dwarf[number]] = step.registers[number];
        if (ContextPointers != NULL && step.place[number] != 0)
            ContextPointers->IntegerContext[register_of_dwarf[number]] = (PULONG64)(uintptr_t)step.place[number];
    }
    ContextRecord->Rip = step.registers[DWARF_RETURN_ADDRESS];
    return NULL;
}
