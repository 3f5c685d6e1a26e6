"""Reading rows to predict as those of training were read, and what a model keeps for that.

Nothing is decided here: the notations of the columns are those that training found (_reading.py).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from deltaloop._files.paths import short
from deltaloop.tabular import _dates, _notations
from deltaloop.tabular._dates import DATES, Dates
from deltaloop.tabular._notations import NUMBERS, Numbers, is_missing
from deltaloop.tabular._values import NOTHING, Notation, Values, where

__all__ = ["apply", "as_numbers", "of_json", "to_json", "without"]


def as_numbers(values: Values, found: Any, form: str, notation: Notation) -> Values:
    """Return values that are numbers. ValueError for those that are too large."""
    infinite = np.isinf(found)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise ValueError(f"{where(values.name, row)}: holds {found[row]}; numbers must be finite")
    form = NOTHING if np.isnan(found).all() else form
    return replace(values, form=form, numbers=found, text=None, notation=notation, mixed="")


def without(
    values: Values, more: Collection[str], target: bool, kept: Collection[str] = ()
) -> Values:
    """Return values without entries that say that there is none; `kept` are categories."""
    more = more or (values.notation.missing if values.notation else ())
    if values.text is not None:
        absent = {
            entry
            for entry in set(values.text)
            if entry is not None
            and entry not in kept
            and (entry in more or is_missing(entry, more, numbers=False, target=target))
            and entry.strip()
        }
        if not absent:
            return values
        text = [None if entry in absent else entry for entry in values.text]
        if any(entry is not None for entry in text):
            return replace(values, text=text)
        return as_numbers(
            values, np.full(len(text), np.nan), NOTHING, values.notation or Notation()
        )
    if more and values.form == "number" and values.numbers is not None:
        absent_numbers = [float(entry) for entry in more if _notations.plain(entry)]
        gone = np.isin(values.numbers, absent_numbers)
        if gone.any():
            numbers = np.where(gone, np.nan, values.numbers)
            return replace(
                values, numbers=numbers, form=NOTHING if np.isnan(numbers).all() else values.form
            )
    return values


def apply(
    values: Values,
    kind: str,
    notation: Notation | None,
    categories: Collection[str] = (),
    target: bool = False,
) -> Values:
    """Read a column to predict as the model's column of this kind was read in training.

    Entries that cannot be read so stay text, and values of another form stay what they are: the
    kind refuses them.
    """
    known = notation or Notation()
    if values.mixed and kind not in ("number", "date"):
        raise TypeError(values.mixed)
    if kind == "category":
        if known.items and values.numbers is not None:
            values = _as_items(values, known.items)
        values = replace(values, notation=notation)
        return without(values, known.missing, target, categories)
    if values.text is None or kind not in ("number", "date"):
        return without(replace(values, notation=notation), known.missing, target)
    ways: list[Numbers | Dates] = []
    if kind == "number":
        ways += _notations.of_signs(known.decimal, known.thousands)[:1]
    else:
        form = _dates.by_name(known.dates)
        ways += [form] if form is not None and form is not DATES[0] else []
        ways.append(DATES[0])
    read: dict[str, float] = {}
    for entry in dict.fromkeys(values.text):
        if entry is None or is_missing(entry, known.missing, numbers=True):
            continue
        number = _one(entry.strip(), ways, known.unit)
        if number is None:
            raise _refused(values, entry, kind, known, ways, target)
        read[entry] = number
    numbers = np.array(
        [read.get(entry, math.nan) if entry is not None else math.nan for entry in values.text]
    )
    return as_numbers(values, numbers, kind, known)


def _one(entry: str, ways: Sequence[Numbers | Dates], unit: str) -> float | None:
    """Return the number that an entry is, None if it is none or of another currency."""
    for way in ways:
        if isinstance(way, Dates):
            day = way.value(entry)
            if day is not None:
                return day
        else:
            found = way.value(entry)
            if found is not None and found[1] in ("", unit):
                return None if unit == "%" and not found[1] and found[0] else found[0]
    return None


def _refused(
    values: Values,
    entry: str,
    kind: str,
    notation: Notation,
    ways: Sequence[Numbers | Dates],
    target: bool,
) -> Exception:
    """Return the error for an entry that cannot be read as those of training were."""
    if values.mixed:
        return TypeError(values.mixed)
    assert values.text is not None
    at = ("target " if target else "") + where(values.name, values.text.index(entry))
    for way in ways:
        if isinstance(way, Dates) and way.looks(entry.strip()):
            return ValueError(f"{at}: {short(entry)} is no date ({way.name})")
    plain = notation.decimal == "." and not (notation.thousands or notation.unit or notation.dates)
    how = "" if plain else f" ({notation.called})"
    trained = "" if target else ", as in training"
    return TypeError(f"{at}: expected {kind}s{trained}{how}, got {short(entry)}")


def _as_items(values: Values, items: str) -> Values:
    """Return numbers as the text of categories that were numbers; other numbers as they are."""
    assert values.numbers is not None
    if values.boolean != (items == "bool"):
        return values
    known = values.numbers[~np.isnan(values.numbers)]
    if items == "int" and (known != np.round(known)).any():
        return values
    kind = {"int": int, "bool": bool, "float": float}[items]
    text = [None if number != number else str(kind(number)) for number in values.numbers.tolist()]
    if not known.size:
        return values
    return replace(values, form="text", numbers=None, text=text, boolean=False)


def to_json(notation: Notation | None) -> dict[str, Any] | None:
    """Return what a model's file says of a notation; None for the usual one."""
    if notation is None:
        return None
    usual = vars(Notation())
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(notation).items()
        if value != usual[name]
    }


def of_json(at: str, found: object) -> Notation:
    """Read what a file says of a notation. ValueError if it is none."""
    usual = {name: value for name, value in vars(Notation()).items() if name != "decided"}
    if isinstance(found, dict) and found and set(found) <= set(usual):
        given = usual | found
        missing = given.pop("missing")
        if (
            all(type(value) is str for value in given.values())
            and isinstance(missing, list | tuple)
            and all(type(entry) is str for entry in missing)
            and any(
                (row.decimal, row.thousands) == (given["decimal"], given["thousands"])
                for row in NUMBERS
            )
            and (not given["dates"] or _dates.by_name(given["dates"]) is not None)
            and given["items"] in ("", "int", "bool", "float")
            and len(given["unit"]) <= _notations.LONGEST_UNIT
        ):
            notation = Notation(**given, missing=tuple(missing)).kept
            if notation is not None:
                return notation
    raise ValueError(f"{at}: expected a notation of its entries, found {short(str(found))}")
