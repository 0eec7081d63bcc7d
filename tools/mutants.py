#!/usr/bin/env python3
"""Take one safeguard at a time out of the drivers and see a test fail.

A mutant is a patch in tests/mutants with the test programs that must catch it, a line each, after "Caught-by:". It is
built in a copy of the tree that shares what is not touched. Exit status 1 when a mutant survives every one of its tests.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(command, cwd, **options):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, errors="replace", check=False, **options)


def copy_tree(build, target):
    """The tree and what was built of it, by hard links: make only builds what the patch touches."""
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    for name in ("Makefile", "README.md", "drivers", "sim", "backend-stub", "tests", "tools", ".clang-format"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, symlinks=True)
        else:
            shutil.copy2(source, target / name)
    shutil.copytree(ROOT / build, target / build, symlinks=True, copy_function=os.link,
                    ignore=shutil.ignore_patterns("mutants", "windows", "san-*"))
    for stamp in (ROOT / "build").glob(".setup-*"):
        (target / "build").mkdir(exist_ok=True)
        shutil.copy2(stamp, target / "build" / stamp.name) if not (target / "build" / stamp.name).exists() else None


def unlink_outputs(build, target, driver):
    """A hard link must not be written through: what will be built anew goes first."""
    for path in (target / build / "obj" / "module" / driver).glob("*"):
        if path.is_file():
            data = path.read_bytes()
            times = path.stat()
            path.unlink()
            path.write_bytes(data)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    (target / build / "drivers" / f"{driver}.so").unlink()


def try_mutant(patch, build):
    text = patch.read_text(encoding="utf-8")
    tests = re.findall(r"^Caught-by: (\S+)$", text, re.M)
    drivers = sorted(set(re.findall(r"^\+\+\+ b/drivers/(\w+)/", text, re.M)))
    target = ROOT / build / "mutants" / patch.stem
    if not tests or not drivers:
        return f"{patch.name} names no test or touches no driver"
    copy_tree(build, target)
    applied = run(["patch", "-p1", "--no-backup-if-mismatch", "-i", str(patch)], target)
    if applied.returncode != 0:
        return f"{patch.name} does not apply any more:\n{applied.stdout}{applied.stderr}"
    for driver in drivers:
        unlink_outputs(build, target, driver)
    made = run(["make", f"BUILD={build}", "modules"], target)
    if made.returncode != 0:
        return f"{patch.name} does not build:\n{made.stdout}{made.stderr}"
    for test in tests:
        result = run([f"{build}/tests/{test}"], target, timeout=900, env=dict(os.environ, CK_DEFAULT_TIMEOUT="300"))
        if result.returncode != 0:
            print(f"  ok   {patch.stem}: caught by {test}", flush=True)
            shutil.rmtree(target)
            return None
    return f"{patch.stem} survives {', '.join(tests)}; the mutated tree is {target}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", help="build folder, already built with its tests")
    parser.add_argument("patches", nargs="*", type=pathlib.Path, help="default: all in tests/mutants")
    arguments = parser.parse_args()
    patches = [path.resolve() for path in arguments.patches] or sorted((ROOT / "tests" / "mutants").glob("*.patch"))
    complaints = []
    for patch in patches:
        complaint = try_mutant(patch, arguments.build)
        if complaint:
            complaints.append(complaint)
            print(f"  FAIL {complaint}", flush=True)
    print(f"{len(patches) - len(complaints)} passed, {len(complaints)} failed")
    sys.exit(1 if complaints else 0)


main()
