"""Where the bounds of the rule that chooses a solver come from: equal CPU times, two solvers.

Levenberg-Marquardt does 100 iterations on Friedman's function, and L-BFGS what it can in that time;
Adam its epochs on more and more rows of two data sets, and L-BFGS again.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import problems
from problems import DataSet
from table import duration, table

import deltaloop as dl
from deltaloop._fit import choice as _choice
from deltaloop.solvers import Solver

SEEDS = 3
ITERATIONS = 100
# CPU seconds that Levenberg-Marquardt has at most; operations of an iteration that is left out.
MOST, HEAVY = 3.0, 2e9


def curve(data: DataSet, rows: int, seed: int, solver: Solver, epochs: int, most: float) -> list:
    """CPU seconds and cost a row after each epoch, in the first of the training rows."""
    X, y = (v[:rows] for v in data.split()[:2])
    points: list[tuple[float, float]] = []
    net = data.network(seed)
    began = time.process_time()

    def note(info: dl.EpochInfo) -> bool:
        points.append((time.process_time() - began, info.cost / rows))
        return points[-1][0] > most

    net.fit(X, y, solver=solver, max_epochs=epochs, tol=0, n_threads=1, callback=note)
    return points


def at(points: list, seconds: float) -> float:
    """The cost by then, or infinity."""
    return next((cost for now, cost in reversed(points) if now <= seconds), float("inf"))


def beside(data: DataSet, rows: int, solver: Solver, epochs: int) -> list:
    """Seconds of the solver, costs of both in a tenth of them and in all."""
    runs = []
    for seed in range(SEEDS):
        own = curve(data, rows, seed, solver, epochs, MOST)
        spent = own[-1][0]
        other = curve(data, rows, seed, dl.LBFGS(), 2**62, spent)
        times = (0.1 * spent, 0.1 * spent, spent, spent)
        costs = [at(p, t) for p, t in zip((own, other) * 2, times, strict=True)]
        runs.append([spent, *costs])
    return [statistics.median(values) for values in zip(*runs, strict=True)]


def rows() -> dict[str, Callable[[], list]]:
    found: dict[str, Callable[[], list]] = {}
    for noise in (0.0, 1.0):
        for n in (200, 1000, 5000):
            for units in (5, 10, 20, 40, 80):
                data = replace(problems.friedman(n * 5 // 4, noise), hidden=(units,))
                work = _choice.least_squares_work(data.network(0), n)
                if work <= HEAVY:
                    name = f"Friedman, noise {noise:g}, {n} rows, 10-{units}-1"
                    found[name] = lambda data=data, n=n: beside(
                        data, n, dl.LevenbergMarquardt(min_gradient=0), ITERATIONS
                    )
    for name, hidden in (("houses", (20,)), ("categories", (16,)), ("categories", (64,))):
        for n in (500, 1000, 2000, 4000, 8000):

            def row(name: str = name, hidden: tuple[int, ...] = hidden, n: int = n) -> list:
                data = replace(problems.DATA_SETS[name](), hidden=hidden)
                return beside(data, n, *_choice.choose(data.network(0), n, dropout=0.5))

            layers = "-".join(map(str, hidden))
            found[f"{name}, {n} rows, {layers} units"] = row
    return found


def text(found: dict[str, list]) -> str:
    """Adam's costs are those of an epoch's batches before their steps."""
    lines = []
    for name, (seconds, *costs) in found.items():
        lines.append([name, duration(seconds), *(f"{cost:.2g}" for cost in costs)])
    header = ["", "time", "cost a row in a tenth of it", "L-BFGS", "in all of it", "L-BFGS"]
    return table(header, lines)
