"""Real data that ships with the package, for examples, tests and the command line.

`data/README.md` names the source, the authors and the licence of every file.
"""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_digits", "load_penguins"]

# What the command line calls the tables that ship, and their files.
_TABLES = {"penguins": "penguins.csv"}


def load_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Load 1,797 handwritten digits of 8x8 pixels.

    The test set of "Optical Recognition of Handwritten Digits" of the UCI Machine Learning
    Repository, by E. Alpaydin and C. Kaynak, under the licence CC BY 4.0. Each pixel counts the
    inked dots, 0 to 16, in one 4x4 cell of a 32x32 bitmap.

    Returns
    -------
    X : ndarray of float64, shape (1797, 64)
        The images, one a row, pixels in row-major order, whole numbers from 0 to 16.
    y : ndarray of int64, shape (1797,)
        The digits, 0 to 9.

    Notes
    -----
    Every call returns new arrays, which may be written to.

    References
    ----------
    .. [1] E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
       Learning Repository, 1998, https://doi.org/10.24432/C50P49.

    Examples
    --------
    >>> from deltaloop.datasets import load_digits
    >>> X, y = load_digits()
    >>> X.shape, y.shape
    ((1797, 64), (1797,))
    >>> y[:10].tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    >>> print(X[0].reshape(8, 8).astype(int))
    [[ 0  0  5 13  9  1  0  0]
     [ 0  0 13 15 10 15  5  0]
     [ 0  3 15  2  0 11  8  0]
     [ 0  4 12  0  0  8  8  0]
     [ 0  5  8  0  0  9  8  0]
     [ 0  4 11  0  1 12  7  0]
     [ 0  2 14  5 10 12  0  0]
     [ 0  0  6 13 10  0  0  0]]
    """
    source = files("deltaloop") / "data" / "digits.npz"
    with source.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return arrays["X"].astype(np.float64, order="C"), arrays["y"].astype(np.int64)


def load_penguins() -> dict[str, list[Any]]:
    """Load the Palmer penguins: 344 birds of three species, measured on three islands.

    Collected by K. Gorman and the Palmer Station Antarctica LTER, in the public domain (CC0). The
    command line has the table as ``deltaloop train penguins``.

    Returns
    -------
    dict of str to list
        The columns ``species``, ``island``, ``bill_length_mm``, ``bill_depth_mm``,
        ``flipper_length_mm``, ``body_mass_g``, ``sex`` and ``year``, 344 entries each; lengths in
        millimetres and masses in grams. None stands for what is missing: four measures of two
        birds, and the sex of eleven.

    Notes
    -----
    Every call returns new lists, which may be written to.

    References
    ----------
    .. [1] K. B. Gorman, T. D. Williams, W. R. Fraser, "Ecological Sexual Dimorphism and
       Environmental Variability within a Community of Antarctic Penguins (Genus Pygoscelis)", PLoS
       ONE 9(3), e90081, 2014, https://doi.org/10.1371/journal.pone.0090081.

    Examples
    --------
    >>> from deltaloop.datasets import load_penguins
    >>> penguins = load_penguins()
    >>> [(name, column[0]) for name, column in penguins.items()][:3]
    [('species', 'Adelie'), ('island', 'Torgersen'), ('bill_length_mm', 39.1)]
    >>> sum(sex is None for sex in penguins["sex"])
    11
    """
    text = _table("penguins").decode()
    names, *rows = csv.reader(text.splitlines())
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return {name: [_value(entry) for entry in column] for name, column in columns.items()}


def _value(entry: str) -> Any:
    """Return a number, a text, or None for what is missing."""
    if entry == "NA":
        return None
    for kind in (int, float):
        try:
            return kind(entry)
        except ValueError:
            continue
    return entry


def _table(name: str) -> bytes:
    """Return the CSV file of a table that ships."""
    return (files("deltaloop") / "data" / _TABLES[name]).read_bytes()
