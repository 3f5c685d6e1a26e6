"""Solvers: small immutable objects that say how the parameters are improved."""

from __future__ import annotations

import dataclasses
import math
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from deltaloop import _core, _scalars
from deltaloop.schedules import Schedule

if TYPE_CHECKING:
    from deltaloop._arguments.problem import Problem
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
    # What C calls it: MLP_SOLVERS of csrc/mlp.h.
    _method: ClassVar[str]
    # Whether it can be a trainer's, which updates on the instances of one call.
    _steps: ClassVar[bool] = False
    # Whether the parameters within an epoch are those of the last one, so that time can end it.
    _anytime: ClassVar[bool] = False
    # What to reduce when training diverges.
    _smaller: ClassVar[str] = "learning_rate"
    # The penalties that it can minimise, and why no others.
    _penalties: ClassVar[tuple[str, ...]] = ("l1", "l2")
    _no_penalty: ClassVar[str] = ""

    def _check(self, network: Network, n: int, problem: Problem) -> None:
        """Refuse a network, a number of instances or a problem that it cannot train."""

    def _options(self) -> dict[str, float | Schedule]:
        """Return its options in C, by their names there; what is not among them is 0."""
        raise NotImplementedError

    def __repr__(self) -> str:
        parts = []
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if f.default is dataclasses.MISSING or value != f.default:
                parts.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


class _Rated(Solver):
    """What solvers with a learning rate have in common."""

    _steps: ClassVar[bool] = True

    learning_rate: float | Schedule
    clip_norm: float | None
    clip_value: float | None

    def _rate_options(self) -> dict[str, float | Schedule]:
        return {
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size or 0,
            "shuffle": self.shuffle,
            "clip_norm": self.clip_norm or 0.0,
            "clip_value": self.clip_value or 0.0,
        }


def _check_steps(solver: GradientDescent | Adam) -> None:
    """Check the fields that all solvers of first order with a learning rate have."""
    given = solver.learning_rate
    if not isinstance(given, Schedule):
        learning_rate = _scalars.real("learning_rate", given)
        if not (learning_rate > 0 and math.isfinite(learning_rate)):
            raise ValueError(f"learning_rate must be positive and finite, got {given!r}")
        object.__setattr__(solver, "learning_rate", learning_rate)
    if solver.batch_size is not None:
        batch_size = _scalars.integer("batch_size", solver.batch_size, at_least=1)
        object.__setattr__(solver, "batch_size", batch_size)
    object.__setattr__(solver, "shuffle", _scalars.flag("shuffle", solver.shuffle))
    for name in ("clip_norm", "clip_value"):
        limit = getattr(solver, name)
        if limit is not None:
            value = _scalars.real(name, limit)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be positive and finite, or None, got {limit!r}")
            object.__setattr__(solver, name, value)
    if solver.clip_norm is not None and solver.clip_value is not None:
        raise ValueError("only one of clip_norm and clip_value can be given")


@dataclass(frozen=True, repr=False)
class GradientDescent(_Rated):
    """Gradient descent on a full batch, mini-batches or single instances.

    With the gradient g of the cost over the batch, a sum over its instances and never a mean, one
    step is

    - plain: ``w <- w - learning_rate * g``
    - with momentum: ``v <- momentum * v - learning_rate * g``, then ``w <- w + v``
    - Nesterov: the same v, then ``w <- w + momentum * v - learning_rate * g``

    ``FitResult.state`` holds ``velocity`` (P,) with momentum; with a schedule ``learning_rate``
    (1,), the rate of the last epoch; and with ``Plateau`` ``plateau`` (2,), the lowest cost, at
    first infinite, and the epochs since.

    Parameters
    ----------
    learning_rate : float or Schedule
        Positive and finite, or one of ``deltaloop.schedules``, which change it from epoch to
        epoch. There is no default: the right size depends on the number of instances in a step,
        since costs and gradients are sums.
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
    clip_norm : float or None, default None
        The largest Euclidean norm of a step's gradient, over all parameters; a longer one is
        scaled down to it. It too is compared with a sum over the batch.
    clip_value : float or None, default None
        The largest size of an element of the gradient; a larger one is replaced by it. Not
        together with ``clip_norm``.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    Notes
    -----
    With clipping ``FitResult.gradient_norm`` is the norm before. It takes further passes over the
    gradient, one for the norm on a single thread, and the step is no longer part of the products.

    References
    ----------
    Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature
    323 (1986). Polyak, "Some methods of speeding up the convergence of iteration methods", USSR
    Comput. Math. Math. Phys. 4 (1964). Sutskever, Martens, Dahl and Hinton, "On the importance of
    initialization and momentum in deep learning", ICML 2013, for Nesterov's form. Pascanu, Mikolov
    and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013, for clipping.

    Examples
    --------
    >>> import deltaloop as dl
    >>> dl.GradientDescent(0.5)
    GradientDescent(learning_rate=0.5)
    >>> dl.GradientDescent(0.01, momentum=0.9, batch_size=32)
    GradientDescent(learning_rate=0.01, momentum=0.9, batch_size=32)
    >>> dl.GradientDescent(dl.schedules.Exponential(0.1, 0.99), clip_norm=1.0)
    GradientDescent(learning_rate=Exponential(learning_rate=0.1, gamma=0.99), clip_norm=1.0)
    """

    _method: ClassVar[str] = "gradient_descent"

    learning_rate: float | Schedule
    momentum: float = field(default=0.0, kw_only=True)
    nesterov: bool = field(default=False, kw_only=True)
    batch_size: int | None = field(default=None, kw_only=True)
    shuffle: bool = field(default=True, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_steps(self)
        _scalars.check_range(self, "momentum", 0.0, 1.0)
        object.__setattr__(self, "nesterov", _scalars.flag("nesterov", self.nesterov))
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs momentum > 0, got momentum=0")

    def _options(self) -> dict[str, float | Schedule]:
        options = self._rate_options()
        options["momentum"] = self.momentum
        options["nesterov"] = self.nesterov
        return options


@dataclass(frozen=True, repr=False)
class Adam(_Rated):
    """Adam: steps along running means of the gradient, divided by those of its squares.

    With the gradient g of step t, and m = v = 0 before the first,

    - ``m <- beta1 * m + (1 - beta1) * g``
    - ``v <- beta2 * v + (1 - beta2) * g**2``
    - ``w <- w - learning_rate * m' / (sqrt(v') + epsilon)``, where ``m' = m / (1 - beta1**t)`` and
      ``v' = v / (1 - beta2**t)``

    for each parameter, in one pass over all. ``FitResult.state`` holds ``m`` and ``v`` (P,),
    ``powers`` (2,), the two powers of beta, ``steps`` (1,), t, and of a schedule what
    ``GradientDescent`` names.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
        Positive and finite, or one of ``deltaloop.schedules``. About the size of a step of each
        parameter, whatever the size of the gradient.
    beta1, beta2 : float, default 0.9 and 0.999
        How much of the running means each step keeps, in [0, 1).
    epsilon : float, default 1e-8
        Positive and finite. See the notes.
    batch_size : int or None, default None
        Instances in a step. None is the full batch; 1 is one instance at a time. The last batch
        of an epoch holds what is left.
    shuffle : bool, default True
        Visit the instances in a new random order each epoch, drawn from the seed of ``fit``. It
        has no effect on a full batch.
    clip_norm, clip_value : float or None, default None
        As for ``GradientDescent``.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    Notes
    -----
    Gradients are sums over the batch here, means in most other libraries. Adam does not depend on
    the scale of the gradient but for epsilon: ``epsilon`` here is ``epsilon / batch_size`` there.

    References
    ----------
    Kingma and Ba, "Adam: A method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> import deltaloop as dl
    >>> dl.Adam(batch_size=32)
    Adam(batch_size=32)
    >>> net = dl.Network([2, 8, 1], activation="tanh", output="sigmoid", seed=0)
    >>> X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net.fit(X, Y, solver=dl.Adam(0.05), goal=0.01, max_epochs=1000).stop_reason
    'goal'
    """

    _method: ClassVar[str] = "adam"

    learning_rate: float | Schedule = 0.001
    beta1: float = field(default=0.9, kw_only=True)
    beta2: float = field(default=0.999, kw_only=True)
    epsilon: float = field(default=1e-8, kw_only=True)
    batch_size: int | None = field(default=None, kw_only=True)
    shuffle: bool = field(default=True, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_steps(self)
        _scalars.check_range(self, "beta1", 0.0, 1.0)
        _scalars.check_range(self, "beta2", 0.0, 1.0)
        _scalars.check_range(self, "epsilon", 0.0, open_end=True)

    def _options(self) -> dict[str, float | Schedule]:
        options = self._rate_options()
        options["beta1"] = self.beta1
        options["beta2"] = self.beta2
        options["epsilon"] = self.epsilon
        return options


@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay: each step also makes every parameter a little smaller.

    ``w <- (1 - learning_rate * weight_decay) * w - learning_rate * m' / (sqrt(v') + epsilon)``,
    with m' and v' of ``Adam``. The decay is no part of the cost or of its gradient. It applies to
    all parameters, the biases too, as in the paper and in PyTorch.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
        As for ``Adam``.
    beta1, beta2 : float, default 0.9 and 0.999
        As for ``Adam``.
    epsilon : float, default 1e-8
        As for ``Adam``.
    weight_decay : float, default 0.01
        At least 0 and finite; 0 gives the bits of ``Adam``. It is multiplied by the learning rate
        of the epoch, as in PyTorch; the paper multiplies its lambda by the schedule alone, so
        that lambda is ``learning_rate * weight_decay``. That product, with the first rate of a
        schedule, must be at most 1.
    batch_size : int or None, default None
        As for ``Adam``.
    shuffle : bool, default True
        As for ``Adam``.
    clip_norm, clip_value : float or None, default None
        As for ``GradientDescent``.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> import deltaloop as dl
    >>> dl.AdamW(0.01, weight_decay=0.1, batch_size=32)
    AdamW(learning_rate=0.01, batch_size=32, weight_decay=0.1)
    """

    weight_decay: float = field(default=0.01, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _scalars.check_range(self, "weight_decay", 0.0)
        given = self.learning_rate
        rate = given.learning_rate if isinstance(given, Schedule) else given
        if rate * self.weight_decay > 1:
            raise ValueError(
                "weight_decay must be at most 1 / learning_rate, "
                f"{1 / rate:g}, got {self.weight_decay!r}"
            )

    def _options(self) -> dict[str, float | Schedule]:
        options = Adam._options(self)  # faster than super()
        options["weight_decay"] = self.weight_decay
        return options


@dataclass(frozen=True, repr=False)
class Rprop(Solver):
    """Resilient backpropagation on full batches: only the signs of the gradient count.

    Every parameter has a step size delta of its own. Where the gradient has kept its sign delta
    grows, ``delta <- min(eta_plus * delta, delta_max)``, and the parameter moves by delta against
    that sign. Where the sign has changed delta shrinks, ``delta <- max(eta_minus * delta,
    delta_min)``, and the parameter does not move in this epoch; in the next it moves by delta,
    whatever the sign. With ``variant="plus"``, iRPROP+, such a parameter also takes back its last
    change if the cost has risen; ``"minus"`` is iRPROP-.

    ``FitResult.state`` holds ``delta`` (P,), ``previous_gradient`` (P,), 0 where the sign changed,
    and ``previous_cost`` (2,), C before the last step as an unevaluated sum of two numbers.

    Parameters
    ----------
    eta_plus : float, default 1.2
        How fast step sizes grow, above 1 and finite.
    eta_minus : float, default 0.5
        How fast they shrink, in (0, 1).
    delta_0 : float, default 0.1
        Their initial value, positive.
    delta_min, delta_max : float, default 0.0 and 50.0
        Their bounds, ``0 <= delta_min <= delta_0 <= delta_max``. A lower bound above 0 bounds the
        precision of the result.
    variant : {"plus", "minus"}, default "plus"
        iRPROP+ or iRPROP-.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    References
    ----------
    Igel and Husken, "Improving the Rprop learning algorithm", Proc. NC 2000; "Empirical evaluation
    of the improved Rprop learning algorithms", Neurocomputing 50 (2003). Riedmiller and Braun, "A
    direct adaptive method for faster backpropagation learning: the RPROP algorithm", ICNN 1993,
    for the method and its defaults.

    Examples
    --------
    >>> import deltaloop as dl
    >>> dl.Rprop(variant="minus")
    Rprop(variant='minus')
    >>> net = dl.Network([2, 4, 1], seed=0)
    >>> X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net.fit(X, Y, solver=dl.Rprop(), goal=1e-6, max_epochs=500).stop_reason
    'goal'
    """

    _method: ClassVar[str] = "rprop"
    _smaller: ClassVar[str] = "delta_max"

    eta_plus: float = field(default=1.2, kw_only=True)
    eta_minus: float = field(default=0.5, kw_only=True)
    delta_0: float = field(default=0.1, kw_only=True)
    delta_min: float = field(default=0.0, kw_only=True)
    delta_max: float = field(default=50.0, kw_only=True)
    variant: str = field(default="plus", kw_only=True)

    def __post_init__(self) -> None:
        _scalars.check_range(self, "eta_plus", 1.0, open_end=True)
        _scalars.check_range(self, "eta_minus", 0.0, 1.0, open_end=True)
        _scalars.check_range(self, "delta_0", 0.0, open_end=True)
        _scalars.check_range(self, "delta_min", 0.0)
        _scalars.check_range(self, "delta_max", 0.0, open_end=True)
        for name, wrong in (
            ("delta_min", self.delta_min > self.delta_0),
            ("delta_max", self.delta_max < self.delta_0),
        ):
            if wrong:
                side = "most" if name == "delta_min" else "least"
                raise ValueError(
                    f"{name} must be at {side} delta_0, {self.delta_0!r}, "
                    f"got {getattr(self, name)!r}"
                )
        variant = _scalars.choice("variant", self.variant, ("plus", "minus"))
        object.__setattr__(self, "variant", variant)

    def _options(self) -> dict[str, float | Schedule]:
        return {
            "eta_plus": self.eta_plus,
            "eta_minus": self.eta_minus,
            "delta_0": self.delta_0,
            "delta_min": self.delta_min,
            "delta_max": self.delta_max,
            "plus": self.variant == "plus",
        }


def _positive(name: str, value: object) -> float:
    """Return a positive, finite number."""
    number = _scalars.real(name, value)
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"{name} must be positive and finite, got {value!r}")
    return number


# The losses that are a sum of squares, or convex in z with an output that matches.
_GAUSS_NEWTON = ("squared_error", "cross_entropy", "binary_cross_entropy", "poisson")


@dataclass(frozen=True, repr=False)
class _SecondOrder(Solver):
    """What Levenberg-Marquardt and Bayesian regularisation have in common."""

    _method: ClassVar[str] = "levenberg_marquardt"
    _anytime: ClassVar[bool] = True

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
        increase = _positive("damping_increase", self.damping_increase)
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
            "max_damping": _positive("max_damping", self.max_damping),
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

    def _check(self, network: Network, n: int, problem: Problem) -> None:
        """Refuse a loss that has no Gauss-Newton matrix, and matrices beyond the memory allowed."""
        if network.loss not in _GAUSS_NEWTON:
            raise ValueError(
                f"solver {type(self).__name__} needs a network with one of the losses "
                f"{', '.join(_GAUSS_NEWTON)}, got {network.loss}"
            )
        P, R = network.n_parameters, n * network.layers[-1]
        dual = R < P and problem.l2 == 0
        order = R if dual else P
        needed = 8 * (self._matrices() * order * order + (2 * P * R if dual else 0))
        if needed > self.max_memory:
            raise ValueError(
                f"max_memory={self.max_memory} is too little for {type(self).__name__}: "
                f"{P} parameters and {R} residuals take matrices of {needed} bytes; "
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

    _penalties: ClassVar[tuple[str, ...]] = ("l2",)
    _no_penalty: ClassVar[str] = "it is no sum of squares"

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

    def _options(self) -> dict[str, float | Schedule]:
        first = 1e-3 if self.damping is None else self.damping
        if self.damping_rule == "trust_region":
            first = self.radius
        options = self._damping_options(self.damping_rule, first)
        options["diagonal"] = self.scaling == "diagonal"
        options["geodesic"] = self.geodesic
        return options

    def _check(self, network: Network, n: int, problem: Problem) -> None:
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

    _penalties: ClassVar[tuple[str, ...]] = ()
    _no_penalty: ClassVar[str] = "it has a penalty of its own, whose strength it estimates"

    damping: float = field(default=5e-3, kw_only=True)

    def __post_init__(self) -> None:
        self._set({"damping": _positive("damping", self.damping), **self._check_damping()})

    def _options(self) -> dict[str, float | Schedule]:
        options = self._damping_options("fixed", self.damping)
        options["bayesian"] = True
        return options

    def _matrices(self) -> int:
        return 3

    def _check(self, network: Network, n: int, problem: Problem) -> None:
        if network.loss != "squared_error":
            raise ValueError(
                "solver BayesianRegularization needs a network with the loss squared_error, got "
                f"{network.loss}"
            )
        super()._check(network, n, problem)


def _least_gradient(value: object) -> float:
    """Return a norm to stop at."""
    number = _scalars.real("min_gradient", value)
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

    _method: ClassVar[str] = "lbfgs"
    _anytime: ClassVar[bool] = True

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
        object.__setattr__(self, "min_gradient", _least_gradient(self.min_gradient))

    def _options(self) -> dict[str, float | Schedule]:
        return {
            "memory": self.memory,
            "max_evaluations": self.max_evaluations,
            "c1": self.c1,
            "c2": self.c2,
            "min_gradient": self.min_gradient,
        }

    def _check(self, network: Network, n: int, problem: Problem) -> None:
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

    _method: ClassVar[str] = "scg"
    _anytime: ClassVar[bool] = True

    sigma: float = field(default=5e-5, kw_only=True)
    lambda_: float = field(default=5e-7, kw_only=True)
    min_gradient: float = field(default=1e-10, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma", _positive("sigma", self.sigma))
        object.__setattr__(self, "lambda_", _positive("lambda_", self.lambda_))
        object.__setattr__(self, "min_gradient", _least_gradient(self.min_gradient))

    def _options(self) -> dict[str, float | Schedule]:
        return {
            "sigma": self.sigma,
            "lambda": self.lambda_,
            "min_gradient": self.min_gradient,
        }
