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


def _positive(name: str, value: object) -> float:
    """Return a positive and finite number."""
    number = _inputs.real(name, value)
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"{name} must be positive and finite, got {value!r}")
    return number


def _least_gradient(value: object) -> float:
    """Return a norm to stop at."""
    number = _inputs.real("min_gradient", value)
    if not (number >= 0 and math.isfinite(number)):
        raise ValueError(f"min_gradient must be finite and at least 0, got {value!r}")
    return number


@dataclass(frozen=True, repr=False)
class LBFGS(Solver):
    """Limited-memory BFGS on the full batch, with a line search for the strong Wolfe conditions.

    Iteration k steps along -H g, where g is the gradient and H the inverse Hessian that BFGS's
    formula makes of the last `memory` pairs s = w_(k+1) - w_k, y = g_(k+1) - g_k, from
    H_0 = (s.y / y.y) I of the newest pair. The step alpha satisfies

    - ``C(w + alpha d) <= C(w) + c1 alpha g.d`` and
    - ``|g(w + alpha d).d| <= c2 |g(w).d|``

    and is first tried as 1, or as 1 / |g| where there are no pairs yet. An epoch is one such
    iteration: one or two evaluations of the cost and its gradient, as a rule.

    Parameters
    ----------
    memory : int, default 10
        Pairs kept, at least 1. The method remembers 2 (memory + 1) numbers a parameter.
    c1, c2 : float, default 1e-4 and 0.9
        The conditions' constants, 0 < c1 < c2 < 1.
    max_evaluations : int, default 20
        Evaluations of the cost and its gradient in one line search at most. After the last one the
        best step that meets the first condition is taken, if there is one.
    min_gradient : float, default 1e-10
        Stop as ``"min_gradient"`` when the gradient's Euclidean norm,
        ``FitResult.gradient_norm``, is at most this; 0 stops where the gradient is zero.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    Notes
    -----
    The fit also stops as ``"line_search"`` when no step decreases the cost, not even along the
    gradient with all pairs forgotten: the cost is then as low as rounding allows. The parameters
    are the best ones known. A trial step into infinity or NaN is shortened, so that only initial
    parameters of infinite cost count as divergence.

    References
    ----------
    Liu and Nocedal, "On the limited memory BFGS method for large scale optimization",
    Mathematical Programming 45 (1989). Nocedal and Wright, "Numerical Optimization", 2nd edition
    (2006), Algorithms 7.4 and 7.5 for the direction, 3.5 and 3.6 with cubic interpolation for the
    step. More and Thuente, "Line search algorithms with guaranteed sufficient decrease", ACM TOMS
    20 (1994), for how far a step may be extrapolated.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaloop as dl
    >>> x = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> net = dl.Network([1, 10, 1], activation="tanh", output="identity", seed=0)
    >>> result = net.fit(x, np.sin(3 * x), solver=dl.LBFGS(), tol=0, goal=1e-3)
    >>> result.stop_reason, result.epochs < 200
    ('goal', True)
    """

    memory: int = 10
    c1: float = field(default=1e-4, kw_only=True)
    c2: float = field(default=0.9, kw_only=True)
    max_evaluations: int = field(default=20, kw_only=True)
    min_gradient: float = field(default=1e-10, kw_only=True)

    def __post_init__(self) -> None:
        # Sizes that no machine has: refused where memory is asked for.
        memory = min(_inputs.integer("memory", self.memory, at_least=1), 2**60)
        c1 = _inputs.real("c1", self.c1)
        c2 = _inputs.real("c2", self.c2)
        if not 0 < c1 < c2 < 1:
            raise ValueError(
                f"c1 and c2 must satisfy 0 < c1 < c2 < 1, got c1={self.c1!r} and c2={self.c2!r}"
            )
        evaluations = _inputs.integer("max_evaluations", self.max_evaluations, at_least=1)
        object.__setattr__(self, "memory", memory)
        object.__setattr__(self, "c1", c1)
        object.__setattr__(self, "c2", c2)
        object.__setattr__(self, "max_evaluations", min(evaluations, 2**60))
        object.__setattr__(self, "min_gradient", _least_gradient(self.min_gradient))


@dataclass(frozen=True, repr=False)
class ScaledConjugateGradient(Solver):
    """Moller's scaled conjugate gradients on the full batch: no line search, and little memory.

    Iteration k steps along p by alpha = -p.g / delta. The curvature delta along p is the
    difference of the gradients at w + sigma p / |p| and w, over sigma / |p|, plus lambda |p|^2:
    lambda grows until delta is positive and the cost decreases, and shrinks while the quadratic
    model predicts the decrease well. Then ``p <- beta p - g`` with Polak and Ribiere's beta, and
    every P steps ``p <- -g``. An epoch is one step that decreases the cost: two evaluations of the
    cost and its gradient, and one more for each step that was refused.

    Parameters
    ----------
    sigma : float, default 5e-5
        Distance over which the curvature is measured, positive. The paper asks for at most 1e-4
        and finds no value critical; 5e-5 is the default of MATLAB's ``trainscg``.
    lambda_ : float, default 5e-7
        The first lambda, positive. The paper asks for at most 1e-6; 5e-7 is MATLAB's.
    min_gradient : float, default 1e-10
        Stop as ``"min_gradient"`` when the gradient's Euclidean norm,
        ``FitResult.gradient_norm``, is at most this; 0 stops where the gradient is zero.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    Notes
    -----
    The fit also stops as ``"max_lambda"`` when lambda exceeds 1e100: no step decreases the cost,
    which is as low as rounding allows. A step into infinity or NaN is refused, so that only
    initial parameters of infinite cost count as divergence.

    MATLAB's ``trainscg`` differs in what is around the method: it trains on the mean of the
    squares of scaled data, counts refused steps as epochs and stops at a gradient of 1e-6.

    References
    ----------
    Moller, "A scaled conjugate gradient algorithm for fast supervised learning", Neural Networks
    6 (1993).

    Examples
    --------
    >>> import numpy as np
    >>> import deltaloop as dl
    >>> x = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> net = dl.Network([1, 10, 1], activation="tanh", output="identity", seed=0)
    >>> result = net.fit(x, np.sin(3 * x), solver=dl.ScaledConjugateGradient(), goal=1e-2)
    >>> result.stop_reason, result.epochs < 1000
    ('goal', True)
    """

    sigma: float = field(default=5e-5, kw_only=True)
    lambda_: float = field(default=5e-7, kw_only=True)
    min_gradient: float = field(default=1e-10, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma", _positive("sigma", self.sigma))
        object.__setattr__(self, "lambda_", _positive("lambda_", self.lambda_))
        object.__setattr__(self, "min_gradient", _least_gradient(self.min_gradient))
