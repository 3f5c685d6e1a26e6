"""Tables in files: CSV, TSV and Parquet, read with polars; what is wrong is said with the file.

The columns of a text file are all read as text first, so that what they are follows from all their
rows by one rule: whole numbers, numbers, true and false, dates as ISO 8601 writes them, or text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._frames import _line

__all__ = ["SUFFIXES", "is_table", "read", "write"]

_TEXT = (".csv", ".tsv", ".tab", ".txt")
_PARQUET = (".parquet", ".pq")
SUFFIXES = (*_TEXT, *_PARQUET)

# An entry that says that there is no value; an empty one does too.
_MISSING = ("NA", "N/A", "NaN", "nan", "null", "NULL", "?")
_DATE = r"^\d{4}-\d{2}-\d{2}"


def is_table(path: str) -> bool:
    """Whether a file's name is that of a table."""
    return path.lower().endswith(SUFFIXES)


def _polars() -> Any:
    try:
        import polars
    except ImportError:
        raise ImportError("reading tables needs polars: pip install 'deltaloop[cli]'") from None
    return polars


def read(path: str, text: Collection[str] = ()) -> Any:
    """Return the file as a polars frame; of a CSV or TSV file the columns `text` stay text.

    ValueError if it cannot be read as a table; OSError if it cannot be read at all.
    """
    pl = _polars()
    with open(path, "rb") as file:  # for the errors of the operating system
        start = file.read(1 << 16)
    try:
        if path.lower().endswith(_PARQUET):
            frame = pl.read_parquet(path)
        else:
            frame = _typed(
                pl.read_csv(path, separator=_separator(path, start), infer_schema=False), text
            )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path}: {_line(error)}") from error
    if not frame.height:
        raise ValueError(f"{path}: holds no rows")
    return frame


def _separator(path: str, start: bytes) -> str:
    """Return what separates the names in the first line: the most frequent candidate."""
    if path.lower().endswith((".tsv", ".tab")):
        return "\t"
    header = start.partition(b"\n")[0].decode(errors="replace")
    return max(",;\t|", key=header.count)


def _typed(frame: Any, text: Collection[str]) -> Any:
    """Give columns of text the types of their values; lines without any are left out."""
    import polars as pl

    frame = frame.rename(str.strip)
    trimmed = pl.all().str.strip_chars()
    frame = frame.with_columns(
        pl.when(trimmed.is_in(["", *_MISSING])).then(None).otherwise(trimmed).name.keep()
    )
    if frame.width > 1:
        frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    return frame.with_columns(
        [frame[name] if name in text else _values(frame[name]) for name in frame.columns]
    )


def _values(series: Any) -> Any:
    import polars as pl

    ways: list[Callable[[], Any]] = [
        lambda: series.cast(pl.Int64),
        lambda: series.cast(pl.Float64),
    ]
    known = series.drop_nulls()
    if known.str.to_lowercase().is_in(["true", "false"]).all():
        return series.str.to_lowercase() == "true"
    if known.str.contains(_DATE).all():
        ways = [
            lambda: series.str.to_date("%Y-%m-%d"),
            lambda: series.str.to_datetime(time_zone="UTC"),
        ]
    for way in ways:
        try:
            return way()
        except pl.exceptions.PolarsError:
            continue
    return series


def write(path: str, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns to a CSV, TSV or Parquet file. OSError if that fails."""
    pl = _polars()
    frame = pl.DataFrame({name: np.asarray(values) for name, values in columns.items()})
    with open(path, "wb") as file:
        if path.lower().endswith(_PARQUET):
            frame.write_parquet(file)
        else:
            tabs = path.lower().endswith((".tsv", ".tab"))
            frame.write_csv(file, separator="\t" if tabs else ",")


def check_output(path: str) -> str | None:
    """Say why a file cannot be written to, None if it can."""
    directory = os.path.dirname(path) or "."
    if path == "" or os.path.isdir(path):
        return f"expected the name of a file, got {path!r}"
    if not os.path.isdir(directory):
        return f"there is no directory {directory!r}"
    if not os.access(directory, os.W_OK):
        return f"cannot write to directory {directory!r}"
    return None
