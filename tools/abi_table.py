#!/usr/bin/env python3
"""The rows of tests/abi/abi_table.h: what sim/include declares of structures, fields, enumerators, constants and GUIDs.

`abi_table.py HEADERS` prints the table for the headers named in tests/abi/abi_headers.h, one row a line:

    SIZE(type) OFFSET(type, field) BITS(type, field) CONSTANT(name) GUID(name)

A macro is a constant when the compiler takes it for one. `make abi-table` rewrites the file; `make abi-check` fails when it
is not what this prints, and compares the values with those of the mingw-w64 DDK.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

# Settings of the build, not of the interface.
SETTINGS = {"DBG", "INITGUID", "NTDDI_VERSION", "_WIN32_WINNT", "WINVER", "NULL", "_AMD64_"}
PRIVATE = re.compile(r"^(?:struct _KX|PVSIM|Kx|KX_|__)")


def compiler(headers, *options):
    command = ["gcc", "-std=gnu11", "-fshort-wchar", f"-I{headers}", "-DINITGUID", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def own_lines(headers, *options):
    """The preprocessed text of the headers, without what comes from the compiler and the C library."""
    result = compiler(headers, "-E", *options, "tests/abi/abi_headers.h")
    if result.returncode:
        sys.exit("abi_table.py: the headers do not compile:\n" + result.stderr)
    own = False
    for line in result.stdout.splitlines():
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            own = marker.group(1).startswith(str(headers))
        elif own:
            yield line


def closing(text, start):
    """The index of the brace that closes the one at `start`."""
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index
    raise ValueError("unbalanced braces")


def attributes(text):
    """Without __attribute__((...)), which may stand anywhere."""
    while (start := text.find("__attribute__")) >= 0:
        depth, index = 0, text.index("(", start)
        while True:
            depth += (text[index] == "(") - (text[index] == ")")
            index += 1
            if depth == 0:
                break
        text = text[:start] + text[index:]
    return text


def fields(body, prefix=""):
    """(path, is a bit-field) of each member of a structure's body, those of nameless ones as their parent's."""
    index = 0
    while index < len(body):
        opening = re.compile(r"\s*(?:const |volatile )?(?:struct|union|enum)\b\s*\w*\s*\{").match(body, index)
        if opening:
            end = closing(body, opening.end() - 1)
            stop = body.index(";", end)
            inner, names = body[opening.end() : end], body[end + 1 : stop].strip()
            index = stop + 1
            if "enum" in opening.group(0):
                yield from ((prefix + name, False) for name in re.findall(r"\w+", names))
            elif names:
                name = re.match(r"\**(\w+)", names).group(1)
                yield prefix + name, False
                if "*" not in names and "[" not in names:
                    yield from fields(inner, prefix + name + ".")
            else:
                yield from fields(inner, prefix)
            continue
        stop = body.find(";", index)
        if stop < 0:
            return
        declaration = body[index:stop].strip()
        index = stop + 1
        if not declaration or declaration.startswith("_Static_assert"):
            continue
        if pointer := re.search(r"\(\s*\*+\s*(?:const )?(?:volatile )?(\w+)(?:\[[^\]]*\])?\s*\)\s*\(", declaration):
            yield prefix + pointer.group(1), False
            continue
        for part in declaration.split(","):
            bits = re.search(r"(\w+)?\s*:\s*[^:]+$", part)
            if bits:
                if bits.group(1) and not bits.group(1).isdigit():
                    yield prefix + bits.group(1), True
                continue
            name = re.search(r"(\w+)\s*(?:\[[^\]]*\]\s*)*$", part)
            if name:
                yield prefix + name.group(1), False


def structures(text):
    """(type, body) of each structure and union declared at file scope; enumerators as (None, names)."""
    for match in re.finditer(r"(typedef\s+)?(struct|union|enum)\b\s*(\w*)\s*\{", text):
        if text.count("{", 0, match.start()) != text.count("}", 0, match.start()):
            continue
        end = closing(text, match.end() - 1)
        body = text[match.end() : end]
        if match.group(2) == "enum":
            yield None, body
            continue
        declarators = text[end + 1 : text.index(";", end)]
        names = [name.strip() for name in declarators.split(",") if name.strip() and "*" not in name]
        if not (match.group(1) and names):
            names = re.findall(rf"typedef {match.group(2)} {match.group(3)} (\w+)\b", text)
        yield (names[0] if names else f"{match.group(2)} {match.group(3)}"), body


def constant_rows(headers, names):
    """Those of the names that the compiler takes for integer constants."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "constants.c"
        lines = ["#include <abi_headers.h>"]
        lines += [f"struct row_{index} {{ int field : 1 + (~({name}) == 0); }};" for index, name in enumerate(names)]
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        result = compiler(headers, "-Itests/abi", "-fsyntax-only", "-w", "-pedantic-errors", "-fmax-errors=0",
                          "-ftrack-macro-expansion=0", "-Wno-error", str(source))
        bad = {int(line) for line in re.findall(r"constants\.c:(\d+):\d+: error", result.stderr)}
    return [name for index, name in enumerate(names) if index + 2 not in bad]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: abi_table.py HEADER-FOLDER")
    headers = pathlib.Path(sys.argv[1])
    text = attributes("\n".join(line for line in own_lines(headers) if not line.startswith("#")))
    rows = []
    enumerators = []
    for name, body in structures(text):
        if name is None:
            enumerators += re.findall(r"(?:^|,)\s*(\w+)", re.sub(r"=[^,]*", "", body))
            continue
        if PRIVATE.match(name):
            continue
        rows.append(f"SIZE({name})")
        rows += [f"{'BITS' if bits else 'OFFSET'}({name}, {path})" for path, bits in fields(body)]
    macros = []
    guids = []
    for line in own_lines(headers, "-dD"):
        if match := re.match(r"#define (\w+) (?!\s*$)", line):
            macros.append(match.group(1))
        elif not line.startswith("#"):
            guids += re.findall(r"extern const GUID (\w+);", line)
    macros = [name for name in dict.fromkeys(macros) if name not in SETTINGS and not PRIVATE.match(name)]
    rows += [f"CONSTANT({name})" for name in enumerators + constant_rows(headers, macros) if not PRIVATE.match(name)]
    rows += [f"GUID({name})" for name in dict.fromkeys(guids)]
    print("/* Written by tools/abi_table.py (`make abi-table`): what sim/include declares, one row a line. */")
    print("/* clang-format off */")
    print("\n".join(dict.fromkeys(rows)))


main()
