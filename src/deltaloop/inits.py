"""Initialisations with parameters, as small immutable objects; the others are names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from deltaloop import _scalars

NAMES = (
    "uniform",
    "he_uniform",
    "he_normal",
    "glorot_uniform",
    "glorot_normal",
    "lecun_uniform",
    "lecun_normal",
    "nguyen_widrow",
)


@dataclass(frozen=True)
class Uniform:
    """All weights and biases from Unif[low, high]: low + (high - low) u, u in [0, 1).

    Parameters
    ----------
    low, high : float
        Finite, low < high. ``init="uniform"`` is ``init=Uniform(-1, 1)``.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network([4, 9, 2], init=dl.Uniform(-0.1, 0.1), seed=0)
    >>> bool(abs(net.parameters).max() <= 0.1)
    True
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        low, high = _scalars.real("low", self.low), _scalars.real("high", self.high)
        if not low < high:
            raise ValueError(f"low must be less than high, got {self.low!r} and {self.high!r}")
        if not math.isfinite(high - low):
            raise ValueError(
                f"low, high and their distance must be finite, got {self.low!r} and {self.high!r}"
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    def __str__(self) -> str:
        return f"uniform({self.low!r},{self.high!r})"

    def __setstate__(self, state: dict[str, Any]) -> None:
        _scalars.take_state(self, state)


Init: TypeAlias = str | Uniform


def check(init: object) -> Init:
    """Return an initialisation that is one."""
    if isinstance(init, Uniform):
        return init
    return _scalars.choice("init", init, NAMES)


def of_text(name: str, values: tuple[float, ...]) -> Init:
    """Return the initialisation that ``str`` gives as a name and its values in brackets."""
    if name == "uniform" and len(values) == 2:
        return Uniform(*values)
    raise ValueError(f"init must be a name or uniform(low,high), got {name}{values}")
