"""A block of rows, what gives them, and the columns of a table that they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import sparse as _sparse

Array = NDArray[Any]

# What pandas has in the place of a value that is missing.
_GAPS = ("NAType", "NaTType")
# Bytes of a block where the reader may choose.
BLOCK = 2**23


class Block(NamedTuple):
    """Some rows: instances (n, m0), or their m0 columns; targets and weights, or None."""

    x: Array | list[Array]
    y: Array | None = None
    weights: Array | None = None

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.x) if isinstance(self.x, np.ndarray) else len(self.x[0])

    @property
    def columns(self) -> int:
        """How many inputs an instance has."""
        return self.x.shape[1] if isinstance(self.x, np.ndarray) else len(self.x)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that holds every input."""
        if isinstance(self.x, np.ndarray):
            return self.x.dtype
        return np.result_type(*self.x)

    def put(self, begin: int, end: int, out: Array) -> None:
        """Write instances begin .. end - 1 to out (rows, m0)."""
        if isinstance(self.x, np.ndarray):
            out[...] = self.x[begin:end]
        else:
            for j, column in enumerate(self.x):
                out[:, j] = column[begin:end]


class Columns(NamedTuple):
    """Columns of a table, by name: inputs, targets and the weight of a row."""

    x: list[str]
    y: list[str]
    weight: str | None

    @property
    def all(self) -> list[str]:
        """Each of them once."""
        return list(dict.fromkeys([*self.x, *self.y, *([self.weight] if self.weight else [])]))


class Source:
    """What is read block by block: as often as `blocks` is called, from the first row on."""

    # What it is, after "X is".
    called = "a source of blocks"
    # The names of the columns of X, where it has names.
    names: Sequence[str] = ()
    # Whether it can be read once alone.
    once = False
    # Whether a block stays as it is when the next one is read, so that a thread may read that.
    keeps = True
    # Whether its blocks have targets and weights of their own.
    targets = False
    weights = False
    # Whether targets are classes of any kind, such as texts, not numbers alone.
    classes = False
    # Whether its instances are wanted alone, without what else its blocks have.
    alone = False
    # The columns of a table, where it is one.
    columns: Columns | None = None

    def blocks(self) -> Iterator[Block]:
        """Read the blocks in their order."""
        raise NotImplementedError

    def choose(self, inputs: Sequence[str]) -> None:
        """Take these columns of a table alone as inputs, in this order."""
        if self.columns is None:
            return
        known = {*self.columns.all}
        for name in inputs:
            if name not in known:
                listed = ", ".join(self.columns.all[:20])
                raise ValueError(
                    f"X, {self.called}, has no column {name!r}, which the model was fitted to; "
                    f"its columns are {listed}"
                )
        self.columns = self.columns._replace(x=list(inputs))
        self.names = self.columns.x

    def target(self, name: str, values: object) -> Array:
        """Return targets as an array: numbers, or classes."""
        return labels(name, values) if self.classes else plain(name, values)

    def is_class(self, name: str) -> bool:
        """Whether this column holds classes."""
        return self.classes and self.columns is not None and name in self.columns.y


def pick(names: Sequence[str], Y: object, sample_weight: object, called: str) -> Columns:
    """Return which columns are inputs: all that are neither targets nor the weight."""
    known = list(names)
    if len(set(known)) < len(known):
        twice = next(name for name in known if known.count(name) > 1)
        raise ValueError(f"X, {called}, has two columns {twice!r}; name each column once")
    targets: list[str] = []
    if isinstance(Y, str):
        targets = [Y]
    elif isinstance(Y, list | tuple) and Y and all(isinstance(name, str) for name in Y):
        targets = list(Y)
    elif Y is not None:
        raise TypeError(
            f"Y must be the name of a column of X, which is {called}, or a list of names, got "
            f"{type(Y).__name__}"
        )
    weight = str(sample_weight) if isinstance(sample_weight, str) else None
    for what, name in [*(("Y", name) for name in targets), ("sample_weight", weight)]:
        if name is not None and name not in known:
            listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
            raise ValueError(f"{what} names no column of X: {name!r}; its columns are {listed}")
    inputs = [name for name in known if name not in targets and name != weight]
    if not inputs:
        raise ValueError(f"X, {called}, has no column that is an input")
    return Columns(inputs, targets, weight)


def of_columns(columns: Columns, get: Any) -> Block:
    """Return the block of a table, whose column of a name is get(name)."""
    y = None
    if columns.y:
        parts = [get(name) for name in columns.y]
        y = parts[0] if len(parts) == 1 else np.column_stack(parts)
    weights = get(columns.weight) if columns.weight else None
    return Block([get(name) for name in columns.x], y, weights)


def not_numbers(name: str, kind: object) -> TypeError:
    """Return the error for a column that holds no numbers."""
    return TypeError(
        f"column {name!r} of X must hold real numbers, got {kind}; leave it out, turn it into "
        "numbers, or use deltaloop.TabularModel, which does"
    )


def plain(name: str, values: object) -> Array:
    """Return an array of a block, of numbers that C can read."""
    if _sparse.is_sparse(values):
        raise TypeError(f"{name} is sparse; blocks are arrays: use its toarray()")
    return _arrays.numbers(name, values)


def labels(name: str, values: object) -> Array:
    """Return the classes of a block: numbers, or texts. ValueError if one is missing."""
    if _sparse.is_sparse(values):
        return plain(name, values)
    array: Array = np.asarray(values)
    if array.dtype.kind == "f" and np.isnan(array).any():
        row = int(np.argmax(np.isnan(array.reshape(len(array), -1)).any(axis=1)))
        raise ValueError(f"{name} has no class in row {row}; fill it, or drop the row")
    if array.dtype.kind in "OT":
        found = set(map(type, array.flat))
        if not found <= {str, np.str_}:
            for row, value in enumerate(array.flat):
                gap = value is None or type(value).__name__ in _GAPS
                if gap or (isinstance(value, float) and value != value):
                    raise ValueError(f"{name} has no class in row {row}; fill it, or drop the row")
            return _arrays.nullable(values, array)
        return array.astype(str)
    return array
