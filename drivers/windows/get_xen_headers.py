#!/usr/bin/env python3
"""Imports the public Xen headers that the drivers use, so that they mean the same in every build.

Xen's headers say "unsigned long" where the ABI has 64 bits. On Windows a long has 32, and shared_info, xen_pfn_t,
xen_ulong_t and whatever holds them would have another layout in the .sys. The import rewrites long and unsigned long to
long long and unsigned long long, in code (comments are left alone), as well as constant suffixes and print formats that
go with them, and fixes the interface version, which is 0 unless someone defines it. Names are kept.

    get_xen_headers.py --source /usr/include/xen --output build/include/xen

The output depends on the source alone; a file whose contents would not change is not touched. Exit status: 0 done, 1 a
header is missing or holds what the import does not understand, 2 usage.
"""

import argparse
import pathlib
import re
import sys

# The ABI version that the drivers are written to (xen-compat.h).
INTERFACE_VERSION = 0x00040E00

# What the drivers include, and what that includes in turn.
HEADERS = (
    "arch-x86/cpuid.h",
    "arch-x86/xen-x86_64.h",
    "arch-x86/xen.h",
    "errno.h",
    "event_channel.h",
    "features.h",
    "grant_table.h",
    "hvm/hvm_op.h",
    "hvm/hvm_vcpu.h",
    "hvm/params.h",
    "io/console.h",
    "io/netif.h",
    "io/ring.h",
    "io/xenbus.h",
    "io/xs_wire.h",
    "memory.h",
    "physdev.h",
    "sched.h",
    "trace.h",
    "vcpu.h",
    "version.h",
    "xen-compat.h",
    "xen.h",
)

# Included for other processors only.
NOT_FOR_X64 = {"arch-arm.h", "arch-x86/xen-x86_32.h"}

COMMENT_OR_CODE = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|[^/\"]+|/", re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)

CODE_REWRITES = (
    # The handle of a long is called after its type, which is no longer one word.
    (re.compile(r"\bDEFINE_XEN_GUEST_HANDLE\(long\)"), "__DEFINE_XEN_GUEST_HANDLE(long, long long)"),
    (re.compile(r"\b(0[xX][0-9a-fA-F]+|[0-9]+)UL\b"), r"\1ULL"),
    (re.compile(r"##([ \t]*)UL\b"), r"##\1ULL"),
)
LONG = re.compile(r"\blong\b")
HANDLE_OF_LONG = "__DEFINE_XEN_GUEST_HANDLE(long, long long)"
STRING_REWRITES = {'"lx"': '"llx"', '"lu"': '"llu"', '"ld"': '"lld"'}


class HeaderError(Exception):
    """A header is missing or is not what the import understands."""


def widen_longs(code):
    """Rewrites each long that stands alone; long long stays, and so does the name of the handle of a long."""
    out = []
    position = 0
    words = list(LONG.finditer(code))
    index = 0
    while index < len(words):
        word = words[index]
        out.append(code[position : word.start()])
        position = word.end()
        is_handle_name = code.startswith(HANDLE_OF_LONG, word.start() - len("__DEFINE_XEN_GUEST_HANDLE("))
        following = words[index + 1] if index + 1 < len(words) else None
        if is_handle_name:
            out.append("long")
        elif following is not None and code[word.end() : following.start()].isspace():
            out.append("long long")
            position = following.end()
            index += 1
        else:
            out.append("long long")
        index += 1
    out.append(code[position:])
    return "".join(out)


def rewrite(text):
    """The header's text with pointer-width integers spelt the same for every data model."""
    out = []
    for match in COMMENT_OR_CODE.finditer(text):
        piece = match.group(0)
        if piece.startswith(("/*", "//")):
            pass
        elif piece.startswith('"'):
            piece = STRING_REWRITES.get(piece, piece)
        else:
            for pattern, replacement in CODE_REWRITES:
                piece = pattern.sub(replacement, piece)
            piece = widen_longs(piece)
        out.append(piece)
    return "".join(out)


def check_includes(name, text):
    """Every header that this one includes is imported too."""
    folder = pathlib.PurePosixPath(name).parent
    for included in INCLUDE.findall(text):
        parts = []
        for part in (folder / included).parts:
            if part == "..":
                if not parts:
                    raise HeaderError(f"{name} includes {included}, which is outside the Xen headers")
                parts.pop()
            else:
                parts.append(part)
        target = "/".join(parts)
        if target not in HEADERS and target not in NOT_FOR_X64:
            raise HeaderError(f"{name} includes {target}, which is not in the list of headers to import")


def set_interface_version(text):
    """xen-compat.h with the interface version fixed, where a guest that defines none would get version 0."""
    latest = re.search(r"^#define[ \t]+__XEN_LATEST_INTERFACE_VERSION__[ \t]+(0x[0-9a-fA-F]+)", text, re.MULTILINE)
    if latest is None:
        raise HeaderError("xen-compat.h does not define __XEN_LATEST_INTERFACE_VERSION__")
    if int(latest.group(1), 16) < INTERFACE_VERSION:
        raise HeaderError(
            f"the headers are too old: interface version {latest.group(1)}, needed 0x{INTERFACE_VERSION:08x} (Xen 4.14)"
        )
    legacy = re.compile(r"^(#define[ \t]+__XEN_INTERFACE_VERSION__[ \t]+)0x00000000[ \t]*$", re.MULTILINE)
    text, count = legacy.subn(rf"\g<1>0x{INTERFACE_VERSION:08x}", text)
    if count != 1:
        raise HeaderError("xen-compat.h does not set __XEN_INTERFACE_VERSION__ where it is expected to")
    return text


def import_header(source, name):
    """The imported text of one header."""
    path = source / name
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HeaderError(f"{path} is missing: install the public Xen headers (package libxen-dev)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise HeaderError(f"{path} cannot be read: {error}") from None
    check_includes(name, text)
    text = rewrite(text)
    if name == "xen-compat.h":
        text = set_interface_version(text)
    banner = f"/* Imported from the public Xen headers ({name}) by get_xen_headers.py; changes here are lost. */\n"
    return banner + "#include <stdint.h>\n" + text


def write_if_changed(path, text):
    """Writes the file unless it holds the text already; a reader never sees half of it."""
    data = text.encode("utf-8")
    try:
        if path.read_bytes() == data:
            return
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(data)
    temporary.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, type=pathlib.Path, help="folder of Xen's headers (/usr/include/xen)")
    parser.add_argument("--output", required=True, type=pathlib.Path, help="folder to write to (build/include/xen)")
    options = parser.parse_args()
    try:
        imported = {name: import_header(options.source, name) for name in HEADERS}
        for name, text in imported.items():
            write_if_changed(options.output / name, text)
    except (HeaderError, OSError) as error:
        print(f"get_xen_headers.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
