#!/usr/bin/env python3
"""Check that the machine defines every kernel routine that the headers declare: a driver that calls it would not load."""

import subprocess
import sys


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: check_exports.py PROGRAM KERNEL-EXPORTS")
    program, exports = sys.argv[1:]
    with open(exports, encoding="utf-8") as file:
        declared = {line.strip(" ;\n") for line in file} - {"", "{", "}"}
    result = subprocess.run(["nm", "-D", "--defined-only", program], check=True, capture_output=True, text=True)
    defined = {line.split()[-1].split("@")[0] for line in result.stdout.splitlines() if line.strip()}
    missing = sorted(declared - defined)
    if missing:
        sys.exit(f"{program}: sim/include declares what nothing defines: {', '.join(missing)}")


main()
