#!/usr/bin/env python3
"""Run the test programs side by side and sum up. Each program is a Check suite; its TAP log says what passed."""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

SKIPPED = 125
# What a skipped program writes, or one that leaves out a part: what this host lacks, by its name, and how to get it.
SKIP = re.compile(r"^skipped: (?P<capability>[a-z0-9-]+): (?P<why>.*)$", re.MULTILINE)
RESULT = re.compile(r"^(ok|not ok) \d+ - (?:(?P<file>[^:]*):)?(?P<suite>[^:]*):(?P<test>[^:]*): ?(?P<text>.*)$")


class Program:
    """One finished test program."""

    def __init__(self, path, build):
        self.path = path
        self.name = path.removeprefix(build + "/tests/")
        self.results = []
        self.output = ""
        self.seconds = 0.0
        self.tap = ""
        self.skips = {}  # why, by capability
        self.skipped = False  # as a whole

    def add(self, passed, test, text):
        self.results.append((passed, test, text))

    @property
    def passed(self):
        return sum(1 for passed, _, _ in self.results if passed)

    @property
    def failed(self):
        return len(self.results) - self.passed


def run_program(path, build, timeout):
    program = Program(path, build)
    with tempfile.NamedTemporaryFile("r", suffix=".tap", encoding="utf-8", errors="replace") as tap:
        environment = dict(os.environ, CK_TAP_LOG_FILE_NAME=tap.name, CK_DEFAULT_TIMEOUT="120")
        start = time.monotonic()
        try:
            done = subprocess.run([path], env=environment, capture_output=True, text=True, timeout=timeout, check=False,
                                  errors="replace", stdin=subprocess.DEVNULL)
            program.output = done.stdout + done.stderr
            status = done.returncode
        except subprocess.TimeoutExpired as expired:
            program.output = "".join(part.decode(errors="replace") if isinstance(part, bytes) else part or ""
                                     for part in (expired.stdout, expired.stderr))
            status = f"no end after {timeout} s"
        program.seconds = time.monotonic() - start
        program.tap = pathlib.Path(tap.name).read_text(encoding="utf-8", errors="replace")
    for line in program.tap.splitlines():
        match = RESULT.match(line)
        if match:
            program.add(match[1] == "ok", match["test"], match["text"])
    program.skips = {match["capability"]: match["why"] for match in SKIP.finditer(program.output)}
    if status == SKIPPED and program.skips and not program.results:
        program.skipped = True
        return program
    if status != 0 and program.failed == 0:
        program.add(False, "(program)", f"exit status {status}")
    elif not program.results:
        program.add(False, "(program)", "ran no test")
    return program


def write_junit(path, programs):
    root = ElementTree.Element("testsuites")
    for program in programs:
        suite = ElementTree.SubElement(root, "testsuite", name=program.name, tests=str(len(program.results)),
                                       failures=str(program.failed), time=f"{program.seconds:.3f}")
        for passed, test, text in program.results:
            case = ElementTree.SubElement(suite, "testcase", classname=program.name, name=test)
            if not passed:
                ElementTree.SubElement(case, "failure", message=text).text = program.output
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="build folder")
    parser.add_argument("--suite", help="only programs with this, or one of these words, in their name")
    parser.add_argument("--tap", help="folder to write a TAP file a program to")
    parser.add_argument("--junit", help="file to write JUnit XML to")
    parser.add_argument("--skipped", help="list of suites that were left out, to be told")
    parser.add_argument("--require", default="", help="capabilities (NAME,NAME...) whose lack is a failure, not a skip")
    parser.add_argument("--timeout", type=int, default=3600, help="seconds for one program")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="programs at once")
    parser.add_argument("programs", nargs="*")
    arguments = parser.parse_args()
    words = (arguments.suite or "").split()
    paths = [path for path in arguments.programs if not words or any(word in path for word in words)]
    if not paths:
        sys.exit(f"no test program matches '{arguments.suite}'" if arguments.suite else "no test programs")

    if arguments.skipped:
        for line in pathlib.Path(arguments.skipped).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                pattern, reason = line.split(None, 1)
                print(f"  skip {pattern}: {reason}")
    programs = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=arguments.jobs) as pool:
        futures = [pool.submit(run_program, path, arguments.build, arguments.timeout) for path in paths]
        for future in concurrent.futures.as_completed(futures):
            program = future.result()
            for capability, why in program.skips.items():
                if capability in arguments.require.split(","):
                    program.add(False, "(program)", f"this host has no {capability}, and it is required")
                else:
                    print(f"  skip {'' if program.skipped else 'a part of '}{program.name}: {why}", flush=True)
            if program.skipped and not program.results:
                continue
            programs.append(program)
            print(f"  {'ok  ' if program.failed == 0 else 'FAIL'} {program.name}: {program.passed} passed, "
                  f"{program.failed} failed ({program.seconds:.1f} s)", flush=True)
            for passed, test, text in program.results:
                if not passed:
                    print(f"       {test}: {text}")
            if program.failed:
                print("\n".join("       | " + line for line in program.output.splitlines()[-60:]))
                print(f"       again: {program.path}", flush=True)
    programs.sort(key=lambda program: program.name)
    if arguments.tap:
        folder = pathlib.Path(arguments.tap)
        folder.mkdir(parents=True, exist_ok=True)
        for program in programs:
            (folder / (program.name.replace("/", "-") + ".tap")).write_text(program.tap, encoding="utf-8")
    if arguments.junit:
        write_junit(arguments.junit, programs)
    failed = sum(program.failed for program in programs)
    print(f"{sum(program.passed for program in programs)} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
