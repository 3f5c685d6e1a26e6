"""MATLAB files, read by scipy: variables with as many rows as each other are the columns.

On a damaged file scipy may end the process. So it reads in a process of its own, which hands the
columns over as a NumPy file.
"""

from __future__ import annotations

import io
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np

__all__ = ["read"]

_TELL = "in MATLAB, writetable(T, 'data.csv') writes a table that can be read"
_CHILD = "import sys; from deltaloop.cli._matlab import _hand_over; _hand_over(*sys.argv[1:])"


def read(content: bytes, name: str | None) -> Any:
    """Return a frame of the variables; with a name, of that one or of the fields of that struct.

    A matrix X of k columns is X_1 to X_k. ValueError if they make no table.
    """
    import polars as pl

    if find_spec("scipy") is None:
        raise ImportError("reading .mat files needs scipy: pip install scipy")
    if content.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise ValueError(
            f"is of MATLAB 7.3; save(..., '-v7') writes a file that can be read, or {_TELL}"
        )
    command = [sys.executable, "-c", _CHILD, *([] if name is None else [name])]
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip()
        refused = done.returncode == _REFUSED
        raise ValueError(message if refused else "is damaged: scipy cannot read it")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as arrays:
        names = arrays["names"].tolist()
        columns = []
        for place, key in enumerate(names):
            values = arrays[f"values {place}"]
            text = values.dtype.kind == "U"
            series = pl.Series(key, values.tolist() if text else values)
            columns.append(series.set(pl.Series(arrays[f"gaps {place}"]), None) if text else series)
    return pl.DataFrame(columns)


_REFUSED = 3


def _hand_over(name: str | None = None) -> None:
    """Read a file from the standard input, and write its columns to the standard output."""
    try:
        columns = _all_columns(sys.stdin.buffer.read(), name)
    except ValueError as error:
        sys.stderr.write(str(error))
        sys.exit(_REFUSED)
    arrays = {"names": np.array([key for key, _ in columns], dtype=str)}
    for place, (_, values) in enumerate(columns):
        if isinstance(values, list):
            arrays[f"gaps {place}"] = np.array([value is None for value in values], dtype=bool)
            values = np.array([value or "" for value in values], dtype=str)
        arrays[f"values {place}"] = values
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    sys.stdout.buffer.write(content.getvalue())


def _all_columns(content: bytes, name: str | None) -> list[tuple[str, Any]]:
    """Return the columns of a file and their names. ValueError if they make no table."""
    from scipy.io import loadmat

    try:
        found = loadmat(io.BytesIO(content), squeeze_me=False, chars_as_strings=True)
    except Exception as error:  # damaged files end in errors of many kinds
        raise ValueError(f"cannot be read as a MATLAB file: {error}") from error
    variables = {key: value for key, value in found.items() if not key.startswith("__")}
    opaque = any(type(value).__name__ == "MatlabOpaque" for value in variables.values())
    if opaque or "None" in variables:
        raise ValueError(f"holds a MATLAB table or object; {_TELL}")
    if name is not None:
        if name not in variables:
            raise ValueError(f"has no variable {name!r}; it has {', '.join(variables) or 'none'}")
        variables = {name: variables[name]}
    if len(variables) == 1:
        (only,) = variables.values()
        names = getattr(only, "dtype", np.dtype(float)).names
        if names is not None and only.size == 1:  # a struct of columns
            variables = {field: only[field].flat[0] for field in names}
    columns = [part for key, value in variables.items() for part in _columns(key, value)]
    heights = {key: len(values) for key, values in columns}
    if len(set(heights.values())) != 1:
        shown = ", ".join(f"{key} ({n})" for key, n in list(heights.items())[:8])
        raise ValueError(
            f"expected variables of as many rows each, found {shown or 'none'}; "
            f"data.mat#NAME takes one of them, or {_TELL}"
        )
    return columns


def _columns(name: str, value: Any) -> list[tuple[str, Any]]:
    """Return the columns of one variable: arrays of numbers, or lists of text."""
    array = value.toarray() if hasattr(value, "toarray") else np.asarray(value)
    if array.ndim == 1:  # text, a row of characters each
        array = array.reshape(-1, 1)
    if array.ndim != 2 or array.dtype.names is not None or array.dtype.kind == "c":
        what = "a struct" if array.dtype.names is not None else f"{array.ndim} dimensions"
        what = "complex numbers" if array.dtype.kind == "c" else what
        raise ValueError(f"variable {name!r} has {what}; expected a matrix of real numbers or text")
    if min(array.shape) == 1:
        array = array.reshape(-1, 1)  # a row of values is a column
    n = array.shape[1]
    called = [name if n == 1 else f"{name}_{i + 1}" for i in range(n)]
    if array.dtype.kind in "UO":
        return [(called[i], [_text(name, cell) for cell in array[:, i]]) for i in range(n)]
    native = array.astype(array.dtype.newbyteorder("="))
    return [(called[i], np.ascontiguousarray(native[:, i])) for i in range(n)]


def _text(name: str, cell: Any) -> str | None:
    """Return the text of a cell that holds text or one number."""
    array = np.asarray(cell)
    if array.size == 0:
        return None
    if array.size != 1:
        raise ValueError(f"variable {name!r} has cells of several values; expected text or numbers")
    return str(array.flat[0]).rstrip() or None
