#!/usr/bin/env python3
"""Read the commands of `make -n V=1` and print a compile_commands.json."""

import json
import os
import re
import sys

entries = []
for line in sys.stdin:
    for command in re.split(r"\s*&&\s*", line.strip()):
        source = re.search(r"\s-c (\S+\.[cS])\s", command)
        if source:
            entries.append({"directory": os.getcwd(), "command": command, "file": source.group(1)})
json.dump(entries, sys.stdout, indent=1)
print()
