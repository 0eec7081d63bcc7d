#!/usr/bin/env python3
"""Compare the drop-in libraries with the distribution's: soname, and each symbol with its version.

Usage: check_dropins.py FOLDER [FOLDER-OF-THE-DISTRIBUTION'S]
Without the second the dynamic linker's folders are searched. Exit status 0: the same; 1: not, each difference a line
on standard error.
"""
import os
import subprocess
import sys

LIBRARIES = ["libxencall.so.1", "libxenevtchn.so.1", "libxengnttab.so.1", "libxenforeignmemory.so.1",
             "libxendevicemodel.so.1"]


def linker_folders():
    """Where the dynamic linker looks, by what it has in its cache."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0]: line.split()[-1] for line in listing.splitlines() if "=>" in line and "x86-64" in line}


def soname(path):
    for line in subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout.splitlines():
        if "(SONAME)" in line:
            return line.split("[")[1].rstrip("]")
    return ""


def symbols(path):
    """{"name@@VERSION"} of what the library defines; the versions themselves are absolute symbols without one."""
    listing = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", path], capture_output=True,
                             text=True, check=True).stdout
    return {line.split()[2] for line in listing.splitlines()}


def compare(name, ours, theirs):
    problems = []
    for path in (ours, theirs):
        if path is None or not os.path.exists(path):
            return [f"{name}: not found{'' if path is None else ': ' + path}"]
        if soname(path) != name:
            problems.append(f"{name}: the soname of {path} is '{soname(path)}'")
    have, want = symbols(ours), symbols(theirs)
    problems += [f"{name}: {symbol} is missing" for symbol in sorted(want - have)]
    problems += [f"{name}: {symbol} is not the distribution's" for symbol in sorted(have - want)]
    if not problems:
        print(f"{name}: {sum('@' in symbol for symbol in have)} symbols as in {theirs}")
    return problems


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    cache = linker_folders() if len(sys.argv) == 2 else {}
    problems = []
    for name in LIBRARIES:
        theirs = cache.get(name) if len(sys.argv) == 2 else os.path.join(sys.argv[2], name)
        problems += compare(name, os.path.join(sys.argv[1], name), theirs)
    for problem in problems:
        print(f"check_dropins: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
