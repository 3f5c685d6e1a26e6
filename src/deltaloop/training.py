"""Training: one call of ``fit``, from the arguments to the result.

The epochs run in C (``csrc/fit.c``) in slices of about 50 ms. Between slices Python serves
signals, the progress bar, the clock and, at exact epochs, the callback.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deltaloop import _choice, _core, _inputs, _plot, _problem, _random, _state, _threads
from deltaloop.schedules import Schedule
from deltaloop.solvers import Solver

if TYPE_CHECKING:
    from deltaloop._problem import Problem
    from deltaloop.network import Network

# Seconds between two looks at signals, clock and progress bar.
SLICE = 0.05
# Multiply-adds of the first slice, which measures the machine: less than a millisecond.
FIRST_WORK = 1e6
# Epochs of a solver that was given without a number of them.
MAX_EPOCHS = 10_000
# The reasons that end a fit; any other ends its stage, and the next one begins.
FINAL = ("goal", "callback", "max_time", "diverged")


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
        The network in training. Read it; writing to its parameters here is not supported.
    validation_cost, learning_rate, gradient_norm : float
        The epoch's entries in ``FitResult.history``.

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
        Euclidean norm of the last gradient evaluated in the epoch, before clipping. Full batch:
        after the epoch's step, but before it for Levenberg-Marquardt, which evaluates the next one
        only when it is needed. Mini-batches: of the last batch, before its step.
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
    initial_cost : float
        C before the first step of this call; NaN with mini-batches, where it is not computed. With
        dropout, as the history, of the units that were not dropped.
    epochs : int
        Completed passes over the data in this call.
    n_instances, n_validation : int
        Instances that the network has learned from, and those of the validation.
    converged : bool
        Whether ``stop_reason`` is ``"converged"`` or ``"goal"``.
    stop_reason : str
        ``"converged"`` (two successive costs differ by less than ``tol``), ``"goal"``,
        ``"max_epochs"``, ``"max_time"``, ``"callback"``, ``"patience"``, ``"diverged"`` or a
        solver's own, such as ``"min_gradient"``, which its documentation names.
    cost_history : ndarray of float64, shape (epochs,)
        Full batch: entry e - 1 is C after epoch e. Mini-batches: the sum of the batches' costs in
        epoch e, each before its step.
    history : History
        The same and more for each epoch: validation costs, learning rates, norms of gradients,
        seconds.
    gradient_norm : float
        Euclidean norm of the last gradient evaluated: of the final parameters for a full batch,
        of the last mini-batch before its step otherwise. NaN after divergence.
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
    state : mapping of str to ndarray
        All that the next epoch depends on beside the data, as plain arrays, which ``Network.fit``
        takes as `resume`: ``parameters`` (P,); ``epochs``, the number of epochs in total; ``key``
        (2,) and ``position`` of the random stream; ``cost`` (2,), the last epoch's in
        `cost_history` as an unevaluated sum of two numbers; and what the solver's docstring names,
        such as the ``velocity`` (P,) of momentum. With a list of solvers also ``stage``, which of
        them it is, from 0, and ``stage_epochs``, its own. With validation also ``best``: the lowest
        cost, how many epochs in a row did not lower it, and its epoch, counted from the stage's
        start; with patience ``best_parameters`` (P,); with a fraction ``split``, the position of
        the stream before it was set aside. After divergence there are only ``epochs``, ``key`` and
        ``position``, which is that of the last epoch's start.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network([1, 1], activation="identity", seed=0)
    >>> result = net.fit([[1.0]], [2.0], solver=dl.GradientDescent(0.25), goal=1e-6)
    >>> result.stop_reason, result.converged, result.cost <= 1e-6
    ('goal', True, True)
    >>> len(result.cost_history) == result.epochs
    True
    """

    cost: float
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

    def plot(self, ax: Any = None) -> Any:
        """Draw the cost after each epoch, with the initial one at epoch 0 where it is known.

        With validation its cost too, and a point where it was lowest; both are then divided by the
        number of their instances. Dotted lines stand between the stages of several solvers.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            What to draw on; by default a new figure of pyplot's.

        Returns
        -------
        matplotlib.axes.Axes
            With a logarithmic axis of costs where these are positive and differ by a factor of 30.

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
        >>> ax = result.plot()  # doctest: +SKIP
        >>> ax.figure.savefig("cost.png")  # doctest: +SKIP
        """
        return _plot.plot(self, ax)


class ProgressBar(Protocol):
    """The part of tqdm that is used."""

    def update(self, n: int) -> Any:
        """Advance by n epochs."""

    def set_postfix_str(self, s: str, refresh: bool = ...) -> Any:
        """Show a text behind the bar."""


@contextmanager
def progress_bar(wanted: bool, total: int, done: int) -> Iterator[ProgressBar | None]:
    """Provide a tqdm bar on standard error, or None; tqdm itself is silent off a terminal."""
    if not wanted:
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install 'deltaloop[cli]'") from None
    with tqdm(total=total, initial=done, unit="epoch", disable=None, dynamic_ncols=True) as bar:
        yield bar


@contextmanager
def exclusive(network: Network) -> Iterator[None]:
    """Hold the network for training; a second training at the same time is an error."""
    if not network._lock.acquire(blocking=False):
        raise RuntimeError(_inputs.BUSY)
    try:
        yield
    finally:
        network._lock.release()


@dataclass(frozen=True)
class Limits:
    """When to stop, beside convergence, and whom to ask."""

    max_epochs: tuple[int, ...]  # of each stage
    max_time: float
    callback: Callable[[EpochInfo], object] | None
    callback_every: int


def check_solver(solver: object, name: str = "solver") -> Solver:
    """Return the solver if it is one."""
    if not isinstance(solver, Solver):
        hint = f"; create it: {solver.__name__}(...)" if isinstance(solver, type) else ""
        raise TypeError(
            f"{name} must be a solver object such as deltaloop.GradientDescent(learning_rate=0.1), "
            f"got {solver!r}{hint}"
        )
    return solver


def check_solvers(solver: object) -> tuple[Solver, ...]:
    """Return the solvers of all stages: of one, or of a list or tuple of them."""
    if not isinstance(solver, list | tuple):
        return (check_solver(solver),)
    if not solver:
        raise ValueError(f"solver must be a solver, or a list of at least one, got {solver!r}")
    return tuple(check_solver(stage, f"solver[{i}]") for i, stage in enumerate(solver))


def choose(network: Network, n: int, problem: Problem, max_epochs: object) -> tuple[Solver, int]:
    """Return the solver of a fit that was given none, and its epochs unless they were given."""
    most = None if max_epochs is None else check_epochs(max_epochs, 1, False)[0]
    dropout = problem.dropout is not None
    return _choice.choose(
        network, n, l1=problem.l1, l2=problem.l2, dropout=dropout, max_epochs=most
    )


def check_stage(network: Network, solver: Solver, n: int, problem: Problem) -> None:
    """Refuse a solver that cannot train this network on so many instances."""
    if solver.batch_size is not None and solver.batch_size > n:
        raise ValueError(
            f"batch_size must be at most the number of instances, {n}, got {solver.batch_size}"
        )
    _problem.check_solver(problem, solver)
    solver._check(network, n, problem)


def check_stages(
    network: Network, solvers: Sequence[Solver], n: int, problem: Problem, chained: bool
) -> None:
    """Refuse solvers that cannot train this network on so many instances, saying which one."""
    for i, solver in enumerate(solvers):
        try:
            check_stage(network, solver, n, problem)
        except ValueError as error:
            if not chained:
                raise
            raise ValueError(f"solver[{i}], {solver!r}: {error}") from None


def check_trainer(network: Network, solver: object) -> Solver:
    """Return the solver of a trainer, if it can be one for this network."""
    method = check_solver(solver)
    if not method._steps:
        raise ValueError(
            "solver must be one that improves the network step by step, such as "
            f"deltaloop.GradientDescent, for a trainer, got {method!r}"
        )
    if method.batch_size is not None:
        raise ValueError(
            "solver must have batch_size=None for a trainer, which takes a batch from each call, "
            f"got batch_size={method.batch_size}"
        )
    if isinstance(getattr(method, "learning_rate", None), Schedule):
        raise ValueError(
            "solver must have a number as its learning_rate for a trainer, which knows no epochs, "
            f"got {method!r}"
        )
    _inputs.differentiable(network)
    return method


def check_epochs(max_epochs: object, n_stages: int, chained: bool) -> tuple[int, ...]:
    """Return the most epochs of each stage: one number for all, or with several stages a list."""
    if not (chained and _inputs.is_list(max_epochs)):
        return (min(_inputs.integer("max_epochs", max_epochs, at_least=1), 2**63 - 1),) * n_stages
    if len(max_epochs) != n_stages:
        raise ValueError(
            f"max_epochs must be one number, or one for each of the {n_stages} solvers, "
            f"got {max_epochs!r}"
        )
    return tuple(
        min(_inputs.integer(f"max_epochs[{i}]", most, at_least=1), 2**63 - 1)
        for i, most in enumerate(max_epochs)
    )


def check_limits(
    max_epochs: tuple[int, ...], max_time: object, callback: object, callback_every: object
) -> Limits:
    """Return the limits of a fit, validated."""
    seconds = math.inf
    if max_time is not None:
        seconds = _inputs.real("max_time", max_time)
        if not seconds > 0:
            raise ValueError(f"max_time must be positive seconds or None, got {max_time!r}")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable or None, got {type(callback).__name__}")
    return Limits(
        max_epochs,
        seconds,
        callback,
        _inputs.integer("callback_every", callback_every, at_least=1),
    )


def check_tolerance(tol: object, goal: object) -> tuple[float, float]:
    """Return tol and goal; no goal is minus infinity."""
    tolerance = _inputs.real("tol", tol)
    if not tolerance >= 0:
        raise ValueError(f"tol must be a number of at least 0, got {tol!r}")
    target = -math.inf if goal is None else _inputs.real("goal", goal)
    if math.isnan(target):
        raise ValueError("goal must be a number or None, got nan")
    return tolerance, target


@dataclass(frozen=True)
class Validation:
    """What a fit is judged by: instances of its own, or as many of X as are set aside."""

    given: tuple[NDArray[Any], NDArray[Any], bool, NDArray[np.float64] | None] | None = None
    held: int = 0
    patience: int = 0


def check_validation(
    network: Network, validation: object, patience: object, n: int, check_finite: bool
) -> Validation:
    """Return the validation of a fit to n instances, and its patience (0: none), validated."""
    most = 0
    if patience is not None:
        most = min(_inputs.integer("patience", patience, at_least=1), 2**53)
        if validation is None:
            raise ValueError(f"patience needs validation, got patience={most} without it")
    if validation is None:
        return Validation()
    if isinstance(validation, tuple | list):
        if len(validation) not in (2, 3):
            raise ValueError(
                "validation must be a tuple (X, Y), (X, Y, sample_weight) or a fraction, got "
                f"{len(validation)} element{'s' if len(validation) != 1 else ''}"
            )
        xv, yv, labels = _inputs.batch(
            network,
            validation[0],
            validation[1],
            "validation[0]",
            "validation[1]",
            check_finite=check_finite,
        )
        sv = validation[2] if len(validation) == 3 else None
        weights = _problem.weights(sv, xv.shape[0], "validation[2]")
        return Validation((xv, yv, labels, weights), 0, most)
    try:
        fraction = _inputs.real("validation", validation)
    except TypeError:
        raise TypeError(
            "validation must be a tuple (X, Y) or (X, Y, sample_weight), a fraction in (0, 1) or "
            "None, "
            f"got {type(validation).__name__}"
        ) from None
    if not 0 < fraction < 1:
        raise ValueError(f"validation must be a fraction in (0, 1), got {validation!r}")
    held = round(fraction * n)
    if not 0 < held < n:
        raise ValueError(
            f"validation={validation!r} of {n} instance{'s' if n > 1 else ''} leaves "
            f"{held} for validation and {n - held} for training; there must be at least 1 of each"
        )
    return Validation(None, held, most)


def check_resumed(
    resume: object, seed: object, limits: Limits, chained: bool, split: bool
) -> _state.Resumed | None:
    """Return where a fit goes on, or None where it begins; its arrays are checked later."""
    if resume is None:
        return None
    if seed is not None:
        raise ValueError("seed and resume exclude each other: a state has its own random stream")
    n_stages = len(limits.max_epochs)
    where = _state.unpack(resume, n_stages if chained else None, split)
    most = limits.max_epochs[where.stage]
    if where.stage == n_stages - 1 and where.stage_epochs >= most:
        raise ValueError(
            f"max_epochs must be above the {where.stage_epochs} epochs that resume has completed, "
            f"which count, got {most}"
        )
    return where


def fit(
    network: Network,
    X: object,
    Y: object,
    *,
    solver: object,
    max_epochs: object,
    tol: object,
    goal: object,
    max_time: object,
    callback: object,
    callback_every: object,
    sample_weight: object,
    class_weight: object,
    l1: object,
    l2: object,
    dropout: object,
    validation: object,
    patience: object,
    resume: object,
    progress: object,
    n_threads: object,
    seed: object,
    check_finite: object,
) -> FitResult:
    """Train a network; the arguments are those of ``Network.fit``."""
    began = time.perf_counter()
    chained = isinstance(solver, list | tuple)
    solvers = () if solver is None else check_solvers(solver)
    tolerance, target = check_tolerance(tol, goal)
    show = _inputs.flag("progress", progress)
    threads = _threads.resolve(n_threads)
    checked = _inputs.flag("check_finite", check_finite)
    x, y, labels = _inputs.batch(network, X, Y, check_finite=checked)
    watch = check_validation(network, validation, patience, x.shape[0], checked)
    problem = _problem.of(network, y, labels, sample_weight, class_weight, l1, l2)
    problem = problem._replace(dropout=_problem.dropout(network, dropout))
    given = _problem.weights(sample_weight, x.shape[0])
    if not solvers:
        chosen, max_epochs = choose(network, x.shape[0] - watch.held, problem, max_epochs)
        solvers = (chosen,)
    most = check_epochs(MAX_EPOCHS if max_epochs is None else max_epochs, len(solvers), chained)
    limits = check_limits(most, max_time, callback, callback_every)
    resumed = check_resumed(resume, seed, limits, chained, watch.held > 0)
    check_stages(network, solvers, x.shape[0] - watch.held, problem, chained)
    first = resumed.stage if resumed else 0
    done = resumed.epochs if resumed else 0
    rest = sum(limits.max_epochs[first:]) - (resumed.stage_epochs if resumed else 0)
    with exclusive(network), progress_bar(show, done + rest, done) as bar:
        stream, own = stream_of(network, seed, resumed)
        split = None
        if watch.held:
            split = stream.position if resumed is None or resumed.split is None else resumed.split
            held, rows = set_aside(x.shape[0], watch.held, stream, split)
            s, own_weights = given, given
            if given is not None:
                check_parts(given, held, rows)
                s, own_weights = given[rows], given[held]
            watch = replace(watch, given=(x[held], y[held], labels, own_weights))
            x, y = x[rows], y[rows]
            weighted = _problem.of(network, y, labels, s, class_weight)
            problem = problem._replace(weights=weighted.weights)
        course = Course(network, solvers, limits, bar, began, own, done, watch)
        for i in range(first, len(solvers)):
            run = _core.Fit(
                network, x, y, labels, solvers[i], problem, stream, tolerance, target, threads
            )
            exact = solvers[i].batch_size is None and problem.dropout is None
            report = train_stage(course, i, run, resumed if i == first else None, exact)
            stream = _core.Stream(report["key"], report["position"])
            if course.stages[-1].stop_reason in FINAL:
                break
    reason, cost = course.stages[-1].stop_reason, course.stages[-1].cost
    if reason == "diverged":
        before = solvers[i].batch_size is None and not math.isfinite(report["initial_cost"])
        warnings.warn(
            divergence(course, before, solvers[i]._smaller), DivergenceWarning, stacklevel=3
        )
    history = History(*np.concatenate([np.empty((5, 0)), *course.epochs], axis=1))
    return FitResult(
        cost=cost,
        initial_cost=course.initial_cost,
        epochs=course.epoch - done,
        n_instances=x.shape[0],
        n_validation=0 if course.watch.given is None else course.watch.given[0].shape[0],
        converged=reason in ("converged", "goal"),
        stop_reason=reason,
        cost_history=history.cost,
        history=history,
        gradient_norm=report["gradient_norm"],
        validation_cost=course.validation_cost,
        best_epoch=course.best_epoch,
        seconds=time.perf_counter() - began,
        solver=solvers if chained else solvers[0],
        stages=tuple(course.stages),
        state=_state.pack(report, course.epoch, (i, report["epochs"]) if chained else None, split),
    )


def set_aside(
    n: int, held: int, stream: _core.Stream, split: int
) -> tuple[NDArray[np.uintp], NDArray[np.uintp]]:
    """Return the rows for validation, the last of a permutation, and those to train on.

    The permutation's words are those of the stream from `split` on; a fit that is resumed has drawn
    them already.
    """
    source = stream if stream.position == split else _core.Stream(stream.key, split)
    order = source.permutation(n)
    return order[n - held :], order[: n - held]


def check_parts(
    weights: NDArray[np.float64], held: NDArray[np.uintp], rows: NDArray[np.uintp]
) -> None:
    """Refuse weights that are 0 for all instances set aside, or for all others."""
    for part, purpose in ((held, "validation"), (rows, "training")):
        if not weights[part].any():
            raise ValueError(
                f"sample_weight is 0 for all {len(part)} instances that validation leaves for "
                f"{purpose}"
            )


def stream_of(
    network: Network, seed: object, resumed: _state.Resumed | None
) -> tuple[_core.Stream, bool]:
    """Return the stream that a fit draws from, and whether it is the network's own."""
    own = _random.stream(network.seed, network._position)
    if resumed is not None:
        return _core.Stream(resumed.key, resumed.position), resumed.key == own.key
    if seed is None:
        return own, True
    return _random.stream(_random.resolve_seed(seed)), False


def divergence(course: Course, before: bool, smaller: str) -> str:
    """Say what diverged: in the epoch after the last one, or before the first step.

    `smaller` is what may help.
    """
    if before:
        return (
            "the cost or the parameters are infinite or NaN before the first step, which was not "
            "taken; scale the data or the parameters down"
        )
    best = course.best_epoch if course.watch.patience else None
    restored = "from the start of that epoch" if best is None else f"of the best epoch, {best},"
    return (
        f"training diverged in epoch {course.epoch + 1}: the cost or the parameters became "
        f"infinite or NaN; the parameters {restored} were restored. Try a smaller {smaller}"
    )


def adapted(work: float, seconds: float) -> float:
    """Return the work of the next slice, after one that took so many seconds."""
    return work * min(max(SLICE / max(seconds, 1e-9), 0.1), 10.0)


def final_costs(run: _core.Fit) -> tuple[float, float]:
    """Evaluate C and its validation at the end, in slices, so that signals are served."""
    work = FIRST_WORK
    while True:
        before = time.perf_counter()
        costs = run.finish(work)
        if costs is not None:
            return costs
        work = adapted(work, time.perf_counter() - before)


@dataclass
class Course:
    """A fit under way: what its stages share, and what they have done.

    With `own` it draws from the network's stream, whose position a callback may save.
    """

    network: Network
    solvers: tuple[Solver, ...]
    limits: Limits
    bar: ProgressBar | None
    began: float
    own: bool
    epoch: int  # complete ones in total
    watch: Validation
    initial_cost: float = math.nan
    validation_cost: float = math.nan  # of the last stage
    best: float = math.inf  # the lowest validation cost, and its epoch
    best_epoch: int | None = None
    epochs: list[NDArray[np.float64]] = field(default_factory=list)  # from _core.Fit.run
    stages: list[Stage] = field(default_factory=list)
    asked: bool = False  # a callback has asked for the end

    def over(self) -> str:
        """Why the next stage has nothing to do."""
        if self.asked:
            return "callback"
        late = time.perf_counter() - self.began >= self.limits.max_time
        return "max_time" if self.stages and late else ""


def train_stage(
    course: Course, i: int, run: _core.Fit, resumed: _state.Resumed | None, exact: bool
) -> dict[str, Any]:
    """Run stage i, from a state if it is resumed; what C reports at its end.

    `exact` says whether the costs of its epochs are C of all instances and of the whole network.
    """
    began, solver, most = time.perf_counter(), course.solvers[i], course.limits.max_epochs[i]
    before, done = course.epoch, resumed.stage_epochs if resumed else 0
    start = before - done
    if course.watch.given is not None:
        when = 0 if course.best_epoch is None else course.best_epoch - start
        run.validate(*course.watch.given, course.watch.patience, course.best, when)
    if resumed is not None:
        run.resume(resumed.arrays, done)
    # Nothing is left to do where the fit is over, or the state is that of the stage's last epoch.
    reason = course.over() or ("max_epochs" if done >= most else "")
    trains = not reason
    try:
        if trains:
            reason = train(course, solver, run, start, start + most)
    finally:
        if course.own:
            course.network._position = run.position
    report = run.report()
    cost, course.validation_cost = report["cost"], report["validation"]
    watched = course.watch.given is not None
    if not (trains and exact) or course.watch.patience or (watched and course.epoch == before):
        cost, course.validation_cost = final_costs(run)
    if watched and report["best"] < math.inf:
        course.best, course.best_epoch = report["best"], start + int(report["best_epoch"])
    if not course.stages:
        known_before = trains or solver.batch_size is not None
        course.initial_cost = report["initial_cost"] if known_before else cost
    course.stages.append(
        Stage(
            solver,
            course.epoch - before,
            report["reason"] if reason == "own" else reason,
            cost,
            time.perf_counter() - began,
        )
    )
    return report


def train(course: Course, solver: Solver, run: _core.Fit, start: int, last: int) -> str:
    """Run slices of a stage until a rule stops; the reason.

    Epochs are numbered through all stages: `start` were complete before the stage's first one, and
    `last` is the last that it may have.
    """
    limits, work = course.limits, FIRST_WORK
    every = limits.callback_every if limits.callback else last
    due = (course.epoch // every + 1) * every
    until = min(due, last)
    while True:
        before = time.perf_counter()
        event, part = run.run(until - start, work)
        now = time.perf_counter()
        done = part.shape[1]
        if done:
            course.epochs.append(part)
            course.epoch += done
            if course.bar is not None:
                seen = f"cost {part[0, -1]:.6g}"
                if not math.isnan(part[1, -1]):
                    seen += f", validation {part[1, -1]:.6g}"
                course.bar.set_postfix_str(seen, refresh=False)
                course.bar.update(done)
        if event == "paused":
            work = adapted(work, now - before)
        stop = "" if event in ("paused", "epoch") else event
        if done and limits.callback and course.epoch == due and stop != "diverged":
            due += every
            if course.own:
                course.network._position = run.position
            cost, *others, _ = part[:, -1].tolist()
            answer = limits.callback(
                EpochInfo(course.epoch, cost, now - course.began, course.network, *others)
            )
            course.asked = isinstance(answer, bool | np.bool_) and bool(answer)
            if not stop and course.asked:
                stop = "callback"
        if not stop and event == "epoch" and course.epoch >= last:
            stop = "max_epochs"
        late = now - course.began >= limits.max_time
        if not stop and late and (event == "epoch" or (solver._anytime and run.settled)):
            stop = "max_time"
        if stop:
            return stop
        # The clock stops at the end of the epoch that is under way, unless its solver can at once.
        until = course.epoch + 1 if late else min(due, last)
        until = max(until, course.epoch + 1)
