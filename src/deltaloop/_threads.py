"""How many threads a call may use when it is not told: the smallest of three limits."""

from __future__ import annotations

import math
import os
import time
from functools import lru_cache
from pathlib import Path

# MLP_MAX_THREADS of csrc/network/threads.h.
MOST = 256

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
def quota(proc: Path = Path("/proc/self"), mount: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the CPUs' worth of time that the control groups allow, rounded up; read once."""
    try:
        lines = (proc / "cgroup").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return MOST
    shares = [math.inf]
    for line in lines:
        hierarchy, controllers, path = [*line.split(":", 2), "", ""][:3]
        group = Path(path.lstrip("/"))
        # Every group up to the root has its say.
        for part in (group, *group.parents):
            if hierarchy == "0":
                shares.append(share(read(mount / part / "cpu.max")))
            elif "cpu" in controllers.split(","):
                folder = mount / controllers / part
                shares.append(
                    share(
                        read(folder / "cpu.cfs_quota_us") + " " + read(folder / "cpu.cfs_period_us")
                    )
                )
    least = min(shares)
    return MOST if math.isinf(least) else max(1, math.ceil(least))


def read(path: Path) -> str:
    """Return a small file's text, nothing if it cannot be read."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def share(text: str) -> float:
    """Return quota / period of a line such as "150000 100000", infinity for "max" and the like."""
    try:
        allowed, period = (float(word) for word in text.split())
    except ValueError:
        return math.inf
    return allowed / period if allowed > 0 and period > 0 else math.inf
