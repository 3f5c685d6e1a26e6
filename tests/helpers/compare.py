"""How near two arrays are: by the norm of their difference, element by element, bit for bit."""

from __future__ import annotations

import numpy as np


def relative_error(got, exact):
    """|got - exact| / |exact| in the 2-norm."""
    got, exact = np.asarray(got), np.asarray(exact)
    assert got.shape == exact.shape
    error = np.linalg.norm(got - exact)
    return error / np.linalg.norm(exact) if error else 0.0


def difference(found, expected):
    """The largest difference, relative where numbers are above 1, and infinities being equal."""
    assert found.shape == expected.shape
    with np.errstate(invalid="ignore"):
        error = abs(found - expected) / np.maximum(1, abs(expected))
    return np.where(found == expected, 0, error).max()


def bits(array):
    """The array's doubles as integers, so that == tells -0 from 0 and compares NaN."""
    return np.ascontiguousarray(array, dtype=np.float64).view(np.uint64)


def same(a, b):
    """Whether both have the same shape and the same doubles, bit for bit."""
    return np.shape(a) == np.shape(b) and bool((bits(a) == bits(b)).all())


def same_bytes(a, b):
    """Whether both hold the same bytes, whatever their type and shape."""
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()
