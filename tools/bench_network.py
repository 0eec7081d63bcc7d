#!/usr/bin/env python3
"""Frames a second through the shipping drivers on the parallel engine, held against what the protocol allows.

Each shape goes each way alone, through the test client, xenvif, the rings and netback, in two manners. By a packet generator
(pvsim run --pktgen), as NIC drivers are measured: a thread in the guest's kernel sends frames that lie in memory once, and the
receive callback and netback's end check each frame's length, first 64 bytes and checksum, in order, where they are; nobody writes the
bytes before they are sent or reads them all when they have come. The yardsticks' clients do no more, so the targets, the ratios, the
costs a frame and the stages of time are the generator's. And through an application, whose requests carry rows of frames to and from the
client, with a copy each, and which compares every byte: what the rest of the machine adds, without targets.

So few of the frames are distinct as a processor's cache holds beside the rest, and they come again and again: the bare ring's bytes
are in the cache too. One vCPU and dom0 are two threads of the host, as the bare ring's are; packets go in rows, as NDIS's lists have
them. Netback looks at a ring that it has emptied for a few microseconds before it asks for an event (pvsim run --busy-poll); the
threads of the bare ring and of DPDK look all the time. The yardsticks are measured around it: the bare ring
(tests/bench/bench_ring.c), a copy of the same bytes from the other core, and, where dpdk-testpmd is, DPDK's virtio-user and vhost-user with its own generator (txonly) and sink (rxonly). The large frames go
once more, through the application, under every combination of what netback takes over, none of which may be a tenth as fast as the
best. A round has all but DPDK and the combinations once; figures are the medians of the rounds, ratios the medians of each round's.

The bare ring is measured twice. The protocol alone has frames granted where they lie, and pages granted again as they are. A guest
may not do that: what it grants holds a packet's bytes and zeroes only (field bug FB19), so it copies what does not fill its page, and
copies or zeroes what a client has had. The ring with the same operations has these copies too; its share of the protocol alone is
printed. The targets are shares of the same operations, grant, ring, copy and notification, in a plain loop, so it is this
ring's verdicts that are counted and that --strict goes by; those against the protocol alone are given beside them.

The report is one HTML file. While the bare ring's threads do not get their two processors, something else runs on them and there is
no verdict. Exit status: 0 when all was measured and, with --strict, every target met.
"""

import argparse
import collections
import html
import json
import math
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

# Frames by the generator, so many that a run takes a third of a second and more; and through the application.
Shape = collections.namedtuple("Shape", "name size target frames requested")
SHAPES = (Shape("64 bytes", 64, 0.3, 5 << 19, 300000), Shape("1,514 bytes", 1514, 0.5, 1500000, 100000),
          Shape("64 KiB", 64054, 0.7, 120000, 3000))
DISTINCT_BYTES = 512 << 10  # of frames before the first of them comes again,
DISTINCT_LOAD = 1024  # or so many of them by the generator: twice as many as are on their way
BATCH = 64  # frames of a row
BUSY_POLL_US = 20  # netback looks at the rings for so long before it sleeps
DPDK_SIZES = (64, 1514)
DPDK_TARGET = 0.1  # of DPDK, at 64 bytes
DPDK_SECONDS = 4
SHARE_MIN = 0.9  # of two processors
YARDSTICK_MS = 300
Yardstick = collections.namedtuple("Yardstick", "key kind label color")  # bench_ring's kind, by the way
YARDSTICKS = (Yardstick("same", "{}-clean", "ring, same operations", "#555"), Yardstick("alone", "{}", "ring, protocol alone", "#aaa"),
              Yardstick("copy", "copy", "copy", "#c9a227"))
OFFLOADS = (("scatter and gather", "sg"), ("checksums", "csum-offload,ipv6-csum-offload"), ("segmentation", "gso-tcpv4,gso-tcpv6"))
OFFLOAD_TARGET = 0.1  # of the best combination: field bug FB16
WAYS = (("tx", "from the guest"), ("rx", "to the guest"))
STAGES = (  # the first that fits a symbol, or the file that it is in
    ("waiting for the other thread", r" (doze|spin_for|sleep_for)$"),
    ("xenvif", r"^xenvif\.so "), ("other drivers", r"^xen\w*\.so "), ("test client's generator", r"^netclient\.so "),
    ("host kernel", r"^\[kernel|^\[unknown\]"), ("copying and comparing bytes", r" _*mem(cpy|move|cmp|set)"),
    ("checking frames", r" (matches|packet)"),
    ("netback", r" (netback|vif|tx|rx|ring|port|end_|deliver|fetch|gather|judge|respond|transmit|receive|describe|produce|serve|steer"
                r"|take|requests_available)"),
    ("Xen", r" (grant|evtchn|hypercall|gnttab|xen|xenevtchn|xengnttab|dom0|claim|copy_|release_claims|clear_unpinned|note$|word_permits|page_state"
            r"|p2m)"),
    ("kernel lock", r" kernel_(lock|callout|enter|leave)"),
    ("verifier", r" (verifier|lock_|rule|mm_mdl_signature|search_|order_)"),
    ("interlocked operations and spin locks", r" (Interlocked|Kx|Read\w*Acquire|Write\w*Release|Ke\w*SpinLock|ke_(parallel_)?spin|acquire|release)"),
    ("engine", r" (sched|task|vcpu|parallel|runner|point|fiber|wait|clock|image|log|eventlog|guest_ram)_|light_point|nt_call"),
    ("NT kernel", r" (Ke|Ex|Io|Mm|Rtl|Ob|ke|io|mm|ex|pool|irp|dpc|irql|nt)"),
    ("C library", r"^(lib|\[vdso)"), ("other", ""))
COSTS = (("hypercalls", "hypercalls"), ("interrupts", "interrupts"), ("dpcs", "DPCs"), ("spin_locks", "spin locks"),
         ("allocations", "pool allocations"))


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def frame(size, number):
    """UDP with no checksum in a frame; beyond a frame TCP that is left to a card."""
    large = size > 1514
    length = size - 14
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, number & 0xFFFF, 0x4000, 64, 6 if large else 17, 0,
                     bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))
    ip = ip[:10] + struct.pack(">H", ~checksum(ip) & 0xFFFF) + ip[12:]
    if large:
        pseudo = checksum(ip[12:20] + struct.pack(">HH", 6, length - 20))
        head = struct.pack(">HHIIBBHHH", 40000, 80, number * (length - 40) & 0xFFFFFFFF, 1, 0x50, 0x10, 65535, pseudo, 0)
    else:
        head = struct.pack(">HHHH", 40000, 9, length - 20, 0)
    data = struct.pack(">I", number)
    return (bytes((0, 22, 62, 0, 0, 1, 0, 22, 62, 0, 0, 2, 8, 0)) + ip + head + data).ljust(size, b"\x5a")


def write_capture(path, size, count):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535 + 64, 1))
        distinct = [frame(size, number) for number in range(min(count, DISTINCT_BYTES // size))]
        for number in range(count):
            file.write(struct.pack("<IIII", number // 1000000, number % 1000000, size, size) + distinct[number % len(distinct)])


def command(pvsim, way, capture, features="all", rounds=0):
    """By the generator if it is to go `rounds` times."""
    return [pvsim, "run", "--format", "json", "--no-bundle", "--engine", "par", "--vcpus", "1", "--timeout", "10m",
            "--batch", str(BATCH), "--busy-poll", str(BUSY_POLL_US), "--backend-features", f"{features},queues=1"] + (
                ["--pktgen", str(rounds)] if rounds else []) + [f"--{way}", capture]


def report_of(arguments):
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(arguments)} failed:\n{result.stdout[:400]}{result.stderr}")
    return json.loads(result.stdout)


def rate_of(report, way):
    return report["vifs"][0][way]["frames"] / (report["traffic"]["host_ns"] / 1e9)


class Load:
    """The captures of a shape: the generator's, with the times that it goes, and the application's."""

    def __init__(self, folder, shape, scale):
        frames = max(int(shape.frames * scale), 1)
        distinct = min(frames, DISTINCT_LOAD, DISTINCT_BYTES // shape.size)
        self.rounds = -(-frames // distinct)
        self.requested = max(int(shape.requested * scale), 1)
        self.generated, self.applied = (os.path.join(folder, f"{shape.size}-{name}.pcap") for name in ("load", "traffic"))
        write_capture(self.generated, shape.size, distinct)
        write_capture(self.applied, shape.size, self.requested)

    def by_generator(self, pvsim, way):
        return command(pvsim, way, self.generated, rounds=self.rounds)

    def by_application(self, pvsim, way, features="all"):
        return command(pvsim, way, self.applied, features)


def yardstick(ring, kind, size, milliseconds):
    result = subprocess.run([ring, kind, str(size), str(milliseconds)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        print(result.stderr, end="", file=sys.stderr)
        sys.exit(result.returncode)
    rate, share = result.stdout.split()
    return float(rate), float(share)


def testpmd(program, prefix, main, other, device, mode, size, log):
    huge = [] if free_huge_pages() >= 1024 else ["--no-huge", "-m", "512"]
    return subprocess.Popen(
        [program, "-l", f"{main},{other}", "--main-lcore", str(main), "--no-pci", "--no-telemetry", "--file-prefix", prefix] + huge
        + ["--vdev", device, "--", "--nb-cores=1", f"--forward-mode={mode}", f"--txpkts={size}", "--no-mlockall",
           "--stats-period=1", "--total-num-mbufs=8192"], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def free_huge_pages():
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"^HugePages_Free:\s*(\d+)", file.read(), re.MULTILINE)[1])


def dpdk(way, size):
    """Frames a second between DPDK's virtio-user (the guest's part) and vhost-user, or why there is no such figure."""
    program = shutil.which("dpdk-testpmd")
    processors = sorted(os.sched_getaffinity(0))
    if not program:
        return "there is no dpdk-testpmd (apt-get install dpdk-dev: over 200 packages, which setup.sh does not install)"
    if len(processors) < 2:
        return "there are not two processors"
    with tempfile.TemporaryDirectory() as folder:
        socket = os.path.join(folder, "vhost")
        logs = [open(os.path.join(folder, name), "w+", encoding="utf-8") for name in ("host", "guest")]
        modes = ("rxonly", "txonly") if way == "tx" else ("txonly", "rxonly")
        host = testpmd(program, f"pvsim-host-{os.getpid()}", processors[0], processors[1], f"net_vhost0,iface={socket}", modes[0],
                       size, logs[0])
        time.sleep(2)
        guest = testpmd(program, f"pvsim-guest-{os.getpid()}", processors[1], processors[0], f"net_virtio_user0,path={socket}",
                        modes[1], size, logs[1])
        time.sleep(DPDK_SECONDS + 2)
        for process in (guest, host):
            process.terminate()
            process.wait()
        texts = []
        for log in logs:
            log.seek(0)
            texts.append(log.read())
            log.close()
    rates = [int(rate) for rate in re.findall(r"Rx-pps:\s*(\d+)", texts[0 if way == "tx" else 1]) if int(rate)]
    if rates:
        return float(statistics.median(rates))
    errors = [line for line in texts[0].splitlines() + texts[1].splitlines() if re.search(r"error|cannot|fatal", line, re.I)]
    return "dpdk-testpmd carried nothing: " + (errors or ["no message"])[0]


def stages(arguments):
    """Of the guest's thread and of dom0's the share of the time by stage, or why there is none."""
    if not shutil.which("perf"):
        return "there is no perf (package linux-perf)"
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "perf.data")
        result = subprocess.run(["perf", "record", "-q", "-F", "999", "-o", data, "--"] + arguments,
                                capture_output=True, text=True, check=False)
        if result.returncode != 0:
            return "perf record does not work here: " + (result.stderr.strip().splitlines() or ["no message"])[-1]
        text = subprocess.run(["perf", "script", "-i", data, "-F", "pid,tid,ip,sym,dso"], capture_output=True, text=True,
                              check=False).stdout
    counts = {"the guest's vCPU": collections.Counter(), "dom0": collections.Counter()}
    booted = False  # before, dom0's thread reads the capture
    for line in text.splitlines():
        match = re.match(r"\s*(\d+)/(\d+)\s+[0-9a-f]+ (\S+) \((\S+)\)", line)
        if match:
            booted = booted or match[1] != match[2]
            symbol = f"{os.path.basename(match[4])} {match[3]}"
            if booted:
                counts["dom0" if match[1] == match[2] else "the guest's vCPU"][
                    next(name for name, pattern in STAGES if re.search(pattern, symbol))] += 1
    if not booted:
        return "perf took no samples"
    return {thread: {name: 100 * samples / stage.total() for name, samples in stage.most_common()} for thread, stage in counts.items()}


def chart(rows):
    """Bars of frames a second on a logarithmic scale."""
    bars, lines = [], []
    kinds = [("ours", "drivers", "#1f6fb4")] + [(each.key, each.label, each.color) for each in YARDSTICKS]
    top = math.log10(max(row[key] for row in rows for key, _, _ in kinds)) or 1
    for row in rows:
        y = 20 + 110 * len(lines)
        lines.append(f'<text x="0" y="{y + 4}" font-weight="bold">{row["shape"].name}, {row["text"]}</text>')
        for index, (key, label, color) in enumerate(kinds):
            width = 430 * max(math.log10(max(row[key], 1)), 0) / top
            bars.append(f'<rect x="140" y="{y + 12 + 20 * index}" width="{width:.0f}" height="15" fill="{color}"/>'
                        f'<text x="0" y="{y + 24 + 20 * index}">{label}</text>'
                        f'<text x="{width + 146:.0f}" y="{y + 24 + 20 * index}">{row[key]:,.0f}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="700" height="{110 * len(rows) + 10}" font-family="sans-serif" '
            f'font-size="12">{"".join(lines + bars)}</svg>')


def write_report(path, rows, offloads, rounds):
    table = "".join(
        f'<tr><td>{row["shape"].name}</td><td>{row["text"]}</td><td>{row["ours"]:,.0f}</td><td>{row["shape"].target}</td>'
        f'<td>{row["same"]:,.0f}</td><td>{row["same_ratio"]:.4f}</td><td><b>{row["verdict"]}</b></td>'
        f'<td>{row["alone"]:,.0f}</td><td>{row["alone_ratio"]:.4f}</td><td>{row["alone_verdict"]}</td>'
        f'<td>{row["rings_ratio"]:.4f}</td><td>{row["copy"]:,.0f}</td><td>{row["copy_ratio"]:.4f}</td>'
        f'<td>{row["share"]:.2f}</td></tr>'
        for row in rows)
    costs = "".join(f'<tr><td>{row["shape"].name}</td><td>{row["text"]}</td>'
                    + "".join(f'<td>{row["costs"][key]:.3f}</td>' for key, _ in COSTS) + "</tr>" for row in rows)
    combinations = "".join(
        f'<tr><td>{row["text"]}</td><td>{row["offloads"]}</td><td>{row["rate"]:,.0f}</td><td>{row["ratio"]:.4f}</td>'
        f'<td>{OFFLOAD_TARGET}</td><td>{row["verdict"]}</td></tr>' for row in offloads)
    applied = "".join(
        f'<tr><td>{row["shape"].name}</td><td>{row["text"]}</td><td>{row["applied"]:,.0f}</td>'
        f'<td>{row["applied"] / row["ours"]:.4f}</td>'
        + "".join(f'<td>{row["applied_costs"][key]:.3f}</td>' for key, _ in COSTS) + "</tr>" for row in rows)
    against = ""
    for row in rows:
        if isinstance(row["dpdk"], str):
            against += f'<p>{row["shape"].name}, {row["text"]}: skipped: {html.escape(row["dpdk"])}</p>'
        elif row["dpdk"]:
            against += (f'<p>{row["shape"].name}, {row["text"]}: {row["dpdk"]:,.0f} frames a second; ours are '
                        f'{row["ours"] / row["dpdk"]:.4f} of that{dpdk_verdict(row)}</p>')
    where = ""
    for row in rows:
        if isinstance(row["stages"], str):
            where += f'<p>{row["shape"].name}, {row["text"]}: skipped: {html.escape(row["stages"])}</p>'
        else:
            for thread, shares in row["stages"].items():
                where += (f'<p>{row["shape"].name}, {row["text"]}, {thread}: '
                          + ", ".join(f"{name} {share:.1f}%" for name, share in shares.items()) + "</p>")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>pvsim: frames a second</title>
<style>body{{font-family:sans-serif;max-width:80em;margin:2em auto}}td,th{{padding:2px 10px;text-align:right}}</style></head>
<body><h1>Frames a second through the drivers</h1>
<p>Parallel engine, 1 vCPU and dom0, medians of {rounds} rounds, on {os.cpu_count()} processors whose load average was
{os.getloadavg()[0]:.1f} at the end. Netback, having emptied a ring, looks at it for {BUSY_POLL_US} us before it asks for an event, as
the yardsticks' threads do all the time. A packet generator in the guest's kernel (pvsim run --pktgen) sends frames that lie in memory
once, in rows of {BATCH} as NDIS's lists may be, and takes those that come; of each frame the length, the first 64 bytes and the
checksum are checked, in order, at its end of the way, and the payload behind them is not: the bare ring and DPDK's testpmd do not look at it
either. While the yardsticks' threads have less than {SHARE_MIN} of two processors, other programs run, and there is no verdict.</p>
<p>The bare ring is a plain loop of two pinned threads, with no kernel and no driver, twice. As the same operations it does what a
guest has to do: granted pages hold a packet's bytes and zeroes only (field bug FB19), so what does not fill its page is copied before
it is sent, and what has come is copied out of its page, or the page is zeroed before it is granted again. As the protocol alone it
grants frames where they lie and pages as they are, which no guest may do; how much of that rate is left to the ring with the copies is
in a column of its own. The targets are shares of the same grant, ring, copy and notification operations in a plain loop: the first
verdict is the one that counts, the second is there to be seen.</p>
<table><tr><th rowspan="2">shape</th><th rowspan="2">way</th><th rowspan="2">drivers</th><th rowspan="2">target</th>
<th colspan="3">bare ring, the same operations</th><th colspan="3">bare ring, the protocol alone</th>
<th rowspan="2">same operations of protocol alone</th><th colspan="2">copy</th>
<th rowspan="2">yardsticks' share of two processors</th></tr>
<tr><th>frames a second</th><th>drivers' share</th><th>verdict</th><th>frames a second</th><th>drivers' share</th>
<th>verdict, not counted</th><th>frames a second</th><th>drivers' share</th></tr>{table}</table>
{chart(rows)}
<h2>What a frame costs</h2>
<p>Hypercalls, interrupts, DPCs, spin locks that drivers acquire and allocations of pool are those of the traffic, a frame.</p>
<table><tr><th>shape</th><th>way</th>{"".join(f"<th>{name}</th>" for _, name in COSTS)}</tr>{costs}</table>
<h2>Through an application that checks every byte</h2>
<p>The application's I/O requests carry {BATCH} frames each, which are copied on their way, and every byte is compared in the end: the
time of requests, copies and comparisons is in it. There is no target.</p>
<table><tr><th>shape</th><th>way</th><th>frames a second</th><th>of the generator's</th>
{"".join(f"<th>{name}</th>" for _, name in COSTS)}</tr>{applied}</table>
<h2>Frames of 64 KiB by what netback takes over, through the application</h2>
<table><tr><th>way</th><th>offered</th><th>frames a second</th><th>of the best</th><th>target</th><th></th></tr>{combinations}</table>
<h2>Where the generator's time goes</h2>{where}
<h2>DPDK's virtio-user and vhost-user, by testpmd (txonly, rxonly)</h2>{against}</body></html>
""")


def dpdk_verdict(row):
    if row["busy"]:
        return ": no verdict, other programs ran"
    if row["shape"].size != 64:
        return ""
    return f', at least {DPDK_TARGET}: {"met" if row["ours"] >= DPDK_TARGET * row["dpdk"] else "missed"}'


def costs_of(report, way):
    return {key: report["traffic"]["cost"][key] / report["vifs"][0][way]["frames"] for key, _ in COSTS}


def median_ratio(some, others):
    return statistics.median(a / max(b, 1) for a, b in zip(some, others))


def measure(arguments, shape, way, text, load):
    ours, applied, shares = [], [], []
    rates = {each.key: [] for each in YARDSTICKS}
    report = applied_report = None
    for _ in range(arguments.rounds):
        report = report_of(load.by_generator(arguments.pvsim, way))
        ours.append(rate_of(report, way))
        for each in YARDSTICKS:
            rate, share = yardstick(arguments.ring, each.kind.format(way), shape.size, YARDSTICK_MS)
            rates[each.key].append(rate)
            shares.append(share)
        applied_report = report_of(load.by_application(arguments.pvsim, way))
        applied.append(rate_of(applied_report, way))
    row = {"shape": shape, "text": text, "ours": statistics.median(ours), "rings_ratio": median_ratio(rates["same"], rates["alone"]),
           "costs": costs_of(report, way), "applied": statistics.median(applied), "applied_costs": costs_of(applied_report, way),
           "dpdk": dpdk(way, shape.size) if shape.size in DPDK_SIZES else None, "share": statistics.median(shares),
           "busy": statistics.median(shares) < SHARE_MIN, "stages": stages(load.by_generator(arguments.pvsim, way))}
    for key, measured in rates.items():
        row[key] = statistics.median(measured)
        row[f"{key}_ratio"] = median_ratio(ours, measured)
    row["verdict"], row["alone_verdict"] = (
        "none: other programs ran" if row["busy"] else "met" if row[key] >= shape.target else "missed"
        for key in ("same_ratio", "alone_ratio"))
    print(f'{shape.name:12} {text:15} {row["ours"]:>12,.0f}/s   at least {shape.target} of the bare ring with the same operations, '
          f'{row["same"]:,.0f}/s: {row["same_ratio"]:.4f}, {row["verdict"]}', flush=True)
    print(" " * 13 + f'of the protocol alone, {row["alone"]:,.0f}/s: {row["alone_ratio"]:.4f}, {row["alone_verdict"]}, not counted: '
          f'the ring with the guest\'s copies is {row["rings_ratio"]:.4f} of it')
    print(" " * 13 + f'of a copy, {row["copy"]:,.0f}/s: {row["copy_ratio"]:.4f}')
    print(" " * 13 + "a frame: " + ", ".join(f'{row["costs"][key]:.3f} {name}' for key, name in COSTS))
    print(" " * 13 + f'through an application that checks every byte: {row["applied"]:,.0f}/s', flush=True)
    if isinstance(row["dpdk"], str):
        print(f'{"":12} DPDK: skipped: {row["dpdk"]}', flush=True)
    elif row["dpdk"]:
        print(f'{"":12} DPDK: {row["dpdk"]:,.0f}/s, ratio {row["ours"] / row["dpdk"]:.4f}{dpdk_verdict(row)}', flush=True)
    return row


def measure_offloads(arguments, way, text, load, busy):
    """Frames of the capture a second, by what netback takes over; the rest is done in the guest, or for it."""
    rows = []
    for which in range(1 << len(OFFLOADS)):
        chosen = [OFFLOADS[bit] for bit in range(len(OFFLOADS)) if which >> bit & 1]
        features = ",".join(["none"] + [words for _, words in chosen])
        times = [report_of(load.by_application(arguments.pvsim, way, features))["traffic"]["host_ns"] for _ in range(arguments.rounds)]
        rows.append({"text": text, "offloads": ", ".join(name for name, _ in chosen) or "nothing",
                     "rate": load.requested / (statistics.median(times) / 1e9)})
    best = max(row["rate"] for row in rows)
    for row in rows:
        row["ratio"] = row["rate"] / best
        row["verdict"] = "none: other programs ran" if busy else "met" if row["ratio"] >= OFFLOAD_TARGET else "missed"
        print(f'64 KiB       {text:15} {row["rate"]:>12,.0f}/s   with {row["offloads"]}: {row["ratio"]:.4f} of the best combination, '
              f'at least {OFFLOAD_TARGET}: {row["verdict"]}', flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pvsim", default="build/pvsim")
    parser.add_argument("--ring", default="build/tests/bench/bench_ring")
    parser.add_argument("--report", default="build/bench/report.html")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="times as many frames a run")
    parser.add_argument("--strict", action="store_true", help="a missed target is a failure")
    arguments = parser.parse_args()

    rows, offloads = [], []
    with tempfile.TemporaryDirectory() as folder:
        for shape in SHAPES:
            load = Load(folder, shape, arguments.scale)
            for way, text in WAYS:
                rows.append(measure(arguments, shape, way, text, load))
                if shape is SHAPES[-1]:
                    offloads += measure_offloads(arguments, way, text, load, rows[-1]["busy"])
    os.makedirs(os.path.dirname(arguments.report) or ".", exist_ok=True)
    write_report(arguments.report, rows, offloads, arguments.rounds)
    verdicts = collections.Counter(row["verdict"] for row in rows + offloads)
    print(f"{arguments.report}: {verdicts['met']} targets met, {verdicts['missed']} missed, "
          f"{len(rows + offloads) - verdicts['met'] - verdicts['missed']} without a verdict; "
          f"of the protocol alone {sum(row['alone_verdict'] == 'met' for row in rows)} of {len(rows)} would be met")
    if arguments.strict and (verdicts["met"] < len(rows + offloads) or any("missed" in dpdk_verdict(row) for row in rows
                                                                  if isinstance(row["dpdk"], float))):
        sys.exit(1)


main()
