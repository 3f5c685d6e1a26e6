"""Time to a goal: solver by solver on one problem to several goals, and on many problems to one.

The expected time to a goal is the time of all runs, those that were given up too, over the number
of those that reached it: what starting again until it works takes on average.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import astuple, replace

import methods
import numpy as np
import problems
from methods import Hit, Method
from table import bold, digits, duration, table

import deltaloop as dl

STARTS = 100
# (methods, starts, CPU seconds of a run at most). Peers take four times as long an iteration.
SINC = (
    (methods.LEAST_SQUARES, STARTS, 1.0),
    (methods.GRADIENTS, STARTS, 1.0),
    (methods.PEERS[:1], 30, 4.0),
    (methods.PEERS[1:], 10, 4.0),
)
SEEDS = 30


def measured(method: Method, problem: problems.Problem, starts: int, cap: float) -> dict:
    """Hits by start and goal."""
    method.warm(problem, cap)
    runs = [method.run(problem, seed, cap) for seed in range(starts)]
    return {"cap": cap, "runs": [[astuple(hit) for hit in run] for run in runs]}


def column(found: dict, goal: int) -> list[Hit]:
    return [Hit(*run[goal]) for run in found["runs"]]


def expected(hits: list[Hit]) -> float:
    """Seconds; infinite where no start reached the goal."""
    reached = sum(hit.reached for hit in hits)
    return sum(hit.seconds for hit in hits) / reached if reached else float("inf")


def cell(hits: list[Hit], epochs: bool = True) -> str:
    """Expected time, median iterations of the successes, their number where it is not all."""
    reached = [hit.epochs for hit in hits if hit.reached]
    if not reached:
        return "never"
    middle = f", {statistics.median(reached):.0f}" if epochs and any(reached) else ""
    share = "" if len(reached) == len(hits) else f" ({len(reached)})"
    return duration(expected(hits)) + middle + share


# ---- sinc ----


def sinc_rows() -> dict[str, Callable[[], dict]]:
    problem = problems.sinc()
    return {
        method.name: lambda method=method, starts=starts, cap=cap: measured(
            method, problem, starts, cap
        )
        for group, starts, cap in SINC
        for method in group
        if method.present()
    }


def sinc_text(found: dict[str, dict]) -> str:
    goals = [f"{goal:.0e}".replace("e-0", "e-") for goal in problems.sinc().goals]
    lines = []
    for name, entry in found.items():
        starts = len(entry["runs"])
        shown = f"**{name}, the default**" if name == methods.DEFAULT else name
        texts = [cell(column(entry, i)) for i in range(len(goals))]
        lines.append([shown, *texts, f"{starts} of {entry['cap']:g} s"])
    return table(["", *goals, "runs"], lines) + claims(found, goals)


def claims(found: dict[str, dict], goals: list[str]) -> str:
    """The default beside SciPy's least squares, as a table."""
    peer = methods.PEERS[0].name
    if not {methods.DEFAULT, peer} <= found.keys():
        return ""
    own = found[methods.DEFAULT]
    ratios, shares = [], []
    for i in range(len(goals)):
        hits = column(own, i)
        shares.append(f"{sum(hit.reached for hit in hits)}")
        ratios.append(f"{expected(column(found[peer], i)) / expected(hits):.0f}x")
    lines = [
        [f"starts of {len(own['runs'])} from which the default reaches the goal", *shares],
        [f"the time of {peer}, as a multiple", *ratios],
    ]
    return "\n\n" + table(["", *goals], lines)


# ---- many problems ----


def problem_rows() -> dict[str, Callable[[], dict]]:
    def row(make, method):
        problem = make()
        return measured(method, problem, SEEDS, problem.cap)

    return {
        f"{name} | {method.name}": lambda make=make, method=method: row(make, method)
        for name, make in problems.PROBLEMS.items()
        for method in methods.SOLVERS
    }


def problem_text(found: dict[str, dict]) -> str:
    lines = []
    for name in problems.PROBLEMS:
        hits = [column(found[f"{name} | {method.name}"], 0) for method in methods.SOLVERS]
        best = min(map(expected, hits))
        lines.append([name, *(bold([cell(h, epochs=False)], expected(h) == best)[0] for h in hits)])
    names = [method.name for method in methods.SOLVERS]
    return f"{table(['', *names], lines)}\n\n{description()}"


def description() -> str:
    """The problems: data, size, goal and the rates that were tuned."""
    lines = []
    for name, make in problems.PROBLEMS.items():
        problem = make()
        rates = [f"{value:g}" for value in problem.rates]
        P = problem.network(0).n_parameters
        size = [f"{len(problem.X):,}", f"{P:,}", f"{problem.goals[0]:g}"]
        lines.append([name, *size, problem.output, *rates, problem.about])
    header = ["", "rows", "P", "goal", "output", "rate x rows", "momentum", "Adam", "data"]
    return table(header, lines)


# ---- one iteration ----

ITERATIONS, REPEATS = 200, 5
# Of Levenberg and Marquardt's method, on random data.
LARGER = (((1, 20, 1), 1000), ((2, 30, 2), 1199), ((10, 64, 1), 5000), ((4, 32, 16, 4), 2000))


def iteration_rows() -> dict[str, Callable[[], list]]:
    """Median seconds of an iteration: of each method on sinc, of the default on larger networks."""
    problem = problems.sinc()

    def row(method: Method) -> list:
        method.iteration(problem, 0, ITERATIONS)
        times = [method.iteration(problem, s % 3, ITERATIONS) for s in range(REPEATS)]
        return [statistics.median(times)]

    def larger(layers: tuple[int, ...], n: int) -> list:
        rng = np.random.default_rng(0)
        net = dl.Network(layers, activation="tanh", output="identity", seed=0)
        X, Y = rng.uniform(-1, 1, (n, layers[0])), rng.normal(size=(n, layers[-1]))
        times = []
        for _ in range(REPEATS):
            began = time.process_time()
            result = net.fit(X, Y, solver=dl.LevenbergMarquardt(), max_epochs=5, tol=0, n_threads=1)
            times.append((time.process_time() - began) / result.epochs)
        P = net.n_parameters
        return [statistics.median(times), n, P, n * layers[-1] * P * (P + 1)]

    default = [m for m in methods.LEAST_SQUARES if m.name == methods.DEFAULT]
    chosen = [*default, *methods.GRADIENTS, *methods.PEERS]
    return {m.name: lambda m=m: row(m) for m in chosen if m.present()} | {
        "-".join(map(str, layers)): lambda layers=layers, n=n: larger(layers, n)
        for layers, n in LARGER
    }


def iteration_text(found: dict[str, list]) -> str:
    small = [[name, duration(entry[0])] for name, entry in found.items() if len(entry) == 1]
    large = [
        [
            name,
            f"{entry[1]:,}",
            f"{entry[2]:,}",
            duration(entry[0]),
            digits(entry[3] / entry[0] / 1e9),
        ]
        for name, entry in found.items()
        if len(entry) > 1
    ]
    header = ["Levenberg-Marquardt", "rows", "P", "one iteration", "GFLOP/s of J^T J alone"]
    return f"{table(['sinc', 'one iteration'], small)}\n\n{table(header, large)}"


# ---- cost against time ----

CURVES, CURVE_STARTS = 1.0, 20


def curve_rows() -> dict[str, Callable[[], list]]:
    """Mean squared errors over CPU seconds from each start, on sinc."""
    problem = problems.sinc()
    default = [m for m in methods.LEAST_SQUARES if m.name == methods.DEFAULT]

    def row(method: methods.Deltaloop) -> list:
        method.warm(problem, CURVES)
        return [method.curve(problem, seed, CURVES) for seed in range(CURVE_STARTS)]

    return {m.name: lambda m=m: row(m) for m in [*default, *methods.GRADIENTS]}


# ---- tuning ----

GRIDS = (
    (0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    (0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    (0.003, 0.01, 0.03, 0.1, 0.3),
)


def tune_rows() -> dict[str, Callable[[], str]]:
    """For each problem and each solver with a rate: expected time to the first goal by rate."""

    def row(make, index: int) -> str:
        times = {}
        for value in GRIDS[index]:
            problem = make()
            rates = tuple(value if i == index else r for i, r in enumerate(problem.rates))
            problem = replace(problem, goals=problem.goals[:1], rates=rates)
            entry = measured(methods.SOLVERS[index], problem, 8, problem.cap)
            hits = column(entry, 0)
            # One that diverges at once is no better than one that takes all its time.
            times[value] = expected(
                [h if h.reached else replace(h, seconds=problem.cap) for h in hits]
            )
        texts = [f"{rate:g}: {duration(s) if s < 1e9 else 'never'}" for rate, s in times.items()]
        return f"best {min(times, key=times.__getitem__):g}; " + ", ".join(texts)

    return {
        f"{name} | {methods.SOLVERS[index].name}": lambda make=make, index=index: row(make, index)
        for name, make in {"sinc": problems.sinc, **problems.PROBLEMS}.items()
        for index in range(len(GRIDS))
    }


def tune_text(found: dict[str, str]) -> str:
    return "\n".join(f"{name}: {text}" for name, text in found.items())
