"""Instances, their targets and weights, as C reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._arguments import arrays as _arrays

if TYPE_CHECKING:
    from deltaloop._arguments.problem import Problem
    from deltaloop.network import Network

Array = NDArray[Any]


class Rows:
    """Instances X (n, m0), an array or `_core.Csr`, their targets and weights.

    `labels` says whether y holds classes (n,) rather than values (n, mL). `elsewhere` is who has
    them, where X and y are a sample.
    """

    elsewhere: Any = None

    def __init__(
        self, X: Any, y: Array, labels: bool, weights: NDArray[np.float64] | None = None
    ) -> None:
        self.X = _arrays.rows("X", X)
        self.y = y
        self.labels = labels
        self.weights = weights
        self.n = int(y.shape[0])

    def __getitem__(self, index: Array) -> Rows:
        weights = None if self.weights is None else self.weights[index]
        return Rows(self.X[index], self.y[index], self.labels, weights)

    @property
    def total_weight(self) -> float:
        """Sum of the weights, of 1 each by default."""
        return float(self.n) if self.weights is None else float(self.weights.sum())

    def epoch_mean(self, values: Array, order: Array | None, batch_size: int) -> float:
        """Return the mean, by rows, of the weighted means of values (n,) in an epoch's batches."""
        return mean_of(self.weights, values, order, batch_size)

    def cost(self, network: Network, n_threads: int, problem: Problem) -> float:
        """Return the cost of all."""
        return network._cost(self.X, self.y, self.labels, False, n_threads, problem)[0]


def mean_of(
    s: NDArray[np.float64] | None, values: Array, order: Array | None, batch_size: int
) -> float:
    """Return the mean, by rows, of the means of values (n,), weighted by s, in batches."""
    n = len(values)
    if s is None:
        return float(values.mean())
    if order is not None:
        values, s = values[order], s[order]
    starts = np.arange(0, n, batch_size)
    counts = np.diff(np.append(starts, n))
    weights = np.add.reduceat(s, starts)
    sums = np.add.reduceat(s * values, starts)
    means = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0)
    return float((means * counts).sum() / n)
