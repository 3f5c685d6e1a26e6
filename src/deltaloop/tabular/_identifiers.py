"""Columns that count the rows, or number them: they say nothing about other rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np

from deltaloop._scaling import Floats
from deltaloop.tabular._values import Values

__all__ = ["found"]

# Fewer rows than that may be numbered by chance.
FEWEST_ROWS = 10
# Names of numbers that tell rows apart, which need not follow each other,
_IDENTIFIER = re.compile(
    r"unnamed: \d+|index|level_0|ids?|uuid|guid|uid|row ?names?|.*[_ .-](?:id|uuid|guid)", re.ASCII
)
_CAMEL = re.compile(r".*[a-z](?:Id|ID)|ID[A-Z].*")
# and of numbers that count them. Numbers of other names may be times, or what a row is about.
_COUNT = re.compile(
    r"#|n|i|idx|nr|no|num|number|row|rows|line|obs|observation|record|case|sample|seq|sequence"
    r"|count|counter|key|s[. ]*no|sl[. ]*no|serial.*|lfd[. ]*nr|zeile"
    r"|row[_ .-]?(?:nr|no|num|number|id)|id[_ .-].*"
)


def found(columns: Mapping[str, Values], kept: Collection[str] = ()) -> dict[str, str]:
    """Return which columns of inputs tell the rows apart and no more, and how.

    Their names tell, and their numbers: whole ones, each of them once.
    """
    ids = {}
    for name, values in columns.items():
        if name in kept or values.form != "number" or values.boolean or values.numbers is None:
            continue
        numbers, called = values.numbers, name.strip().lower().rstrip(".:")
        if len(numbers) < FEWEST_ROWS or np.isnan(numbers).any():
            continue
        start = numbers[0]
        counts = start in (0.0, 1.0) and np.array_equal(numbers, start + np.arange(len(numbers)))
        identifies = bool(_IDENTIFIER.fullmatch(called) or _CAMEL.fullmatch(name))
        if counts and (identifies or _COUNT.fullmatch(called)):
            ids[name] = "counts the rows"
        elif identifies and (numbers == np.round(numbers)).all() and _distinct(numbers):
            ids[name] = "has another whole number in each row, as identifiers have"
    return ids if len(ids) < len(columns) else {}


def _distinct(numbers: Floats) -> bool:
    return np.unique(numbers).size == len(numbers)
