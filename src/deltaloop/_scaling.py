"""What surrounds training on data of a user: scaled columns, rows held out, R^2.

Columns are standardised, because one learning rate then suits all of them, and the scaling is
folded into the trained network, because a model that takes raw inputs and gives raw outputs
cannot be used with the wrong scaling.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop.network import Network
from deltaloop.results import DivergenceWarning, FitResult

__all__ = ["Floats", "Scaling", "fit", "fold", "r2", "shuffled", "split", "split_classes"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """Columns are trained on as (values - mean) / scale."""

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, values: Floats, what: str, constant: float = 1.0) -> Scaling:
        """Mean and standard deviation of each column; a constant column gets scale `constant`."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = values.mean(axis=0), values.std(axis=0)
        # By its range: the rounding of the mean gives a constant column a tiny deviation.
        varies = values.max(axis=0) > values.min(axis=0)
        usable = np.isfinite(mean) & (~varies | (np.isfinite(scale) & (scale > 0)))
        if not usable.all():
            column = int(np.argmin(usable))
            raise ValueError(f"column {column} of {what} is too large or too small to standardise")
        return cls(mean, np.where(varies, scale, constant))

    def apply(self, values: Floats) -> Floats:
        scaled: Floats = values - self.mean
        scaled /= self.scale
        return scaled


def fit(
    network: Network,
    X: Floats,
    y: NDArray[Any],
    inputs: Scaling,
    outputs: Scaling | None,
    options: Mapping[str, Any],
) -> FitResult:
    """Train on scaled columns and fold the scaling into the network.

    ValueError if the fit diverges: what it leaves is of no use.
    """
    scaled = y if outputs is None else outputs.apply(y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        result = network.fit(inputs.apply(X), scaled, **options)
    if result.stop_reason == "diverged":
        rate = getattr(result.stages[-1].solver, "learning_rate", None)
        advice = f": try a learning rate below {rate:g}" if isinstance(rate, float) else ""
        raise ValueError(f"training diverged in epoch {result.epochs + 1}{advice}")
    fold(network, inputs, outputs)
    return result


def fold(network: Network, inputs: Scaling, outputs: Scaling | None) -> None:
    """Make a network that was trained on scaled columns take and give raw ones.

    For x = (r - mu) / s, the sum over j' of x_j' w_j'j + b_j equals the sum of r_j' w_j'j / s_j'
    + b_j - the sum of mu_j' w_j'j / s_j', so the first layer takes w / s and those biases. For
    identity outputs a = (y - mu) / s, the last layer's columns and biases are multiplied by s_j
    and mu_j is added to its biases. Results differ by rounding only. ValueError if a parameter
    overflows.
    """
    with np.errstate(all="ignore"):
        w, b = network.weights[0], network.biases[0]
        w /= inputs.scale[:, np.newaxis]
        b -= (inputs.mean[:, np.newaxis] * w).sum(axis=0)
        if outputs is not None:
            w, b = network.weights[-1], network.biases[-1]
            w *= outputs.scale
            b *= outputs.scale
            b += outputs.mean
    if not np.isfinite(network.parameters).all():
        raise ValueError("the scaling of X and y overflows the weights; bring them nearer to 1")


def split(n: int, fraction: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows to train on and those to hold out, at least two: the last of a shuffle."""
    n_train = max(0, n - max(2, round(fraction * n)))
    order = shuffled(n, seed, 1)
    return order[:n_train], order[n_train:]


def split_classes(
    y: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows to train on and those to hold out: of each class the last of a shuffle.

    One row of each class at least is trained on. y, (n,), are class numbers.
    """
    order = shuffled(len(y), seed, 1)
    held = np.zeros(len(y), dtype=bool)
    for number in np.unique(y):
        rows = order[y[order] == number]
        n_held = min(round(fraction * len(rows)), len(rows) - 1)
        held[rows[len(rows) - n_held :]] = True
    return order[~held[order]], order[held[order]]


def shuffled(n: int, seed: int, purpose: int) -> NDArray[np.intp]:
    """Return a permutation of n rows; each purpose has a stream of its own."""
    # Sorting random words shuffles by a stream that NumPy promises to keep; the spawn key makes
    # it another stream than the one the network's weights are drawn from.
    words = np.random.Philox(np.random.SeedSequence(seed, spawn_key=(purpose,))).random_raw(n)
    return np.argsort(words, kind="stable")


def r2(y: Floats, predicted: Floats) -> float:
    """Return the mean over the columns of 1 - residual / total sum of squares.

    A constant column counts as 1 if it is predicted exactly, else as 0.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        residual = ((y - predicted) ** 2).sum(axis=0)
        total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
        constant = y.max(axis=0) == y.min(axis=0)
        scores = 1 - residual / np.where(constant, 1.0, total)
    return float(np.where(constant, residual == 0, scores).mean())
