"""Rows to train on and rows to hold out, by a shuffle that the same seed repeats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["shuffled", "split", "split_classes"]


def split(n: int, fraction: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows to train on and those to hold out, at least two: the last of a shuffle."""
    n_train = max(0, n - max(2, round(fraction * n)))
    order = shuffled(n, seed, 1)
    return order[:n_train], order[n_train:]


def too_few(n: int, fraction: float, what: str = "") -> ValueError:
    """Return the error for n rows of which too few are left to train on, or to hold out."""
    rows = f"{n} row{'s' * (n != 1)}{what} {'are' if n != 1 else 'is'} too few to train on"
    if fraction == 0.0 or n < 2:
        return ValueError(f"{rows}; there must be 2 at least")
    return ValueError(
        f"{rows} some and hold out {fraction:g} of them; test_fraction=0 holds out none"
    )


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
