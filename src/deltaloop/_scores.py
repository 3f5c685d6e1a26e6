"""How good predicted values are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["r2"]

Floats = NDArray[np.float64]


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
