"""MATLAB files, read by scipy: variables with as many rows as each other are the columns."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

__all__ = ["read"]

_TELL = "in MATLAB, writetable(T, 'data.csv') writes a table that can be read"


def read(content: bytes, name: str | None) -> Any:
    """Return a frame of the variables; with a name, of that one or of the fields of that struct.

    A matrix X of k columns is X_1 to X_k. ValueError if they make no table.
    """
    import polars as pl

    try:
        from scipy.io import loadmat
    except ImportError:
        raise ImportError("reading .mat files needs scipy: pip install scipy") from None
    if content[:10] == b"MATLAB 7.3" or content.startswith(b"\x89HDF"):
        raise ValueError(
            f"is of MATLAB 7.3; save(..., '-v7') writes a file that can be read, or {_TELL}"
        )
    try:
        found = loadmat(io.BytesIO(content), squeeze_me=False, chars_as_strings=True)
    except MemoryError:
        raise
    except Exception as error:  # damaged files end in errors of many kinds
        raise ValueError(f"cannot be read as a MATLAB file: {error}") from error
    variables = {key: value for key, value in found.items() if not key.startswith("__")}
    if "None" in variables or any(
        type(value).__name__ == "MatlabOpaque" for value in variables.values()
    ):
        raise ValueError(f"holds a MATLAB table or object; {_TELL}")
    if name is not None:
        if name not in variables:
            raise ValueError(f"has no variable {name!r}; it has {', '.join(variables) or 'none'}")
        variables = {name: variables[name]}
    if len(variables) == 1:
        (only,) = variables.values()
        if only.dtype.names is not None and only.size == 1:  # a struct of columns
            variables = {field: only[field].flat[0] for field in only.dtype.names}
    columns = [part for key, value in variables.items() for part in _columns(key, value)]
    heights = {key: len(values) for key, values in columns}
    if len(set(heights.values())) != 1:
        shown = ", ".join(f"{key} ({n})" for key, n in list(heights.items())[:8])
        raise ValueError(
            f"expected variables of as many rows each, found {shown or 'none'}; "
            f"data.mat#NAME takes one of them, or {_TELL}"
        )
    return pl.DataFrame(
        [
            pl.Series(key, values, dtype=None if _numeric(values) else pl.String)
            for key, values in columns
        ]
    )


def _numeric(values: Any) -> bool:
    return isinstance(values, np.ndarray)


def _columns(name: str, value: Any) -> list[tuple[str, Any]]:
    """Return the columns of one variable: numbers, or text."""
    array = value.toarray() if hasattr(value, "toarray") else np.asarray(value)
    if array.ndim != 2 or array.dtype.names is not None or array.dtype.kind == "c":
        what = "a struct" if array.dtype.names is not None else f"{array.ndim} dimensions"
        raise ValueError(f"variable {name!r} has {what}; expected a matrix of real numbers or text")
    if min(array.shape) == 1:
        array = array.reshape(-1, 1)  # a row of values is a column
    if array.dtype.kind == "U":
        array = np.char.rstrip(array)
        return [(name, [str(text) for text in array[:, 0]])]
    if array.dtype.kind == "O":
        return [
            (_called(name, i, array.shape[1]), [_text(name, cell) for cell in array[:, i]])
            for i in range(array.shape[1])
        ]
    return [
        (
            _called(name, i, array.shape[1]),
            np.ascontiguousarray(array[:, i]).astype(array.dtype.newbyteorder("=")),
        )
        for i in range(array.shape[1])
    ]


def _called(name: str, i: int, n: int) -> str:
    return name if n == 1 else f"{name}_{i + 1}"


def _text(name: str, cell: Any) -> str | None:
    """Return the text of a cell that holds text or one number."""
    array = np.asarray(cell)
    if array.size == 0:
        return None
    if array.size != 1:
        raise ValueError(f"variable {name!r} has cells of several values; expected text or numbers")
    return str(array.flat[0])
