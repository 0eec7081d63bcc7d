#!/usr/bin/env python3
"""Check that the machine defines every kernel routine that the headers declare: a driver that calls it would not load.

What ntoskrnl exports of the C runtime is the host's C library's.
"""

import ctypes
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
    library = ctypes.CDLL(None)
    missing = sorted(name for name in declared - defined if not (name.startswith(("mem", "str")) and hasattr(library, name)))
    if missing:
        sys.exit(f"{program}: sim/include declares what nothing defines: {', '.join(missing)}")


main()
