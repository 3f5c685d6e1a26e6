"""What a fit was given as its target: names of columns of the frame, or the values themselves."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np

from deltaloop.tabular import _frames, _sources
from deltaloop.tabular._kinds import listed
from deltaloop.tabular._values import Values

__all__ = ["Given", "closest", "columns_of", "target_of", "values_of"]

# Names that are longer are not compared with each other.
LONGEST_SOUGHT = 100


@dataclass(frozen=True)
class Given:
    """Targets by their names; `single` where predictions have one value a row, (n,)."""

    columns: dict[str, Values]
    single: bool


def target_of(frame: Any, target: object) -> Given:
    """Read the target of a frame: columns of it, or values that are given beside it.

    A text, and texts that are not one for each row or are all columns, are names.
    """
    if target is None:
        raise ValueError(
            "TabularModel requires y to be passed, but the target y is None: give the name of a "
            "column, or the values"
        )
    if isinstance(target, str):
        return _inside(frame, [target], True)
    if _sources.is_matrix(target) and not isinstance(target, list):
        target = np.asarray(target)
    if _holds_values(frame, target):
        return _beside(frame, target)
    return _inside(frame, target, False)


def values_of(names: Sequence[str], y: object, n: int) -> dict[str, Values]:
    """Read the true values of targets of these names, for n rows."""
    columns = _columns(y, names[0])
    if len(columns) != len(names):
        raise ValueError(f"y must have {len(names)} targets, as the model, got {len(columns)}")
    for given in columns.values():
        _check_rows(n, given)
    named = set(columns) == set(names)
    ordered = [columns[name] for name in names] if named else list(columns.values())
    return dict(zip(names, ordered, strict=True))


def _inside(frame: Any, names: object, single: bool) -> Given:
    found = columns_of(frame, "target", names)
    if not found:
        raise ValueError("target must name a column, got none")
    return Given({name: _frames.column(frame[name]) for name in found}, single)


def _holds_values(frame: Any, target: object) -> bool:
    """Whether the target is values rather than names."""
    if isinstance(target, Mapping) or hasattr(target, "columns") or _is_series(target):
        return True
    if isinstance(target, np.ndarray) and target.ndim != 1:
        return target.ndim > 1
    if not (isinstance(target, Iterable) and isinstance(target, Sized)):
        return False
    if isinstance(target, bytes | set | frozenset):
        return False
    items = list(target)
    if not all(isinstance(item, str) for item in items):
        return len(items) == len(frame) or not isinstance(target, list | tuple)
    there = set(frame.columns)
    named = set(items) <= there and len(set(items)) == len(items)
    return len(items) == len(frame) and not named


def _beside(frame: Any, target: object) -> Given:
    there = set(frame.columns)
    name = "y"
    while name in there:
        name += "_"
    columns = _columns(target, name)
    for each, values in columns.items():
        if each in there:
            raise ValueError(
                f"the frame has a column {each!r}, as the target is called; give the name, "
                f"fit(frame, {each!r}), or leave the column out of the frame"
            )
        _check_rows(len(frame), values)
    return Given(columns, not _has_columns(target) and len(columns) == 1)


def _columns(target: Any, name: str) -> dict[str, Values]:
    """Read values that may be a series, a list, an array (n,) or (n, k), or a frame."""
    if _has_columns(target):
        frame = _frames.frame(target)
        return {each: _frames.column(frame[each]) for each in frame.columns}
    if not _is_series(target):
        array = target if isinstance(target, np.ndarray) else None
        if array is not None and array.ndim == 2 and array.shape[1] > 1:
            columns = {f"{name}{i}": column for i, column in enumerate(array.T)}
            return {each: _series(each, values) for each, values in columns.items()}
        if array is not None and array.ndim == 2:
            target = array[:, 0]
        return {name: _series(name, target)}
    own = getattr(target, "name", None)
    name = own if isinstance(own, str) and own else name
    return {name: _series(name, target)}


def _series(name: str, values: Any) -> Values:
    numbers = _frames.of_array(name, values) if isinstance(values, np.ndarray) else None
    return _frames.column(_frames.series(name, values)) if numbers is None else numbers


def _check_rows(n: int, values: Values) -> None:
    if len(values) != n:
        raise ValueError(f"frame has {n} rows, y has {len(values)}; they must be as many")


def _is_series(values: object) -> bool:
    import narwhals as nw

    return isinstance(nw.from_native(values, series_only=True, pass_through=True), nw.Series)


def _has_columns(target: object) -> bool:
    return isinstance(target, Mapping) or hasattr(target, "columns")


def closest(name: str, names: Sequence[str]) -> str:
    """Return what a message says after a name that is none of the names."""
    # The comparison takes the product of two names' lengths.
    sought = [other for other in names if len(other) <= LONGEST_SOUGHT]
    near = difflib.get_close_matches(name[:LONGEST_SOUGHT], sought, n=3, cutoff=0.6)
    lowered = [other for other in names if other.lower() == name.lower()]
    meant = " or ".join(map(repr, lowered or near))
    if meant:
        return f"did you mean {meant}?"
    return f"the columns are {listed(names)}"


def columns_of(frame: Any, argument: str, names: object) -> list[str]:
    """Return names of columns that are there, each once."""
    wanted = "a name or a list of names" + ", or one value a row" * (argument == "target")
    if not isinstance(names, Iterable) or isinstance(names, bytes):
        raise TypeError(f"{argument} must be {wanted}, got {names!r}")
    there = list(frame.columns)  # which some libraries make anew each time
    known = set(there)
    found: dict[str, None] = {}
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{argument} must be {wanted}, got {name!r}")
        if name not in known:
            raise ValueError(f"{argument}: there is no column {name!r}; {closest(name, there)}")
        if name in found:
            raise ValueError(f"{argument} names the column {name!r} twice")
        found[name] = None
    return list(found)
