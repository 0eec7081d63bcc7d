"""What objdump and nm say of a Windows image, for the scripts in this folder."""

import re
import subprocess


class ImageError(Exception):
    """The tool failed, or the image is not what was expected."""


def run(*command):
    """The tool's standard output."""
    try:
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise ImageError(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        raise ImageError(f"{' '.join(command)}: {error.stderr.strip()}") from None
    return result.stdout


def headers(objdump, image):
    """The private headers of the image as text."""
    return run(objdump, "-p", image)


def imports(text):
    """The imported names by DLL, from the headers' text."""
    found = {}
    names = None
    for line in text.splitlines():
        dll = re.match(r"\s*DLL Name: (\S+)", line)
        if dll:
            names = found.setdefault(dll.group(1), [])
            continue
        if line.startswith("There is an export table") or line.startswith("The Function Table"):
            names = None
        member = re.match(r"\s+[0-9a-f]+\s+(?:[0-9]+|<none>)\s+(\S+)\s*$", line)
        if names is not None and member and member.group(1) not in ("Member-Name",):
            names.append(member.group(1))
    return found


def exports(text):
    """The exported names, from the headers' text."""
    names = []
    inside = False
    for line in text.splitlines():
        if line.startswith("[Ordinal/Name Pointer] Table"):
            inside = True
            continue
        if inside:
            entry = re.match(r"\s+\[\s*[0-9]+\](?:\s+\+base\[\s*[0-9]+\])?(?:\s+[0-9a-f]{4})?\s+(\S+)$", line)
            if entry is None:
                break
            names.append(entry.group(1))
    return names


def library_symbols(nm, library):
    """The routines and variables that an import library offers."""
    names = set()
    for line in run(nm, "--defined-only", library).splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[2].startswith("__imp_"):
            names.add(parts[2][len("__imp_") :])
    return names
