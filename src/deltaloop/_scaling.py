"""What surrounds training on the command line: scaled columns, rows held out, R^2.

Columns are standardised, because one learning rate then suits all of them, and the scaling is
folded into the trained network, because a model that takes raw inputs and gives raw outputs
cannot be used with the wrong scaling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deltaloop.network import Network

__all__ = ["Floats", "Scaling", "fold", "r2", "split"]

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
    # Sorting random words shuffles by a stream that NumPy promises to keep; the spawn key makes
    # it another stream than the one the network's weights are drawn from.
    words = np.random.Philox(np.random.SeedSequence(seed, spawn_key=(1,))).random_raw(n)
    order = np.argsort(words, kind="stable")
    return order[:n_train], order[n_train:]


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
