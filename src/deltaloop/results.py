"""What ``Network.fit`` tells: of each epoch, of each stage, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from deltaloop.losses import Loss
from deltaloop.solvers import Solver

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from deltaloop.network import Network

    class Checkpoint(Protocol):
        """What makes the state of a fit."""

        def state(self) -> Mapping[str, NDArray[Any]]:
            """Return what ``resume`` takes."""


Made = TypeVar("Made")
_new, _set = object.__new__, object.__setattr__


class DivergenceWarning(RuntimeWarning):
    """The cost or the parameters became infinite or NaN during training.

    The network then holds the parameters from the start of the last epoch, or with the patience of
    a validation those of the best one.

    Examples
    --------
    >>> import warnings
    >>> import deltaloop as dl
    >>> net = dl.Network([1, 1], activation="identity", seed=0)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", dl.DivergenceWarning)
    ...     result = net.fit([[1.0], [2.0]], [1.0, 2.0], solver=dl.GradientDescent(10.0))
    >>> result.stop_reason
    'diverged'
    """


class ConvergenceWarning(RuntimeWarning):
    """A fit cannot end well, or has not: the message says why, and what may help.

    At the start: targets that the outputs cannot reach, or a `tol` or `goal` that is far from the
    cost of predicting the mean of the targets. At the end: the solver found no step though the
    gradient is not small, all units of a layer are saturated, the network predicts the same for all
    instances, or the cost has not fallen. ``FitResult.message`` has the same sentences, and
    ``FitResult.converged`` is False then.

    Examples
    --------
    >>> import warnings
    >>> import deltaloop as dl
    >>> net = dl.Network([1, 1], activation="sigmoid", seed=0)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     result = net.fit([[1.0], [2.0]], [10.0, 20.0], solver=dl.Rprop(), max_epochs=10)
    >>> caught[0].category.__name__, str(caught[0].message)[:61]
    ('ConvergenceWarning', 'Y goes from 10 to 20, but sigmoid outputs only from 0 to 1: b')
    """


class CheckpointWarning(RuntimeWarning):
    """The file of ``fit(checkpoint=...)`` could not be written, for one fit said once.

    The fit goes on, and tries again. A file that is there already stays as it was.

    Examples
    --------
    >>> import warnings
    >>> import deltaloop as dl
    >>> warnings.simplefilter("error", dl.CheckpointWarning)  # to end the fit instead
    >>> warnings.simplefilter("default", dl.CheckpointWarning)
    """


@dataclass(frozen=True)
class EpochInfo:
    """What a callback is told after an epoch.

    Attributes
    ----------
    epoch : int
        Number of the epoch just completed, from 1: of all stages, and of those that were resumed.
    cost : float
        Its entry in ``FitResult.cost_history``.
    seconds : float
        Time since training began.
    network : Network
        The network in training. Read it, copy it, save it; writing to its parameters here is not
        supported.
    validation_cost, learning_rate, gradient_norm : float
        The epoch's entries in ``FitResult.history``.
    state : mapping of str to ndarray
        ``FitResult.state`` of a fit that ends here: made when it is asked for, and only until the
        callback returns. ``Network.fit`` takes it as `resume`.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network([1, 1], activation="identity", seed=0)
    >>> def report(info):
    ...     print(f"epoch {info.epoch}: cost {info.cost:.2f}")
    >>> result = net.fit([[1.0]], [2.0], solver=dl.GradientDescent(0.25), max_epochs=3,
    ...                  callback=report)
    epoch 1: cost 1.70
    epoch 2: cost 0.42
    epoch 3: cost 0.11
    """

    epoch: int
    cost: float
    seconds: float
    network: Network = field(repr=False)
    validation_cost: float
    learning_rate: float
    gradient_norm: float
    _checkpoint: Checkpoint | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def state(self) -> Mapping[str, NDArray[Any]]:
        """All that the next epoch depends on, made when it is asked for: see the attributes."""
        if self._checkpoint is None:
            raise RuntimeError("info.state is known only in the fit that made this object")
        return self._checkpoint.state()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_checkpoint": None}


@dataclass(frozen=True, eq=False)
class History:
    """What there is to know of each epoch: entry e - 1 is epoch e.

    Attributes
    ----------
    cost : ndarray of float64, shape (epochs,)
        ``FitResult.cost_history``, the same array.
    validation_cost : ndarray of float64, shape (epochs,)
        C of the validation's instances after the epoch; NaN without validation.
    learning_rate : ndarray of float64, shape (epochs,)
        That of the epoch's steps; NaN for solvers that have none.
    gradient_norm : ndarray of float64, shape (epochs,)
        Euclidean norm of the last gradient evaluated by the end of the epoch, before clipping. Full
        batch: after the epoch's step. But before it in the last epoch of `max_epochs`, where
        gradient descent, Adam, Rprop and Quickprop evaluate the cost alone; and always for
        Levenberg-Marquardt, which evaluates the next one only when it is needed. Mini-batches: of
        the last batch, before its step.
    seconds : ndarray of float64, shape (epochs,)
        Time spent on the epoch, without callbacks; on the first also what came before it. The
        smallest networks do many epochs between two looks at the clock, which then share the time
        equally.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network([1, 1], activation="identity", seed=0)
    >>> solver = dl.GradientDescent(dl.schedules.Exponential(0.25, gamma=0.5))
    >>> result = net.fit([[1.0]], [2.0], solver=solver, max_epochs=3)
    >>> result.history.learning_rate
    array([0.25  , 0.125 , 0.0625])
    """

    cost: NDArray[np.float64] = field(repr=False)
    validation_cost: NDArray[np.float64] = field(repr=False)
    learning_rate: NDArray[np.float64] = field(repr=False)
    gradient_norm: NDArray[np.float64] = field(repr=False)
    seconds: NDArray[np.float64] = field(repr=False)

    def __repr__(self) -> str:
        return f"History({self.cost.size} epochs)"


@dataclass(frozen=True)
class Stage:
    """What one solver did in a fit: of several, one after the other, or of the only one.

    Attributes
    ----------
    solver : Solver
    epochs : int
        Completed passes over the data in this stage. A stage that is resumed counts those of this
        call alone.
    stop_reason : str
        As in `FitResult`: why the stage ended.
    cost : float
        C of the parameters that it left, over all instances.
    seconds : float
        Time that it took.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network([1, 1], activation="identity", seed=0)
    >>> solvers = [dl.Adam(0.1), dl.LevenbergMarquardt()]
    >>> result = net.fit([[1.0], [2.0]], [2.0, 3.0], solver=solvers, max_epochs=[20, 100])
    >>> [(type(stage.solver).__name__, stage.epochs <= 20) for stage in result.stages]
    [('Adam', True), ('LevenbergMarquardt', True)]
    """

    solver: Solver
    epochs: int
    stop_reason: str
    cost: float
    seconds: float


@dataclass(frozen=True, eq=False)
class FitResult:
    """What ``Network.fit`` did.

    Attributes
    ----------
    cost : float
        C of the final parameters over all instances, with the weights and the penalty of the fit
        and no unit dropped; the same bits as ``network.cost`` of the same arguments.
    loss : str, Huber or Quantile
        The network's, which C sums.
    initial_cost : float
        C before the first step of this call; NaN with mini-batches, where it is not computed. With
        dropout, as the history, of the units that were not dropped.
    epochs : int
        Completed passes over the data in this call.
    n_instances, n_validation : int
        Instances that the network has learned from, and those of the validation.
    converged : bool
        Whether ``stop_reason`` is ``"converged"`` or ``"goal"``, and nothing speaks against it.
    stop_reason : str
        ``"converged"`` (two successive costs differ by less than ``tol``), ``"goal"``,
        ``"max_epochs"``, ``"max_time"``, ``"callback"``, ``"patience"``, ``"diverged"``,
        ``"interrupted"`` (by Ctrl-C: `KeyboardInterrupt` then has the attribute ``result``), or a
        solver's own, such as ``"min_gradient"``, which its documentation names.
    cost_history : ndarray of float64, shape (epochs,)
        Full batch: entry e - 1 is C after epoch e. Mini-batches: the sum of the batches' costs in
        epoch e, each before its step.
    history : History
        The same and more for each epoch: validation costs, learning rates, norms of gradients,
        seconds.
    gradient_norm : float
        Euclidean norm of the last gradient that the fit evaluated, as the last entry of the
        history. For that of the final parameters ask ``network.gradient``. NaN after divergence.
    validation_cost : float
        C of the final parameters over the validation's instances; NaN without validation.
    best_epoch : int or None
        The first epoch with the lowest validation cost: with `patience` the final parameters are
        those after it. None if there is none.
    seconds : float
        Time that the call took.
    solver : Solver or tuple of Solver
        What trained: the solver, or those of all stages.
    stages : tuple of Stage
        What each solver did in this call.
    choice : str or None
        Where no solver was given: a sentence that says what was chosen and why.
    l2 : float
        Strength of the penalty that is part of the cost: as given, or as it was chosen.
    state : mapping of str to ndarray
        All that the next epoch depends on beside the data, as plain arrays, which ``Network.fit``
        takes as `resume`: ``parameters`` (P,); ``epochs``, the number of epochs in total; ``key``
        (2,) and ``position`` of the random stream; ``cost`` (2,), the last epoch's in
        `cost_history` as an unevaluated sum of two numbers; and what the solver's docstring names,
        such as the ``velocity`` (P,) of momentum. With a list of solvers also ``stage``, which of
        them it is, from 0, and ``stage_epochs``, its own. With validation also ``best``: the lowest
        cost, how many epochs in a row did not lower it, and its epoch, counted from the stage's
        start; with patience ``best_parameters`` (P,); with a fraction ``split``, the position of
        the stream before it was set aside; with a penalty that was chosen, ``l2``; where the
        network has a `Scaling`, its four arrays by their names, and ``scaling``, a number for its
        kind. After divergence there are only ``epochs``, ``key`` and ``position``, which is that of
        the last epoch's start. A single number is an array with one element: its ``.item()`` is a
        number that formats take, as in ``f"{result.state['damping'].item():.2g}"``.

    message : str
        Why the fit ended, in words. Where it did not end well, which is also a
        `ConvergenceWarning`: what is wrong, and what may help.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network([1, 1], activation="identity", seed=0)
    >>> result = net.fit([[1.0]], [2.0], solver=dl.GradientDescent(0.25), goal=1e-6)
    >>> result.stop_reason, result.converged, result.cost <= 1e-6
    ('goal', True, True)
    >>> result.message
    'The cost is at most goal=1e-06.'
    >>> len(result.cost_history) == result.epochs
    True
    """

    cost: float
    loss: Loss
    initial_cost: float
    epochs: int
    n_instances: int
    n_validation: int
    converged: bool
    stop_reason: str
    cost_history: NDArray[np.float64] = field(repr=False)
    history: History = field(repr=False)
    gradient_norm: float
    validation_cost: float
    best_epoch: int | None
    seconds: float
    solver: Solver | tuple[Solver, ...]
    stages: tuple[Stage, ...] = field(repr=False)
    state: Mapping[str, NDArray[Any]] = field(repr=False)
    message: str = field(default="", repr=False)
    choice: str | None = None
    l2: float = 0.0

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the cost after each epoch: ``deltaloop.plot.learning_curve`` of this result.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            What to draw on; by default a new figure of pyplot's.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            Without matplotlib: ``pip install 'deltaloop[plot]'``.
        TypeError
            If `ax` is something else.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([1, 1], activation="identity", seed=0)
        >>> result = net.fit([[1.0]], [2.0], solver=dl.GradientDescent(0.25), goal=1e-6)
        >>> ax = result.plot()
        >>> ax.figure.savefig("cost.png")  # doctest: +SKIP
        """
        # Pictures are drawn of results, which are made without them.
        from deltaloop.plot import learning_curve

        return learning_curve(self, ax)

    def _repr_html_(self) -> str:
        # Notebooks alone ask for it.
        from deltaloop import _html

        return _html.result(self)

    if not TYPE_CHECKING:  # which would take any name for a field

        def __getattr__(self, name: str) -> Any:
            """Make a field of `LATER` when it is first read: few of a short fit's ever are."""
            if name not in LATER or "_series" not in self.__dict__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return self.__dict__.setdefault(name, LATER[name](self))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *LATER} - OWN)

    def __getstate__(self) -> dict[str, Any]:
        for name in LATER if self.__dict__.keys() >= OWN else ():
            getattr(self, name)
        return {name: value for name, value in self.__dict__.items() if name not in OWN}


# Why a fit ended, in the words of people who never trained a network; of solvers the reasons that
# say that the cost is as low as it gets.
STOPPED = {
    "converged": "the cost no longer fell",
    "min_gradient": "the cost no longer fell",
    "min_step": "the cost no longer fell",
    "line_search": "the cost no longer fell",
    "goal": "the cost reached its goal",
    "max_epochs": "all rounds were done",
    "max_time": "the time was over",
    "callback": "the callback asked for it",
    "diverged": "the cost became infinite",
    "interrupted": "it was interrupted",
}


def stopped(result: FitResult) -> str:
    """Return in plain words why a fit ended; a round is an epoch, one pass over the rows."""
    reason = result.stop_reason
    if reason == "patience" and result.best_epoch is not None:
        rounds = int(result.state["epochs"]) - result.best_epoch
        return f"no better for {rounds:,} round{'' if rounds == 1 else 's'}"
    text = STOPPED.get(reason) or result.message.partition(".")[0]
    return text[:1].lower() + text[1:]


# What `result_of` has put beside the fields of a result, and those that are made of it.
OWN = {"_series", "_state"}
LATER: dict[str, Callable[[FitResult], object]] = {
    "history": lambda result: History(*result.__dict__["_series"]),
    "cost_history": lambda result: result.history.cost,
    "state": lambda result: result.__dict__["_state"](),
}


def result_of(
    series: NDArray[np.float64],
    state: Callable[[], Mapping[str, NDArray[Any]]],
    fields: dict[str, Any],
) -> FitResult:
    """Return a result of these fields; those of `LATER` come from series (5, epochs) and state."""
    fields["_series"], fields["_state"] = series, state
    return made(FitResult, fields)


def made(kind: type[Made], fields: dict[str, Any]) -> Made:
    """Return a frozen object with these fields, which it keeps; ``__init__`` takes far longer."""
    instance = _new(kind)
    _set(instance, "__dict__", fields)
    return instance
