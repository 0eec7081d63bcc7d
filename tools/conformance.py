#!/usr/bin/env python3
"""The conformance driver's tables and its matrix, routine by documented behaviour (tests/nt/README.md).

    conformance.py suites tests/nt             the list of the case files' tables (C)
    conformance.py limits tests/nt             the table of IRQL limits, from the matrix (C)
    conformance.py check tests/nt CASES        the matrix against the headers and the driver's list of cases
    conformance.py add tests/nt                an open row for every routine that has none
    conformance.py open tests/nt [WORD]        the cells that no case holds yet, which check refuses
    conformance.py compare OURS THEIRS         two transcripts

Exit status: 0 as it should be, 1 not, 2 usage.
"""

import collections
import difflib
import os
import pathlib
import re
import subprocess
import sys

HEADERS = pathlib.Path("sim/include")

# ---- what needs a row ----

EXPORT = re.compile(r"\b(?:NTKERNELAPI|NTSYSAPI|NTHALAPI)\b[^;{}()]*?\b(\w+)\s*\(", re.S)
VARIABLE = re.compile(r"\bextern\s+(?:NTKERNELAPI|NTSYSAPI|NTHALAPI)\b[^;()]*?\b(\w+)\s*(?:\[[^\]]*\])?;", re.S)
PREFIX = (r"(?:Append|Aux|Csq|Dbg|Ex|Hal|Initialize|Insert|Interlocked|Io|IsList|Ke|Mm|Ob|Po|Pop|Ps|Push|Read|Remove|Rtl|Se|"
          r"Wmi|Write|Yield|Zw)[A-Z]")
# Intrinsics that drivers of this family use.
INTRINSIC = r"(?:_BitScan|_byteswap_|__cpuid|__halt|__in(?:byte|word|dword)|__out(?:byte|word|dword)|__rdtsc|__read|__write)"
NAME = re.compile(rf"^(?:{PREFIX}|{INTRINSIC})")
DEFINITION = re.compile(r"\b(\w+)\s*\((?:[^;{}()]|\([^;{}()]*\))*\)\s*\{")
MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)\(", re.M)
MINOR = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(IRP_MN_\w+)", re.M)
# The headers' own names: no driver calls them.
INTERNAL = re.compile(r"^(?:Kx|nt_|_[^B_b]|RtlpXx)")


def strip(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)


def inline_definitions():
    """The names of the functions that the headers define, those made by macros too."""
    includes = "".join(f'#include "{path.name}"\n' for path in sorted(HEADERS.glob("*.h")) if path.name != "initguid.h")
    result = subprocess.run([os.environ.get("CC", "gcc"), "-E", "-P", "-fshort-wchar", f"-I{HEADERS}", "-xc", "-"],
                            input=includes, capture_output=True, text=True, check=True)
    return set(DEFINITION.findall(result.stdout))


def required():
    """name -> 'routine', 'variable', 'inline' or 'minor'"""
    kinds = {name: "inline" for name in inline_definitions() if NAME.match(name)}
    for path in sorted(HEADERS.rglob("*.h")):
        text = strip(path.read_text(encoding="utf-8"))
        for name in MACRO.findall(text):
            if NAME.match(name):
                kinds.setdefault(name, "inline")
        for name in MINOR.findall(text):
            kinds[name] = "minor"
        code = re.sub(r"^\s*#.*?(?<!\\)$", "", text, flags=re.M | re.S)
        for name in EXPORT.findall(code):
            kinds[name] = "routine"
        for name in VARIABLE.findall(code):
            kinds[name] = "variable"
    return {name: kind for name, kind in kinds.items() if not INTERNAL.match(name)}


INTEGERS = r"(?:U?Int(?:8|Ptr)?|U?Short|U?Long(?:Long|Ptr)?|SIZET|PtrdiffT)"
COMPONENTS = [
    ("cng", r"^BCrypt"),
    ("netio", r"^(?:\w*UnicastIpAddress\w*|CancelMibChangeNotify2|FreeMibTable)$"),
    ("strsafe", r"^(?:RtlString(?:Cb|Cch)|RtlUnicodeString(?:Cat|Cb|Cch|Copy|Init|Printf|VPrintf|Validate))"),
    ("intsafe", rf"^Rtl{INTEGERS}(?:Add|Sub|Mult|To(?:UChar|{INTEGERS}))$"),
    ("cm", r"^(?:Zw\w*(?:Key|ValueKey|KeyEx)$|IoOpen\w*RegistryKey|RtlQueryRegistryValues|Rtl\w*Registry\w*)"),
    ("pnp", r"^IRP_MN_"),
    ("ke", r"^(?:Ke|Kf|Yield|_enable|_disable)"),
    ("ex", r"^(?:Ex|ExInterlocked)"),
    ("io", r"^(?:Io|Po(?!p)|Wmi|Csq)"),
    ("mm", r"^Mm"),
    ("ob", r"^(?:Ob|Ps|Se|Zw|Aux)"),
    ("hal", r"^(?:Hal|READ_|WRITE_|__(?:in|out)|__read|__write|__cpuid|__halt|__rdtsc)"),
    ("list", r"^(?:Initialize\w*Head|Insert|Remove|Append|IsList|Pop|Push|Interlocked|Read|Write|_BitScan)"),
]


def component(name):
    for part, pattern in COMPONENTS:
        if re.match(pattern, name):
            return part
    return "rtl"


# ---- the matrix ----

LEVELS = {"PASSIVE_LEVEL": 0, "APC_LEVEL": 1, "DISPATCH_LEVEL": 2, "CLOCK_LEVEL": 13, "IPI_LEVEL": 14,
          "HIGH_LEVEL": 15}
ROW = re.compile(r"^(\w+)(?: \(([\w ]+)\))?$")
CELL = re.compile(r"^  (success|failure|irql|at-limit|behaviour)(?: ([^:]+))?: *(.*)$")

Cell = collections.namedtuple("Cell", "key detail value where")


class Row:
    def __init__(self, name, aliases, path, line):
        self.name, self.aliases, self.path, self.line = name, aliases, path, line
        self.cells = []


def read_matrix(folder, errors):
    rows = {}
    for path in sorted(pathlib.Path(folder, "matrix").glob("*.txt")):
        row = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            where = f"{path}:{number}"
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("  "):
                match = CELL.match(line)
                if not match or row is None:
                    errors.append(f"{where}: no cell: '{line.strip()}'")
                    continue
                row.cells.append(Cell(match[1], (match[2] or "").strip(), match[3].strip(), where))
                continue
            match = ROW.match(line)
            if not match:
                errors.append(f"{where}: no row: '{line}'")
                continue
            if match[1] in rows:
                errors.append(f"{where}: {match[1]} has a row already, at {rows[match[1]].path}:{rows[match[1]].line}")
            row = rows[match[1]] = Row(match[1], (match[2] or "").split(), str(path), number)
    return rows


def limits(detail):
    """The lowest and the highest level of an irql cell's detail: '<=APC_LEVEL', 'DISPATCH_LEVEL..CLOCK_LEVEL', 'any'."""
    if detail == "any":
        return 0, 15
    match = re.match(r"^<=(\w+)$", detail)
    if match and match[1] in LEVELS:
        return 0, LEVELS[match[1]]
    match = re.match(r"^(\w+)\.\.(\w+)$", detail)
    if match and match[1] in LEVELS and match[2] in LEVELS:
        return LEVELS[match[1]], LEVELS[match[2]]
    return None


def generated(rows):
    """The cases beyond a limit: (name, routine, level)."""
    for name in sorted(rows):
        for cell in rows[name].cells:
            if cell.key != "irql" or cell.value != "generated" or limits(cell.detail) is None:
                continue
            low, high = limits(cell.detail)
            if high < 15:
                yield f"AboveLimit_{name}", name, high + 1
            if low > 0:
                yield f"BelowLimit_{name}", name, low - 1


def is_reason(value):
    return re.match(r"^(?:n/a|silent): *\S", value) is not None


# ---- the driver's sources ----

TABLE = re.compile(r"\bTEST_TABLE\((\w+)\)")
ENTRY = re.compile(r"\bTEST(?:_VIOLATION(?:_DEVICE)?)?\((\w+),")


def case_files(folder):
    return sorted(path for path in pathlib.Path(folder).glob("*/*.c"))


def suite_of(path):
    return f"{path.parent.name}_{path.stem}"


def cases_of(folder):
    """case -> (suite, text of its file)"""
    cases = {}
    for path in case_files(folder):
        text = strip(path.read_text(encoding="utf-8"))
        table = TABLE.search(text)
        if table:
            for name in ENTRY.findall(text[table.end():]):
                cases[name] = (path, text)
    return cases


# ---- commands ----


def command_suites(folder):
    names = [suite_of(path) for path in case_files(folder)] + ["limits"]
    print("/* Made by tools/conformance.py from the names of the case files. */")
    print('#include "nttest.h"\n')
    for name in names:
        print(f"extern const TEST_CASE TestTable_{name}[];")
    print("\nconst TEST_SUITE TestSuites[] = {")
    for name in names:
        print(f'    {{"{name}", TestTable_{name}}},')
    print("    {NULL, NULL},\n};")
    return 0


def command_limits(folder):
    rows = list(generated(read_matrix(folder, [])))
    print("/* Made by tools/conformance.py from the irql cells of the matrix. */")
    print('#include "nttest.h"\n')
    print("const TEST_LIMIT TestLimits[] = {")
    for _, routine, level in rows:
        print(f'    {{L"{routine}", {level}}},')
    print("};\n\nTEST_TABLE(limits){")
    for name, _, _ in rows:
        print(f'    {{"{name}", TestCallBeyondLimit, 0, "irql", 0xC4}},')
    print("    TEST_END,\n};")
    return 0


def check_cell(row, cell, cases, errors, held):
    value = cell.value
    if value == "open":
        errors.append(f"{cell.where}: the {cell.key} cell of {row.name} is open: name a case or a reason")
        return
    if is_reason(value):
        return
    if cell.key == "irql":
        if limits(cell.detail) is None:
            errors.append(f"{cell.where}: '{cell.detail}' is no limit: <=LEVEL, LEVEL..LEVEL or any")
        if value == "generated" or (value == "" and cell.detail == "any"):
            return
    if not value:
        errors.append(f"{cell.where}: the {cell.key} cell of {row.name} is empty: name a case or a reason")
    for name in value.split():
        if name not in cases:
            errors.append(f"{cell.where}: there is no case {name}")
            continue
        held.add(name)
        path, text = cases[name]
        if not any(re.search(rf"\b{word}\b", text) for word in [row.name, *row.aliases]):
            errors.append(f"{cell.where}: {path}, the file of {name}, does not mention {row.name}")
        if cell.key == "failure" and cell.detail.startswith("STATUS_") and cell.detail not in text:
            errors.append(f"{cell.where}: {path}, the file of {name}, does not mention {cell.detail}")


def check_row(row, kind, errors):
    keys = collections.Counter(cell.key for cell in row.cells)
    wanted = ["success"]
    if kind != "variable":
        wanted += ["failure", "behaviour"]
    if kind in ("routine", "inline"):
        wanted.append("irql")
    at = f"{row.path}:{row.line}"
    for cell in row.cells:
        if cell.key == "irql" and limits(cell.detail) not in (None, (0, 0)) and not is_reason(cell.value):
            wanted.append("at-limit")
        if cell.key == "irql" and cell.value == "generated" and kind != "routine":
            errors.append(f"{cell.where}: {row.name} is no exported routine: no case can be generated for its limit")
    for key in wanted:
        if keys[key] == 0:
            errors.append(f"{at}: {row.name} has no {key} cell")
    for key in ("success", "irql", "at-limit"):
        if keys[key] > 1:
            errors.append(f"{at}: {row.name} has {keys[key]} {key} cells")


def command_check(folder, list_path):
    errors = []
    rows = read_matrix(folder, errors)
    kinds = required()
    cases = cases_of(folder)
    held = set()
    for name, kind in sorted(kinds.items()):
        if name not in rows:
            errors.append(f"{name} ({kind}) is declared in {HEADERS} and has no row in the matrix; "
                          f"'python3 tools/conformance.py add {folder}' writes an open one")
    for name, row in rows.items():
        if name not in kinds:
            errors.append(f"{row.path}:{row.line}: {name} is not declared in {HEADERS}")
            continue
        check_row(row, kinds[name], errors)
        for cell in row.cells:
            check_cell(row, cell, cases, errors, held)

    for name in pathlib.Path(folder, "surface.txt").read_text(encoding="utf-8").splitlines():
        if name and not name.startswith("#") and name not in kinds:
            errors.append(f"{name} of surface.txt is declared nowhere in {HEADERS}")

    made = {name for name, _, _ in generated(rows)}
    listed = [line.split() for line in pathlib.Path(list_path).read_text(encoding="utf-8").splitlines()]
    names = [words[1] for words in listed]
    for name, count in collections.Counter(names).items():
        if count > 1:
            errors.append(f"{count} cases are called {name}")
    for words in listed:
        if words[1] in made:
            continue
        if words[1] not in cases:
            errors.append(f"case {words[1]} of suite {words[0]} is not in a file tests/nt/*/*.c")
        elif words[0] != suite_of(cases[words[1]][0]):
            errors.append(f"{cases[words[1]][0]}: its table must be called {suite_of(cases[words[1]][0])}")
        elif words[1] not in held:
            errors.append(f"case {words[1]} ({cases[words[1]][0]}) is in no cell of the matrix")
    for name in sorted((set(cases) | made) - set(names)):
        errors.append(f"case {name} is not in the driver's list")

    for error in errors[:60]:
        print(error)
    if len(errors) > 60:
        print(f"... and {len(errors) - 60} more")
    cells = [cell for row in rows.values() for cell in row.cells]
    unheld = sum(1 for cell in cells if cell.value == "open")
    reasons = sum(1 for cell in cells if is_reason(cell.value))
    print(f"matrix: {len(rows)} rows, {len(cells)} cells: {len(cells) - unheld - reasons} held by cases, "
          f"{reasons} with a reason, {unheld} open; {len(names)} cases; {len(errors)} errors")
    return 1 if errors else 0


def open_row(name, kind):
    lines = [name, "  success: open"]
    if kind != "variable":
        lines.append("  failure: open")
    if kind in ("routine", "inline"):
        lines.append("  irql: open")
    if kind != "variable":
        lines.append("  behaviour: open")
    return "\n".join(lines) + "\n"


def command_add(folder):
    rows = read_matrix(folder, [])
    for name, kind in sorted(required().items()):
        if name in rows:
            continue
        path = pathlib.Path(folder, "matrix", component(name) + ".txt")
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(old.rstrip("\n") + ("\n\n" if old else "") + open_row(name, kind), encoding="utf-8")
        print(f"{path}: {name}")
    return 0


def command_open(folder, word=""):
    rows = read_matrix(folder, [])
    for name, row in sorted(rows.items(), key=lambda item: (item[1].path, item[1].line)):
        cells = [f"{cell.key} {cell.detail}".strip() for cell in row.cells if cell.value == "open"]
        if cells and (word in name or word in row.path):
            print(f"{row.path}:{row.line}: {name}: {', '.join(cells)}")
    return 0


def command_compare(ours, theirs):
    texts = []
    for path in (ours, theirs):
        lines = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        texts.append([line.rstrip() for line in lines if line.strip() and not line.startswith("bugcheck ")])
    difference = list(difflib.unified_diff(*texts, ours, theirs, lineterm="", n=1))
    print("\n".join(difference) if difference else f"{len(texts[0])} lines, no difference")
    return 1 if difference else 0


COMMANDS = {"suites": command_suites, "limits": command_limits, "check": command_check, "add": command_add,
            "open": command_open, "compare": command_compare}


def main():
    try:
        sys.exit(COMMANDS[sys.argv[1]](*sys.argv[2:]))
    except (IndexError, KeyError, TypeError):
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)


main()
