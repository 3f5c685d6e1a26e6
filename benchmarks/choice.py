"""What ``fit`` makes of a task without a solver, beside scikit-learn's MLP with its defaults.

Both have the same hidden layers and the same standardised rows, and are judged by the same rows
held out, with one thread. Scores are medians over the seeds, seconds are CPU times, their medians.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
from choice_tasks import CONFIRMATION, TUNING, Floats, Task
from numpy.typing import NDArray
from table import duration, table

SEEDS = 10


def ours(task: Task, X: Floats, y: NDArray, held: Floats, seed: int) -> tuple[NDArray, str]:
    """What is predicted, and what was chosen."""
    net = task.network(X, y, seed)
    result = net.fit(X, y, n_threads=1)
    name = type(result.solver).__name__
    predicted = net.classify(held) if task.kind == "class" else net.predict(held)
    return predicted, f"{name}, l2={result.l2:g}" if result.l2 else name


def theirs(task: Task, X: Floats, y: NDArray, held: Floats, seed: int) -> tuple[NDArray, str]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPClassifier if task.kind == "class" else MLPRegressor
    middle, spread = (y.mean(), y.std()) if task.kind == "count" else (0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = kind(hidden_layer_sizes=task.hidden, random_state=seed)
        estimator.fit(X, (y - middle) / spread if task.kind == "count" else y)
    predicted = estimator.predict(held)
    return predicted * spread + middle if task.kind == "count" else predicted, ""


def measured(task: Task, method: Callable[..., tuple[NDArray, str]]) -> list:
    """Score and CPU seconds of a fit, for each seed, and how often what was chosen."""
    runs, chosen = [], Counter()
    for seed in range(SEEDS):
        found, seconds = [], 0.0
        for X, y, held, expected in task.splits(seed):
            began = time.process_time()
            predicted, name = method(task, X, y, held, seed)
            seconds += time.process_time() - began
            found.append((predicted, expected))
            chosen[name] += 1
        runs.append((task.score(found), seconds / len(found)))
    return [*map(statistics.median, zip(*runs, strict=True)), chosen.most_common(1)[0][0]]


def row(task: Task) -> dict:
    """Measure a task: the shape and both sides."""
    X, y, _, _ = next(task.splits(0))
    net = task.network(X, y, 0)
    shape = f"{len(X):,} x {'-'.join(map(str, net.layers))}, {task.activation}"
    return {"shape": shape, "ours": measured(task, ours), "theirs": measured(task, theirs)}


def rows(tasks: Sequence[Task]) -> dict[str, Callable[[], dict]]:
    """Of the tasks whose packages are installed."""
    present = [task for task in tasks if not task.package or find_spec(task.package)]
    return {task.name: lambda task=task: row(task) for task in present}


def tuning_rows() -> dict[str, Callable[[], dict]]:
    return rows(TUNING)


def confirmation_rows() -> dict[str, Callable[[], dict]]:
    return rows(CONFIRMATION)


def text(found: dict[str, dict]) -> str:
    """The better score of a row is bold; the last rows are the mean, and the worst difference."""
    lines = []
    for name, entry in found.items():
        (score, seconds, chosen), (other, others_seconds, _) = entry["ours"], entry["theirs"]
        scores = [f"{score:.3f}", f"{other:.3f}"]
        best = int(other > score)
        scores[best] = f"**{scores[best]}**"
        times = [duration(seconds), duration(others_seconds)]
        lines.append([name, entry["shape"], chosen, scores[0], times[0], scores[1], times[1]])
    sides = [[entry[side][:2] for entry in found.values()] for side in ("ours", "theirs")]
    (a, s), (b, t) = (np.transpose(side) if side else np.zeros((2, 1)) for side in sides)
    means = [f"{a.mean():.3f}", duration(s.mean()), f"{b.mean():.3f}", duration(t.mean())]
    lines.append(["mean", "", "", *means])
    header = ["", "rows, layers", "chosen most often", "fit", "time", "scikit-learn", "time"]
    worst = f"The largest loss against scikit-learn is {max(0.0, (b - a).max()):.3f}."
    return f"{table(header, lines)}\n\n{worst}"
