"""Schedules: small immutable objects that say how the learning rate changes from epoch to epoch.

They are computed in C (``csrc/training/schedule.c``) when an epoch begins. They take the place of
the number in ``learning_rate`` of ``GradientDescent``, ``Adam`` and ``AdamW``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from deltaloop import _scalars

__all__ = ["Cosine", "Exponential", "InverseScaling", "Plateau", "Schedule", "Step"]


def _whole(schedule: Schedule, name: str, least: int) -> None:
    value = _scalars.integer(name, getattr(schedule, name), at_least=least)
    if value >= 2**53:
        raise ValueError(f"{name} is too large: {value}")
    object.__setattr__(schedule, name, value)


@dataclass(frozen=True)
class Schedule:
    """What all schedules have in common: the rate from which they start.

    Examples
    --------
    >>> import deltaloop as dl
    >>> isinstance(dl.schedules.Exponential(0.1, 0.99), dl.schedules.Schedule)
    True
    """

    # What C calls it: MLP_SCHEDULES of csrc/mlp.h.
    _kind: ClassVar[str] = "constant"

    learning_rate: float

    def __post_init__(self) -> None:
        _scalars.check_range(self, "learning_rate", 0.0, open_end=True)

    def _options(self) -> dict[str, float]:
        """Return its options in C, by their names there, but for the learning rate."""
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        _scalars.take_state(self, state)


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """The rate falls with a power of the epoch: ``learning_rate / epoch**power``.

    Parameters
    ----------
    learning_rate : float
        The rate of epoch 1, positive and finite.
    power : float, default 0.5
        Positive.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    References
    ----------
    Robbins and Monro, "A stochastic approximation method", Ann. Math. Statist. 22 (1951): it
    converges for powers in (1/2, 1]. scikit-learn's ``learning_rate="invscaling"`` is the same with
    the number of instances seen in the place of the epoch.

    Examples
    --------
    >>> import deltaloop as dl
    >>> dl.GradientDescent(dl.schedules.InverseScaling(0.1), batch_size=32)
    GradientDescent(learning_rate=InverseScaling(learning_rate=0.1, power=0.5), batch_size=32)
    """

    _kind: ClassVar[str] = "inverse_scaling"

    power: float = field(default=0.5, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _scalars.check_range(self, "power", 0.0, open_end=True)

    def _options(self) -> dict[str, float]:
        return {"power": self.power}


@dataclass(frozen=True)
class Step(Schedule):
    """The rate is multiplied by gamma after every so many epochs.

    Epoch e has ``learning_rate * gamma ** ((e - 1) // epochs)``.

    Parameters
    ----------
    learning_rate : float
        The first rate, positive and finite.
    epochs : int
        Epochs from one change to the next, at least 1.
    gamma : float, default 0.1
        Positive and finite.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    Examples
    --------
    >>> import deltaloop as dl
    >>> solver = dl.Adam(dl.schedules.Step(0.01, epochs=30), batch_size=32)
    """

    _kind: ClassVar[str] = "stepwise"

    epochs: int = field(kw_only=True)
    gamma: float = field(default=0.1, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _whole(self, "epochs", 1)
        _scalars.check_range(self, "gamma", 0.0, open_end=True)

    def _options(self) -> dict[str, float]:
        return {"factor": self.gamma, "epochs": self.epochs}


@dataclass(frozen=True)
class Exponential(Schedule):
    """The rate is multiplied by gamma after every epoch: ``learning_rate * gamma**(epoch - 1)``.

    Parameters
    ----------
    learning_rate : float
        The rate of epoch 1, positive and finite.
    gamma : float
        Positive and finite; below 1 for a rate that falls.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    Examples
    --------
    >>> import deltaloop as dl
    >>> solver = dl.GradientDescent(dl.schedules.Exponential(0.1, 0.99), momentum=0.9)
    """

    _kind: ClassVar[str] = "stepwise"

    gamma: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _scalars.check_range(self, "gamma", 0.0, open_end=True)

    def _options(self) -> dict[str, float]:
        return {"factor": self.gamma, "epochs": 1}


@dataclass(frozen=True)
class Cosine(Schedule):
    """The rate rises linearly for some epochs and then falls along half a cosine wave.

    Epoch e has ``learning_rate * e / (warmup + 1)`` up to e = warmup. Then, with
    ``t = (e - 1 - warmup) / (epochs - warmup)``, it has
    ``minimum + (learning_rate - minimum) * (1 + cos(pi * t)) / 2``: the full rate in epoch
    warmup + 1, and minimum in all epochs after number ``epochs``.

    Parameters
    ----------
    learning_rate : float
        The highest rate, positive and finite.
    epochs : int
        The length of the schedule, the warm-up included; usually the ``max_epochs`` of ``fit``.
    warmup : int, default 0
        Epochs of the linear rise, fewer than ``epochs``.
    minimum : float, default 0.0
        The rate at the end, from 0 to below ``learning_rate``.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    References
    ----------
    Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts", ICLR 2017 (here
    without restarts). Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour",
    arXiv:1706.02677 (2017), for the linear warm-up.

    Examples
    --------
    >>> import deltaloop as dl
    >>> schedule = dl.schedules.Cosine(0.01, epochs=100, warmup=5)
    >>> solver = dl.AdamW(schedule, batch_size=32)
    """

    _kind: ClassVar[str] = "cosine"

    epochs: int = field(kw_only=True)
    warmup: int = field(default=0, kw_only=True)
    minimum: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _whole(self, "epochs", 1)
        _whole(self, "warmup", 0)
        if self.warmup >= self.epochs:
            raise ValueError(f"warmup must be less than epochs, {self.epochs}, got {self.warmup}")
        _scalars.check_range(self, "minimum", 0.0, self.learning_rate)

    def _options(self) -> dict[str, float]:
        return {"epochs": self.epochs, "warmup": self.warmup, "minimum": self.minimum}


@dataclass(frozen=True)
class Plateau(Schedule):
    """The rate is multiplied by a factor when the cost has stopped falling.

    An epoch improves when its cost is below the lowest one before by more than ``threshold`` times
    the size of that. After more than ``patience`` epochs in a row without improvement the rate is
    multiplied by ``factor``, and the counting begins again. The cost of an epoch is its entry in
    ``FitResult.cost_history``.

    Parameters
    ----------
    learning_rate : float
        The first rate, positive and finite.
    factor : float, default 0.1
        In (0, 1).
    patience : int, default 10
        Epochs in a row without improvement that are let pass.
    threshold : float, default 1e-4
        The least relative improvement, in [0, 1).
    minimum : float, default 0.0
        No rate falls below it; from 0 to below ``learning_rate``.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    Notes
    -----
    The names and defaults are those of PyTorch's ``ReduceLROnPlateau``. scikit-learn's
    ``learning_rate="adaptive"`` is close to ``factor=0.2, patience=1``.

    Examples
    --------
    >>> import deltaloop as dl
    >>> solver = dl.GradientDescent(dl.schedules.Plateau(0.1, factor=0.5), momentum=0.9)
    """

    _kind: ClassVar[str] = "plateau"

    factor: float = field(default=0.1, kw_only=True)
    patience: int = field(default=10, kw_only=True)
    threshold: float = field(default=1e-4, kw_only=True)
    minimum: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _scalars.check_range(self, "factor", 0.0, 1.0, open_end=True)
        _whole(self, "patience", 0)
        _scalars.check_range(self, "threshold", 0.0, 1.0)
        _scalars.check_range(self, "minimum", 0.0, self.learning_rate)

    def _options(self) -> dict[str, float]:
        return {
            "factor": self.factor,
            "epochs": self.patience,
            "threshold": self.threshold,
            "minimum": self.minimum,
        }


# By their names on the command line.
SCHEDULES: dict[str, type[Schedule]] = {
    "inverse_scaling": InverseScaling,
    "step": Step,
    "exponential": Exponential,
    "cosine": Cosine,
    "plateau": Plateau,
}
