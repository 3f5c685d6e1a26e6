"""How the text of a table's columns is read: what the entries of each column say, all together.

A column of text may hold numbers (_notations.py) or dates (_dates.py) as people write them. What
was found, its `Notation`, is told, stored in the model and used on rows to predict (_applied.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deltaloop.tabular import _dates, _notations
from deltaloop.tabular._applied import as_numbers, without
from deltaloop.tabular._dates import DATES, Dates
from deltaloop.tabular._notations import PLAIN, Numbers, is_missing
from deltaloop.tabular._options import DAY_FIRST, MONTH_FIRST, Options
from deltaloop.tabular._values import Notation, Values, entries_text, where

__all__ = ["KEPT_AS_TEXT", "Reading", "of_table"]

# So many different entries, in so small a part of the rows, may be no numbers among numbers.
MAX_ODD = 5
MAX_ODD_SHARE = 0.1
# One may be in any column of so many entries.
FEWEST = 4
# So many different entries tell whether all of them are worth a look.
SAMPLE = 500
# What str() makes of a missing value: text of these and plain numbers was made text on purpose.
KEPT_AS_TEXT = ("nan", "None", "<NA>", "NaT")


@dataclass(frozen=True)
class Reading:
    """The columns of a table after their text was read, and what is to be told about it."""

    columns: dict[str, Values]
    notices: tuple[str, ...]


class _Found:
    """What one way of reading makes of the different entries of a column."""

    def __init__(self, way: Numbers | Dates, entries: Iterable[str]) -> None:
        self.way = way
        self.values: dict[str, float] = {}
        self.bad: list[str] = []
        units: dict[str, str] = {}
        if isinstance(way, Numbers):
            self.values, entries = way.simple_values(entries)
        self.decorated: list[str] = []  # those with more than a sign before them
        for entry in entries:
            stripped = entry.strip()
            if isinstance(way, Dates):
                day = way.value(stripped)
                number = None if day is None else (day, "")
            else:
                number = way.value(stripped)
            if number is None:
                self.bad.append(entry)
                continue
            self.values[entry] = number[0]
            self.decorated.append(entry)
            if number[1]:
                units[entry] = number[1]
        self.unit = self._one(units) if units else ""

    def _one(self, units: dict[str, str]) -> str:
        """Return the sign that the numbers have in common; those with another one are bad."""
        counts = {unit: list(units.values()).count(unit) for unit in set(units.values())}
        unit = max(sorted(counts), key=lambda name: counts[name])
        percent = unit == "%"
        if percent and 2 * counts[unit] < len(self.values):
            unit, percent = "", False
        for entry in list(self.values):
            own = units.get(entry, "")
            if own == unit or (not own and (not percent or not self.values[entry])):
                continue
            del self.values[entry]
            self.bad.append(entry)
        return unit


def of_table(columns: Mapping[str, Values], targets: Collection[str], options: Options) -> Reading:
    """Decide how the text of a training table is read, column by column, and read it.

    ValueError if a column can be read in two ways, or has a few odd entries, and says which option
    decides.
    """
    found: dict[str, Values] = {}
    notices: dict[str, list[str]] = {}
    unclear = []
    for name, values in columns.items():
        if options.missing:
            values = replace(values, notation=Notation(missing=options.missing))
        table = _Column(values, name in targets, options)
        if values.text is None or name in options.text:
            found[name] = without(table.values, (), name in targets)
            continue
        ways = table.ways()
        if len(ways) > 1:
            unclear.append((table, ways))
            found[name] = values  # its place
        else:
            found[name] = table.read(ways[0] if ways else None, notices)
    signs = _signs_of(found, [table.values.name for table, _ in unclear])
    for table, ways in unclear:
        found[table.values.name] = table.read(table.choose(ways, signs), notices)
    listed = [f"column {name!r}: {line}" for name in columns for line in notices.get(name, ())]
    return Reading(found, tuple(listed))


def _signs_of(columns: Mapping[str, Values], without: Collection[str]) -> set[object]:
    """Return the decimal signs and the orders of dates that other columns have without doubt."""
    signs: set[object] = set()
    for values in columns.values():
        notation = values.notation
        if values.name in without:
            continue
        if notation is not None and notation.dates:
            form = _dates.by_name(notation.dates)
            assert form is not None
            signs.add(form.day_first)
        elif notation is not None and (notation.decided or notation.thousands in (".", ",")):
            signs.add(notation.decimal)
        elif values.form == "number" and values.numbers is not None and not values.boolean:
            known = values.numbers[~np.isnan(values.numbers)]
            if known.size and (known != np.round(known)).any():
                signs.add(".")
    return signs


class _Column:
    """One column of text of a training table, and the ways of reading it."""

    def __init__(self, values: Values, target: bool, options: Options) -> None:
        self.values, self.target, self.options = values, target, options
        text: list[Any] = values.text or []
        # The rows of each entry: how many, and the first of them.
        self.counts = Counter(text)
        self.counts.pop(None, None)
        self.first = dict(zip(reversed(text), range(len(text) - 1, -1, -1), strict=True))
        self.absent = _notations.absent(self.counts, options.missing)
        absent = set(self.absent)
        self.entries = [entry for entry in self.counts if entry not in absent]

    def ways(self) -> list[_Found]:
        """Return what the best ways of reading make of the column, those that differ.

        None for text; several where no entry tells which one is meant.
        """
        if not self.entries or self._kept():
            return []
        step = max(1, len(self.entries) // SAMPLE)
        sample = self.entries[::step]
        for rows in (self._notations(), self._dates()):
            tried = [_Found(row, sample) for row in rows]
            most = max(len(found.values) for found in tried)
            if 2 * most <= len(sample):
                continue
            likely = [found for found in tried if len(found.values) >= most - MAX_ODD]
            whole = [_Found(found.way, self.entries) for found in likely] if step > 1 else likely
            counts = [self._count(found.values) for found in whole]
            best = [found for found, n in zip(whole, counts, strict=True) if n == max(counts)]
            if not self._fits(best[0]):
                continue
            if best[0].way is PLAIN and self.values.name not in self.options.untyped:
                return best[:1]  # as every program reads it
            return best[:1] + [found for found in best if found.values != best[0].values][:1]
        return []

    def _kept(self) -> bool:
        """Whether a frame has plain numbers as text, as its owner wants it."""
        if self.values.name in self.options.untyped or self.values.mixed:
            return False
        asked = self.options.decimal or self.options.thousands
        if asked or any(entry in self.options.missing for entry in self.absent):
            return False
        kept = all(entry in KEPT_AS_TEXT or not entry.strip() for entry in self.absent)
        return kept and all(map(_notations.plain, self.entries))

    def _notations(self) -> Sequence[Numbers]:
        """Return the notations that differ on these entries."""
        signs = set("".join(self.entries))
        allowed = _notations.of_signs(self.options.decimal, self.options.thousands)
        found = [row for row in allowed if row.differs(signs, self.options.decimal)]
        return found or allowed[:1]

    def _dates(self) -> list[Dates]:
        asked = self.options.dates
        order = None if asked is None else asked == DAY_FIRST
        return [form for form in DATES if order is None or form.day_first in (None, order)]

    def _count(self, entries: Iterable[str]) -> int:
        return sum(map(self.counts.__getitem__, entries))

    def _fits(self, found: _Found) -> bool:
        """Whether no more than a handful of entries is left."""
        odd = [entry for entry in found.bad if not self._impossible(found, entry)]
        n, bad = self._count(self.entries), self._count(found.bad)
        most = 1 if n >= FEWEST else 0
        return len(odd) <= MAX_ODD and bad <= max(MAX_ODD_SHARE * n, most)

    @staticmethod
    def _impossible(found: _Found, entry: str) -> bool:
        return isinstance(found.way, Dates) and found.way.looks(entry.strip())

    def choose(self, ways: Sequence[_Found], signs: set[object]) -> _Found:
        """Return that one of several ways that the signs of other columns tell. ValueError else."""
        told = [_told(found.way) in signs for found in ways]
        if sum(told) == 1:
            return ways[told.index(True)]
        plain = next((found for found in ways if found.way is PLAIN), None)
        if plain is not None:
            return plain
        first, second = ways[0], ways[1]
        entry = next(
            entry for entry in first.values if first.values[entry] != second.values.get(entry)
        )
        name, row = self.values.name, self.first[entry]
        raise ValueError(
            f"{where(name, row)}: {entry.strip()!r} is {self._shown(first, entry)}, or "
            f"{self._shown(second, entry)}; no row of the column tells which. Give "
            f"{self._deciding(first)} or {self._deciding(second)}"
        )

    @staticmethod
    def _shown(found: _Found, entry: str) -> str:
        value = found.values[entry]
        if isinstance(found.way, Numbers):
            return f"{value!r} with {found.way.called}"
        day = np.datetime64(math.floor(value), "D")
        return f"{day} with the {'day' if found.way.day_first else 'month'} first"

    def _deciding(self, found: _Found) -> str:
        way, option = found.way, self.options.option
        if isinstance(way, Dates):
            return option("dates", DAY_FIRST if way.day_first else MONTH_FIRST)
        return option("decimal", way.decimal)

    def read(self, found: _Found | None, notices: dict[str, list[str]]) -> Values:
        """Return the values in the way that was found, and tell what had to be decided."""
        values, told = self.values, notices.setdefault(self.values.name, [])
        if found is None and self.entries:
            if values.mixed:
                raise TypeError(values.mixed)
            more = self.options.missing
            lost = [e for e in self.absent if is_missing(e, more, False, self.target)]
            self._tell_missing(lost, told)
            return without(values, (), self.target)
        way = PLAIN if found is None else found.way
        unknown = {} if found is None else found.values
        if found is not None:
            odd = [entry for entry in found.bad if not self._impossible(found, entry)]
            if odd:
                raise ValueError(self._odd(found, odd))
            if isinstance(way, Dates):
                notation = Notation(
                    dates="" if way is DATES[0] else way.name, missing=self.options.missing
                )
                if way is not DATES[0]:
                    told.append(f"dates are read as {way.name}, as {self._first(found)}")
            else:
                notation = Notation(
                    decimal=way.decimal,
                    thousands=way.thousands,
                    unit=found.unit,
                    missing=self.options.missing,
                    decided=any(way.decimal in entry for entry in found.values),
                )
                if way is not PLAIN or found.decorated:
                    told.append(f"{self._example(found)} ({notation.called})")
            impossible = [entry for entry in found.bad if self._impossible(found, entry)]
            if impossible:
                told.append(f"{self._list(impossible)} is no date and counts as missing")
        else:
            notation = Notation(missing=self.options.missing)
        self._tell_missing(self.absent, told)
        numbers = np.array(
            [math.nan if e is None else unknown.get(e, math.nan) for e in values.text or ()]
        )
        form = "date" if isinstance(way, Dates) else "number"
        return as_numbers(values, numbers, form, notation)

    def _tell_missing(self, entries: Sequence[str], told: list[str]) -> None:
        there = [entry for entry in entries if entry.strip()]
        if there:
            told.append(f"{self._list(there)} counts as missing")

    def _first(self, found: _Found) -> str:
        entry = next(iter(found.values))
        return f"{entry.strip()!r} in row {self.first[entry]}"

    def _example(self, found: _Found) -> str:
        assert isinstance(found.way, Numbers)
        there = [entry for entry in found.decorated if entry in found.values] or found.values
        longest = max(there, key=lambda entry: (len(entry), entry))
        return f"{longest.strip()!r} is read as {found.values[longest]:.12g}"

    def _list(self, entries: Sequence[str]) -> str:
        """Return how messages show entries, their first rows and how many rows have them."""
        first, n = self.first, self.counts
        return entries_text({e.strip(): range(first[e], first[e] + n[e]) for e in entries})

    def _odd(self, found: _Found, odd: Sequence[str]) -> str:
        what = "dates" if isinstance(found.way, Dates) else "numbers"
        called = found.way.name if isinstance(found.way, Dates) else found.way.called
        called += f", {found.unit}" if found.unit else ""
        called = "" if found.way is PLAIN and not found.unit else f" ({called})"
        n, known = self._count(self.entries), self._count(found.values)
        option = self.options.option
        name = self.values.name
        return (
            f"column {name!r}: {known} of {n} entries are {what}{called}, but not "
            f"{self._list(odd)}. {option('missing', *[entry.strip() for entry in odd])} counts "
            f"{'it' if len(odd) == 1 else 'them'} as missing, {option('text', name)} reads the "
            "column as text"
        )


def _told(way: Numbers | Dates) -> object:
    return way.day_first if isinstance(way, Dates) else way.decimal
