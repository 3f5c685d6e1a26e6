"""The data that ships with the package is what it says, unchanged."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np

from deltaloop.datasets import load_digits


def test_shapes_and_types():
    X, y = load_digits()
    assert (X.shape, X.dtype) == ((1797, 64), np.float64)
    assert (y.shape, y.dtype) == ((1797,), np.int64)
    assert X.flags.c_contiguous


def test_values():
    X, y = load_digits()
    assert (X.min(), X.max()) == (0, 16)
    np.testing.assert_array_equal(X, X.astype(int))
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    np.testing.assert_array_equal(np.bincount(y), counts)
    assert X.sum() == 561718


def test_every_value_is_that_of_the_source():
    X, y = load_digits()
    digest = hashlib.sha256(X.astype(np.uint8).tobytes() + y.astype(np.uint8).tobytes())
    assert digest.hexdigest() == (
        "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    )


def test_calls_share_nothing():
    X, y = load_digits()
    X[:] = -1
    y[:] = -1
    again = load_digits()
    assert again[0].min() == 0
    assert again[1].min() == 0


def test_source_and_licence_are_named():
    text = (files("deltaloop") / "data" / "README.md").read_text(encoding="utf-8")
    for part in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "digits.npz"):
        assert part in text
