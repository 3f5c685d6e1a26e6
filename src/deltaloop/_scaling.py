"""Training on columns that are scaled, and networks that take and give raw ones.

Columns are standardised, because one learning rate then suits all of them, and the scaling is
folded into the trained network, because a model that takes raw inputs and gives raw outputs
cannot be used with the wrong scaling.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deltaloop.results import DivergenceWarning, FitResult
from deltaloop.scaling import is_constant

__all__ = ["Floats", "Scaling", "fit", "fold"]

Floats = NDArray[np.float64]


class Trainable(Protocol):
    """The part of `Network` that is used here."""

    @property
    def weights(self) -> tuple[Floats, ...]:
        """Views of the parameters."""

    @property
    def biases(self) -> tuple[Floats, ...]:
        """Views of the parameters."""

    @property
    def parameters(self) -> Floats:
        """All of them."""

    @property
    def fit(self) -> Callable[..., FitResult]:
        """Train it."""


class Blocks(Protocol):
    """Blocks (X, y) to train on, again and again."""

    def scaled(self, inputs: Scaling, outputs: Scaling | None) -> object:
        """Return them with scaled columns."""


@dataclass(frozen=True)
class Scaling:
    """Columns are trained on as (values - mean) / scale."""

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, values: Floats, what: str, constant: float = 1.0) -> Scaling:
        """Mean and standard deviation of each column; a constant column gets scale `constant`."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = values.mean(axis=0), values.std(axis=0)
        # By its range: the rounding of the mean gives a constant column a tiny deviation.
        varies = ~is_constant(values.min(axis=0), values.max(axis=0))
        usable = np.isfinite(mean) & (~varies | (np.isfinite(scale) & (scale > 0)))
        if not usable.all():
            column = int(np.argmin(usable))
            raise ValueError(f"column {column} of {what} is too large or too small to standardise")
        return cls(mean, np.where(varies, scale, constant))

    def apply(self, values: Floats) -> Floats:
        scaled: Floats = values - self.mean
        scaled /= self.scale
        return scaled


def fit(
    network: Trainable,
    X: Floats | Blocks,
    y: NDArray[Any],
    inputs: Scaling,
    outputs: Scaling | None,
    options: Mapping[str, Any],
) -> FitResult:
    """Train on scaled columns and fold the scaling into the network. Blocks have their own targets.

    ValueError if the fit diverges: what it leaves is of no use. If it is interrupted after its
    beginning, the exception has the network so far, with the scaling, as its attribute `network`.
    """
    given: tuple[Any, Any]
    if isinstance(X, np.ndarray):
        given = inputs.apply(X), y if outputs is None else outputs.apply(y)
    else:
        given = X.scaled(inputs, outputs), None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        try:
            result = network.fit(*given, **options)
        except KeyboardInterrupt as interrupt:
            if hasattr(interrupt, "result"):
                with suppress(ValueError):
                    fold(network, inputs, outputs)
                    interrupt.network = network  # type: ignore[attr-defined]
            raise
    if result.stop_reason == "diverged":
        rate = getattr(result.stages[-1].solver, "learning_rate", None)
        advice = f": try a learning rate below {rate:g}" if isinstance(rate, float) else ""
        raise ValueError(f"training diverged in epoch {result.epochs + 1}{advice}")
    fold(network, inputs, outputs)
    return result


def fold(network: Trainable, inputs: Scaling, outputs: Scaling | None) -> None:
    """Make a network that was trained on scaled columns take and give raw ones.

    For x = (r - mu) / s, the sum over j' of x_j' w_j'j + b_j equals the sum of r_j' w_j'j / s_j'
    + b_j - the sum of mu_j' w_j'j / s_j', so the first layer takes w / s and those biases. For
    identity outputs a = (y - mu) / s, the last layer's columns and biases are multiplied by s_j
    and mu_j is added to its biases. Results differ by rounding only. ValueError if a parameter
    overflows.
    """
    with np.errstate(all="ignore"):
        w, b = network.weights[0], network.biases[0]
        w /= inputs.scale[:, np.newaxis]
        b -= (inputs.mean[:, np.newaxis] * w).sum(axis=0)
        if outputs is not None:
            w, b = network.weights[-1], network.biases[-1]
            w *= outputs.scale
            b *= outputs.scale
            b += outputs.mean
    if not np.isfinite(network.parameters).all():
        raise ValueError("the scaling of X and y overflows the weights; bring them nearer to 1")
