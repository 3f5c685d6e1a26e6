"""Solvers for least squares: Levenberg-Marquardt, and Bayesian regularisation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from deltaloop import _core, _losses, _scalars
from deltaloop.schedules import Schedule
from deltaloop.solvers._base import Solver, positive

if TYPE_CHECKING:
    from deltaloop._arguments.problem import Problem
    from deltaloop._core import Core

# The losses that are a sum of squares, or convex in z with an output that matches.
GAUSS_NEWTON = tuple(row.name for row in _losses.ROWS if row.gauss_newton)


@dataclass(frozen=True, repr=False)
class _SecondOrder(Solver):
    """What Levenberg-Marquardt and Bayesian regularisation have in common."""

    _method = "levenberg_marquardt"
    _anytime = True
    _emergencies = frozenset({"max_damping", "min_step"})

    damping_decrease: float = field(default=0.1, kw_only=True)
    damping_increase: float = field(default=10.0, kw_only=True)
    max_damping: float = field(default=1e10, kw_only=True)
    min_gradient: float = field(default=1e-7, kw_only=True)
    max_memory: int = field(default=2**30, kw_only=True)

    def _check_damping(self) -> dict[str, float]:
        """Return the values that both have, validated."""
        decrease = _scalars.real("damping_decrease", self.damping_decrease)
        if not 0 < decrease < 1:
            raise ValueError(
                f"damping_decrease must be between 0 and 1, got {self.damping_decrease!r}"
            )
        increase = positive("damping_increase", self.damping_increase)
        if increase <= 1:
            raise ValueError(f"damping_increase must be above 1, got {self.damping_increase!r}")
        min_gradient = _scalars.real("min_gradient", self.min_gradient)
        if not 0 <= min_gradient < math.inf:
            raise ValueError(
                f"min_gradient must be finite and at least 0, got {self.min_gradient!r}"
            )
        return {
            "damping_decrease": decrease,
            "damping_increase": increase,
            "max_damping": positive("max_damping", self.max_damping),
            "min_gradient": min_gradient,
            "max_memory": _scalars.integer("max_memory", self.max_memory, at_least=1),
        }

    def _set(self, values: dict[str, float] | dict[str, object]) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _damping_options(self, rule: str, first: float) -> dict[str, float | Schedule]:
        """Return what both have, with the first mu, or radius, of the damping rule."""
        return {
            "rule": _core.DAMPING_RULES[rule],
            "damping": first,
            "decrease": self.damping_decrease,
            "increase": self.damping_increase,
            "max_damping": self.max_damping,
            "min_gradient": self.min_gradient,
        }

    def _matrices(self) -> int:
        """Return how many matrices of the system's order it needs."""
        return 2

    def _check(self, network: Core, n: int, problem: Problem) -> None:
        """Refuse a loss that has no Gauss-Newton matrix, and matrices beyond the memory allowed."""
        if network.loss not in GAUSS_NEWTON:
            raise ValueError(
                f"solver {type(self).__name__} needs a network with one of the losses "
                f"{', '.join(GAUSS_NEWTON)}, got {network.loss}"
            )
        P, R = network.n_parameters, n * network.layers[-1]
        primal = 8 * self._matrices() * P * P
        dual = 8 * (self._matrices() * R * R + 2 * P * R)
        needed = dual if R < P and problem.l2 == 0 else primal
        if needed > self.max_memory:
            without = ""
            if R < P and problem.l2 > 0:
                without = f"without a penalty, l2=0, they take {dual} bytes; "
            raise ValueError(
                f"max_memory={self.max_memory} is too little for {type(self).__name__}: "
                f"{P} parameters and {R} residuals take matrices of {needed} bytes; {without}"
                "LBFGS needs none"
            )


@dataclass(frozen=True, repr=False)
class LevenbergMarquardt(_SecondOrder):
    """Levenberg and Marquardt's method for least squares: the fastest for small networks.

    One iteration (an epoch) evaluates the errors e and their Jacobian matrix J by the parameters,
    over all instances, and takes the step s that solves

        ``(J^T J + mu D^2) s = -J^T e``

    once a damping mu is found for which the cost falls. ``J^T e`` is the gradient of the cost, a
    sum; J^T J the Gauss-Newton approximation of its Hessian. It is accumulated chunk by chunk, so
    that memory grows with P^2 for P parameters and not with n; with fewer errors than parameters
    the equivalent system of their number is solved. The cross-entropies with their matching
    outputs, and Poisson's loss, are minimised by the generalised Gauss-Newton matrix.

    Parameters
    ----------
    damping_rule : str, default "nielsen"
        How mu follows the success of the steps:

        - ``"nielsen"``: mu is multiplied by ``max(1/3, 1 - (2 rho - 1)^3)``, where rho is the
          ratio of the gain to the one predicted, after a success, and by 2, 4, 8, ... after
          failures (Nielsen)
        - ``"trust_region"``: mu such that the length of D s is that of a radius, which grows and
          shrinks by that ratio (Moré, as in MINPACK). With softmax J^T J is singular, and mu stays
          above its rounding errors.
        - ``"fixed"``: mu is multiplied by ``damping_decrease`` after a success and by
          ``damping_increase`` after a failure (Hagan and Menhaj)
    scaling : str, default "identity"
        ``"identity"``: D = I. ``"diagonal"``: D_j is the norm of column j of J, the largest so far
        (Marquardt, Moré), so that the steps do not depend on the units of the parameters; better
        for the last digits of a smooth function, worse where units saturate.
    geodesic : bool, default False
        Add half the geodesic acceleration to a step, the second-order correction along it
        (Transtrum and Sethna), which costs two more evaluations an iteration. For the squared
        error.
    damping : float or None, default None
        The first mu: of ``"fixed"`` mu itself, of ``"nielsen"`` in units of the largest element of
        J^T J's diagonal divided by D^2. None is 1e-3.
    radius : float, default 100
        The first radius of ``"trust_region"``, in lengths of D w.
    damping_decrease, damping_increase : float, default 0.1 and 10
        The factors of ``"fixed"``, in (0, 1) and above 1.
    max_damping : float, default 1e10
        The fit ends with ``stop_reason`` ``"max_damping"`` when mu exceeds it, times the largest
        element of J^T J's diagonal divided by D^2 where that is above 1: no step reduces the cost.
    min_gradient : float, default 1e-7
        The fit ends with ``"min_gradient"`` when the norm of the gradient, a sum over the
        instances, is not above it. 0 switches this off.
    max_memory : int, default 2**30
        Bytes that the matrices may take. A fit that needs more is refused before anything is
        allocated: 16 P^2 for P parameters, or 16 R^2 + 16 P R where there are fewer errors, R, and
        ``l2`` is 0.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range. By ``fit``: if the network's loss is not
        one that it can take, or ``max_memory`` is too little.

    Notes
    -----
    Further stop reasons: ``"min_step"``, the step no longer changes the parameters. A trial whose
    cost is not finite is a step that fails. ``result.gradient_norm`` is that of the last Jacobian,
    at the start of the last iteration. ``result.state`` holds ``damping`` (mu) and, by the rule
    and the scaling, ``radius``, ``growth`` (the next factor after a failure) and ``scale`` (D^2).

    References
    ----------
    Levenberg, "A method for the solution of certain non-linear problems in least squares", Quart.
    Appl. Math. 2 (1944). Marquardt, "An algorithm for least-squares estimation of nonlinear
    parameters", J. SIAM 11 (1963). Moré, "The Levenberg-Marquardt algorithm: implementation and
    theory", Lecture Notes in Mathematics 630 (1978). Hagan and Menhaj, "Training feedforward
    networks with the Marquardt algorithm", IEEE Trans. Neural Networks 5 (1994). Nielsen, "Damping
    parameter in Marquardt's method", report IMM-REP-1999-05 (1999). Transtrum and Sethna,
    "Improvements to the Levenberg-Marquardt algorithm for nonlinear least-squares minimization",
    arXiv:1201.5885 (2012). Schraudolph, "Fast curvature matrix-vector products for second-order
    gradient descent", Neural Computation 14 (2002), for the generalised Gauss-Newton matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaloop as dl
    >>> X = np.linspace(-1.0, 1.0, 200).reshape(-1, 1)
    >>> net = dl.Network(
    ...     [1, 8, 1], activation="tanh", output="identity", init="uniform", seed=0
    ... )
    >>> result = net.fit(X, np.sin(4 * X), solver=dl.LevenbergMarquardt(), goal=1e-4)
    >>> result.stop_reason, result.epochs < 100
    ('goal', True)
    """

    _name, _called = "lm", "Levenberg-Marquardt"
    _takes = frozenset({"weights", "l2"})
    _no_penalty = "it is no sum of squares"
    _chosen_for = "as errors are squared and parameters are few"
    _stop_reasons: ClassVar[Mapping[str, str]] = {
        "min_gradient": "the norm of the gradient is at most `min_gradient`",
        "max_damping": "no step decreases the cost",
        "min_step": "the step no longer changes the parameters",
    }

    damping_rule: str = field(default="nielsen", kw_only=True)
    scaling: str = field(default="identity", kw_only=True)
    geodesic: bool = field(default=False, kw_only=True)
    damping: float | None = field(default=None, kw_only=True)
    radius: float = field(default=100.0, kw_only=True)

    def __post_init__(self) -> None:
        rules, scalings = ("nielsen", "trust_region", "fixed"), ("identity", "diagonal")
        self._set(
            {
                "damping_rule": _scalars.choice("damping_rule", self.damping_rule, rules),
                "scaling": _scalars.choice("scaling", self.scaling, scalings),
                "geodesic": _scalars.flag("geodesic", self.geodesic),
                "radius": positive("radius", self.radius),
                **self._check_damping(),
            }
        )
        if self.damping is not None:
            self._set({"damping": positive("damping", self.damping)})

    @classmethod
    def trainlm(cls) -> LevenbergMarquardt:
        """Return the method with the rule and the defaults of MATLAB's ``trainlm``.

        mu = 1e-3, divided by 10 after a success and multiplied by 10 after a failure, at most
        1e10; D = I; the least gradient 1e-7. Cost and gradient are sums here and means there, and
        the bound of mu grows with J^T J.

        Returns
        -------
        LevenbergMarquardt

        Examples
        --------
        >>> import deltaloop as dl
        >>> dl.LevenbergMarquardt.trainlm()
        LevenbergMarquardt(damping_rule='fixed', damping=0.001)
        """
        return cls(
            damping_rule="fixed",
            scaling="identity",
            damping=1e-3,
            damping_decrease=0.1,
            damping_increase=10.0,
            max_damping=1e10,
            min_gradient=1e-7,
        )

    def _options(self) -> dict[str, float | Schedule]:
        first = 1e-3 if self.damping is None else self.damping
        if self.damping_rule == "trust_region":
            first = self.radius
        options = self._damping_options(self.damping_rule, first)
        options["diagonal"] = self.scaling == "diagonal"
        options["geodesic"] = self.geodesic
        return options

    def _check(self, network: Core, n: int, problem: Problem) -> None:
        if self.geodesic and network.loss != "squared_error":
            raise ValueError(
                f"geodesic=True needs a network with the loss squared_error, got {network.loss}"
            )
        super()._check(network, n, problem)


@dataclass(frozen=True, repr=False)
class BayesianRegularization(_SecondOrder):
    """Levenberg and Marquardt's method with weight decay whose strength is estimated.

    It minimises ``F = beta E_D + alpha E_W``, where E_D is the sum of the squared errors (twice
    the cost) and E_W the sum of the squares of all parameters, biases too. After each step alpha
    and beta are set to what makes the data most probable:

    - ``gamma = P - 2 alpha tr(H^-1)``, ``H = 2 beta J^T J + 2 alpha I``: the number of parameters,
      of P, that the data determine
    - ``alpha = gamma / (2 E_W)``, ``beta = (R - gamma) / (2 E_D)``, for R errors

    from ``alpha = 0`` and ``beta = 1``; the first estimate of gamma takes ``alpha = 0.01`` and
    ``beta = R / (2 E_D)``. So a network with more units than it needs does not
    overfit, and no data need be held out to see to that.

    Parameters
    ----------
    damping : float, default 5e-3
        The first mu of the damping, which is added to alpha in the step's system.
    damping_decrease, damping_increase : float, default 0.1 and 10
        Factors of mu after a step that reduces F and after one that does not.
    max_damping : float, default 1e10
        The fit ends with ``stop_reason`` ``"max_damping"`` when mu exceeds it, times the largest
        element of the diagonal of beta J^T J where that is above 1: no step reduces F. This is how
        a fit ends well, if nothing stops it before.
    min_gradient : float, default 1e-7
        The fit ends with ``"min_gradient"`` when the norm of the gradient of F is not above it.
    max_memory : int, default 2**30
        Bytes that the matrices may take, 24 P^2 for P parameters: as for ``LevenbergMarquardt``.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range. By ``fit``: if the network's loss is not
        the squared error, or ``max_memory`` is too little.

    Notes
    -----
    ``result.cost`` and ``result.cost_history`` are the network's cost C = E_D / 2, as everywhere,
    which may rise while F falls; ``tol`` and ``goal`` compare C, too. ``tol=0`` leaves the end to
    F. ``result.state`` holds ``alpha``, ``beta`` and ``gamma``, as they were estimated at the start
    of the last iteration, and ``damping`` (mu), as arrays (1,): ``result.state["gamma"].item()`` is
    a number. With fewer errors than parameters gamma counts from their number, and beta stays as it
    is while R - gamma is not positive.

    Weights of instances are relative: the variance of an error is taken as 1 / (2 beta s_i), and R
    counts the instances whose weight is positive. A common factor of all weights changes beta
    alone. So a weight of 2 is not two rows, which are two observations; repeat a row for that.

    References
    ----------
    MacKay, "Bayesian interpolation", Neural Computation 4 (1992). Foresee and Hagan, "Gauss-Newton
    approximation to Bayesian learning", ICNN 1997.

    Examples
    --------
    >>> import numpy as np
    >>> import deltaloop as dl
    >>> rng = np.random.default_rng(0)
    >>> X = np.linspace(-1.0, 1.0, 60).reshape(-1, 1)
    >>> Y = np.sin(3 * X) + rng.normal(scale=0.2, size=X.shape)
    >>> net = dl.Network([1, 20, 1], activation="tanh", output="identity", seed=0)
    >>> result = net.fit(X, Y, solver=dl.BayesianRegularization(), max_epochs=200)
    >>> gamma = result.state["gamma"].item()
    >>> f"{gamma:.1f} of {net.n_parameters} parameters"
    '7.9 of 61 parameters'
    """

    _name, _called = "br", "Bayesian regularisation"
    _takes = frozenset({"weights"})
    _no_penalty = "it has a penalty of its own, whose strength it estimates"
    # Units that begin alike often end in this optimum, where the penalty grows without limit.
    _less_penalty = "a network with init='nguyen_widrow' or fewer units"
    _chosen_for = "as errors are squared, and few for each parameter"
    _stop_reasons: ClassVar[Mapping[str, str]] = {
        "min_gradient": "the norm of the gradient of F is at most `min_gradient`",
        "max_damping": "no step decreases F: this is how a fit ends well",
        "min_step": "the step no longer changes the parameters",
    }

    damping: float = field(default=5e-3, kw_only=True)

    def __post_init__(self) -> None:
        self._set({"damping": positive("damping", self.damping), **self._check_damping()})

    def _options(self) -> dict[str, float | Schedule]:
        options = self._damping_options("fixed", self.damping)
        options["bayesian"] = True
        return options

    def _matrices(self) -> int:
        return 3

    def _check(self, network: Core, n: int, problem: Problem) -> None:
        if network.loss != "squared_error":
            raise ValueError(
                "solver BayesianRegularization needs a network with the loss squared_error, got "
                f"{network.loss}"
            )
        super()._check(network, n, problem)
