"""Peak memory of one full-batch epoch on 10-32-1 with 1,000,000 rows, in a fresh process.

`python benchmarks/memory.py [NAME]` prints, as JSON, the bytes of the data and how far the peak
rose above what the process held before the data was made, its libraries loaded.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import environment

# Of deltaloop, beside the data: a chunk's arrays, partial gradients and the allocator's own needs.
LIMIT = 50e6

NAMES = ("deltaloop", "reference.py", "NumPy script")


def peak() -> int:
    """Largest resident size of this process so far, in bytes.

    Linux carries ru_maxrss over from the process that started this one, hence VmHWM first.
    """
    try:
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(name: str) -> dict[str, float]:
    """Run `main` in a process of its own."""
    output = subprocess.run(
        [sys.executable, __file__, name],
        env=os.environ | environment.threads(environment.cpus()),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return json.loads(output)


def measure_all() -> dict[str, dict[str, float]]:
    return {name: measure(name) for name in NAMES}


def main(name: str = "deltaloop") -> None:
    import cells
    import registry

    everybody = registry.contenders(environment.cpus())
    contender = next(c for c in everybody if c.name == name)
    before = peak()
    cell = cells.full_batch(10, 32, 1, rows=1_000_000, learning_rate=2**-20)
    task = cells.task(cell)
    contender.train(task)(1)
    print(json.dumps({"data": task.X.nbytes + task.Y.nbytes, "peak": peak() - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
