"""Training: one call of ``fit``, from the arguments to the result.

``fit`` checks its arguments into a `Course`. Then it holds the network, settles what depends on
that, and trains stage by stage (``stages.py``). Checks let plain values pass by their first lines,
and what few ask a result for is made when they do: a fit of a tiny network takes microseconds.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _scalars
from deltaloop import scaling as _scaling
from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import gaps as _gaps
from deltaloop._arguments import problem as _problem
from deltaloop._arguments import seeds as _seeds
from deltaloop._arguments import sparse as _sparse
from deltaloop._blocks import kinds as _kinds
from deltaloop._fit import checkpoint as _checkpoint
from deltaloop._fit import state as _state
from deltaloop._fit import streamed as _streamed
from deltaloop._fit import verdict as _verdict
from deltaloop._fit.arguments import (
    check_epochs,
    check_gaps,
    check_limits,
    check_parts,
    check_resumed,
    check_solvers,
    check_stage,
    check_stages,
    check_tolerance,
    check_validation,
    plain_validation,
    set_aside,
    weights_of_parts,
)
from deltaloop._fit.choice import Choice
from deltaloop._fit.frames import callers
from deltaloop._fit.progress import ProgressBar, Stages, progress_bar
from deltaloop._fit.stages import (
    FIRST_WORK,
    SLICE,
    Course,
    adapted,
    final_costs,
    train,
    train_stage,
)
from deltaloop.results import ConvergenceWarning, DivergenceWarning, FitResult, result_of
from deltaloop.solvers import Solver

if TYPE_CHECKING:
    from deltaloop._fit.autosave import Prior
    from deltaloop._fit.elsewhere import Elsewhere

__all__ = [
    "COPIED",
    "FINAL",
    "FIRST_WORK",
    "SLICE",
    "Course",
    "ProgressBar",
    "adapted",
    "callers",
    "check_parts",
    "divergence",
    "exclusive",
    "final_costs",
    "fit",
    "progress_bar",
    "scaled",
    "set_aside",
    "stream_of",
    "train",
    "train_stage",
]

# Bytes of instances and targets up to which parts that are set aside are copies, which some kernels
# read in place. Of more, rows are read where they lie.
COPIED = 2**23
# The reasons that end a fit; any other ends its stage, and the next one begins.
FINAL = ("goal", "callback", "max_time", "diverged")
# ``with exclusive(network):`` holds it for training; a second training at that time is an error.
exclusive = _core.Hold


def fit(
    network: _core.Core,
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
    scale: object,
    progress: object,
    n_threads: object,
    seed: object,
    check_finite: object,
    missing_targets: object = "raise",
    checkpoint: object = None,
    checkpoint_every: object = 60.0,
    quiet: bool = False,
    elsewhere: Elsewhere | None = None,
    clock: Callable[[], float] | None = None,
) -> FitResult:
    """Train a network; the arguments are those of ``Network.fit``. `quiet`: without warnings.

    With `elsewhere` the instances, targets, weights and validation are those of that object.
    Several processes that train the same network side by side have one `clock`, which they ask at
    the same moments.
    """
    course = Course(network)
    if clock is not None:
        course.clock = clock
    if quiet:
        course.warn = silence
    chained = not isinstance(solver, Solver) and isinstance(solver, list | tuple)
    solvers = () if solver is None else check_solvers(solver)
    course.chained, course.solvers = chained, solvers
    course.tolerance, course.goal = check_tolerance(tol, goal)
    show = progress is not False and (
        progress if isinstance(progress, Stages) else _scalars.flag("progress", progress)
    )
    course.threads = _scalars.threads(n_threads)
    checked = check_finite is True or _scalars.flag("check_finite", check_finite)
    skip = _gaps.check(missing_targets)
    if scale is not None:
        course.kind = _scaling.check_kind(scale)
    # From here to the batch: what may run code of the caller's. X becomes an array as the last one,
    # before the first array is checked.
    if callback is not None:
        course.callback = callback
    course.every = _scalars.integer("callback_every", callback_every, at_least=1)
    if max_time is not None:
        course.seconds = _scalars.real("max_time", max_time)
    problem = _problem.penalised(l1, l2)
    rates = _problem.dropout(network, dropout)
    if class_weight is not None:
        course.class_weight = class_weight = _problem.plain_classes(class_weight)
    if patience is not None:
        patience = _scalars.integer("patience", patience, at_least=1)
    if max_epochs is not None:
        course.most = check_epochs(max_epochs, len(solvers) or 1, chained)
    elif not solvers:
        course.own_epochs = True
    if seed is not None:
        _seeds.check_seed(seed)
        course.seed = seed
    named = resume is not None and isinstance(resume, str | os.PathLike)
    if named or checkpoint is not None or checkpoint_every != 60.0:
        from deltaloop._fit import autosave  # which few fits need

        resume = autosave.prepare(course, checkpoint, checkpoint_every, resume)
    if resume is not None:
        course.state = _state.check(resume)
    kind = None if type(X) is np.ndarray else _kinds.find(X, Y)
    if kind is not None and _streamed.takes(kind, course, validation):
        if course.state is not None:
            course.remembered = _state.chosen_l2(course.state)
        strength = problem.l2 or course.remembered or 0.0
        problem = _problem.Problem(None, problem.l1, strength, rates)
        with _streamed.opened(
            course,
            kind,
            X,
            Y,
            problem,
            sample_weight=sample_weight,
            class_weight=class_weight,
            validation=validation,
            patience=patience,
            skip=skip,
            check_finite=checked,
        ):
            return finish(course, show)
    if sample_weight is not None:
        course.sample_weight = sample_weight = _arrays.plain("sample_weight", sample_weight)
    if validation is not None:
        validation = plain_validation(validation)
    Y = _arrays.plain("Y", Y)
    if elsewhere is not None:
        take_elsewhere(course, elsewhere, patience)
    elif skip:
        batch = _gaps.batch(network, X, Y, skip=True, check_finite=checked)
        course.x, course.y, course.labels, course.missing = batch
        if course.missing:
            _gaps.some(course.y, "Y")
    else:
        course.x, course.y, course.labels = _arrays.batch(network, X, Y, check_finite=checked)
    if course.kind is not None and isinstance(course.x, _core.Csr):
        raise ValueError(
            f"scale={course.kind!r} takes 0 to other values, which would fill sparse X in; scale "
            "its columns by factors alone before, as sklearn.preprocessing.MaxAbsScaler does, or "
            "use X.toarray()"
        )
    if elsewhere is None and (validation is not None or patience is not None):
        watch = check_validation(network, validation, patience, course.n, checked, skip)
        if watch.given is not None and type(course.x) is not type(watch.given[0]):
            given = (_sparse.alike(watch.given[0], course.x), *watch.given[1:])
            watch = watch._replace(given=given)
        course.watch = watch
    if skip and not course.missing and course.watch.given is not None:
        course.missing = course.watch.given[1].ndim > 1 and _gaps.has(course.watch.given[1])
    if course.missing and class_weight is not None:
        raise ValueError(
            "class_weight needs all targets, got missing ones with missing_targets='skip'; give "
            "sample_weight"
        )
    weights = None if elsewhere is None else elsewhere.weights
    if sample_weight is not None or class_weight is not None:
        weights = _problem.of(network, course.y, course.labels, sample_weight, class_weight).weights
    if course.state is not None:
        course.remembered = _state.chosen_l2(course.state)
    if weights is not None or rates is not None or course.remembered:
        strength = problem.l2 or course.remembered or 0.0
        problem = _problem.Problem(weights, problem.l1, strength, rates)
    course.problem = problem._replace(targets=_core.GAPS) if course.missing else problem
    return finish(course, show)


def finish(course: Course, show: bool | Stages) -> FitResult:
    """Train, with all arguments checked."""
    with exclusive(course.network):
        settle(course, show)
        outcome = carry_out(course, show)
    return conclude(course, *outcome)


def take_elsewhere(course: Course, elsewhere: Elsewhere, patience: object) -> None:
    """Fill in what is known of instances that are elsewhere."""
    if not course.solvers:
        raise ValueError(
            "solver must be given where the instances are on several machines, such as "
            "solver=deltaloop.LBFGS(); it is chosen only by data in one place"
        )
    if course.kind is not None:
        raise ValueError(
            f"scale={course.kind!r} needs all instances in one place; set network.scaling before, "
            "by deltaloop.Scaling or a fit to some of them"
        )
    course.elsewhere, course.clock = elsewhere, elsewhere.elapsed
    course.x, course.y, course.labels, course.missing = elsewhere.sample
    course.watch = elsewhere.watch(patience)


def silence(*_: object, **__: object) -> None:
    """Say nothing, in the place of ``warnings.warn``, whose filters all threads share."""


def settle(course: Course, show: bool | Stages = False) -> None:
    """Fill in what depends on the network as it is now, and refuse what does not go together."""
    network, n = course.network, course.n - course.watch.held
    if course.prior is not None:
        course.prior.check(course)
    if not course.solvers:
        choose(course, show)
    solvers, chained = course.solvers, course.chained
    most = course.most or check_epochs(None, len(solvers), chained)
    limits = check_limits(most, course.seconds, course.callback, course.every)
    course.limits = limits
    if course.state is not None:
        split, whole = course.watch.held > 0, course.prior is not None
        course.resumed = check_resumed(
            network, course.state, course.seed, limits, chained, split, course.kind, whole
        )
    if course.prior is not None and course.resumed is not None:
        course.prior.go_on(course, course.resumed)
    if chained:
        check_stages(network, solvers, n, course.problem)
    else:
        check_stage(network, solvers[0], n, course.problem)


def choose(course: Course, show: bool | Stages) -> None:
    """Choose the solver, its epochs and the penalty, where none is given."""
    from deltaloop._fit.trials import Trials

    network, x, problem, held = course.network, course.x, course.problem, course.watch.held
    check_limits((1,), course.seconds, course.callback, course.every)
    given = course.most[0] if course.most else None
    if course.streamed is not None:
        take(course, _streamed.chosen(course, given))
        return
    trials = Trials(
        fit, network, x, course.y, problem, given, course.kind, course.threads, course.seconds
    )
    trials.show = show
    source = stream_of(network, course.seed, None)[0]
    learned = None if held == 0 else set_aside(len(x), held, source, source.position)[1]
    patience = course.watch.patience
    choice = trials.choose(learned, course.state, course.remembered, course.goal, patience, source)
    if course.prior is not None and course.prior.run.choice is not None:
        choice = choice._replace(why=course.prior.run.choice)
    take(course, choice)


def take(course: Course, choice: Choice) -> None:
    """Do what was chosen."""
    course.choice, course.solvers = choice, (choice.solver,)
    course.most = check_epochs(choice.max_epochs, 1, False)
    course.remembered = choice.chosen
    course.problem = course.problem._replace(l2=choice.l2)


# How a fit has ended, before anybody is warned: its last stage, the report of that, all epochs
# (5, epochs), what the targets ask for, doubts from the start, the end, and what is wrong with it.
Outcome: TypeAlias = tuple[
    int, _core.Report, NDArray[np.float64], _verdict.Ask, list[str], _verdict.End, str
]


def carry_out(course: Course, show: bool | Stages) -> Outcome:
    """Train while the network is held, with a bar if it is to be shown."""
    resumed = course.resumed
    if resumed is not None:
        course.epoch = resumed.epochs
    if not show:
        return go(course)
    first, own = (0, 0) if resumed is None else (resumed.stage, resumed.stage_epochs)
    rest = sum(course.limits.max_epochs[first:]) - own
    with progress_bar(show, course.epoch + rest, course.epoch) as course.bar:
        return go(course)


def go(course: Course) -> Outcome:
    """Set rows aside and scale the network, where that is asked for, and train it."""
    resumed = course.resumed
    stream, course.own = stream_of(course.network, course.seed, resumed)
    if course.watch.held:
        split(course, stream)
    if course.kind is None and resumed is None:
        return train_stages(course, stream, 0)
    with scaled(course):
        return train_stages(course, stream, 0 if resumed is None else resumed.stage)


def split(course: Course, stream: _core.Stream) -> None:
    """Set a fraction of the instances aside."""
    watch, x, y, labels, resumed = course.watch, course.x, course.y, course.labels, course.resumed
    known = None if resumed is None else resumed.split
    course.split = stream.position if known is None else known
    held, rows = set_aside(x.shape[0], watch.held, stream, course.split)
    s, own_weights = weights_of_parts(course.sample_weight, held, rows)
    if course.missing:
        check_gaps(y, held, rows)
    if course.class_weight is not None:
        s = _problem.of(course.network, y[rows], labels, s, course.class_weight).weights
    course.problem = course.problem._replace(weights=s)
    if x.nbytes + y.nbytes > COPIED:
        watch = watch._replace(given=(x, y, labels, own_weights), rows=held)
        course.parts = rows
    else:
        watch = watch._replace(given=(x[held], y[held], labels, own_weights))
        course.x, course.y = x[rows], y[rows]
    course.watch = watch


def train_stages(course: Course, stream: _core.Stream, first: int) -> Outcome:
    """Train from the first stage on, and judge how the last one has ended."""
    network, solvers, problem = course.network, course.solvers, course.problem
    tolerance, goal, most = course.tolerance, course.goal, course.limits.max_epochs
    resumed, elsewhere = course.resumed, course.elsewhere
    stages, last = course.stages, len(solvers) - 1
    for i in range(first, last + 1):
        run = _core.Fit(
            network,
            course.x,
            course.y,
            labels=course.labels,
            solver=solvers[i],
            problem=problem,
            stream=stream,
            tol=tolerance,
            goal=goal,
            n_threads=course.threads
            if elsewhere is None
            else elsewhere.threads(solvers[i], course.threads),
            most=most[i],
            draws=course.own,
            rows=course.parts,
            elsewhere=elsewhere,
        )
        if course.streamed is not None:
            x, y, s = course.streamed.sample
            run.survey(x, y, course.labels, s)
        if i == first:
            asked = _verdict.ask(network, run)
            doubts = _verdict.at_start(network, asked, tolerance, goal)
            for text in doubts if resumed is None else ():
                course.warn(text, ConvergenceWarning, stacklevel=callers())
        report = train_stage(course, i, run, resumed if i == first else None)
        if i == last or stages[-1].stop_reason in FINAL:
            break
        stream = _core.Stream(report.key, report.position)
    parts = course.epochs
    if course.prior is not None:
        parts = [course.prior.history, *parts]
    epochs = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    norm = report.gradient_norm
    if course.prior is not None:
        norm = gradient_norm(course.prior, report, epochs)
    end = ending(course, epochs, norm)
    wrong = ""
    if end.reason != "diverged":
        searched = course.remembered is not None
        wrong = _verdict.trouble(network, run, asked, end, tolerance, goal, searched)
        seen = (course.x, course.y)
        if course.streamed is not None:
            seen = course.streamed.sample[:2]
        wrong = wrong or _verdict.unscaled(network, asked, end, *seen, course.parts)
    return i, report, epochs, asked, doubts, end, wrong


def conclude(
    course: Course,
    i: int,
    report: _core.Report,
    epochs: NDArray[np.float64],
    asked: _verdict.Ask,
    doubts: list[str],
    end: _verdict.End,
    wrong: str,
) -> FitResult:
    """Warn of what is wrong with the end of a fit, and return its result."""
    solvers, reason = course.solvers, end.reason
    if reason == "diverged":
        before = solvers[i].batch_size is None and not math.isfinite(report.initial_cost)
        message = divergence(course, before, solvers[i]._smaller)
        course.warn(message, DivergenceWarning, stacklevel=callers())
    else:
        patience = course.watch.patience
        message = _verdict.message(end, course.tolerance, course.goal, patience, not wrong)
        if wrong:
            message += f" But {wrong}."
            course.warn(message, ConvergenceWarning, stacklevel=callers())
        elif doubts and reason == "converged":
            wrong = doubts[0]
            message += f" But {wrong}."
    well = reason in ("converged", "goal") or _verdict.at_least(asked, end)
    return result_of(
        epochs,
        _checkpoint.later_state(course, i, report, course.epoch),
        {
            "cost": end.cost,
            "loss": course.network.loss,
            "initial_cost": course.initial_cost,
            "epochs": end.total,
            "n_instances": course.n,
            "n_validation": course.watch.n,
            "converged": well and not wrong,
            "stop_reason": reason,
            "gradient_norm": end.gradient_norm,
            "validation_cost": course.validation_cost,
            "best_epoch": course.best_epoch,
            "seconds": time.perf_counter() - course.began,
            "solver": solvers if course.chained else solvers[0],
            "stages": tuple(course.stages),
            "choice": None if course.choice is None else course.choice.why,
            "l2": course.problem.l2,
            "message": message,
        },
    )


def gradient_norm(prior: Prior, report: _core.Report, epochs: NDArray[np.float64]) -> float:
    """Return that at the end, which is the file's where the run that goes on had no more epochs."""
    nothing = prior.history.shape[1] == epochs.shape[1]
    return float(epochs[3, -1]) if nothing and epochs.shape[1] else report.gradient_norm


def ending(course: Course, epochs: NDArray[np.float64], gradient_norm: float) -> _verdict.End:
    """Return how the last stage has ended, after these epochs (5, epochs)."""
    stage, initial, total = course.stages[-1], course.initial_cost, epochs.shape[1]
    before = initial
    if total > 1:
        before = float(epochs[0, -2])
        if math.isnan(initial):
            initial = float(epochs[0, 0])
    # Those of a fit that is resumed, or drops units, are not comparable with the last one.
    if (course.resumed is not None and course.prior is None) or course.problem.dropout is not None:
        initial = math.nan
    solver, reason, done, cost = stage.solver, stage.stop_reason, stage.epochs, stage.cost
    parts = (solver, reason, done, total, initial, before, cost, gradient_norm, course.own_epochs)
    return tuple.__new__(_verdict.End, parts)


@contextmanager
def scaled(course: Course) -> Iterator[None]:
    """Give the network the scaling of a fit; the one before if the fit fails before its training.

    It is that of what is resumed, that of this kind which the instances have, or the network's own.
    """
    network, before = course.network, course.network._scaling
    scaling = before
    if course.resumed is not None:
        scaling = course.resumed.scaling
    elif course.kind is not None:
        seen: tuple[Any, Any] = (course.x, course.y)
        if course.streamed is not None:
            seen = course.streamed.parts()
        data = *seen, course.labels, course.problem.weights, course.parts
        scaling = _scaling.measure(course.kind, network, *data, missing=course.missing)
    if scaling is not before:
        _scaling.put(network, scaling)
    try:
        yield
    except BaseException:
        if scaling is not before and not course.trained:
            _scaling.put(network, before)
        raise


def stream_of(
    network: _core.Core, seed: object, resumed: _state.Resumed | None
) -> tuple[_core.Stream, bool]:
    """Return the stream that a fit draws from, and whether it is the network's own."""
    own = _seeds.stream(network.seed, network._position)
    if resumed is not None:
        return _core.Stream(resumed.key, resumed.position), resumed.key == own.key
    if seed is None:
        return own, True
    return _seeds.stream(_seeds.resolve_seed(seed)), False


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
