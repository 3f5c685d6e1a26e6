"""Solvers: small immutable objects that say how the parameters are improved."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import ClassVar

from deltaloop import _inputs


class Solver:
    """What all solvers have in common: full batches, unless they have a ``batch_size`` to set.

    Examples
    --------
    >>> import deltaloop as dl
    >>> isinstance(dl.GradientDescent(0.5), dl.solvers.Solver)
    True
    """

    batch_size: int | None = None
    shuffle: bool = False
    # Whether it can be a trainer's, which updates on the instances of one call.
    _steps: ClassVar[bool] = False

    def __repr__(self) -> str:
        parts = []
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if f.default is dataclasses.MISSING or value != f.default:
                parts.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


@dataclass(frozen=True, repr=False)
class GradientDescent(Solver):
    """Gradient descent on a full batch, mini-batches or single instances.

    With the gradient g of the cost over the batch, a sum over its instances and never a mean, one
    step is

    - plain: ``w <- w - learning_rate * g``
    - with momentum: ``v <- momentum * v - learning_rate * g``, then ``w <- w + v``
    - Nesterov: the same v, then ``w <- w + momentum * v - learning_rate * g``

    Parameters
    ----------
    learning_rate : float
        Positive and finite. There is no default: the right size depends on the number of instances
        in a step, since costs and gradients are sums.
    momentum : float, default 0.0
        mu in [0, 1); 0 is plain gradient descent.
    nesterov : bool, default False
        Nesterov's form of the momentum; needs ``momentum > 0``.
    batch_size : int or None, default None
        Instances in a step. None is the full batch; 1 is one instance at a time. The last batch
        of an epoch holds what is left.
    shuffle : bool, default True
        Visit the instances in a new random order each epoch, drawn from the seed of ``fit``. It
        has no effect on a full batch.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    References
    ----------
    Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature
    323 (1986). Polyak, "Some methods of speeding up the convergence of iteration methods", USSR
    Comput. Math. Math. Phys. 4 (1964). Sutskever, Martens, Dahl and Hinton, "On the importance of
    initialization and momentum in deep learning", ICML 2013, for Nesterov's form.

    Examples
    --------
    >>> import deltaloop as dl
    >>> dl.GradientDescent(0.5)
    GradientDescent(learning_rate=0.5)
    >>> dl.GradientDescent(0.01, momentum=0.9, batch_size=32)
    GradientDescent(learning_rate=0.01, momentum=0.9, batch_size=32)
    """

    _steps: ClassVar[bool] = True

    learning_rate: float
    momentum: float = field(default=0.0, kw_only=True)
    nesterov: bool = field(default=False, kw_only=True)
    batch_size: int | None = field(default=None, kw_only=True)
    shuffle: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        learning_rate = _inputs.real("learning_rate", self.learning_rate)
        if not (learning_rate > 0 and math.isfinite(learning_rate)):
            raise ValueError(
                f"learning_rate must be positive and finite, got {self.learning_rate!r}"
            )
        momentum = _inputs.real("momentum", self.momentum)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum!r}")
        nesterov = _inputs.flag("nesterov", self.nesterov)
        if nesterov and momentum == 0:
            raise ValueError("nesterov=True needs momentum > 0, got momentum=0")
        batch_size = self.batch_size
        if batch_size is not None:
            batch_size = _inputs.integer("batch_size", batch_size, at_least=1)
        shuffle = _inputs.flag("shuffle", self.shuffle)
        values = (learning_rate, momentum, nesterov, batch_size, shuffle)
        names = ("learning_rate", "momentum", "nesterov", "batch_size", "shuffle")
        for name, value in zip(names, values, strict=True):
            object.__setattr__(self, name, value)
