"""How people write dates: a row for each form. Times and zones may follow any of them.

Dates become days since 1970-01-01 (UTC), as those of frames do.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from functools import cached_property

__all__ = ["DATES", "Dates", "by_name"]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_DAY = datetime.timedelta(days=1)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Years of two digits below it are of this century, as POSIX has it.
_PIVOT = 69

_TIME = (
    r"(?:(?:T|,? +)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)"
    r"(?:[.,](?P<fraction>\d{1,9}))?)?(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
    r" ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?(?:\d\d)?)?)?"
)
_Y, _YEAR = r"(?P<year>\d{4})", r"(?P<year>\d{4}|\d\d)"
_M, _D = r"(?P<month>\d{1,2})", r"(?P<day>\d{1,2})"
_NAME = r"(?P<name>[A-Za-z]{3,9})\.?"


@dataclass(frozen=True)
class Dates:
    """A form of dates. Forms of one `pair` differ in the order of day and month alone."""

    name: str  # in files and messages
    pattern: str
    day_first: bool | None = None

    @cached_property
    def _match(self) -> re.Pattern[str]:
        return re.compile(self.pattern + _TIME)

    def looks(self, entry: str) -> bool:
        """Whether an entry has the form, be there such a day or not."""
        return self._match.fullmatch(entry) is not None

    def value(self, entry: str) -> float | None:
        """Return the days since 1970-01-01; None if an entry is no date of this form."""
        found = self._match.fullmatch(entry)
        if found is None:
            return None
        try:
            return (_moment(found.groupdict()) - _EPOCH) / _DAY
        except (ValueError, OverflowError):  # no such day, or none of the calendar in its zone
            return None


def _moment(parts: dict[str, str | None]) -> datetime.datetime:
    """Return the time that the parts of an entry tell. ValueError if there is none."""
    year = int(parts["year"] or 0)
    if len(parts["year"] or "") == 2:
        year += 2000 if year < _PIVOT else 1900
    name = parts.get("name")
    month = _MONTHS.index(name[:3].lower()) + 1 if name else int(parts["month"] or 0)
    hour, half = int(parts["hour"] or 0), parts["half"]
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(half)
        hour = hour % 12 + 12 * (half in "pP")
    zone: datetime.tzinfo = datetime.UTC
    given = parts["zone"] or "Z"
    if given[0] in "+-":
        sign, digits = given[0], given[1:].replace(":", "")
        shift = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
        zone = datetime.timezone(-shift if sign == "-" else shift)
    return datetime.datetime(
        year,
        month,
        int(parts.get("day") or 1),
        hour,
        int(parts["minute"] or 0),
        int(parts["second"] or 0),
        int((parts["fraction"] or "0").ljust(6, "0")[:6]),
        zone,
    )


# A column has the first form of those that read the most of its entries.
DATES = (
    Dates("yyyy-mm-dd", rf"{_Y}(?P<sep>[-/.]){_M}(?P=sep){_D}"),
    Dates("dd.mm.yyyy", rf"{_D}\.{_M}\.{_YEAR}"),
    Dates("dd/mm/yyyy", rf"{_D}/{_M}/{_YEAR}", True),
    Dates("mm/dd/yyyy", rf"{_M}/{_D}/{_YEAR}", False),
    Dates("dd-mm-yyyy", rf"{_D}-{_M}-{_YEAR}", True),
    Dates("mm-dd-yyyy", rf"{_M}-{_D}-{_YEAR}", False),
    Dates("dd Mon yyyy", rf"{_D}[ -]{_NAME}[ -]{_YEAR}"),
    Dates("Mon dd, yyyy", rf"{_NAME} {_D},? {_Y}"),
    Dates("yyyy-mm", rf"{_Y}-(?P<month>\d\d)"),
)


def by_name(name: str) -> Dates | None:
    """Return the form of this name."""
    return next((form for form in DATES if form.name == name), None)
