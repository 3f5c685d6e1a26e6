"""Adam's pass over the parameters against the same reads and writes alone, and whole steps."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from table import table

import deltaloop as dl

ROOT = Path(__file__).resolve().parent.parent
ROWS = 32


def rows() -> dict[str, Callable[[], list]]:
    return {"update": update, "steps": steps}


def update() -> list:
    """ISA, P, and nanoseconds a parameter of both, by update.c linked to a build of the core."""
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        configure = ["cmake", "-S", ROOT, "-B", folder, "-DDELTALOOP_C_TESTS=OFF"]
        subprocess.run(configure, **quiet)
        subprocess.run(["cmake", "--build", folder], **quiet)
        program = f"{folder}/update"
        compiler = [os.environ.get("CC", "cc"), "-O3", "-march=native"]
        source = ["-I", ROOT / "csrc", ROOT / "benchmarks" / "update.c"]
        libraries = [f"{folder}/libdeltaloop_core.a", "-lm", "-lpthread"]
        subprocess.run([*compiler, *source, *libraries, "-o", program], check=True)
        out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return [line.split() for line in out.splitlines()]


def steps() -> list:
    """The shortest steps of a trainer on 784-2048-2048-10, in seconds."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(4 * ROWS, 784)), rng.integers(10, size=4 * ROWS)
    net = dl.Network([784, 2048, 2048, 10], activation="relu", loss="cross_entropy", seed=0)
    trainers = {
        name: net.trainer(solver, n_threads=1)
        for name, solver in {
            "gradient descent": dl.GradientDescent(1e-6),
            "with momentum": dl.GradientDescent(1e-6, momentum=0.9),
            "Adam": dl.Adam(1e-6),
            "Adam, clip_norm": dl.Adam(1e-6, clip_norm=1e-3),
        }.items()
    }
    best = dict.fromkeys(trainers, float("inf"))
    for _ in range(5):
        for name, trainer in trainers.items():
            for i in range(0, len(X), ROWS):
                before = time.perf_counter()
                trainer.step(X[i : i + ROWS], Y[i : i + ROWS])
                best[name] = min(best[name], time.perf_counter() - before)
    return list(best.items())


def text(found: dict[str, list]) -> str:
    lines = [
        [isa, f"{int(P):,}", *(f"{float(t):.2f} ns | {56 / float(t):.0f}" for t in times)]
        for isa, P, *times in found["update"]
    ]
    header = ["ISA", "parameters", "Adam", "GB/s", "reads and writes alone", "GB/s"]
    whole = [[name, f"{seconds * 1e3:.1f} ms"] for name, seconds in found["steps"]]
    return f"{table(header, lines)}\n\n{table(['one step on 32 rows', ''], whole)}"
