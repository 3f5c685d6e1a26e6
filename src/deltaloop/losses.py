"""Losses with a parameter, as small immutable objects; the others are names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from deltaloop import _losses, _scalars
from deltaloop._deprecated import moved

# Losses of a - y, which go with any output and any finite target.
REGRESSION = _losses.ANY_OUTPUT

NAMES = _losses.NAMES


@dataclass(frozen=True)
class Huber:
    """The Huber loss: squared near the target, absolute far from it.

    With e = a - y, 1/2 e^2 for abs(e) <= delta and delta (abs(e) - delta / 2) beyond, summed over
    outputs and instances. Outliers pull with the slope delta and no more.

    Parameters
    ----------
    delta : float, default 1.0
        Positive and finite. ``loss="huber"`` is ``loss=Huber()``.

    Raises
    ------
    TypeError, ValueError
        If delta is of the wrong type or out of range.

    References
    ----------
    Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35 (1964).

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network.from_weights(
    ...     [[[1.0]]], [[0.0]], activation="identity", loss=dl.Huber(0.5)
    ... )
    >>> net.cost([[0.25], [3.0]], [0.0, 0.0])  # 0.25^2 / 2 + 0.5 (3 - 0.25)
    1.40625
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        delta = _scalars.real("delta", self.delta)
        if not (delta > 0 and math.isfinite(delta)):
            raise ValueError(f"delta must be positive and finite, got {self.delta!r}")
        object.__setattr__(self, "delta", delta)

    def __str__(self) -> str:
        return f"huber({self.delta!r})"

    def __setstate__(self, state: dict[str, Any]) -> None:
        _scalars.take_state(self, state)


@dataclass(frozen=True)
class Quantile:
    """The quantile (pinball) loss, whose least value is at a quantile of the targets.

    tau (y - a) where y > a and (1 - tau) (a - y) elsewhere, summed over outputs and instances. A
    network trained with it estimates the value below which a part tau of the targets lies.

    Parameters
    ----------
    tau : float, default 0.5
        In (0, 1); 0.5 is the median, and half of the absolute error. ``loss="quantile"`` is
        ``loss=Quantile()``.

    Raises
    ------
    TypeError, ValueError
        If tau is of the wrong type or out of range.

    References
    ----------
    Koenker and Bassett, "Regression quantiles", Econometrica 46 (1978).

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network.from_weights(
    ...     [[[1.0]]], [[0.0]], activation="identity", loss=dl.Quantile(0.75)
    ... )
    >>> net.cost([[2.0], [3.0]], [3.0, 1.0])  # 0.75 (3 - 2) + 0.25 (3 - 1)
    1.25
    """

    tau: float = 0.5

    def __post_init__(self) -> None:
        tau = _scalars.real("tau", self.tau)
        if not 0 < tau < 1:
            raise ValueError(f"tau must be between 0 and 1, got {self.tau!r}")
        object.__setattr__(self, "tau", tau)

    def __str__(self) -> str:
        return f"quantile({self.tau!r})"

    def __setstate__(self, state: dict[str, Any]) -> None:
        _scalars.take_state(self, state)


Loss: TypeAlias = str | Huber | Quantile

# The classes of all losses with a parameter; what that is called stands in the row of the loss.
_CLASSES: dict[str, type[Huber] | type[Quantile]] = {"huber": Huber, "quantile": Quantile}
_OBJECTS = tuple(_CLASSES.values())


def _check(loss: object) -> Loss:
    """Return a loss that is one."""
    if isinstance(loss, _OBJECTS):
        return loss
    if isinstance(loss, type) and issubclass(loss, _OBJECTS):
        raise TypeError(f"loss must be a name or an object, such as {loss.__name__}(), got a class")
    return _scalars.choice("loss", loss, NAMES)


def _parts(loss: Loss) -> tuple[str, float | None]:
    """Return a loss's name and its parameter, None where the name says it all."""
    if isinstance(loss, str):
        return loss, None
    name = next(name for name, kind in _CLASSES.items() if isinstance(loss, kind))
    return name, getattr(loss, _losses.LOSSES[name].parameter)


def _of_text(name: str, values: tuple[float, ...]) -> Loss:
    """Return the loss that ``str`` gives as a name and its values in brackets."""
    if name in _CLASSES and len(values) == 1:
        return _CLASSES[name](values[0])
    forms = [f"{kind}({_losses.LOSSES[kind].parameter})" for kind in _CLASSES]
    known = f"{', '.join(['a name', *forms[:-1]])} or {forms[-1]}"
    raise ValueError(f"loss must be {known}, got {name}{values}")


if not TYPE_CHECKING:
    _OLD = ("check", "of_text", "parts")
    __getattr__ = moved(
        __name__,
        {name: f"{__name__}._{name}" for name in _OLD},
        {
            "check": "deltaloop.Network(loss=...), which checks it",
            "of_text": "deltaloop.Huber(delta) or deltaloop.Quantile(tau)",
            "parts": "the loss itself, a name or an object with its parameter as an attribute",
        },
    )
