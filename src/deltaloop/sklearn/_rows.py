"""Instances as C reads them: dense, or sparse rows that become dense block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[Any]

# Float64 values of a block of sparse rows: 16 MB, which the work on them outweighs.
BLOCK = 1 << 21


class Block(NamedTuple):
    """What one call of C trains on, and the order of its rows."""

    x: Array
    y: Array
    weights: NDArray[np.float64] | None
    order: NDArray[np.uintp] | None


class Rows:
    """Instances X (n, m0), dense or CSR, their targets and weights.

    `labels` says whether y holds classes (n,) rather than values (n, mL).
    """

    def __init__(
        self, X: Any, y: Array, labels: bool, weights: NDArray[np.float64] | None = None
    ) -> None:
        self.X = X.tocsr() if sparse.issparse(X) else X
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
        if self.weights is None:
            return float(values.mean())
        s = self.weights
        if order is not None:
            values, s = values[order], s[order]
        starts = np.arange(0, self.n, batch_size)
        counts = np.diff(np.append(starts, self.n))
        weights = np.add.reduceat(s, starts)
        sums = np.add.reduceat(s * values, starts)
        means = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0)
        return float((means * counts).sum() / self.n)

    def dense(self) -> Array:
        """All rows at once."""
        result: Array = self.X.toarray() if sparse.issparse(self.X) else self.X
        return result

    def blocks(self, order: NDArray[np.uintp] | None, batch_size: int) -> Iterator[Block]:
        """Yield all rows, in an order or as they stand, in blocks that hold whole batches."""
        if not sparse.issparse(self.X):
            yield Block(self.X, self.y, self.weights, order)
            return
        m = self.X.shape[1]
        size = max(1, BLOCK // m // batch_size) * batch_size
        buffer = np.empty((min(size, self.n), m))
        for begin in range(0, self.n, size):
            rows = slice(begin, begin + size) if order is None else order[begin : begin + size]
            part = self.X[rows]
            x = buffer[: part.shape[0]]
            x[:] = 0.0
            part.astype(np.float64).toarray(out=x)
            weights = None if self.weights is None else self.weights[rows]
            yield Block(x, self.y[rows], weights, None)


def dense_blocks(X: Any) -> Iterator[Array]:
    """Yield the rows of X, dense, in blocks if X is sparse."""
    if not sparse.issparse(X):
        yield X
        return
    X = X.tocsr()
    size = max(1, BLOCK // max(X.shape[1], 1))
    for begin in range(0, X.shape[0], size):
        yield X[begin : begin + size].toarray()
