"""Columns of pandas, polars and pyarrow frames and of dicts, all in one form, by narwhals.

A column is numbers, with NaN for what is missing, or text, with None for it. What cannot be either
ends in an error that names the column and the row, counted from 0.
"""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._scaling import Floats

__all__ = [
    "MICROSECONDS_PER_DAY",
    "Columns",
    "Values",
    "column",
    "first_line",
    "frame",
    "not_a_number",
    "numbers_as_text",
    "series",
    "where",
]

MICROSECONDS_PER_DAY = 86_400_000_000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Values:
    """One column: `kind` is "number", "date", "duration", "text" or "nothing" (all missing).

    `numbers`, (n,), has NaN where a value is missing, dates as days since 1970-01-01 (UTC),
    durations in days and booleans as 0 and 1; `text` has None there. The other one is None.
    `boolean` is true for numbers that all were booleans.
    """

    name: str
    kind: str
    dtype: str
    numbers: Floats | None = None
    text: list[str | None] | None = None
    boolean: bool = False

    def __len__(self) -> int:
        values = self.numbers if self.text is None else self.text
        assert values is not None
        return len(values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which rows have no value, (n,)."""
        if self.numbers is not None:
            return np.isnan(self.numbers)
        assert self.text is not None
        return np.array([value is None for value in self.text], dtype=bool)

    def take(self, rows: NDArray[np.intp]) -> Values:
        """Return some of the rows."""
        if self.numbers is not None:
            return replace(self, numbers=self.numbers[rows])
        assert self.text is not None
        return replace(self, text=[self.text[row] for row in rows.tolist()])


class Columns:
    """Series under names: as much of a narwhals frame as is used, whatever holds each of them."""

    def __init__(self, series: Mapping[str, Any]) -> None:
        self._series = series
        self.columns = list(series)

    def __getitem__(self, name: str) -> Any:
        return self._series[name]

    def __len__(self) -> int:
        return next(map(len, self._series.values()), 0)


def frame(data: Any) -> Any:
    """Return a narwhals frame, or `Columns` of a dict. TypeError or ValueError for no table."""
    try:
        import narwhals as nw
    except ImportError:
        raise ImportError("tables need narwhals: pip install 'deltaloop[tabular]'") from None
    if isinstance(data, Mapping):
        return _of_mapping(data)
    try:
        found = nw.from_native(data, eager_only=True)
    except TypeError:
        what = f"{type(data).__module__.partition('.')[0]}.{type(data).__qualname__}"
        hint = "; call its collect() first" if "LazyFrame" in what else ""
        raise TypeError(
            "frame must be a pandas, polars or pyarrow table in memory, or a dict of columns, "
            f"got {what}{hint}"
        ) from None
    except nw.exceptions.DuplicateError as error:
        names = list(data.columns if hasattr(data, "iloc") else data.schema.names)
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"frame: there is more than one column {twice!r}; names must differ"
        ) from error
    for name in found.columns:
        if not isinstance(name, str):
            raise TypeError(f"frame: names of columns must be text, got {name!r}")
    return found


def column(given: Any) -> Values:
    """Read a narwhals given."""
    import narwhals as nw

    name, dtype, kind = given.name, given.dtype, str(given.dtype)
    missing = given.is_null().to_numpy()
    if missing.all():
        return Values(name, "nothing", kind, np.full(len(given), np.nan))
    if dtype.is_numeric() or dtype == nw.Boolean:
        values = given.cast(nw.Float64()).to_numpy()
        return _numbers(name, "number", kind, values, missing, dtype == nw.Boolean)
    if dtype in (nw.Date, nw.Datetime):
        values = given.dt.timestamp("us").cast(nw.Float64()).to_numpy()
        return _numbers(name, "date", kind, values / MICROSECONDS_PER_DAY, missing)
    if dtype == nw.Duration:
        values = given.dt.total_microseconds().cast(nw.Float64()).to_numpy()
        return _numbers(name, "duration", kind, values / MICROSECONDS_PER_DAY, missing)
    items = [
        None if absent else item for item, absent in zip(given.to_list(), missing, strict=True)
    ]
    if dtype in (nw.Categorical, nw.Enum):  # pandas has categories of any type
        return Values(name, "text", kind, text=[x if x is None else str(x) for x in items])
    return _of_items(name, kind, items)


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
            "a dict of columns needs polars, pandas or pyarrow: pip install 'deltaloop[cli]'"
        )
    return found


def where(name: str, row: int | np.integer[Any]) -> str:
    """Return how messages call a place."""
    return f"column {name!r}, row {row}"


def not_a_number(values: Values) -> int:
    """Return the first row of text that is no number, or, if all are, that is not missing."""
    row = int(np.argmin(values.missing))
    return next((i for i, text in enumerate(values.text or ()) if not _numeric(text)), row)


def _numeric(text: str | None) -> bool:
    try:
        return text is None or float(text) is not None
    except ValueError:
        return False


def numbers_as_text(values: Values) -> str:
    """Say which entry made a column text whose entries look like numbers; else return nothing."""
    known = [(row, text) for row, text in enumerate(values.text or ()) if text is not None]
    n = sum(_numeric(text) for _, text in known)
    if known and n == len(known):
        return f", all of them numbers as text, as {known[0][1]!r} in row {known[0][0]}"
    if 2 * n > len(known):
        row = not_a_number(values)
        assert values.text is not None
        return f", most of them numbers, but row {row} holds {_short(values.text[row])}"
    if known and all(_numeric(text.replace(",", ".")) for _, text in known):
        row, text = known[0]
        return f", numbers with decimal commas, as {text!r} in row {row}"
    return ""


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


def _numbers(
    name: str,
    kind: str,
    dtype: str,
    values: NDArray[Any],
    missing: NDArray[np.bool_],
    boolean: bool = False,
) -> Values:
    """Check numbers; pandas may mark a missing one by more than NaN."""
    values = np.where(missing, np.nan, values).astype(np.float64)
    if np.isnan(values).all():
        return Values(name, "nothing", dtype, values)
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise ValueError(f"{where(name, row)}: holds {values[row]}; numbers must be finite")
    return Values(name, kind, dtype, values, boolean=boolean)


def _is_number(item: object) -> bool:
    return isinstance(item, numbers.Real | Decimal | np.bool_)


def _days(item: Any) -> float:
    """Return days since 1970-01-01 of a date; a time without a zone is UTC."""
    if not isinstance(item, datetime.datetime):
        item = datetime.datetime(item.year, item.month, item.day)
    if item.tzinfo is None:
        item = item.replace(tzinfo=datetime.UTC)
    return float((item - _EPOCH) / datetime.timedelta(days=1))


_OBJECTS: list[tuple[str, str, Callable[[Any], bool], Callable[[Any], float] | None]] = [
    ("number", "a number", _is_number, float),
    ("text", "text", lambda item: isinstance(item, str), None),
    ("date", "a date", lambda item: isinstance(item, datetime.date), _days),
    (
        "duration",
        "a duration",
        lambda item: isinstance(item, datetime.timedelta),
        lambda item: item / datetime.timedelta(days=1),
    ),
]


def _of_items(name: str, dtype: str, items: list[Any]) -> Values:
    """Read a column of Python objects, which must be of one kind."""
    first = next(row for row, item in enumerate(items) if item is not None)
    for kind, called, accepts, convert in _OBJECTS:
        if not accepts(items[first]):
            continue
        for row, item in enumerate(items):
            if item is not None and not accepts(item):
                raise TypeError(
                    f"{where(name, row)}: expected {called}, as in row {first}, got {_quote(item)}"
                )
        if convert is None:
            return Values(name, kind, dtype, text=items)
        missing = np.array([item is None for item in items])
        values = np.array([np.nan if item is None else convert(item) for item in items])
        boolean = all(item is None or isinstance(item, bool | np.bool_) for item in items)
        return _numbers(name, kind, dtype, values, missing, boolean)
    raise TypeError(
        f"{where(name, first)}: expected a number, text, a date or a duration, got "
        f"{_quote(items[first])}; leave the column out"
    )


def _quote(item: object) -> str:
    return f"{_short(item)} ({type(item).__name__})"


def _short(item: object) -> str:
    text = repr(item)
    return text if len(text) <= 60 else text[:57] + "..."


def first_line(error: Exception) -> str:
    """Return the first line of a message of another library."""
    return str(error).strip().partition("\n")[0]
