"""Sparse instances: a matrix with SciPy's attributes, as CSR rows that the C core reads, checked.

SciPy itself is not needed. The user's arrays are never written to. Where the columns of a row are
not sorted, or some are there twice, the rows are copies, with the values of such columns added as
``toarray()`` adds them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core

Array = NDArray[Any]

# What C counts columns by.
MOST_COLUMNS = 2**31 - 1


def is_sparse(values: object) -> bool:
    """Whether this is a sparse matrix or array of SciPy's, or looks like one."""
    return hasattr(values, "tocsr") and hasattr(values, "toarray")


def rows(name: str, matrix: Any) -> _core.Csr:
    """Return a sparse matrix as CSR rows, with terms that ascend."""
    shape = tuple(matrix.shape)
    if len(shape) != 2:
        raise ValueError(f"{name} must be a sparse matrix of two dimensions, got shape {shape}")
    matrix = matrix.tocsr()
    n, columns = (int(length) for length in shape)
    if columns > MOST_COLUMNS:
        raise ValueError(f"{name} must have at most {MOST_COLUMNS} columns, got {columns}")
    data, indices, indptr = (
        np.asarray(getattr(matrix, part)) for part in ("data", "indices", "indptr")
    )
    if data.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} must hold real numbers, got dtype {data.dtype} ({type(matrix).__name__})"
        )
    for part, array in (("indices", indices), ("indptr", indptr)):
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise TypeError(
                f"{name}.{part} must be a vector of integers, got {array.ndim} dimensions of dtype "
                f"{array.dtype}"
            )
    if len(indptr) != n + 1 or data.shape != indices.shape:
        raise ValueError(
            f"{name} is no CSR matrix of {n} rows: its indptr has {len(indptr)} elements, its "
            f"indices {len(indices)} and its data {data.size}"
        )
    # Copies, so that they stay as they were checked.
    starts = np.array(indptr, np.int64)
    near = indices
    if not np.can_cast(indices.dtype, np.int32):  # what lies outside stays there
        near = np.minimum(indices, indices.dtype.type(columns))
        near = near if near.dtype.kind == "u" else np.maximum(near, -1)
    places = np.array(near, np.int32)
    row, place, canonical = _core.survey_csr(places, starts, columns)
    if row >= 0 and place < 0 and not _is_within(starts, row, len(places)):
        raise ValueError(
            f"{name}.indptr must ascend from 0 to the {len(places)} terms, got "
            f"{starts[row]}, {starts[row + 1]} at row {row}"
        )
    if row >= 0:
        own = indices[starts[row] : starts[row + 1]]
        wrong = own[np.argmax((own < 0) | (own >= columns))]
        raise ValueError(
            f"{name}.indices holds column {wrong} in row {row}; the columns are 0..{columns - 1}"
        )
    values = data
    if data.dtype != np.float64 or not data.flags.carray:
        with np.errstate(all="ignore"):
            values = np.require(data, np.float64, ["C", "A"])
    if not canonical:
        places, values, starts = _canonical(places, values, starts)
    return _core.Csr(values, places, starts, columns)


def _is_within(starts: NDArray[np.int64], row: int, n_terms: int) -> bool:
    return bool(0 <= starts[row] <= starts[row + 1] <= n_terms)


def _canonical(
    places: NDArray[np.int32], values: NDArray[np.float64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
    """Sort the terms of each row, and add those of one column up in the order they stood in."""
    n = len(starts) - 1
    terms = slice(int(starts[0]), int(starts[-1]))
    owners = np.repeat(np.arange(n), np.diff(starts))
    order = np.lexsort((places[terms], owners))  # stable
    owners, places, values = owners[order], places[terms][order], values[terms][order]
    first = np.ones(len(order), bool)
    first[1:] = (owners[1:] != owners[:-1]) | (places[1:] != places[:-1])
    sums = np.zeros(int(first.sum()))
    np.add.at(sums, np.cumsum(first) - 1, values)
    counts = np.bincount(owners[first], minlength=n)
    return places[first], sums, np.concatenate(([0], np.cumsum(counts)))


def finite(name: str, x: _core.Csr) -> None:
    """Refuse NaN and infinities, saying where the first one is."""
    begin, end = int(x.starts[0]), int(x.starts[-1])
    place = _core.find_nonfinite(x.values[begin:end].reshape(-1, 1))
    if place is not None:
        at = begin + place[0]
        row = int(np.searchsorted(x.starts, at, "right")) - 1
        raise ValueError(
            f"{name} holds {x.values[at]} at row {row}, column {x.places[at]}; every value must be "
            "finite"
        )


def alike(x: Any, other: Any) -> Any:
    """Return instances in the form of others: CSR rows, or an array."""
    if isinstance(x, _core.Csr):
        return x if isinstance(other, _core.Csr) else x.toarray()
    return of_array(x) if isinstance(other, _core.Csr) else x


def of_array(array: Array) -> _core.Csr:
    """Return an array's rows as CSR rows."""
    owners, places = np.nonzero(array)
    counts = np.bincount(owners, minlength=len(array))
    return _core.Csr(
        np.ascontiguousarray(array[owners, places], np.float64),
        places.astype(np.int32),
        np.concatenate(([0], np.cumsum(counts))),
        array.shape[1],
    )
