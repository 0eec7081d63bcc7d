#!/usr/bin/env python3
"""Hold the kernel headers of sim/include to their rules; see `make abi-check`.

- A routine that the kernel exports (NTKERNELAPI, NTSYSAPI, NTHALAPI) is declared NTAPI; so is every callback type, as a
  function type, as a pointer type and as a member of a structure. No other prototype stands in a header.
- Each parameter of these and of the inline routines has a SAL annotation; a routine without parameters says at which IRQL
  it may be called.
- A routine's IRQL annotation is the limit that its implementation in sim/nt checks (NT_CALL).
- Each exported routine checks the IRQL that it is called at, or passes its arguments to one that does, or stands in the
  file of those that need no check, with the reason (a shell pattern, a colon, the reason).
"""

import argparse
import fnmatch
import pathlib
import re
import sys

EXPORT = re.compile(r"\b(?:NTKERNELAPI|NTSYSAPI|NTHALAPI|NTSYSCALLAPI|DECLSPEC_EXPORT)\b")
ANNOTATION = re.compile(r"^(?:_[A-Z]\w*_(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?|__drv_\w+(?:\([^()]*\))?)\s*")
SAL = re.compile(r"^_(?:In|Out|Inout|Outptr|Reserved|Printf|Frees|Post|Pre|When|At|Interlocked)\w*_\b")
IRQL = re.compile(r"_IRQL_requires_(max_|min_|)\((\w+)\)")


def strip(text):
    """Without comments, preprocessor lines and their continuations; line numbers stay."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    text = re.sub(r"/\*.*?\*/|//[^\n]*", blank, text, flags=re.S)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", blank, text, flags=re.M)


def split(parameters):
    """Split at the commas outside parentheses."""
    result, depth, current = [], 0, ""
    for character in parameters:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            result.append(current.strip())
            current = ""
        else:
            current += character
    return result + [current.strip()]


def statements(text):
    """(line, text) of each declaration at file scope; bodies of functions and structures become {}, kept apart."""
    depth, start, current, line = 0, 1, "", 1
    inner, inner_start = "", 1
    for character in text:
        if character == "\n":
            line += 1
        if character == "{":
            depth += 1
            if depth == 1:
                inner, inner_start = "", line
                continue
        elif character == "}":
            depth -= 1
            if depth == 0:
                current += "{}"
                if re.search(r"\b(?:struct|union|enum)\b", current.split("{}")[0]) and ")" not in current:
                    yield from members(inner, inner_start)
                else:
                    yield start, current
                    current = ""
                continue
        if depth > 0:
            inner += character
            continue
        if not current.strip():
            start, current = line, ""
        current += character
        if character == ";":
            yield start, current
            current = ""


def members(text, line):
    """The members of a structure that are pointers to functions."""
    for match in re.finditer(r"[^;{}]*;", text):
        if re.search(r"\(\s*(?:NTAPI\s*)?\*", match.group(0)):
            yield line + text[: match.start()].count("\n") + 1, "member " + match.group(0)


def implementations(folder):
    """Routine: (minimum, maximum) IRQL that its NT_CALL checks, where that is a constant."""
    levels = {}
    for path in sorted(folder.rglob("*.c")):
        text = strip(path.read_text(encoding="utf-8"))
        for match in re.finditer(r"\bNTAPI (\w+)\([^;{}]*\)\s*\{(.*?)\n\}", text, flags=re.S):
            call = re.search(r"\bNT_CALL(_ANY|_RANGE|_AT|)\(([^()]*)\)", match.group(2))
            if not call:
                continue
            arguments = [argument.strip() for argument in call.group(2).split(",")]
            if call.group(1) == "_ANY":
                bounds = (None, "HIGH_LEVEL")
            elif call.group(1) == "_RANGE":
                bounds = (arguments[0], arguments[1])
            else:
                bounds = (None, arguments[0])
            if re.fullmatch(r"[A-Z]\w*", bounds[1]):
                levels[match.group(1)] = bounds
    return levels


def checkers(folder):
    """Routines that check their IRQL, and {routine: the one that it does nothing but call}."""
    checked, forwards = set(), {}
    definition = re.compile(r"^(?!static)[^\n{};=#]*?\b(\w+)\s*\([^;{}]*\)\s*\{(.*?)^\}", re.S | re.M)
    for path in sorted(folder.rglob("*.c")):
        for name, body in definition.findall(strip(path.read_text(encoding="utf-8"))):
            body = re.sub(r"UNREFERENCED_PARAMETER\(\w+\);|\(void\)\w+;", "", body).strip()
            if re.search(r"\b(?:NT_CALL\w*|CNG_CALL)\(", body):
                checked.add(name)
            elif match := re.fullmatch(r"(?:return )?(?:\(void\))?(\w+)\([^;]*\);", body):
                forwards[name] = match.group(1)
    return checked, forwards


def unchecked_errors(names, folder, excused):
    """What is wrong with the routines that look at no IRQL and with the file that excuses them."""
    checked, forwards = checkers(folder)
    reasons, used = {}, set()
    for number, line in enumerate(excused.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        pattern, _, reason = line.partition(":")
        if not reason.strip():
            yield f"{excused}:{number}: {pattern} has no reason"
        reasons[pattern.strip()] = number
    for name in sorted(names):
        target = name
        while target in forwards and target not in checked:
            target = forwards[target]
        matches = [pattern for pattern in reasons if fnmatch.fnmatchcase(name, pattern)]
        if target in checked:
            used.update(pattern for pattern in matches if pattern != name)  # a pattern may cover more than it must
        elif matches:
            used.update(matches)
        else:
            yield f"{name} looks at no IRQL (NT_CALL), and {excused} does not say why"
    for pattern in sorted(set(reasons) - used):
        yield f"{excused}:{reasons[pattern]}: {pattern} is no exported routine without a check"


class Checker:
    """Collects what is wrong and counts what was looked at."""

    def __init__(self, levels):
        self.levels = levels
        self.errors = []
        self.names = set()
        self.routines = self.callbacks = self.inlines = self.limits = 0

    def parameters(self, where, name, text, annotated):
        for parameter in split(text):
            if parameter in ("", "VOID", "void"):
                if not annotated:
                    self.errors.append(f"{where}: {name} has no parameters and no _IRQL_requires_ annotation")
            elif parameter != "..." and not SAL.match(parameter):
                self.errors.append(f"{where}: {name}: no annotation on the parameter `{parameter}`")

    def irql(self, where, name, annotations):
        bounds = self.levels.get(name)
        if not bounds:
            return
        self.limits += 1
        declared = {kind: level for kind, level in IRQL.findall(annotations)}
        level = declared.get("") or declared.get("max_")
        low = declared.get("") or declared.get("min_")
        minimum = None if bounds[0] in (None, "PASSIVE_LEVEL") else bounds[0]
        if level != bounds[1] or (low or None) not in (minimum, bounds[1] if "" in declared else minimum):
            self.errors.append(
                f"{where}: {name} is declared for IRQL {low or 'any'} to {level or 'any'}, "
                f"its implementation checks {minimum or 'any'} to {bounds[1]}"
            )

    def statement(self, where, text):
        text = " ".join(text.split())
        if text.startswith(("_Static_assert", "C_ASSERT", "DEFINE_GUID", "PVSIM_")):
            return
        text = re.sub(r"__asm__\s*\([^()]*\)", "", text)
        annotations = ""
        while match := ANNOTATION.match(text):
            annotations += match.group(0)
            text = text[match.end() :]
        if "(" not in text or text.startswith("static const"):
            return
        text = re.sub(r"\s*__attribute__\s*\(\(.*?\)\)(?=\s*[;{])", "", text)
        if text.startswith("FORCEINLINE"):
            if match := re.match(r"FORCEINLINE [^()]*?(\w+)\((.*)\)\s*\{\}", text):
                self.inlines += 1
                self.parameters(where, match.group(1), match.group(2), True)
            else:
                self.errors.append(f"{where}: not understood: {text[:80]}")
        elif match := re.match(r"(?:typedef|member) [^()]*\(\s*(NTAPI\s*)?\*+\s*(?:const )?(\w+)(?:\[\w*\])?\)\((.*)\);", text):
            self.callback(where, match.group(1), match.group(2), match.group(3), annotations)
        elif match := re.match(r"typedef ([^()]*?)(\w+)\((.*)\);", text):
            self.callback(where, "NTAPI" in match.group(1), match.group(2), match.group(3), annotations)
        elif EXPORT.search(text):
            match = re.match(r"([^()]*?)(\w+)\((.*)\);", text)
            if not match:
                self.errors.append(f"{where}: not understood: {text[:80]}")
                return
            self.routines += 1
            head, name, parameters = match.groups()
            self.names.add(name)
            if not re.search(r"\bNTAPI $", head):
                self.errors.append(f"{where}: {name} is not NTAPI")
            self.parameters(where, name, parameters, IRQL.search(annotations))
            self.irql(where, name, annotations)
        elif re.match(r"[^()={}]*\b\w+\([^{}]*\);", text):
            self.errors.append(f"{where}: neither NTKERNELAPI nor NTSYSAPI nor NTHALAPI: {text[:80]}")

    def callback(self, where, convention, name, parameters, annotations):
        self.callbacks += 1
        if not convention:
            self.errors.append(f"{where}: the callback type {name} is not NTAPI")
        self.parameters(where, name, parameters, "_IRQL_" in annotations or "_Function_class_" in annotations)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("headers", type=pathlib.Path)
    arguments.add_argument("implementation", type=pathlib.Path, nargs="?", help="folder of the implementation (sim/nt)")
    arguments.add_argument("unchecked", type=pathlib.Path, nargs="?", help="routines that need no check of the IRQL")
    options = arguments.parse_args()

    checker = Checker(implementations(options.implementation) if options.implementation else {})
    for path in sorted(options.headers.rglob("*.h")):
        for line, text in statements(strip(path.read_text(encoding="utf-8"))):
            checker.statement(f"{path}:{line}", text)
    if options.unchecked:
        checker.errors += unchecked_errors(checker.names, options.implementation, options.unchecked)
    for error in checker.errors:
        print(error, file=sys.stderr)
    if checker.errors:
        sys.exit(f"headers: {len(checker.errors)} rules broken")
    if not checker.routines or not checker.callbacks:
        sys.exit(f"headers: no declarations found in {options.headers}")
    print(
        f"headers: {checker.routines} routines and {checker.callbacks} callback types NTAPI and annotated, "
        f"{checker.inlines} inline routines annotated, {checker.limits} IRQL limits as implemented"
        + (", every routine checks its IRQL or need not" if options.unchecked else "")
    )


main()
