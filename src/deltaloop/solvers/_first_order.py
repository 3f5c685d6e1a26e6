"""Solvers of first order, which go by the gradient alone.

Gradient descent, Adam and AdamW have a learning rate and take mini-batches; Rprop has a step for
each parameter and takes full batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from deltaloop import _scalars
from deltaloop.schedules import Schedule
from deltaloop.solvers._base import Solver

# What `shuffle` is where rows are shuffled within blocks.
BLOCKS = "blocks"


def _shuffle(given: object) -> bool | str:
    """Return how the rows are shuffled."""
    if isinstance(given, str):
        if str.__str__(given) != BLOCKS:
            raise ValueError(f"shuffle must be True, False or 'blocks', got {given!r}")
        return BLOCKS
    return _scalars.flag("shuffle", given)


class _Rated(Solver):
    """What solvers with a learning rate have in common."""

    _takes = frozenset({"batches", "weights", "l1", "l2", "dropout", "trainer"})

    learning_rate: float | Schedule
    clip_norm: float | None
    clip_value: float | None

    def _rate_options(self) -> dict[str, float | Schedule]:
        return {
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size or 0,
            "shuffle": 2 if self.shuffle == BLOCKS else bool(self.shuffle),
            "clip_norm": self.clip_norm or 0.0,
            "clip_value": self.clip_value or 0.0,
        }

    def _check_rates(self) -> None:
        """Check the fields that all of them have."""
        given = self.learning_rate
        if not isinstance(given, Schedule):
            learning_rate = _scalars.real("learning_rate", given)
            if not (learning_rate > 0 and math.isfinite(learning_rate)):
                raise ValueError(f"learning_rate must be positive and finite, got {given!r}")
            object.__setattr__(self, "learning_rate", learning_rate)
        if self.batch_size is not None:
            batch_size = _scalars.integer("batch_size", self.batch_size, at_least=1)
            object.__setattr__(self, "batch_size", batch_size)
        object.__setattr__(self, "shuffle", _shuffle(self.shuffle))
        for name in ("clip_norm", "clip_value"):
            limit = getattr(self, name)
            if limit is not None:
                value = _scalars.real(name, limit)
                if not (value > 0 and math.isfinite(value)):
                    raise ValueError(f"{name} must be positive and finite, or None, got {limit!r}")
                object.__setattr__(self, name, value)
        if self.clip_norm is not None and self.clip_value is not None:
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
    shuffle : bool or "blocks", default True
        Visit the instances in a new random order each epoch, drawn from the seed of ``fit``. It
        has no effect on a full batch. ``"blocks"`` is an order within each block of 65,536 rows
        (docs/reference/large-data.md), for data that are read block by block.
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

    _name, _method = "gd", "gradient_descent"

    learning_rate: float | Schedule
    momentum: float = field(default=0.0, kw_only=True)
    nesterov: bool = field(default=False, kw_only=True)
    batch_size: int | None = field(default=None, kw_only=True)
    shuffle: bool | str = field(default=True, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._check_rates()
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
    shuffle : bool or "blocks", default True
        Visit the instances in a new random order each epoch, drawn from the seed of ``fit``. It
        has no effect on a full batch. ``"blocks"`` is an order within each block of 65,536 rows
        (docs/reference/large-data.md), for data that are read block by block.
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

    _name, _method = "adam", "adam"
    _chosen_for = "as there are many rows or parameters"

    learning_rate: float | Schedule = 0.001
    beta1: float = field(default=0.9, kw_only=True)
    beta2: float = field(default=0.999, kw_only=True)
    epsilon: float = field(default=1e-8, kw_only=True)
    batch_size: int | None = field(default=None, kw_only=True)
    shuffle: bool | str = field(default=True, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._check_rates()
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
    shuffle : bool or "blocks", default True
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

    _name = "adamw"

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

    _name, _method = "rprop", "rprop"
    _smaller = "delta_max"

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


@dataclass(frozen=True, repr=False)
class Quickprop(Solver):
    """Quickprop on full batches: each parameter jumps to the minimum of a parabola of its own.

    The parabola goes through the slope of the parameter now, ``s = dC/dw + decay w``, and its slope
    before the last step p. Its minimum is ``p s / (s_before - s)`` away. The step is at most `mu`
    times as long as the last one, which also limits it where the slope has grown. As long as the
    slope keeps its sign, ``-epsilon s`` is added. A parameter whose last step was 0 takes
    ``-epsilon s`` alone.

    ``FitResult.state`` holds ``step`` (P,) and ``previous_gradient`` (P,), the slopes s before the
    last step.

    Parameters
    ----------
    epsilon : float, optional
        Learning rate of the linear part, positive, for gradients that are sums over the instances.
        None is 0.7 divided by the number of instances, as in FANN, or by the sum of their weights.
    mu : float, default 1.75
        The largest growth of a step, positive and finite. Much above 2 training becomes chaotic.
    decay : float, default 1e-4
        Strength of the weight decay, at least 0. It is part of the slopes of all parameters, biases
        too, and not of the cost. It keeps weights from growing without end.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type or out of range.

    Notes
    -----
    Fahlman adds 0.1 to the derivative of the sigmoid, so that saturated units go on learning; here
    gradients are exact. FANN also cuts off parameters beyond 1500; here they may grow, and saturate
    the units, without an overflow that would end the fit as ``"diverged"``. Where the cost rises, a
    smaller `mu` or `epsilon` helps.

    References
    ----------
    Fahlman, "An empirical study of learning speed in back-propagation networks", report
    CMU-CS-88-162, Carnegie Mellon University (1988).

    Examples
    --------
    >>> import deltaloop as dl
    >>> dl.Quickprop(mu=2.0)
    Quickprop(mu=2.0)
    >>> net = dl.Network([2, 4, 1], seed=0)
    >>> X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> net.fit(X, Y, solver=dl.Quickprop(1.0, decay=0.0), goal=1e-4, max_epochs=1000).stop_reason
    'goal'
    """

    _name, _method = "quickprop", "quickprop"
    _smaller = "epsilon"

    epsilon: float | None = None
    mu: float = field(default=1.75, kw_only=True)
    decay: float = field(default=1e-4, kw_only=True)

    def __post_init__(self) -> None:
        if self.epsilon is not None:
            _scalars.check_range(self, "epsilon", 0.0, open_end=True)
        _scalars.check_range(self, "mu", 0.0, open_end=True)
        _scalars.check_range(self, "decay", 0.0)

    def _options(self) -> dict[str, float | Schedule]:
        return {"epsilon": self.epsilon or 0.0, "mu": self.mu, "decay": self.decay}
