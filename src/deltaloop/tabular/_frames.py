"""Columns of pandas, polars and pyarrow frames and of dicts, all in one form, by narwhals.

The kinds (_kinds.py) say which columns they take and convert them. What no kind takes ends in an
error that names the column and the row, counted from 0.
"""

from __future__ import annotations

import datetime
import numbers
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._files.paths import twice
from deltaloop.tabular import _sources
from deltaloop.tabular._kinds import KINDS, Kind, known
from deltaloop.tabular._values import NOTHING, Notation, Values, quote, where

__all__ = ["Columns", "column", "first_line", "frame", "series"]


class Columns:
    """Series under names: as much of a narwhals frame as is used, whatever holds each of them."""

    def __init__(self, series: Mapping[str, Any]) -> None:
        self._series = series
        self.columns = list(series)

    def __getitem__(self, name: str) -> Any:
        return self._series[name]

    def __len__(self) -> int:
        return next(map(len, self._series.values()), 0)


class Array(Columns):
    """The columns of an array (n, columns), called x0, x1 and so on."""

    def __init__(self, array: NDArray[Any]) -> None:
        super().__init__({f"x{i}": column for i, column in enumerate(array.T)})
        self._n = len(array)

    def __getitem__(self, name: str) -> Any:
        numbers = of_array(name, self._series[name])
        return series(name, self._series[name]) if numbers is None else numbers

    def __len__(self) -> int:
        return self._n

    def check(self, n: int) -> None:
        """ValueError unless there are n columns, as of the array that a model learned from."""
        if len(self.columns) != n:
            raise ValueError(
                f"X has {len(self.columns)} features, but TabularModel is expecting {n} features "
                "as input"
            )


def of_array(name: str, array: NDArray[Any]) -> Values | None:
    """Read a column of an array of numbers or booleans, which needs no library of frames."""
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        return None
    values = array.astype(np.float64)
    number = KINDS["number"]
    dtype = str(array.dtype)
    return _values(number, name, dtype, values, np.isnan(values), array.dtype.kind == "b")


def frame(data: Any) -> Any:
    """Return a narwhals frame, or `Columns` of a dict. TypeError or ValueError for no table."""
    try:
        import narwhals as nw
    except ImportError:
        raise ImportError("tables need narwhals: pip install 'deltaloop[tabular]'") from None
    if _sources.is_matrix(data):
        return Array(_sources.matrix(data))
    if isinstance(data, Mapping):
        return _of_mapping(data)
    try:
        found = nw.from_native(_sources.native(data, _backend), eager_only=True)
    except TypeError:
        what = f"{type(data).__module__.partition('.')[0]}.{type(data).__qualname__}"
        hint = "; call its collect() first" if "LazyFrame" in what else ""
        if isinstance(data, str | os.PathLike):
            hint = f" {os.fspath(data)!r}; read the file first, for example by pandas.read_csv"
        raise TypeError(
            "frame must be a table of pandas, polars, pyarrow, DuckDB or another library with an "
            f"Arrow stream, a dict of columns or an array, got {what}{hint}"
        ) from None
    except nw.exceptions.DuplicateError as error:
        names = list(data.columns if hasattr(data, "iloc") else data.schema.names)
        raise ValueError(
            f"frame: there is more than one column {twice(names)!r}; names must differ"
        ) from error
    for name in found.columns:
        if not isinstance(name, str):
            raise TypeError(f"frame: names of columns must be text, got {name!r}")
    return found


def column(given: Any) -> Values:
    """Read a narwhals series, as the first kind does that takes it; what is read is returned."""
    if isinstance(given, Values):
        return given
    name, dtype = given.name, str(given.dtype)
    missing = given.is_null().to_numpy()
    if missing.all():
        return Values(name, NOTHING, dtype, np.full(len(given), np.nan))
    for kind in KINDS.values():
        if kind.takes(given.dtype):
            values = kind.read(given, missing)
            found = _values(kind, name, dtype, values, missing, dtype == "Boolean")
            items = kind.items(given, missing)
            return replace(found, notation=Notation(items=items)) if items else found
    return _of_items(name, dtype, known(given, missing), missing)


def series(name: str, values: Any) -> Any:
    """Make a narwhals series of a list, an array or another library's series."""
    import narwhals as nw

    given = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(given, nw.Series):
        return given.rename(name)
    listed = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    if not listed and np.ndim(values) != 1:
        raise TypeError(
            f"column {name!r} must be a list or an array with one value a row, "
            f"got {type(values).__name__}"
        )
    if isinstance(values, np.ndarray) and values.dtype == object:
        values = values.tolist()  # polars takes the objects of an array for bytes
    if listed or isinstance(values, list):  # among text NaN would be of another type
        values = [None if isinstance(item, float) and item != item else item for item in values]
    try:
        return nw.new_series(name, values, backend=_backend())
    except Exception as error:  # each library has kinds of its own
        raise ValueError(
            f"column {name!r} cannot be read as values of one type: {first_line(error)}"
        ) from error


def _backend() -> Any:
    """Return the first library of frames that there is, to hold columns that are in none."""
    found = next((name for name in ("polars", "pandas", "pyarrow") if find_spec(name)), None)
    if found is None:
        raise ImportError(
            "a dict of columns needs polars, pandas or pyarrow: pip install 'deltaloop[tabular]'"
        )
    return found


def _of_mapping(data: Mapping[Any, Any]) -> Columns:
    columns: dict[str, Any] = {}
    for name, values in data.items():
        if not isinstance(name, str):
            raise TypeError(f"frame: names of columns must be text, got {name!r}")
        columns[name] = series(name, values)
        first = next(iter(columns))
        if len(columns[name]) != len(columns[first]):
            raise ValueError(
                f"column {name!r} has {len(columns[name])} rows, {first!r} has "
                f"{len(columns[first])}; they must be as many"
            )
    return Columns(columns)


def _values(
    kind: Kind,
    name: str,
    dtype: str,
    values: Any,
    missing: NDArray[np.bool_],
    boolean: bool,
) -> Values:
    """Check what a kind has read; pandas may mark a missing number by more than NaN."""
    if kind.text:
        return Values(name, kind.form, dtype, text=values)
    values = np.where(missing, np.nan, values).astype(np.float64)
    if np.isnan(values).all():
        return Values(name, NOTHING, dtype, values)
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise ValueError(f"{where(name, row)}: holds {values[row]}; numbers must be finite")
    return Values(name, kind.form, dtype, values, boolean=boolean)


def _of_items(name: str, dtype: str, items: list[Any], missing: NDArray[np.bool_]) -> Values:
    """Read a column of Python objects, which must be of one kind."""
    first = next(row for row, item in enumerate(items) if item is not None)
    kind = next((kind for kind in KINDS.values() if kind.accepts(items[first])), None)
    if kind is None:
        *others, last = dict.fromkeys(kind.item for kind in KINDS.values())
        raise TypeError(
            f"{where(name, first)}: expected {', '.join(others)} or {last}, got "
            f"{quote(items[first])}; leave the column out"
        )
    for row, item in enumerate(items):
        if item is not None and not kind.accepts(item):
            wrong = (
                f"{where(name, row)}: expected {kind.item}, as in row {first}, got {quote(item)}"
            )
            if all(_as_text(item) is not None for item in items if item is not None):
                text = [None if item is None else _as_text(item) for item in items]
                return Values(name, "text", dtype, text=text, mixed=wrong)
            raise TypeError(wrong)
    boolean = all(item is None or isinstance(item, bool | np.bool_) for item in items)
    return _values(kind, name, dtype, kind.converted(items), missing, boolean)


def _as_text(item: object) -> str | None:
    """Return what a file of text would hold for an object among text, None for most objects."""
    if isinstance(item, str):
        return item
    if isinstance(item, datetime.date):
        return item.isoformat()
    number = isinstance(item, numbers.Real | Decimal) and not isinstance(item, bool)
    return str(item) if number else None


def first_line(error: BaseException) -> str:
    """Return the first line of a message of another library."""
    return str(error).strip().partition("\n")[0]
