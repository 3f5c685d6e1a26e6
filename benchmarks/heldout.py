"""Training where rows are held out: digits with 8, 22 and 152 layers, with skips and without."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import problems
from table import duration, table

import deltaloop as dl
from deltaloop.schedules import Cosine

DEPTHS, WIDTH = (8, 22, 152), 32
DEPTH_EPOCHS, DEPTH_SEEDS = 30, 3


def depth_rows() -> dict[str, Callable[[], list]]:
    return {
        f"{depth} layers{', residual' if residual else ''}": lambda d=depth, r=residual: deep(d, r)
        for depth in DEPTHS
        for residual in (False, True)
    }


def deep(depth: int, residual: bool) -> list:
    """CPU seconds, cost a row and accuracy on the rows held out, by seed."""
    data = problems.digits()
    X, y, held_X, held_y = data.split()
    layers = [X.shape[1], *[WIDTH] * (depth - 1), data.classes]
    options = {"activation": "tanh", "loss": "cross_entropy", "residual": residual}
    runs = []
    for seed in range(DEPTH_SEEDS):
        net = dl.Network(layers, seed=seed, **options)
        solver = dl.Adam(Cosine(0.001, epochs=DEPTH_EPOCHS, warmup=3), batch_size=32)
        began = time.process_time()
        result = net.fit(X, y, solver=solver, max_epochs=DEPTH_EPOCHS, tol=0, n_threads=1)
        seconds = time.process_time() - began
        runs.append((seconds, result.cost / len(X), data.quality(net, held_X, held_y)))
    return runs


def depth_text(found: dict[str, list]) -> str:
    """Nothing where nothing was measured."""
    lines = []
    for name, runs in found.items():
        seconds, costs, qualities = zip(*runs, strict=True)
        line = [duration(statistics.median(seconds)), f"{statistics.median(costs):.2g}"]
        lines.append([name, *line, ", ".join(f"{quality:.3f}" for quality in sorted(qualities))])
    header = ["", "time", "cost a row", "accuracy held out, each seed"]
    return table(header, lines) if lines else ""
