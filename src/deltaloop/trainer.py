"""The trainer: what may be one, where its random numbers come from, and its state.

The step itself is in ``_extension/stepper.pxi``, which sends here what is no exact array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltaloop import _core, _scalars
from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import gaps as _gaps
from deltaloop._arguments import problem as _problem
from deltaloop._arguments import seeds as _seeds
from deltaloop._fit import state as _state
from deltaloop._fit.arguments import check_trainer
from deltaloop.solvers import Solver

if TYPE_CHECKING:
    from deltaloop.network import Network


class Trainer(_core.Stepper):
    """One update of a network per call, for online and reinforcement learning.

    Made by ``Network.trainer``. The solver's state, such as the velocity of momentum, is kept
    from call to call.

    Parameters
    ----------
    network : Network
        What is trained.
    solver : a solver, such as GradientDescent
        How it is trained.
    l1, l2, dropout, missing_targets, resume, n_threads, seed
        As for ``Network.trainer``.

    Raises
    ------
    TypeError, ValueError
        As for ``Network.trainer``.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network([1, 1], activation="identity", seed=0)
    >>> trainer = net.trainer(dl.GradientDescent(learning_rate=0.1))
    >>> costs = [trainer.step([1.0], [3.0]) for _ in range(100)]
    >>> costs[-1] < 1e-12
    True
    """

    __slots__ = ()

    def __new__(
        cls,
        network: Network,
        solver: Solver,
        *,
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        missing_targets: str = "raise",
        resume: Mapping[str, ArrayLike] | None = None,
        n_threads: int | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> Self:
        """Check the arguments, which are those of ``Network.trainer``, and begin or resume."""
        _core.check_core(network)
        solver = check_trainer(network, solver)
        problem = _problem.penalised(l1, l2)._replace(
            dropout=_problem.dropout(network, dropout),
            targets=_core.GAPS if _gaps.check(missing_targets) else 0,
        )
        threads = _scalars.threads(n_threads)
        state = None if resume is None else _state.check(resume)
        own = _seeds.stream(network.seed, network._position)
        stream = own if seed is None else _seeds.stream(_seeds.resolve_seed(seed))
        if state is not None and seed is not None:
            raise ValueError(
                "seed and resume exclude each other: a state has its own random stream"
            )
        scaling = None if state is None else _state.scaling(state, network)
        rate = None if state is None else state.pop(RATE, None)
        rate = None if rate is None else _rate(rate, f"resume[{RATE!r}]")
        if state is not None and problem.dropout is not None:
            stream = _core.Stream(*_state.stream(state))
        trainer = super().__new__(
            cls,
            network,
            solver=solver,
            problem=problem,
            stream=stream,
            draws=stream.key == own.key,
            n_threads=threads,
        )
        if state is not None:
            trainer._resume(_state.match(state, trainer._remembered()[0]))
            network.scaling = scaling
            if rate is not None:
                trainer._rate = rate
        return trainer

    @property
    def network(self) -> Network:
        """The network that is trained."""
        return cast("Network", self._network)

    @property
    def solver(self) -> Solver:
        """How it is trained."""
        return cast(Solver, self._solver)

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """All that the next step depends on, as plain arrays: a new dict each time.

        ``parameters`` (P,) of the network, ``steps`` (1,), the number of steps taken, with dropout
        ``key`` and ``position`` of the random stream, and what the solver remembers, by the names
        of ``FitResult.state``; of a network with a `scaling` this, as there; and once it has been
        set ``learning_rate`` (1,).
        ``Network.trainer`` takes it as `resume`. While the network is being trained in another
        thread, a RuntimeError.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([1, 1], activation="identity", seed=0)
        >>> trainer = net.trainer(dl.GradientDescent(0.1, momentum=0.5))
        >>> cost = trainer.step([1.0], [3.0])
        >>> twin = net.copy().trainer(trainer.solver, resume=trainer.state)
        >>> twin.step([2.0], [5.0]) == trainer.step([2.0], [5.0])
        True
        """
        arrays, stream = self._remembered()
        arrays |= _state.scaling_arrays(self.network.scaling)
        if self._own_rate:
            arrays[RATE] = np.array([self._rate])
        if stream is None:
            return arrays
        return arrays | _state.stream_arrays(stream.key, stream.position)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step; it can be set between any two.

        At first it is that of the solver, whose schedule, if it has one, counts steps: step 1 has
        the rate of epoch 1. Setting it, to a finite number of at least 0, ends the schedule, and
        `state` then holds it. What the solver remembers stays as it is.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([2, 1], seed=0)
        >>> trainer = net.trainer(dl.Adam(0.01))
        >>> trainer.learning_rate *= 0.1
        >>> trainer.learning_rate
        0.001
        >>> trainer = net.trainer(dl.Adam(dl.schedules.Exponential(0.01, 0.5)))
        >>> cost = trainer.step([0.0, 1.0], 0.5)
        >>> trainer.learning_rate
        0.005
        """
        return self._rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._rate = _rate(rate, "learning_rate")

    def backward(
        self, x: ArrayLike, dC_da: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Carry derivatives of your own back from the outputs to the parameters.

        For costs that are no loss of `Network`, as an actor's: dC/da^(L) in, dC/dw out. Nothing is
        changed; ``apply`` takes a step along the result, or along sums of several.

        Parameters
        ----------
        x : array_like, shape (m0,) or (n, m0)
            One instance or a batch.
        dC_da : array_like, shape (mL,) or (n, mL)
            The derivative of the cost by each output as ``Network.predict`` gives it, whatever the
            network's loss is; where the network has a `scaling`, in its units. (n,), or a scalar
            for one instance, where mL is 1.
        sample_weight : array_like, shape (n,), or float for one instance, optional
            Factors of the instances' derivatives, of either sign, such as advantages.

        Returns
        -------
        ndarray of float64, shape (P,)
            sum_i s_i sum_k dC_da[i, k] da^(L)_ik/dw, in the layout of ``Network.parameters``, and
            without the trainer's penalty. The same bits on any number of threads.

        Raises
        ------
        TypeError, ValueError
            If the arrays do not fit the network or each other, or are not finite; and where the
            trainer has `dropout`, as the derivatives are those of a network that drops no units.

        Examples
        --------
        The squared error by hand:

        >>> import deltaloop as dl
        >>> net = dl.Network([2, 3, 1], seed=0)
        >>> trainer = net.trainer(dl.GradientDescent(learning_rate=0.1))
        >>> x, y = [[0.0, 1.0], [1.0, 1.0]], [[0.5], [0.25]]
        >>> gradient = trainer.backward(x, net.predict(x) - y)
        >>> bool(abs(gradient - net.gradient(x, y)[1]).max() < 1e-15)
        True
        >>> trainer.apply(gradient)
        """
        s, given = _arrays.plain("sample_weight", sample_weight), _arrays.plain("dC_da", dC_da)
        if self._drops:
            raise ValueError(
                "backward needs a trainer without dropout: dC_da belongs to the outputs of a "
                "network that drops no units"
            )
        rows, slopes = _gaps.slopes(self._network, x, given)
        weights = _gaps.signed_weights(s, rows.shape[0])
        problem = _problem.Problem(weights=weights, targets=_core.SLOPES)
        _, gradient = self._network._cost(rows, slopes, False, True, self._n_threads, problem)
        assert gradient is not None
        return gradient

    def apply(self, gradient: ArrayLike) -> None:
        """Take the solver's step along a gradient of your own.

        It is all that ``step`` does once it has the gradient of the data: the penalty of the
        trainer's `l1` and `l2` is added, the solver clips, remembers and steps. So
        ``trainer.apply(net.gradient(x, y)[1])`` is ``trainer.step(x, y)`` without dropout.

        Parameters
        ----------
        gradient : array_like, shape (P,)
            In the layout of ``Network.parameters``; finite. It is not changed.

        Raises
        ------
        TypeError, ValueError
            If it is no such gradient; the network is then as it was.
        RuntimeError
            If the network is being trained by another thread.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network.from_weights([[[2.0]]], [[1.0]], activation="identity")
        >>> net.trainer(dl.GradientDescent(learning_rate=0.5)).apply([1.0, -1.0])
        >>> net.parameters
        array([1.5, 1.5])
        """
        array = _arrays.numbers("gradient", gradient)
        n = self._network.n_parameters
        if array.shape != (n,):
            raise ValueError(
                f"gradient must have shape ({n},), that of the network's parameters, got "
                f"{array.shape}"
            )
        _arrays.finite("gradient", array)
        self._apply(np.ascontiguousarray(array, dtype=np.float64))

    def _step_any(self, x: object, y: object, sample_weight: object, mask: object) -> float:
        """Take the step from anything that is no exact array, or has no target for each output."""
        s, given = _arrays.plain("sample_weight", sample_weight), _arrays.plain("y", y)
        if mask is None:
            rows, targets, labels, gaps = _gaps.batch(
                self._network, x, given, "x", "y", skip=self._gaps
            )
        else:
            flags = _arrays.plain("mask", mask)
            rows, targets = _gaps.masked(self._network, x, given, flags, skip=self._gaps)
            labels, gaps = False, True
        return self._step(rows, targets, labels, _problem.weights(s, rows.shape[0]), gaps)


# The entry of a state that holds a learning rate which has been set.
RATE = "learning_rate"


def _rate(rate: object, name: str) -> float:
    """Return a learning rate that a trainer may have."""
    if isinstance(rate, np.ndarray) and rate.shape == (1,):
        rate = rate[0]
    value = _scalars.real(name, rate)
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {rate!r}")
    return value
