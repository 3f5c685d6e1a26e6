"""Tables in files, read with polars; what is wrong is said with the file.

The columns of a text file are all read as text first, so that what they are follows from all their
rows by one rule: whole numbers, numbers, true and false, dates as ISO 8601 writes them, or text.
What people write for numbers and dates is left to deltaloop.tabular, which reads all text so.
"""

from __future__ import annotations

import io
import operator
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._files.atomic import write_bytes
from deltaloop.cli import _formats, _packed
from deltaloop.datasets import _TABLES as SHIPPED
from deltaloop.datasets import _table
from deltaloop.tabular._frames import first_line
from deltaloop.tabular._notations import EVERYWHERE
from deltaloop.tabular._options import Options
from deltaloop.tabular._values import entries_text

__all__ = [
    "DATA",
    "SUFFIXES",
    "WRITTEN",
    "check_known",
    "has_types",
    "is_table",
    "is_written",
    "read",
    "text_of",
    "write",
]

_TABS = (".tsv", ".tab")
_PARQUET = (".parquet", ".pq")
# The endings of what is read, and of what is written.
SUFFIXES = tuple(suffix for row in _formats.FORMATS for suffix in row.suffixes)
WRITTEN = (".csv", *_TABS, ".txt", *_PARQUET)
# What no model file is called, lest it take the place of data.
DATA = (*SUFFIXES, *_packed.SUFFIXES, *_formats.REFUSED, ".npz", ".npy", ".onnx")

_DATE = r"^\d{4}-\d{2}-\d{2}"
# Numbers with points that may stand between thousands.
_GROUPS = r"^[-+]?[1-9]\d{0,2}(?:\.\d{3})+$"
_COMMA = r"^[-+]?\d[\d.]*,\d+$"


def is_table(path: str) -> bool:
    """Whether a file's name is that of a table, compressed or not, or of one that ships."""
    return path in SHIPPED or _formats.of_path(path) is not None


def is_written(path: str) -> bool:
    """Whether a file's name is that of a table that can be written."""
    return path.lower().endswith(WRITTEN)


def check_known(path: str) -> None:
    """ValueError for a file whose name is that of one that is not read, and what to do with it."""
    if is_table(path) or not os.path.exists(path):
        return
    what = _formats.refused(path)
    if what is not None:
        raise ValueError(f"{path}: files of this kind are not read; {what}")
    if path.lower().endswith(_packed.SUFFIXES):
        raise ValueError(
            f"{path}: is compressed; expected a name that tells what is in it, as in data.csv"
            f"{path[len(_packed.inner(path)) :]}"
        )


def _polars() -> Any:
    try:
        import polars
    except ImportError:
        raise ImportError("reading tables needs polars: pip install 'deltaloop[tabular]'") from None
    return polars


def read(
    path: str,
    text: Collection[str] = (),
    *,
    options: Options | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    told: dict[str, str] | None = None,
    entries: dict[str, Any] | None = None,
) -> Any:
    """Return the file as a polars frame; of a file of text the columns `text` stay text.

    `told` gets what is to be told about entries that count as missing, by column; `entries` what is
    written in a file of text: its columns as series.
    ValueError if it cannot be read as a table; OSError if it cannot be read at all.
    """
    pl = _polars()
    row = _formats.of_path(path) or _formats.FORMATS[0]
    name, part = _formats.split(path)
    if path in SHIPPED:
        content = _table(path)
    else:
        with open(name, "rb") as file:  # once: polars opens and maps files by their names
            content = file.read()
    try:
        content = _packed.unpack(name, content)
        _formats.check(row, content)
        frame = row.read(_formats.Source(content, part, separator, encoding))
        if row.text and entries is not None:
            entries |= {series.name: series for series in frame.get_columns()}
        if row.text:
            frame = _typed(frame, text, options or Options(), {} if told is None else told)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{path}: {first_line(error)}") from error
    except RecursionError as error:
        raise ValueError(f"{path}: is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of one in 150 damaged Parquet files
            raise
        raise ValueError(f"{path}: damaged, it cannot be read: {first_line(error)}") from error
    if not frame.height:
        raise ValueError(f"{path}: holds no rows")
    return frame


def has_types(path: str) -> bool:
    """Whether text in a file is a choice of its owner: there are other types."""
    row = _formats.of_path(path)
    return row is not None and not row.text


def _typed(frame: Any, text: Collection[str], options: Options, told: dict[str, str]) -> Any:
    """Give columns of text the types of their values, all columns in a few steps.

    Entries that say nothing in any column are none.
    """
    import polars as pl

    strings = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    trimmed = pl.col(strings).str.strip_chars()
    absent = [*EVERYWHERE, *options.missing]
    frame = frame.with_columns(trimmed)
    some = frame.select(pl.col(strings).is_in(absent).any()).row(0) if strings else ()
    marked = [name for name, found in zip(strings, some, strict=True) if found]
    told |= {name: _counts_as_missing(frame[name], absent) for name in marked}
    said = set(marked)
    frame = frame.with_columns(
        pl.when(pl.col(name).is_in(["", *absent]) if name in said else pl.col(name) == "")
        .then(None)
        .otherwise(pl.col(name))
        .name.keep()
        for name in strings
    )
    text = {*text, *options.text}
    left = [name for name in strings if name not in text]

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
    those(_in_groups(frame, left, options))
    for dtype in (pl.Int64, pl.Float64):
        if dtype == pl.Float64 and (options.decimal or ".") != ".":
            break
        cast = frame.select(pl.col(left).cast(dtype, strict=False))
        before, after = answers(pl.Expr.null_count), cast.null_count().row(0) if left else ()
        typed += cast.select(those(map(operator.eq, before, after))).get_columns()
    frame = frame.with_columns(pl.col(words).str.to_lowercase() == "true")
    columns = {series.name: series for series in [*frame.get_columns(), *typed]}
    return pl.DataFrame(list(columns.values()))


def _counts_as_missing(series: Any, absent: Sequence[str]) -> str:
    """Say which entries of a column count as missing."""
    rows = series.is_in(absent).arg_true()
    found: dict[str, list[int]] = {}
    for row, entry in zip(rows, series.gather(rows), strict=True):
        found.setdefault(entry, []).append(row)
    return f"column {series.name!r}: {entries_text(found)} counts as missing"


def _in_groups(frame: Any, names: list[str], options: Options) -> list[bool]:
    """Tell in which columns points may stand between thousands: other columns have decimal commas.

    They stay text, which deltaloop.tabular reads.
    """
    import polars as pl

    if options.thousands == ".":
        maybe = True
    elif not names or options.decimal or options.thousands is not None:
        maybe = False
    else:
        maybe = any(frame.select(pl.col(names).str.contains(_COMMA).any()).row(0))
    if not maybe:
        return [False] * len(names)
    row = frame.select(
        [
            (
                pl.col(name).str.contains(".", literal=True).any()
                & (
                    ~pl.col(name).str.contains(".", literal=True)
                    | pl.col(name).str.contains(_GROUPS)
                ).all()
            ).alias(name)
            for name in names
        ]
    ).row(0)
    return [bool(fit) for fit in row]


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
