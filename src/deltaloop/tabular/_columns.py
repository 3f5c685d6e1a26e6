"""How the columns of a table become the inputs of a network, and back to text in a model's file.

A number (or a date, or a duration) is one input, and a second one, 1 where it is missing, if any
training row had it missing. A category is one input for each of its values, in sorted order, 1
where the row has it, and one more for missing ones under the same condition. What is missing
although no training row had it missing gets the means of the training rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._scaling import Floats, Scaling
from deltaloop.tabular import _frames
from deltaloop.tabular._frames import Values, where

__all__ = ["NUMERIC", "Column", "Table"]

NUMERIC = ("number", "date", "duration")

# A category is an input for each value. Text with more values, or with more than half as many as
# there are rows, is most likely a name or an identifier, which says nothing about other rows.
MAX_CATEGORIES = 100
MAX_SHARE = 0.5

_EXPECTED = {
    "number": "numbers",
    "date": "dates",
    "duration": "durations",
    "category": "text",
}


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
    """

    name: str
    kind: str
    missing: bool
    categories: tuple[str, ...] = ()
    means: tuple[float, ...] = ()

    @property
    def n_inputs(self) -> int:
        """Inputs of the network that the column takes."""
        return (len(self.categories) or 1) + self.missing

    @classmethod
    def of(cls, values: Values, rows: NDArray[np.intp]) -> Column | str:
        """Describe a column by all its values and those of the training rows; or why it is none."""
        missing = values.missing[rows]
        if values.text is None:
            assert values.numbers is not None
            known = values.numbers[rows][~missing]
            if _constant(len(known) < len(rows), np.unique(known).size):
                return "constant"
            with np.errstate(over="ignore"):
                mean = float(known.mean())
            if not np.isfinite(mean):
                raise ValueError(f"column {values.name!r} is too large to standardise")
            return cls(values.name, values.kind, bool(missing.any()), means=(mean,))
        categories = sorted({text for text in values.text if text is not None})
        if len(categories) > min(MAX_CATEGORIES, MAX_SHARE * len(values)):
            return f"text with {len(categories)} different values"
        if _constant(bool(missing.any()), len({values.text[i] for i in rows} - {None})):
            return "constant"
        column = cls(values.name, "category", bool(missing.any()), tuple(categories))
        if column.missing:
            return column
        shares = column.encode(values)[rows].mean(axis=0)
        return cls(column.name, column.kind, False, column.categories, tuple(shares.tolist()))

    def encode(self, values: Values) -> Floats:
        """Return the inputs, (n, n_inputs). TypeError or ValueError name the column and the row."""
        if values.kind != "nothing":
            self._check(values)
        absent = values.missing
        inputs = np.zeros((len(values), self.n_inputs))
        if self.kind != "category":
            assert values.numbers is not None
            inputs[:, 0] = np.where(absent, self.means[0], values.numbers)
        elif values.text is not None:
            place = {category: number for number, category in enumerate(self.categories)}
            for row, text in enumerate(values.text):
                if text is None:
                    continue
                if text not in place:
                    raise ValueError(
                        f"{where(self.name, row)}: expected one of the categories "
                        f"{_listed(self.categories)}, got {text!r}"
                    )
                inputs[row, place[text]] = 1.0
        if self.missing:
            inputs[absent, -1] = 1.0
        elif self.kind == "category" and self.means:
            inputs[absent] = self.means
        return inputs

    def _check(self, values: Values) -> None:
        """TypeError unless the values are of the column's kind."""
        expected = "category" if values.kind == "text" else values.kind
        if expected == self.kind:
            return
        row = _frames.not_a_number(values)  # one entry alone may be what made it text
        got = f"{values.dtype}" if values.text is None else repr(values.text[row])
        raise TypeError(
            f"{where(self.name, row)}: expected {_EXPECTED[self.kind]}, as in training, got {got}"
        )

    def scaling(self, inputs: Floats) -> Scaling:
        """Return how the inputs of training rows are scaled: numbers alone are standardised.

        An input that is constant there is scaled by infinity: it is 0 in training, and has no
        weight after it.
        """
        scaling = Scaling.of(inputs, f"column {self.name!r}", constant=np.inf)
        binary = np.arange(inputs.shape[1]) >= (0 if self.kind == "category" else 1)
        binary &= np.isfinite(scaling.scale)
        return Scaling(np.where(binary, 0.0, scaling.mean), np.where(binary, 1.0, scaling.scale))


@dataclass(frozen=True)
class Table:
    """The columns that a model takes."""

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, columns: Sequence[Values], rows: NDArray[np.intp]) -> tuple[Table, dict[str, str]]:
        """Describe columns by their training rows; also which ones say nothing, and why."""
        found, ignored = [], {}
        for values in columns:
            column = Column.of(values, rows)
            if isinstance(column, Column):
                found.append(column)
            else:
                ignored[values.name] = column
        return cls(tuple(found)), ignored

    @property
    def n_inputs(self) -> int:
        """Inputs of the network."""
        return sum(column.n_inputs for column in self.columns)

    def encode(self, columns: Mapping[str, Values]) -> Floats:
        """Return the inputs of all rows, (n, n_inputs)."""
        return np.hstack([column.encode(columns[column.name]) for column in self.columns])

    def read(self, frame: Any) -> dict[str, Values]:
        """Read the model's columns of a narwhals frame. ValueError if some are absent."""
        absent = [column.name for column in self.columns if column.name not in frame.columns]
        if absent:
            raise ValueError(
                f"there is no column {', '.join(map(repr, absent))}, which the model needs; the "
                f"columns are {_listed(frame.columns)}"
            )
        return {column.name: _frames.column(frame[column.name]) for column in self.columns}

    def scaling(self, inputs: Floats) -> Scaling:
        """Return how the inputs of the training rows are scaled."""
        ends = np.cumsum([column.n_inputs for column in self.columns])
        parts = [
            column.scaling(inputs[:, end - column.n_inputs : end])
            for column, end in zip(self.columns, ends.tolist(), strict=True)
        ]
        return Scaling(
            np.concatenate([part.mean for part in parts]),
            np.concatenate([part.scale for part in parts]),
        )


def _constant(missing: bool, n_values: int) -> bool:
    """Whether there is one value alone, where a missing one counts as another."""
    return n_values + missing < 2


def _listed(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(map(repr, names[:most])) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
