#!/usr/bin/env python3
"""Cold boot to Connected: the median of many runs of the whole command, as host time, and one count of user instructions.

Host time is from before the machine is made until both ends of the VIF are Connected, as `pvsim run` reports it. The
instructions are valgrind's count for a whole run without traffic, from the program's start to its end: boot, connect and
teardown.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys


def boot(pvsim):
    result = subprocess.run([pvsim, "run", "--format", "json", "--no-bundle"], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{pvsim} run failed:\n{result.stdout}{result.stderr}")
    return json.loads(result.stdout)["connected"]["host_ns"] / 1e6


def instructions(pvsim):
    if not shutil.which("valgrind"):
        return None
    result = subprocess.run(["setarch", "-R", "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", pvsim, "run", "--no-bundle"],
                            capture_output=True, text=True, check=False)
    match = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or not match:
        sys.exit(f"pvsim under valgrind failed:\n{result.stdout}{result.stderr}")
    return int(match[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pvsim", default="build/pvsim")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--limit", type=float, default=20.0, help="milliseconds that the median must stay under")
    arguments = parser.parse_args()

    boot(arguments.pvsim)
    times = sorted(boot(arguments.pvsim) for _ in range(arguments.runs))
    median = statistics.median(times)
    print(f"power-on to Connected, host time of {arguments.runs} runs: median {median:.2f} ms, "
          f"minimum {times[0]:.2f} ms, maximum {times[-1]:.2f} ms")
    count = instructions(arguments.pvsim)
    if count is None:
        print("user instructions: skipped, there is no valgrind (package valgrind)")
    else:
        print(f"user instructions of a whole run without traffic: {count / 1e6:.1f} million")
    if median >= arguments.limit:
        sys.exit(f"the median is not under {arguments.limit:g} ms")


main()
