#!/usr/bin/env python3
"""Compare the kernel headers with the mingw-w64 DDK: `make abi-check`.

Compiles one table (tests/abi/abi_table.h) natively against sim/include and with the Windows compiler against the DDK, and
compares the value of each row: sizes, offsets, bits of bit-fields, constants, GUIDs. What is to differ stands with its
reason in tests/abi/exceptions.txt, one a line:

    absent PATTERN: why            the DDK does not declare it
    differs PATTERN: why           the DDK declares it otherwise

A pattern is a row of the table, with * and ? as in file names. An exception that excepts nothing is an error, too; so is a
table that is not what the headers declare (`make abi-table` writes it anew). With --sizes FILE the sizes that the file lists
as `NAME 0xSIZE` are held as well.
"""

import argparse
import fnmatch
import pathlib
import re
import subprocess
import sys
import tempfile

VALUES = pathlib.Path("tests/abi/abi_values.c")


class Side:
    """One compiler with its headers and binary utilities."""

    def __init__(self, name, compiler, nm, objcopy, options):
        self.name, self.compiler, self.nm, self.objcopy = name, compiler, nm, objcopy
        self.options = ["-std=gnu11", "-fshort-wchar", "-w", "-Itests/abi", *options]

    def compile(self, table, output):
        command = [self.compiler, *self.options, "-fno-common", "-fmax-errors=0", "-ftrack-macro-expansion=0",
                   f'-DABI_TABLE="{table}"', "-c", str(VALUES), "-o", str(output)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def missing(self, table, folder):
        """The lines of the table that do not compile."""
        result = self.compile(table, folder / "all.o")
        if result.returncode == 0:
            return set()
        lines = set(map(int, re.findall(re.escape(table.name) + r":(\d+):\d+: error", result.stderr)))
        if not lines or re.search(r"abi_(?:headers|values)\.\w+:\d+:\d+: (?:fatal )?error", result.stderr):
            sys.exit(f"abi-check: {self.name}: the headers do not compile:\n{result.stderr[:2000]}")
        return lines

    def values(self, rows, lines, folder):
        """{line: bytes} of the given lines; the others are left out of the table."""
        table, output, raw = folder / "rows.h", folder / "rows.o", folder / "rows.bin"
        table.write_text("\n".join(row if number in lines else "" for number, row in enumerate(rows, 1)) + "\n",
                         encoding="utf-8")
        result = self.compile(table, output)
        if result.returncode:
            sys.exit(f"abi-check: {self.name}: {result.stderr[:2000]}")
        subprocess.run([self.objcopy, "-O", "binary", "-j", ".abi", output, raw], check=True)
        names = subprocess.run([self.nm, "-n", output], check=True, capture_output=True, text=True).stdout
        symbols = [(int(address, 16), int(line)) for address, line in re.findall(r"^(\w+) \w abi_row_(\d+)$", names, re.M)]
        data = raw.read_bytes()
        ends = [address for address, _ in symbols[1:]] + [len(data)]
        return {line: data[address:end] for (address, line), end in zip(symbols, ends)}


def read_exceptions(path):
    """[kind, pattern, reason, where, times used]"""
    result = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"(absent|differs) ([A-Z]+\([^:]*\)): (.{8,})", line)
        if not match:
            sys.exit(f"{path}:{number}: neither `absent PATTERN: reason` nor `differs PATTERN: reason`")
        result.append([*match.groups(), f"{path}:{number}", 0])
    return result


def excepted(exceptions, kind, row):
    for exception in exceptions:
        if exception[0] == kind and fnmatch.fnmatchcase(row, exception[1].replace("[", "[[]")):
            exception[4] += 1
            return True
    return False


def shown(row, data):
    if row.startswith(("BITS", "GUID")):
        return data.hex(" ", -4)
    return f"{int.from_bytes(data[:8], 'little'):#x}"


def check_sizes(path, rows, native):
    """Hold the sizes of a list of documented ones; the number of them."""
    errors, count = [], 0
    for name, size in re.findall(r"^(\w+) (0x[0-9A-Fa-f]+)$", path.read_text(encoding="utf-8"), re.M):
        count += 1
        row = f"SIZE({name})"
        if row not in rows:
            errors.append(f"{path}: {name} is not declared")
        elif (value := int.from_bytes(native[rows.index(row) + 1][:8], "little")) != int(size, 16):
            errors.append(f"{path}: {name} is to have {size} bytes, it has {value:#x}")
    return errors, count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headers", default="sim/include", help="the kernel headers")
    parser.add_argument("--ddk", help="the DDK's folder; without it only the native side is looked at")
    parser.add_argument("--prefix", default="x86_64-w64-mingw32-", help="of the Windows tools' names")
    parser.add_argument("--table", type=pathlib.Path, default="tests/abi/abi_table.h")
    parser.add_argument("--exceptions", type=pathlib.Path, default="tests/abi/exceptions.txt")
    parser.add_argument("--sizes", type=pathlib.Path, help="a list of documented sizes")
    arguments = parser.parse_args()

    written = subprocess.run([sys.executable, "tools/abi_table.py", arguments.headers], capture_output=True, text=True,
                             check=True).stdout
    if written != arguments.table.read_text(encoding="utf-8"):
        sys.exit(f"abi-check: {arguments.table} is not what the headers declare: run `make abi-table`")
    rows = written.splitlines()
    lines = {number for number, row in enumerate(rows, 1) if not row.startswith("/*")}
    exceptions = read_exceptions(arguments.exceptions)
    native = Side("native", "gcc", "nm", "objcopy", [f"-I{arguments.headers}"])
    windows = Side("DDK", arguments.prefix + "gcc", arguments.prefix + "nm", arguments.prefix + "objcopy",
                   ["-D_WIN32_WINNT=0x0A00", "-DNTDDI_VERSION=0x0A000000", "-DDBG=0", "-isystem", arguments.ddk])
    errors, equal, absent, differ = [], 0, 0, 0

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ours = native.values(rows, lines, folder)
        missing = windows.missing(arguments.table.resolve(), folder)
        theirs = windows.values(rows, lines - missing, folder)
    for line in sorted(lines):
        row = rows[line - 1]
        if line in missing:
            absent += 1
            if not excepted(exceptions, "absent", row):
                errors.append(f"{row}: the DDK lacks it")
            continue
        size = min(len(ours[line]), len(theirs[line]))
        if ours[line][:size] == theirs[line][:size]:
            equal += 1
        elif excepted(exceptions, "differs", row):
            differ += 1
        else:
            errors.append(f"{row}: here {shown(row, ours[line][:size])}, in the DDK {shown(row, theirs[line][:size])}")
    for kind, pattern, _, where, times in exceptions:
        if times == 0:
            errors.append(f"{where}: `{kind} {pattern}` excepts nothing")
    sizes = 0
    if arguments.sizes:
        more, sizes = check_sizes(arguments.sizes, rows, ours)
        errors += more
    for error in errors:
        print(error, file=sys.stderr)
    if errors:
        sys.exit(f"abi-check: {len(errors)} differences")
    print(f"abi-check: {len(lines)} rows, {equal} equal, {absent} that the DDK lacks, {differ} that it has otherwise, "
          f"{sizes} documented sizes")


main()
