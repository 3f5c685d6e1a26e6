"""Permutation importance: how much a score falls where a column says nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop._scaling import Floats

__all__ = ["Importance", "importance", "some_rows"]

# A column is shuffled so often; more rows change the score little, and cost time.
REPEATS, MOST_ROWS = 5, 2000


class Importance(NamedTuple):
    """How much each column matters: what `TabularModel.permutation_importance` returns.

    Attributes
    ----------
    names : tuple of str
        The columns that the model takes, in its order.
    mean : ndarray, shape (n_columns,)
        By how much the score falls where the values of the column are shuffled.
    std : ndarray, shape (n_columns,)
        The standard deviation over the shuffles.

    Examples
    --------
    >>> from deltaloop.tabular import TabularModel
    >>> frame = {"x": range(100), "y": [x % 7 for x in range(100)]}
    >>> found = TabularModel().fit(frame, "x", l2=0.1).permutation_importance(frame)
    >>> found.names
    ('y',)
    """

    names: tuple[str, ...]
    mean: Floats
    std: Floats


def some_rows(n: int, seed: int) -> NDArray[np.intp]:
    """Return the numbers of all rows, or of MOST_ROWS that are drawn, in their order."""
    if n <= MOST_ROWS:
        return np.arange(n)
    return np.sort(np.random.Generator(np.random.Philox(seed)).permutation(n)[:MOST_ROWS])


def importance(
    score: Callable[[Floats, NDArray[np.intp]], float],
    X: Floats,
    groups: Sequence[slice],
    seed: int = 0,
    repeats: int = REPEATS,
) -> tuple[Floats, Floats]:
    """Return by how much a score falls, and its standard deviation, for each group of inputs.

    `score` takes inputs (n, n_inputs), and the numbers of their rows of X. The inputs of a group,
    which are those of one column, are shuffled together.
    """
    rows = np.arange(min(len(X), MOST_ROWS))
    X = X[rows]
    whole = score(X, rows)
    draw = np.random.Generator(np.random.Philox(seed))
    falls = np.zeros((len(groups), repeats))
    for group, fall in zip(groups, falls, strict=True):
        for i in range(repeats):
            shuffled = X.copy()
            shuffled[:, group] = X[draw.permutation(len(X))][:, group]
            fall[i] = whole - score(shuffled, rows)
    return falls.mean(axis=1), falls.std(axis=1)
