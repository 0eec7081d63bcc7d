#!/usr/bin/env python3
"""What of the drivers the tests execute: gcovr's HTML, thresholds, and a reason for each region that they do not.

A region is a run of lines of one function that no test has executed. The reasons are in a file with a line for each,
or for several that are alike:

    PATH | FUNCTION | TEXT | REASON

PATH and FUNCTION are shell patterns, TEXT is a regular expression that the region's first line has to have somewhere.
A region without a reason fails, and so does a reason that no region has: what it names is executed now.
"""

import argparse
import fnmatch
import html
import json
import pathlib
import re
import subprocess
import sys

# What an assertion would do if it did not hold is no branch of the driver's.
ASSERTIONS = r".*\b(ASSERT|ASSERT3[A-Z]+|ASSERTIRQL|BUG_ON|PAGED_CODE|C_ASSERT)\b.*"


class Region:
    """Lines of one function that were not executed."""

    def __init__(self, path, function, first, text):
        self.path = path
        self.function = function
        self.first = first
        self.last = first
        self.lines = 1
        self.text = text
        self.reason = None

    def __str__(self):
        lines = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.path}:{lines}: {self.function}: {self.text}"


class Reason:
    """A line of the file of reasons."""

    def __init__(self, where, text):
        parts = [part.strip() for part in text.split(" | ")]
        if len(parts) != 4 or not all(parts):
            sys.exit(f"{where}: not of the form 'PATH | FUNCTION | TEXT | REASON'")
        self.where = where
        self.path, self.function, pattern, self.why = parts
        self.pattern = re.compile(pattern)
        self.used = 0

    def fits(self, region):
        return (fnmatch.fnmatchcase(region.path, self.path) and fnmatch.fnmatchcase(region.function, self.function)
                and self.pattern.search(region.text) is not None)


def read_reasons(path):
    reasons = []
    for number, line in enumerate(pathlib.Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            reasons.append(Reason(f"{path}:{number}", line))
    return reasons


def run_gcovr(arguments, folder):
    command = ["gcovr", "--root", ".", "--object-directory", arguments.build, "--exclude-unreachable-branches",
               "--exclude-throw-branches", "--exclude-branches-by-pattern", ASSERTIONS, "-j", "2"]
    for package in arguments.packages:
        command += ["--filter", f"{package}/"]
    command += ["--json", str(folder / "coverage.json"), "--json-pretty", "--html-details", str(folder / "index.html"),
                "--html-title", "Coverage of the drivers by the tests", f"{arguments.build}/obj"]
    subprocess.run(command, check=True)
    return json.loads((folder / "coverage.json").read_text(encoding="utf-8"))["files"]


def function_of(functions, line):
    name = "(file)"
    for function in functions:
        if function["lineno"] > line:
            break
        name = function["name"]
    return name


def regions_of(file):
    """The file's regions, and its lines and branches: all of them, and those that were executed."""
    path = file["file"]
    source = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    functions = sorted(file["functions"], key=lambda function: function["lineno"])
    regions = []
    current = None
    lines = covered = branches = taken = 0
    for line in file["lines"]:
        if line.get("gcovr/noncode"):
            continue
        lines += 1
        for branch in line["branches"]:
            branches += 1
            taken += branch["count"] != 0
        if line["count"] != 0:
            covered += 1
            current = None
            continue
        function = function_of(functions, line["line_number"])
        if current is None or current.function != function:
            current = Region(path, function, line["line_number"], source[line["line_number"] - 1].strip())
            regions.append(current)
        else:
            current.last = line["line_number"]
            current.lines += 1
    return regions, (lines, covered, branches, taken)


def write_page(path, regions, summary):
    rows = []
    for region in regions:
        lines = f"{region.first}" if region.first == region.last else f"{region.first}&ndash;{region.last}"
        rows.append(f"<tr><td>{html.escape(region.path)}:{lines}</td><td>{html.escape(region.function)}</td>"
                    f"<td><code>{html.escape(region.text)}</code></td>"
                    f"<td>{html.escape(region.reason.why) if region.reason else '<b>no reason</b>'}</td></tr>")
    path.write_text("<!DOCTYPE html><html><head><meta charset='utf-8'><title>What no test executes</title><style>"
                    "body{font-family:sans-serif}table{border-collapse:collapse}td,th{border:1px solid #999;padding:.3em;"
                    "text-align:left;vertical-align:top}</style></head><body><h1>What no test executes, and why</h1>"
                    f"<p>{html.escape(summary)} <a href='index.html'>Every line</a>.</p>"
                    "<table><tr><th>lines</th><th>function</th><th>first line</th><th>reason</th></tr>"
                    + "\n".join(rows) + "</table></body></html>\n", encoding="utf-8")


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


class Figures:
    """Lines and branches of a package or of all, and how many of them were executed."""

    def __init__(self, name):
        self.name = name
        self.counts = [0, 0, 0, 0]
        self.regions = 0

    def add(self, counts, regions):
        self.counts = [total + count for total, count in zip(self.counts, counts)]
        self.regions += regions

    def lines(self):
        return percent(self.counts[1], self.counts[0])

    def branches(self):
        return percent(self.counts[3], self.counts[2])

    def summary(self, arguments):
        return (f"{self.name}: lines {self.lines():.1f} % of {self.counts[0]} (threshold {arguments.lines:g}), branches "
                f"{self.branches():.1f} % of {self.counts[2]} (threshold {arguments.branches:g}), {self.regions} regions "
                "not executed")

    def are_enough(self, arguments):
        return self.lines() >= arguments.lines and self.branches() >= arguments.branches


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="build folder with the counts")
    parser.add_argument("--reasons", required=True, help="file of reasons")
    parser.add_argument("--lines", type=float, required=True, help="per cent of the lines that have to be executed")
    parser.add_argument("--branches", type=float, required=True, help="likewise of the branches")
    parser.add_argument("packages", nargs="+", help="folders of sources")
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.build) / "report"
    folder.mkdir(parents=True, exist_ok=True)
    reasons = read_reasons(arguments.reasons)
    regions = []
    figures = Figures(", ".join(arguments.packages))
    each = [Figures(package) for package in arguments.packages]
    failed = False

    files = run_gcovr(arguments, folder)
    if not files:
        sys.exit(f"{arguments.build}: there are no counts: run 'make coverage'")
    for file in files:
        found, counts = regions_of(file)
        for sum_of in [figures] + [package for package in each if file["file"].startswith(f"{package.name}/")]:
            sum_of.add(counts, len(found))
        regions += found
        print(f"  {file['file']}: lines {percent(counts[1], counts[0]):.1f} %, branches "
              f"{percent(counts[3], counts[2]):.1f} %, {len(found)} regions not executed")
    for region in regions:
        region.reason = next((reason for reason in reasons if reason.fits(region)), None)
        if region.reason is not None:
            region.reason.used += 1
        else:
            failed = True
            print(f"no reason: {region}")
    for reason in reasons:
        if reason.used == 0:
            failed = True
            print(f"{reason.where}: this is executed, or is not there: {reason.path} {reason.function}: {reason.why}")
    write_page(folder / "uncovered.html", regions, figures.summary(arguments))
    for sum_of in [figures] + each:
        print(sum_of.summary(arguments))
        if not sum_of.are_enough(arguments):
            failed = True
            print("under the threshold")
    print(f"{folder}/index.html, {folder}/uncovered.html")
    sys.exit(1 if failed else 0)


main()
