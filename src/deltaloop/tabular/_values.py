"""The values of one column, in one form whatever library held them, and what messages say of them.

A column is numbers, with NaN for what is missing, or text, with None for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._scaling import Floats

__all__ = [
    "NOTHING",
    "Notation",
    "Values",
    "entries_text",
    "kept",
    "not_a_number",
    "numbers_as_text",
    "quote",
    "where",
]

NOTHING = "nothing"


@dataclass(frozen=True)
class Notation:
    """How the text of a column is read: what its entries decided in training (_reading.py).

    `missing` are entries that were told to say that there is no value.
    `items` is the type of categories that are no text. Whether the decimal sign was `decided` by an
    entry that has it matters in training alone.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    dates: str = ""
    missing: tuple[str, ...] = ()
    items: str = ""
    decided: bool = field(default=False, compare=False)

    @property
    def kept(self) -> Notation | None:
        """What a model keeps of it: None for what is usual."""
        return None if self == Notation() else replace(self, decided=False)

    @property
    def called(self) -> str:
        """What messages call it; empty for what needs no word."""
        if self.dates:
            return self.dates
        between = f", thousands {self.thousands!r}" if self.thousands else ""
        unit = f", {self.unit}" if self.unit else ""
        return f"decimal {self.decimal!r}{between}{unit}"


def kept(notation: Notation | None) -> Notation | None:
    """Return what a model keeps of the notation of a column."""
    return None if notation is None else notation.kept


@dataclass(frozen=True)
class Values:
    """One column. `form` is that of the kind that read it, or NOTHING where all are missing.

    `numbers`, (n,), has NaN where a value is missing; `text` has None there. The other one is None.
    `boolean` is true for numbers that all were booleans, which are 0 and 1. `mixed` is the message
    for text that was made of objects of several types, if it stays text.
    """

    name: str
    form: str
    dtype: str
    numbers: Floats | None = None
    text: list[str | None] | None = None
    boolean: bool = False
    notation: Notation | None = None
    mixed: str = ""

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


def where(name: str, row: int | np.integer[Any]) -> str:
    """Return how messages call a place."""
    return f"column {name!r}, row {row}"


def quote(item: object) -> str:
    """Return how messages show an entry and its type."""
    return f"{_short(item)} ({type(item).__name__})"


def entries_text(found: Mapping[str, Sequence[int]], most: int = 3) -> str:
    """Return how messages show entries and the rows that have them: at most so many entries."""
    shown = []
    for entry, rows in list(found.items())[:most]:
        there = f"row {rows[0]}" if len(rows) == 1 else f"{len(rows)} rows, the first is {rows[0]}"
        shown.append(f"{_short(entry)} ({there})")
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def not_a_number(values: Values) -> int:
    """Return the first row of text that is no number, or, if all are, that is not missing."""
    row = int(np.argmin(values.missing))
    return next((i for i, text in enumerate(values.text or ()) if not _numeric(text)), row)


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
    return ""


def _numeric(text: str | None) -> bool:
    try:
        return text is None or float(text) is not None
    except ValueError:
        return False


def _short(item: object) -> str:
    text = repr(item)
    return text if len(text) <= 60 else text[:57] + "..."
