"""Training on rows that are read block by block: peak memory, and the speed beside memory.

    python benchmarks/stream.py make higgs.parquet --rows 20000000   # also .npy
    python benchmarks/stream.py memory higgs.parquet                 # one epoch; the peak
    python benchmarks/stream.py speed part.parquet --rows 1000000    # beside these rows in memory

The rows have HIGGS's shape: 28 inputs, a target of 0 or 1, float32; the network is 28-64-64-1.
`speed` times epochs of both in turns, in one process, and prints medians.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import deltaloop as dl
from deltaloop._blocks import windows

COLUMNS = 28
BLOCK = 100_000


def rows(n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Generate rows in blocks, always the same ones."""
    for number, begin in enumerate(range(0, n, BLOCK)):
        random = np.random.default_rng(number)
        x = random.standard_normal((min(BLOCK, n - begin), COLUMNS), dtype=np.float32)
        score = x[:, 0] * x[:, 1] + np.sin(x[:, 2]) + x[:, 3:8].sum(axis=1) / 4
        yield x, (score + random.standard_normal(len(x)) > 0).astype(np.float32)


def make(path: Path, n: int) -> None:
    """Write rows to a Parquet file, or to X.npy and X.y.npy."""
    if path.suffix == ".npy":
        x = np.lib.format.open_memmap(path, "w+", np.float32, (n, COLUMNS))
        y = np.lib.format.open_memmap(path.with_suffix(".y.npy"), "w+", np.float32, (n,))
        begin = 0
        for block, target in rows(n):
            x[begin : begin + len(block)], y[begin : begin + len(block)] = block, target
            begin += len(block)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"x{j}" for j in range(COLUMNS)] + ["y"]
    schema = pa.schema([(name, pa.float32()) for name in names])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for x, y in rows(n):
            columns = [pa.array(np.ascontiguousarray(x[:, j])) for j in range(COLUMNS)]
            writer.write_table(pa.Table.from_arrays([*columns, pa.array(y)], names))


def data(path: Path) -> tuple[Any, Any]:
    """Return what `fit` takes."""
    if path.suffix != ".npy":
        return path, "y"
    return np.load(path, mmap_mode="r"), np.load(path.with_suffix(".y.npy"), mmap_mode="r")


def network() -> dl.Network:
    """Return the network that is trained."""
    return dl.Network([COLUMNS, 64, 64, 1], activation="relu", loss="cross_entropy", seed=0)


def seconds(x: Any, y: Any, solver: Any, epochs: int) -> tuple[float, bytes]:
    """Return the time of an epoch in the middle, and the result."""
    net = network()
    times: list[float] = []
    net.fit(
        x, y, solver=solver, max_epochs=epochs, tol=0.0, callback=lambda e: times.append(e.seconds)
    )
    # The first epoch has the first pass as well, and the last one of a full batch no gradient.
    spent = np.diff([0.0, *times])[1:-1]
    return statistics.median(spent.tolist()), net.parameters.tobytes()


def solvers(batch: int) -> dict[str, Any]:
    """Return what is timed."""
    return {
        "full batch": dl.GradientDescent(1e-8),
        f"mini-batches of {batch}": dl.Adam(1e-4, batch_size=batch, shuffle=False),
        f"mini-batches of {batch}, shuffled": dl.Adam(1e-4, batch_size=batch, shuffle="blocks"),
    }


def peak() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Do what the command says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("make", "memory", "speed"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=None)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--memory", type=float, default=50e6, help="bytes of the windows")
    parser.add_argument("--solver", type=int, default=None)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.what == "make":
        make(args.path, args.rows or 20_000_000)
        return
    x, y = data(args.path)
    if args.what == "speed":
        windows.MEMORY = int(args.memory)  # so that a million rows do not fit in
    if args.what == "memory":
        before, began = peak(), time.perf_counter()
        result = network().fit(x, y, solver=dl.GradientDescent(1e-9), max_epochs=args.epochs - 1)
        print(f"{result.n_instances:,} rows: peak {peak():.0f} MB, {before:.0f} MB before the fit")
        print(f"{time.perf_counter() - began:.1f} s: {result.history.seconds.round(1)} s an epoch")
        return
    chosen = list(solvers(args.batch).items())
    for name, solver in chosen if args.solver is None else [chosen[args.solver]]:
        parts = list(rows(args.rows or 1_000_000))
        whole = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        times: tuple[list[float], list[float]] = ([], [])
        results = set()
        for _ in range(3):
            for i, given in enumerate((whole, (x, y))):
                took, result_bytes = seconds(*given, solver, args.epochs)
                times[i].append(took)
                results.add(result_bytes)
        memory, stream = map(statistics.median, times)
        same = "the same bytes" if len(results) == 1 else "OTHER BYTES"
        print(
            f"{name}: {memory:.2f} s an epoch in memory, {stream:.2f} s read in blocks, "
            f"{100 * memory / stream:.0f} % of the speed; {same}"
        )


if __name__ == "__main__":
    main()
