"""Training: one call of ``fit``, from the arguments to the result.

The epochs run in C (``csrc/training/fit.c``) in slices of about 50 ms. Between slices Python serves
signals, the progress bar, the clock and, at exact epochs, the callback.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _scalars
from deltaloop import scaling as _scaling
from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import problem as _problem
from deltaloop._arguments import seeds as _seeds
from deltaloop._arguments import sparse as _sparse
from deltaloop._fit import checkpoint as _checkpoint
from deltaloop._fit import state as _state
from deltaloop._fit import trials as _trials
from deltaloop._fit import verdict as _verdict
from deltaloop._fit.arguments import (
    Limits,
    Validation,
    check_epochs,
    check_limits,
    check_resumed,
    check_solvers,
    check_stages,
    check_tolerance,
    check_validation,
    plain_validation,
    set_aside,
    weights_of_parts,
)
from deltaloop._fit.choice import Choice
from deltaloop._fit.progress import ProgressBar, progress_bar
from deltaloop.results import (
    ConvergenceWarning,
    DivergenceWarning,
    EpochInfo,
    FitResult,
    History,
    Stage,
)
from deltaloop.solvers import Solver

# Seconds between two looks at signals, clock and progress bar.
SLICE = 0.05
# Multiply-adds of the first slice, which measures the machine: less than a millisecond.
FIRST_WORK = 1e6
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
    quiet: bool = False,
) -> FitResult:
    """Train a network; the arguments are those of ``Network.fit``. `quiet`: without warnings."""
    warn = _trials.silence if quiet else warnings.warn
    began = time.perf_counter()
    chained = isinstance(solver, list | tuple)
    solvers = () if solver is None else check_solvers(solver)
    tolerance, target = check_tolerance(tol, goal)
    show = _scalars.flag("progress", progress)
    threads = _scalars.threads(n_threads)
    checked = _scalars.flag("check_finite", check_finite)
    kind = _scaling.check_kind(scale)
    # From here to the batch: what may run code of the caller's. X becomes an array as the last one,
    # before the first array is checked.
    every = _scalars.integer("callback_every", callback_every, at_least=1)
    seconds = None if max_time is None else _scalars.real("max_time", max_time)
    penalties = _problem.penalised(l1, l2)
    rates = _problem.dropout(network, dropout)
    class_weight = _problem.plain_classes(class_weight)
    if patience is not None:
        patience = _scalars.integer("patience", patience, at_least=1)
    if max_epochs is not None:
        most = check_epochs(max_epochs, max(len(solvers), 1), chained)
        max_epochs = list(most) if chained else most[0]
    _seeds.check_seed(seed)
    state = None if resume is None else _state.check(resume)
    sample_weight = _arrays.plain("sample_weight", sample_weight)
    validation = plain_validation(validation)
    Y = _arrays.plain("Y", Y)
    x, y, labels = _arrays.batch(network, X, Y, check_finite=checked)
    if kind is not None and isinstance(x, _core.Csr):
        raise ValueError(
            f"scale={kind!r} takes 0 to other values, which would fill sparse X in; scale its "
            "columns by factors alone before, as sklearn.preprocessing.MaxAbsScaler does, or use "
            "X.toarray()"
        )
    watch = check_validation(network, validation, patience, x.shape[0], checked)
    if watch.given is not None:
        watch = watch._replace(given=(_sparse.alike(watch.given[0], x), *watch.given[1:]))
    problem = _problem.of(network, y, labels, sample_weight, class_weight)
    problem = penalties._replace(weights=problem.weights, dropout=rates)
    remembered = None if state is None else _state.chosen_l2(state)
    problem = problem._replace(l2=problem.l2 or remembered or 0.0)
    choice, own_epochs = None, max_epochs is None and not solvers
    with exclusive(network):
        if not solvers:
            check_limits((1,), seconds, callback, every)
            given = None if max_epochs is None else check_epochs(max_epochs, 1, False)[0]
            trials = _trials.Trials(fit, network, x, y, problem, given, kind, threads, seconds)
            source, whole = stream_of(network, seed, None)[0], watch.held == 0
            learned = None if whole else set_aside(len(x), watch.held, source, source.position)[1]
            choice = trials.choose(learned, state, remembered, target, watch.patience, source)
            solvers, max_epochs, remembered = (choice.solver,), choice.max_epochs, choice.chosen
            problem = problem._replace(l2=choice.l2)
        most = check_epochs(max_epochs, len(solvers), chained)
        limits = check_limits(most, seconds, callback, every)
        resumed = check_resumed(network, state, seed, limits, chained, watch.held > 0, kind)
        check_stages(network, solvers, x.shape[0] - watch.held, problem, chained)
        first = resumed.stage if resumed else 0
        done = resumed.epochs if resumed else 0
        rest = sum(limits.max_epochs[first:]) - (resumed.stage_epochs if resumed else 0)
        with progress_bar(show, done + rest, done) as bar:
            stream, own = stream_of(network, seed, resumed)
            split = parts = None
            if watch.held:
                known = None if resumed is None else resumed.split
                split = stream.position if known is None else known
                held, rows = set_aside(x.shape[0], watch.held, stream, split)
                s, own_weights = weights_of_parts(sample_weight, held, rows)
                if class_weight is not None:
                    s = _problem.of(network, y[rows], labels, s, class_weight).weights
                problem = problem._replace(weights=s)
                if x.nbytes + y.nbytes > COPIED:
                    watch = watch._replace(given=(x, y, labels, own_weights), rows=held)
                    parts = rows
                else:
                    watch = watch._replace(given=(x[held], y[held], labels, own_weights))
                    x, y = x[rows], y[rows]
            course = Course(network, solvers, limits, bar, began, own, done, watch)
            course.n, course.chained = x.shape[0] if parts is None else len(parts), chained
            course.split = split
            course.drops = problem.dropout is not None
            course.choice, course.l2 = choice, problem.l2
            course.chosen = None if remembered is None else problem.l2
            with scaled(course, kind, (x, y, labels), (problem.weights, parts), resumed):
                for i in range(first, len(solvers)):
                    run = _core.Fit(
                        network,
                        x,
                        y,
                        labels=labels,
                        solver=solvers[i],
                        problem=problem,
                        stream=stream,
                        tol=tolerance,
                        goal=target,
                        n_threads=threads,
                        most=limits.max_epochs[i],
                        draws=own,
                        rows=parts,
                    )
                    if i == first:
                        asked = _verdict.ask(network, run)
                        doubts = _verdict.at_start(network, asked, tolerance, target)
                        for text in doubts if resumed is None else ():
                            warn(text, ConvergenceWarning, stacklevel=callers())
                    exact = solvers[i].batch_size is None and problem.dropout is None
                    report = train_stage(course, i, run, resumed if i == first else None, exact)
                    stream = _core.Stream(report["key"], report["position"])
                    if course.stages[-1].stop_reason in FINAL:
                        break
                several = len(course.epochs) > 1
                epochs = np.concatenate(course.epochs, axis=1) if several else course.epochs[0]
                history = History(*epochs)
                changed = resumed is not None or problem.dropout is not None
                norm = report["gradient_norm"]
                end = ending(course, history.cost, norm, not changed, own_epochs)
                wrong = ""
                if end.reason != "diverged":
                    searched = remembered is not None
                    wrong = _verdict.trouble(network, run, asked, end, tolerance, target, searched)
                    wrong = wrong or _verdict.unscaled(network, asked, end, x, y, parts)
    reason, cost = end.reason, end.cost
    if reason == "diverged":
        before = solvers[i].batch_size is None and not math.isfinite(report["initial_cost"])
        message = divergence(course, before, solvers[i]._smaller)
        warn(message, DivergenceWarning, stacklevel=callers())
    else:
        message = _verdict.message(end, tolerance, target, watch.patience, not wrong)
        if wrong:
            message += f" But {wrong}."
            warn(message, ConvergenceWarning, stacklevel=callers())
        elif doubts and reason == "converged":
            wrong = doubts[0]
            message += f" But {wrong}."
    return FitResult(
        cost=cost,
        loss=network.loss,
        initial_cost=course.initial_cost,
        epochs=course.epoch - done,
        n_instances=course.n,
        n_validation=watch.n,
        converged=not wrong and (reason in ("converged", "goal") or _verdict.at_least(asked, end)),
        stop_reason=reason,
        cost_history=history.cost,
        history=history,
        gradient_norm=report["gradient_norm"],
        validation_cost=course.validation_cost,
        best_epoch=course.best_epoch,
        seconds=time.perf_counter() - began,
        solver=solvers if chained else solvers[0],
        stages=tuple(course.stages),
        state=_checkpoint.state_of(course, i, report, course.epoch),
        choice=None if choice is None else choice.why,
        l2=problem.l2,
        message=message,
    )


def ending(
    course: Course,
    costs: NDArray[np.float64],
    gradient_norm: float,
    comparable: bool,
    own_epochs: bool,
) -> _verdict.End:
    """Return how the last stage has ended, after epochs of these costs.

    Those of a fit that is resumed, or drops units, are not `comparable` with the last one.
    `own_epochs` says that the fit chose their number.
    """
    stage, initial = course.stages[-1], course.initial_cost
    if math.isnan(initial) and len(costs) > 1:
        initial = float(costs[0])
    return _verdict.End(
        stage.solver,
        stage.stop_reason,
        stage.epochs,
        len(costs),
        initial if comparable else math.nan,
        float(costs[-2]) if len(costs) > 1 else course.initial_cost,
        stage.cost,
        gradient_norm,
        own_epochs,
    )


def callers(*packages: str) -> int:
    """Return the stacklevel of the first frame outside of this package, or of these."""
    level, frame, inside = 1, sys._getframe(1), packages or ("deltaloop",)
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] in inside:
        level, frame = level + 1, frame.f_back
    return level


@contextmanager
def scaled(
    course: Course,
    kind: str | None,
    data: tuple[NDArray[Any], NDArray[Any], bool],
    learned: tuple[NDArray[np.float64] | None, NDArray[np.uintp] | None],
    resumed: _state.Resumed | None,
) -> Iterator[None]:
    """Give the network the scaling of a fit; the one before if the fit fails before its training.

    It is that of what is resumed, that of this kind which the instances have, or the network's own.
    `learned` are the weights, and the rows of the data if it is not all of them.
    """
    network, before = course.network, course.network._scaling
    scaling = before
    if resumed is not None:
        scaling = resumed.scaling
    elif kind is not None:
        scaling = _scaling.measure(kind, network, *data, *learned)
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

    With `own` it draws from the network's stream.
    """

    network: _core.Core
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
    epochs: list[NDArray[np.float64]] = field(default_factory=list)  # of each stage
    stages: list[Stage] = field(default_factory=list)
    asked: bool = False  # a callback has asked for the end
    n: int = 0  # instances that are learned from
    chained: bool = False  # a list of solvers was given
    split: int | None = None  # the position of the stream before a fraction was set aside
    drops: bool = False  # layers drop units
    choice: Choice | None = None  # what was chosen where no solver was given
    l2: float = 0.0
    chosen: float | None = None  # the same where it was chosen, now or by the fit that goes on
    trained: bool = False  # the parameters may be others than at the start

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
        run.validate(
            *course.watch.given, course.watch.rows, course.watch.patience, course.best, when
        )
    if resumed is not None:
        _state.check_parts(resumed, course.n, course.watch.n)
        run.resume(_state.match(resumed.arrays, run.report()["arrays"]), done)
        course.trained = True  # its parameters are the state's
    # Nothing is left to do where the fit is over, or the state is that of the stage's last epoch.
    reason = course.over() or ("max_epochs" if done >= most else "")
    trains = not reason
    if course.own:
        course.network._position = run.position  # from now on `run` keeps it up to date
    report, watched = None, course.watch.given is not None
    try:
        if trains:
            course.trained = True
            reason = train(course, i, run, start, start + most)
        course.epochs.append(run.history)
        report = run.report()
        cost, course.validation_cost = report["cost"], report["validation"]
        if not (trains and exact) or course.watch.patience or (watched and course.epoch == before):
            cost, course.validation_cost = final_costs(run)
    except KeyboardInterrupt as interrupt:
        so_far = _checkpoint.interrupted(course, i, run, report, before)
        interrupt.result = so_far  # type: ignore[attr-defined]
        raise
    except BaseException:  # of a callback
        _checkpoint.restore(course, run)
        raise
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


def train(course: Course, i: int, run: _core.Fit, start: int, last: int) -> str:
    """Run slices of stage i until a rule stops; the reason.

    Epochs are numbered through all stages: `start` were complete before the stage's first one, and
    `last` is the last that it may have.
    """
    limits, solver, work = course.limits, course.solvers[i], FIRST_WORK
    every = limits.callback_every if limits.callback else last
    due = (course.epoch // every + 1) * every
    until = min(due, last)
    while True:
        before = time.perf_counter()
        event, part = run.run(until - start, work)
        now = time.perf_counter()
        done = part.shape[1]
        if done:
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
            cost, validation, rate, norm, _ = part[:, -1].tolist()
            seconds, network = now - course.began, cast(Any, course.network)
            info = EpochInfo(course.epoch, cost, seconds, network, validation, rate, norm)
            checkpoint = _checkpoint.Checkpoint(course, i, run)
            object.__setattr__(info, "_checkpoint", checkpoint)  # it is frozen for others
            answer = limits.callback(info)
            checkpoint.close()
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
