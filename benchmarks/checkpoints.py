"""What a checkpoint costs: the table of docs/reference/checkpoints.md.

The same fit with a file, written every 60 s as by default, and without one, turn by turn; and one
writing of its state, with what it waits for the disk.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from typing import Any

import numpy as np

import deltaloop as dl
from deltaloop._fit import autosave

TURNS = 7
CASES = (
    ("64-32-10", dl.Adam(1e-3, batch_size=32), 20),
    ("64-32-10", dl.LBFGS(), 20),
    ("784-300-10", dl.Adam(1e-3, batch_size=32), 1),
    ("784-1000-1000-10", dl.Adam(1e-3, batch_size=256), 1),
)


def main() -> None:
    rng = np.random.default_rng(0)
    print(
        "| network | solver | file | one writing | a fit without | with, first and last writing |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for name, solver, epochs in CASES:
        layers = [int(part) for part in name.split("-")]
        X, y = rng.normal(size=(2000, layers[0])), rng.integers(0, 10, size=2000)
        times: dict[str, list[float]] = {"without": [], "with": [], "writing": []}
        write, writing = autosave._files.write, times["writing"]

        def timed(*args: Any, write: Any = write, writing: list[float] = writing) -> None:
            began = time.perf_counter()
            write(*args)
            writing.append(time.perf_counter() - began)

        autosave._files.write = timed
        with tempfile.TemporaryDirectory(dir=".") as folder:
            path = os.path.join(folder, "run")
            for _ in range(TURNS):
                for key, given in (("without", {}), ("with", {"checkpoint": path})):
                    net = dl.Network(layers, activation="relu", loss="cross_entropy", seed=0)
                    began = time.perf_counter()
                    net.fit(X, y, solver=solver, max_epochs=epochs, tol=0.0, **given)
                    times[key].append(time.perf_counter() - began)
            size = os.path.getsize(path)
        autosave._files.write = write
        middle = {key: statistics.median(values) for key, values in times.items()}
        print(
            f"| {name} | {type(solver).__name__} | {size / 1e6:.2f} MB | "
            f"{middle['writing'] * 1e3:.1f} ms | {middle['without'] * 1e3:.1f} ms | "
            f"{middle['with'] * 1e3:.1f} ms |",
            flush=True,
        )


if __name__ == "__main__":
    main()
