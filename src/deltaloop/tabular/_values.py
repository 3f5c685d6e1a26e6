"""The values of one column, in one form whatever library held them, and what messages say of them.

A column is numbers, with NaN for what is missing, or text, with None for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._scaling import Floats

__all__ = ["NOTHING", "Values", "not_a_number", "numbers_as_text", "numeric", "quote", "where"]

NOTHING = "nothing"


@dataclass(frozen=True)
class Values:
    """One column. `form` is that of the kind that read it, or NOTHING where all are missing.

    `numbers`, (n,), has NaN where a value is missing; `text` has None there. The other one is None.
    `boolean` is true for numbers that all were booleans, which are 0 and 1.
    """

    name: str
    form: str
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


def where(name: str, row: int | np.integer[Any]) -> str:
    """Return how messages call a place."""
    return f"column {name!r}, row {row}"


def quote(item: object) -> str:
    """Return how messages show an entry and its type."""
    return f"{_short(item)} ({type(item).__name__})"


def not_a_number(values: Values) -> int:
    """Return the first row of text that is no number, or, if all are, that is not missing."""
    row = int(np.argmin(values.missing))
    return next((i for i, text in enumerate(values.text or ()) if not numeric(text)), row)


def numbers_as_text(values: Values) -> str:
    """Say which entry made a column text whose entries look like numbers; else return nothing."""
    known = [(row, text) for row, text in enumerate(values.text or ()) if text is not None]
    n = sum(numeric(text) for _, text in known)
    if known and n == len(known):
        return f", all of them numbers as text, as {known[0][1]!r} in row {known[0][0]}"
    if 2 * n > len(known):
        row = not_a_number(values)
        assert values.text is not None
        return f", most of them numbers, but row {row} holds {_short(values.text[row])}"
    if known and all(numeric(text.replace(",", ".")) for _, text in known):
        row, text = known[0]
        return f", numbers with decimal commas, as {text!r} in row {row}"
    return ""


def numeric(text: str | None) -> bool:
    """Whether a text is a number, or missing."""
    try:
        return text is None or float(text) is not None
    except ValueError:
        return False


def _short(item: object) -> str:
    text = repr(item)
    return text if len(text) <= 60 else text[:57] + "..."
