#!/usr/bin/env python3
"""Frames a second through the shipping drivers on the parallel engine, held against what the protocol allows.

Each shape goes each way alone: a capture of that many distinct frames, checked at the other end, through the test client,
xenvif, the rings and netback. The yardsticks are measured around it: the bare ring (tests/bench/bench_ring.c) and a copy of
the same bytes from the other core. A round has all three once; figures are the medians of the rounds, ratios the medians of
each round's. The report is one HTML file. While the bare ring's threads do not get their two processors, something else runs
on them and there is no verdict. Exit status: 0 when all was measured and, with --strict, every target met.
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

Shape = collections.namedtuple("Shape", "name size target frames")
SHAPES = (Shape("64 bytes", 64, 0.3, 200000), Shape("1,514 bytes", 1514, 0.5, 100000), Shape("64 KiB", 64054, 0.7, 3000))
BATCH = 64  # frames of a request
SHARE_MIN = 0.9  # of two processors
WAYS = (("tx", "from the guest"), ("rx", "to the guest"))
STAGES = (  # the first that fits a symbol, or the file that it is in
    ("xenvif", r"^xenvif\.so "), ("other drivers", r"^xen\w*\.so "), ("test client", r"^netclient\.so "),
    ("host kernel", r"^\[kernel|^\[unknown\]"), ("copying and comparing bytes", r" _*mem(cpy|move|cmp|set)"),
    ("netback", r" (netback|vif|tx|rx|ring|packet|port|checker|capture|flow)_"),
    ("Xen", r" (grant|evtchn|hypercall|gnttab|xen|xenevtchn|xengnttab|dom0)_?"),
    ("verifier", r" (verifier|lock_rules|rule)_"), ("engine", r" (sched|task|vcpu|par|point|fiber|wait|clock|image|log)_"),
    ("NT kernel", r" (Ke|Ex|Io|Mm|Rtl|Ob|ke|io|mm|ex|pool|irp|dpc|irql|nt)"), ("C library", r"^lib"), ("other", ""))


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
        for number in range(count):
            file.write(struct.pack("<IIII", number // 1000000, number % 1000000, size, size) + frame(size, number))


def command(pvsim, way, capture):
    return [pvsim, "run", "--format", "json", "--no-bundle", "--engine", "par", "--vcpus", "2", "--timeout", "10m",
            "--batch", str(BATCH), "--backend-features", "all", f"--{way}", capture]


def through_drivers(pvsim, way, capture):
    result = subprocess.run(command(pvsim, way, capture), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command(pvsim, way, capture))} failed:\n{result.stdout[:400]}{result.stderr}")
    report = json.loads(result.stdout)
    return report["vifs"][0][way]["frames"] / (report["traffic"]["host_ns"] / 1e9), report


def yardstick(ring, kind, size, milliseconds):
    result = subprocess.run([ring, kind, str(size), str(milliseconds)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        print(result.stderr, end="", file=sys.stderr)
        sys.exit(result.returncode)
    rate, share = result.stdout.split()
    return float(rate), float(share)


def stages(pvsim, way, capture):
    """Share of the processors' time by stage, or why there is none."""
    if not shutil.which("perf"):
        return "there is no perf (package linux-perf)"
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "perf.data")
        result = subprocess.run(["perf", "record", "-q", "-F", "999", "-o", data, "--"] + command(pvsim, way, capture),
                                capture_output=True, text=True, check=False)
        if result.returncode != 0:
            return "perf record does not work here: " + (result.stderr.strip().splitlines() or ["no message"])[-1]
        text = subprocess.run(["perf", "report", "-i", data, "--stdio", "-F", "overhead,dso,sym", "-t", "|"],
                              capture_output=True, text=True, check=False).stdout
    shares = collections.Counter()
    for line in text.splitlines():
        match = re.match(r"\s*([\d.]+)%\s*\|\s*(\S+)\s*\|\s*\[.\]\s*(\S+)", line)
        if match:
            symbol = f"{os.path.basename(match[2])} {match[3]}"
            shares[next(name for name, pattern in STAGES if re.search(pattern, symbol))] += float(match[1])
    return dict(shares.most_common()) or "perf took no samples"


def chart(rows):
    """Bars of frames a second on a logarithmic scale."""
    bars, lines = [], []
    top = math.log10(max(max(row["ours"], row["ring"], row["copy"]) for row in rows)) or 1
    for row in rows:
        y = 20 + 90 * len(lines)
        lines.append(f'<text x="0" y="{y + 4}" font-weight="bold">{row["shape"].name}, {row["text"]}</text>')
        for index, (key, color, label) in enumerate((("ours", "#1f6fb4", "drivers"), ("ring", "#888", "bare ring"),
                                                     ("copy", "#c9a227", "copy"))):
            width = 460 * max(math.log10(max(row[key], 1)), 0) / top
            bars.append(f'<rect x="80" y="{y + 12 + 20 * index}" width="{width:.0f}" height="15" fill="{color}"/>'
                        f'<text x="0" y="{y + 24 + 20 * index}">{label}</text>'
                        f'<text x="{width + 86:.0f}" y="{y + 24 + 20 * index}">{row[key]:,.0f}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="700" height="{90 * len(rows) + 10}" font-family="sans-serif" '
            f'font-size="12">{"".join(lines + bars)}</svg>')


def write_report(path, rows, rounds):
    table = "".join(
        f'<tr><td>{row["shape"].name}</td><td>{row["text"]}</td><td>{row["ours"]:,.0f}</td><td>{row["ring"]:,.0f}</td>'
        f'<td>{row["copy"]:,.0f}</td><td>{row["ratio"]:.4f}</td><td>{row["shape"].target}</td>'
        f'<td>{row["verdict"]}</td><td>{row["copy_ratio"]:.4f}</td><td>{row["hypercalls"]:.3f}</td></tr>'
        for row in rows)
    where = ""
    for row in rows:
        if isinstance(row["stages"], str):
            where += f'<p>{row["shape"].name}, {row["text"]}: skipped: {html.escape(row["stages"])}</p>'
        else:
            where += (f'<p>{row["shape"].name}, {row["text"]}: '
                      + ", ".join(f"{name} {share:.1f}%" for name, share in row["stages"].items()) + "</p>")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>pvsim: frames a second</title>
<style>body{{font-family:sans-serif;max-width:60em;margin:2em auto}}td,th{{padding:2px 10px;text-align:right}}</style></head>
<body><h1>Frames a second through the drivers</h1>
<p>Parallel engine, 2 vCPUs, medians of {rounds} rounds, on {os.cpu_count()} processors whose load average was
{os.getloadavg()[0]:.1f} at the end. The test client's I/O requests, of
{BATCH} frames each as NDIS's lists may be, and the check of every frame are in the time.
The whole run's hypercalls, boot and connect too, are divided by its frames.</p>
<table><tr><th>shape</th><th>way</th><th>drivers</th><th>bare ring</th><th>copy</th><th>of the bare ring</th><th>target</th>
<th></th><th>of the copy</th><th>hypercalls a frame</th></tr>{table}</table>
{chart(rows)}
<h2>Where the time goes</h2>{where}
<h2>Not measured</h2><p>DPDK's virtio-user to vhost-user path: this bench does not run it.</p></body></html>
""")


def measure(arguments, shape, way, text, capture):
    ours, ring, copy, shares, report = [], [], [], [], None
    for _ in range(arguments.rounds):
        rate, report = through_drivers(arguments.pvsim, way, capture)
        ours.append(rate)
        for kind, rates in ((way, ring), ("copy", copy)):
            rate, share = yardstick(arguments.ring, kind, shape.size, 300)
            rates.append(rate)
            shares.append(share)
    row = {"shape": shape, "text": text, "ours": statistics.median(ours), "ring": statistics.median(ring),
           "copy": statistics.median(copy), "ratio": statistics.median(a / max(b, 1) for a, b in zip(ours, ring)),
           "copy_ratio": statistics.median(a / max(b, 1) for a, b in zip(ours, copy)),
           "hypercalls": report["events"]["hypercalls"] / report["vifs"][0][way]["frames"],
           "stages": stages(arguments.pvsim, way, capture)}
    row["verdict"] = ("none: other programs ran" if statistics.median(shares) < SHARE_MIN
                      else "met" if row["ratio"] >= shape.target else "missed")
    print(f'{shape.name:12} {text:15} {row["ours"]:>12,.0f}/s   bare ring {row["ring"]:>12,.0f}/s   copy {row["copy"]:>12,.0f}/s   '
          f'ratio {row["ratio"]:.4f}, at least {shape.target}: {row["verdict"]}', flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pvsim", default="build/pvsim")
    parser.add_argument("--ring", default="build/tests/bench/bench_ring")
    parser.add_argument("--report", default="build/bench/report.html")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="times as many frames a run")
    parser.add_argument("--strict", action="store_true", help="a missed target is a failure")
    arguments = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for shape in SHAPES:
            capture = os.path.join(folder, f"{shape.size}.pcap")
            write_capture(capture, shape.size, max(int(shape.frames * arguments.scale), 1))
            for way, text in WAYS:
                rows.append(measure(arguments, shape, way, text, capture))
    os.makedirs(os.path.dirname(arguments.report) or ".", exist_ok=True)
    write_report(arguments.report, rows, arguments.rounds)
    verdicts = collections.Counter(row["verdict"] for row in rows)
    print(f"{arguments.report}: {verdicts['met']} targets met, {verdicts['missed']} missed, "
          f"{len(rows) - verdicts['met'] - verdicts['missed']} without a verdict")
    if verdicts["met"] < len(rows) and arguments.strict:
        sys.exit(1)


main()
