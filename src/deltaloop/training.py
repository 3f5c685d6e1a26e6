"""Training: one call of ``fit``, from the arguments to the result.

The epochs run in C (``csrc/fit.c``) in slices of about 50 ms. Between slices Python serves
signals, the progress bar, the clock and, at exact epochs, the callback.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _inputs, _plot, _problem, _random, _threads
from deltaloop.schedules import Schedule
from deltaloop.solvers import Solver

if TYPE_CHECKING:
    from deltaloop.network import Network

# Seconds between two looks at signals, clock and progress bar.
SLICE = 0.05
# Multiply-adds of the first slice, which measures the machine: less than a millisecond.
FIRST_WORK = 1e6


class DivergenceWarning(RuntimeWarning):
    """The cost or the parameters became infinite or NaN during training.

    The network then holds the parameters from the start of the last epoch.

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
        Number of the epoch just completed, from 1.
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


@dataclass(frozen=True, eq=False)
class FitResult:
    """What ``Network.fit`` did.

    Attributes
    ----------
    cost : float
        C of the final parameters over all instances, with the weights and the penalty of the fit
        and no unit dropped; the same bits as ``network.cost`` of the same arguments.
    initial_cost : float
        C before the first step; NaN with mini-batches, where it is not computed. With dropout, as
        the history, of the units that were not dropped.
    epochs : int
        Completed passes over the data.
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
    state : mapping of str to ndarray
        What the solver remembers, as plain arrays: ``epochs``, ``key`` and ``position`` of the
        random stream and what its docstring says, such as the ``velocity`` (P,) of momentum. With
        validation also ``best``: the lowest cost, how many epochs in a row did not lower it, and
        its epoch; with patience ``best_parameters`` (P,). After divergence the position is that of
        the last epoch's start, and there is nothing else.

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
    converged: bool
    stop_reason: str
    cost_history: NDArray[np.float64] = field(repr=False)
    history: History = field(repr=False)
    gradient_norm: float
    validation_cost: float
    best_epoch: int | None
    seconds: float
    state: Mapping[str, NDArray[Any]] = field(repr=False)

    def plot(self, ax: Any = None) -> Any:
        """Draw the cost after each epoch, with the initial one at epoch 0 where it is known.

        With validation also its cost, and a point where it was lowest.

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
def progress_bar(wanted: bool, total: int) -> Iterator[ProgressBar | None]:
    """Provide a tqdm bar on standard error, or None; tqdm itself is silent off a terminal."""
    if not wanted:
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install 'deltaloop[cli]'") from None
    with tqdm(total=total, unit="epoch", disable=None, dynamic_ncols=True) as bar:
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

    max_epochs: int
    max_time: float
    callback: Callable[[EpochInfo], object] | None
    callback_every: int


def check_solver(solver: object) -> Solver:
    """Return the solver if it is one."""
    if not isinstance(solver, Solver):
        hint = f"; create it: {solver.__name__}(...)" if isinstance(solver, type) else ""
        raise TypeError(
            "solver must be a solver object such as deltaloop.GradientDescent(learning_rate=0.1), "
            f"got {solver!r}{hint}"
        )
    return solver


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


def check_limits(
    max_epochs: object, max_time: object, callback: object, callback_every: object
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
        min(_inputs.integer("max_epochs", max_epochs, at_least=1), 2**63 - 1),
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

    given: tuple[NDArray[Any], NDArray[Any], bool, NDArray[np.float64] | None] | None
    held: int
    patience: int


def check_validation(
    network: Network, validation: object, patience: object, n: int, check_finite: bool
) -> Validation | None:
    """Return the validation of a fit to n instances, and its patience (0: none), validated."""
    most = 0
    if patience is not None:
        most = min(_inputs.integer("patience", patience, at_least=1), 2**53)
        if validation is None:
            raise ValueError(f"patience needs validation, got patience={most} without it")
    if validation is None:
        return None
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
    progress: object,
    n_threads: object,
    seed: object,
    check_finite: object,
) -> FitResult:
    """Train a network; the arguments are those of ``Network.fit``."""
    began = time.perf_counter()
    method = check_solver(solver)
    limits = check_limits(max_epochs, max_time, callback, callback_every)
    tolerance, target = check_tolerance(tol, goal)
    show = _inputs.flag("progress", progress)
    threads = _threads.resolve(n_threads)
    checked = _inputs.flag("check_finite", check_finite)
    x, y, labels = _inputs.batch(network, X, Y, check_finite=checked)
    watch = check_validation(network, validation, patience, x.shape[0], checked)
    n = x.shape[0] - (watch.held if watch else 0)
    if method.batch_size is not None and method.batch_size > n:
        raise ValueError(
            f"batch_size must be at most the number of instances, {n}, got {method.batch_size}"
        )
    problem = _problem.of(network, y, labels, sample_weight, class_weight, l1, l2)
    problem = problem._replace(dropout=_problem.dropout(network, dropout))
    _problem.check_solver(problem, method)
    method._check(network, n, problem)
    with exclusive(network), progress_bar(show, limits.max_epochs) as bar:
        own = seed is None
        stream = (
            _random.stream(network.seed, network._position)
            if own
            else _random.stream(_random.resolve_seed(seed))
        )
        others = watch.given if watch else None
        if watch and not others:
            order = stream.permutation(x.shape[0])
            s = problem.weights
            others = x[order[n:]], y[order[n:]], labels, None if s is None else s[order[n:]]
            x, y = x[order[:n]], y[order[:n]]
            problem = problem._replace(weights=None if s is None else s[order[:n]])
        run = _core.Fit(network, x, y, labels, method, problem, stream, tolerance, target, threads)
        if watch and others:
            run.validate(*others, watch.patience)
        try:
            reason, epochs = train(network, run, limits, bar, began, own)
        finally:
            if own:
                network._position = run.position
        report = run.report()
        if reason == "own":
            reason = report["reason"]
        cost, validation_cost = report["cost"], report["validation"]
        exact = method.batch_size is None and problem.dropout is None
        if not exact or (watch and (watch.patience or not report["epochs"])):
            cost, validation_cost = final_costs(run)
    if reason == "diverged":
        before = method.batch_size is None and not math.isfinite(report["initial_cost"])
        warnings.warn(
            divergence(report["epochs"], before, method._smaller), DivergenceWarning, stacklevel=3
        )
    state = {
        "epochs": np.array(report["epochs"]),
        "key": np.array(report["key"], dtype=np.uint64),
        "position": np.array(report["position"], dtype=np.uint64),
    }
    state.update(report["arrays"])
    history = History(*(np.concatenate(epochs, axis=1) if epochs else np.empty((5, 0))))
    return FitResult(
        cost=cost,
        initial_cost=report["initial_cost"],
        epochs=report["epochs"],
        converged=reason in ("converged", "goal"),
        stop_reason=reason,
        cost_history=history.cost,
        history=history,
        gradient_norm=report["gradient_norm"],
        validation_cost=validation_cost,
        best_epoch=report["best_epoch"],
        seconds=time.perf_counter() - began,
        state=state,
    )


def divergence(epochs: int, before: bool, smaller: str) -> str:
    """Say what diverged: in the epoch after so many, or before the first step.

    `smaller` is what may help.
    """
    if before:
        return (
            "the cost or the parameters are infinite or NaN before the first step, which was not "
            "taken; scale the data or the parameters down"
        )
    return (
        f"training diverged in epoch {epochs + 1}: the cost or the parameters became infinite or "
        "NaN; the parameters from the start of that epoch were restored. Try a smaller "
        f"{smaller}"
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


def train(
    network: Network,
    run: _core.Fit,
    limits: Limits,
    bar: ProgressBar | None,
    began: float,
    own: bool,
) -> tuple[str, list[NDArray[np.float64]]]:
    """Run slices until a rule stops; the reason, and what `_core.Fit.run` says of the epochs.

    With `own` the run draws from the network's stream, whose position a callback may save.
    """
    epoch, work = 0, FIRST_WORK
    epochs: list[NDArray[np.float64]] = []
    due = limits.callback_every if limits.callback else limits.max_epochs
    until = min(due, limits.max_epochs)
    while True:
        before = time.perf_counter()
        event, part = run.run(until, work)
        now = time.perf_counter()
        done = part.shape[1]
        if done:
            epochs.append(part)
            epoch += done
            if bar is not None:
                seen = f"cost {part[0, -1]:.6g}"
                if not math.isnan(part[1, -1]):
                    seen += f", validation {part[1, -1]:.6g}"
                bar.set_postfix_str(seen, refresh=False)
                bar.update(done)
        if event == "paused":
            work = adapted(work, now - before)
        stop = "" if event in ("paused", "epoch") else event
        if done and limits.callback is not None and epoch == due and stop != "diverged":
            due += limits.callback_every
            if own:
                network._position = run.position
            cost, *others, _ = part[:, -1].tolist()
            info = EpochInfo(epoch, cost, now - began, network, *others)
            answer = limits.callback(info)
            if isinstance(answer, bool | np.bool_) and answer and not stop:
                stop = "callback"
        if not stop and event == "epoch" and epoch >= limits.max_epochs:
            stop = "max_epochs"
        late = now - began >= limits.max_time
        if not stop and event == "epoch" and late:
            stop = "max_time"
        if stop:
            return stop, epochs
        # The clock stops at the end of the epoch that is under way.
        until = epoch + 1 if late else min(due, limits.max_epochs)
        until = max(until, epoch + 1)
