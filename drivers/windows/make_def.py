#!/usr/bin/env python3
"""Prints the module-definition file of an export driver, from what the driver exports, for its import library.

    make_def.py --objdump x86_64-w64-mingw32-objdump build/windows/xen.sys > xen.def

DllInitialize and DllUnload are exported for the kernel alone and stay out of it.
"""

import argparse
import os
import sys

import pe

PRIVATE = {"DllInitialize", "DllUnload"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objdump", default="x86_64-w64-mingw32-objdump")
    parser.add_argument("image")
    options = parser.parse_args()
    try:
        names = pe.exports(pe.headers(options.objdump, options.image))
    except pe.ImageError as error:
        sys.exit(f"make_def.py: {error}")
    missing = PRIVATE - set(names)
    if missing:
        sys.exit(f"make_def.py: {options.image} does not export {', '.join(sorted(missing))}")
    print(f"LIBRARY {os.path.basename(options.image)}")
    print("EXPORTS")
    for name in sorted(set(names) - PRIVATE):
        print(f"    {name}")


if __name__ == "__main__":
    main()
