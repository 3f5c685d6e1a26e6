"""Classes as users have them: integers, strings or booleans, and what they are called."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._arguments import arrays as _arrays


def classes(name: str, values: object) -> NDArray[Any]:
    """Return classes (n,) as an array of int64, of str or of bool."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), got {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty")
    if array.dtype.kind in "OT":
        kinds = {type(value) for value in array.tolist()}
        for kind, dtype in ((str, str), (bool | np.bool_, bool), (Integral, np.int64)):
            if all(issubclass(each, kind) for each in kinds):
                array = array.astype(dtype)
                break
    if array.dtype.kind in "fiub":
        _arrays.finite(name, array)
        with np.errstate(invalid="ignore"):  # what an int64 cannot hold is not what it was
            whole = array if array.dtype.kind == "b" else array.astype(np.int64)
        wrong = np.flatnonzero(whole != array)
        if wrong.size:
            raise ValueError(
                f"{name} must hold classes, integers or strings, "
                f"got {array[wrong[0]]} at index {wrong[0]}"
            )
        return whole
    if array.dtype.kind != "U":
        raise TypeError(
            f"{name} must hold classes, integers or strings, got dtype {array.dtype} "
            f"({type(values).__name__})"
        )
    return array


def same_kind(name: str, array: NDArray[Any], other: str, others: NDArray[Any]) -> None:
    """Refuse names of classes beside numbers."""
    if (array.dtype.kind == "U") != (others.dtype.kind == "U"):
        raise TypeError(
            f"{name} and {other} must hold classes of one kind, "
            f"got {array[0].item()!r} and {others[0].item()!r}"
        )


def named(labels: object, present: NDArray[Any]) -> tuple[list[Any], list[str]]:
    """Return the classes in their order, and their names."""
    if labels is None:
        known = np.unique(present).tolist()
        return known, [str(value) for value in known]
    if isinstance(labels, str | bytes) or not hasattr(labels, "__iter__"):
        raise TypeError(f"labels must be a list of classes, got {labels!r}")
    known = [value.item() if isinstance(value, np.generic) else value for value in labels]
    names = [str(value) for value in known]
    if len(set(names)) < len(names):
        raise ValueError(f"labels must name each class once, got {names}")
    if present.dtype.kind != "U" and all(isinstance(value, str) for value in known):
        known = list(range(len(names)))
    plain = {value for value in known if isinstance(value, str | int | float)}
    for value in np.unique(present).tolist():
        if value not in plain:
            raise ValueError(f"labels must name every class that occurs; {value!r} is missing")
    return known, names
