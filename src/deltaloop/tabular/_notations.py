"""How people write numbers: the table of the notations, and of the entries that say "nothing".

A column has one notation, which all its entries decide together. The tables below are all that is
known of one: the patterns, the messages and docs/reference/tables.md derive from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

__all__ = [
    "EVERYWHERE",
    "IN_NUMBERS",
    "LONGEST_UNIT",
    "NUMBERS",
    "ONLY_INPUTS",
    "PLAIN",
    "Numbers",
    "absent",
    "is_missing",
    "of_signs",
    "plain",
]

# What says in a column of any kind that there is no value, besides an empty entry.
EVERYWHERE = (
    *("NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "NaN", "nan", "-NaN", "-nan", "NaT"),
    *("null", "NULL", "Null", "<NA>", "\\N", "?", "1.#QNAN", "-1.#IND", "1.#IND"),
)
# What says so in any column but a target: there it may be the name of a class.
ONLY_INPUTS = ("None",)
# What says so, in upper or lower case, among numbers or dates alone: among text it is a word.
IN_NUMBERS = (
    *("-", "--", "---", "\N{EN DASH}", "\N{EM DASH}", "\N{MINUS SIGN}", ".", "..", "...", "*"),
    *("none", "nil", "na", "nan", "n.a.", "n. a.", "n/a", "null", "k.a.", "k. a."),
    *("unknown", "missing", "not available", "not applicable", "no data"),
    *("#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "0000-00-00"),
)
_EVERYWHERE = frozenset(EVERYWHERE)
_MARKS = frozenset(entry.lower() for entry in (*EVERYWHERE, *ONLY_INPUTS, *IN_NUMBERS))

_MINUS = "-\N{MINUS SIGN}"
# Text that is longer is no number.
_LONGEST = 60
# Spaces that stand in numbers: also those that do not break, and narrow ones.
_SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
_CURRENCIES = (
    *("R$", "US$", "A$", "C$", "$", "€", "£", "¥", "₹", "₩", "₽", "₺", "₪", "฿", "₫", "₴", "₦"),
    *("USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR", "KRW", "SEK", "NOK", "DKK", "PLN", "CZK"),
    *("HUF", "RON", "RUB", "UAH", "TRY", "ILS", "BRL", "MXN", "ARS", "CLP", "COP", "ZAR", "AUD"),
    *("CAD", "NZD", "SGD", "HKD", "THB", "Fr.", "kr", "zł", "Kč", "Ft"),
)
LONGEST_UNIT = max(map(len, _CURRENCIES))
_UNIT = "|".join(map(re.escape, _CURRENCIES))
# A number with a sign, a currency, a percent sign, or in the brackets of accountants.
_DECORATED = re.compile(
    rf"(?P<open>\()?[{_SPACES}]*(?P<sign>[{_MINUS}+])?[{_SPACES}]*(?P<before>{_UNIT})?"
    rf"[{_SPACES}]*(?P<inner>[{_MINUS}+])?(?P<body>[.,]?\d(?:.*?\d)?[.,]?(?:[eE][-+]?\d+)?)"
    rf"[{_SPACES}]*(?P<after>%|{_UNIT})?(?P<trail>[{_MINUS}])?(?P<close>\))?"
)


def is_missing(entry: str, more: Collection[str], numbers: bool, target: bool = False) -> bool:
    """Whether an entry says that there is no value; `more` are entries that say so here."""
    entry = entry.strip()
    if not entry or entry in _EVERYWHERE or entry in more:
        return True
    return entry.lower() in _MARKS if numbers else entry in ONLY_INPUTS and not target


def absent(entries: Iterable[str], more: Collection[str]) -> list[str]:
    """Return the entries that say, in a column of numbers or dates, that there is no value."""
    return [
        entry
        for entry in entries
        if (bare := entry.strip()).lower() in _MARKS or bare in more or not bare
    ]


@dataclass(frozen=True)
class Numbers:
    """A notation of numbers: its decimal sign, and what stands between thousands."""

    decimal: str
    thousands: str
    example: str
    # Several characters stand for some signs.
    _same: str = field(default="", repr=False)

    @property
    def called(self) -> str:
        """What messages call it."""
        between = f", thousands {self.thousands!r}" if self.thousands else ""
        return f"decimal {self.decimal!r}{between}"

    @cached_property
    def body(self) -> Callable[[str], re.Match[str] | None]:
        """Whether some text is an unsigned number in this notation, as a match."""
        return re.compile(rf"{self._unsigned}(?:[eE][-+]?\d+)?").fullmatch

    @cached_property
    def simple(self) -> Callable[[str], re.Match[str] | None]:
        """Whether some text is a number with no more than a sign before it, as a match."""
        return re.compile(rf"[-+]?{self._unsigned}(?:[eE][-+]?\d+)?").fullmatch

    def differs(self, signs: Collection[str], decimal: str | None) -> bool:
        """Whether entries of these characters may mean something else than in an earlier row."""
        between = not self.thousands or any(c in signs for c in self._same or self.thousands)
        point = self.decimal in (".", decimal) or self.decimal in signs or self.thousands == "."
        return between and point

    @property
    def _unsigned(self) -> str:
        point = re.escape(self.decimal)
        whole = [r"\d+"]
        if self.thousands:
            sign = f"[{re.escape(self._same or self.thousands)}]"
            whole.insert(0, rf"[1-9]\d{{0,2}}(?:{sign}\d{{3}})+")
        if self.thousands == ",":  # in India, groups of two come before the last one
            whole.insert(0, r"[1-9]\d?(?:,\d\d)+,\d{3}")
        return rf"(?:(?:{'|'.join(whole)})(?:{point}\d*)?|{point}\d+)"

    @cached_property
    def _table(self) -> dict[int, str | None]:
        table: dict[int, str | None] = dict.fromkeys(map(ord, self._same or self.thousands))
        return table | {ord(self.decimal): "."}

    def simple_values(self, entries: Iterable[str]) -> tuple[dict[str, float], list[str]]:
        """Return the numbers of entries with no more than a sign, and the other entries."""
        match = self.simple
        simple: list[str] = []
        others: list[str] = []
        for entry in entries:
            (simple if match(entry) and len(entry) <= _LONGEST else others).append(entry)
        numbers = map(float, "\n".join(simple).translate(self._table).split()) if simple else ()
        return dict(zip(simple, numbers, strict=True)), others

    def value(self, entry: str) -> tuple[float, str] | None:
        """Return the number that an entry is, and its currency or percent sign; None if none."""
        if len(entry) > _LONGEST:
            return None
        if self.simple(entry) is not None:
            return float(entry.translate(self._table)), ""
        found = _DECORATED.fullmatch(entry)
        if found is None or self.body(found["body"]) is None:
            return None
        signs = [sign for sign in (found["sign"], found["inner"], found["trail"]) if sign]
        brackets = bool(found["open"])
        if brackets != bool(found["close"]) or len(signs) + brackets > 1:
            return None
        before, after = found["before"] or "", found["after"] or ""
        if before and after:
            return None
        number = float(found["body"].translate(self._table))
        negative = brackets or (bool(signs) and signs[0] in _MINUS)
        return -number if negative else number, before or after


# A column has the first notation of those that read the most of its entries.
NUMBERS = (
    Numbers(".", "", "1234.5"),
    Numbers(",", "", "1234,5"),
    Numbers(".", ",", "1,234.5"),
    Numbers(",", ".", "1.234,5"),
    Numbers(".", " ", "1 234.5", _SPACES),
    Numbers(",", " ", "1 234,5", _SPACES),
    Numbers(".", "'", "1'234.5", "'\N{RIGHT SINGLE QUOTATION MARK}"),
    Numbers(",", "'", "1'234,5", "'\N{RIGHT SINGLE QUOTATION MARK}"),
    Numbers(".", "_", "1_234.5"),
    Numbers(",", "_", "1_234,5"),
)
PLAIN = NUMBERS[0]


def of_signs(decimal: str | None, thousands: str | None) -> Sequence[Numbers]:
    """Return the notations that have these signs, where they are given."""
    return [
        row
        for row in NUMBERS
        if decimal in (None, row.decimal) and thousands in (None, row.thousands)
    ]


def plain(entry: str) -> bool:
    """Whether an entry is a number as programs write it."""
    return PLAIN.simple(entry) is not None
