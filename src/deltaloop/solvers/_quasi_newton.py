"""Solvers for full batches of many parameters: L-BFGS and scaled conjugate gradients."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from deltaloop import _scalars
from deltaloop.schedules import Schedule
from deltaloop.solvers._base import Solver, least_gradient, positive

if TYPE_CHECKING:
    from deltaloop._arguments.problem import Problem
    from deltaloop._core import Core


@dataclass(frozen=True, repr=False)
class LBFGS(Solver):
    """Limited-memory BFGS on the full batch, with a line search for the strong Wolfe conditions.

    Iteration k steps along -H g, where g is the gradient and H the inverse Hessian that BFGS's
    formula makes of the last `memory` pairs s = w_(k+1) - w_k, y = g_(k+1) - g_k, from
    H_0 = (s.y / y.y) I of the newest pair. The step alpha satisfies

    - ``C(w + alpha d) <= C(w) + c1 alpha g.d`` and
    - ``|g(w + alpha d).d| <= c2 |g(w).d|``

    and is first tried as 1, or as ``1 / |g|`` where there are no pairs yet. An epoch is one such
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

    ``FitResult.state`` holds a ring of memory + 1 places, of which one is free for the next pair:
    ``s`` and ``y`` ((memory + 1) P,), place by place, ``rho`` (memory + 1,), 1 / s.y, and ``pairs``
    (3,): the place of the newest pair, how many there are, and its s.y / y.y.

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

    _name, _method = "lbfgs", "lbfgs"
    _chosen_for = "as there are some thousand rows at most"
    _called = "limited-memory BFGS"
    _anytime = True
    _stop_reasons: ClassVar[Mapping[str, str]] = {
        "min_gradient": "the norm of the gradient is at most `min_gradient`",
        "line_search": "because of rounding, no step decreases the cost, not even along the "
        "gradient with all pairs forgotten",
    }
    _emergencies = frozenset({"line_search"})

    memory: int = 10
    c1: float = field(default=1e-4, kw_only=True)
    c2: float = field(default=0.9, kw_only=True)
    max_evaluations: int = field(default=20, kw_only=True)
    min_gradient: float = field(default=1e-10, kw_only=True)

    def __post_init__(self) -> None:
        # Sizes that no machine has are refused by `_check`.
        memory = min(_scalars.integer("memory", self.memory, at_least=1), 2**60)
        c1 = _scalars.real("c1", self.c1)
        c2 = _scalars.real("c2", self.c2)
        if not 0 < c1 < c2 < 1:
            raise ValueError(
                f"c1 and c2 must satisfy 0 < c1 < c2 < 1, got c1={self.c1!r} and c2={self.c2!r}"
            )
        evaluations = _scalars.integer("max_evaluations", self.max_evaluations, at_least=1)
        object.__setattr__(self, "memory", memory)
        object.__setattr__(self, "c1", c1)
        object.__setattr__(self, "c2", c2)
        object.__setattr__(self, "max_evaluations", min(evaluations, 2**60))
        object.__setattr__(self, "min_gradient", least_gradient(self.min_gradient))

    def _options(self) -> dict[str, float | Schedule]:
        return {
            "memory": self.memory,
            "max_evaluations": self.max_evaluations,
            "c1": self.c1,
            "c2": self.c2,
            "min_gradient": self.min_gradient,
        }

    def _check(self, network: Core, n: int, problem: Problem) -> None:
        needed = 16 * (self.memory + 1) * network.n_parameters
        if needed > sys.maxsize:
            raise ValueError(
                f"memory={self.memory} is too large for a network of {network.n_parameters} "
                f"parameters: the pairs take {needed} bytes"
            )


@dataclass(frozen=True, repr=False)
class ScaledConjugateGradient(Solver):
    """Moller's scaled conjugate gradients on the full batch: no line search, and little memory.

    Iteration k steps along p by alpha = -p.g / delta. The curvature delta along p is the
    difference of the gradients at ``w + sigma p / |p|`` and w, over ``sigma / |p|``, plus
    ``lambda |p|^2``: lambda grows until delta is positive and the cost decreases, and shrinks
    while the quadratic model predicts the decrease well. Then ``p <- beta p - g`` with Polak and
    Ribiere's beta, and every P steps ``p <- -g``. An epoch is one step that decreases the cost:
    two evaluations of the cost and its gradient, and one more for each step that was refused.

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

    ``FitResult.state`` holds ``direction`` (P,), the next step's p, and ``lambda`` (2,): lambda
    and the steps since p was last -g.

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

    _name, _method = "scg", "scg"
    _called = "scaled conjugate gradients"
    _anytime = True
    _stop_reasons: ClassVar[Mapping[str, str]] = {
        "min_gradient": "the norm of the gradient is at most `min_gradient`",
        "max_lambda": "because of rounding, no step decreases the cost, and lambda is beyond 1e100",
    }
    _emergencies = frozenset({"max_lambda"})

    sigma: float = field(default=5e-5, kw_only=True)
    lambda_: float = field(default=5e-7, kw_only=True)
    min_gradient: float = field(default=1e-10, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma", positive("sigma", self.sigma))
        object.__setattr__(self, "lambda_", positive("lambda_", self.lambda_))
        object.__setattr__(self, "min_gradient", least_gradient(self.min_gradient))

    def _options(self) -> dict[str, float | Schedule]:
        return {
            "sigma": self.sigma,
            "lambda": self.lambda_,
            "min_gradient": self.min_gradient,
        }
