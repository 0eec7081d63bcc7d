"""Guest threads and vCPUs of a pvsim process or core file, for gdb: `make gdb CORE=pvsim-7-48213.core`.

    pvsim vcpus          each vCPU: IRQL, thread, what it runs
    pvsim threads [bt]   each guest thread: number, state, what it waits for; bt: and its stack
    pvsim thread N bt    the stack of thread N (by frame pointers, so that it works on core files too)
    pvsim irps           requests: state, who made each, who has it
    pvsim pool           pool in use by tag, the largest first
"""

import gdb

KINDS = ("nonpaged", "nonpaged-nx", "paged")
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


def entries(head, type_name, member):
    """The structures of a list, by its head and the member that links them."""
    kind = gdb.lookup_type(type_name)
    offset = next(field.bitpos // 8 for field in kind.fields() if field.name == member)
    entry = head["Flink"]
    while int(entry) != int(head.address):
        yield gdb.Value(int(entry) - offset).cast(kind.pointer()).dereference()
        entry = entry.dereference()["Flink"]


def threads():
    return entries(kernel()["threads"], "struct _KTHREAD", "all_entry")


def vcpus():
    table = machine()["vcpu"]
    for index in range(int(machine()["config"]["vcpus"])):
        yield index, table[index].dereference()


def text(value):
    return value.string(errors="replace")


def where(address, call=0):
    """Function, file and line of a code address; of a return address with call=1, since it lies behind its call."""
    name = gdb.execute(f"info symbol {address - call:#x}", to_string=True).split(" in section")[0].strip()
    line = gdb.find_pc_line(address - call)
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


def print_thread(thread):
    state = STATES[int(thread["state"])]
    line = f"{int(thread['id']):4} {text(thread['name']):24} priority {int(thread['priority']):2} {state}"
    if state == "waiting":
        line += f" for {waits(thread)}, from {where(int(thread['wait_caller']), call=1)}"
    print(line)


def print_stack(thread):
    for number, address in enumerate(frames(thread["fiber"])):
        print(f"#{number} {where(address, call=1)}")


class Threads(gdb.Command):
    """pvsim threads [bt]: list guest threads, with their stacks."""

    def __init__(self):
        super().__init__("pvsim threads", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if argument.split() not in ([], ["bt"]):
            raise gdb.GdbError("usage: pvsim threads [bt]")
        for thread in threads():
            print_thread(thread)
            if argument:
                print_stack(thread)


class Thread(gdb.Command):
    """pvsim thread N bt: the stack of a guest thread."""

    def __init__(self):
        super().__init__("pvsim thread", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split()
        if not words or not words[0].isdigit() or words[1:] not in ([], ["bt"]):
            raise gdb.GdbError("usage: pvsim thread N bt")
        for thread in threads():
            if int(thread["id"]) == int(words[0]):
                print_stack(thread)
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


def irp_state(record):
    irp = record["irp"].dereference()
    if int(record["completed"]):
        return "completed, not freed"
    if not int(record["sent"]):
        return "not sent"
    return "back with its maker" if int(irp["CurrentLocation"]) > int(irp["StackCount"]) else "in flight"


def passes(record):
    """The dispatch calls on locations that the request has not left, the last one first."""
    dispatch = record["passes"]
    while int(dispatch):
        if not int(dispatch["passed"]):
            yield dispatch.dereference()
        dispatch = dispatch["next"]


class Irps(gdb.Command):
    """List the requests that drivers and the I/O manager have allocated."""

    def __init__(self):
        super().__init__("pvsim irps", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for record in entries(machine()["io"].dereference()["irps"], "struct irp_record", "entry"):
            status = int(record["irp"]["IoStatus"]["Status"]) & 0xFFFFFFFF
            print(f"IRP {int(record['irp']):#x} {irp_state(record)}, status {status:#010x}, "
                  f"made at {where(int(record['caller']), call=1)}")
            for dispatch in passes(record):
                result = f"returned {int(dispatch['status']) & 0xFFFFFFFF:#010x}" if int(dispatch["returned"]) \
                    else "has not returned"
                routine = dispatch["driver"]["MajorFunction"][int(dispatch["major"])]
                print(f"  [{int(dispatch['location'])}] major {int(dispatch['major']):#x} "
                      f"minor {int(dispatch['minor']):#x}, device {int(dispatch['device']):#x}, "
                      f"{where(int(routine))} {result}")


class Pool(gdb.Command):
    """List pool in use by tag, the largest first."""

    def __init__(self):
        super().__init__("pvsim pool", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        pool = machine()["ex"].dereference()["pool"].dereference()
        rows = []
        for index in range(int(pool["tags"])):
            row = pool["statistics"][index]
            tag = int(row["tag"]).to_bytes(4, "little")
            rows.append((int(row["bytes"]), int(row["allocations"]) - int(row["frees"]),
                         "".join(chr(byte) if 0x20 <= byte <= 0x7E else "." for byte in tag), KINDS[int(row["kind"])]))
        for size, blocks, tag, kind in sorted((row for row in rows if row[0]), reverse=True):
            print(f"{tag} {kind:11} {blocks:8} blocks {size:10} bytes")


Pvsim()
Irps()
Pool()
Threads()
Thread()
Vcpus()
