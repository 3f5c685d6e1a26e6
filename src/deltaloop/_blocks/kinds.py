"""The kinds of data that are read block by block: a row for each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, NamedTuple

import numpy as np

from deltaloop._blocks.block import Source

# Bytes from which on a memory-mapped array is read by blocks, where nothing speaks against it.
LARGE = 2**28


class Kind(NamedTuple):
    """How it is recognised, given X and Y, and who reads it: module and class."""

    named: str
    is_one: Callable[[Any, Any], bool]
    module: str
    reader: str


def _of(X: object, library: str, name: str) -> bool:
    """Whether X is of a class of this name in a library, or of one that is made of it."""
    return any(
        c.__name__ == name and c.__module__.partition(".")[0] == library for c in type(X).__mro__
    )


def _is_files(X: Any, _: Any) -> bool:
    if not isinstance(X, str | os.PathLike):
        return False
    path = os.fspath(X)
    return isinstance(path, str) and (
        path.endswith((".parquet", ".pq")) or (len(path) > 0 and os.path.isdir(path))
    )


def _is_stream(X: Any, _: Any) -> bool:
    return hasattr(X, "__arrow_c_stream__") and not hasattr(X, "__array__")


def _is_iterable(X: Any, Y: Any) -> bool:
    if hasattr(X, "__array__") or isinstance(X, str | bytes | os.PathLike | dict):
        return False
    if isinstance(X, list | tuple) and len(X) and not isinstance(X[0], tuple):
        return False  # rows
    return Y is None and hasattr(X, "__iter__")


KINDS = (
    Kind("Parquet files", _is_files, "arrow", "Files"),
    Kind("pyarrow.dataset.Dataset", lambda X, _: _of(X, "pyarrow", "Dataset"), "arrow", "Dataset"),
    Kind("polars.LazyFrame", lambda X, _: _of(X, "polars", "LazyFrame"), "lazy", "LazyFrame"),
    Kind("an object with __arrow_c_stream__", _is_stream, "arrow", "Stream"),
    Kind("zarr.Array", lambda X, _: _of(X, "zarr", "Array"), "sliced", "Zarr"),
    Kind("h5py.Dataset", lambda X, _: _of(X, "h5py", "Dataset"), "sliced", "HDF5"),
    Kind("numpy.memmap", lambda X, _: isinstance(X, np.memmap), "sliced", "Mapped"),
    Kind("an iterable of (X, Y) blocks", _is_iterable, "iterable", "Iterable"),
)


def find(X: object, Y: object, names: tuple[str, str] = ("X", "Y")) -> Kind | None:
    """Return the kind of X, or None where X is what lies in memory.

    TypeError for what is neither: such data would fail later by a message that misleads.
    """
    if type(X) in (np.ndarray, list, tuple, float, int, dict) and Y is not None:
        return None
    if type(X) is np.ndarray or X is None:
        return None
    for kind in KINDS:
        if kind.is_one(X, Y):
            if kind.reader == "Mapped" and getattr(X, "nbytes", 0) < LARGE:
                return None
            return kind
    _refuse(X, Y, *names)
    return None


def _refuse(X: Any, Y: Any, name: str, y_name: str) -> None:
    """Refuse functions, names of files that cannot be read, and names of targets in a table."""
    if isinstance(X, FunctionType | MethodType):
        raise TypeError(
            f"{name} must be data, got the function {X.__name__}; if it makes blocks, which are "
            f"read several times, give an object whose __iter__ calls it, or list({X.__name__}())"
        )
    if isinstance(X, os.PathLike) or (isinstance(X, str) and os.path.splitext(X)[1]):
        raise TypeError(
            f"{name} must be an array, or the path of a Parquet file (.parquet, .pq) or of a "
            f"folder of them, got {os.fspath(X)!r}; read the file first, for example by "
            "pandas.read_csv, or use deltaloop.tabular.TabularModel or `deltaloop train`"
        )
    several = isinstance(Y, list | tuple) and len(Y) > 0 and all(isinstance(y, str) for y in Y)
    if (isinstance(Y, str) or several) and hasattr(X, "columns"):
        listed = [Y] if isinstance(Y, str) else list(Y)
        raise TypeError(
            f"{y_name} must hold the targets where {name} is a table in memory, got the "
            f"name{'s' * several} {', '.join(map(repr, listed))}; give the columns: "
            f"fit(table.drop(columns={listed!r}), table[{Y!r}])"
            ", or use deltaloop.tabular.TabularModel, which takes names"
        )


def find_instances(X: object) -> Kind | None:
    """Return the kind of X, instances without targets, or None where X is what lies in memory."""
    if isinstance(X, list | tuple) and len(X) and isinstance(X[0], tuple):
        if len(X[0]) and getattr(X[0][0], "ndim", 0) == 2:
            return find(X, None)  # blocks (X,) or (X, Y): a row would hold numbers
        return None
    rows = hasattr(X, "__getitem__") and not isinstance(X, str)
    if rows or hasattr(X, "__next__") or isinstance(X, set | frozenset):
        return find(X, ...)  # no blocks of the caller's own
    return find(X, None)


def reader(kind: Kind, X: object, Y: object, sample_weight: object = None) -> Source:
    """Return what reads X."""
    name = f"deltaloop._blocks.{kind.module}"
    __import__(name)
    made: Source = getattr(sys.modules[name], kind.reader)(X, Y, sample_weight)
    return made
