"""The kinds of columns, a class for each: what is known of one stands here and nowhere else.

The reading of frames, the encoding, the messages, the counts of `deltaloop train`, the description
in a model's file and the table in docs/reference/tables.md derive from these classes. Not here: how
columns come out of a frame (_frames.py), what a target may be (_target.py), and the types that a
CSV file may have (cli/_table_files.py).
"""

from __future__ import annotations

import datetime
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._files.paths import short
from deltaloop._scaling import Floats, Scaling
from deltaloop.tabular._values import NOTHING, Notation, Values, kept, not_a_number, where

__all__ = [
    "KINDS",
    "Category",
    "Column",
    "Ignored",
    "Kind",
    "Numeric",
    "known",
    "listed",
    "no_target",
]

MICROSECONDS_PER_DAY = 86_400_000_000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

# A category is an input for each value. Text with more values, or with more than half as many as
# there are rows, is most likely a name or an identifier, which says nothing about other rows.
MAX_CATEGORIES = 100
MAX_SHARE = 0.5


@dataclass(frozen=True)
class Column:
    """A column of a table that a model takes, and how it is encoded.

    Attributes
    ----------
    name : str
    kind : str
        ``"number"``, ``"date"``, ``"duration"`` or ``"category"``.
    missing : bool
        Whether training rows had it missing, so that there is an input for that.
    categories : tuple of str
        The values of a category, sorted; empty for the other kinds.
    means : tuple of float
        What a missing value is replaced by: the mean of the training rows, or the shares of the
        categories; empty for a category with an input for missing values.
    notation : Notation or None
        How text is read as values of the column; None for numbers as programs write them.
    """

    name: str
    kind: str
    missing: bool
    categories: tuple[str, ...] = ()
    means: tuple[float, ...] = ()
    notation: Notation | None = None

    @property
    def n_inputs(self) -> int:
        """Inputs of the network that the column takes."""
        return KINDS[self.kind].width(self) + self.missing

    @staticmethod
    def of(values: Values, rows: NDArray[np.intp]) -> Column | Ignored:
        """Describe a column by all its values and those of the training rows; or why it is none.

        Of several kinds with one form the first that does not refuse it is that of the column.
        """
        refused = []
        for kind in KINDS.values():
            if kind.form == values.form:
                found = kind.of(values, rows)
                if isinstance(found, Column):
                    return replace(found, notation=kept(values.notation))
                refused.append(found)
        return refused[0] if refused else CONSTANT  # no kind has the form of what is all missing

    def encode(self, values: Values) -> Floats:
        """Return the inputs, (n, n_inputs). TypeError or ValueError name the column and the row."""
        kind, absent = KINDS[self.kind], values.missing
        width = kind.width(self)
        inputs = np.zeros((len(values), width + self.missing))
        filled = inputs[:, :width]
        if values.form != NOTHING:
            kind.check(self, values)
            kind.fill(self, values, filled)
        filled[absent] = self.means or 0.0
        if self.missing:
            inputs[absent, -1] = 1.0
        return inputs

    def scaling(self, inputs: Floats) -> Scaling:
        """Return how the inputs of training rows are scaled: numbers alone are standardised.

        An input that is constant there is scaled by infinity: it is 0 in training, and has no
        weight after it.
        """
        kind = KINDS[self.kind]
        scaling = Scaling.of(inputs, f"column {self.name!r}", constant=np.inf)
        as_it_is = np.arange(inputs.shape[1]) >= (kind.width(self) if kind.standardised else 0)
        as_it_is &= np.isfinite(scaling.scale)
        return Scaling(
            np.where(as_it_is, 0.0, scaling.mean), np.where(as_it_is, 1.0, scaling.scale)
        )


@dataclass(frozen=True)
class Ignored:
    """Why a column says nothing. One with advice is worth a warning, which holds it."""

    reason: str
    advice: str = ""


CONSTANT = Ignored("constant")


class Kind:
    """A kind of column. CONTRIBUTING.md has the recipe for another one.

    The first methods read a column of a frame. The others turn it into inputs. Values are numbers,
    and those at missing rows do not matter; if `text` is true, they are text, and None is missing.
    """

    name: str  # in `Column.kind` and in files
    form: str  # that of its values; kinds of one form share the reading, which is the first one's
    item: str  # how messages call an entry,
    expected: str  # several entries,
    plural: str  # and several columns
    columns: str  # what docs/reference/tables.md says that it takes,
    inputs: str  # and what becomes of it
    text = False
    target = False  # whether a target may have what it reads
    standardised = True  # whether its inputs are, apart from that for missing values

    def takes(self, dtype: Any) -> bool:
        """Whether it reads columns of a frame of this narwhals dtype."""
        raise NotImplementedError

    def read(self, series: Any, missing: NDArray[np.bool_]) -> Any:
        """Return the values of a narwhals series of such a dtype, (n,). Here: as of objects."""
        return self.converted(known(series, missing))

    def items(self, series: Any, missing: NDArray[np.bool_]) -> str:
        """Return the type of what such a series holds, if it is read as text and is none.

        It is one that a `Notation` has; here none.
        """
        return ""

    def accepts(self, item: object) -> bool:
        """Whether it reads this Python object, where a column holds such."""
        raise NotImplementedError

    def convert(self, item: Any) -> float:
        """Return the number of such an object."""
        raise NotImplementedError

    def converted(self, items: list[Any]) -> list[Any]:
        """Return the values of such objects, among which None is missing. Here: numbers."""
        return [math.nan if item is None else self.convert(item) for item in items]

    def of(self, values: Values, rows: NDArray[np.intp]) -> Column | Ignored:
        """Describe a column by all its values and those of the training rows; or why it is none."""
        raise NotImplementedError

    def width(self, column: Column) -> int:
        """Return how many inputs a value takes, apart from that for missing values."""
        return 1

    def fill(self, column: Column, values: Values, inputs: Floats) -> None:
        """Write the inputs (n, width), which are 0. `Column.encode` writes those of missing values.

        ValueError if a value is none of the column's.
        """
        raise NotImplementedError

    def check(self, column: Column, values: Values) -> None:
        """TypeError unless the values are of the form that the kind takes."""
        if values.form == self.form:
            return
        row = not_a_number(values)  # one entry alone may be what made it text
        got = f"{values.dtype}" if values.text is None else repr(values.text[row])
        raise TypeError(
            f"{where(column.name, row)}: expected {self.expected}, as in training, got {got}"
        )

    def of_json(self, name: str, missing: bool, categories: object, means: object) -> Column:
        """Return the column that a file describes. ValueError if it cannot be one of this kind.

        Here: no categories, and a mean for each input.
        """
        at = f"column {short(name)}"
        if categories != []:
            raise ValueError(f"{at}: expected no categories, found {short(str(categories))}")
        column = Column(name, self.name, missing)
        return replace(column, means=means_of(at, means, self.width(column)))


class Numeric(Kind):
    """The base of what is read as numbers: one standardised input."""

    def of(self, values: Values, rows: NDArray[np.intp]) -> Column | Ignored:
        missing = values.missing[rows]
        assert values.numbers is not None
        known = values.numbers[rows][~missing]
        if constant(len(known) < len(rows), np.unique(known).size):
            return CONSTANT
        with np.errstate(over="ignore"):
            mean = float(known.mean())
        if not np.isfinite(mean):
            raise ValueError(f"column {values.name!r} is too large to standardise")
        return Column(values.name, self.name, bool(missing.any()), means=(mean,))

    def fill(self, column: Column, values: Values, inputs: Floats) -> None:
        assert values.numbers is not None
        inputs[:, 0] = values.numbers


class Number(Numeric):
    """Numbers and booleans."""

    name = form = "number"
    item = "a number"
    expected = plural = "numbers"
    columns = "numbers, decimals, booleans (0 and 1)"
    inputs = "one input, standardised"
    target = True

    def takes(self, dtype: Any) -> bool:
        import narwhals as nw

        return bool(dtype.is_numeric()) or isinstance(dtype, nw.Boolean)

    def read(self, series: Any, missing: NDArray[np.bool_]) -> Any:
        import narwhals as nw

        return series.cast(nw.Float64()).to_numpy()

    def accepts(self, item: object) -> bool:
        return isinstance(item, numbers.Real | Decimal | np.bool_)

    def convert(self, item: Any) -> float:
        return float(item)


class Date(Numeric):
    """Dates and times, as days since 1970-01-01 (UTC)."""

    name = form = "date"
    item = "a date"
    expected = plural = "dates"
    columns = "dates and times"
    inputs = "one input, standardised: days since 1970-01-01 (UTC)"

    def takes(self, dtype: Any) -> bool:
        import narwhals as nw

        return isinstance(dtype, nw.Date | nw.Datetime)

    def read(self, series: Any, missing: NDArray[np.bool_]) -> Any:
        import narwhals as nw

        microseconds = series.dt.timestamp("us").cast(nw.Float64()).to_numpy()
        return microseconds / MICROSECONDS_PER_DAY

    def accepts(self, item: object) -> bool:
        return isinstance(item, datetime.date)

    def convert(self, item: Any) -> float:
        if not isinstance(item, datetime.datetime):
            item = datetime.datetime(item.year, item.month, item.day)
        if item.tzinfo is None:  # a time without a zone is UTC
            item = item.replace(tzinfo=datetime.UTC)
        return float((item - _EPOCH) / datetime.timedelta(days=1))


class Duration(Numeric):
    """Durations, in days."""

    name = form = "duration"
    item = "a duration"
    expected = plural = "durations"
    columns = "durations"
    inputs = "one input, standardised: days"

    def takes(self, dtype: Any) -> bool:
        import narwhals as nw

        return isinstance(dtype, nw.Duration)

    def read(self, series: Any, missing: NDArray[np.bool_]) -> Any:
        import narwhals as nw

        microseconds = series.dt.total_microseconds().cast(nw.Float64()).to_numpy()
        return microseconds / MICROSECONDS_PER_DAY

    def accepts(self, item: object) -> bool:
        return isinstance(item, datetime.timedelta)

    def convert(self, item: Any) -> float:
        return float(item / datetime.timedelta(days=1))


class Category(Kind):
    """Text of few values: one input for each of them, 0 or 1."""

    name = "category"
    form = item = expected = "text"
    plural = "categories"
    columns = "text, categoricals, enums"
    inputs = "one input for each value, 0 or 1, in the order of code points"
    text = target = True
    standardised = False

    def takes(self, dtype: Any) -> bool:
        import narwhals as nw

        return isinstance(dtype, nw.Categorical | nw.Enum)

    def read(self, series: Any, missing: NDArray[np.bool_]) -> Any:
        # pandas has categories of any type.
        return [None if item is None else str(item) for item in known(series, missing)]

    def items(self, series: Any, missing: NDArray[np.bool_]) -> str:
        found = {type(item) for item in known(series, missing) if item is not None}
        kind = found.pop() if len(found) == 1 else str
        return kind.__name__ if kind in (int, bool, float) else ""

    def accepts(self, item: object) -> bool:
        return isinstance(item, str)

    def converted(self, items: list[Any]) -> list[Any]:
        return items

    def of(self, values: Values, rows: NDArray[np.intp]) -> Column | Ignored:
        assert values.text is not None
        missing = bool(values.missing[rows].any())
        present = [text for text in values.text if text is not None]
        categories = sorted(set(present))
        at_most = int(min(MAX_CATEGORIES, MAX_SHARE * len(present)))
        if len(categories) > at_most:
            return Ignored(
                f"text with {len(categories)} different values",
                f"a category has at most {at_most} here",
            )
        if constant(missing, len({values.text[i] for i in rows} - {None})):
            return CONSTANT
        column = Column(values.name, self.name, missing, tuple(categories))
        if missing:
            return column
        shares = column.encode(values)[rows].mean(axis=0)
        return replace(column, means=tuple(shares.tolist()))

    def width(self, column: Column) -> int:
        return len(column.categories)

    def fill(self, column: Column, values: Values, inputs: Floats) -> None:
        place = {category: number for number, category in enumerate(column.categories)}
        for row, text in enumerate(values.text or ()):
            if text is None:
                continue
            if text not in place:
                raise ValueError(
                    f"{where(column.name, row)}: expected one of the categories "
                    f"{listed(column.categories)}, got {text!r}; new_categories='missing' counts "
                    "it as missing"
                )
            inputs[row, place[text]] = 1.0

    def of_json(self, name: str, missing: bool, categories: object, means: object) -> Column:
        at = f"column {short(name)}"
        if not (
            isinstance(categories, list)
            and categories
            and all(isinstance(category, str) for category in categories)
            and all(a < b for a, b in pairwise(categories))
        ):
            raise ValueError(f"{at}: expected sorted categories, found {short(str(categories))}")
        n_means = 0 if missing else len(categories)
        return Column(name, self.name, missing, tuple(categories), means_of(at, means, n_means))


# In the order in which they are asked whether they take a column.
KINDS: dict[str, Kind] = {kind.name: kind for kind in (Number(), Category(), Date(), Duration())}


def known(series: Any, missing: NDArray[np.bool_]) -> list[Any]:
    """Return the Python objects of a narwhals series, None where one is missing."""
    return [
        None if absent else item for item, absent in zip(series.to_list(), missing, strict=True)
    ]


def no_target(values: Values) -> Kind | None:
    """Return the kind that read the values if no target may have them, else None."""
    reader = next((kind for kind in KINDS.values() if kind.form == values.form), None)
    return None if reader is None or reader.target else reader


def constant(missing: bool, n_values: int) -> bool:
    """Whether there is one value alone, where a missing one counts as another."""
    return n_values + missing < 2


def means_of(at: str, means: object, n: int) -> tuple[float, ...]:
    """Return the means that a file has for the column `at`. ValueError unless they are n."""
    if (
        isinstance(means, list)
        and len(means) == n
        and all(type(mean) is float and math.isfinite(mean) for mean in means)
    ):
        return tuple(means)
    raise ValueError(f"{at}: expected means to be {n} finite numbers, found {short(str(means))}")


def listed(names: Sequence[object], most: int = 10) -> str:
    """Return how messages show names: at most so many of them."""
    shown = ", ".join(map(repr, names[:most])) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
