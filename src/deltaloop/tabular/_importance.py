"""Permutation importance: how much a score falls where a column says nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from deltaloop._scaling import Floats

__all__ = ["importance"]

# A column is shuffled so often; more rows change the score little, and cost time.
REPEATS, MOST_ROWS = 5, 2000


def importance(
    score: Callable[[Floats, NDArray[np.intp]], float],
    X: Floats,
    groups: Sequence[slice],
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Return by how much a score falls, and its standard deviation, for each group of inputs.

    `score` takes inputs (n, n_inputs), and the numbers of their rows of X. The inputs of a group,
    which are those of one column, are shuffled together.
    """
    rows = np.arange(min(len(X), MOST_ROWS))
    X = X[rows]
    whole = score(X, rows)
    draw = np.random.Generator(np.random.Philox(seed))
    falls = np.zeros((len(groups), REPEATS))
    for group, fall in zip(groups, falls, strict=True):
        for i in range(REPEATS):
            shuffled = X.copy()
            shuffled[:, group] = X[draw.permutation(len(X))][:, group]
            fall[i] = whole - score(shuffled, rows)
    return falls.mean(axis=1), falls.std(axis=1)
