"""Training where rows are held out: what the rule chooses against what it could have chosen.

`depth`, beside it, trains digits with 8, 22 and 152 layers, with and without skip connections.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import problems
from problems import DataSet
from table import duration, table

import deltaloop as dl
from deltaloop._fit import choice as _choice
from deltaloop.schedules import Cosine
from deltaloop.solvers import Solver

SEEDS = 3
# An iteration of more floating-point operations takes some tenths of a second: left out.
HEAVY = 1e10


def alternatives(net: dl.Network, n: int) -> dict[str, tuple[Solver, int]]:
    """What may be chosen, each with the epochs that the rule would give it."""
    adam = _choice.choose(net, n, dropout=0.5)
    full = _choice.FULL_BATCH_EPOCHS
    found: dict[str, tuple[Solver, int]] = {}
    if _choice.least_squares_work(net, n) <= HEAVY:
        epochs = _choice.LEAST_SQUARES_EPOCHS
        found["LM"] = dl.LevenbergMarquardt(), epochs
        if net.loss == "squared_error":
            found["Bayesian"] = dl.BayesianRegularization(), epochs
    return found | {
        "LBFGS": (dl.LBFGS(), full),
        "SCG": (dl.ScaledConjugateGradient(), full),
        "Rprop": (dl.Rprop(), full),
        "Adam": adam,
    }


def trained(data: DataSet, chosen: tuple[Solver, int], seed: int, most: float) -> tuple:
    """CPU seconds, cost a row and quality on the rows held out; stopped after `most` seconds."""
    X, y, held_X, held_y = data.split()
    net = data.network(seed)
    solver, epochs = chosen
    began = time.process_time()
    result = net.fit(
        X,
        y,
        solver=solver,
        max_epochs=epochs,
        n_threads=1,
        callback=lambda _: time.process_time() - began > most,
        callback_every=max(1, epochs // 100),
    )
    seconds = time.process_time() - began
    return seconds, result.cost / len(X), data.quality(net, held_X, held_y), result.epochs


# CPU seconds after which a fit is ended.
MOST = 5.0


def choice_rows() -> dict[str, Callable[[], dict]]:
    def row(make: Callable[[], DataSet]) -> dict:
        data = make()
        n, net = len(data.split()[0]), data.network(0)
        chosen = _choice.choose(net, n)[0]
        found = {}
        for name, alternative in alternatives(net, n).items():
            runs = [trained(data, alternative, seed, MOST) for seed in range(SEEDS)]
            found[name] = [statistics.median(values) for values in zip(*runs, strict=True)]
            if type(alternative[0]) is type(chosen):
                taken = name
        layers = "-".join(map(str, net.layers))
        return {"about": data.about, "layers": layers, "n": n, "taken": taken, "found": found}

    return {name: lambda make=make: row(make) for name, make in problems.DATA_SETS.items()}


def choice_text(found: dict[str, dict]) -> str:
    """A cell: time, cost a row, quality held out; what the rule takes is bold."""
    names = ["LM", "LBFGS", "Adam", "SCG", "Rprop", "Bayesian"]
    lines = []
    for name, entry in found.items():
        line = [f"{name}: {entry['about']}; {entry['layers']}"]
        for method in names:
            if method not in entry["found"]:
                line.append("")
                continue
            seconds, cost, quality, _ = entry["found"][method]
            text = f"{duration(seconds)}, {cost:.1e}, {quality:.3f}"
            line.append(f"**{text}**" if method == entry["taken"] else text)
        lines.append(line)
    return table(["", *names], lines)


# ---- depth ----

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
