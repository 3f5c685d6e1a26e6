"""The trainer: what may be one, where its random numbers come from, and its state.

The step itself is in ``_extension/stepper.pxi``, which sends here what is no exact array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltaloop import _core, _scalars
from deltaloop._arguments import arrays as _arrays
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
    l1, l2, dropout, resume, n_threads, seed
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
        resume: Mapping[str, ArrayLike] | None = None,
        n_threads: int | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> Self:
        """Check the arguments, which are those of ``Network.trainer``, and begin or resume."""
        _core.check_core(network)
        solver = check_trainer(network, solver)
        problem = _problem.penalised(l1, l2)._replace(dropout=_problem.dropout(network, dropout))
        threads = _scalars.threads(n_threads)
        state = None if resume is None else _state.check(resume)
        own = _seeds.stream(network.seed, network._position)
        stream = own if seed is None else _seeds.stream(_seeds.resolve_seed(seed))
        if state is not None and seed is not None:
            raise ValueError(
                "seed and resume exclude each other: a state has its own random stream"
            )
        scaling = None if state is None else _state.scaling(state, network)
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
        of ``FitResult.state``; and of a network with a `scaling` this, as there.
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
        if stream is None:
            return arrays
        return arrays | _state.stream_arrays(stream.key, stream.position)

    def _step_any(self, x: object, y: object, sample_weight: object) -> float:
        """Take the step from anything that is no exact array."""
        s, given = _arrays.plain("sample_weight", sample_weight), _arrays.plain("y", y)
        rows, targets, labels = _arrays.batch(self._network, x, given, "x", "y")
        return self._step(rows, targets, labels, _problem.weights(s, rows.shape[0]))
