"""How much memory reading a file takes, told by the operating system."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

# Each file is read by a child of a process that has read a good one, after that one once more: a
# child has its parent's memory, but not the pages of libraries, which count too. The kernel forgets
# the peak when it is told to; what compiled libraries take counts as well.
CODE = """
import os, sys
import deltaloop as dl

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

if sys.argv[1] == "TabularModel":
    from deltaloop.tabular import TabularModel
    read = TabularModel.load
else:
    read = getattr(dl, sys.argv[1])
read(sys.argv[2])
for path in sys.argv[3:]:
    if os.fork() == 0:
        read(sys.argv[2])
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        before = peak()
        try:
            read(path)
            message = "loaded"
        except ValueError as error:
            message = str(error)
        print(peak() - before, message, flush=True)
        os._exit(0)
    os.wait()
"""


def of_reading(function: str, good: Path, paths: Sequence[Path]) -> list[tuple[int, str]]:
    """Return for each file the kB that deltaloop's function took, and its message or "loaded"."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("needs a kernel that resets the peak of a process's memory")
    command = [sys.executable, "-c", CODE, function, str(good), *map(str, paths)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    found = [line.split(" ", 1) for line in lines]
    assert len(found) == len(paths)
    return [(int(kilobytes), message) for kilobytes, message in found]
