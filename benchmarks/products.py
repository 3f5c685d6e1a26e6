"""Matrix products beside OpenBLAS's of the same shape, and a sweep of the sizes of their blocks.

    python benchmarks/products.py                    # some shapes, one thread: half a minute
    python benchmarks/products.py --all --threads 2
    python benchmarks/products.py --sweep            # is what the model chooses close to the best?

A shape is rows x inputs x units. products.c does deltaloop's products, linked to a build of the
core; NumPy's np.dot(out=) does the others. Both take turns; the figures are medians, in GFLOP/s.
With --build FOLDER the build is kept there for the next time.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

SHAPES = ["128x512x512", "128x784x512", "256x784x2048", "256x2048x2048", "200x784x128"]
MORE = ["2000x784x128", "10000x784x128", "2000x784x2048", "2000x2048x2048", "512x512x512"]
MORE += ["1024x1024x1024", "257x1031x519"]
LAYOUTS = {"a w + b": 0, "delta w^T": 1, "a^T delta": 2, "C + a^T delta": 3, "w - a^T delta": 4}
WIDTHS = {"avx512": 8, "avx2": 4, "neon": 2}

# Seconds of a turn, and how many there are.
TURN, TURNS = 4e-3, 7


def build(folder: str) -> ctypes.CDLL:
    """products.c and the core as a library."""
    root = Path(__file__).resolve().parent.parent
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(["cmake", "-S", root, "-B", folder, "-DDELTALOOP_C_TESTS=OFF"], **quiet)
    subprocess.run(["cmake", "--build", folder], **quiet)
    sources = [root / "benchmarks" / file for file in ("products.c", "machine.c")]
    compiler = [os.environ.get("CC", "cc"), "-O2", "-fPIC", "-shared", "-ffp-contract=fast"]
    core = [f"{folder}/libdeltaloop_core.a", "-lm", "-lpthread"]
    library = f"{folder}/products.so"
    subprocess.run([*compiler, "-I", root / "csrc", *sources, *core, "-o", library], check=True)
    loaded = ctypes.CDLL(library)
    loaded.product_seconds.restype = ctypes.c_double
    return loaded


def peak(library: ctypes.CDLL, isa: str) -> float:
    """Multiply-adds in registers on one core, FLOP a second."""
    run = getattr(library, f"fma_{isa}")
    run.restype, run.argtypes = ctypes.c_double, [ctypes.c_ssize_t]
    rounds, best = 50000, float("inf")
    for _ in range(20):
        start = time.perf_counter()
        run(rounds)
        best = min(best, time.perf_counter() - start)
    return 24 * WIDTHS[isa] * rounds / best


class Product:
    """One product of a shape, ours and NumPy's: seconds of one."""

    def __init__(self, library: ctypes.CDLL, isa: str, shape: str, layout: int, threads: int):
        rows, inputs, units = map(int, shape.split("x"))
        m, n, k = {0: (rows, units, inputs), 1: (rows, inputs, units)}.get(
            layout, (inputs, units, rows)
        )
        random = np.random.default_rng(0)
        a = random.uniform(0.5, 1.5, (k, m) if layout >= 2 else (m, k))
        b = random.uniform(0.5, 1.5, (n, k) if layout == 1 else (k, n))
        self.c, self.other = np.zeros((m, n)), np.empty((m, n))
        self.left = a.T if layout >= 2 else a
        self.right = b.T if layout == 1 else b
        self.flop = 2.0 * m * n * k
        pointers = [ctypes.c_void_p(x.ctypes.data) for x in (a, b, self.c)]
        sizes = [ctypes.c_size_t(x) for x in (m, n, k, threads)]

        def ours(repeats: int) -> float:
            took = library.product_seconds(
                isa.encode(), layout, *sizes, ctypes.c_size_t(repeats), *pointers
            )
            if took < 0:
                raise RuntimeError(f"no product: is {isa} an instruction set of this machine?")
            return took

        self.ours = ours
        self.kept = a, b

    def numpy(self, repeats: int) -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            np.dot(self.left, self.right, out=self.other)
        return (time.perf_counter() - start) / repeats


def medians(contenders: list[Callable[[int], float]]) -> list[float]:
    """Seconds of one call of each, which take turns."""
    repeats = 1 + int(TURN / contenders[0](1))
    turns = [[contender(repeats) for contender in contenders] for _ in range(TURNS)]
    return [statistics.median(times) for times in zip(*turns, strict=True)]


def compare(library: ctypes.CDLL, isas: list[str], shapes: list[str], threads: int) -> None:
    print("| shape | product | " + " | ".join(isas) + " | NumPy |")
    print("| --- | --- |" + " --: |" * (len(isas) + 1))
    for shape in shapes:
        for name, layout in LAYOUTS.items():
            products = [Product(library, isa, shape, layout, threads) for isa in isas]
            times = medians([p.ours for p in products] + [products[0].numpy])
            cells = " | ".join(f"{1e-9 * products[0].flop / t:.1f}" for t in times)
            print(f"| {shape} | {name} | {cells} |", flush=True)


def sweep(library: ctypes.CDLL, isas: list[str], shapes: list[str]) -> None:
    """The model's sizes against others, in percent of the model's speed."""
    size = ctypes.c_size_t
    kilo = 128  # doubles
    choices = {"the model": (0, 0, 0)}
    choices |= {f"{terms} terms": (terms, 0, 0) for terms in (128, 192, 320, 384, 512)}
    choices |= {f"A of {a} KB": (0, a * kilo, 0) for a in (128, 256, 384, 768)}
    choices |= {f"B of {b} KB": (0, 0, b * kilo) for b in (512, 1024, 4096)}
    for isa in isas:
        print(f"\n{isa}\n\n| blocks | " + " | ".join(shapes) + " |")
        print("| --- |" + " --: |" * len(shapes))
        rows: dict[str, list[float]] = {name: [] for name in choices}
        for shape in shapes:
            product = Product(library, isa, shape, 0, 1)

            def chosen(sizes: tuple[int, int, int], product: Product = product):
                def run(repeats: int) -> float:
                    library.product_blocks(*map(size, sizes))
                    return product.ours(repeats)

                return run

            times = medians([chosen(sizes) for sizes in choices.values()])
            for name, took in zip(choices, times, strict=True):
                rows[name].append(100 * times[0] / took)
        library.product_blocks(size(0), size(0), size(0))
        for name, row in rows.items():
            print(f"| {name} | " + " | ".join(f"{x:.0f} %" for x in row) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isa", help="one instruction set; otherwise all with FMA")
    parser.add_argument("--shapes", nargs="*", help="rows x inputs x units, such as 128x784x512")
    parser.add_argument("--all", action="store_true", help="twelve shapes instead of five")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sweep", action="store_true", help="sizes of blocks instead")
    parser.add_argument("--build", metavar="FOLDER", help="where to build, and to keep the build")
    given = parser.parse_args()
    shapes = given.shapes or (SHAPES + MORE if given.all else SHAPES)
    import deltaloop as dl

    isas = [given.isa] if given.isa else [x for x in dl.runtime()["isas"] if x in WIDTHS]
    with tempfile.TemporaryDirectory() as folder:
        library = build(given.build or folder)
        caches = (ctypes.c_size_t * 3)()
        library.product_caches(caches)
        names = ("L1", "L2", "L3")
        print(", ".join(f"{n} {s >> 10} KB" for n, s in zip(names, caches, strict=True)))
        for isa in isas:
            print(f"multiply-adds at best, {isa}, one core: {1e-9 * peak(library, isa):.1f}")
        with threadpool_limits(given.threads):
            blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
            print(*(f"{p['internal_api']} {p.get('architecture', '')}" for p in blas), "\n")
            if given.sweep:
                sweep(library, isas, shapes)
            else:
                compare(library, isas, shapes, given.threads)


if __name__ == "__main__":
    main()
