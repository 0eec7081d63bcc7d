"""Guest threads and vCPUs of a pvsim process or core file, for gdb: `make gdb CORE=pvsim-7-48213.core`.

    pvsim vcpus          each vCPU: IRQL, thread, what it runs
    pvsim threads        each guest thread: number, state, what it waits for
    pvsim thread N bt    the stack of thread N, which is parked (by frame pointers, so that it works on core files too)
"""

import gdb

STATES = ("ready", "running", "waiting", "terminated")
OBJECTS = {0: "notification event", 1: "synchronization event", 2: "mutex", 5: "semaphore", 6: "end of a thread",
           8: "notification timer", 9: "synchronization timer"}


def machine():
    pointer = gdb.parse_and_eval("machine")
    if int(pointer) == 0:
        raise gdb.GdbError("there is no machine (yet)")
    return pointer.dereference()


def kernel():
    return machine()["ke"].dereference()


def threads():
    kind = gdb.lookup_type("struct _KTHREAD")
    offset = next(field.bitpos // 8 for field in kind.fields() if field.name == "all_entry")
    head = kernel()["threads"].address
    entry = head.dereference()["Flink"]
    while int(entry) != int(head):
        yield gdb.Value(int(entry) - offset).cast(kind.pointer()).dereference()
        entry = entry.dereference()["Flink"]


def vcpus():
    table = machine()["vcpu"]
    for index in range(int(machine()["config"]["vcpus"])):
        yield index, table[index].dereference()


def text(value):
    return value.string(errors="replace")


def where(address):
    """Function, file and line of a code address."""
    name = gdb.execute(f"info symbol {address:#x}", to_string=True).split(" in section")[0].strip()
    line = gdb.find_pc_line(address)
    source = f" ({line.symtab.filename.rsplit('/', 1)[-1]}:{line.line})" if line.symtab and line.line else ""
    return f"{address:#x} {name}{source}"


def word(address):
    return int(gdb.Value(address).cast(gdb.lookup_type("unsigned long").pointer()).dereference())


def frames(fiber):
    """Return addresses on the stack of a parked fiber; its registers lie as fiber_swap_stack() has pushed them."""
    saved = int(fiber["stack_pointer"])
    low = int(fiber["stack_base"])
    high = low + int(fiber["stack_size"])
    if not low <= saved < high - 56:
        return
    frame = word(saved + 40)
    yield word(saved + 48)
    while low <= frame <= high - 16 and word(frame + 8):
        yield word(frame + 8)
        following = word(frame)
        if following <= frame:
            return
        frame = following


def waits(thread):
    blocks = thread["wait_blocks"]
    names = []
    for index in range(int(thread["wait_count"])):
        header = blocks[index]["Object"].cast(gdb.lookup_type("DISPATCHER_HEADER").pointer())
        names.append(f"{OBJECTS.get(int(header['Type']), 'object')} {int(header):#x}")
    return ", ".join(names) or "time to pass"


class Pvsim(gdb.Command):
    __doc__ = __doc__

    def __init__(self):
        super().__init__("pvsim", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)


class Threads(gdb.Command):
    """List guest threads."""

    def __init__(self):
        super().__init__("pvsim threads", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for thread in threads():
            state = STATES[int(thread["state"])]
            line = f"{int(thread['id']):4} {text(thread['name']):24} priority {int(thread['priority']):2} {state}"
            if state == "waiting":
                line += f" for {waits(thread)}, from {where(int(thread['wait_caller']))}"
            print(line)


class Thread(gdb.Command):
    """pvsim thread N bt: the stack of a guest thread that does not run."""

    def __init__(self):
        super().__init__("pvsim thread", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split()
        if not words or not words[0].isdigit() or words[1:] not in ([], ["bt"]):
            raise gdb.GdbError("usage: pvsim thread N bt")
        for thread in threads():
            if int(thread["id"]) == int(words[0]):
                for number, address in enumerate(frames(thread["fiber"])):
                    print(f"#{number} {where(address)}")
                return
        raise gdb.GdbError(f"there is no thread {words[0]}; see 'pvsim threads'")


class Vcpus(gdb.Command):
    """List vCPUs."""

    def __init__(self):
        super().__init__("pvsim vcpus", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        died = int(kernel()["bugcheck_vcpu"])
        for index, vcpu in vcpus():
            irql = int(kernel()["bugcheck_irql"]) if int(vcpu.address) == died else int(vcpu["irql"])
            runs = f"thread {text(vcpu['current'].dereference()['name'])}"
            if int(vcpu["dpc_active"]):
                runs = f"DPC {where(int(vcpu['dpc_routine']))} on {runs}"
            if int(vcpu["isr_depth"]):
                runs = f"service routine of vector {int(vcpu['isr_vector']):#x} on {runs}"
            print(f"vCPU {index}: IRQL {irql}, {runs}{', died here' if int(vcpu.address) == died else ''}")


Pvsim()
Threads()
Thread()
Vcpus()
