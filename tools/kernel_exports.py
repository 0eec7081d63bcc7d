#!/usr/bin/env python3
"""Print the linker's dynamic list of the kernel routines that the headers declare.

A routine is declared as `NTKERNELAPI TYPE NTAPI Name(`, with NTSYSAPI or NTHALAPI for the other two images; the executable
exports just these, so that a driver module can import what Windows would let it import and nothing else.
"""

import pathlib
import re
import sys

DECLARATION = re.compile(r"\b(?:NTKERNELAPI|NTSYSAPI|NTHALAPI)\b[^;{}()]*?\b(\w+)\s*\(", re.S)
VARIABLE = re.compile(r"\bextern\s+(?:NTKERNELAPI|NTSYSAPI|NTHALAPI)\b[^;()]*?\b(\w+)\s*(?:\[[^\]]*\])?;", re.S)


def strip_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: kernel_exports.py HEADER-FOLDER")
    names = set()
    for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.h")):
        text = strip_comments(path.read_text(encoding="utf-8"))
        text = re.sub(r"^\s*#.*?(?<!\\)$", "", text, flags=re.M | re.S)
        names.update(DECLARATION.findall(text))
        names.update(VARIABLE.findall(text))
    if not names:
        sys.exit("kernel_exports.py: no declarations found in " + sys.argv[1])
    print("{")
    for name in sorted(names):
        print(f"    {name};")
    print("};")


main()
