"""How strongly weights are penalised where nobody says: as suits rows that are held back.

Small tables are noisy, and a network that fits every row of them learns the noise. The strength is
the number that decides how much, and no single one suits all: of six tables that ship with
scikit-learn the best ones are 1 (iris) to 30 (linnerud), and of a smooth function without noise
0.001 or less (docs/tables.md).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._fit import choice as _choice
from deltaloop._scaling import Floats
from deltaloop._splits import shuffled
from deltaloop.network import Network
from deltaloop.results import ConvergenceWarning, DivergenceWarning

__all__ = ["how", "strength"]

# From the strongest to the weakest, as stronger ones need fewer epochs and most searches end early.
STRENGTHS = (100.0, 10.0, 1.0, 0.1, 0.01, 0.001)
FOLDS = 3
# More rows change the strength little, and cost time; and with so many one fold is enough.
MAX_ROWS = 10_000
# A change of the cost, a row, that is too small to matter on other rows.
TOLERANCE = 1e-5


def strength(
    network: Network, X: Floats, y: NDArray[Any], seed: int, options: Mapping[str, Any]
) -> float:
    """Return the `l2` that suits rows X (n, inputs), y: strong to weak, until it gets worse.

    A strength is judged by the cost of rows that a copy of the network has not learned from: a
    third, and each third in turn where they are few enough for a full-batch solver. The network
    itself stays as it is. 1 where there are fewer than 6 rows.
    """
    n = len(X)
    if n < 2 * FOLDS:
        return 1.0
    order = shuffled(n, seed, 2)[:MAX_ROWS]
    parts = list(folds(y, order))
    if n > _choice.FULL_BATCH_ROWS:
        parts = parts[:1]
    most = options.get("max_epochs")
    best, chosen = np.inf, STRENGTHS[0]
    for l2 in STRENGTHS:
        cost = 0.0
        for rows, held in parts:
            copy = network.copy()
            with warnings.catch_warnings():  # what ends badly costs much on other rows
                warnings.simplefilter("ignore", DivergenceWarning)
                warnings.simplefilter("ignore", ConvergenceWarning)
                copy.fit(X[rows], y[rows], l2=l2, **{**options, **how(copy, len(rows), most)})
            cost += copy.cost(X[held], y[held])
        if not cost < best:
            break
        best, chosen = cost, l2
    return chosen


def how(network: Network, n: int, max_epochs: int | None) -> dict[str, Any]:
    """Return the solver, epochs and tolerance for a penalised cost of n rows."""
    solver, epochs = _choice.general(network, n, max_epochs=max_epochs)
    # The costs of mini-batches waver, and a schedule should come to its end.
    tolerance = TOLERANCE * n if solver.batch_size is None else 0.0
    return {"solver": solver, "max_epochs": epochs, "tol": tolerance}


def folds(
    y: NDArray[Any], order: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield rows to learn from and rows to hold back, as many of each class everywhere."""
    if y.ndim == 1:
        order = order[np.argsort(y[order], kind="stable")]
    part = np.arange(len(order)) % FOLDS
    for number in range(FOLDS):
        yield order[part != number], order[part == number]
