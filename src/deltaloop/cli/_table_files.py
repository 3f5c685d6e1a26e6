"""Tables in files: CSV, TSV and Parquet, read with polars; what is wrong is said with the file.

The columns of a text file are all read as text first, so that what they are follows from all their
rows by one rule: whole numbers, numbers, true and false, dates as ISO 8601 writes them, or text.
"""

from __future__ import annotations

import io
import operator
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._files import signatures
from deltaloop._files.atomic import write_bytes
from deltaloop.cli import _csv
from deltaloop.datasets import _TABLES as SHIPPED
from deltaloop.datasets import _table
from deltaloop.tabular._frames import first_line

__all__ = [
    "DATA",
    "SUFFIXES",
    "check_unpacked",
    "has_types",
    "is_table",
    "read",
    "text_of",
    "write",
]

_TABS = (".tsv", ".tab")
_TEXT = (".csv", *_TABS, ".txt")
_PARQUET = (".parquet", ".pq")
SUFFIXES = (*_TEXT, *_PARQUET)
_PACKED = (".gz", ".zip", ".xz", ".bz2", ".zst")
# What no model file is called, lest it take the place of data.
DATA = (*SUFFIXES, *_PACKED, ".npz", ".npy", ".onnx")

# An entry that says that there is no value; an empty one does too.
_MISSING = ("NA", "N/A", "NaN", "nan", "null", "NULL", "?")
_DATE = r"^\d{4}-\d{2}-\d{2}"


def is_table(path: str) -> bool:
    """Whether a file's name is that of a table, or of one that ships with the package."""
    return path in SHIPPED or path.lower().endswith(SUFFIXES)


def check_unpacked(path: str) -> None:
    """ValueError for a file whose name is that of a compressed one."""
    if path.lower().endswith(_PACKED) and os.path.exists(path):
        raise ValueError(f"{path}: is compressed; unpack it first")


def _polars() -> Any:
    try:
        import polars
    except ImportError:
        raise ImportError("reading tables needs polars: pip install 'deltaloop[cli]'") from None
    return polars


def read(path: str, text: Collection[str] = (), *, entries: dict[str, Any] | None = None) -> Any:
    """Return the file as a polars frame; of a CSV or TSV file the columns `text` stay text.

    `entries` gets what is written in such a file: its columns as series of text.
    ValueError if it cannot be read as a table; OSError if it cannot be read at all.
    """
    pl = _polars()
    if path in SHIPPED:
        content = _table(path)
    else:
        with open(path, "rb") as file:  # once: polars opens and maps files by their names
            content = file.read()
    try:
        if path.lower().endswith(_PARQUET):
            kind = signatures.found(content)
            if kind is not None and not content.startswith(b"PAR1"):
                raise ValueError(f"expected a Parquet file, found {kind}")
            frame = pl.read_parquet(io.BytesIO(content))
        else:
            tabs = path.lower().endswith(_TABS)
            frame = _csv.read(content, "\t" if tabs else None)
            if entries is not None:
                entries |= {series.name: series for series in frame.get_columns()}
            frame = _typed(frame, text)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path}: {first_line(error)}") from error
    except pl.exceptions.PanicException as error:  # no Exception; one in 150 damaged Parquet files
        raise ValueError(f"{path}: damaged, polars cannot read it: {first_line(error)}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not frame.height:
        raise ValueError(f"{path}: holds no rows")
    return frame


def _typed(frame: Any, text: Collection[str]) -> Any:
    """Give columns of text the types of their values, all columns in a few steps."""
    import polars as pl

    trimmed = pl.all().str.strip_chars()
    frame = frame.with_columns(
        pl.when(trimmed.is_in(["", *_MISSING])).then(None).otherwise(trimmed).name.keep()
    )
    text = set(text)
    left = [name for name in frame.columns if name not in text]

    def those(fits: Iterable[bool]) -> list[str]:
        """Return which of the columns that are left fit, and leave the others."""
        nonlocal left
        parts: dict[bool, list[str]] = {True: [], False: []}
        for name, fit in zip(left, fits, strict=True):
            parts[fit].append(name)
        left = parts[False]
        return parts[True]

    def answers(of: Callable[[Any], Any]) -> Any:
        """Return what an expression gives for each column that is left."""
        return frame.select(of(pl.col(left))).row(0) if left else ()

    def is_word(column: Any) -> Any:
        return column.drop_nulls().str.to_lowercase().is_in(["true", "false"]).all()

    words = those(answers(is_word))
    dates = those(answers(lambda column: column.drop_nulls().str.contains(_DATE).all()))
    typed = [_dates(frame[name]) for name in dates]
    for dtype in (pl.Int64, pl.Float64):
        cast = frame.select(pl.col(left).cast(dtype, strict=False))
        before, after = answers(pl.Expr.null_count), cast.null_count().row(0) if left else ()
        typed += cast.select(those(map(operator.eq, before, after))).get_columns()
    frame = frame.with_columns(pl.col(words).str.to_lowercase() == "true")
    columns = {series.name: series for series in [*frame.get_columns(), *typed]}
    return pl.DataFrame(list(columns.values()))


def _dates(series: Any) -> Any:
    """Return dates, or times, or what else begins like a date as it is."""
    import polars as pl

    ways: list[Callable[[], Any]] = [
        lambda: series.str.to_date("%Y-%m-%d"),
        lambda: series.str.to_datetime(time_zone="UTC"),
    ]
    for way in ways:
        try:
            return way()
        except pl.exceptions.PolarsError:
            continue
    return series


def has_types(path: str) -> bool:
    """Whether files of this name hold numbers as numbers."""
    return path.lower().endswith(_PARQUET)


def write(path: str, columns: Mapping[str, NDArray[Any]] | Any) -> None:
    """Write columns, or a polars frame, to a CSV, TSV or Parquet file, completely or not at all.

    OSError names the file.
    """
    pl = _polars()
    frame: Any = columns
    if isinstance(columns, Mapping):
        frame = pl.DataFrame({name: np.asarray(values) for name, values in columns.items()})
    content = io.BytesIO()
    if has_types(path):
        frame.write_parquet(content)
    else:
        tabs = path.lower().endswith(_TABS)
        frame.write_csv(content, separator="\t" if tabs else ",")
    write_bytes(path, content.getbuffer())


def text_of(columns: Mapping[str, NDArray[Any]]) -> str:
    """Return columns as the text of a CSV file."""
    frame = _polars().DataFrame({name: np.asarray(values) for name, values in columns.items()})
    text: str = frame.write_csv()
    return text.removesuffix("\n")
