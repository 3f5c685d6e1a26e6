"""Scalars and lists: what a user can get wrong about one, and the sentence that says so.

Each function takes the name of an argument and what was given for it, and returns that as the plain
type that it stands for; TypeError and ValueError name the argument. Their first lines let the plain
types pass, so that the checks of a call cost little where there is nothing to convert.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import sys
from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from deltaloop import _threads


def real(name: str, value: object) -> float:
    """Return a real number as a float; bool, strings and complex numbers are refused."""
    if type(value) is float:
        return value
    if type(value) is np.ndarray and value.ndim == 0 and value.dtype.kind in "iuf":
        value = value.item()
    if not isinstance(value, Real) or isinstance(value, bool | np.timedelta64):
        raise TypeError(f"{name} must be a real number, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is too large for a float: {shown(value)}") from None


def check_range(
    owner: object, name: str, least: float, most: float = math.inf, *, open_end: bool = False
) -> None:
    """Hold a field of a frozen dataclass to [least, most), or to (least, most) with `open_end`."""
    given = getattr(owner, name)
    value = real(name, given)
    if not ((least < value if open_end else least <= value) and value < most):
        start = "(" if open_end else "["
        raise ValueError(f"{name} must be in {start}{least:g}, {most:g}), got {shown(given)}")
    object.__setattr__(owner, name, value)


def shown(value: object) -> str:
    """Return the repr of a value. Python writes no integer of more than some thousand digits."""
    try:
        return repr(value)
    except ValueError:
        what = "a negative integer" if isinstance(value, int) and value < 0 else "an integer"
        return f"{what} of thousands of digits"


def integer(name: str, value: object, *, at_least: int) -> int:
    """Return an integer that is at least so large; bool and floats are refused."""
    if type(value) is int and value >= at_least:
        return value
    try:
        if isinstance(value, bool | np.bool_ | np.ma.MaskedArray):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {shown(value)}") from None
    if number < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {shown(number)}")
    return number


def rows(name: str, value: object, width: int) -> int:
    """Return a number of rows of so many float64 values that memory could hold."""
    n = integer(name, value, at_least=1)
    if n > sys.maxsize // (8 * width):
        raise ValueError(f"{name} is too large: {shown(n)} rows of {width} values")
    return n


def threads(n_threads: object) -> int:
    """Return the validated number of threads, or the limit for None."""
    if n_threads is None:
        return _threads.recent_limit()
    return min(integer("n_threads", n_threads, at_least=1), _threads.MOST)


def flag(name: str, value: object) -> bool:
    """Return a truth value that is one."""
    if value is True or value is False:
        return value
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Return a name that is one of the choices."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}")
    if value not in choices:
        meant = next((other for other in choices if squashed(other) == squashed(value)), None)
        hint = "" if meant is None else f"; did you mean {meant!r}?"
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}{hint}")
    return choices[choices.index(value)]  # a str proper, where the value is a subclass


def squashed(name: str) -> str:
    """Return a name without what tells spellings apart: case, spaces and punctuation."""
    return "".join(filter(str.isalnum, name)).lower()


def is_list(value: object) -> TypeGuard[Sequence[Any] | NDArray[Any]]:
    """Whether a value is a list, tuple, array of one dimension or more, and the like."""
    kind = type(value)
    if kind is list or kind is tuple:
        return True
    if kind is float or kind is int:
        return False
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def take_state(instance: Any, state: dict[str, Any]) -> None:
    """Do what ``__setstate__`` of a small immutable object does: its constructor checks the state.

    So a file that says something else than the class allows ends in the constructor's error.
    """
    names = {field.name for field in dataclasses.fields(instance)}
    made = type(instance)(**{name: value for name, value in state.items() if name in names})
    instance.__dict__.update(state | vars(made))


# What sizes of memory end with.
UNITS = {"": 1, "B": 1, **{f"{k}B": 1000**i for i, k in enumerate("KMGT", 1)}}
UNITS |= {f"{k}IB": 1024**i for i, k in enumerate("KMGT", 1)}
# Less holds no window over a table.
LEAST_MEMORY = 10**7


def size(name: str, value: object) -> int:
    """Return bytes of memory: a number, or text such as "1GB", "500 MB" or "2GiB"."""
    number: object = value
    if isinstance(value, str):
        text = str.__str__(value).strip().upper()
        digits = text.rstrip("BIKMGT ")
        unit = text[len(digits) :].strip()
        try:
            read = float(digits) * UNITS[unit]
        except (ValueError, KeyError):
            raise ValueError(
                f"{name} must be bytes, or text such as '1GB' or '500MB', got {value!r}"
            ) from None
        number = int(read) if math.isfinite(read) else 2**62
    found = integer(name, number, at_least=-sys.maxsize)
    if found < LEAST_MEMORY:
        raise ValueError(f"{name} must be at least 10 MB, got {value!r}")
    return found
