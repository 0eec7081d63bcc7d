#!/usr/bin/env python3
"""Checks that an image is a Windows driver that the kernel would load: x64, native subsystem, an entry, and imports
that exist.

    check_imports.py --library libntoskrnl.a --library libhal.a [--library libxen.a] xenbus.sys

A driver imports from ntoskrnl.exe, hal.dll, netio.sys and xen.sys only, and each name must be in one of the import
libraries. Exit status: 0 the image is right, 1 it is not (one line each reason).
"""

import argparse
import os
import re
import sys

import pe

ALLOWED_DLLS = {"ntoskrnl.exe", "hal.dll", "netio.sys", "xen.sys"}

# DllCharacteristics that a driver must have.
WANTED_CHARACTERISTICS = ("HIGH_ENTROPY_VA", "DYNAMIC_BASE", "NX_COMPAT", "WDM_DRIVER")

# What Windows 10 before version 2004 does not export: a driver that imports one is not loaded there.
TOO_NEW = {"ExAllocatePool2", "ExAllocatePool3", "ExFreePool2"}


def value(text, field):
    """The first word after a field's name in the headers."""
    match = re.search(rf"^{re.escape(field)}\s+(\S+)", text, re.MULTILINE)
    return match.group(1) if match else None


def check(image, text, known):
    """The reasons why the image is not right; none if it is."""
    if "file format pei-x86-64" not in text:
        return ["it is not an x64 image"]

    reasons = []
    subsystem = re.search(r"^Subsystem\s+[0-9a-f]+\s+\((.*)\)", text, re.MULTILINE)
    if subsystem is None or subsystem.group(1) != "NT native":
        reasons.append("its subsystem is not native")
    if int(value(text, "AddressOfEntryPoint") or "0", 16) == 0:
        reasons.append("it has no entry point")
    if int(value(text, "CheckSum") or "0", 16) == 0:
        reasons.append("it has no checksum")
    if "\tDLL\n" in text:
        reasons.append("it is marked as a DLL")
    for name in WANTED_CHARACTERISTICS:
        if name not in text:
            reasons.append(f"it lacks {name}")
    if not re.search(r"Base Relocation Directory", text) or ".reloc" not in text:
        reasons.append("it has no relocations")

    imported = pe.imports(text)
    if not imported.get("ntoskrnl.exe"):
        reasons.append("it imports nothing from ntoskrnl.exe")
    for dll, names in sorted(imported.items()):
        if dll.lower() not in ALLOWED_DLLS:
            reasons.append(f"it imports from {dll}: {', '.join(names)}")
        for name in names:
            if name not in known:
                reasons.append(f"{dll} is not known to export {name}")
            if name in TOO_NEW:
                reasons.append(f"it imports {name}, which early Windows 10 does not export")

    exported = pe.exports(text)
    if os.path.basename(image) == "xen.sys":
        for name in ("DllInitialize", "DllUnload", "XenTouch"):
            if name not in exported:
                reasons.append(f"it does not export {name}")
    elif exported:
        reasons.append(f"it exports {', '.join(exported)}")
    return reasons


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objdump", default="x86_64-w64-mingw32-objdump")
    parser.add_argument("--nm", default="x86_64-w64-mingw32-nm")
    parser.add_argument("--library", action="append", required=True, help="import library; may be given several times")
    parser.add_argument("image", nargs="+")
    options = parser.parse_args()
    failed = False
    try:
        known = set()
        for library in options.library:
            known |= pe.library_symbols(options.nm, library)
        for image in options.image:
            for reason in check(image, pe.headers(options.objdump, image), known):
                print(f"{image}: {reason}", file=sys.stderr)
                failed = True
    except pe.ImageError as error:
        print(f"check_imports.py: {error}", file=sys.stderr)
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
