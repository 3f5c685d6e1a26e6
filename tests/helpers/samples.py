"""Data that a network learns easily, with columns of very different scales."""

from __future__ import annotations

import numpy as np


def blobs(n: int = 120, m: int = 3, k: int = 3, seed: int = 0):
    """Well separated classes 0..k-1, with columns of very different scales."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    X = rng.normal(size=(k, m))[y] * 10 + rng.normal(size=(n, m))
    return X * 10.0 ** np.arange(m) + 100, y


def smooth(n: int = 200, k: int = 1, seed: int = 0):
    """Values that 64 tanh units learn easily, with columns of very different scales."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) * [1, 100, 0.01] + [0, 1000, 5]
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    Y = np.tanh(z @ rng.normal(size=(3, k))) * 10.0 ** np.arange(k) + 50
    return X, Y
