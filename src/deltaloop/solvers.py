"""Solvers: small immutable objects that say how the parameters are improved."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from deltaloop import _inputs

if TYPE_CHECKING:
    from deltaloop.network import Network


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

    def _check(self, network: Network, n: int) -> None:
        """Refuse a network, or a number of instances, that it cannot train."""

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
    """Return a positive, finite number."""
    number = _inputs.real(name, value)
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"{name} must be positive and finite, got {value!r}")
    return number


@dataclass(frozen=True, repr=False)
class _SecondOrder(Solver):
    """What Levenberg-Marquardt and Bayesian regularisation have in common."""

    damping_decrease: float = field(default=0.1, kw_only=True)
    damping_increase: float = field(default=10.0, kw_only=True)
    max_damping: float = field(default=1e10, kw_only=True)
    min_gradient: float = field(default=1e-7, kw_only=True)
    max_memory: int = field(default=2**30, kw_only=True)

    def _check_damping(self) -> dict[str, float]:
        """Return the values that both have, validated."""
        decrease = _inputs.real("damping_decrease", self.damping_decrease)
        if not 0 < decrease < 1:
            raise ValueError(
                f"damping_decrease must be between 0 and 1, got {self.damping_decrease!r}"
            )
        increase = _positive("damping_increase", self.damping_increase)
        if increase <= 1:
            raise ValueError(f"damping_increase must be above 1, got {self.damping_increase!r}")
        min_gradient = _inputs.real("min_gradient", self.min_gradient)
        if not 0 <= min_gradient < math.inf:
            raise ValueError(
                f"min_gradient must be finite and at least 0, got {self.min_gradient!r}"
            )
        return {
            "damping_decrease": decrease,
            "damping_increase": increase,
            "max_damping": _positive("max_damping", self.max_damping),
            "min_gradient": min_gradient,
            "max_memory": _inputs.integer("max_memory", self.max_memory, at_least=1),
        }

    def _set(self, values: dict[str, float] | dict[str, object]) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _matrices(self) -> int:
        """Return how many matrices of the system's order it needs."""
        return 2

    def _check(self, network: Network, n: int) -> None:
        """Refuse a network whose matrices would take more than the memory allowed."""
        P, R = network.n_parameters, n * network.layers[-1]
        order = min(P, R)
        needed = 8 * (self._matrices() * order * order + (2 * P * R if R < P else 0))
        if needed > self.max_memory:
            raise ValueError(
                f"max_memory={self.max_memory} is too little for {type(self).__name__}: "
                f"{P} parameters and {R} residuals take matrices of {needed} bytes"
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
    outputs are minimised by the generalised Gauss-Newton matrix.

    Parameters
    ----------
    damping_rule : str, default "nielsen"
        How mu follows the success of the steps:

        - ``"nielsen"``: mu is multiplied by ``max(1/3, 1 - (2 rho - 1)^3)``, where rho is the
          ratio of the gain to the one predicted, after a success, and by 2, 4, 8, ... after
          failures (Nielsen)
        - ``"trust_region"``: mu such that the length of D s is that of a radius, which grows and
          shrinks by that ratio (Moré, as in MINPACK)
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
        The fit ends with ``stop_reason`` ``"max_damping"`` when mu exceeds it: no step reduces the
        cost.
    min_gradient : float, default 1e-7
        The fit ends with ``"min_gradient"`` when the norm of the gradient, a sum over the
        instances, is not above it. 0 switches this off.
    max_memory : int, default 2**30
        Bytes that the matrices may take. A fit that needs more, 16 P^2 for P parameters, is
        refused before anything is allocated.

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

    damping_rule: str = field(default="nielsen", kw_only=True)
    scaling: str = field(default="identity", kw_only=True)
    geodesic: bool = field(default=False, kw_only=True)
    damping: float | None = field(default=None, kw_only=True)
    radius: float = field(default=100.0, kw_only=True)

    def __post_init__(self) -> None:
        rules, scalings = ("nielsen", "trust_region", "fixed"), ("identity", "diagonal")
        self._set(
            {
                "damping_rule": _inputs.choice("damping_rule", self.damping_rule, rules),
                "scaling": _inputs.choice("scaling", self.scaling, scalings),
                "geodesic": _inputs.flag("geodesic", self.geodesic),
                "radius": _positive("radius", self.radius),
                **self._check_damping(),
            }
        )
        if self.damping is not None:
            self._set({"damping": _positive("damping", self.damping)})

    @classmethod
    def trainlm(cls) -> LevenbergMarquardt:
        """Return the method with the rule and the defaults of MATLAB's ``trainlm``.

        mu = 1e-3, divided by 10 after a success and multiplied by 10 after a failure, at most
        1e10; D = I; the least gradient 1e-7. Cost and gradient are sums here and means there.

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

    @property
    def _first_damping(self) -> float:
        if self.damping_rule == "trust_region":
            return self.radius
        return 1e-3 if self.damping is None else self.damping

    def _check(self, network: Network, n: int) -> None:
        if self.geodesic and network.loss != "squared_error":
            raise ValueError(
                f"geodesic=True needs a network with the loss squared_error, got {network.loss}"
            )
        super()._check(network, n)


@dataclass(frozen=True, repr=False)
class BayesianRegularization(_SecondOrder):
    """Levenberg and Marquardt's method with weight decay whose strength is estimated.

    It minimises ``F = beta E_D + alpha E_W``, where E_D is the sum of the squared errors (twice
    the cost) and E_W the sum of the squares of all parameters, biases too. After each step alpha
    and beta are set to what makes the data most probable:

    - ``gamma = P - 2 alpha tr(H^-1)``, ``H = 2 beta J^T J + 2 alpha I``: the number of parameters,
      of P, that the data determine
    - ``alpha = gamma / (2 E_W)``, ``beta = (R - gamma) / (2 E_D)``, for R errors

    from ``alpha = 0`` and ``beta = 1``. So a network with more units than it needs does not
    overfit, and no data need be held out to see to that.

    Parameters
    ----------
    damping : float, default 5e-3
        The first mu of the damping, which is added to alpha in the step's system.
    damping_decrease, damping_increase : float, default 0.1 and 10
        Factors of mu after a step that reduces F and after one that does not.
    max_damping : float, default 1e10
        The fit ends with ``stop_reason`` ``"max_damping"`` when mu exceeds it: no step reduces F.
        This is how a fit ends well, if nothing stops it before.
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
    of the last iteration, and ``damping`` (mu). With fewer errors than parameters gamma counts from
    their number, and beta stays as it is while R - gamma is not positive.

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
    >>> bool(result.state["gamma"] < 15), net.n_parameters
    (True, 61)
    """

    damping: float = field(default=5e-3, kw_only=True)

    def __post_init__(self) -> None:
        self._set({"damping": _positive("damping", self.damping), **self._check_damping()})

    @property
    def _first_damping(self) -> float:
        return self.damping

    def _matrices(self) -> int:
        return 3

    def _check(self, network: Network, n: int) -> None:
        if network.loss != "squared_error":
            raise ValueError(
                "solver BayesianRegularization needs a network with the loss squared_error, got "
                f"{network.loss}"
            )
        super()._check(network, n)
