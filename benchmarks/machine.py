"""What a measurement depends on, and what the machine can do at best.

`describe` names processor, threads, instruction sets and versions. `rates` compiles machine.c with
the system's C compiler into a temporary library and times it; `python benchmarks/machine.py` prints
what it found.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import repeat
from pathlib import Path

import environment
import numpy as np

import deltaloop as dl

# Seconds of one timing, and how often it is repeated; the shortest counts. Short ones and many, for
# two threads find two processors free for a moment even where others work.
ONE_TIMING, TIMINGS = 1e-3, 30

# Bytes of a level of the cache, where the system does not tell.
LEVELS = {"L1": 32 << 10, "L2": 512 << 10, "L3": 8 << 20}


def processor() -> str:
    """Name of the processor, as the system tells it."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


# AMD's processors by family and the first and last of some models.
AMD = (
    (25, 0x00, 0x0F, "Zen 3"),
    (25, 0x10, 0x1F, "Zen 4"),
    (25, 0x20, 0x5F, "Zen 3"),
    (25, 0x60, 0xAF, "Zen 4"),
    (26, 0x00, 0xFF, "Zen 5"),
    (23, 0x00, 0x2F, "Zen"),
    (23, 0x30, 0xFF, "Zen 2"),
)


def generation(about: str | None = None) -> str:
    """The processor's design, by the text of /proc/cpuinfo: its tables have this name."""
    if about is None:
        try:
            about = Path("/proc/cpuinfo").read_text()
        except OSError:
            about = ""
    found = dict(re.findall(r"^(vendor_id|cpu family|model|model name)\s*:\s*(.+)$", about, re.M))
    if found.get("vendor_id") == "AuthenticAMD":
        family, model = int(found["cpu family"]), int(found["model"])
        for known, first, last, name in AMD:
            if family == known and first <= model <= last:
                return name
    return found.get("model name") or processor()


def build() -> str:
    """The compiled core, by the beginning of its file's SHA-256."""
    from deltaloop import _core

    return hashlib.sha256(Path(_core.__file__).read_bytes()).hexdigest()[:12]


def versions() -> str:
    """Of the opponents' libraries, as far as they are installed."""
    found = []
    for name in ("torch", "jax", "numba", "casadi", "scikit-learn", "scipy", "onnxruntime"):
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found) or "none"


def describe(threads: int) -> dict[str, str]:
    runtime = dl.runtime()
    numpy = np.show_config(mode="dicts")
    blas = numpy["Build Dependencies"]["blas"]
    named = processor() if generation() == processor() else f"{processor()} ({generation()})"
    settings = [f"{name}={value}" for name, value in environment.settings(os.environ).items()]
    return {
        "machine": f"{named}, {environment.cpus()} CPUs, {platform.system()}",
        "threads": f"{threads} for each that has threads, or 1 where that is faster",
        "deltaloop": f"{runtime['version']}, {runtime['compiler']}, {runtime['threads']} threads",
        "its instruction set": f"{runtime['isa']} of {' '.join(runtime['isas'])}",
        "NumPy": f"{np.__version__}, {blas['name']} {blas['version']}",
        "its instruction sets": " ".join(numpy["SIMD Extensions"]["found"]) or "the baseline",
        "others": versions(),
        "Python": platform.python_version(),
        "settings": " ".join(settings) or "none",
    }


# ---- micro-benchmarks ----


@dataclass(frozen=True)
class Rates:
    """Seconds, FLOP per second and bytes per second of one core, and of all that are used."""

    isa: str
    threads: int
    flops: float  # of one core
    flops_all: float
    fma_latency: float
    sigmoid: float  # an element, many at once, on one core
    sigmoid_latency: float
    adam: float  # Adam's update of a parameter in the L1 cache, on one core
    barrier: float  # of two threads
    call: float  # from Python into C, without arguments, and back
    array: float  # the same with a new array as its result
    sizes: dict[str, int]  # bytes of L1, L2 and L3
    bandwidth: dict[str, float]  # reading from L1, L2, L3 and DRAM, one core
    bandwidth_all: dict[str, float]


def shortest(run: Callable[[int], object]) -> float:
    """Seconds of one of n repetitions."""

    def timing(n: int) -> float:
        start = time.perf_counter()
        run(n)
        return time.perf_counter() - start

    n = 1
    while (took := timing(n)) < ONE_TIMING / 4:
        n *= 4
    n = max(1, int(n * ONE_TIMING / took))
    return min(timing(n) for _ in range(TIMINGS)) / n


def together(runs: list[Callable[[int], object]]) -> float:
    """Seconds of one repetition when all run at the same time, in threads of their own."""
    n = max(1, int(ONE_TIMING / shortest(runs[0])))
    ready = threading.Barrier(len(runs))
    took = [[0.0] * TIMINGS for _ in runs]

    def work(run: Callable[[int], object], mine: list[float]) -> None:
        for i in range(len(mine)):
            ready.wait()
            start = time.perf_counter()
            run(n)
            mine[i] = time.perf_counter() - start

    threads = [threading.Thread(target=work, args=both) for both in zip(runs, took, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return min(map(max, zip(*took, strict=True))) / n


def cache_sizes() -> dict[str, int]:
    """Bytes of data caches by level."""
    sizes = dict(LEVELS)
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        if (index / "type").read_text().strip() == "Instruction":
            continue
        level = f"L{(index / 'level').read_text().strip()}"
        size = (index / "size").read_text().strip()
        sizes[level] = int(size.rstrip("KM")) << {"K": 10, "M": 20}[size[-1]]
    return {name: sizes[name] for name in LEVELS}


def compiled(directory: str) -> ctypes.CDLL | None:
    """machine.c as a library, or None without a C compiler."""
    compiler = os.environ.get("CC") or shutil.which("cc")
    if not compiler:
        return None
    library = Path(directory) / "machine.so"
    options = ["-O2", "-ffp-contract=fast", "-fPIC", "-shared", "-pthread"]
    source = Path(__file__).with_suffix(".c")
    subprocess.run([*compiler.split(), *options, source, "-o", library], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.barriers.argtypes = [ctypes.c_ssize_t]
    return loaded


def aligned(size: int) -> np.ndarray:
    """Ones that begin at a cache line."""
    array = np.ones(size + 7)
    return array[-array.ctypes.data % 64 // 8 :][:size]


def calling(f: Callable[[], object]) -> Callable[[int], None]:
    def run(n: int) -> None:
        for _ in repeat(None, n):
            f()

    return run


def fma_flop() -> int:
    """Of one repetition of machine.c's fma: twelve multiply-adds of a vector."""
    return 24 * {"avx512": 8, "avx2": 4}.get(dl.runtime()["isa"], 2)


def multiply_adds() -> Callable[[int], object] | None:
    """Repetitions of twelve multiply-adds of a vector; None where there is no C compiler."""
    with tempfile.TemporaryDirectory() as directory:
        library = compiled(directory)
    if library is None:
        return None
    f = getattr(library, f"fma_{dl.runtime()['isa']}")
    f.restype, f.argtypes = ctypes.c_double, [ctypes.c_ssize_t]
    return f


def rates(threads: int) -> Rates | None:
    """Measure them for deltaloop's instruction set; None where there is no C compiler."""
    isa = dl.runtime()["isa"]
    with tempfile.TemporaryDirectory() as directory:
        library = compiled(directory)
        if library is None:
            return None

        def function(name: str, *arguments: np.ndarray | int) -> Callable[[int], object]:
            f = getattr(library, f"{name}_{isa}")
            f.restype = ctypes.c_double
            f.argtypes = [ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_ssize_t][: 1 + len(arguments)]
            given = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
            return lambda n: f(n, *given)

        flop = fma_flop()
        sizes = cache_sizes()
        held = {name: size // 2 for name, size in sizes.items()}
        # The L3 cache is shared, with other machines too perhaps.
        held["L3"] = min(sizes["L3"] // 4, 8 * sizes["L2"])
        held["DRAM"] = 4 * sizes["L3"]
        bandwidth, bandwidth_all = {}, {}
        for name, size in held.items():
            doubles = size // 512 * 64
            arrays = [aligned(doubles) for _ in range(threads)]
            loads = [function("load", array, doubles) for array in arrays]
            bandwidth[name] = 8 * doubles / shortest(loads[0])
            bandwidth_all[name] = (
                8 * doubles * threads / together(loads) if threads > 1 else bandwidth[name]
            )
        flops = flop / shortest(function("fma"))
        z = aligned(1024)
        result, moments = np.zeros(1), aligned(1024)
        return Rates(
            isa=isa,
            threads=threads,
            flops=flops,
            flops_all=flop * threads / together([function("fma")] * threads),
            fma_latency=shortest(function("fma_latency")),
            sigmoid=shortest(function("sigmoid", z, z.size)) / z.size,
            sigmoid_latency=shortest(function("sigmoid_latency")),
            adam=shortest(function("adam", moments, moments.size)) / (moments.size // 4),
            barrier=barrier(library),
            call=shortest(calling([].reverse)),
            array=shortest(calling(result.copy)),
            sizes=sizes,
            bandwidth=bandwidth,
            bandwidth_all=bandwidth_all,
        )


def barrier(library: ctypes.CDLL) -> float:
    """Seconds of one barrier: of many, less those that start and end the thread."""
    many, few = 3000, 300
    took = {}
    for n in (many, few):
        times = []
        for _ in range(3 * TIMINGS):
            start = time.perf_counter()
            library.barriers(n)
            times.append(time.perf_counter() - start)
        took[n] = min(times)
    # Where a thread started late, the difference may be anything.
    return max(took[many] - took[few], 0.0) / (many - few)


def lines(found: Rates) -> list[str]:
    """The rates for people."""
    nano, giga = 1e9, 1e-9
    speeds = ", ".join(
        f"{level} {found.bandwidth[level] * giga:.0f} ({found.bandwidth_all[level] * giga:.0f})"
        for level in found.bandwidth
    )
    return [
        f"multiply-adds, {found.isa}: {found.flops * giga:.0f} GFLOP/s on one core, "
        f"{found.flops_all * giga:.0f} on {found.threads}; one after the other "
        f"{found.fma_latency * nano:.2f} ns",
        f"reading, GB/s on one core (on {found.threads}): {speeds}",
        f"a sigmoid of the fewest operations: {found.sigmoid * nano:.2f} ns an element, one after "
        f"the other {found.sigmoid_latency * nano:.1f} ns; Adam's update of a parameter: "
        f"{found.adam * nano:.2f} ns",
        f"a barrier of two threads: {found.barrier * nano:.0f} ns; a call from Python: "
        f"{found.call * nano:.0f} ns, with a new array {found.array * nano:.0f} ns",
    ]


if __name__ == "__main__":
    measured = rates(environment.cpus())
    print("\n".join(lines(measured)) if measured else "no C compiler")
    print(asdict(measured) if measured else "")
