"""What the owner of a table may say about how its text is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deltaloop.tabular import _notations
from deltaloop.tabular._notations import NUMBERS

__all__ = ["DAY_FIRST", "MONTH_FIRST", "Options"]


@dataclass(frozen=True)
class Options:
    """What the owner of a table says about its text; None and () leave it to the entries.

    `untyped` are columns whose text is that of a file, not a choice of its owner. With `flags`
    messages name the options as the command line does.
    """

    decimal: str | None = None
    thousands: str | None = None
    dates: str | None = None
    missing: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    untyped: frozenset[str] = frozenset()
    flags: bool = False

    @classmethod
    def of(cls, given: object) -> Options:
        """Check a mapping of options. TypeError or ValueError names what is wrong."""
        if isinstance(given, Options):
            return given
        if not isinstance(given, Mapping):
            raise TypeError(f"reading must be a mapping of options, got {given!r}")
        for name in given:
            if name not in _CHECKS:
                raise ValueError(f"reading has the option {name!r}; expected {', '.join(_CHECKS)}")
        found = cls(**{name: _CHECKS[name](name, value) for name, value in given.items()})
        if not _notations.of_signs(found.decimal, found.thousands):
            raise ValueError(
                f"reading: there are no numbers with decimal {found.decimal!r} and thousands "
                f"{found.thousands!r}; expected one of {_signs()}"
            )
        return found

    def option(self, name: str, *values: str) -> str:
        """Return how an option with values is written."""
        if self.flags:
            return " ".join(f"--{name} {value!r}" for value in values)
        shown = repr(values[0]) if name in ("decimal", "thousands", "dates") else list(values)
        return f"reading={{{name!r}: {shown}}}"


def _signs() -> str:
    return "; ".join(f"{row.example} ({row.called})" for row in NUMBERS)


def _sign(name: str, value: object) -> str | None:
    known = dict.fromkeys(getattr(row, name) for row in NUMBERS)
    if value is None or (isinstance(value, str) and value in known):
        return value
    raise ValueError(f"reading: {name} must be one of {', '.join(map(repr, known))}, got {value!r}")


DAY_FIRST, MONTH_FIRST = "day-first", "month-first"


def _order(name: str, value: object) -> str | None:
    if value is None or (isinstance(value, str) and value in (DAY_FIRST, MONTH_FIRST)):
        return value
    raise ValueError(f"reading: {name} must be {DAY_FIRST!r} or {MONTH_FIRST!r}, got {value!r}")


def _list(name: str, value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if isinstance(items, Iterable) and not isinstance(items, bytes):
        found = tuple(items)
        if all(isinstance(item, str) for item in found):
            return found
    raise TypeError(f"reading: {name} must be text or a list of text, got {value!r}")


# The options that users have, and what checks them.
_CHECKS: dict[str, Callable[[str, object], Any]] = {
    "decimal": _sign,
    "thousands": _sign,
    "dates": _order,
    "missing": _list,
    "text": _list,
    "keep": _list,
}
