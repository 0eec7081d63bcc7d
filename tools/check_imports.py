#!/usr/bin/env python3
"""Check that a driver module imports kernel routines, other drivers' exports and the C runtime of ntoskrnl, nothing else."""

import re
import subprocess
import sys

# What ntoskrnl.exe exports of the C runtime, and what compilers and sanitizers refer to by themselves.
RUNTIME = set(
    """memcpy memset memmove memcmp memchr strlen strnlen strcmp strncmp strchr strrchr strstr strcpy strncpy strcat
    strncat _stricmp _strnicmp __stack_chk_fail __cxa_finalize __gmon_start__ _ITM_deregisterTMCloneTable
    _ITM_registerTMCloneTable _GLOBAL_OFFSET_TABLE_ __tls_get_addr""".split()
)
# libgcov's, which is in the modules of a coverage build.
LIBGCOV = set(
    """__errno_location abort access close exit fclose fcntl fdopen fopen fprintf fread free fseek fwrite getenv getpid
    malloc mkdir mmap munmap open sprintf stderr strtol vfprintf __fprintf_chk __sprintf_chk __vfprintf_chk ftruncate fileno
    setvbuf setbuf""".split()
)
SANITIZER = re.compile(r"^__wrap_mem(cpy|move|set|cmp)$|^__(asan|ubsan|tsan|sanitizer|lsan|sancov)_|^__asan|^_?_?ubsan")


def symbols(path, option):
    result = subprocess.run(["nm", "-D", option, path], check=True, capture_output=True, text=True)
    return {line.split()[-1].split("@")[0] for line in result.stdout.splitlines() if line.strip()}


def main():
    arguments = sys.argv[1:]
    libgcov = "--libgcov" in arguments
    if libgcov:
        arguments.remove("--libgcov")
    if len(arguments) < 2:
        sys.exit("usage: check_imports.py [--libgcov] MODULE KERNEL-EXPORTS [DRIVER-MODULE ...]")
    module, exports, *drivers = arguments
    with open(exports, encoding="utf-8") as file:
        allowed = {line.strip(" ;\n") for line in file} | RUNTIME | (LIBGCOV if libgcov else set())
    for driver in drivers:
        allowed |= symbols(driver, "--defined-only")
    foreign = sorted(name for name in symbols(module, "--undefined-only") - allowed if not SANITIZER.match(name))
    if foreign:
        sys.exit(f"{module} imports what no kernel or driver exports: {', '.join(foreign)}")


main()
