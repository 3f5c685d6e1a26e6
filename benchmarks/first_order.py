"""The figures of docs/training-first-order.md: python benchmarks/first_order.py [update] [goals].

`update`: Adam's pass over the parameters against the same reads and writes alone, and whole steps.
`goals`: epochs and seconds of each solver to a goal, from many starts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import deltaloop as dl
from deltaloop.datasets import load_digits
from deltaloop.schedules import Cosine

ROOT = Path(__file__).resolve().parent.parent
SEEDS = 30


def update() -> None:
    """Adam's update alone, by update.c, which is linked to a build of the core."""
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
    print("| ISA | parameters | Adam | GB/s | reads and writes alone | GB/s |")
    print("| --- | --: | --: | --: | --: | --: |")
    for line in out.splitlines():
        isa, P, *times = line.split()
        cells = [f"{float(t):.2f} ns | {56 / float(t):.0f}" for t in times]
        print(f"| {isa} | {int(P):,} | {' | '.join(cells)} |")
    steps()


def steps() -> None:
    """Steps of a trainer on 784-2048-2048-10 with batches of 32, on one thread."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(128, 784)), rng.integers(10, size=128)
    net = dl.Network([784, 2048, 2048, 10], activation="relu", loss="cross_entropy", seed=0)
    solvers = {
        "gradient descent": dl.GradientDescent(1e-6, batch_size=32),
        "with momentum": dl.GradientDescent(1e-6, momentum=0.9, batch_size=32),
        "Adam": dl.Adam(1e-6, batch_size=32),
        "Adam, clip_norm": dl.Adam(1e-6, batch_size=32, clip_norm=1e-3),
    }
    best = dict.fromkeys(solvers, float("inf"))
    for _ in range(5):
        for name, solver in solvers.items():
            trainer = net.trainer(type(solver)(**{**vars(solver), "batch_size": None}), n_threads=1)
            for i in range(0, len(X), 32):
                before = time.perf_counter()
                trainer.step(X[i : i + 32], Y[i : i + 32])
                best[name] = min(best[name], time.perf_counter() - before)
    print("\n| one step on 32 rows | ms |\n| --- | --: |")
    for name, seconds in best.items():
        print(f"| {name} | {seconds * 1e3:.1f} |")


def spirals() -> tuple[np.ndarray, np.ndarray]:
    """The two spirals of Lang and Witbrock: 97 points each, three turns."""
    i = np.arange(97)
    angle, radius = i * np.pi / 16, (104 - i) / 104
    one = np.column_stack([radius * np.sin(angle), radius * np.cos(angle)])
    return np.concatenate([one, -one]), np.repeat([1.0, 0.0], 97)


def goals() -> None:
    """Median epochs and seconds, and how many of the starts got there."""
    digits, labels = load_digits()
    problems = {
        "digits, 64-32-10, cost 18 (0.01 a row)": (
            digits / 16,
            labels,
            lambda seed: dl.Network(
                [64, 32, 10], activation="tanh", loss="cross_entropy", seed=seed
            ),
            17.97,
            300,
            {
                "GradientDescent(0.005, momentum=0.9, batch_size=32)": dl.GradientDescent(
                    0.005, momentum=0.9, batch_size=32
                ),
                "GradientDescent(Cosine(0.005, epochs=60), ...)": dl.GradientDescent(
                    Cosine(0.005, epochs=60), momentum=0.9, batch_size=32
                ),
                "Adam(0.02, batch_size=32)": dl.Adam(0.02, batch_size=32),
                "AdamW(0.02, batch_size=32)": dl.AdamW(0.02, batch_size=32),
                "Adam(0.06)": dl.Adam(0.06),
                'Rprop(variant="minus")': dl.Rprop(variant="minus"),
                "Rprop()": dl.Rprop(),
            },
        ),
        "two spirals, 2-20-20-1, cost 1.94 (0.01 a row)": (
            *spirals(),
            lambda seed: dl.Network(
                [2, 20, 20, 1], activation="tanh", loss="cross_entropy", seed=seed
            ),
            1.94,
            20000,
            {
                "GradientDescent(0.005, momentum=0.9)": dl.GradientDescent(0.005, momentum=0.9),
                "GradientDescent(0.002, momentum=0.9)": dl.GradientDescent(0.002, momentum=0.9),
                "GradientDescent(0.001, momentum=0.9, batch_size=32)": dl.GradientDescent(
                    0.001, momentum=0.9, batch_size=32
                ),
                "Adam(0.03)": dl.Adam(0.03),
                "Adam(0.01, batch_size=32)": dl.Adam(0.01, batch_size=32),
                'Rprop(variant="minus")': dl.Rprop(variant="minus"),
                "Rprop()": dl.Rprop(),
            },
        ),
    }
    warnings.simplefilter("ignore", dl.DivergenceWarning)
    for title, (X, Y, network, goal, most, solvers) in problems.items():
        print(f"\n{title}\n\n| solver | got there | epochs | seconds |\n| --- | --: | --: | --: |")
        for name, solver in solvers.items():
            done = []
            for seed in range(SEEDS):
                result = network(seed).fit(
                    X, Y, solver=solver, goal=goal, tol=0, max_epochs=most, n_threads=1
                )
                if result.stop_reason == "goal":
                    done.append((result.epochs, result.seconds))
            epochs, seconds = (statistics.median(c) for c in zip(*(done or [(0, 0)]), strict=True))
            print(f"| `{name}` | {len(done)} of {SEEDS} | {epochs:.0f} | {seconds:.3g} |")


if __name__ == "__main__":
    for part in sys.argv[1:] or ["update", "goals"]:
        {"update": update, "goals": goals}[part]()
