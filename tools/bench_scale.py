#!/usr/bin/env python3
"""What a VIF costs on a small and on a large machine: the whole of `pvsim run` (boot, connect, a few frames both ways,
teardown), divided by the number of VIFs.

The two sizes take turns in one run, and the medians are compared: of the processor time, or of the user instructions where
perf can count them, as the time of a busy host is worth little. The cost of one VIF more, without what a machine costs that
has just one, is shown beside it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

RAISED = ["--memory", "512", "--max-grant-frames", "256", "--store-quota", "nodes=10000", "--store-quota", "watches=1000"]
FEW = "tests/captures/few-wire.pcap"


def perf_counts():
    """Can perf count user instructions here?"""
    try:
        result = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return False
    return result.returncode == 0 and result.stderr.split(",")[0].strip().isdigit()


def run(pvsim, vifs, counted):
    command = [pvsim, "run", "--vifs", str(vifs), "--no-bundle", "--tx", FEW, "--rx", FEW, *RAISED]
    with tempfile.NamedTemporaryFile("r") as counts:
        if counted:
            command = ["perf", "stat", "-x,", "-e", "instructions:u", "-o", counts.name, *command]
        before = os.times()
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        after = os.times()
        if result.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
        if counted:
            return next(int(line.split(",")[0]) for line in counts if "instructions" in line) / 1e6
    return (after.children_user - before.children_user + after.children_system - before.children_system) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--pvsim", default="build/pvsim")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--small", type=int, default=8)
    parser.add_argument("--large", type=int, default=128)
    parser.add_argument("--limit", type=float, default=1.25, help="of the large machine's cost a VIF to the small one's")
    arguments = parser.parse_args()

    counted = perf_counts()
    unit = "million user instructions" if counted else "ms of processor time"
    sizes = [1, arguments.small, arguments.large]
    costs = {size: [] for size in sizes}
    for _ in range(arguments.rounds):
        for size in sizes:
            costs[size].append(run(arguments.pvsim, size, counted))
    one, small, large = (statistics.median(costs[size]) for size in sizes)
    ratio = (large / arguments.large) / (small / arguments.small)
    print(f"a VIF, median of {arguments.rounds}: {small / arguments.small:.2f} {unit} at {arguments.small}, "
          f"{large / arguments.large:.2f} at {arguments.large}: ratio {ratio:.2f}, target {arguments.limit:g}")
    print(f"a VIF more: {(small - one) / (arguments.small - 1):.2f} {unit} up to {arguments.small}, "
          f"{(large - one) / (arguments.large - 1):.2f} up to {arguments.large}")
    if ratio > arguments.limit:
        sys.exit("a VIF of the large machine costs too much")


main()
