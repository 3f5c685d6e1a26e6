"""How many threads a call may use when it is not told: the smallest of three limits."""

from __future__ import annotations

import math
import os
import time
from functools import lru_cache

# MLP_MAX_THREADS of csrc/network/threads.h.
MOST = 256

# Of files; pathlib is slow to import.
Name = str | os.PathLike[str]

_limit = 1
_until = 0.0


def limit() -> int:
    """Return min(CPUs this thread may run on, the cgroup's share of them, OMP_NUM_THREADS)."""
    return max(1, min(affinity(), quota(), omp_num_threads(), MOST))


def recent_limit() -> int:
    """Return the limit as it was less than 0.1 s ago: asking the system takes some microseconds."""
    global _limit, _until
    now = time.monotonic()
    if now >= _until:
        _limit = limit()
        _until = now + 0.1
    return _limit


def affinity() -> int:
    """Return the number of CPUs that this thread may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def omp_num_threads() -> int:
    """Return what OMP_NUM_THREADS says, the first number of a list; MOST where it says nothing."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if not (first.isascii() and first.isdigit()):
        return MOST
    # Python converts no more than some thousand digits, and ten are more than enough.
    return min(int(first.lstrip("0")[:10] or MOST), MOST)


@lru_cache(maxsize=1)
def quota(proc: Name = "/proc/self", mount: Name = "/sys/fs/cgroup") -> int:
    """Return the CPUs' worth of time that the control groups allow, rounded up; read once."""
    try:
        with open(os.path.join(proc, "cgroup"), encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return MOST
    shares = [math.inf]
    for line in lines:
        hierarchy, controllers, path = [*line.split(":", 2), "", ""][:3]
        names = [name for name in path.split("/") if name]
        # Every group up to the root has its say.
        for depth in range(len(names), -1, -1):
            if hierarchy == "0":
                shares.append(share(read(mount, *names[:depth], "cpu.max")))
            elif "cpu" in controllers.split(","):
                folder = os.path.join(mount, controllers, *names[:depth])
                times = (read(folder, f"cpu.cfs_{kind}_us") for kind in ("quota", "period"))
                shares.append(share(" ".join(times)))
    least = min(shares)
    return MOST if math.isinf(least) else max(1, math.ceil(least))


def read(*names: Name) -> str:
    """Return a small file's text, nothing if it cannot be read."""
    try:
        with open(os.path.join(*names), encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def share(text: str) -> float:
    """Return quota / period of a line such as "150000 100000", infinity for "max" and the like."""
    try:
        allowed, period = (float(word) for word in text.split())
    except ValueError:
        return math.inf
    return allowed / period if allowed > 0 and period > 0 else math.inf
