"""How good predictions are: a row for each measure, the one place where they are computed.

A measure of classes takes the true class numbers y (n,), the probabilities (n, k) and the class
numbers that were guessed, (n,); a measure of values takes y (n,) and the predicted ones, (n,). A
baseline is measured by the same rows, with its own predictions. What is not defined is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CLASSES",
    "VALUES",
    "Measure",
    "accuracy",
    "balanced_accuracy",
    "confusion",
    "log_loss",
    "mae",
    "measured",
    "precision_recall",
    "r2",
    "rmse",
    "roc_auc",
]

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]


def r2(y: Floats, predicted: Floats) -> float:
    """Return the mean over the columns of 1 - residual / total sum of squares.

    A constant column counts as 1 if it is predicted exactly, else as 0. NaN of fewer than two
    rows, which do not vary.
    """
    if len(y) < 2:
        return math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        residual = ((y - predicted) ** 2).sum(axis=0)
        total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
        constant = y.max(axis=0) == y.min(axis=0)
        scores = 1 - residual / np.where(constant, 1.0, total)
    return float(np.where(constant, residual == 0, scores).mean())


def rmse(y: Floats, predicted: Floats) -> float:
    """Return the root of the mean squared error, in the units of y. NaN of no rows."""
    if not len(y):
        return math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        off = y - predicted
        most = float(np.abs(off).max())  # the square of a large number would overflow
        if not 0.0 < most < math.inf:
            return most
        return most * math.sqrt(float(((off / most) ** 2).mean()))


def mae(y: Floats, predicted: Floats) -> float:
    """Return the mean of the absolute errors, in the units of y. NaN of no rows."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.abs(y - predicted).mean()) if len(y) else math.nan


def confusion(y: Numbers, guess: Numbers, k: int) -> NDArray[np.intp]:
    """Return how often each pair of a true class and a guessed one occurs, (k, k)."""
    return np.bincount(y * k + guess, minlength=k * k).reshape(k, k)


def accuracy(y: Numbers, p: Floats, guess: Numbers) -> float:
    """Return the part of the rows whose class was guessed. NaN of no rows."""
    return float(np.mean(y == guess)) if len(y) else math.nan


def balanced_accuracy(y: Numbers, p: Floats, guess: Numbers) -> float:
    """Return the mean of the recall of the classes that occur. NaN of no rows."""
    recall = precision_recall(y, guess, p.shape[1])[1]
    known = recall[np.isfinite(recall)]
    return float(known.mean()) if known.size else math.nan


def log_loss(y: Numbers, p: Floats, guess: Numbers) -> float:
    """Return the mean of -log of the probability of the true class. NaN of no rows.

    Probabilities are divided by their sum and kept from 0, as scikit-learn does.
    """
    if not len(y):
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        own = p[np.arange(len(y)), y] / p.sum(axis=1)
    tiny = np.finfo(np.float64).eps
    return float(-np.log(np.clip(own, tiny, 1.0 - tiny)).mean())


def roc_auc(y: Numbers, p: Floats, guess: Numbers) -> float:
    """Return the area under the ROC curve: of the second of two classes, else the mean of each.

    It is the probability that a row of the class gets a higher probability of it than another row
    does, where equal ones count a half. Classes that no row, or every row, has do not count; NaN
    without any other.
    """
    k = p.shape[1]
    areas = [_area(y == c, p[:, c]) for c in (range(1, 2) if k == 2 else range(k))]
    known = [area for area in areas if math.isfinite(area)]
    return sum(known) / len(known) if known else math.nan


def _area(positive: NDArray[np.bool_], score: Floats) -> float:
    n = int(positive.sum())
    others = len(positive) - n
    if not n or not others or np.isnan(score).any():
        return math.nan
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - 0.5 * (counts - 1)  # the mean rank of those that are equal
    return (float(ranks[place[positive]].sum()) - 0.5 * n * (n + 1)) / (n * others)


def precision_recall(y: Numbers, guess: Numbers, k: int) -> tuple[Floats, Floats]:
    """Return precision and recall of each class, (k,).

    Precision is the part of the rows guessed as the class that are of it, NaN where there are none;
    recall the part of the rows of the class that were guessed as it, NaN where there are none.
    """
    counts = confusion(y, guess, k)
    right = np.diag(counts)
    with np.errstate(invalid="ignore"):
        return right / counts.sum(axis=0), right / counts.sum(axis=1)


class Measure(NamedTuple):
    """One measure: its name in reports, what it is called, what it says, and its function."""

    name: str
    label: str
    meaning: str
    of: Callable[..., float]
    # Whether it is in the units of the target.
    unit: bool = False
    # Whether lower ones are better.
    lower: bool = False


CLASSES = (
    Measure("accuracy", "accuracy", "the part of the rows that are right", accuracy),
    Measure(
        "balanced_accuracy",
        "balanced accuracy",
        "the same with every class counting as much, however rare",
        balanced_accuracy,
    ),
    Measure(
        "log_loss",
        "log loss",
        "how far the probabilities are from the truth; lower is better, 0 is best",
        log_loss,
        lower=True,
    ),
    Measure(
        "roc_auc",
        "ROC AUC",
        "how well the probabilities rank the rows; 0.5 is chance, 1 is best",
        roc_auc,
    ),
)
VALUES = (
    Measure("r2", "R^2", "the part of the variation that is explained; 1 is best", r2),
    Measure(
        "rmse",
        "RMSE",
        "how far off, where large errors count more; lower is better",
        rmse,
        unit=True,
        lower=True,
    ),
    Measure(
        "mae",
        "MAE",
        "how far off on average; lower is better",
        mae,
        unit=True,
        lower=True,
    ),
)


def measured(rows: Sequence[Measure], *arrays: NDArray[Any]) -> dict[str, float | None]:
    """Return all measures of predictions by their names; None where one is not defined."""
    found = {row.name: row.of(*arrays) for row in rows}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}
